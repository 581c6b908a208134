/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Exports that cover several host file systems (multidevs= of -fsdev). Each
 * export is a folder in which two file systems in memory are mounted, with the
 * same inode numbers, and a file is mounted over another:
 *
 *     plain/f  one/f  two/f  bound (which is one/f)
 *
 * This needs the right to mount. The mounts are in a namespace of this program,
 * so they end with it.
 */
#include "qemu/osdep.h"
#include <sys/mount.h>
#include "libqtest.h"
#include "qemu/module.h"
#include "libqos/qgraph.h"
#include "libqos/virtio-9p-client.h"

#define FID     1
#define MSIZE   65536

typedef struct Export {
    char *folder;
    char *said;                 /* file with QEMU's messages */
    char *missing;              /* why there are no mounts, or NULL */
} Export;

static char *path_in(const Export *e, const char *name)
{
    return g_build_filename(e->folder, name, NULL);
}

static void host_write(const Export *e, const char *name, const char *text)
{
    g_autofree char *path = path_in(e, name);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static struct stat host_stat(const Export *e, const char *name)
{
    g_autofree char *path = path_in(e, name);
    struct stat st;

    g_assert_cmpint(lstat(path, &st), ==, 0);
    return st;
}

/* The first call hides all mounts of this program from other processes. */
static bool own_mounts(void)
{
    static bool have;

    if (!have) {
        have = unshare(CLONE_NEWNS) == 0 &&
               mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    }
    return have;
}

static void export_mount(Export *e)
{
    static const char *const folders[] = { "plain", "one", "two" };
    g_autofree char *file = path_in(e, "one/f");
    g_autofree char *bound = path_in(e, "bound");
    unsigned i;

    if (!own_mounts()) {
        e->missing = g_strdup_printf("no mounts can be made here: %s",
                                     strerror(errno));
        return;
    }
    for (i = 0; i < ARRAY_SIZE(folders); i++) {
        g_autofree char *path = path_in(e, folders[i]);
        g_autofree char *name = g_build_filename(folders[i], "f", NULL);

        g_assert_cmpint(mkdir(path, 0755), ==, 0);
        if (i > 0) {
            g_assert_cmpint(mount("test", path, "tmpfs", 0, "mode=755"),
                            ==, 0);
        }
        host_write(e, name, folders[i]);
    }
    host_write(e, "bound", "below");
    g_assert_cmpint(mount(file, bound, NULL, MS_BIND, NULL), ==, 0);

    if (host_stat(e, "one/f").st_ino != host_stat(e, "two/f").st_ino) {
        e->missing = g_strdup("this kernel does not number the inodes of "
                              "several tmpfs alike");
    }
}

static void export_remove(void *opaque)
{
    static const char *const mounts[] = { "bound", "one", "two" };
    Export *e = opaque;
    const char *argv[] = { "rm", "-rf", "--one-file-system", "--", e->folder,
                           e->said, NULL };
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(mounts); i++) {
        g_autofree char *path = path_in(e, mounts[i]);

        umount2(path, MNT_DETACH);
    }
    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                 NULL, NULL, NULL, NULL);
    g_free(e->folder);
    g_free(e->said);
    g_free(e->missing);
    g_free(e);
}

/* One test on one driver */
typedef struct How {
    const char *fsdev;          /* its options except path and multidevs */
    const char *multidevs;
} How;

static void *before(GString *cmd_line, void *arg)
{
    const How *how = arg;
    Export *e = g_new0(Export, 1);
    g_autofree char *opts = NULL;

    e->folder = g_strdup("qtest-9p-multidevs-XXXXXX");
    g_assert_nonnull(g_mkdtemp_full(e->folder, 0755));
    e->said = g_strconcat(e->folder, ".log", NULL);
    g_test_queue_destroy(export_remove, e);
    export_mount(e);
    opts = g_strdup_printf("%s,path=%s%s", how->fsdev, e->folder,
                           how->multidevs);
    qvirtio_9p_set_fsdev(cmd_line, opts);
    /* A shell runs the command line. */
    g_string_append_printf(cmd_line, " 2>%s ", e->said);
    return e;
}

/* NULL if the mounts are missing */
static P9Client *session(QVirtio9P *v9p, const Export *e)
{
    P9Client *c;

    if (e->missing) {
        g_test_skip(e->missing);
        return NULL;
    }
    c = p9c_new(v9p);
    p9c_session_msize(c, MSIZE);
    return c;
}

