#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that mounts the share with 9P2000.u."""

import hashlib
import os
import stat
import sys

import harness
from harness import GuestCase, Root, User, for_each, guest, local

MANY = 300
MORE = 3000
U = ('--mount-options', 'version=9p2000.u')


def _many(folder):
    for i in range(MANY):
        (folder / f'entry-{i:03}').write_text(str(i))


def _more(folder):
    (folder / 'd').mkdir()
    for i in range(MORE):
        # Names of many lengths: the rest of a message is never the same.
        (folder / 'd' / (f'{i}-' + 'n' * (i * 7 % 60))).touch()


def _tree(folder):
    (folder / 'a/b/c').mkdir(parents=True)
    (folder / 'a/file').write_text('data')
    (folder / 'a/b/other').write_text('data')
    (folder / 'a/b/c/link').symlink_to('nowhere')


class DotU:
    """Tests for every driver."""

    @guest('grep " /mnt/share " /proc/mounts')
    def test_mount(self):
        """The mount is 9P2000.u"""
        self.assertIn('version=9p2000.u', self.said)

    @guest('''echo one >f; echo two >>f; cat f; ls; mkdir -m 751 d
              echo in >d/g; cat d/g; ls d; stat -c %F f d; stat -c %s f''')
    def test_files(self):
        """Files and folders are made, read, written and listed"""
        self.assertEqual(self.said.splitlines(), [
            'one', 'two', 'f', 'in', 'g', 'regular file', 'directory', '8'])
        self.assertEqual((self.folder / 'f').read_text(), 'one\ntwo\n')
        self.assertEqual((self.folder / 'd/g').read_text(), 'in\n')
        self.assert_mode(self.folder / 'd', 0o751)

    @guest('''echo f >f; mv f g; cat g; ls; mkdir d; mv d e; ls
              echo new >n; mv n g; cat g; ls; echo x >e/x; mv e/x .''')
    def test_rename(self):
        """Files and folders are renamed, also over others"""
        self.assertEqual(self.said.split(), [
            'f', 'g', 'e', 'g', 'new', 'e', 'g'])
        self.assertEqual(sorted(os.listdir(self.folder)), ['e', 'g', 'x'])
        self.assertEqual((self.folder / 'g').read_text(), 'new\n')
        # 9P2000.u cannot move between folders, so mv copies.
        self.assertEqual((self.folder / 'x').read_text(), 'x\n')

    @guest('''echo data >f; ln -s f s; cat s; readlink s; ln -s /no/where b
              readlink b; stat -c %F s; cat b || echo fails; rm s; ls''')
    def test_symlinks(self):
        """Symbolic links are made, read and followed"""
        said = [s for s in self.said.splitlines() if 'No such' not in s]
        self.assertEqual(said, ['data', 'f', '/no/where', 'symbolic link',
                                'fails', 'b', 'f'])
        self.assertEqual(os.readlink(self.folder / 'b'), '/no/where')

    @guest('''echo data >f; ln f g; stat -c %h f; echo more >>g; cat f
              [ f -ef g ] && echo same; rm f; cat g; stat -c %h g''')
    def test_hard_links(self):
        """Hard links are made, and counted"""
        self.assertEqual(self.said.splitlines(), [
            '2', 'data', 'more', 'same', 'data', 'more', '1'])

    @guest('''mkfifo -m 640 p; stat -c %F p; (cat p >got &)
              echo through >p; sleep 1; cat got
              stat -c %F p; rm p''')
    def test_fifo(self):
        """A fifo connects two processes of the guest"""
        self.assertEqual(self.said.splitlines(), ['fifo', 'through', 'fifo'])
        self.assertFalse((self.folder / 'p').exists())

    @guest('''echo 0123456789 >f; chmod 600 f; stat -c %a f; chmod 4755 f
              stat -c %a f; chmod 640 f; truncate -s 4 f; cat f; echo
              truncate -s 8192 f; stat -c %s f; touch -d @1000000000 f
              stat -c %Y f; mkdir d; chmod 1777 d; stat -c %a d''')
    def test_attributes(self):
        """Mode, length and time are changed"""
        self.assertEqual(self.said.split(), [
            '600', '4755', '0123', '8192', '1000000000', '1777'])
        self.assert_mode(self.folder / 'f', 0o640)
        st = os.stat(self.folder / 'f')
        self.assertEqual((st.st_size, int(st.st_mtime)), (8192, 1000000000))
        self.assert_mode(self.folder / 'd', 0o1777)

    @guest('echo f >f; chown 1000:1001 f; stat -c %u:%g f')
    def test_owner(self):
        """The owner of a file is changed"""
        self.assertEqual(self.said, '1000:1001\n')
        self.assert_owner(self.folder / 'f', 1000, 1001)

    @guest('find a | wc -l; rm -r a; ls -A', _tree)
    def test_remove_tree(self):
        """A tree is removed"""
        self.assertEqual(self.said, '6\n')
        self.assertEqual(os.listdir(self.folder), [])

    @guest('''ls | wc -l; ls | sort -u | wc -l; ls -l | grep -c '^-rw'
              cat entry-299; echo; ls | sort | tail -n 1; rm entry-*
              ls -A | wc -l''', _many)
    def test_many(self):
        """A folder of 300 entries is listed, each once"""
        self.assertEqual(self.said.split(), [
            str(MANY), str(MANY), str(MANY), '299', 'entry-299', '0'])

    @guest('$TOOL readdir-remove .; ls -A | wc -l', _many)
    def test_remove_while_listing(self):
        """A folder's files are removed while it is read"""
        self.assertEqual(self.said, f'removed {MANY}\n0\n')

    @guest('''dd if=/dev/urandom of=/tmp/r bs=64k count=16 2>/dev/null
              cp /tmp/r f; sync; sha256sum </tmp/r; sha256sum <f; cp f g
              cmp f g && echo equal
              dd if=f of=h bs=7777 2>/dev/null; cmp f h && echo equal
              rm /tmp/r''')
    def test_copy(self):
        """1 MiB is copied in and read back, in pieces of any size"""
        ours = hashlib.sha256((self.folder / 'f').read_bytes()).hexdigest()
        self.assertEqual(self.said.split(), [
            ours, '-', ours, '-', 'equal', 'equal'])
        self.assertEqual((self.folder / 'f').stat().st_size, 1 << 20)

    @guest('''for i in 1 2 3; do echo $i; done >f; sed -i s/2/two/ f; cat f
              exec 3>f; rm f; echo deleted >&3 && echo written; exec 3>&-
              set -C; echo a >x; echo b >x; cat x; cat nothing''')
    def test_habits(self):
        """Edits in place, removed files that are open, lock files"""
        self.assertEqual([s for s in self.said.splitlines() if ':' not in s],
                         ['1', 'two', '3', 'written', 'a'])
        self.assertIn('No such file', self.said)
        self.assertIn('exists', self.said)


