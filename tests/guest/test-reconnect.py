#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""The helper is killed again and again while a guest works, and QEMU starts
another each time: reconnect= and on-disconnect= of the proxy driver."""

import os
import pathlib
import signal
import sys
import unittest

import harness
from harness import Guest, User, wait_for

from virtfs import build                                    # noqa: E402

KILLS = 4                       # at least
MORE_KILLS = 40                 # at most, until a rare event happens

# The guest works on /again, a second share, until the first one has a file
# named end. It counts its errors.
SCRIPT = '''
mkdir /again
mount -t 9p -o trans=virtio,version=9p2000.L again /again || exit 3
share=$PWD
cd /again
mkdir -p deep/er/and/deeper
echo deep >deep/er/and/deeper/f
exec 5>>log
i=0
failed=0
lost=0
>$share/up
while [ ! -e $share/end ]; do
    i=$((i + 1))
    echo line $i >&5 || lost=$((lost + 1))
    { echo $i >new && cat new && mv new old && rm old; } >/tmp/said 2>&1 ||
        { failed=$((failed + 1)); cp /tmp/said $share/why
          rm -f new old 2>/dev/null; }
    grep -q deep deep/er/and/deeper/f 2>/dev/null || failed=$((failed + 1))
    # The host sees the progress.
    echo $i >$share/count
done
sync
exec 5>&-
echo "$i rounds, $failed failed, $lost lines lost"
cat $share/why 2>/dev/null
# The last helper stays.
echo over >over && cat over && [ $(wc -l <log) = $((i - lost)) ] && echo whole
'''


class Reconnect(unittest.TestCase):

    def setUp(self):
        self.host = User()
        why = self.host.lacks()
        if why:
            self.skipTest(why)
        self.share = harness.new_share(self.host)
        self.again = harness.new_share(self.host)

    def helpers(self, guest):
        """Processes of the helper that serves the second share"""
        found = []
        for pid in guest.processes():
            try:
                words = pathlib.Path('/proc', str(pid), 'cmdline').read_bytes()
            except OSError:
                continue
            words = words.split(b'\0')
            if b'-p' in words and os.fsencode(self.again) in words:
                found.append(pid)
        return found

    def count(self):
        try:
            return int((self.share / 'count').read_text() or 0)
        except (OSError, ValueError):
            return 0

    def work(self, options, enough=lambda: True):
        """Kills the guest's helper until enough() holds: the guest's output."""
        fsdev = (f'proxy,id=again,path={self.again},helper={build.HELPER},'
                 f'{options}')
        with Guest(self.host, self.share, SCRIPT,
                   qemu=('-fsdev', fsdev, '-device',
                         'virtio-9p-pci,fsdev=again,mount_tag=again')) as guest:
            wait_for('the command', (self.share / 'up').exists, guest=guest)
            for i in range(MORE_KILLS):
                if i >= KILLS and enough():
                    break
                before = self.count()
                wait_for('work', lambda: self.count() > before + 3,
                         guest=guest)
                helpers = wait_for('helper', lambda: self.helpers(guest),
                                   guest=guest)
                for pid in helpers:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                wait_for('another helper', lambda: any(
                    pid not in helpers for pid in self.helpers(guest)),
                    guest=guest)
            before = self.count()
            wait_for('work', lambda: self.count() > before + 3, guest=guest)
            (self.share / 'end').touch()
            status = guest.wait()
            said = guest.stdout().decode()
            complained = guest.stderr().decode()
        self.assertEqual(status, 0, said + complained)
        self.assertIn('over\nwhole\n', said, said + complained)
        self.assertIn(' 0 lines lost', said)
        lines = (self.again / 'log').read_text().splitlines()
        self.assertEqual(lines, [f'line {i + 1}' for i in range(len(lines))])
        self.assertGreater(len(lines), 3 * KILLS)
        return said

    def test_wait(self):
        """on-disconnect=wait: the guest does not notice"""
        self.assertIn(' 0 failed', self.work('reconnect=1,on-disconnect=wait'))

    def test_eio(self):
        """on-disconnect=eio: open files work, others fail for a while"""
        # QEMU starts the next helper at once if the last one served for long:
        # the guest may have sent no request in between.
        said = self.work('reconnect=2', (self.share / 'why').exists)
        self.assertNotIn(' 0 failed', said)
        self.assertIn('I/O error', said.replace('Input/output', 'I/O'))


if __name__ == '__main__':
    sys.exit(harness.main())
