/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Processor time and memory of a process.
 */
#ifndef BENCH_USAGE_H
#define BENCH_USAGE_H

#include <stdint.h>
#include <sys/types.h>

/* Processor time of a process, in ns; 0 if there is no such process */
uint64_t usage_time(pid_t pid);
/* The same of all its descendants */
uint64_t usage_time_of_children(pid_t pid);

/* Proportional set size, in KiB */
uint64_t usage_memory(pid_t pid);
uint64_t usage_memory_of_children(pid_t pid);

#endif /* BENCH_USAGE_H */
