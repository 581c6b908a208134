/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Behaviour of 9P2000.u: stats, by Tstat, Twstat and in directories.
 */
#include "qemu/osdep.h"
#include "virtio-9p-behaviour-dotu.h"

#define MANY 300

static void test_stat(Test *t)
{
    struct stat host;
    P9CStat st, again;
    g_autofree char *uid = NULL, *gid = NULL;
    uint32_t n_uid, n_gid;

    host_write(t, "f", "12345");
    host_mkdir(t, "d");
    host_mkdir(t, "d/e");
    host = host_stat(t, "f");
    /* The helper of an ordinary user maps that user to root. */
    n_uid = has(t, HAS_HELPER) ? t->uid : host.st_uid;
    n_gid = has(t, HAS_HELPER) ? t->gid : host.st_gid;
    uid = g_strdup_printf("%u", n_uid);
    gid = g_strdup_printf("%u", n_gid);
    ok(walk(t, ROOT, 1, "f"));
    ok(p9c_stat(t->c, 1, &st));
    g_assert_cmpuint(st.type, ==, 0);
    g_assert_cmpuint(st.dev, ==, 0);
    g_assert_cmphex(st.mode, ==, 0644);
    g_assert_cmpuint(st.atime, ==, host.st_atim.tv_sec);
    g_assert_cmpuint(st.mtime, ==, host.st_mtim.tv_sec);
    g_assert_cmpuint(st.length, ==, 5);
    g_assert_cmpstr(st.name, ==, "f");
    g_assert_cmpstr(st.uid, ==, uid);
    g_assert_cmpstr(st.gid, ==, gid);
    g_assert_cmpuint(st.n_uid, ==, n_uid);
    g_assert_cmpuint(st.n_gid, ==, n_gid);
    g_assert_cmpstr(st.muid, ==, "");
    g_assert_cmpuint(st.n_muid, ==, P9C_NOUID);
    g_assert_cmpstr(st.extension, ==, "");

    /* A change of the content changes the qid's version, not its path. */
    host_write(t, "f", "123456");
    ok(p9c_stat(t->c, 1, &again));
    g_assert_cmpuint(again.length, ==, 6);
    g_assert_cmpuint(again.qid.path, ==, st.qid.path);
    g_assert_cmpuint(again.qid.version, !=, st.qid.version);
    p9c_stat_clear(&again);
    p9c_stat_clear(&st);

    p9c_stat_is(t->c, ROOT, P9C_QTDIR, P9C_DMDIR | 0755, 0, "/", NULL);
    ok(walk(t, ROOT, 2, "d"));
    p9c_stat_is(t->c, 2, P9C_QTDIR, P9C_DMDIR | 0755, 0, "d", NULL);
    /* Without a name in the walk, Tstat gives the name of an earlier walk. */
    ok(walk(t, 2, 3, "e"));
    ok(walk(t, 3, 4, ".."));
    p9c_stat_is(t->c, 4, P9C_QTDIR, P9C_DMDIR | 0755, 0, "d", NULL);
    /* An open file without a name still has a stat. */
    ok(open_u(t, 1, P9C_OREAD));
    ok(walk(t, ROOT, 5, "f"));
    ok(p9c_remove(t->c, 5));
    p9c_stat_is(t->c, 1, P9C_QTFILE, 0644, 6, "f", "");
}

/* Owners: by number or, without one, by a name that is a number */
static void change_owners(Test *t, uint32_t fid)
{
    HostView view;

    ok(wstat_u(t, fid, stat_with(st->n_uid = t->uid, st->n_gid = t->gid)));
    if (!has(t, HAS_OWNERS)) {
        return;
    }
    ok(wstat_u(t, fid, stat_with(st->n_uid = 1234, st->n_gid = 2345)));
    view = host_view(t, "f");
    g_assert_cmpuint(view.uid, ==, 1234);
    g_assert_cmpuint(view.gid, ==, 2345);
    ok(wstat_u(t, fid, stat_with(st->gid = (char *)"77")));
    ok(wstat_u(t, fid, stat_with(st->uid = (char *)"78")));
    view = host_view(t, "f");
    g_assert_cmpuint(view.uid, ==, 78);
    g_assert_cmpuint(view.gid, ==, 77);
    /* The number wins. */
    ok(wstat_u(t, fid, stat_with(st->uid = (char *)"bob", st->n_uid = 79)));
    g_assert_cmpuint(host_view(t, "f").uid, ==, 79);
}

