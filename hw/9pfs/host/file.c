/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * I/O on held host descriptors.
 *
 * Theory of operation. Reads and writes first ask the kernel with RWF_NOWAIT
 * (preadv2(2)). The kernel answers from the page cache or says EAGAIN, so the
 * call neither blocks this thread nor needs another one. The rest goes to the
 * thread pool. File systems without RWF_NOWAIT say EOPNOTSUPP, which the open
 * file remembers for reads and for writes. A read that came back short at the
 * end of the file is complete; a statx(2) that may not ask a server
 * (AT_STATX_DONT_SYNC) says so without blocking. A long read goes to the pool
 * at once while there are other requests, which its copying would hold up.
 *
 * O_DIRECT goes past the page cache, so such a file's reads and writes are for
 * the thread pool: RWF_NOWAIT only keeps them from waiting for locks, and then
 * the call would wait for the device. The host wants memory, offset and length
 * aligned for O_DIRECT, which the guest's own kernel does not promise to a 9p
 * client. If the host refuses a read or write with EINVAL, it is done again
 * without O_DIRECT, as is all later I/O on that open file.
 *
 * On a file system in memory (device-numbers.h) nothing waits, although it has
 * no RWF_NOWAIT: all of this happens here, and so do the operations below. Only
 * reads and writes that are long enough to hold other requests up go to the
 * pool, where other processors may work on them.
 *
 * All other operations may wait for storage or for a file server, and run in
 * the thread pool: fsync(2), getdents64(2) and OFD locks (F_OFD_SETLK itself
 * never waits for another lock, but on a network file system it asks the
 * server). Work in the pool cannot be given up: a cancelled call waits until it
 * is done and returns its result.
 *
 * close(2) of a file that was open for writing may write back on network file
 * systems. The pool does it as well, so it may come after the reply to the
 * Tclunk that caused it. Locks must not outlive that reply, so they end first.
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
 * A block takes memory only as long as it has entries that no request has taken
 * yet. An export keeps at most HOST_DIR_BLOCKS of those that no request uses.
 * For another one, the least recently used goes, and its directory is read
 * again from the offset of its next entry.
 */
#include "qemu/osdep.h"
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include "block/thread-pool.h"
#include "qemu/iov.h"
#include "fd-limit.h"
#include "file.h"


/* Bytes that one read or write copies at once, on a file system in memory */
#define SHORT_MAX           (1024 * 1024)
/* A read of this size goes to another thread if there are other requests. */
#define SHARE_MIN           (128 * 1024)

/* linux_dirent64 of getdents64(2): ino[8] off[8] reclen[2] type[1] name */
#define DIRENT_OFF          8
#define DIRENT_RECLEN       16
#define DIRENT_TYPE         18
#define DIRENT_NAME         19

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

/* RWF_NOWAIT is about the cache: such a write would go on to storage. */
static void set_io_wait(HostFile *f)
{
    bool sync = f->file.flags & O_DSYNC;

    f->read_wait = f->direct ? HOST_WAIT_POOL : HOST_WAIT_TRY_FIRST;
    f->write_wait = f->direct || sync ? HOST_WAIT_POOL : HOST_WAIT_TRY_FIRST;
}

FsFile *host_file_new(FsNode *node, int fd, int flags, bool writeout,
                      HostDevKind kind)
{
    HostFile *f = g_new0(HostFile, 1);

    host_limit_seen(fd);
    fs_file_init(&f->file, node, flags);
    f->fd = fd;
    f->wait = kind == HOST_DEV_MEMORY ? HOST_WAIT_NEVER : HOST_WAIT_POOL;
    f->writeout = writeout && f->wait != HOST_WAIT_NEVER;
    /* Without O_DIRECT in the file system, @fd was opened without it. */
    f->direct = (flags & O_DIRECT) && (fcntl(fd, F_GETFL) & O_DIRECT);
    set_io_wait(f);
    return &f->file;
}

/* I/O goes through the page cache from now on. */
static void host_file_undirect(HostFile *f)
{
    int flags = fcntl(f->fd, F_GETFL);

    f->direct = false;
    set_io_wait(f);
    if (flags >= 0) {
        fcntl(f->fd, F_SETFL, flags & ~O_DIRECT);
    }
}

int host_file_fd(const FsFile *file)
{
    return container_of(file, HostFile, file)->fd;
}

static int close_work(void *opaque)
{
    close(GPOINTER_TO_INT(opaque));
    return 0;
}

static void host_dir_free(HostFile *f);

