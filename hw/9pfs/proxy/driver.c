/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The proxy driver: a host directory through virtfs-proxy-helper, a process
 * that holds the privilege to act on it.
 *
 * Theory of operation. A node is a handle of the helper's and, mostly, an
 * O_PATH descriptor (node.h). Once there is a descriptor, QEMU does without a
 * message whatever needs no privilege and does not wait: attributes, link
 * targets and statfs (attr.c), names that the kernel has in its cache (find.c),
 * and, on file systems in memory, opening files (files.c) and most extended
 * attributes (attr.c). QEMU also does I/O on open files (host/file.c), but for
 * writes to files with set-id bits (write.c).
 * Everything else is one message and its reply, laid out in
 * fsdev/shared/proto.h. A node without a descriptor needs messages for
 * everything.
 *
 * This file has the export: it opens it, closes it, and describes it.
 */
#include "qemu/osdep.h"
#include "block/aio.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "hw/9pfs/host/file.h"
#include "hw/9pfs/proxy-v1/proxy-v1.h"
#include "launch.h"
#include "ops.h"

/*
 * Whether migrations bring file handles: if the helper finds inodes by them,
 * and QEMU has descriptors, which lead to them
 */
static void file_handles_take(FsExport *fs, const ProxyHello *hello)
{
    ProxyFs *ps = fs->priv;
    bool wanted = fs->migration == FSDEV_MIGRATION_HANDLES ||
                  fs->migration == FSDEV_MIGRATION_AUTO;

    ps->mount_id = hello->root_fd < 0 ? -1 : file_handle_mount(hello->root_fd);
    ps->file_handles = wanted && ps->mount_id >= 0 &&
                       (hello->features & PROXY_FEATURE_FIND);
}

/*
 * Gives the root its handle and descriptor from the helper's HELLO, and the
 * export what the helper serves.
 */
static void root_take(FsExport *fs, ProxyNode *root, ProxyHello *hello)
{
    ProxyFs *ps = fs->priv;
    HostPlace at;

    fs->xattrs.file_caps = hello->features & PROXY_FEATURE_FILE_CAPS;
    fs->xattrs.others = hello->features & PROXY_FEATURE_XATTR_MAP;
    ps->maps_devices = hello->features & PROXY_FEATURE_MAPS_DEVICES;
    file_handles_take(fs, hello);
    ps->mount = 0;
    if (hello->root_fd >= 0 && hostfs_place(hello->root_fd, &at) == 0 &&
        (hello->features & PROXY_FEATURE_ADOPT)) {
        ps->mount = at.mount;
    }
    if (hello->root_fd >= 0 && !root->path_fd.pins) {
        host_fd_drop(&root->path_fd);   /* an earlier helper's */
    }
    proxy_node_take_fd(root, hello->root_fd, &hello->root);
    hello->root_fd = -1;
    root->handle = PROXY_ROOT_HANDLE;
    root->helper_epoch = proxy_link_epoch(ps->link);
    ps->handles = 1;
}

/* @kind: of the root's file system */
static void proxy_open_root(FsExport *fs, HostDevKind kind)
{
    ProxyFs *ps = fs->priv;
    ProxyHello *hello = proxy_channel_hello(proxy_link_channel(ps->link));
    ProxyNode *root = proxy_node_new(fs, &hello->root);

    root_take(fs, root, hello);
    if (root->path_fd.fd >= 0) {
        host_dev_note(&ps->devs, root->node.dev, kind);
    }
    fs->root = &root->node;
}

/* migration=handles, of a helper that has answered in protocol @version */
static bool check_helper_handles(const FsExport *fs, int version,
                                 const ProxyHello *hello, Error **errp)
{
    if (fs->migration == FSDEV_MIGRATION_HANDLES &&
        (version == 1 || !(hello->features & PROXY_FEATURE_FIND))) {
        error_setg(errp, "migration=handles: the helper does not open file "
                   "handles, for which root starts it with --file-handles=on");
        return false;
    }
    return true;
}

/* ProxyReconnected: another helper must serve the same directory. */
static bool proxy_reconnected(FsExport *fs, ProxyHello *hello, Error **errp)
{
    ProxyFs *ps = fs->priv;
    ProxyNode *root = proxy_node(fs->root);

    if (hello->root.dev != fs->root->dev || hello->root.ino != fs->root->ino) {
        error_setg(errp, "the helper now serves a different directory "
                   "(device %" PRIu64 ", inode %" PRIu64 ", instead of %"
                   PRIu64 ", %" PRIu64 ")",
                   hello->root.dev, hello->root.ino,
                   fs->root->dev, fs->root->ino);
        return false;
    }
    if (!check_helper_handles(fs, PROXY_VERSION, hello, errp)) {
        return false;
    }
    if (hello->features & PROXY_FEATURE_READONLY) {
        fs->readonly = true;
    }
    root_take(fs, root, hello);
    ps->handles_max = 0;
    return true;
}

