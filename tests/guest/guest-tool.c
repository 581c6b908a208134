/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Operations in the guest that busybox does not have. The program is linked
 * statically; its first argument is the operation.
 *
 * Every error ends it with status 1 and a line with the call and the errno,
 * which a test can expect: "open f: ENOENT".
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void die(const char *call, const char *name)
{
    printf("%s %s: %s\n", call, name, strerrorname_np(errno));
    exit(1);
}

static int xopen(const char *name, int flags, mode_t mode)
{
    int fd = open(name, flags, mode);

    if (fd < 0) {
        die("open", name);
    }
    return fd;
}

static void put(int fd, const char *name, const char *text)
{
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
        die("write", name);
    }
}

static void show(int fd, const char *name)
{
    char buf[4096];
    ssize_t n = pread(fd, buf, sizeof(buf) - 1, 0);

    if (n < 0) {
        die("read", name);
    }
    buf[n] = '\0';
    printf("content %s\n", buf);
}

static void show_stat(int fd, const char *name)
{
    struct stat st;

    if (fstat(fd, &st) < 0) {
        die("fstat", name);
    }
    printf("links %lu size %lld mode %o\n", (unsigned long)st.st_nlink,
           (long long)st.st_size, st.st_mode & 07777);
}

/* unlinked FILE: uses a file after its name is removed */
static void unlinked(char **arg)
{
    int fd = xopen(arg[0], O_RDWR | O_CREAT | O_EXCL, 0644);

    put(fd, arg[0], "before");
    if (unlink(arg[0]) < 0) {
        die("unlink", arg[0]);
    }
    show_stat(fd, arg[0]);
    put(fd, arg[0], " after");
    show(fd, arg[0]);
    if (ftruncate(fd, 3) < 0) {
        die("ftruncate", arg[0]);
    }
    if (fchmod(fd, 0600) < 0) {
        die("fchmod", arg[0]);
    }
    show_stat(fd, arg[0]);
    show(fd, arg[0]);
}

/* rename-over OLD NEW: NEW is open while OLD takes its name */
static void rename_over(char **arg)
{
    int fd = xopen(arg[1], O_RDWR, 0);
    int fd2;

    if (rename(arg[0], arg[1]) < 0) {
        die("rename", arg[1]);
    }
    show(fd, arg[1]);
    put(fd, arg[1], "into the old one");
    show(fd, arg[1]);
    fd2 = xopen(arg[1], O_RDONLY, 0);
    show(fd2, arg[1]);
}

/* moved OLD NEW: uses a renamed file by its old descriptor */
static void moved(char **arg)
{
    int fd = xopen(arg[0], O_RDWR, 0);

    if (rename(arg[0], arg[1]) < 0) {
        die("rename", arg[1]);
    }
    if (lseek(fd, 0, SEEK_END) < 0) {
        die("lseek", arg[1]);
    }
    put(fd, arg[1], " more");
    if (fchmod(fd, 0640) < 0) {
        die("fchmod", arg[1]);
    }
    show_stat(fd, arg[1]);
    show(fd, arg[1]);
}

/* times FILE SECONDS NANOSECONDS SECONDS NANOSECONDS: atime, mtime */
static void times(char **arg)
{
    struct timespec ts[2] = {
        { .tv_sec = atoll(arg[1]), .tv_nsec = atol(arg[2]) },
        { .tv_sec = atoll(arg[3]), .tv_nsec = atol(arg[4]) },
    };

    if (utimensat(AT_FDCWD, arg[0], ts, AT_SYMLINK_NOFOLLOW) < 0) {
        die("utimensat", arg[0]);
    }
}

/* stamps FILE..: atime and mtime of each */
static void stamps(char **arg)
{
    struct stat st;

    for (; *arg; arg++) {
        if (lstat(*arg, &st) < 0) {
            die("lstat", *arg);
        }
        printf("%lld.%09ld %lld.%09ld\n",
               (long long)st.st_atim.tv_sec, st.st_atim.tv_nsec,
               (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    }
}

/* socket FILE: the node that bind(2) makes */
static void make_socket(char **arg)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (fd < 0) {
        die("socket", arg[0]);
    }
    strncpy(addr.sun_path, arg[0], sizeof(addr.sun_path) - 1);
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        die("bind", arg[0]);
    }
}

