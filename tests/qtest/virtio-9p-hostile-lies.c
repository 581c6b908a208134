/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The lies of virtio-9p-hostile.h: about a reply's frame, its payload and its
 * descriptors.
 */
#include "qemu/osdep.h"
#include <sys/eventfd.h>
#include <sys/socket.h>
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "virtio-9p-hostile.h"

#define HEADER          PROXY_HEADER_SIZE

const char *lie_share;

/* Offsets in an attr of the channel: see fsdev/shared/proto.c */
enum {
    ATTR_MODE = 4,
    ATTR_UID = 8,
    ATTR_DEV = 16,
    ATTR_INO = 24,
    ATTR_NLINK = 32,
    ATTR_ATIME_NSEC = 80,
    ATTR_SIZE = 152,
};

/* Offset of the payload in a reply, after its error */
#define PAYLOAD         (HEADER + 4)
/* Offset of the first attr in WALK's reply, after walked[2] */
#define WALK_ATTR       (PAYLOAD + 2)

/*
 * Lies: the frame
 */

static void lie_size_add(Reply *r, const Lie *lie)
{
    stl_le_p(r->buf, r->size + lie->arg);
}

static void lie_size(Reply *r, const Lie *lie)
{
    stl_le_p(r->buf, lie->arg);
}

static void lie_type(Reply *r, const Lie *lie)
{
    stw_le_p(r->buf + 4, lie->arg);
}

static void lie_tag(Reply *r, const Lie *lie)
{
    stl_le_p(r->buf + 8, ldl_le_p(r->buf + 8) ^ lie->arg);
}

/* A wrong number of descriptors in the header */
static void lie_nfds(Reply *r, const Lie *lie)
{
    stw_le_p(r->buf + 6, lie->arg);
}

static void drop_fds(Reply *r)
{
    while (r->nfds) {
        close(r->fds[--r->nfds]);
    }
}

static void lie_fds_missing(Reply *r, const Lie *lie)
{
    drop_fds(r);
}

/* More descriptors than the header has */
static void lie_fds_more(Reply *r, const Lie *lie)
{
    while (r->nfds < lie->arg) {
        r->fds[r->nfds++] = open("/dev/null", O_RDONLY);
    }
}

static void lie_twice(Reply *r, const Lie *lie)
{
    drop_fds(r);
    stw_le_p(r->buf + 6, 0);
    memcpy(r->buf + r->size, r->buf, r->size);
    r->size *= 2;
}

/* Thousands of replies without a request, in place of the right one */
static void lie_flood(Reply *r, const Lie *lie)
{
    size_t each = HEADER + 4;
    size_t n;

    memmove(r->buf + PROXY_MAX_MESSAGE, r->buf, r->size);
    for (n = 0; (n + 1) * each <= PROXY_MAX_MESSAGE; n++) {
        uint8_t *p = r->buf + n * each;

        memset(p, 0, each);
        stl_le_p(p, each);
        stw_le_p(p + 4, PROXY_SETATTR | PROXY_REPLY);
        stl_le_p(p + 8, n * 1024);
    }
    r->size = n * each;
}

static void lie_half(Reply *r, const Lie *lie)
{
    r->size = r->size / 2;
}

static void lie_half_end(Reply *r, const Lie *lie)
{
    r->size = r->size / 2;
    r->hang_up = true;
}

static void lie_silent(Reply *r, const Lie *lie)
{
    drop_fds(r);
    r->size = 0;
}

static void lie_end(Reply *r, const Lie *lie)
{
    lie_silent(r, lie);
    r->hang_up = true;
}

/* An error reply */
static void lie_error(Reply *r, const Lie *lie)
{
    drop_fds(r);
    r->size = PAYLOAD;
    stl_le_p(r->buf, r->size);
    stw_le_p(r->buf + 6, 0);
    stl_le_p(r->buf + HEADER, lie->arg);
}

/* An error, followed by the payload of a success */
static void lie_error_more(Reply *r, const Lie *lie)
{
    stl_le_p(r->buf + HEADER, lie->arg);
}

/*
 * Lies: the payload
 */

/* The payload is too short or too long; the frame is right. */
static void lie_cut(Reply *r, const Lie *lie)
{
    r->size -= MIN(lie->arg, r->size - HEADER);
    stl_le_p(r->buf, r->size);
}

static void lie_more(Reply *r, const Lie *lie)
{
    memset(r->buf + r->size, 0, lie->arg);
    r->size += lie->arg;
    stl_le_p(r->buf, r->size);
}

