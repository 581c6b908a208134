/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A 9P2000.L client over a libqos virtqueue.
 *
 * There are two ways to use it. A function per message sends it, waits for the
 * reply and takes that apart:
 *
 *     P9Client *c = p9c_new(v9p);
 *
 *     p9c_session(c);
 *     g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, 1, "dir/file"), ==, 0);
 *     g_assert_cmpint(p9c_lopen(c, 1, P9C_O_RDONLY, NULL, NULL), ==, 0);
 *     p9c_free(c);
 *
 * Each returns 0 or the errno of the Rlerror (in 9P2000.u, of the Rerror);
 * results go through pointers, which may be NULL. Every other failure (no reply
 * in time, a reply of another type or tag, too short or too long) fails the
 * test.
 *
 * Underneath are calls, for several requests at once, malformed messages and
 * odd descriptor chains (virtio-9p-fields.h has the lists of fields):
 *
 *     P9Call *call = p9c_request(c, P9C_TREAD,
 *                                PUT(U32(fid), U64(0), U32(count)));
 *
 *     p9c_submit(call);
 *     ...
 *     err = p9c_wait(call);
 *     value = p9c_get_u32(call);
 *     p9c_call_end(call);
 *
 * virtio-9p-dotu.h has the messages of 9P2000.u. Calls, and the messages that
 * both dialects have, serve for either.
 *
 * The client knows the protocol on its own (9P2000.L as Linux' client speaks
 * it, include/net/9p/9p.h), and shares no code with the server it tests.
 */
#ifndef TESTS_LIBQOS_VIRTIO_9P_CLIENT_H
#define TESTS_LIBQOS_VIRTIO_9P_CLIENT_H

#include "virtio-9p.h"
#include "virtio-9p-fields.h"

/* Message types; the reply's is one more */
enum {
    P9C_TLERROR = 6,
    P9C_RLERROR = 7,
    P9C_TSTATFS = 8,
    P9C_TLOPEN = 12,
    P9C_TLCREATE = 14,
    P9C_TSYMLINK = 16,
    P9C_TMKNOD = 18,
    P9C_TRENAME = 20,
    P9C_TREADLINK = 22,
    P9C_TGETATTR = 24,
    P9C_TSETATTR = 26,
    P9C_TXATTRWALK = 30,
    P9C_TXATTRCREATE = 32,
    P9C_TREADDIR = 40,
    P9C_TFSYNC = 50,
    P9C_TLOCK = 52,
    P9C_TGETLOCK = 54,
    P9C_TLINK = 70,
    P9C_TMKDIR = 72,
    P9C_TRENAMEAT = 74,
    P9C_TUNLINKAT = 76,
    P9C_TVERSION = 100,
    P9C_TAUTH = 102,
    P9C_TATTACH = 104,
    P9C_RERROR = 107,
    P9C_TFLUSH = 108,
    P9C_TWALK = 110,
    P9C_TOPEN = 112,
    P9C_TCREATE = 114,
    P9C_TREAD = 116,
    P9C_TWRITE = 118,
    P9C_TCLUNK = 120,
    P9C_TREMOVE = 122,
    P9C_TSTAT = 124,
    P9C_TWSTAT = 126,
};

#define P9C_HEADER          7           /* size[4] type[1] tag[2] */
#define P9C_NOTAG           0xffffu
#define P9C_NOFID           0xffffffffu
#define P9C_NOUID           0xffffffffu
#define P9C_VERSION         "9P2000.L"
#define P9C_VERSION_U       "9P2000.u"
#define P9C_MSIZE           8192        /* p9c_session() requests this */
#define P9C_ROOT            0u          /* fid of the root after that */
#define P9C_WALK_MAX        16
#define P9C_TIMEOUT_US      (60 * G_USEC_PER_SEC)

/* Flags of Tlopen and Tlcreate */
#define P9C_O_RDONLY        000000000u
#define P9C_O_WRONLY        000000001u
#define P9C_O_RDWR          000000002u
#define P9C_O_CREAT         000000100u
#define P9C_O_ACCMODE       000000003u
#define P9C_O_EXCL          000000200u
#define P9C_O_TRUNC         000001000u
#define P9C_O_APPEND        000002000u
#define P9C_O_DIRECTORY     000200000u
#define P9C_O_NOFOLLOW      000400000u

#define P9C_AT_REMOVEDIR    0x200u

