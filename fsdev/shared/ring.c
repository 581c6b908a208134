/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Streams of bytes through shared memory: see ring.h.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "ring.h"
#include <sys/mman.h>

/* The seals that fix the size of the memory */
#define SEALS           (F_SEAL_SHRINK | F_SEAL_GROW)

/* The layout is part of the protocol (docs/interop/virtfs-proxy.rst). */
G_STATIC_ASSERT(sizeof(ProxyRingControl) == 256);
G_STATIC_ASSERT(offsetof(ProxyRingMemory, socket) == 512);
G_STATIC_ASSERT(offsetof(ProxyRingMemory, requests_data) == 4096);
G_STATIC_ASSERT(sizeof(ProxyRingMemory) == 4096 + 2 * PROXY_RING_SIZE);

void proxy_ring_init(ProxyRing *r, ProxyRingControl *control, void *data,
                     uint32_t size)
{
    *r = (ProxyRing) { .control = control, .data = data, .size = size };
}

ssize_t proxy_ring_room(const ProxyRing *r)
{
    uint32_t used = r->at - qatomic_load_acquire(&r->control->tail);

    return used > r->size ? -EPROTO : (ssize_t)(r->size - used);
}

ssize_t proxy_ring_write(ProxyRing *r, const void *buf, size_t size)
{
    uint32_t from = r->at & (r->size - 1);
    ssize_t room = proxy_ring_room(r);
    size_t n, first;

    if (room <= 0) {
        return room;
    }
    n = MIN(size, (size_t)room);
    first = MIN(n, r->size - from);
    memcpy(r->data + from, buf, first);
    memcpy(r->data, (const uint8_t *)buf + first, n - first);
    r->at += n;
    qatomic_store_release(&r->control->head, r->at);
    return n;
}

/* Takes the flag back. Whether it was set. */
static bool take_flag(uint32_t *flag)
{
    return qatomic_read(flag) && qatomic_xchg(flag, 0);
}

bool proxy_ring_wakes_consumer(ProxyRing *r)
{
    smp_mb();           /* head before asleep; with proxy_ring_sleep() */
    return take_flag(&r->control->asleep);
}

int proxy_ring_wait_room(ProxyRing *r)
{
    ssize_t room;

    qatomic_set(&r->control->full, 1);
    smp_mb();           /* full before tail; with proxy_ring_wakes_producer() */
    room = proxy_ring_room(r);
    if (room) {
        qatomic_set(&r->control->full, 0);
    }
    return room < 0 ? room : room > 0;
}

bool proxy_ring_pending(const ProxyRing *r)
{
    return qatomic_load_acquire(&r->control->head) != r->at;
}

ssize_t proxy_ring_read(ProxyRing *r, void *buf, size_t size)
{
    uint32_t from = r->at & (r->size - 1);
    uint32_t used = qatomic_load_acquire(&r->control->head) - r->at;
    size_t n, first;

    if (used > r->size) {
        return -EPROTO;
    }
    n = MIN(size, used);
    if (n == 0) {
        return 0;
    }
    first = MIN(n, r->size - from);
    memcpy(buf, r->data + from, first);
    memcpy((uint8_t *)buf + first, r->data, n - first);
    r->at += n;
    qatomic_store_release(&r->control->tail, r->at);
    return n;
}

bool proxy_ring_wakes_producer(ProxyRing *r)
{
    smp_mb();           /* tail before full; with proxy_ring_wait_room() */
    return take_flag(&r->control->full);
}

bool proxy_ring_sleep(ProxyRing *r)
{
    qatomic_set(&r->control->asleep, 1);
    smp_mb();       /* asleep before head; with proxy_ring_wakes_consumer() */
    if (proxy_ring_pending(r)) {
        proxy_ring_awake(r);
        return false;
    }
    return true;
}

void proxy_ring_awake(ProxyRing *r)
{
    qatomic_set(&r->control->asleep, 0);
}

int proxy_ring_make_memory(void)
{
    int fd = memfd_create("virtfs-proxy-ring",
                          MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int ret;

    if (fd < 0) {
        return -errno;
    }
    if (ftruncate(fd, sizeof(ProxyRingMemory)) < 0 ||
        fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) < 0) {
        ret = -errno;
        close(fd);
        return ret;
    }
    return fd;
}

/* Returns NULL, and an error as -errno, if the memory is not fit. */
static ProxyRingMemory *map_memory(int fd, int *error)
{
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat st;
    void *map;

    if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) < 0 ||
        st.st_size != sizeof(ProxyRingMemory)) {
        *error = -EINVAL;
        return NULL;
    }
    map = mmap(NULL, sizeof(ProxyRingMemory), PROT_READ | PROT_WRITE,
               MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        *error = -errno;
        return NULL;
    }
    return map;
}

int proxy_rings_new(ProxyRings **rings, int memory, int bell, int their_bell)
{
    int error = 0;
    ProxyRingMemory *mem = map_memory(memory, &error);

    if (!mem) {
        return error;
    }
    *rings = g_new0(ProxyRings, 1);
    (*rings)->mem = mem;
    (*rings)->bell = bell;
    (*rings)->their_bell = their_bell;
    proxy_ring_init(&(*rings)->requests, &mem->requests, mem->requests_data,
                    PROXY_RING_SIZE);
    proxy_ring_init(&(*rings)->replies, &mem->replies, mem->replies_data,
                    PROXY_RING_SIZE);
    return 0;
}

void proxy_rings_free(ProxyRings *rings)
{
    munmap(rings->mem, sizeof(ProxyRingMemory));
    close(rings->bell);
    close(rings->their_bell);
    g_free(rings);
}

int proxy_rings_ring(ProxyRings *rings)
{
    ssize_t len;

    do {
        len = write(rings->their_bell, "", 1);
    } while (len < 0 && errno == EINTR);
    return len < 0 && errno != EAGAIN ? -errno : 0;
}
