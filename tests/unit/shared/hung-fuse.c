/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See hung-fuse.h. The server reads requests from /dev/fuse and answers each
 * at once, or keeps it until it is told to answer. What the test chooses is in
 * memory that both processes share. The kernel aborts the file system when the
 * server closes /dev/fuse.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "hung-fuse.h"
#include <linux/loop.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/uio.h>

#define TEXT            "text"
#define OPCODES         64
#define WAITING_MAX     256
#define REQUEST_MAX     (128 * 1024)
#define PATIENCE        10      /* seconds */
/* A test that failed may wait for a program that waits for the server. */
#define LIFE_MAX_US     (300 * G_USEC_PER_SEC)

typedef struct Shared {
    int ready;                  /* 1: mounted; -errno: not */
    int hung[OPCODES];
    int count[OPCODES];
    int waiting;
    int answer;                 /* what waits */
    unsigned cache;
    bool on_disk;
    uint64_t only;
} Shared;

struct HungFuse {
    Shared *shared;
    pid_t pid;
    int life;                   /* the server ends when this is closed */
};

typedef struct Server {
    Shared *shared;
    int fuse;
    struct fuse_attr attr[HUNG_LINK + 1];
    char request[REQUEST_MAX];
    void *waiting[WAITING_MAX];
} Server;

static const struct {
    const char *name;
    uint64_t parent;
    mode_t mode;
} nodes[HUNG_LINK + 1] = {
    [HUNG_ROOT] = { "", 0, S_IFDIR | 0755 },
    [HUNG_FILE] = { "file", HUNG_ROOT, S_IFREG | 0644 },
    [HUNG_OTHER] = { "other", HUNG_ROOT, S_IFREG | 0644 },
    [HUNG_DIR] = { "dir", HUNG_ROOT, S_IFDIR | 0755 },
    [HUNG_INNER] = { "inner", HUNG_DIR, S_IFREG | 0644 },
    [HUNG_LINK] = { "link", HUNG_ROOT, S_IFLNK | 0777 },
};

static void reply(Server *s, uint64_t id, int error, const void *data,
                  size_t size)
{
    struct fuse_out_header head = {
        .len = sizeof(head) + (error ? 0 : size),
        .error = -error,
        .unique = id,
    };
    struct iovec iov[] = {
        { &head, sizeof(head) },
        { (void *)data, size },
    };

    /* ENOENT: the request was interrupted */
    if (writev(s->fuse, iov, error || !size ? 1 : 2) < 0 && errno != ENOENT) {
        _exit(1);
    }
}

static void reply_lookup(Server *s, const struct fuse_in_header *in,
                         const char *name)
{
    struct fuse_entry_out out = {
        .entry_valid = s->shared->cache,
        .attr_valid = s->shared->cache,
    };
    uint64_t i;

    for (i = HUNG_FILE; i <= HUNG_LINK; i++) {
        if (nodes[i].parent == in->nodeid && !strcmp(nodes[i].name, name)) {
            out.nodeid = i;
            out.attr = s->attr[i];
            reply(s, in->unique, 0, &out, sizeof(out));
            return;
        }
    }
    reply(s, in->unique, ENOENT, NULL, 0);
}

static void reply_attr(Server *s, const struct fuse_in_header *in)
{
    struct fuse_attr_out out = {
        .attr_valid = s->shared->cache,
        .attr = s->attr[in->nodeid],
    };

    reply(s, in->unique, 0, &out, sizeof(out));
}

static void set_attr(Server *s, const struct fuse_in_header *in,
                     const struct fuse_setattr_in *set)
{
    struct fuse_attr *attr = &s->attr[in->nodeid];

    if (set->valid & FATTR_MODE) {
        attr->mode = (attr->mode & S_IFMT) | (set->mode & 07777);
    }
    if (set->valid & FATTR_UID) {
        attr->uid = set->uid;
    }
    if (set->valid & FATTR_GID) {
        attr->gid = set->gid;
    }
    reply_attr(s, in);
}

static void reply_read(Server *s, const struct fuse_in_header *in,
                       const struct fuse_read_in *read)
{
    size_t len = strlen(TEXT);
    size_t offset = MIN(read->offset, len);

    reply(s, in->unique, 0, &TEXT[offset], MIN(len - offset, read->size));
}

