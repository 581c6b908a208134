/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An export of the local driver, and its operations: see local-fixture.h.
 */
#include "qemu/osdep.h"
#include <sys/resource.h>
#include "block/aio.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "hw/9pfs/host/file.h"
#include "local-fixture.h"

const FsDriver *local;
char *folder;
static unsigned folders;

int open_fds(void)
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

/* Exports have no file handles, as for an ordinary user. */
static bool only_names;

/*
 * An export
 */

void set_kind(Test *t, HostDevKind kind)
{
    host_dev_note(&local_fs(t->fs.root)->devs, t->fs.root->dev, kind);
}

/* Opens the export of @dir, which @t takes over. */
static void open_export(Test *t, char *dir, FsdevSecurityModel model,
                        FsdevMigration migration)
{
    FsdevOptions opts = {
        .fsdriver = FSDEV_DRIVER_LOCAL,
        .id = (char *)"test",
        .u.local = { .security_model = model, .path = dir },
    };

    *t = (Test) {
        .dir = dir,
        .fs = { .id = (char *)"test", .driver = local,
                .multidevs = FSDEV_MULTIDEVS_REMAP, .migration = migration },
    };
    t->fd = open(t->dir, O_RDONLY | O_DIRECTORY);
    g_assert_cmpint(t->fd, >=, 0);
    g_assert_true(local->open(&t->fs, &opts, &error_abort));
    g_assert_nonnull(t->fs.root);
    if (only_names && local_fs(t->fs.root)->handles.mount_fd >= 0) {
        close(local_fs(t->fs.root)->handles.mount_fd);
        local_fs(t->fs.root)->handles.mount_fd = -1;
    }
    /* Whatever the current folder is on: at_once() is for the other case. */
    set_kind(t, HOST_DEV_STORAGE);
}

void setup_migration(Test *t, FsdevSecurityModel model,
                     FsdevMigration migration)
{
    char *dir = g_strdup_printf("%s/%u", folder, folders++);

    g_assert_cmpint(mkdir(dir, 0755), ==, 0);
    open_export(t, dir, model, migration);
}

void setup_again(Test *t, const Test *first, FsdevSecurityModel model,
                 FsdevMigration migration)
{
    open_export(t, g_strdup(first->dir), model, migration);
}

void setup_model(Test *t, FsdevSecurityModel model)
{
    setup_migration(t, model, FSDEV_MIGRATION_OFF);
}

void setup(Test *t)
{
    setup_model(t, FSDEV_SECURITY_MODEL_PASSTHROUGH);
}

void finish_again(Test *t)
{
    g_assert_cmpuint(fs_nodes_count(&t->fs.nodes), ==, 1);
    g_assert_cmpuint(fs_nodes_count_entries(&t->fs.nodes), ==, 0);
    local->close(&t->fs);
    g_assert_null(t->fs.root);
    close(t->fd);
    g_free(t->dir);
}

void finish(Test *t)
{
    g_autofree char *rm = g_strdup_printf("rm -rf '%s'", t->dir);

    finish_again(t);
    g_assert_cmpint(system(rm), ==, 0);
}

void put_file(Test *t, const char *name)
{
    int fd = openat(t->fd, name, O_CREAT | O_EXCL | O_WRONLY, 0644);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, name, strlen(name)), ==, strlen(name));
    close(fd);
}

void put_dir(Test *t, const char *name)
{
    g_assert_cmpint(mkdirat(t->fd, name, 0755), ==, 0);
}

uint64_t ino_of(Test *t, const char *name)
{
    struct stat st;

    g_assert_cmpint(fstatat(t->fd, name, &st, AT_SYMLINK_NOFOLLOW), ==, 0);
    return st.st_ino;
}

void squeeze(void)
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

bool is_closed(FsNode *node)
{
    return local_node(node)->path_fd.fd < 0;
}

/*
 * Operations, each in a coroutine
 */

static void coroutine_fn op_entry(void *opaque)
{
    Op *op = opaque;

    fs_call_begin(&op->call);
    op->run(op);
    fs_call_end(&op->call);
    op->done = true;
}

void op_start(Op *op, void coroutine_fn (*run)(Op *op))
{
    op->run = run;
    op->done = false;
    qemu_coroutine_enter(qemu_coroutine_create(op_entry, op));
}

int op_wait(Op *op)
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

int op_run(Op *op, void coroutine_fn (*run)(Op *op))
{
    op_start(op, run);
    return op_wait(op);
}

