/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the local driver on a real directory: a node of one export is saved
 * and restored in another one of the same directory, as by a migration. The
 * test has the loader's part in entries.
 */
#include "qemu/osdep.h"
#include <sys/mount.h>
#include <sys/xattr.h>
#include "local-fixture.h"

#define PASSTHROUGH     FSDEV_SECURITY_MODEL_PASSTHROUGH

/* The two ends of a migration */
typedef struct Pair {
    Test from;
    Test to;
} Pair;

static void start(Pair *p, FsdevSecurityModel model)
{
    setup_migration(&p->from, model, FSDEV_MIGRATION_AUTO);
    setup_again(&p->to, &p->from, model, FSDEV_MIGRATION_AUTO);
}

static void end(Pair *p)
{
    finish_again(&p->to);
    finish(&p->from);
}

/* Whether the ends use file handles */
static bool by_handle(const Pair *p)
{
    return local_fs(p->from.fs.root)->handles.mount_fd >= 0;
}

static FsNodeState save(FsNode *node)
{
    FsNodeState state = {
        .dev = node->dev, .ino = node->ino, .type = node->type,
        .gen_state = node->gen_state, .gen = node->gen,
    };

    local->save_node(node, &state);
    return state;
}

/* The state as a node of @t, which is @name in @dir unless that is NULL */
static FsNode *restore_at(Test *t, const FsNodeState *state, FsNode *dir,
                          const char *name)
{
    FsNode *node = local->restore_node(&t->fs, state);

    g_assert_nonnull(node);
    g_assert_true(node->restored);
    g_assert_true(is_closed(node));
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

static void assert_stale(FsNode *node)
{
    FsAttr attr;

    g_assert_cmpint(getattr(node, &attr), ==, -ESTALE);
    /* And it stays so. */
    g_assert_cmpint(getattr(node, &attr), ==, -ESTALE);
}

/*
 * What is where it was
 */

static void found(FsdevSecurityModel model)
{
    FsNode *dir, *file, *link, *moved, *other;
    Op op;
    Pair p;

    start(&p, model);
    op = (Op) { .node = p.from.fs.root,
                .make = { .name = "d", .mode = S_IFDIR | 0755, .uid = getuid(),
                          .gid = getgid() } };
    g_assert_cmpint(op_run(&op, run_make), ==, 0);
    op.node = dir = walk(&p.from, "d");
    op.make.name = "e";
    g_assert_cmpint(op_run(&op, run_make), ==, 0);
    fs_node_unref(dir);
    dir = op.node = walk(&p.from, "d/e");
    op.make.name = "f";
    op.make.mode = S_IFREG | 0640;
    g_assert_cmpint(op_run(&op, run_make), ==, 0);
    op.make.name = "l";
    op.make.mode = S_IFLNK | 0777;
    op.make.target = "where";
    g_assert_cmpint(op_run(&op, run_make), ==, 0);
    file = walk_from(dir, "f");
    link = walk_from(dir, "l");

    moved = move(&p, file);
    assert_ino(moved, file->ino);
    g_assert_false(moved->restored);
    assert_content(moved, "");
    squeeze();
    g_assert_true(is_closed(moved));
    assert_ino(moved, file->ino);
    /* A walk of the guest finds the same. */
    other = walk(&p.to, "d/e/f");
    g_assert_true(other == moved);
    fs_node_unref(other);
    fs_node_unref(moved);

    moved = move(&p, link);
    op.value = g_malloc0(10);
    op.size = 10;
    op.node = moved;
    g_assert_cmpint(op_run(&op, run_readlink), ==, 0);
    g_assert_cmpstr((char *)op.value, ==, "where");
    g_free(op.value);
    fs_node_unref(moved);

    /* And a walk from a restored directory */
    moved = move(&p, dir);
    other = walk_from(moved, "f");
    assert_ino(other, file->ino);
    fs_node_unref(other);
    fs_node_unref(moved);

    fs_node_unref(link);
    fs_node_unref(file);
    fs_node_unref(dir);
    end(&p);
}

static void test_found(void)
{
    found(PASSTHROUGH);
}

static void test_found_mapped(void)
{
    found(FSDEV_SECURITY_MODEL_MAPPED_FILE);
    if (getxattr("/dev/shm", "user.x", NULL, 0) < 0 && errno == ENODATA) {
        found(FSDEV_SECURITY_MODEL_MAPPED_XATTR);
    }
}

/* A guest that knows the file finds it first by walking. */
static void test_walked(void)
{
    FsNode *file, *moved, *other;
    Pair p;

    start(&p, PASSTHROUGH);
    put_file(&p.from, "f");
    file = walk(&p.from, "f");
    moved = move(&p, file);
    other = walk(&p.to, "f");
    g_assert_true(other == moved);
    g_assert_false(moved->restored);
    g_assert_false(is_closed(moved));
    fs_node_unref(other);
    fs_node_unref(moved);
    fs_node_unref(file);
    end(&p);
}

/* A node that was never used moves on. */
static void test_again(void)
{
    g_autoptr(FsNode) dir = NULL;
    FsNode *file, *moved, *again;
    FsNodeState state;
    Test third;
    Pair p;

    start(&p, PASSTHROUGH);
    setup_again(&third, &p.from, PASSTHROUGH, FSDEV_MIGRATION_AUTO);
    put_dir(&p.from, "d");
    put_file(&p.from, "d/f");
    file = walk(&p.from, "d/f");
    moved = move(&p, file);
    state = save(fs_node_where(moved)->parent);
    dir = restore_at(&third, &state, third.fs.root, "d");
    state = save(moved);
    g_assert_cmpint(state.handle_size > 0, ==, by_handle(&p));
    again = restore_at(&third, &state, dir, "f");
    assert_content(again, "d/f");
    fs_node_unref(again);
    g_clear_pointer(&dir, fs_node_unref);
    finish_again(&third);
    fs_node_unref(moved);
    fs_node_unref(file);
    end(&p);
}

/*
 * What is not
 */

/* The host renamed it in between. */
static void test_renamed(void)
{
    FsNode *file, *moved;
    Pair p;

    start(&p, PASSTHROUGH);
    put_dir(&p.from, "d");
    put_dir(&p.from, "e");
    put_file(&p.from, "d/f");
    file = walk(&p.from, "d/f");
    moved = move(&p, file);
    g_assert_cmpint(renameat(p.from.fd, "d/f", p.from.fd, "e/g"), ==, 0);
    if (by_handle(&p)) {
        assert_content(moved, "d/f");
    } else {
        assert_stale(moved);
    }
    fs_node_unref(moved);
    fs_node_unref(file);
    end(&p);
}

/* Another file has the name now. */
static void test_replaced(void)
{
    FsNode *file, *moved;
    Pair p;

    start(&p, PASSTHROUGH);
    put_file(&p.from, "f");
    put_file(&p.from, "g");
    file = walk(&p.from, "f");
    moved = move(&p, file);
    fs_node_unref(file);
    g_assert_cmpint(renameat(p.from.fd, "g", p.from.fd, "f"), ==, 0);
    assert_stale(moved);
    fs_node_unref(moved);
    end(&p);
}

/* Another file has the name and the number. */
static void test_reused(void)
{
    FsNodeState state;
    struct statx stx;
    FsNode *file, *moved;
    Pair p;

    start(&p, PASSTHROUGH);
    put_file(&p.from, "f");
    g_assert_cmpint(statx(p.from.fd, "f", 0, STATX_BTIME, &stx), ==, 0);
    file = walk(&p.from, "f");
    state = save(file);
    if (!(stx.stx_mask & STATX_BTIME)) {
        g_test_skip("the file system does not know when files were made");
    } else {
        g_assert_cmpuint(state.born, !=, 0);
        /* A handle has a generation of its own. */
        state.handle_size = 0;
        state.born--;
        moved = restore_at(&p.to, &state, p.to.fs.root, "f");
        assert_stale(moved);
        fs_node_unref(moved);
    }
    fs_node_unref(file);
    end(&p);
}

/* Something of another type, whoever says so */
static void test_type(void)
{
    static const uint16_t types[] = { S_IFDIR, S_IFLNK, S_IFREG, S_IFIFO };
    Op op = { .flags = O_RDONLY };
    FsNodeState state;
    FsNode *file, *moved;
    unsigned i;
    Pair p;

    start(&p, PASSTHROUGH);
    g_assert_cmpint(mkfifoat(p.from.fd, "f", 0600), ==, 0);
    file = walk(&p.from, "f");
    for (i = 0; i < ARRAY_SIZE(types); i++) {
        state = save(file);
        state.type = types[i];
        moved = restore_at(&p.to, &state, p.to.fs.root, "f");
        if (types[i] == S_IFREG) {
            /* No operation takes it for what it is not. */
            op.node = moved;
            g_assert_cmpint(op_run(&op, run_open), ==, -ESTALE);
        }
        if (types[i] == S_IFIFO) {
            assert_ino(moved, file->ino);
        } else {
            assert_stale(moved);
        }
        fs_node_unref(moved);
    }
    fs_node_unref(file);
    end(&p);
}

/*
 * Without a name
 */

static void test_unlinked(void)
{
    gint64 deadline = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;
    Op op = { .flags = O_RDWR };
    FsNode *file, *moved;
    FsNodeState state;
    Pair p;

    start(&p, PASSTHROUGH);
    put_dir(&p.from, "d");
    put_file(&p.from, "d/f");
    op.node = file = walk(&p.from, "d/f");
    g_assert_cmpint(op_run(&op, run_open), ==, 0);
    {
        g_autoptr(FsNode) dir = walk(&p.from, "d");

        g_assert_cmpint(unlink_(dir, "f", false), ==, 0);
    }
    g_assert_null(fs_node_where(file));
    state = save(file);
    moved = restore_at(&p.to, &state, NULL, NULL);
    if (by_handle(&p)) {
        g_assert_cmpuint(state.handle_size, >, 0);
        assert_content(moved, "d/f");
        /* It stays open, as nothing leads to it any more. */
        fs_file_unref(op.file);
        fs_node_unref(file);
        squeeze();
        assert_content(moved, "d/f");
        fs_node_unref(moved);
        /* It is gone when the thread pool has closed it. */
        while (true) {
            FsAttr attr;

            moved = restore_at(&p.to, &state, NULL, NULL);
            if (getattr(moved, &attr) < 0) {
                break;
            }
            g_assert_cmpint(g_get_monotonic_time(), <, deadline);
            fs_node_unref(moved);
        }
        assert_stale(moved);
    } else {
        g_assert_cmpuint(state.handle_size, ==, 0);
        assert_stale(moved);
        fs_file_unref(op.file);
        fs_node_unref(file);
    }
    fs_node_unref(moved);
    end(&p);
}

/* The metadata of a file without a name does not come along: nor does it. */
static void test_unlinked_mapped(void)
{
    FsNode *file, *moved;
    FsNodeState state;
    Pair p;
    Op op;

    start(&p, FSDEV_SECURITY_MODEL_MAPPED_FILE);
    op = (Op) { .node = p.from.fs.root,
                .make = { .name = "f", .mode = S_IFREG | 0640, .uid = 77,
                          .gid = 88 } };
    g_assert_cmpint(op_run(&op, run_make), ==, 0);
    file = walk(&p.from, "f");
    g_assert_cmpint(unlink_(p.from.fs.root, "f", false), ==, 0);
    state = save(file);
    g_assert_cmpuint(state.handle_size, ==, 0);
    moved = restore_at(&p.to, &state, NULL, NULL);
    assert_stale(moved);
    fs_node_unref(moved);
    fs_node_unref(file);
    end(&p);
}

/* migration=names */
static void test_only_names(void)
{
    FsNode *file, *moved;
    FsNodeState state;
    Test to;
    Pair p;

    start(&p, PASSTHROUGH);
    setup_again(&to, &p.from, PASSTHROUGH, FSDEV_MIGRATION_NAMES);
    put_file(&p.from, "f");
    file = walk(&p.from, "f");
    state = save(file);
    g_assert_cmpint(state.handle_size > 0, ==, by_handle(&p));
    /* This end does not take them, and gives none. */
    moved = restore_at(&to, &state, NULL, NULL);
    assert_stale(moved);
    fs_node_unref(moved);
    moved = restore_at(&to, &state, to.fs.root, "f");
    assert_content(moved, "f");
    state = save(moved);
    g_assert_cmpuint(state.handle_size, ==, 0);
    fs_node_unref(moved);
    fs_node_unref(file);
    finish_again(&to);
    end(&p);
}

/*
 * Streams that lie
 */

/* Names that no walk finds */
static void test_hidden(void)
{
    static const char *const names[] = {
        ".virtfs_metadata", "..", ".", "d/f", "", "nonesuch",
    };
    FsNode *meta, *moved;
    FsNodeState state;
    unsigned i;
    Test plain;
    Pair p;
    Op op;

    start(&p, FSDEV_SECURITY_MODEL_MAPPED_FILE);
    op = (Op) { .node = p.from.fs.root,
                .make = { .name = "f", .mode = S_IFREG | 0640, .uid = 77,
                          .gid = 88 } };
    g_assert_cmpint(op_run(&op, run_make), ==, 0);
    /* What another program can know of the folder */
    setup_again(&plain, &p.from, PASSTHROUGH, FSDEV_MIGRATION_AUTO);
    meta = walk(&plain, ".virtfs_metadata");
    state = save(meta);
    for (i = 0; i < ARRAY_SIZE(names); i++) {
        moved = restore_at(&p.to, &state, p.to.fs.root, names[i]);
        assert_stale(moved);
        fs_node_unref(moved);
    }
    fs_node_unref(meta);
    meta = walk(&plain, ".virtfs_metadata/f");
    state = save(meta);
    moved = restore_at(&p.to, &state, NULL, NULL);
    assert_stale(moved);
    fs_node_unref(moved);
    fs_node_unref(meta);
    finish_again(&plain);
    end(&p);
}

/* Handles of files that are not in the export */
static void test_outside(void)
{
    Op op = { .flags = O_RDWR };
    FsNode *file, *moved;
    FsNodeState state;
    Test other;
    Pair p;

    start(&p, PASSTHROUGH);
    setup_migration(&other, PASSTHROUGH, FSDEV_MIGRATION_AUTO);
    put_file(&other, "f");
    put_dir(&other, "d");
    put_file(&p.from, "f");
    op.node = file = walk(&other, "f");
    g_assert_cmpint(op_run(&op, run_open), ==, 0);
    state = save(file);
    moved = restore_at(&p.to, &state, NULL, NULL);
    assert_stale(moved);
    fs_node_unref(moved);
    moved = restore_at(&p.to, &state, p.to.fs.root, "f");
    assert_stale(moved);
    fs_node_unref(moved);
    /* Without a name */
    g_assert_cmpint(unlink_(other.fs.root, "f", false), ==, 0);
    moved = restore_at(&p.to, &state, NULL, NULL);
    assert_stale(moved);
    fs_node_unref(moved);
    fs_file_unref(op.file);
    fs_node_unref(file);

    file = walk(&other, "d");
    state = save(file);
    moved = restore_at(&p.to, &state, NULL, NULL);
    assert_stale(moved);
    fs_node_unref(moved);
    fs_node_unref(file);
    /* The directory above the export */
    if (by_handle(&p)) {
        int above = open(folder, O_PATH);
        union {
            struct file_handle handle;
            char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
        } h = { .handle.handle_bytes = MAX_HANDLE_SZ };
        struct stat st;
        int mount;

        g_assert_cmpint(fstat(above, &st), ==, 0);
        g_assert_cmpint(name_to_handle_at(above, "", &h.handle, &mount,
                                          AT_EMPTY_PATH), ==, 0);
        close(above);
        state.dev = st.st_dev;
        state.ino = st.st_ino;
        state.handle_type = h.handle.handle_type;
        state.handle_size = h.handle.handle_bytes;
        memcpy(state.handle, h.handle.f_handle, state.handle_size);
        moved = restore_at(&p.to, &state, NULL, NULL);
        assert_stale(moved);
        fs_node_unref(moved);
    }
    finish(&other);
    end(&p);
}

/*
 * QEMU is in a root directory that chroot(2) made. The export is "/" there, or
 * has the path of another directory outside. As far as the kernel's path of a
 * removed name tells, a file outside had a name in the export.
 */
static void test_outside_root(void)
{
    g_autofree char *within = NULL;
    g_autofree char *proc = NULL;
    Op op = { .flags = O_RDWR };
    FsNode *file, *moved;
    FsNodeState state;
    Test other, from, to;
    bool mounts;

    if (geteuid() != 0) {
        g_test_skip("needs root");
        return;
    }
    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 60 * G_USEC_PER_SEC, 0);
        g_test_trap_assert_passed();
        return;
    }
    /* Before there are threads, so that they share the root directory. */
    mounts = unshare(CLONE_NEWNS) == 0 &&
             mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    setup_migration(&from, PASSTHROUGH, FSDEV_MIGRATION_AUTO);
    setup_migration(&other, PASSTHROUGH, FSDEV_MIGRATION_AUTO);
    put_file(&other, "f");
    op.node = file = walk(&other, "f");
    g_assert_cmpint(op_run(&op, run_open), ==, 0);
    g_assert_cmpint(unlink_(other.fs.root, "f", false), ==, 0);
    state = save(file);

    within = g_strconcat(from.dir, other.dir, NULL);
    proc = g_strconcat(from.dir, "/proc", NULL);
    g_assert_cmpint(g_mkdir_with_parents(within, 0755), ==, 0);
    g_assert_cmpint(mkdir(proc, 0755), ==, 0);
    if (mounts && mount("proc", proc, "proc", 0, NULL) == 0) {
        const Test exports[] = { { .dir = (char *)"/" }, { .dir = other.dir } };
        int root = open("/", O_PATH);
        unsigned i;

        g_assert_cmpint(chroot(from.dir), ==, 0);
        g_assert_cmpint(chdir("/"), ==, 0);
        for (i = 0; i < ARRAY_SIZE(exports); i++) {
            setup_again(&to, &exports[i], PASSTHROUGH, FSDEV_MIGRATION_AUTO);
            moved = restore_at(&to, &state, NULL, NULL);
            assert_stale(moved);
            fs_node_unref(moved);
            finish_again(&to);
        }
        g_assert_cmpint(fchdir(root), ==, 0);
        g_assert_cmpint(chroot("."), ==, 0);
        close(root);
        g_assert_cmpint(umount2(proc, MNT_DETACH), ==, 0);
    }                           /* else this container lets nobody mount */
    fs_file_unref(op.file);
    fs_node_unref(file);
    finish(&other);
    finish(&from);
}

/* Handles of any bytes; a name still leads to the file. */
static void test_garbage(void)
{
    FsNode *file, *moved;
    FsNodeState good;
    unsigned i, k;
    Pair p;

    start(&p, PASSTHROUGH);
    put_file(&p.from, "f");
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
        assert_content(moved, "f");
        fs_node_unref(moved);
    }
    fs_node_unref(file);
    end(&p);
}

static void add_tests(void)
{
    add_both("restore/found", test_found);
    add_both("restore/found-mapped", test_found_mapped);
    add_both("restore/walked", test_walked);
    add_both("restore/again", test_again);
    add_both("restore/renamed", test_renamed);
    add_both("restore/replaced", test_replaced);
    add_both("restore/reused", test_reused);
    add_both("restore/type", test_type);
    add_both("restore/unlinked", test_unlinked);
    add_both("restore/unlinked-mapped", test_unlinked_mapped);
    add_both("restore/only-names", test_only_names);
    add_both("restore/hidden", test_hidden);
    add_both("restore/outside", test_outside);
    add_both("restore/garbage", test_garbage);
    g_test_add_func("/local-driver/restore/outside-root", test_outside_root);
}

int main(int argc, char **argv)
{
    return local_test_main(&argc, &argv, add_tests);
}
