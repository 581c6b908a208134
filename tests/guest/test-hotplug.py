#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Shares are added to a running guest and removed again, over QMP.

The guest has one share from the beginning, by which it and the test take turns.
The share that comes and goes has a folder of its own.
"""

import os
import pathlib
import sys
import tempfile
import unittest

import harness
from harness import Guest, Root, User, for_each, wait_for

from fail import Fail                                       # noqa: E402
from virtfs.qmp import Qmp                                  # noqa: E402

ROUNDS = 10

# Each round: waits for its turn, mounts, works, unmounts. In the last round the
# test unplugs the device while the guest still works there.
SCRIPT = f'''
here=$PWD
mkdir /tmp/hot
echo 1 >up
for i in $(seq {ROUNDS}); do
    until [ -e go$i ]; do sleep 0.1; done
    until mount -t 9p -o trans=virtio,version=9p2000.L hot /tmp/hot \\
          2>/tmp/why; do
        sleep 0.1
    done
    echo "round $i" >/tmp/hot/said$i
    mkdir /tmp/hot/dir$i && ln -s said$i /tmp/hot/link$i
    cat /tmp/hot/link$i >read$i
    if [ $i = {ROUNDS} ]; then
        exec 5>/tmp/hot/late
        echo 1 >busy
        until [ -e leave ]; do echo still >&5; sleep 0.1; done
        echo last >&5; exec 5>&-
    fi
    umount /tmp/hot || exit 9
    echo 1 >done$i
    until [ -e gone$i ]; do sleep 0.1; done
    cat /sys/bus/virtio/drivers/9pnet_virtio/virtio*/mount_tag >tags$i
done
until [ -e end ]; do sleep 0.1; done
exit 5
'''


class ComeAndGo:
    """The tests of all drivers, which differ in the arguments of fsdev-add."""

    options = ()
    machine = ()                # further arguments of QEMU
    device = {}                 # further arguments of device_add

    def setUp(self):
        self.host = self.who()
        why = self.host.lacks()
        if why:
            self.skipTest(why)
        self.share = harness.new_share(self.host)
        self.hot = harness.new_share(self.host)
        self.folder = tempfile.TemporaryDirectory(prefix='virtfs-hotplug-')
        self.addCleanup(self.folder.cleanup)
        os.chmod(self.folder.name, 0o755)
        self.host.give(self.folder.name)

    def arguments(self):
        """The arguments of fsdev-add except the id."""
        raise NotImplementedError

    def state(self, guest):
        """Descriptors of QEMU, and the names of all processes."""
        qemu = harness.one_named(guest, 'qemu-system')
        return (len(os.listdir(f'/proc/{qemu}/fd')),
                sorted(guest.processes().values()))

    def round(self, guest, qmp, i):
        """One share that comes and goes."""
        qmp('fsdev-add', id='hot', **self.arguments())
        qmp('device_add', driver='virtio-9p-pci', id='plugged', fsdev='hot',
            mount_tag='hot', bus='slot0', **self.device)
        (self.share / f'go{i}').touch()
        if i == ROUNDS:
            self.busy(guest, qmp)
        wait_for(f'round {i}', (self.share / f'done{i}').exists, guest=guest)
        if i < ROUNDS:
            with self.assertRaisesRegex(Fail,
                                        "1 device: 'plugged'"):
                qmp('fsdev-del', id='hot')
            qmp('device_del', id='plugged')
        qmp.wait('DEVICE_DELETED', device='plugged')
        info = qmp('query-fsdevs')[-1]
        self.assertEqual((info['id'], info['devices'], info['open-files'],
                          info['nodes']), ('hot', [], 0, 1))
        count = {m['message']: m['count'] for m in info['messages']}
        self.assertEqual((count['mkdir'], count['symlink']), (1, 1))
        qmp('fsdev-del', id='hot')
        (self.share / f'gone{i}').touch()
        wait_for('tags', (self.share / f'tags{i}').exists, guest=guest)

    def busy(self, guest, qmp):
        """Unplugs the device while the guest works there."""
        late = self.hot / 'late'
        wait_for('work', (self.share / 'busy').exists, guest=guest)
        qmp('device_del', id='plugged')
        size = late.stat().st_size
        wait_for('more work', lambda: late.stat().st_size > size + 50,
                 guest=guest)
        (self.share / 'leave').touch()

    def test_rounds(self):
        """Ten shares, one after the other."""
        path = pathlib.Path(self.folder.name, 'qmp')
        qemu = ('-qmp', f'unix:{path},server=on,wait=off',
                '-device', 'pcie-root-port,id=slot0,chassis=1', *self.machine)
        with Guest(self.host, self.share, SCRIPT, self.options,
                   qemu) as guest:
            wait_for('the command', (self.share / 'up').exists, guest=guest)
            qmp = Qmp(path, harness.LIMIT)
            self.addCleanup(qmp.close)
            before = None
            for i in range(1, ROUNDS + 1):
                self.round(guest, qmp, i)
                if before is None:
                    # With descriptors that QEMU opens once and for all
                    before = self.state(guest)
                wait_for(f'{before}', lambda: self.state(guest) <= before,
                         guest=guest)
            self.assertEqual(len(qmp('query-fsdevs')), 1)
            (self.share / 'end').touch()
            status = guest.wait()
            complained = guest.stderr().decode()
        self.assertEqual(status, 5, complained)
        for i in range(1, ROUNDS + 1):
            self.assertEqual((self.share / f'read{i}').read_text(),
                             f'round {i}\n')
            self.assertEqual((self.hot / f'said{i}').read_text(),
                             f'round {i}\n')
            self.assertTrue((self.hot / f'dir{i}').is_dir())
            self.assertNotIn('hot', (self.share / f'tags{i}').read_text())
        self.assertTrue((self.hot / 'late').read_text().endswith('last\n'))


@for_each(User)
class Proxy(ComeAndGo, unittest.TestCase):
    """QEMU starts a helper for each share, which ends with the share."""

    def arguments(self):
        return {'fsdriver': 'proxy', 'path': str(self.hot)}


@for_each(User)
class IOThread(Proxy):
    """The same in an IOThread."""

    machine = ('-object', 'iothread,id=io0')
    device = {'iothread': 'io0'}


@for_each(Root)
class Local(ComeAndGo, unittest.TestCase):
    """QEMU works on the folder itself."""

    options = harness.local('passthrough')

    def arguments(self):
        return {'fsdriver': 'local', 'path': str(self.hot),
                'security_model': 'passthrough'}


if __name__ == '__main__':
    sys.exit(harness.main())
