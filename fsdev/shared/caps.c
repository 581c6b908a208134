/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The capabilities that the helper may serve with: see caps.h.
 */
#include "qemu/osdep.h"
#include "caps.h"
#include <linux/capability.h>

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

uint64_t caps_usual(void)
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

/* One "+NAME" or "-NAME": whether it is one */
static bool change_one(uint64_t *caps, const char *change)
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

char *caps_change(uint64_t *caps, const char *changes)
{
    g_auto(GStrv) all = g_strsplit(changes, ":", -1);
    unsigned i;

    if (!all[0]) {
        return g_strdup("its value is empty");
    }
    for (i = 0; all[i]; i++) {
        if (!change_one(caps, all[i])) {
            return g_strdup_printf("'%s' is not + or - with one of chown, "
                                   "dac_override, dac_read_search, fowner, "
                                   "fsetid, mknod, setfcap", all[i]);
        }
    }
    return NULL;
}