/* The qid path of @path, which Twalk and Tgetattr must agree on */
static uint64_t qid_path(P9Client *c, const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, "/", 0);
    unsigned num = g_strv_length(names), walked;
    P9CQid qids[P9C_WALK_MAX];
    P9CAttr attr;

    g_assert_cmpint(p9c_walk(c, P9C_ROOT, FID, (const char **)names, num,
                             &walked, qids), ==, 0);
    g_assert_cmpuint(walked, ==, num);
    g_assert_cmpint(p9c_getattr(c, FID, P9C_GETATTR_BASIC, &attr), ==, 0);
    g_assert_cmpint(p9c_clunk(c, FID), ==, 0);
    if (num > 0) {
        g_assert_cmphex(qids[num - 1].path, ==, attr.qid.path);
    }
    return attr.qid.path;
}

static GPtrArray *list(P9Client *c, const char *path)
{
    GPtrArray *entries;

    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, FID, path), ==, 0);
    g_assert_cmpint(p9c_lopen(c, FID, P9C_O_RDONLY, NULL, NULL), ==, 0);
    entries = p9c_readdir_all(c, FID, 4096);
    g_assert_cmpint(p9c_clunk(c, FID), ==, 0);
    return entries;
}

static void assert_content(P9Client *c, const char *path, const char *text)
{
    char buf[64];
    uint32_t got;

    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, FID, path), ==, 0);
    g_assert_cmpint(p9c_lopen(c, FID, P9C_O_RDONLY, NULL, NULL), ==, 0);
    g_assert_cmpint(p9c_read(c, FID, 0, sizeof(buf), buf, &got), ==, 0);
    g_assert_cmpmem(buf, got, text, strlen(text));
    g_assert_cmpint(p9c_clunk(c, FID), ==, 0);
}

static void assert_unique(P9Client *c)
{
    static const char *const paths[] = {
        "", "plain", "one", "two", "plain/f", "one/f", "two/f",
    };
    uint64_t seen[ARRAY_SIZE(paths)];
    GPtrArray *entries;
    P9CDirent *entry;
    unsigned i, j;

    for (i = 0; i < ARRAY_SIZE(paths); i++) {
        seen[i] = qid_path(c, paths[i]);
        for (j = 0; j < i; j++) {
            g_assert_cmphex(seen[i], !=, seen[j]);
        }
    }
    for (i = 0; i < ARRAY_SIZE(paths); i++) {
        g_assert_cmphex(qid_path(c, paths[i]), ==, seen[i]);
    }
    /* One inode has one number under all names. */
    g_assert_cmphex(qid_path(c, "bound"), ==, qid_path(c, "one/f"));
    g_assert_cmphex(qid_path(c, "two/../two/f"), ==, qid_path(c, "two/f"));

    entries = list(c, "two");
    entry = p9c_dirent_find(entries, "f");
    g_assert_nonnull(entry);
    g_assert_cmphex(entry->qid.path, ==, qid_path(c, "two/f"));
    g_ptr_array_unref(entries);

    assert_content(c, "one/f", "one");
    assert_content(c, "two/f", "two");
    assert_content(c, "bound", "one");
}

/* How often QEMU warned of several file systems */
static unsigned warnings(const Export *e)
{
    static const char text[] =
        "warning: fsdev 'share': the export covers several file systems";
    g_autofree char *said = NULL;
    unsigned n = 0;
    char *at;

    g_assert_true(g_file_get_contents(e->said, &said, NULL, NULL));
    for (at = said; (at = strstr(at, text)); at++) {
        n++;
    }
    return n;
}

static void test_remap(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = session(obj, data);

    if (c) {
        assert_unique(c);
        g_assert_cmpuint(warnings(data), ==, 0);
        p9c_free(c);
    }
}

static void test_warn(void *obj, void *data, QGuestAllocator *alloc)
{
    P9Client *c = session(obj, data);

    if (c) {
        qid_path(c, "plain/f");
        g_assert_cmpuint(warnings(data), ==, 0);
        assert_unique(c);
        g_assert_cmpuint(warnings(data), ==, 1);
        p9c_free(c);
    }
}

