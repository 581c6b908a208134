# SPDX-License-Identifier: GPL-2.0-or-later
#
# Fragment: the helper's manual page.

# graft: helper-manpage
    ('tools/virtfs-proxy-helper', 'virtfs-proxy-helper',
     'Serves a directory to QEMU', [], 1),
