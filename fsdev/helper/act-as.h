/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * As whom the helper works on files (--act-as). On most file systems its
 * capabilities count, whoever it is. A file server (NFS, CephFS, GlusterFS)
 * knows nothing of these: it looks at user and group ids. So there the helper
 * takes other ids for its work on files, and only for that (setfsuid(2)):
 *
 *   self    its own
 *   root    0, for good, for a file server that trusts the host's root
 *   guest   those of the guest's user who asks, with each request
 */
#ifndef FSDEV_HELPER_ACT_AS_H
#define FSDEV_HELPER_ACT_AS_H

#include "qemu/osdep.h"
#include "fsdev/shared/hostfs.h"

/* --act-as */
typedef enum ActAs {
    ACT_AS_SELF,
    ACT_AS_ROOT,
    ACT_AS_GUEST,
} ActAs;

/*
 * Reads the host's users and groups (host-groups.h), so that users get their
 * groups there. Before the sandbox.
 */
void act_as_learn_groups(void);

/*
 * root: this thread, and those that it makes, work on files as user and group
 * 0. Needs SETUID and SETGID. False with errno.
 */
bool act_as_root(void);

/*
 * guest: ends the process if it could not act as the guest's users, or not
 * without its own capabilities.
 */
void act_as_check_guest(void);

/*
 * guest: this thread works on files as @uid. With act_as_learn_groups(), its
 * groups are those that the host knows; otherwise, and for users unknown there,
 * it is in none but that of nobody, and user 0 in group 0. The process'
 * capabilities that pass over permissions count for user 0 alone. 0, or -EPERM
 * if there is no such user.
 */
int act_as_user(uint32_t uid);

/* guest: HostFs.making, for the user */
extern const HostMaking act_as_making;

/* The user that this thread works on files as, after one of these */
uint32_t act_as_now(void);

/*
 * Says in the log which option helps if the file server of the directory
 * @root refuses what this process asks. Tries that, where there is a file
 * server, with a directory that is removed at once.
 */
void act_as_try(int root, ActAs mode);

#endif /* FSDEV_HELPER_ACT_AS_H */
