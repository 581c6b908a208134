/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The sandbox: see sandbox.h.
 *
 * Theory of operation, for namespaces. The new mount API (open_tree(2),
 * mount_setattr(2), move_mount(2)) works on descriptors, so the helper looks
 * no path up twice:
 *
 *  1. chdir to the export, and only then unshare the mount namespace: the
 *     kernel moves the working directory over into the copy.
 *  2. Make all mounts slaves of the host's, so that no change here reaches the
 *     host, but what the host mounts and unmounts below the export comes and
 *     goes here, too. Where the host's mounts are private, nothing does.
 *  3. Clone the mounts at the export, as a tree that is attached nowhere, and
 *     restrict it while it cannot be reached. For later mounts see mounts.h.
 *  4. Clone the directory /proc/self/fd in the same way, and keep it as the
 *     working directory. The magic links of our own descriptors work in it,
 *     but ".." does not lead to the rest of /proc, because the directory is
 *     the clone's root. A process that is not dumpable can still use the links
 *     of its own descriptors.
 *  5. Attach the tree over the export and make it the root. The old root then
 *     lies on top of it (pivot_root(2)); unmount that with all its contents.
 *
 * In the other sandboxes the mounts are the host's own.
 */
#include "qemu/osdep.h"
#include "sandbox.h"
#include "log.h"
#include "userns.h"
#include <linux/mount.h>
#include <sched.h>
#include <sys/syscall.h>

/*
 * umount2(2). Declared in <sys/mount.h>, which clashes with <linux/mount.h>
 * in some versions of glibc; some have no wrappers for the new calls, either.
 */
#ifndef MNT_DETACH
#define MNT_DETACH      2
#endif

#ifndef MOUNT_ATTR_IDMAP
#define MOUNT_ATTR_IDMAP        0x00100000
#endif

#define OPEN_TREE_FLAGS (OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | \
                         AT_NO_AUTOMOUNT)

static int open_tree_at(int dir, const char *path, unsigned flags)
{
    return syscall(SYS_open_tree, dir, path, flags);
}

static int set_mounts(int dir, const char *path, unsigned flags,
                      uint64_t set, uint64_t propagation)
{
    struct mount_attr attr = { .attr_set = set, .propagation = propagation };

    return syscall(SYS_mount_setattr, dir, path, flags, &attr, sizeof(attr));
}

void sandbox_close_files(int keep)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int fd;

    if (null < 0) {
        fatal("/dev/null: %s", strerror(errno));
    }
    /* /dev/null may have taken the place of a closed standard descriptor. */
    for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fd != keep && (fd != STDERR_FILENO || fcntl(fd, F_GETFD) < 0)) {
            dup2(null, fd);
        }
    }

    fd = STDERR_FILENO + 1;
    if (keep > fd) {
        syscall(SYS_close_range, fd, keep - 1, 0);
    }
    syscall(SYS_close_range, MAX(keep + 1, fd), ~0u, 0);
}

/* Enters a namespace that the helper can do without. */
static void try_unshare(int flag, const char *name)
{
    if (unshare(flag) < 0) {
        log_line(LOG_LEVEL_WARNING, "continuing without its own %s namespace: "
                 "%s", name, strerror(errno));
    }
}

uint64_t sandbox_mount_attr(bool readonly)
{
    return MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
           (readonly ? MOUNT_ATTR_RDONLY : 0);
}

static void restrict_tree(int tree, bool readonly)
{
    if (set_mounts(tree, "", AT_EMPTY_PATH | AT_RECURSIVE,
                   sandbox_mount_attr(readonly), 0) < 0) {
        fatal("cannot restrict the export's mounts: %s%s",
              strerror(errno),
              errno == ENOSYS ? " (Linux 5.12 is needed)" : "");
    }
}

/* Clones the mounts at the working directory, restricted. */
static int clone_export(bool readonly)
{
    int tree;

    tree = open_tree_at(AT_FDCWD, ".", OPEN_TREE_FLAGS | AT_RECURSIVE);
    if (tree < 0) {
        fatal("cannot clone the export's mounts: %s", strerror(errno));
    }
    restrict_tree(tree, readonly);
    return tree;
}

