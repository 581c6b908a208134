/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * virtfs-mapped convert: a share of one model becomes one of another, in place
 * (or in a new directory: convert-copy.c).
 *
 *  1. Look for what the new model cannot have, before anything changes.
 *  2. Mark the share, and make what the new model needs. All that the old model
 *     needs stays.
 *  3. If that went well: mark the share, and remove what the old model kept.
 *  4. Remove the mark.
 *
 * So the share is whole for one of both models at any time, and the mark says
 * for which (marker.h). Each step can be done again from its start; whoever
 * starts the program again goes on with the step that the mark names. The way
 * back is the same: old and new change places, and views that are whole take
 * the place of those that are not.
 *
 * Of the mapped models, each keeps views in another place, which the other does
 * not see. With passthrough and proxy, the host's own files are what the guest
 * sees. A mapped model sees them so, too, where it has no view, and a view is
 * stronger. So on the way to passthrough the host's files change beneath their
 * views, and the views go last; on the way from there the views come first.
 *
 * Changes of metadata change the times of directories. The walk sets them back,
 * but for the directories that it is in when it is killed.
 */
#include "qemu/osdep.h"
#include "arg.h"
#include "commands.h"
#include "convert-copy.h"
#include "convert-host.h"
#include "convert-look.h"
#include "convert-views.h"
#include "host-ids.h"
#include "proxy-model.h"

/* What the walk changes must be on the disk before the mark changes. */
static TreeNext visit(const MappedEntry *e, void *opaque)
{
    Convert *c = opaque;

    if (e->host.dev != c->s->lh.host.root_dev || !e->inode.name) {
        convert_meet(c, e);
    }
    return c->ops->visit(e, c);
}

/* Walks the share with the model @model, and works with @other. */
static bool walk(Convert *c, const LocalModel *model, const LocalModel *other,
                 const TreeOps *ops)
{
    MappedShare *s = c->s;
    TreeOps own = *ops;
    MappedEntry root;
    bool ended = false;
    int ret;

    s->lh.model = model;
    c->other = s->lh;
    c->other.model = other;
    ret = mapped_entry_find(s, ".", &root);
    if (ret < 0) {
        mapped_problem(s, NULL, ret, "cannot look at it");
        return false;
    }
    c->links = mapped_links_new();
    own.visit = visit;
    c->ops = ops;
    ended = mapped_tree_walk(&root, &own, c);
    mapped_links_free(c->links);
    mapped_entry_free(&root);
    return ended && !s->problems;
}

static bool mark(Convert *c, MarkerStep step)
{
    int ret = 0;

    c->marker.step = step;
    if (step == MARKER_NONE) {
        ret = convert_clear_staging(c);
    }
    if (ret < 0) {
        mapped_problem(c->s, MAPPED_STAGING, ret, "cannot remove it");
        return false;
    }
    ret = convert_sync(c);
    if (ret == 0) {
        ret = mapped_marker_set(&c->s->lh.host, &c->marker);
    }
    if (ret < 0) {
        mapped_problem(c->s, NULL, ret, step == MARKER_NONE
                       ? "cannot remove the mark of a conversion"
                       : "cannot mark the share as being converted");
    }
    return ret == 0;
}

/*
 * Completes views before the host's owners and modes change: the guest must see
 * none of these.
 */
static bool fill(Convert *c, const LocalModel *model)
{
    return walk(c, model, model, &convert_fill_views_ops);
}

static bool put(Convert *c)
{
    const Marker *m = &c->marker;
    bool ok;

    c->s->other = m->to;
    if (mapped_model_is_host(m->to)) {
        ok = fill(c, m->from) && walk(c, m->from, m->to, &convert_put_host_ops);
    } else {
        ok = walk(c, m->from, m->to, &convert_put_views_ops);
    }
    return ok;
}

/* What to do after one of these steps has failed */
static bool advise(Convert *c, MarkerStep failed)
{
    const Marker *m = &c->marker;
    const char *same = !m->ids || g_str_equal(m->ids, "host") ? "" :
                       mapped_ids_are_hosts()
                       ? "; both with the same --uid-map and --gid-map"
                       : "; both in the same user namespace";

    if (failed == MARKER_COPY) {
        mapped_say(c->s, NULL, 0, "nothing of the model %s is gone; start "
                   "again, or go back with --to %s%s",
                   mapped_model_name(m->from), mapped_model_name(m->from),
                   same);
    } else {
        mapped_say(c->s, NULL, 0, "all of the model %s is there, and some of "
                   "the model %s is left; start again, or go back with --to "
                   "%s%s", mapped_model_name(m->to), mapped_model_name(m->from),
                   mapped_model_name(m->from), same);
    }
    return false;
}

