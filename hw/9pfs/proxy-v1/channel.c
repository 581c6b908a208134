/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * QEMU's end of the proxy channel in protocol version 1.
 *
 * Theory of operation. Version 1 has no tags: a reply is known to be one only
 * because a single request is under way. So operations take turns, in the order
 * they came, and wait for that as coroutines; the socket is never waited for in
 * place. While an operation waits for its turn it can be cancelled; once it has
 * sent something the reply must be known. Who does not care any more (a device
 * that is reset, a client that lost its patience) abandons it: the operation
 * ends at once with EIO, and the reply, whenever it comes, is thrown away before
 * the next turn.
 *
 * A reply has no more bytes than its header says, or four where a descriptor is
 * asked for, and nothing comes unasked. Whatever else a helper sends closes the
 * channel, with one message that says why, as does a helper that goes away: EIO
 * for all that are under way (from a bottom half, as this may happen inside of
 * any of them) and for every later one. A payload that makes no sense in a good
 * frame fails only its own request.
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/socket.h>
#include "block/aio.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "hw/9pfs/host/fd-budget.h"
#include "channel.h"
#include "hw/9pfs/trace.h"

#define MESSAGE_MAX         (PROXY_V1_HEADER_SIZE + PROXY_V1_MAX_PAYLOAD)

/* For the answers that QEMU waits for when it begins */
#define ANSWER_TIMEOUT_MS   15000

/* SCM_MAX_FD of Linux: nobody can send more in one message */
#define FDS_MAX             253

/* From here on an errno is the kernel's own: see proxy/channel.c */
#define KERNEL_ERRNO        512

/* The answer on its way in */
typedef struct Answer {
    size_t len;                 /* bytes in buf */
    int fd;                     /* that came along, or -1 */
    bool fds_bad;               /* more than one came */
    bool fds_lost;              /* there was no room for it in our table */
    uint8_t buf[MESSAGE_MAX + 1];
} Answer;

struct ProxyV1Channel {
    AioContext *ctx;
    char *id;
    int sock;                   /* -1 once broken */
    bool broken;
    QEMUBH *broken_bh;
    void (*on_broken)(void *opaque, const char *why);
    void *opaque;

    ProxyV1Turn *turn;           /* whose it is, or NULL */
    QTAILQ_HEAD(, ProxyV1Turn) waiting;

    bool asked;                 /* a request has no answer yet */
    bool stray;                 /* and nobody wants it */
    bool wants_fd;              /* it is one of the kind without a header */
    uint8_t out[MESSAGE_MAX];
    size_t out_start;           /* to be sent: out_start up to out_end */
    size_t out_end;
    Answer in;
};

static void set_handlers(ProxyV1Channel *ch);

static bool brings_fd(ProxyV1Type type)
{
    return type == PROXY_V1_OPEN || type == PROXY_V1_CREATE;
}

/*
 * The wire
 */

static void put_header(uint8_t *buf, uint32_t type, uint32_t size)
{
    uint32_t head[] = { type, size };   /* in host byte order */

    memcpy(buf, head, sizeof(head));
}

static uint32_t get_host_u32(const uint8_t *buf)
{
    uint32_t value;

    memcpy(&value, buf, sizeof(value));
    return value;
}

static void answer_clear(Answer *in)
{
    if (in->fd >= 0) {
        close(in->fd);
    }
    in->fd = -1;
    in->len = 0;
    in->fds_bad = in->fds_lost = false;
}

static void answer_take_fd(Answer *in, int fd)
{
    if (in->fd >= 0) {
        in->fds_bad = true;
        close(fd);
    } else {
        in->fd = fd;
    }
}

