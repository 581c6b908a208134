/*
 * qemu_virtfs_proxy.c: helper processes of filesystems with driver 'proxy'
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * QEMU's fsdev driver 'proxy' acts on a host directory through a process,
 * virtfs-proxy-helper, to which it is connected by a UNIX socket. libvirt
 * makes a pair of sockets, gives one end to the helper that it starts, and
 * passes the other to QEMU: on the command line, or through the monitor when
 * a filesystem is attached to a running domain. So there is no socket in the
 * file system that needs a label, and QEMU may not start a program itself. The
 * pair has the label of the domain's sockets.
 *
 * In the system instance root starts the helper. It takes up the export, its
 * id maps and its sandbox with that privilege, and gives it up before it
 * reads the first byte from QEMU. In the session instance it serves in a user
 * namespace of the user. Like virtiofsd it has no label of a security driver:
 * it confines itself.
 *
 * The helper ends when QEMU closes its end. libvirt ends it nevertheless, in
 * case QEMU could not. Its PID file, which the helper locks as long as it
 * lives, lets a restarted libvirtd find it.
 *
 * A pair of sockets cannot be replaced. So if a helper that dies shall be
 * replaced (persist='on'), it listens on a socket instead, and QEMU connects
 * there: at the start, and again when it has lost a helper. libvirt then starts
 * the next one (qemu_virtfs_restart.c). The helper makes this socket for the
 * user of the domain's DAC label, and libvirt labels it.
 *
 * The helper opens the export, which may be on a file system that does not
 * answer. libvirt itself never touches it, and has the domain unlocked while it
 * waits for the helper.
 */

#include <config.h>

#include <sys/socket.h>

#include "domain_logcontext.h"
#include "qemu_command.h"
#include "qemu_domain.h"
#include "qemu_extdevice.h"
#include "qemu_fd.h"
#include "qemu_security.h"
#include "qemu_virtfs_helper.h"
#include "qemu_virtfs_proxy.h"
#include "virerror.h"
#include "virfile.h"
#include "virlog.h"
#include "virpidfile.h"
#include "virprocess.h"
#include "virstring.h"
#include "virtime.h"
#include "virutil.h"

#define VIR_FROM_THIS VIR_FROM_QEMU

VIR_LOG_INIT("qemu.virtfs_proxy");

/* Milliseconds within which a helper must be ready. It opens the export, which
 * may be on a network file system. */
#define QEMU_VIRTFS_PROXY_START_TIMEOUT (15 * 1000)

/* Whether libvirtd ends, and waits for no helper any more */
static int qemuVirtFSProxyIsEnding;

/* The folder of PID files and sockets. It is not in the state folder, which
 * belongs to QEMU's user: that user must not choose which process libvirt ends,
 * or which file it labels. */
static char *
qemuVirtFSProxyStateDir(virQEMUDriver *driver)
{
    g_autoptr(virQEMUDriverConfig) cfg = virQEMUDriverGetConfig(driver);
    g_autofree char *above = g_path_get_dirname(cfg->stateDir);

    return g_build_filename(above, "virtfs-proxy", NULL);
}


/* A file of a filesystem in that folder */
static char *
qemuVirtFSProxyFile(virDomainObj *vm,
                    virDomainFSDef *fs,
                    const char *suffix)
{
    qemuDomainObjPrivate *priv = vm->privateData;
    g_autofree char *folder = qemuVirtFSProxyStateDir(priv->driver);
    g_autofree char *domname = virDomainDefGetShortName(vm->def);

    if (!domname)
        return NULL;

    return g_strdup_printf("%s/%s-%s.%s", folder, domname, fs->info.alias, suffix);
}


static char *
qemuVirtFSProxyPidFile(virDomainObj *vm,
                       virDomainFSDef *fs)
{
    return qemuVirtFSProxyFile(vm, fs, "pid");
}


bool
qemuVirtFSProxyPersists(virDomainFSDef *fs)
{
    return !fs->sock && fs->persist == VIR_TRISTATE_SWITCH_ON;
}


/* Where such a helper listens; NULL: it has one end of a pair of sockets */
static char *
qemuVirtFSProxySocket(virDomainObj *vm,
                      virDomainFSDef *fs)
{
    if (!qemuVirtFSProxyPersists(fs))
        return NULL;

    return qemuVirtFSProxyFile(vm, fs, "sock");
}


