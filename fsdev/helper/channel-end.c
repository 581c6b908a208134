/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The end of the helper's end of the proxy channel, and what may cause it: see
 * channel.h. All threads may note the end. The first reason counts.
 */
#include "qemu/osdep.h"
#include "channel-internal.h"
#include "log.h"
#include "received.h"
#include <sys/socket.h>

ChannelEnd channel_ended(Channel *c)
{
    ChannelEnd ended;

    pthread_mutex_lock(&c->state);
    ended = c->ended;
    pthread_mutex_unlock(&c->state);
    return ended;
}

bool channel_note_end(Channel *c, ChannelEnd why)
{
    bool first;

    pthread_mutex_lock(&c->state);
    first = c->ended == CHANNEL_OPEN;
    if (first) {
        c->ended = why;
    }
    pthread_mutex_unlock(&c->state);
    return first;
}

void channel_break(Channel *c, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    if (channel_note_end(c, CHANNEL_BROKEN)) {
        log_line(LOG_LEVEL_WARNING, "connection closed: %s", text);
    }
    shutdown(c->fd, SHUT_RDWR);
}

void channel_break_ring(Channel *c)
{
    channel_break(c, "the counts in the shared memory are impossible");
}

bool channel_may_bring(const Channel *c, int fd)
{
    uint64_t pipe;

    return (c->mount && received_is_inode(fd, c->mount)) ||
           (c->first && (received_is_memory(fd) ||
                         received_is_pipe(fd, O_RDONLY, &pipe) ||
                         received_is_pipe(fd, O_WRONLY, &pipe)));
}

void channel_break_excess(Channel *c)
{
    channel_break(c, "the client sent a descriptor that no message may "
                  "bring now, or too many of them");
}
