/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A session on its way in: finds its files again.
 *
 * With on-missing=fail all files of the session are looked up, and the first
 * that is missing makes the load fail: then the guest goes on at the source.
 * A file that has no name and is not in use is no reason for that: the guest
 * has deleted it, and only the last messages about it are still to come.
 *
 * With on-missing=stale only open files are opened, and locks taken. A fid
 * whose file cannot be opened is lost (P9Fid.lost), like one of a file that was
 * deleted on a file server. If this process has no descriptor or memory for it,
 * the file may well be there, and the load fails. Other files are found when
 * the guest uses them, and are stale then if they are missing; those without
 * a name are looked up at once, because such a file ends with the source's
 * process.
 *
 * Each operation has the rights of a user of the session, as at the source.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "fsdev/shared/printable.h"
#include "lock-state.h"
#include "state-find.h"
#include "state-format.h"
#include "hw/9pfs/fs/context.h"
#include "hw/9pfs/trace.h"

/* How long files may take to be found, all together, in seconds */
#define FIND_PATIENCE_S     30

/* Missing files that are named in the log, one by one */
#define WARNINGS_MAX        16

/*
 * Missing files
 */

/*
 * Whether the guest did without the file at the source already: it had lost it
 * there, or removed it and neither opened nor locked it. @path: its name there,
 * or NULL
 */
static bool was_gone(const LoadNode *n, const char *path)
{
    return !n->used && (!path || (n->lost && !n->alive));
}

/* @fails: so does the load */
static void report_missing(P9StateLoad *l, FsNode *node, const char *path,
                           const char *what, const char *why, bool fails)
{
    g_autofree char *name = text_printable(path);
    const char *id = l->s->fs->id;

    if (node && !g_hash_table_add(l->reported, node)) {
        return;
    }
    l->missing++;
    if (fails) {
        if (!l->err) {
            error_setg(&l->err, "virtio-9p: fsdev '%s': %s '%s', which the "
                       "guest uses: %s", id, what, name, why);
        }
    } else if (l->missing <= WARNINGS_MAX) {
        warn_report("fsdev '%s': %s '%s', which the guest uses: %s; the guest "
                    "gets ESTALE for it", id, what, name, why);
    } else if (l->missing == WARNINGS_MAX + 1) {
        warn_report("fsdev '%s': more files that the guest uses are missing",
                    id);
    }
}

/*
 * The path that the node had in the stream; when it is not found, the driver
 * may have taken the entry out of the table. NULL if it had no name.
 */
static char *old_path(const LoadNode *n)
{
    g_autofree char *above = NULL;

    if (!n->entry) {
        return NULL;
    }
    above = fs_node_path(n->entry->parent, P9_STATE_PATH_MAX);
    return above && !*above ? g_strdup(n->entry->name)
           : g_strconcat(above ?: "...", "/", n->entry->name, NULL);
}

/*
 * Whether the file may well be there, and this process can take no more. In
 * postcopy nobody else has the guest any more.
 */
static bool is_shortage(const P9StateLoad *l, int ret)
{
    return !l->postcopy && (ret == -EMFILE || ret == -ENFILE || ret == -ENOMEM);
}

static void node_missing(P9StateLoad *l, FsNode *node, const char *what,
                         int ret)
{
    unsigned i = GPOINTER_TO_UINT(g_hash_table_lookup(l->known, node));
    const LoadNode *n = load_node_at(l, i);
    g_autofree char *path = old_path(n);
    g_autofree char *number = NULL;

    if (!path) {
        number = g_strdup_printf("(no name; inode %" PRIu64 ")", node->ino);
    }
    report_missing(l, node, path ?: number, what,
                   ret == -ETIMEDOUT ? "the host did not answer in time" :
                   ret == -ESTALE ? "it is not there, or is another file"
                                  : strerror(-ret),
                   (l->strict && !was_gone(n, path)) || is_shortage(l, ret));
}

