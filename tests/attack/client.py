# SPDX-License-Identifier: GPL-2.0-or-later
"""A hostile client of virtfs-proxy-helper: an attacker that controls QEMU.

It speaks version 2 of the proxy protocol (docs/interop/virtfs-proxy.rst) over
the helper's real socket, and can send any bytes and descriptors.
"""

import os
import pathlib
import socket
import struct
import subprocess
import tempfile
import time

import stage
from virtfs import build, process

HELLO, FORGET, WALK, GETATTR = 1, 2, 3, 4
OPEN, ADOPT, RING = 8, 17, 18
REPLY = 0x8000
ROOT = 1                        # the handle of the export's root
ADOPTED = 1 << 63
OPENING = struct.pack('=IIII', 0x32585039, 8, 2, 0)


def message(kind, payload=b'', tag=1, nfds=0):
    """A message in the frame of version 2."""
    return struct.pack('<IHHI', 12 + len(payload), kind, nfds, tag) + payload


def walk(*names, handle=ROOT):
    """The payload of a WALK."""
    return struct.pack('<QH', handle, len(names)) + b''.join(
        struct.pack('<H', len(n)) + n.encode() for n in names)


class Client:
    """A connection to a helper."""

    def __init__(self, path, limit=stage.LIMIT):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(limit)
        self.socket.connect(str(path))
        self.bytes = b''
        self.fds = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Closes the connection and the descriptors that came."""
        self.socket.close()
        for fd in self.fds:
            os.close(fd)
        self.fds = []

    def send(self, data, fds=()):
        """Sends bytes, with descriptors."""
        if fds:
            socket.send_fds(self.socket, [data], fds)
        else:
            self.socket.sendall(data)

    def try_to_send(self, data, fds):
        """Sends bytes with descriptors, unless the helper does not let it:
        it may have ended the connection, or take none (SO_PASSRIGHTS)."""
        try:
            self.send(data, fds)
        except OSError:
            pass

    def receive(self):
        """The next message: (type, error, rest). EOFError at the end."""
        while len(self.bytes) < 12 or \
                len(self.bytes) < struct.unpack_from('<I', self.bytes)[0]:
            data, fds, _, _ = socket.recv_fds(self.socket, 65536, 253)
            if not data:
                raise EOFError('the helper has closed the connection')
            self.bytes += data
            self.fds += fds
        size, kind = struct.unpack_from('<IH', self.bytes)
        said, self.bytes = self.bytes[12:size], self.bytes[size:]
        return kind, struct.unpack_from('<I', said)[0], said[4:]

    def hello(self):
        """Opens the protocol."""
        self.send(OPENING)
        kind, error, _ = self.receive()
        if (kind, error) != (HELLO | REPLY, 0):
            raise EOFError(f'the helper says {kind}, {error}')
        return self

    def call(self, kind, payload=b'', fds=()):
        """Sends a request: (error, rest) of the reply."""
        self.send(message(kind, payload, nfds=len(fds)), fds)
        _, error, rest = self.receive()
        return error, rest


class Helper:
    """A running helper that listens on a socket."""

    def __init__(self, folder, export, *options, limit=stage.LIMIT):
        self.path = pathlib.Path(folder, 'socket')
        # pylint: disable=consider-using-with
        self.said = tempfile.TemporaryFile()
        self.child = process.spawn(
            [str(build.HELPER), '-p', str(export), '-s', str(self.path), '-n',
             *options], stderr=self.said)
        # Its change of user cancels the signal at its parent's end
        self.watcher = subprocess.Popen(
            ['sh', '-c', 'cat; kill "$1"', 'sh', str(self.child.pid)],
            stdin=subprocess.PIPE, start_new_session=True)
        end = time.monotonic() + limit
        while not self.path.is_socket() and self.child.poll() is None \
                and time.monotonic() < end:
            time.sleep(0.01)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def complaint(self):
        """What it has said on stderr."""
        self.said.seek(0)
        return self.said.read().decode(errors='replace')

    def server(self):
        """The process that serves: the supervisor's child."""
        done = subprocess.run(['pgrep', '-P', str(self.child.pid)],
                              capture_output=True, text=True, check=True)
        return int(done.stdout.split()[0])

    def close(self):
        """Ends it."""
        self.watcher.kill()
        self.watcher.communicate()
        process.end(self.child)
        self.said.close()
