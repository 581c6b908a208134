/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * File operations on the host, relative to open handles and safe against
 * symbolic links. The helper runs them for the proxy driver; QEMU itself runs
 * them for the local driver.
 *
 * A handle here is a control FD: an O_PATH descriptor of an inode inside the
 * export. No function takes a path: names are single components, checked with
 * fs_name_check(), and looked up with openat2(2) and RESOLVE_BENEATH |
 * RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS, so a link or a rename race
 * cannot lead out. Operations that the kernel has only by path (chmod, xattrs,
 * reopening an O_PATH handle) go through the handle's own magic link in
 * /proc/self/fd.
 *
 * Ids are the kernel's as this process sees them (inside a user namespace:
 * that namespace's). The process' umask must be 0. All functions may block.
 * They are thread-safe; they return -errno on failure.
 */
#ifndef FSDEV_SHARED_HOSTFS_H
#define FSDEV_SHARED_HOSTFS_H

#include "types.h"
#include "xattr-names.h"

struct IdTranslate;             /* id-translate.h */

/*
 * How this thread makes objects as another user, and changes them. The call
 * that makes one gives it owner, group and mode, and no other follows: the
 * kernel or a file server decides, as for any process of that user.
 */
typedef struct HostMaking {
    /*
     * Before that call, in the directory @dir, for an object that shall have
     * the group @gid. May take bits from *@mode. 0 or -errno
     */
    int (*begin)(int dir, uint32_t gid, uint32_t *mode);
    /* After it */
    void (*end)(void);
    /*
     * Whether the user may set the set-group-id bit of what has the group @gid,
     * as chmod(2) decides. A file server may not know that a request gave the
     * group.
     */
    bool (*may_set_gid)(uint32_t gid);
    /*
     * Before a change of the regular file @node, of the owner @uid and group
     * @gid, that a user's write(2) makes, too: the thread works as that owner.
     * 0, or -errno: -EPERM if the user may not write to the file
     */
    int (*owner_begin)(int node, uint32_t uid, uint32_t gid);
    /* After it. False if the thread may not become the user again */
    bool (*owner_end)(void);
} HostMaking;

/* Whom an object belongs to that is made with ids of -1 */
typedef enum HostOwner {
    HOST_OWNER_SELF,            /* as the file system chooses: this process */
    HOST_OWNER_DIR,             /* the owner and group of its directory */
    HOST_OWNER_GIVEN,           /* HostFs.new_uid and HostFs.new_gid */
} HostOwner;

typedef struct HostFs {
    int root;                   /* handle of the export's root */
    uint64_t root_dev;
    uint64_t root_ino;
    /* The mount whose root is the export's, as its HostPlace has it; or 0 */
    uint64_t own_mount;
    /*
     * The prefix that makes a descriptor number the name of its magic link:
     * "/proc/self/fd/", or "" for threads whose working directory is
     * /proc/self/fd (in a mount namespace without /proc).
     */
    const char *fd_prefix;
    bool readonly;              /* answer -EROFS to any change */
    bool ignore_chown_failure;  /* security_model=none */
    /*
     * If the host answers EACCES for an inode of this process' effective user,
     * grants the owner the missing permissions during the operation: its own
     * mode bits bind an owner other than root, but not the guest's root. For
     * the local driver. A process that dies within the operation leaves the
     * permissions there (hostfs-access.c).
     */
    bool own_access;
    /* For threads that must not wait: -EAGAIN in place of own_access */
    bool at_once;
    /*
     * Handles of regular files may be open files, too, by which reading xattrs
     * is quicker. For programs that are no server.
     */
    bool open_handles;
    /*
     * NULL, or: the names of xattrs come from a peer, and only these exist. For
     * the helper.
     */
    const FsXattrNames *guest_xattrs;
    /*
     * NULL, or: the POSIX ACLs that hostfs_getxattr() and hostfs_setxattr()
     * read and write have the guest's ids, which this translates. All other ids
     * are the host's.
     */
    struct IdTranslate *ids;
    /*
     * Character and block devices are files that stand for them
     * (special-file.h). Functions of this header that have a HostFs then see,
     * make and change devices. For the helper.
     */
    bool maps_devices;
    /*
     * A value of a view (view.h) that is there, but that this process may not
     * read, is an error, and does not count as absent. For programs that look
     * after a share, and must not take the host's values for the guest's.
     */
    bool strict_views;
    /* For programs that root runs on what others serve */
    HostOwner new_owner;
    uint32_t new_uid;
    uint32_t new_gid;
    /*
     * The user that this thread makes objects as (setfsuid(2)); NULL: its
     * effective user
     */
    uint32_t (*acting_uid)(void);
    /* NULL, or: objects are made for that user, in one step; see there. */
    const HostMaking *making;
    /*
     * This process is in a user namespace: the kernel takes set-id bits away
     * when it writes to a file or truncates one, whatever its capabilities.
     * hostfs puts them back. For the helper.
     */
    bool loses_set_id;
} HostFs;

