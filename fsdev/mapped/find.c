/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * virtfs-mapped find: the files of a share that meet all tests, with the
 * guest's owners, modes and types.
 */
#include "qemu/osdep.h"
#include <fnmatch.h>
#include "fsdev/shared/printable.h"
#include "arg.h"
#include "commands.h"
#include "numbers.h"
#include "output.h"
#include "tree.h"

typedef enum TestKind {
    TEST_UID,
    TEST_GID,
    TEST_MODE,                  /* all bits are so */
    TEST_MODE_ALL,              /* -mode -BITS */
    TEST_MODE_ANY,              /* -mode /BITS */
    TEST_TYPE,
    TEST_NAME,
} TestKind;

typedef struct Test {
    TestKind kind;
    bool not;
    uint32_t number;
    const char *text;
} Test;

typedef struct Find {
    const MappedOptions *o;
    const MappedEntry *start;
    GArray *tests;
} Find;

static bool parse_value(const char *key, const char *value, Test *t)
{
    if (g_str_equal(key, "-uid") || g_str_equal(key, "-gid")) {
        t->kind = key[1] == 'u' ? TEST_UID : TEST_GID;
        return mapped_parse_id(value, &t->number);
    }
    if (g_str_equal(key, "-mode")) {
        t->kind = *value == '-' ? TEST_MODE_ALL :
                  *value == '/' ? TEST_MODE_ANY : TEST_MODE;
        return mapped_parse_mode(value + (t->kind != TEST_MODE), &t->number);
    }
    if (g_str_equal(key, "-type")) {
        t->kind = TEST_TYPE;
        t->number = (unsigned char)value[0];
        return strlen(value) == 1 && strchr("fdlpscb", value[0]);
    }
    t->kind = TEST_NAME;
    t->text = value;
    return true;
}

/* The tests after DIR; false with a message */
static bool parse_tests(Find *f)
{
    static const char *const keys[] = {
        "-uid", "-gid", "-mode", "-type", "-name", NULL
    };
    char **arg = f->o->args + 1;

    while (*arg) {
        Test t = { };

        while (*arg && g_str_equal(*arg, "!")) {
            t.not = !t.not;
            arg++;
        }
        if (!*arg || !g_strv_contains(keys, *arg)) {
            mapped_usage("find: '%s' is no test", *arg ? *arg : "!");
            return false;
        }
        if (!arg[1]) {
            mapped_usage("find: %s needs a value", *arg);
            return false;
        }
        if (!parse_value(arg[0], arg[1], &t)) {
            mapped_usage("find: %s %s: not a valid value", arg[0], arg[1]);
            return false;
        }
        g_array_append_val(f->tests, t);
        arg += 2;
    }
    return true;
}

static bool test(const Test *t, const MappedEntry *e, const char *name)
{
    uint32_t mode = e->attr.mode & 07777;
    g_autofree char *base = NULL;

    switch (t->kind) {
    case TEST_UID:
        return e->attr.uid == t->number;
    case TEST_GID:
        return e->attr.gid == t->number;
    case TEST_MODE:
        return mode == t->number;
    case TEST_MODE_ALL:
        return (mode & t->number) == t->number;
    case TEST_MODE_ANY:
        return (mode & t->number) || !t->number;
    case TEST_TYPE:
        return (unsigned char)mapped_type_letter(e->attr.mode, false) ==
               t->number;
    case TEST_NAME:
        base = g_path_get_basename(name);
        return fnmatch(t->text, base, 0) == 0;
    }
    return false;
}

static TreeNext find_visit(const MappedEntry *e, void *opaque)
{
    Find *f = opaque;
    g_autofree char *name = mapped_arg_name(f->o->args[0], f->start, e->path);
    g_autofree char *shown = NULL;
    unsigned i;

    for (i = 0; i < f->tests->len; i++) {
        const Test *t = &g_array_index(f->tests, Test, i);

        if (test(t, e, name) == t->not) {
            return TREE_ON;
        }
    }
    if (f->o->json) {
        mapped_put_json(e, name);
    } else if (f->o->zero) {
        mapped_print_bytes(name, strlen(name) + 1);
    } else {
        shown = text_printable(name);
        mapped_print("%s\n", shown);
    }
    return TREE_ON;
}

int mapped_find(const MappedOptions *o)
{
    static const TreeOps ops = { .visit = find_visit, .any_thread = true };
    g_autoptr(GArray) tests = g_array_new(false, false, sizeof(Test));
    Find f = { .o = o, .tests = tests };
    MappedShare s;
    MappedEntry e;
    bool bad;

    if (!parse_tests(&f)) {
        return EXIT_USAGE;
    }
    if (!mapped_open_arg(o, o->args[0], SHARE_READS, &s, &e)) {
        return EXIT_PROBLEMS;
    }
    f.start = &e;
    mapped_tree_walk(&e, &ops, &f);
    bad = s.problems;
    mapped_close_arg(&s, &e);
    return bad ? EXIT_PROBLEMS : EXIT_GOOD;
}
