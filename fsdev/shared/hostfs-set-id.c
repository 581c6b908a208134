/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * File operations on the host: keeping set-id bits.
 *
 * The kernel takes them away from a file that a process writes to or truncates,
 * unless the process has CAP_FSETID in the initial user namespace. A guest's
 * kernel knows itself when they must go, and asks for that with a change of the
 * mode. In another user namespace hostfs can only put them back. They are gone
 * for a moment then, and for good if this process ends in it. If the host takes
 * them away in that moment, they come back.
 */
#include "qemu/osdep.h"
#include "hostfs-internal.h"

#define SET_ID_BITS     (S_ISUID | S_ISGID)

static FsClaims set_id_claims;

int hostfs_set_id_begin(const HostFs *hfs, int node, HostSetId *s)
{
    struct stat st;

    s->held = false;
    if (!hfs->loses_set_id && !hfs->making) {
        return 0;
    }
    if (fstat(node, &st) < 0) {
        return -errno;
    }
    if (!S_ISREG(st.st_mode)) {
        return 0;
    }
    s->claim = (FsClaim) { .dev = st.st_dev, .ino = st.st_ino };
    fs_claims_take(&set_id_claims, &s->claim);
    s->held = true;
    if (fstat(node, &st) < 0) {
        hostfs_set_id_end(s);
        return -errno;
    }
    s->mode = st.st_mode;
    return 0;
}

void hostfs_set_id_keep(const HostFs *hfs, int node, const HostSetId *s)
{
    HostFdName name;
    struct stat st;

    if (s->held && hfs->loses_set_id && (s->mode & SET_ID_BITS) &&
        fstat(node, &st) == 0 && (s->mode & ~st.st_mode & SET_ID_BITS)) {
        /* The operation itself has succeeded, whatever comes of this. */
        (void)!fchmodat(AT_FDCWD, hostfs_fd_name(hfs, node, name),
                        (st.st_mode & 07777) | (s->mode & SET_ID_BITS), 0);
    }
}

void hostfs_set_id_end(HostSetId *s)
{
    if (s->held) {
        fs_claims_drop(&set_id_claims, &s->claim);
        s->held = false;
    }
}
