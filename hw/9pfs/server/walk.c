/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Twalk fid[4] newfid[4] nwname[2] nwname*(wname[s]).
 *
 * Without names it clones the fid. Otherwise the driver walks all names in one
 * operation. If it does not find all of them, newfid is not made, and the reply
 * has the qids of those it found. The reply is an error only if the first name
 * is not found. The fid may be open: Linux walks from open fids, too.
 *
 * ".." at the root of the fid's Tattach stays there. A driver knows only the
 * export's root, so the server looks after the other ones.
 */
#include "qemu/osdep.h"
#include "messages.h"

typedef struct WalkArgs {
    uint32_t id;
    uint32_t newid;
    unsigned num;
    const char *names[FS_WALK_MAX];
} WalkArgs;

static int walk_parse(P9Request *req, WalkArgs *args)
{
    unsigned i;

    args->id = marshal_get_u32(&req->r);
    args->newid = marshal_get_u32(&req->r);
    args->num = marshal_get_u16(&req->r);
    if (args->num > FS_WALK_MAX) {
        return -EINVAL;
    }
    for (i = 0; i < args->num; i++) {
        args->names[i] = marshal_get_str(&req->r, NULL);
    }
    return 0;
}

/* Whether Twalk may look @name up: 0, or the error for the reply. */
static int walk_name_check(const char *name)
{
    int ret;

    if (!strcmp(name, "..")) {
        return 0;
    }
    ret = fs_name_check(name);
    /* walk(5) of Plan 9: "." is not used in the protocol. */
    return ret == -EINVAL ? -ENOENT : ret;
}

/* Counts the names before one that Twalk may not look up; *@ret: its error */
static unsigned walk_count_good(const WalkArgs *args, int *ret)
{
    unsigned good;

    for (good = 0; good < args->num; good++) {
        *ret = walk_name_check(args->names[good]);
        if (*ret < 0) {
            break;
        }
    }
    return good;
}

/* Binds the result of the walk to a fid: a new one, or @from itself. */
static int coroutine_fn walk_bind(P9Server *s, P9Fid *from, uint32_t newid,
                                  FsNode *node, FsEntry *entry)
{
    g_autoptr(P9Fid) fid = p9_fid_new(s, newid, from->attach, node, entry);

    return from->id == newid ? p9_fid_replace(from, fid) : p9_fid_insert(fid);
}

static int coroutine_fn walk_clone(P9Request *req, P9Fid *from, uint32_t newid)
{
    int ret = 0;

    if (newid != from->id) {
        ret = walk_bind(req->s, from, newid, from->node, from->entry);
    }
    if (ret < 0) {
        return ret;
    }
    marshal_put_u16(&req->w, 0);
    return 0;
}

/*
 * Checks the result of the driver's walk of @good names, which returned @ret.
 * Returns 0, also if only some names were found, or the error for the reply.
 */
static int walk_check_result(FsExport *fs, FsWalk *walk, unsigned good, int ret)
{
    unsigned i;

    if (ret < 0 && (walk->walked == 0 || ret == -EINTR)) {
        return ret;
    }
    if (ret < 0 ? walk->walked >= good
                : walk->walked != good || !walk->node) {
        return -EIO;
    }
    /* A file system that must stay hidden ends the walk like a missing name. */
    for (i = 0; i < walk->walked; i++) {
        ret = fs_export_admit_dev(fs, walk->attr[i].dev);
        if (ret < 0) {
            if (i == 0) {
                return ret;
            }
            walk->walked = i;
        }
    }
    return 0;
}

static int coroutine_fn walk_bind_last(P9Server *s, P9Fid *from,
                                       const WalkArgs *args,
                                       const FsWalk *walk)
{
    FsEntry *entry = NULL;
    int ret;

    if (walk->parent) {
        entry = fs_entry_get(s->fs, walk->parent, args->names[args->num - 1],
                             walk->node);
    }
    ret = walk_bind(s, from, args->newid, walk->node, entry);
    if (entry) {
        fs_entry_put(entry);
    }
    return ret;
}