/* Reads what there is: bytes, 0 at the end of the stream, -errno. */
static ssize_t answer_recv(Answer *in, int sock)
{
    union {
        char buf[CMSG_SPACE(FDS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = { in->buf + in->len, sizeof(in->buf) - in->len };
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.buf,
        .msg_controllen = sizeof(control.buf),
    };
    struct cmsghdr *cmsg;
    ssize_t n;

    do {
        n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return -errno;
    }
    in->len += n;
    in->fds_lost |= !!(msg.msg_flags & MSG_CTRUNC);
    for (cmsg = CMSG_FIRSTHDR(&msg); cmsg; cmsg = CMSG_NXTHDR(&msg, cmsg)) {
        unsigned i, count;

        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
            answer_take_fd(in, fd);
        }
    }
    return n;
}

/* Whether the answer is whole: 1, 0, or -EPROTO when it can be none. */
static int answer_whole(const Answer *in, bool wants_fd)
{
    size_t need = wants_fd ? sizeof(int32_t) : PROXY_V1_HEADER_SIZE;

    if (in->fds_bad || (!wants_fd && (in->fd >= 0 || in->fds_lost))) {
        return -EPROTO;
    }
    if (!wants_fd && in->len >= need) {
        uint32_t type = get_host_u32(in->buf);
        uint32_t size = get_host_u32(in->buf + 4);

        if (size > PROXY_V1_MAX_PAYLOAD ||
            (type != PROXY_V1_SUCCESS && type != PROXY_V1_ERROR) ||
            (type == PROXY_V1_ERROR && size != sizeof(int32_t))) {
            return -EPROTO;
        }
        need += size;
    }
    return in->len > need ? -EPROTO : in->len == need;
}

/* What a helper says an error is, as an errno that a guest may get */
static int clean_error(int32_t value)
{
    return value < 0 && value > -KERNEL_ERRNO ? value : -EIO;
}

/* A whole answer without descriptor: 0 or its error, with the payload in @r. */
static int answer_result(Answer *in, MarshalReader *r)
{
    uint8_t *payload = in->buf + PROXY_V1_HEADER_SIZE;

    if (get_host_u32(in->buf) == PROXY_V1_ERROR) {
        return clean_error(get_host_u32(payload));
    }
    marshal_reader_init(r, payload, in->len - PROXY_V1_HEADER_SIZE);
    return 0;
}

/*
 * Before there is a channel
 */

static void closed_error(Error **errp)
{
    error_setg(errp, "the helper closed the connection");
}

/* Sends a request and waits for its answer, which is whole then. */
static bool ask(int sock, uint32_t type, const void *payload, size_t size,
                Answer *in, Error **errp)
{
    int64_t deadline = g_get_monotonic_time() / 1000 + ANSWER_TIMEOUT_MS;
    uint8_t out[128];
    ssize_t n;
    int whole;

    assert(size <= sizeof(out) - PROXY_V1_HEADER_SIZE);
    put_header(out, type, size);
    memcpy(out + PROXY_V1_HEADER_SIZE, payload, size);
    size += PROXY_V1_HEADER_SIZE;
    do {
        n = send(sock, out, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
        closed_error(errp);
        return false;
    } else if (n != (ssize_t)size) {
        error_setg_errno(errp, n < 0 ? errno : EIO,
                         "cannot send to the helper");
        return false;
    }

    while ((whole = answer_whole(in, false)) == 0) {
        struct pollfd pfd = { .fd = sock, .events = POLLIN };
        int64_t left = deadline - g_get_monotonic_time() / 1000;

        if (left <= 0) {
            error_setg(errp, "the helper did not answer within %d seconds",
                       ANSWER_TIMEOUT_MS / 1000);
            return false;
        }
        if (poll(&pfd, 1, left) <= 0) {
            continue;
        }
        n = answer_recv(in, sock);
        if (n == 0 || n == -ECONNRESET) {
            closed_error(errp);
            return false;
        } else if (n < 0 && n != -EAGAIN) {
            error_setg_errno(errp, -n, "cannot receive from the helper");
            return false;
        }
    }
    if (whole < 0) {
        error_setg(errp, "the helper's answer is of no known protocol version");
        return false;
    }
    return true;
}

int proxy_v1_probe(int sock, Error **errp)
{
    g_autofree Answer *in = g_new(Answer, 1);
    uint8_t payload[PROXY_V1_PROBE_SIZE];
    MarshalWriter w;
    MarshalReader r;
    int version = 1;

    *in = (Answer) { .fd = -1 };
    marshal_writer_init(&w, payload, sizeof(payload));
    marshal_put_u32(&w, 0);
    marshal_put_str(&w, "/");
    marshal_put_str(&w, PROXY_V1_PROBE);
    assert(marshal_fits(&w) && marshal_size(&w) == sizeof(payload));

    if (!ask(sock, PROXY_V1_LGETXATTR, payload, sizeof(payload), in, errp)) {
        answer_clear(in);
        return -1;
    }
    if (answer_result(in, &r) == 0) {
        version = marshal_get_u32(&r);
        if (!marshal_done(&r) || version < 1) {
            error_setg(errp, "the helper does not say what protocol version "
                       "it speaks");
            version = -1;
        }
    }
    answer_clear(in);
    return version;
}

static bool ask_root(int sock, Answer *in, FsAttr *root, Error **errp)
{
    uint8_t payload[2 + 1];
    MarshalWriter w;
    MarshalReader r;
    int ret;

    marshal_writer_init(&w, payload, sizeof(payload));
    marshal_put_str(&w, "/");
    if (!ask(sock, PROXY_V1_LSTAT, payload, sizeof(payload), in, errp)) {
        return false;
    }
    ret = answer_result(in, &r);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "the helper cannot look at its export");
        return false;
    }
    proxy_v1_get_attr(&r, root);
    if (!marshal_done(&r) || !S_ISDIR(root->mode)) {
        error_setg(errp, "the helper's export is not a directory");
        return false;
    }
    return true;
}

