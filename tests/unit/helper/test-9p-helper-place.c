/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of where virtfs-proxy-helper makes its socket and its pid file: which
 * directories it refuses, and what it replaces. test-9p-helper-swap.c attacks.
 */
#include "qemu/osdep.h"
#include "start-fixture.h"
#include "proxy-proc.h"
#include <glib/gstdio.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>

#define ATTACKER        7003
#define OTHER           7004

static void put_link(const char *target, const char *name, uid_t uid)
{
    g_autofree char *path = sf_in_top(name);

    g_assert_cmpint(symlink(target, path), ==, 0);
    g_assert_cmpint(lchown(path, uid, uid), ==, 0);
}

static unsigned count_names(const char *path)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    unsigned n = 0;

    while (g_dir_read_name(dir)) {
        n++;
    }
    g_dir_close(dir);
    return n;
}

static void wait_until_gone(const char *path)
{
    gint64 end = g_get_monotonic_time() + PC_TIMEOUT * G_USEC_PER_SEC;
    struct stat st;

    while (lstat(path, &st) == 0) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
}

/* Ends a daemon. Whether its zombie is gone is its new parent's affair. */
static void end_helper(pid_t pid)
{
    gint64 end = g_get_monotonic_time() + PC_TIMEOUT * G_USEC_PER_SEC;
    g_autofree char *state = NULL;

    kill(pid, SIGTERM);
    do {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
        g_free(state);
        state = pp_status(pid, "State");
    } while (*state && *state != 'Z');
}

static void put_dirs(void)
{
    sf_put_dir("root", 0, 0, 0755);
    sf_put_dir("root-group", 0, 0, 0775);
    sf_put_dir("sticky", 0, 0, 01777);
    sf_put_dir("open", 0, 0, 0777);
    sf_put_dir("group", 0, OTHER, 0775);
    sf_put_dir("theirs", ATTACKER, ATTACKER, 0755);
    sf_put_dir("their-group", ATTACKER, ATTACKER, 0775);
    sf_put_dir("their-other", ATTACKER, OTHER, 0775);
    sf_put_dir("theirs/other", OTHER, OTHER, 0755);
    put_link("../root", "theirs/link", ATTACKER);
    put_link("root", "link", 0);
    put_link("../root", "sticky/link", ATTACKER);
}

/* Where a file may be: the owner that it gets, or the reason why not */
static const struct {
    const char *dir;
    const char *uid;            /* --uid */
    int owner;                  /* of the socket; -1: see why */
    const char *why;
} places[] = {
    { "root", NULL, 0 },
    { "root", "7003", ATTACKER },
    { "root-group", NULL, 0 },
    { "link", "7003", ATTACKER },
    { "sticky", "7003", ATTACKER },
    { "theirs", "7003", ATTACKER },
    { "their-group", "7003", ATTACKER },
    { "theirs", NULL, -1, "user 7003 may change names in the directory" },
    { "theirs", "7004", -1, "user 7003 may change names in the directory" },
    { "theirs/other", "7004", -1, "belongs to user 7004, in a directory of "
      "user 7003" },
    { "theirs/link", NULL, -1, "user 7003 may change names" },
    { "theirs/link", "7003", -1, "Permission denied" },
    { "sticky/link", NULL, -1, "user 7003 may change names" },
    { "sticky/link", "7003", -1, "Permission denied" },
    { "open", NULL, -1, "every user may change names in the directory" },
    { "open", "7003", -1, "every user may change names in the directory" },
    { "group", NULL, -1, "group 7004 may change names in the directory" },
    { "their-other", "7003", -1, "group 7004 may change names" },
    { "none", NULL, -1, "No such file or directory" },
    { "root/../theirs", NULL, -1, "user 7003 may change names" },
};

static void test_socket_places(void)
{
    unsigned i;

    if (skip_unless_root()) {
        return;
    }
    for (i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *path = NULL;
        g_autofree char *root = NULL;
        const char *args[] = { "-p", NULL, "-s", NULL, "-u", places[i].uid,
                               NULL };
        struct stat st;

        sf_begin();
        put_dirs();
        g_test_message("%s for %s", places[i].dir, places[i].uid);
        path = g_build_filename(sf_top, places[i].dir, "sock", NULL);
        root = sf_in_top("root");
        args[1] = sf_export;
        args[3] = path;
        if (!places[i].uid) {
            args[4] = NULL;
        }
        if (places[i].why) {
            expect_error(args, -1, places[i].why);
            g_assert_cmpint(count_names(root), ==, 0);
        } else {
            ProxyClient *c;

            g_assert_cmpint(pc_run(args, PC_NOBODY, -1, NULL), ==, 0);
            g_assert_cmpint(lstat(path, &st), ==, 0);
            g_assert_cmpint(st.st_mode, ==, S_IFSOCK | 0600);
            g_assert_cmpint(st.st_uid, ==, places[i].owner);
            c = pc_new(pc_connect(path), 0);
            pc_hello(c, 0);
            /* The supervisor removes it, without any capability. */
            wait_until_gone(path);
            pc_close(c);
        }
        sf_end();
    }
}

