/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How inputs change from run to run: see mutate.h.
 *
 * Random bytes rarely give a sequence in which each message is valid up to one
 * field. So most mutations know records and their fields. They keep the rest of
 * the input whole, and they add whole messages and blocks of messages. Numbers
 * are near a limit of some type or buffer, or near the number that was there.
 * The rest of the mutations are libFuzzer's own.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "mutate.h"

/* How many records of an input mutations change */
#define RECORDS_MAX     128
/* How many fields of a record mutations know */
#define FIELDS_MAX      64
/* How many blocks there are at once */
#define BLOCKS_MAX      16
#define FIDS            8
#define HANDLES         12

typedef struct Records {
    size_t starts[RECORDS_MAX + 1];     /* the last one: where they end */
    size_t num;
} Records;

typedef struct Field {
    char letter;
    size_t at;
    size_t size;
} Field;

/* Makes fields of new records. */
typedef struct Maker {
    const FuzzGrammar *grammar;
    GRand *r;
    uint8_t setup;
    uint32_t fid;               /* the one that the record is about */
    uint32_t new_fid;
} Maker;

static unsigned pick(GRand *r, unsigned n)
{
    return g_rand_int_range(r, 0, n);
}

static void find_records(const uint8_t *data, size_t size, Records *records)
{
    FuzzInput in = { data, size };
    FuzzRecord rec;
    size_t n = 0;

    fuzz_u8(&in);
    while (n < RECORDS_MAX && in.left) {
        records->starts[n++] = in.data - data;
        fuzz_record(&in, &rec);
    }
    records->starts[n] = in.data - data;
    records->num = n;
}

/*
 * Replaces @old bytes with those of @with. Returns the new size, or 0 if there
 * is no room.
 */
static size_t put_in(uint8_t *data, size_t size, size_t max, size_t at,
                     size_t old, const uint8_t *with, size_t len)
{
    if (size - old + len > max) {
        return 0;
    }
    memmove(data + at + len, data + at + old, size - at - old);
    if (len) {
        memcpy(data + at, with, len);
    }
    return size - old + len;
}

/*
 * Numbers
 */

/* A number that code may treat wrongly, cut to @width bytes by the caller */
static uint64_t edge(GRand *r)
{
    static const uint64_t limits[] = {
        0, 16, 255, 4096, 8192, 16384, 65536, 512 * 1024, 1024 * 1024,
        0x7fff, 0xffff, INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX,
    };

    switch (pick(r, 3)) {
    case 0:
        return limits[pick(r, G_N_ELEMENTS(limits))] + pick(r, 5) - 2;
    case 1:
        return (1ull << pick(r, 64)) - pick(r, 2);
    default:
        return limits[pick(r, G_N_ELEMENTS(limits))];
    }
}

/* A number that is valid in many places */
static uint64_t plain(GRand *r, unsigned width)
{
    static const uint32_t usual[] = { 0, 0, 1, 2, 3, 8, 100, 0644, 0755, 4096 };
    uint64_t n = usual[pick(r, G_N_ELEMENTS(usual))];

    return width == 1 ? n % 8 : n;
}

static void append_number(GByteArray *to, uint64_t n, unsigned width)
{
    uint8_t bytes[8];

    stq_le_p(bytes, n);
    g_byte_array_append(to, bytes, width);
}

/* Changes a number in a body whose fields are not known. */
static void change_number(uint8_t *body, size_t size, GRand *r)
{
    size_t width = 1u << pick(r, 4);
    uint64_t v = 0;
    size_t at;

    if (size < width) {
        return;
    }
    at = pick(r, size - width + 1);
    memcpy(&v, body + at, width);
    v = g_rand_boolean(r) ? v + g_rand_int_range(r, -4, 5) : edge(r);
    memcpy(body + at, &v, width);
}

/*
 * Fields
 */

/* How many bytes to put where any number of bytes may be */
static size_t some_length(GRand *r)
{
    return pick(r, 4) ? pick(r, 20) : MIN(edge(r), 2000);
}

static void append_bytes(GByteArray *to, GRand *r, size_t len)
{
    g_autofree uint8_t *bytes = g_malloc(len + 1);

    memset(bytes, pick(r, 2) ? 'a' : pick(r, 256), len);
    if (len && pick(r, 2)) {
        bytes[pick(r, len)] = pick(r, 256);
    }
    g_byte_array_append(to, bytes, len);
}

