#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that has not mounted its share moves between this tree's QEMU and the
base's own, in both directions: the stream is the same as long as there is no
session.
"""

import pathlib
import subprocess
import sys
import tempfile
import time

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / 'scripts'))

# pylint: disable=wrong-import-position
from virtfs import bases, build, pristine                       # noqa: E402
from virtfs.qmp import Qmp                                      # noqa: E402
from fail import Fail, run                                      # noqa: E402

LIMIT = 120                     # seconds for each step
NAME = 'qemu-system-x86_64'


class Qemu:
    """A QEMU with a share and a guest that never runs"""

    def __init__(self, program, folder, *more):
        path = pathlib.Path(tempfile.mktemp(dir=folder))
        # pylint: disable=consider-using-with
        self.child = subprocess.Popen(
            [program, '-accel', 'qtest', '-machine', 'pc', '-m', '64M',
             '-nodefaults', '-display', 'none', '-fsdev',
             f'local,id=share,path={folder},security_model=none', '-device',
             'virtio-9p-pci,fsdev=share,mount_tag=share,addr=5', '-qmp',
             f'unix:{path},server=on,wait=off', *more],
            stdin=subprocess.DEVNULL)
        end = time.monotonic() + LIMIT
        while not path.exists():
            if self.child.poll() is not None or time.monotonic() > end:
                raise Fail(f'{program} does not start')
            time.sleep(0.02)
        self.qmp = Qmp(path, LIMIT)

    def transfer(self, command, path):
        """Saves or loads the guest."""
        self.qmp(command, uri=f'file:{path}')
        end = time.monotonic() + LIMIT
        while (now := self.qmp('query-migrate')).get('status') != 'completed':
            if now.get('status') == 'failed' or time.monotonic() > end:
                raise Fail(f'{command}: {now}')
            time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()


def move(one, other, folder):
    """Moves a guest from one program to another."""
    path = pathlib.Path(folder, 'state')
    with Qemu(one, folder) as qemu:
        qemu.transfer('migrate', path)
    with Qemu(other, folder, '-incoming', 'defer') as qemu:
        qemu.transfer('migrate-incoming', path)
        if qemu.qmp('query-status')['status'] in ('inmigrate', 'paused'):
            qemu.qmp('cont')


def main():
    """Builds, and prints the results as TAP."""
    build.emulator()
    theirs = pristine.make([NAME], bases.active() or None) / NAME
    ways = [('from the base', theirs, build.QEMU),
            ('to the base', build.QEMU, theirs)]
    failed = 0
    print(f'1..{len(ways)}')
    for number, (says, one, other) in enumerate(ways, 1):
        with tempfile.TemporaryDirectory(prefix='virtfs-streams-') as folder:
            try:
                move(one, other, folder)
                print(f'ok {number} - {says}', flush=True)
            except Fail as e:
                failed += 1
                print(f'not ok {number} - {says}\n# {e}', flush=True)
    return 1 if failed else 0


if __name__ == '__main__':
    run(main)
