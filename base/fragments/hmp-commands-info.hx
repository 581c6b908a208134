HXCOMM SPDX-License-Identifier: GPL-2.0-or-later
HXCOMM
HXCOMM Fragment: shared file systems in the human monitor.

HXCOMM graft: fsdev
#ifdef CONFIG_VIRTFS
    {
        .name       = "fsdev",
        .args_type  = "",
        .params     = "",
        .help       = "show shared file systems and what they did so far",
        .flags      = "p",
    },
#endif

SRST
  ``info fsdev``
    Show the shared file systems (``-fsdev``): what they share and with which
    devices, their helpers, and how many messages of each kind the guest sent
    and how long they took.
ERST

