/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fuzzer of QEMU's end of the proxy channel: everything that a hostile helper
 * could send, in both protocol versions.
 *
 * The real proxy driver does operations. The fuzzer is the helper at the other
 * end of a socket pair: it takes the requests, and answers with the input's
 * bytes and descriptors.
 *
 * Input: setup[1], then records (fuzz.h). Each record is one operation, and the
 * answer to the oldest request that has none. The record's kind is the
 * operation, its id chooses node, name and the files that descriptors refer to,
 * and its body is the payload of the answer. Few random bytes pass the driver,
 * which compares the helper's answer with the descriptor. So the body may also
 * be a list of changes, at[2] value[1], to the answer of an honest helper. With
 * SETUP_START the first record is the answer to HELLO, or in version 1 to the
 * LSTAT of the root.
 *
 * When the helper has gone, each operation must end, and no node or descriptor
 * may be left.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/sockets.h"
#include "fsdev/shared/proto.h"
#include "monitor/monitor.h"
#include "channel.h"
#include "mutate.h"

/* setup */
#define SETUP_V1        0x01
#define SETUP_NO_DONATE 0x02
#define SETUP_START     0x04    /* the first record is for the start */

#define OPERATIONS_MAX  48
/* How long a record may keep the next one waiting */
#define PATIENCE_US     2000
/* How long operations have to end once the helper has gone */
#define END_US          (10 * G_USEC_PER_SEC)

static const FsDriver *proxy;
static const char *folder;

/* The driver reports each lost helper: keep those reports out of the log. */
int error_vprintf(const char *fmt, va_list ap)
{
    return 0;
}

int error_vprintf_unless_qmp(const char *fmt, va_list ap)
{
    return 0;
}

/* Runs the main loop until no operation is pending, or for @patience. */
static bool run_until_idle(ChannelRun *run, gint64 patience)
{
    gint64 end = g_get_monotonic_time() + patience;

    do {
        while (aio_poll(qemu_get_aio_context(), false)) {
            /* again */
        }
        if (!run->pending) {
            return true;
        }
        g_usleep(10);
    } while (g_get_monotonic_time() < end);
    return false;
}

static bool start(ChannelRun *run, uint8_t setup, FuzzInput *in)
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
            .protocol = setup & SETUP_V1 ? 1 : PROXY_VERSION,
        },
    };
    FuzzRecord rec;
    int sv[2];
    bool ok;

    g_assert_cmpint(qemu_socketpair(AF_UNIX, SOCK_STREAM, 0, sv), ==, 0);
    run->peer = sv[1];
    run->v1 = setup & SETUP_V1;
    run->asked = g_byte_array_new();
    run->fs = (FsExport) {
        .id = opts.id, .driver = proxy, .migration = FSDEV_MIGRATION_AUTO,
    };
    snprintf(number, sizeof(number), "%d", sv[0]);
    helper_send_start(run, setup & SETUP_START && fuzz_record(in, &rec)
                           ? &rec : NULL);
    ok = proxy->open(&run->fs, &opts, NULL);
    helper_take_requests(run);
    g_byte_array_set_size(run->asked, 0);
    if (ok) {
        run->nodes[0] = fs_node_ref(run->fs.root);
    }
    return ok;
}

/* A body is changes to an answer, or an answer, which stays unknown. */
static const char *record_fields(uint8_t setup, const FuzzRecord *rec)
{
    return rec->flags & CHANGES ? "21212121D" : NULL;
}

const FuzzGrammar *fuzz_grammar(uint8_t setup)
{
    static const char *const words[] = { "" };
    static const FuzzGrammar grammar = {
        .kinds = 256,
        .fields = record_fields,
        .words = words,
        .n_words = ARRAY_SIZE(words),
        .n_names = ARRAY_SIZE(words),
    };

    return &grammar;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    folder = fuzz_folder();
    helper_set_folder(folder);
    qemu_init_main_loop(&error_abort);
    module_call_init(MODULE_INIT_QOM);
    proxy = fs_driver_find(FSDEV_DRIVER_PROXY);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    g_autoptr(GPtrArray) ops =
        g_ptr_array_new_with_free_func((GDestroyNotify)op_free);
    uint8_t setup = fuzz_u8(&in);
    FuzzRecord rec;
    ChannelRun run = { .folder = folder };
    bool ok;

    fuzz_populate();
    ok = start(&run, setup, &in);
    while (ok && ops->len < OPERATIONS_MAX && fuzz_record(&in, &rec)) {
        Op *op = NULL;

        if (!(rec.flags & NO_OPERATION)) {
            op = op_start(&run, &rec);
            g_ptr_array_add(ops, op);
        }
        while (aio_poll(qemu_get_aio_context(), false)) {
            /* until the driver has sent its requests */
        }
        helper_take_requests(&run);
        if (op && !op->done && rec.flags & CANCEL) {
            fs_call_cancel(&op->call);
        }
        if (!(rec.flags & LATER)) {
            helper_answer(&run, &rec);
            run_until_idle(&run, PATIENCE_US);
        }
    }
    close(run.peer);
    if (!run_until_idle(&run, END_US)) {
        fprintf(stderr, "fuzz: an operation did not end\n");
        abort();
    }
    g_ptr_array_set_size(ops, 0);
    if (ok) {
        op_end(&run);
    }
    while (aio_poll(qemu_get_aio_context(), false)) {
        /* until the work that closing left is done */
    }
    g_byte_array_unref(run.asked);
    fuzz_check_fds();
    return 0;
}