/*
 * @root: an O_PATH descriptor of a directory, whose ownership passes to @hfs.
 * -ENOTDIR if it is no directory.
 */
int hostfs_init(HostFs *hfs, int root, const char *fd_prefix);
void hostfs_destroy(HostFs *hfs);

/* Result of a walk. The caller closes the handles; -1 is none. */
typedef struct HostWalk {
    unsigned walked;            /* names that were found */
    FsAttr attr[FS_WALK_MAX];   /* of each of them */
    int node;                   /* handle of the last, if all were found */
    int parent;                 /* handle of the directory it was found in */
} HostWalk;

/* The place of a handle: the same inode may be mounted in several places. */
typedef struct HostPlace {
    uint64_t dev;
    uint64_t ino;
    uint64_t mount;             /* statx(2), STATX_MNT_ID; 0: unknown */
} HostPlace;

/* The mount whose root @fd is, as its HostPlace has it; or 0. Does not wait. */
uint64_t hostfs_own_mount(int fd);

/* Does not wait. */
int hostfs_place(int fd, HostPlace *place);

/* What the caller of a walk knows of the directories above its start */
typedef struct HostKnown {
    /*
     * Whether @above is the inode of the directory in which a walk from the
     * export's root found the directory @dir
     */
    bool (*is_above)(void *opaque, const HostPlace *dir, const FsAttr *above);
    void *opaque;
} HostKnown;

/*
 * Walks @names from the handle @from. ".." at the root stays at the root, and
 * elsewhere gives the parent only while that lies in the export; a name with
 * a slash gives -ENOENT (9P2000, walk(5)). Returns 0 if all names were found,
 * otherwise the error of the first missing one; walk->walked counts those that
 * were found. parent is -1 if @n is 1 (it is @from) or the last name is "..".
 *
 * A parent that @known (or NULL) knows counts as in the export, and so does one
 * that the kernel says is. Otherwise hostfs looks for the root above it, in at
 * most 1024 directories for the whole walk, and if it is further away, finds
 * nothing.
 */
int hostfs_walk_known(const HostFs *hfs, int from, const HostKnown *known,
                      const char *const *names, unsigned n, HostWalk *walk);

/* Whether work may wait for storage, a server or another process */
typedef enum HostWait {
    HOST_WAIT_NEVER,            /* it never waits: do it at once */
    HOST_WAIT_TRY_FIRST,        /* it may wait: try without; -EAGAIN if not */
    HOST_WAIT_POOL,             /* it may wait: do it in a pool's thread */
} HostWait;

/*
 * One step of a walk: a handle of @name in @dir, with its attributes. ".." is
 * as in hostfs_walk_known(). @wait is about @dir's own file system: without
 * HOST_WAIT_POOL, it finds only names in the kernel's cache (openat2(2),
 * RESOLVE_CACHED). -EAGAIN: the caller must try again with HOST_WAIT_POOL, or
 * later if it was that: another file system has its share of threads
 * (thread-budget.h).
 */