/* Nodes that cannot be here. Those that were stale at the source stay so. */
static void nodes_unplaced(void *opaque)
{
    P9StateLoad *l = opaque;
    unsigned i;

    for (i = 0; i < l->nodes->len; i++) {
        const LoadNode *n = &g_array_index(l->nodes, LoadNode, i);

        if (!n->node && !n->stale) {
            report_missing(l, NULL, n->path ?: "(no name)", "cannot find",
                           "its file system is not there",
                           l->strict && !was_gone(n, n->path));
        }
    }
}

/*
 * Users
 */

/* The record of a node; NULL for one that is not of the stream */
static LoadNode *record_of(const P9StateLoad *l, FsNode *node)
{
    gpointer number;

    return g_hash_table_lookup_extended(l->known, node, NULL, &number)
           ? load_node_at(l, GPOINTER_TO_UINT(number)) : NULL;
}

/* The directories above @node are looked up as @user, if as nobody so far. */
static void climb_as(const P9StateLoad *l, FsNode *node, uint32_t user)
{
    const FsEntry *where;
    LoadNode *above;

    while ((where = fs_node_where(node))) {
        node = where->parent;
        above = record_of(l, node);
        if (!above || above->user != FS_USER_NONE) {
            break;
        }
        above->user = user;
    }
}

/*
 * A node is looked up as the user of a fid on it. If there is none, it is a
 * directory in the way to one, or has no name any more, and any user will do
 * who has come that way.
 */
static void choose_users(void *opaque)
{
    P9StateLoad *l = opaque;
    uint32_t other = FS_USER_NONE;
    GHashTableIter iter;
    LoadNode *n;
    P9Fid *fid;
    unsigned i;

    for (i = 0; i < l->nodes->len; i++) {
        load_node_at(l, i)->user = FS_USER_NONE;
    }
    g_hash_table_iter_init(&iter, l->s->fids);
    while (g_hash_table_iter_next(&iter, (gpointer *)&fid, NULL)) {
        n = fid->lost ? NULL : record_of(l, fid->node);
        if (n && n->user == FS_USER_NONE) {
            n->user = other = fid->attach->uid;
        }
    }
    g_hash_table_iter_init(&iter, l->s->fids);
    while (g_hash_table_iter_next(&iter, (gpointer *)&fid, NULL)) {
        if (!fid->lost) {
            climb_as(l, fid->node, fid->attach->uid);
        }
    }
    for (i = 0; i < l->nodes->len; i++) {
        n = load_node_at(l, i);
        if (n->user == FS_USER_NONE) {
            n->user = other;
        }
    }
}

/*
 * Jobs
 */

typedef struct FindJob {
    P9Job job;
    uint32_t user;
    FsNode *node;               /* a reference */
    /* For an open file */
    P9Fid *fid;                 /* a reference; NULL: only looks the node up */
    int flags;
    int fsync_error;
    FsFile *file;               /* a reference, or NULL */
} FindJob;

typedef struct FindJobs {
    P9Jobs jobs;
    P9StateLoad *l;
    unsigned at;
} FindJobs;

static void find_job_free(P9Job *job)
{
    FindJob *fj = container_of(job, FindJob, job);

    if (fj->file) {
        fs_file_unref(fj->file);
    }
    if (fj->fid) {
        p9_fid_put(fj->fid);
    }
    fs_node_unref(fj->node);
    g_free(fj);
}

/* Looks the node up: -ESTALE if it has another type than at the source. */
static int coroutine_fn look_up(FsCall *call, FsNode *node)
{
    FsAttr attr;
    int ret = node->fs->driver->getattr(call, node, NULL, &attr);

    return ret == 0 && (attr.mode & S_IFMT) != node->type ? -ESTALE : ret;
}

static int coroutine_fn node_run(P9Job *job)
{
    FindJob *fj = container_of(job, FindJob, job);

    job->call.user = fj->user;
    return look_up(&job->call, fj->node);
}

static bool must_look_up(const P9StateLoad *l, const FsNode *node)
{
    return l->strict ||
           (node != l->s->fs->root && !fs_node_any_entry(node));
}

