/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of virtfs-proxy-helper while the host mounts and unmounts file systems
 * below the export, or the export itself: the host's view (whether umount(2)
 * works, and whether the device is unused then), the client's, and that of the
 * helper's mounts.
 *
 * Each test runs in a mount namespace of its own, whose mounts are shared as
 * systemd makes them, once for a helper that root starts and once for an
 * ordinary user's. Needs root.
 */
#include "qemu/osdep.h"
#include "proxy-fixture.h"
#include "proxy-proc.h"
#include <glib/gstdio.h>
#include <linux/loop.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>

/* A uid without a name and without subordinate ids */
#define LONELY_UID      54321
#define SKIPS           77
/* What the kernel or the helper does a moment later */
#define SOON_US         (10 * G_USEC_PER_SEC)

typedef struct Starter {
    const char *name;
    uid_t uid;
    const char *options[4];
    uid_t owner;                /* of the export */
    bool readonly;
} Starter;

static const Starter starters[] = {
    { "root", PC_NOBODY },
    { "root/readonly", PC_NOBODY, { "--readonly" }, .readonly = true },
    { "root/maps", PC_NOBODY, { "--uid-map=0:300000:1000",
                                "--gid-map=0:300000:1000" },
      .owner = 300000 },
    { "user", LONELY_UID, .owner = LONELY_UID },
};

typedef struct Host {
    const Starter *starter;
    const char *option;         /* of the helper, or NULL */
    char *top;                  /* a mount of the test's own */
    char *export;
    ProxyClient *c;
    pid_t server;
} Host;

typedef void MountTest(Host *h);

typedef struct Case {
    const char *name;
    MountTest *test;
    bool private;
    const char *option;         /* of the helper, or NULL */
    bool starting;              /* the test begins before the helper is ready */
} Case;

static char *tmp;               /* holds the folders of all tests */

static char *at(const Host *h, const char *name)
{
    return g_build_filename(h->export, name, NULL);
}

static void host_mount(const Host *h, const char *name)
{
    g_autofree char *path = at(h, name);
    g_autofree char *file = g_build_filename(path, "inside", NULL);

    g_assert_cmpint(mount("none", path, "tmpfs", 0, "mode=0755"), ==, 0);
    g_assert_true(g_file_set_contents(file, "text", -1, NULL));
    g_assert_cmpint(chown(path, h->starter->owner, -1), ==, 0);
}

static int host_umount(const Host *h, const char *name)
{
    g_autofree char *path = at(h, name);

    return umount2(path, 0) < 0 ? -errno : 0;
}

/* Waits until the host can unmount it: the helper closes handles later. */
static void host_umounts(const Host *h, const char *name)
{
    gint64 end = g_get_monotonic_time() + SOON_US;
    int ret;

    while ((ret = host_umount(h, name)) == -EBUSY &&
           g_get_monotonic_time() < end) {
        g_usleep(1000);
    }
    g_assert_cmpint(ret, ==, 0);
}

/* The helper's mounts, one in a line */
static char *mounts_of(const Host *h)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/mountinfo", h->server);
    char *text;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

/* The options of the helper's mount on /@name, or NULL */
static char *options_of(const Host *h, const char *name)
{
    g_autofree char *text = mounts_of(h);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    unsigned i;

    for (i = 0; lines[i]; i++) {
        g_auto(GStrv) f = g_strsplit(lines[i], " ", -1);

        if (g_strv_length(f) > 5 && *f[4] == '/' &&
            g_str_equal(f[4] + 1, name)) {
            return g_strdup(f[5]);
        }
    }
    return NULL;
}

static bool is_restricted(const Host *h, const char *options)
{
    g_auto(GStrv) list = g_strsplit(options ? options : "", ",", -1);
    const char *const *all = (const char *const *)list;

    return g_strv_contains(all, "nosuid") && g_strv_contains(all, "nodev") &&
           (!h->starter->readonly || g_strv_contains(all, "ro"));
}

