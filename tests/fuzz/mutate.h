/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How inputs change from run to run. libFuzzer asks mutate.c for each change,
 * and mutate.c asks the fuzzer which fields its records have.
 */
#ifndef TESTS_FUZZ_MUTATE_H
#define TESTS_FUZZ_MUTATE_H

#include "fuzz.h"

/* libFuzzer calls these (llvm-project: "Structure-Aware Fuzzing"). */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max,
                               unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data1, size_t size1,
                                 const uint8_t *data2, size_t size2,
                                 uint8_t *out, size_t max, unsigned seed);
/* libFuzzer's own mutations, which the custom mutator calls */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

/* The most records in a block */
#define FUZZ_BLOCK_MAX  6
/* Ends a block before that */
#define FUZZ_BLOCK_END  0xff
/* In a block: a record of any kind */
#define FUZZ_BLOCK_ANY  0xfe

/*
 * What the mutator knows of a fuzzer's records.
 *
 * A body's fields are letters of a string:
 *     1 2 4 8     a number of that many bytes
 *     b           flags of 4 bytes, mostly 0
 *     o z         an offset and a size of 8 bytes
 *     f n g       a fid of 4 bytes: the one that a block is about, a new one,
 *                 any one
 *     h           a handle of 8 bytes
 *     s           a string: length[2] bytes
 *     x           the name of an attribute
 *     w           strings: number[2] strings
 *     d           data: length[4] bytes
 *     D           data: bytes up to the end of the body
 *     t a         up to the end: the text of a metadata file, an ACL
 *
 * A block is a sequence of records about one fid, which the first record makes.
 * The first words are names that exist.
 *
 * With a function that makes a text, an input is setup[1] and text. The words
 * occur in it.
 */
typedef struct FuzzGrammar {
    unsigned kinds;
    /* The fields of a record; NULL: unknown */
    const char *(*fields)(uint8_t setup, const FuzzRecord *rec);
    /* Appends a new text, maybe with another setup. */
    void (*make_text)(GByteArray *to, GRand *r);
    const char *const *words;   /* strings that have a meaning */
    unsigned n_words;
    unsigned n_names;           /* so many of the words are names */
    const uint8_t (*blocks)[FUZZ_BLOCK_MAX];
    unsigned n_blocks;
    uint8_t maker;              /* the kind that makes a fid */
    uint8_t together;           /* flag: the next record follows at once */
    uint8_t as_it_is;           /* flag: the body is the whole message */
} FuzzGrammar;

/* Each fuzzer has this. */
const FuzzGrammar *fuzz_grammar(uint8_t setup);

#endif /* TESTS_FUZZ_MUTATE_H */