static void
qemuVirtFSProxyAddMap(virCommand *cmd,
                      const char *option,
                      const virDomainIdMapEntry *map,
                      size_t nmap)
{
    size_t i;

    for (i = 0; i < nmap; i++) {
        virCommandAddArgFormat(cmd, "%s=%u:%u:%u", option,
                               map[i].start, map[i].target, map[i].count);
    }
}


/* Options about the socket that the helper makes, for a client that is QEMU */
static void
qemuVirtFSProxyAddSocket(virCommand *cmd,
                         virQEMUDriver *driver,
                         virDomainObj *vm,
                         virDomainFSDef *fs)
{
    g_autoptr(virQEMUDriverConfig) cfg = virQEMUDriverGetConfig(driver);
    qemuDomainFSPrivate *fspriv = QEMU_DOMAIN_FS_PRIVATE(fs);
    virSecurityLabelDef *label = virDomainDefGetSecurityLabelDef(vm->def, "dac");
    uid_t uid = cfg->user;
    gid_t gid = cfg->group;

    g_free(fspriv->proxysock);
    fspriv->proxysock = qemuVirtFSProxySocket(vm, fs);

    virCommandAddArgFormat(cmd, "--socket=%s", fspriv->proxysock);
    virCommandAddArg(cmd, "--persist");

    if (!driver->privileged)
        return;

    if (label && label->label)
        virParseOwnershipIds(label->label, &uid, &gid);

    virCommandAddArgFormat(cmd, "--uid=%u", (unsigned int)uid);
}


static virCommand *
qemuVirtFSProxyBuildCommand(virDomainFSDef *fs,
                            const char *pidfile)
{
    virCommand *cmd = virCommandNew(qemuVirtFSHelperPath(fs));

    virCommandAddArg(cmd, "--nodaemon");
    virCommandAddArgFormat(cmd, "--path=%s", fs->src->path);
    virCommandAddArgFormat(cmd, "--pidfile=%s", pidfile);

    if (fs->sandbox != VIR_DOMAIN_FS_SANDBOX_MODE_DEFAULT) {
        virCommandAddArgFormat(cmd, "--sandbox=%s",
                               virDomainFSSandboxModeTypeToString(fs->sandbox));
    }

    if (fs->thread_pool_size >= 0)
        virCommandAddArgFormat(cmd, "--threads=%d", fs->thread_pool_size);

    if (fs->openfiles > 0)
        virCommandAddArgFormat(cmd, "--rlimit-nofile=%llu", fs->openfiles);

    qemuVirtFSProxyAddMap(cmd, "--uid-map", fs->idmap.uidmap, fs->idmap.nuidmap);
    qemuVirtFSProxyAddMap(cmd, "--gid-map", fs->idmap.gidmap, fs->idmap.ngidmap);

    if (fs->readonly)
        virCommandAddArg(cmd, "--readonly");

    if (fs->migrationMode == VIR_DOMAIN_FS_MIGRATION_MODE_HANDLES)
        virCommandAddArg(cmd, "--file-handles=on");

    return cmd;
}


/* A helper that has been started, and is not ready yet: all about it that is
 * needed while the domain is not locked */
typedef struct _qemuVirtFSProxyLaunch qemuVirtFSProxyLaunch;
struct _qemuVirtFSProxyLaunch {
    qemuDomainFSPrivate *fspriv;
    bool listed;                /* in the domain's definition */
    int id;                     /* of the domain */
    char *binary;
    char *dst;
    char *pidfile;
    char *sock;
    domainLogContext *log;
    pid_t pid;
};


