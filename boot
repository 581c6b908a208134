#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Boots a guest that mounts a folder of this machine. See --help; the code is in
# scripts/virtfs/boot.py.

import os
import platform
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [os.path.join(HERE, 'scripts'), os.path.join(HERE, 'base')]

import pyversion                                                # noqa: E402

pyversion.check('./boot', 125)
if platform.machine() != 'x86_64':
    sys.stderr.write('./boot: this command needs an x86_64 (amd64) machine; '
                     'this one is %s\n' % platform.machine())
    sys.exit(125)

from virtfs import boot                                         # noqa: E402

sys.exit(boot.main(sys.argv[1:]))
