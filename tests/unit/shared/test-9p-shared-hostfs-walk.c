/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the file operations on the host that find inodes, on a real file
 * system: in TMPDIR.
 */
#include "qemu/osdep.h"
#include "deep-dir.h"
#include "hostfs-fixture.h"
#include <sched.h>
#include <sys/mount.h>

static void test_walk(Fixture *f)
{
    const char *names[] = { "a", "b", "c" };
    HostWalk walk;
    FsAttr attr;
    unsigned n;

    make_tree(f);
    for (n = 1; n <= 3; n++) {
        assert_ok(hostfs_walk(&f->fs, f->fs.root, names, n, &walk));
        g_assert_cmpuint(walk.walked, ==, n);
        g_assert_cmpuint(walk.attr[0].ino, ==, ino_of(f->export, "a"));
        if (n == 1) {
            g_assert_cmpint(walk.parent, ==, -1);
        } else {
            assert_ok(hostfs_getattr(walk.parent, &attr));
            g_assert_cmpuint(attr.ino, ==, walk.attr[n - 2].ino);
            close(walk.parent);
        }
        assert_ok(hostfs_getattr(walk.node, &attr));
        g_assert_cmpuint(attr.ino, ==, walk.attr[n - 1].ino);
        g_assert_cmphex(fcntl(walk.node, F_GETFL) & O_PATH, ==, O_PATH);
        g_assert_cmpint(fcntl(walk.node, F_GETFD), ==, FD_CLOEXEC);
        close(walk.node);
    }
    g_assert_cmpuint(walk.attr[2].ino, ==, ino_of(f->export, "a/b/c"));

    assert_error(hostfs_walk(&f->fs, f->fs.root, names, 0, &walk), EINVAL);
}

/* As many names as a message may have, and one more */
static void test_walk_long(Fixture *f)
{
    const char *names[FS_WALK_MAX + 1];
    HostWalk walk;
    unsigned i;
    int dir = dup(f->export);

    for (i = 0; i <= FS_WALK_MAX; i++) {
        int next;

        names[i] = "deep";
        g_assert_cmpint(mkdirat(dir, "deep", 0755), ==, 0);
        next = openat(dir, "deep", O_PATH | O_CLOEXEC);
        close(dir);
        dir = next;
        g_assert_cmpint(dir, >=, 0);
    }
    close(dir);

    assert_ok(hostfs_walk(&f->fs, f->fs.root, names, FS_WALK_MAX, &walk));
    g_assert_cmpuint(walk.walked, ==, FS_WALK_MAX);
    for (i = 1; i < FS_WALK_MAX; i++) {
        g_assert_cmpuint(walk.attr[i].ino, !=, walk.attr[i - 1].ino);
    }
    close(walk.node);
    close(walk.parent);
    assert_error(hostfs_walk(&f->fs, f->fs.root, names, FS_WALK_MAX + 1,
                             &walk), EINVAL);
}

static void test_walk_partial(Fixture *f)
{
    const char *names[] = { "a", "b", "none", "c" };
    const char *through[] = { "a", "file", "c" };
    HostWalk walk;

    make_tree(f);
    assert_error(hostfs_walk(&f->fs, f->fs.root, names, 4, &walk), ENOENT);
    g_assert_cmpuint(walk.walked, ==, 2);
    g_assert_cmpuint(walk.attr[1].ino, ==, ino_of(f->export, "a/b"));
    g_assert_cmpint(walk.node, ==, -1);
    g_assert_cmpint(walk.parent, ==, -1);

    assert_error(hostfs_walk(&f->fs, f->fs.root, through, 3, &walk), ENOTDIR);
    g_assert_cmpuint(walk.walked, ==, 2);
    through[2] = "..";
    assert_error(hostfs_walk(&f->fs, f->fs.root, through, 3, &walk), ENOTDIR);
    assert_error(hostfs_walk(&f->fs, f->fs.root, names + 2, 1, &walk), ENOENT);
    g_assert_cmpuint(walk.walked, ==, 0);
}

