/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The process's budget of descriptors.
 *
 * Of what the process may open, handles get half. Open files make them fewer,
 * so that together they stay below three quarters; more files than that are
 * refused with ENFILE. The last quarter is for the rest of QEMU, and for
 * descriptors that operations under way have for themselves.
 *
 * The list holds exactly the handles that may be closed: those with a
 * descriptor that are neither pinned nor kept.
 */
#include "qemu/osdep.h"
#include <sys/resource.h>
#include "hosthandle.h"

/* How many host_handles_relieve() closes */
#define RELIEVE             64

static struct {
    unsigned handles;
    unsigned handles_max;
    unsigned files;             /* kept handles among them */
    unsigned kept;
    unsigned max;               /* of handles and files */
    uint64_t closed;            /* to keep to the budget, so far */
    QTAILQ_HEAD(, HostHandle) lru;  /* last used last */
} fds = {
    .lru = QTAILQ_HEAD_INITIALIZER(fds.lru),
};

void host_handles_init(void)
{
    struct rlimit limit;
    unsigned n;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        limit.rlim_cur = limit.rlim_max = 512;
    }
    if (limit.rlim_cur < limit.rlim_max) {
        rlim_t old = limit.rlim_cur;

        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
            limit.rlim_cur = old;
        }
    }
    n = MIN(limit.rlim_cur, INT_MAX);
    fds.handles_max = n / 2;
    fds.max = n - n / 4;
}

void host_handle_init(HostHandle *h, void (*evict)(HostHandle *h))
{
    memset(h, 0, sizeof(*h));
    h->fd = -1;
    h->evict = evict;
}

static bool in_list(const HostHandle *h)
{
    return h->fd >= 0 && !h->pins && !h->kept;
}

/* What was not used for longest, but not @but, is closed or kept. */
static bool close_first(const HostHandle *but)
{
    HostHandle *h = QTAILQ_FIRST(&fds.lru);

    if (h && h == but) {
        h = QTAILQ_NEXT(h, lru);
    }
    if (!h) {
        return false;
    }
    if (h->evict) {
        h->evict(h);
    }
    if (!h->kept) {
        host_handle_drop(h);
        fds.closed++;
    }
    return true;
}

static void keep_budget(const HostHandle *but)
{
    bool more = true;

    while (more && (fds.handles > fds.handles_max ||
                    fds.handles + fds.files > fds.max)) {
        more = close_first(but);
    }
}

void host_handle_set(HostHandle *h, int fd)
{
    assert(h->fd < 0 && fd >= 0);
    h->fd = fd;
    fds.handles++;
    if (in_list(h)) {
        QTAILQ_INSERT_TAIL(&fds.lru, h, lru);
    }
    keep_budget(h);
}

int host_handle_use(HostHandle *h)
{
    if (in_list(h)) {
        QTAILQ_REMOVE(&fds.lru, h, lru);
        QTAILQ_INSERT_TAIL(&fds.lru, h, lru);
    }
    return h->fd;
}

void host_handle_pin(HostHandle *h)
{
    if (in_list(h)) {
        QTAILQ_REMOVE(&fds.lru, h, lru);
    }
    h->pins++;
}

void host_handle_unpin(HostHandle *h)
{
    assert(h->pins > 0);
    h->pins--;
    if (in_list(h)) {
        QTAILQ_INSERT_TAIL(&fds.lru, h, lru);
        keep_budget(h);
    }
}

bool host_handle_keep(HostHandle *h)
{
    if (h->fd < 0 || h->kept) {
        return h->kept;
    }
    if (fds.kept >= fds.handles_max / 2 || fds.files >= fds.max) {
        return false;
    }
    if (in_list(h)) {
        QTAILQ_REMOVE(&fds.lru, h, lru);
    }
    h->kept = true;
    fds.kept++;
    fds.handles--;
    fds.files++;
    return true;
}

void host_handle_unkeep(HostHandle *h)
{
    if (!h->kept) {
        return;
    }
    h->kept = false;
    fds.kept--;
    fds.files--;
    fds.handles++;
    if (in_list(h)) {
        QTAILQ_INSERT_TAIL(&fds.lru, h, lru);
    }
    keep_budget(h);
}

void host_handle_drop(HostHandle *h)
{
    if (h->fd < 0) {
        return;
    }
    if (in_list(h)) {
        QTAILQ_REMOVE(&fds.lru, h, lru);
    }
    if (h->kept) {
        h->kept = false;
        fds.kept--;
        fds.files--;
    } else {
        fds.handles--;
    }
    close(h->fd);
    h->fd = -1;
}

bool host_handles_relieve(void)
{
    unsigned before = fds.handles;
    bool more = true;
    unsigned i;

    for (i = 0; more && i < RELIEVE; i++) {
        more = close_first(NULL);
    }
    return fds.handles < before;
}

FsdevDescriptors *host_handles_info(void)
{
    FsdevDescriptors *info = g_new0(FsdevDescriptors, 1);

    info->handles = fds.handles;
    info->handles_max = fds.handles_max;
    info->files = fds.files;
    info->max = fds.max;
    info->closed = fds.closed;
    return info;
}

int host_files_add(void)
{
    if (fds.files >= fds.max) {
        return -ENFILE;
    }
    fds.files++;
    keep_budget(NULL);
    return 0;
}

void host_files_remove(void)
{
    fds.files--;
}
