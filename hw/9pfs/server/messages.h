/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages: their handlers, and functions that handlers of several files use,
 * grouped by the file that defines them.
 */
#ifndef HW_9PFS_SERVER_MESSAGES_H
#define HW_9PFS_SERVER_MESSAGES_H

#include "end.h"
#include "fid.h"
#include "request.h"
#include "xattr.h"

/*
 * Handles one message: returns 0 with the reply in req->w, or -errno. A handler
 * returns -EINTR for a cancelled request only if it did nothing, and may run
 * again then, or has called p9_request_commit().
 */
typedef int coroutine_fn P9Handler(P9Request *req);

/*
 * session.c
 */
P9Handler p9_version, p9_flush, p9_clunk;

/*
 * attach.c
 */
P9Handler p9_attach;

/*
 * walk.c
 */
P9Handler p9_walk;

/*
 * open.c
 */
P9Handler p9_lopen, p9_lcreate;

/*
 * open(2) flags of the host for those of a message, without O_CREAT and O_EXCL,
 * and the other way
 */
int p9_open_host_flags(uint32_t wire);
uint32_t p9_open_wire_flags(int host);

/* Rlopen's and Rlcreate's iounit */
uint32_t p9_iounit(const P9Server *s);

/*
 * Opens a fid with the host's @flags and replies with qid[13] iounit[4]. -EBADF
 * if the fid is open already; -ENXIO if it is neither a file nor a directory.
 *
 * Unlike other messages this takes two operations of the driver: open_file, and
 * then getattr for the qid. A client's cache tells from the qid's version
 * whether the contents changed, so the attributes must be as new as the open
 * file. A driver that has a descriptor of the file answers getattr from that,
 * so a remote driver still makes at most one round trip.
 */
int coroutine_fn p9_fid_open(P9Request *req, P9Fid *fid, int flags);

/*
 * Makes a regular file, or opens one that is there if @flags, which are the
 * host's, have no O_EXCL. The directory's fid becomes that file, open with
 * @flags. Replies with qid[13] iounit[4].
 */
int coroutine_fn p9_create_file(P9Request *req, P9Fid *dir,
                                const FsMakeArgs *make, int flags,
                                bool remove_on_clunk);

/*
 * name.c
 */
P9Handler p9_mkdir, p9_mknod, p9_symlink, p9_link;
P9Handler p9_rename, p9_renameat, p9_unlinkat, p9_remove;

/*
 * Checks the name and the group of a message that makes something, and fills in
 * @make. The owner is the user who attached.
 */
int p9_make_init(FsMakeArgs *make, const P9Fid *dir, const char *name,
                 uint32_t mode, uint32_t gid);
/* The same for a symbolic link; checks its target, too. */
int p9_make_init_symlink(FsMakeArgs *make, const P9Fid *dir, const char *name,
                         const char *target, uint32_t gid);

/* Gives the fid's file one more name, as link(2). */
int coroutine_fn p9_link_fid(P9Request *req, P9Fid *fid, P9Fid *dir,
                             const char *name);

/* As rename(2). The driver moves the export's entries. */
int coroutine_fn p9_rename_name(P9Request *req,
                                FsNode *olddir, const char *oldname,
                                FsNode *newdir, const char *newname);

/*
 * Removes the file or directory under the fid's name, unless another file has
 * taken that name.
 */
int coroutine_fn p9_remove_fid(P9Request *req, const P9Fid *fid);

/*
 * attr.c
 */
P9Handler p9_getattr, p9_setattr, p9_statfs, p9_readlink;

/* Checks a change of attributes: 0 or the error for the reply. */
int p9_setattr_check(const P9Fid *fid, const FsSetAttr *set);

/*
 * io.c
 */
P9Handler p9_read, p9_write, p9_readdir, p9_fsync;

/*
 * xattr.c
 */
P9Handler p9_xattrwalk, p9_xattrcreate;

/*
 * lock.c
 */
P9Handler p9_lock, p9_getlock;

/*
 * dotu-dir.c
 */

/*
 * Tread of a directory in 9P2000.u: whole entries, at most @count bytes, which
 * fit into the reply.
 */
int coroutine_fn dotu_read_dir(P9Request *req, P9Fid *fid, uint64_t offset,
                               uint32_t count);

/*
 * dotu.c
 */
P9Handler p9_open, p9_create, p9_stat, p9_wstat;

#endif /* HW_9PFS_SERVER_MESSAGES_H */
