/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's messages to users: one line each, to stderr, or to syslog with
 * --syslog and once a daemon has given its stderr up.
 */
#ifndef FSDEV_HELPER_LOG_H
#define FSDEV_HELPER_LOG_H

#include "qemu/osdep.h"

#define HELPER_NAME     "virtfs-proxy-helper"

typedef enum LogLevel {
    LOG_LEVEL_ERROR,            /* the helper ends */
    LOG_LEVEL_WARNING,          /* a client's error, or something asked for
                                   that is not available; the default */
    LOG_LEVEL_INFO,             /* clients connect and disconnect */
    LOG_LEVEL_DEBUG,            /* each request with its result */
} LogLevel;

/* Sets the level below which lines are dropped; whether @name is a level. */
bool log_set_level(const char *name);

/* Whether lines of @level are logged. */
bool log_wants(LogLevel level);

void log_line(LogLevel level, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* Logs an error and ends this process with status 1. */
G_NORETURN void fatal(const char *fmt, ...) G_GNUC_PRINTF(1, 2);

/*
 * fatal() sends its line to the client, too, who is connected to @fd and has
 * not been read yet; -1: no longer.
 */
void log_tell_client(int fd);

/* Connects to syslog, while its socket is still in reach. */
void log_open_syslog(void);

/* Sends all later lines to syslog. */
void log_use_syslog(void);

#endif /* FSDEV_HELPER_LOG_H */