static void append_string(GByteArray *to, const Maker *m, unsigned n_words)
{
    const char *word;
    size_t len;

    if (pick(m->r, 32) == 0) {
        len = some_length(m->r);
        append_number(to, len, 2);
        append_bytes(to, m->r, len);
        return;
    }
    word = m->grammar->words[pick(m->r, n_words)];
    append_number(to, strlen(word), 2);
    g_byte_array_append(to, (const uint8_t *)word, strlen(word));
}

/* The name of an attribute */
static void append_attribute(GByteArray *to, const Maker *m, bool edgy)
{
    static const char *const attributes[] = {
        "user.a", "user.b", "user.a", "system.posix_acl_access",
    };
    const char *name = attributes[pick(m->r, G_N_ELEMENTS(attributes))];

    if (edgy) {
        append_string(to, m, m->grammar->n_words);
    } else {
        append_number(to, strlen(name), 2);
        g_byte_array_append(to, (const uint8_t *)name, strlen(name));
    }
}

/* Lines of numbers (hw/9pfs/local/mapped-text.c) */
static void append_text(GByteArray *to, GRand *r, bool edgy)
{
    static const char *const keys[] = {
        "virtfs.uid=", "virtfs.gid=", "virtfs.mode=", "virtfs.rdev=",
    };
    static const char *const numbers[] = {
        "0", "1000", "-2", "33188", "8624", "16877", "41453", "2049",
    };
    unsigned lines = pick(r, 6);

    while (lines--) {
        g_autofree char *odd = g_strdup_printf(
            "%s%" PRIu64, pick(r, 4) ? "" : "-", edge(r));
        g_autofree char *line = g_strdup_printf(
            "%s%s%s", keys[pick(r, G_N_ELEMENTS(keys))],
            edgy ? odd : numbers[pick(r, G_N_ELEMENTS(numbers))],
            pick(r, 8) ? "\n" : "");

        g_byte_array_append(to, (const uint8_t *)line, strlen(line));
    }
}

/* The value of an attribute that is an ACL (fsdev/shared/acl.c) */
static void append_acl(GByteArray *to, GRand *r, bool edgy)
{
    static const uint16_t tags[] = { 1, 2, 4, 8, 16, 32 };

    append_number(to, edgy && pick(r, 2) == 0 ? edge(r) : 2, 4);
    for (unsigned i = 0; i < G_N_ELEMENTS(tags); i++) {
        if (edgy && pick(r, 4) == 0) {
            continue;           /* one that may have to be there */
        }
        append_number(to, edgy && pick(r, 8) == 0 ? edge(r) : tags[i], 2);
        append_number(to, edgy ? pick(r, 16) : pick(r, 8), 2);
        append_number(to, tags[i] == 2 || tags[i] == 8 ? pick(r, 9)
                                                       : UINT32_MAX, 4);
    }
    append_bytes(to, r, edgy ? pick(r, 9) : 0);
}

/* @edgy: the field gets a value that is seldom valid. */
static void append_field(GByteArray *to, const Maker *m, char letter,
                         bool edgy)
{
    unsigned width = letter - '0';
    size_t n;

    switch (letter) {
    case 'b':
        append_number(to, edgy ? edge(m->r) : pick(m->r, 2) * pick(m->r, 4), 4);
        break;
    case 'o':
        append_number(to, edgy ? edge(m->r) : pick(m->r, 2) * pick(m->r, 20),
                      8);
        break;
    case 'z':
        n = pick(m->r, 2) ? 65535 + pick(m->r, 3) : edge(m->r);
        append_number(to, edgy ? n : pick(m->r, 20), 8);
        break;
    case 'f':
        append_number(to, edgy ? pick(m->r, FIDS) : m->fid, 4);
        break;
    case 'n':
        append_number(to, edgy ? pick(m->r, FIDS) : m->new_fid, 4);
        break;
    case 'g':
        append_number(to, pick(m->r, 4) ? pick(m->r, FIDS) : edge(m->r), 4);
        break;
    case 'h':
        append_number(to, edgy ? edge(m->r) : 1 + pick(m->r, HANDLES), 8);
        break;
    case 's':
        append_string(to, m, m->grammar->n_words);
        break;
    case 'x':
        append_attribute(to, m, edgy);
        break;
    case 'w':
        n = edgy ? pick(m->r, 20) : pick(m->r, 8) ? 1 : pick(m->r, 4);
        append_number(to, n, 2);
        while (n--) {
            append_string(to, m, edgy ? m->grammar->n_words
                                      : m->grammar->n_names);
        }
        break;
    case 'd':
        n = edgy ? some_length(m->r) : pick(m->r, 20);
        append_number(to, edgy ? edge(m->r) : n, 4);
        append_bytes(to, m->r, n);
        break;
    case 'D':
        append_bytes(to, m->r, some_length(m->r));
        break;
    case 't':
        append_text(to, m->r, edgy);
        break;
    case 'a':
        append_acl(to, m->r, edgy);
        break;
    default:
        append_number(to, edgy ? edge(m->r) : plain(m->r, width), width);
    }
}