/* Undoes a failed open: @channel and @peer may be NULL. */
static bool open_failed(FsExport *fs, ProxyChannel *channel, ProxyPeer *peer,
                        Error **errp)
{
    bool told = channel && proxy_channel_told(channel);

    if (channel) {
        proxy_channel_free(channel);
    }
    if (peer) {
        proxy_launch_failed(peer, told, errp);
    }
    host_fds_remove_export(fs);
    fs_export_release(fs);
    return false;
}

typedef struct Greeting {
    const FsdevProxyOptions *opts;
    ProxyChannel *channel;
    int version;
    HostDevKind kind;           /* of the root's file system */
    bool ok;
    Error *err;
} Greeting;

/* The conversation before the channel serves, in any thread */
static int greet_work(void *opaque)
{
    Greeting *g = opaque;
    const FsdevProxyOptions *o = g->opts;
    int root;

    g->version = proxy_v1_version(o, g->channel, &g->err);
    if (g->version == 1) {
        g->ok = proxy_v1_greet_export(o, g->channel, &g->err);
    } else if (g->version > 0) {
        g->ok = proxy_channel_greet(g->channel, !o->has_donate || o->donate,
                                    o->has_ring ? o->ring : ON_OFF_AUTO_AUTO,
                                    &g->err);
        root = g->ok ? proxy_channel_hello(g->channel)->root_fd : -1;
        g->kind = root < 0 ? HOST_DEV_REMOTE : host_dev_ask(root);
    }
    return 0;
}

/* FsExport.hurry */
static void greet_hurry(void *opaque)
{
    proxy_channel_hurry(opaque);
}

/* The same, when no helper has been asked yet */
static bool check_handles(const FsExport *fs, const FsdevProxyOptions *o,
                          Error **errp)
{
    if (fs->migration == FSDEV_MIGRATION_HANDLES &&
        o->has_protocol && o->protocol == 1) {
        error_setg(errp, "migration=handles: not with protocol=1");
        return false;
    }
    if (fs->migration == FSDEV_MIGRATION_HANDLES &&
        o->has_donate && !o->donate) {
        error_setg(errp, "migration=handles: not with donate=off");
        return false;
    }
    return true;
}

static bool proxy_open(FsExport *fs, const FsdevOptions *opts, Error **errp)
{
    ERRP_GUARD();
    const FsdevProxyOptions *o = &opts->u.proxy;
    const ProxyWanted wanted = {
        .readonly = opts->has_readonly && opts->readonly,
        /*
         * With auto, the helper keeps its narrower rights: the option lets it
         * reach files outside the export if an attacker takes it over.
         */
        .file_handles = fs->migration == FSDEV_MIGRATION_HANDLES,
    };
    Greeting g = { .opts = o };
    ProxyFs *ps;
    ProxyPeer *peer;
    ProxyChannel *channel;
    int sock;

    if (!check_handles(fs, o, errp) || !fs_export_init(fs, opts, errp)) {
        return false;
    }
    host_pool_init();
    host_fds_add_export(fs);
    peer = proxy_launch(fs->id, o, &wanted, &sock, errp);
    if (!peer) {
        return open_failed(fs, NULL, NULL, errp);
    }
    channel = proxy_channel_prepare(qemu_get_aio_context(), fs->id, sock);
    g.channel = channel;
    fs->hurry = greet_hurry;
    fs->hurry_opaque = channel;
    if (fs->hurried) {
        greet_hurry(channel);
    }
    proxy_launch_run(greet_work, &g);
    fs->hurry = NULL;
    if (g.ok) {
        g.ok = check_helper_handles(fs, g.version,
                                    proxy_channel_hello(channel), &g.err);
    }
    if (!g.ok) {
        error_propagate(errp, g.err);
        return open_failed(fs, channel, peer, errp);
    }
    if (g.version == 1) {
        proxy_v1_open_export(fs, o, peer, channel);
        return true;
    }
    proxy_channel_serve(channel);

    ps = g_new0(ProxyFs, 1);
    QTAILQ_INIT(&ps->idle);
    ps->link = proxy_link_new(fs, o, &wanted, peer, channel,
                              proxy_reconnected);
    ps->writeout = o->has_writeout && o->writeout == FSDEV_WRITEOUT_IMMEDIATE;
    fs->priv = ps;
    if (proxy_channel_hello(channel)->features & PROXY_FEATURE_READONLY) {
        fs->readonly = true;
    }
    proxy_open_root(fs, g.kind);
    return true;
}

