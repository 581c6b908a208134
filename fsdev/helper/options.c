/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's command line: see options.h.
 *
 * Users and groups may be given by name or number. The helper looks names up
 * here, before it gives up any privilege of its starter, because the lookup may
 * load libraries and use the network.
 */
#include "qemu/osdep.h"
#include "options.h"
#include "options-values.h"
#include "activation.h"
#include "log.h"
#include "userns.h"
#include "fsdev/shared/caps.h"
#include <getopt.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/random.h>
#include <sys/un.h>

/* The group of a user that has no entry in passwd(5) */
#define NOBODY_ID       65534

/* The ids of users of a helper's own, which systems do not assign */
#define OWN_FIRST       0x70000000u
#define OWN_COUNT       0x0fffffffu

enum {
    OPT_USER = 256,
    OPT_GROUP,
    OPT_READONLY,
    OPT_THREADS,
    OPT_RLIMIT_NOFILE,
    OPT_MEMORY_LIMIT,
    OPT_SANDBOX,
    OPT_SECCOMP,
    OPT_FILE_HANDLES,
    OPT_SPECIAL_FILES,
    OPT_ACT_AS,
    OPT_HOST_GROUPS,
    OPT_XATTR_MAP,
    OPT_LOG_LEVEL,
    OPT_PERSIST,
    OPT_PIDFILE,
    OPT_MODCAPS,
    OPT_SYSLOG,
    OPT_UID_MAP,
    OPT_GID_MAP,
    OPT_SQUASH,
    OPT_ANON_UID,
    OPT_ANON_GID,
    OPT_TRANSLATE_UID,
    OPT_TRANSLATE_GID,
    OPT_PRINT_CAPABILITIES,
    OPT_VERSION,
};

static const char short_options[] = ":p:f:s:u:g:nh";

static const struct option long_options[] = {
    { "path",     required_argument, NULL, 'p' },
    { "fd",       required_argument, NULL, 'f' },
    { "socket",   required_argument, NULL, 's' },
    { "uid",      required_argument, NULL, 'u' },
    { "gid",      required_argument, NULL, 'g' },
    { "nodaemon", no_argument,       NULL, 'n' },
    { "help",     no_argument,       NULL, 'h' },
    { "user",     required_argument, NULL, OPT_USER },
    { "group",    required_argument, NULL, OPT_GROUP },
    { "readonly", no_argument,       NULL, OPT_READONLY },
    { "threads",  required_argument, NULL, OPT_THREADS },
    { "rlimit-nofile", required_argument, NULL, OPT_RLIMIT_NOFILE },
    { "memory-limit", required_argument, NULL, OPT_MEMORY_LIMIT },
    { "log-level", required_argument, NULL, OPT_LOG_LEVEL },
    { "pidfile",  required_argument, NULL, OPT_PIDFILE },
    { "syslog",   no_argument,       NULL, OPT_SYSLOG },
    { "modcaps",  required_argument, NULL, OPT_MODCAPS },
    { "uid-map",  required_argument, NULL, OPT_UID_MAP },
    { "gid-map",  required_argument, NULL, OPT_GID_MAP },
    { "squash",   required_argument, NULL, OPT_SQUASH },
    { "anon-uid", required_argument, NULL, OPT_ANON_UID },
    { "anon-gid", required_argument, NULL, OPT_ANON_GID },
    { "translate-uid", required_argument, NULL, OPT_TRANSLATE_UID },
    { "translate-gid", required_argument, NULL, OPT_TRANSLATE_GID },
    { "persist",  no_argument,       NULL, OPT_PERSIST },
    { "sandbox",  required_argument, NULL, OPT_SANDBOX },
    { "seccomp",  required_argument, NULL, OPT_SECCOMP },
    { "file-handles", required_argument, NULL, OPT_FILE_HANDLES },
    { "special-files", required_argument, NULL, OPT_SPECIAL_FILES },
    { "act-as",   required_argument, NULL, OPT_ACT_AS },
    { "host-groups", no_argument,    NULL, OPT_HOST_GROUPS },
    { "xattr-map", required_argument, NULL, OPT_XATTR_MAP },
    { "print-capabilities", no_argument, NULL, OPT_PRINT_CAPABILITIES },
    { "version",  no_argument,       NULL, OPT_VERSION },
    { NULL }
};

