/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * FsDriver: what the 9p server asks of a file system driver.
 *
 * An export (FsExport) is one configured share: `-fsdev DRIVER,id=ID,...`. Its
 * driver works on nodes and open files, never on paths, and each operation is
 * the whole step of one 9P message, so that a remote driver needs at most one
 * round trip for it and a local one no second lookup.
 *
 * A node (FsNode) is one inode, shared by everybody who found it: a table of
 * the export keeps one per device and inode number. Nodes and files are
 * counted; the last unref releases them through the driver. A node has no name; names
 * are entries (FsEntry), for those who need to find an inode by one.
 *
 * Operations are coroutines in the AioContext that serves the export's
 * devices and must not block it: they try what cannot block, and hand the
 * rest to a thread or a helper and yield. A driver may be inside many
 * operations at once. They return 0 (or a count) or -errno.
 *
 * An export has one AioContext, fs->ctx, and everything of it runs there: the
 * servers of its devices, the driver's operations, its channel to a helper,
 * the export's timers, and the tables of nodes, names and qids. Nothing of
 * that has a lock. It is the main loop until a device with an IOThread comes,
 * and again when the last such device has gone (context.c); all devices of
 * an export have the same. The main thread alone makes and ends exports,
 * starts and awaits helpers, and changes fs->ctx; what it wants to know or
 * change otherwise, it does in the export's context (fs_context_run()).
 *
 * Every operation gets the FsCall it works for. A driver that waits without a
 * bound waits with fs_call_sleep(), and returns -EINTR when the call was
 * cancelled and nothing was done.
 */
#ifndef HW_9PFS_FS_DRIVER_H
#define HW_9PFS_FS_DRIVER_H

#include "fsdev/shared/types.h"
#include "block/aio.h"
#include "qemu/coroutine.h"
#include "qemu/notify.h"
#include "qapi/qapi-types-fsdev.h"
#include "hw/9pfs/server/qid.h"

typedef struct FsDriver FsDriver;
typedef struct FsExport FsExport;
typedef struct FsEntry FsEntry;

/* What is known of an inode's generation (FsDriver.generation) */
typedef enum FsGenState {
    FS_GEN_UNKNOWN,
    FS_GEN_KNOWN,
    FS_GEN_NONE,
} FsGenState;

/*
 * One inode of an export. Drivers embed it at the start of theirs.
 *
 * A guest's dentry cache may hold a million fids, and each may be a node and
 * an entry here: fields of these are ordered to leave no gaps.
 */
typedef struct FsNode {
    FsExport *fs;
    uint64_t dev;
    uint64_t ino;
    uint32_t refs;
    uint16_t type;              /* S_IFMT bits, as the guest sees it */
    uint8_t gen_state;          /* FsGenState */
    bool detached;              /* not in the table: fs_node_detach() */
    uint64_t gen;
    QLIST_HEAD(, FsEntry) names;    /* entries that mean it and are not gone */
    /*
     * Of drivers that find inodes by name: one of the names, with a reference;
     * fs_node_where() has it. NULL for the root.
     */
    FsEntry *where;
    QSIMPLEQ_ENTRY(FsNode) dying;
} FsNode;

/*
 * A name in a directory and the node that it was when it was last looked up,
 * shared by all who came by it. Renames and removals through the server keep
 * it right for all of them at once (node.c).
 */
struct FsEntry {
    FsNode *parent;             /* holds a reference */
    FsNode *node;               /* no reference; NULL once the node is freed */
    QLIST_ENTRY(FsEntry) of_node;
    char *name;                 /* in room, or elsewhere after a rename */
    uint32_t refs:31;
    bool gone:1;                /* not in the table: the name is no more */
    char room[];
};

/* One open file or directory. Drivers embed it at the start of theirs. */
typedef struct FsFile {
    FsNode *node;               /* holds a reference */
    int flags;                  /* open(2) flags it was opened with */
    uint32_t refs;
} FsFile;

/* One request's way through a driver. */
typedef struct FsCall {
    bool cancelled;
    bool others;                /* there were other requests when it began */
    QemuCoSleep sleep;
    /*
     * Set by a driver while it waits for an answer that it can give up on;
     * called at most once, from fs_call_cancel().
     */
    void (*on_cancel)(struct FsCall *call, void *opaque);
    void *on_cancel_opaque;
    /*
     * Set by a driver while it waits for somebody who may never answer: ends
     * the operation at once with an error, though nobody knows what becomes of
     * it. Called at most once, from fs_call_abandon().
     */
    void (*on_abandon)(struct FsCall *call, void *opaque);
    void *on_abandon_opaque;
} FsCall;

