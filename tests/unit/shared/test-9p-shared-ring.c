/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tests of the proxy channel's rings (fsdev/shared/ring.h): bytes come out as
 * they were put in, wherever the counts are; impossible counts are detected;
 * no wakeup is lost between two threads; only memory of a fixed size is mapped.
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/mman.h>
#include "qemu/atomic.h"
#include "qemu/memalign.h"
#include "fsdev/shared/ring.h"

#define SMALL           16
#define PATIENCE_MS     60000

/* A ring with both its ends in this process */
typedef struct Pair {
    ProxyRingControl control;
    uint8_t data[4096];
    ProxyRing in;               /* the producer's end */
    ProxyRing out;
} Pair;

/* @count: where the counts of bytes begin */
static Pair *pair_new(uint32_t size, uint32_t count)
{
    Pair *p = qemu_memalign(64, sizeof(Pair));

    memset(p, 0, sizeof(*p));
    g_assert_cmpuint(size, <=, sizeof(p->data));
    proxy_ring_init(&p->in, &p->control, p->data, size);
    proxy_ring_init(&p->out, &p->control, p->data, size);
    p->control.head = p->control.tail = p->in.at = p->out.at = count;
    return p;
}

/* Chunks of all sizes, at all places, and over the end of the counts */
static void test_bytes(void)
{
    uint8_t buf[SMALL + 1], got[SMALL + 1];
    uint32_t write, read;
    Pair *p;

    for (write = 1; write <= SMALL + 1; write++) {
        for (read = 1; read <= SMALL + 1; read++) {
            uint32_t put = 0, taken = 0;
            ssize_t n, i;

            p = pair_new(SMALL, UINT32_MAX - 40);
            while (taken < 1000) {
                for (i = 0; i < write; i++) {
                    buf[i] = put + i;
                }
                n = proxy_ring_write(&p->in, buf, write);
                g_assert_cmpint(n, ==, MIN(write, SMALL - (put - taken)));
                put += n;
                g_assert_cmpint(proxy_ring_room(&p->in), ==,
                                SMALL - (put - taken));
                g_assert_true(proxy_ring_pending(&p->out));
                n = proxy_ring_read(&p->out, got, read);
                g_assert_cmpint(n, ==, MIN(read, put - taken));
                for (i = 0; i < n; i++) {
                    g_assert_cmpuint(got[i], ==, (uint8_t)(taken + i));
                }
                taken += n;
                g_assert_cmpint(proxy_ring_pending(&p->out), ==, put != taken);
            }
            qemu_vfree(p);
        }
    }
}

static void test_empty_and_full(void)
{
    uint8_t buf[SMALL] = { };
    Pair *p = pair_new(SMALL, 0);

    g_assert_cmpint(proxy_ring_read(&p->out, buf, SMALL), ==, 0);
    g_assert_false(proxy_ring_pending(&p->out));
    g_assert_cmpint(proxy_ring_room(&p->in), ==, SMALL);
    g_assert_cmpint(proxy_ring_write(&p->in, buf, 0), ==, 0);
    g_assert_false(proxy_ring_pending(&p->out));
    g_assert_cmpint(proxy_ring_write(&p->in, buf, SMALL), ==, SMALL);
    g_assert_cmpint(proxy_ring_room(&p->in), ==, 0);
    g_assert_cmpint(proxy_ring_write(&p->in, buf, 1), ==, 0);
    g_assert_cmpint(proxy_ring_read(&p->out, buf, 0), ==, 0);
    g_assert_cmpint(proxy_ring_read(&p->out, buf, SMALL), ==, SMALL);
    g_assert_cmpint(proxy_ring_read(&p->out, buf, SMALL), ==, 0);
    qemu_vfree(p);
}

