/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the file operations on the host that change names, also while
 * another process swaps names at the same time.
 */
#include "qemu/osdep.h"
#include "make-fixture.h"
#include <sys/syscall.h>

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE (1 << 1)
#endif

/* Rounds of a race */
#define RACES           20000

static void test_link(Fixture *f)
{
    FsMakeArgs make = mine("created", S_IFREG | 0600);
    FsAttr attr;
    int file, link, fifo, dir, node, fd;

    put_file(f->export, "file", "text");
    g_assert_cmpint(symlinkat("file", f->export, "link"), ==, 0);
    g_assert_cmpint(mkfifoat(f->export, "fifo", 0666), ==, 0);
    g_assert_cmpint(mkdirat(f->export, "dir", 0755), ==, 0);
    file = node_of(f, "file");
    link = node_of(f, "link");
    fifo = node_of(f, "fifo");
    dir = node_of(f, "dir");

    assert_ok(hostfs_link(&f->fs, file, dir, "file2"));
    g_assert_cmpuint(attr_of(f, "dir/file2").ino, ==, attr_of(f, "file").ino);
    g_assert_cmpuint(attr_of(f, "file").nlink, ==, 2);
    assert_ok(hostfs_link(&f->fs, link, dir, "link2"));
    g_assert_cmpuint(attr_of(f, "dir/link2").ino, ==, attr_of(f, "link").ino);
    assert_ok(hostfs_link(&f->fs, fifo, dir, "fifo2"));
    g_assert_cmpuint(attr_of(f, "fifo").nlink, ==, 2);

    assert_error(hostfs_link(&f->fs, dir, dir, "dir2"), EPERM);
    assert_error(hostfs_link(&f->fs, file, dir, "file2"), EEXIST);
    assert_error(hostfs_link(&f->fs, file, dir, ""), ENOENT);
    assert_error(hostfs_link(&f->fs, file, dir, "../../outside/x"), ENOENT);
    assert_error(hostfs_link(&f->fs, file, dir, ".."), EINVAL);
    assert_error(hostfs_link(&f->fs, file, file, "x"), ENOTDIR);

    /* By handle of something that was just made, and of what is no more */
    fd = hostfs_create(&f->fs, f->fs.root, &make, O_RDWR, &node, &attr);
    g_assert_cmpint(fd, >=, 0);
    assert_ok(hostfs_link(&f->fs, node, dir, "created2"));
    assert_ok(hostfs_link(&f->fs, fd, dir, "created3"));
    g_assert_cmpuint(attr_of(f, "dir/created3").ino, ==, attr.ino);
    g_assert_cmpint(unlinkat(f->export, "created", 0), ==, 0);
    g_assert_cmpint(unlinkat(f->export, "dir/created2", 0), ==, 0);
    g_assert_cmpint(unlinkat(f->export, "dir/created3", 0), ==, 0);
    assert_error(hostfs_link(&f->fs, node, dir, "created4"), ENOENT);
    close(node);
    close(fd);

    close(file);
    close(link);
    close(fifo);
    close(dir);
}

static void test_rename(Fixture *f)
{
    g_autofree char *longer = g_strnfill(NAME_MAX + 1, 'n');
    int root = f->fs.root;
    FsAttr attr;
    int file, dir;

    put_file(f->export, "file", "text");
    put_file(f->export, "other", "more");
    g_assert_cmpint(mkdirat(f->export, "dir", 0755), ==, 0);
    g_assert_cmpint(mkdirat(f->export, "full", 0755), ==, 0);
    put_file(f->export, "full/x", "");
    g_assert_cmpint(symlinkat("../outside", f->export, "link"), ==, 0);
    file = node_of(f, "file");
    dir = node_of(f, "dir");

    assert_ok(hostfs_rename(&f->fs, root, "file", dir, "moved"));
    assert_missing(f->export, "file");
    assert_file(f->export, "dir/moved", "text");
    assert_ok(hostfs_rename(&f->fs, root, "other", dir, "moved"));
    assert_file(f->export, "dir/moved", "more");
    assert_ok(hostfs_getattr(file, &attr));
    g_assert_cmpuint(attr.nlink, ==, 0);
    assert_ok(hostfs_rename(&f->fs, root, "link", dir, "link"));
    g_assert_cmphex(attr_of(f, "dir/link").mode & S_IFMT, ==, S_IFLNK);

    assert_error(hostfs_rename(&f->fs, root, "none", root, "x"), ENOENT);
    assert_error(hostfs_rename(&f->fs, root, "dir", root, "full"), ENOTEMPTY);
    assert_error(hostfs_rename(&f->fs, dir, "moved", root, "full"), EISDIR);
    assert_error(hostfs_rename(&f->fs, root, "full", dir, "moved"), ENOTDIR);
    assert_error(hostfs_rename(&f->fs, root, "dir", dir, "sub"), EINVAL);
    assert_error(hostfs_rename(&f->fs, root, "full", file, "x"), ENOTDIR);

    assert_error(hostfs_rename(&f->fs, root, "full", root,
                               "../outside/x"), ENOENT);
    assert_error(hostfs_rename(&f->fs, root, "../outside/secret", root, "x"),
                 ENOENT);
    assert_error(hostfs_rename(&f->fs, root, "..", root, "x"), EINVAL);
    assert_error(hostfs_rename(&f->fs, dir, "moved", root, ".."), EINVAL);
    assert_error(hostfs_rename(&f->fs, dir, "moved", root, "."), EINVAL);
    assert_error(hostfs_rename(&f->fs, dir, "moved", root, ""), ENOENT);
    assert_error(hostfs_rename(&f->fs, dir, "", root, "x"), ENOENT);
    assert_error(hostfs_rename(&f->fs, dir, "moved", root, longer),
                 ENAMETOOLONG);
    assert_file(f->export, "dir/moved", "more");
    close(file);
    close(dir);
}

