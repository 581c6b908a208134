/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * File operations on the host that an owner's own mode bits forbid.
 *
 * The guest's root may open a file of mode 0 and look into a directory of mode
 * 0; the host lets only its own root do so. A QEMU that runs as an ordinary
 * user owns most files of its export, and an owner may change the mode. So if
 * the host answers EACCES, hostfs adds the owner's bits that the operation
 * needs, repeats the operation, and takes the bits back (HostFs.own_access). An
 * open file stays usable after that. hostfs adds only bits of S_IRWXU, so no
 * other user gains anything during that time.
 *
 * The error stays for inodes of other users, for inodes that lack none of the
 * bits (the host had another reason), if chmod(2) fails (a read-only file
 * system), and if chmod(2) would clear a set-group-id bit because this process
 * is not in the group.
 *
 * One operation at a time has bits added to an inode. Otherwise one could take
 * back bits that another needs, or restore bits that it saw of the other. So an
 * operation claims its inodes, all at once, and waits for those who have one of
 * them. A lasting change of a mode claims its inode, too (hostfs_access_lock).
 * Work on other inodes goes on, whatever a claimed one waits for: no lock is
 * held over a call on a file system. All inodes of an operation are on one
 * mount, so who waits for a claim waits for no other file system's server.
 *
 * Reading attributes does not wait: hostfs publishes the added bits, under a
 * number that changes with them, and hides them from the result. Other
 * processes on the host see the bits and the changed ctime.
 *
 * If this process dies within the operation, the inode keeps the bits: its
 * owner has the permissions that the operation needed.
 */
#include "qemu/osdep.h"
#include "hostfs-internal.h"

/* Of HostAccess.claim; the lock is for the added bits, too. */
static FsClaims claims;

/* Changes with the added bits, and is odd while there are any. */
static unsigned n_added;
int hostfs_access_number;

/* @n more or fewer claims have bits. With the lock. */
static void count_added(int n)
{
    bool odd = n_added + n;

    n_added += n;
    g_atomic_int_set(&hostfs_access_number,
                     (((hostfs_access_number | 1) + 1) & (INT_MAX - 1)) | odd);
}

static FsClaim *claims_of(HostAccess *access, unsigned n)
{
    FsClaim *own = NULL;

    while (n--) {
        if (access[n].fd >= 0) {
            access[n].claim.more = own;
            own = &access[n].claim;
        }
    }
    return own;
}

static void claim(HostAccess *access, unsigned n)
{
    HostPlace place;
    unsigned i;

    for (i = 0; i < n; i++) {
        access[i].added = 0;
        access[i].changed = false;
        if (access[i].fd < 0 || hostfs_place(access[i].fd, &place) < 0) {
            place = (HostPlace) { 0 };
        }
        access[i].claim = (FsClaim) { .dev = place.dev, .ino = place.ino };
    }
    fs_claims_take(&claims, claims_of(access, n));
}

static void unclaim(HostAccess *access, unsigned n)
{
    unsigned i, added = 0;

    for (i = 0; i < n; i++) {
        added += access[i].added != 0;
    }
    if (added) {
        g_mutex_lock(&claims.lock);
        for (i = 0; i < n; i++) {
            access[i].added = 0;
        }
        count_added(-added);
        g_mutex_unlock(&claims.lock);
    }
    fs_claims_drop(&claims, claims_of(access, n));
}

static bool in_group(gid_t gid)
{
    g_autofree gid_t *groups = NULL;
    int i, n;

    if (gid == getegid()) {
        return true;
    }
    n = getgroups(0, NULL);
    groups = g_new(gid_t, MAX(n, 1));
    n = n > 0 ? getgroups(n, groups) : 0;
    for (i = 0; i < n; i++) {
        if (groups[i] == gid) {
            return true;
        }
    }
    return false;
}

