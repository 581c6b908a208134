/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The behaviour of a 9p share, whichever driver serves it: tables of cases
 * (virtio-9p-behaviour-*.c, by subject) over one table of targets
 * (virtio-9p-behaviour.c), which are drivers with their options. Each case
 * runs on each target that has what the case needs, as TARGET/CASE.
 *
 * A case starts with an empty export and a session of the guest's root on it.
 * It checks the replies to the guest and, if the target has a folder of the
 * host, the result there.
 */
#ifndef TESTS_VIRTIO_9P_BEHAVIOUR_H
#define TESTS_VIRTIO_9P_BEHAVIOUR_H

#include "libqos/virtio-9p-client.h"
#include "qemu/units.h"

#define ROOT        P9C_ROOT
#define MSIZE       (512 * KiB)
#define IO_MAX      (MSIZE - 24)
#define FEW_FDS     256

/* Features that a target has, and a case needs */
enum {
    HAS_HOST = 1 << 0,          /* a folder of the host that can change */
    HAS_OWNERS = 1 << 1,        /* the guest's root may give files away */
    HAS_DEVICES = 1 << 2,       /* ... and make device nodes */
    HAS_XATTRS = 1 << 3,
    HAS_ACLS = 1 << 4,
    HAS_SAME = 1 << 5,          /* host files look as the guest sees them */
    HAS_VIEW_XATTR = 1 << 6,    /* the guest's view is in xattrs */
    HAS_VIEW_FILE = 1 << 7,     /* ... in files of metadata */
    HAS_LOCAL = 1 << 8,         /* the local driver's options */
    HAS_SHORT_LIST = 1 << 9,    /* runs only cases with CASE_SHORT */
    HAS_HELPER = 1 << 10,       /* a helper process */
    HAS_USER = 1 << 11,         /* local, and QEMU is an ordinary user */

    HAS_HANDLES = 1 << 13,      /* of inodes: it needs no names or paths */

    HAS_IOTHREAD = 1 << 14,     /* the device has one */
    HAS_EVENTFD = 1 << 15,      /* kicks come by eventfd, as with KVM */

    HAS_MOVES = 1 << 16,        /* the guest can go on in another QEMU */

    HAS_BY_HANDLE = 1 << 17,    /* with migration=handles, finds it by handle */

    HAS_VIEW = 1 << 12,         /* one of HAS_VIEW_*; never of a target */
};

/* Further demands of a case */
enum {
    CASE_TREE = 1 << 0,         /* the tree of the synth driver */
    CASE_SHORT = 1 << 1,        /* runs with HAS_SHORT_LIST, too */
    CASE_SMALL = 1 << 2,        /* a session of P9C_MSIZE, not MSIZE */
    CASE_DOTU = 1 << 3,         /* the same, and of 9P2000.u */
    CASE_PCI = 1 << 4,          /* only with virtio-9p-pci */
    CASE_FEW_FDS = 1 << 5,      /* QEMU and helper have FEW_FDS descriptors */
    CASE_ANYBODY = 1 << 6,      /* QEMU's user is irrelevant: no HAS_USER */
};

typedef struct Target Target;
typedef struct Case Case;

typedef struct Test {
    const Target *target;
    const Case *cs;
    char *dir;                  /* the export's folder, absolute, or NULL */
    const char *cmd_line;       /* QEMU's */
    QVirtio9P *v9p;
    P9Client *c;
    /* The owner of files that the guest's root makes: for the guest */
    uint32_t uid, gid;
    /* ... and on the host: the user of QEMU, or of its helper's client */
    uid_t host_uid;
    gid_t host_gid;
} Test;

struct Case {
    const char *name;
    void (*run)(Test *t);
    unsigned needs;             /* HAS_* */
    unsigned flags;             /* CASE_* */
    const char *opts;           /* of -fsdev, beyond the target's */
};

/* Cases by subject; each ends with one without a name. */
extern const Case behaviour_attach[];
extern const Case behaviour_tree[];
extern const Case behaviour_names[];
extern const Case behaviour_rename[];
extern const Case behaviour_data[];
extern const Case behaviour_lock[];
extern const Case behaviour_attr[];
extern const Case behaviour_xattr[];
extern const Case behaviour_xattr_names[];
extern const Case behaviour_view[];
extern const Case behaviour_share[];
extern const Case behaviour_limits[];
extern const Case behaviour_flush[];
extern const Case behaviour_host[];
extern const Case behaviour_dotu[];
extern const Case behaviour_dotu_stat[];
extern const Case behaviour_move[];
extern const Case behaviour_move_lock[];
extern const Case behaviour_move_missing[];

