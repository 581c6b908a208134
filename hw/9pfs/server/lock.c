/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Byte range locks: Tlock and Tgetlock.
 *
 * These are POSIX locks. A lock belongs to a process of the guest, which
 * client_id (the guest's name) and proc_id identify, not to the fid. The locks
 * of one process merge, and never conflict with each other, across all its fids
 * on the file. They must hold against other guests and against programs of the
 * host.
 *
 * POSIX locks of the host would all belong to QEMU, and so would never
 * conflict. An open file description lock (F_OFD_SETLK of fcntl(2)) belongs to
 * the open file on which it was placed. It merges with locks of the same open
 * file and conflicts with all others, POSIX locks included. If each process has
 * an open file of its own, that is how the locks of a process behave. So each
 * owner here, that is (node, client_id, proc_id), opens the file for itself and
 * places its locks on that open file.
 *
 * The guest's kernel releases a process's locks when the process closes the
 * file. As a safety net, clunking a fid ends its owners, and their locks: a fid
 * is an open file of the guest, so a process that locked through the fid has
 * closed the file, and with POSIX locks, closing any open file ends all locks.
 *
 * flock(2) in a Linux guest arrives as a lock on the whole file with the
 * caller's proc_id. So flock(2) also holds against other guests. But when a
 * child unlocks a file that its parent locked, the lock stays until the file is
 * closed.
 *
 * A lock that has to wait (P9_LOCK_FLAGS_BLOCK) is tried again and again,
 * because the host does not report when a lock ends. A lock that ends through
 * this server wakes the waiting requests at once. Waiting requests fill the
 * transport's queue, so only some may wait, and for a limited time. The others
 * get P9_LOCK_BLOCKED, and clients then try again by themselves.
 *
 * The host's kernel needs memory for each locked range, so their number is
 * limited. Operations of one owner come one after another, so that the record
 * of its ranges is the kernel's.
 */
#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "lock-owner.h"
#include "messages.h"
#include "hw/9pfs/trace.h"

/* Requests that may wait for a lock: a quarter of a queue of 128 */
#define WAITERS_MAX     32
#define WAIT_TOTAL_NS   (30 * NANOSECONDS_PER_SECOND)
#define WAIT_FIRST_NS   (10 * SCALE_MS)
#define WAIT_MOST_NS    (200 * SCALE_MS)

struct P9LockWaiter {
    const FsNode *node;
    FsCall *call;
    QLIST_ENTRY(P9LockWaiter) next;
};

static guint owner_hash(gconstpointer p)
{
    const P9LockOwner *o = p;

    return g_str_hash(o->client_id) ^ (o->proc_id * 2654435761u) ^
           (guint)((uintptr_t)o->node >> 4);
}

static gboolean owner_equal(gconstpointer pa, gconstpointer pb)
{
    const P9LockOwner *a = pa;
    const P9LockOwner *b = pb;

    return a->node == b->node && a->proc_id == b->proc_id &&
           !strcmp(a->client_id, b->client_id);
}

void p9_locks_init(P9LockTable *locks)
{
    locks->owners = g_hash_table_new(owner_hash, owner_equal);
    QLIST_INIT(&locks->waiters);
    locks->waiting = 0;
    locks->ranges = 0;
    locks->task = NULL;
}

void p9_locks_destroy(P9LockTable *locks)
{
    g_hash_table_destroy(locks->owners);
}

P9LockOwner *p9_lock_owner_find(P9Server *s, FsNode *node, uint32_t proc_id,
                                const char *client_id)
{
    P9LockOwner want = {
        .node = node, .proc_id = proc_id, .client_id = (char *)client_id,
    };

    return g_hash_table_lookup(s->locks.owners, &want);
}

P9LockOwner *p9_lock_owner_new(P9Server *s, FsNode *node, uint32_t proc_id,
                               const char *client_id)
{
    P9LockOwner *o = g_new0(P9LockOwner, 1);

    o->s = s;
    o->node = fs_node_ref(node);
    o->proc_id = proc_id;
    o->client_id = g_strdup(client_id);
    o->refs = 1;
    qemu_co_mutex_init(&o->mutex);
    QLIST_INIT(&o->uses);
    g_hash_table_add(s->locks.owners, o);
    trace_p9_lock_owner_new(s, proc_id);
    return o;
}

void p9_lock_owner_put(P9LockOwner *o)
{
    if (--o->refs) {
        return;
    }
    trace_p9_lock_owner_free(o->s, o->proc_id);
    if (o->ranges) {
        o->s->locks.ranges -= o->ranges->len;
        g_array_unref(o->ranges);
    }
    if (o->file) {
        fs_file_unref(o->file);
    }
    fs_node_unref(o->node);
    g_free(o->client_id);
    g_free(o);
}

/* Locks on @node may have ended: lets requests that wait for one try again. */
static void waiters_wake(P9Server *s, const FsNode *node)
{
    P9LockWaiter *w, *next;

    QLIST_FOREACH_SAFE(w, &s->locks.waiters, next, next) {
        if (w->node == node) {
            /* It must not be woken twice before it runs. */
            w->node = NULL;
            qemu_co_sleep_wake(&w->call->sleep);
        }
    }
}

void p9_lock_owner_drop(P9LockOwner *o)
{
    P9Server *s = o->s;
    FsNode *node = fs_node_ref(o->node);
    P9LockUse *use, *next;

    g_hash_table_remove(s->locks.owners, o);
    o->dropped = true;
    QLIST_FOREACH_SAFE(use, &o->uses, by_owner, next) {
        QLIST_REMOVE(use, by_owner);
        QLIST_REMOVE(use, by_fid);
        g_free(use);
    }
    p9_lock_owner_put(o);
    waiters_wake(s, node);
    fs_node_unref(node);
}

void p9_locks_drop_fid(P9Fid *fid)
{
    P9LockUse *use;

    while ((use = QLIST_FIRST(&fid->locks))) {
        p9_lock_owner_drop(use->owner);
    }
}

int coroutine_fn p9_lock_open(FsCall *call, FsNode *node, int access,
                              FsFile **file)
{
    int ret = -EROFS;

    if (!node->fs->readonly) {
        ret = p9_open_file(call, node, O_RDWR, file);
    }
    if ((ret == -EACCES || ret == -EPERM || ret == -EROFS ||
         ret == -ETXTBSY) && access != O_RDWR &&
        (access == O_RDONLY || !node->fs->readonly)) {
        ret = p9_open_file(call, node, access, file);
    }
    return ret;
}

/* Finds or makes the owner, with a reference for the caller and as busy. */
static int coroutine_fn owner_get(P9Request *req, const P9Fid *fid,
                                  uint32_t proc_id, const char *client_id,
                                  P9LockOwner **owner)
{
    P9Server *s = req->s;
    P9LockOwner *o;
    FsFile *file;
    int ret;

    o = p9_lock_owner_find(s, fid->node, proc_id, client_id);
    if (!o) {
        if (g_hash_table_size(s->locks.owners) >= P9_LOCK_OWNERS_MAX) {
            return -ENOLCK;
        }
        ret = p9_lock_open(&req->call, fid->node,
                           fid->file->flags & O_ACCMODE, &file);
        if (ret < 0) {
            return ret;
        }
        o = p9_lock_owner_find(s, fid->node, proc_id, client_id);
        if (o) {
            /* Another request was quicker. */
            fs_file_unref(file);
        } else {
            o = p9_lock_owner_new(s, fid->node, proc_id, client_id);
            o->file = file;
        }
    }
    o->refs++;
    o->busy++;
    *owner = o;
    return 0;
}

static void owner_release(P9LockOwner *o)
{
    o->busy--;
    if (!o->dropped && o->busy == 0 && (!o->ranges || o->ranges->len == 0)) {
        p9_lock_owner_drop(o);
    }
    p9_lock_owner_put(o);
}

void p9_lock_owner_add_use(P9LockOwner *o, P9Fid *fid)
{
    P9LockUse *use;

    /* The shorter list: at most P9_LOCK_OWNERS_MAX */
    QLIST_FOREACH(use, &fid->locks, by_fid) {
        if (use->owner == o) {
            return;
        }
    }
    use = g_new0(P9LockUse, 1);
    use->owner = o;
    use->fid = fid;
    QLIST_INSERT_HEAD(&o->uses, use, by_owner);
    QLIST_INSERT_HEAD(&fid->locks, use, by_fid);
}

/* Whether the owner has locked some of these bytes */
static bool owner_holds(const P9LockOwner *o, int64_t first, int64_t last)
{
    const P9LockRange *range;
    unsigned i;

    for (i = 0; o->ranges && i < o->ranges->len; i++) {
        range = &g_array_index(o->ranges, P9LockRange, i);
        if (range->first <= last && range->last >= first) {
            return true;
        }
    }
    return false;
}

/* Asks the host for the lock, once: 0, -EAGAIN or another error. */
static int coroutine_fn lock_try(P9Request *req, P9LockOwner *o,
                                 const struct flock *lock, int64_t last)
{
    P9LockTable *locks = &req->s->locks;
    struct flock want = *lock;
    unsigned before;
    GArray *after;
    int ret;

    qemu_co_mutex_lock(&o->mutex);
    before = o->ranges ? o->ranges->len : 0;
    after = p9_lock_ranges_after(o->ranges, lock->l_type, lock->l_start, last);
    if (after->len > before &&
        locks->ranges + (after->len - before) > P9_LOCK_RANGES_MAX) {
        ret = -ENOLCK;
    } else {
        /* Counted at once, as others may run meanwhile */
        locks->ranges += after->len - before;
        ret = p9_driver(req)->lock(&req->call, o->file, &want, false);
        if (ret < 0) {
            locks->ranges -= after->len - before;
        }
    }
    if (ret == 0) {
        g_clear_pointer(&o->ranges, g_array_unref);
        o->ranges = after;
    } else {
        g_array_unref(after);
    }
    qemu_co_mutex_unlock(&o->mutex);
    return ret;
}

/* Places the lock; waits for it if @block: 0, -EAGAIN, -EINTR or an error. */
static int coroutine_fn lock_place(P9Request *req, P9Fid *fid, P9LockOwner *o,
                                   const struct flock *lock, int64_t last,
                                   bool block)
{
    P9LockTable *locks = &req->s->locks;
    int64_t delay = WAIT_FIRST_NS;
    int64_t end = qemu_clock_get_ns(QEMU_CLOCK_REALTIME) + WAIT_TOTAL_NS;
    P9LockWaiter waiter;
    bool go_on;
    int ret;

    for (;;) {
        ret = lock_try(req, o, lock, last);
        if (ret != -EAGAIN && ret != -EACCES) {
            return ret;
        }
        if (!block || locks->waiting >= WAITERS_MAX ||
            qemu_clock_get_ns(QEMU_CLOCK_REALTIME) >= end) {
            return -EAGAIN;
        }
        waiter.node = fid->node;
        waiter.call = &req->call;
        QLIST_INSERT_HEAD(&locks->waiters, &waiter, next);
        locks->waiting++;
        go_on = fs_call_sleep(&req->call, delay);
        locks->waiting--;
        QLIST_REMOVE(&waiter, next);
        if (!go_on) {
            return -EINTR;
        }
        if (fid->clunked || o->dropped) {
            return -EBADF;
        }
        delay = MIN(delay * 2, WAIT_MOST_NS);
    }
}

/* The lock's type and range from a message, or -EINVAL */
static int lock_range(struct flock *lock, uint8_t type, uint64_t start,
                      uint64_t length, int64_t *last)
{
    static const short types[] = {
        [P9_LOCK_TYPE_RDLCK] = F_RDLCK,
        [P9_LOCK_TYPE_WRLCK] = F_WRLCK,
        [P9_LOCK_TYPE_UNLCK] = F_UNLCK,
    };

    if (type >= ARRAY_SIZE(types) || start > INT64_MAX ||
        length > INT64_MAX || (length && length - 1 > INT64_MAX - start)) {
        return -EINVAL;
    }
    memset(lock, 0, sizeof(*lock));
    lock->l_type = types[type];
    lock->l_whence = SEEK_SET;
    lock->l_start = start;
    lock->l_len = length;       /* 0: to the end of the file */
    *last = length ? start + (length - 1) : INT64_MAX;
    return 0;
}

/* The fid of a lock: also -EINVAL, and -ENOLCK without support. */
static int lock_fid(P9Request *req, uint32_t id, P9Fid **fid)
{
    int ret = p9_request_fid(req, id, fid);

    if (ret < 0) {
        return ret;
    }
    if (!(*fid)->file) {
        return -EBADF;
    }
    if (!S_ISREG((*fid)->node->type)) {
        return -EINVAL;
    }
    return p9_driver(req)->lock ? 0 : -ENOLCK;
}

static int coroutine_fn lock_do(P9Request *req, P9Fid *fid, uint32_t proc_id,
                                const char *client_id,
                                const struct flock *lock, int64_t last,
                                bool block)
{
    P9LockOwner *o;
    int ret;

    if (lock->l_type == F_UNLCK &&
        !p9_lock_owner_find(req->s, fid->node, proc_id, client_id)) {
        return 0;
    }
    ret = owner_get(req, fid, proc_id, client_id, &o);
    if (ret < 0) {
        return ret;
    }
    ret = lock_place(req, fid, o, lock, last, block);
    if (ret == 0) {
        if (lock->l_type == F_UNLCK) {
            waiters_wake(req->s, fid->node);
        } else if (o->dropped) {
            /* The file was closed during the wait; the lock ends with it. */
            ret = -EBADF;
        } else if (fid->clunked || req->detached) {
            p9_lock_owner_drop(o);
            ret = -EBADF;
        } else {
            p9_lock_owner_add_use(o, fid);
        }
    }
    owner_release(o);
    return ret;
}

/*
 * Tlock fid[4] type[1] flags[4] start[8] length[8] proc_id[4] client_id[s].
 * Replies with status[1], P9_LOCK_SUCCESS or P9_LOCK_BLOCKED.
 */
int coroutine_fn p9_lock(P9Request *req)
{
    g_autoptr(P9Fid) fid = NULL;
    uint32_t id, flags, proc_id;
    uint64_t start, length;
    const char *client_id;
    size_t client_id_len;
    struct flock lock;
    int64_t last;
    uint8_t type;
    int ret;

    id = marshal_get_u32(&req->r);
    type = marshal_get_u8(&req->r);
    flags = marshal_get_u32(&req->r);
    start = marshal_get_u64(&req->r);
    length = marshal_get_u64(&req->r);
    proc_id = marshal_get_u32(&req->r);
    client_id = marshal_get_str(&req->r, &client_id_len);
    if (!marshal_done(&req->r) || client_id_len > P9_LOCK_CLIENT_ID_MAX) {
        return -EINVAL;
    }
    ret = lock_fid(req, id, &fid);
    if (ret < 0) {
        return ret;
    }
    ret = lock_range(&lock, type, start, length, &last);
    if (ret < 0) {
        return ret;
    }
    ret = lock_do(req, fid, proc_id, client_id, &lock, last,
                  flags & P9_LOCK_FLAGS_BLOCK);
    trace_p9_lock(req->s, id, proc_id, type, start, length, ret);
    if (ret < 0 && ret != -EAGAIN) {
        return ret;
    }
    marshal_put_u8(&req->w, ret ? P9_LOCK_BLOCKED : P9_LOCK_SUCCESS);
    return 0;
}

/* Whether @lock, up to @last, is one of the owner's ranges */
static bool owner_has(const P9LockOwner *o, const struct flock *lock,
                      int64_t last)
{
    const P9LockRange *range;
    unsigned i;

    for (i = 0; o->ranges && i < o->ranges->len; i++) {
        range = &g_array_index(o->ranges, P9LockRange, i);
        if (range->first == lock->l_start && range->last == last &&
            range->type == lock->l_type) {
            return true;
        }
    }
    return false;
}

/*
 * The owner of @lock, which is a result of F_OFD_GETLK. For a lock of an open
 * file the host gives the range, but not the holder. So this is the only owner
 * other than @self that has such a range, or NULL if there are several, or none
 * because another guest or the host has the lock.
 */
static P9LockOwner *lock_holder(const P9LockOwner *self,
                                const struct flock *lock)
{
    P9LockOwner *found = NULL;
    P9LockOwner *o;
    GHashTableIter iter;
    int64_t last = lock->l_len ? lock->l_start + (lock->l_len - 1) : INT64_MAX;

    if (lock->l_pid > 0) {
        return NULL;            /* a POSIX lock of a process on the host */
    }
    g_hash_table_iter_init(&iter, self->s->locks.owners);
    while (g_hash_table_iter_next(&iter, (gpointer *)&o, NULL)) {
        if (o != self && o->node == self->node && owner_has(o, lock, last)) {
            if (found) {
                return NULL;
            }
            found = o;
        }
    }
    return found;
}

static bool owner_same_client(const P9LockOwner *a, const P9LockOwner *b)
{
    return !strcmp(a->client_id, b->client_id);
}

/* Whether another process of the same client has locked some of these bytes */
static bool client_holds(const P9LockOwner *self, int64_t first, int64_t last)
{
    P9LockOwner *o;
    GHashTableIter iter;

    g_hash_table_iter_init(&iter, self->s->locks.owners);
    while (g_hash_table_iter_next(&iter, (gpointer *)&o, NULL)) {
        if (o != self && o->node == self->node &&
            owner_same_client(o, self) && owner_holds(o, first, last)) {
            return true;
        }
    }
    return false;
}

/*
 * Looks for a lock in the way of @lock, as F_GETLK does: @lock becomes that
 * one, and *@holder its owner, or NULL if it is unknown. Otherwise the type
 * becomes F_UNLCK.
 *
 * Linux' client sends F_UNLCK whatever the program asks about, and only if none
 * of its own locks is in the way (v9fs_file_getlock()). So if it holds locks on
 * these bytes, the program asks about a lock for reading, and only locks for
 * writing can be in the way. If it holds none, any lock may be. A lock that it
 * does hold has just ended there, or comes from flock(2), which the client
 * keeps apart.
 */
static int coroutine_fn getlock_find(P9Request *req, P9LockOwner *self,
                                     struct flock *lock, int64_t last,
                                     P9LockOwner **holder)
{
    bool others = lock->l_type == F_UNLCK;
    int ret;

    if (others) {
        lock->l_type = client_holds(self, lock->l_start, last) ? F_RDLCK
                                                               : F_WRLCK;
    }
    *holder = NULL;
    ret = p9_driver(req)->lock(&req->call, self->file, lock, true);
    if (ret == 0 && lock->l_type != F_UNLCK) {
        *holder = lock_holder(self, lock);
        if (others && *holder && owner_same_client(*holder, self)) {
            lock->l_type = F_UNLCK;
        }
    }
    return ret;
}

/*
 * Tgetlock fid[4] type[1] start[8] length[8] proc_id[4] client_id[s]: replies
 * with the same members, describing a lock that conflicts, or with
 * P9_LOCK_TYPE_UNLCK if there is none. An unknown holder has proc_id 0 and an
 * empty client_id. A question with that type is getlock_find()'s.
 */
int coroutine_fn p9_getlock(P9Request *req)
{
    MarshalWriter *w = &req->w;
    g_autoptr(P9Fid) fid = NULL;
    uint32_t id, proc_id;
    uint64_t start, length;
    const char *client_id;
    size_t client_id_len;
    P9LockOwner *self, *holder;
    struct flock lock;
    int64_t last;
    uint8_t type;
    int ret;

    id = marshal_get_u32(&req->r);
    type = marshal_get_u8(&req->r);
    start = marshal_get_u64(&req->r);
    length = marshal_get_u64(&req->r);
    proc_id = marshal_get_u32(&req->r);
    client_id = marshal_get_str(&req->r, &client_id_len);
    if (!marshal_done(&req->r) || client_id_len > P9_LOCK_CLIENT_ID_MAX) {
        return -EINVAL;
    }
    ret = lock_fid(req, id, &fid);
    if (ret < 0) {
        return ret;
    }
    ret = lock_range(&lock, type, start, length, &last);
    if (ret < 0) {
        return ret;
    }
    ret = owner_get(req, fid, proc_id, client_id, &self);
    if (ret < 0) {
        return ret;
    }
    ret = getlock_find(req, self, &lock, last, &holder);
    if (ret == 0) {
        if (lock.l_type == F_UNLCK) {
            type = P9_LOCK_TYPE_UNLCK;
        } else {
            type = lock.l_type == F_RDLCK ? P9_LOCK_TYPE_RDLCK
                                          : P9_LOCK_TYPE_WRLCK;
            start = lock.l_start;
            length = lock.l_len;
            proc_id = holder ? holder->proc_id : 0;
            client_id = holder ? holder->client_id : "";
        }
        p9_reply_reserve(req, 1 + 8 + 8 + 4 + 2 + strlen(client_id));
        marshal_put_u8(w, type);
        marshal_put_u64(w, start);
        marshal_put_u64(w, length);
        marshal_put_u32(w, proc_id);
        marshal_put_str(w, client_id);
    }
    owner_release(self);
    return ret;
}
