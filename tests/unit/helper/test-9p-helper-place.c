/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of where virtfs-proxy-helper makes its socket and its pid file: which
 * directories it refuses, what it replaces, and what a user gains who owns the
 * directory and changes names in it while the helper works.
 *
 * One attacker is a process of that user, which runs at random. The other
 * stops the helper, as its debugger, at each system call that takes a path,
 * and attacks at one of them after the other.
 */
#include "qemu/osdep.h"
#include "start-fixture.h"
#include "proxy-proc.h"
#include <glib/gstdio.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define ATTACKER        7003
#define OTHER           7004

static char *top;               /* of the current test; root's */
static char *export;

static void begin(void)
{
    top = make_dir(PC_NOBODY);
    export = make_dir(PC_NOBODY);
}

static void end(void)
{
    pf_remove_dir(top);
    pf_remove_dir(export);
}

static char *in_top(const char *name)
{
    return g_build_filename(top, name, NULL);
}

/* A directory in the test's own */
static void put_dir(const char *name, uid_t uid, gid_t gid, mode_t mode)
{
    g_autofree char *path = in_top(name);

    g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
    g_assert_cmpint(chown(path, uid, gid), ==, 0);
    g_assert_cmpint(chmod(path, mode), ==, 0);
}

static void put_link(const char *target, const char *name, uid_t uid)
{
    g_autofree char *path = in_top(name);

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

static void put_dirs(void)
{
    put_dir("root", 0, 0, 0755);
    put_dir("root-group", 0, 0, 0775);
    put_dir("sticky", 0, 0, 01777);
    put_dir("open", 0, 0, 0777);
    put_dir("group", 0, OTHER, 0775);
    put_dir("theirs", ATTACKER, ATTACKER, 0755);
    put_dir("their-group", ATTACKER, ATTACKER, 0775);
    put_dir("their-other", ATTACKER, OTHER, 0775);
    put_dir("theirs/other", OTHER, OTHER, 0755);
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

        begin();
        put_dirs();
        g_test_message("%s for %s", places[i].dir, places[i].uid);
        path = g_build_filename(top, places[i].dir, "sock", NULL);
        root = in_top("root");
        args[1] = export;
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
            while (lstat(path, &st) == 0) {
                g_usleep(1000);
            }
            pc_close(c);
        }
        end();
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

        begin();
        put_dirs();
        g_test_message("%s for %s", places[i].dir, places[i].uid);
        sock = in_top("sock");
        path = g_build_filename(top, places[i].dir, "pid", NULL);
        args[1] = export;
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
            kill(atoi(text), SIGTERM);
            while (kill(atoi(text), 0) == 0) {
                g_usleep(1000);
            }
        }
        end();
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

        begin();
        put_dirs();
        put_dir("others", OTHER, OTHER, 0777 | S_ISVTX);
        g_test_message("%s", cases[i].dir);
        path = g_build_filename(top, cases[i].dir, "sock", NULL);
        args[1] = export;
        args[3] = path;
        ret = pc_run(args, ATTACKER, -1, &text);
        if (strstr(text, "cannot make a user namespace")) {
            g_test_skip(text);
            end();
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
            while (lstat(path, &st) == 0) {
                g_usleep(1000);
            }
            pc_close(c);
        }
        end();
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

        begin();
        g_test_message("%s", cases[i].name);
        args[1] = export;
        args[3] = sock = in_top("sock");
        args[5] = path = in_top("pid");
        other = in_top("other");
        second = in_top("second");
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
            kill(atoi(text), SIGTERM);
            while (kill(atoi(text), 0) == 0) {
                g_usleep(1000);
            }
            g_free(g_steal_pointer(&text));
        }
        if (holder) {
            kill(holder, SIGKILL);
            pc_wait(holder);
        }
        g_assert_true(g_file_get_contents(other, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, "precious\n");
        end();
    }
}

/*
 * The attacker, in the own directory. Files of root's are there, which it may
 * rename: some stand for those that root could be made to give away or remove.
 */
#define SECRETS         3
#define SECRET          "a secret of root's"

static int secrets[SECRETS];
static char *theirs;

