/*
 * qemu_virtfs_helper.c: which program helps a filesystem with driver 'proxy'
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A domain names the helper in its XML, or libvirt finds it: that of the
 * emulator's build, one that a file describes, or one that is installed.
 *
 * In the system instance root starts the helper. Who may write the XML decides
 * what that is. A program that libvirt finds is another matter: it depends on
 * where the emulator is, which can be an ordinary user's build. So root runs
 * what libvirt finds only if nobody but root can have put it there.
 */

#include <config.h>

#include <sys/stat.h>

#include "qemu_domain.h"
#include "qemu_interop_config.h"
#include "qemu_virtfs_helper.h"
#include "virerror.h"
#include "virfile.h"
#include "virjson.h"

#define VIR_FROM_THIS VIR_FROM_QEMU

/* The folder of descriptions of helpers, beside those of QEMU's other
 * descriptions, and the type that each states */
#define QEMU_VIRTFS_HELPER_TYPE "fsdev-proxy"
#define QEMU_VIRTFS_HELPER_DESCRIPTION_SIZE (64 * 1024)

/* Symbolic links on the way to a helper, as in the kernel */
#define QEMU_VIRTFS_HELPER_LINKS 40

/* Where packages install the helper, if not below the emulator's prefix */
static const char *const qemuVirtFSHelperFolders[] = {
    "/usr/libexec",
    "/usr/lib/qemu",
    "/usr/local/libexec",
};


/* Reads a description of a helper. */
static int
qemuVirtFSHelperReadDescription(const char *path,
                                char **binary)
{
    g_autofree char *text = NULL;
    g_autoptr(virJSONValue) json = NULL;
    const char *type;
    const char *value;

    if (virFileReadAll(path, QEMU_VIRTFS_HELPER_DESCRIPTION_SIZE, &text) < 0)
        return -1;

    if (!(json = virJSONValueFromString(text))) {
        virReportError(VIR_ERR_INTERNAL_ERROR,
                       _("unable to parse json file '%1$s'"), path);
        return -1;
    }

    if (!(type = virJSONValueObjectGetString(json, "type")) ||
        STRNEQ(type, QEMU_VIRTFS_HELPER_TYPE)) {
        virReportError(VIR_ERR_INTERNAL_ERROR,
                       _("'%1$s' does not have the type '%2$s'"),
                       path, QEMU_VIRTFS_HELPER_TYPE);
        return -1;
    }

    if (!(value = virJSONValueObjectGetString(json, "binary"))) {
        virReportError(VIR_ERR_INTERNAL_ERROR,
                       _("'%1$s' does not name a binary"), path);
        return -1;
    }

    if (!g_path_is_absolute(value)) {
        virReportError(VIR_ERR_INTERNAL_ERROR,
                       _("'%1$s' names the binary '%2$s', which is not an absolute path"),
                       path, value);
        return -1;
    }

    *binary = g_strdup(value);
    return 0;
}


/* The first helper that has a description and can be executed */
static int
qemuVirtFSHelperFindDescribed(bool privileged,
                              char **binary)
{
    g_auto(GStrv) paths = NULL;
    char **path;

    if (qemuInteropFetchConfigs(QEMU_VIRTFS_HELPER_TYPE, &paths, privileged) < 0)
        return -1;

    for (path = paths; path && *path; path++) {
        g_autofree char *found = NULL;

        if (qemuVirtFSHelperReadDescription(*path, &found) < 0)
            return -1;

        if (virFileIsExecutable(found)) {
            *binary = g_steal_pointer(&found);
            return 0;
        }
    }

    return 0;
}


/* A helper that was installed with @emulator, or in a usual place */
static char *
qemuVirtFSHelperFindInstalled(const char *emulator)
{
    g_autofree char *folder = g_path_get_dirname(emulator);
    g_autofree char *prefix = g_path_get_dirname(folder);
    g_autofree char *beside = NULL;
    size_t i;

    beside = g_build_filename(prefix, "libexec", QEMU_VIRTFS_HELPER_NAME, NULL);
    if (virFileIsExecutable(beside))
        return g_steal_pointer(&beside);

    for (i = 0; i < G_N_ELEMENTS(qemuVirtFSHelperFolders); i++) {
        g_autofree char *path = g_build_filename(qemuVirtFSHelperFolders[i],
                                                 QEMU_VIRTFS_HELPER_NAME, NULL);

        if (virFileIsExecutable(path))
            return g_steal_pointer(&path);
    }

    return NULL;
}


/* The status of one step of a way: a function of its own, for tests. */
int
qemuVirtFSHelperLook(const char *path,
                     struct stat *status)
{
    return lstat(path, status);
}


/* Whether nobody but root can change what @step is. A symbolic link never
 * changes, and who replaces it writes to its folder. */
