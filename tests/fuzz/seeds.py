# SPDX-License-Identifier: GPL-2.0-or-later
"""The fuzzers' seeds, in a form that people can read.

write() makes the files. A seed is an input as tests/fuzz/fuzz.h describes it: a
byte of setup, then records. Strings are written here as str or bytes, numbers
as u8(), u16(), u32() and u64().
"""

import struct


def u8(n):
    """One byte"""
    return struct.pack('<B', n)


def u16(n):
    """Two bytes"""
    return struct.pack('<H', n)


def u32(n):
    """Four bytes"""
    return struct.pack('<I', n)


def u64(n):
    """Eight bytes"""
    return struct.pack('<Q', n)


def s(text):
    """A string with its length before it"""
    data = text.encode() if isinstance(text, str) else text
    return u16(len(data)) + data


def record(kind, ident, flags, *body):
    """See FuzzInput in fuzz.h."""
    data = b''.join(body)
    return struct.pack('<BBBH', kind, ident, flags, len(data)) + data


#
# fuzz-server
#

# In the order of types[] in fuzz-server.c
TYPES = ['Tstatfs', 'Tlopen', 'Tlcreate', 'Tsymlink', 'Tmknod', 'Trename',
         'Treadlink', 'Tgetattr', 'Tsetattr', 'Txattrwalk', 'Txattrcreate',
         'Treaddir', 'Tfsync', 'Tlock', 'Tgetlock', 'Tlink', 'Tmkdir',
         'Trenameat', 'Tunlinkat', 'Tversion', 'Tauth', 'Tattach', 'Tflush',
         'Twalk', 'Topen', 'Tcreate', 'Tread', 'Twrite', 'Tclunk', 'Tremove',
         'Tstat', 'Twstat']

SYNTH, XATTR, FILE, PASSTHROUGH, NONE = range(5)
NO_START, DOTU, READONLY = 0x10, 0x20, 0x40
AS_IT_IS, ANY_FID, SMALL_ROOM, TOGETHER, SPLIT = 1, 2, 4, 8, 16

O_RDWR, O_CREAT, O_EXCL = 2, 0o100, 0o200


class Messages:
    """Messages of one session, each with the next tag."""

    def __init__(self, setup):
        self.data = u8(setup)
        self.tag = 0

    def __call__(self, name, *body, flags=0):
        self.tag += 1
        self.data += record(TYPES.index(name), self.tag, flags, *body)
        return self

    def walk(self, fid, newfid, *names):
        """Twalk"""
        return self('Twalk', u32(fid), u32(newfid), u16(len(names)),
                    *map(s, names))


