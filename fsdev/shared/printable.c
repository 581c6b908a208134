/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Text from others for logs and terminals: see printable.h.
 */
#include "qemu/osdep.h"
#include "printable.h"

/*
 * The last ones are Unicode's for the direction of text: a name with one can
 * make what comes after it look like something else.
 */
bool text_is_control(uint32_t c)
{
    return c < ' ' || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e ||
           c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069);
}

/* Terminals may obey the controls up to 0x9f as characters, and as bytes. */
char *text_printable(const char *text)
{
    GString *s = g_string_new(NULL);

    while (*text) {
        gunichar u = g_utf8_get_char_validated(text, -1);
        bool is_utf8 = u != (gunichar)-1 && u != (gunichar)-2;
        const char *end = is_utf8 ? g_utf8_next_char(text) : text + 1;
        bool control = text_is_control(is_utf8 ? u : (unsigned char)*text);

        for (; text < end; text++) {
            unsigned char c = *text;

            if (c == '\\') {
                g_string_append(s, "\\\\");
            } else if (c == '\n') {
                g_string_append(s, "\\n");
            } else if (control) {
                g_string_append_printf(s, "\\%03o", c);
            } else {
                g_string_append_c(s, c);
            }
        }
    }
    return g_string_free(s, false);
}
