/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The server of test-fuse.h.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "test-fuse-internal.h"
#include <poll.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#define REQUEST_MAX     (128 * 1024)

/* A request whose answer is late */
typedef struct Late {
    gint64 due;
    struct fuse_in_header *in;
} Late;

static TestFuse *s;
static int fuse;
static char request[REQUEST_MAX];
static GQueue late = G_QUEUE_INIT;

static void reply(const struct fuse_in_header *in, int error,
                  const void *data, size_t size)
{
    struct fuse_out_header head = {
        .len = sizeof(head) + (error ? 0 : size),
        .error = -error,
        .unique = in->unique,
    };
    struct iovec iov[] = { { &head, sizeof(head) }, { (void *)data, size } };

    if (writev(fuse, iov, error || !size ? 1 : 2) < 0 && errno != ENOENT) {
        _exit(1);
    }
}

/* What the kernel is to do with an open file */
static uint32_t open_flags(void)
{
    return s->habits & TEST_FUSE_WRITEBACK ? 0 : FOPEN_DIRECT_IO;
}

static void reply_entry(const struct fuse_in_header *in, uint64_t node,
                        bool opened)
{
    struct {
        struct fuse_entry_out entry;
        struct fuse_open_out open;
    } out = {
        .entry.nodeid = test_fuse_number(s, node),
        .entry.generation = s->shift + s->mirror,
        .entry.attr = test_fuse_attr(s, node),
        .open.open_flags = open_flags(),
    };

    s->open_files += opened;
    reply(in, 0, &out, opened ? sizeof(out) : sizeof(out.entry));
}

static void do_lookup(const struct fuse_in_header *in, const char *text)
{
    Name *name = test_fuse_find(s, in->nodeid, text);

    if (name) {
        reply_entry(in, name->node, false);
    } else {
        reply(in, ENOENT, NULL, 0);
    }
}

/* The mode that the file system keeps when it is asked for @mode */
static uint32_t kept_mode(uint32_t mode)
{
    return s->habits & TEST_FUSE_NO_STICKY && S_ISREG(mode) ? mode & ~S_ISVTX
                                                           : mode;
}

/* Without a name if @text is NULL; @target: of a symbolic link */
static void do_make(const struct fuse_in_header *in, const char *text,
                    uint32_t mode, bool opened, const char *target)
{
    uint64_t node = s->nodes + 1;
    int error = node >= NODES ? ENOSPC :
                text ? test_fuse_add(s, in->nodeid, text, node) : 0;

    if (error) {
        reply(in, error, NULL, 0);
        return;
    }
    s->nodes = node;
    s->node[node].attr.mode = kept_mode(mode);
    if (target) {
        s->node[node].attr.size = strlen(target);
        g_strlcpy(s->node[node].data, target, TEST_FUSE_DATA);
    }
    s->node[node].attr.uid = in->uid;
    s->node[node].attr.gid = in->gid;
    if ((s->habits & TEST_FUSE_LATE) && S_ISDIR(mode)) {
        reply(in, EACCES, NULL, 0);
        return;
    }
    reply_entry(in, node, opened);
}

static void do_link(const struct fuse_in_header *in,
                    const struct fuse_link_in *link)
{
    uint64_t node = test_fuse_place(s, link->oldnodeid);
    int error = s->habits & TEST_FUSE_NO_LINKS ? EPERM : !node ? ESTALE :
                test_fuse_add(s, in->nodeid, (const char *)(link + 1), node);

    if (error) {
        reply(in, error, NULL, 0);
    } else {
        reply_entry(in, node, false);
    }
}

static void do_unlink(const struct fuse_in_header *in, const char *text)
{
    Name *name = test_fuse_find(s, in->nodeid, text);
    int error = !name ? ENOENT :
                !test_fuse_is_empty(s, name->node) ? ENOTEMPTY : 0;

    if (!error) {
        test_fuse_drop(s, name);
    }
    reply(in, error, NULL, 0);
}

