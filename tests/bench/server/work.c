/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The kinds of work: see work.h. load.c fills in each message's tag and size.
 */
#include "qemu/osdep.h"
#include "work.h"
#include "machine.h"
#include <sys/xattr.h>

/* Fids. From FID_MANY on, each message has its own. */
enum { FID_FILE = FID_ROOT + 1, FID_LINK, FID_DIR, FID_OPEN = 16,
       FID_MANY = 1000 };

#define SMALL           4096u
#define LARGE           (512u * 1024)
#define FILE_SIZE       (64u * 1024 * 1024)
#define ENTRIES         1000u
#define DEEP            8u
#define LIST_BYTES      (128u * 1024)   /* room for all ENTRIES */
#define MANY            1000u
#define REPEAT          20000u
#define OPEN            64u     /* fids from FID_OPEN on */

static void numbered(char *name, size_t size, const char *what, unsigned i)
{
    g_snprintf(name, size, "%s%06u", what, i);
}

static void walk_file(Message *m, unsigned i)
{
    walk(m, FID_ROOT, FID_FILE, "file");
}

static void walk_link(Message *m, unsigned i)
{
    walk(m, FID_ROOT, FID_LINK, "link");
}

static void walk_dir(Message *m, unsigned i)
{
    walk(m, FID_ROOT, FID_DIR, "work");
}

static void walk_list(Message *m, unsigned i)
{
    walk(m, FID_ROOT, FID_OPEN + i % OPEN, "list");
}

static void walk_one(Message *m, unsigned i)
{
    walk(m, FID_ROOT, FID_MANY + i, "file");
}

static void walk_deep(Message *m, unsigned i)
{
    unsigned k;

    begin(m, TWALK, FID_ROOT);
    u32(m, FID_MANY + i);
    u16(m, DEEP);
    for (k = 0; k < DEEP; k++) {
        str(m, "deep");
    }
}

static void clone_file(Message *m, unsigned i)
{
    walk(m, FID_FILE, FID_MANY + i, NULL);
}

static void clone_dir(Message *m, unsigned i)
{
    walk(m, FID_DIR, FID_MANY + i, NULL);
}

static void clunk_fid(Message *m, uint32_t fid)
{
    begin(m, TCLUNK, fid);
}

static void clunk_many(Message *m, unsigned i)
{
    clunk_fid(m, FID_MANY + i);
}

static void clunk_file(Message *m, unsigned i)
{
    clunk_fid(m, FID_FILE);
}

static void clunk_link(Message *m, unsigned i)
{
    clunk_fid(m, FID_LINK);
}

static void clunk_dir(Message *m, unsigned i)
{
    clunk_fid(m, FID_DIR);
}

static void clunk_open(Message *m, unsigned i)
{
    clunk_fid(m, FID_OPEN + i % OPEN);
}

static void getattr(Message *m, unsigned i)
{
    begin(m, TGETATTR, FID_FILE);
    u64(m, 0x7ff);
}

static void setattr(Message *m, unsigned i)
{
    unsigned k;

    begin(m, TSETATTR, FID_FILE);
    u32(m, 1);                  /* mode */
    u32(m, i & 1 ? 0644 : 0640);
    for (k = 0; k < 2; k++) {
        u32(m, 0);
    }
    for (k = 0; k < 5; k++) {
        u64(m, 0);
    }
}

static void read_link(Message *m, unsigned i)
{
    begin(m, TREADLINK, FID_LINK);
}

static void statfs_(Message *m, unsigned i)
{
    begin(m, TSTATFS, FID_FILE);
}

static void lopen(Message *m, uint32_t fid, uint32_t flags)
{
    begin(m, TLOPEN, fid);
    u32(m, flags);
}

static void open_many(Message *m, unsigned i)
{
    lopen(m, FID_MANY + i, O_RDWR);
}

static void open_file(Message *m, unsigned i)
{
    lopen(m, FID_FILE, O_RDWR);
}

static void open_list(Message *m, unsigned i)
{
    lopen(m, FID_OPEN + i % OPEN, O_RDONLY | O_DIRECTORY);
}

static void create(Message *m, unsigned i)
{
    char name[32];

    numbered(name, sizeof(name), "f", i);
    begin(m, TLCREATE, FID_MANY + i);
    str(m, name);
    u32(m, O_RDWR | O_EXCL);
    u32(m, 0644);
    u32(m, 0);
}

