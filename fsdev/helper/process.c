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

void process_pipe(int fds[2])
{
    if (pipe2(fds, O_CLOEXEC) < 0) {
        fatal("cannot make a pipe: %s", strerror(errno));
    }
}

void process_tell(int fd)
{
    ssize_t ret;

    do {
        ret = write(fd, "", 1);
    } while (ret < 0 && errno == EINTR);
}

bool process_told(int fd)
{
    ssize_t ret;
    char c;

    do {
        ret = read(fd, &c, 1);
    } while (ret < 0 && errno == EINTR);
    return ret == 1;
}
