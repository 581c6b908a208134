/*
 * qemuvirtfsproxytest.c: what filesystem driver 'proxy' finds on a host
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Capabilities: the answers of a QEMU without the driver are those of qemucapabilitiestest.
 * Those of a QEMU with it are the same, with more entries in its QMP schema:
 * qemuvirtfsproxydata/schema.json.
 *
 * The helper: each case has a folder of its own, with descriptions of helpers
 * in place of the host's, an emulator, and executables. qemuvirtfsproxymock.c
 * says to whom they belong.
 */

#include <config.h>

#include "testutils.h"
#include "testutilsqemu.h"
#include "qemumonitortestutils.h"
#include "configmake.h"
#include "virfilewrapper.h"
#include "qemu/qemu_virtfs_helper.h"
#define LIBVIRT_QEMU_CAPSPRIV_H_ALLOW
#include "qemu/qemu_capspriv.h"
#define LIBVIRT_QEMU_MONITOR_PRIV_H_ALLOW
#include "qemu/qemu_monitor_priv.h"
#define LIBVIRT_QEMU_PROCESSPRIV_H_ALLOW
#include "qemu/qemu_processpriv.h"

#define VIR_FROM_THIS VIR_FROM_NONE

#define REPLIES TEST_QEMU_CAPS_PATH "/caps_10.0.0_x86_64.replies"
#define SCHEMA abs_srcdir "/qemuvirtfsproxydata/schema.json"

static virQEMUDriver driver;


/* The answers of a QEMU in a new file; its name */
static char *
testWriteReplies(bool proxy)
{
    g_autofree char *replies = NULL;
    g_autofree char *schema = NULL;
    g_autofree char *path = NULL;
    g_autofree char *text = NULL;
    char *list;
    VIR_AUTOCLOSE fd = -1;

    if (virTestLoadFile(REPLIES, &replies) < 0 ||
        virTestLoadFile(SCHEMA, &schema) < 0)
        return NULL;

    if (!(list = strstr(replies, "\"execute\": \"query-qmp-schema\"")) ||
        !(list = strstr(list, "\"return\": [")))
        return NULL;

    list = strchr(list, '[');
    *list = '\0';
    g_strchomp(schema);
    g_assert(schema[0] == '[' && g_str_has_suffix(schema, "]"));
    schema[strlen(schema) - 1] = '\0';

    text = g_strdup_printf("%s[%s%s", replies,
                           proxy ? schema + 1 : "",
                           proxy ? "," : "");

    if ((fd = g_file_open_tmp("qemuvirtfsproxytest-XXXXXX", &path, NULL)) < 0)
        return NULL;

    if (safewrite(fd, text, strlen(text)) < 0 ||
        safewrite(fd, list + 1, strlen(list + 1)) < 0) {
        unlink(path);
        return NULL;
    }

    return g_steal_pointer(&path);
}


static int
testCapabilities(const void *opaque)
{
    bool proxy = opaque != NULL;
    g_autofree char *path = testWriteReplies(proxy);
    g_autoptr(qemuMonitorTest) mon = NULL;
    g_autoptr(virQEMUCaps) caps = virQEMUCapsNewBinary("/usr/bin/qemu-system-x86_64");
    virDomainCapsDeviceFilesystem fs = { 0 };
    bool listed;

    if (!path)
        return -1;

    mon = qemuMonitorTestNewFromFileFull(path, &driver, NULL, NULL);
    unlink(path);

    if (!mon ||
        qemuProcessQMPInitMonitor(qemuMonitorTestGetMonitor(mon)) < 0 ||
        virQEMUCapsInitQMPMonitor(caps, qemuMonitorTestGetMonitor(mon)) < 0)
        return -1;

    /* The answers go on with those to questions about TCG. */
    qemuMonitorResetCommandID(qemuMonitorTestGetMonitor(mon));
    if (qemuProcessQMPInitMonitor(qemuMonitorTestGetMonitor(mon)) < 0 ||
        virQEMUCapsInitQMPMonitorTCG(caps, qemuMonitorTestGetMonitor(mon)) < 0)
        return -1;

    if (virQEMUCapsGet(caps, QEMU_CAPS_FSDEV_PROXY) != proxy ||
        virQEMUCapsGet(caps, QEMU_CAPS_FSDEV_MIGRATION) != proxy) {
        VIR_TEST_VERBOSE("the capability is not as expected");
        return -1;
    }

    virQEMUCapsFillDomainDeviceFSCaps(caps, &fs);
    listed = fs.driverType.values & (1 << VIR_DOMAIN_FS_DRIVER_TYPE_PROXY);
    if (listed != proxy) {
        VIR_TEST_VERBOSE("domain capabilities are not as expected");
        return -1;
    }

    return 0;
}


