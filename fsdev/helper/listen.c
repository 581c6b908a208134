/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's socket: see listen.h.
 *
 * Theory of operation. bind(2) makes the socket's file with a mode that the
 * umask decides and with the caller as its owner. Changing the owner later by
 * name could hit another file, and the file would have the wrong owner until
 * then. So the helper makes the file in its own directory beside the final
 * place (".virtfs-proxy-XXXXXX", mode 0700). There it sets owner and mode and
 * listens. Then it moves the file to its place with one rename.
 *
 * If a file is there already, the helper exchanges the two (RENAME_EXCHANGE)
 * and inspects the old file in the private directory. It removes a socket that
 * refuses connections, which is a leftover, and puts anything else back. So
 * two helpers that start at once cannot take each other's socket away.
 */
#include "qemu/osdep.h"
#include "listen.h"
#include "log.h"
#include "session.h"
#include <sys/socket.h>
#include <sys/un.h>

#define SOCKET_MODE     0600
#define PRIVATE_NAME    "socket"

bool listen_check_fd(const Options *o)
{
    bool listening = false;
    struct sockaddr_un peer;
    int fd = o->fd;
    socklen_t len;
    int value;

    if (fd <= STDERR_FILENO) {
        fatal("--fd %d: a standard descriptor, not a socket", fd);
    }
    if (fcntl(fd, F_GETFD) < 0) {
        fatal("--fd %d: no such descriptor is open", fd);
    }
    len = sizeof(value);
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &len) < 0) {
        fatal("--fd %d: not a socket", fd);
    }
    if (value != AF_UNIX) {
        fatal("--fd %d: not a UNIX socket", fd);
    }
    len = sizeof(value);
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &len) < 0 ||
        value != SOCK_STREAM) {
        fatal("--fd %d: not a stream socket", fd);
    }
    len = sizeof(value);
    if (o->activated && getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value,
                                   &len) == 0) {
        listening = value;
    }
    len = sizeof(peer);
    if (!listening && getpeername(fd, (struct sockaddr *)&peer, &len) < 0) {
        fatal("--fd %d: not a connected socket", fd);
    }
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0) {
        fatal("--fd %d: cannot make it blocking: %s", fd, strerror(errno));
    }

    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        fatal("--fd %d: %s", fd, strerror(errno));
    }
    return listening;
}

/* The address of @name in @dir, whatever the length of the directory's path */
static void address_in(int dir, const char *name, struct sockaddr_un *addr)
{
    memset(addr, 0, sizeof(*addr));
    addr->sun_family = AF_UNIX;
    snprintf(addr->sun_path, sizeof(addr->sun_path), "/proc/self/fd/%d/%s",
             dir, name);
}

/*
 * Whether a process has, or may have, the socket @name in @dir. The helper
 * tries to connect a datagram socket. Without a process at the other end, the
 * kernel refuses that (ECONNREFUSED). A stream socket in use is only found to
 * be of another type (EPROTOTYPE, unix(7)), which its owner does not notice; a
 * real connection would take the place of the one that it waits for.
 */
static bool is_in_use(int dir, const char *name)
{
    struct sockaddr_un addr;
    bool refused;
    int fd;

    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        fatal("cannot make a socket: %s", strerror(errno));
    }
    address_in(dir, name, &addr);
    refused = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 &&
              errno == ECONNREFUSED;
    close(fd);
    return !refused;
}

/* The reason why the file @name in @dir cannot be replaced, or NULL */
static const char *why_not_replace(int dir, const char *name)
{
    struct stat st;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return strerror(errno);
    }
    if (!S_ISSOCK(st.st_mode)) {
        return "exists and is not a socket";
    }
    return is_in_use(dir, name) ? "another process listens on it" : NULL;
}

