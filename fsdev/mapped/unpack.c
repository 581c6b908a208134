/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * virtfs-mapped unpack: files of a tar archive, made as a guest would make
 * them (make.h). A name that exists is replaced, as tar does, but for
 * directories. What had the name stays until the new file is whole.
 *
 * Times and ACLs of directories come last: files that are made in them would
 * change the one, and inherit the other. For that each directory takes some
 * memory.
 *
 * The locale stays C's. In a locale with UTF-8, libarchive composes letters and
 * accents, which makes another name; in this one it cannot convert such a name,
 * and gives the bytes as they are.
 */
#include "qemu/osdep.h"
#include "archive.h"
#include "arg.h"
#include "commands.h"
#include "data.h"
#include "host-ids.h"
#include "make.h"
#include "proxy-model.h"

#define BLOCK           (256 * 1024)
/*
 * Of a name in an archive. Guests have deeper trees than a path of the system
 * can name, but each directory's path stays in memory till the end.
 */
#define PATH_LENGTH_MAX (64 * 1024)

typedef struct Later {
    char *path;
    struct timespec mtime;
    GByteArray *acl[2];
} Later;

typedef struct Unpack {
    struct archive *a;
    MappedShare *s;
    MappedMaker maker;
    GPtrArray *later;
    GHashTable *places;         /* in it, by paths */
    bool failed;
    uint64_t files;
} Unpack;

static void later_free(void *opaque)
{
    Later *l = opaque;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(l->acl); i++) {
        if (l->acl[i]) {
            g_byte_array_unref(l->acl[i]);
        }
    }
    g_free(l->path);
    g_free(l);
}

/* The names of a path in an archive, "." for the root; NULL if it is bad */
static char *clean_path(const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);
    GString *clean = g_string_new(NULL);
    char **name;

    for (name = names; *name; name++) {
        if (!**name || g_str_equal(*name, ".")) {
            continue;
        }
        if (fs_name_check(*name) < 0) {
            g_string_free(clean, true);
            return NULL;
        }
        g_string_append_printf(clean, "%s%s", clean->len ? "/" : "", *name);
    }
    if (!clean->len) {
        g_string_assign(clean, ".");
    }
    return g_string_free(clean, false);
}

static void complain(Unpack *u, const char *path, const char *what)
{
    g_autofree char *why = mapped_archive_error(u->a);

    mapped_problem(u->s, path, 0, "%s: %s", what, why);
}

/* The content of a regular file, with its holes; whether all of it is there */
static bool unpack_data(Unpack *u, struct archive_entry *entry, int fd,
                        const char *path)
{
    const void *buf;
    size_t len;
    la_int64_t at;
    int ret;

    while ((ret = archive_read_data_block(u->a, &buf, &len, &at)) ==
           ARCHIVE_OK) {
        if (!mapped_write_all(fd, buf, len, at)) {
            u->failed = mapped_is_end(-errno);
            mapped_problem(u->s, path, -errno, "cannot write it");
            return false;
        }
    }
    if (ret != ARCHIVE_EOF) {
        complain(u, path, "cannot read it from the archive");
        u->failed = ret == ARCHIVE_FATAL;
        return false;
    }
    if (ftruncate(fd, archive_entry_size(entry)) < 0) {
        u->failed = mapped_is_end(-errno);
        mapped_problem(u->s, path, -errno, "cannot set its size");
        return false;
    }
    return true;
}

/*
 * The name of an attribute. Tars write %XX for bytes that a pax header cannot
 * have there, and for the percent sign; libarchive gives them as they are.
 */
static char *xattr_name(const char *coded)
{
    GString *name = g_string_new(NULL);

    while (*coded) {
        int high = *coded == '%' ? g_ascii_xdigit_value(coded[1]) : -1;
        int low = high >= 0 ? g_ascii_xdigit_value(coded[2]) : -1;
        bool is_code = low >= 0 && (high || low);

        g_string_append_c(name, is_code ? high << 4 | low : *coded);
        coded += is_code ? 3 : 1;
    }
    return g_string_free(name, false);
}