static void assert_name(Fixture *f, const char *name, int err)
{
    const char *names[] = { name };
    HostWalk walk;
    int ret = hostfs_walk(&f->fs, f->fs.root, names, 1, &walk);

    g_assert_cmpint(ret, ==, -err);
    if (ret == 0) {
        close(walk.node);
    }
}

static void test_walk_names(Fixture *f)
{
    g_autofree char *longest = g_strnfill(NAME_MAX, 'n');
    g_autofree char *longer = g_strnfill(NAME_MAX + 1, 'n');
    g_autofree char *path = g_strconcat("/", f->dir, "/outside", NULL);
    unsigned byte;

    make_tree(f);
    assert_name(f, "", ENOENT);
    assert_name(f, ".", ENOENT);
    assert_name(f, "/", ENOENT);
    assert_name(f, "a/b", ENOENT);
    assert_name(f, "a/", ENOENT);
    assert_name(f, "/a", ENOENT);
    assert_name(f, "../outside", ENOENT);
    assert_name(f, "a/../../outside", ENOENT);
    assert_name(f, path, ENOENT);
    assert_name(f, "...", ENOENT);
    assert_name(f, longer, ENAMETOOLONG);
    assert_name(f, longest, ENOENT);
    put_file(f->export, longest, "");
    assert_name(f, longest, 0);

    for (byte = 1; byte < 256; byte++) {
        char name[] = { 'x', byte, '\0' };

        if (byte != '/') {
            put_file(f->export, name, "");
            assert_name(f, name, 0);
        }
    }
}

/* A walk finds a link itself, and does not go through it. */
static void test_walk_links(Fixture *f)
{
    g_autofree char *secret = g_strconcat(f->dir, "/outside/secret", NULL);
    g_autofree char *up = g_strconcat(f->dir, "/outside", NULL);

    make_tree(f);
    g_assert_cmpint(symlinkat(up, f->export, "abs"), ==, 0);
    g_assert_cmpint(symlinkat("../outside", f->export, "rel"), ==, 0);
    g_assert_cmpint(symlinkat(secret, f->export, "a/secret"), ==, 0);
    g_assert_cmpint(symlinkat("b", f->export, "a/inside"), ==, 0);
    g_assert_cmpint(symlinkat("/proc/self/root", f->export, "magic"), ==, 0);
    g_assert_cmpint(symlinkat("loop", f->export, "loop"), ==, 0);

    g_assert_cmphex(attr_of(f, "abs").mode & S_IFMT, ==, S_IFLNK);
    g_assert_cmphex(attr_of(f, "rel").mode & S_IFMT, ==, S_IFLNK);
    g_assert_cmphex(attr_of(f, "a/secret").mode & S_IFMT, ==, S_IFLNK);
    g_assert_cmphex(attr_of(f, "magic").mode & S_IFMT, ==, S_IFLNK);
    g_assert_cmphex(attr_of(f, "loop").mode & S_IFMT, ==, S_IFLNK);

    assert_error(try_walk(f, "abs/secret"), ENOTDIR);
    assert_error(try_walk(f, "rel/secret"), ENOTDIR);
    assert_error(try_walk(f, "rel/.."), ENOTDIR);
    assert_error(try_walk(f, "a/inside/c"), ENOTDIR);
    assert_error(try_walk(f, "magic/etc"), ENOTDIR);
    assert_error(try_walk(f, "loop/x"), ENOTDIR);
}

