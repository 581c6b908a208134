/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tells ThreadSanitizer what GLib's locks order. GLib has no sanitizer, and
 * its locks are futexes of its own. In a build with ThreadSanitizer the
 * compiler includes this file at the start of each C file (meson.build).
 */
#ifndef FSDEV_SHARED_TSAN_LOCKS_H
#define FSDEV_SHARED_TSAN_LOCKS_H

/* As the base defines them for itself */
#define GLIB_VERSION_MIN_REQUIRED GLIB_VERSION_2_66
#define GLIB_VERSION_MAX_ALLOWED GLIB_VERSION_2_66
#include <glib.h>
#include <sanitizer/tsan_interface.h>

static inline void tsan_mutex_lock(GMutex *mutex)
{
    g_mutex_lock(mutex);
    __tsan_acquire(mutex);
}

static inline gboolean tsan_mutex_trylock(GMutex *mutex)
{
    gboolean locked = g_mutex_trylock(mutex);

    if (locked) {
        __tsan_acquire(mutex);
    }
    return locked;
}

static inline void tsan_mutex_unlock(GMutex *mutex)
{
    __tsan_release(mutex);
    g_mutex_unlock(mutex);
}

static inline void tsan_cond_wait(GCond *cond, GMutex *mutex)
{
    __tsan_release(mutex);
    g_cond_wait(cond, mutex);
    __tsan_acquire(mutex);
}

static inline gboolean tsan_cond_wait_until(GCond *cond, GMutex *mutex,
                                            gint64 end_time)
{
    gboolean woken;

    __tsan_release(mutex);
    woken = g_cond_wait_until(cond, mutex, end_time);
    __tsan_acquire(mutex);
    return woken;
}

#define g_mutex_lock tsan_mutex_lock
#define g_mutex_trylock tsan_mutex_trylock
#define g_mutex_unlock tsan_mutex_unlock
#define g_cond_wait tsan_cond_wait
#define g_cond_wait_until tsan_cond_wait_until

#endif /* FSDEV_SHARED_TSAN_LOCKS_H */
