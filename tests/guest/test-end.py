#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that reads beyond the end of a file which the host has truncated."""

import os
import sys
import unittest

import harness
from harness import Guest, Root, User, wait_for

WHO = Root if os.geteuid() == 0 else User

# Linux 6.12 reads for ever there. Only a signal ends that, or an error if a
# thread of the kernel reads.
SCRIPT = '''
exec 3<f; touch opened
while [ ! -e cut ]; do usleep 50000; done
timeout -s KILL 5 cat <&3 >/dev/null
echo alive
'''


class End(unittest.TestCase):

    def test_truncated(self):
        """A process that reads there can be killed"""
        host = WHO()
        why = host.lacks()
        if why:
            self.skipTest(why)
        share = harness.new_share(host)
        (share / 'f').write_text('0123456789' * 10000)
        host.give(share / 'f')
        with Guest(host, share, SCRIPT) as running:
            wait_for('open', (share / 'opened').exists, guest=running)
            os.truncate(share / 'f', 10)
            (share / 'cut').touch()
            self.assertEqual(running.wait(120), 0, running.stderr())
            self.assertEqual(running.stdout(), b'alive\n')


if __name__ == '__main__':
    sys.exit(harness.main())
