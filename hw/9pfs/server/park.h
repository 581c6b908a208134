/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Requests at rest, for the server. The transport's part is in 9p.h. All of it
 * belongs to the export's thread.
 */
#ifndef HW_9PFS_SERVER_PARK_H
#define HW_9PFS_SERVER_PARK_H

#include "request.h"

/* The oldest parked request, or NULL */
P9Request *p9_request_first_parked(P9Server *s);

#endif /* HW_9PFS_SERVER_PARK_H */
