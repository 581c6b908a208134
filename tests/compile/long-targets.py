#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds this tree for other targets than x86_64, and with all features that
Debian has packages for, and runs the 9p tests of qos-test with each emulator.

usage: long-targets.py [NAME..]     only these of the builds: a target, or full

The full build is ./configure without --lean, with modules. Its targets are
those of the lean build, because all that the base has would take many hours.
Both stay beside the normal build folder. The output is TAP: a line for each
build, and for each share of its tests.
"""

import contextlib
import os
import pathlib
import sys
import tempfile

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TREE / 'scripts')]
sys.dont_write_bytecode = True

from virtfs import build, debian, qtests, runner, tap       # noqa: E402
from fail import Fail                                       # noqa: E402

FULL = TREE / 'build-full'
QOS_TEST = 'tests/qtest/qos-test'
# The devices that each target must have tests of
BUSES = {name: qtests.BUSES for name in build.TARGETS} | {
    'ppc64': ('virtio-9p-pci',), 's390x': ('virtio-9p-ccw',)}
LIMIT = 3600                    # seconds for a share of the tests
HELPER = 'fsdev/virtfs-proxy-helper'


class Tap:
    """The lines of the report."""

    def __init__(self):
        self.number = self.failed = 0

    def line(self, ok, name, details=''):
        self.number += 1
        self.failed += not ok
        print(f'{"ok" if ok else "not ok"} {self.number} - {name}')
        for line in details.splitlines():
            print(f'# {line}')
        sys.stdout.flush()

    def step(self, name, function, *arguments):
        """Runs a build; whether it succeeds."""
        try:
            function(*arguments)
        except Fail as e:
            self.line(False, name, str(e))
            return False
        self.line(True, name)
        return True


def _programs(folder, target, cwd, only):
    """The programs that run a target's tests."""
    program = str(folder / QOS_TEST)
    env = {**os.environ,
           'QTEST_QEMU_BINARY': str(folder / f'qemu-system-{target}')}
    env.pop('QTEST_QEMU_IMG', None)
    listed = qtests.listed(program, env, cwd, BUSES[target])
    tests = [t for t in listed if only in t]
    for number, (path, share) in enumerate(qtests.shares(tests,
                                                         every=listed)):
        inside = pathlib.Path(cwd, f'{target}-{number}')
        inside.mkdir()
        yield tap.Program(
            path, [program, '--tap', '-k', '-m', 'slow', '-r', path], 'tap',
            LIMIT, env, str(inside), share)


def run_tests(report, folder, target, only=''):
    """Runs the 9p tests of a target, or those with a word in their path."""
    with tempfile.TemporaryDirectory(dir='/dev/shm', prefix='virtfs-targets-',
                                     ignore_cleanup_errors=True) as cwd:
        try:
            programs = list(_programs(folder, target, cwd, only))
        except Fail as e:
            report.line(False, f'tests of {target}', str(e))
            return
        at_once = min(4, len(os.sched_getaffinity(0)))
        with contextlib.closing(runner.run(programs, at_once)) as reports:
            for one in reports:
                bad = [f'{r.name}: {r.why}' for r in one.results
                       if r.outcome == tap.FAIL]
                report.line(not bad, f'{one.program.name}: '
                            f'{one.count(tap.PASS)} passed, '
                            f'{one.count(tap.SKIP)} skipped',
                            '\n'.join(bad) + one.output[-4000:] if bad else '')


def lean(report, target):
    """The lean build of a target, and its tests."""
    if report.step(f'the build for {target}', build.lean,
                   f'qemu-system-{target}', QOS_TEST, HELPER):
        run_tests(report, build.OTHERS, target)


def full(report):
    """The build with all features, and the synth driver's tests of the first
    and of a big-endian target."""
    debian.need(['targets', 'full'])
    names = ','.join(f'{name}-softmmu' for name in build.TARGETS)
    if not report.step('the build with all features', build.other, FULL,
                       ('--enable-modules', f'--target-list={names}'), ()):
        return
    for target in ('x86_64', 'ppc64'):
        run_tests(report, FULL, target, 'tests/synth/')


def main(wanted):
    """The command line."""
    report = Tap()
    for target in build.TARGETS:
        if target in wanted or not wanted:
            lean(report, target)
    if 'full' in wanted or not wanted:
        full(report)
    print(f'1..{report.number}')
    return 1 if report.failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