static int
qemuVirtFSHelperCheckStep(const char *binary,
                          const char *step,
                          const struct stat *status)
{
    if (S_ISLNK(status->st_mode))
        return 0;

    if (status->st_uid != 0) {
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("root runs '%1$s' only if the domain names it: '%2$s' belongs to user %3$u; to trust that user, use <binary path='%1$s'/>"),
                       binary, step, (unsigned int)status->st_uid);
        return -1;
    }

    if (status->st_mode & (S_IWGRP | S_IWOTH)) {
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("root runs '%1$s' only if the domain names it: '%2$s' belongs to user %3$u, but others may write there (mode %4$04o); to trust them, use <binary path='%1$s'/>"),
                       binary, step, (unsigned int)status->st_uid,
                       (unsigned int)status->st_mode & 07777);
        return -1;
    }

    return 0;
}


/* Puts what the symbolic link @link stands for before the rest of the way,
 * which then goes on from a folder. */
static char *
qemuVirtFSHelperFollow(char **link,
                       const char *rest)
{
    g_autofree char *target = g_file_read_link(*link, NULL);
    g_autofree char *at = NULL;

    if (!target)
        return NULL;

    at = g_path_is_absolute(target) ? g_strdup("/") : g_path_get_dirname(*link);
    g_free(*link);
    *link = g_steal_pointer(&at);

    return g_strdup_printf("%s/%s", target, rest);
}


/* The next step from the folder @at */
static char *
qemuVirtFSHelperNext(const char *at,
                     const char *name)
{
    if (STREQ(name, "."))
        return g_strdup(at);

    if (STREQ(name, ".."))
        return g_path_get_dirname(at);

    return g_build_filename(at, name, NULL);
}


/* Whether nobody but root can change which program @binary is: the file and all
 * folders on the way there are root's, and nobody else may write to them. So
 * nobody else can make this untrue before the program runs. */
static int
qemuVirtFSHelperCheckWay(const char *binary)
{
    g_autofree char *at = g_strdup("/");
    g_autofree char *rest = g_strdup(binary);
    unsigned int links = 0;

    while (true) {
        const char *name = rest + strspn(rest, "/");
        size_t len = strcspn(name, "/");
        g_autofree char *step = g_strndup(name, len);
        g_autofree char *left = g_strdup(name + len);
        g_autofree char *next = NULL;
        struct stat status;

        if (qemuVirtFSHelperLook(at, &status) < 0) {
            virReportSystemError(errno, _("cannot look at '%1$s' for '%2$s'"),
                                 at, binary);
            return -1;
        }

        if (qemuVirtFSHelperCheckStep(binary, at, &status) < 0)
            return -1;

        if (S_ISLNK(status.st_mode)) {
            next = ++links > QEMU_VIRTFS_HELPER_LINKS ? NULL :
                   qemuVirtFSHelperFollow(&at, rest);
            if (!next) {
                virReportSystemError(ELOOP, _("cannot follow '%1$s' for '%2$s'"),
                                     at, binary);
                return -1;
            }

            g_free(rest);
            rest = g_steal_pointer(&next);
            continue;
        }

        if (len == 0)
            return 0;

        next = qemuVirtFSHelperNext(at, step);
        g_free(at);
        at = g_steal_pointer(&next);
        g_free(rest);
        rest = g_steal_pointer(&left);
    }
}


/* Finds the helper for @emulator. One that runs where it was built has the
 * helper of its build. Otherwise a description decides, if there is one. */
static int
qemuVirtFSHelperFind(const char *emulator,
                     bool privileged,
                     char **binary)
{
    g_autofree char *real = NULL;
    g_autofree char *folder = NULL;
    g_autofree char *built = NULL;

    if (virFileResolveLink(emulator, &real) < 0)
        real = g_strdup(emulator);

    folder = g_path_get_dirname(real);
    built = g_build_filename(folder, "fsdev", QEMU_VIRTFS_HELPER_NAME, NULL);
    if (virFileIsExecutable(built)) {
        *binary = g_steal_pointer(&built);
        return 0;
    }

    if (qemuVirtFSHelperFindDescribed(privileged, binary) < 0)
        return -1;

    if (!*binary)
        *binary = qemuVirtFSHelperFindInstalled(real);

    return 0;
}


int
qemuVirtFSHelperPrepareDomain(virDomainFSDef *fs,
                              const char *emulator,
                              bool privileged)
{
    qemuDomainFSPrivate *fspriv = QEMU_DOMAIN_FS_PRIVATE(fs);
    g_autofree char *binary = NULL;

    if (fs->sock || fs->binary || fspriv->proxybinary)
        return 0;

    if (qemuVirtFSHelperFind(emulator, privileged, &binary) < 0)
        return -1;

    if (!binary) {
        virReportError(VIR_ERR_OPERATION_FAILED,
                       _("no %1$s is installed with emulator '%2$s'; name it in element 'binary' of filesystem '%3$s'"),
                       QEMU_VIRTFS_HELPER_NAME, emulator, fs->dst);
        return -1;
    }

    if (privileged && qemuVirtFSHelperCheckWay(binary) < 0)
        return -1;

    fspriv->proxybinary = g_steal_pointer(&binary);
    return 0;
}


const char *
qemuVirtFSHelperPath(virDomainFSDef *fs)
{
    return fs->binary ? fs->binary : QEMU_DOMAIN_FS_PRIVATE(fs)->proxybinary;
}