/* Impossible counts of the other side: no bytes are copied. */
static void test_impossible(void)
{
    static const uint32_t counts[] = { 0, 5, 0x7fffffff, UINT32_MAX - 8 };
    static const uint32_t excess[] = {
        SMALL + 1, 2 * SMALL, 0x7fffffff, 0x80000000, UINT32_MAX
    };
    uint8_t buf[4096], want[4096];
    Pair *p;
    size_t i, j;

    memset(want, 0x5a, sizeof(want));
    for (i = 0; i < ARRAY_SIZE(counts); i++) {
        p = pair_new(SMALL, counts[i]);
        memcpy(buf, want, sizeof(buf));
        /* The consumer's */
        for (j = 0; j < ARRAY_SIZE(excess); j++) {
            p->control.head = counts[i] + excess[j];
            g_assert_true(proxy_ring_pending(&p->out));
            g_assert_cmpint(proxy_ring_read(&p->out, buf, sizeof(buf)), ==,
                            -EPROTO);
            g_assert_false(proxy_ring_sleep(&p->out));
        }
        g_assert_cmpint(memcmp(buf, want, sizeof(buf)), ==, 0);
        g_assert_cmpuint(p->out.at, ==, counts[i]);

        /* The producer's: more was taken than was put in, and less than none */
        p->control.tail = counts[i] + 1;
        g_assert_cmpint(proxy_ring_room(&p->in), ==, -EPROTO);
        g_assert_cmpint(proxy_ring_write(&p->in, buf, 1), ==, -EPROTO);
        g_assert_cmpint(proxy_ring_wait_room(&p->in), ==, -EPROTO);
        p->control.tail = counts[i] - SMALL - 1;
        g_assert_cmpint(proxy_ring_write(&p->in, buf, 1), ==, -EPROTO);
        g_assert_cmpuint(p->in.at, ==, counts[i]);
        for (j = 0; j < sizeof(p->data); j++) {
            g_assert_cmpuint(p->data[j], ==, 0);
        }
        qemu_vfree(p);
    }
}

/* Our own counts are not taken from where the other side can write. */
static void test_own_counts(void)
{
    uint8_t buf[SMALL] = "abcdefgh";
    Pair *p = pair_new(SMALL, 0);

    p->control.head = 12345;
    g_assert_cmpint(proxy_ring_write(&p->in, buf, 8), ==, 8);
    g_assert_cmpuint(p->control.head, ==, 8);
    p->control.tail = 12345;
    g_assert_cmpint(proxy_ring_read(&p->out, buf, 3), ==, 3);
    g_assert_cmpuint(p->control.tail, ==, 3);
    qemu_vfree(p);
}

static void test_flags(void)
{
    uint8_t buf[SMALL] = { };
    Pair *p = pair_new(SMALL, 0);

    /* One bell for one sleep; none for one that is awake */
    proxy_ring_write(&p->in, buf, 1);
    g_assert_false(proxy_ring_wakes_consumer(&p->in));
    proxy_ring_read(&p->out, buf, 1);
    g_assert_true(proxy_ring_sleep(&p->out));
    proxy_ring_write(&p->in, buf, 1);
    g_assert_true(proxy_ring_wakes_consumer(&p->in));
    g_assert_false(proxy_ring_wakes_consumer(&p->in));
    /* There is something: it does not sleep. */
    g_assert_false(proxy_ring_sleep(&p->out));
    g_assert_false(proxy_ring_wakes_consumer(&p->in));
    proxy_ring_read(&p->out, buf, 1);
    g_assert_true(proxy_ring_sleep(&p->out));
    proxy_ring_awake(&p->out);
    g_assert_false(proxy_ring_wakes_consumer(&p->in));

    /* And the other way round */
    g_assert_cmpint(proxy_ring_wait_room(&p->in), ==, 1);
    g_assert_false(proxy_ring_wakes_producer(&p->out));
    g_assert_cmpint(proxy_ring_write(&p->in, buf, SMALL), ==, SMALL);
    g_assert_cmpint(proxy_ring_wait_room(&p->in), ==, 0);
    g_assert_cmpint(proxy_ring_read(&p->out, buf, 1), ==, 1);
    g_assert_true(proxy_ring_wakes_producer(&p->out));
    g_assert_false(proxy_ring_wakes_producer(&p->out));
    g_assert_cmpint(proxy_ring_wait_room(&p->in), ==, 1);
    qemu_vfree(p);
}

/*
 * Two threads. A lost wakeup shows as a bell that does not ring.
 */

typedef struct Bell {
    int fds[2];
} Bell;

static void bell_init(Bell *b)
{
    g_assert_cmpint(pipe2(b->fds, O_CLOEXEC), ==, 0);
}

static void bell_free(Bell *b)
{
    close(b->fds[0]);
    close(b->fds[1]);
}

static void bell_ring(Bell *b)
{
    g_assert_cmpint(write(b->fds[1], "", 1), ==, 1);
}

static void bell_wait(Bell *b)
{
    struct pollfd pfd = { .fd = b->fds[0], .events = POLLIN };
    char buf[16];

    g_assert_cmpint(poll(&pfd, 1, PATIENCE_MS), ==, 1);
    g_assert_cmpint(read(b->fds[0], buf, sizeof(buf)), >, 0);
}