static void test_walk_up(Fixture *f)
{
    uint64_t root = f->fs.root_ino;

    make_tree(f);
    g_assert_cmpuint(attr_of(f, "..").ino, ==, root);
    g_assert_cmpuint(attr_of(f, "../../..").ino, ==, root);
    g_assert_cmpuint(attr_of(f, "a/..").ino, ==, root);
    g_assert_cmpuint(attr_of(f, "a/b/c/..").ino, ==, ino_of(f->export, "a/b"));
    g_assert_cmpuint(attr_of(f, "a/b/c/../../..").ino, ==, root);
    g_assert_cmpuint(attr_of(f, "a/b/../../../../a/b").ino, ==,
                     ino_of(f->export, "a/b"));
    assert_error(try_walk(f, "../outside"), ENOENT);
    assert_error(try_walk(f, "a/../../outside"), ENOENT);
}

/* A walk that ends with ".." returns no parent. */
static void test_walk_up_parent(Fixture *f)
{
    const char *last[] = { "a", ".." };
    const char *before[] = { "a", "..", "a" };
    HostWalk walk;
    FsAttr attr;

    make_tree(f);
    assert_ok(hostfs_walk(&f->fs, f->fs.root, last, 2, &walk));
    g_assert_cmpint(walk.parent, ==, -1);
    close(walk.node);

    assert_ok(hostfs_walk(&f->fs, f->fs.root, before, 3, &walk));
    assert_ok(hostfs_getattr(walk.parent, &attr));
    g_assert_cmpuint(attr.ino, ==, f->fs.root_ino);
    close(walk.parent);
    close(walk.node);
}

/* A directory that was moved out while a guest was in it */
static void test_walk_moved_out(Fixture *f)
{
    const char *up[] = { "..", ".." };
    HostWalk walk;
    int b, c;

    make_tree(f);
    b = node_of(f, "a/b");
    c = node_of(f, "a/b/c");
    assert_ok(hostfs_walk(&f->fs, b, up, 1, &walk));
    close(walk.node);

    g_assert_cmpint(renameat(f->export, "a/b", f->outside, "b"), ==, 0);
    assert_error(hostfs_walk(&f->fs, b, up, 1, &walk), ENOENT);
    assert_error(hostfs_walk(&f->fs, c, up, 1, &walk), ENOENT);
    assert_error(hostfs_walk(&f->fs, c, up, 2, &walk), ENOENT);
    g_assert_cmpuint(walk.walked, ==, 0);

    /* And back */
    g_assert_cmpint(renameat(f->outside, "b", f->export, "b"), ==, 0);
    assert_ok(hostfs_walk(&f->fs, c, up, 2, &walk));
    g_assert_cmpuint(walk.attr[1].ino, ==, f->fs.root_ino);
    close(walk.node);
    close(b);
    close(c);
}

/* The export's root itself may be moved, or be the host's root. */
static void test_walk_root_moved(Fixture *f)
{
    HostFs fs;
    HostWalk walk;
    const char *up[] = { "..", "..", ".." };

    make_tree(f);
    g_assert_cmpint(mkdirat(f->top, "elsewhere", 0755), ==, 0);
    g_assert_cmpint(renameat(f->top, "export", f->top, "elsewhere/export"),
                    ==, 0);
    g_assert_cmpuint(attr_of(f, "a/b/../../..").ino, ==, f->fs.root_ino);
    g_assert_cmpint(renameat(f->top, "elsewhere/export", f->top, "export"),
                    ==, 0);

    assert_ok(hostfs_init(&fs, open("/", O_PATH | O_CLOEXEC),
                          "/proc/self/fd/"));
    assert_ok(hostfs_walk(&fs, f->fs.root, up, 3, &walk));
    close(walk.node);
    hostfs_destroy(&fs);
}

/* A directory that was removed while a guest was in it */
static void test_walk_removed(Fixture *f)
{
    const char *names[] = { "x" };
    HostWalk walk;
    int c;

    make_tree(f);
    c = node_of(f, "a/b/c");
    g_assert_cmpint(unlinkat(f->export, "a/b/c", AT_REMOVEDIR), ==, 0);
    assert_error(hostfs_walk(&f->fs, c, names, 1, &walk), ENOENT);
    close(c);
}

