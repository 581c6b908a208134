/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the proxy driver with real helpers: a node of one export is saved
 * and restored in another one of the same directory, as by a migration. It is
 * found by name, and in the tests of handles also by file handle. The test has
 * the loader's part in entries.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "fsdev/shared/hostfs.h"
#include "hw/9pfs/host/file.h"
#include "hw/9pfs/host/state-handle.h"
#include "hw/9pfs/proxy/node.h"
#include "driver-fixture.h"

/* The two ends of a migration */
typedef struct Pair {
    DriverTest from;
    DriverTest to;
} Pair;

/* By way of the socket @sock, or if that is NULL, with a helper of QEMU's */
static void open_end_by(DriverTest *t, char *sock, bool donate,
                        FsdevMigration migration)
{
    FsdevProxyOptions o = {
        .path = sock ? NULL : folder,
        .helper = sock ? NULL : getenv("VIRTFS_PROXY_HELPER"),
        .sock_fd = sock,
        .has_donate = true, .donate = donate,
        .has_protocol = true, .protocol = 2,
        /* QEMU looks at a ring in other ways when its loop sleeps. */
        .has_ring = true, .ring = ON_OFF_AUTO_OFF,
    };

    driver_test_start(t);
    t->fs.migration = migration;
    driver_test_open(t, &o);
}

/* With a helper of QEMU's, auto means names. */
static void open_end(DriverTest *t, bool donate)
{
    open_end_by(t, NULL, donate, FSDEV_MIGRATION_AUTO);
}

static void close_end(DriverTest *t)
{
    g_assert_cmpuint(fs_nodes_count(&t->fs.nodes), ==, 1);
    g_assert_cmpuint(fs_nodes_count_entries(&t->fs.nodes), ==, 0);
    notifier_remove(&t->on_helper);
    proxy->close(&t->fs);
}

static void start(Pair *p, bool donate)
{
    open_end(&p->from, donate);
    open_end(&p->to, donate);
}

static void end(Pair *p)
{
    close_end(&p->to);
    close_end(&p->from);
}

/* The folder's file or directory of that name; removes what was there. */
static void put(const char *name, const char *content)
{
    g_autofree char *path = in_folder(name);

    remove(path);
    if (content) {
        g_assert_true(g_file_set_contents(path, content, -1, NULL));
    } else {
        g_assert_cmpint(mkdir(path, 0755), ==, 0);
    }
}

static void rename_on_host(const char *name, const char *as)
{
    g_autofree char *from = in_folder(name);
    g_autofree char *to = in_folder(as);

    g_assert_cmpint(rename(from, to), ==, 0);
}

static void remove_on_host(const char *name)
{
    g_autofree char *path = in_folder(name);

    g_assert_cmpint(remove(path), ==, 0);
}

/* Up to three names with "/" between them */
static FsNode *walk_from(FsNode *dir, const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, "/", 3);
    DriverOp op = { };

    for (; names[op.n]; op.n++) {
        op.names[op.n] = names[op.n];
    }
    op_start(&op, run_walk, dir);
    g_assert_cmpint(op_wait(&op), ==, 0);
    fs_node_unref(op.walk.parent);
    return op.walk.node;
}

static FsNode *walk(DriverTest *t, const char *path)
{
    return walk_from(t->fs.root, path);
}

static int getattr(FsNode *node, FsAttr *attr)
{
    DriverOp op = { };

    op_start(&op, run_getattr, node);
    op_wait(&op);
    *attr = op.attr;
    return op.ret;
}

static void assert_stale(FsNode *node)
{
    FsAttr attr;

    g_assert_cmpint(getattr(node, &attr), ==, -ESTALE);
    g_assert_cmpint(getattr(node, &attr), ==, -ESTALE);
}

static void assert_content(FsNode *node, const char *content)
{
    DriverOp op = { .flags = O_RDONLY };
    char buf[16] = "";

    op_start(&op, run_open, node);
    g_assert_cmpint(op_wait(&op), ==, 0);
    g_assert_cmpint(pread(host_file_fd(op.file), buf, sizeof(buf) - 1, 0), ==,
                    strlen(content));
    g_assert_cmpstr(buf, ==, content);
    fs_file_unref(op.file);
}

