/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What each message of the proxy channel does: one function a message.
 */
#ifndef FSDEV_HELPER_REQUESTS_H
#define FSDEV_HELPER_REQUESTS_H

#include "handles.h"
#include "fsdev/shared/hostfs.h"
#include "fsdev/shared/proto.h"

/* What all requests work on; does not change while they do. */
typedef struct HelperExport {
    HostFs fs;
    Handles *handles;
    bool donate;                /* send O_PATH descriptors with nodes */
    uint64_t mount;             /* the root's, which is our own; 0: no ADOPT */
} HelperExport;

/* Handles one request may use: two of its own, two that it gives out */
#define REQUEST_HANDLES         4

typedef struct Request {
    HelperExport *export;
    MarshalReader in;
    MarshalWriter out;          /* the reply's payload after error[4] */
    int fds[PROXY_MESSAGE_FDS]; /* to go with the reply */
    unsigned nfds;
    int opened;                 /* one of fds that is this request's, or -1 */
    uint64_t used[REQUEST_HANDLES];
    unsigned nused;
} Request;

/* The payload does not have the form that its type asks for. */
#define REQUEST_MALFORMED       1

/*
 * Carries out a request of @type, which has a reply, with the payload
 * @rq->in. Returns 0 with the reply in out and fds; -errno, with nothing to
 * reply but that; or REQUEST_MALFORMED.
 */
int request_execute(Request *rq, unsigned type);

/*
 * The same for a FORGET, which has no reply. What then is to be closed is added
 * to @dropped (room for PROXY_FORGET_MAX) and counted in *@n_dropped. Does not
 * wait for any file system.
 */
int request_forget(Request *rq, int *dropped, unsigned *n_dropped);

/*
 * An ADOPT, with its descriptor, which is taken: closed, if it is not to be
 * adopted. Does not wait for any file system. 0 or REQUEST_MALFORMED.
 */
int request_adopt(Request *rq, int fd);

/* Gives up what the reply needed, once that was sent. */
void request_finish(Request *rq);

/* Writes the root's node and attributes, as HELLO's reply has them. */
int request_root(Request *rq);

#endif /* FSDEV_HELPER_REQUESTS_H */