static const char help_text[] =
    "Usage: " HELPER_NAME " -p DIR [-f FD | -s FILE] [option...]\n"
    "Serves a directory to QEMU's fsdev driver 'proxy'.\n"
    "\n"
    "  -p, --path DIR      the directory to serve\n"
    "  -f, --fd FD         serve on this connected UNIX stream socket\n"
    "  -s, --socket FILE   listen on this UNIX socket, for one connection\n"
    "  -u, --uid USER      owner of the socket file; only USER may connect\n"
    "  -g, --gid GROUP     group of the socket file\n"
    "  -n, --nodaemon      stay in the foreground; with --fd, end with the\n"
    "                      process that started the helper\n"
    "      --user USER     serve as this user, not root; default: one of its\n"
    "                      own, without a name (only when started as root)\n"
    "      --group GROUP   serve as this group; default: the user's\n"
    "      --readonly      refuse every change\n"
    "      --threads N     requests worked on at a time (1-"
                           G_STRINGIFY(THREADS_MAX) ", default "
                           G_STRINGIFY(THREADS_DEFAULT) ")\n"
    "      --rlimit-nofile N\n"
    "                      files that it may have open ("
                           G_STRINGIFY(FILES_MIN) " and more, default:\n"
    "                      as many as the system allows)\n"
    "      --memory-limit MIB\n"
    "                      memory that it may have, with M or G after the\n"
    "                      number, too (default: what threads, open files and\n"
    "                      --persist can need)\n"
    "      --modcaps +CAP:-CAP...\n"
    "                      serve with more (mknod, setfcap) or fewer (chown,\n"
    "                      dac_override, dac_read_search, fowner, fsetid)\n"
    "                      capabilities\n"
    "      --uid-map INSIDE:OUTSIDE:COUNT[,...]\n"
    "      --gid-map INSIDE:OUTSIDE:COUNT[,...]\n"
    "                      serve in a user namespace in which COUNT ids from\n"
    "                      INSIDE on are the host's from OUTSIDE on; may be\n"
    "                      repeated. The guest can use no other ids. The\n"
    "                      helper is id 0 inside. An ordinary user may map\n"
    "                      the own id and those of /etc/subuid and\n"
    "                      /etc/subgid; default: 0 is the user, from 1 on the\n"
    "                      others. Root must give both maps, and map 0 to\n"
    "                      another id than 0; default: no map\n"
    "      --squash root|all\n"
    "                      the guest's root, or all of its users and groups,\n"
    "                      are one user and group of the host\n"
    "      --anon-uid USER\n"
    "      --anon-gid GROUP\n"
    "                      which user and group these are (default: 65534)\n"
    "      --translate-uid GUEST:HOST:COUNT[,...]\n"
    "      --translate-gid GUEST:HOST:COUNT[,...]\n"
    "                      COUNT ids of the guest from GUEST on are the\n"
    "                      host's from HOST on; with to-host: or to-guest:\n"
    "                      before a range, in one direction only; may be\n"
    "                      repeated. The guest can use no other ids\n"
    "      --persist       after a client, wait for the next one\n"
    "      --sandbox namespace|chroot|none\n"
    "                      how the helper isolates itself: its own namespaces\n"
    "                      with nothing but the export (default), or less\n"
    "                      where namespaces are not available\n"
    "      --seccomp kill|trap|log|none\n"
    "                      on a system call that serving does not need: end\n"
    "                      the helper (default), end it with a signal for\n"
    "                      debuggers, write a line to the kernel's log, or do\n"
    "                      nothing\n"
    "      --file-handles on|auto|off\n"
    "                      find files by the host's file handles, so that\n"
    "                      guests migrate with files that the host renamed or\n"
    "                      removed: always, if possible, or not (default).\n"
    "                      Only when started as root\n"
    "      --special-files host|mapped\n"
    "                      the guest's device files are device files of the\n"
    "                      host, or empty files with attributes (default in a\n"
    "                      user namespace, which can make no others)\n"
    "      --xattr-map RULES\n"
    "                      names of extended attributes on the host, as rules\n"
    "                      :TYPE:SCOPE:KEY:PREPEND: (see the manual)\n"
    "      --act-as self|root|guest\n"
    "                      as whom it works on files: its own user (default);\n"
    "                      root; or the guest's user who asks, for file\n"
    "                      servers, to which capabilities mean nothing\n"
    "      --host-groups   with guest: the user's groups are those that the\n"
    "                      host knows\n"
    "      --log-level error|warning|info|debug\n"
    "                      least important messages to log (default:\n"
    "                      warning)\n"
    "      --syslog        log to syslog, once the helper is ready; a daemon\n"
    "                      always does\n"
    "      --pidfile FILE  write the process id there; the file stays locked\n"
    "                      as long as the helper runs\n"
    "  -h, --help          print this text\n"
    "      --print-capabilities\n"
    "                      print what this helper can do, as JSON\n"
    "      --version       print the version\n"
    "\n"
    "Started as root, it serves as another user with a few capabilities.\n"
    "Started by an ordinary user, it serves in a user namespace with the ids\n"
    "that subuid(5) and subgid(5) give that user.\n"
    "Without --fd and --socket it takes the socket that a service manager\n"
    "passes (LISTEN_FDS of sd_listen_fds(3)).\n";

