/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of virtfs-proxy-helper with a client that keeps to the protocol and
 * asks for things that it must not get: files outside the export, by names,
 * links and handles; numbers that end the helper; its memory and descriptors.
 * Breaches of the protocol are in test-9p-helper-bad.c, names that change
 * during a lookup in test-9p-helper-race.c, protocol version 1 in
 * test-9p-helper-hostile-v1.c.
 */
#include "qemu/osdep.h"
#include "hostile.h"
#include "proxy-fixture.h"
#include "proxy-proc.h"
#include "proxy-witness.h"
#include <sys/mount.h>
#include <sys/socket.h>

#define IN_FLIGHT       10000

/* The names of message types for those that take a name in a directory */
static const unsigned with_name[] = {
    PROXY_WALK, PROXY_CREATE, PROXY_MAKE, PROXY_LINK, PROXY_RENAME,
    PROXY_UNLINK,
};

static const unsigned with_handle[] = {
    PROXY_WALK, PROXY_GETATTR, PROXY_SETATTR, PROXY_READLINK, PROXY_STATFS,
    PROXY_OPEN, PROXY_CREATE, PROXY_MAKE, PROXY_LINK, PROXY_RENAME,
    PROXY_UNLINK, PROXY_GETXATTR, PROXY_SETXATTR, PROXY_REMOVEXATTR,
    PROXY_READDIR,
};

/* The helper is alive and answers correctly. */
static void expect_alive(ProxyClient *c)
{
    FsAttr attr;

    marshal_put_u64(pc_begin(c), PROXY_ROOT_HANDLE);
    g_assert_cmpint(pc_call(c, PROXY_GETATTR), ==, 0);
    proxy_get_attr(&c->in, &attr);
    g_assert_cmpint(attr.ino, ==, c->root_attr.ino);
}

/* Sends the request, and checks every inode that the reply has or donates. */
static int call(ProxyClient *c, Witness *w, unsigned type, const PcArgs *args)
{
    unsigned i, n;
    FsAttr attr;
    int ret;

    pc_put_request(c, type, args);
    ret = pc_call(c, type);
    if (ret < 0) {
        return ret;
    }
    n = type == PROXY_WALK ? marshal_get_u16(&c->in) :
        type == PROXY_GETATTR || type == PROXY_CREATE || type == PROXY_MAKE;
    for (i = 0; i < n; i++) {
        proxy_get_attr(&c->in, &attr);
        g_assert_false(pw_is_outside(w, attr.dev, attr.ino));
    }
    for (i = 0; i < c->nfds; i++) {
        pw_take_fd(w, c->fds[i]);
    }
    return 0;
}

static uint64_t handle_of(ProxyClient *c, const char *path)
{
    PcNode node;

    g_assert_cmpint(pc_walk(c, path, &node, NULL), ==, 0);
    if (node.fd >= 0) {
        close(node.fd);
    }
    return node.handle;
}

/* Bad names, and good paths that are no names */
static char **bad_names(void)
{
    static const char *const names[] = {
        "", ".", "..", "/", "//", "/etc/passwd", "../secret", "../outside/file",
        "dir/sub", "dir/", "/dir", "./file", "up/x", "root/etc/passwd",
        "link/sub", "a/../../secret", "\xff/\xfe",
    };
    GPtrArray *all = g_ptr_array_new();
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(names); i++) {
        g_ptr_array_add(all, g_strdup(names[i]));
    }
    g_ptr_array_add(all, g_strnfill(NAME_MAX + 1, 'n'));
    g_ptr_array_add(all, g_strnfill(PATH_MAX, 'n'));
    g_ptr_array_add(all, g_strnfill(UINT16_MAX, '/'));
    g_ptr_array_add(all, g_strnfill(UINT16_MAX, 'n'));
    g_ptr_array_add(all, NULL);
    return (char **)g_ptr_array_free(all, FALSE);
}

