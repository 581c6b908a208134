/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A machine without a guest: see machine.h.
 */
#include "qemu/osdep.h"
#include "machine.h"
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#define START_SECONDS   60
#define ANSWER_SECONDS  60

void die(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(EXIT_FAILURE);
}

/* Makes a file in memory that holds the guest's memory, and maps it. */
static int make_memory(Machine *m)
{
    int fd = memfd_create("guest", 0);

    if (fd < 0 || ftruncate(fd, m->size) < 0) {
        die("cannot make memory for the guest: %s", strerror(errno));
    }
    m->memory = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (m->memory == MAP_FAILED) {
        die("cannot map memory for the guest: %s", strerror(errno));
    }
    return fd;
}

static int make_socket(char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
        listen(fd, 1) < 0) {
        die("%s: %s", path, strerror(errno));
    }
    return fd;
}

static void run_qemu(char *const *argv, const char *accel, uint32_t size,
                     int memory, const char *path)
{
    g_autoptr(GPtrArray) args = g_ptr_array_new();
    g_autofree char *backend =
        g_strdup_printf("memory-backend-file,id=ram,share=on,size=%u,"
                        "mem-path=/proc/self/fd/%d", size, memory);
    g_autofree char *chardev = g_strconcat("unix:", path, NULL);
    const char *const more[] = {
        "-machine", "pc,memory-backend=ram", "-accel", accel,
        "-object", backend, "-S", "-qtest", chardev,
        "-qtest-log", "none", "-nodefaults", "-no-user-config",
        "-display", "none",
    };
    g_autofree char *megabytes = g_strdup_printf("%u", size >> 20);
    unsigned i;

    for (i = 0; argv[i]; i++) {
        g_ptr_array_add(args, argv[i]);
    }
    for (i = 0; i < G_N_ELEMENTS(more); i++) {
        g_ptr_array_add(args, (char *)more[i]);
    }
    g_ptr_array_add(args, (char *)"-m");
    g_ptr_array_add(args, megabytes);
    g_ptr_array_add(args, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    execvp(argv[0], (char **)args->pdata);
    die("%s: %s", argv[0], strerror(errno));
}

static bool wait_in(int fd, int seconds)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, seconds * 1000) == 1;
}

void machine_start(Machine *m, char *const *argv, const char *accel,
                   uint32_t size)
{
    char folder[] = "/tmp/virtfs-bench-XXXXXX";
    g_autofree char *path = NULL;
    int memory, listener;

    *m = (Machine) { .size = size };
    if (!mkdtemp(folder)) {
        die("%s: %s", folder, strerror(errno));
    }
    path = g_strconcat(folder, "/qtest", NULL);
    memory = make_memory(m);
    listener = make_socket(path);
    m->pid = fork();
    if (m->pid == 0) {
        run_qemu(argv, accel, size, memory, path);
    }
    m->qtest = m->pid > 0 && wait_in(listener, START_SECONDS)
               ? accept4(listener, NULL, NULL, SOCK_CLOEXEC) : -1;
    unlink(path);
    rmdir(folder);
    close(listener);
    close(memory);
    if (m->qtest < 0) {
        die("%s does not start", argv[0]);
    }
}

void machine_stop(Machine *m)
{
    close(m->qtest);
    kill(m->pid, SIGTERM);
    waitpid(m->pid, NULL, 0);
    munmap(m->memory, m->size);
}

static void send_text(Machine *m, const char *text, size_t len)
{
    if (send(m->qtest, text, len, MSG_NOSIGNAL) != (ssize_t)len) {
        die("QEMU has ended");
    }
}

/* Reads one line, an answer, which must be OK. */
static void read_answer(Machine *m, char *line, size_t size)
{
    size_t n = 0;

    do {
        if (n + 1 == size || !wait_in(m->qtest, ANSWER_SECONDS) ||
            read(m->qtest, line + n, 1) != 1) {
            die("QEMU has ended, or does not answer");
        }
    } while (line[n++] != '\n');
    line[n - 1] = '\0';
    if (!g_str_has_prefix(line, "OK")) {
        die("QEMU says %s", line);
    }
}

static void command(Machine *m, char *line, size_t size)
{
    while (m->unread) {
        char skipped[64];

        read_answer(m, skipped, sizeof(skipped));
        m->unread--;
    }
    send_text(m, line, strlen(line));
    read_answer(m, line, size);
}

static void out(Machine *m, char width, uint16_t port, uint32_t value)
{
    char line[64];

    snprintf(line, sizeof(line), "out%c 0x%x 0x%x\n", width, port, value);
    command(m, line, sizeof(line));
}

static uint32_t in(Machine *m, char width, uint16_t port)
{
    char line[64];

    snprintf(line, sizeof(line), "in%c 0x%x\n", width, port);
    command(m, line, sizeof(line));
    return strtoul(line + strlen("OK "), NULL, 16);
}

void machine_outb(Machine *m, uint16_t port, uint8_t value)
{
    out(m, 'b', port, value);
}

void machine_outw(Machine *m, uint16_t port, uint16_t value)
{
    out(m, 'w', port, value);
}

void machine_outl(Machine *m, uint16_t port, uint32_t value)
{
    out(m, 'l', port, value);
}

uint32_t machine_inl(Machine *m, uint16_t port)
{
    return in(m, 'l', port);
}

uint16_t machine_inw(Machine *m, uint16_t port)
{
    return in(m, 'w', port);
}

void machine_post(Machine *m, uint16_t port, uint16_t value)
{
    char line[64];

    send_text(m, line, snprintf(line, sizeof(line), "outw 0x%x 0x%x\n", port,
                                value));
    m->unread++;
}

void machine_drain(Machine *m)
{
    char text[256];
    ssize_t n;

    while (m->unread) {
        n = recv(m->qtest, text, sizeof(text), MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            die("QEMU has ended");
        }
        if (n < 0) {
            return;
        }
        while (n-- > 0) {
            m->unread -= text[n] == '\n';
        }
    }
}
