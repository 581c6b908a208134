/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The local driver on a real directory: nodes that outlive their handles, the
 * names that change under them, and what its options say no to.
 *
 * The driver is asked as the server does it, entries among it. A handle is
 * found again by its file handle or by its names; who may open by file handle
 * runs these tests both ways. Several of them have so few descriptors that
 * nothing stays open; those come last, as nobody can raise the limit again.
 */
#include "qemu/osdep.h"
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include "block/aio.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "hw/9pfs/host/file.h"
#include "hw/9pfs/local/node.h"

/* RLIMIT_NOFILE of the tests that are short of descriptors */
#define FEW_FDS         64

static const FsDriver *local;
static char *folder;
static unsigned folders;

static int open_fds(void)
{
    GDir *dir = g_dir_open("/proc/self/fd", 0, NULL);
    int n = 0;

    g_assert_nonnull(dir);
    while (g_dir_read_name(dir)) {
        n++;
    }
    g_dir_close(dir);
    return n;
}

/* Exports are opened as if file handles could not be. */
static bool only_names;

/*
 * Whether this thread may open by file handle; false if it may not at all. The
 * threads of the pool have what the one has that makes them.
 */
static bool set_file_handles(bool may)
{
    struct __user_cap_header_struct head = {
        .version = _LINUX_CAPABILITY_VERSION_3,
    };
    struct __user_cap_data_struct data[2];
    unsigned bit = 1u << CAP_DAC_READ_SEARCH;

    g_assert_cmpint(syscall(SYS_capget, &head, data), ==, 0);
    if (may && !(data[0].permitted & bit)) {
        return false;
    }
    data[0].effective = may ? data[0].effective | bit
                            : data[0].effective & ~bit;
    g_assert_cmpint(syscall(SYS_capset, &head, data), ==, 0);
    return true;
}

/*
 * An export
 */

typedef struct Test {
    char *dir;
    int fd;                     /* of it, for the host's part */
    FsExport fs;
} Test;

/* The share is taken to be on a file system of that kind from now on. */
static void set_kind(Test *t, HostDevKind kind)
{
    host_dev_note(&local_fs(t->fs.root)->devs, t->fs.root->dev, kind);
}

static void setup_model(Test *t, FsdevSecurityModel model)
{
    FsdevOptions opts = {
        .fsdriver = FSDEV_DRIVER_LOCAL,
        .id = (char *)"test",
        .u.local = { .security_model = model },
    };

    *t = (Test) {
        .dir = g_strdup_printf("%s/%u", folder, folders++),
        .fs = { .id = (char *)"test", .driver = local,
                .multidevs = FSDEV_MULTIDEVS_REMAP },
    };
    g_assert_cmpint(mkdir(t->dir, 0755), ==, 0);
    t->fd = open(t->dir, O_RDONLY | O_DIRECTORY);
    g_assert_cmpint(t->fd, >=, 0);
    opts.u.local.path = t->dir;
    if (only_names) {
        set_file_handles(false);
    }
    g_assert_true(local->open(&t->fs, &opts, &error_abort));
    set_file_handles(true);
    g_assert_nonnull(t->fs.root);
    /* Whatever the current folder is on: at_once() is for the other case. */
    set_kind(t, HOST_DEV_STORAGE);
}

static void setup(Test *t)
{
    setup_model(t, FSDEV_SECURITY_MODEL_PASSTHROUGH);
}

/* All that the test had is freed: the root is what is left. */
static void finish(Test *t)
{
    g_autofree char *rm = g_strdup_printf("rm -rf '%s'", t->dir);

    g_assert_cmpuint(fs_nodes_count(&t->fs.nodes), ==, 1);
    g_assert_cmpuint(fs_nodes_count_entries(&t->fs.nodes), ==, 0);
    local->close(&t->fs);
    g_assert_null(t->fs.root);
    close(t->fd);
    g_assert_cmpint(system(rm), ==, 0);
    g_free(t->dir);
}

/* On the host */
static void put_file(Test *t, const char *name)
{
    int fd = openat(t->fd, name, O_CREAT | O_EXCL | O_WRONLY, 0644);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, name, strlen(name)), ==, strlen(name));
    close(fd);
}

static void put_dir(Test *t, const char *name)
{
    g_assert_cmpint(mkdirat(t->fd, name, 0755), ==, 0);
}

static uint64_t ino_of(Test *t, const char *name)
{
    struct stat st;

    g_assert_cmpint(fstatat(t->fd, name, &st, AT_SYMLINK_NOFOLLOW), ==, 0);
    return st.st_ino;
}

/*
 * Closes every handle that can be closed, by having others that are used more
 * recently.
 */
static void squeeze(void)
{
    enum { MANY = FEW_FDS };
    HostFd h[MANY];
    struct rlimit limit;
    int i;

    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    g_assert_cmpint(limit.rlim_cur, ==, FEW_FDS);
    for (i = 0; i < MANY; i++) {
        host_fd_init(&h[i], NULL);
        host_fd_set(&h[i], open("/dev/null", O_PATH));
    }
    for (i = 0; i < MANY; i++) {
        host_fd_drop(&h[i]);
    }
}

static bool is_closed(FsNode *node)
{
    return local_node(node)->path_fd.fd < 0;
}

/*
 * Operations, each in a coroutine
 */

typedef struct Op Op;
struct Op {
    void coroutine_fn (*run)(Op *op);
    FsCall call;
    FsNode *node;
    FsNode *other;
    const char *names[FS_WALK_MAX];
    unsigned n;
    int flags;
    FsMakeArgs make;
    FsSetAttr set;
    FsWalk walk;
    FsFile *file;
    FsAttr attr;
    uint8_t *value;
    size_t size;
    uint64_t gen;
    int ret;
    bool done;
};

static void coroutine_fn op_entry(void *opaque)
{
    Op *op = opaque;

    op->run(op);
    op->done = true;
}

static void op_start(Op *op, void coroutine_fn (*run)(Op *op))
{
    op->run = run;
    op->done = false;
    qemu_coroutine_enter(qemu_coroutine_create(op_entry, op));
}

static int op_wait(Op *op)
{
    gint64 end = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;

    while (!op->done) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        if (!aio_poll(qemu_get_aio_context(), false)) {
            g_usleep(50);
        }
    }
    return op->ret;
}

static int op_run(Op *op, void coroutine_fn (*run)(Op *op))
{
    op_start(op, run);
    return op_wait(op);
}

static void coroutine_fn run_walk(Op *op)
{
    op->ret = local->walk(&op->call, op->node, op->names, op->n, &op->walk);
}

static void coroutine_fn run_getattr(Op *op)
{
    op->ret = local->getattr(&op->call, op->node, op->file, &op->attr);
}

static void coroutine_fn run_setattr(Op *op)
{
    op->ret = local->setattr(&op->call, op->node, op->file, &op->set);
}

static void coroutine_fn run_readlink(Op *op)
{
    op->ret = local->readlink(&op->call, op->node, (char *)op->value,
                              op->size);
}

static void coroutine_fn run_generation(Op *op)
{
    op->ret = local->generation(&op->call, op->node, NULL, &op->gen);
}

static void coroutine_fn run_open(Op *op)
{
    op->ret = local->open_file(&op->call, op->node, op->flags, &op->file);
}

static void coroutine_fn run_make(Op *op)
{
    op->ret = local->make(&op->call, op->node, &op->make, &op->attr);
}

static void coroutine_fn run_create(Op *op)
{
    op->ret = local->create(&op->call, op->node, &op->make, op->flags,
                            &op->other, &op->file, &op->attr);
}

