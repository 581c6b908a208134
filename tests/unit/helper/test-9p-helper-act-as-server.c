/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of virtfs-proxy-helper: as whom it works on files (--act-as), on a file
 * server that looks at the ids in each request. The real program over a real
 * socket.
 */
#include "qemu/osdep.h"
#include "act-as-fixture.h"
#include "tests/unit/shared/test-fuse.h"
#include <sys/mount.h>

static const char *const guest[] = { "--act-as=guest", NULL };
static const char *const root[] = { "--act-as=root", NULL };
static const char *const self[] = { NULL };

/*
 * Mounts one with @habits on the export, and starts a helper; false: the test
 * is skipped.
 */
static bool begin_server(ProxyFixture *f, const char *const *options,
                         unsigned habits, char **log)
{
    const char *args[] = {
        "-n", "-f", G_STRINGIFY(PC_SOCK_FD), "-p", f->dir, options[0], NULL,
    };
    int socks[2], text[2];
    char buf[1024];
    ssize_t len;

    if (!test_fuse_start(f->dir, habits)) {
        g_test_skip("this user may not mount a FUSE file system");
        return false;
    }
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks),
                    ==, 0);
    g_assert_cmpint(pipe2(text, O_CLOEXEC | O_NONBLOCK), ==, 0);
    f->c = pc_new(socks[0], pc_spawn(args, PC_NOBODY, socks[1], text[1]));
    close(socks[1]);
    close(text[1]);
    pc_hello(f->c, 0);
    len = read(text[0], buf, sizeof(buf));
    *log = g_strndup(buf, MAX(len, 0));
    g_test_message("said: %s", *log);
    close(text[0]);
    return true;
}

static void end_server(ProxyFixture *f)
{
    g_assert_cmpint(pc_close(f->c), ==, 0);
    f->c = NULL;
    g_assert_cmpint(umount2(f->dir, MNT_DETACH), ==, 0);
}

/* It refuses the helper's own user, who then says what to do. */
static void test_server_self(ProxyFixture *f, gconstpointer options)
{
    g_autofree char *log = NULL;
    FsAttr attr;

    if (!begin_server(f, options, TEST_FUSE_OWNERS, &log)) {
        return;
    }
    g_assert_nonnull(strstr(log, "use --act-as=root, if it trusts"));
    g_assert_cmpint(call_make(f->c, PROXY_ROOT_HANDLE, "d", S_IFDIR | 0700, 0,
                              "", &attr), ==, -EACCES);
    end_server(f);
}

/* No trace of the try stays, whatever the server answers. */
static void test_server_late(ProxyFixture *f, gconstpointer options)
{
    g_autofree char *log = NULL;
    g_autoptr(GDir) dir = NULL;

    if (!begin_server(f, options, TEST_FUSE_LATE, &log)) {
        return;
    }
    g_assert_nonnull(strstr(log, "use --act-as=root, if it trusts"));
    dir = g_dir_open(f->dir, 0, NULL);
    g_assert_nonnull(dir);
    g_assert_cmpstr(g_dir_read_name(dir), ==, NULL);
    end_server(f);
}

static void test_server_root(ProxyFixture *f, gconstpointer options)
{
    g_autofree char *log = NULL;
    FsAttr attr;

    if (!begin_server(f, options, TEST_FUSE_OWNERS, &log)) {
        return;
    }
    g_assert_cmpstr(log, ==, "");
    g_assert_cmpint(call_make(f->c, PROXY_ROOT_HANDLE, "d", S_IFDIR | 0700, 0,
                              "", &attr), ==, 0);
    g_assert_cmpuint(attr.uid, ==, GUEST_UID);
    g_assert_cmpuint(attr.gid, ==, GUEST_GID);
    end_server(f);
}

static void test_server_guest(ProxyFixture *f, gconstpointer options)
{
    g_autofree char *log = NULL;
    struct stat st;

    if (!begin_server(f, options, TEST_FUSE_OWNERS, &log)) {
        return;
    }
    g_assert_cmpstr(log, ==, "");
    put(f, "home", S_IFDIR | 0755, ALICE, GROUP);
    f->c->user = ALICE;
    g_assert_cmpint(create(f, node_of(f, "home"), "f", BOB), ==, 0);
    pf_stat(f, "home/f", &st);
    g_assert_cmpuint(st.st_uid, ==, ALICE);
    g_assert_cmpuint(st.st_gid, ==, BOB);
    f->c->user = BOB;
    g_assert_cmpint(create(f, node_of(f, "home"), "g", BOB), ==, -EACCES);
    end_server(f);
}

