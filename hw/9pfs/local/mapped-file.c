/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Security model mapped-file: the guest's view is in text files beside the
 * host file (mapped.h), for file systems without extended attributes.
 *
 *     DIR/.virtfs_metadata/NAME       what DIR/NAME is to the guest
 *     ROOT/.virtfs_metadata_root      what the export's root is
 *
 *     virtfs.uid=1000
 *     virtfs.gid=1000
 *     virtfs.mode=33188
 *     virtfs.rdev=0
 *
 * Numbers are decimal, the mode has type bits. A line that is none of these,
 * or is malformed, is ignored, and dropped when the file is written again; of
 * several for the same the first counts. A line that is missing leaves that to
 * the host file, a file that is missing (or is no regular file, or longer than
 * METADATA_MAX) leaves everything to it.
 *
 * Metadata goes by name and means an inode, so names and metadata change
 * together: under a lock of the export. The metadata files of hard links are
 * hard links, too. That is why they are written in place, and why those of a
 * new name never are: what was left there may be linked to something else's.
 * The text is written in one go and cut to its length afterwards, so another
 * process sees the old, the new, or the new with a rest after it.
 *
 * Somebody else may write to the shared directory. Metadata is reached through
 * hostfs, by single names below held handles, and only ever opened if it is a
 * regular file.
 */
#include "qemu/osdep.h"
#include <dirent.h>
#include "mapped.h"

#define FOLDER          ".virtfs_metadata"
#define ROOT_NAME       ".virtfs_metadata_root"

#define METADATA_MAX    4096

/* Writers change names or metadata, readers go from one to the other. */
typedef struct MappedFile {
    GRWLock lock;
} MappedFile;

static int mapped_open(LocalHost *fs)
{
    MappedFile *m = g_new0(MappedFile, 1);

    g_rw_lock_init(&m->lock);
    fs->priv = m;
    return 0;
}

static void mapped_close(LocalHost *fs)
{
    MappedFile *m = fs->priv;

    fs->priv = NULL;
    g_rw_lock_clear(&m->lock);
    g_free(m);
}

static GRWLock *lock_of(const LocalHost *fs)
{
    return &((MappedFile *)fs->priv)->lock;
}

static bool mapped_reserved(const char *name)
{
    return g_str_equal(name, FOLDER) || g_str_equal(name, ROOT_NAME);
}

/* Text */

static bool parse_number(const char *text, uint64_t max, uint64_t *value)
{
    uint64_t n = 0;

    if (*text == '\0') {
        return false;
    }
    for (; *text; text++) {
        unsigned digit = *text - '0';

        if (digit > 9 || n > (max - digit) / 10) {
            return false;
        }
        n = n * 10 + digit;
    }
    *value = n;
    return true;
}

static void parse_line(const char *line, LocalView *view)
{
    static const struct {
        const char *key;
        uint32_t bit;
    } keys[] = {
        { "virtfs.uid=", LOCAL_VIEW_UID },
        { "virtfs.gid=", LOCAL_VIEW_GID },
        { "virtfs.mode=", LOCAL_VIEW_MODE },
        { "virtfs.rdev=", LOCAL_VIEW_RDEV },
    };
    uint64_t value;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(keys); i++) {
        uint32_t bit = keys[i].bit;
        bool wide = bit == LOCAL_VIEW_RDEV;
        const char *text;
        bool negative;

        if (!g_str_has_prefix(line, keys[i].key) || (view->valid & bit)) {
            continue;
        }
        text = line + strlen(keys[i].key);
        /*
         * Other QEMUs write 32 bits with a sign, device numbers too: what is
         * 4294967294 here, is -2 there. No mode has that many bits.
         */
        negative = bit != LOCAL_VIEW_MODE && *text == '-';
        if (!parse_number(text + negative,
                          negative ? 1ULL << 31 :
                          wide ? UINT64_MAX : UINT32_MAX, &value)) {
            continue;
        }
        if (negative) {
            value = (uint32_t)-value;
        }
        view->valid |= bit;
        switch (bit) {
        case LOCAL_VIEW_UID:
            view->uid = value;
            break;
        case LOCAL_VIEW_GID:
            view->gid = value;
            break;
        case LOCAL_VIEW_MODE:
            view->mode = value;
            break;
        case LOCAL_VIEW_RDEV:
            view->rdev = value;
            break;
        }
    }
}

