/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * virtfs-mapped: a directory that QEMU shares by 9p with a mapped security
 * model, as its guest sees it (docs/tools/virtfs-mapped.rst). It stands on the
 * code that serves the models, and on nothing else of QEMU.
 */
#include "qemu/osdep.h"
#include "qemu-version.h"
#include <locale.h>
#include "commands.h"

static const MappedCommand commands[] = {
    { "ls", mapped_ls, "lRd", " json threads ", 1, 1,
      "  ls [-lRd] [--json] DIR\n"
      "                    the names in a directory; -l: with owners, modes,\n"
      "                    devices and targets; -R: in those below, too; -d:\n"
      "                    the directory itself\n" },
    { "stat", mapped_stat, "", " json ", 1, INT_MAX,
      "  stat [--json] FILE...\n"
      "                    all about a file, for the guest and for the host\n"
    },
    { "find", mapped_find, "0", " json print0 threads ", 1, INT_MAX,
      "  find [--json|-0] DIR [[!] TEST VALUE]...\n"
      "                    files for which all tests hold: -uid N, -gid N,\n"
      "                    -mode [-|/]OCTAL, -type f|d|l|p|s|c|b, -name GLOB\n"
    },
    { "set", mapped_set, "", " uid gid mode rdev despite-metadata ", 1, INT_MAX,
      "  set [--uid N] [--gid N] [--mode OCTAL] [--rdev MAJOR:MINOR] FILE...\n"
      "                    changes what the guest sees\n" },
    { "check", mapped_check, "", " repair threads despite-metadata ", 1, 1,
      "  check [--repair] DIR\n"
      "                    looks for damaged metadata, and mends it\n" },
    { "pack", mapped_pack, "", "", 1, 1,
      "  pack DIR > FILE   writes a tar archive (pax) of what the guest sees\n"
    },
    { "unpack", mapped_unpack, "", " despite-metadata ", 1, 1,
      "  unpack DIR < FILE makes files of a tar archive for the guest\n" },
    { "convert", mapped_convert, "", " from to lossy dry-run owner threads ",
      1, 2,
      "  convert [--from MODEL] --to MODEL [--dry-run] [--lossy]\n"
      "          [--owner UID:GID] DIR [NEWDIR]\n"
      "                    turns a share into one of another model, in place\n"
      "                    or in a new directory; can be stopped and started\n"
      "                    again; --owner: of the files of a mapped model\n" },
};

static const char help_begin[] =
    "Usage: " PROGRAM " COMMAND [option...] ARGUMENT...\n"
    "Shows and changes a directory that QEMU shares with a guest by 9p, as\n"
    "the guest sees it. Run it as the user who runs QEMU.\n";

static const char help_end[] =
    "      --model mapped-xattr|mapped-file|passthrough|proxy\n"
    "                    the security model; default: what the share has\n"
    "      --uid-map, --gid-map GUEST:HOST:COUNT\n"
    "                    proxy: the ids that its helper maps\n"
    "      --special-files host|mapped\n"
    "                    proxy: what its helper makes of devices\n"
    "      --root DIR    the share's root, if it is not the argument; not\n"
    "                    for unpack and convert\n"
    "      --despite-metadata\n"
    "                    set, unpack, check: although there is metadata of\n"
    "                    another model than --model\n"
    "      --live        although a guest may use the share\n"
    "      --threads N   ls, find, check, convert: with so many at once\n"
    "  -h, --help        print this text; after a command, that of it\n"
    "      --version     print the version\n"
    "\n"
    "Exit status: 0; 1 if there were problems; 2 for a wrong command line.\n";

/* Of one command, or of all if it is NULL */
static void print_help(const MappedCommand *c)
{
    unsigned i;

    printf("%s\n", help_begin);
    for (i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (!c || c == &commands[i]) {
            fputs(commands[i].help, stdout);
        }
    }
    printf("\n%s", help_end);
}

static const MappedCommand *find_command(const char *name)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (g_str_equal(commands[i].name, name)) {
            return &commands[i];
        }
    }
    return NULL;
}

/* Output that could not be written is a problem, too. */
static int finish(int status)
{
    int err = mapped_print_end();

    if (err < 0) {
        fprintf(stderr, PROGRAM ": cannot write the output: %s\n",
                strerror(-err));
        return EXIT_PROBLEMS;
    }
    return status;
}

int main(int argc, char **argv)
{
    MappedOptions o = { };
    const MappedCommand *c;
    bool help = false;
    int status;

    /* For dates. Names are bytes, so no other part of the locale matters. */
    setlocale(LC_TIME, "");
    if (argc < 2) {
        return mapped_usage("a command is missing");
    }
    if (g_str_equal(argv[1], "--version")) {
        printf(PROGRAM " " QEMU_FULL_VERSION "\n");
        return finish(EXIT_GOOD);
    }
    help = g_str_equal(argv[1], "-h") || g_str_equal(argv[1], "--help");
    c = help ? NULL : find_command(argv[1]);
    if (!help && !c) {
        return mapped_usage("'%s' is no command", argv[1]);
    }
    status = c ? mapped_options(&o, c, argc - 1, argv + 1, &help) : EXIT_GOOD;
    if (help) {
        print_help(c);
    } else if (status < 0) {
        status = c->run(&o);
    }
    return finish(status);
}