/* append FILE TEXT: with O_APPEND */
static void append(char **arg)
{
    int fd = xopen(arg[0], O_WRONLY | O_APPEND, 0);

    put(fd, arg[0], arg[1]);
}

static void show_error(const char *call, ssize_t ret)
{
    printf("%s %s\n", call, ret < 0 ? strerrorname_np(errno) : "works");
}

/* open-nothing FILE UID: as that user, Linux' access mode 3; makes the file */
static void open_nothing(char **arg)
{
    char byte;
    int fd;

    if (setuid(atoi(arg[1])) < 0) {
        die("setuid", arg[1]);
    }
    fd = xopen(arg[0], O_ACCMODE | O_CREAT, 0644);
    show_error("read", read(fd, &byte, 1));
    show_error("write", write(fd, "x", 1));
    show_error("ftruncate", ftruncate(fd, 0));
    show_error("fchmod", fchmod(fd, 0640));
    show_stat(fd, arg[0]);
}

/* exclusive FILE: O_CREAT | O_EXCL */
static void exclusive(char **arg)
{
    xopen(arg[0], O_WRONLY | O_CREAT | O_EXCL, 0600);
}

static bool set_lock(int fd, const char *type, const char *start,
                     const char *length, int command, struct flock *fl)
{
    *fl = (struct flock) {
        .l_type = *type == 'w' ? F_WRLCK : *type == 'r' ? F_RDLCK : F_UNLCK,
        .l_whence = SEEK_SET,
        .l_start = atoll(start),
        .l_len = atoll(length),
    };
    return fcntl(fd, command, fl) == 0;
}

/* lock FILE r|w START LENGTH: tries it once, and releases it again */
static void lock(char **arg)
{
    int fd = xopen(arg[0], O_RDWR, 0);
    struct flock fl;

    if (!set_lock(fd, arg[1], arg[2], arg[3], F_SETLK, &fl)) {
        die("lock", arg[0]);
    }
    puts("locked");
}

/* The result of F_GETLK for a lock as locker's */
static void show_locker(int fd, char **arg)
{
    struct flock fl;

    if (!set_lock(fd, arg[1], arg[2], arg[3], F_GETLK, &fl)) {
        die("getlk", arg[0]);
    }
    if (fl.l_type == F_UNLCK) {
        puts("free");
    } else {
        printf("%s %lld %lld\n", fl.l_type == F_WRLCK ? "write" : "read",
               (long long)fl.l_start, (long long)fl.l_len);
    }
}

/* locker FILE r|w START LENGTH: the result of F_GETLK */
static void locker(char **arg)
{
    show_locker(xopen(arg[0], O_RDWR, 0), arg);
}

/* read-locker FILE r|w START LENGTH: the same, with a lock on all of FILE */
static void read_locker(char **arg)
{
    int fd = xopen(arg[0], O_RDWR, 0);
    struct flock fl;

    if (!set_lock(fd, "r", "0", "0", F_SETLK, &fl)) {
        die("lock", arg[0]);
    }
    show_locker(fd, arg);
}

/* For twenty minutes at most: another guest may have to boot first. */
static void wait_for_file(const char *name)
{
    struct stat st;
    int i;

    for (i = 0; i < 12000 && stat(name, &st) < 0; i++) {
        usleep(100000);
    }
}

/*
 * hold FILE r|w START LENGTH HELD UNTIL: takes the lock, makes the file HELD,
 * and releases the lock when there is a file UNTIL.
 */
static void hold(char **arg)
{
    int fd = xopen(arg[0], O_RDWR, 0);
    struct flock fl;

    if (!set_lock(fd, arg[1], arg[2], arg[3], F_SETLK, &fl)) {
        die("lock", arg[0]);
    }
    close(xopen(arg[4], O_WRONLY | O_CREAT, 0644));
    wait_for_file(arg[5]);
    if (!set_lock(fd, "u", arg[2], arg[3], F_SETLK, &fl)) {
        die("unlock", arg[0]);
    }
    puts("released");
}

/* flock FILE: tries it once */
static void try_flock(char **arg)
{
    if (flock(xopen(arg[0], O_RDWR, 0), LOCK_EX | LOCK_NB) < 0) {
        die("flock", arg[0]);
    }
    puts("locked");
}