static void proxy_close(FsExport *fs)
{
    ProxyFs *ps = fs->priv;

    host_devs_destroy(&ps->devs);
    if (fs->root) {
        fs_node_unref(fs->root);
        fs->root = NULL;
    }
    proxy_link_free(ps->link);
    g_free(ps);
    fs->priv = NULL;
    host_fds_remove_export(fs);
    fs_export_release(fs);
}

static void add_feature(FsdevHelperInfo *helper, FsdevHelperFeature feature)
{
    QAPI_LIST_PREPEND(helper->features, feature);
}

static void proxy_query(FsExport *fs, FsdevInfo *info)
{
    ProxyFs *ps = fs->priv;
    ProxyChannel *channel = proxy_link_channel(ps->link);
    const ProxyHello *hello = proxy_channel_hello(channel);
    FsdevHelperInfo *helper = g_new0(FsdevHelperInfo, 1);

    helper->connection = proxy_channel_broken(channel)
        ? FSDEV_CONNECTION_LOST : FSDEV_CONNECTION_CONNECTED;
    helper->has_pid = true;
    helper->pid = hello->pid;
    helper->protocol = PROXY_VERSION;
    if (hello->n_uids || hello->n_gids) {
        add_feature(helper, FSDEV_HELPER_FEATURE_ID_MAP);
    }
    if (hello->ring) {
        add_feature(helper, FSDEV_HELPER_FEATURE_RING);
    }
    if (hello->donates) {
        add_feature(helper, FSDEV_HELPER_FEATURE_DONATE);
    }
    if (ps->mount) {
        add_feature(helper, FSDEV_HELPER_FEATURE_ADOPT);
    }
    if (hello->features & PROXY_FEATURE_READONLY) {
        add_feature(helper, FSDEV_HELPER_FEATURE_READONLY);
    }
    if (hello->features & PROXY_FEATURE_FILE_CAPS) {
        add_feature(helper, FSDEV_HELPER_FEATURE_FILE_CAPS);
    }
    if (hello->features & PROXY_FEATURE_USERS) {
        add_feature(helper, FSDEV_HELPER_FEATURE_USERS);
    }
    if (hello->features & PROXY_FEATURE_XATTR_MAP) {
        add_feature(helper, FSDEV_HELPER_FEATURE_XATTR_MAP);
    }
    if (hello->features & PROXY_FEATURE_MAPS_DEVICES) {
        add_feature(helper, FSDEV_HELPER_FEATURE_MAPPED_SPECIAL_FILES);
    }
    if (hello->features & PROXY_FEATURE_FIND) {
        add_feature(helper, FSDEV_HELPER_FEATURE_FILE_HANDLES);
    }
    info->helper = helper;
    info->descriptors = host_fds_info();
}

static pid_t proxy_process(FsExport *fs)
{
    ProxyFs *ps = fs->priv;

    return proxy_link_process(ps->link);
}

static HostFd *proxy_node_path_fd(FsNode *node)
{
    return &proxy_node(node)->path_fd;
}

static void proxy_detach(FsExport *fs)
{
    ProxyFs *ps = fs->priv;

    proxy_link_detach(ps->link);
    host_fds_leave(fs, proxy_node_path_fd);
}

static void proxy_enter(FsExport *fs)
{
    host_fds_enter(fs, proxy_node_path_fd);
}

static void proxy_attach(FsExport *fs)
{
    ProxyFs *ps = fs->priv;

    proxy_link_attach(ps->link);
}

static const FsDriver proxy_driver = {
    .type = FSDEV_DRIVER_PROXY,
    .open = proxy_open,
    .close = proxy_close,
    .node_free = proxy_node_free,
    .file_free = proxy_file_free,
    .walk = proxy_walk,
    .getattr = proxy_getattr,
    .generation = proxy_generation,
    .setattr = proxy_setattr,
    .readlink = proxy_readlink,
    .statfs = proxy_statfs,
    .open_file = proxy_open_file,
    .create = proxy_create,
    .make = proxy_make,
    .link = proxy_link,
    .rename = proxy_rename,
    .unlink = proxy_unlink,
    .read = host_file_read,
    .write = proxy_write,
    .readdir = host_file_readdir,
    .fsync = host_file_fsync,
    .lock = host_file_lock,
    .getxattr = proxy_getxattr,
    .setxattr = proxy_setxattr,
    .removexattr = proxy_removexattr,
    .save_node = proxy_save_node,
    .restore_node = proxy_restore_node,
    .settle = host_file_settle,
    .query = proxy_query,
    .helper_process = proxy_process,
    .detach = proxy_detach,
    .enter = proxy_enter,
    .attach = proxy_attach,
};

static void proxy_driver_init(void)
{
    fs_driver_register(&proxy_driver);
}
type_init(proxy_driver_init);
