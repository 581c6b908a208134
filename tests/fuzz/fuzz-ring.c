/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fuzzer of memory that changes while it is read: the ring between QEMU and the
 * helper (fsdev/shared/ring.h).
 *
 * The real proxy driver does operations, and the real helper serves them, in
 * one process. Each side sees the worst that the other can do: the memory
 * changes between two of its reads. The compiler puts a call before each read
 * of fsdev/shared/ring.c (-fsanitize-coverage=trace-loads), which changes a
 * word of the control blocks and takes the change back before the next read of
 * it. So a check may see one number, and the use after it another. A thread
 * that writes to the data all the time plays the same for copies of it.
 *
 * Input: setup[1], then records (fuzz.h). A record's kind and id are an
 * operation as in fuzz-channel. Its body is a list of changes from then on:
 * place[1] when[1] value[4]. The place is a word of the control blocks, or with
 * PLACE_DATA one of the data. The value is added to the word in those reads
 * whose number, modulo 8, is a bit of @when. With PLACE_STAYS it is not taken
 * back.
 *
 * When the connection has ended, each operation must end, and no node or
 * descriptor may be left.
 */
#include "qemu/osdep.h"
#include <sys/mman.h>
#include <sys/socket.h>
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/sockets.h"
#include "fsdev/helper/log.h"
#include "fsdev/helper/serve.h"
#include "fsdev/helper/unread.h"
#include "fsdev/shared/proto.h"
#include "fsdev/shared/ring.h"
#include "monitor/monitor.h"
#include "channel.h"
#include "mutate.h"

/* setup */
#define SETUP_NO_DONATE 0x01
#define SETUP_THREADS   0x02    /* several threads in the helper */

#define PLACE_STAYS     0x80
#define PLACE_DATA      0x40
#define CHANGE_SIZE     6
#define CHANGES_MAX     16
#define OPERATIONS_MAX  24
#define MAX_FILES       512
/* How long a record may keep the next one waiting */
#define PATIENCE_US     3000
/* How long operations have to end once the connection has */
#define END_US          (10 * G_USEC_PER_SEC)

/* The words of the control blocks, and the hint beside them */
static const uint16_t places[] = { 0, 16, 32, 48, 64, 80, 96, 112, 128 };

typedef struct Change {
    unsigned word;
    bool data;
    bool stays;
    uint8_t when;
    unsigned reads;
    uint32_t value;
    uint32_t added;             /* what it has added, and not taken back */
} Change;

/* The changes of the memory; a lock because both sides and a thread use it */
typedef struct Scribbler {
    uint32_t *words;
    GMutex lock;
    Change changes[CHANGES_MAX];
    unsigned n;
    bool stop;
} Scribbler;

typedef struct Helper {
    int fd;
    ServeConfig config;
} Helper;

static const FsDriver *proxy;
static const char *folder;
static Scribbler *scribbler;

/* Before each read of four bytes in ring.c */
void __sanitizer_cov_load4(uint32_t *addr);
/* The same for reads of other sizes, of which none is in the memory */
void __sanitizer_cov_load1(uint8_t *addr);
void __sanitizer_cov_load2(uint16_t *addr);
void __sanitizer_cov_load8(uint64_t *addr);
void __sanitizer_cov_load16(__int128 *addr);

/* The driver reports each lost helper: keep those reports out of the log. */
int error_vprintf(const char *fmt, va_list ap)
{
    return 0;
}

int error_vprintf_unless_qmp(const char *fmt, va_list ap)
{
    return 0;
}

/*
 * The third user of the memory
 */

/*
 * Maps the ring's memory a third time, beside QEMU and the helper. NULL: there
 * is no ring.
 */
static uint32_t *map_memory(void)
{
    g_autofree char *maps = NULL;
    char *line, *rest;
    void *theirs, *map;

    g_assert_true(g_file_get_contents("/proc/self/maps", &maps, NULL, NULL));
    for (line = strtok_r(maps, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest)) {
        if (strstr(line, "/memfd:virtfs-proxy-ring")) {
            theirs = (void *)(uintptr_t)g_ascii_strtoull(line, NULL, 16);
            /* mremap(2): an old size of 0 makes another mapping. */
            map = mremap(theirs, 0, sizeof(ProxyRingMemory), MREMAP_MAYMOVE);
            g_assert_true(map != MAP_FAILED);
            return map;
        }
    }
    return NULL;
}