/*
 * An ACL among the attributes. GNU tar has one there, with numbers, if it is
 * told to (--xattrs-include), and by names of users otherwise.
 */
static void keep_acl(Unpack *u, Later *l, const char *name, const void *value,
                     size_t size)
{
    unsigned i;

    if (size > FS_XATTR_MAX) {
        mapped_problem(u->s, l->path, -E2BIG, "lost: its attribute %s", name);
        return;
    }

    for (i = 0; i < G_N_ELEMENTS(l->acl); i++) {
        if (g_str_equal(name, mapped_acl_names[i]) && !l->acl[i] &&
            fs_acl_check(value, size) == 0 && !fs_acl_is_empty(size)) {
            l->acl[i] = g_byte_array_append(g_byte_array_new(), value, size);
        }
    }
}

/* Sets the attributes, except for ACLs, which go to @l. */
static void unpack_xattrs(Unpack *u, struct archive_entry *entry,
                          const MappedEntry *e, Later *l)
{
    FsXattrName host;
    const char *coded;
    const void *value;
    size_t size;

    archive_entry_xattr_reset(entry);
    while (archive_entry_xattr_next(entry, &coded, &value,
                                    &size) == ARCHIVE_OK) {
        g_autofree char *name = xattr_name(coded);

        if (fs_xattr_to_host(&fs_xattr_usual_names, name, host) < 0) {
            mapped_problem(u->s, e->path, 0, "lost: its attribute %s, which a "
                           "guest cannot have", name);
        } else if (!fs_acl_is_name(name)) {
            mapped_set_xattr(e, name, value, size, false);
        } else if (!S_ISLNK(e->attr.mode)) {
            keep_acl(u, l, name, value, size);
        }
    }
}

/* A directory that comes twice counts once, as its last entry has it. */
static void put_off(Unpack *u, Later *l)
{
    gpointer at;

    if (g_hash_table_lookup_extended(u->places, l->path, NULL, &at)) {
        gpointer *place = &g_ptr_array_index(u->later, GPOINTER_TO_UINT(at));

        g_hash_table_replace(u->places, l->path, at);
        later_free(*place);
        *place = l;
    } else {
        g_hash_table_insert(u->places, l->path,
                            GUINT_TO_POINTER(u->later->len));
        g_ptr_array_add(u->later, l);
    }
}

/*
 * Sets the attributes. Puts a directory's times and ACLs off; sets those of
 * others.
 */
static void unpack_rest(Unpack *u, struct archive_entry *entry,
                        const MappedEntry *e)
{
    Later *l = g_new0(Later, 1);
    bool unknown;
    unsigned i;

    l->path = g_strdup(e->path);
    l->mtime.tv_sec = archive_entry_mtime(entry);
    l->mtime.tv_nsec = archive_entry_mtime_nsec(entry);
    unpack_xattrs(u, entry, e, l);
    for (i = 0; i < G_N_ELEMENTS(l->acl) && !S_ISLNK(e->attr.mode); i++) {
        if (l->acl[i]) {
            continue;
        }
        l->acl[i] = mapped_acl_unpack(entry, mapped_acl_names[i], &unknown);
        if (l->acl[i] && l->acl[i]->len > FS_XATTR_MAX) {
            mapped_problem(u->s, e->path, -E2BIG, "lost: its attribute %s",
                           mapped_acl_names[i]);
            g_byte_array_unref(g_steal_pointer(&l->acl[i]));
        }
        if (unknown) {
            mapped_problem(u->s, e->path, 0, "lost: an ACL that has names of "
                           "users in place of numbers");
        }
    }
    if (S_ISDIR(e->attr.mode)) {
        put_off(u, l);
        return;
    }
    if (l->acl[0]) {
        mapped_set_xattr(e, FS_ACL_ACCESS, l->acl[0]->data, l->acl[0]->len,
                         false);
    }
    if (archive_entry_mtime_is_set(entry)) {
        mapped_set_mtime(e, &l->mtime);
    }
    later_free(l);
}