static void mounts_child(Fixture *f)
{
    g_autofree char *self = NULL;
    FsAttr attr;

    unshare_mounts(f);
    self = g_strdup_printf("/proc/self/fd/%d", f->export);

    /* A mount point in the export belongs to it. */
    g_assert_true(try_mount("none", f->export, "a/b", "tmpfs", 0));
    g_assert_cmpint(mkdirat(f->export, "a/b/in", 0755), ==, 0);
    attr = attr_of(f, "a/b/in");
    g_assert_cmpuint(attr.dev, !=, f->fs.root_dev);
    g_assert_cmpuint(attr_of(f, "a/b/in/../../..").ino, ==, f->fs.root_ino);
    g_assert_cmpuint(attr_of(f, "a/b/..").ino, ==, ino_of(f->export, "a"));

    /* The root, and a directory's own parent, mounted inside once more */
    g_assert_true(try_mount(self, f->export, "again", NULL, MS_BIND));
    g_assert_cmpuint(attr_of(f, "again/a/..").ino, ==, f->fs.root_ino);
    g_assert_cmpuint(attr_of(f, "again/..").ino, ==, f->fs.root_ino);
    g_free(self);
    self = g_strdup_printf("/proc/self/fd/%d/outer", f->export);
    g_assert_true(try_mount(self, f->export, "outer/inner", NULL, MS_BIND));
    g_assert_cmpuint(attr_of(f, "outer/inner/inner/../../..").ino, ==,
                     f->fs.root_ino);

    /* Magic links that are really there */
    g_assert_true(try_mount("proc", f->export, "proc", "proc", 0));
    assert_ok(try_walk(f, "proc/1/root"));
    assert_error(try_walk(f, "proc/1/root/etc"), ENOTDIR);
    assert_error(try_walk(f, "proc/self/root"), ENOTDIR);
    assert_error(try_walk(f, "proc/1/cwd/.."), ENOTDIR);
}

static void test_walk_mounts(Fixture *f)
{
    if (!need_root("mounts in a mount name space of its own")) {
        return;
    }
    make_tree(f);
    g_assert_cmpint(mkdirat(f->export, "again", 0755), ==, 0);
    g_assert_cmpint(mkdirat(f->export, "proc", 0755), ==, 0);
    g_assert_cmpint(mkdirat(f->export, "outer", 0755), ==, 0);
    g_assert_cmpint(mkdirat(f->export, "outer/inner", 0755), ==, 0);
    in_child(f, mounts_child);
}

#define DEEP_TURNS      5

static bool always_above(void *opaque, const HostPlace *dir,
                         const FsAttr *above)
{
    return true;
}

/* How long a walk of 16 ".." takes from @from, which comes to @expected */
static gint64 time_up(Fixture *f, int from, const HostKnown *known,
                      int expected)
{
    const char *names[FS_WALK_MAX];
    HostWalk walk;
    gint64 start;
    unsigned i;

    for (i = 0; i < FS_WALK_MAX; i++) {
        names[i] = "..";
    }
    start = g_get_monotonic_time();
    g_assert_cmpint(hostfs_walk_known(&f->fs, from, known, names, FS_WALK_MAX,
                                      &walk), ==, expected);
    start = g_get_monotonic_time() - start;
    if (expected == 0) {
        close(walk.node);
    }
    return start;
}

/* From the handles of a shallow and of a deep directory */
static void compare_up(Fixture *f, const char *what, const HostKnown *known,
                       int expected)
{
    int shallow = deep_open(f->fs.root, 10);
    int bottom = deep_open(f->fs.root, DEEP_LEVELS);
    gint64 near[DEEP_TURNS], deep[DEEP_TURNS];
    unsigned i;

    for (i = 0; i < DEEP_TURNS; i++) {
        near[i] = time_up(f, shallow, known, 0);
        deep[i] = time_up(f, bottom, known, expected);
    }
    deep_compare(what, near, deep, DEEP_TURNS);
    close(shallow);
    close(bottom);
}

