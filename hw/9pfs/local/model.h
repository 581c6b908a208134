/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Security models of the local driver: between the files that the guest sees
 * and those that are on the host.
 *
 * A model has every operation that touches owners, modes, kinds or names of
 * files. passthrough and none are the host's operations (fsdev/shared/hostfs.h) as
 * they are; the mapped models keep the guest's view beside the file, which
 * belongs to QEMU. The formats on disk are those that QEMU's local driver
 * always had, so that a share made by either is read by the other.
 *
 * All operations may block and are called from any thread, several at once.
 * They return 0 (or what they say) or -errno. Attributes, ids and modes are
 * the guest's.
 */
#ifndef HW_9PFS_LOCAL_MODEL_H
#define HW_9PFS_LOCAL_MODEL_H

#include "fsdev/shared/hostfs.h"

typedef struct LocalModel LocalModel;

/* The export as a model sees it; it does not change while it is open. */
typedef struct LocalHost {
    HostFs host;
    const LocalModel *model;
    uint32_t fmode;             /* of new files on the host, mapped models */
    uint32_t dmode;             /* of new directories */
    void *priv;                 /* the model's */
} LocalHost;

/* One inode, for the time of one call. */
typedef struct LocalInode {
    int handle;                 /* O_PATH descriptor */
    /*
     * A name of it, for models with needs_name: @dir is a handle of the
     * directory. For the export's root, and for an inode without a name,
     * dir is -1 and name NULL.
     */
    int dir;
    const char *name;
    /* What LocalModel.keep gave before the last name went, or -1 */
    int kept;
} LocalInode;

struct LocalModel {
    /* Whether inodes are to be named; the operations check that the name
     * still means the inode, and return -ESTALE when it does not. */
    bool needs_name;
    /* Whether the host's type of an inode (d_type) may not be the guest's */
    bool hides_types;

    /* NULL, or sets up fs->priv; @fs->host is ready. Undone by close. */
    int (*open)(LocalHost *fs);
    void (*close)(LocalHost *fs);

    /* Whether a name is the model's own: hidden from the guest. */
    bool (*reserved)(const char *name);

    /*
     * @attr is filled in with what hostfs_getattr() says, and becomes what
     * the guest is to see.
     */
    int (*getattr)(const LocalHost *fs, const LocalInode *inode,
                   FsAttr *attr);
    int (*setattr)(const LocalHost *fs, const LocalInode *inode, int file,
                   const FsSetAttr *set);
    int (*readlink)(const LocalHost *fs, const LocalInode *inode,
                    char *buf, size_t size);

    /* As the functions of hostfs that are called so */
    int (*create)(const LocalHost *fs, int dir, const FsMakeArgs *make, int flags,
                  int *node, FsAttr *attr);
    int (*make)(const LocalHost *fs, int dir, const FsMakeArgs *make,
                FsAttr *attr);
    int (*link)(const LocalHost *fs, const LocalInode *inode,
                int dir, const char *name);
    int (*rename)(const LocalHost *fs, int olddir, const char *oldname,
                  int newdir, const char *newname);
    int (*unlink)(const LocalHost *fs, int dir, const char *name, bool rmdir,
                  int expect);

    ssize_t (*getxattr)(const LocalHost *fs, const LocalInode *inode,
                        const char *name, void *buf, size_t size);
    int (*setxattr)(const LocalHost *fs, const LocalInode *inode,
                    const char *name, const void *value, size_t size,
                    int flags);
    int (*removexattr)(const LocalHost *fs, const LocalInode *inode,
                       const char *name);

    /*
     * NULL, or: the inode's name is about to go while somebody holds the
     * inode. Returns a descriptor that stands for what the model keeps under
     * the name, for LocalInode.kept from then on; it is the caller's to close.
     */
    int (*keep)(const LocalHost *fs, const LocalInode *inode);
};

extern const LocalModel local_model_passthrough;    /* and none */
extern const LocalModel local_model_mapped_xattr;
extern const LocalModel local_model_mapped_file;

#endif /* HW_9PFS_LOCAL_MODEL_H */
