/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Code that the fuzzers share: see fuzz.h.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "fuzz.h"
#include <ftw.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* Mount options: the files' content is in memory. */
#define FOLDER_OPTIONS  "size=32m,nr_inodes=4096,mode=755"
#define FILE_SIZE_MAX   (8 * 1024 * 1024)

/* kind[1] id[1] flags[1] size[2] */
#define RECORD_HEAD     5
/* How many records of an input mutations change */
#define RECORDS_MAX     128

/* mount_setattr(2) */
#define SYS_MOUNT_SETATTR       442
#define ATTR_RDONLY             1
#define WITH_ALL_BELOW          0x8000  /* AT_RECURSIVE */

/* For run.py: this machine lacks something that the fuzzers need */
#define EXIT_UNFIT      77
/* After so many runs, everything that is made only once exists. */
#define FDS_FIRST_RUNS  16
/* How long to wait between two counts of descriptors, and how many counts */
#define FDS_WAIT_US     1000
#define FDS_TRIES       5000

typedef struct MountAttr {
    uint64_t set;
    uint64_t clear;
    uint64_t propagation;
    uint64_t userns;
} MountAttr;

static char *folder;

uint8_t fuzz_u8(FuzzInput *in)
{
    if (!in->left) {
        return 0;
    }
    in->left--;
    return *in->data++;
}

bool fuzz_record(FuzzInput *in, FuzzRecord *rec)
{
    size_t size;

    if (!in->left) {
        return false;
    }
    rec->kind = fuzz_u8(in);
    rec->id = fuzz_u8(in);
    rec->flags = fuzz_u8(in);
    size = fuzz_u8(in);
    size |= fuzz_u8(in) << 8;
    rec->size = MIN(size, in->left);
    rec->body = in->data;
    in->data += rec->size;
    in->left -= rec->size;
    return true;
}

/*
 * Mutations that keep the records whole: a change to one record leaves those
 * after it as they are.
 */

/*
 * Finds where the records of @data begin, and where the last one ends. Returns
 * how many there are.
 */
static size_t find_records(const uint8_t *data, size_t size,
                           size_t starts[RECORDS_MAX + 1])
{
    FuzzInput in = { data, size };
    FuzzRecord rec;
    size_t n = 0;

    fuzz_u8(&in);
    while (n < RECORDS_MAX && in.left) {
        starts[n++] = in.data - data;
        fuzz_record(&in, &rec);
    }
    starts[n] = in.data - data;
    return n;
}

/*
 * Replaces @old bytes with those of @with. Returns the new size, or 0 if there
 * is no room.
 */
static size_t put_in(uint8_t *data, size_t size, size_t max, size_t at,
                     size_t old, const uint8_t *with, size_t len)
{
    if (size - old + len > max) {
        return 0;
    }
    memmove(data + at + len, data + at + old, size - at - old);
    memcpy(data + at, with, len);
    return size - old + len;
}

/* Changes a number in a body: to one near it, or to an edge case. */
static void change_number(uint8_t *body, size_t size, GRand *r)
{
    static const uint64_t edges[] = {
        0, 1, 2, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000,
        0xffffffff, INT64_MAX, 1ull << 63, UINT64_MAX,
    };
    size_t width = 1u << g_rand_int_range(r, 0, 4);
    uint64_t v = 0;
    size_t at;

    if (size < width) {
        return;
    }
    at = g_rand_int_range(r, 0, size - width + 1);
    memcpy(&v, body + at, width);
    v = g_rand_boolean(r) ? v + g_rand_int_range(r, -4, 5)
                          : edges[g_rand_int_range(r, 0, G_N_ELEMENTS(edges))];
    memcpy(body + at, &v, width);
}

/* Makes a body longer or shorter, and corrects the size in its record. */
static size_t change_size(uint8_t *data, size_t size, size_t max, size_t at,
                          size_t old, GRand *r)
{
    uint8_t bytes[64];
    size_t body = old - RECORD_HEAD;
    size_t len = g_rand_int_range(r, 0, sizeof(bytes));
    size_t cut = g_rand_int_range(r, 0, body + 1);

    memset(bytes, g_rand_int_range(r, 0, 256), sizeof(bytes));
    if (g_rand_boolean(r)) {
        cut = 0;
    } else {
        len = 0;
    }
    stw_le_p(data + at + 3, body - cut + len);
    return put_in(data, size, max, at + old - cut, cut, bytes, len);
}