static void begin_attack(void)
{
    unsigned i;

    begin();
    put_dir("theirs", ATTACKER, ATTACKER, 0755);
    theirs = in_top("theirs");
    for (i = 0; i < SECRETS; i++) {
        g_autofree char *path = g_strdup_printf("%s/secret%u", theirs, i);

        secrets[i] = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
        g_assert_cmpint(secrets[i], >=, 0);
        g_assert_cmpint(write(secrets[i], SECRET, strlen(SECRET)), ==,
                        strlen(SECRET));
    }
}

static void end_attack(unsigned at)
{
    unsigned i;

    for (i = 0; i < SECRETS; i++) {
        struct stat st;

        g_assert_cmpint(fstat(secrets[i], &st), ==, 0);
        /* The attacker may remove it, but not have it. */
        if (st.st_uid != 0 || st.st_gid != 0 || st.st_mode != 0100600 ||
            st.st_size != strlen(SECRET)) {
            g_error("attacked at call %u, root's file %u has owner %u:%u, "
                    "mode %o, %u bytes", at, i, st.st_uid, st.st_gid,
                    st.st_mode, (unsigned)st.st_size);
        }
        close(secrets[i]);
    }
    g_free(theirs);
    end();
}

/* Puts a directory of its own in the place of each private one. */
static void swap_private(void)
{
    GDir *dir = g_dir_open(".", 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(dir))) {
        g_autofree char *away = g_strconcat("away", name, NULL);

        if (g_str_has_prefix(name, ".virtfs-proxy-") &&
            rename(name, away) == 0) {
            g_assert_cmpint(g_mkdir(name, 0700), ==, 0);
        }
    }
    g_dir_close(dir);
}

/* Puts root's files in the place of those that the helper makes. */
static void swap_files(bool final)
{
    GDir *dir = g_dir_open(".", 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(dir))) {
        g_autofree char *new = g_build_filename(name, "new", NULL);
        g_autofree char *old = g_build_filename(name, "socket", NULL);

        if (g_str_has_prefix(name, ".virtfs-proxy-")) {
            if (renameat2(AT_FDCWD, "secret0", AT_FDCWD, new,
                          RENAME_EXCHANGE) < 0) {
                renameat2(AT_FDCWD, "secret1", AT_FDCWD, old,
                          RENAME_EXCHANGE);
            }
        }
    }
    g_dir_close(dir);
    if (final && renameat2(AT_FDCWD, "secret2", AT_FDCWD, "file",
                           RENAME_EXCHANGE) < 0) {
        rename("secret2", "file");
    }
}

static void become_attacker(void)
{
    if (chdir(theirs) < 0 || setresgid(ATTACKER, ATTACKER, ATTACKER) < 0 ||
        setresuid(ATTACKER, ATTACKER, ATTACKER) < 0) {
        _exit(1);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void attack(bool first)
{
    pid_t pid = fork();

    if (pid == 0) {
        become_attacker();
        if (first) {
            swap_private();
        }
        swap_files(first);
        _exit(0);
    }
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

static bool takes_path(uint64_t nr)
{
    static const long calls[] = {
#ifdef SYS_open
        SYS_open, SYS_mkdir, SYS_rename, SYS_unlink, SYS_rmdir, SYS_chown,
        SYS_lchown, SYS_stat, SYS_lstat, SYS_chmod,
#endif
        SYS_openat, SYS_mkdirat, SYS_renameat2, SYS_unlinkat, SYS_fchownat,
        SYS_bind, SYS_connect,
#ifdef SYS_newfstatat
        SYS_newfstatat,
#endif
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(calls); i++) {
        if (nr == calls[i]) {
            return true;
        }
    }
    return false;
}

/* After the first attack, the files are attacked again at so many calls. */
#define AGAIN           12

typedef struct Trace {
    pid_t first;                /* the process that was started */
    unsigned at;                /* attack at this call */
    bool made;                  /* the private directory is there */
    bool told;                  /* to end */
    unsigned calls;
} Trace;

static void see_call(Trace *t, pid_t pid)
{
    struct __ptrace_syscall_info info;

    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) <= 0 ||
        info.op != PTRACE_SYSCALL_INFO_ENTRY) {
        return;
    }
    if (info.entry.nr == SYS_accept4 && !t->told) {
        t->told = true;
        kill(t->first, SIGTERM);
        return;
    }
    if (!takes_path(info.entry.nr)) {
        return;
    }
    if (t->made) {
        if (t->calls == t->at) {
            attack(true);
        } else if (t->calls > t->at && t->calls <= t->at + AGAIN) {
            attack(false);
        }
        t->calls++;
    }
#ifdef SYS_mkdir
    t->made |= info.entry.nr == SYS_mkdir;
#endif
    t->made |= info.entry.nr == SYS_mkdirat;
}

/* Follows the helper's processes to their end. */
static void follow(Trace *t)
{
    const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK |
                         PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
                         PTRACE_O_EXITKILL;
    bool first = true;
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, __WALL)) > 0) {
        long sig = 0;

        if (!WIFSTOPPED(status)) {
            continue;
        }
        if (first) {
            first = false;
            g_assert_cmpint(ptrace(PTRACE_SETOPTIONS, pid, 0, options), ==, 0);
        } else if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
            see_call(t, pid);
        } else if (WSTOPSIG(status) != SIGTRAP &&
                   WSTOPSIG(status) != SIGSTOP) {
            sig = WSTOPSIG(status);
        }
        ptrace(PTRACE_SYSCALL, pid, 0, sig);
    }
}