static void parse(char *text, LocalView *view)
{
    char *line;

    view->valid = 0;
    while ((line = strsep(&text, "\n"))) {
        parse_line(line, view);
    }
}

static char *format(const LocalView *view)
{
    GString *text = g_string_new(NULL);

    if (view->valid & LOCAL_VIEW_UID) {
        g_string_append_printf(text, "virtfs.uid=%" PRIu32 "\n", view->uid);
    }
    if (view->valid & LOCAL_VIEW_GID) {
        g_string_append_printf(text, "virtfs.gid=%" PRIu32 "\n", view->gid);
    }
    if (view->valid & LOCAL_VIEW_MODE) {
        g_string_append_printf(text, "virtfs.mode=%" PRIu32 "\n", view->mode);
    }
    if (view->valid & LOCAL_VIEW_RDEV) {
        g_string_append_printf(text, "virtfs.rdev=%" PRIu64 "\n", view->rdev);
    }
    return g_string_free(text, false);
}

static int read_view(int fd, LocalView *view)
{
    char text[METADATA_MAX + 1];
    ssize_t len;

    view->valid = 0;
    len = RETRY_ON_EINTR(pread(fd, text, sizeof(text), 0));
    if (len < 0) {
        return -errno;
    }
    if (len <= METADATA_MAX) {
        text[len] = '\0';
        parse(text, view);
    }
    return 0;
}

static int write_view(int fd, const LocalView *view)
{
    g_autofree char *text = format(view);
    size_t len = strlen(text);
    ssize_t ret;

    ret = RETRY_ON_EINTR(pwrite(fd, text, len, 0));
    if (ret < 0) {
        return -errno;
    }
    if ((size_t)ret < len) {
        return -ENOSPC;
    }
    return RETRY_ON_EINTR(ftruncate(fd, len)) < 0 ? -errno : 0;
}

/* Files */

/* A handle of the metadata folder of a directory */
static int open_folder(const LocalHost *fs, int dir, bool make)
{
    const FsMakeArgs folder = {
        .name = FOLDER, .mode = S_IFDIR | 0700, .uid = -1, .gid = -1,
    };
    FsAttr attr;
    int fd, ret;

    fd = hostfs_step(&fs->host, dir, FOLDER, HOST_WAIT_POOL, &attr);
    if (fd == -ENOENT && make) {
        ret = hostfs_make(&fs->host, dir, &folder, &attr);
        if (ret < 0 && ret != -EEXIST) {
            return ret;
        }
        fd = hostfs_step(&fs->host, dir, FOLDER, HOST_WAIT_POOL, &attr);
    }
    if (fd >= 0 && !S_ISDIR(attr.mode)) {
        close(fd);
        return -ENOTDIR;
    }
    return fd;
}

/* Removes whatever has that name; -ENOENT is no error. */
static int remove_name(const LocalHost *fs, int dir, const char *name)
{
    int ret = hostfs_unlink(&fs->host, dir, name, false, -1);

    if (ret == -EISDIR) {
        ret = hostfs_unlink(&fs->host, dir, name, true, -1);
    }
    return ret == -ENOENT ? 0 : ret;
}

static int create_metadata(const LocalHost *fs, int dir, const char *name)
{
    const FsMakeArgs make = {
        .name = name, .mode = S_IFREG | 0600, .uid = -1, .gid = -1,
    };
    FsAttr attr;
    int fd, node;

    fd = hostfs_create(&fs->host, dir, &make, O_RDWR | O_EXCL, &node, &attr);
    if (fd >= 0) {
        close(node);
    }
    return fd;
}

/*
 * Opens a metadata file, @name in @dir. -ENOENT if there is none; with @make
 * it is made, and something else that has the name removed for it.
 */
