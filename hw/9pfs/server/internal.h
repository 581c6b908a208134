/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of the 9p server share.
 *
 * A request is a coroutine: server.c takes the message apart up to its
 * header, finds the handler, and makes the reply of what it returns. Handlers
 * are grouped by subject:
 *
 *   session.c   version, attach, flush, clunk
 *   name.c      walk, and everything that makes or changes names
 *   attr.c      attributes, readlink, statfs
 *   io.c        open, read, write, readdir, fsync
 *   xattr.c     extended attributes
 *   lock.c      byte range locks
 *   dotu.c      what 9P2000.u has instead of these: open, create, stat,
 *                  wstat, directories that are read
 *
 * They stand on the tables of fids (fid.c) and qids (qid.c), and on the
 * driver. Everything runs in the export's AioContext, thus in one thread, so
 * state only changes where a handler calls the driver or waits. What the main
 * thread wants of a server whose context is an IOThread's (9p.h), is done over
 * there while it waits (fs_context_run()). Only counts of requests are read
 * from both sides. What must be done in the main thread, as the blocking of
 * migration, is done by the request's coroutine, which goes there and back.
 */
#ifndef HW_9PFS_SERVER_INTERNAL_H
#define HW_9PFS_SERVER_INTERNAL_H

#include "fsdev/shared/marshal.h"
#include "qemu/queue.h"
#include "block/aio.h"
#include "9p.h"
#include "export.h"
#include "wire.h"
#include "fid.h"
#include "lock.h"
#include "qid.h"

/* Requests under way are found by tag in this many lists (power of 2). */
#define P9_TAG_LISTS    64

/*
 * Fids a client may have: a bound on the memory it can make the host spend,
 * far above what a guest needs for its dentry cache.
 */
#define P9_FIDS_MAX     (4 * 1024 * 1024)

/* What was agreed on in Tversion */
typedef enum P9Dialect {
    P9_DIALECT_NONE,
    P9_DIALECT_L,               /* 9P2000.L */
    P9_DIALECT_U,               /* 9P2000.u */
} P9Dialect;

struct P9Server {
    FsExport *fs;
    P9Export *export;
    const P9TransportOps *ops;
    void *opaque;
    AioContext *ctx;

    uint32_t msize;             /* 0: no version agreed on */
    P9Dialect dialect;          /* of the session */
    bool resetting;
    bool stopped;               /* the VM: guest memory must not change */

    unsigned under_way;         /* requests; the main thread reads it */
    unsigned moving;            /* those that data is moved for; likewise */
    QTAILQ_HEAD(, P9Request) requests;  /* under way, oldest first */
    QLIST_HEAD(, P9Request) tags[P9_TAG_LISTS];
    QSLIST_HEAD(, P9Request) spare;
    CoQueue ended;              /* woken whenever a request ends */
    QSIMPLEQ_HEAD(, P9Request) held;    /* ended while the VM is stopped */

    GHashTable *fids;
    Error *migration_blocker;   /* while there are fids */
    P9LockTable locks;
};

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
    P9Dialect dialect;          /* of its errors; others are the same in all */
    int64_t start_ns;           /* when it was taken off the queue */
    bool tagged;                /* in the list of its tag */
    bool cancel_sent;
    /*
     * Something was done that the client must learn about, whatever the
     * handler returns: a cancelled request gets its reply even so.
     */
    bool must_answer;

    MarshalReader r;            /* the message after its header */
    MarshalWriter w;            /* the reply after its header */
    size_t data;                /* bytes put into the reply after those of w */

    bool waits_cont;            /* for the VM, to move data */
    int held_ret;               /* what it ended with */
    QSIMPLEQ_ENTRY(P9Request) held_next;
    CoQueue flushers;
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
 * Handles one message: 0 with the reply in req->w, or -errno. Returns -EINTR
 * for a cancelled request only if nothing was done, or sets must_answer.
 */
typedef int coroutine_fn P9Handler(P9Request *req);

/* Bytes that the whole reply may have */
size_t p9_request_room(const P9Request *req);

/*
 * Makes room for a reply of @size bytes after the header. Before anything is
 * put into req->w.
 */
void p9_reply_reserve(P9Request *req, size_t size);

/*
 * @bytes of the message from @offset on, or of the room for the reply, as
 * scatter list of the request's own, which may be changed.
 */
struct iovec *p9_request_out_iov(P9Request *req, size_t offset, size_t bytes,
                                 unsigned *num);
struct iovec *p9_request_in_iov(P9Request *req, size_t offset, size_t bytes,
                                unsigned *num);

/*
 * Around driver operations that write to the request's guest memory: waits
 * while the VM is stopped. -EINTR if it was cancelled meanwhile; then nothing
 * is to be ended.
 */
