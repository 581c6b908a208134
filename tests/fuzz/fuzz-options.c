/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fuzzer of -fsdev and -virtfs: options as text and as JSON, from the parser to
 * the export.
 *
 * Input: setup[1], then the option's argument. The real parser takes it, with
 * errors in place of the end of the process. With SETUP_CREATE the registry
 * then makes and removes the export, if its driver is synth or local. The path
 * is then the fuzzer's folder. No helper starts.
 */
#include "qemu/osdep.h"
#include "fsdev/registry/options.c"
#include "hw/qdev-core.h"
#include "qapi/qapi-events-fsdev.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "system/runstate.h"
#include "system/runstate-action.h"
#include "mutate.h"

const char *__lsan_default_suppressions(void);

#define SETUP_VIRTFS    0x01
#define SETUP_CREATE    0x02
#define SETUP_JSON      0x04    /* puts braces around the argument */

static const char *folder;

/* The base's parser of JSON leaks the second value of a key. */
const char *__lsan_default_suppressions(void)
{
    return "leak:parse_pair\n";
}

/* Where -virtfs puts its device */
static QemuOptsList device_group = {
    .name = "device",
    .implied_opt_name = "driver",
    .head = QTAILQ_HEAD_INITIALIZER(device_group.head),
    .desc = { { /* end */ } },
};

/*
 * In place of the monitor, hw/core and system/: no export here has a device or
 * a helper, and this process does not shut down as QEMU does.
 */
void qapi_event_send_fsdev_helper_lost(const char *id, const char *reason)
{
    g_assert_not_reached();
}

void qapi_event_send_fsdev_helper_found(const char *id)
{
    g_assert_not_reached();
}

ShutdownAction shutdown_action;

void qemu_register_shutdown_notifier(Notifier *notifier)
{
}

BusState *qdev_get_parent_bus(const DeviceState *dev)
{
    g_assert_not_reached();
}

char *qdev_get_human_name(DeviceState *dev)
{
    g_assert_not_reached();
}

/* Some options with values of any kind */
static void make_text(GByteArray *to, GRand *r)
{
    static const char *const keys[] = {
        "fsdriver", "id", "path", "security_model", "mount_tag", "readonly",
        "multidevs", "writeout", "fmode", "dmode", "max_xattr", "socket",
        "sock_fd", "helper", "protocol", "ring", "reconnect", "throttling",
        "throttling.bps-total", "on-disconnect", "modcaps", "uid-map",
        "memory-limit", "threads", "sandbox", "syslog", "migration",
        "on-missing", "other",
    };
    static const char *const texts[] = {
        "local", "synth", "proxy", "a", "none", "mapped-file", "on", "0", "-1",
        "0777", "immediate", "forbid", "/", "", "99999999999999999999", "1e3",
        "off", "names", "handles", "stale",
    };
    static const char *const others[] = {
        "null", "true", "5", "-1", "1.5", "[]", "[\"a\", \"b\"]", "{}",
        "{\"bps-total\": 1}", "{\"bps-total\": -1}", "99999999999999999999",
    };
    uint8_t setup = g_rand_int_range(r, 0, 8);
    unsigned n = g_rand_int_range(r, 1, 7);
    g_autoptr(GString) text = g_string_new(NULL);

    g_byte_array_append(to, &setup, 1);
    for (unsigned i = 0; i < n; i++) {
        const char *key = g_rand_int_range(r, 0, 3)
            ? keys[g_rand_int_range(r, 0, ARRAY_SIZE(keys))] : keys[i];
        const char *value = texts[g_rand_int_range(r, 0, ARRAY_SIZE(texts))];
        bool json = setup & SETUP_JSON;

        if (json && g_rand_int_range(r, 0, 3) == 0) {
            value = others[g_rand_int_range(r, 0, ARRAY_SIZE(others))];
            g_string_append_printf(text, "\"%s\": %s", key, value);
        } else {
            g_string_append_printf(text, json ? "\"%s\": \"%s\"" : "%s=%s",
                                   key, value);
        }
        g_string_append(text, i + 1 < n ? "," : "");
    }
    g_byte_array_append(to, (const uint8_t *)text->str, text->len);
}

