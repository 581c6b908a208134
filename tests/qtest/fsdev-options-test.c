/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The command line: -fsdev and -virtfs as key=value and as JSON, and QEMU's
 * messages when they are wrong. Each case has a QEMU of its own, which either
 * ends at once with a message, or runs and answers questions.
 *
 * The tests are registered with the virtio-9p device, because every binary
 * with these options has that device.
 */
#include "qemu/osdep.h"
#include <grp.h>
#include "fsdev/shared/share-lock.h"
#include "libqtest.h"
#include "qemu/module.h"
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "qobject/qlist.h"
#include "libqos/qgraph.h"

/* Runs QEMU with @option @arg, twice if @twice; returns its output. */
static char *run_qemu(const char *option, const char *arg, bool twice,
                      int *status)
{
    bool device = !strcmp(option, "-device");
    /* A QEMU that starts after all must not run for ever. */
    const char *argv[] = {
        "timeout", "30", getenv("QTEST_QEMU_BINARY"), "-accel", "qtest",
        "-machine", device ? "pc" : "none", "-display", "none", "-nodefaults",
        option, arg, twice ? option : NULL, arg, NULL,
    };
    g_autofree char *out = NULL;
    g_autofree char *err = NULL;
    const char *own;
    GError *error = NULL;

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                 &out, &err, status, &error);
    g_assert_no_error(error);
    if (g_str_has_prefix(err, "==") && strstr(err, "WARNING: ASan")) {
        /* A build with the sanitizer warns of coroutines. */
        own = strchr(err, '\n') ? strchr(err, '\n') + 1 : err;
    } else {
        own = err;
    }
    return g_strconcat(out, own, NULL);
}

/* A valid -fsdev, to which the cases append an error */
#define LOCAL(model)    "local,id=a,path=/,security_model=" model

typedef struct WrongCase {
    const char *option;
    const char *arg;
    const char *says;           /* after the option itself */
    bool twice;
} WrongCase;

