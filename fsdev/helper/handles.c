/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The handles that QEMU has: see handles.h.
 *
 * Slots are made in chunks, which do not move; the free ones form a list. One
 * hash table finds the slot of an inode, another the slot of an adopted handle.
 * All this is paid for from the budget of memory.h before it is made, except
 * for the first chunk. When QEMU is gone, chunks without a handle in use go, so
 * that requests that hang keep little.
 */
#include "qemu/osdep.h"
#include "handles.h"
#include "log.h"
#include "memory.h"
#include "fsdev/shared/proto.h"
#include <pthread.h>

#define NO_SLOT         UINT32_MAX
#define ROOT_SLOT       0
#define CHUNK_SLOTS     64
/* Generations have the bits between the slot's number and PROXY_ADOPTED. */
#define GENERATION_MAX  ((uint32_t)((PROXY_ADOPTED - 1) >> 32))

G_STATIC_ASSERT(PROXY_ROOT_HANDLE == ROOT_SLOT + 1);

/*
 * What a chunk, an inode in a slot, and an adopted handle take from the budget.
 * Hash tables have up to four places of 12 bytes for each entry.
 */
#define CHUNK_BYTES     (sizeof(Slot) * CHUNK_SLOTS + 64)
#define INODE_BYTES     64
#define ADOPTED_BYTES   96

typedef struct Slot {
    uint64_t dev;
    uint64_t ino;
    uint64_t refs;              /* QEMU's references */
    uint64_t parent;            /* handle of the directory above, or 0 */
    int fd;                     /* -1: free */
    uint32_t users;             /* requests that use it now */
    uint32_t generation;
    uint32_t next_free;
    uint32_t number;
} Slot;

/* A handle that QEMU chose, and the table's own handle for the inode */
typedef struct Adopted {
    uint64_t handle;
    uint64_t own;
} Adopted;

G_STATIC_ASSERT(CHUNK_BYTES + INODE_BYTES <= HANDLE_BYTES_LEFT);

struct Handles {
    pthread_mutex_t lock;
    Slot **chunks;              /* NULL: none */
    GHashTable *by_inode;       /* set of Slot */
    GHashTable *adopted;        /* set of Adopted */
    uint32_t n;                 /* slots that were made */
    uint32_t max;
    uint32_t first_free;
    uint32_t first_generation;  /* of new slots */
    bool closed;                /* QEMU is gone: adds nothing */
};

/* Inode numbers are often consecutive: spreads them (multiplicative hash). */
static guint hash_inode(gconstpointer p)
{
    const Slot *s = p;

    return ((s->ino ^ s->dev << 40) * 0x9e3779b97f4a7c15u) >> 32;
}

static gboolean equal_inodes(gconstpointer a, gconstpointer b)
{
    const Slot *x = a, *y = b;

    return x->ino == y->ino && x->dev == y->dev;
}

static uint64_t make_handle(const Slot *s)
{
    return (uint64_t)s->generation << 32 | (s->number + 1);
}

/* The slot of a number below t->n; NULL if its chunk is gone. */
static Slot *slot_at(const Handles *t, uint32_t number)
{
    Slot *chunk = t->chunks[number / CHUNK_SLOTS];

    return chunk ? &chunk[number % CHUNK_SLOTS] : NULL;
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
    s = slot_at(t, number);
    return s && s->fd >= 0 && s->generation == handle >> 32 ? s : NULL;
}

/* Makes the next chunk, which is paid for. 0, or -ENOMEM. */
static int grow(Handles *t)
{
    uint32_t n = MIN(t->max - t->n, CHUNK_SLOTS);
    Slot *chunk = g_try_new(Slot, CHUNK_SLOTS);
    uint32_t i;

    if (!chunk) {
        return -ENOMEM;
    }
    t->chunks[t->n / CHUNK_SLOTS] = chunk;
    for (i = n; i > 0; i--) {
        chunk[i - 1] = (Slot) {
            .fd = -1, .next_free = t->first_free, .number = t->n + i - 1,
            .generation = t->first_generation,
        };
        t->first_free = t->n + i - 1;
    }
    t->n += n;
    return 0;
}

