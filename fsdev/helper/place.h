/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A place for a file of the helper: the socket, the pid file.
 */
#ifndef FSDEV_HELPER_PLACE_H
#define FSDEV_HELPER_PLACE_H

#include "options.h"

/* A name in a directory */
typedef struct Place {
    const char *option;         /* that names the path, for errors */
    const char *path;
    int dir;                    /* O_PATH descriptor */
    char *name;
    uint32_t owner;             /* whose directory it is; NO_ID: root's or
                                   the starter's */
} Place;

/* The name of a file in the private directory where it is made */
#define PLACE_PRIVATE   "new"

/*
 * Opens the directory of @path. Ends the process if a user may change names
 * there, or which directory it is, other than root, the starter, and the user
 * for whom the file is (--uid, or --user).
 */
void place_open(Place *p, const char *option, const char *path,
                const Options *o);
void place_close(Place *p);

/* What a file is, and what it may replace; NULL, or the reason why not */
typedef struct PlaceFile {
    /* Makes PLACE_PRIVATE in the directory @private. */
    const char *(*make)(Place *p, int private, void *opaque);
    /* Whether the file @fd (O_PATH), at the place, is a leftover of ours. */
    const char *(*keep)(int fd, const struct stat *st);
} PlaceFile;

/*
 * Makes the file and moves it to its place, complete. It replaces a leftover.
 * Ends the process on failure.
 */
void place_put(Place *p, const PlaceFile *file, void *opaque);

/*
 * A process that makes a file acts as the directory's owner. It takes its own
 * rights back for what those do not allow, and must do that by descriptor.
 */
void place_act_as_starter(const Place *p);
void place_act_as_owner(const Place *p);

/*
 * A descriptor of the directory by which the user @user can remove the file
 * @st without any privilege. It is a new one or p->dir.
 */
int place_removable(const Place *p, uint32_t user, const struct stat *st);

#endif /* FSDEV_HELPER_PLACE_H */
