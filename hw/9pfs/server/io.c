/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Open files: their data and the entries of directories.
 */
#include "qemu/osdep.h"
#include "qemu/iov.h"
#include "qemu/timer.h"
#include "messages.h"
#include "hw/9pfs/fs/throttle.h"

/*
 * Whether the fid is an open file with the access mode @access or O_RDWR: 0,
 * -EBADF, or -EISDIR for a directory
 */
static int io_check(const P9Fid *fid, int access)
{
    int mode;

    if (!fid->file) {
        return -EBADF;
    }
    if (S_ISDIR(fid->node->type)) {
        return -EISDIR;
    }
    mode = fid->file->flags & O_ACCMODE;
    return mode == access || mode == O_RDWR ? 0 : -EBADF;
}

/*
 * Linux 6.12 and others ask for the same bytes again and again, if the file
 * ends before the size that the guest's kernel remembers: the host has
 * truncated it, or its size is a lie, as in sysfs. While replies come at once,
 * that process of the guest cannot even be killed. So after many empty replies
 * at one offset the server waits before the next one. That spares the
 * processor, and a signal now finds the process waiting for a reply, gives that
 * up, and ends the loop. A program that polls for new data hardly notices.
 *
 * Sometimes it is a thread of the guest's kernel that asks, while the process
 * waits for that thread and cannot be killed. Only an error ends this, so after
 * ten seconds the Tread gets EIO. A pause before a Tread speaks against such a
 * loop: a program that polls and sleeps gets no error, nor any delay. On a busy
 * machine a loop has pauses, too, but not before every second Tread.
 */
#define EMPTY_READS_MAX     1000
#define EMPTY_READS_END     2000
#define EMPTY_READ_WAIT_NS  (10 * SCALE_MS)
#define EMPTY_PAUSE_NS      (5 * SCALE_MS)
/* The empty replies that a pause makes up for */
#define EMPTY_PAUSE_WORTH   2

/*
 * Waits if the Tread repeats many that were empty: 0 or -EINTR; -EIO if it
 * repeats too many.
 */
static int coroutine_fn read_calm(P9Request *req, const P9Fid *fid,
                                  uint64_t offset)
{
    P9EmptyReads *empty = fid->empty;

    if (!empty || empty->offset != offset) {
        return 0;
    }
    if (qemu_clock_get_ns(QEMU_CLOCK_REALTIME) - empty->last >
        EMPTY_PAUSE_NS) {
        empty->times -= MIN(empty->times, EMPTY_PAUSE_WORTH);
    }
    if (empty->times < EMPTY_READS_MAX) {
        return 0;
    }
    if (empty->times >= EMPTY_READS_END) {
        empty->times = 0;
        return -EIO;
    }
    return fs_call_sleep(&req->call, EMPTY_READ_WAIT_NS) ? 0 : -EINTR;
}

/* Counts the Tread, which has read @done bytes, if it was empty. */
static void read_count(P9Fid *fid, uint64_t offset, size_t done)
{
    P9EmptyReads *empty = fid->empty;

    if (done) {
        if (empty) {
            empty->times = 0;
        }
        return;
    }
    if (!empty) {
        empty = fid->empty = g_new0(P9EmptyReads, 1);
    }
    if (empty->offset != offset) {
        *empty = (P9EmptyReads) { .offset = offset };
    }
    empty->times++;
    empty->last = qemu_clock_get_ns(QEMU_CLOCK_REALTIME);
}

static ssize_t coroutine_fn read_file(P9Request *req, P9Fid *fid,
                                      uint64_t offset, uint32_t count)
{
    struct iovec *iov;
    unsigned num;
    ssize_t ret = io_check(fid, O_RDONLY);

    if (ret < 0 || count == 0) {
        return ret;
    }
    ret = read_calm(req, fid, offset);
    if (ret == 0) {
        ret = fs_throttle_wait(req->s->fs->throttle, &req->call, false, count);
    }
    if (ret == 0) {
        ret = p9_move_begin(req);
    }
    if (ret < 0) {
        return ret;
    }
    iov = p9_request_in_iov(req, P9_RREAD_HEADER, count, &num);
    ret = p9_driver(req)->read(&req->call, fid->file, iov, num, offset);
    p9_move_end(req);
    if (ret >= 0) {
        read_count(fid, offset, ret);
    }
    return ret;
}

/*
 * Tread fid[4] offset[8] count[4]. As pread(2): -EINVAL for an offset that no
 * file can have. 9P2000.u reads directories with it as well.
 */
