/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For tests of what must not wait for close(2), and of what must.
 */
#ifndef TESTS_UNIT_SHARED_SLOW_CLOSE_H
#define TESTS_UNIT_SHARED_SLOW_CLOSE_H

/*
 * Puts a descriptor in the place of @fd whose last close(2) takes @seconds: a
 * TCP socket with data that its peer does not read. The caller closes the
 * peer, which is returned.
 */
int slow_close_make(int fd, int seconds);

#endif /* TESTS_UNIT_SHARED_SLOW_CLOSE_H */