static void expect_restricted(const Host *h, const char *name)
{
    gint64 end = g_get_monotonic_time() + SOON_US;
    g_autofree char *options = options_of(h, name);

    while (!is_restricted(h, options) && g_get_monotonic_time() < end) {
        g_usleep(1000);
        g_free(options);
        options = options_of(h, name);
    }
    if (!is_restricted(h, options)) {
        g_error("the mount on %s has the options %s", name, options);
    }
}

static void expect_gone(const Host *h, const char *name)
{
    g_autofree char *options = options_of(h, name);

    if (options) {
        g_error("the helper still has the mount on %s (%s)", name, options);
    }
}

/* Walks, and forgets the node unless @node. */
static int reach(Host *h, const char *path, PcNode *node)
{
    PcNode own;
    FsAttr attr;
    int ret = pc_walk(h->c, path, node ? node : &own, &attr);

    if (ret == 0 && !node) {
        pc_forget(h->c, own.handle, 1);
        if (own.fd >= 0) {
            close(own.fd);
        }
    }
    return ret;
}

/* Starts the helper, which has not answered yet. */
static void start(Host *h)
{
    const char *options[8] = { h->option };
    unsigned n = h->option ? 1 : 0;
    unsigned i;

    for (i = 0; h->starter->options[i]; i++) {
        options[n++] = h->starter->options[i];
    }
    h->c = pc_start(h->export, h->starter->uid, options);
}

static void hello(Host *h)
{
    pc_hello(h->c, 0);
    h->server = h->c->server_pid;
}

/* A mount that is there from the start */
static void test_early(Host *h)
{
    expect_restricted(h, "early");
    g_assert_cmpint(reach(h, "early/inside", NULL), ==, 0);
    host_umounts(h, "early");
    expect_gone(h, "early");
    g_assert_cmpint(reach(h, "early/inside", NULL), ==, -ENOENT);
    g_assert_cmpint(reach(h, "early", NULL), ==, 0);
}

/* One that comes later, and goes, several times */
static void test_later(Host *h)
{
    int i;

    for (i = 0; i < 3; i++) {
        g_assert_cmpint(reach(h, "late/inside", NULL), ==, -ENOENT);
        host_mount(h, "late");
        g_assert_cmpint(reach(h, "late/inside", NULL), ==, 0);
        expect_restricted(h, "late");
        host_umounts(h, "late");
        expect_gone(h, "late");
    }
}

/* Mounts on mounts */
static void test_deep(Host *h)
{
    g_autofree char *inner = at(h, "late/inner");

    host_mount(h, "late");
    g_assert_cmpint(g_mkdir(inner, 0755), ==, 0);
    host_mount(h, "late/inner");
    expect_restricted(h, "late");
    expect_restricted(h, "late/inner");
    g_assert_cmpint(reach(h, "late/inner/inside", NULL), ==, 0);
    g_assert_cmpint(host_umount(h, "late"), ==, -EBUSY);
    host_umounts(h, "late/inner");
    expect_gone(h, "late/inner");
    host_umounts(h, "late");
    expect_gone(h, "late");
}

/* What a client has in use keeps the mount busy, as for a local program. */
static void test_busy(Host *h)
{
    PcNode node;

    host_mount(h, "late");
    g_assert_cmpint(reach(h, "late/inside", &node), ==, 0);
    g_assert_cmpint(host_umount(h, "late"), ==, -EBUSY);
    pc_forget(h->c, node.handle, 1);
    close(node.fd);
    host_umounts(h, "late");
    expect_gone(h, "late");
}

/* umount -l: the name leads to the empty directory at once. */
static void test_lazy(Host *h)
{
    g_autofree char *path = at(h, "early");
    PcNode node;

    g_assert_cmpint(reach(h, "early/inside", &node), ==, 0);
    g_assert_cmpint(umount2(path, MNT_DETACH), ==, 0);
    expect_gone(h, "early");
    g_assert_cmpint(reach(h, "early/inside", NULL), ==, -ENOENT);
    pc_forget(h->c, node.handle, 1);
    close(node.fd);
}

