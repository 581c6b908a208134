#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""A write that the host's kernel does after the guest has its request back.

A host that freezes a file system, to back it up, or a disk that is slow, keeps
a write waiting. The guest resets its device and uses the memory for something
else. Then the kernel writes: it must not take other data from that memory. If
the guest named registers of a device as the data, QEMU read them into memory of
its own, which it has freed by now.
"""

import fcntl
import os
import struct
import subprocess
import time
import unittest

import ninep
import stage

FIFREEZE, FITHAW = 0xc0045877, 0xc0045878       # <linux/fs.h> has them
REGISTERS = 0xfec00000          # of the machine's I/O interrupt controller
SIZE = 4096
MARK = b'memory of another request '
FIRST = 100                     # descriptor that ninep does not use
SOON = 1                        # seconds for what must not wait


def send_write(guest, fid, offset, source):
    """Sends a Twrite whose data are at an address."""
    at = guest.base + ninep.AREA - 3 * ninep.PAGE
    guest.memory[at:at + 23] = struct.pack(
        '<IBHIQI', 23 + SIZE, ninep.TWRITE, FIRST, fid, offset, SIZE)
    for i, one in enumerate(((at, 23, 1, FIRST + 1),
                             (source, SIZE, 1, FIRST + 2),
                             (at + ninep.PAGE, ninep.PAGE, 2, 0))):
        struct.pack_into('<QIHH', guest.memory,
                         guest.base + 16 * (FIRST + i), *one)
    struct.pack_into('<H', guest.memory,
                     guest.avail + 4 + 2 * (guest.put % guest.size), FIRST)
    guest.put += 1
    struct.pack_into('<H', guest.memory, guest.avail + 2, guest.put)
    guest.guest.out('w', guest.ports + 16, 0)


@stage.for_drivers(root=True)
class Late(unittest.TestCase):
    """Writes to a frozen file system, by a guest that resets its device"""

    driver = None

    def setUp(self):
        top = stage.place().top
        self.export = top / 'frozen'
        self.export.mkdir(exist_ok=True)
        image = top / 'image'
        with open(image, 'wb') as f:
            f.truncate(64 << 20)
        for argv in (['mkfs.ext4', '-q', '-F', image],
                     ['mount', '-o', 'loop', image, self.export]):
            try:
                subprocess.run(argv, check=True, stderr=subprocess.DEVNULL)
            except (OSError, subprocess.CalledProcessError) as e:
                self.skipTest(f'no file system to freeze: {e}')
        # The kernel may still write to the one before, a while after umount
        image.unlink()
        self.addCleanup(subprocess.run, ['umount', '-l', self.export],
                        check=True)
        self.export.chmod(0o777)

    def freeze(self):
        """Freezes the file system: its descriptor, for thaw()."""
        fd = os.open(self.export, os.O_RDONLY)
        fcntl.ioctl(fd, FIFREEZE, 0)
        return fd

    def written(self, source, first=b'first', offset=0, flags=os.O_RDWR):
        """What the file holds after the attack: a first write, and then one at
        an offset; source: of the latter's data."""
        with stage.run_qemu(stage.DRIVERS[self.driver]
                            % self.export) as qemu:
            guest = qemu.sessions[0]
            fid = guest.walk()
            guest.create(fid, 'file', flags=flags)
            # QEMU may find out what the file system can do
            guest.write(fid, first)
            data = guest.base + ninep.AREA - ninep.PAGE
            guest.memory[data:data + SIZE] = b'A' * SIZE
            frozen = self.freeze()
            try:
                send_write(guest, fid, offset, source or data)
                time.sleep(0.3)
                guest.reset()
                guest.memory[data:data + SIZE] = b'B' * SIZE
                guest.start()
                for _ in range(40):
                    new = guest.walk()
                    guest.call(ninep.TXATTRCREATE, struct.pack('<I', new)
                               + ninep.text('user.x')
                               + struct.pack('<QI', SIZE - 6, 0))
                    guest.write(new, MARK * ((SIZE - 6) // len(MARK)))
            finally:
                fcntl.ioctl(frozen, FITHAW, 0)
                os.close(frozen)
            time.sleep(0.5)
            self.assertTrue(qemu.alive())
            return (self.export / 'file').read_bytes()

    def test_memory(self):
        """The data are those of the message, or nothing is written"""
        found = self.written(None)
        self.assertTrue(found in (b'first', b'A' * SIZE),
                        (len(found), found[:8], found[-8:]))

    def test_direct(self):
        """The same if the host's O_DIRECT refuses the write, when the file
        system is no longer frozen, and QEMU does it again without"""
        first = b'C' * SIZE
        found = self.written(None, first, 1, os.O_RDWR | os.O_DIRECT)
        self.assertTrue(found in (first, b'C' + b'A' * SIZE),
                        (len(found), found[:8], found[-8:]))

    def test_others(self):
        """QMP and other requests go on while the file system is frozen"""
        with stage.run_qemu(stage.DRIVERS[self.driver]
                            % self.export) as qemu:
            guest = qemu.sessions[0]
            fid = guest.walk()
            guest.create(fid, 'slow')
            frozen = self.freeze()
            try:
                start = time.monotonic()
                write = guest.send(ninep.TWRITE, struct.pack(
                    '<IQI', fid, 0, 4) + b'late')
                qemu.qmp('query-status')
                guest.getattr(1, limit=SOON)
                self.assertLess(time.monotonic() - start, SOON)
            finally:
                fcntl.ioctl(frozen, FITHAW, 0)
                os.close(frozen)
            guest.wait(write)

    def test_registers(self):
        """No memory of QEMU's comes into the file"""
        found = self.written(REGISTERS)
        self.assertFalse(MARK[:8] in found, found[:80])


if __name__ == '__main__':
    stage.main()
