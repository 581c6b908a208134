/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Files with several names: see links.h. A table of those of which a name has
 * yet to come.
 */
#include "qemu/osdep.h"
#include "hw/9pfs/local/mapped-check.h"
#include "links.h"

typedef struct Link {
    LocalInodeKey key;
    uint64_t left;              /* names that are to come */
    char path[];
} Link;

struct MappedLinks {
    GHashTable *table;
    Link *last;                 /* all of its names were met */
};

MappedLinks *mapped_links_new(void)
{
    MappedLinks *links = g_new0(MappedLinks, 1);

    links->table = g_hash_table_new_full(local_inode_hash, local_inode_equal,
                                         g_free, NULL);
    return links;
}

void mapped_links_free(MappedLinks *links)
{
    g_hash_table_unref(links->table);
    g_free(links->last);
    g_free(links);
}

static void remember(MappedLinks *links, const LocalInodeKey *key,
                     uint64_t left, const char *path)
{
    Link *l = g_malloc(sizeof(*l) + strlen(path) + 1);

    l->key = *key;
    l->left = left;
    strcpy(l->path, path);
    g_hash_table_add(links->table, l);
}

const char *mapped_links_meet(MappedLinks *links, const FsAttr *attr,
                              const char *path)
{
    LocalInodeKey key = { .dev = attr->dev, .ino = attr->ino };
    Link *l;

    if (attr->nlink < 2 || S_ISDIR(attr->mode)) {
        return NULL;
    }
    l = g_hash_table_lookup(links->table, &key);
    if (!l) {
        remember(links, &key, attr->nlink - 1, path);
        return NULL;
    }
    if (--l->left == 0) {
        g_hash_table_steal(links->table, l);
        g_free(links->last);
        links->last = l;
    }
    return l->path;
}
