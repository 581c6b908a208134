#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""The local driver with each security model: a guest's changes to files, as it
sees them after a new mount of the share, and as they are on the host.

One guest has a share for each model, and each test's script runs in all of
them. The test's method is called once per model, with the script's output and
the host's folder.
"""

import functools
import os
import re
import stat
import struct
import sys

import harness
from harness import GuestCase, Owner, Root, for_each, guest, local

MODELS = ('passthrough', 'none', 'mapped-xattr', 'mapped-file')
MAPPED = ('mapped-xattr', 'mapped-file')
METADATA = '.virtfs_metadata'

# In the guest: at MODEL [OPTIONS] mounts a share again and goes to the test's
# folder in it
LIBRARY = '''
at() {
    cd /
    umount "/models/$1" 2>/dev/null
    mkdir -p "/models/$1"
    mount -t 9p -o "trans=virtio,version=9p2000.L,msize=512000,${2:-rw}" \\
        "$1" "/models/$1" && cd "/models/$1/$NAME"
}
again() { at "$MODEL" "$1"; }
'''


def each(script, prepare=None, only=MODELS):
    """The script of a test for the guest's shell, in the share of each model.
    prepare(folder) makes files on the host before; only: some of the models.
    $MODEL is the model, and again [OPTIONS] mounts the share again."""
    def mark(method):
        name = method.__name__
        body = '\n'.join(line.strip() for line in script.splitlines())

        @functools.wraps(method)
        def run(self):
            found = dict(re.findall(r'^== ([\w-]+)\n(.*?)(?=^== |\Z)',
                                    self.said, re.S | re.M))
            wanted = [m for m in only if m in self.shares]
            if not wanted:
                self.skipTest('not for these security models')
            for model in wanted:
                with self.subTest(model):
                    self.assertIn(model, found, self.said)
                    method(self, model, found[model],
                           self.shares[model] / name)

        run.prepare = prepare
        return guest(f'''{LIBRARY}
NAME={name}
for MODEL in {' '.join(only)}; do
    [ -e "../{name}.$MODEL" ] || continue
    echo "== $MODEL"
    (at "$MODEL" && {{
    {body}
    }})
done''')(run)
    return mark


class Models(GuestCase):
    """A guest with a share of each model in models. Its QEMU runs as the user
    who."""

    options = local('mapped-xattr')
    models = MODELS
    bus = 'pci'                 # of the devices

    @classmethod
    def setUpClass(cls):
        who = cls.who()
        cls.shares, cls.qemu, cls.real = {}, [], who.real_owners
        for model in cls.models if not who.lacks() else ():
            share = cls.shares[model] = harness.new_share(who)
            for name, method in cls.methods():
                folder = share / name
                folder.mkdir()
                who.give(folder)
                if method.prepare:
                    method.prepare(folder)
                    for path in folder.rglob('*'):
                        who.give(path)
            cls.qemu += [
                '-fsdev', f'local,id={model},path={share},'
                f'security_model={model},throttling.iops-total=100000',
                '-device',
                f'virtio-9p-{cls.bus},fsdev={model},mount_tag={model}']
        super().setUpClass()

    @classmethod
    def methods(cls):
        """Each leaves marks for the models that the guest has."""
        found = super().methods()
        for _, method in found:
            method.host = functools.partial(cls._mark, method.__name__)
        return found

    @classmethod
    def _mark(cls, name, folder):
        for model in cls.shares:
            (folder.parent / f'{name}.{model}').touch()

    # The host's view

    def mapped(self, model, path):
        """The view of a file that a mapped model stores: {'uid': ..., ...}."""
        names = ('uid', 'gid', 'mode', 'rdev')
        found = {}
        if model == 'mapped-file':
            kept = path.parent / METADATA / path.name
            if kept.exists():
                for line in kept.read_text().splitlines():
                    key, _, value = line.partition('=')
                    found[key.removeprefix('virtfs.')] = int(value)
            return found
        for name in names:
            try:
                value = os.getxattr(path, f'user.virtfs.{name}',
                                    follow_symlinks=False)
            except OSError:
                continue
            found[name] = struct.unpack('<Q' if name == 'rdev' else '<I',
                                        value)[0]
        return found

    def assert_kept(self, model, path, uid, gid, mode, rdev=None):
        """The file must belong to QEMU's user, with this view of the guest."""
        st = os.lstat(path)
        self.assertEqual(st.st_uid, self.host.host_uid(0))
        folder = stat.S_ISDIR(mode)
        self.assertEqual(oct(st.st_mode),
                         oct(stat.S_IFDIR | 0o700 if folder
                             else stat.S_IFREG | 0o600))
        kept = self.mapped(model, path)
        self.assertEqual((kept['uid'], kept['gid'], oct(kept['mode'])),
                         (uid, gid, oct(mode)))
        self.assertEqual(kept.get('rdev'), rdev)

    def assert_host(self, path, uid, gid, mode):
        """The host's owner and mode must be the guest's, as far as QEMU can."""
        st = os.lstat(path)
        owner = (uid, gid) if self.real else (self.host.host_uid(uid),
                                              self.host.host_gid(gid))
        self.assertEqual((st.st_uid, st.st_gid, oct(st.st_mode)),
                         (*owner, oct(mode)))

    def owner(self, model, uid, gid):
        """The owner that the guest sees after a chown to uid:gid."""
        if model == 'none' and not self.real:
            uid, gid = self.host.host_uid(0), self.host.host_gid(0)
        return f'{uid}:{gid}'