static void take_back(Scribbler *s, Change *c)
{
    uint32_t *word = &s->words[c->word];
    uint32_t changed = qatomic_read(word);

    if (c->added) {
        qatomic_cmpxchg(word, changed, changed - c->added);
        c->added = 0;
    }
}

/* One side reads the word: changes it before. */
static void before_read(Scribbler *s, Change *c)
{
    take_back(s, c);
    if (c->when >> (c->reads++ % 8) & 1) {
        c->added = c->value;
        qatomic_add(&s->words[c->word], c->value);
        if (c->stays) {
            c->added = c->value = 0;
        }
    }
}

void __sanitizer_cov_load4(uint32_t *addr)
{
    Scribbler *s = qatomic_read(&scribbler);
    /* Both sides have mapped the memory at the start of pages. */
    unsigned word = ((uintptr_t)addr & 4095) / 4;

    if (!s) {
        return;
    }
    g_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->n; i++) {
        if (!s->changes[i].data && s->changes[i].word == word) {
            before_read(s, &s->changes[i]);
        }
    }
    g_mutex_unlock(&s->lock);
}

void __sanitizer_cov_load1(uint8_t *addr)
{
}

void __sanitizer_cov_load2(uint16_t *addr)
{
}

void __sanitizer_cov_load8(uint64_t *addr)
{
}

void __sanitizer_cov_load16(__int128 *addr)
{
}

/* The thread that changes data */
static gpointer scribble(gpointer opaque)
{
    Scribbler *s = opaque;

    while (!qatomic_read(&s->stop)) {
        g_mutex_lock(&s->lock);
        for (unsigned i = 0; i < s->n; i++) {
            if (s->changes[i].data) {
                before_read(s, &s->changes[i]);
            }
        }
        g_mutex_unlock(&s->lock);
        g_thread_yield();
    }
    return NULL;
}

static void set_changes(Scribbler *s, const FuzzRecord *rec)
{
    const uint8_t *at = rec->body;
    size_t left = rec->size;

    g_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->n; i++) {
        take_back(s, &s->changes[i]);
    }
    for (s->n = 0; left >= CHANGE_SIZE && s->n < CHANGES_MAX; s->n++) {
        Change *c = &s->changes[s->n];
        unsigned place = at[0] & ~(PLACE_STAYS | PLACE_DATA);

        *c = (Change) {
            .data = at[0] & PLACE_DATA,
            .stays = at[0] & PLACE_STAYS,
            .when = at[1],
            .value = ldl_le_p(at + 2),
        };
        c->word = !c->data ? places[place % ARRAY_SIZE(places)]
            : offsetof(ProxyRingMemory, requests_data) / 4 + place / 2 +
              (place & 1) * PROXY_RING_SIZE / 4;
        at += CHANGE_SIZE;
        left -= CHANGE_SIZE;
    }
    g_mutex_unlock(&s->lock);
}

/*
 * QEMU and the helper
 */

static gpointer serve_thread(gpointer opaque)
{
    Helper *h = opaque;

    serve(h->fd, &h->config);
    return NULL;
}

/*
 * A poll of the context alone would believe the hint in the memory, and never
 * look at the socket.
 */
static bool run_until_idle(ChannelRun *run, gint64 patience)
{
    gint64 end = g_get_monotonic_time() + patience;

    do {
        main_loop_wait(true);
        if (!run->pending) {
            return true;
        }
        g_usleep(10);
    } while (g_get_monotonic_time() < end);
    return false;
}

static bool start(ChannelRun *run, uint8_t setup, int sock)
{
    char number[16];
    FsdevOptions opts = {
        .fsdriver = FSDEV_DRIVER_PROXY,
        .id = (char *)"fuzz",
        .u.proxy = {
            .sock_fd = number,
            .has_donate = true,
            .donate = !(setup & SETUP_NO_DONATE),
            .has_protocol = true,
            .protocol = PROXY_VERSION,
            .has_ring = true,
            .ring = ON_OFF_AUTO_ON,
        },
    };

    run->fs = (FsExport) { .id = opts.id, .driver = proxy };
    snprintf(number, sizeof(number), "%d", sock);
    if (!proxy->open(&run->fs, &opts, NULL)) {
        return false;
    }
    run->nodes[0] = fs_node_ref(run->fs.root);
    return true;
}

