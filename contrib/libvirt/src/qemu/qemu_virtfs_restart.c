/*
 * qemu_virtfs_restart.c: helpers of filesystems with driver 'proxy' that die
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * QEMU tells when it has lost a helper, and when it has found one again. If the
 * filesystem has persist='on', libvirt starts the next helper in between.
 *
 * This takes as long as the export's file system does. So neither the thread
 * for QEMU's events, of which there is one for all domains, nor the event loop
 * does it: a timer starts a thread for a look at one helper. If the helper does
 * not run, the thread starts it, and has the domain locked only before and
 * after the helper gets ready.
 *
 * A look has no job. A domain that waits for a migration has none to give
 * away, another one can keep its job for long, and QEMU sends its event once.
 * So the domain may end, or the filesystem be detached, whenever the domain is
 * not locked. The private data of the filesystem, of which a look has a
 * reference, tell whether it is still there: no other one has the same.
 *
 * There is one look at a helper at a time. Looks go on until QEMU has found the
 * helper. The delay between them grows, also between the starts of helpers that
 * die soon.
 */

#include <config.h>

#include "qemu_command.h"
#include "qemu_domain.h"
#include "qemu_virtfs_proxy.h"
#include "qemu_virtfs_restart.h"
#include "virerror.h"
#include "virlog.h"
#include "virthread.h"
#include "virtime.h"

#define VIR_FROM_THIS VIR_FROM_QEMU

VIR_LOG_INIT("qemu.virtfs_restart");

/* Milliseconds from one look at a helper to the next, at first and at most. At
 * first, the helper gets that time to end: the process with the connection
 * ends before the one with the PID file, and QEMU reports only the first. */
#define QEMU_VIRTFS_RESTART_DELAY 1000
#define QEMU_VIRTFS_RESTART_DELAY_MAX (60 * 1000)

/* A helper that dies more than this many milliseconds after its start is
 * replaced without a delay. */
#define QEMU_VIRTFS_RESTART_LONG (2 * QEMU_VIRTFS_RESTART_DELAY_MAX)

/* Milliseconds that libvirtd waits for threads before it ends */
#define QEMU_VIRTFS_RESTART_END (10 * 1000)

/* Threads that look at a helper */
static int qemuVirtFSRestartThreads;

/* A look at a helper, now or later */
typedef struct _qemuVirtFSLook qemuVirtFSLook;
struct _qemuVirtFSLook {
    virDomainObj *vm;
    qemuDomainFSPrivate *fspriv;
};


static qemuVirtFSLook *
qemuVirtFSLookNew(virDomainObj *vm,
                  qemuDomainFSPrivate *fspriv)
{
    qemuVirtFSLook *look = g_new0(qemuVirtFSLook, 1);

    look->vm = virObjectRef(vm);
    look->fspriv = virObjectRef(fspriv);
    return look;
}


static void
qemuVirtFSLookFree(void *opaque)
{
    qemuVirtFSLook *look = opaque;

    virObjectUnref(look->vm);
    virObjectUnref(look->fspriv);
    g_free(look);
}


static unsigned long long
qemuVirtFSRestartNow(void)
{
    return g_get_monotonic_time() / 1000;
}


/* The delay before the next look or start, which is longer than the one before */
static int
qemuVirtFSRestartDelay(qemuDomainFSPrivate *fspriv)
{
    fspriv->proxydelay = MAX(QEMU_VIRTFS_RESTART_DELAY,
                             MIN(2 * fspriv->proxydelay,
                                 QEMU_VIRTFS_RESTART_DELAY_MAX));
    return fspriv->proxydelay;
}


/* How many milliseconds must go by before the next start */
static int
qemuVirtFSRestartLeft(qemuDomainFSPrivate *fspriv)
{
    unsigned long long since = qemuVirtFSRestartNow() - fspriv->proxytried;

    if (fspriv->proxytried == 0 || since > QEMU_VIRTFS_RESTART_LONG) {
        fspriv->proxydelay = 0;
        return 0;
    }

    return since < fspriv->proxydelay ? fspriv->proxydelay - since : 0;
}


