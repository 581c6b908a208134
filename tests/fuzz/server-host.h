/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Changes of an export from the host's side, for fuzz-mapped.
 */
#ifndef TESTS_FUZZ_SERVER_HOST_H
#define TESTS_FUZZ_SERVER_HOST_H

#include "fuzz.h"

/* What a record does to the file that its id names */
enum {
    HOST_TEXT,          /* the text of its metadata file */
    HOST_TEXT_ROOT,     /* the text of the root's metadata file */
    HOST_NUMBER,        /* an attribute of the model mapped-xattr */
    HOST_ACL,           /* an ACL, the guest's or the host's */
    HOST_ATTRIBUTE,     /* another attribute */
    HOST_PLACE,         /* something else in place of the metadata file */
    HOST_CHMOD,
    HOST_UNLINK,
    HOST_KINDS,
};

/* The fields of such a record's body, as in mutate.h */
const char *host_fields(unsigned kind);

/* Changes @folder as @rec says, where the host's kernel allows it. */
void host_change(const char *folder, unsigned kind, const FuzzRecord *rec);

#endif /* TESTS_FUZZ_SERVER_HOST_H */