/* The export itself stays as long as it is served. */
static void test_root(Host *h)
{
    g_assert_cmpint(host_umount(h, "early"), ==, 0);
    g_assert_cmpint(host_umount(h, "."), ==, -EBUSY);
    g_assert_cmpint(pc_close(h->c), ==, 0);
    h->c = NULL;
    host_umounts(h, ".");
}

/*
 * Where the host's unmounting does not reach the helper, the host cannot do it
 * while the helper has a copy.
 */
static void test_private(Host *h)
{
    host_mount(h, "late");
    g_assert_cmpint(reach(h, "late/inside", NULL), ==, -ENOENT);
    g_assert_cmpint(host_umount(h, "late"), ==, 0);
    g_assert_cmpint(reach(h, "early/inside", NULL), ==, 0);
    g_assert_cmpint(host_umount(h, "early"), ==, -EBUSY);
    g_assert_cmpint(host_umount(h, "."), ==, -EBUSY);
    g_assert_cmpint(pc_close(h->c), ==, 0);
    h->c = NULL;
    host_umounts(h, "early");
    host_umounts(h, ".");
}

/* The same while the helper starts, and its supervisor is slow */
static void test_private_starting(Host *h)
{
    gint64 end = g_get_monotonic_time() + SOON_US;
    pid_t server;
    int i, ret = -EBUSY;

    do {
        server = pp_child(h->c->pid);
    } while (!server && g_get_monotonic_time() < end);
    g_assert_cmpint(kill(h->c->pid, SIGSTOP), ==, 0);
    g_assert_cmpint(server, >, 0);
    /* Time for the server to make its copies, if it does that now */
    for (i = 0; i < 300 && !pp_other_namespace(server, "net"); i++) {
        g_usleep(1000);
    }
    g_usleep(20 * 1000);
    if (pp_other_namespace(server, "mnt")) {
        ret = host_umount(h, "early");
    }
    g_assert_cmpint(kill(h->c->pid, SIGCONT), ==, 0);
    g_assert_cmpint(ret, ==, -EBUSY);
    hello(h);
    g_assert_cmpint(reach(h, "early/inside", NULL), ==, 0);
    g_assert_cmpint(host_umount(h, "early"), ==, -EBUSY);
}

/* In the other sandboxes the mounts are the host's, but for --readonly. */
static void test_chroot(Host *h)
{
    g_assert_cmpint(reach(h, "early/inside", NULL), ==, 0);
    if (h->starter->readonly) {
        g_assert_cmpint(host_umount(h, "early"), ==, -EBUSY);
    } else {
        host_umounts(h, "early");
        g_assert_cmpint(reach(h, "early/inside", NULL), ==, -ENOENT);
        host_mount(h, "late");
        g_assert_cmpint(reach(h, "late/inside", NULL), ==, 0);
        host_umounts(h, "late");
    }
    g_assert_cmpint(host_umount(h, "."), ==, -EBUSY);
}

/* What the host's processes could do with what QEMU gets: device files */
static void test_device(Host *h)
{
    g_autofree char *path = at(h, "late/null");
    g_autofree char *magic = NULL;
    PcNode node;

    host_mount(h, "late");
    g_assert_cmpint(mknod(path, S_IFCHR | 0666, makedev(1, 3)), ==, 0);
    g_assert_cmpint(chmod(path, 0666), ==, 0);
    expect_restricted(h, "late");
    g_assert_cmpint(reach(h, "late/null", &node), ==, 0);
    g_assert_cmpint(node.fd, >=, 0);
    magic = g_strdup_printf("/proc/self/fd/%d", node.fd);
    g_assert_cmpint(open(magic, O_RDWR), ==, -1);
    g_assert_cmpint(errno, ==, EACCES);
    close(node.fd);
}