/* Moves the socket from @private to its place. NULL, or the error. */
static const char *put_in_place(int private, int dir, const char *name)
{
    const char *why;

    if (renameat2(private, PRIVATE_NAME, dir, name, RENAME_NOREPLACE) == 0) {
        return NULL;
    }
    if (errno != EEXIST) {
        return strerror(errno);
    }
    /* Checked first, because a socket in use must not vanish for a moment. */
    why = why_not_replace(dir, name);
    if (why) {
        return why;
    }
    if (renameat2(private, PRIVATE_NAME, dir, name, RENAME_EXCHANGE) < 0) {
        return strerror(errno);
    }
    why = why_not_replace(private, PRIVATE_NAME);
    if (why) {
        renameat2(private, PRIVATE_NAME, dir, name, RENAME_EXCHANGE);
    }
    return why;
}

/* Makes the socket's file in @private and listens. NULL, or the error. */
static const char *make_socket(int fd, int private, const Options *o,
                               SocketFile *file)
{
    struct sockaddr_un addr;
    struct stat st;
    mode_t old;
    int ret;

    address_in(private, PRIVATE_NAME, &addr);
    old = umask(0777 & ~SOCKET_MODE);
    ret = bind(fd, (struct sockaddr *)&addr, sizeof(addr));
    umask(old);
    if (ret < 0) {
        return strerror(errno);
    }
    if ((o->socket_uid != NO_ID || o->socket_gid != NO_ID) &&
        fchownat(private, PRIVATE_NAME, o->socket_uid, o->socket_gid,
                 AT_SYMLINK_NOFOLLOW) < 0) {
        return errno == EPERM ? "cannot set its owner to that of --uid "
                                "and --gid" : strerror(errno);
    }
    if (fstatat(private, PRIVATE_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        listen(fd, 1) < 0) {
        return strerror(errno);
    }
    file->dev = st.st_dev;
    file->ino = st.st_ino;
    return NULL;
}

int listen_start(const Options *o, SocketFile *file)
{
    g_autofree char *parent = g_path_get_dirname(o->socket);
    g_autofree char *template = NULL;
    const char *why;
    int private, fd;

    file->name = g_path_get_basename(o->socket);
    file->dir = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (file->dir < 0) {
        fatal("--socket %s: its directory: %s", o->socket, strerror(errno));
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        fatal("cannot make a socket: %s", strerror(errno));
    }

    template = g_strdup_printf("/proc/self/fd/%d/.virtfs-proxy-XXXXXX",
                               file->dir);
    if (!mkdtemp(template)) {
        fatal("--socket %s: cannot make files in its directory: %s",
              o->socket, strerror(errno));
    }
    private = open(template, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (private < 0) {
        why = strerror(errno);
    } else {
        why = make_socket(fd, private, o, file);
        if (!why) {
            why = put_in_place(private, file->dir, file->name);
        }
        unlinkat(private, PRIVATE_NAME, 0);
        close(private);
    }
    rmdir(template);
    if (why) {
        fatal("--socket %s: %s", o->socket, why);
    }
    return fd;
}

static int accept_any(int fd)
{
    int conn;

    do {
        conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    } while (conn < 0 && (errno == EINTR || errno == ECONNABORTED));
    if (conn < 0) {
        fatal("cannot accept a connection: %s", strerror(errno));
    }
    return conn;
}

int listen_accept(int fd, uint32_t allowed)
{
    struct ucred peer;
    socklen_t len;
    int conn;

    for (;;) {
        conn = accept_any(fd);
        len = sizeof(peer);
        if (getsockopt(conn, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
            fatal("SO_PEERCRED: %s", strerror(errno));
        }
        if (allowed == NO_ID || peer.uid == allowed || peer.uid == 0) {
            return conn;
        }
        log_line(LOG_LEVEL_WARNING, "refused a connection from user %u; only "
                 "user %u may connect", peer.uid, allowed);
        session_refuse(conn);
    }
}

void listen_remove_file(SocketFile *file)
{
    struct stat st;

    if (file->dir < 0) {
        return;
    }
    if (fstatat(file->dir, file->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        st.st_dev == file->dev && st.st_ino == file->ino) {
        unlinkat(file->dir, file->name, 0);
    }
    close(file->dir);
    file->dir = -1;
}
