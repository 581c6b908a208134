/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Making the helper's processes: see process.h.
 */
#include "process.h"
#include "log.h"

pid_t process_fork(void)
{
    /*
     * Not fork(), after which ThreadSanitizer starts a thread of its own, and
     * a process with threads can make no user namespace (unshare(2)).
     */
    pid_t pid = _Fork();

    if (pid < 0) {
        fatal("cannot make a process: %s", strerror(errno));
    }
    return pid;
}
