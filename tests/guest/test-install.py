#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""What "ninja install" installs: its files and their modes, and that QEMU runs
from there, wherever the files are moved, and finds its helper and firmware.

The tests install into a temporary folder (DESTDIR), with a umask that keeps
others out, and then move the files to a folder with another name. An ordinary
user runs them there, and the build folder is not involved.
"""

import json
import os
import pathlib
import re
import shlex
import stat
import subprocess
import sys
import tempfile
import time
import unittest

import bare
import harness
from harness import User
from virtfs import build

# This tree's files, below the prefix
PROGRAMS = ['bin/qemu-system-x86_64', 'libexec/virtfs-proxy-helper',
            'share/qemu/virtfs-launcher', 'bin/virtfs-mapped']
UNITS = [f'lib/systemd/system/virtfs-proxy-helper@.{kind}'
         for kind in ('service', 'socket')]
DESCRIPTION = 'share/qemu/fsdev-proxy/50-virtfs-proxy-helper.json'
# The ends of names of source files, which assertions print
SOURCES = (b'.c', b'.h', b'.inc')
HELPER = 'libexec/virtfs-proxy-helper'
GUEST = 'echo x >f; chown 12:34 f; stat -c %u:%g f'
SAYS = ['12:34', 'exit 0']


class Install(unittest.TestCase):
    """Installed files, moved to a folder of an ordinary user's choice"""

    @classmethod
    def setUpClass(cls):
        # pylint: disable=consider-using-with
        folder = tempfile.TemporaryDirectory(prefix='virtfs-install-',
                                             ignore_cleanup_errors=True)
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.folder.chmod(0o755)
        cls.user = User()
        cls.environment = cls.user.environment()
        installed = build.install(cls.folder / 'destdir', umask=0o077)
        cls.prefix = pathlib.Path('/', installed.relative_to(
            cls.folder / 'destdir'))
        cls.modes = {p.relative_to(cls.folder / 'destdir'): p.lstat()
                     for p in (cls.folder / 'destdir').rglob('*')}
        cls.top = cls.folder / 'elsewhere'
        installed.rename(cls.top)

    def test_files(self):
        """Everything of this tree is there"""
        for path in PROGRAMS:
            self.assertTrue(os.access(self.top / path, os.X_OK), path)
        for path in (*UNITS, DESCRIPTION):
            self.assertTrue((self.top / path).is_file(), path)

    def test_modes(self):
        """All may read, only the owner may write, and there are no bits more"""
        for path, st in self.modes.items():
            mode = stat.S_IMODE(st.st_mode)
            if stat.S_ISDIR(st.st_mode):
                self.assertEqual(mode, 0o755, path)
            elif not stat.S_ISLNK(st.st_mode):
                self.assertIn(mode, (0o644, 0o755), path)
            self.assertEqual((st.st_uid, st.st_gid),
                             (os.geteuid(), os.getegid()), path)
        for path in UNITS:
            self.assertEqual(
                stat.S_IMODE((self.top / path).stat().st_mode), 0o644)

    def test_no_build_folder(self):
        """No file names the build folder, except by names of source files"""
        places = [os.fsencode(p) for p in (
            build.BUILD, build.BUILD.with_name(build.BUILD.name + '.base'),
            harness.TREE)]
        named = re.compile(b'(?:%s)[^\\0\n]*' % b'|'.join(
            map(re.escape, places)))
        copy = self.folder / 'stripped'
        for path in sorted(self.top.rglob('*')):
            self.assertFalse(path.is_symlink() and not path.exists(), path)
            if path.is_dir():
                continue
            data = path.read_bytes()
            if data.startswith(b'\x7fELF'):
                subprocess.run(['objcopy', '--strip-debug', path, copy],
                               check=True)
                data = copy.read_bytes()
            self.assertEqual([name for name in named.findall(data)
                              if not name.endswith(SOURCES)], [], path)

    def test_units(self):
        """The units name the helper where it is installed"""
        service = (self.top / UNITS[0]).read_text(encoding='utf-8')
        started = re.findall(r'^#?\s*ExecStart=(\S+)', service, re.M)
        self.assertEqual(started, 2 * [str(self.prefix / HELPER)])
        for path in UNITS:
            text = (self.top / path).read_text(encoding='utf-8')
            self.assertEqual(re.findall(r'@[A-Z_]+@', text), [])

    def test_description(self):
        """Management software finds the helper, of the type that it states"""
        told = json.loads((self.top / DESCRIPTION).read_text(encoding='utf-8'))
        self.assertEqual(told['binary'], str(self.prefix / HELPER))
        said = subprocess.run([self.top / HELPER, '--print-capabilities'],
                              check=True, capture_output=True).stdout
        self.assertEqual(told['type'], json.loads(said)['type'])

    def start(self, words, folder):
        """Starts QEMU as the ordinary user; no argument or variable tells it
        where its files are."""
        log = open(folder / 'log', 'w+', encoding='utf-8')
        self.addCleanup(log.close)
        child = subprocess.Popen(
            self.user.command(words), cwd='/', stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, env=self.environment)
        self.addCleanup(self.end, child)
        return child, log

    @staticmethod
    def end(child):
        """Ends QEMU if it still runs."""
        if child.poll() is None:
            child.kill()
        child.wait()

    def helpers(self, child):
        """The programs of the helpers below QEMU"""
        found = set()
        for pid in harness.descendants(child.pid):
            try:
                words = pathlib.Path(f'/proc/{pid}/cmdline').read_bytes()
            except OSError:
                continue
            if b'virtfs-proxy-helper\0-n\0' in words:
                found.add(words.split(b'\0')[0].decode())
        return {os.path.normpath(path) for path in found}

    def place(self):
        """A folder of the user's, with a share in it"""
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        folder.chmod(0o755)
        share = folder / 'share'
        share.mkdir()
        for path in (folder, share):
            self.user.give(path)
        return folder, share

    def need(self):
        """Skips the test if the user cannot run guests here."""
        if self.user.lacks():
            self.skipTest(self.user.lacks())

    def test_boot(self):
        """An ordinary user boots a guest, which works on a share"""
        self.need()
        folder, share = self.place()
        guest = bare.Bare(folder, GUEST)
        for path in folder.iterdir():
            self.user.give(path)
        words = shlex.split(' '.join(guest.arguments()))
        while '-L' in words:            # it finds Debian's firmware itself
            at = words.index('-L')
            del words[at:at + 2]
        child, log = self.start(
            [self.top / 'bin/qemu-system-x86_64', *words,
             '-device', 'e1000',        # has a ROM of its own
             '-virtfs', f'proxy,mount_tag=share,path={share}'], folder)
        seen = set()

        def alive():
            seen.update(self.helpers(child))
            return child.poll() is None
        try:
            said = guest.wait(alive)
        except AssertionError:
            log.seek(0)
            self.fail(f'QEMU says: {log.read()}')
        self.assertEqual(said, SAYS)
        self.assertEqual(seen, {str(self.top / HELPER)})
        st = (share / 'f').stat()
        self.assertEqual((st.st_uid, st.st_gid),
                         (self.user.host_uid(12), self.user.host_gid(34)))

    def test_launcher(self):
        """The launcher starts the installed QEMU and helper"""
        self.need()
        folder, share = self.place()
        name = folder / 'qemu-system-x86_64-virtfs'
        name.symlink_to(self.top / PROGRAMS[2])
        os.symlink(self.top / PROGRAMS[0], folder / 'qemu-system-x86_64')
        child, log = self.start(
            [name, '-M', 'none', '-nodefaults', '-display', 'none',
             '-fsdev', f'proxy,id=share,path={share}'], folder)
        end = time.monotonic() + harness.LIMIT
        while not (seen := self.helpers(child)):
            log.seek(0)
            self.assertIsNone(child.poll(), log.read())
            self.assertLess(time.monotonic(), end)
            time.sleep(0.1)
        self.assertEqual(seen, {str(self.top / HELPER)})


if __name__ == '__main__':
    sys.exit(harness.main())
