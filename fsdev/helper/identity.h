/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who the helper is while it serves, and what it may do.
 */
#ifndef FSDEV_HELPER_IDENTITY_H
#define FSDEV_HELPER_IDENTITY_H

#include "options.h"

/* What a process keeps of root's (or its user namespace's) privilege. */
typedef enum Privilege {
    IDENTITY_NOTHING,
    IDENTITY_UNLINK,            /* to remove a file in anybody's directory */
    IDENTITY_SERVE,             /* to act on files for all their owners */
} Privilege;

/* The capabilities to serve with unless --modcaps says otherwise: bits. */
uint64_t identity_usual_caps(void);

/* "+NAME" or "-NAME": false if the helper never serves with that. */
bool identity_modify_caps(uint64_t *caps, const char *change);

/*
 * Raises the limit of open files as far as it goes. Returns the limit.
 */
unsigned identity_raise_files(void);

/*
 * Becomes o->user and o->group (in a user namespace of our own: stays its
 * root, whoever that is on the host), with the capabilities of
 * @keep and no way to get another: the bounding, inheritable and ambient sets
 * are emptied and no_new_privs is set. No core dump will be written, and
 * nobody of the same user can trace the process. A process that does not
 * serve can open no more than a few files, and make no other process. The process must have one
 * thread. Ends it if anything fails.
 */
void identity_drop(const Options *o, Privilege keep);

/* Gives up the capabilities that are left. */
void identity_drop_capabilities(void);

#endif /* FSDEV_HELPER_IDENTITY_H */
