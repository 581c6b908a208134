#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""virtfs-mapped with several threads: its output and its messages are those of
one thread, in the same order, and so is what it makes."""

import os
import random
import re
import subprocess
import unittest

from mapped_share import MODELS, OTHER, Share
from mapped_tool import FOLDER

THREADS = ('2', '3', '16')


class Threads(Share):
    """A share with many files, and with faults"""

    def damage(self, model):
        """Faults of each kind, in many files"""
        for i in range(0, 300, 5):
            path = self.share / f'd{i % 7}/f{i}'
            if model == 'mapped-file':
                self.meta(path, f'virtfs.uid={i}\nnoise\nvirtfs.mode=1\n')
            else:
                self.views(path, uid=b'x' * (i % 9), mode=0o40644)
        # Hard links of their own, each with its metadata
        for i in range(40):
            first = self.share / f'd{i % 7}/first{i}'
            self.put(first, b'x')
            self.view(model, first, 0o100644, i, i)
            for j in range(3):
                more = self.share / f'd{(i + j) % 7}/more{i}-{j}'
                os.link(first, more)
                if model == 'mapped-file' and j != 1:
                    self.view(model, more, 0o100644, i, i)
        for i in range(7):
            self.put(self.share / f'd{i}' / FOLDER if model != 'mapped-file'
                     else self.share / f'd{i}' / FOLDER / 'orphan', b'')

    def both(self, *words):
        """Runs the program: its status, and all that it says in one stream"""
        done = subprocess.run(
            [self.program, *map(os.fsencode, words)], timeout=120, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.folder,
            env={**os.environ, 'LC_ALL': 'C', 'TZ': 'UTC'}, **self.who())
        return done.returncode, done.stdout

    def equal(self, one, many, words):
        """Two results of both(); a diff of bytes takes very long."""
        self.assertEqual(one[0], many[0], words)
        a, b = (out.splitlines() for out in (one[1], many[1]))
        self.assertEqual(len(a), len(b), words)
        for x, y in zip(a, b):
            self.assertEqual(x, y, words)

    def test_output(self):
        """The same output, of commands that only read"""
        for model in MODELS:
            self.share = self.new(f'output-{model}')
            self.fill(model)
            self.damage(model)
            os.chmod(self.share / 'd3', 0)
            for words in (('check',), ('find', '--json'), ('find', '-0'),
                          ('ls', '-lR'), ('ls', '-R', '--json'), ('ls', '-R'),
                          ('convert', '--dry-run', '--lossy', '--to',
                           OTHER[model])):
                one = self.both(*words, '--model', model, self.share)
                self.assertGreater(len(one[1].splitlines()), 6 if
                                   words[0] == 'convert' and
                                   model == MODELS[0] else 0, words)
                for threads in THREADS:
                    self.equal(one, self.both(
                        *words, '--threads', threads, '--model', model,
                        self.share), (model, *words, threads))

    def test_messages(self):
        """Results and messages, in one order"""
        if not self.root:
            self.skipTest('only root can make files of others')
        model = MODELS[1]
        self.fill(model)
        self.damage(model)
        # Others' metadata, which the user may not read, and others' folders
        for i in range(0, 300, 9):
            path = self.share / f'd{i % 7}' / FOLDER / f'f{i}'
            if path.exists():
                os.chown(path, 0, 0)
                path.chmod(0)
        folder = self.share / 'd5'
        os.chown(folder, 0, 0)
        folder.chmod(0o700)
        one = self.both('check', self.share)
        self.assertIn(b'cannot check it: Permission denied', one[1])
        self.assertIn(b'd5: cannot list the directory', one[1])
        for threads in THREADS:
            self.equal(one, self.both('check', '--threads', threads,
                                      self.share), threads)

    def test_repair(self):
        """The same repairs"""
        for model in MODELS:
            outs = []
            for threads in ('1', *THREADS):
                self.share = self.new(f'repair-{model}-{threads}')
                self.fill(model)
                self.damage(model)
                out = self.both('check', '--repair', '--threads', threads,
                                self.share)
                self.assertIn(b' mended', out[1])
                outs.append((out, self.see(self.share)))
                for o in outs[-1][1].values():
                    for name in 'inode', 'mtime', 'mtime_ns':
                        o.pop(name)
            for out, seen in outs[1:]:
                self.equal(outs[0][0], out, model)
                self.assertEqual(outs[0][1], seen)

    def test_convert(self):
        """In place, and to new directories"""
        self.maxDiff = 2000
        for model in MODELS:
            self.share = self.new(f'convert-{model}')
            self.fill(model)
            before = self.state()
            for threads in THREADS:
                for new in OTHER[model], model:
                    self.quiet('convert', '--threads', threads, '--to', new,
                               self.share)
                    self.same(before)
                    self.assertEqual(self.left(OTHER[new]), [])
                    self.quiet('check', self.share)
                copy = self.new(f'copy-{model}-{threads}')
                self.quiet('convert', '--threads', threads, '--to',
                           OTHER[model], self.share, copy)
                self.assertEqual(self.state(share=copy), before)
                self.quiet('check', copy)

    def test_host(self):
        """To passthrough and back: links and devices are made anew"""
        if not self.root:
            self.skipTest('only root can make files of others')
        self.as_root = True
        self.maxDiff = 2000
        self.fill(MODELS[1])
        (self.share / 'host-link').unlink()
        before = self.state()
        for threads in THREADS:
            for old, new in (MODELS[1], 'passthrough'), \
                    ('passthrough', MODELS[1]):
                self.quiet('convert', '--threads', threads, '--from', old,
                           '--to', new, *(
                               ('--owner', '54321:54321') if new in MODELS
                               else ()), self.share)
                self.same(before, '--model', new)

    def test_full(self):
        """A full file system ends a copy."""
        if not self.root:
            self.skipTest('only root can mount')
        self.as_root = True
        self.fill(MODELS[0])
        for i in range(7):
            for j in range(60):
                self.put(self.share / f'd{i}/large{j}', bytes(1 << 16))
        new = self.new('full')
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=2M', 'none', new],
                       check=True)
        self.addCleanup(subprocess.run, ['umount', new], check=False)
        words = ('convert', '--threads', '4', '--to', MODELS[1], self.share,
                 new)
        _, err = self.run_it(*words, expect=1)
        self.assertIn('No space left on device', err)
        # Each thread may meet that once, or twice.
        self.assertLess(err.count('No space left'), 12)
        self.assertIn('it is not whole; start again to go on', err)
        subprocess.run(['mount', '-o', 'remount,size=64M', new], check=True)
        self.quiet(*words)
        self.assertEqual(self.state(share=new), self.state())

    def test_deep(self):
        """A tree deeper than open files may be, with files on each level"""
        share = self.new('deep')

        def make():
            at = os.open(share, os.O_RDONLY)
            for i in range(1500):
                for name in 'a', 'z':
                    os.close(os.open(f'{name}{i}', os.O_CREAT | os.O_WRONLY,
                                     0o600, dir_fd=at))
                os.mkdir('d', dir_fd=at)
                inside = os.open('d', os.O_RDONLY, dir_fd=at)
                os.close(at)
                at = inside
            os.close(at)
        self.by_user(make)
        # The ones with the deepest paths are some hundred in a queue.
        words = ('find', '-0', '--model', MODELS[0], share)
        one = self.both(*words)
        self.assertEqual(one[1].count(b'\0'), 1501 + 3000)
        self.equal(one, self.both(*words[:1], '--threads', '8', *words[1:]),
                   words)
        for model in MODELS:
            self.quiet('convert', '--lossy', '--from', OTHER[model], '--to',
                       model, '--threads', '8', share)

    def test_memory(self):
        """Much output of each file does not gather."""
        if os.environ.get('VIRTFS_SANITIZE'):
            self.skipTest('a sanitizer needs memory of its own')
        names = [f'user.\x01{i:04}{chr(1) * 200}' for i in range(300)]
        for i in range(200):
            path = self.share / f'f{i}'
            self.put(path)
            try:
                for name in names:
                    os.setxattr(path, name, b'')
            except OSError:
                self.skipTest('the file system has no room for attributes')
        used = [self.memory([self.program, 'find', '--json', '--model',
                             MODELS[0], '--threads', n, self.share])
                for n in ('1', '4')]
        # What one file says is 370 KiB. Each thread keeps that of one, whose
        # buffer may have grown to twice the size, and others wait a little.
        self.assertLess(used[1] - used[0], 5 * 4 * 2 * 370, used)

    def test_live(self):
        """Somebody renames, removes and replaces files meanwhile."""
        self.fill(MODELS[1])
        stop = self.folder / 'stop'
        pid = os.fork()
        if pid == 0:
            while not stop.exists():
                d = self.share / f'd{random.randrange(7)}'
                a, b = (d / f'x{random.randrange(9)}' for _ in 'ab')
                try:
                    random.choice((
                        lambda a=a, b=b: a.rename(b), a.mkdir, a.rmdir,
                        a.unlink, a.touch, lambda a=a: a.symlink_to('/etc'),
                        lambda a=a, b=b: os.link(a, b)))()
                except OSError:
                    pass
            os._exit(0)
        try:
            for _ in range(30):
                for words in ('check', '--live'), ('ls', '-lR', '--live'):
                    _, out = self.both(*words, '--threads', '4', self.share)
                    # Faults of the moment, and nothing of /etc
                    self.assertNotIn(b'passwd', out)
                    self.assertIsNone(re.search(rb'ssert|Segm|corrupt', out))
        finally:
            stop.touch()
            self.assertEqual(os.waitpid(pid, 0)[1], 0)

    def test_usage(self):
        """Numbers that are none, and commands that have no threads"""
        for n in '0', '65', '-1', 'x', '':
            self.run_it('check', '--threads', n, self.share, expect=2)
        for words in ('pack', self.share), ('stat', self.share), \
                ('unpack', self.share), ('set', '--uid', '1', self.share):
            self.run_it(*words, '--threads', '2', expect=2)


if __name__ == '__main__':
    unittest.main()
