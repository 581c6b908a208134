/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of the proxy channel's requests share.
 */
#ifndef FSDEV_HELPER_REQUESTS_INTERNAL_H
#define FSDEV_HELPER_REQUESTS_INTERNAL_H

#include "requests.h"

/*
 * requests-common.c
 */

/* The result of a request that breaks the protocol */
int request_malformed(Request *rq);

/*
 * The descriptor of a handle in the request, held until it is finished. The
 * request must have been read to its end, or it is malformed. From the first
 * handle on, the work counts as its file system's.
 */
int request_use(Request *rq, uint64_t handle);

/*
 * requests-xattr.c
 */

int request_getxattr(Request *rq);
int request_setxattr(Request *rq);
int request_removexattr(Request *rq);

#endif /* FSDEV_HELPER_REQUESTS_INTERNAL_H */
