/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of virtfs-proxy-helper while names change their meaning. One thread
 * swaps directories and files of the export with links to the outside, as fast
 * as it can, and a client of each protocol version walks, opens, creates,
 * changes, links, renames and removes through those names. Whatever the results
 * are, the helper changes no file outside and hands none out.
 *
 * With --sandbox=none only the lookups ensure that, because the files outside
 * can be reached. With -m slow there are a million tries per sandbox instead of
 * some ten thousand.
 */
#include "qemu/osdep.h"
#include "proxy-client-v1.h"
#include "proxy-witness.h"

#define TRIES           40000
#define TRIES_SLOW      1000000

/* Requests between two looks at the outside */
#define ROUND           5000

typedef struct Swapper {
    const ProxyFixture *f;
    int root;
    int stop;
    uint64_t swaps;
} Swapper;

/* A test's clients: each counts its own. */
typedef struct Racer {
    ProxyFixture *f;
    Witness *w;
    unsigned tries;
    unsigned good[64];          /* by type */
    unsigned bad[64];
    GRand *rand;
    ProxyClient *c;             /* of version 2 */
    ProxyClientV1 *p;            /* of version 1 */
} Racer;

/* What is swapped: a directory or file, and a link in its place */
static const struct {
    const char *real;
    const char *link;
    const char *target;
} pairs[] = {
    { "a", "a-link", "../outside" },
    { "b", "b-link", "/" },
    { "a/d", "d-link", "../../outside/sub" },
    { "f", "f-link", "../outside/file" },
};

/* Names that a client uses, on each level */
static const char *const tops[] = {
    "a", "b", "f", "a-link", "b-link", "f-link", "d-link", "n1", "n2",
};
static const char *const seconds[] = {
    "file", "other", "d", "sub", "deep", "etc", "passwd", "n1", "n2", "..",
};

static uint32_t some_id(void)
{
    return geteuid() == 0 ? 1234 : 0;
}

static void *swap_thread(void *opaque)
{
    Swapper *s = opaque;
    unsigned i;

    while (!g_atomic_int_get(&s->stop)) {
        for (i = 0; i < G_N_ELEMENTS(pairs); i++) {
            /* It fails if a client has removed or moved one of them. */
            if (renameat2(s->root, pairs[i].real, s->root, pairs[i].link,
                          RENAME_EXCHANGE) == 0) {
                s->swaps++;
            }
        }
    }
    return NULL;
}

/*
 * Puts back what clients have taken away, as well as it goes. Not through a
 * link, which "a" may be just now: that would change the outside.
 */
