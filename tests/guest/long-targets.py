#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests of other processors: aarch64, whose devices are on PCI or virtio-mmio,
and s390x, which is big-endian and has channel devices (virtio-ccw).

Each runs the tests of files through the proxy driver, and those of the local
driver with all its security models, which look at the stored owners, modes and
device numbers on the host. The emulators are those of build.lean().
"""

import os
import struct
import sys

import harness
from harness import GuestCase, Owner, Root, User, guest, local
from interop import load
from virtfs import build
from virtfs.target import TARGETS

COMPILERS = {'aarch64': 'aarch64-linux-gnu-gcc',
             's390x': 's390x-linux-gnu-gcc'}


class Foreign:
    """A class of tests, in guests of another processor."""

    target = None

    @classmethod
    def setUpClass(cls):
        why = cls.who().lacks()
        if why:
            raise harness.unittest.SkipTest(why)
        name = cls.target.name
        build.lean(f'qemu-system-{name}')
        User.need(cls.target.kernel().image.parent, cls.target.programs())
        cls.options = (*cls.options, '--target', name, '--qemu',
                       str(build.OTHERS / f'qemu-system-{name}'))
        cls.compiler = COMPILERS[name]
        cls.bus = cls.target.bus
        super().setUpClass()


class Machine(GuestCase):
    """That the guest is what this program says"""

    @guest('uname -m; printf "\\\\001\\\\000" | od -An -tu2 | tr -d " "')
    def test_processor(self):
        """The processor, and its byte order"""
        order = '256' if self.target.name == 's390x' else '1'
        self.assertEqual(self.said.split(), [self.target.name, order])


MMIO_SCRIPT = '''
mkdir /tmp/second
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 second /tmp/second
cd /tmp/second
for d in /sys/bus/virtio/drivers/9pnet_virtio/virtio*; do readlink -f $d; done
echo hi >a; chown 1234:4321 a; chmod 4751 a; mkdir d; ln -s a l; mknod c c 1 3
setfattr -n user.k -v v a; dd if=/dev/zero of=big bs=1M count=8 2>/dev/null
head -c 3000000 /dev/urandom >r; md5sum <r; cp r s; cmp r s && echo same
cd /; umount /tmp/second
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 second /tmp/second
cd /tmp/second; stat -c "%n %F %u:%g %a %t:%T" a d l c; stat -c %s big; cat a
md5sum <r; getfattr --only-values -n user.k a; echo
'''


class Mmio(Foreign, GuestCase):
    """A second share, whose device is on virtio-mmio"""

    __test_me__ = False
    target = TARGETS['aarch64']
    who = Root
    options = local('mapped-xattr')
    legacy = 'on'

    @classmethod
    def setUpClass(cls):
        cls.second = harness.new_share(cls.who())
        cls.qemu = ('-global', f'virtio-mmio.force-legacy={cls.legacy}',
                    '-fsdev', f'local,id=second,path={cls.second},'
                    'security_model=mapped-xattr',
                    '-device', 'virtio-9p-device,fsdev=second,'
                    'mount_tag=second')
        super().setUpClass()

    @guest(MMIO_SCRIPT)
    def test_share(self):
        """Files of all kinds"""
        lines = self.said.splitlines()
        self.assertEqual([('virtio_mmio' in li, 'pci' in li)
                          for li in lines[:2]].count((True, False)), 1,
                         self.said)
        self.assertIn('same', lines)
        self.assertEqual(lines[-8:-2], [
            'a regular file 1234:4321 4751 0:0', 'd directory 0:0 755 0:0',
            'l symbolic link 0:0 777 0:0',
            'c character special file 0:0 644 1:3', '8388608', 'hi'], self.said)
        sums = [li for li in lines if li.endswith('-')]
        self.assertEqual(len(sums), 2)
        self.assertEqual(sums[0], sums[1])
        self.assertEqual(lines[-1], 'v')
        found = [struct.unpack('<I', os.getxattr(
            self.second / 'a', f'user.virtfs.{name}'))[0]
                 for name in ('uid', 'gid', 'mode')]
        self.assertEqual(found, [1234, 4321, 0o104751])
        self.assertEqual(
            struct.unpack('<Q', os.getxattr(self.second / 'c',
                                            'user.virtfs.rdev'))[0],
            os.makedev(1, 3))


class MmioLegacy(Mmio):
    __test_me__ = True


class MmioModern(Mmio):
    __test_me__ = True
    legacy = 'off'


FILES, LOCKS, LOCAL = load('test-files'), load('test-locks'), \
    load('test-local')
CASES = (('Machine', Machine, (Root,)),
         ('Files', FILES.Files, (Root, User)),
         ('Locks', LOCKS.OneGuest, (Root,)),
         ('Local', LOCAL.Local, (Root, Owner)))

for _name in ('aarch64', 's390x'):
    for _title, _base, _hosts in CASES:
        for _who in _hosts:
            _cls = f'{_name} {_title} {_who.name}'
            globals()[_cls] = type(_cls, (Foreign, _base), {
                '__module__': __name__, '__test_me__': True, 'who': _who,
                'target': TARGETS[_name], 'limit': 3 * harness.LIMIT})
Machine.__test_me__ = False


if __name__ == '__main__':
    sys.exit(harness.main())
