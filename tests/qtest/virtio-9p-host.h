/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For qtests of the virtio-9p device: folders of the host that it serves, and
 * the processes that serve them.
 */
#ifndef TESTS_VIRTIO_9P_HOST_H
#define TESTS_VIRTIO_9P_HOST_H

#include "libqos/virtio-9p-client.h"

/*
 * A new, empty folder in the current one, which thus decides on the file
 * system: its absolute path, for g_free(). The caller removes it.
 */
char *p9_host_make_folder(void);

/* Removes a file or a folder with its contents. */
void p9_host_remove(const char *path);

/*
 * Makes such a folder and has the device serve it: @fsdev is the -fsdev
 * option's value with "%s" in place of the folder. The folder and the path that
 * this returns live until the test ends.
 */
char *p9_host_folder(GString *cmd_line, const char *fsdev);

/* QEMU must refuse this -fsdev at once, with @error in its message. */
void p9_host_start_fails(const char *fsdev, const char *error);

/*
 * Starts a helper for @dir that the test ends and reaps: with one end of a
 * socket pair, of which this returns the other; or listening on @socket.
 */
int p9_host_helper_by_fd(const char *dir, GPid *pid);
GPid p9_host_helper_by_socket(const char *dir, const char *socket);

/*
 * Sends @sig to the helpers: all processes that descend from QEMU's. After
 * SIGSTOP they have stopped.
 */
void p9_host_signal_helpers(int sig);

/* The entry of query-fsdevs for the only export; for qobject_unref() */
QDict *p9_host_query(void);

/* How many processes QEMU started that have not ended, or -1 */
int p9_host_children(void);

/*
 * open(2) flags of QEMU's open descriptor (without O_PATH) of the file @path,
 * which is absolute; -1 if there is none.
 */
int p9_host_open_flags(const char *path);

/*
 * Limits the next QEMU, which starts with this command line, and its helper to
 * @n descriptors each. The second lifts the limit for those that start later.
 */
void p9_host_limit_descriptors(GString *cmd_line, unsigned n);
void p9_host_unlimit_descriptors(void);

/* Open descriptors of QEMU and of its helpers, all together */
unsigned p9_host_descriptors(void);

/*
 * Waits until there are at most @before descriptors: some are closed a little
 * after the last use of their file.
 */
void p9_host_wait_descriptors(unsigned before);

#endif
