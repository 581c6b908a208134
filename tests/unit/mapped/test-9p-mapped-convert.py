#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""virtfs-mapped convert: what the guest sees stays the same, nothing of the old
model remains, and a conversion that is killed at any moment leaves a share that
is whole for one of both models, and can go on or go back."""

import os
import re
import subprocess
import unittest

import mapped_tool
from mapped_share import MARK, OTHER, Share
from mapped_tool import FOLDER, MODELS


class Convert(Share):
    """From one mapped model to the other"""

    def test_both(self):
        """There and back again"""
        self.fill(MODELS[0])
        before = self.state()
        self.assertEqual(self.quiet('convert', '--dry-run', '--to', MODELS[1],
                                    self.share),
                         f'{len(before)} files can be converted\n'.encode())
        self.same(before)
        self.assertEqual(self.left(MODELS[1]), [])
        for old, new in (MODELS, MODELS[::-1]):
            self.quiet('convert', '--from', old, '--to', new, self.share)
            self.same(before)
            self.assertEqual(self.left(old), [])
            self.quiet('check', self.share)
            self.assertIn('its model is ' + new, self.run_it(
                'convert', '--to', new, self.share, expect=1)[1])

    def test_hard_links(self):
        """Names of one file share their metadata"""
        self.fill(MODELS[0])
        self.view(MODELS[0], self.share / 'd0/f0', 0o100600, 5, 6)
        self.quiet('convert', '--to', MODELS[1], self.share)
        inodes = {(self.share / p / FOLDER / n).stat().st_ino
                  for p, n in (('d0', 'f0'), ('d1', 'hard-f0'),
                               ('d1', 'harder-f0'))}
        self.assertEqual(len(inodes), 1)
        self.quiet('set', '--uid', '99', self.share / 'd1/hard-f0')
        self.assertEqual(self.see(self.share)[b'd0/f0']['uid'], 99)

    def test_lost(self):
        """ACLs, and names that mapped-file hides: nothing changes"""
        self.fill(MODELS[0], acls=True)
        self.by_user(lambda: (self.share / 'd5' / FOLDER).mkdir())
        before = self.state()
        for more in ((), ('--dry-run',)):
            _, err = self.run_it('convert', *more, '--from', MODELS[0], '--to',
                                 MODELS[1], self.share, expect=1)
            self.assertIn('d4/f18: it has an ACL, which would be lost', err)
            self.assertIn(f'd5/{FOLDER}: the guest could not see it', err)
            self.assertNotIn(MARK, os.listxattr(self.share))
        self.same(before)
        os.rmdir(self.share / 'd5' / FOLDER)
        self.run_it('convert', '--to', MODELS[1], self.share, expect=1)
        self.quiet('convert', '--lossy', '--to', MODELS[1], self.share)
        self.assertEqual(self.left(MODELS[0]), [])

    def test_failed(self):
        """A file that cannot be converted: the old model stays whole"""
        if not self.root:
            self.skipTest('only root can make files of others')
        self.fill(MODELS[0])
        folder = self.share / 'd6'
        before = self.state()
        os.chown(folder, 0, 0)
        folder.chmod(0o755)
        _, err = self.run_it('convert', '--to', MODELS[1], self.share,
                             expect=1)
        self.assertIn('cannot convert it: Permission denied', err)
        self.assertIn('nothing of the model mapped-xattr is gone', err)
        self.assertIn(b'copy mapped-xattr mapped-file',
                      os.getxattr(self.share, MARK))
        os.chown(folder, mapped_tool.USER, mapped_tool.USER)
        folder.chmod(0o700)
        _, err = self.run_it('check', self.share, expect=1)
        self.assertIn('it is being converted: finish that first', err)
        # Back
        self.quiet('convert', '--to', MODELS[0], self.share)
        self.assertEqual(self.left(MODELS[1]), [])
        self.assertNotIn(MARK, os.listxattr(self.share))
        self.same(before)

    def test_dirs_for_metadata(self):
        """Directories with files in the place of metadata: nothing begins,
        and a conversion that meets one says what to do."""
        self.fill(MODELS[1])
        before = self.state()
        places = [self.share / 'd1' / FOLDER / 'f1', self.share / 'd2' / FOLDER
                  / 'orphan']
        aside = self.new('aside')
        for i, place in enumerate(places):
            if place.exists():
                place.rename(aside / 'f1')
            self.by_user(place.mkdir)
            self.put(place / 'inside')
        self.by_user((self.share / 'd3' / FOLDER / 'empty').mkdir)
        changed = self.state()
        for more in ('--dry-run',), ():
            _, err = self.run_it('convert', *more, '--to', MODELS[0],
                                 self.share, expect=1)
            self.assertEqual(err.splitlines(), [
                f'virtfs-mapped: {place}: a directory with files in it, in the '
                'place of metadata, which no guest sees: move it away first'
                for place in places])
            self.assertNotIn(MARK, os.listxattr(self.share))
        self.same(changed)
        # It comes later.
        os.setxattr(self.share, MARK, b'copy mapped-file mapped-xattr')
        _, err = self.run_it('convert', '--to', MODELS[0], self.share, expect=1)
        self.assertEqual(err.splitlines(), [
            f'virtfs-mapped: {self.share}/{name}: in the place of the old '
            "model's metadata is a directory with files in it: move it away, "
            'and start again' for name in ('d1', 'd2')] + [
            f'virtfs-mapped: {self.share}: all of the model mapped-xattr is '
            'there, and some of the model mapped-file is left; start again, or '
            'go back with --to mapped-file'])
        self.same(changed)
        for i, place in enumerate(places):
            place.rename(aside / f'moved{i}')
        self.quiet('convert', '--to', MODELS[0], self.share)
        self.assertEqual(self.left(MODELS[1]), [])
        self.assertEqual(set(before), set(self.state()))
        # The root's own
        self.quiet('convert', '--to', MODELS[1], self.share)
        (self.share / mapped_tool.ROOT).unlink()
        self.by_user((self.share / mapped_tool.ROOT).mkdir)
        self.put(self.share / mapped_tool.ROOT / 'inside')
        _, err = self.run_it('convert', '--to', MODELS[0], self.share, expect=1)
        self.assertEqual(err.count(f'{mapped_tool.ROOT}: a directory with'), 1)

    def test_untold(self):
        """The root has no metadata, but what is below has."""
        for old, new in (MODELS, MODELS[::-1]):
            with self.subTest(model=old):
                self.share = self.new(f'untold-{old}')
                deep = self.share / 'a/b'
                self.by_user(lambda p=deep: p.mkdir(parents=True))
                self.put(deep / 'f')
                self.put(deep / 'g')
                words = ('convert', '--from', old, '--to', new)
                # Nothing of the old model, and some of the new one
                self.view(new, deep / 'f', 0o100640, 3, 4)
                _, err = self.run_it(*words, self.share, expect=1)
                self.assertIn(f'its model is not {old}: no file has', err)
                # Of both
                self.view(old, deep / 'g', 0o100600, 5, 6)
                whole = self.state('--model', new)
                for more in ('--dry-run',), ():
                    _, err = self.run_it(*words, *more, self.share, expect=1)
                    self.assertIn(f'a/b/f: it has metadata of the model {new}, '
                                  'which would be lost', err)
                self.same(whole, '--model', new)
                if new == MODELS[1]:
                    # The old model's guest sees the folder.
                    (deep / FOLDER).rename(self.new('aside') / FOLDER)
                before = self.state('--model', old)
                self.quiet(*words, '--lossy', self.share)
                self.same(before, '--model', new)
                self.assertEqual(self.left(old), [])
                before[b'a/b/f'].update(uid=7, gid=8, mode='0640')
                self.view(new, deep / 'f', 0o100640, 7, 8)
                self.quiet('convert', '--from', new, '--to', old, self.share)
                self.same(before, '--model', old)

    def test_bad_mark(self):
        """A mark that makes no sense"""
        self.fill(MODELS[0])
        for text in (b'', b'copy', b'copy mapped-xattr mapped-xattr',
                     b'move mapped-xattr mapped-file',
                     b'copy passthrough proxy', b'x' * 100):
            os.setxattr(self.share, MARK, text)
            _, err = self.run_it('convert', '--to', MODELS[1], self.share,
                                 expect=1)
            self.assertIn('cannot read the mark', err)

    def test_unknown_mark(self):
        """A mark of another version: nothing changes, and readers say so."""
        self.fill(MODELS[0])
        self.view(MODELS[0], self.share / 'd0/f0', 0o100600, 5, 6)
        os.setxattr(self.share, MARK, b'new-step mapped-xattr mapped-file')
        model = '--model', MODELS[0]
        before = self.run_it('ls', *model, '-lR', self.share, expect=1)
        for words in (('set', *model, '--root', self.share, '--uid', '99',
                       self.share / 'd0/f0'),
                      ('check', *model, '--repair', self.share),
                      ('unpack', *model, self.share),
                      ('convert', '--from', MODELS[0], '--to', MODELS[1],
                       self.share),
                      ('ls', *model, self.share), ('pack', *model, self.share),
                      ('convert', '--from', MODELS[0], '--to', MODELS[1],
                       self.share, self.new('new'))):
            _, err = self.run_it(*words, expect=1)
            self.assertIn(': cannot read the mark of a share that is being '
                          'converted, the root\'s attribute user.virtfs.convert'
                          ': if no conversion wrote it, remove it (setfattr '
                          '-x); if a newer virtfs-mapped did, use that', err)
        self.assertEqual(self.run_it('ls', *model, '-lR', self.share, expect=1),
                         before)
        self.assertEqual(os.listdir(self.folder / 'new'), [])

    def test_synced(self):
        """The mark changes when all file systems of the share are written."""
        if not self.root:
            self.skipTest('only root can mount')
        self.as_root = True
        self.fill(MODELS[0])
        inner = self.share / 'd1/inner'
        self.by_user(inner.mkdir)
        subprocess.run(['mount', '-t', 'tmpfs', 'none', inner], check=True)
        self.addCleanup(subprocess.run, ['umount', inner], check=True)
        self.put(inner / 'f')
        calls = self.trace('syncfs,setxattr,fsetxattr,removexattr,fremovexattr',
                           'convert', '--to', MODELS[1], self.share)
        steps = re.split(r'[^\n]*"user.virtfs.convert"[^\n]*', calls)
        self.assertEqual(len(steps), 4, calls)
        for step in steps[1:3]:
            self.assertRegex(step, r'syncfs\(\d+<[^>]*/d1/inner[^>]*>')
            self.assertRegex(step, r'syncfs\(\d+<' + re.escape(
                str(self.share)) + '>')

    def test_inside(self):
        """A directory of a share is no share: what is above it stays."""
        self.fill(MODELS[1])
        before = self.state()
        new = self.new('new')
        for more in (), (new,):
            _, err = self.run_it('convert', '--to', MODELS[0],
                                 self.share / 'd1', *more, expect=1)
            self.assertIn('d1: no share, but a directory in one', err)
        self.same(before)
        self.assertEqual(self.left(MODELS[0]), [])
        self.assertEqual(os.listdir(new), [])

    def test_other_mark(self):
        """A mark of models that the user does not name"""
        self.fill(MODELS[0])
        os.setxattr(self.share, MARK, b'copy passthrough mapped-file')
        _, err = self.run_it('convert', '--from', MODELS[0], '--to', MODELS[1],
                             self.share, expect=1)
        self.assertIn('it is being converted from passthrough to mapped-file',
                      err)
        self.assertEqual(self.left(MODELS[1]), [])

    def test_usage(self):
        """Command lines that are wrong"""
        for words in (('convert', 'share'), ('convert', '--to', 'passthru',
                                             'share'),
                      ('convert', '--to', 'mapped', 'a', 'b', 'c'),
                      ('convert', '--to', 'mapped', '--owner', '1', 'share'),
                      ('convert', '--to', 'proxy', '--uid-map', '1:2', 'share'),
                      ('convert', '--root', 'share', '--to', 'mapped',
                       'share')):
            self.run_it(*words, expect=2)

    def test_killed(self):
        """Killed at random moments, and taken up again or turned round"""
        for model in MODELS:
            with self.subTest(model=model):
                self.share = self.new(model)
                self.fill(model)
                self.killed(model)

    def killed(self, model):
        """A share of one model"""
        before = self.state(mtimes=False)
        goal = self.kill_some(
            (OTHER[model], model),
            lambda goal: ('convert', '--to', goal, self.share),
            lambda goal, done: self.same(before, mtimes=False))
        self.assertEqual(self.left(OTHER[goal]), [])
        self.quiet('check', self.share)


if __name__ == '__main__':
    unittest.main()
