/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Text from others, such as names of files, for logs and terminals: it must not
 * begin a line, nor control a terminal.
 */
#ifndef FSDEV_SHARED_PRINTABLE_H
#define FSDEV_SHARED_PRINTABLE_H

/* Whether a character controls a terminal */
bool text_is_control(uint32_t c);

/* @text with escapes for backslashes and such characters; to be freed */
char *text_printable(const char *text);

#endif /* FSDEV_SHARED_PRINTABLE_H */
