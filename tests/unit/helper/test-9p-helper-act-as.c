/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of virtfs-proxy-helper: as whom it works on files (--act-as). Without
 * the capabilities that pass over permissions, a local file system looks at ids
 * alone, as a file server does; test-9p-helper-act-as-server.c has such a
 * server. The real program over a real socket.
 */
#include "qemu/osdep.h"
#include "act-as-fixture.h"
#include <linux/securebits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>

static const char *const guest[] = { "--act-as=guest", NULL };
static const char *const guest_powerless[] = {
    "--act-as=guest", POWERLESS, NULL
};
static const char *const guest_groups[] = {
    "--act-as=guest", "--host-groups", NULL
};
static const char *const guest_mapped[] = {
    "--act-as=guest", "--uid-map=0:100000:65536", "--gid-map=0:100000:65536",
    NULL
};
static const char *const guest_squash[] = {
    "--act-as=guest", "--squash=root",
    "--translate-uid=" G_STRINGIFY(ALICE) ":" G_STRINGIFY(BOB) ":1", NULL
};
static const char *const root[] = { "--act-as=root", POWERLESS, NULL };
static const char *const self[] = { NULL };

/* Each user has the own rights, and new files their owners in one step. */
static void test_guest(ProxyFixture *f, gconstpointer options)
{
    uint64_t dir, secret;
    FsAttr attr;
    unsigned i;
    PcNode node;

    if (!begin(f, options)) {
        return;
    }
    g_assert_true(f->c->features & PROXY_FEATURE_USERS);
    g_assert_false(f->c->features & PROXY_FEATURE_ADOPT);
    put(f, "home", S_IFDIR | 0755, ALICE, GROUP);
    put(f, "secret", S_IFDIR | 0700, ALICE, GROUP);
    put(f, "private", S_IFREG | 0600, ALICE, GROUP);
    f->c->user = ALICE;
    dir = node_of(f, "home");
    secret = node_as_root(f, "secret");
    g_assert_cmpint(create(f, dir, "f", BOB), ==, 0);
    has(f, "home/f", ALICE, BOB, S_IFREG | 0640);

    f->c->user = BOB;
    g_assert_cmpint(create(f, dir, "g", BOB), ==, -EACCES);
    g_assert_cmpint(pc_walk1(f->c, secret, "x", &node, &attr), ==, -EACCES);
    g_assert_cmpint(call_readdir(f->c, secret, NULL), ==, -EACCES);
    f->c->user = ALICE;
    g_assert_cmpint(pc_walk1(f->c, secret, "x", &node, &attr), ==, -ENOENT);
    g_assert_cmpint(call_readdir(f->c, secret, NULL), ==, 0);
    g_assert_cmpint(open_as(f, BOB, "private"), ==, -EACCES);
    g_assert_cmpint(open_as(f, ALICE, "private"), ==, 0);
    g_assert_cmpint(open_as(f, 0, "private"), ==,
                    options == guest_powerless ? -EACCES : 0);
    f->c->user = (uint32_t)-1;
    g_assert_cmpint(create(f, dir, "h", BOB), ==, -EPERM);
    g_assert_cmpint(call_handle(f->c, PROXY_GETATTR, dir), ==, -EPERM);
    g_assert_cmpint(call_readdir(f->c, dir, NULL), ==, -EPERM);
    g_assert_false(pf_exists(f, "home/h"));

    /* Whichever thread works, it works for the one who asks. */
    for (i = 0; i < 200; i++) {
        g_autofree char *name = g_strdup_printf("n%u", i);

        f->c->user = i % 3 ? BOB : ALICE;
        g_assert_cmpint(create(f, dir, name, BOB), ==, i % 3 ? -EACCES : 0);
    }
    f->c->user = 0;
}

/* Directories, links and fifos, also of another group */
static void test_make(ProxyFixture *f, gconstpointer options)
{
    static const uint32_t types[] = { S_IFDIR, S_IFLNK, S_IFIFO, S_IFSOCK };
    unsigned i;

    if (!begin(f, options)) {
        return;
    }
    put(f, "home", S_IFDIR | 0755, ALICE, GROUP);
    f->c->user = ALICE;
    for (i = 0; i < G_N_ELEMENTS(types); i++) {
        g_autofree char *name = g_strdup_printf("home/%u", i);

        g_assert_cmpint(make(f, node_of(f, "home"), name + 5, types[i] | 0750,
                             BOB), ==, 0);
        has(f, name, ALICE, BOB,
            types[i] | (types[i] == S_IFLNK ? 0777 : 0750));
    }
    f->c->user = 0;
}

