/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The messages of 9P2000.u for the client of virtio-9p-client.h: a function
 * for each one that 9P2000.L does not have, with the same rules. It follows
 * section 5 of Plan 9's manual, the "Unix extension", and the messages of
 * Linux' client.
 */
#ifndef TESTS_LIBQOS_VIRTIO_9P_DOTU_H
#define TESTS_LIBQOS_VIRTIO_9P_DOTU_H

#include "virtio-9p-client.h"

/* Mode of Topen and Tcreate */
#define P9C_OREAD           0x00
#define P9C_OWRITE          0x01
#define P9C_ORDWR           0x02
#define P9C_OEXEC           0x03
#define P9C_OTRUNC          0x10
#define P9C_OCEXEC          0x20
#define P9C_ORCLOSE         0x40
#define P9C_OAPPEND         0x80

/* Bits of a stat's mode, and of Tcreate's perm */
#define P9C_DMDIR           0x80000000u
#define P9C_DMAPPEND        0x40000000u
#define P9C_DMEXCL          0x20000000u
#define P9C_DMTMP           0x04000000u
#define P9C_DMSYMLINK       0x02000000u
#define P9C_DMLINK          0x01000000u
#define P9C_DMDEVICE        0x00800000u
#define P9C_DMNAMEDPIPE     0x00200000u
#define P9C_DMSOCKET        0x00100000u
#define P9C_DMSETUID        0x00080000u
#define P9C_DMSETGID        0x00040000u
#define P9C_DMSETVTX        0x00010000u

/* A stat, without its size. p9c_stat_clear() frees its strings. */
typedef struct P9CStat {
    uint16_t type;
    uint32_t dev;
    P9CQid qid;
    uint32_t mode, atime, mtime;
    uint64_t length;
    char *name, *uid, *gid, *muid, *extension;
    uint32_t n_uid, n_gid, n_muid;
} P9CStat;

/* For Twstat: every field is "don't touch". Do not free its strings. */
extern const P9CStat p9c_stat_blank;

void p9c_stat_clear(P9CStat *st);

/* Tversion of 9P2000.u with @msize, and Tattach of P9C_ROOT as @uid */
void p9c_session_u(P9Client *c, uint32_t msize, uint32_t uid);

int p9c_open(P9Client *c, uint32_t fid, uint8_t mode, P9CQid *qid,
             uint32_t *iounit);
int p9c_create(P9Client *c, uint32_t fid, const char *name, uint32_t perm,
               uint8_t mode, const char *extension, P9CQid *qid);

/* For several at once, or malformed */
P9Call *p9c_open_call(P9Client *c, uint32_t fid, uint8_t mode);
P9Call *p9c_create_call(P9Client *c, uint32_t fid, const char *name,
                        uint32_t perm, uint8_t mode, const char *extension);
P9Call *p9c_stat_call(P9Client *c, uint32_t fid);

/* The caller clears *st with p9c_stat_clear(). */
int p9c_stat(P9Client *c, uint32_t fid, P9CStat *st);
int p9c_wstat(P9Client *c, uint32_t fid, const P9CStat *st);

/* Tstat must answer these values; a NULL string stands for any. */
void p9c_stat_is(P9Client *c, uint32_t fid, uint8_t qid_type, uint32_t mode,
                 uint64_t length, const char *name, const char *extension);

/*
 * Reads an open directory from @offset: *stats gets new P9CStats, and *bytes
 * the size of the data, which must be whole stats.
 */
int p9c_read_dir(P9Client *c, uint32_t fid, uint64_t offset, uint32_t count,
                 GPtrArray **stats, uint32_t *bytes);
/* All of it, with as many requests as needed */
GPtrArray *p9c_read_dir_all(P9Client *c, uint32_t fid, uint32_t count);
P9CStat *p9c_stat_find(GPtrArray *stats, const char *name);

#endif
