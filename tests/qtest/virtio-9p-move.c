/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See virtio-9p-move.h. The stream passes through descriptors that both QEMUs
 * get with "getfd", so it needs no path that QEMU's user may reach.
 */
#include "qemu/osdep.h"
#include "libqtest-single.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "virtio-9p-move.h"

#define PATIENCE_US     (60 * G_USEC_PER_SEC)
#define POLL_US         2000

QTestState *p9_move_new(const char *options, const char *log)
{
    /* libqtest gives the options to a shell. */
    g_autofree char *redirect = log ? g_strdup_printf("2>'%s'", log)
                                    : g_strdup("");

    return qtest_initf("%s -incoming defer %s", options, redirect);
}

/* "status" of query-migrate; if that is "failed", *error gets its text */
static char *status_of(QTestState *qts, char **error)
{
    g_autoptr(QDict) info = qtest_qmp_assert_success_ref(
        qts, "{'execute': 'query-migrate'}");
    const char *status = qdict_get_try_str(info, "status") ?: "none";

    if (!strcmp(status, "failed") && !*error) {
        *error = g_strdup(qdict_get_try_str(info, "error-desc") ?: status);
    }
    return g_strdup(status);
}

static bool is_over(QTestState *qts, char **error)
{
    g_autofree char *status = status_of(qts, error);

    return !strcmp(status, "completed") || !strcmp(status, "failed") ||
           !strcmp(status, "cancelled");
}

bool p9_move_runs(QTestState *qts)
{
    g_autoptr(QDict) info = qtest_qmp_assert_success_ref(
        qts, "{'execute': 'query-status'}");

    return qdict_get_bool(info, "running");
}

/* Waits until the migration is over there: NULL or the error */
static char *wait_over(QTestState *qts)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_US;
    char *error = NULL;

    while (!is_over(qts, &error)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(POLL_US);
    }
    return error;
}

static void wait_runs(QTestState *qts)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_US;

    while (!p9_move_runs(qts)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(POLL_US);
    }
}

/* QEMU gets the descriptor, as "move", and this program closes it. */
static void give_fd(QTestState *qts, int fd)
{
    qtest_qmp_fds_assert_success(qts, &fd, 1, "{'execute': 'getfd', "
                                 "'arguments': {'fdname': 'move'}}");
    close(fd);
}

static void set_capability(QTestState *qts, const char *name, bool on)
{
    qtest_qmp_assert_success(qts, "{'execute': 'migrate-set-capabilities', "
                             "'arguments': {'capabilities': [{'capability': "
                             "%s, 'state': %i}]}}", name, on);
}

/*
 * With this the source hears of a destination that fails. Both need it, and a
 * file cannot have it.
 */
static void set_return_path(QTestState *qts, bool on)
{
    set_capability(qts, "return-path", on);
}

/* NULL, or the error with which QEMU refuses to begin */
static char *begin(QTestState *qts)
{
    g_autoptr(QDict) reply = qtest_qmp(qts, "{'execute': 'migrate', "
                                       "'arguments': {'uri': 'fd:move'}}");

    if (qdict_haskey(reply, "error")) {
        return g_strdup(qdict_get_str(qdict_get_qdict(reply, "error"),
                                      "desc"));
    }
    return NULL;
}

static void begin_incoming(QTestState *qts)
{
    qtest_qmp_assert_success(qts, "{'execute': 'migrate-incoming', "
                             "'arguments': {'uri': 'fd:move', "
                             "'exit-on-error': false}}");
}

static char *either(char *first, char *second)
{
    char *error = first && second ? g_strdup_printf("%s; %s", first, second)
                                  : g_strdup(first ?: second);

    g_free(first);
    g_free(second);
    return error;
}

/* A connection between both, with a way back */
static void connect_both(QTestState *from, QTestState *to)
{
    int sv[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv),
                    ==, 0);
    give_fd(from, sv[0]);
    give_fd(to, sv[1]);
    set_return_path(from, true);
    set_return_path(to, true);
    begin_incoming(to);
}

char *p9_move_begin(QTestState *from, QTestState *to)
{
    char *error;

    connect_both(from, to);
    error = begin(from);
    if (error) {
        /* The destination would wait. */
        qtest_qmp_assert_success(from, "{'execute': 'closefd', "
                                 "'arguments': {'fdname': 'move'}}");
    }
    return error;
}

char *p9_move_end(QTestState *from, QTestState *to)
{
    char *here = wait_over(from);
    char *there = wait_over(to);

    return either(here, there);
}

char *p9_move(QTestState *from, QTestState *to)
{
    bool runs = p9_move_runs(from);
    char *error = p9_move_begin(from, to) ?: p9_move_end(from, to);

    if (runs) {
        wait_runs(error ? from : to);
    }
    return error;
}

/* Whether a postcopy migration can come in: the host may forbid it. */
static bool can_postcopy(QTestState *to)
{
    g_autoptr(QDict) reply = qtest_qmp(
        to, "{'execute': 'migrate-set-capabilities', 'arguments': "
        "{'capabilities': [{'capability': 'postcopy-ram', 'state': true}]}}");

    return !qdict_haskey(reply, "error");
}

static void wait_status(QTestState *qts, const char *wanted)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_US;
    g_autofree char *error = NULL;

    for (;;) {
        g_autofree char *status = status_of(qts, &error);

        if (!strcmp(status, wanted)) {
            return;
        }
        g_assert_cmpstr(error, ==, NULL);
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(POLL_US);
    }
}

