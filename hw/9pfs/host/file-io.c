/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reads and writes of open host descriptors.
 *
 * Theory of operation. Reads first ask the kernel with RWF_NOWAIT (preadv2(2)).
 * The kernel answers from the page cache or says EAGAIN, so the call neither
 * blocks this thread nor needs another one. The rest goes to the thread pool,
 * and so do all writes: with RWF_NOWAIT, too, they wait while the host has
 * frozen the file system (FIFREEZE), and ext4 has no RWF_NOWAIT for them. File
 * systems without RWF_NOWAIT say EOPNOTSUPP, which the open file remembers. A
 * read that came back short at the end of the file is complete; a statx(2) that
 * may not ask a server (AT_STATX_DONT_SYNC) says so without blocking. A long
 * read goes to the pool at once while there are other requests, which its
 * copying would hold up.
 *
 * O_DIRECT goes past the page cache, so such a file's reads are for the thread
 * pool, too: RWF_NOWAIT only keeps them from waiting for locks, and then the
 * call would wait for the device. The host wants memory, offset and length
 * aligned for O_DIRECT, which the guest's own kernel does not promise to a 9p
 * client. If the host refuses a read or write with EINVAL, it is done again
 * without O_DIRECT, as is all later I/O on that open file.
 *
 * On a file system in memory (device-numbers.h) reads do not wait, although it
 * has no RWF_NOWAIT: they happen here. Only reads that are long enough to hold
 * other requests up go to the pool, where other processors may work on them.
 * Writes take the inode's lock, so they go to the pool as on all file systems.
 *
 * The pool moves data through memory of its own, because a request may end
 * while its thread is still in the kernel: the guest's memory may have other
 * data by then, and what stood in for a device's registers is freed. Reads from
 * a file system in memory are an exception: such a request does not end before.
 */
#include "qemu/osdep.h"
#include <sys/uio.h>
#include "qemu/iov.h"
#include "qemu/memalign.h"
#include "file.h"

/* Bytes that one read copies at once, on a file system in memory */
#define SHORT_MAX           (1024 * 1024)
/* A read of this size goes to another thread if there are other requests. */
#define SHARE_MIN           (128 * 1024)

/* I/O goes through the page cache from now on. */
static void host_file_undirect(HostFile *f)
{
    int flags = fcntl(f->fd, F_GETFL);

    f->direct = false;
    host_file_set_io_wait(f);
    if (flags >= 0) {
        fcntl(f->fd, F_SETFL, flags & ~O_DIRECT);
    }
}

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
    bool plain;                 /* write only to files without set-id bits */
    bool set_id;                /* result: it has some */
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

/* Just before a write: the mode may have changed since the file was opened. */
static bool host_io_has_set_id(const HostIo *io)
{
    struct stat st;

    return fstat(io->f->fd, &st) == 0 && (st.st_mode & (S_ISUID | S_ISGID));
}

static bool host_io_at_end(HostIo *io)
{
    struct statx st;

    return statx(io->f->fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
                 STATX_SIZE, &st) == 0 &&
           (st.stx_mask & STATX_SIZE) && io->offset >= st.stx_size;
}

/*
 * As much of a read as can be done without waiting. True if that settles it,
 * with the result in *@ret.
 */
