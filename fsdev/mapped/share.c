/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Opening a share, and single files in it: see share.h.
 *
 * Without --model, the share tells its model by what it keeps: metadata folders
 * or attributes. It must be clear from the root and the first names in it, as a
 * wrong model would show the host's owners in place of the guest's.
 */
#include "qemu/osdep.h"
#include <dirent.h>
#include <sys/resource.h>
#include "qemu/atomic.h"
#include "fsdev/shared/special-file.h"
#include "hw/9pfs/local/mapped-folder.h"
#include "marker.h"
#include "share.h"

/* As the local driver's defaults */
#define FMODE           0600
#define DMODE           0700

/* Names of the root that may tell the model */
#define TELLING         1000

static void G_GNUC_PRINTF(4, 0)
say(const MappedShare *s, const char *path, int err, const char *fmt,
    va_list ap)
{
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    bool inside = path && !g_str_equal(path, ".");

    mapped_print_message("%s%s%s: %s%s%s", s->name, inside ? "/" : "",
                         inside ? path : "", text, err ? ": " : "",
                         err ? strerror(-err) : "");
}

void mapped_say(const MappedShare *s, const char *path, int err,
                const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(s, path, err, fmt, ap);
    va_end(ap);
}

void mapped_problem(MappedShare *s, const char *path, int err,
                    const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(s, path, err, fmt, ap);
    va_end(ap);
    qatomic_inc(&s->problems);
}

/*
 * Whether an inode has attributes of the model mapped-xattr, and not only those
 * of a helper's device (special-file.h)
 */
static bool has_view(const HostFs *hfs, int node, const FsAttr *attr)
{
    g_autofree char *names = g_malloc(FS_XATTR_MAX + 1);
    bool device = special_file_maybe(attr->mode, attr->size);
    ssize_t len = hostfs_getxattr(hfs, node, NULL, names, FS_XATTR_MAX);
    char *name;

    if (len < 0) {
        return false;
    }
    names[len] = '\0';
    for (name = names; name < names + len; name += strlen(name) + 1) {
        if (g_str_has_prefix(name, FS_XATTR_VIEW) &&
            !g_str_equal(name, MAPPED_MARK) &&
            !(device && (g_str_equal(name, FS_XATTR_MODE) ||
                         g_str_equal(name, FS_XATTR_RDEV)))) {
            return true;
        }
    }
    return false;
}

const LocalModel *mapped_share_tells(const MappedShare *s, bool *both)
{
    const HostFs *hfs = &s->lh.host;
    FsAttr top = { .mode = S_IFDIR };
    bool xattr = has_view(hfs, hfs->root, &top);
    bool file = false;
    int fd = hostfs_open(hfs, hfs->root, O_RDONLY | O_DIRECTORY);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *d;
    unsigned n = 0;

    while (list && (d = readdir(list)) && n++ < TELLING) {
        FsAttr attr;
        int node;

        if (local_model_mapped_file.reserved(d->d_name)) {
            file = true;
        } else if (!xattr && fs_name_check(d->d_name) == 0) {
            node = hostfs_step(hfs, hfs->root, d->d_name, HOST_WAIT_POOL,
                               &attr);
            if (node >= 0) {
                xattr = has_view(hfs, node, &attr);
                close(node);
            }
        }
    }
    if (list) {
        closedir(list);
    } else if (fd >= 0) {
        close(fd);
    }
    *both = xattr && file;
    return *both ? NULL : xattr ? &local_model_mapped_xattr :
           file ? &local_model_mapped_file : NULL;
}

/*
 * That nobody knows which model the share is whole for. Who may not read the
 * root does not know anything of it.
 */
static bool accept_unread_mark(MappedShare *s, ShareUse use, int err)
{
    if (err == -EACCES) {
        return true;
    }
    mapped_problem(s, NULL, err, "cannot read the mark of a share that is "
                   "being converted%s", err != -EINVAL ? "" : ", the root's "
                   "attribute " MAPPED_MARK ": if no conversion wrote it, "
                   "remove it (setfattr -x); if a newer " PROGRAM " did, use "
                   "that");
    return use == SHARE_READS;
}

/*
 * The model of a share that is being converted, unless the user names one of
 * both; and the other. False after a message
 */
static bool take_mark(MappedShare *s, ShareUse use)
{
    Marker marker;
    int ret = mapped_marker_get(&s->lh.host, &marker);

    if (ret < 0) {
        return accept_unread_mark(s, use, ret);
    }
    if (!marker.step) {
        return true;
    }
    if (!s->lh.model) {
        s->lh.model = mapped_marker_model(&marker);
    }
    s->other = s->lh.model == marker.to ? marker.from : marker.to;
    mapped_marker_clear(&marker);
    return true;
}

