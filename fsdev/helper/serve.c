/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Serving one connection: see serve.h.
 *
 * Theory of operation. Threads are alike. One of them has the receive token
 * (recv-token.h): it takes requests off the channel one after the other and
 * carries them out. Replies to requests that came together leave together.
 * Waking a thread costs more than most requests do, so another thread gets the
 * token only when that pays: when the holder has worked on one request for a
 * while, or beforehand if requests of that type took long lately. So as long
 * as a thread is idle, a request waits at most two milliseconds for slow ones
 * before it.
 *
 * A file system that does not answer holds its share of the threads, and no
 * more: the request that would be one too many fails with EAGAIN, as does one
 * that another process' lease holds up, and QEMU sends it again later.
 *
 * The helper never works on more requests than it has threads, and a thread
 * that cannot send its replies takes no more requests; nor do others, once that
 * many threads as --threads says cannot. So the helper's memory is bounded,
 * however much QEMU asks for.
 *
 * FORGETs and ADOPTs take effect in the order of the stream, before the holder
 * takes the next request; only closing their descriptors is work like any
 * other.
 *
 * When the channel ends, the threads finish their requests, send the replies
 * if they still can, and end one by one. No change of the export is left half
 * made.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "serve.h"
#include "channel.h"
#include "log.h"
#include "requests.h"
#include "recv-token.h"
#include "v1/serve.h"
#include <poll.h>

/* Requests worth having in flight, as HELLO's reply says */
#define MAX_IN_FLIGHT   128

/* Open files in replies that leave together */
#define BATCH_OPENED    8
/*
 * Descriptors that one request may have open beside the handles, and those in
 * the replies that its thread cannot send yet
 */
#define FILES_PER_THREAD (8 + BATCH_OPENED)
/* Descriptors that are always open, or received, with room to spare */
#define FILES_FIXED     (32 + 2 * PROXY_ADOPT_MAX)

/*
 * Threads beyond --threads. They only work while others are held up by a file
 * system: the first that hangs holds a third of all (shared/thread-budget.h),
 * and a slow one still has 17 requests at once, with four --threads.
 */
#define RESERVE_THREADS 48
/* Descriptors that the work of each may have open, of FILES_PART at most */
#define FILES_PER_RESERVE 4
#define FILES_PART      8
/* Files that were opened for QEMU and are not yet closed here */
#define OPENED_PART     32
#define OPENED_MIN      16
#define OPENED_MAX      128
/* Until the next try of what another process, or a file system, holds up */
#define AGAIN_MS        10

/* Memory of a thread that one request allocates for lists, names and ACLs */
#define REQUEST_BYTES   (2 * (size_t)PROXY_MAX_MESSAGE)
/* Between blocks of memory, and around stacks */
#define BLOCK_GAP       (64 * 1024)

/* error[4] */
#define REPLY_START     (PROXY_HEADER_SIZE + 4)

/*
 * If requests of a type take this many nanoseconds on average, the holder
 * passes the token on before the work: SHARE_NS if more requests are there,
 * PASS_NS in any case
 */
#define SHARE_NS        30000
#define PASS_NS         100000
/* The average moves by 1/COUNT_PART of a request's time, cut at the maximum. */
#define COUNT_MAX_NS    1000000
#define COUNT_PART      8

/* Replies that leave together, and how long the first may wait for more */
#define BATCH_REPLIES   32
#define BATCH_SIZE      (32 * 1024)
#define BATCH_WAIT_NS   100000

/* Replies that wait for being sent, and the resources they hold until then */
typedef struct Batch {
    unsigned n;
    unsigned n_opened;          /* replies that have an open file */
    unsigned nfds;
    size_t size;
    int64_t since;              /* when the first was added, ns */
    Request requests[BATCH_REPLIES];
    int fds[BATCH_REPLIES * PROXY_MESSAGE_FDS];
    uint8_t buf[BATCH_SIZE];
} Batch;

G_STATIC_ASSERT(BATCH_REPLIES * PROXY_MESSAGE_FDS <= PROXY_MAX_FDS);

