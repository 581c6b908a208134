#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""virtfs-mapped refuses what would damage a share, before it changes anything:
a wrong model, other ids than a conversion was begun with, and owners that the
user may not give."""

import os
import subprocess
import unittest

from mapped_share import MARK, MODELS, OTHER, Share
from mapped_tool import FOLDER, ROOT, USER

UIDS, GIDS = '0:100000:65536', '0:200000:65536'
MAPS = ('--uid-map', UIDS, '--gid-map', GIDS)
PROGRAM = 'virtfs-mapped'
ONLY_ROOT = 'only root may give files away'


class Models(Share):
    """The model that the user names is not that of the share."""

    def test_wrong_model(self):
        """No command puts a second model's metadata into a share."""
        for model, other in OTHER.items():
            for wrong in other, 'passthrough', 'proxy':
                with self.subTest(model=model, wrong=wrong):
                    self.share = self.new(f'{model}-{wrong}')
                    self.fill(model)
                    before = self.state()
                    archive, _ = self.run_it('pack', self.share, expect=None)
                    use = '--model', wrong
                    commands = [
                        ('set', '--root', self.share, *use, '--uid', '3',
                         self.share / 'd0/f0'),
                        ('unpack', *use, self.share)]
                    if wrong == other:
                        commands.append(('check', '--repair', *use, self.share))
                    for words in commands:
                        _, err = self.run_it(*words, data=archive, expect=1)
                        self.assertIn(f'its model is {model}, as its metadata '
                                      'tells', err)
                    self.assertEqual(self.left(other), [])
                    self.same(before)

    def damage(self, other):
        """Some metadata of another model, as a wrong --model leaves it"""
        if other == 'mapped-file':
            self.meta(self.share / 'd0', 'virtfs.uid=3\n')
            self.put(self.share / ROOT, b'virtfs.uid=3\n')
            self.meta(self.share / 'd1/f1', 'virtfs.uid=3\n')
            return 2, {'.', 'd1'}
        self.views(self.share, uid=3)
        self.views(self.share / 'd1/f1', uid=3)
        return 2, {'.', 'd1/f1'}

    def test_second_model(self):
        """check names it, and removes it for the model that the user names."""
        for model, other in OTHER.items():
            with self.subTest(model=model):
                self.share = self.new(model)
                self.fill(model)
                before = self.state(mtimes=False)
                faults, names = self.damage(other)
                _, err = self.run_it('ls', self.share, expect=1)
                self.assertIn('it has the metadata of two models', err)
                out = self.quiet('check', '--model', model, self.share,
                                 expect=1).decode().splitlines()
                text = f'metadata of the model {other}, which the share has not'
                self.assertEqual({line.split(': ')[0] for line in out
                                  if text in line}, names)
                self.assertIn(f' {faults} faults', out[-1])
                self.quiet('check', '--model', model, '--repair', self.share,
                           expect=1)
                self.assertEqual(self.left(other), [])
                self.quiet('check', self.share)
                self.same(before, mtimes=False)

    def test_guests_folder(self):
        """A guest of mapped-xattr may have files with such names."""
        self.fill(MODELS[0])
        for path in self.share / FOLDER, self.share / 'd1' / FOLDER:
            self.by_user(path.mkdir)
            self.views(path, mode=0o40755, uid=0, gid=0)
            self.put(path / 'own')
        self.quiet('check', '--model', MODELS[0], self.share)

    def test_files_in_folder(self):
        """A guest may have files in such a folder, and so may others."""
        for name, view in (('guests', True), ('text', False), ('dir', False)):
            with self.subTest(name=name):
                self.share = self.new(name)
                self.fill(MODELS[0])
                self.damage(MODELS[1])
                folder = self.share / 'd1' / FOLDER
                if name == 'dir':
                    self.by_user((folder / name).mkdir)
                else:
                    self.put(folder / name, b'virtfs.uid=1\n' if view
                             else b'an own text\n')
                if view:
                    self.views(folder / name, mode=0o100644, uid=0, gid=0)
                before = sorted(folder.iterdir())
                out = self.quiet('check', '--model', MODELS[0], '--repair',
                                 self.share, expect=1).decode()
                self.assertEqual(sorted(folder.iterdir()), before)
                self.assertIn(f'd1/{FOLDER}/{name}: it has the place of '
                              'metadata of the model mapped-file, and is none: '
                              'the guest, which sees it', out)
                self.assertIn(f'd1/{FOLDER}/{name}: this cannot be mended', out)
                # What is only metadata goes.
                self.assertFalse((self.share / ROOT).exists())

    def test_convert(self):
        """A conversion would destroy one of both."""
        for model, other in OTHER.items():
            for deep in False, True:
                with self.subTest(model=model, deep=deep):
                    self.share = self.new(f'{model}-{deep}')
                    self.fill(model)
                    if deep and other == 'mapped-file':
                        self.meta(self.share / 'd1/f1', 'virtfs.uid=3\n')
                    elif deep:
                        self.views(self.share / 'd1/f1', uid=3)
                    else:
                        self.damage(other)
                    words = 'convert', '--from', model, '--to', other
                    _, err = self.run_it(*words, self.share, expect=1)
                    self.assertIn('d1/f1: it has metadata of the model' if deep
                                  else 'it has the metadata of both mapped '
                                  'models', err)
                    self.assertNotIn(MARK, os.listxattr(self.share))
                    if other == 'mapped-file':
                        # The guest sees those names, and would not any more.
                        self.run_it(*words, '--lossy', self.share, expect=1)
                        self.run_it('check', '--model', model, '--repair',
                                    self.share, expect=1)
                    self.quiet(*words, '--lossy', self.share)
                    self.assertEqual(self.left(model), [])


