/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The mark of a share that is being converted: see marker.h.
 */
#include "qemu/osdep.h"
#include "host-ids.h"
#include "fsdev/shared/view.h"
#include "marker.h"
#include "numbers.h"
#include "proxy-model.h"

#define MARKER          MAPPED_MARK
#define OWNER           "owner="

static const char *const step_names[] = {
    [MARKER_COPY] = "copy",
    [MARKER_DROP] = "drop",
};

bool mapped_marker_has_host(const Marker *m)
{
    return mapped_model_is_host(m->from) || mapped_model_is_host(m->to);
}

char *mapped_marker_ids(const Marker *m)
{
    static const IdMaps none;
    bool proxy = m->from == &mapped_model_proxy || m->to == &mapped_model_proxy;

    return !mapped_marker_has_host(m) ? NULL
           : mapped_ids_text(proxy ? &mapped_ids : &none);
}

void mapped_marker_clear(Marker *m)
{
    g_free(m->ids);
    *m = (Marker) { };
}

/* "owner=UID:GID IDS", or the ids alone: the ids; NULL if it makes no sense */
static const char *parse_owner(Marker *m, const char *text)
{
    const char *end = strchr(text, ' ');
    g_autofree char *owner = NULL;

    if (!g_str_has_prefix(text, OWNER)) {
        return text;
    }
    if (!end) {
        return NULL;
    }
    text += strlen(OWNER);
    owner = g_strndup(text, end - text);
    m->has_owner = mapped_parse_owner(owner, &m->owner_uid, &m->owner_gid);
    return m->has_owner ? end + 1 : NULL;
}

/* The three words, and what may follow */
static int parse(Marker *m, const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", 4);
    g_autofree IdMaps *maps = g_new(IdMaps, 1);
    const char *ids = NULL;

    if (g_strv_length(words) < 3) {
        return -EINVAL;
    }
    if (words[3]) {
        ids = parse_owner(m, words[3]);
        if (!ids || !mapped_ids_parse(ids, maps)) {
            return -EINVAL;
        }
    }
    m->step = g_str_equal(words[0], step_names[MARKER_COPY]) ? MARKER_COPY :
              g_str_equal(words[0], step_names[MARKER_DROP]) ? MARKER_DROP :
              MARKER_NONE;
    m->from = mapped_model(words[1]);
    m->to = mapped_model(words[2]);
    if (!m->step || !m->from || !m->to || m->from == m->to ||
        (mapped_model_is_host(m->from) && mapped_model_is_host(m->to)) ||
        (ids && !mapped_marker_has_host(m))) {
        return -EINVAL;
    }
    m->ids = g_strdup(ids);
    return 0;
}

int mapped_marker_get(const HostFs *hfs, Marker *m)
{
    g_autofree char *text = g_malloc(FS_XATTR_MAX + 1);
    ssize_t len;

    *m = (Marker) { };
    len = hostfs_getxattr(hfs, hfs->root, MARKER, text, FS_XATTR_MAX);
    if (len < 0) {
        return len == -ENODATA || len == -EOPNOTSUPP ? 0 :
               len == -ERANGE ? -EINVAL : len;
    }
    text[len] = '\0';
    return parse(m, text);
}

/* A guest's file has a view, if the guest's model is a mapped one. */
static bool is_guests(const LocalHost *lh, int node, const FsAttr *attr)
{
    static const LocalModel *const models[] = {
        &local_model_mapped_xattr, &local_model_mapped_file,
    };
    const LocalInode inode = {
        .handle = node, .dir = lh->host.root, .name = MAPPED_STAGING,
        .kept = -1,
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(models); i++) {
        FsView view = { };

        if (models[i]->get_view(lh, &inode, attr, &view) < 0 || view.valid) {
            return true;
        }
    }
    return false;
}

/* What the kernel says of the time since it was started; "" if nothing */
static char *boot_id(void)
{
    char *id = NULL;

    if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &id, NULL,
                             NULL)) {
        return g_strdup("");
    }
    return g_strstrip(id);
}

char *mapped_copy_mark_text(const LocalModel *model)
{
    g_autofree char *boot = boot_id();

    return g_strconcat(mapped_model_name(model), *boot ? " " : "", boot, NULL);
}

const LocalModel *mapped_copy_mark(const LocalHost *lh, bool *empty,
                                   bool *same_boot)
{
    const HostFs *hfs = &lh->host;
    const LocalModel *model = NULL;
    g_autofree char *boot = boot_id();
    char text[128] = "";
    char *id;
    FsAttr attr;
    ssize_t len = -1;
    int node = hostfs_step(hfs, hfs->root, MAPPED_STAGING, HOST_WAIT_POOL,
                           &attr);
    int fd = node >= 0 && S_ISREG(attr.mode) ? hostfs_open(hfs, node, O_RDONLY)
                                             : -1;

    if (fd >= 0) {
        len = RETRY_ON_EINTR(pread(fd, text, sizeof(text) - 1, 0));
        close(fd);
    }
    id = strchr(text, ' ');
    if (id) {
        *id++ = '\0';
    }
    *same_boot = id && *boot && g_str_equal(id, boot);
    *empty = len == 0;
    model = len > 0 ? mapped_model(text) : NULL;
    if (model && is_guests(lh, node, &attr)) {
        model = NULL;
    }
    if (node >= 0) {
        close(node);
    }
    return model;
}

static char *marker_text(const Marker *m)
{
    g_autofree char *owner = NULL;

    if (m->ids && m->has_owner) {
        owner = g_strdup_printf(" " OWNER "%u:%u", m->owner_uid, m->owner_gid);
    }
    return g_strconcat(step_names[m->step], " ", mapped_model_name(m->from),
                       " ", mapped_model_name(m->to), owner ? owner : "",
                       m->ids ? " " : "", m->ids, NULL);
}

int mapped_marker_set(const HostFs *hfs, const Marker *m)
{
    g_autofree char *text = NULL;
    int fd = hostfs_open(hfs, hfs->root, O_RDONLY | O_DIRECTORY);
    int ret;

    if (fd < 0) {
        return fd;
    }
    ret = syncfs(fd) < 0 ? -errno : 0;
    if (ret == 0 && m->step == MARKER_NONE) {
        ret = hostfs_removexattr(hfs, hfs->root, MARKER);
    } else if (ret == 0) {
        text = marker_text(m);
        ret = hostfs_setxattr(hfs, hfs->root, MARKER, text, strlen(text), 0);
    }
    if (ret == 0 && fsync(fd) < 0) {
        ret = -errno;
    }
    close(fd);
    return ret;
}

const LocalModel *mapped_marker_model(const Marker *m)
{
    return m->step == MARKER_DROP ? m->to : m->from;
}
