/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Code that the tests with a hostile client of either version share.
 */
#ifndef TESTS_UNIT_HOSTILE_H
#define TESTS_UNIT_HOSTILE_H

#include "qemu/osdep.h"

/*
 * Options of the helper. Tests of lookups run without a sandbox, too, because
 * in a mount namespace, a mistake could reach nothing outside.
 */
extern const char *const hostile_namespaces[];
extern const char *const hostile_no_sandbox[];

/* Memory of the process that is its own, in KiB: anonymous and shared */
unsigned hostile_memory_of(pid_t pid);

/*
 * Bounds while a client does its worst, in KiB: twice the need of the threads.
 * Sanitizers have memory of their own beside the helper's, and keep freed
 * memory for a while.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HOSTILE_MEMORY_MAX (512 * 1024)
#else
#define HOSTILE_MEMORY_MAX (16 * 1024)
#endif

#endif /* TESTS_UNIT_HOSTILE_H */
