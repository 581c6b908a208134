/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * -fsdev and -virtfs: from the command line to FsdevOptions, and from there to
 * exports.
 *
 * An argument is key=value,... with the driver first, or JSON. It is parsed at
 * once, so an error names its option. fsdev_create_all() makes the exports
 * later, together with those of sections in files of -readconfig (config.c),
 * which QEMU has read by then. -virtfs is -fsdev with mount_tag: the parser
 * takes that key out and adds a virtio-9p device with it, like -device.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-visit-fsdev.h"
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "qapi/qobject-input-visitor.h"
#include "block/qdict.h"
#include "qemu/config-file.h"
#include "qemu/error-report.h"
#include "qemu/id.h"
#include "qemu/keyval.h"
#include "qemu/option.h"
#include "qemu/queue.h"
#include "fsdev/qemu-fsdev.h"
#include "hw/9pfs/fs/driver.h"
#include "registry.h"

/* The request of an option, until its export is made */
typedef struct FsdevOption {
    FsdevOptions *opts;
    Location loc;
    QSIMPLEQ_ENTRY(FsdevOption) next;
} FsdevOption;

static QSIMPLEQ_HEAD(, FsdevOption) queue = QSIMPLEQ_HEAD_INITIALIZER(queue);

static G_NORETURN void list_drivers(void)
{
    FsdevDriver type;

    printf("Drivers of shared file systems in this binary:\n");
    for (type = 0; type < FSDEV_DRIVER__MAX; type++) {
        if (fs_driver_find(type)) {
            printf("%s\n", FsdevDriver_str(type));
        }
    }
    exit(0);
}

/*
 * key=value,... with "readonly" and "noreadonly" written out, which need no
 * value.
 */
static char *complete_argument(const char *arg)
{
    GString *text = g_string_new(NULL);
    const char *p = arg;
    const char *end;

    while (*p) {
        end = p + strcspn(p, "=,");
        if (*end == '=') {
            /* In a value, two commas stand for one. */
            while (*end && (end[0] != ',' || end[1] == ',')) {
                end += *end == ',' ? 2 : 1;
            }
        }
        if (p != arg && g_str_has_prefix(p, "readonly") && end - p == 8) {
            g_string_append(text, "readonly=on");
        } else if (p != arg && g_str_has_prefix(p, "noreadonly") &&
                   end - p == 10) {
            g_string_append(text, "readonly=off");
        } else {
            g_string_append_len(text, p, end - p);
        }
        p = end;
        if (*p == ',') {
            g_string_append_c(text, *p++);
        }
    }
    return g_string_free(text, FALSE);
}

/* The argument as a dictionary; its values are all strings unless @json. */
static QDict *parse_argument(const char *arg, bool *json, Error **errp)
{
    g_autofree char *complete = NULL;
    bool help = false;
    QDict *dict;

    *json = arg[0] == '{';
    if (*json) {
        /* JSON that begins with a brace is a dictionary, or an error. */
        return qobject_to(QDict, qobject_from_json(arg, errp));
    }
    complete = complete_argument(arg);
    dict = keyval_parse(complete, "fsdriver", &help, errp);
    if (dict && help) {
        list_drivers();
    }
    return dict;
}

/*
 * If @err is about a bad word for a key with a fixed choice of words, returns a
 * new error that lists them; otherwise @err.
 */
static Error *explain_choice(const QDict *dict, Error *err)
{
    static const struct {
        const char *key;
        const QEnumLookup *words;
    } choices[] = {
        { "fsdriver", &FsdevDriver_lookup },
        { "security_model", &FsdevSecurityModel_lookup },
        { "multidevs", &FsdevMultidevs_lookup },
        { "writeout", &FsdevWriteout_lookup },
        { "on-disconnect", &FsdevOnDisconnect_lookup },
        { "squash", &FsdevSquash_lookup },
        { "special-files", &FsdevSpecialFiles_lookup },
        { "act-as", &FsdevActAs_lookup },
        { "sandbox", &FsdevHelperSandbox_lookup },
        { "seccomp", &FsdevHelperSeccomp_lookup },
        { "log-level", &FsdevHelperLogLevel_lookup },
        { "migration", &FsdevMigration_lookup },
        { "on-missing", &FsdevOnMissing_lookup },
    };
    Error *better = NULL;
    unsigned i, j;

    for (i = 0; i < ARRAY_SIZE(choices); i++) {
        const char *value = qdict_get_try_str(dict, choices[i].key);
        g_autofree char *start = g_strdup_printf(
            "Parameter '%s' does not accept value ", choices[i].key);
        g_autoptr(GString) words = g_string_new(NULL);

        if (!value || !g_str_has_prefix(error_get_pretty(err), start)) {
            continue;
        }
        for (j = 0; j < choices[i].words->size; j++) {
            g_string_append_printf(words, "%s%s", j ? ", " : "",
                                   choices[i].words->array[j]);
        }
        error_setg(&better, "%s'%s', only: %s", start, value, words->str);
        error_free(err);
        return better;
    }
    return err;
}

