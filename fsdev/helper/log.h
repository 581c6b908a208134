/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the helper says to people: one line each, to stderr, or to syslog with
 * --syslog or once a daemon has no stderr any more.
 */
#ifndef FSDEV_HELPER_LOG_H
#define FSDEV_HELPER_LOG_H

#include "qemu/osdep.h"

#define HELPER_NAME     "virtfs-proxy-helper"

typedef enum LogLevel {
    LOG_LEVEL_ERROR,            /* the helper ends */
    LOG_LEVEL_WARNING,          /* a client did wrong, or less than was asked
                                   for can be had; the default */
    LOG_LEVEL_INFO,             /* clients that come and go */
    LOG_LEVEL_DEBUG,            /* each request with its result */
} LogLevel;

/* Whether @name is one of --log-level: lines beyond it are not said. */
bool log_set_level(const char *name);

/* Whether lines of @level are said. */
bool log_wants(LogLevel level);

void log_line(LogLevel level, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* An error, then the end of this process with status 1. */
G_NORETURN void fatal(const char *fmt, ...) G_GNUC_PRINTF(1, 2);

/* Connects to syslog while its socket can still be found. */
void log_open_syslog(void);

/* From here on to syslog. */
void log_use_syslog(void);

#endif /* FSDEV_HELPER_LOG_H */
