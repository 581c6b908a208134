/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The host's mounts below the export: see mounts.h.
 *
 * The watcher polls the list of the namespace's mounts, which reports each
 * change. When a mount lacks an option, it sets the options of all mounts at
 * once. It has CAP_SYS_ADMIN and nothing else: no other file, and no system
 * calls but those below. No client speaks to it.
 *
 * If it cannot do its work, it ends. The supervisor then ends the helper: a
 * mount with device files must not stay.
 */
#include "qemu/osdep.h"
#include "mounts.h"
#include "identity.h"
#include "landlock.h"
#include "log.h"
#include "process.h"
#include "sandbox.h"
#include "seccomp.h"
#include "fsdev/shared/hostfs.h"
#include <linux/mount.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* Fields of a line: id parent device root place options tags... - ... */
#define FIELD_ID        0
#define FIELD_PARENT    1
#define FIELD_PLACE     4
#define FIELD_OPTIONS   5
#define FIELD_TAGS      6

/* Numbers that the supervisor's other descriptors do not have */
#define HOLD_FIRST      64

/* The list is about 100 bytes for each mount. */
#define LIST_MAX        (1024 * 1024)

/* The whole list as text, or NULL with errno */
static char *read_list(int mounts)
{
    g_autoptr(GString) text = g_string_new(NULL);
    char buf[4096];
    ssize_t n;

    if (lseek(mounts, 0, SEEK_SET) < 0) {
        return NULL;
    }
    while ((n = RETRY_ON_EINTR(read(mounts, buf, sizeof(buf)))) > 0) {
        g_string_append_len(text, buf, n);
        if (text->len > LIST_MAX) {
            errno = EFBIG;
            return NULL;
        }
    }
    return n < 0 ? NULL : g_strdup(text->str);
}

static bool has_option(const char *options, const char *option)
{
    g_auto(GStrv) list = g_strsplit(options, ",", -1);

    return g_strv_contains((const char *const *)list, option);
}

/* Whether the mount of a line has a tag that begins with @tag */
static bool has_tag(char **fields, unsigned n, const char *tag)
{
    unsigned i;

    for (i = FIELD_TAGS; i < n && !g_str_equal(fields[i], "-"); i++) {
        if (g_str_has_prefix(fields[i], tag)) {
            return true;
        }
    }
    return false;
}

typedef struct Found {
    bool follows;               /* a mount receives the host's */
    bool lacks;                 /* a mount lacks an option */
} Found;

static bool look(int mounts, bool readonly, Found *found)
{
    g_autofree char *text = read_list(mounts);
    g_auto(GStrv) lines = NULL;
    unsigned i;

    *found = (Found) { };
    if (!text) {
        return false;
    }
    lines = g_strsplit(text, "\n", -1);
    for (i = 0; lines[i]; i++) {
        g_auto(GStrv) fields = g_strsplit(lines[i], " ", -1);
        unsigned n = g_strv_length(fields);

        if (n <= FIELD_OPTIONS) {
            continue;
        }
        found->follows |= has_tag(fields, n, "master:");
        found->lacks |= !has_option(fields[FIELD_OPTIONS], "nosuid") ||
                        !has_option(fields[FIELD_OPTIONS], "nodev") ||
                        (readonly &&
                         !has_option(fields[FIELD_OPTIONS], "ro"));
    }
    return true;
}

/*
 * Opens a mount point without asking a file server: on the way to it there may
 * be one that does not answer. Before Linux 5.12 the kernel cannot.
 */
static int open_held(int export, const char *below)
{
    int fd = hostfs_open_cached(export, below);

    if (fd == -EINVAL || fd == -ENOSYS) {
        return openat(export, below, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    }
    errno = fd < 0 ? -fd : errno;
    return fd;
}

/* Opens the directory or file at @place, which is below @export's @path. */
static void hold(int export, const char *path, const char *place)
{
    size_t len = g_str_equal(path, "/") ? 0 : strlen(path);
    int fd, high;

    if (strncmp(place, path, len) || place[len] != '/' || !place[len + 1]) {
        return;
    }
    fd = open_held(export, place + len + 1);
    high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, HOLD_FIRST);
    if (fd >= 0) {
        close(fd);
    }
    if (high < 0) {
        log_line(LOG_LEVEL_WARNING, "%s: cannot keep the host from unmounting "
                 "it while the helper has a copy of the mount: %s", place,
                 strerror(errno));
    }
}

