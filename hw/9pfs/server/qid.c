/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Qids.
 *
 * An export may cover several host file systems, so an inode number alone is
 * not unique. The path number must stand for (device, inode number), and these
 * two do not fit into its 64 bits. In practice the upper bits of inode numbers
 * are almost unused. So the device and the upper 16 bits of the inode number
 * are mapped, together, to a 15-bit prefix, in the order of first use, and the
 * lower 48 bits stay as they are. The first device's small inode numbers get
 * prefix 0, so their paths equal their inode numbers.
 *
 * Some file systems use all 64 bits of inode numbers. When only the last prefix
 * is left, further inodes are numbered one by one under that prefix. Each takes
 * memory until the export ends, so their number is limited. Beyond the limit
 * the path is a hash, marked by the highest bit, with 63 bits to tell inodes
 * apart. Among ten million such inodes, the probability that two have the same
 * path is 1 in 180,000.
 */
#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "hw/9pfs/fs/node.h"
#include "qid.h"
#include "wire.h"

#define LOWER_BITS      48
#define LOWER_MASK      ((1ull << LOWER_BITS) - 1)
/* Prefix of the inodes that are numbered one by one */
#define PREFIX_SINGLES  (P9_QID_PREFIXES - 1)
#define HASHED          (1ull << 63)

typedef struct QidKey {
    uint64_t dev;
    uint64_t ino;               /* or its upper bits */
    uint64_t value;
} QidKey;

static guint qid_key_hash(gconstpointer p)
{
    const QidKey *key = p;

    return fs_inode_hash(key->dev, key->ino);
}

static gboolean qid_key_equal(gconstpointer pa, gconstpointer pb)
{
    const QidKey *a = pa;
    const QidKey *b = pb;

    return a->dev == b->dev && a->ino == b->ino;
}

/* @table is NULL before the first key. */
static QidKey *qid_key_find(GHashTable *table, const QidKey *want)
{
    return table ? g_hash_table_lookup(table, want) : NULL;
}

static QidKey *qid_key_add(GHashTable **table, const QidKey *want,
                           uint64_t value)
{
    QidKey *key = g_memdup2(want, sizeof(*want));

    if (!*table) {
        *table = g_hash_table_new_full(qid_key_hash, qid_key_equal, g_free,
                                       NULL);
    }
    key->value = value;
    g_hash_table_add(*table, key);
    return key;
}

void p9_qid_map_destroy(P9QidMap *map)
{
    g_clear_pointer(&map->prefixes, g_hash_table_unref);
    g_clear_pointer(&map->singles, g_hash_table_unref);
    memset(map, 0, sizeof(*map));
}

/* Every bit of the result depends on every one of @h (SplitMix64). */
static uint64_t qid_mix(uint64_t h)
{
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9ull;
    h = (h ^ h >> 27) * 0x94d049bb133111ebull;
    return h ^ h >> 31;
}

static uint64_t qid_path_single(P9QidMap *map, uint64_t dev, uint64_t ino)
{
    QidKey want = { .dev = dev, .ino = ino };
    QidKey *key;

    key = qid_key_find(map->singles, &want);
    if (!key) {
        if (map->next_single == P9_QID_SINGLES) {
            return HASHED | qid_mix(qid_mix(dev) + ino);
        }
        key = qid_key_add(&map->singles, &want, map->next_single++);
    }
    return ((uint64_t)PREFIX_SINGLES << LOWER_BITS) | key->value;
}

uint64_t p9_qid_path(P9QidMap *map, uint64_t dev, uint64_t ino)
{
    uint64_t upper = ino >> LOWER_BITS;
    QidKey want = { .dev = dev, .ino = upper };
    QidKey *key;

    if (!map->last_valid || map->last_dev != dev || map->last_upper != upper) {
        key = qid_key_find(map->prefixes, &want);
        if (!key) {
            if (map->next_prefix == PREFIX_SINGLES) {
                return qid_path_single(map, dev, ino);
            }
            key = qid_key_add(&map->prefixes, &want, map->next_prefix++);
        }
        map->last_dev = dev;
        map->last_upper = upper;
        map->last_prefix = key->value;
        map->last_valid = true;
    }
    return ((uint64_t)map->last_prefix << LOWER_BITS) | (ino & LOWER_MASK);
}

static void qid_keys_each(GHashTable *table, bool single, P9QidVisit *visit,
                          void *opaque)
{
    GHashTableIter iter;
    QidKey *key;

    if (table) {
        g_hash_table_iter_init(&iter, table);
        while (g_hash_table_iter_next(&iter, (gpointer *)&key, NULL)) {
            visit(opaque, single, key->dev, key->ino, key->value);
        }
    }
}

void p9_qid_map_each(const P9QidMap *map, P9QidVisit *visit, void *opaque)
{
    qid_keys_each(map->prefixes, false, visit, opaque);
    qid_keys_each(map->singles, true, visit, opaque);
}

bool p9_qid_map_restore_next(P9QidMap *map, uint32_t prefix, uint32_t single)
{
    if (prefix > PREFIX_SINGLES || single > P9_QID_SINGLES) {
        return false;
    }
    map->next_prefix = MAX(map->next_prefix, prefix);
    map->next_single = MAX(map->next_single, single);
    return true;
}

bool p9_qid_map_restore(P9QidMap *map, bool single, uint64_t dev, uint64_t ino,
                        uint32_t value, unsigned long *used)
{
    GHashTable **table = single ? &map->singles : &map->prefixes;
    uint64_t next = single ? map->next_single : map->next_prefix;
    QidKey want = { .dev = dev, .ino = ino };
    QidKey *key = qid_key_find(*table, &want);

    if (key) {
        return key->value == value;
    }
    if (value >= next || (!single && ino >> (64 - LOWER_BITS)) ||
        test_and_set_bit(value, used)) {
        return false;
    }
    qid_key_add(table, &want, value);
    return true;
}

/*
 * A number that almost certainly changes with the contents. Never 0: Linux'
 * client does not cache a file with version 0 (v9fs_fid_add_modes() of Linux
 * 6.4 and later).
 */
static uint32_t qid_version(const FsAttr *attr)
{
    uint64_t h;

    h = (uint64_t)attr->mtime.tv_sec * 1000000000ull + attr->mtime.tv_nsec;
    h *= 0x9e3779b97f4a7c15ull;
    h ^= attr->size;
    h *= 0x9e3779b97f4a7c15ull;
    h >>= 32;
    return h ? h : 1;
}

P9Qid p9_qid_make(P9QidMap *map, const FsAttr *attr)
{
    P9Qid qid = {
        .type = S_ISDIR(attr->mode) ? P9_QTDIR :
                S_ISLNK(attr->mode) ? P9_QTSYMLINK : P9_QTFILE,
        .version = qid_version(attr),
        .path = p9_qid_path(map, attr->dev, attr->ino),
    };

    return qid;
}

void p9_put_qid(MarshalWriter *w, const P9Qid *qid)
{
    marshal_put_u8(w, qid->type);
    marshal_put_u32(w, qid->version);
    marshal_put_u64(w, qid->path);
}