static void test_pidfile_places(void)
{
    unsigned i;

    if (skip_unless_root()) {
        return;
    }
    for (i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *sock = NULL;
        g_autofree char *path = NULL;
        g_autofree char *text = NULL;
        const char *args[] = { "-p", NULL, "-s", NULL, "--pidfile", NULL,
                               "-u", places[i].uid, NULL };
        struct stat st;

        sf_begin();
        put_dirs();
        g_test_message("%s for %s", places[i].dir, places[i].uid);
        sock = sf_in_top("sock");
        path = g_build_filename(sf_top, places[i].dir, "pid", NULL);
        args[1] = sf_export;
        args[3] = sock;
        args[5] = path;
        if (!places[i].uid) {
            args[6] = NULL;
        }
        if (places[i].why) {
            expect_error(args, -1, places[i].why);
        } else {
            g_assert_cmpint(pc_run(args, PC_NOBODY, -1, NULL), ==, 0);
            g_assert_cmpint(lstat(path, &st), ==, 0);
            g_assert_cmpint(st.st_mode, ==, S_IFREG | 0600);
            g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
            end_helper(atoi(text));
        }
        sf_end();
    }
}

/* The helper sees @text as the file @name of the system. */
static void cover(const char *name, const char *text)
{
    g_autofree char *path = sf_in_top("cover");

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_cmpint(chmod(path, 0644), ==, 0);
    g_assert_cmpint(mount(path, name, NULL, MS_BIND, NULL), ==, 0);
    g_assert_cmpint(unlink(path), ==, 0);
}

/* A group that may write and has the number of the directory's owner */
static void test_group_members(void)
{
    static const struct {
        const char *dir;
        const char *passwd;
        const char *group;
        const char *why;
    } cases[] = {
        { "root-group", "", "", NULL },
        { "root-group", "", "root:x:0:\n", NULL },
        { "root-group", "", "root:x:0:root\n", NULL },
        { "root-group", "root2:x:0:0::/:/bin/sh\n", "root:x:0:root2\n", NULL },
        { "root-group", "other:x:7004:7004::/:/bin/sh\n",
          "root:x:0:root,other\n", "group 0 may change names" },
        { "root-group", "other:x:7004:0::/:/bin/sh\n", "root:x:0:\n",
          "group 0 may change names" },
        { "root-group", "", "root:x:0:gone\n", "group 0 may change names" },
        { "their-group", "they:x:7003:7003::/:/bin/sh\n", "they:x:7003:they\n",
          NULL },
        { "their-group", "other:x:7004:7004::/:/bin/sh\n",
          "they:x:7003:other\n", "group 7003 may change names" },
        { "their-group", "other:x:7004:7003::/:/bin/sh\n", "",
          "group 7003 may change names" },
    };
    unsigned i;

    if (skip_unless_root()) {
        return;
    }
    if (unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        g_test_skip("cannot make a mount namespace");
        return;
    }
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *passwd = g_strconcat("root:x:0:0::/root:/bin/sh\n",
                                              cases[i].passwd, NULL);
        g_autofree char *path = NULL;
        const char *args[] = { "-p", NULL, "-s", NULL, "-u", "7003", NULL };

        sf_begin();
        put_dirs();
        cover("/etc/passwd", passwd);
        cover("/etc/group", cases[i].group);
        g_test_message("%u", i);
        path = g_build_filename(sf_top, cases[i].dir, "sock", NULL);
        args[1] = sf_export;
        args[3] = path;
        if (cases[i].why) {
            expect_error(args, -1, cases[i].why);
        } else {
            g_assert_cmpint(pc_run(args, PC_NOBODY, -1, NULL), ==, 0);
            pc_close(pc_new(pc_connect(path), 0));
        }
        umount2("/etc/group", MNT_DETACH);
        umount2("/etc/passwd", MNT_DETACH);
        sf_end();
    }
}

/* The same for an ordinary user, who has no other's rights */
static void test_user_places(void)
{
    static const struct {
        const char *dir;
        const char *why;
    } cases[] = {
        { "theirs", NULL },
        { "their-group", NULL },
        { "sticky", NULL },
        { "sticky/link", "Permission denied" },
        { "their-other", "group 7004 may change names in the directory" },
        { "theirs/other", "user 7004 may change names in the directory" },
        { "open", "every user may change names in the directory" },
        { "others", "user 7004 may change names in the directory" },
        { "root", "Permission denied" },
    };
    unsigned i;

    if (skip_unless_root()) {
        return;
    }
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = NULL;
        g_autofree char *text = NULL;
        const char *args[] = { "-p", NULL, "-s", NULL, NULL };
        struct stat st;
        ProxyClient *c;
        int ret;

        sf_begin();
        put_dirs();
        sf_put_dir("others", OTHER, OTHER, 0777 | S_ISVTX);
        g_test_message("%s", cases[i].dir);
        path = g_build_filename(sf_top, cases[i].dir, "sock", NULL);
        args[1] = sf_export;
        args[3] = path;
        ret = pc_run(args, ATTACKER, -1, &text);
        if (strstr(text, "cannot make a user namespace")) {
            g_test_skip(text);
            sf_end();
            return;
        }
        g_assert_cmpint(ret, ==, cases[i].why != NULL);
        if (cases[i].why) {
            if (!strstr(text, cases[i].why)) {
                g_error("no '%s' in '%s'", cases[i].why, text);
            }
        } else {
            g_assert_cmpint(lstat(path, &st), ==, 0);
            g_assert_cmpint(st.st_uid, ==, ATTACKER);
            g_assert_cmpint(seteuid(ATTACKER), ==, 0);
            c = pc_new(pc_connect(path), 0);
            g_assert_cmpint(seteuid(0), ==, 0);
            pc_hello(c, 0);
            wait_until_gone(path);
            pc_close(c);
        }
        sf_end();
    }
}