static const WrongCase wrong_cases[] = {
    { "-fsdev", "", "'fsdriver' is missing" },
    { "-fsdev", "synth", "'id' is missing" },
    { "-fsdev", "id=a", "'fsdriver' is missing" },
    { "-fsdev", "floppy,id=a", "'fsdriver' does not accept value "
                               "'floppy'" },
    { "-fsdev", "synth,id=1a", "id '1a' is not an identifier" },
    { "-fsdev", "synth,id=", "id '' is not an identifier" },
    { "-fsdev", "synth,id=a,,b", "id 'a,b' is not an identifier" },
    { "-fsdev", "synth,id=a,path=/", "'path' is unexpected" },
    { "-fsdev", "synth,id=a,mount_tag=b", "'mount_tag' is unexpected" },
    { "-fsdev", "synth,id=a,readonly=maybe", "'readonly'" },
    { "-fsdev", "synth,id=a,max_xattr=many", "'max_xattr'" },
    { "-fsdev", "synth,id=a,max_xattr=-1", "'max_xattr'" },
    { "-fsdev", "synth,id=a,max_xattr=4294967296", "'max_xattr'" },
    { "-fsdev", "synth,id=a,max-fids=many", "'max-fids'" },
    { "-fsdev", "synth,id=a,max-fids=-1", "'max-fids'" },
    { "-fsdev", "synth,id=a,max-fids=0",
      "max-fids=0: it must be from 1 to 4194304" },
    { "-fsdev", LOCAL("none") ",max-fids=4194305",
      "max-fids=4194305: it must be from 1 to 4194304" },
    { "-fsdev", "synth,id=a,max_fids=9", "'max_fids' is unexpected" },
    { "-fsdev", "synth,id=a,max-open-files=", "'max-open-files'" },
    { "-fsdev", "synth,id=a,max-open-files=4294967296", "'max-open-files'" },
    { "-fsdev", LOCAL("none") ",max-open-files=0",
      "max-open-files=0: it must be at least 1" },
    { "-fsdev", "{'fsdriver': 'synth', 'id': 'a', 'max-open-files': 0}",
      "max-open-files=0: it must be at least 1" },
    { "-fsdev", "synth,id=a,migration=on",
      "'migration' does not accept value 'on', only: off, names, handles, "
      "auto" },
    { "-fsdev", "synth,id=a,on-missing=ignore",
      "'on-missing' does not accept value 'ignore', only: fail, stale" },
    { "-fsdev", LOCAL("none") ",migration=off,on-missing=stale",
      "on-missing=stale: not with migration=off" },
    { "-fsdev", "{'fsdriver': 'synth', 'id': 'a', 'migration': 'off', "
      "'on-missing': 'fail'}", "on-missing=fail: not with migration=off" },
    { "-fsdev", "synth,id=a,migration=handles",
      "migration=handles: only with the drivers local and proxy" },
    { "-fsdev", "local,id=a,path=/proc,security_model=none,migration=handles",
      "migration=handles: the file system of path '/proc' has no file "
      "handles" },
    { "-fsdev", "synth,id=a", "id 'a' is already in use", true },
    { "-fsdev", "{", "JSON parse error" },
    { "-fsdev", "{}", "'fsdriver' is missing" },
    { "-fsdev", "{'fsdriver': 'synth', 'id': 5}", "'id'" },
    { "-fsdev", "{'fsdriver': 'synth', 'id': 'a', 'max_xattr': '5'}",
      "'max_xattr'" },
    { "-fsdev", "{'fsdriver': 'synth', 'id': 'a', 'colour': 'red'}",
      "'colour' is unexpected" },
    /* For a wrong word the message lists the right ones. */
    { "-fsdev", "floppy,id=a", "'floppy', only: local, proxy, synth" },
    { "-fsdev", "synth,id=a,multidevs=no",
      "'multidevs' does not accept value 'no', only: remap, warn, "
      "forbid" },
    { "-fsdev", LOCAL("none") ",writeout=later",
      "'writeout' does not accept value 'later', only: immediate" },
    { "-fsdev", LOCAL("mapped-foo"),
      "'security_model' does not accept value 'mapped-foo', only: "
      "passthrough, none, mapped, mapped-xattr, mapped-file" },
    { "-fsdev", "{'fsdriver': 'local', 'id': 'a', 'path': '/', "
      "'security_model': ''}", "'security_model' does not accept value "
      "'', only: passthrough" },
    /* Only readonly may stand without a value. */
    { "-fsdev", "synth,id=a,readonly,readwrite",
      "Expected '=' after parameter 'readwrite'" },
    { "-fsdev", "readonly,id=a", "'readonly', only: local" },
    { "-fsdev", "synth,readonly", "'id' is missing" },

    { "-fsdev", "local,id=a,path=/", "'security_model' is missing" },
    { "-fsdev", "local,id=a,security_model=none", "'path' is missing" },
    { "-fsdev", LOCAL("none") ",colour=red", "'colour' is unexpected" },
    { "-fsdev", LOCAL("none") ",socket=a", "'socket' is unexpected" },
    { "-fsdev", "local,id=a,security_model=none,path=/nonesuch",
      "path '/nonesuch': No such file or directory" },
    { "-fsdev", "local,id=a,security_model=none,path=",
      "path '': a directory is needed" },
    { "-fsdev", "local,id=a,security_model=none,path=/dev/null",
      "path '/dev/null' is not a directory" },
    { "-fsdev", LOCAL("mapped-xattr") ",fmode=rwx", "'fmode'" },
    { "-fsdev", LOCAL("mapped-xattr") ",fmode=0688", "'fmode'" },
    { "-fsdev", LOCAL("mapped-xattr") ",fmode=-1", "'fmode'" },
    { "-fsdev", LOCAL("mapped-xattr") ",fmode=644",
      "fmode=01204: permission bits are at most 0777 (octal, with a "
      "leading 0)" },
    { "-fsdev", LOCAL("mapped-file") ",dmode=01777",
      "dmode=01777: permission bits are at most 0777" },
    { "-fsdev", LOCAL("mapped") ",dmode=4294967295",
      "dmode=037777777777: permission bits are at most 0777" },
    { "-fsdev", LOCAL("passthrough") ",fmode=0644",
      "fmode=0644: only with security_model=mapped-xattr or "
      "mapped-file" },
    { "-fsdev", LOCAL("none") ",dmode=0755",
      "dmode=0755: only with security_model=mapped-xattr or "
      "mapped-file" },

    { "-fsdev", "synth,id=a,throttling=5", "'throttling'" },
    { "-fsdev", "synth,id=a,throttling.bps=5",
      "'throttling.bps' is unexpected" },
    { "-fsdev", "synth,id=a,throttling.bps-total=much",
      "'throttling.bps-total'" },
    { "-fsdev", "synth,id=a,throttling.bps-read=-1",
      "throttling.bps-read=-1: it must be from 0 to 1000000000000000" },
    { "-fsdev", "synth,id=a,throttling.iops-write=1,"
      "throttling.iops-write-max=1000000000000001",
      "throttling.iops-write-max=1000000000000001: it must be from 0" },
    { "-fsdev", "synth,id=a,throttling.bps-total=1,"
      "throttling.bps-read=1", "throttling.bps-total and "
      "throttling.bps-read exclude each other" },
    { "-fsdev", LOCAL("none") ",throttling.iops-write=1,"
      "throttling.iops-total=1", "throttling.iops-total and "
      "throttling.iops-write exclude each other" },
    { "-fsdev", "synth,id=a,throttling.bps-write-max=1",
      "throttling.bps-write-max needs throttling.bps-write" },
    { "-fsdev", "synth,id=a,throttling.iops-read=9,"
      "throttling.iops-read-max=8", "throttling.iops-read-max=8: it must "
      "not be lower than throttling.iops-read" },
    { "-fsdev", "synth,id=a,throttling.bps-read=1,"
      "throttling.bps-read-max-length=2",
      "throttling.bps-read-max-length needs throttling.bps-read-max" },
    { "-fsdev", "synth,id=a,throttling.bps-read=1,"
      "throttling.bps-read-max=1,throttling.bps-read-max-length=0",
      "throttling.bps-read-max-length=0: it must be from 1 to "
      "4294967295" },
    { "-fsdev", "synth,id=a,throttling.bps-read=1,"
      "throttling.bps-read-max=1000000000,"
      "throttling.bps-read-max-length=1000001",
      "throttling.bps-read-max-length=1000001: it is too high" },
    { "-fsdev", "synth,id=a,throttling.iops-size=512",
      "throttling.iops-size needs one of" },
    { "-fsdev", "{'fsdriver': 'synth', 'id': 'a', 'throttling': "
      "{'bps-total': 1, 'bps-write': 1}}",
      "throttling.bps-total and throttling.bps-write" },

    { "-virtfs", "local,mount_tag=a,path=/", "'security_model' is "
      "missing" },
    { "-virtfs", "local,mount_tag=a,security_model=none,path=/nonesuch",
      "path '/nonesuch': No such file or directory" },
    { "-virtfs", "synth", "'mount_tag' is missing" },
    { "-virtfs", "mount_tag=a", "'fsdriver' is missing" },
    { "-virtfs", "synth,mount_tag=/a", "'id' is missing, and mount_tag "
                                       "'/a' cannot stand for it" },
    { "-virtfs", "synth,mount_tag=a", "id 'a' is already in use", true },
    { "-virtfs", "{'fsdriver': 'synth', 'mount_tag': 5}",
      "'mount_tag' must be a string" },
    { "-virtfs", "synth,mount_tag=a,path=/", "'path' is unexpected" },
    { "-virtfs", "synth,mount_tag=a,max-fids=0", "max-fids=0: it must be" },
    { "-virtfs", "synth,mount_tag=a,migration=handles",
      "migration=handles: only with the drivers local and proxy" },
    { "-virtfs", "synth,mount_tag=a,on-missing=", "'on-missing' does not" },
    { "-virtfs", "synth,mount_tag=a,max-open-files=0",
      "max-open-files=0: it must be" },
    { "-virtfs", "{'fsdriver': 'synth', 'mount_tag': 'a', 'colour': 1}",
      "'colour' is unexpected" },
    { "-virtfs", "local,mount_tag=a,path=/dev/null,security_model=none",
      "path '/dev/null' is not a directory" },
    { "-virtfs", "local,mount_tag=a,path=/,security_model=none,fmode=0644",
      "fmode=0644: only with security_model=mapped-xattr" },
    { "-virtfs", "local,mount_tag=a,path=/,security_model=mapped-foo",
      "'security_model' does not accept value 'mapped-foo', only: " },
    { "-virtfs", "synth,mount_tag=a,throttling.bps-total=1,"
      "throttling.bps-read=1", "throttling.bps-total and "
      "throttling.bps-read exclude each other" },

    { "-fsdev", "proxy,id=a", "one of path, socket and sock_fd is "
                              "needed" },
    { "-virtfs", "proxy,mount_tag=a", "one of path, socket and sock_fd "
                                      "is needed" },
    { "-virtfs", "proxy,mount_tag=a,path=/,socket=s",
      "path '/' and socket 's' exclude each other" },
    { "-fsdev", "{'fsdriver': 'proxy', 'id': 'a', 'socket': 's', "
      "'sock_fd': '9'}", "socket 's' and sock_fd '9' exclude each other" },
    { "-virtfs", "{'fsdriver': 'proxy', 'mount_tag': 'a', 'socket': 's', "
      "'sock_fd': '9'}", "socket 's' and sock_fd '9' exclude each other" },
    { "-virtfs", "proxy,mount_tag=a,socket=s,helper=h",
      "helper 'h' and socket 's' exclude each other" },
    { "-virtfs", "proxy,mount_tag=a,path=/nonesuch",
      "path '/nonesuch': No such file or directory" },
    { "-virtfs", "proxy,mount_tag=a,path=/dev/null",
      "path '/dev/null' is not a directory" },
    { "-virtfs", "proxy,mount_tag=a,path=/,helper=/nonesuch",
      "helper '/nonesuch': No such file or directory" },
    { "-virtfs", "proxy,mount_tag=a,socket=/nonesuch",
      "socket '/nonesuch': No such file or directory" },
    { "-virtfs", "proxy,mount_tag=a,sock_fd=-1",
      "sock_fd '-1': it must be at least 3" },
    { "-virtfs", "proxy,mount_tag=a,sock_fd=1",
      "sock_fd '1': it must be at least 3, the others are" },
    { "-virtfs", "proxy,mount_tag=a,sock_fd=987",
      "sock_fd '987' is not an open descriptor" },
    { "-fsdev", "{'fsdriver': 'proxy', 'id': 'a', 'sock_fd': '987'}",
      "sock_fd '987' is not an open descriptor" },
    { "-fsdev", "{'fsdriver': 'proxy', 'id': 'a', 'sock_fd': 987}",
      "'sock_fd'" },
    { "-fsdev", "proxy,id=a,sock_fd=helper", "sock_fd 'helper' is not a "
      "descriptor number, and names are known in the monitor only" },
    { "-fsdev", "proxy,id=a,sock_fd=/dev/fdset/7",
      "sock_fd '/dev/fdset/7': Failed to find fdset" },
    { "-fsdev", "proxy,id=a,path=/,on-disconnect=panic",
      "'on-disconnect' does not accept value 'panic', only: eio, wait" },
    { "-fsdev", "proxy,id=a,path=/,on-disconnect=wait",
      "on-disconnect 'wait' requires reconnect" },
    { "-virtfs", "proxy,mount_tag=a,sock_fd=9,reconnect=1",
      "reconnect '1' and sock_fd '9' exclude each other" },
    { "-virtfs", "proxy,mount_tag=a,path=/,reconnect=-1", "'reconnect'" },
    { "-virtfs", "proxy,mount_tag=a,path=/,donate=maybe", "'donate'" },
    { "-virtfs", "proxy,mount_tag=a,path=/,ring=maybe", "'ring'" },
    /* fsdev-helper-options-test.c has all for a helper that QEMU starts. */
    { "-virtfs", "proxy,mount_tag=a,path=/,modcaps=chown",
      "modcaps 'chown': 'chown' is not + or - with one of" },
    { "-fsdev", "proxy,id=a,path=/,threads=65",
      "threads '65': must be from 1 to 64" },
    { "-fsdev", "proxy,id=a,path=/,threads=many", "'threads'" },
    { "-fsdev", "proxy,id=a,path=/,memory-limit=512",
      "memory-limit '512': must be a whole number of MiB, for instance 512M" },
    { "-virtfs", "proxy,mount_tag=a,path=/,sandbox=jail",
      "'sandbox' does not accept value 'jail', only: namespace, chroot, none" },
    { "-fsdev", "proxy,id=a,path=/,seccomp=off", "'seccomp' does not accept "
      "value 'off', only: kill, trap, log, none" },
    { "-fsdev", "proxy,id=a,path=/,log-level=all", "'log-level' does not "
      "accept value 'all', only: error, warning, info, debug" },
    { "-fsdev", "proxy,id=a,path=/,uid-map=1:1:1,,0:0:1,,9:9:x",
      "'9:9:x' is not INSIDE:OUTSIDE:COUNT" },
    { "-fsdev", "proxy,id=a,path=/,translate-uid=1:1:1,,to-guest:9:9:x",
      "'to-guest:9:9:x' is not GUEST:HOST:COUNT" },
    { "-fsdev", LOCAL("mapped-xattr") ",squash=all",
      "squash 'all': only with security_model=passthrough or none" },
    { "-fsdev", LOCAL("none") ",squash=no",
      "'squash' does not accept value 'no', only: root, all" },
    { "-virtfs", "proxy,mount_tag=a,socket=s,rlimit-nofile=300",
      "rlimit-nofile '300' and socket 's' exclude each other" },
    { "-fsdev", LOCAL("none") ",modcaps=+mknod", "'modcaps' is unexpected" },
#ifdef CONFIG_VIRTFS_PROXY_HELPER
    { "-fsdev", "proxy,id=a,path=.,protocol=1,ring=on",
      "ring=on: there is no ring in protocol version 1" },
#endif

    /* Before QEMU starts a helper */
    { "-fsdev", "proxy,id=a,path=/,protocol=1,migration=handles",
      "migration=handles: not with protocol=1" },
    { "-fsdev", "proxy,id=a,path=/,donate=off,migration=handles",
      "migration=handles: not with donate=off" },

    { "-device", "virtio-9p-pci,mount_tag=a", "'fsdev' is missing" },
    { "-device", "virtio-9p-pci,mount_tag=a,fsdev=b",
      "there is no fsdev with id 'b'" },
};