static void deep_mount_child(Fixture *f)
{
    g_autofree char *self = NULL;

    unshare_mounts(f);
    self = g_strdup_printf("%s/export", f->dir);
    g_assert_cmpint(mount(self, self, NULL, MS_BIND, NULL), ==, 0);
    hostfs_destroy(&f->fs);
    assert_ok(hostfs_init(&f->fs, open(self, O_PATH | O_CLOEXEC),
                          "/proc/self/fd/"));
    g_assert_cmpuint(f->fs.own_mount, !=, 0);
    compare_up(f, "bind mount", NULL, 0);
}

/*
 * Where the export is all of a mount, and where the caller knows the way, depth
 * does not count. Elsewhere the search for the root has an end.
 */
static void test_walk_deep(Fixture *f)
{
    const HostKnown known = { .is_above = always_above };

    deep_make(f->export);
    g_assert_cmpuint(f->fs.own_mount, ==, 0);
    compare_up(f, "known", &known, 0);
    compare_up(f, "not known", NULL, -ENOENT);
    if (need_root("a bind mount")) {
        in_child(f, deep_mount_child);
    }
    deep_remove(f->export);
}

static void moved_mount_child(Fixture *f)
{
    const char *up[] = { "..", ".." };
    g_autofree char *self = NULL;
    HostWalk walk;
    int c, top;

    unshare_mounts(f);
    top = open(f->dir, O_PATH | O_CLOEXEC);
    self = g_strdup_printf("%s/export", f->dir);
    g_assert_cmpint(mount(self, self, NULL, MS_BIND, NULL), ==, 0);
    hostfs_destroy(&f->fs);
    assert_ok(hostfs_init(&f->fs, open(self, O_PATH | O_CLOEXEC),
                          "/proc/self/fd/"));
    c = node_of(f, "a/b/c");
    assert_ok(hostfs_walk(&f->fs, c, up, 2, &walk));
    close(walk.node);
    /* What the host opened before, it moves in the file system below. */
    g_assert_cmpint(renameat(f->export, "a/b", top, "outside/b"), ==, 0);
    assert_error(hostfs_walk(&f->fs, c, up, 1, &walk), ENOENT);
    assert_error(hostfs_walk(&f->fs, c, up, 2, &walk), ENOENT);
    g_assert_cmpuint(walk.walked, ==, 0);
    g_assert_cmpint(renameat(top, "outside/b", f->export, "a/b"), ==, 0);
    assert_ok(hostfs_walk(&f->fs, c, up, 2, &walk));
    close(walk.node);
    close(c);
    close(top);
}

/* What the kernel says of a mount also holds for what the host moved out. */
static void test_walk_moved_mount(Fixture *f)
{
    if (!need_root("a bind mount")) {
        return;
    }
    make_tree(f);
    in_child(f, moved_mount_child);
}

static bool is_b(void *opaque, const HostPlace *dir, const FsAttr *above)
{
    return above->ino == *(const uint64_t *)opaque;
}

/* A directory that the caller knows counts as inside, the one above does not */
static void test_walk_known(Fixture *f)
{
    const char *up[] = { "..", "..", "b", "c" };
    const char *down[] = { "..", "c", "..", "c", ".." };
    uint64_t ino;
    const HostKnown known = { .is_above = is_b, .opaque = &ino };
    HostWalk walk;
    int c;

    make_tree(f);
    c = node_of(f, "a/b/c");
    ino = ino_of(f->export, "a/b");
    g_assert_cmpint(renameat(f->export, "a/b", f->outside, "b"), ==, 0);
    assert_ok(hostfs_walk_known(&f->fs, c, &known, up, 1, &walk));
    close(walk.node);
    assert_error(hostfs_walk_known(&f->fs, c, &known, up, 2, &walk), ENOENT);
    g_assert_cmpuint(walk.walked, ==, 1);
    assert_error(hostfs_walk_known(&f->fs, c, &known, up, 4, &walk), ENOENT);
    g_assert_cmpuint(walk.walked, ==, 1);
    assert_ok(hostfs_walk_known(&f->fs, c, &known, down, 5, &walk));
    g_assert_cmpuint(walk.attr[4].ino, ==, ino);
    close(walk.node);
    g_assert_cmpint(walk.parent, ==, -1);
    g_assert_cmpint(renameat(f->outside, "b", f->export, "b"), ==, 0);
    close(c);
}

