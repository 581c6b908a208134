#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""How ./check runs test programs at once, and makes shares of the qtests."""

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

LIMIT = 60                      # seconds, for what is over at once

# Waits for the file $2, after it made $1
MEET = '''
: > "$1"
until [ -e "$2" ]; do sleep 0.02; done
echo ok 1 - met
echo 1..1
'''

# Leaves its number and that of a child in $1, and does not end
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
    """Its results, as pairs"""
    return [(r.name, r.outcome) for r in report.results]


def alive(pid):
    """Whether there is such a process, and it is no zombie"""
    try:
        stat = pathlib.Path(f'/proc/{pid}/stat').read_text(encoding='ascii')
    except FileNotFoundError:
        return False
    return stat.rpartition(')')[2].split()[0] != 'Z'


class Run(unittest.TestCase):
    """runner.run()"""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)

    def wait(self, condition, *arguments):
        """Until that is so"""
        end = time.monotonic() + LIMIT
        while not condition(*arguments):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)

    def pids(self, *names):
        """What STAY left in these files"""
        paths = [self.dir / n for n in names]
        for path in paths:
            self.wait(path.exists)
        return [int(p) for path in paths
                for p in path.read_text(encoding='ascii').split()]

    def test_at_once(self):
        """Two that wait for each other can only end together."""
        a, b = self.dir / 'a', self.dir / 'b'
        reports = runner.run([shell('one', MEET, a, b),
                              shell('two', MEET, b, a)], 2)
        for report in reports:
            self.assertEqual(outcomes(report), [('met', tap.PASS)])

    def test_not_more(self):
        """No more than two of five: each finds one other at most."""
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
        """In their order, if not asked otherwise"""
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
        """Each has its own, whole."""
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
        """The tests that it did not get to have failed, by name."""
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
        """Those that are reported twice, or that nobody knows of"""
        script = 'for t in /a /a /b; do echo "ok $t"; done; echo 1..3'
        report, = runner.run([shell('odd', script, tests=['/a'])])
        self.assertEqual([(r.name, r.why) for r in report.results
                          if r.outcome == tap.FAIL],
                         [('/a', 'reported 2 times'),
                          ('/b', 'not one of this program')])

    def test_time_limit(self):
        """One that does not end is ended; the others go on."""
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
        """All that run end with the loop, and no other is started."""
        never = self.dir / 'never'
        programs = [shell('ends', 'echo 1..0 "# SKIP"'),
                    shell('a', STAY, self.dir / 'a'),
                    shell('b', STAY, self.dir / 'b'),
                    shell('never', ': > "$1"', never)]
        with contextlib.closing(runner.run(programs, 2)) as reports:
            self.assertEqual(next(reports).program.name, 'ends')
            pids = self.pids('a')
            # It is next that starts another.
        for pid in pids:
            self.wait(lambda p: not alive(p), pid)
        self.assertFalse(never.exists())

    def test_interrupted(self):
        """So they do with an exception, as from a signal."""
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
    """Tests in a table"""
    return [f'{path}/t{i}' for i in range(number)]


class Shares(unittest.TestCase):
    """Of tests with paths like those of qos-test"""

    TESTS = [*below(f'{TABLE}/proxy', 9), *below(f'{TABLE}/proxy-v1', 8),
             *below(f'{TABLE}/local/none', 7), f'{TABLE}/local/proxy',
             *below(f'{TABLE}/local/mapped', 6), *below(f'{ROOT}/nop', 2),
             f'{ROOT}/virtio-9p-pci-tests/proxy',
             *below(f'{ROOT}/virtio-9p-pci-tests/proxy', 3),
             '/x86_64/virt/virtio-9p-device/virtio-9p/virtio-9p-tests/t']

    @staticmethod
    def chosen(path, tests):
        """What qos-test -r does"""
        return [t for t in tests if t == path or t.startswith(path + '/')]

    def test_parse(self):
        """Of a list those that are about 9p, with both kinds of GLib"""
        others = ['/x86_64/pc/e1000e/nop', '/x86_64/pc/virtio-9p',
                  '/x86_64/pc/virtio-9p-other/t']
        for mark in '', '# ':
            text = ''.join(f'{mark}{t}\n' for t in [*others, *self.TESTS])
            self.assertEqual(qtests.parse('# random seed: R02S1/2\n' + text),
                             sorted(self.TESTS))

    def test_each_once(self):
        """All shares together are all tests, whatever their size."""
        for most in 1, 2, 5, 8, 10, 1000:
            shares = qtests.shares(sorted(self.TESTS), most)
            run = [t for path, _ in shares
                   for t in self.chosen(path, self.TESTS)]
            self.assertEqual(sorted(run), sorted(self.TESTS))
            for path, tests in shares:
                self.assertEqual(tests,
                                 sorted(self.chosen(path, self.TESTS)))

    def test_size(self):
        """None is larger than asked, unless it cannot be divided."""
        for path, tests in qtests.shares(sorted(self.TESTS), 8):
            self.assertTrue(len(tests) <= 8 or path in tests
                            or all(t.startswith(path + '/t')
                                   for t in tests), path)

    def test_longest_first(self):
        """So that all processors are busy up to the end"""
        slow = f'{TABLE}/reconnect'
        shares = qtests.shares(sorted([*self.TESTS, f'{slow}/t']), 9)
        early = [path for path, _ in shares[:2]]
        self.assertEqual(set(early), {slow, f'{ROOT}/virtio-9p-pci-tests'})
        others = shares[2:]
        sizes = [len(tests) for _, tests in others]
        self.assertEqual(sizes, sorted(sizes, reverse=True))
        self.assertGreater(sizes[0], sizes[-1])

    def test_nothing_else(self):
        """No share goes as far up as where other devices have tests."""
        for path, _ in qtests.shares(sorted(self.TESTS)):
            self.assertRegex(path, '/virtio-9p-(pci|device)$')


if __name__ == '__main__':
    unittest.main()
