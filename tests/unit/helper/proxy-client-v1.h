/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A client of virtfs-proxy-helper for tests that speaks protocol version 1
 * (fsdev/shared/proto-v1.h), over a connection of proxy-client.h.
 */
#ifndef TESTS_UNIT_PROXY_CLIENT_V1_H
#define TESTS_UNIT_PROXY_CLIENT_V1_H

#include "proxy-client.h"
#include "fsdev/shared/proto-v1.h"

typedef struct ProxyClientV1 {
    ProxyClient *c;             /* not greeted by HELLO */
    MarshalWriter w;            /* payload of the next request */
    MarshalReader r;            /* payload of the last reply */
    uint8_t out[PROXY_V1_HEADER_SIZE + PROXY_V1_MAX_PAYLOAD];
    uint8_t in[PROXY_V1_MAX_PAYLOAD];
} ProxyClientV1;

/* Begins a request. Returns the writer for its payload. */
MarshalWriter *p1_begin(ProxyClientV1 *p);

/* The arguments of a request; each type uses those that it has. */
typedef struct P1Args {
    const char *path;
    const char *other;          /* LINK, RENAME: the new path; SYMLINK: the
                                   target; *XATTR: the name */
    uint32_t flags;             /* OPEN, CREATE, LSETXATTR */
    uint32_t mode;              /* CREATE, MKNOD, MKDIR, CHMOD */
    uint32_t id;                /* user and group for those, and CHOWN */
    uint64_t size;              /* TRUNCATE; READLINK, *XATTR: the room */
} P1Args;

/* Begins a request of @type in good form, with its whole payload. */
void p1_put_request(ProxyClientV1 *p, uint32_t type, const P1Args *args);

/* Sends the begun request as @type. */
void p1_send(ProxyClientV1 *p, uint32_t type);

/* The reply to a request: 0 or the value of the status, or -errno. */
int p1_answer(ProxyClientV1 *p);

/* The reply to OPEN and CREATE: a descriptor or -errno */
int p1_answer_fd(ProxyClientV1 *p);

/* p1_send(), and the answer that the type has */
int p1_call(ProxyClientV1 *p, uint32_t type);

#endif /* TESTS_UNIT_PROXY_CLIENT_V1_H */
