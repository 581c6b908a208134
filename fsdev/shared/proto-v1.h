/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The proxy channel, protocol version 1: what QEMU 1.0 to 9.1 and their
 * virtfs-proxy-helper say to each other over an AF_UNIX stream socket.
 *
 * QEMU sends one request, waits for its reply, then sends the next. Requests
 * and replies start with type[4] and size[4] of the payload, at most
 * PROXY1_MAX_PAYLOAD. All integers are in host byte order. Paths are absolute
 * in the helper's root; a string may have a NUL at its end, which counts.
 * Replies are
 *
 *   status     type SUCCESS or ERROR, size 4: value[4], 0 or a length, or -errno
 *   response   type SUCCESS with the payload of the table; or ERROR: -errno[4]
 *   fd         no header: one int[4], PROXY1_FD_COMES together with one
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
 * A gid of -1 to make something with is 0, or that of a set-group-ID directory:
 * QEMU has none with 9P2000.u. CHOWN leaves what is -1.
 *
 * CREATE, MKNOD, MKDIR and SYMLINK with uid 0 and a gid that is not 0 make what
 * they should, but cost a helper of QEMU 7.2 its capabilities, and it aborts on
 * the next one of them: they are not to be sent.
 *
 * The probe. As that is what a helper of version 1 does on version 2's HELLO,
 * and some serve only one connection, a QEMU that does not know its helper asks
 * first, with a request that is good in version 1: LGETXATTR with size 0 of "/"
 * and the name PROXY1_PROBE. Linux refuses a name without a namespace
 * (xattr(7)), so a helper of version 1 answers with an error. A helper that
 * knows more, when this is the first it is asked, answers with its highest
 * protocol version as the status, and goes on as if nothing had been asked:
 * HELLO may follow, or requests of version 1.
 */
#ifndef FSDEV_PROXY_PROTO1_H
#define FSDEV_PROXY_PROTO1_H

#define PROXY1_HEADER_SIZE      8
#define PROXY1_MAX_PAYLOAD      65536
#define PROXY1_FD_COMES         INT32_MAX

#define PROXY1_PROBE            "virtfs-protocol-2"
/* Its payload: size[4] path[s] name[s] */
#define PROXY1_PROBE_SIZE       (4 + 2 + 1 + 2 + sizeof(PROXY1_PROBE) - 1)

typedef enum Proxy1Type {
    PROXY1_SUCCESS,
    PROXY1_ERROR,
    PROXY1_OPEN,
    PROXY1_CREATE,
    PROXY1_MKNOD,
    PROXY1_MKDIR,
    PROXY1_SYMLINK,
    PROXY1_LINK,
    PROXY1_LSTAT,
    PROXY1_READLINK,
    PROXY1_STATFS,
    PROXY1_CHMOD,
    PROXY1_CHOWN,
    PROXY1_TRUNCATE,
    PROXY1_UTIME,
    PROXY1_RENAME,
    PROXY1_REMOVE,
    PROXY1_LGETXATTR,
    PROXY1_LLISTXATTR,
    PROXY1_LSETXATTR,
    PROXY1_LREMOVEXATTR,
    PROXY1_GETVERSION,
    PROXY1_TYPE_END
} Proxy1Type;

#endif /* FSDEV_PROXY_PROTO1_H */