static void coroutine_fn run_link(Op *op)
{
    op->ret = local->link(&op->call, op->node, op->other, op->names[0]);
}

static void coroutine_fn run_getxattr(Op *op)
{
    op->ret = local->getxattr(&op->call, op->node, op->names[0], &op->value,
                              &op->size);
}

static void coroutine_fn run_setxattr(Op *op)
{
    op->ret = local->setxattr(&op->call, op->node, op->names[0], op->value,
                              op->size, op->flags);
}

static void coroutine_fn run_rename(Op *op)
{
    op->ret = local->rename(&op->call, op->node, op->names[0], op->other,
                            op->names[1]);
}

static void coroutine_fn run_unlink(Op *op)
{
    FsEntry *entry = fs_entry_find(op->node->fs, op->node, op->names[0]);

    op->ret = local->unlink(&op->call, op->node, op->names[0], op->flags,
                            op->other);
    if (entry) {
        if (op->ret == 0 && fs_entry_is(entry, op->node, op->names[0])) {
            fs_entry_gone(entry);
        }
        fs_entry_put(entry);
    }
}

/* A walk of names with "/" between them; its error, with names found in *n */
static int try_walk(FsNode *from, const char *path, FsNode **node, unsigned *n)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", FS_WALK_MAX);
    Op op = { .node = from };

    for (op.n = 0; parts[op.n]; op.n++) {
        op.names[op.n] = parts[op.n];
    }
    op_run(&op, run_walk);
    *n = op.walk.walked;
    if (op.ret == 0) {
        g_assert_cmpuint(op.walk.walked, ==, op.n);
        g_assert_nonnull(op.walk.node);
        if (op.walk.parent) {
            fs_node_unref(op.walk.parent);
        }
        *node = op.walk.node;
    } else {
        g_assert_null(op.walk.node);
        g_assert_null(op.walk.parent);
    }
    return op.ret;
}

static FsNode *walk_from(FsNode *from, const char *path)
{
    FsNode *node = NULL;
    unsigned n;

    g_assert_cmpint(try_walk(from, path, &node, &n), ==, 0);
    return node;
}

static FsNode *walk(Test *t, const char *path)
{
    return walk_from(t->fs.root, path);
}

static int getattr(FsNode *node, FsAttr *attr)
{
    Op op = { .node = node };

    op_run(&op, run_getattr);
    *attr = op.attr;
    return op.ret;
}

static void assert_ino(FsNode *node, uint64_t ino)
{
    FsAttr attr;

    g_assert_cmpint(getattr(node, &attr), ==, 0);
    g_assert_cmpuint(attr.ino, ==, ino);
}

static int rename_(FsNode *dir, const char *name, FsNode *to, const char *as)
{
    Op op = { .node = dir, .other = to, .names = { name, as } };

    return op_run(&op, run_rename);
}

static int unlink_(FsNode *dir, const char *name, bool rmdir)
{
    Op op = { .node = dir, .names = { name }, .flags = rmdir };

    return op_run(&op, run_unlink);
}

/* Reads at most 15 bytes, as a string. */
static void assert_content(FsNode *node, const char *text)
{
    Op op = { .node = node, .flags = O_RDONLY };
    char buf[16] = "";

    g_assert_cmpint(op_run(&op, run_open), ==, 0);
    g_assert_cmpint(pread(container_of(op.file, HostFile, file)->fd, buf,
                          sizeof(buf) - 1, 0), >=, 0);
    g_assert_cmpstr(buf, ==, text);
    fs_file_unref(op.file);
}

/*
 * Walking
 */

static void check_walk(bool slow)
{
    FsNode *node, *dir, *file, *up = NULL;
    unsigned n;
    Test t;

    setup(&t);
    if (slow) {
        set_kind(&t, HOST_DEV_REMOTE);
    }
    put_dir(&t, "a");
    put_dir(&t, "a/b");
    put_dir(&t, "a/b/c");
    put_file(&t, "a/b/c/f");
    g_assert_cmpint(symlinkat("b", t.fd, "a/link"), ==, 0);

    file = walk(&t, "a/b/c/f");
    assert_ino(file, ino_of(&t, "a/b/c/f"));
    g_assert_cmpuint(file->type, ==, S_IFREG);
    dir = walk(&t, "a/b");
    node = walk_from(dir, "c/f");
    g_assert_true(node == file);
    fs_node_unref(node);

    /* Upwards; the root stays */
    node = walk(&t, "..");
    g_assert_true(node == t.fs.root);
    fs_node_unref(node);
    node = walk(&t, "../a/../../a/b/c/..");
    g_assert_true(node == dir);
    fs_node_unref(node);

    /* As far as it goes */
    g_assert_cmpint(try_walk(t.fs.root, "a/b/x/y", &up, &n), ==, -ENOENT);
    g_assert_cmpuint(n, ==, 2);
    g_assert_cmpint(try_walk(t.fs.root, "x/b", &up, &n), ==, -ENOENT);
    g_assert_cmpuint(n, ==, 0);
    g_assert_cmpint(try_walk(t.fs.root, "a/b/c/f/x", &up, &n), ==, -ENOTDIR);
    g_assert_cmpuint(n, ==, 4);
    g_assert_cmpint(try_walk(t.fs.root, "a/b/c/f/..", &up, &n), ==, -ENOTDIR);
    g_assert_cmpuint(n, ==, 4);
    g_assert_cmpint(try_walk(t.fs.root, "a/link/c", &up, &n), ==, -ENOTDIR);
    g_assert_cmpuint(n, ==, 2);
    g_assert_cmpint(try_walk(t.fs.root, "a/../x/a", &up, &n), ==, -ENOENT);
    g_assert_cmpuint(n, ==, 2);
    g_assert_cmpint(try_walk(file, "x", &up, &n), ==, -ENOTDIR);
    g_assert_cmpuint(n, ==, 0);

    node = walk(&t, "a/link");
    g_assert_cmpuint(node->type, ==, S_IFLNK);
    fs_node_unref(node);
    fs_node_unref(file);
    fs_node_unref(dir);
    finish(&t);
}

static void test_walk(void)
{
    check_walk(false);
}

static void test_walk_slow(void)
{
    check_walk(true);
}

/* 16 names, all of them new to the driver */
static void test_walk_long(void)
{
    g_autoptr(GString) path = g_string_new("d");
    FsNode *node;
    Test t;
    int i;

    setup(&t);
    set_kind(&t, HOST_DEV_REMOTE);
    put_dir(&t, path->str);
    for (i = 1; i < FS_WALK_MAX; i++) {
        g_string_append(path, "/d");
        put_dir(&t, path->str);
    }
    node = walk(&t, path->str);
    g_assert_cmpuint(fs_nodes_count(&t.fs.nodes), ==, FS_WALK_MAX + 1);
    assert_ino(node, ino_of(&t, path->str));
    fs_node_unref(node);
    finish(&t);
}

/*
 * Making and opening
 */

