#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""A client that uses one place in the helper's table for months.

A handle's number says how often its place was used. After 2^31 uses the number
would get the bit of handles that QEMU chose: then nobody could use or forget
it, and the place would be lost. The attack writes the count into the helper's
memory in place of the months.
"""

import os
import pathlib
import struct
import tempfile
import unittest

import client
import debugger
import stage

LATE = 0x7ffffffe               # uses that the client has had
ROUNDS = 6
FILES = 3


def count_up(pid, st, handle):
    """Sets the uses of the place of a handle: of the inode with st."""
    place = struct.pack('=QQ', st.st_dev, st.st_ino)
    number = struct.pack('=I', (handle & 0xffffffff) - 1)
    found = []
    with open(f'/proc/{pid}/maps', encoding='ascii') as maps, \
            open(f'/proc/{pid}/mem', 'r+b', buffering=0) as memory:
        for line in maps:
            area, rights = line.split()[:2]
            start, end = (int(n, 16) for n in area.split('-'))
            if rights != 'rw-p':
                continue
            memory.seek(start)
            data = memory.read(end - start)
            at = data.find(place)
            while at >= 0:
                # dev ino refs parent, fd users generation next number
                if data[at + 48:at + 52] == number:
                    found.append(start + at + 40)
                at = data.find(place, at + 8)
        if len(found) == 1:
            memory.seek(found[0])
            memory.write(struct.pack('=I', LATE))
    return len(found)


@unittest.skipIf(debugger.unable(), debugger.unable())
class Handles(unittest.TestCase):
    """A place that is used once too often"""

    def call(self, c, kind, payload):
        """A request that must succeed: the rest of its reply."""
        error, rest = c.call(kind, payload)
        self.assertEqual(error, 0, f'request {kind}: {os.strerror(error)}')
        return rest

    def test_late(self):
        """Handles stay good, and no place is lost"""
        with tempfile.TemporaryDirectory(prefix='virtfs-attack-') as name:
            top = pathlib.Path(name)
            top.chmod(0o755)
            (top / 'export').mkdir()
            for i in range(FILES):
                (top / f'export/file{i}').write_bytes(b'text')
            with client.Helper(top, top / 'export') as helper, \
                    client.Client(helper.path) as c:
                c.hello()
                self.attack(c, helper.server(), top / 'export')

    def attack(self, c, pid, export):
        """Walks to files and forgets them, around the last use."""
        handle = self.handle_of(c, 'file0')
        self.assertEqual(
            count_up(pid, os.stat(export / 'file0'), handle), 1)
        handle = (handle & 0xffffffff) | LATE << 32
        used = set()
        for i in range(ROUNDS):
            used.add(handle & 0xffffffff)
            self.assertFalse(handle & client.ADOPTED, hex(handle))
            self.call(c, client.GETATTR, struct.pack('<Q', handle))
            c.send(client.message(client.FORGET, struct.pack(
                '<HQI', 1, handle, 1)))
            handle = self.handle_of(c, f'file{(i + 1) % FILES}')
        self.assertEqual(len(used), 1, 'a place is lost')

    def handle_of(self, c, name):
        """A walk's new handle, which follows the attributes of the name."""
        rest = self.call(c, client.WALK, client.walk(name))
        return struct.unpack_from('<Q', rest, len(rest) - 18)[0]


if __name__ == '__main__':
    stage.main()