static int open_metadata(const LocalHost *fs, int dir, const char *name,
                         int flags, bool make)
{
    FsAttr attr;
    int node, ret;

    node = hostfs_step(&fs->host, dir, name, HOST_WAIT_POOL, &attr);
    if (node >= 0 && S_ISREG(attr.mode)) {
        ret = hostfs_open(&fs->host, node, flags);
        close(node);
        return ret;
    }
    if (node >= 0) {
        close(node);
        ret = make ? remove_name(fs, dir, name) : 0;
        node = ret < 0 ? ret : -ENOENT;
    }
    return node == -ENOENT && make ? create_metadata(fs, dir, name) : node;
}

/* -ESTALE if the inode's name means something else, or nothing */
static int check_name(const LocalHost *fs, const LocalInode *inode,
                      const FsAttr *host)
{
    FsAttr named;
    int fd;

    fd = hostfs_step(&fs->host, inode->dir, inode->name, HOST_WAIT_POOL,
                     &named);
    if (fd < 0) {
        return fd == -ENOENT || fd == -ENOTDIR ? -ESTALE : fd;
    }
    close(fd);
    return named.dev == host->dev && named.ino == host->ino ? 0 : -ESTALE;
}

/*
 * Opens the metadata of an inode with the attributes @host. -ENOENT if there
 * is none, and -ESTALE with @make if there is nowhere to keep it.
 */
static int open_of_inode(const LocalHost *fs, const LocalInode *inode,
                         const FsAttr *host, int flags, bool make)
{
    int dir, fd;

    if (inode->name) {
        dir = open_folder(fs, inode->dir, make);
        if (dir < 0) {
            return dir;
        }
        fd = open_metadata(fs, dir, inode->name, flags, make);
        close(dir);
        return fd;
    }
    if (host->dev == fs->host.root_dev && host->ino == fs->host.root_ino) {
        return open_metadata(fs, inode->handle, ROOT_NAME, flags, make);
    }
    if (inode->kept >= 0) {
        fd = fcntl(inode->kept, F_DUPFD_CLOEXEC, 0);
        return fd < 0 ? -errno : fd;
    }
    return make ? -ESTALE : -ENOENT;
}

/* Whether an error means that there is no metadata that could be read */
static bool is_absence(int ret)
{
    switch (ret) {
    case -ENOENT:
    case -ENOTDIR:
    case -EACCES:
    case -EPERM:
        return true;
    default:
        return false;
    }
}

/* Views; all of these are for holders of the lock. */

/* @host: as the host says, and thereafter as the guest sees it */
static int apply_view(const LocalHost *fs, const LocalInode *inode,
                      FsAttr *host, LocalView *view)
{
    int fd, ret;

    view->valid = 0;
    ret = inode->name ? check_name(fs, inode, host) : 0;
    if (ret < 0) {
        return ret;
    }
    fd = open_of_inode(fs, inode, host, O_RDONLY, false);
    if (fd < 0) {
        return is_absence(fd) ? 0 : fd;
    }
    ret = read_view(fd, view);
    close(fd);
    if (ret == 0) {
        local_view_apply(view, host);
    }
    return ret;
}

static void merge_view(LocalView *view, const LocalView *change)
{
    view->valid |= change->valid;
    if (change->valid & LOCAL_VIEW_UID) {
        view->uid = change->uid;
    }
    if (change->valid & LOCAL_VIEW_GID) {
        view->gid = change->gid;
    }
    if (change->valid & LOCAL_VIEW_MODE) {
        view->mode = change->mode;
    }
}

static int set_view(const LocalHost *fs, const LocalInode *inode,
                    const FsSetAttr *set)
{
    LocalView view, change;
    FsAttr host, attr;
    int fd, ret;

    ret = hostfs_getattr(inode->handle, &host);
    if (ret < 0) {
        return ret;
    }
    attr = host;
    ret = apply_view(fs, inode, &attr, &view);
    if (ret < 0) {
        return ret;
    }
    local_view_change(&change, set, &attr);
    merge_view(&view, &change);

    fd = open_of_inode(fs, inode, &host, O_RDWR, true);
    if (fd < 0) {
        return fd;
    }
    ret = write_view(fd, &view);
    close(fd);
    return ret;
}

