/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Code that the tests of making files on the host share: see make-fixture.h.
 */
#include "qemu/osdep.h"
#include "make-fixture.h"

FsMakeArgs mine(const char *name, uint32_t mode)
{
    return (FsMakeArgs) { .name = name, .mode = mode, .uid = geteuid(),
                      .gid = getegid(), .target = "target" };
}

int try_create(Fixture *f, int dir, const FsMakeArgs *make, int flags,
                      FsAttr *attr)
{
    FsAttr opened, handle;
    int node = 99;
    int fd = hostfs_create(&f->fs, dir, make, flags, &node, attr);

    if (fd < 0) {
        g_assert_cmpint(node, ==, -1);
        return fd;
    }
    assert_ok(hostfs_getattr(fd, &opened));
    assert_ok(hostfs_getattr(node, &handle));
    g_assert_cmpuint(opened.ino, ==, attr->ino);
    g_assert_cmpuint(handle.ino, ==, attr->ino);
    g_assert_cmphex(fcntl(node, F_GETFL) & O_PATH, ==, O_PATH);
    g_assert_cmphex(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND), ==,
                    flags & (O_ACCMODE | O_APPEND));
    g_assert_cmpint(fcntl(fd, F_GETFD), ==, FD_CLOEXEC);
    g_assert_cmpint(fcntl(node, F_GETFD), ==, FD_CLOEXEC);
    close(node);
    close(fd);
    return 0;
}

int try_make(Fixture *f, int dir, const FsMakeArgs *make, FsAttr *attr)
{
    FsAttr unused;

    return hostfs_make(&f->fs, dir, make, attr ? attr : &unused);
}

size_t acl_bytes(const AclEntry *entries, unsigned n, uint8_t *buf)
{
    unsigned i;

    memcpy(buf, "\2\0\0\0", 4);
    for (i = 0; i < n; i++) {
        uint8_t *p = buf + 4 + 8 * i;

        p[0] = entries[i].tag;
        p[1] = 0;
        p[2] = entries[i].perm;
        p[3] = 0;
        p[4] = entries[i].id;
        p[5] = entries[i].id >> 8;
        p[6] = entries[i].id >> 16;
        p[7] = entries[i].id >> 24;
    }
    return 4 + 8 * n;
}
