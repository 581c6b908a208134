/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What commands say: results on stdout, messages on stderr. A thread's output
 * can be kept, and put out later, in the order that it would have had.
 */
#ifndef FSDEV_MAPPED_PRINT_H
#define FSDEV_MAPPED_PRINT_H

#define PROGRAM         "virtfs-mapped"

typedef struct MappedOutput MappedOutput;

/* Results */
void mapped_print(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
void mapped_print_bytes(const char *bytes, size_t len);
/*
 * A message of one line, which begins with the program's name. It may quote a
 * guest's names, an archive or the command line: a terminal obeys none of it.
 */
void mapped_print_message(const char *fmt, ...) G_GNUC_PRINTF(1, 2);

/* Writes what is not yet written: the first error of all output, or 0. */
int mapped_print_end(void);

MappedOutput *mapped_output_new(void);
void mapped_output_free(MappedOutput *out);
size_t mapped_output_size(const MappedOutput *out);

/* What this thread prints from now on goes to @out; NULL: at once. */
void mapped_output_to(MappedOutput *out);

/* In @out, the output of something that happens when @out is put out */
void mapped_output_mark(MappedOutput *out, const char *what);

/* Prints what is kept; calls @mark, unless NULL, at each mark. */
void mapped_output_put(const MappedOutput *out,
                       void (*mark)(const char *what, void *opaque),
                       void *opaque);

#endif /* FSDEV_MAPPED_PRINT_H */
