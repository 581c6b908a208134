/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The local driver: a host directory, with QEMU's own privileges.
 *
 * Theory of operation. The security model (model.h) knows how the guest sees a
 * file and how the host keeps this view; the node (node.h) knows where the file
 * is; host/file.c works on open files. The driver puts them together, with one
 * function per operation: walk.c, attr.c and names.c have most of them. This
 * file has the others, and the export.
 *
 * Operations that may wait for storage or a server run in the thread pool, on
 * pinned descriptors. The export's thread does the others itself: it looks a
 * name up if the kernel has it in its cache (walk.c), and it stats an open
 * inode, on file systems that need no server for this. On file systems in
 * memory (host/device-numbers.h) it also opens files and reads attributes.
 */
#include "qemu/osdep.h"
#include "block/thread-pool.h"
#include "qapi/clone-visitor.h"
#include "qapi/error.h"
#include "qapi/qapi-visit-fsdev.h"
#include "qemu/coroutine.h"
#include "qemu/error-report.h"
#include "qemu/module.h"
#include "qemu/timer.h"
#include "hw/9pfs/fs/ids.h"
#include "hw/9pfs/host/file.h"
#include "local.h"

#define FMODE_DEFAULT       0600
#define DMODE_DEFAULT       0700

/* How long a coroutine waits for the file system of the directory */
#define ROOT_PATIENCE_S     15

/*
 * Opening
 */

/*
 * HostEntryType: only a regular file of the host may have another type for the
 * guest. Unknown if it has just gone, or if another file is mounted there,
 * whose file system may not answer.
 */
static unsigned char entry_type(void *opaque, int dir, const char *name,
                                unsigned char type)
{
    const LocalHost *host = opaque;
    LocalInode inode = { .dir = dir, .name = name, .kept = -1 };
    FsAttr attr;
    int ret;

    if ((type != DT_REG && type != DT_UNKNOWN) || fs_name_check(name) < 0 ||
        host->model->reserved(name)) {
        return type;
    }
    if (hostfs_is_mount(dir, name)) {
        return DT_UNKNOWN;
    }
    ret = hostfs_step(&host->host, dir, name, HOST_WAIT_POOL, &attr);
    if (ret < 0) {
        return DT_UNKNOWN;
    }
    inode.handle = ret;
    ret = host->model->getattr(host, &inode, &attr);
    close(inode.handle);
    return ret < 0 ? DT_UNKNOWN : IFTODT(attr.mode);
}

typedef struct OpenWork {
    const HostFs *host;
    int handle;
    int flags;
} OpenWork;

static int open_work(void *opaque)
{
    OpenWork *o = opaque;

    return hostfs_open(o->host, o->handle, o->flags);
}

/* Opens the file here, if that does not wait: the descriptor, or -errno. */
static int coroutine_fn open_now(LocalNode *n, int flags)
{
    int fd = flags & O_TRUNC ? -EAGAIN : local_now_fd(n, HOST_WORK_READ);

    return fd < 0 ? fd
                  : hostfs_open(&local_fs(&n->node)->now.host, fd, flags);
}

static int coroutine_fn open_in_pool(LocalNode *n, int flags)
{
    OpenWork o = { .host = &local_fs(&n->node)->host.host, .flags = flags };
    int ret = o.handle = local_node_pin(n);

    if (ret >= 0) {
        ret = local_run(n->node.dev, open_work, &o);
        local_node_unpin(n);
    }
    return ret;
}

static int coroutine_fn local_open_file(FsCall *call, FsNode *node, int flags,
                                        FsFile **file)
{
    LocalNode *n = local_node(node);
    LocalFs *lf = local_fs(node);
    HostDevKind kind;
    int ret;

    /* On the host any type may be a regular file: see hostfs_open() */
    if (node->type == S_IFLNK) {
        return -ELOOP;
    }
    if (node->type != S_IFREG && node->type != S_IFDIR) {
        return flags & O_DIRECTORY ? -ENOTDIR : -ENXIO;
    }
    ret = host_files_add();
    if (ret < 0) {
        return ret;
    }
    ret = open_now(n, flags);
    if (ret == -EAGAIN || ret == -EMFILE) {
        ret = open_in_pool(n, flags);
    }
    if (ret < 0) {
        host_files_remove();
        return ret;
    }
    /* On the way it may have shown that the file system is another one. */
    kind = host_dev_kind(&lf->devs, node->dev);
    *file = host_file_new(node, ret, flags, lf->writeout, kind);
    if (lf->host.model->hides_types) {
        host_file_set_entry_type(*file, entry_type, &lf->host);
    }
    return 0;
}

