/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * File handles (fsdev/shared/file-handle.h) in the state of a node, with which
 * it migrates.
 */
#ifndef HW_9PFS_HOST_STATE_HANDLE_H
#define HW_9PFS_HOST_STATE_HANDLE_H

#include "fsdev/shared/file-handle.h"
#include "hw/9pfs/fs/driver.h"

void host_handle_to_state(const struct file_handle *handle, FsNodeState *state);

/* A new handle (g_free), which is foreign; NULL if @state has none */
struct file_handle *host_handle_of_state(const FsNodeState *state);

#endif /* HW_9PFS_HOST_STATE_HANDLE_H */
