/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the helper's table of handles (fsdev/helper/handles.h) on its own.
 *
 * The table never looks at its descriptors, so any will do: device and inode
 * numbers are made up.
 */
#include "qemu/osdep.h"
#include "fsdev/helper/handles.h"
#include "fsdev/helper/memory.h"
#include "fsdev/shared/proto.h"

#define DEV             7
#define ROOT_INO        2
#define ADOPTED(n)      (PROXY_ADOPTED | (n))

static int root_fd;

static int new_fd(void)
{
    int fd = open("/dev/null", O_PATH | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static Handles *new_table(unsigned max)
{
    root_fd = new_fd();
    return handles_new(max, root_fd, DEV, ROOT_INO);
}

/* The root stays the caller's. */
static void free_table(Handles *t)
{
    handles_free(t);
    g_assert_true(is_open(root_fd));
    close(root_fd);
}

/* A reference to the inode, which no request uses */
static uint64_t add(Handles *t, uint64_t ino)
{
    NewHandle new;

    g_assert_cmpint(handles_add(t, new_fd(), DEV, ino, &new), ==, 0);
    handles_put(t, new.handle);
    return new.handle;
}

static bool is_known(Handles *t, uint64_t handle)
{
    int fd = handles_get(t, &handle, NULL);

    if (fd < 0) {
        g_assert_cmpint(fd, ==, -EBADF);
        return false;
    }
    g_assert_true(is_open(fd));
    handles_put(t, handle);
    return true;
}

/* Gives references back; whether the last was among them. */
static bool forget(Handles *t, uint64_t handle, uint32_t count)
{
    int fd = handles_forget(t, handle, count);

    if (fd < 0) {
        return false;
    }
    g_assert_true(is_open(fd));
    close(fd);
    return true;
}

static void test_root(void)
{
    Handles *t = new_table(8);
    uint64_t handle = PROXY_ROOT_HANDLE;
    NewHandle new;
    int fd = new_fd();

    g_assert_cmpint(handles_get(t, &handle, NULL), ==, root_fd);
    g_assert_cmpuint(handle, ==, PROXY_ROOT_HANDLE);
    handles_put(t, handle);

    /* Its one reference is never given back. */
    g_assert_false(forget(t, PROXY_ROOT_HANDLE, UINT32_MAX));
    g_assert_true(is_known(t, PROXY_ROOT_HANDLE));

    g_assert_cmpint(handles_add(t, fd, DEV, ROOT_INO, &new), ==, 0);
    g_assert_cmpuint(new.handle, ==, PROXY_ROOT_HANDLE);
    g_assert_cmpint(new.fd, ==, root_fd);
    g_assert_false(new.first);
    g_assert_false(is_open(fd));
    handles_put(t, new.handle);
    free_table(t);
}

/* One handle per inode, and each reply is a reference. */
static void test_references(void)
{
    Handles *t = new_table(8);
    int first = new_fd();
    int second = new_fd();
    NewHandle a, b, other;

    g_assert_cmpint(handles_add(t, first, DEV, 10, &a), ==, 0);
    g_assert_cmpint(a.fd, ==, first);
    g_assert_true(a.first);
    g_assert_cmpint(handles_add(t, second, DEV, 10, &b), ==, 0);
    g_assert_cmpuint(b.handle, ==, a.handle);
    g_assert_cmpint(b.fd, ==, first);
    g_assert_false(b.first);
    g_assert_false(is_open(second));
    /* The same number on another device is another inode. */
    g_assert_cmpint(handles_add(t, new_fd(), DEV + 1, 10, &other), ==, 0);
    g_assert_cmpuint(other.handle, !=, a.handle);
    handles_put(t, a.handle);
    handles_put(t, b.handle);
    handles_put(t, other.handle);

    g_assert_false(forget(t, a.handle, 1));
    g_assert_true(is_known(t, a.handle));
    g_assert_true(forget(t, a.handle, 1));
    g_assert_false(is_known(t, a.handle));
    g_assert_true(is_known(t, other.handle));
    free_table(t);
}

/* More references than there are, and none */
static void test_forget_counts(void)
{
    Handles *t = new_table(8);
    uint64_t handle = add(t, 10);

    g_assert_false(forget(t, handle, 0));
    g_assert_true(is_known(t, handle));
    g_assert_true(forget(t, handle, UINT32_MAX));
    g_assert_false(forget(t, handle, 1));
    free_table(t);
}

/* A request that uses a handle keeps its descriptor open. */
static void test_in_use(void)
{
    Handles *t = new_table(8);
    uint64_t handle = add(t, 10);
    uint64_t used = handle;
    int fd = handles_get(t, &used, NULL);
    NewHandle again;

    g_assert_cmpint(fd, >=, 0);
    g_assert_false(forget(t, handle, 1));
    g_assert_true(is_open(fd));
    g_assert_false(is_known(t, handle));

    /* While it is in use, the inode can be found again, as a new reference. */
    g_assert_cmpint(handles_add(t, new_fd(), DEV, 10, &again), ==, 0);
    g_assert_cmpuint(again.handle, ==, handle);
    g_assert_true(again.first);
    handles_put(t, again.handle);
    g_assert_true(is_known(t, handle));
    g_assert_false(forget(t, handle, 1));

    handles_put(t, used);
    g_assert_false(is_open(fd));
    free_table(t);
}

/* A slot that is used again gives another handle. */
static void test_generation(void)
{
    Handles *t = new_table(8);
    uint64_t handle = add(t, 10);
    uint64_t last;
    unsigned i;

    for (i = 0; i < 100; i++) {
        last = handle;
        g_assert_true(forget(t, last, 1));
        handle = add(t, 10 + i);
        g_assert_cmpuint((uint32_t)handle, ==, (uint32_t)last);
        g_assert_cmpuint(handle >> 32, ==, (last >> 32) + 1);
        g_assert_false(is_known(t, last));
        g_assert_false(forget(t, last, 1));
        g_assert_true(is_known(t, handle));
    }
    free_table(t);
}

/*
 * After 2^31 uses of a slot its handles begin again. They never become adopted
 * ones, are valid at each step, and the slot is not lost.
 */
static void test_generation_wraps(void)
{
    Handles *t = new_table(2);
    uint64_t handle, used;
    bool begun = false;
    unsigned i;

    handles_begin_late(t);
    for (i = 0; i < 6; i++) {
        handle = add(t, 10 + i);
        g_assert_cmphex(handle & PROXY_ADOPTED, ==, 0);
        g_assert_cmpuint((uint32_t)handle, ==, 2);
        g_assert_true(is_known(t, handle));
        begun |= handle >> 32 == 0;

        /* Forgotten while it is in use: freed with the use. */
        used = handle;
        g_assert_cmpint(handles_get(t, &used, NULL), >=, 0);
        g_assert_cmphex(used, ==, handle);
        g_assert_true(handles_full(t));
        g_assert_false(forget(t, handle, 1));
        handles_put(t, used);
        g_assert_false(handles_full(t));
        g_assert_false(is_known(t, handle));
    }
    g_assert_true(begun);
    free_table(t);
}

/* The same with adopted numbers */
static void test_generation_wraps_adopted(void)
{
    Handles *t = new_table(2);
    unsigned i;

    handles_begin_late(t);
    for (i = 0; i < 6; i++) {
        g_assert_cmpint(handles_adopt(t, ADOPTED(i), new_fd(), DEV, 10 + i),
                        ==, 0);
        g_assert_true(is_known(t, ADOPTED(i)));
        g_assert_true(forget(t, ADOPTED(i), 1));
        g_assert_false(handles_full(t));
    }
    free_table(t);
}

static void test_unknown(void)
{
    Handles *t = new_table(8);
    uint64_t handle = add(t, 10);
    const uint64_t bad[] = {
        0, handle + 1, UINT32_MAX, UINT64_MAX, handle | UINT64_C(1) << 32,
        (uint64_t)PROXY_ROOT_HANDLE | UINT64_C(1) << 32, ADOPTED(0),
        ADOPTED(handle), PROXY_ADOPTED | PROXY_ROOT_HANDLE,
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(is_known(t, bad[i]));
        g_assert_false(forget(t, bad[i], 1));
        handles_put(t, bad[i]);
    }
    g_assert_true(is_known(t, handle));
    g_assert_true(is_known(t, PROXY_ROOT_HANDLE));
    free_table(t);
}

/* The root counts as one of the table's inodes. */
static void test_full(void)
{
    Handles *t = new_table(4);
    uint64_t handles[3];
    NewHandle new;
    unsigned i;
    int fd;

    for (i = 0; i < 3; i++) {
        g_assert_false(handles_full(t));
        handles[i] = add(t, 10 + i);
    }
    g_assert_true(handles_full(t));
    fd = new_fd();
    g_assert_cmpint(handles_add(t, fd, DEV, 20, &new), ==, -EMFILE);
    g_assert_false(is_open(fd));
    fd = new_fd();
    g_assert_cmpint(handles_adopt(t, ADOPTED(1), fd, DEV, 20), ==, -EMFILE);
    g_assert_false(is_open(fd));
    g_assert_false(is_known(t, ADOPTED(1)));

    /* Known inodes need no slot. */
    g_assert_cmpuint(add(t, 11), ==, handles[1]);
    g_assert_true(forget(t, handles[0], 1));
    g_assert_false(handles_full(t));
    add(t, 20);
    g_assert_true(handles_full(t));
    free_table(t);
}

/* A table for nothing else still has its root. */
static void test_least(void)
{
    Handles *t = new_table(0);
    NewHandle new;

    g_assert_true(is_known(t, PROXY_ROOT_HANDLE));
    g_assert_true(handles_full(t));
    g_assert_cmpint(handles_add(t, new_fd(), DEV, 10, &new), ==, -EMFILE);
    free_table(t);
}

/* Handles outlive the moves of a growing table. */
static void test_growth(void)
{
    enum { N = 300 };
    Handles *t = new_table(N);
    uint64_t handles[N - 1];
    uint64_t used, kept;
    unsigned i, k;
    int fd;

    handles[0] = add(t, 100);
    used = handles[0];
    fd = handles_get(t, &used, NULL);
    for (i = 1; i < N - 1; i++) {
        handles[i] = add(t, 100 + i);
        for (k = 0; k < i; k++) {
            g_assert_cmpuint(handles[k], !=, handles[i]);
        }
    }
    g_assert_true(handles_full(t));
    for (i = 0; i < N - 1; i++) {
        kept = handles[i];
        g_assert_cmpint(handles_get(t, &kept, NULL), >=, 0);
        g_assert_cmpuint(kept, ==, handles[i]);
        handles_put(t, kept);
        g_assert_cmpuint(add(t, 100 + i), ==, handles[i]);
    }
    handles_put(t, used);
    g_assert_true(is_open(fd));
    for (i = 0; i < N - 1; i++) {
        g_assert_true(forget(t, handles[i], 2));
    }
    g_assert_false(is_open(fd));
    free_table(t);
}

static void test_adopt(void)
{
    Handles *t = new_table(8);
    uint64_t handle = ADOPTED(1);
    int fd = new_fd();
    uint64_t own;

    g_assert_cmpint(handles_adopt(t, handle, fd, DEV, 10), ==, 0);
    own = handle;
    g_assert_cmpint(handles_get(t, &own, NULL), ==, fd);
    /* The use goes on under the helper's own number for it. */
    g_assert_cmpuint(own & PROXY_ADOPTED, ==, 0);
    handles_put(t, own);
    g_assert_cmpuint(add(t, 10), ==, own);

    /* The same number again is refused, and the first one stays. */
    fd = new_fd();
    g_assert_cmpint(handles_adopt(t, handle, fd, DEV, 11), ==, -EEXIST);
    g_assert_false(is_open(fd));
    g_assert_true(is_known(t, handle));

    /* It is one reference, whatever the count; the other is add()'s. */
    g_assert_false(forget(t, handle, 100));
    g_assert_false(is_known(t, handle));
    g_assert_true(is_known(t, own));
    g_assert_true(forget(t, own, 1));

    /* Forgotten, the number is free. */
    g_assert_cmpint(handles_adopt(t, handle, new_fd(), DEV, 12), ==, 0);
    g_assert_true(is_known(t, handle));
    g_assert_true(forget(t, handle, 0));
    free_table(t);
}

/* A handle that was adopted may go while a request uses it. */
static void test_adopt_in_use(void)
{
    Handles *t = new_table(8);
    uint64_t used = ADOPTED(1);
    int fd;

    g_assert_cmpint(handles_adopt(t, ADOPTED(1), new_fd(), DEV, 10), ==, 0);
    fd = handles_get(t, &used, NULL);
    g_assert_cmpint(fd, >=, 0);
    g_assert_false(forget(t, ADOPTED(1), 1));
    g_assert_true(is_open(fd));
    handles_put(t, used);
    g_assert_false(is_open(fd));
    free_table(t);
}

/* Many numbers for one inode are bounded, too. */
static void test_adopt_many(void)
{
    Handles *t = new_table(4);
    unsigned i;

    for (i = 0; i < 4; i++) {
        g_assert_cmpint(handles_adopt(t, ADOPTED(i), new_fd(), DEV, 10), ==,
                        0);
    }
    g_assert_cmpint(handles_adopt(t, ADOPTED(4), new_fd(), DEV, 10), ==,
                    -EMFILE);
    g_assert_false(is_known(t, ADOPTED(4)));
    g_assert_false(forget(t, ADOPTED(0), 1));
    g_assert_cmpint(handles_adopt(t, ADOPTED(4), new_fd(), DEV, 10), ==, 0);
    for (i = 1; i < 4; i++) {
        g_assert_false(forget(t, ADOPTED(i), 1));
    }
    g_assert_true(forget(t, ADOPTED(4), 1));
    free_table(t);
}

/* Of a client that is gone, only what its requests still use is left. */
static void test_forget_all(void)
{
    Handles *t = new_table(100);
    uint64_t handles[80], used;
    unsigned i;
    int fd, other;

    for (i = 0; i < 80; i++) {
        handles[i] = add(t, 10 + i);
    }
    g_assert_cmpint(handles_adopt(t, ADOPTED(1), new_fd(), DEV, 10), ==, 0);
    used = handles[40];
    fd = handles_get(t, &used, NULL);
    other = new_fd();
    close(other);               /* the lowest number after those of the table */
    handles_forget_all(t);
    for (i = 0; i < 80; i++) {
        g_assert_false(is_known(t, handles[i]));
    }
    g_assert_false(is_known(t, ADOPTED(1)));
    g_assert_true(is_known(t, PROXY_ROOT_HANDLE));
    g_assert_true(is_open(fd));
    for (i = fd + 1; i < other; i++) {
        g_assert_false(is_open(i));
    }
    handles_put(t, used);
    g_assert_false(is_open(fd));
    free_table(t);
}

/*
 * The budget for memory gets back what handles took; of a client that is gone,
 * what its requests use stays taken.
 */
static void test_budget(void)
{
    enum { N = 300 };
    Handles *t = new_table(1000);
    uint64_t handles[N], used[2];
    unsigned i;

    g_assert_true(memory_has(SIZE_MAX));
    for (i = 0; i < N; i++) {
        handles[i] = add(t, 10 + i);
        g_assert_cmpint(handles_adopt(t, ADOPTED(i), new_fd(), DEV, 10 + i),
                        ==, 0);
    }
    g_assert_false(memory_has(SIZE_MAX - N * 200));
    g_assert_true(memory_has(SIZE_MAX - N * HANDLE_BYTES));
    for (i = 0; i < 2; i++) {
        used[i] = handles[100 + i * 100];
        g_assert_cmpint(handles_get(t, &used[i], NULL), >=, 0);
    }
    handles_forget_all(t);
    g_assert_false(memory_has(SIZE_MAX));
    g_assert_true(memory_has(SIZE_MAX - 2 * HANDLE_BYTES_LEFT));
    g_assert_false(memory_has(SIZE_MAX - HANDLE_BYTES_LEFT));

    handles_put(t, used[0]);
    handles_put(t, used[1]);
    free_table(t);
    g_assert_true(memory_has(SIZE_MAX));
}

/* All that handles need is taken from the budget, and nothing if it fails. */
static void test_no_budget(void)
{
    Handles *t = new_table(1000);
    uint64_t some = 10 * HANDLE_BYTES_LEFT;
    NewHandle new;
    unsigned n = 0;
    int ret;

    g_assert_true(memory_take(SIZE_MAX - some));
    while ((ret = handles_add(t, new_fd(), DEV, 10 + n, &new)) == 0) {
        g_assert_false(handles_full(t) && memory_has(HANDLE_BYTES_LEFT));
        handles_put(t, new.handle);
        n++;
    }
    g_assert_cmpint(ret, ==, -EMFILE);
    g_assert_true(handles_full(t));
    g_assert_cmpuint(n, >, some / HANDLE_BYTES);
    g_assert_cmpuint(n, <, 1000 - 1);
    g_assert_cmpint(handles_adopt(t, ADOPTED(1), new_fd(), DEV, 2000), ==,
                    -EMFILE);
    g_assert_true(is_known(t, new.handle));
    free_table(t);
    memory_give_back(SIZE_MAX - some);
    g_assert_true(memory_has(SIZE_MAX));
}

/* The table closes all that it holds at its end. */
static void test_free(void)
{
    Handles *t = new_table(8);
    NewHandle a;
    int adopted = new_fd();

    g_assert_cmpint(handles_add(t, new_fd(), DEV, 10, &a), ==, 0);
    handles_put(t, a.handle);
    g_assert_cmpint(handles_adopt(t, ADOPTED(1), adopted, DEV, 11), ==, 0);
    free_table(t);
    g_assert_false(is_open(a.fd));
    g_assert_false(is_open(adopted));
}

/* Some inodes, which all threads find, use and forget at once */
static gpointer churn(gpointer opaque)
{
    Handles *t = opaque;
    uint64_t handle;
    NewHandle new;
    unsigned i;
    int fd;

    for (i = 0; i < 20000; i++) {
        g_assert_cmpint(handles_add(t, new_fd(), DEV, 10 + i % 3, &new), ==,
                        0);
        handle = new.handle;
        fd = handles_get(t, &handle, NULL);
        g_assert_cmpint(fd, ==, new.fd);
        /* Another thread may forget, but not close, what is in use. */
        g_assert_false(forget(t, handle, 1));
        g_assert_true(is_open(fd));
        handles_put(t, handle);
        handles_put(t, new.handle);
    }
    return NULL;
}

static void test_threads(void)
{
    Handles *t = new_table(8);
    GThread *threads[4];
    uint64_t handle;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(threads); i++) {
        threads[i] = g_thread_new("churn", churn, t);
    }
    for (i = 0; i < G_N_ELEMENTS(threads); i++) {
        g_thread_join(threads[i]);
    }
    /* All references came back, so each inode is new. */
    for (i = 0; i < 3; i++) {
        handle = add(t, 10 + i);
        g_assert_true(forget(t, handle, 1));
    }
    free_table(t);
}

/* The table knows where a directory was found as long as it has the parent. */
static void test_parent(void)
{
    Handles *t = new_table(8);
    uint64_t a = add(t, 10), b = add(t, 11), other;

    g_assert_false(handles_know_above(t, DEV, 11, DEV, 10));
    handles_set_parent(t, b, a);
    g_assert_true(handles_know_above(t, DEV, 11, DEV, 10));
    g_assert_false(handles_know_above(t, DEV, 11, DEV, 11));
    g_assert_false(handles_know_above(t, DEV, 11, DEV + 1, 10));
    g_assert_false(handles_know_above(t, DEV, 10, DEV, 11));
    g_assert_false(handles_know_above(t, DEV, 12, DEV, 10));
    handles_set_parent(t, a, PROXY_ROOT_HANDLE);
    g_assert_true(handles_know_above(t, DEV, 10, DEV, ROOT_INO));

    /* The same number later is another directory. */
    g_assert_true(forget(t, a, 1));
    g_assert_false(handles_know_above(t, DEV, 11, DEV, 10));
    other = add(t, 10);
    g_assert_false(handles_know_above(t, DEV, 11, DEV, 10));
    g_assert_false(handles_know_above(t, DEV, 10, DEV, ROOT_INO));
    handles_set_parent(t, b, a);
    g_assert_false(handles_know_above(t, DEV, 11, DEV, 10));
    handles_set_parent(t, b, other);
    g_assert_true(handles_know_above(t, DEV, 11, DEV, 10));
    g_assert_true(forget(t, b, 1));
    g_assert_true(forget(t, other, 1));
    free_table(t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/9p/helper/handles/root", test_root);
    g_test_add_func("/9p/helper/handles/references", test_references);
    g_test_add_func("/9p/helper/handles/forget-counts", test_forget_counts);
    g_test_add_func("/9p/helper/handles/in-use", test_in_use);
    g_test_add_func("/9p/helper/handles/generation", test_generation);
    g_test_add_func("/9p/helper/handles/generation-wraps",
                    test_generation_wraps);
    g_test_add_func("/9p/helper/handles/generation-wraps-adopted",
                    test_generation_wraps_adopted);
    g_test_add_func("/9p/helper/handles/unknown", test_unknown);
    g_test_add_func("/9p/helper/handles/full", test_full);
    g_test_add_func("/9p/helper/handles/least", test_least);
    g_test_add_func("/9p/helper/handles/growth", test_growth);
    g_test_add_func("/9p/helper/handles/adopt", test_adopt);
    g_test_add_func("/9p/helper/handles/adopt-in-use", test_adopt_in_use);
    g_test_add_func("/9p/helper/handles/adopt-many", test_adopt_many);
    g_test_add_func("/9p/helper/handles/forget-all", test_forget_all);
    g_test_add_func("/9p/helper/handles/budget", test_budget);
    g_test_add_func("/9p/helper/handles/no-budget", test_no_budget);
    g_test_add_func("/9p/helper/handles/free", test_free);
    g_test_add_func("/9p/helper/handles/parent", test_parent);
    g_test_add_func("/9p/helper/handles/threads", test_threads);
    return g_test_run();
}