/* What one more inode takes from the budget; 0 if there is no slot for it */
static size_t cost_of_inode(const Handles *t)
{
    if (t->first_free != NO_SLOT) {
        return INODE_BYTES;
    }
    return t->n < t->max ? INODE_BYTES + CHUNK_BYTES : 0;
}

static void add_inode(Handles *t, int fd, uint64_t dev, uint64_t ino)
{
    Slot *s = slot_at(t, t->first_free);

    t->first_free = s->next_free;
    s->dev = dev;
    s->ino = ino;
    s->fd = fd;
    s->refs = 0;
    s->parent = 0;
    s->users = 0;
    g_hash_table_add(t->by_inode, s);
}

/* The slot of a new inode in *@new; 0 or -errno */
static int pay_and_add_inode(Handles *t, int fd, uint64_t dev, uint64_t ino,
                             Slot **new)
{
    size_t cost = t->closed ? 0 : cost_of_inode(t);
    int ret;

    if (cost == 0 || !memory_take(cost)) {
        return -EMFILE;
    }
    if (t->first_free == NO_SLOT) {
        ret = grow(t);
        if (ret < 0) {
            memory_give_back(cost);
            return ret;
        }
    }
    *new = slot_at(t, t->first_free);
    add_inode(t, fd, dev, ino);
    return 0;
}

/* Frees the slot if it is unused; returns the descriptor to close, or -1. */
static int drop_unneeded(Handles *t, Slot *s)
{
    int fd = s->fd;

    if (s->refs || s->users) {
        return -1;
    }
    g_hash_table_remove(t->by_inode, s);
    memory_give_back(INODE_BYTES);
    s->fd = -1;
    s->generation = s->generation < GENERATION_MAX ? s->generation + 1 : 0;
    s->next_free = t->first_free;
    t->first_free = s->number;
    return fd;
}

/* Call it without the lock: it can wait for the file system. */
static void close_dropped(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

Handles *handles_new(unsigned max, int root, uint64_t dev, uint64_t ino)
{
    Handles *t = g_new0(Handles, 1);
    Slot *s;

    pthread_mutex_init(&t->lock, NULL);
    t->by_inode = g_hash_table_new_full(hash_inode, equal_inodes, NULL,
                                        NULL);
    t->adopted = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                       NULL);
    t->max = MAX(max, 1);
    t->chunks = g_new0(Slot *, DIV_ROUND_UP(t->max, CHUNK_SLOTS));
    t->first_free = NO_SLOT;
    if (grow(t) < 0) {
        fatal("no memory for the first handles");
    }
    add_inode(t, root, dev, ino);
    s = slot_at(t, ROOT_SLOT);
    s->refs = 1;
    s->users = 1;
    return t;
}

void handles_begin_late(Handles *t)
{
    uint32_t i;

    t->first_generation = GENERATION_MAX - 1;
    for (i = ROOT_SLOT + 1; i < t->n; i++) {
        slot_at(t, i)->generation = t->first_generation;
    }
}

/* Frees the chunk of which @s is the last slot, unless it holds an inode. */
static void drop_chunk(Handles *t, uint32_t last)
{
    uint32_t i = last - last % CHUNK_SLOTS;

    if (i == ROOT_SLOT) {
        return;
    }
    while (i <= last) {
        if (slot_at(t, i++)->fd >= 0) {
            return;
        }
    }
    g_clear_pointer(&t->chunks[last / CHUNK_SLOTS], g_free);
    memory_give_back(CHUNK_BYTES);
}

static bool is_last_of_chunk(const Handles *t, uint32_t i)
{
    return i % CHUNK_SLOTS == CHUNK_SLOTS - 1 || i == t->n - 1;
}

void handles_free(Handles *t)
{
    handles_forget_all(t);
    g_hash_table_destroy(t->by_inode);
    g_hash_table_destroy(t->adopted);
    pthread_mutex_destroy(&t->lock);
    g_free(t->chunks[0]);
    g_free(t->chunks);
    g_free(t);
}

