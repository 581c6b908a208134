/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fragment: pieces for a file of libvirt (edits.toml). */

/* graft: private */
static virClass *qemuDomainFSPrivateClass;
static void qemuDomainFSPrivateDispose(void *obj);


static int
qemuDomainFSPrivateOnceInit(void)
{
    if (!VIR_CLASS_NEW(qemuDomainFSPrivate, virClassForObject()))
        return -1;

    return 0;
}

VIR_ONCE_GLOBAL_INIT(qemuDomainFSPrivate);


static virObject *
qemuDomainFSPrivateNew(void)
{
    if (qemuDomainFSPrivateInitialize() < 0)
        return NULL;

    return virObjectNew(qemuDomainFSPrivateClass);
}


static void
qemuDomainFSPrivateDispose(void *obj)
{
    qemuDomainFSPrivate *priv = obj;

    qemuFDPassDirectFree(priv->proxyfd);
    g_free(priv->proxysock);
    g_free(priv->proxybinary);
}

/* graft: new */
    .fsNew = qemuDomainFSPrivateNew,

/* graft: event */
        break;
    case QEMU_PROCESS_EVENT_FSDEV_HELPER:
        g_strfreev(event->data);