/* Metadata for a new name, in place of what may have been left there */
static int put_new_view(const LocalHost *fs, int dir, const char *name,
                        const LocalView *view)
{
    int folder, fd, ret;

    folder = open_folder(fs, dir, true);
    if (folder < 0) {
        return folder;
    }
    ret = remove_name(fs, folder, name);
    fd = ret < 0 ? ret : create_metadata(fs, folder, name);
    if (fd >= 0) {
        ret = write_view(fd, view);
        close(fd);
        if (ret < 0) {
            remove_name(fs, folder, name);
        }
    }
    close(folder);
    return fd < 0 ? fd : ret;
}

/* Operations */

static int mapped_getattr(const LocalHost *fs, const LocalInode *inode,
                          FsAttr *attr)
{
    LocalView view;
    int ret;

    g_rw_lock_reader_lock(lock_of(fs));
    ret = apply_view(fs, inode, attr, &view);
    g_rw_lock_reader_unlock(lock_of(fs));
    return ret;
}

static int mapped_setattr(const LocalHost *fs, const LocalInode *inode,
                          int file, const FsSetAttr *set)
{
    FsAttr attr;
    int ret;

    ret = hostfs_getattr(inode->handle, &attr);
    if (ret == 0) {
        ret = mapped_getattr(fs, inode, &attr);
    }
    if (ret == 0) {
        ret = local_mapped_set_size(fs, inode, file, set, &attr);
    }
    if (ret == 0 && (set->valid & (FS_SET_MODE | FS_SET_UID | FS_SET_GID))) {
        g_rw_lock_writer_lock(lock_of(fs));
        ret = set_view(fs, inode, set);
        g_rw_lock_writer_unlock(lock_of(fs));
    }
    if (ret == 0) {
        ret = local_mapped_set_times(fs, inode, set, false);
    }
    return ret;
}

static int make_new_locked(const LocalHost *fs, int dir, const FsMakeArgs *make,
                           int flags, int *fd, FsAttr *attr)
{
    int node = local_mapped_make_host(fs, dir, make, flags, fd, NULL);
    LocalView view;
    int ret;

    if (node < 0) {
        return node;
    }
    local_view_of_new(&view, make);
    ret = hostfs_getattr(node, attr);
    if (ret == 0) {
        ret = put_new_view(fs, dir, make->name, &view);
    }
    if (ret < 0) {
        local_mapped_unmake_host(fs, dir, make, node);
        if (fd && *fd >= 0) {
            close(*fd);
            *fd = -1;
        }
        close(node);
        return ret;
    }
    local_view_apply(&view, attr);
    return node;
}

static int make_new(const LocalHost *fs, int dir, const FsMakeArgs *make,
                    int flags, int *fd, FsAttr *attr)
{
    int ret;

    g_rw_lock_writer_lock(lock_of(fs));
    ret = make_new_locked(fs, dir, make, flags, fd, attr);
    g_rw_lock_writer_unlock(lock_of(fs));
    return ret;
}

static int mapped_create(const LocalHost *fs, int dir, const FsMakeArgs *make,
                         int flags, int *node, FsAttr *attr)
{
    return local_mapped_create(fs, dir, make, flags, node, attr, make_new);
}

static int mapped_make(const LocalHost *fs, int dir, const FsMakeArgs *make,
                       FsAttr *attr)
{
    return local_mapped_make(fs, dir, make, attr, make_new);
}

/* Gives the metadata file @fd another name. */
static int link_metadata(const LocalHost *fs, int fd, int dir,
                         const char *name)
{
    int folder = open_folder(fs, dir, true);
    int ret;

    if (folder < 0) {
        return folder;
    }
    ret = remove_name(fs, folder, name);
    if (ret == 0) {
        ret = hostfs_link(&fs->host, fd, folder, name);
    }
    close(folder);
    return ret;
}

