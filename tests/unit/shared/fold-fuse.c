/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See fold-fuse.h. Inodes and names are two tables; a node's number is its
 * place, and is never used again. The kernel may keep nothing, so that each
 * lookup comes here.
 */
#include "qemu/osdep.h"
#include "fold-fuse.h"
#include <linux/fuse.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/uio.h>

#define NODES           512
#define DATA_MAX        512
#define REQUEST_MAX     (128 * 1024)

typedef struct Node {
    struct fuse_attr attr;      /* mode 0: never used */
    char data[DATA_MAX];
} Node;

typedef struct Name {
    uint64_t dir, node;         /* 0: none */
    char text[NAME_MAX + 1];
} Name;

static struct {
    int fuse;
    uint64_t nodes;             /* the last number in use */
    Node node[NODES];
    Name name[NODES];
    char request[REQUEST_MAX];
} s;

/* What all spellings of a name have in common; to be freed */
static char *fold(const char *name)
{
    g_autoptr(GString) folded = g_string_new(NULL);

    for (; *name; name++) {
        if (g_str_has_prefix(name, "\xc2\xad")) {
            name++;
        } else if (g_str_has_prefix(name, "\xc5\xbf")) {
            g_string_append_c(folded, 's');
            name++;
        } else {
            g_string_append_c(folded, g_ascii_tolower(*name));
        }
    }
    return g_string_free(g_steal_pointer(&folded), false);
}

static Name *find(uint64_t dir, const char *text)
{
    g_autofree char *folded = fold(text);
    unsigned i;

    for (i = 0; i < NODES; i++) {
        if (s.name[i].node && s.name[i].dir == dir) {
            g_autofree char *other = fold(s.name[i].text);

            if (g_str_equal(other, folded)) {
                return &s.name[i];
            }
        }
    }
    return NULL;
}

static bool is_empty(uint64_t dir)
{
    unsigned i;

    for (i = 0; i < NODES; i++) {
        if (s.name[i].node && s.name[i].dir == dir) {
            return false;
        }
    }
    return true;
}

/* Gives a node another name: 0 or an errno */
static int add(uint64_t dir, const char *text, uint64_t node)
{
    unsigned i;

    if (find(dir, text)) {
        return EEXIST;
    }
    for (i = 0; i < NODES; i++) {
        if (!s.name[i].node) {
            s.name[i] = (Name) { .dir = dir, .node = node };
            g_strlcpy(s.name[i].text, text, sizeof(s.name[i].text));
            s.node[node].attr.nlink++;
            return 0;
        }
    }
    return ENOSPC;
}

static void drop(Name *name)
{
    s.node[name->node].attr.nlink--;
    name->node = 0;
}

static void reply(const struct fuse_in_header *in, int error,
                  const void *data, size_t size)
{
    struct fuse_out_header head = {
        .len = sizeof(head) + (error ? 0 : size),
        .error = -error,
        .unique = in->unique,
    };
    struct iovec iov[] = { { &head, sizeof(head) }, { (void *)data, size } };

    if (writev(s.fuse, iov, error || !size ? 1 : 2) < 0 && errno != ENOENT) {
        _exit(1);
    }
}

static void reply_entry(const struct fuse_in_header *in, uint64_t node,
                        bool opened)
{
    struct {
        struct fuse_entry_out entry;
        struct fuse_open_out open;
    } out = { .entry.nodeid = node, .entry.attr = s.node[node].attr };

    reply(in, 0, &out, opened ? sizeof(out) : sizeof(out.entry));
}

static void do_lookup(const struct fuse_in_header *in, const char *text)
{
    Name *name = find(in->nodeid, text);

    if (name) {
        reply_entry(in, name->node, false);
    } else {
        reply(in, ENOENT, NULL, 0);
    }
}

static void do_make(const struct fuse_in_header *in, const char *text,
                    uint32_t mode, bool opened)
{
    uint64_t node = s.nodes + 1;
    int error = node < NODES ? add(in->nodeid, text, node) : ENOSPC;

    if (error) {
        reply(in, error, NULL, 0);
        return;
    }
    s.nodes = node;
    s.node[node].attr.ino = node;
    s.node[node].attr.mode = mode;
    s.node[node].attr.uid = in->uid;
    s.node[node].attr.gid = in->gid;
    reply_entry(in, node, opened);
}

static void do_link(const struct fuse_in_header *in,
                    const struct fuse_link_in *link)
{
    int error = add(in->nodeid, (const char *)(link + 1), link->oldnodeid);

    if (error) {
        reply(in, error, NULL, 0);
    } else {
        reply_entry(in, link->oldnodeid, false);
    }
}

static void do_unlink(const struct fuse_in_header *in, const char *text)
{
    Name *name = find(in->nodeid, text);
    int error = !name ? ENOENT : !is_empty(name->node) ? ENOTEMPTY : 0;

    if (!error) {
        drop(name);
    }
    reply(in, error, NULL, 0);
}