@for_each(Root, User)
class Proxy(DotU, GuestCase):
    options = U


class Small:
    """The smallest usual messages, and some larger than usual ones."""
    who = Root

    @guest('''ls d | wc -l; ls d | sort -u | wc -l; find d | wc -l; rm -rf d
              echo $?; ls -A''', _more)
    def test_more(self):
        """A folder of 3,000 entries is listed, and removed"""
        self.assertEqual(self.said.split(), [
            str(MORE), str(MORE), str(MORE + 1), '0'])
        self.assertEqual(os.listdir(self.folder), [])


class Messages8K(Small, GuestCase):
    options = ('--mount-options', 'version=9p2000.u,msize=8192')


class Messages128K(Small, GuestCase):
    options = local('passthrough', 'version=9p2000.u,msize=131072')


class Local(DotU, GuestCase):
    who = Root
    options = local('passthrough', 'version=9p2000.u')

    @guest('''mknod c c 1 3; mknod b b 259 65536; stat -c '%F %t:%T' c b
              echo x >c; cat c; ls -l c''')
    def test_devices(self):
        """Device nodes are made; the guest's own kernel serves them"""
        said = self.said.splitlines()
        self.assertEqual(said[:2], ['character special file 1:3',
                                    'block special file 103:10000'])
        self.assertRegex(said[2], r'^crw.* 1, +3 ')
        st = os.lstat(self.folder / 'c')
        self.assertTrue(stat.S_ISCHR(st.st_mode))
        self.assertEqual(st.st_rdev, os.makedev(1, 3))


class ReadOnly(GuestCase):
    """A read-only share of the proxy, which the guest mounts for writing."""
    options = ('--readonly', '--mount-options', 'version=9p2000.u,rw')

    @guest('''cat f; ls; grep -c "/mnt/share 9p rw" /proc/mounts
              echo x >f; echo x >g; mkdir d; rm f; chmod 600 f; cat f''',
           lambda folder: (folder / 'f').write_text('data\n'))
    def test_readonly(self):
        """A read-only share does not change"""
        self.assertEqual([s for s in self.said.splitlines() if ':' not in s],
                         ['data', 'f', '1', 'data'])
        self.assertIn('Read-only file system', self.said)
        self.assertEqual((self.folder / 'f').read_text(), 'data\n')
        self.assertEqual(os.listdir(self.folder), ['f'])
        self.assert_mode(self.folder / 'f', 0o644)


if __name__ == '__main__':
    sys.exit(harness.main())
