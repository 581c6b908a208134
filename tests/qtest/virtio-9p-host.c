/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See virtio-9p-host.h.
 */
#include "qemu/osdep.h"
#include <dirent.h>
#include <sys/socket.h>
#include "libqtest-single.h"
#include "qemu/cutils.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "virtio-9p-host.h"

#define SETTLE_US   (60 * G_USEC_PER_SEC)
#define POLL_US     2000

void p9_host_remove(const char *path)
{
    const char *argv[] = { "rm", "-rf", "--", path, NULL };

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                 NULL, NULL, NULL, NULL);
}

char *p9_host_make_folder(void)
{
    g_autofree char *name = g_strdup("qtest-9p-host-XXXXXX");
    g_autofree char *cwd = g_get_current_dir();

    g_assert_nonnull(g_mkdtemp_full(name, 0755));
    return g_build_filename(cwd, name, NULL);
}

static void folder_remove(void *opaque)
{
    p9_host_remove(opaque);
    g_free(opaque);
}

char *p9_host_folder(GString *cmd_line, const char *fsdev)
{
    g_auto(GStrv) parts = g_strsplit(fsdev, "%s", 2);
    char *dir = p9_host_make_folder();
    g_autofree char *name = g_path_get_basename(dir);
    g_autofree char *opts = NULL;

    g_assert_cmpint(g_strv_length(parts), ==, 2);
    /* A relative path: the name of the current folder may have blanks. */
    opts = g_strconcat(parts[0], name, parts[1], NULL);
    qvirtio_9p_set_fsdev(cmd_line, opts);
    g_test_queue_destroy(folder_remove, dir);
    return dir;
}

/* Process ids as text: the children of @parent. NULL if it has ended */
static char **children_of(int parent)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/task/%d/children",
                                            parent, parent);
    g_autofree char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        return NULL;
    }
    return g_strsplit(g_strstrip(text), " ", -1);
}

/* Calls @fn for all processes that descend from @parent. */
static void each_child(int parent, void (*fn)(int pid, void *opaque),
                       void *opaque)
{
    g_auto(GStrv) pids = children_of(parent);
    unsigned i;

    for (i = 0; pids && pids[i]; i++) {
        if (pids[i][0]) {
            each_child(atoi(pids[i]), fn, opaque);
            fn(atoi(pids[i]), opaque);
        }
    }
}

int p9_host_children(void)
{
    g_auto(GStrv) pids = children_of(qtest_pid(global_qtest));

    return pids ? (int)g_strv_length(pids) : -1;
}

/* Starts virtfs-proxy-helper with these arguments, of which it is the first. */
static GPid spawn_helper(const char **argv, GSpawnFlags flags,
                         GSpawnChildSetupFunc setup, gpointer opaque)
{
    g_autofree char *build = g_path_get_dirname(getenv("QTEST_QEMU_BINARY"));
    g_autofree char *program = g_strdup(getenv("VIRTFS_PROXY_HELPER"));
    GError *err = NULL;
    GPid pid;

    if (!program) {
        program = g_build_filename(build, "fsdev", "virtfs-proxy-helper",
                                   NULL);
    }
    argv[0] = program;
    g_spawn_async(NULL, (char **)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD | flags,
                  setup, opaque, &pid, &err);
    g_assert_no_error(err);
    return pid;
}

/* In the child, before it becomes the helper */
static void take_socket(gpointer sock)
{
    dup2(GPOINTER_TO_INT(sock), 3);
}

int p9_host_helper_by_fd(const char *dir, GPid *pid)
{
    const char *argv[] = { NULL, "-n", "-p", dir, "-f", "3", NULL };
    int sv[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv),
                    ==, 0);
    g_assert_cmpint(sv[1], >, 3);
    *pid = spawn_helper(argv, G_SPAWN_LEAVE_DESCRIPTORS_OPEN, take_socket,
                        GINT_TO_POINTER(sv[1]));
    close(sv[1]);
    return sv[0];
}

GPid p9_host_helper_by_socket(const char *dir, const char *socket)
{
    const char *argv[] = {
        NULL, "-n", "-p", dir, "-s", socket, "--persist", NULL
    };

    return spawn_helper(argv, 0, NULL, NULL);
}

static void send_signal(int pid, void *opaque)
{
    kill(pid, *(int *)opaque);
}

