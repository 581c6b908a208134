/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Security model mapped-file: metadata folders and the files in them (see
 * mapped-folder.h).
 *
 * Other processes may write to the shared directory. So these functions reach
 * metadata only through hostfs, by single names in directories that they hold
 * open, and open only regular files.
 */
#include "qemu/osdep.h"
#include <dirent.h>
#include "mapped-folder.h"
#include "mapped-text.h"

#define FOLDER          ".virtfs_metadata"

bool local_metadata_reserved(const char *name)
{
    return g_str_equal(name, FOLDER) || g_str_equal(name, LOCAL_METADATA_ROOT);
}

static bool same_inode(const FsAttr *a, uint64_t dev, uint64_t ino)
{
    return a->dev == dev && a->ino == ino;
}

int local_metadata_is_own(const LocalHost *lh, int dir, const FsAttr *attr)
{
    const char *name = FOLDER;
    FsAttr own;
    int ret;

    if (S_ISREG(attr->mode)) {
        ret = hostfs_getattr(dir, &own);
        if (ret < 0 ||
            !same_inode(&own, lh->host.root_dev, lh->host.root_ino)) {
            return ret;
        }
        name = LOCAL_METADATA_ROOT;
    } else if (!S_ISDIR(attr->mode)) {
        return 0;
    }
    ret = hostfs_step(&lh->host, dir, name, HOST_WAIT_POOL, &own);
    if (ret < 0) {
        return local_metadata_is_absence(ret) ? 0 : ret;
    }
    close(ret);
    return same_inode(&own, attr->dev, attr->ino);
}

int local_metadata_check_guests(const LocalHost *lh, int dir,
                                const FsAttr *attr)
{
    int ret = local_metadata_is_own(lh, dir, attr);

    return ret > 0 ? -ENOENT : ret;
}

int local_metadata_check_new(const LocalHost *lh, int dir, const FsAttr *attr)
{
    int ret = local_metadata_check_guests(lh, dir, attr);

    return ret == -ENOENT ? -EACCES : ret;
}

int local_metadata_open_folder(const LocalHost *lh, int dir, bool make)
{
    const FsMakeArgs folder = {
        .name = FOLDER, .mode = S_IFDIR | 0700, .uid = -1, .gid = -1,
    };
    FsAttr attr;
    int fd, ret;

    fd = hostfs_step(&lh->host, dir, FOLDER, HOST_WAIT_POOL, &attr);
    if (fd == -ENOENT && make) {
        ret = hostfs_make(&lh->host, dir, &folder, &attr);
        if (ret < 0 && ret != -EEXIST) {
            return ret;
        }
        fd = hostfs_step(&lh->host, dir, FOLDER, HOST_WAIT_POOL, &attr);
    }
    if (fd >= 0 && !S_ISDIR(attr.mode)) {
        close(fd);
        return -ENOTDIR;
    }
    return fd;
}

int local_metadata_remove(const LocalHost *lh, int folder, const char *name)
{
    int ret = hostfs_unlink(&lh->host, folder, name, false, -1);

    if (ret == -EISDIR) {
        ret = hostfs_unlink(&lh->host, folder, name, true, -1);
    }
    return ret == -ENOENT ? 0 : ret;
}

static int create_metadata(const LocalHost *lh, int folder, const char *name)
{
    const FsMakeArgs make = {
        .name = name, .mode = S_IFREG | 0600, .uid = -1, .gid = -1,
    };
    FsAttr attr;
    int fd, node;

    fd = hostfs_create(&lh->host, folder, &make, O_RDWR | O_EXCL, &node, &attr);
    if (fd >= 0) {
        close(node);
    }
    return fd;
}

int local_metadata_open(const LocalHost *lh, int folder, const char *name,
                        int flags, bool make)
{
    FsAttr attr;
    int node, ret;

    node = hostfs_step(&lh->host, folder, name, HOST_WAIT_POOL, &attr);
    if (node >= 0 && S_ISREG(attr.mode)) {
        ret = hostfs_open(&lh->host, node, flags);
        close(node);
        return ret;
    }
    if (node >= 0) {
        close(node);
        ret = make ? local_metadata_remove(lh, folder, name) : 0;
        node = ret < 0 ? ret : -ENOENT;
    }
    return node == -ENOENT && make ? create_metadata(lh, folder, name) : node;
}

bool local_metadata_is_absence(int ret)
{
    switch (ret) {
    case -ENOENT:
    case -ENOTDIR:
    case -EACCES:
    case -EPERM:
        return true;
    default:
        return false;
    }
}

/* The directory @node, opened for its entries */
static DIR *list_directory(const LocalHost *lh, int node, int *ret)
{
    int fd = hostfs_open(&lh->host, node, O_RDONLY | O_DIRECTORY);
    DIR *list;

    if (fd < 0) {
        *ret = fd;
        return NULL;
    }
    list = fdopendir(fd);
    if (!list) {
        *ret = -errno;
        close(fd);
    }
    return list;
}

