#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""virtfs-mapped convert in place to and from the ids of a rootless helper's
guest: an ordinary user does it, in a user namespace with subordinate ids."""

import os
import pathlib
import pwd
import shutil
import stat
import subprocess
import sys
import unittest

TREE = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(TREE / 'scripts'), str(TREE / 'base')]

from mapped_share import ACL, ACLS, MARK, MODELS, STAGING, Share  # noqa: E402
from virtfs import testuser                                     # noqa: E402

# What the program's manual has
INSIDE = ('unshare', '--map-root-user', '--map-auto')


class Rootless(Share):
    """Conversions by the user, the old or new share being that of a helper"""

    def setUp(self):
        for name in 'newuidmap', 'newgidmap':
            if not shutil.which(name):
                self.skipTest(f'{name} is not installed')
        name = testuser.NAME if os.geteuid() == 0 else \
            pwd.getpwuid(os.geteuid()).pw_name
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            self.skipTest(f'there is no user {name}; ./check makes it')
        self.ids = [testuser.subordinate(path, user) for path in
                    ('/etc/subuid', '/etc/subgid')]
        if not all(self.ids) or min(n for _, n in self.ids) < 2000:
            self.skipTest(f'{name} has no subordinate ids')
        self.owner = user.pw_uid, user.pw_gid
        super().setUp()

    def fill(self, model, acls=False):
        super().fill(model, acls)
        (self.share / 'host-link').unlink()

    @staticmethod
    def remove(folder):
        """An ordinary user removes files of such owners inside."""
        if os.geteuid() != 0:
            subprocess.run([*INSIDE, 'rm', '-rf', folder], check=True)
        else:
            Share.remove(folder)

    def by_root(self):
        """What the host has of other owners, nobody else can look at."""
        if not self.root:
            self.skipTest('only root can read files of others')

    def inside(self, *words, **how):
        """The program in the namespace, without a message"""
        program, self.program = self.program, INSIDE[0]
        try:
            out, err = self.run_it(*INSIDE[1:], program, *words, **how)
        finally:
            self.program = program
        if how.get('expect', 0) == 0:
            self.assertEqual(err, '')
        return out, err

    def see(self, share, *words):
        """Inside, where the user's own files without metadata are root's"""
        wrapper = self.folder / 'wrapper'
        wrapper.write_text(f'#!/bin/sh\nexec {" ".join(INSIDE)} '
                           f'{self.program} "$@"\n')
        wrapper.chmod(0o755)
        program, self.program = self.program, wrapper
        try:
            return super().see(share, *words)
        finally:
            self.program = program

    def on_host(self, state):
        """Owners are subordinate ids, and 0 is the user."""
        for path, o in state.items():
            st = os.lstat(os.path.join(os.fsencode(self.share), path))
            for own, at, user, first in (
                    (o['uid'], st.st_uid, self.owner[0], self.ids[0][0]),
                    (o['gid'], st.st_gid, self.owner[1], self.ids[1][0])):
                self.assertEqual(at, first + own - 1 if own else user, path)
            if o['type'] == 'char-device':
                self.assertEqual((st.st_mode, st.st_size), (0o101000, 0))
            self.assertEqual(stat.S_ISLNK(st.st_mode), o['type'] == 'link')

    def round_trip(self, model, acls, *more):
        """There and back"""
        self.share = self.new(f'{model}-{acls}{len(more)}')
        self.fill(model, acls)
        before = self.state('--model', model)
        self.inside('convert', '--from', model, '--to', 'proxy', *more,
                    self.share)
        self.on_host(before)
        # Devices keep their attributes, and nothing else does.
        devices = {self.share / os.fsdecode(path) for path, o in before.items()
                   if o['type'] == 'char-device'}
        self.assertGreater(len(devices), 9)
        self.assertEqual(set(self.left('mapped-xattr')), devices)
        self.assertEqual(self.left('mapped-file'), [])
        self.assertFalse((self.share / STAGING).exists())
        self.assertEqual(self.state('--model', 'proxy'), before)
        if acls:
            for kind, name in ACLS.items():
                value = os.getxattr(self.share / name,
                                    f'system.posix_acl_{kind}')
                self.assertEqual(value, ACL.replace(
                    (1000).to_bytes(4, 'little'),
                    (self.ids[0][0] + 999).to_bytes(4, 'little')))
        self.inside('convert', '--from', 'proxy', '--to', model, *more,
                    self.share)
        self.assertEqual(self.state('--model', model), before)
        for path in (self.share, *self.share.rglob('*')):
            st = os.lstat(path)
            self.assertEqual((st.st_uid, st.st_gid), self.owner)
        self.quiet('check', '--model', model, self.share)

    def test_both(self):
        """Of each mapped model, with ACLs, with threads"""
        self.by_root()
        self.maxDiff = 2000
        for model in MODELS:
            with self.subTest(model=model):
                self.round_trip(model, False)
        self.round_trip(MODELS[0], True, '--threads', '3')

    def test_lost(self):
        """Devices, and owners without an id, are found before it begins."""
        self.fill(MODELS[0])
        self.put(self.share / 'dev')
        self.views(self.share / 'dev', uid=0, gid=0, mode=0o20600,
                   rdev=os.makedev(1, 3))
        self.put(self.share / 'far')
        far = self.ids[0][1] + 1
        self.views(self.share / 'far', uid=far, gid=0, mode=0o100600)
        before = self.state('--model', MODELS[0])
        devices = sum(o['type'] == 'char-device' for o in before.values())
        self.assertGreater(devices, 9)
        device = 'a device, which cannot be made in a user namespace'
        for to in (('passthrough',), ('proxy', '--special-files', 'host'),
                   ('proxy',)):
            _, err = self.inside('convert', '--to', *to, self.share, expect=1)
            lines = err.splitlines()
            self.assertEqual(lines.pop(), f'virtfs-mapped: {self.share}/far: '
                             f'its owner or group, {far}:0, is not in the id '
                             'map')
            self.assertEqual(len(lines), 0 if to == ('proxy',) else devices)
            self.assertTrue(all(line.endswith(device) for line in lines))
            self.assertNotIn(MARK, os.listxattr(self.share))
        self.assertEqual(self.state('--model', MODELS[0]), before)

    def helpers_share(self):
        """A share that a rootless helper has filled, with a device"""
        self.put(self.share / 'dev')
        self.put(self.share / 'file', b'text')
        self.views(self.share / 'dev', mode=0o60640, rdev=os.makedev(8, 17))
        os.chmod(self.share / 'dev', 0o1000)
        for name, own in ('dev', 5), ('file', 6):
            self.give(self.share / name, own)

    def give(self, path, own):
        """Makes the guest's user the owner on the host."""
        if self.root:
            os.chown(path, self.ids[0][0] + own - 1, self.ids[1][0] + own - 1)
        else:
            subprocess.run([*INSIDE, 'chown', f'{own}:{own}', path], check=True)

    def is_device(self, *words, **what):
        """A share has the device."""
        seen = self.see(*words)[b'dev']
        what = {'uid': 5, 'gid': 5, 'mode': '0640', 'minor': 17} | what
        self.assertEqual(seen['type'], 'block-device')
        self.assertEqual({k: seen[k] for k in what}, what)

    def test_devices(self):
        """A helper's devices are the guest's for all commands."""
        self.helpers_share()
        self.is_device(self.share, '--model', 'proxy')
        archive, _ = self.inside('pack', '--model', 'proxy', self.share)
        for model in 'proxy', *MODELS:
            made = self.new(f'unpacked-{model}')
            self.inside('unpack', '--model', model, made, data=archive)
            self.is_device(made, '--model', model)
            made = self.new(f'copy-{model}')
            self.inside('convert', '--from', 'proxy', '--to', model,
                        self.share, made)
            self.is_device(made, '--model', model)
            made = self.new(f'back-{model}')
            self.inside('convert', '--from', model, '--to', 'proxy',
                        self.folder / f'copy-{model}', made)
            self.is_device(made, '--model', 'proxy')
        self.inside('set', '--model', 'proxy', '--uid', '9', '--mode', '600',
                    '--rdev', '8:18', self.share / 'dev')
        self.is_device(self.share, '--model', 'proxy', uid=9, mode='0600',
                       minor=18)
        _, err = self.inside('convert', '--from', 'passthrough', '--to',
                             MODELS[0], self.share, expect=1)
        self.assertIn('dev: a device of a helper', err)
        self.assertEqual(self.see(self.share, '--model', 'proxy',
                                  '--special-files', 'host')[b'dev']['type'],
                         'file')

    def test_devices_untold(self):
        """A helper's device tells no model; a mapped one's file does."""
        self.helpers_share()
        _, err = self.inside('ls', self.share, expect=1)
        self.assertIn('it does not tell its security model', err)
        self.put(self.share / 'mapped')
        self.views(self.share / 'mapped', mode=0o60640, rdev=1)
        self.inside('ls', self.share)

    def test_unread(self):
        """Outside of the namespace the program cannot read the device."""
        self.helpers_share()
        _, err = self.run_it('ls', '--model', 'proxy', self.share, expect=1)
        self.assertIn('dev: cannot read what the guest sees, in the attributes '
                      'user.virtfs.*: Permission denied', err)

    def test_killed(self):
        """Killed at random moments, and taken up again or turned round"""
        self.by_root()
        for model in MODELS:
            with self.subTest(model=model):
                self.share = self.new(f'killed-{model}')
                self.fill(model)
                self.killed(model)

    def killed(self, model):
        """A share of one model"""
        before = self.state('--model', model, mtimes=False)
        program = self.program

        def command(goal):
            other = 'proxy' if goal == model else model
            return [*INSIDE[1:], program, 'convert', '--from', other, '--to',
                    goal, self.share]

        def check(goal, done):
            self.program = program
            if done:
                self.assertEqual(self.state('--model', goal, mtimes=False),
                                 before)
            elif self.is_stopped():
                mark = os.getxattr(self.share, MARK).decode().split()
                whole = mark[1 if mark[0] == 'copy' else 2]
                self.assertEqual(set(self.state('--model', whole,
                                                mtimes=False)), set(before))
            self.program = INSIDE[0]

        self.program = INSIDE[0]
        goal = self.kill_some(('proxy', model), command, check)
        self.program = program
        if goal == 'proxy':
            self.inside('convert', '--from', 'proxy', '--to', model, self.share)
        self.assertEqual(self.state('--model', model, mtimes=False), before)
        self.quiet('check', '--model', model, self.share)


if __name__ == '__main__':
    unittest.main()
