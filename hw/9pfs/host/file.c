/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * I/O on held host descriptors.
 *
 * file-io.c has reads and writes.
 *
 * All other operations may wait for storage or for a file server, and run in
 * the thread pool: fsync(2), getdents64(2) and OFD locks (F_OFD_SETLK itself
 * never waits for another lock, but on a network file system it asks the
 * server). On a file system in memory only getdents64(2) may wait: it takes the
 * directory's lock (device-numbers.h). Work in the pool cannot be given up: a
 * cancelled call waits until it is done and returns its result.
 *
 * close(2) of a file that was open for writing may write back, and on a remote
 * file system every close(2) may ask the server. The pool does it as well, so
 * it may come after the reply to the Tclunk that caused it. Locks must not
 * outlive that reply, so they end first, unless that asks the server, too.
 *
 * A directory is read in blocks of many entries. The block stays with the open
 * directory, together with the offset of its next entry, so the next request
 * normally finds its entries without a system call. The end of the directory is
 * remembered for the one request that will ask for entries after the last: a
 * small directory needs the thread pool once, however often it is read. All
 * requests on the open directory share the descriptor's position and the block:
 * a CoMutex lets one at a time use them. A request for offset 0 always starts
 * again, as rewinddir(3) does.
 *
 * If the types that the guest sees are not the host's, the work that reads a
 * block replaces them.
 *
 * The directory above the export's root is none of the guest's: there, ".." has
 * the root's own inode number.
 *
 * A block takes memory only as long as it has entries that no request has taken
 * yet. An export keeps at most HOST_DIR_BLOCKS of those that no request uses.
 * For another one, the least recently used goes, and its directory is read
 * again from the offset of its next entry.
 */
#include "qemu/osdep.h"
#include <linux/fs.h>
#include <sys/ioctl.h>
#include "block/aio-wait.h"
#include "fd-budget.h"
#include "fd-limit.h"
#include "file.h"

struct HostDir {
    CoMutex lock;
    uint64_t next;              /* offset of the next entry, at buf + pos */
    size_t pos;
    size_t len;
    bool end;                   /* nothing came after the block */
    bool seek;                  /* the descriptor must go to next first */
    uint8_t *buf;               /* NULL: the block has no more entries */
    QTAILQ_ENTRY(HostDir) lru;  /* with a block that no request uses */
};

/* The blocks of an export's directories that no request uses */
struct HostDirs {
    unsigned blocks;
    QTAILQ_HEAD(, HostDir) lru; /* last used last */
};

static HostFile *host_file(FsFile *file)
{
    return container_of(file, HostFile, file);
}

void host_file_set_io_wait(HostFile *f)
{
    f->read_wait = f->direct ? HOST_WAIT_POOL : HOST_WAIT_TRY_FIRST;
}

FsFile *host_file_new(FsNode *node, int fd, int flags, bool writeout,
                      HostDevKind kind)
{
    HostFile *f = g_new0(HostFile, 1);

    host_limit_seen(fd);
    fs_file_init(&f->file, node, flags);
    f->fd = fd;
    f->remote = kind == HOST_DEV_REMOTE;
    f->wait = kind == HOST_DEV_MEMORY ? HOST_WAIT_NEVER : HOST_WAIT_POOL;
    f->writeout = writeout && f->wait != HOST_WAIT_NEVER;
    /* Without O_DIRECT in the file system, @fd was opened without it. */
    f->direct = (flags & O_DIRECT) && (fcntl(fd, F_GETFL) & O_DIRECT);
    host_file_set_io_wait(f);
    return &f->file;
}

void host_file_set_entry_type(FsFile *file, HostEntryType *type, void *opaque)
{
    HostFile *f = host_file(file);

    f->entry_type = type;
    f->entry_type_opaque = opaque;
}

void host_file_set_list(FsFile *file, HostDirList *list, bool has_types)
{
    HostFile *f = host_file(file);

    f->list = list;
    f->list_has_types = has_types;
}

int host_file_fd(const FsFile *file)
{
    return container_of(file, HostFile, file)->fd;
}

static void close_file(int fd)
{
    close(fd);
    host_files_remove();
}

/* A file whose data may go to a server as it closes */
typedef struct SlowClose {
    int fd;
    unsigned *closing;          /* FsExport.closing, with a reference */
} SlowClose;