static void forget_adopted(Handles *t)
{
    memory_give_back(g_hash_table_size(t->adopted) * ADOPTED_BYTES);
    g_hash_table_remove_all(t->adopted);
}

void handles_forget_all(Handles *t)
{
    uint32_t i;
    Slot *s;
    int fd;

    /* Other threads end their last requests, which drop handles. */
    pthread_mutex_lock(&t->lock);
    t->closed = true;
    t->first_free = NO_SLOT;
    forget_adopted(t);
    for (i = ROOT_SLOT + 1; i < t->n; i++) {
        s = slot_at(t, i);
        if (!s) {
            continue;
        }
        fd = -1;
        if (s->fd >= 0) {
            s->refs = 0;
            fd = drop_unneeded(t, s);
        }
        if (is_last_of_chunk(t, i)) {
            drop_chunk(t, i);
        }
        pthread_mutex_unlock(&t->lock);
        close_dropped(fd);
        pthread_mutex_lock(&t->lock);
    }
    pthread_mutex_unlock(&t->lock);
}

int handles_get(Handles *t, uint64_t *handle, uint64_t *dev)
{
    int fd = -EBADF;
    Slot *s;

    pthread_mutex_lock(&t->lock);
    s = find(t, *handle);
    if (s && s->refs) {
        s->users++;
        fd = s->fd;
        *handle = make_handle(s);
        if (dev) {
            *dev = s->dev;
        }
    }
    pthread_mutex_unlock(&t->lock);
    return fd;
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
    const Slot key = { .dev = dev, .ino = ino };
    bool known;
    int ret = 0;
    Slot *s;

    pthread_mutex_lock(&t->lock);
    s = g_hash_table_lookup(t->by_inode, &key);
    known = s;
    if (!known) {
        ret = pay_and_add_inode(t, fd, dev, ino, &s);
    }
    if (ret == 0) {
        new->handle = make_handle(s);
        new->fd = s->fd;
        new->first = s->refs == 0;
        s->users++;
        if (s->number != ROOT_SLOT) {
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
        s->parent = make_handle(above);
    }
    pthread_mutex_unlock(&t->lock);
}

bool handles_know_above(Handles *t, uint64_t dev, uint64_t ino,
                        uint64_t above_dev, uint64_t above_ino)
{
    const Slot key = { .dev = dev, .ino = ino };
    const Slot *above = NULL;
    const Slot *s;
    bool know;

    pthread_mutex_lock(&t->lock);
    s = g_hash_table_lookup(t->by_inode, &key);
    if (s && s->parent) {
        above = find(t, s->parent);
    }
    know = above && above->dev == above_dev && above->ino == above_ino;
    pthread_mutex_unlock(&t->lock);
    return know;
}

int handles_adopt(Handles *t, uint64_t handle, int fd, uint64_t dev,
                  uint64_t ino)
{
    Adopted *adopted = g_try_new(Adopted, 1);
    NewHandle new;
    int ret;

    if (!adopted) {
        close(fd);
        return -ENOMEM;
    }
    ret = handles_add(t, fd, dev, ino, &new);
    if (ret < 0) {
        g_free(adopted);
        return ret;
    }
    pthread_mutex_lock(&t->lock);
    *adopted = (Adopted) { handle, new.handle };
    if (g_hash_table_contains(t->adopted, adopted)) {
        ret = -EEXIST;
    } else if (t->closed || g_hash_table_size(t->adopted) >= t->max ||
               !memory_take(ADOPTED_BYTES)) {
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
    size_t cost;
    bool full;

    pthread_mutex_lock(&t->lock);
    cost = cost_of_inode(t);
    full = cost == 0 || !memory_has(cost);
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
        if (g_hash_table_remove(t->adopted, &handle)) {
            memory_give_back(ADOPTED_BYTES);
        }
        count = 1;
    }
    if (s && s->refs && s->number != ROOT_SLOT) {
        s->refs -= MIN(s->refs, count);
        fd = drop_unneeded(t, s);
    }
    pthread_mutex_unlock(&t->lock);
    return fd;
}