static void
qemuVirtFSLookThread(void *opaque);


/* The timer goes on until there is a thread. */
static void
qemuVirtFSLookTimer(int timer,
                    void *opaque)
{
    qemuVirtFSLook *due = opaque;
    qemuVirtFSLook *look;
    virThread thread;

    if (qemuVirtFSProxyEnding()) {
        virEventRemoveTimeout(timer);
        return;
    }

    look = qemuVirtFSLookNew(due->vm, due->fspriv);
    g_atomic_int_inc(&qemuVirtFSRestartThreads);

    if (virThreadCreateFull(&thread, false, qemuVirtFSLookThread,
                            "virtfs-proxy", false, look) < 0) {
        VIR_WARN("Cannot create a thread that looks at a filesystem's helper");
        ignore_value(g_atomic_int_dec_and_test(&qemuVirtFSRestartThreads));
        qemuVirtFSLookFree(look);
        virEventUpdateTimeout(timer, QEMU_VIRTFS_RESTART_DELAY);
        return;
    }

    virEventRemoveTimeout(timer);
}


/* Looks at the helper of @fs in @delay milliseconds. If a look is due, that
 * one is enough; if one is under way, another one follows. */
static void
qemuVirtFSLookLater(virDomainObj *vm,
                    virDomainFSDef *fs,
                    int delay)
{
    qemuDomainFSPrivate *fspriv = QEMU_DOMAIN_FS_PRIVATE(fs);
    qemuVirtFSLook *look;

    if (fspriv->proxylook) {
        fspriv->proxyagain = true;
        return;
    }

    look = qemuVirtFSLookNew(vm, fspriv);
    if (virEventAddTimeout(delay, qemuVirtFSLookTimer, look,
                           qemuVirtFSLookFree) < 0) {
        VIR_WARN("Cannot look at the helper of filesystem '%s' of domain '%s' later",
                 fs->dst, vm->def->name);
        qemuVirtFSLookFree(look);
        return;
    }

    fspriv->proxylook = true;
    fspriv->proxyagain = false;
}


/* The first failure after a success is reported. */
static void
qemuVirtFSRestartReport(virQEMUDriver *driver,
                        virDomainObj *vm,
                        virDomainFSDef *fs,
                        const char *why)
{
    qemuDomainFSPrivate *fspriv = QEMU_DOMAIN_FS_PRIVATE(fs);
    g_autofree char *now = virTimeStringNow();

    if (fspriv->proxyfailed)
        return;

    fspriv->proxyfailed = true;
    VIR_WARN("Cannot start the helper of filesystem '%s' of domain '%s' again: %s",
             fs->dst, vm->def->name, why);
    qemuDomainLogAppendMessage(driver, vm,
                               _("%1$s: filesystem '%2$s': cannot start the helper again: %3$s\n"),
                               NULLSTR(now), fs->dst, why);
}


/* Starts the helper of @fs again. @vm is unlocked in the meantime, and @fs may
 * be gone after that. Returns it if not. */
static virDomainFSDef *
qemuVirtFSRestart(virQEMUDriver *driver,
                  virDomainObj *vm,
                  virDomainFSDef *fs)
{
    qemuDomainFSPrivate *fspriv = QEMU_DOMAIN_FS_PRIVATE(fs);
    int rc = qemuVirtFSProxyRestart(driver, vm, fs);
    g_autofree char *why = rc < 0 ? g_strdup(virGetLastErrorMessage()) : NULL;

    virResetLastError();
    fspriv->proxytried = qemuVirtFSRestartNow();

    if (!(fs = qemuVirtFSProxyFind(vm, fspriv)))
        return NULL;

    if (rc < 0)
        qemuVirtFSRestartReport(driver, vm, fs, why);
    else
        fspriv->proxyfailed = false;

    return fs;
}


