/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * As whom the helper works on files: see act-as.h.
 *
 * The ids are the thread's own. It keeps them until it works for another user,
 * because most requests in a row are one user's. The C library's functions for
 * groups change all threads, so this makes the system call. These ids let no
 * one signal or trace the process, and do not make it another user's: its real,
 * effective and saved ids stay. setfsuid(2) fails silently, so each change is
 * checked.
 *
 * When the user changes from 0 to another, the kernel takes from the thread the
 * capabilities for files, and gives them back on the way to 0
 * (capabilities(7)). It does neither between two other users, and the helper's
 * own is one. So a thread becomes user 0 before it works for anyone.
 *
 * A request that makes an object also names a group. It gives the user no right
 * in the directory, to what exists or to a set-group-id bit. If the helper
 * knows the user's groups, it is one of these or does not count. If not, the
 * directory's permissions must be enough without it; then the thread takes it
 * for the one call that makes the object.
 *
 * A user may change more of another's file by a write(2) than by a request of
 * its own: that takes set-id bits away. The thread then becomes the owner for
 * the one call that does so.
 */
#include "qemu/osdep.h"
#include "act-as.h"
#include "host-groups.h"
#include "log.h"
#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

/* The group of a user of whom no group is known */
#define NOBODY_ID       65534

#define NO_ID           ((uint32_t)-1)

#define FUSE_MAGIC      0x65735546u     /* statfs(2) */

static GHashTable *known;       /* uid -> HostGroups; or NULL */

static __thread bool acts;
static __thread uint32_t act_uid, act_gid;
static __thread bool making_in; /* a group that is not act_gid */

void act_as_learn_groups(void)
{
    known = host_groups_read();
}

static bool set_group(uint32_t gid)
{
    setfsgid(gid);
    return (uint32_t)setfsgid(NO_ID) == gid;
}

static bool set_user(uint32_t uid)
{
    setfsuid(uid);
    return (uint32_t)setfsuid(NO_ID) == uid;
}

bool act_as_root(void)
{
    act_uid = act_gid = 0;
    if (!set_group(0) || !set_user(0)) {
        errno = EPERM;
        return false;
    }
    return true;
}

uint32_t act_as_now(void)
{
    return act_uid;
}

void act_as_check_guest(void)
{
    uid_t uid = setfsuid(NO_ID);
    gid_t gid = setfsgid(NO_ID);

    if (prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) & SECBIT_NO_SETUID_FIXUP) {
        fatal("--act-as guest: the starter has set the secure bit "
              "no-setuid-fixup (capabilities(7)), with which the guest's "
              "users would have the helper's capabilities");
    }
    if (!set_group(NOBODY_ID)) {
        fatal("--act-as guest: there is no group %d here, which users have "
              "whose groups the helper does not know; --gid-map or subgid(5) "
              "must have it",
              NOBODY_ID);
    }
    if (!set_user(0) || !set_user(uid) || !set_group(gid)) {
        fatal("--act-as guest: the helper may not take other ids");
    }
}

/*
 * The C library's function is for all threads. On some machines the first call
 * has ids of 16 bits.
 */
#ifdef SYS_setgroups32
#define SETGROUPS       SYS_setgroups32
#else
#define SETGROUPS       SYS_setgroups
#endif

/* Only with the list of groups does the thread have others than the one. */
static bool set_groups(const HostGroups *g)
{
    return !known ||
           syscall(SETGROUPS, g ? g->n : 0, g ? g->groups : NULL) == 0;
}

static const HostGroups *groups_of(uint32_t uid)
{
    return known ? g_hash_table_lookup(known, GUINT_TO_POINTER(uid)) : NULL;
}

int act_as_user(uint32_t uid)
{
    const HostGroups *g;

    if (uid == NO_ID) {
        return -EPERM;
    }
    if (acts && uid == act_uid) {
        return 0;
    }
    g = groups_of(uid);
    act_uid = uid;
    act_gid = g ? g->primary : uid == 0 ? 0 : NOBODY_ID;
    acts = (acts || set_user(0)) && set_groups(g) && set_group(act_gid) &&
           set_user(uid);
    return acts ? 0 : -EPERM;
}

static bool is_in(const HostGroups *g, uint32_t gid)
{
    unsigned i;

    for (i = 0; g && i < g->n; i++) {
        if (g->groups[i] == gid) {
            return true;
        }
    }
    return false;
}

static bool is_in_own(uint32_t gid)
{
    return gid == act_gid || is_in(groups_of(act_uid), gid);
}

/* Whether the mode of an inode gives the user @others, as S_IRWXO has them */
static bool mode_lets(const struct stat *st, mode_t others)
{
    unsigned shift = st->st_uid == act_uid ? 6 : is_in_own(st->st_gid) ? 3 : 0;
    mode_t bits = others << shift;

    return act_uid == 0 || (st->st_mode & bits) == bits;
}

