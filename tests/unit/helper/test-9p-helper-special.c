/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of virtfs-proxy-helper: devices of the guest that are regular files on
 * the host (--special-files=mapped). The real program over a real socket.
 */
#include "qemu/osdep.h"
#include "proxy-calls.h"
#include "tests/unit/shared/test-fuse.h"
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define MODE    "user.virtfs.mode"
#define RDEV    "user.virtfs.rdev"

/* The host's mode of a file that stands for a device */
#define MARK    01000

static char *path_of(const ProxyFixture *f, const char *name)
{
    return g_build_filename(f->dir, name, NULL);
}

static FsAttr seen(ProxyFixture *f, const char *name)
{
    FsAttr walked, got;
    PcNode node;

    g_assert_cmpint(pc_walk(f->c, name, &node, &walked), ==, 0);
    if (node.fd >= 0) {
        close(node.fd);
    }
    g_assert_cmpint(call_handle(f->c, PROXY_GETATTR, node.handle), ==, 0);
    proxy_get_attr(&f->c->in, &got);
    g_assert_true(marshal_done(&f->c->in));
    g_assert_cmphex(got.mode, ==, walked.mode);
    g_assert_cmphex(got.rdev, ==, walked.rdev);
    g_assert_cmpuint(got.uid, ==, walked.uid);
    return got;
}

static void make(ProxyFixture *f, const char *name, uint32_t mode, dev_t rdev)
{
    FsAttr attr;

    g_assert_cmpint(call_make(f->c, PROXY_ROOT_HANDLE, name, mode, rdev, "",
                              &attr), ==, 0);
    g_assert_cmphex(attr.mode, ==, mode);
    g_assert_cmphex(attr.rdev, ==, rdev);
    g_assert_cmpuint(attr.uid, ==, GUEST_UID);
    g_assert_cmpuint(attr.gid, ==, GUEST_GID);
    g_assert_cmpuint(attr.size, ==, 0);
}

static void expect_bytes(const ProxyFixture *f, const char *name,
                         const char *xattr, const char *bytes, size_t n)
{
    g_autofree char *path = path_of(f, name);
    char got[16];
    ssize_t len;

    /* Its mode has no permissions: give the owner one to look with. */
    g_assert_cmpint(chmod(path, MARK | 0600), ==, 0);
    len = getxattr(path, xattr, got, sizeof(got));
    g_assert_cmpint(chmod(path, MARK), ==, 0);
    g_assert_cmpmem(got, MAX(len, 0), bytes, n);
}

/* What the guest and the host see of new devices */
static void test_make(ProxyFixture *f, gconstpointer unused)
{
    struct stat st;
    FsAttr attr;

    g_assert_true(f->c->features & PROXY_FEATURE_MAPS_DEVICES);
    make(f, "tty", S_IFCHR | 0620, makedev(5, 1));
    make(f, "disk", S_IFBLK | 0660, makedev(0x123, 0x45678));
    make(f, "fifo", S_IFIFO | 0640, 0);
    make(f, "socket", S_IFSOCK | 0755, 0);
    g_assert_cmpint(call_make(f->c, PROXY_ROOT_HANDLE, "tty", S_IFCHR | 0600,
                              makedev(1, 1), "", &attr), ==, -EEXIST);

    attr = seen(f, "tty");
    g_assert_cmphex(attr.mode, ==, S_IFCHR | 0620);
    g_assert_cmphex(attr.rdev, ==, makedev(5, 1));
    attr = seen(f, "disk");
    g_assert_cmphex(attr.mode, ==, S_IFBLK | 0660);
    g_assert_cmphex(attr.rdev, ==, makedev(0x123, 0x45678));

    pf_stat(f, "tty", &st);
    g_assert_cmphex(st.st_mode, ==, S_IFREG | MARK);
    g_assert_cmpuint(st.st_size, ==, 0);
    g_assert_cmpuint(st.st_nlink, ==, 1);
    g_assert_cmpuint(st.st_uid, ==, geteuid() ? geteuid() : GUEST_UID);
    expect_bytes(f, "tty", MODE, "\x90\x21\0\0", 4);
    expect_bytes(f, "tty", RDEV, "\x01\x05\0\0\0\0\0\0", 8);
    expect_bytes(f, "disk", MODE, "\xb0\x61\0\0", 4);
    pf_stat(f, "fifo", &st);
    g_assert_cmphex(st.st_mode, ==, S_IFIFO | 0640);
    pf_stat(f, "socket", &st);
    g_assert_cmphex(st.st_mode, ==, S_IFSOCK | 0755);
}

static int set(ProxyFixture *f, const char *name, FsSetAttr change)
{
    return call_setattr(f->c, node_of(f, name), &change);
}

