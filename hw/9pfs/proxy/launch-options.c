/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The proxy driver's options that concern the helper.
 *
 * An option of virtfs-proxy-helper that makes sense for a helper that QEMU
 * starts has a key of the same name. QEMU checks the value first, so that the
 * error names the key; what only the helper can know, it says itself. The other
 * options of the helper are QEMU's to choose (path, fd, nodaemon), follow from
 * options of every driver (readonly; file-handles from migration), or are for a
 * helper that listens or that has no starter to watch it (socket, uid, gid,
 * persist, pidfile).
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/units.h"
#include "fsdev/shared/caps.h"
#include "fsdev/shared/helper-limits.h"
#include "fsdev/shared/idmap.h"
#include "fsdev/shared/xattr-map.h"
#include "hw/9pfs/fs/export.h"
#include "hw/9pfs/fs/ids.h"
#include "launch-options.h"

static void put(GPtrArray *keys, const char *key, char *value)
{
    g_ptr_array_add(keys, g_strdup(key));
    g_ptr_array_add(keys, value);
}

static void put_text(GPtrArray *keys, const char *key, const char *text)
{
    if (text) {
        put(keys, key, g_strdup(text));
    }
}

static void put_number(GPtrArray *keys, const char *key, bool has,
                       uint64_t number)
{
    if (has) {
        put(keys, key, g_strdup_printf("%" PRIu64, number));
    }
}

/* The helper's keys that @opts have, each before its value (NULL: none) */
static GPtrArray *helper_keys(const FsdevProxyOptions *o)
{
    GPtrArray *keys = g_ptr_array_new_with_free_func(g_free);

    put_text(keys, "user", o->user);
    put_text(keys, "group", o->group);
    put_text(keys, "modcaps", o->modcaps);
    put_text(keys, "uid-map", o->uid_map);
    put_text(keys, "gid-map", o->gid_map);
    put_text(keys, "squash", o->has_squash ? FsdevSquash_str(o->squash)
                                           : NULL);
    put_number(keys, "anon-uid", o->has_anon_uid, o->anon_uid);
    put_number(keys, "anon-gid", o->has_anon_gid, o->anon_gid);
    put_text(keys, "translate-uid", o->translate_uid);
    put_text(keys, "translate-gid", o->translate_gid);
    put_text(keys, "special-files", o->has_special_files ?
             FsdevSpecialFiles_str(o->special_files) : NULL);
    put_text(keys, "xattr-map", o->xattr_map);
    put_text(keys, "act-as", o->has_act_as ? FsdevActAs_str(o->act_as) : NULL);
    if (o->has_host_groups && o->host_groups) {
        put(keys, "host-groups", NULL);
    }
    put_text(keys, "sandbox", o->has_sandbox ?
             FsdevHelperSandbox_str(o->sandbox) : NULL);
    put_text(keys, "seccomp", o->has_seccomp ?
             FsdevHelperSeccomp_str(o->seccomp) : NULL);
    put_number(keys, "threads", o->has_threads, o->threads);
    put_number(keys, "rlimit-nofile", o->has_rlimit_nofile, o->rlimit_nofile);
    put_number(keys, "memory-limit", o->has_memory_limit,
               o->memory_limit / MiB);
    put_text(keys, "log-level", o->has_log_level ?
             FsdevHelperLogLevel_str(o->log_level) : NULL);
    if (o->has_syslog && o->syslog) {
        put(keys, "syslog", NULL);
    }
    return keys;
}

char **proxy_options_argv(const FsdevProxyOptions *opts, const char *program,
                          int fd, const ProxyWanted *wanted)
{
    g_autoptr(GPtrArray) keys = helper_keys(opts);
    GPtrArray *argv = g_ptr_array_new();
    unsigned i;

    g_ptr_array_add(argv, g_strdup(program));
    g_ptr_array_add(argv, g_strdup("-n"));
    g_ptr_array_add(argv, g_strdup("-p"));
    g_ptr_array_add(argv, g_strdup(opts->path));
    /* The helper reports what is wrong with later options through it. */
    g_ptr_array_add(argv, g_strdup("-f"));
    g_ptr_array_add(argv, g_strdup_printf("%d", fd));
    if (wanted->readonly) {
        g_ptr_array_add(argv, g_strdup("--readonly"));
    }
    if (wanted->file_handles) {
        g_ptr_array_add(argv, g_strdup("--file-handles=on"));
    }
    for (i = 0; i < keys->len; i += 2) {
        const char *key = g_ptr_array_index(keys, i);
        const char *value = g_ptr_array_index(keys, i + 1);

        g_ptr_array_add(argv, g_strconcat("--", key, value ? "=" : NULL,
                                          value, NULL));
    }
    g_ptr_array_add(argv, NULL);
    return (char **)g_ptr_array_free(argv, FALSE);
}

/*
 * Checks
 */

static bool check_number(const char *key, bool has, uint64_t number,
                         uint64_t min, uint64_t max, Error **errp)
{
    if (has && (number < min || number > max)) {
        error_setg(errp, "%s '%" PRIu64 "': must be from %" PRIu64 " to %"
                   PRIu64, key, number, min, max);
        return false;
    }
    return true;
}