static void test_wrong(void *obj, void *data, QGuestAllocator *alloc)
{
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(wrong_cases); i++) {
        const WrongCase *c = &wrong_cases[i];
        g_autofree char *said = NULL;
        g_autofree char *where = g_strdup_printf(": %s %s: ", c->option,
                                                 c->arg);
        const char *message;
        int status;

        said = run_qemu(c->option, c->arg, c->twice, &status);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 1) {
            g_error("%s %s: wait status 0x%x\n%s", c->option, c->arg, status,
                    said);
        }
        /* One line, which names the option */
        message = strstr(said, where);
        if (!message || !strstr(message + strlen(where), c->says) ||
            strchr(said, '\n') != said + strlen(said) - 1) {
            g_error("%s %s: \"%s\" was expected, not\n%s", c->option, c->arg,
                    c->says, said);
        }
    }
}

/* In the child, before it becomes QEMU: drops root's privilege */
static void become_nobody(gpointer opaque)
{
    if (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0) {
        _exit(125);
    }
}

/* QEMU, as an ordinary user, must refuse @arg and say @expected at the end. */
static void assert_nobody_told(const char *arg, const char *expected)
{
    /* The user nobody may not reach its path, but can open it as this. */
    int qemu = open(getenv("QTEST_QEMU_BINARY"), O_RDONLY);
    g_autofree char *program = g_strdup_printf("/proc/self/fd/%d", qemu);
    const char *argv[] = {
        "timeout", "30", program, "-accel", "qtest", "-machine", "none",
        "-display", "none", "-nodefaults", "-fsdev", arg, NULL,
    };
    g_autofree char *err = NULL;
    GError *error = NULL;
    int status;

    g_assert_cmpint(qemu, >=, 0);
    g_spawn_sync("/", (char **)argv, NULL,
                 G_SPAWN_SEARCH_PATH | G_SPAWN_LEAVE_DESCRIPTORS_OPEN,
                 geteuid() == 0 ? become_nobody : NULL, NULL, NULL, &err,
                 &status, &error);
    g_assert_no_error(error);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 1 ||
        !g_str_has_suffix(err, expected)) {
        g_error("wait status 0x%x: \"%s\" was expected, not\n%s",
                status, expected, err);
    }
    close(qemu);
}

