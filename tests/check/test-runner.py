#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of the code by which ./check runs programs and divides the qtests."""

import contextlib
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / 'scripts'))

# pylint: disable=wrong-import-position
from virtfs import qtests, runner, tap                      # noqa: E402
import fail                                                 # noqa: E402

LIMIT = 60                      # seconds, for programs that end at once

# Makes the file $1, then waits for the file $2
MEET = '''
: > "$1"
until [ -e "$2" ]; do sleep 0.02; done
echo ok 1 - met
echo 1..1
'''

# Writes its pid and that of a child to $1, and does not end
STAY = '''
sleep 1000 &
echo $$ $! > "$1.new"
mv "$1.new" "$1"
wait
'''


def shell(name, script, *arguments, tests=None, timeout=LIMIT):
    """A test program."""
    return tap.Program(name, ['sh', '-c', script, name, *map(str, arguments)],
                       timeout=timeout, tests=tests)


def outcomes(report):
    """The results of a report, as pairs"""
    return [(r.name, r.outcome) for r in report.results]


def alive(pid):
    """Whether a process exists and is not a zombie"""
    try:
        stat = pathlib.Path(f'/proc/{pid}/stat').read_text(encoding='ascii')
    except (FileNotFoundError, ProcessLookupError):     # before or in read()
        return False
    return stat.rpartition(')')[2].split()[0] != 'Z'


