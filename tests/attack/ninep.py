# SPDX-License-Identifier: GPL-2.0-or-later
"""A hostile guest: raw 9P2000.L messages through QEMU's real virtio-9p devices.

The guest is this process. QEMU runs with -qtest and shares the guest's memory;
this process drives the PCI bus and one legacy virtio device for each export
through I/O ports. The virtual processor never runs. Many messages can be in
flight, and each can have any content.
"""

import errno
import mmap
import os
import select
import socket
import struct
import time

LIMIT = 60                      # seconds for an answer

# Messages
(TSTATFS, TLOPEN, TLCREATE, TSYMLINK, TMKNOD, TRENAME, TREADLINK, TGETATTR,
 TSETATTR, TXATTRWALK, TXATTRCREATE, TREADDIR, TFSYNC, TLOCK, TGETLOCK, TLINK,
 TMKDIR, TRENAMEAT, TUNLINKAT, TVERSION, TATTACH, TFLUSH, TWALK, TREAD, TWRITE,
 TCLUNK, TREMOVE) = (
    8, 12, 14, 16, 18, 20, 22, 24, 26, 30, 32, 40, 50, 52, 54, 70, 72, 74, 76,
    100, 104, 108, 110, 116, 118, 120, 122)
RLERROR = 7

ROOT = 1                        # the fid of the export's root
NOFID = NOUID = 0xffffffff
REMOVEDIR = 0x200

MSIZE = 64 << 10
SLOTS = 48                      # messages in flight for each device
PAGE = 4096
PORTS, PORTS_EACH = 0xc000, 0x40
FIRST_SLOT = 4                  # of the devices on the PCI bus
AREA = 8 << 20                  # guest memory for each device
MEMORY = 128 << 20


def text(value):
    """A string of 9P: of a str or of any bytes."""
    if isinstance(value, str):
        value = os.fsencode(value)
    return struct.pack('<H', len(value)) + value


class NoAnswer(Exception):
    """QEMU did not answer in time, or has ended."""


class Error(OSError):
    """An Rlerror."""

    def __init__(self, number):
        super().__init__(number, os.strerror(number))


class Guest:
    """The machine: its memory, and I/O ports through the qtest protocol."""

    def __init__(self):
        self.memory_fd = os.memfd_create('guest')
        os.ftruncate(self.memory_fd, MEMORY)
        self.memory = mmap.mmap(self.memory_fd, MEMORY)
        self.end, self.qemu_end = socket.socketpair()
        self.end.settimeout(LIMIT)
        self.file = self.end.makefile('rb')

    def arguments(self):
        """QEMU's arguments for this machine, and the descriptors for it."""
        return (['-machine', 'pc,memory-backend=ram', '-accel', 'qtest',
                 '-m', str(MEMORY >> 20), '-object',
                 f'memory-backend-file,id=ram,share=on,size={MEMORY},'
                 f'mem-path=/proc/self/fd/{self.memory_fd}', '-S',
                 '-chardev', f'socket,id=qtest,fd={self.qemu_end.fileno()}',
                 '-qtest', 'chardev:qtest', '-qtest-log', 'none',
                 '-nodefaults', '-no-user-config', '-display', 'none'],
                (self.memory_fd, self.qemu_end.fileno()))

    def command(self, line):
        """Sends a command of qtest: the words of the answer."""
        try:
            self.end.sendall(line.encode() + b'\n')
            answer = self.file.readline().decode().split()
        except OSError as e:
            raise NoAnswer(f'QEMU does not answer: {e}') from e
        if not answer or answer[0] != 'OK':
            raise NoAnswer(f'QEMU has ended: {answer}')
        return answer[1:]

    def out(self, width, port, value):
        """Writes to a port."""
        self.command(f'out{width} {port:#x} {value:#x}')

    def get(self, width, port):
        """Reads a port."""
        return int(self.command(f'in{width} {port:#x}')[0], 16)

    def close(self):
        """Ends the guest, not QEMU."""
        self.file.close()
        self.end.close()
        self.qemu_end.close()
        os.close(self.memory_fd)


