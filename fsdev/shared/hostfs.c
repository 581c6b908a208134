/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * File operations on the host: the context, and single names.
 *
 * hostfs looks each name up in a held directory, one component at a time, so
 * there is no path that another process could swap for a link. openat2(2) also
 * refuses links. With O_PATH and O_NOFOLLOW, the last component may still be a
 * link, which gives a handle of the link itself. Lookups cross mount points
 * inside the export: they are a part of it.
 */
#include "qemu/osdep.h"
#include "hostfs-internal.h"
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

/* openat2(2) may return EAGAIN because of a rename elsewhere: try again */
#define LOOKUP_TRIES    16

uint64_t hostfs_own_mount(int fd)
{
    struct statx stx;

    return statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
                 STATX_MNT_ID, &stx) == 0 && (stx.stx_mask & STATX_MNT_ID) &&
           (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT) ? stx.stx_mnt_id : 0;
}

int hostfs_init(HostFs *hfs, int root, const char *fd_prefix)
{
    struct stat st;
    int ret = 0;

    memset(hfs, 0, sizeof(*hfs));
    hfs->root = root;
    hfs->fd_prefix = fd_prefix;

    if (strlen(fd_prefix) > HOSTFS_PREFIX_MAX) {
        ret = -ENAMETOOLONG;
    } else if (fstat(root, &st) < 0) {
        ret = -errno;
    } else if (!S_ISDIR(st.st_mode)) {
        ret = -ENOTDIR;
    }
    if (ret < 0) {
        hostfs_destroy(hfs);
        return ret;
    }

    hfs->root_dev = st.st_dev;
    hfs->root_ino = st.st_ino;
    hfs->own_mount = hostfs_own_mount(root);
    return 0;
}

void hostfs_destroy(HostFs *hfs)
{
    if (hfs->root >= 0) {
        close(hfs->root);
        hfs->root = -1;
    }
}

int hostfs_open_handle(int dir, const char *name, uint64_t resolve)
{
    struct open_how how = {
        .flags = HOSTFS_HANDLE_FLAGS,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
                   RESOLVE_NO_MAGICLINKS | resolve,
    };
    /* glibc has no wrapper */
    int fd = syscall(SYS_openat2, dir, name, &how, sizeof(how));

    return fd < 0 ? -errno : fd;
}

int hostfs_lookup(const HostFs *hfs, int dir, const char *name,
                  uint64_t resolve)
{
    HostAccess access[] = { { .fd = dir, .bits = S_IXUSR } };
    int tries = LOOKUP_TRIES;
    int fd;

    do {
        fd = hostfs_open_handle(dir, name, resolve);
    } while ((fd == -EAGAIN && --tries) ||
             hostfs_access_again(hfs, &fd, access, 1));
    return fd;
}

bool hostfs_is_mount(int dir, const char *name)
{
    int fd = hostfs_open_handle(dir, name, RESOLVE_NO_XDEV);

    if (fd >= 0) {
        close(fd);
    }
    return fd == -EXDEV;
}

int hostfs_place(int fd, HostPlace *place)
{
    struct statx stx;

    if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
              STATX_INO | STATX_MNT_ID, &stx) < 0) {
        return -errno;
    }
    place->dev = makedev(stx.stx_dev_major, stx.stx_dev_minor);
    place->ino = stx.stx_ino;
    place->mount = stx.stx_mask & STATX_MNT_ID ? stx.stx_mnt_id : 0;
    return 0;
}

/* readlinkat(2): an empty name means the handle itself (Linux 2.6.39). */
int hostfs_readlink(int node, char *buf, size_t size)
{
    ssize_t len;

    if (size == 0) {
        return -ENAMETOOLONG;
    }
    len = readlinkat(node, "", buf, size);
    if (len < 0) {
        /* With an empty name, ENOENT means that it is no link. */
        return errno == ENOENT ? -EINVAL : -errno;
    }
    if ((size_t)len == size) {
        return -ENAMETOOLONG;
    }
    buf[len] = '\0';
    return 0;
}

int hostfs_statfs(int node, FsStatfs *st)
{
    struct statfs host;
    uint32_t id[2];

    G_STATIC_ASSERT(sizeof(host.f_fsid) == sizeof(id));

    if (fstatfs(node, &host) < 0) {
        return -errno;
    }
    /* Two numbers whose names are not portable: see statfs(2) */
    memcpy(id, &host.f_fsid, sizeof(id));

    st->type = host.f_type;
    st->bsize = host.f_bsize;
    st->blocks = host.f_blocks;
    st->bfree = host.f_bfree;
    st->bavail = host.f_bavail;
    st->files = host.f_files;
    st->ffree = host.f_ffree;
    st->fsid = (uint64_t)id[1] << 32 | id[0];
    st->namelen = host.f_namelen;
    return 0;
}