/* The attacker's directory is that of the socket, or of the pid file. */
static unsigned traced_run(unsigned at, bool pidfile)
{
    Trace t = { .at = at };
    g_autofree char *path = NULL;
    g_autofree char *sock = NULL;

    begin_attack();
    path = g_build_filename(theirs, "file", NULL);
    sock = in_top("sock");
    t.first = fork();
    if (t.first == 0) {
        int null = open("/dev/null", O_WRONLY);

        dup2(null, STDERR_FILENO);
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        execl(pc_helper(), pc_helper(), "-n", "-p", export, "-u",
              G_STRINGIFY(ATTACKER), "-s", pidfile ? sock : path,
              pidfile ? "--pidfile" : NULL, path, NULL);
        _exit(127);
    }
    follow(&t);
    end_attack(at);
    return t.calls;
}

static void test_attack_steps(gconstpointer pidfile)
{
    unsigned calls = 1, n = 0;
    unsigned i;

    if (skip_unless_root()) {
        return;
    }
    for (i = 0; i < calls; i++, n++) {
        calls = MAX(calls, traced_run(i, pidfile));
    }
    g_test_message("attacked at each of %u calls", n);
    /* Making, opening, binding, setting the owner, moving, cleaning up */
    g_assert_cmpint(n, >=, 8);
}

/* The attacker as a process of its own, as fast as it can */
static void test_attack_race(void)
{
    gint64 until = g_get_monotonic_time() +
                   (g_test_slow() ? 60 : 3) * G_USEC_PER_SEC;
    g_autofree char *path = NULL;
    const char *args[] = { "-n", "-p", NULL, "-s", NULL, "-u", "7003", NULL };
    unsigned n = 0;
    pid_t pid;

    if (skip_unless_root()) {
        return;
    }
    begin_attack();
    path = g_build_filename(theirs, "file", NULL);
    args[2] = export;
    args[4] = path;
    pid = fork();
    if (pid == 0) {
        become_attacker();
        for (;;) {
            swap_private();
            swap_files(true);
        }
    }
    while (g_get_monotonic_time() < until) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        pid_t helper = pc_spawn(args, PC_NOBODY, -1, null);

        close(null);
        g_usleep(g_random_int_range(1000, 30000));
        kill(helper, SIGTERM);
        pc_wait(helper);
        n++;
    }
    kill(pid, SIGKILL);
    pc_wait(pid);
    g_test_message("%u starts", n);
    end_attack(0);
}

int main(int argc, char **argv)
{
    sf_init(&argc, &argv);

    g_test_add_func("/9p-helper-start/place/socket", test_socket_places);
    g_test_add_func("/9p-helper-start/place/user", test_user_places);
    g_test_add_func("/9p-helper-start/place/pidfile", test_pidfile_places);
    g_test_add_func("/9p-helper-start/place/pidfile/leftovers",
                    test_pidfile_leftovers);
    g_test_add_data_func("/9p-helper-start/place/attack/steps", NULL,
                         test_attack_steps);
    g_test_add_data_func("/9p-helper-start/place/attack/steps/pidfile",
                         "pidfile", test_attack_steps);
    g_test_add_func("/9p-helper-start/place/attack/race", test_attack_race);
    return sf_run();
}
