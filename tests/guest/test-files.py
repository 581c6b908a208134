#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's changes to files, as the host sees them; and the host's files, as
the guest sees them. The tests run for a ./boot that root starts and for a
rootless one: only the ids differ.
"""

import os
import socket
import stat
import sys

import harness
from harness import GuestCase, Root, User, for_each, guest

NANO = 1_000_000_000


def _file(name, content=b'from the host\n', mode=0o644):
    """A preparation: one file."""
    def make(folder):
        (folder / name).write_bytes(content)
        os.chmod(folder / name, mode)
    return make


@for_each(Root, User)
class Files(GuestCase):

    @guest('''echo hi >a; chown 1234:4321 a; chmod 4751 a; ln -s a l
              ln a h; mkfifo p; setfattr -n user.k -v v a
              stat -c %u:%g:%a a''')
    def test_the_example(self):
        """Owner, set-id mode, links, fifo and xattr at once"""
        a = self.folder / 'a'
        self.assertEqual((self.said, self.status), ('1234:4321:4751\n', 0))
        self.assertEqual(a.read_bytes(), b'hi\n')
        self.assert_owner(a, 1234, 4321)
        self.assert_mode(a, 0o4751)
        self.assertEqual(os.readlink(self.folder / 'l'), 'a')
        self.assertTrue((self.folder / 'h').samefile(a))
        self.assertEqual(os.stat(a).st_nlink, 2)
        self.assertTrue(stat.S_ISFIFO(os.lstat(self.folder / 'p').st_mode))
        self.assertEqual(os.getxattr(a, 'user.k'), b'v')

    @guest('printf "a\\\\0b\\\\377\\\\r\\\\n" >f; wc -c <f')
    def test_content_bytes(self):
        """Every byte of a file's content is kept"""
        self.assertEqual((self.folder / 'f').read_bytes(), b'a\0b\xff\r\n')
        self.assertEqual(self.said, '6\n')

    @guest('cat f; cat f | sha256sum | cut -c1-8; wc -c <f',
           _file('f', b'line\n' * 3))
    def test_host_content(self):
        """The guest reads what the host wrote"""
        self.assertTrue(self.said.startswith('line\nline\nline\n'))
        self.assertTrue(self.said.endswith('15\n'))

    @guest('''umask 027; mkdir d; touch d/f; mkdir -m 1777 t
              stat -c %a d d/f t''')
    def test_modes(self):
        """Modes of new files and folders obey the guest's umask"""
        self.assertEqual(self.said, '750\n640\n1777\n')
        self.assert_mode(self.folder / 'd', 0o750)
        self.assert_mode(self.folder / 'd/f', 0o640)
        self.assert_mode(self.folder / 't', 0o1777)

    @guest('''for m in 0 1 10 100 777 4755 2755 1644 7777; do
                  touch m$m; chmod $m m$m; stat -c %a m$m
              done''')
    def test_chmod(self):
        """Every kind of mode bit can be set"""
        modes = '0 1 10 100 777 4755 2755 1644 7777'.split()
        self.assertEqual(self.said.split(), modes)
        for mode in modes:
            self.assert_mode(self.folder / f'm{mode}', int(mode, 8))

    @guest('''touch f; chown 1:2 f; touch g; chown 60000:60001 g
              chgrp 7 f; ln -s nowhere l; chown -h 5:6 l; mkdir d
              chown 8:9 d; stat -c %u:%g f g l d''')
    def test_owners(self):
        """Owners of files, folders and symbolic links"""
        self.assertEqual(self.said, '1:7\n60000:60001\n5:6\n8:9\n')
        for name, uid, gid in (('f', 1, 7), ('g', 60000, 60001),
                               ('l', 5, 6), ('d', 8, 9)):
            self.assert_owner(self.folder / name, uid, gid)

    @guest('touch f; chmod 6755 f; chown 3:3 f; stat -c %a f')
    def test_chown_clears_set_id(self):
        """A change of owner clears the set-id bits"""
        self.assertEqual(self.said, '755\n')
        self.assert_mode(self.folder / 'f', 0o755)

    @guest('''chmod 777 .; mkdir d; chown 0:77 d; chmod 2777 d
              for f in w t; do echo text >$f; chmod 6777 $f; done
              su -s /bin/sh nobody -c 'echo more >>w; : >t
                umask 0; touch d/f; chmod 2755 d/f'
              stat -c %a w t d/f; stat -c %g d/f; cat w''')
    def test_user_gets_no_set_id(self):
        """Writing takes set-id bits away; others make no set-gid file"""
        self.assertEqual(self.said, '777\n777\n755\n77\ntext\nmore\n')
        for name, mode in (('w', 0o777), ('t', 0o777), ('d/f', 0o755)):
            self.assert_mode(self.folder / name, mode)

    @guest('''work() {
                  for m in 4755 2755 6755 6644 2600; do
                      echo text >$m; chown 65534:65534 $m; chmod $m $m
                      for w in "echo more >>$m" ": >$m" \\
                              "echo more | dd of=$m conv=notrunc"; do
                          "$@" "$w" 2>/dev/null
                          echo "$m $w: $(stat -c %a $m)"; chmod $m $m
                      done
                  done
              }
              for who in root nobody; do
                  mkdir -m 777 /tmp/$who $who
                  (cd /tmp/$who; work su -s /bin/sh $who -c) >$who.disk
                  (cd $who; work su -s /bin/sh $who -c) >$who.share
                  diff $who.disk $who.share && wc -l <$who.share
              done
              cat root.share''')
    def test_set_id_as_a_disk(self):
        """Writes by root and by the owner leave set-id bits as on a disk"""
        lines = self.said.splitlines()
        self.assertEqual(lines[:2], ['15', '15'], self.said)
        for line in lines[2:]:
            self.assertEqual(line.split()[0], line.split()[-1])

    @guest('''mkdir d; chown 0:77 d; chmod 2775 d; touch d/f; mkdir d/s
              stat -c %g d/f d/s; stat -c %a d/s''')
    def test_set_gid_folder(self):
        """New files in a set-gid folder get its group"""
        self.assertEqual(self.said, '77\n77\n2755\n')
        self.assert_owner(self.folder / 'd/f', 0, 77)
        self.assert_owner(self.folder / 'd/s', 0, 77)

    @guest('''chmod 777 .; setpriv --help >/dev/null 2>&1
              mkdir d; chown 500:500 d
              su -s /bin/sh nobody -c 'touch mine; mkdir md; ln -s x ml
                  mkfifo mp; touch d/no' 2>&1
              stat -c %u:%g mine md ml mp''')
    def test_other_user_makes(self):
        """Another user of the guest owns the files that it makes"""
        self.assertIn('Permission denied', self.said)
        self.assertEqual(self.said.split()[-4:], ['65534:65534'] * 4)
        for name in ('mine', 'md', 'ml', 'mp'):
            self.assert_owner(self.folder / name, 65534, 65534)
        self.assertFalse((self.folder / 'd/no').exists())

    @guest('''echo secret >s; chmod 600 s; chown 500:500 s
              su -s /bin/sh nobody -c 'cat s'; cat s''')
    def test_permissions_in_guest(self):
        """Permissions keep out the guest's users, but not its root"""
        self.assertIn('Permission denied', self.said)
        self.assertEqual(self.said.splitlines()[-1], 'secret')
        self.assertEqual(self.said.count('secret'), 1)

    @guest('echo x >f; chmod 0 f; cat f; echo y >>f; cat f')
    def test_root_reads_mode_0(self):
        """The guest's root reads and writes a file without permissions"""
        self.assertEqual(self.said, 'x\nx\ny\n')
        self.assert_mode(self.folder / 'f', 0)

    @guest('''touch f; $TOOL times f 1000000000 0 2000000001 0
              touch g; $TOOL times g 1 0 4102444800 0
              ln -s f l; $TOOL times l 5 0 6 0
              $TOOL stamps f g l''')
    def test_times(self):
        """Times that the guest sets, of symbolic links too"""
        # Linux' client drops the nanoseconds before it sends the request.
        self.assertEqual(self.said,
                         '1000000000.000000000 2000000001.000000000\n'
                         '1.000000000 4102444800.000000000\n'
                         '5.000000000 6.000000000\n')
        for name, atime, mtime in (('f', 1000000000, 2000000001),
                                   ('g', 1, 4102444800), ('l', 5, 6)):
            st = os.lstat(self.folder / name)
            self.assertEqual((st.st_atime_ns, st.st_mtime_ns),
                             (atime * NANO, mtime * NANO))

    def _dated(folder):
        _file('f')(folder)
        os.utime(folder / 'f', ns=(3 * NANO + 4,
                                   1234567890 * NANO + 987654321))

    @guest('''$TOOL stamps f; chmod 600 f; ln f g; mv f h; $TOOL stamps g
              touch h; touch new''', _dated)
    def test_host_times(self):
        """The host's times, to the nanosecond; touch sets the present"""
        lines = self.said.splitlines()
        self.assertEqual(lines[:2],
                         ['3.000000004 1234567890.987654321'] * 2)
        now = os.stat(self.folder).st_ctime_ns
        for name in ('h', 'new'):
            st = os.stat(self.folder / name)
            self.assertLess(abs(now - st.st_mtime_ns), 3600 * NANO)

    @guest('''ln -s /etc/hostname abs; ln -s ../up rel; ln -s . dot
              ln -s "$(printf %0500d 1)" long; ln -s "sp ace" "l k"
              readlink abs; readlink rel; readlink dot; readlink "l k"
              readlink long | wc -c''')
    def test_symlinks(self):
        """Symbolic links keep their targets unchanged"""
        self.assertEqual(self.said, '/etc/hostname\n../up\n.\nsp ace\n501\n')
        for name, target in (('abs', '/etc/hostname'), ('rel', '../up'),
                             ('dot', '.'), ('l k', 'sp ace'),
                             ('long', '%0500d' % 1)):
            self.assertEqual(os.readlink(self.folder / name), target)

    @guest('''echo 1 >a; ln a b; mkdir d; ln a d/c; echo 2 >>b
              cat d/c; stat -c %h a; [ a -ef d/c ] && echo same; rm a
              stat -c %h b''')
    def test_hard_links(self):
        """Hard links are one file"""
        self.assertEqual(self.said, '1\n2\n3\nsame\n2\n')
        self.assertTrue((self.folder / 'b').samefile(self.folder / 'd/c'))
        self.assertFalse((self.folder / 'a').exists())

    @guest('mkfifo -m 620 p; stat -c "%F %a" p; chown 10:11 p')
    def test_fifo(self):
        """Fifos"""
        self.assertEqual(self.said, 'fifo 620\n')
        self.assertTrue(stat.S_ISFIFO(os.lstat(self.folder / 'p').st_mode))
        self.assert_mode(self.folder / 'p', 0o620)
        self.assert_owner(self.folder / 'p', 10, 11)

    @guest('mkfifo p; (echo through >p) & cat p')
    def test_fifo_works(self):
        """A fifo on the share connects two processes of the guest"""
        self.assertEqual(self.said, 'through\n')

    @guest('$TOOL socket s; stat -c %F s')
    def test_socket(self):
        """Socket nodes"""
        self.assertEqual(self.said, 'socket\n')
        self.assertTrue(stat.S_ISSOCK(os.lstat(self.folder / 's').st_mode))

    @guest('''mknod c c 1 3; mknod b b 7 9
              stat -c "%F %t:%T" c b''')
    def test_device_nodes(self):
        """Device nodes"""
        if 'not permitted' in self.said:
            self.skipTest('the helper may not make device nodes here')
        self.assertEqual(self.said, 'character special file 1:3\n'
                         'block special file 7:9\n')
        c = os.lstat(self.folder / 'c')
        b = os.lstat(self.folder / 'b')
        if not self.who.real_owners:
            # The helper in a user namespace keeps devices as files.
            self.assertEqual([(n.st_mode, n.st_size) for n in (b, c)],
                             [(stat.S_IFREG | stat.S_ISVTX, 0)] * 2)
            return
        self.assertTrue(stat.S_ISCHR(c.st_mode))
        self.assertEqual(c.st_rdev, os.makedev(1, 3))
        self.assertTrue(stat.S_ISBLK(b.st_mode))
        self.assertEqual(b.st_rdev, os.makedev(7, 9))

    def _special(folder):
        os.mkfifo(folder / 'p')
        with socket.socket(socket.AF_UNIX) as s:
            here = os.getcwd()
            os.chdir(folder)
            s.bind('s')
            os.chdir(here)

    @guest('stat -c %F p s; rm p s; ls -A', _special)
    def test_host_special(self):
        """The guest sees and removes the host's special files"""
        self.assertEqual(self.said, 'fifo\nsocket\n')
        self.assertEqual(os.listdir(self.folder), [])

    @guest('''touch f; setfattr -n user.a -v one f
              setfattr -n user.bin -v 0x00ff0a f
              setfattr -n user.gone -v x f; setfattr -x user.gone f
              setfattr -n user.a -v two f
              getfattr -d -m user -e hex --absolute-names f | grep -v ^# |
                  grep .''')
    def test_xattrs(self):
        """Extended attributes: set, replaced, removed, binary"""
        self.assertEqual(sorted(self.said.split()), [
            'user.a=0x74776f', 'user.bin=0x00ff0a'])
        f = self.folder / 'f'
        self.assertEqual(sorted(os.listxattr(f)), ['user.a', 'user.bin'])
        self.assertEqual(os.getxattr(f, 'user.a'), b'two')
        self.assertEqual(os.getxattr(f, 'user.bin'), b'\0\xff\n')

    def _with_xattr(folder):
        _file('f')(folder)
        os.setxattr(folder / 'f', 'user.host', b'h' * 3000)
        os.setxattr(folder, 'user.folder', b'1')

    @guest('''getfattr --only-values -n user.host f | wc -c
              getfattr --only-values -n user.folder .; echo
              getfattr -n user.none f''', _with_xattr)
    def test_host_xattrs(self):
        """The guest sees the host's extended attributes, of folders too"""
        self.assertEqual(self.said.splitlines()[:2], ['3000', '1'])
        self.assertIn('No such attribute', self.said)

    @guest('$TOOL unlinked f')
    def test_open_unlink(self):
        """An open file without a name: write, truncate, chmod, stat"""
        self.assertEqual(self.said, 'links 0 size 6 mode 644\n'
                         'content before after\n'
                         'links 0 size 3 mode 600\ncontent bef\n')
        self.assertEqual(os.listdir(self.folder), [])

    @guest('echo new >a; echo old >b; $TOOL rename-over a b')
    def test_rename_over_open(self):
        """A file stays itself when another one takes its name"""
        self.assertEqual(self.said, 'content old\n\n'
                         'content into the old one\ncontent new\n\n')
        self.assertEqual((self.folder / 'b').read_text(), 'new\n')
        self.assertFalse((self.folder / 'a').exists())

    @guest('mkdir d; printf text >a; $TOOL moved a d/b')
    def test_rename_open(self):
        """An open file that is moved stays in use"""
        self.assertEqual(self.said, 'links 1 size 9 mode 640\n'
                         'content text more\n')
        self.assertEqual((self.folder / 'd/b').read_text(), 'text more')
        self.assert_mode(self.folder / 'd/b', 0o640)

    @guest('''mkdir -p a/b c; touch a/b/f; mv a/b c/; ls c/b
              mv c/b/f x; mkdir full; touch full/f; mkdir e
              mv -T e full; rmdir full; rmdir c/b && echo gone''')
    def test_rename_folders(self):
        """Folders are moved and removed; a full one blocks a rename"""
        self.assertIn('f\n', self.said)
        self.assertIn('not empty', self.said)
        self.assertIn('gone\n', self.said)
        self.assertEqual(sorted(os.listdir(self.folder)),
                         ['a', 'c', 'e', 'full', 'x'])

    @guest('''cd /mnt/share/test_working_folder_renamed; mkdir d; cd d
              touch f; mv ../d ../e; touch g; ls; stat -c %a .''')
    def test_working_folder_renamed(self):
        """A process' working folder is renamed"""
        self.assertEqual(self.said.split()[:2], ['f', 'g'])
        self.assertEqual(sorted(os.listdir(self.folder / 'e')), ['f', 'g'])

    @guest('''printf 0123456789 >f; truncate -s 4 f; cat f; echo
              truncate -s 1000000 f; stat -c %s f; truncate -s 0 f
              stat -c %s f; truncate -s 5G big; stat -c %s big''')
    def test_truncate(self):
        """Files are cut and extended, beyond 4 GiB too"""
        self.assertEqual(self.said, '0123\n1000000\n0\n5368709120\n')
        self.assertEqual(os.stat(self.folder / 'big').st_size, 5 << 30)
        self.assertLess(os.stat(self.folder / 'big').st_blocks, 100)

    @guest('''echo end | dd of=f bs=1 seek=6442450944 2>/dev/null
              dd if=f bs=1 skip=6442450944 2>/dev/null; rm f''')
    def test_far_offset(self):
        """Data beyond 4 GiB is at its offset"""
        self.assertEqual(self.said, 'end\n')

    @guest('''echo 1 >f; $TOOL append f two; echo 3 >>f; cat f
              $TOOL exclusive f; $TOOL exclusive g''')
    def test_open_flags(self):
        """O_APPEND and O_EXCL"""
        self.assertEqual((self.folder / 'f').read_text(), '1\ntwo3\n')
        self.assertIn('open f: EEXIST', self.said)
        self.assertTrue((self.folder / 'g').exists())

    @guest('''dd if=/dev/urandom of=r bs=64k count=16 2>/dev/null
              dd if=r of=f bs=64k oflag=direct 2>/dev/null
              dd if=f bs=4k iflag=direct 2>/dev/null | cmp - r && echo equal
              dd if=/dev/zero of=f bs=512 seek=3 count=1 conv=notrunc \\
                  oflag=direct 2>/dev/null; stat -c %s f
              dd if=f bs=1000 iflag=direct 2>/dev/null | cmp - f''')
    def test_direct(self):
        """O_DIRECT, in whole blocks and in others"""
        data = bytearray((self.folder / 'r').read_bytes())
        self.assertEqual((self.said, self.status), ('equal\n1048576\n', 0))
        data[1536:2048] = bytes(512)
        self.assertEqual((self.folder / 'f').read_bytes(), data)

    @guest('$TOOL sync f')
    def test_sync(self):
        """O_SYNC, fsync and fdatasync"""
        self.assertEqual((self.said, self.status), ('content synced\n', 0))

    @guest('''n=$(printf %0255d 1); touch $n && ls | wc -c
              touch ${n}2; touch -- "sp ace" "-dash" "täg" "new
line" "$(printf '\\001\\377')"; ls | wc -l''')
    def test_names(self):
        """Long names, and odd ones"""
        self.assertIn('256\n', self.said)
        self.assertIn('File name too long', self.said)
        self.assertEqual(
            set(os.listdir(os.fsencode(self.folder))),
            {b'%0255d' % 1, b'sp ace', b'-dash', 'täg'.encode(),
             b'new\nline', b'\1\xff'})

    @guest('''for i in 1 2 3 4 5 6 7 8; do d=$d/deep-folder-$i; done
              mkdir -p .$d$d$d; echo x >.$d$d$d/f; cat .$d$d$d/f
              cd .$d$d$d; pwd | wc -c; ls ../..''')
    def test_deep(self):
        """Folders in folders, 24 deep"""
        self.assertEqual(self.said.splitlines()[0], 'x')
        self.assertEqual(self.said.splitlines()[-1], 'deep-folder-7')

    @guest('cat nothing; rmdir nothing; mkdir d; mkdir d; rm d; cat d')
    def test_errors(self):
        """Errors are those that a local file system gives"""
        for text in ('No such file', 'File exists', 'Is a directory'):
            self.assertIn(text, self.said)

    @guest('''i=0; while [ $i -lt 40 ]; do (
                  j=0; while [ $j -lt 25 ]; do
                      echo $i-$j >f$i-$j; mv f$i-$j g$i-$j; j=$((j+1))
                  done; echo x$i >same ) & i=$((i+1)); done
              wait; ls | wc -l''')
    def test_many_at_once(self):
        """Forty processes work in one folder at once"""
        self.assertEqual(self.said, '1001\n')
        for i in range(40):
            for j in range(25):
                self.assertEqual(
                    (self.folder / f'g{i}-{j}').read_text(), f'{i}-{j}\n')

    @guest('''echo data >f; $TOOL open-nothing f 0; chmod 644 f
              $TOOL open-nothing f 1000; chmod 622 f; $TOOL open-nothing f 1000
              chmod 666 f; $TOOL open-nothing f 1000
              mkdir d; $TOOL open-nothing d 0; $TOOL open-nothing new 0''')
    def test_open_nothing(self):
        """Access mode 3 needs both permissions, and allows nothing"""
        nothing = ['read EBADF', 'write EBADF', 'ftruncate EINVAL']
        self.assertEqual(self.said.splitlines(), [
            *nothing, 'fchmod works', 'links 1 size 5 mode 640',
            'open f: EACCES', 'open f: EACCES',
            *nothing, 'fchmod EPERM', 'links 1 size 5 mode 666',
            'open d: EISDIR',
            *nothing, 'fchmod works', 'links 1 size 0 mode 640'])
        self.assertEqual((self.folder / 'f').read_text(), 'data\n')

    @guest('df . | tail -n 1 | wc -w; stat -f -c %l .')
    def test_statfs(self):
        """The size of the file system, and its longest name"""
        self.assertEqual(self.said, '6\n255\n')

    @guest('cp $TOOL x; chmod 755 x; ./x; echo $?; chmod 644 x; ./x')
    def test_execute(self):
        """A program on the share runs, if its mode allows it"""
        self.assertIn('guest-tool: unknown command', self.said)
        self.assertIn('\n2\n', self.said)
        self.assertIn('Permission denied', self.said)


if __name__ == '__main__':
    sys.exit(harness.main())
