/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fuzzer of QEMU's end of the proxy channel: what a hostile helper could send,
 * in both protocol versions.
 *
 * The real proxy driver does operations, and this file is the helper at the
 * other end of a socket pair: it takes the requests, and answers with the
 * fuzzer's bytes and descriptors.
 *
 * Input: setup[1], then records (fuzz.h), each one operation and the answer to
 * the oldest request that has none. The record's kind is the operation, its id
 * chooses node, name and the files that descriptors are of; its body is the
 * payload of the answer. Or, as few random bytes get beyond the driver's
 * comparisons of what it is told with what it sees on descriptors, the body is
 * a list of changes, at[2] value[1], to the answer that an honest helper would
 * give. If setup says so the first record is the answer to HELLO (version 1: to
 * the LSTAT of the root).
 *
 * When the helper has gone each operation must end, and no node or descriptor
 * may be left.
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/sockets.h"
#include "fsdev/shared/hostfs.h"
#include "fsdev/shared/proto.h"
#include "fsdev/shared/proto-v1.h"
#include "hw/9pfs/fs/export.h"
#include "monitor/monitor.h"
#include "fuzz.h"

/* setup */
#define SETUP_V1        0x01
#define SETUP_NO_DONATE 0x02
#define SETUP_START     0x04    /* the first record is for the start */

/* flags of a record */
#define AS_IT_IS        0x01    /* the body is the message, header included */
#define CHANGES         0x02    /* the body is changes to an honest answer */
#define LATER           0x04    /* no answer now */
#define TWICE           0x08    /* the answer is sent again */
#define CANCEL          0x10    /* the operation, before the answer */
#define NO_OPERATION    0x20    /* only an answer */
#define MORE_FDS        0x40    /* some descriptors more than there should be */
#define LESS_FDS        0x80    /* one less */

/* How many more, by id */
#define MORE_FDS_MAX    4

#define NODES           8
#define OPERATIONS_MAX  48
#define MESSAGE_MAX     65536
#define PATIENCE_US     2000
/* For what must end */
#define END_US          (10 * G_USEC_PER_SEC)

enum {
    OP_WALK, OP_GETATTR, OP_SETATTR, OP_READLINK, OP_STATFS, OP_OPEN,
    OP_CREATE, OP_MAKE, OP_LINK, OP_RENAME, OP_UNLINK, OP_GETXATTR,
    OP_LISTXATTR, OP_SETXATTR, OP_REMOVEXATTR, OP_READ, OP_WRITE, OP_READDIR,
    OP_FSYNC, OP_GENERATION, OP_FORGET, OP_CLOSE,
    OPS
};

typedef struct Run {
    FsExport fs;
    int peer;
    bool v1;
    FsNode *nodes[NODES];       /* [0] is the root */
    FsFile *files[NODES];
    unsigned pending;
    GByteArray *asked;          /* requests not answered yet */
    char root_name[8];
} Run;

typedef struct Op {
    Run *run;
    unsigned kind;
    unsigned id;
    FsCall call;
    FsNode *node;               /* with a reference, as the next two */
    FsNode *other;
    FsFile *file;
    bool started;
    bool done;
} Op;

/* What honest answers are about, by id: of fuzz_populate() */
static const char *const names[] = { "f", "d", "l", "p" };

static const FsDriver *proxy;
static const char *folder;

/* Lost helpers are told of, which nobody wants to read here. */
int error_vprintf(const char *fmt, va_list ap)
{
    return 0;
}

int error_vprintf_unless_qmp(const char *fmt, va_list ap)
{
    return 0;
}

/*
 * Operations
 */

static void set_node(Run *run, unsigned id, FsNode *node)
{
    unsigned i = 1 + id % (NODES - 1);

    if (run->nodes[i]) {
        fs_node_unref(run->nodes[i]);
    }
    run->nodes[i] = node;
}

static void set_file(Run *run, unsigned id, FsFile *file)
{
    unsigned i = id % NODES;

    if (run->files[i]) {
        fs_file_unref(run->files[i]);
    }
    run->files[i] = file;
}

static bool take_entry(void *opaque, const FsDirent *entry)
{
    unsigned *n = opaque;

    return strlen(entry->name) == entry->namelen && ++*n < 10;
}

