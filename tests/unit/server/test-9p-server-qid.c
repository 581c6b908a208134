/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the path numbers of qids: each (device, inode number) has a number
 * of its own, and always the same. This also holds when there are more devices
 * than prefixes, and then memory is bounded.
 */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "hw/9pfs/server/qid.h"
#include "hw/9pfs/server/wire.h"

/* Paths seen so far: no two inodes may have the same. */
typedef struct Seen {
    P9QidMap map;
    GHashTable *paths;
} Seen;

static void seen_init(Seen *seen)
{
    memset(seen, 0, sizeof(*seen));
    seen->paths = g_hash_table_new_full(g_int64_hash, g_int64_equal,
                                        g_free, NULL);
}

static void seen_free(Seen *seen)
{
    g_hash_table_unref(seen->paths);
    p9_qid_map_destroy(&seen->map);
}

/* The path of an inode that the test has not used before */
static uint64_t new_path(Seen *seen, uint64_t dev, uint64_t ino)
{
    uint64_t path = p9_qid_path(&seen->map, dev, ino);

    if (!g_hash_table_add(seen->paths, g_memdup2(&path, sizeof(path)))) {
        g_error("inode %" PRIu64 " of device %" PRIu64 " has another's path "
                "0x%" PRIx64, ino, dev, path);
    }
    return path;
}

/* Inode numbers of usual file systems do not change. */
static void test_equal(void)
{
    static const uint64_t inos[] = {
        1, 2, 255, 256, UINT32_MAX, 1ull << 32, (1ull << 48) - 1,
    };
    Seen seen;
    unsigned i;

    seen_init(&seen);
    for (i = 0; i < ARRAY_SIZE(inos); i++) {
        g_assert_cmphex(new_path(&seen, 42, inos[i]), ==, inos[i]);
    }
    seen_free(&seen);
}

/* Equal inode numbers on several devices; the answers stay the same. */
static void test_devices(void)
{
    enum { DEVICES = 300, INOS = 100 };
    g_autofree uint64_t *paths = g_new(uint64_t, DEVICES * INOS);
    Seen seen;
    unsigned dev, ino;

    seen_init(&seen);
    for (ino = 0; ino < INOS; ino++) {
        for (dev = 0; dev < DEVICES; dev++) {
            paths[dev * INOS + ino] = new_path(&seen, dev << 8, ino);
        }
    }
    for (dev = 0; dev < DEVICES; dev++) {
        for (ino = 0; ino < INOS; ino++) {
            g_assert_cmphex(p9_qid_path(&seen.map, dev << 8, ino), ==,
                            paths[dev * INOS + ino]);
        }
    }
    seen_free(&seen);
}

/* Inode numbers that only differ in their upper bits, and the largest */
static void test_huge(void)
{
    static const uint64_t lower[] = { 0, 1, 2, (1ull << 48) - 1 };
    Seen seen;
    uint64_t upper;
    unsigned dev, i;

    seen_init(&seen);
    for (dev = 0; dev < 4; dev++) {
        for (upper = 0; upper < 1 << 16; upper += 257) {
            for (i = 0; i < ARRAY_SIZE(lower); i++) {
                new_path(&seen, dev, upper << 48 | lower[i]);
            }
        }
    }
    g_assert_null(seen.map.singles);
    seen_free(&seen);
}

/* A device and inode numbers with a pattern that a hash might not tell apart */
static void test_swapped(void)
{
    Seen seen;
    uint64_t i;

    seen_init(&seen);
    for (i = 1; i < 64; i++) {
        uint64_t bit = 1ull << i;

        new_path(&seen, bit, 1);
        new_path(&seen, 1, bit);
        new_path(&seen, bit, bit);
        new_path(&seen, ~bit, ~bit);
    }
    seen_free(&seen);
}