static bool host_io_try(HostIo *io, ssize_t *ret)
{
    size_t want;
    ssize_t n;

    while (io->left) {
        if (io->f->read_wait == HOST_WAIT_POOL) {
            return false;
        }
        n = host_io_once(io, RWF_NOWAIT, &want);
        if (n == -EAGAIN) {
            return false;
        } else if (n == -EOPNOTSUPP || n == -ENOSYS) {
            io->f->read_wait = HOST_WAIT_POOL;
            return false;
        } else if (n < 0) {
            *ret = io->done ? (ssize_t)io->done : n;
            return true;
        } else if ((size_t)n < want) {
            if (n == 0 || host_io_at_end(io)) {
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
        if (io->plain && host_io_has_set_id(io)) {
            io->set_id = true;
            break;
        }
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

static int host_io_try_work(void *opaque)
{
    HostIo *io = opaque;
    ssize_t ret;

    if (host_io_try(io, &ret)) {
        io->left = 0;
        io->error = ret < 0 ? ret : 0;
    }
    return 0;
}

/*
 * host_pool_enter() for work in the guest's memory. A hung file server may hold
 * all threads that there are for it: meanwhile the VM can stop.
 */
static int coroutine_fn host_io_enter(FsCall *call, uint64_t dev)
{
    int ret;

    fs_call_memory_put(call);
    ret = host_pool_enter(dev);
    if (ret == 0) {
        ret = fs_call_memory_get(call);
        if (ret < 0) {
            host_pool_leave(dev);
        }
    }
    return ret;
}

/* Whether to do it again, because the host wants no O_DIRECT for this */
static bool host_io_refused(HostIo *io, bool direct)
{
    if (io->error != -EINVAL || !direct || io->done) {
        return false;
    }
    if (io->f->direct) {
        host_file_undirect(io->f);
    }
    return true;
}

/* After host_pool_enter() */
static void coroutine_fn host_io_pool_work(uint64_t dev, HostIo *io)
{
    bool direct = io->f->direct;

    host_pool_work(dev, host_io_work, io);
    if (host_io_refused(io, direct)) {
        io->error = host_pool_enter(dev);
        if (io->error == 0) {
            host_pool_work(dev, host_io_work, io);
        }
    }
}

/*
 * The rest in the thread pool, with memory of our own in place of the guest's:
 * the request may have ended before the thread returns from the kernel.
 */
static void coroutine_fn host_io_pool(FsCall *call, HostIo *io)
{
    uint64_t dev = io->f->file.node->dev;
    const struct iovec *guest = io->iov;
    int n_guest = io->niov;
    size_t skip = io->skip, done = io->done;
    struct iovec own = { .iov_len = io->left };
    bool bounce = io->write || io->f->wait != HOST_WAIT_NEVER;

    if (!bounce) {
        io->error = host_io_enter(call, dev);
        if (io->error == 0) {
            host_io_pool_work(dev, io);
        }
        return;
    }
    fs_call_memory_put(call);
    io->error = host_pool_enter(dev);
    if (io->error < 0) {
        return;
    }
    own.iov_base = qemu_try_memalign(qemu_real_host_page_size(), own.iov_len);
    if (!own.iov_base) {
        host_pool_leave(dev);
        io->error = -ENOMEM;
        return;
    }
    if (io->write) {
        iov_to_buf(guest, n_guest, skip, own.iov_base, own.iov_len);
    }
    io->iov = &own;
    io->niov = 1;
    io->skip = 0;
    host_io_pool_work(dev, io);
    if (fs_call_memory_get(call) < 0) {
        io->error = -EINTR;
        io->done = 0;
    } else if (!io->write) {
        iov_from_buf(guest, n_guest, skip, own.iov_base, io->done - done);
    }
    qemu_vfree(own.iov_base);
}

/* @set_id: NULL, or as host_file_write_plain() */
static ssize_t coroutine_fn host_file_io(FsCall *call, FsFile *file, bool write,
                                         const struct iovec *iov, int niov,
                                         uint64_t offset, bool *set_id)
{
    HostIo io = {
        .f = container_of(file, HostFile, file),
        .write = write,
        .iov = iov,
        .niov = niov,
        .offset = offset,
        .left = iov_size(iov, niov),
        .plain = set_id,
    };
    bool direct = io.f->direct;
    ssize_t ret;

    host_io_advance(&io, 0);    /* past empty vectors */

    if (host_io_shared(call, &io)) {
        if (io.f->wait != HOST_WAIT_NEVER) {
            ret = host_io_enter(call, file->node->dev);
            if (ret < 0) {
                return ret;
            }
            host_pool_work(file->node->dev, host_io_try_work, &io);
        }
        if (io.left) {
            host_io_pool(call, &io);
        }
    } else if (!write && io.f->wait == HOST_WAIT_NEVER &&
               io.left <= SHORT_MAX) {
        host_io_work(&io);
        if (host_io_refused(&io, direct)) {
            host_io_work(&io);
        }
    } else if (!write && host_io_try(&io, &ret)) {
        return ret;
    } else {
        host_io_pool(call, &io);
    }
    if (set_id) {
        *set_id = io.set_id && !io.done && io.error >= 0;
    }
    return io.error < 0 && !io.done ? io.error : (ssize_t)io.done;
}

ssize_t coroutine_fn host_file_read(FsCall *call, FsFile *file,
                                    const struct iovec *iov, int niov,
                                    uint64_t offset)
{
    return host_file_io(call, file, false, iov, niov, offset, NULL);
}

ssize_t coroutine_fn host_file_write(FsCall *call, FsFile *file,
                                     const struct iovec *iov, int niov,
                                     uint64_t offset)
{
    return host_file_io(call, file, true, iov, niov, offset, NULL);
}

ssize_t coroutine_fn host_file_write_plain(FsCall *call, FsFile *file,
                                           const struct iovec *iov, int niov,
                                           uint64_t offset, bool *set_id)
{
    return host_file_io(call, file, true, iov, niov, offset, set_id);
}
