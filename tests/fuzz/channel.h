/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The parts of fuzz-channel. fuzz-channel.c has the input's format and the
 * course of a run, channel-operations.c starts the driver's operations, and
 * channel-helper.c plays the hostile helper.
 */
#ifndef TESTS_FUZZ_CHANNEL_H
#define TESTS_FUZZ_CHANNEL_H

#include "hw/9pfs/fs/export.h"
#include "fuzz.h"

/* Flags of a record */
#define AS_IT_IS        0x01    /* the body is the message, header included */
#define CHANGES         0x02    /* the body is changes to an honest answer */
#define LATER           0x04    /* no answer now */
#define TWICE           0x08    /* the answer is sent again */
#define CANCEL          0x10    /* cancels the operation before the answer */
#define NO_OPERATION    0x20    /* only an answer */
#define MORE_FDS        0x40    /* adds descriptors, as many as the id says */
#define LESS_FDS        0x80    /* removes a descriptor */

#define NODES           8

typedef struct ChannelRun {
    FsExport fs;
    const char *folder;         /* of the host, that is exported */
    int peer;                   /* the helper's end of the socket pair */
    bool v1;
    FsNode *nodes[NODES];       /* [0] is the root */
    FsFile *files[NODES];
    unsigned pending;           /* operations that have not ended */
    GByteArray *asked;          /* bytes of the requests without an answer */
} ChannelRun;

/* An operation of the driver, in a coroutine of its own */
typedef struct Op {
    ChannelRun *run;
    unsigned kind;
    unsigned id;
    FsCall call;
    FsNode *node;               /* with a reference, as the next two */
    FsNode *other;
    FsFile *file;
    bool done;
} Op;

/* Files of fuzz_populate(); the id of a record chooses one. */
static inline const char *record_name(unsigned id)
{
    static const char *const names[] = { "f", "d", "l", "p" };

    return names[id % ARRAY_SIZE(names)];
}

/* Starts the operation that @rec names. */
Op *op_start(ChannelRun *run, const FuzzRecord *rec);
/* Frees an operation that has ended. */
void op_free(Op *op);

/* Drops all nodes and files of the run, and closes the export. */
void op_end(ChannelRun *run);

/* Sets the folder that honest answers describe. */
void helper_set_folder(const char *path);

/*
 * Sends the answers that the driver waits for when it starts, before it asks.
 * @rec says how they differ from honest ones; NULL: not at all. With @rec the
 * helper then closes its sending side, so that the driver does not wait for
 * the rest of a message that is too short.
 */
void helper_send_start(ChannelRun *run, const FuzzRecord *rec);

/* Takes the requests that the driver has sent. */
void helper_take_requests(ChannelRun *run);

/*
 * Answers the oldest request as @rec says. Does nothing if there is no request,
 * unless @rec has the message itself.
 */
void helper_answer(ChannelRun *run, const FuzzRecord *rec);

#endif /* TESTS_FUZZ_CHANNEL_H */
