/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A client of virtfs-proxy-helper for tests: starts the real program, speaks
 * protocol version 2 with it (fsdev/shared/proto.h), in good or bad form, and
 * waits for its end. No function waits longer than PC_TIMEOUT; errors fail the
 * test.
 */
#ifndef TESTS_UNIT_PROXY_CLIENT_H
#define TESTS_UNIT_PROXY_CLIENT_H

#include "fsdev/shared/proto.h"
#include "fsdev/shared/ring.h"

/* Whether the helper of this build has protocol version 1 */
#ifdef CONFIG_VIRTFS_PROXY_V1
#define HELPER_HAS_V1   true
#else
#define HELPER_HAS_V1   false
#endif

/* Seconds: far more than needed, for a busy machine */
#define PC_TIMEOUT      60
#define PC_NOBODY       ((uid_t)-1)     /* start as the test's user */
#define PC_SOCK_FD      3               /* the helper's descriptor */

/* The exit status of a process that @sig killed */
#define PC_KILLED(sig)  (-(sig))

typedef struct ProxyClient {
    int fd;                     /* our end of the socket */
    pid_t pid;                  /* the process we started */
    uint32_t features;
    uint32_t user;              /* of requests, with PROXY_FEATURE_USERS */
    uint32_t server_pid;
    FsAttr root_attr;
    int root_fd;                /* donated by HELLO, or -1 */
    int adopt_fd;               /* goes with ADOPT: root_fd at first */
    ProxyIdRange *uid_map;
    ProxyIdRange *gid_map;
    unsigned n_uid;
    unsigned n_gid;

    MarshalWriter out;          /* payload of the next request */
    MarshalReader in;           /* payload of the last reply, after error */
    uint32_t tag;               /* of the last request */
    int fds[PROXY_MESSAGE_FDS]; /* came with the last reply */
    unsigned nfds;
    int early[PROXY_MAX_FDS];   /* came for replies not received yet */
    unsigned n_early;
    ProxyRings *rings;          /* for requests; or NULL */
    uint8_t out_buf[PROXY_MAX_MESSAGE];
    uint8_t in_buf[PROXY_MAX_MESSAGE];
} ProxyClient;

typedef struct PcNode {
    uint64_t handle;
    int fd;                     /* donated, or -1 */
} PcNode;

/* Limit of open files for helpers started from now on; 0: none */
extern unsigned pc_max_files;

/* Whether these helpers get descriptor 3 as from a service manager */
extern bool pc_activated;

/* The program: $VIRTFS_PROXY_HELPER, or the one of the build */
const char *pc_helper(void);

/*
 * Starts the helper with @args (NULL-terminated, without the program's name)
 * as @uid and in its group, with @sock (or -1) as descriptor 3 and with
 * stdout and stderr going to @output (or -1: ours).
 */
pid_t pc_spawn(const char *const *args, uid_t uid, int sock, int output);

/* Waits for the end of @pid: its exit status, or PC_KILLED(). */
int pc_wait(pid_t pid);

/* Runs the helper to its end. *@text (g_free) gets what it printed. */
int pc_run(const char *const *args, uid_t uid, int sock, char **text);

/* Connects to a helper's socket: the descriptor, or -1. */
int pc_connect(const char *path);

/* Starts the helper on @dir with --nodaemon and @options; no HELLO yet. */
ProxyClient *pc_start(const char *dir, uid_t uid, const char *const *options);

/* A client on a connected socket; @pid may be 0. */
ProxyClient *pc_new(int fd, pid_t pid);

/*
 * Sends HELLO with @flags and receives the reply. With PROXY_CLIENT_RING in the
 * environment it then asks for a ring, so the same tests run both ways.
 */
void pc_hello(ProxyClient *c, uint32_t flags);

/*
 * Makes memory and bells for a RING. @fds gets the helper's ends, which the
 * caller closes; the returned rings have the client's.
 */
ProxyRings *pc_make_rings(int fds[PROXY_RING_FDS]);

/* Sends RING with @nfds descriptors. Returns the reply: 0 or -errno. */
int pc_ask_ring(ProxyClient *c, const int *fds, unsigned nfds);

/* Does both. Requests go through the ring from here on. */
void pc_start_ring(ProxyClient *c);

/* pc_start(), pc_hello() */
ProxyClient *pc_open(const char *dir, const char *const *options);

/* Closes the connection and frees all; returns the helper's exit status. */
int pc_close(ProxyClient *c);

/* Begins a request. Returns the writer for its payload. */
MarshalWriter *pc_begin(ProxyClient *c);

/* The arguments of a request; each type uses those that it has. */
typedef struct PcArgs {
    uint64_t handle;            /* the inode, or the directory of @name */
    const char *name;
    uint64_t other;             /* LINK, RENAME: the other directory; UNLINK:
                                   the expected inode, or 0 */
    const char *other_name;     /* RENAME: the new name; MAKE: the target */
    uint32_t flags;             /* OPEN, CREATE, SETXATTR; UNLINK: 1 for a
                                   directory */
    uint32_t mode;              /* CREATE, MAKE */
    uint32_t id;                /* user and group for CREATE, MAKE */
    const FsSetAttr *set;       /* SETATTR */
    uint64_t offset;            /* READDIR */
} PcArgs;

/* Begins a request of @type in good form, with its whole payload. */
void pc_put_request(ProxyClient *c, unsigned type, const PcArgs *args);

/* Sends the begun request as @type. Returns its tag. */
uint32_t pc_send(ProxyClient *c, unsigned type);

/* Receives a reply, of any tag, into @h. Returns 0 or -errno. */
int pc_receive(ProxyClient *c, ProxyHeader *h);

/* pc_send(), and the reply: 0 or -errno. No other request may be in flight. */
int pc_call(ProxyClient *c, unsigned type);

/* Sends @size bytes as they are; false if the helper has closed. */
bool pc_send_raw(ProxyClient *c, const void *buf, size_t size);

/*
 * The same with descriptors, in one sendmsg(2). With a ring, the descriptors go
 * through the socket, with a byte without meaning, before the bytes go through
 * the ring.
 */
void pc_send_fds(ProxyClient *c, const void *buf, size_t size, const int *fds,
                 unsigned nfds);

/* ADOPT of @fd, which stays the caller's. It has no reply. */
void pc_adopt(ProxyClient *c, uint64_t handle, int fd);
/* Sends as many of @size bytes as possible without waiting; their number. */
size_t pc_send_now(ProxyClient *c, const void *buf, size_t size);

/* Ends the requests; replies can still arrive. */
void pc_end_requests(ProxyClient *c);

/* Whether a reply, a part of one, or the end has arrived */
bool pc_has_reply(ProxyClient *c);

/* Checks that the helper closes the connection without a reply, and ends. */
void pc_expect_broken(ProxyClient *c);

/* Reads a node from a reply; *@next counts the descriptors taken from it. */
void pc_get_node(ProxyClient *c, PcNode *node, unsigned *next);

/* Walks to a path of names, from the root. The last one's node and attr. */
int pc_walk(ProxyClient *c, const char *path, PcNode *node, FsAttr *attr);

/* Walks one name from a directory, even a bad one. */
int pc_walk1(ProxyClient *c, uint64_t dir, const char *name, PcNode *node,
             FsAttr *attr);

void pc_forget(ProxyClient *c, uint64_t handle, uint32_t count);

#endif /* TESTS_UNIT_PROXY_CLIENT_H */
