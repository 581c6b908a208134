/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * FsDriver: the operations that the 9p server needs from a file system driver.
 *
 * A driver works on nodes and open files, never on paths, and each
 * operation is the whole step of one 9P message, so that a remote driver needs
 * at most one round trip for it, and a local driver no second lookup.
 *
 * Operations are coroutines in the AioContext that serves the export's devices
 * (export.h) and must not block it: they try system calls that cannot block,
 * hand the rest to a thread or a helper, and yield. A driver may be inside many
 * operations at once. They return 0 (or a count) or -errno.
 *
 * Every operation gets the FsCall it works for (call.h), and returns -EINTR
 * when the call was cancelled and the operation has done nothing.
 */
#ifndef HW_9PFS_FS_DRIVER_H
#define HW_9PFS_FS_DRIVER_H

#include "fsdev/shared/types.h"
#include "qapi/qapi-types-fsdev.h"
#include "qemu/queue.h"
#include "call.h"

typedef struct FsExport FsExport;
typedef struct FsEntry FsEntry;

/* Whether an inode's generation is known (FsDriver.generation) */
typedef enum FsGenState {
    FS_GEN_UNKNOWN,
    FS_GEN_KNOWN,
    FS_GEN_NONE,
} FsGenState;

/*
 * One inode of an export. Drivers embed it at the start of theirs.
 *
 * A guest's dentry cache may hold a million fids, each with a node and an
 * entry here: the fields of both are in an order that leaves no gaps.
 */
typedef struct FsNode {
    FsExport *fs;
    uint64_t dev;
    uint64_t ino;
    uint32_t refs;
    uint16_t type;              /* S_IFMT bits, as the guest sees it */
    uint8_t gen_state;          /* FsGenState */
    bool detached:1;            /* not in the table: fs_node_detach() */
    /* From a migration, and its driver has not found it yet */
    bool restored:1;
    uint64_t gen;
    /* Of node.c alone */
    QLIST_HEAD(, FsEntry) names;    /* entries that mean it and are not gone */
    FsEntry *where;             /* for fs_node_where(): a reference, or NULL */
    QSIMPLEQ_ENTRY(FsNode) dying;
} FsNode;

/* One open file or directory. Drivers embed it at the start of theirs. */
typedef struct FsFile {
    FsNode *node;               /* holds a reference */
    int flags;                  /* open(2) flags it was opened with */
    uint32_t refs;
    int fsync_error;            /* -errno: the next fsync's, once; see settle */
} FsFile;

/* name_to_handle_at(2)'s MAX_HANDLE_SZ */
#define FS_HANDLE_MAX   128

/*
 * How another process finds an inode again, beside its names, which are
 * entries
 */
typedef struct FsNodeState {
    uint64_t dev;
    uint64_t ino;
    uint16_t type;              /* S_IFMT bits */
    uint8_t gen_state;          /* FsGenState */
    uint64_t gen;
    uint64_t born;              /* fs_attr_born(), or 0 */
    int handle_type;            /* of name_to_handle_at(2) */
    uint16_t handle_size;       /* bytes; 0: there is no handle */
    uint8_t handle[FS_HANDLE_MAX];
} FsNodeState;

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
 * Takes a directory entry while FsDriver.readdir runs. Returns false when there
 * is no room for it; a later readdir then starts with it.
 */
typedef bool FsDirFill(void *opaque, const FsDirent *entry);

