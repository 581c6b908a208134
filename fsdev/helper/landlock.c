/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Landlock: see landlock.h.
 *
 * The kernel finds the rule for a file by going up from the file to the root of
 * its mounts, at the time of the call. So a rule holds for what descriptors are
 * opened again through /proc/self/fd, for mounts beneath the directory, and no
 * longer for what the host moves out of it. A kernel knows some of the rights;
 * a process asks it for its version first. The kernel refuses rights that are
 * handled here and not granted: to run programs, and ioctl(2) on devices.
 * Version 1 would refuse to rename and link from one directory to another, so
 * it is not used.
 *
 * Landlock does not concern what finds and changes attributes: stat, chmod,
 * chown, utimes, extended attributes.
 */
#include "landlock.h"
#include "log.h"
#include <sys/syscall.h>

/* As in <linux/landlock.h>, which may lack the newer of them */
#define VERSION_REFER           2
#define VERSION_TRUNCATE        3
#define VERSION_NET             4
#define VERSION_IOCTL_DEV       5
#define VERSION_SCOPE           6

#define RULESET_VERSION         (1u << 0)
#define RULE_PATH_BENEATH       1

#define FS_EXECUTE              (1ull << 0)
#define FS_READ_FILE            (1ull << 2)
#define FS_READ_DIR             (1ull << 3)
#define FS_REMOVE_FILE          (1ull << 5)
#define FS_REFER                (1ull << 13)
#define FS_TRUNCATE             (1ull << 14)
#define FS_IOCTL_DEV            (1ull << 15)
/* All up to that of VERSION_REFER */
#define FS_OLDEST               ((FS_REFER << 1) - 1)

#define NET_TCP                 3ull    /* bind and connect */
#define SCOPE_ABSTRACT_SOCKET   (1ull << 0)
#define SCOPE_SIGNAL            (1ull << 1)

typedef struct Ruleset {
    uint64_t fs;
    uint64_t net;
    uint64_t scoped;
} Ruleset;

typedef struct QEMU_PACKED PathRule {
    uint64_t allowed;
    int32_t parent;
} PathRule;

/* All rights on files that the kernel of this @version knows */
static uint64_t known_rights(int version)
{
    return FS_OLDEST | (version >= VERSION_TRUNCATE ? FS_TRUNCATE : 0) |
           (version >= VERSION_IOCTL_DEV ? FS_IOCTL_DEV : 0);
}

static bool restrict_self(const Ruleset *rules, int dir, uint64_t allowed)
{
    PathRule rule = { .allowed = allowed, .parent = dir };
    int fd = syscall(SYS_landlock_create_ruleset, rules, sizeof(*rules), 0);
    bool done;

    if (fd < 0) {
        return false;
    }
    done = (dir < 0 || syscall(SYS_landlock_add_rule, fd, RULE_PATH_BENEATH,
                               &rule, 0) == 0) &&
           syscall(SYS_landlock_restrict_self, fd, 0) == 0;
    close(fd);
    return done;
}

/* Grants @allowed beneath @dir. @scoped: what else ends at this process */
static void enter(int dir, uint64_t allowed, uint64_t scoped)
{
    int version = syscall(SYS_landlock_create_ruleset, NULL, 0,
                          RULESET_VERSION);
    Ruleset rules = { 0 };

    if (version < VERSION_REFER) {
        log_line(LOG_LEVEL_INFO, "continuing without Landlock: %s",
                 version < 0 ? strerror(errno) : "its version is 1");
        return;
    }
    rules.fs = known_rights(version);
    rules.net = version >= VERSION_NET ? NET_TCP : 0;
    rules.scoped = version >= VERSION_SCOPE ? scoped : 0;
    if (!restrict_self(&rules, dir, allowed & rules.fs)) {
        log_line(LOG_LEVEL_WARNING, "continuing without Landlock: %s",
                 strerror(errno));
    }
}

void landlock_server(int root, bool readonly)
{
    uint64_t rights = FS_READ_FILE | FS_READ_DIR;

    if (!readonly) {
        rights = (FS_OLDEST | FS_TRUNCATE) & ~FS_EXECUTE;
    }
    enter(root, rights, SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL);
}

void landlock_supervisor(int dir)
{
    /* It signals the server. */
    enter(dir, FS_REMOVE_FILE, SCOPE_ABSTRACT_SOCKET);
}

void landlock_nothing(void)
{
    enter(-1, 0, SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL);
}
