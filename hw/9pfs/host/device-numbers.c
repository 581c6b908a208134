/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whether the host's file systems may wait: see device-numbers.h.
 *
 * A file system has a device number, and statfs(2) returns its type. That call
 * may itself have to ask a server, so it is made once for each mount: after the
 * last mount of a file system is gone, another one may get its number, but no
 * mount ever gets another one's unique id. Linux has these ids since 6.8. Older
 * kernels keep only the kinds that the export fixed.
 */
#include "qemu/osdep.h"
#include <linux/magic.h>
#include <sys/vfs.h>
#include "device-numbers.h"

/* Linux 6.8; the headers may be older */
#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE     0x4000
#endif

/* Mounts to remember; the export's own, and those that come and go below it */
#define MOUNTS_MAX      256

/* A mount of a file system. All of the same number have the same kind. */
typedef struct HostDev {
    uint64_t dev;
    uint64_t mount;             /* unique id, or 0 */
    HostDevKind kind;
    bool fixed;                 /* the number stays with this file system */
} HostDev;

/* statfs(2) f_type of file systems that may ask another machine or a process */
static const uint32_t remote_types[] = {
    0x6969,         /* NFS */
    0x517b,         /* SMB */
    0xff534d42,     /* CIFS */
    0xfe534d42,     /* SMB2 */
    0x00c36400,     /* Ceph */
    0x65735546,     /* FUSE */
    0x01021997,     /* 9p */
    0x5346414f,     /* AFS, of the kernel or OpenAFS */
    0x6b414653,
    0x73757245,     /* Coda */
    0x0bd00bd0,     /* Lustre */
    0x01161970,     /* GFS2 */
    0x7461636f,     /* OCFS2 */
    0x20030528,     /* OrangeFS */
    0x47504653,     /* GPFS */
    0x19830326,     /* BeeGFS */
    0xaad7aaea,     /* PanFS */
    0xbacbacbc,     /* VMware's shared folders */
    0x786f4256,     /* VirtualBox' */
    0x0187,         /* autofs */
    /* These stand on others, of any type. */
    0x794c7630,     /* overlay */
    0xf15f,         /* eCryptfs */
};

/* The same of file systems whose files are only in memory */
static const uint32_t memory_types[] = {
    TMPFS_MAGIC,
    RAMFS_MAGIC,
};

/* The same of file systems that keep the target of a short link in its inode */
static const uint32_t inode_link_types[] = {
    EXT4_SUPER_MAGIC,
    XFS_SUPER_MAGIC,
};

/* Bytes of such a target and its end, for which ext4 has room */
#define INODE_LINK_MAX  60

static bool is_one_of(uint32_t type, const uint32_t *types, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        if (types[i] == type) {
            return true;
        }
    }
    return false;
}

static HostDev *find_dev(const HostDevs *devs, uint64_t dev)
{
    unsigned i;

    for (i = 0; devs->known && i < devs->known->len; i++) {
        HostDev *d = &g_array_index(devs->known, HostDev, i);

        if (d->dev == dev) {
            return d;
        }
    }
    return NULL;
}

bool host_dev_known(const HostDevs *devs, uint64_t dev)
{
    return find_dev(devs, dev);
}

HostDevKind host_dev_kind(const HostDevs *devs, uint64_t dev)
{
    const HostDev *d = find_dev(devs, dev);

    return d ? d->kind : HOST_DEV_REMOTE;
}

HostWait host_dev_wait(const HostDevs *devs, uint64_t dev, HostWork work)
{
    HostDevKind kind = host_dev_kind(devs, dev);

    if (kind == HOST_DEV_REMOTE || work == HOST_WORK_ANY) {
        return HOST_WAIT_POOL;
    }
    if (work == HOST_WORK_LOOKUP) {
        return HOST_WAIT_TRY_FIRST;
    }
    return work == HOST_WORK_STAT || kind == HOST_DEV_MEMORY ?
           HOST_WAIT_NEVER : HOST_WAIT_POOL;
}

HostWait host_link_wait(const HostDevs *devs, uint64_t dev, int fd)
{
    HostWait wait = host_dev_wait(devs, dev, HOST_WORK_STAT);
    struct statfs fs;
    struct stat st;

    if (wait == HOST_WAIT_NEVER &&
        host_dev_kind(devs, dev) == HOST_DEV_STORAGE &&
        (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0 ||
         !is_one_of(fs.f_type, inode_link_types,
                    ARRAY_SIZE(inode_link_types)) ||
         st.st_size >= INODE_LINK_MAX || st.st_blocks != 0)) {
        wait = HOST_WAIT_POOL;
    }
    return wait;
}

int coroutine_fn host_run(uint64_t dev, HostWait wait, ThreadPoolFunc *func,
                          void *opaque)
{
    return wait == HOST_WAIT_NEVER ? func(opaque)
                                   : host_pool_run(dev, func, opaque);
}