/* Holds a lock on @path as an ordinary user, until killed. */
static pid_t hold_lock(const char *path, int type, bool as_user)
{
    struct flock lock = { .l_type = type, .l_whence = SEEK_SET };
    int ready[2];
    char c;
    pid_t pid;

    g_assert_cmpint(pipe(ready), ==, 0);
    pid = fork();
    if (pid == 0) {
        int fd;

        if (as_user && setresuid(OTHER, OTHER, OTHER) < 0) {
            _exit(1);
        }
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        fd = open(path, type == F_RDLCK ? O_RDONLY : O_RDWR);
        if (fd < 0 || fcntl(fd, F_SETLK, &lock) < 0 ||
            write(ready[1], "", 1) != 1) {
            _exit(1);
        }
        pause();
        _exit(0);
    }
    close(ready[1]);
    g_assert_cmpint(read(ready[0], &c, 1), ==, 1);
    close(ready[0]);
    return pid;
}

/* What may stand at the name of a pid file */
static void test_pidfile_leftovers(void)
{
    enum { NOTHING, FILE_, READ_LOCK, WRITE_LOCK, LINK, HARD, FIFO, DIR_ };
    static const struct {
        const char *name;
        int what;
        const char *why;
    } cases[] = {
        { "nothing", NOTHING, NULL },
        { "file", FILE_, NULL },
        { "read lock", READ_LOCK, NULL },
        { "write lock", WRITE_LOCK, "another process holds it" },
        { "symbolic link", LINK, "exists and is not a regular file" },
        { "hard link", HARD, NULL },
        { "fifo", FIFO, "exists and is not a regular file" },
        { "directory", DIR_, "exists and is not a regular file" },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *sock = NULL;
        g_autofree char *path = NULL;
        g_autofree char *other = NULL;
        g_autofree char *second = NULL;
        g_autofree char *text = NULL;
        const char *args[] = { "-p", NULL, "-s", NULL, "--pidfile", NULL,
                               NULL };
        int what = cases[i].what;
        pid_t holder = 0;

        sf_begin();
        g_test_message("%s", cases[i].name);
        args[1] = sf_export;
        args[3] = sock = sf_in_top("sock");
        args[5] = path = sf_in_top("pid");
        other = sf_in_top("other");
        second = sf_in_top("second");
        g_assert_true(g_file_set_contents(other, "precious\n", -1, NULL));
        if (what == FILE_ || what == READ_LOCK || what == WRITE_LOCK) {
            g_assert_true(g_file_set_contents(path, "1\n", -1, NULL));
            g_assert_cmpint(chmod(path, 0644), ==, 0);
        }
        if (what == READ_LOCK || what == WRITE_LOCK) {
            holder = hold_lock(path, what == READ_LOCK ? F_RDLCK : F_WRLCK,
                               what == READ_LOCK && geteuid() == 0);
        }
        g_assert_false(what == LINK && symlink("other", path) < 0);
        g_assert_false(what == HARD && link(other, path) < 0);
        g_assert_false(what == FIFO && mkfifo(path, 0666) < 0);
        g_assert_false(what == DIR_ && g_mkdir(path, 0700) < 0);

        if (cases[i].why) {
            expect_error(args, -1, cases[i].why);
        } else {
            g_assert_cmpint(pc_run(args, PC_NOBODY, -1, &text), ==, 0);
            g_free(g_steal_pointer(&text));
            /* A second one sees that the first lives. */
            args[3] = second;
            expect_error(args, -1, "another process holds it");
            g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
            end_helper(atoi(text));
            g_free(g_steal_pointer(&text));
        }
        if (holder) {
            kill(holder, SIGKILL);
            pc_wait(holder);
        }
        g_assert_true(g_file_get_contents(other, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, "precious\n");
        sf_end();
    }
}

int main(int argc, char **argv)
{
    sf_init(&argc, &argv);

    g_test_add_func("/9p-helper-start/place/socket", test_socket_places);
    g_test_add_func("/9p-helper-start/place/group", test_group_members);
    g_test_add_func("/9p-helper-start/place/user", test_user_places);
    g_test_add_func("/9p-helper-start/place/pidfile", test_pidfile_places);
    g_test_add_func("/9p-helper-start/place/pidfile/leftovers",
                    test_pidfile_leftovers);
    return sf_run();
}
