/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Single requests to virtfs-proxy-helper, for its tests: each function sends
 * one and returns the reply's error, 0 or -errno. The payload is in c->in.
 */
#ifndef TESTS_UNIT_PROXY_CALLS_H
#define TESTS_UNIT_PROXY_CALLS_H

#include "proxy-fixture.h"

/* Owners for new files: the user, or others where that is possible */
#define GUEST_UID       (geteuid() == 0 ? 1234 : 0)
#define GUEST_GID       (geteuid() == 0 ? 4321 : 0)

/* The handle of the node at @path; closes its descriptor. */
uint64_t node_of(ProxyFixture *f, const char *path);

int call_handle(ProxyClient *c, unsigned type, uint64_t handle);

int call_open(ProxyClient *c, uint64_t handle, int flags, int *fd);

/* Lists a directory to its end. Adds the names to @names; that may be NULL. */
int call_readdir(ProxyClient *c, uint64_t handle, GPtrArray *names);

int call_create(ProxyClient *c, uint64_t dir, const char *name,
                       int flags, uint32_t mode, FsAttr *attr, PcNode *node,
                       int *fd);

int call_make(ProxyClient *c, uint64_t dir, const char *name,
                     uint32_t mode, uint64_t rdev, const char *target,
                     FsAttr *attr);

int call_link(ProxyClient *c, uint64_t node, uint64_t dir,
                     const char *name);

int call_rename(ProxyClient *c, uint64_t old_dir, const char *old_name,
                       uint64_t new_dir, const char *new_name);

int call_unlink(ProxyClient *c, uint64_t dir, const char *name,
                       bool rmdir, uint64_t expect);

int call_setattr(ProxyClient *c, uint64_t node, const FsSetAttr *set);

int call_getxattr(ProxyClient *c, uint64_t node, bool list,
                         const char *name);

int call_setxattr(ProxyClient *c, uint64_t node, const char *name,
                         uint32_t flags, const void *value, size_t size);

int call_removexattr(ProxyClient *c, uint64_t node, const char *name);

#endif /* TESTS_UNIT_PROXY_CALLS_H */