static void test_create(void)
{
    Op op = { .flags = O_CREAT | O_RDWR };
    FsNode *first;
    FsFile *file;
    Test t;

    setup(&t);
    op.node = t.fs.root;
    op.make = (FsMakeArgs) { .name = "f", .mode = S_IFREG | 0640,
                         .uid = geteuid(), .gid = getegid() };
    g_assert_cmpint(op_run(&op, run_create), ==, 0);
    first = op.other;
    file = op.file;
    g_assert_cmpuint(op.attr.ino, ==, ino_of(&t, "f"));
    g_assert_cmpuint(op.attr.mode, ==, S_IFREG | 0640);
    g_assert_cmpint(write(container_of(file, HostFile, file)->fd, "hello", 5),
                    ==, 5);
    assert_content(first, "hello");

    /* What is there already */
    g_assert_cmpint(op_run(&op, run_create), ==, 0);
    g_assert_true(op.other == first);
    fs_node_unref(op.other);
    fs_file_unref(op.file);
    op.flags |= O_EXCL;
    g_assert_cmpint(op_run(&op, run_create), ==, -EEXIST);

    op.make.mode = S_IFIFO | 0600;
    op.make.name = "fifo";
    g_assert_cmpint(op_run(&op, run_make), ==, 0);
    op.other = walk(&t, "fifo");
    g_assert_cmpuint(op.other->type, ==, S_IFIFO);
    op.node = op.other;
    op.flags = O_RDWR;
    g_assert_cmpint(op_run(&op, run_open), ==, -ENXIO);
    fs_node_unref(op.other);

    /* Size by the open file; generation, or that there is none */
    op = (Op) { .node = first, .file = file,
                .set = { .valid = FS_SET_SIZE, .size = 3 } };
    g_assert_cmpint(op_run(&op, run_setattr), ==, 0);
    assert_content(first, "hel");
    if (op_run(&op, run_generation) == 0) {
        uint64_t gen = op.gen;

        op.gen = ~gen;
        g_assert_cmpint(op_run(&op, run_generation), ==, 0);
        g_assert_cmpuint(op.gen, ==, gen);
    } else {
        g_assert_cmpint(op.ret, ==, -EOPNOTSUPP);
    }
    fs_file_unref(file);
    fs_node_unref(first);
    finish(&t);
}

static void test_readonly(void)
{
    FsdevOptions opts = {
        .fsdriver = FSDEV_DRIVER_LOCAL,
        .id = (char *)"test",
        .u.local = { .security_model = FSDEV_SECURITY_MODEL_NONE },
    };
    Op op = { .names = { "f", "g" } };
    Test t;

    setup(&t);
    put_file(&t, "f");
    local->close(&t.fs);
    t.fs = (FsExport) { .id = (char *)"test", .driver = local,
                        .readonly = true };
    opts.u.local.path = t.dir;
    g_assert_true(local->open(&t.fs, &opts, &error_abort));

    op.node = op.other = t.fs.root;
    g_assert_cmpint(op_run(&op, run_rename), ==, -EROFS);
    op.other = NULL;
    g_assert_cmpint(op_run(&op, run_unlink), ==, -EROFS);
    op.make = (FsMakeArgs) { .name = "n", .mode = S_IFDIR | 0700 };
    g_assert_cmpint(op_run(&op, run_make), ==, -EROFS);
    op.node = walk(&t, "f");
    op.flags = O_RDWR;
    g_assert_cmpint(op_run(&op, run_open), ==, -EROFS);
    assert_content(op.node, "f");
    fs_node_unref(op.node);
    finish(&t);
}

static void test_xattr(void)
{
    static const size_t sizes[] = { 0, 1, 255, 256, 257, 2000 };
    Op op = { .names = { "user.test" } };
    uint8_t value[2000];
    FsNode *node;
    Test t;
    int i;

    setup(&t);
    put_file(&t, "f");
    node = op.node = walk(&t, "f");
    memset(value, 'v', sizeof(value));
    g_assert_cmpint(op_run(&op, run_getxattr), <, 0);
    for (i = 0; i < ARRAY_SIZE(sizes); i++) {
        op.value = value;
        op.size = sizes[i];
        if (op_run(&op, run_setxattr) == -EOPNOTSUPP) {
            g_test_skip("no user.* attributes on this file system");
            break;
        }
        g_assert_cmpint(op.ret, ==, 0);
        op.value = NULL;
        g_assert_cmpint(op_run(&op, run_getxattr), ==, 0);
        g_assert_nonnull(op.value);
        g_assert_cmpmem(op.value, op.size, value, sizes[i]);
        g_free(op.value);
    }
    op.names[0] = NULL;
    g_assert_cmpint(op_run(&op, run_getxattr), ==, 0);
    g_assert_nonnull(op.value);
    g_free(op.value);
    fs_node_unref(node);
    finish(&t);
}

/*
 * Directories
 */

typedef struct Listing {
    GHashTable *names;
    uint64_t next;
    unsigned room;
} Listing;

static bool fill(void *opaque, const FsDirent *entry)
{
    Listing *l = opaque;

    if (!l->room) {
        return false;
    }
    l->room--;
    l->next = entry->next;
    /* None of them twice */
    g_assert_true(g_hash_table_add(l->names, g_strdup(entry->name)));
    return true;
}

typedef struct ReadOp {
    Op op;
    Listing *l;
} ReadOp;

static void coroutine_fn run_readdir(Op *op)
{
    ReadOp *r = container_of(op, ReadOp, op);

    op->ret = local->readdir(&op->call, op->file, r->l->next, fill, r->l);
}

static GHashTable *list(FsNode *dir, unsigned room)
{
    Listing l = {
        .names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
    };
    ReadOp r = { .op = { .node = dir, .flags = O_RDONLY | O_DIRECTORY },
                 .l = &l };
    unsigned before;

    g_assert_cmpint(op_run(&r.op, run_open), ==, 0);
    do {
        before = g_hash_table_size(l.names);
        l.room = room;
        g_assert_cmpint(op_run(&r.op, run_readdir), ==, 0);
    } while (g_hash_table_size(l.names) > before);
    fs_file_unref(r.op.file);
    return l.names;
}

static void test_readdir(void)
{
    enum { FILES = 3000 };
    g_autoptr(GHashTable) names = NULL;
    FsNode *dir;
    Test t;
    int i;

    setup(&t);
    put_dir(&t, "d");
    for (i = 0; i < FILES; i++) {
        g_autofree char *name = g_strdup_printf("d/%d-with-a-longer-name", i);

        put_file(&t, name);
    }
    dir = walk(&t, "d");
    names = list(dir, 77);
    g_assert_cmpuint(g_hash_table_size(names), ==, FILES + 2);
    for (i = 0; i < FILES; i++) {
        g_autofree char *name = g_strdup_printf("%d-with-a-longer-name", i);

        g_assert_true(g_hash_table_contains(names, name));
    }
    fs_node_unref(dir);
    finish(&t);
}

/*
 * Nodes without handles
 */

/* As many nodes as there are, and few descriptors */
static void test_budget(void)
{
    enum { DIRS = 20, FILES = 100 };
    FsNode *nodes[DIRS * FILES];
    uint64_t inos[DIRS * FILES];
    int before = open_fds();
    int i, d, closed = 0;
    Test t;

    setup(&t);
    for (d = 0; d < DIRS; d++) {
        g_autofree char *dir = g_strdup_printf("d%d", d);

        put_dir(&t, dir);
        for (i = 0; i < FILES; i++) {
            g_autofree char *name = g_strdup_printf("d%d/%d", d, i);

            put_file(&t, name);
            inos[d * FILES + i] = ino_of(&t, name);
            nodes[d * FILES + i] = walk(&t, name);
            g_assert_cmpint(open_fds() - before, <, FEW_FDS * 3 / 4);
        }
    }
    for (i = 0; i < ARRAY_SIZE(nodes); i++) {
        closed += is_closed(nodes[i]);
    }
    g_assert_cmpint(closed, >, ARRAY_SIZE(nodes) - FEW_FDS / 2 - 1);
    /* In order, and all over the place */
    for (i = 0; i < ARRAY_SIZE(nodes); i++) {
        assert_ino(nodes[i], inos[i]);
    }
    for (i = 0; i < ARRAY_SIZE(nodes); i++) {
        int k = i * 1237 % ARRAY_SIZE(nodes);

        assert_ino(nodes[k], inos[k]);
        g_assert_cmpint(open_fds() - before, <, FEW_FDS * 3 / 4);
    }
    for (i = 0; i < ARRAY_SIZE(nodes); i++) {
        fs_node_unref(nodes[i]);
    }
    finish(&t);
}

