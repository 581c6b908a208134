/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The state of a running virtfs-proxy-helper in /proc: see proxy-proc.h.
 */
#include "qemu/osdep.h"
#include "proxy-proc.h"
#include <glib/gstdio.h>

static char *proc_text(pid_t pid, const char *name)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/%s", pid, name);
    char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) ? text : NULL;
}

/* The rest of the line of @text that begins with @start; "" if none */
static char *find_line(const char *text, const char *start)
{
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    unsigned i;

    for (i = 0; lines[i]; i++) {
        if (g_str_has_prefix(lines[i], start)) {
            return g_strdup(g_strstrip(lines[i] + strlen(start)));
        }
    }
    return g_strdup("");
}

char *pp_status(pid_t pid, const char *name)
{
    g_autofree char *text = proc_text(pid, "status");
    g_autofree char *start = g_strconcat(name, ":", NULL);

    return find_line(text, start);
}

void pp_expect_status(pid_t pid, const char *name, const char *value)
{
    g_autofree char *got = pp_status(pid, name);

    if (!g_str_equal(got, value)) {
        g_error("pid %d: %s is '%s' and not '%s'", pid, name, got, value);
    }
}

void pp_expect_limit(pid_t pid, const char *name, const char *value)
{
    g_autofree char *text = proc_text(pid, "limits");
    g_autofree char *line = find_line(text, name);
    g_autofree char *soft = NULL;
    g_autofree char *hard = NULL;

    g_assert_cmpint(sscanf(line, "%ms %ms", &soft, &hard), ==, 2);
    if (!g_str_equal(soft, value) || !g_str_equal(hard, value)) {
        g_error("pid %d: %s is %s and not %s", pid, name, line, value);
    }
}

pid_t pp_child(pid_t pid)
{
    g_autofree char *name = g_strdup_printf("task/%d/children", pid);
    g_autofree char *text = proc_text(pid, name);

    return text ? strtoul(text, NULL, 10) : 0;
}

static bool status_is(pid_t pid, const char *name, const char *value)
{
    g_autofree char *got = pp_status(pid, name);

    return g_str_equal(got, value);
}

pid_t pp_wait_ready_caps(pid_t pid, const char *caps)
{
    gint64 end = g_get_monotonic_time() + PC_TIMEOUT * G_USEC_PER_SEC;

    for (;;) {
        pid_t server = pp_child(pid);

        if (server && status_is(server, "CapEff", caps) &&
            status_is(server, "NoNewPrivs", "1") &&
            status_is(server, "Seccomp", PP_FILTERED) &&
            status_is(pid, "NoNewPrivs", "1") &&
            status_is(pid, "Seccomp", PP_FILTERED)) {
            return server;
        }
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
}

pid_t pp_wait_ready(pid_t pid)
{
    return pp_wait_ready_caps(pid, PP_FIVE);
}

void pp_expect_id(pid_t pid, const char *name, unsigned id)
{
    g_autofree char *four = g_strdup_printf("%u\t%u\t%u\t%u", id, id, id, id);

    pp_expect_status(pid, name, four);
}

unsigned pp_id(pid_t pid, const char *name)
{
    g_autofree char *ids = pp_status(pid, name);

    g_assert_true(g_ascii_isdigit(*ids));
    return strtoul(ids, NULL, 10);
}

void pp_expect_privileges(pid_t pid, const char *caps, unsigned uid,
                          unsigned gid)
{
    pp_expect_id(pid, "Uid", uid);
    pp_expect_id(pid, "Gid", gid);
    pp_expect_status(pid, "CapEff", caps);
    pp_expect_status(pid, "CapPrm", caps);
    pp_expect_status(pid, "CapBnd", PP_NONE);
    pp_expect_status(pid, "CapInh", PP_NONE);
    pp_expect_status(pid, "CapAmb", PP_NONE);
    pp_expect_status(pid, "NoNewPrivs", "1");
    pp_expect_status(pid, "Seccomp", PP_FILTERED);
}

bool pp_other_namespace(pid_t pid, const char *name)
{
    g_autofree char *own_path = g_strdup_printf("/proc/self/ns/%s", name);
    g_autofree char *path = g_strdup_printf("/proc/%d/ns/%s", pid, name);
    g_autofree char *own = g_file_read_link(own_path, NULL);
    g_autofree char *its = g_file_read_link(path, NULL);

    g_assert_nonnull(own);
    g_assert_nonnull(its);
    return !g_str_equal(own, its);
}

void pp_expect_one_mount(pid_t pid, const char *options)
{
    g_autofree char *text = proc_text(pid, "mountinfo");
    g_auto(GStrv) fields = NULL;

    g_assert_nonnull(text);
    if (strchr(text, '\n') != text + strlen(text) - 1) {
        g_error("more than one mount: %s", text);
    }
    fields = g_strsplit(text, " ", -1);
    g_assert_cmpstr(fields[4], ==, "/");
    g_assert_true(g_str_has_prefix(fields[5], options));
}

unsigned pp_private_kib(pid_t pid)
{
    g_autofree char *text = proc_text(pid, "smaps_rollup");
    g_autofree char *clean = find_line(text, "Private_Clean:");
    g_autofree char *dirty = find_line(text, "Private_Dirty:");

    return strtoul(clean, NULL, 10) + strtoul(dirty, NULL, 10);
}

unsigned pp_open_files(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/fd", pid);
    GDir *dir = g_dir_open(path, 0, NULL);
    unsigned n = 0;

    g_assert_nonnull(dir);
    while (g_dir_read_name(dir)) {
        n++;
    }
    g_dir_close(dir);
    return n;
}