/* The size of the field at @body, or 0 if it is cut off */
static size_t field_size(char letter, const uint8_t *body, size_t left)
{
    size_t size, n;

    switch (letter) {
    case 'f':
    case 'n':
    case 'g':
    case 'b':
        return left < 4 ? 0 : 4;
    case 'h':
    case 'o':
    case 'z':
        return left < 8 ? 0 : 8;
    case 's':
    case 'x':
        return left < 2 ? 0 : MIN(left, 2 + lduw_le_p(body));
    case 'd':
        return left < 4 ? 0 : MIN(left, (size_t)4 + (uint32_t)ldl_le_p(body));
    case 'D':
    case 't':
    case 'a':
        return left;
    case 'w':
        if (left < 2) {
            return 0;
        }
        for (size = 2, n = lduw_le_p(body); n && left - size >= 2; n--) {
            size += MIN(left - size, 2 + lduw_le_p(body + size));
        }
        return size;
    default:
        return left < letter - '0' ? 0 : letter - '0';
    }
}

static unsigned find_fields(const char *letters, const FuzzRecord *rec,
                            Field fields[FIELDS_MAX])
{
    size_t at = 0;
    unsigned n = 0;

    for (; *letters && n < FIELDS_MAX; letters++) {
        size_t size = field_size(*letters, rec->body + at, rec->size - at);

        if (size == 0) {
            break;
        }
        fields[n++] = (Field) { *letters, at, size };
        at += size;
    }
    return n;
}

/* Gives one field of the record at @at another value. */
static size_t change_field(uint8_t *data, size_t size, size_t max, size_t at,
                           const Maker *m)
{
    g_autoptr(GByteArray) value = g_byte_array_new();
    FuzzInput in = { data + at, size - at };
    Field fields[FIELDS_MAX];
    const char *letters;
    FuzzRecord rec;
    const Field *f;
    unsigned n;

    fuzz_record(&in, &rec);
    letters = m->grammar->fields(data[0], &rec);
    n = letters ? find_fields(letters, &rec, fields) : 0;
    if (n == 0) {
        change_number(data + at + FUZZ_RECORD_HEAD, rec.size, m->r);
        return size;
    }
    f = &fields[pick(m->r, n)];
    if (f->letter >= '1' && f->letter <= '8' && pick(m->r, 4) == 0) {
        change_number(data + at + FUZZ_RECORD_HEAD + f->at, f->size, m->r);
        return size;
    }
    append_field(value, m, f->letter, true);
    size = put_in(data, size, max, at + FUZZ_RECORD_HEAD + f->at, f->size,
                  value->data, value->len);
    if (size) {
        stw_le_p(data + at + 3, rec.size - f->size + value->len);
    }
    return size;
}

/*
 * Records
 */