/* A folder that QEMU has no permission for, and one below that */
static void test_denied(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autofree char *folder = g_strdup("/tmp/qtest-9p-options-XXXXXX");
    g_autofree char *below = NULL;
    unsigned i;

    g_assert_nonnull(g_mkdtemp(folder));
    below = g_build_filename(folder, "below", NULL);
    g_assert_cmpint(mkdir(below, 0755), ==, 0);
    g_assert_cmpint(chmod(folder, 0), ==, 0);
    for (i = 0; i < 2; i++) {
        g_autofree char *arg = g_strdup_printf(
            "local,id=a,security_model=%s,path=%s",
            i ? "passthrough" : "mapped-xattr", below);
        g_autofree char *expected = g_strdup_printf(
            ": -fsdev %s: path '%s': Permission denied\n", arg, below);

        assert_nobody_told(arg, expected);
    }
    g_assert_cmpint(chmod(folder, 0700), ==, 0);
    g_assert_cmpint(rmdir(below), ==, 0);
    g_assert_cmpint(rmdir(folder), ==, 0);
}

/* Only root can open file handles. */
static void test_handles(void *obj, void *data, QGuestAllocator *alloc)
{
    static const char arg[] = LOCAL("none") ",migration=handles";
    struct file_handle none = { };
    int mount;
    bool has = name_to_handle_at(AT_FDCWD, "/", &none, &mount, 0) < 0 &&
               errno == EOVERFLOW;

    assert_nobody_told(arg, has ? "migration=handles: QEMU may not open file "
                       "handles, for which it must be root "
                       "(CAP_DAC_READ_SEARCH)\n"
                       : "migration=handles: the file system of path '/' has "
                       "no file handles\n");
}

