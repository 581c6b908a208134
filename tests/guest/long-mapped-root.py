#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""A Debian that virtfs-mapped unpacks, for each way to keep its files.

The program makes a share of an archive, as the user who will run QEMU. A guest
lists and reads all of it, and finds what the archive has. The program packs the
share: the archive is equal to the first one, but for the order. At last a guest
boots from the share.
"""

import hashlib
import re
import subprocess
import sys
import tarfile
import unittest

import harness
from harness import Owner, Root, User, local, run

from virtfs import build, rootfs, sanitize                  # noqa: E402

LIMIT = 1200 * sanitize.patience()
KINDS = {tarfile.REGTYPE: 'file', tarfile.AREGTYPE: 'file',
         tarfile.DIRTYPE: 'directory', tarfile.SYMTYPE: 'link',
         tarfile.CHRTYPE: 'char', tarfile.BLKTYPE: 'block',
         tarfile.FIFOTYPE: 'fifo'}
SAID = {'regular file': 'file', 'regular empty file': 'file',
        'directory': 'directory', 'symbolic link': 'link',
        'character special file': 'char', 'block special file': 'block',
        'fifo': 'fifo'}

LIST = r'''
cd /mnt/share
echo "== files"
find . -exec stat -c '%n|%F|%a|%u:%g|%Y|%i' {} +
echo "== links"
find . -type l | while read -r f; do echo "$f|$(readlink "$f")"; done
echo "== sums"
find . -type f -exec md5sum {} +
echo "== end"
'''

BOOTED = r'''. /etc/os-release; echo $ID; readlink /proc/$$/exe
grep -c . /etc/passwd; stat -c '%U:%G %a' /etc/shadow /usr/bin/passwd
dpkg --audit | wc -l; apt-get --version | head -n 1'''


def of_archive(path):
    """{name: (kind, mode, owner, time, target, sum, the names of its inode)}"""
    found, inodes = {}, {}
    with tarfile.open(path, errors='surrogateescape') as archive:
        for member in archive:
            name = member.name.removeprefix('./')
            if member.islnk():
                first = member.linkname.removeprefix('./')
                found[name] = found[first]
                inodes[first].add(name)
                continue
            data = archive.extractfile(member) if member.isreg() else None
            found[name] = (
                KINDS[member.type], member.mode & 0o7777,
                f'{member.uid}:{member.gid}', int(member.mtime),
                member.linkname if member.issym() else None,
                hashlib.file_digest(data, 'md5').hexdigest() if data else None)
            inodes[name] = {name}
    names = {name: frozenset(group) for group in inodes.values()
             for name in group}
    return {name: (*value, names[name]) for name, value in found.items()}


def of_guest(text):
    """The same, as the guest says"""
    parts = dict(re.findall(r'^== (\w+)\n(.*?)(?=^== )', text, re.S | re.M))
    links = dict(line.split('|', 1) for line in parts['links'].splitlines())
    sums = {line[34:]: line[:32] for line in parts['sums'].splitlines()}
    found, inodes = {}, {}
    for line in parts['files'].splitlines():
        path, kind, mode, owner, time, inode = line.rsplit('|', 5)
        name = path.removeprefix('./')
        kind = SAID[kind]
        if kind == 'directory':
            inode = path
        inodes.setdefault(inode, set()).add(name)
        found[name] = (kind, int(mode, 8), owner, int(time), links.get(path),
                       sums.get(path), inode)
    return {name: (*value[:-1], frozenset(inodes[value[-1]]))
            for name, value in found.items()}


class Debian(unittest.TestCase):
    """One user and model"""

    model = None
    who = Owner
    options = ()
    before = ()                 # what the program runs in
    __test_me__ = False
    maxDiff = 4000

    def compare(self, found, wanted):
        """Two results of of_archive() or of_guest()"""
        self.assertEqual(set(found), set(wanted))
        for name, value in wanted.items():
            self.assertEqual(found[name], value, name)

    def tool(self, *words, **files):
        """Runs the program as the user."""
        done = subprocess.run(
            self.host.command([*self.before, build.MAPPED, *words]),
            env=self.host.environment(), stderr=subprocess.PIPE, timeout=LIMIT,
            check=False, cwd='/', **files)
        self.assertEqual((done.returncode, done.stderr), (0, b''))

    def test_whole(self):
        """Unpacked, compared, packed, and booted from"""
        self.host = self.who()
        why = self.host.lacks()
        if why:
            self.skipTest(why)
        source = rootfs.archive(names=('attr',), kind='-small')
        wanted = of_archive(source)
        self.assertGreater(len(wanted), 5000)
        share = harness.new_share(self.host)
        self.addCleanup(harness.remove, share)
        with open(source, 'rb') as archive:
            self.tool('unpack', '--model', self.model, share, stdin=archive)
        status, out, err = run(self.host, share, LIST, self.options, LIMIT)
        self.assertEqual(status, 0, err)
        self.compare(of_guest(out.decode(errors='surrogateescape')), wanted)

        packed = share.with_name(share.name + '.tar')
        self.addCleanup(packed.unlink)
        with open(packed, 'wb') as archive:
            self.tool('pack', '--model', self.model, share, stdout=archive)
        self.compare(of_archive(packed), wanted)

        status, out, err = run(
            self.host, share, BOOTED, (
                '--root', '--memory', '512M', '--mount-options', 'cache=loose',
                *self.options), LIMIT)
        said = out.decode().splitlines()
        self.assertEqual(status, 0, (said, err))
        self.assertEqual(said[:2], ['debian', '/usr/bin/dash'])
        self.assertEqual(said[3:6], ['root:shadow 640', 'root:root 4755', '0'])
        self.assertRegex(said[6], r'^apt \d')


class MappedXattr(Debian):
    """An ordinary user"""
    __test_me__ = True
    model = 'mapped-xattr'
    options = local('mapped-xattr')


class MappedFile(Debian):
    """The same, for a file system without attributes"""
    __test_me__ = True
    model = 'mapped-file'
    options = local('mapped-file')


class Passthrough(Debian):
    """root"""
    __test_me__ = True
    who = Root
    model = 'passthrough'
    options = local('passthrough')


class Proxy(Debian):
    """An ordinary user, with a helper of that user's"""
    __test_me__ = True
    who = User
    model = 'proxy'
    before = ('unshare', '--map-root-user', '--map-auto')


if __name__ == '__main__':
    sys.exit(harness.main())
