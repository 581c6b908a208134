/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a conversion would lose, or could not do, before anything changes. All
 * of it comes in one go, so a user can decide.
 */
#include "qemu/osdep.h"
#include <dirent.h>
#include "qemu/atomic.h"
#include "hw/9pfs/local/mapped-folder.h"
#include "convert-look.h"
#include "host-ids.h"
#include "make.h"
#include "proxy-model.h"

#define CAPABILITY      "security.capability"

static bool has_xattrs(const MappedEntry *e)
{
    return S_ISREG(e->host.mode) || S_ISDIR(e->host.mode);
}

/* mapped-file has no ACLs. */
static void look_for_acls(Convert *c, const MappedEntry *e)
{
    const LocalHost *lh = &e->share->lh;
    unsigned i;

    if (c->other.model != &local_model_mapped_file || c->o->lossy ||
        !has_xattrs(e)) {
        return;
    }
    for (i = 0; i < G_N_ELEMENTS(mapped_acl_names); i++) {
        if (lh->model->getxattr(lh, &e->inode, mapped_acl_names[i], NULL,
                                0) > 0) {
            mapped_problem(e->share, e->path, 0, "it has an ACL, which would "
                           "be lost (--lossy: all the same)");
            return;
        }
    }
}

/* A host file that belongs to its guest may have what a mapped one loses. */
static void look_for_capabilities(Convert *c, const MappedEntry *e)
{
    const HostFs *hfs = &e->share->lh.host;

    if (mapped_model_is_host(e->share->lh.model) && !c->o->lossy &&
        S_ISREG(e->host.mode) &&
        hostfs_getxattr(hfs, e->inode.handle, CAPABILITY, NULL, 0) > 0) {
        mapped_problem(e->share, e->path, 0, "it has capabilities of programs, "
                       "which would be lost (--lossy: all the same)");
    }
}

/*
 * Whether the host has to change an owner, which this user may not do. All of a
 * share's files would fail for it, so that is said once.
 */
static bool gives_away(Convert *c, const MappedEntry *e)
{
    if (mapped_model_is_host(c->other.model)) {
        return !mapped_ids_may_give(c->other.model, e->attr.uid, e->attr.gid);
    }
    if (c->in_place && mapped_model_is_host(e->share->lh.model)) {
        return !mapped_may_give(e->host.uid, c->o->owner_gid);
    }
    return false;
}

static void look_at_owner(Convert *c, const MappedEntry *e)
{
    bool proxy = e->share->lh.model == &mapped_model_proxy;

    if (gives_away(c, e)) {
        qatomic_set(&c->gives_away, true);
    }
    if (proxy && (e->attr.uid == IDMAP_NONE || e->attr.gid == IDMAP_NONE)) {
        mapped_problem(e->share, e->path, 0, "its owner or group on the host "
                       "is not in the id map");
    } else if (!c->in_place && (e->attr.uid == IDMAP_NONE ||
                                e->attr.gid == IDMAP_NONE)) {
        mapped_problem(e->share, e->path, 0, "its owner or group is none that "
                       "a file can have (check --repair)");
    }
    if (mapped_model_is_host(c->other.model) &&
        !(c->other.model == &mapped_model_proxy
          ? mapped_ids_have(e->attr.uid, e->attr.gid)
          : mapped_ids_exist(e->attr.uid, e->attr.gid))) {
        mapped_problem(e->share, e->path, 0, "its owner or group, %u:%u, is "
                       "not in the id map", e->attr.uid, e->attr.gid);
    }
}

/* Files that another one replaces, which comes from the staging folder */
static void look_at_place(Convert *c, const MappedEntry *e)
{
    bool to_host = mapped_model_is_host(c->other.model);
    bool from_host = mapped_model_is_host(e->share->lh.model);
    bool plain = convert_is_plain(c, e);
    bool replaced = to_host ? plain && (e->attr.mode ^ e->host.mode) & S_IFMT
                            : !plain && from_host;

    if (c->in_place && replaced &&
        e->host.dev != e->share->lh.host.root_dev) {
        mapped_problem(e->share, e->path, 0, "it is on another file system "
                       "than the share's root, and not a regular file");
    }
}

/* A model that is not the helper's takes its devices for empty files. */
static void look_for_helpers_devices(Convert *c, const MappedEntry *e)
{
    const MappedShare *s = e->share;

    if (mapped_model_is_host(s->lh.model) && !c->o->lossy &&
        S_ISREG(e->attr.mode) &&
        mapped_is_helpers_device(&s->lh, &e->inode, &e->host)) {
        mapped_problem(e->share, e->path, 0, "a device of a helper with "
                       "--special-files=mapped, which would become an empty "
                       "file (--from proxy: a device; --lossy: all the same)");
    }
}