typedef struct Server {
    Channel channel;
    HelperExport export;
    const ServeConfig *config;
    RecvToken recv_token;
    Batch *batch;               /* the token holder's */
    uint32_t average[PROXY_TYPE_END];   /* ns; atomic */
    unsigned sending;           /* threads that send or wait for it; atomic */
} Server;

/* One thread's memory */
typedef struct Worker {
    uint64_t recv_token;        /* as recv_token_wait() gave it */
    Batch *spare;               /* to exchange with the server's */
    int dropped[PROXY_FORGET_MAX];
    unsigned n_dropped;
    uint8_t in[PROXY_MAX_MESSAGE];
    uint8_t out[PROXY_MAX_MESSAGE];
} Worker;

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static bool has_reply(unsigned type)
{
    return !(proxy_type_info(type)->flags & PROXY_TYPE_NO_REPLY);
}

static void start_request(Request *rq, Server *s, Worker *w, size_t in_size)
{
    rq->export = &s->export;
    marshal_reader_init(&rq->in, w->in, in_size);
    marshal_writer_init(&rq->out, w->out + REPLY_START,
                        sizeof(w->out) - REPLY_START);
    rq->malformed = false;
    rq->nfds = 0;
    rq->opened = -1;
    rq->working = false;
    rq->nused = 0;
}

/*
 * Completes the reply in w->out to a request that ended with @error (0 or
 * -errno). Returns its size.
 */
static size_t end_reply(Worker *w, Request *rq, unsigned type, uint32_t tag,
                        int error)
{
    size_t size = REPLY_START + (error ? 0 : marshal_size(&rq->out));
    ProxyHeader h = { .size = size, .type = type | PROXY_REPLY, .tag = tag };
    MarshalWriter start;

    if (error) {
        rq->nfds = 0;
    }
    h.nfds = rq->nfds;
    proxy_header_put(&h, w->out);
    marshal_writer_init(&start, w->out + PROXY_HEADER_SIZE, 4);
    marshal_put_u32(&start, -error);
    return size;
}

/*
 * Replies that leave together
 */

static bool batch_has_room(const Batch *b, size_t size)
{
    return b->n < BATCH_REPLIES && size <= sizeof(b->buf) - b->size;
}

static void batch_add(Batch *b, const Request *rq, const void *reply,
                      size_t size, int64_t now)
{
    if (b->n == 0) {
        b->since = now;
    }
    memcpy(b->buf + b->size, reply, size);
    b->size += size;
    memcpy(b->fds + b->nfds, rq->fds, rq->nfds * sizeof(rq->fds[0]));
    b->nfds += rq->nfds;
    b->n_opened += rq->opened >= 0;
    b->requests[b->n++] = *rq;
}

/* Whether the batch must be sent before the next request is taken */
static bool batch_is_due(Server *s)
{
    const Batch *b = s->batch;

    return b->n && (!channel_has_request(&s->channel) ||
                    b->n == BATCH_REPLIES || b->n_opened == BATCH_OPENED ||
                    now_ns() - b->since > BATCH_WAIT_NS);
}

static Batch *batch_new(void)
{
    Batch *b = g_new(Batch, 1);

    b->n = b->n_opened = b->nfds = b->size = 0;
    return b;
}

static void batch_finish(Batch *b)
{
    unsigned i;

    for (i = 0; i < b->n; i++) {
        request_finish(&b->requests[i]);
    }
    b->n = b->n_opened = b->nfds = b->size = 0;
}

/* Takes the server's batch, to send it after giving the token up. */
static void batch_take(Server *s, Worker *w)
{
    Batch *b = s->batch;

    s->batch = w->spare;
    w->spare = b;
}

static void send_replies(Server *s, const void *buf, size_t size,
                         const int *fds, unsigned nfds)
{
    qatomic_inc(&s->sending);
    channel_send(&s->channel, buf, size, fds, nfds);
    qatomic_dec(&s->sending);
}