/* Makes a new record of @kind. One of its fields may be @edgy. */
static void append_record(GByteArray *to, const Maker *m, uint8_t setup,
                          uint8_t kind, bool edgy)
{
    g_autoptr(GByteArray) body = g_byte_array_new();
    FuzzRecord rec = { .kind = kind, .id = pick(m->r, 16) };
    const char *letters;
    unsigned strange;

    if (m->grammar->together && pick(m->r, 3) == 0) {
        rec.flags |= m->grammar->together;
    }
    if (m->grammar->as_it_is && edgy && pick(m->r, 8) == 0) {
        rec.flags |= m->grammar->as_it_is;
    }
    letters = m->grammar->fields(setup, &rec);
    if (letters && *letters) {
        strange = edgy ? pick(m->r, strlen(letters)) : UINT_MAX;
        for (unsigned i = 0; letters[i]; i++) {
            append_field(body, m, letters[i], i == strange);
        }
    }
    rec.size = MIN(body->len, UINT16_MAX);
    append_number(to, rec.kind, 1);
    append_number(to, rec.id, 1);
    append_number(to, rec.flags, 1);
    append_number(to, rec.size, 2);
    g_byte_array_append(to, body->data, rec.size);
}

/* Makes a new block about @fid: mostly valid, or with one strange field. */
static void append_block(GByteArray *to, Maker *m, uint32_t fid)
{
    const FuzzGrammar *grammar = m->grammar;
    const uint8_t *block = grammar->blocks[pick(m->r, grammar->n_blocks)];
    /* The first record mostly makes the fid. */
    unsigned strange = pick(m->r, 8) ? 1 + pick(m->r, 4) : 0;

    m->fid = 0;                 /* until a record has made the new one */
    m->new_fid = fid;
    for (unsigned i = 0; i < FUZZ_BLOCK_MAX && block[i] != FUZZ_BLOCK_END;
         i++) {
        append_record(to, m, m->setup, block[i] == FUZZ_BLOCK_ANY
                      ? pick(m->r, grammar->kinds) : block[i], i == strange);
        if (block[i] == grammar->maker) {
            m->fid = fid;
            m->new_fid = 1 + pick(m->r, FIDS - 1);
        }
    }
}

/* Puts new records, or blocks of them, in front of a record. */
static size_t add_blocks(uint8_t *data, size_t size, size_t max,
                         const Records *records, Maker *m)
{
    g_autoptr(GByteArray) new = g_byte_array_new();
    unsigned n = pick(m->r, 4) ? 1 : BLOCKS_MAX;

    while (n--) {
        if (!m->grammar->n_blocks || pick(m->r, 4) == 0) {
            append_record(new, m, data[0], pick(m->r, m->grammar->kinds),
                          true);
        } else {
            append_block(new, m, 1 + pick(m->r, FIDS - 1));
        }
    }
    return put_in(data, size, max,
                  records->starts[pick(m->r, records->num + 1)], 0,
                  new->data, new->len);
}

/* Makes an input of blocks only, with any setup. */
static size_t make_input(uint8_t *data, size_t max, Maker *m)
{
    g_autoptr(GByteArray) new = g_byte_array_new();
    unsigned n;

    m->setup = pick(m->r, 2) ? data[0] : pick(m->r, 256);
    append_number(new, m->setup, 1);
    for (n = 0; n < BLOCKS_MAX; n++) {
        append_block(new, m, 1 + n % (FIDS - 1));
    }
    return put_in(data, 0, max, 0, 0, new->data, MIN(new->len, max));
}

/* Makes a body longer or shorter, and corrects the size in its record. */
static size_t change_size(uint8_t *data, size_t size, size_t max, size_t at,
                          size_t old, GRand *r)
{
    uint8_t bytes[64];
    size_t body = old - FUZZ_RECORD_HEAD;
    size_t len = 0;
    size_t cut = 0;

    memset(bytes, pick(r, 256), sizeof(bytes));
    if (g_rand_boolean(r)) {
        len = pick(r, sizeof(bytes));
    } else {
        cut = pick(r, body + 1);
    }
    stw_le_p(data + at + 3, body - cut + len);
    return put_in(data, size, max, at + old - cut, cut, bytes, len);
}

