#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Shares on NFS, of which a guest is the server, and another guest the host.

nfs.py has the two guests. On the host run QEMU's 9p tests, with their share on
a mount of the server's export: with the helper, which acts as root there, and
with the local driver, as root. Then come the facts of the manual's table.
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
         'lock', 'lock-owners', 'lock-refused', 'getattr', 'setattr-mode',
         'setattr-owner', 'setattr-size', 'statfs')
PATH = '/x86_64/pc/i440FX-pcihost/pci-bus-pc/pci-bus/virtio-9p-pci/virtio-9p' \
       '/virtio-9p-tests'


class OnHost(unittest.TestCase):
    """What runs on the host"""

    __test_me__ = False

    @classmethod
    def setUpClass(cls):
        if nfs.missing():
            raise unittest.SkipTest(nfs.missing())
        cls.host = Site.get().host


class Qtests(OnHost):
    """QEMU's 9p tests on a mount"""

    mount = 'root'
    __test_me__ = True

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


# What locks a file's first ten bytes and tells whether it could; $1: the file,
# $2: seconds for which it keeps the lock
LOCK = '''
lock() {
    python3 -c '
import fcntl, struct, sys, time
file = open(sys.argv[1], "a+")
try:
    fcntl.fcntl(file, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 10, 0))
    print("locked", flush=True)
except BlockingIOError:
    print("refused")
time.sleep(float(sys.argv[2]))' "$1" "$2"
}
'''


class Table(OnHost):
    """What the manual says about NFS"""

    __test_me__ = True

    def said(self, script, peer=None):
        """What a script prints"""
        return (peer or self.host).run(LOCK + script)[1]

    def test_names(self):
        """A removed file that is open has another name, and a link"""
        for mount in ('root', 'root3'):
            self.assertRegex(self.said(f'''
                mkdir /mnt/{mount}/removed; cd /mnt/{mount}/removed
                exec 7>f; rm f; ls -A; stat -Lc %h /dev/fd/7; exec 7>&-; ls -A
                cd ..; rmdir removed'''), r'^\.nfs[0-9a-f]+\n1\n$')

    def test_attributes(self):
        """NFS 4.2 has extended attributes, and NFS 3 has ACLs"""
        refused = 'Operation not supported'
        for mount, attribute, acl in (('root', '', refused),
                                      ('root3', refused, '')):
            with self.subTest(mount):
                self.assertIn(attribute, said := self.said(
                    f'cd /mnt/{mount}; touch x; setfattr -n user.a -v b x; '
                    'echo $?'))
                self.assertEqual(said[-2:], '1\n' if attribute else '0\n')
                self.assertIn(acl, said := self.said(
                    f'cd /mnt/{mount}; setfacl -m u:1:r x; echo $?'))
                self.assertEqual(said[-2:], '1\n' if acl else '0\n')

    def test_locks(self):
        """Locks hold between NFS 3, NFS 4.2 and the server"""
        for mount, other in (('root', 'root3'), ('root3', 'root')):
            with self.subTest(mount):
                number = self.host.start(LOCK + f'''
                    lock /mnt/{mount}/lock-{mount} 1000 >/tmp/{mount} &
                    echo $! >/tmp/{mount}.pid
                    until grep -q . /tmp/{mount}; do sleep 0.1; done
                    cat /tmp/{mount}''')
                self.assertEqual(self.host.result(number), (0, 'locked\n'))
                self.assertEqual(self.said(
                    f'lock /mnt/{other}/lock-{mount} 0'), 'refused\n')
                at = f'lock /srv/nfs/root/lock-{mount} 0'
                server = Site.get().server
                self.assertEqual(self.said(at, server), 'refused\n')
                self.said(f'pkill -P $(cat /tmp/{mount}.pid)')
                self.assertEqual(self.said(at, server), 'locked\n')

    def test_mapped(self):
        """virtfs-mapped sees that a share is in use by the same mount only"""
        self.assertRegex(self.said('''
            mkdir /mnt/root/used; cd /tmp
            /usr/local/libexec/virtfs-proxy-helper -n -p /mnt/root/used \\
                -s /tmp/used.sock 2>/tmp/used.log & helper=$!
            until [ -S /tmp/used.sock ]; do sleep 0.1; done
            python3 -c '
import socket, time
sock = socket.socket(socket.AF_UNIX)
sock.connect("/tmp/used.sock")
time.sleep(1000)' & client=$!
            change() {
                /usr/local/bin/virtfs-mapped set --model mapped-xattr \\
                    --uid 5 $1/used 2>&1 && echo set
            }
            until change /mnt/root | grep uses; do sleep 0.2; done
            change /mnt/other
            kill $client $helper'''),
            r'^virtfs-mapped: /mnt/root/used: a QEMU, a helper or another '
            r'virtfs-mapped uses it .*\nset\n$')


if __name__ == '__main__':
    sys.exit(harness.main())
