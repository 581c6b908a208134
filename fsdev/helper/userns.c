/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's user namespace: see userns.h.
 *
 * Theory of operation. In a user namespace of their own, users have every
 * capability, but only over ids that are mapped into it. The kernel lets a
 * user map the user's own id; newuidmap(1) and newgidmap(1), which are set-uid,
 * map the ranges that the administrator assigned. Both must run outside the
 * namespace and name the process inside. So the helper forks a child first.
 * The child waits until the namespace exists, runs both programs, and reports
 * by its exit status. What it and the programs print comes from the helper, so
 * that they say nothing once the helper has ended: no signal ends a set-uid
 * program with its parent.
 *
 * Root needs no programs: the child writes the maps itself. In that case only
 * the server enters the namespace. The supervisor stays outside, where the
 * socket's file is, as the user that has id 0 inside. The kernel then sees
 * both processes as one user, which it requires for letting the death of the
 * one end the other.
 */
#include "qemu/osdep.h"
#include "userns.h"
#include "log.h"
#include "process.h"
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define SUBUID_FILE     "/etc/subuid"
#define SUBGID_FILE     "/etc/subgid"

#define OVERFLOW_UID_FILE "/proc/sys/kernel/overflowuid"
#define OVERFLOW_UID    65534

static bool entered;
static bool setgroups_denied;

bool userns_is_root(void)
{
    struct __user_cap_header_struct header = {
        .version = _LINUX_CAPABILITY_VERSION_3,
    };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

    if (syscall(SYS_capget, &header, data) < 0) {
        fatal("capget: %s", strerror(errno));
    }
    return data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective &
           CAP_TO_MASK(CAP_SYS_ADMIN);
}

bool userns_entered(void)
{
    return entered;
}

uint32_t userns_unmapped_uid(void)
{
    g_autofree char *text = NULL;

    return g_file_get_contents(OVERFLOW_UID_FILE, &text, NULL, NULL) ?
           strtoul(text, NULL, 10) : OVERFLOW_UID;
}

bool userns_denies_setgroups(void)
{
    return setgroups_denied;
}

/* Whether @file exists and its text is @value. */
static bool setting_is(const char *file, const char *value)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents(file, &text, NULL, NULL)) {
        return false;
    }
    return g_str_equal(g_strstrip(text), value);
}

const char *userns_why(int error)
{
    if (setting_is("/proc/sys/kernel/unprivileged_userns_clone", "0")) {
        return "sysctl kernel.unprivileged_userns_clone is 0";
    }
    if (error == ENOSPC ||
        setting_is("/proc/sys/user/max_user_namespaces", "0")) {
        return "sysctl user.max_user_namespaces allows no more of them";
    }
    if (setting_is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
                   "1")) {
        return "sysctl kernel.apparmor_restrict_unprivileged_userns is 1";
    }
    return strerror(error);
}

bool userns_is_partial(void)
{
    g_autofree char *text = NULL;
    unsigned inside, outside, count;

    return g_file_get_contents("/proc/self/uid_map", &text, NULL, NULL) &&
           (sscanf(text, "%u %u %u", &inside, &outside, &count) != 3 ||
            count != UINT32_MAX);
}

/* Whether a line's first field names this user. */
static bool is_mine(const char *who, const char *name, uid_t uid)
{
    g_autofree char *number = g_strdup_printf("%u", uid);

    return g_str_equal(who, number) || (name && g_str_equal(who, name));
}

/*
 * Adds the ranges that @file, in the format of subuid(5), gives to the user.
 * Skips lines that are no ranges, as newuidmap(1) does.
 */
static unsigned add_ranges(const char *file, const char *name, uid_t uid,
                           ProxyIdRange *map, unsigned n)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    uint64_t inside = 1;
    uint64_t start, count;
    unsigned i;

    if (!g_file_get_contents(file, &text, NULL, NULL)) {
        return n;
    }
    lines = g_strsplit(text, "\n", -1);
    for (i = 0; lines[i] && n < PROXY_IDMAP_MAX; i++) {
        g_auto(GStrv) field = g_strsplit(g_strstrip(lines[i]), ":", -1);

        if (g_strv_length(field) != 3 || !is_mine(field[0], name, uid) ||
            !idmap_parse_id(field[1], &start) ||
            !idmap_parse_id(field[2], &count) ||
            count == 0 || start + count > UINT32_MAX ||
            inside + count > UINT32_MAX) {
            continue;
        }
        map[n++] = (ProxyIdRange) { inside, start, count };
        inside += count;
    }
    return n;
}

