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
 * and, where --modcaps asks for it:
 *   MKNOD            make device nodes (which the helper's mount does not
 *                    open, but other mounts of the directory may)
 *   SETFCAP          set the xattr security.capability
 * None of the five lets a process leave its mount namespace, become root,
 * trace or signal another, load code into the kernel, or make a device node.
 */
#include "qemu/osdep.h"
#include "identity.h"
#include "log.h"
#include "userns.h"
#include <cap-ng.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define MAX_FILES       (1024 * 1024)
#define SUPERVISOR_FILES    16

static const struct {
    const char *name;           /* as in --modcaps, capabilities(7) */
    unsigned cap;
    bool usual;
} known_caps[] = {
    { "chown", CAP_CHOWN, true },
    { "dac_override", CAP_DAC_OVERRIDE, true },
    { "dac_read_search", CAP_DAC_READ_SEARCH, true },
    { "fowner", CAP_FOWNER, true },
    { "fsetid", CAP_FSETID, true },
    { "mknod", CAP_MKNOD, false },
    { "setfcap", CAP_SETFCAP, false },
};

uint64_t identity_usual_caps(void)
{
    uint64_t caps = 0;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(known_caps); i++) {
        if (known_caps[i].usual) {
            caps |= 1ull << known_caps[i].cap;
        }
    }
    return caps;
}

bool identity_modify_caps(uint64_t *caps, const char *change)
{
    unsigned i;

    if (*change != '+' && *change != '-') {
        return false;
    }
    for (i = 0; i < G_N_ELEMENTS(known_caps); i++) {
        if (!g_ascii_strcasecmp(change + 1, known_caps[i].name)) {
            uint64_t bit = 1ull << known_caps[i].cap;

            *caps = *change == '+' ? *caps | bit : *caps & ~bit;
            return true;
        }
    }
    return false;
}

static int add_caps(uint64_t caps)
{
    int ret = 0;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(known_caps) && ret == 0; i++) {
        if (caps & 1ull << known_caps[i].cap) {
            ret = capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED,
                               known_caps[i].cap);
        }
    }
    return ret;
}

static void set_caps(Privilege keep, uint64_t caps)
{
    int ret = 0;

    capng_clear(CAPNG_SELECT_ALL);
    if (keep == IDENTITY_UNLINK) {
        ret = capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED,
                            CAP_DAC_OVERRIDE, CAP_FOWNER, -1);
    } else if (keep == IDENTITY_SERVE) {
        ret = add_caps(caps);
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

static void set_limit(int resource, const char *name, rlim_t value)
{
    struct rlimit limit = { value, value };

    if (setrlimit(resource, &limit) < 0) {
        fatal("%s: %s", name, strerror(errno));
    }
}

/*
 * What nobody here needs, and for a process that does not serve, almost
 * nothing. Those of serving: identity_raise_files().
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

void identity_drop(const Options *o, Privilege keep)
{
    bool in_userns = userns_entered();

    limit_resources(keep);
    clear_bounds();
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) {
        fatal("PR_SET_KEEPCAPS: %s", strerror(errno));
    }
    set_ids(o, in_userns);
    set_caps(keep, o->caps);
    if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        fatal("prctl: %s", strerror(errno));
    }
    if (!in_userns && setresuid(0, 0, 0) == 0) {
        fatal("could become root again");
    }
}

/*
 * Not by libcap-ng, which may ask the kernel for more than the filter of the
 * process that calls this allows.
 */
void identity_drop_capabilities(void)
{
    struct __user_cap_header_struct header = {
        .version = _LINUX_CAPABILITY_VERSION_3,
    };
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

    if (syscall(SYS_capset, &header, none) < 0) {
        fatal("capabilities cannot be dropped: %s", strerror(errno));
    }
}