static void do_rename(const struct fuse_in_header *in, uint64_t newdir,
                      const char *old)
{
    const char *new = old + strlen(old) + 1;
    Name *from = test_fuse_find(s, in->nodeid, old);
    Name *to = test_fuse_find(s, newdir, new);
    int error = !newdir ? ESTALE : !from ? ENOENT : 0;

    if (!error && to && to->node != from->node) {
        bool is_dir = S_ISDIR(s->node[from->node].attr.mode);

        if (is_dir != S_ISDIR(s->node[to->node].attr.mode)) {
            error = is_dir ? ENOTDIR : EISDIR;
        } else if (!test_fuse_is_empty(s, to->node)) {
            error = ENOTEMPTY;
        } else {
            test_fuse_drop(s, to);
        }
    }
    if (!error) {
        from->dir = newdir;
        g_strlcpy(from->text, new, sizeof(from->text));
    }
    reply(in, error, NULL, 0);
}

static void reply_attr(const struct fuse_in_header *in)
{
    struct fuse_attr_out out = { .attr = test_fuse_attr(s, in->nodeid) };

    reply(in, 0, &out, sizeof(out));
}

static void do_setattr(const struct fuse_in_header *in,
                       const struct fuse_setattr_in *set)
{
    struct fuse_attr *attr = &s->node[in->nodeid].attr;
    char *data = s->node[in->nodeid].data;

    if ((set->valid & FATTR_SIZE) && set->size > TEST_FUSE_DATA) {
        reply(in, ENOSPC, NULL, 0);
        return;
    }
    if (set->valid & FATTR_MODE) {
        attr->mode = kept_mode((attr->mode & S_IFMT) | (set->mode & 07777));
    }
    if (set->valid & FATTR_UID) {
        attr->uid = set->uid;
    }
    if (set->valid & FATTR_GID) {
        attr->gid = set->gid;
    }
    if (set->valid & FATTR_SIZE) {
        attr->size = set->size;
        memset(data + attr->size, 0, TEST_FUSE_DATA - attr->size);
    }
    if (set->valid & FATTR_ATIME) {
        attr->atime = set->atime;
    }
    if (set->valid & FATTR_MTIME) {
        attr->mtime = set->mtime;
    }
    reply_attr(in);
}

static Xattr *find_xattr(uint64_t node, const char *name)
{
    unsigned i;

    for (i = 0; i < XATTRS; i++) {
        if (s->xattr[i].node == node &&
            (!node || g_str_equal(s->xattr[i].name, name))) {
            return &s->xattr[i];
        }
    }
    return NULL;
}

static void do_setxattr(const struct fuse_in_header *in, const char *body)
{
    const struct fuse_setxattr_in *set = (const void *)body;
    const char *name = body + FUSE_COMPAT_SETXATTR_IN_SIZE;
    Xattr *old = find_xattr(in->nodeid, name);
    Xattr *x = old ?: find_xattr(0, NULL);

    if (set->flags & (old ? XATTR_CREATE : XATTR_REPLACE)) {
        reply(in, old ? EEXIST : ENODATA, NULL, 0);
        return;
    }
    if (!x || set->size > XATTR_MAX) {
        reply(in, ENOSPC, NULL, 0);
        return;
    }
    x->node = in->nodeid;
    x->size = set->size;
    g_strlcpy(x->name, name, sizeof(x->name));
    memcpy(x->value, name + strlen(name) + 1, x->size);
    reply(in, 0, NULL, 0);
}

static void do_getxattr(const struct fuse_in_header *in,
                        const struct fuse_getxattr_in *get)
{
    const Xattr *x = find_xattr(in->nodeid, (const char *)(get + 1));
    struct fuse_getxattr_out out = { .size = x ? x->size : 0 };

    if (!x) {
        reply(in, ENODATA, NULL, 0);
    } else if (!get->size) {
        reply(in, 0, &out, sizeof(out));
    } else {
        reply(in, get->size < x->size ? ERANGE : 0, x->value, x->size);
    }
}