static int make_link(Unpack *u, struct archive_entry *entry, MappedEntry *e)
{
    g_autofree char *path = clean_path(archive_entry_hardlink(entry));

    return path ? mapped_make_link(&u->maker, path, e) : -EINVAL;
}

/*
 * Makes a file, and leaves it open in @e; a regular file's data, too. *@whole:
 * whether all of them are there; if not, that was said.
 */
static int make_file(Unpack *u, struct archive_entry *entry, MappedEntry *e,
                     bool *whole)
{
    const FsMakeArgs make = {
        .mode = archive_entry_mode(entry),
        .uid = archive_entry_uid(entry), .gid = archive_entry_gid(entry),
        .rdev = archive_entry_rdev(entry),
        .target = archive_entry_symlink(entry),
    };
    int fd, closed;
    int ret = mapped_make(&u->maker, &make, e, &fd);

    if (fd >= 0) {
        *whole = unpack_data(u, entry, fd, e->path);
        closed = hostfs_close_written(fd);
        if (closed < 0) {
            *whole = false;
            u->failed |= mapped_is_end(closed);
            mapped_problem(u->s, e->path, closed, "cannot be written");
        }
        mapped_set_id_bits(e, make.mode);
    }
    return ret;
}

static void unpack_at(Unpack *u, struct archive_entry *entry, const char *path)
{
    MappedEntry e;
    bool whole = true;
    int ret = mapped_make_place(&u->maker, path, &e);

    if (ret == 0 && archive_entry_hardlink(entry)) {
        ret = make_link(u, entry, &e);
    } else if (ret == 0) {
        ret = make_file(u, entry, &e, &whole);
        if (ret == 0) {
            unpack_rest(u, entry, &e);
            ret = mapped_make_end(&u->maker, &e, whole);
        }
    }
    if (ret < 0) {
        mapped_problem(u->s, path, ret, "cannot make it");
        u->failed |= mapped_is_end(ret);
    }
    mapped_made_close(&e);
}

/* The share's own directory, which archives have as "./" */
static void unpack_root(Unpack *u, struct archive_entry *entry)
{
    MappedEntry e;
    int ret = S_ISDIR(archive_entry_mode(entry))
              ? mapped_entry_find(u->s, ".", &e) : -EISDIR;

    if (ret == 0) {
        ret = mapped_set_owner(&e, archive_entry_uid(entry),
                               archive_entry_gid(entry),
                               archive_entry_mode(entry));
        if (ret == 0) {
            unpack_rest(u, entry, &e);
        }
        mapped_entry_free(&e);
    }
    if (ret < 0) {
        mapped_problem(u->s, ".", ret, "cannot set its owner and mode");
    }
}

/* -1 is no id, as chown(2) has it. */
static bool is_id(la_int64_t id)
{
    return id >= 0 && id < UINT32_MAX;
}

static void unpack_entry(Unpack *u, struct archive_entry *entry)
{
    const LocalModel *model = u->s->lh.model;
    const char *name = archive_entry_pathname(entry);
    bool is_long = name && strlen(name) > PATH_LENGTH_MAX;
    g_autofree char *path = name && !is_long ? clean_path(name) : NULL;

    mapped_progress(++u->files);
    if (is_long) {
        mapped_problem(u->s, NULL, 0, "left out: a name of %zu bytes in the "
                       "archive", strlen(name));
    } else if (!path) {
        mapped_problem(u->s, name, 0, "left out: a name in the archive that "
                       "no file can have");
    } else if (!is_id(archive_entry_uid(entry)) ||
               !is_id(archive_entry_gid(entry))) {
        mapped_problem(u->s, path, 0, "left out: an owner or a group in the "
                       "archive that no file can have");
    } else if (mapped_model_is_host(model) &&
               !mapped_ids_may_give(model, archive_entry_uid(entry),
                                    archive_entry_gid(entry))) {
        mapped_problem(u->s, path, 0, MAPPED_ONLY_ROOT);
        u->failed = true;
    } else if (g_str_equal(path, ".")) {
        unpack_root(u, entry);
    } else {
        unpack_at(u, entry, path);
    }
}