/*
 * Before another request: waits if as many threads as --threads have replies
 * that QEMU does not read. The reserve is not for those.
 */
static void wait_for_reader(Server *s)
{
    if (qatomic_read(&s->sending) >= s->config->threads) {
        pthread_mutex_lock(&s->channel.send);
        pthread_mutex_unlock(&s->channel.send);
    }
}

static void batch_send(Server *s, Worker *w)
{
    Batch *b = w->spare;

    if (b->n) {
        send_replies(s, b->buf, b->size, b->fds, b->nfds);
    }
    batch_finish(b);
}

/* Returns whether the caller still has the token: sending may block. */
static bool batch_flush(Server *s, Worker *w)
{
    batch_take(s, w);
    recv_token_work(&s->recv_token);
    batch_send(s, w);
    return recv_token_back(&s->recv_token, w->recv_token);
}

/*
 * Requests
 */

static void count_time(Server *s, unsigned type, int64_t ns)
{
    int64_t average = qatomic_read(&s->average[type]);

    /* A concurrent update may get lost: it is an estimate. */
    average += (MIN(ns, COUNT_MAX_NS) - average) / COUNT_PART;
    qatomic_set(&s->average[type], average);
}

/* The part that follows the order of the stream; needs the token. */
static int execute_in_order(Worker *w, Request *rq, unsigned type, int fd)
{
    switch (type) {
    case PROXY_FORGET:
        return request_forget(rq, w->dropped, &w->n_dropped);
    case PROXY_ADOPT:
        return request_adopt(rq, fd);
    default:
        return 0;
    }
}

/*
 * Does again what failed with EAGAIN, for a client that does not do so itself
 * (PROXY_HELLO_AGAIN). The request keeps its handles.
 */
static int execute_again(Server *s, Request *rq, unsigned type)
{
    Request first = *rq;
    int ret = -EAGAIN;

    while (ret == -EAGAIN && channel_ended(&s->channel) == CHANNEL_OPEN &&
           poll(NULL, 0, AGAIN_MS) == 0) {
        marshal_read_again(&rq->in);
        rq->nused = 0;
        marshal_cut(&rq->out, 0);
        ret = request_execute(rq, type);
        if (ret == -EAGAIN) {
            request_finish(rq);
        }
    }
    request_finish(&first);
    return ret;
}

/* The work itself, with or without the token. Returns the time at its end. */
static int64_t execute(Server *s, Worker *w, Request *rq, unsigned type,
                       int *ret)
{
    int64_t start = now_ns();
    int64_t end;

    while (w->n_dropped) {
        close(w->dropped[--w->n_dropped]);
    }
    if (has_reply(type)) {
        *ret = request_execute(rq, type);
        if (*ret == -EAGAIN && !s->export.again) {
            *ret = execute_again(s, rq, type);
        }
    }
    end = now_ns();
    count_time(s, type, end - start);
    return end;
}

/* Whether the request ends the channel */
static bool is_breach(const Request *rq, int ret)
{
    return rq->malformed || (ret == 0 && !marshal_fits(&rq->out));
}

static void reply_now(Server *s, Worker *w, Request *rq, const ProxyHeader *h,
                      int ret)
{
    size_t size;

    if (rq->malformed) {
        channel_break(&s->channel, "malformed %s of %u bytes",
                      proxy_type_name(h->type), h->size);
    } else if (is_breach(rq, ret)) {
        channel_break(&s->channel, "the reply to a %s is too long",
                      proxy_type_name(h->type));
    } else if (has_reply(h->type)) {
        size = end_reply(w, rq, h->type, h->tag, ret);
        send_replies(s, w->out, size, rq->fds, rq->nfds);
    }
    request_finish(rq);
}

/*
 * Lets the reply wait for others; needs the token. False if it cannot wait, or
 * the channel must end.
 */