typedef struct Stream {
    ProxyRing *ring;
    Bell *ours;
    Bell *theirs;
    uint32_t bytes;
    uint32_t chunk;             /* as many bytes at a time, or fewer */
} Stream;

static void stream_put(Stream *s, const uint8_t *buf, size_t size)
{
    ssize_t n;

    while (size) {
        n = proxy_ring_write(s->ring, buf, size);
        g_assert_cmpint(n, >=, 0);
        buf += n;
        size -= n;
        if (n && proxy_ring_wakes_consumer(s->ring)) {
            bell_ring(s->theirs);
        }
        if (size && proxy_ring_wait_room(s->ring) == 0) {
            bell_wait(s->ours);
        }
    }
}

/* At least a byte */
static size_t stream_get(Stream *s, uint8_t *buf, size_t size)
{
    ssize_t n;

    while ((n = proxy_ring_read(s->ring, buf, size)) == 0) {
        if (proxy_ring_sleep(s->ring)) {
            bell_wait(s->ours);
            proxy_ring_awake(s->ring);
        }
    }
    g_assert_cmpint(n, >, 0);
    if (proxy_ring_wakes_producer(s->ring)) {
        bell_ring(s->theirs);
    }
    return n;
}

static void *put_thread(void *opaque)
{
    Stream *s = opaque;
    g_autofree uint8_t *buf = g_malloc(s->chunk);
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    uint32_t put = 0;

    while (put < s->bytes) {
        uint32_t n = g_rand_int_range(rand, 1, s->chunk + 1);
        uint32_t i;

        n = MIN(n, s->bytes - put);
        for (i = 0; i < n; i++) {
            buf[i] = (put + i) * 167 >> 3;
        }
        stream_put(s, buf, n);
        put += n;
    }
    return NULL;
}

static void one_load(uint32_t size, uint32_t write, uint32_t read,
                     uint32_t bytes)
{
    Pair *p = pair_new(size, UINT32_MAX - bytes / 2);
    g_autofree uint8_t *buf = g_malloc(read);
    Bell producer, consumer;
    Stream in = {
        .ring = &p->in, .ours = &producer, .theirs = &consumer,
        .bytes = bytes, .chunk = write,
    };
    Stream out = {
        .ring = &p->out, .ours = &consumer, .theirs = &producer,
    };
    uint32_t taken = 0;
    GThread *thread;

    bell_init(&producer);
    bell_init(&consumer);
    thread = g_thread_new("producer", put_thread, &in);
    while (taken < bytes) {
        size_t i, n = stream_get(&out, buf, read);

        for (i = 0; i < n; i++, taken++) {
            g_assert_cmpuint(buf[i], ==, (uint8_t)(taken * 167 >> 3));
        }
    }
    g_thread_join(thread);
    g_assert_false(proxy_ring_pending(&p->out));
    bell_free(&producer);
    bell_free(&consumer);
    qemu_vfree(p);
}

static void test_load(void)
{
    static const uint32_t sizes[] = { 1, 2, 64, 4096 };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(sizes); i++) {
        uint32_t bytes = MIN(sizes[i] * 20000, 4 * 1024 * 1024);

        one_load(sizes[i], 1, 1, MIN(bytes, 100000));
        one_load(sizes[i], 3 * sizes[i], 3 * sizes[i], bytes);
        one_load(sizes[i], 3 * sizes[i], 1, MIN(bytes, 100000));
    }
}

/* Both directions: each side sleeps after each message. */
typedef struct Echo {
    Stream in;
    Stream out;
    unsigned rounds;
} Echo;

static void *echo_thread(void *opaque)
{
    Echo *e = opaque;
    unsigned i;
    uint8_t byte;

    for (i = 0; i < e->rounds; i++) {
        stream_get(&e->in, &byte, 1);
        byte++;
        stream_put(&e->out, &byte, 1);
    }
    return NULL;
}

static void test_ping_pong(void)
{
    Pair *there = pair_new(SMALL, 0);
    Pair *back = pair_new(SMALL, 0);
    Bell here, far;
    Stream out = { .ring = &there->in, .ours = &here, .theirs = &far };
    Stream in = { .ring = &back->out, .ours = &here, .theirs = &far };
    Echo echo = {
        .in = { .ring = &there->out, .ours = &far, .theirs = &here },
        .out = { .ring = &back->in, .ours = &far, .theirs = &here },
        .rounds = 30000,
    };
    GThread *thread;
    unsigned i;

    bell_init(&here);
    bell_init(&far);
    thread = g_thread_new("echo", echo_thread, &echo);
    for (i = 0; i < echo.rounds; i++) {
        uint8_t byte = i;

        stream_put(&out, &byte, 1);
        stream_get(&in, &byte, 1);
        g_assert_cmpuint(byte, ==, (uint8_t)(i + 1));
    }
    g_thread_join(thread);
    bell_free(&here);
    bell_free(&far);
    qemu_vfree(there);
    qemu_vfree(back);
}

