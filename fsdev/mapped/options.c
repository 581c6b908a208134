/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The command line of virtfs-mapped: see options.h.
 */
#include "qemu/osdep.h"
#include <getopt.h>
#include <sys/sysmacros.h>
#include "numbers.h"
#include "options.h"
#include "proxy-model.h"

enum {
    OPT_MODEL = 256,
    OPT_ROOT,
    OPT_LIVE,
    OPT_JSON,
    OPT_REPAIR,
    OPT_UID,
    OPT_GID,
    OPT_MODE,
    OPT_RDEV,
    OPT_FROM,
    OPT_TO,
    OPT_LOSSY,
    OPT_DRY_RUN,
    OPT_OWNER,
    OPT_UID_MAP,
    OPT_GID_MAP,
    OPT_SPECIAL_FILES,
    OPT_THREADS,
    OPT_DESPITE,
    OPT_VERSION,
};

static const struct option long_options[] = {
    { "model",   required_argument, NULL, OPT_MODEL },
    { "root",    required_argument, NULL, OPT_ROOT },
    { "live",    no_argument,       NULL, OPT_LIVE },
    { "json",    no_argument,       NULL, OPT_JSON },
    { "repair",  no_argument,       NULL, OPT_REPAIR },
    { "uid",     required_argument, NULL, OPT_UID },
    { "gid",     required_argument, NULL, OPT_GID },
    { "mode",    required_argument, NULL, OPT_MODE },
    { "rdev",    required_argument, NULL, OPT_RDEV },
    { "from",    required_argument, NULL, OPT_FROM },
    { "to",      required_argument, NULL, OPT_TO },
    { "lossy",   no_argument,       NULL, OPT_LOSSY },
    { "dry-run", no_argument,       NULL, OPT_DRY_RUN },
    { "owner",   required_argument, NULL, OPT_OWNER },
    { "uid-map", required_argument, NULL, OPT_UID_MAP },
    { "gid-map", required_argument, NULL, OPT_GID_MAP },
    { "special-files", required_argument, NULL, OPT_SPECIAL_FILES },
    { "threads", required_argument, NULL, OPT_THREADS },
    { "despite-metadata", no_argument, NULL, OPT_DESPITE },
    { "print0",  no_argument,       NULL, '0' },
    { "help",    no_argument,       NULL, 'h' },
    { "version", no_argument,       NULL, OPT_VERSION },
    { NULL }
};

int mapped_usage(const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    mapped_print_message("%s", text);
    fprintf(stderr, "Try '" PROGRAM " --help'.\n");
    return EXIT_USAGE;
}

static bool parse_rdev(const char *text, uint64_t *rdev)
{
    g_auto(GStrv) part = g_strsplit(text, ":", 2);
    uint64_t ma, mi;

    /* The numbers of the guest's kernel: 12 and 20 bits */
    if (!part[0] || !part[1] ||
        !mapped_parse_number(part[0], 10, 0xfff, &ma) ||
        !mapped_parse_number(part[1], 10, 0xfffff, &mi)) {
        return false;
    }
    *rdev = makedev(ma, mi);
    return true;
}

/* *@why: what is wrong, to be freed */
static bool parse_map(const char *text, bool gid, char **why)
{
    *why = idmap_add(gid ? mapped_ids.gid : mapped_ids.uid,
                     gid ? &mapped_ids.n_gid : &mapped_ids.n_uid, text);
    return !*why;
}

static bool parse_special_files(const char *text)
{
    if (g_str_equal(text, "mapped")) {
        mapped_devices = MAPPED_DEVICES_MAPPED;
    } else if (g_str_equal(text, "host")) {
        mapped_devices = MAPPED_DEVICES_HOST;
    } else {
        return false;
    }
    return true;
}

static bool parse_threads(const char *text, uint32_t *threads)
{
    uint64_t n;
    bool ok = mapped_parse_number(text, 10, MAPPED_THREADS_MAX, &n) && n > 0;

    *threads = ok ? n : 1;
    return ok;
}

/* *@why: if it is known, what is wrong; to be freed */
static bool take_value(MappedOptions *o, int option, const char *value,
                       char **why)
{
    switch (option) {
    case OPT_TO:
        o->to = mapped_model(value);
        return o->to != NULL;
    case OPT_MODEL:
    case OPT_FROM:
        o->model = mapped_model(value);
        return o->model != NULL;
    case OPT_UID:
        o->set.valid |= FS_SET_UID;
        return mapped_parse_id(value, &o->set.uid);
    case OPT_GID:
        o->set.valid |= FS_SET_GID;
        return mapped_parse_id(value, &o->set.gid);
    case OPT_MODE:
        o->set.valid |= FS_SET_MODE;
        return mapped_parse_mode(value, &o->set.mode);
    case OPT_OWNER:
        o->has_owner = true;
        return mapped_parse_owner(value, &o->owner_uid, &o->owner_gid);
    case OPT_UID_MAP:
    case OPT_GID_MAP:
        return parse_map(value, option == OPT_GID_MAP, why);
    case OPT_SPECIAL_FILES:
        return parse_special_files(value);
    case OPT_THREADS:
        return parse_threads(value, &o->threads);
    case OPT_RDEV:
        o->set_rdev = true;
        return parse_rdev(value, &o->rdev);
    default:
        o->root = value;
        return true;
    }
}