def server_seeds():
    """Yields the name and bytes of each seed."""
    for model, word in ((SYNTH, 'synth'), (XATTR, 'xattr'), (FILE, 'file'),
                        (PASSTHROUGH, 'passthrough'), (NONE, 'none')):
        f, d, new = ('f', 'd', 'n') if model else ('LOPEN', 'WALK0', 'WRITE')

        m = Messages(model).walk(0, 1, f)
        m('Tgetattr', u32(1), u64(0x3fff))
        m('Tlopen', u32(1), u32(O_RDWR))
        m('Twrite', u32(1), u64(3), u32(5), b'words')
        m('Tread', u32(1), u64(0), u32(4096))
        m('Tfsync', u32(1), u32(0))
        m('Tlock', u32(1), u8(1), u32(0), u64(0), u64(10), u32(1), s('host'))
        m('Tgetlock', u32(1), u8(1), u64(0), u64(0), u32(2), s('host'))
        m('Tstatfs', u32(1))
        m('Tclunk', u32(1))
        yield f'{word}-file', m.data

        m = Messages(model).walk(0, 1)
        m('Tlcreate', u32(1), s(new), u32(O_RDWR | O_EXCL), u32(0o644), u32(0))
        m('Twrite', u32(1), u64(0), u32(4), b'data', flags=SPLIT)
        m('Tsetattr', u32(1), u32(0x1ff), u32(0o600), u32(1), u32(2), u64(2),
          u64(1), u64(2), u64(3), u64(4))
        m.walk(0, 2)
        m('Tlink', u32(2), u32(1), s('m'))
        m('Trename', u32(1), u32(2), s('q'))
        m('Trenameat', u32(2), s('q'), u32(2), s('r'))
        m('Tunlinkat', u32(2), s('r'), u32(0))
        m('Tremove', u32(1))
        yield f'{word}-names', m.data

        m = Messages(model)
        m('Tmkdir', u32(0), s('x'), u32(0o755), u32(0))
        m('Tsymlink', u32(0), s('y'), s('target'), u32(0))
        m('Tmknod', u32(0), s('z'), u32(0o010644), u32(0), u32(0), u32(0))
        m('Tmknod', u32(0), s('c'), u32(0o020644), u32(1), u32(3), u32(0))
        m.walk(0, 3, 'y')
        m('Treadlink', u32(3))
        m.walk(0, 2, d, 'g', '..')
        m.walk(0, 1)
        m('Tlopen', u32(1), u32(0))
        m('Treaddir', u32(1), u64(0), u32(4096))
        m('Treaddir', u32(1), u64(3), u32(100))
        m('Tunlinkat', u32(0), s('x'), u32(0x200))
        yield f'{word}-folder', m.data

        m = Messages(model).walk(0, 1, f).walk(1, 2)
        m('Txattrcreate', u32(2), s('user.a'), u64(3), u32(0))
        m('Twrite', u32(2), u64(0), u32(3), b'abc')
        m('Tclunk', u32(2))
        m('Txattrwalk', u32(1), u32(3), s('user.a'))
        m('Tread', u32(3), u64(0), u32(100))
        m('Txattrwalk', u32(1), u32(4), s(''))
        m('Tread', u32(4), u64(0), u32(100))
        m.walk(1, 5)
        m('Txattrcreate', u32(5), s('system.posix_acl_access'), u64(28),
          u32(0))
        m('Twrite', u32(5), u64(0), u32(28),
          u32(2), u16(1), u16(6), u32(0xffffffff), u16(4), u16(4),
          u32(0xffffffff), u16(32), u16(4), u32(0xffffffff))
        m('Tclunk', u32(5))
        yield f'{word}-xattr', m.data

        m = Messages(model | DOTU).walk(0, 1, f)
        m('Topen', u32(1), u8(2))
        m('Twrite', u32(1), u64(0), u32(2), b'hi')
        m('Tread', u32(1), u64(0), u32(4096))
        m('Tstat', u32(1))
        stat = (u16(0) + u32(0xffffffff) + b'\xff' * 13 + u32(0o600)
                + u32(0xffffffff) * 2 + u64(5) + s('k') + s('') * 3
                + s('') + u32(0xffffffff) * 3)
        m('Twstat', u32(1), u16(len(stat) + 2), u16(len(stat)), stat)
        m.walk(0, 2)
        m('Tcreate', u32(2), s('w'), u32(0x80000000 | 0o755), u8(0), s(''))
        m('Tread', u32(2), u64(0), u32(4096))
        m.walk(0, 3)
        m('Tcreate', u32(3), s('v'), u32(0x02000000), u8(0), s('f'))
        m.walk(0, 4)
        m('Topen', u32(4), u8(0))
        m('Tread', u32(4), u64(0), u32(512))
        m('Tremove', u32(1))
        yield f'{word}-dotu', m.data

    m = Messages(SYNTH).walk(0, 1, 'FLUSH')
    m('Tlopen', u32(1), u32(1))
    m('Twrite', u32(1), u64(0), u32(1), b'1', flags=TOGETHER)
    m('Tflush', u16(m.tag), flags=TOGETHER)
    m('Tflush', u16(m.tag - 1))
    m('Twrite', u32(1), u64(0), u32(1), b'1', flags=TOGETHER)
    m('Tversion', u32(8192), s('9P2000.L'))
    yield 'flush', m.data

    m = Messages(XATTR | NO_START)
    m('Tversion', u32(65536), s('9P2000.L'))
    m('Tauth', u32(7), s('u'), s(''), u32(0))
    m('Tattach', u32(0), u32(0xffffffff), s('u'), s(''), u32(1000))
    m('Tgetattr', u32(0), u64(0x7ff), flags=SMALL_ROOM)
    m('Tgetattr', u32(11), u32(24), u8(9), u16(3), u32(0), u64(1),
      flags=AS_IT_IS)
    yield 'start', m.data

    m = Messages(XATTR | READONLY).walk(0, 1, 'd', 'g')
    m('Tlopen', u32(1), u32(2))
    m('Tmkdir', u32(0), s('x'), u32(0o755), u32(0))
    yield 'readonly', m.data


