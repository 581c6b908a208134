#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""virtfs-mapped convert in place from and to passthrough and proxy: the host's
own files become what the guest sees, or come to stand for it, and a conversion
that is killed at any moment leaves each file as one of both models has it."""

import os
import re
import stat
import subprocess
import unittest

import mapped_share
from mapped_share import ACL, ACLS, MARK, MODELS, STAGING, Share
from mapped_tool import USER

# Ids of the host that no file has otherwise; many, so each id has its own
MAPS = ('--uid-map', '0:100000:65536', '--gid-map', '0:200000:65536')
OWNER = ('--owner', f'{USER}:{USER}')
TYPES = {'file': stat.S_ISREG, 'directory': stat.S_ISDIR,
         'link': stat.S_ISLNK, 'fifo': stat.S_ISFIFO, 'socket': stat.S_ISSOCK,
         'char-device': stat.S_ISCHR}


class Host(Share):
    """A share that root converts"""

    def setUp(self):
        super().setUp()
        if not self.root:
            self.skipTest('only root can make files of others')
        self.as_root = True

    def convert(self, old, new, *more, **how):
        """Converts, without a message"""
        out, err = self.run_it('convert', '--from', old, '--to', new,
                               *(MAPS if 'proxy' in (old, new) else ()),
                               *(OWNER if new in MODELS else ()), *more,
                               self.share, **how)
        self.assertEqual(err, '')
        return out

    def state_of(self, model, **more):
        """What the guest sees"""
        return self.state('--model', model,
                          *(MAPS if model == 'proxy' else ()), **more)

    def on_host(self, state, uid, gid):
        """The host has the files as the guest sees them, but for the ids."""
        devices = []
        for path, o in state.items():
            st = os.lstat(os.path.join(os.fsencode(self.share), path))
            if uid and o['type'] == 'char-device':
                # The default of a helper with maps
                devices.append(self.share / os.fsdecode(path))
                self.assertEqual((st.st_mode, st.st_size), (0o101000, 0))
                o = {**o, 'type': 'file', 'mode': '1000'}
            self.assertTrue(TYPES[o['type']](st.st_mode), path)
            self.assertEqual((st.st_uid, st.st_gid),
                             (o['uid'] + uid, o['gid'] + gid), path)
            if o['type'] != 'link':
                self.assertEqual(f'{stat.S_IMODE(st.st_mode):04o}', o['mode'])
        self.assertEqual(set(self.left(MODELS[0])), set(devices))
        self.assertEqual(self.left(MODELS[1]), [])
        self.assertFalse((self.share / STAGING).exists())

    def standing_in(self):
        """All files belong to the owner, and are regular ones."""
        for path in (self.share, *self.share.rglob('*')):
            if path.name.startswith('.virtfs_meta') or \
                    path.parent.name.startswith('.virtfs_meta'):
                continue
            st = os.lstat(path)
            self.assertEqual((st.st_uid, st.st_gid), (USER, USER), path)
            self.assertIn(st.st_mode, (0o100600, 0o40700), path)

    def round_trip(self, model, host, acls=False):
        """To the host's model, and back to each mapped one"""
        self.share = self.new(f'{model}-{host}')
        self.fill(model, acls)
        # The host's own link has the host's ids, which no map has.
        (self.share / 'host-link').unlink()
        before = self.state_of(model)
        self.assertEqual(
            self.convert(model, host, '--dry-run'),
            f'{len(before)} files can be converted\n'.encode())
        self.assertEqual(self.state_of(model), before)
        offsets = (100000, 200000) if host == 'proxy' else (0, 0)
        for new in MODELS if not acls else MODELS[:1]:
            self.convert(model, host)
            self.on_host(before, *offsets)
            self.assertEqual(self.state_of(host), before)
            if acls:
                yield
            self.convert(host, new)
            self.standing_in()
            self.assertEqual(self.state_of(new), before)
            self.quiet('check', '--model', new, self.share)
            model = new

    def test_both(self):
        """There and back again"""
        self.maxDiff = 2000
        for model in MODELS:
            for host in ('passthrough', 'proxy'):
                with self.subTest(model=model, host=host):
                    self.assertEqual(list(self.round_trip(model, host)), [])

    def test_acls(self):
        """ACLs are the host's, with the host's ids"""
        for host, number in (('passthrough', 1000), ('proxy', 101000)):
            with self.subTest(host=host):
                for _ in self.round_trip(MODELS[0], host, True):
                    for kind, name in ACLS.items():
                        value = os.getxattr(self.share / name,
                                            f'system.posix_acl_{kind}')
                        self.assertEqual(value, ACL.replace(
                            (1000).to_bytes(4, 'little'),
                            number.to_bytes(4, 'little')))
                for kind, name in ACLS.items():
                    path = self.share / name
                    self.assertEqual(os.getxattr(
                        path, f'user.virtfs.system.posix_acl_{kind}'), ACL)
                    self.assertNotIn(f'system.posix_acl_{kind}',
                                     os.listxattr(path))

    def test_lost(self):
        """Owners without a place in the map, and capabilities of programs"""
        self.fill(MODELS[0])
        self.views(self.share / 'd1/f1', uid=70000)
        _, err = self.run_it('convert', '--to', 'proxy', *MAPS, self.share,
                             expect=1)
        self.assertEqual(err.splitlines(), [
            f'virtfs-mapped: {self.share}/d1/f1: its owner or group, 70000:2, '
            'is not in the id map'])
        self.convert(MODELS[0], 'passthrough')
        os.setxattr(self.share / 'd6/f6', 'security.capability',
                    bytes.fromhex('0100000200040000' + '00' * 12))
        _, err = self.run_it('convert', '--from', 'passthrough', '--to',
                             MODELS[0], self.share, expect=1)
        self.assertIn('d6/f6: it has capabilities of programs', err)
        _, err = self.run_it('convert', '--from', 'proxy', *MAPS, '--to',
                             MODELS[0], self.share, expect=1)
        self.assertIn('its owner or group on the host is not in the id map',
                      err)
        self.assertNotIn(MARK, os.listxattr(self.share))
        self.convert('passthrough', MODELS[0], '--lossy')

    def test_mounted(self):
        """A link in a file system that is mounted in the share"""
        self.fill(MODELS[0])
        inner = self.share / 'd1/mounted'
        inner.mkdir()
        subprocess.run(['mount', '-t', 'tmpfs', 'none', inner], check=True)
        self.addCleanup(subprocess.run, ['umount', inner], check=True)
        (inner / 'l').symlink_to('x')
        self.convert(MODELS[0], 'passthrough')
        _, err = self.run_it('convert', '--from', 'passthrough', '--to',
                             MODELS[0], self.share, expect=1)
        self.assertIn('d1/mounted/l: it is on another file system', err)

    def test_target_first(self):
        """A file with a link's target is on the disk before it replaces the
        link, which has the only copy."""
        (self.share / 'l').symlink_to('target')
        calls = self.trace('fsync,rename,renameat,renameat2', 'convert',
                           '--from', 'passthrough', '--to', MODELS[0],
                           *OWNER, self.share)
        synced = re.search(r'fsync\(\d+<[^>]*' + STAGING + '/new>', calls)
        renamed = re.search(r'rename\w*\([^)]*"new"', calls)
        self.assertTrue(renamed, calls)
        self.assertTrue(synced and synced.end() < renamed.start(), calls)
        self.assertEqual((self.share / 'l').read_bytes(), b'target')

    def test_damaged(self):
        """Links and devices that the host cannot have: nothing is begun."""
        self.fill(MODELS[0])
        for name, data, mode in (('none', b'', 0o120777),
                                 ('long', b'x' * 5000, 0o120777),
                                 ('number', b'', 0o20600)):
            self.put(self.share / name, data)
            self.views(self.share / name, mode=mode, uid=1, gid=1, rdev=1 << 40)
        for more in ('--dry-run',), ():
            _, err = self.run_it('convert', '--to', 'passthrough', *more,
                                 self.share, expect=1)
            self.assertEqual(err.count('a link without a target that can be '
                                       'read'), 2)
            self.assertIn('number: a device with a number that no', err)
            self.assertNotIn(MARK, os.listxattr(self.share))
        # Their metadata goes everywhere.
        self.quiet('convert', '--to', MODELS[1], self.share)

    def test_models(self):
        """Models that cannot be converted in place"""
        self.fill(MODELS[0])
        _, err = self.run_it('convert', '--from', 'passthrough', '--to',
                             'proxy', self.share, expect=1)
        self.assertIn('one of both models must be a mapped one', err)

    def test_failed(self):
        """An ordinary user cannot go on, and nothing is gone."""
        self.fill(MODELS[0])
        before = self.state_of(MODELS[0])
        os.setxattr(self.share, MARK, b'copy mapped-xattr passthrough')
        self.as_root = False
        _, err = self.run_it('convert', '--to', 'passthrough', self.share,
                             expect=1)
        self.assertIn('cannot convert it: Operation not permitted', err)
        self.assertIn('nothing of the model mapped-xattr is gone', err)
        _, err = self.run_it('convert', '--to', MODELS[1], self.share,
                             expect=1)
        self.assertIn('it is being converted from mapped-xattr to '
                      'passthrough: finish that first', err)
        self.quiet('convert', '--to', MODELS[0], self.share)
        self.as_root = True
        self.assertEqual(self.state_of(MODELS[0]), before)

    def stopped(self, path, *words):
        """Runs a conversion that fails for a file, as that is read-only"""
        subprocess.run(['mount', '--bind', path, path], check=True)
        try:
            subprocess.run(['mount', '-o', 'remount,ro,bind', path],
                           check=True)
            _, err = self.run_it('convert', *words, self.share, expect=1)
        finally:
            subprocess.run(['umount', path], check=True)
        self.assertIn('Read-only file system', err)
        self.assertTrue(self.is_stopped())
        return err

    def test_owner_back(self):
        """Root goes back, and the files are the user's again."""
        self.fill(MODELS[0])
        (self.share / 'host-link').unlink()
        before = self.state_of(MODELS[0])
        self.stopped(self.share / 'd6/f6', '--to', 'passthrough')
        self.quiet('convert', '--to', MODELS[0], self.share)
        self.standing_in()
        self.assertEqual(self.state_of(MODELS[0]), before)

    def test_owner_on(self):
        """Root goes on, without a word of the owner."""
        self.fill(MODELS[0])
        (self.share / 'host-link').unlink()
        before = self.state_of(MODELS[0])
        self.convert(MODELS[0], 'passthrough')
        self.stopped(self.share / 'd6/f6', '--from', 'passthrough', '--to',
                     MODELS[0], *OWNER)
        self.quiet('convert', '--to', MODELS[0], self.share)
        self.standing_in()
        self.assertEqual(self.state_of(MODELS[0]), before)

    def test_owner_changed(self):
        """A later --owner counts for all files."""
        self.fill(MODELS[0])
        (self.share / 'host-link').unlink()
        before = self.state_of(MODELS[0])
        self.convert(MODELS[0], 'passthrough')
        self.stopped(self.share / 'd6/f6', '--from', 'passthrough', '--to',
                     MODELS[0], '--owner', '7:8')
        self.quiet('convert', '--to', MODELS[0], *OWNER, self.share)
        self.standing_in()
        self.assertEqual(self.state_of(MODELS[0]), before)

    def test_owner_unknown(self):
        """An older version's mark has no owner: root must name one."""
        self.fill(MODELS[0])
        (self.share / 'host-link').unlink()
        before = self.state_of(MODELS[0])
        for mark in ('copy mapped-xattr passthrough',
                     'copy mapped-xattr passthrough host'):
            os.setxattr(self.share, MARK, mark.encode())
            _, err = self.run_it('convert', '--to', MODELS[0], self.share,
                                 expect=1)
            self.assertIn('name that user with --owner UID:GID', err)
            self.assertEqual(os.getxattr(self.share, MARK), mark.encode())
        self.quiet('convert', '--to', MODELS[0], *OWNER, self.share)
        self.standing_in()
        self.assertEqual(self.state_of(MODELS[0]), before)

    def killed(self, model, host):
        """Conversions of one pair, killed and turned round"""
        self.share = self.new(f'{model}-{host}')
        self.fill(model)
        (self.share / 'host-link').unlink()
        before = self.state_of(model, mtimes=False)
        maps = MAPS if host == 'proxy' else ()

        def command(goal):
            return ['convert', '--from', host if goal == model else model,
                    '--to', goal, *maps, *(OWNER if goal == model else ()),
                    self.share]

        def check(goal, done):
            """The model that the mark names sees all, and each file is right
            for one of both."""
            if done:
                self.assertEqual(self.state_of(goal, mtimes=False), before)
                return
            mark = os.getxattr(self.share, MARK).decode().split() \
                if self.is_stopped() else None
            if mark:
                whole = mark[1 if mark[0] == 'copy' else 2]
                self.each(self.state_of(whole, mtimes=False),
                          self.state_of(host if whole == model else model,
                                        mtimes=False), before,
                          host == 'passthrough')

        goal = self.kill_some((host, model), command, check)
        if goal == host:
            self.convert(host, model)
        self.standing_in()

    def each(self, whole, other, before, strict):
        """Each file is right for one of both models; if strict, for the one
        that the mark names. Names of one inode may be in between."""
        self.assertEqual(set(whole), set(before))
        for path, o in before.items():
            found = [{k: v for k, v in seen.get(path, {}).items()
                      if k != 'inode'} for seen in (whole, other)]
            wanted = {k: v for k, v in o.items() if k != 'inode'}
            self.assertIn(wanted, found[:1] if strict else found, (
                path, os.getxattr(self.share, MARK)))

    def test_killed(self):
        """Killed at random moments"""
        self.maxDiff = 2000
        for model in MODELS:
            for host in ('passthrough', 'proxy'):
                with self.subTest(model=model, host=host):
                    self.killed(model, host)


if __name__ == '__main__':
    unittest.main()
