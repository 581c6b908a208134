/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Code that the tests of QEMU's end of the proxy channel share.
 *
 * A test holds the helper's end of a socket pair and plays the helper by hand
 * (proxy-peer.h), because these tests are about events that no real helper
 * causes: bad messages, lost descriptors, odd cuts. Everything runs in one
 * thread: the test puts the peer's messages into the socket, and aio_poll()
 * lets the channel read them.
 *
 * With PROXY_PEER_RING in the environment requests and replies without
 * descriptors go through shared memory instead.
 */
#ifndef TESTS_PROXY_CHANNEL_FIXTURE_H
#define TESTS_PROXY_CHANNEL_FIXTURE_H

#include "hw/9pfs/proxy/channel.h"
#include "proxy-peer.h"

#define MAX_IN_FLIGHT   PEER_MAX_IN_FLIGHT

extern const FsAttr channel_root;
extern AioContext *channel_ctx;

typedef struct ChannelTest {
    ProxyChannel *ch;
    int peer;
    int fds_before;
} ChannelTest;

/* A GETATTR, or whatever a test makes of it, in a coroutine of its own */
typedef struct ChannelCall {
    FsCall call;
    ChannelTest *t;
    ProxyType type;
    uint64_t handle;
    size_t extra;               /* bytes of request */
    unsigned take_fds;
    int fd;
    uint64_t answer;            /* u64 of the reply */
    int ret;
    bool done;
} ChannelCall;

/* The peer's part of a greeting with a ring: HELLO, then RING */
typedef struct ChannelGreeter {
    int peer;
    uint32_t features;
    uint32_t error;             /* of RING */
    bool no_ring;               /* none comes */
} ChannelGreeter;

/* The first thing that a test program does */
void channel_test_init(int *argc, char ***argv);

/* A reply of error and, without one, @answer; returns its size. */
size_t put_reply(uint8_t *buf, ProxyType type, uint32_t tag, unsigned nfds,
                 uint32_t error, uint64_t answer);
void peer_reply(ChannelTest *t, ProxyType type, uint32_t tag, uint32_t error,
                uint64_t answer);

/* The socket pair, without a channel yet */
void channel_setup_pair(ChannelTest *t, int sv[2]);
/* A thread of the peer's: its part of a greeting; @opaque: a ChannelGreeter */
void *channel_greeter_thread(void *opaque);
/* The whole greeting: the channel, or NULL with an error */
ProxyChannel *channel_greet(ChannelTest *t, int fd, ChannelGreeter *g,
                            OnOffAuto ring, Error **errp);
/* A channel on the path that the environment chose, or one with a ring */
void channel_setup(ChannelTest *t);
void channel_setup_ring(ChannelTest *t);
/* Frees the channel, and checks that no descriptor is left. */
void channel_finish(ChannelTest *t);

void channel_call_start(ChannelTest *t, ChannelCall *c, ProxyType type,
                        uint64_t handle);
void channel_call_wait(ChannelCall *c);

/* The channel is broken: calls under way fail, and so does a later one. */
void channel_all_fail(ChannelTest *t, ChannelCall *c, unsigned n);
/* A call that is answered, and nothing else is wrong */
void channel_one_call(ChannelTest *t);

/*
 * If an event loop can poll all its handlers, it makes no system call when it
 * must not block, which is how the tests call it. So this adds a handler that
 * it cannot poll.
 */
void channel_allow_polling(bool allow);

#endif /* TESTS_PROXY_CHANNEL_FIXTURE_H */