void coroutine_fn run_walk(Op *op)
{
    op->ret = local->walk(&op->call, op->node, op->names, op->n, &op->walk);
}

void coroutine_fn run_getattr(Op *op)
{
    op->ret = local->getattr(&op->call, op->node, op->file, &op->attr);
}

void coroutine_fn run_setattr(Op *op)
{
    op->ret = local->setattr(&op->call, op->node, op->file, &op->set);
}

void coroutine_fn run_readlink(Op *op)
{
    op->ret = local->readlink(&op->call, op->node, (char *)op->value,
                              op->size);
}

void coroutine_fn run_generation(Op *op)
{
    op->ret = local->generation(&op->call, op->node, NULL, &op->gen);
}

void coroutine_fn run_open(Op *op)
{
    op->ret = local->open_file(&op->call, op->node, op->flags, &op->file);
}

void coroutine_fn run_make(Op *op)
{
    op->ret = local->make(&op->call, op->node, &op->make, &op->attr);
}

void coroutine_fn run_create(Op *op)
{
    op->ret = local->create(&op->call, op->node, &op->make, op->flags,
                            &op->other, &op->file, &op->attr);
}

void coroutine_fn run_link(Op *op)
{
    op->ret = local->link(&op->call, op->node, op->other, op->names[0]);
}

void coroutine_fn run_getxattr(Op *op)
{
    op->ret = local->getxattr(&op->call, op->node, op->names[0], &op->value,
                              &op->size);
}

void coroutine_fn run_setxattr(Op *op)
{
    op->ret = local->setxattr(&op->call, op->node, op->names[0], op->value,
                              op->size, op->flags);
}

void coroutine_fn run_rename(Op *op)
{
    op->ret = local->rename(&op->call, op->node, op->names[0], op->other,
                            op->names[1]);
}

void coroutine_fn run_unlink(Op *op)
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

int try_walk(FsNode *from, const char *path, FsNode **node, unsigned *n)
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

FsNode *walk_from(FsNode *from, const char *path)
{
    FsNode *node = NULL;
    unsigned n;

    g_assert_cmpint(try_walk(from, path, &node, &n), ==, 0);
    return node;
}

FsNode *walk(Test *t, const char *path)
{
    return walk_from(t->fs.root, path);
}

int getattr(FsNode *node, FsAttr *attr)
{
    Op op = { .node = node };

    op_run(&op, run_getattr);
    *attr = op.attr;
    return op.ret;
}

void assert_ino(FsNode *node, uint64_t ino)
{
    FsAttr attr;

    g_assert_cmpint(getattr(node, &attr), ==, 0);
    g_assert_cmpuint(attr.ino, ==, ino);
}

int rename_(FsNode *dir, const char *name, FsNode *to, const char *as)
{
    Op op = { .node = dir, .other = to, .names = { name, as } };

    return op_run(&op, run_rename);
}

int unlink_(FsNode *dir, const char *name, bool rmdir)
{
    Op op = { .node = dir, .names = { name }, .flags = rmdir };

    return op_run(&op, run_unlink);
}

void assert_content(FsNode *node, const char *text)
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

GHashTable *list(FsNode *dir, unsigned room)
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
    setup(&t);
    if (local_fs(t.fs.root)->handles.mount_fd < 0) {
        g_test_skip("needs CAP_DAC_READ_SEARCH, and a file system with file "
                    "handles");
        finish(&t);
        return;
    }
    finish(&t);
    run();
}

void add_both(const char *name, void (*test)(void))
{
    g_autofree char *names = g_strdup_printf("/local-driver/by-name/%s", name);
    g_autofree char *handles =
        g_strdup_printf("/local-driver/by-file-handle/%s", name);

    g_test_add_data_func(names, test, by_name);
    g_test_add_data_func(handles, test, by_file_handle);
}

int local_test_main(int *argc, char ***argv, void (*add_tests)(void))
{
    g_autofree char *rm = NULL;
    int ret;

    g_test_init(argc, argv, NULL);
    umask(022);
    qemu_init_main_loop(&error_abort);
    module_call_init(MODULE_INIT_QOM);
    local = fs_driver_find(FSDEV_DRIVER_LOCAL);
    g_assert_nonnull(local);
    folder = g_dir_make_tmp("local-driver-XXXXXX", NULL);
    g_assert_nonnull(folder);
    add_tests();
    ret = g_test_run();

    rm = g_strdup_printf("rm -rf '%s'", folder);
    if (system(rm) != 0) {
        g_printerr("cannot remove %s\n", folder);
    }
    g_free(folder);
    return ret;
}