static P9Job *node_next(P9Jobs *jobs)
{
    FindJobs *fjs = container_of(jobs, FindJobs, jobs);
    P9StateLoad *l = fjs->l;
    FindJob *fj;
    const LoadNode *n;

    do {
        if (l->err || fjs->at == l->nodes->len) {
            return NULL;
        }
        n = &g_array_index(l->nodes, LoadNode, fjs->at++);
    } while (!n->node || !must_look_up(l, n->node));

    fj = g_new0(FindJob, 1);
    fj->job.run = node_run;
    fj->job.free = find_job_free;
    fj->node = fs_node_ref(n->node);
    fj->user = n->user;
    return &fj->job;
}

static void node_done(P9Jobs *jobs, P9Job *job, int ret)
{
    P9StateLoad *l = container_of(jobs, FindJobs, jobs)->l;

    if (ret < 0) {
        node_missing(l, container_of(job, FindJob, job)->node, "cannot find",
                     ret);
    }
}

static int coroutine_fn open_run(P9Job *job)
{
    FindJob *fj = container_of(job, FindJob, job);
    int ret;

    if (fj->node->fs->readonly && (fj->flags & O_ACCMODE) != O_RDONLY) {
        return -EROFS;
    }
    job->call.user = fj->user;
    ret = look_up(&job->call, fj->node);
    return ret < 0 ? ret : p9_open_file(&job->call, fj->node, fj->flags,
                                        &fj->file);
}

static P9Job *open_next(P9Jobs *jobs)
{
    FindJobs *fjs = container_of(jobs, FindJobs, jobs);
    P9StateLoad *l = fjs->l;
    const LoadOpen *o;
    FindJob *fj;

    if (l->err || fjs->at == l->opens->len) {
        return NULL;
    }
    o = &g_array_index(l->opens, LoadOpen, fjs->at++);
    fj = g_new0(FindJob, 1);
    fj->job.run = open_run;
    fj->job.free = find_job_free;
    fj->fid = p9_fid_ref(o->fid);
    fj->node = fs_node_ref(o->fid->node);
    fj->user = o->fid->attach->uid;
    fj->flags = o->flags;
    fj->fsync_error = o->fsync_error;
    return &fj->job;
}

static void open_done(P9Jobs *jobs, P9Job *job, int ret)
{
    FindJobs *fjs = container_of(jobs, FindJobs, jobs);
    FindJob *fj = container_of(job, FindJob, job);

    if (ret < 0) {
        fj->fid->lost = true;
        node_missing(fjs->l, fj->node, "cannot open", ret);
    } else {
        fj->fid->file = g_steal_pointer(&fj->file);
        fj->fid->file->fsync_error = fj->fsync_error;
    }
}

static void find_jobs_run(P9StateLoad *l, P9Job *(*next)(P9Jobs *jobs),
                          void (*done)(P9Jobs *jobs, P9Job *job, int ret))
{
    FindJobs fjs = {
        .jobs = { .s = l->s, .next = next, .done = done }, .l = l,
    };

    p9_jobs_run(&fjs.jobs, l->deadline);
}

/*
 * Locks
 */

/* The owner's locks are lost, and with them the fids that placed them. */
static void owner_lose(P9LockOwner *o)
{
    P9LockUse *use;

    QLIST_FOREACH(use, &o->uses, by_owner) {
        use->fid->lost = true;
    }
    p9_lock_owner_drop(o);
}

/* P9LockLost */
static void owner_lost(P9LockOwner *o, int ret, void *opaque)
{
    P9StateLoad *l = opaque;

    node_missing(l, o->node, "cannot lock", ret);
    owner_lose(o);
}

/* Sorts out owners whose files are not open. */
static void owners_check(void *opaque)
{
    P9StateLoad *l = opaque;
    g_autoptr(GPtrArray) bad = g_ptr_array_new();
    GHashTableIter iter;
    P9LockOwner *o;
    P9LockUse *use;
    unsigned i;

    g_hash_table_iter_init(&iter, l->s->locks.owners);
    while (g_hash_table_iter_next(&iter, (gpointer *)&o, NULL)) {
        bool open = !QLIST_EMPTY(&o->uses) && o->ranges;

        QLIST_FOREACH(use, &o->uses, by_owner) {
            open = open && use->fid->file;
        }
        if (!open) {
            g_ptr_array_add(bad, o);
        }
    }
    for (i = 0; i < bad->len; i++) {
        owner_lose(g_ptr_array_index(bad, i));
    }
}

