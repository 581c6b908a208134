/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The targets of the behaviour tests, and how a case comes to run on one: see
 * virtio-9p-behaviour.h.
 *
 * Cases of one target share a QEMU, which is reset in between, as long as the
 * options are the same; and always the folder that it serves, which is emptied
 * in between. Folders are made in the current one, which so decides on the
 * file system; but those of some targets on a disk, if there is one. On file
 * systems that are in memory only, drivers take other ways (hw/9pfs/host/device-numbers.h).
 */
#include "qemu/osdep.h"
#include <linux/magic.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include "libqtest-single.h"
#include "qemu/bswap.h"
#include "qemu/module.h"
#include "libqos/qgraph.h"
#include "libqos/virtio-9p-dotu.h"
#include "virtio-9p-behaviour.h"
#include "virtio-9p-host.h"

/* For files that outlive a reboot: hier(7) */
#define DISK            "/var/tmp"

#define SCRATCH_FID     0x5a5a5a5a
#define SYNTH_DIRS      16
#define SYNTH_FILES     100

#define METADATA        ".virtfs_metadata"
#define METADATA_ROOT   ".virtfs_metadata_root"

/* Who QEMU is when it is not root and root runs the test */
#define USER            65534

struct Target {
    const char *name;
    const char *fsdev;          /* "%s" is the folder */
    unsigned has;
    unsigned root_has;          /* only if root runs the test */
};

#define HAS_PROXY   (HAS_HOST | HAS_XATTRS | HAS_SAME | HAS_HELPER | \
                     HAS_HANDLES)
#define HAS_PASS    (HAS_HOST | HAS_XATTRS | HAS_ACLS | HAS_SAME | HAS_LOCAL | \
                     HAS_HANDLES)
#define HAS_MAPPED  (HAS_HOST | HAS_XATTRS | HAS_OWNERS | HAS_DEVICES | \
                     HAS_LOCAL | HAS_HANDLES)

static const Target targets[] = {
    { "synth", NULL, 0 },
#ifdef CONFIG_VIRTFS_PROXY_HELPER
    { "proxy", "proxy,path=%s", HAS_PROXY, HAS_OWNERS | HAS_ACLS },
    /* Without donated descriptors everything is a message, to the same end */
    { "proxy-donate-off", "proxy,path=%s,donate=off", HAS_PROXY,
      HAS_OWNERS | HAS_ACLS },
    /* And through a socket, not in shared memory as above */
    { "proxy-socket", "proxy,path=%s,ring=off,donate=off",
      HAS_PROXY | HAS_EVENTFD, HAS_OWNERS | HAS_ACLS },
    { "proxy-v1", "proxy,path=%s,protocol=1", HAS_PROXY & ~HAS_HANDLES,
      HAS_OWNERS | HAS_ACLS },
#endif
    { "local/passthrough", "local,path=%s,security_model=passthrough",
      HAS_PASS, HAS_OWNERS | HAS_DEVICES },
    { "local/none", "local,path=%s,security_model=none",
      HAS_PASS | HAS_EVENTFD, HAS_OWNERS | HAS_DEVICES },
    { "local/mapped-xattr", "local,path=%s,security_model=mapped-xattr",
      HAS_MAPPED | HAS_VIEW_XATTR | HAS_ACLS },
    { "local/mapped-file", "local,path=%s,security_model=mapped-file",
      HAS_MAPPED | HAS_VIEW_FILE },
    { "local/mapped", "local,path=%s,security_model=mapped",
      HAS_MAPPED | HAS_VIEW_XATTR | HAS_ACLS | HAS_SHORT_LIST },
    /*
     * If root runs the test, QEMU once more as somebody else, and on a disk.
     * The helper is always somebody else.
     */
    { "user/passthrough", "local,path=%s,security_model=passthrough",
      HAS_PASS | HAS_USER },
    { "user/none", "local,path=%s,security_model=none", HAS_PASS | HAS_USER },
    { "user/mapped-xattr", "local,path=%s,security_model=mapped-xattr",
      HAS_MAPPED | HAS_VIEW_XATTR | HAS_ACLS | HAS_USER },
    { "user/mapped-file", "local,path=%s,security_model=mapped-file",
      HAS_MAPPED | HAS_VIEW_FILE | HAS_USER },
    /* The device has an IOThread, and all of these run there. */
    { "iothread/synth", NULL, HAS_IOTHREAD },
    { "iothread/local", "local,path=%s,security_model=passthrough",
      HAS_PASS | HAS_IOTHREAD, HAS_OWNERS | HAS_DEVICES },
#ifdef CONFIG_VIRTFS_PROXY_HELPER
    { "iothread/proxy", "proxy,path=%s", HAS_PROXY | HAS_IOTHREAD,
      HAS_OWNERS | HAS_ACLS },
    { "iothread/proxy-v1", "proxy,path=%s,protocol=1",
      (HAS_PROXY & ~HAS_HANDLES) | HAS_IOTHREAD, HAS_OWNERS | HAS_ACLS },
#endif
};