static void mkdir_(Message *m, unsigned i)
{
    char name[32];

    numbered(name, sizeof(name), "d", i);
    begin(m, TMKDIR, FID_DIR);
    str(m, name);
    u32(m, 0755);
    u32(m, 0);
}

static void unlink_name(Message *m, const char *what, unsigned i,
                        uint32_t flags)
{
    char name[32];

    numbered(name, sizeof(name), what, i);
    begin(m, TUNLINKAT, FID_DIR);
    str(m, name);
    u32(m, flags);
}

static void unlink_file(Message *m, unsigned i)
{
    unlink_name(m, "f", i, 0);
}

static void unlink_moved(Message *m, unsigned i)
{
    unlink_name(m, "g", i, 0);
}

static void remove_dir(Message *m, unsigned i)
{
    unlink_name(m, "d", i, 0x200);
}

static void rename_(Message *m, unsigned i)
{
    char name[32];

    numbered(name, sizeof(name), "f", i);
    begin(m, TRENAMEAT, FID_DIR);
    str(m, name);
    u32(m, FID_DIR);
    name[0] = 'g';
    str(m, name);
}

static void xattr_walk(Message *m, unsigned i)
{
    begin(m, TXATTRWALK, FID_FILE);
    u32(m, FID_MANY + i);
    str(m, "user.bench");
}

static void xattr_create(Message *m, unsigned i)
{
    begin(m, TXATTRCREATE, FID_MANY + i);
    str(m, "user.bench");
    u64(m, 16);
    u32(m, 0);
}

static void write_at(Message *m, uint32_t fid, uint64_t offset,
                     uint32_t count)
{
    begin(m, TWRITE, fid);
    u64(m, offset);
    u32(m, count);
    m->pos += count;            /* any data will do */
}

static void xattr_write(Message *m, unsigned i)
{
    write_at(m, FID_MANY + i, 0, 16);
}

static void read_at(Message *m, uint32_t fid, uint64_t offset, uint32_t count)
{
    begin(m, TREAD, fid);
    u64(m, offset);
    u32(m, count);
}

static void read_small(Message *m, unsigned i)
{
    read_at(m, FID_FILE, (uint64_t)i * SMALL % FILE_SIZE, SMALL);
}

static void read_large(Message *m, unsigned i)
{
    read_at(m, FID_FILE, (uint64_t)i * LARGE % FILE_SIZE, LARGE);
}

static void write_small(Message *m, unsigned i)
{
    write_at(m, FID_FILE, (uint64_t)i * SMALL % FILE_SIZE, SMALL);
}

static void write_large(Message *m, unsigned i)
{
    write_at(m, FID_FILE, (uint64_t)i * LARGE % FILE_SIZE, LARGE);
}

static void read_dir(Message *m, unsigned i)
{
    begin(m, TREADDIR, FID_OPEN + i % OPEN);
    u64(m, 0);
    u32(m, LIST_BYTES);
}

#define ON_FILE     .before = { { walk_file, 1 } }, \
                    .after = { { clunk_file, 1 } }
#define ON_OPEN     .before = { { walk_file, 1 }, { open_file, 1 } }, \
                    .after = { { clunk_file, 1 } }
#define IN_DIR(...) .before = { { walk_dir, 1 }, ## __VA_ARGS__ }