class Ids(Share):
    """A conversion that goes on with other ids than it was begun with"""

    def setUp(self):
        super().setUp()
        if not self.root:
            self.skipTest('only root can make files of others')
        self.as_root = True
        self.fill(MODELS[0])
        (self.share / 'host-link').unlink()
        # A conversion that is killed does not keep those of directories.
        self.before = self.state(mtimes=False)

    def stop(self):
        """Begins a conversion with maps, and kills it; its mark"""
        words = ('convert', '--from', MODELS[0], '--to', 'proxy', *MAPS)
        for _ in range(50):
            with subprocess.Popen([self.program, *words, self.share]) as child:
                while child.poll() is None and \
                        MARK not in os.listxattr(self.share):
                    pass
                child.kill()
            if MARK in os.listxattr(self.share):
                return os.getxattr(self.share, MARK).decode()
            # It was done before the kill.
            self.run_it('convert', '--from', 'proxy', '--to', MODELS[0],
                        *MAPS, *self.OWNER, self.share, expect=None)
        self.fail('no conversion could be killed')

    OWNER = ('--owner', f'{USER}:{USER}')

    def test_other(self):
        """Other ones are refused, in both directions."""
        mark = self.stop()
        self.assertRegex(mark, f'^(copy|drop) {MODELS[0]} proxy '
                         f'owner={USER}:{USER} uid={UIDS} gid={GIDS}$')
        other = '--uid-map', '0:300000:65536', '--gid-map', GIDS
        for to in 'proxy', MODELS[0]:
            _, err = self.run_it('convert', '--to', to, *other, self.share,
                                 expect=1)
            self.assertIn(f'it is being converted with other ids, uid={UIDS} '
                          f'gid={GIDS}', err)
            self.assertIn('go on with the same --uid-map', err)
        self.assertEqual(os.getxattr(self.share, MARK).decode(), mark)

    def test_same(self):
        """Root goes on with the same ones, or names none."""
        for more in (), MAPS:
            self.stop()
            self.quiet('convert', '--to', 'proxy', *more, self.share)
            self.same(self.before, '--model', 'proxy', *MAPS, mtimes=False)
            for path in self.share.rglob('*'):
                self.assertGreaterEqual(os.lstat(path).st_uid, 100000, path)
            self.quiet('convert', '--from', 'proxy', '--to', MODELS[0], *MAPS,
                       *self.OWNER, self.share)

    def test_back(self):
        """The way back has them as well."""
        self.stop()
        self.quiet('convert', '--to', MODELS[0], *self.OWNER, self.share)
        self.assertEqual(self.state(mtimes=False), {
            path: {k: v for k, v in o.items() if o['type'] != 'directory' or
                   not k.startswith('mtime')}
            for path, o in self.before.items()})


class NotRoot(Share):
    """An ordinary user cannot give files to others."""

    def one_line(self, *words, **how):
        """One refusal, and nothing is changed"""
        _, err = self.run_it(*words, expect=1, **how)
        lines = err.splitlines()
        self.assertIn(ONLY_ROOT, lines[0])
        self.assertIn(lines[1:], ([], [f'{PROGRAM}: {words[-1]}: the rest of '
                                       'the archive is not there']))
        self.assertNotIn(MARK, os.listxattr(self.share))

    def test_convert(self):
        """In place, to a new directory, and to be told first"""
        self.fill(MODELS[0])
        before = self.state()
        for to in 'passthrough', 'proxy':
            made = self.new(to)
            for more in ((), ('--dry-run',)):
                self.one_line('convert', '--to', to, *more, self.share)
                self.one_line('convert', '--to', to, *more, self.share, made)
            self.assertEqual(os.listdir(made), [])
        self.one_line('convert', '--to', MODELS[1], '--owner', '1:1',
                      self.share)
        self.same(before)

    def test_own(self):
        """A share with the user's own ids alone is no problem."""
        uid, gid = self.owner if self.root else (os.geteuid(), os.getegid())
        self.put(self.share / 'file', b'x')
        self.views(self.share / 'file', uid=uid, gid=gid, mode=0o100640)
        self.views(self.share, uid=uid, gid=gid, mode=0o40755)
        self.quiet('convert', '--to', 'passthrough', self.share)
        self.assertEqual(os.stat(self.share / 'file').st_mode, 0o100640)

    def test_unpack(self):
        """An archive with other owners"""
        self.put(self.share / 'file', b'x')
        self.views(self.share / 'file', uid=7, gid=7, mode=0o100640)
        for i in range(9):
            self.put(self.share / f'more{i}')
        archive, _ = self.run_it('pack', self.share)
        for model in 'passthrough', 'proxy':
            made = self.new(model)
            self.one_line('unpack', '--model', model, made, data=archive)
            self.assertEqual(os.listdir(made), [])


if __name__ == '__main__':
    unittest.main()
