#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""A host user who locks the helper's pid file.

The helper holds a lock on its pid file, which stays when the helper is killed.
A user who can open the file for reading could lock it and prevent all later
starts.
"""

import os
import pathlib
import signal
import subprocess
import tempfile
import unittest

import client
import stage

# Locks a file for reading, says so, and waits
LOCK = '''
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.lockf(fd, fcntl.LOCK_SH)
print("locked", flush=True)
sys.stdin.read()
'''


@unittest.skipIf(os.geteuid() != 0, 'needs two users: not run by root')
class PidFile(unittest.TestCase):
    """A pid file that is left over, and its reader"""

    def serves(self, helper):
        """The helper has started."""
        try:
            with client.Client(helper.path) as c:
                c.hello()
        except OSError as e:
            self.fail(f'{e!r}: {helper.complaint()}')

    def test_lock(self):
        """The helper starts again, whatever another user does"""
        with tempfile.TemporaryDirectory(prefix='virtfs-attack-') as name:
            folder = pathlib.Path(name)
            folder.chmod(0o755)
            (folder / 'export').mkdir()
            pidfile = folder / 'pid'
            options = ['--pidfile', str(pidfile)]
            with client.Helper(folder, folder / 'export', *options) as first:
                self.serves(first)
                os.kill(first.child.pid, signal.SIGKILL)
                first.child.wait()
                first.path.unlink(missing_ok=True)
            self.assertTrue(pidfile.read_text())
            with subprocess.Popen(
                    ['/usr/bin/python3', '-c', LOCK, pidfile],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL, cwd='/', user=65534,
                    group=65534, extra_groups=[]) as attacker:
                attacker.stdout.readline()      # locked, or refused
                with client.Helper(folder, folder / 'export',
                                   *options) as second:
                    self.serves(second)
                attacker.communicate()


if __name__ == '__main__':
    stage.main()