static int slow_close_work(void *opaque)
{
    g_autofree SlowClose *c = opaque;

    close_file(c->fd);
    qatomic_dec(c->closing);
    aio_wait_kick();
    g_atomic_rc_box_release(c->closing);
    return 0;
}

static void slow_close(const HostFile *f)
{
    const FsNode *node = f->file.node;
    SlowClose *c = g_new(SlowClose, 1);

    c->fd = f->fd;
    c->closing = g_atomic_rc_box_acquire(node->fs->closing);
    qatomic_inc(c->closing);
    host_pool_post(node->dev, slow_close_work, c);
}

static void host_dir_free(HostFile *f);

void host_file_free(FsFile *file)
{
    HostFile *f = host_file(file);

    if (!f->remote && ((file->flags & O_ACCMODE) == O_RDONLY ||
                       f->wait == HOST_WAIT_NEVER) &&
        !host_is_unnamed(f->fd)) {
        close_file(f->fd);
    } else {
        if (f->locked && !f->remote) {
            struct flock all = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

            fcntl(f->fd, F_OFD_SETLK, &all);
        }
        slow_close(f);
    }
    host_dir_free(f);
    g_free(f);
}

/*
 * Attributes, generation, fsync and locks
 */

typedef struct HostGetattr {
    int fd;
    FsAttr *attr;
} HostGetattr;

static int getattr_work(void *opaque)
{
    HostGetattr *work = opaque;

    return hostfs_getattr(work->fd, work->attr);
}

int coroutine_fn host_file_getattr(FsFile *file, HostWait wait, FsAttr *attr)
{
    HostGetattr work = { .fd = host_file_fd(file), .attr = attr };
    int ret;

    fs_file_ref(file);
    ret = host_run(file->node->dev, wait, getattr_work, &work);
    fs_file_unref(file);
    return ret;
}

typedef struct HostTruncate {
    int fd;
    uint64_t size;
} HostTruncate;

static int truncate_work(void *opaque)
{
    const HostTruncate *work = opaque;

    return ftruncate(work->fd, work->size) < 0 ? -errno : 0;
}

int coroutine_fn host_file_truncate(FsFile *file, uint64_t size)
{
    HostTruncate work = { .fd = host_file_fd(file), .size = size };
    int ret;

    if (size > INT64_MAX) {
        return -EFBIG;
    }
    fs_file_ref(file);
    ret = host_pool_run(file->node->dev, truncate_work, &work);
    fs_file_unref(file);
    return ret;
}

typedef struct HostGeneration {
    int fd;
    uint64_t *gen;
} HostGeneration;

static int generation_work(void *opaque)
{
    HostGeneration *work = opaque;
    unsigned int version;

    /* The kernel writes an int, although the number is defined with a long. */
    if (ioctl(work->fd, FS_IOC_GETVERSION, &version) < 0) {
        return -EOPNOTSUPP;
    }
    *work->gen = version;
    return 0;
}

int coroutine_fn host_file_generation(FsFile *file, uint64_t *gen)
{
    HostGeneration work = { .fd = host_file_fd(file), .gen = gen };
    int ret;

    fs_file_ref(file);
    ret = host_pool_run(file->node->dev, generation_work, &work);
    fs_file_unref(file);
    return ret;
}

static int fsync_work(void *opaque)
{
    HostFile *f = opaque;

    return fsync(f->fd) < 0 ? -errno : 0;
}

static int fdatasync_work(void *opaque)
{
    HostFile *f = opaque;

    return fdatasync(f->fd) < 0 ? -errno : 0;
}

int coroutine_fn host_file_fsync(FsCall *call, FsFile *file, bool datasync)
{
    HostFile *f = host_file(file);

    return host_run(file->node->dev, f->wait,
                    datasync ? fdatasync_work : fsync_work, f);
}

int coroutine_fn host_file_settle(FsCall *call, FsFile *file)
{
    return host_file(file)->remote ? host_file_fsync(call, file, false) : 0;
}

typedef struct HostLock {
    int fd;
    int cmd;
    struct flock *lock;
} HostLock;