/* A program changes all below a directory that is above the export's. */
static void test_changed(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autofree char *top = g_dir_make_tmp("fsdev-options-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(top, "in", NULL);
    g_autofree char *arg = g_strdup_printf("local,id=a,security_model=none,"
                                           "path=%s", path);
    g_autofree char *expected = g_strdup_printf(
        "path '%s': virtfs-mapped is changing the directory or one above it "
        "(or another process that has locked it so)\n", path);
    struct flock changed = {
        .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = SHARE_CHANGED,
        .l_len = 1,
    };
    int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    g_assert_cmpint(chmod(top, 0755), ==, 0);
    g_assert_cmpint(mkdir(path, 0755), ==, 0);
    g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &changed), ==, 0);
    assert_nobody_told(arg, expected);
    close(fd);
    rmdir(path);
    rmdir(top);
}

/* QEMU may not start the helper, as under libvirt */
static void test_sandbox(void *obj, void *data, QGuestAllocator *alloc)
{
#if defined(CONFIG_SECCOMP) && defined(CONFIG_VIRTFS_PROXY_HELPER)
    const char *argv[] = {
        "timeout", "30", getenv("QTEST_QEMU_BINARY"), "-accel", "qtest",
        "-machine", "none", "-display", "none", "-nodefaults",
        "-sandbox", "on,spawn=deny", "-fsdev", "proxy,id=a,path=/", NULL,
    };
    g_autofree char *err = NULL;
    GError *error = NULL;
    int status;

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                 NULL, &err, &status, &error);
    g_assert_no_error(error);
    g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    if (!strstr(err, "Operation not permitted (with -sandbox spawn=deny QEMU "
                     "starts no program; use socket or sock_fd)\n")) {
        g_error("not the right message: %s", err);
    }
#else
    g_test_skip("this build has no -sandbox, or no helper");
#endif
}

