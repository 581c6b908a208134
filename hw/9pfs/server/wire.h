/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Numbers of 9P2000.L and 9P2000.u: message types, flags and limits as Linux'
 * client has them (include/net/9p/9p.h of Linux). diod's protocol.md describes
 * 9P2000.L; section 5 of Plan 9's manual and the "Unix extension" describe
 * 9P2000.u.
 */
#ifndef HW_9PFS_SERVER_WIRE_H
#define HW_9PFS_SERVER_WIRE_H

/* size[4] type[1] tag[2] */
#define P9_HEADER_SIZE      7
/* Rlerror: header ecode[4] */
#define P9_RLERROR_SIZE     (P9_HEADER_SIZE + 4)
/* Rerror of 9P2000.u: header ename[s] errno[4], with an empty name */
#define P9_RERROR_SIZE      (P9_HEADER_SIZE + 2 + 4)
/* Bytes of these messages that are not data */
#define P9_RREAD_HEADER     (P9_HEADER_SIZE + 4)
#define P9_TWRITE_HEADER    (P9_HEADER_SIZE + 4 + 8 + 4)
#define P9_RREADDIR_HEADER  (P9_HEADER_SIZE + 4)

/* Linux' client refuses to work with less */
#define P9_MSIZE_MIN        4096
/* The most that the server offers; a virtqueue of 128 carries 500 KiB */
#define P9_MSIZE_MAX        (1024 * 1024)
/*
 * Longest request without the data of a Twrite: Tsymlink with a name and a
 * target, or Twalk with 16 names, fit well.
 */
#define P9_REQUEST_HEAD_MAX 16384

#define P9_NOTAG            0xffffu
#define P9_NOFID            0xffffffffu
#define P9_NOUID            0xffffffffu

enum P9Type {
    P9_TLERROR = 6,
    P9_RLERROR,
    P9_TSTATFS = 8,
    P9_TLOPEN = 12,
    P9_TLCREATE = 14,
    P9_TSYMLINK = 16,
    P9_TMKNOD = 18,
    P9_TRENAME = 20,
    P9_TREADLINK = 22,
    P9_TGETATTR = 24,
    P9_TSETATTR = 26,
    P9_TXATTRWALK = 30,
    P9_TXATTRCREATE = 32,
    P9_TREADDIR = 40,
    P9_TFSYNC = 50,
    P9_TLOCK = 52,
    P9_TGETLOCK = 54,
    P9_TLINK = 70,
    P9_TMKDIR = 72,
    P9_TRENAMEAT = 74,
    P9_TUNLINKAT = 76,
    P9_TVERSION = 100,
    P9_TAUTH = 102,
    P9_TATTACH = 104,
    P9_RERROR = 107,
    P9_TFLUSH = 108,
    P9_TWALK = 110,
    P9_TOPEN = 112,
    P9_TCREATE = 114,
    P9_TREAD = 116,
    P9_TWRITE = 118,
    P9_TCLUNK = 120,
    P9_TREMOVE = 122,
    P9_TSTAT = 124,
    P9_TWSTAT = 126,
};

/* Qid types */
#define P9_QTDIR            0x80
#define P9_QTSYMLINK        0x02
#define P9_QTFILE           0x00
#define P9_QID_SIZE         13

/* Tgetattr's request mask and Rgetattr's valid mask */
#define P9_GETATTR_BASIC        0x000007ffull
#define P9_GETATTR_BTIME        0x00000800ull
#define P9_GETATTR_GEN          0x00001000ull
#define P9_GETATTR_DATA_VERSION 0x00002000ull

/* Tunlinkat flags */
#define P9_AT_REMOVEDIR     0x200u

/* Tlock */
#define P9_LOCK_TYPE_RDLCK  0
#define P9_LOCK_TYPE_WRLCK  1
#define P9_LOCK_TYPE_UNLCK  2
#define P9_LOCK_FLAGS_BLOCK 1u
#define P9_LOCK_SUCCESS     0
#define P9_LOCK_BLOCKED     1
#define P9_LOCK_ERROR       2

/* Mode byte of Topen and Tcreate (open(5) of Plan 9; OAPPEND is Linux') */
#define P9_OREAD            0x00
#define P9_OWRITE           0x01
#define P9_ORDWR            0x02
#define P9_OEXEC            0x03
#define P9_OACCESS          0x03
#define P9_OTRUNC           0x10
#define P9_OCEXEC           0x20
#define P9_ORCLOSE          0x40
#define P9_OAPPEND          0x80

/* Mode of a stat, and perm of Tcreate, above the permission bits */
#define P9_DMDIR            0x80000000u
#define P9_DMSYMLINK        0x02000000u
#define P9_DMLINK           0x01000000u
#define P9_DMDEVICE         0x00800000u
#define P9_DMNAMEDPIPE      0x00200000u
#define P9_DMSOCKET         0x00100000u
#define P9_DMSETUID         0x00080000u
#define P9_DMSETGID         0x00040000u
#define P9_DMSETVTX         0x00010000u

/*
 * Bytes of a stat: size[2] type[2] dev[4] qid[13] mode[4] atime[4] mtime[4]
 * length[8] and, of 9P2000.u, n_uid[4] n_gid[4] n_muid[4]; and five strings
 * among them, name, uid, gid, muid and extension.
 */
#define P9_STAT_SIZE        (2 + 2 + 4 + P9_QID_SIZE + 4 + 4 + 4 + 8 + \
                             3 * 4 + 5 * 2)

#endif /* HW_9PFS_SERVER_WIRE_H */
