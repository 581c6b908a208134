/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's messages to users: see log.h.
 *
 * A line goes out in one write, so lines of several threads do not mix. A line
 * may quote foreign text, such as a path. Control characters are replaced, so
 * the text stays on one line and cannot control a terminal.
 */
#include "qemu/osdep.h"
#include "fsdev/shared/proto.h"
#include "log.h"
#include <sys/socket.h>
#include <syslog.h>

static const struct {
    const char *name;
    int priority;               /* of syslog(3) */
} levels[] = {
    [LOG_LEVEL_ERROR] = { "error", LOG_ERR },
    [LOG_LEVEL_WARNING] = { "warning", LOG_WARNING },
    [LOG_LEVEL_INFO] = { "info", LOG_INFO },
    [LOG_LEVEL_DEBUG] = { "debug", LOG_DEBUG },
};

static LogLevel wanted = LOG_LEVEL_WARNING;
static bool to_syslog;
static gint client = -1;        /* a socket, for fatal(); atomic */

bool log_set_level(const char *name)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(levels); i++) {
        if (g_str_equal(name, levels[i].name)) {
            wanted = i;
            return true;
        }
    }
    return false;
}

bool log_wants(LogLevel level)
{
    return level <= wanted;
}

static void G_GNUC_PRINTF(2, 0) put_line(LogLevel level, const char *fmt,
                                         va_list ap)
{
    char line[1024];
    int start = snprintf(line, sizeof(line), "%s: ", HELPER_NAME);
    size_t len;
    char *p;

    if (!log_wants(level)) {
        return;
    }
    vsnprintf(line + start, sizeof(line) - start - 1, fmt, ap);
    for (p = line; *p; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f) {
            *p = '?';
        }
    }
    if (to_syslog) {
        syslog(levels[level].priority, "%s", line + start);
        return;
    }
    len = p - line;
    line[len++] = '\n';
    if (write(STDERR_FILENO, line, len) < 0) {
        return;                 /* stderr is gone: nowhere to report it */
    }
}

void log_line(LogLevel level, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    put_line(level, fmt, ap);
    va_end(ap);
}

/* The message of a helper that cannot start: see proto.h */
static void G_GNUC_PRINTF(2, 0) tell_client(int fd, const char *fmt,
                                            va_list ap)
{
    char buf[PROXY_FAILURE_MAX];
    const size_t start = PROXY_HEADER_SIZE + sizeof(uint32_t);
    uint32_t error = GUINT32_TO_LE(EIO);
    ProxyHeader h = { .type = PROXY_HELLO | PROXY_REPLY };

    vsnprintf(buf + start, sizeof(buf) - start, fmt, ap);
    h.size = start + strlen(buf + start);
    proxy_header_put(&h, buf);
    memcpy(buf + PROXY_HEADER_SIZE, &error, sizeof(error));
    if (proxy_send_fds(fd, buf, h.size, NULL, 0, MSG_DONTWAIT) < 0) {
        return;                 /* the client is gone */
    }
}

void log_tell_client(int fd)
{
    g_atomic_int_set(&client, fd);
}

void fatal(const char *fmt, ...)
{
    int fd = g_atomic_int_get(&client);
    va_list ap;

    va_start(ap, fmt);
    put_line(LOG_LEVEL_ERROR, fmt, ap);
    va_end(ap);
    if (fd >= 0) {
        va_start(ap, fmt);
        tell_client(fd, fmt, ap);
        va_end(ap);
    }
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
