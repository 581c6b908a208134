/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * File operations on the host: walks, and the way up.
 *
 * A step by ".." must not leave the export, even if the host has moved the
 * directory out of it. The search for the export's root above a directory costs
 * as much as the directory is deep, and on a bind mount the square of that,
 * because there the kernel itself looks for the mount's root at each "..". So
 * hostfs avoids the search where it can:
 *
 *  - If the export is all of a mount, as in the helper's sandbox, the kernel
 *    goes up only as long as the directory above lies below the mount's root.
 *    Then it lies in the export.
 *  - The walk itself came down through the directory, or the caller knows that
 *    another walk did (HostKnown). A guest could have kept a handle of it.
 *
 * Otherwise hostfs searches, once for all ".." that follow each other. The
 * searches of a walk together look at LEVELS_MAX directories at most.
 */
#include "qemu/osdep.h"
#include "hostfs-internal.h"
#include "special-file.h"
#include "thread-budget.h"
#include <linux/openat2.h>

/* Linux 5.12; the headers may be older */
#ifndef RESOLVE_CACHED
#define RESOLVE_CACHED  0x20
#endif

/* Levels that searches for the root climb in one walk */
#define LEVELS_MAX      1024

typedef struct Climb {
    const HostKnown *known;     /* or NULL */
    unsigned levels;            /* that searches may still climb */
    bool unsure;                /* the last directory may lie outside */
} Climb;

/* The directory above @dir, inside the export or not */
static int open_above(const HostFs *hfs, int dir)
{
    HostAccess access[] = { { .fd = dir, .bits = S_IXUSR } };
    int fd;

    do {
        fd = openat(dir, "..", HOSTFS_HANDLE_FLAGS | O_DIRECTORY);
        fd = fd < 0 ? -errno : fd;
    } while (hostfs_access_again(hfs, &fd, access, 1));
    return fd;
}

static bool same_place(const HostPlace *a, const HostPlace *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->mount == b->mount;
}

/*
 * Whether @place is the export's root. A bind mount of the root inside the
 * export counts as well: it is the same inode, thus the same node.
 */
static bool is_root(const HostFs *hfs, const HostPlace *place)
{
    return place->dev == hfs->root_dev && place->ino == hfs->root_ino;
}

/* Whether @place, which the kernel found by "..", surely lies in the export */
static bool is_below_root(const HostFs *hfs, const HostPlace *place)
{
    return is_root(hfs, place) ||
           (hfs->own_mount && place->mount == hfs->own_mount);
}

/*
 * Whether @dir lies in the export now, that is, whether a walk up from it finds
 * the root: 0, or -ENOENT if not (the directory was moved out) or if that is
 * unknown.
 */
static int check_inside(const HostFs *hfs, int dir, unsigned *levels)
{
    HostPlace here, last;
    int cur = dir;
    int above;
    int ret = hostfs_place(dir, &here);

    while (ret == 0 && !is_below_root(hfs, &here)) {
        if (*levels == 0) {
            ret = -ENOENT;
            break;
        }
        --*levels;
        above = open_above(hfs, cur);
        if (above < 0) {
            /* An EACCES would reveal something about the outside. */
            ret = above == -EACCES ? -ENOENT : above;
            break;
        }
        if (cur != dir) {
            close(cur);
        }
        cur = above;
        last = here;
        ret = hostfs_place(cur, &here);
        if (ret == 0 && same_place(&here, &last)) {
            /* ".." leads to itself: the root of the host or of a lost tree */
            ret = -ENOENT;
        }
    }
    if (cur != dir) {
        close(cur);
    }
    return ret;
}

/* An inode that the walk came through */
typedef struct Stop {
    uint64_t dev;
    uint64_t ino;
} Stop;

/*
 * A handle of the directory above @dir, with its attributes. @trail is the
 * directory in which the walk found @dir, or NULL.
 */
