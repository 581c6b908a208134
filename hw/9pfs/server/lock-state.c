/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Byte range locks when a session goes on elsewhere.
 *
 * Two processes, the source and the destination, have the owners' locks for
 * some time, and no other program may get between them. A lock for writing
 * excludes the other process, too. So the source first turns locks for writing
 * into locks for reading, which the host does at once: no other program can
 * have a lock for writing in between. The destination takes the same locks for
 * reading. When the session is over at the source, it releases its locks; when
 * the VM continues, the destination turns locks into those for writing, and
 * tries again for a while if the source was not as quick. A program of the host
 * may take a lock for reading in the meantime.
 *
 * A file that is open only for writing cannot have locks for reading. There the
 * source releases the locks, and the destination takes them when the VM
 * continues.
 *
 * In a postcopy migration, the VM continues there long before the session is
 * over here, and some time after the source has sent the session. There the
 * source looks for the destination's locks, and releases its own owner by owner
 * once it sees them. It takes a lock for reading of a program of the host for
 * one of the destination, too.
 *
 * Owners whose locks on the host are less than their ranges are weak. If the
 * migration fails, the source takes the locks back in the same way, even if the
 * VM does not continue yet.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/timer.h"
#include "fsdev/shared/printable.h"
#include "end.h"
#include "jobs.h"
#include "lock-state.h"
#include "hw/9pfs/fs/context.h"

/* How long locks may take to be shared or released, in seconds */
#define SHARE_PATIENCE_S    5

/* How long the VM runs until locks must be back */
#define RETAKE_TOTAL_S      10

/* How often locks are tried: first and later on */
#define TASK_FIRST_NS       (2 * SCALE_MS)
#define TASK_MOST_NS        (200 * SCALE_MS)

void p9_locks_each(P9Server *s, void (*fn)(const P9LockOwner *, void *opaque),
                   void *opaque)
{
    GHashTableIter iter;
    P9LockOwner *o;

    g_hash_table_iter_init(&iter, s->locks.owners);
    while (g_hash_table_iter_next(&iter, (gpointer *)&o, NULL)) {
        fn(o, opaque);
    }
}

static void owner_append(const P9LockOwner *o, void *opaque)
{
    P9LockOwner *owner = (P9LockOwner *)o;

    owner->refs++;
    g_ptr_array_add(opaque, owner);
}

/* All owners, with references */
static GPtrArray *owners_all(P9Server *s)
{
    GPtrArray *owners =
        g_ptr_array_new_with_free_func((GDestroyNotify)p9_lock_owner_put);

    p9_locks_each(s, owner_append, owners);
    return owners;
}

/*
 * The locks of one owner on the host
 */

/* What the host shall have of an owner's ranges */
typedef enum LockWhat {
    LOCKS_ALL,
    LOCKS_READ,                 /* all as locks for reading */
    LOCKS_NONE,
} LockWhat;

static struct flock host_lock(short type, int64_t first, int64_t last)
{
    return (struct flock) {
        .l_type = type,
        .l_whence = SEEK_SET,
        .l_start = first,
        .l_len = last == INT64_MAX ? 0 : last - first + 1,
    };
}

static int coroutine_fn range_set(FsCall *call, P9LockOwner *o, short type,
                                  int64_t first, int64_t last)
{
    struct flock lock = host_lock(type, first, last);
    int ret = o->s->fs->driver->lock(call, o->file, &lock, false);

    return ret == -EACCES ? -EAGAIN : ret;
}

/* The type of lock that the host shall have for a range */
static short range_type(const P9LockOwner *o, const P9LockRange *range,
                        LockWhat what)
{
    if (what == LOCKS_ALL) {
        return range->type;
    }
    return what == LOCKS_READ && (o->file->flags & O_ACCMODE) != O_WRONLY
           ? F_RDLCK : F_UNLCK;
}

/*
 * Sets all ranges; goes on after an error, and returns the first. The ranges do
 * not change, because the caller has the mutex.
 */
static int coroutine_fn ranges_set(FsCall *call, P9LockOwner *o, LockWhat what)
{
    unsigned i;
    int first = 0;
    int ret;

    for (i = 0; o->ranges && i < o->ranges->len && !call->cancelled; i++) {
        const P9LockRange range = g_array_index(o->ranges, P9LockRange, i);

        ret = range_set(call, o, range_type(o, &range, what),
                        range.first, range.last);
        first = first ?: ret;
    }
    return call->cancelled ? -EINTR : first;
}

static int coroutine_fn owner_set(FsCall *call, P9LockOwner *o, LockWhat what)
{
    int ret;

    qemu_co_mutex_lock(&o->mutex);
    if (what != LOCKS_ALL) {
        o->weak = true;
    }
    ret = ranges_set(call, o, what);
    if (ret == 0 && what == LOCKS_ALL) {
        o->weak = false;
    }
    qemu_co_mutex_unlock(&o->mutex);
    return ret;
}