/*
 * The group that a request names is the new object's, but it gives the user no
 * right: neither to what exists, nor in the directory, nor to set the object's
 * set-group-id bit.
 */
static void test_group(ProxyFixture *f, gconstpointer options)
{
    uint64_t open, shut, shared;

    if (!begin(f, options)) {
        return;
    }
    put(f, "open", S_IFDIR | 0777, 0, 0);
    put(f, "open/old", S_IFREG | 0660, 0, GROUP);
    put(f, "shut", S_IFDIR | 0775, 0, GROUP);
    put(f, "shut/old", S_IFREG | 0666, 0, 0);
    put(f, "shared", S_IFDIR | 02777, 0, GROUP);
    put(f, "shared/old", S_IFREG | 0660, 0, GROUP);
    f->c->user = BOB;
    open = node_of(f, "open");
    shut = node_of(f, "shut");
    shared = node_of(f, "shared");

    g_assert_cmpint(create_mode(f, open, "old", 0, 0666, GROUP), ==, -EACCES);
    g_assert_cmpint(create_mode(f, shared, "old", 0, 0666, GROUP), ==,
                    -EACCES);
    g_assert_cmpint(create(f, shut, "f", GROUP), ==, -EACCES);
    g_assert_cmpint(make(f, shut, "d", S_IFDIR | 0755, GROUP), ==, -EACCES);
    g_assert_cmpint(make(f, shut, "l", S_IFLNK | 0777, GROUP), ==, -EACCES);
    /* Nor does it take any away. */
    g_assert_cmpint(create_mode(f, shut, "old", 0, 0666, GROUP), ==, 0);
    g_assert_cmpint(create(f, shut, "old", GROUP), ==, -EEXIST);

    g_assert_cmpint(create_mode(f, open, "f", O_EXCL, 06755, GROUP), ==, 0);
    has(f, "open/f", BOB, GROUP, S_IFREG | 04755);
    g_assert_cmpint(make(f, open, "p", S_IFIFO | 06755, GROUP), ==, 0);
    has(f, "open/p", BOB, GROUP, S_IFIFO | 04755);
    /* A set-group-id directory gives its own group, and directories the bit. */
    g_assert_cmpint(create_mode(f, shared, "f", 0, 0664, GROUP), ==, 0);
    has(f, "shared/f", BOB, GROUP, S_IFREG | 0664);
    g_assert_cmpint(create(f, shared, "g", BOB), ==, 0);
    has(f, "shared/g", BOB, GROUP, S_IFREG | 0640);
    g_assert_cmpint(make(f, shared, "d", S_IFDIR | 02755, GROUP), ==, 0);
    has(f, "shared/d", BOB, GROUP, S_IFDIR | 02755);
    /* The next request is without the group again. */
    g_assert_cmpint(open_as(f, BOB, "open/old"), ==, -EACCES);
    /* User 0 has every right to the group, and asks for its bit. */
    f->c->user = 0;
    g_assert_cmpint(create_mode(f, open, "r", O_EXCL, 06755, GROUP), ==, 0);
    has(f, "open/r", 0, GROUP, S_IFREG | 06755);
}

/* The line of a process' status that begins with @key */
static char *status_of(ProxyFixture *f, const char *key)
{
    g_autofree char *path = g_strdup_printf("/proc/%u/status",
                                            f->c->server_pid);
    g_autofree char *text = NULL;
    const char *at;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    at = strstr(text, key);
    g_assert_nonnull(at);
    return g_strndup(at, strcspn(at, "\n"));
}