static bool drop(Convert *c)
{
    const Marker *m = &c->marker;

    c->s->other = m->from;
    if (mapped_model_is_host(m->from)) {
        return fill(c, m->to) && walk(c, m->to, m->from,
                                      &convert_take_host_ops);
    }
    return walk(c, m->to, m->from, &convert_drop_views_ops);
}

/*
 * Whether the share has what a share of the old model has. If a conversion was
 * done just when somebody killed it, nothing else keeps that person from doing
 * it again, to a share of the new model.
 */
static bool check_old(Convert *c, const LocalModel *from)
{
    bool both;
    const LocalModel *told = mapped_share_tells(c->s, &both);

    if (!mapped_model_is_host(from) && both && !c->o->lossy) {
        mapped_problem(c->s, NULL, 0, "it has the metadata of both mapped "
                       "models, and would lose one of them: remove the other "
                       "one's with check --model %s --repair (--lossy: all the "
                       "same)",
                       mapped_model_name(from));
        return false;
    }
    if (mapped_model_is_host(from) && (told || both) && !c->o->lossy) {
        mapped_problem(c->s, NULL, 0, "its model is %s, as there is metadata "
                       "(--lossy: remove that)", told ? mapped_model_name(told)
                       : "a mapped one");
        return false;
    }
    if (!mapped_model_is_host(from) && told && told != from) {
        mapped_problem(c->s, NULL, 0, "its model is %s",
                       mapped_model_name(told));
        return false;
    }
    c->unsure = !mapped_model_is_host(from) && !told && !both;
    return true;
}

/* A share that nobody has begun to convert */
static bool plan_new(Convert *c, const LocalModel *to)
{
    const LocalModel *from = c->s->lh.model;

    if (from == to) {
        mapped_problem(c->s, NULL, 0, "its model is %s",
                       mapped_model_name(from));
        return false;
    }
    if (mapped_model_is_host(from) && mapped_model_is_host(to)) {
        mapped_problem(c->s, NULL, 0, "in place one of both models must be a "
                       "mapped one");
        return false;
    }
    c->marker.from = from;
    c->marker.to = to;
    c->marker.ids = mapped_marker_ids(&c->marker);
    return check_old(c, from);
}

/*
 * Owners that are half changed mean something with the ids of the mark alone.
 * Root can take them over, unless it is in a user namespace.
 */
static bool agree_on_ids(Convert *c)
{
    Marker *m = &c->marker;
    g_autofree char *own = mapped_marker_ids(m);

    if (!m->ids) {
        m->ids = g_steal_pointer(&own);
        return true;
    }
    if (g_str_equal(m->ids, own)) {
        return true;
    }
    if (g_str_equal(own, "host") && geteuid() == 0 &&
        (m->from == &mapped_model_proxy || m->to == &mapped_model_proxy)) {
        return mapped_ids_parse(m->ids, &mapped_ids);
    }
    mapped_problem(c->s, NULL, 0, "it is being converted with other ids, %s; "
                   "those of this program are %s: go on with the same "
                   "--uid-map and --gid-map, in the same user namespace, or as "
                   "root outside without any", m->ids, own);
    return false;
}

/*
 * Who has the files on the host with the mapped model. The mark keeps it, as
 * somebody else may go on, or go back, which root does for others. False after
 * a message
 */
