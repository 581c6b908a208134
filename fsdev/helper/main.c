/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * virtfs-proxy-helper: serves a directory to QEMU's fsdev driver 'proxy'.
 *
 * Theory of operation. QEMU runs without privilege. To give the files of an
 * export their real owners, and to act for every guest user, it asks this
 * process, which has the privilege for just that, and nothing else to use it
 * on. It gets there in stages, each in a file of its own, and each before the
 * first byte is read from the one who might want to misuse it:
 *
 *   1. options.c    understand the command line
 *   2. listen.c     find or make the socket; open the export
 *   3. supervisor.c     the processes; with userns.c and idmap.c, if an ordinary
 *                   user started it or maps of ids are given, the user
 *                   namespace
 *   4. sandbox.c    leave the host: only the export is left
 *   5. identity.c   stop being root, keep five capabilities
 *   6. seccomp.c    allow no system call but those that serving needs
 *   7. serve.c      accept, and serve: channel.c takes messages off the
 *                   socket, requests.c carries them out by way of hostfs,
 *                   handles.c keeps the inodes that QEMU knows;
 *                   v1/requests.c is for a QEMU before 9.2
 */
#include "qemu/osdep.h"
#include "identity.h"
#include "supervisor.h"
#include "listen.h"
#include "log.h"
#include "options.h"
#include "sandbox.h"
#include "seccomp.h"
#include "serve.h"
#include "userns.h"

static int open_export(const char *path)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        fatal("--path %s: %s", path, strerror(errno));
    }
    return fd;
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

/*
 * Who may connect, as the server has him: the owner of the socket's file. A
 * service manager decides for its socket, unless --uid says more.
 *
 * In a user namespace of our own whoever is not in its map looks like everybody
 * who is not. Then it is the socket file's mode, 0600, that tells them apart.
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

/* Serves one client, a user @uid, or with --persist one after another. */
static int serve_clients(const Options *o, int listener, uint32_t uid,
                         Supervisor *supervisor, const ServeConfig *config)
{
    int fd;

    while (o->persist) {
        serve(listen_accept(listener, uid), config);
    }
    fd = listen_accept(listener, uid);
    close(listener);
    supervisor_tell_connected(supervisor);
    return serve(fd, config);
}

int main(int argc, char **argv)
{
    SocketFile file = { .dir = -1 };
    ServeConfig config = { .fd_prefix = "" };
    uid_t starter = geteuid();
    bool listening;
    uint32_t client;
    Options o;
    Supervisor supervisor;
    IdMaps ids;
    int export, fd;

    options_parse(&o, argc, argv);
    listening = o.socket || listen_check_fd(&o);
    sandbox_close_files(o.fd);
    umask(0);

    export = open_export(o.path);
    fd = o.socket ? listen_start(&o, &file) : o.fd;
    if (!o.foreground || o.syslog) {
        log_open_syslog();
    }

    supervisor_start(&supervisor, &o, &file, &ids, fd, export);

    config.pid = outer_pid();
    config.max_files = identity_raise_files();
    userns_enter_as_root(&ids, config.pid);
    client = client_uid(&o, &ids, starter);
    config.root = sandbox_enter(o.sandbox, export, o.readonly);
    config.own_mount = o.sandbox == SANDBOX_NAMESPACE;
    config.readonly = o.readonly;
    config.threads = o.threads;
    config.ids = &ids;
    identity_drop(&o, IDENTITY_SERVE);
    supervisor_follow(&supervisor);

    seccomp_enter(o.seccomp);

    if (o.syslog) {
        log_use_syslog();
    }
    supervisor_tell_ready(&supervisor);
    return listening ? serve_clients(&o, fd, client, &supervisor, &config)
                     : serve(fd, &config);
}
