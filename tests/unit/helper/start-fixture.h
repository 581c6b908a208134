/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Code that the tests of how virtfs-proxy-helper starts and ends share.
 */
#ifndef TESTS_UNIT_START_FIXTURE_H
#define TESTS_UNIT_START_FIXTURE_H

#include "proxy-fixture.h"

/* A uid without a name and without subordinate ids */
#define LONELY_UID      54321

/* Sets the program up, as pf_init() does; sf_run() runs its tests. */
void sf_init(int *argc, char ***argv);
int sf_run(void);

/* A new folder that @uid owns (PC_NOBODY: us); pf_remove_dir() removes it. */
char *make_dir(uid_t uid);

/* A folder for a socket and a pid file, and an export; between these two */
extern char *sf_top;
extern char *sf_export;
void sf_begin(void);
void sf_end(void);

/* A name in the folder (g_free), and a directory there */
char *sf_in_top(const char *name);
void sf_put_dir(const char *name, uid_t uid, gid_t gid, mode_t mode);

/* Skips the test unless it runs as root; whether it did. */
bool skip_unless_root(void);

/* Runs the helper, which must fail with one line that holds @word. */
void expect_error(const char *const *args, int sock, const char *word);

/* Makes a file as the guest's user @uid and returns its owner on the host. */
int make_as(ProxyClient *c, const char *dir, const char *name,
                   uint32_t uid, uint32_t gid, struct stat *st);

#endif /* TESTS_UNIT_START_FIXTURE_H */
