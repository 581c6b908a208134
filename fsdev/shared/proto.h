/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The proxy channel, protocol version 2: the messages between QEMU's proxy
 * driver and virtfs-proxy-helper over an AF_UNIX stream socket.
 *
 * Framing. The connection opens with one HELLO from QEMU, framed as protocol
 * version 1 frames its requests: u32 type, u32 size of the payload, both in
 * host byte order, with a type that version 1 does not have; a helper that
 * knows only version 1 closes the connection on it. (The payload is little
 * endian like all of version 2.) Before it QEMU may send version 1's probe
 * (proto-v1.h), to learn whether the helper knows version 2. From the
 * helper's HELLO reply on, which has tag 0, every message starts with a
 * PROXY_HEADER_SIZE header:
 *
 *     size[4] type[2] nfds[2] tag[4]
 *
 * size counts the whole message, header included. nfds says how many
 * descriptors travel with the message as SCM_RIGHTS. The receiver takes them
 * from the stream in the order of the messages; they may arrive with an earlier
 * message if messages leave together. One sendmsg(2) by QEMU has at most
 * PROXY_ADOPT_MAX.
 * QEMU chooses the tag, and the reply repeats it; replies come in any
 * order. The payload is in the marshaller's format.
 *
 * A reply has the type of its request with PROXY_REPLY set, and begins with
 * error[4]: 0, or a Linux errno, after which nothing follows.
 *
 * A side that receives a message that breaks these rules, or has a wrong
 * length, closes the connection. A well formed request for something bad (an
 * unknown handle, a name with a slash, a flag that is not allowed) gets an
 * error reply.
 *
 * Handles. A handle[8] names an inode that the helper holds for QEMU. Every
 * `node` in a reply counts one reference; FORGET gives references back, many
 * at a time. `node` in a reply is
 *
 *     handle[8] donated[1]
 *
 * If donated is 1, an O_PATH descriptor of the inode travels along (the next of
 * the message's descriptors). The helper donates one whenever QEMU had no
 * reference to the inode, unless HELLO asked for no donation. The root's
 * handle is PROXY_ROOT_HANDLE, which QEMU never forgets. A FORGET takes effect
 * before any request that comes after it in the stream: the helper donates an
 * inode again if a later request finds it again.
 *
 * QEMU looks names up itself where it can, in directories whose descriptors it
 * has, so it may know an inode that the helper does not. ADOPT makes a handle
 * of that inode's descriptor. QEMU chooses its number, with PROXY_ADOPTED set,
 * and forgets it like others, with a count of 1. The helper adopts only a
 * descriptor on the mount of the export's root; another ends the connection.
 * That mount is the helper's own, so the inode belongs to the export. There is
 * no reply; a handle that the helper did not adopt, because it has too many, is
 * unknown to later requests. Helpers with
 * PROXY_FEATURE_ADOPT have it. Like a FORGET, it takes effect before any later
 * request.
 *
 * Messages (T = request payload, R = reply payload after error[4]). Flags,
 * modes, errno and device numbers are Linux'; ids are the guest's.
 *
 *  HELLO       T version[4] flags[4]
 *              R version[4] features[4] max_message[4] max_in_flight[4]
 *                pid[4] node attr, then idmap (uids), idmap (gids), with
 *                idmap = n[2] n*(inside[4] outside[4] count[4])
 *                n = 0: ids in replies are the host's own
 *                A helper that cannot start sends, instead, and before it has
 *                read HELLO: R error[4] reason, a text to the message's end
 *  FORGET      T n[2] n*(handle[8] count[4])              no reply
 *  ADOPT       T handle[8], and one O_PATH descriptor     no reply
 *  WALK        T handle[8] n[2] n*name[s]
 *              R walked[2] walked*attr, and if all were walked: node parent,
 *                where parent is a node, or handle 0 and donated 0 when n is 1
 *                or the last name is "..". When the first name fails, the
 *                reply is that error; n = 0 is not allowed.
 *  GETATTR     T handle[8]                                R attr
 *  SETATTR     T handle[8] setattr                        R -
 *  READLINK    T handle[8]                                R target[s]
 *  STATFS      T handle[8]                                R statfs
 *  OPEN        T handle[8] flags[4]
 *              R -, one descriptor: the open file
 *  CREATE      T handle[8] name[s] flags[4] mode[4] uid[4] gid[4]
 *              R attr node, and as the last descriptor the open file
 *  MAKE        T handle[8] name[s] mode[4] uid[4] gid[4] rdev[8] target[s]
 *              R attr             (directory, symbolic link, special file)
 *  LINK        T handle[8] directory[8] name[s]           R -
 *  RENAME      T directory[8] name[s] directory[8] name[s] R -
 *  UNLINK      T directory[8] name[s] rmdir[1] expect[8]  R -
 *                expect: handle of the inode it must be, or 0
 *  GETXATTR    T handle[8] list[1] name[s]
 *              R size[4] value[size]    (list 1: the names, name is empty)
 *  SETXATTR    T handle[8] name[s] flags[4] size[4] value[size]  R -
 *  REMOVEXATTR T handle[8] name[s]                        R -
 *  RING        T -, three descriptors: memory as in ring.h, the reading
 *                end of a pipe, the writing end of another
 *              R -
 *                Only as the first request after HELLO's reply, with no other
 *                in flight, to a helper with PROXY_FEATURE_RING. After a reply
 *                without error all requests go through the memory, and so do
 *                replies without descriptors that fit into it; the others go
 *                through the socket. A byte in the first pipe wakes the
 *                helper, one in the second wakes QEMU.
 *  WRITE       T handle[8] flags[4] offset[8] size[4] data[size]
 *              R written[4]
 *                pwrite(2) to a regular file, which keeps its set-id bits, as
 *                O_APPEND, O_DSYNC and O_SYNC in flags say. Helpers with
 *                PROXY_FEATURE_WRITE have it. QEMU itself writes to others.
 *  FIND        T type[4] size[4] handle[size]
 *              R attr node
 *                The inode that the host's file handle leads to
 *                (name_to_handle_at(2)), if it is in the export and has a name
 *                there, or if it lost its last name there and is open. ESTALE
 *                for all others. Helpers with PROXY_FEATURE_FIND have it. QEMU
 *                asks the kernel for the handles of its descriptors.
 *  READDIR     T handle[8] offset[8]
 *              R n*(inode[8] next[8] type[1] name[s]), to the message's end;
 *                no entry: the directory has no more
 *                For directories that QEMU has open and that the file server
 *                does not let QEMU's user read, or that may have devices that
 *                are files (PROXY_FEATURE_TYPES). Helpers with
 *                PROXY_FEATURE_READDIR have it.
 */
#ifndef FSDEV_SHARED_PROTO_H
#define FSDEV_SHARED_PROTO_H

#include "types.h"
#include "marshal.h"

#define PROXY_VERSION           2

/* "9PX2": greater than any type of version 1 */
#define PROXY_HELLO_TYPE        0x32585039u
#define PROXY_HELLO_SIZE        16      /* type, size, version, flags */

#define PROXY_HEADER_SIZE       12
#define PROXY_REPLY             0x8000u

/*
 * A message holds at most one xattr value and two names beside its header, or
 * the data of a WRITE.
 */
#define PROXY_MAX_MESSAGE       (128 * 1024)
/* SCM_MAX_FD of Linux: descriptors in one sendmsg(2) */
#define PROXY_MAX_FDS           253
/* Descriptors in one message, other than RING */
#define PROXY_MESSAGE_FDS       3
/* Descriptors in a RING: the memory, the bell for requests, that for replies */
#define PROXY_RING_FDS          3
/* References given back in one FORGET */
#define PROXY_FORGET_MAX        1024
/* Bytes in one WRITE */
#define PROXY_WRITE_MAX         (64 * 1024)
/* Bytes of a READDIR's entries, as records of getdents64(2) */
#define PROXY_READDIR_MAX       (32 * 1024)
/* Ranges in an id map: as many as /proc/PID/uid_map has (user_namespaces(7)) */
#define PROXY_IDMAP_MAX         340

/* Descriptors in one sendmsg(2) of QEMU's */
#define PROXY_ADOPT_MAX         32

#define PROXY_ROOT_HANDLE       1
/* Set in handles whose number QEMU chose, not the helper */
#define PROXY_ADOPTED           (UINT64_C(1) << 63)

/*
 * Errors from this number on are the kernel's own (include/linux/errno.h of
 * Linux). They have another meaning in a guest's kernel, so QEMU replaces them
 * by EIO.
 */
#define PROXY_KERNEL_ERRNO      512
#define PROXY_MAX_ERRNO         4095

/* The message with the reason why a helper cannot start, at most */
#define PROXY_FAILURE_MAX       1024

/* HELLO flags of QEMU */
#define PROXY_HELLO_NO_DONATE   (1u << 0)
/* It does again what failed with EAGAIN; otherwise the helper does so. */
#define PROXY_HELLO_AGAIN       (1u << 1)

/* HELLO features of the helper */
#define PROXY_FEATURE_READONLY  (1u << 0)   /* its export is read-only */
#define PROXY_FEATURE_ADOPT     (1u << 1)   /* it has ADOPT */
#define PROXY_FEATURE_RING      (1u << 2)   /* it has RING */
#define PROXY_FEATURE_FILE_CAPS (1u << 3)   /* it serves security.capability */
#define PROXY_FEATURE_WRITE     (1u << 4)   /* it has WRITE */
#define PROXY_FEATURE_FIND      (1u << 5)   /* it has FIND */
/* The guest's devices are files of the host (special-file.h). */
#define PROXY_FEATURE_MAPS_DEVICES (1u << 6)
/* It has rules about the names of xattrs, and gets all names. */
#define PROXY_FEATURE_XATTR_MAP (1u << 7)
/*
 * It works as the guest's users: before the payload of each request with a
 * reply, other than RING, is user[4]. EPERM: it may not act as that user; as
 * 0xffffffff it never does, nor does it make files for another user.
 */
#define PROXY_FEATURE_USERS     (1u << 8)
#define PROXY_FEATURE_READDIR   (1u << 9)   /* it has READDIR */
/* Entries of READDIR have the types of devices that are files. */
#define PROXY_FEATURE_TYPES     (1u << 10)

typedef enum ProxyType {
    PROXY_HELLO = 1,
    PROXY_FORGET,
    PROXY_WALK,
    PROXY_GETATTR,
    PROXY_SETATTR,
    PROXY_READLINK,
    PROXY_STATFS,
    PROXY_OPEN,
    PROXY_CREATE,
    PROXY_MAKE,
    PROXY_LINK,
    PROXY_RENAME,
    PROXY_UNLINK,
    PROXY_GETXATTR,
    PROXY_SETXATTR,
    PROXY_REMOVEXATTR,
    PROXY_ADOPT,
    PROXY_RING,
    PROXY_WRITE,
    PROXY_FIND,
    PROXY_READDIR,
    PROXY_TYPE_END
} ProxyType;

typedef struct ProxyHeader {
    uint32_t size;
    uint16_t type;
    uint16_t nfds;
    uint32_t tag;
} ProxyHeader;

/* One range of an id map: @count ids from @inside are @outside on the host. */
typedef struct ProxyIdRange {
    uint32_t inside;
    uint32_t outside;
    uint32_t count;
} ProxyIdRange;

/* Reads PROXY_HEADER_SIZE bytes. */
void proxy_header_get(ProxyHeader *h, const void *buf);
void proxy_header_put(const ProxyHeader *h, void *buf);

/* Linux 6.16; architectures with another number of it do without. */
#if !defined(SO_PASSRIGHTS) && !defined(__sparc__) && !defined(__hppa__)
#define SO_PASSRIGHTS           83
#endif

/*
 * Whether the kernel lets descriptors in through @sock, or through connections
 * that it will accept. An old kernel always does: the receiver must check, too.
 */
void proxy_pass_fds(int sock, bool pass);

/*
 * One sendmsg(2) with descriptors, which go with the first byte and stay the
 * caller's. @nfds is at most PROXY_MAX_FDS; the function adds MSG_NOSIGNAL to
 * @flags. Returns the result of sendmsg(2), with errno.
 */
ssize_t proxy_send_fds(int sock, const void *buf, size_t size, const int *fds,
                       unsigned nfds, int flags);

/*
 * One recvmsg(2), repeated if a signal interrupts it; the function adds
 * MSG_CMSG_CLOEXEC to @flags. Returns the number of bytes, 0 at the end of the
 * stream, or -errno. @fds has room for PROXY_MAX_FDS; the caller owns the
 * *@nfds received ones. *@lost: the kernel dropped others.
 */
ssize_t proxy_recv_fds(int sock, void *buf, size_t size, int flags, int *fds,
                       unsigned *nfds, bool *lost);

/* ProxyTypeInfo.flags */
#define PROXY_TYPE_ONCE         (1u << 0)   /* at the start, once: no request
                                               may come before it */
#define PROXY_TYPE_NO_REPLY     (1u << 1)

/* The rules for requests of a type */
typedef struct ProxyTypeInfo {
    const char *name;           /* for messages to the user, e.g. "WALK" */
    unsigned flags;             /* PROXY_TYPE_* */
    unsigned nfds;              /* descriptors that come with the request */
} ProxyTypeInfo;

/* NULL if there is no such type. */
const ProxyTypeInfo *proxy_type_info(unsigned type);

/* The type's name, or "unknown". */
const char *proxy_type_name(unsigned type);

void proxy_put_attr(MarshalWriter *w, const FsAttr *attr);
void proxy_get_attr(MarshalReader *r, FsAttr *attr);
void proxy_put_setattr(MarshalWriter *w, const FsSetAttr *set);
void proxy_get_setattr(MarshalReader *r, FsSetAttr *set);
void proxy_put_statfs(MarshalWriter *w, const FsStatfs *st);
void proxy_get_statfs(MarshalReader *r, FsStatfs *st);

/*
 * An id map of at most PROXY_IDMAP_MAX ranges. proxy_get_idmap() returns a
 * new array (g_free) and its length in *@n. A longer map, or a range that
 * wraps, makes the reader bad and returns NULL.
 */
void proxy_put_idmap(MarshalWriter *w, const ProxyIdRange *map, unsigned n);
ProxyIdRange *proxy_get_idmap(MarshalReader *r, unsigned *n);

#endif /* FSDEV_SHARED_PROTO_H */
