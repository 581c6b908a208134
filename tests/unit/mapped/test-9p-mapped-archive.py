#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""virtfs-mapped unpack and pack: what goes in comes out again, for each model.
Python's tarfile makes the archives and reads them."""

import gzip
import io
import os
import shutil
import struct
import subprocess
import tarfile
import unittest

import mapped_tool
from mapped_tool import MODELS, ROOT

ACL = ('user::rwx,user:1000:r-x,group::r-x,group:77:-wx,mask::rwx,other::---')


def item(name, kind=tarfile.REGTYPE, data=None, **more):
    """A member of an archive"""
    info = tarfile.TarInfo(os.fsdecode(name))
    info.type = kind
    info.mtime = 1234567890
    info.mode = 0o644
    info.uid, info.gid = 1001, 1002
    info.size = len(data) if data else 0
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def archive(*items, **more):
    """The bytes of an archive"""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w', format=tarfile.PAX_FORMAT,
                      encoding='utf-8', errors='surrogateescape', **more) as t:
        for info, data in items:
            t.addfile(info, io.BytesIO(data) if data else None)
    return out.getvalue()


def members(data):
    """What is in an archive, by name: (attributes, content)"""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data), encoding='utf-8',
                      errors='surrogateescape') as t:
        for info in t:
            name = os.fsencode(info.name)
            name = name.removeprefix(b'./').rstrip(b'/') or b'.'
            content = t.extractfile(info).read() if info.isreg() else None
            link = info.linkname.removeprefix('./')
            extra = {k: v for k, v in info.pax_headers.items()
                     if k.startswith(('SCHILY.xattr.', 'SCHILY.acl.'))}
            found[name] = (info.type, info.mode & 0o7777, info.uid, info.gid,
                           info.mtime, link if info.issym() or info.islnk()
                           else '', (info.devmajor, info.devminor)
                           if info.isdev() else None, extra, content)
    return found


EVERYTHING = [
    item('.', tarfile.DIRTYPE, mode=0o751),
    item('dir', tarfile.DIRTYPE, mode=0o1777, mtime=1000000000),
    item('dir/closed', tarfile.DIRTYPE, mode=0),
    item('dir/closed/secret', data=b'secret', mode=0),
    item('dir/first', data=b'twice', mode=0o4755, uid=0, gid=4294967294),
    item('dir/second', tarfile.LNKTYPE, linkname='dir/first', mode=0o4755,
         uid=0, gid=4294967294),
    item('link', tarfile.SYMTYPE, linkname='../../out/../of', mode=0o777),
    item('fifo', tarfile.FIFOTYPE, mode=0o600),
    item('chr', tarfile.CHRTYPE, devmajor=4095, devminor=1048575),
    item('blk', tarfile.BLKTYPE, devmajor=8, devminor=1),
    item('empty'),
    item(b'\xff\xfe name', data=b'x'),
    item(b'new\nline', data=b'x'),
    item('é'.encode(), data=b'composed'),
    item('e\u0301'.encode(), data=b'two code points'),
    item('names', tarfile.SYMTYPE, linkname='e\u0301/é', mode=0o777),
    item('h\u0301', data=b'x'),
    item('h\u0301\u0301', tarfile.LNKTYPE, linkname='h\u0301'),
    item('long/' * 60 + 'name' * 60, data=b'deep'),
    item('big', data=bytes(range(256)) * 5000),
    item('time', data=b'x', mtime=1, pax_headers={'mtime': '1.123456789'}),
    item('old', data=b'x', mtime=-5),
]
# Directories that the archive does not have itself
IMPLIED = {b'/'.join([b'long'] * n) for n in range(1, 61)}