static void do_removexattr(const struct fuse_in_header *in, const char *name)
{
    Xattr *x = find_xattr(in->nodeid, name);

    if (x) {
        x->node = 0;
    }
    reply(in, x ? 0 : ENODATA, NULL, 0);
}

static void do_listxattr(const struct fuse_in_header *in,
                         const struct fuse_getxattr_in *get)
{
    g_autoptr(GString) list = g_string_new(NULL);
    struct fuse_getxattr_out out;
    unsigned i;

    for (i = 0; i < XATTRS; i++) {
        if (s->xattr[i].node == in->nodeid) {
            g_string_append_len(list, s->xattr[i].name,
                                strlen(s->xattr[i].name) + 1);
        }
    }
    out = (struct fuse_getxattr_out) { .size = list->len };
    if (!get->size) {
        reply(in, 0, &out, sizeof(out));
    } else {
        reply(in, get->size < list->len ? ERANGE : 0, list->str, list->len);
    }
}

static void do_read(const struct fuse_in_header *in,
                    const struct fuse_read_in *read)
{
    Node *node = &s->node[in->nodeid];
    size_t offset = MIN(read->offset, node->attr.size);

    reply(in, 0, node->data + offset,
          MIN(read->size, node->attr.size - offset));
}

static void do_write(const struct fuse_in_header *in,
                     const struct fuse_write_in *write)
{
    struct fuse_write_out out = { .size = write->size };
    Node *node = &s->node[in->nodeid];

    if (write->offset > TEST_FUSE_DATA ||
        write->size > TEST_FUSE_DATA - write->offset) {
        reply(in, ENOSPC, NULL, 0);
        return;
    }
    memcpy(node->data + write->offset, write + 1, write->size);
    node->attr.size = MAX(node->attr.size, write->offset + write->size);
    reply(in, 0, &out, sizeof(out));
}

static void do_readdir(const struct fuse_in_header *in,
                       const struct fuse_read_in *read)
{
    char buf[4096] = { };
    size_t len = 0;
    uint64_t i;

    /* An entry's offset is its place, plus one. */
    for (i = read->offset; i < NAMES; i++) {
        struct fuse_dirent *d = (struct fuse_dirent *)&buf[len];
        size_t size = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET +
                                        strlen(s->name[i].text));

        if (!s->name[i].node || s->name[i].dir != in->nodeid) {
            continue;
        }
        if (len + size > MIN(read->size, sizeof(buf))) {
            break;
        }
        d->ino = test_fuse_number(s, s->name[i].node);
        d->off = i + 1;
        d->namelen = strlen(s->name[i].text);
        d->type = s->node[s->name[i].node].attr.mode >> 12;
        memcpy(d->name, s->name[i].text, d->namelen);
        len += size;
    }
    reply(in, 0, buf, len);
}

static void do_init(const struct fuse_in_header *in)
{
    struct fuse_init_out out = {
        .major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = 4096,
        .time_gran = 1,
    };

    if (s->habits & TEST_FUSE_WRITEBACK) {
        out.flags |= FUSE_WRITEBACK_CACHE;
    }
    reply(in, 0, &out, sizeof(out));
}

static void do_open(const struct fuse_in_header *in)
{
    struct fuse_open_out out = { .open_flags = open_flags() };

    s->open_files++;
    reply(in, 0, &out, sizeof(out));
}

static void do_other(const struct fuse_in_header *in)
{
    static const struct fuse_statfs_out statfs = {
        .st = { .bsize = 4096, .frsize = 4096, .namelen = NAME_MAX },
    };
    const Node *node = &s->node[in->nodeid];

    switch (in->opcode) {
    case FUSE_INIT:
        do_init(in);
        break;
    case FUSE_STATFS:
        reply(in, 0, &statfs, sizeof(statfs));
        break;
    case FUSE_READLINK:
        reply(in, 0, node->data, node->attr.size);
        break;
    case FUSE_FLUSH:
    case FUSE_FSYNC:
    case FUSE_FSYNCDIR:
        reply(in, 0, NULL, 0);
        break;
    default:
        reply(in, ENOSYS, NULL, 0);
        break;
    }
}

