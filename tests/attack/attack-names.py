#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Names that lead out of the export: CVE-2016-7116.

A server that takes a name with a slash, or "..", as it comes acts outside the
export. Here each message that has a name gets each kind of bad name.
"""

import errno
import os
import struct

import ninep
import stage

# Beside the export are "outside" and what it holds
BAD = ['..', '.', '', '/', '../..', '../../outside/secret', '../outside',
       'a/../../../outside/secret', './a', 'a/', '/etc/passwd', 'a/b',
       b'a\0b', b'..\0', 'x' * 256]
REFUSED = {errno.ENOENT, errno.EINVAL, errno.EEXIST, errno.ENAMETOOLONG,
           errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY, errno.EBUSY,
           errno.EIO, errno.EPERM, errno.EACCES, errno.EPROTO}


@stage.for_drivers()
class Names(stage.Attack):
    """Each message with a name, and each bad name"""

    def setUp(self):
        super().setUp()
        self.guest.mkdir('a', self.dir)
        self.guest.create(self.guest.walk(fid=self.dir), 'file')
        self.inside = sorted(self.guest.names(self.dir))

    def each(self, send):
        """Each bad name is refused, and nothing appears or vanishes."""
        for name in BAD:
            self.assert_refused(REFUSED, send, name)
        self.assertEqual(sorted(self.guest.names(self.dir)), self.inside)

    def message(self, kind, before, after=b''):
        """A function that sends a message with a name."""
        def send(name):
            self.guest.call(kind, before + ninep.text(name) + after)
        return send

    def test_make(self):
        """Tlcreate, Tmkdir, Tsymlink, Tmknod and Tlink make nothing outside"""
        fid = struct.pack('<I', self.dir)
        self.each(lambda name: self.guest.create(
            self.guest.walk(fid=self.dir), name))
        self.each(self.message(ninep.TMKDIR, fid, bytes(8)))
        self.each(self.message(ninep.TSYMLINK, fid,
                               ninep.text('target') + bytes(4)))
        self.each(self.message(ninep.TMKNOD, fid, struct.pack(
            '<IIII', 0o100644, 0, 0, 0)))
        file = self.guest.walk('file', fid=self.dir)
        self.each(self.message(ninep.TLINK, struct.pack('<II', self.dir,
                                                        file)))

    def test_rename(self):
        """Trename and Trenameat reach nothing outside, on either side"""
        fid = struct.pack('<I', self.dir)
        file = self.guest.walk('file', fid=self.dir)
        self.each(self.message(ninep.TRENAME, struct.pack('<II', file,
                                                          self.dir)))
        self.each(self.message(ninep.TRENAMEAT, fid + ninep.text('file')
                               + fid))
        self.each(self.message(ninep.TRENAMEAT, fid,
                               fid + ninep.text('stolen')))

    def test_remove(self):
        """Tunlinkat removes nothing outside"""
        for flags in (0, ninep.REMOVEDIR):
            self.each(self.message(ninep.TUNLINKAT,
                                   struct.pack('<I', self.dir),
                                   struct.pack('<I', flags)))

    def test_walk(self):
        """Twalk stays below the root, however many .. there are"""
        for name in set(BAD) - {'..', '.', ''}:
            self.assert_refused(REFUSED, self.guest.walk, name, fid=self.dir)
        for names in (['..'] * 16, ['a', *['..'] * 15]):
            top = self.guest.walk(*names, fid=self.dir)
            self.assertEqual(self.guest.names(top), self.guest.names())
            self.assert_refused({errno.ENOENT}, self.guest.walk, 'outside',
                                fid=top)

    def test_moved(self):
        """.. of a directory that the host moved out does not lead outside"""
        inner = self.guest.walk('a', fid=self.dir)
        os.rename(self.folder / 'a', self.place.top / 'moved')
        try:
            up = None
            try:
                up = self.guest.walk('..', fid=inner)
            except ninep.Error:
                pass
            if up is not None:
                self.assertNotIn(b'outside', self.guest.names(up))
                self.assert_refused(REFUSED, self.guest.walk, '..', 'outside',
                                    'secret', fid=inner)
        finally:
            os.rename(self.place.top / 'moved', self.folder / 'a')


if __name__ == '__main__':
    stage.main()
