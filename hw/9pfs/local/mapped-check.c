/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What may be wrong with a view, whichever mapped model keeps it: see
 * mapped-check.h.
 *
 * A view that lacks an owner is no fault by itself: the guest may have changed
 * only the mode of a file that a host user made. But links and special files
 * are made by the guest alone, with their owners, so one without is half-made.
 */
#include "qemu/osdep.h"
#include "mapped-check.h"

/* One inode with several names, and the metadata of the first that was seen */
typedef struct Link {
    LocalInodeKey key;
    LocalInodeKey meta;
} Link;

guint local_inode_hash(gconstpointer key)
{
    const LocalInodeKey *k = key;

    return g_int64_hash(&k->ino) ^ g_int64_hash(&k->dev);
}

gboolean local_inode_equal(gconstpointer a, gconstpointer b)
{
    const LocalInodeKey *k = a, *l = b;

    return k->ino == l->ino && k->dev == l->dev;
}

GHashTable *local_check_links(void)
{
    return g_hash_table_new_full(local_inode_hash, local_inode_equal, g_free,
                                 NULL);
}

bool local_check_same_link(LocalCheck *c, const FsAttr *host,
                           const FsAttr *meta)
{
    Link l = {
        .key = { .dev = host->dev, .ino = host->ino },
        .meta = { .dev = meta->dev, .ino = meta->ino },
    };
    const Link *first;

    if (host->nlink < 2 || S_ISDIR(host->mode) || !c->links) {
        return true;
    }
    first = g_hash_table_lookup(c->links, &l);
    if (!first) {
        g_hash_table_add(c->links, g_memdup2(&l, sizeof(l)));
        return true;
    }
    return local_inode_equal(&first->meta, &l.meta);
}

void local_check_fault(LocalCheck *c, const char *name, const char *what,
                       const char *cure, int ret)
{
    LocalFault fault = {
        .name = name, .what = what, .cure = cure, .ret = ret,
    };

    c->fault(c, &fault);
}

static const char *type_name(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return "a regular file";
    case S_IFDIR:
        return "a directory";
    case S_IFLNK:
        return "a symbolic link";
    case S_IFIFO:
        return "a fifo";
    case S_IFSOCK:
        return "a socket";
    case S_IFCHR:
    case S_IFBLK:
        return "a device";
    default:
        return "no type of file";
    }
}

/* Whether a view's mode can be that of a file with the host's mode */
static bool mode_fits(uint32_t mode, uint32_t host)
{
    if (mode & ~(S_IFMT | 07777) || !fs_mode_is_valid(mode)) {
        return false;
    }
    return S_ISDIR(host) == S_ISDIR(mode);
}

static void check_mode(const LocalHost *lh, const LocalInode *inode,
                       const FsAttr *host, const FsView *view,
                       LocalCheck *c)
{
    FsView fix = {
        .valid = FS_VIEW_MODE,
        .mode = (host->mode & S_IFMT) | (view->mode & 07777),
    };
    g_autofree char *what = NULL;
    int ret = 0;

    if (!(view->valid & FS_VIEW_MODE) ||
        mode_fits(view->mode, host->mode)) {
        return;
    }
    what = g_strdup_printf("its mode, 0%o, says %s, but the host has %s",
                           view->mode, type_name(view->mode),
                           type_name(host->mode));
    if (c->repair) {
        ret = lh->model->put_view(lh, inode, &fix);
    }
    local_check_fault(c, NULL, what,
                      "the mode gets the host's type, as the guest sees it",
                      ret);
}

/* The content of a file that stands for a link */
static void check_target(const LocalHost *lh, const LocalInode *inode,
                         const FsAttr *host, LocalCheck *c)
{
    char buf[PATH_MAX];
    ssize_t len;
    int fd;

    if (host->size == 0) {
        local_check_fault(c, NULL, "a symbolic link without a target", NULL,
                          0);
        return;
    }
    if (host->size >= PATH_MAX) {
        local_check_fault(c, NULL, "a symbolic link whose target is too long "
                          "to be read", NULL, 0);
        return;
    }
    fd = hostfs_open(&lh->host, inode->handle, O_RDONLY);
    if (fd < 0) {
        local_check_fault(c, NULL, "a symbolic link whose target cannot be "
                          "read", NULL, 0);
        return;
    }
    len = RETRY_ON_EINTR(pread(fd, buf, sizeof(buf), 0));
    close(fd);
    if (len > 0 && memchr(buf, '\0', len)) {
        local_check_fault(c, NULL, "a symbolic link whose target has a NUL "
                          "byte; the guest sees it cut there", NULL, 0);
    }
}

static void check_owner(const LocalHost *lh, const LocalInode *inode,
                        const FsAttr *host, const FsView *view,
                        LocalCheck *c)
{
    FsView fix = {
        .valid = (FS_VIEW_UID | FS_VIEW_GID) & ~view->valid,
        .uid = host->uid,
        .gid = host->gid,
    };
    int ret = 0;

    if (!fix.valid) {
        return;
    }
    if (c->repair) {
        ret = lh->model->put_view(lh, inode, &fix);
    }
    local_check_fault(c, NULL, "half-made: it has a type, but no owner or no "
                      "group", "it gets those that the guest sees now, which "
                      "are the host's", ret);
}

/* The id of all bits is none to chown(2), and to a guest's kernel. */
static void check_ids(const LocalHost *lh, const LocalInode *inode,
                      const FsAttr *host, const FsView *view, LocalCheck *c)
{
    FsView fix = { .uid = host->uid, .gid = host->gid };
    int ret = 0;

    if ((view->valid & FS_VIEW_UID) && view->uid == (uint32_t)-1) {
        fix.valid |= FS_VIEW_UID;
    }
    if ((view->valid & FS_VIEW_GID) && view->gid == (uint32_t)-1) {
        fix.valid |= FS_VIEW_GID;
    }
    if (!fix.valid) {
        return;
    }
    if (c->repair) {
        ret = lh->model->put_view(lh, inode, &fix);
    }
    local_check_fault(c, NULL, "its owner or group is 4294967295, which no "
                      "file can have", "it becomes the host's", ret);
}

void local_check_view(const LocalHost *lh, const LocalInode *inode,
                      const FsAttr *host, const FsView *view, LocalCheck *c)
{
    uint32_t type = fs_view_type(view, host->mode);

    check_mode(lh, inode, host, view, c);
    check_ids(lh, inode, host, view, c);
    if (!view->valid && S_ISREG(host->mode) && !(host->mode & 0777) &&
        host->size == 0) {
        local_check_fault(c, NULL, "half-made: an empty file without "
                          "permissions on the host, and without a view",
                          NULL, 0);
    }
    if (type == (host->mode & S_IFMT)) {
        return;
    }
    check_owner(lh, inode, host, view, c);
    if ((type == S_IFCHR || type == S_IFBLK) &&
        !(view->valid & FS_VIEW_RDEV)) {
        local_check_fault(c, NULL, "a device without a number; the guest sees "
                          "0, 0 (virtfs-mapped set --rdev gives it one)",
                          NULL, 0);
    }
    if (type == S_IFLNK) {
        check_target(lh, inode, host, c);
    }
}