static void reply_readdir(Server *s, const struct fuse_in_header *in,
                          const struct fuse_read_in *read)
{
    char buf[1024] = { };
    size_t len = 0;
    uint64_t i;

    /* An entry's offset is its inode number. */
    for (i = MAX(read->offset + 1, HUNG_FILE); i <= HUNG_LINK; i++) {
        struct fuse_dirent *d = (struct fuse_dirent *)&buf[len];
        size_t size = FUSE_NAME_OFFSET + strlen(nodes[i].name);

        if (nodes[i].parent != in->nodeid) {
            continue;
        }
        size = FUSE_DIRENT_ALIGN(size);
        if (len + size > MIN(read->size, sizeof(buf))) {
            break;
        }
        d->ino = i;
        d->off = i;
        d->namelen = strlen(nodes[i].name);
        d->type = nodes[i].mode >> 12;
        memcpy(d->name, nodes[i].name, d->namelen);
        len += size;
    }
    reply(s, in->unique, 0, buf, len);
}

static void reply_other(Server *s, const struct fuse_in_header *in,
                        const void *body)
{
    static const struct fuse_init_out init = {
        .major = FUSE_KERNEL_VERSION,
        .minor = 31,
        .max_write = 4096,
        .time_gran = 1,
    };
    static const struct fuse_statfs_out statfs = {
        .st = { .bsize = 4096, .frsize = 4096, .namelen = 255 },
    };
    static const struct fuse_open_out open = { .fh = 1 };
    const struct fuse_getxattr_in *xattr = body;
    struct fuse_getxattr_out none = { };
    struct fuse_write_out written = {
        .size = ((const struct fuse_write_in *)body)->size,
    };

    switch (in->opcode) {
    case FUSE_INIT:
        reply(s, in->unique, 0, &init, sizeof(init));
        break;
    case FUSE_STATFS:
        reply(s, in->unique, 0, &statfs, sizeof(statfs));
        break;
    case FUSE_OPEN:
    case FUSE_OPENDIR:
        reply(s, in->unique, 0, &open, sizeof(open));
        break;
    case FUSE_WRITE:
        reply(s, in->unique, 0, &written, sizeof(written));
        break;
    case FUSE_READLINK:
        reply(s, in->unique, 0, "file", 4);
        break;
    case FUSE_GETXATTR:
        reply(s, in->unique, ENODATA, NULL, 0);
        break;
    case FUSE_LISTXATTR:
        reply(s, in->unique, 0, &none, xattr->size ? 0 : sizeof(none));
        break;
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_FLUSH:
    case FUSE_FSYNC:
    case FUSE_FSYNCDIR:
    case FUSE_SETXATTR:
    case FUSE_REMOVEXATTR:
    case FUSE_ACCESS:
        reply(s, in->unique, 0, NULL, 0);
        break;
    default:
        reply(s, in->unique, ENOSYS, NULL, 0);
        break;
    }
}

static void answer(Server *s, const struct fuse_in_header *in)
{
    const void *body = in + 1;

    switch (in->opcode) {
    case FUSE_LOOKUP:
        reply_lookup(s, in, body);
        break;
    case FUSE_GETATTR:
        reply_attr(s, in);
        break;
    case FUSE_SETATTR:
        set_attr(s, in, body);
        break;
    case FUSE_READ:
        reply_read(s, in, body);
        break;
    case FUSE_READDIR:
        reply_readdir(s, in, body);
        break;
    default:
        reply_other(s, in, body);
        break;
    }
}

static void answer_waiting(Server *s)
{
    int i, n = qatomic_read(&s->shared->waiting);

    for (i = 0; i < MIN(n, WAITING_MAX); i++) {
        answer(s, s->waiting[i]);
        g_clear_pointer(&s->waiting[i], g_free);
    }
    qatomic_set(&s->shared->waiting, 0);
    qatomic_set(&s->shared->answer, 0);
}

