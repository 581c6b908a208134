/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the server's record of locked ranges, beside the kernel's own
 * (/proc/PID/fdinfo of a file with open file description locks).
 */
#include "qemu/osdep.h"
#include "hw/9pfs/server/lock-ranges.h"

#define BYTES       60
#define ROUNDS      20000

/* How many ranges of the file @fd the kernel has */
static unsigned kernel_ranges(int fd)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fdinfo/%d", fd);
    g_autofree char *text = NULL;
    const char *at;
    unsigned n = 0;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    for (at = text; (at = strstr(at, "lock:")); at++) {
        n++;
    }
    return n;
}

static GArray *set(GArray *ranges, int fd, short type, int64_t first,
                   int64_t last)
{
    struct flock lock = {
        .l_type = type, .l_whence = SEEK_SET, .l_start = first,
        .l_len = last == INT64_MAX ? 0 : last - first + 1,
    };
    GArray *after = p9_lock_ranges_after(ranges, type, first, last);

    g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &lock), ==, 0);
    g_assert_cmpuint(after->len, ==, kernel_ranges(fd));
    if (ranges) {
        g_array_unref(ranges);
    }
    return after;
}

static void test_random(void)
{
    static const short types[] = { F_RDLCK, F_WRLCK, F_UNLCK };
    g_autofree char *name = g_strdup("test-lock-ranges-XXXXXX");
    int fd = g_mkstemp(name);
    GArray *ranges = NULL;
    unsigned i;

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(unlink(name), ==, 0);
    for (i = 0; i < ROUNDS; i++) {
        int64_t first = g_test_rand_int_range(0, BYTES);
        int64_t last = first + g_test_rand_int_range(0, 8);
        guint j;

        ranges = set(ranges, fd, types[g_test_rand_int_range(0, 3)], first,
                     g_test_rand_int_range(0, 30) ? last : INT64_MAX);
        for (j = 1; j < ranges->len; j++) {
            const P9LockRange *r = &g_array_index(ranges, P9LockRange, j);

            g_assert_cmpint(r[-1].last, <, r->first);
            g_assert_cmpint(r->first, <=, r->last);
        }
    }
    ranges = set(ranges, fd, F_UNLCK, 0, INT64_MAX);
    g_assert_cmpuint(ranges->len, ==, 0);
    g_array_unref(ranges);
    close(fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lock-ranges/random", test_random);
    return g_test_run();
}