static FsdevOptions *parse_options(QDict *dict, bool json, Error **errp)
{
    FsdevOptions *opts = NULL;
    Error *err = NULL;
    Visitor *v;

    v = json ? qobject_input_visitor_new(QOBJECT(dict))
             : qobject_input_visitor_new_keyval(QOBJECT(dict));
    if (!visit_type_FsdevOptions(v, NULL, &opts, &err)) {
        error_propagate(errp, explain_choice(dict, err));
    }
    visit_free(v);
    return opts;
}

static void enqueue(FsdevOptions *opts)
{
    FsdevOption *option = g_new0(FsdevOption, 1);

    option->opts = opts;
    loc_save(&option->loc);
    QSIMPLEQ_INSERT_TAIL(&queue, option, next);
}

static bool fsdev_take(QDict *dict, bool json, Error **errp)
{
    FsdevOptions *opts = parse_options(dict, json, errp);

    if (!opts) {
        return false;
    }
    enqueue(opts);
    return true;
}

/*
 * Like -device virtio-9p,fsdev=@id,mount_tag=@tag: the name is an alias of the
 * device on the target's main bus, virtio-9p-pci or virtio-9p-ccw.
 */
static void add_device(const char *id, const char *tag)
{
    QemuOpts *device = qemu_opts_create(qemu_find_opts("device"), NULL, 0,
                                        &error_abort);

    qemu_opt_set(device, "driver", "virtio-9p", &error_abort);
    qemu_opt_set(device, "fsdev", id, &error_abort);
    qemu_opt_set(device, "mount_tag", tag, &error_abort);
}

static bool virtfs_take(QDict *dict, bool json, Error **errp)
{
    g_autofree char *tag = NULL;
    FsdevOptions *opts;

    if (!qdict_haskey(dict, "mount_tag")) {
        error_setg(errp, "Parameter 'mount_tag' is missing: the guest mounts "
                   "by it");
        return false;
    }
    tag = g_strdup(qdict_get_try_str(dict, "mount_tag"));
    if (!tag) {
        error_setg(errp, "Parameter 'mount_tag' must be a string");
        return false;
    }
    qdict_del(dict, "mount_tag");

    if (!qdict_haskey(dict, "id")) {
        if (!id_wellformed(tag)) {
            error_setg(errp, "Parameter 'id' is missing, and mount_tag '%s' "
                       "cannot stand for it, because it is not an identifier",
                       tag);
            return false;
        }
        qdict_put_str(dict, "id", tag);
    }
    opts = parse_options(dict, json, errp);
    if (!opts) {
        return false;
    }
    add_device(opts->id, tag);
    enqueue(opts);
    return true;
}

void fsdev_option(const char *optarg)
{
    bool json;
    g_autoptr(QDict) dict = parse_argument(optarg, &json, &error_fatal);

    fsdev_take(dict, json, &error_fatal);
}

void virtfs_option(const char *optarg)
{
    bool json;
    g_autoptr(QDict) dict = parse_argument(optarg, &json, &error_fatal);

    virtfs_take(dict, json, &error_fatal);
}

/* A section of a file of -readconfig; @opaque: whether it is "virtfs" */
static int take_section(void *opaque, QemuOpts *section, Error **errp)
{
    g_autoptr(QDict) flat = qemu_opts_to_qdict(section, NULL);
    /* throttling.KEY becomes a dictionary, as everywhere else. */
    g_autoptr(QDict) dict = qobject_to(QDict, qdict_crumple(flat, errp));
    bool *virtfs = opaque;

    if (!dict) {
        return -1;
    }
    return (*virtfs ? virtfs_take : fsdev_take)(dict, false, errp) ? 0 : -1;
}

void fsdev_create_all(void)
{
    bool fsdev = false, virtfs = true;
    FsdevOption *option;

    qemu_opts_foreach(qemu_find_opts("fsdev"), take_section, &fsdev,
                      &error_fatal);
    qemu_opts_foreach(qemu_find_opts("virtfs"), take_section, &virtfs,
                      &error_fatal);
    while ((option = QSIMPLEQ_FIRST(&queue))) {
        QSIMPLEQ_REMOVE_HEAD(&queue, next);
        loc_push_restore(&option->loc);
        fsdev_add(option->opts, &error_fatal);
        loc_pop(&option->loc);
        qapi_free_FsdevOptions(option->opts);
        g_free(option);
    }
}