static void get_time(MarshalReader *r, struct timespec *time)
{
    uint64_t nsec;

    time->tv_sec = marshal_get_u64(r);
    nsec = marshal_get_u64(r);
    if (nsec > 999999999) {
        marshal_fail(r);
    }
    time->tv_nsec = nsec;
}

void proxy_v1_get_attr(MarshalReader *r, FsAttr *attr)
{
    memset(attr, 0, sizeof(*attr));
    attr->dev = marshal_get_u64(r);
    attr->ino = marshal_get_u64(r);
    attr->nlink = marshal_get_u64(r);
    attr->mode = marshal_get_u32(r);
    attr->uid = marshal_get_u32(r);
    attr->gid = marshal_get_u32(r);
    attr->rdev = marshal_get_u64(r);
    attr->size = marshal_get_u64(r);
    attr->blksize = marshal_get_u64(r);
    attr->blocks = marshal_get_u64(r);
    get_time(r, &attr->atime);
    get_time(r, &attr->mtime);
    get_time(r, &attr->ctime);

    if (!fs_mode_is_valid(attr->mode)) {
        marshal_fail(r);
    }
}

/*
 * Failure
 */

static void disconnect(ProxyV1Channel *ch)
{
    if (ch->sock >= 0) {
        aio_set_fd_handler(ch->ctx, ch->sock, NULL, NULL, NULL, NULL, NULL);
        close(ch->sock);
        ch->sock = -1;
    }
    answer_clear(&ch->in);
}

static void G_GNUC_PRINTF(2, 3)
channel_break(ProxyV1Channel *ch, const char *fmt, ...)
{
    g_autofree char *why = NULL;
    va_list ap;

    if (ch->broken) {
        return;
    }
    va_start(ap, fmt);
    why = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    error_report("fsdev '%s': %s", ch->id, why);
    trace_proxy_lost(ch->id, why);

    ch->broken = true;
    disconnect(ch);
    qemu_bh_schedule(ch->broken_bh);
    ch->on_broken(ch->opaque, why);
}

static void helper_gone(ProxyV1Channel *ch, int err)
{
    /* EPIPE and ECONNRESET say no more than that it is gone. */
    if (err && err != EPIPE && err != ECONNRESET) {
        channel_break(ch, "the helper went away: %s", strerror(err));
    } else {
        channel_break(ch, "the helper went away");
    }
}

static void wake(ProxyV1Turn *turn, int ret)
{
    turn->call->on_abandon = NULL;
    turn->ret = ret;
    turn->done = true;
    aio_co_wake(turn->co);
}

/* Ends the wait of the first who waits for a turn. */
static ProxyV1Turn *waiting_pop(ProxyV1Channel *ch)
{
    ProxyV1Turn *turn = QTAILQ_FIRST(&ch->waiting);

    if (turn) {
        QTAILQ_REMOVE(&ch->waiting, turn, next);
        turn->call->on_cancel = NULL;
    }
    return turn;
}

static void broken_bh(void *opaque)
{
    ProxyV1Channel *ch = opaque;
    ProxyV1Turn *turn = ch->turn;

    ch->turn = NULL;
    if (turn) {
        turn->lost = true;
        if (ch->asked) {
            wake(turn, -EIO);
        }
    }
    ch->asked = false;
    while ((turn = waiting_pop(ch))) {
        wake(turn, -EIO);
    }
}

/*
 * Turns
 */

static bool turn_free(const ProxyV1Channel *ch)
{
    return !ch->turn && !ch->asked;
}

static void hand_on(ProxyV1Channel *ch)
{
    if (turn_free(ch) && !ch->broken) {
        ch->turn = waiting_pop(ch);
        if (ch->turn) {
            wake(ch->turn, 0);
        }
    }
}