static FsNodeState save(FsNode *node)
{
    FsNodeState state = {
        .dev = node->dev, .ino = node->ino, .type = node->type,
    };

    proxy->save_node(node, &state);
    return state;
}

/* The state as a node of @t, which is @name in @dir unless that is NULL */
static FsNode *restore_at(DriverTest *t, const FsNodeState *state,
                          FsNode *dir, const char *name)
{
    FsNode *node = proxy->restore_node(&t->fs, state);

    g_assert_nonnull(node);
    if (dir) {
        fs_node_set_where(node, fs_entry_get(&t->fs, dir, name, node));
    }
    return node;
}

/* The node of the other end for @node, with the names on the way to it */
static FsNode *move(Pair *p, FsNode *node)
{
    FsEntry *where = fs_node_where(node);
    FsNodeState state = save(node);
    g_autoptr(FsNode) dir = NULL;
    FsNode *moved;

    if (node == p->from.fs.root) {
        return fs_node_ref(p->to.fs.root);
    }
    moved = fs_node_find(&p->to.fs, node->dev, node->ino);
    if (moved) {
        return moved;
    }
    dir = where ? move(p, where->parent) : NULL;
    return restore_at(&p->to, &state, dir, where ? where->name : NULL);
}

static void found(bool donate)
{
    FsNode *file, *dir, *moved, *other;
    FsAttr attr;
    Pair p;

    put("d", NULL);
    put("d/e", NULL);
    put("d/e/f", "text");
    start(&p, donate);
    file = walk(&p.from, "d/e/f");
    dir = fs_node_ref(fs_node_where(file)->parent);
    moved = move(&p, file);
    g_assert_cmpint(getattr(moved, &attr), ==, 0);
    g_assert_cmpuint(attr.ino, ==, file->ino);
    assert_content(moved, "text");
    other = walk(&p.to, "d/e/f");
    g_assert_true(other == moved);
    fs_node_unref(other);
    fs_node_unref(moved);

    /* A walk from a directory that was never used before */
    moved = move(&p, dir);
    other = walk_from(moved, "f");
    assert_content(other, "text");
    fs_node_unref(other);
    fs_node_unref(moved);

    /* A file that the guest makes has a name, too. */
    {
        DriverOp op = { .flags = O_RDWR, .make = {
            .name = "made", .mode = S_IFREG | 0600, .uid = getuid(),
            .gid = getgid() } };

        op_start(&op, run_create, dir);
        g_assert_cmpint(op_wait(&op), ==, 0);
        fs_file_unref(op.file);
        moved = move(&p, op.dir);
        assert_content(moved, "");
        fs_node_unref(moved);
        fs_node_unref(op.dir);
    }
    remove_on_host("d/e/made");
    fs_node_unref(dir);
    fs_node_unref(file);
    end(&p);
    remove_on_host("d/e/f");
    remove_on_host("d/e");
    remove_on_host("d");
}

static void test_found(void)
{
    found(true);
    found(false);
}

/* A file that lost its name, and got another one from the guest */
static void test_linked(void)
{
    DriverOp op = { .names = { "y" } };
    FsNode *file, *moved;
    FsEntry *entry;
    Pair p;

    put("x", "text");
    start(&p, true);
    file = walk(&p.from, "x");
    op.dir = p.from.fs.root;
    op_start(&op, run_link, file);
    g_assert_cmpint(op_wait(&op), ==, 0);
    op = (DriverOp) { .names = { "x" } };
    entry = fs_entry_find(&p.from.fs, p.from.fs.root, "x");
    op_start(&op, run_unlink, p.from.fs.root);
    g_assert_cmpint(op_wait(&op), ==, 0);
    fs_entry_gone(entry);
    fs_entry_put(entry);
    op = (DriverOp) { .names = { "z" }, .dir = p.from.fs.root };
    op_start(&op, run_link, file);
    g_assert_cmpint(op_wait(&op), ==, 0);
    moved = move(&p, file);
    assert_content(moved, "text");
    fs_node_unref(moved);
    fs_node_unref(file);
    end(&p);
    remove_on_host("y");
    remove_on_host("z");
}

