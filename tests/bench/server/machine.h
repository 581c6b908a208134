/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A machine that runs no guest: any qemu-system-x86_64, with guest memory that
 * is shared with this process and ports that are reached by the qtest protocol.
 *
 * The processor never runs (-S), so all the time that is spent is QEMU's.
 */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct Machine {
    pid_t pid;
    int qtest;                  /* socket */
    unsigned unread;            /* answers to commands that nobody waits for */
    uint8_t *memory;            /* the guest's, from address 0 */
    uint32_t size;
} Machine;

/*
 * Starts the program @argv[0] with the arguments after it, and those that make
 * such a machine of it. @accel: "qtest", or "tcg" for builds without that.
 * Ends this process with a message when it cannot be started.
 */
void machine_start(Machine *m, char *const *argv, const char *accel,
                   uint32_t size);
void machine_stop(Machine *m);

void machine_outb(Machine *m, uint16_t port, uint8_t value);
void machine_outw(Machine *m, uint16_t port, uint16_t value);
void machine_outl(Machine *m, uint16_t port, uint32_t value);
uint32_t machine_inl(Machine *m, uint16_t port);
uint16_t machine_inw(Machine *m, uint16_t port);

/* As machine_outw(), without waiting until it is done. */
void machine_post(Machine *m, uint16_t port, uint16_t value);
/* Takes answers to those that are there. */
void machine_drain(Machine *m);

/* Ends the process with a line on stderr. */
void __attribute__((noreturn, format(printf, 1, 2)))
die(const char *format, ...);

#endif /* BENCH_MACHINE_H */