int hostfs_step(const HostFs *hfs, int dir, const char *name, HostWait wait,
                FsAttr *attr);

/*
 * The guest's type (DT_*) of the entry @name of @dir, which is of @type on the
 * host. DT_UNKNOWN if the entry has just gone or is a mount. May block.
 */
unsigned char hostfs_entry_type(const HostFs *hfs, int dir, const char *name,
                                unsigned char type);

/*
 * A handle of @path below @dir, if the kernel has all of it in its cache; else
 * -EAGAIN. -EINVAL before Linux 5.12. Does not wait.
 */
int hostfs_open_cached(int dir, const char *path);

/* Whether something is mounted on @name in @dir. Waits for @dir's own only. */
bool hostfs_is_mount(int dir, const char *name);

/* The step "..", as hostfs_walk_known() makes it */
int hostfs_step_up(const HostFs *hfs, int dir, const HostKnown *known,
                   FsAttr *attr);

/*
 * The inode's generation (FS_IOC_GETVERSION) of a regular file or directory;
 * -EOPNOTSUPP if there is none, or if this process may not read the inode.
 */
int hostfs_generation(const HostFs *hfs, int node, uint64_t *gen);

/* The attributes of a handle or an open file */
int hostfs_getattr(int fd, FsAttr *attr);

/* The same of a handle, as the guest sees it (HostFs.maps_devices) */
int hostfs_view(const HostFs *hfs, int node, FsAttr *attr);

/*
 * hostfs_getattr(), as far as the kernel has them at hand: type, device and
 * inode are right, others may be older. Does not wait.
 */
int hostfs_peek(int fd, FsAttr *attr);

/*
 * Makes the change in the order size, owner, mode, times; an error leaves
 * the later parts undone. Setting an owner clears set-id bits as chown(2)
 * does, unless the change has a mode. @file: an open, writable file of the
 * inode for the size, or -1.
 */
int hostfs_setattr(const HostFs *hfs, int node, int file, const FsSetAttr *set);

/*
 * Takes away a file's capabilities (capabilities(7)), as chown(2) does: for a
 * change of the owner that does not reach the host. The owner can do this.
 */
int hostfs_drop_capability(const HostFs *hfs, int node);

/* Puts the target, NUL-terminated, into @buf. -ENAMETOOLONG: does not fit. */
int hostfs_readlink(int node, char *buf, size_t size);

int hostfs_statfs(int node, FsStatfs *st);

/* The open(2) flags that a guest may choose; hostfs drops all others. */
#define HOSTFS_OPEN_FLAGS (O_ACCMODE | O_APPEND | O_TRUNC | O_NONBLOCK | \
                           O_DSYNC | O_SYNC | O_DIRECTORY | O_NOATIME | \
                           O_NOFOLLOW | O_LARGEFILE | O_DIRECT)

/*
 * Opens the inode again for I/O. Only for regular files and directories: -ELOOP
 * for a symbolic link, -ENXIO for everything else (it never opens a device or
 * waits for a fifo's other end). Returns the descriptor, with O_DIRECT only if
 * the file system has it, with O_NOATIME only if this process may, and never
 * with O_NONBLOCK. -EAGAIN: another process holds a lease (fcntl(2)), and the
 * kernel has asked it to give that up; try again in a while.
 */
int hostfs_open(const HostFs *hfs, int node, int flags);

/*
 * pwrite(2) to a regular file, which keeps its set-id bits, as far as this
 * process may (CAP_FSETID). Of @flags, O_APPEND, O_DSYNC and O_SYNC count.
 * Returns the bytes written. -EAGAIN as hostfs_open().
 */
ssize_t hostfs_write(const HostFs *hfs, int node, int flags, const void *buf,
                     size_t size, uint64_t offset);