/* The name of an option as the help text has it */
static const char *option_name(int opt)
{
    const struct option *o;

    for (o = long_options; o->name; o++) {
        if (o->val == opt) {
            return o->name;
        }
    }
    return "?";
}

static void check_socket_path(const char *path)
{
    size_t max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

    if (!*path) {
        fatal("--socket: its value is empty");
    }
    if (strlen(path) > max) {
        fatal("--socket %s: longer than the %zu bytes of a socket's name",
              path, max);
    }
}

static void add_map(const char *option, const char *value, ProxyIdRange *map,
                    unsigned *n)
{
    g_autofree char *why = idmap_add(map, n, value);

    if (why) {
        fatal("--%s %s: %s", option, value, why);
    }
}

/* The host's id for id 0 of a map, which must have one */
static uint32_t map_root(const char *option, const ProxyIdRange *map,
                         unsigned n)
{
    uint32_t id = idmap_outside(map, n, 0);

    if (id == IDMAP_NONE) {
        fatal("--%s: no range has id 0 inside, which the helper serves as",
              option);
    }
    return id;
}

/*
 * With maps, a helper started as root serves as id 0 of its user namespace.
 * That must not be the host's root, which the helper never serves as.
 */
static void choose_mapped_identity(Options *o)
{
    const IdMaps *m = &o->maps;

    if (!m->n_uid || !m->n_gid) {
        fatal("--%s: as root, --%s is needed, too", m->n_uid ? "uid-map" :
              "gid-map", m->n_uid ? "gid-map" : "uid-map");
    }
    if (o->user != NO_ID || o->group != NO_ID) {
        fatal("--%s: with --uid-map and --gid-map the helper serves as the "
              "user that they map id 0 to",
              o->user != NO_ID ? "user" : "group");
    }
    o->user = map_root("uid-map", m->uid, m->n_uid);
    o->group = map_root("gid-map", m->gid, m->n_gid);
    if (o->user == 0 || o->group == 0) {
        fatal("--%s: id 0 inside is 0 on the host, which the helper does not "
              "serve as", o->user == 0 ? "uid-map" : "gid-map");
    }
    if (o->activated && o->socket_uid != NO_ID &&
        idmap_inside(m->uid, m->n_uid, o->socket_uid) == IDMAP_NONE) {
        fatal("--uid %u: not in --uid-map, so the helper cannot recognise a "
              "connection by that user", o->socket_uid);
    }
}

