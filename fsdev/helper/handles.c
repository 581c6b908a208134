/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The handles that QEMU has: see handles.h.
 *
 * Slots are an array that grows by doubling; the free ones form a list. One
 * hash table finds the slot of an inode, another the slot of an adopted handle.
 * They hold the slots' numbers, because the array moves when it grows.
 */
#include "qemu/osdep.h"
#include "handles.h"
#include "log.h"
#include "fsdev/shared/proto.h"
#include <pthread.h>

#define SLOTS_MIN       64
#define NO_SLOT         UINT32_MAX
#define ROOT_SLOT       0
/* Generations have the bits between the slot's number and PROXY_ADOPTED. */
#define GENERATION_MAX  ((uint32_t)((PROXY_ADOPTED - 1) >> 32))

G_STATIC_ASSERT(PROXY_ROOT_HANDLE == ROOT_SLOT + 1);

typedef struct Slot {
    uint64_t dev;
    uint64_t ino;
    uint64_t refs;              /* QEMU's references */
    uint64_t parent;            /* handle of the directory above, or 0 */
    int fd;                     /* -1: free */
    uint32_t users;             /* requests that use it now */
    uint32_t generation;
    uint32_t next_free;
} Slot;

typedef struct Inode {
    uint64_t dev;
    uint64_t ino;
    uint32_t slot;
} Inode;

/* A handle that QEMU chose, and the table's own handle for the inode */
typedef struct Adopted {
    uint64_t handle;
    uint64_t own;
} Adopted;

struct Handles {
    pthread_mutex_t lock;
    Slot *slots;
    GHashTable *by_inode;       /* set of Inode */
    GHashTable *adopted;        /* set of Adopted */
    uint32_t n;                 /* slots in the array */
    uint32_t max;
    uint32_t first_free;
    uint32_t first_generation;  /* of new slots */
};

/* Inode numbers are often consecutive: spreads them (multiplicative hash). */
static guint hash_inode(gconstpointer p)
{
    const Inode *inode = p;

    return ((inode->ino ^ inode->dev << 40) * 0x9e3779b97f4a7c15u) >> 32;
}

static gboolean equal_inodes(gconstpointer a, gconstpointer b)
{
    const Inode *x = a, *y = b;

    return x->ino == y->ino && x->dev == y->dev;
}

static uint64_t make_handle(const Handles *t, uint32_t slot)
{
    return (uint64_t)t->slots[slot].generation << 32 | (slot + 1);
}

/* The slot of @handle, even if it has no references left; NULL if none. */
static Slot *find(Handles *t, uint64_t handle)
{
    const Adopted *adopted;
    uint32_t number;
    Slot *s;

    if (handle & PROXY_ADOPTED) {
        adopted = g_hash_table_lookup(t->adopted, &handle);
        if (!adopted) {
            return NULL;
        }
        handle = adopted->own;
    }
    number = (uint32_t)handle - 1;
    if (number >= t->n) {
        return NULL;
    }
    s = &t->slots[number];
    return s->fd >= 0 && s->generation == handle >> 32 ? s : NULL;
}

static void grow(Handles *t)
{
    uint32_t n = MIN(t->max, MAX(SLOTS_MIN, t->n * 2));
    uint32_t i;

    t->slots = g_renew(Slot, t->slots, n);
    for (i = n; i > t->n; i--) {
        t->slots[i - 1] = (Slot) {
            .fd = -1, .next_free = t->first_free,
            .generation = t->first_generation,
        };
        t->first_free = i - 1;
    }
    t->n = n;
}

static uint32_t take_slot(Handles *t)
{
    uint32_t slot;

    if (t->first_free == NO_SLOT && t->n < t->max) {
        grow(t);
    }
    slot = t->first_free;
    if (slot != NO_SLOT) {
        t->first_free = t->slots[slot].next_free;
    }
    return slot;
}

