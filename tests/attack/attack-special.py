#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Special files in the export: CVE-2020-35517 and CVE-2023-2861.

A server that opens a device node, a fifo or a socket when the guest says so
uses the host's devices for the guest, or waits without limit.
"""

import errno
import os
import socket
import stat
import struct

import ninep
import stage

FLAGS = [os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_NONBLOCK,
         os.O_RDWR | os.O_NONBLOCK, os.O_WRONLY | os.O_TRUNC,
         os.O_RDWR | os.O_DIRECT]
REFUSED = {errno.ENXIO, errno.ENODEV, errno.EACCES, errno.EPERM, errno.EINVAL,
           errno.ENOENT, errno.ENOTDIR, errno.EOPNOTSUPP, errno.EEXIST,
           errno.ELOOP, errno.EIO}
SOON = 10                       # seconds for what must not wait
ROUNDS = 300


def has_reader(fifo):
    """Whether a process has a fifo open for reading."""
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as e:
        if e.errno == errno.ENXIO:
            return False
        raise
    return True


@stage.for_drivers()
class Special(stage.Attack):
    """Fifos, sockets and devices that the host has, or that the guest made"""

    def setUp(self):
        super().setUp()
        os.mkfifo(self.folder / 'fifo', 0o666)
        os.chmod(self.folder / 'fifo', 0o666)
        self.socket = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.socket.close)
        # The path may be too long for a socket's address
        here = os.open(self.folder, os.O_PATH)
        self.socket.bind(f'/proc/self/fd/{here}/socket')
        os.close(here)
        self.names = ['fifo', 'socket']
        if os.geteuid() == 0:
            os.mknod(self.folder / 'zero', stat.S_IFCHR | 0o666,
                     os.makedev(1, 5))
            os.mknod(self.folder / 'disk', stat.S_IFBLK | 0o666,
                     os.makedev(7, 7))
            self.names += ['zero', 'disk']
        for i, (mode, major) in enumerate(((0o10666, 0), (0o140666, 0),
                                           (0o20666, 1))):
            try:
                self.guest.call(ninep.TMKNOD, struct.pack('<I', self.dir)
                                + ninep.text(f'made{i}')
                                + struct.pack('<IIII', mode, major, 5, 0))
                self.names.append(f'made{i}')
            except ninep.Error:
                pass
        self.assertIn('made0', self.names)

    def test_open(self):
        """Tlopen refuses at once, whatever the flags"""
        for name in self.names:
            if 'mapped' in self.driver and name.startswith('made'):
                continue                # a regular file on the host
            for flags in FLAGS:
                fid = self.guest.walk(name, fid=self.dir)
                self.assert_refused(REFUSED, self.guest.open, fid, flags,
                                    SOON)
                self.assert_refused({*REFUSED, errno.EBADF}, self.guest.read,
                                    fid)
                self.guest.clunk(fid)
        self.assertFalse(has_reader(self.folder / 'fifo'))

    def test_create(self):
        """Tlcreate on their names opens nothing"""
        for name in self.names:
            for flags in FLAGS:
                fid = self.guest.walk(fid=self.dir)
                self.assert_refused(REFUSED, self.guest.create, fid, name,
                                    flags=flags)
                self.guest.clunk(fid)
        self.assertFalse(has_reader(self.folder / 'fifo'))

    def test_change(self):
        """Attributes, size and syncing do not open them either"""
        for name in self.names:
            fid = self.guest.walk(name, fid=self.dir)
            for message in (
                    (ninep.TSETATTR, ninep.setattr_of(fid, mode=0o666)),
                    (ninep.TSETATTR, ninep.setattr_of(fid, size=0)),
                    (ninep.TXATTRWALK, struct.pack('<II', fid, 77)
                     + ninep.text('')),
                    (ninep.TFSYNC, struct.pack('<II', fid, 0)),
                    (ninep.TSTATFS, struct.pack('<I', fid)),
                    (ninep.TGETATTR, struct.pack('<IQ', fid, 0x7ff))):
                self.guest.wait(self.guest.send(*message), SOON)
            try:
                self.guest.clunk(77)
            except ninep.Error:
                pass
        self.assertFalse(has_reader(self.folder / 'fifo'))

    def test_swap(self):
        """A fifo that takes a file's place as it is opened makes no open
        wait"""
        (self.folder / 'file').write_bytes(b'inside')
        os.chmod(self.folder / 'file', 0o666)
        os.link(self.folder / 'fifo', self.folder / 'same')
        opened = refused = 0
        with stage.Swapper(self.folder / 'file', self.folder / 'fifo'):
            for i in range(ROUNDS):
                fid = self.guest.walk('file', fid=self.dir)
                try:
                    self.guest.open(fid, (os.O_RDONLY, os.O_RDWR)[i % 2],
                                    SOON)
                    self.assertEqual(self.guest.read(fid), b'inside')
                    opened += 1
                except ninep.Error:
                    refused += 1
                self.assertFalse(has_reader(self.folder / 'same'))
                self.guest.clunk(fid)
        self.assertGreater(min(opened, refused), 0)


if __name__ == '__main__':
    stage.main()