static int link_locked(const LocalHost *fs, const LocalInode *inode,
                       int dir, const char *name)
{
    FsAttr attr;
    int fd, ret;

    ret = hostfs_getattr(inode->handle, &attr);
    if (ret == 0 && inode->name) {
        ret = check_name(fs, inode, &attr);
    }
    if (ret == 0) {
        ret = hostfs_link(&fs->host, inode->handle, dir, name);
    }
    if (ret < 0) {
        return ret;
    }
    fd = open_of_inode(fs, inode, &attr, O_RDWR, true);
    ret = fd < 0 ? fd : link_metadata(fs, fd, dir, name);
    if (fd >= 0) {
        close(fd);
    }
    if (ret < 0) {
        hostfs_unlink(&fs->host, dir, name, false, inode->handle);
    }
    return ret;
}

static int mapped_link(const LocalHost *fs, const LocalInode *inode,
                       int dir, const char *name)
{
    int ret;

    g_rw_lock_writer_lock(lock_of(fs));
    ret = link_locked(fs, inode, dir, name);
    g_rw_lock_writer_unlock(lock_of(fs));
    return ret;
}

/* The directory @node, opened for its entries */
static DIR *list_directory(const LocalHost *fs, int node, int *ret)
{
    int fd = hostfs_open(&fs->host, node, O_RDONLY | O_DIRECTORY);
    DIR *list;

    if (fd < 0) {
        *ret = fd;
        return NULL;
    }
    list = fdopendir(fd);
    if (!list) {
        *ret = -errno;
        close(fd);
    }
    return list;
}

/* 0 if a directory holds nothing, or nothing but metadata; or -ENOTEMPTY */
static int check_empty(const LocalHost *fs, int node)
{
    struct dirent *entry;
    int ret = 0;
    DIR *list = list_directory(fs, node, &ret);

    if (!list) {
        return ret;
    }
    while (ret == 0 && (entry = readdir(list))) {
        if (!g_str_equal(entry->d_name, ".") &&
            !g_str_equal(entry->d_name, "..") &&
            !mapped_reserved(entry->d_name)) {
            ret = -ENOTEMPTY;
        }
    }
    closedir(list);
    return ret;
}

/* Removes everything in a metadata folder. */
static int empty_folder(const LocalHost *fs, int folder)
{
    struct dirent *entry;
    int ret = 0;
    DIR *list = list_directory(fs, folder, &ret);

    if (!list) {
        return ret;
    }
    while (ret == 0 && (entry = readdir(list))) {
        if (!g_str_equal(entry->d_name, ".") &&
            !g_str_equal(entry->d_name, "..")) {
            ret = remove_name(fs, folder, entry->d_name);
        }
    }
    closedir(list);
    return ret;
}

/*
 * Removes the metadata in a directory that is to go, which is about names that
 * are no more: it has to hold nothing else, else -ENOTEMPTY.
 */
static int empty_directory(const LocalHost *fs, int node)
{
    int folder, ret;

    ret = check_empty(fs, node);
    if (ret < 0) {
        return ret;
    }
    folder = open_folder(fs, node, false);
    if (folder >= 0) {
        ret = empty_folder(fs, folder);
        close(folder);
    } else if (folder != -ENOENT && folder != -ENOTDIR) {
        ret = folder;
    }
    if (ret == 0) {
        ret = remove_name(fs, node, FOLDER);
    }
    if (ret == 0) {
        ret = remove_name(fs, node, ROOT_NAME);
    }
    return ret;
}

/*
 * Metadata after a rename. @from and @to are metadata folders; @from is -1
 * where there is no metadata, @to where there cannot be any.
 */
