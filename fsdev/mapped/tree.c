/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Walking a share: see tree.h.
 *
 * A stack of directories, the innermost last. Beyond OPEN_MAX the outermost
 * ones have no descriptor; the walk finds such a one again as the parent of the
 * directory that it comes back from, and checks that it is the same.
 *
 * With several threads, this one walks, and other ones visit files that are no
 * directories (tree-batch.h).
 */
#include "qemu/osdep.h"
#include <dirent.h>
#include "tree.h"
#include "tree-batch.h"

#define OPEN_MAX_DIRS   200

/*
 * A name in Frame.names: that it is no directory, as far as the system's list
 * tells, or whether to go into it; and the name with its NUL
 */
#define FLAG_FILE       'f'
#define FLAG_NONE       '-'
#define FLAG_ENTER      'd'

typedef struct Frame {
    int fd;                     /* O_PATH, or -1 */
    uint64_t dev;
    uint64_t ino;
    FsAttr host;
    FsAttr attr;
    char *names;
    size_t len;
    size_t at;
    bool entering;              /* with list_first: all names were visited */
    size_t path_len;            /* of the directory */
    char *name;                 /* its own, or NULL */
} Frame;

typedef struct Walk {
    MappedShare *share;
    const TreeOps *ops;
    void *opaque;
    GArray *frames;
    unsigned first_open;
    GString *path;
    int start_dir;
    uint64_t files;
    Batches *batches;           /* NULL with one thread */
} Walk;

static Frame *frame_at(Walk *w, unsigned i)
{
    return &g_array_index(w->frames, Frame, i);
}

static Frame *top(Walk *w)
{
    return frame_at(w, w->frames->len - 1);
}

static int compare(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a + 1, *(const char *const *)b + 1);
}

/* One text of all names, with their flags, in order */
static void pack_names(Frame *f, GPtrArray *names)
{
    GString *packed = g_string_new(NULL);
    unsigned i;

    g_ptr_array_sort(names, compare);
    for (i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);

        g_string_append_len(packed, name, strlen(name) + 1);
    }
    f->len = packed->len;
    f->names = g_string_free(packed, false);
}

static void add_name(GStringChunk *text, GPtrArray *names,
                     const struct dirent *d)
{
    char flag = d->d_type == DT_DIR || d->d_type == DT_UNKNOWN ? FLAG_NONE
                                                               : FLAG_FILE;
    char record[sizeof(d->d_name) + 1];

    snprintf(record, sizeof(record), "%c%s", flag, d->d_name);
    g_ptr_array_add(names, g_string_chunk_insert(text, record));
}

/* Reads the names of a frame's directory. */
static int list_names(Walk *w, Frame *f)
{
    const LocalHost *lh = &w->share->lh;
    g_autoptr(GStringChunk) text = NULL;
    g_autoptr(GPtrArray) names = NULL;
    int fd = hostfs_open(&lh->host, f->fd, O_RDONLY | O_DIRECTORY);
    struct dirent *d;
    DIR *list;

    if (fd < 0) {
        return fd;
    }
    list = fdopendir(fd);
    if (!list) {
        close(fd);
        return -errno;
    }
    text = g_string_chunk_new(4096);
    names = g_ptr_array_new();
    errno = 0;
    while ((d = readdir(list))) {
        if (fs_name_check(d->d_name) == 0 &&
            !mapped_reserved(w->share, d->d_name)) {
            add_name(text, names, d);
        }
        errno = 0;
    }
    fd = -errno;
    closedir(list);
    pack_names(f, names);
    return fd;
}

static void path_append(Walk *w, const char *name)
{
    if (g_str_equal(w->path->str, ".")) {
        g_string_assign(w->path, name);
    } else {
        g_string_append_printf(w->path, "/%s", name);
    }
}

static void path_cut(Walk *w, size_t len)
{
    if (len == 0) {
        g_string_assign(w->path, ".");
    } else {
        g_string_truncate(w->path, len);
    }
}

/* The length that path_cut() takes for the present path */
static size_t path_len(const Walk *w)
{
    return g_str_equal(w->path->str, ".") ? 0 : w->path->len;
}

/* Goes into a directory, whose descriptor the new frame takes a copy of. */
static bool push(Walk *w, const MappedEntry *e)
{
    Frame f = {
        .fd = fcntl(e->inode.handle, F_DUPFD_CLOEXEC, 0),
        .dev = e->host.dev, .ino = e->host.ino,
        .host = e->host, .attr = e->attr,
        .path_len = path_len(w), .name = g_strdup(e->inode.name),
    };
    TreeNext next = TREE_ON;
    int ret = f.fd < 0 ? -errno : 0;

    if (w->ops->enter) {
        next = w->ops->enter(e, w->opaque);
    }
    if (next != TREE_ON) {
        if (f.fd >= 0) {
            close(f.fd);
        }
        g_free(f.name);
        return next != TREE_STOP;
    }
    g_array_append_val(w->frames, f);
    if (ret == 0) {
        ret = list_names(w, top(w));
    }
    if (ret < 0) {
        mapped_problem(w->share, e->path, ret, "cannot list the directory");
    }
    if (w->frames->len - w->first_open > OPEN_MAX_DIRS) {
        Frame *outer = frame_at(w, w->first_open++);

        if (outer->fd >= 0) {
            close(outer->fd);
            outer->fd = -1;
        }
    }
    return true;
}

static bool is_above(void *opaque, const HostPlace *dir, const FsAttr *above)
{
    const Frame *f = opaque;

    return above->dev == f->dev && above->ino == f->ino;
}