static bool check_map(const char *key, const char *text, Error **errp)
{
    ProxyIdRange map[PROXY_IDMAP_MAX];
    unsigned n = 0;
    g_autofree char *why = text ? idmap_add(map, &n, text) : NULL;

    if (why) {
        error_setg(errp, "%s '%s': %s", key, text, why);
        return false;
    }
    if (text && idmap_outside(map, n, 0) == IDMAP_NONE) {
        error_setg(errp, "%s '%s': no range has id 0 inside, which the helper "
                   "serves as", key, text);
        return false;
    }
    return true;
}

static bool check_ids(const FsdevProxyOptions *o, Error **errp)
{
    const FsdevIdOptions *ids = qapi_FsdevProxyOptions_base(o);
    g_autofree char *first = fs_ids_first(ids);
    g_autofree IdTranslate *t = NULL;

    if (first && (o->uid_map || o->gid_map)) {
        error_setg(errp, "%s and %s '%s' exclude each other", first,
                   o->uid_map ? "uid-map" : "gid-map",
                   o->uid_map ?: o->gid_map);
        return false;
    }
    return fs_ids_parse(ids, &t, errp);
}

/* Names are the helper's to look up: that may take long. */
static bool check_identity(const char *key, const char *name, Error **errp)
{
    if (name && !*name) {
        error_setg(errp, "%s '': a name or a number is needed", key);
        return false;
    }
    if (name && geteuid() != 0) {
        error_setg(errp, "%s '%s': only a helper that root starts can change "
                   "its identity", key, name);
        return false;
    }
    return true;
}

static bool check_xattr_map(const char *rules, Error **errp)
{
    FsXattrMap *map;
    bool ok = fs_export_parse_xattr_map(rules, &map, errp);

    fs_xattr_map_free(map);
    return ok;
}

static bool check_helper_keys(const FsdevProxyOptions *o, Error **errp)
{
    uint64_t caps = 0;
    g_autofree char *why = o->modcaps ? caps_change(&caps, o->modcaps) : NULL;

    if (why) {
        error_setg(errp, "modcaps '%s': %s", o->modcaps, why);
        return false;
    }
    if (o->has_memory_limit && o->memory_limit % MiB) {
        error_setg(errp, "memory-limit '%" PRIu64 "': must be a whole number "
                   "of MiB, for instance 512M", o->memory_limit);
        return false;
    }
    return check_identity("user", o->user, errp) &&
           check_identity("group", o->group, errp) &&
           check_map("uid-map", o->uid_map, errp) &&
           check_map("gid-map", o->gid_map, errp) &&
           check_ids(o, errp) &&
           check_xattr_map(o->xattr_map, errp) &&
           check_number("threads", o->has_threads, o->threads, 1, THREADS_MAX,
                        errp) &&
           check_number("rlimit-nofile", o->has_rlimit_nofile,
                        o->rlimit_nofile, FILES_MIN, FILES_MAX, errp) &&
           check_number("memory-limit", o->has_memory_limit, o->memory_limit,
                        MiB, MEMORY_MAX * MiB, errp);
}

/* Options that only a helper has which QEMU starts: @how leads to another. */
static bool check_running(const FsdevProxyOptions *o, const char *how,
                          const char *value, Error **errp)
{
    g_autoptr(GPtrArray) keys = helper_keys(o);
    const char *key = o->helper ? "helper" : NULL;
    const char *text = o->helper;

    if (!key && keys->len) {
        key = g_ptr_array_index(keys, 0);
        text = g_ptr_array_index(keys, 1) ?: "on";
    }
    if (key) {
        error_setg(errp, "%s '%s' and %s '%s' exclude each other: "
                   "that helper is already running", key, text, how, value);
    }
    return !key;
}

static bool check_protocol(const FsdevProxyOptions *opts, Error **errp)
{
    if (opts->has_protocol && opts->protocol != 1 && opts->protocol != 2) {
        error_setg(errp, "protocol '%d': must be 1 or 2",
                   (int)opts->protocol);
        return false;
    }
#ifndef CONFIG_VIRTFS_PROXY_V1
    if (opts->has_protocol && opts->protocol == 1) {
        error_setg(errp, "protocol '1': this build of QEMU has no protocol "
                   "version 1");
        return false;
    }
#endif
    return true;
}

bool proxy_options_check(const FsdevProxyOptions *opts, Error **errp)
{
    static const char *const keys[] = { "path", "socket", "sock_fd" };
    const char *values[] = { opts->path, opts->socket, opts->sock_fd };
    int i, given = -1;

    for (i = 0; i < ARRAY_SIZE(keys); i++) {
        if (!values[i]) {
            continue;
        }
        if (given >= 0) {
            error_setg(errp, "%s '%s' and %s '%s' exclude each other",
                       keys[given], values[given], keys[i], values[i]);
            return false;
        }
        given = i;
    }
    if (opts->sock_fd && opts->reconnect) {
        error_setg(errp, "reconnect '%" PRIu32 "' and sock_fd '%s' exclude "
                   "each other: QEMU cannot make that connection again",
                   opts->reconnect, opts->sock_fd);
        return false;
    }
    if (opts->on_disconnect == FSDEV_ON_DISCONNECT_WAIT && !opts->reconnect) {
        error_setg(errp, "on-disconnect 'wait' requires reconnect; otherwise "
                   "the wait would never end");
        return false;
    }
    if (given < 0) {
        error_setg(errp, "one of path, socket and sock_fd is needed");
        return false;
    }
    return check_protocol(opts, errp) && check_helper_keys(opts, errp) &&
           (opts->path || check_running(opts, keys[given], values[given],
                                        errp));
}
