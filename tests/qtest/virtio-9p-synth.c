/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See virtio-9p-synth.h.
 */
#include "qemu/osdep.h"
#include "virtio-9p-synth.h"

P9Client *synth_session(void *obj)
{
    P9Client *c = p9c_new(obj);

    p9c_session(c);
    return c;
}

P9Client *synth_session_open(void *obj, const char *path, uint32_t flags)
{
    P9Client *c = synth_session(obj);

    g_assert_cmpint(p9c_walk_to(c, P9C_ROOT, FID, path), ==, 0);
    g_assert_cmpint(p9c_lopen(c, FID, flags, NULL, NULL), ==, 0);
    return c;
}

void synth_alive(P9Client *c)
{
    P9CAttr attr;

    g_assert_false(p9c_needs_reset(c));
    g_assert_cmpint(p9c_getattr(c, P9C_ROOT, P9C_GETATTR_BASIC, &attr), ==, 0);
    g_assert_cmphex(attr.mode, ==, S_IFDIR | 0755);
}

P9Call *synth_write_call(P9Client *c, uint8_t byte)
{
    return p9c_write_call(c, FID, 0, &byte, 1);
}