static void coroutine_fn do_walk(Op *op)
{
    const char *const way[] = { "d", names[op->id % ARRAY_SIZE(names)] };
    unsigned skip = op->id & 0x10 ? 0 : 1;
    FsWalk walk = { };

    if (op->run->fs.driver->walk(&op->call, op->node, way + skip, 2 - skip,
                                 &walk) == 0) {
        set_node(op->run, op->id, walk.node);
        if (walk.parent) {
            fs_node_unref(walk.parent);
        }
    }
}

static void coroutine_fn do_create(Op *op)
{
    FsMakeArgs make = { .name = names[op->id % ARRAY_SIZE(names)],
                    .mode = S_IFREG | 0644 };
    FsNode *node;
    FsFile *file;
    FsAttr attr;

    if (op->run->fs.driver->create(&op->call, op->node, &make, O_RDWR, &node,
                                   &file, &attr) == 0) {
        set_node(op->run, op->id, node);
        set_file(op->run, op->id, file);
    }
}

static void coroutine_fn do_xattr(Op *op)
{
    const FsDriver *driver = op->run->fs.driver;
    uint8_t *value = NULL;
    size_t size = 0;

    if (driver->getxattr(&op->call, op->node,
                         op->kind == OP_GETXATTR ? "user.a" : NULL,
                         &value, &size) == 0) {
        /* All of it must be there */
        g_free(g_memdup2(value, size));
        if (op->kind == OP_LISTXATTR && size) {
            g_assert_cmpint(value[size - 1], ==, 0);
        }
    }
    g_free(value);
}

static void coroutine_fn do_file(Op *op)
{
    const FsDriver *driver = op->run->fs.driver;
    uint8_t buf[256];
    struct iovec iov = { buf, sizeof(buf) };
    unsigned n = 0;

    memset(buf, 'x', sizeof(buf));
    if (!op->file) {
        return;
    }
    switch (op->kind) {
    case OP_READ:
        driver->read(&op->call, op->file, &iov, 1, op->id);
        break;
    case OP_WRITE:
        driver->write(&op->call, op->file, &iov, 1, op->id);
        break;
    case OP_READDIR:
        driver->readdir(&op->call, op->file, 0, take_entry, &n);
        break;
    case OP_FSYNC:
        driver->fsync(&op->call, op->file, false);
        break;
    }
}

static void coroutine_fn do_other(Op *op)
{
    const FsDriver *driver = op->run->fs.driver;
    const char *name = names[op->id % ARRAY_SIZE(names)];
    FsMakeArgs make = { .name = name, .mode = S_IFDIR | 0755 };
    FsSetAttr set = { .valid = op->id, .mode = 0600, .size = 3 };
    char target[100];
    uint64_t generation;
    FsStatfs statfs;
    FsFile *file;
    FsAttr attr;

    switch (op->kind) {
    case OP_GETATTR:
        driver->getattr(&op->call, op->node, op->file, &attr);
        break;
    case OP_SETATTR:
        driver->setattr(&op->call, op->node, op->file, &set);
        break;
    case OP_READLINK:
        if (driver->readlink(&op->call, op->node, target,
                             sizeof(target)) == 0) {
            g_assert_cmpuint(strnlen(target, sizeof(target)), <,
                             sizeof(target));
        }
        break;
    case OP_STATFS:
        driver->statfs(&op->call, op->node, &statfs);
        break;
    case OP_OPEN:
        if (driver->open_file(&op->call, op->node,
                              op->id & 0x10 ? O_RDONLY : O_RDWR, &file) == 0) {
            set_file(op->run, op->id, file);
        }
        break;
    case OP_MAKE:
        driver->make(&op->call, op->node, &make, &attr);
        break;
    case OP_LINK:
        driver->link(&op->call, op->other, op->node, name);
        break;
    case OP_RENAME:
        driver->rename(&op->call, op->node, name, op->other, "n");
        break;
    case OP_UNLINK:
        driver->unlink(&op->call, op->node, name, op->id & 0x10, op->other);
        break;
    case OP_SETXATTR:
        driver->setxattr(&op->call, op->node, "user.a", "abc", 3, 0);
        break;
    case OP_REMOVEXATTR:
        driver->removexattr(&op->call, op->node, "user.a");
        break;
    case OP_GENERATION:
        if (driver->generation) {
            driver->generation(&op->call, op->node, op->file, &generation);
        }
        break;
    }
}

