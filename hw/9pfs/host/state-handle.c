/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * File handles in the state of a node: see state-handle.h.
 */
#include "qemu/osdep.h"
#include "state-handle.h"

QEMU_BUILD_BUG_ON(FS_HANDLE_MAX != MAX_HANDLE_SZ);

void host_handle_to_state(const struct file_handle *handle, FsNodeState *state)
{
    state->handle_type = handle->handle_type;
    state->handle_size = handle->handle_bytes;
    memcpy(state->handle, handle->f_handle, handle->handle_bytes);
}

struct file_handle *host_handle_of_state(const FsNodeState *state)
{
    return file_handle_new(state->handle_type, state->handle,
                           state->handle_size);
}
