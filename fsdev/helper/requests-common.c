/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the requests of the proxy channel have in common: see
 * requests-internal.h.
 */
#include "qemu/osdep.h"
#include "requests-internal.h"

int request_malformed(Request *rq)
{
    rq->malformed = true;
    return -EPROTO;
}

int request_use(Request *rq, uint64_t handle)
{
    ThreadBudget *budget = rq->export->budget;
    uint64_t dev;
    int fd;

    if (!marshal_done(&rq->in)) {
        return request_malformed(rq);
    }
    fd = handles_get(rq->export->handles, &handle, &dev);
    if (fd < 0) {
        return fd;
    }
    rq->used[rq->nused++] = handle;
    if (!rq->working) {
        if (!thread_budget_take(budget, dev)) {
            return -EAGAIN;
        }
        thread_budget_begin(budget, dev);
        rq->working = true;
    }
    return fd;
}