static void test_unlink(Fixture *f)
{
    g_autofree char *secret = g_strconcat(f->dir, "/outside/secret", NULL);
    int root = f->fs.root;
    int one, two, dir;

    put_file(f->export, "one", "1");
    put_file(f->export, "two", "2");
    g_assert_cmpint(mkdirat(f->export, "dir", 0755), ==, 0);
    g_assert_cmpint(mkdirat(f->export, "full", 0755), ==, 0);
    put_file(f->export, "full/x", "");
    g_assert_cmpint(symlinkat(secret, f->export, "link"), ==, 0);
    one = node_of(f, "one");
    two = node_of(f, "two");
    dir = node_of(f, "dir");

    assert_error(hostfs_unlink(&f->fs, root, "one", false, two), ESTALE);
    assert_error(hostfs_unlink(&f->fs, root, "none", false, two), ENOENT);
    assert_error(hostfs_unlink(&f->fs, root, "full", true, dir), ESTALE);
    assert_error(hostfs_unlink(&f->fs, root, "one", true, -1), ENOTDIR);
    assert_error(hostfs_unlink(&f->fs, root, "dir", false, -1), EISDIR);
    assert_error(hostfs_unlink(&f->fs, root, "full", true, -1), ENOTEMPTY);
    assert_error(hostfs_unlink(&f->fs, root, "full/x", false, -1), ENOENT);
    assert_error(hostfs_unlink(&f->fs, root, "../outside/secret", false, -1),
                 ENOENT);
    assert_error(hostfs_unlink(&f->fs, root, "..", true, -1), EINVAL);
    assert_error(hostfs_unlink(&f->fs, root, ".", true, -1), EINVAL);
    assert_error(hostfs_unlink(&f->fs, root, "", false, -1), ENOENT);
    g_assert_cmpuint(count_entries(f->export), ==, 5);

    assert_ok(hostfs_unlink(&f->fs, root, "one", false, one));
    assert_missing(f->export, "one");
    assert_ok(hostfs_unlink(&f->fs, root, "two", false, -1));
    assert_ok(hostfs_unlink(&f->fs, root, "dir", true, dir));
    assert_ok(hostfs_unlink(&f->fs, root, "link", false, -1));
    g_assert_cmpuint(count_entries(f->export), ==, 1);
    close(one);
    close(two);
    close(dir);
}

/* A process on the host that swaps two names as fast as it can */
typedef struct Swapper {
    pthread_t thread;
    pthread_mutex_t pause;      /* held: no name is swapped */
    int dir;
    const char *one;
    const char *two;
    bool stop;
    uint64_t swaps;
} Swapper;

static void *swap_names(void *opaque)
{
    Swapper *s = opaque;

    while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
        pthread_mutex_lock(&s->pause);
        if (syscall(SYS_renameat2, s->dir, s->one, s->dir, s->two,
                    RENAME_EXCHANGE) == 0) {
            s->swaps++;
        }
        pthread_mutex_unlock(&s->pause);
        sched_yield();
    }
    return NULL;
}

static void start_swapping(Swapper *s, int dir, const char *one,
                           const char *two)
{
    *s = (Swapper) { .dir = dir, .one = one, .two = two };
    pthread_mutex_init(&s->pause, NULL);
    g_assert_cmpint(pthread_create(&s->thread, NULL, swap_names, s), ==, 0);
}

static void stop_swapping(Swapper *s)
{
    __atomic_store_n(&s->stop, true, __ATOMIC_RELAXED);
    pthread_join(s->thread, NULL);
    pthread_mutex_destroy(&s->pause);
    g_assert_cmpuint(s->swaps, >, 0);
}