#
# fuzz-helper
#

V1, NO_DONATE, HELPER_READONLY, HELPER_NO_START, THREADS = 1, 2, 4, 8, 16
RING = 32
ANY_HANDLE, DESCRIPTOR, POKE = 2, 4, 16

# From 2 on, as in fsdev/shared/proto.h and fsdev/shared/proto-v1.h
V2_TYPES = ['FORGET', 'WALK', 'GETATTR', 'SETATTR', 'READLINK', 'STATFS',
            'OPEN', 'CREATE', 'MAKE', 'LINK', 'RENAME', 'UNLINK', 'GETXATTR',
            'SETXATTR', 'REMOVEXATTR', 'ADOPT', 'RING', 'WRITE', 'FIND',
            'READDIR']
V1_TYPES = ['OPEN', 'CREATE', 'MKNOD', 'MKDIR', 'SYMLINK', 'LINK', 'LSTAT',
            'READLINK', 'STATFS', 'CHMOD', 'CHOWN', 'TRUNCATE', 'UTIME',
            'RENAME', 'REMOVE', 'LGETXATTR', 'LLISTXATTR', 'LSETXATTR',
            'LREMOVEXATTR', 'GETVERSION']
ROOT = 1
ADOPTED = 1 << 63
HELLO = b'9PX2' + u32(8) + u32(2) + u32(0)


class Requests:
    """Requests of one connection, each with the next tag."""

    def __init__(self, setup):
        self.data = u8(setup)
        self.types = V1_TYPES if setup & V1 else V2_TYPES
        self.tag = 0

    def __call__(self, name, *body, flags=0):
        self.tag += 1
        self.data += record(self.types.index(name), self.tag, flags, *body)
        return self


