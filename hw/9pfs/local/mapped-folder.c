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
#include "mapped-check.h"
#include "mapped-folder.h"
#include "mapped-text.h"

#define FOLDER          LOCAL_METADATA_FOLDER

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
        return local_metadata_is_absence(lh, ret) ? 0 : ret;
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

bool local_metadata_is_absence(const LocalHost *lh, int ret)
{
    switch (ret) {
    case -ENOENT:
    case -ENOTDIR:
        return true;
    case -EACCES:
    case -EPERM:
        return !lh->host.strict_views;
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

bool local_metadata_is_full_dir(const LocalHost *lh, int folder,
                                const char *name)
{
    FsAttr attr;
    struct dirent *entry;
    bool full = false;
    int ret;
    int node = hostfs_step(&lh->host, folder, name, HOST_WAIT_POOL, &attr);
    DIR *list = node < 0 || !S_ISDIR(attr.mode) ? NULL
                : list_directory(lh, node, &ret);

    while (list && !full && (entry = readdir(list))) {
        full = fs_name_check(entry->d_name) == 0;
    }
    if (list) {
        closedir(list);
    }
    if (node >= 0) {
        close(node);
    }
    return full;
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

static int drop_folder(const LocalHost *lh, int node)
{
    int folder = local_metadata_open_folder(lh, node, false);
    int ret;

    if (folder < 0) {
        return folder == -ENOENT || folder == -ENOTDIR ? 0 : folder;
    }
    ret = empty_folder(lh, folder);
    close(folder);
    return ret < 0 ? ret : local_metadata_remove(lh, node, FOLDER);
}

int local_metadata_clear(const LocalHost *lh, int node)
{
    int ret = check_empty(lh, node);

    if (ret == 0) {
        ret = drop_folder(lh, node);
    }
    if (ret == 0) {
        /* It may be no directory. */
        ret = local_metadata_remove(lh, node, FOLDER);
    }
    if (ret == 0) {
        ret = local_metadata_remove(lh, node, LOCAL_METADATA_ROOT);
    }
    return ret;
}

int local_metadata_drop_dir(const LocalHost *lh, int dir)
{
    FsAttr own;
    int ret = hostfs_getattr(dir, &own);

    if (ret == 0) {
        ret = drop_folder(lh, dir);
    }
    if (ret == 0 && same_inode(&own, lh->host.root_dev, lh->host.root_ino)) {
        ret = local_metadata_remove(lh, dir, LOCAL_METADATA_ROOT);
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
    return fd < 0 && !local_metadata_is_absence(lh, fd) ? fd : 0;
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
                       const FsView *view)
{
    int folder, fd, ret;

    folder = local_metadata_open_folder(lh, dir, true);
    if (folder < 0) {
        return folder;
    }
    ret = local_metadata_remove(lh, folder, name);
    fd = ret < 0 ? ret : create_metadata(lh, folder, name);
    if (fd >= 0) {
        ret = local_metadata_close(fd, local_metadata_write(fd, view));
        if (ret < 0) {
            local_metadata_remove(lh, folder, name);
        }
    }
    close(folder);
    return fd < 0 ? fd : ret;
}

/* Metadata of a name that does not exist, or that no file of the guest has */
static int check_orphan(const LocalHost *lh, int dir, int folder,
                        const char *name, LocalCheck *c)
{
    FsAttr attr;
    int ret = 0;
    int node = local_metadata_reserved(name) ? -ENOENT :
               hostfs_step(&lh->host, dir, name, HOST_WAIT_POOL, &attr);

    if (node >= 0) {
        close(node);
        return 0;
    }
    if (node != -ENOENT) {
        return node;
    }
    if (local_metadata_is_full_dir(lh, folder, name)) {
        local_check_fault(c, name, "in the place of metadata is a directory "
                          "with files in it: move it away", NULL, 0);
        return 0;
    }
    if (c->repair) {
        ret = local_metadata_remove(lh, folder, name);
    }
    local_check_fault(c, name, "there is metadata, but no such file",
                      "the metadata is removed", ret);
    return 0;
}

/* Names that are the model's own, but not where the model has them */
static int check_hidden(const LocalHost *lh, int dir, LocalCheck *c)
{
    FsAttr attr, own;
    int fd, ret;

    ret = hostfs_getattr(dir, &own);
    if (ret < 0) {
        return ret;
    }
    fd = hostfs_step(&lh->host, dir, FOLDER, HOST_WAIT_POOL, &attr);
    if (fd >= 0) {
        close(fd);
        if (!S_ISDIR(attr.mode)) {
            local_check_fault(c, FOLDER, "it is no directory, so no file here "
                              "can have an owner or a mode of the guest's",
                              NULL, 0);
        }
    }
    if (same_inode(&own, lh->host.root_dev, lh->host.root_ino)) {
        return 0;
    }
    fd = hostfs_step(&lh->host, dir, LOCAL_METADATA_ROOT, HOST_WAIT_POOL,
                     &attr);
    if (fd >= 0) {
        close(fd);
        local_check_fault(c, LOCAL_METADATA_ROOT, "a file that the guest "
                          "cannot see, as its name is reserved", NULL, 0);
    }
    return 0;
}

int local_metadata_check_dir(const LocalHost *lh, int dir, LocalCheck *c)
{
    struct dirent *entry;
    int ret = check_hidden(lh, dir, c);
    int folder;
    DIR *list;

    folder = ret < 0 ? ret : local_metadata_open_folder(lh, dir, false);
    if (folder < 0) {
        return folder == -ENOENT || folder == -ENOTDIR ? 0 : folder;
    }
    list = list_directory(lh, folder, &ret);
    while (list && ret == 0 && (entry = readdir(list))) {
        if (!g_str_equal(entry->d_name, ".") &&
            !g_str_equal(entry->d_name, "..")) {
            ret = check_orphan(lh, dir, folder, entry->d_name, c);
        }
    }
    if (list) {
        closedir(list);
    }
    close(folder);
    return ret;
}
