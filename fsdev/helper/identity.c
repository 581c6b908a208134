/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who the helper is while it serves: see identity.h.
 *
 * The order matters. The bounding set can be emptied only while CAP_SETPCAP
 * is there; PR_SET_KEEPCAPS carries the permitted set over the change of
 * uid; the set that is wanted is applied last, and by naming it whole, so the
 * kernel refuses rather than give less or more.
 *
 * What the helper serves with:
 *   CHOWN            give files to the guest's users
 *   DAC_OVERRIDE     act for every owner, whatever the modes say: the guest
 *                    has checked its users' access
 *   DAC_READ_SEARCH  the same, and link(2) by handle
 *   FOWNER           chmod, utimes, sticky directories, for every owner
 *   FSETID           keep set-id bits over a write or chmod
 * None of them lets a process leave its mount namespace, become root, trace
 * or signal another, load code into the kernel, or make a device node.
 */
#include "qemu/osdep.h"
#include "fsdev/helper/identity.h"
#include "fsdev/helper/log.h"
#include "fsdev/helper/userns.h"
#include <cap-ng.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define MAX_FILES       (1024 * 1024)

static void set_caps(Privilege keep)
{
    int ret = 0;

    capng_clear(CAPNG_SELECT_ALL);
    if (keep == IDENTITY_UNLINK) {
        ret = capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED,
                            CAP_DAC_OVERRIDE, CAP_FOWNER, -1);
    } else if (keep == IDENTITY_SERVE) {
        ret = capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED,
                            CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH,
                            CAP_FOWNER, CAP_FSETID, -1);
    }
    if (ret < 0 || capng_apply(CAPNG_SELECT_CAPS) < 0) {
        fatal("capabilities cannot be set: %s", strerror(errno));
    }
}

static void clear_bounds(void)
{
    int cap;

    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) {
        fatal("ambient capabilities cannot be cleared: %s", strerror(errno));
    }
    /* EINVAL from the first number that is no capability of this kernel */
    for (cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
            fatal("the bounding set cannot be cleared: %s", strerror(errno));
        }
    }
}

static void set_ids(const Options *o, bool in_userns)
{
    uid_t uid = in_userns ? 0 : o->user;
    gid_t gid = in_userns ? 0 : o->group;

    if (!userns_denies_setgroups() && setgroups(0, NULL) < 0) {
        fatal("supplementary groups cannot be dropped: %s", strerror(errno));
    }
    if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0) {
        fatal("cannot become user %u, group %u: %s", uid, gid,
              strerror(errno));
    }
}

unsigned identity_raise_files(void)
{
    g_autofree char *text = NULL;
    struct rlimit limit;
    rlim_t max = MAX_FILES;

    if (g_file_get_contents("/proc/sys/fs/nr_open", &text, NULL, NULL)) {
        max = MIN(max, g_ascii_strtoull(text, NULL, 10));
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        fatal("RLIMIT_NOFILE: %s", strerror(errno));
    }
    if (limit.rlim_max == RLIM_INFINITY || limit.rlim_max > max) {
        /* A table larger than this helps nobody. */
        limit.rlim_max = max;
    } else if (limit.rlim_max < max) {
        struct rlimit higher = { max, max };

        if (setrlimit(RLIMIT_NOFILE, &higher) == 0) {
            return max;
        }
    }
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
        fatal("RLIMIT_NOFILE: %s", strerror(errno));
    }
    return limit.rlim_cur;
}

void identity_drop(const Options *o, Privilege keep)
{
    struct rlimit no_core = { 0, 0 };
    bool in_userns = o->user == NO_ID;

    if (setrlimit(RLIMIT_CORE, &no_core) < 0) {
        fatal("RLIMIT_CORE: %s", strerror(errno));
    }
    clear_bounds();
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) {
        fatal("PR_SET_KEEPCAPS: %s", strerror(errno));
    }
    set_ids(o, in_userns);
    set_caps(keep);
    if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        fatal("prctl: %s", strerror(errno));
    }
    if (!in_userns && setresuid(0, 0, 0) == 0) {
        fatal("could become root again");
    }
}

void identity_drop_capabilities(void)
{
    set_caps(IDENTITY_NOTHING);
}