static void local_file_free(FsFile *file)
{
    host_file_free(file);
}

/*
 * Directories
 */

typedef struct DirFill {
    const LocalModel *model;
    FsDirFill *fill;
    void *opaque;
} DirFill;

static bool fill_visible(void *opaque, const FsDirent *entry)
{
    const DirFill *f = opaque;

    return f->model->reserved(entry->name) || f->fill(f->opaque, entry);
}

static int coroutine_fn local_readdir(FsCall *call, FsFile *file,
                                      uint64_t offset, FsDirFill *fill,
                                      void *opaque)
{
    DirFill f = {
        .model = local_fs(file->node)->host.model,
        .fill = fill,
        .opaque = opaque,
    };

    return host_file_readdir(call, file, offset, fill_visible, &f);
}

/*
 * Extended attributes
 */

/* Most values and lists are no longer. */
#define XATTR_FIRST         256
/* Rounds in which a value may grow between two reads */
#define XATTR_TRIES         16

typedef struct XattrWork {
    LocalWork w;
    const char *name;
    const void *value;
    size_t size;
    int flags;
    uint8_t *result;
} XattrWork;

/* Puts the value into x->result and returns its length, or -errno. */
static int get_value(XattrWork *x, const LocalHost *host,
                     const LocalInode *inode)
{
    unsigned tries = XATTR_TRIES;
    ssize_t len = XATTR_FIRST;

    do {
        /* Never NULL, not even for an empty value */
        g_autofree uint8_t *buf = g_malloc(len + 1);

        len = host->model->getxattr(host, inode, x->name, buf, MAX(len, 1));
        if (len >= 0) {
            x->result = g_steal_pointer(&buf);
            return len;
        }
        if (len == -ERANGE) {
            len = host->model->getxattr(host, inode, x->name, NULL, 0);
        }
    } while (len >= 0 && --tries);
    return len < 0 ? len : -ERANGE;
}

static int getxattr_work(void *opaque)
{
    XattrWork *x = opaque;

    return get_value(x, x->w.host, &x->w.hold.inode);
}

static int coroutine_fn local_getxattr(FsCall *call, FsNode *node,
                                       const char *name,
                                       uint8_t **value, size_t *size)
{
    const LocalHost *now = &local_fs(node)->now;
    LocalInode inode = { .dir = -1, .kept = -1 };
    LocalNode *n = local_node(node);
    XattrWork x = { .name = name };
    int ret = -EAGAIN;

    if (!now->model->needs_name) {
        ret = inode.handle = local_now_fd(n, HOST_WORK_READ);
    }
    if (ret >= 0) {
        ret = get_value(&x, now, &inode);
    }
    if (ret == -EAGAIN) {
        ret = local_run_held(&x.w, n, -1, getxattr_work);
    }
    if (ret < 0) {
        return ret;
    }
    *value = x.result;
    *size = ret;
    return 0;
}

static int setxattr_work(void *opaque)
{
    XattrWork *x = opaque;

    return x->w.host->model->setxattr(x->w.host, &x->w.hold.inode, x->name,
                                      x->value, x->size, x->flags);
}

static int coroutine_fn local_setxattr(FsCall *call, FsNode *node,
                                       const char *name, const void *value,
                                       size_t size, int flags)
{
    XattrWork x = {
        .name = name, .value = value, .size = size, .flags = flags,
    };

    return local_run_held(&x.w, local_node(node), -1, setxattr_work);
}

static int removexattr_work(void *opaque)
{
    XattrWork *x = opaque;

    return x->w.host->model->removexattr(x->w.host, &x->w.hold.inode,
                                         x->name);
}

static int coroutine_fn local_removexattr(FsCall *call, FsNode *node,
                                          const char *name)
{
    XattrWork x = { .name = name };

    return local_run_held(&x.w, local_node(node), -1, removexattr_work);
}

