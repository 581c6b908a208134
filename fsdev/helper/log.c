/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's messages to people: see log.h.
 *
 * A line goes out in one write, so lines of several threads do not mix. What
 * a line quotes may come from elsewhere (a path): control characters in it
 * are replaced, so it stays one line and cannot drive a terminal.
 */
#include "qemu/osdep.h"
#include "fsdev/helper/log.h"
#include <syslog.h>

static bool to_syslog;

static void G_GNUC_PRINTF(1, 0) put_line(const char *fmt, va_list ap)
{
    char line[1024];
    int start = snprintf(line, sizeof(line), "%s: ", HELPER_NAME);
    size_t len;
    char *p;

    vsnprintf(line + start, sizeof(line) - start - 1, fmt, ap);
    for (p = line; *p; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f) {
            *p = '?';
        }
    }
    if (to_syslog) {
        syslog(LOG_ERR, "%s", line + start);
        return;
    }
    len = p - line;
    line[len++] = '\n';
    if (write(STDERR_FILENO, line, len) < 0) {
        return;                 /* nobody listens; nothing to do about it */
    }
}

void log_line(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    put_line(fmt, ap);
    va_end(ap);
}

void fatal(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    put_line(fmt, ap);
    va_end(ap);
    exit(EXIT_FAILURE);
}

void log_open_syslog(void)
{
    tzset();                    /* reads /etc/localtime, for syslog(3) */
    openlog(HELPER_NAME, LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

void log_use_syslog(void)
{
    to_syslog = true;
}
