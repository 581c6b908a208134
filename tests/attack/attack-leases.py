#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""A host user with leases on files, who does not answer.

An open of such a file waits for the holder of the lease (F_SETLEASE in
fcntl(2)), 45 seconds if the holder does nothing. A guest that opens as many of
them as there are threads would keep everything else waiting.
"""

import fcntl
import os
import signal
import struct
import time
import unittest

import ninep
import stage

FILES = 40
SOON = 1                        # seconds for what must not wait


@stage.for_drivers()
class Leases(unittest.TestCase):
    """Opens of files with leases, and what else the guest does"""

    driver = None

    def setUp(self):
        self.export = stage.place().export(self.driver) / 'leases'
        (self.export / 'more').mkdir(parents=True)
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        self.leases = []
        for i in range(FILES):
            path = self.export / f'{i}'
            path.write_bytes(b'text')
            path.chmod(0o666)
            fd = os.open(path, os.O_RDWR)
            self.leases.append(fd)
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        self.addCleanup(self.release)
        (self.export / 'more/file').write_bytes(b'text')
        (self.export / 'more/file').chmod(0o666)

    def release(self):
        """Gives the leases back."""
        for fd in self.leases:
            os.close(fd)
        self.leases = []

    def serve(self, guest):
        """Other work of the guest's, none of which may wait."""
        start = time.monotonic()
        fid = guest.walk('more', 'file', limit=SOON)
        guest.getattr(fid, limit=SOON)
        guest.open(fid, os.O_RDWR, limit=SOON)
        guest.write(fid, b'text')
        self.assertEqual(guest.read(fid), b'text')
        guest.setattr(guest.walk('more', 'file'), SOON, mode=0o666)
        guest.create(guest.walk('more'), f'new{fid}')
        guest.mkdir(f'dir{fid}', guest.walk('more'))
        guest.names(guest.walk('more'))
        self.assertLess(time.monotonic() - start, SOON)

    def test_leases(self):
        """Other files, other exports and QMP go on, and Tflush works"""
        spec = stage.DRIVERS[self.driver]
        with stage.run_qemu(spec % self.export,
                            spec % (self.export / 'more')) as qemu:
            guest, other = qemu.sessions
            fids = [guest.walk(f'{i}') for i in range(FILES)]
            slots = [guest.send(ninep.TLOPEN, struct.pack(
                '<II', fid, os.O_RDWR)) for fid in fids]
            time.sleep(0.2)
            for _ in range(3):
                start = time.monotonic()
                qemu.qmp('query-status')
                fid = other.walk('file', limit=SOON)
                other.open(fid, limit=SOON)
                self.assertLess(time.monotonic() - start, SOON)
                self.serve(guest)
            flushed = guest.send(ninep.TFLUSH, struct.pack('<H', slots[0]))
            guest.wait(flushed, SOON)
            self.release()
            for slot in slots[1:]:
                guest.wait(slot)


if __name__ == '__main__':
    stage.main()