static void serve_xattr(const struct fuse_in_header *in, const void *body)
{
    if (s->habits & TEST_FUSE_NO_XATTRS) {
        reply(in, ENOSYS, NULL, 0);
        return;
    }
    switch (in->opcode) {
    case FUSE_SETXATTR:
        do_setxattr(in, body);
        break;
    case FUSE_GETXATTR:
        do_getxattr(in, body);
        break;
    case FUSE_LISTXATTR:
        do_listxattr(in, body);
        break;
    case FUSE_REMOVEXATTR:
        do_removexattr(in, body);
        break;
    }
}

static void serve_name(const struct fuse_in_header *in, const void *body)
{
    const struct fuse_mkdir_in *mkdir = body;
    const struct fuse_mknod_in *mknod = body;
    const struct fuse_create_in *create = body;
    const struct fuse_rename_in *rename = body;
    const struct fuse_rename2_in *rename2 = body;
    const char *text = body;

    switch (in->opcode) {
    case FUSE_LOOKUP:
        do_lookup(in, body);
        break;
    case FUSE_MKDIR:
        do_make(in, (const char *)(mkdir + 1), S_IFDIR | mkdir->mode, false,
                NULL);
        break;
    case FUSE_MKNOD:
        do_make(in, (const char *)(mknod + 1), mknod->mode, false, NULL);
        break;
    case FUSE_SYMLINK:
        do_make(in, text, S_IFLNK | 0777, false, text + strlen(text) + 1);
        break;
    case FUSE_CREATE:
        do_make(in, (const char *)(create + 1), create->mode, true, NULL);
        break;
    case FUSE_TMPFILE:
        if (s->habits & TEST_FUSE_TMPFILE) {
            do_make(in, NULL, create->mode, true, NULL);
        } else {
            reply(in, ENOSYS, NULL, 0);
        }
        break;
    case FUSE_LINK:
        do_link(in, body);
        break;
    case FUSE_UNLINK:
    case FUSE_RMDIR:
        do_unlink(in, body);
        break;
    case FUSE_RENAME:
        do_rename(in, test_fuse_place(s, rename->newdir),
                  (const char *)(rename + 1));
        break;
    case FUSE_RENAME2:
        do_rename(in, test_fuse_place(s, rename2->newdir),
                  (const char *)(rename2 + 1));
        break;
    default:
        do_other(in);
        break;
    }
}

/* What the file server says to a change by the user of @in: 0 or an errno */
static int check_owner(const struct fuse_in_header *in)
{
    const struct fuse_setattr_in *set = (const void *)(in + 1);
    const struct fuse_attr *attr = &s->node[in->nodeid].attr;
    bool mine = in->uid == 0 || in->uid == attr->uid;
    uint32_t others = in->gid == attr->gid ? S_IWGRP : S_IWOTH;

    if (!(s->habits & TEST_FUSE_OWNERS)) {
        return 0;
    }
    switch (in->opcode) {
    case FUSE_MKDIR:
    case FUSE_MKNOD:
    case FUSE_CREATE:
    case FUSE_LINK:
    case FUSE_UNLINK:
    case FUSE_RMDIR:
    case FUSE_RENAME:
    case FUSE_RENAME2:
        return mine || (attr->mode & others) ? 0 : EACCES;
    case FUSE_READDIR:
        return in->uid == attr->uid ? 0 : EACCES;
    case FUSE_SETATTR:
        return mine && (in->uid == 0 || !(set->valid & FATTR_UID)) ? 0 : EPERM;
    default:
        return 0;
    }
}