void mounts_hold(const Options *o, int export)
{
    bool copies = o->sandbox == SANDBOX_NAMESPACE || o->readonly;
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", export);
    g_autofree char *path = g_file_read_link(link, NULL);
    g_autoptr(GHashTable) shared = g_hash_table_new_full(g_str_hash,
                                                         g_str_equal, g_free,
                                                         NULL);
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    unsigned i;

    if (!copies || !path ||
        !g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL)) {
        return;
    }
    lines = g_strsplit(text, "\n", -1);
    for (i = 0; lines[i]; i++) {
        g_auto(GStrv) fields = g_strsplit(lines[i], " ", -1);
        unsigned n = g_strv_length(fields);

        if (n > FIELD_TAGS && has_tag(fields, n, "shared:")) {
            g_hash_table_add(shared, g_strdup(fields[FIELD_ID]));
        }
    }
    for (i = 0; lines[i]; i++) {
        g_auto(GStrv) fields = g_strsplit(lines[i], " ", -1);

        /* What is unmounted from a shared mount goes from its slaves, too. */
        if (g_strv_length(fields) > FIELD_PLACE &&
            !(o->sandbox == SANDBOX_NAMESPACE &&
              g_hash_table_contains(shared, fields[FIELD_PARENT]))) {
            g_autofree char *place = g_strcompress(fields[FIELD_PLACE]);

            hold(export, path, place);
        }
    }
}

static G_NORETURN void watch(int mounts, int root, bool readonly)
{
    struct mount_attr attr = { .attr_set = sandbox_mount_attr(readonly) };
    struct pollfd pfd = { .fd = mounts, .events = POLLPRI };
    Found found;

    for (;;) {
        if (!look(mounts, readonly, &found)) {
            fatal("cannot read the list of mounts: %s", strerror(errno));
        }
        if (found.lacks &&
            syscall(SYS_mount_setattr, root, "", AT_EMPTY_PATH | AT_RECURSIVE,
                    &attr, sizeof(attr)) < 0) {
            fatal("cannot restrict a mount below the export: %s",
                  strerror(errno));
        }
        /* What it changed itself counts as a change, too. */
        while (poll(&pfd, 1, -1) < 0) {
            if (errno != EINTR) {
                fatal("poll: %s", strerror(errno));
            }
        }
    }
}

static G_NORETURN void become_watcher(const Options *o, int mounts, int root,
                                      int ready, pid_t server)
{
    if (o->syslog || !o->foreground) {
        log_use_syslog();
    }
    if (!o->foreground) {
        dup2(STDIN_FILENO, STDERR_FILENO);
    }
    identity_drop(o, IDENTITY_MOUNTS);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) {
        fatal("PR_SET_PDEATHSIG: %s", strerror(errno));
    }
    if (getppid() != server) {
        _exit(EXIT_FAILURE);
    }
    landlock_nothing();
    seccomp_enter_watcher(o->seccomp, root);
    process_tell(ready);
    watch(mounts, root, o->readonly);
}

void mounts_watch(const Options *o, int mounts, int root, int tell,
                  const int *others, unsigned n)
{
    pid_t server = getpid();
    Found found = { };
    int ready[2];
    unsigned i;

    if (mounts >= 0 && !look(mounts, o->readonly, &found)) {
        fatal("cannot read the list of mounts: %s", strerror(errno));
    }
    if (found.follows) {
        process_pipe(ready);
        if (process_fork() == 0) {
            close(ready[0]);
            for (i = 0; i < n; i++) {
                if (others[i] >= 0) {
                    close(others[i]);
                }
            }
            become_watcher(o, mounts, root, ready[1], server);
        }
        close(ready[1]);
        if (!process_told(ready[0])) {
            fatal("the process that restricts later mounts has ended");
        }
        close(ready[0]);
        process_tell(tell);
    }
    if (mounts >= 0) {
        close(mounts);
    }
    close(tell);
}
