#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""virtfs-mapped with metadata that its user may not read: every command says
so, and none takes the host's values for the guest's."""

import io
import os
import tarfile
import unittest

import mapped_tool
from mapped_tool import FOLDER, MODELS


class Unread(mapped_tool.Case):
    """A share in which root has made two files"""

    def setUp(self):
        super().setUp()
        if not self.root:
            self.skipTest('only root can make files of others')

    def fill(self, model):
        """A file, one that cannot be read, and one without metadata"""
        self.share = self.new(model)
        for name in 'good', 'bad', 'plain':
            self.put(self.share / name, name.encode())
            if model == 'mapped-file' and name != 'plain':
                self.meta(self.share / name, 'virtfs.uid=7\nvirtfs.gid=8\n'
                          'virtfs.mode=33216\n')
            elif name != 'plain':
                self.views(self.share / name, uid=7, gid=8, mode=0o100700)
        bad = self.share / FOLDER / 'bad' if model == 'mapped-file' else \
            self.share / 'bad'
        os.chown(bad, 0, 0)
        # Without attributes there is nothing to read.
        os.chown(self.share / 'plain', 0, 0)
        os.chmod(self.share / 'plain', 0o644)

    def complains(self, model, *words, data=b''):
        """A command says which metadata it cannot read."""
        place = f'{FOLDER}/bad' if model == 'mapped-file' else \
            'the attributes user.virtfs.*'
        out, err = self.run_it(*words, expect=1, data=data)
        self.assertIn(f'bad: cannot read what the guest sees, in {place}: '
                      'Permission denied', err)
        self.assertEqual(err.count('cannot read what'), 1, err)
        return out

    def test_commands(self):
        """Each command, for one file"""
        for model in MODELS:
            with self.subTest(model=model):
                self.fill(model)
                share = self.share
                use = '--model', model
                listed = self.complains(model, 'ls', '-l', *use, share)
                self.assertNotIn(b'bad', listed)
                self.assertIn(b'good', listed)
                self.assertIn(b'plain', listed)
                self.complains(model, 'find', *use, share)
                self.complains(model, 'stat', *use, share / 'bad')
                self.complains(model, 'set', *use, '--uid', '3', share / 'bad')
                self.complains(model, 'check', *use, share)
                self.complains(model, 'check', '--repair', *use, share)
                archive = self.complains(model, 'pack', *use, share)
                with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
                    self.assertEqual(set(tar.getnames()),
                                     {'.', './good', './plain'})

    def test_convert(self):
        """No file is converted."""
        for model, other in zip(MODELS, MODELS[::-1]):
            with self.subTest(model=model):
                self.fill(model)
                for more in (), (self.new(f'new-{model}'),):
                    self.complains(model, 'convert', '--to', other, self.share,
                                   *more)
                self.assertEqual(os.listdir(self.folder / f'new-{model}'), [])
                self.as_root = True
                self.assertEqual(self.see(self.share)[b'bad']['uid'], 7)
                self.as_root = False

    def test_folder(self):
        """A whole folder of metadata"""
        self.share = self.new('folder')
        for name in 'a', 'b':
            self.put(self.share / name)
            self.meta(self.share / name, 'virtfs.uid=7\n')
        os.chown(self.share / FOLDER, 0, 0)
        out, err = self.run_it('ls', self.share, expect=1)
        self.assertEqual(out, b'')
        self.assertEqual(err.count('cannot read what the guest sees'), 2, err)


if __name__ == '__main__':
    unittest.main()