/* The model of a new share that is only partly there */
static void take_copy_mark(MappedShare *s)
{
    bool empty, same_boot;
    const LocalModel *model = mapped_copy_mark(&s->lh, &empty, &same_boot);

    if (model && !s->lh.model) {
        s->lh.model = model;
    }
    s->unfinished = model && s->lh.model == model;
}

bool mapped_share_agrees(MappedShare *s)
{
    bool both;
    const LocalModel *told = s->other ? NULL : mapped_share_tells(s, &both);

    if (told && told != s->lh.model) {
        mapped_problem(s, NULL, 0, "its model is %s, as its metadata tells: it "
                       "cannot change as one of the model %s "
                       "(--despite-metadata: all the same)",
                       mapped_model_name(told), mapped_model_name(s->lh.model));
        return false;
    }
    return true;
}

/* Files that may be open: as many as the system allows, for deep trees */
static void raise_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/*
 * Goes to where the names of descriptors are, as hostfs uses many of them
 * (HostFs.fd_prefix). Until the share is closed, no path counts.
 */
static void go_to_fds(MappedShare *s)
{
    s->cwd = open(".", O_PATH | O_CLOEXEC | O_DIRECTORY);
    if (s->cwd >= 0 && chdir("/proc/self/fd") == 0) {
        s->lh.host.fd_prefix = "";
    }
}

static void go_back(MappedShare *s)
{
    if (s->cwd >= 0) {
        if (fchdir(s->cwd) < 0) {
            mapped_problem(s, NULL, -errno, "cannot return from there");
        }
        close(s->cwd);
        s->cwd = -1;
    }
}

static bool lock_share(MappedShare *s, ShareUse use)
{
    unsigned where = 0;
    int ret;

    if (s->live) {
        return true;
    }
    if (use == SHARE_READS) {
        ret = share_lock_use(&s->lock, s->lh.host.root);
        if (ret == -EBUSY) {
            mapped_problem(s, NULL, 0, "another " PROGRAM " changes it "
                           "(--live: all the same)");
        }
        return ret != -EBUSY;
    }
    ret = share_lock_change(&s->lock, s->lh.host.root, &where);
    if (ret == -EBUSY) {
        mapped_problem(s, NULL, 0, "%sa QEMU, a helper or another " PROGRAM
                       " uses it (--live: all the same)",
                       where ? "a directory above: " : "");
    } else if (ret < 0) {
        mapped_say(s, NULL, ret, "cannot tell whether a guest uses it");
    }
    return ret != -EBUSY;
}

bool mapped_share_open(MappedShare *s, const char *dir,
                       const LocalModel *model, ShareUse use, bool live)
{
    bool both = false;
    int fd, ret;

    *s = (MappedShare) {
        .name = g_strdup(dir), .live = live, .cwd = -1,
        .lh = { .fmode = FMODE, .dmode = DMODE, .host = { .root = -1 } },
    };
    umask(0);
    raise_limit();
    fd = open(dir, O_PATH | O_CLOEXEC | O_DIRECTORY);
    ret = fd < 0 ? -errno : hostfs_init(&s->lh.host, fd, "/proc/self/fd/");
    if (ret < 0) {
        mapped_problem(s, NULL, ret, "cannot open it");
        return false;
    }
    go_to_fds(s);
    s->lh.host.own_access = true;
    s->lh.host.strict_views = true;
    if (geteuid() == 0) {
        /* What is new is for the user who runs QEMU, and not for root. */
        s->lh.host.new_owner = HOST_OWNER_DIR;
    }
    s->lh.host.readonly = use == SHARE_READS;
    s->lh.model = model;
    if (!take_mark(s, use)) {
        return false;
    }
    take_copy_mark(s);
    if (!s->lh.model) {
        s->lh.model = mapped_share_tells(s, &both);
    }
    if (!s->lh.model) {
        mapped_problem(s, NULL, 0, both ? "it has the metadata of two models: "
                       "choose one with --model" : "it does not tell its "
                       "security model: name that with --model, or the share's "
                       "root with --root");
        return false;
    }
    return lock_share(s, use);
}

void mapped_share_close(MappedShare *s)
{
    mapped_progress_end();
    go_back(s);
    share_unlock(&s->lock);
    hostfs_destroy(&s->lh.host);
    g_free(s->name);
    s->name = NULL;
}

bool mapped_reserved(const MappedShare *s, const char *name)
{
    return s->lh.model->reserved(name) ||
           (s->other && s->other->reserved(name)) ||
           ((s->other || s->unfinished) && g_str_equal(name, MAPPED_STAGING));
}

bool mapped_dir_is_served(const MappedShare *s, int dir)
{
    bool served;
    int fd;

    if (s->live || s->lh.host.readonly) {
        return false;
    }
    fd = hostfs_open(&s->lh.host, dir, O_RDONLY | O_DIRECTORY);
    served = fd >= 0 && share_is_locked(fd, SHARE_USED);
    if (fd >= 0) {
        close(fd);
    }
    return served;
}

