/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's command line. Options of the old virtfs-proxy-helper keep
 * their names and meaning.
 */
#ifndef FSDEV_HELPER_OPTIONS_H
#define FSDEV_HELPER_OPTIONS_H

#include "qemu/osdep.h"
#include "options-values.h"
#include "act-as.h"
#include "sandbox.h"
#include "seccomp.h"
#include "fsdev/shared/helper-limits.h"
#include "fsdev/shared/idmap.h"

/* No such id given */
#define NO_ID                   ((uint32_t)-1)

typedef struct Options {
    const char *path;           /* the export */
    int fd;                     /* a connected socket, or -1 */
    const char *socket;         /* where to listen, or NULL */
    uint32_t socket_uid;        /* owner of the socket file, or NO_ID */
    uint32_t socket_gid;
    uint32_t user;              /* identity while serving, or NO_ID */
    uint32_t group;
    bool activated;             /* fd is from a service manager, and may
                                   listen */
    bool persist;               /* serve one client after another */
    const char *pidfile;
    bool syslog;
    bool foreground;
    bool readonly;
    unsigned threads;
    unsigned max_files;         /* while serving; 0: as many as possible */
    unsigned memory;            /* limit, MiB; 0: what the others need */
    Sandbox sandbox;
    SeccompMode seccomp;
    uint64_t caps;              /* bits: capabilities while serving */
    FileHandlesMode file_handles;
    SpecialFiles special_files;
    FsXattrMap *xattr_map;      /* or NULL */
    ActAs act_as;
    bool host_groups;           /* guest: users have their groups on the host */
    IdMaps maps;                /* of the user namespace; empty: default */
    IdTranslate *translate;     /* or NULL */
    bool anon_given;
} Options;

/*
 * Parses the command line. Ends the process with one line on stderr and status
 * 1 on an error, and with status 0 after --help, --version and
 * --print-capabilities.
 */
void options_parse(Options *o, int argc, char **argv);

#endif /* FSDEV_HELPER_OPTIONS_H */
