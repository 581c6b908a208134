/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Settles the files of a session that goes on elsewhere: see state-settle.h.
 */
#include "qemu/osdep.h"
#include "internal.h"
#include "fid.h"
#include "jobs.h"
#include "state-settle.h"
#include "hw/9pfs/fs/context.h"

/* How long files may take to be settled, in seconds */
#define SETTLE_PATIENCE_S   30

typedef struct SettleJob {
    P9Job job;
    FsFile *file;               /* a reference */
} SettleJob;

typedef struct Settle {
    P9Jobs jobs;
    GPtrArray *files;           /* of FsFile; references */
} Settle;

static int coroutine_fn settle_run(P9Job *job)
{
    FsFile *file = container_of(job, SettleJob, job)->file;

    return file->node->fs->driver->settle(&job->call, file);
}

static void settle_free(P9Job *job)
{
    SettleJob *sj = container_of(job, SettleJob, job);

    fs_file_unref(sj->file);
    g_free(sj);
}

static P9Job *settle_next(P9Jobs *jobs)
{
    GPtrArray *files = container_of(jobs, Settle, jobs)->files;
    SettleJob *sj;

    if (files->len == 0) {
        return NULL;
    }
    sj = g_new0(SettleJob, 1);
    sj->job.run = settle_run;
    sj->job.free = settle_free;
    sj->file = g_ptr_array_steal_index(files, files->len - 1);
    return &sj->job;
}

/* The error is the guest's: it asks for it with Tfsync. */
static void settle_done(P9Jobs *jobs, P9Job *job, int ret)
{
    if (ret < 0) {
        container_of(job, SettleJob, job)->file->fsync_error = ret;
    }
}

static void settle_gather(void *opaque)
{
    Settle *settle = opaque;
    GHashTableIter iter;
    P9Fid *fid;

    g_hash_table_iter_init(&iter, settle->jobs.s->fids);
    while (g_hash_table_iter_next(&iter, (gpointer *)&fid, NULL)) {
        if (fid->file && fs_file_flags_write(fid->file->flags)) {
            g_ptr_array_add(settle->files, fs_file_ref(fid->file));
        }
    }
}

/*
 * What was written to a closed file is there when close(2) has ended, which
 * comes after the reply to Tclunk.
 */
void p9_state_settle(P9Server *s)
{
    int64_t deadline = p9_jobs_deadline(SETTLE_PATIENCE_S);
    Settle settle = {
        .jobs = { .s = s, .next = settle_next, .done = settle_done },
        .files = g_ptr_array_new(),
    };

    if (s->fs->driver->settle) {
        fs_context_run(s->ctx, settle_gather, &settle);
        p9_jobs_run(&settle.jobs, deadline);
        p9_jobs_wait(s, s->fs->closing, deadline);
    }
    g_ptr_array_unref(settle.files);
}