/* The first u16 of the payload: WALK's count, READLINK's length */
static void lie_u16(Reply *r, const Lie *lie)
{
    stw_le_p(r->buf + PAYLOAD, lie->arg);
}

static void lie_u32(Reply *r, const Lie *lie)
{
    stl_le_p(r->buf + PAYLOAD, lie->arg);
}

static void lie_nul(Reply *r, const Lie *lie)
{
    r->buf[PAYLOAD + 2] = 0;
}

/* The node in WALK's reply to one name */
static uint8_t *walk_node(Reply *r)
{
    return r->buf + r->size - 2 * 9;
}

static void lie_handle(Reply *r, const Lie *lie)
{
    stq_le_p(walk_node(r), lie->arg);
}

static void lie_donated(Reply *r, const Lie *lie)
{
    walk_node(r)[8] = lie->arg;
}

static void lie_parent(Reply *r, const Lie *lie)
{
    stq_le_p(walk_node(r) + 9, lie->arg);
}

/* Attributes that no file has; QEMU may pass them on. */
static void lie_attr_huge(Reply *r, const Lie *lie)
{
    memset(r->buf + lie->arg + ATTR_NLINK, 0xff, ATTR_SIZE - ATTR_NLINK);
}

static void lie_attr_mode(Reply *r, const Lie *lie)
{
    size_t at = lie->type == PROXY_WALK ? WALK_ATTR : PAYLOAD;

    stl_le_p(r->buf + at + ATTR_MODE, lie->arg);
}

static void lie_attr_ino(Reply *r, const Lie *lie)
{
    stq_le_p(r->buf + WALK_ATTR + ATTR_INO, lie->arg);
}

/* The attributes are those of f, which QEMU knows under another handle. */
static void lie_attr_known(Reply *r, const Lie *lie)
{
    g_autofree char *name = g_build_filename(lie_share, "f", NULL);
    struct stat st;

    g_assert_cmpint(stat(name, &st), ==, 0);
    stq_le_p(r->buf + WALK_ATTR + ATTR_DEV, st.st_dev);
    stq_le_p(r->buf + WALK_ATTR + ATTR_INO, st.st_ino);
}

/*
 * Lies: descriptors
 */

enum {
    FD_OTHER,                   /* another file of the right type */
    FD_DIRECTORY,
    FD_SOCKET,
    FD_PIPE,
    FD_EVENT,
    FD_DEVICE,
    FD_PATH,                    /* O_PATH, of the right inode */
    FD_FILE,                    /* not O_PATH, of the right inode */
};

static int make_fd(unsigned kind, bool path)
{
    g_autofree char *name = g_build_filename(
        lie_share, kind == FD_OTHER ? "g" : "f", NULL);
    int fds[2] = { -1, -1 };

    switch (kind) {
    case FD_DIRECTORY:
        return open(lie_share, O_DIRECTORY | (path ? O_PATH : O_RDONLY));
    case FD_SOCKET:
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
        close(fds[1]);
        return fds[0];
    case FD_PIPE:
        g_assert_cmpint(pipe(fds), ==, 0);
        close(fds[1]);
        return fds[0];
    case FD_EVENT:
        return eventfd(0, 0);
    case FD_DEVICE:
        return open("/dev/zero", path ? O_PATH : O_RDWR);
    case FD_PATH:
        return open(name, O_PATH);
    case FD_FILE:
        return open(name, O_RDWR);
    default:
        return open(name, path ? O_PATH : O_RDWR);
    }
}

/* Replaces the last descriptor. */
static void lie_fd(Reply *r, const Lie *lie)
{
    bool path = lie->type == PROXY_WALK;
    int fd = make_fd(lie->arg, path);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(r->nfds, >=, 1);
    close(r->fds[r->nfds - 1]);
    r->fds[r->nfds - 1] = fd;
}

/* CREATE's two descriptors in the wrong order */
static void lie_fds_swapped(Reply *r, const Lie *lie)
{
    int fd = r->fds[0];

    g_assert_cmpint(r->nfds, ==, 2);
    r->fds[0] = r->fds[1];
    r->fds[1] = fd;
}

/* A new inode on a new device each time; the numbers use all 64 bits. */
static void lie_new_inode(Reply *r, const Lie *lie)
{
    static uint64_t n;

    n++;
    stq_le_p(r->buf + WALK_ATTR + ATTR_DEV, n * 0x9e3779b97f4a7c15ull);
    stq_le_p(r->buf + WALK_ATTR + ATTR_INO, n * 0xbf58476d1ce4e5b9ull);
}