static void test_help(void *obj, void *data, QGuestAllocator *alloc)
{
    g_autofree char *said = NULL;
    int status;

    said = run_qemu("-fsdev", "help", false, &status);
    g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    g_assert_nonnull(strstr(said, "\nsynth\n"));
    g_assert_nonnull(strstr(said, "\nlocal\n"));
    g_assert_nonnull(strstr(said, "\nproxy\n"));
}

/* A QEMU with @options must have a device with that tag and fsdev. */
static void assert_device(const char *options, const char *tag,
                          const char *fsdev)
{
    QTestState *qts = qtest_initf("-machine pc -nodefaults %s", options);
    g_autofree char *tree = qtest_hmp(qts, "info qtree");
    g_autofree char *has_tag = g_strdup_printf("mount_tag = \"%s\"", tag);
    g_autofree char *has_fsdev = g_strdup_printf("fsdev = \"%s\"", fsdev);

    g_assert_nonnull(strstr(tree, "dev: virtio-9p-device"));
    g_assert_nonnull(strstr(tree, has_tag));
    g_assert_nonnull(strstr(tree, has_fsdev));
    qtest_quit(qts);
}

static const struct {
    const char *options;
    const char *tag;
    const char *fsdev;
} right_cases[] = {
    { "-fsdev synth,id=a -device virtio-9p-pci,fsdev=a,mount_tag=b",
      "b", "a" },
    /* The device may come first, and keys in any order. */
    { "-device virtio-9p-pci,fsdev=a,mount_tag=b -fsdev id=a,fsdriver="
      "synth,readonly=on,max_xattr=0", "b", "a" },
    { "-fsdev '{\"fsdriver\":\"synth\",\"id\":\"a\",\"readonly\":true,"
      "\"max_xattr\":5}' -device virtio-9p-pci,fsdev=a,mount_tag=b",
      "b", "a" },
    { "-virtfs synth,mount_tag=hostshare", "hostshare", "hostshare" },
    { "-virtfs synth,mount_tag=/mnt/x,id=a", "/mnt/x", "a" },
    { "-virtfs synth,mount_tag=a,,b,id=a,readonly=off", "a,b", "a" },
    { "-virtfs synth,mount_tag=a,max-open-files=3,max-fids=3", "a", "a" },
    { "-virtfs '{\"fsdriver\":\"synth\",\"mount_tag\":\"t\"}'",
      "t", "t" },
    { "-virtfs synth,mount_tag=a -virtfs synth,mount_tag=b", "b", "b" },
    { "-fsdev synth,id=a,migration=off "
      "-device virtio-9p-pci,fsdev=a,mount_tag=b", "b", "a" },
    { "-virtfs synth,mount_tag=a,migration=names,on-missing=fail", "a", "a" },

    /* All options of local, in their traditional spelling */
    { "-fsdev local,security_model=mapped,writeout=immediate,readonly,"
      "fmode=0644,dmode=0755,multidevs=remap,id=a,path=.,max_xattr=0,"
      "max-open-files=1,max-fids=4194304,migration=auto,on-missing=stale "
      "-device virtio-9p-pci,id=b,fsdev=a,mount_tag=b", "b", "a" },
    { "-fsdev local,id=a,path=.,security_model=mapped-file,fmode=0x1a4,"
      "dmode=493,noreadonly,multidevs=warn "
      "-device virtio-9p-pci,fsdev=a,mount_tag=b", "b", "a" },
    { "-virtfs local,path=.,mount_tag=b,security_model=none,id=a,"
      "readonly=off,multidevs=forbid,migration=names,on-missing=fail",
      "b", "a" },
    { "-virtfs local,path=.,mount_tag=b,security_model=mapped-xattr,"
      "readonly,writeout=immediate,fmode=0600,dmode=0700", "b", "b" },
    { "-virtfs fsdriver=local,path=.,mount_tag=b,"
      "security_model=passthrough", "b", "b" },
    { "-fsdev '{\"fsdriver\":\"local\",\"id\":\"a\",\"path\":\".\","
      "\"security_model\":\"mapped-xattr\",\"fmode\":420,"
      "\"throttling\":{\"bps-total\":1000}}' "
      "-device virtio-9p-pci,fsdev=a,mount_tag=b", "b", "a" },
    { "-virtfs local,path=.,mount_tag=b,security_model=none,"
      "throttling.bps-total=10,throttling.bps-total-max=20,"
      "throttling.bps-total-max-length=2,throttling.iops-total=10,"
      "throttling.iops-total-max=20,throttling.iops-total-max-length=2,"
      "throttling.iops-size=4096", "b", "b" },
    { "-virtfs local,path=.,mount_tag=b,security_model=none,"
      "throttling.bps-read=10,throttling.bps-read-max=20,"
      "throttling.bps-read-max-length=2,throttling.bps-write=10,"
      "throttling.bps-write-max=20,throttling.bps-write-max-length=2,"
      "throttling.iops-read=10,throttling.iops-read-max=20,"
      "throttling.iops-read-max-length=2,throttling.iops-write=10,"
      "throttling.iops-write-max=20,throttling.iops-write-max-length=2",
      "b", "b" },
    { "-virtfs synth,mount_tag=b,throttling.bps-total=0", "b", "b" },

#ifdef CONFIG_VIRTFS_PROXY_HELPER
    /* All options that go with a helper that QEMU starts */
    { "-fsdev proxy,id=a,path=.,writeout=immediate,donate=off,readonly,"
      "ring=on,reconnect=5,on-disconnect=wait,multidevs=forbid,max_xattr=7,"
      "max-open-files=4294967295,max-fids=1,throttling.bps-total=10,"
      "migration=names,on-missing=stale "
      "-device virtio-9p-pci,fsdev=a,mount_tag=b", "b", "a" },
    { "-virtfs proxy,mount_tag=b,id=a,path=.,writeout=immediate,"
      "donate=off,ring=on,readonly,reconnect=5,on-disconnect=wait,"
      "multidevs=forbid,max_xattr=7,max-open-files=9,max-fids=9,"
      "throttling.bps-total=10,migration=auto,on-missing=fail", "b", "a" },
    { "-virtfs proxy,mount_tag=b,id=a,path=.,modcaps=+mknod:-chown,"
      "sandbox=namespace,seccomp=log,threads=2,rlimit-nofile=300,"
      "memory-limit=1G,log-level=error,syslog=off", "b", "a" },
    { "-virtfs '{\"fsdriver\":\"proxy\",\"mount_tag\":\"a\","
      "\"path\":\".\",\"modcaps\":\"+setfcap\",\"seccomp\":\"kill\","
      "\"threads\":64,\"rlimit-nofile\":256,\"log-level\":\"warning\","
      "\"memory-limit\":1073741824,\"syslog\":true}'", "a", "a" },
    { "-fsdev '{\"fsdriver\":\"proxy\",\"id\":\"a\",\"path\":\".\","
      "\"writeout\":\"immediate\",\"donate\":false,\"readonly\":true,"
      "\"ring\":\"on\",\"reconnect\":5,\"on-disconnect\":\"wait\","
      "\"multidevs\":\"forbid\",\"max_xattr\":7,"
      "\"max-open-files\":9,\"max-fids\":9,"
      "\"migration\":\"names\",\"on-missing\":\"stale\","
      "\"throttling\":{\"bps-total\":10}}' "
      "-device virtio-9p-pci,fsdev=a,mount_tag=b", "b", "a" },
    { "-virtfs '{\"fsdriver\":\"proxy\",\"id\":\"a\",\"path\":\".\","
      "\"mount_tag\":\"b\",\"writeout\":\"immediate\","
      "\"donate\":false,\"ring\":\"off\",\"readonly\":true,"
      "\"reconnect\":5,"
      "\"on-disconnect\":\"wait\",\"multidevs\":\"forbid\","
      "\"max_xattr\":7,\"max-open-files\":9,\"max-fids\":9,"
      "\"throttling\":{\"bps-total\":10}}'",
      "b", "a" },
#endif
};