static void
qemuVirtFSProxyLaunchFree(qemuVirtFSProxyLaunch *launch)
{
    virObjectUnref(launch->fspriv);
    g_free(launch->binary);
    g_free(launch->dst);
    g_free(launch->pidfile);
    g_free(launch->sock);
    g_clear_object(&launch->log);
    g_free(launch);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(qemuVirtFSProxyLaunch, qemuVirtFSProxyLaunchFree);


/* Reports that the helper ended before it was ready, or is not ready after the
 * time for that, with the last lines of what it logged. */
static void
qemuVirtFSProxyReportStart(qemuVirtFSProxyLaunch *launch,
                           bool ended)
{
    g_autofree char *text = NULL;
    const char *said;

    if (domainLogContextReadFiltered(launch->log, &text, 1024) < 0)
        virResetLastError();

    said = virStringIsEmpty(text) ? _("it logged nothing") : text;

    if (ended) {
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("'%1$s' of filesystem '%2$s' ended when it was started: %3$s"),
                       launch->binary, launch->dst, said);
    } else {
        virReportError(VIR_ERR_OPERATION_TIMEOUT,
                       _("'%1$s' of filesystem '%2$s' was not ready within %3$d seconds: %4$s"),
                       launch->binary, launch->dst,
                       QEMU_VIRTFS_PROXY_START_TIMEOUT / 1000, said);
    }
}


/* Whether the helper is ready. It writes its PID file early, because it cannot
 * do so later, but without the end of the line. */
static bool
qemuVirtFSProxyIsReady(const char *pidfile)
{
    g_autofree char *text = NULL;

    return virFileReadAllQuiet(pidfile, 64, &text) > 0 && strchr(text, '\n');
}


/* Waits until the helper is ready, or has ended. */
static int
qemuVirtFSProxyWaitReady(qemuVirtFSProxyLaunch *launch)
{
    virTimeBackOffVar timebackoff;

    if (virTimeBackOffStart(&timebackoff, 1, QEMU_VIRTFS_PROXY_START_TIMEOUT) < 0)
        return -1;

    while (!qemuVirtFSProxyEnding() && virTimeBackOffWait(&timebackoff)) {
        if (qemuVirtFSProxyIsReady(launch->pidfile))
            return 0;

        if (virProcessKill(launch->pid, 0) < 0 && errno == ESRCH) {
            qemuVirtFSProxyReportStart(launch, true);
            return -1;
        }
    }

    qemuVirtFSProxyReportStart(launch, false);
    ignore_value(virProcessKillPainfully(launch->pid, true));
    return -1;
}


/* Ends the helper, if it still runs, and removes its files. It does not remove
 * its socket when it is killed. */
static void
qemuVirtFSProxyEndHelper(const char *pidfile,
                         const char *sock,
                         const char *dst)
{
    if (pidfile && virPidFileForceCleanupPathFull(pidfile, true) < 0)
        VIR_WARN("Unable to end the helper of filesystem '%s'", dst);

    if (sock)
        unlink(sock);
}


/* Waits with @vm unlocked. The domain may have ended then, or the filesystem
 * been detached, which has ended the helper if it had its PID file. */
static int
qemuVirtFSProxyWait(virDomainObj *vm,
                    qemuVirtFSProxyLaunch *launch)
{
    virErrorPtr orig_err = NULL;
    int rc;

    virObjectUnlock(vm);

    if ((rc = qemuVirtFSProxyWaitReady(launch)) < 0) {
        virErrorPreserveLast(&orig_err);
        qemuVirtFSProxyEndHelper(launch->pidfile, launch->sock, launch->dst);
    }

    virObjectLock(vm);

    if (!virDomainObjIsActive(vm) || vm->def->id != launch->id ||
        (launch->listed && !qemuVirtFSProxyFind(vm, launch->fspriv))) {
        if (rc == 0)
            qemuVirtFSProxyEndHelper(launch->pidfile, launch->sock, launch->dst);

        virFreeError(orig_err);
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("the domain has ended, or lost its filesystem '%1$s', while the helper was started"),
                       launch->dst);
        return -2;
    }

    virErrorRestore(&orig_err);
    return rc;
}


/* Runs the helper. The command waits before it becomes the helper, until the
 * process that started it has ended: the helper ends with its parent. Its
 * process gets into a file of libvirt's own before that. */
static int
qemuVirtFSProxyRun(virCommand *cmd,
                   const char *pidfile,
                   pid_t *pid)
{
    g_autofree char *early = g_strdup_printf("%s.start", pidfile);
    int rc;

    virCommandSetPidFile(cmd, early);
    virCommandDaemonize(cmd);
    virCommandRequireHandshake(cmd);

    if (virCommandRun(cmd, NULL) < 0) {
        unlink(early);
        return -1;
    }

    rc = virPidFileReadPath(early, pid);
    unlink(early);
    if (rc < 0) {
        virReportSystemError(-rc, _("cannot read the PID file '%1$s'"), early);
        return -1;
    }

    if (virCommandHandshakeWait(cmd) < 0)
        return -1;

    return virCommandHandshakeNotify(cmd);
}


