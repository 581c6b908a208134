/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the steps of virtfs-mapped convert share: see convert-step.h.
 */
#include "qemu/osdep.h"
#include "convert-step.h"
#include "make.h"
#include "proxy-model.h"

void convert_use_owner(const MappedOptions *o, MappedShare *s)
{
    HostFs *hfs = &s->lh.host;

    hfs->new_owner = HOST_OWNER_GIVEN;
    hfs->new_uid = o->owner_uid;
    hfs->new_gid = o->owner_gid;
}

bool convert_is_plain(const Convert *c, const MappedEntry *e)
{
    bool proxy = c->marker.from == &mapped_model_proxy ||
                 c->marker.to == &mapped_model_proxy;

    return S_ISDIR(e->host.mode) ||
           (S_ISREG(e->host.mode) &&
            !(proxy && mapped_devices != MAPPED_DEVICES_HOST &&
              mapped_is_helpers_device(&e->share->lh, &e->inode, &e->host)));
}

int convert_put_acls(const Convert *c, const MappedEntry *e)
{
    const LocalHost *lh = &e->share->lh;
    const LocalHost *to = &c->other;
    g_autofree uint8_t *acl = NULL;
    unsigned i;
    int ret = 0;

    if (to->model == &local_model_mapped_file ||
        lh->model == &local_model_mapped_file) {
        return 0;
    }
    acl = g_malloc(FS_XATTR_MAX);
    for (i = 0; ret == 0 && i < G_N_ELEMENTS(mapped_acl_names); i++) {
        const char *name = mapped_acl_names[i];
        ssize_t len = lh->model->getxattr(lh, &e->inode, name, acl,
                                          FS_XATTR_MAX);

        if (len > 0) {
            ret = to->model->setxattr(to, &e->inode, name, acl, len, 0);
        } else if (len < 0 && len != -ENODATA && len != -EOPNOTSUPP) {
            ret = len;
        }
    }
    return ret;
}