/* Makes @tree the root directory, and leaves all other file systems. */
static void change_root(int tree)
{
    if (syscall(SYS_move_mount, tree, "", AT_FDCWD, ".",
                MOVE_MOUNT_F_EMPTY_PATH) < 0) {
        fatal("cannot attach the export's mounts: %s", strerror(errno));
    }
    if (fchdir(tree) < 0 || syscall(SYS_pivot_root, ".", ".") < 0) {
        fatal("cannot make the export the root directory: %s",
              strerror(errno));
    }
    if (syscall(SYS_umount2, ".", MNT_DETACH) < 0) {
        fatal("cannot leave the host's file systems: %s", strerror(errno));
    }
    close(tree);
}

/*
 * A read-only copy of the mounts at @export that is attached nowhere. Without
 * it, QEMU could open what the helper passes to it again, for writing.
 */
static int clone_readonly(int export)
{
    int tree = open_tree_at(export, "", OPEN_TREE_FLAGS | AT_RECURSIVE |
                            AT_EMPTY_PATH);

    if (tree < 0) {
        fatal("--readonly: the helper can make no read-only mount here (%s); "
              "only --sandbox=namespace has one then", strerror(errno));
    }
    restrict_tree(tree, true);
    close(export);
    return tree;
}

/* Without a mount namespace, @export itself is the root's handle. */
static int enter_without_mounts(Sandbox sandbox, int export, bool readonly)
{
    int fds = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fds < 0) {
        fatal("/proc/self/fd: %s", strerror(errno));
    }
    if (readonly) {
        export = clone_readonly(export);
    }
    if (sandbox == SANDBOX_CHROOT &&
        (fchdir(export) < 0 || chroot(".") < 0)) {
        fatal("cannot make the export the root directory: %s",
              strerror(errno));
    }
    if (fchdir(fds) < 0) {
        fatal("cannot enter /proc/self/fd: %s", strerror(errno));
    }
    close(fds);
    return export;
}

int sandbox_clone_mapped(int dir, int userns)
{
    struct mount_attr attr = {
        .attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                    MOUNT_ATTR_NOEXEC,
        .userns_fd = userns,
    };
    int tree = open_tree_at(dir, "", OPEN_TREE_FLAGS | AT_EMPTY_PATH);

    if (tree >= 0 && syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr,
                             sizeof(attr)) < 0) {
        close(tree);
        tree = -1;
    }
    return tree;
}

/* Opens the list of this process' mounts, without /proc in its namespace. */
static int open_list(int self)
{
    int mounts = openat(self, "mountinfo", O_RDONLY | O_CLOEXEC);

    if (mounts < 0) {
        fatal("/proc/self/mountinfo: %s", strerror(errno));
    }
    close(self);
    return mounts;
}

int sandbox_enter(Sandbox sandbox, int export, bool readonly, int *mounts)
{
    int fds, tree, root, self;

    *mounts = -1;
    if (sandbox != SANDBOX_NAMESPACE) {
        return enter_without_mounts(sandbox, export, readonly);
    }

    if (fchdir(export) < 0) {
        fatal("--path: cannot enter the directory: %s%s", strerror(errno),
              errno == EACCES && userns_entered() ?
              " (its owner is not in the user namespace's id map)" : "");
    }
    close(export);
    if (unshare(CLONE_NEWNS) < 0) {
        fatal("cannot make a mount namespace: %s", errno == ENOSPC ?
              "sysctl user.max_mnt_namespaces allows no more of them" :
              userns_why(errno));
    }
    try_unshare(CLONE_NEWNET, "network");
    try_unshare(CLONE_NEWIPC, "IPC");
    try_unshare(CLONE_NEWUTS, "UTS");
    try_unshare(CLONE_NEWCGROUP, "cgroup");

    if (set_mounts(AT_FDCWD, "/", AT_RECURSIVE, 0, MS_SLAVE) < 0) {
        fatal("cannot make the mounts the host's slaves: %s%s", strerror(errno),
              errno == ENOSYS ? " (Linux 5.12 is needed)" :
              errno == EINVAL ? " (the root directory is no mount point; "
                                "--sandbox=chroot works without)" : "");
    }
    fds = open_tree_at(AT_FDCWD, "/proc/self/fd", OPEN_TREE_FLAGS);
    self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fds < 0 || self < 0) {
        fatal("/proc/self/fd: %s", strerror(errno));
    }
    tree = clone_export(readonly);
    change_root(tree);
    *mounts = open_list(self);

    root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        fatal("the export's root: %s", strerror(errno));
    }
    /* @fds stays open: closing it would dissolve the clone. */
    if (fchdir(fds) < 0) {
        fatal("cannot enter /proc/self/fd: %s", strerror(errno));
    }
    return root;
}