static void test_wstat(Test *t)
{
    struct stat host;
    P9CStat now;

    host_write(t, "f", "0123456789");
    host_mkdir(t, "d");
    ok(walk(t, ROOT, 1, "f"));
    ok(walk(t, ROOT, 2, "d"));

    ok(wstat_u(t, 1, stat_with(st->mode = 0600)));
    host_mode_is(t, "f", S_IFREG | 0600);
    ok(wstat_u(t, 1, stat_with(st->mode = 0711 | P9C_DMSETUID)));
    host_mode_is(t, "f", S_IFREG | 04711);
    ok(wstat_u(t, 2, stat_with(st->mode = P9C_DMDIR | P9C_DMSETVTX | 0777)));
    host_mode_is(t, "d", S_IFDIR | 01777);

    ok(wstat_u(t, 1, stat_with(st->length = 4)));
    host_is(t, "f", "0123");
    ok(wstat_u(t, 1, stat_with(st->length = 0)));
    host_is(t, "f", "");
    ok(wstat_u(t, 1, stat_with(st->length = 100000)));
    g_assert_cmpint(host_stat(t, "f").st_size, ==, 100000);

    ok(wstat_u(t, 1, stat_with(st->mtime = 1000000000,
                               st->atime = 0x90000000)));
    host = host_stat(t, "f");
    g_assert_cmpint(host.st_mtim.tv_sec, ==, 1000000000);
    g_assert_cmpint(host.st_mtim.tv_nsec, ==, 0);
    g_assert_cmpint(host.st_atim.tv_sec, ==, 0x90000000);
    ok(wstat_u(t, 1, stat_with(st->mtime = 0)));
    host = host_stat(t, "f");
    g_assert_cmpint(host.st_mtim.tv_sec, ==, 0);
    g_assert_cmpint(host.st_atim.tv_sec, ==, 0x90000000);

    change_owners(t, 1);

    /* Several fields at once, by an open fid */
    ok(open_u(t, 1, P9C_ORDWR));
    ok(wstat_u(t, 1, stat_with(st->mode = 0640, st->length = 3,
                               st->mtime = 12345, st->name = (char *)"g",
                               st->muid = (char *)"me")));
    host = host_stat(t, "g");
    host_mode_is(t, "g", S_IFREG | 0640);
    g_assert_cmpint(host.st_size, ==, 3);
    g_assert_cmpint(host.st_mtim.tv_sec, ==, 12345);
    g_assert_false(host_has(t, "f"));

    /* The guest can send back the result of Tstat, changed or not. */
    ok(p9c_stat(t->c, 1, &now));
    ok(p9c_wstat(t->c, 1, &now));
    now.mode = 0644;
    ok(p9c_wstat(t->c, 1, &now));
    host_mode_is(t, "g", S_IFREG | 0644);
    p9c_stat_clear(&now);
    ok(p9c_stat(t->c, 2, &now));
    ok(p9c_wstat(t->c, 2, &now));
    p9c_stat_clear(&now);
    ok(p9c_stat(t->c, ROOT, &now));
    ok(p9c_wstat(t->c, ROOT, &now));
    p9c_stat_clear(&now);

    /* A Twstat without changes syncs the file. */
    ok(p9c_wstat(t->c, 1, &p9c_stat_blank));
    ok(p9c_wstat(t->c, 2, &p9c_stat_blank));
    ok(p9c_wstat(t->c, ROOT, &p9c_stat_blank));
}

