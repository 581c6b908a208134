#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""The driver's own records in the export: CVE-2017-7493.

The mapped models keep owners and modes in files (.virtfs_metadata) or in
attributes (user.virtfs.*). A guest's user who could write them would be the
owner of any file, or make programs of the guest's root.
"""

import errno
import os
import struct

import ninep
import stage

NAMES = ['.virtfs_metadata', '.virtfs_metadata_root']
XATTRS = ['user.virtfs.uid', 'user.virtfs.gid', 'user.virtfs.mode',
          'user.virtfs.rdev', 'user.virtfs.', 'user.virtfs.new',
          'user.virtfs.system.posix_acl_access']
REFUSED = {errno.ENOENT, errno.EINVAL, errno.EACCES, errno.EPERM,
           errno.EOPNOTSUPP, errno.ENODATA, errno.EEXIST}
RECORD = b'virtfs.uid=0\nvirtfs.gid=0\nvirtfs.mode=35309\n'


class _Mapped(stage.Attack):
    """A guest's file of user 7, whose owner must stay"""

    def setUp(self):
        super().setUp()
        self.guest.create(self.guest.walk(fid=self.dir), 'victim')
        self.guest.mkdir('sub', self.dir)
        self.victim = self.guest.walk('victim', fid=self.dir)
        self.guest.setattr(self.victim, uid=7, gid=7, mode=0o640)
        self.kept = self.guest.getattr(self.victim)
        self.records = stage.snapshot(self.folder)

    def tearDown(self):
        self.assertEqual(self.kept, self.guest.getattr(self.victim))
        super().tearDown()


@stage.for_drivers('local mapped-file')
class Names(_Mapped):
    """Each message with a name, and the names of mapped-file's records"""

    def test_names(self):
        """No message finds, makes, replaces or removes them"""
        guest, here = self.guest, struct.pack('<I', self.dir)
        for name in NAMES:
            victim = ninep.text('victim')
            bad = ninep.text(name)
            for kind, payload in (
                    (ninep.TMKDIR, here + bad + bytes(8)),
                    (ninep.TSYMLINK, here + bad + ninep.text('x') + bytes(4)),
                    (ninep.TMKNOD, here + bad + struct.pack(
                        '<IIII', 0o100644, 0, 0, 0)),
                    (ninep.TLINK, struct.pack('<II', self.dir, self.victim)
                     + bad),
                    (ninep.TRENAME, struct.pack('<II', guest.walk(
                        'victim', fid=self.dir), self.dir) + bad),
                    (ninep.TRENAMEAT, here + victim + here + bad),
                    (ninep.TRENAMEAT, here + bad + here
                     + ninep.text('stolen')),
                    (ninep.TUNLINKAT, here + bad + bytes(4)),
                    (ninep.TUNLINKAT, here + bad + struct.pack(
                        '<I', ninep.REMOVEDIR))):
                self.assert_refused(REFUSED, guest.call, kind, payload)
            self.assert_refused(REFUSED, guest.walk, name, fid=self.dir)
            self.assert_refused(REFUSED, guest.walk, name, 'victim',
                                fid=self.dir)
            self.assert_refused(REFUSED, guest.walk, 'sub', '..', name,
                                fid=self.dir)
            self.assert_refused(REFUSED, guest.create,
                                guest.walk(fid=self.dir), name)
            self.assertNotIn(name.encode(), guest.names(self.dir))
            self.assertNotIn(name.encode(), guest.names())
        self.assertTrue((self.folder / NAMES[0] / 'victim').exists())
        self.assertEqual(self.records, stage.snapshot(self.folder))

    def test_planted(self):
        """What the host or a guest left under the records' names is not
        followed"""
        records = self.folder / 'sub' / NAMES[0]
        os.symlink(self.outside / 'dir', records)
        fid = self.guest.walk('sub', fid=self.dir)
        for work in (lambda: self.guest.create(self.guest.walk(fid=fid),
                                               'secret'),
                     lambda: self.guest.setattr(self.guest.walk(
                         'secret', fid=fid), uid=9, mode=0o777)):
            try:
                work()
            except ninep.Error:
                pass
            self.assert_untouched()


@stage.for_drivers('local mapped-xattr', 'local mapped-file')
class Attributes(_Mapped):
    """The attributes that hold mapped-xattr's records"""

    def test_attributes(self):
        """No message reads, sets, lists or removes them"""
        for name in XATTRS:
            self.assert_refused(REFUSED, self.guest.getxattr, self.victim,
                                name)
            for value in (struct.pack('<I', 0), b''):
                for flags in (0, 1, 2):
                    self.assert_refused(REFUSED, self.guest.setxattr,
                                        self.victim, name, value, flags)
        self.assertNotIn(b'user.virtfs', self.guest.getxattr(self.victim, ''))
        self.assertEqual(self.records, stage.snapshot(self.folder))


@stage.for_drivers('local mapped-xattr', 'local mapped-file')
class Host(_Mapped):
    """What the guest's modes and owners are on the host"""

    def test_no_rights_on_host(self):
        """No set-id program, device or link, and no other owner"""
        guest = self.guest
        guest.create(guest.walk(fid=self.dir), 'program', mode=0o6755)
        program = guest.walk('program', fid=self.dir)
        guest.setattr(program, uid=0, gid=0)
        guest.setattr(program, mode=0o6777)
        for i, mode in enumerate((0o20666, 0o60666, 0o10666, 0o140666)):
            guest.call(ninep.TMKNOD, struct.pack('<I', self.dir)
                       + ninep.text(f'node{i}')
                       + struct.pack('<IIII', mode, 1, 5, 0))
        guest.symlink('link', '/etc/passwd', self.dir)
        for path in self.folder.iterdir():
            st = path.lstat()
            self.assertEqual(oct(st.st_mode & 0o6077), '0o0', path)
            self.assertIn(st.st_mode & 0o170000, (0o40000, 0o100000), path)
            self.assertEqual(st.st_uid, os.geteuid(), path)
        self.assertEqual(oct(guest.getattr(program)[0]), '0o106777')


if __name__ == '__main__':
    stage.main()
