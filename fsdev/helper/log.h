/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the helper says to people: one line each, to stderr, or to syslog once
 * a daemon has no stderr any more.
 */
#ifndef HELPER_LOG_H
#define HELPER_LOG_H

#include "qemu/osdep.h"

#define HELPER_NAME     "virtfs-proxy-helper"

void log_line(const char *fmt, ...) G_GNUC_PRINTF(1, 2);

/* log_line(), then the end of this process with status 1. */
G_NORETURN void fatal(const char *fmt, ...) G_GNUC_PRINTF(1, 2);

/* Connects to syslog while its socket can still be found. */
void log_open_syslog(void);

/* From here on to syslog. */
void log_use_syslog(void);

#endif /* HELPER_LOG_H */
