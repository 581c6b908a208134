/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages as text.
 *
 * A layout is a list of fields, each with a letter for its encoding and for how
 * it is shown. Fields at the end of a message that would not help a reader are
 * left out. Strings come from a guest, so bytes that could harm a terminal are
 * escaped, and a long string is cut.
 */
#include "qemu/osdep.h"
#include "fsdev/shared/marshal.h"
#include "wire.h"
#include "trace.h"

/* Bytes of one string that are shown */
#define STRING_MAX      256
/* Bytes of text after which no more fields are shown */
#define FIELDS_MAX      2048

/*
 * 1, 2, 4, 8: unsigned integer of that many bytes, decimal
 * d: four bytes, a fid or id, where all ones are "none"
 * o: four bytes, octal
 * x, X: four, eight bytes, hexadecimal
 * s: string
 * W: a count and that many strings, with slashes between them
 */
static const char *const layouts[] = {
    [P9_TVERSION] = "msize=4 version=s",
    [P9_TATTACH] = "fid=4 afid=d uname=s aname=s uid=d",
    [P9_TFLUSH] = "oldtag=2",
    [P9_TWALK] = "fid=4 newfid=4 names=W",
    [P9_TCLUNK] = "fid=4",
    [P9_TREMOVE] = "fid=4",
    [P9_TREAD] = "fid=4 offset=8 count=4",
    [P9_TWRITE] = "fid=4 offset=8 count=4",
    /* 9P2000.L */
    [P9_TSTATFS] = "fid=4",
    [P9_TLOPEN] = "fid=4 flags=o",
    [P9_TLCREATE] = "fid=4 name=s flags=o mode=o gid=d",
    [P9_TSYMLINK] = "fid=4 name=s target=s gid=d",
    [P9_TMKNOD] = "fid=4 name=s mode=o major=4 minor=4 gid=d",
    [P9_TRENAME] = "fid=4 dfid=4 name=s",
    [P9_TREADLINK] = "fid=4",
    [P9_TGETATTR] = "fid=4 mask=X",
    [P9_TSETATTR] = "fid=4 valid=x mode=o uid=d gid=d size=8",
    [P9_TXATTRWALK] = "fid=4 newfid=4 name=s",
    [P9_TXATTRCREATE] = "fid=4 name=s size=8 flags=x",
    [P9_TREADDIR] = "fid=4 offset=8 count=4",
    [P9_TFSYNC] = "fid=4 datasync=4",
    [P9_TLOCK] = "fid=4 type=1 flags=x start=8 length=8 proc=4 client=s",
    [P9_TGETLOCK] = "fid=4 type=1 start=8 length=8 proc=4 client=s",
    [P9_TLINK] = "dfid=4 fid=4 name=s",
    [P9_TMKDIR] = "dfid=4 name=s mode=o gid=d",
    [P9_TRENAMEAT] = "olddirfid=4 oldname=s newdirfid=4 newname=s",
    [P9_TUNLINKAT] = "dfid=4 name=s flags=x",
    /* 9P2000.u */
    [P9_TOPEN] = "fid=4 mode=1",
    [P9_TCREATE] = "fid=4 name=s perm=o mode=1 extension=s",
    [P9_TSTAT] = "fid=4",
    [P9_TWSTAT] = "fid=4",
};

static void show_string(GString *text, MarshalReader *r)
{
    size_t len = marshal_get_u16(r);
    const char *bytes = marshal_get_bytes(r, len);
    g_autofree char *copy = NULL;
    g_autofree char *shown = NULL;

    if (bytes) {
        copy = g_strndup(bytes, MIN(len, STRING_MAX));
        shown = g_strescape(copy, NULL);
        g_string_append(text, shown);
        if (len > STRING_MAX) {
            g_string_append(text, "...");
        }
    }
}

static void show_id(GString *text, uint32_t id)
{
    if (id == P9_NOFID) {
        g_string_append(text, "none");
    } else {
        g_string_append_printf(text, "%" PRIu32, id);
    }
}

static void show_field(GString *text, char code, MarshalReader *r)
{
    unsigned n;

    switch (code) {
    case '1':
        g_string_append_printf(text, "%u", marshal_get_u8(r));
        break;
    case '2':
        g_string_append_printf(text, "%u", marshal_get_u16(r));
        break;
    case '4':
        g_string_append_printf(text, "%" PRIu32, marshal_get_u32(r));
        break;
    case '8':
        g_string_append_printf(text, "%" PRIu64, marshal_get_u64(r));
        break;
    case 'd':
        show_id(text, marshal_get_u32(r));
        break;
    case 'o':
        g_string_append_printf(text, "0%" PRIo32, marshal_get_u32(r));
        break;
    case 'x':
        g_string_append_printf(text, "0x%" PRIx32, marshal_get_u32(r));
        break;
    case 'X':
        g_string_append_printf(text, "0x%" PRIx64, marshal_get_u64(r));
        break;
    case 's':
        show_string(text, r);
        break;
    case 'W':
        for (n = marshal_get_u16(r); n > 0 && marshal_ok(r) &&
             text->len < FIELDS_MAX; n--) {
            show_string(text, r);
            if (n > 1) {
                g_string_append_c(text, '/');
            }
        }
        break;
    default:
        g_assert_not_reached();
    }
}

char *p9_trace_fields(uint8_t type, const void *bytes, size_t size)
{
    const char *layout = type < ARRAY_SIZE(layouts) ? layouts[type] : NULL;
    GString *text = g_string_new(NULL);
    MarshalReader r;

    if (!layout) {
        return g_string_free(text, false);
    }
    /* The bytes stay as they are, because strings are read as bytes. */
    marshal_reader_init(&r, (void *)bytes, size);
    while (*layout && marshal_ok(&r) && text->len < FIELDS_MAX) {
        size_t len = strcspn(layout, "=");
        size_t before = text->len;

        g_string_append_c(text, ' ');
        g_string_append_len(text, layout, len + 1);
        show_field(text, layout[len + 1], &r);
        if (!marshal_ok(&r)) {
            g_string_truncate(text, before);
            g_string_append(text, " (and no more that could be read)");
        }
        layout += len + 2;
        layout += *layout == ' ';
    }
    return g_string_free(text, false);
}
