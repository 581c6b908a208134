/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The synth driver: a small tree of its own, with no host files behind it, to
 * test the server with.
 *
 *   stat/xattr_count   how many xattr fids are open: 64 bit, host byte order
 *
 * and under qtest also
 *
 *   WALK0/WALK1/...    as deep as a Twalk can go
 *   LOPEN, WRITE       empty files
 *   FLUSH              an empty file; a write to it waits until it is flushed,
 *                      unless the first byte is 0
 *   ReadDirDir         a directory with many empty files
 *
 * The tree never changes. A file that its owner may write takes data and
 * extended attributes, but keeps nothing of them.
 *
 * QEMU makes exports before it knows whether this is a qtest (which is an
 * accelerator). So all nodes always exist, as long as the export does, and
 * without qtest some are hidden.
 */
#include "qemu/osdep.h"
#include "qemu/iov.h"
#include "qemu/module.h"
#include "system/qtest.h"
#include "hw/9pfs/fs/export.h"

/* Files in ReadDirDir: nearly as many as fit into a reply of 4096 bytes */
#define READDIR_FILES   100

/* V9FS_MAGIC of linux/magic.h */
#define SYNTH_MAGIC     0x01021997

typedef enum SynthKind {
    SYNTH_DIR,
    SYNTH_EMPTY,
    SYNTH_FLUSH,
    SYNTH_XATTR_COUNT,
} SynthKind;

typedef struct SynthNode {
    FsNode node;
    SynthKind kind;
    char *name;
    uint32_t mode;
    bool qtest;                 /* only there under qtest */
    struct SynthNode *parent;   /* the root is its own */
    GPtrArray *children;        /* SynthNodes; of a directory */
} SynthNode;

typedef struct SynthFs {
    GPtrArray *nodes;           /* all, with a reference on each */
    struct timespec made;
} SynthFs;

static SynthNode *synth_node(FsNode *node)
{
    return container_of(node, SynthNode, node);
}

static bool synth_visible(const SynthNode *n)
{
    return !n->qtest || qtest_enabled();
}

static SynthNode *synth_child(const SynthNode *dir, const char *name)
{
    unsigned i;

    for (i = 0; i < dir->children->len; i++) {
        SynthNode *n = g_ptr_array_index(dir->children, i);

        if (synth_visible(n) && !strcmp(n->name, name)) {
            return n;
        }
    }
    return NULL;
}

/* Whether the file takes data and extended attributes */
static bool synth_writable(const SynthNode *n)
{
    return S_ISREG(n->mode) && (n->mode & 0200);
}

static size_t synth_size(const SynthNode *n)
{
    return n->kind == SYNTH_XATTR_COUNT ? sizeof(uint64_t) : 0;
}

static void synth_attr(const SynthNode *n, FsAttr *attr)
{
    SynthFs *synth = n->node.fs->priv;
    unsigned i;

    memset(attr, 0, sizeof(*attr));
    attr->mode = n->mode;
    attr->dev = n->node.dev;
    attr->ino = n->node.ino;
    attr->nlink = 1;
    attr->size = synth_size(n);
    attr->blksize = 4096;
    attr->atime = attr->mtime = attr->ctime = synth->made;
    if (n->kind == SYNTH_DIR) {
        /* "." and one ".." for each directory in it */
        attr->nlink++;
        for (i = 0; i < n->children->len; i++) {
            SynthNode *child = g_ptr_array_index(n->children, i);

            attr->nlink += child->kind == SYNTH_DIR && synth_visible(child);
        }
    }
}

/*
 * Finding
 */

static int coroutine_fn synth_walk(FsCall *call, FsNode *dir,
                                   const char *const *names, unsigned n,
                                   FsWalk *walk)
{
    SynthNode *at = synth_node(dir);
    SynthNode *next;
    bool up = false;
    unsigned i;

    walk->node = walk->parent = NULL;
    for (i = 0; i < n; i++) {
        walk->walked = i;
        if (at->kind != SYNTH_DIR) {
            return -ENOTDIR;
        }
        up = !strcmp(names[i], "..");
        next = up ? at->parent : synth_child(at, names[i]);
        if (!next) {
            return -ENOENT;
        }
        synth_attr(next, &walk->attr[i]);
        at = next;
    }
    walk->walked = n;
    walk->node = fs_node_ref(&at->node);
    if (!up) {
        walk->parent = fs_node_ref(&at->parent->node);
    }
    return 0;
}