int coroutine_fn p9_read(P9Request *req)
{
    g_autoptr(P9Fid) fid = NULL;
    uint32_t id, count;
    uint64_t offset;
    ssize_t ret;

    id = marshal_get_u32(&req->r);
    offset = marshal_get_u64(&req->r);
    count = marshal_get_u32(&req->r);
    if (!marshal_done(&req->r)) {
        return -EINVAL;
    }
    ret = p9_request_io(req, id, &fid);
    if (ret < 0) {
        return ret;
    }
    if (offset > INT64_MAX) {
        return -EINVAL;
    }
    count = MIN(count, p9_request_room(req) - P9_RREAD_HEADER);
    count = MIN(count, INT64_MAX - offset);

    if (fid->xattr) {
        ret = p9_xattr_read(req, fid, offset, count);
    } else if (req->dialect == P9_DIALECT_U && fid->file &&
               S_ISDIR(fid->node->type)) {
        return dotu_read_dir(req, fid, offset, count);
    } else {
        ret = read_file(req, fid, offset, count);
    }
    if (ret < 0) {
        return ret;
    }
    if (ret > count) {
        return -EIO;
    }
    marshal_put_u32(&req->w, ret);
    req->data = ret;
    return 0;
}

/*
 * Writes all of @iov. If an error follows after some bytes, returns their
 * number, and the client gets the error with its next write, as with write(2).
 */
static ssize_t coroutine_fn write_all(P9Request *req, FsFile *file,
                                      struct iovec *iov, unsigned num,
                                      uint64_t offset, size_t count)
{
    size_t done = 0;
    ssize_t ret;

    while (done < count) {
        ret = p9_driver(req)->write(&req->call, file, iov, num, offset + done);
        if (ret <= 0 || ret > count - done) {
            if (ret >= 0) {
                ret = -EIO;
            }
            return done ? done : ret;
        }
        done += ret;
        iov_discard_front(&iov, &num, ret);
    }
    return done;
}

/*
 * Twrite fid[4] offset[8] count[4] data[count]. As pwrite(2): -EINVAL for an
 * offset, and -EFBIG for an end, that no file can have.
 */
int coroutine_fn p9_write(P9Request *req)
{
    g_autoptr(P9Fid) fid = NULL;
    uint32_t id, count;
    uint64_t offset;
    struct iovec *iov;
    unsigned num;
    ssize_t ret;

    id = marshal_get_u32(&req->r);
    offset = marshal_get_u64(&req->r);
    count = marshal_get_u32(&req->r);
    if (!marshal_done(&req->r)) {
        return -EINVAL;
    }
    /*
     * Clients that pass the data in place used to leave it out of the header's
     * size (Linux before 4.19). The transport knows the real size.
     */
    if (count > req->out_size - P9_TWRITE_HEADER ||
        (req->size != P9_TWRITE_HEADER &&
         req->size - P9_TWRITE_HEADER != count)) {
        return -EINVAL;
    }
    if (count > req->s->msize - P9_TWRITE_HEADER) {
        return -EMSGSIZE;
    }
    ret = p9_request_io(req, id, &fid);
    if (ret < 0) {
        return ret;
    }
    if (offset > INT64_MAX) {
        return -EINVAL;
    }
    if (count > INT64_MAX - offset) {
        return -EFBIG;
    }

    if (fid->xattr) {
        ret = p9_xattr_write(req, fid, offset, count);
    } else {
        ret = io_check(fid, O_WRONLY);
        if (ret == 0 && count > 0) {
            ret = fs_throttle_wait(req->s->fs->throttle, &req->call, true,
                                   count);
        }
        if (ret == 0 && count > 0) {
            iov = p9_request_out_iov(req, P9_TWRITE_HEADER, count, &num);
            ret = write_all(req, fid->file, iov, num, offset, count);
        }
    }
    if (ret < 0) {
        return ret;
    }
    marshal_put_u32(&req->w, ret);
    return 0;
}

/* Bytes of an entry in Rreaddir without its name: qid offset[8] type[1] [s] */
#define DIRENT_HEADER   (P9_QID_SIZE + 8 + 1 + 2)

/*
 * Rreaddir while it is filled. Entries are small and the room is in pages, so
 * entries are collected before they are copied.
 */
typedef struct ReaddirFill {
    P9Request *req;
    uint64_t dev;
    uint64_t up;                /* inode of ".." at a root; 0: as it is */
    size_t room;                /* for entries */
    size_t done;                /* bytes of entries, those in buf included */
    bool full;                  /* an entry did not fit */
    MarshalWriter w;
    uint8_t buf[4096];
} ReaddirFill;