/* Open files have the room of handles, until there is none */
static void test_files(void)
{
    FsFile *files[FEW_FDS];
    FsNode *node;
    Op op = { .flags = O_RDONLY };
    Test t;
    int n;

    setup(&t);
    put_file(&t, "f");
    node = op.node = walk(&t, "f");
    for (n = 0; n < FEW_FDS && op_run(&op, run_open) == 0; n++) {
        files[n] = op.file;
    }
    g_assert_cmpint(op.ret, ==, -ENFILE);
    g_assert_cmpint(n, >=, FEW_FDS / 2);
    op.file = NULL;
    while (n) {
        fs_file_unref(files[--n]);
    }
    g_assert_cmpint(op_run(&op, run_open), ==, 0);
    /* The open file is as good as a handle */
    squeeze();
    g_assert_true(is_closed(node));
    g_assert_cmpint(op_run(&op, run_getattr), ==, 0);
    g_assert_true(is_closed(node));
    g_assert_cmpuint(op.attr.ino, ==, ino_of(&t, "f"));
    fs_file_unref(op.file);
    fs_node_unref(node);
    finish(&t);
}

/* Somebody else has the rest of the descriptors */
static void test_no_fds(void)
{
    int fds[FEW_FDS], n, i;
    FsNode *nodes[20];
    Test t;

    setup(&t);
    for (i = 0; i < ARRAY_SIZE(nodes); i++) {
        g_autofree char *name = g_strdup_printf("%d", i);

        put_file(&t, name);
    }
    for (i = 0; i < ARRAY_SIZE(nodes) / 2; i++) {
        g_autofree char *name = g_strdup_printf("%d", i);

        nodes[i] = walk(&t, name);
    }
    for (n = 0; n < FEW_FDS; n++) {
        fds[n] = dup(t.fd);
        if (fds[n] < 0) {
            break;
        }
    }
    g_assert_cmpint(n, <, FEW_FDS);
    for (; i < ARRAY_SIZE(nodes); i++) {
        g_autofree char *name = g_strdup_printf("%d", i);

        nodes[i] = walk(&t, name);
    }
    for (i = 0; i < ARRAY_SIZE(nodes); i++) {
        g_autofree char *name = g_strdup_printf("%d", i);

        assert_content(nodes[i], name);
        fs_node_unref(nodes[i]);
    }
    while (n) {
        close(fds[--n]);
    }
    finish(&t);
}

/* A directory above is renamed, by the guest */
static void test_rename_above(void)
{
    FsNode *node, *dir, *entry_of;
    FsEntry *entry;
    uint64_t ino;
    Test t;

    setup(&t);
    put_dir(&t, "a");
    put_dir(&t, "a/b");
    put_dir(&t, "a/b/c");
    put_file(&t, "a/b/c/f");
    put_dir(&t, "z");
    ino = ino_of(&t, "a/b/c/f");
    node = walk(&t, "a/b/c/f");
    dir = walk(&t, "z");

    squeeze();
    g_assert_true(is_closed(node));
    g_assert_cmpint(rename_(t.fs.root, "a", t.fs.root, "y"), ==, 0);
    squeeze();
    assert_ino(node, ino);
    g_assert_cmpint(rename_(t.fs.root, "y", dir, "x"), ==, 0);
    squeeze();
    assert_ino(node, ino);
    /* The file itself, with an entry that a fid would hold */
    entry_of = walk(&t, "z/x/b/c");
    entry = fs_entry_get(&t.fs, entry_of, "f", node);
    g_assert_cmpint(rename_(entry_of, "f", t.fs.root, "g"), ==, 0);
    g_assert_true(fs_entry_is(entry, t.fs.root, "g"));
    squeeze();
    assert_ino(node, ino);
    assert_content(node, "a/b/c/f");
    fs_entry_put(entry);
    fs_node_unref(entry_of);
    fs_node_unref(node);
    fs_node_unref(dir);
    finish(&t);
}

/* The same by the host: found by a newer name, or not at all */
static void test_rename_behind(void)
{
    FsNode *node, *again;
    FsEntry *entry;
    uint64_t ino;
    FsAttr attr;
    Test t;
    bool memo;

    setup(&t);
    memo = local_fs(t.fs.root)->mount_fd >= 0;
    put_dir(&t, "a");
    put_file(&t, "a/f");
    ino = ino_of(&t, "a/f");
    node = walk(&t, "a/f");
    squeeze();
    g_assert_cmpint(renameat(t.fd, "a", t.fd, "b"), ==, 0);
    put_dir(&t, "a");
    put_file(&t, "a/f");
    if (memo) {
        assert_ino(node, ino);
    } else {
        g_assert_cmpint(getattr(node, &attr), ==, -ESTALE);
        /* Nothing is lost by that */
        g_assert_cmpint(getattr(node, &attr), ==, -ESTALE);
    }
    again = walk(&t, "b/f");
    g_assert_true(again == node);
    fs_node_unref(again);
    squeeze();
    assert_ino(node, ino);

    /* Another name that somebody holds */
    again = walk(&t, "b");
    entry = fs_entry_get(&t.fs, again, "g", node);
    fs_node_unref(again);
    squeeze();
    g_assert_cmpint(renameat(t.fd, "b/f", t.fd, "b/g"), ==, 0);
    assert_ino(node, ino);
    fs_entry_put(entry);
    fs_node_unref(node);
    finish(&t);
}

/* What a rename is about was moved by the host: it must not wait for itself */
static void test_rename_stale(void)
{
    FsNode *over, *dir;
    uint64_t ino;
    Test t;
    bool memo;

    setup(&t);
    memo = local_fs(t.fs.root)->mount_fd >= 0;
    put_file(&t, "f");
    put_file(&t, "over");
    put_dir(&t, "dir");
    put_file(&t, "dir/g");
    over = walk(&t, "over");
    dir = walk(&t, "dir");
    squeeze();
    g_assert_cmpint(renameat(t.fd, "over", t.fd, "else"), ==, 0);
    put_file(&t, "over");
    g_assert_cmpint(renameat(t.fd, "dir", t.fd, "moved"), ==, 0);
    ino = ino_of(&t, "f");

    g_assert_cmpint(rename_(t.fs.root, "f", t.fs.root, "over"), ==, 0);
    g_assert_cmpuint(ino_of(&t, "over"), ==, ino);
    g_assert_cmpint(rename_(dir, "g", t.fs.root, "g"), ==, memo ? 0 : -ESTALE);
    g_assert_cmpint(rename_(t.fs.root, "over", dir, "h"), ==,
                    memo ? 0 : -ESTALE);
    g_assert_true(fs_entries_current(&t.fs));
    fs_node_unref(over);
    fs_node_unref(dir);
    finish(&t);
}

