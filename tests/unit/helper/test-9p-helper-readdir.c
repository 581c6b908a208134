/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of virtfs-proxy-helper: lists of directories (READDIR), of what is no
 * directory, from offsets that it never gave, while names come and go, and of a
 * file server that does not answer. The real program over a real socket.
 * test-9p-helper-act-as.c has the users for whom it lists.
 */
#include "qemu/osdep.h"
#include "proxy-calls.h"
#include "../shared/hung-fuse.h"

/* What one file system may hold: a third of 52 threads */
#define HUNG_MAX        17

/* More than fits into one reply, as names of 200 bytes */
#define NAMES           400

/* Requests at once; a helper takes at least as many */
#define TOGETHER        64

static void put_readdir(ProxyClient *c, uint64_t handle, uint64_t offset)
{
    PcArgs args = { .handle = handle, .offset = offset };

    pc_put_request(c, PROXY_READDIR, &args);
}

static int readdir_at(ProxyClient *c, uint64_t handle, uint64_t offset)
{
    put_readdir(c, handle, offset);
    return pc_call(c, PROXY_READDIR);
}

/* The next entry of the reply: its name, or NULL. *@offset is its next. */
static const char *get_entry(ProxyClient *c, uint64_t *offset)
{
    const char *name;

    if (!marshal_left(&c->in)) {
        return NULL;
    }
    marshal_get_u64(&c->in);
    *offset = marshal_get_u64(&c->in);
    marshal_get_u8(&c->in);
    name = marshal_get_str(&c->in, NULL);
    g_assert_true(marshal_ok(&c->in));
    return name;
}

/* A directory with NAMES files */
static uint64_t make_many(ProxyFixture *f)
{
    unsigned i;

    pf_put_dir(f, "many");
    for (i = 0; i < NAMES; i++) {
        g_autofree char *name = g_strdup_printf("many/%0200u", i);

        pf_put_file(f, name, "");
    }
    return node_of(f, "many");
}

static void expect_alive(ProxyFixture *f)
{
    g_assert_cmpint(call_handle(f->c, PROXY_GETATTR, PROXY_ROOT_HANDLE), ==,
                    0);
}

/* Each name once, over several replies */
static void test_list(ProxyFixture *f, gconstpointer opaque)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    unsigned i;

    g_assert_cmpint(call_readdir(f->c, make_many(f), names), ==, 0);
    for (i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        g_autofree char *path = g_build_filename("many", name, NULL);

        g_assert_true(g_hash_table_add(seen, (void *)name));
        g_assert_true(pf_exists(f, path));
    }
    g_assert_cmpuint(names->len, ==, NAMES + 2);
    g_assert_true(g_hash_table_contains(seen, "."));
    g_assert_true(g_hash_table_contains(seen, ".."));
}

/* Its reply has no more than the client has room for. */
static void test_size(ProxyFixture *f, gconstpointer opaque)
{
    uint64_t many = make_many(f);
    uint64_t offset = 0, before;
    const char *name;
    size_t size;

    do {
        before = offset;
        size = 0;
        g_assert_cmpint(readdir_at(f->c, many, offset), ==, 0);
        while ((name = get_entry(f->c, &offset))) {
            size += ROUND_UP(20 + strlen(name), 8);
        }
        g_assert_cmpuint(size, <=, PROXY_READDIR_MAX);
    } while (offset != before);
}

static void test_no_directory(ProxyFixture *f, gconstpointer opaque)
{
    g_autofree char *fifo = g_build_filename(f->dir, "fifo", NULL);
    g_autofree char *gone = g_build_filename(f->dir, "gone", NULL);
    ProxyClient *c = f->c;
    uint64_t handle;
    int ret;

    g_assert_cmpint(mkfifo(fifo, 0666), ==, 0);
    g_assert_cmpint(readdir_at(c, node_of(f, "file"), 0), ==, -ENOTDIR);
    g_assert_cmpint(readdir_at(c, node_of(f, "fifo"), 0), ==, -ENOTDIR);
    g_assert_cmpint(readdir_at(c, node_of(f, "up"), 0), ==, -ELOOP);
    g_assert_cmpint(readdir_at(c, node_of(f, "link"), 0), ==, -ELOOP);
    g_assert_cmpint(readdir_at(c, 0, 0), ==, -EBADF);
    g_assert_cmpint(readdir_at(c, 12345, 0), ==, -EBADF);
    g_assert_cmpint(readdir_at(c, PROXY_ADOPTED | 5, 0), ==, -EBADF);
    g_assert_cmpint(readdir_at(c, UINT64_MAX, UINT64_MAX), ==, -EBADF);

    /* One without a name has no entries. */
    pf_put_dir(f, "gone");
    handle = node_of(f, "gone");
    g_assert_cmpint(rmdir(gone), ==, 0);
    ret = readdir_at(c, handle, 0);
    g_assert_true(ret == -ENOENT || (ret == 0 && !marshal_left(&c->in)));
    expect_alive(f);
}

/* Offsets that no entry had give an error, or names of the directory. */
static void test_offsets(ProxyFixture *f, gconstpointer opaque)
{
    static const uint64_t wild[] = {
        1, 2, 3, 7, 4095, 32768, INT32_MAX, UINT32_MAX,
        (uint64_t)UINT32_MAX + 1, UINT64_C(0x123456789abcdef), INT64_MAX - 1,
        INT64_MAX,
    };
    uint64_t many = make_many(f);
    const char *name;
    uint64_t offset;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(wild); i++) {
        if (readdir_at(f->c, many, wild[i]) == 0) {
            while ((name = get_entry(f->c, &offset))) {
                g_autofree char *path = g_build_filename("many", name, NULL);

                g_assert_true(pf_exists(f, path));
            }
        }
    }
    g_assert_cmpint(readdir_at(f->c, many, (uint64_t)INT64_MAX + 1), ==,
                    -EINVAL);
    g_assert_cmpint(readdir_at(f->c, many, UINT64_MAX), ==, -EINVAL);
    expect_alive(f);
}