static size_t mutate_record(uint8_t *data, size_t size, size_t max, GRand *r)
{
    size_t starts[RECORDS_MAX + 1];
    size_t n = find_records(data, size, starts);
    g_autofree uint8_t *copy = NULL;
    size_t a, b, at, len;

    if (!n) {
        return 0;
    }
    a = g_rand_int_range(r, 0, n);
    b = g_rand_int_range(r, 0, n);
    at = starts[a];
    len = starts[a + 1] - at;
    if (len < RECORD_HEAD) {
        return 0;
    }
    copy = g_memdup2(data + at, len);
    switch (g_rand_int_range(r, 0, 8)) {
    case 0:                     /* copy it to another place */
        return put_in(data, size, max, starts[b], 0, copy, len);
    case 1:                     /* remove it */
        return put_in(data, size, max, at, len, copy, 0);
    case 2:
        return change_size(data, size, max, at, len, r);
    case 3:                     /* change its kind, id or flags */
        data[at + g_rand_int_range(r, 0, 3)] ^= 1 << g_rand_int_range(r, 0, 8);
        return size;
    default:
        change_number(data + at + RECORD_HEAD, len - RECORD_HEAD, r);
        return size;
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max,
                               unsigned seed)
{
    GRand *r = g_rand_new_with_seed(seed);
    size_t ret = 0;

    if (g_rand_int_range(r, 0, 4)) {
        ret = mutate_record(data, size, max, r);
    }
    g_rand_free(r);
    return ret ? ret : LLVMFuzzerMutate(data, size, max);
}

static G_NORETURN void give_up(const char *what)
{
    fprintf(stderr, "fuzz: %s: %s\n", what, strerror(errno));
    exit(EXIT_UNFIT);
}

static void set_readonly(const char *path, bool readonly)
{
    MountAttr attr = {
        .set = readonly ? ATTR_RDONLY : 0,
        .clear = readonly ? 0 : ATTR_RDONLY,
    };

    if (syscall(SYS_MOUNT_SETATTR, AT_FDCWD, path, WITH_ALL_BELOW, &attr,
                sizeof(attr)) < 0) {
        give_up(path);
    }
}

const char *fuzz_folder(void)
{
    struct rlimit limit = { FILE_SIZE_MAX, FILE_SIZE_MAX };
    const char *out = getenv("VIRTFS_FUZZ_OUT");

    folder = g_dir_make_tmp("virtfs-fuzz-XXXXXX", NULL);
    if (!folder) {
        give_up(g_get_tmp_dir());
    }
    if (unshare(CLONE_NEWNS) < 0) {
        give_up("a mount namespace");
    }
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        (out && mount(out, out, NULL, MS_BIND, NULL) < 0)) {
        give_up(out ? out : "/");
    }
    set_readonly("/", true);
    if (out) {
        set_readonly(out, false);
    }
    /* Processes outside see the folder empty. */
    if (mount("virtfs-fuzz", folder, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
              FOLDER_OPTIONS) < 0) {
        give_up(folder);
    }
    /* The old working directory is under the new mount: read-only. */
    if (out && chdir(out) < 0) {
        give_up(out);
    }
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    umask(0);
    return folder;
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    if (ftw->level > 0 && remove(path) < 0) {
        give_up(path);
    }
    return 0;
}

static void make_file(int dir, const char *name, mode_t mode, const char *text)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

    if (fd < 0 || write(fd, text, strlen(text)) < 0) {
        give_up(name);
    }
    close(fd);
}

/*
 *   f      a file with a line of text
 *   d/     a folder
 *   d/g    an empty file
 *   d/e/   an empty folder
 *   l      a symbolic link to f
 *   o      a symbolic link out of the folder
 *   p      a fifo
 */
void fuzz_populate(void)
{
    int dir;

    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 || fchmod(dir, 0755) < 0) {
        give_up(folder);
    }
    make_file(dir, "f", 0644, "a line of text\n");
    if (mkdirat(dir, "d", 0755) < 0 || mkdirat(dir, "d/e", 0755) < 0 ||
        symlinkat("f", dir, "l") < 0 || symlinkat("/etc", dir, "o") < 0 ||
        mkfifoat(dir, "p", 0644) < 0) {
        give_up(folder);
    }
    make_file(dir, "d/g", 0600, "");
    close(dir);
}

/*
 * How many descriptors are open. Pipes do not count: the sanitizer has some, to
 * a program that finds the names of functions. @show: prints each descriptor.
 */
static unsigned count_fds(bool show)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    const char *name;
    unsigned n = 0;

    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename("/proc/self/fd", name, NULL);
        g_autofree char *target = g_file_read_link(path, NULL);

        if (target && g_str_has_prefix(target, "pipe:")) {
            continue;
        }
        if (show) {
            fprintf(stderr, "fuzz: descriptor %s: %s\n", name,
                    target ? target : "?");
        }
        n++;
    }
    return n;
}

void fuzz_check_fds(void)
{
    static unsigned runs, most;
    unsigned tries = FDS_TRIES;
    unsigned n = count_fds(false);

    /* A thread may still have to close some. */
    while (runs == FDS_FIRST_RUNS && n > most && tries--) {
        g_usleep(FDS_WAIT_US);
        n = count_fds(false);
    }
    if (runs < FDS_FIRST_RUNS) {
        runs++;
        most = MAX(most, n);
    } else if (n > most) {
        fprintf(stderr, "fuzz: %u descriptors are open, %u before\n", n, most);
        count_fds(true);
        abort();
    }
}