static void test_right(void *obj, void *data, QGuestAllocator *alloc)
{
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(right_cases); i++) {
        assert_device(right_cases[i].options, right_cases[i].tag,
                      right_cases[i].fsdev);
    }
}

/* Sections of a file for -readconfig */
static void test_config(void *obj, void *data, QGuestAllocator *alloc)
{
    static const char right[] =
        "[fsdev \"a\"]\n  fsdriver = \"local\"\n  path = \".\"\n"
        "  security_model = \"mapped-file\"\n  fmode = \"0640\"\n"
        "  readonly = \"on\"\n  throttling.bps-total = \"1000\"\n"
        "  migration = \"names\"\n  on-missing = \"stale\"\n"
        "[device]\n  driver = \"virtio-9p-pci\"\n  fsdev = \"a\"\n"
        "  mount_tag = \"b\"\n"
        "[virtfs]\n  fsdriver = \"synth\"\n  mount_tag = \"c\"\n"
#ifdef CONFIG_VIRTFS_PROXY_HELPER
        "[fsdev \"d\"]\n  fsdriver = \"proxy\"\n  path = \".\"\n"
        "  modcaps = \"+mknod\"\n  memory-limit = \"1G\"\n"
        "  threads = \"2\"\n  seccomp = \"log\"\n  syslog = \"off\"\n"
#endif
        ;
    static const struct {
        const char *text;
        const char *says;
    } wrong[] = {
        { "[fsdev]\n  fsdriver = \"synth\"\n", "'id' is missing" },
        { "[fsdev \"a\"]\n  fsdriver = \"synth\"\n  fmode = \"0640\"\n",
          "'fmode' is unexpected" },
        { "[fsdev \"a\"]\n  fsdriver = \"synth\"\n  colour = \"red\"\n",
          "'colour'" },
        { "[fsdev \"a\"]\n  fsdriver = \"synth\"\n"
          "  throttling.bps-total = \"1\"\n"
          "  throttling.bps-read = \"1\"\n", "throttling.bps-read" },
        { "[fsdev \"a\"]\n  fsdriver = \"synth\"\n"
          "  migration = \"off\"\n  on-missing = \"stale\"\n",
          "on-missing=stale: not with migration=off" },
        { "[virtfs]\n  fsdriver = \"synth\"\n", "'mount_tag' is missing" },
    };
    g_autofree char *name = g_strdup("qtest-9p-options-XXXXXX");
    g_autofree char *options = NULL;
    int fd = g_mkstemp(name);
    unsigned i;

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    options = g_strdup_printf("-readconfig %s", name);
    g_assert_true(g_file_set_contents(name, right, -1, NULL));
    assert_device(options, "b", "a");
    assert_device(options, "c", "c");

    for (i = 0; i < ARRAY_SIZE(wrong); i++) {
        g_autofree char *said = NULL;
        int status;

        g_assert_true(g_file_set_contents(name, wrong[i].text, -1, NULL));
        said = run_qemu("-readconfig", name, false, &status);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 1 ||
            !strstr(said, name) || !strstr(said, wrong[i].says)) {
            g_error("wait status 0x%x: \"%s\" was expected, not\n%s",
                    status, wrong[i].says, said);
        }
    }
    g_assert_cmpint(unlink(name), ==, 0);
}

