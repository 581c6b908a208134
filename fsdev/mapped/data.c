/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The content of regular files: see data.h.
 */
#include "qemu/osdep.h"
#include "data.h"

#define BLOCK           (256 * 1024)

uint64_t mapped_hole_at(int fd, uint64_t at, uint64_t size)
{
    off_t data = lseek(fd, at, SEEK_DATA);

    if (data < 0) {
        return errno == ENXIO ? size - at : 0;
    }
    return MIN((uint64_t)data, size) - at;
}

/* Where the data ends that is at @at */
static uint64_t data_end(int fd, uint64_t at, uint64_t size)
{
    off_t hole = lseek(fd, at, SEEK_HOLE);

    return hole > (off_t)at ? MIN((uint64_t)hole, size) : size;
}

bool mapped_write_all(int fd, const char *buf, size_t len, off_t at)
{
    while (len) {
        ssize_t done = RETRY_ON_EINTR(pwrite(fd, buf, len, at));

        if (done < 0) {
            return false;
        }
        buf += done;
        len -= done;
        at += done;
    }
    return true;
}

int mapped_copy_data(int from, int to, uint64_t size, bool *reading)
{
    g_autofree char *buf = g_malloc(BLOCK);
    uint64_t at = 0;
    uint64_t end = 0;           /* of the data that @at is in */

    *reading = false;
    while (at < size) {
        ssize_t len;

        if (at == end) {
            at += mapped_hole_at(from, at, size);
            if (at == size) {
                break;
            }
            end = data_end(from, at, size);
        }
        len = RETRY_ON_EINTR(pread(from, buf, MIN(end - at, BLOCK), at));
        if (len <= 0) {
            *reading = true;
            return len < 0 ? -errno : -ENODATA;
        }
        if (!mapped_write_all(to, buf, len, at)) {
            return -errno;
        }
        at += len;
    }
    return RETRY_ON_EINTR(ftruncate(to, size)) < 0 ? -errno : 0;
}