static void stale(bool donate)
{
    FsNodeState state;
    FsNode *file, *moved;
    Pair p;

    put("x", "text");
    put("y", "other");
    start(&p, donate);
    file = walk(&p.from, "x");

    /* Renamed on the host: nothing leads to it. */
    moved = move(&p, file);
    rename_on_host("x", "z");
    assert_stale(moved);
    fs_node_unref(moved);

    /* Another file has its name. */
    rename_on_host("y", "x");
    moved = move(&p, file);
    assert_stale(moved);
    fs_node_unref(moved);
    fs_node_unref(file);

    /* Another type, or another file with its number */
    file = walk(&p.from, "z");
    state = save(file);
    state.type = S_IFDIR;
    moved = restore_at(&p.to, &state, p.to.fs.root, "z");
    assert_stale(moved);
    fs_node_unref(moved);
    state = save(file);
    if (state.born) {
        state.born--;
        moved = restore_at(&p.to, &state, p.to.fs.root, "z");
        assert_stale(moved);
        fs_node_unref(moved);
    }

    /* No name */
    state = save(file);
    moved = restore_at(&p.to, &state, NULL, NULL);
    assert_stale(moved);
    fs_node_unref(moved);
    fs_node_unref(file);
    end(&p);
    remove_on_host("x");
    remove_on_host("z");
}

static void test_stale(void)
{
    stale(true);
    stale(false);
}

/*
 * By file handle
 */

/* Whether there are file handles: else skips the test. */
static bool can_have_handles(void)
{
    int fd = open(folder, O_PATH | O_CLOEXEC);
    FileHandles fh;
    bool can = file_handles_probe(&fh, fd) == 0;

    if (can) {
        file_handles_close(&fh);
    } else {
        g_test_skip("needs root, and a file system with file handles");
    }
    close(fd);
    return can;
}

static bool start_by_handles(Pair *p)
{
    bool can = can_have_handles();

    if (can) {
        open_end_by(&p->from, NULL, true, FSDEV_MIGRATION_HANDLES);
        open_end_by(&p->to, NULL, true, FSDEV_MIGRATION_HANDLES);
    }
    return can;
}

/* A helper that serves the folder and was not started by QEMU */
typedef struct Helper {
    pid_t pid;
    char sock[16];              /* for sock_fd */
} Helper;

static void helper_start(Helper *h, const char *option)
{
    const char *program = getenv("VIRTFS_PROXY_HELPER");
    int sv[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv),
                    ==, 0);
    snprintf(h->sock, sizeof(h->sock), "%d", sv[0]);
    h->pid = fork();
    g_assert_cmpint(h->pid, >=, 0);
    if (h->pid == 0) {
        g_autofree char *fd = g_strdup_printf("--fd=%d", sv[1]);

        fcntl(sv[1], F_SETFD, 0);
        execl(program, program, "-n", "-p", folder, fd, option, NULL);
        _exit(EXIT_FAILURE);
    }
    close(sv[1]);
}

