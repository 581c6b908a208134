/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The paths of protocol version 1: see path.h.
 *
 * Each path is walked anew from the export's root, name by name and never
 * through a symbolic link (hostfs_walk_known()). So a link on the way leads
 * nowhere, even if another process puts it there during the walk. The walk
 * remembers the directories that it came down through, so that ".." needs no
 * search.
 */
#include "qemu/osdep.h"
#include "path.h"

/* The next name in *@path, which is changed. Skips "." and empty names. */
static char *next_name(char **path)
{
    char *name;

    do {
        name = strsep(path, "/");
    } while (name && (*name == '\0' || g_str_equal(name, ".")));
    return name;
}

/* An inode that a walk came down through, from the root to where it is */
typedef struct Stop {
    uint64_t dev;
    uint64_t ino;
} Stop;

/* HostKnown.is_above: a piece of the walk may go up by several of the stops. */
static bool is_above(void *opaque, const HostPlace *dir, const FsAttr *above)
{
    const GArray *stops = opaque;
    unsigned i;

    for (i = stops->len; i-- > 1; ) {
        const Stop *s = &g_array_index(stops, Stop, i);

        if (s->dev == dir->dev && s->ino == dir->ino) {
            return s[-1].dev == above->dev && s[-1].ino == above->ino;
        }
    }
    return false;
}

/* Brings the stops up to date after a piece of the walk. */
static void add_stops(GArray *stops, char *const *names, const HostWalk *walk)
{
    unsigned i;

    for (i = 0; i < walk->walked; i++) {
        Stop stop = { walk->attr[i].dev, walk->attr[i].ino };

        if (!g_str_equal(names[i], "..")) {
            g_array_append_val(stops, stop);
        } else if (stops->len > 1) {
            g_array_set_size(stops, stops->len - 1);
        }
    }
}

/* A handle of the inode that the names lead to, from the export's root. */
static int walk_names(const HostFs *fs, char *const *names, size_t n)
{
    g_autoptr(GArray) stops = g_array_new(false, false, sizeof(Stop));
    const HostKnown known = { .is_above = is_above, .opaque = stops };
    int fd = fcntl(fs->root, F_DUPFD_CLOEXEC, 0);
    Stop root = { fs->root_dev, fs->root_ino };
    size_t at, count;
    HostWalk walk;
    int ret;

    if (fd < 0) {
        return -errno;
    }
    g_array_append_val(stops, root);
    for (at = 0; at < n; at += count) {
        count = MIN(n - at, FS_WALK_MAX);
        ret = hostfs_walk_known(fs, fd, &known,
                                (const char *const *)names + at, count, &walk);
        close(fd);
        if (ret < 0) {
            return ret;
        }
        if (walk.parent >= 0) {
            close(walk.parent);
        }
        fd = walk.node;
        add_stops(stops, names + at, &walk);
    }
    return fd;
}

static GPtrArray *split(const char *path, char **copy)
{
    GPtrArray *names = g_ptr_array_new();
    char *rest = *copy = g_strdup(path);
    char *name;

    while ((name = next_name(&rest))) {
        g_ptr_array_add(names, name);
    }
    return names;
}

int path_v1_find(const HostFs *fs, const char *path)
{
    g_autofree char *copy = NULL;
    g_autoptr(GPtrArray) names = split(path, &copy);

    return walk_names(fs, (char **)names->pdata, names->len);
}

int path_v1_find_parent(const HostFs *fs, const char *path, char **name)
{
    g_autofree char *copy = NULL;
    g_autoptr(GPtrArray) names = split(path, &copy);

    *name = NULL;
    if (!names->len) {
        return -EBUSY;
    }
    *name = g_strdup(names->pdata[names->len - 1]);
    return walk_names(fs, (char **)names->pdata, names->len - 1);
}
