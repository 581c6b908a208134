/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See virtio-9p-habits.h.
 */
#include "qemu/osdep.h"
#include <pwd.h>
#include <sys/mount.h>
#include <sys/xattr.h>
#include "libqtest-single.h"
#include "virtio-9p-habits.h"
#include "virtio-9p-host.h"

#define SLOT        5

/*
 * Operations
 */

static int run_lookup(Habits *h)
{
    return p9c_walk_to(h->c, HABITS_FUSE, HABITS_NEW, "file");
}

static int run_getattr(Habits *h)
{
    return p9c_getattr(h->c, HABITS_FILE_FID, P9C_GETATTR_BASIC, NULL);
}

static int run_getattr_open(Habits *h)
{
    return p9c_getattr(h->c, HABITS_OPEN, P9C_GETATTR_BASIC, NULL);
}

static int set(Habits *h, uint32_t fid, P9CSetAttr change)
{
    return p9c_setattr(h->c, fid, &change);
}

static int run_chmod(Habits *h)
{
    return p9c_chmod(h->c, HABITS_FILE_FID, 0604);
}

static int run_chown(Habits *h)
{
    return set(h, HABITS_FILE_FID, (P9CSetAttr) {
        .valid = P9C_SETATTR_UID | P9C_SETATTR_GID, .uid = 77, .gid = 78,
    });
}

static int run_utimes(Habits *h)
{
    return set(h, HABITS_FILE_FID, (P9CSetAttr) {
        .valid = P9C_SETATTR_MTIME | P9C_SETATTR_MTIME_SET, .mtime_sec = 1000,
    });
}

static int run_truncate(Habits *h)
{
    return set(h, HABITS_FILE_FID, (P9CSetAttr) {
        .valid = P9C_SETATTR_SIZE, .size = 2,
    });
}

static int run_truncate_open(Habits *h)
{
    return set(h, HABITS_OPEN, (P9CSetAttr) {
        .valid = P9C_SETATTR_SIZE, .size = 1,
    });
}

static int run_open(Habits *h)
{
    int ret = p9c_walk_to(h->c, HABITS_FILE_FID, HABITS_NEW, "");

    return ret ? ret : p9c_lopen(h->c, HABITS_NEW, P9C_O_RDWR, NULL, NULL);
}

static int run_open_trunc(Habits *h)
{
    int ret = p9c_walk_to(h->c, HABITS_FILE_FID, HABITS_NEW, "");

    return ret ? ret : p9c_lopen(h->c, HABITS_NEW, P9C_O_RDWR | P9C_O_TRUNC,
                                 NULL, NULL);
}

static int run_read(Habits *h)
{
    uint32_t got;
    char buf[8];
    int ret = p9c_read(h->c, HABITS_OPEN, 0, sizeof(buf), buf, &got);

    if (!ret) {
        g_assert_cmpmem(buf, got, "text", 4);
    }
    return ret;
}

static int run_write(Habits *h)
{
    uint32_t written;
    int ret = p9c_write(h->c, HABITS_OPEN, 2, "new", 3, &written);

    if (!ret) {
        g_assert_cmpuint(written, ==, 3);
    }
    return ret;
}

static int run_fsync(Habits *h)
{
    return p9c_fsync(h->c, HABITS_OPEN, false);
}

static int run_readdir(Habits *h)
{
    GPtrArray *entries = NULL;
    int ret = p9c_readdir(h->c, HABITS_OPEN_SUB, 0, 4000, &entries, NULL);

    if (!ret) {
        g_assert_nonnull(p9c_dirent_find(entries, "inner"));
        g_ptr_array_unref(entries);
    }
    return ret;
}

static int run_statfs(Habits *h)
{
    return p9c_statfs(h->c, HABITS_FILE_FID, NULL);
}

static int run_readlink(Habits *h)
{
    g_autofree char *target = NULL;
    int ret = p9c_readlink(h->c, HABITS_LINK, &target);

    if (!ret) {
        g_assert_cmpstr(target, ==, "file");
    }
    return ret;
}

