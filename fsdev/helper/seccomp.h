/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's system call filters: the last stage before it serves.
 */
#ifndef FSDEV_HELPER_SECCOMP_H
#define FSDEV_HELPER_SECCOMP_H

/* --seccomp */
typedef enum SeccompMode {
    SECCOMP_KILL,               /* a call outside the list kills the process */
    SECCOMP_TRAP,               /* the same by SIGSYS, which a debugger sees */
    SECCOMP_LOG,                /* it is allowed, and the kernel logs it */
    SECCOMP_NONE,               /* no filter */
} SeccompMode;

/*
 * From here on, allows this process and the threads that it starts only the
 * calls that serving needs. @mount_fd (-1: none) is the descriptor with which
 * it opens file handles; @changes_ids: it works on files as other users, and
 * @changes_groups in all their groups. Ends the process on failure.
 */
void seccomp_enter(SeccompMode mode, int mount_fd, bool changes_ids,
                   bool changes_groups);

/*
 * The same for the supervisor: only the calls for waiting for @server, ending
 * it, and removing the file @name in the directory @dir (-1: there is none).
 * The filter holds the address of @name, which must stay the same.
 */
void seccomp_enter_supervisor(SeccompMode mode, pid_t server, int dir,
                              const char *name);

/*
 * The same for the process that watches mounts: only the calls for reading
 * their list, and for setting the options of those at @root.
 */
void seccomp_enter_watcher(SeccompMode mode, int root);

#endif /* FSDEV_HELPER_SECCOMP_H */
