/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's identity while it serves: see identity.h, and caps.h for the
 * capabilities.
 *
 * The order matters. The bounding set can be emptied only with CAP_SETPCAP.
 * PR_SET_KEEPCAPS carries the permitted set over the change of uid. The wanted
 * set comes last. It is set as a whole, so the kernel refuses it rather than
 * grant more or less.
 */
#include "qemu/osdep.h"
#include "identity.h"
#include "caps.h"
#include "log.h"
#include "userns.h"
#include <cap-ng.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define SUPERVISOR_FILES    16

/* With which a process takes other ids for its work on files */
#define ACT_CAPS        (1ull << CAP_SETUID | 1ull << CAP_SETGID)

static void set_caps(Privilege keep, uint64_t caps)
{
    int ret = 0;

    capng_clear(CAPNG_SELECT_ALL);
    if (keep == IDENTITY_SERVE) {
        ret = caps_add(caps);
    } else if (keep == IDENTITY_MOUNTS) {
        ret = capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED,
                           CAP_SYS_ADMIN);
    }
    if (ret < 0 || capng_apply(CAPNG_SELECT_CAPS) < 0) {
        fatal("cannot set the capabilities: %s", strerror(errno));
    }
}

static void clear_bounds(void)
{
    int cap;

    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) {
        fatal("cannot clear the ambient capabilities: %s", strerror(errno));
    }
    /* EINVAL for the first number that this kernel does not know */
    for (cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
            fatal("cannot clear the bounding set: %s", strerror(errno));
        }
    }
}

static void set_ids(const Options *o, bool in_userns)
{
    uid_t uid = in_userns ? 0 : o->user;
    gid_t gid = in_userns ? 0 : o->group;

    if (!userns_denies_setgroups() && setgroups(0, NULL) < 0) {
        fatal("cannot drop the supplementary groups: %s", strerror(errno));
    }
    if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0) {
        fatal("cannot become user %u, group %u: %s", uid, gid,
              strerror(errno));
    }
}

/* As many as the system and this process' hard limit allow */
static rlim_t most_files(void)
{
    g_autofree char *text = NULL;
    struct rlimit limit;
    rlim_t max = FILES_MAX;

    if (g_file_get_contents("/proc/sys/fs/nr_open", &text, NULL, NULL)) {
        max = MIN(max, g_ascii_strtoull(text, NULL, 10));
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        fatal("RLIMIT_NOFILE: %s", strerror(errno));
    }
    if (limit.rlim_max < max) {
        struct rlimit higher = { max, max };

        return setrlimit(RLIMIT_NOFILE, &higher) == 0 ? max : limit.rlim_max;
    }
    return max;
}

unsigned identity_limit_files(unsigned wanted)
{
    rlim_t most = most_files();
    struct rlimit limit = { most, most };

    if (wanted > most) {
        fatal("--rlimit-nofile %u: the system allows this process no more than "
              "%u", wanted, (unsigned)most);
    }
    if (wanted) {
        limit.rlim_cur = limit.rlim_max = wanted;
    }
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
        fatal("RLIMIT_NOFILE: %s", strerror(errno));
    }
    return limit.rlim_cur;
}

static void set_limit(int resource, const char *name, rlim_t value)
{
    struct rlimit limit = { value, value };

    if (setrlimit(resource, &limit) < 0) {
        fatal("%s: %s", name, strerror(errno));
    }
}

/*
 * Takes away all resources that the helper has no use for; a process that does
 * not serve gets almost none. identity_limit_files() has the server's limit.
 */
static void limit_resources(Privilege keep)
{
    set_limit(RLIMIT_CORE, "RLIMIT_CORE", 0);
    set_limit(RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK", 0);
    set_limit(RLIMIT_MSGQUEUE, "RLIMIT_MSGQUEUE", 0);
    if (keep != IDENTITY_SERVE) {
        set_limit(RLIMIT_NPROC, "RLIMIT_NPROC", 0);
        set_limit(RLIMIT_NOFILE, "RLIMIT_NOFILE", SUPERVISOR_FILES);
    }
}

/* Keeps the two capabilities of above only for other users to come. */
static void set_serving_caps(const Options *o)
{
    if (o->act_as == ACT_AS_SELF) {
        set_caps(IDENTITY_SERVE, o->caps);
        return;
    }
    set_caps(IDENTITY_SERVE, o->caps | ACT_CAPS);
    if (o->act_as == ACT_AS_GUEST) {
        act_as_check_guest();
    }
    if (o->act_as == ACT_AS_ROOT) {
        if (!act_as_root()) {
            fatal("--act-as root: %s", strerror(errno));
        }
        set_caps(IDENTITY_SERVE, o->caps);
    }
}

void identity_drop(const Options *o, Privilege keep)
{
    bool in_userns = userns_entered();
    bool acts_as_guest = keep == IDENTITY_SERVE && o->act_as == ACT_AS_GUEST;

    limit_resources(keep);
    clear_bounds();
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) {
        fatal("PR_SET_KEEPCAPS: %s", strerror(errno));
    }
    set_ids(o, in_userns);
    if (keep == IDENTITY_SERVE) {
        set_serving_caps(o);
    } else {
        set_caps(keep, 0);
    }
    if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        fatal("prctl: %s", strerror(errno));
    }
    if (!in_userns && !acts_as_guest && setresuid(0, 0, 0) == 0) {
        fatal("the process could become root again");
    }
}