/* A Twstat changes nothing if one of its fields is refused. */
static void test_wstat_refused(Test *t)
{
    g_autofree char *longer = g_strnfill(NAME_MAX + 1, 'n');

    host_write(t, "f", "0123456789");
    host_mkdir(t, "d");
    ok(walk(t, ROOT, 1, "f"));
    ok(walk(t, ROOT, 2, "d"));
    ok(make_u(t, 3, "p", P9C_DMNAMEDPIPE | 0644, ""));

#define REFUSED(fid, error, ...) \
    fails(wstat_u(t, fid, stat_with(st->mode = fid == 2 ? P9C_DMDIR : 0, \
                                  __VA_ARGS__)), error)
    /* Types */
    REFUSED(1, EINVAL, st->mode = P9C_DMDIR | 0600);
    REFUSED(1, EINVAL, st->mode = P9C_DMSYMLINK | 0600);
    REFUSED(1, EINVAL, st->mode = P9C_DMAPPEND | 0600);
    REFUSED(1, EINVAL, st->mode = 01000 | 0600);
    REFUSED(2, EINVAL, st->mode = 0700);
    REFUSED(3, EINVAL, st->mode = P9C_DMSOCKET | 0600);
    /* Fields that only the server sets */
    REFUSED(1, EPERM, st->type = 1);
    REFUSED(1, EPERM, st->dev = 1);
    REFUSED(1, EPERM, st->qid.type = P9C_QTDIR);
    REFUSED(1, EPERM, st->qid.path = 1ull << 40 | 77);
    REFUSED(1, EPERM, st->extension = (char *)"c 1 3");
    /* Owners */
    REFUSED(1, EINVAL, st->uid = (char *)"bob");
    REFUSED(1, EINVAL, st->gid = (char *)"-1");
    REFUSED(1, EINVAL, st->gid = (char *)"1x");
    REFUSED(1, EINVAL, st->gid = (char *)"99999999999");
    /* Lengths */
    REFUSED(1, EFBIG, st->length = 1ull << 63);
    REFUSED(2, EISDIR, st->length = 1);
    REFUSED(3, EINVAL, st->length = 1);
    /* Names */
    REFUSED(1, ENOENT, st->name = (char *)"a/b");
    REFUSED(1, ENOENT, st->name = (char *)"/");
    REFUSED(1, EINVAL, st->name = (char *)".");
    REFUSED(1, EINVAL, st->name = (char *)"..");
    REFUSED(1, ENAMETOOLONG, st->name = longer);
#undef REFUSED
    fails(wstat_u(t, ROOT, stat_with(st->name = (char *)"root")), EBUSY);

    host_mode_is(t, "f", S_IFREG | 0644);
    host_mode_is(t, "d", S_IFDIR | 0755);
    host_mode_is(t, "p", S_IFIFO | 0644);
    host_is(t, "f", "0123456789");

    /* The mode of a special file may lack the type bit. */
    ok(wstat_u(t, 3, stat_with(st->mode = 0600)));
    ok(wstat_u(t, 3, stat_with(st->mode = P9C_DMNAMEDPIPE | 0604)));
    host_mode_is(t, "p", S_IFIFO | 0604);
}

static void test_rename(Test *t)
{
    host_write(t, "f", "f");
    host_write(t, "old", "old");
    host_mkdir(t, "d");
    host_mkdir(t, "full");
    host_write(t, "full/x", "x");

    ok(walk(t, ROOT, 1, "f"));
    ok(wstat_u(t, 1, stat_with(st->name = (char *)"g")));
    g_assert_false(host_has(t, "f"));
    host_is(t, "g", "f");
    p9c_stat_is(t->c, 1, P9C_QTFILE, 0644, 1, "g", "");
    /* To itself */
    ok(wstat_u(t, 1, stat_with(st->name = (char *)"g")));
    host_is(t, "g", "f");

    /* As rename(2): the replaced file stays with its fid, without a name. */
    ok(walk(t, ROOT, 2, "old"));
    ok(wstat_u(t, 1, stat_with(st->name = (char *)"old")));
    g_assert_false(host_has(t, "g"));
    host_is(t, "old", "f");
    fails(wstat_u(t, 2, stat_with(st->name = (char *)"again")), ENOENT);
    fails(p9c_remove(t->c, 2), ENOENT);
    host_is(t, "old", "f");

    /* A file does not replace a directory, nor a directory a full one. */
    fails(wstat_u(t, 1, stat_with(st->name = (char *)"d")), EISDIR);
    ok(walk(t, ROOT, 3, "d"));
    fails(wstat_u(t, 3, stat_with(st->name = (char *)"old")), ENOTDIR);
    fails(wstat_u(t, 3, stat_with(st->name = (char *)"full")), ENOTEMPTY);
    host_is(t, "full/x", "x");

    /* Files below a directory move with it. */
    ok(walk(t, ROOT, 4, "full"));
    ok(walk(t, 4, 5, "x"));
    ok(wstat_u(t, 4, stat_with(st->name = (char *)"moved")));
    ok(open_u(t, 5, P9C_OREAD));
    read_is(t, 5, 0, "x");
    ok(walk(t, ROOT, 6, "moved/x"));
    ok(p9c_remove(t->c, 5));
    g_assert_false(host_has(t, "moved/x"));
}