static void test_change(ProxyFixture *f, gconstpointer unused)
{
    struct stat before, st;
    FsAttr attr;

    make(f, "dev", S_IFCHR | 04770, makedev(1, 3));
    pf_stat(f, "dev", &before);
    g_usleep(20000);
    g_assert_cmpint(set(f, "dev", (FsSetAttr) {
        .valid = FS_SET_MODE, .mode = 04666 }), ==, 0);
    g_assert_cmphex(seen(f, "dev").mode, ==, S_IFCHR | 04666);
    pf_stat(f, "dev", &st);
    g_assert_cmphex(st.st_mode, ==, S_IFREG | MARK);
    g_assert_true(st.st_ctim.tv_sec != before.st_ctim.tv_sec ||
                  st.st_ctim.tv_nsec != before.st_ctim.tv_nsec);

    /* chown(2) takes set-id bits away. */
    g_assert_cmpint(set(f, "dev", (FsSetAttr) {
        .valid = FS_SET_UID | FS_SET_GID, .uid = 0, .gid = 0 }), ==, 0);
    attr = seen(f, "dev");
    g_assert_cmphex(attr.mode, ==, S_IFCHR | 0666);
    g_assert_cmpuint(attr.uid, ==, 0);
    g_assert_cmphex(attr.rdev, ==, makedev(1, 3));
    pf_stat(f, "dev", &st);
    g_assert_cmpuint(st.st_uid, ==, geteuid());

    g_assert_cmpint(set(f, "dev", (FsSetAttr) { .valid = FS_SET_SIZE }), ==,
                    -EINVAL);
    g_assert_cmpint(set(f, "dev", (FsSetAttr) {
        .valid = FS_SET_MTIME | FS_SET_MTIME_SET, .mtime.tv_sec = 77 }), ==,
                    0);
    g_assert_cmpint(seen(f, "dev").mtime.tv_sec, ==, 77);
}

/* What a device does not let one do, and names, which it has like a file */
static void test_use(ProxyFixture *f, gconstpointer unused)
{
    uint64_t node;
    FsAttr attr;
    PcNode made;
    int fd;

    make(f, "dev", S_IFBLK | 0666, makedev(8, 0));
    node = node_of(f, "dev");
    g_assert_cmpint(call_open(f->c, node, O_RDONLY, &fd), ==, -ENXIO);
    g_assert_cmpint(call_open(f->c, node, O_WRONLY | O_TRUNC, &fd), ==,
                    -ENXIO);
    g_assert_cmpint(call_create(f->c, PROXY_ROOT_HANDLE, "dev", O_RDWR, 0600,
                                &attr, &made, &fd), ==, -ENXIO);

    g_assert_cmpint(call_setxattr(f->c, node, "user.x", 0, "a", 1), ==,
                    -EOPNOTSUPP);
    g_assert_cmpint(call_setxattr(f->c, node, "system.posix_acl_access", 0,
                                  "\2\0\0\0", 4), ==, -EOPNOTSUPP);
    g_assert_cmpint(call_getxattr(f->c, node, false, MODE), ==, -EOPNOTSUPP);
    g_assert_cmpint(call_setxattr(f->c, node, MODE, 0, "\0\0\0\0", 4), ==,
                    -EOPNOTSUPP);
    g_assert_cmpint(call_removexattr(f->c, node, MODE), ==, -EOPNOTSUPP);
    g_assert_cmpint(call_getxattr(f->c, node, true, ""), ==, 0);
    g_assert_cmpuint(marshal_get_u32(&f->c->in), ==, 0);

    g_assert_cmpint(call_link(f->c, node, PROXY_ROOT_HANDLE, "other"), ==, 0);
    g_assert_cmpuint(seen(f, "other").nlink, ==, 2);
    g_assert_cmpint(call_rename(f->c, PROXY_ROOT_HANDLE, "other",
                                node_of(f, "dir"), "moved"), ==, 0);
    g_assert_cmphex(seen(f, "dir/moved").mode, ==, S_IFBLK | 0666);
    g_assert_cmpint(call_unlink(f->c, PROXY_ROOT_HANDLE, "dev", false, node),
                    ==, 0);
    g_assert_cmpuint(seen(f, "dir/moved").nlink, ==, 1);
}

/* A file of the host's own making */
typedef struct HostFile {
    const char *text;
    mode_t mode;
    const char *value;          /* of MODE; NULL: none */
    size_t len;
    uint32_t type;              /* that the guest sees */
} HostFile;

