/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * virtfs-mapped pack: an archive of a share, as its guest's tar would make it.
 *
 * The format is pax, with extended attributes and ACLs as GNU tar has them
 * (SCHILY.xattr, SCHILY.acl), sparse files as GNU tar's 1.0. Of memory it needs
 * the walk's, and some bytes for each file with several names, until it has met
 * all of them.
 */
#include "qemu/osdep.h"
#include <locale.h>
#include <sys/mman.h>
#include "archive.h"
#include "arg.h"
#include "commands.h"
#include "data.h"
#include "links.h"
#include "output.h"
#include "proxy-model.h"
#include "tree.h"

#define BLOCK           (256 * 1024)
/*
 * libarchive takes less than INT_MAX bytes in one call. A guest can make files
 * of 8 EiB that are holes, so that is none too many.
 */
#define ZEROS_MAX       (INT_MAX & ~0xffffu)

typedef struct Pack {
    struct archive *a;
    struct archive_entry *entry;
    MappedLinks *links;
    char *buf;
    char *zeros;
    size_t n_zeros;
    bool failed;
} Pack;

static void complain(Pack *p, MappedShare *s, const char *path,
                     const char *what)
{
    g_autofree char *why = mapped_archive_error(p->a);

    mapped_problem(s, path, 0, "%s: %s", what, why);
}

static char *path_in_archive(const MappedEntry *e)
{
    if (g_str_equal(e->path, ".")) {
        return g_strdup("./");
    }
    return g_strconcat("./", e->path, S_ISDIR(e->attr.mode) ? "/" : "", NULL);
}

/* Whether the entry is another name of what is in the archive already */
static bool pack_link(Pack *p, const MappedEntry *e, const char *path)
{
    const char *first = mapped_links_meet(p->links, &e->attr, path);

    if (first) {
        archive_entry_set_hardlink(p->entry, first);
        archive_entry_set_size(p->entry, 0);
    }
    return first;
}

static void pack_xattr(Pack *p, const MappedEntry *e, const char *name,
                       uint8_t *value)
{
    const LocalHost *lh = &e->share->lh;
    ssize_t len = lh->model->getxattr(lh, &e->inode, name, value,
                                      FS_XATTR_MAX);

    if (len < 0) {
        mapped_problem(e->share, e->path, len, "cannot read the attribute %s",
                       name);
    } else if (fs_acl_is_name(name)) {
        mapped_acl_pack(p->entry, name, value, len);
    } else {
        archive_entry_xattr_add_entry(p->entry, name, value, len);
    }
}

/*
 * What the host's files have beside what the guest sees. In a share of a mapped
 * model that is the host's own.
 */
static void complain_of_lost(const MappedEntry *e)
{
    g_autofree char *names = NULL;
    ssize_t len;
    char *name;

    if (!mapped_model_is_host(e->share->lh.model) ||
        (!S_ISREG(e->attr.mode) && !S_ISDIR(e->attr.mode))) {
        return;
    }
    names = g_malloc(FS_XATTR_MAX + 1);
    len = hostfs_getxattr(&e->share->lh.host, e->inode.handle, NULL, names,
                          FS_XATTR_MAX);
    names[MAX(len, 0)] = '\0';
    for (name = names; name < names + len; name += strlen(name) + 1) {
        if (g_str_equal(name, FS_XATTR_CAPS) ||
            g_str_has_prefix(name, "trusted.")) {
            mapped_problem(e->share, e->path, 0, "not in the archive: its "
                           "attribute %s, which no guest sees", name);
        }
    }
}

static void pack_xattrs(Pack *p, const MappedEntry *e)
{
    g_autofree char *names = NULL;
    g_autofree uint8_t *value = NULL;
    size_t len;
    char *name;

    complain_of_lost(e);
    names = mapped_xattr_names(e, &len);
    if (!names || !len) {
        return;
    }
    value = g_malloc(FS_XATTR_MAX);
    for (name = names; name < names + len; name += strlen(name) + 1) {
        pack_xattr(p, e, name, value);
    }
}

