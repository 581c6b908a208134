/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The option groups "fsdev" and "virtfs".
 *
 * The options -fsdev and -virtfs do not use them. The groups are for management
 * software, which asks query-command-line-options for the keys of the options,
 * and for the sections of these names in a file of -readconfig. FsdevOptions
 * decides which keys go with which driver (options.c).
 */
#include "qemu/osdep.h"
#include "qemu/config-file.h"
#include "qemu/module.h"
#include "qemu/option.h"

#define STRING(key, text) { .name = key, .type = QEMU_OPT_STRING, .help = text }
#define NUMBER(key, text) { .name = key, .type = QEMU_OPT_NUMBER, .help = text }
#define BOOL(key, text)   { .name = key, .type = QEMU_OPT_BOOL, .help = text }
#define SIZE(key, text)   { .name = key, .type = QEMU_OPT_SIZE, .help = text }

#define LIMIT(what, unit)                                               \
    NUMBER("throttling." what, "limit in " unit " per second"),         \
    NUMBER("throttling." what "-max",                                   \
           "limit in bursts, in " unit " per second"),                  \
    NUMBER("throttling." what "-max-length", "length of bursts in seconds")

/* The keys of all drivers, without the id */
#define FSDEV_KEYS                                                      \
    STRING("fsdriver", "local, proxy or synth"),                        \
    STRING("path", "directory to export"),                              \
    STRING("security_model", "how local keeps owners and modes"),       \
    STRING("writeout", "immediate"),                                    \
    STRING("multidevs", "remap, warn or forbid"),                       \
    STRING("socket", "file name of the helper's socket"),               \
    STRING("sock_fd", "descriptor of a socket to the helper"),          \
    STRING("helper", "program to start as helper"),                     \
    NUMBER("protocol", "version that the helper speaks, 1 or 2"),       \
    BOOL("donate", "the helper may pass descriptors to QEMU"),             \
    STRING("ring", "on, off or auto: messages through shared memory"),  \
    STRING("on-disconnect", "eio or wait, without a helper"),    \
    NUMBER("reconnect", "seconds between attempts to reconnect"), \
    STRING("user", "user that the helper serves as"),                        \
    STRING("group", "group that the helper serves as"),                      \
    STRING("modcaps", "changes of the helper's capabilities"),               \
    STRING("uid-map", "ranges of user ids in the guest and on the host"),    \
    STRING("gid-map", "ranges of group ids"),                                \
    STRING("squash", "root or all: the guest's ids that are one on the host"), \
    NUMBER("anon-uid", "user id of the host for these"),                     \
    NUMBER("anon-gid", "group id of the host for these"),                    \
    STRING("translate-uid", "ranges of user ids that differ on the host"),   \
    STRING("translate-gid", "ranges of group ids"),                          \
    STRING("special-files", "host or mapped: the guest's devices"),          \
    STRING("xattr-map", "rules that map names of extended attributes"),      \
    STRING("act-as", "self, root or guest: the helper's user for files"),    \
    BOOL("host-groups", "the guest's users have their host's groups"),       \
    STRING("sandbox", "namespace, chroot or none, for the helper"),          \
    STRING("seccomp", "kill, trap, log or none, for the helper"),            \
    NUMBER("threads", "requests that the helper works on at a time"),        \
    NUMBER("rlimit-nofile", "files that the helper may have open"),          \
    SIZE("memory-limit", "memory that the helper may use"),                  \
    STRING("log-level", "error, warning, info or debug, for the helper"),    \
    BOOL("syslog", "the helper logs to syslog"),                             \
    BOOL("readonly", "refuse every change by the guest"),               \
    NUMBER("fmode", "host's mode of new files"),                        \
    NUMBER("dmode", "host's mode of new directories"),                  \
    NUMBER("max_xattr", "xattrs that a guest may have open at once"),        \
    NUMBER("max-open-files", "files that a guest may have open at once"),    \
    NUMBER("max-fids", "files that a guest may know at once"),               \
    STRING("migration", "off, names, handles or auto"),                      \
    STRING("on-missing", "fail or stale, after a migration"),                \
    LIMIT("bps-total", "bytes"),                                        \
    LIMIT("bps-read", "bytes"),                                         \
    LIMIT("bps-write", "bytes"),                                        \
    LIMIT("iops-total", "requests"),                                    \
    LIMIT("iops-read", "requests"),                                     \
    LIMIT("iops-write", "requests"),                                    \
    NUMBER("throttling.iops-size", "bytes that count as one request")

static QemuOptsList fsdev_group = {
    .name = "fsdev",
    .implied_opt_name = "fsdriver",
    .head = QTAILQ_HEAD_INITIALIZER(fsdev_group.head),
    .desc = { FSDEV_KEYS, { /* end */ } },
};

static QemuOptsList virtfs_group = {
    .name = "virtfs",
    .implied_opt_name = "fsdriver",
    .head = QTAILQ_HEAD_INITIALIZER(virtfs_group.head),
    .desc = {
        FSDEV_KEYS,
        STRING("mount_tag", "name by which the guest mounts it"),
        { /* end */ },
    },
};

static void fsdev_config_init(void)
{
    qemu_add_opts(&fsdev_group);
    qemu_add_opts(&virtfs_group);
}
opts_init(fsdev_config_init);
