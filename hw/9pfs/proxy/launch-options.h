/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The options of the proxy driver that say how to reach a helper, and how to
 * start one.
 */
#ifndef HW_9PFS_PROXY_LAUNCH_OPTIONS_H
#define HW_9PFS_PROXY_LAUNCH_OPTIONS_H

#include "qapi/qapi-types-fsdev.h"

/* What the export asks of a helper that QEMU starts, beside @opts */
typedef struct ProxyWanted {
    bool readonly;
    bool file_handles;          /* or fail */
} ProxyWanted;

/*
 * False with an error, which names the option, if @opts contradict each other
 * or if a helper would not take a value.
 */
bool proxy_options_check(const FsdevProxyOptions *opts, Error **errp);

/*
 * The command line of a helper for opts->path, which serves on the descriptor
 * @fd: for g_strfreev(). @opts have been checked.
 */
char **proxy_options_argv(const FsdevProxyOptions *opts, const char *program,
                          int fd, const ProxyWanted *wanted);

#endif /* HW_9PFS_PROXY_LAUNCH_OPTIONS_H */
