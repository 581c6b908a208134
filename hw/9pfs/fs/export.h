/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * FsExport: one configured share, `-fsdev DRIVER,id=ID,...`, as drivers and
 * the server see it.
 *
 * The registry makes exports (fsdev/registry/registry.c), and keeps the state
 * that only -fsdev and QMP need to itself. The server keeps its own state of an
 * export, which outlives devices, in FsExport.server.
 *
 * An export has one AioContext, fs->ctx. The servers of its devices, the
 * driver's operations, its channel to a helper and its timers run in that
 * context's thread, which also owns the tables of nodes, names and qids. None
 * of them has a lock. The context is the main loop's until a device with an
 * IOThread comes, and again when the last such device has gone (context.c); all
 * devices of an export have the same. Only the main thread makes and ends
 * exports, starts helpers and waits for them, and changes fs->ctx. It does all
 * other work on an export in the export's context (fs_context_run()).
 *
 * A comment that names the main thread, or the export's thread where that is
 * the main thread, also means a vCPU's thread while it has the big lock.
 */
#ifndef HW_9PFS_FS_EXPORT_H
#define HW_9PFS_FS_EXPORT_H

#include "block/aio.h"
#include "qemu/notify.h"
#include "qapi/qapi-types-fsdev.h"
#include "fsdev/shared/xattr-names.h"
#include "driver.h"
#include "node.h"

/*
 * Fids of an export, if max_fids does not say less: a bound on the memory that
 * a guest can make QEMU spend, far above what its dentry cache needs
 */
#define FS_FIDS_MAX     (4 * 1024 * 1024)

/*
 * The state that a server keeps for an export. The server embeds it at the
 * start of its own, and sets FsExport.server when the first device comes.
 */
typedef struct FsServerState {
    /* Adds the server's counters to @info. Export's thread. */
    void (*query)(struct FsServerState *state, FsdevInfo *info);
    /* The export ends. Main thread. */
    void (*free)(struct FsServerState *state);
} FsServerState;

/* The argument of FsExport.on_helper's notifiers, in the main thread */
typedef struct FsHelperEvent {
    FsExport *fs;
    bool reconnected;           /* another helper is there; else it is lost */
    const char *why;            /* why it is lost; NULL with reconnected */
} FsHelperEvent;

struct FsExport {
    char *id;
    const FsDriver *driver;
    void *priv;                 /* the driver's */
    FsNode *root;               /* a reference of the export's own */
    FsNodes nodes;
    FsServerState *server;      /* NULL before the first device */

    AioContext *ctx;            /* where it runs: see above */
    char *ctx_owner;            /* id of that IOThread; NULL: the main loop */
    bool moving;                /* from one context to another */
    unsigned users;             /* devices on it */

    bool readonly;
    FsXattrNames xattrs;        /* that guests may use */
    uint32_t max_xattr;         /* xattr fids open at once; 0: no limit */
    uint32_t max_open_files;    /* 0: as many as there are descriptors */
    uint32_t max_fids;          /* 0: FS_FIDS_MAX */
    FsdevMultidevs multidevs;
    bool multidevs_warned;      /* that there are several */
    FsdevMigration migration;
    bool has_on_missing;
    FsdevOnMissing on_missing;
    uint32_t opening;           /* between fs_export_open_begin() and end */
    struct FsThrottle *throttle;    /* NULL: no limits */
    struct HostDirs *dirs;      /* host/file.c's; NULL before the first */
    /*
     * A count, in a g_atomic_rc_box, of files that are being closed in threads:
     * then what was written to them goes to a file server. aio_wait_kick()
     * follows a change.
     */
    unsigned *closing;
    /*
     * Set by the driver while its open waits for a peer: makes the open fail
     * soon. Main thread.
     */
    void (*hurry)(void *opaque);
    void *hurry_opaque;
    bool hurried;               /* also if there was no hurry to call yet */
    /*
     * Notified with an FsHelperEvent when the driver's helper is lost, and when
     * another one replaces it. All zero is empty.
     */
    NotifierList on_helper;
};

/*
 * Parses the option xattr-map, @rules (xattr-map.h), in *@map, which is NULL if
 * @rules is NULL. Errors name the option. fs_export_release() frees a map in
 * FsExport.xattrs.
 */
bool fs_export_parse_xattr_map(const char *rules, FsXattrMap **map,
                               Error **errp);

/*
 * A driver calls init at the start of its open, before it makes any node. It
 * returns false with an error that names the option, and then there is nothing
 * to undo. The driver calls release at the end of its close, and when its open
 * fails after init.
 */
bool fs_export_init(FsExport *fs, const FsdevOptions *opts, Error **errp);
void fs_export_release(FsExport *fs);

/*
 * Whether files on the host device @dev may be shown: 0, or -EXDEV where
 * multidevs=forbid and @dev is not the root's. With multidevs=warn, logs the
 * first other device.
 */
int fs_export_admit_dev(FsExport *fs, uint64_t dev);

static inline uint32_t fs_export_max_fids(const FsExport *fs)
{
    return fs->max_fids ?: FS_FIDS_MAX;
}

/*
 * Whether the guest has made the export know so many files that it may not
 * reach others. A guest that holds a fid of each directory on the way to a
 * file, as Linux does, has no more files than fids; but one fid alone may hold
 * a path of any length.
 */
bool fs_export_full(const FsExport *fs);

/*
 * Around an open of a file for the guest: 0, or -ENFILE when max_open_files are
 * open or being opened. The caller calls end only after 0.
 */
int fs_export_open_begin(FsExport *fs);
void fs_export_open_end(FsExport *fs);

/*
 * Why a guest that has a session on the export can be neither saved nor
 * migrated: the end of a sentence that begins with the export. NULL if it can.
 * Any thread.
 */
const char *fs_export_why_not_saved(const FsExport *fs);

static inline bool fs_export_migrates(const FsExport *fs)
{
    return !fs_export_why_not_saved(fs);
}

/*
 * Adds to @info, which is new, the counters of the export, its server and its
 * driver. Export's thread.
 */
void fs_export_query(FsExport *fs, FsdevInfo *info);

#endif /* HW_9PFS_FS_EXPORT_H */