/* Makes a pair of sockets with the label of the domain's sockets. */
static int
qemuVirtFSProxyMakePair(virQEMUDriver *driver,
                        virDomainObj *vm,
                        int fds[2])
{
    int rc;

    if (qemuSecuritySetSocketLabel(driver->securityManager, vm->def) < 0)
        return -1;

    if ((rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) < 0)
        virReportSystemError(errno, "%s", _("cannot make a pair of sockets"));

    if (qemuSecurityClearSocketLabel(driver->securityManager, vm->def) < 0 &&
        rc == 0) {
        VIR_FORCE_CLOSE(fds[0]);
        VIR_FORCE_CLOSE(fds[1]);
        rc = -1;
    }

    return rc;
}


/* Gives one end of a pair of sockets to the helper. The other one is QEMU's. */
static int
qemuVirtFSProxyAddPair(virCommand *cmd,
                       virQEMUDriver *driver,
                       virDomainObj *vm,
                       virDomainFSDef *fs)
{
    qemuDomainFSPrivate *fspriv = QEMU_DOMAIN_FS_PRIVATE(fs);
    g_autofree char *name = g_strdup_printf("virtfs-proxy-%s", fs->info.alias);
    int fds[2];

    if (qemuVirtFSProxyMakePair(driver, vm, fds) < 0)
        return -1;

    g_clear_pointer(&fspriv->proxyfd, qemuFDPassDirectFree);
    fspriv->proxyfd = qemuFDPassDirectNew(name, &fds[0]);

    virCommandAddArgFormat(cmd, "--fd=%d", fds[1]);
    virCommandPassFD(cmd, fds[1], VIR_COMMAND_PASS_FD_CLOSE_PARENT);
    return 0;
}


/* Gives the socket that the helper has made, if it has one, the labels of the
 * domain's files. */
static int
qemuVirtFSProxyLabel(virQEMUDriver *driver,
                     virDomainObj *vm,
                     virDomainFSDef *fs)
{
    qemuDomainFSPrivate *fspriv = QEMU_DOMAIN_FS_PRIVATE(fs);

    if (!fspriv->proxysock)
        return 0;

    return qemuSecurityDomainSetPathLabel(driver, vm, fspriv->proxysock, false);
}


/* Makes the folder of PID files and sockets, and removes what a libvirtd that
 * was killed may have left there of this helper. QEMU's user may connect to a
 * socket, but not list the folder. */
static int
qemuVirtFSProxyPreparePidFile(virQEMUDriver *driver,
                              const char *pidfile)
{
    g_autofree char *folder = qemuVirtFSProxyStateDir(driver);

    if (g_mkdir_with_parents(folder, driver->privileged ? 0711 : 0700) < 0) {
        virReportSystemError(errno, _("cannot create the directory '%1$s'"), folder);
        return -1;
    }

    if (virPidFileForceCleanupPathFull(pidfile, true) < 0) {
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("cannot remove the old PID file '%1$s'"), pidfile);
        return -1;
    }

    return 0;
}