static int coroutine_fn synth_getattr(FsCall *call, FsNode *node, FsFile *file,
                                      FsAttr *attr)
{
    synth_attr(synth_node(node), attr);
    return 0;
}

static int coroutine_fn synth_readlink(FsCall *call, FsNode *node,
                                       char *buf, size_t size)
{
    /* readlink(2): there is no symbolic link here. */
    return -EINVAL;
}

static int coroutine_fn synth_statfs(FsCall *call, FsNode *node, FsStatfs *st)
{
    SynthFs *synth = node->fs->priv;

    memset(st, 0, sizeof(*st));
    st->type = SYNTH_MAGIC;
    st->bsize = 4096;
    st->files = synth->nodes->len;
    st->namelen = NAME_MAX;
    return 0;
}

/*
 * Changes: there are none. A request for one fails with the error that the name
 * or the file gives, else with the -EPERM of a file system that does not
 * support it (mkdir(2) and others).
 */

/* A file that takes data also takes a size and times, which writing sets. */
static int coroutine_fn synth_setattr(FsCall *call, FsNode *node, FsFile *file,
                                      const FsSetAttr *set)
{
    if (S_ISDIR(node->type) && (set->valid & FS_SET_SIZE)) {
        return -EISDIR;
    }
    if (!synth_writable(synth_node(node)) ||
        (set->valid & (FS_SET_MODE | FS_SET_UID | FS_SET_GID))) {
        return -EPERM;
    }
    return 0;
}

static int synth_no_new_name(FsNode *dir, const char *name)
{
    return synth_child(synth_node(dir), name) ? -EEXIST : -EPERM;
}

static int coroutine_fn synth_make(FsCall *call, FsNode *dir,
                                   const FsMakeArgs *make, FsAttr *attr)
{
    return synth_no_new_name(dir, make->name);
}

static int coroutine_fn synth_link(FsCall *call, FsNode *node,
                                   FsNode *dir, const char *name)
{
    return synth_no_new_name(dir, name);
}

static int coroutine_fn synth_rename(FsCall *call,
                                     FsNode *olddir, const char *oldname,
                                     FsNode *newdir, const char *newname)
{
    return synth_child(synth_node(olddir), oldname) ? -EPERM : -ENOENT;
}

static int coroutine_fn synth_unlink(FsCall *call, FsNode *dir,
                                     const char *name, bool rmdir,
                                     FsNode *expect)
{
    return synth_child(synth_node(dir), name) ? -EPERM : -ENOENT;
}

/*
 * Open files
 */

static int coroutine_fn synth_open_file(FsCall *call, FsNode *node, int flags,
                                        FsFile **file)
{
    *file = g_new0(FsFile, 1);
    fs_file_init(*file, node, flags);
    return 0;
}

static int coroutine_fn synth_create(FsCall *call, FsNode *dir,
                                     const FsMakeArgs *make, int flags,
                                     FsNode **node, FsFile **file,
                                     FsAttr *attr)
{
    SynthNode *n = synth_child(synth_node(dir), make->name);

    if (!n) {
        return -EPERM;
    }
    if (flags & O_EXCL) {
        return -EEXIST;
    }
    if (n->kind == SYNTH_DIR) {
        return -EISDIR;
    }
    *node = fs_node_ref(&n->node);
    synth_attr(n, attr);
    return synth_open_file(call, *node, flags, file);
}

static void synth_file_free(FsFile *file)
{
    g_free(file);
}

/* How many xattr fids are open, for stat/xattr_count */
static uint64_t open_xattrs(FsExport *fs)
{
    g_autoptr(FsdevInfo) info = g_new0(FsdevInfo, 1);

    fs_export_query(fs, info);
    return info->open_xattrs;
}