class RoundTrip(mapped_tool.Case):
    """In and out"""

    def both_ways(self, model, data):
        """Unpacks into a new share, and packs it again."""
        share = self.new(model)
        self.quiet('unpack', '--model', model, share, data=data)
        out = self.quiet('pack', '--model', model, share)
        self.quiet('check', '--model', model, share)
        return share, out

    def compare(self, out, data, implied=frozenset()):
        """Two archives, but for the order"""
        found, wanted = members(out), members(data)
        for name in implied:
            del found[name]
        self.assertEqual(list(found), sorted(found))
        for name, (kind, *rest) in wanted.items():
            if kind == tarfile.LNKTYPE:
                # Which of both names comes first is the walk's choice.
                self.assertEqual(found[name][0], kind)
                continue
            self.assertEqual(found.get(name), (kind, *rest), name)
        self.assertEqual(set(found), set(wanted))

    def test_everything(self):
        """Each kind of file, and names of any bytes"""
        data = archive(*EVERYTHING)
        for model in MODELS:
            with self.subTest(model=model):
                share, out = self.both_ways(model, data)
                self.compare(out, data, IMPLIED)
                seen = self.see(share)
                self.assertEqual(seen[b'dir/second']['inode'],
                                 seen[b'dir/first']['inode'])
                self.assertEqual(seen[b'old']['mtime'], -5)
                self.assertEqual(seen[b'dir']['mtime'], 1000000000)

    def test_between(self):
        """From model to model by way of an archive"""
        data = archive(*EVERYTHING)
        for model in MODELS:
            _, data = self.both_ways(model, data)
        self.compare(data, archive(*EVERYTHING), IMPLIED)

    def test_attributes(self):
        """Extended attributes, from empty ones to large ones"""
        values = {'SCHILY.xattr.user.empty': '', 'SCHILY.xattr.user.a': 'b',
                  'SCHILY.xattr.user.large': 'x' * 2000}
        data = archive(item('f', data=b'x', pax_headers=values),
                       item('d', tarfile.DIRTYPE, pax_headers=values))
        for model in MODELS:
            with self.subTest(model=model):
                share, out = self.both_ways(model, data)
                self.assertEqual(os.getxattr(share / 'f', 'user.empty'), b'')
                self.compare(out, data, {b'.'})

    def test_largest_attribute(self):
        """One of 64 KiB, where the file system takes it"""
        share = self.new('large')
        path = share / 'f'
        self.put(path)
        try:
            os.setxattr(path, 'user.large', bytes(65536))
        except OSError:
            self.skipTest('the file system has no room for the attribute')
        self.views(path, uid=1, gid=1, mode=0o100644)
        out = self.quiet('pack', share)
        self.quiet('unpack', '--model', 'mapped-xattr', self.share, data=out)
        self.assertEqual(os.getxattr(self.share / 'f', 'user.large'),
                         bytes(65536))

    def test_acls(self):
        """ACLs, in mapped-xattr; mapped-file says that they are lost"""
        data = archive(
            item('d', tarfile.DIRTYPE, mode=0o770, pax_headers={
                'SCHILY.acl.access': ACL, 'SCHILY.acl.default': ACL}),
            item('d/f', data=b'x', mode=0o600),
            item('d/g', data=b'x', mode=0o770,
                 pax_headers={'SCHILY.acl.access': ACL}))
        share, out = self.both_ways('mapped-xattr', data)
        value = os.getxattr(share / 'd/g',
                            'user.virtfs.system.posix_acl_access')
        self.assertEqual(struct.unpack('<I' + 6 * 'HHI', value), (
            2, 1, 7, 0xffffffff, 2, 5, 1000, 4, 5, 0xffffffff, 8, 3, 77,
            16, 7, 0xffffffff, 32, 0, 0xffffffff))
        # The default ACL came after what is in the directory.
        self.assertNotIn('user.virtfs.system.posix_acl_access',
                         os.listxattr(share / 'd/f'))
        seen = self.see(share)
        self.assertEqual(seen[b'd/g']['mode'], '0770')
        self.assertEqual(seen[b'd/f']['mode'], '0600')
        self.assertIn('system.posix_acl_default', seen[b'd']['xattrs'])
        again = self.new('again')
        self.quiet('unpack', '--model', 'mapped', again, data=out)
        for name in ('d', 'd/g'):
            for kind in ('access', 'default')[:1 + (name == 'd')]:
                kind = f'user.virtfs.system.posix_acl_{kind}'
                self.assertEqual(os.getxattr(again / name, kind),
                                 os.getxattr(share / name, kind))
        _, err = self.run_it('unpack', '--model', 'mapped-file', self.share,
                             data=data, expect=1)
        self.assertEqual(err.count('lost: its attribute system.posix_acl'), 3)

    def test_named_acl(self):
        """An ACL of a user whose number is unknown"""
        data = archive(item('f', data=b'x', pax_headers={
            'SCHILY.acl.access': 'user::rw-,user:joe:r--,group::r--,'
                                 'mask::r--,other::---'}))
        _, err = self.run_it('unpack', '--model', 'mapped', self.share,
                             data=data, expect=1)
        self.assertIn('f: lost: an ACL that has names of users', err)

    def test_gnu_acls(self):
        """GNU tar's ACLs have numbers if they are attributes."""
        plain = self.new('plain')
        acl = bytes.fromhex(
            '02000000' '01000600ffffffff' '0200040001000000'
            '04000400ffffffff' '10000600ffffffff' '20000400ffffffff')
        self.put(plain / 'f', b'x')
        try:
            os.setxattr(plain / 'f', 'system.posix_acl_access', acl)
        except OSError:
            self.skipTest('no ACLs')
        for more in (), ('--acls',):
            data = subprocess.run(
                ['tar', '-C', plain, '--xattrs', '--xattrs-include=*', *more,
                 '--format=pax', '-c', 'f'], check=True,
                stdout=subprocess.PIPE, timeout=60).stdout
            self.quiet('unpack', '--model', 'mapped-xattr', self.share,
                       data=data)
            name = 'user.virtfs.system.posix_acl_access'
            self.assertEqual(os.getxattr(self.share / 'f', name), acl)

    def test_sparse(self):
        """Holes stay holes, at the start, in between and at the end"""
        layouts = {'none': (10, []), 'only': (50 << 20, []),
                   'start': (50 << 20, [(49 << 20, 1 << 20)]),
                   'end': (50 << 20, [(0, 4096)]),
                   'both': (50 << 20, [(20 << 20, 8192), (40 << 20, 4096)])}
        for name, (size, parts) in layouts.items():
            path = self.share / name
            self.put(path)
            with path.open('r+b') as f:
                f.truncate(size)
                for at, length in parts:
                    f.seek(at)
                    f.write(b'x' * length)
            self.views(path, uid=1, gid=1, mode=0o100644)
        out = self.quiet('pack', self.share)
        self.assertLess(len(out), 3 << 20)
        again = self.new('again')
        self.quiet('unpack', '--model', 'mapped-xattr', again, data=out)
        for name in layouts:
            old, new = self.share / name, again / name
            self.assertEqual(old.stat().st_size, new.stat().st_size)
            self.assertEqual(old.read_bytes(), new.read_bytes())
            self.assertLess(new.stat().st_blocks * 512, 2 << 20)
        # GNU tar reads it as well.
        other = self.folder / 'other'
        other.mkdir()
        subprocess.run(['tar', '-xf', '-', '-C', other, '--no-same-owner'],
                       input=out, check=True, timeout=60)
        for name in layouts:
            self.assertEqual((other / name).read_bytes(),
                             (again / name).read_bytes())

    def test_gnu_tar(self):
        """GNU tar's archives, compressed ones too"""
        tree = self.folder / 'tree'
        (tree / 'a/b').mkdir(parents=True)
        (tree / 'a/f').write_bytes(b'content')
        (tree / 'a/b/l').symlink_to('../f')
        done = subprocess.run(['tar', '-cf', '-', '-C', tree, '.'],
                              capture_output=True, check=True, timeout=60)
        for data in (done.stdout, gzip.compress(done.stdout)):
            share = self.new(f'share-{len(data)}')
            self.quiet('unpack', '--model', 'mapped-file', share, data=data)
            seen = self.see(share)
            self.assertEqual(seen[b'a/b/l']['target'], '../f')
            self.assertEqual(seen[b'a/f']['size'], 7)

    def test_many_holes(self):
        """A file that is nothing but holes, as large as a guest can make one,
        takes no time that goes with its size."""
        path = self.share / 'f'
        self.put(path)
        size = 1 << 46
        try:
            os.truncate(path, size + 1)
        except OSError:
            size = 1 << 43              # ext4
        os.truncate(path, size)
        for last in (b'', b'x'):
            with path.open('r+b') as f:
                f.seek(size)
                f.write(last)
            out = self.quiet('pack', '--model', 'mapped-xattr', self.share)
            self.assertLess(len(out), 1 << 20)
        again = self.new('again')
        self.quiet('unpack', '--model', 'mapped-xattr', again, data=out)
        with (again / 'f').open('rb') as f:
            self.assertEqual(f.seek(0, os.SEEK_END), size + 1)
            f.seek(-1, os.SEEK_END)
            self.assertEqual(f.read(), b'x')

    def test_attribute_names(self):
        """Names of attributes of any bytes"""
        values = {b'user.a=b': b'c', b'user.p%41%': b'', b'user.\xff': b'\0=\n',
                  b'user.nl\n': b'x', 'user.\u00fc'.encode(): b'x'}
        path = self.share / 'f'
        self.put(path)
        for name, value in values.items():
            os.setxattr(path, name, value)
        out = self.quiet('pack', '--model', 'mapped-xattr', self.share)
        for model in MODELS:
            new = self.new(model)
            self.quiet('unpack', '--model', model, new, data=out)
            found = {os.fsencode(n): os.getxattr(new / 'f', n)
                     for n in os.listxattr(new / 'f')
                     if not n.startswith('user.virtfs.')}
            self.assertEqual(found, values)

    def test_socket(self):
        """A socket, which archives cannot hold"""
        self.put(self.share / 's')
        self.views(self.share / 's', uid=1, gid=1, mode=0o140755)
        out, err = self.run_it('pack', self.share, expect=1)
        self.assertIn('s: a socket, which no archive can hold', err)
        self.assertEqual(list(members(out)), [b'.'])

    def test_part(self):
        """A directory of a share alone"""
        self.quiet('unpack', '--model', 'mapped-file', self.share,
                   data=archive(*EVERYTHING))
        out = self.quiet('pack', '--root', self.share, self.share / 'dir')
        self.assertIn(b'dir/closed/secret', members(out))
        self.assertEqual(members(out)[b'dir'][1], 0o1777)