static void cancel_waiting(FsCall *call, void *opaque)
{
    ProxyV1Turn *turn = opaque;

    QTAILQ_REMOVE(&turn->ch->waiting, turn, next);
    call->on_cancel = NULL;
    wake(turn, -EINTR);
}

int coroutine_fn proxy_v1_begin(ProxyV1Channel *ch, FsCall *call,
                              ProxyV1Turn *turn)
{
    if (ch->broken) {
        return -EIO;
    }
    if (call->cancelled) {
        return -EINTR;
    }
    turn->ch = ch;
    turn->call = call;
    turn->co = qemu_coroutine_self();
    turn->lost = false;
    if (turn_free(ch) && QTAILQ_EMPTY(&ch->waiting)) {
        ch->turn = turn;
        return 0;
    }

    turn->done = false;
    QTAILQ_INSERT_TAIL(&ch->waiting, turn, next);
    call->on_cancel = cancel_waiting;
    call->on_cancel_opaque = turn;
    while (!turn->done) {
        qemu_coroutine_yield();
    }
    if (turn->ret == 0 && ch->broken) {
        /* It broke after the turn was handed on, before we ran */
        proxy_v1_end(turn);
        return -EIO;
    }
    return turn->ret;
}

void proxy_v1_end(ProxyV1Turn *turn)
{
    ProxyV1Channel *ch = turn->ch;

    if (ch->turn == turn) {
        ch->turn = NULL;
        hand_on(ch);
    }
}

static void abandon(FsCall *call, void *opaque)
{
    ProxyV1Turn *turn = opaque;
    ProxyV1Channel *ch = turn->ch;

    ch->turn = NULL;
    ch->stray = true;
    turn->lost = true;
    wake(turn, -EIO);
}

/*
 * Requests
 */

static void send_some(ProxyV1Channel *ch)
{
    bool waited = ch->out_start > 0;
    ssize_t n;

    while (ch->out_start < ch->out_end) {
        n = send(ch->sock, ch->out + ch->out_start,
                 ch->out_end - ch->out_start, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            ch->out_start += n;
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            helper_gone(ch, errno);
            return;
        }
    }
    if (waited || ch->out_start < ch->out_end) {
        set_handlers(ch);
    }
}

static void writable(void *opaque)
{
    ProxyV1Channel *ch = opaque;

    if (!ch->broken) {
        send_some(ch);
    }
}

/* The whole answer is there. */
static void answered(ProxyV1Channel *ch)
{
    trace_proxy_v1_reply(ch->id, ch->in.len, ch->wants_fd);
    ch->asked = false;
    if (ch->stray) {
        ch->stray = false;
        answer_clear(&ch->in);
        hand_on(ch);
    } else {
        wake(ch->turn, 0);
    }
}

static void readable(void *opaque)
{
    ProxyV1Channel *ch = opaque;
    ssize_t n;
    int whole;

    if (ch->broken) {
        return;
    }
    n = answer_recv(&ch->in, ch->sock);
    if (n == -EAGAIN) {
        return;
    } else if (n <= 0) {
        helper_gone(ch, -n);
        return;
    }
    if (!ch->asked) {
        channel_break(ch, "the helper sent what nobody asked for");
        return;
    }
    whole = answer_whole(&ch->in, ch->wants_fd);
    if (whole < 0) {
        channel_break(ch, "the helper sent a malformed answer (%zu bytes)",
                      ch->in.len);
    } else if (whole) {
        answered(ch);
    }
}

static void set_handlers(ProxyV1Channel *ch)
{
    aio_set_fd_handler(ch->ctx, ch->sock, readable,
                       ch->out_start < ch->out_end ? writable : NULL,
                       NULL, NULL, ch);
}

MarshalWriter *proxy_v1_request(ProxyV1Turn *turn)
{
    ProxyV1Channel *ch = turn->ch;

    marshal_writer_init(&turn->w, ch->out + PROXY_V1_HEADER_SIZE,
                        PROXY_V1_MAX_PAYLOAD);
    return &turn->w;
}

