/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Security model mapped-file: renaming and removing names, together with their
 * metadata (mapped-folder.h).
 *
 * A claim of the directories keeps their names and metadata together; about
 * other file systems that are mounted on a name, see mapped-file.c.
 */
#include "qemu/osdep.h"
#include "mapped-folder.h"

/* Rounds in which others may put another directory in place of the target */
#define TARGET_TRIES    16
/* Rounds in which a file server may fail when metadata follows its file */
#define METADATA_TRIES  2

/*
 * A directory that a rename replaces or rmdir(2) removes, whose metadata goes
 * first: the operation claims it, too, so that nothing new is made there.
 */
typedef struct Target {
    bool is_dir;
    uint64_t dev;
    uint64_t ino;
    bool changed;               /* it is another one now: look again */
} Target;

/* Looks what @name in @dir is, and adds a directory to the keys. */
static int look_at_target(const LocalHost *lh, int dir, const char *name,
                          LocalKeys *k, Target *t)
{
    FsAttr attr;
    int node = hostfs_step(&lh->host, dir, name, HOST_WAIT_POOL, &attr);

    *t = (Target) { };
    if (node < 0) {
        return node == -ENOENT ? 0 : node;
    }
    close(node);
    if (S_ISDIR(attr.mode)) {
        *t = (Target) { .is_dir = true, .dev = attr.dev, .ino = attr.ino };
        local_keys_add(k, attr.dev, attr.ino, false);
    }
    return 0;
}

/* Clears the metadata of the directory @node, if it is the claimed one. */
static int clear_target(const LocalHost *lh, int node, const FsAttr *attr,
                        Target *t)
{
    t->changed = !t->is_dir || attr->dev != t->dev || attr->ino != t->ino;
    return t->changed ? -ESTALE : local_metadata_clear(lh, node);
}

/*
 * Looks at the target of a rename of @old. If both are directories, clears the
 * target's metadata, which would keep rename(2) from replacing it.
 */
static int prepare_target(const LocalHost *lh, const FsAttr *old,
                          int newdir, const char *newname, Target *t,
                          bool *exists, bool *same)
{
    FsAttr target;
    int node, ret = 0;

    node = hostfs_step(&lh->host, newdir, newname, HOST_WAIT_POOL, &target);
    *exists = node >= 0;
    *same = false;
    if (node < 0) {
        return node == -ENOENT ? 0 : node;
    }
    ret = local_metadata_check_new(lh, newdir, &target);
    if (ret < 0) {
        close(node);
        return ret;
    }
    if (target.dev == old->dev && target.ino == old->ino) {
        *same = true;
    } else if (S_ISDIR(target.mode) && S_ISDIR(old->mode)) {
        ret = clear_target(lh, node, &target, t);
    }
    close(node);
    return ret;
}

static int rename_claimed(const LocalHost *lh,
                          int olddir, const char *oldname,
                          int newdir, const char *newname, Target *t)
{
    bool exists, same;
    unsigned tries;
    FsAttr old;
    int from = -1;
    int to = -1;
    int ret;

    ret = hostfs_step(&lh->host, olddir, oldname, HOST_WAIT_POOL, &old);
    if (ret < 0) {
        return ret;
    }
    close(ret);
    ret = local_metadata_check_guests(lh, olddir, &old);
    if (ret < 0) {
        return ret;
    }
    ret = prepare_target(lh, &old, newdir, newname, t, &exists, &same);
    if (ret < 0 || same) {
        /* rename(2): two links to the same file both stay */
        return ret < 0 ? ret : hostfs_rename(&lh->host, olddir, oldname,
                                             newdir, newname);
    }

    /* Do as much as can fail before changing anything. */
    ret = local_metadata_find(lh, olddir, oldname, &from);
    if (ret == 0) {
        to = local_metadata_open_folder(lh, newdir, from >= 0);
        if (to < 0 && (from >= 0 || !local_metadata_is_absence(lh, to))) {
            ret = to;
        }
    }
    if (ret == 0) {
        ret = hostfs_rename(&lh->host, olddir, oldname, newdir, newname);
    }
    if (ret == 0) {
        /* What the name meant before is gone: only forward is a way. */
        tries = exists ? METADATA_TRIES : 1;
        do {
            ret = local_metadata_check_new(lh, newdir, &old);
            if (ret == 0) {
                ret = local_metadata_rename(lh, from, oldname, to, newname);
            }
        } while (ret < 0 && --tries);
        if (ret < 0 && !exists) {
            hostfs_rename(&lh->host, newdir, newname, olddir, oldname);
        }
    }
    if (from >= 0) {
        close(from);
    }
    if (to >= 0) {
        close(to);
    }
    return ret;
}

/*
 * -EBUSY if @name in @dir cannot change because something is mounted there;
 * another error if that is the model's own.
 */