/* A file whose name is gone, in each way in which it can go */
static void test_unlinked(void)
{
    FsNode *removed, *over, *dir, *behind, *name_left;
    Op op = { };
    FsEntry *entry;
    uint64_t ino;
    FsAttr attr;
    Test t;

    setup(&t);
    put_file(&t, "removed");
    put_file(&t, "over");
    put_file(&t, "new");
    put_file(&t, "behind");
    put_file(&t, "one");
    g_assert_cmpint(linkat(t.fd, "one", t.fd, "two", 0), ==, 0);
    put_dir(&t, "dir");
    removed = walk(&t, "removed");
    over = walk(&t, "over");
    behind = walk(&t, "behind");
    dir = walk(&t, "dir");
    name_left = walk(&t, "one");
    entry = fs_entry_get(&t.fs, t.fs.root, "two", name_left);
    ino = ino_of(&t, "one");
    g_assert_true(walk(&t, "two") == name_left);
    fs_node_unref(name_left);

    squeeze();
    g_assert_cmpint(unlink_(t.fs.root, "removed", false), ==, 0);
    g_assert_cmpint(rename_(t.fs.root, "new", t.fs.root, "over"), ==, 0);
    g_assert_cmpint(unlink_(t.fs.root, "dir", true), ==, 0);
    g_assert_cmpint(unlink_(t.fs.root, "one", false), ==, 0);
    assert_ino(behind, ino_of(&t, "behind"));
    g_assert_cmpint(unlinkat(t.fd, "behind", 0), ==, 0);
    squeeze();

    g_assert_cmpint(getattr(removed, &attr), ==, 0);
    g_assert_cmpuint(attr.nlink, ==, 0);
    assert_content(removed, "removed");
    g_assert_cmpint(getattr(over, &attr), ==, 0);
    g_assert_cmpuint(attr.nlink, ==, 0);
    assert_content(over, "over");
    g_assert_cmpint(getattr(behind, &attr), ==, 0);
    g_assert_cmpuint(attr.nlink, ==, 0);
    assert_content(behind, "behind");
    g_assert_cmpint(getattr(dir, &attr), ==, 0);
    g_assert_true(S_ISDIR(attr.mode));
    g_assert_true(is_closed(name_left));
    assert_ino(name_left, ino);
    assert_content(name_left, "one");

    /* They can be changed as any other */
    op.node = removed;
    op.set = (FsSetAttr) { .valid = FS_SET_MODE | FS_SET_SIZE, .mode = 0400,
                           .size = 2 };
    g_assert_cmpint(op_run(&op, run_setattr), ==, 0);
    g_assert_cmpint(getattr(removed, &attr), ==, 0);
    g_assert_cmpuint(attr.mode, ==, S_IFREG | 0400);
    g_assert_cmpuint(attr.size, ==, 2);

    /* A name that is known to be another one's now is not removed */
    op = (Op) { .node = t.fs.root, .names = { "over" }, .other = over };
    g_assert_cmpint(op_run(&op, run_unlink), ==, -ESTALE);

    fs_entry_put(entry);
    fs_node_unref(removed);
    fs_node_unref(over);
    fs_node_unref(behind);
    fs_node_unref(dir);
    fs_node_unref(name_left);
    finish(&t);
}

/* The last name that was known goes, and there is another one yet */
static void test_linked(void)
{
    Op op = { .names = { "two" } };
    FsEntry *two, *three;
    FsNode *node, *again;
    uint64_t ino;
    Test t;

    setup(&t);
    put_file(&t, "one");
    ino = ino_of(&t, "one");
    node = walk(&t, "one");
    op.node = node;
    op.other = t.fs.root;
    g_assert_cmpint(op_run(&op, run_link), ==, 0);
    g_assert_cmpint(unlink_(t.fs.root, "one", false), ==, 0);
    squeeze();
    g_assert_false(is_closed(node));
    assert_ino(node, ino);
    again = walk(&t, "two");
    g_assert_true(again == node);
    fs_node_unref(again);
    squeeze();
    g_assert_true(is_closed(node));
    assert_ino(node, ino);

    /* rename(2) leaves two names of one file alone */
    op.names[0] = "three";
    g_assert_cmpint(op_run(&op, run_link), ==, 0);
    two = fs_entry_get(&t.fs, t.fs.root, "two", node);
    three = fs_entry_get(&t.fs, t.fs.root, "three", node);
    g_assert_cmpint(rename_(t.fs.root, "three", t.fs.root, "two"), ==, 0);
    g_assert_false(two->gone);
    g_assert_false(three->gone);
    fs_entry_put(two);
    fs_entry_put(three);
    fs_node_unref(node);
    finish(&t);
}

/* Makes @name anew until it has the inode number @ino, if it ever does. */
static bool reuse_ino(Test *t, const char *name, bool dir, uint64_t ino)
{
    int i;

    for (i = 0; i < 200; i++) {
        g_autofree char *spare = g_strdup_printf("spare%d", i);

        if (dir) {
            put_dir(t, name);
        } else {
            put_file(t, name);
        }
        if (ino_of(t, name) == ino) {
            return true;
        }
        g_assert_cmpint(renameat(t->fd, name, t->fd, spare), ==, 0);
    }
    g_test_skip("the file system does not use inode numbers again");
    return false;
}

/* Another file got the inode number while the handle was closed */
static void reused(bool dir)
{
    FsNode *old, *new;
    struct statx stx;
    uint64_t ino;
    FsAttr attr;
    Test t;

    setup(&t);
    put_file(&t, "f");
    ino = ino_of(&t, "f");
    g_assert_cmpint(statx(t.fd, "f", 0, STATX_BTIME, &stx), ==, 0);
    old = walk(&t, "f");
    squeeze();
    g_assert_true(is_closed(old));
    g_assert_cmpint(unlinkat(t.fd, "f", 0), ==, 0);
    if (!dir && !(stx.stx_mask & STATX_BTIME)) {
        g_test_skip("the file system does not know when files were made");
    } else if (reuse_ino(&t, "f", dir, ino)) {
        new = walk(&t, "f");
        g_assert_true(new != old);
        g_assert_true(old->detached);
        g_assert_false(new->detached);
        assert_ino(new, ino);
        g_assert_cmpint(getattr(old, &attr), ==, -ESTALE);
        fs_node_unref(new);
    }
    fs_node_unref(old);
    finish(&t);
}

static void test_reused_type(void)
{
    reused(true);
}

static void test_reused_same_type(void)
{
    reused(false);
}

/* Deeper than any stack, and than there are descriptors */
static void test_deep(void)
{
    enum { LEVELS = 5000 };
    FsNode *node, *next;
    uint64_t ino = 0;
    FsAttr attr;
    int at, i, fd;
    Test t;

    setup(&t);
    node = fs_node_ref(t.fs.root);
    at = dup(t.fd);
    for (i = 0; i < LEVELS; i++) {
        g_assert_cmpint(mkdirat(at, "d", 0755), ==, 0);
        fd = openat(at, "d", O_PATH);
        g_assert_cmpint(fd, >=, 0);
        close(at);
        at = fd;
        if (i % 10 == 9) {
            next = walk_from(node, "d/d/d/d/d/d/d/d/d/d");
            fs_node_unref(node);
            node = next;
        }
    }
    g_assert_cmpint(hostfs_getattr(at, &attr), ==, 0);
    ino = attr.ino;
    close(at);
    g_assert_cmpuint(fs_nodes_count(&t.fs.nodes), ==, LEVELS + 1);
    squeeze();
    assert_ino(node, ino);
    /* Above it, too, with a name that changed at the top */
    g_assert_cmpint(rename_(t.fs.root, "d", t.fs.root, "e"), ==, 0);
    squeeze();
    assert_ino(node, ino);
    fs_node_unref(node);
    finish(&t);
}

/*
 * The host turns the order of directories round, and what was above is below.
 * References that run in a circle would leave nodes behind, which finish()
 * looks for: at each stage, as the next one may put them right.
 */