static void do_records(ChannelRun *run, FuzzInput *in, Scribbler *s,
                       GPtrArray *ops)
{
    FuzzRecord rec;

    while (ops->len < OPERATIONS_MAX && fuzz_record(in, &rec)) {
        set_changes(s, &rec);
        g_ptr_array_add(ops, op_start(run, &rec));
        if (!(rec.flags & LATER)) {
            run_until_idle(run, PATIENCE_US);
        }
    }
}

static const char *record_fields(uint8_t setup, const FuzzRecord *rec)
{
    return "114114114114D";
}

const FuzzGrammar *fuzz_grammar(uint8_t setup)
{
    static const char *const words[] = { "" };
    static const uint8_t blocks[][FUZZ_BLOCK_MAX] = {
        { FUZZ_BLOCK_ANY, FUZZ_BLOCK_ANY, FUZZ_BLOCK_ANY, FUZZ_BLOCK_END },
    };
    static const FuzzGrammar grammar = {
        .kinds = 22,
        .fields = record_fields,
        .words = words,
        .n_words = ARRAY_SIZE(words),
        .n_names = ARRAY_SIZE(words),
        .blocks = blocks,
        .n_blocks = ARRAY_SIZE(blocks),
        .together = LATER,
    };

    return &grammar;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    folder = fuzz_folder();
    log_set_level("error");
    qemu_init_main_loop(&error_abort);
    module_call_init(MODULE_INIT_QOM);
    proxy = fs_driver_find(FSDEV_DRIVER_PROXY);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const IdMaps ids;
    FuzzInput in = { data, size };
    g_autoptr(GPtrArray) ops =
        g_ptr_array_new_with_free_func((GDestroyNotify)op_free);
    uint8_t setup = fuzz_u8(&in);
    Scribbler s = { };
    ChannelRun run = { .folder = folder };
    Helper h = {
        .config = {
            .fd_prefix = "/proc/self/fd/",
            .own_mount = true,  /* the folder is a mount of this process */
            .max_files = MAX_FILES,
            .pid = 1,
            .ids = &ids,
            .threads = setup & SETUP_THREADS ? 4 : 1,
        },
    };
    GThread *helper, *thread = NULL;
    int sv[2], both;
    gint64 end;
    bool ok;

    fuzz_populate();
    h.config.root = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(qemu_socketpair(AF_UNIX, SOCK_STREAM, 0, sv), ==, 0);
    h.fd = sv[1];
    both = fcntl(sv[1], F_DUPFD_CLOEXEC, 0);
    helper = g_thread_new("helper", serve_thread, &h);
    ok = start(&run, setup, sv[0]);
    g_mutex_init(&s.lock);
    s.words = map_memory();
    if (s.words) {
        thread = g_thread_new("scribbler", scribble, &s);
        qatomic_set(&scribbler, &s);
    }
    if (ok) {
        do_records(&run, &in, &s, ops);
    }
    qatomic_set(&scribbler, NULL);
    qatomic_set(&s.stop, true);
    if (thread) {
        g_thread_join(thread);
    }
    shutdown(both, SHUT_RDWR);
    if (!run_until_idle(&run, END_US)) {
        for (unsigned i = 0; i < ops->len; i++) {
            Op *op = g_ptr_array_index(ops, i);

            if (!op->done) {
                fprintf(stderr, "fuzz: operation %u of kind %u did not end\n",
                        i, op->kind);
            }
        }
        abort();
    }
    g_ptr_array_set_size(ops, 0);
    if (ok) {
        op_end(&run);
    }
    while (aio_poll(qemu_get_aio_context(), false)) {
        /* until the work that closing left is done */
    }
    g_thread_join(helper);
    if (s.words) {
        munmap(s.words, sizeof(ProxyRingMemory));
    }
    close(both);
    close(h.config.root);
    /* What the driver left unread goes with its end, which a thread closes. */
    end = g_get_monotonic_time() + END_US;
    while (unread_left()) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(100);
    }
    g_mutex_clear(&s.lock);
    fuzz_check_fds();
    return 0;
}
