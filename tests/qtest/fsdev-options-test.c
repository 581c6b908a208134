/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The command line: -fsdev and -virtfs as key=value and as JSON, and what QEMU
 * says when they are wrong. Each case is a QEMU of its own, that ends at once
 * with a message, or runs and is asked.
 *
 * It goes with the tests of the virtio-9p device, because there is one in
 * every binary that has these options.
 */
#include "qemu/osdep.h"
#include "libqtest.h"
#include "qemu/module.h"
#include "qobject/qdict.h"
#include "libqos/qgraph.h"

/* Runs QEMU with @option @arg, twice if @twice; returns what it says. */
static char *run_qemu(const char *option, const char *arg, bool twice,
                      int *status)
{
    bool device = !strcmp(option, "-device");
    /* Should it start after all, it does not run for ever. */
    const char *argv[] = {
        "timeout", "30", getenv("QTEST_QEMU_BINARY"), "-accel", "qtest",
        "-machine", device ? "pc" : "none", "-display", "none", "-nodefaults",
        option, arg, twice ? option : NULL, arg, NULL,
    };
    g_autofree char *out = NULL;
    char *err = NULL;
    GError *error = NULL;

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                 &out, &err, status, &error);
    g_assert_no_error(error);
    if (out[0]) {
        char *both = g_strconcat(out, err, NULL);

        g_free(err);
        return both;
    }
    return err;
}

static void test_wrong(void *obj, void *data, QGuestAllocator *alloc)
{
    static const struct {
        const char *option;
        const char *arg;
        const char *says;       /* after the option itself */
        bool twice;
    } cases[] = {
        { "-fsdev", "", "'fsdriver' is missing" },
        { "-fsdev", "synth", "'id' is missing" },
        { "-fsdev", "id=a", "'fsdriver' is missing" },
        { "-fsdev", "floppy,id=a", "'fsdriver' does not accept value "
                                   "'floppy'" },
        { "-fsdev", "synth,id=1a", "id '1a' is not an identifier" },
        { "-fsdev", "synth,id=", "id '' is not an identifier" },
        { "-fsdev", "synth,id=a,,b", "id 'a,b' is not an identifier" },
        { "-fsdev", "synth,id=a,path=/", "'path' is unexpected" },
        { "-fsdev", "synth,id=a,mount_tag=b", "'mount_tag' is unexpected" },
        { "-fsdev", "synth,id=a,readonly=maybe", "'readonly'" },
        { "-fsdev", "synth,id=a,max_xattr=many", "'max_xattr'" },
        { "-fsdev", "synth,id=a,max_xattr=-1", "'max_xattr'" },
        { "-fsdev", "synth,id=a,max_xattr=4294967296", "'max_xattr'" },
        { "-fsdev", "synth,id=a", "id 'a' is another fsdev's", true },
        { "-fsdev", "{", "JSON parse error" },
        { "-fsdev", "{}", "'fsdriver' is missing" },
        { "-fsdev", "{'fsdriver': 'synth', 'id': 5}", "'id'" },
        { "-fsdev", "{'fsdriver': 'synth', 'id': 'a', 'max_xattr': '5'}",
          "'max_xattr'" },
        { "-fsdev", "{'fsdriver': 'synth', 'id': 'a', 'colour': 'red'}",
          "'colour' is unexpected" },
        { "-virtfs", "synth", "'mount_tag' is missing" },
        { "-virtfs", "mount_tag=a", "'fsdriver' is missing" },
        { "-virtfs", "synth,mount_tag=/a", "'id' is missing, and mount_tag "
                                           "'/a' cannot stand for it" },
        { "-virtfs", "synth,mount_tag=a", "id 'a' is another fsdev's", true },
        { "-virtfs", "{'fsdriver': 'synth', 'mount_tag': 5}",
          "'mount_tag' must be a string" },
        { "-device", "virtio-9p-pci,mount_tag=a", "'fsdev' is missing" },
        { "-device", "virtio-9p-pci,mount_tag=a,fsdev=b",
          "there is no fsdev with id 'b'" },
    };
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autofree char *said = NULL;
        g_autofree char *where = g_strdup_printf(
            ": %s %s: ", cases[i].option, cases[i].arg);
        const char *message;
        int status;

        said = run_qemu(cases[i].option, cases[i].arg, cases[i].twice,
                        &status);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 1) {
            g_error("%s %s: wait status 0x%x\n%s", cases[i].option,
                    cases[i].arg, status, said);
        }
        /* One line, which tells what option it is about */
        message = strstr(said, where);
        if (!message || !strstr(message + strlen(where), cases[i].says) ||
            strchr(said, '\n') != said + strlen(said) - 1) {
            g_error("%s %s: \"%s\" was expected, not\n%s", cases[i].option,
                    cases[i].arg, cases[i].says, said);
        }
    }
}

