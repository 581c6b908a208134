#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of the namespaces in which ./check runs another Debian.

The system here is a few of this machine's folders, in place of one that
debootstrap makes.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / 'scripts'))

# pylint: disable=wrong-import-position
from virtfs import hosts, process                           # noqa: E402

LIMIT = 60                      # seconds


class Inside(unittest.TestCase):
    """Commands in a system"""

    def setUp(self):
        if hosts.lacks():
            self.skipTest(hosts.lacks())
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        root = pathlib.Path(folder.name)
        for path in ('bin', 'etc/apt/apt.conf.d', 'etc/dpkg/dpkg.cfg.d',
                     'proc', 'sys', 'dev', 'mnt', 'srv', 'tmp'):
            (root / path).mkdir(parents=True)
        shutil.copy('/bin/busybox', root / 'bin/busybox')
        for name in ('sh', 'env', 'cat', 'ls', 'sleep', 'mount', 'umount',
                     'pivot_root', 'rm', 'ps', 'touch'):
            (root / 'bin' / name).symlink_to('busybox')
        self.system = hosts.System(root, 'trixie')

    def says(self, script):
        """What a script prints in the system"""
        status, said = self.system.run(['sh', '-c', script])
        self.assertEqual(status, 0, said)
        return said

    def test_root(self):
        """The folder is the root, and this tree is there."""
        self.assertEqual(set(self.says('ls /').split()),
                         set(os.listdir(self.system.root)))
        self.assertEqual(self.says(f'cat {hosts.TREE_INSIDE}/LICENSE'),
                         (TREE / 'LICENSE').read_text(encoding='utf-8'))

    def test_mounts(self):
        """Mounts are those of the system, and none remains."""
        before = pathlib.Path('/proc/self/mounts').read_text(encoding='utf-8')
        inside = self.says('cat /proc/mounts')
        self.assertIn(f' {hosts.TREE_INSIDE} ', inside)
        self.assertNotIn(str(self.system.root), inside)
        self.says('mount -t tmpfs none /tmp; touch /tmp/f; ls /tmp')
        self.assertEqual(pathlib.Path('/proc/self/mounts').read_text(
            encoding='utf-8'), before)
        self.assertEqual(os.listdir(self.system.path('/tmp')), [])

    def test_status(self):
        """The command's status and environment"""
        self.assertEqual(self.system.run(['sh', '-c', 'echo $A $B; exit 7'],
                                         env={'A': 'x y', 'B': None}),
                         (7, 'x y\n'))

    def test_settings(self):
        """The machine's settings for apt's downloads hold there."""
        said = subprocess.run(['apt-config', 'dump', 'Acquire::Languages'],
                              capture_output=True, text=True, check=True)
        text = self.system.path('/etc/apt/apt.conf.d/90machine').read_text(
            encoding='utf-8')
        self.assertIn(said.stdout.splitlines()[0], text)
        self.assertNotIn('\nDir', '\n' + text)

    def test_killed(self):
        """A command ends with its starter, with all its processes."""
        child = process.spawn(self.system.command(
            ['sh', '-c', 'sleep 4242 & sleep 4242']),
            stdout=subprocess.DEVNULL)
        self.addCleanup(process.end, child)

        def sleepers():
            return [p for p in pathlib.Path('/proc').glob('[0-9]*')
                    if b'\x004242\0' in self.read(p / 'cmdline')
                    and b'sleep' in self.read(p / 'cmdline').split(b'\0')[0]]
        self.wait(lambda: len(sleepers()) == 2)
        child.send_signal(signal.SIGKILL)
        child.wait()
        self.wait(lambda: not sleepers())

    @staticmethod
    def read(path):
        """The content of a file, empty if it has gone"""
        try:
            return path.read_bytes()
        except OSError:
            return b''

    def wait(self, condition):
        """Waits until a condition holds."""
        end = time.monotonic() + LIMIT
        while not condition():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)


class Names(unittest.TestCase):
    """Names of systems on the command line"""

    def test_parse(self):
        """All names are parsed; others are refused, with the list."""
        self.assertEqual([hosts.parse(n) for n in hosts.names()],
                         [(s, c) for s in hosts.SUITES
                          for c in hosts.COMPILERS])
        for name in ('trixie', 'trixie-', 'trixie-icc', 'buster-gcc', ''):
            with self.assertRaisesRegex(hosts.Fail, 'testing-clang'):
                hosts.parse(name)


if __name__ == '__main__':
    unittest.main()