def helper_seeds():
    """Yields the name and bytes of each seed."""
    for setup, word in ((0, 'donate'), (NO_DONATE, 'keep'),
                        (HELPER_READONLY, 'readonly'), (THREADS, 'threads'),
                        (RING, 'ring'), (RING | THREADS, 'ring-threads')):
        r = Requests(setup)
        r('WALK', u64(ROOT), u16(1), s('f'))
        r('GETATTR', u64(2))
        r('OPEN', u64(2), u32(2))
        r('SETATTR', u64(2), u32(0x1f), u32(0o600), u32(1), u32(2), u64(3),
          u64(1), u32(2), u64(3), u32(4))
        r('SETXATTR', u64(2), s('user.a'), u32(0), u32(3), b'abc')
        r('GETXATTR', u64(2), u8(0), s('user.a'))
        r('GETXATTR', u64(2), u8(1), s(''))
        r('REMOVEXATTR', u64(2), s('user.a'))
        r('WRITE', u64(2), u32(0o2000), u64(1), u32(3), b'abc')
        r('STATFS', u64(2))
        r('READDIR', u64(ROOT), u64(0))
        r('READDIR', u64(2), u64(1))
        r('FORGET', u16(1), u64(2), u32(1))
        yield f'v2-{word}-file', r.data

        r = Requests(setup)
        r('FIND', u32(0), u32(0))       # gets the bytes of a file's handle
        r('GETATTR', u64(2))
        r('OPEN', u64(2), u32(0))
        r('FIND', u32(0), u32(0))
        r('FIND', u32(1), u32(8), b'handle 8', flags=ANY_HANDLE)
        r('FIND', u32(1), u32(0), flags=ANY_HANDLE)
        yield f'v2-{word}-find', r.data

        if setup & RING:
            # Either ring claims more bytes than it has.
            for place in (0, 80):
                r = Requests(setup)
                r('GETATTR', u64(ROOT))
                r('GETATTR', u16(0x8000 | place), u32(70000), flags=POKE)
                r('GETATTR', u64(ROOT))
                yield f'v2-{word}-poke-{place}', r.data

        r = Requests(setup)
        r('ADOPT', u64(ADOPTED + 1))
        r('WALK', u64(ADOPTED + 1), u16(1), s('f'))
        r('MAKE', u64(ADOPTED + 1), s('x'), u32(0o040755), u32(0), u32(0),
          u64(0), s(''))
        r('FORGET', u16(1), u64(ADOPTED + 1), u32(1))
        r('GETATTR', u64(ADOPTED + 1))
        yield f'v2-{word}-adopt', r.data

        r = Requests(setup)
        r('CREATE', u64(ROOT), s('n'), u32(0o202), u32(0o644), u32(1), u32(1))
        r('MAKE', u64(ROOT), s('x'), u32(0o040755), u32(0), u32(0), u64(0),
          s(''))
        r('MAKE', u64(ROOT), s('y'), u32(0o120777), u32(0), u32(0), u64(0),
          s('target'))
        r('MAKE', u64(ROOT), s('z'), u32(0o010644), u32(0), u32(0), u64(0),
          s(''))
        r('WALK', u64(ROOT), u16(1), s('y'))
        r('READLINK', u64(3))
        r('WALK', u64(ROOT), u16(3), s('d'), s('e'), s('..'))
        r('WALK', u64(ROOT), u16(2), s('d'), s('g'))
        r('LINK', u64(2), u64(ROOT), s('m'))
        r('RENAME', u64(ROOT), s('m'), u64(ROOT), s('o'))
        r('UNLINK', u64(ROOT), s('o'), u8(0), u64(2))
        r('UNLINK', u64(ROOT), s('x'), u8(1), u64(0))
        r('OPEN', u64(2), u32(0), flags=DESCRIPTOR)
        yield f'v2-{word}-names', r.data

    r = Requests(HELPER_NO_START)
    r('WALK', HELLO, flags=AS_IT_IS)
    r('WALK', u32(12 + 8), u16(4), u16(0), u32(1), u64(1), flags=AS_IT_IS)
    yield 'v2-start', r.data

    r = Requests(V1)
    r('LSTAT', s('/f\0'))
    r('OPEN', s('/f'), u32(2))
    r('CREATE', s('/d/n'), u32(0o102), u32(0o644), u32(1), u32(2))
    r('MKDIR', u32(0), u32(0), s('/x'), u32(0o755))
    r('MKNOD', u32(0), u32(0), s('/z'), u32(0o010644), u64(0))
    r('SYMLINK', u32(0), u32(0), s('target'), s('/y'))
    r('READLINK', s('/y'), u32(100))
    r('LINK', s('/f'), s('/d/m'))
    r('RENAME', s('/d/m'), s('/d/o'))
    r('REMOVE', s('/d/o'))
    r('STATFS', s('/'))
    r('GETVERSION', s('/f'))
    yield 'v1-names', r.data

    r = Requests(V1)
    r('CHMOD', s('/f'), u32(0o600))
    r('CHOWN', s('/f'), u32(1), u32(2))
    r('TRUNCATE', s('/f'), u64(3))
    r('UTIME', s('/f'), u64(1), u64(2), u64(3), u64(4))
    r('LSETXATTR', s('/f'), s('user.a'), s('abc'), u32(3), u32(0))
    r('LGETXATTR', u32(100), s('/f'), s('user.a'))
    r('LGETXATTR', u32(0), s('/f'), s('user.a'))
    r('LLISTXATTR', u32(100), s('/f'))
    r('LREMOVEXATTR', s('/f'), s('user.a'))
    r('OPEN', s('/../../etc/passwd'), u32(0))
    r('OPEN', s('/o/passwd'), u32(0))
    yield 'v1-attributes', r.data

    r = Requests(V1)
    r('LGETXATTR', u32(0), s('/'), s('virtfs-protocol-2'))
    r('LGETXATTR', HELLO, flags=AS_IT_IS)
    yield 'probe', r.data