/* Version 2: each bad name in each place that takes one: always refused */
static void test_names(ProxyFixture *f, gconstpointer options)
{
    g_auto(GStrv) names = bad_names();
    Witness *w = pw_new(f);
    ProxyClient *c = pc_open(f->dir, options);
    uint64_t dirs[] = { PROXY_ROOT_HANDLE, handle_of(c, "dir") };
    uint64_t file = handle_of(c, "file");
    unsigned i, n, t;

    for (n = 0; names[n]; n++) {
        for (i = 0; i < G_N_ELEMENTS(dirs); i++) {
            for (t = 0; t < G_N_ELEMENTS(with_name); t++) {
                unsigned type = with_name[t];
                PcArgs args = {
                    .handle = type == PROXY_LINK ? file : dirs[i],
                    .name = names[n],
                    .other = type == PROXY_UNLINK ? 0 : dirs[i],
                    .other_name = type == PROXY_WALK ? NULL : "new",
                    .flags = type == PROXY_UNLINK ? n % 2 : O_RDWR | O_TRUNC,
                    .mode = type == PROXY_CREATE ? 0666 : S_IFDIR | 0777,
                };
                int ret = call(c, w, type, &args);

                if (type != PROXY_WALK || !g_str_equal(names[n], "..")) {
                    g_assert_cmpint(ret, <, 0);
                }
                if (type == PROXY_RENAME && strlen(names[n]) < 60000) {
                    args.name = "file";
                    args.other_name = names[n];
                    g_assert_cmpint(call(c, w, type, &args), <, 0);
                }
            }
        }
    }
    pw_check(w);
    g_assert_true(pf_exists(f, "file"));
    g_assert_false(pf_exists(f, "new"));
    expect_alive(c);
    g_assert_cmpint(pc_close(c), ==, 0);
    pw_free(w);
}

/*
 * Version 2: the client uses a link as if it were its target: as a directory,
 * as a file, as the last name. (The link's own owner, times and name may
 * change.)
 */
static void test_links(ProxyFixture *f, gconstpointer options)
{
    static const char *const links[] = {
        "up", "root", "link", "self", "magic",
    };
    static const FsSetAttr sets[] = {
        { .valid = FS_SET_MODE, .mode = 0777 },
        { .valid = FS_SET_SIZE, .size = 0 },
        { .valid = FS_SET_UID | FS_SET_GID, .uid = 0, .gid = 0 },
        { .valid = FS_SET_ATIME | FS_SET_MTIME | FS_SET_ATIME_SET |
                   FS_SET_MTIME_SET },
    };
    Witness *w = pw_new(f);
    ProxyClient *c;
    unsigned i, j, t;

    pf_put_link(f, "self", "self");
    pf_put_link(f, "/proc/self/root/etc", "magic");
    c = pc_open(f->dir, options);
    for (i = 0; i < G_N_ELEMENTS(links); i++) {
        uint64_t link = handle_of(c, links[i]);

        for (t = 0; t < G_N_ELEMENTS(with_handle); t++) {
            unsigned type = with_handle[t];
            PcArgs args = {
                .handle = link,
                .name = type >= PROXY_GETXATTR ? "user.x" : "file",
                .other = link,
                .other_name = type == PROXY_WALK ? NULL : "new",
                .flags = type == PROXY_OPEN ? O_RDWR | O_TRUNC : 0,
                .mode = type == PROXY_CREATE ? 0666 : S_IFDIR | 0777,
            };

            if (type == PROXY_SETATTR) {
                for (j = 0; j < G_N_ELEMENTS(sets); j++) {
                    args.set = &sets[j];
                    call(c, w, type, &args);
                }
            } else if (type == PROXY_GETATTR || type == PROXY_READLINK ||
                       type == PROXY_STATFS) {
                g_assert_cmpint(call(c, w, type, &args), ==, 0);
            } else {
                g_assert_cmpint(call(c, w, type, &args), <, 0);
            }
        }
        /* As the last name: O_TRUNC must not get through it. */
        g_assert_cmpint(call(c, w, PROXY_CREATE, &(PcArgs) {
            .handle = PROXY_ROOT_HANDLE, .name = links[i],
            .flags = O_RDWR | O_TRUNC, .mode = 0666 }), <, 0);
        g_assert_cmpint(call(c, w, PROXY_MAKE, &(PcArgs) {
            .handle = PROXY_ROOT_HANDLE, .name = links[i],
            .mode = S_IFDIR | 0777, .other_name = "" }), ==, -EEXIST);
        /* A hard link of it names the link, and removing that is harmless. */
        g_assert_cmpint(call(c, w, PROXY_LINK, &(PcArgs) {
            .handle = link, .other = PROXY_ROOT_HANDLE, .name = "hard" }),
            ==, 0);
        g_assert_cmpint(call(c, w, PROXY_RENAME, &(PcArgs) {
            .handle = PROXY_ROOT_HANDLE, .name = "hard",
            .other = PROXY_ROOT_HANDLE, .other_name = "harder" }), ==, 0);
        g_assert_cmpint(call(c, w, PROXY_UNLINK, &(PcArgs) {
            .handle = PROXY_ROOT_HANDLE, .name = links[i], .flags = 1 }), ==,
            -ENOTDIR);
        g_assert_cmpint(call(c, w, PROXY_UNLINK, &(PcArgs) {
            .handle = PROXY_ROOT_HANDLE, .name = links[i] }), ==, 0);
        if (pf_exists(f, "harder")) {
            g_assert_cmpint(call(c, w, PROXY_UNLINK, &(PcArgs) {
                .handle = PROXY_ROOT_HANDLE, .name = "harder" }), ==, 0);
        }
    }
    pw_check(w);
    expect_alive(c);
    g_assert_cmpint(pc_close(c), ==, 0);
    pw_free(w);
}