/* hold-flock FILE HELD UNTIL: like hold, with flock(2) */
static void hold_flock(char **arg)
{
    int fd = xopen(arg[0], O_RDWR, 0);

    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        die("flock", arg[0]);
    }
    close(xopen(arg[1], O_WRONLY | O_CREAT, 0644));
    wait_for_file(arg[2]);
    if (flock(fd, LOCK_UN) < 0) {
        die("unlock", arg[0]);
    }
    puts("released");
}

/* wait-lock FILE r|w START LENGTH: F_SETLKW, with a time limit */
static void wait_lock(char **arg)
{
    int fd = xopen(arg[0], O_RDWR, 0);
    struct flock fl;

    alarm(120);
    if (!set_lock(fd, arg[1], arg[2], arg[3], F_SETLKW, &fl)) {
        die("lock", arg[0]);
    }
    puts("locked");
}

/* sync FILE: synchronous writes */
static void synced(char **arg)
{
    int fd = xopen(arg[0], O_RDWR | O_CREAT | O_SYNC, 0644);

    put(fd, arg[0], "synced");
    if (fsync(fd) < 0 || fdatasync(fd) < 0) {
        die("fsync", arg[0]);
    }
    show(fd, arg[0]);
}

/* readdir-remove DIR: removes each entry after reading it */
static void readdir_remove(char **arg)
{
    DIR *dir = opendir(arg[0]);
    struct dirent *e;
    int n = 0;

    if (!dir) {
        die("opendir", arg[0]);
    }
    while ((e = readdir(dir))) {
        if (e->d_name[0] != '.') {
            if (unlinkat(dirfd(dir), e->d_name, 0) < 0) {
                die("unlinkat", e->d_name);
            }
            n++;
        }
    }
    closedir(dir);
    printf("removed %d\n", n);
}

/* Tries to take an exclusive lock again and again. */
static void lock_soon(int fd, const char *name, bool of_file)
{
    struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int tries;

    for (tries = 0; tries < 60000; tries++) {
        if (of_file ? flock(fd, LOCK_EX | LOCK_NB) == 0
                    : fcntl(fd, F_SETLK, &fl) == 0) {
            return;
        }
        if (errno != EAGAIN && errno != EACCES) {
            break;
        }
        usleep(1000 + rand() % 5000);
    }
    die("lock", name);
}

/*
 * share FILE NUMBER fcntl|flock NAME COUNT: COUNT times, under a lock on FILE,
 * appends the line "NAME I NAME I." to it in two writes, and adds one to the
 * number in the file NUMBER, which has eight digits.
 */
static void share(char **arg)
{
    bool of_file = !strcmp(arg[2], "flock");
    int count = atoi(arg[4]);
    int fd = xopen(arg[0], O_RDWR | O_APPEND | O_CREAT, 0666);
    int number = xopen(arg[1], O_RDWR, 0);
    struct flock fl = { .l_type = F_UNLCK, .l_whence = SEEK_SET };
    char buf[64];
    int i;

    srand(getpid());
    for (i = 0; i < count; i++) {
        lock_soon(fd, arg[0], of_file);
        snprintf(buf, sizeof(buf), "%s %d ", arg[3], i);
        put(fd, arg[0], buf);
        if (pread(number, buf, 8, 0) != 8) {
            die("read", arg[1]);
        }
        buf[8] = '\0';
        snprintf(buf, sizeof(buf), "%08d", atoi(buf) + 1);
        if (pwrite(number, buf, 8, 0) != 8) {
            die("write", arg[1]);
        }
        snprintf(buf, sizeof(buf), "%s %d.\n", arg[3], i);
        put(fd, arg[0], buf);
        if (of_file ? flock(fd, LOCK_UN) < 0
                    : fcntl(fd, F_SETLK, &fl) < 0) {
            die("unlock", arg[0]);
        }
    }
    printf("done\n");
}

/*
 * race SECONDS READ WRITE: reads READ and writes WRITE, again and again; prints
 * each different content of READ once.
 */
