/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The limit of the helper's memory.
 *
 * The limit has three parts: what the process has when it starts, what each
 * session needs for its threads, buffers and ring, and the budget, which all
 * sessions share for the handles that clients have. A session starts only if
 * its part is there, and a handle is made only if the budget has the memory for
 * it. So at the limit a request fails, and no other allocation does.
 *
 * RLIMIT_AS, set to the limit, is the backstop. It counts all that can become
 * resident, shared memory and stacks, too; RLIMIT_DATA would not.
 */
#ifndef FSDEV_HELPER_MEMORY_H
#define FSDEV_HELPER_MEMORY_H

#include "qemu/osdep.h"

typedef struct MemoryNeeds {
    uint64_t session;           /* bytes of one session */
    uint64_t left;              /* of the budget, what its requests can keep
                                   while they hang, after its client */
    uint64_t handles;           /* bytes of all handles that may be open */
    unsigned sessions;          /* at most, at a time */
} MemoryNeeds;

/*
 * Divides @limit MiB up, or with 0 as much as @needs has, and sets the limit of
 * the process. Reduces needs->sessions to those that there is memory for. Ends
 * the process if the limit is too small. Needs /proc.
 */
void memory_limit(unsigned limit, MemoryNeeds *needs);

/* Takes bytes from the budget; false, and nothing taken, if it has fewer. */
bool memory_take(size_t bytes);

/* Whether memory_take() would succeed now */
bool memory_has(size_t bytes);

void memory_give_back(size_t bytes);

#endif /* FSDEV_HELPER_MEMORY_H */