/*
 * The tables
 */

const Lie lie_silence = { "silent", PROXY_WALK, lie_silent };
const Lie lie_inode = { "inode", PROXY_WALK, lie_new_inode };

/* One QEMU gets them all: none of them ends the channel. */
const Lie lies_harmless[] = {
    { "error-highest", PROXY_SETATTR, lie_error, 4095, EIO },
    { "error-of-kernel", PROXY_SETATTR, lie_error, 512, EIO },
    { "donated-other", PROXY_WALK, lie_fd, FD_OTHER },
    { "donated-directory", PROXY_WALK, lie_fd, FD_DIRECTORY },
    { "donated-pipe", PROXY_WALK, lie_fd, FD_PIPE },
    { "donated-open", PROXY_WALK, lie_fd, FD_FILE },
    { "created-swapped", PROXY_CREATE, lie_fds_swapped, 0, EIO },
    { "opened-other", PROXY_OPEN, lie_fd, FD_OTHER, EIO },
    { "opened-directory", PROXY_OPEN, lie_fd, FD_DIRECTORY, EIO },
    { "opened-pipe", PROXY_OPEN, lie_fd, FD_PIPE, EIO },
    { "opened-device", PROXY_OPEN, lie_fd, FD_DEVICE, EIO },
    { "opened-path", PROXY_OPEN, lie_fd, FD_PATH, EIO },
    { "opened", PROXY_OPEN, lie_fd, FD_FILE },
    { "created-other", PROXY_CREATE, lie_fd, FD_OTHER, EIO },
    { "created-pipe", PROXY_CREATE, lie_fd, FD_PIPE, EIO },
    { "type-other", PROXY_WALK, lie_attr_mode, S_IFDIR | 0755 },
    { "inode-known", PROXY_WALK, lie_attr_known, 0, EIO },
    { "inode-other", PROXY_WALK, lie_attr_ino, UINT64_MAX },
    /* The last WALK: the helper counts QEMU's handle from here on. */
    { "error", PROXY_WALK, lie_error, EACCES, EACCES },
    { }
};

/* With donate=off, when QEMU asks the helper for attributes */
const Lie lies_harmless_asked[] = {
    { "type-changed", PROXY_GETATTR, lie_attr_mode, S_IFLNK | 0777, EIO },
    { "attr-huge", PROXY_GETATTR, lie_attr_huge, PAYLOAD },
    { "walk-attr-huge", PROXY_WALK, lie_attr_huge, WALK_ATTR },
    { "statfs-huge", PROXY_STATFS, lie_u32, UINT32_MAX },
    { "error", PROXY_READLINK, lie_error, EINVAL, EINVAL },
    { "error-intr", PROXY_READLINK, lie_error, EINTR, EINTR },
    { }
};

#define ENDS            EIO, true
#define ENDS_LATER      EIO, true, true

