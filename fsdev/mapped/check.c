/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * virtfs-mapped check: what is wrong with the metadata of a share, and with
 * --repair, mending what can be mended. What may be wrong is the models'
 * knowledge (hw/9pfs/local/mapped-check.h).
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "hw/9pfs/local/mapped-folder.h"
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
    g_autofree char *what = mapped_printable(fault->what);

    if (fault->name) {
        in = g_str_equal(path, ".") ? g_strdup(fault->name)
                                    : g_build_filename(path, fault->name, NULL);
    }
    shown = mapped_printable(in ? in : path);
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

/* A directory, or file, of that name which no guest of mapped-xattr has made */
static bool is_metadata_of_file(const LocalHost *lh, int dir, const char *name)
{
    FsView view = { };
    FsAttr attr;
    int node = hostfs_step(&lh->host, dir, name, HOST_WAIT_POOL, &attr);
    bool is = node >= 0 && (S_ISDIR(attr.mode) || S_ISREG(attr.mode)) &&
              fs_view_get(&lh->host, node, attr.mode, FS_VIEW_UID |
                          FS_VIEW_GID | FS_VIEW_MODE, &view) == 0 &&
              !view.valid;

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
    local_check_fault(&k->c, NULL, what, "that is removed; the guest has not "
                      "seen it", ret);
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
