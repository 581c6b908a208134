/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * virtfs-mapped check: what is wrong with the metadata of a share, and with
 * --repair, mending what can be mended. What may be wrong is the models'
 * knowledge (hw/9pfs/local/mapped-check.h).
 */
#include "qemu/osdep.h"
#include <dirent.h>
#include "qemu/atomic.h"
#include "hw/9pfs/local/mapped-folder.h"
#include "hw/9pfs/local/mapped-text.h"
#include "fsdev/shared/printable.h"
#include "arg.h"
#include "commands.h"
#include "make.h"
#include "output.h"
#include "tree.h"

typedef struct Check {
    const MappedOptions *o;
    GHashTable *links;
    size_t files;
    size_t faults;
    size_t mended;
} Check;

/* One file: threads check several at once. */
typedef struct OneCheck {
    LocalCheck c;
    Check *all;
    const MappedEntry *e;
} OneCheck;

static void found(LocalCheck *c, const LocalFault *fault)
{
    OneCheck *k = container_of(c, OneCheck, c);
    const char *path = k->e->path;
    g_autofree char *in = NULL;
    g_autofree char *shown = NULL;
    g_autofree char *what = text_printable(fault->what);

    if (fault->name) {
        in = g_str_equal(path, ".") ? g_strdup(fault->name)
                                    : g_build_filename(path, fault->name, NULL);
    }
    shown = text_printable(in ? in : path);
    qatomic_inc(&k->all->faults);
    mapped_print("%s: %s\n", shown, what);
    if (!fault->cure) {
        mapped_print("%s: this cannot be mended\n", shown);
    } else if (!c->repair) {
        mapped_print("%s: with --repair: %s\n", shown, fault->cure);
    } else if (fault->ret < 0) {
        mapped_print("%s: not mended: %s\n", shown, strerror(-fault->ret));
    } else {
        mapped_print("%s: mended: %s\n", shown, fault->cure);
        qatomic_inc(&k->all->mended);
    }
}

/*
 * A guest of mapped-xattr sees what mapped-file keeps, as files like any other.
 * Its own there have a view, and other programs' are no metadata.
 */
static bool has_view(const LocalHost *lh, int node, uint32_t mode)
{
    FsView view = { };

    return fs_view_get(&lh->host, node, mode, FS_VIEW_UID | FS_VIEW_GID |
                       FS_VIEW_MODE, &view) < 0 || view.valid;
}

static bool is_metadata_text(const LocalHost *lh, int node)
{
    int fd = hostfs_open(&lh->host, node, O_RDONLY);
    FsView view;
    unsigned faults;
    bool is = fd >= 0 && local_metadata_read_check(fd, &view, &faults) == 0 &&
              !(faults & ~(LOCAL_TEXT_EMPTY | LOCAL_TEXT_TWICE));

    if (fd >= 0) {
        close(fd);
    }
    return is;
}

/* Whether the file @name, if there is one, is metadata of mapped-file */
static bool is_only_metadata(const LocalHost *lh, int dir, const char *name)
{
    FsAttr attr;
    int node = hostfs_step(&lh->host, dir, name, HOST_WAIT_POOL, &attr);
    bool is;

    if (node < 0) {
        return node == -ENOENT;
    }
    is = S_ISREG(attr.mode) && !has_view(lh, node, attr.mode) &&
         is_metadata_text(lh, node);
    close(node);
    return is;
}

/* The first name in the folder of @dir that is no metadata; NULL if none is */
static char *find_strange(const LocalHost *lh, int dir)
{
    int folder = local_metadata_open_folder(lh, dir, false);
    int fd = folder < 0 ? -1 : hostfs_open(&lh->host, folder,
                                           O_RDONLY | O_DIRECTORY);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *d;
    char *found = NULL;

    while (list && !found && (d = readdir(list))) {
        if (fs_name_check(d->d_name) == 0 &&
            !is_only_metadata(lh, folder, d->d_name)) {
            found = g_build_filename(LOCAL_METADATA_FOLDER, d->d_name, NULL);
        }
    }
    if (folder >= 0 && !list) {
        found = g_strdup(LOCAL_METADATA_FOLDER);        /* nobody knows */
    }
    if (list) {
        closedir(list);
    } else if (fd >= 0) {
        close(fd);
    }
    if (folder >= 0) {
        close(folder);
    }
    return found;
}

/* A directory, or file, of that name which no guest of mapped-xattr has made */
static bool is_metadata_of_file(const LocalHost *lh, int dir, const char *name)
{
    FsAttr attr;
    int node = hostfs_step(&lh->host, dir, name, HOST_WAIT_POOL, &attr);
    bool is = node >= 0 && (S_ISDIR(attr.mode) || S_ISREG(attr.mode)) &&
              !has_view(lh, node, attr.mode);

    if (node >= 0) {
        close(node);
    }
    return is;
}

