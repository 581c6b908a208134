/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which share an argument of the command line lies in, and which file there it
 * means: see arg.h.
 *
 * In a share of the model mapped-file, the owner of a directory is kept in the
 * directory above, but that of the share's root in the root. So without --root,
 * what is on the disk must tell which of both a directory is; if nothing does,
 * a command that changes the directory refuses.
 */
#include "qemu/osdep.h"
#include "hw/9pfs/local/mapped-folder.h"
#include "arg.h"
#include "marker.h"
#include "proxy-model.h"

#define FOLDER_OF_ABOVE "/../" LOCAL_METADATA_FOLDER "/"

/* The shell may have found the name in the share. */
static void complain(const char *path, const char *what)
{
    mapped_print_message("%s: %s", path, what);
}

static bool exists(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

/* The real path of @arg, without following the last name if it is a link */
static char *real_path(const char *arg)
{
    g_autofree char *dir = g_path_get_dirname(arg);
    g_autofree char *base = g_path_get_basename(arg);
    g_autofree char *above = NULL;
    struct stat st;
    char *real;

    if (lstat(arg, &st) < 0) {
        return NULL;
    }
    if (!S_ISLNK(st.st_mode)) {
        return realpath(arg, NULL);
    }
    above = realpath(dir, NULL);
    real = above ? g_build_filename(above, base, NULL) : NULL;
    return real;
}

/* Splits @arg, below the directory @root. */
static bool below_root(const char *root, const char *arg, char **inside)
{
    g_autofree char *top = realpath(root, NULL);
    g_autofree char *real = NULL;
    g_autofree char *what = NULL;
    size_t len;

    if (top) {
        real = real_path(arg);
    }
    if (!real) {
        complain(top ? arg : root, strerror(errno));
        return false;
    }
    len = g_str_equal(top, "/") ? 0 : strlen(top);
    if (strncmp(real, top, len) || (real[len] && real[len] != '/')) {
        what = g_strdup_printf("not below --root %s", root);
        complain(arg, what);
        return false;
    }
    *inside = g_strdup(real[len] ? real + len + 1 : ".");
    return true;
}

/* Whether metadata of the directory @arg is in the one above it */
static bool is_named_above(const char *arg)
{
    g_autofree char *real = realpath(arg, NULL);
    g_autofree char *base = real ? g_path_get_basename(real) : NULL;
    g_autofree char *meta = g_strconcat(arg, FOLDER_OF_ABOVE, base, NULL);

    return base && exists(meta);
}

static bool is_marked_root(const char *arg)
{
    g_autofree char *meta = g_build_filename(arg, LOCAL_METADATA_ROOT, NULL);

    return exists(meta);
}

/* @follow: a link that leads to a directory is a share, whose name it is. */
static bool split(const MappedOptions *o, const char *arg, bool follow,
                  char **root, char **inside, bool *unsure)
{
    g_autofree char *real = NULL;
    struct stat st;
    bool by_name;

    *unsure = false;
    if (o->root) {
        *root = g_strdup(o->root);
        return below_root(o->root, arg, inside);
    }
    if (lstat(arg, &st) < 0) {
        complain(arg, strerror(errno));
        return false;
    }
    if (follow && S_ISLNK(st.st_mode) && stat(arg, &st) == 0 &&
        !S_ISDIR(st.st_mode)) {
        lstat(arg, &st);
    }
    by_name = !o->model || o->model->needs_name;
    if (S_ISDIR(st.st_mode) &&
        (!by_name || is_marked_root(arg) || !is_named_above(arg))) {
        *root = g_strdup(arg);
        *inside = g_strdup(".");
        *unsure = !is_marked_root(arg);
        return true;
    }
    real = S_ISDIR(st.st_mode) ? realpath(arg, NULL) : g_strdup(arg);
    *root = real ? g_path_get_dirname(real) : NULL;
    *inside = real ? g_path_get_basename(real) : NULL;
    return real != NULL;
}

/* Options that would mean nothing must not look as if they did. */
static bool check_proxy(const MappedOptions *o, MappedShare *s)
{
    const LocalModel *proxy = &mapped_model_proxy;

    if ((mapped_ids.n_uid || mapped_ids.n_gid ||
         mapped_devices != MAPPED_DEVICES_USUAL) &&
        s->lh.model != proxy && s->other != proxy && o->to != proxy) {
        mapped_problem(s, NULL, 0, "--uid-map, --gid-map and --special-files "
                       "are for the model proxy, and this share is %s",
                       mapped_model_name(s->lh.model));
        return false;
    }
    return true;
}

static bool open_arg(const MappedOptions *o, const char *arg, bool follow,
                     ShareUse use, MappedShare *s, MappedEntry *e)
{
    g_autofree char *root = NULL;
    g_autofree char *inside = NULL;
    bool unsure;
    int ret;

    if (!split(o, arg, follow, &root, &inside, &unsure)) {
        return false;
    }
    if (!mapped_share_open(s, root, o->model, use, o->live)) {
        mapped_share_close(s);
        return false;
    }
    s->threads = o->threads;
    if (s->unfinished) {
        mapped_problem(s, NULL, 0, "it is being converted, and not whole: "
                       "finish that first (its file " MAPPED_STAGING " says "
                       "so; if a guest of passthrough or proxy has made that, "
                       "remove it)");
    }
    if ((s->unfinished && use == SHARE_CHANGES) || !check_proxy(o, s)) {
        mapped_share_close(s);
        return false;
    }
    /* convert has its own rules. */
    if (use == SHARE_CHANGES && o->model && !o->to && !o->despite_metadata &&
        !mapped_share_agrees(s)) {
        mapped_share_close(s);
        return false;
    }
    if (use == SHARE_CHANGES && unsure && s->lh.model->needs_name &&
        o->set.valid) {
        mapped_problem(s, NULL, 0, "it may be a share's root, or a directory "
                       "in a share: name the root with --root");
        mapped_share_close(s);
        return false;
    }
    ret = mapped_entry_find(s, inside, e);
    if (ret < 0) {
        mapped_entry_complain(s, e, inside, ret);
        mapped_share_close(s);
        return false;
    }
    return true;
}

bool mapped_open_arg(const MappedOptions *o, const char *arg, ShareUse use,
                     MappedShare *s, MappedEntry *e)
{
    return open_arg(o, arg, true, use, s, e);
}

bool mapped_open_file(const MappedOptions *o, const char *arg, ShareUse use,
                      MappedShare *s, MappedEntry *e)
{
    return open_arg(o, arg, false, use, s, e);
}

bool mapped_open_root(const MappedOptions *o, const char *arg, ShareUse use,
                      MappedShare *s, MappedEntry *e)
{
    if (!open_arg(o, arg, true, use, s, e)) {
        return false;
    }
    if (s->unfinished) {
        mapped_close_arg(s, e);
        return false;
    }
    if (e->inode.name) {
        mapped_problem(s, e->path, 0, "no share, but a directory in one: its "
                       "metadata is in the directory above");
        mapped_close_arg(s, e);
        return false;
    }
    return true;
}

char *mapped_arg_name(const char *arg, const MappedEntry *start,
                      const char *path)
{
    bool is_root = g_str_equal(start->path, ".");

    if (g_str_equal(path, start->path)) {
        return g_strdup(arg);
    }
    return g_strconcat(arg, g_str_has_suffix(arg, "/") ? "" : "/",
                       is_root ? path : path + strlen(start->path) + 1, NULL);
}

void mapped_close_arg(MappedShare *s, MappedEntry *e)
{
    mapped_entry_free(e);
    mapped_share_close(s);
}