static ssize_t coroutine_fn synth_read(FsCall *call, FsFile *file,
                                       const struct iovec *iov, int niov,
                                       uint64_t offset)
{
    SynthNode *n = synth_node(file->node);
    uint64_t count = open_xattrs(n->node.fs);
    size_t size = synth_size(n);

    if (offset >= size) {
        return 0;
    }
    return iov_from_buf(iov, niov, 0, (uint8_t *)&count + offset,
                        size - offset);
}

static ssize_t coroutine_fn synth_write(FsCall *call, FsFile *file,
                                        const struct iovec *iov, int niov,
                                        uint64_t offset)
{
    SynthNode *n = synth_node(file->node);
    uint8_t first;

    if (!synth_writable(n)) {
        return -EPERM;
    }
    if (n->kind == SYNTH_FLUSH && iov_to_buf(iov, niov, 0, &first, 1) &&
        first) {
        while (fs_call_sleep(call, -1)) {
            /* A wake-up that does not cancel the call */
        }
        return -EINTR;
    }
    return iov_size(iov, niov);
}

/* Offset 0 is ".", 1 is "..", and the others are the children in order. */
static int coroutine_fn synth_readdir(FsCall *call, FsFile *file,
                                      uint64_t offset,
                                      FsDirFill *fill, void *opaque)
{
    SynthNode *dir = synth_node(file->node);
    uint64_t end = dir->children->len + 2;

    for (; offset < end; offset++) {
        const char *name;
        FsDirent entry;
        SynthNode *n;

        if (offset == 0) {
            n = dir;
            name = ".";
        } else if (offset == 1) {
            n = dir->parent;
            name = "..";
        } else {
            n = g_ptr_array_index(dir->children, offset - 2);
            name = n->name;
        }
        if (!synth_visible(n)) {
            continue;
        }
        entry.ino = n->node.ino;
        entry.next = offset + 1;
        entry.type = n->kind == SYNTH_DIR ? DT_DIR : DT_REG;
        entry.name = name;
        entry.namelen = strlen(name);
        if (!fill(opaque, &entry)) {
            break;
        }
    }
    return 0;
}

static int coroutine_fn synth_fsync(FsCall *call, FsFile *file, bool datasync)
{
    return 0;
}

/*
 * Extended attributes: there are none, whatever was set.
 */

static int coroutine_fn synth_getxattr(FsCall *call, FsNode *node,
                                       const char *name,
                                       uint8_t **value, size_t *size)
{
    if (name) {
        return -ENODATA;
    }
    *value = NULL;
    *size = 0;
    return 0;
}

static int coroutine_fn synth_setxattr(FsCall *call, FsNode *node,
                                       const char *name,
                                       const void *value, size_t size,
                                       int flags)
{
    return synth_writable(synth_node(node)) ? 0 : -EPERM;
}

static int coroutine_fn synth_removexattr(FsCall *call, FsNode *node,
                                          const char *name)
{
    return synth_writable(synth_node(node)) ? -ENODATA : -EPERM;
}

/*
 * The tree
 */

/* Takes @name. @parent is NULL for the root. */
static SynthNode *synth_add(FsExport *fs, SynthNode *parent, char *name,
                            SynthKind kind, uint32_t perm, bool qtest)
{
    SynthFs *synth = fs->priv;
    SynthNode *n = g_new0(SynthNode, 1);
    FsAttr attr;

    n->kind = kind;
    n->name = name;
    n->mode = (kind == SYNTH_DIR ? S_IFDIR : S_IFREG) | perm;
    n->qtest = qtest;
    n->parent = parent ?: n;
    if (kind == SYNTH_DIR) {
        n->children = g_ptr_array_new();
    }
    if (parent) {
        g_ptr_array_add(parent->children, n);
    }
    g_ptr_array_add(synth->nodes, n);

    memset(&attr, 0, sizeof(attr));
    attr.ino = synth->nodes->len;
    attr.mode = n->mode;
    fs_node_init(&n->node, fs, &attr);
    return n;
}