static size_t change_record(uint8_t *data, size_t size, size_t max,
                            const Records *records, const Maker *m)
{
    size_t a = pick(m->r, records->num);
    size_t b = pick(m->r, records->num);
    size_t at = records->starts[a];
    size_t len = records->starts[a + 1] - at;
    g_autofree uint8_t *copy = NULL;

    if (len < FUZZ_RECORD_HEAD) {
        return 0;
    }
    copy = g_memdup2(data + at, len);
    switch (pick(m->r, 10)) {
    case 0:                     /* copy it to another place */
        return put_in(data, size, max, records->starts[b], 0, copy, len);
    case 1:                     /* remove it */
        return put_in(data, size, max, at, len, copy, 0);
    case 2:
        return change_size(data, size, max, at, len, m->r);
    case 3:                     /* change its kind, id or flags */
        data[at + pick(m->r, 3)] ^= 1 << pick(m->r, 8);
        return size;
    case 4:
        data[at] = pick(m->r, m->grammar->kinds);
        return size;
    default:
        return change_field(data, size, max, at, m);
    }
}

/* Where the next one of @which is in a text, or its end */
static size_t find_next(const uint8_t *data, size_t size, size_t at,
                        const char *which)
{
    while (at < size && (!data[at] || !strchr(which, data[at]))) {
        at++;
    }
    return at;
}

/* Puts a word of the grammar into a text, or in place of a piece or a value. */
static size_t change_text(uint8_t *data, size_t size, size_t max,
                          const Maker *m)
{
    static const char delimiters[] = ",=:{}[]\"";
    const char *word = m->grammar->words[pick(m->r, m->grammar->n_words)];
    size_t at = 1 + pick(m->r, size);
    size_t end;

    switch (pick(m->r, 3)) {
    case 0:
        at = find_next(data, size, at, delimiters);
        at += at < size && pick(m->r, 2);
        end = at;
        break;
    case 1:
        at = find_next(data, size, at, delimiters);
        at += at < size;
        end = find_next(data, size, at, delimiters);
        break;
    default:
        at = find_next(data, size, at, ":=");
        at += at < size;
        end = find_next(data, size, at, ",}]");
    }
    return put_in(data, size, max, at, end - at, (const uint8_t *)word,
                  strlen(word));
}

static size_t make_text(uint8_t *data, size_t max, const Maker *m)
{
    g_autoptr(GByteArray) new = g_byte_array_new();

    m->grammar->make_text(new, m->r);
    return put_in(data, 0, max, 0, 0, new->data, MIN(new->len, max));
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max,
                               unsigned seed)
{
    g_autoptr(GRand) r = g_rand_new_with_seed(seed);
    Maker m = {
        .grammar = size ? fuzz_grammar(data[0]) : NULL,
        .r = r,
        .setup = size ? data[0] : 0,
        .fid = 1 + pick(r, FIDS - 1),
        .new_fid = 1 + pick(r, FIDS - 1),
    };
    Records records;
    size_t ret = 0;
    unsigned kind = pick(r, 9);

    if (m.grammar && m.grammar->make_text) {
        ret = kind < 3 ? make_text(data, max, &m)
            : kind < 8 ? change_text(data, size, max, &m) : 0;
    } else if (m.grammar) {
        find_records(data, size, &records);
        if (kind < 3 && m.grammar->n_blocks) {
            ret = make_input(data, max, &m);
        } else if (kind < 5) {
            ret = add_blocks(data, size, max, &records, &m);
        } else if (kind < 8 && records.num) {
            ret = change_record(data, size, max, &records, &m);
        }
    }
    return ret ? ret : LLVMFuzzerMutate(data, size, max);
}

/* The first input up to some record, then records of the second */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data1, size_t size1,
                                 const uint8_t *data2, size_t size2,
                                 uint8_t *out, size_t max, unsigned seed)
{
    g_autoptr(GRand) r = g_rand_new_with_seed(seed);
    Records a, b;
    size_t keep, from, len;

    if (!size1 || !size2 || pick(r, 2)) {
        return 0;               /* another mutation, then */
    }
    if (fuzz_grammar(data1[0])->make_text) {
        return 0;               /* halves of texts make no text */
    }
    find_records(data1, size1, &a);
    find_records(data2, size2, &b);
    keep = MIN(a.starts[pick(r, a.num + 1)], max);
    from = b.starts[pick(r, b.num + 1)];
    len = MIN(b.starts[b.num] - from, max - keep);
    memcpy(out, data1, keep);
    memcpy(out + keep, data2 + from, len);
    return keep + len;
}