static const HostFile host_files[] = {
    { "", MARK, NULL, 0, S_IFREG },
    { "", MARK, "\x90\x21\0\0", 4, S_IFCHR },       /* without a number */
    { "", MARK, "\xff\x71\xff\xff", 4, S_IFREG },   /* impossible type */
    { "", MARK, "\x90\x21\0", 3, S_IFREG },
    { "", MARK, "\x90\x21\0\0\0", 5, S_IFREG },
    { "", MARK, "", 0, S_IFREG },
    { "", MARK, "\xa4\x81\0\0", 4, S_IFREG },       /* a regular file */
    { "", MARK, "\xed\x41\0\0", 4, S_IFREG },       /* a directory */
    { "", MARK, "\xff\xa1\0\0", 4, S_IFREG },       /* a link */
    { "", MARK, "\xa4\x11\0\0", 4, S_IFREG },       /* a fifo */
    { "x", MARK, "\x90\x21\0\0", 4, S_IFREG },
    { "", MARK | 0400, "\x90\x21\0\0", 4, S_IFREG },
    { "", 02000 | MARK, "\x90\x21\0\0", 4, S_IFREG },
    { "", 0600, "\x90\x21\0\0", 4, S_IFREG },
};

static void put_host_file(ProxyFixture *f, const HostFile *h, const char *name)
{
    g_autofree char *path = path_of(f, name);

    pf_put_file(f, name, h->text);
    if (h->value) {
        g_assert_cmpint(setxattr(path, MODE, h->value, h->len, 0), ==, 0);
    }
    g_assert_cmpint(chmod(path, h->mode), ==, 0);
}

static uint8_t type_in_list(ProxyFixture *f, const char *name)
{
    uint8_t type = 0xff, got;
    const char *entry;

    marshal_put_u64(pc_begin(f->c), PROXY_ROOT_HANDLE);
    marshal_put_u64(&f->c->out, 0);
    g_assert_cmpint(pc_call(f->c, PROXY_READDIR), ==, 0);
    while (marshal_left(&f->c->in)) {
        marshal_get_u64(&f->c->in);
        marshal_get_u64(&f->c->in);
        got = marshal_get_u8(&f->c->in);
        entry = marshal_get_str(&f->c->in, NULL);
        g_assert_true(marshal_ok(&f->c->in));
        if (g_str_equal(entry, name)) {
            type = got;
        }
    }
    return type;
}

/* Lists have the types that the guest sees. */
static void test_types(ProxyFixture *f, gconstpointer unused)
{
    static const HostFile plain = { "", MARK, NULL, 0, S_IFREG };

    g_assert_true(f->c->features & PROXY_FEATURE_TYPES);
    make(f, "tty", S_IFCHR | 0620, makedev(5, 1));
    make(f, "disk", S_IFBLK | 0660, makedev(8, 1));
    make(f, "whiteout", S_IFCHR | 0600, 0);
    make(f, "fifo", S_IFIFO | 0640, 0);
    put_host_file(f, &plain, "file1");
    g_assert_cmpint(type_in_list(f, "tty"), ==, DT_CHR);
    g_assert_cmpint(type_in_list(f, "disk"), ==, DT_BLK);
    g_assert_cmpint(type_in_list(f, "whiteout"), ==, DT_CHR);
    g_assert_cmpint(type_in_list(f, "fifo"), ==, DT_FIFO);
    g_assert_cmpint(type_in_list(f, "file1"), ==, DT_REG);
    g_assert_cmpint(type_in_list(f, "dir"), ==, DT_DIR);
}

static void test_host_files(ProxyFixture *f, gconstpointer options)
{
    bool maps = f->c->features & PROXY_FEATURE_MAPS_DEVICES;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(host_files); i++) {
        const HostFile *h = &host_files[i];
        g_autofree char *name = g_strdup_printf("host%u", i);
        uint32_t type = maps ? h->type : S_IFREG;
        FsAttr attr;

        g_test_message("%s", name);
        put_host_file(f, h, name);
        attr = seen(f, name);
        g_assert_cmphex(attr.mode & S_IFMT, ==, type);
        g_assert_cmphex(attr.mode & 07777, ==,
                        type == S_IFREG ? h->mode : 0620);
        g_assert_cmphex(attr.rdev, ==, 0);
    }
}

/* A guest makes the mode, but cannot make the attribute. */
static void test_forge(ProxyFixture *f, gconstpointer unused)
{
    uint64_t node;
    PcNode made;
    FsAttr attr;
    int fd;

    g_assert_cmpint(call_create(f->c, PROXY_ROOT_HANDLE, "f", O_RDWR, 0600,
                                &attr, &made, &fd), ==, 0);
    close(fd);
    if (made.fd >= 0) {
        close(made.fd);
    }
    node = node_of(f, "f");
    g_assert_cmpint(call_setxattr(f->c, node, MODE, 0, "\x90\x21\0\0", 4), ==,
                    -EOPNOTSUPP);
    g_assert_cmpint(call_setxattr(f->c, node, "USER.virtfs.mode", 0,
                                  "\x90\x21\0\0", 4), ==, -EOPNOTSUPP);
    g_assert_cmpint(set(f, "f", (FsSetAttr) {
        .valid = FS_SET_MODE, .mode = MARK }), ==, 0);
    g_assert_cmphex(seen(f, "f").mode, ==, S_IFREG | MARK);
    /* It is a file like others. */
    g_assert_cmpint(call_open(f->c, node, O_RDWR, &fd), ==, 0);
    close(fd);
    g_assert_cmpint(set(f, "f", (FsSetAttr) {
        .valid = FS_SET_MODE, .mode = 0644 }), ==, 0);
    g_assert_cmphex(seen(f, "f").mode, ==, S_IFREG | 0644);
}

