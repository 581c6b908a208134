/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For cases whose guest goes on in another QEMU, of the same options.
 */
#ifndef TESTS_VIRTIO_9P_BEHAVIOUR_MOVE_H
#define TESTS_VIRTIO_9P_BEHAVIOUR_MOVE_H

#include "virtio-9p-behaviour.h"
#include "virtio-9p-move.h"

/* The guest goes on in a new QEMU, and the old one ends. */
void move(Test *t);
/* The same, with other options for the new one */
void move_to(Test *t, const char *options);

/*
 * The guest is saved and its QEMU ends; then, after @between unless that is
 * NULL, it goes on in a new one.
 */
void move_by_file(Test *t, void (*between)(Test *t));

/* The guest has moved there: the test goes on in that QEMU. */
void move_arrived(Test *t, QTestState *to);

/*
 * Options as those of this QEMU, but for the export's folder, which is @folder,
 * in the current one. g_free()
 */
char *move_other_folder(Test *t, const char *folder);

#endif
