/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tattach fid[4] afid[4] uname[s] aname[s] n_uname[4]: the fid becomes the root
 * of a tree for a user.
 *
 * aname is the path of a directory from the export's root, "/sub" or "sub". An
 * empty one, which Linux sends without the mount option aname, and "/" are the
 * export's root. The path leads through directories only: no symbolic links are
 * followed, and "." and ".." are refused, so it cannot leave the export. For
 * the client that directory is a root: ".." stays there (walk.c), and it cannot
 * be renamed or removed by this fid. This is no boundary, because a client may
 * attach to any directory of the export.
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "messages.h"
#include "hw/9pfs/trace.h"

/* The user of a client that sends neither a number nor a name that means one */
#define UID_NOBODY  65534

/*
 * The owner of files that a fid makes. Linux sends the user's number for each
 * user, and no number where one attach serves all users (access=any). Then the
 * name counts, if it is root or a number.
 */
static uint32_t attach_uid(uint32_t n_uname, const char *uname)
{
    unsigned int uid;

    if (p9_id_valid(n_uname)) {
        return n_uname;
    }
    if (!strcmp(uname, "root")) {
        return 0;
    }
    if (qemu_strtoui(uname, NULL, 10, &uid) == 0 && p9_id_valid(uid)) {
        return uid;
    }
    return UID_NOBODY;
}

/*
 * The names in @aname: NULL-terminated, and without the empty ones between
 * slashes. NULL with the error in *@ret if one may not be walked.
 */
static char **attach_names(const char *aname, int *ret)
{
    g_auto(GStrv) all = NULL;
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    unsigned i;

    if (strlen(aname) >= PATH_MAX) {
        *ret = -ENAMETOOLONG;
        return NULL;
    }
    all = g_strsplit(aname, "/", -1);
    for (i = 0; all[i]; i++) {
        if (*all[i]) {
            *ret = fs_name_check(all[i]);
            if (*ret < 0) {
                return NULL;
            }
            g_ptr_array_add(names, g_strdup(all[i]));
        }
    }
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&names), false);
}

/*
 * Walks @n names, up to FS_WALK_MAX, from *@dir, which becomes the directory
 * that they lead to. *@entry becomes the last name's.
 */
static int coroutine_fn attach_step(P9Request *req, FsNode **dir,
                                    FsEntry **entry, char **names, unsigned n,
                                    FsAttr *attr)
{
    FsExport *fs = req->s->fs;
    g_autoptr(FsNode) node = NULL;
    g_autoptr(FsNode) parent = NULL;
    FsWalk walk = { .walked = 0 };
    unsigned i;
    int ret;

    if (fs_export_full(fs)) {
        return -ENFILE;
    }
    ret = p9_driver(req)->walk(&req->call, *dir, (const char *const *)names, n,
                               &walk);
    node = walk.node;
    parent = walk.parent;
    if (ret == 0 && (walk.walked != n || !node || !parent)) {
        ret = -EIO;
    }
    for (i = 0; ret == 0 && i < n; i++) {
        ret = fs_export_admit_dev(fs, walk.attr[i].dev);
    }
    if (ret == 0 && !S_ISDIR(node->type)) {
        ret = -ENOTDIR;
    }
    if (ret < 0) {
        return ret;
    }
    *attr = walk.attr[n - 1];
    if (*entry) {
        fs_entry_put(*entry);
    }
    *entry = fs_entry_get(fs, parent, names[n - 1], node);
    fs_node_unref(*dir);
    *dir = g_steal_pointer(&node);
    return 0;
}

/* A fid for the directory that the names lead to, instead of @root's */
static int coroutine_fn attach_below(P9Request *req, P9Fid *root, char **names,
                                     FsAttr *attr)
{
    g_autoptr(P9Attach) attach = NULL;
    g_autoptr(P9Fid) fid = NULL;
    g_autoptr(FsNode) dir = fs_node_ref(root->node);
    FsEntry *entry = NULL;
    unsigned left = g_strv_length(names);
    unsigned n;
    int ret = 0;

    for (; ret == 0 && left > 0; names += n, left -= n) {
        n = MIN(left, FS_WALK_MAX);
        ret = attach_step(req, &dir, &entry, names, n, attr);
    }
    if (ret == 0 && req->detached) {
        ret = -EINTR;
    }
    if (ret == 0) {
        attach = p9_attach_new(root->attach->uid, dir);
        fid = p9_fid_new(req->s, root->id, attach, dir, entry);
        ret = p9_fid_replace(root, fid);
    }
    if (entry) {
        fs_entry_put(entry);
    }
    return ret;
}

static int coroutine_fn attach_root(P9Request *req, P9Fid *root, FsAttr *attr)
{
    int ret = p9_driver(req)->getattr(&req->call, root->node, NULL, attr);

    return ret == 0 && req->detached ? -EINTR : ret;
}

int coroutine_fn p9_attach(P9Request *req)
{
    P9Server *s = req->s;
    g_autoptr(P9Attach) attach = NULL;
    g_autoptr(P9Fid) fid = NULL;
    g_autoptr(P9Fid) auth = NULL;
    g_auto(GStrv) names = NULL;
    uint32_t id, afid, n_uname;
    const char *uname, *aname;
    FsAttr attr;
    P9Qid qid;
    int ret;

    id = marshal_get_u32(&req->r);
    afid = marshal_get_u32(&req->r);
    uname = marshal_get_str(&req->r, NULL);
    aname = marshal_get_str(&req->r, NULL);
    n_uname = marshal_get_u32(&req->r);
    if (!marshal_done(&req->r)) {
        return -EINVAL;
    }
    trace_p9_attach(s, id, n_uname, uname, aname);
    if (afid != P9_NOFID) {
        /* There is no Tauth, so no fid is one for authentication. */
        ret = p9_fid_get(s, afid, &auth);
        return ret < 0 ? ret : -EBADF;
    }
    names = attach_names(aname, &ret);
    if (!names) {
        return ret;
    }

    /* A fid goes into the table first, which blocks migration. */
    req->call.user = attach_uid(n_uname, uname);
    attach = p9_attach_new(req->call.user, s->fs->root);
    fid = p9_fid_new(s, id, attach, s->fs->root, NULL);
    ret = p9_fid_insert(fid);
    if (ret < 0) {
        return ret;
    }
    ret = *names ? attach_below(req, fid, names, &attr)
                 : attach_root(req, fid, &attr);
    if (ret < 0) {
        p9_fid_remove(fid);
        return ret;
    }
    qid = p9_qid_make(&s->export->qids, &attr);
    p9_put_qid(&req->w, &qid);
    return 0;
}