struct testHelper {
    /* Descriptions, or NULL, and executables: paths below the case's folder,
     * which "%s" in a description stands for */
    const char *data;
    const char *etc;
    const char *home;
    const char *executables[3];
    const char *emulator;       /* default: "bin/qemu" */
    const char *target;         /* of a symbolic link: "link" */

    bool privileged;
    const char *binary;         /* the result, or */
    const char *error;          /* a part of the message */
};

#define DESCRIPTION(binary) \
    "{\"description\": \"x\", \"type\": \"fsdev-proxy\", \"binary\": \"%s/" binary "\"}"


static int
testWriteFile(const char *root,
              const char *name,
              const char *text,
              mode_t mode)
{
    g_autofree char *path = g_build_filename(root, name, NULL);
    g_autofree char *folder = g_path_get_dirname(path);
    g_autofree char *full = NULL;
    g_auto(GStrv) parts = NULL;

    if (!text)
        return 0;

    parts = g_strsplit(text, "%s", 0);
    full = g_strjoinv(root, parts);

    if (g_mkdir_with_parents(folder, 0755) < 0)
        return -1;

    return virFileWriteStr(path, full, mode);
}


static int
testHelperIn(const char *root,
             virDomainFSDef *fs,
             const struct testHelper *test)
{
    g_autofree char *data = g_build_filename(root, "data", NULL);
    g_autofree char *etc = g_build_filename(root, "etc", NULL);
    g_autofree char *home = g_build_filename(root, "home", NULL);
    const char *name_of_emulator = test->emulator ? test->emulator : "bin/qemu";
    g_autofree char *emulator = g_build_filename(root, name_of_emulator, NULL);
    g_autofree char *link = g_build_filename(root, "link", NULL);
    g_autofree char *expected = NULL;
    const char *const *name;
    int rc;

    if (testWriteFile(root, "data/50-x.json", test->data, 0644) < 0 ||
        testWriteFile(root, "etc/50-x.json", test->etc, 0644) < 0 ||
        testWriteFile(root, "home/qemu/fsdev-proxy/40-x.json", test->home, 0644) < 0 ||
        testWriteFile(root, name_of_emulator, "", 0755) < 0 ||
        (test->target && symlink(test->target, link) < 0))
        return -1;

    for (name = test->executables; *name; name++) {
        if (testWriteFile(root, *name, "", 0755) < 0)
            return -1;
    }

    g_setenv("XDG_CONFIG_HOME", home, TRUE);
    virFileWrapperAddPrefix(QEMU_DATADIR "/fsdev-proxy", data);
    virFileWrapperAddPrefix(SYSCONFDIR "/qemu/fsdev-proxy", etc);
    rc = qemuVirtFSHelperPrepareDomain(fs, emulator, test->privileged);
    virFileWrapperClearPrefixes();

    if (test->error) {
        if (rc == 0 || qemuVirtFSHelperPath(fs) ||
            !strstr(virGetLastErrorMessage(), test->error)) {
            VIR_TEST_VERBOSE("rc %d, not '%s': '%s'", rc, test->error,
                             virGetLastErrorMessage());
            return -1;
        }

        virResetLastError();
        return 0;
    }

    if (rc < 0)
        return -1;

    expected = g_build_filename(root, test->binary, NULL);
    if (virTestCompareToString(expected, qemuVirtFSHelperPath(fs)) < 0)
        return -1;

    /* The definition names none: who reads it would have to trust that one. */
    return virTestCompareToString(NULL, fs->binary);
}


static int
testHelper(const void *opaque)
{
    g_autofree char *root = g_dir_make_tmp("qemuvirtfsproxytest-XXXXXX", NULL);
    virDomainFSDef *fs;
    int ret = -1;

    if (!root)
        return -1;

    if ((fs = virDomainFSDefNew(driver.xmlopt)))
        ret = testHelperIn(root, fs, opaque);

    virDomainFSDefFree(fs);
    virFileDeleteTree(root);
    return ret;
}