static void test_read_dir(Test *t)
{
    static const uint32_t counts[] = { 100, 333, 1000, P9C_MSIZE - 24 };
    g_autofree bool *seen = g_new(bool, MANY);
    g_autofree char *gone = NULL;
    g_autoptr(GPtrArray) first = NULL;
    g_autoptr(GPtrArray) rest = NULL;
    uint64_t offset;
    uint32_t n;
    unsigned i, j;
    P9CStat *st;

    host_mkdir(t, "d");
    for (i = 0; i < MANY; i++) {
        g_autofree char *name = g_strdup_printf("d/%u", i);

        host_write(t, name, "abc");
    }
    ok(walk(t, ROOT, 1, "d"));
    ok(open_u(t, 1, P9C_OREAD));
    for (i = 0; i < ARRAY_SIZE(counts); i++) {
        g_autoptr(GPtrArray) all = p9c_read_dir_all(t->c, 1, counts[i]);

        g_assert_cmpuint(all->len, ==, MANY);
        memset(seen, 0, MANY * sizeof(*seen));
        for (j = 0; j < all->len; j++) {
            st = g_ptr_array_index(all, j);
            g_assert_cmpuint(atoi(st->name), <, MANY);
            g_assert_false(seen[atoi(st->name)]);
            seen[atoi(st->name)] = true;
            g_assert_cmphex(st->mode, ==, 0644);
            g_assert_cmpuint(st->length, ==, 3);
        }
    }

    /* A file that is removed between two reads may be missing. */
    ok(p9c_read_dir(t->c, 1, 0, 1000, &first, &n));
    offset = n;
    g_assert_cmpuint(first->len, >, 5);
    g_assert_cmpuint(first->len, <, 20);
    for (i = 0; i < MANY; i++) {
        g_autofree char *name = g_strdup_printf("%u", i);

        if (!p9c_stat_find(first, name)) {
            gone = g_strdup_printf("d/%u", i);
            break;
        }
    }
    host_unlink(t, gone);
    rest = g_ptr_array_new();
    j = 0;
    do {
        g_autoptr(GPtrArray) some = NULL;

        ok(p9c_read_dir(t->c, 1, offset, 1000, &some, &n));
        offset += n;
        j += some->len;
    } while (n);
    g_assert_cmpuint(first->len + j, >=, MANY - 1);
    g_assert_cmpuint(first->len + j, <=, MANY);
}

/*
 * Reads a directory as Linux' client does: it fills a buffer of @size with
 * several requests, each for what the one before left, until one gives
 * nothing; and takes another buffer, until one stays empty.
 */
static GPtrArray *fill_buffers(Test *t, uint32_t fid, uint32_t size)
{
    GPtrArray *all = g_ptr_array_new();
    uint64_t offset = 0;
    uint32_t left, n;

    do {
        left = size;
        do {
            g_autoptr(GPtrArray) some = NULL;

            ok(p9c_read_dir(t->c, fid, offset, left, &some, &n));
            offset += n;
            left -= n;
            while (some->len) {
                g_ptr_array_add(all, g_ptr_array_steal_index(some, 0));
            }
        } while (n && left);
    } while (left < size);
    return all;
}