static void set_bandwidth(QTestState *qts, uint64_t bytes)
{
    qtest_qmp_assert_success(qts, "{'execute': 'migrate-set-parameters', "
                             "'arguments': {'max-bandwidth': %" PRIu64 "}}",
                             bytes);
}

bool p9_move_postcopy(QTestState *from, QTestState *to)
{
    char *error;

    if (!can_postcopy(to)) {
        return false;
    }
    set_capability(from, "postcopy-ram", true);
    connect_both(from, to);
    /* All memory would be there before the guest's state. */
    set_bandwidth(from, 4096);
    error = begin(from);
    g_assert_cmpstr(error, ==, NULL);
    wait_status(from, "active");
    qtest_qmp_assert_success(from, "{'execute': 'migrate-start-postcopy'}");
    /* "postcopy-active" may be over before it is seen. */
    error = wait_over(from);
    g_assert_cmpstr(error, ==, NULL);
    error = wait_over(to);
    g_assert_cmpstr(error, ==, NULL);
    wait_runs(to);
    /* Its next migration is another one. */
    set_capability(to, "postcopy-ram", false);
    return true;
}

void p9_move_set_mode(QTestState *qts, const char *mode)
{
    qtest_qmp_assert_success(qts, "{'execute': 'migrate-set-parameters', "
                             "'arguments': {'mode': %s}}", mode);
}

char *p9_move_save(QTestState *from, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    bool runs = p9_move_runs(from);
    char *error;

    g_assert_cmpint(fd, >=, 0);
    give_fd(from, fd);
    set_return_path(from, false);
    error = begin(from);
    if (!error) {
        error = wait_over(from);
    }
    if (error && runs) {
        wait_runs(from);
    }
    return error;
}

char *p9_move_load_stopped(QTestState *to, const char *path)
{
    int fd = open(path, O_RDONLY);

    g_assert_cmpint(fd, >=, 0);
    give_fd(to, fd);
    begin_incoming(to);
    return wait_over(to);
}

char *p9_move_load(QTestState *to, const char *path)
{
    char *error = p9_move_load_stopped(to, path);

    if (!error) {
        wait_runs(to);
    }
    return error;
}

void p9_move_client(P9Client *c, QVirtio9P *v9p)
{
    QVirtioPCIDevice *dev = container_of(v9p->vdev, QVirtioPCIDevice, vdev);

    dev->pdev->bus->qts = global_qtest;
    p9c_moved(c);
}

/*
 * Snapshots
 */

/* Waits for the end of the job and forgets it: NULL or its error */
static char *end_job(QTestState *qts, const char *id)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_US;
    char *error = NULL;
    bool concluded = false;

    while (!concluded) {
        g_autoptr(QDict) reply = qtest_qmp(qts, "{'execute': 'query-jobs'}");
        QListEntry *entry;

        QLIST_FOREACH_ENTRY(qdict_get_qlist(reply, "return"), entry) {
            QDict *job = qobject_to(QDict, qlist_entry_obj(entry));

            if (!strcmp(qdict_get_str(job, "id"), id) &&
                !strcmp(qdict_get_str(job, "status"), "concluded")) {
                concluded = true;
                error = g_strdup(qdict_get_try_str(job, "error"));
            }
        }
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(POLL_US);
    }
    qtest_qmp_assert_success(qts, "{'execute': 'job-dismiss', "
                             "'arguments': {'id': %s}}", id);
    return error;
}

void p9_move_make_image(QTestState *qts)
{
    enum { SIZE = 64 * 1024 };
    int fd = memfd_create("image", MFD_CLOEXEC);
    g_autofree char *error = NULL;

    g_assert_cmpint(fd, >=, 0);
    qtest_qmp_fds_assert_success(qts, &fd, 1, "{'execute': 'add-fd', "
                                 "'arguments': {'fdset-id': 1}}");
    close(fd);
    qtest_qmp_assert_success(qts, "{'execute': 'blockdev-add', 'arguments': {"
                             "'driver': 'file', 'node-name': 'move-file', "
                             "'filename': '/dev/fdset/1'}}");
    qtest_qmp_assert_success(qts, "{'execute': 'blockdev-create', "
                             "'arguments': {'job-id': 'move', 'options': {"
                             "'driver': 'qcow2', 'file': 'move-file', "
                             "'size': %d}}}", SIZE);
    error = end_job(qts, "move");
    g_assert_cmpstr(error, ==, NULL);
    qtest_qmp_assert_success(qts, "{'execute': 'blockdev-add', 'arguments': {"
                             "'driver': 'qcow2', 'node-name': 'move', "
                             "'file': 'move-file'}}");
}

static char *run_job(QTestState *qts, const char *command, const char *tag)
{
    qtest_qmp_assert_success(qts, "{'execute': %s, 'arguments': {"
                             "'job-id': 'move', 'tag': %s, 'vmstate': 'move', "
                             "'devices': ['move']}}", command, tag);
    return end_job(qts, "move");
}

char *p9_move_snapshot(QTestState *qts, const char *tag)
{
    return run_job(qts, "snapshot-save", tag);
}

char *p9_move_back(QTestState *qts, const char *tag)
{
    char *error = run_job(qts, "snapshot-load", tag);

    /* snapshot-load leaves the VM stopped, as after "stop". */
    if (!error && !p9_move_runs(qts)) {
        qtest_qmp_assert_success(qts, "{'execute': 'cont'}");
    }
    return error;
}
