/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Showing files: see output.h. Owners are numbers, as the names that they have
 * in the guest are in the guest's own files.
 */
#include "qemu/osdep.h"
#include <sys/sysmacros.h>
#include "fsdev/shared/printable.h"
#include "output.h"

/* ls -l shows the year in place of the time if that is so far away. */
#define HALF_A_YEAR     (365 * 24 * 60 * 60 / 2)

static const struct {
    uint32_t type;
    char letter;
    char ls;
    const char *name;
} types[] = {
    { S_IFREG, 'f', '-', "file" },
    { S_IFDIR, 'd', 'd', "directory" },
    { S_IFLNK, 'l', 'l', "link" },
    { S_IFIFO, 'p', 'p', "fifo" },
    { S_IFSOCK, 's', 's', "socket" },
    { S_IFCHR, 'c', 'c', "char-device" },
    { S_IFBLK, 'b', 'b', "block-device" },
};

const char *mapped_type_name(uint32_t mode)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(types); i++) {
        if (types[i].type == (mode & S_IFMT)) {
            return types[i].name;
        }
    }
    return "unknown";
}

char mapped_type_letter(uint32_t mode, bool ls)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(types); i++) {
        if (types[i].type == (mode & S_IFMT)) {
            return ls ? types[i].ls : types[i].letter;
        }
    }
    return '?';
}

static bool is_device(const FsAttr *attr)
{
    return S_ISCHR(attr->mode) || S_ISBLK(attr->mode);
}

char *mapped_target(const MappedEntry *e)
{
    const LocalHost *lh = &e->share->lh;
    char buf[PATH_MAX + 1];
    int ret = lh->model->readlink(lh, &e->inode, buf, sizeof(buf));

    if (ret < 0) {
        mapped_problem(e->share, e->path, ret, "cannot read the target");
        return NULL;
    }
    return g_strdup(buf);
}

char *mapped_xattr_names(const MappedEntry *e, size_t *len)
{
    const LocalHost *lh = &e->share->lh;
    char *names;
    ssize_t ret;

    *len = 0;
    if (!S_ISREG(e->attr.mode) && !S_ISDIR(e->attr.mode)) {
        return NULL;
    }
    names = g_malloc(FS_XATTR_MAX + 1);
    ret = lh->model->getxattr(lh, &e->inode, NULL, names, FS_XATTR_MAX);
    if (ret == -EOPNOTSUPP) {
        ret = 0;
    }
    if (ret < 0) {
        mapped_problem(e->share, e->path, ret,
                       "cannot read its extended attributes");
        g_free(names);
        return NULL;
    }
    names[ret] = '\0';
    *len = fs_xattr_list_to_guest(&fs_xattr_usual_names, names, ret);
    names[*len] = '\0';
    return names;
}

static void mode_text(uint32_t mode, char *text)
{
    static const char bits[] = "rwxrwxrwx";
    int i;

    text[0] = mapped_type_letter(mode, true);
    for (i = 0; i < 9; i++) {
        text[i + 1] = mode & (0400 >> i) ? bits[i] : '-';
    }
    if (mode & S_ISUID) {
        text[3] = mode & S_IXUSR ? 's' : 'S';
    }
    if (mode & S_ISGID) {
        text[6] = mode & S_IXGRP ? 's' : 'S';
    }
    if (mode & S_ISVTX) {
        text[9] = mode & S_IXOTH ? 't' : 'T';
    }
    text[10] = '\0';
}

static void time_text(const struct timespec *t, char *text, size_t size)
{
    time_t now = time(NULL);
    struct tm tm;

    if (!localtime_r(&t->tv_sec, &tm)) {
        g_strlcpy(text, "?", size);
        return;
    }
    strftime(text, size, t->tv_sec > now ||
             now - t->tv_sec > HALF_A_YEAR ? "%b %e  %Y" : "%b %e %H:%M", &tm);
}

void mapped_put_long(const MappedEntry *e, const char *name)
{
    g_autofree char *shown = text_printable(name);
    g_autofree char *target = S_ISLNK(e->attr.mode) ? mapped_target(e) : NULL;
    g_autofree char *to = target ? text_printable(target) : NULL;
    char mode[11], when[32], size[48];

    mode_text(e->attr.mode, mode);
    time_text(&e->attr.mtime, when, sizeof(when));
    if (is_device(&e->attr)) {
        snprintf(size, sizeof(size), "%u, %u", major(e->attr.rdev),
                 minor(e->attr.rdev));
    } else {
        snprintf(size, sizeof(size), "%" PRIu64, e->attr.size);
    }
    mapped_print("%s %2" PRIu64 " %5u %5u %9s %s %s%s%s\n", mode,
                 e->attr.nlink, e->attr.uid, e->attr.gid, size, when, shown,
                 to ? " -> " : "", to ? to : "");
}

