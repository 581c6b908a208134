/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The guest's ids in requests and replies (id-translate.h), and the user who
 * asks (act-as.h).
 */
#ifndef FSDEV_HELPER_GUEST_IDS_H
#define FSDEV_HELPER_GUEST_IDS_H

#include "fsdev/shared/id-translate.h"

/*
 * From here on this thread works for the guest's user @guest, whose id on the
 * host it puts into *@user. 0 or -errno.
 */
int guest_ids_act_as(IdTranslate *t, uint32_t guest, uint32_t *user);

/*
 * Makes the owner of a new object the host's. chown(2) reads -1 as "leave as it
 * is": the object would stay the helper's, so a guest may not name -1. Who acts
 * as @user (NULL: nobody does) makes no file for another. 0 or -errno.
 */
int guest_ids_owner(IdTranslate *t, const uint32_t *user, FsMakeArgs *make);

/* Writes attributes of the host to a reply, with the guest's ids. */
void guest_ids_put_attr(const IdTranslate *t, MarshalWriter *out,
                        const FsAttr *attr);

#endif /* FSDEV_HELPER_GUEST_IDS_H */
