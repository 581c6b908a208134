/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the fuzzers share: taking their input apart, and a place where the
 * real code under test can make and remove files without harm.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include "qemu/osdep.h"

/* What libFuzzer calls (its documentation: "Fuzz Target", "Startup") */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max,
                               unsigned seed);
/* What we call: its own mutations */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

/*
 * An input is some bytes that say how things are set up, and then records
 *
 *     kind[1] id[1] flags[1] size[2] body[size]
 *
 * each of which is a message, or what makes one. The parts that must be right
 * for a message to get beyond the first check (sizes, tags) are made by the
 * fuzzer, unless flags say that the body is to be sent as it is. The last
 * record is cut where the input ends.
 */
typedef struct FuzzInput {
    const uint8_t *data;
    size_t left;
} FuzzInput;

typedef struct FuzzRecord {
    uint8_t kind;
    uint8_t id;
    uint8_t flags;
    const uint8_t *body;
    size_t size;
} FuzzRecord;

/* 0 at the end */
uint8_t fuzz_u8(FuzzInput *in);
/* False at the end */
bool fuzz_record(FuzzInput *in, FuzzRecord *rec);

/*
 * Makes the process' view of all files read-only (in a mount namespace of its
 * own), but for the folder that VIRTFS_FUZZ_OUT names, and mounts an empty
 * file system of bounded size, whose folder is returned. Ends the process,
 * saying why, where that cannot be had.
 */
const char *fuzz_folder(void);

/* Empties it, and makes the files that inputs can count on: see fuzz.c. */
void fuzz_populate(void);

/*
 * To be called at the end of each run: aborts if the process has more open
 * descriptors than it had at the end of the first runs.
 */
void fuzz_check_fds(void);

#endif /* TESTS_FUZZ_H */
