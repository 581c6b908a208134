/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of virtfs-proxy-helper's command line: bad options are refused with one
 * line, and --help, --version and --print-capabilities answer.
 */
#include "qemu/osdep.h"
#include "start-fixture.h"
#include "qapi/error.h"
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "qobject/qlist.h"
#include "qobject/qstring.h"
#include <sys/socket.h>

static void test_bad_options(void)
{
    static const struct {
        const char *args[9];
        const char *word;
    } bad[] = {
        { { NULL }, "--path" },
        { { "-p", "/", NULL }, "--fd" },
        { { "-p", "/", "-f", "3", "-s", "/x", NULL }, "--socket" },
        { { "-p", "/none", "-s", "/tmp/x", "-n", NULL }, "--path /none" },
        { { "-p", "/etc/passwd", "-s", "/tmp/x", "-n", NULL },
          "--path /etc/passwd" },
        { { "-p", "", "-s", "/tmp/x", "-n", NULL }, "--path" },
        { { "-p", "/", "-f", "x", NULL }, "--fd x" },
        { { "-p", "/", "-f", "-1", NULL }, "--fd -1" },
        { { "-p", "/", "-f", "", NULL }, "--fd" },
        { { "-p", "/", "-f", "99999999999999999999", NULL }, "--fd 9999" },
        { { "-p", "/", "-f", "77", "-n", NULL }, "--fd 77: no such" },
        { { "-p", "/", "-f", "5", "-n", NULL }, "--fd 5: no such" },
        { { "-p", "/", "-f", "1", "-n", NULL }, "--fd 1" },
        { { "-p", "/", "-f", "3", "--threads", "0", NULL }, "--threads 0" },
        { { "-p", "/", "-f", "3", "--threads", "65", NULL }, "--threads 65" },
        { { "-p", "/", "-f", "3", "--threads", "4x", NULL }, "--threads 4x" },
        { { "-p", "/", "-f", "3", "--rlimit-nofile", "255", NULL },
          "--rlimit-nofile 255: not a number from 256 to 1048576" },
        { { "-p", "/", "-f", "3", "--rlimit-nofile", "1048577", NULL },
          "--rlimit-nofile 1048577: not" },
        { { "-p", "/", "-f", "3", "--rlimit-nofile", "-1", NULL },
          "--rlimit-nofile -1: not" },
        { { "-p", "/", "-f", "3", "--rlimit-nofile", "1k", NULL },
          "--rlimit-nofile 1k: not" },
        { { "-p", "/", "-f", "3", "--memory-limit", "0", NULL },
          "--memory-limit 0: not a number of MiB from 1 to 1048576" },
        { { "-p", "/", "-f", "3", "--memory-limit", "-1", NULL },
          "--memory-limit -1: not" },
        { { "-p", "/", "-f", "3", "--memory-limit", "G", NULL },
          "--memory-limit G: not" },
        { { "-p", "/", "-f", "3", "--memory-limit", "1025G", NULL },
          "--memory-limit 1025G: not" },
        { { "-p", "/", "-f", "3", "--memory-limit", "100MM", NULL },
          "--memory-limit 100MM: not" },
        { { "-p", "/", "-f", "3", "--user", "no such", NULL },
          "--user no such" },
        { { "-p", "/", "-f", "3", "--group", "no such", NULL },
          "--group no such" },
        { { "-p", "/", "-f", "3", "-u", "no such", NULL }, "--uid no such" },
        { { "-p", "/", "-f", "3", "-g", "no such", NULL }, "--gid no such" },
        { { "-p", "/", "-f", "3", "--bogus", NULL }, "--bogus" },
        { { "-p", "/", "-f", "3", "-z", NULL }, "-z" },
        { { "-p", "/", "-f", "3", "--readonly=yes", NULL }, "--readonly=yes" },
        { { "-p", "/", "-f", NULL }, "--fd" },
        { { "-p", "/", "-f", "3", "more", NULL }, "more" },
        { { "-p", "/", "-s", "", NULL }, "--socket" },
        { { "-p", "/", "-n", "-s", "/none/sock", NULL },
          "--socket /none/sock" },
        { { "-p", "/", "-f", "3", "--user", "0", NULL }, "--user" },
        { { "-p", "/", "-f", "3", "--group", "0", NULL }, "--group" },
        { { "-p", "/", "-f", "3", "--user", "root", NULL }, "--user" },
        { { "-p", "/", "-f", "3", "--modcaps=", NULL }, "--modcaps" },
        { { "-p", "/", "-f", "3", "--sandbox=jail", NULL }, "--sandbox jail" },
        { { "-p", "/", "-f", "3", "--modcaps=mknod", NULL }, "'mknod'" },
        { { "-p", "/", "-f", "3", "--file-handles=yes", NULL },
          "--file-handles yes: not one of on, auto, off" },
        { { "-p", "/", "-f", "3", "--uid-map=", NULL }, "--uid-map : '' is" },
        { { "-p", "/", "-f", "3", "--uid-map", "0:1", NULL },
          "--uid-map 0:1: '0:1' is not INSIDE:OUTSIDE:COUNT" },
        { { "-p", "/", "-f", "3", "--uid-map", "0:1:1,x:2:1", NULL },
          "'x:2:1' is not INSIDE:OUTSIDE:COUNT" },
        { { "-p", "/", "-f", "3", "--gid-map", "0:-1:1", NULL },
          "--gid-map 0:-1:1: '0:-1:1' is not" },
        { { "-p", "/", "-f", "3", "--gid-map", ":0:1:1", NULL },
          "':0:1:1' is not" },
        { { "-p", "/", "-f", "3", "--gid-map", "0:1:1,", NULL }, "'' is not" },
        { { "-p", "/", "-f", "3", "--uid-map", "0:1:0", NULL },
          "'0:1:0' has no ids" },
        { { "-p", "/", "-f", "3", "--uid-map", "0:4294967295:1", NULL },
          "goes beyond" },
        { { "-p", "/", "-f", "3", "--uid-map", "1:1:4294967295", NULL },
          "goes beyond" },
        { { "-p", "/", "-f", "3", "--uid-map", "0:1:4294967296", NULL },
          "is not INSIDE:OUTSIDE:COUNT" },
        { { "-p", "/", "-f", "3", "--uid-map", "0:10:5,4:20:1", NULL },
          "'4:20:1' overlaps with an earlier range" },
        { { "-p", "/", "-f", "3", "--uid-map", "0:10:5",
            "--uid-map", ":5:14:9:", NULL },
          "':5:14:9:' overlaps with an earlier range" },
        { { "-p", "/", "-f", "3", "--uid-map", "1:10:5", NULL },
          "--uid-map: no range has id 0" },
        { { "-p", "/", "-f", "3", "--gid-map", "1:10:5", NULL },
          "--gid-map: no range has id 0" },
        { { "-p", "/", "-f", "3", "--modcaps=+mknod:+sys_admin", NULL },
          "'+sys_admin'" },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        expect_error(bad[i].args, -1, bad[i].word);
    }
}