typedef struct FsDriver {
    FsdevDriver type;

    /*
     * Sets up fs->priv and fs->root from @opts. Runs when the fsdev is made, in
     * the main thread. If it is a coroutine, it yields where it would wait for
     * a peer; it blocks otherwise. Errors name the option and its value.
     */
    bool (*open)(FsExport *fs, const FsdevOptions *opts, Error **errp);
    /* Undoes open. Only the root is in use, and no file. Main thread. */
    void (*close)(FsExport *fs);

    /* The last reference is gone: frees node or file (must not yield). */
    void (*node_free)(FsNode *node);
    void (*file_free)(FsFile *file);

    /*
     * Walks @n (1 to FS_WALK_MAX) names. ".." at the root stays there. Returns
     * 0 if all were found, else the error of the first that was not;
     * walk->walked is the number of names found.
     */
    int coroutine_fn (*walk)(FsCall *call, FsNode *dir,
                             const char *const *names, unsigned n,
                             FsWalk *walk);
    /* @file is NULL or an open file of @node, which may be quicker. */
    int coroutine_fn (*getattr)(FsCall *call, FsNode *node, FsFile *file,
                                FsAttr *attr);
    /*
     * The inode's generation, which tells apart the files that had its number
     * (FS_IOC_GETVERSION). The server asks for it if getattr did not give it,
     * until it is known. NULL if the driver never knows; -EOPNOTSUPP if the
     * file system has none; -EAGAIN if the driver cannot get it now, but maybe
     * with another @file.
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
     * Makes a regular file and opens it; without O_EXCL, opens an existing one.
     * *@node and *@file are references for the caller.
     */
    int coroutine_fn (*create)(FsCall *call, FsNode *dir,
                               const FsMakeArgs *make, int flags,
                               FsNode **node, FsFile **file, FsAttr *attr);
    /* Makes anything else: directory, symbolic link, fifo, socket, device. */
    int coroutine_fn (*make)(FsCall *call, FsNode *dir, const FsMakeArgs *make,
                             FsAttr *attr);
    int coroutine_fn (*link)(FsCall *call, FsNode *node,
                             FsNode *dir, const char *name);
    /* The driver calls fs_rename_begin() and fs_rename_end() around it. */
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
     * Fills in what only the driver knows of @node, born and the handle, in
     * @state, which has all else. Must not yield. NULL if a guest with a
     * session on such an export does not migrate, for the reason in
     * why_not_saved (fs_export_why_not_saved()).
     */
    void (*save_node)(FsNode *node, FsNodeState *state);
    const char *why_not_saved;
    /*
     * A new node, with a reference for the caller, of an inode that is not in
     * the table and not the root. @state comes from a stream, and only its type
     * and sizes are checked. The node has no descriptor: the driver finds the
     * inode when it is used first, by the handle or by the node's entry, which
     * the caller sets (fs_node_set_where()). -ESTALE is what operations return
     * if it is not there, or is another one (born, gen). NULL if the export
     * cannot have such an inode. Must not yield.
     */
    FsNode *(*restore_node)(FsExport *fs, const FsNodeState *state);
    /*
     * NULL, or makes sure that other hosts see what was written to @file,
     * before the session goes on at one of them: 0 or -errno.
     */
    int coroutine_fn (*settle)(FsCall *call, FsFile *file);

    /*
     * NULL, or adds the driver's own members to @info, which is new: helper and
     * descriptors. Export's thread.
     */
    void (*query)(FsExport *fs, FsdevInfo *info);
    /*
     * NULL, or returns the process id of the helper that the driver started, 0
     * if it started none or the helper has ended. Main thread.
     */
    pid_t (*helper_process)(FsExport *fs);

    /*
     * Each is NULL, or called when the export goes to another context. No
     * device uses the export then, but its helper may be lost at any time.
     * detach runs in the old context and takes back all handlers, timers and
     * bottom halves. Then enter runs in the new context, fs->ctx, and at last
     * attach runs in the main thread and sets them up in fs->ctx.
     */
    void (*detach)(FsExport *fs);
    void (*enter)(FsExport *fs);
    void (*attach)(FsExport *fs);
} FsDriver;

/* Makes a driver known; from a function that type_init() names. */
void fs_driver_register(const FsDriver *driver);

/* The driver of that type, or NULL if this binary has none */
const FsDriver *fs_driver_find(FsdevDriver type);

#endif /* HW_9PFS_FS_DRIVER_H */