/* All prefixes are in use: further inodes have numbers of their own. */
static void test_exhausted(void)
{
    enum { MORE = 1000 };
    g_autofree uint64_t *paths = g_new(uint64_t, MORE);
    Seen seen;
    uint64_t first, dev;
    unsigned i;

    seen_init(&seen);
    first = new_path(&seen, 1, 7);
    for (dev = 2; dev < P9_QID_PREFIXES; dev++) {
        new_path(&seen, dev, 7);
    }
    g_assert_null(seen.map.singles);
    g_assert_cmpuint(g_hash_table_size(seen.map.prefixes), ==,
                     P9_QID_PREFIXES - 1);

    for (i = 0; i < MORE; i++) {
        paths[i] = new_path(&seen, dev + i, i % 2 ? 7 : UINT64_MAX);
    }
    g_assert_cmpuint(g_hash_table_size(seen.map.singles), ==, MORE);
    for (i = 0; i < MORE; i++) {
        g_assert_cmphex(p9_qid_path(&seen.map, dev + i,
                                    i % 2 ? 7 : UINT64_MAX), ==, paths[i]);
    }
    g_assert_cmpuint(g_hash_table_size(seen.map.singles), ==, MORE);
    g_assert_cmphex(p9_qid_path(&seen.map, 1, 7), ==, first);
    /* Devices with a prefix still have room for more inodes. */
    g_assert_cmphex(new_path(&seen, 1, 8), ==, 8);
    seen_free(&seen);
}

/* Whatever numbers a helper invents, the map does not grow without bound. */
static void test_bound(void)
{
    enum { MORE = 100 * 1000 };
    g_autofree uint64_t *paths = g_new(uint64_t, MORE);
    Seen seen;
    uint64_t dev, path;
    unsigned i;

    seen_init(&seen);
    for (dev = 1; dev < P9_QID_PREFIXES; dev++) {
        new_path(&seen, dev, 1);
    }
    for (i = 0; i < P9_QID_SINGLES; i++) {
        new_path(&seen, dev, i);
    }
    path = p9_qid_path(&seen.map, dev, 5);
    for (i = 0; i < MORE; i++) {
        paths[i] = new_path(&seen, dev + 1 + i % 3, i / 3);
        g_assert_cmphex(paths[i] >> 63, ==, 1);
    }
    g_assert_cmpuint(g_hash_table_size(seen.map.prefixes), ==,
                     P9_QID_PREFIXES - 1);
    g_assert_cmpuint(g_hash_table_size(seen.map.singles), ==,
                     P9_QID_SINGLES);
    for (i = 0; i < MORE; i++) {
        g_assert_cmphex(p9_qid_path(&seen.map, dev + 1 + i % 3, i / 3), ==,
                        paths[i]);
    }
    g_assert_cmphex(p9_qid_path(&seen.map, dev, 5), ==, path);
    g_assert_cmphex(p9_qid_path(&seen.map, 1, 1), ==, 1);
    seen_free(&seen);
}

/* The rest of a qid: the type of the file, and the version of its contents */
static void test_make(void)
{
    static const struct {
        uint32_t mode;
        uint8_t type;
    } kinds[] = {
        { S_IFREG | 0644, P9_QTFILE },
        { S_IFDIR | 0755, P9_QTDIR },
        { S_IFLNK | 0777, P9_QTSYMLINK },
        { S_IFCHR | 0600, P9_QTFILE },
        { S_IFIFO | 0600, P9_QTFILE },
    };
    FsAttr attr = { .dev = 1, .ino = 5 };
    P9QidMap map = { 0 };
    uint32_t version;
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(kinds); i++) {
        attr.mode = kinds[i].mode;
        g_assert_cmphex(p9_qid_make(&map, &attr).type, ==, kinds[i].type);
    }
    g_assert_cmpuint(p9_qid_make(&map, &attr).path, ==, 5);

    /* Linux does not cache a file of version 0. */
    version = p9_qid_make(&map, &attr).version;
    g_assert_cmpuint(version, !=, 0);
    attr.size++;
    g_assert_cmpuint(p9_qid_make(&map, &attr).version, !=, 0);
    attr.size--;
    g_assert_cmpuint(p9_qid_make(&map, &attr).version, ==, version);
    for (i = 0; i < 1000; i++) {
        uint32_t next;

        attr.mtime.tv_nsec++;
        next = p9_qid_make(&map, &attr).version;
        g_assert_cmpuint(next, !=, version);
        version = next;
    }
    p9_qid_map_destroy(&map);
}

/* A map that is restored */
typedef struct Restored {
    P9QidMap map;
    unsigned long *used[2];     /* numbers of prefixes and of singles */
} Restored;

