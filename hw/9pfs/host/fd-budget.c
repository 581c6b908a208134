/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The process's budget of descriptors: see fd-budget.h. When all are taken, a
 * node gets one at the price of the least recently used descriptor, whose owner
 * knows how to open it again.
 *
 * Half of the descriptors that the process may come to open (fd-limit.h) are
 * for nodes. Open files reduce that, so that together they stay below three
 * quarters; beyond that, opening a file fails with ENFILE. The last quarter is
 * for the rest of QEMU, and for descriptors that operations have while they
 * run.
 *
 * The counts are the process's, and all threads change them with atomic
 * operations. Two threads may look at the same time and both find room for one
 * more: the spare quarter has room for as many as there are threads.
 *
 * Each thread has its share: a list of those of its descriptors that may be
 * closed (open, neither pinned nor kept), and the count of its descriptors. The
 * main thread's share is always there, an IOThread's while exports run in it.
 */
#include "qemu/osdep.h"
#include "qemu/coroutine-tls.h"
#include "qemu/main-loop.h"
#include "qemu/stats64.h"
#include "fd-budget.h"
#include "fd-limit.h"
#include "pool.h"

/* How many host_fds_relieve() closes */
#define RELIEVE             64

typedef struct FdShare {
    AioContext *ctx;            /* NULL: the main thread's */
    unsigned exports;           /* that run in it; not for the main thread */
    unsigned handles;           /* read by other threads */
    bool asked;                 /* to close some */
    QTAILQ_HEAD(, HostFd) lru;  /* last used last */
    QTAILQ_ENTRY(FdShare) next;
} FdShare;

static FdShare main_share = {
    .lru = QTAILQ_HEAD_INITIALIZER(main_share.lru),
};

/* An IOThread's own, or NULL */
QEMU_DEFINE_STATIC_CO_TLS(FdShare *, my_share)

/* The IOThreads' shares, and the lock for this list */
static GMutex shares_lock;
static QTAILQ_HEAD(, FdShare) shares = QTAILQ_HEAD_INITIALIZER(shares);
static unsigned n_shares = 1;   /* the main thread's included */

static struct {
    unsigned handles;
    unsigned files;             /* kept handles among them */
    unsigned kept;
    Stat64 closed;              /* to keep to the budget, so far */
    /* The main thread sets them; atomic */
    unsigned handles_max;
    unsigned max;               /* of handles and files */
} fds;

/*
 * This thread's. A thread without one is the main thread, or has the big lock:
 * anything else is a mistake in this program, which would corrupt the list.
 */
static FdShare *share(void)
{
    FdShare *sh = get_my_share();

    if (!sh) {
        assert(qemu_get_current_aio_context() == qemu_get_aio_context());
        sh = &main_share;
    }
    return sh;
}

/* The count of handles changes by @n. */
static void count_handles(FdShare *sh, int n)
{
    qatomic_add(&fds.handles, n);
    qatomic_set(&sh->handles, sh->handles + n);
}

static void set_budget(void)
{
    unsigned n = host_limit_most();

    qatomic_set(&fds.handles_max, n / 2);
    qatomic_set(&fds.max, n - n / 4);
}

void host_fds_add_export(const FsExport *fs)
{
    host_limit_add(fs->max_open_files);
    set_budget();
}

void host_fds_remove_export(const FsExport *fs)
{
    host_limit_remove(fs->max_open_files);
    set_budget();
}

static unsigned handles_max(void)
{
    return qatomic_read(&fds.handles_max);
}

static unsigned both_max(void)
{
    return qatomic_read(&fds.max);
}

void host_fd_init(HostFd *h, void (*evict)(HostFd *h))
{
    memset(h, 0, sizeof(*h));
    h->fd = -1;
    h->evict = evict;
}

static bool in_list(const HostFd *h)
{
    return h->fd >= 0 && !h->pins && !h->kept && !h->away;
}

/* Closes the least recently used one except @but, unless evict() keeps it. */
static bool close_first(FdShare *sh, const HostFd *but)
{
    HostFd *h = QTAILQ_FIRST(&sh->lru);

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
        host_fd_drop(h);
        stat64_add(&fds.closed, 1);
    }
    return true;
}