/*
 * Sleeps until @ns nanoseconds have passed (< 0: for ever) or the call is
 * cancelled. Returns false when it was cancelled.
 */
bool coroutine_fn fs_call_sleep(FsCall *call, int64_t ns);

/* From outside the coroutine: asks the operation to stop waiting. */
void fs_call_cancel(FsCall *call);

/*
 * The same, for a call that was cancelled and goes on: its client is gone.
 * Whether there was something to give up; the call may be over then.
 */
bool fs_call_abandon(FsCall *call);

/* Result of FsDriver.walk. The nodes are references for the caller. */
typedef struct FsWalk {
    unsigned walked;
    FsAttr attr[FS_WALK_MAX];
    FsNode *node;               /* of the last name, if all were found */
    /*
     * The directory that holds the last name; the start of the walk when it
     * had one name, NULL when the last name is "..".
     */
    FsNode *parent;
} FsWalk;

/*
 * Takes a directory entry while FsDriver.readdir runs; false when there is no
 * room for it (it will be asked for again).
 */
typedef bool FsDirFill(void *opaque, const FsDirent *entry);

struct FsDriver {
    FsdevDriver type;

    /*
     * Sets up fs->priv and fs->root from @opts; may block (it runs when the
     * fsdev is made). Errors name the option and its value.
     */
    bool (*open)(FsExport *fs, const FsdevOptions *opts, Error **errp);
    /* Undoes open. No node but the root, and no file, is in use. */
    void (*close)(FsExport *fs);

    /* The last reference is gone: frees node or file (must not yield). */
    void (*node_free)(FsNode *node);
    void (*file_free)(FsFile *file);

    /*
     * Walks @n (1 to FS_WALK_MAX) names. ".." at the root stays there. Returns
     * 0 if all were found, else the error of the first that was not, with
     * walk->walked telling how many were found before it.
     */
    int coroutine_fn (*walk)(FsCall *call, FsNode *dir,
                             const char *const *names, unsigned n,
                             FsWalk *walk);
    /* @file is NULL or an open file of @node, which may be quicker. */
    int coroutine_fn (*getattr)(FsCall *call, FsNode *node, FsFile *file,
                                FsAttr *attr);
    /*
     * The inode's generation, which tells apart the files that had its number
     * (FS_IOC_GETVERSION): asked for when getattr did not give it, and not
     * again once it is known. NULL when the driver never knows; -EOPNOTSUPP
     * when the file system does not; -EAGAIN when it cannot be told now, but
     * maybe with another @file.
     */
    int coroutine_fn (*generation)(FsCall *call, FsNode *node, FsFile *file,
                                   uint64_t *gen);
    int coroutine_fn (*setattr)(FsCall *call, FsNode *node, FsFile *file,
                                const FsSetAttr *set);
    /* Target, NUL-terminated */
    int coroutine_fn (*readlink)(FsCall *call, FsNode *node,
                                 char *buf, size_t size);
    int coroutine_fn (*statfs)(FsCall *call, FsNode *node, FsStatfs *st);

    /* open(2) of the inode; @flags are the host's. */
    int coroutine_fn (*open_file)(FsCall *call, FsNode *node, int flags,
                                  FsFile **file);
    /*
     * Makes a regular file and opens it; without O_EXCL an existing one is
     * opened. All results are references for the caller.
     */
    int coroutine_fn (*create)(FsCall *call, FsNode *dir, const FsMakeArgs *make,
                               int flags, FsNode **node, FsFile **file,
                               FsAttr *attr);
    /* Makes anything else: directory, symbolic link, fifo, socket, device. */
    int coroutine_fn (*make)(FsCall *call, FsNode *dir, const FsMakeArgs *make,
                             FsAttr *attr);
    int coroutine_fn (*link)(FsCall *call, FsNode *node,
                             FsNode *dir, const char *name);
    int coroutine_fn (*rename)(FsCall *call,
                               FsNode *olddir, const char *oldname,
                               FsNode *newdir, const char *newname);
    /* @expect: NULL, or the node that @name must be, else -ESTALE */
    int coroutine_fn (*unlink)(FsCall *call, FsNode *dir, const char *name,
                               bool rmdir, FsNode *expect);