QEMU_BUILD_BUG_ON(sizeof_field(ReaddirFill, buf) < DIRENT_HEADER + NAME_MAX);

static void readdir_flush(ReaddirFill *fill)
{
    size_t size = marshal_size(&fill->w);

    iov_from_buf(fill->req->in, fill->req->in_num,
                 P9_RREADDIR_HEADER + fill->done - size, fill->buf, size);
    marshal_writer_init(&fill->w, fill->buf, sizeof(fill->buf));
}

static bool readdir_fill(void *opaque, const FsDirent *entry)
{
    ReaddirFill *fill = opaque;
    P9Server *s = fill->req->s;
    size_t size = DIRENT_HEADER + entry->namelen;
    bool up = entry->namelen == 2 && !memcmp(entry->name, "..", 2);
    uint64_t ino = up && fill->up ? fill->up : entry->ino;
    P9Qid qid = {
        .type = entry->type == DT_DIR ? P9_QTDIR :
                entry->type == DT_LNK ? P9_QTSYMLINK : P9_QTFILE,
        .path = p9_qid_path(&s->export->qids, fill->dev, ino),
    };

    if (size > fill->room - fill->done) {
        fill->full = true;
        return false;
    }
    if (entry->namelen > NAME_MAX) {
        /* No client could walk to it. */
        return true;
    }
    if (size > sizeof(fill->buf) - marshal_size(&fill->w)) {
        readdir_flush(fill);
    }
    p9_put_qid(&fill->w, &qid);
    marshal_put_u64(&fill->w, entry->next);
    marshal_put_u8(&fill->w, entry->type);
    marshal_put_strn(&fill->w, entry->name, entry->namelen);
    fill->done += size;
    return true;
}

/*
 * Treaddir fid[4] offset[8] count[4]: whole entries, at most count bytes.
 * -EINVAL if no entry fits, as getdents(2). ".." of a root is that root, as a
 * Twalk of it is.
 */
int coroutine_fn p9_readdir(P9Request *req)
{
    g_autoptr(P9Fid) fid = NULL;
    uint32_t id, count;
    uint64_t offset;
    ReaddirFill fill;
    int ret;

    id = marshal_get_u32(&req->r);
    offset = marshal_get_u64(&req->r);
    count = marshal_get_u32(&req->r);
    ret = p9_request_fid(req, id, &fid);
    if (ret < 0) {
        return ret;
    }
    if (!S_ISDIR(fid->node->type)) {
        return -ENOTDIR;
    }
    if (!fid->file) {
        return -EBADF;
    }
    if (offset > INT64_MAX) {
        return -EINVAL;
    }

    fill.req = req;
    fill.dev = fid->node->dev;
    fill.up = p9_fid_is_root(fid) ? fid->node->ino : 0;
    fill.room = MIN(count, p9_request_room(req) - P9_RREADDIR_HEADER);
    fill.done = 0;
    fill.full = false;
    marshal_writer_init(&fill.w, fill.buf, sizeof(fill.buf));
    ret = p9_move_begin(req);
    if (ret < 0) {
        return ret;
    }
    ret = p9_driver(req)->readdir(&req->call, fid->file, offset,
                                  readdir_fill, &fill);
    if (!req->moving) {
        /* The request was over before the driver was done. */
        p9_move_end(req);
        return -EINTR;
    }
    /* An error after some entries goes out with the next request. */
    if (ret >= 0 || fill.done > 0) {
        ret = fill.done == 0 && fill.full ? -EINVAL : 0;
        readdir_flush(&fill);
    }
    p9_move_end(req);
    if (ret < 0) {
        return ret;
    }
    marshal_put_u32(&req->w, fill.done);
    req->data = fill.done;
    return 0;
}

/* Tfsync fid[4] datasync[4]; older clients do not send datasync. */
int coroutine_fn p9_fsync(P9Request *req)
{
    g_autoptr(P9Fid) fid = NULL;
    uint32_t id;
    bool datasync = false;
    int ret;

    id = marshal_get_u32(&req->r);
    if (marshal_left(&req->r)) {
        datasync = marshal_get_u32(&req->r) != 0;
    }
    ret = p9_request_fid(req, id, &fid);
    if (ret < 0) {
        return ret;
    }
    if (!fid->file) {
        return -EBADF;
    }
    ret = p9_driver(req)->fsync(&req->call, fid->file, datasync);
    if (ret == 0) {
        /* As fsync(2): an error of earlier writes is reported once. */
        ret = fid->file->fsync_error;
        fid->file->fsync_error = 0;
    }
    return ret;
}