static int check_mount(const LocalHost *lh, int dir, const char *name,
                       bool is_new)
{
    FsAttr attr;
    int ret = fs_name_check(name);

    if (ret < 0 || !hostfs_is_mount(dir, name)) {
        return ret;
    }
    ret = hostfs_step(&lh->host, dir, name, HOST_WAIT_POOL, &attr);
    if (ret >= 0) {
        close(ret);
        ret = is_new ? local_metadata_check_new(lh, dir, &attr)
                     : local_metadata_check_guests(lh, dir, &attr);
    }
    return ret < 0 ? ret : -EBUSY;
}

/* One try, and again if @t->changed */
static int rename_once(const LocalHost *lh, int olddir, const char *oldname,
                       int newdir, const char *newname, Target *t)
{
    LocalKeys k = { };
    int ret;

    ret = local_keys_add_handle(&k, olddir, false);
    if (ret == 0) {
        ret = local_keys_add_handle(&k, newdir, false);
    }
    if (ret == 0) {
        ret = look_at_target(lh, newdir, newname, &k, t);
    }
    if (ret == 0) {
        local_keys_claim(&k);
        ret = rename_claimed(lh, olddir, oldname, newdir, newname, t);
        local_keys_drop(&k);
    }
    return ret;
}

int local_metadata_rename_name(const LocalHost *lh,
                               int olddir, const char *oldname,
                               int newdir, const char *newname)
{
    unsigned tries = TARGET_TRIES;
    HostPlace from, to;
    Target t = { };
    int ret;

    if (lh->host.readonly) {
        return -EROFS;
    }
    ret = hostfs_place(olddir, &from);
    if (ret == 0) {
        ret = hostfs_place(newdir, &to);
    }
    if (ret == 0 && from.mount != to.mount) {
        /* rename(2) refuses it. */
        return hostfs_rename(&lh->host, olddir, oldname, newdir, newname);
    }
    if (ret == 0) {
        ret = check_mount(lh, olddir, oldname, false);
    }
    if (ret == 0) {
        ret = check_mount(lh, newdir, newname, true);
    }
    if (ret < 0) {
        return ret;
    }
    do {
        ret = rename_once(lh, olddir, oldname, newdir, newname, &t);
    } while (t.changed && --tries);
    return ret;
}

/*
 * Before unlink(2) or rmdir(2) of @name: clears the metadata of a directory,
 * which must be @expect unless that is NULL.
 */
static int prepare_unlink(const LocalHost *lh, int dir, const char *name,
                          bool rmdir, const HostPlace *expect, Target *t)
{
    FsAttr attr;
    int node, ret;

    ret = node = hostfs_step(&lh->host, dir, name, HOST_WAIT_POOL, &attr);
    if (ret < 0) {
        return ret;
    }
    ret = local_metadata_check_guests(lh, dir, &attr);
    if (ret < 0 || !rmdir) {
        close(node);
        return ret;
    }
    if (expect && (attr.dev != expect->dev || attr.ino != expect->ino)) {
        ret = -ESTALE;
    } else {
        ret = S_ISDIR(attr.mode) ? clear_target(lh, node, &attr, t) : -ENOTDIR;
    }
    close(node);
    return ret;
}

static int unlink_claimed(const LocalHost *lh, int dir, const char *name,
                          bool rmdir, int expect, Target *t)
{
    HostPlace expected;
    int folder;
    int ret = expect >= 0 ? hostfs_place(expect, &expected) : 0;

    if (ret < 0) {
        return ret;
    }
    folder = local_metadata_open_folder(lh, dir, false);
    if (folder < 0 && !local_metadata_is_absence(lh, folder)) {
        return folder;
    }
    ret = prepare_unlink(lh, dir, name, rmdir, expect >= 0 ? &expected : NULL,
                         t);
    if (ret == 0) {
        ret = hostfs_unlink(&lh->host, dir, name, rmdir, expect);
    }
    if (ret == 0 && folder >= 0) {
        local_metadata_remove(lh, folder, name);
    }
    if (folder >= 0) {
        close(folder);
    }
    return ret;
}

/* One try, and again if @t->changed */
static int unlink_once(const LocalHost *lh, int dir, const char *name,
                       bool rmdir, int expect, Target *t)
{
    LocalKeys k = { };
    int ret = local_keys_add_handle(&k, dir, false);

    if (ret == 0 && rmdir) {
        ret = look_at_target(lh, dir, name, &k, t);
    }
    if (ret == 0) {
        local_keys_claim(&k);
        ret = unlink_claimed(lh, dir, name, rmdir, expect, t);
        local_keys_drop(&k);
    }
    return ret;
}

int local_metadata_unlink_name(const LocalHost *lh, int dir,
                               const char *name, bool rmdir, int expect)
{
    unsigned tries = TARGET_TRIES;
    Target t = { };
    int ret;

    if (lh->host.readonly) {
        return -EROFS;
    }
    ret = check_mount(lh, dir, name, false);
    if (ret < 0) {
        return ret;
    }
    do {
        ret = unlink_once(lh, dir, name, rmdir, expect, &t);
    } while (t.changed && --tries);
    return ret;
}