/* The owner's file, for messages */
static char *owner_path(const P9LockOwner *o)
{
    g_autofree char *path = fs_node_path(o->node, PATH_MAX);

    return path ? text_printable(path) : g_strdup("(no name)");
}

/*
 * The same of all owners, in jobs
 */

typedef struct LockJob {
    P9Job job;
    P9LockOwner *o;             /* a reference */
    LockWhat what;
    FsFile *file;               /* that was opened, or NULL */
} LockJob;

typedef struct LockJobs {
    P9Jobs jobs;
    GPtrArray *owners;          /* references */
    int coroutine_fn (*run)(P9Job *job);
    LockWhat what;
    P9LockLost *lost;
    void *opaque;
    Error *err;                 /* of the first one that failed */
} LockJobs;

static void lock_job_free(P9Job *job)
{
    LockJob *lj = container_of(job, LockJob, job);

    if (lj->file) {
        fs_file_unref(lj->file);
    }
    p9_lock_owner_put(lj->o);
    g_free(lj);
}

static P9Job *lock_job_next(P9Jobs *jobs)
{
    LockJobs *ljs = container_of(jobs, LockJobs, jobs);
    LockJob *lj;

    if (ljs->owners->len == 0) {
        return NULL;
    }
    lj = g_new0(LockJob, 1);
    lj->job.run = ljs->run;
    lj->job.free = lock_job_free;
    lj->o = g_ptr_array_steal_index(ljs->owners, ljs->owners->len - 1);
    lj->what = ljs->what;
    return &lj->job;
}

static void lock_job_done(P9Jobs *jobs, P9Job *job, int ret)
{
    LockJobs *ljs = container_of(jobs, LockJobs, jobs);
    LockJob *lj = container_of(job, LockJob, job);

    if (ret == 0 || lj->o->dropped) {
        return;
    }
    if (ljs->lost) {
        ljs->lost(lj->o, ret, ljs->opaque);
    } else if (!ljs->err) {
        g_autofree char *path = owner_path(lj->o);

        error_setg(&ljs->err, "virtio-9p: fsdev '%s': the guest's lock of "
                   "'%s' cannot be handed over: %s", jobs->s->fs->id, path,
                   strerror(-ret));
    }
}

static void lock_jobs_gather(void *opaque)
{
    LockJobs *ljs = opaque;

    ljs->owners = owners_all(ljs->jobs.s);
}

/* Main thread */
static void lock_jobs_run(LockJobs *ljs, int64_t deadline)
{
    ljs->jobs.next = lock_job_next;
    ljs->jobs.done = lock_job_done;
    fs_context_run(ljs->jobs.s->ctx, lock_jobs_gather, ljs);
    if (ljs->owners->len) {
        p9_jobs_run(&ljs->jobs, deadline);
    }
    g_ptr_array_unref(ljs->owners);
}

/* Takes locks back, or gives them up, in the background */
struct P9LockTask {
    P9Server *s;
    FsCall call;
    /*
     * Tries once. Returns how many owners are left to be tried again; it gives
     * up on them if @last.
     */
    unsigned coroutine_fn (*try)(P9LockTask *task, bool last);
    int64_t end;
    bool late;                  /* not s->locks.task any more */
};

static void coroutine_fn task_co(void *opaque)
{
    P9LockTask *task = opaque;
    int64_t delay = TASK_FIRST_NS;
    bool last;

    fs_call_begin(&task->call);
    do {
        last = qemu_clock_get_ns(QEMU_CLOCK_REALTIME) >= task->end;
        if (task->try(task, last) == 0) {
            break;
        }
        delay = MIN(delay * 2, TASK_MOST_NS);
    } while (fs_call_sleep(&task->call, delay));
    fs_call_end(&task->call);
    if (task->late) {
        p9_server_late(task->s);
    } else {
        task->s->locks.task = NULL;
    }
    g_free(task);
}

static void task_start(P9Server *s, int64_t end,
                       unsigned coroutine_fn (*try)(P9LockTask *, bool last))
{
    P9LockTask *task;

    if (s->locks.task || g_hash_table_size(s->locks.owners) == 0) {
        return;
    }
    task = g_new0(P9LockTask, 1);
    task->s = s;
    task->try = try;
    task->end = end;
    s->locks.task = task;
    qemu_coroutine_enter(qemu_coroutine_create(task_co, task));
}

static void task_stop(P9Server *s)
{
    P9LockTask *task = s->locks.task;

    if (task) {
        /* It ends soon, but it may be in the driver just now. */
        s->locks.task = NULL;
        task->late = true;
        s->detached++;
        fs_call_cancel(&task->call);
    }
}

/*
 * At the source
 */

static int coroutine_fn share_run(P9Job *job)
{
    LockJob *lj = container_of(job, LockJob, job);

    return owner_set(&job->call, lj->o, lj->what);
}

/* Export's thread */
static void share_begin(void *opaque)
{
    P9Server *s = opaque;

    /* It would make locks for writing of those that are shared now. */
    task_stop(s);
    s->locks.leaving = true;
}