/* What the new model makes anew, from what a damaged share may not tell */
static void look_at_special(Convert *c, const MappedEntry *e)
{
    bool to_host = mapped_model_is_host(c->other.model);
    char target[PATH_MAX + 1] = "";
    int ret = 0;

    if (c->in_place && !(to_host && S_ISREG(e->host.mode))) {
        return;
    }
    if (S_ISLNK(e->attr.mode)) {
        ret = e->share->lh.model->readlink(&e->share->lh, &e->inode, target,
                                           sizeof(target));
        if (ret < 0 || !*target) {
            mapped_problem(e->share, e->path, ret, "a link without a target "
                           "that can be read");
        }
    } else if (to_host && (S_ISCHR(e->attr.mode) || S_ISBLK(e->attr.mode))) {
        if (e->attr.rdev > UINT32_MAX) {
            mapped_problem(e->share, e->path, 0, "a device with a number that "
                           "no device of the host can have");
        } else if (!mapped_ids_are_hosts() &&
                   !(c->other.model == &mapped_model_proxy &&
                     mapped_devices_stand_in())) {
            mapped_problem(e->share, e->path, 0, "a device, which cannot be "
                           "made in a user namespace");
        }
    }
}

static void refuse_dir(const MappedEntry *dir, const char *above,
                       const char *name)
{
    g_autofree char *path = g_build_filename(dir->path, above, name, NULL);

    mapped_problem(dir->share, g_str_has_prefix(path, "./") ? path + 2 : path,
                   0, "a directory with files in it, in the place of metadata, "
                   "which no guest sees: move it away first");
}

/*
 * Directories in the place of metadata, which the last step could not remove.
 * Somebody on the host made them, and they are not this program's to delete.
 */
static void look_for_dirs(Convert *c, const MappedEntry *e)
{
    const LocalHost *lh = &e->share->lh;
    struct dirent *d;
    int folder, fd;
    DIR *list;

    if (!c->in_place || !lh->model->drop_dir || !S_ISDIR(e->host.mode)) {
        return;
    }
    if (!e->inode.name && local_metadata_is_full_dir(lh, e->inode.handle,
                                      LOCAL_METADATA_ROOT)) {
        refuse_dir(e, "", LOCAL_METADATA_ROOT);
    }
    folder = local_metadata_open_folder(lh, e->inode.handle, false);
    fd = folder < 0 ? -1 : hostfs_open(&lh->host, folder,
                                       O_RDONLY | O_DIRECTORY);
    list = fd < 0 ? NULL : fdopendir(fd);
    while (list && (d = readdir(list))) {
        if ((d->d_type == DT_DIR || d->d_type == DT_UNKNOWN) &&
            fs_name_check(d->d_name) == 0 &&
            local_metadata_is_full_dir(lh, folder, d->d_name)) {
            refuse_dir(e, LOCAL_METADATA_FOLDER, d->d_name);
        }
    }
    if (list) {
        closedir(list);
    } else if (fd >= 0) {
        close(fd);
    }
    if (folder >= 0) {
        close(folder);
    }
}

/* A helper's device has some of what mapped-xattr makes. */
static bool has_view(const MappedEntry *e, const LocalModel *model)
{
    LocalHost lh = e->share->lh;
    FsView view = { };

    lh.model = model;
    return model->get_view && !(!model->needs_name &&
                                mapped_is_helpers_device(&lh, &e->inode,
                                                         &e->host)) &&
           model->get_view(&lh, &e->inode, &e->host, &view) == 0 && view.valid;
}

/*
 * Of the new model: the share may be one of that, with the user naming a wrong
 * one. The root tells only what is near it.
 */
static void look_for_views(Convert *c, const MappedEntry *e)
{
    if (!c->o->lossy && c->in_place && has_view(e, c->other.model)) {
        mapped_problem(e->share, e->path, 0, "it has metadata of the model %s, "
                       "which would be lost (--lossy: all the same)",
                       mapped_model_name(c->other.model));
    }
}

static TreeNext look_visit(const MappedEntry *e, void *opaque)
{
    Convert *c = opaque;
    const char *name = e->inode.name;

    qatomic_inc(&c->files);
    if (name && (c->other.model->reserved(name) ||
                 g_str_equal(name, MAPPED_STAGING))) {
        mapped_problem(e->share, e->path, 0, "the guest could not see it any "
                       "more, as the name is %s own",
                       g_str_equal(name, MAPPED_STAGING) ? "this program's"
                                                         : "the new model's");
    }
    look_for_acls(c, e);
    look_for_capabilities(c, e);
    look_at_owner(c, e);
    look_at_place(c, e);
    look_for_helpers_devices(c, e);
    look_at_special(c, e);
    look_for_dirs(c, e);
    look_for_views(c, e);
    return TREE_ON;
}

void convert_look_end(Convert *c)
{
    const MappedOptions *o = c->o;

    if (c->gives_away || (o->has_owner && !mapped_may_give(o->owner_uid,
                                                           o->owner_gid))) {
        mapped_problem(c->s, NULL, 0, MAPPED_ONLY_ROOT);
    }
}

const TreeOps convert_look_ops = { .visit = look_visit, .any_thread = true };

static TreeNext seek_visit(const MappedEntry *e, void *opaque)
{
    Convert *c = opaque;

    c->has_old = has_view(e, e->share->lh.model);
    return c->has_old ? TREE_STOP : TREE_ON;
}

const TreeOps convert_seek_ops = { .visit = seek_visit };
