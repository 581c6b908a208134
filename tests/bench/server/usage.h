/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a process costs, from /proc.
 */
#ifndef BENCH_USAGE_H
#define BENCH_USAGE_H

#include <stdint.h>
#include <sys/types.h>

/* Processor time of a process, in ns; 0 if there is no such one */
uint64_t usage_time(pid_t pid);
/* Of its children and theirs */
uint64_t usage_time_of_children(pid_t pid);

/* Proportional set size, in KiB */
unsigned long usage_memory(pid_t pid);
unsigned long usage_memory_of_children(pid_t pid);

#endif /* BENCH_USAGE_H */