/* Frees the slot if it is unused; returns the descriptor to close, or -1. */
static int drop_unneeded(Handles *t, Slot *s)
{
    Inode key = { .dev = s->dev, .ino = s->ino };
    int fd = s->fd;

    if (s->refs || s->users) {
        return -1;
    }
    g_hash_table_remove(t->by_inode, &key);
    s->fd = -1;
    s->generation = s->generation < GENERATION_MAX ? s->generation + 1 : 0;
    s->next_free = t->first_free;
    t->first_free = s - t->slots;
    return fd;
}

/* Call it without the lock: it can wait for the file system. */
static void close_dropped(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

static uint32_t add_inode(Handles *t, int fd, uint64_t dev, uint64_t ino)
{
    uint32_t slot = take_slot(t);
    Inode *inode;
    Slot *s;

    if (slot == NO_SLOT) {
        return NO_SLOT;
    }
    s = &t->slots[slot];
    s->dev = dev;
    s->ino = ino;
    s->fd = fd;
    s->refs = 0;
    s->parent = 0;
    s->users = 0;

    inode = g_new(Inode, 1);
    *inode = (Inode) { dev, ino, slot };
    g_hash_table_add(t->by_inode, inode);
    return slot;
}

Handles *handles_new(unsigned max, int root, uint64_t dev, uint64_t ino)
{
    Handles *t = g_new0(Handles, 1);
    uint32_t slot;

    pthread_mutex_init(&t->lock, NULL);
    t->by_inode = g_hash_table_new_full(hash_inode, equal_inodes, g_free,
                                        NULL);
    t->adopted = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                       NULL);
    t->max = MAX(max, 1);
    t->slots = g_new0(Slot, 1);
    t->slots[0].next_free = NO_SLOT;
    t->first_free = ROOT_SLOT;
    t->n = 1;
    slot = add_inode(t, root, dev, ino);
    t->slots[slot].refs = 1;
    t->slots[slot].users = 1;
    return t;
}

void handles_begin_late(Handles *t)
{
    t->first_generation = GENERATION_MAX - 1;
}

void handles_free(Handles *t)
{
    uint32_t i;

    for (i = ROOT_SLOT + 1; i < t->n; i++) {
        close_dropped(t->slots[i].fd);
    }
    g_hash_table_destroy(t->by_inode);
    g_hash_table_destroy(t->adopted);
    pthread_mutex_destroy(&t->lock);
    g_free(t->slots);
    g_free(t);
}

void handles_forget_all(Handles *t)
{
    uint32_t i;
    int fd;

    /* Other threads end their last requests, which drop and add handles. */
    for (i = ROOT_SLOT + 1; ; i++) {
        pthread_mutex_lock(&t->lock);
        if (i >= t->n) {
            break;
        }
        fd = -1;
        if (t->slots[i].fd >= 0) {
            t->slots[i].refs = 0;
            fd = drop_unneeded(t, &t->slots[i]);
        }
        pthread_mutex_unlock(&t->lock);
        close_dropped(fd);
    }
    g_hash_table_remove_all(t->adopted);
    pthread_mutex_unlock(&t->lock);
}

int handles_get(Handles *t, uint64_t *handle)
{
    int fd = -EBADF;
    Slot *s;

    pthread_mutex_lock(&t->lock);
    s = find(t, *handle);
    if (s && s->refs) {
        s->users++;
        fd = s->fd;
        *handle = make_handle(t, s - t->slots);
    }
    pthread_mutex_unlock(&t->lock);
    return fd;
}

uint64_t handles_dev(Handles *t, uint64_t handle)
{
    uint64_t dev = 0;
    Slot *s;

    pthread_mutex_lock(&t->lock);
    s = find(t, handle);
    if (s) {
        dev = s->dev;
    }
    pthread_mutex_unlock(&t->lock);
    return dev;
}