/*
 * The export
 */

static const LocalModel *find_model(FsdevSecurityModel model)
{
    switch (model) {
    case FSDEV_SECURITY_MODEL_MAPPED:
    case FSDEV_SECURITY_MODEL_MAPPED_XATTR:
        return &local_model_mapped_xattr;
    case FSDEV_SECURITY_MODEL_MAPPED_FILE:
        return &local_model_mapped_file;
    default:
        return &local_model_passthrough;
    }
}

/* Stores fmode or dmode, if @given, in *@mode. */
static bool set_mode(const FsdevLocalOptions *o, const char *option,
                     bool given, uint32_t value, uint32_t *mode, Error **errp)
{
    if (!given) {
        return true;
    }
    if (find_model(o->security_model) == &local_model_passthrough) {
        error_setg(errp, "%s=0%o: only with security_model=mapped-xattr or "
                   "mapped-file", option, value);
        return false;
    }
    if (value & ~0777) {
        error_setg(errp, "%s=0%o: permission bits are at most 0777 "
                   "(octal, with a leading 0)", option, value);
        return false;
    }
    *mode = value;
    return true;
}

/* IdTranslate.no_place. Any thread. */
static void warn_no_place(void *opaque, const char *kind, uint32_t id)
{
    LocalFs *lf = opaque;

    warn_report("fsdev '%s': the guest's %s id %" PRIu32 " has no place on "
                "the host (translate-%s)", lf->fs->id, kind, id,
                g_str_equal(kind, "user") ? "uid" : "gid");
}

static bool set_ids(LocalFs *lf, const FsdevLocalOptions *o, Error **errp)
{
    const FsdevIdOptions *ids = qapi_FsdevLocalOptions_base(o);
    g_autofree char *first = fs_ids_first(ids);

    if (first && lf->host.model != &local_model_passthrough) {
        error_setg(errp, "%s: only with security_model=passthrough or none",
                   first);
        return false;
    }
    if (!fs_ids_parse(ids, &lf->ids, errp)) {
        return false;
    }
    if (lf->ids) {
        lf->ids->no_place = warn_no_place;
        lf->ids->opaque = lf;
    }
    return true;
}

/* FileHandles.view: what the security model makes of a file */
static int handle_view(void *opaque, int fd, int dir, const char *name,
                       FsAttr *attr)
{
    const LocalHost *host = opaque;
    LocalInode inode = {
        .handle = fd, .dir = dir, .name = name, .kept = -1,
    };

    return host->model->getattr(host, &inode, attr);
}

static int probe_handles(LocalFs *lf)
{
    int ret = file_handles_probe(&lf->handles, lf->host.host.root);

    lf->handles.fs = &lf->host.host;
    lf->handles.hidden = lf->host.model->reserved;
    lf->handles.view = handle_view;
    lf->handles.opaque = &lf->host;
    return ret;
}

static void handles_error(int ret, const FsdevLocalOptions *o, Error **errp)
{
    if (ret == -EPERM) {
        error_setg(errp, "migration=handles: QEMU may not open file handles, "
                   "for which it must be root (CAP_DAC_READ_SEARCH)");
    } else if (ret == -EOPNOTSUPP) {
        error_setg(errp, "migration=handles: the file system of path '%s' "
                   "has no file handles", o->path);
    } else {
        error_setg_errno(errp, -ret, "migration=handles: path '%s'", o->path);
    }
}

/* Undoes open_directory(). */
static void local_close_directory(LocalFs *lf)
{
    int root = lf->host.host.root;

    share_unlock(&lf->lock);
    file_handles_close(&lf->handles);
    host_devs_destroy(&lf->devs);
    lf->host.host.root = -1;
    host_pool_close(root);      /* the last descriptor there */
}

/*
 * Keeps programs that change a share from this one. Without a lock it is served
 * all the same: QEMU may have no right to read the directory.
 */
static bool lock_directory(LocalFs *lf, const FsdevLocalOptions *o,
                           Error **errp)
{
    if (share_lock_use(&lf->lock, lf->host.host.root) == -EBUSY) {
        error_setg(errp, "path '%s': virtfs-mapped is changing the directory "
                   "or one above it (or another process that has locked it so)",
                   o->path);
        return false;
    }
    return true;
}