static bool over_budget(void)
{
    unsigned handles = qatomic_read(&fds.handles);

    return handles > handles_max() ||
           handles + qatomic_read(&fds.files) > both_max();
}

/* A thread's part when the budget is used up */
static unsigned part(void)
{
    return handles_max() / qatomic_read(&n_shares);
}

/* In a thread that was asked to close some; @opaque: NULL in the main thread */
static void close_some(void *opaque)
{
    FdShare *sh = opaque ? get_my_share() : &main_share;
    bool more = true;
    unsigned i;

    if (!sh) {
        return;                 /* the exports have gone since */
    }
    qatomic_set(&sh->asked, false);
    for (i = 0; more && i < RELIEVE && sh->handles > part(); i++) {
        more = close_first(sh, NULL);
    }
}

static void ask(FdShare *other, AioContext *ctx)
{
    if (qatomic_read(&other->handles) > part() &&
        !qatomic_xchg(&other->asked, true)) {
        aio_bh_schedule_oneshot(ctx, close_some, other->ctx);
    }
}

static void ask_others(FdShare *sh)
{
    FdShare *other;

    if (sh != &main_share) {
        ask(&main_share, qemu_get_aio_context());
    }
    g_mutex_lock(&shares_lock);
    QTAILQ_FOREACH(other, &shares, next) {
        if (other != sh) {
            ask(other, other->ctx);
        }
    }
    g_mutex_unlock(&shares_lock);
}

static void keep_budget(FdShare *sh, const HostFd *but)
{
    bool more = true;

    if (over_budget() && qatomic_read(&n_shares) > 1 &&
        sh->handles <= part()) {
        ask_others(sh);
        /* They will make room. Until then there may be an eighth too many. */
        more = qatomic_read(&fds.handles) >
               handles_max() + handles_max() / 8 ||
               qatomic_read(&fds.handles) + qatomic_read(&fds.files) >
               both_max();
    }
    while (more && over_budget()) {
        more = close_first(sh, but);
    }
}

void host_fd_set(HostFd *h, int fd)
{
    assert(h->fd < 0 && fd >= 0);
    host_limit_seen(fd);
    h->fd = host_limit_place(fd);
    host_pool_hold(h->fd);
    count_handles(share(), 1);
    if (in_list(h)) {
        QTAILQ_INSERT_TAIL(&share()->lru, h, lru);
    }
    keep_budget(share(), h);
}

int host_fd_use(HostFd *h)
{
    if (in_list(h)) {
        QTAILQ_REMOVE(&share()->lru, h, lru);
        QTAILQ_INSERT_TAIL(&share()->lru, h, lru);
    }
    return h->fd;
}

void host_fd_pin(HostFd *h)
{
    if (in_list(h)) {
        QTAILQ_REMOVE(&share()->lru, h, lru);
    }
    h->pins++;
}

void host_fd_unpin(HostFd *h)
{
    assert(h->pins > 0);
    h->pins--;
    if (in_list(h)) {
        QTAILQ_INSERT_TAIL(&share()->lru, h, lru);
        keep_budget(share(), h);
    }
}

bool host_fd_keep(HostFd *h)
{
    if (h->fd < 0 || h->kept) {
        return h->kept;
    }
    if (qatomic_read(&fds.kept) >= handles_max() / 2 ||
        qatomic_read(&fds.files) >= both_max()) {
        return false;
    }
    if (in_list(h)) {
        QTAILQ_REMOVE(&share()->lru, h, lru);
    }
    h->kept = true;
    qatomic_inc(&fds.kept);
    count_handles(share(), -1);
    qatomic_inc(&fds.files);
    return true;
}

void host_fd_unkeep(HostFd *h)
{
    if (!h->kept) {
        return;
    }
    h->kept = false;
    qatomic_dec(&fds.kept);
    qatomic_dec(&fds.files);
    count_handles(share(), 1);
    if (in_list(h)) {
        QTAILQ_INSERT_TAIL(&share()->lru, h, lru);
    }
    keep_budget(share(), h);
}

