/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * virtfs-mapped convert to a new directory: a walk through the one share makes
 * all files in the other (make.h). The old share stays as it is.
 *
 * While it lasts, the new share has a file of the name MAPPED_STAGING, which
 * says that it is not whole, and names the new model. If the program was
 * killed, it starts again, but leaves regular files that are complete: the time
 * of each is set last, and only if nothing of it is lost. After a crash of the
 * system a file may have its time and not its content, so no file counts as
 * complete then. A directory gets its times and ACLs when all in it is there.
 */
#include "qemu/osdep.h"
#include <dirent.h>
#include "qemu/atomic.h"
#include "arg.h"
#include "convert-copy.h"
#include "convert-look.h"
#include "data.h"
#include "make.h"
#include "output.h"

typedef struct Copy {
    const MappedOptions *o;
    MappedShare *to;
    GMutex lock;                /* for the makers */
    GPtrArray *makers;          /* that no thread uses */
    MappedLinks *links;
    bool again;                 /* an earlier try was stopped */
    bool trusts;                /* ... and what it has made is there */
    bool full;                  /* no more can be written */
    int root;                   /* the new one: knows of errors since then */
} Copy;

static MappedMaker *take_maker(Copy *c)
{
    MappedMaker *m = NULL;

    g_mutex_lock(&c->lock);
    if (c->makers->len) {
        m = g_ptr_array_steal_index(c->makers, c->makers->len - 1);
    }
    g_mutex_unlock(&c->lock);
    if (!m) {
        m = g_new(MappedMaker, 1);
        /* The old directory has all files of the new one. */
        mapped_maker_init(m, c->to, false);
    }
    return m;
}

static void give_maker(Copy *c, MappedMaker *m)
{
    g_mutex_lock(&c->lock);
    g_ptr_array_add(c->makers, m);
    g_mutex_unlock(&c->lock);
}

static void maker_free(void *opaque)
{
    mapped_maker_free(opaque);
    g_free(opaque);
}

/* Whether the user permits it */
static bool lose(Copy *c, const MappedEntry *e, const char *name)
{
    if (c->o->lossy) {
        mapped_say(e->share, e->path, 0, "lost: its attribute %s", name);
    } else {
        mapped_problem(e->share, e->path, 0, "lost: its attribute %s, which a "
                       "share of the model %s cannot have", name,
                       mapped_model_name(c->to->lh.model));
    }
    return c->o->lossy;
}

/*
 * The attributes of @e, of which only ACLs if @acls, else only others; whether
 * all are there
 */
static bool copy_xattrs(Copy *c, const MappedEntry *e, const MappedEntry *made,
                        bool acls)
{
    const LocalHost *lh = &e->share->lh;
    g_autofree char *names = NULL;
    g_autofree uint8_t *value = NULL;
    bool ok = true;
    size_t len;
    char *name;

    if (!S_ISREG(e->attr.mode) && !S_ISDIR(e->attr.mode)) {
        return true;
    }
    names = mapped_xattr_names(e, &len);
    for (name = names; name && name < names + len; name += strlen(name) + 1) {
        ssize_t size;

        if (fs_acl_is_name(name) != acls) {
            continue;
        }
        if (acls && c->to->lh.model == &local_model_mapped_file) {
            ok &= lose(c, e, name);
            continue;
        }
        value = value ? value : g_malloc(FS_XATTR_MAX);
        size = lh->model->getxattr(lh, &e->inode, name, value, FS_XATTR_MAX);
        if (size < 0) {
            mapped_problem(e->share, e->path, size, "cannot read the attribute "
                           "%s", name);
            ok = false;
        } else {
            ok &= mapped_set_xattr(made, name, value, size, c->o->lossy);
        }
    }
    return ok && names;
}