static bool is_fuse(int dir)
{
    struct statfs st;

    return fstatfs(dir, &st) < 0 || (uint32_t)st.f_type == FUSE_MAGIC;
}

/*
 * Whether the user may do @what (W_OK, X_OK) with @node, as the kernel or
 * server says. A FUSE server may permit everything until the request itself
 * comes, so there the mode must say the same.
 */
static bool may(int node, const struct stat *st, int what)
{
    QEMU_BUILD_BUG_ON(W_OK != S_IWOTH || X_OK != S_IXOTH);
    return syscall(SYS_faccessat2, node, "", what,
                   AT_EACCESS | AT_EMPTY_PATH) == 0 &&
           (mode_lets(st, what) || !is_fuse(node));
}

/*
 * HostMaking.begin. A program gets no set-group-id bit of a group that its
 * maker has not asked for, or is not in.
 */
static int making_begin(int dir, uint32_t gid, uint32_t *mode)
{
    struct stat st;

    if (gid == act_gid) {
        return 0;
    }
    if (!known || !is_in(groups_of(act_uid), gid)) {
        if (fstat(dir, &st) < 0) {
            return -errno;
        }
        if (st.st_mode & S_ISGID) {
            return 0;           /* the directory decides itself */
        }
        if (!S_ISDIR(*mode) && (known || act_uid != 0)) {
            *mode &= ~S_ISGID;
        }
        if (known || !may(dir, &st, W_OK | X_OK)) {
            return 0;
        }
    }
    making_in = true;
    if (!set_group(gid)) {
        act_as_making.end();
        return -EINVAL;         /* as chown(2) says without such a group */
    }
    return 0;
}

/* HostMaking.end */
static void making_end(void)
{
    if (making_in) {
        making_in = false;
        acts = set_group(act_gid);
    }
}

/* HostMaking.may_set_gid */
static bool may_set_gid(uint32_t gid)
{
    return act_uid == 0 || is_in_own(gid);
}

/*
 * HostMaking.owner_begin. The capabilities that user 0 has go and come with the
 * user, as for a request. With the file's group, it keeps its set-group-id bit.
 */
static int owner_begin(int node, uint32_t uid, uint32_t gid)
{
    struct stat st;

    if (fstat(node, &st) < 0) {
        return -errno;
    }
    if (!may(node, &st, W_OK)) {
        return -EPERM;
    }
    if (!set_group(gid) || !set_user(uid)) {
        act_as_making.owner_end();
        return -EPERM;
    }
    return 0;
}

/* HostMaking.owner_end */
static bool owner_end(void)
{
    acts = set_user(act_uid) && set_group(act_gid);
    return acts;
}

const HostMaking act_as_making = {
    .begin = making_begin,
    .end = making_end,
    .may_set_gid = may_set_gid,
    .owner_begin = owner_begin,
    .owner_end = owner_end,
};

/*
 * The try
 */

/* File systems whose server decides, by their magic numbers (statfs(2)) */
static bool has_server(int root)
{
    static const uint32_t magic[] = {
        0x6969,         /* NFS */
        0x00c36400,     /* CephFS */
        FUSE_MAGIC,     /* GlusterFS, ceph-fuse, sshfs */
        0xff534d42,     /* CIFS */
        0xfe534d42,     /* SMB2 */
        0x01021997,     /* 9P */
        0x5346414f,     /* AFS */
    };
    struct statfs st;
    unsigned i;

    if (fstatfs(root, &st) < 0) {
        return true;            /* unknown */
    }
    for (i = 0; i < G_N_ELEMENTS(magic); i++) {
        if ((uint32_t)st.f_type == magic[i]) {
            return true;
        }
    }
    return false;
}

void act_as_try(int root, ActAs mode)
{
    char name[64];
    uint64_t number;
    int error;

    if (mode == ACT_AS_GUEST || !has_server(root) ||
        getrandom(&number, sizeof(number), GRND_NONBLOCK) !=
        sizeof(number)) {
        return;
    }
    snprintf(name, sizeof(name), ".virtfs-proxy-helper-%016" PRIx64, number);
    error = mkdirat(root, name, 0700) < 0 ? errno : 0;
    if (error == EACCES || error == EPERM) {
        log_line(LOG_LEVEL_WARNING, "the file server of the directory refuses "
                 "changes (%s): its users count there, not the helper's "
                 "capabilities; use --act-as=%sguest", strerror(error),
                 mode == ACT_AS_SELF ? "root, if it trusts this host's root, "
                 "or --act-as=" : "");
    }
    /* A server may have made it before it found an error. */
    if (unlinkat(root, name, AT_REMOVEDIR) < 0 &&
        (!error || faccessat(root, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)) {
        log_line(LOG_LEVEL_WARNING, "cannot remove the directory %s, with "
                 "which the helper tried out the file server: %s", name,
                 strerror(errno));
    }
}