/*
 * A real /proc within the export: its magic links lead everywhere, and the text
 * of a link does not show that. The helper may follow only its own ones.
 */
static void test_magic_links(ProxyFixture *f, gconstpointer options)
{
    g_autofree char *proc = g_build_filename(f->dir, "proc", NULL);
    static const char *const links[] = { "root", "cwd", "exe", "fd/0" };
    ProxyClient *c;
    Witness *w;
    unsigned i, t;

    pf_put_dir(f, "proc");
    if (geteuid() != 0 || mount("proc", proc, "proc", 0, NULL) < 0) {
        g_test_skip("cannot mount a /proc in the export");
        return;
    }
    w = pw_new(f);
    c = pc_open(f->dir, options);
    for (i = 0; i < G_N_ELEMENTS(links); i++) {
        g_autofree char *path = g_strdup_printf("proc/%u/%s", c->server_pid,
                                                links[i]);
        PcNode node;
        FsAttr attr;
        int ret;

        g_assert_cmpint(pc_walk(c, path, &node, &attr), ==, 0);
        g_assert_true(S_ISLNK(attr.mode));
        if (node.fd >= 0) {
            pw_take_fd(w, node.fd);
        }
        for (t = 0; t < G_N_ELEMENTS(with_handle); t++) {
            unsigned type = with_handle[t];
            FsSetAttr set = { .valid = FS_SET_MODE | FS_SET_UID |
                                       FS_SET_GID, .mode = 0777 };
            PcArgs args = {
                .handle = node.handle,
                .name = type >= PROXY_GETXATTR ? "user.x" :
                        type == PROXY_LINK ? "new" : "etc",
                .other = type == PROXY_LINK ? PROXY_ROOT_HANDLE : node.handle,
                .other_name = type == PROXY_WALK ? NULL : "new",
                .mode = type == PROXY_CREATE ? 0666 : S_IFDIR | 0777,
                .set = &set,
            };

            ret = call(c, w, type, &args);
            if (type != PROXY_GETATTR && type != PROXY_READLINK &&
                type != PROXY_STATFS) {
                g_assert_cmpint(ret, <, 0);
            }
        }
    }
    pw_check(w);
    expect_alive(c);
    g_assert_cmpint(pc_close(c), ==, 0);
    pw_free(w);
    g_assert_cmpint(umount2(proc, MNT_DETACH), ==, 0);
}

/*
 * A client's own use of the descriptors that it has: with any name that it
 * gives the kernel, they reach nothing above the export's root.
 */
static void test_donated(ProxyFixture *f, gconstpointer options)
{
    static const char *const paths[] = {
        "../secret", "../outside/file", "../../../../../etc/passwd", "up",
        "dir/../../secret",
    };
    ProxyClient *c = pc_open(f->dir, options);
    Witness *w = pw_new(f);
    struct stat st;
    PcNode dir;
    unsigned i;

    g_assert_cmpint(c->root_fd, >=, 0);
    g_assert_cmpint(pc_walk(c, "dir", &dir, NULL), ==, 0);
    g_assert_cmpint(dir.fd, >=, 0);
    for (i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_assert_cmpint(openat(c->root_fd, paths[i], O_RDONLY), <, 0);
        g_assert_cmpint(openat(dir.fd, paths[i], O_RDONLY), <, 0);
    }
    g_assert_cmpint(fstatat(c->root_fd, "..", &st, 0), ==, 0);
    g_assert_cmpint(st.st_ino, ==, c->root_attr.ino);
    g_assert_cmpint(fstatat(dir.fd, "../../..", &st, 0), ==, 0);
    g_assert_cmpint(st.st_ino, ==, c->root_attr.ino);
    close(dir.fd);
    pw_check(w);
    g_assert_cmpint(pc_close(c), ==, 0);
    pw_free(w);
}

