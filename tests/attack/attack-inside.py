#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Code in the helper, in each sandbox.

It opens, makes, links, moves and removes files outside the export, by ways that
only a sandbox closes: from the working directory, which is outside the root
that chroot(2) gave the helper, and from a directory that QEMU has passed.
"""

import errno
import os
import pathlib
import tempfile
import unittest

import client
import debugger
import stage

# System calls of x86-64
OPENAT, MKDIRAT, UNLINKAT, LINKAT, SYMLINKAT, RENAMEAT2 = (
    257, 258, 263, 265, 266, 316)
HERE = -100                     # AT_FDCWD
MODES = ('namespace', 'chroot', 'none')


def modes():
    """The sandboxes that keep code in: without Landlock only the first."""
    return MODES if debugger.landlock() >= 2 else MODES[:1]


@unittest.skipIf(debugger.unable(), debugger.unable())
class Inside(unittest.TestCase):
    """System calls that the helper would not make"""

    def setUp(self):
        # pylint: disable=consider-using-with
        scratch = tempfile.TemporaryDirectory(prefix='virtfs-attack-')
        self.addCleanup(scratch.cleanup)
        self.top = pathlib.Path(scratch.name)
        self.top.chmod(0o755)
        self.export, self.outside = self.top / 'export', self.top / 'outside'
        for path in (self.export, self.outside):
            (path / 'dir').mkdir(parents=True)
            (path / 'file').write_bytes(stage.SECRET)
        self.before = stage.snapshot(self.outside)

    def attack(self, server, way):
        """Each call, with names of the outside that begin with @way."""
        def out(name):
            return os.fsencode(f'{way}{self.outside}/{name}')
        for number, *arguments in (
                (OPENAT, HERE, out('file'), os.O_RDONLY),
                (OPENAT, HERE, out('file'), os.O_WRONLY),
                (OPENAT, HERE, out('file'), os.O_WRONLY | os.O_TRUNC),
                (OPENAT, HERE, out('new'), os.O_WRONLY | os.O_CREAT, 0o600),
                (OPENAT, HERE, out('dir'), os.O_RDONLY | os.O_DIRECTORY),
                (OPENAT, HERE, out(''), os.O_TMPFILE | os.O_WRONLY, 0o600),
                (MKDIRAT, HERE, out('new'), 0o700),
                (SYMLINKAT, b'file', HERE, out('new')),
                (LINKAT, HERE, out('file'), HERE, out('new'), 0),
                (RENAMEAT2, HERE, out('file'), HERE, out('new'), 0),
                (UNLINKAT, HERE, out('file'), 0),
                (UNLINKAT, HERE, out('dir'), 0x200)):
            result = server.call(number, *arguments)
            self.assertIn(-result, (errno.EACCES, errno.EXDEV, errno.ENOENT,
                                    errno.EPERM),
                          f'call {number}{arguments}')

    def test_outside(self):
        """No call reaches a file outside"""
        for mode in modes():
            helper = client.Helper(self.top, self.export, f'--sandbox={mode}')
            with self.subTest(sandbox=mode), helper, \
                    client.Client(helper.path) as c:
                c.hello()
                with debugger.Traced(helper.server()) as server:
                    # The attacker's own way works
                    there = server.call(OPENAT, HERE, b'.', os.O_PATH)
                    self.assertGreaterEqual(there, 0)
                    for way in ('../../..', '', '/..'):
                        self.attack(server, way)
                self.assertEqual(self.before, stage.snapshot(self.outside))
                # It was the helper itself, and still serves
                self.assertEqual(
                    c.call(client.WALK, client.walk('file'))[0], 0)
            (self.top / 'socket').unlink(missing_ok=True)


if __name__ == '__main__':
    stage.main()