/* Sends the request and waits for the answer: 0, or -EIO without one. */
static int coroutine_fn exchange(ProxyV1Turn *turn, ProxyV1Type type)
{
    ProxyV1Channel *ch = turn->ch;

    if (turn->lost || ch->broken) {
        return -EIO;
    }
    if (!marshal_fits(&turn->w)) {
        return -ENAMETOOLONG;
    }
    answer_clear(&ch->in);
    put_header(ch->out, type, marshal_size(&turn->w));
    ch->out_start = 0;
    ch->out_end = PROXY_V1_HEADER_SIZE + marshal_size(&turn->w);
    ch->wants_fd = brings_fd(type);
    ch->asked = true;
    trace_proxy_v1_request(ch->id, type, ch->out_end);

    turn->type = type;
    turn->done = false;
    turn->call->on_abandon = abandon;
    turn->call->on_abandon_opaque = turn;
    send_some(ch);
    while (!turn->done) {
        qemu_coroutine_yield();
    }
    /* It may have broken between the answer and now; that is forgotten then. */
    return turn->ret < 0 ? turn->ret : ch->broken ? -EIO : 0;
}

int coroutine_fn proxy_v1_response(ProxyV1Turn *turn, ProxyV1Type type)
{
    int ret = exchange(turn, type);

    return ret < 0 ? ret : answer_result(&turn->ch->in, &turn->r);
}

int proxy_v1_check(ProxyV1Turn *turn)
{
    if (marshal_done(&turn->r)) {
        return 0;
    }
    error_report_once("fsdev '%s': the helper's answer to a request of type %d "
                      "makes no sense", turn->ch->id, turn->type);
    return -EIO;
}

int coroutine_fn proxy_v1_status(ProxyV1Turn *turn, ProxyV1Type type)
{
    int ret = proxy_v1_response(turn, type);
    int32_t value;

    if (ret < 0) {
        return ret;
    }
    value = marshal_get_u32(&turn->r);
    ret = proxy_v1_check(turn);
    if (ret < 0) {
        return ret;
    }
    return value < 0 ? clean_error(value) : value;
}

int coroutine_fn proxy_v1_descriptor(ProxyV1Turn *turn, ProxyV1Type type)
{
    Answer *in = &turn->ch->in;
    int ret = exchange(turn, type);
    int32_t value;
    int fd;

    if (ret < 0) {
        return ret;
    }
    value = get_host_u32(in->buf);
    if (value == PROXY_V1_FD_COMES && in->fd >= 0) {
        fd = in->fd;
        in->fd = -1;
        return fd;
    }
    if (value == PROXY_V1_FD_COMES && in->fds_lost) {
        host_fds_relieve();
        return -EMFILE;
    }
    if (value >= 0 || in->fd >= 0) {
        channel_break(turn->ch, "the helper's answer to a request of type %d "
                      "makes no sense", type);
        return -EIO;
    }
    return clean_error(value);
}

/*
 * Channels
 */

ProxyV1Channel *proxy_v1_channel_new(AioContext *ctx, const char *id, int sock,
                                  FsAttr *root,
                                  void (*on_broken)(void *opaque,
                                                    const char *why),
                                  void *opaque, Error **errp)
{
    ProxyV1Channel *ch;

#if HOST_BIG_ENDIAN
    /* Its integers are the host's, and the marshaller's little endian. */
    error_setg(errp, "protocol version 1 needs a little-endian host");
    close(sock);
    return NULL;
#endif
    ch = g_new0(ProxyV1Channel, 1);
    ch->id = g_strdup(id);
    ch->sock = sock;
    ch->in.fd = -1;
    ch->on_broken = on_broken;
    ch->opaque = opaque;
    QTAILQ_INIT(&ch->waiting);
    ch->ctx = ctx;
    ch->broken_bh = aio_bh_new(ctx, broken_bh, ch);
    if (!ask_root(sock, &ch->in, root, errp)) {
        proxy_v1_channel_free(ch);
        return NULL;
    }
    answer_clear(&ch->in);
    set_handlers(ch);
    return ch;
}

void proxy_v1_channel_detach(ProxyV1Channel *ch)
{
    if (!ch->broken) {
        aio_set_fd_handler(ch->ctx, ch->sock, NULL, NULL, NULL, NULL, NULL);
    }
    qemu_bh_delete(ch->broken_bh);
    ch->broken_bh = NULL;
    ch->ctx = NULL;
}

void proxy_v1_channel_attach(ProxyV1Channel *ch, AioContext *ctx)
{
    ch->ctx = ctx;
    ch->broken_bh = aio_bh_new(ctx, broken_bh, ch);
    if (!ch->broken) {
        set_handlers(ch);
    }
}

void proxy_v1_channel_free(ProxyV1Channel *ch)
{
    disconnect(ch);
    qemu_bh_delete(ch->broken_bh);
    g_free(ch->id);
    g_free(ch);
}