/* Handles that were given back, even if another one took the slot */
static void test_stale_handles(ProxyFixture *f, gconstpointer options)
{
    ProxyClient *c = pc_open(f->dir, options);
    Witness *w = pw_new(f);
    uint64_t old = handle_of(c, "dir/sub/deep");
    uint64_t new;
    unsigned t, i;

    pc_forget(c, old, 1);
    while (call(c, w, PROXY_GETATTR, &(PcArgs) { .handle = old }) == 0) {
        g_usleep(100);          /* FORGET has no reply; the test times out */
    }
    for (i = 0; i < 2; i++) {
        for (t = 0; t < G_N_ELEMENTS(with_handle); t++) {
            static const FsSetAttr set = { .valid = FS_SET_SIZE };
            PcArgs args = {
                .handle = old, .name = "x", .other = PROXY_ROOT_HANDLE,
                .other_name = with_handle[t] == PROXY_WALK ? NULL : "y",
                .mode = with_handle[t] == PROXY_CREATE ? 0666 : S_IFDIR,
                .set = &set,
            };

            g_assert_cmpint(call(c, w, with_handle[t], &args), ==, -EBADF);
        }
        /* Another handle has its slot now, and the client forgets too much. */
        new = handle_of(c, "file");
        g_assert_cmpint(new, !=, old);
        pc_forget(c, old, UINT32_MAX);
        pc_forget(c, PROXY_ROOT_HANDLE, UINT32_MAX);
        pc_forget(c, new + 1, 1);
        pc_forget(c, new, 0);
    }
    g_assert_cmpint(call(c, w, PROXY_GETATTR, &(PcArgs) { .handle = new }),
                    ==, 0);
    pw_check(w);
    expect_alive(c);
    g_assert_cmpint(pc_close(c), ==, 0);
    pw_free(w);
}

/* Files, fifos, sockets and links where a directory belongs, and so on */
static void test_wrong_types(ProxyFixture *f, gconstpointer options)
{
    static const char *const names[] = { "file", "fifo", "socket", "up" };
    ProxyClient *c = pc_open(f->dir, options);
    g_autofree char *fifo = g_build_filename(f->dir, "fifo", NULL);
    g_autofree char *sock = g_build_filename(f->dir, "socket", NULL);
    Witness *w = pw_new(f);
    uint64_t dir;
    unsigned i, t;

    g_assert_cmpint(mkfifo(fifo, 0666), ==, 0);
    g_assert_cmpint(mknod(sock, S_IFSOCK | 0666, 0), ==, 0);
    for (i = 0; i < G_N_ELEMENTS(names); i++) {
        uint64_t h = handle_of(c, names[i]);

        for (t = 0; t < G_N_ELEMENTS(with_name); t++) {
            unsigned type = with_name[t];
            PcArgs args = {
                .handle = h, .name = "x", .other = h,
                .other_name = type == PROXY_WALK ? NULL : "y",
                .mode = type == PROXY_CREATE ? 0666 : S_IFDIR | 0777,
            };
            int ret = call(c, w, type, &args);

            g_assert_cmpint(ret, <, 0);
            if (type != PROXY_UNLINK) {
                g_assert_cmpint(ret, ==, -ENOTDIR);
            }
        }
        if (!g_str_equal(names[i], "file")) {
            /* At once, with no writer or listener there */
            g_assert_cmpint(call(c, w, PROXY_OPEN, &(PcArgs) {
                .handle = h, .flags = O_RDONLY }), <, 0);
        }
        if (!g_str_equal(names[i], "up")) {
            g_assert_cmpint(call(c, w, PROXY_READLINK, &(PcArgs) {
                .handle = h }), ==, -EINVAL);
        }
    }
    dir = handle_of(c, "dir");
    g_assert_cmpint(call(c, w, PROXY_OPEN, &(PcArgs) {
        .handle = dir, .flags = O_RDWR }), ==, -EISDIR);
    g_assert_cmpint(call(c, w, PROXY_LINK, &(PcArgs) {
        .handle = dir, .other = PROXY_ROOT_HANDLE, .name = "x" }), ==, -EPERM);
    /* Into itself */
    g_assert_cmpint(call(c, w, PROXY_RENAME, &(PcArgs) {
        .handle = PROXY_ROOT_HANDLE, .name = "dir", .other = dir,
        .other_name = "x" }), ==, -EINVAL);
    pw_check(w);
    expect_alive(c);
    g_assert_cmpint(pc_close(c), ==, 0);
    pw_free(w);
}

