/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The structures that the files of the server share.
 *
 * A request is a coroutine. server.c parses its header and calls the handler
 * of its message type, which parses the rest, calls the driver, and builds the
 * reply. Handlers are grouped by subject. From top to bottom, the files are:
 *
 *   state-save.c, state-settle.c
 *                 a session on its way to another process, and its files
 *   state-load.c, state-find.c, state-records.c, state-fids.c
 *                 the other way: all of it, finding its files, its records
 *   server.c      the server's life, and which handler a message has
 *   session.c     version, flush, clunk
 *   attach.c      attach
 *   dotu.c        9P2000.u's own open, create, stat and wstat
 *   open.c        open and create of 9P2000.L, which dotu.c uses as well
 *   io.c          read, write, readdir, fsync
 *   dotu-dir.c    reads of directories in 9P2000.u, for io.c
 *   dotu-stat.c   the stat structure of 9P2000.u
 *   walk.c        walk
 *   name.c        everything else that makes or changes names
 *   attr.c        attributes, readlink, statfs
 *   fid.c, xattr.c, lock.c, lock-ranges.c
 *                 fids, and the extended attributes and byte range locks that
 *                 belong to them, with the messages about these
 *   lock-state.c  the locks of a session that goes on elsewhere
 *   jobs.c        driver operations without a request
 *   end.c         the end of requests
 *   park.c        requests at rest: saved with the VM, and restored
 *   request.c     buffers, replies and lists of requests
 *   export.c, qid.c, trace.c
 *                 state of the export, qids, messages as text for tracing
 *
 * A file calls only files below it, but fid.c, xattr.c and lock.c call each
 * other: a fid owns its attribute and its locks.
 *
 * Everything runs in the export's thread (hw/9pfs/fs/export.h), so state only
 * changes where a handler calls the driver or waits. When the main thread needs
 * something of a server that has an IOThread (9p.h), it has that done in the
 * export's context and waits (fs_context_run()). The main thread itself reads
 * only the counts of requests. For work that only the main thread may do, such
 * as to block migration, the request's coroutine moves to the main thread and
 * back.
 */
#ifndef HW_9PFS_SERVER_INTERNAL_H
#define HW_9PFS_SERVER_INTERNAL_H

#include "fsdev/shared/marshal.h"
#include "qemu/notify.h"
#include "qemu/queue.h"
#include "qapi/qapi-types-migration.h"
#include "qom/object.h"
#include "block/aio.h"
#include "hw/9pfs/fs/driver.h"
#include "9p.h"
#include "export.h"
#include "wire.h"
#include "lock.h"

/*
 * session.c
 */

/* The dialect that Tversion agreed on */
typedef enum P9Dialect {
    P9_DIALECT_NONE,
    P9_DIALECT_L,               /* 9P2000.L */
    P9_DIALECT_U,               /* 9P2000.u */
} P9Dialect;

/*
 * request.c
 */

/* Requests under way are found by tag in this many lists (power of 2). */
#define P9_TAG_LISTS    64

struct P9Request {
    P9Server *s;
    void *elem;
    struct iovec *out;
    struct iovec *in;
    unsigned out_num;
    unsigned in_num;
    size_t out_size;
    size_t in_size;

    FsCall call;
    uint32_t size;              /* as the header says */
    uint16_t tag;
    uint8_t type;
    const char *name;           /* of the type; NULL if it is unknown */
    P9Dialect dialect;          /* the session's; Tversion's own */
    int64_t start_ns;           /* when it was taken off the queue */
    bool tagged;                /* in the list of its tag */
    bool cancel_sent;
    bool abandoned;             /* fs_call_abandon() was tried */
    /*
     * The transport has the request back, but its coroutine is still in the
     * driver: see p9_request_detach().
     */
    bool detached;
    /*
     * The client must learn about something that the handler did, whatever the
     * handler returns: the request gets its reply even if it was cancelled.
     */
    bool must_answer;
    /*
     * Requests at rest: see park.c
     */
    bool park_sent;             /* p9_server_park() asked it to end */
    bool at_rest;               /* parked, or in s->held */
    bool parked;                /* did nothing: starts again with the VM */
    size_t restored;            /* bytes of the reply that was loaded, or 0 */

    MarshalReader r;            /* the message after its header */
    MarshalWriter w;            /* the reply after its header */
    size_t data;                /* bytes put into the reply after those of w */

    bool waits_cont;            /* sleeps in p9_move_begin() */
    bool moving;                /* it may write to guest memory now */
    int held_ret;               /* its result while it is in s->held */
    QSIMPLEQ_ENTRY(P9Request) held_next;
    CoQueue flushers;           /* Tflush messages that wait for its end */
    QTAILQ_ENTRY(P9Request) next;
    QLIST_ENTRY(P9Request) tag_next;
    QSLIST_ENTRY(P9Request) spare_next;

    /* Kept from one use to the next */
    uint8_t *head;
    size_t head_cap;
    uint8_t *reply;
    size_t reply_cap;
    struct iovec *iov;
    unsigned iov_cap;
};

/*
 * server.c
 */

/* Its server hears of the migrations of one MigMode. */
typedef struct P9Migrated {
    NotifierWithReturn notifier;
    P9Server *server;
} P9Migrated;

struct P9Server {
    FsExport *fs;
    P9Export *export;
    const P9TransportOps *ops;
    void *opaque;
    AioContext *ctx;            /* the export's */

    uint32_t msize;             /* 0: no version agreed on */
    P9Dialect dialect;          /* of the session */
    bool resetting;
    unsigned resets;            /* so far */
    bool stopped;               /* the VM: guest memory must not change */

    unsigned under_way;         /* requests; the main thread reads it */
    unsigned running;           /* those not at rest; likewise */
    unsigned moving;            /* moves of data under way; likewise */
    unsigned detached;          /* coroutines of requests and jobs given up */
    bool freed;                 /* the last of them destroys the server */
    QEMUBHFunc *destroy;        /* with this, in the main thread */
    Object *keep;               /* what has the thread of ctx until then */
    QTAILQ_HEAD(, P9Request) requests;  /* under way, oldest first */
    QLIST_HEAD(, P9Request) tags[P9_TAG_LISTS];
    QSLIST_HEAD(, P9Request) spare;
    CoQueue ended;              /* woken whenever a request ends */
    QSIMPLEQ_HEAD(, P9Request) held;    /* ended while the VM is stopped */

    GHashTable *fids;
    Error *migration_blocker;   /* while there are fids that cannot migrate */
    P9LockTable locks;
    P9Migrated migrated[MIG_MODE__MAX];
};

static inline const FsDriver *p9_driver(const P9Request *req)
{
    return req->s->fs->driver;
}

/*
 * Whether @id can be a user's or a group's. Linux takes P9_NOUID for "no
 * change" in chown(2), and drivers may do so as well.
 */
static inline bool p9_id_valid(uint32_t id)
{
    return id != P9_NOUID;
}

#endif /* HW_9PFS_SERVER_INTERNAL_H */
