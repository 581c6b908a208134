/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Code that the tests of making files on the host share.
 */
#ifndef TESTS_UNIT_MAKE_FIXTURE_H
#define TESTS_UNIT_MAKE_FIXTURE_H

#include "hostfs-fixture.h"

/* A new object of our own */
FsMakeArgs mine(const char *name, uint32_t mode);

/* Creates a file and closes it; its attributes, or the error as ino. */
int try_create(Fixture *f, int dir, const FsMakeArgs *make, int flags,
                      FsAttr *attr);

int try_make(Fixture *f, int dir, const FsMakeArgs *make, FsAttr *attr);

#define ACL_DEFAULT     "system.posix_acl_default"
#define ACL_ACCESS      "system.posix_acl_access"

typedef struct AclEntry {
    uint16_t tag;
    uint16_t perm;
    uint32_t id;
} AclEntry;

/* A POSIX ACL as an xattr holds it; returns its size. */
size_t acl_bytes(const AclEntry *entries, unsigned n, uint8_t *buf);

#endif /* TESTS_UNIT_MAKE_FIXTURE_H */