/* The helper's capabilities are its root's alone, before and after others. */
static void test_caps(ProxyFixture *f, gconstpointer options)
{
    FsSetAttr change = { .valid = FS_SET_UID, .uid = BOB };
    FsSetAttr mode = { .valid = FS_SET_MODE, .mode = 0666 };
    g_autofree char *line = NULL;
    unsigned i;

    if (!begin(f, options)) {
        return;
    }
    line = status_of(f, "CapPrm:");
    g_assert_nonnull(strstr(line, "00000000000000df"));
    for (i = 0; i < 8; i++) {
        change.uid = BOB + i;
        f->c->user = 0;
        g_assert_cmpint(call_setattr(f->c, node_of(f, "file"), &change), ==,
                        0);
        change.uid = ALICE;
        f->c->user = ALICE;
        g_assert_cmpint(call_setattr(f->c, node_of(f, "file"), &change), ==,
                        -EPERM);
        g_assert_cmpint(call_setattr(f->c, node_of(f, "file"), &mode), ==,
                        -EPERM);
    }
    f->c->user = 0;
}

/*
 * A guest's kernel takes set-id bits away for the user who writes to another's
 * file, as the host's does: the helper lets it, and changes no more.
 */
static void drop_set_id(ProxyFixture *f, uint32_t first)
{
    const uint32_t alice = first + ALICE, group = first + GROUP;
    const FsSetAttr time = { .valid = FS_SET_MTIME };
    static const uint32_t refused[] = {
        0666, 0775, 01777, 07777, 04776, 02000, 0,
    };
    uint64_t prog, shut, dir;
    unsigned i;

    put(f, "prog", S_IFREG | 06777, alice, group);
    put(f, "shut", S_IFREG | 06755, alice, group);
    put(f, "dir2", S_IFDIR | 06777, alice, group);
    put(f, "private", S_IFREG | 0600, alice, group);
    prog = node_as_root(f, "prog");
    shut = node_as_root(f, "shut");
    dir = node_as_root(f, "dir2");
    f->c->user = BOB;
    for (i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_assert_cmpint(set_mode(f, prog, 0, refused[i]), ==, -EPERM);
    }
    has(f, "prog", alice, group, S_IFREG | 06777);
    g_assert_cmpint(set_mode(f, prog, 0, 02777), ==, 0);
    has(f, "prog", alice, group, S_IFREG | 02777);
    g_assert_cmpint(set_mode(f, prog, 0, 06777), ==, -EPERM);
    g_assert_cmpint(set_mode(f, prog, 0, 0777), ==, 0);
    has(f, "prog", alice, group, S_IFREG | 0777);
    g_assert_cmpint(set_mode(f, shut, 0, 0755), ==, -EPERM);
    has(f, "shut", alice, group, S_IFREG | 06755);
    g_assert_cmpint(set_mode(f, dir, 0, 0777), ==, -EPERM);
    has(f, "dir2", alice, group, S_IFDIR | 06777);

    /* The thread is the user's again. */
    g_assert_cmpint(open_as(f, BOB, "private"), ==, -EACCES);
    g_assert_cmpint(call_setattr(f->c, prog, &time), ==, -EPERM);

    /* A truncation */
    f->c->user = ALICE;
    g_assert_cmpint(set_mode(f, prog, 0, 04777), ==, 0);
    f->c->user = BOB;
    g_assert_cmpint(set_mode(f, prog, FS_SET_SIZE | FS_SET_MTIME, 0777), ==,
                    0);
    has(f, "prog", alice, group, S_IFREG | 0777);
    g_assert_cmpint(set_mode(f, shut, FS_SET_SIZE, 0755), ==, -EACCES);

    /* Each of many threads, for an owner with capabilities, too */
    put(f, "roots", S_IFREG | 04666, first, first);
    for (i = 0; i < 100; i++) {
        f->c->user = i % 2 ? BOB : ALICE;
        g_assert_cmpint(set_mode(f, node_as_root(f, "roots"), 0, 0666), ==, 0);
        has(f, "roots", first, first, S_IFREG | 0666);
        g_assert_cmpint(open_as(f, BOB, "private"), ==, -EACCES);
        put(f, "roots", S_IFREG | 04666, first, first);
    }
    f->c->user = 0;
}

static void test_set_id(ProxyFixture *f, gconstpointer options)
{
    if (begin(f, options)) {
        drop_set_id(f, options == guest_mapped ? 100000 : 0);
    }
}