static void find_traced(void *opaque)
{
    P9StateLoad *l = opaque;

    trace_p9_load(l->s->fs->id, g_hash_table_size(l->s->fids), l->nodes->len,
                  l->missing);
}

void p9_load_find(P9StateLoad *l)
{
    P9Server *s = l->s;

    l->deadline = p9_jobs_deadline(FIND_PATIENCE_S);
    fs_context_run(s->ctx, nodes_unplaced, l);
    fs_context_run(s->ctx, choose_users, l);
    find_jobs_run(l, node_next, node_done);
    find_jobs_run(l, open_next, open_done);
    if (!l->err) {
        fs_context_run(s->ctx, owners_check, l);
        p9_locks_load(s, l->deadline, owner_lost, l);
    }
    fs_context_run(s->ctx, find_traced, l);
}

/*
 * Devices
 */

typedef struct DevJob {
    P9Job job;
    FsNode *root;               /* a reference */
    char **names;
    uint64_t dev;
} DevJob;

typedef struct DevJobs {
    P9Jobs jobs;
    P9StateLoad *l;
} DevJobs;

static int coroutine_fn dev_run(P9Job *job)
{
    DevJob *dj = container_of(job, DevJob, job);
    g_autoptr(FsNode) dir = fs_node_ref(dj->root);
    const char *const *names = (const char *const *)dj->names;
    unsigned left = g_strv_length(dj->names);
    unsigned n;
    int ret;

    /* For no user: the session learns a number, and its users come later. */
    job->call.user = 0;
    for (; left > 0; names += n, left -= n) {
        FsWalk walk = { .walked = 0 };
        g_autoptr(FsNode) node = NULL;
        g_autoptr(FsNode) parent = NULL;

        n = MIN(left, FS_WALK_MAX);
        ret = dir->fs->driver->walk(&job->call, dir, names, n, &walk);
        node = walk.node;
        parent = walk.parent;
        if (ret < 0 || !node) {
            return ret < 0 ? ret : -EIO;
        }
        fs_node_unref(dir);
        dir = g_steal_pointer(&node);
    }
    dj->dev = dir->dev;
    return 0;
}

static void dev_free(P9Job *job)
{
    DevJob *dj = container_of(job, DevJob, job);

    g_strfreev(dj->names);
    fs_node_unref(dj->root);
    g_free(dj);
}

static P9Job *dev_next(P9Jobs *jobs)
{
    P9StateLoad *l = container_of(jobs, DevJobs, jobs)->l;
    g_autofree char *path = g_steal_pointer(&l->find_dev);
    DevJob *dj;

    if (!path) {
        return NULL;
    }
    dj = g_new0(DevJob, 1);
    dj->job.run = dev_run;
    dj->job.free = dev_free;
    dj->root = fs_node_ref(l->s->fs->root);
    dj->names = g_strsplit(path, "/", -1);
    return &dj->job;
}

static void dev_done(P9Jobs *jobs, P9Job *job, int ret)
{
    P9StateLoad *l = container_of(jobs, DevJobs, jobs)->l;
    uint64_t dev = container_of(job, DevJob, job)->dev;
    LoadDev *to = &g_array_index(l->devs, LoadDev, l->devs->len - 1);
    unsigned i;

    if (ret < 0) {
        return;
    }
    for (i = 0; i < l->devs->len; i++) {
        const LoadDev *other = &g_array_index(l->devs, LoadDev, i);

        if (other->known && other->dev == dev) {
            return;             /* nothing is mounted there */
        }
    }
    to->dev = dev;
    to->known = true;
}

void p9_load_find_dev(P9StateLoad *l)
{
    DevJobs djs = {
        .jobs = { .s = l->s, .next = dev_next, .done = dev_done }, .l = l,
    };

    if (!l->deadline) {
        l->deadline = p9_jobs_deadline(FIND_PATIENCE_S);
    }
    p9_jobs_run(&djs.jobs, l->deadline);
}