int mapped_entry_see(MappedEntry *e)
{
    int ret = hostfs_getattr(e->inode.handle, &e->host);

    e->attr = e->host;
    return ret < 0 ? ret : e->share->lh.model->getattr(&e->share->lh,
                                                       &e->inode, &e->attr);
}

/*
 * The attributes as the guest sees them. A server's getattr guards against what
 * others do meanwhile, and against names that the file system takes for the
 * model's own; only directories, and files of the root, can be those.
 */
static int look(MappedEntry *e)
{
    const LocalHost *lh = &e->share->lh;
    FsView view;
    int ret;

    if (!lh->model->needs_name || S_ISDIR(e->host.mode) ||
        !strchr(e->path, '/')) {
        return lh->model->getattr(lh, &e->inode, &e->attr);
    }
    ret = lh->model->get_view(lh, &e->inode, &e->host, &view);
    if (ret == 0) {
        fs_view_apply(&view, &e->attr);
    }
    return ret;
}

/* Opens a regular file that will be read; what fails now, fails then. */
static void open_file(MappedEntry *e)
{
    int fd = hostfs_open(&e->share->lh.host, e->inode.handle, O_RDONLY);

    if (fd >= 0) {
        close(e->inode.handle);
        e->inode.handle = fd;
        e->is_open = true;
    }
}

int mapped_entry_open(MappedShare *s, int dir, const char *name,
                      const char *path, MappedEntry *e)
{
    int ret;

    *e = (MappedEntry) {
        .share = s, .path = path,
        .inode = { .handle = -1, .dir = dir, .name = name, .kept = -1 },
    };
    if (mapped_reserved(s, name)) {
        return -ENOENT;
    }
    ret = hostfs_step(&s->lh.host, dir, name, HOST_WAIT_POOL, &e->host);
    if (ret < 0) {
        return ret;
    }
    e->inode.handle = ret;
    if (s->opens_files && S_ISREG(e->host.mode)) {
        open_file(e);
    }
    e->attr = e->host;
    ret = look(e);
    if (ret < 0) {
        mapped_entry_close(e);
        e->is_blind = true;
    }
    return ret;
}

/* Where the metadata is that this process may not read */
static char *place_of_metadata(const MappedShare *s, const char *path)
{
    g_autofree char *base = g_path_get_basename(path);

    if (!s->lh.model->needs_name) {
        return g_strdup("the attributes user.virtfs.*");
    }
    return g_str_equal(path, ".") ? g_strdup(LOCAL_METADATA_ROOT)
           : g_strconcat(LOCAL_METADATA_FOLDER "/", base, NULL);
}

void mapped_entry_complain(MappedShare *s, const MappedEntry *e,
                           const char *path, int err)
{
    g_autofree char *place = NULL;

    if (e->is_blind && (err == -EACCES || err == -EPERM)) {
        place = place_of_metadata(s, path);
        mapped_problem(s, path, err, "cannot read what the guest sees, in %s",
                       place);
    } else {
        mapped_problem(s, path, err, "cannot look at the file");
    }
}

void mapped_entry_close(MappedEntry *e)
{
    if (e->inode.handle >= 0) {
        close(e->inode.handle);
        e->inode.handle = -1;
    }
}

int mapped_entry_find(MappedShare *s, const char *path, MappedEntry *e)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);
    int dir = -1;
    int at = fcntl(s->lh.host.root, F_DUPFD_CLOEXEC, 0);
    const char *last = NULL;
    char **name;
    int ret = at < 0 ? -errno : 0;

    for (name = names; ret == 0 && *name; name++) {
        FsAttr attr;

        if (!**name || g_str_equal(*name, ".")) {
            continue;
        }
        ret = mapped_reserved(s, *name) ? -ENOENT : fs_name_check(*name);
        if (ret == 0) {
            if (dir >= 0) {
                close(dir);
            }
            dir = at;
            at = hostfs_step(&s->lh.host, dir, *name, HOST_WAIT_POOL, &attr);
            ret = at < 0 ? at : S_ISDIR(attr.mode) &&
                  mapped_dir_is_served(s, at) ? -EBUSY : 0;
            last = *name;
        }
    }
    *e = (MappedEntry) {
        .share = s, .path = g_strdup(path),
        .inode = {
            .handle = at, .dir = dir, .name = g_strdup(last), .kept = -1,
        },
    };
    if (ret == 0) {
        ret = mapped_entry_see(e);
        e->is_blind = ret < 0;
    }
    if (ret < 0) {
        mapped_entry_free(e);
    }
    return ret;
}

void mapped_entry_free(MappedEntry *e)
{
    mapped_entry_close(e);
    if (e->inode.dir >= 0) {
        close(e->inode.dir);
    }
    g_free((char *)e->inode.name);
    g_free((char *)e->path);
}
