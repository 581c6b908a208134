#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients of a persistent helper that leave something behind.

A helper with --persist serves one client after another. A client that makes the
helper hold an end of its own connection, or whose descriptor takes long to
close, would keep all later clients waiting. Each kind of bad client comes many
times in a row, and after each a good client must be served at once.
"""

import contextlib
import fcntl
import mmap
import os
import socket
import struct
import tempfile
import threading
import time
import unittest

import client
import stage
from virtfs import process

ROUNDS = 64
SOON = 1                        # seconds for the next client
RING_SIZE = 135168
SESSIONS = 128                  # that the helper may leave behind
GETATTR = client.message(client.GETATTR, struct.pack('<Q', client.ROOT))


class _Ring:
    """A client's ring, whose bells and memory outlive the connection."""

    def __init__(self, c, full=False):
        self.files = [os.memfd_create('ring', os.MFD_ALLOW_SEALING)]
        os.ftruncate(self.files[0], RING_SIZE)
        fcntl.fcntl(self.files[0], 1033, 0x1 | 0x2 | 0x4)   # F_ADD_SEALS
        self.memory = mmap.mmap(self.files[0], RING_SIZE)
        theirs, self.bell = os.pipe()
        ours, their_bell = os.pipe()
        if full:
            fcntl.fcntl(their_bell, 1031, 4096)             # F_SETPIPE_SZ
            os.write(their_bell, bytes(4096))
        c.hello().call(client.RING, b'', [self.files[0], theirs, their_bell])
        os.close(theirs)
        os.close(their_bell)
        self.files += [self.bell, ours]

    def request(self, data):
        """Puts the first request in, and wants a bell for the reply."""
        struct.pack_into('=I', self.memory, 256 + 128, 1)   # replies.asleep
        self.memory[4096:4096 + len(data)] = data
        struct.pack_into('=I', self.memory, 0, len(data))   # requests.head
        os.write(self.bell, b'x')

    def close(self):
        """Ends it."""
        self.memory.close()
        for fd in self.files:
            os.close(fd)


class _Pair:
    """A TCP connection whose close() waits: unsent data, and SO_LINGER."""

    def __init__(self):
        listener = socket.create_server(('127.0.0.1', 0))
        self.ours = socket.create_connection(listener.getsockname())
        self.peer = listener.accept()[0]
        listener.close()
        self.ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack('ii', 1, 120))
        self.ours.setblocking(False)
        try:
            while True:
                self.ours.send(bytes(65536))
        except BlockingIOError:
            pass

    def leave(self):
        """Closes this process's descriptor, which may be the last one."""
        threading.Thread(target=self.ours.close).start()

    def close(self):
        """Ends the connection, and the waiting."""
        self.peer.close()


