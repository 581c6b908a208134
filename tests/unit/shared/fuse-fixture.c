/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The export of hostfs-fixture.h on a FUSE file system: see fuse-fixture.h.
 */
#include "qemu/osdep.h"
#include "fuse-fixture.h"

void export_mounted(Fixture *f)
{
    g_autofree char *export = g_strconcat(f->dir, "/export", NULL);

    f->export = open(export, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(f->export, >=, 0);
    assert_ok(hostfs_init(&f->fs, open(export, O_PATH | O_CLOEXEC),
                          "/proc/self/fd/"));
}

TestFuse *export_test_fuse(Fixture *f, unsigned habits)
{
    g_autofree char *export = g_strconcat(f->dir, "/export", NULL);
    TestFuse *fuse;

    unshare_mounts(f);
    fuse = test_fuse_start(export, habits);
    if (!fuse) {
        _exit(CHILD_SKIPS);
    }
    export_mounted(f);
    return fuse;
}