static void take_flag(MappedOptions *o, int option)
{
    switch (option) {
    case OPT_LIVE:
        o->live = true;
        break;
    case OPT_JSON:
        o->json = true;
        break;
    case OPT_REPAIR:
        o->repair = true;
        break;
    case OPT_LOSSY:
        o->lossy = true;
        break;
    case OPT_DRY_RUN:
        o->dry_run = true;
        break;
    case OPT_DESPITE:
        o->despite_metadata = true;
        break;
    case 'l':
        o->long_format = true;
        break;
    case 'R':
        o->recursive = true;
        break;
    case 'd':
        o->directory = true;
        break;
    case '0':
        o->zero = true;
        break;
    }
}

/* Whether a command takes an option */
static bool permits(const MappedCommand *c, int option)
{
    const struct option *o;

    switch (option) {
    case OPT_MODEL:
    case OPT_ROOT:
    case OPT_LIVE:
    case OPT_UID_MAP:
    case OPT_GID_MAP:
    case OPT_SPECIAL_FILES:
        return true;
    }
    if (option < 256) {
        return strchr(c->letters, option) != NULL;
    }
    for (o = long_options; o->name; o++) {
        if (o->val == option) {
            g_autofree char *word = g_strdup_printf(" %s ", o->name);

            return strstr(c->words, word) != NULL;
        }
    }
    return false;
}

/* An option as it is written, for a message */
static char *option_name(int option)
{
    const struct option *o;

    for (o = long_options; o->name && option >= 256; o++) {
        if (o->val == option) {
            return g_strconcat("--", o->name, NULL);
        }
    }
    return g_strdup_printf("-%c", option);
}

/* What is wrong with the command line, after getopt_long() gave '?' */
static int complain_of_option(const MappedCommand *c, char **argv)
{
    g_autofree char *name = optopt ? option_name(optopt) : NULL;
    const char *word = argv[optind - 1];

    if (optopt >= 256) {
        return mapped_usage("%s: %s has no value", c->name, name);
    }
    /* The rest of a word of short options is yet to come. */
    if (optopt && argv[optind] && argv[optind][0] == '-' &&
        argv[optind][1] != '-' && strchr(argv[optind], optopt)) {
        word = argv[optind];
    }
    if (optopt && strchr(c->letters, '0') && strlen(word) > 2) {
        return mapped_usage("%s: DIR comes first, and then %s", c->name, word);
    }
    return mapped_usage("%s: %s is no option of it", c->name,
                        optopt && optopt != '=' ? name : word);
}

static int complain_of_value(const MappedCommand *c, int option,
                             const char *value, const char *why)
{
    g_autofree char *name = option_name(option);

    return mapped_usage("%s: %s: %s%s%s", c->name, name,
                        why ? why : "'", why ? "" : value,
                        why ? "" : "' is not a valid value");
}

int mapped_options(MappedOptions *o, const MappedCommand *c, int argc,
                   char **argv, bool *help)
{
    /* The tests of find are no options. */
    const char *letters = g_str_equal(c->name, "find") ? "+:lRd0h" : ":lRd0h";
    g_autofree char *why = NULL;
    int option;

    o->owner_uid = geteuid();
    o->owner_gid = getegid();
    o->threads = 1;
    opterr = 0;
    while ((option = getopt_long(argc, argv, letters, long_options,
                                 NULL)) != -1) {
        if (option == 'h') {
            *help = true;
            return EXIT_GOOD;
        }
        if (option == ':') {
            return mapped_usage("%s needs a value", argv[optind - 1]);
        }
        if (option == '?') {
            return complain_of_option(c, argv);
        }
        if (!permits(c, option)) {
            g_autofree char *name = option_name(option);

            return mapped_usage("%s: %s is no option of it", c->name, name);
        }
        if (optarg && !take_value(o, option, optarg, &why)) {
            return complain_of_value(c, option, optarg, why);
        }
        if (!optarg) {
            take_flag(o, option);
        }
    }
    if (o->json && (o->zero || o->long_format)) {
        return mapped_usage("%s: --json does not go with %s", c->name,
                            o->zero ? "-0" : "-l");
    }
    o->args = argv + optind;
    o->n_args = argc - optind;
    if (o->n_args < c->min_args || o->n_args > c->max_args) {
        return mapped_usage("%s: %s", c->name,
                            o->n_args ? "too many arguments"
                                      : "an argument is missing");
    }
    return -1;
}
