/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of the helper's end of the proxy channel share: channel.c
 * receives, channel-send.c sends, and channel-end.c knows when it has ended.
 */
#ifndef FSDEV_HELPER_CHANNEL_INTERNAL_H
#define FSDEV_HELPER_CHANNEL_INTERNAL_H

#include "channel.h"

/* Notes the end. The first reason counts; returns whether this is it. */
bool channel_note_end(Channel *c, ChannelEnd why);

/* Whether a message that may come next brings a descriptor like @fd */
bool channel_may_bring(const Channel *c, int fd);

/* Two breaches of the protocol: bad descriptors, bad counts in the ring */
void channel_break_excess(Channel *c);
void channel_break_ring(Channel *c);

/* Rings QEMU's bell. A full bell rings already; if QEMU has gone, no matter. */
void channel_ring_bell(Channel *c);

#endif /* FSDEV_HELPER_CHANNEL_INTERNAL_H */