static void walk_reply(P9Request *req, const FsWalk *walk)
{
    P9Qid qid;
    unsigned i;

    marshal_put_u16(&req->w, walk->walked);
    for (i = 0; i < walk->walked; i++) {
        qid = p9_qid_make(&req->s->export->qids, &walk->attr[i]);
        p9_put_qid(&req->w, &qid);
    }
}

static bool walk_goes_up(const char *const *names, unsigned n)
{
    unsigned i;

    for (i = 0; i < n && strcmp(names[i], ".."); i++) {
        /* Look on. */
    }
    return i < n;
}

/*
 * The driver's walk, name by name: ".." at @root stays there. The result is as
 * that of FsDriver.walk.
 */
static int coroutine_fn walk_slowly(P9Request *req, FsNode *root, FsNode *from,
                                    const char *const *names, unsigned n,
                                    FsWalk *walk)
{
    g_autoptr(FsNode) at = fs_node_ref(from);
    g_autoptr(FsNode) above = NULL;
    FsWalk step;
    int ret;

    for (walk->walked = 0; walk->walked < n; walk->walked++) {
        const char *name = names[walk->walked];

        step.node = step.parent = NULL;
        if (at == root && !strcmp(name, "..")) {
            ret = p9_driver(req)->getattr(&req->call, at, NULL, &step.attr[0]);
            step.node = fs_node_ref(at);
        } else {
            ret = p9_driver(req)->walk(&req->call, at, &name, 1, &step);
        }
        g_clear_pointer(&above, fs_node_unref);
        fs_node_unref(at);
        at = step.node;
        above = step.parent;
        if (ret == 0 && !at) {
            ret = -EIO;
        }
        if (ret < 0) {
            return ret;
        }
        walk->attr[walk->walked] = step.attr[0];
    }
    walk->node = g_steal_pointer(&at);
    walk->parent = g_steal_pointer(&above);
    return 0;
}

/* The driver's walk of names on behalf of a fid */
static int coroutine_fn walk_run(P9Request *req, P9Fid *from,
                                 const char *const *names, unsigned n,
                                 FsWalk *walk)
{
    FsNode *root = from->attach->root;

    walk->walked = 0;
    walk->node = NULL;
    walk->parent = NULL;
    if (root != req->s->fs->root && walk_goes_up(names, n)) {
        return walk_slowly(req, root, from->node, names, n, walk);
    }
    return p9_driver(req)->walk(&req->call, from->node, names, n, walk);
}

static int coroutine_fn walk_names(P9Request *req, P9Fid *from,
                                   const WalkArgs *args)
{
    P9Server *s = req->s;
    g_autoptr(FsNode) node = NULL;
    g_autoptr(FsNode) parent = NULL;
    FsWalk walk;
    unsigned good;
    int ret = 0;

    if (args->newid == args->id && from->file) {
        /* The client still uses the open file, which this would close. */
        return -EBADF;
    }
    if (!S_ISDIR(from->node->type)) {
        return -ENOTDIR;
    }
    if (p9_request_room(req) <
        P9_HEADER_SIZE + 2 + args->num * P9_QID_SIZE) {
        return -EMSGSIZE;
    }
    good = walk_count_good(args, &ret);
    if (good == 0) {
        return ret;
    }
    if (fs_export_full(s->fs)) {
        return -ENFILE;
    }

    ret = walk_run(req, from, args->names, good, &walk);
    node = walk.node;
    parent = walk.parent;
    ret = req->detached ? -EINTR : walk_check_result(s->fs, &walk, good, ret);
    if (ret == 0 && walk.walked == args->num) {
        ret = walk_bind_last(s, from, args, &walk);
    }
    if (ret < 0) {
        return ret;
    }
    walk_reply(req, &walk);
    return 0;
}

int coroutine_fn p9_walk(P9Request *req)
{
    g_autoptr(P9Fid) from = NULL;
    WalkArgs args;
    int ret;

    ret = walk_parse(req, &args);
    if (ret < 0) {
        return ret;
    }
    ret = p9_request_fid(req, args.id, &from);
    if (ret < 0) {
        return ret;
    }
    if (args.newid != args.id) {
        ret = p9_fid_check_new(req->s, args.newid);
        if (ret < 0) {
            return ret;
        }
    }
    return args.num ? walk_names(req, from, &args)
                    : walk_clone(req, from, args.newid);
}