    /* Bytes moved; @offset is below INT64_MAX with the length added. */
    ssize_t coroutine_fn (*read)(FsCall *call, FsFile *file,
                                 const struct iovec *iov, int niov,
                                 uint64_t offset);
    ssize_t coroutine_fn (*write)(FsCall *call, FsFile *file,
                                  const struct iovec *iov, int niov,
                                  uint64_t offset);
    /*
     * Entries from @offset on (0, or FsDirent.next of an earlier one), "."
     * and ".." among them, until @fill has no room or the directory ends.
     */
    int coroutine_fn (*readdir)(FsCall *call, FsFile *file, uint64_t offset,
                                FsDirFill *fill, void *opaque);
    int coroutine_fn (*fsync)(FsCall *call, FsFile *file, bool datasync);
    /*
     * fcntl(2) F_OFD_SETLK (or F_OFD_GETLK if @test) on the open file: the
     * open file description owns the lock. Never waits: -EAGAIN. NULL when
     * the driver has no locks.
     */
    int coroutine_fn (*lock)(FsCall *call, FsFile *file, struct flock *lock,
                             bool test);

    /*
     * Value of the xattr @name, or the list of names, NUL-terminated each, if
     * @name is NULL: *value is new memory (g_free).
     */
    int coroutine_fn (*getxattr)(FsCall *call, FsNode *node, const char *name,
                                 uint8_t **value, size_t *size);
    int coroutine_fn (*setxattr)(FsCall *call, FsNode *node, const char *name,
                                 const void *value, size_t size, int flags);
    int coroutine_fn (*removexattr)(FsCall *call, FsNode *node,
                                    const char *name);

    /*
     * NULL, or adds what only the driver knows to @info, which is new: @helper
     * and @descriptors.
     */
    void (*query)(FsExport *fs, FsdevInfo *info);
    /*
     * NULL, or the process id of the helper, if the driver started one that
     * has not ended yet, else 0. Main thread.
     */
    pid_t (*helper_process)(FsExport *fs);

    /*
     * NULL, or: the export goes to another context. No device uses it, but its
     * helper may be lost meanwhile. detach runs in the old context and takes
     * back all handlers, timers and bottom halves; attach runs in the main
     * thread and sets them up in fs->ctx.
     */
    void (*detach)(FsExport *fs);
    void (*attach)(FsExport *fs);
    /* NULL, or the handle that counts for @node, to go there with it */
    struct HostFd *(*node_fd)(FsNode *node);
};

/* What became of messages of one kind */
typedef struct FsMessageStats {
    const char *name;           /* NULL: there were none */
    uint64_t count;             /* ended, in whatever way */
    uint64_t errors;
    uint64_t total_ns;
    uint64_t max_ns;
} FsMessageStats;

/* Kinds of messages: the T-types' numbers, 0 for those that there are not */
#define FS_MESSAGES     128

/* What FsExport.on_helper tells of, in the main thread */
typedef struct FsHelperEvent {
    FsExport *fs;
    bool found;                 /* the helper is there again; else it is lost */
    const char *why;            /* it is lost; NULL with found */
} FsHelperEvent;

struct FsExport {
    char *id;
    FsdevOptions *opts;         /* what it was made of */
    const FsDriver *driver;
    void *priv;                 /* the driver's */
    FsNode *root;               /* a reference of the export's own */
    AioContext *ctx;            /* where it runs: see above */
    char *ctx_owner;            /* id of that IOThread; NULL: the main loop */
    bool moving;                /* from one to another */
    bool readonly;
    uint32_t max_xattr;         /* xattr fids open at once; 0: no limit */
    uint32_t open_xattr;        /* how many are */
    FsdevMultidevs multidevs;
    bool multidevs_told;        /* that there are several */
    struct FsThrottle *throttle;    /* NULL: no limits */
    unsigned users;             /* devices on it */
    GHashTable *nodes;          /* by (dev, ino); NULL before the first */
    GHashTable *entries;        /* by (parent, name); likewise */
    P9QidMap qids;              /* the same for all devices and sessions */
    QSIMPLEQ_HEAD(, FsNode) dying;  /* while nodes are being freed */
    bool freeing;
    unsigned renaming;          /* renames under way */
    CoQueue renamed;            /* woken when one of them is over */
    /*
     * Told with a FsHelperEvent whenever the driver's helper process is lost
     * and found again; not of the first. All zero is empty.
     */
    NotifierList on_helper;
    Notifier helper_notifier;   /* of those who make QMP's events of it */
    uint64_t helpers_lost;
    FsMessageStats messages[FS_MESSAGES];
    unsigned in_flight;         /* requests under way */
    uint64_t open_files;
    QTAILQ_ENTRY(FsExport) next;
};

