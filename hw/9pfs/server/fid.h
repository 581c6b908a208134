/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fids, the client's names for files.
 */
#ifndef HW_9PFS_SERVER_FID_H
#define HW_9PFS_SERVER_FID_H

#include "hw/9pfs/fs/node.h"
#include "9p.h"

typedef struct P9LockUse P9LockUse;
typedef struct P9Xattr P9Xattr;

/* Where the last Tread of a directory ended in 9P2000.u */
typedef struct P9DirPos {
    uint64_t end;               /* in bytes */
    uint64_t next;              /* the driver's offset there */
    uint32_t count;             /* how many bytes that Tread asked for */
} P9DirPos;

/* Treads of a file that found its end at one offset, one after the other */
typedef struct P9EmptyReads {
    uint64_t offset;
    unsigned times;
    int64_t last;               /* when it was last answered, ns */
} P9EmptyReads;

/*
 * What a Tattach chose. All fids that the client walked to from its fid share
 * it.
 */
typedef struct P9Attach {
    uint32_t refs;
    uint32_t uid;               /* who makes files: Tattach's n_uname */
    FsNode *root;               /* holds a reference; ".." stays there */
} P9Attach;

P9Attach *p9_attach_new(uint32_t uid, FsNode *root);
void p9_attach_put(P9Attach *attach);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(P9Attach, p9_attach_put)

/*
 * One fid. It stands for the same node and entry as long as it exists, and only
 * gets open: a walk onto itself, Tlcreate and Txattrcreate put a new P9Fid into
 * its place. So an operation that holds a reference may use node and entry
 * until it ends.
 */
typedef struct P9Fid {
    P9Server *s;
    uint32_t id;
    uint32_t refs:29;
    bool clunked:1;             /* no longer in the table */
    bool lost:1;                /* its file was not found after a migration */
    bool remove_on_clunk:1;     /* ORCLOSE of 9P2000.u */
    P9Attach *attach;           /* holds a reference */
    FsNode *node;               /* holds a reference */
    FsEntry *entry;             /* NULL: the root, or its name is not known */
    FsFile *file;               /* once open */
    P9Xattr *xattr;             /* the fid is an extended attribute */
    union {
        P9DirPos *dir_pos;      /* of a directory in 9P2000.u that was read */
        P9EmptyReads *empty;    /* of a file that was read to its end */
    };
    QLIST_HEAD(, P9LockUse) locks;
} P9Fid;

/*
 * A fid that is not in the table yet, with one reference; takes references
 * on @attach, on @node and on @entry, if there is one.
 */
P9Fid *p9_fid_new(P9Server *s, uint32_t id, P9Attach *attach,
                  FsNode *node, FsEntry *entry);
P9Fid *p9_fid_ref(P9Fid *fid);
void p9_fid_put(P9Fid *fid);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(P9Fid, p9_fid_put)

/*
 * The fid @id with a reference for the caller: 0, or -ENOENT if there is no fid
 * of that number. Every message answers ENOENT for such a fid, as QEMU's 9p
 * server always did: Linux' client then looks the file's name up again. EBADF
 * means that the fid is there, but that the message cannot use it.
 */
int p9_fid_get(P9Server *s, uint32_t id, P9Fid **fid);
/*
 * The same without lost fids: -ESTALE. All messages but Tclunk and Tremove call
 * it, or one of those below.
 */
int p9_fid_get_found(P9Server *s, uint32_t id, P9Fid **fid);
/* The same for a fid of a file: -EBADF for an extended attribute's */
int p9_fid_get_attached(P9Server *s, uint32_t id, P9Fid **fid);
/* The same for a fid of a directory: also -ENOTDIR */
int p9_fid_get_dir(P9Server *s, uint32_t id, P9Fid **fid);

/*
 * Handlers that have read their whole message call one of these for the fid
 * that it is about: as above, and -EINVAL if the message was malformed. The
 * request is from then on the fid's user's (FsCall.user).
 */
int p9_request_fid(P9Request *req, uint32_t id, P9Fid **fid);
int p9_request_dir(P9Request *req, uint32_t id, P9Fid **fid);
/* The same as p9_fid_get() */
int p9_request_any(P9Request *req, uint32_t id, P9Fid **fid);
/* p9_fid_get_found(), for messages whose data may be in the guest's memory */
int p9_request_io(P9Request *req, uint32_t id, P9Fid **fid);

/* FsDriver.open_file, within the export's max_open_files */
int coroutine_fn p9_open_file(FsCall *call, FsNode *node, int flags,
                              FsFile **file);

/* Whether the fid is the root of its Tattach, or of the export */
bool p9_fid_is_root(const P9Fid *fid);

/*
 * The name that a fid has now: 0 with a reference on the directory and a copy
 * of the name; -EBUSY for a root; -ENOENT if the fid has no name, or none that
 * is known.
 */
int p9_fid_name(const P9Fid *fid, FsNode **dir, char **name);

/* Whether a fid of that number may be made: 0 or -EBADF. */
int p9_fid_check_new(P9Server *s, uint32_t id);

/*
 * Makes the fid known; the table takes a reference. -EBADF when the number is
 * in use or is NOFID, -ENFILE when the export has max_fids, -EBUSY when the
 * guest may not mount because it is being migrated or must stay migratable
 * (-only-migratable).
 */
int coroutine_fn p9_fid_insert(P9Fid *fid);

/*
 * The same, without a coroutine, for a session that is loaded: its export
 * migrates, so its fids do not block that.
 */
int p9_fid_restore(P9Fid *fid);

/* Puts @fid in the place of @old; -EBADF if @old was clunked before. */
int p9_fid_replace(P9Fid *old, P9Fid *fid);

/*
 * Takes the fid out of the table and drops its locks. Returns false if that
 * was done before.
 */
bool p9_fid_remove(P9Fid *fid);

/* Takes all fids out of the table. */
void p9_fids_clear(P9Server *s);

void p9_fids_init(P9Server *s);
void p9_fids_destroy(P9Server *s);

#endif /* HW_9PFS_SERVER_FID_H */