#
# fuzz-channel
#

# The operations, in the order of the enum in channel-operations.c
OPERATIONS = ['walk', 'getattr', 'setattr', 'readlink', 'statfs', 'open',
              'create', 'make', 'link', 'rename', 'unlink', 'getxattr',
              'listxattr', 'setxattr', 'removexattr', 'read', 'write',
              'readdir', 'fsync', 'generation', 'forget', 'close', 'restore']
START = 4
CHANGES, LATER, TWICE, CANCEL, NO_OPERATION = 2, 4, 8, 16, 32
MORE_FDS, LESS_FDS = 64, 128


def operation(name, ident, *body, flags=CHANGES):
    """One operation, with its answer"""
    return record(OPERATIONS.index(name), ident, flags, *body)


def channel_seeds():
    """Yields the name and bytes of each seed."""
    every = [o for o in OPERATIONS if o not in ('forget', 'close')]
    for setup, word in ((0, 'donate'), (NO_DONATE, 'keep'), (V1, 'v1')):
        # Ids: the low 5 bits choose the name and the new node's place, the
        # high 3 the node that the operation is about.
        yield f'{word}-all', u8(setup) + operation('walk', 0) + b''.join(
            operation(o, 1 << 5 | 0) for o in every)
        yield f'{word}-folder', u8(setup) + operation('walk', 1) + b''.join(
            operation(o, 2 << 5 | 1) for o in every)
        yield f'{word}-long', (u8(setup) + operation('walk', 0x10)
                               + operation('walk', 0x11)
                               + operation('create', 2 << 5)
                               + operation('getattr', 1 << 5)
                               + operation('forget', 0)
                               + operation('close', 0))
        for flags, how in ((LATER, 'later'), (TWICE, 'twice'),
                           (CANCEL, 'cancel'), (MORE_FDS, 'more-fds'),
                           (LESS_FDS, 'less-fds')):
            yield f'{word}-{how}', (
                u8(setup) + operation('walk', 0)
                + operation('open', 1 << 5, flags=CHANGES | flags)
                + operation('create', 0, flags=CHANGES | flags)
                + operation('getxattr', 1 << 5)
                + operation('walk', 1, flags=CHANGES | NO_OPERATION))
        yield f'{word}-many-fds', (u8(setup) + operation(
            'create', 3 << 2, flags=CHANGES | MORE_FDS))
        yield f'{word}-start', u8(setup | START) + operation('walk', 0)
        # The helper claims that a folder has a second name, in itself.
        yield f'{word}-circle', (
            u8(setup) + operation('walk', 1)
            + operation('link', 2 << 5 | 2, flags=LATER)
            + operation('walk', 1, flags=CHANGES | NO_OPERATION) * 4)
        # Nodes of a migration, found by file handle, and by name after an error
        yield f'{word}-restore', (
            u8(setup) + operation('restore', 0) + operation('getattr', 1 << 5)
            + operation('restore', 1) + operation('walk', 2 << 5)
            + operation('restore', 2, u32(116), flags=0)
            + operation('restore', 3, u32(0), b'\0' * 200, flags=0))
        # An error, and payloads that are too short and too long
        yield f'{word}-given', (
            u8(setup) + operation('walk', 0, u32(2), flags=0)
            + operation('getxattr', 0, u32(0), u32(1000), b'abc', flags=0)
            + operation('statfs', 0, b'\0' * 100, flags=0))


#
# fuzz-mapped: kinds of records after those of TYPES (server-host.h)
#