/*
 * Makes a driver known to the registry (fsdev/registry/registry.c); from a function
 * that type_init() names.
 */
void fs_driver_register(const FsDriver *driver);

/*
 * To be called by a driver at the start of its open, before any node is made:
 * false with an error that names the option, and nothing to undo; and at the
 * end of its close, or when open fails after all.
 */
bool fs_export_init(FsExport *fs, const FsdevOptions *opts, Error **errp);
void fs_export_release(FsExport *fs);

/*
 * One more device on the export, to be served in @ctx: the main loop's context
 * if @owner is NULL, else that of the IOThread with that id. The first device
 * brings the export there. False with an error that names the export and the
 * property if other devices have it elsewhere. Main thread, as is the other:
 * the device is gone, and with the last one the export is the main loop's.
 */
bool fs_export_join(FsExport *fs, AioContext *ctx, const char *owner,
                    Error **errp);
void fs_export_leave(FsExport *fs);

/*
 * From the main thread, or from within @ctx: has @fn done in @ctx, and waits
 * for that. What else waits for the main loop goes on meanwhile.
 */
void fs_context_run(AioContext *ctx, void (*fn)(void *opaque), void *opaque);

/*
 * Has @fn done in the main thread: at once if this is it (or has the big lock),
 * else soon, and before anything that the main thread is asked for later.
 */
void fs_main_run(void (*fn)(void *opaque), void *opaque);

/*
 * Whether files on the host device @dev may be shown: 0, or -EXDEV where
 * multidevs=forbid and it is not the root's. With multidevs=warn the first
 * other device is told of.
 */
int fs_export_admit_dev(FsExport *fs, uint64_t dev);

/* The export's node for an inode, with a new reference, or NULL. */
FsNode *fs_node_find(FsExport *fs, uint64_t dev, uint64_t ino);

/*
 * Initialises a driver's new node with one reference and puts it into the
 * table; none may be there for the inode.
 */
void fs_node_init(FsNode *node, FsExport *fs, const FsAttr *attr);

/*
 * Takes the node out of the table: its inode is no more, and another one got
 * the number. Those who hold it keep it.
 */
void fs_node_detach(FsNode *node);

FsNode *fs_node_ref(FsNode *node);
void fs_node_unref(FsNode *node);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsNode, fs_node_unref)

/* Initialises a driver's new file with one reference; takes one on @node. */
void fs_file_init(FsFile *file, FsNode *node, int flags);
FsFile *fs_file_ref(FsFile *file);
void fs_file_unref(FsFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsFile, fs_file_unref)

/*
 * The entry for @name in @parent, which is @node: with a reference for the
 * caller. An entry of that name for another node is out of date: it is marked
 * as gone.
 */
FsEntry *fs_entry_get(FsExport *fs, FsNode *parent, const char *name,
                      FsNode *node);
/* As it is known now, with a reference, or NULL */
FsEntry *fs_entry_find(FsExport *fs, FsNode *parent, const char *name);
FsEntry *fs_entry_ref(FsEntry *entry);
void fs_entry_put(FsEntry *entry);

/* The name was removed, or means another node. */
void fs_entry_gone(FsEntry *entry);

/* @entry was renamed; whatever was there before is gone. */
void fs_entry_move(FsEntry *entry, FsNode *parent, const char *name);

/* Whether @entry is still @name in @parent */
bool fs_entry_is(const FsEntry *entry, const FsNode *parent,
                 const char *name);

/*
 * An entry to find @node by, without a reference: the one it has, or another
 * that is known. NULL if there is none.
 */
FsEntry *fs_node_where(FsNode *node);
/* @entry, with a reference that is taken over, becomes the one. */
void fs_node_set_where(FsNode *node, FsEntry *entry);
/* @node was renamed into @dir, and the server is about to move its entry. */
void fs_node_moved(FsNode *node, FsNode *dir);

/*
 * Around a driver's rename and what it does to entries. Whoever looks an
 * inode up by its entry meanwhile may not find it, and then asks
 * fs_rename_wait(): true when a rename was under way, which is over now, so
 * that it is worth another try.
 */
void fs_rename_begin(FsExport *fs);
void coroutine_fn fs_rename_end(FsExport *fs);
bool coroutine_fn fs_rename_wait(FsExport *fs);

#endif /* HW_9PFS_FS_DRIVER_H */