/* Management software asks this before it uses an option. */
static void test_query(void *obj, void *data, QGuestAllocator *alloc)
{
    static const char *const keys[] = {
        "fsdriver", "path", "security_model", "readonly", "writeout", "fmode",
        "dmode", "multidevs", "max_xattr", "max-open-files", "max-fids",
        "socket", "sock_fd", "helper", "donate", "ring", "reconnect",
        "on-disconnect", "protocol", "user", "group", "modcaps", "uid-map",
        "gid-map", "squash", "anon-uid", "anon-gid", "translate-uid",
        "translate-gid", "special-files", "xattr-map", "act-as",
        "host-groups", "sandbox", "seccomp",
        "threads", "rlimit-nofile",
        "memory-limit", "log-level", "syslog", "migration", "on-missing",
        "throttling.bps-total", "throttling.iops-write-max-length",
        "throttling.iops-size",
    };
    QTestState *qts = qtest_init("-machine none -nodefaults");
    static const char *const options[] = { "fsdev", "virtfs" };
    unsigned i, j;

    for (i = 0; i < ARRAY_SIZE(options); i++) {
        QDict *reply = qtest_qmp(qts, "{'execute': 'query-command-line-"
                                 "options', 'arguments': {'option': %s}}",
                                 options[i]);
        g_autoptr(GString) json = qobject_to_json(
            QOBJECT(qdict_get_qlist(reply, "return")));

        for (j = 0; j < ARRAY_SIZE(keys); j++) {
            g_autofree char *named = g_strdup_printf("\"name\": \"%s\"",
                                                     keys[j]);

            g_assert_nonnull(strstr(json->str, named));
        }
        qobject_unref(reply);
    }
    qtest_quit(qts);
}

/* Tags by which no guest could mount, and the longest valid one */
static void test_device(void *obj, void *data, QGuestAllocator *alloc)
{
    QTestState *qts = qtest_init("-machine pc -nodefaults "
                                 "-fsdev synth,id=a");
    g_autofree char *longest = g_strnfill(4094, 'x');
    g_autofree char *longer = g_strnfill(4095, 'x');
    static const char wrong[] = "{'execute': 'device_add', 'arguments': "
        "{'driver': 'virtio-9p-pci', 'fsdev': 'a', 'mount_tag': %s}}";
    QDict *reply;

    reply = qtest_qmp_assert_failure_ref(qts, wrong, "");
    g_assert_nonnull(strstr(qdict_get_str(reply, "desc"), "'mount_tag'"));
    qobject_unref(reply);
    reply = qtest_qmp_assert_failure_ref(qts, wrong, longer);
    g_assert_nonnull(strstr(qdict_get_str(reply, "desc"), "4095 bytes"));
    qobject_unref(reply);
    qtest_qmp_assert_success(qts, wrong, longest);
    qtest_quit(qts);
}

static void register_tests(void)
{
    qos_add_test("options/wrong", "virtio-9p", test_wrong, NULL);
    qos_add_test("options/denied", "virtio-9p", test_denied, NULL);
    qos_add_test("options/handles", "virtio-9p", test_handles, NULL);
    qos_add_test("options/sandbox", "virtio-9p", test_sandbox, NULL);
    qos_add_test("options/changed-above", "virtio-9p", test_changed, NULL);
    qos_add_test("options/help", "virtio-9p", test_help, NULL);
    qos_add_test("options/right", "virtio-9p", test_right, NULL);
    qos_add_test("options/config", "virtio-9p", test_config, NULL);
    qos_add_test("options/query", "virtio-9p", test_query, NULL);
    qos_add_test("options/device", "virtio-9p", test_device, NULL);
}
libqos_init(register_tests);
