/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Security model mapped-file: where the guest's view of a file is on disk.
 *
 *     DIR/.virtfs_metadata/NAME       the view of DIR/NAME
 *     ROOT/.virtfs_metadata_root      the view of the export's root
 *
 * All of it may block, and is called from any thread that holds the export's
 * lock (local_mapped_lock()): for writing, if it changes names or metadata.
 * Functions return 0 (or what they say) or -errno. @dir is a handle of a
 * directory, @folder one of its metadata folder.
 */
#ifndef HW_9PFS_LOCAL_MAPPED_FOLDER_H
#define HW_9PFS_LOCAL_MAPPED_FOLDER_H

#include "mapped.h"

#define LOCAL_METADATA_ROOT     ".virtfs_metadata_root"

/* LocalModel.reserved */
bool local_metadata_reserved(const char *name);

/* Whether an error means that there is no metadata that could be read */
bool local_metadata_is_absence(int ret);

/* A handle of the folder of @dir, which is made if @make and there is none */
int local_metadata_open_folder(const LocalHost *lh, int dir, bool make);

/*
 * A handle of the folder of @dir in *@folder if it has metadata for @name,
 * else -1
 */
int local_metadata_find(const LocalHost *lh, int dir, const char *name,
                        int *folder);

/*
 * Opens the metadata file @name in @folder. -ENOENT if there is none. With
 * @make it is made then, and anything else that has the name is removed.
 */
int local_metadata_open(const LocalHost *lh, int folder, const char *name,
                        int flags, bool make);

/* Writes metadata for a new name, in place of any that was left there. */
int local_metadata_put(const LocalHost *lh, int dir, const char *name,
                       const LocalView *view);

/* Gives the metadata file @fd another name. */
int local_metadata_link(const LocalHost *lh, int fd, int dir,
                        const char *name);

/*
 * Moves metadata after a rename. @from is -1 where there is no metadata, @to
 * is -1 where there cannot be any.
 */
int local_metadata_rename(const LocalHost *lh, int from, const char *oldname,
                          int to, const char *newname);

/* Removes whatever has that name; -ENOENT is no error. */
int local_metadata_remove(const LocalHost *lh, int folder, const char *name);

/*
 * Removes all metadata from the directory @node before it is removed itself:
 * -ENOTEMPTY if it holds anything else.
 */
int local_metadata_clear(const LocalHost *lh, int node);

#endif /* HW_9PFS_LOCAL_MAPPED_FOLDER_H */