/* Whether a thread of the process with this /proc/PID/task still runs */
static bool runs(const char *tasks)
{
    GDir *dir = g_dir_open(tasks, 0, NULL);
    const char *tid;
    bool found = false;

    while (dir && !found && (tid = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(tasks, tid, "stat", NULL);
        g_autofree char *text = NULL;
        const char *state = NULL;

        if (g_file_get_contents(path, &text, NULL, NULL)) {
            /* PID (NAME) STATE (proc(5)) */
            state = strrchr(text, ')');
        }
        found = state && !strchr("TtZX", state[2]);
    }
    if (dir) {
        g_dir_close(dir);
    }
    return found;
}

/* kill(2) returns before all threads have stopped. */
static void wait_for_stop(int pid, void *opaque)
{
    g_autofree char *tasks = g_strdup_printf("/proc/%d/task", pid);
    gint64 start = g_get_monotonic_time();

    while (runs(tasks)) {
        g_assert_cmpint(g_get_monotonic_time() - start, <, SETTLE_US);
        g_usleep(POLL_US);
    }
}

void p9_host_signal_helpers(int sig)
{
    each_child(qtest_pid(global_qtest), send_signal, &sig);
    if (sig == SIGSTOP) {
        each_child(qtest_pid(global_qtest), wait_for_stop, NULL);
    }
}

QDict *p9_host_query(void)
{
    g_autoptr(QDict) reply = qtest_qmp(global_qtest,
                                       "{'execute': 'query-fsdevs'}");
    const QListEntry *entry = qlist_first(qdict_get_qlist(reply, "return"));

    return qobject_ref(qobject_to(QDict, qlist_entry_obj(entry)));
}

static void count_descriptors(int pid, void *opaque)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/fd", pid);
    unsigned *n = opaque;
    DIR *dir = opendir(path);

    /* A helper's may not be visible to this program; QEMU's are. */
    if (!dir) {
        return;
    }
    while (readdir(dir)) {
        (*n)++;
    }
    closedir(dir);
}

/* The line "flags:" of /proc/PID/fdinfo/FD, in octal (proc(5)) */
static int fdinfo_flags(const char *fds, const char *name)
{
    g_autofree char *path = g_strdup_printf("%sinfo/%s", fds, name);
    g_autofree char *text = NULL;
    const char *at;
    int flags;

    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        return -1;
    }
    at = strstr(text, "flags:");
    if (!at || qemu_strtoi(at + strlen("flags:"), &at, 8, &flags) < 0) {
        return -1;
    }
    return flags;
}

int p9_host_open_flags(const char *path)
{
    g_autofree char *fds = g_strdup_printf("/proc/%d/fd",
                                           qtest_pid(global_qtest));
    DIR *dir = opendir(fds);
    struct stat file, st;
    struct dirent *entry;
    int flags = -1;

    g_assert_nonnull(dir);
    g_assert_cmpint(stat(path, &file), ==, 0);
    while (flags < 0 && (entry = readdir(dir))) {
        g_autofree char *link = g_build_filename(fds, entry->d_name, NULL);

        /* By inode: paths of the helper's descriptors start elsewhere. */
        if (stat(link, &st) == 0 && st.st_dev == file.st_dev &&
            st.st_ino == file.st_ino) {
            flags = fdinfo_flags(fds, entry->d_name);
            if (flags >= 0 && (flags & O_PATH)) {
                flags = -1;
            }
        }
    }
    closedir(dir);
    return flags;
}

unsigned p9_host_descriptors(void)
{
    int pid = qtest_pid(global_qtest);
    unsigned n = 0;

    count_descriptors(pid, &n);
    g_assert_cmpuint(n, >, 0);
    each_child(pid, count_descriptors, &n);
    return n;
}

/* libqtest gives the variable to a shell; the program is its last word. */
static char *unlimited;

void p9_host_limit_descriptors(GString *cmd_line, unsigned n)
{
    g_autofree char *command = NULL;

    if (!unlimited) {
        unlimited = g_strdup(getenv("QTEST_QEMU_BINARY"));
    }
    command = g_strdup_printf("prlimit --nofile=%u:%u %s", n, n, unlimited);
    g_setenv("QTEST_QEMU_BINARY", command, true);
    /* The changed command line makes qos-test start a new QEMU. */
    g_string_append_printf(cmd_line, " -name descriptors-%u ", n);
}

void p9_host_unlimit_descriptors(void)
{
    if (unlimited) {
        g_setenv("QTEST_QEMU_BINARY", unlimited, true);
    }
}

void p9_host_wait_descriptors(unsigned before)
{
    gint64 end = g_get_monotonic_time() + SETTLE_US;
    unsigned now;

    while ((now = p9_host_descriptors()) > before) {
        if (g_get_monotonic_time() > end) {
            g_error("%u descriptors are open, but only %u were before", now,
                    before);
        }
        g_usleep(POLL_US);
    }
}

void p9_host_start_fails(const char *fsdev, const char *error)
{
    const char *argv[] = {
        "timeout", "120", getenv("QTEST_QEMU_BINARY"), "-machine", "none",
        "-nodefaults", "-display", "none", "-fsdev", fsdev, NULL,
    };
    g_autofree char *errors = NULL;
    GError *err = NULL;
    int status;

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                 NULL, &errors, &status, &err);
    g_assert_no_error(err);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 1);
    if (!strstr(errors, error)) {
        g_error("%s: '%s' instead of '%s'", fsdev, errors, error);
    }
}
