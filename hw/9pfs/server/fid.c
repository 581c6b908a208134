/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The table of fids.
 *
 * A fid, with its node and open file, stays until the last operation on it has
 * ended, even if it is clunked before. Operations on nodes need no names. A few
 * messages do, such as Tremove and Trename: they act on the name by which the
 * client walked to the fid. That name is an entry of the export (fs/node.h).
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "migration/blocker.h"
#include "internal.h"
#include "xattr.h"
#include "hw/9pfs/fs/context.h"
#include "hw/9pfs/trace.h"

/* The table is a set of fids, which takes less memory than a map of ids. */
static guint fid_hash(gconstpointer fid)
{
    return ((const P9Fid *)fid)->id;
}

static gboolean fid_equal(gconstpointer a, gconstpointer b)
{
    return ((const P9Fid *)a)->id == ((const P9Fid *)b)->id;
}

void p9_fids_init(P9Server *s)
{
    s->fids = g_hash_table_new(fid_hash, fid_equal);
}

void p9_fids_destroy(P9Server *s)
{
    g_hash_table_destroy(s->fids);
}

P9Attach *p9_attach_new(uint32_t uid, FsNode *root)
{
    P9Attach *attach = g_new(P9Attach, 1);

    attach->refs = 1;
    attach->uid = uid;
    attach->root = fs_node_ref(root);
    return attach;
}

void p9_attach_put(P9Attach *attach)
{
    if (--attach->refs == 0) {
        fs_node_unref(attach->root);
        g_free(attach);
    }
}

P9Fid *p9_fid_new(P9Server *s, uint32_t id, P9Attach *attach,
                  FsNode *node, FsEntry *entry)
{
    P9Fid *fid = g_new0(P9Fid, 1);

    fid->s = s;
    fid->id = id;
    attach->refs++;
    fid->attach = attach;
    fid->refs = 1;
    fid->clunked = true;        /* until it is in the table */
    fid->node = fs_node_ref(node);
    fid->entry = entry ? fs_entry_ref(entry) : NULL;
    QLIST_INIT(&fid->locks);
    return fid;
}

P9Fid *p9_fid_ref(P9Fid *fid)
{
    fid->refs++;
    return fid;
}

void p9_fid_put(P9Fid *fid)
{
    if (--fid->refs) {
        return;
    }
    if (fid->xattr) {
        p9_xattr_free(fid);
    }
    if (fid->file) {
        fs_file_unref(fid->file);
    }
    if (fid->entry) {
        fs_entry_put(fid->entry);
    }
    fs_node_unref(fid->node);
    p9_attach_put(fid->attach);
    g_free(fid->dir_pos);       /* or fid->empty */
    g_free(fid);
}

static P9Fid *fid_lookup(P9Server *s, uint32_t id)
{
    const P9Fid want = { .id = id };

    return g_hash_table_lookup(s->fids, &want);
}

int p9_fid_get(P9Server *s, uint32_t id, P9Fid **fid)
{
    *fid = fid_lookup(s, id);
    if (!*fid) {
        return -ENOENT;
    }
    p9_fid_ref(*fid);
    return 0;
}

int p9_fid_get_found(P9Server *s, uint32_t id, P9Fid **fid)
{
    int ret = p9_fid_get(s, id, fid);

    return ret == 0 && (*fid)->lost ? -ESTALE : ret;
}

int p9_fid_get_attached(P9Server *s, uint32_t id, P9Fid **fid)
{
    int ret = p9_fid_get_found(s, id, fid);

    return ret == 0 && (*fid)->xattr ? -EBADF : ret;
}

int p9_fid_get_dir(P9Server *s, uint32_t id, P9Fid **fid)
{
    int ret = p9_fid_get_attached(s, id, fid);

    return ret == 0 && !S_ISDIR((*fid)->node->type) ? -ENOTDIR : ret;
}

/* If @ret says that there is a fid, the request is for its user. */
static int request_of(P9Request *req, P9Fid *const *fid, int ret)
{
    if (ret == 0) {
        req->call.user = (*fid)->attach->uid;
    }
    return ret;
}

int p9_request_fid(P9Request *req, uint32_t id, P9Fid **fid)
{
    return marshal_done(&req->r)
           ? request_of(req, fid, p9_fid_get_attached(req->s, id, fid))
           : -EINVAL;
}

int p9_request_dir(P9Request *req, uint32_t id, P9Fid **fid)
{
    return marshal_done(&req->r)
           ? request_of(req, fid, p9_fid_get_dir(req->s, id, fid)) : -EINVAL;
}

int p9_request_any(P9Request *req, uint32_t id, P9Fid **fid)
{
    return marshal_done(&req->r)
           ? request_of(req, fid, p9_fid_get(req->s, id, fid)) : -EINVAL;
}

int p9_request_io(P9Request *req, uint32_t id, P9Fid **fid)
{
    return request_of(req, fid, p9_fid_get_found(req->s, id, fid));
}

int coroutine_fn p9_open_file(FsCall *call, FsNode *node, int flags,
                              FsFile **file)
{
    FsExport *fs = node->fs;
    int ret = fs_export_open_begin(fs);

    if (ret < 0) {
        return ret;
    }
    ret = fs->driver->open_file(call, node, flags, file);
    fs_export_open_end(fs);
    return ret;
}