/* Its client has gone. */
static void helper_wait(Helper *h)
{
    int status;

    g_assert_cmpint(waitpid(h->pid, &status, 0), ==, h->pid);
    g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/*
 * With auto, QEMU starts a helper without file handles, and uses those of one
 * that has them.
 */
static void test_auto(void)
{
    static const char *const options[] = {
        NULL, "--file-handles=off", "--file-handles=auto", "--file-handles=on",
    };
    unsigned i;

    if (!can_have_handles()) {
        return;
    }
    put("f", "text");
    for (i = 0; i < ARRAY_SIZE(options); i++) {
        bool has = i >= 2;
        Helper from, to;
        FsNode *file, *moved;
        FsNodeState state;
        Pair p;

        if (options[i]) {
            helper_start(&from, options[i]);
            open_end_by(&p.from, from.sock, true, FSDEV_MIGRATION_AUTO);
            helper_start(&to, options[i]);
            open_end_by(&p.to, to.sock, true, FSDEV_MIGRATION_AUTO);
        } else {
            start(&p, true);
        }
        file = walk(&p.from, "f");
        state = save(file);
        g_assert_cmpint(state.handle_size > 0, ==, has);
        moved = restore_at(&p.to, &state, NULL, NULL);
        if (has) {
            assert_content(moved, "text");
        } else {
            assert_stale(moved);
        }
        fs_node_unref(moved);
        fs_node_unref(file);
        end(&p);
        if (options[i]) {
            helper_wait(&from);
            helper_wait(&to);
        }
    }
    remove_on_host("f");
}

/* With handles, QEMU takes no helper that has none. */
static void test_demanded(void)
{
    Helper h;
    FsdevOptions opts = {
        .fsdriver = FSDEV_DRIVER_PROXY, .id = (char *)"test",
        .u.proxy.sock_fd = h.sock,
    };
    Error *err = NULL;
    DriverTest t;

    helper_start(&h, "--file-handles=off");
    driver_test_start(&t);
    t.fs.migration = FSDEV_MIGRATION_HANDLES;
    g_assert_false(proxy->open(&t.fs, &opts, &err));
    g_assert_nonnull(strstr(error_get_pretty(err),
                            "the helper does not open file handles"));
    error_free(err);
    notifier_remove(&t.on_helper);
    helper_wait(&h);
}

/* The budget closes the descriptors of all nodes that it may close. */
static void squeeze(void)
{
    while (host_fds_relieve()) {
        /* more of them */
    }
}

static bool is_closed(FsNode *node)
{
    return proxy_node(node)->path_fd.fd < 0;
}

/* The host renamed files, and directories above them. */
static void test_renamed(void)
{
    FsNode *file, *moved, *other;
    FsNodeState state;
    Pair p;

    put("d", NULL);
    put("e", NULL);
    put("d/f", "text");
    if (!start_by_handles(&p)) {
        return;
    }
    file = walk(&p.from, "d/f");
    moved = move(&p, file);
    rename_on_host("d/f", "e/g");
    assert_content(moved, "text");
    other = walk(&p.to, "e/g");
    g_assert_true(other == moved);
    fs_node_unref(other);
    fs_node_unref(moved);

    /* It has no file handle, but the directory above has. */
    rename_on_host("e/g", "d/f");
    moved = move(&p, file);
    other = fs_node_ref(fs_node_where(moved)->parent);
    fs_node_unref(moved);
    state = save(file);
    g_assert_cmpuint(state.handle_size, >, 0);
    state.handle_size = 0;
    moved = restore_at(&p.to, &state, other, "f");
    rename_on_host("d", "x");
    assert_content(moved, "text");
    fs_node_unref(moved);
    fs_node_unref(other);
    fs_node_unref(file);
    end(&p);
    remove_on_host("x/f");
    remove_on_host("x");
    remove_on_host("e");
}

/* A file lost its name, to the guest or on the host; a program has it open. */
static void unlinked(bool on_host)
{
    gint64 deadline = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;
    DriverOp op = { .flags = O_RDWR };
    DriverOp unlink = { .names = { "f" } };
    FsNode *file, *moved;
    FsNodeState state;
    FsEntry *entry;
    FsAttr attr;
    Pair p;

    put("f", "text");
    if (!start_by_handles(&p)) {
        return;
    }
    file = walk(&p.from, "f");
    op_start(&op, run_open, file);
    g_assert_cmpint(op_wait(&op), ==, 0);
    if (on_host) {
        remove_on_host("f");
    } else {
        entry = fs_entry_find(&p.from.fs, p.from.fs.root, "f");
        op_start(&unlink, run_unlink, p.from.fs.root);
        g_assert_cmpint(op_wait(&unlink), ==, 0);
        fs_entry_gone(entry);
        fs_entry_put(entry);
    }
    state = save(file);
    g_assert_cmpuint(state.handle_size, >, 0);
    moved = restore_at(&p.to, &state, on_host ? p.to.fs.root : NULL, "f");
    assert_content(moved, "text");
    g_assert_cmpint(getattr(moved, &attr), ==, 0);
    g_assert_cmpuint(attr.nlink, ==, 0);
    /* It stays, as the destination has it now. */
    fs_file_unref(op.file);
    fs_node_unref(file);
    squeeze();
    assert_content(moved, "text");
    fs_node_unref(moved);
    /* It is gone when both helpers have forgotten it. */
    while (true) {
        moved = restore_at(&p.to, &state, NULL, NULL);
        if (getattr(moved, &attr) < 0) {
            break;
        }
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        fs_node_unref(moved);
    }
    assert_stale(moved);
    fs_node_unref(moved);
    end(&p);
}

static void test_unlinked(void)
{
    unlinked(false);
    unlinked(true);
}

/* The budget has closed the descriptor, or there was none yet. */
static void test_closed(void)
{
    FsNodeState open_state, state;
    FsNode *file, *moved, *again;
    Pair p;

    put("f", "text");
    if (!start_by_handles(&p)) {
        return;
    }
    file = walk(&p.from, "f");
    open_state = save(file);
    squeeze();
    g_assert_true(is_closed(file));
    state = save(file);
    g_assert_cmpmem(&state, sizeof(state), &open_state, sizeof(state));
    moved = restore_at(&p.to, &state, NULL, NULL);
    state = save(moved);
    g_assert_cmpmem(&state, sizeof(state), &open_state, sizeof(state));
    assert_content(moved, "text");
    g_assert_false(is_closed(moved));
    state = save(moved);
    g_assert_cmpmem(&state, sizeof(state), &open_state, sizeof(state));
    fs_node_unref(moved);
    again = restore_at(&p.to, &state, NULL, NULL);
    assert_content(again, "text");
    fs_node_unref(again);
    fs_node_unref(file);
    end(&p);
    remove_on_host("f");
}

/* An end with migration=names takes no file handles, and gives none. */
static void test_only_names(void)
{
    FsNode *file, *moved;
    FsNodeState state;
    DriverTest to;
    Pair p;

    put("f", "text");
    if (!start_by_handles(&p)) {
        return;
    }
    open_end_by(&to, NULL, true, FSDEV_MIGRATION_NAMES);
    file = walk(&p.from, "f");
    state = save(file);
    moved = restore_at(&to, &state, NULL, NULL);
    assert_stale(moved);
    fs_node_unref(moved);
    moved = restore_at(&to, &state, to.fs.root, "f");
    assert_content(moved, "text");
    state = save(moved);
    g_assert_cmpuint(state.handle_size, ==, 0);
    fs_node_unref(moved);
    fs_node_unref(file);
    close_end(&to);
    end(&p);
    remove_on_host("f");
}

/* Another handle in @state: that of @path */
static void put_handle(FsNodeState *state, const char *path)
{
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    g_autofree struct file_handle *fh = file_handle_get(fd,
                                                       FILE_HANDLE_ANY_MOUNT);

    g_assert_nonnull(fh);
    host_handle_to_state(fh, state);
    close(fd);
}

/* Restores it without a name, and then by name: only this works. */
static void assert_only_by_name(Pair *p, const FsNodeState *state,
                                const char *name, const char *content)
{
    FsNode *moved = restore_at(&p->to, state, NULL, NULL);

    assert_stale(moved);
    fs_node_unref(moved);
    moved = restore_at(&p->to, state, p->to.fs.root, name);
    assert_content(moved, content);
    fs_node_unref(moved);
}

/* A stream that lies */
static void test_lies(void)
{
    g_autofree char *other = in_folder("g");
    FsNode *file, *moved;
    FsNodeState good;
    unsigned i, k;
    Pair p;

    put("f", "text");
    put("g", "other");
    if (!start_by_handles(&p)) {
        return;
    }
    file = walk(&p.from, "f");
    good = save(file);
    for (i = 0; i < 200; i++) {
        FsNodeState bad = good;

        if (i % 2) {
            bad.handle_type = g_test_rand_int();
        }
        if (i % 3) {
            bad.handle_size = g_test_rand_int_range(0, FS_HANDLE_MAX + 1);
        }
        for (k = 0; k < 4; k++) {
            bad.handle[g_test_rand_int_range(0, FS_HANDLE_MAX)] =
                g_test_rand_int();
        }
        moved = restore_at(&p.to, &bad, p.to.fs.root, "f");
        assert_content(moved, "text");
        fs_node_unref(moved);
    }
    {
        FsNodeState bad = good;

        /* Another file of the export, and one outside */
        put_handle(&bad, other);
        assert_only_by_name(&p, &bad, "f", "text");
        put_handle(&bad, "/etc/passwd");
        assert_only_by_name(&p, &bad, "f", "text");
    }
    /* Another type, and one that was born at another time */
    {
        FsNodeState bad = good;

        bad.type = S_IFDIR;
        moved = restore_at(&p.to, &bad, NULL, NULL);
        assert_stale(moved);
        fs_node_unref(moved);
        bad = good;
        bad.born++;
        moved = restore_at(&p.to, &bad, NULL, NULL);
        assert_stale(moved);
        fs_node_unref(moved);
    }
    fs_node_unref(file);
    end(&p);
    remove_on_host("f");
    remove_on_host("g");
}

/* The directory above the export, and a file there */
static void test_outside(void)
{
    g_autofree char *above = g_strdup(folder);
    g_autofree char *outside = in_folder("o");
    g_autofree char *secret = in_folder("o/secret");
    struct stat st;
    FsNodeState state = { };
    FsNode *moved;
    int fd;
    Pair p;

    put("o", NULL);
    put("o/secret", "secret");
    put("in", NULL);
    folder = g_build_filename(above, "in", NULL);
    if (start_by_handles(&p)) {
        const char *paths[] = { above, outside, secret };
        unsigned i;

        for (i = 0; i < ARRAY_SIZE(paths); i++) {
            g_assert_cmpint(stat(paths[i], &st), ==, 0);
            state.dev = st.st_dev;
            state.ino = st.st_ino;
            state.type = st.st_mode & S_IFMT;
            put_handle(&state, paths[i]);
            moved = restore_at(&p.to, &state, NULL, NULL);
            assert_stale(moved);
            fs_node_unref(moved);
        }
        fd = open(secret, O_RDONLY);
        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(unlink(secret), ==, 0);
        moved = restore_at(&p.to, &state, NULL, NULL);
        assert_stale(moved);
        fs_node_unref(moved);
        close(fd);
        end(&p);
    }
    g_free(folder);
    folder = g_steal_pointer(&above);
    remove(secret);
    remove_on_host("o");
    remove_on_host("in");
}

int main(int argc, char **argv)
{
    int ret;

    driver_test_init(&argc, &argv);
    driver_folder_make();
    g_test_add_func("/proxy-restore/found", test_found);
    g_test_add_func("/proxy-restore/linked", test_linked);
    g_test_add_func("/proxy-restore/stale", test_stale);
    g_test_add_func("/proxy-restore/handles/auto", test_auto);
    g_test_add_func("/proxy-restore/handles/demanded", test_demanded);
    g_test_add_func("/proxy-restore/handles/renamed", test_renamed);
    g_test_add_func("/proxy-restore/handles/unlinked", test_unlinked);
    g_test_add_func("/proxy-restore/handles/closed", test_closed);
    g_test_add_func("/proxy-restore/handles/only-names", test_only_names);
    g_test_add_func("/proxy-restore/handles/lies", test_lies);
    g_test_add_func("/proxy-restore/handles/outside", test_outside);
    ret = g_test_run();
    driver_folder_remove();
    return ret;
}
