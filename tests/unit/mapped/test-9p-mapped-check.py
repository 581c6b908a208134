#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""virtfs-mapped check: damaged metadata of every kind. Each is named; a repair
mends what can be mended and says what is lost, and changes nothing that the
guest sees unless it must. A second check finds only what cannot be mended."""

import os
import struct
import unittest

import mapped_tool
from mapped_tool import FOLDER, ROOT

LINK, REG, DIR, CHR = 0o120777, 0o100644, 0o40755, 0o20600


class Check(mapped_tool.Case):
    """What all of these do"""

    model = ''

    def check(self, *words, expect):
        """Its lines"""
        out = self.quiet('check', '--model', self.model, *words, self.share,
                         expect=expect)
        return out.decode().splitlines()

    def fault(self, name, what, cure, guest=True, again=None):
        """One fault, and its repair

        cure: None if there is none
        guest: whether the guest sees the same afterwards
        """
        before = self.see(self.share, '--model', self.model)
        lines = self.check(expect=1)
        self.assertIn(f'{name}: {what}', lines[0])
        self.assertEqual(len(lines), 3, lines)
        after = self.see(self.share, '--model', self.model)
        self.assertEqual(after, before)
        if cure is None:
            self.assertEqual(lines[1], f'{name}: this cannot be mended')
            self.assertTrue(lines[2].endswith(' 1 faults'), lines)
            self.check('--repair', expect=1)
            self.assertEqual(len(self.check(expect=1)), 3)
            return
        self.assertIn(f'{name}: with --repair: {cure}', lines[1])
        lines = self.check('--repair', expect=1)
        self.assertIn(f'{name}: mended: {cure}', lines[1])
        self.assertTrue(lines[2].endswith(' 1 faults, 1 mended'), lines)
        if guest:
            self.assertEqual(self.see(self.share, '--model', self.model),
                             before)
        lines = self.check(expect=1 if again else 0)
        if again:
            self.assertIn(again, lines[0])


    def no_ids(self):
        """Ids that no file can have"""
        self.put(self.share / 'f', b'x')
        for which in 'uid', 'gid':
            if self.model == 'mapped-xattr':
                self.views(self.share / 'f', **{'uid': 1, 'gid': 1,
                                                which: 0xffffffff})
            else:
                self.meta(self.share / 'f', 'virtfs.uid=1\nvirtfs.gid=1\n'
                          .replace(f'{which}=1', f'{which}=-1'))
            self.fault('f', 'its owner or group is 4294967295',
                       "it becomes the host's", guest=False)
            self.assertEqual(self.see(self.share, '--model', self.model)[b'f']
                             [which], self.owner[which == 'gid'] if self.root
                             else os.getuid() if which == 'uid'
                             else os.getgid())


class Xattr(Check):
    """mapped-xattr"""

    model = 'mapped-xattr'

    def file(self, data=b'', host=0o600, **views):
        """A file with these attributes"""
        self.put(self.share / 'f', data, host)
        self.views(self.share / 'f', **views)

    def test_good(self):
        """A share without a fault, with files of host users in it"""
        self.file(host=0o644)
        self.put(self.share / 'g', b'x')
        self.views(self.share / 'g', mode=REG)      # a chmod by the guest
        os.symlink('/nowhere', self.share / 'host-link')
        os.mkfifo(self.share / 'host-fifo')
        self.assertEqual(self.check(expect=0), ['5 files, 0 faults'])

    def test_no_ids(self):
        """Ids that no file can have"""
        self.no_ids()

    def test_size(self):
        """Numbers of the wrong size"""
        for name, value in (('uid', b''), ('gid', b'123'), ('mode', b'12345'),
                            ('uid', b'x' * 2000)):
            with self.subTest(name=name, size=len(value)):
                self.file(b'x', uid=1, gid=2, mode=REG)
                self.views(self.share / 'f', **{name: value})
                self.fault('f', f'attribute user.virtfs.{name} has '
                           f'{len(value)} bytes in place of 4', 'it becomes ')
                os.unlink(self.share / 'f')

    def test_rdev_size(self):
        """A device number of the wrong size is lost"""
        self.file(uid=1, gid=2, mode=CHR, rdev=b'1234')
        lines = self.check('--repair', expect=1)
        self.assertIn('attribute user.virtfs.rdev has 4 bytes in place of 8',
                      lines[0])
        self.assertIn("the device's number is lost", lines[1])
        self.fault('f', 'a device without a number', None)
        self.quiet('set', '--rdev', '1:3', self.share / 'f')
        self.check(expect=0)

    def test_type(self):
        """A mode whose type the host's file cannot have"""
        for mode in (DIR, 0o644, 0o70644, 0o1100644, 0xffffffff):
            with self.subTest(mode=oct(mode)):
                self.file(b'x', uid=1, gid=2, mode=mode)
                self.fault('f', f'its mode, 0{mode:o}, says ',
                           "the mode gets the host's type")
        os.unlink(self.share / 'f')
        self.by_user((self.share / 'd').mkdir)
        self.views(self.share / 'd', uid=1, gid=2, mode=LINK)
        self.fault('d', 'its mode, 0120777, says a symbolic link, but the '
                   'host has a directory', "the mode gets the host's type")

    def test_half_made(self):
        """A link that got its type, but not its owner"""
        self.file(b'target', mode=LINK)
        self.fault('f', 'half-made: it has a type, but no owner',
                   'it gets those that the guest sees now')

    def test_half_made_host(self):
        """A file that got nothing yet"""
        self.file(host=0)
        self.fault('f', 'half-made: an empty file without permissions', None)

    def test_links(self):
        """Links without a target that can be read"""
        for data, what in ((b'', 'a symbolic link without a target'),
                           (b'a\0b', 'a symbolic link whose target has a NUL'),
                           (b'x' * 4096, 'a symbolic link whose target is too '
                            'long')):
            with self.subTest(what=what):
                self.file(data, uid=1, gid=1, mode=LINK)
                lines = self.check(expect=1)
                self.assertIn(f'f: {what}', lines[0])
                self.assertEqual(lines[1], 'f: this cannot be mended')

    def test_acl(self):
        """ACLs that are none, and a default ACL of a file"""
        good = struct.pack('<I' + 3 * 'HHI', 2, 1, 6, 0xffffffff,
                           4, 4, 0xffffffff, 0x20, 4, 0xffffffff)
        for kind, value, what in (
                ('access', b'', 'is no valid ACL'),
                ('access', good[:-1], 'is no valid ACL'),
                ('access', b'\3' + good[1:], 'is no valid ACL'),
                ('access', good[:-8], 'is no valid ACL'),
                ('default', good, 'on what is no directory')):
            with self.subTest(kind=kind, value=value):
                self.file(b'x', uid=1, gid=1, mode=REG)
                name = f'user.virtfs.system.posix_acl_{kind}'
                os.setxattr(self.share / 'f', name, value)
                lines = self.check('--repair', expect=1)
                self.assertEqual(lines[0], f'f: attribute {name} {what}')
                self.assertIn('mended: it is removed; that ACL is lost',
                              lines[1])
                self.check(expect=0)
        self.file(b'x', uid=1, gid=1, mode=REG)
        os.setxattr(self.share / 'f', 'user.virtfs.system.posix_acl_access',
                    good)
        self.check(expect=0)

    def test_unknown(self):
        """An attribute that no QEMU writes"""
        self.file(b'x', uid=1, gid=1, mode=REG)
        os.setxattr(self.share / 'f', 'user.virtfs.what', b'')
        self.fault('f', 'attribute user.virtfs.what has no meaning', None)
        os.setxattr(self.share / 'f', 'user.virtfs.\x1b[31m', b'')
        self.assertNotIn(b'\x1b', self.run_it('check', self.share,
                                              expect=None)[0])

    def test_closed(self):
        """A file and a directory that their owner may not read"""
        self.by_user((self.share / 'd').mkdir)
        self.file(b'x', uid=b'1', mode=REG)
        os.rename(self.share / 'f', self.share / 'd/f')
        os.chmod(self.share / 'd/f', 0)
        os.chmod(self.share / 'd', 0)
        lines = self.check('--repair', expect=1)
        self.assertIn('d/f: mended: it becomes ', lines[1])
        self.assertEqual(os.stat(self.share / 'd').st_mode & 0o777, 0)
        self.check(expect=0)


