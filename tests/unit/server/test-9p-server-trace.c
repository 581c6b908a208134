/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the text that trace events have for a message's fields. A malformed
 * message is not read beyond its end, and its bytes do not reach the log raw.
 */
#include "qemu/osdep.h"
#include "hw/9pfs/server/wire.h"
#include "hw/9pfs/server/trace.h"

/* The fields of exactly these bytes, in memory of their own */
static char *fields(uint8_t type, const char *bytes, size_t size)
{
    g_autofree char *copy = g_memdup2(bytes, size);

    return p9_trace_fields(type, copy, size);
}

static void is(uint8_t type, const char *bytes, size_t size, const char *want)
{
    g_autofree char *text = fields(type, bytes, size);

    g_assert_cmpstr(text, ==, want);
}

#define IS(type, bytes, want)   is(type, bytes, sizeof(bytes) - 1, want)
#define U32(v)                  v "\0\0\0"

static void test_known(void)
{
    IS(P9_TVERSION, "\0\x20\0\0" "\x08\0" "9P2000.L",
       " msize=8192 version=9P2000.L");
    IS(P9_TATTACH, U32("\0") "\xff\xff\xff\xff" "\0\0" "\x01\0/" U32("\7"),
       " fid=0 afid=none uname= aname=/ uid=7");
    IS(P9_TWALK, U32("\1") U32("\2") "\x02\0" "\3\0usr" "\3\0bin",
       " fid=1 newfid=2 names=usr/bin");
    IS(P9_TWALK, U32("\1") U32("\2") "\0\0", " fid=1 newfid=2 names=");
    IS(P9_TLCREATE, U32("\1") "\1\0f" "\x42\0\0\0" "\xa4\1\0\0" U32("\5"),
       " fid=1 name=f flags=0102 mode=0644 gid=5");
    IS(P9_TREAD, U32("\1") "\0\0\0\0\1\0\0\0" "\0\x10\0\0",
       " fid=1 offset=4294967296 count=4096");
    IS(P9_TGETATTR, U32("\1") "\xff\7\0\0\0\0\0\0", " fid=1 mask=0x7ff");
    IS(P9_TFLUSH, "\5\0", " oldtag=5");
    /* Types that do not exist have no fields. */
    IS(0, "abcd", "");
    IS(255, "abcd", "");
}

static void test_short(void)
{
    IS(P9_TREAD, U32("\1") "\0\0\0",
       " fid=1 (and no more that could be read)");
    IS(P9_TCLUNK, "", " (and no more that could be read)");
    IS(P9_TLCREATE, U32("\1") "\xff\xff" "abc",
       " fid=1 (and no more that could be read)");
    IS(P9_TWALK, U32("\1") U32("\2") "\xff\xff" "\1\0a",
       " fid=1 newfid=2 (and no more that could be read)");
}

static void test_harmless(void)
{
    g_autofree char *name = g_strnfill(60000, 'n');
    g_autoptr(GString) walk = g_string_new(NULL);
    g_autofree char *text = NULL;
    unsigned i;

    IS(P9_TUNLINKAT, U32("\1") "\6\0" "a\n\033[2J" U32("\0"),
       " dfid=1 name=a\\n\\033[2J flags=0x0");
    IS(P9_TUNLINKAT, U32("\1") "\3\0" "a\0b" U32("\0"),
       " dfid=1 name=a flags=0x0");

    g_string_append_len(walk, U32("\1") U32("\2") "\x10\0", 10);
    for (i = 0; i < 16; i++) {
        g_string_append_len(walk, "\x60\xea", 2);
        g_string_append_len(walk, name, 60000);
    }
    text = fields(P9_TWALK, walk->str, walk->len);
    g_assert_cmpuint(strlen(text), <, 4096);
}

/* All types, with bytes of all kinds and lengths: for sanitizers */
static void test_any(void)
{
    char bytes[80];
    unsigned type, size, i, round;

    for (round = 0; round < 20; round++) {
        for (type = 0; type < 256; type++) {
            for (size = 0; size < sizeof(bytes); size += 3) {
                g_autofree char *text = NULL;

                for (i = 0; i < size; i++) {
                    bytes[i] = g_test_rand_int_range(0, round % 2 ? 4 : 256);
                }
                text = fields(type, bytes, size);
                for (i = 0; text[i]; i++) {
                    g_assert_true(g_ascii_isprint(text[i]));
                }
            }
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/9p-trace/known", test_known);
    g_test_add_func("/9p-trace/short", test_short);
    g_test_add_func("/9p-trace/harmless", test_harmless);
    g_test_add_func("/9p-trace/any", test_any);
    return g_test_run();
}
