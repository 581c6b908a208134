#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""The helper ends while a guest works: the guest gets errors and goes on."""

import os
import signal
import subprocess
import sys
import unittest

import harness
from harness import Guest, Root, User, for_each, wait_for
from virtfs import build, qmp                               # noqa: E402

HELPER = 'virtfs-proxy-he'      # as the kernel shortens it

# Works on the share until that fails, and then tries what still works
SCRIPT = '''
echo keep >kept; exec 5<kept
echo 1 >up
i=0
while echo $i >f 2>/tmp/why && cat f >/dev/null 2>/tmp/why; do
    i=$((i + 1))
done
cat /tmp/why
ls . 2>&1
stat f 2>&1
mkdir d 2>&1
cat kept 2>&1
echo the guest goes on; echo x >/tmp/x; cat /tmp/x; exit 4
'''


@for_each(Root, User)
class HelperKilled(unittest.TestCase):

    def setUp(self):
        self.host = self.who()
        why = self.host.lacks()
        if why:
            self.skipTest(why)

    def kill(self, number):
        share = harness.new_share(self.host)
        with Guest(self.host, share, SCRIPT) as guest:
            wait_for('the command', (share / 'up').exists, guest=guest)
            qemu = harness.one_named(guest, 'qemu-system')
            for pid, name in guest.processes().items():
                if name.startswith(HELPER):
                    try:
                        os.kill(pid, number)
                    except ProcessLookupError:
                        pass
            wait_for('end of the helper', lambda: not any(
                n.startswith(HELPER) for n in self.living(guest)))
            status = guest.wait()
            said = guest.stdout().decode()
            complained = guest.stderr().decode()
        self.assertEqual(status, 4, complained)
        self.assertTrue(said.endswith('the guest goes on\nx\n'), said)
        self.assertIn('Input/output error', said)
        self.assertGreater(qemu, 0)
        return complained

    @staticmethod
    def living(guest):
        """Names of processes that are not zombies."""
        for pid, name in guest.processes().items():
            try:
                with open(f'/proc/{pid}/stat', encoding='ascii') as f:
                    state = f.read().rpartition(')')[2].split()[0]
            except OSError:
                continue
            if state not in 'ZX':
                yield name

    def test_killed(self):
        """The helper is killed: EIO, and QEMU and the guest go on"""
        complained = self.kill(signal.SIGKILL)
        if self.host.real_owners:
            self.assertIn('virtfs-proxy-helper was killed by SIGKILL',
                          complained)

    def test_terminated(self):
        """The helper gets SIGTERM: the same"""
        self.kill(signal.SIGTERM)

    def test_stopped(self):
        """The helper is stopped for a while: the guest waits for it"""
        share = harness.new_share(self.host)
        with Guest(self.host, share,
                   'echo 1 >up; while [ ! -e end ]; do echo x >>f; done; '
                   'echo over') as guest:
            wait_for('the command', (share / 'up').exists, guest=guest)
            helpers = [p for p, n in guest.processes().items()
                       if n.startswith(HELPER)]
            self.assertTrue(helpers)
            for pid in helpers:
                os.kill(pid, signal.SIGSTOP)
            harness.time.sleep(2)
            self.assertIsNone(guest.child.poll())
            for pid in helpers:
                os.kill(pid, signal.SIGCONT)
            (share / 'end').touch()
            self.assertEqual(guest.wait(), 0)
            self.assertEqual(guest.stdout(), b'over\n')


class Daemon(unittest.TestCase):
    """A QEMU that has left its working directory starts another helper."""

    def test_relative_path(self):
        """path= without a leading slash, reconnect= and -daemonize"""
        above = harness.new_share(Root())
        (above / 'share').mkdir()
        (above / 'helper').symlink_to(build.HELPER)
        subprocess.run(
            [build.QEMU, '-machine', 'none', '-nodefaults', '-display', 'none',
             '-daemonize', '-pidfile', above / 'pid',
             '-qmp', f'unix:{above}/qmp,server=on,wait=off',
             '-fsdev', 'proxy,id=a,path=share,helper=./helper,reconnect=1'],
            cwd=above, check=True, timeout=harness.LIMIT)
        monitor = qmp.Qmp(above / 'qmp', 60 * harness.sanitize.patience())
        try:
            helper = monitor('query-fsdevs')[0]['helper']
            os.kill(helper['process'], signal.SIGKILL)
            monitor.wait('FSDEV_HELPER_FOUND', id='a')
            self.assertNotEqual(helper['process'], monitor(
                'query-fsdevs')[0]['helper']['process'])
        finally:
            monitor('quit')
            monitor.close()


if __name__ == '__main__':
    sys.exit(harness.main())
