/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The host's side of the behaviour tests: the folder that a target serves, and
 * the guest's view of its files as the mapped security models store it (see
 * virtio-9p-behaviour.h).
 */
#include "qemu/osdep.h"
#include <sys/xattr.h>
#include "qemu/bswap.h"
#include "virtio-9p-behaviour.h"

#define METADATA        ".virtfs_metadata"
#define METADATA_ROOT   ".virtfs_metadata_root"

char *host_path(Test *t, const char *name)
{
    return g_build_filename(t->dir, name, NULL);
}

void host_give(Test *t, const char *path)
{
    if (geteuid() != t->host_uid) {
        g_assert_cmpint(lchown(path, t->host_uid, t->host_gid), ==, 0);
    }
}

void host_write(Test *t, const char *name, const char *data)
{
    g_autofree char *path = host_path(t, name);
    /* In place, so the inode stays the same */
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

bool host_has_xattrs(Test *t)
{
    if (setxattr(t->dir, "user.test", "", 0, 0) < 0) {
        g_test_skip("no user xattrs on this file system");
        return false;
    }
    removexattr(t->dir, "user.test");
    return true;
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

/* The guest does not see the folder of metadata in a directory. */
static bool has_metadata_folder(Test *t, const char *name)
{
    g_autofree char *path = host_path(t, name);
    g_autofree char *folder = g_build_filename(path, ".virtfs_metadata", NULL);

    return has(t, HAS_VIEW_FILE) && g_file_test(folder, G_FILE_TEST_IS_DIR);
}

HostView host_view(Test *t, const char *name)
{
    struct stat st = host_stat(t, name);
    HostView view = {
        .uid = st.st_uid, .gid = st.st_gid, .mode = st.st_mode,
        .rdev = st.st_rdev, .nlink = st.st_nlink - has_metadata_folder(t, name),
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
    HostView view = host_view(t, name);
    P9CAttr a, b;

    ok(getattr(t, fid, &a));
    g_assert_cmphex(a.mode, ==, view.mode);
    g_assert_cmpuint(a.ctime_sec, ==, st.st_ctim.tv_sec);
    g_assert_cmpuint(a.ctime_nsec, ==, st.st_ctim.tv_nsec);
    g_assert_cmpuint(a.nlink, ==, view.nlink);
    /* A new fid by that name has the same qid. */
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
