#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Much data, and many files."""

import os
import sys
import zlib

import harness
from harness import GuestCase, Root, User, guest

MANY = 10000
GIGABYTE = 1 << 30

# Data takes the same path for every user, so one is enough
WHO = Root if os.geteuid() == 0 else User


def _sum(path):
    """The same as guest-tool's crc, without the size"""
    crc = 0
    with open(path, 'rb') as f:
        while part := f.read(1 << 20):
            crc = zlib.crc32(part, crc)
    return f'{crc:08x}'


def _host_file(folder):
    """A file of 128 MiB in which no two pages are alike."""
    with open(folder / 'f', 'wb') as f:
        for i in range(128):
            block = b''.join(((i << 8) + j).to_bytes(16, 'little') * 256
                             for j in range(256))
            f.write(block)


def _many(folder):
    for i in range(MANY):
        (folder / f'entry-{i:05}').touch()


class Data(GuestCase):
    # An emulated guest may be as slow as 10 MiB/s
    limit = 1100 * harness.sanitize.patience()
    who = WHO

    # The number before each 16 MiB shifts them against the pages
    @guest('''dd if=/dev/urandom of=/tmp/r bs=1M count=16 2>/dev/null
              i=0; while [ $i -lt 64 ]; do
                  echo $i; cat /tmp/r; i=$((i+1))
              done 2>/dev/null |
                  dd of=f bs=1M iflag=fullblock count=1024 2>/dev/null
              rm /tmp/r; $TOOL crc f''')
    def test_guest_writes(self):
        """The guest writes 1 GiB and reads it back; the host has the same"""
        size, digest = self.said.split()
        self.assertEqual(int(size), GIGABYTE)
        self.assertEqual(os.stat(self.folder / 'f').st_size, GIGABYTE)
        self.assertEqual(_sum(self.folder / 'f'), digest)

    @guest('$TOOL crc f', _host_file)
    def test_guest_reads(self):
        """The guest reads 128 MiB that the host wrote"""
        size, digest = self.said.split()
        self.assertEqual(int(size), 128 << 20)
        self.assertEqual(_sum(self.folder / 'f'), digest)

    @guest('''dd if=/dev/zero of=f bs=1M count=64 2>/dev/null
              printf X | dd of=f bs=1 seek=33554431 conv=notrunc 2>/dev/null
              dd if=f bs=1000003 2>/dev/null >/tmp/f; $TOOL crc /tmp/f
              rm /tmp/f
              dd if=f of=g bs=4097 count=1000 2>/dev/null; stat -c %s g
              cp f h; $TOOL crc h''')
    def test_sizes(self):
        """Reads and writes of odd sizes"""
        whole, digest, part, *copy = self.said.split()
        self.assertEqual((int(whole), int(part)), (64 << 20, 4097000))
        self.assertEqual(copy, [whole, digest])
        f = self.folder / 'f'
        self.assertEqual(os.stat(f).st_size, 64 << 20)
        self.assertEqual(f.read_bytes()[33554431:33554432], b'X')
        self.assertEqual(_sum(f), digest)
        self.assertEqual(_sum(self.folder / 'h'), digest)


class Entries(GuestCase):

    who = WHO

    @guest('''ls | wc -l; ls | sort -u | wc -l; ls | sort | head -n 1
              ls | sort | tail -n 1; find . -type f | wc -l''', _many)
    def test_list(self):
        """A folder of 10,000 entries is listed, each once"""
        self.assertEqual(self.said.split(), [
            str(MANY), str(MANY), 'entry-00000', f'entry-{MANY - 1:05}',
            str(MANY)])

    @guest(f'''mkdir d; cd d; seq 1 {MANY} | xargs touch; ls | wc -l
               stat -c %h ..''')
    def test_make(self):
        """The guest makes 10,000 files in one folder"""
        self.assertEqual(self.said.split()[0], str(MANY))
        self.assertEqual(set(os.listdir(self.folder / 'd')),
                         {str(i) for i in range(1, MANY + 1)})

    @guest('$TOOL readdir-remove .; ls -A | wc -l',
           lambda folder: [(folder / f'x{i}').touch() for i in range(3000)])
    def test_remove_while_listing(self):
        """A folder's files are removed while it is read"""
        self.assertEqual(self.said, 'removed 3000\n0\n')
        self.assertEqual(os.listdir(self.folder), [])

    @guest('rm -r d; ls -A', lambda folder: [
        (folder / f'd/{i}/s').mkdir(parents=True) for i in range(300)])
    def test_remove_tree(self):
        """A tree of folders is removed"""
        self.assertEqual(self.said, '')
        self.assertEqual(os.listdir(self.folder), [])


if __name__ == '__main__':
    sys.exit(harness.main())
