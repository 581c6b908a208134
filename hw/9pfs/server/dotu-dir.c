/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reads of directories in 9P2000.u.
 *
 * Each entry is a stat, which needs the file's attributes, and the driver's
 * readdir does not return these. So the server takes names from readdir in
 * batches, and looks each one up.
 */
#include "qemu/osdep.h"
#include "qemu/iov.h"
#include "dotu-stat.h"
#include "messages.h"

#define BATCH_NAMES 128

typedef struct DirBatch {
    GString *names;             /* NUL-terminated each */
    uint64_t next[BATCH_NAMES]; /* the driver's offset after each */
    unsigned num;
    unsigned max;
    bool full;                  /* the directory has more entries */
} DirBatch;

static bool batch_fill(void *opaque, const FsDirent *entry)
{
    DirBatch *batch = opaque;

    if (batch->num == batch->max) {
        batch->full = true;
        return false;
    }
    /* An empty name stands for an entry that must not be listed. */
    if (entry->namelen <= NAME_MAX &&
        !(entry->namelen == 1 && entry->name[0] == '.') &&
        !(entry->namelen == 2 && !memcmp(entry->name, "..", 2))) {
        g_string_append_len(batch->names, entry->name, entry->namelen);
    }
    g_string_append_c(batch->names, '\0');
    batch->next[batch->num++] = entry->next;
    return true;
}

/*
 * Puts the stat of @name into @w: 0, -ENOENT if @name must not be listed, or
 * another error. With @brief the extension is left empty.
 */
static int coroutine_fn dir_stat(P9Request *req, FsNode *dir, const char *name,
                                 MarshalWriter *w, bool brief)
{
    g_autoptr(FsNode) node = NULL;
    g_autoptr(FsNode) parent = NULL;
    FsWalk walk = { .walked = 0 };
    P9StatText text;
    P9Stat st;
    int ret;

    ret = p9_driver(req)->walk(&req->call, dir, &name, 1, &walk);
    node = walk.node;
    parent = walk.parent;
    if (ret == 0 && !node) {
        ret = -EIO;
    }
    if (ret == 0) {
        ret = fs_export_admit_dev(req->s->fs, walk.attr[0].dev);
    }
    if (ret == 0) {
        ret = p9_stat_fill(req, node, &walk.attr[0], &st, &text);
    }
    if (ret == -ESTALE || ret == -EXDEV) {
        ret = -ENOENT;
    }
    if (ret == 0) {
        st.name = name;
        if (brief) {
            st.extension = "";
        }
        p9_stat_put(w, &st);
    }
    return ret;
}

/*
 * Puts the stat of @name into @buf, and returns its size: 0 if @name must not
 * be listed. It lacks a link's target if that makes it longer than @max: such a
 * link must not hide the other entries.
 */
static int coroutine_fn entry_stat(P9Request *req, P9Fid *fid,
                                   const char *name, size_t max,
                                   uint8_t buf[P9_STAT_MAX])
{
    MarshalWriter w;
    int ret = 0;

    marshal_writer_init(&w, buf, P9_STAT_MAX);
    if (*name) {
        ret = dir_stat(req, fid->node, name, &w, false);
    }
    if (ret == 0 && marshal_size(&w) > max) {
        marshal_writer_init(&w, buf, P9_STAT_MAX);
        ret = dir_stat(req, fid->node, name, &w, true);
    }
    if (ret < 0) {
        return ret == -ENOENT ? 0 : ret;
    }
    return marshal_size(&w);
}

/*
 * Linux' client fills a buffer with several Tread messages, each of which asks
 * for what the one before left (p9_client_read()). So a count that is less than
 * the last one may be such a rest, and too little for the next entry. Then the
 * reply has 0 bytes, and the client asks again with an empty buffer. Any other
 * count that is too little is an error, since 0 bytes would mean the end.
 */
static bool is_rest(const P9Fid *fid, uint64_t offset, uint32_t count)
{
    return offset != 0 && count < fid->dir_pos->count;
}

int coroutine_fn dotu_read_dir(P9Request *req, P9Fid *fid, uint64_t offset,
                               uint32_t count)
{
    g_autoptr(GString) names = g_string_new(NULL);
    DirBatch batch = { .names = names };
    uint8_t buf[P9_STAT_MAX];
    const char *name;
    uint64_t next;
    size_t done = 0;
    bool room = true;
    bool rest;
    unsigned i;
    int size, ret;

    /* read(5): from the start, or from where the last read ended */
    if (offset != 0 && (!fid->dir_pos || offset != fid->dir_pos->end)) {
        return -EINVAL;
    }
    next = offset ? fid->dir_pos->next : 0;
    rest = is_rest(fid, offset, count);

    do {
        g_string_truncate(names, 0);
        batch.num = 0;
        batch.full = false;
        /* As many as can fit, and some for "." and for names that are gone */
        batch.max = MIN(BATCH_NAMES, (count - done) / P9_STAT_SIZE + 4);
        ret = p9_driver(req)->readdir(&req->call, fid->file, next,
                                      batch_fill, &batch);
        if (batch.num) {
            /* readdir returns an error again after the entries it gave. */
            batch.full |= ret < 0;
            ret = 0;
        }
        name = names->str;
        for (i = 0; i < batch.num && ret == 0 && room; i++) {
            size = entry_stat(req, fid, name,
                              done == 0 && !rest ? count : SIZE_MAX, buf);
            ret = MIN(size, 0);
            if (ret == 0) {
                room = size <= count - done;
            }
            if (ret == 0 && room) {
                ret = p9_move_begin(req);
            }
            if (ret == 0 && room) {
                iov_from_buf(req->in, req->in_num, P9_RREAD_HEADER + done,
                             buf, size);
                p9_move_end(req);
                done += size;
                next = batch.next[i];
            }
            name += strlen(name) + 1;
        }
    } while (ret == 0 && room && batch.full);

    /* An error after some entries goes out with the next request. */
    if (ret < 0 && done == 0) {
        return ret;
    }
    if (!room && done == 0 && !rest) {
        return -EINVAL;
    }
    if (!fid->dir_pos) {
        fid->dir_pos = g_new(P9DirPos, 1);
    }
    *fid->dir_pos = (P9DirPos) {
        .end = offset + done, .next = next, .count = count,
    };
    marshal_put_u32(&req->w, done);
    req->data = done;
    return 0;
}
