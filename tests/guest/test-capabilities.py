#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs with capabilities on a share: with modcaps=+setfcap the guest gives
and takes them, as its package manager does, and without it setcap fails.

The guest mounts two more shares, whose helpers QEMU starts.
"""

import os
import re
import shutil
import struct
import subprocess
import sys
import unittest

import harness
from harness import Guest, User
from virtfs import build                                    # noqa: E402

# CAP_NET_RAW, as CapEff shows it
NET_RAW = f'{1 << 13:016x}'

SCRIPT = '''
for tag in with without; do
    mkdir /tmp/$tag
    mount -t 9p -o trans=virtio,version=9p2000.L,cache=none $tag /tmp/$tag
done
export PATH=$PATH:$PWD LD_LIBRARY_PATH=$PWD
caps() { su -s /bin/sh nobody -c './grep CapEff /proc/self/status' | cut -f 2; }
cd /tmp/with; cp /bin/busybox grep; chmod 755 . grep
setcap cap_net_raw+ep grep; echo "setcap $?"; getcap grep; caps
mv grep g; mv g grep; getcap grep
cp grep h; getcap h
echo >>grep; getcap grep; caps
setcap cap_net_raw+ep grep; chown 1:1 grep; getcap grep
setcap cap_net_raw+ep grep; setcap -r grep; echo "removed $?"; getcap grep
setcap cap_net_raw+ep grep; getfattr -m - grep | grep -v '^#'
cd /tmp/without; cp /bin/busybox grep; chmod 755 . grep
setcap cap_net_raw+ep grep 2>&1; echo "setcap $?"; getcap grep; caps
'''

SAID = f'''setcap 0
grep cap_net_raw=ep
{NET_RAW}
grep cap_net_raw=ep
{0:016x}
removed 0
security.capability

Failed to set capabilities on file 'grep': Operation not supported
setcap 1
{0:016x}
'''


def _program(name):
    return shutil.which(name, path='/usr/sbin:/sbin:/usr/bin:/bin')


class Capabilities(unittest.TestCase):

    def setUp(self):
        self.host = User()
        why = self.host.lacks()
        if why:
            self.skipTest(why)

    def test_setcap(self):
        """setcap and getcap, with modcaps=+setfcap and without"""
        share, *shares = (harness.new_share(self.host) for _ in range(3))
        for name in ('setcap', 'getcap'):
            shutil.copy(_program(name), share / name)
            for path in re.findall(r'(/\S+/libcap\.so\S*)', subprocess.run(
                    ['ldd', share / name], capture_output=True, text=True,
                    check=True).stdout):
                shutil.copy(path, share)
        qemu = []
        for tag, path, more in (('with', shares[0], ',modcaps=+setfcap'),
                                ('without', shares[1], '')):
            qemu += ['-fsdev', f'proxy,id={tag},path={path},'
                     f'helper={build.HELPER}{more}',
                     '-device', f'virtio-9p-pci,fsdev={tag},mount_tag={tag}']
        with Guest(self.host, share, SCRIPT, qemu=qemu) as guest:
            guest.wait()
            said = guest.stdout().decode()
            complained = guest.stderr().decode()
        self.assertEqual(said, SAID, complained)
        # On the host they count in the user namespace only.
        value = os.getxattr(shares[0] / 'grep', 'security.capability')
        magic, permitted, _, _, _, root = struct.unpack('<6I', value)
        self.assertEqual((magic >> 24, permitted), (3, 1 << 13))
        self.assertEqual(root, self.host.host_uid(0))


if __name__ == '__main__':
    sys.exit(harness.main())