static void test_bad_sockets(void)
{
    static const char *const args[] = { "-n", "-p", "/", "-f", "3", NULL };
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int dgram[2];
    int fd;

    expect_error(args, null, "not a socket");
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        expect_error(args, fd, "not a UNIX socket");
        close(fd);
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    expect_error(args, fd, "not a connected socket");
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, dgram),
                    ==, 0);
    expect_error(args, dgram[0], "not a stream socket");
    close(dgram[0]);
    close(dgram[1]);
    close(fd);
    close(null);
}

/* Maps that root, or an ordinary user, may not ask for */
static void test_bad_maps(void)
{
    static const struct {
        const char *args[12];
        const char *word;
    } root[] = {
        { { "-p", "/", "-f", "3", "--uid-map", "0:1000:1", NULL },
          "--uid-map: as root, --gid-map is needed" },
        { { "-p", "/", "-f", "3", "--gid-map", "0:1000:1", NULL },
          "--gid-map: as root, --uid-map is needed" },
        { { "-p", "/", "-f", "3", "--gid-map", "0:1000:1", "--uid-map",
            "0:0:65536", NULL }, "--uid-map: id 0 inside is 0 on the host" },
        { { "-p", "/", "-f", "3", "--gid-map", "0:0:1", "--uid-map",
            "0:1000:1", NULL }, "--gid-map: id 0 inside is 0 on the host" },
        { { "-p", "/", "-f", "3", "--gid-map", "0:1000:1", "--uid-map",
            "0:1000:1", "--user", "7001", NULL }, "--user: with --uid-map" },
    }, user[] = {
        /* Not the user's in /etc/subuid */
        { { "-n", "-p", "/", "-f", "3", "--uid-map", "0:4000000000:10", NULL },
          "--uid-map and --gid-map:" },
        { { "-n", "-p", "/", "-f", "3", "--gid-map", "0:0:1", NULL },
          "--uid-map and --gid-map:" },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(user); i++) {
        g_autofree char *text = NULL;
        int fds[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
                                   fds), ==, 0);
        g_assert_cmpint(pc_run(user[i].args, geteuid() ? PC_NOBODY :
                               LONELY_UID, fds[1], &text), ==, 1);
        close(fds[0]);
        close(fds[1]);
        if (!strstr(text, user[i].word) &&
            !strstr(text, "cannot make a user namespace")) {
            g_error("no '%s': '%s'", user[i].word, text);
        }
    }
    if (skip_unless_root()) {
        return;
    }
    for (i = 0; i < G_N_ELEMENTS(root); i++) {
        expect_error(root[i].args, -1, root[i].word);
    }
}