/*
 * Opens the directory and the model, and fills in @attr of the directory. Any
 * thread, which may be late: the export may have gone. Returns a descriptor, or
 * -1 with an error.
 */
static int open_directory(LocalFs *lf, const FsdevLocalOptions *o,
                          bool readonly, FsAttr *attr, Error **errp)
{
    LocalInode inode = { .dir = -1, .kept = -1 };
    HostFs *host = &lf->host.host;
    int fd, ret;

    fd = open(o->path, O_PATH | O_CLOEXEC);
    if (fd < 0) {
        error_setg_errno(errp, errno, "path '%s'", o->path);
        return -1;
    }
    ret = hostfs_init(host, fd, "/proc/self/fd/");
    if (ret == -ENOTDIR) {
        error_setg(errp, "path '%s' is not a directory", o->path);
        return -1;
    } else if (ret < 0) {
        error_setg_errno(errp, -ret, "path '%s'", o->path);
        return -1;
    }
    host->readonly = readonly;
    host->ignore_chown_failure =
        o->security_model == FSDEV_SECURITY_MODEL_NONE;
    /* For any user: -run-with user= may change QEMU's later. */
    host->own_access = true;
    host->ids = lf->ids;

    if (!lock_directory(lf, o, errp)) {
        local_close_directory(lf);
        return -1;
    }
    inode.handle = fd;
    ret = local_inode_getattr(&lf->host, &inode, attr);
    fd = ret < 0 ? ret : fcntl(host->root, F_DUPFD_CLOEXEC, 0);
    if (ret == 0 && fd < 0) {
        ret = -errno;
    } else if (ret == 0 && !S_ISDIR(attr->mode)) {
        close(fd);
        ret = -ENOTDIR;
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "path '%s': cannot read the attributes "
                         "of security_model=%s", o->path,
                         FsdevSecurityModel_str(o->security_model));
        local_close_directory(lf);
        return -1;
    }
    host_dev_set(&lf->devs, fd, attr->dev);
    ret = probe_handles(lf);
    if (ret < 0 && lf->migration == FSDEV_MIGRATION_HANDLES) {
        handles_error(ret, o, errp);
        close(fd);
        local_close_directory(lf);
        return -1;
    }
    return fd;
}

static void local_fs_free(LocalFs *lf)
{
    g_free(lf->ids);
    g_free(lf);
}

/* The part of open that may wait for the host's file system */
typedef struct RootWork {
    LocalFs *lf;
    FsdevLocalOptions *opts;
    bool readonly;
    int fd;
    FsAttr attr;
    Error *err;
    bool done;
    bool abandoned;             /* root_done() frees all of it */
    QemuCoSleep sleep;
} RootWork;

static int root_work(void *opaque)
{
    RootWork *w = opaque;

    w->fd = open_directory(w->lf, w->opts, w->readonly, &w->attr, &w->err);
    return 0;
}

static void root_work_free(RootWork *w)
{
    qapi_free_FsdevLocalOptions(w->opts);
    g_free(w);
}

static void root_done(void *opaque, int ret)
{
    RootWork *w = opaque;

    w->done = true;
    if (!w->abandoned) {
        qemu_co_sleep_wake(&w->sleep);
        return;
    }
    if (w->fd >= 0) {
        close(w->fd);
        local_close_directory(w->lf);
    }
    error_free(w->err);
    local_fs_free(w->lf);
    root_work_free(w);
}

/* FsExport.hurry */
static void root_hurry(void *opaque)
{
    RootWork *w = opaque;

    qemu_co_sleep_wake(&w->sleep);
}

/*
 * Returns false with an error. *@lf becomes NULL if a thread still has it, as
 * the file system did not answer in time.
 */
