/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Descriptors that clients were sent and have not received: see unread.h.
 *
 * SIOCOUTQ tells how much of what was sent the other end has not read. If it
 * is nothing, no descriptor is under way. The socket of a connection that is
 * over serves to ask that. Nothing is in its own queue, so close(2) of it does
 * not wait.
 */
#include "qemu/osdep.h"
#include "unread.h"
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Clients at a time, at most, and the part of the descriptors for them */
#define CLIENTS_MAX     128
#define CLIENTS_PART    16
/* A connection's share, at most, and its part of what is left */
#define SHARE_MAX       256
#define SHARE_PART      16

typedef struct Left {
    int fd;
    unsigned unread;
} Left;

static GMutex lock;             /* guards the rest; held only to look */
static unsigned clients = 1;    /* that may still come */
static unsigned unshared = SHARE_MAX;   /* descriptors, more than clients */
static Left left[CLIENTS_MAX];
static unsigned n_left;

unsigned unread_clients(unsigned files)
{
    return MIN(files / CLIENTS_PART, CLIENTS_MAX);
}

unsigned unread_limit(unsigned files)
{
    clients = unread_clients(files);
    unshared = files;
    return clients;
}

unsigned unread_begin(void)
{
    unsigned share = 1;

    g_mutex_lock(&lock);
    /* One remains for each client that may still come. */
    if (unshared > clients) {
        share = CLAMP((unshared - clients) / SHARE_PART, 1, SHARE_MAX);
    }
    unshared -= MIN(unshared, share);
    clients -= clients > 0;
    g_mutex_unlock(&lock);
    return share;
}

int unread_memory(int fd)
{
    int bytes;

    return ioctl(fd, SIOCOUTQ, &bytes) < 0 ? 0 : bytes;
}

static void give_back(unsigned share)
{
    unshared += share;
    clients++;
}

/* Closes the descriptors that the client sent last. */
static void drain(int fd)
{
    char bytes[4096];
    struct iovec iov = { bytes, sizeof(bytes) };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    while (recvmsg(fd, &msg, MSG_DONTWAIT) > 0) {
        /* The kernel closes those for which there is no room. */
    }
}

void unread_end(int fd, unsigned share, unsigned unread)
{
    bool keep;

    drain(fd);
    g_mutex_lock(&lock);
    keep = unread && unread_memory(fd) && n_left < CLIENTS_MAX;
    if (keep) {
        left[n_left++] = (Left) { fd, unread };
        unshared += share - unread;
    } else {
        give_back(share);
    }
    g_mutex_unlock(&lock);
    if (!keep) {
        close(fd);
    }
}

unsigned unread_left(void)
{
    unsigned i = 0, n;

    g_mutex_lock(&lock);
    while (i < n_left) {
        if (!unread_memory(left[i].fd)) {
            give_back(left[i].unread);
            close(left[i].fd);
            left[i] = left[--n_left];
        } else {
            i++;
        }
    }
    n = n_left;
    g_mutex_unlock(&lock);
    return n;
}
