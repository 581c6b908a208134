/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A socket from the service manager that started the helper, by the protocol
 * of sd_listen_fds(3).
 */
#ifndef FSDEV_HELPER_ACTIVATION_H
#define FSDEV_HELPER_ACTIVATION_H

/*
 * The socket's descriptor, or -1 if there is none. Ends the process if there
 * are several.
 */
int activation_socket(void);

#endif /* FSDEV_HELPER_ACTIVATION_H */
