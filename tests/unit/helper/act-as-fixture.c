/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Code that the tests of --act-as share: see act-as-fixture.h.
 */
#include "qemu/osdep.h"
#include "act-as-fixture.h"

/* Starts the helper; false: the test is skipped. */
bool begin(ProxyFixture *f, const char *const *options)
{
    if (geteuid() != 0) {
        g_test_skip("only root has more than one user");
        return false;
    }
    f->c = pc_open(f->dir, options);
    return true;
}

/* Makes the host's directory or file @name, of @uid and @gid. */
void put(ProxyFixture *f, const char *name, mode_t mode, uid_t uid,
                gid_t gid)
{
    g_autofree char *path = g_build_filename(f->dir, name, NULL);

    if (S_ISDIR(mode)) {
        pf_put_dir(f, name);
    } else {
        pf_put_file(f, name, "text");
    }
    g_assert_cmpint(chown(path, uid, gid), ==, 0);
    g_assert_cmpint(chmod(path, mode & 07777), ==, 0);
}

/* Makes a file as f->c->user, or with other flags than O_EXCL opens one. */
int create_mode(ProxyFixture *f, uint64_t dir, const char *name,
                       int flags, uint32_t mode, uint32_t gid)
{
    MarshalWriter *w = pc_begin(f->c);
    unsigned i;
    int ret;

    marshal_put_u64(w, dir);
    marshal_put_str(w, name);
    marshal_put_u32(w, O_RDWR | flags);
    marshal_put_u32(w, mode);
    marshal_put_u32(w, f->c->user);
    marshal_put_u32(w, gid);
    ret = pc_call(f->c, PROXY_CREATE);
    for (i = 0; ret == 0 && i < f->c->nfds; i++) {
        close(f->c->fds[i]);
    }
    return ret;
}

int create(ProxyFixture *f, uint64_t dir, const char *name,
                  uint32_t gid)
{
    return create_mode(f, dir, name, O_EXCL, 0640, gid);
}

int make(ProxyFixture *f, uint64_t dir, const char *name,
                uint32_t mode, uint32_t gid)
{
    MarshalWriter *w = pc_begin(f->c);

    marshal_put_u64(w, dir);
    marshal_put_str(w, name);
    marshal_put_u32(w, mode);
    marshal_put_u32(w, f->c->user);
    marshal_put_u32(w, gid);
    marshal_put_u64(w, 0);
    marshal_put_str(w, S_ISLNK(mode) ? "x" : "");
    return pc_call(f->c, PROXY_MAKE);
}

/* The node of @name, which the guest's root may find */
uint64_t node_as_root(ProxyFixture *f, const char *name)
{
    uint32_t user = f->c->user;
    uint64_t node;

    f->c->user = 0;
    node = node_of(f, name);
    f->c->user = user;
    return node;
}

/* The host's @name has this owner, group and mode. */
void has(ProxyFixture *f, const char *name, uid_t uid, gid_t gid,
                mode_t mode)
{
    struct stat st;

    pf_stat(f, name, &st);
    g_assert_cmpuint(st.st_uid, ==, uid);
    g_assert_cmpuint(st.st_gid, ==, gid);
    g_assert_cmphex(st.st_mode, ==, mode);
}

int open_as(ProxyFixture *f, uint32_t user, const char *name)
{
    uint64_t node = node_as_root(f, name);
    int fd, ret;

    f->c->user = user;
    ret = call_open(f->c, node, O_RDONLY, &fd);
    if (ret == 0) {
        close(fd);
    }
    return ret;
}

int set_mode(ProxyFixture *f, uint64_t node, uint32_t more, uint32_t mode)
{
    FsSetAttr set = { .valid = FS_SET_MODE | FS_SET_CTIME | more,
                      .mode = mode, .size = 1 };

    return call_setattr(f->c, node, &set);
}
