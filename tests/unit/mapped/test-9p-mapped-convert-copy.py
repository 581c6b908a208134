#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""virtfs-mapped convert to a new directory, between all models: the guest sees
the same there, and the old share is as before. A conversion that is killed goes
on when it is started again."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import mapped_share
from mapped_share import MODELS, OTHER, STAGING, Share
from mapped_tool import FOLDER

# Of the models that keep files as the guest sees them; only root can make these
MAPS = ('--uid-map', '0:100000:65536', '--gid-map', '0:200000:65536')
HOST = (('passthrough',), ('proxy', *MAPS))
BOOT = pathlib.Path('/proc/sys/kernel/random/boot_id').read_text(
    encoding='ascii').strip()


class Copy(Share):
    """A share, and new ones"""

    def convert(self, old, new, source, target, *more, **how):
        """Converts; models are tuples with their maps."""
        return self.run_it('convert', '--from', old[0], '--to', new[0],
                           *old[1:], *(new[1:] if new[1:] != old[1:] else ()),
                           *more, source, target, **how)

    def state_of(self, model, share, **more):
        """What the guest sees"""
        return self.state('--model', *model, share=share, **more)

    def chain(self, models, acls):
        """From share to share"""
        self.fill(models[0][0], acls)
        old = self.share
        before = self.state_of(models[0], old)
        for i, (model, source) in enumerate(zip(models[1:], models)):
            new = self.new(f'new-{i}')
            out, err = self.convert(source, model, old, new)
            self.assertEqual((out, err), (b'', ''))
            self.maxDiff = 2000
            self.assertEqual(self.state_of(model, new), before)
            self.assertEqual(self.state_of(source, old), before)
            old = new
            if model[0] in MODELS:
                self.quiet('check', '--model', model[0], new)
        return old

    def test_mapped(self):
        """Between the mapped models, by an ordinary user"""
        self.chain([(MODELS[0],), (MODELS[0],), (MODELS[1],), (MODELS[1],),
                    (MODELS[0],)], False)

    def test_host(self):
        """To passthrough and proxy, and back"""
        if not self.root:
            self.skipTest('only root can make files of others')
        self.as_root = True
        last = self.chain([(MODELS[0],), HOST[0], HOST[1], (MODELS[1],),
                           HOST[1], HOST[0], (MODELS[0],)], False)
        # All is for whom the new directory belongs to.
        self.assertEqual(os.stat(last / 'd2').st_uid, self.owner[0])

    def test_acls(self):
        """ACLs, whose ids are others with proxy; mapped-file loses them"""
        if not self.root:
            self.skipTest('only root can make files of others')
        self.as_root = True
        last = self.chain([(MODELS[0],), HOST[0], HOST[1], HOST[0],
                           (MODELS[0],)], True)
        for kind, name in mapped_share.ACLS.items():
            self.assertEqual(os.getxattr(
                last / name, f'user.virtfs.system.posix_acl_{kind}'),
                             mapped_share.ACL)
            at_proxy = os.getxattr(self.folder / 'new-1' / name,
                                   f'system.posix_acl_{kind}')
            self.assertIn((101000).to_bytes(4, 'little'), at_proxy)
        new = self.new('file')
        _, err = self.convert((MODELS[0],), (MODELS[1],), last, new, expect=1)
        self.assertEqual(err.count('it has an ACL, which would be lost'), 2)
        self.assertEqual(os.listdir(new), [])
        _, err = self.convert((MODELS[0],), (MODELS[1],), last, new, '--lossy')
        self.assertEqual(err.count('lost: its attribute system.posix_acl'), 2)

    def test_refused(self):
        """Directories that are no place for a new share"""
        self.fill(MODELS[0])
        model = (MODELS[0],)
        inside = self.share / 'd3/inside'
        self.by_user(inside.mkdir)
        for name in 'd1', '.', 'd3/inside':
            for more in (), ('--live',):
                _, err = self.convert(model, model, self.share,
                                      self.share / name, *more, expect=2)
                self.assertIn(f'convert: NEWDIR, {self.share / name}, is DIR '
                              'or lies in it', err)
        self.assertEqual(os.listdir(inside), [])
        _, err = self.convert(model, model, self.share, self.folder / 'none',
                              expect=1)
        self.assertIn('none: cannot open it: No such file', err)
        new = self.new('new')
        self.put(new / 'x')
        _, err = self.convert(model, model, self.share, new, expect=1)
        self.assertIn('new: it is not empty', err)

    def test_dry_run(self):
        """Nothing is made"""
        self.fill(MODELS[0])
        new = self.new('new')
        out, _ = self.convert((MODELS[0],), (MODELS[1],), self.share, new,
                              '--dry-run')
        self.assertRegex(out, rb'^3\d\d files can be converted\n$')
        self.assertEqual(os.listdir(new), [])

    def test_sparse(self):
        """Holes stay holes."""
        with open(self.share / 'sparse', 'wb') as f:
            for i in range(64):
                f.seek(i * 4 << 20)
                f.write(b'x' * 4096)
        self.views(self.share / 'sparse', uid=1, gid=1, mode=0o100644)
        if self.root:
            os.chown(self.share / 'sparse', *self.owner)
        before = os.stat(self.share / 'sparse')
        new = self.new('new')
        self.quiet('convert', '--to', MODELS[1], self.share, new)
        after = os.stat(new / 'sparse')
        self.assertEqual(after.st_size, before.st_size)
        self.assertLessEqual(after.st_blocks, before.st_blocks + 64)
        with open(self.share / 'sparse', 'rb') as a, \
                open(new / 'sparse', 'rb') as b:
            self.assertEqual(a.read(), b.read())

    def test_unfinished(self):
        """A new share that is not whole says so, whoever looks at it."""
        self.fill(MODELS[0])
        text = 'it is being converted, and not whole: finish that first'
        for model in MODELS:
            new = self.new(f'new-{model}')
            words = ('convert', '--from', MODELS[0], '--to', model, self.share,
                     new)
            self.quiet(*words)
            # Whoever kills the program leaves this there.
            self.put(new / STAGING, model.encode())
            for command in 'ls', 'find', 'check', 'pack':
                out, err = self.run_it(command, new, expect=1)
                self.assertIn(text, err)
                self.assertNotIn(STAGING.encode(), out)
                self.assertEqual(out != b'', command in ('ls', 'find'))
            for more in (('set', '--uid', '1', new / 'host-link'),
                         ('check', '--repair', new), ('unpack', new),
                         ('convert', '--to', OTHER[model], new),
                         ('convert', '--to', OTHER[model], new,
                          self.new(f'more-{model}'))):
                _, err = self.run_it(*more, expect=1)
                self.assertIn(text, err)
            self.quiet(*words)
            self.quiet('check', new)
            # A guest's own file of that name says nothing.
            for name in (model, OTHER[model], 'passthrough', 'proxy'):
                self.put(new / STAGING, name.encode())
                self.view(model, new / STAGING, 0o100644, 0, 0)
                self.assertIn(STAGING.encode(), self.quiet('ls', new))
                self.quiet('set', '--uid', '1', new / 'host-link')

    def test_guests_mark(self):
        """A passthrough guest's own file of that name: the message names it."""
        self.put(self.share / 'f', b'x')
        self.put(self.share / STAGING, b'passthrough')
        model = '--model', 'passthrough'
        for words in (('pack', *model, self.share),
                      ('set', *model, '--mode', '600', self.share / 'f')):
            _, err = self.run_it(*words, expect=1)
            self.assertIn('not whole: finish that first (its file '
                          f'{STAGING} says so; if a guest of passthrough or '
                          'proxy has made that, remove it)', err)
        os.unlink(self.share / STAGING)
        self.quiet('pack', *model, self.share)

    def test_full(self):
        """A file system that is full: it says so, and can go on elsewhere"""
        if not self.root:
            self.skipTest('only root can mount')
        self.as_root = True
        self.fill(MODELS[0])
        self.put(self.share / 'd3/large', bytes(4 << 20))
        new = self.new('new')
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=2M', 'none', new],
                       check=True)
        self.addCleanup(subprocess.run, ['umount', new], check=False)
        _, err = self.convert((MODELS[0],), (MODELS[1],), self.share, new,
                              expect=1)
        self.assertIn('No space left on device', err)
        self.assertIn('it is not whole; start again to go on', err)
        subprocess.run(['mount', '-o', 'remount,size=64M', new], check=True)
        before = self.state('--model', MODELS[0])
        self.convert((MODELS[0],), (MODELS[1],), self.share, new)
        self.assertEqual(self.state('--model', MODELS[1], share=new), before)

    def test_other_model(self):
        """A try for one model does not go on for another."""
        self.fill(MODELS[0])
        new = self.new('new')
        self.put(new / STAGING, MODELS[1].encode())
        self.put(new / 'f')
        self.meta(new / 'f', 'virtfs.uid=3\n')
        for text in MODELS[1].encode(), b'', b'x' * 100:
            self.put(new / STAGING, text)
            _, err = self.convert((MODELS[0],), (MODELS[0],), self.share, new,
                                  expect=1)
            self.assertIn('new: it was begun with another model', err)
            self.assertEqual(sorted(os.listdir(new)),
                             sorted([STAGING, FOLDER, 'f']))
        for path in new / FOLDER / 'f', new / 'f':
            path.unlink()
        (new / FOLDER).rmdir()
        # Killed before it wrote which model it is
        self.put(new / STAGING)
        self.convert((MODELS[0],), (MODELS[0],), self.share, new)
        self.assertFalse((new / STAGING).exists())

    def test_killed(self):
        """Killed at random moments, and started again"""
        for model in MODELS:
            with self.subTest(model=model):
                self.killed((model,), (mapped_share.OTHER[model],))

    def test_killed_host(self):
        """The same, to files of the guest's own ids and back"""
        if not self.root:
            self.skipTest('only root can make files of others')
        self.as_root = True
        for host in HOST:
            with self.subTest(model=host[0]):
                self.killed((MODELS[0],), host)
                source = self.new(f'source-{host[0]}')
                self.convert((MODELS[0],), host, self.share, source)
                self.killed(host, (MODELS[1],), source)

    def killed(self, old, new, source=None):
        """From one model to another, each a tuple with its maps"""
        if not source:
            self.share = self.new(f'share-{old[0]}-{new[0]}')
            self.fill(old[0])
        source = source or self.share
        before = self.state_of(old, source, mtimes=False)
        self.target = self.folder / f'target-{old[0]}-{new[0]}'

        def check(_goal, done):
            self.assertEqual(self.state_of(old, source, mtimes=False), before)
            if done:
                self.assertEqual(self.state_of(new, self.target,
                                               mtimes=False), before)
                self.remove(self.target)
            if not self.target.exists():
                self.new(self.target.name)

        self.new(self.target.name)
        self.kill_some((new,), lambda _: (
            'convert', '--from', old[0], '--to', new[0], *old[1:], *new[1:],
            source, self.target), check)

    def is_stopped(self):
        return (self.target / STAGING).exists()

    def test_goes_on(self):
        """What is complete is not made again, and half of a file is."""
        self.fill(MODELS[0])
        new = self.new('new')
        self.convert((MODELS[0],), (MODELS[1],), self.share, new)
        before = self.state('--model', MODELS[0])
        self.put(new / STAGING, f'{MODELS[1]} {BOOT}'.encode())
        inode = os.stat(new / 'd4/f18').st_ino
        half = new / 'd2/f30'
        os.truncate(half, 5)
        self.convert((MODELS[0],), (MODELS[1],), self.share, new)
        self.assertEqual(self.state('--model', MODELS[1], share=new), before)
        self.assertEqual(os.stat(new / 'd4/f18').st_ino, inode)

    def test_crash(self):
        """After a crash of the system, a file with its size and time may have
        lost its content: only a mark of the present boot tells that none has"""
        self.put(self.share / 'f', b'content')
        self.view(MODELS[0], self.share / 'f', 0o100644, 1, 2)
        for text in MODELS[1], MODELS[1] + ' 00000000-0000-4000-8000-0':
            new = self.new(f'new-{len(text)}')
            self.convert((MODELS[0],), (MODELS[1],), self.share, new)
            time = os.stat(new / 'f').st_mtime_ns
            self.put(new / 'f', bytes(7))
            os.utime(new / 'f', ns=(time, time))
            self.put(new / STAGING, text.encode())
            self.convert((MODELS[0],), (MODELS[1],), self.share, new)
            self.assertEqual((new / 'f').read_bytes(), b'content')

    def test_mark(self):
        """The mark names the model and the boot, and is on the disk first."""
        self.put(self.share / 'f', b'x')
        self.view(MODELS[0], self.share / 'f', 0o100644, 1, 2)
        new = self.new('new')
        calls = self.trace('fsync,openat,openat2,pwrite64', 'convert',
                           '--to', MODELS[1], self.share, new)
        self.assertIn(f'{MODELS[1]} {BOOT}', calls)
        marked = re.search(r'fsync\(\d+<[^>]*' + re.escape(STAGING), calls)
        named = re.search(r'fsync\(\d+<' + re.escape(str(new)) + '>', calls)
        self.assertTrue(marked and named, calls)
        made = re.search(r'"f", [^)]*O_CREAT', calls)
        self.assertTrue(made, calls)
        self.assertLess(max(marked.end(), named.end()), made.start())

    def test_gone(self):
        """A file that the old share has lost meanwhile is not in the new one
        without a word."""
        self.fill(MODELS[0])
        new = self.new('new')
        self.convert((MODELS[0],), (MODELS[1],), self.share, new)
        os.unlink(self.share / 'd4/f18')
        self.put(new / STAGING, MODELS[1].encode())
        _, err = self.convert((MODELS[0],), (MODELS[1],), self.share, new,
                              expect=1)
        self.assertIn('new/d4/f18: an earlier try made it, and the old '
                      'directory has it no more: remove it, and start again',
                      err)
        self.assertEqual(err.count('earlier try'), 1)
        self.assertIn('it is not whole; start again to go on', err)
        os.unlink(new / 'd4/f18')
        os.unlink(new / 'd4' / FOLDER / 'f18')
        _, err = self.convert((MODELS[0],), (MODELS[1],), self.share, new)
        self.assertEqual(err, '')
        self.assertEqual(self.state('--model', MODELS[1], share=new),
                         self.state('--model', MODELS[0]))

    def test_attribute_lost(self):
        """An attribute for which the new file system has no room is a problem
        each time, not only the first, unless the user permits it."""
        path = tempfile.mkdtemp(prefix='virtfs-mapped-', dir='/var/tmp')
        self.addCleanup(self.remove, path)
        if self.root:
            os.chown(path, *self.owner)
        size = 60000
        self.put(self.share / 'f', b'x')
        self.view(MODELS[0], self.share / 'f', 0o100644, 1, 2)
        self.by_user(lambda: (self.share / 'd').mkdir())
        for name in 'f', 'd':
            try:
                os.setxattr(self.share / name, 'user.own', bytes(size))
            except OSError:
                self.skipTest('no file system with large attributes')
        try:
            os.setxattr(path, 'user.own', bytes(size))
        except OSError:
            pass
        else:
            self.skipTest('no file system without large attributes')
        for _ in range(3):
            _, err = self.convert((MODELS[0],), (MODELS[0],), self.share, path,
                                  expect=1)
            for name in 'f', 'd':
                self.assertIn(f'{path}/{name}: lost: its attribute user.own',
                              err)
            self.assertIn('it is not whole; start again to go on', err)
            self.assertIn(STAGING, os.listdir(path))
        _, err = self.convert((MODELS[0],), (MODELS[0],), self.share, path,
                              '--lossy')
        self.assertEqual(err.count('lost: its attribute user.own'), 2)
        self.assertEqual(sorted(os.listdir(path)), ['d', 'f'])

    def test_full_ends(self):
        """A full file system ends it, with one message."""
        if not self.root:
            self.skipTest('only root can mount')
        self.as_root = True
        for i in range(200):
            self.put(self.share / f'f{i}', b'x' * 9000)
        new = self.new('new')
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=256k', 'none', new],
                       check=True)
        self.addCleanup(subprocess.run, ['umount', new], check=True)
        _, err = self.convert(('passthrough',), (MODELS[1],), self.share, new,
                              expect=1)
        self.assertEqual(err.count('No space left on device'), 1, err)
        self.assertLessEqual(err.count('\n'), 2, err)

    def test_link_above(self):
        """A link in the name of the new directory leads where it leads."""
        self.put(self.share / 'f', b'x')
        self.view(MODELS[0], self.share / 'f', 0o100644, 1, 2)
        there = self.new('elsewhere')
        self.by_user(lambda: ((there / 'in').mkdir(), (there / 'new').mkdir()))
        wrong = self.new('new')
        os.symlink(there / 'in', self.folder / 'link')
        self.convert((MODELS[0],), (MODELS[1],), self.share, 'link/../new')
        self.assertEqual(os.listdir(wrong), [])
        self.assertIn('f', os.listdir(there / 'new'))


if __name__ == '__main__':
    unittest.main()