static void synth_node_free(FsNode *node)
{
    SynthNode *n = synth_node(node);

    if (n->children) {
        g_ptr_array_free(n->children, true);
    }
    g_free(n->name);
    g_free(n);
}

/* FsDriver.save_node: numbers are the same in each process. */
static void synth_save_node(FsNode *node, FsNodeState *state)
{
}

/* FsDriver.restore_node: all nodes are in the table already. */
static FsNode *synth_restore_node(FsExport *fs, const FsNodeState *state)
{
    return NULL;
}

static void synth_add_qtest(FsExport *fs, SynthNode *root)
{
    static const struct {
        const char *name;
        SynthKind kind;
    } files[] = {
        { "LOPEN", SYNTH_EMPTY },
        { "WRITE", SYNTH_EMPTY },
        { "FLUSH", SYNTH_FLUSH },
    };
    SynthNode *dir = root;
    unsigned i;

    for (i = 0; i < FS_WALK_MAX; i++) {
        dir = synth_add(fs, dir, g_strdup_printf("WALK%u", i),
                        SYNTH_DIR, 0700, true);
    }
    for (i = 0; i < ARRAY_SIZE(files); i++) {
        synth_add(fs, root, g_strdup(files[i].name), files[i].kind,
                  0600, true);
    }
    dir = synth_add(fs, root, g_strdup("ReadDirDir"), SYNTH_DIR, 0700, true);
    for (i = 0; i < READDIR_FILES; i++) {
        synth_add(fs, dir, g_strdup_printf("ReadDirFile%u", i),
                  SYNTH_EMPTY, 0600, true);
    }
}

static bool synth_open(FsExport *fs, const FsdevOptions *opts, Error **errp)
{
    SynthFs *synth;
    SynthNode *root, *dir;

    if (!fs_export_init(fs, opts, errp)) {
        return false;
    }
    synth = g_new0(SynthFs, 1);
    clock_gettime(CLOCK_REALTIME, &synth->made);
    synth->nodes = g_ptr_array_new();
    fs->priv = synth;

    root = synth_add(fs, NULL, g_strdup("/"), SYNTH_DIR, 0755, false);
    fs->root = fs_node_ref(&root->node);
    dir = synth_add(fs, root, g_strdup("stat"), SYNTH_DIR, 0755, false);
    synth_add(fs, dir, g_strdup("xattr_count"), SYNTH_XATTR_COUNT, 0444,
              false);
    synth_add_qtest(fs, root);
    return true;
}

static void synth_close(FsExport *fs)
{
    SynthFs *synth = fs->priv;
    unsigned i;

    fs_node_unref(fs->root);
    fs->root = NULL;
    for (i = 0; i < synth->nodes->len; i++) {
        SynthNode *n = g_ptr_array_index(synth->nodes, i);

        fs_node_unref(&n->node);
    }
    g_ptr_array_free(synth->nodes, true);
    g_free(synth);
    fs->priv = NULL;
    fs_export_release(fs);
}

static const FsDriver synth_driver = {
    .type = FSDEV_DRIVER_SYNTH,
    .open = synth_open,
    .close = synth_close,
    .node_free = synth_node_free,
    .file_free = synth_file_free,
    .walk = synth_walk,
    .getattr = synth_getattr,
    .setattr = synth_setattr,
    .readlink = synth_readlink,
    .statfs = synth_statfs,
    .open_file = synth_open_file,
    .create = synth_create,
    .make = synth_make,
    .link = synth_link,
    .rename = synth_rename,
    .unlink = synth_unlink,
    .read = synth_read,
    .write = synth_write,
    .readdir = synth_readdir,
    .fsync = synth_fsync,
    .getxattr = synth_getxattr,
    .setxattr = synth_setxattr,
    .removexattr = synth_removexattr,
    .save_node = synth_save_node,
    .restore_node = synth_restore_node,
};

static void synth_driver_init(void)
{
    fs_driver_register(&synth_driver);
}
type_init(synth_driver_init)