HOST = ['TEXT', 'TEXT_ROOT', 'NUMBER', 'ACL', 'ATTRIBUTE', 'PLACE', 'CHMOD',
        'UNLINK']
FILES = ['f', 'd', 'g', 'e', 'l', 'p', 'n', 'c']


def on_host(what, name, *body, which=0):
    """A change of the file @name on the host"""
    return record(len(TYPES) + HOST.index(what),
                  FILES.index(name) | which << 5, 0, *body)


def acl(*entries):
    """An ACL of (tag, permissions) with user or group 1"""
    return u32(2) + b''.join(
        u16(t) + u16(p) + u32(1 if t in (2, 8) else 0xffffffff)
        for t, p in entries)


def mapped_seeds():
    """Yields the name and bytes of each seed."""
    text = (b'virtfs.uid=1000\nvirtfs.gid=-2\nvirtfs.mode=%d\n'
            b'virtfs.rdev=2049\n')
    full = acl((1, 7), (2, 6), (4, 5), (8, 4), (16, 7), (32, 1))
    for model, word in ((XATTR, 'xattr'), (FILE, 'file')):
        m = Messages(model)
        m.data += on_host('TEXT', 'f', u16(1), text % 0o100600)
        m.data += on_host('TEXT', 'd', u16(1), text % 0o040700)
        m.data += on_host('TEXT_ROOT', 'd', u16(1), text % 0o040755)
        m.data += on_host('TEXT', 'p', u16(200), b'a line that is nothing\n')
        m.data += on_host('NUMBER', 'f', u16(1), u32(1000))
        m.data += on_host('NUMBER', 'f', u16(1), u32(0o020600), which=2)
        m.data += on_host('NUMBER', 'f', u16(1), u64(2049), which=3)
        m.data += on_host('NUMBER', 'd', u16(1), b'123', which=1)
        for fid, name in enumerate(('f', 'd', 'p'), 1):
            m.walk(0, fid, name)
            m('Tgetattr', u32(fid), u64(0x3fff))
        m('Tsetattr', u32(1), u32(7), u32(0o600), u32(1), u32(2),
          *[u64(0)] * 5)
        m('Tlopen', u32(2), u32(0))
        m('Treaddir', u32(2), u64(0), u32(4096))
        yield f'{word}-numbers', m.data

        m = Messages(model)
        m.data += on_host('ACL', 'f', u16(1), full)
        m.data += on_host('ACL', 'd', u16(1), full, which=1)
        m.data += on_host('ACL', 'd', u16(1), acl((1, 7)), which=1)
        m.data += on_host('ATTRIBUTE', 'f', u16(100), b'long')
        m.walk(0, 1, 'f').walk(0, 2, 'd').walk(0, 3, 'd')
        m('Tsetattr', u32(1), u32(1), u32(0o640), u32(0), u32(0),
          *[u64(0)] * 5)
        m('Txattrwalk', u32(1), u32(4), s('system.posix_acl_access'))
        m('Tread', u32(4), u64(0), u32(100))
        m('Tlcreate', u32(2), s('n'), u32(O_RDWR), u32(0o644), u32(0))
        m('Tmkdir', u32(3), s('x'), u32(0o755), u32(0))
        m('Txattrwalk', u32(1), u32(5), s(''))
        m('Tread', u32(5), u64(0), u32(100))
        yield f'{word}-acls', m.data

        m = Messages(model)
        for which in range(4):
            m.data += on_host('PLACE', 'f', which=which)
            m.walk(0, 1 + which, 'f')
            m('Tsetattr', u32(1 + which), u32(1), u32(0o640), u32(0), u32(0),
              *[u64(0)] * 5)
        m.data += on_host('CHMOD', 'd', u32(0))
        m.data += on_host('UNLINK', 'f')
        m('Tgetattr', u32(1), u64(0x3fff))
        yield f'{word}-places', m.data


#
# fuzz-ring
#