/* Inside a user namespace, users are those that the map has. */
static void test_mapped(ProxyFixture *f, gconstpointer options)
{
    if (!begin(f, options)) {
        return;
    }
    put(f, "home", S_IFDIR | 0755, 100000 + ALICE, 100000 + GROUP);
    put(f, "home/private", S_IFREG | 0600, 100000 + ALICE, 100000 + GROUP);
    g_assert_cmpint(open_as(f, ALICE, "home/private"), ==, 0);
    g_assert_cmpint(open_as(f, BOB, "home/private"), ==, -EACCES);
    g_assert_cmpint(open_as(f, 0, "home/private"), ==, 0);
    f->c->user = ALICE;
    g_assert_cmpint(create(f, node_of(f, "home"), "f", BOB), ==, 0);
    has(f, "home/f", 100000 + ALICE, 100000 + BOB, S_IFREG | 0640);
    /* The map has no such ids. */
    g_assert_cmpint(create(f, node_of(f, "home"), "g", 70000), ==, -EINVAL);
    g_assert_cmpint(open_as(f, 70000, "home/private"), ==, -EPERM);
    f->c->user = 0;
}

/*
 * The host's users and groups
 */

/* From now on, for this process alone, the host's file @path has @text. */
static void replace(ProxyFixture *f, const char *path, const char *text)
{
    g_autofree char *base = g_path_get_basename(path);
    g_autofree char *file = g_build_filename(f->tmp, base, NULL);

    g_assert_true(g_file_set_contents(file, text, -1, NULL));
    g_assert_cmpint(mount(file, path, NULL, MS_BIND, NULL), ==, 0);
}

static bool begin_mounts(void)
{
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0) {
        g_test_skip("this user may make no mount namespace");
        return false;
    }
    g_assert_cmpint(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), ==, 0);
    return true;
}

static bool begin_accounts(ProxyFixture *f, const char *const *options)
{
    if (!begin_mounts()) {
        return false;
    }
    replace(f, "/etc/passwd", "root:x:0:0::/:/bin/sh\n"
            "alice:x:1234:1000::/:/bin/sh\n"
            "again:x:1234:0::/:/bin/sh\n"
            "bob:x:4321:2000::/:/bin/sh\n");
    replace(f, "/etc/group", "root:x:0:\nalices:x:1000:\nbobs:x:2000:\n"
            "both:x:777:alice,bob\nhers:x:778:alice\n");
    f->c = pc_open(f->dir, options);
    return true;
}

static void end_accounts(void)
{
    g_assert_cmpint(umount("/etc/passwd"), ==, 0);
    g_assert_cmpint(umount("/etc/group"), ==, 0);
}

/* With --host-groups, the user's groups are the host's, and no others. */
static void test_groups(ProxyFixture *f, gconstpointer options)
{
    uint64_t home;

    if (!begin_accounts(f, options)) {
        return;
    }
    put(f, "both", S_IFREG | 0640, 0, 777);
    put(f, "hers", S_IFREG | 0640, 0, 778);
    put(f, "alices", S_IFREG | 0640, 0, 1000);
    put(f, "roots", S_IFREG | 0640, 0, 0);
    g_assert_cmpint(open_as(f, ALICE, "both"), ==, 0);
    g_assert_cmpint(open_as(f, BOB, "hers"), ==, -EACCES);
    g_assert_cmpint(open_as(f, ALICE, "hers"), ==, 0);
    g_assert_cmpint(open_as(f, ALICE, "alices"), ==, 0);
    g_assert_cmpint(open_as(f, BOB, "alices"), ==, -EACCES);
    g_assert_cmpint(open_as(f, BOB, "both"), ==, 0);
    g_assert_cmpint(open_as(f, ALICE, "roots"), ==, -EACCES);
    g_assert_cmpint(open_as(f, 5555, "both"), ==, -EACCES);
    put(f, "prog", S_IFREG | 06660, 0, 777);
    f->c->user = 5555;
    g_assert_cmpint(set_mode(f, node_as_root(f, "prog"), 0, 02660), ==,
                    -EPERM);
    f->c->user = BOB;
    g_assert_cmpint(set_mode(f, node_as_root(f, "prog"), 0, 02660), ==, 0);
    has(f, "prog", 0, 777, S_IFREG | 02660);
    put(f, "home", S_IFDIR | 0777, 0, 0);
    put(f, "team", S_IFDIR | 0775, 0, 777);
    f->c->user = ALICE;
    home = node_of(f, "home");
    g_assert_cmpint(create(f, home, "own", 1000), ==, 0);
    has(f, "home/own", ALICE, 1000, S_IFREG | 0640);
    g_assert_cmpint(create_mode(f, home, "both", O_EXCL, 02755, 777), ==, 0);
    has(f, "home/both", ALICE, 777, S_IFREG | 02755);
    g_assert_cmpint(create(f, node_of(f, "team"), "f", 1000), ==, 0);
    has(f, "team/f", ALICE, 1000, S_IFREG | 0640);
    /* Not one of hers: the file has her first group. */
    g_assert_cmpint(create(f, home, "bobs", 2000), ==, 0);
    has(f, "home/bobs", ALICE, 1000, S_IFREG | 0640);
    /* Then she has not asked for the rights of that group either. */
    g_assert_cmpint(create_mode(f, home, "prog", O_EXCL, 06755, 2000), ==, 0);
    has(f, "home/prog", ALICE, 1000, S_IFREG | 04755);
    /* A user whom the host does not know */
    f->c->user = 5555;
    g_assert_cmpint(create(f, home, "none", 777), ==, 0);
    has(f, "home/none", 5555, NOBODY, S_IFREG | 0640);
    f->c->user = 0;
    end_accounts();
}