static int
testHelpers(void)
{
    const struct {
        const char *name;
        struct testHelper test;
    } cases[] = {
        { "beside the emulator",
          { .executables = { "libexec/virtfs-proxy-helper" },
            .binary = "libexec/virtfs-proxy-helper" } },
        { "in the emulator's build",
          { .data = DESCRIPTION("a"),
            .executables = { "a", "bin/fsdev/virtfs-proxy-helper" },
            .binary = "bin/fsdev/virtfs-proxy-helper" } },
        { "described by a package",
          { .data = DESCRIPTION("a"),
            .executables = { "a", "libexec/virtfs-proxy-helper" },
            .binary = "a" } },
        { "described by the administrator",
          { .data = DESCRIPTION("a"), .etc = DESCRIPTION("b"),
            .executables = { "a", "b" },
            .binary = "b" } },
        { "masked by the administrator",
          { .data = DESCRIPTION("a"), .etc = "",
            .executables = { "a", "libexec/virtfs-proxy-helper" },
            .binary = "libexec/virtfs-proxy-helper" } },
        { "described by the user",
          { .data = DESCRIPTION("a"), .home = DESCRIPTION("b"),
            .executables = { "a", "b" },
            .binary = "b" } },
        { "not by root's home",
          { .data = DESCRIPTION("a"), .home = DESCRIPTION("b"),
            .executables = { "a", "b" },
            .privileged = true,
            .binary = "a" } },
        { "described, but not there",
          { .data = DESCRIPTION("a"), .home = DESCRIPTION("b"),
            .executables = { "a" },
            .binary = "a" } },
        { "not JSON",
          { .data = "{", .executables = { "libexec/virtfs-proxy-helper" },
            .error = "fsdev-proxy/50-x.json'" } },
        { "another type",
          { .etc = "{\"type\": \"fs\", \"binary\": \"%s/a\"}",
            .executables = { "a" },
            .error = "fsdev-proxy/50-x.json' does not have the type 'fsdev-proxy'" } },
        { "without a binary",
          { .data = "{\"type\": \"fsdev-proxy\"}",
            .error = "fsdev-proxy/50-x.json' does not name a binary" } },
        { "without an absolute path",
          { .data = "{\"type\": \"fsdev-proxy\", \"binary\": \"bin/true\"}",
            .error = "fsdev-proxy/50-x.json' names the binary 'bin/true', which is not an absolute path" } },
        { "root's, beside the emulator",
          { .executables = { "libexec/virtfs-proxy-helper" },
            .privileged = true,
            .binary = "libexec/virtfs-proxy-helper" } },
        { "root's, by way of a link",
          { .data = DESCRIPTION("link"),
            .executables = { "a" },
            .target = "bin/.././/a",
            .privileged = true,
            .binary = "link" } },
        { "in another user's build",
          { .executables = { "theirs/fsdev/virtfs-proxy-helper" },
            .emulator = "theirs/qemu",
            .privileged = true,
            .error = "/theirs' belongs to user 1000; to trust that user, use <binary path='/" } },
        { "in the user's own build",
          { .executables = { "theirs/fsdev/virtfs-proxy-helper" },
            .emulator = "theirs/qemu",
            .binary = "theirs/fsdev/virtfs-proxy-helper" } },
        { "beside another user's emulator",
          { .executables = { "theirs/libexec/virtfs-proxy-helper" },
            .emulator = "theirs/bin/qemu",
            .privileged = true,
            .error = "/theirs' belongs to user 1000" } },
        { "another user's, described",
          { .data = DESCRIPTION("theirs"),
            .executables = { "theirs" },
            .privileged = true,
            .error = "/theirs' belongs to user 1000" } },
        { "in a folder to which a group may write",
          { .executables = { "shared/fsdev/virtfs-proxy-helper" },
            .emulator = "shared/qemu",
            .privileged = true,
            .error = "/shared' belongs to user 0, but others may write there (mode 07" } },
        { "by way of a link to another user's folder",
          { .data = DESCRIPTION("link/../a"),
            .executables = { "a", "theirs/b" },
            .target = "theirs",
            .privileged = true,
            .error = "/theirs' belongs to user 1000" } },
    };
    size_t i;
    int ret = 0;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = g_strdup_printf("Helper: %s", cases[i].name);

        if (virTestRun(name, testHelper, &cases[i].test) < 0)
            ret = -1;
    }

    return ret;
}


static int
mymain(void)
{
    int ret = 0;

    virEventRegisterDefaultImpl();

    if (qemuTestDriverInit(&driver) < 0)
        return EXIT_FAILURE;

    if (virTestRun("QEMU without the driver", testCapabilities, NULL) < 0)
        ret = -1;

    if (virTestRun("QEMU with the driver", testCapabilities, &driver) < 0)
        ret = -1;

    if (testHelpers() < 0)
        ret = -1;

    qemuTestDriverFree(&driver);

    return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

VIR_TEST_MAIN_PRELOAD(mymain,
                      VIR_TEST_MOCK("domaincaps"),
                      VIR_TEST_MOCK("qemuvirtfsproxy"))