/* In a user namespace, a file of a user that it lacks is no device. */
static void test_foreign(ProxyFixture *f, gconstpointer options)
{
    static const HostFile device = { "", MARK, "\x90\x21\0\0", 4, S_IFCHR };
    g_autofree char *path = path_of(f, "file1");

    if (geteuid() != 0) {
        g_test_skip("to give a file to another user, the test must be root");
        return;
    }
    g_assert_cmpint(chown(f->dir, 1000000, 1000000), ==, 0);
    f->c = pc_start(f->dir, PC_NOBODY, options);
    pc_hello(f->c, 0);
    g_assert_true(f->c->features & PROXY_FEATURE_MAPS_DEVICES);
    put_host_file(f, &device, "file1");
    g_assert_cmphex(seen(f, "file1").mode, ==, S_IFREG | MARK);
    g_assert_cmpint(chown(path, 1000001, 1000001), ==, 0);
    g_assert_cmphex(seen(f, "file1").mode, ==, S_IFCHR | 0620);
    g_assert_cmpint(chown(path, 1000001, 7), ==, 0);
    g_assert_cmphex(seen(f, "file1").mode, ==, S_IFREG | MARK);
}

/*
 * A file system that does not keep the mark can have no such files: the guest
 * gets an error, no file, and the next request is served.
 */
static void test_unmarked(ProxyFixture *f, gconstpointer options)
{
    g_autofree char *path = path_of(f, "dev");
    FsAttr attr;

    if (!test_fuse_start(f->dir, TEST_FUSE_NO_STICKY)) {
        g_test_skip("this user may not mount a FUSE file system");
        return;
    }
    f->c = pc_open(f->dir, options);
    g_assert_cmpint(call_make(f->c, PROXY_ROOT_HANDLE, "dev", S_IFCHR | 0600,
                              makedev(1, 3), "", &attr), ==, -EPERM);
    g_assert_cmpint(access(path, F_OK), ==, -1);
    g_assert_cmpint(call_make(f->c, PROXY_ROOT_HANDLE, "file", S_IFREG | 0600,
                              0, "", &attr), ==, 0);
    g_assert_cmpint(pc_close(f->c), ==, 0);
    f->c = NULL;
    g_assert_cmpint(umount2(f->dir, MNT_DETACH), ==, 0);
}

/* Without the option it depends on the starter. */
static void test_usual(ProxyFixture *f, gconstpointer unused)
{
    FsAttr attr;

    g_assert_cmpint(!(f->c->features & PROXY_FEATURE_MAPS_DEVICES), ==,
                    geteuid() == 0);
    g_assert_cmpint(call_make(f->c, PROXY_ROOT_HANDLE, "dev", S_IFCHR | 0600,
                              makedev(1, 3), "", &attr), ==,
                    geteuid() == 0 ? -EPERM : 0);
}

/* Both ways are refused at the start. */
static void test_options(ProxyFixture *f, gconstpointer unused)
{
    static const struct {
        const char *options[3];
        const char *error;
    } bad[] = {
        { { "--special-files=x" }, "--special-files x: not one of" },
        { { "--special-files=mapped", "--modcaps=-dac_override" },
          "--special-files mapped: not with --modcaps -dac_override" },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        pf_refuses(f, bad[i].options, bad[i].error);
    }
    f->c = pc_open(f->dir, (const char *[]) { NULL });
}

static const char *const usual[] = { NULL };
static const char *const mapped[] = { "--special-files=mapped", NULL };
static const char *const host[] = { "--special-files=host", NULL };
static const char *const maps[] = {
    "--uid-map=0:1000000:10", "--gid-map=0:1000000:10", NULL
};

int main(int argc, char **argv)
{
    pf_init(&argc, &argv, "/9p/helper/special");
    pf_add("make", mapped, test_make);
    pf_add("types", mapped, test_types);
    pf_add("change", mapped, test_change);
    pf_add("use", mapped, test_use);
    pf_add("host-files", mapped, test_host_files);
    pf_add("host-files/host", host, test_host_files);
    pf_add("forge", mapped, test_forge);
    pf_add_made("foreign", maps, test_foreign);
    pf_add_made("unmarked", mapped, test_unmarked);
    pf_add("usual", usual, test_usual);
    pf_add_made("options", usual, test_options);
    return g_test_run();
}