class File(Check):
    """mapped-file"""

    model = 'mapped-file'

    def file(self, text, data=b'x', mode=0o600):
        """A file with this metadata"""
        self.put(self.share / 'f', data, mode)
        return self.meta(self.share / 'f', text)

    def test_good(self):
        """Shares without a fault"""
        self.file('virtfs.uid=1\nvirtfs.gid=-2\nvirtfs.mode=33188\n'
                  'virtfs.rdev=0\n')
        self.put(self.share / ROOT, b'virtfs.mode=16877\n')
        self.put(self.share / 'host')
        self.assertEqual(self.check(expect=0), ['3 files, 0 faults'])

    def test_no_ids(self):
        """Ids that no file can have, as other QEMUs write them"""
        self.no_ids()

    def test_text(self):
        """Text that is none of the format"""
        good = 'virtfs.uid=1\nvirtfs.gid=2\nvirtfs.mode=33188\n'
        for text, what in (
                (good + 'virtfs.uid=3\n', 'has two lines for one value'),
                (good[:-1] + 'x\n', 'has a line without a valid number'),
                ('virtfs.uid=\n' + good[13:], 'has a line without a valid'),
                ('virtfs.uid=0x1\n' + good[13:], 'has a line without a valid'),
                ('virtfs.uid=4294967296\n', 'has a line without a valid'),
                (good + 'virtfs.mode=-1\n', 'has two lines for one value'),
                (good + 'virtfs.what=1\n', 'has a line of unknown meaning'),
                (good + 'noise', 'has a line of unknown meaning'),
                (good.encode() + b'\0\0', 'has a NUL byte'),
                (b'\0' + good.encode(), 'has a NUL byte')):
            with self.subTest(text=text):
                self.file(text)
                self.fault('f', f'its metadata {what}', 'it is ')
        self.assertFalse((self.share / FOLDER / 'f').exists())

    def test_no_text(self):
        """Metadata that says nothing"""
        for text, what in (('', 'is empty'), ('#' * 4097, 'is too long')):
            with self.subTest(what=what):
                path = self.file(text)
                self.fault('f', f'its metadata {what}', 'it is removed')
                self.assertFalse(path.exists())

    def test_cut(self):
        """Metadata that was cut short in a number is another number"""
        self.file('virtfs.uid=1\nvirtfs.gid=2\nvirtfs.mode=3318')
        self.fault('f', 'its mode, 06366, says no type of file',
                   "the mode gets the host's type")
        self.assertEqual(self.see(self.share)[b'f']['mode'], '6366')

    def test_place(self):
        """A directory, a link and a loop in place of metadata"""
        path = self.share / FOLDER / 'f'
        self.file('virtfs.uid=1\n')
        for make, what in ((path.mkdir, 'a directory'),
                           (lambda: path.symlink_to('/etc/passwd'),
                            'a symbolic link'),
                           (lambda: path.symlink_to('f'), 'a symbolic link'),
                           (lambda: os.mkfifo(path), 'a special file')):
            with self.subTest(what=what):
                path.unlink(missing_ok=True)
                make()
                self.fault('f', f'in place of its metadata is {what}',
                           'it is removed')
                self.assertFalse(os.path.lexists(path))
                self.file('virtfs.uid=1\n')
        path.unlink()
        path.mkdir()
        self.put(path / 'inside')
        for name in 'f', 'gone':
            self.fault(name, 'in place of its metadata is a directory with '
                       'files in it: move it away' if name == 'f' else
                       'in the place of metadata is a directory with files in '
                       'it: move it away', None)
            path = path.rename(path.with_name('gone'))
        self.assertTrue((path / 'inside').exists())

    def test_folder(self):
        """Something else in place of the metadata folder"""
        for make in (lambda p: self.put(p, b'x'),
                     lambda p: p.symlink_to('/etc'),
                     lambda p: p.symlink_to(FOLDER)):
            self.put(self.share / 'f')
            make(self.share / FOLDER)
            self.fault(FOLDER, 'it is no directory', None)
            os.unlink(self.share / FOLDER)

    def test_orphans(self):
        """Metadata of files that are gone"""
        self.file('virtfs.uid=1\n')
        os.unlink(self.share / 'f')
        self.fault('f', 'there is metadata, but no such file',
                   'the metadata is removed')
        inner = self.share / 'd'
        self.by_user(inner.mkdir)
        self.meta(inner / ROOT, 'virtfs.uid=1\n')
        self.fault(f'd/{ROOT}', 'there is metadata, but no such file',
                   'the metadata is removed')

    def test_reserved(self):
        """A file whose name hides it from the guest"""
        self.by_user((self.share / 'd').mkdir)
        self.put(self.share / 'd' / ROOT, b'mine')
        self.fault(f'd/{ROOT}', 'a file that the guest cannot see', None)

    def test_type(self):
        """Modes that do not fit"""
        for mode, what in ((0o40755, 'says a directory, but the host has a '
                            'regular file'), (0o644, 'says no type')):
            self.file(f'virtfs.uid=1\nvirtfs.gid=1\nvirtfs.mode={mode}\n')
            self.fault('f', f'its mode, 0{mode:o}, {what}',
                       "the mode gets the host's type")

    def test_half_made(self):
        """A fifo without an owner, a device without a number"""
        self.file(f'virtfs.mode={0o10600}\n')
        self.fault('f', 'half-made: it has a type, but no owner',
                   'it gets those that the guest sees now')
        self.file(f'virtfs.uid=1\nvirtfs.gid=1\nvirtfs.mode={0o60600}\n')
        self.fault('f', 'a device without a number', None)

    def test_hard_links(self):
        """Names of one file that do not share their metadata"""
        path = self.file('virtfs.uid=1\n')
        os.link(self.share / 'f', self.share / 'g')
        os.link(path, path.with_name('g'))
        self.check(expect=0)
        path.with_name('g').unlink()
        self.meta(self.share / 'g', 'virtfs.uid=2\n')
        lines = self.check(expect=1)
        self.assertIn('g: the file has other names, whose metadata is another '
                      'file', lines[0])

    def test_closed(self):
        """Metadata that its owner may not read"""
        path = self.file('virtfs.uid=x\n')
        path.chmod(0)
        path.parent.chmod(0)
        lines = self.check('--repair', expect=1)
        self.assertIn('f: mended: it is removed', lines[1])
        self.assertEqual(path.parent.stat().st_mode & 0o777, 0)


if __name__ == '__main__':
    unittest.main()
