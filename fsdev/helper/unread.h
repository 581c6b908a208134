/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Descriptors that clients were sent and have not received.
 *
 * The kernel counts them for the helper's user, in all connections, as long as
 * a process has the other end, even if the helper has ended the connection. At
 * the limit of open files it lets the user send no more (ETOOMANYREFS,
 * unix(7)). So each connection has a share of that limit, and what a client has
 * left unread counts until it is gone.
 *
 * All functions are thread-safe, and only unread_end() may wait.
 */
#ifndef FSDEV_HELPER_UNREAD_H
#define FSDEV_HELPER_UNREAD_H

/*
 * For a process with @files descriptors at most, of which the user has no other
 * that sends any. Returns for how many clients at a time there is a share.
 */
unsigned unread_limit(unsigned files);

/* How many of them there are for --rlimit-nofile=@files */
unsigned unread_clients(unsigned files);

/* A connection begins: how many descriptors it may have unread, at least 1. */
unsigned unread_begin(void);

/*
 * How much memory the kernel has for what was sent through @fd and the client
 * has not read; 0: it has read all.
 */
int unread_memory(int fd);

/*
 * A connection is over that was shut down, with @unread of its @share. Takes
 * its socket @fd, closes what the client sent, which may wait, and keeps the
 * socket until no descriptor is unread any more.
 */
void unread_end(int fd, unsigned share, unsigned unread);

/* How many connections that are over have descriptors unread */
unsigned unread_left(void);

#endif /* FSDEV_HELPER_UNREAD_H */
