/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's command line: see options.h.
 *
 * Users and groups may be given by name or number. Names are looked up here,
 * with the privilege of whoever started the helper and before anything is
 * given up, because the lookup may load libraries and read the network.
 */
#include "qemu/osdep.h"
#include "options.h"
#include "identity.h"
#include "listen.h"
#include "log.h"
#include "userns.h"
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <sys/un.h>

/* Who serves when root started the helper and named nobody */
#define NOBODY_NAME     "nobody"
#define NOBODY_ID       65534

enum {
    OPT_USER = 256,
    OPT_GROUP,
    OPT_READONLY,
    OPT_THREADS,
    OPT_SANDBOX,
    OPT_SECCOMP,
    OPT_LOG_LEVEL,
    OPT_PERSIST,
    OPT_PIDFILE,
    OPT_MODCAPS,
    OPT_SYSLOG,
    OPT_UID_MAP,
    OPT_GID_MAP,
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
    { "log-level", required_argument, NULL, OPT_LOG_LEVEL },
    { "pidfile",  required_argument, NULL, OPT_PIDFILE },
    { "syslog",   no_argument,       NULL, OPT_SYSLOG },
    { "modcaps",  required_argument, NULL, OPT_MODCAPS },
    { "uid-map",  required_argument, NULL, OPT_UID_MAP },
    { "gid-map",  required_argument, NULL, OPT_GID_MAP },
    { "persist",  no_argument,       NULL, OPT_PERSIST },
    { "sandbox",  required_argument, NULL, OPT_SANDBOX },
    { "seccomp",  required_argument, NULL, OPT_SECCOMP },
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
    "  -u, --uid USER      owner of the socket file, who alone may connect\n"
    "  -g, --gid GROUP     group of the socket file\n"
    "  -n, --nodaemon      stay in the foreground; with --fd, end with the\n"
    "                      process that started the helper\n"
    "      --user USER     serve as this user, not root; default: that of\n"
    "                      --uid, or else nobody (only when started as root)\n"
    "      --group GROUP   serve as this group; default: that of --gid, or\n"
    "                      else the user's\n"
    "      --readonly      refuse every change\n"
    "      --threads N     requests worked on at a time (1-"
                           G_STRINGIFY(THREADS_MAX) ", default "
                           G_STRINGIFY(THREADS_DEFAULT) ")\n"
    "      --modcaps +CAP:-CAP...\n"
    "                      serve with more (mknod, setfcap) or fewer (chown,\n"
    "                      dac_override, dac_read_search, fowner, fsetid)\n"
    "                      capabilities\n"
    "      --uid-map INSIDE:OUTSIDE:COUNT[,...]\n"
    "      --gid-map INSIDE:OUTSIDE:COUNT[,...]\n"
    "                      serve in a user namespace in which COUNT ids from\n"
    "                      INSIDE on are the host's from OUTSIDE on; may be\n"
    "                      repeated. The guest can use no other ids. The\n"
    "                      helper is id 0 inside. An ordinary user may map his\n"
    "                      own id and those of /etc/subuid and /etc/subgid;\n"
    "                      default: 0 is the user, from 1 on the others. Root\n"
    "                      must give both maps, and map 0 to another than 0;\n"
    "                      default: no map\n"
    "      --persist       when a client is gone, wait for the next one\n"
    "      --sandbox namespace|chroot|none\n"
    "                      what the helper is shut in: namespaces of its own\n"
    "                      with the export alone (default), or less where\n"
    "                      that cannot be had\n"
    "      --seccomp kill|trap|log|none\n"
    "                      what a system call does that serving does not\n"
    "                      need: end the helper (default), the same with a\n"
    "                      signal for debuggers, leave a line in the kernel's\n"
    "                      log, nothing\n"
    "      --log-level error|warning|info|debug\n"
    "                      what to tell (default: warning)\n"
    "      --syslog        tell it to syslog, once all is ready; a daemon\n"
    "                      does so anyway\n"
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

static bool parse_number(const char *s, unsigned long max, unsigned long *v)
{
    char *end;

    if (!g_ascii_isdigit(*s)) {
        return false;           /* strtoul(3) takes signs and spaces */
    }
    errno = 0;
    *v = strtoul(s, &end, 10);
    return errno == 0 && *end == '\0' && *v <= max;
}

/* A user; *@gid, if wanted, gets the primary group if it is known. */
static uint32_t parse_user(const char *option, const char *value,
                           uint32_t *gid)
{
    struct passwd *pw;
    unsigned long id;
    bool number = parse_number(value, UINT32_MAX - 1, &id);

    pw = number ? getpwuid(id) : getpwnam(value);
    if (!number) {
        if (!pw) {
            fatal("--%s %s: no such user", option, value);
        }
        id = pw->pw_uid;
    }
    if (gid && pw) {
        *gid = pw->pw_gid;
    }
    return id;
}

static uint32_t parse_group(const char *option, const char *value)
{
    struct group *gr;
    unsigned long id;

    if (parse_number(value, UINT32_MAX - 1, &id)) {
        return id;
    }
    gr = getgrnam(value);
    if (!gr) {
        fatal("--%s %s: no such group", option, value);
    }
    return gr->gr_gid;
}

/* The name of an option as the user would find it in the help text. */
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
        fatal("--socket: the file's name is empty");
    }
    if (strlen(path) > max) {
        fatal("--socket %s: longer than the %zu bytes a socket's name can be",
              path, max);
    }
}

