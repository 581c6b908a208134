# SPDX-License-Identifier: GPL-2.0-or-later
"""Counts the results that test programs report.

There are three kinds of report: TAP (https://testanything.org), which GLib's
test programs and those in tests/guest write; the verbose report of Python's
unittest; and a bare exit status. A program fails if it reports no test, fewer
or more tests than planned, or a bad exit status without a failed test.
"""

import collections
import dataclasses
import re

PASS, FAIL, SKIP = 'passed', 'failed', 'skipped'


@dataclasses.dataclass
class Result:
    """One test: its name, its outcome, and why it failed or was skipped."""
    name: str
    outcome: str
    why: str = ''


_TEST = re.compile(r'^(\s*)(ok|not ok)\b\s*(\d+)?\s*(?:-\s*)?([^#]*)'
                   r'(?:#\s*(SKIP|TODO)\S*\s*(.*))?$', re.I)
_PLAN = re.compile(r'^(\s*)1\.\.(\d+)\s*(?:#\s*SKIP\S*\s*(.*))?$', re.I)


def parse_tap(text):
    """Results in a TAP stream. A test with subtests counts as its subtests."""
    results = []
    seen, planned = 0, None             # at the top level
    inner = []                          # subtests whose test is still to come
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
    """Results in the output of Python's unittest with -v."""
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
                              f'{ran[1] if ran else "no"} tests ran, '
                              f'{len(results)} were reported'))
    return results


def parse_status(_text):
    """No results; results_of() makes one from the exit status."""
    return []


PARSERS = {'tap': parse_tap, 'unittest': parse_unittest,
           'exitcode': parse_status}


@dataclasses.dataclass
class Program:
    """A test program: its command and the kind of its report.

    tests: if known, the names of the tests that it must report, once each and
    no others.
    """
    name: str
    argv: list
    protocol: str = 'tap'
    timeout: float = 300.0              # seconds
    env: dict | None = None
    cwd: str | None = None
    tests: list | None = None
    tier: str = ''


@dataclasses.dataclass
class Report:
    """The results of a program, and its output for the case of a failure."""
    program: Program
    results: list
    seconds: float
    output: str

    def count(self, outcome):
        """The number of its tests with that outcome."""
        return sum(r.outcome == outcome for r in self.results)


def differences(tests, results):
    """Failures for tests that were not reported once, and unknown ones."""
    said = collections.Counter(r.name for r in results)
    known = set(tests)
    return [*(Result(t, FAIL, 'not done when the program ended')
              for t in tests if not said[t]),
            *(Result(t, FAIL, f'reported {said[t]} times')
              for t in tests if said[t] > 1),
            *(Result(r.name, FAIL, 'not one of this program')
              for r in results if r.outcome != FAIL and r.name not in known)]


def results_of(program, said, status, expired):
    """The results of a program's tests.

    said: its report, status: its exit status, expired: whether it reached its
    time limit
    """
    results = PARSERS[program.protocol](said)
    if program.protocol == 'exitcode' and not expired:
        # 77: skipped, as with Automake and Meson
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