/* The parts of a file that are no holes */
static void pack_sparse(Pack *p, const MappedEntry *e, int fd)
{
    off_t at = 0;
    off_t size = e->attr.size;
    bool any = false;

    if ((uint64_t)e->host.blocks * 512 >= e->attr.size) {
        return;
    }
    while (at < size) {
        off_t data = lseek(fd, at, SEEK_DATA);
        off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);

        if (data < 0 && errno != ENXIO) {
            archive_entry_sparse_clear(p->entry);
            return;
        }
        if (data < 0 || data >= size || hole < 0) {
            break;
        }
        hole = MIN(hole, size);
        if (data == 0 && hole == size) {
            return;
        }
        archive_entry_sparse_add_entry(p->entry, data, hole - data);
        any = true;
        at = hole;
    }
    if (!any) {
        archive_entry_sparse_add_entry(p->entry, 0, 0);
    }
}

static bool put(Pack *p, const MappedEntry *e, const char *buf, size_t len)
{
    if (archive_write_data(p->a, buf, len) >= 0) {
        return true;
    }
    complain(p, e->share, NULL, "cannot write the archive");
    p->failed = true;
    return false;
}

/* The archive gets no bytes of a hole, but wants to count them. */
static bool put_hole(Pack *p, const MappedEntry *e, uint64_t len)
{
    while (len) {
        size_t part = MIN(len, p->n_zeros);

        if (!put(p, e, p->zeros, part)) {
            return false;
        }
        len -= part;
    }
    return true;
}

static void pack_data(Pack *p, const MappedEntry *e, int fd)
{
    bool sparse = archive_entry_sparse_count(p->entry) > 0;
    uint64_t size = e->attr.size;
    uint64_t at = 0;
    bool said = false;

    while (at < size) {
        size_t part = MIN(size - at, BLOCK);
        uint64_t hole = sparse ? mapped_hole_at(fd, at, size) : 0;
        ssize_t len;

        if (hole) {
            if (!put_hole(p, e, hole)) {
                return;
            }
            at += hole;
            continue;
        }
        len = RETRY_ON_EINTR(pread(fd, p->buf, part, at));
        if (len <= 0) {
            if (!said) {
                mapped_problem(e->share, e->path, len < 0 ? -errno : 0,
                               "cannot be read to its end; zeros are in its "
                               "place");
            }
            said = true;
            len = part;
            memset(p->buf, 0, len);
        }
        if (!put(p, e, p->buf, len)) {
            return;
        }
        at += len;
    }
}

static void fill_entry(Pack *p, const MappedEntry *e, const char *path)
{
    struct archive_entry *a = archive_entry_clear(p->entry);

    archive_entry_copy_pathname(a, path);
    archive_entry_set_mode(a, e->attr.mode);
    archive_entry_set_uid(a, e->attr.uid);
    archive_entry_set_gid(a, e->attr.gid);
    archive_entry_set_mtime(a, e->attr.mtime.tv_sec, e->attr.mtime.tv_nsec);
    archive_entry_set_size(a, S_ISREG(e->attr.mode) ? e->attr.size : 0);
    if (S_ISCHR(e->attr.mode) || S_ISBLK(e->attr.mode)) {
        archive_entry_set_rdev(a, e->attr.rdev);
    }
}

static void write_entry(Pack *p, const MappedEntry *e, int fd)
{
    int ret = archive_write_header(p->a, p->entry);

    if (ret == ARCHIVE_FATAL) {
        complain(p, e->share, NULL, "cannot write the archive");
        p->failed = true;
    } else if (ret == ARCHIVE_FAILED) {
        complain(p, e->share, e->path, "not in the archive");
    } else if (fd >= 0) {
        pack_data(p, e, fd);
    }
}

static void pack_regular(Pack *p, const MappedEntry *e)
{
    int fd = e->is_open ? e->inode.handle
             : hostfs_open(&e->share->lh.host, e->inode.handle, O_RDONLY);

    if (fd < 0) {
        mapped_problem(e->share, e->path, fd, "not in the archive: cannot "
                       "open it");
        return;
    }
    pack_sparse(p, e, fd);
    write_entry(p, e, fd);
    if (!e->is_open) {
        close(fd);
    }
}

