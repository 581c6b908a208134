/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's system call filters: see seccomp.h.
 *
 * The list gives a reason for each group of calls. A system call that is not
 * in the list kills the process. So the helper makes no socket, runs no
 * program, traces and signals no process, mounts nothing, joins no namespace,
 * and makes no memory executable. The filter checks arguments where one call
 * does too much: clone(2) makes only threads, and fcntl(2), ioctl(2) and
 * prctl(2) do only the listed commands. A few calls return an error instead,
 * because the C library tries them and has another way.
 *
 * The rules are for the architecture that the helper was built for. A call by
 * the number of another architecture kills the process as well.
 */
#include "qemu/osdep.h"
#include "seccomp.h"
#include "fsdev/shared/proto.h"
#include "log.h"
#include <linux/fs.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/* Linux 5.2; the headers may be older */
#ifndef AT_RECURSIVE
#define AT_RECURSIVE    0x8000
#endif

/* By name: names that libseccomp or the architecture lacks are left out. */
static const char *const allowed[] = {
    /* accepting the connection, then messages; sendmsg passes descriptors */
    "accept", "accept4", "getsockopt",
    "recvmsg", "sendmsg", "shutdown",
    "poll", "ppoll", "read", "write", "writev", "close",
    /* telling pipes from other descriptors */
    "pipe2",
    /* giving up the starter's stderr, in a daemon that is ready */
    "dup2", "dup3",
    /* finding inodes, and reading their attributes */
    "openat", "openat2", "statx", "fstat", "newfstatat", "fstatat64",
    "fstatfs", "fstatfs64", "readlinkat", "getxattr", "listxattr",
    "getdents64", "lseek", "_llseek",
    /* changing inodes */
    "fchownat", "fchmodat", "fchmodat2", "fchmod", "utimensat",
    "utimensat_time64", "ftruncate", "ftruncate64", "pwrite64",
    "setxattr", "removexattr",
    /* changing directories */
    "mkdirat", "mknodat", "symlinkat", "linkat", "renameat", "renameat2",
    "unlinkat",
    /* memory of malloc and of threads; never executable, see below */
    "brk", "munmap", "mremap", "madvise",
    /* threads, and locks between them */
    "futex", "futex_time64", "set_robust_list", "rseq", "sched_yield",
    "sched_getaffinity", "gettid", "getpid", "set_tid_address",
    "membarrier",
    /* signals, and the ways to end */
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "restart_syscall",
    "tgkill", "exit", "exit_group",
    /* our own ids, by which hostfs recognises new objects */
    "geteuid", "geteuid32", "getegid", "getegid32", "getuid", "getuid32",
    /* the time in log lines, seeds of hash tables */
    "clock_gettime", "clock_gettime64", "gettimeofday", "getrandom",
    /* lines for syslog, on a socket that is already open */
    "sendto",
};

/*
 * With --act-as=guest: ids for the work on files, and no others; whether a user
 * may make a file
 */
static const char *const allowed_ids[] = {
    "setfsuid", "setfsuid32", "setfsgid", "setfsgid32", "faccessat2",
};

/* With --host-groups, too */
static const char *const allowed_groups[] = { "setgroups", "setgroups32" };

/* The supervisor's calls; add_supervisor_rules() adds more. */
static const char *const allowed_supervisor[] = {
    /* waiting for signals, for news, and for the server's end */
    "poll", "ppoll", "read", "wait4", "waitid", "close",
    /* ending as the server did, or by the signal that asked for it */
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "restart_syscall",
    "gettid", "getpid", "exit", "exit_group",
    /* a last line on stderr */
    "write",
    /* freeing memory */
    "brk", "munmap", "madvise", "futex", "futex_time64",
};

/* The watcher's calls (mounts.h), besides mount_setattr(2) */
static const char *const allowed_watcher[] = {
    /* the list of mounts, and its changes */
    "poll", "ppoll", "read", "lseek", "_llseek",
    /* saying that it is there; a last line on stderr or for syslog */
    "write", "sendto", "clock_gettime", "clock_gettime64", "gettimeofday",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "restart_syscall",
    "gettid", "getpid", "exit", "exit_group",
    "brk", "munmap", "mremap", "madvise", "futex", "futex_time64",
};

