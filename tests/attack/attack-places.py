#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""A host user in whose directory root's helper makes its socket.

That user swaps whatever appears in the directory with links to files of root's
and with a directory of the user's own. If the helper then acts by name, it
gives root's file away, or removes it.
"""

import os
import pathlib
import subprocess
import tempfile
import unittest

import client
import stage
from virtfs import process

NOBODY = 65534
STARTS = 60

# Swaps each new name in the current directory with one of the attacker's
ATTACKER = '''
import ctypes, os, sys
libc = ctypes.CDLL(None)
victim = sys.argv[1]
os.mkdir("mine")
os.link(victim, "mine/socket") if os.access(victim, os.R_OK) else None
os.symlink(victim, "link")
print("ready", flush=True)
known = {"mine", "link"}
while True:
    for name in os.listdir("."):
        if name not in known:
            other = "mine" if os.path.isdir(name) else "link"
            libc.renameat2(-100, name.encode(), -100, other.encode(), 2)
'''


@unittest.skipIf(os.geteuid() != 0, 'needs two users: not run by root')
class Places(unittest.TestCase):
    """Directories that another user may change"""

    def setUp(self):
        # pylint: disable=consider-using-with
        scratch = tempfile.TemporaryDirectory(prefix='virtfs-attack-',
                                              ignore_cleanup_errors=True)
        self.addCleanup(scratch.cleanup)
        process.remove_after_end(scratch.name)
        self.top = pathlib.Path(scratch.name)
        self.top.chmod(0o755)
        (self.top / 'export').mkdir()
        self.victim = self.top / 'victim'
        self.victim.write_bytes(b"root's")
        self.before = stage.snapshot(self.top / 'victim')
        self.theirs = self.top / 'theirs'
        self.theirs.mkdir()

    def attack(self, mode, owner, *options):
        """Starts helpers while the directory's user swaps: how many served."""
        self.theirs.chmod(mode)
        os.chown(self.theirs, owner, owner)
        served = 0
        with subprocess.Popen(
                ['/usr/bin/python3', '-c', ATTACKER, str(self.victim)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, cwd=self.theirs, user=NOBODY,
                group=NOBODY, extra_groups=[]) as attacker:
            try:
                attacker.stdout.readline()
                for _ in range(STARTS):
                    with client.Helper(self.theirs, self.top / 'export',
                                       *options, limit=2) as helper:
                        served += helper.child.poll() is None
                    self.assertEqual(self.before, stage.snapshot(self.victim))
                    self.assertTrue((self.top / 'export').is_dir())
            finally:
                attacker.kill()
        return served

    def test_other_user(self):
        """A directory of a user who has nothing to do with the helper"""
        self.assertEqual(self.attack(0o755, NOBODY, '--uid', '0',
                                     '--user', '1234'), 0)

    def test_writable(self):
        """A directory of root's in which all may change names"""
        self.assertEqual(self.attack(0o777, 0), 0)

    def test_socket_user(self):
        """A directory of the user for whom the socket is"""
        self.attack(0o755, NOBODY, '--uid', str(NOBODY), '--user', '1234')


if __name__ == '__main__':
    stage.main()