static void walk_denied_child(Fixture *f)
{
    assert_error(try_walk(f, "a/b"), EACCES);
    assert_ok(try_walk(f, "a"));
}

static void test_walk_denied(Fixture *f)
{
    make_tree(f);
    g_assert_cmpint(fchmodat(f->export, "a", 0600, 0), ==, 0);
    as_user(f, walk_denied_child);
}

static void test_step(Fixture *f)
{
    FsAttr attr, same;
    int cached, a, up;

    make_tree(f);
    a = hostfs_step(&f->fs, f->fs.root, "a", HOST_WAIT_POOL, &attr);
    g_assert_cmpint(a, >=, 0);
    g_assert_cmpuint(attr.ino, ==, ino_of(f->export, "a"));

    /* Just looked up, so it is in the cache of a kernel that can tell */
    cached = hostfs_step(&f->fs, f->fs.root, "a", HOST_WAIT_TRY_FIRST, &same);
    if (cached == -EAGAIN) {
        g_test_message("nothing comes from the cache here");
    } else {
        g_assert_cmpint(cached, >=, 0);
        g_assert_cmpmem(&attr, sizeof(attr), &same, sizeof(same));
        g_assert_cmpint(fcntl(cached, F_GETFD), ==, FD_CLOEXEC);
        close(cached);
    }
    cached = hostfs_step(&f->fs, a, "none", HOST_WAIT_TRY_FIRST, &same);
    g_assert_true(cached == -ENOENT || cached == -EAGAIN);
    assert_error(hostfs_step(&f->fs, a, "none", HOST_WAIT_POOL, &same), ENOENT);
    assert_error(hostfs_step(&f->fs, a, "file/x", HOST_WAIT_TRY_FIRST, &same),
                 ENOENT);
    assert_error(hostfs_step(&f->fs, a, ".", HOST_WAIT_TRY_FIRST, &same),
                 ENOENT);

    assert_error(hostfs_step(&f->fs, a, "..", HOST_WAIT_TRY_FIRST, &same),
                 EAGAIN);
    up = hostfs_step(&f->fs, a, "..", HOST_WAIT_POOL, &attr);
    g_assert_cmpint(up, >=, 0);
    g_assert_cmpuint(attr.ino, ==, f->fs.root_ino);
    close(up);
    close(a);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    hostfs_test("walk/found", test_walk);
    hostfs_test("walk/long", test_walk_long);
    hostfs_test("walk/partial", test_walk_partial);
    hostfs_test("walk/names", test_walk_names);
    hostfs_test("walk/links", test_walk_links);
    hostfs_test("walk/up", test_walk_up);
    hostfs_test("walk/up-parent", test_walk_up_parent);
    hostfs_test("walk/moved-out", test_walk_moved_out);
    hostfs_test("walk/root-moved", test_walk_root_moved);
    hostfs_test("walk/removed", test_walk_removed);
    hostfs_test("walk/mounts", test_walk_mounts);
    hostfs_test("walk/known", test_walk_known);
    hostfs_test("walk/moved-mount", test_walk_moved_mount);
    hostfs_test("walk/deep", test_walk_deep);
    hostfs_test("walk/denied", test_walk_denied);
    hostfs_test("walk/step", test_step);
    return g_test_run();
}