static TreeNext pack_visit(const MappedEntry *e, void *opaque)
{
    Pack *p = opaque;
    g_autofree char *path = path_in_archive(e);
    g_autofree char *target = NULL;

    if (S_ISSOCK(e->attr.mode)) {
        mapped_problem(e->share, e->path, 0, "a socket, which no archive can "
                       "hold: left out");
        return TREE_ON;
    }
    if (e->attr.uid == IDMAP_NONE || e->attr.gid == IDMAP_NONE) {
        mapped_problem(e->share, e->path, 0, "left out: its owner or group %s",
                       e->share->lh.model == &mapped_model_proxy
                       ? "on the host is not in the id map"
                       : "is none that a file can have");
        return TREE_ON;
    }
    fill_entry(p, e, path);
    if (S_ISLNK(e->attr.mode)) {
        target = mapped_target(e);
        if (!target) {
            return TREE_ON;
        }
        archive_entry_copy_symlink(p->entry, target);
    }
    if (pack_link(p, e, path)) {
        write_entry(p, e, -1);
        return p->failed ? TREE_STOP : TREE_ON;
    }
    pack_xattrs(p, e);
    if (S_ISREG(e->attr.mode) && e->attr.size) {
        pack_regular(p, e);
    } else {
        write_entry(p, e, -1);
    }
    return p->failed ? TREE_STOP : TREE_ON;
}

/* Addresses only: nobody reads there. */
static bool map_zeros(Pack *p)
{
    for (p->n_zeros = ZEROS_MAX; p->n_zeros >= BLOCK; p->n_zeros /= 2) {
        p->zeros = mmap(NULL, p->n_zeros, PROT_READ,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p->zeros != MAP_FAILED) {
            return true;
        }
    }
    p->zeros = NULL;
    return false;
}

static bool open_archive(Pack *p, MappedShare *s)
{
    if (!map_zeros(p)) {
        mapped_problem(s, NULL, -errno, "cannot write an archive");
        return false;
    }
    p->a = archive_write_new();
    if (archive_write_set_format_pax(p->a) != ARCHIVE_OK ||
        archive_write_set_format_option(p->a, "pax", "xattrheader",
                                        "SCHILY") != ARCHIVE_OK ||
        archive_write_set_bytes_per_block(p->a, BLOCK) != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(p->a, 512) != ARCHIVE_OK ||
        archive_write_open_fd(p->a, STDOUT_FILENO) != ARCHIVE_OK) {
        complain(p, s, NULL, "cannot write an archive");
        return false;
    }
    return true;
}

int mapped_pack(const MappedOptions *o)
{
    static const TreeOps ops = { .visit = pack_visit };
    Pack p = { };
    MappedShare s;
    MappedEntry e;
    bool bad;

    if (isatty(STDOUT_FILENO)) {
        return mapped_usage("pack: the archive goes to a file: pack %s > FILE",
                            o->args[0]);
    }
    /* Names are UTF-8, as pax wants them; others are bytes (hdrcharset). */
    setlocale(LC_CTYPE, "C.UTF-8");
    if (!mapped_open_arg(o, o->args[0], SHARE_READS, &s, &e)) {
        return EXIT_PROBLEMS;
    }
    if (s.unfinished) {
        mapped_close_arg(&s, &e);
        return EXIT_PROBLEMS;
    }
    s.opens_files = s.lh.host.open_handles = true;
    if (open_archive(&p, &s)) {
        p.entry = archive_entry_new();
        p.links = mapped_links_new();
        p.buf = g_malloc(BLOCK);
        mapped_tree_walk(&e, &ops, &p);
        if (!p.failed && archive_write_close(p.a) != ARCHIVE_OK) {
            complain(&p, &s, NULL, "cannot write the archive");
        }
        archive_entry_free(p.entry);
        mapped_links_free(p.links);
        g_free(p.buf);
    }
    if (p.zeros) {
        munmap(p.zeros, p.n_zeros);
    }
    archive_write_free(p.a);
    bad = s.problems;
    mapped_close_arg(&s, &e);
    return bad ? EXIT_PROBLEMS : EXIT_GOOD;
}