static void serve_one(Server *s)
{
    const struct fuse_in_header *in = (void *)s->request;

    if (read(s->fuse, s->request, sizeof(s->request)) < 0) {
        if (errno == EINTR || errno == EAGAIN || errno == ENOENT) {
            return;
        }
        _exit(0);               /* ENODEV: unmounted */
    }
    if (in->opcode == FUSE_FORGET || in->opcode == FUSE_BATCH_FORGET ||
        in->opcode == FUSE_INTERRUPT) {
        return;
    }
    if (in->opcode < OPCODES) {
        qatomic_inc(&s->shared->count[in->opcode]);
        if (qatomic_read(&s->shared->hung[in->opcode]) &&
            (!s->shared->only || s->shared->only == in->nodeid)) {
            if (s->shared->waiting < WAITING_MAX) {
                s->waiting[s->shared->waiting] = g_memdup2(in, in->len);
            }
            qatomic_inc(&s->shared->waiting);
            return;
        }
    }
    answer(s, in);
}

/* A loop device, which goes when nothing uses it any more; its name to @name */
static int make_disk(char *name, size_t size)
{
    struct loop_config config = { .info.lo_flags = LO_FLAGS_AUTOCLEAR };
    int file = memfd_create("disk", MFD_CLOEXEC);
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int disk = -1, number;

    number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
    if (number >= 0 && ftruncate(file, 1 << 20) == 0) {
        snprintf(name, size, "/dev/loop%d", number);
        disk = open(name, O_RDWR | O_CLOEXEC);
        config.fd = file;
        if (disk >= 0 && ioctl(disk, LOOP_CONFIGURE, &config) < 0) {
            close(disk);
            disk = -1;
        }
    }
    number = errno;
    close(file);
    close(control);
    errno = number;
    return disk;
}

static int do_mount(Server *s, const char *path)
{
    char options[128], name[32] = "hung";
    int disk = -1, ret;

    s->fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (s->fuse < 0) {
        return -errno;
    }
    snprintf(options, sizeof(options),
             "fd=%d,rootmode=40000,user_id=%d,group_id=%d,allow_other",
             s->fuse, geteuid(), getegid());
    if (s->shared->on_disk) {
        disk = make_disk(name, sizeof(name));
        if (disk < 0) {
            return -errno;
        }
    }
    ret = mount(name, path, disk < 0 ? "fuse" : "fuseblk",
                MS_NOSUID | MS_NODEV, options) < 0 ? -errno : 1;
    close(disk);
    return ret;
}

static const char *mounted;
static int mounted_fuse;

/* Without a connection first: this unmount must not ask the server itself. */
static G_NORETURN void end_server(int sig)
{
    close(mounted_fuse);
    umount2(mounted, MNT_DETACH);
    _exit(0);
}

static G_NORETURN void run_server(Shared *shared, int life, pid_t parent,
                                  const char *path)
{
    static Server server;
    Server *s = &server;
    struct pollfd fds[2];
    gint64 end;
    uint64_t i;

    /*
     * As soon as the test's main thread is gone: others may wait for us, so
     * that the process cannot end.
     */
    mounted = path;
    signal(SIGTERM, end_server);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    /* What the test has open must not stay open here. */
    for (i = 3; i < 1024; i++) {
        if (i != life) {
            close(i);
        }
    }
    s->shared = shared;
    for (i = HUNG_ROOT; i <= HUNG_LINK; i++) {
        s->attr[i].ino = i;
        s->attr[i].mode = nodes[i].mode;
        s->attr[i].nlink = 1 + S_ISDIR(nodes[i].mode);
        s->attr[i].size = S_ISDIR(nodes[i].mode) ? 0 : strlen(TEXT);
        s->attr[i].blksize = 4096;
    }
    i = do_mount(s, path);
    mounted_fuse = s->fuse;
    qatomic_store_release(&shared->ready, (int)i);
    if ((int)i < 0) {
        _exit(1);
    }
    end = g_get_monotonic_time() + LIFE_MAX_US;
    fds[0] = (struct pollfd) { .fd = s->fuse, .events = POLLIN };
    fds[1] = (struct pollfd) { .fd = life, .events = POLLIN };
    while (getppid() == parent && g_get_monotonic_time() < end) {
        if (poll(fds, 2, 20) > 0) {
            if (fds[1].revents) {
                break;
            }
            serve_one(s);
        }
        if (qatomic_read(&shared->answer)) {
            answer_waiting(s);
        }
    }
    end_server(0);
}

