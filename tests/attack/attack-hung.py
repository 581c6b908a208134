#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""A file server below an export that stops answering.

The guest sends each message to its files, also such that join them to files of
the export itself. No other file, no other export and no QMP command may wait
for that server; neither if the host mounts it in place of a file system in
memory, under whose number QEMU knows that nothing waits.

Nor may they if a user of the host takes a buffer of that server's to read a
directory of the export, or to write to a file: the kernel holds the inode's
lock while it waits for the buffer.
"""

import ctypes
import mmap
import os
import platform
import signal
import struct
import subprocess
import time
import unittest

import hung
import ninep
import stage

SOON = 1                        # seconds for what must not wait
TRIES = 200                     # mounts until a number comes again
ASKS = 0.1                      # for a message to reach the server
FLOOD = 40                      # requests that wait at once
PAGE = 4096
GETDENTS64 = {'x86_64': 217}.get(platform.machine(), 61)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int,
                       ctypes.c_int, ctypes.c_int, ctypes.c_long]


def mount(test, *argv):
    """Mounts until the test ends."""
    try:
        subprocess.run(['mount', *argv], check=True)
    except (OSError, subprocess.CalledProcessError) as e:
        test.skipTest(f'cannot mount here: {e}')
    test.addCleanup(subprocess.run, ['umount', '-l', argv[-1]], check=False)


def mount_hung(test, path):
    """The file server, on a directory."""
    try:
        server = hung.Server(path)
    except OSError as e:
        test.skipTest(f'cannot mount FUSE here: {e}')
    return server


class _Hung(unittest.TestCase):
    """An export with the directory `there` in it"""

    driver = None

    def setUp(self):
        top = stage.place().export(self.driver)
        self.export, self.beside = top / 'hung', top / 'beside'
        for path in (self.export, self.beside):
            path.mkdir(exist_ok=True)
            path.chmod(0o777)
        (self.beside / 'file').write_bytes(b'text')
        (self.beside / 'file').chmod(0o666)

    def fill(self):
        """Files of the export itself."""
        for name in ('there', 'plain', 'more'):
            (self.export / name).mkdir(exist_ok=True)
            (self.export / name).chmod(0o777)
        (self.export / 'file').write_bytes(b'text')
        (self.export / 'file').chmod(0o666)

    def qemu(self):
        """A QEMU with the export, and another one."""
        spec = stage.DRIVERS[self.driver]
        return stage.run_qemu(spec % self.export, spec % self.beside)

    def others(self, qemu):
        """QMP, another export, and other files; none of it may wait."""
        guest, other = qemu.sessions
        for session in (guest, other):
            if session is guest and self.driver == 'proxy protocol 1':
                continue        # its helper does one thing at a time
            start = time.monotonic()
            fid = session.walk('file', limit=SOON)
            session.getattr(fid, limit=SOON)
            session.setattr(fid, SOON, mode=0o666)
            session.open(fid, os.O_RDWR, limit=SOON)
            session.clunk(fid)
            self.assertLess(time.monotonic() - start, SOON)
        start = time.monotonic()
        qemu.qmp('query-status')
        self.assertLess(time.monotonic() - start, SOON)


def messages(guest, fids):
    """Each message that concerns the server: (type, payload)."""
    there, file, folder, link, opened, listed, own, root = (
        struct.pack('<I', f) for f in fids)
    name, new = ninep.text('file'), ninep.text('new')

    def fresh():
        return struct.pack('<I', guest.fid())
    return [
        (ninep.TGETATTR, file + struct.pack('<Q', 0x3fff)),
        (ninep.TGETATTR, there + struct.pack('<Q', 0x7ff)),
        (ninep.TSETATTR, ninep.setattr_of(fids[1], mode=0o600)),
        (ninep.TSETATTR, ninep.setattr_of(fids[1], uid=0, gid=0)),
        (ninep.TSETATTR, ninep.setattr_of(fids[1], size=1)),
        (ninep.TSTATFS, there),
        (ninep.TREADLINK, link),
        (ninep.TWALK, root + fresh() + struct.pack('<H', 2)
         + ninep.text('there') + name),
        (ninep.TWALK, there + fresh() + struct.pack('<H', 1)
         + ninep.text('nothing')),
        (ninep.TWALK, folder + fresh() + struct.pack('<H', 2)
         + ninep.text('..') + name),
        (ninep.TREAD, opened + struct.pack('<QI', 0, 4096)),
        (ninep.TWRITE, opened + struct.pack('<QI', 0, 4) + b'more'),
        (ninep.TFSYNC, opened + bytes(4)),
        (ninep.TREADDIR, listed + struct.pack('<QI', 0, 4096)),
        (ninep.TXATTRWALK, file + fresh() + ninep.text('user.x')),
        (ninep.TXATTRWALK, file + fresh() + ninep.text('')),
        (ninep.TMKDIR, there + new + bytes(8)),
        (ninep.TSYMLINK, there + new + name + bytes(4)),
        (ninep.TLINK, there + own + new),
        (ninep.TLINK, root + file + new),
        (ninep.TRENAMEAT, there + name + root + new),
        (ninep.TRENAMEAT, root + name + there + new),
        (ninep.TRENAMEAT, root + ninep.text('there') + root + new),
        (ninep.TRENAMEAT, root + ninep.text('plain') + root
         + ninep.text('there')),
        (ninep.TUNLINKAT, there + name + bytes(4)),
        (ninep.TUNLINKAT, root + ninep.text('there')
         + struct.pack('<I', ninep.REMOVEDIR)),
        (ninep.TREADDIR, listed + struct.pack('<QI', 0, 4096)),
    ]


class _Messages(_Hung):
    """The server, on a disk and on a file system in memory"""

    def attack(self, server):
        """Each message alone, opens and clunks, and a flood of them."""
        with self.qemu() as qemu:
            guest = qemu.sessions[0]
            there = guest.walk('there')
            fids = [there, *(guest.walk(n, fid=there)
                             for n in ('file', 'dir', 'link', 'other')),
                    guest.walk(fid=there), guest.walk('file'), ninep.ROOT]
            guest.open(fids[4], os.O_RDWR)
            guest.open(fids[5], os.O_RDONLY)
            # Once each while it answers, so that QEMU knows what it may know
            for kind, payload in messages(guest, fids)[:7]:
                guest.wait(guest.send(kind, payload))
            self.others(qemu)
            asked = 0
            for number, (kind, payload) in enumerate(messages(guest, fids)):
                with self.subTest(message=kind, number=number):
                    asked += self.one(qemu, server, kind, payload)
            self.assertGreater(asked, 10)
            self.flood(qemu, server, fids[1])
            for flags in (os.O_RDONLY, os.O_RDWR):
                fid = guest.walk(fid=fids[1])
                self.one(qemu, server, ninep.TLOPEN,
                         struct.pack('<II', fid, flags))
                self.one(qemu, server, ninep.TCLUNK, struct.pack('<I', fid))

    def one(self, qemu, server, kind, payload):
        """Sends a message that waits: whether it asked the server."""
        guest = qemu.sessions[0]
        server.hang()
        try:
            guest.send(kind, payload)
            end = time.monotonic() + ASKS
            while not server.waiting() and time.monotonic() < end:
                time.sleep(0.001)
            asked = server.waiting()
            self.others(qemu)
        finally:
            server.answer()
        guest.drain()
        return asked > 0

    def flood(self, qemu, server, fid):
        """Many requests that wait at once."""
        guest = qemu.sessions[0]
        server.hang()
        try:
            for _ in range(FLOOD):
                guest.send(ninep.TSETATTR, ninep.setattr_of(fid, mode=0o600))
            for _ in range(3):
                self.others(qemu)
                time.sleep(0.1)
        finally:
            server.answer()
        guest.drain()

    def run_on(self):
        """The attack, with the export as it is"""
        self.fill()
        server = mount_hung(self, self.export / 'there')
        try:
            self.attack(server)
        finally:
            server.answer()
            server.close()


@stage.for_drivers(root=True)
class Messages(_Messages):
    """Messages that wait for the server"""

    def test_disk(self):
        """In an export on a disk"""
        self.run_on()

    def test_memory(self):
        """In an export in memory"""
        mount(self, '-t', 'tmpfs', 'none', str(self.export))
        self.export.chmod(0o777)
        self.run_on()


@stage.for_drivers(root=True)
class Remount(_Hung):
    """The server under the number of a file system that never waits"""

    def mount_as(self, path, number):
        """The server, mounted until it gets the number."""
        for _ in range(TRIES):
            server = mount_hung(self, path)
            if os.stat(path).st_dev == number:
                return server
            server.close()
        return self.skipTest('the kernel does not use the number again')

    def test_remount(self):
        """A file system in memory goes, and the server comes"""
        # A mount that the helper's copy follows
        mount(self, '-t', 'tmpfs', 'none', str(self.export))
        subprocess.run(['mount', '--make-shared', str(self.export)], check=True)
        self.export.chmod(0o777)
        self.fill()
        path = self.export / 'there'
        with self.qemu() as qemu:
            guest = qemu.sessions[0]
            subprocess.run(['mount', '-t', 'tmpfs', 'none', str(path)],
                           check=True)
            (path / 'dir').mkdir()
            number = os.stat(path).st_dev
            guest.getattr(guest.walk('there'))
            fid = guest.walk('there', 'dir')
            guest.getattr(fid)
            guest.clunk(fid)
            guest.start()
            subprocess.run(['umount', '-l', str(path)], check=True)
            server = self.mount_as(path, number)
            try:
                fid = guest.walk('there')
                server.hang()
                guest.send(ninep.TGETATTR, struct.pack('<IQ', fid, 0x7ff))
                guest.send(ninep.TWALK, ninep.walk(
                    ninep.ROOT, guest.fid(), ['there', 'dir']))
                self.others(qemu)
                server.answer()
                guest.drain()
            finally:
                server.answer()
                server.close()


class Holder:
    """A user of the host, with a page of a file as a buffer

    work: of a descriptor of the path, a buffer and its size; begin() starts it
    """

    def __init__(self, buffer, path, flags, work):
        ready, starts = os.pipe(), os.pipe()
        fd = os.open(buffer, os.O_RDONLY)
        self.pid = os.fork()
        if not self.pid:
            try:
                page = ctypes.c_void_p(_libc.mmap(
                    None, PAGE, mmap.PROT_READ | mmap.PROT_WRITE,
                    mmap.MAP_PRIVATE, fd, 0))
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                target = os.open(path, flags)
                os.closerange(fd, fd + 1)
                os.close(starts[1])
                os.write(ready[1], b'x')
                os.read(starts[0], 1)
                work(target, page, PAGE)
            finally:
                os._exit(0)
        for end in (fd, ready[1], starts[0]):
            os.close(end)
        os.read(ready[0], 1)
        os.close(ready[0])
        self.start = starts[1]

    def begin(self):
        """The work, which takes the lock."""
        os.write(self.start, b'x')

    def close(self):
        """Ends it; the server must answer by now."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.start)