/* Types of qids */
#define P9C_QTDIR           0x80
#define P9C_QTSYMLINK       0x02
#define P9C_QTFILE          0x00

/* Masks of Tgetattr */
#define P9C_GETATTR_BASIC   0x000007ffull
#define P9C_GETATTR_ALL     0x00003fffull

/* Tsetattr */
#define P9C_SETATTR_MODE        0x00000001u
#define P9C_SETATTR_UID         0x00000002u
#define P9C_SETATTR_GID         0x00000004u
#define P9C_SETATTR_SIZE        0x00000008u
#define P9C_SETATTR_ATIME       0x00000010u
#define P9C_SETATTR_MTIME       0x00000020u
#define P9C_SETATTR_CTIME       0x00000040u
#define P9C_SETATTR_ATIME_SET   0x00000080u
#define P9C_SETATTR_MTIME_SET   0x00000100u

/* Tlock and Tgetlock */
#define P9C_LOCK_RDLCK      0
#define P9C_LOCK_WRLCK      1
#define P9C_LOCK_UNLCK      2
#define P9C_LOCK_BLOCK      1u
#define P9C_LOCK_SUCCESS    0
#define P9C_LOCK_BLOCKED    1
#define P9C_LOCK_ERROR      2

/* Results of messages: 0 or a Linux errno */
#define ok(call)            g_assert_cmpint(call, ==, 0)
#define fails(call, error)  g_assert_cmpint(call, ==, error)

typedef struct P9Client P9Client;
typedef struct P9Call P9Call;

/* Fields are in the order of the messages, and named as those of stat(2). */
typedef struct P9CAttr {
    uint64_t valid;             /* P9C_GETATTR_* */
    P9CQid qid;
    uint32_t mode, uid, gid;
    uint64_t nlink, rdev;
    uint64_t size, blksize, blocks;
    uint64_t atime_sec, atime_nsec;
    uint64_t mtime_sec, mtime_nsec;
    uint64_t ctime_sec, ctime_nsec;
    uint64_t btime_sec, btime_nsec;
    uint64_t gen, data_version;
} P9CAttr;

typedef struct P9CSetAttr {
    uint32_t valid;             /* P9C_SETATTR_* */
    uint32_t mode, uid, gid;
    uint64_t size;
    uint64_t atime_sec, atime_nsec;
    uint64_t mtime_sec, mtime_nsec;
} P9CSetAttr;

typedef struct P9CStatfs {
    uint32_t type, bsize;
    uint64_t blocks, bfree, bavail;
    uint64_t files, ffree;
    uint64_t fsid;
    uint32_t namelen;
} P9CStatfs;

typedef struct P9CDirent {
    P9CQid qid;
    uint64_t offset;            /* where the next entry starts */
    uint8_t type;               /* DT_* */
    char *name;
} P9CDirent;

typedef struct P9CLock {
    uint8_t type;               /* P9C_LOCK_RDLCK, ... */
    uint32_t flags;             /* P9C_LOCK_BLOCK; not of Tgetlock */
    uint64_t start, length;     /* bytes; length 0: to the end */
    uint32_t proc_id;
    const char *client_id;
} P9CLock;

/*
 * The client
 */

/* A client of a started device */
P9Client *p9c_new(QVirtio9P *v9p);

/* Ends the client and all its calls, and resets the device */
void p9c_free(P9Client *c);

/*
 * Resets the device: it drops all calls in flight without a reply, and ends
 * the session.
 */
void p9c_reset(P9Client *c);

/*
 * The guest goes on in another QEMU, which is global_qtest by now: with its
 * memory, its session and all calls in flight.
 */
void p9c_moved(P9Client *c);

/* Tversion of @version with @msize, and Tattach of P9C_ROOT as @uid */
void p9c_session_version(P9Client *c, const char *version, uint32_t msize,
                         uint32_t uid);
/* The same of 9P2000.L, as root */
void p9c_session_msize(P9Client *c, uint32_t msize);
void p9c_session(P9Client *c);      /* with P9C_MSIZE */

/* Whether the device says that it needs a reset */
bool p9c_needs_reset(P9Client *c);

/*
 * Calls
 */

/*
 * A request with an unused tag. The caller puts its fields into it, in order;
 * p9c_request() takes them at once.
 */
P9Call *p9c_call(P9Client *c, uint8_t type);
P9Call *p9c_request(P9Client *c, uint8_t type, const P9CPut *fields);
uint16_t p9c_call_tag(const P9Call *call);
void p9c_call_set_tag(P9Call *call, uint16_t tag);

