/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See virtio-9p-machine.h.
 */
#include "qemu/osdep.h"
#include "libqtest-single.h"
#include "libqos/malloc-pc.h"
#include "libqos/pci-pc.h"
#include "virtio-9p-machine.h"

void p9_machine_start(P9Machine *m, const char *options)
{
    m->qts = qtest_initf("-machine pc -nodefaults %s", options);
    m->old = global_qtest;
    global_qtest = m->qts;
    pc_alloc_init(&m->alloc, m->qts, 0);
    m->bus = qpci_new_pc(m->qts, &m->alloc);
}

void p9_machine_end(P9Machine *m)
{
    qpci_free_pc(m->bus);
    alloc_destroy(&m->alloc);
    qtest_quit(m->qts);
    global_qtest = m->old;
}

void p9_machine_move(P9Machine *m, QTestState *to)
{
    qtest_quit(m->qts);
    m->qts = to;
    m->bus->qts = to;
    global_qtest = to;
}

void p9_machine_tests(const char *group, const char *export, const void *arg,
                      const P9MachineTest *tests, size_t n)
{
    QOSGraphTestOptions opts = { .arg = (void *)arg };
    size_t i;

    for (i = 0; i < n; i++) {
        g_autofree char *name = g_strdup_printf("%s/%s/%s", group, export,
                                                tests[i].name);

        qos_add_test(name, "virtio-9p-pci", tests[i].function, &opts);
    }
}
