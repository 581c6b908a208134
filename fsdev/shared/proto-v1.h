/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The proxy channel, protocol version 1: the messages between QEMU 1.0 to 9.1
 * and their virtfs-proxy-helper over an AF_UNIX stream socket.
 *
 * QEMU sends one request, waits for its reply, then sends the next. Requests
 * and replies start with type[4] and size[4] of the payload, at most
 * PROXY_V1_MAX_PAYLOAD. All integers are in host byte order. Paths are absolute
 * in the helper's root; a string may have a NUL at its end, which counts.
 * Replies are
 *
 *   status     type SUCCESS or ERROR, size 4: value[4], 0, a length or -errno
 *   response   type SUCCESS with the payload of the table; or ERROR: -errno[4]
 *   fd         no header: one int[4], PROXY_V1_FD_COMES together with one
 *              descriptor as SCM_RIGHTS, or -errno
 *
 *  OPEN         path[s] flags[4]                                   fd
 *  CREATE       path[s] flags[4] mode[4] uid[4] gid[4]             fd
 *  MKNOD        uid[4] gid[4] path[s] mode[4] rdev[8]              status
 *  MKDIR        uid[4] gid[4] path[s] mode[4]                      status
 *  SYMLINK      uid[4] gid[4] target[s] path[s]                    status
 *  LINK         old[s] new[s]                                      status
 *  LSTAT        path[s]        dev[8] ino[8] nlink[8] mode[4] uid[4] gid[4]
 *                              rdev[8] size[8] blksize[8] blocks[8]
 *                              3*(sec[8] nsec[8]): atime mtime ctime
 *  READLINK     path[s] size[4]                                    target[s]
 *  STATFS       path[s]        type[8] bsize[8] blocks[8] bfree[8] bavail[8]
 *                              files[8] ffree[8] 2*fsid[8] namelen[8] frsize[8]
 *  CHMOD        path[s] mode[4]                                    status
 *  CHOWN        path[s] uid[4] gid[4]                              status
 *  TRUNCATE     path[s] size[8]                                    status
 *  UTIME        path[s] 2*(sec[8] nsec[8]): atime mtime            status
 *  RENAME       old[s] new[s]                                      status
 *  REMOVE       path[s]                                            status
 *  LGETXATTR    size[4] path[s] name[s]    value[s]; size 0: status, the length
 *  LLISTXATTR   size[4] path[s]            the same
 *  LSETXATTR    path[s] name[s] value[s] size[4] flags[4]          status
 *  LREMOVEXATTR path[s] name[s]                                    status
 *  GETVERSION   path[s]        generation[8], 0 where there is none
 *
 * An unknown type, or a larger size, ends the connection.
 *
 * CREATE, MKNOD, MKDIR and SYMLINK with a gid of -1 make an object with gid 0,
 * or with that of a set-group-ID directory: with 9P2000.u, QEMU knows no gid.
 * CHOWN leaves an id as it is if the request has -1.
 *
 * QEMU must not send CREATE, MKNOD, MKDIR and SYMLINK with uid 0 and another
 * gid than 0. A helper of QEMU 7.2 makes the object, but loses its capabilities
 * and aborts on the next such request.
 *
 * The probe. A helper of version 1 ends the connection on version 2's HELLO,
 * and some helpers serve only one connection. So a QEMU that does not know its
 * helper's version first sends a request that is valid in version 1: LGETXATTR
 * with size 0 of "/" and the name PROXY_V1_PROBE. Linux refuses a name without
 * a namespace (xattr(7)), so a helper of version 1 answers with an error. A
 * later helper, if this is the first request, answers with its highest
 * protocol version as the status. It then goes on as if it had received
 * nothing: HELLO may follow, or requests of version 1.
 */
#ifndef FSDEV_SHARED_PROTO_V1_H
#define FSDEV_SHARED_PROTO_V1_H

#define PROXY_V1_HEADER_SIZE      8
#define PROXY_V1_MAX_PAYLOAD      65536
#define PROXY_V1_FD_COMES         INT32_MAX

#define PROXY_V1_PROBE            "virtfs-protocol-2"
/* Its payload: size[4] path[s] name[s] */
#define PROXY_V1_PROBE_SIZE       (4 + 2 + 1 + 2 + sizeof(PROXY_V1_PROBE) - 1)

typedef enum ProxyV1Type {
    PROXY_V1_SUCCESS,
    PROXY_V1_ERROR,
    PROXY_V1_OPEN,
    PROXY_V1_CREATE,
    PROXY_V1_MKNOD,
    PROXY_V1_MKDIR,
    PROXY_V1_SYMLINK,
    PROXY_V1_LINK,
    PROXY_V1_LSTAT,
    PROXY_V1_READLINK,
    PROXY_V1_STATFS,
    PROXY_V1_CHMOD,
    PROXY_V1_CHOWN,
    PROXY_V1_TRUNCATE,
    PROXY_V1_UTIME,
    PROXY_V1_RENAME,
    PROXY_V1_REMOVE,
    PROXY_V1_LGETXATTR,
    PROXY_V1_LLISTXATTR,
    PROXY_V1_LSETXATTR,
    PROXY_V1_LREMOVEXATTR,
    PROXY_V1_GETVERSION,
    PROXY_V1_TYPE_END
} ProxyV1Type;

#endif /* FSDEV_SHARED_PROTO_V1_H */