class Clients(unittest.TestCase):
    """Bad clients of a helper, and the next good one"""

    def setUp(self):
        # pylint: disable=consider-using-with
        scratch = tempfile.TemporaryDirectory(prefix='virtfs-attack-',
                                              ignore_cleanup_errors=True)
        self.addCleanup(scratch.cleanup)
        process.remove_after_end(scratch.name)
        self.scratch = scratch.name
        self.export = os.path.join(scratch.name, 'export')
        os.mkdir(self.export)
        os.chmod(scratch.name, 0o755)
        self.helper = None
        self.addCleanup(lambda: self.helper.close())
        self.start()

    def start(self, *options):
        """Starts the helper, after the last one has ended."""
        if self.helper:
            self.helper.close()
        self.helper = client.Helper(self.scratch, self.export, '--persist',
                                    *options)
        self.good()

    def connect(self, limit=stage.LIMIT):
        """A new connection, whose HELLO was not yet sent."""
        return client.Client(self.helper.path, limit)

    def good(self):
        """A good client is served at once."""
        start = time.monotonic()
        try:
            with self.connect() as c:
                error, _ = c.hello().call(client.GETATTR, struct.pack(
                    '<Q', client.ROOT))
                self.assertEqual(error, 0)
        except (OSError, EOFError) as e:
            self.fail(f'{e!r}; the helper says: {self.helper.complaint()}')
        return time.monotonic() - start

    def each(self, bad, rounds=ROUNDS):
        """Many bad clients, and the next one waits for none of them."""
        for _ in range(rounds):
            bad()
            self.assertLess(self.good(), SOON)

    def send_and_go(self, data, fds=(), hello=True):
        """Sends something and closes the connection without reading."""
        with self.connect() as c:
            if hello:
                c.hello()
            c.try_to_send(data, fds)

    def test_own_bells(self):
        """RING with both ends of one pipe"""
        def bad():
            memory = os.memfd_create('ring', os.MFD_ALLOW_SEALING)
            os.ftruncate(memory, RING_SIZE)
            fcntl.fcntl(memory, 1033, 0x2 | 0x4)        # F_ADD_SEALS
            bells = os.pipe()
            with self.connect() as c:
                c.hello()
                c.try_to_send(client.message(client.RING, nfds=3),
                              [memory, *bells])
                try:
                    c.receive()
                except EOFError:
                    pass
            for fd in (memory, *bells):
                os.close(fd)
        self.each(bad)

    def test_own_end(self):
        """The client's own end of the connection, as a descriptor"""
        def bad():
            with self.connect() as c:
                c.hello()
                c.try_to_send(client.message(
                    client.GETATTR, struct.pack('<Q', 1)),
                    [c.socket.fileno()])
        self.each(bad)

    def test_own_end_before_hello(self):
        """The same before any message"""
        def bad():
            with self.connect() as c:
                c.try_to_send(client.OPENING[:4], [c.socket.fileno()])
        self.each(bad)

    def test_own_end_unread(self):
        """The same behind replies that the client does not read"""
        def bad():
            with self.connect() as c:
                c.hello()
                c.send(GETATTR * 4000)
                time.sleep(0.05)        # until the helper cannot send
                c.try_to_send(b'\0', [c.socket.fileno()])
        self.each(bad)

    def test_full_bell(self):
        """RING with a full bell, which another process could read"""
        kept = []
        self.addCleanup(lambda: [ring.close() for ring in kept])

        def bad():
            with self.connect() as c:
                kept.append(_Ring(c, full=True))
                kept[-1].request(GETATTR)
                time.sleep(0.01)
        for _ in range(SESSIONS // ROUNDS + 1):
            self.each(bad)

    def test_unread_files(self):
        """Open files that the client does not receive, while it keeps its end
        of the connection: they count for the helper's user"""
        kept = []
        opened = client.message(client.OPEN, struct.pack(
            '<QI', client.ROOT, os.O_DIRECTORY))

        def bad():
            c = self.connect().hello()
            kept.append(c)
            c.socket.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    c.socket.send(opened * 100)
            time.sleep(0.05)        # until the helper cannot send
            c.socket.shutdown(socket.SHUT_WR)   # it has gone, almost

        def forget():
            while kept:
                kept.pop().close()
        self.addCleanup(forget)
        # One client for each 16 files may leave some, and a good one comes.
        for files, rounds in ((1040, ROUNDS), (256, 15)):
            self.start(f'--rlimit-nofile={files}')
            self.each(bad, rounds)
            forget()
        self.each(bad, rounds)          # what counted counts no more

    def test_slow_close(self):
        """Descriptors whose close() waits: in place of every kind"""
        pairs = [_Pair() for _ in range(5)]
        self.addCleanup(lambda: [p.close() for p in pairs])
        handle = struct.pack('<Q', client.ADOPTED | 5)
        kinds = [(client.message(client.ADOPT, handle, 0, 1), True),
                 (client.message(client.GETATTR, struct.pack('<Q', 1)), True),
                 (client.message(client.RING, nfds=3), True),
                 (client.OPENING, False), (struct.pack('=II', 2, 20), False)]
        for (data, hello), pair in zip(kinds, pairs):
            with self.connect() as c:
                if hello:
                    c.hello()
                fds = [pair.ours.fileno()] * (3 if b'\x12\0\3' in data else 1)
                c.try_to_send(data, fds)
                pair.leave()    # then the helper's is the last one
            self.assertLess(self.good(), SOON)

    def test_rubbish(self):
        """Parts of messages, impossible lengths and types, unread replies"""
        getattr_ = client.message(client.GETATTR, struct.pack('<Q', 1))
        kinds = [(b'', False), (b'\0', False), (os.urandom(64), False),
                 (client.OPENING[:7], False), (client.OPENING * 3, False),
                 (struct.pack('=II', 1, 0xffffffff), False),
                 (struct.pack('=II', 7, 65536) + bytes(100), False),
                 (getattr_[:15], True), (getattr_ * 4000, True),
                 (struct.pack('<IHHI', 0xffffffff, 4, 0, 1), True),
                 (struct.pack('<IHHI', 3, 4, 0, 1), True),
                 (client.message(999, bytes(50)), True),
                 (client.message(client.GETATTR, nfds=3), True),
                 (os.urandom(4096), True)]
        for data, hello in kinds:
            for _ in range(ROUNDS // 8):
                self.send_and_go(data, hello=hello)
                self.assertLess(self.good(), SOON, data[:32])

    def test_many_descriptors(self):
        """As many descriptors as fit into a message"""
        null = os.open('/dev/null', os.O_RDONLY)
        self.addCleanup(os.close, null)
        self.each(lambda: self.send_and_go(
            client.message(client.GETATTR, struct.pack('<Q', 1)) * 100,
            [null] * 253))


class Descriptors(Clients):
    """Descriptors of the host that a client sends along"""

    def setUp(self):
        super().setUp()
        self.top = os.open('/', os.O_PATH | os.O_DIRECTORY)
        self.addCleanup(os.close, self.top)

    def held(self):
        """Descriptors of the server that are of the host's root directory."""
        if os.geteuid() != 0:
            return []           # the server cannot be looked into
        found = []
        mine = os.stat('/')
        folder = f'/proc/{self.helper.server()}/fd'
        for name in os.listdir(folder):
            try:
                st = os.stat(os.path.join(folder, name))
            except OSError:
                continue
            if (st.st_dev, st.st_ino) == (mine.st_dev, mine.st_ino):
                found.append(name)
        return found

    def test_not_served(self):
        """No handle of them works, with ADOPT or without"""
        handle = client.ADOPTED | 7
        with self.connect() as c:
            c.hello()
            try:
                c.send(client.message(client.ADOPT, struct.pack('<Q', handle),
                                      0, 1), [self.top])
                for kind, payload in (
                        (client.GETATTR, struct.pack('<Q', handle)),
                        (client.WALK, client.walk('etc', handle=handle)),
                        (client.OPEN, struct.pack('<QI', handle, 0))):
                    error, _ = c.call(kind, payload)
                    self.assertNotEqual(error, 0)
            except (EOFError, ConnectionError):
                pass            # it may end the connection, too
            self.assertEqual(self.held(), [])

    def test_not_kept(self):
        """None stays with the helper if no message may bring it"""
        getattr_ = client.message(client.GETATTR, struct.pack('<Q', 1))
        for data, hello in ((getattr_, True), (client.OPENING, False),
                            (client.message(client.WALK, client.walk('x')),
                             True), (getattr_[:6], True)):
            with self.connect() as c:
                if hello:
                    c.hello()
                c.try_to_send(data, [self.top] * 3)
                end = time.monotonic() + 0.3
                while self.held() and time.monotonic() < end:
                    time.sleep(0.01)
                self.assertEqual(self.held(), [], data)
            self.good()


for _name in [n for n in vars(Clients) if n.startswith('test_')]:
    setattr(Descriptors, _name, None)   # Clients alone has these


if __name__ == '__main__':
    stage.main()
