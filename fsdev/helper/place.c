/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A place for a file of the helper: see place.h.
 *
 * Theory of operation. A name means nothing in a directory where another user
 * may change it. So the helper walks to the directory step by step, by
 * descriptor, and looks at the owner and the mode of each step:
 *
 *  - Root and the starter are trusted. In a directory of theirs, no other user
 *    may change names, unless it is sticky: then no other user may change the
 *    names of files that are theirs.
 *  - From the first step on that belongs to another user, that user decides
 *    where the path leads. If it is the user for whom the file is, the helper
 *    makes the file with that user's rights, so nothing is gained by changing
 *    names meanwhile. Any other user is an error.
 *
 * The helper makes the file in its own directory beside the final place
 * (".virtfs-proxy-XXXXXXXX", mode 0700), compares what it opens with what it
 * made, and moves the file to its place with one rename. If a file is there
 * already, the helper exchanges the two (RENAME_EXCHANGE) and inspects the old
 * file in the private directory. It removes a leftover, and puts anything else
 * back. So two helpers that start at once cannot take each other's file away.
 * Another process may change the name meanwhile, too: the helper removes no
 * file but its own and a leftover.
 */
#include "qemu/osdep.h"
#include "place.h"
#include "log.h"
#include "sandbox.h"
#include "userns.h"
#include <grp.h>
#include <pwd.h>
#include <sys/random.h>
#include <sys/xattr.h>

#define MAX_LINKS       40
#define ACL_NAME        "system.posix_acl_access"
/* Tries to put a file back, while another process makes and removes others */
#define PUT_BACK_TRIES  64

/* A way to a directory, of which a part has been walked */
typedef struct Way {
    Place *place;
    GString *done;              /* for errors */
    char *rest;
    unsigned links;
} Way;

static bool is_trusted(uint32_t uid)
{
    return uid == 0 || uid == geteuid() ||
           (uid == userns_unmapped_uid() && userns_is_partial());
}

/*
 * Whether the system knows another user than @uid in the group @gid. Root's
 * group often has such users.
 */
static bool has_other_members(gid_t gid, uid_t uid)
{
    struct group *group = getgrgid(gid);
    struct passwd *user;
    bool found = false;
    char **name;

    for (name = group ? group->gr_mem : NULL; name && *name; name++) {
        user = getpwnam(*name);
        if (!user || user->pw_uid != uid) {
            return true;
        }
    }
    setpwent();
    while (!found && (user = getpwent())) {
        found = user->pw_gid == gid && user->pw_uid != uid;
    }
    endpwent();
    return found;
}

/* Whether a group that may write has no other members than the owner */
static bool is_own_group(int fd, const struct stat *st)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);

    return st->st_gid == st->st_uid &&
           getxattr(link, ACL_NAME, NULL, 0) < 0 &&
           !has_other_members(st->st_gid, st->st_uid);
}

/* Takes note of whose the step @fd is. */
static void judge(Way *w, int fd, const struct stat *st)
{
    Place *p = w->place;
    const char *at = w->done->str;

    if (!is_trusted(st->st_uid) && st->st_uid != p->owner) {
        if (p->owner != NO_ID) {
            fatal("--%s %s: %s belongs to user %u, in a directory of user %u",
                  p->option, p->path, at, st->st_uid, p->owner);
        }
        p->owner = st->st_uid;
    }
    if (!S_ISDIR(st->st_mode) || (st->st_mode & S_ISVTX)) {
        return;
    }
    if (st->st_mode & S_IWOTH) {
        fatal("--%s %s: every user may change names in the directory %s, which "
              "belongs to user %u", p->option, p->path, at, st->st_uid);
    }
    if ((st->st_mode & S_IWGRP) && !is_own_group(fd, st)) {
        fatal("--%s %s: group %u may change names in the directory %s, which "
              "belongs to user %u", p->option, p->path, st->st_gid, at,
              st->st_uid);
    }
}

static G_NORETURN void no_directory(const Way *w, int error)
{
    fatal("--%s %s: its directory: %s: %s", w->place->option, w->place->path,
          w->done->str, strerror(error));
}

/* Puts the target of the symbolic link @fd before the rest of the way. */
static void follow(Way *w, int fd, const char *rest)
{
    char target[PATH_MAX];
    ssize_t len = readlinkat(fd, "", target, sizeof(target) - 1);
    char *joined;

    if (len < 0) {
        no_directory(w, errno);
    }
    if (++w->links > MAX_LINKS) {
        no_directory(w, ELOOP);
    }
    target[len] = '\0';
    joined = g_strconcat(target, "/", rest, NULL);
    g_free(w->rest);
    w->rest = joined;
}