/* A walk ends at another file system, as at a missing name. */
static void assert_walk_ends(P9Client *c)
{
    static const char *const names[] = { "plain", "..", "one", "f" };
    P9CQid qids[P9C_WALK_MAX];
    unsigned walked;

    g_assert_cmpint(p9c_walk(c, P9C_ROOT, FID, names, ARRAY_SIZE(names),
                             &walked, qids), ==, 0);
    g_assert_cmpuint(walked, ==, 2);
    g_assert_cmphex(qids[1].path, ==, qid_path(c, ""));
    g_assert_cmpint(p9c_clunk(c, FID), ==, ENOENT);
    g_assert_cmpint(p9c_walk(c, P9C_ROOT, FID, names, 3, &walked, qids),
                    ==, 0);
    g_assert_cmpuint(walked, ==, 2);
    g_assert_cmpint(p9c_clunk(c, FID), ==, ENOENT);
}

static void test_forbid(void *obj, void *data, QGuestAllocator *alloc)
{
    static const char *const refused[] = { "one", "two", "one/f", "bound" };
    Export *e = data;
    P9Client *c = session(obj, e);
    GPtrArray *entries;
    struct stat st;
    unsigned i;

    if (!c) {
        return;
    }
    assert_content(c, "plain/f", "plain");
    for (i = 0; i < ARRAY_SIZE(refused); i++) {
        g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, FID, refused[i]), ==, EXDEV);
    }
    assert_walk_ends(c);
    g_assert_cmpuint(warnings(e), ==, 1);

    /* The directory lists their names all the same. */
    entries = list(c, "");
    g_assert_nonnull(p9c_dirent_find(entries, "plain"));
    for (i = 0; i < ARRAY_SIZE(refused); i++) {
        if (!strchr(refused[i], '/')) {
            g_assert_nonnull(p9c_dirent_find(entries, refused[i]));
        }
    }
    g_ptr_array_unref(entries);

    /* Tlcreate does not open an existing file there. */
    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, FID, ""), ==, 0);
    g_assert_cmpint(p9c_lcreate(c, FID, "bound", P9C_O_WRONLY | P9C_O_TRUNC,
                                0644, 0, NULL, NULL), ==, EXDEV);
    st = host_stat(e, "one/f");
    g_assert_cmpint(st.st_size, ==, strlen("one"));
    g_assert_cmpint(p9c_lcreate(c, FID, "bound", P9C_O_WRONLY | P9C_O_EXCL,
                                0644, 0, NULL, NULL), ==, EEXIST);
    /* On the root's file system everything works. */
    g_assert_cmpint(p9c_lcreate(c, FID, "new", P9C_O_WRONLY, 0644, 0,
                                NULL, NULL), ==, 0);
    g_assert_cmpint(p9c_clunk(c, FID), ==, 0);
    g_assert_cmpint(p9c_mkdir(c, P9C_ROOT, "dir", 0755, 0, NULL), ==, 0);
    st = host_stat(e, "dir");
    g_assert_true(S_ISDIR(st.st_mode));
    p9c_free(c);
}

static void register_tests(void)
{
    static const struct {
        const char *name;
        const char *fsdev;
    } drivers[] = {
        { "local", "local,security_model=none" },
        { "mapped-file", "local,security_model=mapped-file" },
#ifdef CONFIG_VIRTFS_PROXY_HELPER
        { "proxy", "proxy" },
        { "proxy-donate-off", "proxy,donate=off" },
#endif
    };
    static const struct {
        const char *name;
        QOSTestFunc function;
        const char *opts;
    } tests[] = {
        { "default", test_remap, "" },
        { "remap", test_remap, ",multidevs=remap" },
        { "warn", test_warn, ",multidevs=warn" },
        { "forbid", test_forbid, ",multidevs=forbid" },
    };
    static How how[ARRAY_SIZE(drivers)][ARRAY_SIZE(tests)];
    unsigned d, i;

    for (d = 0; d < ARRAY_SIZE(drivers); d++) {
        for (i = 0; i < ARRAY_SIZE(tests); i++) {
            QOSGraphTestOptions opts = {
                .before = before,
                .arg = &how[d][i],
            };
            g_autofree char *name = g_strdup_printf("multidevs/%s/%s",
                                                    drivers[d].name,
                                                    tests[i].name);

            how[d][i].fsdev = drivers[d].fsdev;
            how[d][i].multidevs = tests[i].opts;
            qvirtio_9p_add_test(name, "virtio-9p", tests[i].function, &opts);
        }
    }
}
libqos_init(register_tests);
