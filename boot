#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Boots a guest that mounts a folder of this machine. See --help; the work is
# done by scripts/virtfs/boot.py.

import os
import platform
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)),
                                'scripts'))

if sys.version_info < (3, 11):
    sys.stderr.write('./boot: Python 3.11 or later is needed '
                     '(Debian 12 and later)\n')
    sys.exit(125)
if platform.machine() != 'x86_64':
    sys.stderr.write('./boot: it runs on x86_64 (amd64) machines only, and '
                     f'this is {platform.machine()}\n')
    sys.exit(125)

from virtfs import boot                                         # noqa: E402

sys.exit(boot.main(sys.argv[1:]))