static void do_rename(const struct fuse_in_header *in, uint64_t newdir,
                      const char *old)
{
    const char *new = old + strlen(old) + 1;
    Name *from = find(in->nodeid, old);
    Name *to = find(newdir, new);
    int error = !from ? ENOENT : 0;

    if (!error && to && to->node != from->node) {
        bool is_dir = S_ISDIR(s.node[from->node].attr.mode);

        if (is_dir != S_ISDIR(s.node[to->node].attr.mode)) {
            error = is_dir ? ENOTDIR : EISDIR;
        } else if (!is_empty(to->node)) {
            error = ENOTEMPTY;
        } else {
            drop(to);
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
    struct fuse_attr_out out = { .attr = s.node[in->nodeid].attr };

    reply(in, 0, &out, sizeof(out));
}

static void do_setattr(const struct fuse_in_header *in,
                       const struct fuse_setattr_in *set)
{
    struct fuse_attr *attr = &s.node[in->nodeid].attr;

    if (set->valid & FATTR_MODE) {
        attr->mode = (attr->mode & S_IFMT) | (set->mode & 07777);
    }
    if (set->valid & FATTR_UID) {
        attr->uid = set->uid;
    }
    if (set->valid & FATTR_GID) {
        attr->gid = set->gid;
    }
    if (set->valid & FATTR_SIZE) {
        attr->size = MIN(set->size, DATA_MAX);
    }
    reply_attr(in);
}

static void do_read(const struct fuse_in_header *in,
                    const struct fuse_read_in *read)
{
    Node *node = &s.node[in->nodeid];
    size_t offset = MIN(read->offset, node->attr.size);

    reply(in, 0, node->data + offset,
          MIN(read->size, node->attr.size - offset));
}

static void do_write(const struct fuse_in_header *in,
                     const struct fuse_write_in *write)
{
    struct fuse_write_out out = { .size = write->size };
    Node *node = &s.node[in->nodeid];

    if (write->offset > DATA_MAX || write->size > DATA_MAX - write->offset) {
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
    for (i = read->offset; i < NODES; i++) {
        struct fuse_dirent *d = (struct fuse_dirent *)&buf[len];
        size_t size = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET +
                                        strlen(s.name[i].text));

        if (!s.name[i].node || s.name[i].dir != in->nodeid) {
            continue;
        }
        if (len + size > MIN(read->size, sizeof(buf))) {
            break;
        }
        d->ino = s.name[i].node;
        d->off = i + 1;
        d->namelen = strlen(s.name[i].text);
        d->type = s.node[d->ino].attr.mode >> 12;
        memcpy(d->name, s.name[i].text, d->namelen);
        len += size;
    }
    reply(in, 0, buf, len);
}

static void do_other(const struct fuse_in_header *in)
{
    static const struct fuse_init_out init = {
        .major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = 4096,
        .time_gran = 1,
    };
    static const struct fuse_open_out open;

    switch (in->opcode) {
    case FUSE_INIT:
        reply(in, 0, &init, sizeof(init));
        break;
    case FUSE_OPEN:
    case FUSE_OPENDIR:
        reply(in, 0, &open, sizeof(open));
        break;
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_FLUSH:
        reply(in, 0, NULL, 0);
        break;
    default:
        reply(in, ENOSYS, NULL, 0);
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

    switch (in->opcode) {
    case FUSE_LOOKUP:
        do_lookup(in, body);
        break;
    case FUSE_MKDIR:
        do_make(in, (const char *)(mkdir + 1), S_IFDIR | mkdir->mode, false);
        break;
    case FUSE_MKNOD:
        do_make(in, (const char *)(mknod + 1), mknod->mode, false);
        break;
    case FUSE_CREATE:
        do_make(in, (const char *)(create + 1), create->mode, true);
        break;
    case FUSE_LINK:
        do_link(in, body);
        break;
    case FUSE_UNLINK:
    case FUSE_RMDIR:
        do_unlink(in, body);
        break;
    case FUSE_RENAME:
        do_rename(in, rename->newdir, (const char *)(rename + 1));
        break;
    case FUSE_RENAME2:
        do_rename(in, rename2->newdir, (const char *)(rename2 + 1));
        break;
    default:
        do_other(in);
        break;
    }
}

static void serve_one(void)
{
    const struct fuse_in_header *in = (void *)s.request;
    const void *body = in + 1;

    if (read(s.fuse, s.request, sizeof(s.request)) < 0) {
        if (errno == EINTR || errno == EAGAIN || errno == ENOENT) {
            return;
        }
        _exit(0);               /* ENODEV: unmounted */
    }
    switch (in->opcode) {
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
        break;
    case FUSE_GETATTR:
        reply_attr(in);
        break;
    case FUSE_SETATTR:
        do_setattr(in, body);
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

bool fold_fuse_start(const char *path)
{
    pid_t self = getpid();
    char options[128];
    int fuse, error;
    pid_t pid;

    fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fuse < 0) {
        return false;
    }
    snprintf(options, sizeof(options),
             "fd=%d,rootmode=40000,user_id=%d,group_id=%d,allow_other", fuse,
             geteuid(), getegid());
    if (mount("fold", path, "fuse", MS_NOSUID | MS_NODEV, options) < 0) {
        error = errno;
        close(fuse);
        errno = error;
        return false;
    }
    pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid > 0) {
        close(fuse);
        return true;
    }
    /* What the test has open must not stay open here. */
    s.fuse = dup2(fuse, 3);
    closefrom(4);
    s.nodes = FUSE_ROOT_ID;
    s.node[FUSE_ROOT_ID].attr.ino = FUSE_ROOT_ID;
    s.node[FUSE_ROOT_ID].attr.mode = S_IFDIR | 0755;
    s.node[FUSE_ROOT_ID].attr.nlink = 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (getppid() == self) {
        struct pollfd p = { .fd = s.fuse, .events = POLLIN };

        if (poll(&p, 1, 1000) > 0) {
            serve_one();
        }
    }
    _exit(0);
}