static void circle(int stages)
{
    FsEntry *ea = NULL, *eb = NULL;
    FsNode *a, *b, *again;
    uint64_t ino_a, ino_b;
    Test t;

    setup(&t);
    put_dir(&t, "a");
    put_dir(&t, "a/b");
    ino_a = ino_of(&t, "a");
    ino_b = ino_of(&t, "a/b");
    a = walk(&t, "a");
    b = walk_from(a, "b");

    /* By the host alone, seen by walking */
    g_assert_cmpint(renameat(t.fd, "a/b", t.fd, "b"), ==, 0);
    g_assert_cmpint(renameat(t.fd, "a", t.fd, "b/a"), ==, 0);
    again = walk_from(b, "a");
    g_assert_true(again == a);
    fs_node_unref(again);

    if (stages > 1) {
        again = walk(&t, "b");
        g_assert_true(again == b);
        fs_node_unref(again);
        squeeze();
        assert_ino(a, ino_a);
        assert_ino(b, ino_b);

        /* The host takes them apart, and the guest puts one into the other */
        g_assert_cmpint(renameat(t.fd, "b/a", t.fd, "a"), ==, 0);
        if (stages > 2) {
            /* With entries that fids hold */
            eb = fs_entry_get(&t.fs, t.fs.root, "b", b);
            ea = fs_entry_get(&t.fs, t.fs.root, "a", a);
        }
        g_assert_cmpint(rename_(t.fs.root, "b", a, "b"), ==, 0);
    }
    if (stages > 2) {
        g_assert_true(fs_entry_is(eb, a, "b"));
        squeeze();
        assert_ino(a, ino_a);
        assert_ino(b, ino_b);
    }
    if (ea) {
        fs_entry_put(ea);
        fs_entry_put(eb);
    }
    fs_node_unref(a);
    fs_node_unref(b);
    finish(&t);
}

static void test_circle(void)
{
    circle(1);
    circle(2);
    circle(3);
}

/* Files are found while directories above them are being renamed. */
static void test_rename_race(void)
{
    enum { ROUNDS = 300, FILES = 8 };
    static const char *const as[] = { "one", "two", "three" };
    FsNode *nodes[FILES];
    uint64_t inos[FILES];
    Op ren = { .done = true };
    Op get[FILES] = { };
    Test t;
    int i, k;

    setup(&t);
    put_dir(&t, "one");
    put_dir(&t, "one/d");
    for (i = 0; i < FILES; i++) {
        g_autofree char *name = g_strdup_printf("one/d/%d", i);

        put_file(&t, name);
        inos[i] = ino_of(&t, name);
        nodes[i] = walk(&t, name);
    }
    for (k = 0; k < ROUNDS; k++) {
        /* The rename first, so that it is on its way when they start */
        ren = (Op) { .node = t.fs.root, .other = t.fs.root,
                     .names = { as[k % 3], as[(k + 1) % 3] } };
        squeeze();
        op_start(&ren, run_rename);
        for (i = 0; i < FILES; i++) {
            get[i] = (Op) { .node = nodes[i] };
            op_start(&get[i], run_getattr);
        }
        for (i = 0; i < FILES; i++) {
            g_assert_cmpint(op_wait(&get[i]), ==, 0);
            g_assert_cmpuint(get[i].attr.ino, ==, inos[i]);
        }
        g_assert_cmpint(op_wait(&ren), ==, 0);
    }
    for (i = 0; i < FILES; i++) {
        fs_node_unref(nodes[i]);
    }
    finish(&t);
}

/*
 * Mapped models
 */

#define GUEST_UID       1234

/* By the guest: GUEST_UID's, with mode 0640 */
static int make_(FsNode *dir, const char *name, uint32_t type,
                 const char *target)
{
    Op op = { .node = dir, .make = { .name = name, .mode = type | 0640,
                                     .uid = GUEST_UID, .gid = 5,
                                     .target = target } };

    return op_run(&op, run_make);
}

static void assert_mapped(FsNode *node, uint32_t type)
{
    FsAttr attr;

    g_assert_cmpint(getattr(node, &attr), ==, 0);
    g_assert_cmpuint(attr.uid, ==, GUEST_UID);
    g_assert_cmpuint(attr.gid, ==, 5);
    g_assert_cmpuint(attr.mode & S_IFMT, ==, type);
}

/* The model's own names: neither seen nor made nor removed */
static void test_reserved(void)
{
    static const char *const own[] = {
        ".virtfs_metadata", ".virtfs_metadata_root",
    };
    g_autoptr(GHashTable) names = NULL;
    FsNode *dir, *file, *none = NULL;
    unsigned n;
    Test t;
    int i;

    setup_model(&t, FSDEV_SECURITY_MODEL_MAPPED_FILE);
    g_assert_cmpint(make_(t.fs.root, "dir", S_IFDIR, NULL), ==, 0);
    dir = walk(&t, "dir");
    g_assert_cmpint(make_(dir, "f", S_IFREG, NULL), ==, 0);
    file = walk(&t, "dir/f");
    assert_mapped(file, S_IFREG);
    g_assert_cmpint(faccessat(t.fd, "dir/.virtfs_metadata/f", F_OK, 0), ==, 0);

    for (i = 0; i < ARRAY_SIZE(own); i++) {
        g_autofree char *below = g_strdup_printf("dir/%s/f", own[i]);
        Op op = { .node = dir, .names = { own[i] } };

        g_assert_cmpint(try_walk(t.fs.root, below, &none, &n), ==, -ENOENT);
        g_assert_cmpuint(n, ==, 1);
        g_assert_cmpint(try_walk(dir, own[i], &none, &n), ==, -ENOENT);
        g_assert_cmpint(unlink_(dir, own[i], true), ==, -ENOENT);
        g_assert_cmpint(rename_(dir, own[i], dir, "x"), ==, -ENOENT);
        g_assert_cmpint(rename_(dir, "f", dir, own[i]), ==, -EACCES);
        g_assert_cmpint(make_(dir, own[i], S_IFDIR, NULL), ==, -EACCES);
        op.make = (FsMakeArgs) { .name = own[i], .mode = S_IFREG | 0600 };
        op.flags = O_CREAT | O_RDWR;
        g_assert_cmpint(op_run(&op, run_create), ==, -EACCES);
        op.node = file;
        op.other = dir;
        g_assert_cmpint(op_run(&op, run_link), ==, -EACCES);
    }
    names = list(dir, 10);
    g_assert_cmpuint(g_hash_table_size(names), ==, 3);
    g_assert_true(g_hash_table_contains(names, "f"));

    fs_node_unref(file);
    fs_node_unref(dir);
    finish(&t);
}