def _host_files(folder):
    (folder / 'f').write_text('from the host\n')
    os.chmod(folder / 'f', 0o640)
    (folder / 'd').mkdir()
    os.chmod(folder / 'd', 0o750)
    os.symlink('f', folder / 'l')
    if os.geteuid() == 0:
        os.chown(folder / 'f', 77, 88)


def _closed_files(folder):
    """Files that QEMU's user owns without having permissions"""
    modes = {'f0': 0, 'f4': 0o400, 'f2': 0o200, 'd5': 0o500, 'd0': 0}
    for name in modes:
        if name[0] == 'f':
            (folder / name).write_text('old\n')
            continue
        (folder / name).mkdir()
        (folder / name / 'f').write_text('old\n')
        (folder / name / 'gone').touch()
        (folder / name / 's').mkdir()
    for name, mode in modes.items():
        os.chmod(folder / name, mode)


@for_each(Root, Owner)
class Local(Models):

    @classmethod
    def setUpClass(cls):
        if cls.who is Owner:
            cls.models = tuple(m for m in MODELS if m != 'passthrough')
        super().setUpClass()

    @each('''echo hi >a; chown 1234:4321 a; chmod 4751 a
             ln -s to/where l; chown -h 5:6 l
             mkdir d; chown 7:8 d; chmod 1777 d
             mkfifo p; chown 9:10 p; chmod 640 p
             $TOOL socket s; chmod 700 s
             setfattr -n user.k -v v a
             again
             stat -c '%n %F %u:%g %a' a l d p s
             readlink l; cat a; getfattr --only-values -n user.k a
             echo''')
    def test_files(self, model, said, folder):
        """Every kind of file, its owner, mode and content"""
        def who(uid, gid):
            return self.owner(model, uid, gid)
        self.assertEqual(said.splitlines(), [
            f'a regular file {who(1234, 4321)} 4751',
            f'l symbolic link {who(5, 6)} 777',
            f'd directory {who(7, 8)} 1777',
            f'p fifo {who(9, 10)} 640',
            f's socket {who(0, 0)} 700',
            'to/where', 'hi', 'v'])
        files = (('a', 1234, 4321, stat.S_IFREG | 0o4751),
                 ('l', 5, 6, stat.S_IFLNK | 0o777),
                 ('d', 7, 8, stat.S_IFDIR | 0o1777),
                 ('p', 9, 10, stat.S_IFIFO | 0o640),
                 ('s', 0, 0, stat.S_IFSOCK | 0o700))
        for name, uid, gid, mode in files:
            if model in MAPPED:
                self.assert_kept(model, folder / name, uid, gid, mode)
            else:
                self.assert_host(folder / name, uid, gid, mode)
        if model in MAPPED:
            self.assertEqual((folder / 'l').read_text(), 'to/where')
        else:
            self.assertEqual(os.readlink(folder / 'l'), 'to/where')

    @each('''mknod -m 660 c c 1 3; mknod -m 606 b b 300 70000; chown 3:4 b
             again
             stat -c '%n %F %u:%g %a %t:%T' c b
             [ -c c ] && echo x >c && cat c''')
    def test_devices(self, model, said, folder):
        """Device nodes of the guest"""
        if model == 'none' and not self.real:
            self.assertIn('Operation not permitted', said)
            self.assertEqual(os.listdir(folder), [])
            return
        self.assertEqual(said.splitlines(), [
            'c character special file 0:0 660 1:3',
            'b block special file 3:4 606 12c:11170'])
        if model in MAPPED:
            self.assert_kept(model, folder / 'c', 0, 0,
                             stat.S_IFCHR | 0o660, os.makedev(1, 3))
            self.assert_kept(model, folder / 'b', 3, 4,
                             stat.S_IFBLK | 0o606, os.makedev(300, 70000))
        else:
            self.assertEqual(os.lstat(folder / 'b').st_rdev,
                             os.makedev(300, 70000))

    @each('''echo 1 >a; chown 11:12 a; chmod 640 a; ln a b; mv a c
             mkdir d; chown 13:14 d; mv c d/c; mv d e
             again
             stat -c '%n %u:%g %a %h' b e/c; stat -c '%n %u:%g %a' e
             chown 15:16 b; chmod 604 e/c; again
             stat -c '%n %u:%g %a' b e/c
             rm b; stat -c '%n %u:%g %a %h' e/c''')
    def test_names(self, model, said, folder):
        """Renames and hard links keep owners and modes"""
        def who(uid, gid):
            return self.owner(model, uid, gid)
        self.assertEqual(said.splitlines(), [
            f'b {who(11, 12)} 640 2', f'e/c {who(11, 12)} 640 2',
            f'e {who(13, 14)} 755',
            f'b {who(15, 16)} 604', f'e/c {who(15, 16)} 604',
            f'e/c {who(15, 16)} 604 1'])
        self.assertEqual((folder / 'e/c').read_text(), '1\n')
        if model == 'mapped-file':
            self.assertEqual(os.listdir(folder / METADATA), ['e'])

    @each('''touch a b; chown 1:1 a; chown 2:2 b; chmod 600 b; mv a b
             touch c; chown 5:5 c; chmod 700 c; rm c; touch c
             mkdir d; chown 6:6 d; rmdir d; mkdir d
             ln -s x l; chown -h 7:7 l; rm l; mkfifo l
             mkdir e f; chown 8:8 e; chown 9:9 f; mv -T e f
             again; stat -c '%n %F %u:%g %a' b c d l f''')
    def test_replaced(self, model, said, _folder):
        """A new file keeps nothing of an earlier file of its name"""
        def who(uid, gid):
            return self.owner(model, uid, gid)
        self.assertEqual(said.splitlines(), [
            f'b regular empty file {who(1, 1)} 644',
            f'c regular empty file {who(0, 0)} 644',
            f'd directory {who(0, 0)} 755',
            f'l fifo {who(0, 0)} 644',
            f'f directory {who(8, 8)} 755'])

    @each('''mkdir -p x/y/z; echo 1 >x/y/f; touch x/g; chown 3:3 x/y/f x/y
             ln -s q x/l; mkfifo x/p; ln x/g x/h; mv x/g x/y/g
             rm -r x; ls -A; again; ls -A''')
    def test_remove(self, _model, said, folder):
        """A folder is removed with everything below it"""
        self.assertEqual(said, '')
        left = [p.name for p in folder.rglob('*')]
        self.assertIn(left, ([], [METADATA]))

    @each('''chmod 777 .
             su -s /bin/sh nobody -c 'touch mine; mkdir md; ln -s x ml
                 mkfifo mp; chown 5 mine'
             again; stat -c '%n %u:%g' mine md ml mp
             chmod 600 mine; chown 5 mine; su -s /bin/sh nobody -c 'cat mine'
             rm -r mine md ml mp; ls''')
    def test_other_user(self, model, said, _folder):
        """Another user of the guest owns the files that it makes"""
        who = self.owner(model, 65534, 65534)
        self.assertEqual(said.splitlines(), [
            'chown: mine: Operation not permitted',
            f'mine {who}', f'md {who}', f'ml {who}', f'mp {who}',
            "cat: can't open 'mine': Permission denied"])

    @each('''stat -c '%n %F %u:%g %a' f d l; cat f l
             chown 1:2 f; chmod 604 d; again
             stat -c '%n %u:%g %a' f d; echo more >>f; cat f''', _host_files)
    def test_host_files(self, model, said, folder):
        """Files of the host look as on the host, until they change"""
        root = f'{self.host.host_uid(0)}:{self.host.host_gid(0)}'
        host = '77:88' if self.real else root
        self.assertEqual(said.splitlines(), [
            f'f regular file {host} 640', f'd directory {root} 750',
            f'l symbolic link {root} 777',
            'from the host', 'from the host',
            f'f {self.given(model, host)} 640', f'd {root} 604',
            'from the host', 'more'])
        st = os.stat(folder / 'f')
        if model in MAPPED or not self.real:
            self.assertEqual(f'{st.st_uid}:{st.st_gid}', host)

    def given(self, model, before):
        """The owner of a file of before after a chown to 1:2."""
        return before if model == 'none' and not self.real else '1:2'

    @each('''umask 022; mkdir d; chown 0:77 d; chmod 2775 d
             touch d/f; mkdir d/s; again; stat -c '%n %g %a' d/f d/s
             touch g; chmod 6755 g; chown 3:3 g; stat -c %a g''',
          only=('passthrough', 'mapped-xattr', 'mapped-file'))
    def test_set_id(self, _model, said, _folder):
        """Set-group-ID folders; a new owner clears set-id bits"""
        self.assertEqual(said.splitlines(),
                         ['d/f 77 644', 'd/s 77 2755', '755'])

    @each('''ls -A; cat .virtfs_metadata/f; ls .virtfs_metadata
             mkdir .virtfs_metadata; touch .virtfs_metadata; mkdir d
             mv d .virtfs_metadata; ln -s x .virtfs_metadata
             touch f; chown 3:4 f; ls -A; ls -A d; rmdir d && echo gone
             cd ..; ls -A | grep virtfs; cat .virtfs_metadata_root''',
          only=('mapped-file',))
    def test_hidden_names(self, _model, said, folder):
        """The guest neither sees nor makes mapped-file's own names"""
        self.assertNotIn('virtfs.uid', said)
        self.assertEqual([line for line in said.splitlines()
                          if ':' not in line], ['d', 'f', 'gone'])
        self.assertEqual((folder / METADATA / 'f').read_text().split()[:2],
                         ['virtfs.uid=3', 'virtfs.gid=4'])
        self.assertEqual(oct((folder / METADATA).stat().st_mode & 0o7777),
                         '0o700')

    @each('''touch f; chown 3:4 f; setfattr -n user.a -v b f
             getfattr -d -m - f; getfattr -n user.virtfs.uid f
             setfattr -n user.virtfs.uid -v 0000 f
             setfattr -x user.virtfs.uid f; again; stat -c %u:%g f''',
          only=('mapped-xattr',))
    def test_hidden_attributes(self, _model, said, _folder):
        """The guest neither sees nor changes mapped-xattr's attributes"""
        lines = said.splitlines()
        self.assertEqual(lines[:3], ['# file: f', 'user.a="b"', ''])
        self.assertEqual(lines[-1], '3:4')
        self.assertEqual(len(lines), 7, said)

    @each('''again posixacl
             touch a; chmod 640 a; setfacl -m u:500:rw,g:501:r a
             mkdir d; setfacl -d -m u:600:rwx d; touch d/f; mkdir d/s
             again posixacl
             getfacl -cE a; getfacl -cE d/f; getfacl -cdE d/s
             stat -c %a a; getfattr -m - a
             chmod 777 .; chown 1:1 a
             su -s /bin/sh nobody -c 'cat a' 2>&1
             setfacl -m u:65534:r a
             su -s /bin/sh nobody -c 'cat a && echo may'
             setfacl -b a; again posixacl; getfacl -cE a''',
          only=('passthrough', 'mapped-xattr'))
    def test_acl(self, model, said, folder):
        """POSIX ACLs, also inherited ones"""
        self.assertEqual(said.splitlines(), [
            'user::rw-', 'user:500:rw-', 'group::r--', 'group:501:r--',
            'mask::rw-', 'other::---', '',
            'user::rw-', 'user:600:rwx', 'group::r-x', 'mask::rw-',
            'other::r--', '',
            'user::rwx', 'user:600:rwx', 'group::r-x', 'mask::rwx',
            'other::r-x', '',
            '660', '# file: a', 'system.posix_acl_access', '',
            "cat: can't open 'a': Permission denied", 'may',
            'user::rw-', 'group::r--', 'other::---', ''])
        name = 'system.posix_acl_default'
        if model == 'mapped-xattr':
            self.assertIn('user.virtfs.' + name, os.listxattr(folder / 'd'))
            self.assertNotIn(name, os.listxattr(folder / 'd'))
        else:
            self.assertIn(name, os.listxattr(folder / 'd'))

    @each('''cat f0 f4 f2; echo new >f0; echo new >>f4; echo new >f2
             cat f0 f4 f2; ls d5 d0; cat d0/f
             for d in d5 d0; do
                 echo new >$d/f; touch $d/new; mkdir $d/sub; ln -s x $d/l
                 rm $d/gone; rmdir $d/s; mv $d/new $d/moved; ls $d
             done
             again; ls d0; stat -c '%n %a' f0 f4 f2 d5 d0
             chmod 400 f0; truncate -s 0 f0; setfattr -n user.a -v b f4
             getfattr --only-values -n user.a f4; rm -r d5 d0; ls''',
          _closed_files)
    def test_no_permission(self, model, said, _folder):
        """The guest's root has full access to files of QEMU's user"""
        for line in said.splitlines():
            self.assertNotIn(': ', line)
        listed = ['f', 'l', 'moved', 'sub']
        self.assertEqual(said.split(), [
            'old', 'old', 'old', 'new', 'old', 'new', 'new',
            'd0:', 'f', 'gone', 's', 'd5:', 'f', 'gone', 's', 'old',
            *listed, *listed, *listed,
            'f0', '0', 'f4', '400', 'f2', '200', 'd5', '500', 'd0', '0',
            'bf0', 'f2', 'f4'])


@for_each(Owner)
class Passthrough(Models):
    """passthrough when QEMU is not root"""

    models = ('passthrough',)

    @each('''echo hi >new; mkdir new; ln -s f new; mkfifo new; ls
             cat f; echo more >>f; chmod 604 f; chown 1:2 f; chown 0 d
             mv f g; ln g h; again; stat -c '%n %F %a %h' g h
             cat g; rm g h; rmdir d; ls''', _host_files,
          only=('passthrough',))
    def test_own_files(self, _model, said, folder):
        """Files of the user can change, but not their owner"""
        no = 'Operation not permitted'
        lines = said.splitlines()
        self.assertEqual(len([x for x in lines[:4] if x.endswith(no)]), 4)
        self.assertEqual(lines[4:], [
            'd', 'f', 'l', 'from the host',
            f'chown: f: {no}', f'chown: d: {no}',
            'g regular file 604 2', 'h regular file 604 2',
            'from the host', 'more', 'l'])
        self.assertEqual(os.listdir(folder), ['l'])


if __name__ == '__main__':
    sys.exit(harness.main())