/*
 * The moments in which one side goes to sleep and the other one wakes it, many
 * times: with a bell that costs nothing, so that they meet. A wakeup that is
 * lost is the end of it.
 */

#define RACE_ROUNDS     1000000
#define RACE_US         (2 * G_USEC_PER_SEC)

typedef struct Race {
    Pair *pair;
    bool room;                  /* it is the producer that sleeps */
    uint32_t bell;
    uint32_t done;              /* rounds */
    bool stop;                  /* after the next one */
} Race;

/* Spins until *@word is not @value: whether that was in time. */
static bool spin_while(uint32_t *word, uint32_t value)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_MS * INT64_C(1000) / 4;
    unsigned i;

    for (i = 1; qatomic_read(word) == value; i++) {
        if (i % 4096 == 0) {
            sched_yield();
            if (g_get_monotonic_time() > end) {
                return false;
            }
        }
    }
    return true;
}

/* For some nanoseconds, or some more */
static void dawdle(GRand *rand)
{
    volatile unsigned i = g_rand_int(rand) % 128;   /* or no loop is left */

    while (i) {
        i--;
    }
}

static void *sleeper_thread(void *opaque)
{
    Race *race = opaque;
    g_autoptr(GRand) rand = g_rand_new_with_seed(2);
    ProxyRing *ring = race->room ? &race->pair->in : &race->pair->out;
    uint32_t round;
    uint8_t byte = 0;

    for (round = 1; !qatomic_read(&race->stop); round++) {
        if (round & 1024) {
            dawdle(rand);
        }
        while ((race->room ? proxy_ring_write(ring, &byte, 1)
                           : proxy_ring_read(ring, &byte, 1)) == 0) {
            if (race->room ? proxy_ring_wait_room(ring)
                           : !proxy_ring_sleep(ring)) {
                continue;
            }
            if (!spin_while(&race->bell, 0)) {
                return NULL;
            }
            qatomic_set(&race->bell, 0);
            if (!race->room) {
                proxy_ring_awake(ring);
            }
        }
        qatomic_set(&race->done, round);
    }
    return NULL;
}

static void test_race(const void *opaque)
{
    Race race = { .pair = pair_new(1, 0), .room = opaque != NULL };
    gint64 end = g_get_monotonic_time() + RACE_US;
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    uint8_t byte = 0;
    uint32_t round;
    GThread *thread;

    if (race.room) {
        proxy_ring_write(&race.pair->in, &byte, 1);
    }
    thread = g_thread_new("sleeper", sleeper_thread, &race);
    for (round = 0; round < RACE_ROUNDS; round++) {
        dawdle(rand);
        if (race.room) {
            g_assert_cmpint(proxy_ring_read(&race.pair->out, &byte, 1), ==, 1);
        } else {
            g_assert_cmpint(proxy_ring_write(&race.pair->in, &byte, 1), ==, 1);
        }
        if (race.room ? proxy_ring_wakes_producer(&race.pair->out)
                      : proxy_ring_wakes_consumer(&race.pair->in)) {
            qatomic_set(&race.bell, 1);
        }
        g_assert_true(spin_while(&race.done, round));
        if (g_get_monotonic_time() > end) {
            round++;
            break;
        }
    }
    g_test_message("%u rounds", round);
    /* One more, for the end to be seen */
    qatomic_set(&race.stop, true);
    if (race.room) {
        proxy_ring_read(&race.pair->out, &byte, 1);
    } else {
        proxy_ring_write(&race.pair->in, &byte, 1);
    }
    qatomic_set(&race.bell, 1);
    g_thread_join(thread);
    qemu_vfree(race.pair);
}

/*
 * Memory
 */