/* Starts the helper; it is not ready yet. */
static qemuVirtFSProxyLaunch *
qemuVirtFSProxyBegin(virQEMUDriver *driver,
                     virDomainObj *vm,
                     virDomainFSDef *fs)
{
    g_autoptr(virQEMUDriverConfig) cfg = virQEMUDriverGetConfig(driver);
    qemuDomainObjPrivate *priv = vm->privateData;
    g_autoptr(qemuVirtFSProxyLaunch) launch = g_new0(qemuVirtFSProxyLaunch, 1);
    g_autoptr(virCommand) cmd = NULL;
    g_autofree char *name = NULL;
    int logfd;

    launch->fspriv = virObjectRef(QEMU_DOMAIN_FS_PRIVATE(fs));
    launch->listed = qemuVirtFSProxyFind(vm, launch->fspriv) != NULL;
    launch->id = vm->def->id;
    launch->binary = g_strdup(qemuVirtFSHelperPath(fs));
    launch->dst = g_strdup(fs->dst);
    launch->sock = qemuVirtFSProxySocket(vm, fs);

    if (!(launch->pidfile = qemuVirtFSProxyPidFile(vm, fs)) ||
        qemuVirtFSProxyPreparePidFile(driver, launch->pidfile) < 0)
        return NULL;

    name = g_strdup_printf("%s-%s-virtfs-proxy", vm->def->name, fs->info.alias);
    if (!(launch->log = domainLogContextNew(cfg->stdioLogD, cfg->logDir,
                                            QEMU_DRIVER_NAME, vm,
                                            driver->privileged, name)))
        return NULL;

    cmd = qemuVirtFSProxyBuildCommand(fs, launch->pidfile);
    if (qemuVirtFSProxyPersists(fs))
        qemuVirtFSProxyAddSocket(cmd, driver, vm, fs);
    else if (qemuVirtFSProxyAddPair(cmd, driver, vm, fs) < 0)
        return NULL;

    if (cfg->schedCore == QEMU_SCHED_CORE_FULL)
        virCommandSetRunAmong(cmd, vm->pid > 0 ? vm->pid : priv->schedCoreChildPID);

    logfd = domainLogContextGetWriteFD(launch->log);
    virCommandSetOutputFD(cmd, &logfd);
    virCommandSetErrorFD(cmd, &logfd);

    if (qemuExtDeviceLogCommand(driver, vm, cmd, QEMU_VIRTFS_HELPER_NAME) < 0 ||
        qemuVirtFSProxyRun(cmd, launch->pidfile, &launch->pid) < 0) {
        qemuVirtFSProxyStop(vm, fs);
        return NULL;
    }

    return g_steal_pointer(&launch);
}


int
qemuVirtFSProxyStart(virQEMUDriver *driver,
                     virDomainObj *vm,
                     virDomainFSDef *fs)
{
    g_autoptr(qemuVirtFSProxyLaunch) launch = qemuVirtFSProxyBegin(driver, vm, fs);
    int rc;

    if (!launch)
        return -1;

    if ((rc = qemuVirtFSProxyWait(vm, launch)) == -2)
        return -1;              /* @fs may be gone */

    if (rc < 0 || qemuVirtFSProxyLabel(driver, vm, fs) < 0) {
        qemuVirtFSProxyStop(vm, fs);
        return -1;
    }

    return 0;
}


int
qemuVirtFSProxyRestart(virQEMUDriver *driver,
                       virDomainObj *vm,
                       virDomainFSDef *fs)
{
    if (qemuVirtFSHelperPrepareDomain(fs, vm->def->emulator,
                                      driver->privileged) < 0 ||
        qemuVirtFSProxyStart(driver, vm, fs) < 0)
        return -1;

    /* The next try is to be in its place. */
    if (qemuVirtFSProxySetupCgroup(vm, fs) < 0) {
        qemuVirtFSProxyStop(vm, fs);
        return -1;
    }

    return 0;
}


void
qemuVirtFSProxyStop(virDomainObj *vm,
                    virDomainFSDef *fs)
{
    qemuDomainFSPrivate *fspriv = QEMU_DOMAIN_FS_PRIVATE(fs);
    g_autofree char *sock = qemuVirtFSProxySocket(vm, fs);
    g_autofree char *pidfile = qemuVirtFSProxyPidFile(vm, fs);
    virErrorPtr orig_err;

    virErrorPreserveLast(&orig_err);

    g_clear_pointer(&fspriv->proxyfd, qemuFDPassDirectFree);
    g_clear_pointer(&fspriv->proxysock, g_free);
    qemuVirtFSProxyEndHelper(pidfile, sock, fs->dst);

    virErrorRestore(&orig_err);
}


/* The file's name begins with the domain's id, which no other one has. */
static void
qemuVirtFSProxyStopFile(const char *folder,
                        const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);

    if (virStringHasSuffix(name, ".pid") &&
        virPidFileForceCleanupPathFull(path, true) < 0)
        VIR_WARN("Unable to end the helper of '%s'", path);

    unlink(path);
}


