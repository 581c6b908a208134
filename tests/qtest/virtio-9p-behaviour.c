/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The targets of the behaviour tests, and how a case runs on one: see
 * virtio-9p-behaviour.h.
 *
 * Cases of one target share a QEMU as long as their options are the same, and
 * always the folder that it serves. Between two cases the device is reset and
 * the folder emptied. Folders are made in the current one, which thus decides
 * on the file system; those of some targets are on a disk, if there is one,
 * because drivers treat file systems in memory differently.
 */
#include "qemu/osdep.h"
#include <linux/magic.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include "libqtest-single.h"
#include "qemu/module.h"
#include "libqos/qgraph.h"
#include "virtio-9p-behaviour.h"
#include "virtio-9p-host.h"
#include <glib-unix.h>

/* Files there outlive a reboot: hier(7) */
#define DISK            "/var/tmp"

#define SYNTH_DIRS      16
#define SYNTH_FILES     100

/* QEMU's user when it is not root and root runs the test */
#define USER            65534

struct Target {
    const char *name;
    const char *fsdev;          /* "%s" is the folder */
    unsigned has;
    unsigned root_has;          /* only if root runs the test */
};

#define HAS_PROXY   (HAS_HOST | HAS_XATTRS | HAS_SAME | HAS_HELPER | \
                     HAS_HANDLES | HAS_MOVES)
/* What version 1 of the channel lacks */
#define HAS_PROXY_V1 (HAS_PROXY & ~(HAS_HANDLES | HAS_MOVES))
#define HAS_PASS    (HAS_HOST | HAS_XATTRS | HAS_ACLS | HAS_SAME | HAS_LOCAL | \
                     HAS_HANDLES | HAS_MOVES)
#define HAS_MAPPED  (HAS_HOST | HAS_XATTRS | HAS_OWNERS | HAS_DEVICES | \
                     HAS_LOCAL | HAS_HANDLES | HAS_MOVES)

static const Target targets[] = {
    { "synth", NULL, HAS_MOVES },
#ifdef CONFIG_VIRTFS_PROXY_HELPER
    { "proxy", "proxy,path=%s", HAS_PROXY,
      HAS_OWNERS | HAS_ACLS | HAS_BY_HANDLE },
    /* Without donated descriptors QEMU sends a message for everything. */
    { "proxy-donate-off", "proxy,path=%s,donate=off", HAS_PROXY,
      HAS_OWNERS | HAS_ACLS },
    /* Through a socket, not in shared memory as above */
    { "proxy-socket", "proxy,path=%s,ring=off,donate=off",
      HAS_PROXY | HAS_EVENTFD, HAS_OWNERS | HAS_ACLS },
#ifdef CONFIG_VIRTFS_PROXY_V1
    { "proxy-v1", "proxy,path=%s,protocol=1", HAS_PROXY_V1,
      HAS_OWNERS | HAS_ACLS },
#endif
#endif
    { "local/passthrough", "local,path=%s,security_model=passthrough",
      HAS_PASS, HAS_OWNERS | HAS_DEVICES | HAS_BY_HANDLE },
    { "local/none", "local,path=%s,security_model=none",
      HAS_PASS | HAS_EVENTFD, HAS_OWNERS | HAS_DEVICES | HAS_BY_HANDLE },
    { "local/mapped-xattr", "local,path=%s,security_model=mapped-xattr",
      HAS_MAPPED | HAS_VIEW_XATTR | HAS_ACLS, HAS_BY_HANDLE },
    { "local/mapped-file", "local,path=%s,security_model=mapped-file",
      HAS_MAPPED | HAS_VIEW_FILE },
    { "local/mapped", "local,path=%s,security_model=mapped",
      HAS_MAPPED | HAS_VIEW_XATTR | HAS_ACLS | HAS_SHORT_LIST },
    /*
     * If root runs the test: QEMU as an ordinary user, and on a disk. The
     * helper is never root.
     */
    { "user/passthrough", "local,path=%s,security_model=passthrough",
      HAS_PASS | HAS_USER },
    { "user/none", "local,path=%s,security_model=none", HAS_PASS | HAS_USER },
    { "user/mapped-xattr", "local,path=%s,security_model=mapped-xattr",
      HAS_MAPPED | HAS_VIEW_XATTR | HAS_ACLS | HAS_USER },
    { "user/mapped-file", "local,path=%s,security_model=mapped-file",
      HAS_MAPPED | HAS_VIEW_FILE | HAS_USER },
    /* The device runs in an IOThread. */
    { "iothread/synth", NULL, HAS_IOTHREAD | HAS_MOVES },
    { "iothread/local", "local,path=%s,security_model=passthrough",
      HAS_PASS | HAS_IOTHREAD, HAS_OWNERS | HAS_DEVICES | HAS_BY_HANDLE },
#ifdef CONFIG_VIRTFS_PROXY_HELPER
    { "iothread/proxy", "proxy,path=%s", HAS_PROXY | HAS_IOTHREAD,
      HAS_OWNERS | HAS_ACLS | HAS_BY_HANDLE },
#ifdef CONFIG_VIRTFS_PROXY_V1
    { "iothread/proxy-v1", "proxy,path=%s,protocol=1",
      HAS_PROXY_V1 | HAS_IOTHREAD, HAS_OWNERS | HAS_ACLS },
#endif
#endif
};

