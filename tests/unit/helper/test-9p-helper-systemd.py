#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""The helper under systemd: its units are correct, and it serves on the socket
that it gets, with the privilege that the service leaves it."""

import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import time
import unittest

UNITS = pathlib.Path(__file__).resolve().parents[3] / 'contrib/systemd'
NAME = 'virtfs-proxy-helper@'
INSTALLED = '@LIBEXECDIR@/virtfs-proxy-helper'
HELPER = os.environ['VIRTFS_PROXY_HELPER']
# "9PX2", the size of the payload, version 2, no flags
HELLO = struct.pack('=IIII', 0x32585039, 8, 2, 0)


class Systemd(unittest.TestCase):
    """The units of contrib/systemd"""

    def setUp(self):
        # pylint: disable=consider-using-with
        folder = tempfile.TemporaryDirectory(prefix='virtfs-systemd-')
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        for program in ('systemd-analyze', 'systemd-socket-activate'):
            if not shutil.which(program):
                self.skipTest(f'{program} is not installed')
        self.service = (UNITS / f'{NAME}.service').read_text(encoding='utf-8')

    def test_verify(self):
        """systemd accepts an instance of the units"""
        (self.folder / f'{NAME}srv-a.service').write_text(
            self.service.replace(INSTALLED, HELPER), encoding='utf-8')
        shutil.copy(UNITS / f'{NAME}.socket',
                    self.folder / f'{NAME}srv-a.socket')
        done = subprocess.run(
            ['systemd-analyze', 'verify', '--man=no',
             *sorted(self.folder.glob('*'))],
            capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, 'SYSTEMD_UNIT_PATH': f'{self.folder}:'})
        said = '\n'.join(line for line in done.stderr.splitlines()
                         if NAME in line)
        self.assertEqual((done.returncode, said), (0, ''))
        self.assertIn(INSTALLED, self.service)

    def test_activation(self):
        """The helper starts with the service's capabilities, and serves"""
        share, path = self.folder / 'share', self.folder / 'socket'
        share.mkdir()
        command = ['systemd-socket-activate', '-l', path, HELPER,
                   *re.search(r'^ExecStart=\S+ (.*) %f$', self.service,
                              re.M)[1].split(), share]
        if os.geteuid() == 0:
            wanted = re.findall(r'^CapabilityBoundingSet=(.*)', self.service,
                                re.M)
            bounds = ','.join('+' + c.lower().removeprefix('cap_')
                              for c in ' '.join(wanted).split())
            command = ['setpriv', '--no-new-privs',
                       f'--bounding-set=-all,{bounds}', *command]
        # Not between unittest's own lines
        with open(self.folder / 'said', 'w+', encoding='utf-8') as said, \
                subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                 stdout=said, stderr=said) as process:
            try:
                for _ in range(2):      # one client after another
                    self.say_hello(path, process)
            except (AssertionError, OSError, struct.error) as e:
                said.seek(0)
                self.fail(f'{e!r}; the helper said: {said.read()}')
            finally:
                process.terminate()

    def say_hello(self, path, process):
        """Connects, and gets an answer."""
        end = time.monotonic() + 20
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            while True:
                try:
                    client.connect(str(path))
                    break
                except (FileNotFoundError, ConnectionRefusedError):
                    self.assertIsNone(process.poll())
                    self.assertLess(time.monotonic(), end)
                    time.sleep(0.05)
            client.send(HELLO)
            size, kind, _, tag, error = struct.unpack('<IHHII',
                                                      client.recv(16))
            self.assertEqual((kind, tag, error), (0x8001, 0, 0))
            self.assertGreater(size, 16)


if __name__ == '__main__':
    unittest.main()