/* Many at once, each with a long reply */
static void test_together(ProxyFixture *f, gconstpointer opaque)
{
    uint64_t many = make_many(f);
    g_autofree bool *seen = NULL;
    ProxyHeader h;
    uint32_t first = 0;
    unsigned i;

    seen = g_new0(bool, TOGETHER);
    for (i = 0; i < TOGETHER; i++) {
        put_readdir(f->c, many, 0);
        pc_send(f->c, PROXY_READDIR);
        first = i ? first : f->c->tag;
    }
    for (i = 0; i < TOGETHER; i++) {
        g_assert_cmpint(pc_receive(f->c, &h), ==, 0);
        g_assert_cmpint(h.type, ==, PROXY_READDIR | PROXY_REPLY);
        g_assert_cmpuint(h.tag - first, <, TOGETHER);
        g_assert_false(seen[h.tag - first]);
        seen[h.tag - first] = true;
        g_assert_cmpuint(marshal_left(&f->c->in), >, PROXY_READDIR_MAX / 2);
    }
    expect_alive(f);
}

typedef struct Changer {
    char *path;
    int stop;
} Changer;

static void *change_thread(void *opaque)
{
    Changer *ch = opaque;
    unsigned i;

    for (i = 0; !g_atomic_int_get(&ch->stop); i++) {
        g_autofree char *name = g_strdup_printf("%s/n%0200u", ch->path,
                                                i % 100);
        int fd = open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

        g_assert_cmpint(fd, >=, 0);
        close(fd);
        if (i % 3) {
            g_assert_cmpint(unlink(name), ==, 0);
        }
    }
    return NULL;
}

/* Names come and go: each reply is in good form, and has such names. */
static void test_race(ProxyFixture *f, gconstpointer opaque)
{
    Changer ch = { .path = g_build_filename(f->dir, "many", NULL) };
    uint64_t many = make_many(f);
    uint64_t offset = 0;
    GThread *thread;
    unsigned i;

    thread = g_thread_new("changer", change_thread, &ch);
    for (i = 0; i < 2000; i++) {
        uint64_t before = offset;
        const char *name;

        g_assert_cmpint(readdir_at(f->c, many, offset), ==, 0);
        while ((name = get_entry(f->c, &offset))) {
            size_t len = strlen(name);

            g_assert_true(len == 200 || (len == 201 && name[0] == 'n') ||
                          g_str_equal(name, ".") || g_str_equal(name, ".."));
        }
        if (offset == before) {
            offset = 0;
        }
    }
    g_atomic_int_set(&ch.stop, true);
    g_thread_join(thread);
    g_free(ch.path);
}

/*
 * A file server that does not answer holds its share of the threads, and delays
 * no other file system's requests.
 */
static void test_hung(ProxyFixture *f, gconstpointer opaque)
{
    /* The kernel sends this server one READDIR of a directory at a time. */
    static const struct {
        unsigned opcode, waiting;
    } hangs[] = { { FUSE_OPENDIR, HUNG_MAX }, { FUSE_READDIR, 1 } };
    const unsigned n = HUNG_MAX + 3;
    g_autofree char *at = g_build_filename(f->dir, "hung", NULL);
    HungFuse *fuse;
    ProxyHeader h;
    uint64_t dir;
    unsigned i, k;

    g_assert_cmpint(mkdir(at, 0755), ==, 0);
    fuse = hung_fuse_start_or_skip(at);
    if (!fuse) {
        return;
    }
    f->c = pc_open(f->dir, opaque);
    dir = node_of(f, "hung/dir");
    for (k = 0; k < G_N_ELEMENTS(hangs); k++) {
        hung_fuse_hang(fuse, hangs[k].opcode, HUNG_DIR);
        for (i = 0; i < n; i++) {
            put_readdir(f->c, dir, 0);
            pc_send(f->c, PROXY_READDIR);
        }
        g_assert_true(hung_fuse_wait(fuse, hangs[k].waiting));
        g_usleep(50 * 1000);
        g_assert_cmpuint(hung_fuse_waiting(fuse), ==, hangs[k].waiting);
        g_assert_false(pc_has_reply(f->c));
        expect_alive(f);
        g_assert_cmpint(call_readdir(f->c, PROXY_ROOT_HANDLE, NULL), ==, 0);

        hung_fuse_answer(fuse);
        for (i = 0; i < n; i++) {
            g_assert_cmpint(pc_receive(f->c, &h), ==, 0);
            g_assert_cmpint(h.type, ==, PROXY_READDIR | PROXY_REPLY);
        }
    }
    hung_fuse_end(fuse);
}

int main(int argc, char **argv)
{
    static const char *const four[] = { "--threads=4", NULL };
    static const char *const readonly[] = { "--readonly", NULL };

    pf_init(&argc, &argv, "/9p-helper/readdir");
    pf_add("list", NULL, test_list);
    pf_add("list/readonly", readonly, test_list);
    pf_add("size", NULL, test_size);
    pf_add("no-directory", NULL, test_no_directory);
    pf_add("offsets", NULL, test_offsets);
    pf_add("together", four, test_together);
    pf_add("race", NULL, test_race);
    pf_add_made("hung", four, test_hung);
    return g_test_run();
}