static int run_create(Habits *h)
{
    int ret = p9c_walk_to(h->c, HABITS_FUSE, HABITS_NEW, "");

    return ret ? ret : p9c_lcreate(h->c, HABITS_NEW, "new", P9C_O_RDWR, 0640,
                                   5, NULL, NULL);
}

static int run_mkdir(Habits *h)
{
    return p9c_mkdir(h->c, HABITS_FUSE, "new", 0750, 5, NULL);
}

static int run_mkfifo(Habits *h)
{
    return p9c_mknod(h->c, HABITS_FUSE, "new", S_IFIFO | 0640, 0, 0, 5, NULL);
}

static int run_symlink(Habits *h)
{
    return p9c_symlink(h->c, HABITS_FUSE, "new", "target", 5, NULL);
}

static int run_link(Habits *h)
{
    return p9c_link(h->c, HABITS_SUB, HABITS_FILE_FID, "new");
}

static int run_rename(Habits *h)
{
    return p9c_renameat(h->c, HABITS_FUSE, "file", HABITS_SUB, "new");
}

static int run_rename_over(Habits *h)
{
    return p9c_renameat(h->c, HABITS_FUSE, "file", HABITS_SUB, "inner");
}

static int run_rename_dir(Habits *h)
{
    return p9c_renameat(h->c, HABITS_FUSE, "sub", HABITS_FUSE, "empty");
}

static int run_unlink(Habits *h)
{
    return p9c_unlinkat(h->c, HABITS_FUSE, "file", 0);
}

static int run_rmdir(Habits *h)
{
    return p9c_unlinkat(h->c, HABITS_FUSE, "empty", P9C_AT_REMOVEDIR);
}

static int run_getxattr(Habits *h)
{
    uint64_t size;
    int ret = p9c_xattrwalk(h->c, HABITS_FILE_FID, HABITS_NEW, "user.x", &size);

    if (!ret) {
        g_assert_cmpuint(size, ==, 3);
    }
    return ret;
}

static int run_listxattr(Habits *h)
{
    return p9c_xattrwalk(h->c, HABITS_FILE_FID, HABITS_NEW, "", NULL);
}

/*
 * The value goes to the file when the fid is clunked. Without one, the
 * attribute goes.
 */
static int set_xattr(Habits *h, const char *name, const char *value)
{
    size_t size = strlen(value);

    ok(p9c_walk_to(h->c, HABITS_FILE_FID, HABITS_NEW, ""));
    ok(p9c_xattrcreate(h->c, HABITS_NEW, name, size,
                       size ? 0 : XATTR_REPLACE));
    if (size) {
        ok(p9c_write(h->c, HABITS_NEW, 0, value, size, NULL));
    }
    return p9c_clunk(h->c, HABITS_NEW);
}

static int run_setxattr(Habits *h)
{
    return set_xattr(h, "user.y", "new");
}

static int run_removexattr(Habits *h)
{
    return set_xattr(h, "user.x", "");
}

const HabitsOp habits_ops[] = {
    { "lookup", run_lookup },
    { "getattr", run_getattr },
    { "getattr-open", run_getattr_open },
    { "chmod", run_chmod, .steps = true },
    { "chown", run_chown, .steps = true },
    { "utimes", run_utimes },
    { "truncate", run_truncate },
    { "truncate-open", run_truncate_open },
    { "open", run_open },
    { "open-trunc", run_open_trunc, .steps = true },
    { "read", run_read },
    { "write", run_write },
    { "fsync", run_fsync },
    { "readdir", run_readdir },
    { "statfs", run_statfs },
    { "readlink", run_readlink },
    { "create", run_create },
    { "mkdir", run_mkdir },
    { "mkfifo", run_mkfifo },
    { "symlink", run_symlink },
    { "link", run_link },
    { "rename", run_rename },
    { "rename-over", run_rename_over },
    { "rename-dir", run_rename_dir },
    { "unlink", run_unlink },
    { "rmdir", run_rmdir },
    { "getxattr", run_getxattr },
    { "listxattr", run_listxattr },
    { "setxattr", run_setxattr },
    { "removexattr", run_removexattr },
};
const unsigned habits_ops_num = ARRAY_SIZE(habits_ops);