/* What is kept by name goes along with names, and is there without one. */
static void mapped(FsdevSecurityModel model)
{
    FsNode *file, *link, *dir, *over, *behind;
    Op op = { };
    char target[16];
    FsAttr attr;
    Test t;

    setup_model(&t, model);
    if (make_(t.fs.root, "dir", S_IFDIR, NULL) == -EOPNOTSUPP) {
        g_test_skip("no user.* attributes on this file system");
        finish(&t);
        return;
    }
    dir = walk(&t, "dir");
    g_assert_cmpint(make_(dir, "file", S_IFREG, NULL), ==, 0);
    g_assert_cmpint(make_(dir, "over", S_IFREG, NULL), ==, 0);
    g_assert_cmpint(make_(dir, "behind", S_IFREG, NULL), ==, 0);
    g_assert_cmpint(make_(dir, "link", S_IFLNK, "target"), ==, 0);
    file = walk(&t, "dir/file");
    over = walk(&t, "dir/over");
    behind = walk(&t, "dir/behind");
    link = walk(&t, "dir/link");
    squeeze();
    assert_mapped(file, S_IFREG);
    assert_mapped(link, S_IFLNK);
    assert_mapped(dir, S_IFDIR);

    g_assert_cmpint(rename_(t.fs.root, "dir", t.fs.root, "new"), ==, 0);
    squeeze();
    assert_mapped(file, S_IFREG);
    g_assert_cmpint(local_node(link)->path_fd.fd, <, 0);
    assert_mapped(link, S_IFLNK);
    op.node = link;
    op.flags = O_RDONLY;
    g_assert_cmpint(op_run(&op, run_open), ==, -ELOOP);
    op.value = (uint8_t *)target;
    op.size = sizeof(target);
    g_assert_cmpint(op_run(&op, run_readlink), ==, 0);
    g_assert_cmpstr(target, ==, "target");

    /* Without a name */
    g_assert_cmpint(rename_(dir, "file", dir, "over"), ==, 0);
    squeeze();
    assert_mapped(over, S_IFREG);
    assert_mapped(file, S_IFREG);
    g_assert_cmpint(unlink_(dir, "over", false), ==, 0);
    g_assert_cmpint(unlink_(dir, "link", false), ==, 0);
    squeeze();
    assert_mapped(file, S_IFREG);
    assert_mapped(link, S_IFLNK);

    /* The host takes the name away: the inode at least is there */
    assert_mapped(behind, S_IFREG);
    g_assert_cmpint(renameat(t.fd, "new/behind", t.fd, "behind"), ==, 0);
    g_assert_cmpint(getattr(behind, &attr), ==, 0);
    g_assert_cmpuint(attr.ino, ==, ino_of(&t, "behind"));

    fs_node_unref(file);
    fs_node_unref(over);
    fs_node_unref(behind);
    fs_node_unref(link);
    fs_node_unref(dir);
    finish(&t);
}

static void test_mapped_xattr(void)
{
    mapped(FSDEV_SECURITY_MODEL_MAPPED_XATTR);
}

static void test_mapped_file(void)
{
    mapped(FSDEV_SECURITY_MODEL_MAPPED_FILE);
}

/* Somebody else on the host says that a file is another kind of file */
static void test_retyped(void)
{
    const uint32_t fifo = cpu_to_le32(S_IFIFO | 0600);
    FsNode *file, *again;
    FsAttr attr;
    Test t;
    int fd;

    setup_model(&t, FSDEV_SECURITY_MODEL_MAPPED_XATTR);
    if (make_(t.fs.root, "f", S_IFREG, NULL) == -EOPNOTSUPP) {
        g_test_skip("no user.* attributes on this file system");
        finish(&t);
        return;
    }
    file = walk(&t, "f");
    fd = openat(t.fd, "f", O_RDONLY);
    g_assert_cmpint(fsetxattr(fd, "user.virtfs.mode", &fifo, sizeof(fifo), 0),
                    ==, 0);
    close(fd);
    again = walk(&t, "f");
    g_assert_true(again != file);
    g_assert_cmpuint(again->type, ==, S_IFIFO);
    g_assert_true(file->detached);
    g_assert_cmpint(getattr(file, &attr), ==, -ESTALE);
    g_assert_cmpint(getattr(again, &attr), ==, 0);
    fs_node_unref(file);
    fs_node_unref(again);
    finish(&t);
}

/* A file's own name changes while its attributes, kept by it, are asked for */
static void test_mapped_race(void)
{
    enum { ROUNDS = 300, GETS = 8 };
    static const char *const as[] = { "one", "two", "three" };
    Op get[GETS], change;
    FsNode *node;
    Test t;
    int i, k;

    setup_model(&t, FSDEV_SECURITY_MODEL_MAPPED_FILE);
    g_assert_cmpint(make_(t.fs.root, as[0], S_IFREG, NULL), ==, 0);
    node = walk(&t, as[0]);
    for (k = 0; k <= ROUNDS; k++) {
        change = (Op) { .node = t.fs.root, .names = { as[k % 3],
                                                      as[(k + 1) % 3] } };
        if (k < ROUNDS) {
            change.other = t.fs.root;
        }
        op_start(&change, k < ROUNDS ? run_rename : run_unlink);
        for (i = 0; i < GETS; i++) {
            get[i] = (Op) { .node = node };
            op_start(&get[i], run_getattr);
        }
        for (i = 0; i < GETS; i++) {
            g_assert_cmpint(op_wait(&get[i]), ==, 0);
            g_assert_cmpuint(get[i].attr.uid, ==, GUEST_UID);
        }
        g_assert_cmpint(op_wait(&change), ==, 0);
    }
    assert_mapped(node, S_IFREG);
    fs_node_unref(node);
    finish(&t);
}

/*
 * Options
 */

static void open_fails(FsdevLocalOptions *o, const char *error)
{
    FsdevOptions opts = {
        .fsdriver = FSDEV_DRIVER_LOCAL, .id = (char *)"test", .u.local = *o,
    };
    FsExport fs = { .id = (char *)"test", .driver = local };
    Error *err = NULL;
    int fds = open_fds();

    g_assert_false(local->open(&fs, &opts, &err));
    g_assert_nonnull(err);
    if (!strstr(error_get_pretty(err), error)) {
        g_error("'%s' instead of '%s'", error_get_pretty(err), error);
    }
    error_free(err);
    g_assert_cmpint(open_fds(), ==, fds);
}

#define FAILS(error, ...) \
    open_fails(&(FsdevLocalOptions) { __VA_ARGS__ }, error)

static void test_options(void)
{
    g_autofree char *file = g_build_filename(folder, "file", NULL);
    int fd = open(file, O_CREAT | O_WRONLY, 0600);

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    FAILS("path ''", .path = (char *)"");
    FAILS("path '/nowhere': No such file", .path = (char *)"/nowhere");
    FAILS("is not a directory", .path = file);
    FAILS("fmode=0644: only with", .path = folder, .has_fmode = true,
          .fmode = 0644);
    FAILS("dmode=0755: only with", .path = folder, .has_dmode = true,
          .dmode = 0755, .security_model = FSDEV_SECURITY_MODEL_NONE);
    FAILS("fmode=01644: permission bits", .path = folder, .has_fmode = true,
          .fmode = 01644, .security_model = FSDEV_SECURITY_MODEL_MAPPED);
    FAILS("dmode=010000: permission bits", .path = folder, .has_dmode = true,
          .dmode = 010000,
          .security_model = FSDEV_SECURITY_MODEL_MAPPED_FILE);
    g_assert_cmpint(unlink(file), ==, 0);
}

/*
 * Tests that are short of descriptors
 */

static void few_fds(void)
{
    struct rlimit few = { .rlim_cur = FEW_FDS, .rlim_max = FEW_FDS };

    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &few), ==, 0);
}

static void by_name(gconstpointer test)
{
    void (*run)(void) = test;

    few_fds();
    only_names = true;
    run();
}

static void by_file_handle(gconstpointer test)
{
    void (*run)(void) = test;
    Test t;

    few_fds();
    only_names = false;
    if (!set_file_handles(true)) {
        g_test_skip("needs CAP_DAC_READ_SEARCH");
        return;
    }
    setup(&t);
    if (local_fs(t.fs.root)->mount_fd < 0) {
        g_test_skip("no file handles on this file system");
        finish(&t);
        return;
    }
    finish(&t);
    run();
}

static void add_both(const char *name, void (*test)(void))
{
    g_autofree char *names = g_strdup_printf("/local-driver/by-name/%s", name);
    g_autofree char *handles =
        g_strdup_printf("/local-driver/by-file-handle/%s", name);

    g_test_add_data_func(names, test, by_name);
    g_test_add_data_func(handles, test, by_file_handle);
}