/* A helper without the process that restricts mounts must not go on. */
static void test_watcher_dies(Host *h)
{
    struct pollfd end = { .fd = h->c->fd };     /* POLLHUP */
    pid_t watcher = pp_child(h->server);

    g_assert_cmpint(watcher, >, 0);
    pp_expect_privileges(watcher, "0000000000200000",
                         pp_id(h->server, "Uid"), pp_id(h->server, "Gid"));
    g_assert_cmpuint(pp_open_files(watcher), <=, 8);
    g_assert_cmpint(kill(watcher, SIGKILL), ==, 0);
    g_assert_cmpint(poll(&end, 1, PC_TIMEOUT * 1000), ==, 1);
    g_assert_cmpint(pc_close(h->c), ==, PC_KILLED(SIGKILL));
    h->c = NULL;
}

/* Whether a process is in our mount namespace, or there no more */
static bool has_our_mounts(pid_t pid)
{
    g_autofree char *link = g_strdup_printf("/proc/%d/ns/mnt", pid);
    g_autofree char *its = g_file_read_link(link, NULL);
    g_autofree char *ours = g_file_read_link("/proc/self/ns/mnt", NULL);

    return !its || !g_strcmp0(its, ours);
}

/*
 * The same for one that dies before it is ready. An earlier child of the
 * server, which maps its ids, is in our mount namespace.
 */
static void test_watcher_dies_early(Host *h)
{
    gint64 end = g_get_monotonic_time() + SOON_US;
    struct pollfd gone = { .fd = h->c->fd };    /* POLLHUP */
    pid_t server, watcher;

    do {
        server = pp_child(h->c->pid);
        watcher = server ? pp_child(server) : 0;
    } while ((!watcher || has_our_mounts(watcher)) &&
             g_get_monotonic_time() < end);
    g_assert_cmpint(watcher, >, 0);
    g_assert_cmpint(kill(watcher, SIGKILL), ==, 0);
    g_assert_cmpint(poll(&gone, 1, PC_TIMEOUT * 1000), ==, 1);
    g_assert_cmpint(pc_close(h->c), !=, 0);
    h->c = NULL;
}

/* A file system on a block device: unused after umount(2), as mkfs(8) checks */
static void test_disk(Host *h)
{
    g_autofree char *image = g_build_filename(h->top, "image", NULL);
    g_autofree char *dir = at(h, "late");
    g_autofree char *dev = NULL;
    g_autofree char *command = NULL;
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
    struct loop_config config = { .info.lo_flags = LO_FLAGS_AUTOCLEAR };
    int file, loop, again;

    if (number < 0) {
        _exit(SKIPS);
    }
    close(control);
    dev = g_strdup_printf("/dev/loop%d", number);
    command = g_strdup_printf("/sbin/mkfs.ext4 -q %s", image);
    file = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    config.fd = file;
    g_assert_cmpint(ftruncate(file, 8 << 20), ==, 0);
    loop = open(dev, O_RDWR | O_CLOEXEC);
    if (loop < 0 || system(command) != 0 ||
        ioctl(loop, LOOP_CONFIGURE, &config) < 0) {
        _exit(SKIPS);
    }
    g_assert_cmpint(mount(dev, dir, "ext4", 0, NULL), ==, 0);
    g_assert_cmpint(reach(h, "late/lost+found", NULL), ==, 0);
    again = open(dev, O_RDWR | O_EXCL | O_CLOEXEC);
    g_assert_cmpint(again, ==, -1);
    g_assert_cmpint(errno, ==, EBUSY);
    host_umounts(h, "late");
    again = open(dev, O_RDWR | O_EXCL | O_CLOEXEC);
    g_assert_cmpint(again, >=, 0);
}

