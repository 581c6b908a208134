/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Code that the tests of the proxy driver in protocol version 1
 * (fsdev/shared/proto-v1.h) share. The test plays a helper of version 1 by
 * hand, on the other end of a socket pair.
 */
#ifndef TESTS_PROXY_V1_FIXTURE_H
#define TESTS_PROXY_V1_FIXTURE_H

#include "fsdev/shared/proto-v1.h"
#include "driver-fixture.h"

/* A request, with its payload to be read */
typedef struct V1Request {
    uint32_t type;
    MarshalReader r;
    uint8_t payload[PROXY_V1_MAX_PAYLOAD];
} V1Request;

/* Sends a reply's bytes as they are, with @fd if that is not -1. */
void v1_send(int peer, const void *bytes, size_t size, int fd);
void v1_send_status(int peer, uint32_t type, int32_t value);
/* The reply to LSTAT of a file on the host, with @mode in place of its own */
size_t v1_put_attr(uint8_t *buf, const struct stat *st, uint32_t mode);
/* Sends it for @name in the folder. */
void v1_send_attr(int peer, const char *name);

/* The next request */
void v1_recv(int peer, V1Request *h);
/* The request's next string must be @path. */
void v1_expect_path(V1Request *h, const char *path);
/* The next request must be this one, with no more than a path in it. */
void v1_expect(DriverTest *t, uint32_t type, const char *path);
/* It must be LSTAT, and is answered as the file is on the host. */
void v1_expect_lstat(DriverTest *t, const char *path);
/* It must be this one, with more in it: its reader. */
MarshalReader *v1_expect_more(DriverTest *t, V1Request *h, uint32_t type,
                              const char *path);

/* Opens the export; @ask: QEMU asks for the helper's version first. */
void v1_start(DriverTest *t, bool ask);
/* Walks to one name in the root, as it is on the host. */
FsNode *v1_walk_to(DriverTest *t, const char *name);

/* A file in the folder, of four bytes */
void v1_make_file(const char *name);
int v1_host_open(const char *name, int flags);
struct stat v1_host_stat(const char *name);

/* Adds a test that runs in a folder of its own. */
void v1_add_test(const char *name, void (*test)(void));

#endif /* TESTS_PROXY_V1_FIXTURE_H */
