/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Descriptors whose close(2) waits: see slow-close.h.
 */
#include "qemu/osdep.h"
#include "slow-close.h"

int slow_close_make(int fd, int seconds)
{
    struct linger linger = { .l_onoff = 1, .l_linger = seconds };
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t len = sizeof(addr);
    g_autofree char *data = g_malloc0(65536);
    int slow = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(bind(peer, (struct sockaddr *)&addr, len), ==, 0);
    g_assert_cmpint(listen(peer, 1), ==, 0);
    g_assert_cmpint(getsockname(peer, (struct sockaddr *)&addr, &len), ==, 0);
    g_assert_cmpint(connect(slow, (struct sockaddr *)&addr, len), ==, 0);
    while (send(slow, data, 65536, MSG_DONTWAIT) > 0) {
        /* more */
    }
    g_assert_cmpint(setsockopt(slow, SOL_SOCKET, SO_LINGER, &linger,
                               sizeof(linger)), ==, 0);
    g_assert_cmpint(dup2(slow, fd), ==, fd);
    close(slow);
    return peer;
}
