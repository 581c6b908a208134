/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The guest's ids in requests and replies: see guest-ids.h.
 */
#include "qemu/osdep.h"
#include "act-as.h"
#include "guest-ids.h"

int guest_ids_act_as(IdTranslate *t, uint32_t guest, uint32_t *user)
{
    int ret = id_translate_uid(t, guest, user);

    return ret < 0 ? ret : act_as_user(*user);
}

int guest_ids_owner(IdTranslate *t, const uint32_t *user, FsMakeArgs *make)
{
    int ret;

    if (make->uid == (uint32_t)-1 || make->gid == (uint32_t)-1) {
        return -EINVAL;
    }
    ret = id_translate_make(t, make);
    if (ret == 0 && user && make->uid != *user) {
        ret = -EPERM;
    }
    return ret;
}

void guest_ids_put_attr(const IdTranslate *t, MarshalWriter *out,
                        const FsAttr *attr)
{
    FsAttr seen = *attr;

    id_translate_attr_to_guest(t, &seen);
    proxy_put_attr(out, &seen);
}
