/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The test's side of test-fuse.h: mounts, and what the test chooses.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "test-fuse-internal.h"
#include <sys/mount.h>
#include <sys/prctl.h>

/* Mounts, and starts a server: false with errno if this process may not. */
static bool start_server(TestFuse *f)
{
    pid_t self = getpid();
    char options[128];
    int fuse, error;
    pid_t server;

    fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fuse < 0) {
        return false;
    }
    snprintf(options, sizeof(options),
             "fd=%d,rootmode=40000,user_id=%d,group_id=%d,allow_other", fuse,
             geteuid(), getegid());
    if (mount("test", f->path, "fuse", MS_NOSUID | MS_NODEV, options) < 0) {
        error = errno;
        close(fuse);
        errno = error;
        return false;
    }
    server = fork();
    g_assert_cmpint(server, >=, 0);
    if (server == 0) {
        /* What the test has open must not stay open here. */
        dup2(fuse, 3);
        closefrom(4);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        test_fuse_serve(f, 3, self);
    }
    close(fuse);
    f->server = server;
    return true;
}

TestFuse *test_fuse_start(const char *path, unsigned habits)
{
    TestFuse *f = mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct fuse_attr *root;
    int error;

    g_assert_true(f != MAP_FAILED);
    g_strlcpy(f->path, path, sizeof(f->path));
    f->habits = habits;
    f->nodes = FUSE_ROOT_ID;
    root = &f->node[FUSE_ROOT_ID].attr;
    root->mode = S_IFDIR | 0755;
    root->nlink = 2;
    if (!start_server(f)) {
        error = errno;
        munmap(f, sizeof(*f));
        errno = error;
        return NULL;
    }
    return f;
}

TestFuse *test_fuse_start_or_skip(const char *path, unsigned habits)
{
    TestFuse *f = test_fuse_start(path, habits);

    if (!f) {
        g_autofree char *why = g_strdup_printf("cannot mount FUSE here: %s",
                                               strerror(errno));
        g_test_skip(why);
    }
    return f;
}

/*
 * The server's end aborts the mount, also for processes that still have
 * something open.
 */
static void end_server(TestFuse *f)
{
    int status;

    g_assert_cmpint(umount2(f->path, MNT_DETACH), ==, 0);
    kill(f->server, SIGKILL);
    g_assert_cmpint(waitpid(f->server, &status, 0), ==, f->server);
    f->open_files = 0;
}

void test_fuse_remount(TestFuse *f)
{
    end_server(f);
    f->mirror = !f->mirror;
    g_assert_true(start_server(f));
}

void test_fuse_end(TestFuse *f)
{
    end_server(f);
    munmap(f, sizeof(*f));
}

void test_fuse_fail(TestFuse *f, unsigned opcode, int error)
{
    g_assert_cmpuint(opcode, <, OPCODES);
    qatomic_set(&f->error[opcode], error);
}

void test_fuse_fail_nth(TestFuse *f, unsigned n, int error)
{
    f->nth_error = error;
    qatomic_set(&f->nth, n);
}

bool test_fuse_failed(TestFuse *f)
{
    return qatomic_read(&f->nth) == 0;
}

void test_fuse_delay(TestFuse *f, unsigned ms)
{
    qatomic_set(&f->delay_ms, ms);
}

void test_fuse_renumber(TestFuse *f)
{
    f->shift += NODES;
}

unsigned test_fuse_count(TestFuse *f, unsigned opcode)
{
    g_assert_cmpuint(opcode, <, OPCODES);
    return qatomic_read(&f->count[opcode]);
}

unsigned test_fuse_open_files(TestFuse *f)
{
    return qatomic_read(&f->open_files);
}

static void add_names(TestFuse *f, uint64_t dir, const char *above,
                      GPtrArray *all)
{
    unsigned i;

    for (i = 0; i < NAMES; i++) {
        const Name *name = &f->name[i];

        if (name->node && name->dir == dir) {
            char *path = g_strdup_printf("%s/%s", above, name->text);

            g_ptr_array_add(all, path);
            add_names(f, name->node, path, all);
        }
    }
}

static gint compare(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **test_fuse_names(TestFuse *f)
{
    GPtrArray *all = g_ptr_array_new();

    add_names(f, FUSE_ROOT_ID, "", all);
    g_ptr_array_sort(all, compare);
    g_ptr_array_add(all, NULL);
    return (char **)g_ptr_array_free(all, false);
}