bool p9_locks_share(P9Server *s, Error **errp)
{
    LockJobs ljs = { .jobs = { .s = s }, .run = share_run, .what = LOCKS_READ };

    fs_context_run(s->ctx, share_begin, s);
    lock_jobs_run(&ljs, p9_jobs_deadline(SHARE_PATIENCE_S));
    error_propagate(errp, ljs.err);
    return !ljs.err;
}

/*
 * Whether another process has the last lock of an owner: the destination takes
 * that one last.
 */
static bool coroutine_fn owner_seen(FsCall *call, P9LockOwner *o)
{
    const P9LockRange *range;
    struct flock lock;

    if (!o->ranges || o->ranges->len == 0 ||
        (o->file->flags & O_ACCMODE) == O_WRONLY) {
        return true;
    }
    range = &g_array_index(o->ranges, P9LockRange, o->ranges->len - 1);
    lock = host_lock(F_WRLCK, range->first, range->last);
    return o->s->fs->driver->lock(call, o->file, &lock, true) == 0 &&
           lock.l_type != F_UNLCK;
}

/* P9LockTask.try: gives up locks that the destination has */
static unsigned coroutine_fn leave_try(P9LockTask *task, bool last)
{
    g_autoptr(GPtrArray) owners = owners_all(task->s);
    unsigned left = 0;
    unsigned i;

    for (i = 0; i < owners->len && !task->call.cancelled; i++) {
        P9LockOwner *o = g_ptr_array_index(owners, i);

        if (o->dropped) {
            continue;
        }
        if (owner_seen(&task->call, o)) {
            owner_set(&task->call, o, LOCKS_NONE);
        } else {
            left++;
        }
    }
    return left;
}

static void leave_begin(void *opaque)
{
    task_start(opaque, INT64_MAX, leave_try);
}

static void leave_end(void *opaque)
{
    task_stop(opaque);
}

void p9_locks_leave(P9Server *s)
{
    if (s->locks.leaving) {
        fs_context_run(s->ctx, leave_begin, s);
    }
}

void p9_locks_release(P9Server *s)
{
    LockJobs ljs = { .jobs = { .s = s }, .run = share_run, .what = LOCKS_NONE };

    if (!s->locks.leaving) {
        return;
    }
    fs_context_run(s->ctx, leave_end, s);
    lock_jobs_run(&ljs, p9_jobs_deadline(SHARE_PATIENCE_S));
    if (ljs.err) {
        warn_report_err(ljs.err);
    }
}

/*
 * Taking locks back
 */

/* P9LockTask.try, for all weak owners */
static unsigned coroutine_fn retake_try(P9LockTask *task, bool last)
{
    g_autoptr(GPtrArray) owners = owners_all(task->s);
    unsigned left = 0;
    unsigned i;
    int ret;

    for (i = 0; i < owners->len && !task->call.cancelled; i++) {
        P9LockOwner *o = g_ptr_array_index(owners, i);

        if (!o->weak || o->dropped) {
            continue;
        }
        ret = owner_set(&task->call, o, LOCKS_ALL);
        if (ret == 0 || task->call.cancelled) {
            continue;
        }
        if (ret != -EAGAIN || last) {
            g_autofree char *path = owner_path(o);

            warn_report("fsdev '%s': the guest's lock of '%s' is lost after a "
                        "migration: %s", task->s->fs->id, path,
                        ret == -EAGAIN ? "another program has one"
                                       : strerror(-ret));
            o->weak = false;
        } else {
            left++;
        }
    }
    return left;
}

void p9_locks_cont(P9Server *s)
{
    if (s->locks.leaving) {
        task_stop(s);
    }
    s->locks.leaving = false;
    task_start(s, p9_jobs_deadline(RETAKE_TOTAL_S), retake_try);
}

void p9_locks_reset(P9Server *s)
{
    g_autoptr(GPtrArray) owners = owners_all(s);
    unsigned i;

    task_stop(s);
    s->locks.leaving = false;
    for (i = 0; i < owners->len; i++) {
        P9LockOwner *o = g_ptr_array_index(owners, i);

        if (!o->dropped) {
            p9_lock_owner_drop(o);
        }
    }
}

/*
 * At the destination
 */

static int coroutine_fn load_run(P9Job *job)
{
    LockJob *lj = container_of(job, LockJob, job);
    const P9LockUse *use = QLIST_FIRST(&lj->o->uses);
    int ret;

    if (use) {
        job->call.user = use->fid->attach->uid;
    }
    ret = p9_lock_open(&job->call, lj->o->node, lj->o->access, &lj->file);
    if (ret < 0) {
        return ret;
    }
    if (!job->jobs) {
        return -EINTR;
    }
    lj->o->file = g_steal_pointer(&lj->file);
    return owner_set(&job->call, lj->o, LOCKS_READ);
}

void p9_locks_load(P9Server *s, int64_t deadline, P9LockLost *lost,
                   void *opaque)
{
    LockJobs ljs = {
        .jobs = { .s = s }, .run = load_run, .lost = lost, .opaque = opaque,
    };

    lock_jobs_run(&ljs, deadline);
}
