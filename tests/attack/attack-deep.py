#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""A short message that makes the host work for long: .. in deep directories.

Each .. of a walk must be checked against the export's root. If the check goes
up step by step, a message of 86 bytes costs as many steps as 16 times the
depth, and the requests of others wait for it. In an export that is a mount of
its own each step costs more.
"""

import os
import subprocess
import time
import unittest

import ninep
import stage

DEPTH = 4000
SOON = 1                        # seconds for what must not wait
SLOW = 1.5                      # for all walks together


def make_deep(folder):
    """Makes directories d/d/d..., far longer than a path may be."""
    fd = os.open(folder, os.O_RDONLY)
    for _ in range(DEPTH):
        os.mkdir('d', dir_fd=fd)
        below = os.open('d', os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)


class Deep(unittest.TestCase):
    """Walks up, at a great depth, while others work"""

    @classmethod
    def setUpClass(cls):
        cls.place = stage.place()
        cls.export = cls.place.top / 'deep'
        cls.export.mkdir()
        cls.mounted = os.geteuid() == 0 and not subprocess.run(
            ['mount', '--bind', cls.export, cls.export],
            check=False).returncode
        if cls.mounted:
            cls.addClassCleanup(subprocess.run, ['umount', '-l', cls.export],
                                check=True)
        (cls.export / 'file').write_bytes(b'text')
        make_deep(cls.export)

    def test_up(self):
        """Four walks of .. hold nothing up, in each driver"""
        for name, spec in stage.DRIVERS.items():
            with self.subTest(driver=name), stage.run_qemu(
                    spec % self.export, spec % self.export) as qemu:
                # Version 1 of the protocol has paths, which are shorter
                self.attack(qemu, 1000 if 'protocol 1' in name else DEPTH)

    def attack(self, qemu, depth):
        """Walks up and down, and looks how long others wait."""
        guest, other = qemu.sessions
        fid = guest.walk()
        for _ in range(depth // 16):
            guest.walk(*['d'] * 16, fid=fid, new=fid)
        start = time.monotonic()
        slots = [guest.send(ninep.TWALK, ninep.walk(
            fid, guest.fid(), ['..', 'd'] * 8)) for _ in range(4)]
        file = other.walk('file', limit=SOON)
        other.open(file, limit=SOON)
        self.assertEqual(other.read(file), b'text')
        now = time.monotonic()
        qemu.qmp('query-status')
        self.assertLess(time.monotonic() - now, SOON)
        self.assertLess(time.monotonic() - start, SOON)
        for slot in slots:
            guest.wait(slot)
        self.assertLess(time.monotonic() - start, SLOW)


if __name__ == '__main__':
    stage.main()