/* Whether the server knows the file only by what the client has open */
static bool needs_handle(const struct fuse_in_header *in)
{
    const struct fuse_getattr_in *get = (const void *)(in + 1);
    const struct fuse_setattr_in *set = (const void *)(in + 1);

    switch (in->opcode) {
    case FUSE_READ:
    case FUSE_WRITE:
    case FUSE_FLUSH:
    case FUSE_FSYNC:
        return false;
    case FUSE_GETATTR:
        return !(get->getattr_flags & FUSE_GETATTR_FH);
    case FUSE_SETATTR:
        return !(set->valid & FATTR_FH);
    default:
        return true;
    }
}

/* What the test or a habit makes of the request: 0 or an errno */
static int refuse(const struct fuse_in_header *in)
{
    int error = 0;

    if (in->opcode == FUSE_INIT) {
        return 0;
    }
    if (in->opcode < OPCODES) {
        qatomic_inc(&s->count[in->opcode]);
        error = qatomic_read(&s->error[in->opcode]);
    }
    if (qatomic_read(&s->nth) && qatomic_fetch_dec(&s->nth) == 1) {
        error = s->nth_error;
    }
    if (!error && (!in->nodeid || ((s->habits & TEST_FUSE_FORGETS) &&
                                   s->node[in->nodeid].lost &&
                                   needs_handle(in)))) {
        error = ESTALE;
    }
    return error ? error : check_owner(in);
}

static void serve(struct fuse_in_header *in)
{
    const void *body = in + 1;
    int error;

    switch (in->opcode) {
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
        qatomic_dec(&s->open_files);
        reply(in, 0, NULL, 0);
        return;
    }
    in->nodeid = test_fuse_place(s, in->nodeid);
    error = refuse(in);
    if (error) {
        reply(in, error, NULL, 0);
        return;
    }
    switch (in->opcode) {
    case FUSE_GETATTR:
        reply_attr(in);
        break;
    case FUSE_SETATTR:
        do_setattr(in, body);
        break;
    case FUSE_SETXATTR:
    case FUSE_GETXATTR:
    case FUSE_LISTXATTR:
    case FUSE_REMOVEXATTR:
        serve_xattr(in, body);
        break;
    case FUSE_OPEN:
    case FUSE_OPENDIR:
        do_open(in);
        break;
    case FUSE_READ:
        do_read(in, body);
        break;
    case FUSE_WRITE:
        do_write(in, body);
        break;
    case FUSE_READDIR:
        do_readdir(in, body);
        break;
    default:
        serve_name(in, body);
        break;
    }
}

static void serve_next(void)
{
    struct fuse_in_header *in = (void *)request;
    unsigned ms = qatomic_read(&s->delay_ms);
    Late *l;

    if (read(fuse, request, sizeof(request)) < 0) {
        if (errno == EINTR || errno == EAGAIN || errno == ENOENT) {
            return;
        }
        _exit(0);               /* ENODEV: unmounted */
    }
    switch (in->opcode) {
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
        return;
    }
    if (!ms && g_queue_is_empty(&late)) {
        serve(in);
        return;
    }
    l = g_new(Late, 1);
    l->due = g_get_monotonic_time() + ms * 1000;
    l->in = g_memdup2(in, in->len);
    g_queue_push_tail(&late, l);
}

/* Answers what is late enough, and returns how long to wait for the rest. */
static int serve_late(void)
{
    gint64 left;
    Late *l;

    while ((l = g_queue_peek_head(&late))) {
        left = l->due - g_get_monotonic_time();
        if (left > 0) {
            return left / 1000 + 1;
        }
        g_queue_pop_head(&late);
        serve(l->in);
        g_free(l->in);
        g_free(l);
    }
    return 1000;
}

void test_fuse_serve(TestFuse *f, int fd, pid_t test)
{
    s = f;
    fuse = fd;
    while (getppid() == test) {
        struct pollfd p = { .fd = fuse, .events = POLLIN };

        if (poll(&p, 1, serve_late()) > 0) {
            serve_next();
        }
    }
    _exit(0);
}