static void coroutine_fn op_entry(void *opaque)
{
    Op *op = opaque;

    switch (op->kind) {
    case OP_WALK:
        do_walk(op);
        break;
    case OP_CREATE:
        do_create(op);
        break;
    case OP_GETXATTR:
    case OP_LISTXATTR:
        do_xattr(op);
        break;
    case OP_READ:
    case OP_WRITE:
    case OP_READDIR:
    case OP_FSYNC:
        do_file(op);
        break;
    default:
        do_other(op);
    }
    op->done = true;
    op->run->pending--;
}

static bool is_dir_op(unsigned kind)
{
    return kind == OP_WALK || kind == OP_CREATE || kind == OP_MAKE ||
           kind == OP_LINK || kind == OP_RENAME || kind == OP_UNLINK;
}

/* A node by number: the root where there is none, or it is of no use. */
static FsNode *get_node(Run *run, unsigned number, bool dir)
{
    FsNode *node = run->nodes[number % NODES];

    if (!node || (dir && !S_ISDIR(node->type))) {
        node = run->nodes[0];
    }
    return fs_node_ref(node);
}

static Op *op_start(Run *run, const FuzzRecord *rec)
{
    Op *op = g_new0(Op, 1);
    FsFile *file = run->files[rec->id >> 5];

    op->run = run;
    op->kind = rec->kind % OPS;
    op->id = rec->id;
    if (op->kind == OP_FORGET || op->kind == OP_CLOSE) {
        if (op->kind == OP_FORGET) {
            set_node(run, rec->id, NULL);
        } else {
            set_file(run, rec->id, NULL);
        }
        op->done = true;
        return op;
    }
    op->node = get_node(run, rec->id >> 5, is_dir_op(op->kind));
    op->other = get_node(run, rec->id, op->kind == OP_RENAME);
    /* What goes with a node is its own file. */
    if (file && (file->node == op->node || op->kind >= OP_READ)) {
        op->file = fs_file_ref(file);
    }
    run->pending++;
    qemu_coroutine_enter(qemu_coroutine_create(op_entry, op));
    return op;
}

static void op_free(Op *op)
{
    if (op->file) {
        fs_file_unref(op->file);
    }
    if (op->node) {
        fs_node_unref(op->node);
        fs_node_unref(op->other);
    }
    g_free(op);
}

static bool run_until_idle(Run *run, gint64 patience)
{
    gint64 end = g_get_monotonic_time() + patience;

    do {
        while (aio_poll(qemu_get_aio_context(), false)) {
            /* again */
        }
        if (!run->pending) {
            return true;
        }
        g_usleep(10);
    } while (g_get_monotonic_time() < end);
    return false;
}

/*
 * The helper
 */

typedef struct Answer {
    MarshalWriter w;
    uint8_t buf[MESSAGE_MAX];
    int fds[PROXY_MESSAGE_FDS + MORE_FDS_MAX];
    unsigned nfds;
} Answer;

static int open_name(const char *name, int flags)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);

    return open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

static void add_fd(Answer *a, int fd)
{
    if (fd >= 0) {
        a->fds[a->nfds++] = fd;
    }
}

static void put_attr(Answer *a, const char *name)
{
    int fd = open_name(name, O_PATH);
    FsAttr attr = { };

    if (fd >= 0) {
        hostfs_getattr(fd, &attr);
        close(fd);
    }
    proxy_put_attr(&a->w, &attr);
}

static void put_node(Answer *a, uint64_t handle, const char *name)
{
    marshal_put_u64(&a->w, handle);
    marshal_put_u8(&a->w, 1);
    add_fd(a, open_name(name, O_PATH));
}

