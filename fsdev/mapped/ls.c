/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * virtfs-mapped ls, stat and set: files of a share, one by one.
 */
#include "qemu/osdep.h"
#include "fsdev/shared/printable.h"
#include "arg.h"
#include "commands.h"
#include "output.h"
#include "proxy-model.h"
#include "tree.h"

typedef struct Ls {
    const MappedOptions *o;
    bool first;                 /* nothing printed yet */
    bool in_dir;                /* the start itself is behind us */
} Ls;

static void put(const Ls *ls, const MappedEntry *e, const char *name)
{
    g_autofree char *shown = NULL;

    if (ls->o->json) {
        mapped_put_json(e, e->path);
    } else if (ls->o->long_format) {
        mapped_put_long(e, name);
    } else {
        shown = text_printable(name);
        mapped_print("%s\n", shown);
    }
}

static TreeNext ls_visit(const MappedEntry *e, void *opaque)
{
    Ls *ls = opaque;

    if (!ls->in_dir) {
        ls->in_dir = true;
        if (!S_ISDIR(e->attr.mode) || ls->o->directory) {
            put(ls, e, e->path);
            return TREE_SKIP;
        }
        return TREE_ON;
    }
    put(ls, e, e->inode.name);
    return ls->o->recursive ? TREE_ON : TREE_SKIP;
}

/* ls -R: the name of each directory before what is in it */
static TreeNext ls_enter(const MappedEntry *e, void *opaque)
{
    Ls *ls = opaque;
    g_autofree char *shown = NULL;

    if (ls->o->recursive && !ls->o->json) {
        shown = text_printable(e->path);
        mapped_print("%s%s:\n", ls->first ? "" : "\n", shown);
    }
    ls->first = false;
    return TREE_ON;
}

int mapped_ls(const MappedOptions *o)
{
    static const TreeOps ops = {
        .visit = ls_visit, .enter = ls_enter, .list_first = true,
        .any_thread = true,
    };
    Ls ls = { .o = o, .first = true };
    MappedShare s;
    MappedEntry e;
    bool bad;

    if (!mapped_open_arg(o, o->args[0], SHARE_READS, &s, &e)) {
        return EXIT_PROBLEMS;
    }
    mapped_tree_walk(&e, &ops, &ls);
    bad = s.problems;
    mapped_close_arg(&s, &e);
    return bad ? EXIT_PROBLEMS : EXIT_GOOD;
}

int mapped_stat(const MappedOptions *o)
{
    bool bad = false;
    int i;

    for (i = 0; i < o->n_args; i++) {
        MappedShare s;
        MappedEntry e;

        if (!mapped_open_file(o, o->args[i], SHARE_READS, &s, &e)) {
            bad = true;
            continue;
        }
        if (o->json) {
            mapped_put_json(&e, o->args[i]);
        } else {
            mapped_put_stat(&e, o->args[i]);
        }
        bad |= s.problems;
        mapped_close_arg(&s, &e);
    }
    return bad ? EXIT_PROBLEMS : EXIT_GOOD;
}

static int set_one(const MappedOptions *o, const MappedEntry *e)
{
    const LocalHost *lh = &e->share->lh;
    FsView view = { .valid = FS_VIEW_RDEV, .rdev = o->rdev };
    int ret = 0;

    if (o->set_rdev) {
        if (!S_ISREG(e->host.mode) ||
            !(S_ISCHR(e->attr.mode) || S_ISBLK(e->attr.mode))) {
            mapped_problem(e->share, e->path, 0, S_ISREG(e->attr.mode) ||
                           lh->model->put_view ? "no device of the guest's"
                           : "a device of the host's, whose number cannot "
                             "change");
            return 0;
        }
        ret = lh->model->put_view
              ? lh->model->put_view(lh, &e->inode, &view)
              : mapped_set_device(lh, &e->inode, o->rdev);
    }
    if (ret == 0 && o->set.valid) {
        ret = lh->model->setattr(lh, &e->inode, -1, &o->set);
    }
    return ret;
}

int mapped_set(const MappedOptions *o)
{
    bool bad = false;
    int i, ret;

    if (!o->set.valid && !o->set_rdev) {
        return mapped_usage("set: nothing to set");
    }
    for (i = 0; i < o->n_args; i++) {
        MappedShare s;
        MappedEntry e;

        if (!mapped_open_file(o, o->args[i], SHARE_CHANGES, &s, &e)) {
            bad = true;
            continue;
        }
        ret = set_one(o, &e);
        if (ret < 0) {
            mapped_problem(&s, e.path, ret, "cannot set it");
        }
        bad |= s.problems;
        mapped_close_arg(&s, &e);
    }
    return bad ? EXIT_PROBLEMS : EXIT_GOOD;
}