/* Whether an entry of the directory @node is the model's: 1, 0 or -errno */
static int is_own_entry(const LocalHost *lh, int node, const char *name)
{
    FsAttr attr;
    int fd, ret;

    if (local_metadata_reserved(name)) {
        return 1;
    }
    fd = hostfs_step(&lh->host, node, name, HOST_WAIT_POOL, &attr);
    if (fd < 0) {
        return fd == -ENOENT ? 0 : fd;
    }
    ret = local_metadata_is_own(lh, node, &attr);
    close(fd);
    return ret;
}

/* 0 if a directory holds nothing except metadata, else -ENOTEMPTY */
static int check_empty(const LocalHost *lh, int node)
{
    struct dirent *entry;
    int ret = 0;
    DIR *list = list_directory(lh, node, &ret);

    if (!list) {
        return ret;
    }
    while (ret == 0 && (entry = readdir(list))) {
        if (!g_str_equal(entry->d_name, ".") &&
            !g_str_equal(entry->d_name, "..")) {
            ret = is_own_entry(lh, node, entry->d_name);
            ret = ret == 0 ? -ENOTEMPTY : MIN(ret, 0);
        }
    }
    closedir(list);
    return ret;
}

/* Removes everything in a metadata folder. */
static int empty_folder(const LocalHost *lh, int folder)
{
    struct dirent *entry;
    int ret = 0;
    DIR *list = list_directory(lh, folder, &ret);

    if (!list) {
        return ret;
    }
    while (ret == 0 && (entry = readdir(list))) {
        if (!g_str_equal(entry->d_name, ".") &&
            !g_str_equal(entry->d_name, "..")) {
            ret = local_metadata_remove(lh, folder, entry->d_name);
        }
    }
    closedir(list);
    return ret;
}

int local_metadata_clear(const LocalHost *lh, int node)
{
    int folder, ret;

    ret = check_empty(lh, node);
    if (ret < 0) {
        return ret;
    }
    folder = local_metadata_open_folder(lh, node, false);
    if (folder >= 0) {
        ret = empty_folder(lh, folder);
        close(folder);
    } else if (folder != -ENOENT && folder != -ENOTDIR) {
        ret = folder;
    }
    if (ret == 0) {
        ret = local_metadata_remove(lh, node, FOLDER);
    }
    if (ret == 0) {
        ret = local_metadata_remove(lh, node, LOCAL_METADATA_ROOT);
    }
    return ret;
}

int local_metadata_rename(const LocalHost *lh, int from, const char *oldname,
                          int to, const char *newname)
{
    int ret;

    if (from < 0) {
        if (to >= 0) {
            local_metadata_remove(lh, to, newname);
        }
        return 0;
    }
    ret = hostfs_rename(&lh->host, from, oldname, to, newname);
    if (ret == -EISDIR) {
        ret = local_metadata_remove(lh, to, newname);
        if (ret == 0) {
            ret = hostfs_rename(&lh->host, from, oldname, to, newname);
        }
    }
    return ret;
}

int local_metadata_find(const LocalHost *lh, int dir, const char *name,
                        int *folder)
{
    FsAttr attr;
    int fd;

    *folder = -1;
    fd = local_metadata_open_folder(lh, dir, false);
    if (fd >= 0) {
        int node = hostfs_step(&lh->host, fd, name, HOST_WAIT_POOL, &attr);

        if (node >= 0 && S_ISREG(attr.mode)) {
            *folder = fd;
        } else {
            close(fd);
        }
        if (node >= 0) {
            close(node);
        }
        fd = node;
    }
    return fd < 0 && !local_metadata_is_absence(fd) ? fd : 0;
}

int local_metadata_link(const LocalHost *lh, int fd, int dir,
                        const char *name)
{
    int folder = local_metadata_open_folder(lh, dir, true);
    int ret;

    if (folder < 0) {
        return folder;
    }
    ret = local_metadata_remove(lh, folder, name);
    if (ret == 0) {
        ret = hostfs_link(&lh->host, fd, folder, name);
    }
    close(folder);
    return ret;
}

int local_metadata_put(const LocalHost *lh, int dir, const char *name,
                       const LocalView *view)
{
    int folder, fd, ret;

    folder = local_metadata_open_folder(lh, dir, true);
    if (folder < 0) {
        return folder;
    }
    ret = local_metadata_remove(lh, folder, name);
    fd = ret < 0 ? ret : create_metadata(lh, folder, name);
    if (fd >= 0) {
        ret = local_metadata_write(fd, view);
        close(fd);
        if (ret < 0) {
            local_metadata_remove(lh, folder, name);
        }
    }
    close(folder);
    return fd < 0 ? fd : ret;
}
