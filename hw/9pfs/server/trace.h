/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages as text, for the trace event p9_request.
 */
#ifndef HW_9PFS_SERVER_TRACE_H
#define HW_9PFS_SERVER_TRACE_H

/*
 * The fields of the @size bytes that follow the header of a message of @type:
 * " name=value" for each. The caller frees the text. Bytes that do not fit the
 * message's layout are left out, and the text says so. @bytes does not change.
 */
char *p9_trace_fields(uint8_t type, const void *bytes, size_t size);

#endif /* HW_9PFS_SERVER_TRACE_H */