static void restored_init(Restored *to)
{
    memset(to, 0, sizeof(*to));
    to->used[false] = bitmap_new(P9_QID_PREFIXES);
    to->used[true] = bitmap_new(P9_QID_SINGLES);
}

static void restored_free(Restored *to)
{
    g_free(to->used[false]);
    g_free(to->used[true]);
    p9_qid_map_destroy(&to->map);
}

static bool restore(Restored *to, bool single, uint64_t dev, uint64_t ino,
                    uint32_t value)
{
    return p9_qid_map_restore(&to->map, single, dev, ino, value,
                              to->used[single]);
}

static void restore_one(void *opaque, bool single, uint64_t dev, uint64_t ino,
                        uint32_t value)
{
    g_assert_true(restore(opaque, single, dev, ino, value));
}

/* A saved map goes on elsewhere with the same numbers. */
static void test_restore(void)
{
    P9QidMap from = { };
    Restored to;
    uint64_t first[4];
    unsigned i;

    restored_init(&to);
    for (i = 0; i < P9_QID_PREFIXES; i++) {
        p9_qid_path(&from, i, 1);
    }
    for (i = 0; i < 4; i++) {
        first[i] = p9_qid_path(&from, i * (P9_QID_PREFIXES - 1), 77);
    }
    g_assert_true(p9_qid_map_restore_next(&to.map, from.next_prefix,
                                          from.next_single));
    p9_qid_map_each(&from, restore_one, &to);
    for (i = 0; i < 4; i++) {
        g_assert_cmphex(p9_qid_path(&to.map, i * (P9_QID_PREFIXES - 1), 77),
                        ==, first[i]);
    }
    /* A new one is as new there as here. */
    g_assert_cmphex(p9_qid_path(&from, 1ull << 40, 5), ==,
                    p9_qid_path(&to.map, 1ull << 40, 5));
    p9_qid_map_destroy(&from);
    restored_free(&to);
}

/* Numbers that cannot be, or are other inodes' */
static void test_restore_bad(void)
{
    Restored to;

    restored_init(&to);
    g_assert_false(p9_qid_map_restore_next(&to.map, P9_QID_PREFIXES, 0));
    g_assert_false(p9_qid_map_restore_next(&to.map, 0, P9_QID_SINGLES + 1));
    g_assert_cmphex(p9_qid_path(&to.map, 1, 5), ==, 5);
    set_bit(0, to.used[false]);
    g_assert_true(p9_qid_map_restore_next(&to.map, 3, 1));
    g_assert_true(restore(&to, false, 1, 0, 0));
    g_assert_false(restore(&to, false, 1, 0, 1));
    g_assert_false(restore(&to, false, 2, 0, 0));
    g_assert_false(restore(&to, false, 2, 0, 3));
    g_assert_false(restore(&to, false, 2, 1ull << 16, 1));
    g_assert_true(restore(&to, false, 2, 0, 1));
    /* A number of the same stream's, which has but one */
    g_assert_false(restore(&to, false, 3, 0, 1));
    g_assert_true(restore(&to, false, 3, 0, 2));
    g_assert_false(restore(&to, true, 3, 1ull << 63, 1));
    g_assert_true(restore(&to, true, 3, 1ull << 63, 0));
    g_assert_false(restore(&to, true, 3, 1ull << 62, 0));
    /* A map with fewer numbers takes none back. */
    g_assert_true(p9_qid_map_restore_next(&to.map, 0, 0));
    g_assert_cmphex(p9_qid_path(&to.map, 9, 5), ==, 5 | 3ull << 48);
    restored_free(&to);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/9p-qid/equal", test_equal);
    g_test_add_func("/9p-qid/devices", test_devices);
    g_test_add_func("/9p-qid/huge", test_huge);
    g_test_add_func("/9p-qid/swapped", test_swapped);
    g_test_add_func("/9p-qid/exhausted", test_exhausted);
    g_test_add_func("/9p-qid/bound", test_bound);
    g_test_add_func("/9p-qid/make", test_make);
    g_test_add_func("/9p-qid/restore", test_restore);
    g_test_add_func("/9p-qid/restore-bad", test_restore_bad);
    return g_test_run();
}