const HabitsOp *habits_op(const char *name)
{
    unsigned i;

    for (i = 0; i < habits_ops_num; i++) {
        if (g_str_equal(habits_ops[i].name, name)) {
            return &habits_ops[i];
        }
    }
    g_assert_not_reached();
}

/*
 * The share
 */

/* The helper learns what the host mounts and unmounts: mount_namespaces(7). */
static void share_mounts(Habits *h)
{
    if (mount(h->share, h->share, NULL, MS_BIND, NULL) == 0) {
        g_assert_cmpint(mount(NULL, h->share, NULL, MS_SHARED, NULL), ==, 0);
    }
}

static void remove_share(Habits *h)
{
    if (h->rootless) {
        p9_host_remove(h->rootless);
        g_free(h->rootless);
    }
    umount2(h->share, MNT_DETACH);
    p9_host_remove(h->share);
    g_free(h->at);
    g_free(h->share);
}

static char *make_folder(const HabitsPlace *place)
{
    char *folder;

    if (!place->rootless) {
        return p9_host_make_folder();
    }
    /* An ordinary user can go there. */
    folder = g_strdup("/var/tmp/qtest-9p-habits-XXXXXX");
    g_assert_nonnull(g_mkdtemp_full(folder, 0755));
    return folder;
}

/* An executable file */
static char *make_program(const char *folder, const char *name,
                          const char *data, gssize size)
{
    char *path = g_build_filename(folder, name, NULL);

    g_assert_true(g_file_set_contents(path, data, size, NULL));
    g_assert_cmpint(chmod(path, 0755), ==, 0);
    return path;
}

/*
 * A helper of an ordinary user with subordinate ids, to whom the share belongs.
 * Root has mounted the file system there, for all users. False: there is no
 * such user.
 */
static bool make_rootless(Habits *h, const char *other, GString *fsdev)
{
    const char *name = g_getenv("VIRTFS_TEST_USER");
    const char *program = g_getenv("VIRTFS_PROXY_HELPER");
    const struct passwd *pw = name ? getpwnam(name) : NULL;
    g_autofree char *helper = NULL, *script = NULL, *start = NULL;
    gsize size;

    if (!pw || !program || geteuid() != 0) {
        g_test_skip("needs root, and a user with subordinate ids "
                    "(VIRTFS_TEST_USER)");
        return false;
    }
    h->rootless = make_folder(h->place);
    g_assert_true(g_file_get_contents(program, &helper, &size, NULL));
    g_free(make_program(h->rootless, "helper", helper, size));
    script = g_strdup_printf("#!/bin/sh\nexec setpriv --reuid %u --regid %u "
                             "--clear-groups %s/helper \"$@\"\n",
                             pw->pw_uid, pw->pw_gid, h->rootless);
    start = make_program(h->rootless, "start", script, -1);
    g_assert_cmpint(chown(h->share, pw->pw_uid, pw->pw_gid), ==, 0);
    g_assert_cmpint(chown(h->at, pw->pw_uid, pw->pw_gid), ==, 0);
    g_assert_cmpint(chown(other, pw->pw_uid, pw->pw_gid), ==, 0);
    g_string_append_printf(fsdev, ",helper=%s", start);
    return true;
}