static bool reply_later(Server *s, Worker *w, Request *rq,
                        const ProxyHeader *h, int ret, int64_t now)
{
    size_t size;

    if (!has_reply(h->type) && ret == 0) {
        return true;
    }
    size = is_breach(rq, ret) ? 0 : end_reply(w, rq, h->type, h->tag, ret);
    if (size && batch_has_room(s->batch, size)) {
        batch_add(s->batch, rq, w->out, size, now);
        return true;
    }
    return false;
}

/*
 * Whether the client can read no replies any more. If it only sends no more
 * requests, those that were taken still need their handles.
 */
static bool client_is_gone(Server *s)
{
    struct pollfd pfd = { .fd = s->channel.fd };

    return poll(&pfd, 1, 0) > 0 && (pfd.revents & POLLHUP);
}

/*
 * Takes a request and works on it; needs the token. Returns whether the caller
 * still has it: false if another thread has it, or at the end of the channel.
 */
static bool serve_one(Server *s, Worker *w)
{
    bool more, alone, mine = true;
    ProxyHeader h;
    Request rq;
    int64_t now;
    int ret, fd;

    if (batch_is_due(s)) {
        return batch_flush(s, w);
    }
    wait_for_reader(s);
    if (!channel_receive(&s->channel, &h, w->in, &fd)) {
        recv_token_end(&s->recv_token);
        if (client_is_gone(s)) {
            /* Not only at the end, which other requests may hold up */
            handles_forget_all(s->export.handles);
        }
        return false;
    }
    start_request(&rq, s, w, h.size - PROXY_HEADER_SIZE);
    ret = execute_in_order(w, &rq, h.type, fd);

    more = channel_has_request(&s->channel);
    alone = qatomic_read(&s->average[h.type]) < (more ? SHARE_NS : PASS_NS);
    more |= s->batch->n > 0;
    if (alone) {
        recv_token_work(&s->recv_token);
    } else {
        batch_take(s, w);
        recv_token_pass(&s->recv_token);
        batch_send(s, w);
    }
    now = execute(s, w, &rq, h.type, &ret);
    if (log_wants(LOG_LEVEL_DEBUG)) {
        log_line(LOG_LEVEL_DEBUG, "%s, tag %u: %s", proxy_type_name(h.type),
                 h.tag, rq.malformed ? "malformed" : strerror(-ret));
    }
    if (alone && more) {
        mine = recv_token_back(&s->recv_token, w->recv_token);
        if (mine) {
            if (reply_later(s, w, &rq, &h, ret, now)) {
                return true;
            }
            /* Earlier replies first; sending may cost the token. */
            batch_take(s, w);
            recv_token_work(&s->recv_token);
            batch_send(s, w);
        }
    }
    reply_now(s, w, &rq, &h, ret);
    return alone && mine && recv_token_back(&s->recv_token, w->recv_token);
}

static void *serve_thread(void *opaque)
{
    g_autofree Worker *w = g_new(Worker, 1);
    Server *s = opaque;

    w->spare = batch_new();
    w->n_dropped = 0;
    while (recv_token_wait(&s->recv_token, &w->recv_token)) {
        while (serve_one(s, w)) {
            /* the next */
        }
    }
    g_free(w->spare);
    return NULL;
}

/*
 * What makes the guest's ids of those that QEMU sees: the translation, and of
 * ids that it leaves alone the user namespace.
 */
static void put_idmaps(MarshalWriter *out, const ServeConfig *config)
{
    const IdTranslate *t = config->translate;
    const ProxyIdRange *uid = config->ids->uid, *gid = config->ids->gid;
    unsigned n_uid = config->ids->n_uid, n_gid = config->ids->n_gid;

    if (t && id_translate_has(t, &t->user)) {
        uid = id_translate_shown(&t->user, &n_uid);
    }
    if (t && id_translate_has(t, &t->group)) {
        gid = id_translate_shown(&t->group, &n_gid);
    }
    proxy_put_idmap(out, uid, n_uid);
    proxy_put_idmap(out, gid, n_gid);
}