def ring_seeds():
    """Yields the name and bytes of each seed."""
    operations = ['walk', 'getattr', 'open', 'read', 'readlink', 'getxattr',
                  'create', 'statfs', 'setattr', 'unlink']
    for setup, word in ((0, 'donate'), (1, 'keep'), (3, 'threads')):
        for place in range(10):
            yield f'{word}-{place}', u8(setup) + b''.join(
                operation(o, 1 << 5 | i % 3, u8(place), u8(0x80 >> i % 8),
                          u32(n), flags=0)
                for i, o in enumerate(operations)
                for n in (1 << 16, 0xffff0000))


#
# fuzz-state
#

STATES = ['SESSION', 'DEVICE', 'QID_NEXT', 'QID_PREFIX', 'QID_SINGLE', 'NODE',
          'ENTRY', 'ATTACH', 'FID', 'XATTR', 'LOCK_OWNER', 'LOCK_RANGE',
          'LOCK_USE', 'END']
OCCUPIED, SNAPSHOT, STALE = 0x08, 0x10, 0x20
# Of fuzz_populate(), by the numbers that stand for inode numbers
PLACES = [('', 0o040000), ('f', 0o100000), ('d', 0o040000), ('g', 0o100000),
          ('e', 0o040000), ('l', 0o120000), ('o', 0o120000), ('p', 0o010000)]
NONE_KNOWN = 0xffffffff
DIALECT_L, DIALECT_U = 1, 2


class State:
    """The records of a session"""

    def __init__(self, setup, msize=8192, dialect=DIALECT_L):
        self.data = u8(setup)
        self('SESSION', u32(1), u8(dialect), u32(msize))
        self('DEVICE', u64(0), s(''))
        self('QID_NEXT', u32(2), u32(2))
        self('QID_PREFIX', u32(0), u64(0), u32(1))
        self('QID_SINGLE', u32(0), u64(99), u32(1))
        self.node(0)

    def __call__(self, name, *body, flags=TOGETHER):
        self.data += record(STATES.index(name), 0, flags, *body)
        return self

    def node(self, place, handle=b''):
        """NODE"""
        return self('NODE', u32(0), u64(place), u32(PLACES[place][1]), u8(0),
                    u8(0), u64(0), u64(0), u32(len(handle) and 1),
                    u16(len(handle)), handle)

    def entry(self, parent, node, name, flags=1):
        """ENTRY"""
        return self('ENTRY', u32(parent), u32(node), u8(flags), s(name))

    def fid(self, number, node, entry, flags=0, *more):
        """FID"""
        return self('FID', u32(number), u32(0), u32(node), u32(entry),
                    u8(flags), *more)

    def tree(self):
        """All files and their names, and the mount"""
        for place in range(1, len(PLACES)):
            self.node(place)
        for place, (name, _) in enumerate(PLACES[1:], 1):
            self.entry(2 if name in ('g', 'e') else 0, place, name)
        return self('ATTACH', u32(0), u32(0)).fid(0, 0, NONE_KNOWN)