/* Extreme numbers: the helper refuses or takes them, and lives on. */
static void test_integers(ProxyFixture *f, gconstpointer options)
{
    static const uint64_t wide[] = {
        0, 1, INT32_MAX, 1ull << 31, UINT32_MAX, 1ull << 32, INT64_MAX,
        1ull << 63, UINT64_MAX,
    };
    ProxyClient *c = pc_open(f->dir, options);
    Witness *w = pw_new(f);
    uint64_t file = handle_of(c, "file");
    unsigned i, bit;

    for (i = 0; i < G_N_ELEMENTS(wide); i++) {
        FsSetAttr sets[] = {
            { .valid = FS_SET_SIZE, .size = wide[i] },
            { .valid = FS_SET_UID, .uid = wide[i] },
            { .valid = FS_SET_GID, .gid = wide[i] },
            { .valid = FS_SET_MODE, .mode = wide[i] },
            { .valid = FS_SET_ATIME | FS_SET_ATIME_SET,
              .atime = { wide[i], 0 } },
            { .valid = FS_SET_MTIME | FS_SET_MTIME_SET,
              .mtime = { 0, wide[i] } },
            { .valid = wide[i] },
        };
        unsigned s;

        for (s = 0; s < G_N_ELEMENTS(sets); s++) {
            call(c, w, PROXY_SETATTR, &(PcArgs) {
                .handle = file, .set = &sets[s] });
        }
        call(c, w, PROXY_OPEN, &(PcArgs) { .handle = file,
                                           .flags = wide[i] });
        call(c, w, PROXY_CREATE, &(PcArgs) {
            .handle = PROXY_ROOT_HANDLE, .name = "file", .flags = wide[i],
            .mode = wide[i], .id = wide[i] });
        call(c, w, PROXY_MAKE, &(PcArgs) {
            .handle = PROXY_ROOT_HANDLE, .name = "m", .mode = wide[i],
            .id = wide[i], .other_name = "" });
        call(c, w, PROXY_UNLINK, &(PcArgs) {
            .handle = PROXY_ROOT_HANDLE, .name = "x", .flags = wide[i],
            .other = wide[i] });
        call(c, w, PROXY_SETXATTR, &(PcArgs) {
            .handle = file, .name = "user.x", .flags = wide[i] });
        pc_forget(c, wide[i], wide[i]);
        expect_alive(c);
    }
    for (bit = 0; bit < 32; bit++) {
        call(c, w, PROXY_OPEN, &(PcArgs) { .handle = file,
                                           .flags = 1u << bit });
        call(c, w, PROXY_MAKE, &(PcArgs) {
            .handle = PROXY_ROOT_HANDLE, .name = "bit", .mode = 1u << bit,
            .other_name = "t" });
        call(c, w, PROXY_UNLINK, &(PcArgs) {
            .handle = PROXY_ROOT_HANDLE, .name = "bit" });
        call(c, w, PROXY_UNLINK, &(PcArgs) {
            .handle = PROXY_ROOT_HANDLE, .name = "bit", .flags = 1 });
    }
    pw_check(w);
    expect_alive(c);
    g_assert_cmpint(pc_close(c), ==, 0);
    pw_free(w);
}

/*
 * Open files that a thread may have: those in replies that it cannot send yet
 * (BATCH_OPENED in the helper's serve.c, which reserves that many), and that of
 * the current request. One more set is being collected.
 */
#define FILES_PER_THREAD  (8 + 1)

#define THREADS_DEFAULT 4

static void expect_bounded(ProxyClient *c, unsigned files,
                           const char *const *options)
{
    unsigned threads = options ? atoi(options[0] + strlen("--threads="))
                               : THREADS_DEFAULT;

    g_assert_cmpint(hostile_memory_of(c->server_pid), <, HOSTILE_MEMORY_MAX);
    if (geteuid() == 0) {
        g_assert_cmpint(pp_open_files(c->server_pid), <=,
                        files + FILES_PER_THREAD * (threads + 1));
    }
}

/*
 * The client sends ten thousand requests, of a type that has a descriptor in
 * its reply, before it reads one. The helper answers each of them once.
 */