/*
 * Entries of an open directory, from its position on, as records of
 * getdents64(2): bytes in @buf, or -errno. *@end: there are no more. After some
 * entries, the next call reports an error.
 */
ssize_t hostfs_getdents(int fd, uint8_t *buf, size_t size, bool *end);

/* The same of a directory that it opens; 0: from @offset on, there are none. */
ssize_t hostfs_readdir(const HostFs *hfs, int node, uint64_t offset,
                       uint8_t *buf, size_t size);

/* In such a record: the entry's type (DT_*), one byte */
#define HOSTFS_DIRENT_TYPE  18

/* Reads a record, of the kernel or hostfs_dirent_put(): its size. */
size_t hostfs_dirent_get(const uint8_t *p, FsDirent *entry);

/* Writes a record: its size, or 0 if @size is too small. */
size_t hostfs_dirent_put(uint8_t *p, size_t size, const FsDirent *entry);

/*
 * Makes make->name in @dir, with owner and mode, and opens it. The object first
 * has no permissions and gets its owner before its mode, so no process can open
 * it in between with rights that its owner would not give. Ids of -1 leave the
 * owner to HostFs.new_owner, and the mode as it is if the file system has no
 * such modes.
 * Opens an existing regular file instead, as hostfs_open() does, unless @flags
 * has O_EXCL (open(2)). Returns the open descriptor, with a handle in *@node
 * and its attributes.
 */
int hostfs_create(const HostFs *hfs, int dir, const FsMakeArgs *make, int flags,
                  int *node, FsAttr *attr);

/*
 * Makes a regular file in @dir that has no name until hostfs_link() gives it
 * one; no process sees it before. The file system chooses its owner. Returns
 * it open for reading and writing, with a handle in *@node; -EOPNOTSUPP if the
 * file system has no O_TMPFILE (open(2)).
 */
int hostfs_create_unnamed(const HostFs *hfs, int dir, uint32_t mode,
                          int *node);

/*
 * Makes a directory, symbolic link, fifo, socket, device node or (unopened)
 * regular file. *@attr gets its attributes.
 */
int hostfs_make(const HostFs *hfs, int dir, const FsMakeArgs *make,
                FsAttr *attr);

int hostfs_link(const HostFs *hfs, int node, int dir, const char *name);
int hostfs_rename(const HostFs *hfs, int olddir, const char *oldname,
                  int newdir, const char *newname);

/*
 * Whether an error of hostfs_link() may mean that the file system has no hard
 * links (link(2)): then no file without a name gets one.
 */
static inline bool hostfs_has_no_links(int ret)
{
    return ret == -EPERM || ret == -EOPNOTSUPP;
}

/*
 * close(2) of a file that this process has written: 0 or -errno. A file server
 * or a quota may refuse only then what write(2) took.
 */
int hostfs_close_written(int fd);

/* Removes @name if it is still the inode that hostfs_make() said it @made. */
void hostfs_unmake(const HostFs *hfs, int dir, const char *name,
                   const FsAttr *made);

/*
 * Removes @name: a directory if @rmdir, otherwise anything except a directory.
 * With @expect (>= 0, a handle), -ESTALE if the name means another inode.
 */
int hostfs_unlink(const HostFs *hfs, int dir, const char *name, bool rmdir,
                  int expect);

/*
 * Puts the value of the xattr @name, or the list of names if @name is NULL,
 * into @buf. Returns the length (with @size 0, without a value), or -ERANGE.
 */
ssize_t hostfs_getxattr(const HostFs *hfs, int node, const char *name,
                        void *buf, size_t size);
int hostfs_setxattr(const HostFs *hfs, int node, const char *name,
                    const void *value, size_t size, int flags);
int hostfs_removexattr(const HostFs *hfs, int node, const char *name);

#endif /* FSDEV_SHARED_HOSTFS_H */
