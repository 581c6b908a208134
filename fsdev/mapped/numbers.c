/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Numbers in the command line and in marks: see numbers.h.
 */
#include "qemu/osdep.h"
#include "numbers.h"

bool mapped_parse_number(const char *text, int base, uint64_t max,
                         uint64_t *n)
{
    char *end;

    if (!g_ascii_isdigit(*text)) {
        return false;
    }
    errno = 0;
    *n = strtoull(text, &end, base);
    return errno == 0 && *end == '\0' && *n <= max;
}

bool mapped_parse_mode(const char *text, uint32_t *mode)
{
    uint64_t n;
    bool ok = mapped_parse_number(text, 8, 07777, &n);

    *mode = ok ? n : 0;
    return ok;
}

/* The id of all bits means "leave it" to chown(2). */
bool mapped_parse_id(const char *text, uint32_t *id)
{
    uint64_t n;
    bool ok = mapped_parse_number(text, 10, UINT32_MAX - 1, &n);

    *id = ok ? n : 0;
    return ok;
}

bool mapped_parse_owner(const char *text, uint32_t *uid, uint32_t *gid)
{
    g_auto(GStrv) part = g_strsplit(text, ":", 2);

    return part[0] && part[1] && mapped_parse_id(part[0], uid) &&
           mapped_parse_id(part[1], gid);
}
