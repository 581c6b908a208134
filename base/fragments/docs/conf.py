# SPDX-License-Identifier: GPL-2.0-or-later
#
# Fragment: the manual pages of the helper and of virtfs-mapped.

# graft: helper-manpage
    ('tools/virtfs-mapped', 'virtfs-mapped',
     'Shows and changes shares as their guests see them', [], 1),
    ('tools/virtfs-proxy-helper', 'virtfs-proxy-helper',
     'Serves a directory to QEMU', [], 1),