void host_fd_drop(HostFd *h)
{
    if (h->fd < 0) {
        return;
    }
    if (in_list(h)) {
        QTAILQ_REMOVE(&share()->lru, h, lru);
    }
    if (h->kept) {
        h->kept = false;
        qatomic_dec(&fds.kept);
        qatomic_dec(&fds.files);
    } else {
        count_handles(share(), -1);
    }
    host_pool_close_held(h->fd);
    h->fd = -1;
}

static void host_fd_leave(HostFd *h)
{
    if (in_list(h)) {
        QTAILQ_REMOVE(&share()->lru, h, lru);
    }
    if (h->fd >= 0 && !h->kept) {
        qatomic_set(&share()->handles, share()->handles - 1);
    }
    h->away = true;
}

static void host_fd_enter(HostFd *h)
{
    h->away = false;
    if (h->fd >= 0 && !h->kept) {
        qatomic_set(&share()->handles, share()->handles + 1);
    }
    if (in_list(h)) {
        QTAILQ_INSERT_TAIL(&share()->lru, h, lru);
    }
}

/* In an IOThread: an export has come that runs in its context @ctx. */
static void host_fds_thread_get(AioContext *ctx)
{
    FdShare *sh = get_my_share();

    if (!sh) {
        sh = g_new0(FdShare, 1);
        sh->ctx = ctx;
        QTAILQ_INIT(&sh->lru);
        set_my_share(sh);
        g_mutex_lock(&shares_lock);
        QTAILQ_INSERT_TAIL(&shares, sh, next);
        qatomic_inc(&n_shares);
        g_mutex_unlock(&shares_lock);
    }
    sh->exports++;
}

/* The export has gone, with all its descriptors. */
static void host_fds_thread_put(void)
{
    FdShare *sh = get_my_share();

    if (--sh->exports == 0) {
        g_mutex_lock(&shares_lock);
        QTAILQ_REMOVE(&shares, sh, next);
        qatomic_dec(&n_shares);
        g_mutex_unlock(&shares_lock);
        set_my_share(NULL);
        g_free(sh);
    }
}

typedef struct EachFd {
    HostFd *(*fd_of)(FsNode *node);
    void (*fn)(HostFd *h);
} EachFd;

static void each_fd(FsNode *node, void *opaque)
{
    const EachFd *each = opaque;

    each->fn(each->fd_of(node));
}

void host_fds_leave(FsExport *fs, HostFd *(*fd_of)(FsNode *node))
{
    EachFd each = { .fd_of = fd_of, .fn = host_fd_leave };

    if (fd_of) {
        fs_nodes_each(&fs->nodes, each_fd, &each);
    }
    if (fs->ctx_owner) {
        host_fds_thread_put();
    }
}

void host_fds_enter(FsExport *fs, HostFd *(*fd_of)(FsNode *node))
{
    EachFd each = { .fd_of = fd_of, .fn = host_fd_enter };

    if (fs->ctx_owner) {
        host_fds_thread_get(fs->ctx);
    }
    if (fd_of) {
        fs_nodes_each(&fs->nodes, each_fd, &each);
    }
}

bool host_fds_relieve(void)
{
    FdShare *sh = share();
    unsigned before = sh->handles;
    bool more = true;
    unsigned i;

    if (host_limit_raise()) {
        return true;
    }
    for (i = 0; more && i < RELIEVE; i++) {
        more = close_first(sh, NULL);
    }
    return sh->handles < before;
}

FsdevDescriptors *host_fds_info(void)
{
    FsdevDescriptors *info = g_new0(FsdevDescriptors, 1);

    info->handles = qatomic_read(&fds.handles);
    info->handles_max = handles_max();
    info->files = qatomic_read(&fds.files);
    info->max = both_max();
    info->closed = stat64_get(&fds.closed);
    return info;
}

int host_files_add(void)
{
    if (qatomic_read(&fds.files) >= both_max()) {
        return -ENFILE;
    }
    qatomic_inc(&fds.files);
    keep_budget(share(), NULL);
    return 0;
}

void host_files_remove(void)
{
    qatomic_dec(&fds.files);
}