class Run(unittest.TestCase):
    """runner.run()"""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)

    def wait(self, condition, *arguments):
        """Waits until a condition holds."""
        end = time.monotonic() + LIMIT
        while not condition(*arguments):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)

    def pids(self, *names):
        """The pids that STAY wrote to these files"""
        paths = [self.dir / n for n in names]
        for path in paths:
            self.wait(path.exists)
        return [int(p) for path in paths
                for p in path.read_text(encoding='ascii').split()]

    def test_at_once(self):
        """Two programs that wait for each other end only if both run."""
        a, b = self.dir / 'a', self.dir / 'b'
        reports = runner.run([shell('one', MEET, a, b),
                              shell('two', MEET, b, a)], 2)
        for report in reports:
            self.assertEqual(outcomes(report), [('met', tap.PASS)])

    def test_beside(self):
        """A program beside others runs with them, and counts as none."""
        a, b, c = (self.dir / n for n in 'abc')
        beside = runner.start([shell('late', MEET, a, c)])
        self.addCleanup(runner.end, beside)
        first = [r.program.name for r in runner.run(
            [shell('x', MEET, b, a)], 1, beside)]
        self.assertEqual((first, len(beside)), (['x'], 1))
        c.touch()
        last = list(runner.run([], 1, beside))
        self.assertEqual([r.program.name for r in last], ['late'])
        self.assertEqual(outcomes(last[0]), [('met', tap.PASS)])
        self.assertEqual(beside, [])

    def test_beside_ends_early(self):
        """The report of one comes when it ends."""
        beside = runner.start([shell('early', 'echo ok 1 - a; echo 1..1')])
        self.addCleanup(runner.end, beside)
        wait = 'until [ -e "$1" ]; do sleep 0.02; done; echo 1..0 # SKIP'
        reports = runner.run([shell('x', wait, self.dir / 'go')], 1, beside)
        self.assertEqual(next(reports).program.name, 'early')
        (self.dir / 'go').touch()
        self.assertEqual([r.program.name for r in reports], ['x'])

    def test_end_beside(self):
        """end() ends those that still run, with their children."""
        beside = runner.start([shell('a', STAY, self.dir / 'pids')])
        pids = self.pids('pids')
        runner.end(beside)
        for pid in pids:
            self.wait(lambda pid=pid: not alive(pid))

    def test_not_more(self):
        """No more than two of five run: each one sees at most one other."""
        script = '''
            mkdir "$1/$0"; echo "$1"/t*; sleep 0.2; rmdir "$1/$0"
            echo 1..0 '# SKIP'
        '''
        reports = list(runner.run([shell(f't{i}', script, self.dir)
                                   for i in range(5)], 2))
        self.assertEqual(sorted(r.program.name for r in reports),
                         [f't{i}' for i in range(5)])
        for report in reports:
            self.assertLessEqual(report.output.count(str(self.dir)), 2)

    def test_one_after_the_other(self):
        """By default programs run one at a time, in their order."""
        script = '''
            mkdir "$1/x" && sleep 0.05 && rmdir "$1/x"
            echo ok 1 - alone
            echo 1..1
        '''
        programs = [shell(f't{i}', script, self.dir) for i in range(3)]
        reports = list(runner.run(programs))
        self.assertEqual([r.program for r in reports], programs)
        for report in reports:
            self.assertEqual(report.output, 'ok 1 - alone\n1..1\n')

    def test_output(self):
        """Each report has the complete output of its program only."""
        script = '''
            for i in $(seq 500); do echo "# $0 $i"; echo "$0 $i" >&2; done
            echo 1..0 '# SKIP'
        '''
        for report in runner.run([shell(n, script) for n in 'abc'], 3):
            name = report.program.name
            lines = [f'{name} {i}' for i in range(1, 501)]
            self.assertEqual(report.output.splitlines(),
                             [*(f'# {w}' for w in lines), '1..0 # SKIP',
                              *lines])

    def test_dies(self):
        """The tests that a dead program did not reach fail, by name."""
        script = 'echo ok 1 /x/a; echo not ok 2 /x/b; kill -KILL $$'
        tests = ['/x/a', '/x/b', '/x/c', '/x/d']
        other = shell('other', 'echo ok 1 /y; echo 1..1', tests=['/y'])
        reports = {r.program.name: r for r in runner.run(
            [shell('dies', script, tests=tests), other], 2)}
        failed = [r.name for r in reports['dies'].results
                  if r.outcome == tap.FAIL]
        self.assertEqual([n for n in failed if n.startswith('/')], tests[1:])
        self.assertIn(('/x/a', tap.PASS), outcomes(reports['dies']))
        self.assertEqual(outcomes(reports['other']), [('/y', tap.PASS)])

    def test_other_tests(self):
        """Tests that are reported twice or are unknown fail."""
        script = 'for t in /a /a /b; do echo "ok $t"; done; echo 1..3'
        report, = runner.run([shell('odd', script, tests=['/a'])])
        self.assertEqual([(r.name, r.why) for r in report.results
                          if r.outcome == tap.FAIL],
                         [('/a', 'reported 2 times'),
                          ('/b', 'not one of this program')])

    def test_time_limit(self):
        """The runner ends a program that does not end; others continue."""
        a, b = self.dir / 'a', self.dir / 'b'
        reports = runner.run([
            shell('stays', STAY, self.dir / 'pids', timeout=1),
            shell('one', MEET, a, b), shell('two', MEET, b, a)], 2)
        first, *others = reports
        self.assertIn(('time limit', tap.FAIL), outcomes(first))
        for pid in self.pids('pids'):
            self.wait(lambda p: not alive(p), pid)
        for report in others:
            self.assertEqual(outcomes(report), [('met', tap.PASS)])

    def test_closed(self):
        """All running programs end with the loop, and no other one starts."""
        never = self.dir / 'never'
        programs = [shell('ends', 'echo 1..0 "# SKIP"'),
                    shell('a', STAY, self.dir / 'a'),
                    shell('b', STAY, self.dir / 'b'),
                    shell('never', ': > "$1"', never)]
        with contextlib.closing(runner.run(programs, 2)) as reports:
            self.assertEqual(next(reports).program.name, 'ends')
            pids = self.pids('a')
            # Only next() starts another program.
        for pid in pids:
            self.wait(lambda p: not alive(p), pid)
        self.assertFalse(never.exists())

    def test_interrupted(self):
        """They also end with an exception, such as one from a signal."""
        program = f'''
import contextlib, signal, sys
sys.path.insert(0, {str(TREE / "scripts")!r})
from virtfs import runner, tap
signal.signal(signal.SIGTERM, lambda n, _: sys.exit(128 + n))
programs = [tap.Program(n, ['sh', '-c', {STAY!r}, 'sh', n]) for n in 'abc']
with contextlib.closing(runner.run(programs, 2)) as reports:
    list(reports)
'''
        with subprocess.Popen([sys.executable, '-B', '-c', program],
                              cwd=self.dir) as child:
            pids = self.pids('a', 'b')
            for pid in pids:
                self.assertTrue(alive(pid))
            child.terminate()
            self.assertEqual(child.wait(LIMIT), 128 + 15)
        for pid in pids:
            self.wait(lambda p: not alive(p), pid)
        self.assertFalse((self.dir / 'c').exists())


ROOT = '/x86_64/pc/pci-bus/virtio-9p-pci'
TABLE = f'{ROOT}/virtio-9p/virtio-9p-tests'


def below(path, number):
    """Paths of tests in a table"""
    return [f'{path}/t{i}' for i in range(number)]