/* Only for files it is root, and the capability for that has gone. */
static void test_root(ProxyFixture *f, gconstpointer options)
{
    g_autofree char *uids = NULL;
    g_autofree char *caps = NULL;
    g_auto(GStrv) uid = NULL;
    FsAttr attr;
    int fd;

    if (!begin(f, options)) {
        return;
    }
    g_assert_false(f->c->features & PROXY_FEATURE_USERS);
    g_assert_true(f->c->features & PROXY_FEATURE_ADOPT);
    put(f, "mine", S_IFREG | 0600, 0, 0);
    put(f, "theirs", S_IFREG | 0600, ALICE, GROUP);
    g_assert_cmpint(call_open(f->c, node_of(f, "mine"), O_RDWR, &fd), ==, 0);
    close(fd);
    g_assert_cmpint(call_open(f->c, node_of(f, "theirs"), O_RDWR, &fd), ==,
                    -EACCES);
    g_assert_cmpint(call_make(f->c, PROXY_ROOT_HANDLE, "d", S_IFDIR | 0700, 0,
                              "", &attr), ==, -EPERM);
    g_assert_false(pf_exists(f, "d"));
    uids = status_of(f, "Uid:");
    uid = g_strsplit(uids, "\t", -1);
    g_assert_cmpstr(uid[1], !=, "0");
    g_assert_cmpstr(uid[2], !=, "0");
    g_assert_cmpstr(uid[3], !=, "0");
    g_assert_cmpstr(uid[4], ==, "0");
    caps = status_of(f, "CapPrm:");
    g_assert_nonnull(strstr(caps, "0000000000000010"));
}

/* The helper does not wait without end for the host's users, nor keep any. */
static void test_users(ProxyFixture *f, gconstpointer options)
{
    static const char *const users[] = {
        "--act-as=guest", "--host-groups", "--user=12345", "--group=12345",
        NULL,
    };
    g_autoptr(GString) many = g_string_new("");
    g_autofree char *fifo = g_build_filename(f->tmp, "fifo", NULL);
    unsigned i;

    if (!begin_mounts()) {
        return;
    }
    for (i = 0; i < 65537; i++) {
        g_string_append_printf(many, "u%u:x:%u:%u::/:\n", i, i, i);
    }
    replace(f, "/etc/passwd", many->str);
    replace(f, "/etc/group", "");
    pf_refuses(f, users, "--host-groups: cannot read the host's users: there "
               "are more than 65536");
    end_accounts();

    if (g_test_slow()) {
        /* Nobody writes there: to read it takes for ever. */
        g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
        g_assert_cmpint(mount(fifo, "/etc/group", NULL, MS_BIND, NULL), ==, 0);
        pf_refuses(f, users, "--host-groups: cannot read the host's users: "
                   "they did not come in 10 seconds");
        g_assert_cmpint(umount("/etc/group"), ==, 0);
    }
}