def state_seeds():
    """Yields the name and bytes of each seed."""
    for model, word in ((XATTR, 'xattr'), (FILE, 'file'),
                        (PASSTHROUGH, 'passthrough'), (NONE, 'none')):
        m = State(model).tree()
        for place in range(1, len(PLACES)):
            m.fid(place, place, place - 1)
        yield f'{word}-fids', m('END').data

        m = State(model | STALE, dialect=DIALECT_U).tree()
        m.fid(1, 1, 0, 1, u32(O_RDWR), u32(0))
        m.fid(2, 2, 1, 9, u32(0), u32(0), u64(0), u64(0), u32(0))
        m.fid(3, 3, 2, 9, u32(0), u32(5), u64(100), u32(3))
        m.fid(4, 1, 0, 4)
        m.fid(5, 1, NONE_KNOWN, 3, u32(1), u32(0))
        yield f'{word}-open', m('END').data

        m = State(model, dialect=DIALECT_U).tree()
        m.fid(1, 1, 0)('XATTR', u8(1), s('user.a'), u32(0), u32(8), u32(3),
                       b'text\0\0\0\0')
        m.fid(2, 2, 1)('XATTR', u8(0), s(''), u32(0), u32(4), u32(4), b'name')
        yield f'{word}-xattrs', m('END').data

        m = State(model | SNAPSHOT).tree()
        m.fid(1, 1, 0, 1, u32(O_RDWR), u32(0))
        m.fid(2, 1, 0, 1, u32(O_RDWR), u32(0))
        for owner in (1, 2):
            m('LOCK_OWNER', u32(1), u32(owner), s('client'), u32(O_RDWR))
            m('LOCK_RANGE', u8(1), u64(owner * 100), u64(owner * 100 + 9))
            m('LOCK_RANGE', u8(0), u64(1000), u64((1 << 63) - 1))
            m('LOCK_USE', u32(owner))
        yield f'{word}-locks', m('END').data

    m = State(NONE | STALE).tree()
    m('DEVICE', u64(77), s('d/e'))
    m('NODE', u32(1), u64(5), u32(0o100000), u8(1), u8(1), u64(3), u64(4),
      u32(1), s('handle'))
    m.entry(4, 8, 'missing').fid(1, 8, 7)
    yield 'missing', m('END').data
    yield 'empty', State(NONE, 0, 0)('END').data
    yield 'occupied', State(NONE | OCCUPIED).tree()('END').data
    yield 'readonly', State(NONE | READONLY).tree().fid(
        1, 1, 0, 1, u32(O_RDWR), u32(0))('END').data
    # Two blocks
    m = State(PASSTHROUGH).tree()('FID', u32(1), u32(0), u32(1), u32(0), u8(0),
                                  flags=0)
    yield 'blocks', m('END').data


#
# fuzz-options: setup, then the argument
#

VIRTFS, CREATE, JSON = 1, 2, 4
ARGUMENTS = [
    'local,id=a,path=/d,security_model=mapped-xattr,readonly',
    'local,path=/,security_model=none,mount_tag=tag,multidevs=forbid',
    'fsdriver=local,id=a,path=a,,b,security_model=mapped-file,fmode=0600,'
    'dmode=0700,noreadonly',
    'synth,id=a,max_xattr=3,throttling.bps-total=100000,'
    'throttling.iops-read-max=9',
    'proxy,id=a,socket=/s,donate=off,ring=on,reconnect=1,on-disconnect=wait',
    'proxy,id=a,helper=/bin/false,path=/d,protocol=1',
    'local,id=a,path=/d,security_model=none,migration=handles,on-missing=fail',
    'synth,id=a,migration=off,on-missing=stale',
    'local,id=a,security_model=wrong', 'synth,id=-', '=,=', '',
]
OBJECTS = [
    '"fsdriver": "synth", "id": "a", "readonly": true',
    '"fsdriver": "local", "id": "a", "path": "/", "security_model": "none", '
    '"throttling": {"bps-total": 1}',
    '"fsdriver": "local", "mount_tag": "t", "path": "/", '
    '"security_model": "passthrough"',
    '"fsdriver": ["local"], "id": {}, "multidevs": null',
]


def option_seeds():
    """Yields the name and bytes of each seed."""
    for flags in (0, VIRTFS, CREATE, VIRTFS | CREATE):
        for n, text in enumerate(ARGUMENTS):
            yield f'text-{flags}-{n}', u8(flags) + text.encode()
        for n, text in enumerate(OBJECTS):
            yield f'json-{flags}-{n}', u8(flags | JSON) + text.encode()


SEEDS = {'fuzz-server': server_seeds, 'fuzz-helper': helper_seeds,
         'fuzz-channel': channel_seeds, 'fuzz-mapped': mapped_seeds,
         'fuzz-ring': ring_seeds, 'fuzz-options': option_seeds,
         'fuzz-state': state_seeds}


def write(fuzzer, folder):
    """Writes the seeds of a fuzzer into a folder."""
    for name, data in SEEDS[fuzzer]():
        (folder / name).write_bytes(data)
