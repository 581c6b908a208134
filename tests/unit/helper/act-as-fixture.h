/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Code that the tests of --act-as share: users, their files, and requests that
 * the helper carries out as f->c->user.
 */
#ifndef TESTS_UNIT_ACT_AS_FIXTURE_H
#define TESTS_UNIT_ACT_AS_FIXTURE_H

#include "proxy-calls.h"
#include "proxy-fixture.h"

#define ALICE   1234
#define BOB     4321
#define GROUP   777
/* Of a user without a group that the host knows */
#define NOBODY  65534

/* Ids alone count */
#define POWERLESS   "--modcaps=-dac_override:-dac_read_search:-fowner:-chown"

/* Starts the helper; false: the test is skipped. */
bool begin(ProxyFixture *f, const char *const *options);

/* Makes the host's directory or file @name, of @uid and @gid. */
void put(ProxyFixture *f, const char *name, mode_t mode, uid_t uid, gid_t gid);

/* The host's @name has this owner, group and mode. */
void has(ProxyFixture *f, const char *name, uid_t uid, gid_t gid, mode_t mode);

/* The node of @name, which the guest's root may find */
uint64_t node_as_root(ProxyFixture *f, const char *name);

/* Opens it as @user: 0 or -errno. */
int open_as(ProxyFixture *f, uint32_t user, const char *name);

/* Makes a file as f->c->user, or with other flags than O_EXCL opens one. */
int create_mode(ProxyFixture *f, uint64_t dir, const char *name, int flags,
                uint32_t mode, uint32_t gid);
int create(ProxyFixture *f, uint64_t dir, const char *name, uint32_t gid);

int make(ProxyFixture *f, uint64_t dir, const char *name, uint32_t mode,
         uint32_t gid);

/* Sets the mode and, with FS_SET_* in @more, other attributes; size 1. */
int set_mode(ProxyFixture *f, uint64_t node, uint32_t more, uint32_t mode);

#endif /* TESTS_UNIT_ACT_AS_FIXTURE_H */