static void test_in_flight(ProxyFixture *f, gconstpointer options)
{
    ProxyClient *c = pc_open(f->dir, options);
    Witness *w = pw_new(f);
    uint64_t file = handle_of(c, "file");
    unsigned files = geteuid() == 0 ? pp_open_files(c->server_pid) : 0;
    uint8_t msg[PROXY_HEADER_SIZE + 12];
    g_autofree uint8_t *all = g_malloc(IN_FLIGHT * sizeof(msg));
    g_autofree bool *answered = g_new0(bool, IN_FLIGHT);
    ProxyHeader h = { .size = sizeof(msg), .type = PROXY_OPEN };
    size_t sent = 0, size = IN_FLIGHT * sizeof(msg);
    unsigned i, received = 0;
    MarshalWriter writer;

    for (i = 0; i < IN_FLIGHT; i++) {
        h.tag = i;
        proxy_header_put(&h, all + i * sizeof(msg));
        marshal_writer_init(&writer, all + i * sizeof(msg) +
                            PROXY_HEADER_SIZE, 12);
        marshal_put_u64(&writer, file);
        marshal_put_u32(&writer, O_RDONLY);
    }
    /* Until the helper takes no more, and has had time to work */
    for (i = 0; i < 50 && sent < size; i++) {
        size_t now = pc_send_now(c, all + sent, size - sent);

        sent += now;
        i = now ? 0 : i;
        g_usleep(now ? 0 : 10000);
    }
    expect_bounded(c, files, options);

    while (received < IN_FLIGHT) {
        sent += pc_send_now(c, all + sent, size - sent);
        g_assert_cmpint(pc_receive(c, &h), ==, 0);
        g_assert_cmpint(h.tag, <, IN_FLIGHT);
        g_assert_false(answered[h.tag]);
        answered[h.tag] = true;
        g_assert_cmpint(c->nfds, ==, 1);
        pw_take_fd(w, c->fds[0]);
        received++;
    }
    g_assert_cmpint(sent, ==, size);
    expect_bounded(c, files, options);
    expect_alive(c);
    g_assert_cmpint(pc_close(c), ==, 0);
    pw_free(w);
}

/* Replies with descriptors that the client never reads before it closes */
static void test_unread(ProxyFixture *f, gconstpointer options)
{
    ProxyClient *c = pc_open(f->dir, options);
    uint64_t file = handle_of(c, "file");
    unsigned files = geteuid() == 0 ? pp_open_files(c->server_pid) : 0;
    uint8_t msg[PROXY_HEADER_SIZE + 12];
    ProxyHeader h = { .size = sizeof(msg), .type = PROXY_OPEN };
    unsigned idle = 0;
    size_t sent = 0;
    MarshalWriter writer;

    proxy_header_put(&h, msg);
    marshal_writer_init(&writer, msg + PROXY_HEADER_SIZE, 12);
    marshal_put_u64(&writer, file);
    marshal_put_u32(&writer, O_RDONLY);
    while (idle < 30) {
        size_t now = pc_send_now(c, msg, sizeof(msg));

        if (now && now < sizeof(msg)) {
            break;              /* the rest would not fit either */
        }
        sent += now;
        idle = now ? 0 : idle + 1;
        g_usleep(now ? 0 : 10000);
    }
    g_test_message("%zu bytes until it took no more", sent);
    expect_bounded(c, files, options);
    /* Closing with unread replies is no fault of the client. */
    g_assert_cmpint(pc_close(c), ==, 0);
}

int main(int argc, char **argv)
{
    static const char *const one_thread[] = { "--threads=1", NULL };
    static const char *const many_threads[] = { "--threads=16", NULL };

    pf_init(&argc, &argv, "/9p-helper-hostile");

    pf_add_made("names", hostile_namespaces, test_names);
    pf_add_made("names/no-sandbox", hostile_no_sandbox, test_names);
    pf_add_made("links", hostile_namespaces, test_links);
    pf_add_made("links/no-sandbox", hostile_no_sandbox, test_links);
    pf_add_made("magic-links", hostile_namespaces, test_magic_links);
    pf_add_made("magic-links/no-sandbox", hostile_no_sandbox, test_magic_links);
    pf_add_made("donated", hostile_namespaces, test_donated);
    pf_add_made("stale-handles", NULL, test_stale_handles);
    pf_add_made("wrong-types", NULL, test_wrong_types);
    pf_add_made("integers", NULL, test_integers);
    pf_add_made("in-flight", NULL, test_in_flight);
    pf_add_made("in-flight/one-thread", one_thread, test_in_flight);
    pf_add_made("in-flight/many-threads", many_threads, test_in_flight);
    pf_add_made("unread", NULL, test_unread);
    pf_add_made("unread/many-threads", many_threads, test_unread);
    return g_test_run();
}