static const Case *const subjects[] = {
    behaviour_attach, behaviour_tree, behaviour_names, behaviour_rename,
    behaviour_data, behaviour_lock, behaviour_attr, behaviour_xattr,
    behaviour_xattr_names, behaviour_view, behaviour_share, behaviour_limits,
    behaviour_flush, behaviour_host, behaviour_dotu, behaviour_dotu_stat,
    behaviour_move, behaviour_move_lock, behaviour_move_missing,
};

static char *folders[G_N_ELEMENTS(targets)];

static unsigned target_has(const Target *target)
{
    unsigned all = target->has;

    if (geteuid() == 0) {
        all |= target->root_has;
    } else if (all & HAS_LOCAL) {
        all |= HAS_USER;
    }
    if (all & (HAS_VIEW_XATTR | HAS_VIEW_FILE)) {
        all |= HAS_VIEW;
    }
    return all;
}

bool has(const Test *t, unsigned what)
{
    return !(what & ~target_has(t->target));
}

/*
 * Running
 */

static void remove_tree(const char *path)
{
    const char *argv[] = { "rm", "-rf", "--", path, NULL };

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                 NULL, NULL, NULL, NULL);
}

static void remove_folders(void)
{
    int i;

    for (i = 0; i < G_N_ELEMENTS(folders); i++) {
        if (folders[i]) {
            remove_tree(folders[i]);
        }
    }
}

/*
 * Lets a process of its own remove a folder once this one has ended, even if it
 * was killed: that process waits for the end of a pipe.
 */
static void remove_after_end(const char *path)
{
    int life[2];
    pid_t pid;

    g_assert_true(g_unix_open_pipe(life, FD_CLOEXEC, NULL));
    pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);

        setsid();
        dup2(life[0], STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        execlp("sh", "sh", "-c", "cat; rm -rf -- \"$1\"", "sh", path, NULL);
        _exit(EXIT_FAILURE);
    }
    close(life[0]);
}

/* Whether its file system has all features that the tests ask for */
static bool on_disk(const char *path)
{
    struct statfs st;

    return statfs(path, &st) == 0 &&
           (st.f_type == EXT4_SUPER_MAGIC || st.f_type == XFS_SUPER_MAGIC ||
            st.f_type == BTRFS_SUPER_MAGIC);
}

static char *make_folder(bool disk)
{
    g_autofree char *cwd = disk && on_disk(DISK) ? g_strdup(DISK)
                                                 : g_get_current_dir();
    char *path = g_build_filename(cwd, "qtest-9p-behaviour-XXXXXX", NULL);
    static bool registered;

    g_assert_nonnull(g_mkdtemp_full(path, 0755));
    remove_after_end(path);
    if (!registered) {
        g_assert_cmpint(atexit(remove_folders), ==, 0);
        registered = true;
    }
    return path;
}

/* A relative path: the name of the current folder may have blanks. */
static char *fsdev_path(const char *folder)
{
    g_autofree char *cwd = g_get_current_dir();

    return g_str_has_prefix(folder, cwd) ? g_path_get_basename(folder)
                                         : g_strdup(folder);
}

/* Makes the folder as new; only its inode stays. */
static void empty_folder(const char *path)
{
    static const char *const parts[] = {
        "user.virtfs.uid", "user.virtfs.gid", "user.virtfs.mode",
        "user.virtfs.rdev", "user.virtfs.system.posix_acl_access",
        "user.virtfs.system.posix_acl_default", "user.test",
        "system.posix_acl_access", "system.posix_acl_default",
    };
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;
    int i;

    g_assert_nonnull(dir);
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *below = g_build_filename(path, name, NULL);

        if (remove(below) != 0) {
            remove_tree(below);
        }
    }
    g_dir_close(dir);
    for (i = 0; i < G_N_ELEMENTS(parts); i++) {
        removexattr(path, parts[i]);
    }
    g_assert_cmpint(chmod(path, 0755), ==, 0);
}

/* The tree that the synth driver has */
static void make_tree(Test *t)
{
    g_autoptr(GString) path = g_string_new(t->dir);
    int i;

    for (i = 0; i < SYNTH_DIRS; i++) {
        g_string_append_printf(path, "/WALK%d", i);
        g_assert_cmpint(mkdir(path->str, 0700), ==, 0);
        host_give(t, path->str);
    }
    host_write(t, "LOPEN", "");
    host_write(t, "WRITE", "");
    host_mkdir(t, "ReadDirDir");
    for (i = 0; i < SYNTH_FILES; i++) {
        g_autofree char *name = g_strdup_printf("ReadDirDir/ReadDirFile%d", i);

        host_write(t, name, "");
    }
}