bool has(const Test *t, unsigned what);

/*
 * Messages in the form that most cases need
 */

/* The case's Tversion, and Tattach of ROOT for the guest's root */
void session(Test *t);
/* The same with that msize, of 9P2000.L; returns the msize of the reply. */
uint32_t session_msize(Test *t, uint32_t msize);
/* The session must still work. */
void assert_alive(Test *t);
int walk(Test *t, uint32_t fid, uint32_t newfid, const char *path);
int open_fid(Test *t, uint32_t fid, uint32_t flags);
/* The guest's root owns the new file. */
int create(Test *t, uint32_t fid, const char *name, uint32_t flags,
           uint32_t mode);
int make_dir(Test *t, uint32_t fid, const char *name, uint32_t mode);
int make_node(Test *t, uint32_t fid, const char *name, uint32_t mode,
              uint32_t major, uint32_t minor);
int make_symlink(Test *t, uint32_t fid, const char *name, const char *target);
int getattr(Test *t, uint32_t fid, P9CAttr *attr);
int setattr(Test *t, uint32_t fid, P9CSetAttr set);
int set_mode(Test *t, uint32_t fid, uint32_t mode);
int clunk(Test *t, uint32_t fid);
int rename_at(Test *t, uint32_t olddir, const char *oldname,
              uint32_t newdir, const char *newname);
int unlink_at(Test *t, uint32_t fid, const char *name, uint32_t flags);

/* Tgetattr of a path below ROOT, which must exist */
P9CAttr attr_of(Test *t, const char *path);
bool guest_has(Test *t, const char *path);

/* A regular file in @fid's directory, with that content, not open */
void make_file(Test *t, uint32_t fid, const char *name, const char *data);
void write_all(Test *t, uint32_t fid, uint64_t offset, const char *data);
/* A Tread of up to 64 bytes at @offset must return exactly @data. */
void read_is(Test *t, uint32_t fid, uint64_t offset, const char *data);
/* The same, from offset 0 of a file that this opens */
void content_is(Test *t, const char *path, const char *data);
void readlink_is(Test *t, uint32_t fid, const char *expected);

/* Sets an xattr: the first error, of Txattrcreate, Twrite or Tclunk. */
int put_xattr(Test *t, uint32_t fid, const char *name, const void *value,
              uint32_t size, uint32_t flags);
/*
 * Reads an xattr's value or, for "", the list of names: 0 or an errno. *size is
 * the room, and becomes the size of the value.
 */
int take_xattr(Test *t, uint32_t fid, const char *name, void *value,
               uint32_t *size);
/* Whether the list has the name */
bool lists_xattr(Test *t, uint32_t fid, const char *name);

/* A waiting Tlock of the whole file, by another process than 0 */
P9Call *lock_call(Test *t, uint32_t fid);

/*
 * The host's side. Names are relative to the export's folder, which is ".".
 */

char *host_path(Test *t, const char *name);
/* Gives a file that this program made to QEMU's user. */
void host_give(Test *t, const char *path);
void host_write(Test *t, const char *name, const char *data);
void host_is(Test *t, const char *name, const char *data);
void host_mkdir(Test *t, const char *name);
void host_symlink(Test *t, const char *target, const char *name);
void host_unlink(Test *t, const char *name);
/* Whether the export's file system has user.* xattrs; skips the test if not */
bool host_has_xattrs(Test *t);
struct stat host_stat(Test *t, const char *name);
bool host_has(Test *t, const char *name);

/*
 * A file's owner, mode, device number and links as the host stores them: those
 * of the host's inode, or of the guest's view where the target keeps one.
 */
typedef struct HostView {
    uint32_t uid, gid, mode;
    uint64_t rdev, nlink;
} HostView;

HostView host_view(Test *t, const char *name);
void host_mode_is(Test *t, const char *name, uint32_t mode);

/* Single parts of the view, as stored; false if there is none */
bool host_view_u32(Test *t, const char *name, const char *part,
                   uint32_t *value);
bool host_view_u64(Test *t, const char *name, const char *part,
                   uint64_t *value);
/* Path of a file's metadata (HAS_VIEW_FILE), relative like names */
char *metadata_of(const char *name);

/* The fid must mean the inode that has this name on the host. */
void same_inode(Test *t, uint32_t fid, const char *name);

/* Whether two paths of the guest have the same qid path */
bool same_file(Test *t, const char *a, const char *b);

#endif
