/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A socket from the service manager: see activation.h.
 */
#include "qemu/osdep.h"
#include "activation.h"
#include "log.h"

/* The first descriptor that is passed (SD_LISTEN_FDS_START) */
#define ACTIVATED_FD    3

int activation_socket(void)
{
    const char *pid = getenv("LISTEN_PID");
    const char *n = getenv("LISTEN_FDS");

    if (!pid || !n || strtoul(pid, NULL, 10) != (unsigned long)getpid()) {
        return -1;
    }
    if (strcmp(n, "1")) {
        fatal("LISTEN_FDS=%s: the service manager must pass one socket", n);
    }
    return ACTIVATED_FD;
}
