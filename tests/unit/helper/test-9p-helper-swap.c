/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of what a user gains who owns the directory of virtfs-proxy-helper's
 * socket or pid file, and changes names in it while the helper works.
 *
 * One attacker is a process of that user, which runs at random. The other
 * stops the helper, as its debugger, at each system call that takes a path,
 * and attacks at one of them after the other.
 */
#include "qemu/osdep.h"
#include "start-fixture.h"
#include <glib/gstdio.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define ATTACKER        7003

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

    sf_begin();
    sf_put_dir("theirs", ATTACKER, ATTACKER, 0755);
    theirs = sf_in_top("theirs");
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
    sf_end();
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
    void (*on_exchange)(struct Trace *t);   /* or NULL: instead of attacks */
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
    if (t->on_exchange) {
        if (info.entry.nr == SYS_renameat2 &&
            (info.entry.args[4] & RENAME_EXCHANGE)) {
            t->on_exchange(t);
            t->calls++;
        }
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
    sock = sf_in_top("sock");
    t.first = fork();
    if (t.first == 0) {
        int null = open("/dev/null", O_WRONLY);

        dup2(null, STDERR_FILENO);
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        execl(pc_helper(), pc_helper(), "-n", "-p", sf_export, "-u",
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

/*
 * A leftover pid file that another process comes to hold after the helper has
 * looked at it, and that process' own changes of the name while the helper puts
 * the file back.
 */
static struct {
    enum { STAYS, REMOVES, REPLACES, CHANGES_END } changes;
    int held;                   /* the pid file */
    char *path;
    char *other;
} meanwhile;

static void change_meanwhile(Trace *t)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

    if (t->calls == 0) {
        g_assert_cmpint(fcntl(meanwhile.held, F_OFD_SETLK, &lock), ==, 0);
    } else if (t->calls == 1 && meanwhile.changes == REMOVES) {
        g_assert_cmpint(unlink(meanwhile.path), ==, 0);
    } else if (t->calls == 1 && meanwhile.changes == REPLACES) {
        g_assert_cmpint(rename(meanwhile.other, meanwhile.path), ==, 0);
    }
}

/* How many names below @dir the file @st has */
static unsigned count_links(const char *dir, const struct stat *st)
{
    GDir *d = g_dir_open(dir, 0, NULL);
    const char *name;
    struct stat is;
    unsigned n = 0;

    while (d && (name = g_dir_read_name(d))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);

        g_assert_cmpint(lstat(path, &is), ==, 0);
        n += is.st_dev == st->st_dev && is.st_ino == st->st_ino;
        n += S_ISDIR(is.st_mode) ? count_links(path, st) : 0;
    }
    g_clear_pointer(&d, g_dir_close);
    return n;
}

/* The helper removes neither the file that is held nor the one put there. */
static void test_put_back(void)
{
    for (meanwhile.changes = STAYS; meanwhile.changes < CHANGES_END;
         meanwhile.changes++) {
        Trace t = { .on_exchange = change_meanwhile };
        g_autofree char *sock = NULL;
        struct stat held, other, now;

        sf_begin();
        sock = sf_in_top("sock");
        meanwhile.path = sf_in_top("pid");
        meanwhile.other = sf_in_top("other");
        g_assert_true(g_file_set_contents(meanwhile.other, "2\n", -1, NULL));
        g_assert_cmpint(lstat(meanwhile.other, &other), ==, 0);
        meanwhile.held = open(meanwhile.path, O_CREAT | O_RDWR | O_CLOEXEC,
                              0600);
        g_assert_cmpint(fstat(meanwhile.held, &held), ==, 0);
        t.first = fork();
        if (t.first == 0) {
            int null = open("/dev/null", O_WRONLY);

            dup2(null, STDERR_FILENO);
            ptrace(PTRACE_TRACEME, 0, 0, 0);
            raise(SIGSTOP);
            execl(pc_helper(), pc_helper(), "-n", "-p", sf_export, "-s", sock,
                  "--pidfile", meanwhile.path, NULL);
            _exit(127);
        }
        follow(&t);
        g_assert_cmpuint(t.calls, ==, 2);
        g_assert_cmpint(lstat(meanwhile.path, &now), ==, 0);
        g_assert_cmpuint(now.st_ino, ==, held.st_ino);
        g_assert_cmpuint(count_links(sf_top, &held), ==, 1);
        g_assert_cmpuint(count_links(sf_top, &other), ==, 1);
        close(meanwhile.held);
        g_free(meanwhile.path);
        g_free(meanwhile.other);
        sf_end();
    }
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
    args[2] = sf_export;
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

    g_test_add_data_func("/9p-helper-start/swap/steps", NULL,
                         test_attack_steps);
    g_test_add_data_func("/9p-helper-start/swap/steps/pidfile", "pidfile",
                         test_attack_steps);
    g_test_add_func("/9p-helper-start/swap/put-back", test_put_back);
    g_test_add_func("/9p-helper-start/swap/race", test_attack_race);
    return sf_run();
}
