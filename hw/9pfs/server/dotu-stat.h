/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The stat structure of 9P2000.u (stat(5) of Plan 9, and the "Unix extension"
 * to it), which has one file's attributes and name: in Rstat, in Twstat, and in
 * reads of directories.
 */
#ifndef HW_9PFS_SERVER_DOTU_STAT_H
#define HW_9PFS_SERVER_DOTU_STAT_H

#include "internal.h"

/* The fields after the size, in order. A P9Stat does not own its strings. */
typedef struct P9Stat {
    uint16_t type;
    uint32_t dev;
    P9Qid qid;
    uint32_t mode;              /* permission bits and P9_DM* */
    uint32_t atime;             /* seconds */
    uint32_t mtime;
    uint64_t length;            /* bytes */
    const char *name;
    const char *uid;
    const char *gid;
    const char *muid;
    const char *extension;
    uint32_t n_uid;
    uint32_t n_gid;
    uint32_t n_muid;
} P9Stat;

/* Memory for the strings of a P9Stat that p9_stat_fill() makes */
typedef struct P9StatText {
    char uid[16];
    char gid[16];
    char extension[PATH_MAX];
} P9StatText;

/* Bytes of @st with its size; at most P9_STAT_MAX after p9_stat_fill() */
size_t p9_stat_size(const P9Stat *st);
#define P9_STAT_MAX (P9_STAT_SIZE + NAME_MAX + PATH_MAX + 2 * 10)

/* Appends size[2] and all fields. */
void p9_stat_put(MarshalWriter *w, const P9Stat *st);

/* Reads size[2] and all fields; false if the fields do not have that size. */
bool p9_stat_get(MarshalReader *r, P9Stat *st);

/* The P9_DM* type bits for the S_IFMT bits of @mode */
uint32_t p9_stat_type(uint32_t mode);
/* A stat's permission bits (P9_STAT_PERM_MASK) for 07777 of a mode, and back */
uint32_t p9_stat_perm(uint32_t mode);
uint32_t p9_stat_unix_perm(uint32_t mode);
#define P9_STAT_PERM_MASK \
    (0777u | P9_DMSETUID | P9_DMSETGID | P9_DMSETVTX)

/*
 * Fills in @st for the inode of these attributes, with the strings in @text.
 * Asks the driver for the target of a symbolic link.
 */
int coroutine_fn p9_stat_fill(P9Request *req, FsNode *node, const FsAttr *attr,
                              P9Stat *st, P9StatText *text);

#endif /* HW_9PFS_SERVER_DOTU_STAT_H */
