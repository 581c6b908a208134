/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Before a session goes on elsewhere, what the guest wrote is in its files for
 * other hosts to see.
 */
#ifndef HW_9PFS_SERVER_STATE_SETTLE_H
#define HW_9PFS_SERVER_STATE_SETTLE_H

#include "9p.h"

/*
 * Settles all files that the guest has open for writing (FsDriver.settle), and
 * waits until closed ones are closed: for half a minute at most. An error is
 * for the guest's next Tfsync of that file. Main thread.
 */
void p9_state_settle(P9Server *s);

#endif /* HW_9PFS_SERVER_STATE_SETTLE_H */
