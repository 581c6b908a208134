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
 * One operation at a time has bits added. Otherwise one could take back bits
 * that another needs, or restore bits that it saw of the other. A lasting
 * change of a mode waits for it, too (hostfs_access_lock()). Reading attributes
 * does not wait: hostfs publishes the added bits, under a number that changes
 * with them, and hides them from the result. Other processes on the host see
 * the bits and the changed ctime.
 *
 * If this process dies within the operation, the inode keeps the bits: its
 * owner has the permissions that the operation needed.
 */
#include "qemu/osdep.h"
#include "hostfs-internal.h"

/* Inodes of one operation: two directories, and one that moves between them */
#define WIDENED_MAX     3

/* Held as long as bits are added */
static GMutex widen_lock;

/* The bits that are added now; the number is odd while there are any. */
static GMutex published_lock;
static struct {
    uint64_t dev;
    uint64_t ino;
    mode_t added;
} published[WIDENED_MAX];
static unsigned n_published;
int hostfs_access_number;

static void number_next(void)
{
    g_atomic_int_set(&hostfs_access_number,
                     (hostfs_access_number + 1) & INT_MAX);
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
    struct stat st;
    unsigned i, count = 0;

    for (i = 0; i < n; i++) {
        access[i].added = 0;
        if (access[i].fd >= 0 && fstat(access[i].fd, &st) == 0) {
            access[i].added = can_add(&st, access[i].bits);
        }
        if (access[i].added) {
            g_mutex_lock(&published_lock);
            published[count].dev = st.st_dev;
            published[count].ino = st.st_ino;
            published[count].added = access[i].added;
            n_published = ++count;
            g_mutex_unlock(&published_lock);
        }
    }
    if (count) {
        number_next();
    }
    return count;
}

static void unpublish(void)
{
    g_mutex_lock(&published_lock);
    n_published = 0;
    number_next();
    g_mutex_unlock(&published_lock);
}

/* Reads the mode again: a write may have cleared set-id bits. */
static void take_back(const HostFs *hfs, HostAccess *access, unsigned n)
{
    struct stat st;

    while (n--) {
        if (access[n].added && fstat(access[n].fd, &st) == 0) {
            change_mode(hfs, access[n].fd, st.st_mode & ~access[n].added);
        }
        access[n].added = 0;
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
        if (access[i].added &&
            (fstat(access[i].fd, &st) < 0 ||
             change_mode(hfs, access[i].fd,
                         st.st_mode | access[i].added) < 0)) {
            access[i].added = 0;
            take_back(hfs, access, n);
            unpublish();
            return false;
        }
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
        if (n_published) {
            unpublish();
        }
        access->held = false;
        g_mutex_unlock(&widen_lock);
        return false;
    }
    assert(n <= WIDENED_MAX);
    g_mutex_lock(&widen_lock);
    access->held = ret == -EACCES &&
                   (widen(hfs, access, n) || is_permitted(access, n));
    if (!access->held) {
        g_mutex_unlock(&widen_lock);
    }
    return access->held;
}

bool hostfs_access_hide_slow(int number, FsAttr *attr)
{
    bool same;
    unsigned i;

    g_mutex_lock(&published_lock);
    same = g_atomic_int_get(&hostfs_access_number) == number;
    for (i = 0; same && i < n_published; i++) {
        if (published[i].dev == attr->dev && published[i].ino == attr->ino) {
            attr->mode &= ~published[i].added;
        }
    }
    g_mutex_unlock(&published_lock);
    return same;
}

void hostfs_access_lock(const HostFs *hfs)
{
    if (hfs->own_access) {
        g_mutex_lock(&widen_lock);
    }
}

void hostfs_access_unlock(const HostFs *hfs)
{
    if (hfs->own_access) {
        g_mutex_unlock(&widen_lock);
    }
}
