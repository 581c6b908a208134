/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Qids: a client learns from qid.path whether two fids are the same file, and
 * from qid.version whether its contents changed.
 */
#ifndef HW_9PFS_SERVER_QID_H
#define HW_9PFS_SERVER_QID_H

#include "fsdev/shared/types.h"
#include "fsdev/shared/marshal.h"

typedef struct P9Qid {
    uint8_t type;
    uint32_t version;
    uint64_t path;
} P9Qid;

/* How many qid.c tells apart with certainty */
#define P9_QID_PREFIXES 0x8000u
#define P9_QID_SINGLES  (1024 * 1024)

/* Maps (dev, ino) to path numbers; see qid.c. All zero is empty. */
typedef struct P9QidMap {
    GHashTable *prefixes;       /* (dev, upper bits of ino) -> prefix */
    GHashTable *singles;        /* (dev, ino) -> number, without a prefix */
    uint32_t next_prefix;
    uint64_t next_single;
    /* The last lookup */
    uint64_t last_dev;
    uint64_t last_upper;
    uint32_t last_prefix;
    bool last_valid;
} P9QidMap;

void p9_qid_map_destroy(P9QidMap *map);

/*
 * The path number of an inode: always the same, and unique. Beyond the number
 * of inodes that the map can keep, it is unique almost certainly.
 */
uint64_t p9_qid_path(P9QidMap *map, uint64_t dev, uint64_t ino);

/* One member of the map; @ino is only its upper bits unless @single. */
typedef void P9QidVisit(void *opaque, bool single, uint64_t dev, uint64_t ino,
                        uint32_t value);
void p9_qid_map_each(const P9QidMap *map, P9QidVisit *visit, void *opaque);

/*
 * Takes over the numbers of a saved map: first next, which returns false if
 * they are too large, then its members. @used is a bitmap of the numbers that
 * the map has for members of that kind, and gets @value. Returns false if that
 * is not below the next number, or is in use for other inodes, or these have
 * another.
 */
bool p9_qid_map_restore_next(P9QidMap *map, uint32_t prefix, uint32_t single);
bool p9_qid_map_restore(P9QidMap *map, bool single, uint64_t dev, uint64_t ino,
                        uint32_t value, unsigned long *used);

/* The qid of the object with attributes @attr */
P9Qid p9_qid_make(P9QidMap *map, const FsAttr *attr);

/* qid[13] on the wire */
void p9_put_qid(MarshalWriter *w, const P9Qid *qid);

#endif /* HW_9PFS_SERVER_QID_H */
