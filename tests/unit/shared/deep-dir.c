/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See deep-dir.h.
 */
#include "qemu/osdep.h"
#include "deep-dir.h"

static int step(int dir, const char *name)
{
    int fd = openat(dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    close(dir);
    return fd;
}

void deep_make(int dir)
{
    int at = dup(dir);
    unsigned i;

    for (i = 0; i < DEEP_LEVELS; i++) {
        g_assert_cmpint(mkdirat(at, DEEP_NAME, 0755), ==, 0);
        at = step(at, DEEP_NAME);
    }
    close(at);
}

int deep_open(int dir, unsigned level)
{
    int at = dup(dir);

    while (level--) {
        at = step(at, DEEP_NAME);
    }
    return at;
}

void deep_remove(int dir)
{
    int at = deep_open(dir, DEEP_LEVELS - 1);
    unsigned i;

    for (i = 0; i < DEEP_LEVELS; i++) {
        g_assert_cmpint(unlinkat(at, DEEP_NAME, AT_REMOVEDIR), ==, 0);
        at = step(at, "..");
    }
    close(at);
}

static gint64 least(const gint64 *times, unsigned n)
{
    gint64 t = times[0];

    while (n--) {
        t = MIN(t, times[n]);
    }
    return t;
}

void deep_compare(const char *what, const gint64 *near, const gint64 *deep,
                  unsigned n)
{
    gint64 a = least(near, n), b = least(deep, n);

    g_test_message("%s: %" PRId64 " us at level 10, %" PRId64 " us at level %d",
                   what, a, b, DEEP_LEVELS);
    g_assert_cmpint(b, <=, a * DEEP_RATIO + DEEP_SLACK);
}
