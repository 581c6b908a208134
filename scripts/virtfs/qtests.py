# SPDX-License-Identifier: GPL-2.0-or-later
"""Divides the 9p tests of QEMU's qos-test into shares that can run at once.

A test's path names the nodes of the device graph down to the tested one, and
then the test's place in its table; for instance, shortened:
/x86_64/pc/.../virtio-9p-pci/virtio-9p/virtio-9p-tests/local/none/tree/walk.
qos-test -r PATH runs the tests at a path and below.
"""

import re
import subprocess

from fail import Fail

# The size of a share: all tests of an export fit. Programs with smaller shares
# end more evenly, but each starts a QEMU of its own, and another one per table.
MOST = 256

# Tests that take long, because they wait for a new helper or start a QEMU
SLOW = {'reconnect', 'virtio-9p-pci-tests'}

# Of the tests on virtio-mmio, those that ./check runs: an export that needs a
# helper and one that does not, and each way in which requests reach the device
BRIEF = ('synth', 'proxy', 'eventfd', 'iothread/synth')

# Tests that take long and do the same on several exports, and the exports on
# which ./check runs them: between them, each driver and each of these tests
ON_SOME = {
    'habits/eio': ('proxy',),
    'habits/stale-once': ('local-mapped-file',),
    'habits/errors': ('local-mapped', 'proxy-rootless'),
    'habits/slow': ('local',),
    'hung/flush': ('local-iothread', 'local-mapped-file', 'proxy'),
    'hung/version': ('local', 'local-mapped-storage', 'proxy'),
}

# Both buses of the emulator for x86_64
BUSES = ('virtio-9p-pci', 'virtio-9p-device')

NODES = {'virtio-9p', 'virtio-9p-pci', 'virtio-9p-device', 'virtio-9p-ccw'}


def parse(text):
    """The 9p tests in the output of qos-test -l"""
    # Newer versions of GLib print the list as comments
    paths = re.findall(r'^(?:# )?(/\S+)$', text, re.M)
    return sorted({p for p in paths if NODES.intersection(p.split('/')[:-1])})


def listed(program, env, folder, buses=()):
    """All 9p tests of qos-test; there must be some on each of these buses."""
    said = subprocess.run([program, '-m', 'slow', '-l'], env=env, cwd=folder,
                          capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=120, check=False)
    tests = parse(said.stdout)
    if not tests:
        raise Fail(f'{program} -l lists no 9p test\n{said.stderr}')
    for bus in buses:
        if not any(bus in t.split('/') for t in tests):
            raise Fail(f'{program} -l lists no 9p test on the bus {bus}: the '
                       'emulator lacks a machine with it')
    return tests


def brief(test):
    """Whether ./check runs a test. On virtio-mmio it runs those of some
    exports: the bus does not know what is exported. On PCI it leaves out what
    ON_SOME says. ./check long runs all."""
    _, mmio, rest = test.partition('/virtio-9p-device/')
    if mmio:
        return any(f'-tests/{name}/' in rest for name in BRIEF)
    *_, table, export, name = test.split('/')
    return export in ON_SOME.get(f'{table}/{name}', [export])


def chosen(tests, words):
    """The tests whose paths have one of the words, as whole elements"""
    return [t for t in tests
            if any(f'/{w.strip("/")}/' in f'{t}/' for w in words)]


def _split(path, tests, every, most):
    """Divides the tests at a path and below into shares."""
    if path in tests or (len(tests) <= most and
                         len(tests) == len(every) and
                         NODES.intersection(path.split('/'))):
        return [(path, tests)]
    below = {}
    for test in tests:
        name = test[len(path) + 1:].partition('/')[0]
        below.setdefault(f'{path}/{name}', []).append(test)
    return [share for p, those in below.items()
            for share in _split(p, those, [t for t in every
                                           if t.startswith(p + '/')
                                           or t == p], most)]


def _weight(share):
    """A key that puts slow and large shares first, in reverse order."""
    path, tests = share
    return bool(SLOW.intersection(path.split('/'))), len(tests)


def shares(tests, most=MOST, every=None):
    """(path, tests at it and below) of all shares, the longest ones first

    every: all tests, if some of them shall not run
    """
    return sorted(_split('', tests, every or tests, most), key=_weight,
                  reverse=True)
