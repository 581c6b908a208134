#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Symbolic links that lead out of the export: CVE-2016-9602.

A server that resolves a path on the host follows the guest's links, at its end
and in its middle, also one that takes a directory's place between two steps.
"""

import errno
import os
import pathlib
import struct
import time

import ninep
import stage

REFUSED = {errno.ELOOP, errno.ENOTDIR, errno.ENOENT, errno.EINVAL,
           errno.ENXIO, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP,
           errno.EEXIST, errno.EISDIR}
ROUNDS = 300


@stage.for_drivers()
class Links(stage.Attack):
    """Links to files and directories outside, made by guest and host"""

    def setUp(self):
        super().setUp()
        for name, target in (('file', '../../outside/secret'),
                             ('dir', '../../outside/dir'),
                             ('abs', str(self.outside / 'dir')),
                             ('root', '/'), ('self', '/proc/self/root')):
            self.guest.symlink(name, target, self.dir)
            os.symlink(target, self.folder / f'host-{name}')
        self.links = [n + w for n in ('', 'host-')
                      for w in ('file', 'dir', 'abs', 'root', 'self')]

    def test_through(self):
        """No walk leads through a link"""
        for link in self.links:
            for names in (['secret'], ['below', 'secret'], ['..', 'secret'],
                          ['etc', 'passwd']):
                self.assert_refused(REFUSED, self.guest.walk, link, *names,
                                    fid=self.dir)

    def test_each_message(self):
        """No message on a link's fid reaches what it points to"""
        for link in self.links:
            fid = self.guest.walk(link, fid=self.dir)
            for flags in (os.O_RDONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC,
                          os.O_RDONLY | os.O_DIRECTORY):
                self.spoil(ninep.TLOPEN, fid, struct.pack('<I', flags))
            self.spoil(ninep.TSETATTR, fid, ninep.setattr_of(
                fid, mode=0o777)[4:])
            self.spoil(ninep.TSETATTR, fid, ninep.setattr_of(
                fid, size=0)[4:])
            self.spoil(ninep.TSETATTR, fid, ninep.setattr_of(
                fid, uid=1, gid=1)[4:])
            for message in ((self.guest.setxattr, fid, 'user.x', b'1'),
                            (self.guest.create, self.guest.walk(fid=fid),
                             'new'),
                            (self.guest.mkdir, 'new', fid),
                            (self.guest.unlink, 'secret', fid)):
                try:
                    message[0](*message[1:])
                except ninep.Error:
                    pass
            self.assert_untouched()

    def spoil(self, kind, fid, rest):
        """Sends a message on a clone of a fid, with any result; then reads."""
        clone = self.guest.walk(fid=fid)
        try:
            self.guest.call(kind, struct.pack('<I', clone) + rest)
            self.guest.read(clone)
        except ninep.Error:
            pass
        self.guest.clunk(clone)

    def test_create_on_link(self):
        """Tlcreate on a link's name does not open or make its target"""
        for link in self.links:
            for flags in (os.O_RDWR, os.O_RDWR | os.O_CREAT | os.O_TRUNC):
                clone = self.guest.walk(fid=self.dir)
                try:
                    self.guest.create(clone, link, flags=flags)
                    self.guest.read(clone)
                    self.guest.write(clone, b'overwritten')
                except ninep.Error:
                    pass
                self.guest.clunk(clone)
            self.assert_untouched()


@stage.for_drivers()
class Swapped(stage.Attack):
    """A directory that changes places with a link, while the guest works"""

    def test_swap(self):
        """Neither a walk nor a change ever leads through the link"""
        (self.folder / 'dir').mkdir()
        (self.folder / 'dir/secret').write_bytes(b'inside')
        os.chmod(self.folder / 'dir', 0o777)
        os.symlink(self.outside / 'dir', self.folder / 'link')
        reached = 0
        with stage.Swapper(self.folder / 'dir',
                           self.folder / 'link') as swapper:
            end = time.monotonic() + stage.LIMIT
            i = 0
            while i < ROUNDS or not reached and time.monotonic() < end:
                reached += self.one_round(i)
                i += 1
        self.assertGreater(swapper.swaps, 10)
        self.assertGreater(reached, 0, 'never found the directory')
        self.assertFalse(list(pathlib.Path(self.outside / 'dir').glob('new*')))

    def one_round(self, i):
        """Reads and makes a file, each in a message: whether it read."""
        read = 0
        try:
            fid = self.guest.walk('dir', 'secret', fid=self.dir)
            self.guest.open(fid)
            read = self.guest.read(fid) == b'inside'
            self.guest.clunk(fid)
        except ninep.Error:
            pass
        for message in (self.guest.mkdir, self.guest.create,
                        self.guest.unlink):
            try:
                fid = self.guest.walk('dir', fid=self.dir)
                if message == self.guest.create:
                    message(fid, f'new{i}')
                elif message == self.guest.mkdir:
                    message(f'newdir{i}', fid)
                else:
                    message(f'new{i}', fid)
                self.guest.clunk(fid)
            except ninep.Error:
                pass
        return read


if __name__ == '__main__':
    stage.main()
