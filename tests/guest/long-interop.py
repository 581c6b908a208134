#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Shares of the mapped security models pass between QEMUs.

A guest under one QEMU fills a share. A guest under the other must see exactly
the same files, and changes them; the first must see the changes. The QEMUs are
this tree's and Debian's, in both orders. The test compares listings made in the
guest: for each name its type, mode, owner, group, device number, links, size,
date, target, content and attributes. virtfs-mapped must list the same on the
host, whichever QEMU made the share.
"""

import json
import os
import re
import subprocess
import sys
import unittest

import harness
from harness import LIMIT, Owner, local, run
from virtfs import build

DEBIAN = '/usr/bin/qemu-system-x86_64'
END = 'that was the listing'

# All properties of every file, each on a line. Sizes and link counts of folders
# depend on the host's file system, and dates of special files change when QEMU
# changes their attributes: these are left out.
LIST = r'''
list() {
    find . ! -name guest-tool | LC_ALL=C sort | while IFS= read -r f; do
        stat -c '%n: %F %a %u:%g' "$f"
        if [ -L "$f" ]; then echo "  $(stat -c '%h %s' "$f")"
            echo "  -> $(readlink "$f")"
        elif [ -f "$f" ]; then echo "  $(stat -c '%h %s %Y' "$f")"
            echo "  $(sha256sum <"$f")"
        elif [ ! -d "$f" ]; then echo "  $(stat -c '%h %t,%T' "$f")"; fi
        [ -L "$f" ] || getfattr -d -m - -e hex --absolute-names "$f" 2>&1 |
            grep -v '^# file\|^$' | LC_ALL=C sort
    done
    find . -type d | wc -l
}
end() { cd /mnt/share && list && echo 'END'; }
set -e; umask 022
'''.replace('END', END)

FILL = r'''
mkdir d; cd d
for mode in 0 400 644 755 4755 2711 7777; do
    echo $mode >mode-$mode; chmod $mode mode-$mode
done
echo own >own; chown 1234:4321 own
echo high >high; chown 4294967294:3000000000 high
echo group >group; chgrp 7 group
seq 10000 >long; truncate -s 3000000 sparse; : >empty
echo 'with spaces' >'with  spaces '; echo dash >-dash; echo utf >'ä€'
mknod null c 1 3; mknod big b 259 1000000; mknod zero b 0 0
mkfifo fifo; $TOOL socket socket >/dev/null
chown 11:12 null fifo; chmod 640 null; chmod 1 fifo; chmod 2755 socket
ln -s long link; ln -s /absolute/target far; ln -s dangling/x dangling
ln -s "$(printf '%01000d' 7)" deep; chown -h 21:22 link
ln long hard; chown 31:32 hard; ln null null-hard; ln link link-hard
mkdir sticky setgid closed; chmod 1777 sticky; chmod 2770 setgid
chgrp 9 setgid; : >setgid/child; mkdir setgid/folder; mkdir -p closed/deeper
echo in >closed/deeper/file; chmod 700 closed/deeper; chown 41:42 closed
chmod 500 closed
mkdir empty-folder
# Names that belonged to another file before
for kind in file link node folder; do
    case $kind in
    file) echo x >re-$kind ;; link) ln -s x re-$kind ;;
    node) mknod re-$kind c 9 9 ;; folder) mkdir re-$kind ;;
    esac
    chown -h 51:52 re-$kind; chmod 711 re-$kind 2>/dev/null || :
    mv re-$kind moved-$kind; echo new >re-$kind
done
echo a >over; chown 61:61 over; echo b >under; chown 62:62 under; mv under over
mv fifo sticky/fifo; mv closed/deeper sticky/deeper; mv link sticky/link
for kind in file node link; do
    case $kind in
    file) echo x >gone ;; node) mknod gone c 8 8 ;; link) ln -s x gone ;;
    esac
    chown -h 71:71 gone; rm gone; done
mkdir gone; echo x >gone/x; chown 72:72 gone gone/x; rm gone/x; rmdir gone
: >gone
cd ..
'''

ATTRIBUTES = r'''
setfattr -n user.test -v value d/own; setfattr -n user.x -v 0x00ff d/setgid
setfacl -m u:5:rw,g:6:r d/own; setfacl -d -m u:7:rwx,g:8:- d/setgid
: >d/setgid/by-default; mkdir d/setgid/inherits
'''

CHANGE = r'''
cd d
chown 81:82 own; chmod 4640 own; chmod 600 mode-7777; echo more >>long
chown -h 83:84 far; mv far near; mv null null2; chmod 666 null2; rm zero
mv sticky/fifo fifo2; rm -f hard; ln own own-hard; rmdir empty-folder
mv setgid other; chmod 755 other; echo x >other/more; rm -rf closed
mknod zero c 5 6; ln -s y empty-folder; rm -f re-node; mkdir re-node
chown 91 re-node; mv moved-node moved-link; rm -r moved-folder
mv -T re-folder moved-folder; truncate -s 5 sparse; rm gone; mkdir gone
cd ..
'''

CHANGE_ATTRIBUTES = r'''
setfacl -m u:9:x d/own; setfacl -k d/other; setfattr -x user.test d/own
setfacl -b d/other/by-default; setfattr -n user.more -v 2 d/mode-0
'''

# What stat -c %F says
TYPES = {'file': 'regular file', 'directory': 'directory',
         'link': 'symbolic link', 'fifo': 'fifo', 'socket': 'socket',
         'char-device': 'character special file',
         'block-device': 'block special file'}

EMPTY = 'rm -rf d; ls -A | grep -v guest-tool || :; '


class Interop(unittest.TestCase):

    model = None
    attributes = False
    __test_me__ = False

    def setUp(self):
        if not os.access(DEBIAN, os.X_OK):
            self.skipTest(f'{DEBIAN} is missing '
                          '(package qemu-system-x86)')
        self.host = Owner()
        self.share = harness.new_share(self.host)
        harness.shutil.copy(harness.tool(), self.share / 'guest-tool')
        self.options = local(self.model, 'access=client,posixacl'
                             if self.attributes else '')

    def guest(self, qemu, script):
        """A guest's listing after a script, in parts of one file each."""
        script = f'TOOL=/mnt/share/guest-tool\n{LIST}\n{script}\nend'
        status, out, err = run(self.host, self.share, script,
                               (*self.options, *qemu))
        out = out.decode()
        self.assertEqual(status, 0, out + err.decode())
        self.assertTrue(out.endswith(END + '\n'), out)
        return re.split(r'\n(?=\./)', out)

    @staticmethod
    def line(o):
        """One of virtfs-mapped's files as list() has it, without what list()
        has of contents and attributes"""
        kind = TYPES[o['type']]
        if kind == 'regular file' and o['size'] == 0:
            kind = 'regular empty file'
        path = './' + o['path'] if o['path'] != '.' else '.'
        lines = [f"{path}: {kind} {int(o['mode'], 8):o} {o['uid']}:{o['gid']}"]
        if o['type'] == 'link':
            lines += [f"  {o['nlink']} {o['size']}", f"  -> {o['target']}"]
        elif o['type'] == 'file':
            lines.append(f"  {o['nlink']} {o['size']} {o['mtime']}")
        elif o['type'] != 'directory':
            lines.append(f"  {o['nlink']} {o.get('major', 0):x},"
                         f"{o.get('minor', 0):x}")
        return '\n'.join(lines)

    def check_tool(self, made):
        """virtfs-mapped lists what the guest did."""
        done = subprocess.run(
            self.host.command([build.MAPPED, 'find', '--json', '--model',
                               self.model, self.share]),
            env=self.host.environment(), capture_output=True, timeout=LIMIT,
            check=False)
        self.assertEqual((done.returncode, done.stderr), (0, b''))
        files = [json.loads(line) for line in done.stdout.splitlines()]
        for o in files:
            o['path'] = os.path.relpath(o['path'], self.share)
        listed = [self.line(o) for o in files if o['path'] != 'guest-tool']
        self.assertEqual(len(listed), len(made))
        for text, whole in zip(sorted(listed), sorted(made)):
            self.assertEqual(whole[:len(text)], text)

    def pass_around(self, first, second):
        more = self.attributes
        made = self.guest(first, FILL + ATTRIBUTES * more)
        self.assertGreater(len(made), 40)
        self.check_tool(made)
        self.assertEqual(made, self.guest(second, ''))
        changed = self.guest(second, CHANGE + CHANGE_ATTRIBUTES * more)
        self.assertNotEqual(made, changed)
        self.check_tool(changed)
        self.assertEqual(changed, self.guest(first, ''))
        left = self.guest(first, EMPTY)
        self.assertEqual(left[0].splitlines()[1:], ['1', END], left)
        # Nothing of the removed files remains on the host.
        left = {p.name for p in self.share.rglob('*') if not p.is_dir()}
        self.assertLessEqual(left, {'.virtfs_metadata_root', 'guest-tool'})

    maxDiff = None

    def test_debian_first(self):
        """Made under Debian's QEMU, changed under this one"""
        self.pass_around(('--qemu', DEBIAN), ())

    def test_own_first(self):
        """Made under this QEMU, changed under Debian's"""
        self.pass_around((), ('--qemu', DEBIAN))


class MappedXattr(Interop):
    __test_me__ = True
    model = 'mapped-xattr'
    attributes = True


class MappedFile(Interop):
    __test_me__ = True
    model = 'mapped-file'


if __name__ == '__main__':
    sys.exit(harness.main())
