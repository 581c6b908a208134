/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fuzzer of what the host keeps for the guest: the text of metadata files and
 * the attributes of the mapped security models, and POSIX ACLs.
 *
 * fuzz-server with more kinds of records: those of server-host.c change the
 * export from the host's side, between the messages of a guest that looks.
 */
#define FUZZ_MAPPED
#include "fuzz-server.c"
