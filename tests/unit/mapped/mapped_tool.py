# SPDX-License-Identifier: GPL-2.0-or-later
"""The tests of virtfs-mapped stand on this: the real program, on real shares of
each mapped model, run by an ordinary user (and by root, if root runs it)."""

import fcntl
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import tempfile
import time
import unittest

PROGRAM = os.environ['VIRTFS_MAPPED']
MODELS = ('mapped-xattr', 'mapped-file')
# Someone whom root can be, and who owns nothing else
USER = 54321
LIMIT = 120                     # seconds
F_OFD_SETLK = 37                # of fcntl(2)
USED = 0                        # of share-lock.h

FOLDER = '.virtfs_metadata'
ROOT = '.virtfs_metadata_root'


def place():
    """A folder whose file system has user.* attributes, or None."""
    for above in ('/dev/shm', None, '/var/tmp'):
        folder = tempfile.mkdtemp(prefix='virtfs-mapped-', dir=above)
        try:
            os.setxattr(folder, 'user.test', b'1')
            os.removexattr(folder, 'user.test')
            return pathlib.Path(folder)
        except OSError:
            shutil.rmtree(folder)
    return None


class Case(unittest.TestCase):
    """A folder, and the program as an ordinary user"""

    owner = USER, USER          # if root runs the test

    def setUp(self):
        folder = place()
        if not folder:
            self.skipTest('no file system with user.* attributes')
        self.addCleanup(self.remove, folder)
        self.folder = folder
        self.root = os.geteuid() == 0
        self.as_root = False
        # The user may have no access to the build folder.
        self.program = folder / 'virtfs-mapped'
        shutil.copy(PROGRAM, self.program)
        folder.chmod(0o755)
        self.share = self.new('share')

    @staticmethod
    def remove(folder):
        """Removes it, with directories in it that are closed to its owner."""
        subprocess.run(['chmod', '-R', 'u+rwX', folder], check=True)
        subprocess.run(['rm', '-rf', folder], check=True)

    def new(self, name):
        """A new folder that belongs to the user."""
        made = self.folder / name
        made.mkdir()
        if self.root:
            os.chown(made, *self.owner)
        return made

    def who(self):
        """Arguments for subprocess"""
        if self.root and not self.as_root:
            return {'user': self.owner[0], 'group': self.owner[1],
                    'extra_groups': []}
        return {}

    def run_it(self, *words, expect=0, data=b'', **more):
        """Runs the program; its output and its messages."""
        # Python's subprocess wants descriptors that the user may have.
        done = subprocess.run(
            [self.program, *map(os.fsencode, words)], input=data,
            capture_output=True, timeout=LIMIT, check=False,
            env={**os.environ, 'LC_ALL': 'C', 'TZ': 'UTC'}, cwd=self.folder,
            **{**self.who(), **more})
        if expect is not None:
            self.assertEqual(done.returncode, expect, (
                words, done.stdout[-2000:], done.stderr[-2000:]))
        return done.stdout, done.stderr.decode(errors='surrogateescape')

    def quiet(self, *words, **more):
        """Runs the program, which says nothing on stderr."""
        out, err = self.run_it(*words, **more)
        self.assertEqual(err, '')
        return out

    def trace(self, calls, *words):
        """Runs the program: a text of these system calls of it"""
        if not shutil.which('strace'):
            self.skipTest('no strace')
        log = self.folder / 'strace'
        log.touch()
        log.chmod(0o666)
        done = subprocess.run(
            ['strace', '-f', '-y', '-s', '200', '-o', log, '-e',
             f'trace=execve,{calls}', self.program, *map(os.fsencode, words)],
            capture_output=True, timeout=LIMIT, check=False, **self.who())
        text = log.read_text(encoding='utf-8', errors='surrogateescape')
        if 'execve(' not in text:
            self.skipTest(f'no strace here: {done.stderr}')
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        return text

    def see(self, share, *words):
        """The files of a share as the guest sees them: {path: attributes}, with
        the path from the root in place of the name that the output has"""
        out = self.quiet('find', *words, '--json', share)
        lines = [json.loads(line) for line in out.splitlines()]
        for o in lines:
            o['path'] = os.path.relpath(o['path'], share)
        return {os.fsencode(o['path']): o for o in lines}

    def lock(self, path, byte=USED):
        """Locks a directory as another process does."""
        fd = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, fd)
        fcntl.fcntl(fd, F_OFD_SETLK, struct.pack(
            'hhqqi4x', fcntl.F_RDLCK, os.SEEK_SET, byte, 1, 0))
        return fd

    def memory(self, words):
        """Runs a command: the most memory that it has had, in KiB. The usage
        that the kernel reports at its end has this process' memory as well."""
        most = 0
        with open(os.devnull, 'wb') as out, \
                subprocess.Popen(words, stdout=out, cwd=self.folder,
                                 **self.who()) as child:
            status = f'/proc/{child.pid}/status'
            while child.poll() is None:
                with open(status, encoding='ascii', errors='replace') as f:
                    found = re.search(r'VmHWM:\s*(\d+)', f.read())
                most = int(found[1]) if found else most
                time.sleep(0.002)
        self.assertEqual(child.returncode, 0, words)
        self.assertGreater(most, 0)
        return most

    def by_user(self, function):
        """Does something on the host as the share's owner."""
        if not self.root:
            return function()
        pid = os.fork()
        if pid == 0:
            try:
                os.setgroups([])
                os.setgid(self.owner[1])
                os.setuid(self.owner[0])
                function()
                os._exit(0)
            except BaseException as error:      # pylint: disable=W0718
                os.write(2, repr(error).encode() + b'\n')
                os._exit(1)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        return None

    def put(self, path, data=b'', mode=0o600):
        """A file on the host"""
        path = pathlib.Path(path)
        path.write_bytes(data)
        path.chmod(mode)
        if self.root:
            os.chown(path, *self.owner)

    def views(self, path, **numbers):
        """Attributes of the model mapped-xattr"""
        for name, value in numbers.items():
            value = value if isinstance(value, bytes) else struct.pack(
                '<Q' if name == 'rdev' else '<I', value)
            os.setxattr(path, f'user.virtfs.{name}', value)

    def meta(self, path, text):
        """A metadata file of the model mapped-file"""
        path = pathlib.Path(path)
        folder = path.parent / FOLDER
        if not folder.exists():
            folder.mkdir(0o700)
            if self.root:
                os.chown(folder, *self.owner)
        self.put(folder / path.name, text if isinstance(text, bytes)
                 else text.encode())
        return folder / path.name