void p9c_put(P9Call *call, const P9CPut *fields);
void p9c_put_u8(P9Call *call, uint8_t v);
void p9c_put_u16(P9Call *call, uint16_t v);
void p9c_put_u32(P9Call *call, uint32_t v);
void p9c_put_u64(P9Call *call, uint64_t v);
void p9c_put_str(P9Call *call, const char *s);
void p9c_put_bytes(P9Call *call, const void *data, size_t size);

/* Changes the header's size; without this it is the length of the request. */
void p9c_set_size(P9Call *call, uint32_t size);

/* Cuts the message down to its first @bytes. */
void p9c_truncate(P9Call *call, size_t bytes);

/*
 * Puts the request into the queue and notifies the device. p9c_submit() uses
 * one descriptor for it and one, of the session's msize, for the reply.
 * p9c_submit_chain() cuts the request into @num_out descriptors of @out bytes
 * (the last one also takes the rest), and has room for the reply in @num_in
 * descriptors of @in bytes.
 */
void p9c_submit(P9Call *call);
void p9c_submit_room(P9Call *call, uint32_t room);
void p9c_submit_chain(P9Call *call, const uint32_t *out, unsigned num_out,
                      const uint32_t *in, unsigned num_in);

/*
 * Waits for the reply: 0 or an errno. A call that comes back without a reply
 * fails the test (see p9c_wait_flushed()).
 */
int p9c_wait(P9Call *call);

/* The text of an Rerror; NULL after any other reply */
const char *p9c_error_text(P9Call *call);

/* Waits until the request comes back without a reply. */
void p9c_wait_flushed(P9Call *call);

/* Whether the request has come back already */
bool p9c_is_done(P9Call *call);

/*
 * How many requests of this client had come back when this one did, including
 * this one: it gives the order of two calls that are done.
 */
unsigned p9c_done_order(P9Call *call);

/* Gives the device time to send a reply that it should not send. */
void p9c_pause(P9Client *c);

/* Fields of the reply, in order; a reply that is too short fails the test. */
void p9c_get(P9Call *call, const P9CGet *fields);
uint8_t p9c_get_u8(P9Call *call);
uint16_t p9c_get_u16(P9Call *call);
uint32_t p9c_get_u32(P9Call *call);
uint64_t p9c_get_u64(P9Call *call);
char *p9c_get_str(P9Call *call);                /* g_free() */
P9CQid p9c_get_qid(P9Call *call);
const uint8_t *p9c_get_bytes(P9Call *call, size_t size);
size_t p9c_get_left(P9Call *call);

/*
 * Frees a call that has come back, or that was never submitted. The caller
 * must have read its reply to the end; p9c_call_drop() does not ask for that.
 */
void p9c_call_end(P9Call *call);
void p9c_call_drop(P9Call *call);

/*
 * Submits the call, waits for its reply, takes the reply's @fields if there was
 * no error (NULL: the reply has none), and ends the call: 0 or an errno.
 */
int p9c_finish(P9Call *call, const P9CGet *fields);

/* The same, with a request of these fields */
int p9c_rpc(P9Client *c, uint8_t type, const P9CPut *request,
            const P9CGet *reply);

/* Submits the call, whose reply must be that error, and ends it. */
void p9c_refused(P9Call *call, int error);

/*
 * Calls that tests often submit several of. Twalk has one name; Tgetattr asks
 * for P9C_GETATTR_BASIC.
 */
P9Call *p9c_flush_call(P9Client *c, uint16_t oldtag);
P9Call *p9c_clunk_call(P9Client *c, uint32_t fid);
P9Call *p9c_getattr_call(P9Client *c, uint32_t fid);
P9Call *p9c_walk_call(P9Client *c, uint32_t fid, uint32_t newfid,
                      const char *name);
P9Call *p9c_lcreate_call(P9Client *c, uint32_t fid, const char *name,
                         uint32_t flags, uint32_t mode, uint32_t gid);
P9Call *p9c_mkdir_call(P9Client *c, uint32_t dfid, const char *name,
                       uint32_t mode, uint32_t gid);
P9Call *p9c_read_call(P9Client *c, uint32_t fid, uint64_t offset,
                      uint32_t count);
P9Call *p9c_write_call(P9Client *c, uint32_t fid, uint64_t offset,
                       const void *data, uint32_t count);

/*
 * Messages. The caller chooses the fids.
 */