static void put_time(const char *what, const struct timespec *t)
{
    char text[64];
    struct tm tm;

    if (localtime_r(&t->tv_sec, &tm)) {
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
        mapped_print("%s: %s.%09ld\n", what, text, t->tv_nsec);
    }
}

static void put_xattrs(const MappedEntry *e)
{
    g_autofree char *names = NULL;
    size_t len;
    char *name;

    names = mapped_xattr_names(e, &len);
    for (name = names; name && name < names + len; name += strlen(name) + 1) {
        g_autofree char *shown = text_printable(name);

        mapped_print(" Attr: %s\n", shown);
    }
}

void mapped_put_stat(const MappedEntry *e, const char *name)
{
    g_autofree char *shown = text_printable(name);
    g_autofree char *target = S_ISLNK(e->attr.mode) ? mapped_target(e) : NULL;
    g_autofree char *to = target ? text_printable(target) : NULL;
    char mode[11];

    mode_text(e->attr.mode, mode);
    mapped_print(" File: %s%s%s\n", shown, to ? " -> " : "", to ? to : "");
    mapped_print(" Type: %s", mapped_type_name(e->attr.mode));
    if (is_device(&e->attr)) {
        mapped_print("  Device number: %u, %u", major(e->attr.rdev),
                     minor(e->attr.rdev));
    }
    mapped_print("  Size: %" PRIu64 "  Links: %" PRIu64 "\n", e->attr.size,
                 e->attr.nlink);
    mapped_print("Guest: mode %04o (%s)  uid %u  gid %u\n",
                 e->attr.mode & 07777, mode, e->attr.uid, e->attr.gid);
    mode_text(e->host.mode, mode);
    mapped_print(" Host: mode %04o (%s)  uid %u  gid %u  inode %" PRIu64 "\n",
                 e->host.mode & 07777, mode, e->host.uid, e->host.gid,
                 e->host.ino);
    put_time("Modify", &e->attr.mtime);
    put_time("Change", &e->attr.ctime);
    put_xattrs(e);
}

static void json_string(const char *text)
{
    g_autoptr(GString) s = g_string_new("\"");

    while (*text) {
        gunichar u = g_utf8_get_char_validated(text, -1);
        bool is_utf8 = u != (gunichar)-1 && u != (gunichar)-2;
        const char *next = is_utf8 ? g_utf8_next_char(text) : text + 1;

        if (!is_utf8) {
            g_string_append_printf(s, "\\udc%02x", (unsigned char)*text);
        } else if (text_is_control(u) || u == '"' || u == '\\') {
            g_string_append_printf(s, "\\u%04x", u);
        } else {
            g_string_append_len(s, text, next - text);
        }
        text = next;
    }
    g_string_append_c(s, '"');
    mapped_print_bytes(s->str, s->len);
}

static void json_xattrs(const MappedEntry *e)
{
    g_autofree char *names = NULL;
    const char *comma = "";
    size_t len;
    char *name;

    names = mapped_xattr_names(e, &len);
    if (!len) {
        return;
    }
    mapped_print(", \"xattrs\": [");
    for (name = names; name < names + len; name += strlen(name) + 1) {
        mapped_print("%s", comma);
        json_string(name);
        comma = ", ";
    }
    mapped_print("]");
}

void mapped_put_json(const MappedEntry *e, const char *name)
{
    g_autofree char *target = S_ISLNK(e->attr.mode) ? mapped_target(e) : NULL;

    mapped_print("{\"path\": ");
    json_string(name);
    mapped_print(", \"type\": \"%s\", \"mode\": \"%04o\", \"uid\": %u"
                 ", \"gid\": %u, \"size\": %" PRIu64 ", \"nlink\": %" PRIu64
                 ", \"inode\": %" PRIu64,
                 mapped_type_name(e->attr.mode), e->attr.mode & 07777,
                 e->attr.uid, e->attr.gid, e->attr.size, e->attr.nlink,
                 e->attr.ino);
    if (is_device(&e->attr)) {
        mapped_print(", \"major\": %u, \"minor\": %u", major(e->attr.rdev),
                     minor(e->attr.rdev));
    }
    mapped_print(", \"mtime\": %" PRId64 ", \"mtime_ns\": %ld",
                 (int64_t)e->attr.mtime.tv_sec, e->attr.mtime.tv_nsec);
    if (target) {
        mapped_print(", \"target\": ");
        json_string(target);
    }
    json_xattrs(e);
    mapped_print("}\n");
}