def read_directory(fd, page, size):
    """Reads a directory."""
    _libc.syscall(GETDENTS64, fd, page, size)


def write_file(fd, page, size):
    """Writes to a file."""
    _libc.write(fd, page, size)


@stage.for_drivers(root=True)
class Locks(_Hung):
    """Directories and files whose locks a user of the host holds"""

    def hold(self, path, flags, work, make):
        """The messages of make() while the user's work on the path waits."""
        self.fill()
        (self.export / 'more/old').write_bytes(b'text')
        # The server is not in the export
        at = stage.place().top / 'server'
        at.mkdir(exist_ok=True)
        server = mount_hung(self, at)
        try:
            with self.qemu() as qemu:
                guest = qemu.sessions[0]
                sent = make(guest)
                holder = Holder(at / 'file', path, flags, work)
                server.hang()
                holder.begin()
                end = time.monotonic() + stage.LIMIT
                while not server.waiting():
                    self.assertLess(time.monotonic(), end)
                    time.sleep(0.001)
                for kind, payload in sent:
                    with self.subTest(message=kind):
                        guest.send(kind, payload)
                        self.others(qemu)
                server.answer()
                holder.close()
                guest.drain()
        finally:
            server.answer()
            server.close()

    def changes(self, guest):
        """Messages that need the lock of `more`"""
        fid = guest.walk('more')
        more = struct.pack('<I', fid)
        old = struct.pack('<I', guest.walk('more', 'old'))
        listed = guest.walk('more')
        guest.open(listed)
        return [
            (ninep.TMKDIR, more + ninep.text('dir') + bytes(8)),
            (ninep.TWALK, ninep.walk(fid, guest.fid(), ['none'])),
            (ninep.TSYMLINK, more + ninep.text('link') + ninep.text('x')
             + bytes(4)),
            (ninep.TMKNOD, more + ninep.text('fifo') + struct.pack(
                '<IIII', 0o10644, 0, 0, 0)),
            (ninep.TLINK, more + old + ninep.text('second')),
            (ninep.TRENAMEAT, more + ninep.text('old') + more
             + ninep.text('name')),
            (ninep.TUNLINKAT, more + ninep.text('old') + bytes(4)),
            (ninep.TSETATTR, ninep.setattr_of(fid, mode=0o755)),
            (ninep.TREADDIR, struct.pack('<IQI', listed, 0, PAGE)),
            (ninep.TLCREATE, struct.pack('<I', guest.walk('more'))
             + ninep.text('new') + struct.pack('<III', os.O_RDWR, 0o644, 0)),
        ]

    def writes(self, guest):
        """Messages that need the lock of `plain/file`"""
        fid = guest.walk('plain', 'file')
        opened = guest.walk('plain', 'file')
        guest.open(opened, os.O_RDWR)
        return [
            (ninep.TWRITE, struct.pack('<IQI', opened, 0, 4) + b'more'),
            (ninep.TSETATTR, ninep.setattr_of(fid, mode=0o600)),
            (ninep.TSETATTR, ninep.setattr_of(fid, size=1)),
            (ninep.TREAD, struct.pack('<IQI', opened, 0, 4)),
            (ninep.TLOPEN, struct.pack('<II', fid, os.O_RDWR | os.O_TRUNC)),
        ]

    def hold_both(self):
        """A directory that is read, and a file that is written"""
        self.fill()
        (self.export / 'plain/file').write_bytes(b'text')
        (self.export / 'plain/file').chmod(0o666)
        self.hold(self.export / 'plain/file', os.O_WRONLY, write_file,
                  self.writes)
        self.hold(self.export / 'more', os.O_RDONLY, read_directory,
                  self.changes)

    def test_disk(self):
        """In an export on a disk"""
        self.hold_both()

    def test_memory(self):
        """In an export in memory"""
        mount(self, '-t', 'tmpfs', 'none', str(self.export))
        self.export.chmod(0o777)
        self.hold_both()


if __name__ == '__main__':
    stage.main()