const FuzzGrammar *fuzz_grammar(uint8_t setup)
{
    static const char *const words[] = {
        "local", "proxy", "synth", "fsdriver=", "id=", "a", "b.c", "path=",
        "/", "/d", "security_model=", "mapped-xattr", "mapped-file", "none",
        "passthrough", "readonly", "noreadonly", "readonly=on", "=", ",", ",,",
        "multidevs=", "remap", "forbid", "writeout=immediate", "socket=",
        "sock_fd=", "helper=", "protocol=", "donate=off", "ring=auto",
        "on-disconnect=", "wait", "reconnect=", "modcaps=", "+setfcap", "user=",
        "uid-map=", "0:1:1", "seccomp=", "memory-limit=", "1M", "log-level=",
        "fmode=", "dmode=0700", "migration=", "handles", "on-missing=", "fail",
        "max_xattr=", "max-fids=", "throttling.bps-total=",
        "throttling.iops-read-max=", "throttling.", "mount_tag=", "-1", "0",
        "18446744073709551615", "18446744073709551616", "1e999", "help", "?",
        "{", "}", "[", "]", ":", "null", "true", "\"", "\"local\"", "\"a\"",
        "\"synth\"", "\"fsdriver\":", "\"id\":", "\"path\":", "\"mount_tag\":",
        "\"security_model\":", "\"none\"", "\"readonly\":", "\"throttling\":",
        "\"multidevs\":", "\"fmode\":", "\"max_xattr\":", "\\u0000", "\n",
    };
    static const FuzzGrammar grammar = {
        .make_text = make_text,
        .words = words,
        .n_words = ARRAY_SIZE(words),
    };

    return &grammar;
}

/* Makes and removes the export, without a helper and only in the folder. */
static void create(FsdevOptions *opts)
{
    Error *err = NULL;

    if (opts->fsdriver == FSDEV_DRIVER_PROXY) {
        return;
    }
    if (opts->fsdriver == FSDEV_DRIVER_LOCAL) {
        g_free(opts->u.local.path);
        opts->u.local.path = g_strdup(folder);
    }
    if (fsdev_add(opts, &err)) {
        fsdev_del(opts->id, &error_abort);
    } else {
        g_assert_nonnull(error_get_pretty(err));
        error_free(err);
    }
    g_assert_null(fsdev_next(NULL));
}

static void run(uint8_t setup, const char *arg)
{
    g_autoptr(QDict) dict = NULL;
    Error *err = NULL;
    FsdevOption *option;
    bool json, ok = false;

    dict = parse_argument(arg, &json, &err);
    if (dict) {
        ok = (setup & SETUP_VIRTFS ? virtfs_take : fsdev_take)(dict, json,
                                                               &err);
    }
    /* Whatever it is, there is either an option or an error. */
    g_assert_true(ok == !err);
    g_assert_true(ok == !QSIMPLEQ_EMPTY(&queue));
    error_free(err);
    while ((option = QSIMPLEQ_FIRST(&queue))) {
        QSIMPLEQ_REMOVE_HEAD(&queue, next);
        if (setup & SETUP_CREATE) {
            create(option->opts);
        }
        qapi_free_FsdevOptions(option->opts);
        g_free(option);
    }
    qemu_opts_reset(&device_group);
}

/* "help" prints the drivers and ends the process, as it must. */
static bool asks_for_help(const char *arg)
{
    g_autofree char *complete = complete_argument(arg);
    bool help = false;
    QDict *dict;

    if (arg[0] == '{') {
        return false;
    }
    dict = keyval_parse(complete, "fsdriver", &help, NULL);
    qobject_unref(dict);
    return help;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    folder = fuzz_folder();
    qemu_init_main_loop(&error_abort);
    module_call_init(MODULE_INIT_QOM);
    qemu_add_opts(&device_group);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    uint8_t setup = fuzz_u8(&in);
    g_autofree char *text = g_strndup((const char *)in.data, in.left);
    g_autofree char *arg = setup & SETUP_JSON
                           ? g_strconcat("{", text, "}", NULL)
                           : g_strdup(text);

    if (!asks_for_help(arg)) {
        fuzz_populate();
        run(setup, arg);
    }
    while (aio_poll(qemu_get_aio_context(), false)) {
        /* until the work that closing left is done */
    }
    fuzz_check_fds();
    return 0;
}