static void make_dir(const Host *h, const char *path)
{
    g_assert_cmpint(g_mkdir(path, 0755), ==, 0);
    g_assert_cmpint(chown(path, h->starter->owner, -1), ==, 0);
}

/* Whether a user of the host can start a helper at all */
static bool can_start(const Host *h)
{
    const char *args[] = { "-n", "-p", h->export, "-f", "3", NULL };
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
                    ==, 0);
    shutdown(fds[0], SHUT_RDWR);
    return pc_run(args, h->starter->uid, fds[1], NULL) == 0;
}

static void child(const Starter *starter, const Case *c)
{
    Host h = {
        .starter = starter, .option = c->option,
        .top = pf_new_dir(tmp, PC_NOBODY),
    };
    g_autofree char *early = NULL;
    g_autofree char *late = NULL;

    if (unshare(CLONE_NEWNS) < 0) {
        _exit(SKIPS);
    }
    g_assert_cmpint(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), ==,
                    0);
    g_assert_cmpint(mount("none", h.top, "tmpfs", 0, "mode=0755"), ==, 0);
    g_assert_cmpint(mount("none", h.top, NULL,
                          c->private ? MS_PRIVATE : MS_SHARED, NULL), ==, 0);
    h.export = g_build_filename(h.top, "export", NULL);
    make_dir(&h, h.export);
    g_assert_cmpint(mount("none", h.export, "tmpfs", 0, "mode=0755"), ==, 0);
    early = at(&h, "early");
    late = at(&h, "late");
    make_dir(&h, early);
    make_dir(&h, late);
    if (!can_start(&h)) {
        _exit(SKIPS);
    }
    host_mount(&h, "early");
    start(&h);
    if (!c->starting) {
        hello(&h);
    }
    c->test(&h);
    if (h.c) {
        g_assert_cmpint(pc_close(h.c), ==, 0);
    }
    _exit(0);
}

typedef struct Run {
    const Starter *starter;
    const Case *c;
} Run;

static void run(gconstpointer opaque)
{
    const Run *r = opaque;
    pid_t pid;
    int status;

    if (geteuid() != 0) {
        g_test_skip("needs root, to mount");
        return;
    }
    pid = fork();
    if (pid == 0) {
        child(r->starter, r->c);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPS) {
        g_test_skip("no mount namespace, user namespace or loop device here");
        return;
    }
    if (status) {
        g_test_fail();          /* the child has said why */
    }
}

static const Case cases[] = {
    { "early", test_early },
    { "later", test_later },
    { "deep", test_deep },
    { "busy", test_busy },
    { "lazy", test_lazy },
    { "root", test_root },
    { "device", test_device },
    { "disk", test_disk },
    { "watcher-dies", test_watcher_dies },
    { "watcher-dies-early", test_watcher_dies_early, .starting = true },
    { "private", test_private, .private = true },
    { "private-starting", test_private_starting, .private = true,
      .starting = true },
    { "chroot", test_chroot, .option = "--sandbox=chroot" },
    { "none", test_chroot, .option = "--sandbox=none" },
};

static void add(const Starter *starter, const Case *c)
{
    g_autofree char *path = g_strdup_printf("/helper-mounts/%s/%s",
                                            starter->name, c->name);
    Run *r = g_new(Run, 1);

    *r = (Run) { starter, c };
    g_test_add_data_func_full(path, r, run, g_free);
}

int main(int argc, char **argv)
{
    unsigned i, j;
    int ret;

    pf_init(&argc, &argv, "/helper-mounts");
    tmp = pf_new_dir(g_get_tmp_dir(), PC_NOBODY);
    for (i = 0; i < G_N_ELEMENTS(starters); i++) {
        for (j = 0; j < G_N_ELEMENTS(cases); j++) {
            add(&starters[i], &cases[j]);
        }
    }
    ret = g_test_run();
    pf_remove_dir(tmp);
    return ret;
}
