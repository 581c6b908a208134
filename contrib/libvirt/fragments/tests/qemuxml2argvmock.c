/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fragment: pieces for a file of libvirt (edits.toml). */

/* graft: descriptors */
static const int testCommandPassSafeFDs[] = { 1730, 1731, 1732, 1740, 1741 };