/* Opens the frame above the innermost one again. */
static int reopen_above(Walk *w)
{
    Frame *f = frame_at(w, w->frames->len - 2);
    HostKnown known = { .is_above = is_above, .opaque = f };
    FsAttr attr;
    int fd = hostfs_step_up(&w->share->lh.host, top(w)->fd, &known, &attr);

    if (fd >= 0 && (attr.dev != f->dev || attr.ino != f->ino)) {
        close(fd);
        fd = -ESTALE;
    }
    if (fd < 0) {
        return fd;
    }
    f->fd = fd;
    w->first_open = w->frames->len - 2;
    return 0;
}

/* Comes back from the innermost directory. */
static bool pop(Walk *w)
{
    Frame *f = top(w);
    bool has_above = w->frames->len > 1;
    int ret = 0;

    if (has_above && frame_at(w, w->frames->len - 2)->fd < 0) {
        ret = f->fd < 0 ? -ESTALE : reopen_above(w);
    }
    path_cut(w, f->path_len);
    if (w->batches) {
        mapped_batches_send(w->batches);
    }
    if (ret < 0) {
        mapped_problem(w->share, w->path->str, ret,
                       "cannot go on above this directory");
    } else if (w->ops->leave && f->fd >= 0) {
        MappedEntry e = {
            .share = w->share, .path = w->path->str, .host = f->host,
            .attr = f->attr,
            .inode = {
                .handle = f->fd, .name = f->name, .kept = -1,
                .dir = has_above ? frame_at(w, w->frames->len - 2)->fd
                                 : w->start_dir,
            },
        };

        if (w->batches) {
            mapped_batches_leave(w->batches, &e);
        } else {
            w->ops->leave(&e, w->opaque);
        }
    }
    if (f->fd >= 0) {
        close(f->fd);
    }
    g_free(f->names);
    g_free(f->name);
    g_array_set_size(w->frames, w->frames->len - 1);
    return ret == 0;
}

/* One name of the innermost directory; may go into it. */
static bool step(Walk *w, char *record)
{
    Frame *f = top(w);
    const char *name = record + 1;
    bool visits = !f->entering;
    TreeNext next = TREE_ON;
    bool ok = true;
    MappedEntry e;

    path_cut(w, f->path_len);
    path_append(w, name);
    if (!mapped_tree_open(w->share, f->fd, name, w->path->str, &e)) {
        return true;
    }
    if (S_ISDIR(e.host.mode) && mapped_dir_is_served(w->share,
                                                     e.inode.handle)) {
        mapped_problem(w->share, e.path, 0, "a QEMU or a helper serves this "
                       "directory: left alone");
        mapped_entry_close(&e);
        return true;
    }
    if (visits) {
        mapped_progress(++w->files);
        next = w->ops->visit(&e, w->opaque);
    }
    if (next == TREE_ON && S_ISDIR(e.attr.mode)) {
        if (w->ops->list_first && visits) {
            *record = FLAG_ENTER;
        } else {
            ok = push(w, &e);
        }
    }
    mapped_entry_close(&e);
    return ok && next != TREE_STOP;
}

/* The same, or leaves it to other threads */
static bool take_name(Walk *w, char *record)
{
    Frame *f = top(w);

    if (f->entering && *record != FLAG_ENTER) {
        return true;
    }
    if (!w->batches) {
        return step(w, record);
    }
    if (*record == FLAG_FILE) {
        path_cut(w, f->path_len);
        mapped_batches_add(w->batches, f->fd, w->path->str, record + 1);
    } else {
        mapped_batches_send(w->batches);
    }
    return !mapped_batches_stopped(w->batches) &&
           (*record == FLAG_FILE || step(w, record));
}

static bool walk_frames(Walk *w)
{
    while (w->frames->len > 0) {
        Frame *f = top(w);

        if (f->at < f->len) {
            char *record = f->names + f->at;

            f->at += strlen(record) + 1;
            if (!take_name(w, record)) {
                return false;
            }
        } else if (w->ops->list_first && !f->entering) {
            f->entering = true;
            f->at = 0;
            if (w->batches) {
                mapped_batches_send(w->batches);
            }
        } else if (!pop(w)) {
            return false;
        }
    }
    return true;
}

bool mapped_tree_walk(const MappedEntry *start, const TreeOps *ops,
                      void *opaque)
{
    Walk w = {
        .share = start->share, .ops = ops, .opaque = opaque,
        .frames = g_array_new(false, false, sizeof(Frame)),
        .path = g_string_new(start->path), .start_dir = start->inode.dir,
    };
    TreeNext next = ops->visit(start, opaque);
    bool ok = next != TREE_STOP;

    if (next == TREE_ON && S_ISDIR(start->attr.mode)) {
        if (ops->any_thread && w.share->threads > 1) {
            w.batches = mapped_batches_new(w.share, ops, opaque, &w.files);
        }
        ok = push(&w, start) && walk_frames(&w);
        if (w.batches) {
            ok = !mapped_batches_free(w.batches) && ok;
        }
    }
    while (w.frames->len > 0) {
        Frame *f = top(&w);

        if (f->fd >= 0) {
            close(f->fd);
        }
        g_free(f->names);
        g_free(f->name);
        g_array_set_size(w.frames, w.frames->len - 1);
    }
    g_array_free(w.frames, true);
    g_string_free(w.path, true);
    mapped_progress_end();
    return ok;
}
