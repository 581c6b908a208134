#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""virtfs-mapped, run by root: all files that it makes belong to the user who
runs QEMU, which has no other way to read them."""

import os
import unittest

from mapped_share import MODELS, OTHER, Share
from mapped_tool import FOLDER, USER

MAPS = ('--uid-map', '0:100000:65536', '--gid-map', '0:200000:65536')
OWNER = ('--owner', f'{USER}:{USER + 1}')


class Owner(Share):
    """Shares that root works on"""

    def setUp(self):
        super().setUp()
        if not self.root:
            self.skipTest('only root can make files of others')
        self.as_root = True

    def owned(self, share, uid=USER, gid=USER + 1):
        """All of it belongs to the user."""
        for path in (share, *share.rglob('*')):
            st = os.lstat(path)
            self.assertEqual((st.st_uid, st.st_gid), (uid, gid), path)

    def plain(self, name, uid=0, gid=0):
        """A share of a host's model"""
        share = self.folder / name
        (share / 'dir/sub').mkdir(parents=True)
        (share / 'dir/file').write_bytes(b'x')
        os.symlink('target', share / 'dir/link')
        for path in (share, *share.rglob('*')):
            os.chown(path, uid + 5, gid + 5, follow_symlinks=False)
        return share

    def test_in_place(self):
        """From the host's models, and between the mapped ones"""
        for model in MODELS:
            with self.subTest(model=model):
                share = self.plain(f'pass-{model}')
                self.quiet('convert', '--from', 'passthrough', '--to', model,
                           *OWNER, share)
                self.owned(share)
                share = self.plain(f'proxy-{model}', 100000, 200000)
                self.quiet('convert', '--from', 'proxy', '--to', model, *MAPS,
                           *OWNER, share)
                self.owned(share)
                self.assertEqual(self.see(share)[b'dir/link']['uid'], 5)
                # Then that user's, without the option
                self.quiet('convert', '--to', OTHER[model], share)
                self.owned(share)

    def test_new(self):
        """In a new directory, which is root's or the user's"""
        for old, new in (('passthrough', MODELS[0]), ('passthrough', MODELS[1]),
                         MODELS, MODELS[::-1]):
            with self.subTest(old=old, new=new):
                share = self.plain(f'{old}-{new}')
                if old != 'passthrough':
                    self.quiet('convert', '--from', 'passthrough', '--to', old,
                               share)
                made = self.folder / f'{old}-{new}-1'
                made.mkdir()
                self.quiet('convert', '--from', old, '--to', new, *OWNER,
                           share, made)
                self.owned(made)
                made = self.new(f'{old}-{new}-2')
                self.quiet('convert', '--from', old, '--to', new, share, made)
                self.owned(made, *self.owner)

    def test_others(self):
        """set, unpack and check --repair, in a user's share"""
        self.put(self.share / 'file')
        self.quiet('set', '--model', 'mapped-file', '--root', self.share,
                   '--uid', '7', self.share / 'file', self.share)
        self.assertTrue((self.share / FOLDER / 'file').exists())
        self.owned(self.share, *self.owner)
        archive = self.quiet('pack', '--model', 'passthrough',
                             self.plain('plain'))
        for model in MODELS:
            share = self.new(f'unpacked-{model}')
            self.quiet('unpack', '--model', model, share, data=archive)
            self.owned(share, *self.owner)
            self.assertEqual(self.see(share)[b'dir/file']['uid'], 5)
        self.meta(self.share / 'file', 'virtfs.mode=33188\nunknown\n')
        os.mkdir(self.share / FOLDER / 'other')
        os.chown(self.share / FOLDER / 'other', *self.owner)
        self.put(self.share / 'other')
        self.run_it('check', '--repair', self.share, expect=1)
        self.owned(self.share, *self.owner)

    def test_refused(self):
        """Not with a model whose files have the guest's owners"""
        share = self.plain('plain')
        for to in 'passthrough', 'proxy':
            _, err = self.run_it('convert', '--from', 'mapped-xattr', '--to',
                                 to, *OWNER, share, expect=2)
            self.assertIn(f'--owner is for a mapped model: with {to}, files '
                          'have the owners that the guest sees', err)


if __name__ == '__main__':
    unittest.main()
