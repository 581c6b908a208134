/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Code that the fuzzers share. It takes their input apart, and gives the code
 * under test a place where it can make and remove files without harm.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include "qemu/osdep.h"

/* libFuzzer calls these (its documentation: "Fuzz Target", "Startup"). */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * An input begins with a byte of setup. Records follow:
 *
 *     kind[1] id[1] flags[1] size[2] body[size]
 *
 * From each record the fuzzer makes a message. It fills in the fields that must
 * be right for a message to pass the first check (sizes, tags), unless flags
 * say that the body is the whole message. The last record is cut where the
 * input ends.
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

/* Bytes of a record before its body */
#define FUZZ_RECORD_HEAD    5

/* 0 at the end */
uint8_t fuzz_u8(FuzzInput *in);
/* False at the end */
bool fuzz_record(FuzzInput *in, FuzzRecord *rec);

/*
 * Makes the process' view of all files read-only, in a mount namespace of its
 * own, except for the folder that VIRTFS_FUZZ_OUT names. Then mounts an empty
 * file system of bounded size and returns its folder. If this machine does not
 * allow that, prints the reason and ends the process.
 */
const char *fuzz_folder(void);

/* Empties that folder and makes the files that inputs name: see fuzz.c. */
void fuzz_populate(void);

/*
 * Call this at the end of each run: it aborts if the process has more open
 * descriptors than it had at the end of the first runs.
 */
void fuzz_check_fds(void);

#endif /* TESTS_FUZZ_H */