class Device:
    """A virtio-9p device, by its number from 0 on, and its queue."""

    def __init__(self, guest, number):
        self.guest = guest
        self.memory = guest.memory
        self.ports = PORTS + PORTS_EACH * number
        self.base = (1 + number) * AREA
        self.slot = FIRST_SLOT + number
        self.watch = None               # bytes that no reply may hold
        self.leaks = []                 # replies that held them
        self.reset()

    def _config(self, at, value):
        self.guest.out('l', 0xcf8, 0x80000000 | self.slot << 11 | at)
        self.guest.out('l', 0xcfc, value)

    def reset(self):
        """Resets the device and makes its queue anew; replies are lost."""
        self._config(0x10, self.ports)
        self._config(0x04, 5)           # ports, bus master
        self.guest.out('b', self.ports + 18, 0)
        self.guest.out('b', self.ports + 18, 3)
        self.guest.out('w', self.ports + 14, 0)
        self.size = self.guest.get('w', self.ports + 12)
        self.guest.out('l', self.ports + 4, 0)
        self.avail = self.base + 16 * self.size
        self.used = -(-(self.avail + 6 + 2 * self.size) // PAGE) * PAGE
        self.buffers = self.base + (1 << 20)
        self.memory[self.base:self.buffers] = bytes(1 << 20)
        struct.pack_into('<H', self.memory, self.avail, 1)  # no interrupts
        self.put = self.seen = 0
        self.free = list(range(SLOTS))
        self.done = {}
        self.guest.out('l', self.ports + 8, self.base // PAGE)
        self.guest.out('b', self.ports + 18, 7)

    def send(self, kind, payload=b'', tag=None):
        """Sends a message: its slot, for wait(). The tag is the slot's number
        unless given."""
        while not self.free:
            self._take(time.monotonic() + LIMIT)
        slot = self.free.pop()
        self.done.pop(slot, None)       # nobody has waited for it
        at = self.buffers + slot * 2 * MSIZE
        message = struct.pack('<IBH', 7 + len(payload), kind,
                              slot if tag is None else tag) + payload
        self.memory[at:at + len(message)] = message
        self.memory[at + MSIZE:at + MSIZE + 7] = bytes(7)
        struct.pack_into('<QIHHQIHH', self.memory, self.base + 32 * slot,
                         at, len(message), 1, 2 * slot + 1,
                         at + MSIZE, MSIZE, 2, 0)
        struct.pack_into('<H', self.memory,
                         self.avail + 4 + 2 * (self.put % self.size), 2 * slot)
        self.put = (self.put + 1) & 0xffff
        struct.pack_into('<H', self.memory, self.avail + 2, self.put)
        self.guest.out('w', self.ports + 16, 0)
        return slot

    def _take(self, end):
        """Waits for replies, until end, and takes them."""
        pause = 0.00005
        while struct.unpack_from('<H', self.memory,
                                 self.used + 2)[0] == self.seen:
            if time.monotonic() > end:
                raise NoAnswer('QEMU does not answer a message')
            if select.select([self.guest.end], [], [], pause)[0]:
                raise NoAnswer('QEMU has ended')
            pause = min(0.005, 2 * pause)
        slot = struct.unpack_from(
            '<I', self.memory,
            self.used + 4 + 8 * (self.seen % self.size))[0] // 2
        self.seen = (self.seen + 1) & 0xffff
        at = self.buffers + slot * 2 * MSIZE + MSIZE
        size, kind = struct.unpack_from('<IB', self.memory, at)
        reply = bytes(self.memory[at + 7:at + size])
        if self.watch and self.watch in reply:
            self.leaks.append((kind, reply))
        self.done[slot] = kind, reply
        self.free.append(slot)

    def wait(self, slot, limit=LIMIT):
        """The reply to a message, (type, payload)."""
        end = time.monotonic() + limit
        while slot not in self.done:
            self._take(end)
        return self.done.pop(slot)

    def drain(self, limit=LIMIT):
        """Waits until every message has a reply."""
        end = time.monotonic() + limit
        while self.seen != self.put:
            self._take(end)

    def call(self, kind, payload=b'', limit=LIMIT):
        """Sends a message: the payload of its reply. Error for Rlerror."""
        answer, payload = self.wait(self.send(kind, payload), limit)
        if answer == RLERROR:
            raise Error(struct.unpack('<I', payload)[0])
        if answer != kind + 1:
            raise NoAnswer(f'type {answer} answers type {kind}')
        return payload


class Session(Device):
    """A device with a 9P session; each method is a message."""

    def __init__(self, guest, number):
        super().__init__(guest, number)
        self.next_fid = ROOT + 1
        self.start()

    def start(self):
        """Begins the session; fid ROOT is the export."""
        self.call(TVERSION, struct.pack('<I', MSIZE) + text('9P2000.L'))
        self.attach(ROOT)

    def attach(self, fid, uid=0):
        """Makes a fid of the export's root, for a guest's user."""
        self.call(TATTACH, struct.pack('<II', fid, NOFID) + text('attacker')
                  + text('') + struct.pack('<I', uid))

    def fid(self):
        """A number that is no fid yet."""
        self.next_fid += 1
        return self.next_fid

    def walk(self, *names, fid=ROOT, new=None, limit=LIMIT):
        """A new fid of names below a fid. ENOENT if not all were found."""
        new = self.fid() if new is None else new
        reply = self.call(TWALK, walk(fid, new, names), limit)
        if struct.unpack_from('<H', reply)[0] != len(names):
            raise Error(errno.ENOENT)
        return new

    def clunk(self, fid):
        """Gives a fid back."""
        self.call(TCLUNK, struct.pack('<I', fid))

    def open(self, fid, flags=os.O_RDONLY, limit=LIMIT):
        """Opens a fid."""
        self.call(TLOPEN, struct.pack('<II', fid, flags), limit)

    def create(self, fid, name, mode=0o644, gid=0, flags=os.O_RDWR):
        """Makes a file in a directory's fid, which becomes the file's."""
        self.call(TLCREATE, struct.pack('<I', fid) + text(name)
                  + struct.pack('<III', flags, mode, gid))

    def read(self, fid, count=4096, offset=0):
        """Reads from an open fid."""
        reply = self.call(TREAD, struct.pack('<IQI', fid, offset, count))
        return reply[4:]

    def write(self, fid, data, offset=0):
        """Writes to an open fid."""
        reply = self.call(TWRITE, struct.pack('<IQI', fid, offset, len(data))
                          + data)
        return struct.unpack('<I', reply)[0]

    def mkdir(self, name, fid=ROOT, mode=0o755, gid=0):
        """Makes a directory."""
        self.call(TMKDIR, struct.pack('<I', fid) + text(name)
                  + struct.pack('<II', mode, gid))

    def symlink(self, name, target, fid=ROOT, gid=0):
        """Makes a symbolic link."""
        self.call(TSYMLINK, struct.pack('<I', fid) + text(name) + text(target)
                  + struct.pack('<I', gid))

    def unlink(self, name, fid=ROOT, flags=0):
        """Removes a name."""
        self.call(TUNLINKAT, struct.pack('<I', fid) + text(name)
                  + struct.pack('<I', flags))

    def getattr(self, fid, limit=LIMIT):
        """(mode, uid, gid, size) of a fid."""
        reply = self.call(TGETATTR, struct.pack('<IQ', fid, 0x7ff), limit)
        mode, uid, gid = struct.unpack_from('<III', reply, 21)
        return mode, uid, gid, struct.unpack_from('<Q', reply, 49)[0]

    def setattr(self, fid, limit=LIMIT, **values):
        """Sets mode, uid, gid or size."""
        self.call(TSETATTR, setattr_of(fid, **values), limit)

    def readlink(self, fid):
        """A symbolic link's target."""
        return self.call(TREADLINK, struct.pack('<I', fid))[2:]

    def names(self, fid=ROOT):
        """The names in a directory."""
        new = self.walk(fid=fid)
        self.open(new, os.O_RDONLY | os.O_DIRECTORY)
        found, offset = [], 0
        while True:
            reply = self.call(TREADDIR, struct.pack('<IQI', new, offset,
                                                    MSIZE // 2))
            if len(reply) == 4:
                break
            at = 4
            while at < len(reply):
                offset, _, size = struct.unpack_from('<QBH', reply, at + 13)
                found.append(reply[at + 24:at + 24 + size])
                at += 24 + size
        self.clunk(new)
        return found

    def getxattr(self, fid, name):
        """An attribute's value, or with an empty name all their names."""
        new = self.fid()
        reply = self.call(TXATTRWALK, struct.pack('<II', fid, new)
                          + text(name))
        size = struct.unpack('<Q', reply)[0]
        value = self.read(new, size) if size else b''
        self.clunk(new)
        return value

    def setxattr(self, fid, name, value, flags=0):
        """Sets an attribute; an empty value without flags removes it."""
        new = self.walk(fid=fid)
        try:
            self.call(TXATTRCREATE, struct.pack('<I', new) + text(name)
                      + struct.pack('<QI', len(value), flags))
            if value:
                self.write(new, value)
        except Error:
            try:
                self.clunk(new)
            except Error:
                pass                    # the first error says more
            raise
        self.clunk(new)


def walk(fid, new, names=()):
    """The payload of a Twalk."""
    return struct.pack('<IIH', fid, new, len(names)) + b''.join(
        map(text, names))


def setattr_of(fid, mode=None, uid=None, gid=None, size=None):
    """The payload of a Tsetattr."""
    valid = sum(1 << i for i, v in enumerate((mode, uid, gid, size))
                if v is not None)
    return struct.pack('<IIIIIQQQQQ', fid, valid, mode or 0, uid or 0,
                       gid or 0, size or 0, 0, 0, 0, 0)
