/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * File handles of the local driver (name_to_handle_at(2)): they lead to an
 * inode without a name.
 *
 * A handle leads to any file of its file system. QEMU's own handles are of
 * inodes that were in the export. One that came with a migration may be any
 * bytes, so its inode counts only after proof that it is in the export.
 */
#ifndef HW_9PFS_LOCAL_HANDLE_H
#define HW_9PFS_LOCAL_HANDLE_H

#include "hw/9pfs/fs/driver.h"
#include "model.h"

/* What the handles of an export are for; constant while it is open */
typedef struct LocalHandles {
    const LocalHost *host;
    /* A descriptor in the root's mount for open_by_handle_at(2), or -1 */
    int mount_fd;
    int mount_id;
} LocalHandles;

/*
 * Finds out whether the driver can use file handles. 0, or -errno of the system
 * call that failed: then mount_fd is -1. May block.
 */
int local_handles_probe(LocalHandles *lh, const LocalHost *host);
void local_handles_close(LocalHandles *lh);

/* The handle of @fd, or NULL if it has none in the root's mount. To be freed */
struct file_handle *local_handle_get(const LocalHandles *lh, int fd);
struct file_handle *local_handle_copy(const struct file_handle *handle);

/* To and from a migration. NULL if @state has none, or QEMU can use none */
void local_handle_save(const struct file_handle *handle, FsNodeState *state);
struct file_handle *local_handle_restore(const LocalHandles *lh,
                                         const FsNodeState *state);

/*
 * A new O_PATH descriptor of the handle's inode with the attributes as the
 * guest sees them if @foreign, else as the host has them; or -errno. -ESTALE if
 * a @foreign handle leads to a file that is not in the export, or may not be.
 * Any thread; may block.
 */
int local_handle_open(const LocalHandles *lh, struct file_handle *handle,
                      bool foreign, FsAttr *attr);

#endif /* HW_9PFS_LOCAL_HANDLE_H */
