/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Files outside an export, for tests of a client that tries to reach them:
 * whether the helper changed any of them, or gave one away.
 */
#ifndef TESTS_UNIT_PROXY_WITNESS_H
#define TESTS_UNIT_PROXY_WITNESS_H

#include "proxy-fixture.h"

typedef struct Witness Witness;

/*
 * Puts files and directories beside the export of @f ("../outside"), and
 * records type, owner, mode, links, size, times of change, xattrs and content
 * of each. The test must not touch them from here on.
 */
Witness *pw_new(const ProxyFixture *f);

/* Checks that their state is the same, to the nanosecond. */
void pw_check(Witness *w);

/* Whether an inode is one of those, or the host's root or /etc/passwd */
bool pw_is_outside(Witness *w, uint64_t dev, uint64_t ino);

/* Checks that @fd is not of the outside, and closes it. */
void pw_take_fd(Witness *w, int fd);

void pw_free(Witness *w);

#endif /* TESTS_UNIT_PROXY_WITNESS_H */