/*
 * In memory only
 */

/* Without the event loop, so without another thread */
static int op_at_once(Op *op, void coroutine_fn (*run)(Op *op))
{
    op_start(op, run);
    g_assert_true(op->done);
    return op->ret;
}

static void at_once(FsdevSecurityModel model)
{
    FsNode *file;
    Test t;
    Op op = { };

    setup_model(&t, model);
    set_kind(&t, HOST_DEV_MEMORY);

    op = (Op) { .node = t.fs.root, .flags = O_RDWR | O_EXCL,
                .make = { .name = "f", .mode = S_IFREG | 0644,
                          .uid = geteuid(), .gid = getegid() } };
    g_assert_cmpint(op_at_once(&op, run_create), ==, 0);
    fs_file_unref(op.file);
    file = op.other;
    op = (Op) { .node = file, .set = { .valid = FS_SET_MODE, .mode = 0600 } };
    g_assert_cmpint(op_at_once(&op, run_setattr), ==, 0);
    g_assert_cmpint(op_at_once(&op, run_getattr), ==, 0);
    g_assert_cmphex(op.attr.mode, ==, S_IFREG | 0600);
    op = (Op) { .node = file, .names = { "user.a" },
                .value = (uint8_t *)"v", .size = 1 };
    g_assert_cmpint(op_at_once(&op, run_setxattr), ==, 0);
    g_assert_cmpint(op_at_once(&op, run_getxattr), ==, 0);
    g_assert_cmpmem(op.value, op.size, "v", 1);
    g_free(op.value);
    op = (Op) { .node = file, .flags = O_RDWR };
    g_assert_cmpint(op_at_once(&op, run_open), ==, 0);
    fs_file_unref(op.file);

    op = (Op) { .node = t.fs.root,
                .make = { .name = "d", .mode = S_IFDIR | 0755,
                          .uid = geteuid(), .gid = getegid() } };
    g_assert_cmpint(op_at_once(&op, run_make), ==, 0);
    op = (Op) { .node = file, .other = t.fs.root, .names = { "g" } };
    g_assert_cmpint(op_at_once(&op, run_link), ==, 0);
    op = (Op) { .node = t.fs.root, .other = t.fs.root,
                .names = { "g", "h" } };
    g_assert_cmpint(op_at_once(&op, run_rename), ==, 0);
    op = (Op) { .node = t.fs.root, .names = { "h" } };
    g_assert_cmpint(op_at_once(&op, run_unlink), ==, 0);
    op = (Op) { .node = t.fs.root, .names = { "d" }, .flags = true };
    g_assert_cmpint(op_at_once(&op, run_unlink), ==, 0);
    fs_node_unref(file);
    finish(&t);
}

static void test_at_once(void)
{
    Op op = { .names = { "none" }, .n = 1 };
    Test t;

    at_once(FSDEV_SECURITY_MODEL_PASSTHROUGH);

    /* Names that are not there are in no cache. */
    setup(&t);
    set_kind(&t, HOST_DEV_MEMORY);
    op.node = t.fs.root;
    g_assert_cmpint(op_at_once(&op, run_walk), ==, -ENOENT);
    finish(&t);
}

static void test_at_once_mapped_xattr(void)
{
    at_once(FSDEV_SECURITY_MODEL_MAPPED_XATTR);
}

static void test_at_once_mapped_file(void)
{
    at_once(FSDEV_SECURITY_MODEL_MAPPED_FILE);
}

/* Somebody's lease is waited for, by another thread (fcntl(2)). */
static void test_lease(void)
{
    Op op = { .flags = O_RDWR };
    Op cut = { .set = { .valid = FS_SET_SIZE } };
    Op again = { .flags = O_RDWR,
                 .make = { .name = "f", .mode = S_IFREG | 0644,
                           .uid = geteuid(), .gid = getegid() } };
    Op *ops[] = { &op, &cut, &again };
    void coroutine_fn (*run[])(Op *) = { run_open, run_setattr, run_create };
    unsigned i;
    Test t;

    setup(&t);
    set_kind(&t, HOST_DEV_MEMORY);
    put_file(&t, "f");
    op.node = cut.node = walk(&t, "f");
    again.node = t.fs.root;
    signal(SIGIO, SIG_IGN);
    for (i = 0; i < G_N_ELEMENTS(ops); i++) {
        int holder = openat(t.fd, "f", O_RDONLY);

        if (fcntl(holder, F_SETLEASE, F_RDLCK) < 0) {
            g_test_skip("the file system has no leases");
            close(holder);
            break;
        }
        op_start(ops[i], run[i]);
        g_assert_false(ops[i]->done);
        g_assert_cmpint(fcntl(holder, F_SETLEASE, F_UNLCK), ==, 0);
        close(holder);
        g_assert_cmpint(op_wait(ops[i]), ==, 0);
        if (ops[i]->file) {
            g_assert_cmphex(fcntl(container_of(ops[i]->file, HostFile,
                                               file)->fd, F_GETFL) &
                            O_NONBLOCK, ==, 0);
            fs_file_unref(ops[i]->file);
        }
    }
    if (again.other) {
        fs_node_unref(again.other);
    }
    fs_node_unref(op.node);
    finish(&t);
}

int main(int argc, char **argv)
{
    g_autofree char *rm = NULL;
    int ret;

    g_test_init(&argc, &argv, NULL);
    umask(022);
    qemu_init_main_loop(&error_abort);
    module_call_init(MODULE_INIT_QOM);
    local = fs_driver_find(FSDEV_DRIVER_LOCAL);
    g_assert_nonnull(local);
    folder = g_dir_make_tmp("local-driver-XXXXXX", NULL);
    g_assert_nonnull(folder);

    g_test_add_func("/local-driver/at-once", test_at_once);
    g_test_add_func("/local-driver/at-once-mapped-xattr",
                    test_at_once_mapped_xattr);
    g_test_add_func("/local-driver/at-once-mapped-file",
                    test_at_once_mapped_file);
    g_test_add_func("/local-driver/lease", test_lease);
    g_test_add_func("/local-driver/walk", test_walk);
    g_test_add_func("/local-driver/walk-slow", test_walk_slow);
    g_test_add_func("/local-driver/walk-long", test_walk_long);
    g_test_add_func("/local-driver/create", test_create);
    g_test_add_func("/local-driver/readonly", test_readonly);
    g_test_add_func("/local-driver/xattr", test_xattr);
    g_test_add_func("/local-driver/readdir", test_readdir);
    g_test_add_func("/local-driver/options", test_options);
    g_test_add_func("/local-driver/reserved", test_reserved);
    g_test_add_func("/local-driver/retyped", test_retyped);
    add_both("budget", test_budget);
    add_both("files", test_files);
    add_both("no-fds", test_no_fds);
    add_both("rename-above", test_rename_above);
    add_both("rename-behind", test_rename_behind);
    add_both("rename-stale", test_rename_stale);
    add_both("unlinked", test_unlinked);
    add_both("linked", test_linked);
    add_both("reused-type", test_reused_type);
    add_both("reused-same-type", test_reused_same_type);
    add_both("deep", test_deep);
    add_both("circle", test_circle);
    add_both("rename-race", test_rename_race);
    add_both("mapped-xattr", test_mapped_xattr);
    add_both("mapped-file", test_mapped_file);
    add_both("mapped-race", test_mapped_race);
    ret = g_test_run();

    rm = g_strdup_printf("rm -rf '%s'", folder);
    if (system(rm) != 0) {
        g_printerr("cannot remove %s\n", folder);
    }
    g_free(folder);
    return ret;
}
