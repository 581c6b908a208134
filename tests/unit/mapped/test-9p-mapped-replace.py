#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""virtfs-mapped unpack: a file that exists stays until the one that takes its
place is whole. Each test has a reason why that one never is."""

import importlib
import os
import subprocess
import tarfile
import unittest

import mapped_tool
from mapped_tool import FOLDER, MODELS

archives = importlib.import_module('test-9p-mapped-archive')
item, archive = archives.item, archives.archive
TEMP = '.virtfs_new-0'


class Replace(mapped_tool.Case):
    """A share with a file in it"""

    def setUp(self):
        super().setUp()
        self.uid = self.owner[0] if self.root else os.geteuid()
        self.gid = self.owner[1] if self.root else os.getegid()

    def old(self, share, model):
        """A file, as a guest has made it"""
        self.put(share / 'f', b'precious')
        if model == 'mapped-xattr':
            self.views(share / 'f', mode=0o100640, uid=5, gid=6)
        elif model == 'mapped-file':
            self.meta(share / 'f', 'virtfs.uid=5\nvirtfs.gid=6\n'
                      f'virtfs.mode={0o100640}\n')

    def stays(self, share, model, data):
        """Unpacks what cannot be unpacked; the messages"""
        before = self.see(share, '--model', model)[b'f']
        _, err = self.run_it('unpack', '--model', model, share, data=data,
                             expect=1)
        self.assertEqual(self.see(share, '--model', model)[b'f'], before)
        self.assertEqual((share / 'f').read_bytes(), b'precious')
        self.assertNotIn(TEMP, os.listdir(share))
        if model in MODELS:
            self.quiet('check', '--model', model, share)
        return err

    def test_cut(self):
        """The archive ends in the middle of the file."""
        data = archive(item('f', data=b'x' * 50000))[:20000]
        for model in *MODELS, 'passthrough':
            share = self.new(model)
            self.old(share, model)
            if model == 'passthrough':
                data = archive(item('f', data=b'x' * 50000, uid=self.uid,
                                    gid=self.gid))[:20000]
            err = self.stays(share, model, data)
            self.assertIn('f: cannot read it from the archive', err)

    def test_no_room(self):
        """The file system is full."""
        if not self.root:
            self.skipTest('only root can mount')
        for model in MODELS:
            share = self.new(model)
            subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=256k,mode=777',
                            'full', share], check=True)
            self.addCleanup(subprocess.run, ['umount', share], check=True)
            self.old(share, model)
            err = self.stays(share, model, archive(item('f',
                                                        data=bytes(1 << 20))))
            self.assertIn('No space left on device', err)
            self.assertIn('the rest of the archive is not there', err)

    def test_device(self):
        """An ordinary user cannot make a device."""
        share = self.new('passthrough')
        self.old(share, 'passthrough')
        if not self.root and self.uid == 0:
            self.skipTest('this user can')
        err = self.stays(share, 'passthrough', archive(
            item('f', tarfile.CHRTYPE, uid=self.uid, gid=self.gid, devmajor=1,
                 devminor=3)))
        self.assertIn('f: cannot make it: Operation not permitted', err)

    def test_target(self):
        """A link whose target is too long"""
        for model in *MODELS, 'passthrough':
            share = self.new(model)
            self.old(share, model)
            err = self.stays(share, model, archive(
                item('f', tarfile.SYMTYPE, uid=self.uid, gid=self.gid,
                     linkname='x' * 5000)))
            self.assertIn('f: cannot make it: File name too long', err)

    def test_other_file_system(self):
        """A hard link to a file of another file system"""
        if not self.root:
            self.skipTest('only root can mount')
        for model in MODELS:
            share = self.new(model)
            (share / 'there').mkdir()
            subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=256k,mode=777',
                            'none', share / 'there'], check=True)
            self.addCleanup(subprocess.run, ['umount', share / 'there'],
                            check=True)
            self.old(share, model)
            self.put(share / 'there/target', b'x')
            err = self.stays(share, model, archive(
                item('f', tarfile.LNKTYPE, linkname='there/target')))
            self.assertIn('f: cannot make it: Invalid cross-device link', err)

    def test_works(self):
        """What takes the place has nothing of the old file, and takes it from
        no other name; a guest's file of the temporary name stays."""
        for model in MODELS:
            share = self.new(model)
            self.old(share, model)
            os.link(share / 'f', share / 'other')
            if model == 'mapped-file':
                os.link(share / FOLDER / 'f', share / FOLDER / 'other')
            self.put(share / TEMP, b'guest')
            self.quiet('unpack', '--model', model, share, data=archive(
                item('f', data=b'new', mode=0o4711, uid=7, gid=8,
                     pax_headers={'SCHILY.xattr.user.own': 'value'}
                     if model == 'mapped-xattr' else {}),
                item('f2', tarfile.LNKTYPE, linkname='f')))
            self.quiet('check', '--model', model, share)
            seen = self.see(share, '--model', model)
            new = seen[b'f']
            self.assertEqual((new['mode'], new['uid'], new['gid'], new['size'],
                              new['mtime'], new['nlink']),
                             ('4711', 7, 8, 3, 1234567890, 2))
            self.assertEqual(seen[b'f2']['inode'], new['inode'])
            self.assertEqual(new.get('xattrs', []), ['user.own'] if
                             model == 'mapped-xattr' else [])
            self.assertEqual((seen[b'other']['mode'], seen[b'other']['uid']),
                             ('0640', 5))
            self.assertEqual((share / 'other').read_bytes(), b'precious')
            self.assertEqual((share / TEMP).read_bytes(), b'guest')
            self.assertEqual(sorted(seen), sorted(map(os.fsencode, (
                '.', 'f', 'f2', 'other', TEMP))))


if __name__ == '__main__':
    unittest.main()