class Bad(mapped_tool.Case):
    """Archives that want what must not be"""

    def unpack(self, *items, model='mapped-xattr', expect=1, **more):
        """Unpacks; the messages"""
        return self.run_it('unpack', '--model', model, self.share,
                           data=archive(*items, **more), expect=expect)[1]

    def test_outside(self):
        """Names that lead out of the share"""
        err = self.unpack(item('../out', data=b'x'), item('a/../../out'),
                          item('/in', data=b'x'),
                          item('up', tarfile.SYMTYPE, linkname='/'),
                          item('up/out', data=b'x'),
                          item('hard', tarfile.LNKTYPE, linkname='../out'))
        self.assertEqual(err.count('left out: a name in the archive'), 2)
        self.assertIn('up/out: cannot make it: Not a directory', err)
        self.assertIn('hard: cannot make it', err)
        self.assertEqual(sorted(os.listdir(self.folder)),
                         ['share', 'virtfs-mapped'])
        self.assertEqual(sorted(os.listdir(self.share)), ['in', 'up'])

    def test_ids(self):
        """Owners that are no ids"""
        err = self.unpack(item('a', uid=4294967295), item('b', gid=1 << 40),
                          item('c', uid=4294967294))
        self.assertEqual(err.count('left out: an owner or a group'), 2)
        self.assertEqual(os.listdir(self.share), ['c'])

    def test_host_link(self):
        """A link that a host user put there"""
        outside = self.new('outside')
        (self.share / 'out').symlink_to(outside)
        err = self.unpack(item('out/f', data=b'x'))
        self.assertIn('out/f: cannot make it: Not a directory', err)
        self.assertEqual(os.listdir(outside), [])

    def test_reserved(self):
        """The model's own names"""
        err = self.unpack(item(ROOT, data=b'x'), item('.virtfs_metadata/x'),
                          model='mapped-file')
        self.assertEqual(err.count('cannot make it: Permission denied'), 2)
        self.assertEqual(os.listdir(self.share), [])

    def test_view(self):
        """Attributes that are the model's, or the host's"""
        err = self.unpack(item('f', data=b'x', pax_headers={
            'SCHILY.xattr.user.virtfs.uid': 'abcd',
            'SCHILY.xattr.security.capability': 'x'}))
        self.assertEqual(err.count('which a guest cannot have'), 2)
        self.assertEqual(self.see(self.share)[b'f']['uid'], 1001)

    def test_replace(self):
        """Later members replace earlier ones; full directories stay"""
        for model in MODELS:
            shutil.rmtree(self.share)
            self.new('share')
            err = self.unpack(
                item('a', data=b'old'), item('a', tarfile.FIFOTYPE),
                item('d', tarfile.DIRTYPE), item('d/f', data=b'x'),
                item('d', tarfile.DIRTYPE, mode=0o700, uid=7),
                item('d', data=b'x'), item('e', tarfile.DIRTYPE),
                item('e', data=b'now a file'), model=model)
            self.assertIn('d: cannot make it: Directory not empty', err)
            seen = self.see(self.share)
            self.assertEqual(seen[b'a']['type'], 'fifo')
            self.assertEqual((seen[b'd']['mode'], seen[b'd']['uid']),
                             ('0700', 7))
            self.assertEqual(seen[b'e']['type'], 'file')
            self.assertEqual(seen[b'd/f']['size'], 1)

    def test_link_fails(self):
        """A link to itself, or to a directory: what is there stays."""
        for model in MODELS:
            shutil.rmtree(self.share)
            self.new('share')
            err = self.unpack(
                item('a', data=b'precious'),
                item('a', tarfile.LNKTYPE, linkname='./a'),
                item('b', data=b'precious'), item('d', tarfile.DIRTYPE),
                item('b', tarfile.LNKTYPE, linkname='d'), model=model)
            self.assertEqual(err.count('cannot make it'), 1)
            self.assertIn('b: cannot make it: Operation not permitted', err)
            for name in 'ab':
                self.assertEqual((self.share / name).read_bytes(), b'precious')
            self.quiet('check', '--model', model, self.share)

    def test_replaced_directory(self):
        """Its time is not that of the file in its place."""
        self.unpack(item('d', tarfile.DIRTYPE, mtime=5),
                    item('d', data=b'x', mtime=777), expect=0)
        self.assertEqual(self.see(self.share)[b'd']['mtime'], 777)

    def test_same_directory(self):
        """A directory that comes twice is as the last one has it."""
        self.unpack(item('d', tarfile.DIRTYPE, mtime=5, pax_headers={
                        'SCHILY.acl.default': ACL}),
                    item('d/f', data=b'x'),
                    item('d', tarfile.DIRTYPE, mtime=7), expect=0)
        seen = self.see(self.share)[b'd']
        self.assertEqual(seen['mtime'], 7)
        self.assertNotIn('xattrs', seen)

    def test_inside(self):
        """A directory of a share is no share: nothing is made above it."""
        inner = self.share / 'inner'
        self.by_user(inner.mkdir)
        self.meta(inner, 'virtfs.uid=3\n')
        self.put(self.share / 'f', b'precious')
        before = sorted(os.listdir(self.share))
        data = archive(item('f', data=b'x'))
        _, err = self.run_it('unpack', '--model', 'mapped-file', inner,
                             data=data, expect=1)
        self.assertIn('inner: no share, but a directory in one', err)
        self.assertEqual(os.listdir(inner), [])
        # What is metadata to another model is none to this one.
        self.quiet('unpack', '--model', 'mapped-xattr', inner, data=data)
        self.assertEqual(os.listdir(inner), ['f'])
        self.assertEqual(sorted(os.listdir(self.share)), before)
        self.assertEqual((self.share / 'f').read_bytes(), b'precious')

    def test_view_in_disguise(self):
        """A name that is the model's when it is decoded"""
        err = self.unpack(item('f', data=b'x', pax_headers={
            'SCHILY.xattr.user.%76irtfs.uid': 'abcd'}))
        self.assertIn('which a guest cannot have', err)
        self.assertEqual(self.see(self.share)[b'f']['uid'], 1001)

    def test_terminal(self):
        """An archive's text in a message does not control the terminal."""
        err = self.unpack(item('f', data=b'x', pax_headers={
            'SCHILY.xattr.security.\x1b]0;x\x07': 'x'}))
        self.assertIn('security.\\033]0;x\\007', err)
        self.assertNotIn('\x1b', err)

    def test_served_below(self):
        """A directory that another QEMU serves: nothing changes there."""
        below = self.share / 'a/below'
        self.by_user(lambda: below.mkdir(parents=True))
        before = below.stat()
        self.lock(below)
        err = self.unpack(item('a/below/f', data=b'x'), item('a/f'),
                          item('a/below', tarfile.DIRTYPE, mode=0o700),
                          item('a/below', data=b'x'))
        self.assertEqual(err.count('cannot make it: Device or resource'), 3)
        self.assertEqual(os.listdir(below), [])
        self.assertEqual(below.stat().st_ctime_ns, before.st_ctime_ns)
        self.assertTrue((self.share / 'a/f').exists())

    def test_cut(self):
        """Archives that end in the middle, or are none"""
        data = archive(item('a', data=b'x' * 5000), item('b', data=b'x'))
        for part in (data[:2000], data[:700], b'no archive' * 100):
            _, err = self.run_it('unpack', '--model', 'mapped', self.share,
                                 data=part, expect=1)
            self.assertIn('archive', err)
        self.quiet('unpack', '--model', 'mapped', self.share, data=b'')

    def test_full(self):
        """An archive that cannot be written"""
        self.put(self.share / 'a', bytes(1 << 20))
        with open('/dev/full', 'wb') as full:
            done = subprocess.run(
                [self.program, 'pack', '--model', 'mapped', self.share],
                stdout=full, stderr=subprocess.PIPE, timeout=60, check=False,
                **self.who())
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, b'cannot write the archive: .*'
                         b'No space left on device')

    def test_no_room(self):
        """A full disk ends it, with one message and the cause."""
        if not self.root:
            self.skipTest('only root can mount')
        self.as_root = True
        full = self.new('full')
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=256k,mode=777',
                        'full', full], check=True)
        self.addCleanup(subprocess.run, ['umount', full], check=True)
        data = archive(*(item(f'f{i}', data=b'x' * 9000) for i in range(200)))
        _, err = self.run_it('unpack', '--model', 'mapped-file', full,
                             data=data, expect=1)
        self.assertIn('No space left on device', err)
        self.assertIn('the rest of the archive is not there', err)
        self.assertLessEqual(err.count('\n'), 3, err)

    def test_lost_attributes(self):
        """What no guest sees of a host's files is not lost in silence."""
        if not self.root:
            self.skipTest('only root can set these')
        self.as_root = True
        self.put(self.share / 'f', b'x')
        caps = bytes.fromhex('0100000200040000000000000000000000000000')
        os.setxattr(self.share / 'f', 'security.capability', caps)
        os.setxattr(self.share / 'f', 'trusted.own', b'x')
        for model in 'passthrough', 'proxy':
            _, err = self.run_it('pack', '--model', model, self.share, expect=1)
            for name in 'security.capability', 'trusted.own':
                self.assertIn(f'f: not in the archive: its attribute {name}',
                              err)
        self.quiet('pack', '--model', 'mapped-xattr', self.share)

    def test_no_owner(self):
        """Files whose owner has no number for the guest are left out."""
        self.put(self.share / 'f', b'x')
        for words, said in (
                (('--model', 'proxy', '--uid-map', '0:4000000000:9'),
                 'left out: its owner or group on the host is not in the id'),
                (('--model', 'mapped-xattr'),
                 'left out: its owner or group is none that a file can have')):
            self.views(self.share / 'f', uid=0xffffffff)
            out, err = self.run_it('pack', *words, self.share, expect=1)
            self.assertIn(said, err)
            self.assertNotIn(b'4294967295', out)
            self.assertNotIn(b'./f', out)

    def test_large(self):
        """ACLs and names that are too large to keep"""
        acl = struct.pack('<I', 2) + b''.join(
            struct.pack('<HHI', tag, 7, number) for tag, number in (
                (1, -1 & 0xffffffff), *((2, i) for i in range(9000)),
                (4, 0xffffffff), (16, 0xffffffff), (32, 0xffffffff)))
        text = 'user::rwx,group::r-x,other::r-x,mask::rwx,' + ','.join(
            f'user:{i}:rwx' for i in range(9000))
        long = 'x/' * 40000 + 'name'
        err = self.unpack(
            item('d', tarfile.DIRTYPE, mode=0o755, pax_headers={
                'SCHILY.xattr.system.posix_acl_default':
                os.fsdecode(acl)}),
            item('f', data=b'x', pax_headers={'SCHILY.acl.access': text}),
            item(long, data=b'x'), item('last', data=b'x'))
        self.assertIn('f: lost: its attribute system.posix_acl_access: '
                      'Argument list too long', err)
        self.assertIn('d: lost: its attribute system.posix_acl_default: '
                      'Argument list too long', err)
        self.assertIn(f'left out: a name of {len(long)} bytes in the archive',
                      err)
        self.assertEqual(err.count('\n'), 3, err[:3000])
        self.assertTrue((self.share / 'last').exists())
        self.assertFalse((self.share / 'x').exists())

    def test_unread(self):
        """One message of a file that cannot be read, however large it is"""
        if not shutil.which('strace'):
            self.skipTest('no strace')
        for name in 'large', 'more':
            self.put(self.share / name, b'x' * (4 << 20))
        done = subprocess.run(
            ['strace', '-o', '/dev/null', '-P', self.share / 'large', '-e',
             'inject=pread64:error=EIO', self.program, 'pack', '--model',
             'mapped', self.share], capture_output=True, check=False,
            timeout=60, env={**os.environ, 'LC_ALL': 'C'}, **self.who())
        if b'strace' in done.stderr:
            self.skipTest(f'no strace here: {done.stderr}')
        self.assertEqual(done.stderr.count(
            b'large: cannot be read to its end; zeros are in its place: '
            b'Input/output error\n'), 1, done.stderr)
        self.assertEqual(done.returncode, 1)
        found = members(done.stdout)
        self.assertEqual(found[b'large'][-1], bytes(4 << 20))
        self.assertEqual(found[b'more'][-1], b'x' * (4 << 20))

    def test_implied(self):
        """A directory that the archive has no entry for, where this user cannot
        make one of root's"""
        uid, gid = self.owner if self.root else (os.geteuid(), os.getegid())
        if uid == 0:
            self.skipTest('root can')
        self.quiet('unpack', '--model', 'passthrough', self.share,
                   data=archive(item('a/b/f', data=b'x', uid=uid, gid=gid)))
        for name in 'a', 'a/b':
            st = os.stat(self.share / name)
            self.assertEqual((st.st_uid, st.st_gid), (uid, gid))
        proxy = self.new('proxy')
        self.quiet('unpack', '--model', 'proxy', '--uid-map', f'5:{uid}:1',
                   '--gid-map', f'6:{gid}:1', proxy,
                   data=archive(item('a/f', data=b'x', uid=5, gid=6)))
        self.assertEqual(os.stat(proxy / 'a').st_uid, uid)

    def test_despite_metadata(self):
        """A share of passthrough that has mapped shares in it"""
        uid, gid = self.owner if self.root else (os.geteuid(), os.getegid())
        inner = self.share / 'inner'
        self.by_user(inner.mkdir)
        self.views(inner, uid=1, gid=1, mode=0o40755)
        self.put(self.share / 'f', b'x')
        data = archive(item('new', data=b'x', uid=uid, gid=gid))
        model = '--model', 'passthrough'
        for words in (('unpack', *model, self.share),
                      ('set', *model, '--root', self.share, '--mode', '640',
                       self.share / 'f')):
            _, err = self.run_it(*words, data=data, expect=1)
            self.assertIn('its model is mapped-xattr, as its metadata tells: '
                          'it cannot change as one of the model passthrough '
                          '(--despite-metadata: all the same)', err)
            self.quiet(*words[:1], '--despite-metadata', *words[1:], data=data)
        self.assertEqual((self.share / 'new').read_bytes(), b'x')
        self.assertEqual(os.stat(self.share / 'f').st_mode, 0o100640)
        self.assertEqual(os.getxattr(inner, 'user.virtfs.uid'),
                         bytes((1, 0, 0, 0)))


if __name__ == '__main__':
    unittest.main()
