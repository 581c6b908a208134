/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Making the files of a share, by their paths, as the guest's root would. A
 * name that exists is replaced, but for directories. What had the name stays
 * until the new file is whole, if the maker is told so: till then that one has
 * a name of its own in the same directory.
 *
 * Names lead from directory to directory by the guest's view, in which a link
 * is no directory: so a path leads nowhere beside the share. All functions may
 * block; they return 0 or -errno, or report problems themselves.
 */
#ifndef FSDEV_MAPPED_MAKE_H
#define FSDEV_MAPPED_MAKE_H

#include "share.h"

typedef struct MappedMaker {
    MappedShare *share;
    int dir;                    /* the last directory that was used, or -1 */
    char *dir_path;
    bool keeps_old;
    /* The name that the file which is being made shall take, or NULL */
    char *name;
    bool new_is_dir;
} MappedMaker;

/* ACLs of a file, by this order of names; NULL is none */
extern const char *const mapped_acl_names[2];

/* @keeps_old: what is replaced stays until mapped_make_end(). */
void mapped_maker_init(MappedMaker *m, MappedShare *share, bool keeps_old);
void mapped_maker_free(MappedMaker *m);

/*
 * Opens the directory of the file @path, and makes it if need be: @e then has a
 * place for the file, which is not yet there. mapped_made_close() closes it.
 */
int mapped_make_place(MappedMaker *m, const char *path, MappedEntry *e);

/*
 * Makes a file at the place @e, and opens it there; make->name does not count.
 * If the maker keeps_old, mapped_make_end() must follow, after all else of the
 * file. A regular file is open for writing in *@fd, too, else that is -1. If
 * there is a directory and one shall be, that stays, with another owner and
 * mode.
 */
int mapped_make(MappedMaker *m, const FsMakeArgs *make, MappedEntry *e,
                int *fd);
/*
 * The file @e is @whole and takes the place of what it replaces; or it is not,
 * and goes if it replaces something.
 */
int mapped_make_end(MappedMaker *m, MappedEntry *e, bool whole);
/* Makes the place @e another name of the file @path. */
int mapped_make_link(MappedMaker *m, const char *path, MappedEntry *e);
void mapped_made_close(MappedEntry *e);

/* The root's and a directory's own owner, group and mode */
int mapped_set_owner(const MappedEntry *e, uint32_t uid, uint32_t gid,
                     uint32_t mode);

/*
 * These say what is lost if they cannot do it. With @lossy it is no problem
 * that there is no place for an attribute.
 */
bool mapped_set_xattr(const MappedEntry *e, const char *name,
                      const void *value, size_t size, bool lossy);
void mapped_set_mtime(const MappedEntry *e, const struct timespec *mtime);

/* Sets a directory's time back to what it was before the walk. */
void mapped_restore_time(const MappedEntry *dir);

/*
 * Whether an error means that nothing more can be made: the file system or a
 * quota is full, or it may not be written to
 */
bool mapped_is_end(int err);

/* After the content of a new file was written: its set-id bits again */
bool mapped_set_id_bits(const MappedEntry *e, uint32_t mode);

#endif /* FSDEV_MAPPED_MAKE_H */