static void modify_caps(Options *o, const char *value)
{
    g_auto(GStrv) changes = g_strsplit(value, ":", -1);
    unsigned i;

    if (!changes[0]) {
        fatal("--modcaps: its value is empty");
    }
    for (i = 0; changes[i]; i++) {
        if (!identity_modify_caps(&o->caps, changes[i])) {
            fatal("--modcaps %s: '%s' is not + or - with one of chown, "
                  "dac_override, dac_read_search, fowner, fsetid, mknod, "
                  "setfcap", value, changes[i]);
        }
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

/* Id 0 of a map on the host; there must be one. */
static uint32_t map_root(const char *option, const ProxyIdRange *map,
                         unsigned n)
{
    uint32_t id = idmap_outside(map, n, 0);

    if (id == IDMAP_NONE) {
        fatal("--%s: no range has id 0 inside, as which the helper serves",
              option);
    }
    return id;
}

/*
 * With maps, a helper started as root serves as id 0 of its user namespace,
 * which must not be the host's root: the helper never serves as that.
 */
static void choose_mapped_identity(Options *o)
{
    const IdMaps *m = &o->maps;

    if (!m->n_uid || !m->n_gid) {
        fatal("--%s: as root, --%s is needed too", m->n_uid ? "uid-map" :
              "gid-map", m->n_uid ? "gid-map" : "uid-map");
    }
    if (o->user != NO_ID || o->group != NO_ID) {
        fatal("--%s: with --uid-map and --gid-map the helper serves as whom "
              "they map id 0 to", o->user != NO_ID ? "user" : "group");
    }
    o->user = map_root("uid-map", m->uid, m->n_uid);
    o->group = map_root("gid-map", m->gid, m->n_gid);
    if (o->user == 0 || o->group == 0) {
        fatal("--%s: id 0 inside is 0 on the host, as which the helper does "
              "not serve", o->user == 0 ? "uid-map" : "gid-map");
    }
    if (o->activated && o->socket_uid != NO_ID &&
        idmap_inside(m->uid, m->n_uid, o->socket_uid) == IDMAP_NONE) {
        fatal("--uid %u: is not in --uid-map, so a connection by that user "
              "cannot be told from others", o->socket_uid);
    }
}

/*
 * The identity while serving, for a helper started as root. @user_gid is the
 * primary group of --user, if that is known.
 */
static void choose_identity(Options *o, uint32_t user_gid)
{
    struct passwd *pw;
    bool user_given = o->user != NO_ID;

    if (o->user == 0) {
        fatal("--user: the helper does not serve as root (uid 0); "
              "name another user");
    }
    if (o->group == 0) {
        fatal("--group: the helper does not serve as root's group (gid 0); "
              "name another group");
    }

    if (!user_given && o->socket_uid != NO_ID && o->socket_uid != 0) {
        o->user = o->socket_uid;
    }
    if (!user_given && o->group == NO_ID && o->socket_gid != NO_ID &&
        o->socket_gid != 0) {
        o->group = o->socket_gid;
    }
    if (o->user == NO_ID && geteuid() != 0) {
        /* An ordinary user whom a service manager gave root's capabilities */
        o->user = geteuid();
        user_gid = getegid();
    } else if (o->user == NO_ID) {
        pw = getpwnam(NOBODY_NAME);
        o->user = pw && pw->pw_uid != 0 ? pw->pw_uid : NOBODY_ID;
        user_gid = pw ? pw->pw_gid : NO_ID;
    }
    if (o->group == NO_ID) {
        if (user_gid == 0) {
            fatal("user %u has group 0, as which the helper does not serve; "
                  "name another with --group", o->user);
        }
        o->group = user_gid != NO_ID ? user_gid : NOBODY_ID;
    }
}

static void check_options(Options *o, uint32_t user_gid)
{
    if (!o->path) {
        fatal("--path DIR is missing; try --help");
    }
    if (o->fd >= 0 && o->socket) {
        fatal("--fd and --socket cannot be used together");
    }
    if (o->fd >= 0 && o->persist) {
        fatal("--persist needs a socket to listen on, not --fd");
    }
    if (o->fd < 0 && !o->socket) {
        o->fd = listen_activated();
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
 * For management software, as docs/interop/vhost-user.rst has it for another
 * kind of program: JSON on stdout, whatever else the command line says. No
 * string in it needs quoting.
 */
static G_NORETURN void print_capabilities(void)
{
    const struct option *option;

    printf("{\n"
           "  \"type\": \"fsdev-proxy\",\n"
           "  \"protocol-versions\": [ 1, %d ],\n"
           "  \"features\": [ \"donate\", \"id-maps\", \"readonly\" ],\n"
           "  \"options\": [", PROXY_VERSION);
    for (option = long_options; option->name; option++) {
        printf("%s\n    \"%s\"", option == long_options ? "" : ",",
               option->name);
    }
    printf("\n  ]\n}\n");
    exit(fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

void options_parse(Options *o, int argc, char **argv)
{
    uint32_t user_gid = NO_ID;
    unsigned long number;
    int opt;

    *o = (Options) {
        .fd = -1,
        .socket_uid = NO_ID,
        .socket_gid = NO_ID,
        .user = NO_ID,
        .group = NO_ID,
        .threads = THREADS_DEFAULT,
        .caps = identity_usual_caps(),
    };

    for (opt = 1; opt < argc; opt++) {
        if (g_str_equal(argv[opt], "--print-capabilities")) {
            print_capabilities();
        }
    }
    opterr = 0;
    while ((opt = getopt_long(argc, argv, short_options, long_options,
                              NULL)) != -1) {
        switch (opt) {
        case 'p':
            o->path = optarg;
            break;
        case 'f':
            if (!parse_number(optarg, INT_MAX, &number)) {
                fatal("--fd %s: not the number of a descriptor", optarg);
            }
            o->fd = number;
            break;
        case 's':
            check_socket_path(optarg);
            o->socket = optarg;
            break;
        case 'u':
            o->socket_uid = parse_user("uid", optarg, NULL);
            break;
        case 'g':
            o->socket_gid = parse_group("gid", optarg);
            break;
        case 'n':
            o->foreground = true;
            break;
        case OPT_USER:
            o->user = parse_user("user", optarg, &user_gid);
            break;
        case OPT_GROUP:
            o->group = parse_group("group", optarg);
            break;
        case OPT_READONLY:
            o->readonly = true;
            break;
        case OPT_THREADS:
            if (!parse_number(optarg, THREADS_MAX, &number) || number == 0) {
                fatal("--threads %s: not a number from 1 to %d", optarg,
                      THREADS_MAX);
            }
            o->threads = number;
            break;
        case OPT_LOG_LEVEL:
            if (!log_set_level(optarg)) {
                fatal("--log-level %s: not one of error, warning, info, "
                      "debug", optarg);
            }
            break;
        case OPT_PIDFILE:
            o->pidfile = optarg;
            break;
        case OPT_SYSLOG:
            o->syslog = true;
            break;
        case OPT_MODCAPS:
            modify_caps(o, optarg);
            break;
        case OPT_UID_MAP:
            add_map("uid-map", optarg, o->maps.uid, &o->maps.n_uid);
            break;
        case OPT_GID_MAP:
            add_map("gid-map", optarg, o->maps.gid, &o->maps.n_gid);
            break;
        case OPT_PERSIST:
            o->persist = true;
            break;
        case OPT_SANDBOX:
            if (!sandbox_parse(optarg, &o->sandbox)) {
                fatal("--sandbox %s: not one of namespace, chroot, none",
                      optarg);
            }
            break;
        case OPT_SECCOMP:
            if (!seccomp_parse(optarg, &o->seccomp)) {
                fatal("--seccomp %s: not one of kill, trap, log, none",
                      optarg);
            }
            break;
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
    if (optind < argc) {
        fatal("%s: not an option; try --help", argv[optind]);
    }
    check_options(o, user_gid);
}
