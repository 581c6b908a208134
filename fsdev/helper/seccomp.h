/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's system call filters: the last stage before it serves.
 */
#ifndef FSDEV_HELPER_SECCOMP_H
#define FSDEV_HELPER_SECCOMP_H

typedef enum SeccompMode {
    SECCOMP_KILL,               /* a call outside the list ends the process */
    SECCOMP_TRAP,               /* the same by SIGSYS, which a debugger sees */
    SECCOMP_LOG,                /* it is allowed, and the kernel logs it */
    SECCOMP_NONE,               /* no filter */
} SeccompMode;

/* Whether @name is the mode's of --seccomp; sets *@mode. */
bool seccomp_parse(const char *name, SeccompMode *mode);

/*
 * Allows this process, and the threads that it starts from here on, only the
 * calls that serving needs. Ends the process when that fails.
 */
void seccomp_enter(SeccompMode mode);

/*
 * The same for the keeper: what it takes to wait for @server, to end it, and
 * to remove the file @name in the directory @dir (-1: there is none). @name
 * is not to move.
 */
void seccomp_enter_keeper(SeccompMode mode, pid_t server, int dir,
                          const char *name);

#endif /* FSDEV_HELPER_SECCOMP_H */
