/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The state of a running virtfs-proxy-helper's processes, from /proc, for
 * tests. Unexpected values fail the test.
 */
#ifndef TESTS_UNIT_PROXY_PROC_H
#define TESTS_UNIT_PROXY_PROC_H

#include "proxy-client.h"

/* CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID: capabilities 0 to 4 */
#define PP_FIVE         "000000000000001f"
#define PP_NONE         "0000000000000000"

/* Ids from here on are those of helpers that root starts without --user. */
#define PP_OWN_IDS      0x70000000u

/* Seccomp of /proc/PID/status: 2 is a filter; sanitizers do without */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PP_FILTERED     "0"
/* A process' memory includes that of the sanitizer, so it tells nothing. */
#define PP_OWN_MEMORY   false
#else
#define PP_FILTERED     "2"
#define PP_OWN_MEMORY   true
#endif

/* A line of /proc/PID/status without its name; "" when there is no process */
char *pp_status(pid_t pid, const char *name);
void pp_expect_status(pid_t pid, const char *name, const char *value);

/* A line of /proc/PID/limits: both limits, in its unit */
void pp_expect_limit(pid_t pid, const char *name, const char *value);

/* The first child of @pid, which is the supervisor's server; or 0 */
pid_t pp_child(pid_t pid);

/*
 * Waits until the supervisor @pid and its server have gone through their
 * stages, at the end of which the server has @caps. Returns the server.
 */
pid_t pp_wait_ready_caps(pid_t pid, const char *caps);
pid_t pp_wait_ready(pid_t pid);         /* PP_FIVE */

/* "Uid" or "Gid": all four of them */
void pp_expect_id(pid_t pid, const char *name, unsigned id);

/* The real one of these; a process of that id must be there */
unsigned pp_id(pid_t pid, const char *name);

/* Ids, the five capability sets, groups, filter, and no way to get more */
void pp_expect_privileges(pid_t pid, const char *caps, unsigned uid,
                          unsigned gid);

/* Whether its namespace @name is not ours; needs the right to look at it */
bool pp_other_namespace(pid_t pid, const char *name);

/* The process has one mount, its root, whose options begin with @options. */
void pp_expect_one_mount(pid_t pid, const char *options);

/* Its private resident memory, in KiB */
unsigned pp_private_kib(pid_t pid);

/* How many descriptors are open */
unsigned pp_open_files(pid_t pid);

#endif /* TESTS_UNIT_PROXY_PROC_H */
