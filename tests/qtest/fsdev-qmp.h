/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For tests of shared file systems over QMP (fsdev-qmp*-test.c): a machine and
 * a folder of the test's own, one device in the machine, and the commands.
 */
#ifndef TESTS_FSDEV_QMP_H
#define TESTS_FSDEV_QMP_H

#include "qobject/qdict.h"
#include "virtio-9p-host.h"
#include "virtio-9p-machine.h"

#define ROOT        P9C_ROOT

typedef struct Test {
    P9Machine m;
    char *dir;                  /* absolute */
    QVirtio9PPCI *dev;          /* the device in its slot, or NULL */
    P9Client *c;                /* of that device */
} Test;

/* The machine, with these options, and an empty folder */
void fsdev_start(Test *t, const char *options);
void fsdev_end(Test *t);

/* fsdev-add of the folder by that driver, and fsdev-del */
void fsdev_add_local(Test *t, const char *id);
void fsdev_add_proxy(Test *t, const char *id, int reconnect);
void fsdev_del(Test *t, const char *id);

/* Plugs a device for that fsdev and begins a session with it. */
void fsdev_plug(Test *t, const char *fsdev);
/* The same without a session */
void fsdev_plug_only(Test *t, const char *fsdev);
/* Removes the device whatever its guest is doing with it. */
void fsdev_unplug(Test *t);
/* The same after the guest has ended its session */
void fsdev_unplug_in_order(Test *t);

/*
 * The entry of query-fsdevs for @id, for qobject_unref(); NULL if there is
 * none.
 */
QDict *fsdev_query(Test *t, const char *id);
/* A counter of that message type; 0 if there were no such messages */
uint64_t fsdev_figure(QDict *info, const char *message, const char *key);
bool fsdev_has_word(QDict *dict, const char *key, const char *word);

/* The command @json must fail, with exactly @error. */
void fsdev_refused(Test *t, const char *json, const char *error);

#define ADD(arguments)  "{'execute': 'fsdev-add', 'arguments': {" arguments "}}"
#define PROXY(more)     ADD("'fsdriver': 'proxy', 'id': 'x'" more)
#define DEL(id)         "{'execute': 'fsdev-del', 'arguments': {" \
                        "'id': '" id "'}}"

#endif
