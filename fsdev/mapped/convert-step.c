/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the steps of virtfs-mapped convert share: see convert-step.h.
 */
#include "qemu/osdep.h"
#include "convert-step.h"
#include "make.h"
#include "proxy-model.h"

/* A file on a file system, open for reading, or -1 if none could be opened */
typedef struct Place {
    uint64_t dev;
    int fd;
} Place;

void convert_use_owner(MappedShare *s, uint32_t uid, uint32_t gid)
{
    HostFs *hfs = &s->lh.host;

    hfs->new_owner = HOST_OWNER_GIVEN;
    hfs->new_uid = uid;
    hfs->new_gid = gid;
}

static Place *find_place(Convert *c, uint64_t dev)
{
    Place new = { .dev = dev, .fd = -1 };
    unsigned i;

    if (!c->places) {
        c->places = g_array_new(false, false, sizeof(Place));
    }
    for (i = 0; i < c->places->len; i++) {
        Place *p = &g_array_index(c->places, Place, i);

        if (p->dev == dev) {
            return p;
        }
    }
    g_array_append_val(c->places, new);
    return &g_array_index(c->places, Place, i);
}

void convert_meet(Convert *c, const MappedEntry *e)
{
    Place *p;
    int fd;

    g_mutex_lock(&c->places_lock);
    p = find_place(c, e->host.dev);
    if (p->fd < 0 && (S_ISDIR(e->host.mode) || S_ISREG(e->host.mode))) {
        fd = hostfs_open(&e->share->lh.host, e->inode.handle, O_RDONLY);
        p->fd = MAX(fd, -1);
    }
    g_mutex_unlock(&c->places_lock);
}

int convert_sync(Convert *c)
{
    unsigned i;
    int ret = 0;

    for (i = 0; c->places && i < c->places->len; i++) {
        const Place *p = &g_array_index(c->places, Place, i);

        if (p->fd < 0) {
            sync();             /* all there are */
        } else if (syncfs(p->fd) < 0 && ret == 0) {
            ret = -errno;
        }
    }
    return ret;
}

void convert_forget(Convert *c)
{
    unsigned i;

    for (i = 0; c->places && i < c->places->len; i++) {
        int fd = g_array_index(c->places, Place, i).fd;

        if (fd >= 0) {
            close(fd);
        }
    }
    if (c->places) {
        g_array_free(c->places, true);
        c->places = NULL;
    }
}

bool convert_is_plain(const Convert *c, const MappedEntry *e)
{
    bool proxy = c->marker.from == &mapped_model_proxy ||
                 c->marker.to == &mapped_model_proxy;

    return S_ISDIR(e->host.mode) ||
           (S_ISREG(e->host.mode) &&
            !(proxy && mapped_devices != MAPPED_DEVICES_HOST &&
              mapped_is_helpers_device(&e->share->lh, &e->inode, &e->host)));
}

int convert_put_acls(const Convert *c, const MappedEntry *e)
{
    const LocalHost *lh = &e->share->lh;
    const LocalHost *to = &c->other;
    g_autofree uint8_t *acl = NULL;
    unsigned i;
    int ret = 0;

    if (to->model == &local_model_mapped_file ||
        lh->model == &local_model_mapped_file) {
        return 0;
    }
    acl = g_malloc(FS_XATTR_MAX);
    for (i = 0; ret == 0 && i < G_N_ELEMENTS(mapped_acl_names); i++) {
        const char *name = mapped_acl_names[i];
        ssize_t len = lh->model->getxattr(lh, &e->inode, name, acl,
                                          FS_XATTR_MAX);

        if (len > 0) {
            ret = to->model->setxattr(to, &e->inode, name, acl, len, 0);
        } else if (len < 0 && len != -ENODATA && len != -EOPNOTSUPP) {
            ret = len;
        }
    }
    return ret;
}
