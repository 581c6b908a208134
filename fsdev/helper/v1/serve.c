/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Serving a client of protocol version 1: see serve.h, and
 * fsdev/shared/proto-v1.h for the frames.
 *
 * One thread does it all, because a client sends one request at a time.
 */
#include "qemu/osdep.h"
#include "serve.h"
#include "requests.h"
#include "fsdev/helper/log.h"
#include "fsdev/shared/proto-v1.h"

/*
 * Waits for a request. Copies its payload to @payload (PROXY_V1_MAX_PAYLOAD
 * bytes), *@size bytes of it. False at the end of the channel.
 */
static bool receive(Channel *c, uint32_t *type, uint8_t *payload,
                    uint32_t *size)
{
    const uint8_t *message = channel_peek(c, PROXY_V1_HEADER_SIZE);
    uint32_t head[2];           /* in host byte order */

    if (!message) {
        return false;
    }
    memcpy(head, message, sizeof(head));
    *type = head[0];
    *size = head[1];
    if (*type < PROXY_V1_OPEN || *type >= PROXY_V1_TYPE_END) {
        channel_break(c, "unknown request type %u (version 1)", *type);
        return false;
    }
    if (*size > PROXY_V1_MAX_PAYLOAD) {
        channel_break(c, "a request of %u bytes (version 1)", *size);
        return false;
    }
    message = channel_peek(c, PROXY_V1_HEADER_SIZE + *size);
    if (!message) {
        return false;
    }
    memcpy(payload, message + PROXY_V1_HEADER_SIZE, *size);
    channel_skip(c, PROXY_V1_HEADER_SIZE + *size);
    return true;
}

static bool send_fd(Channel *c, int fd, int ret)
{
    int32_t value = ret < 0 ? ret : PROXY_V1_FD_COMES;
    bool ok = channel_send(c, &value, sizeof(value), &fd, ret == 0);

    if (ret == 0) {
        close(fd);
    }
    return ok;
}

/* @ret: the result of request_v1_execute(), @w: its payload, if any. */
static bool send_answer(Channel *c, const MarshalWriter *w, uint8_t *buf,
                        int ret)
{
    size_t size = marshal_size(w);
    uint32_t head[2] = { PROXY_V1_SUCCESS, size };
    int32_t status = ret;

    if (ret < 0 || size == 0) {
        head[0] = ret < 0 ? PROXY_V1_ERROR : PROXY_V1_SUCCESS;
        head[1] = size = sizeof(status);
        memcpy(buf + PROXY_V1_HEADER_SIZE, &status, sizeof(status));
    }
    memcpy(buf, head, sizeof(head));
    return channel_send(c, buf, PROXY_V1_HEADER_SIZE + size, NULL, 0);
}

static bool serve_one(Channel *c, const HostFs *fs, uint8_t *in, uint8_t *out)
{
    MarshalWriter w;
    uint32_t type, size;
    int fd = -1;
    int ret;

    if (!receive(c, &type, in, &size)) {
        return false;
    }
    marshal_writer_init(&w, out + PROXY_V1_HEADER_SIZE, PROXY_V1_MAX_PAYLOAD);
    ret = request_v1_execute(fs, type, in, size, &w, &fd);
    if (log_wants(LOG_LEVEL_DEBUG)) {
        log_line(LOG_LEVEL_DEBUG, "version 1, request %u: %s", type,
                 strerror(ret < 0 ? -ret : 0));
    }
    return type == PROXY_V1_OPEN || type == PROXY_V1_CREATE
        ? send_fd(c, fd, ret) : send_answer(c, &w, out, ret);
}

void serve_v1(Channel *c, const HostFs *fs)
{
    g_autofree uint8_t *in = g_malloc(PROXY_V1_MAX_PAYLOAD);
    g_autofree uint8_t *out = g_malloc(PROXY_V1_HEADER_SIZE +
                                       PROXY_V1_MAX_PAYLOAD);

    while (serve_one(c, fs, in, out)) {
        /* the next */
    }
}