const Lie lies_end[] = {
    { "size-less", PROXY_WALK, lie_size_add, -1, ENDS },
    { "size-more", PROXY_WALK, lie_size_add, 1, ENDS_LATER },
    { "size-0", PROXY_WALK, lie_size, 0, ENDS },
    { "size-header", PROXY_SETATTR, lie_size, HEADER, ENDS },
    { "size-max", PROXY_WALK, lie_size, PROXY_MAX_MESSAGE + 1, ENDS },
    { "size-4g", PROXY_WALK, lie_size, UINT32_MAX, ENDS },
    { "type-request", PROXY_WALK, lie_type, PROXY_WALK, ENDS },
    { "type-other", PROXY_WALK, lie_type, PROXY_OPEN | PROXY_REPLY, ENDS },
    { "type-hello", PROXY_SETATTR, lie_type, PROXY_HELLO | PROXY_REPLY, ENDS },
    { "type-none", PROXY_SETATTR, lie_type, 0xffff, ENDS },
    { "tag-slot", PROXY_WALK, lie_tag, 1, ENDS },
    { "tag-serial", PROXY_WALK, lie_tag, 1024, ENDS },
    { "tag-wild", PROXY_WALK, lie_tag, 0xdeadbeef, ENDS },
    { "nfds-0", PROXY_OPEN, lie_nfds, 0, ENDS },
    { "nfds-2", PROXY_OPEN, lie_nfds, 2, ENDS },
    { "nfds-65535", PROXY_WALK, lie_nfds, 65535, ENDS },
    { "fds-missing", PROXY_OPEN, lie_fds_missing, 0, ENDS },
    { "fds-missing-walk", PROXY_WALK, lie_fds_missing, 0, ENDS },
    { "fds-more", PROXY_OPEN, lie_fds_more, 2, 0, true },
    { "fds-253", PROXY_WALK, lie_fds_more, PROXY_MAX_FDS, 0, true },
    { "fds-unasked", PROXY_SETATTR, lie_fds_more, 1, 0, true },
    { "twice", PROXY_SETATTR, lie_twice, 0, 0, true },
    { "flood", PROXY_WALK, lie_flood, 0, ENDS },
    { "half-end", PROXY_WALK, lie_half_end, 0, ENDS },
    { "end", PROXY_WALK, lie_end, 0, ENDS },
    { "half-later", PROXY_WALK, lie_half, 0, ENDS_LATER },
    { "error-4096", PROXY_SETATTR, lie_error, 4096, ENDS },
    { "error-minus", PROXY_SETATTR, lie_error, (uint32_t)-EIO, ENDS },
    { "error-more", PROXY_WALK, lie_error_more, EIO, ENDS },
    { "cut-walk", PROXY_WALK, lie_cut, 9, ENDS },
    { "more-walk", PROXY_WALK, lie_more, 9, ENDS },
    { "cut-setattr", PROXY_SETATTR, lie_cut, 1, ENDS },
    { "more-setattr", PROXY_SETATTR, lie_more, 64 * KiB, ENDS },
    { "more-open", PROXY_OPEN, lie_more, 4, ENDS },
    { "cut-create", PROXY_CREATE, lie_cut, 1, ENDS },
    { "cut-make", PROXY_MAKE, lie_cut, 100, ENDS },
    { "more-link", PROXY_LINK, lie_more, 1, ENDS },
    { "more-rename", PROXY_RENAME, lie_more, 1, ENDS },
    { "more-unlink", PROXY_UNLINK, lie_more, 1, ENDS },
    { "cut-xattr", PROXY_GETXATTR, lie_cut, 1, ENDS },
    { "more-setxattr", PROXY_SETXATTR, lie_more, 1, ENDS },
    { "more-removexattr", PROXY_REMOVEXATTR, lie_more, 1, ENDS },
    { "walked-0", PROXY_WALK, lie_u16, 0, ENDS },
    { "walked-2", PROXY_WALK, lie_u16, 2, ENDS },
    { "walked-65535", PROXY_WALK, lie_u16, 65535, ENDS },
    { "handle-0", PROXY_WALK, lie_handle, 0, ENDS },
    { "donated-0", PROXY_WALK, lie_donated, 0, ENDS },
    { "donated-2", PROXY_WALK, lie_donated, 2, ENDS },
    { "donated-socket", PROXY_WALK, lie_fd, FD_SOCKET, ENDS },
    { "opened-socket", PROXY_OPEN, lie_fd, FD_SOCKET, ENDS },
    { "opened-event", PROXY_OPEN, lie_fd, FD_EVENT, ENDS },
    { "parent-unasked", PROXY_WALK, lie_parent, 7, ENDS },
    { "no-type", PROXY_WALK, lie_attr_mode, 0644, ENDS },
    { "made-other", PROXY_MAKE, lie_attr_mode, S_IFREG | 0700, ENDS },
    { "created-other", PROXY_CREATE, lie_attr_mode, S_IFIFO | 0600, ENDS },
    { "xattr-size", PROXY_GETXATTR, lie_u32, 64 * KiB + 1, ENDS },
    { "xattr-size-4g", PROXY_GETXATTR, lie_u32, UINT32_MAX, ENDS },
    { "xattr-size-less", PROXY_GETXATTR, lie_u32, 1, ENDS },
    { }
};

/* With donate=off */
const Lie lies_end_asked[] = {
    { "cut-getattr", PROXY_GETATTR, lie_cut, 1, ENDS },
    { "more-getattr", PROXY_GETATTR, lie_more, 8, ENDS },
    { "cut-statfs", PROXY_STATFS, lie_cut, 8, ENDS },
    { "more-statfs", PROXY_STATFS, lie_more, 1, ENDS },
    { "more-link", PROXY_READLINK, lie_more, 1, ENDS },
    { "link-nul", PROXY_READLINK, lie_nul, 0, ENDS },
    { "link-length", PROXY_READLINK, lie_u16, 65535, ENDS },
    { "link-length-0", PROXY_READLINK, lie_u16, 0, ENDS },
    { "no-type", PROXY_GETATTR, lie_attr_mode, 0, ENDS },
    { "fd-unwanted", PROXY_WALK, lie_donated, 1, ENDS },
    { }
};