/* An honest answer of version 2 to a request of @type */
static void answer(Answer *a, unsigned type, unsigned id, unsigned walked)
{
    const char *name = names[id % ARRAY_SIZE(names)];
    uint64_t handle = 2 + id % NODES;
    FsStatfs statfs = { .bsize = 4096, .namelen = 255 };

    marshal_put_u32(&a->w, 0);
    switch (type) {
    case PROXY_WALK:
        marshal_put_u16(&a->w, walked);
        if (walked > 1) {
            put_attr(a, "d");
        }
        put_attr(a, name);
        put_node(a, handle, name);
        if (walked > 1) {
            put_node(a, 20, "d");
        } else {
            marshal_put_u64(&a->w, 0);
            marshal_put_u8(&a->w, 0);
        }
        break;
    case PROXY_GETATTR:
    case PROXY_MAKE:
        put_attr(a, name);
        break;
    case PROXY_READLINK:
        marshal_put_str(&a->w, "target");
        break;
    case PROXY_STATFS:
        proxy_put_statfs(&a->w, &statfs);
        break;
    case PROXY_OPEN:
        add_fd(a, open_name(name, O_RDWR));
        if (!a->nfds) {
            add_fd(a, open_name(name, O_RDONLY));
        }
        break;
    case PROXY_CREATE:
        put_attr(a, name);
        put_node(a, handle, name);
        add_fd(a, open_name(name, O_RDWR));
        break;
    case PROXY_GETXATTR:
        marshal_put_u32(&a->w, 4);
        marshal_put_bytes(&a->w, "abc", 4);
        break;
    }
}

/* The same of version 1, where integers are the host's and these are bytes. */
static void put64(Answer *a, uint64_t v)
{
    marshal_put_bytes(&a->w, &v, sizeof(v));
}

static void put32(Answer *a, uint32_t v)
{
    marshal_put_bytes(&a->w, &v, sizeof(v));
}

static void answer1(Answer *a, unsigned type, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    struct stat st = { };

    switch (type) {
    case PROXY_V1_LSTAT:
        lstat(path, &st);
        put64(a, st.st_dev);
        put64(a, st.st_ino);
        put64(a, st.st_nlink);
        put32(a, st.st_mode);
        put32(a, st.st_uid);
        put32(a, st.st_gid);
        put64(a, st.st_rdev);
        put64(a, st.st_size);
        put64(a, st.st_blksize);
        put64(a, st.st_blocks);
        for (unsigned i = 0; i < 6; i++) {
            put64(a, i);
        }
        break;
    case PROXY_V1_STATFS:
        for (unsigned i = 0; i < 11; i++) {
            put64(a, 255);
        }
        break;
    case PROXY_V1_READLINK:
        marshal_put_str(&a->w, "target");
        break;
    case PROXY_V1_LGETXATTR:
    case PROXY_V1_LLISTXATTR:
        marshal_put_strn(&a->w, "abc", 4);
        break;
    case PROXY_V1_GETVERSION:
        put64(a, 7);
        break;
    default:
        put32(a, 0);
    }
}

static void change(Answer *a, size_t start, const uint8_t *body, size_t size)
{
    size_t at;

    for (; size >= 3; body += 3, size -= 3) {
        at = start + lduw_le_p(body);
        if (at < marshal_size(&a->w)) {
            a->buf[at] = body[2];
        }
    }
}