/*
 * Metadata of the other mapped model, as somebody leaves it who names a wrong
 * model. The guest of this one does not see what it says.
 */
static void check_other(OneCheck *k)
{
    const MappedEntry *e = k->e;
    const LocalHost *lh = &e->share->lh;
    bool is_file = lh->model->needs_name;
    const LocalModel *other = is_file ? &local_model_mapped_xattr
                                      : &local_model_mapped_file;
    g_autofree char *what = NULL;
    g_autofree char *strange = NULL;
    FsView view = { };
    int ret = 0;

    if (is_file) {
        if (other->get_view(lh, &e->inode, &e->host, &view) < 0 ||
            !view.valid) {
            return;
        }
    } else if (!S_ISDIR(e->host.mode) ||
               !(is_metadata_of_file(lh, e->inode.handle,
                                     LOCAL_METADATA_FOLDER) ||
                 (!e->inode.name &&
                  is_metadata_of_file(lh, e->inode.handle,
                                      LOCAL_METADATA_ROOT)))) {
        return;
    } else {
        strange = find_strange(lh, e->inode.handle);
        if (!strange && !e->inode.name &&
            !is_only_metadata(lh, e->inode.handle, LOCAL_METADATA_ROOT)) {
            strange = g_strdup(LOCAL_METADATA_ROOT);
        }
    }
    if (strange) {
        what = g_strdup_printf("it has the place of metadata of the model %s, "
                               "and is none: the guest, which sees it, or "
                               "somebody else has made it",
                               mapped_model_name(other));
        local_check_fault(&k->c, strange, what, NULL, 0);
        return;
    }
    if (k->c.repair) {
        ret = is_file ? other->drop_view(lh, &e->inode)
                      : other->drop_dir(lh, e->inode.handle);
        if (S_ISDIR(e->host.mode)) {
            mapped_restore_time(e);
        }
    }
    what = g_strdup_printf("%s metadata of the model %s, which the share has "
                           "not", is_file ? "it has" : "in it is",
                           mapped_model_name(other));
    local_check_fault(&k->c, NULL, what, is_file
                      ? "that is removed; the guest has not seen it"
                      : "that is removed; of it, the guest has seen the names",
                      ret);
}

static TreeNext check_visit(const MappedEntry *e, void *opaque)
{
    Check *all = opaque;
    OneCheck k = {
        .c = {
            .repair = all->o->repair, .fault = found, .links = all->links,
        },
        .all = all, .e = e,
    };
    const LocalHost *lh = &e->share->lh;
    int ret;

    qatomic_inc(&all->files);
    ret = lh->model->check(lh, &e->inode, &e->host, &k.c);
    if (ret == 0 && S_ISDIR(e->host.mode) && lh->model->check_dir) {
        ret = lh->model->check_dir(lh, e->inode.handle, &k.c);
    }
    if (ret < 0) {
        mapped_problem(e->share, e->path, ret, "cannot check it");
    }
    check_other(&k);
    return TREE_ON;
}

int mapped_check(const MappedOptions *o)
{
    static const TreeOps ops = { .visit = check_visit, .any_thread = true };
    Check k = { .o = o };
    MappedShare s;
    MappedEntry e;
    bool bad;

    if (!mapped_open_arg(o, o->args[0], o->repair ? SHARE_CHANGES : SHARE_READS,
                         &s, &e)) {
        return EXIT_PROBLEMS;
    }
    if (!s.lh.model->check) {
        mapped_close_arg(&s, &e);
        return mapped_usage("check: a %s share has no metadata",
                            mapped_model_name(s.lh.model));
    }
    if (s.other || s.unfinished) {
        if (s.other) {
            mapped_problem(&s, NULL, 0, "it is being converted: finish that "
                           "first");
        }
        mapped_close_arg(&s, &e);
        return EXIT_PROBLEMS;
    }
    /* It reads many attributes of each file. */
    s.opens_files = s.lh.model == &local_model_mapped_xattr;
    s.lh.host.open_handles = s.opens_files;
    k.links = local_check_links();
    mapped_tree_walk(&e, &ops, &k);
    g_hash_table_unref(k.links);
    mapped_print("%zu files, %zu faults", k.files, k.faults);
    if (o->repair) {
        mapped_print(", %zu mended", k.mended);
    }
    mapped_print("\n");
    bad = s.problems || k.faults;
    mapped_close_arg(&s, &e);
    return bad ? EXIT_PROBLEMS : EXIT_GOOD;
}
