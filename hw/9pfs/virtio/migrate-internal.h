/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of the device's state share: the format of its requests, and
 * the functions of migrate-save.c and migrate-load.c.
 */
#ifndef HW_9PFS_VIRTIO_MIGRATE_INTERNAL_H
#define HW_9PFS_VIRTIO_MIGRATE_INTERNAL_H

#include "fsdev/shared/marshal.h"
#include "migration/qemu-file-types.h"
#include "hw/9pfs/server/state.h"
#include "migrate.h"

/*
 * Records of the device: one in each block, type[1] and the fields.
 */
enum {
    /*
     * index[4] ndescs[4] how[1] total[4] out_num[4] in_num[4], then out_num
     * and in_num times address[8] length[4]
     */
    RECORD_REQUEST = 1,
    /* The next bytes of the last request's reply */
    RECORD_REPLY = 2,
};

/* RECORD_REQUEST's how */
enum {
    REQUEST_PARKED = 0,         /* starts again */
    REQUEST_FLUSHED = 1,        /* ends without a reply */
    REQUEST_ANSWERED = 2,       /* total is the size of the reply */
};

#define REQUEST_HEADER      (1 + 4 + 4 + 1 + 4 + 4 + 4)
#define REQUEST_BUFFER      (8 + 4)
#define REQUEST_RECORD_MAX  (REQUEST_HEADER + \
                             VIRTQUEUE_MAX_SIZE * REQUEST_BUFFER)
/* Bytes of a reply in one record */
#define REPLY_PIECE         (64 * KiB)

QEMU_BUILD_BUG_ON(REQUEST_RECORD_MAX > P9_STATE_BLOCK_MAX);
QEMU_BUILD_BUG_ON(1 + REPLY_PIECE > P9_STATE_BLOCK_MAX);

/* For error_prepend(), with the mount tag */
#define VIRTIO_9P_CANNOT_LOAD \
    "virtio-9p: mount_tag '%s': the session cannot be loaded: "

/*
 * migrate-save.c
 */

/*
 * Before any device is saved: the requests of all come to rest, since those of
 * one change files that another one of the same export has. False with an
 * error.
 */
bool virtio_9p_save_begin(Error **errp);

/* Writes the session; false with an error. */
bool virtio_9p_save_session(V9fsVirtioState *v, QEMUFile *f, Error **errp);

/*
 * migrate-load.c: requests of a stream, until the queue takes them
 */

/* The next functions add to v->load, which is empty now. */
void virtio_9p_load_begin(V9fsVirtioState *v);

/* A block of the device; false with an error. */
bool virtio_9p_load_record(V9fsVirtioState *v, void *block, size_t size,
                           Error **errp);

/* After the last block: false with an error if something is missing. */
bool virtio_9p_load_end(V9fsVirtioState *v, Error **errp);

/*
 * The queue takes them; false with an error if they do not fit it. v->load is
 * over in both cases. It does not wait.
 */
bool virtio_9p_load_queue(V9fsVirtioState *v, Error **errp);

#endif /* HW_9PFS_VIRTIO_MIGRATE_INTERNAL_H */
