#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Shares on NFS, of which a guest is the server, and another guest the host.

nfs.py has the two guests. On the host run QEMU's 9p tests, with their share on
a mount of the server's export: with the helper, which acts as root there, and
with the local driver, as root.
"""

import re
import sys
import unittest

import harness
import nfs
from nfs import Site

# The 9p tests whose result is that of a local file system. An emulated
# processor runs QEMU and the test, so those with thousands of requests are not
# among them.
TESTS = ('mkdir', 'symlink', 'link', 'rename', 'rename-over', 'unlink',
         'remove', 'read-write', 'create', 'open', 'append', 'fsync', 'sparse',
         'lock', 'getattr', 'setattr-mode', 'setattr-owner', 'setattr-size',
         'statfs')
PATH = '/x86_64/pc/i440FX-pcihost/pci-bus-pc/pci-bus/virtio-9p-pci/virtio-9p' \
       '/virtio-9p-tests'


class Qtests(unittest.TestCase):
    """QEMU's 9p tests on a mount"""

    mount = 'root'

    @classmethod
    def setUpClass(cls):
        if nfs.missing():
            raise unittest.SkipTest(nfs.missing())
        cls.host = Site.get().host

    def go(self, export, names=TESTS):
        """Runs tests of an export."""
        wanted = ' '.join(f'-p {PATH}/{export}/{name}' for name in names)
        status, said = self.host.run(f'''
            mkdir -p /mnt/{self.mount}/qtest && cd /mnt/{self.mount}/qtest &&
            export QTEST_QEMU_BINARY=/usr/local/bin/qemu-system-x86_64 &&
            exec /usr/local/bin/qos-test -m slow -k {wanted}''', 3 * nfs.LIMIT)
        passed = re.findall(r'^ok \d+ .*/([a-z-]+)$', said, re.M)
        self.assertEqual(sorted(passed), sorted(names), said)
        self.assertEqual(status, 0, said)

    def test_proxy(self):
        """The helper, which acts as root"""
        self.go('proxy')

    def test_local(self):
        """The local driver, with passthrough"""
        self.go('local/passthrough')


if __name__ == '__main__':
    sys.exit(harness.main())
