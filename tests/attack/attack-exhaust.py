#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that opens files without end: CVE-2020-10717.

A server without a limit uses up its descriptors. Then QEMU cannot open anything
for itself, and the guest's other messages fail or the process ends. The limit
is one for all exports of a QEMU, which belong to one guest: where it is
reached, an open of any of them gets ENFILE, and all else works.
"""

import errno
import os
import pathlib
import struct

import ninep
import stage

NOFILE = 300                    # QEMU's limit, and the helper's
OPENS = 600
FEW = 20


def descriptors(pid):
    """The number of descriptors that a process has."""
    return len(os.listdir(f'/proc/{pid}/fd'))


@stage.for_drivers()
class Exhaust(stage.Attack):
    """Opens without end, with a neighbour on another export"""

    def attack(self, work):
        """Lets a guest do work(guest, i) for many i, until an error."""
        spec = stage.DRIVERS[self.driver]
        for name in ('mine', 'other'):
            (self.folder / name).mkdir()
        for i in range(OPENS):
            (self.folder / f'mine/{i}').write_bytes(b'%d' % i)
            os.chmod(self.folder / f'mine/{i}', 0o666)
        (self.folder / 'other/file').write_bytes(b'neighbour')
        with stage.run_qemu(spec % (self.folder / 'mine'),
                            spec % (self.folder / 'other'),
                            limits=['prlimit', f'--nofile={NOFILE}']) as qemu:
            guest, neighbour = qemu.sessions
            self.serve(neighbour)
            before = descriptors(qemu.child.pid)
            fids = []
            for i in range(OPENS):
                try:
                    fids.append(work(guest, i))
                except ninep.Error:
                    break
            self.assertGreater(len(fids), FEW)
            neighbour.getattr(neighbour.walk('file'))
            neighbour.mkdir('made')
            neighbour.unlink('made', flags=ninep.REMOVEDIR)
            try:
                self.serve(neighbour)
            except ninep.Error as e:
                self.assertIn(e.errno, (errno.ENFILE, errno.EMFILE))
            self.assertTrue(qemu.qmp('query-status'))
            self.open_for_qemu(qemu)
            self.assertLessEqual(descriptors(qemu.child.pid), NOFILE)
            for fid in fids:
                guest.clunk(fid)
            for i in range(FEW):        # all is there again
                fid = guest.walk(f'{i}')
                guest.open(fid)
                self.assertEqual(guest.read(fid), b'%d' % i)
                guest.clunk(fid)
            self.serve(neighbour)
            self.assertLess(descriptors(qemu.child.pid), before + 2 * FEW)

    def serve(self, guest):
        """A neighbour's work succeeds."""
        for _ in range(3):
            fid = guest.walk('file')
            guest.open(fid)
            self.assertEqual(guest.read(fid), b'neighbour')
            guest.clunk(fid)
        fid = guest.walk()
        guest.create(fid, f'new{fid}')
        guest.clunk(fid)

    def open_for_qemu(self, qemu):
        """QEMU itself can still open a file."""
        path = pathlib.Path(self.place.top, 'dump')
        path.unlink(missing_ok=True)
        qemu.qmp('pmemsave', val=0, size=4096, filename=str(path))
        self.assertEqual(path.stat().st_size, 4096)

    def test_files(self):
        """Open files"""
        def work(guest, i):
            fid = guest.walk(f'{i}')
            try:
                guest.open(fid, os.O_RDWR)
            except ninep.Error:
                guest.clunk(fid)
                raise
            return fid
        self.attack(work)

    def test_directories(self):
        """Open directories, each read in part"""
        def work(guest, _):
            fid = guest.walk()
            try:
                guest.open(fid, os.O_RDONLY | os.O_DIRECTORY)
                guest.call(ninep.TREADDIR, struct.pack('<IQI', fid, 0, 512))
            except ninep.Error:
                guest.clunk(fid)
                raise
            return fid
        self.attack(work)

    def test_fids(self):
        """Fids of different files, not open"""
        self.attack(lambda guest, i: guest.walk(f'{i}'))


if __name__ == '__main__':
    stage.main()
