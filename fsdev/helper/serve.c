/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Serving one connection: see serve.h.
 *
 * Theory of operation. Threads are alike. Each in turn takes one whole request
 * off the channel, carries it out, and sends the reply; so there are never
 * more requests at work, or replies waiting, than threads, and QEMU can ask
 * for as much as it likes without making the helper need more memory.
 *
 * When the channel ends, requests at work are finished, their replies sent if
 * that is still possible, and the threads come to an end one by one. No
 * change of the export is left half made.
 */
#include "qemu/osdep.h"
#include "fsdev/helper/serve.h"
#include "fsdev/helper/channel.h"
#include "fsdev/helper/log.h"
#include "fsdev/helper/requests.h"
#include "fsdev/helper/requests-v1.h"

/* What HELLO tells as the number of requests worth having in flight */
#define MAX_IN_FLIGHT   128

/* Descriptors that one request may have open beside the handles */
#define FILES_A_THREAD  8
/* Those that are always there, with room to spare */
#define FILES_FIXED     32

/* error[4] */
#define REPLY_START     (PROXY_HEADER_SIZE + 4)

typedef struct Server {
    Channel channel;
    Export export;
    const ServeConfig *config;
} Server;

/* One thread's memory */
typedef struct Worker {
    uint8_t in[PROXY_MAX_MESSAGE];
    uint8_t out[PROXY_MAX_MESSAGE];
} Worker;

static void start_request(Request *rq, Server *s, Worker *w, size_t in_size)
{
    rq->export = &s->export;
    marshal_reader_init(&rq->in, w->in, in_size);
    marshal_writer_init(&rq->out, w->out + REPLY_START,
                        sizeof(w->out) - REPLY_START);
    rq->nfds = 0;
    rq->opened = -1;
    rq->nused = 0;
}

/* Sends the reply to a request that ended with @error (0 or -errno). */
static bool send_reply(Server *s, Worker *w, Request *rq, unsigned type,
                       uint32_t tag, int error)
{
    unsigned nfds = error ? 0 : rq->nfds;
    size_t size = REPLY_START + (error ? 0 : marshal_size(&rq->out));
    ProxyHeader h = {
        .size = size,
        .type = type | PROXY_REPLY,
        .nfds = nfds,
        .tag = tag,
    };
    MarshalWriter start;

    proxy_header_put(&h, w->out);
    marshal_writer_init(&start, w->out + PROXY_HEADER_SIZE, 4);
    marshal_put_u32(&start, -error);
    return channel_send(&s->channel, w->out, size, rq->fds, nfds);
}

/* Works on one request. False at the end of the channel. */
static bool serve_one(Server *s, Worker *w)
{
    Request rq;
    ProxyHeader h;
    bool ok = true;
    int ret;

    if (!channel_receive(&s->channel, &h, w->in)) {
        return false;
    }
    start_request(&rq, s, w, h.size - PROXY_HEADER_SIZE);
    ret = request_execute(&rq, h.type);
    if (log_wants(LOG_LEVEL_DEBUG)) {
        log_line(LOG_LEVEL_DEBUG, "%s, tag %u: %s", proxy_type_name(h.type),
                 h.tag, ret > 0 ? "malformed" : strerror(-ret));
    }
    if (ret == REQUEST_MALFORMED) {
        channel_break(&s->channel, "malformed %s of %u bytes",
                      proxy_type_name(h.type), h.size);
        ok = false;
    } else if (ret == 0 && !marshal_fits(&rq.out)) {
        channel_break(&s->channel, "the reply to a %s is too long",
                      proxy_type_name(h.type));
        ok = false;
    } else if (h.type != PROXY_FORGET) {
        ok = send_reply(s, w, &rq, h.type, h.tag, ret);
    }
    request_finish(&rq);
    return ok;
}

static void *serve_thread(void *opaque)
{
    g_autofree Worker *w = g_new(Worker, 1);
    Server *s = opaque;

    while (serve_one(s, w)) {
        /* the next */
    }
    return NULL;
}

/* Answers HELLO, which tells QEMU what it has before it. */
static bool answer_hello(Server *s, uint32_t flags)
{
    g_autofree Worker *w = g_new(Worker, 1);
    const ServeConfig *config = s->config;
    Request rq;
    int ret;

    s->export.donate = !(flags & PROXY_HELLO_NO_DONATE);

    start_request(&rq, s, w, 0);
    marshal_put_u32(&rq.out, PROXY_VERSION);
    marshal_put_u32(&rq.out, config->readonly ? PROXY_FEATURE_READONLY : 0);
    marshal_put_u32(&rq.out, PROXY_MAX_MESSAGE);
    marshal_put_u32(&rq.out, MAX_IN_FLIGHT);
    marshal_put_u32(&rq.out, config->pid);
    ret = request_root(&rq);
    proxy_put_idmap(&rq.out, config->ids->uid, config->ids->n_uid);
    proxy_put_idmap(&rq.out, config->ids->gid, config->ids->n_gid);
    return send_reply(s, w, &rq, PROXY_HELLO, 0, ret) && ret == 0;
}

static void run_threads(Server *s)
{
    unsigned threads = s->config->threads;
    g_autofree pthread_t *ids = g_new(pthread_t, threads);
    unsigned i, n;
    int ret;

    for (n = 1; n < threads; n++) {
        ret = pthread_create(&ids[n], NULL, serve_thread, s);
        if (ret) {
            log_line(LOG_LEVEL_WARNING, "goes on with %u of %u threads: %s",
                     n, threads, strerror(ret));
            break;
        }
    }
    serve_thread(s);
    for (i = 1; i < n; i++) {
        pthread_join(ids[i], NULL);
    }
}

/* What the limit of open files leaves for handles; always some */
static unsigned max_handles(const ServeConfig *config)
{
    unsigned others = FILES_FIXED + FILES_A_THREAD * config->threads;

    return MAX(config->max_files, others + FILES_FIXED) - others;
}

int serve(int fd, const ServeConfig *config)
{
    int root = fcntl(config->root, F_DUPFD_CLOEXEC, 0);
    Server s = { .config = config };
    uint32_t version, flags;
    ChannelEnd ended;
    int ret;

    ret = hostfs_init(&s.export.fs, root, config->fd_prefix);
    if (ret < 0) {
        fatal("the export: %s", strerror(-ret));
    }
    s.export.fs.readonly = config->readonly;
    s.export.handles = handles_new(max_handles(config), s.export.fs.root,
                                   s.export.fs.root_dev,
                                   s.export.fs.root_ino);
    channel_init(&s.channel, fd);

    if (channel_hello(&s.channel, &version, &flags)) {
        log_line(LOG_LEVEL_INFO, "a client connected, protocol version %u",
                 version);
        if (version == 1) {
            requests_v1_serve(&s.channel, &s.export.fs);
        } else if (answer_hello(&s, flags)) {
            run_threads(&s);
        }
    }
    ended = channel_ended(&s.channel);
    log_line(LOG_LEVEL_INFO, "the connection ended");
    channel_destroy(&s.channel);
    handles_free(s.export.handles);
    hostfs_destroy(&s.export.fs);
    return ended == CHANNEL_BROKEN ? EXIT_FAILURE : EXIT_SUCCESS;
}
