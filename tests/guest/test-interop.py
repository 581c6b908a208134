#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""This QEMU with the helper of Debian 12, and Debian 12's QEMU with this
helper: guests work on files through protocol version 1. The tests are those of
test-files.py, as far as version 1 has the requests.
"""

import os
import sys

import interop
from interop import harness
from harness import guest

files = interop.load('test-files')

# On the share with a socket file
SECOND = '''
mkdir -p /mnt/second
mount -t 9p -o trans=virtio,version=9p2000.L,cache=none second /mnt/second
cd /mnt/second
echo hi >a; chown 1234:4321 a; chmod 4751 a; ln a h; ln -s a l
mkdir d; mv h d/; setfattr -n user.k -v v a
stat -c %u:%g:%a d/h; cat l; rm d/h; rmdir d; ls
seq 100000 >long; sha256sum <long | cut -c1-16
cd /; umount /mnt/second
'''


class Files(files.Files):

    __test_me__ = False
    maxDiff = None

    # Version 1 cannot change a file without a name, as the original test does.
    @guest('$TOOL unlinked f')
    def test_open_unlink(self):
        """An open file without a name: write, read, stat"""
        self.assertTrue(self.said.startswith(
            'links 0 size 6 mode 644\ncontent before after\n'), self.said)
        self.assertEqual(os.listdir(self.folder), [])

    @guest('''mkdir d; chgrp 78 d; chmod 2755 d; touch g
              $TOOL group 4711 'umask 022
                  touch new d/new; mkdir new-d d/new-d; ln -s x new-l
                  mkdir -m 770 closed; mkfifo -m 620 p'
              chown 5:5 g; stat -c "%n %u:%g %a" new d/new new-d d/new-d \\
                  closed p; stat -c "%n %u:%g" new-l g''')
    def test_other_group(self):
        """Files that root makes as another group, and root's access to them"""
        self.assertEqual(self.said, '''\
new 0:4711 644
d/new 0:78 644
new-d 0:4711 755
d/new-d 0:78 2755
closed 0:4711 770
p 0:4711 620
new-l 0:4711
g 5:5
''')

    # QEMU writes to the files itself, as it always did with version 1, and the
    # host's kernel takes the bits from a writer without CAP_FSETID. The old
    # QEMU lets the helper cut them.
    helper_cuts = False

    @guest(files.Files.test_set_id_as_a_disk.script)
    def test_set_id_as_a_disk(self):
        """Writes take the set-id bits that the host's kernel takes"""
        after = {'4755': '755', '2755': '755', '6755': '755', '6644': '2644',
                 '2600': '2600'}
        lines = self.said.splitlines()
        of_root = lines[lines.index('15') + 1:]
        self.assertEqual(len(of_root), 15, self.said)
        for line in of_root:
            mode = line.split()[0]
            kept = self.helper_cuts and ' : >' in line
            self.assertEqual(line.split()[-1], mode if kept else after[mode])

    @guest(SECOND)
    def test_socket(self):
        """A share with a socket file"""
        self.assertEqual((self.said, self.status), (
            '1234:4321:4751\nhi\na\nl\n'
            'b2bc7d3f8b652d2e\n', 0))
        a = self.second / 'a'
        self.assertEqual(a.read_bytes(), b'hi\n')
        self.assert_owner(a, 1234, 4321)
        self.assert_mode(a, 0o4751)
        self.assertEqual(os.getxattr(a, 'user.k'), b'v')
        self.assertEqual(os.readlink(self.second / 'l'), 'a')

    def test_helper_ends(self):
        """The helper on the socket ended with QEMU, without an error"""
        self.assertEqual(self.ended, 0)


class OldHelper(interop.OldHelper, Files):
    __test_me__ = True


class OldQemu(interop.OldQemu, Files):
    __test_me__ = True
    helper_cuts = True


if __name__ == '__main__':
    sys.exit(harness.main())