class Shares(unittest.TestCase):
    """Shares of tests with paths like those of qos-test"""

    TESTS = [*below(f'{TABLE}/proxy', 9), *below(f'{TABLE}/proxy-v1', 8),
             *below(f'{TABLE}/local/none', 7), f'{TABLE}/local/proxy',
             *below(f'{TABLE}/local/mapped', 6), *below(f'{ROOT}/nop', 2),
             f'{ROOT}/virtio-9p-pci-tests/proxy',
             *below(f'{ROOT}/virtio-9p-pci-tests/proxy', 3),
             '/x86_64/virt/virtio-9p-device/virtio-9p/virtio-9p-tests/t']

    @staticmethod
    def chosen(path, tests):
        """The tests that qos-test -r runs for a path"""
        return [t for t in tests if t == path or t.startswith(path + '/')]

    def test_parse(self):
        """parse() finds the 9p tests in a list, of either kind of GLib."""
        others = ['/x86_64/pc/e1000e/nop', '/x86_64/pc/virtio-9p',
                  '/x86_64/pc/virtio-9p-other/t']
        for mark in '', '# ':
            text = ''.join(f'{mark}{t}\n' for t in [*others, *self.TESTS])
            self.assertEqual(qtests.parse('# random seed: R02S1/2\n' + text),
                             sorted(self.TESTS))

    def test_each_once(self):
        """The shares contain each test once, for any size of a share."""
        for most in 1, 2, 5, 8, 10, 1000:
            shares = qtests.shares(sorted(self.TESTS), most)
            run = [t for path, _ in shares
                   for t in self.chosen(path, self.TESTS)]
            self.assertEqual(sorted(run), sorted(self.TESTS))
            for path, tests in shares:
                self.assertEqual(tests,
                                 sorted(self.chosen(path, self.TESTS)))

    def test_size(self):
        """No share is larger than the limit, unless it is indivisible."""
        for path, tests in qtests.shares(sorted(self.TESTS), 8):
            self.assertTrue(len(tests) <= 8 or path in tests
                            or all(t.startswith(path + '/t')
                                   for t in tests), path)

    def test_chosen(self):
        """Chosen tests run, and no others, for any size of a share."""
        for words in (['proxy'], ['local/none', 'nop'], ['t1'], ['proxy/t3']):
            tests = qtests.chosen(self.TESTS, words)
            self.assertEqual(tests, [
                t for t in self.TESTS if any(f'/{w}/' in t + '/'
                                             for w in words)])
            for most in 1, 5, 1000:
                run = [t for path, share in qtests.shares(
                    sorted(tests), most, self.TESTS)
                    for t in self.chosen(path, self.TESTS)]
                self.assertEqual(sorted(run), sorted(tests), words)

    def test_brief(self):
        """./check leaves out tests on virtio-mmio, and some that take long."""
        below = '/virtio-9p/virtio-9p-tests/'
        for name, runs in (('proxy/a', True), ('synth/a', True),
                           ('iothread/synth/a', True), ('proxy-v1/a', False),
                           ('iothread/proxy/a', False), ('local/none/a', False),
                           ('local/proxy', False),
                           ('iothread/local/none/a', False)):
            self.assertEqual(qtests.brief('/x86_64/microvm/virtio-9p-device'
                                          + below + name), runs, name)
            self.assertTrue(qtests.brief('/x86_64/pc/virtio-9p-pci' + below
                                         + name))
        for place, exports in qtests.ON_SOME.items():
            table, name = place.split('/')
            runs = [e for e in ('local', 'local-iothread', 'local-mapped',
                                'local-mapped-file', 'local-mapped-storage',
                                'proxy', 'proxy-rootless', 'new')
                    if qtests.brief('/x86_64/pc/virtio-9p-pci-tests/'
                                    f'{table}/{e}/{name}')]
            self.assertEqual(runs, sorted(exports))

    def test_bus_missing(self):
        """An emulator without a bus is an error, not fewer tests."""
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder, 'qos-test')
            program.write_text(f'#!/bin/sh\necho {TABLE}/proxy/t\n')
            program.chmod(0o755)
            found = qtests.listed(str(program), None, folder,
                                  ('virtio-9p-pci',))
            self.assertEqual(found, [f'{TABLE}/proxy/t'])
            with self.assertRaisesRegex(fail.Fail, 'virtio-9p-device'):
                qtests.listed(str(program), None, folder, qtests.BUSES)

    def test_longest_first(self):
        """The longest shares come first, to keep all processors busy."""
        slow = f'{TABLE}/reconnect'
        shares = qtests.shares(sorted([*self.TESTS, f'{slow}/t']), 9)
        early = [path for path, _ in shares[:2]]
        self.assertEqual(set(early), {slow, f'{ROOT}/virtio-9p-pci-tests'})
        others = shares[2:]
        sizes = [len(tests) for _, tests in others]
        self.assertEqual(sizes, sorted(sizes, reverse=True))
        self.assertGreater(sizes[0], sizes[-1])

    def test_nothing_else(self):
        """No share is so high that it contains tests of other devices."""
        for path, _ in qtests.shares(sorted(self.TESTS)):
            self.assertRegex(path, '/virtio-9p-(pci|device)$')


if __name__ == '__main__':
    unittest.main()
