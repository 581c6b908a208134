/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The proxy driver with a helper of protocol version 1, such as Debian 12's.
 *
 * Theory of operation. Version 1 knows files by path. The driver finds a node
 * by its entry (fs/node.c), its directory's entry, and so on up to the root.
 * Each operation has the channel for itself until it is over, so no other
 * request of a guest changes a path under it: the operation builds the path
 * while it has the channel's slot, and brings the entries that it changes up to
 * date before the next operation gets the slot.
 *
 * The host may change names at any time. So an operation first asks for the
 * attributes at the path (LSTAT), and goes on only if they have the node's
 * device and inode number and type. Otherwise it tries the node's other names,
 * and then fails with ESTALE. A descriptor from the helper must be of that
 * inode as well. For operations by path the helper's kernel looks the path up
 * again; CHMOD and TRUNCATE would follow a symbolic link, so QEMU does not send
 * them for one. Between LSTAT and the next request the host could still put
 * another file there; that file is in the export in any case, because the
 * helper is in a chroot.
 *
 * QEMU does everything else on the descriptors of open files (host/file.c):
 * I/O, locks, reading directories, attributes, and, on writable ones, setting
 * the size. A node knows its open files. So QEMU can still read the attributes
 * of an open file without a name, and change or reopen the file as far as QEMU
 * itself may.
 *
 * Version 1 lacks:
 * - handles: an inode that has no name and is not open is gone (ESTALE), as is
 *   one that the host renamed; the driver does not notice that the host reused
 *   an inode number. Longer paths than PATH_MAX do not work (ENAMETOOLONG).
 * - the time of birth, except of open files; the generation likewise
 *   (GETVERSION would give it, but makes the helper open the file).
 * - extended attributes of more than 65534 bytes (E2BIG).
 * - an id map: descriptors of a helper in a user namespace show ids of the
 *   host. The driver notices the difference, and then asks the helper by path.
 * - several requests at once, donated O_PATH descriptors (donate=on does
 *   nothing), reconnection.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/9pfs/host/file.h"
#include "hw/9pfs/host/fd-budget.h"
#include "codec.h"
#include "node.h"
#include "proxy-v1.h"

static void proxy_v1_detach(FsExport *fs)
{
    ProxyV1Fs *ps = fs->priv;

    proxy_link_detach(ps->link);
    host_fds_leave(fs, NULL);
}

static void proxy_v1_enter(FsExport *fs)
{
    host_fds_enter(fs, NULL);
}

static void proxy_v1_attach(FsExport *fs)
{
    ProxyV1Fs *ps = fs->priv;

    proxy_link_attach(ps->link);
}

static void proxy_v1_close(FsExport *fs)
{
    ProxyV1Fs *ps = fs->priv;

    if (fs->root) {
        fs_node_unref(fs->root);
        fs->root = NULL;
    }
    proxy_link_free(ps->link);
    host_devs_destroy(&ps->devs);
    g_free(ps);
    fs->priv = NULL;
    host_fds_remove_export(fs);
    fs_export_release(fs);
}

static void proxy_v1_query(FsExport *fs, FsdevInfo *info)
{
    ProxyV1Fs *ps = fs->priv;
    FsdevHelperInfo *helper = g_new0(FsdevHelperInfo, 1);

    helper->connection = proxy_channel_broken(proxy_link_channel(ps->link))
        ? FSDEV_CONNECTION_LOST : FSDEV_CONNECTION_CONNECTED;
    helper->protocol = 1;
    info->helper = helper;
    info->descriptors = host_fds_info();
}

static pid_t proxy_v1_process(FsExport *fs)
{
    ProxyV1Fs *ps = fs->priv;

    return proxy_link_process(ps->link);
}

/* Not registered: proxy_v1_open_export() replaces proxy_driver with it. */
static const FsDriver proxy_v1_driver = {
    .type = FSDEV_DRIVER_PROXY,
    .close = proxy_v1_close,
    .node_free = proxy_v1_node_free,
    .file_free = proxy_v1_file_free,
    .walk = proxy_v1_walk,
    .getattr = proxy_v1_getattr,
    .generation = proxy_v1_generation,
    .setattr = proxy_v1_setattr,
    .readlink = proxy_v1_get_target,
    .statfs = proxy_v1_get_statfs,
    .open_file = proxy_v1_open_file,
    .create = proxy_v1_create_file,
    .make = proxy_v1_make_node,
    .link = proxy_v1_link,
    .rename = proxy_v1_rename,
    .unlink = proxy_v1_unlink,
    .read = host_file_read,
    .write = host_file_write,
    .readdir = host_file_readdir,
    .fsync = host_file_fsync,
    .lock = host_file_lock,
    .getxattr = proxy_v1_get_xattr,
    .setxattr = proxy_v1_set_xattr,
    .removexattr = proxy_v1_remove_xattr,
    .why_not_saved = "has a helper that speaks only protocol version 1",
    .query = proxy_v1_query,
    .helper_process = proxy_v1_process,
    .detach = proxy_v1_detach,
    .enter = proxy_v1_enter,
    .attach = proxy_v1_attach,
};

int proxy_v1_version(const FsdevProxyOptions *opts, ProxyChannel *channel,
                     Error **errp)
{
    if (opts->has_protocol) {
        return opts->protocol;  /* proxy_launch() has checked it */
    }
    /* No need to ask the helper that comes with this QEMU. */
    if (HOST_BIG_ENDIAN || (opts->path && !opts->helper)) {
        return 2;
    }
    return proxy_v1_probe(channel, errp);
}

static bool check_options(const FsdevProxyOptions *opts, Error **errp)
{
    if (opts->has_ring && opts->ring == ON_OFF_AUTO_ON) {
        error_setg(errp, "ring=on: there is no ring in protocol version 1");
        return false;
    }
    if (opts->reconnect) {
        error_setg(errp, "reconnect '%" PRIu32 "': the helper speaks protocol "
                   "version 1, which cannot reconnect", opts->reconnect);
        return false;
    }
    return true;
}

bool proxy_v1_greet_export(const FsdevProxyOptions *opts,
                           ProxyChannel *channel, Error **errp)
{
    return check_options(opts, errp) && proxy_v1_greet(channel, errp);
}

void proxy_v1_open_export(FsExport *fs, const FsdevProxyOptions *opts,
                          ProxyPeer *peer, ProxyChannel *channel)
{
    const FsAttr *root = &proxy_channel_hello(channel)->root;
    const ProxyWanted wanted = { .readonly = fs->readonly };
    ProxyV1Fs *ps;

    proxy_channel_serve(channel);
    ps = g_new0(ProxyV1Fs, 1);
    ps->link = proxy_link_new(fs, opts, &wanted, peer, channel, NULL);
    ps->writeout = opts->has_writeout &&
                   opts->writeout == FSDEV_WRITEOUT_IMMEDIATE;
    fs->priv = ps;
    fs->driver = &proxy_v1_driver;
    fs->root = proxy_v1_node_new(fs, root);
}