static int rename_metadata(const LocalHost *fs, int from, const char *oldname,
                           int to, const char *newname)
{
    int ret;

    if (from < 0) {
        if (to >= 0) {
            remove_name(fs, to, newname);
        }
        return 0;
    }
    ret = hostfs_rename(&fs->host, from, oldname, to, newname);
    if (ret == -EISDIR) {
        ret = remove_name(fs, to, newname);
        if (ret == 0) {
            ret = hostfs_rename(&fs->host, from, oldname, to, newname);
        }
    }
    return ret;
}

/*
 * Handle of the metadata folder of @dir if it has metadata for @name: in
 * *@folder, else -1
 */
static int find_metadata(const LocalHost *fs, int dir, const char *name,
                         int *folder)
{
    FsAttr attr;
    int fd;

    *folder = -1;
    fd = open_folder(fs, dir, false);
    if (fd >= 0) {
        int node = hostfs_step(&fs->host, fd, name, HOST_WAIT_POOL, &attr);

        if (node >= 0 && S_ISREG(attr.mode)) {
            *folder = fd;
        } else {
            close(fd);
        }
        if (node >= 0) {
            close(node);
        }
        fd = node;
    }
    return fd < 0 && !is_absence(fd) ? fd : 0;
}

/* Makes room for a rename over the directory @newname. */
static int prepare_target(const LocalHost *fs, const FsAttr *old,
                          int newdir, const char *newname,
                          bool *exists, bool *same)
{
    FsAttr target;
    int node, ret = 0;

    node = hostfs_step(&fs->host, newdir, newname, HOST_WAIT_POOL, &target);
    *exists = node >= 0;
    *same = false;
    if (node < 0) {
        return node == -ENOENT ? 0 : node;
    }
    if (target.dev == old->dev && target.ino == old->ino) {
        *same = true;
    } else if (S_ISDIR(target.mode) && S_ISDIR(old->mode)) {
        ret = empty_directory(fs, node);
    }
    close(node);
    return ret;
}

static int rename_locked(const LocalHost *fs,
                         int olddir, const char *oldname,
                         int newdir, const char *newname)
{
    bool exists, same;
    FsAttr old;
    int from = -1;
    int to = -1;
    int ret;

    ret = hostfs_step(&fs->host, olddir, oldname, HOST_WAIT_POOL, &old);
    if (ret < 0) {
        return ret;
    }
    close(ret);
    ret = prepare_target(fs, &old, newdir, newname, &exists, &same);
    if (ret < 0 || same) {
        /* rename(2): two links to the same file both stay */
        return ret < 0 ? ret : hostfs_rename(&fs->host, olddir, oldname,
                                             newdir, newname);
    }

    /* All that can fail is done before anything is changed. */
    ret = find_metadata(fs, olddir, oldname, &from);
    if (ret == 0) {
        to = open_folder(fs, newdir, from >= 0);
        if (to < 0 && (from >= 0 || !is_absence(to))) {
            ret = to;
        }
    }
    if (ret == 0) {
        ret = hostfs_rename(&fs->host, olddir, oldname, newdir, newname);
    }
    if (ret == 0) {
        ret = rename_metadata(fs, from, oldname, to, newname);
        if (ret < 0 && !exists) {
            hostfs_rename(&fs->host, newdir, newname, olddir, oldname);
        }
    }
    if (from >= 0) {
        close(from);
    }
    if (to >= 0) {
        close(to);
    }
    return ret;
}

static int mapped_rename(const LocalHost *fs, int olddir, const char *oldname,
                         int newdir, const char *newname)
{
    int ret;

    if (fs->host.readonly) {
        return -EROFS;
    }
    g_rw_lock_writer_lock(lock_of(fs));
    ret = rename_locked(fs, olddir, oldname, newdir, newname);
    g_rw_lock_writer_unlock(lock_of(fs));
    return ret;
}