const Work works[] = {
    { "floor", "Tclunk of a fid that is not open", MANY,
      .before = { { walk_file, 1 }, { clone_file } },
      .measured = { clunk_many }, .after = { { clunk_file, 1 } } },
    { "getattr", "Tgetattr", REPEAT, ON_FILE, .measured = { getattr } },
    { "walk1", "Twalk of 1 name", MANY,
      .measured = { walk_one }, .after = { { clunk_many } } },
    { "walk8", "Twalk of 8 names", MANY,
      .measured = { walk_deep }, .after = { { clunk_many } } },
    { "open", "Tlopen of a file", MANY,
      .before = { { walk_file, 1 }, { clone_file } },
      .measured = { open_many },
      .after = { { clunk_many }, { clunk_file, 1 } } },
    { "clunk", "Tclunk of an open file", MANY,
      .before = { { walk_file, 1 }, { clone_file }, { open_many } },
      .measured = { clunk_many }, .after = { { clunk_file, 1 } } },
    { "create", "Tlcreate", MANY, IN_DIR({ clone_dir }),
      .measured = { create },
      .after = { { clunk_many }, { unlink_file }, { clunk_dir, 1 } } },
    { "mkdir", "Tmkdir", MANY, IN_DIR(),
      .measured = { mkdir_ },
      .after = { { remove_dir }, { clunk_dir, 1 } } },
    { "unlink", "Tunlinkat of a file", MANY,
      IN_DIR({ clone_dir }, { create }, { clunk_many }),
      .measured = { unlink_file }, .after = { { clunk_dir, 1 } } },
    { "rename", "Trenameat", MANY,
      IN_DIR({ clone_dir }, { create }, { clunk_many }),
      .measured = { rename_ },
      .after = { { unlink_moved }, { clunk_dir, 1 } } },
    { "setattr", "Tsetattr of the mode", REPEAT, ON_FILE,
      .measured = { setattr } },
    { "getxattr", "Txattrwalk", MANY,
      .before = { { walk_file, 1 } }, .measured = { xattr_walk },
      .after = { { clunk_many }, { clunk_file, 1 } } },
    { "setxattr", "Tclunk that sets an extended attribute", 64,
      .before = { { walk_file, 1 }, { clone_file }, { xattr_create },
                  { xattr_write } },
      .measured = { clunk_many }, .after = { { clunk_file, 1 } } },
    { "readlink", "Treadlink", REPEAT,
      .before = { { walk_link, 1 } }, .measured = { read_link },
      .after = { { clunk_link, 1 } } },
    { "statfs", "Tstatfs", REPEAT, ON_FILE, .measured = { statfs_ } },
    { "readdir", "Treaddir of 1,000 entries", 256,
      .before = { { walk_list, OPEN }, { open_list, OPEN } },
      .measured = { read_dir }, .after = { { clunk_open, OPEN } } },
    { "read4k", "Tread of 4 KiB", REPEAT, SMALL, ON_OPEN,
      .measured = { read_small } },
    { "write4k", "Twrite of 4 KiB", REPEAT, SMALL, ON_OPEN,
      .measured = { write_small } },
    { "read512k", "Tread of 512 KiB", MANY, LARGE, ON_OPEN,
      .measured = { read_large } },
    { "write512k", "Twrite of 512 KiB", MANY, LARGE, ON_OPEN,
      .measured = { write_large } },
};

const unsigned n_works = G_N_ELEMENTS(works);

static void check(bool good, const char *what, const char *name)
{
    if (!good && errno != EEXIST) {
        die("%s/%s: %s", what, name, strerror(errno));
    }
}

void make_files(const char *dir)
{
    g_autofree uint8_t *block = g_malloc(LARGE);
    g_autoptr(GString) deep = g_string_new("");
    int top = open(dir, O_PATH | O_DIRECTORY);
    char name[32];
    unsigned i;
    int fd;

    check(top >= 0, dir, "");
    fd = openat(top, "file", O_RDWR | O_CREAT, 0644);
    check(fd >= 0, dir, "file");
    memset(block, 'x', LARGE);
    for (i = 0; i < FILE_SIZE / LARGE; i++) {
        check(write(fd, block, LARGE) == LARGE, dir, "file");
    }
    check(fsetxattr(fd, "user.bench", "0123456789abcdef", 16, 0) == 0,
          dir, "file");
    close(fd);
    check(symlinkat("file", top, "link") == 0, dir, "link");
    check(mkdirat(top, "work", 0755) == 0, dir, "work");
    check(mkdirat(top, "list", 0755) == 0, dir, "list");
    for (i = 0; i < ENTRIES; i++) {
        numbered(name, sizeof(name), "list/entry", i);
        fd = openat(top, name, O_RDWR | O_CREAT, 0644);
        check(fd >= 0, dir, name);
        close(fd);
    }
    for (i = 0; i < DEEP; i++) {
        g_string_append(deep, i ? "/deep" : "deep");
        check(mkdirat(top, deep->str, 0755) == 0, dir, deep->str);
    }
    close(top);
}
