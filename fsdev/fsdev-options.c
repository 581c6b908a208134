/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * -fsdev and -virtfs: from the command line to FsdevOptions, and from there to
 * exports.
 *
 * An argument is key=value,... with the driver first, or JSON. It is taken
 * apart at once, so that a mistake is told with the option that has it; the
 * exports are made later. -virtfs is -fsdev with mount_tag: that key is taken
 * out here and goes to a virtio-9p-pci device, as if there was a -device for
 * it.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-visit-fsdev.h"
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "qapi/qobject-input-visitor.h"
#include "qemu/config-file.h"
#include "qemu/error-report.h"
#include "qemu/id.h"
#include "qemu/keyval.h"
#include "qemu/option.h"
#include "qemu/queue.h"
#include "qemu-fsdev.h"

/* What an option asked for, until it is made */
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
        if (fsdev_driver_present(type)) {
            printf("%s\n", FsdevDriver_str(type));
        }
    }
    exit(0);
}

/* The argument as a dictionary; its values are all strings unless @json. */
static QDict *parse_argument(const char *arg, bool *json, Error **errp)
{
    bool help = false;
    QDict *dict;

    *json = arg[0] == '{';
    if (*json) {
        /* What begins like this is a dictionary, or an error. */
        return qobject_to(QDict, qobject_from_json(arg, errp));
    }
    dict = keyval_parse(arg, "fsdriver", &help, errp);
    if (dict && help) {
        list_drivers();
    }
    return dict;
}

static FsdevOptions *parse_options(QDict *dict, bool json, Error **errp)
{
    FsdevOptions *opts = NULL;
    Visitor *v;

    v = json ? qobject_input_visitor_new(QOBJECT(dict))
             : qobject_input_visitor_new_keyval(QOBJECT(dict));
    visit_type_FsdevOptions(v, NULL, &opts, errp);
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

static bool fsdev_parse(const char *arg, Error **errp)
{
    g_autoptr(QDict) dict = NULL;
    FsdevOptions *opts;
    bool json;

    dict = parse_argument(arg, &json, errp);
    if (!dict) {
        return false;
    }
    opts = parse_options(dict, json, errp);
    if (!opts) {
        return false;
    }
    enqueue(opts);
    return true;
}

/* As if there was -device virtio-9p-pci,fsdev=@id,mount_tag=@tag */
static void add_device(const char *id, const char *tag)
{
    QemuOpts *device = qemu_opts_create(qemu_find_opts("device"), NULL, 0,
                                        &error_abort);

    qemu_opt_set(device, "driver", "virtio-9p-pci", &error_abort);
    qemu_opt_set(device, "fsdev", id, &error_abort);
    qemu_opt_set(device, "mount_tag", tag, &error_abort);
}

static bool virtfs_parse(const char *arg, Error **errp)
{
    g_autoptr(QDict) dict = NULL;
    g_autofree char *tag = NULL;
    FsdevOptions *opts;
    bool json;

    dict = parse_argument(arg, &json, errp);
    if (!dict) {
        return false;
    }
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
    fsdev_parse(optarg, &error_fatal);
}

void virtfs_option(const char *optarg)
{
    virtfs_parse(optarg, &error_fatal);
}

void fsdev_create_all(void)
{
    FsdevOption *option;

    while ((option = QSIMPLEQ_FIRST(&queue))) {
        QSIMPLEQ_REMOVE_HEAD(&queue, next);
        loc_push_restore(&option->loc);
        fsdev_add(option->opts, &error_fatal);
        loc_pop(&option->loc);
        qapi_free_FsdevOptions(option->opts);
        g_free(option);
    }
}
