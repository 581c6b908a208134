/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Visits of files by several threads: see tree-batch.h.
 *
 * Files with several names are for the thread that walks, which meets them in
 * the order of the walk: what is done to the first name comes before the second
 * one. So are those after much output, as nothing keeps what that one prints.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "crew.h"
#include "tree-batch.h"

#define BATCH_NAMES     16
#define BATCH_OUTPUT    (64 * 1024)

struct Batches {
    MappedShare *share;
    const TreeOps *ops;
    void *opaque;
    uint64_t *files;
    Crew *crew;
    struct Batch *open;         /* gets names */
    bool stopped;
};

typedef struct Batch {
    CrewJob job;
    Batches *b;
    int dir;
    char *path;
    GString *names;             /* each with its NUL */
    unsigned n;
} Batch;

typedef struct Leave {
    CrewJob job;
    Batches *b;
    MappedEntry dir;
} Leave;

bool mapped_tree_open(MappedShare *s, int dir, const char *name,
                      const char *path, MappedEntry *e)
{
    int ret = mapped_entry_open(s, dir, name, path, e);

    if (ret < 0 && (ret != -ENOENT || !s->live)) {
        mapped_entry_complain(s, e, path, ret);
    }
    return ret >= 0;
}

/* One file; @marks: gets those that the walking thread must visit; or NULL */
static void visit(Batch *batch, const char *name, MappedOutput *marks)
{
    Batches *b = batch->b;
    g_autofree char *path = g_str_equal(batch->path, ".")
                            ? g_strdup(name)
                            : g_strconcat(batch->path, "/", name, NULL);
    MappedEntry e;

    if (!mapped_tree_open(b->share, batch->dir, name, path, &e)) {
        return;
    }
    if (S_ISDIR(e.host.mode)) {
        mapped_problem(b->share, path, 0, "it has become a directory "
                       "meanwhile: left alone");
    } else if (marks && e.host.nlink > 1) {
        mapped_output_mark(marks, name);
    } else if (b->ops->visit(&e, b->opaque) == TREE_STOP) {
        qatomic_set(&b->stopped, true);
    }
    mapped_entry_close(&e);
}

static void run(CrewJob *job)
{
    Batch *batch = container_of(job, Batch, job);
    const char *name = batch->names->str;
    unsigned i;

    for (i = 0; i < batch->n && !mapped_batches_stopped(batch->b); i++) {
        if (mapped_output_size(job->out) < BATCH_OUTPUT) {
            visit(batch, name, job->out);
        } else {
            mapped_output_mark(job->out, name);
        }
        name += strlen(name) + 1;
    }
}

static void visit_marked(const char *name, void *opaque)
{
    Batch *batch = opaque;

    if (!mapped_batches_stopped(batch->b)) {
        visit(batch, name, NULL);
    }
}

static void end(CrewJob *job)
{
    Batch *batch = container_of(job, Batch, job);
    unsigned i;

    mapped_output_put(job->out, visit_marked, batch);
    for (i = 0; i < batch->n; i++) {
        mapped_progress(++*batch->b->files);
    }
    mapped_crew_job_clear(job);
    if (batch->dir >= 0) {
        close(batch->dir);
    }
    g_string_free(batch->names, true);
    g_free(batch->path);
    g_free(batch);
}

Batches *mapped_batches_new(MappedShare *share, const TreeOps *ops,
                            void *opaque, uint64_t *files)
{
    Batches *b = g_new0(Batches, 1);

    b->share = share;
    b->ops = ops;
    b->opaque = opaque;
    b->files = files;
    b->crew = mapped_crew_new(share->threads);
    return b;
}

void mapped_batches_add(Batches *b, int dir, const char *path,
                        const char *name)
{
    Batch *batch = b->open;

    if (!batch) {
        batch = b->open = g_new0(Batch, 1);
        batch->job.run = run;
        batch->job.end = end;
        batch->b = b;
        batch->dir = fcntl(dir, F_DUPFD_CLOEXEC, 0);
        batch->path = g_strdup(path);
        batch->names = g_string_new(NULL);
    }
    g_string_append_len(batch->names, name, strlen(name) + 1);
    batch->n++;
    batch->job.size += strlen(path) + strlen(name);
    if (batch->n == BATCH_NAMES) {
        mapped_batches_send(b);
    }
}

void mapped_batches_send(Batches *b)
{
    Batch *batch = b->open;

    b->open = NULL;
    if (batch) {
        mapped_crew_add(b->crew, &batch->job);
    } else {
        mapped_crew_poll(b->crew);
    }
}

static void end_leave(CrewJob *job)
{
    Leave *l = container_of(job, Leave, job);

    l->b->ops->leave(&l->dir, l->b->opaque);
    mapped_crew_job_clear(job);
    mapped_entry_free(&l->dir);
    g_free(l);
}

void mapped_batches_leave(Batches *b, const MappedEntry *dir)
{
    Leave *l;

    mapped_batches_send(b);
    if (!b->ops->leave) {
        return;
    }
    l = g_new0(Leave, 1);
    l->job.end = end_leave;
    l->job.size = strlen(dir->path);
    l->b = b;
    l->dir = *dir;
    l->dir.path = g_strdup(dir->path);
    l->dir.inode.name = g_strdup(dir->inode.name);
    l->dir.inode.handle = fcntl(dir->inode.handle, F_DUPFD_CLOEXEC, 0);
    l->dir.inode.dir = dir->inode.dir < 0 ? -1
                       : fcntl(dir->inode.dir, F_DUPFD_CLOEXEC, 0);
    mapped_crew_add(b->crew, &l->job);
}

bool mapped_batches_stopped(const Batches *b)
{
    return qatomic_read(&b->stopped);
}

bool mapped_batches_free(Batches *b)
{
    bool stopped;

    mapped_batches_send(b);
    mapped_crew_free(b->crew);
    stopped = b->stopped;
    g_free(b);
    return stopped;
}