static HungFuse *start(const char *path, bool on_disk)
{
    pid_t self = getpid();
    HungFuse *h = g_new0(HungFuse, 1);
    int life[2];
    int ready;

    h->shared = mmap(NULL, sizeof(Shared), PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    g_assert_true(h->shared != MAP_FAILED);
    h->shared->on_disk = on_disk;
    g_assert_true(g_unix_open_pipe(life, FD_CLOEXEC, NULL));
    h->pid = fork();
    g_assert_cmpint(h->pid, >=, 0);
    if (h->pid == 0) {
        run_server(h->shared, life[0], self, path);
    }
    close(life[0]);
    h->life = life[1];
    while (!(ready = qatomic_load_acquire(&h->shared->ready))) {
        g_usleep(1000);
    }
    if (ready < 0) {
        hung_fuse_end(h);
        errno = -ready;
        return NULL;
    }
    return h;
}

HungFuse *hung_fuse_start(const char *path)
{
    return start(path, false);
}

static HungFuse *or_skip(HungFuse *h, const char *what)
{
    if (!h) {
        g_autofree char *why = g_strdup_printf("cannot mount %s here: %s", what,
                                               strerror(errno));
        g_test_skip(why);
    }
    return h;
}

HungFuse *hung_fuse_start_or_skip(const char *path)
{
    return or_skip(start(path, false), "FUSE");
}

HungFuse *hung_fuse_start_disk_or_skip(const char *path)
{
    return or_skip(start(path, true), "FUSE on a loop device");
}

void hung_fuse_end(HungFuse *h)
{
    int status;

    close(h->life);
    g_assert_cmpint(waitpid(h->pid, &status, 0), ==, h->pid);
    munmap(h->shared, sizeof(Shared));
    g_free(h);
}

void hung_fuse_hang(HungFuse *h, unsigned opcode, uint64_t ino)
{
    g_assert_cmpuint(opcode, <, OPCODES);
    h->shared->only = ino;
    qatomic_set(&h->shared->hung[opcode], 1);
}

void hung_fuse_answer(HungFuse *h)
{
    unsigned i;

    for (i = 0; i < OPCODES; i++) {
        qatomic_set(&h->shared->hung[i], 0);
    }
    qatomic_set(&h->shared->answer, 1);
    while (qatomic_read(&h->shared->answer) && kill(h->pid, 0) == 0) {
        g_usleep(1000);
    }
}

void hung_fuse_cache(HungFuse *h, unsigned seconds)
{
    h->shared->cache = seconds;
}

unsigned hung_fuse_waiting(HungFuse *h)
{
    return qatomic_read(&h->shared->waiting);
}

unsigned hung_fuse_count(HungFuse *h, unsigned opcode)
{
    g_assert_cmpuint(opcode, <, OPCODES);
    return qatomic_read(&h->shared->count[opcode]);
}

bool hung_fuse_wait(HungFuse *h, unsigned n)
{
    gint64 end = g_get_monotonic_time() + PATIENCE * G_USEC_PER_SEC;

    while (hung_fuse_waiting(h) < n) {
        if (g_get_monotonic_time() > end) {
            return false;
        }
        g_usleep(1000);
    }
    return true;
}

struct HungWatch {
    HungFuse *h;
    GThread *thread;
    gint done;
    gint late;
};

static gpointer watch_thread(gpointer opaque)
{
    gint64 end = g_get_monotonic_time() + PATIENCE * G_USEC_PER_SEC;
    HungWatch *w = opaque;

    while (!g_atomic_int_get(&w->done)) {
        if (g_get_monotonic_time() > end) {
            g_atomic_int_set(&w->late, 1);
            hung_fuse_answer(w->h);
            break;
        }
        g_usleep(1000);
    }
    return NULL;
}

HungWatch *hung_fuse_watch(HungFuse *h)
{
    HungWatch *w = g_new0(HungWatch, 1);

    w->h = h;
    w->thread = g_thread_new("watch", watch_thread, w);
    return w;
}

bool hung_fuse_in_time(HungWatch *w)
{
    bool in_time;

    g_atomic_int_set(&w->done, 1);
    g_thread_join(w->thread);
    in_time = !w->late;
    g_free(w);
    return in_time;
}
