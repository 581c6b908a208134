/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Output, now or later: see print.h.
 */
#include "qemu/osdep.h"
#include "print.h"
#include "fsdev/shared/printable.h"
#include "text.h"

typedef enum PartKind {
    PART_RESULT,
    PART_MESSAGE,
    PART_MARK,
} PartKind;

typedef struct Part {
    PartKind kind;
    size_t len;
} Part;

struct MappedOutput {
    GString *text;              /* of all parts */
    GArray *parts;
};

static __thread MappedOutput *kept;
/* Only one thread at a time writes. */
static int first_error;

static void keep(MappedOutput *out, PartKind kind, const char *bytes,
                 size_t len)
{
    Part *last = out->parts->len ? &g_array_index(out->parts, Part,
                                                  out->parts->len - 1) : NULL;
    Part part = { .kind = kind, .len = len };

    g_string_append_len(out->text, bytes, len);
    if (last && last->kind == kind && kind != PART_MARK) {
        last->len += len;
    } else {
        g_array_append_val(out->parts, part);
    }
}

/* Remembers the first error of the output, which nobody else does. */
static void note_error(bool failed)
{
    if (failed && !first_error) {
        first_error = -errno;
    }
}

static void put(PartKind kind, const char *bytes, size_t len)
{
    if (kind == PART_RESULT) {
        note_error(fwrite(bytes, 1, len, stdout) < len);
    } else {
        mapped_progress_end();
        note_error(fflush(stdout) != 0);
        fwrite(bytes, 1, len, stderr);
    }
}

int mapped_print_end(void)
{
    note_error(fflush(stdout) != 0);
    return first_error ? first_error : ferror(stdout) ? -EIO : 0;
}

static void print(PartKind kind, const char *bytes, size_t len)
{
    if (kept) {
        keep(kept, kind, bytes, len);
    } else {
        put(kind, bytes, len);
    }
}

void mapped_print(const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    print(PART_RESULT, text, strlen(text));
}

void mapped_print_bytes(const char *bytes, size_t len)
{
    print(PART_RESULT, bytes, len);
}

void mapped_print_message(const char *fmt, ...)
{
    g_autofree char *raw = NULL;
    g_autofree char *text = NULL;
    g_autofree char *line = NULL;
    va_list ap;

    va_start(ap, fmt);
    raw = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    text = text_printable(raw);
    line = g_strconcat(PROGRAM ": ", text, "\n", NULL);
    print(PART_MESSAGE, line, strlen(line));
}

MappedOutput *mapped_output_new(void)
{
    MappedOutput *out = g_new(MappedOutput, 1);

    out->text = g_string_new(NULL);
    out->parts = g_array_new(false, false, sizeof(Part));
    return out;
}

void mapped_output_free(MappedOutput *out)
{
    g_string_free(out->text, true);
    g_array_free(out->parts, true);
    g_free(out);
}

size_t mapped_output_size(const MappedOutput *out)
{
    return out->text->len;
}

void mapped_output_to(MappedOutput *out)
{
    kept = out;
}

void mapped_output_mark(MappedOutput *out, const char *what)
{
    keep(out, PART_MARK, what, strlen(what) + 1);
}

void mapped_output_put(const MappedOutput *out,
                       void (*mark)(const char *what, void *opaque),
                       void *opaque)
{
    const char *at = out->text->str;
    unsigned i;

    for (i = 0; i < out->parts->len; i++) {
        const Part *part = &g_array_index(out->parts, Part, i);

        if (part->kind != PART_MARK) {
            print(part->kind, at, part->len);
        } else if (mark) {
            mark(at, opaque);
        }
        at += part->len;
    }
}
