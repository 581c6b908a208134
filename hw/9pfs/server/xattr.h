/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fids that are extended attributes; see xattr.c.
 */
#ifndef HW_9PFS_SERVER_XATTR_H
#define HW_9PFS_SERVER_XATTR_H

#include "fsdev/shared/marshal.h"
#include "fid.h"

/* Tread and Twrite of an extended attribute's fid: bytes or -errno */
ssize_t coroutine_fn p9_xattr_read(P9Request *req, P9Fid *fid,
                                   uint64_t offset, uint32_t count);
ssize_t p9_xattr_write(P9Request *req, P9Fid *fid, uint64_t offset,
                       uint32_t count);

/* The fid was clunked: sets the attribute if Txattrcreate made the fid. */
int coroutine_fn p9_xattr_commit(P9Request *req, P9Fid *fid);

/*
 * The attribute's part of a session that is saved. @w becomes full if there is
 * no room.
 */
void p9_xattr_save(const P9Fid *fid, MarshalWriter *w);
/*
 * Makes the fid, which is not open, an attribute's again. Returns false if what
 * is in @r cannot be, or if there is no room for another one.
 */
bool p9_xattr_load(P9Fid *fid, MarshalReader *r);

/* Frees fid->xattr. */
void p9_xattr_free(P9Fid *fid);

#endif /* HW_9PFS_SERVER_XATTR_H */