static void mend(ProxyFixture *f)
{
    static const char *const files[] = { "file", "other", "deep" };
    int root = open(f->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    unsigned i;
    int dir, fd;

    g_assert_cmpint(root, >=, 0);
    for (i = 0; i < G_N_ELEMENTS(pairs); i++) {
        if (symlinkat(pairs[i].target, root, pairs[i].link) < 0) {
            g_assert_cmpint(errno, ==, EEXIST);
        }
        if (g_str_equal(pairs[i].real, "f")) {
            mknodat(root, "f", S_IFREG | 0666, 0);
        } else if (!strchr(pairs[i].real, '/')) {
            mkdirat(root, pairs[i].real, 0777);
        }
    }
    dir = openat(root, "a", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir >= 0) {
        mkdirat(dir, "d", 0777);
        for (i = 0; i < G_N_ELEMENTS(files); i++) {
            fd = openat(dir, files[i], O_WRONLY | O_CREAT | O_NOFOLLOW |
                        O_NONBLOCK | O_CLOEXEC, 0666);
            if (fd >= 0) {
                close(fd);
            }
        }
        close(dir);
    }
    close(root);
}

static const char *pick(Racer *r, const char *const *names, unsigned n)
{
    return names[g_rand_int_range(r->rand, 0, n)];
}

static const char *top_name(Racer *r)
{
    return pick(r, tops, G_N_ELEMENTS(tops));
}

static const char *second_name(Racer *r)
{
    return pick(r, seconds, G_N_ELEMENTS(seconds));
}

static void count(Racer *r, unsigned type, int ret)
{
    if (ret < 0) {
        r->bad[type]++;
    } else {
        r->good[type]++;
    }
    r->tries++;
}

static void forget(ProxyClient *c, uint64_t handle)
{
    if (handle && handle != PROXY_ROOT_HANDLE) {
        pc_forget(c, handle, 1);
    }
}

/*
 * Sends the request and takes the reply apart: all that it has of inodes is
 * looked at. *@node, if not NULL, keeps the handle that it gives.
 */
static int call_v2(Racer *r, unsigned type, const PcArgs *args, uint64_t *node)
{
    unsigned n = type == PROXY_WALK ? (args->other_name ? 2 : 1) : 0;
    ProxyClient *c = r->c;
    PcNode got = { 0 }, parent = { 0 };
    unsigned i, next = 0;
    FsAttr attr;
    int ret;

    pc_put_request(c, type, args);
    ret = pc_call(c, type);
    count(r, type, ret);
    if (ret < 0) {
        return ret;
    }
    if (type == PROXY_WALK) {
        unsigned walked = marshal_get_u16(&c->in);

        for (i = 0; i < walked; i++) {
            proxy_get_attr(&c->in, &attr);
            g_assert_false(pw_is_outside(r->w, attr.dev, attr.ino));
        }
        if (walked < n) {
            return -ENOENT;
        }
        pc_get_node(c, &got, &next);
        pc_get_node(c, &parent, &next);
    } else if (type == PROXY_CREATE) {
        proxy_get_attr(&c->in, &attr);
        g_assert_false(pw_is_outside(r->w, attr.dev, attr.ino));
        pc_get_node(c, &got, &next);
    }
    for (i = 0; i < c->nfds; i++) {
        pw_take_fd(r->w, c->fds[i]);
    }
    forget(c, parent.handle);
    if (node) {
        *node = got.handle;
    } else {
        forget(c, got.handle);
    }
    return 0;
}

/* One walk, and one to three requests on what was found */
static void try_v2(Racer *r)
{
    static const unsigned on_node[] = {
        PROXY_OPEN, PROXY_SETATTR, PROXY_GETATTR, PROXY_SETXATTR,
        PROXY_GETXATTR, PROXY_LINK, PROXY_READLINK,
    };
    static const unsigned in_dir[] = {
        PROXY_CREATE, PROXY_MAKE, PROXY_RENAME, PROXY_UNLINK, PROXY_WALK,
        PROXY_LINK,
    };
    static const uint32_t modes[] = {
        S_IFDIR | 0777, S_IFLNK | 0777, S_IFIFO | 0666, S_IFREG | 0666,
    };
    FsSetAttr set = {
        .valid = FS_SET_MODE | FS_SET_UID | FS_SET_GID | FS_SET_MTIME |
                 (g_rand_boolean(r->rand) ? FS_SET_SIZE : 0),
        .mode = 0777,
        .uid = some_id(),
        .gid = some_id(),
    };
    PcArgs args = {
        .handle = PROXY_ROOT_HANDLE,
        .name = top_name(r),
        .other_name = g_rand_boolean(r->rand) ? second_name(r) : NULL,
    };
    uint64_t node = 0;
    uint64_t dir;
    unsigned type;

    if (call_v2(r, PROXY_WALK, &args, &node) < 0) {
        return;
    }
    args = (PcArgs) {
        .handle = node,
        .name = "user.x",
        .other = PROXY_ROOT_HANDLE,
        .flags = g_rand_boolean(r->rand) ? O_RDWR | O_TRUNC : O_RDONLY,
        .set = &set,
    };
    type = on_node[g_rand_int_range(r->rand, 0, G_N_ELEMENTS(on_node))];
    if (type == PROXY_LINK) {
        args.name = "n1";
    } else if (type == PROXY_SETXATTR) {
        args.flags = 0;
    }
    call_v2(r, type, &args, NULL);

    dir = g_rand_boolean(r->rand) ? node : PROXY_ROOT_HANDLE;
    type = in_dir[g_rand_int_range(r->rand, 0, G_N_ELEMENTS(in_dir))];
    args = (PcArgs) {
        .handle = type == PROXY_LINK ? node : dir,
        .name = dir == node ? second_name(r) : top_name(r),
        .other = type == PROXY_UNLINK ? 0 : PROXY_ROOT_HANDLE,
        .other_name = type == PROXY_WALK ? NULL : "n2",
        .flags = type == PROXY_UNLINK ? g_rand_boolean(r->rand)
                                      : O_RDWR | O_TRUNC,
        .mode = modes[g_rand_int_range(r->rand, 0, G_N_ELEMENTS(modes))],
        .id = some_id(),
    };
    if (type == PROXY_CREATE) {
        args.mode = 0666;
    }
    call_v2(r, type, &args, NULL);
    forget(r->c, node);
}

/* One request with paths through what is swapped */
static void try_v1(Racer *r)
{
    static const uint32_t modes[] = { S_IFREG | 0666, S_IFIFO | 0666 };
    g_autofree char *path = g_strdup_printf("//%s/%s", top_name(r),
                                            second_name(r));
    g_autofree char *other = g_strdup_printf("//%s/%s", top_name(r),
                                             second_name(r));
    uint32_t type = g_rand_int_range(r->rand, PROXY_V1_OPEN, PROXY_V1_TYPE_END);
    P1Args args = {
        .path = g_rand_boolean(r->rand) ? path : strrchr(path, '/'),
        .other = other,
        .flags = type == PROXY_V1_CREATE ? O_RDWR | O_CREAT | O_TRUNC :
                 type == PROXY_V1_OPEN && g_rand_boolean(r->rand) ?
                 O_RDWR | O_TRUNC : 0,
        .mode = type == PROXY_V1_MKNOD ? modes[g_rand_boolean(r->rand)] : 0777,
        .id = some_id(),
    };
    int ret;

    if (type >= PROXY_V1_LGETXATTR && type <= PROXY_V1_LREMOVEXATTR) {
        args.other = "user.x";
    }
    if (type == PROXY_V1_READLINK) {
        args.size = PATH_MAX;
    }
    p1_put_request(r->p, type, &args);
    ret = p1_call(r->p, type);
    count(r, type, ret);
    if (ret >= 0 && (type == PROXY_V1_OPEN || type == PROXY_V1_CREATE)) {
        pw_take_fd(r->w, ret);
    } else if (ret >= 0 && type == PROXY_V1_LSTAT) {
        uint64_t dev = marshal_get_u64(&r->p->r);

        g_assert_false(pw_is_outside(r->w, dev, marshal_get_u64(&r->p->r)));
    }
}

static void *v2_thread(void *opaque)
{
    Racer *r = opaque;
    unsigned end = r->tries + ROUND;

    while (r->tries < end) {
        try_v2(r);
    }
    return NULL;
}

static void *v1_thread(void *opaque)
{
    Racer *r = opaque;
    unsigned end = r->tries + ROUND;

    while (r->tries < end) {
        try_v1(r);
    }
    return NULL;
}

/* Every type was tried, with success and with failure. */
static void report(const char *what, const Racer *r, unsigned types)
{
    unsigned good = 0, bad = 0;
    unsigned i;

    for (i = 0; i < types; i++) {
        good += r->good[i];
        bad += r->bad[i];
        g_test_message("%s, type %u: %u good, %u refused", what, i,
                       r->good[i], r->bad[i]);
    }
    g_assert_cmpint(good, >, r->tries / 20);
    g_assert_cmpint(bad, >, r->tries / 20);
}

static void race(ProxyFixture *f, const char *sandbox)
{
    const char *const options[] = { sandbox, NULL };
    unsigned wanted = g_test_slow() ? TRIES_SLOW : TRIES;
    Racer v2 = { .f = f, .rand = g_rand_new_with_seed(g_test_rand_int()) };
    Racer v1 = { .f = f, .rand = g_rand_new_with_seed(g_test_rand_int()) };
    Swapper swapper = { .f = f };
    GThread *threads[3];
    unsigned i;

    v2.w = v1.w = pw_new(f);
    for (i = 0; i < G_N_ELEMENTS(pairs); i++) {
        if (g_str_equal(pairs[i].real, "f")) {
            pf_put_file(f, pairs[i].real, "in here");
        } else {
            pf_put_dir(f, pairs[i].real);
        }
        pf_put_link(f, pairs[i].target, pairs[i].link);
    }
    mend(f);
    v2.c = pc_open(f->dir, options);
    if (HELPER_HAS_V1) {
        v1.p = g_new0(ProxyClientV1, 1);
        v1.p->c = pc_start(f->dir, PC_NOBODY, options);
    }
    swapper.root = open(f->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    threads[0] = g_thread_new("swap", swap_thread, &swapper);

    while (v2.tries + v1.tries < wanted) {
        threads[1] = g_thread_new("v2", v2_thread, &v2);
        if (HELPER_HAS_V1) {
            threads[2] = g_thread_new("v1", v1_thread, &v1);
            g_thread_join(threads[2]);
        }
        g_thread_join(threads[1]);
        pw_check(v2.w);
        mend(f);
    }
    g_atomic_int_set(&swapper.stop, 1);
    g_thread_join(threads[0]);
    pw_check(v2.w);
    g_test_message("%u tries, %" PRIu64 " swaps", v2.tries + v1.tries,
                   swapper.swaps);
    g_assert_cmpint(swapper.swaps, >, wanted / 100);
    report("version 2", &v2, PROXY_TYPE_END);
    if (HELPER_HAS_V1) {
        report("version 1", &v1, PROXY_V1_TYPE_END);
    }

    close(swapper.root);
    g_assert_cmpint(pc_close(v2.c), ==, 0);
    if (HELPER_HAS_V1) {
        g_assert_cmpint(pc_close(v1.p->c), ==, 0);
        g_free(v1.p);
    }
    g_rand_free(v2.rand);
    g_rand_free(v1.rand);
    pw_free(v2.w);
}

static void test_lookups(ProxyFixture *f, gconstpointer opaque)
{
    race(f, "--sandbox=none");
}

static void test_sandbox(ProxyFixture *f, gconstpointer opaque)
{
    race(f, "--sandbox=namespace");
}

int main(int argc, char **argv)
{
    pf_init(&argc, &argv, "/9p-helper-race");
    umask(0);
    alarm(g_test_slow() ? 3600 : 300);  /* nothing in here takes that long */

    pf_add_made("lookups", NULL, test_lookups);
    pf_add_made("sandbox", NULL, test_sandbox);
    return g_test_run();
}