/*
 * A user and group id that no other process has, nor any entry of passwd(5) or
 * group(5). In a user namespace that may lack these ids it is that of nobody.
 */
static uint32_t own_id(void)
{
    uint32_t id;

    if (userns_is_partial()) {
        return NOBODY_ID;
    }
    do {
        if (getrandom(&id, sizeof(id), 0) != sizeof(id)) {
            fatal("cannot get a random number: %s", strerror(errno));
        }
        id = OWN_FIRST + id % OWN_COUNT;
    } while (getpwuid(id) || getgrgid(id));
    return id;
}

/*
 * The identity while serving, for a helper started as root. @user_gid is the
 * primary group of --user, if that is known.
 */
static void choose_identity(Options *o, uint32_t user_gid)
{
    if (o->user == 0) {
        fatal("--user: the helper does not serve as root (uid 0); "
              "name another user");
    }
    if (o->group == 0) {
        fatal("--group: the helper does not serve as root's group (gid 0); "
              "name another group");
    }

    if (o->user == NO_ID && geteuid() != 0) {
        /* An ordinary user with root's capabilities, from a service manager */
        o->user = geteuid();
        user_gid = getegid();
    } else if (o->user == NO_ID) {
        o->user = own_id();
        user_gid = o->user;
    }
    if (o->group == NO_ID) {
        if (user_gid == 0) {
            fatal("user %u has group 0, which the helper does not serve as; "
                  "name another with --group", o->user);
        }
        o->group = user_gid != NO_ID ? user_gid : NOBODY_ID;
    }
}

/* What one option needs of another */
static void check_together(const Options *o)
{
    if (o->special_files == SPECIAL_FILES_MAPPED &&
        !caps_have(o->caps, CAP_DAC_OVERRIDE)) {
        fatal("--special-files mapped: not with --modcaps -dac_override, "
              "without which the helper cannot read the attributes of these "
              "files");
    }
    if (o->anon_given && o->translate->squash == ID_SQUASH_NONE) {
        fatal("--anon-uid and --anon-gid: only with --squash");
    }
    if (o->translate && (o->maps.n_uid || o->maps.n_gid)) {
        fatal("--%s: not with --squash or --translate-uid and --translate-gid, "
              "which are other ways to choose ids",
              o->maps.n_uid ? "uid-map" : "gid-map");
    }
}

static void check_act_as(const Options *o)
{
    if (o->host_groups && o->act_as != ACT_AS_GUEST) {
        fatal("--host-groups: only with --act-as guest");
    }
    if (o->act_as == ACT_AS_GUEST &&
        o->special_files == SPECIAL_FILES_MAPPED) {
        fatal("--special-files mapped: not with --act-as guest, whose users "
              "cannot read the attributes of these files");
    }
    if (o->act_as == ACT_AS_GUEST && o->file_handles != FILE_HANDLES_OFF) {
        fatal("--file-handles: not with --act-as guest, because file handles "
              "lead past the server's checks");
    }
    if (o->act_as == ACT_AS_GUEST && caps_have(o->caps, CAP_SETFCAP)) {
        fatal("--modcaps +setfcap: not with --act-as guest, whose users could "
              "all give any file capabilities");
    }
    if ((o->act_as == ACT_AS_ROOT || o->host_groups) &&
        (!userns_is_root() || o->maps.n_uid)) {
        fatal("--%s: only if root starts the helper, without maps",
              o->host_groups ? "host-groups" : "act-as root");
    }
}

static void check_options(Options *o, uint32_t user_gid)
{
    check_act_as(o);
    check_together(o);
    if (!o->path) {
        fatal("--path DIR is missing; try --help");
    }
    if (o->fd >= 0 && o->socket) {
        fatal("--fd and --socket cannot be used together");
    }
    if (o->fd >= 0 && o->persist) {
        fatal("--persist requires a socket to listen on, not --fd");
    }
    if (o->fd < 0 && !o->socket) {
        o->fd = activation_socket();
        o->activated = true;
    }
    if (o->fd < 0 && !o->socket) {
        fatal("one of --fd FD and --socket FILE is needed; try --help");
    }
    if (o->maps.n_uid) {
        map_root("uid-map", o->maps.uid, o->maps.n_uid);
    }
    if (o->maps.n_gid) {
        map_root("gid-map", o->maps.gid, o->maps.n_gid);
    }
    if (userns_is_root() && (o->maps.n_uid || o->maps.n_gid)) {
        choose_mapped_identity(o);
    } else if (userns_is_root()) {
        choose_identity(o, user_gid);
    } else if (geteuid() != 0 && (o->user != NO_ID || o->group != NO_ID)) {
        fatal("--%s: only a helper started as root can change its identity",
              o->user != NO_ID ? "user" : "group");
    }
}

