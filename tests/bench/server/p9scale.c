/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * p9scale: measures how the cost of messages and memory grow with the number of
 * fids, directory entries, requests in flight and QEMUs.
 *
 * usage: p9scale GUESTS ACCEL QEMU ARG...     with a -fsdev of the id "bench"
 *        p9scale --files DIR N                makes a directory DIR of N files
 *
 * p9scale starts GUESTS QEMUs without a guest (load.h), all with the same
 * arguments. It reads orders from its standard input, one per line, and answers
 * each with a line of JSON (scale.h). DIR is a directory in the export's root.
 *
 *     fids DIR many|one N         up to N fids, 16 requests in flight
 *     depth DIR N DEPTH           N fids, DEPTH requests in flight per QEMU
 *     readdir DIR BYTES ENTRIES   ENTRIES entries, BYTES bytes per message
 *     limit DIR                   the most fids that a guest may have
 *     hold DIR N                  N fids, which stay for something else
 */
#include "qemu/osdep.h"
#include "scale.h"

#define MSIZE           (64u * 1024)
#define MEMORY          (160u * 1024 * 1024)
#define DEPTH           16

static void obey(Load *l, char *line)
{
    char dir[32], kind[8];
    unsigned n, depth, entries;

    if (sscanf(line, "fids %31s %7s %u", dir, kind, &n) == 3 && n) {
        scale_fids(l, dir, !strcmp(kind, "one"), n, DEPTH, true);
    } else if (sscanf(line, "depth %31s %u %u", dir, &n, &depth) == 3 && n &&
               depth && depth <= l->slots) {
        scale_fids(l, dir, false, n, depth, false);
    } else if (sscanf(line, "readdir %31s %u %u", dir, &n, &entries) == 3) {
        scale_readdir(l, dir, n, entries);
    } else if (sscanf(line, "hold %31s %u", dir, &n) == 2 && n) {
        scale_hold(l, dir, n, DEPTH);
    } else if (sscanf(line, "limit %31s", dir) == 1) {
        scale_limit(l, dir);
    } else {
        die("'%s' is not an order", g_strstrip(line));
    }
    fflush(stdout);
}

static void make_files(const char *path, unsigned n)
{
    char name[32];
    unsigned i;
    int dir, fd;

    if (mkdir(path, 0755) < 0) {
        die("%s: %s", path, strerror(errno));
    }
    dir = open(path, O_PATH | O_DIRECTORY);
    for (i = 0; i < n; i++) {
        g_snprintf(name, sizeof(name), SCALE_FILE, i);
        fd = openat(dir, name, O_RDWR | O_CREAT, 0644);
        if (fd < 0) {
            die("%s/%s: %s", path, name, strerror(errno));
        }
        close(fd);
    }
    close(dir);
}

int main(int argc, char **argv)
{
    g_autofree char *line = NULL;
    size_t size = 0;
    unsigned guests = argc > 1 ? atoi(argv[1]) : 0;
    Load l;

    if (argc == 4 && !strcmp(argv[1], "--files")) {
        make_files(argv[2], atoi(argv[3]));
        return 0;
    }
    if (argc < 5 || guests == 0) {
        die("usage: p9scale GUESTS ACCEL QEMU ARG... | --files DIR N");
    }
    load_start(&l, guests, argv + 3, argv[2], MEMORY, MSIZE, RING_SLOTS_MAX);
    puts("ready");
    fflush(stdout);
    while (getline(&line, &size, stdin) > 0) {
        obey(&l, line);
    }
    load_stop(&l);
    return 0;
}
