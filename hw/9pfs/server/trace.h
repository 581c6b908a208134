/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages in words, for the trace event p9_request.
 */
#ifndef HW_9PFS_SERVER_TRACE_H
#define HW_9PFS_SERVER_TRACE_H

/*
 * The fields of the @size bytes that follow the header of a message of @type:
 * " name=value" for each, for the caller to free. What does not fit the
 * message's layout is left out, and told; the bytes stay as they are.
 */
char *p9_trace_fields(uint8_t type, const void *bytes, size_t size);

#endif /* HW_9PFS_SERVER_TRACE_H */
