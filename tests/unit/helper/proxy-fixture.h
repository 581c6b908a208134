/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An export for tests of virtfs-proxy-helper, and a client of the helper that
 * serves it.
 */
#ifndef TESTS_UNIT_PROXY_FIXTURE_H
#define TESTS_UNIT_PROXY_FIXTURE_H

#include "proxy-client.h"

typedef struct ProxyFixture {
    char *tmp;                  /* the folder around the export */
    char *dir;                  /* the export */
    ProxyClient *c;
} ProxyFixture;

/*
 * Makes the export: file ("hello"), dir/sub/deep ("deep"), links that the
 * helper must not follow: up (../secret), root (/), link (dir); and outside the
 * export ../secret ("outside").
 */
void pf_make(ProxyFixture *f, gconstpointer unused);

/* pf_make(), and a helper with @options (NULL-terminated) that serves it */
void pf_setup(ProxyFixture *f, gconstpointer options);

/* Ends the client, which must succeed, and removes all files. */
void pf_teardown(ProxyFixture *f, gconstpointer unused);

/*
 * Sets a test program up: g_test_init(), the umask, and an alarm if a test
 * hangs. The names of its tests begin with @suite.
 */
void pf_init(int *argc, char ***argv, const char *suite);

typedef void ProxyTest(ProxyFixture *f, gconstpointer options);

/* Registers a test with a helper that serves the export, with @options. */
void pf_add(const char *name, const char *const *options, ProxyTest *test);

/* Registers a test with the export alone; it gets @options. */
void pf_add_made(const char *name, const char *const *options,
                 ProxyTest *test);

/*
 * Runs a helper for the export with @options (NULL-terminated), which must end
 * at once with a message that has @error.
 */
void pf_refuses(const ProxyFixture *f, const char *const *options,
                const char *error);

/* A new folder in @parent that belongs to @uid (PC_NOBODY: to us), mode 0755 */
char *pf_new_dir(const char *parent, uid_t uid);

/* Removes the folder with its contents, and frees @dir. */
void pf_remove_dir(char *dir);

/* On the host, with names relative to the export */
void pf_put_file(const ProxyFixture *f, const char *name, const char *text);
void pf_put_dir(const ProxyFixture *f, const char *name);
void pf_put_link(const ProxyFixture *f, const char *target, const char *name);
void pf_stat(const ProxyFixture *f, const char *name, struct stat *st);
bool pf_exists(const ProxyFixture *f, const char *name);

#endif /* TESTS_UNIT_PROXY_FIXTURE_H */
