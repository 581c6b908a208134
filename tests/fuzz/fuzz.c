/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Code that the fuzzers share: see fuzz.h.
 */
#include "qemu/osdep.h"
#include "migration/misc.h"
#include "fuzz.h"
#include <ftw.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* Mount options: the files' content is in memory. */
#define FOLDER_OPTIONS  "size=32m,nr_inodes=4096,mode=755"
#define FILE_SIZE_MAX   (8 * 1024 * 1024)

/* mount_setattr(2) */
#define SYS_MOUNT_SETATTR       442
#define ATTR_RDONLY             1
#define WITH_ALL_BELOW          0x8000  /* AT_RECURSIVE */

/* For run.py: this machine lacks something that the fuzzers need */
#define EXIT_UNFIT      99      /* libFuzzer has 70 to 77 for its own */
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

/* For the server: no migration runs, so nothing notifies of one. */
void migration_add_notifier_mode(NotifierWithReturn *notify,
                                 MigrationNotifyFunc func, MigMode mode)
{
}

void migration_remove_notifier(NotifierWithReturn *notify)
{
}

bool migration_is_running(void)
{
    return false;
}

bool migration_in_incoming_postcopy(void)
{
    return false;
}

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
