/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's user, group and privilege while it serves.
 */
#ifndef FSDEV_HELPER_IDENTITY_H
#define FSDEV_HELPER_IDENTITY_H

#include "options.h"

/* How much of root's privilege a process keeps, in its user namespace */
typedef enum Privilege {
    IDENTITY_NOTHING,
    IDENTITY_MOUNTS,            /* to change the options of mounts */
    IDENTITY_SERVE,             /* to act on files for all their owners */
} Privilege;

/*
 * Sets the limit of open files to @wanted, or with 0 raises it as far as
 * possible. Returns the limit. Ends the process if it may not have @wanted.
 */
unsigned identity_limit_files(unsigned wanted);

/*
 * Becomes o->user and o->group; in a user namespace, the process stays root
 * there. Keeps the capabilities of @keep and no way to get another: empties the
 * bounding, inheritable and ambient sets, and sets no_new_privs. The process
 * writes no core dump, and other processes of its user cannot trace it. With
 * another privilege than IDENTITY_SERVE, it can open only a few files and make
 * no process. The process must have one thread. Ends it on failure.
 */
void identity_drop(const Options *o, Privilege keep);

#endif /* FSDEV_HELPER_IDENTITY_H */