int coroutine_fn p9_move_begin(P9Request *req);
void p9_move_end(P9Request *req);

/* The request under way with that tag, or NULL */
P9Request *p9_request_find(P9Server *s, uint16_t tag);

/* Asks the request's operation to stop. */
void p9_request_cancel(P9Request *req);

P9Handler p9_version, p9_attach, p9_flush, p9_clunk;
P9Handler p9_walk, p9_lcreate, p9_mkdir, p9_mknod, p9_symlink, p9_link;
P9Handler p9_rename, p9_renameat, p9_unlinkat, p9_remove;
P9Handler p9_getattr, p9_setattr, p9_statfs, p9_readlink;
P9Handler p9_lopen, p9_read, p9_write, p9_readdir, p9_fsync;
P9Handler p9_xattrwalk, p9_xattrcreate;
P9Handler p9_lock, p9_getlock;
P9Handler p9_open, p9_create, p9_stat, p9_wstat;

/*
 * open(2) flags of the host for those of Tlopen and Tlcreate (Linux' generic
 * numbers), without O_CREAT and O_EXCL; -EINVAL for access mode 3.
 */
int p9_open_flags(uint32_t wire, int *host);
/* Whether the wire's flags ask that the file be new */
bool p9_open_exclusive(uint32_t wire);
/* Rlopen's and Rlcreate's iounit */
uint32_t p9_iounit(const P9Server *s);

/*
 * Opens a fid with the host's @flags and replies with qid[13] iounit[4]. -EBADF
 * if it is open; -ENXIO for what is neither file nor directory.
 */
int coroutine_fn p9_fid_open(P9Request *req, P9Fid *fid, int flags);

/* The fid @id, which must be a directory: 0, -EBADF or -ENOTDIR. */
int p9_fid_get_dir(P9Server *s, uint32_t id, P9Fid **fid);

/*
 * What all messages that make something have in common: checks name and
 * group, and fills in @make. The owner is the user who attached.
 */
int p9_make_init(FsMakeArgs *make, const P9Fid *dir, const char *name,
                 uint32_t mode, uint32_t gid);
/* The same for a symbolic link; the target is checked, too. */
int p9_make_init_symlink(FsMakeArgs *make, const P9Fid *dir, const char *name,
                         const char *target, uint32_t gid);

/*
 * Makes a regular file, or without O_EXCL opens one that is there: the
 * directory's fid becomes it, open with the host's @flags. Replies with
 * qid[13] iounit[4].
 */
int coroutine_fn p9_create_file(P9Request *req, P9Fid *dir, const FsMakeArgs *make,
                                int flags, bool remove_on_clunk);

/* Gives the fid's file one more name; as link(2). */
int coroutine_fn p9_link_fid(P9Request *req, P9Fid *fid, P9Fid *dir,
                             const char *name);

/*
 * The name that a fid has now: 0 with a reference on the directory and a copy
 * of the name, -EBUSY for the root, -ENOENT if it has none or it is not known.
 */
int p9_fid_name(const P9Fid *fid, FsNode **dir, char **name);

/* rename(2), which entries are told of */
int coroutine_fn p9_rename_name(P9Request *req,
                                FsNode *olddir, const char *oldname,
                                FsNode *newdir, const char *newname);

/*
 * Removes the file or directory under the fid's name; not another that has
 * taken the name.
 */
int coroutine_fn p9_remove_fid(P9Request *req, const P9Fid *fid);

/* Checks a change of attributes: 0 or the error it will get. */
int p9_setattr_check(const P9Fid *fid, const FsSetAttr *set);

/*
 * Tread of a directory in 9P2000.u: at most @count bytes, whole entries. @count
 * fits into the reply.
 */
int coroutine_fn dotu_read_dir(P9Request *req, P9Fid *fid, uint64_t offset,
                             uint32_t count);

/* Reads and writes of an extended attribute's fid: bytes or -errno */
ssize_t p9_xattr_read(P9Request *req, P9Fid *fid, uint64_t offset,
                      uint32_t count);
ssize_t p9_xattr_write(P9Request *req, P9Fid *fid, uint64_t offset,
                       uint32_t count);
/* The fid was clunked: sets the attribute, if it was for that. */
int coroutine_fn p9_xattr_commit(P9Request *req, P9Fid *fid);
/* Frees fid->xattr */
void p9_xattr_free(P9Fid *fid);

/*
 * Linux has "no change" for this id in chown(2), and so might drivers; it is
 * nobody's.
 */
static inline bool p9_id_valid(uint32_t id)
{
    return id != P9_NOUID;
}

static inline const FsDriver *p9_driver(const P9Request *req)
{
    return req->s->fs->driver;
}

#endif /* HW_9PFS_SERVER_INTERNAL_H */