void handles_put(Handles *t, uint64_t handle)
{
    int fd = -1;
    Slot *s;

    pthread_mutex_lock(&t->lock);
    s = find(t, handle);
    if (s && s->users) {
        s->users--;
        fd = drop_unneeded(t, s);
    }
    pthread_mutex_unlock(&t->lock);
    close_dropped(fd);
}

int handles_add(Handles *t, int fd, uint64_t dev, uint64_t ino,
                NewHandle *new)
{
    Inode key = { .dev = dev, .ino = ino };
    const Inode *known;
    uint32_t slot;
    int ret = 0;
    Slot *s;

    pthread_mutex_lock(&t->lock);
    known = g_hash_table_lookup(t->by_inode, &key);
    slot = known ? known->slot : add_inode(t, fd, dev, ino);
    if (slot == NO_SLOT) {
        ret = -EMFILE;
    } else {
        s = &t->slots[slot];
        new->handle = make_handle(t, slot);
        new->fd = s->fd;
        new->first = s->refs == 0;
        s->users++;
        if (slot != ROOT_SLOT) {
            s->refs++;
        }
    }
    pthread_mutex_unlock(&t->lock);

    if (known || ret < 0) {
        close(fd);
    }
    return ret;
}

void handles_set_parent(Handles *t, uint64_t handle, uint64_t parent)
{
    Slot *s, *above;

    pthread_mutex_lock(&t->lock);
    s = find(t, handle);
    above = find(t, parent);
    if (s && above) {
        s->parent = make_handle(t, above - t->slots);
    }
    pthread_mutex_unlock(&t->lock);
}

bool handles_know_above(Handles *t, uint64_t dev, uint64_t ino,
                        uint64_t above_dev, uint64_t above_ino)
{
    Inode key = { .dev = dev, .ino = ino };
    const Slot *above = NULL;
    const Inode *inode;
    bool know;

    pthread_mutex_lock(&t->lock);
    inode = g_hash_table_lookup(t->by_inode, &key);
    if (inode && t->slots[inode->slot].parent) {
        above = find(t, t->slots[inode->slot].parent);
    }
    know = above && above->dev == above_dev && above->ino == above_ino;
    pthread_mutex_unlock(&t->lock);
    return know;
}

int handles_adopt(Handles *t, uint64_t handle, int fd, uint64_t dev,
                  uint64_t ino)
{
    Adopted *adopted = g_new(Adopted, 1);
    NewHandle new;
    int ret;

    ret = handles_add(t, fd, dev, ino, &new);
    if (ret < 0) {
        g_free(adopted);
        return ret;
    }
    pthread_mutex_lock(&t->lock);
    *adopted = (Adopted) { handle, new.handle };
    if (g_hash_table_contains(t->adopted, adopted)) {
        ret = -EEXIST;
    } else if (g_hash_table_size(t->adopted) >= t->max) {
        ret = -EMFILE;          /* many handles for one inode */
    } else {
        g_hash_table_add(t->adopted, g_steal_pointer(&adopted));
    }
    pthread_mutex_unlock(&t->lock);

    if (ret < 0) {
        g_free(adopted);
        handles_forget(t, new.handle, 1);
    }
    handles_put(t, new.handle);
    return ret;
}

bool handles_full(Handles *t)
{
    bool full;

    pthread_mutex_lock(&t->lock);
    full = t->first_free == NO_SLOT && t->n == t->max;
    pthread_mutex_unlock(&t->lock);
    return full;
}

int handles_forget(Handles *t, uint64_t handle, uint32_t count)
{
    int fd = -1;
    Slot *s;

    pthread_mutex_lock(&t->lock);
    s = find(t, handle);
    if (handle & PROXY_ADOPTED) {
        g_hash_table_remove(t->adopted, &handle);
        count = 1;
    }
    if (s && s->refs && s != &t->slots[ROOT_SLOT]) {
        s->refs -= MIN(s->refs, count);
        fd = drop_unneeded(t, s);
    }
    pthread_mutex_unlock(&t->lock);
    return fd;
}
