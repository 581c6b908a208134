/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * fuzz-channel: the operations that the proxy driver does, each on nodes and
 * files that earlier ones have left in the run's tables.
 */
#include "qemu/osdep.h"
#include "channel.h"

/* The kinds of records, in the order of OPERATIONS in seeds.py */
enum {
    OP_WALK, OP_GETATTR, OP_SETATTR, OP_READLINK, OP_STATFS, OP_OPEN,
    OP_CREATE, OP_MAKE, OP_LINK, OP_RENAME, OP_UNLINK, OP_GETXATTR,
    OP_LISTXATTR, OP_SETXATTR, OP_REMOVEXATTR, OP_READ, OP_WRITE, OP_READDIR,
    OP_FSYNC, OP_GENERATION, OP_FORGET, OP_CLOSE, OP_RESTORE,
    OPS
};

static void set_node(ChannelRun *run, unsigned id, FsNode *node)
{
    unsigned i = 1 + id % (NODES - 1);

    if (run->nodes[i]) {
        fs_node_unref(run->nodes[i]);
    }
    run->nodes[i] = node;
}

static void set_file(ChannelRun *run, unsigned id, FsFile *file)
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
    const char *const way[] = { "d", record_name(op->id) };
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
    FsMakeArgs make = {
        .name = record_name(op->id),
        .mode = S_IFREG | 0644,
    };
    FsNode *node;
    FsFile *file;
    FsAttr attr;

    if (op->run->fs.driver->create(&op->call, op->node, &make, O_RDWR, &node,
                                   &file, &attr) == 0) {
        set_node(op->run, op->id, node);
        set_file(op->run, op->id, file);
    }
}

/* A node of a migration, for which the driver tries a file handle first */
static void coroutine_fn do_restore(Op *op)
{
    FsExport *fs = &op->run->fs;
    const char *name = record_name(op->id);
    g_autofree char *path = g_build_filename(op->run->folder, name, NULL);
    FsNodeState state = {
        .handle_type = 1, .handle_size = 8, .handle = "handle",
    };
    FsNode *node;
    FsFile *file;
    struct stat st;

    if (!fs->driver->restore_node || lstat(path, &st) < 0) {
        return;
    }
    state.dev = st.st_dev;
    state.ino = st.st_ino;
    state.type = st.st_mode & S_IFMT;
    node = fs_node_find(fs, st.st_dev, st.st_ino);
    if (!node) {
        node = fs->driver->restore_node(fs, &state);
        fs_node_set_where(node, fs_entry_get(fs, fs->root, name, node));
    }
    fs_node_ref(node);
    if (fs->driver->open_file(&op->call, node, O_RDONLY, &file) == 0) {
        set_file(op->run, op->id, file);
    }
    set_node(op->run, op->id, node);
    fs_node_unref(node);
}

static void coroutine_fn do_xattr(Op *op)
{
    const FsDriver *driver = op->run->fs.driver;
    uint8_t *value = NULL;
    size_t size = 0;

    if (driver->getxattr(&op->call, op->node,
                         op->kind == OP_GETXATTR ? "user.a" : NULL,
                         &value, &size) == 0) {
        /* The sanitizer sees whether all bytes are there. */
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
    const char *name = record_name(op->id);
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
    case OP_RESTORE:
        do_restore(op);
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

/*
 * The node with a number, with a reference. The root stands in for a missing
 * node, and with @dir for one that is not a directory.
 */
static FsNode *get_node(ChannelRun *run, unsigned number, bool dir)
{
    FsNode *node = run->nodes[number % NODES];

    if (!node || (dir && !S_ISDIR(node->type))) {
        node = run->nodes[0];
    }
    return fs_node_ref(node);
}

Op *op_start(ChannelRun *run, const FuzzRecord *rec)
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
    /* An operation on a node may only have a file of that node. */
    if (file && (file->node == op->node || op->kind >= OP_READ)) {
        op->file = fs_file_ref(file);
    }
    run->pending++;
    qemu_coroutine_enter(qemu_coroutine_create(op_entry, op));
    return op;
}

void op_free(Op *op)
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

static void drop_all(ChannelRun *run)
{
    for (unsigned i = 0; i < NODES; i++) {
        set_file(run, i, NULL);
        if (run->nodes[i]) {
            fs_node_unref(run->nodes[i]);
            run->nodes[i] = NULL;
        }
    }
}

void op_end(ChannelRun *run)
{
    drop_all(run);
    g_assert_cmpuint(fs_nodes_count(&run->fs.nodes), ==, 1);
    g_assert_cmpuint(fs_nodes_count_entries(&run->fs.nodes), ==, 0);
    run->fs.driver->close(&run->fs);
}