/* Calls that the C library tries, and can do without */
static const struct {
    const char *name;
    int error;
} refused[] = {
    { "clone3", ENOSYS },       /* its flags are in memory; clone is used */
    { "socket", EACCES },       /* syslog(3), to connect again */
    { "sysinfo", ENOSYS },      /* qsort(3), to see how much memory there is */
    { "prlimit64", EPERM },     /* pthread_create(3): the stack's size */
    { "getrlimit", EPERM },
    { "ugetrlimit", EPERM },
};

static const unsigned fcntl_commands[] = {
    F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, F_SETFL, F_GET_SEALS,
};

static const unsigned long ioctl_requests[] = {
    FS_IOC_GETVERSION,
    SIOCOUTQ,                   /* whether the client has read all */
};

static const unsigned prctl_options[] = {
    PR_SET_NAME,
#ifdef PR_SET_VMA
    PR_SET_VMA,                 /* malloc names its arenas */
#endif
};

/* One rule. This architecture may not have the call. */
static void rule(scmp_filter_ctx ctx, uint32_t action, const char *call,
                 unsigned n, const struct scmp_arg_cmp *args)
{
    int nr = seccomp_syscall_resolve_name(call);
    int ret;

    if (nr == __NR_SCMP_ERROR) {
        return;
    }
    ret = seccomp_rule_add_array(ctx, action, nr, n, args);
    if (ret < 0) {
        fatal("cannot add %s to the system call filter: %s", call,
              strerror(-ret));
    }
}

static void allow_if(scmp_filter_ctx ctx, const char *call,
                     struct scmp_arg_cmp arg)
{
    rule(ctx, SCMP_ACT_ALLOW, call, 1, &arg);
}

static void allow_if2(scmp_filter_ctx ctx, const char *call,
                      struct scmp_arg_cmp a, struct scmp_arg_cmp b)
{
    const struct scmp_arg_cmp args[] = { a, b };

    rule(ctx, SCMP_ACT_ALLOW, call, 2, args);
}

static void add_rules(scmp_filter_ctx ctx, int mount_fd, bool changes_ids,
                      bool changes_groups)
{
    const unsigned long thread = CLONE_VM | CLONE_FS | CLONE_FILES |
                                 CLONE_SIGHAND | CLONE_THREAD;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(allowed); i++) {
        rule(ctx, SCMP_ACT_ALLOW, allowed[i], 0, NULL);
    }
    for (i = 0; i < G_N_ELEMENTS(refused); i++) {
        rule(ctx, SCMP_ACT_ERRNO(refused[i].error), refused[i].name, 0, NULL);
    }

    /* A thread of this process, and no new namespace */
    allow_if(ctx, "clone",
             SCMP_A0_64(SCMP_CMP_MASKED_EQ,
                        thread | CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWPID |
                        CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
                        CLONE_NEWCGROUP | CLONE_PTRACE,
                        thread));
    for (i = 0; changes_ids && i < G_N_ELEMENTS(allowed_ids); i++) {
        rule(ctx, SCMP_ACT_ALLOW, allowed_ids[i], 0, NULL);
    }
    for (i = 0; changes_groups && i < G_N_ELEMENTS(allowed_groups); i++) {
        rule(ctx, SCMP_ACT_ALLOW, allowed_groups[i], 0, NULL);
    }
    if (mount_fd >= 0) {
        /* With --file-handles: an inode, which it may not open for I/O */
        allow_if2(ctx, "open_by_handle_at",
                  SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)mount_fd),
                  SCMP_A2_32(SCMP_CMP_EQ, O_PATH | O_CLOEXEC));
    }
    allow_if(ctx, "mmap", SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    allow_if(ctx, "mmap2", SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    allow_if(ctx, "mprotect", SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    for (i = 0; i < G_N_ELEMENTS(fcntl_commands); i++) {
        allow_if(ctx, "fcntl", SCMP_A1_32(SCMP_CMP_EQ, fcntl_commands[i]));
        allow_if(ctx, "fcntl64", SCMP_A1_32(SCMP_CMP_EQ, fcntl_commands[i]));
    }
#ifdef SO_PASSRIGHTS
    allow_if2(ctx, "setsockopt", SCMP_A1_32(SCMP_CMP_EQ, SOL_SOCKET),
              SCMP_A2_32(SCMP_CMP_EQ, SO_PASSRIGHTS));
#endif
    /* Looking at what has arrived, without taking it */
    allow_if2(ctx, "setsockopt", SCMP_A1_32(SCMP_CMP_EQ, SOL_SOCKET),
              SCMP_A2_32(SCMP_CMP_EQ, SO_PEEK_OFF));
    /* A read and a write of a bell that do not wait */
    allow_if(ctx, "vmsplice", SCMP_A3_32(SCMP_CMP_EQ, SPLICE_F_NONBLOCK));
    for (i = 0; i < G_N_ELEMENTS(ioctl_requests); i++) {
        allow_if(ctx, "ioctl", SCMP_A1_32(SCMP_CMP_EQ, ioctl_requests[i]));
    }
    for (i = 0; i < G_N_ELEMENTS(prctl_options); i++) {
        allow_if(ctx, "prctl", SCMP_A0_32(SCMP_CMP_EQ, prctl_options[i]));
    }
}

/* Signals go to two processes only, and calls name one file only. */
static void add_supervisor_rules(scmp_filter_ctx ctx, pid_t server, int dir,
                                 const char *name)
{
    struct scmp_arg_cmp its_dir = SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)dir);
    struct scmp_arg_cmp its_name = SCMP_A1_64(SCMP_CMP_EQ, (uintptr_t)name);
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(allowed_supervisor); i++) {
        rule(ctx, SCMP_ACT_ALLOW, allowed_supervisor[i], 0, NULL);
    }
    allow_if2(ctx, "kill", SCMP_A0_32(SCMP_CMP_EQ, server),
              SCMP_A1_32(SCMP_CMP_EQ, SIGKILL));
    allow_if(ctx, "tgkill", SCMP_A0_32(SCMP_CMP_EQ, getpid()));
    if (dir >= 0) {
        allow_if2(ctx, "newfstatat", its_dir, its_name);
        allow_if2(ctx, "fstatat64", its_dir, its_name);
        allow_if2(ctx, "statx", its_dir, its_name);
        allow_if2(ctx, "unlinkat", its_dir, its_name);
    }
}