/* Looks at the helper of @fs, and starts it if it does not run. */
static void
qemuVirtFSLookAt(virQEMUDriver *driver,
                 virDomainObj *vm,
                 virDomainFSDef *fs)
{
    qemuDomainObjPrivate *priv = vm->privateData;
    qemuDomainFSPrivate *fspriv = QEMU_DOMAIN_FS_PRIVATE(fs);
    int left = 0;

    /* It may go on if it cannot be ended. */
    if (!priv->beingDestroyed && !qemuVirtFSProxyRuns(vm, fs)) {
        fspriv->proxylost = true;

        if ((left = qemuVirtFSRestartLeft(fspriv)) == 0 &&
            !(fs = qemuVirtFSRestart(driver, vm, fs)))
            return;
    }

    fspriv->proxylook = false;

    if (left > 0)
        qemuVirtFSLookLater(vm, fs, left);
    else if (fspriv->proxylost || fspriv->proxyagain || priv->beingDestroyed)
        qemuVirtFSLookLater(vm, fs, qemuVirtFSRestartDelay(fspriv));
}


static void
qemuVirtFSLookThread(void *opaque)
{
    qemuVirtFSLook *look = opaque;
    virDomainFSDef *fs;

    virObjectLock(look->vm);

    if (!qemuVirtFSProxyEnding() &&
        (fs = qemuVirtFSProxyFind(look->vm, look->fspriv)))
        qemuVirtFSLookAt(QEMU_DOMAIN_PRIVATE(look->vm)->driver, look->vm, fs);

    virObjectUnlock(look->vm);
    qemuVirtFSLookFree(look);
    ignore_value(g_atomic_int_dec_and_test(&qemuVirtFSRestartThreads));
}


/* The filesystem whose fsdev has @id */
static virDomainFSDef *
qemuVirtFSRestartFind(virDomainObj *vm,
                      const char *id)
{
    const char *alias = STRSKIP(id, QEMU_FSDEV_HOST_PREFIX);
    size_t i;

    for (i = 0; alias && i < vm->def->nfss; i++) {
        virDomainFSDef *fs = vm->def->fss[i];

        if (fs->fsdriver == VIR_DOMAIN_FS_DRIVER_TYPE_PROXY &&
            STREQ_NULLABLE(fs->info.alias, alias))
            return fs;
    }

    return NULL;
}


void
qemuVirtFSRestartHandleEvent(virQEMUDriver *driver,
                             virDomainObj *vm,
                             const char *id,
                             const char *reason)
{
    g_autofree char *now = virTimeStringNow();
    virDomainFSDef *fs = qemuVirtFSRestartFind(vm, id);

    if (!fs)
        return;                 /* not one of libvirt's, or detached */

    QEMU_DOMAIN_FS_PRIVATE(fs)->proxylost = reason != NULL;

    if (!reason) {
        qemuDomainLogAppendMessage(driver, vm,
                                   _("%1$s: filesystem '%2$s': found a helper again\n"),
                                   NULLSTR(now), fs->dst);
        return;
    }

    VIR_WARN("QEMU has lost the helper of filesystem '%s' of domain '%s': %s",
             fs->dst, vm->def->name, reason);
    qemuDomainLogAppendMessage(driver, vm,
                               _("%1$s: filesystem '%2$s': lost the helper: %3$s\n"),
                               NULLSTR(now), fs->dst, reason);

    if (qemuVirtFSProxyPersists(fs))
        qemuVirtFSLookLater(vm, fs, 0);
}


void
qemuVirtFSRestartReconnect(virDomainObj *vm)
{
    size_t i;

    for (i = 0; i < vm->def->nfss; i++) {
        virDomainFSDef *fs = vm->def->fss[i];

        if (fs->fsdriver == VIR_DOMAIN_FS_DRIVER_TYPE_PROXY &&
            qemuVirtFSProxyPersists(fs))
            qemuVirtFSLookLater(vm, fs, qemuVirtFSProxyRuns(vm, fs) ?
                                        QEMU_VIRTFS_RESTART_DELAY : 0);
    }
}


void
qemuVirtFSRestartStop(void)
{
    unsigned long long end = qemuVirtFSRestartNow() + QEMU_VIRTFS_RESTART_END;

    qemuVirtFSProxyEnd();

    while (g_atomic_int_get(&qemuVirtFSRestartThreads) > 0 &&
           qemuVirtFSRestartNow() < end)
        g_usleep(20 * 1000);
}