static void add_dev(HostDevs *devs, const HostDev *d)
{
    if (!devs->known) {
        devs->known = g_array_new(false, false, sizeof(HostDev));
    }
    g_array_append_val(devs->known, *d);
}

/* Puts what is known of @dev right, if anything is. */
static void set_kind(HostDevs *devs, uint64_t dev, HostDevKind kind)
{
    unsigned i;

    for (i = 0; devs->known && i < devs->known->len; i++) {
        HostDev *d = &g_array_index(devs->known, HostDev, i);

        if (d->dev == dev) {
            d->kind = kind;
        }
    }
}

void host_dev_note(HostDevs *devs, uint64_t dev, HostDevKind kind)
{
    HostDev *known = find_dev(devs, dev);
    HostDev d = { .dev = dev, .kind = kind, .fixed = true };

    set_kind(devs, dev, kind);
    if (!known || !known->fixed) {
        host_pool_hold_dev(dev);
    }
    if (known) {
        known->fixed = true;
    } else {
        add_dev(devs, &d);
    }
}

static uint64_t unique_mount(int fd)
{
    struct statx stx;

    return statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
                 STATX_MNT_ID_UNIQUE, &stx) == 0 &&
           (stx.stx_mask & STATX_MNT_ID_UNIQUE) ? stx.stx_mnt_id : 0;
}

/* Whether the number stays with its file system, whatever the mount */
static bool is_fixed(const HostDevs *devs, uint64_t dev)
{
    unsigned i;

    for (i = 0; devs->known && i < devs->known->len; i++) {
        const HostDev *d = &g_array_index(devs->known, HostDev, i);

        if (d->dev == dev && d->fixed) {
            return true;
        }
    }
    return false;
}

/* Whether the kind of @dev is known for the mount with the unique id @mount */
static bool knows_mount(const HostDevs *devs, uint64_t dev, uint64_t mount)
{
    unsigned i;

    for (i = 0; devs->known && i < devs->known->len; i++) {
        const HostDev *d = &g_array_index(devs->known, HostDev, i);

        if (d->dev == dev && mount && d->mount == mount) {
            return true;
        }
    }
    return false;
}

bool host_dev_known_at(const HostDevs *devs, int fd, uint64_t dev)
{
    return is_fixed(devs, dev) || knows_mount(devs, dev, unique_mount(fd));
}

/* Forgets the mounts that are not fixed. */
static void forget_mounts(HostDevs *devs)
{
    unsigned i;

    for (i = devs->known->len; i-- > 0; ) {
        if (!g_array_index(devs->known, HostDev, i).fixed) {
            g_array_remove_index_fast(devs->known, i);
        }
    }
}

HostDevKind host_dev_ask(int fd)
{
    struct statfs st;

    if (fstatfs(fd, &st) < 0 ||
        is_one_of(st.f_type, remote_types, ARRAY_SIZE(remote_types))) {
        return HOST_DEV_REMOTE;
    }
    return is_one_of(st.f_type, memory_types, ARRAY_SIZE(memory_types))
           ? HOST_DEV_MEMORY : HOST_DEV_STORAGE;
}

static int kind_work(void *opaque)
{
    return host_dev_ask(GPOINTER_TO_INT(opaque));
}

void host_dev_set(HostDevs *devs, int fd, uint64_t dev)
{
    host_dev_note(devs, dev, host_dev_ask(fd));
}

HostDevKind coroutine_fn host_dev_learn(HostDevs *devs, int fd, uint64_t dev)
{
    HostDev d = { .dev = dev };

    if (is_fixed(devs, dev)) {
        return host_dev_kind(devs, dev);
    }
    d.mount = unique_mount(fd);
    if (!knows_mount(devs, dev, d.mount)) {
        /* Until it is known, other requests must not rely on what was. */
        set_kind(devs, dev, HOST_DEV_REMOTE);
        d.kind = host_pool_run_always(dev, kind_work, GINT_TO_POINTER(fd));
        set_kind(devs, dev, d.kind);
        if (devs->known && devs->known->len >= MOUNTS_MAX) {
            forget_mounts(devs);
        }
        if (d.mount ? !knows_mount(devs, dev, d.mount) : !find_dev(devs, dev)) {
            add_dev(devs, &d);
        }
    }
    return host_dev_kind(devs, dev);
}

void host_devs_destroy(HostDevs *devs)
{
    unsigned i;

    if (devs->known) {
        for (i = 0; i < devs->known->len; i++) {
            const HostDev *d = &g_array_index(devs->known, HostDev, i);

            if (d->fixed) {
                host_pool_release_dev(d->dev);
            }
        }
        g_array_free(devs->known, true);
        devs->known = NULL;
    }
}
