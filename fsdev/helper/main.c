/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * virtfs-proxy-helper: serves a directory to QEMU's fsdev driver 'proxy'.
 *
 * Theory of operation. QEMU runs without privilege. To give the files of an
 * export their real owners, and to act for every guest user, it asks this
 * process. The helper has the privilege for that, and nothing else to use it
 * on. It gets there in stages. Each stage is a function below, called in this
 * order, and all but the last end before the helper reads the first byte that
 * a hostile client may have sent:
 *
 *   stage_options()    understand the command line (options.c)
 *   stage_files()      find or make the socket, open the export (listen.c,
 *                      place.c)
 *   stage_processes()  become the server process, with a supervisor beside it
 *                      (supervisor.c); if an ordinary user started the helper,
 *                      in a user namespace (userns.c)
 *   stage_sandbox()    leave the host: only the export is left (sandbox.c),
 *                      with what the host mounts there later (mounts.c)
 *   stage_identity()   stop being root, keep five capabilities (identity.c)
 *   stage_seccomp()    allow only the export's files (landlock.c) and the
 *                      system calls of serving (seccomp.c)
 *   stage_serve()      accept a connection and serve it (serve.c), or one after
 *                      another (session.c): channel.c takes messages off the
 *                      socket, requests.c carries them out by way of hostfs,
 *                      handles.c keeps the inodes that QEMU knows; v1/ is for
 *                      a QEMU before 9.2
 *
 * A stage that fails ends the process.
 */
#include "qemu/osdep.h"
#include "fsdev/shared/caps.h"
#include "fsdev/shared/proto.h"
#include "fsdev/shared/share-lock.h"
#include "identity.h"
#include "landlock.h"
#include "supervisor.h"
#include "listen.h"
#include "log.h"
#include "memory.h"
#include "mounts.h"
#include "options.h"
#include "sandbox.h"
#include "seccomp.h"
#include "serve.h"
#include "session.h"
#include "unread.h"
#include "userns.h"
#include <linux/capability.h>

/* The results of the stages so far */
typedef struct Start {
    Options options;
    uid_t starter;              /* the user who started the helper */
    SocketFile file;
    int socket;                 /* connected, or listening */
    bool listening;
    int export;                 /* O_PATH descriptor of the directory */
    Supervisor supervisor;
    IdMaps ids;
    uint32_t client;            /* the uid that may connect, or NO_ID */
    FileHandles file_handles;   /* mount_fd -1: opens none */
    ShareLock lock;             /* tells others that the export is served */
    ServeConfig config;
} Start;

static void stage_options(Start *s, int argc, char **argv)
{
    s->starter = geteuid();
    options_parse(&s->options, argc, argv);
}

static int open_export(const char *path)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        fatal("--path %s: %s", path, strerror(errno));
    }
    return fd;
}

/* Closes all descriptors that the starter left open, but the socket. */
static void stage_files(Start *s)
{
    const Options *o = &s->options;

    s->file.dir = -1;
    s->listening = o->socket || listen_check_fd(o);
    sandbox_close_files(o->fd);
    umask(0);
    if (o->host_groups) {
        act_as_learn_groups();
    }

    s->export = open_export(o->path);
    s->socket = o->socket ? listen_start(o, &s->file) : o->fd;
    if (!o->foreground || o->syslog) {
        log_open_syslog();
    }
}

/* The pid of this process outside its PID namespace, as /proc has it */
static uint32_t outer_pid(void)
{
    char text[32];
    ssize_t len = readlink("/proc/self", text, sizeof(text) - 1);

    if (len < 0) {
        fatal("/proc/self: %s (is /proc mounted?)", strerror(errno));
    }
    text[len] = '\0';
    return strtoul(text, NULL, 10);
}

/* With all that decides how many files and how much memory it needs */
static void limit_resources(Start *s)
{
    MemoryNeeds needs = {
        .sessions = s->options.persist ? SESSIONS_MAX : 1,
    };
    unsigned left;

    s->config.threads = s->options.threads;
    s->config.max_files = identity_limit_files(s->options.max_files);
    left = unread_limit(s->config.max_files);
    if (s->options.persist) {
        s->config.max_left = left;
    }
    serve_needs(&s->config, &needs);
    memory_limit(s->options.memory, &needs);
    session_limit(needs.sessions, left);
}

/* IdTranslate.no_place */
static void tell_no_place(void *opaque, const char *kind, uint32_t id)
{
    log_line(LOG_LEVEL_WARNING, "the guest's %s id %u has no place on the "
             "host (--translate-%s)", kind, id,
             g_str_equal(kind, "user") ? "uid" : "gid");
}

static void prepare_translation(Start *s)
{
    IdTranslate *t = s->options.translate;
    g_autofree char *why = NULL;

    s->config.translate = t;
    if (t) {
        t->no_place = tell_no_place;
        why = userns_entered() ? id_translate_enter(t, &s->ids) : NULL;
    }
    if (why) {
        fatal("%s", why);
    }
}

/* From here on, this is the server process. */
static void stage_processes(Start *s)
{
    supervisor_start(&s->supervisor, &s->options, &s->file, &s->ids,
                     s->socket, s->export);
    s->config.pid = outer_pid();
    limit_resources(s);
    userns_enter_as_root(&s->ids, s->config.pid);
    prepare_translation(s);
}

/*
 * The user who may connect, as the server's user namespace numbers users: the
 * owner of the socket's file. A service manager decides for its own socket,
 * unless --uid narrows that.
 *
 * In a user namespace, all users outside its map look like one. The socket
 * file's mode, 0600, then keeps the others away.
 */