static int lock_work(void *opaque)
{
    HostLock *l = opaque;
    int ret;

    do {
        ret = fcntl(l->fd, l->cmd, l->lock);
    } while (ret < 0 && errno == EINTR);
    if (ret < 0) {
        /* fcntl(2): either error means that another owner has the lock */
        return errno == EACCES ? -EAGAIN : -errno;
    }
    /*
     * A lock of an open file has no process. NFS names the one that set it,
     * and this process sets no other locks on what it serves.
     */
    if (l->lock->l_pid == getpid()) {
        l->lock->l_pid = -1;
    }
    return 0;
}

int coroutine_fn host_file_lock(FsCall *call, FsFile *file,
                                struct flock *lock, bool test)
{
    HostFile *f = host_file(file);
    HostLock work = {
        .fd = f->fd,
        .cmd = test ? F_OFD_GETLK : F_OFD_SETLK,
        .lock = lock,
    };

    lock->l_pid = 0;            /* OFD locks require this: fcntl(2) */
    f->locked |= !test;
    return host_run(file->node->dev, f->wait, lock_work, &work);
}

/*
 * Directories
 */

typedef struct HostDirRead {
    const HostFile *f;
    HostDir *dir;
    bool unknown;               /* the type of an entry */
} HostDirRead;

/*
 * Replaces the types of entries by those that the guest sees. Returns whether
 * one that the host knows is unknown.
 */
static bool set_types(const HostFile *f, uint8_t *buf, size_t len)
{
    bool unknown = false;
    FsDirent entry;
    uint8_t *p;
    size_t size;

    for (p = buf; f->entry_type && p < buf + len; p += size) {
        size = hostfs_dirent_get(p, &entry);
        p[HOSTFS_DIRENT_TYPE] = f->entry_type(f->entry_type_opaque, f->fd,
                                              entry.name, entry.type);
        unknown |= p[HOSTFS_DIRENT_TYPE] == DT_UNKNOWN &&
                   entry.type != DT_UNKNOWN;
    }
    return unknown;
}

/* Fills the block: bytes in it, 0 at the end of the directory, or -errno. */
static int readdir_work(void *opaque)
{
    HostDirRead *rd = opaque;
    HostDir *dir = rd->dir;
    int len;

    if (dir->seek && lseek(rd->f->fd, dir->next, SEEK_SET) < 0) {
        return -errno;
    }
    dir->seek = false;
    len = hostfs_getdents(rd->f->fd, dir->buf, HOST_DIR_BLOCK, &dir->end);
    if (len > 0) {
        rd->unknown = set_types(rd->f, dir->buf, len);
    }
    return len;
}

/* Fills @buf as readdir_work() does, but from the list. */
static int coroutine_fn host_dir_list(FsCall *call, HostFile *f, HostDir *dir,
                                      uint8_t *buf)
{
    int ret = f->list(call, f->file.node, dir->next, buf, HOST_DIR_BLOCK);

    if (ret >= 0) {
        /* It may end elsewhere than what the descriptor would give. */
        dir->seek = true;
        dir->end = false;
    }
    return ret;
}

/*
 * Fills the block, as readdir_work(). Some file servers ask at each read
 * whether this process' user may read the directory, whoever has opened it.
 * Where the descriptor does not show a type, the list is asked first from then
 * on: both at each block take twice the time.
 */
static int coroutine_fn host_dir_fill(FsCall *call, HostFile *f, HostDir *dir)
{
    HostDirRead rd = { .f = f, .dir = dir };
    g_autofree uint8_t *buf = NULL;
    int ret = -EACCES;
    int listed;

    if (f->lists_types) {
        ret = host_dir_list(call, f, dir, dir->buf);
        if (ret >= 0) {
            return ret;
        }
    }
    if (!f->lists) {
        ret = host_pool_run(f->file.node->dev, readdir_work, &rd);
    }
    if (ret == -EACCES && f->list) {
        ret = host_dir_list(call, f, dir, dir->buf);
        f->lists |= ret >= 0;
    } else if (ret > 0 && rd.unknown && f->list_has_types) {
        buf = g_malloc(HOST_DIR_BLOCK);
        listed = host_dir_list(call, f, dir, buf);
        f->lists_types = listed >= 0;
        if (listed >= 0) {
            memcpy(dir->buf, buf, listed);
            ret = listed;
        }
    }
    return ret;
}

