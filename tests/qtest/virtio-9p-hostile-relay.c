/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The relay of virtio-9p-hostile.h. It passes requests on as they come, and
 * replies one by one, each with its descriptors.
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "virtio-9p-host.h"
#include "virtio-9p-hostile.h"

static void send_reply(int sock, const Reply *r)
{
    union {
        char buf[CMSG_SPACE(PROXY_MAX_FDS * sizeof(int))];
        struct cmsghdr align;
    } control = { };
    struct iovec iov = { .iov_base = (void *)r->buf, .iov_len = r->size };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    struct cmsghdr *cmsg;
    ssize_t n;

    if (r->nfds) {
        msg.msg_control = control.buf;
        msg.msg_controllen = CMSG_SPACE(r->nfds * sizeof(int));
        cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(r->nfds * sizeof(int));
        memcpy(CMSG_DATA(cmsg), r->fds, r->nfds * sizeof(int));
    }
    /* QEMU may have closed the socket already: the test checks for that. */
    while (iov.iov_len) {
        n = sendmsg(sock, &msg, MSG_NOSIGNAL);
        if (n <= 0) {
            break;
        }
        iov.iov_base = (char *)iov.iov_base + n;
        iov.iov_len -= n;
        msg.msg_control = NULL;
        msg.msg_controllen = 0;
    }
}

/* Reads @size bytes and their descriptors; false at the end of the stream. */
static bool recv_bytes(int sock, Reply *r, size_t size)
{
    union {
        char buf[CMSG_SPACE(PROXY_MAX_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct cmsghdr *cmsg;

    while (r->size < size) {
        struct iovec iov = { .iov_base = r->buf + r->size,
                             .iov_len = size - r->size };
        struct msghdr msg = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf,
            .msg_controllen = sizeof(control.buf),
        };
        ssize_t n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);

        if (n <= 0) {
            return false;
        }
        r->size += n;
        for (cmsg = CMSG_FIRSTHDR(&msg); cmsg;
             cmsg = CMSG_NXTHDR(&msg, cmsg)) {
            unsigned got = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

            memcpy(r->fds + r->nfds, CMSG_DATA(cmsg), got * sizeof(int));
            r->nfds += got;
        }
    }
    return true;
}

/* Passes one reply on, with or without a lie; false after the last one. */
static bool relay_reply(Relay *relay)
{
    Reply *r = &relay->reply;
    const Lie *lie = qatomic_read(&relay->lie);
    unsigned i;

    r->size = r->nfds = 0;
    r->hang_up = false;
    /*
     * Descriptors come with the first byte of their message, and with no other
     * message: the helper sends each with its own sendmsg(2).
     */
    if (!recv_bytes(relay->helper, r, PROXY_HEADER_SIZE) ||
        !recv_bytes(relay->helper, r, ldl_le_p(r->buf))) {
        return false;
    }
    if (lduw_le_p(r->buf + 4) == (PROXY_HELLO | PROXY_REPLY)) {
        /* Without features QEMU sends all requests that have lies. */
        stl_le_p(r->buf + PROXY_HEADER_SIZE + 8, 0);
    }
    if (lie && lduw_le_p(r->buf + 4) == (lie->type | PROXY_REPLY)) {
        lie->tell(r, lie);
        qatomic_set(&relay->lie, NULL);
    }
    send_reply(relay->qemu, r);
    for (i = 0; i < r->nfds; i++) {
        close(r->fds[i]);
    }
    return !r->hang_up;
}

static gpointer relay_run(gpointer opaque)
{
    Relay *relay = opaque;
    struct pollfd fds[] = {
        { .fd = relay->qemu, .events = POLLIN },
        { .fd = relay->helper, .events = POLLIN },
    };
    char buf[4096];
    ssize_t n;

    while (poll(fds, ARRAY_SIZE(fds), -1) > 0) {
        if (fds[0].revents) {
            n = recv(relay->qemu, buf, sizeof(buf), 0);
            if (n <= 0 || send(relay->helper, buf, n, MSG_NOSIGNAL) != n) {
                break;
            }
        }
        if (fds[1].revents && !relay_reply(relay)) {
            break;
        }
    }
    shutdown(relay->qemu, SHUT_RDWR);
    shutdown(relay->helper, SHUT_RDWR);
    return NULL;
}

void relay_start(Relay *relay, const char *dir)
{
    int sv[2];

    relay->helper = p9_host_helper_by_fd(dir, &relay->pid);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv),
                    ==, 0);
    relay->qemu = sv[0];
    relay->qemu_end = sv[1];
    g_assert_cmpint(fcntl(sv[1], F_SETFD, 0), ==, 0);
    relay->thread = g_thread_new("relay", relay_run, relay);
}

void relay_stop(Relay *relay)
{
    int status;

    shutdown(relay->qemu, SHUT_RDWR);
    g_thread_join(relay->thread);
    close(relay->qemu);
    close(relay->helper);
    g_assert_cmpint(waitpid(relay->pid, &status, 0), ==, relay->pid);
    /* The real helper found no error. */
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}