static void find_ranges(const IdMaps *wanted, IdMaps *ids)
{
    uid_t uid = geteuid();
    struct passwd *pw = getpwuid(uid);
    const char *name = pw ? pw->pw_name : NULL;

    ids->uid[0] = (ProxyIdRange) { 0, uid, 1 };
    ids->gid[0] = (ProxyIdRange) { 0, getegid(), 1 };
    ids->n_uid = add_ranges(SUBUID_FILE, name, uid, ids->uid, 1);
    ids->n_gid = add_ranges(SUBGID_FILE, name, uid, ids->gid, 1);
    if (wanted->n_uid) {
        memcpy(ids->uid, wanted->uid, sizeof(ids->uid));
        ids->n_uid = wanted->n_uid;
    }
    if (wanted->n_gid) {
        memcpy(ids->gid, wanted->gid, sizeof(ids->gid));
        ids->n_gid = wanted->n_gid;
    }
}

/* A child of this process that maps its ids */
typedef struct Mapper {
    pid_t pid;
    int go;                     /* pipe to it: a byte when it may begin */
    int said;                   /* pipe with what it prints */
} Mapper;

/* Runs newuidmap(1) or newgidmap(1), which prints its own errors. */
static bool run_mapper(const char *tool, pid_t target, const ProxyIdRange *map,
                       unsigned n)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    unsigned i;
    int status;
    pid_t pid;

    g_ptr_array_add(argv, g_strdup(tool));
    g_ptr_array_add(argv, g_strdup_printf("%d", target));
    for (i = 0; i < n; i++) {
        g_ptr_array_add(argv, g_strdup_printf("%u", map[i].inside));
        g_ptr_array_add(argv, g_strdup_printf("%u", map[i].outside));
        g_ptr_array_add(argv, g_strdup_printf("%u", map[i].count));
    }
    g_ptr_array_add(argv, NULL);

    pid = fork();
    if (pid == 0) {
        execvp(tool, (char **)argv->pdata);
        _exit(127);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

static bool write_file(const char *file, const char *text)
{
    int fd = open(file, O_WRONLY | O_CLOEXEC);
    ssize_t len = strlen(text);
    bool done;

    if (fd < 0) {
        return false;
    }
    done = write(fd, text, len) == len;
    close(fd);
    return done;
}

/* Writes one map of the process @target. The kernel requires one write(2). */
static bool write_map(const char *file, pid_t target, const ProxyIdRange *map,
                      unsigned n)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/%s", target, file);
    g_autoptr(GString) text = g_string_new(NULL);
    unsigned i;

    for (i = 0; i < n; i++) {
        g_string_append_printf(text, "%u %u %u\n", map[i].inside,
                               map[i].outside, map[i].count);
    }
    if (!write_file(path, text->str)) {
        log_line(LOG_LEVEL_ERROR, "cannot write %s: %s", path,
                 strerror(errno));
        return false;
    }
    return true;
}

/*
 * Forks a child that maps the ids of this process, @target, once it may begin:
 * by itself if it is root's, otherwise with the set-uid programs. The child
 * exits with 0 when both maps are written.
 */
static void start_mapper(Mapper *m, const IdMaps *ids, pid_t target, bool root)
{
    int go[2], said[2];

    process_pipe(go);
    process_pipe(said);
    m->pid = fork();
    if (m->pid < 0) {
        fatal("cannot make a process: %s", strerror(errno));
    }
    if (m->pid == 0) {
        close(go[1]);
        close(said[0]);
        dup2(said[1], STDERR_FILENO);
        if (!process_told(go[0])) {
            _exit(EXIT_FAILURE);
        }
        if (root ? write_map("uid_map", target, ids->uid, ids->n_uid) &&
                   write_map("gid_map", target, ids->gid, ids->n_gid)
                 : run_mapper("newuidmap", target, ids->uid, ids->n_uid) &&
                   run_mapper("newgidmap", target, ids->gid, ids->n_gid)) {
            _exit(EXIT_SUCCESS);
        }
        _exit(EXIT_FAILURE);
    }
    close(go[0]);
    close(said[1]);
    m->go = go[1];
    m->said = said[0];
}

/* Prints what comes from a pipe, up to its end. */
static void pass_on(int from)
{
    char text[1024];
    ssize_t n;

    while ((n = RETRY_ON_EINTR(read(from, text, sizeof(text)))) > 0) {
        if (write(STDERR_FILENO, text, n) < 0) {
            continue;           /* stderr is gone, but the writer goes on */
        }
    }
}