void host_file_free(FsFile *file)
{
    HostFile *f = host_file(file);

    if ((file->flags & O_ACCMODE) == O_RDONLY || f->wait == HOST_WAIT_NEVER) {
        close(f->fd);
    } else {
        if (f->locked) {
            struct flock all = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

            fcntl(f->fd, F_OFD_SETLK, &all);
        }
        thread_pool_submit_aio(close_work, GINT_TO_POINTER(f->fd), NULL, NULL);
    }
    host_dir_free(f);
    g_free(f);
}

/*
 * Reading and writing
 */

/* Vectors in one system call: more than a virtqueue of usual size brings */
#define HOST_IO_VECTORS     128

typedef struct HostIo {
    HostFile *f;
    bool write;
    const struct iovec *iov;    /* the rest, */
    int niov;
    size_t skip;                /* without these bytes of the first */
    uint64_t offset;
    size_t left;
    size_t done;
    int error;                  /* of the last system call in the pool */
} HostIo;

static void host_io_advance(HostIo *io, size_t n)
{
    io->offset += n;
    io->done += n;
    io->left -= n;
    n += io->skip;
    while (io->niov > 0 && n >= io->iov->iov_len) {
        n -= io->iov->iov_len;
        io->iov++;
        io->niov--;
    }
    io->skip = n;
}

/*
 * One system call for the rest, or as much of it as fits in one: *@want gets
 * the bytes asked for. Returns the bytes moved, or -errno.
 */
static ssize_t host_io_once(HostIo *io, int rwf, size_t *want)
{
    struct iovec iov[HOST_IO_VECTORS];
    int n = MIN(io->niov, HOST_IO_VECTORS);
    ssize_t ret;

    memcpy(iov, io->iov, n * sizeof(iov[0]));
    iov[0].iov_base = (char *)iov[0].iov_base + io->skip;
    iov[0].iov_len -= io->skip;
    *want = iov_size(iov, n);
    do {
        ret = io->write
            ? pwritev2(io->f->fd, iov, n, io->offset, rwf)
            : preadv2(io->f->fd, iov, n, io->offset, rwf);
    } while (ret < 0 && errno == EINTR);
    if (ret < 0) {
        return -errno;
    }
    host_io_advance(io, ret);
    return ret;
}

static bool host_io_at_end(HostIo *io)
{
    struct statx st;

    return statx(io->f->fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
                 STATX_SIZE, &st) == 0 &&
           (st.stx_mask & STATX_SIZE) && io->offset >= st.stx_size;
}

/*
 * As much as can be done without waiting. True if that settles it, with the
 * result in *@ret.
 */
static bool host_io_try(HostIo *io, ssize_t *ret)
{
    HostWait *wait = io->write ? &io->f->write_wait : &io->f->read_wait;
    size_t want;
    ssize_t n;

    while (io->left) {
        if (*wait == HOST_WAIT_POOL) {
            return false;
        }
        n = host_io_once(io, RWF_NOWAIT, &want);
        if (n == -EAGAIN) {
            return false;
        } else if (n == -EOPNOTSUPP || n == -ENOSYS) {
            *wait = HOST_WAIT_POOL;
            return false;
        } else if (n < 0) {
            *ret = io->done ? (ssize_t)io->done : n;
            return true;
        } else if ((size_t)n < want) {
            if (!io->write && (n == 0 || host_io_at_end(io))) {
                break;
            }
            return false;
        }
    }
    *ret = io->done;
    return true;
}

