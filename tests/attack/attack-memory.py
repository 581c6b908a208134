#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that makes QEMU and the helper hold memory.

Open directories, open files, fids, attribute fids and requests without an end:
each takes little, and the options max-open-files, max-fids and max_xattr bound
their number.
"""

import errno
import os
import pathlib
import struct

import ninep
import stage

MANY = 1000
ENTRIES = 200                   # more than fit into one reply
KIB_EACH = 8                    # for an open directory that was read in part


def memory(pid):
    """The memory of a process and of its children, in KiB."""
    total = 0
    for each in [pid, *stage.children(pid)]:
        try:
            text = pathlib.Path(f'/proc/{each}/smaps_rollup').read_text(
                encoding='ascii')
        except OSError:
            continue            # the server, for an ordinary user
        total += int(text.partition('Pss:')[2].split()[0])
    return total


@stage.for_drivers()
class Memory(stage.Attack):
    """Much of everything"""

    def run_qemu(self, options=''):
        """A QEMU with a folder of many entries, and few options."""
        (self.folder / 'many').mkdir()
        for i in range(ENTRIES):
            (self.folder / f'many/{i:04}').touch(0o666)
        return stage.run_qemu(stage.DRIVERS[self.driver]
                              % (self.folder / 'many') + options)

    def test_directories(self):
        """Directories that are read in part take little memory"""
        with self.run_qemu() as qemu:
            guest = qemu.sessions[0]
            before = memory(qemu.child.pid)
            for i in range(MANY):
                fid = guest.walk()
                guest.open(fid, os.O_RDONLY | os.O_DIRECTORY)
                guest.call(ninep.TREADDIR, struct.pack('<IQI', fid, 0, 512))
            grown = memory(qemu.child.pid) - before
            self.assertLess(grown, MANY * KIB_EACH, 'KiB')

    def refused_after(self, work, number, error):
        """Work succeeds so many times, and then gets an error."""
        for i in range(number):
            work(i)
        for i in range(3):
            self.assert_refused({error}, work, number + i)

    def test_options(self):
        """max-open-files and max-fids hold, and what is given back counts"""
        with self.run_qemu(',max-open-files=10,max-fids=50') as qemu:
            guest = qemu.sessions[0]
            fids = [guest.walk(f'{i:04}') for i in range(20)]
            self.refused_after(lambda i: guest.open(fids[i]), 10,
                               errno.ENFILE)
            guest.clunk(fids[0])
            guest.open(fids[15])
            more = []
            try:
                for i in range(50):
                    more.append(guest.walk(f'{100 + i:04}'))
            except ninep.Error as e:
                self.assertEqual(e.errno, errno.ENFILE)
            self.assertGreater(len(more), 20)
            self.assertLess(len(more), 35)
            guest.clunk(more.pop())
            guest.walk('0001')


if __name__ == '__main__':
    stage.main()
