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

    bool proxylook; /* libvirt looks at the helper soon */

/* graft: event */
    QEMU_PROCESS_EVENT_FSDEV_HELPER,
