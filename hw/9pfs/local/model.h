/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Security models of the local driver: how the files that the guest sees are
 * kept on the host.
 *
 * A model has every operation that touches owners, modes, types or names of
 * files. passthrough and none are the host's own operations
 * (fsdev/shared/hostfs.h). With the mapped models the file belongs to QEMU, and
 * the model keeps the guest's view beside it. The formats on disk are those
 * that QEMU's local driver always had, so that each can read a share that the
 * other made.
 *
 * Operations other than reserved may block, and run in any thread, several at
 * once. They return 0 (or the result that their comment names) or -errno.
 * Attributes, ids and modes are the guest's.
 */
#ifndef HW_9PFS_LOCAL_MODEL_H
#define HW_9PFS_LOCAL_MODEL_H

#include "fsdev/shared/hostfs.h"

typedef struct LocalModel LocalModel;
typedef struct LocalCheck LocalCheck;           /* mapped-check.h */
struct FsView;                                  /* view.h */

/* The export as a model sees it; constant while the export is open */
typedef struct LocalHost {
    HostFs host;
    const LocalModel *model;
    uint32_t fmode;             /* of new host files, mapped models only */
    uint32_t dmode;             /* of new directories */
} LocalHost;

/* One inode, for the time of one call. */
typedef struct LocalInode {
    int handle;                 /* O_PATH descriptor */
    /*
     * A name of the inode, for models with needs_name, and an O_PATH
     * descriptor of the directory that has the name. For the export's root,
     * and for an inode without a name, dir is -1 and name NULL.
     */
    int dir;
    const char *name;
    /* The result of LocalModel.keep before the last name went, or -1 */
    int kept;
} LocalInode;

struct LocalModel {
    /*
     * Whether operations need an inode's name. They check that the name still
     * means the inode, and return -ESTALE when it does not.
     */
    bool needs_name;
    /*
     * Whether the model keeps a view beside the file, which may be slower to
     * read than the host's attributes; so the guest may see another type than
     * the host's d_type.
     */
    bool hides_types;

    /*
     * Whether a name is the model's own, and so hidden from the guest. Where
     * the file system takes another name for it, getattr answers -ENOENT.
     */
    bool (*reserved)(const char *name);

    /*
     * Turns @attr, the result of hostfs_getattr(), into the attributes that
     * the guest sees.
     */
    int (*getattr)(const LocalHost *lh, const LocalInode *inode,
                   FsAttr *attr);
    int (*setattr)(const LocalHost *lh, const LocalInode *inode, int file,
                   const FsSetAttr *set);
    int (*readlink)(const LocalHost *lh, const LocalInode *inode,
                    char *buf, size_t size);

    /* As the functions of hostfs.h with these names */
    int (*create)(const LocalHost *lh, int dir, const FsMakeArgs *make,
                  int flags, int *node, FsAttr *attr);
    int (*make)(const LocalHost *lh, int dir, const FsMakeArgs *make,
                FsAttr *attr);
    /*
     * Mapped models: makes a new object with its view, as
     * local_mapped_make_host(), with the guest's attributes in *@attr.
     */
    int (*make_new)(const LocalHost *lh, int dir, const FsMakeArgs *make,
                    int flags, int *fd, FsAttr *attr);
    int (*link)(const LocalHost *lh, const LocalInode *inode,
                int dir, const char *name);
    int (*rename)(const LocalHost *lh, int olddir, const char *oldname,
                  int newdir, const char *newname);
    int (*unlink)(const LocalHost *lh, int dir, const char *name, bool rmdir,
                  int expect);

    /* With names that a guest may use (fsdev/shared/xattr-names.h), or lists */
    ssize_t (*getxattr)(const LocalHost *lh, const LocalInode *inode,
                        const char *name, void *buf, size_t size);
    int (*setxattr)(const LocalHost *lh, const LocalInode *inode,
                    const char *name, const void *value, size_t size,
                    int flags);
    int (*removexattr)(const LocalHost *lh, const LocalInode *inode,
                       const char *name);

    /*
     * NULL, or: the inode's name is about to go while its node is in use.
     * Returns a descriptor of the data that the model keeps under the name,
     * for LocalInode.kept from then on; the caller closes it.
     */
    int (*keep)(const LocalHost *lh, const LocalInode *inode);

    /*
     * Mapped models, for programs that look after a share. get_view reads what
     * the model keeps, and put_view stores the valid fields; the others stay.
     * drop_view removes all that the model keeps of an inode, drop_dir what it
     * keeps in a directory for all of its names. share_view gives another name
     * of @inode, @name in @dir, the inode's view; drop_dir and share_view are
     * NULL if the model keeps nothing by name. @host has the host's attributes.
     */
    int (*get_view)(const LocalHost *lh, const LocalInode *inode,
                    const FsAttr *host, struct FsView *view);
    int (*drop_view)(const LocalHost *lh, const LocalInode *inode);
    int (*drop_dir)(const LocalHost *lh, int dir);
    int (*share_view)(const LocalHost *lh, const LocalInode *inode,
                      const FsAttr *host, int dir, const char *name);
    int (*put_view)(const LocalHost *lh, const LocalInode *inode,
                    const struct FsView *view);
    int (*check)(const LocalHost *lh, const LocalInode *inode,
                 const FsAttr *host, LocalCheck *c);
    /* NULL if the model keeps nothing in directories */
    int (*check_dir)(const LocalHost *lh, int dir, LocalCheck *c);
};

extern const LocalModel local_model_passthrough;    /* and none */
extern const LocalModel local_model_mapped_xattr;
extern const LocalModel local_model_mapped_file;

#endif /* HW_9PFS_LOCAL_MODEL_H */
