/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Security model mapped-file: where the guest's view of a file is on disk.
 *
 *     DIR/.virtfs_metadata/NAME       the view of DIR/NAME
 *     ROOT/.virtfs_metadata_root      the view of the export's root
 *
 * All functions with a LocalHost may block. Call them from any thread; one that
 * changes names or metadata has claimed @dir (local_keys_claim()). They
 * return 0 (or the result that their comment names) or -errno. @dir is an
 * O_PATH descriptor of a directory, @folder one of its metadata folder.
 */
#ifndef HW_9PFS_LOCAL_MAPPED_FOLDER_H
#define HW_9PFS_LOCAL_MAPPED_FOLDER_H

#include "mapped.h"

#define LOCAL_METADATA_FOLDER   ".virtfs_metadata"
#define LOCAL_METADATA_ROOT     ".virtfs_metadata_root"

/* LocalModel.reserved */
bool local_metadata_reserved(const char *name);

/*
 * Whether an inode that was found in @dir is the model's own: 1, 0 or -errno.
 * The name does not tell, because a file system that ignores case (or more)
 * finds an inode by other names, too.
 */
int local_metadata_is_own(const LocalHost *lh, int dir, const FsAttr *attr);

/* -ENOENT if @attr, found in @dir, belongs to the model and not to the guest */
int local_metadata_check_guests(const LocalHost *lh, int dir,
                                const FsAttr *attr);
/*
 * Checks a new name of the inode @attr in @dir: -EACCES if the file system
 * takes the name for one of the model's own, which did not exist before.
 */
int local_metadata_check_new(const LocalHost *lh, int dir, const FsAttr *attr);

/*
 * Whether an error means that there is no metadata, or none to read (unless
 * that counts: HostFs.strict_views)
 */
bool local_metadata_is_absence(const LocalHost *lh, int ret);

/* Opens the folder of @dir (O_PATH), and makes it first if need be and @make */
int local_metadata_open_folder(const LocalHost *lh, int dir, bool make);

/*
 * Puts a descriptor of the folder of @dir into *@folder if the folder has
 * metadata for @name, else -1.
 */
int local_metadata_find(const LocalHost *lh, int dir, const char *name,
                        int *folder);

/*
 * Opens the metadata file @name in @folder. If there is none, returns -ENOENT
 * or, with @make, makes it in place of anything else that has the name.
 */
int local_metadata_open(const LocalHost *lh, int folder, const char *name,
                        int flags, bool make);

/* Writes metadata for a new name, in place of any old metadata there. */
int local_metadata_put(const LocalHost *lh, int dir, const char *name,
                       const FsView *view);

/* Gives the metadata file @fd another name. */
int local_metadata_link(const LocalHost *lh, int fd, int dir,
                        const char *name);

/*
 * Moves metadata after a rename. @from is -1 where there is no metadata, @to
 * is -1 where there cannot be any.
 */
int local_metadata_rename(const LocalHost *lh, int from, const char *oldname,
                          int to, const char *newname);

/* Whether @name is a directory with names in it, which nothing here removes */
bool local_metadata_is_full_dir(const LocalHost *lh, int folder,
                                const char *name);

/* Removes the file or empty directory @name, if there is one. */
int local_metadata_remove(const LocalHost *lh, int folder, const char *name);

/*
 * Removes all metadata from the directory @node before it is removed itself:
 * -ENOTEMPTY if it holds anything else.
 */
int local_metadata_clear(const LocalHost *lh, int node);

/* LocalModel.drop_dir */
int local_metadata_drop_dir(const LocalHost *lh, int dir);

/* LocalModel.check_dir */
int local_metadata_check_dir(const LocalHost *lh, int dir, LocalCheck *c);

/* LocalModel.rename and .unlink (mapped-names.c), which claim directories */
int local_metadata_rename_name(const LocalHost *lh,
                               int olddir, const char *oldname,
                               int newdir, const char *newname);
int local_metadata_unlink_name(const LocalHost *lh, int dir,
                               const char *name, bool rmdir, int expect);

#endif /* HW_9PFS_LOCAL_MAPPED_FOLDER_H */
