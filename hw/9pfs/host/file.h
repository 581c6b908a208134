/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Open files that are a descriptor in this process (an open FD): the FsDriver
 * operations on them, for every driver whose open files are of this kind.
 */
#ifndef HW_9PFS_HOST_FILE_H
#define HW_9PFS_HOST_FILE_H

#include "hw/9pfs/fs/export.h"
#include "device-numbers.h"

/*
 * Bytes of one block of a directory's entries, and how many blocks an export
 * keeps for requests to come
 */
#define HOST_DIR_BLOCK      (32 * 1024)
#define HOST_DIR_BLOCKS     64

typedef struct HostDir HostDir;
typedef struct HostDirs HostDirs;

/*
 * The guest's type (DT_*) of the entry @name, which is of @type on the host, in
 * the open directory @dir. Any thread; may block.
 */
typedef unsigned char HostEntryType(void *opaque, int dir, const char *name,
                                    unsigned char type);

/*
 * Reads a directory in another way than by the open file: entries from @offset
 * on, as records of hostfs_dirent_put(). Bytes in @buf, 0 at the end, or
 * -errno.
 */
typedef int coroutine_fn HostDirList(FsCall *call, FsNode *node,
                                     uint64_t offset, uint8_t *buf,
                                     size_t size);

typedef struct HostFile {
    FsFile file;
    int fd;
    bool remote;                /* a server may never answer */
    bool writeout;              /* start writing back with every write */
    /*
     * NEVER or POOL: of reads that are not long, and of work that takes no lock
     * of the inode
     */
    HostWait wait;
    bool direct;                /* O_DIRECT is on */
    /*
     * Of reads; if wait is NEVER, only of long ones: TRY_FIRST, or POOL where
     * the kernel has no RWF_NOWAIT for them, or O_DIRECT is on
     */
    HostWait read_wait;
    bool locked;                /* a lock was asked for */
    HostDir *dir;               /* of an open directory that was read */
    /* NULL: the types of entries are the host's */
    HostEntryType *entry_type;
    void *entry_type_opaque;
    HostDirList *list;          /* where this process may not read; or NULL */
    bool lists;                 /* that is so */
    bool list_has_types;        /* those that entry_type does not know */
    bool lists_types;           /* that is so, and it is asked first */
} HostFile;

/*
 * A file with one reference for @fd, which it owns from now on, and which the
 * caller has counted (host_files_add()). @flags are
 * those that @fd was opened with; @writeout is writeout=immediate; @kind is
 * that of the file system.
 */
FsFile *host_file_new(FsNode *node, int fd, int flags, bool writeout,
                      HostDevKind kind);

/* Sets read_wait of a file that is open with f->direct. */
void host_file_set_io_wait(HostFile *f);

/* Entries of the directory have the types that @type says. */
void host_file_set_entry_type(FsFile *file, HostEntryType *type, void *opaque);

/*
 * Where this process may not read the directory, @list does; with @has_types
 * also where HostEntryType does not know the type of an entry.
 */
void host_file_set_list(FsFile *file, HostDirList *list, bool has_types);

/* The descriptor; the file keeps its ownership. */
int host_file_fd(const FsFile *file);

/* The attributes of the open file; @wait: of HOST_WORK_STAT */
int coroutine_fn host_file_getattr(FsFile *file, HostWait wait, FsAttr *attr);

/*
 * Sets the size of a file that is open for writing. This process' truncation
 * may take set-id bits away.
 */
int coroutine_fn host_file_truncate(FsFile *file, uint64_t size);

/* FsDriver.generation of an inode that is open as @file */
int coroutine_fn host_file_generation(FsFile *file, uint64_t *gen);

/* FsDriver operations, as fs/driver.h describes them */
void host_file_free(FsFile *file);
ssize_t coroutine_fn host_file_read(FsCall *call, FsFile *file,
                                    const struct iovec *iov, int niov,
                                    uint64_t offset);
ssize_t coroutine_fn host_file_write(FsCall *call, FsFile *file,
                                     const struct iovec *iov, int niov,
                                     uint64_t offset);
/*
 * As host_file_write(), but does not write to a file with set-id bits, which
 * this process' write(2) would take away: then *@set_id is true, and nothing
 * was written.
 */
ssize_t coroutine_fn host_file_write_plain(FsCall *call, FsFile *file,
                                           const struct iovec *iov, int niov,
                                           uint64_t offset, bool *set_id);
int coroutine_fn host_file_readdir(FsCall *call, FsFile *file, uint64_t offset,
                                   FsDirFill *fill, void *opaque);
int coroutine_fn host_file_fsync(FsCall *call, FsFile *file, bool datasync);
/* Other hosts see only what the file server has: fsync(2) on remote ones. */
int coroutine_fn host_file_settle(FsCall *call, FsFile *file);
int coroutine_fn host_file_lock(FsCall *call, FsFile *file,
                                struct flock *lock, bool test);

#endif /* HW_9PFS_HOST_FILE_H */