static void test_memory(void)
{
    int fd = proxy_ring_make_memory();
    ProxyRings *rings[2];
    int there[2], back[2];
    uint8_t byte = 'x';
    int i;

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, 4096), ==, -1);
    g_assert_cmpint(ftruncate(fd, 1 << 20), ==, -1);
    g_assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    g_assert_cmpint(pipe2(there, O_CLOEXEC | O_NONBLOCK), ==, 0);
    g_assert_cmpint(pipe2(back, O_CLOEXEC), ==, 0);
    g_assert_cmpint(proxy_rings_new(&rings[0], fd, back[0], there[1]), ==, 0);
    g_assert_cmpint(proxy_rings_new(&rings[1], fd, there[0], back[1]), ==, 0);
    close(fd);

    g_assert_cmpint(proxy_ring_write(&rings[0]->requests, &byte, 1), ==, 1);
    byte = 'y';
    g_assert_cmpint(proxy_ring_write(&rings[1]->replies, &byte, 1), ==, 1);
    g_assert_cmpint(proxy_ring_read(&rings[1]->requests, &byte, 1), ==, 1);
    g_assert_cmpuint(byte, ==, 'x');
    g_assert_cmpint(proxy_ring_read(&rings[0]->replies, &byte, 1), ==, 1);
    g_assert_cmpuint(byte, ==, 'y');

    /* A bell that is never taken back, and one that nothing waits at */
    for (i = 0; i < 100000; i++) {
        g_assert_cmpint(proxy_rings_ring(rings[0]), ==, 0);
    }
    g_assert_cmpint(read(rings[1]->bell, &byte, 1), ==, 1);
    proxy_rings_free(rings[1]);
    g_assert_cmpint(proxy_rings_ring(rings[0]), ==, -EPIPE);
    proxy_rings_free(rings[0]);
}

static void map_fails(int fd, int error)
{
    ProxyRings *rings;

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(proxy_rings_new(&rings, fd, -1, -1), ==, error);
    close(fd);
}

static int memory(off_t size, int seals)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, size), ==, 0);
    g_assert_cmpint(fcntl(fd, F_ADD_SEALS, seals), ==, 0);
    return fd;
}

static void test_memory_bad(void)
{
    const off_t size = sizeof(ProxyRingMemory);
    g_autofree char *name = NULL;
    g_autofree char *tmp = NULL;
    int fds[2], fd, file;

    map_fails(memory(size, 0), -EINVAL);
    map_fails(memory(size, F_SEAL_SHRINK), -EINVAL);
    map_fails(memory(size, F_SEAL_GROW), -EINVAL);
    map_fails(memory(size, F_SEAL_SEAL), -EINVAL);
    map_fails(memory(0, F_SEAL_SHRINK | F_SEAL_GROW), -EINVAL);
    map_fails(memory(size - 1, F_SEAL_SHRINK | F_SEAL_GROW), -EINVAL);
    map_fails(memory(size + 1, F_SEAL_SHRINK | F_SEAL_GROW), -EINVAL);
    map_fails(memory(2 * size, F_SEAL_SHRINK | F_SEAL_GROW), -EINVAL);
    map_fails(memory(size, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE),
              -EPERM);

    /* Only for reading */
    fd = memory(size, F_SEAL_SHRINK | F_SEAL_GROW);
    name = g_strdup_printf("/proc/self/fd/%d", fd);
    map_fails(open(name, O_RDONLY | O_CLOEXEC), -EACCES);
    close(fd);

    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    map_fails(fds[0], -EINVAL);
    map_fails(fds[1], -EINVAL);
    map_fails(open("/dev/zero", O_RDWR | O_CLOEXEC), -EINVAL);
    map_fails(open("/", O_PATH | O_CLOEXEC), -EINVAL);
    file = g_file_open_tmp(NULL, &tmp, NULL);
    g_assert_cmpint(unlink(tmp), ==, 0);
    g_assert_cmpint(ftruncate(file, size), ==, 0);
    map_fails(file, -EINVAL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    g_test_add_func("/proxy-ring/bytes", test_bytes);
    g_test_add_func("/proxy-ring/empty-and-full", test_empty_and_full);
    g_test_add_func("/proxy-ring/impossible", test_impossible);
    g_test_add_func("/proxy-ring/own-counts", test_own_counts);
    g_test_add_func("/proxy-ring/flags", test_flags);
    g_test_add_func("/proxy-ring/load", test_load);
    g_test_add_func("/proxy-ring/ping-pong", test_ping_pong);
    g_test_add_data_func("/proxy-ring/race/asleep", NULL, test_race);
    g_test_add_data_func("/proxy-ring/race/full", "room", test_race);
    g_test_add_func("/proxy-ring/memory", test_memory);
    g_test_add_func("/proxy-ring/memory-bad", test_memory_bad);
    return g_test_run();
}