static void send_answer(Run *run, Answer *a)
{
    union {
        char buf[CMSG_SPACE(sizeof(a->fds))];
        struct cmsghdr align;
    } control = { };
    struct iovec iov = { a->buf, marshal_size(&a->w) };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    struct cmsghdr *cmsg;

    if (a->nfds) {
        msg.msg_control = control.buf;
        msg.msg_controllen = CMSG_SPACE(a->nfds * sizeof(int));
        cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(a->nfds * sizeof(int));
        memcpy(CMSG_DATA(cmsg), a->fds, a->nfds * sizeof(int));
    }
    /* What a full socket does not take is cut: also an answer. */
    if (sendmsg(run->peer, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        return;
    }
}

/* Descriptors beyond the honest ones, or fewer */
static void change_fds(Answer *a, const FuzzRecord *rec)
{
    unsigned more = rec->flags & MORE_FDS ? 1 + (rec->id >> 2) % MORE_FDS_MAX
                                          : 0;

    while (more--) {
        add_fd(a, rec->id & 1 ? open_name("f", O_RDWR)
                              : socket(AF_UNIX, SOCK_STREAM, 0));
    }
    if (rec->flags & LESS_FDS && a->nfds) {
        close(a->fds[--a->nfds]);
    }
}

static void finish_answer(Run *run, Answer *a, const FuzzRecord *rec)
{
    send_answer(run, a);
    if (rec->flags & TWICE) {
        send_answer(run, a);
    }
    for (unsigned i = 0; i < a->nfds; i++) {
        close(a->fds[i]);
    }
}

/* Takes what the driver has sent. */
static void listen_to(Run *run)
{
    uint8_t buf[4096];
    ssize_t len;

    while ((len = recv(run->peer, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
        g_byte_array_append(run->asked, buf, len);
    }
}

static void send_record(Run *run, const FuzzRecord *rec, unsigned type,
                        uint32_t tag, unsigned walked)
{
    g_autofree Answer *a = g_new0(Answer, 1);
    ProxyHeader h = { .type = type | PROXY_REPLY, .tag = tag };
    uint32_t head1[2] = { PROXY_V1_SUCCESS };
    size_t start = run->v1 ? sizeof(head1) : PROXY_HEADER_SIZE;
    bool descriptor = run->v1 && (type == PROXY_V1_OPEN ||
                                  type == PROXY_V1_CREATE);

    marshal_writer_init(&a->w, a->buf, sizeof(a->buf));
    if (rec->flags & AS_IT_IS) {
        marshal_put_bytes(&a->w, rec->body, rec->size);
        change_fds(a, rec);
        finish_answer(run, a, rec);
        return;
    }
    if (descriptor) {
        start = 0;
        put32(a, PROXY_V1_FD_COMES);
        add_fd(a, open_name(names[rec->id % ARRAY_SIZE(names)], O_RDWR));
    } else {
        marshal_reserve(&a->w, start);
        if (!(rec->flags & CHANGES)) {
            marshal_put_bytes(&a->w, rec->body, rec->size);
        } else if (run->v1) {
            answer1(a, type, names[rec->id % ARRAY_SIZE(names)]);
        } else {
            answer(a, type, rec->id, walked);
        }
    }
    change_fds(a, rec);
    if (run->v1 && !descriptor) {
        head1[1] = marshal_size(&a->w) - start;
        memcpy(a->buf, head1, sizeof(head1));
    } else if (!run->v1) {
        h.size = marshal_size(&a->w);
        h.nfds = a->nfds;
        proxy_header_put(&h, a->buf);
    }
    if (rec->flags & CHANGES) {
        change(a, 0, rec->body, rec->size);
    }
    finish_answer(run, a, rec);
}

/* Answers the oldest request; whether there was one. */
static bool answer_request(Run *run, const FuzzRecord *rec)
{
    uint32_t head1[2];
    ProxyHeader h;
    unsigned walked = 1;
    const uint8_t *at;

    if (rec->flags & AS_IT_IS) {
        send_record(run, rec, 0, 0, 0);
        return true;
    }
    for (;;) {
        at = run->asked->data;
        if (run->asked->len < PROXY_HEADER_SIZE) {
            return false;
        }
        if (run->v1) {
            memcpy(head1, at, sizeof(head1));
            h.type = head1[0];
            h.size = sizeof(head1) + head1[1];
            h.tag = 0;
        } else {
            proxy_header_get(&h, at);
        }
        g_assert_cmpuint(h.size, <=, run->asked->len);
        if (!run->v1 && h.type == PROXY_WALK) {
            walked = lduw_le_p(at + PROXY_HEADER_SIZE + 8);
        }
        g_byte_array_remove_range(run->asked, 0, h.size);
        if (run->v1 || h.type != PROXY_FORGET) {
            send_record(run, rec, h.type, h.tag, walked);
            return true;
        }
    }
}

/*
 * A run
 */

/* The answers that the driver waits for at the start, in advance */
static void send_start(Run *run, const FuzzRecord *rec)
{
    g_autofree Answer *a = g_new0(Answer, 1);
    uint32_t head1[2] = { PROXY_V1_SUCCESS };
    ProxyHeader h = { .type = PROXY_HELLO | PROXY_REPLY, .nfds = 1 };

    marshal_writer_init(&a->w, a->buf, sizeof(a->buf));
    if (rec && !(rec->flags & CHANGES)) {
        marshal_put_bytes(&a->w, rec->body, rec->size);
    } else if (run->v1) {
        marshal_reserve(&a->w, sizeof(head1));
        answer1(a, PROXY_V1_LSTAT, "");
        head1[1] = marshal_size(&a->w) - sizeof(head1);
        memcpy(a->buf, head1, sizeof(head1));
    } else {
        marshal_reserve(&a->w, PROXY_HEADER_SIZE);
        marshal_put_u32(&a->w, 0);
        marshal_put_u32(&a->w, PROXY_VERSION);
        marshal_put_u32(&a->w, 0);
        marshal_put_u32(&a->w, PROXY_MAX_MESSAGE);
        marshal_put_u32(&a->w, 4);
        marshal_put_u32(&a->w, 1);
        put_node(a, PROXY_ROOT_HANDLE, "");
        put_attr(a, "");
        proxy_put_idmap(&a->w, &(ProxyIdRange) { 0, 100000, 65536 }, 1);
        proxy_put_idmap(&a->w, NULL, 0);
        h.size = marshal_size(&a->w);
        proxy_header_put(&h, a->buf);
    }
    if (rec) {
        change_fds(a, rec);
        if (rec->flags & CHANGES) {
            change(a, 0, rec->body, rec->size);
        }
    }
    send_answer(run, a);
    for (unsigned i = 0; i < a->nfds; i++) {
        close(a->fds[i]);
    }
    if (rec) {
        /* So that nobody waits for the rest */
        shutdown(run->peer, SHUT_WR);
    }
}

static bool start(Run *run, uint8_t setup, FuzzInput *in)
{
    char number[16];
    FsdevOptions opts = {
        .fsdriver = FSDEV_DRIVER_PROXY,
        .id = (char *)"fuzz",
        .u.proxy = {
            .sock_fd = number,
            .has_donate = true,
            .donate = !(setup & SETUP_NO_DONATE),
            .has_protocol = true,
            .protocol = setup & SETUP_V1 ? 1 : PROXY_VERSION,
        },
    };
    FuzzRecord rec;
    int sv[2];
    bool ok;

    g_assert_cmpint(qemu_socketpair(AF_UNIX, SOCK_STREAM, 0, sv), ==, 0);
    run->peer = sv[1];
    run->v1 = setup & SETUP_V1;
    run->asked = g_byte_array_new();
    run->fs = (FsExport) { .id = opts.id, .driver = proxy };
    snprintf(number, sizeof(number), "%d", sv[0]);
    send_start(run, setup & SETUP_START && fuzz_record(in, &rec) ? &rec
                                                                 : NULL);
    ok = proxy->open(&run->fs, &opts, NULL);
    listen_to(run);
    g_byte_array_set_size(run->asked, 0);
    if (ok) {
        run->nodes[0] = fs_node_ref(run->fs.root);
    }
    return ok;
}

static void end(Run *run)
{
    for (unsigned i = 0; i < NODES; i++) {
        set_file(run, i, NULL);
        if (run->nodes[i]) {
            fs_node_unref(run->nodes[i]);
        }
    }
    g_assert_cmpuint(fs_nodes_count(&run->fs.nodes), ==, 1);
    g_assert_cmpuint(fs_nodes_count_entries(&run->fs.nodes), ==, 0);
    run->fs.driver->close(&run->fs);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    folder = fuzz_folder();
    qemu_init_main_loop(&error_abort);
    module_call_init(MODULE_INIT_QOM);
    proxy = fs_driver_find(FSDEV_DRIVER_PROXY);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    g_autoptr(GPtrArray) ops =
        g_ptr_array_new_with_free_func((GDestroyNotify)op_free);
    uint8_t setup = fuzz_u8(&in);
    FuzzRecord rec;
    Run run = { };
    bool ok;

    fuzz_populate();
    ok = start(&run, setup, &in);
    while (ok && ops->len < OPERATIONS_MAX && fuzz_record(&in, &rec)) {
        Op *op = NULL;

        if (!(rec.flags & NO_OPERATION)) {
            op = op_start(&run, &rec);
            g_ptr_array_add(ops, op);
        }
        while (aio_poll(qemu_get_aio_context(), false)) {
            /* until what there is to send is sent */
        }
        listen_to(&run);
        if (op && !op->done && rec.flags & CANCEL) {
            fs_call_cancel(&op->call);
        }
        if (!(rec.flags & LATER)) {
            answer_request(&run, &rec);
            run_until_idle(&run, PATIENCE_US);
        }
    }
    close(run.peer);
    if (!run_until_idle(&run, END_US)) {
        fprintf(stderr, "fuzz: an operation does not end\n");
        abort();
    }
    g_ptr_array_set_size(ops, 0);
    if (ok) {
        end(&run);
    }
    while (aio_poll(qemu_get_aio_context(), false)) {
        /* what closing left to do */
    }
    g_byte_array_unref(run.asked);
    fuzz_check_fds();
    return 0;
}
