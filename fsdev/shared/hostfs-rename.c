/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * File operations on the host: rename(2).
 */
#include "qemu/osdep.h"
#include "hostfs-internal.h"
#include <linux/openat2.h>

/*
 * renameat(2) with the permissions that it needs. A directory that gets another
 * parent must itself be writable, because its ".." changes (rename(2), EACCES).
 */
static int rename_widened(const HostFs *hfs, int olddir, const char *oldname,
                          int newdir, const char *newname)
{
    HostAccess access[] = {
        { .fd = olddir, .bits = S_IWUSR | S_IXUSR },
        { .fd = newdir, .bits = S_IWUSR | S_IXUSR },
        /* No rename(2) moves what is mounted on a name. */
        { .fd = hostfs_lookup(hfs, olddir, oldname, RESOLVE_NO_XDEV),
          .bits = S_IWUSR },
    };
    struct stat st;
    int ret = -EACCES;

    if (access[2].fd >= 0 &&
        (fstat(access[2].fd, &st) < 0 || !S_ISDIR(st.st_mode))) {
        close(access[2].fd);
        access[2].fd = -1;
    }
    while (hostfs_access_again(hfs, &ret, access, G_N_ELEMENTS(access))) {
        ret = renameat(olddir, oldname, newdir, newname) < 0 ? -errno : 0;
    }
    if (access[2].fd >= 0) {
        close(access[2].fd);
    }
    return ret;
}

/*
 * What rename(2) says of two directories on different mounts, which have other
 * servers: 0 or -EXDEV. Does not wait.
 */
static int check_mounts(int olddir, int newdir)
{
    HostPlace from, to;
    int ret = hostfs_place(olddir, &from);

    if (ret == 0) {
        ret = hostfs_place(newdir, &to);
    }
    return ret == 0 && from.mount != to.mount ? -EXDEV : ret;
}

int hostfs_rename(const HostFs *hfs, int olddir, const char *oldname,
                  int newdir, const char *newname)
{
    int ret = fs_name_check(oldname);

    if (ret == 0) {
        ret = fs_name_check(newname);
    }
    if (ret < 0) {
        return ret;
    }
    if (hfs->readonly) {
        return -EROFS;
    }
    ret = renameat(olddir, oldname, newdir, newname) < 0 ? -errno : 0;
    if (ret == -EACCES && hfs->own_access) {
        /* A claim of one must not wait for the server of the other. */
        ret = check_mounts(olddir, newdir);
        if (ret < 0) {
            return ret;
        }
        ret = rename_widened(hfs, olddir, oldname, newdir, newname);
    }
    return ret;
}
