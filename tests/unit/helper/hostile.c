/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Code that the tests with a hostile client share: see hostile.h.
 */
#include "qemu/osdep.h"
#include "hostile.h"
#include "proxy-proc.h"

const char *const hostile_namespaces[] = { "--sandbox=namespace", NULL };
const char *const hostile_no_sandbox[] = { "--sandbox=none", NULL };

unsigned hostile_memory_of(pid_t pid)
{
    g_autofree char *text = pp_status(pid, "RssAnon");

    return strtoul(text, NULL, 10);
}