/* Opens "/" or the working directory, whatever the way begins with. */
static int open_start(Way *w)
{
    bool top = *w->rest == '/';
    int fd = open(top ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct stat st;

    g_string_assign(w->done, top ? "/" : ".");
    if (fd < 0 || fstat(fd, &st) < 0) {
        no_directory(w, errno);
    }
    judge(w, fd, &st);
    return fd;
}

/* One step from @dir, whose descriptor it takes. Returns the next one. */
static int step(Way *w, int dir, const char *name, const char *rest)
{
    struct stat st;
    int fd;

    if (w->done->str[w->done->len - 1] != '/') {
        g_string_append_c(w->done, '/');
    }
    g_string_append(w->done, name);
    /* With O_DIRECTORY first, which has file systems mounted on demand. */
    fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOTDIR) {
        fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    }
    if (fd < 0 || fstat(fd, &st) < 0) {
        no_directory(w, errno);
    }
    judge(w, fd, &st);
    if (S_ISLNK(st.st_mode)) {
        follow(w, fd, rest);
        close(fd);
        if (*w->rest != '/') {
            return dir;
        }
        close(dir);
        return open_start(w);
    }
    if (!S_ISDIR(st.st_mode)) {
        no_directory(w, ENOTDIR);
    }
    close(dir);
    g_free(w->rest);
    w->rest = g_strdup(rest);
    return fd;
}

static int walk(Place *p, const char *path)
{
    Way w = { .place = p, .done = g_string_new(NULL),
              .rest = g_strdup(path) };
    int fd = open_start(&w);

    for (;;) {
        const char *from = w.rest + strspn(w.rest, "/");
        size_t len = strcspn(from, "/");
        g_autofree char *name = g_strndup(from, len);
        g_autofree char *rest = g_strdup(from + len);

        if (!len) {
            break;
        }
        fd = step(&w, fd, name, rest);
    }
    g_string_free(w.done, TRUE);
    g_free(w.rest);
    return fd;
}

void place_open(Place *p, const char *option, const char *path,
                const Options *o)
{
    g_autofree char *parent = g_path_get_dirname(path);
    uint32_t user = o->socket_uid != NO_ID ? o->socket_uid : o->user;

    *p = (Place) { .option = option, .path = path, .owner = NO_ID };
    p->name = g_path_get_basename(path);
    if (g_str_has_suffix(path, "/") || g_str_equal(p->name, ".") ||
        g_str_equal(p->name, "..")) {
        fatal("--%s %s: not the name of a file", option, path);
    }
    p->dir = walk(p, parent);
    if (p->owner != NO_ID && (p->owner != user || geteuid() != 0)) {
        fatal("--%s %s: user %u may change names in the directory %s, or which "
              "directory that is; it must be a directory of root, of the user "
              "who starts the helper%s", option, path, p->owner, parent,
              geteuid() ? "" : ", or of --uid's user");
    }
}

void place_close(Place *p)
{
    close(p->dir);
    g_free(p->name);
}

static void must(int ret)
{
    if (ret < 0) {
        fatal("cannot change the user for a while: %s", strerror(errno));
    }
}

void place_act_as_owner(const Place *p)
{
    struct passwd *pw;

    if (p->owner != NO_ID) {
        pw = getpwuid(p->owner);
        must(setgroups(0, NULL));
        must(setegid(pw ? pw->pw_gid : p->owner));
        must(seteuid(p->owner));
    }
}

void place_act_as_starter(const Place *p)
{
    if (p->owner != NO_ID) {
        must(seteuid(0));
        must(setegid(getgid()));
    }
}

/* The reason why the file @name in @dir cannot be replaced, or NULL */
static const char *why_not_replace(const Place *p, const PlaceFile *file,
                                   int dir, const char *name)
{
    int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    const char *why = NULL;
    struct stat st;

    if (fd < 0) {
        return strerror(errno);
    }
    if (fstat(fd, &st) < 0) {
        why = strerror(errno);
    } else {
        why = file->keep(fd, &st);
    }
    close(fd);
    return why;
}

/* Puts the file in @private back. Whatever has the name takes its place. */
static void put_back(const Place *p, int private)
{
    unsigned tries;

    for (tries = 0; tries < PUT_BACK_TRIES; tries++) {
        if (renameat2(private, PLACE_PRIVATE, p->dir, p->name,
                      RENAME_EXCHANGE) == 0 || errno != ENOENT ||
            renameat2(private, PLACE_PRIVATE, p->dir, p->name,
                      RENAME_NOREPLACE) == 0 || errno != EEXIST) {
            return;
        }
    }
}

/*
 * Moves the file from @private to its place. NULL, or the error. A file that it
 * leaves in @private without an error is a leftover.
 */
