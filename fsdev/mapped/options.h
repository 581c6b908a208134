/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The command line of virtfs-mapped.
 */
#ifndef FSDEV_MAPPED_OPTIONS_H
#define FSDEV_MAPPED_OPTIONS_H

#include "share.h"

/* Exit statuses */
enum {
    EXIT_GOOD = 0,
    EXIT_PROBLEMS = 1,
    EXIT_USAGE = 2,
};

#define MAPPED_THREADS_MAX      64

typedef struct MappedOptions {
    const LocalModel *model;    /* NULL: the share tells */
    const char *root;           /* NULL: the argument tells */
    bool live;
    bool json;
    bool long_format;
    bool recursive;
    bool directory;
    bool repair;
    bool dry_run;
    bool zero;
    bool lossy;
    bool despite_metadata;      /* of another model than --model */
    uint32_t threads;
    const LocalModel *to;
    bool has_owner;
    uint32_t owner_uid;         /* on the host, of mapped files */
    uint32_t owner_gid;
    FsSetAttr set;              /* of the command set */
    bool set_rdev;
    uint64_t rdev;
    char **args;                /* what is left, with a NULL at the end */
    int n_args;
} MappedOptions;

/* A command, and what it takes besides the options of all */
typedef struct MappedCommand {
    const char *name;
    int (*run)(const MappedOptions *o);         /* returns an exit status */
    const char *letters;        /* short options */
    const char *words;          /* long ones, with blanks around each */
    int min_args;
    int max_args;
    const char *help;           /* lines */
} MappedCommand;

/*
 * Reads the options and arguments of a command; @argv begins with its name.
 * Returns -1, or the exit status after a message. *@help: the user wants help.
 */
int mapped_options(MappedOptions *o, const MappedCommand *c, int argc,
                   char **argv, bool *help);

/* Says what is wrong with the command line; returns its exit status. */
int mapped_usage(const char *fmt, ...) G_GNUC_PRINTF(1, 2);

#endif /* FSDEV_MAPPED_OPTIONS_H */