static int climb_up(const HostFs *hfs, Climb *c, int dir, const Stop *trail,
                    FsAttr *attr)
{
    HostPlace here, above;
    int fd, ret;

    ret = hostfs_place(dir, &here);
    if (ret < 0) {
        return ret;
    }
    if (is_root(hfs, &here)) {
        fd = fcntl(dir, F_DUPFD_CLOEXEC, 0);
        fd = fd < 0 ? -errno : fd;
    } else {
        fd = open_above(hfs, dir);
    }
    if (fd < 0) {
        return fd;
    }
    ret = hostfs_place(fd, &above);
    if (ret == 0 && !thread_budget_cross(above.dev)) {
        ret = -EAGAIN;
    }
    if (ret == 0) {
        ret = hostfs_getattr(fd, attr);
    }
    if (ret < 0) {
        close(fd);
        return ret;
    }
    c->unsure = !is_below_root(hfs, &above) &&
                !(trail && trail->dev == above.dev &&
                  trail->ino == above.ino) &&
                !(c->known && c->known->is_above(c->known->opaque, &here,
                                                 attr));
    return fd;
}

/* To be called before anything is done with the directory @dir but going up. */
static int climb_end(const HostFs *hfs, Climb *c, int dir)
{
    int ret = 0;

    if (c->unsure) {
        ret = check_inside(hfs, dir, &c->levels);
        c->unsure = ret < 0;
    }
    return ret;
}

int hostfs_step_up(const HostFs *hfs, int dir, const HostKnown *known,
                   FsAttr *attr)
{
    Climb c = { .known = known, .levels = LEVELS_MAX };
    int fd = climb_up(hfs, &c, dir, NULL, attr);
    int ret = fd < 0 ? fd : climb_end(hfs, &c, fd);

    if (fd >= 0 && ret < 0) {
        close(fd);
    }
    return ret < 0 ? ret : fd;
}

int hostfs_open_cached(int dir, const char *path)
{
    return hostfs_open_handle(dir, path, RESOLVE_CACHED);
}

/*
 * -EAGAIN also if only hostfs_lookup() can find out: before Linux 5.12,
 * RESOLVE_CACHED is EINVAL, and we may be able to add missing permissions.
 */
static int lookup_without_waiting(const HostFs *hfs, int dir, const char *name)
{
    int fd = hostfs_open_cached(dir, name);

    return fd == -EINVAL || (fd == -EACCES && hfs->own_access) ? -EAGAIN : fd;
}

/*
 * hostfs_lookup() of a name that may be a mount point. That asks only the
 * kernel about the other file system; -EAGAIN if this thread may not ask its
 * server, too.
 */
static int lookup_and_cross(const HostFs *hfs, int dir, const char *name)
{
    HostPlace place;
    int fd = hostfs_lookup(hfs, dir, name, RESOLVE_NO_XDEV);

    if (fd != -EXDEV) {
        return fd;
    }
    fd = hostfs_lookup(hfs, dir, name, 0);
    if (fd >= 0 && hostfs_place(fd, &place) == 0 &&
        !thread_budget_cross(place.dev)) {
        close(fd);
        return -EAGAIN;
    }
    return fd;
}

unsigned char hostfs_entry_type(const HostFs *hfs, int dir, const char *name,
                                unsigned char type)
{
    FsAttr attr;
    int fd, ret;

    if (!hfs->maps_devices || type == DT_UNKNOWN ||
        special_file_entry_type(dir, name, type) == type) {
        return type;
    }
    /* The file system of another file, mounted there, may not answer. */
    fd = hostfs_lookup(hfs, dir, name, RESOLVE_NO_XDEV);
    if (fd < 0) {
        return DT_UNKNOWN;
    }
    ret = hostfs_view(hfs, fd, &attr);
    close(fd);
    return ret < 0 ? DT_UNKNOWN : IFTODT(attr.mode);
}

/* One step of a walk by a name. In 9P, "." names nothing. */
static int walk_down(const HostFs *hfs, int dir, const char *name,
                     HostWait wait)
{
    int ret = fs_name_check(name);

    if (ret < 0) {
        return ret == -EINVAL ? -ENOENT : ret;
    }
    return wait == HOST_WAIT_POOL ?
           lookup_and_cross(hfs, dir, name) :
           lookup_without_waiting(hfs, dir, name);
}