bool habits_start(Habits *h, const HabitsPlace *place, unsigned habits)
{
    g_autoptr(GString) fsdev = g_string_new("");
    g_autofree char *options = NULL, *other = NULL;

    *h = (Habits) { .place = place, .share = make_folder(place) };
    share_mounts(h);
    h->at = g_build_filename(h->share, "fuse", NULL);
    g_assert_cmpint(mkdir(h->at, 0755), ==, 0);
    other = g_build_filename(h->share, "other", NULL);
    g_assert_true(g_file_set_contents(other, "text", 4, NULL));
    h->fuse = test_fuse_start_or_skip(h->at, habits);
    if (!h->fuse) {
        remove_share(h);
        return false;
    }
    g_string_printf(fsdev, place->fsdev, h->share);
    if (place->rootless && !make_rootless(h, other, fsdev)) {
        test_fuse_end(h->fuse);
        remove_share(h);
        return false;
    }
    options = g_strdup_printf("-fsdev %s,id=share -device virtio-9p-pci,"
                              "id=share0,fsdev=share,mount_tag=tag,addr=%d",
                              fsdev->str, SLOT);
    p9_machine_start(&h->m, options);
    h->dev = qvirtio_9p_pci_new(h->m.bus, &h->m.alloc, QPCI_DEVFN(SLOT, 0));
    h->c = p9c_new(&h->dev->v9p);
    p9c_session(h->c);
    h->descriptors = p9_host_descriptors();
    return true;
}

void habits_end(Habits *h)
{
    p9c_free(h->c);
    qvirtio_9p_pci_free(h->dev);
    p9_machine_end(&h->m);
    test_fuse_end(h->fuse);
    remove_share(h);
}

static void make_file(Habits *h, uint32_t dir, const char *name)
{
    ok(p9c_walk_to(h->c, dir, HABITS_NEW, ""));
    ok(p9c_lcreate(h->c, HABITS_NEW, name, P9C_O_RDWR, 0640, 7, NULL, NULL));
    ok(p9c_write(h->c, HABITS_NEW, 0, "text", 4, NULL));
    ok(p9c_clunk(h->c, HABITS_NEW));
}

void habits_begin(Habits *h)
{
    P9Client *c = h->c;

    ok(p9c_walk_to(c, P9C_ROOT, HABITS_FUSE, "fuse"));
    ok(p9c_walk_to(c, P9C_ROOT, HABITS_OTHER, "other"));
    make_file(h, HABITS_FUSE, "file");
    ok(p9c_mkdir(c, HABITS_FUSE, "sub", 0755, 7, NULL));
    ok(p9c_mkdir(c, HABITS_FUSE, "empty", 0755, 7, NULL));
    ok(p9c_symlink(c, HABITS_FUSE, "link", "file", 7, NULL));
    ok(p9c_walk_to(c, HABITS_FUSE, HABITS_FILE_FID, "file"));
    ok(p9c_walk_to(c, HABITS_FUSE, HABITS_OPEN, "file"));
    ok(p9c_lopen(c, HABITS_OPEN, P9C_O_RDWR, NULL, NULL));
    ok(p9c_walk_to(c, HABITS_FUSE, HABITS_SUB, "sub"));
    make_file(h, HABITS_SUB, "inner");
    ok(p9c_walk_to(c, HABITS_FUSE, HABITS_OPEN_SUB, "sub"));
    ok(p9c_lopen(c, HABITS_OPEN_SUB, P9C_O_RDONLY, NULL, NULL));
    ok(p9c_walk_to(c, HABITS_FUSE, HABITS_LINK, "link"));
    set_xattr(h, "user.x", "old");
}

static gint compare(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in the directory, sorted; to be freed */
static GPtrArray *list(Habits *h, uint32_t dir)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    GPtrArray *entries;
    unsigned i;

    ok(p9c_walk_to(h->c, dir, HABITS_LAST, ""));
    ok(p9c_lopen(h->c, HABITS_LAST, P9C_O_RDONLY, NULL, NULL));
    entries = p9c_readdir_all(h->c, HABITS_LAST, 4000);
    ok(p9c_clunk(h->c, HABITS_LAST));
    for (i = 0; i < entries->len; i++) {
        const P9CDirent *e = g_ptr_array_index(entries, i);

        if (!g_str_equal(e->name, ".") && !g_str_equal(e->name, "..")) {
            g_ptr_array_add(names, g_strdup(e->name));
        }
    }
    g_ptr_array_unref(entries);
    g_ptr_array_sort(names, compare);
    return names;
}

