#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writing to a read-only export.

The guest sends each message that changes something. An attacker that controls
QEMU opens the descriptors that the helper has passed again, for writing. And
the launcher's user has written readonly=yes.
"""

import errno
import os
import pathlib
import struct
import tempfile
import unittest

import client
import ninep
import stage
from virtfs import build

REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM}


class _Export(unittest.TestCase):
    """An export that must stay as it is"""

    def setUp(self):
        # pylint: disable=consider-using-with
        scratch = tempfile.TemporaryDirectory(prefix='virtfs-attack-',
                                              ignore_cleanup_errors=True)
        self.addCleanup(scratch.cleanup)
        self.top = pathlib.Path(scratch.name)
        self.top.chmod(0o755)
        self.export = self.top / 'export'
        (self.export / 'dir').mkdir(parents=True)
        (self.export / 'file').write_bytes(b'text')
        for path in (self.export, self.export / 'dir', self.export / 'file'):
            path.chmod(0o777)
        self.before = stage.snapshot(self.export)

    def tearDown(self):
        self.assertEqual(self.before, stage.snapshot(self.export))

    def attack(self, guest):
        """Sends each message that changes something."""
        root, file = struct.pack('<I', ninep.ROOT), guest.walk('file')
        one = struct.pack('<I', file)
        name, new = ninep.text('file'), ninep.text('new')
        for kind, payload in (
                (ninep.TMKDIR, root + new + bytes(8)),
                (ninep.TSYMLINK, root + new + ninep.text('x') + bytes(4)),
                (ninep.TMKNOD, root + new + struct.pack(
                    '<IIII', 0o10644, 0, 0, 0)),
                (ninep.TLINK, root + one + new),
                (ninep.TRENAME, one + root + new),
                (ninep.TRENAMEAT, root + name + root + new),
                (ninep.TUNLINKAT, root + name + bytes(4)),
                (ninep.TUNLINKAT, root + ninep.text('dir') + struct.pack(
                    '<I', ninep.REMOVEDIR)),
                (ninep.TSETATTR, ninep.setattr_of(file, mode=0o600)),
                (ninep.TSETATTR, ninep.setattr_of(file, size=0)),
                (ninep.TSETATTR, ninep.setattr_of(file, uid=os.geteuid())),
                (ninep.TLOPEN, one + struct.pack('<I', os.O_RDWR)),
                (ninep.TLOPEN, one + struct.pack('<I', os.O_WRONLY)),
                (ninep.TLOPEN, one + struct.pack('<I', os.O_TRUNC)),
                (ninep.TLCREATE, root + new + struct.pack(
                    '<III', os.O_RDWR, 0o644, 0)),
                (ninep.TREMOVE, one)):
            try:
                guest.call(kind, payload)
            except ninep.Error as e:
                self.assertIn(e.errno, REFUSED, kind)
            else:
                self.fail(f'message {kind} succeeds')
        file = guest.walk('file')
        with self.assertRaises(ninep.Error):
            guest.setxattr(file, 'user.x', b'1')
        guest.open(file, os.O_RDONLY)
        self.assertEqual(guest.read(file), b'text')
        with self.assertRaises(ninep.Error):
            guest.write(file, b'changed')


class Guest(_Export):
    """By messages of a guest"""

    def test_each_driver(self):
        """Each message that changes something is refused, in each driver"""
        for name, spec in stage.DRIVERS.items():
            with self.subTest(driver=name), stage.run_qemu(
                    spec % self.export + ',readonly=on') as qemu:
                self.attack(qemu.sessions[0])

    def test_launcher(self):
        """The launcher makes the helper read-only, whatever the word"""
        launcher = self.top / f'{build.QEMU.name}-virtfs'
        os.symlink(stage.TREE / 'fsdev/virtfs-launcher', launcher)
        os.symlink(build.QEMU, self.top / build.QEMU.name)
        for word in ('on', 'yes', 'true', 'y'):
            with self.subTest(word=word), stage.run_qemu(
                    f'proxy,path={self.export},readonly={word},'
                    f'helper={build.HELPER}',
                    program=[str(launcher)]) as qemu:
                self.attack(qemu.sessions[0])
                helper = stage.children(qemu.child.pid)
                said = [pathlib.Path(f'/proc/{p}/cmdline').read_bytes()
                        for p in helper]
                self.assertIn(b'--readonly', b' '.join(said))


class Qemu(_Export):
    """By an attacker that controls QEMU, in each sandbox"""

    def reopen(self, fd):
        """Opens a descriptor again: for writing, below it, to change it."""
        path = f'/proc/self/fd/{fd}'
        for work in (lambda: os.open(path, os.O_WRONLY),
                     lambda: os.open(f'{path}/new',
                                     os.O_WRONLY | os.O_CREAT, 0o666),
                     lambda: os.open(f'{path}/file', os.O_WRONLY),
                     lambda: os.mkdir(f'{path}/dir/new'),
                     lambda: os.unlink(f'{path}/file'),
                     lambda: os.rename(f'{path}/file', f'{path}/dir/file'),
                     lambda: os.chmod(path, 0o700),
                     lambda: os.truncate(path, 0),
                     lambda: os.setxattr(path, 'user.x', b'1')):
            try:
                work()
            except OSError:
                pass

    def test_descriptors(self):
        """No descriptor of the helper's can be written through"""
        for mode in ('namespace', 'chroot', 'none'):
            helper = client.Helper(self.top, self.export, '--readonly',
                                   f'--sandbox={mode}')
            with self.subTest(sandbox=mode), helper:
                try:
                    c = client.Client(helper.path).hello()
                except (OSError, EOFError):
                    # It can make no such mount, and says so
                    self.assertNotEqual(mode, 'namespace')
                    self.assertTrue(helper.child.wait(stage.LIMIT))
                    self.assertIn('--readonly', helper.complaint())
                    continue
                with c:
                    c.call(client.WALK, client.walk('file'))
                    c.call(client.WALK, client.walk('dir'))
                    c.call(client.OPEN, struct.pack('<QI', client.ROOT, 0))
                    self.assertGreater(len(c.fds), 2)
                    for fd in c.fds:
                        self.reopen(fd)
                self.assertEqual(self.before, stage.snapshot(self.export))


if __name__ == '__main__':
    stage.main()