/*
 * An inode that was found without waiting has its attributes in the kernel, and
 * only newer ones would need a file server (AT_STATX_DONT_SYNC).
 */
int hostfs_step(const HostFs *hfs, int dir, const char *name, HostWait wait,
                FsAttr *attr)
{
    int fd, ret;

    if (g_str_equal(name, "..")) {
        return wait == HOST_WAIT_POOL ?
               hostfs_step_up(hfs, dir, NULL, attr) : -EAGAIN;
    }
    fd = walk_down(hfs, dir, name, wait);
    if (fd < 0) {
        return fd;
    }
    ret = hostfs_getattr_flags(fd, wait == HOST_WAIT_POOL ? 0 :
                               AT_STATX_DONT_SYNC, attr);
    if (ret == 0) {
        ret = special_file_see(hfs, fd, attr);
    }
    if (ret < 0) {
        close(fd);
        return ret;
    }
    return fd;
}

/*
 * The directories that a walk came down through: where it is, and those above.
 * A walk that goes above its start forgets them.
 */
typedef struct Trail {
    Stop stops[FS_WALK_MAX + 1];
    unsigned n;
} Trail;

/* One step from @dir, as hostfs_step() */
static int walk_step(const HostFs *hfs, Climb *c, Trail *t, int dir,
                     const char *name, FsAttr *attr)
{
    bool up = g_str_equal(name, "..");
    int fd;

    if (up) {
        fd = climb_up(hfs, c, dir, t->n > 1 ? &t->stops[t->n - 2] : NULL,
                      attr);
    } else {
        fd = climb_end(hfs, c, dir);
        fd = fd < 0 ? fd : hostfs_step(hfs, dir, name, HOST_WAIT_POOL, attr);
    }
    if (fd >= 0) {
        t->n = up ? MAX(t->n - 1, 1) : t->n + 1;
        t->stops[t->n - 1] = (Stop) { attr->dev, attr->ino };
    }
    return fd;
}

static bool goes_up(const char *const *names, unsigned n)
{
    unsigned i;

    for (i = 1; i < n; i++) {
        if (g_str_equal(names[i], "..")) {
            return true;
        }
    }
    return false;
}

int hostfs_walk_known(const HostFs *hfs, int from, const HostKnown *known,
                      const char *const *names, unsigned n, HostWalk *walk)
{
    Climb c = { .known = known, .levels = LEVELS_MAX };
    Trail trail = { .n = 1 };
    int parent = -1;            /* the directory of cur, if we opened it */
    int cur = from;
    HostPlace start = { 0 };
    unsigned i;
    int ret;

    walk->walked = 0;
    walk->node = -1;
    walk->parent = -1;
    if (n == 0 || n > FS_WALK_MAX) {
        return -EINVAL;
    }

    /* Only a later ".." wants to know where the walk started. */
    ret = goes_up(names, n) ? hostfs_place(from, &start) : 0;
    trail.stops[0] = (Stop) { start.dev, start.ino };
    for (i = 0; ret == 0 && i < n; i++) {
        int next = walk_step(hfs, &c, &trail, cur, names[i], &walk->attr[i]);

        if (next >= 0) {
            if (parent >= 0) {
                close(parent);
            }
            parent = cur == from ? -1 : cur;
            cur = next;
        }
        ret = next < 0 ? next : i == n - 1 ? climb_end(hfs, &c, cur) : 0;
        if (!c.unsure) {
            walk->walked = next < 0 ? i : i + 1;
        }
    }

    if (parent >= 0 && (ret < 0 || g_str_equal(names[n - 1], ".."))) {
        /* After "..", the walk came from there: it is below. */
        close(parent);
        parent = -1;
    }
    if (ret < 0) {
        if (cur != from) {
            close(cur);
        }
        return ret;
    }
    walk->node = cur;
    walk->parent = parent;
    return 0;
}