/* Removes what is in the directory. Uses fids from HABITS_LAST on. */
static void clear(Habits *h, uint32_t dir, unsigned depth)
{
    g_autoptr(GPtrArray) names = list(h, dir);
    uint32_t fid = HABITS_LAST + 1 + depth;
    unsigned i;

    for (i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        P9CAttr attr;

        ok(p9c_walk_to(h->c, dir, fid, name));
        ok(p9c_getattr(h->c, fid, P9C_GETATTR_BASIC, &attr));
        if (S_ISDIR(attr.mode)) {
            clear(h, fid, depth + 1);
        }
        ok(p9c_clunk(h->c, fid));
        ok(p9c_unlinkat(h->c, dir, name,
                        S_ISDIR(attr.mode) ? P9C_AT_REMOVEDIR : 0));
    }
}

void habits_finish(Habits *h)
{
    uint32_t fid;

    for (fid = HABITS_FILE_FID; fid < HABITS_LAST; fid++) {
        p9c_clunk(h->c, fid);
    }
    clear(h, HABITS_FUSE, 0);
    ok(p9c_clunk(h->c, HABITS_FUSE));
    p9_host_wait_descriptors(h->descriptors);
    g_assert_cmpuint(test_fuse_open_files(h->fuse), ==, 0);
}

static void view_content(Habits *h, uint32_t fid, GString *view)
{
    uint32_t got;
    char buf[64];

    ok(p9c_lopen(h->c, fid, P9C_O_RDONLY, NULL, NULL));
    ok(p9c_read(h->c, fid, 0, sizeof(buf), buf, &got));
    g_string_append_printf(view, " '%.*s'", (int)got, buf);
}

static void view_xattr(Habits *h, uint32_t fid, const char *name, GString *view)
{
    uint32_t value = HABITS_LAST + 10;
    uint64_t size;
    char buf[64];

    if (p9c_xattrwalk(h->c, fid, value, name, &size) == 0) {
        ok(p9c_read(h->c, value, 0, sizeof(buf), buf, NULL));
        g_string_append_printf(view, " %s=%.*s", name, (int)size, buf);
        ok(p9c_clunk(h->c, value));
    }
}

static void view_folder(Habits *h, uint32_t dir, const char *path,
                        unsigned depth, GString *view)
{
    g_autoptr(GPtrArray) names = list(h, dir);
    uint32_t fid = HABITS_LAST + 1 + depth;
    unsigned i;

    for (i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        g_autofree char *inner = g_strconcat(path, "/", name, NULL);
        g_autofree char *target = NULL;
        P9CAttr attr;

        ok(p9c_walk_to(h->c, dir, fid, name));
        ok(p9c_getattr(h->c, fid, P9C_GETATTR_BASIC, &attr));
        g_string_append_printf(view, "%s %o %u %u %u", inner, attr.mode,
                               attr.uid, attr.gid, (unsigned)attr.nlink);
        if (S_ISREG(attr.mode) || S_ISDIR(attr.mode)) {
            view_xattr(h, fid, "user.x", view);
            view_xattr(h, fid, "user.y", view);
        }
        if (S_ISLNK(attr.mode)) {
            ok(p9c_readlink(h->c, fid, &target));
            g_string_append_printf(view, " -> %s", target);
        } else if (S_ISREG(attr.mode)) {
            g_string_append_printf(view, " %u", (unsigned)attr.mtime_sec);
            view_content(h, fid, view);
        }
        g_string_append_c(view, '\n');
        if (S_ISDIR(attr.mode)) {
            view_folder(h, fid, inner, depth + 1, view);
        }
        ok(p9c_clunk(h->c, fid));
    }
}

char *habits_view(Habits *h)
{
    GString *view = g_string_new(NULL);

    view_folder(h, HABITS_FUSE, "", 0, view);
    return g_string_free(view, false);
}

char *habits_names(Habits *h)
{
    g_auto(GStrv) names = test_fuse_names(h->fuse);
    GString *kept = g_string_new(NULL);
    unsigned i;

    for (i = 0; names[i]; i++) {
        /* It stays, once it is there. */
        if (!g_str_has_suffix(names[i], "/.virtfs_metadata")) {
            g_string_append_printf(kept, "%s\n", names[i]);
        }
    }
    return g_string_free(kept, false);
}
