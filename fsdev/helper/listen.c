/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's socket: see listen.h.
 *
 * Theory of operation. bind(2) makes the socket's file with a mode that the
 * umask decides and with the caller as its owner. Changing the owner later by
 * name could hit another file, and the file would have the wrong owner until
 * then. So the helper makes the file in a private directory, sets its owner by
 * descriptor and listens, before it moves the file to its place (place.h). It
 * replaces a socket that refuses connections, which is a leftover.
 */
#include "qemu/osdep.h"
#include "listen.h"
#include "log.h"
#include "place.h"
#include "session.h"
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

/* How long to wait for descriptors or memory before the next accept(2) */
#define ACCEPT_AGAIN_MS 100

#define SOCKET_MODE     0600

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

static void address_of(struct sockaddr_un *addr, const char *fmt, int fd)
{
    memset(addr, 0, sizeof(*addr));
    addr->sun_family = AF_UNIX;
    snprintf(addr->sun_path, sizeof(addr->sun_path), fmt, fd);
}

/*
 * Whether a process has, or may have, the socket whose file is @file (O_PATH).
 * The helper tries to connect a datagram socket. Without a process at the other
 * end, the kernel refuses that (ECONNREFUSED). A stream socket in use is only
 * found to be of another type (EPROTOTYPE, unix(7)), which its owner does not
 * notice; a real connection would take the place of the one that it waits for.
 */
static bool is_in_use(int file)
{
    struct sockaddr_un addr;
    bool refused;
    int fd;

    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        fatal("cannot make a socket: %s", strerror(errno));
    }
    address_of(&addr, "/proc/self/fd/%d", file);
    refused = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 &&
              errno == ECONNREFUSED;
    close(fd);
    return !refused;
}

static const char *keep_socket(int fd, const struct stat *st)
{
    if (!S_ISSOCK(st->st_mode)) {
        return "exists and is not a socket";
    }
    return is_in_use(fd) ? "another process listens on it" : NULL;
}

/* A socket on its way to its place */
typedef struct NewSocket {
    const Options *o;
    int fd;
    struct stat st;
} NewSocket;

/* Gives the socket's file @file, which must be ours, to its owner. */
static const char *give_file(const Place *p, int file, NewSocket *new)
{
    const Options *o = new->o;
    int ret;

    if (fstat(file, &new->st) < 0) {
        return strerror(errno);
    }
    if (!S_ISSOCK(new->st.st_mode) || new->st.st_uid != geteuid() ||
        new->st.st_nlink != 1) {
        return "another process puts a file in the socket's place";
    }
    if (o->socket_uid != NO_ID || o->socket_gid != NO_ID) {
        place_act_as_starter(p);
        ret = fchownat(file, "", o->socket_uid, o->socket_gid, AT_EMPTY_PATH);
        place_act_as_owner(p);
        if (ret < 0) {
            return errno == EPERM ? "cannot set its owner to that of --uid "
                                    "and --gid" : strerror(errno);
        }
    }
    return fstat(file, &new->st) < 0 ? strerror(errno) : NULL;
}

static const char *make_socket(Place *p, int private, void *opaque)
{
    NewSocket *new = opaque;
    struct sockaddr_un addr;
    const char *why;
    mode_t old;
    int ret, file;

    address_of(&addr, "/proc/self/fd/%d/" PLACE_PRIVATE, private);
    old = umask(0777 & ~SOCKET_MODE);
    ret = bind(new->fd, (struct sockaddr *)&addr, sizeof(addr));
    umask(old);
    if (ret < 0) {
        return strerror(errno);
    }
    file = openat(private, PLACE_PRIVATE, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0) {
        return strerror(errno);
    }
    why = give_file(p, file, new);
    close(file);
    if (!why && listen(new->fd, 1) < 0) {
        why = strerror(errno);
    }
    return why;
}

int listen_start(const Options *o, SocketFile *file)
{
    static const PlaceFile socket_file = { make_socket, keep_socket };
    NewSocket new = { .o = o };
    Place place;

    place_open(&place, "socket", o->socket, o);
    new.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (new.fd < 0) {
        fatal("cannot make a socket: %s", strerror(errno));
    }
    place_put(&place, &socket_file, &new);
    file->dev = new.st.st_dev;
    file->ino = new.st.st_ino;
    file->name = g_strdup(place.name);
    file->dir = place_removable(&place, o->user, &new.st);
    if (file->dir == place.dir) {
        file->dir = fcntl(place.dir, F_DUPFD_CLOEXEC, 0);
    }
    place_close(&place);
    return new.fd;
}

/* Whether accept(2) failed for want of something that others may give back */
static bool is_short(int err)
{
    return err == EMFILE || err == ENFILE || err == ENOMEM || err == ENOBUFS;
}

static int accept_any(int fd)
{
    bool said = false;
    int conn;

    while ((conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) < 0) {
        if (is_short(errno)) {
            if (!said) {
                log_line(LOG_LEVEL_WARNING, "a client has to wait: %s",
                         strerror(errno));
                said = true;
            }
            poll(NULL, 0, ACCEPT_AGAIN_MS);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            break;
        }
    }
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