static const char *move(const Place *p, const PlaceFile *file, int private)
{
    const char *why;

    if (renameat2(private, PLACE_PRIVATE, p->dir, p->name,
                  RENAME_NOREPLACE) == 0) {
        return NULL;
    }
    if (errno != EEXIST) {
        return strerror(errno);
    }
    /* Checked first, because a file in use must not vanish for a moment. */
    why = why_not_replace(p, file, p->dir, p->name);
    if (why) {
        return why;
    }
    if (renameat2(private, PLACE_PRIVATE, p->dir, p->name,
                  RENAME_EXCHANGE) < 0) {
        return strerror(errno);
    }
    why = why_not_replace(p, file, private, PLACE_PRIVATE);
    if (why) {
        put_back(p, private);
    }
    return why;
}

/* Whether nothing but @made is left in @private */
static bool has_only(int private, const struct stat *made)
{
    struct stat st;

    if (fstatat(private, PLACE_PRIVATE, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return true;
    }
    return st.st_dev == made->st_dev && st.st_ino == made->st_ino;
}

/* Makes the private directory; its descriptor, and its name in @name. */
static int make_private(const Place *p, char *name, size_t size)
{
    struct stat st;
    uint32_t number;
    int fd, ret;

    do {
        if (getrandom(&number, sizeof(number), 0) != sizeof(number)) {
            fatal("cannot get a random number: %s", strerror(errno));
        }
        snprintf(name, size, ".virtfs-proxy-%08x", number);
        ret = mkdirat(p->dir, name, 0700);
    } while (ret < 0 && errno == EEXIST);

    fd = ret < 0 ? ret : openat(p->dir, name, O_PATH | O_DIRECTORY |
                                O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        fatal("--%s %s: cannot make files in its directory: %s", p->option,
              p->path, strerror(errno));
    }
    if (st.st_uid != geteuid() || (st.st_mode & 0777) != 0700) {
        fatal("--%s %s: another process puts files in the place of those that "
              "the helper makes in its directory", p->option, p->path);
    }
    return fd;
}

void place_put(Place *p, const PlaceFile *file, void *opaque)
{
    g_autofree char *parent = g_path_get_dirname(p->path);
    struct stat made = { 0 };
    const char *why;
    char name[32];
    int private;
    bool keep;

    place_act_as_owner(p);
    private = make_private(p, name, sizeof(name));
    why = file->make(p, private, opaque);
    fstatat(private, PLACE_PRIVATE, &made, AT_SYMLINK_NOFOLLOW);
    if (!why) {
        why = move(p, file, private);
    }
    keep = why && !has_only(private, &made);
    if (!keep) {
        unlinkat(private, PLACE_PRIVATE, 0);
    }
    close(private);
    unlinkat(p->dir, name, AT_REMOVEDIR);
    place_act_as_starter(p);
    if (keep) {
        fatal("--%s %s: %s; another process' file of that name is now %s/%s/%s",
              p->option, p->path, why, parent, name, PLACE_PRIVATE);
    } else if (why) {
        fatal("--%s %s: %s", p->option, p->path, why);
    }
}

static void add_id(ProxyIdRange *map, unsigned *n, uint32_t inside,
                   uint32_t outside)
{
    unsigned i;

    for (i = 0; i < *n; i++) {
        if (map[i].inside == inside || map[i].outside == outside) {
            return;
        }
    }
    map[(*n)++] = (ProxyIdRange) { inside, outside, 1 };
}

/*
 * Only its owner may remove files from a directory. So the user gets a mount
 * of the directory alone, attached nowhere, in which the directory's owner and
 * the user have changed places (mount_setattr(2), MOUNT_ATTR_IDMAP).
 */
int place_removable(const Place *p, uint32_t user, const struct stat *st)
{
    IdMaps ids = { 0 };
    struct stat dir;
    int userns, fd;

    if (!userns_is_root() || fstat(p->dir, &dir) < 0 || dir.st_uid == user) {
        return p->dir;
    }
    add_id(ids.uid, &ids.n_uid, dir.st_uid, user);
    add_id(ids.uid, &ids.n_uid, user, dir.st_uid);
    add_id(ids.uid, &ids.n_uid, st->st_uid, st->st_uid);
    add_id(ids.gid, &ids.n_gid, dir.st_gid, dir.st_gid);
    add_id(ids.gid, &ids.n_gid, st->st_gid, st->st_gid);
    userns = userns_make(&ids);
    if (userns < 0) {
        return p->dir;
    }
    fd = sandbox_clone_mapped(p->dir, userns);
    close(userns);
    return fd < 0 ? p->dir : fd;
}