static void test_help(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autofree char *said = NULL;
    int status;

    said = run_qemu("-fsdev", "help", false, &status);
    g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    g_assert_nonnull(strstr(said, "\nsynth\n"));
    g_assert_nonnull(strstr(said, "\nproxy\n"));
}

/* A QEMU with @options has a device of that tag on that fsdev. */
static void assert_device(const char *options, const char *tag,
                          const char *fsdev)
{
    QTestState *qts = qtest_initf("-machine pc -nodefaults %s", options);
    g_autofree char *tree = qtest_hmp(qts, "info qtree");
    g_autofree char *has_tag = g_strdup_printf("mount_tag = \"%s\"", tag);
    g_autofree char *has_fsdev = g_strdup_printf("fsdev = \"%s\"", fsdev);

    g_assert_nonnull(strstr(tree, "dev: virtio-9p-device"));
    g_assert_nonnull(strstr(tree, has_tag));
    g_assert_nonnull(strstr(tree, has_fsdev));
    qtest_quit(qts);
}

static void test_right(void *obj, void *data, QGuestAllocator *alloc)
{
    static const struct {
        const char *options;
        const char *tag;
        const char *fsdev;
    } cases[] = {
        { "-fsdev synth,id=a -device virtio-9p-pci,fsdev=a,mount_tag=b",
          "b", "a" },
        /* The device may come first, and keys in any order. */
        { "-device virtio-9p-pci,fsdev=a,mount_tag=b -fsdev id=a,fsdriver="
          "synth,readonly=on,max_xattr=0", "b", "a" },
        { "-fsdev '{\"fsdriver\":\"synth\",\"id\":\"a\",\"readonly\":true,"
          "\"max_xattr\":5}' -device virtio-9p-pci,fsdev=a,mount_tag=b",
          "b", "a" },
        { "-virtfs synth,mount_tag=hostshare", "hostshare", "hostshare" },
        { "-virtfs synth,mount_tag=/mnt/x,id=a", "/mnt/x", "a" },
        { "-virtfs synth,mount_tag=a,,b,id=a,readonly=off", "a,b", "a" },
        { "-virtfs '{\"fsdriver\":\"synth\",\"mount_tag\":\"t\"}'",
          "t", "t" },
        { "-virtfs synth,mount_tag=a -virtfs synth,mount_tag=b", "b", "b" },
    };
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_device(cases[i].options, cases[i].tag, cases[i].fsdev);
    }
}

/* Tags that no guest could mount by, and the longest that one can */
static void test_device(void *obj, void *data, QGuestAllocator *alloc)
{
    QTestState *qts = qtest_init("-machine pc -nodefaults "
                                 "-fsdev synth,id=a");
    g_autofree char *longest = g_strnfill(4094, 'x');
    g_autofree char *longer = g_strnfill(4095, 'x');
    static const char wrong[] = "{'execute': 'device_add', 'arguments': "
        "{'driver': 'virtio-9p-pci', 'fsdev': 'a', 'mount_tag': %s}}";
    QDict *reply;

    reply = qtest_qmp_assert_failure_ref(qts, wrong, "");
    g_assert_nonnull(strstr(qdict_get_str(reply, "desc"), "'mount_tag'"));
    qobject_unref(reply);
    reply = qtest_qmp_assert_failure_ref(qts, wrong, longer);
    g_assert_nonnull(strstr(qdict_get_str(reply, "desc"), "4095 bytes"));
    qobject_unref(reply);
    qtest_qmp_assert_success(qts, wrong, longest);
    qtest_quit(qts);
}

static void register_tests(void)
{
    qos_add_test("options/wrong", "virtio-9p", test_wrong, NULL);
    qos_add_test("options/help", "virtio-9p", test_help, NULL);
    qos_add_test("options/right", "virtio-9p", test_right, NULL);
    qos_add_test("options/device", "virtio-9p", test_device, NULL);
}
libqos_init(register_tests);