/* Answers HELLO: tells QEMU the version, features and limits. */
static bool answer_hello(Server *s, uint32_t flags)
{
    g_autofree Worker *w = g_new(Worker, 1);
    const ServeConfig *config = s->config;
    Request rq;
    size_t size;
    int ret;

    s->export.donate = !(flags & PROXY_HELLO_NO_DONATE);
    s->export.again = flags & PROXY_HELLO_AGAIN;
    if (!s->export.donate || s->export.acts_as_guest) {
        /* What QEMU finds itself, the guest's user might not. */
        s->export.mount = 0;
    }
    channel_take_fds(&s->channel, s->export.mount);

    start_request(&rq, s, w, 0);
    marshal_put_u32(&rq.out, PROXY_VERSION);
    marshal_put_u32(&rq.out, PROXY_FEATURE_RING | PROXY_FEATURE_WRITE |
                    PROXY_FEATURE_READDIR |
                    (config->readonly ? PROXY_FEATURE_READONLY : 0) |
                    (config->xattrs.file_caps ? PROXY_FEATURE_FILE_CAPS : 0) |
                    (s->export.acts_as_guest ? PROXY_FEATURE_USERS : 0) |
                    (config->xattrs.map ? PROXY_FEATURE_XATTR_MAP : 0) |
                    (config->maps_devices ? PROXY_FEATURE_MAPS_DEVICES |
                                            PROXY_FEATURE_TYPES : 0) |
                    (config->file_handles ? PROXY_FEATURE_FIND : 0) |
                    (s->export.mount ? PROXY_FEATURE_ADOPT : 0));
    marshal_put_u32(&rq.out, PROXY_MAX_MESSAGE);
    marshal_put_u32(&rq.out, MAX_IN_FLIGHT);
    marshal_put_u32(&rq.out, config->pid);
    ret = request_root(&rq);
    put_idmaps(&rq.out, config);
    size = end_reply(w, &rq, PROXY_HELLO, 0, ret);
    return channel_send(&s->channel, w->out, size, rq.fds, rq.nfds) &&
           ret == 0;
}

/* Few where there are few descriptors */
static unsigned reserve_threads(const ServeConfig *config)
{
    return CLAMP(config->max_files / FILES_PER_RESERVE / FILES_PART, 1,
                 RESERVE_THREADS);
}

/* Places for open files until they are closed */
static unsigned opened_places(const ServeConfig *config)
{
    return CLAMP(config->max_files / OPENED_PART, OPENED_MIN, OPENED_MAX);
}

/*
 * One budget for all sessions: a client that has gone may have left threads
 * behind in the kernel, and they count for the next clients, too. So do the
 * files that wait for being closed.
 */
static void share_budget(Server *s)
{
    static ThreadBudget *budget;
    static ToClose *to_close;
    unsigned threads = s->config->threads + reserve_threads(s->config);

    if (g_once_init_enter(&to_close)) {
        budget = thread_budget_new(threads);
        g_once_init_leave(&to_close,
                          to_close_new(budget, opened_places(s->config)));
    }
    s->export.budget = budget;
    s->export.to_close = to_close;
}

static void run_threads(Server *s)
{
    unsigned threads = s->config->threads + reserve_threads(s->config);
    g_autofree pthread_t *ids = g_new(pthread_t, threads);
    pthread_attr_t attr;
    /*
     * A change of ids would take away the signal that this thread gets at the
     * end of the supervisor (prctl(2), PR_SET_PDEATHSIG).
     */
    bool here = !s->export.acts_as_guest;
    unsigned i, n;
    int ret = 0;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, SERVE_STACK_SIZE);
    share_budget(s);
    for (n = here; n < threads; n++) {
        ret = pthread_create(&ids[n], &attr, serve_thread, s);
        if (ret) {
            break;
        }
    }
    if (n == 0) {
        log_line(LOG_LEVEL_ERROR, "--act-as guest: cannot make a thread: %s",
                 strerror(ret));
    } else if (n < threads) {
        log_line(LOG_LEVEL_WARNING, "continuing with %u of %u threads: %s", n,
                 threads, strerror(ret));
    }
    if (here) {
        serve_thread(s);
    }
    for (i = here; i < n; i++) {
        pthread_join(ids[i], NULL);
    }
    batch_finish(s->batch);
    to_close_waiting(s->export.to_close);
    pthread_attr_destroy(&attr);
}

