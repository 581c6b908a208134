/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The tables of test-fuse.h: inodes, names and numbers.
 */
#include "qemu/osdep.h"
#include "test-fuse-internal.h"

/* What all spellings of a name have in common; to be freed */
static char *fold(const TestFuse *f, const char *name)
{
    g_autoptr(GString) folded = g_string_new(NULL);

    if (!(f->habits & TEST_FUSE_FOLD)) {
        return g_strdup(name);
    }
    for (; *name; name++) {
        if (g_str_has_prefix(name, "\xc2\xad")) {
            name++;
        } else if (g_str_has_prefix(name, "\xc5\xbf")) {
            g_string_append_c(folded, 's');
            name++;
        } else {
            g_string_append_c(folded, g_ascii_tolower(*name));
        }
    }
    return g_string_free(g_steal_pointer(&folded), false);
}

Name *test_fuse_find(TestFuse *f, uint64_t dir, const char *text)
{
    g_autofree char *folded = fold(f, text);
    unsigned i;

    for (i = 0; i < NAMES; i++) {
        if (f->name[i].node && f->name[i].dir == dir) {
            g_autofree char *other = fold(f, f->name[i].text);

            if (g_str_equal(other, folded)) {
                return &f->name[i];
            }
        }
    }
    return NULL;
}

bool test_fuse_is_empty(TestFuse *f, uint64_t dir)
{
    unsigned i;

    for (i = 0; i < NAMES; i++) {
        if (f->name[i].node && f->name[i].dir == dir) {
            return false;
        }
    }
    return true;
}

int test_fuse_add(TestFuse *f, uint64_t dir, const char *text, uint64_t node)
{
    unsigned i;

    if (test_fuse_find(f, dir, text)) {
        return EEXIST;
    }
    for (i = 0; i < NAMES; i++) {
        if (!f->name[i].node) {
            f->name[i] = (Name) { .dir = dir, .node = node };
            g_strlcpy(f->name[i].text, text, sizeof(f->name[i].text));
            f->node[node].attr.nlink++;
            f->node[node].lost = false;
            return 0;
        }
    }
    return ENOSPC;
}

void test_fuse_drop(TestFuse *f, Name *name)
{
    Node *node = &f->node[name->node];

    node->lost = --node->attr.nlink == 0;
    name->node = 0;
}

uint64_t test_fuse_number(TestFuse *f, uint64_t node)
{
    return node <= FUSE_ROOT_ID ? node :
           (f->mirror ? NODES + 1 - node : node) + f->shift;
}

uint64_t test_fuse_place(TestFuse *f, uint64_t number)
{
    uint64_t node = number - f->shift;

    if (number == FUSE_ROOT_ID) {
        return number;
    }
    node = node > FUSE_ROOT_ID && node < NODES
           ? (f->mirror ? NODES + 1 - node : node) : 0;
    return node && f->node[node].attr.mode ? node : 0;
}

struct fuse_attr test_fuse_attr(TestFuse *f, uint64_t node)
{
    struct fuse_attr attr = f->node[node].attr;

    attr.ino = test_fuse_number(f, node);
    return attr;
}
