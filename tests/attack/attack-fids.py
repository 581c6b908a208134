#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages on one fid at the same time: CVE-2018-19364 and CVE-2021-20181.

A server that changes a fid's path in one thread while another uses it, or that
frees a fid while a message waits for the host, uses freed memory. Here storms
of messages rename, open, create on, walk from, clunk and remove the same few
fids; in one test QEMU has so few descriptors that it must take them back from
fids at the same time. A build with a sanitizer sees more than the end of QEMU:
./check --sanitize=address,undefined attack
"""

import os
import random
import struct

import ninep
import stage

BATCHES = 60
FIDS = range(100, 106)
NAMES = ['a', 'b', 'c', 'dir', 'dir2']


def storm(guest, folder, random_, batches=BATCHES):
    """Sends batches of random messages on FIDS, and takes all replies: the
    types of the replies without error."""
    seen = set()
    here = struct.pack('<I', folder)

    def name():
        return ninep.text(random_.choice(NAMES))

    def message():
        fid = random_.choice(FIDS)
        one = struct.pack('<I', fid)
        return random_.choice((
            lambda: (ninep.TWALK, ninep.walk(folder, fid, random_.choices(
                NAMES, k=random_.randrange(3)))),
            lambda: (ninep.TWALK, ninep.walk(fid, random_.choice(FIDS), [])),
            lambda: (ninep.TLOPEN, one + struct.pack('<I', random_.choice(
                (os.O_RDONLY, os.O_RDWR)))),
            lambda: (ninep.TLCREATE, one + name() + struct.pack(
                '<III', os.O_RDWR, 0o644, 0)),
            lambda: (ninep.TMKDIR, here + name() + struct.pack(
                '<II', 0o755, 0)),
            lambda: (ninep.TRENAME, one + here + name()),
            lambda: (ninep.TRENAMEAT, here + name() + here + name()),
            lambda: (ninep.TSETATTR, ninep.setattr_of(fid, mode=0o755)),
            lambda: (ninep.TXATTRWALK, one + struct.pack(
                '<I', random_.choice(FIDS)) + ninep.text('')),
            lambda: (ninep.TXATTRCREATE, one + ninep.text('user.x')
                     + struct.pack('<QI', 8, 0)),
            lambda: (ninep.TREAD, struct.pack('<IQI', fid, 0, 512)),
            lambda: (ninep.TREADDIR, struct.pack('<IQI', fid, 0, 512)),
            lambda: (ninep.TWRITE, struct.pack('<IQI', fid, 0, 8) + bytes(8)),
            lambda: (ninep.TFSYNC, one + bytes(4)),
            lambda: (ninep.TGETATTR, one + struct.pack('<Q', 0x7ff)),
            lambda: (ninep.TREMOVE, one),
            lambda: (ninep.TCLUNK, one),
            lambda: (ninep.TUNLINKAT, here + name() + struct.pack(
                '<I', random_.choice((0, ninep.REMOVEDIR)))),
            lambda: (ninep.TFLUSH, struct.pack('<H', random_.randrange(
                ninep.SLOTS))),
        ))()

    for _ in range(batches):
        slots = [guest.send(*message()) for _ in range(ninep.SLOTS)]
        for slot in slots:
            kind, _ = guest.wait(slot)
            if kind not in (0, ninep.RLERROR):  # 0: flushed
                seen.add(kind - 1)
    for fid in FIDS:
        try:
            guest.clunk(fid)
        except ninep.Error:
            pass
    return seen


@stage.for_drivers()
class Fids(stage.Attack):
    """Storms of messages on few fids"""

    def setUp(self):
        super().setUp()
        seed = random.randrange(1 << 32)
        self.random = random.Random(seed)
        self.addCleanup(lambda: print(f'seed: {seed}'))

    def check_after(self, guest, folder):
        """The guest's session still works, also on the storm's fids."""
        for fid in FIDS:
            guest.walk('after', fid=folder, new=fid)
            self.assertEqual(guest.getattr(fid)[3], 5)
            guest.clunk(fid)

    def test_storm(self):
        """QEMU goes on, and the fids are as good as new afterwards"""
        new = self.guest.walk(fid=self.dir)
        self.guest.create(new, 'after')
        self.guest.write(new, b'after')
        seen = storm(self.guest, self.dir, self.random)
        self.assertLessEqual({ninep.TWALK, ninep.TLOPEN, ninep.TLCREATE,
                              ninep.TRENAMEAT, ninep.TCLUNK}, seen)
        self.check_after(self.guest, self.dir)

    def test_few_descriptors(self):
        """The same while QEMU runs out of descriptors, and files vanish"""
        fsdev = stage.DRIVERS[self.driver] % self.folder
        with stage.run_qemu(fsdev, limits=['prlimit', '--nofile=150']) as qemu:
            guest = qemu.sessions[0]
            new = guest.walk()
            guest.create(new, 'after')
            guest.write(new, b'after')
            many = []
            for i in range(200):
                fid = guest.walk()
                try:
                    guest.create(fid, f'many{i}')
                    many.append((fid, f'many{i}'))
                except ninep.Error:
                    guest.clunk(fid)
            slots = []
            for fid, name in many:
                slots += [guest.send(ninep.TUNLINKAT, struct.pack('<I', 1)
                                     + ninep.text(name) + bytes(4)),
                          guest.send(ninep.TGETATTR, struct.pack(
                              '<IQ', fid, 0x7ff)),
                          guest.send(ninep.TCLUNK, struct.pack('<I', fid))]
                if len(slots) > 20:
                    for slot in slots:
                        guest.wait(slot)
                    slots = []
            for slot in slots:
                guest.wait(slot)
            storm(guest, ninep.ROOT, self.random, BATCHES // 3)
            self.check_after(guest, ninep.ROOT)
            self.assertTrue(qemu.alive())


if __name__ == '__main__':
    stage.main()