static void race(char **arg)
{
    char seen[16][64] = { "" };
    char buf[64];
    time_t end = time(NULL) + atoi(arg[0]);
    long reads = 0, writes = 0, misses = 0;
    int i, fd, n_seen = 0;
    ssize_t n;

    while (time(NULL) < end) {
        fd = open(arg[1], O_RDONLY);
        if (fd < 0) {
            misses++;
        } else {
            n = read(fd, buf, sizeof(buf) - 1);
            close(fd);
            if (n >= 0) {
                buf[n] = '\0';
                buf[strcspn(buf, "\n")] = '\0';
                reads++;
                for (i = 0; i < n_seen && strcmp(seen[i], buf); i++) {
                    /* search */
                }
                if (i == n_seen && n_seen < 16) {
                    strcpy(seen[n_seen++], buf);
                }
            }
        }
        fd = open(arg[2], O_WRONLY | O_CREAT | O_TRUNC, 0666);
        if (fd < 0) {
            misses++;
        } else {
            if (write(fd, "guest", 5) == 5) {
                writes++;
            }
            close(fd);
        }
    }
    for (i = 0; i < n_seen; i++) {
        printf("saw %s\n", seen[i]);
    }
    printf("reads %ld writes %ld misses %ld\n", reads, writes, misses);
}

/*
 * crc FILE: its size and CRC-32, as zlib computes it. It takes eight bytes at a
 * time, because the guest may be emulated and busybox' checksums are slow then:
 * table[k][b] is the remainder of byte b followed by k zero bytes.
 */
static void crc(char **arg)
{
    static uint32_t table[8][256];
    static uint8_t buf[1 << 20];
    int fd = xopen(arg[0], O_RDONLY, 0);
    unsigned long long size = 0;
    uint32_t sum = UINT32_MAX;
    ssize_t n, i;
    int b, k;

    for (b = 0; b < 256; b++) {
        uint32_t rest = b;

        for (k = 0; k < 8; k++) {
            rest = rest >> 1 ^ (rest & 1 ? 0xedb88320 : 0);
        }
        table[0][b] = rest;
    }
    for (k = 1; k < 8; k++) {
        for (b = 0; b < 256; b++) {
            uint32_t rest = table[k - 1][b];

            table[k][b] = rest >> 8 ^ table[0][rest & 0xff];
        }
    }

    while ((n = read(fd, buf, sizeof(buf))) > 0) {
        for (i = 0; i + 8 <= n; i += 8) {
            uint64_t v;

            memcpy(&v, buf + i, 8);             /* little endian */
            v ^= sum;
            sum = 0;
            for (k = 0; k < 8; k++) {
                sum ^= table[7 - k][v >> 8 * k & 0xff];
            }
        }
        for (; i < n; i++) {
            sum = sum >> 8 ^ table[0][(sum ^ buf[i]) & 0xff];
        }
        size += n;
    }
    if (n < 0) {
        die("read", arg[0]);
    }
    printf("%llu %08x\n", size, ~sum);
}

/* group GID SCRIPT: sh runs the script, with that group and no others. */
static void as_group(char **arg)
{
    if (setgroups(0, NULL) < 0 || setgid(atoi(arg[0])) < 0) {
        die("setgid", arg[0]);
    }
    execl("/bin/sh", "sh", "-c", arg[1], (char *)NULL);
    die("exec", "/bin/sh");
}

/*
 * churn FOLDER ROUNDS COUNT: random work in a folder, which only depends on the
 * number of rounds. ROUNDS "-" means until there is a file "end" in the folder
 * where this started. COUNT is a file that shows the round. Reports the rounds.
 */
#define CHURN_SIZE  (64 * 1024)
#define CHURN_STEP  4096

typedef struct Churn {
    uint32_t random;
    int fd;                     /* of a file that stays open */
    size_t size;
    uint8_t data[CHURN_SIZE + CHURN_STEP];  /* what it must have */
} Churn;

static uint32_t churn_random(Churn *c, uint32_t below)
{
    c->random = c->random * 1103515245 + 12345;
    return (c->random >> 8) % below;
}

static void churn_check(Churn *c, size_t at)
{
    uint8_t buf[CHURN_STEP];
    size_t want = at >= c->size ? 0 :
                  c->size - at < CHURN_STEP ? c->size - at : CHURN_STEP;
    ssize_t n = pread(c->fd, buf, sizeof(buf), at);

    if (n < 0) {
        die("read", "churn");
    }
    if ((size_t)n != want || memcmp(buf, c->data + at, n)) {
        printf("wrong data at %zu: %zd bytes of %zu\n", at, n, want);
        exit(1);
    }
}