static int host_io_work(void *opaque)
{
    HostIo *io = opaque;
    uint64_t start = io->offset;
    size_t want;
    ssize_t n = 0;

    while (io->left) {
        n = host_io_once(io, 0, &want);
        if (n <= 0) {
            break;
        }
    }
    io->error = n < 0 ? n : 0;
#ifdef CONFIG_SYNC_FILE_RANGE
    if (io->write && io->f->writeout && io->offset > start) {
        /*
         * This only starts the writing, and fsync reports its errors. With
         * O_APPEND the place of the data is not known.
         */
        if (io->f->file.flags & O_APPEND) {
            sync_file_range(io->f->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
        } else {
            sync_file_range(io->f->fd, start, io->offset - start,
                            SYNC_FILE_RANGE_WRITE);
        }
    }
#endif
    return 0;
}

/*
 * Whether another thread should do the copying, even if nothing waits: copying
 * takes much longer than waking a thread, and there are other requests. Writes
 * to one file wait for one another anyway.
 */
static bool host_io_shared(const FsCall *call, const HostIo *io)
{
    return !io->write && io->left >= SHARE_MIN && call->others;
}

static ssize_t coroutine_fn host_file_io(FsCall *call, FsFile *file, bool write,
                                         const struct iovec *iov, int niov,
                                         uint64_t offset)
{
    HostIo io = {
        .f = host_file(file),
        .write = write,
        .iov = iov,
        .niov = niov,
        .offset = offset,
        .left = iov_size(iov, niov),
    };
    bool direct = io.f->direct;
    ssize_t ret;

    host_io_advance(&io, 0);    /* past empty vectors */

    if (host_io_shared(call, &io)) {
        thread_pool_submit_co(host_io_work, &io);
    } else if (io.f->wait == HOST_WAIT_NEVER && io.left <= SHORT_MAX) {
        host_io_work(&io);
    } else if (!(write && io.f->writeout) && host_io_try(&io, &ret)) {
        /* With writeout=immediate every write ends in the pool anyway */
        return ret;
    } else {
        thread_pool_submit_co(host_io_work, &io);
    }
    if (io.error == -EINVAL && direct) {
        if (io.f->direct) {
            host_file_undirect(io.f);
        }
        thread_pool_submit_co(host_io_work, &io);
    }
    return io.error < 0 && !io.done ? io.error : (ssize_t)io.done;
}

ssize_t coroutine_fn host_file_read(FsCall *call, FsFile *file,
                                    const struct iovec *iov, int niov,
                                    uint64_t offset)
{
    return host_file_io(call, file, false, iov, niov, offset);
}

ssize_t coroutine_fn host_file_write(FsCall *call, FsFile *file,
                                     const struct iovec *iov, int niov,
                                     uint64_t offset)
{
    return host_file_io(call, file, true, iov, niov, offset);
}

/*
 * Generation, fsync and locks
 */

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
    ret = thread_pool_submit_co(generation_work, &work);
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

    return host_run(f->wait, datasync ? fdatasync_work : fsync_work, f);
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
    return host_run(f->wait, lock_work, &work);
}

/*
 * Directories
 */

typedef struct HostDirRead {
    int fd;
    HostDir *dir;
} HostDirRead;

/* Fills the block: bytes in it, 0 at the end of the directory, or -errno. */
static int readdir_work(void *opaque)
{
    HostDirRead *rd = opaque;
    HostDir *dir = rd->dir;
    size_t len = 0;
    ssize_t n;

    if (dir->seek && lseek(rd->fd, dir->next, SEEK_SET) < 0) {
        return -errno;
    }
    do {
        n = syscall(SYS_getdents64, rd->fd, dir->buf + len,
                    HOST_DIR_BLOCK - len);
        if (n < 0) {
            /* After some entries, the next call reports it */
            return len ? len : -errno;
        }
        len += n;
    } while (n > 0 && len < HOST_DIR_BLOCK / 2);
    dir->end = n == 0;
    return len;
}

/* Offers the entries of the block. False when one was refused. */
static bool host_dir_hand_on(HostDir *dir, FsDirFill *fill, void *opaque)
{
    while (dir->pos < dir->len) {
        const uint8_t *p = dir->buf + dir->pos;
        const char *name = (const char *)p + DIRENT_NAME;
        FsDirent entry = {
            .type = p[DIRENT_TYPE],
            .name = name,
            .namelen = strlen(name),
        };
        uint16_t reclen;

        memcpy(&entry.ino, p, sizeof(entry.ino));
        memcpy(&entry.next, p + DIRENT_OFF, sizeof(entry.next));
        memcpy(&reclen, p + DIRENT_RECLEN, sizeof(reclen));
        if (!fill(opaque, &entry)) {
            return false;
        }
        dir->next = entry.next;
        dir->pos += reclen;
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

static int coroutine_fn host_dir_read(HostFile *f, HostDir *dir,
                                      uint64_t offset, FsDirFill *fill,
                                      void *opaque)
{
    HostDirRead rd = { .fd = f->fd, .dir = dir };
    int ret;

    if (offset != dir->next || (offset == 0 && dir->len > 0)) {
        host_dir_drop(dir);
        dir->next = offset;
        dir->end = false;
        dir->seek = true;
    }
    while (host_dir_hand_on(dir, fill, opaque)) {
        if (dir->end) {
            /* Reported once; the next request reads the directory again */
            dir->end = dir->next != offset;
            return 0;
        }
        if (!dir->buf) {
            dir->buf = g_malloc(HOST_DIR_BLOCK);
        }
        ret = host_run(f->wait, readdir_work, &rd);
        dir->pos = dir->len = 0;
        if (ret < 0) {
            /* The descriptor's position is unknown: seek next time */
            dir->seek = true;
            /* The entries so far are good. */
            return dir->next == offset ? ret : 0;
        }
        dir->seek = false;
        if (ret == 0) {
            return 0;
        }
        dir->len = ret;
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
    qemu_co_mutex_lock(&dir->lock);
    host_dir_leave_lru(file->node->fs->dirs, dir);
    ret = host_dir_read(f, dir, offset, fill, opaque);
    host_dir_rest(file->node->fs->dirs, dir);
    qemu_co_mutex_unlock(&dir->lock);
    return ret;
}