static bool settle_owner(Convert *c)
{
    const MappedOptions *o = c->o;
    Marker *m = &c->marker;
    const HostFs *hfs = &c->s->lh.host;
    FsAttr root = { .uid = o->owner_uid, .gid = o->owner_gid };
    bool from_host = mapped_model_is_host(m->from);
    bool known = m->has_owner || m->step == MARKER_NONE || geteuid() != 0;
    int ret = 0;

    if (!mapped_marker_has_host(m)) {
        if (o->has_owner) {
            convert_use_owner(c->s, o->owner_uid, o->owner_gid);
        }
        return true;
    }
    if (from_host && !known && !o->has_owner) {
        mapped_problem(c->s, NULL, 0, "its mark does not tell who runs QEMU: "
                       "name that user with --owner UID:GID");
        return false;
    }
    if (o->has_owner || !m->has_owner) {
        if (!from_host && m->step == MARKER_NONE && geteuid() == 0) {
            ret = hostfs_getattr(hfs->root, &root);
        }
        m->has_owner = ret == 0 && (known || o->has_owner);
        m->owner_uid = root.uid;
        m->owner_gid = root.gid;
    }
    if (from_host) {
        convert_use_owner(c->s, m->owner_uid, m->owner_gid);
    }
    return true;
}

/* What is to be done, from the mark and the command line */
static bool plan(Convert *c, const LocalModel *to)
{
    Marker *m = &c->marker;
    int ret = mapped_marker_get(&c->s->lh.host, m);
    bool changed = c->o->has_owner;

    if (ret < 0) {
        mapped_problem(c->s, NULL, ret, "cannot read the mark");
        return false;
    }
    if (m->step == MARKER_NONE) {
        return plan_new(c, to) && settle_owner(c);
    }
    if ((to != m->to && to != m->from) ||
        (c->o->model && c->o->model != m->to && c->o->model != m->from)) {
        mapped_problem(c->s, NULL, 0, "it is being converted from %s to %s: "
                       "finish that first", mapped_model_name(m->from),
                       mapped_model_name(m->to));
        return false;
    }
    if (!agree_on_ids(c)) {
        return false;
    }
    if (to == m->from) {
        /* Back: what was to be dropped is copied, what was copied dropped. */
        m->from = m->to;
        m->to = to;
        m->step = m->step == MARKER_COPY ? MARKER_DROP : MARKER_COPY;
        changed = true;
    }
    return settle_owner(c) && (!changed || c->o->dry_run || mark(c, m->step));
}

static bool look(Convert *c)
{
    const Marker *m = &c->marker;

    if (c->unsure && !c->o->lossy &&
        walk(c, m->from, m->to, &convert_seek_ops)) {
        mapped_problem(c->s, NULL, 0, "its model is not %s: no file has "
                       "metadata of that (--lossy: all the same)",
                       mapped_model_name(m->from));
    }
    if (!c->s->problems) {
        walk(c, m->from, m->to, &convert_look_ops);
        convert_look_end(c);
    }
    return !c->s->problems;
}

static bool convert(Convert *c)
{
    if (c->marker.step == MARKER_NONE) {
        if (!look(c)) {
            return false;
        }
        if (c->o->dry_run) {
            printf("%zu files can be converted\n", c->files);
            return true;
        }
        if (!mark(c, MARKER_COPY)) {
            return false;
        }
    } else if (c->o->dry_run) {
        printf("a conversion to %s was stopped; it can go on\n",
               mapped_model_name(c->marker.to));
        return true;
    }
    if (c->marker.step == MARKER_COPY && (!put(c) || !mark(c, MARKER_DROP))) {
        return advise(c, MARKER_COPY);
    }
    return (drop(c) && mark(c, MARKER_NONE)) || advise(c, MARKER_DROP);
}

int mapped_convert(const MappedOptions *o)
{
    MappedShare s;
    Convert c = { .o = o, .s = &s, .in_place = true, .staging = -1 };
    MappedEntry e;
    bool bad;

    if (!o->to) {
        return mapped_usage("convert: --to MODEL is missing");
    }
    if (o->root) {
        return mapped_usage("convert: the argument is the share's root");
    }
    if (o->has_owner && mapped_model_is_host(o->to)) {
        return mapped_usage("convert: --owner is for a mapped model: with %s, "
                            "files have the owners that the guest sees",
                            mapped_model_name(o->to));
    }
    if (o->n_args > 1) {
        return convert_copy(o);
    }
    if (!mapped_open_root(o, o->args[0], SHARE_CHANGES, &s, &e)) {
        return EXIT_PROBLEMS;
    }
    if (plan(&c, o->to)) {
        convert(&c);
    }
    convert_forget(&c);
    if (c.staging >= 0) {
        close(c.staging);
    }
    bad = s.problems;
    mapped_marker_clear(&c.marker);
    mapped_close_arg(&s, &e);
    return bad ? EXIT_PROBLEMS : EXIT_GOOD;
}
