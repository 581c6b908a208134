# SPDX-License-Identifier: GPL-2.0-or-later
"""What test programs report, counted.

Three kinds of report are understood: TAP (https://testanything.org), as GLib's
test programs and those in tests/guest write it; the verbose report of Python's
unittest; and a bare exit status. A program that reports no test at all, fewer
or more than it planned, or ends badly without a test to blame, has failed.
"""

import collections
import dataclasses
import re

PASS, FAIL, SKIP = 'passed', 'failed', 'skipped'


@dataclasses.dataclass
class Result:
    """One test: its name, what became of it, and why it failed or not ran."""
    name: str
    outcome: str
    why: str = ''


_TEST = re.compile(r'^(\s*)(ok|not ok)\b\s*(\d+)?\s*(?:-\s*)?([^#]*)'
                   r'(?:#\s*(SKIP|TODO)\S*\s*(.*))?$', re.I)
_PLAN = re.compile(r'^(\s*)1\.\.(\d+)\s*(?:#\s*SKIP\S*\s*(.*))?$', re.I)


def parse_tap(text):
    """Results in a TAP stream. A test that has subtests is counted by them."""
    results = []
    seen, planned = 0, None             # at the top level
    inner = []                          # results of subtests not summed up yet
    for line in text.splitlines():
        if line.lstrip().startswith('Bail out!'):
            results.append(Result('bail out', FAIL, line.strip()))
            continue
        plan = _PLAN.match(line)
        if plan:
            if not plan[1]:
                planned = int(plan[2])
                if planned == 0 and plan[3] is not None:
                    results.append(Result('all', SKIP, plan[3]))
            continue
        test = _TEST.match(line)
        if not test:
            continue
        indent, verdict, _, name, directive, why = test.groups()
        name = name.strip()
        if (directive or '').upper() == 'SKIP':
            result = Result(name, SKIP, (why or '').strip())
        elif verdict.lower() == 'ok' or directive:
            result = Result(name, PASS)
        else:
            result = Result(name, FAIL)
        if indent:
            inner.append(result)
            continue
        seen += 1
        if inner:
            results += inner
            if result.outcome == FAIL and \
                    all(r.outcome != FAIL for r in inner):
                results.append(result)
            inner = []
        else:
            results.append(result)
    results += inner
    if planned is None:
        results.append(Result('plan', FAIL, 'the report has no plan (1..N)'))
    elif planned != seen:
        results.append(Result('plan', FAIL, f'{planned} tests were planned, '
                              f'{seen} were reported'))
    return results


def parse_unittest(text):
    """Results in what Python's unittest says with -v."""
    results = []
    name = ''
    for line in text.splitlines():
        head = re.match(r'^(\w+ \([\w.]+\))', line)
        if head:
            name = head[1]
        end = re.search(r"\.\.\. (ok|FAIL|ERROR|expected failure|"
                        r"unexpected success|skipped (.*))$", line)
        if end and name:
            if end[1].startswith('skipped'):
                results.append(Result(name, SKIP, end[2].strip('\'"')))
            elif end[1] in ('ok', 'expected failure'):
                results.append(Result(name, PASS))
            else:
                results.append(Result(name, FAIL))
            name = ''
    ran = re.search(r'^Ran (\d+) tests?', text, re.M)
    if not ran or int(ran[1]) != len(results):
        results.append(Result('unittest', FAIL,
                              f'{ran[1] if ran else "no"} tests were run, '
                              f'{len(results)} were reported'))
    return results


def parse_status(_text):
    """The exit status is all there is; see run()."""
    return []


PARSERS = {'tap': parse_tap, 'unittest': parse_unittest,
           'exitcode': parse_status}


@dataclasses.dataclass
class Program:
    """A test program: what to run and how it reports.

    tests: the names of those that it must report, once each, and no others;
    where that is known.
    """
    name: str
    argv: list
    protocol: str = 'tap'
    timeout: float = 300.0              # seconds
    env: dict | None = None
    cwd: str | None = None
    tests: list | None = None


@dataclasses.dataclass
class Report:
    """What came of a program. output: what it wrote, for a failure."""
    program: Program
    results: list
    seconds: float
    output: str

    def count(self, outcome):
        """How many of its tests had that outcome."""
        return sum(r.outcome == outcome for r in self.results)


def differences(tests, results):
    """Failures: of these tests, what is not reported once; and others."""
    said = collections.Counter(r.name for r in results)
    known = set(tests)
    return [*(Result(t, FAIL, 'not done when the program ended')
              for t in tests if not said[t]),
            *(Result(t, FAIL, f'reported {said[t]} times')
              for t in tests if said[t] > 1),
            *(Result(r.name, FAIL, 'not one of this program')
              for r in results if r.outcome != FAIL and r.name not in known)]


def results_of(program, said, status, expired):
    """What came of a program's tests.

    said: its report, status: its exit status, expired: whether it was ended
    at its time limit
    """
    results = PARSERS[program.protocol](said)
    if program.protocol == 'exitcode' and not expired:
        # 77: skipped, as Automake and Meson have it
        results.append(Result(program.name, {0: PASS, 77: SKIP}.get(
            status, FAIL), '' if status in (0, 77) else f'status {status}'))
    if expired:
        results.append(Result('time limit', FAIL, 'not done after '
                              f'{program.timeout:.0f} seconds'))
    elif status and program.protocol != 'exitcode' and \
            all(r.outcome != FAIL for r in results):
        results.append(Result('exit status', FAIL, f'it ended with {status}'))
    if program.tests is not None:
        results += differences(program.tests, results)
    if not results:
        results.append(Result('tests', FAIL, 'it reported no test'))
    return results
