#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's own tests of 9p, unchanged, on this tree's device.

The graft leaves these tests out, because this tree has its own client and
tests. This program builds qos-test from the pristine base in a folder of its
own, with the base's own client, and runs its 9p tests on this tree's emulator.
So what QEMU's developers expect of a 9p server holds for this one.
"""

import os
import subprocess
import sys
import tempfile
import pathlib

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / 'scripts'))

# pylint: disable=wrong-import-position
from virtfs import bases, build, pristine                       # noqa: E402
from fail import Fail, run                                      # noqa: E402

QOS_TEST = 'tests/qtest/qos-test'
DEVICE = '/x86_64/pc/i440FX-pcihost/pci-bus-pc/pci-bus/virtio-9p-pci'
LEAST = 34
LIMIT = 1200                    # seconds for all tests


def main():
    """Builds, and prints the results as TAP."""
    build.emulator()
    folder = pristine.make([QOS_TEST], bases.active() or None)
    program = str(folder / QOS_TEST)
    env = {**os.environ, 'QTEST_QEMU_BINARY': str(build.QEMU)}
    # In memory: the tests need a file system with extended attributes
    with tempfile.TemporaryDirectory(prefix='virtfs-own-',
                                     dir='/dev/shm') as share:
        done = subprocess.run(
            [program, '--tap', '-k', '-m', 'slow', '-r', DEVICE], cwd=share,
            env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            text=True, errors='replace', timeout=LIMIT, check=False)
    print(done.stdout, end='', flush=True)
    found = sum(DEVICE in line for line in done.stdout.splitlines()
                if line.startswith(('ok ', 'not ok ')))
    if found < LEAST:
        raise Fail(f'{program} ran {found} tests of 9p; there are {LEAST} or '
                   'more')
    return done.returncode


if __name__ == '__main__':
    run(main)
