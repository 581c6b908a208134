/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The paths of protocol version 1: see path.h.
 *
 * Each path is walked anew from the export's root, name by name and never
 * through a symbolic link (hostfs_walk()). So a link on the way leads nowhere,
 * even if another process puts it there during the walk.
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

/* A handle of the inode that the names lead to, from the export's root. */
static int walk_names(const HostFs *fs, char *const *names, size_t n)
{
    int fd = fcntl(fs->root, F_DUPFD_CLOEXEC, 0);
    size_t at, count;
    HostWalk walk;
    int ret;

    if (fd < 0) {
        return -errno;
    }
    for (at = 0; at < n; at += count) {
        count = MIN(n - at, FS_WALK_MAX);
        ret = hostfs_walk(fs, fd, (const char *const *)names + at, count,
                          &walk);
        close(fd);
        if (ret < 0) {
            return ret;
        }
        if (walk.parent >= 0) {
            close(walk.parent);
        }
        fd = walk.node;
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