bool p9_fid_is_root(const P9Fid *fid)
{
    return fid->node == fid->attach->root || fid->node == fid->s->fs->root;
}

int p9_fid_name(const P9Fid *fid, FsNode **dir, char **name)
{
    if (p9_fid_is_root(fid)) {
        return -EBUSY;
    }
    if (!fid->entry || fid->entry->gone) {
        return -ENOENT;
    }
    *dir = fs_node_ref(fid->entry->parent);
    *name = g_strdup(fid->entry->name);
    return 0;
}

int p9_fid_check_new(P9Server *s, uint32_t id)
{
    return id == P9_NOFID || fid_lookup(s, id) ? -EBADF : 0;
}

/*
 * Where fids do not migrate (fs_export_migrates()), a device without fids has
 * no state to move besides its queue. So the first fid blocks migration, and
 * the last one to go unblocks it.
 *
 * Only the main thread may block and unblock. The request that makes the first
 * fid moves to the main thread and back, and then looks for changes in the
 * server. To unblock, the server asks the main thread, which does it before
 * anything that it is asked for later.
 */

/* Main thread */
static void unblock_bh(void *opaque)
{
    Error *blocker = opaque;

    migrate_del_blocker(&blocker);
}

static int coroutine_fn fids_block_migration(P9Server *s)
{
    Error *blocker = NULL;
    Error *err = NULL;
    int ret;

    error_setg(&blocker,
               "virtio-9p: the guest has mounted fsdev '%s', which %s; "
               "unmount it in the guest first", s->fs->id,
               fs_export_why_not_saved(s->fs));
    aio_co_reschedule_self(qemu_get_aio_context());
    ret = migrate_add_blocker(&blocker, &err);
    aio_co_reschedule_self(s->ctx);
    if (ret < 0) {
        warn_report_once("virtio-9p: fsdev '%s' cannot be mounted now: %s",
                         s->fs->id, error_get_pretty(err));
        error_free(err);
        return -EBUSY;
    }
    if (s->migration_blocker) {
        /* Another request has blocked migration in between. */
        fs_main_run(unblock_bh, blocker);
    } else {
        s->migration_blocker = blocker;
    }
    return 0;
}

static void fids_unblock_migration(P9Server *s)
{
    if (s->migration_blocker && g_hash_table_size(s->fids) == 0) {
        fs_main_run(unblock_bh, g_steal_pointer(&s->migration_blocker));
    }
}

/* Whether a fid of that number may be put into the table: 0 or -errno. */
static int fid_check_room(P9Server *s, uint32_t id)
{
    int ret = p9_fid_check_new(s, id);

    if (ret == 0 && s->export->fids >= fs_export_max_fids(s->fs)) {
        ret = -ENFILE;
    }
    return ret;
}

static void fid_add(P9Fid *fid)
{
    P9Server *s = fid->s;

    trace_p9_fid_insert(s, fid->id, fid->node->dev, fid->node->ino);
    fid->clunked = false;
    g_hash_table_add(s->fids, p9_fid_ref(fid));
    s->export->fids++;
}

int coroutine_fn p9_fid_insert(P9Fid *fid)
{
    P9Server *s = fid->s;
    int ret;

    ret = fid_check_room(s, fid->id);
    if (ret < 0) {
        return ret;
    }
    while (!s->migration_blocker && !fs_export_migrates(s->fs)) {
        /* Other requests may run before this returns. */
        ret = fids_block_migration(s);
        if (ret == 0) {
            ret = fid_check_room(s, fid->id);
        }
        if (ret < 0) {
            fids_unblock_migration(s);
            return ret;
        }
    }
    fid_add(fid);
    return 0;
}

int p9_fid_restore(P9Fid *fid)
{
    int ret = fid_check_room(fid->s, fid->id);

    if (ret == 0) {
        fid_add(fid);
    }
    return ret;
}

int p9_fid_replace(P9Fid *old, P9Fid *fid)
{
    if (old->clunked) {
        return -EBADF;
    }
    old->clunked = true;
    fid->clunked = false;
    trace_p9_fid_insert(fid->s, fid->id, fid->node->dev, fid->node->ino);
    g_hash_table_add(fid->s->fids, p9_fid_ref(fid));
    p9_locks_drop_fid(old);
    p9_fid_put(old);
    return 0;
}

bool p9_fid_remove(P9Fid *fid)
{
    P9Server *s = fid->s;

    if (fid->clunked) {
        return false;
    }
    trace_p9_fid_remove(s, fid->id);
    fid->clunked = true;
    g_hash_table_remove(s->fids, fid);
    s->export->fids--;
    p9_locks_drop_fid(fid);
    p9_fid_put(fid);
    fids_unblock_migration(s);
    return true;
}

void p9_fids_clear(P9Server *s)
{
    g_autoptr(GList) fids = g_hash_table_get_keys(s->fids);
    GList *l;

    for (l = fids; l; l = l->next) {
        p9_fid_remove(l->data);
    }
}