/* A directory that becomes a link to another outside, and back */
static void test_race_dir(Fixture *f)
{
    const char *names[] = { "d", "file" };
    uint64_t inside, found = 0, link = 0, wrong = 0;
    Swapper s;
    unsigned i;

    g_assert_cmpint(mkdirat(f->export, "d", 0755), ==, 0);
    put_file(f->export, "d/file", "text");
    g_assert_cmpint(symlinkat("../outside", f->export, "l"), ==, 0);
    /* The same name outside: a walk that followed the link would find it. */
    g_assert_cmpint(renameat(f->outside, "secret", f->outside, "file"), ==, 0);
    inside = attr_of(f, "d/file").ino;

    start_swapping(&s, f->export, "d", "l");
    for (i = 0; i < RACES; i++) {
        FsMakeArgs make = mine("made", S_IFREG | 0600);
        HostWalk walk;
        FsAttr attr;
        int ret;

        ret = hostfs_walk(&f->fs, f->fs.root, names, 2, &walk);
        if (ret < 0) {
            g_assert_cmpint(ret, ==, -ENOTDIR);
            link++;
            continue;
        }
        found++;
        wrong += walk.attr[1].ino != inside;

        /* Here d is a directory for sure, and stays it by its handle. */
        assert_ok(try_create(f, walk.parent, &make, O_RDWR | O_TRUNC, &attr));
        assert_ok(hostfs_unlink(&f->fs, walk.parent, "made", false, -1));
        close(walk.node);
        close(walk.parent);
    }
    stop_swapping(&s);
    g_test_message("found %" PRIu64 ", link %" PRIu64 ", swaps %" PRIu64,
                   found, link, s.swaps);
    g_assert_cmpuint(wrong, ==, 0);
    g_assert_cmpuint(found, >, 0);
    g_assert_cmpuint(link, >, 0);
    g_assert_cmpint(renameat(f->outside, "file", f->outside, "secret"), ==, 0);
}

/* A file that becomes a link to another outside, and back */
static void test_race_file(Fixture *f)
{
    FsMakeArgs make = mine("file", S_IFREG | 0600);
    uint64_t opened = 0, link = 0;
    Swapper s;
    unsigned i;

    put_file(f->export, "file", "text");
    g_assert_cmpint(symlinkat("../outside/secret", f->export, "l"), ==, 0);

    start_swapping(&s, f->export, "file", "l");
    for (i = 0; i < RACES; i++) {
        FsAttr attr;
        int ret = try_create(f, f->fs.root, &make, O_RDWR | O_TRUNC, &attr);

        if (ret < 0) {
            g_assert_cmpint(ret, ==, -ELOOP);
            link++;
        } else {
            opened++;
        }
    }
    stop_swapping(&s);
    g_assert_cmpuint(opened, >, 0);
    g_assert_cmpuint(link, >, 0);
}

/*
 * Names of new objects that come to mean an old one just when they were made:
 * that must not change hands.
 */
static void test_race_fresh(Fixture *f)
{
    static const uint32_t types[] = { S_IFDIR, S_IFIFO };
    uint64_t made = 0, stale = 0;
    unsigned i, kind;

    if (!need_root("makes files of other owners")) {
        return;
    }
    for (kind = 0; kind < G_N_ELEMENTS(types); kind++) {
        FsMakeArgs make = { .name = "new", .mode = types[kind] | 0777,
                        .uid = 1234, .gid = 2345 };
        FsMakeArgs old = { .name = "victim", .mode = types[kind] | 0700 };
        int rmdir = types[kind] == S_IFDIR ? AT_REMOVEDIR : 0;
        struct stat st;
        FsAttr victim;
        Swapper s;

        assert_ok(try_make(f, f->fs.root, &old, &victim));
        start_swapping(&s, f->export, "new", "victim");
        for (i = 0; i < RACES / 2; i++) {
            int ret = try_make(f, f->fs.root, &make, NULL);

            if (ret < 0) {
                g_assert_cmpint(ret, ==, -ESTALE);
                stale++;
            } else {
                made++;
            }

            pthread_mutex_lock(&s.pause);
            g_assert_cmpint(fstatat(f->export, "new", &st,
                                    AT_SYMLINK_NOFOLLOW), ==, 0);
            if (st.st_ino == victim.ino) {
                g_assert_cmpint(syscall(SYS_renameat2, f->export, "new",
                                        f->export, "victim",
                                        RENAME_EXCHANGE), ==, 0);
            }
            g_assert_cmpint(unlinkat(f->export, "new", rmdir), ==, 0);
            g_assert_cmpint(fstatat(f->export, "victim", &st,
                                    AT_SYMLINK_NOFOLLOW), ==, 0);
            g_assert_cmpuint(st.st_ino, ==, victim.ino);
            g_assert_cmpuint(st.st_uid, ==, 0);
            g_assert_cmpuint(st.st_gid, ==, 0);
            g_assert_cmphex(st.st_mode, ==, types[kind] | 0700);
            pthread_mutex_unlock(&s.pause);
        }
        stop_swapping(&s);
        g_assert_cmpint(unlinkat(f->export, "victim", rmdir), ==, 0);
    }
    g_test_message("made %" PRIu64 ", stale %" PRIu64, made, stale);
    g_assert_cmpuint(made, >, 0);
    if (stale == 0) {
        /* With one processor, a swap may never come just then. */
        g_test_skip("no name was swapped at the right moment");
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    hostfs_test("link", test_link);
    hostfs_test("rename", test_rename);
    hostfs_test("unlink", test_unlink);
    hostfs_test("race/dir", test_race_dir);
    hostfs_test("race/file", test_race_file);
    hostfs_test("race/fresh", test_race_fresh);
    return g_test_run();
}