typedef struct Entry {
    const Target *target;
    const Case *cs;
} Entry;

static void test_free(void *opaque)
{
    Test *t = opaque;

    g_free((char *)t->cmd_line);
    g_free(t);
}

static void *before(GString *cmd_line, void *arg)
{
    const Entry *entry = arg;
    const Target *target = entry->target;
    Test *t = g_new0(Test, 1);

    t->target = target;
    t->cs = entry->cs;
    t->host_uid = geteuid();
    t->host_gid = getegid();
    if (target->fsdev) {
        char **folder = &folders[target - targets];
        g_auto(GStrv) parts = g_strsplit(target->fsdev, "%s", 2);
        g_autofree char *name = NULL;
        g_autofree char *fsdev = NULL;

        if (*folder) {
            empty_folder(*folder);
        } else {
            *folder = make_folder(target->has & HAS_USER);
        }
        t->dir = *folder;
        name = fsdev_path(t->dir);
        fsdev = g_strconcat(parts[0], name, parts[1], t->cs->opts, NULL);
        qvirtio_9p_set_fsdev(cmd_line, fsdev);
        if (geteuid() == 0 && has(t, HAS_USER)) {
            t->host_uid = t->host_gid = USER;
            g_string_append_printf(cmd_line, " -run-with user=%d:%d ", USER,
                                   USER);
            host_give(t, t->dir);
        }
        /* An ordinary user cannot give files away, and owns them all. */
        if (has(t, HAS_USER | HAS_SAME)) {
            t->uid = t->host_uid;
            t->gid = t->host_gid;
        }
        if (t->cs->flags & CASE_TREE) {
            make_tree(t);
        }
    }
    if (has(t, HAS_IOTHREAD)) {
        qvirtio_9p_set_iothread(cmd_line);
    }
    if (has(t, HAS_EVENTFD)) {
        qvirtio_9p_set_property(cmd_line, QVIRTIO_9P_EVENTFD);
    }
    if (t->cs->flags & CASE_FEW_FDS) {
        p9_host_limit_descriptors(cmd_line, FEW_FDS);
    }
    t->cmd_line = g_strdup(cmd_line->str);
    g_test_queue_destroy(test_free, t);
    return t;
}

static void run(void *obj, void *data, QGuestAllocator *alloc)
{
    Test *t = data;
    unsigned lacks = t->cs->needs & ~target_has(t->target);

    if (t->cs->flags & CASE_FEW_FDS) {
        p9_host_unlimit_descriptors();
    }
    if (lacks) {
        /* The target would have these if root ran the test. */
        g_test_skip("needs root: owners or devices of the host");
        return;
    }
    t->v9p = obj;
    t->c = p9c_new(t->v9p);
    session(t);
    t->cs->run(t);
    p9c_free(t->c);
}

static void run_pci(void *obj, void *data, QGuestAllocator *alloc)
{
    QVirtio9PPCI *pci = obj;

    run(&pci->v9p, data, alloc);
}

static bool applies(const Target *target, const Case *cs)
{
    unsigned all = target_has(target) | target->root_has;

    if (!target->fsdev && !(cs->flags & CASE_TREE)) {
        return false;
    }
    if ((target->has & HAS_USER) &&
        (geteuid() != 0 || (cs->flags & CASE_ANYBODY))) {
        return false;           /* the other targets do that already */
    }
    if ((all & HAS_SHORT_LIST) && !(cs->flags & CASE_SHORT)) {
        return false;
    }
    return !(cs->needs & ~all);
}

static void virtio_9p_behaviour_register(void)
{
    int i, j;

    for (i = 0; i < G_N_ELEMENTS(targets); i++) {
        for (j = 0; j < G_N_ELEMENTS(subjects); j++) {
            const Case *cs;

            for (cs = subjects[j]; cs->name; cs++) {
                Entry *entry;
                QOSGraphTestOptions opts = { .before = before };
                g_autofree char *name = NULL;

                if (!applies(&targets[i], cs)) {
                    continue;
                }
                entry = g_new(Entry, 1);    /* tests are never unregistered */
                entry->target = &targets[i];
                entry->cs = cs;
                opts.arg = entry;
                name = g_strdup_printf("%s/%s", targets[i].name, cs->name);
                if (cs->flags & CASE_PCI) {
                    qos_add_test(name, "virtio-9p-pci", run_pci, &opts);
                } else {
                    qos_add_test(name, "virtio-9p", run, &opts);
                }
            }
        }
    }
}

libqos_init(virtio_9p_behaviour_register);