static void add_watcher_rules(scmp_filter_ctx ctx, int root)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(allowed_watcher); i++) {
        rule(ctx, SCMP_ACT_ALLOW, allowed_watcher[i], 0, NULL);
    }
    allow_if(ctx, "mmap", SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    allow_if(ctx, "mmap2", SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    allow_if2(ctx, "mount_setattr", SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)root),
              SCMP_A2_32(SCMP_CMP_EQ, AT_EMPTY_PATH | AT_RECURSIVE));
}

/* A filter without rules, or NULL for no filter */
static scmp_filter_ctx make_filter(SeccompMode mode)
{
    static const uint32_t actions[] = {
        [SECCOMP_KILL] = SCMP_ACT_KILL_PROCESS,
        [SECCOMP_TRAP] = SCMP_ACT_TRAP,
        [SECCOMP_LOG] = SCMP_ACT_LOG,
    };
    scmp_filter_ctx ctx;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    /* Sanitizers make many calls that the list does not have. */
    if (mode == SECCOMP_KILL) {
        return NULL;
    }
#endif
    if (mode == SECCOMP_NONE) {
        return NULL;
    }
    ctx = seccomp_init(actions[mode]);
    if (!ctx) {
        fatal("cannot make the system call filter: out of memory");
    }
    if (mode == SECCOMP_KILL) {
        /* Calls of another architecture: kill the process, not a thread */
        seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    }
    /* A binary tree: the kernel finds each call in few steps. */
    seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    return ctx;
}

static void load_filter(scmp_filter_ctx ctx)
{
    int ret = seccomp_load(ctx);

    if (ret < 0) {
        fatal("cannot load the system call filter: %s", strerror(-ret));
    }
    seccomp_release(ctx);
}

void seccomp_enter(SeccompMode mode, int mount_fd, bool changes_ids,
                   bool changes_groups)
{
    scmp_filter_ctx ctx = make_filter(mode);

    if (ctx) {
        add_rules(ctx, mount_fd, changes_ids, changes_groups);
        load_filter(ctx);
    }
}

void seccomp_enter_supervisor(SeccompMode mode, pid_t server, int dir,
                              const char *name)
{
    scmp_filter_ctx ctx = make_filter(mode);

    if (ctx) {
        add_supervisor_rules(ctx, server, dir, name);
        load_filter(ctx);
    }
}

void seccomp_enter_watcher(SeccompMode mode, int root)
{
    scmp_filter_ctx ctx = make_filter(mode);

    if (ctx) {
        add_watcher_rules(ctx, root);
        load_filter(ctx);
    }
}