/* Handles that the limit of open files leaves room for; never none */
static unsigned max_handles(const ServeConfig *config)
{
    unsigned others = FILES_FIXED + FILES_PER_THREAD * config->threads +
                      FILES_PER_RESERVE * reserve_threads(config) +
                      opened_places(config) + config->max_left;

    return MAX(config->max_files, others + FILES_FIXED) - others;
}

void serve_needs(const ServeConfig *config, MemoryNeeds *needs)
{
    unsigned threads = config->threads + reserve_threads(config);

    needs->session = threads * (SERVE_STACK_SIZE + sizeof(Worker) +
                                sizeof(Batch) + REQUEST_BYTES + BLOCK_GAP) +
                     4 * (size_t)PROXY_MAX_MESSAGE + sizeof(ProxyRingMemory) +
                     max_handles(config) + SERVE_STACK_SIZE + BLOCK_GAP;
    needs->left = threads * REQUEST_HANDLES * HANDLE_BYTES_LEFT;
    needs->handles = (uint64_t)max_handles(config) * HANDLE_BYTES;
}

int serve(int fd, const ServeConfig *config)
{
    Server s = { .config = config };
    uint32_t version, flags;
    ChannelEnd ended;
    HostPlace place;
    int ret;

    /* All sessions have this descriptor, and none of them closes it. */
    ret = hostfs_init(&s.export.fs, config->root, config->fd_prefix);
    if (ret < 0) {
        fatal("the export: %s", strerror(-ret));
    }
    s.export.fs.readonly = config->readonly;
    s.export.fs.guest_xattrs = &config->xattrs;
    s.export.fs.ids = config->translate;
    s.export.fs.maps_devices = config->maps_devices;
    s.export.acts_as_guest = config->act_as == ACT_AS_GUEST;
    s.export.fs.acting_uid = config->act_as == ACT_AS_SELF ? NULL : act_as_now;
    s.export.fs.making = s.export.acts_as_guest ? &act_as_making : NULL;
    s.export.fs.loses_set_id = config->in_userns;
    s.export.file_handles = (FileHandles) { .mount_fd = -1 };
    if (config->file_handles) {
        s.export.file_handles = *config->file_handles;
        s.export.file_handles.fs = &s.export.fs;
    }
    if (config->own_mount && hostfs_place(s.export.fs.root, &place) == 0) {
        s.export.mount = place.mount;
    }
    s.export.handles = handles_new(max_handles(config), s.export.fs.root,
                                   s.export.fs.root_dev,
                                   s.export.fs.root_ino);
    channel_init(&s.channel, fd);
    recv_token_init(&s.recv_token);
    s.batch = batch_new();

    log_tell_client(-1);
    if (channel_hello(&s.channel, config->hello_ms, &version, &flags)) {
        log_line(LOG_LEVEL_INFO, "a client connected, protocol version %u",
                 version);
        if (version == 1 && s.export.acts_as_guest) {
            log_line(LOG_LEVEL_ERROR, "--act-as guest: the client's version "
                     "of the protocol names no users");
        } else if (version == 1) {
            serve_v1(&s.channel, &s.export.fs);
        } else if (answer_hello(&s, flags) &&
                   channel_offer_ring(&s.channel)) {
            run_threads(&s);
        }
    }
    ended = channel_ended(&s.channel);
    log_line(LOG_LEVEL_INFO, "the connection ended");
    channel_destroy(&s.channel);
    recv_token_destroy(&s.recv_token);
    g_free(s.batch);
    handles_free(s.export.handles);
    if (config->before_close) {
        config->before_close(config->opaque);
    }
    if (!config->process_ends) {
        channel_close(&s.channel);
    }
    return ended == CHANNEL_BROKEN ? EXIT_FAILURE : EXIT_SUCCESS;
}
