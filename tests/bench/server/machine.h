/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A machine without a guest: any qemu-system-x86_64, which shares the guest's
 * memory with this process. The process accesses I/O ports through the qtest
 * protocol.
 *
 * The virtual processor never runs (-S), so all time used is QEMU's own.
 */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct Machine {
    pid_t pid;
    int qtest;                  /* socket */
    unsigned unread;            /* answers to machine_post() not read yet */
    uint8_t *memory;            /* the guest's, from address 0 */
    uint32_t size;
} Machine;

/*
 * Starts the program @argv[0] with the arguments after it and those for such a
 * machine. @accel: "qtest", or "tcg" for builds without that accelerator.
 * Ends this process with a message when the program does not start.
 */
void machine_start(Machine *m, char *const *argv, const char *accel,
                   uint32_t size);
void machine_stop(Machine *m);

void machine_outb(Machine *m, uint16_t port, uint8_t value);
void machine_outw(Machine *m, uint16_t port, uint16_t value);
void machine_outl(Machine *m, uint16_t port, uint32_t value);
uint32_t machine_inl(Machine *m, uint16_t port);
uint16_t machine_inw(Machine *m, uint16_t port);

/* Like machine_outw(), but does not wait for the answer. */
void machine_post(Machine *m, uint16_t port, uint16_t value);
/* Reads the answers to machine_post() that have arrived. */
void machine_drain(Machine *m);

/* Prints a line on stderr and ends the process. */
void __attribute__((noreturn, format(printf, 1, 2)))
die(const char *format, ...);

#endif /* BENCH_MACHINE_H */
