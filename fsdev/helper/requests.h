/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The requests of the proxy channel: one function per message.
 */
#ifndef FSDEV_HELPER_REQUESTS_H
#define FSDEV_HELPER_REQUESTS_H

#include "handles.h"
#include "to-close.h"
#include "fsdev/shared/file-handle.h"
#include "fsdev/shared/proto.h"
#include "fsdev/shared/thread-budget.h"

/* The export that all requests work on; constant while they run */
typedef struct HelperExport {
    HostFs fs;
    Handles *handles;
    ThreadBudget *budget;       /* of threads that file systems may hold */
    ToClose *to_close;          /* all files that were opened for QEMU */
    bool again;                 /* QEMU does again what failed with EAGAIN */
    bool acts_as_guest;         /* requests name a user (act-as.h) */
    bool donate;                /* send O_PATH descriptors with nodes */
    uint64_t mount;             /* the root's, our own mount; 0: no ADOPT */
    FileHandles file_handles;   /* without a mount_fd: no FIND */
} HelperExport;

/* Handles that one request may use: two of its own, two that it gives out */
#define REQUEST_HANDLES         4

typedef struct Request {
    HelperExport *export;
    MarshalReader in;
    MarshalWriter out;          /* the reply's payload after error[4] */
    bool malformed;             /* the payload's form breaks the protocol: the
                                   caller must end the channel */
    int fds[PROXY_MESSAGE_FDS]; /* descriptors that go with the reply */
    unsigned nfds;
    int opened;                 /* one of fds that the request owns, or -1 */
    uint32_t user;              /* with acts_as_guest */
    bool working;               /* it has a thread of the budget */
    uint64_t dev;               /* with opened: its file system */
    uint64_t used[REQUEST_HANDLES];
    unsigned nused;
} Request;

/*
 * Carries out a request of @type, which must have a reply, with the payload
 * @rq->in. Returns 0 with the reply in out and fds, or -errno. If it failed
 * because of the payload's form, it also sets @rq->malformed. -EAGAIN: the file
 * system has its share of the budget, or another process has a lease; nothing
 * was done.
 */
int request_execute(Request *rq, unsigned type);

/*
 * The same for a FORGET, which has no reply. Adds the descriptors that the
 * caller must close to @dropped (room for PROXY_FORGET_MAX) and counts them in
 * *@n_dropped. Does not wait for any file system. Fails only if malformed.
 */
int request_forget(Request *rq, int *dropped, unsigned *n_dropped);

/*
 * The same for an ADOPT, with its descriptor, which is of an inode on the
 * export's mount (the channel takes no other). Ownership of @fd passes; the
 * function closes it if it cannot be adopted. Does not wait for any file
 * system. Fails only if malformed.
 */
int request_adopt(Request *rq, int fd);

/* Releases the reply's resources, once the reply is sent. */
void request_finish(Request *rq);

/* Writes the root's node and attributes for HELLO's reply. */
int request_root(Request *rq);

#endif /* FSDEV_HELPER_REQUESTS_H */