static void test_options(ProxyFixture *f, gconstpointer options)
{
    static const struct {
        const char *options[4];
        const char *error;
        bool root;              /* others may have no such ids */
    } bad[] = {
        { { "--act-as=x" }, "--act-as x: not one of" },
        { { "--host-groups" }, "--host-groups: only with" },
        { { "--act-as=guest", "--special-files=mapped" },
          "--special-files mapped: not with --act-as guest" },
        { { "--act-as=guest", "--file-handles=auto" },
          "--file-handles: not with --act-as guest" },
        { { "--act-as=guest", "--modcaps=+setfcap" },
          "--modcaps +setfcap: not with --act-as guest" },
        { { "--act-as=guest", "--uid-map=0:100000:65536",
            "--gid-map=0:100000:1000" },
          "--act-as guest: there is no group 65534", .root = true },
        { { "--act-as=root", "--uid-map=0:1:1", "--gid-map=0:1:1" },
          "--act-as root: only if root starts the helper" },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        if (!bad[i].root || geteuid() == 0) {
            pf_refuses(f, bad[i].options, bad[i].error);
        }
    }
    f->c = pc_open(f->dir, (const char *[]) { NULL });
}

/* Some starters let a process keep its capabilities when it changes its ids. */
static void test_secure_bits(ProxyFixture *f, gconstpointer options)
{
    int bits = prctl(PR_GET_SECUREBITS);

    if (prctl(PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP) < 0) {
        g_test_skip("this user may not set secure bits");
        return;
    }
    pf_refuses(f, guest, "--act-as guest: the starter has set the secure bit");
    g_assert_cmpint(prctl(PR_SET_SECUREBITS, bits), ==, 0);
}

/*
 * The user who asks is squashed and translated like the owners of files: the
 * guest's root has no rights on the host, and ALICE those of the host's BOB.
 */
static void test_squash(ProxyFixture *f, gconstpointer options)
{
    uint64_t home, open_dir;
    int fd;

    if (!begin(f, options)) {
        return;
    }
    put(f, "roots", S_IFREG | 0600, 0, 0);
    put(f, "home", S_IFDIR | 0700, BOB, GROUP);
    put(f, "open", S_IFDIR | 0777, 0, 0);
    f->c->user = ALICE;
    home = node_of(f, "home");
    open_dir = node_of(f, "open");
    g_assert_cmpint(create(f, home, "f", GROUP), ==, 0);
    has(f, "home/f", BOB, GROUP, S_IFREG | 0640);
    g_assert_cmpint(make(f, home, "d", S_IFDIR | 0750, GROUP), ==, 0);
    has(f, "home/d", BOB, GROUP, S_IFDIR | 0750);

    f->c->user = 0;
    g_assert_cmpint(call_open(f->c, node_of(f, "roots"), O_RDONLY, &fd), ==,
                    -EACCES);
    g_assert_cmpint(create(f, home, "g", GROUP), ==, -EACCES);
    g_assert_cmpint(create(f, open_dir, "g", GROUP), ==, 0);
    has(f, "open/g", NOBODY, GROUP, S_IFREG | 0640);

    /* A user who has no place on the host */
    f->c->user = BOB;
    g_assert_cmpint(create(f, open_dir, "h", GROUP), ==, -EINVAL);
    g_assert_cmpint(call_handle(f->c, PROXY_GETATTR, open_dir), ==, -EINVAL);
    g_assert_false(pf_exists(f, "open/h"));
}

int main(int argc, char **argv)
{
    pf_init(&argc, &argv, "/9p/helper/act-as");
    pf_add_made("guest", guest, test_guest);
    pf_add_made("guest/powerless", guest_powerless, test_guest);
    pf_add_made("make", guest, test_make);
    pf_add_made("group", guest, test_group);
    pf_add_made("caps", guest, test_caps);
    pf_add_made("set-id", guest, test_set_id);
    pf_add_made("set-id/powerless", guest_powerless, test_set_id);
    pf_add_made("set-id/mapped", guest_mapped, test_set_id);
    pf_add_made("mapped", guest_mapped, test_mapped);
    pf_add_made("secure-bits", guest, test_secure_bits);
    pf_add_made("groups", guest_groups, test_groups);
    pf_add_made("users", guest_groups, test_users);
    pf_add_made("squash", guest_squash, test_squash);
    pf_add_made("root", root, test_root);
    pf_add_made("options", self, test_options);
    return g_test_run();
}