void
qemuVirtFSProxyStopAll(virQEMUDriver *driver,
                       virDomainObj *vm)
{
    g_autofree char *folder = qemuVirtFSProxyStateDir(driver);
    g_autofree char *prefix = g_strdup_printf("%d-", vm->def->id);
    g_autoptr(DIR) dir = NULL;
    struct dirent *entry;
    virErrorPtr orig_err;
    size_t i;

    for (i = 0; i < vm->def->nfss; i++) {
        virDomainFSDef *fs = vm->def->fss[i];

        if (fs->fsdriver == VIR_DOMAIN_FS_DRIVER_TYPE_PROXY && !fs->sock)
            qemuVirtFSProxyStop(vm, fs);
    }

    virErrorPreserveLast(&orig_err);

    if (virDirOpenIfExists(&dir, folder) > 0) {
        while (virDirRead(dir, &entry, folder) > 0) {
            if (STRPREFIX(entry->d_name, prefix))
                qemuVirtFSProxyStopFile(folder, entry->d_name);
        }
    }

    virErrorRestore(&orig_err);
}


/* Moves a process and those that descend from it. A process that is born in
 * the meantime is in the list of its parent's children, or in the cgroup. */
static int
qemuVirtFSProxyMove(virCgroup *cgroup,
                    pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%1$lld/task/%1$lld/children",
                                            (long long)pid);
    g_autofree char *text = NULL;
    g_auto(GStrv) words = NULL;
    size_t i;

    if (virCgroupAddProcess(cgroup, pid) < 0) {
        if (virProcessKill(pid, 0) == 0)
            return -1;
        virResetLastError();    /* it has ended */
        return 0;
    }

    if (virFileReadAllQuiet(path, 4096, &text) < 0)
        return 0;

    words = g_strsplit(text, " ", 0);
    for (i = 0; words[i]; i++) {
        int child;

        if (virStrToLong_i(words[i], NULL, 10, &child) == 0 &&
            qemuVirtFSProxyMove(cgroup, child) < 0)
            return -1;
    }

    return 0;
}


int
qemuVirtFSProxySetupCgroup(virDomainObj *vm,
                           virDomainFSDef *fs)
{
    qemuDomainObjPrivate *priv = vm->privateData;
    g_autoptr(virCgroup) cgroup = NULL;
    g_autofree char *pidfile = NULL;
    pid_t pid = -1;

    /* As for all processes that libvirt starts for a domain, others limit
     * nothing. */
    if (!priv->cgroup ||
        (!virCgroupHasController(priv->cgroup, VIR_CGROUP_CONTROLLER_CPU) &&
         !virCgroupHasController(priv->cgroup, VIR_CGROUP_CONTROLLER_CPUSET)))
        return 0;

    if (virCgroupNewThread(priv->cgroup, VIR_CGROUP_THREAD_EMULATOR, 0,
                           false, &cgroup) < 0)
        return -1;

    if (!(pidfile = qemuVirtFSProxyPidFile(vm, fs)))
        return -1;

    /* Without the lock, the process may be another one by now. */
    if (virPidFileReadPathIfLocked(pidfile, &pid) < 0 || pid < 0) {
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("'%1$s' of filesystem '%2$s' has ended"),
                       qemuVirtFSHelperPath(fs), fs->dst);
        return -1;
    }

    return qemuVirtFSProxyMove(cgroup, pid);
}


virDomainFSDef *
qemuVirtFSProxyFind(virDomainObj *vm,
                    qemuDomainFSPrivate *fspriv)
{
    size_t i;

    for (i = 0; virDomainObjIsActive(vm) && i < vm->def->nfss; i++) {
        if (QEMU_DOMAIN_FS_PRIVATE(vm->def->fss[i]) == fspriv)
            return vm->def->fss[i];
    }

    return NULL;
}


bool
qemuVirtFSProxyRuns(virDomainObj *vm,
                    virDomainFSDef *fs)
{
    g_autofree char *pidfile = qemuVirtFSProxyPidFile(vm, fs);
    int fd;

    if (!pidfile || !virFileExists(pidfile))
        return false;

    if ((fd = virPidFileAcquirePathFull(pidfile, false, true, 0)) < 0)
        return true;            /* it has the lock */

    virPidFileReleasePath(pidfile, fd);
    return false;
}


bool
qemuVirtFSProxyEnding(void)
{
    return g_atomic_int_get(&qemuVirtFSProxyIsEnding);
}


void
qemuVirtFSProxyEnd(void)
{
    g_atomic_int_set(&qemuVirtFSProxyIsEnding, 1);
}
