/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Serving one connection, from the first byte to its end.
 */
#ifndef FSDEV_HELPER_SERVE_H
#define FSDEV_HELPER_SERVE_H

#include "fsdev/shared/file-handle.h"
#include "fsdev/shared/id-translate.h"
#include "fsdev/shared/xattr-names.h"
#include "act-as.h"
#include "memory.h"
#include "userns.h"

/*
 * The stack of each thread that serves: several times what the deepest call of
 * hostfs.h uses
 */
#define SERVE_STACK_SIZE        (256 * 1024)

typedef struct ServeConfig {
    int root;                   /* O_PATH descriptor of the export's root */
    const char *fd_prefix;      /* see HostFs */
    bool own_mount;             /* root's mount is the helper's alone */
    bool readonly;
    FsXattrNames xattrs;        /* that it serves */
    bool maps_devices;          /* see HostFs */
    ActAs act_as;
    const FileHandles *file_handles;    /* NULL: open none */
    bool in_userns;             /* the process is in a user namespace */
    unsigned threads;
    unsigned max_files;         /* limit of open files */
    unsigned max_left;          /* of them, connections that are over */
    uint32_t pid;               /* of this process, as the starter sees it */
    const IdMaps *ids;
    IdTranslate *translate;     /* or NULL */
    unsigned hello_ms;          /* limit of the time until HELLO; 0: none */
    bool process_ends;          /* after serve(): leave it to the kernel to
                                   close what the client sent */
    void (*before_close)(void *opaque); /* or NULL: called after all is done
                                   but close(2), which may wait */
    void *opaque;
} ServeConfig;

/* The memory of one session, and of as many handles as there may be files */
void serve_needs(const ServeConfig *config, MemoryNeeds *needs);

/*
 * Serves the connected socket @fd until QEMU closes it, and closes it. Returns
 * the exit status for the process: failure if a breach of the protocol or an
 * error ended the connection, which the function has logged. Releases all that
 * belonged to the connection, so the caller can serve the next one.
 */
int serve(int fd, const ServeConfig *config);

#endif /* FSDEV_HELPER_SERVE_H */