/* JSON for management software, whatever the other options are */
static void test_print_capabilities(void)
{
    static const char *const args[] = {
        "--bogus", "--print-capabilities", "-f", "x", NULL
    };
    g_autofree char *text = NULL;
    QDict *answer;
    QList *options;
    const QListEntry *entry;
    bool found = false;

    g_assert_cmpint(pc_run(args, PC_NOBODY, -1, &text), ==, 0);
    answer = qobject_to(QDict, qobject_from_json(text, &error_abort));
    g_assert_nonnull(answer);
    g_assert_cmpstr(qdict_get_str(answer, "type"), ==, "fsdev-proxy");
    g_assert_cmpint(qlist_size(qdict_get_qlist(answer, "protocol-versions")),
                    ==, HELPER_HAS_V1 ? 2 : 1);
    g_assert_false(qlist_empty(qdict_get_qlist(answer, "features")));
    options = qdict_get_qlist(answer, "options");
    QLIST_FOREACH_ENTRY(options, entry) {
        QString *name = qobject_to(QString, qlist_entry_obj(entry));

        found |= g_str_equal(qstring_get_str(name), "uid-map");
    }
    g_assert_true(found);
    qobject_unref(answer);
}

static void test_help(void)
{
    static const char *const help[] = { "--help", NULL };
    static const char *const version[] = { "--version", NULL };
    g_autofree char *text = NULL;
    g_autofree char *version_text = NULL;

    g_assert_cmpint(pc_run(help, PC_NOBODY, -1, &text), ==, 0);
    g_assert_nonnull(strstr(text, "--path"));
    g_assert_nonnull(strstr(text, "--user"));
    g_assert_cmpint(pc_run(version, PC_NOBODY, -1, &version_text), ==, 0);
    g_assert_true(g_str_has_prefix(version_text, "virtfs-proxy-helper "));
}

int main(int argc, char **argv)
{
    sf_init(&argc, &argv);

    g_test_add_func("/9p-helper-start/bad-options", test_bad_options);
    g_test_add_func("/9p-helper-start/bad-sockets", test_bad_sockets);
    g_test_add_func("/9p-helper-start/bad-maps", test_bad_maps);
    g_test_add_func("/9p-helper-start/help", test_help);
    g_test_add_func("/9p-helper-start/print-capabilities",
                    test_print_capabilities);
    return sf_run();
}