/*
 * For management software: JSON on stdout, whatever else the command line says.
 * docs/interop/vhost-user.rst has the same for another kind of program. No
 * string in it needs quoting. Management software knows the names of features
 * from here, so "id-maps" differs from the "id-map" of QMP.
 */
static G_NORETURN void print_capabilities(void)
{
    const struct option *option;
#ifdef CONFIG_VIRTFS_PROXY_V1
    const char *older_versions = "1, ";
#else
    const char *older_versions = "";
#endif

    printf("{\n"
           "  \"type\": \"fsdev-proxy\",\n"
           "  \"protocol-versions\": [ %s%d ],\n"
           "  \"features\": [ \"adopt\", \"donate\", \"id-maps\", "
           "\"readonly\", \"ring\" ],\n"
           "  \"options\": [", older_versions, PROXY_VERSION);
    for (option = long_options; option->name; option++) {
        printf("%s\n    \"%s\"", option == long_options ? "" : ",",
               option->name);
    }
    printf("\n  ]\n}\n");
    exit(fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* The connection, and where it comes from; whether @opt is one of these. */
static bool set_connection(Options *o, int opt, const char *value)
{
    unsigned long number;

    switch (opt) {
    case 'p':
        o->path = value;
        return true;
    case 'f':
        if (!option_number(value, INT_MAX, &number)) {
            fatal("--fd %s: not the number of a descriptor", value);
        }
        o->fd = number;
        log_tell_client(number);
        return true;
    case 's':
        check_socket_path(value);
        o->socket = value;
        return true;
    case 'u':
        o->socket_uid = option_user("uid", value, NULL);
        return true;
    case 'g':
        o->socket_gid = option_group("gid", value);
        return true;
    case OPT_PERSIST:
        o->persist = true;
        return true;
    default:
        return false;
    }
}

/* Identity and privilege while serving; likewise. */
static bool set_privilege(Options *o, int opt, const char *value,
                          uint32_t *user_gid)
{
    switch (opt) {
    case OPT_USER:
        o->user = option_user("user", value, user_gid);
        return true;
    case OPT_GROUP:
        o->group = option_group("group", value);
        return true;
    case OPT_MODCAPS:
        option_modcaps(&o->caps, value);
        return true;
    case OPT_UID_MAP:
        add_map("uid-map", value, o->maps.uid, &o->maps.n_uid);
        return true;
    case OPT_GID_MAP:
        add_map("gid-map", value, o->maps.gid, &o->maps.n_gid);
        return true;
    case OPT_SANDBOX:
        o->sandbox = option_sandbox(value);
        return true;
    case OPT_SECCOMP:
        o->seccomp = option_seccomp(value);
        return true;
    case OPT_FILE_HANDLES:
        o->file_handles = option_file_handles(value);
        return true;
    case OPT_XATTR_MAP:
        option_xattr_map(&o->xattr_map, value);
        return true;
    case OPT_ACT_AS:
        o->act_as = option_act_as(value);
        return true;
    case OPT_HOST_GROUPS:
        o->host_groups = true;
        return true;
    case OPT_SPECIAL_FILES:
        o->special_files = option_special_files(value);
        return true;
    default:
        return false;
    }
}

/* What becomes of ids; likewise. */
static bool set_translation(Options *o, int opt, const char *value)
{
    IdTranslate *t;

    if (opt < OPT_SQUASH || opt > OPT_TRANSLATE_GID) {
        return false;
    }
    t = o->translate;
    if (!t) {
        t = o->translate = g_new(IdTranslate, 1);
        id_translate_init(t);
    }
    switch (opt) {
    case OPT_SQUASH:
        t->squash = option_squash(value);
        return true;
    case OPT_ANON_UID:
        t->user.anon = option_user("anon-uid", value, NULL);
        o->anon_given = true;
        return true;
    case OPT_ANON_GID:
        t->group.anon = option_group("anon-gid", value);
        o->anon_given = true;
        return true;
    case OPT_TRANSLATE_UID:
        option_translate("translate-uid", value, &t->user);
        return true;
    default:
        option_translate("translate-gid", value, &t->group);
        return true;
    }
}

/* How it serves, and its messages; likewise. */
static bool set_behaviour(Options *o, int opt, const char *value)
{
    unsigned long number;

    switch (opt) {
    case 'n':
        o->foreground = true;
        return true;
    case OPT_READONLY:
        o->readonly = true;
        return true;
    case OPT_THREADS:
        if (!option_number(value, THREADS_MAX, &number) || number == 0) {
            fatal("--threads %s: not a number from 1 to %d", value,
                  THREADS_MAX);
        }
        o->threads = number;
        return true;
    case OPT_RLIMIT_NOFILE:
        if (!option_number(value, FILES_MAX, &number) || number < FILES_MIN) {
            fatal("--rlimit-nofile %s: not a number from %d to %d", value,
                  FILES_MIN, FILES_MAX);
        }
        o->max_files = number;
        return true;
    case OPT_MEMORY_LIMIT:
        o->memory = option_memory(value);
        return true;
    case OPT_LOG_LEVEL:
        if (!log_set_level(value)) {
            fatal("--log-level %s: not one of error, warning, info, debug",
                  value);
        }
        return true;
    case OPT_PIDFILE:
        o->pidfile = value;
        return true;
    case OPT_SYSLOG:
        o->syslog = true;
        return true;
    default:
        return false;
    }
}

/* Options that only print, which end the process, and bad ones */
static G_NORETURN void print_or_fail(int opt, char **argv)
{
    switch (opt) {
    case OPT_PRINT_CAPABILITIES:        /* abbreviated */
        print_capabilities();
    case 'h':
        fputs(help_text, stdout);
        exit(EXIT_SUCCESS);
    case OPT_VERSION:
        puts(HELPER_NAME " (QEMU) " QEMU_VERSION);
        exit(EXIT_SUCCESS);
    case ':':
        if (optopt) {
            fatal("--%s: its value is missing", option_name(optopt));
        }
        fatal("%s: its value is missing", argv[optind - 1]);
    default:
        if (optopt && optopt < OPT_USER && !strchr(short_options, optopt)) {
            fatal("-%c: no such option; try --help", optopt);
        }
        fatal("%s: no such option, or a value it does not take; "
              "try --help", argv[optind - 1]);
    }
}

void options_parse(Options *o, int argc, char **argv)
{
    uint32_t user_gid = NO_ID;
    int opt;

    *o = (Options) {
        .fd = -1,
        .socket_uid = NO_ID,
        .socket_gid = NO_ID,
        .user = NO_ID,
        .group = NO_ID,
        .threads = THREADS_DEFAULT,
        .caps = caps_usual(),
    };

    for (opt = 1; opt < argc; opt++) {
        if (g_str_equal(argv[opt], "--print-capabilities")) {
            print_capabilities();
        }
    }
    opterr = 0;
    while ((opt = getopt_long(argc, argv, short_options, long_options,
                              NULL)) != -1) {
        if (!set_connection(o, opt, optarg) &&
            !set_privilege(o, opt, optarg, &user_gid) &&
            !set_translation(o, opt, optarg) &&
            !set_behaviour(o, opt, optarg)) {
            print_or_fail(opt, argv);
        }
    }
    if (optind < argc) {
        fatal("%s: not an option; try --help", argv[optind]);
    }
    check_options(o, user_gid);
}
