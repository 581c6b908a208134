/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The capabilities that the helper may serve with, as bits by number.
 *
 *   CHOWN            give files to the guest's users
 *   DAC_OVERRIDE     act for every owner, whatever the modes say: the guest
 *                    has checked its users' access
 *   DAC_READ_SEARCH  the same for reading files and searching directories
 *   FOWNER           chmod, utimes, sticky directories, for every owner
 *   FSETID           keep set-id bits over a write or chmod
 *
 * and, if --modcaps asks for them:
 *
 *   MKNOD            make device nodes (the helper's mount does not open them,
 *                    but other mounts of the directory may)
 *   SETFCAP          give programs capabilities (security.capability, which
 *                    the helper serves only then)
 *
 * None of the first five lets a process leave its mount namespace, become
 * root, trace or signal another process, load code into the kernel, or make a
 * device node.
 */
#ifndef FSDEV_SHARED_CAPS_H
#define FSDEV_SHARED_CAPS_H

#include "qemu/osdep.h"

/* The five of above */
uint64_t caps_usual(void);

/*
 * Applies changes to *@caps: "+NAME" or "-NAME", or several of these with
 * colons between them. Returns NULL, or a description of the error (g_free).
 */
char *caps_change(uint64_t *caps, const char *changes);

/* Whether @caps have the capability @cap (CAP_*) */
static inline bool caps_have(uint64_t caps, unsigned cap)
{
    return caps & 1ull << cap;
}

#endif /* FSDEV_SHARED_CAPS_H */
