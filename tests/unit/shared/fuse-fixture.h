/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The export of hostfs-fixture.h on the FUSE file system of test-fuse.h.
 */
#ifndef TESTS_UNIT_FUSE_FIXTURE_H
#define TESTS_UNIT_FUSE_FIXTURE_H

#include "hostfs-fixture.h"
#include "test-fuse.h"

/*
 * In a child: mounts the file system on the export, in a mount namespace of the
 * child's own, or skips the test.
 */
TestFuse *export_test_fuse(Fixture *f, unsigned habits);

/* In a child: @f's export is what is mounted there now. */
void export_mounted(Fixture *f);

#endif /* TESTS_UNIT_FUSE_FIXTURE_H */
