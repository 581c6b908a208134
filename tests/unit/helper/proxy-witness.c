/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Files outside an export: see proxy-witness.h.
 */
#include "qemu/osdep.h"
#include "proxy-witness.h"
#include <glib/gstdio.h>
#include <sys/xattr.h>

typedef struct Inode {
    uint64_t dev;
    uint64_t ino;
} Inode;

struct Witness {
    char *top;                  /* the folder that holds the export */
    char *export;
    char *before;
    GArray *inodes;
};

static void note_inode(Witness *w, const struct stat *st)
{
    Inode inode = { st->st_dev, st->st_ino };

    if (!pw_is_outside(w, inode.dev, inode.ino)) {
        g_array_append_val(w->inodes, inode);
    }
}

static void note_content(GString *text, const char *path,
                         const struct stat *st)
{
    g_autofree char *content = NULL;
    char names[1024];
    ssize_t len, i;

    if (S_ISREG(st->st_mode)) {
        g_assert_true(g_file_get_contents(path, &content, NULL, NULL));
        g_string_append(text, content);
    } else if (S_ISLNK(st->st_mode)) {
        content = g_file_read_link(path, NULL);
        g_string_append(text, content);
    }
    len = llistxattr(path, names, sizeof(names));
    for (i = 0; i < len; i++) {
        g_string_append_c(text, names[i] ? names[i] : ' ');
    }
}

static gint compare(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Adds the file and, if it is a directory, its contents, without the export. */
static void note(Witness *w, GString *text, const char *path)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const char *name;
    struct stat st;
    unsigned i;
    GDir *dir;

    if (g_str_equal(path, w->export)) {
        return;
    }
    g_assert_cmpint(lstat(path, &st), ==, 0);
    note_inode(w, &st);
    g_string_append_printf(text, "%s %o %u:%u %u %" PRId64 " %" PRId64
                           ".%09ld %" PRId64 ".%09ld ", path, st.st_mode,
                           st.st_uid, st.st_gid, (unsigned)st.st_nlink,
                           (int64_t)st.st_size, (int64_t)st.st_mtim.tv_sec,
                           st.st_mtim.tv_nsec, (int64_t)st.st_ctim.tv_sec,
                           st.st_ctim.tv_nsec);
    note_content(text, path, &st);
    g_string_append_c(text, '\n');
    if (!S_ISDIR(st.st_mode)) {
        return;
    }
    dir = g_dir_open(path, 0, NULL);
    g_assert_nonnull(dir);
    while ((name = g_dir_read_name(dir))) {
        g_ptr_array_add(names, g_build_filename(path, name, NULL));
    }
    g_dir_close(dir);
    g_ptr_array_sort(names, compare);
    for (i = 0; i < names->len; i++) {
        note(w, text, g_ptr_array_index(names, i));
    }
}

static char *describe(Witness *w)
{
    GString *text = g_string_new(NULL);

    note(w, text, w->top);
    return g_string_free(text, FALSE);
}

Witness *pw_new(const ProxyFixture *f)
{
    static const char *const known[] = { "/", "/etc", "/etc/passwd" };
    Witness *w = g_new0(Witness, 1);
    struct stat st;
    unsigned i;

    pf_put_dir(f, "../outside");
    pf_put_file(f, "../outside/file", "not yours");
    pf_put_file(f, "../outside/other", "nor this");
    pf_put_dir(f, "../outside/sub");
    pf_put_file(f, "../outside/sub/deep", "far out");
    w->top = g_strdup(f->tmp);
    w->export = g_strdup(f->dir);
    w->inodes = g_array_new(FALSE, FALSE, sizeof(Inode));
    for (i = 0; i < G_N_ELEMENTS(known); i++) {
        g_assert_cmpint(g_stat(known[i], &st), ==, 0);
        note_inode(w, &st);
    }
    w->before = describe(w);
    return w;
}

void pw_check(Witness *w)
{
    g_autofree char *now = describe(w);

    if (!g_str_equal(w->before, now)) {
        g_error("the outside was:\n%sand is:\n%s", w->before, now);
    }
}

bool pw_is_outside(Witness *w, uint64_t dev, uint64_t ino)
{
    unsigned i;

    for (i = 0; i < w->inodes->len; i++) {
        const Inode *inode = &g_array_index(w->inodes, Inode, i);

        if (inode->dev == dev && inode->ino == ino) {
            return true;
        }
    }
    return false;
}

void pw_take_fd(Witness *w, int fd)
{
    struct stat st;

    g_assert_cmpint(fstat(fd, &st), ==, 0);
    if (pw_is_outside(w, st.st_dev, st.st_ino)) {
        g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
        g_autofree char *target = g_file_read_link(link, NULL);

        g_error("the helper gave %s away", target);
    }
    close(fd);
}

void pw_free(Witness *w)
{
    g_free(w->top);
    g_free(w->export);
    g_free(w->before);
    g_array_free(w->inodes, TRUE);
    g_free(w);
}
