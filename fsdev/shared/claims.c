/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Claims on inodes, in a list: see claims.h.
 */
#include "qemu/osdep.h"
#include "claims.h"

static bool is_claimed(const FsClaims *c, const FsClaim *claim)
{
    const FsClaim *other;

    for (other = c->all; other; other = other->next) {
        if (other->ino == claim->ino && other->dev == claim->dev) {
            return true;
        }
    }
    return false;
}

bool fs_claims_take(FsClaims *c, FsClaim *claim, bool wait)
{
    bool taken;

    g_mutex_lock(&c->lock);
    while (is_claimed(c, claim) && wait) {
        c->waiting++;
        g_cond_wait(&c->fewer, &c->lock);
        c->waiting--;
    }
    taken = !is_claimed(c, claim);
    if (taken) {
        claim->next = c->all;
        c->all = claim;
    }
    g_mutex_unlock(&c->lock);
    return taken;
}

void fs_claims_drop(FsClaims *c, FsClaim *claim)
{
    FsClaim **at = &c->all;

    g_mutex_lock(&c->lock);
    while (*at != claim) {
        at = &(*at)->next;
    }
    *at = claim->next;
    if (c->waiting) {
        g_cond_broadcast(&c->fewer);
    }
    g_mutex_unlock(&c->lock);
}