/* Offers the entries of the block. False when one was refused. */
static bool host_dir_hand_on(const HostFile *f, HostDir *dir, FsDirFill *fill,
                             void *opaque)
{
    const FsNode *node = f->file.node;

    while (dir->pos < dir->len) {
        FsDirent entry;
        size_t size = hostfs_dirent_get(dir->buf + dir->pos, &entry);

        if (node == node->fs->root && !strcmp(entry.name, "..")) {
            entry.ino = node->ino;
        }
        if (!fill(opaque, &entry)) {
            return false;
        }
        dir->next = entry.next;
        dir->pos += size;
    }
    return true;
}

/* The block's entries, if there are any, must be read again. */
static void host_dir_drop(HostDir *dir)
{
    if (dir->pos < dir->len) {
        dir->seek = true;
        dir->end = false;
    }
    dir->pos = dir->len = 0;
    g_clear_pointer(&dir->buf, g_free);
}

static void host_dir_leave_lru(HostDirs *dirs, HostDir *dir)
{
    if (QTAILQ_IN_USE(dir, lru)) {
        QTAILQ_REMOVE(&dirs->lru, dir, lru);
        dirs->blocks--;
    }
}

/* No request uses the block any longer: keeps it if it has more entries. */
static void host_dir_rest(HostDirs *dirs, HostDir *dir)
{
    HostDir *first;

    if (dir->pos == dir->len) {
        host_dir_drop(dir);
        return;
    }
    QTAILQ_INSERT_TAIL(&dirs->lru, dir, lru);
    if (++dirs->blocks > HOST_DIR_BLOCKS) {
        first = QTAILQ_FIRST(&dirs->lru);
        host_dir_leave_lru(dirs, first);
        host_dir_drop(first);
    }
}

static HostDir *host_dir_get(HostFile *f)
{
    FsExport *fs = f->file.node->fs;

    if (!fs->dirs) {
        fs->dirs = g_new0(HostDirs, 1);
        QTAILQ_INIT(&fs->dirs->lru);
    }
    if (!f->dir) {
        /* At the position that a new descriptor has */
        f->dir = g_new0(HostDir, 1);
        qemu_co_mutex_init(&f->dir->lock);
    }
    return f->dir;
}

static void host_dir_free(HostFile *f)
{
    if (f->dir) {
        host_dir_leave_lru(f->file.node->fs->dirs, f->dir);
        g_free(f->dir->buf);
        g_free(f->dir);
    }
}

static int coroutine_fn host_dir_read(FsCall *call, HostFile *f, HostDir *dir,
                                      uint64_t offset, FsDirFill *fill,
                                      void *opaque)
{
    int ret, got;

    if (offset != dir->next || (offset == 0 && dir->len > 0)) {
        host_dir_drop(dir);
        dir->next = offset;
        dir->end = false;
        dir->seek = true;
    }
    while (host_dir_hand_on(f, dir, fill, opaque)) {
        if (dir->end) {
            /* Reported once; the next request reads the directory again */
            dir->end = dir->next != offset;
            return 0;
        }
        if (!dir->buf) {
            dir->buf = g_malloc(HOST_DIR_BLOCK);
        }
        fs_call_memory_put(call);
        ret = host_dir_fill(call, f, dir);
        got = fs_call_memory_get(call);
        dir->pos = dir->len = 0;
        if (ret < 0) {
            /* The descriptor's position is unknown: seek next time */
            dir->seek = true;
            /* The entries so far are good. */
            return dir->next == offset ? ret : 0;
        }
        dir->len = ret;
        if (got < 0) {
            return got;
        }
        if (ret == 0) {
            return 0;
        }
    }
    return 0;
}

int coroutine_fn host_file_readdir(FsCall *call, FsFile *file, uint64_t offset,
                                   FsDirFill *fill, void *opaque)
{
    HostFile *f = host_file(file);
    HostDir *dir;
    int ret;

    if (offset > INT64_MAX) {
        return -EINVAL;
    }
    dir = host_dir_get(f);
    fs_call_memory_put(call);
    qemu_co_mutex_lock(&dir->lock);
    host_dir_leave_lru(file->node->fs->dirs, dir);
    ret = fs_call_memory_get(call);
    if (ret == 0) {
        ret = host_dir_read(call, f, dir, offset, fill, opaque);
    }
    host_dir_rest(file->node->fs->dirs, dir);
    qemu_co_mutex_unlock(&dir->lock);
    return ret;
}