static uint32_t client_uid(const Options *o, const IdMaps *ids, uid_t starter)
{
    uint32_t uid = starter;

    if (o->socket_uid != NO_ID || o->activated) {
        uid = o->socket_uid;
    }
    if (uid != NO_ID && userns_entered()) {
        uid = idmap_inside(ids->uid, ids->n_uid, uid);
        return uid == IDMAP_NONE ? userns_unmapped_uid() : uid;
    }
    return uid;
}

/* Whether the helper can open file handles. Ends the process if it must. */
static bool can_open_handles(Start *s)
{
    FileHandlesMode mode = s->options.file_handles;
    int ret;

    s->file_handles.mount_fd = -1;
    if (mode == FILE_HANDLES_OFF) {
        return false;
    }
    ret = file_handles_probe(&s->file_handles, s->config.root);
    if (ret < 0 && mode == FILE_HANDLES_ON) {
        fatal("--file-handles=on: %s",
              ret == -EPERM ? "the helper may not open file handles: root must "
              "start it, without --uid-map, and with the capability "
              "dac_read_search" :
              ret == -EOPNOTSUPP ? "the directory's file system has none" :
              strerror(-ret));
    }
    if (ret < 0) {
        log_line(LOG_LEVEL_INFO, "continuing without file handles: %s",
                 strerror(-ret));
    }
    return ret == 0;
}

/*
 * Keeps programs that change a share from this one, by a descriptor of the
 * export's root. The export is served without a lock, too: the helper may have
 * no right to read the directory.
 */
static void lock_export(const Start *s, ShareLock *lock, int root)
{
    if (share_lock_use(lock, root) == -EBUSY) {
        fatal("--path %s: virtfs-mapped is changing the directory or one above "
              "it (or another process that has locked it so)",
              s->options.path);
    }
}

/*
 * The lock that stays is of the server's own mount. The one before sees what is
 * above, and leaves no time without a lock.
 */
static int enter_locked(Start *s, int *mounts)
{
    ShareLock before;
    int root;

    lock_export(s, &before, s->export);
    root = sandbox_enter(s->options.sandbox, s->export, s->options.readonly,
                         mounts);
    lock_export(s, &s->lock, root);
    share_unlock(&before);
    return root;
}

static void stage_sandbox(Start *s)
{
    const Options *o = &s->options;
    int ours[] = {
        s->socket, s->supervisor.tell, s->supervisor.alive,
        s->supervisor.ready, s->supervisor.pidfile, -1,
    };
    int mounts;

    /* Users and their numbers can still be looked up. */
    s->client = client_uid(o, &s->ids, s->starter);

    s->config.root = enter_locked(s, &mounts);
    ours[G_N_ELEMENTS(ours) - 1] = s->lock.n ? s->lock.fd[0] : -1;
    mounts_watch(o, mounts, s->config.root, s->supervisor.watcher, ours,
                 G_N_ELEMENTS(ours));
    s->config.fd_prefix = "";
    s->config.own_mount = o->sandbox == SANDBOX_NAMESPACE;
}

static void stage_identity(Start *s)
{
    identity_drop(&s->options, IDENTITY_SERVE);
    if (!s->options.readonly) {
        act_as_try(s->config.root, s->options.act_as);
    }
    supervisor_follow(&s->supervisor);
}

static void stage_seccomp(Start *s)
{
    if (can_open_handles(s)) {
        s->config.file_handles = &s->file_handles;
    }
    landlock_server(s->config.root, s->options.readonly);
    seccomp_enter(s->options.seccomp, s->file_handles.mount_fd,
                  s->options.act_as == ACT_AS_GUEST, s->options.host_groups);
}

/* Serves one client, or with --persist one after another. */
static int serve_clients(Start *s)
{
    int fd;

    proxy_pass_fds(s->socket, false);
    while (s->options.persist) {
        session_serve(listen_accept(s->socket, s->client), &s->config);
    }
    fd = listen_accept(s->socket, s->client);
    close(s->socket);
    supervisor_tell_connected(&s->supervisor);
    return serve(fd, &s->config);
}

static bool maps_devices(const Options *o)
{
    return o->special_files == SPECIAL_FILES_MAPPED ||
           (o->special_files == SPECIAL_FILES_USUAL && userns_entered() &&
            o->act_as != ACT_AS_GUEST &&
            caps_have(o->caps, CAP_DAC_OVERRIDE));
}

/* Returns the exit status. */
static int stage_serve(Start *s)
{
    s->config.readonly = s->options.readonly;
    s->config.xattrs.file_caps = caps_have(s->options.caps, CAP_SETFCAP);
    s->config.xattrs.map = s->options.xattr_map;
    s->config.maps_devices = maps_devices(&s->options);
    s->config.act_as = s->options.act_as;
    s->config.in_userns = userns_entered();
    s->config.ids = &s->ids;
    s->config.process_ends = true;

    if (s->options.syslog) {
        log_use_syslog();
    }
    supervisor_tell_ready(&s->supervisor);
    return s->listening ? serve_clients(s) : serve(s->socket, &s->config);
}

int main(int argc, char **argv)
{
    Start s = { 0 };

    /* Each write says what it does if the reader is gone. */
    signal(SIGPIPE, SIG_IGN);
    stage_options(&s, argc, argv);
    stage_files(&s);
    stage_processes(&s);
    stage_sandbox(&s);
    stage_identity(&s);
    stage_seccomp(&s);
    return stage_serve(&s);
}
