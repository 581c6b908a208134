/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For qtests of the virtio-9p device: a guest goes on in another QEMU, at once
 * or from a file.
 */
#ifndef TESTS_VIRTIO_9P_MOVE_H
#define TESTS_VIRTIO_9P_MOVE_H

#include "libqos/virtio-9p-client.h"

/*
 * Starts a QEMU with these options that waits for a guest. Its messages go to
 * the file @log, or to this program's stderr if that is NULL.
 */
QTestState *p9_move_new(const char *options, const char *log);

/*
 * The guest of @from goes on in @to, and stands still there if it did before.
 * NULL, or for g_free() the error of the side that failed; then @from goes on.
 */
char *p9_move(QTestState *from, QTestState *to);
/* Its two parts; both sides serve QMP in between. */
char *p9_move_begin(QTestState *from, QTestState *to);
char *p9_move_end(QTestState *from, QTestState *to);

/*
 * The guest of @from goes on in @to before its memory is there (postcopy).
 * False, and nothing has happened, if the host does not allow this.
 */
bool p9_move_postcopy(QTestState *from, QTestState *to);

/* Of a QEMU's next migrations: MigMode, such as "cpr-reboot" */
void p9_move_set_mode(QTestState *qts, const char *mode);

/*
 * Like p9_move(), in two steps. After it was saved, the guest stands still;
 * after it was loaded, it runs.
 */
char *p9_move_save(QTestState *from, const char *path);
char *p9_move_load(QTestState *to, const char *path);
/* The same, of a guest that stood still when it was saved */
char *p9_move_load_stopped(QTestState *to, const char *path);

/* The client's device, on PCI, and its memory are in global_qtest from now. */
void p9_move_client(P9Client *c, QVirtio9P *v9p);

/* Whether the guest runs there */
bool p9_move_runs(QTestState *qts);

/*
 * Snapshots of the guest and their loading, in a qcow2 image in memory that the
 * first call makes. The guest runs on. NULL, or an error for g_free()
 */
void p9_move_make_image(QTestState *qts);
char *p9_move_snapshot(QTestState *qts, const char *tag);
char *p9_move_back(QTestState *qts, const char *tag);

#endif
