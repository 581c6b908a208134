/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fragment: pieces for a file of libvirt (edits.toml). */

/* graft: private */
};


#define QEMU_DOMAIN_FS_PRIVATE(dev) \
    ((qemuDomainFSPrivate *) (dev)->privateData)

typedef struct _qemuDomainFSPrivate qemuDomainFSPrivate;
struct _qemuDomainFSPrivate {
    virObject parent;

    /* How a QEMU that starts reaches the helper of driver 'proxy': by one end
     * of a pair of sockets, or by a socket on which the helper listens */
    qemuFDPassDirect *proxyfd;
    char *proxysock;

    char *proxybinary; /* the helper, if the domain does not name it */

    /* Of qemu_virtfs_restart.c */
    bool proxylook; /* a look at the helper is due, or under way */
    bool proxyagain; /* and another one after it */
    bool proxylost; /* QEMU has no helper */
    bool proxyfailed; /* the domain's log has why there is no next one */
    unsigned long long proxytried; /* when the last one was started again */
    int proxydelay; /* in milliseconds, before the next look or start */

/* graft: event */
    QEMU_PROCESS_EVENT_FSDEV_HELPER,
