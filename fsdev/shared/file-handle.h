/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * File handles of the host (name_to_handle_at(2)): they lead to an inode
 * without a name. The helper opens them for the proxy driver; QEMU itself opens
 * them for the local driver.
 *
 * A handle leads to any file of its file system. A process' own handles are of
 * inodes that were in the export. One that came from a peer or with a migration
 * may be any bytes, so its inode counts only after proof that it is in the
 * export.
 *
 * Any process may ask for the handle of a descriptor; to open one takes
 * CAP_DAC_READ_SEARCH.
 */
#ifndef FSDEV_SHARED_FILE_HANDLE_H
#define FSDEV_SHARED_FILE_HANDLE_H

#include "hostfs.h"

/* Any mount, for file_handle_get() */
#define FILE_HANDLE_ANY_MOUNT   (-1)

/* What the handles of an export are for; constant while it is open */
typedef struct FileHandles {
    const HostFs *fs;
    /* NULL, or whether no walk finds @name */
    bool (*hidden)(const char *name);
    /*
     * NULL, or turns the host's *@attr into what the guest sees. The inode is
     * @fd, and @name in @dir unless that is NULL.
     */
    int (*view)(void *opaque, int fd, int dir, const char *name, FsAttr *attr);
    void *opaque;
    /* Of file-handle.c: a descriptor in the root's mount, or -1: no handles */
    int mount_fd;
    int mount_id;
} FileHandles;

/*
 * Finds out whether this process can open handles of files on the mount of the
 * directory @root. 0, or -errno of the system call that failed: then mount_fd
 * is -1. Sets mount_fd and mount_id, and clears the rest. May block.
 */
int file_handles_probe(FileHandles *fh, int root);
void file_handles_close(FileHandles *fh);

/* The id of @fd's mount, for file_handle_get(), or -errno */
int file_handle_mount(int fd);

/*
 * The handle of @fd, or NULL if it has none in the mount @mount_id. To be freed
 * (g_free), like all handles here.
 */
struct file_handle *file_handle_get(int fd, int mount_id);

/* NULL if there are no handles of @size bytes */
struct file_handle *file_handle_new(int type, const void *bytes, size_t size);
struct file_handle *file_handle_copy(const struct file_handle *handle);

/*
 * A new O_PATH descriptor of the handle's inode, or -errno. The attributes are
 * the host's, or if it is @foreign the guest's (view). -ESTALE if a @foreign
 * handle leads to a file that is not in the export, or may not be. Any thread;
 * may block.
 */
int file_handle_open(const FileHandles *fh, struct file_handle *handle,
                     bool foreign, FsAttr *attr);

#endif /* FSDEV_SHARED_FILE_HANDLE_H */
