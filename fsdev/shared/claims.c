/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Claims on inodes, in a list: see claims.h.
 */
#include "qemu/osdep.h"
#include "claims.h"

static bool is_claimed(const FsClaims *c, const FsClaim *own)
{
    const FsClaim *other;

    for (; own; own = own->more) {
        for (other = c->all; other; other = other->next) {
            if (other->ino == own->ino && other->dev == own->dev &&
                !(other->shared && own->shared)) {
                return true;
            }
        }
    }
    return false;
}

void fs_claims_take(FsClaims *c, FsClaim *own)
{
    g_mutex_lock(&c->lock);
    while (is_claimed(c, own)) {
        c->waiting++;
        g_cond_wait(&c->fewer, &c->lock);
        c->waiting--;
    }
    for (; own; own = own->more) {
        own->next = c->all;
        c->all = own;
    }
    g_mutex_unlock(&c->lock);
}

void fs_claims_drop(FsClaims *c, FsClaim *own)
{
    g_mutex_lock(&c->lock);
    for (; own; own = own->more) {
        FsClaim **at = &c->all;

        while (*at != own) {
            at = &(*at)->next;
        }
        *at = own->next;
    }
    if (c->waiting) {
        g_cond_broadcast(&c->fewer);    /* a system call */
    }
    g_mutex_unlock(&c->lock);
}