/* Closes @to. */
static int copy_content(Copy *c, const MappedEntry *e, const MappedEntry *made,
                        int to)
{
    bool reading = true;
    int from = hostfs_open(&e->share->lh.host, e->inode.handle, O_RDONLY);
    int ret = from < 0 ? from : mapped_copy_data(from, to, e->attr.size,
                                                 &reading);
    int closed = hostfs_close_written(to);

    if (from >= 0) {
        close(from);
    }
    ret = ret < 0 ? ret : closed;
    if (ret < 0) {
        mapped_problem(reading ? e->share : c->to, e->path, ret,
                       reading ? "cannot be read to its end"
                               : "cannot be written");
    }
    if (!reading && mapped_is_end(ret)) {
        qatomic_set(&c->full, true);
    }
    return ret;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Whether an earlier try made the regular file @e completely */
static bool is_complete(Copy *c, const MappedEntry *e, const MappedEntry *place)
{
    MappedEntry there;
    bool same;

    if (!c->trusts || !S_ISREG(e->attr.mode) || e->attr.nlink > 1 ||
        mapped_entry_open(c->to, place->inode.dir, place->inode.name, e->path,
                          &there) < 0) {
        return false;
    }
    same = there.attr.mode == e->attr.mode && there.attr.uid == e->attr.uid &&
           there.attr.gid == e->attr.gid && there.attr.size == e->attr.size &&
           there.attr.nlink == 1 &&
           same_time(&there.attr.mtime, &e->attr.mtime);
    mapped_entry_close(&there);
    return same;
}

static int copy_file(Copy *c, MappedMaker *m, const MappedEntry *e,
                     MappedEntry *made)
{
    g_autofree char *target = S_ISLNK(e->attr.mode) ? mapped_target(e) : NULL;
    const FsMakeArgs make = {
        .mode = e->attr.mode, .uid = e->attr.uid,
        .gid = e->attr.gid, .rdev = e->attr.rdev, .target = target,
    };
    bool ok = true;
    int fd, ret;

    if (S_ISLNK(e->attr.mode) && !target) {
        return 0;               /* mapped_target() has said so */
    }
    ret = mapped_make(m, &make, made, &fd);
    if (ret < 0) {
        return ret;
    }
    if (fd >= 0) {
        ret = copy_content(c, e, made, fd);
        if (ret < 0) {
            return 0;
        }
        ok = mapped_set_id_bits(made, make.mode);
    }
    ok &= copy_xattrs(c, e, made, false);
    if (!S_ISDIR(e->attr.mode)) {
        ok &= copy_xattrs(c, e, made, true);
        if (ok || !S_ISREG(e->attr.mode)) {
            mapped_set_mtime(made, &e->attr.mtime);
        }
    }
    return 0;
}

static int copy_root(Copy *c, const MappedEntry *e)
{
    MappedEntry made;
    int ret = mapped_entry_find(c->to, ".", &made);

    if (ret == 0) {
        ret = mapped_set_owner(&made, e->attr.uid, e->attr.gid, e->attr.mode);
        if (ret == 0) {
            copy_xattrs(c, e, &made, false);
        }
        mapped_entry_free(&made);
    }
    return ret;
}

static int copy_to_place(Copy *c, MappedMaker *m, const MappedEntry *e)
{
    MappedEntry made;
    int ret = mapped_make_place(m, e->path, &made);
    const char *first = mapped_links_meet(c->links, &e->attr, e->path);

    if (ret == 0 && first) {
        ret = mapped_make_link(m, first, &made);
    } else if (ret == 0 && !is_complete(c, e, &made)) {
        ret = copy_file(c, m, e, &made);
    }
    mapped_made_close(&made);
    return ret;
}

static TreeNext copy_visit(const MappedEntry *e, void *opaque)
{
    Copy *c = opaque;
    MappedMaker *m;
    int ret;

    if (e->host.dev == c->to->lh.host.root_dev &&
        e->host.ino == c->to->lh.host.root_ino) {
        mapped_problem(c->to, NULL, 0, "it lies in the old directory");
        return TREE_SKIP;
    }
    if (!e->inode.name) {
        ret = copy_root(c, e);
    } else {
        m = take_maker(c);
        ret = copy_to_place(c, m, e);
        give_maker(c, m);
    }
    if (ret < 0) {
        mapped_problem(c->to, e->path, ret, "cannot make it");
    }
    return mapped_is_end(ret) || qatomic_read(&c->full) ? TREE_STOP : TREE_ON;
}

/* What an earlier try has made, and the old directory has no more */
static void look_for_old_names(Copy *c, const MappedEntry *dir,
                               const MappedEntry *made)
{
    int fd = hostfs_open(&c->to->lh.host, made->inode.handle,
                         O_RDONLY | O_DIRECTORY);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *d;

    if (!list) {
        mapped_problem(c->to, dir->path, fd < 0 ? fd : -errno,
                       "cannot read the directory");
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    while ((d = readdir(list))) {
        g_autofree char *path = g_str_equal(dir->path, ".")
                                ? g_strdup(d->d_name)
                                : g_build_filename(dir->path, d->d_name, NULL);
        MappedEntry e;
        int ret;

        if (fs_name_check(d->d_name) < 0 || mapped_reserved(c->to, d->d_name)) {
            continue;
        }
        ret = mapped_entry_open(dir->share, dir->inode.handle, d->d_name, path,
                                &e);
        if (ret == -ENOENT) {
            mapped_problem(c->to, path, 0, "an earlier try made it, and the "
                           "old directory has it no more: remove it, and start "
                           "again");
        } else if (ret >= 0) {
            mapped_entry_close(&e);
        }
    }
    closedir(list);
}

static void copy_leave(const MappedEntry *dir, void *opaque)
{
    Copy *c = opaque;
    MappedEntry made;
    int ret = mapped_entry_find(c->to, dir->path, &made);

    if (ret < 0) {
        mapped_problem(c->to, dir->path, ret, "cannot finish the directory");
        return;
    }
    if (c->again) {
        look_for_old_names(c, dir, &made);
    }
    copy_xattrs(c, dir, &made, true);
    mapped_set_mtime(&made, &dir->attr.mtime);
    mapped_entry_free(&made);
}

static int sync_root(const HostFs *hfs)
{
    int fd = hostfs_open(hfs, hfs->root, O_RDONLY | O_DIRECTORY);
    int ret = fd < 0 ? fd : fsync(fd) < 0 ? -errno : 0;

    if (fd >= 0) {
        close(fd);
    }
    return ret;
}

/* It is on the disk before there is any other file. */
static int write_mark(Copy *c)
{
    const HostFs *hfs = &c->to->lh.host;
    g_autofree char *text = mapped_copy_mark_text(c->to->lh.model);
    const FsMakeArgs make = {
        .name = MAPPED_STAGING, .mode = S_IFREG | 0600, .uid = -1, .gid = -1,
    };
    FsAttr attr;
    int node, closed, ret = 0;
    int fd = hostfs_create(hfs, hfs->root, &make, O_RDWR | O_EXCL, &node,
                           &attr);

    if (fd < 0) {
        return fd;
    }
    if (!mapped_write_all(fd, text, strlen(text), 0) || fsync(fd) < 0) {
        ret = -errno;
    }
    closed = hostfs_close_written(fd);
    close(node);
    return ret < 0 ? ret : closed < 0 ? closed : sync_root(hfs);
}

/*
 * Whether the mark of an earlier try has the same model. Other files would have
 * metadata of both. Before it has any text, there is no other file.
 */
static bool is_same_mark(Copy *c, bool alone)
{
    bool empty;
    const LocalModel *model = mapped_copy_mark(&c->to->lh, &empty, &c->trusts);

    return model == c->to->lh.model || (empty && alone);
}

/* The mark: whether the directory is empty, or the mark is there already */
static bool begin(Copy *c)
{
    const HostFs *hfs = &c->to->lh.host;
    struct dirent *d;
    bool alone = true;
    bool empty = true;
    int fd = hostfs_open(hfs, hfs->root, O_RDONLY | O_DIRECTORY);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    int ret = list ? 0 : fd < 0 ? fd : -errno;

    while (list && (d = readdir(list))) {
        bool is_mark = g_str_equal(d->d_name, MAPPED_STAGING);
        bool is_name = fs_name_check(d->d_name) == 0;

        c->again |= is_mark;
        empty &= !is_name;
        alone &= is_mark || !is_name;
    }
    if (list) {
        closedir(list);
    }
    if (ret == 0 && !empty && !c->again) {
        mapped_problem(c->to, NULL, 0, "it is not empty");
        return false;
    }
    if (ret == 0 && c->again && !is_same_mark(c, alone)) {
        mapped_problem(c->to, NULL, 0, "it was begun with another model: "
                       "empty it first");
        return false;
    }
    if (ret == 0 && c->again && alone) {
        ret = hostfs_unlink(hfs, hfs->root, MAPPED_STAGING, false, -1);
        c->again = false;
    }
    if (ret == 0 && !c->again) {
        ret = write_mark(c);
    }
    if (ret == 0) {
        ret = c->root = hostfs_open(hfs, hfs->root, O_RDONLY | O_DIRECTORY);
    }
    if (ret < 0) {
        mapped_problem(c->to, NULL, ret, "cannot begin");
    }
    return ret >= 0;
}

static void finish(Copy *c, const MappedEntry *from)
{
    const HostFs *hfs = &c->to->lh.host;
    MappedEntry root;
    int ret = syncfs(c->root) < 0 ? -errno : 0;

    if (ret == 0) {
        ret = hostfs_unlink(hfs, hfs->root, MAPPED_STAGING, false, -1);
    }
    if (ret == 0) {
        ret = mapped_entry_find(c->to, ".", &root);
    }
    if (ret == 0) {
        mapped_set_mtime(&root, &from->attr.mtime);
        mapped_entry_free(&root);
    } else {
        mapped_problem(c->to, NULL, ret, "cannot finish");
    }
}

/* Walks the old share; with --dry-run only by convert_look_ops. */
static void copy(Copy *c, const MappedEntry *from)
{
    static const TreeOps ops = {
        .visit = copy_visit, .leave = copy_leave, .any_thread = true,
    };
    bool ended;

    if (!begin(c)) {
        return;
    }
    c->makers = g_ptr_array_new_with_free_func(maker_free);
    c->links = mapped_links_new();
    ended = mapped_tree_walk(from, &ops, c);
    mapped_links_free(c->links);
    g_ptr_array_unref(c->makers);
    if (ended && !from->share->problems && !c->to->problems) {
        finish(c, from);
    } else {
        mapped_say(c->to, NULL, 0, "it is not whole; start again to go on");
    }
    close(c->root);
}

/* The new directory and all that is made in it belong to --owner. */
static void give_root(Copy *c)
{
    const FsSetAttr set = {
        .valid = FS_SET_UID | FS_SET_GID,
        .uid = c->o->owner_uid, .gid = c->o->owner_gid,
    };
    const HostFs *hfs = &c->to->lh.host;
    int ret = hostfs_setattr(hfs, hfs->root, -1, &set);

    convert_use_owner(c->to, c->o->owner_uid, c->o->owner_gid);
    if (ret < 0) {
        mapped_problem(c->to, NULL, ret, "cannot give it to its owner");
    }
}

static void look(const MappedOptions *o, MappedShare *s, const MappedEntry *e)
{
    Convert c = { .o = o, .s = s, .staging = -1 };      /* not in place */

    c.other = s->lh;
    c.other.model = o->to;
    mapped_tree_walk(e, &convert_look_ops, &c);
    convert_look_end(&c);
    if (!s->problems && o->dry_run) {
        printf("%zu files can be converted\n", c.files);
    }
}

/* Whether the directory @inner is @outer, or below it */
static bool lies_in(const char *inner, const char *outer)
{
    g_autofree char *in = realpath(inner, NULL);
    g_autofree char *out = realpath(outer, NULL);
    size_t len = out ? strlen(out) : 0;

    return in && out && strncmp(in, out, len) == 0 &&
           (!in[len] || in[len] == '/' || out[len - 1] == '/');
}

/* For the time when the process is elsewhere. Links come before "..". */
static char *absolute(const char *path)
{
    g_autofree char *here = g_get_current_dir();
    char *name = realpath(path, NULL);

    return name ? name : g_path_is_absolute(path) ? g_strdup(path)
           : g_build_filename(here, path, NULL);
}

int convert_copy(const MappedOptions *o)
{
    g_autofree char *name = absolute(o->args[1]);
    MappedShare s, to;
    Copy c = { .o = o, .to = &to };
    MappedEntry e;
    bool bad;

    if (lies_in(o->args[1], o->args[0])) {
        return mapped_usage("convert: NEWDIR, %s, is DIR or lies in it",
                            o->args[1]);
    }
    if (!mapped_open_root(o, o->args[0], SHARE_READS, &s, &e)) {
        return EXIT_PROBLEMS;
    }
    look(o, &s, &e);
    bad = s.problems;
    if (!bad && !o->dry_run) {
        if (mapped_share_open(&to, name, o->to, SHARE_CHANGES, o->live)) {
            if (o->has_owner) {
                give_root(&c);
            }
            copy(&c, &e);
        }
        bad = s.problems || to.problems;
        mapped_share_close(&to);
    }
    mapped_close_arg(&s, &e);
    return bad ? EXIT_PROBLEMS : EXIT_GOOD;
}