/* Lets the child begin, and waits for its end. Whether it has mapped the ids */
static bool finish_mapper(const Mapper *m)
{
    int status;

    process_tell(m->go);
    close(m->go);
    pass_on(m->said);
    close(m->said);
    return waitpid(m->pid, &status, 0) == m->pid && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

/* Maps the user alone; that needs no privilege (user_namespaces(7)). */
static void map_user_only(IdMaps *ids)
{
    g_autofree char *uid = g_strdup_printf("0 %u 1", ids->uid[0].outside);
    g_autofree char *gid = g_strdup_printf("0 %u 1", ids->gid[0].outside);

    ids->n_uid = 1;
    ids->n_gid = 1;
    if (!write_file("/proc/self/uid_map", uid) ||
        !write_file("/proc/self/setgroups", "deny") ||
        !write_file("/proc/self/gid_map", gid)) {
        fatal("cannot map the user into a user namespace: %s",
              userns_why(errno));
    }
}

/* Becomes the namespace's root, once its maps are written. */
static void become_inner_root(void)
{
    setgroups_denied = setting_is("/proc/self/setgroups", "deny");
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0) {
        /* AppArmor may take away the capabilities of a new namespace. */
        fatal("cannot become id 0 of the user namespace: %s",
              userns_why(errno));
    }
    entered = true;
}

/* Makes a user namespace, tells so, and stays until @hold ends. */
static G_NORETURN void hold_namespace(int ready, int hold)
{
    char c;

    if (unshare(CLONE_NEWUSER) == 0 && write(ready, "", 1) == 1) {
        while (read(hold, &c, 1) < 0 && errno == EINTR) {
            /* again */
        }
    }
    _exit(EXIT_SUCCESS);
}

int userns_make(const IdMaps *ids)
{
    g_autofree char *path = NULL;
    int ready[2], hold[2];
    int fd = -1;
    pid_t pid;
    char c;

    if (pipe2(ready, O_CLOEXEC) < 0 || pipe2(hold, O_CLOEXEC) < 0) {
        fatal("cannot make a pipe: %s", strerror(errno));
    }
    pid = _Fork();
    if (pid < 0) {
        fatal("cannot make a process: %s", strerror(errno));
    }
    if (pid == 0) {
        close(hold[1]);
        hold_namespace(ready[1], hold[0]);
    }
    close(ready[1]);
    close(hold[0]);
    path = g_strdup_printf("/proc/%d/ns/user", pid);
    if (read(ready[0], &c, 1) == 1 &&
        write_map("uid_map", pid, ids->uid, ids->n_uid) &&
        write_map("gid_map", pid, ids->gid, ids->n_gid)) {
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    close(ready[0]);
    close(hold[1]);
    waitpid(pid, NULL, 0);
    return fd;
}

void userns_enter_as_root(const IdMaps *ids, uint32_t pid)
{
    Mapper mapper;

    if (entered || !ids->n_uid) {
        return;
    }
    start_mapper(&mapper, ids, pid, true);
    if (unshare(CLONE_NEWUSER) < 0) {
        fatal("cannot make a user namespace for --uid-map and --gid-map: %s",
              userns_why(errno));
    }
    if (!finish_mapper(&mapper)) {
        fatal("--uid-map and --gid-map: the kernel refuses the maps");
    }
    become_inner_root();
}

void userns_enter(const IdMaps *wanted, IdMaps *ids)
{
    bool explicit = wanted->n_uid || wanted->n_gid;
    bool alone = true;
    g_autofree char *newuidmap = g_find_program_in_path("newuidmap");
    g_autofree char *newgidmap = g_find_program_in_path("newgidmap");
    const char *lack = NULL;
    Mapper mapper = { .pid = 0 };

    *ids = *wanted;
    if (userns_is_root()) {
        return;
    }
    if (geteuid() == 0) {
        fatal("started as root, but without CAP_SYS_ADMIN for making "
              "namespaces");
    }

    find_ranges(wanted, ids);
    if (explicit) {
        alone = idmap_is_only(ids->uid, ids->n_uid, geteuid()) &&
                idmap_is_only(ids->gid, ids->n_gid, getegid());
    } else if (ids->n_uid < 2 || ids->n_gid < 2) {
        lack = "no subordinate ids in " SUBUID_FILE " and " SUBGID_FILE;
    } else {
        alone = false;
    }
    if (!alone && (!newuidmap || !newgidmap)) {
        lack = "newuidmap and newgidmap are not installed";
        alone = true;
    }
    if (!alone) {
        start_mapper(&mapper, ids, getpid(), false);
    }

    if (unshare(CLONE_NEWUSER) < 0) {
        fatal("cannot make a user namespace for an ordinary user's helper: %s",
              userns_why(errno));
    }
    if (mapper.pid && !finish_mapper(&mapper)) {
        lack = "newuidmap or newgidmap failed";
        alone = true;
    }
    if (lack && explicit) {
        fatal("--uid-map and --gid-map: %s; a user may map the ids in "
              SUBUID_FILE " and " SUBGID_FILE ", and one id to the user's own",
              lack);
    }
    if (lack) {
        log_line(LOG_LEVEL_WARNING, "%s: the guest has the ids of user %u and "
                 "group %u only", lack, ids->uid[0].outside,
                 ids->gid[0].outside);
    }
    if (alone) {
        map_user_only(ids);
    }
    become_inner_root();
}