static void churn_data(Churn *c)
{
    size_t at = churn_random(c, CHURN_SIZE), i;
    size_t len = 1 + churn_random(c, CHURN_STEP);

    switch (churn_random(c, 4)) {
    case 0:
        if (ftruncate(c->fd, at) < 0) {
            die("truncate", "churn");
        }
        if (at < c->size) {
            memset(c->data + at, 0, c->size - at);
        }
        c->size = at;
        break;
    case 1:
        churn_check(c, at);
        break;
    default:
        for (i = 0; i < len; i++) {
            c->data[at + i] = c->random >> (i & 7);
        }
        if (pwrite(c->fd, c->data + at, len, at) != (ssize_t)len) {
            die("write", "churn");
        }
        c->size = c->size > at + len ? c->size : at + len;
        churn_check(c, at);
    }
}

static void churn_fail(const char *call, const char *name, int ret,
                       int expected)
{
    if (ret < 0 && errno != expected) {
        die(call, name);
    }
}

static void churn_names(Churn *c, unsigned round)
{
    char file[16], other[32], folder[16];
    int fd;

    snprintf(file, sizeof(file), "n%u", round % 16);
    snprintf(other, sizeof(other), "m%u", churn_random(c, 8));
    snprintf(folder, sizeof(folder), "d%u", churn_random(c, 4));
    fd = xopen(file, O_WRONLY | O_CREAT, 0644);
    put(fd, file, other);
    churn_fail("unlink", other, unlink(other), ENOENT);
    churn_fail("link", other, link(file, other), 0);
    churn_fail("mkdir", folder, mkdir(folder, 0755), EEXIST);
    if (churn_random(c, 3) == 0) {
        churn_fail("unlink", other, unlink(other), 0);
    }
    snprintf(other, sizeof(other), "%s/m%u", folder, churn_random(c, 4));
    churn_fail("rename", file, rename(file, other), 0);
    /* The file has another name. */
    put(fd, file, "!");
    close(fd);
    if (churn_random(c, 2) == 0) {
        churn_fail("unlink", other, unlink(other), 0);
        churn_fail("rmdir", folder, rmdir(folder), ENOTEMPTY);
    }
}

static void churn(char **arg)
{
    unsigned long rounds = strcmp(arg[1], "-") ? strtoul(arg[1], NULL, 10) : 0;
    int start = xopen(".", O_RDONLY | O_DIRECTORY, 0);
    int count = xopen(arg[2], O_WRONLY | O_CREAT, 0644);
    static Churn c;
    unsigned long i;
    char text[32];

    if (chdir(arg[0]) < 0) {
        die("chdir", arg[0]);
    }
    c.fd = xopen("churn", O_RDWR | O_CREAT, 0600);
    for (i = 0; rounds ? i < rounds
                       : faccessat(start, "end", F_OK, 0) < 0; i++) {
        c.random = i;
        churn_data(&c);
        churn_names(&c, i);
        snprintf(text, sizeof(text), "%lu\n", i + 1);
        if (pwrite(count, text, strlen(text), 0) < 0) {
            die("write", "count");
        }
    }
    printf("%lu\n", i);
}

static const struct {
    const char *name;
    int args;                   /* -1: any number */
    void (*run)(char **arg);
} commands[] = {
    { "unlinked", 1, unlinked },
    { "rename-over", 2, rename_over },
    { "moved", 2, moved },
    { "times", 5, times },
    { "stamps", -1, stamps },
    { "socket", 1, make_socket },
    { "append", 2, append },
    { "exclusive", 1, exclusive },
    { "open-nothing", 2, open_nothing },
    { "lock", 4, lock },
    { "locker", 4, locker },
    { "read-locker", 4, read_locker },
    { "hold", 6, hold },
    { "flock", 1, try_flock },
    { "hold-flock", 3, hold_flock },
    { "wait-lock", 4, wait_lock },
    { "share", 5, share },
    { "sync", 1, synced },
    { "readdir-remove", 1, readdir_remove },
    { "race", 3, race },
    { "crc", 1, crc },
    { "group", 2, as_group },
    { "churn", 3, churn },
};

int main(int argc, char **argv)
{
    size_t i;

    setvbuf(stdout, NULL, _IOLBF, 0);
    umask(0);
    for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (argc >= 2 && !strcmp(argv[1], commands[i].name) &&
            (commands[i].args < 0 || argc == 2 + commands[i].args)) {
            commands[i].run(argv + 2);
            return 0;
        }
    }
    fprintf(stderr, "guest-tool: unknown command or number of arguments\n");
    return 2;
}