static bool open_root(LocalFs **lf, const FsdevLocalOptions *o, Error **errp)
{
    FsExport *fs = (*lf)->fs;
    RootWork *w;
    bool ok;

    if (!*o->path) {
        error_setg(errp, "path '': a directory is needed");
        return false;
    }
    w = g_new0(RootWork, 1);
    w->lf = *lf;
    w->opts = QAPI_CLONE(FsdevLocalOptions, o);
    w->readonly = fs->readonly;
    if (qemu_in_coroutine()) {
        fs->hurry = root_hurry;
        fs->hurry_opaque = w;
        thread_pool_submit_aio(root_work, w, root_done, w);
        qemu_co_sleep_ns_wakeable(&w->sleep, QEMU_CLOCK_REALTIME,
                                  ROOT_PATIENCE_S * NANOSECONDS_PER_SECOND);
        fs->hurry = NULL;
        if (!w->done) {
            error_setg(errp, "path '%s': its file system did not answer "
                       "within %d seconds", o->path, ROOT_PATIENCE_S);
            w->abandoned = true;
            *lf = NULL;
            return false;
        }
    } else {
        root_work(w);
    }
    ok = w->fd >= 0;
    if (ok) {
        fs->root = &local_node_root(*lf, w->fd, &w->attr)->node;
    } else {
        error_propagate(errp, w->err);
    }
    root_work_free(w);
    return ok;
}

static bool local_open(FsExport *fs, const FsdevOptions *opts, Error **errp)
{
    const FsdevLocalOptions *o = &opts->u.local;
    LocalFs *lf;

    if (!fs_export_init(fs, opts, errp)) {
        return false;
    }
    lf = g_new0(LocalFs, 1);
    lf->fs = fs;
    lf->host.model = find_model(o->security_model);
    lf->host.fmode = FMODE_DEFAULT;
    lf->host.dmode = DMODE_DEFAULT;
    lf->writeout = o->has_writeout && o->writeout == FSDEV_WRITEOUT_IMMEDIATE;
    lf->handles.mount_fd = -1;
    lf->migration = fs->migration;

    host_pool_init();
    host_fds_add_export(fs);
    fs->priv = lf;
    if (!set_mode(o, "fmode", o->has_fmode, o->fmode, &lf->host.fmode, errp) ||
        !set_mode(o, "dmode", o->has_dmode, o->dmode, &lf->host.dmode, errp) ||
        !set_ids(lf, o, errp) ||
        !fs_export_parse_xattr_map(o->xattr_map, &fs->xattrs.map, errp) ||
        !open_root(&lf, o, errp)) {
        host_fds_remove_export(fs);
        fs_export_release(fs);
        fs->priv = NULL;
        if (lf) {
            local_fs_free(lf);
        }
        return false;
    }
    lf->now = lf->host;
    lf->now.host.at_once = true;
    return true;
}

static void local_close(FsExport *fs)
{
    LocalFs *lf = fs->priv;

    if (fs->root) {
        fs_node_unref(fs->root);
        fs->root = NULL;
    }
    local_close_directory(lf);
    host_fds_remove_export(fs);
    fs_export_release(fs);
    fs->priv = NULL;
    local_fs_free(lf);
}

static void local_query(FsExport *fs, FsdevInfo *info)
{
    info->descriptors = host_fds_info();
}

static HostFd *node_fd(FsNode *node)
{
    return &local_node(node)->path_fd;
}

static void local_detach(FsExport *fs)
{
    host_fds_leave(fs, node_fd);
}

static void local_enter(FsExport *fs)
{
    host_fds_enter(fs, node_fd);
}

static const FsDriver local_driver = {
    .type = FSDEV_DRIVER_LOCAL,
    .open = local_open,
    .close = local_close,
    .node_free = local_node_free,
    .file_free = local_file_free,
    .walk = local_walk,
    .getattr = local_getattr,
    .generation = local_generation,
    .setattr = local_setattr,
    .readlink = local_readlink,
    .statfs = local_statfs,
    .open_file = local_open_file,
    .create = local_create,
    .make = local_make,
    .link = local_link,
    .rename = local_rename,
    .unlink = local_unlink,
    .read = host_file_read,
    .write = host_file_write,
    .readdir = local_readdir,
    .fsync = host_file_fsync,
    .lock = host_file_lock,
    .getxattr = local_getxattr,
    .setxattr = local_setxattr,
    .removexattr = local_removexattr,
    .save_node = local_save_node,
    .restore_node = local_restore_node,
    .settle = host_file_settle,
    .query = local_query,
    .detach = local_detach,
    .enter = local_enter,
};

static void local_driver_init(void)
{
    fs_driver_register(&local_driver);
}
type_init(local_driver_init);