static void finish_dir(Unpack *u, const Later *l)
{
    MappedEntry e;
    unsigned i;
    int ret = mapped_entry_find(u->s, l->path, &e);

    if (ret < 0) {
        mapped_problem(u->s, l->path, ret, "cannot finish the directory");
        return;
    }
    if (!S_ISDIR(e.attr.mode)) {
        /* A later file of the archive has replaced it. */
        mapped_entry_free(&e);
        return;
    }
    for (i = 0; i < G_N_ELEMENTS(l->acl); i++) {
        if (l->acl[i]) {
            mapped_set_xattr(&e, mapped_acl_names[i], l->acl[i]->data,
                             l->acl[i]->len, false);
        }
    }
    mapped_set_mtime(&e, &l->mtime);
    mapped_entry_free(&e);
}

/*
 * Compressed archives, as far as libarchive has the library: it would start a
 * program otherwise.
 */
static void support(struct archive *a)
{
    archive_read_support_format_tar(a);
    archive_read_support_format_empty(a);
    if (archive_zlib_version()) {
        archive_read_support_filter_gzip(a);
    }
    if (archive_bzlib_version()) {
        archive_read_support_filter_bzip2(a);
    }
    if (archive_liblzma_version()) {
        archive_read_support_filter_xz(a);
        archive_read_support_filter_lzma(a);
    }
    if (archive_libzstd_version()) {
        archive_read_support_filter_zstd(a);
    }
}

static void unpack_all(Unpack *u)
{
    struct archive_entry *entry;
    unsigned i;
    int ret;

    while (!u->failed) {
        ret = archive_read_next_header(u->a, &entry);
        if (ret == ARCHIVE_EOF) {
            break;
        }
        if (ret != ARCHIVE_OK && ret != ARCHIVE_WARN) {
            complain(u, NULL, "cannot read the archive");
            u->failed = ret == ARCHIVE_FATAL;
        } else {
            unpack_entry(u, entry);
        }
    }
    if (u->failed) {
        mapped_say(u->s, NULL, 0, "the rest of the archive is not there");
    }
    /* The innermost first: the times of others do not change any more. */
    for (i = u->later->len; i > 0; i--) {
        finish_dir(u, g_ptr_array_index(u->later, i - 1));
    }
}

int mapped_unpack(const MappedOptions *o)
{
    MappedShare s;
    Unpack u = { .s = &s };
    MappedEntry e;
    bool bad;

    if (isatty(STDIN_FILENO)) {
        return mapped_usage("unpack: the archive comes from a file: "
                            "unpack %s < FILE", o->args[0]);
    }
    if (o->root) {
        return mapped_usage("unpack: the argument is the share's root");
    }
    if (!mapped_open_root(o, o->args[0], SHARE_CHANGES, &s, &e)) {
        return EXIT_PROBLEMS;
    }
    mapped_maker_init(&u.maker, &s, true);
    u.a = archive_read_new();
    support(u.a);
    if (archive_read_open_fd(u.a, STDIN_FILENO, BLOCK) != ARCHIVE_OK) {
        complain(&u, NULL, "cannot read the archive");
    } else {
        u.later = g_ptr_array_new_with_free_func(later_free);
        u.places = g_hash_table_new(g_str_hash, g_str_equal);
        unpack_all(&u);
        g_hash_table_unref(u.places);
        g_ptr_array_unref(u.later);
    }
    archive_read_free(u.a);
    mapped_maker_free(&u.maker);
    bad = s.problems;
    mapped_close_arg(&s, &e);
    return bad ? EXIT_PROBLEMS : EXIT_GOOD;
}