static void test_read_dir_rest(Test *t)
{
    static const uint32_t sizes[] = { 350, 1000, 4096, P9C_MSIZE - 24 };
    g_autofree char *target = g_strnfill(PATH_MAX - 1, 't');
    unsigned i, j, total;

    host_mkdir(t, "d");
    for (i = 0; i < MANY; i++) {
        g_autofree char *rest = g_strnfill(i * 7 % 200, 'n');
        g_autofree char *name = g_strdup_printf("d/%u-%s", i, rest);

        host_write(t, name, "");
    }
    ok(walk(t, ROOT, 1, "d"));
    ok(create_u(t, 1, "long", P9C_DMSYMLINK, P9C_OREAD, target));
    ok(walk(t, ROOT, 2, "d"));
    ok(open_u(t, 2, P9C_OREAD));
    for (i = 0; i < ARRAY_SIZE(sizes); i++) {
        g_autoptr(GPtrArray) all = fill_buffers(t, 2, sizes[i]);
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

        for (j = 0; j < all->len; j++) {
            P9CStat *st = g_ptr_array_index(all, j);

            g_hash_table_add(seen, st->name);
            if (!strcmp(st->name, "long")) {
                /* Left out only where no buffer of that size has room for it */
                g_assert_cmpstr(st->extension, ==,
                                sizes[i] > PATH_MAX ? target : "");
            }
        }
        total = g_hash_table_size(seen);
        g_assert_cmpuint(total, ==, MANY + 1);
        g_assert_cmpuint(all->len, ==, total);
        for (j = 0; j < all->len; j++) {
            p9c_stat_clear(g_ptr_array_index(all, j));
            g_free(g_ptr_array_index(all, j));
        }
    }
}

/* A directory has the same stat for each kind of file as Tstat. */
static void test_read_dir_kinds(Test *t)
{
    g_autofree char *longest = g_strnfill(PATH_MAX - 1, 't');
    g_autoptr(GPtrArray) all = NULL;
    g_autoptr(GPtrArray) small = NULL;
    P9CStat *got, st;
    unsigned i;

    host_write(t, "f", "12345");
    host_mkdir(t, "d");
    ok(make_only_u(t, "l", P9C_DMSYMLINK, "f"));
    ok(make_only_u(t, "long", P9C_DMSYMLINK, longest));
    ok(make_only_u(t, "p", P9C_DMNAMEDPIPE | 0600, ""));
    ok(walk(t, ROOT, 1, "f"));
    ok(make_only_u(t, "h", P9C_DMLINK, "1"));

    ok(walk(t, ROOT, 2, ""));
    ok(open_u(t, 2, P9C_OREAD));
    all = p9c_read_dir_all(t->c, 2, P9C_MSIZE - 24);
    g_assert_cmpuint(all->len, ==, 6);
    for (i = 0; i < all->len; i++) {
        got = g_ptr_array_index(all, i);
        ok(walk(t, ROOT, 3, got->name));
        ok(p9c_stat(t->c, 3, &st));
        g_assert_cmpstr(got->name, ==, st.name);
        g_assert_cmpstr(got->extension, ==, st.extension);
        g_assert_cmphex(got->mode, ==, st.mode);
        g_assert_cmpuint(got->length, ==, st.length);
        g_assert_cmphex(got->qid.type, ==, st.qid.type);
        g_assert_cmpuint(got->qid.path, ==, st.qid.path);
        g_assert_cmpuint(got->n_uid, ==, st.n_uid);
        g_assert_cmpuint(got->mtime, ==, st.mtime);
        p9c_stat_clear(&st);
        ok(clunk(t, 3));
    }

    /* A target that does not fit is left out; the link is listed. */
    small = p9c_read_dir_all(t->c, 2, 1000);
    g_assert_cmpuint(small->len, ==, 6);
    got = p9c_stat_find(small, "long");
    g_assert_nonnull(got);
    g_assert_cmpstr(got->extension, ==, "");
    g_assert_cmphex(got->mode, ==, P9C_DMSYMLINK | 0777);
    g_assert_cmpstr(p9c_stat_find(small, "l")->extension, ==, "f");
}

const Case behaviour_dotu_stat[] = {
    { "dotu-stat", test_stat, HAS_HOST, CASE_DOTU },
    { "dotu-wstat", test_wstat, HAS_HOST, CASE_DOTU },
    { "dotu-wstat-refused", test_wstat_refused, HAS_HOST, CASE_DOTU },
    { "dotu-rename", test_rename, HAS_HOST, CASE_DOTU },
    { "dotu-read-dir", test_read_dir, HAS_HOST, CASE_DOTU },
    { "dotu-read-dir-rest", test_read_dir_rest, HAS_HOST, CASE_DOTU },
    { "dotu-read-dir-kinds", test_read_dir_kinds, HAS_HOST, CASE_DOTU },
    { NULL }
};