/*
 * A group that a request names gives no right there either: such a server
 * permits everything until the request itself comes.
 */
static void test_server_group(ProxyFixture *f, gconstpointer options)
{
    FsSetAttr change = { .valid = FS_SET_MODE, .mode = 06711 };
    g_autofree char *log = NULL;
    uint64_t shut, open;
    struct stat st;

    if (!begin_server(f, options, TEST_FUSE_OWNERS, &log)) {
        return;
    }
    put(f, "shut", S_IFDIR | 0775, 0, GROUP);
    put(f, "open", S_IFDIR | 0777, 0, GROUP);
    put(f, "nobodys", S_IFDIR | 0757, 0, NOBODY);
    f->c->user = BOB;
    shut = node_of(f, "shut");
    open = node_of(f, "open");
    g_assert_cmpint(create(f, shut, "f", GROUP), ==, -EACCES);
    g_assert_cmpint(make(f, shut, "d", S_IFDIR | 0755, GROUP), ==, -EACCES);
    g_assert_cmpint(create(f, node_of(f, "nobodys"), "f", GROUP), ==, -EACCES);
    g_assert_cmpint(create(f, open, "f", GROUP), ==, 0);
    pf_stat(f, "open/f", &st);
    g_assert_cmpuint(st.st_uid, ==, BOB);
    g_assert_cmpuint(st.st_gid, ==, GROUP);
    /* Nor does the server know that the user may not have this bit. */
    g_assert_cmpint(call_setattr(f->c, node_of(f, "open/f"), &change), ==, 0);
    pf_stat(f, "open/f", &st);
    g_assert_cmphex(st.st_mode & 07777, ==, 04711);
    g_assert_cmpint(create(f, open, "own", NOBODY), ==, 0);
    g_assert_cmpint(call_setattr(f->c, node_of(f, "open/own"), &change), ==,
                    0);
    pf_stat(f, "open/own", &st);
    g_assert_cmphex(st.st_mode & 07777, ==, 06711);
    end_server(f);
}

/* It asks who owns the file, and not who may write to it. */
static void test_server_set_id(ProxyFixture *f, gconstpointer options)
{
    g_autofree char *log = NULL;
    struct stat st;
    uint64_t node;

    if (!begin_server(f, options, TEST_FUSE_OWNERS, &log)) {
        return;
    }
    put(f, "prog", S_IFREG | 06666, ALICE, GROUP);
    put(f, "shut", S_IFREG | 06664, ALICE, GROUP);
    node = node_as_root(f, "prog");
    f->c->user = BOB;
    g_assert_cmpint(set_mode(f, node, 0, 02666), ==, 0);
    pf_stat(f, "prog", &st);
    g_assert_cmphex(st.st_mode & 07777, ==, 02666);
    g_assert_cmpint(set_mode(f, node, 0, 02644), ==, -EPERM);
    g_assert_cmpint(set_mode(f, node_as_root(f, "shut"), 0, 0664), ==, -EPERM);
    pf_stat(f, "shut", &st);
    g_assert_cmphex(st.st_mode & 07777, ==, 06664);
    f->c->user = 0;
    end_server(f);
}

/*
 * It asks at each read of a directory for whom that is: the helper reads it for
 * the user.
 */
static void test_server_readdir(ProxyFixture *f, gconstpointer options)
{
    g_autofree char *log = NULL;
    uint64_t home;

    if (!begin_server(f, options, TEST_FUSE_OWNERS, &log)) {
        return;
    }
    put(f, "home", S_IFDIR | 0700, ALICE, GROUP);
    home = node_as_root(f, "home");
    f->c->user = ALICE;
    g_assert_cmpint(call_readdir(f->c, home, NULL), ==, 0);
    f->c->user = BOB;
    g_assert_cmpint(call_readdir(f->c, home, NULL), ==, -EACCES);
    end_server(f);
}

int main(int argc, char **argv)
{
    pf_init(&argc, &argv, "/9p/helper/act-as-server");
    pf_add_made("self", self, test_server_self);
    pf_add_made("late", self, test_server_late);
    pf_add_made("root", root, test_server_root);
    pf_add_made("guest", guest, test_server_guest);
    pf_add_made("group", guest, test_server_group);
    pf_add_made("readdir", guest, test_server_readdir);
    pf_add_made("set-id", guest, test_server_set_id);
    return g_test_run();
}