static const Case *const subjects[] = {
    behaviour_tree, behaviour_names, behaviour_data, behaviour_attr,
    behaviour_xattr, behaviour_view, behaviour_share, behaviour_limits,
    behaviour_flush, behaviour_host, behaviour_dotu,
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
 * Messages
 */

uint32_t session_msize(Test *t, uint32_t msize)
{
    uint32_t got;

    ok(p9c_version(t->c, msize, P9C_VERSION, &got, NULL));
    ok(p9c_attach(t->c, ROOT, t->uid, NULL));
    return got;
}

void session(Test *t)
{
    if (t->cs->flags & CASE_DOTU) {
        p9c_session_u(t->c, P9C_MSIZE, t->uid);
    } else {
        session_msize(t, t->cs->flags & CASE_SMALL ? P9C_MSIZE : MSIZE);
    }
}

void assert_alive(Test *t)
{
    g_assert_false(p9c_needs_reset(t->c));
    if (t->cs->flags & CASE_DOTU) {
        ok(p9c_stat(t->c, ROOT, NULL));
    } else {
        g_assert_cmphex(attr_of(t, "").mode & S_IFMT, ==, S_IFDIR);
    }
}

int walk(Test *t, uint32_t fid, uint32_t newfid, const char *path)
{
    return p9c_walk_to(t->c, fid, newfid, path);
}

int open_fid(Test *t, uint32_t fid, uint32_t flags)
{
    return p9c_lopen(t->c, fid, flags, NULL, NULL);
}

int create(Test *t, uint32_t fid, const char *name, uint32_t flags,
           uint32_t mode)
{
    return p9c_lcreate(t->c, fid, name, flags, mode, t->gid, NULL, NULL);
}

int make_dir(Test *t, uint32_t fid, const char *name, uint32_t mode)
{
    return p9c_mkdir(t->c, fid, name, mode, t->gid, NULL);
}

int make_node(Test *t, uint32_t fid, const char *name, uint32_t mode,
              uint32_t major, uint32_t minor)
{
    return p9c_mknod(t->c, fid, name, mode, major, minor, t->gid, NULL);
}

int make_symlink(Test *t, uint32_t fid, const char *name, const char *target)
{
    return p9c_symlink(t->c, fid, name, target, t->gid, NULL);
}

int getattr(Test *t, uint32_t fid, P9CAttr *attr)
{
    return p9c_getattr(t->c, fid, P9C_GETATTR_BASIC, attr);
}

int setattr(Test *t, uint32_t fid, P9CSetAttr set)
{
    return p9c_setattr(t->c, fid, &set);
}

int set_mode(Test *t, uint32_t fid, uint32_t mode)
{
    return p9c_chmod(t->c, fid, mode);
}

int clunk(Test *t, uint32_t fid)
{
    return p9c_clunk(t->c, fid);
}

P9CAttr attr_of(Test *t, const char *path)
{
    P9CAttr attr;

    ok(walk(t, ROOT, SCRATCH_FID, path));
    ok(getattr(t, SCRATCH_FID, &attr));
    ok(clunk(t, SCRATCH_FID));
    return attr;
}

bool guest_has(Test *t, const char *path)
{
    int err = walk(t, ROOT, SCRATCH_FID, path);

    if (err == 0) {
        ok(clunk(t, SCRATCH_FID));
    } else {
        g_assert_cmpint(err, ==, ENOENT);
    }
    return err == 0;
}

void make_file(Test *t, uint32_t fid, const char *name, const char *data)
{
    ok(walk(t, fid, SCRATCH_FID, ""));
    ok(create(t, SCRATCH_FID, name, P9C_O_WRONLY | P9C_O_EXCL, 0644));
    if (*data) {
        write_all(t, SCRATCH_FID, 0, data);
    }
    ok(clunk(t, SCRATCH_FID));
}

void write_all(Test *t, uint32_t fid, uint64_t offset, const char *data)
{
    uint32_t n;

    ok(p9c_write(t->c, fid, offset, data, strlen(data), &n));
    g_assert_cmpuint(n, ==, strlen(data));
}

void read_is(Test *t, uint32_t fid, uint64_t offset, const char *data)
{
    char buf[64];
    uint32_t n;

    ok(p9c_read(t->c, fid, offset, sizeof(buf), buf, &n));
    g_assert_cmpmem(buf, n, data, strlen(data));
}

void content_is(Test *t, const char *path, const char *data)
{
    ok(walk(t, ROOT, SCRATCH_FID, path));
    ok(open_fid(t, SCRATCH_FID, P9C_O_RDONLY));
    read_is(t, SCRATCH_FID, 0, data);
    ok(clunk(t, SCRATCH_FID));
}

void readlink_is(Test *t, uint32_t fid, const char *expected)
{
    g_autofree char *target = NULL;

    ok(p9c_readlink(t->c, fid, &target));
    g_assert_cmpstr(target, ==, expected);
}

int put_xattr(Test *t, uint32_t fid, const char *name, const void *value,
              uint32_t size, uint32_t flags)
{
    uint32_t n;
    int err;

    ok(walk(t, fid, SCRATCH_FID, ""));
    err = p9c_xattrcreate(t->c, SCRATCH_FID, name, size, flags);
    if (err) {
        ok(clunk(t, SCRATCH_FID));
        return err;
    }
    if (size) {
        ok(p9c_write(t->c, SCRATCH_FID, 0, value, size, &n));
        g_assert_cmpuint(n, ==, size);
    }
    return clunk(t, SCRATCH_FID);
}

int take_xattr(Test *t, uint32_t fid, const char *name, void *value,
               uint32_t *size)
{
    uint64_t length;
    int err;

    err = p9c_xattrwalk(t->c, fid, SCRATCH_FID, name, &length);
    if (err == 0) {
        ok(p9c_read(t->c, SCRATCH_FID, 0, *size, value, size));
        g_assert_cmpuint(*size, ==, length);
        ok(clunk(t, SCRATCH_FID));
    }
    return err;
}

bool lists_xattr(Test *t, uint32_t fid, const char *name)
{
    char list[4096];
    uint32_t size = sizeof(list);
    const char *at;

    ok(take_xattr(t, fid, "", list, &size));
    g_assert_true(size == 0 || list[size - 1] == '\0');
    for (at = list; at < list + size; at += strlen(at) + 1) {
        if (!strcmp(at, name)) {
            return true;
        }
    }
    return false;
}

P9Call *lock_call(Test *t, uint32_t fid)
{
    P9Call *call = p9c_call(t->c, P9C_TLOCK);

    p9c_put_u32(call, fid);
    p9c_put_u8(call, P9C_LOCK_WRLCK);
    p9c_put_u32(call, P9C_LOCK_BLOCK);
    p9c_put_u64(call, 0);
    p9c_put_u64(call, 0);
    p9c_put_u32(call, 4711);
    p9c_put_str(call, "qtest");
    return call;
}

/*
 * The host's side
 */

char *host_path(Test *t, const char *name)
{
    return g_build_filename(t->dir, name, NULL);
}

/* What root makes here belongs to whom QEMU runs as. */
static void host_give(Test *t, const char *path)
{
    if (geteuid() != t->host_uid) {
        g_assert_cmpint(lchown(path, t->host_uid, t->host_gid), ==, 0);
    }
}

void host_write(Test *t, const char *name, const char *data)
{
    g_autofree char *path = host_path(t, name);
    /* In place: the same inode */
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(fchmod(fd, 0644), ==, 0);
    g_assert_cmpint(write(fd, data, strlen(data)), ==, strlen(data));
    close(fd);
    host_give(t, path);
}

void host_is(Test *t, const char *name, const char *data)
{
    g_autofree char *path = host_path(t, name);
    g_autofree char *got = NULL;
    size_t len;

    g_assert_true(g_file_get_contents(path, &got, &len, NULL));
    g_assert_cmpmem(got, len, data, strlen(data));
}

void host_mkdir(Test *t, const char *name)
{
    g_autofree char *path = host_path(t, name);

    g_assert_cmpint(mkdir(path, 0755), ==, 0);
    g_assert_cmpint(chmod(path, 0755), ==, 0);
    host_give(t, path);
}

void host_symlink(Test *t, const char *target, const char *name)
{
    g_autofree char *path = host_path(t, name);

    g_assert_cmpint(symlink(target, path), ==, 0);
    host_give(t, path);
}

void host_unlink(Test *t, const char *name)
{
    g_autofree char *path = host_path(t, name);

    g_assert_cmpint(unlink(path), ==, 0);
}

struct stat host_stat(Test *t, const char *name)
{
    g_autofree char *path = host_path(t, name);
    struct stat st;

    g_assert_cmpint(lstat(path, &st), ==, 0);
    return st;
}

bool host_has(Test *t, const char *name)
{
    g_autofree char *path = host_path(t, name);
    struct stat st;

    return lstat(path, &st) == 0;
}

char *metadata_of(const char *name)
{
    g_autofree char *dir = g_path_get_dirname(name);
    g_autofree char *base = g_path_get_basename(name);

    if (!strcmp(name, ".")) {
        return g_strdup(METADATA_ROOT);
    }
    return g_build_filename(dir, METADATA, base, NULL);
}

static bool xattr_part(Test *t, const char *name, const char *part,
                       void *value, size_t size)
{
    g_autofree char *path = host_path(t, name);
    g_autofree char *attr = g_strconcat("user.virtfs.", part, NULL);
    uint8_t buf[16];
    ssize_t len = lgetxattr(path, attr, buf, sizeof(buf));

    if (len < 0) {
        return false;
    }
    g_assert_cmpint(len, ==, size);
    memcpy(value, buf, size);
    return true;
}

static bool file_part(Test *t, const char *name, const char *part,
                      uint64_t *value)
{
    g_autofree char *metadata = metadata_of(name);
    g_autofree char *path = host_path(t, metadata);
    g_autofree char *key = g_strdup_printf("virtfs.%s=", part);
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    size_t len;
    int i;

    if (!g_file_get_contents(path, &text, &len, NULL)) {
        return false;
    }
    g_assert_true(len == 0 || text[len - 1] == '\n');
    g_assert_cmpuint(strlen(text), ==, len);
    lines = g_strsplit(text, "\n", -1);
    for (i = 0; lines[i]; i++) {
        if (g_str_has_prefix(lines[i], key)) {
            char *end;

            *value = g_ascii_strtoull(lines[i] + strlen(key), &end, 10);
            g_assert_cmpint(*end, ==, '\0');
            return true;
        }
    }
    return false;
}

bool host_view_u32(Test *t, const char *name, const char *part,
                   uint32_t *value)
{
    uint64_t wide;

    if (has(t, HAS_VIEW_XATTR)) {
        uint8_t raw[4];

        if (!xattr_part(t, name, part, raw, sizeof(raw))) {
            return false;
        }
        *value = ldl_le_p(raw);
        return true;
    }
    if (has(t, HAS_VIEW_FILE) && file_part(t, name, part, &wide)) {
        *value = wide;
        return true;
    }
    return false;
}

bool host_view_u64(Test *t, const char *name, const char *part,
                   uint64_t *value)
{
    if (has(t, HAS_VIEW_XATTR)) {
        uint8_t raw[8];

        if (!xattr_part(t, name, part, raw, sizeof(raw))) {
            return false;
        }
        *value = ldq_le_p(raw);
        return true;
    }
    return has(t, HAS_VIEW_FILE) && file_part(t, name, part, value);
}

HostView host_view(Test *t, const char *name)
{
    struct stat st = host_stat(t, name);
    HostView view = {
        .uid = st.st_uid, .gid = st.st_gid, .mode = st.st_mode,
        .rdev = st.st_rdev,
    };

    host_view_u32(t, name, "uid", &view.uid);
    host_view_u32(t, name, "gid", &view.gid);
    host_view_u32(t, name, "mode", &view.mode);
    host_view_u64(t, name, "rdev", &view.rdev);
    return view;
}

void host_mode_is(Test *t, const char *name, uint32_t mode)
{
    g_assert_cmphex(host_view(t, name).mode, ==, mode);
}

void same_inode(Test *t, uint32_t fid, const char *name)
{
    struct stat st = host_stat(t, name);
    P9CAttr a, b;

    ok(getattr(t, fid, &a));
    host_mode_is(t, name, a.mode);
    g_assert_cmpuint(a.ctime_sec, ==, st.st_ctim.tv_sec);
    g_assert_cmpuint(a.ctime_nsec, ==, st.st_ctim.tv_nsec);
    g_assert_cmpuint(a.nlink, ==, st.st_nlink);
    /* ... and so does one that is walked to it */
    b = attr_of(t, strcmp(name, ".") ? name : "");
    g_assert_cmpuint(a.qid.path, ==, b.qid.path);
    g_assert_cmphex(a.qid.type, ==, b.qid.type);
}

bool same_file(Test *t, const char *a, const char *b)
{
    P9CAttr attr_a = attr_of(t, a);
    P9CAttr attr_b = attr_of(t, b);

    return attr_a.qid.path == attr_b.qid.path;
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

/* Whether it is of a kind that is known to have all that tests ask for */
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
    if (!registered) {
        g_assert_cmpint(atexit(remove_folders), ==, 0);
        registered = true;
    }
    return path;
}

/* Relative, for the current folder's name may have blanks */
static char *fsdev_path(const char *folder)
{
    g_autofree char *cwd = g_get_current_dir();

    return g_str_has_prefix(folder, cwd) ? g_path_get_basename(folder)
                                         : g_strdup(folder);
}

/* As new, but for being the same inode */
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

/* What the synth driver has by itself */
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
        /* Files get their owners, and an ordinary user can give none away. */
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
        /* Only what the target would have if root ran the test */
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
        return false;           /* the other targets do already */
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
                entry = g_new(Entry, 1);    /* lives as long as the table */
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
