#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that mount a folder of the share (mount option aname), or fail to."""

import os
import sys
import unittest

import harness
from harness import Root, User

WHO = Root if os.geteuid() == 0 else User

# Mounts the tag "second" with each aname; "NAME: ENTRIES" or "NAME: error"
SCRIPT = '''
cd /; mkdir /mnt/m
for v in 9p2000.L 9p2000.u; do
    for a in "" / sub /sub/deep/ //sub//deep nothing sub/nothing file \\
             file/x link out ../../etc sub/.. .; do
        if said=$(mount -t 9p -o trans=virtio,version=$v,aname=$a second \\
                  /mnt/m 2>&1); then
            echo "$a: $(cd /mnt/m; ls -A | tr '\\n' ' ')" \\
                 "$(cd /mnt/m/..; pwd)"
            umount /mnt/m
        else
            echo "$a: ${said##*: }"
        fi
    done
done
'''

# In the mounted folder: ".." of a folder in it is the mount's root.
INSIDE = '''
ls -A; echo data >new; mkdir dir; mv new dir/moved; cat dir/moved; cd dir
cat ../here; ls -di .. | cut -d' ' -f1; stat -c %i ..; stat -c %i /mnt/share
'''


TOP = 'file link out sub '
ENDS = [
    (': ', TOP), ('/: ', TOP), ('sub: ', 'deep here '),
    ('/sub/deep/: ', 'bottom '), ('//sub//deep: ', 'bottom '),
]
FAILS = [
    ('nothing', 'No such file or directory'),
    ('sub/nothing', 'No such file or directory'),
    ('file', 'Not a directory'), ('file/x', 'Not a directory'),
    ('link', 'Not a directory'), ('out', 'Not a directory'),
    ('../../etc', 'Invalid argument'), ('sub/..', 'Invalid argument'),
    ('.', 'Invalid argument'),
]


class Names(unittest.TestCase):

    def setUp(self):
        self.host = WHO()
        why = self.host.lacks()
        if why:
            self.skipTest(why)
        self.share = harness.new_share(self.host)
        (self.share / 'sub/deep').mkdir(parents=True)
        (self.share / 'sub/deep/bottom').touch()
        (self.share / 'sub/here').write_text('here\n')
        (self.share / 'file').touch()
        for path in self.share.rglob('*'):
            self.host.give(path)
        (self.share / 'link').symlink_to('sub')
        (self.share / 'out').symlink_to('/etc')

    def run_guest(self, script, options, qemu=()):
        status, out, err = harness.run(self.host, self.share, script, options,
                                       qemu=qemu)
        self.assertEqual(status, 0, err)
        return out.decode().splitlines()

    def test_names(self):
        """Folders are mounted, and all other names are refused"""
        lines = self.run_guest(
            SCRIPT, harness.local('none'), ['-virtfs', 'local,mount_tag=second,'
            f'security_model=none,path={self.share}'])
        one = [f'{name}{entries} /mnt' for name, entries in ENDS]
        one += [f'{name}: {error}' for name, error in FAILS]
        self.assertEqual(lines, one + one)

    def test_inside(self):
        """A mounted folder of a share of the proxy driver"""
        lines = self.run_guest(INSIDE, ('--mount-options', 'aname=/sub'))
        self.assertEqual(lines[:4], ['deep', 'here', 'data', 'here'])
        self.assertEqual(len(lines), 7)
        self.assertEqual(len(set(lines[4:])), 1, lines)
        self.assertEqual((self.share / 'sub/dir/moved').read_text(), 'data\n')


if __name__ == '__main__':
    sys.exit(harness.main())