/* The caller frees *got_version with g_free(). */
int p9c_version(P9Client *c, uint32_t msize, const char *version,
                uint32_t *got_msize, char **got_version);
int p9c_attach(P9Client *c, uint32_t fid, uint32_t uid, P9CQid *qid);
int p9c_attach_name(P9Client *c, uint32_t fid, uint32_t uid,
                    const char *aname, P9CQid *qid);
int p9c_flush(P9Client *c, uint16_t oldtag);
int p9c_clunk(P9Client *c, uint32_t fid);
int p9c_remove(P9Client *c, uint32_t fid);

/* @qids has room for @num; *walked gets how many names were found. */
int p9c_walk(P9Client *c, uint32_t fid, uint32_t newfid,
             const char *const *names, unsigned num,
             unsigned *walked, P9CQid *qids);
/*
 * Walks "a/b/c", at most P9C_WALK_MAX names; ENOENT if one is missing. ""
 * clones.
 */
int p9c_walk_to(P9Client *c, uint32_t fid, uint32_t newfid, const char *path);

int p9c_lopen(P9Client *c, uint32_t fid, uint32_t flags,
              P9CQid *qid, uint32_t *iounit);
int p9c_lcreate(P9Client *c, uint32_t fid, const char *name, uint32_t flags,
                uint32_t mode, uint32_t gid, P9CQid *qid, uint32_t *iounit);
int p9c_read(P9Client *c, uint32_t fid, uint64_t offset, uint32_t count,
             void *buf, uint32_t *got);
int p9c_write(P9Client *c, uint32_t fid, uint64_t offset,
              const void *data, uint32_t count, uint32_t *written);
/*
 * *entries gets new P9CDirents, and *bytes their size in the reply.
 */
int p9c_readdir(P9Client *c, uint32_t fid, uint64_t offset, uint32_t count,
                GPtrArray **entries, uint32_t *bytes);
/* All entries of an open directory, read by as many requests as needed */
GPtrArray *p9c_readdir_all(P9Client *c, uint32_t fid, uint32_t count);
/* The entry whose name, a char * at offset @name_at, is @name, or NULL */
void *p9c_find_named(GPtrArray *entries, size_t name_at, const char *name);
P9CDirent *p9c_dirent_find(GPtrArray *entries, const char *name);
int p9c_fsync(P9Client *c, uint32_t fid, bool datasync);

int p9c_getattr(P9Client *c, uint32_t fid, uint64_t mask, P9CAttr *attr);
int p9c_setattr(P9Client *c, uint32_t fid, const P9CSetAttr *set);
/* Only the mode */
int p9c_chmod(P9Client *c, uint32_t fid, uint32_t mode);
int p9c_statfs(P9Client *c, uint32_t fid, P9CStatfs *st);
int p9c_readlink(P9Client *c, uint32_t fid, char **target);

int p9c_mkdir(P9Client *c, uint32_t dfid, const char *name, uint32_t mode,
              uint32_t gid, P9CQid *qid);
int p9c_mknod(P9Client *c, uint32_t dfid, const char *name, uint32_t mode,
              uint32_t major, uint32_t minor, uint32_t gid, P9CQid *qid);
int p9c_symlink(P9Client *c, uint32_t dfid, const char *name,
                const char *target, uint32_t gid, P9CQid *qid);
int p9c_link(P9Client *c, uint32_t dfid, uint32_t fid, const char *name);
int p9c_rename(P9Client *c, uint32_t fid, uint32_t dfid, const char *name);
int p9c_renameat(P9Client *c, uint32_t olddfid, const char *oldname,
                 uint32_t newdfid, const char *newname);
int p9c_unlinkat(P9Client *c, uint32_t dfid, const char *name,
                 uint32_t flags);

int p9c_xattrwalk(P9Client *c, uint32_t fid, uint32_t newfid,
                  const char *name, uint64_t *size);
int p9c_xattrcreate(P9Client *c, uint32_t fid, const char *name,
                    uint64_t size, uint32_t flags);

P9Call *p9c_lock_call(P9Client *c, uint32_t fid, const P9CLock *lock);
/* *status gets P9C_LOCK_SUCCESS, ... */
int p9c_lock(P9Client *c, uint32_t fid, const P9CLock *lock, uint8_t *status);
/* Replaces *lock; the caller then frees its client_id with g_free(). */
int p9c_getlock(P9Client *c, uint32_t fid, P9CLock *lock);

#endif