/* Before rmdir(2) of @name, which must be @expect if that is a handle */
static int prepare_rmdir(const LocalHost *fs, int dir, const char *name,
                         int expect)
{
    FsAttr attr, expected;
    int node, ret;

    ret = node = hostfs_step(&fs->host, dir, name, HOST_WAIT_POOL, &attr);
    if (ret < 0) {
        return ret;
    }
    ret = 0;
    if (expect >= 0) {
        ret = hostfs_getattr(expect, &expected);
        if (ret == 0 && (attr.dev != expected.dev ||
                         attr.ino != expected.ino)) {
            ret = -ESTALE;
        }
    }
    if (ret == 0) {
        ret = S_ISDIR(attr.mode) ? empty_directory(fs, node) : -ENOTDIR;
    }
    close(node);
    return ret;
}

static int mapped_unlink(const LocalHost *fs, int dir, const char *name,
                         bool rmdir, int expect)
{
    int folder;
    int ret = 0;

    if (fs->host.readonly) {
        return -EROFS;
    }
    g_rw_lock_writer_lock(lock_of(fs));
    folder = open_folder(fs, dir, false);
    if (folder < 0 && !is_absence(folder)) {
        ret = folder;
    }
    if (ret == 0 && rmdir) {
        ret = prepare_rmdir(fs, dir, name, expect);
    }
    if (ret == 0) {
        ret = hostfs_unlink(&fs->host, dir, name, rmdir, expect);
    }
    if (ret == 0 && folder >= 0) {
        remove_name(fs, folder, name);
    }
    g_rw_lock_writer_unlock(lock_of(fs));
    if (folder >= 0) {
        close(folder);
    }
    return ret;
}

static int mapped_keep(const LocalHost *fs, const LocalInode *inode)
{
    FsAttr attr;
    int ret;

    g_rw_lock_writer_lock(lock_of(fs));
    ret = hostfs_getattr(inode->handle, &attr);
    if (ret == 0 && inode->name) {
        ret = check_name(fs, inode, &attr);
    }
    if (ret == 0) {
        ret = open_of_inode(fs, inode, &attr, O_RDWR, true);
    }
    g_rw_lock_writer_unlock(lock_of(fs));
    return ret;
}

/*
 * Extended attributes are the host file's. Those in which the other mapped
 * model keeps its views are no guest's to set, whoever exports the directory
 * how; and there are no ACLs.
 */
static int check_xattr(const char *name, int hidden)
{
    if (g_str_equal(name, LOCAL_ACL_ACCESS) ||
        g_str_equal(name, LOCAL_ACL_DEFAULT)) {
        return -EOPNOTSUPP;
    }
    return g_str_has_prefix(name, LOCAL_MAPPED_PREFIX) ? hidden : 0;
}

static ssize_t mapped_getxattr(const LocalHost *fs, const LocalInode *inode,
                               const char *name, void *buf, size_t size)
{
    int ret;

    if (!name) {
        return local_mapped_list(fs, inode->handle, false, buf, size);
    }
    ret = check_xattr(name, -ENODATA);
    return ret < 0 ? ret : hostfs_getxattr(&fs->host, inode->handle, name,
                                           buf, size);
}

static int mapped_setxattr(const LocalHost *fs, const LocalInode *inode,
                           const char *name, const void *value, size_t size,
                           int flags)
{
    int ret = check_xattr(name, -EPERM);

    return ret < 0 ? ret : hostfs_setxattr(&fs->host, inode->handle, name,
                                           value, size, flags);
}

static int mapped_removexattr(const LocalHost *fs, const LocalInode *inode,
                              const char *name)
{
    int ret = check_xattr(name, -EPERM);

    return ret < 0 ? ret : hostfs_removexattr(&fs->host, inode->handle,
                                              name);
}

const LocalModel local_model_mapped_file = {
    .needs_name = true,
    .hides_types = true,
    .open = mapped_open,
    .close = mapped_close,
    .reserved = mapped_reserved,
    .getattr = mapped_getattr,
    .setattr = mapped_setattr,
    .readlink = local_mapped_readlink,
    .create = mapped_create,
    .make = mapped_make,
    .link = mapped_link,
    .rename = mapped_rename,
    .unlink = mapped_unlink,
    .getxattr = mapped_getxattr,
    .setxattr = mapped_setxattr,
    .removexattr = mapped_removexattr,
    .keep = mapped_keep,
};
