/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Changes of an export from the host's side: see server-host.h. Most of them
 * may fail, as a user's commands may: the input does not know what is there.
 */
#include "qemu/osdep.h"
#include <sys/xattr.h>
#include "qemu/bswap.h"
#include "server-host.h"

#define METADATA        ".virtfs_metadata"
/* Longer than any text or value that is read */
#define VALUE_MAX       (80 * 1024)

static const char *const dirs[] = { ".", ".", "d" };
static const char *const names[] = { "f", "d", "g", "e", "l", "p", "n", "c" };

const char *host_fields(unsigned kind)
{
    switch (kind) {
    case HOST_TEXT:
    case HOST_TEXT_ROOT:
        return "2t";
    case HOST_ACL:
        return "2a";
    case HOST_CHMOD:
        return "4";
    default:
        return "2D";
    }
}

/* repeat[2] bytes: the bytes so many times, and at least once */
static GByteArray *value_of(const FuzzRecord *rec)
{
    GByteArray *value = g_byte_array_new();
    unsigned times = rec->size >= 2 ? lduw_le_p(rec->body) : 0;

    if (rec->size >= 2) {
        do {
            g_byte_array_append(value, rec->body + 2, rec->size - 2);
        } while (times-- > 1 && value->len < VALUE_MAX);
    }
    return value;
}

static void put_text(int dir, const char *name, const GByteArray *text)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW |
                    O_NONBLOCK | O_CLOEXEC, 0600);

    if (fd >= 0) {
        if (write(fd, text->data, text->len) < 0) {
            /* the file system is full */
        }
        close(fd);
    }
}

/* Something that is no metadata */
static void put_other(int meta, const char *name, unsigned what)
{
    unlinkat(meta, name, 0);
    unlinkat(meta, name, AT_REMOVEDIR);
    switch (what % 4) {
    case 0:
        mkdirat(meta, name, 0700);
        break;
    case 1:
        mkfifoat(meta, name, 0600);
        break;
    case 2:
        if (symlinkat("../f", meta, name) < 0) {
            /* the file system is full */
        }
        break;
    }
}

static void put_xattr(int dir, const char *name, const char *attribute,
                      const GByteArray *value)
{
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd >= 0) {
        fsetxattr(fd, attribute, value->data, value->len, 0);
        close(fd);
    }
}

static const char *attribute_of(unsigned kind, unsigned which)
{
    static const char *const numbers[] = {
        "user.virtfs.uid", "user.virtfs.gid", "user.virtfs.mode",
        "user.virtfs.rdev",
    };
    static const char *const acls[] = {
        "user.virtfs.system.posix_acl_access",
        "user.virtfs.system.posix_acl_default",
        "system.posix_acl_access", "system.posix_acl_default",
    };
    static const char *const others[] = {
        "user.a", "user.virtfs", "user.virtfs.", "security.capability",
    };

    return kind == HOST_NUMBER ? numbers[which % 4] :
           kind == HOST_ACL ? acls[which % 4] : others[which % 4];
}

void host_change(const char *folder, unsigned kind, const FuzzRecord *rec)
{
    const char *name = names[rec->id % G_N_ELEMENTS(names)];
    g_autofree char *path = g_build_filename(
        folder, dirs[(rec->id >> 3) % G_N_ELEMENTS(dirs)], NULL);
    g_autoptr(GByteArray) value = value_of(rec);
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int meta;

    if (dir < 0) {
        return;
    }
    if (kind == HOST_TEXT || kind == HOST_PLACE) {
        mkdirat(dir, METADATA, 0700);
    }
    meta = openat(dir, METADATA, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    switch (kind) {
    case HOST_TEXT:
        put_text(meta, name, value);
        break;
    case HOST_TEXT_ROOT:
        put_text(dir, METADATA "_root", value);
        break;
    case HOST_PLACE:
        put_other(meta, name, rec->id >> 5);
        break;
    case HOST_CHMOD:
        if (rec->size >= 4 &&
            fchmodat(dir, name, ldl_le_p(rec->body) & 07777, 0) < 0) {
            /* there is no such file */
        }
        break;
    case HOST_UNLINK:
        unlinkat(dir, name, 0);
        break;
    default:
        put_xattr(dir, name, attribute_of(kind, rec->id >> 5), value);
    }
    if (meta >= 0) {
        close(meta);
    }
    close(dir);
}
