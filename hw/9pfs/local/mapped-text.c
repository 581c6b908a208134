/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Security model mapped-file: the text of a metadata file (see
 * mapped-folder.h).
 *
 *     virtfs.uid=1000
 *     virtfs.gid=1000
 *     virtfs.mode=33188
 *     virtfs.rdev=0
 *
 * Numbers are decimal; the mode has type bits. Malformed and other lines are
 * ignored, and disappear when the file is written again. Of several lines for
 * one number the first valid one counts. If a line is missing, the host file's
 * number counts.
 *
 * One write(2) writes the text, and the file is cut to its length afterwards.
 * So another process sees the old text, the new text, or the new text with the
 * rest of the old text after it.
 */
#include "qemu/osdep.h"
#include "mapped-text.h"

#define METADATA_MAX    4096

static bool parse_number(const char *text, uint64_t max, uint64_t *value)
{
    uint64_t n = 0;

    if (*text == '\0') {
        return false;
    }
    for (; *text; text++) {
        unsigned digit = *text - '0';

        if (digit > 9 || n > (max - digit) / 10) {
            return false;
        }
        n = n * 10 + digit;
    }
    *value = n;
    return true;
}

/* Returns what is wrong with the line. */
static unsigned parse_line(const char *line, FsView *view)
{
    static const struct {
        const char *key;
        uint32_t bit;
    } keys[] = {
        { "virtfs.uid=", FS_VIEW_UID },
        { "virtfs.gid=", FS_VIEW_GID },
        { "virtfs.mode=", FS_VIEW_MODE },
        { "virtfs.rdev=", FS_VIEW_RDEV },
    };
    uint64_t value;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(keys); i++) {
        uint32_t bit = keys[i].bit;
        bool wide = bit == FS_VIEW_RDEV;
        const char *text;
        bool negative;

        if (!g_str_has_prefix(line, keys[i].key)) {
            continue;
        }
        if (view->valid & bit) {
            return LOCAL_TEXT_TWICE;
        }
        text = line + strlen(keys[i].key);
        /*
         * Other QEMUs write 32 bits with a sign, device numbers too: -2 for
         * 4294967294. No mode has that many bits.
         */
        negative = bit != FS_VIEW_MODE && *text == '-';
        if (!parse_number(text + negative,
                          negative ? 1ULL << 31 :
                          wide ? UINT64_MAX : UINT32_MAX, &value)) {
            return LOCAL_TEXT_NUMBER;
        }
        if (negative) {
            value = (uint32_t)-value;
        }
        view->valid |= bit;
        switch (bit) {
        case FS_VIEW_UID:
            view->uid = value;
            break;
        case FS_VIEW_GID:
            view->gid = value;
            break;
        case FS_VIEW_MODE:
            view->mode = value;
            break;
        case FS_VIEW_RDEV:
            view->rdev = value;
            break;
        }
        return 0;
    }
    return *line ? LOCAL_TEXT_UNKNOWN : 0;
}

static unsigned parse(char *text, FsView *view)
{
    unsigned faults = 0;
    char *line;

    while ((line = strsep(&text, "\n"))) {
        faults |= parse_line(line, view);
    }
    return faults;
}

static char *format(const FsView *view)
{
    GString *text = g_string_new(NULL);

    if (view->valid & FS_VIEW_UID) {
        g_string_append_printf(text, "virtfs.uid=%" PRIu32 "\n", view->uid);
    }
    if (view->valid & FS_VIEW_GID) {
        g_string_append_printf(text, "virtfs.gid=%" PRIu32 "\n", view->gid);
    }
    if (view->valid & FS_VIEW_MODE) {
        g_string_append_printf(text, "virtfs.mode=%" PRIu32 "\n", view->mode);
    }
    if (view->valid & FS_VIEW_RDEV) {
        g_string_append_printf(text, "virtfs.rdev=%" PRIu64 "\n", view->rdev);
    }
    return g_string_free(text, false);
}

int local_metadata_read_check(int fd, FsView *view, unsigned *faults)
{
    char text[METADATA_MAX + 1];
    ssize_t len;

    view->valid = 0;
    *faults = 0;
    len = RETRY_ON_EINTR(pread(fd, text, sizeof(text), 0));
    if (len < 0) {
        return -errno;
    }
    if (len > METADATA_MAX) {
        *faults = LOCAL_TEXT_LONG;
        return 0;
    }
    text[len] = '\0';
    if (len == 0) {
        *faults = LOCAL_TEXT_EMPTY;
    } else if (strlen(text) < (size_t)len) {
        *faults = LOCAL_TEXT_NUL;
    }
    *faults |= parse(text, view);
    return 0;
}

int local_metadata_read(int fd, FsView *view)
{
    unsigned faults;

    return local_metadata_read_check(fd, view, &faults);
}

int local_metadata_write(int fd, const FsView *view)
{
    g_autofree char *text = format(view);
    size_t len = strlen(text);
    ssize_t ret;

    ret = RETRY_ON_EINTR(pwrite(fd, text, len, 0));
    if (ret < 0) {
        return -errno;
    }
    if ((size_t)ret < len) {
        return -ENOSPC;
    }
    return RETRY_ON_EINTR(ftruncate(fd, len)) < 0 ? -errno : 0;
}

int local_metadata_close(int fd, int ret)
{
    int closed = hostfs_close_written(fd);

    return ret < 0 ? ret : closed;
}