/* The bits of @bits that can be added to the inode; 0 if none */
static mode_t can_add(const struct stat *st, mode_t bits)
{
    if (st->st_uid != geteuid() ||
        !(S_ISREG(st->st_mode) || S_ISDIR(st->st_mode)) ||
        ((st->st_mode & S_ISGID) && !in_group(st->st_gid))) {
        return 0;
    }
    return bits & S_IRWXU & ~st->st_mode;
}

static int change_mode(const HostFs *hfs, int fd, mode_t mode)
{
    HostFdName name;

    return chmod(hostfs_fd_name(hfs, fd, name), mode & 07777);
}

/* Finds the bits to add and publishes them. Whether there are any. */
static bool publish(HostAccess *access, unsigned n)
{
    g_autofree mode_t *added = g_new0(mode_t, n);
    unsigned i, count = 0;
    struct stat st;

    for (i = 0; i < n; i++) {
        if (access[i].fd >= 0 && fstat(access[i].fd, &st) == 0) {
            added[i] = can_add(&st, access[i].bits);
            count += added[i] != 0;
        }
    }
    if (count) {
        g_mutex_lock(&claims.lock);
        for (i = 0; i < n; i++) {
            access[i].added = added[i];
        }
        count_added(count);
        g_mutex_unlock(&claims.lock);
    }
    return count;
}

/* Reads the mode again: a write may have cleared set-id bits. */
static void take_back(const HostFs *hfs, HostAccess *access, unsigned n)
{
    struct stat st;

    while (n--) {
        if (access[n].changed && fstat(access[n].fd, &st) == 0) {
            change_mode(hfs, access[n].fd, st.st_mode & ~access[n].added);
        }
        access[n].changed = false;
    }
}

static bool widen(const HostFs *hfs, HostAccess *access, unsigned n)
{
    struct stat st;
    unsigned i;

    if (!publish(access, n)) {
        return false;
    }
    for (i = 0; i < n; i++) {
        if (!access[i].added) {
            continue;
        }
        if (fstat(access[i].fd, &st) < 0 ||
            change_mode(hfs, access[i].fd,
                        st.st_mode | access[i].added) < 0) {
            take_back(hfs, access, n);
            return false;
        }
        access[i].changed = true;
    }
    return true;
}

/*
 * Whether no permission is missing any more: another thread, which was making
 * the inode or changing its mode, may have granted them.
 */
static bool is_permitted(const HostAccess *access, unsigned n)
{
    struct stat st;
    unsigned i;

    for (i = 0; i < n; i++) {
        if (access[i].fd >= 0 &&
            (fstat(access[i].fd, &st) < 0 || st.st_uid != geteuid() ||
             (access[i].bits & ~st.st_mode))) {
            return false;
        }
    }
    return true;
}

bool hostfs_access_retry(const HostFs *hfs, int ret, HostAccess *access,
                         unsigned n)
{
    if (access->held) {
        take_back(hfs, access, n);
        access->held = false;
    } else {
        claim(access, n);
        access->held = ret == -EACCES &&
                       (widen(hfs, access, n) || is_permitted(access, n));
    }
    if (!access->held) {
        unclaim(access, n);
    }
    return access->held;
}

bool hostfs_access_hide_slow(int number, FsAttr *attr)
{
    const FsClaim *c;
    bool same;

    g_mutex_lock(&claims.lock);
    same = g_atomic_int_get(&hostfs_access_number) == number;
    for (c = claims.all; same && c; c = c->next) {
        if (c->dev == attr->dev && c->ino == attr->ino) {
            attr->mode &= ~container_of(c, HostAccess, claim)->added;
        }
    }
    g_mutex_unlock(&claims.lock);
    return same;
}

void hostfs_access_lock(const HostFs *hfs, HostAccess *access)
{
    if (hfs->own_access) {
        claim(access, 1);
    }
}

void hostfs_access_unlock(const HostFs *hfs, HostAccess *access)
{
    if (hfs->own_access) {
        unclaim(access, 1);
    }
}
