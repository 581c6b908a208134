#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests report.py with figures that are easy to calculate."""

import re
import sys
import unittest

import report
import results as files
import tables as tables_of

MACHINE = {'processor': '2 x ABC', 'memory': '4 GiB', 'kernel': '1.2',
           'date': '2001-02-03', 'load': 0.5, 'share': 'somefs'}


def tables(lines):
    """The rows of all tables in lines of text, as lists of cells"""
    rows = []
    for line in lines:
        if match := re.match(r'   \* - ?(.*)', line):
            rows.append([match[1]])
        elif match := re.match(r'     - ?(.*)', line):
            rows[-1].append(match[1])
    return rows


def row(lines, *cells):
    """The rest of the only row that begins with these cells"""
    found, = (r[len(cells):] for r in tables(lines)
              if r[:len(cells)] == list(cells))
    return found


def from_file(measured, kind):
    """The results as a report reads them back from a file"""
    kept = {**measured, 'results': list(kind.kept(measured['results']))}
    return files.loads(files.dumps(kept, kind.keys))


class Files(unittest.TestCase):
    """The files of measured values"""

    def test_records(self):
        """One line per record, and the same results again"""
        measured = {'date': 'today', 'results': [
            {'peer': peer, 'round': number, 'same': 7, 'value': number + 0.5,
             **({'failed': 'why'} if (peer, number) == ('b', 1) else {})}
            for number in range(3) for peer in ('a', 'b')]}
        text = files.dumps(measured, ('peer',))
        self.assertEqual(text.splitlines(), [
            '{', '"date": "today",', '"results": [',
            '{"peer": "a", "round": [0, 1, 2], "same": 7, '
            '"value": [0.5, 1.5, 2.5]},',
            '{"peer": "b", "round": [0, 1, 2], "same": 7, '
            '"value": [0.5, 1.5, 2.5], "failed": [null, "why", null]}',
            ']', '}'])
        self.assertEqual(files.loads(text), measured)


class Tables(unittest.TestCase):
    """The parts of all reports"""

    def test_wide(self):
        """A wide table becomes several, which have all columns."""
        many = [str(i) for i in range(tables_of.COLUMNS + 1)]
        text = list(tables_of.table(['A', *many], [['B', *many]]))
        self.assertEqual(tables(text), [
            ['A', *many[:-1]], ['B', *many[:-1]],
            ['A', many[-1]], ['B', many[-1]]])


class Server(unittest.TestCase):
    """Messages"""

    # Median latency at depth 1 in each of three rounds, in us
    MEDIANS = {
        ('base-local', 'getattr'): (50, 60, 55), ('proxy', 'getattr'):
        (35, 34, 40), ('base-local', 'mkdir'): (130, 130, 130),
        ('proxy', 'mkdir'): (80, 100, 180), ('base-local', 'odd'):
        (30, 30, 30), ('proxy', 'odd'): (30, 31, 32),
        ('base-local', 'floor'): (30, 30, 30), ('proxy', 'floor'):
        (29, 29, 29)}
    FLOORS = (30, 30, 35)
    # Microseconds per message at depth 16
    TIMES = {('base-local', 'getattr'): 10, ('proxy', 'getattr'): 4,
             ('base-local', 'mkdir'): 20, ('proxy', 'mkdir'): 25,
             ('base-local', 'odd'): 10, ('proxy', 'odd'): 2,
             ('base-local', 'floor'): 4, ('proxy', 'floor'): 3}

    def setUp(self):
        results = []
        for (peer, work), medians in self.MEDIANS.items():
            for number, median in enumerate(medians):
                more = {'peer': peer, 'work': work, 'round': number,
                        'messages': 1000, 'qemu_cpu': 2000,
                        'helper_cpu': 500, 'qemu_pss': 20480,
                        'helper_idle': 1024}
                results.append({**more, 'depth': 1, 'seconds': 1.0,
                                'median': median * 1000,
                                'floor': self.FLOORS[number] * 1000,
                                'helper_pss': 9 * 1024})
                results.append({**more, 'depth': 64, 'seconds': 1.0,
                                'median': 1, 'helper_pss': 2048 + number})
                results.append({
                    **more, 'depth': 16, 'median': 1, 'helper_pss': 8192,
                    'seconds': self.TIMES[peer, work] / 1000})
        self.all = {
            'machine': MACHINE, 'results': results,
            'works': {w: w.upper() for _, w in self.MEDIANS},
            'versions': {'base-local': 'V 1', 'proxy': 'V 1'}}
        self.lines = list(report.Server(self.all).lines())

    def test_file(self):
        """The file has all that the tables need, and no more."""
        read = from_file(self.all, report.Server)
        self.assertEqual(list(report.Server(read).lines()), self.lines)
        self.assertEqual({r['depth'] for r in read['results']
                          if 'median' in r}, {1})
        self.assertEqual(len(files.dumps(read, report.Server.keys)
                             .splitlines()), 7 + len(self.MEDIANS) * 3)

    def test_latency(self):
        """Net latencies: the ratios of each round, with their spread"""
        text = self.lines[self.lines.index('One request at a time'):
                          self.lines.index('16 requests in flight')]
        # 5/20, 4/30, 5/20 and 50/100, 70/100, 145/95
        self.assertEqual(row(text, 'GETATTR'), ['0.25 (0.13-0.25)', '20.0'])
        self.assertEqual(row(text, 'MKDIR'), ['0.70 (0.50-1.53)', '100.0'])
        # The base's net latency is 0: there is no ratio.
        self.assertEqual(row(text, 'ODD'), ['\\-', '0.0'])
        self.assertNotIn('FLOOR', [r[0] for r in tables(text)])

    def test_rate(self):
        """Messages per second"""
        text = self.lines[self.lines.index('16 requests in flight'):
                          self.lines.index('64 requests in flight')]
        self.assertEqual(row(text, 'GETATTR'), ['2.50 (2.50-2.50)', '100.0'])
        self.assertEqual(row(text, 'MKDIR'), ['0.80 (0.80-0.80)', '50.0'])

    def test_targets(self):
        """Figures with targets, and whether they meet these"""
        to = '``proxy`` to ``base-local``: '
        for what, want in {
                to + 'net latency, median of all types':
                ['at most 0.5', '0.47', 'met'],         # 0.25, 0.7
                to + 'net latency, getattr': ['at most 0.25', '0.25', 'met'],
                to + 'net latency, worst type (mkdir)':
                ['at most 1.2', '0.70', 'met'],
                to + 'messages per second at depth 16, median of all types':
                ['at least 2', '2.50', 'met'],          # 2.5, 0.8, 5
                to + 'messages per second at depth 16, least type (mkdir)':
                ['at least 1', '0.80', 'not met'],
                to + 'floor at depth 16': ['at most 0.8', '0.75', 'met'],
                'helper of ``proxy``, idle: PSS in MiB':
                ['at most 4', '1.00', 'met'],
                'helper of ``proxy``, at depth 64: PSS in MiB':
                ['at most 16', '2.00', 'met']}.items():
            with self.subTest(what):
                self.assertEqual(row(self.lines, what), want)

    def test_facts(self):
        """The machine and the versions of the peers"""
        text = '\n'.join(self.lines)
        self.assertIn('2 x ABC, 4 GiB, Linux 1.2, load 0.5 before the run; '
                      '3 rounds on 2001-02-03; share on somefs.', text)
        self.assertIn('- V 1: ``base-local``, ``proxy``', text)
        self.assertEqual(row(self.lines, 'helper'), ['9.0', '9.0'])


class Guests(unittest.TestCase):
    """Work in guests"""

    SECONDS = {('base-local', 'tar'): (2, 4, 3), ('base-local', 'rm'):
               (1, 1, 2), ('proxy', 'tar'): (1, 3, 3), ('proxy', 'rm'):
               (1.5, 1, 1), ('virtiofsd', 'tar'): (2, 2, 2),
               ('virtiofsd', 'rm'): (0.5, 2, 2)}

    def setUp(self):
        self.all = {
            'machine': MACHINE, 'versions': {}, 'guest': 'some guest',
            'works': {'tar': 'TAR', 'rm': 'RM'},
            'results': [{'peer': peer, 'work': work, 'cache': 'none',
                         'round': number, 'seconds': seconds}
                        for (peer, work), all_rounds in self.SECONDS.items()
                        for number, seconds in enumerate(all_rounds)]}
        self.lines = list(report.Guests(self.all).lines())

    def test_file(self):
        """The file has all that the tables need."""
        read = from_file(self.all, report.Guests)
        self.assertEqual(list(report.Guests(read).lines()), self.lines)

    def test_ratios(self):
        """Ratios of times and of their sums"""
        self.assertEqual(row(self.lines, 'TAR'),
                         ['0.75 (0.50-1.00)', '0.67 (0.50-1.00)', '3.00'])
        # 2.5/3, 4/5, 4/5
        self.assertEqual(row(self.lines, 'All work')[0], '0.80 (0.80-0.83)')
        # 2.5/2.5, 4/4, 4/4
        self.assertEqual(row(self.lines, 'All work, to ``virtiofsd``')[0],
                         '1.00 (1.00-1.00)')

    def test_failed(self):
        """Work that one peer cannot do counts for neither peer."""
        times = {('base-local', 'tar'): 4, ('base-local', 'rm'): 2,
                 ('proxy', 'tar'): 3, ('proxy', 'rm'): 1,
                 ('virtiofsd', 'tar'): 6}
        results = [{'peer': peer, 'work': work, 'cache': 'none', 'round': 0,
                    'seconds': seconds}
                   for (peer, work), seconds in times.items()]
        results.append({'peer': 'virtiofsd', 'work': 'rm', 'cache': 'none',
                        'round': 0, 'failed': 'some error'})
        lines = list(report.Guests({
            'machine': MACHINE, 'versions': {}, 'guest': 'some guest',
            'works': {'tar': 'TAR', 'rm': 'RM'}, 'results': results}).lines())
        self.assertEqual(row(lines, 'RM'), ['0.50 (0.50-0.50)', '\\-', '2.00'])
        self.assertEqual(row(lines, 'All work'),
                         ['0.67 (0.67-0.67)', '1.50 (1.50-1.50)', '6.00'])
        self.assertEqual(row(lines, 'All work, to ``virtiofsd``')[0],
                         '0.50 (0.50-0.50)')
        self.assertIn('- ``virtiofsd`` failed in rm with cache=none: some '
                      'error. Sums are without that.', lines)

    def test_targets(self):
        """Figures with targets"""
        to = '``proxy`` to ``base-local``, cache=none: '
        self.assertEqual(row(self.lines, to + 'time of all work'),
                         ['at most 0.85', '0.80', 'met'])
        self.assertEqual(row(self.lines, to + 'worst work (rm)'),
                         ['at most 1.05', '1.00', 'met'])
        self.assertEqual(row(self.lines, '``proxy`` to ``virtiofsd``, '
                             'cache=none: time of all work'),
                         ['at most 1', '1.00', 'met'])


class Scale(unittest.TestCase):
    """Costs by number"""

    # Microseconds per walk, by fids or entries, in three rounds
    WALK = {1000: (10, 20, 10), 10000: (10, 20, 20), 100000: (15, 40, 8)}
    # Bytes per idle fid in QEMU, in three rounds
    BYTES = {'local': (300, 290, 320), 'proxy': (380, 410, 405)}

    @staticmethod
    def cost(microseconds):
        """A cost as p9scale prints it"""
        return {'ns': 1, 'qemu': microseconds * 600,
                'helper': microseconds * 400}

    def setUp(self):
        results = []
        for peer, most in self.BYTES.items():
            for number, qemu in enumerate(most):
                who = {'peer': peer, 'round': number}
                for size, walk in self.WALK.items():
                    more = {'fids': size, 'walk': self.cost(walk[number]),
                            'helper_bytes': 7}
                    results += [
                        {**who, **more, 'part': 'fids', 'kind': 'many',
                         'qemu_bytes': qemu if size == 100000 else 1000},
                        {**who, **more, 'part': 'fids', 'kind': 'one',
                         'qemu_bytes': 90}]
                    results += [
                        {**who, 'part': 'readdir', 'size': size,
                         'count': count, 'entry': self.cost(
                             walk[number] * factor)}
                        for count, factor in ((512, 2), (65000, 1))]
                results += [
                    {**who, 'part': 'guests', 'guests': guests,
                     'walk': self.cost(us), 'qemu_kib': 20480,
                     'helper_kib': 1024 + 512 * number}
                    for guests, us in ((1, 4), (64, 5))]
                results += [
                    {**who, 'part': 'migrate', 'fids': n, 'bytes': 50 * n,
                     'save': 0.5 + number, 'load': 2.0 * n / 1000}
                    for n in (1000, 10000)]
            results.append({'peer': peer, 'round': 0, 'part': 'limit',
                            'fids': 4194304, 'error': 'Some error',
                            'qemu_kib': 1048576, 'seconds': 12.3})
        self.all = {'machine': MACHINE, 'versions': {'local': 'V'},
                    'descriptors': 20000, 'works': {'walk': 'WALK'},
                    'results': results}
        self.lines = list(report.Scale(self.all).lines())

    def test_file(self):
        """The file has all that the tables need."""
        read = from_file(self.all, report.Scale)
        self.assertEqual(list(report.Scale(read).lines()), self.lines)

    def section(self, title):
        """The lines of a section"""
        start = self.lines.index(title)
        ends = [i - 1 for i, line in enumerate(self.lines)
                if line and not line.strip('~') and i > start + 1]
        return self.lines[start:(ends or [None])[0]]

    def test_targets(self):
        """Memory and its bound"""
        for peer, *want in (('local', '300.00', 'met'),
                            ('proxy', '405.00', 'not met')):
            self.assertEqual(
                row(self.lines, f'``{peer}``: memory in QEMU for each of '
                    '100,000 idle fids, bytes'), ['at most 400', *want])

    def test_facts(self):
        """The limit of descriptors"""
        self.assertIn('A process may have 20,000 descriptors (hard limit of '
                      'RLIMIT_NOFILE).', self.lines)

    def test_fids(self):
        """Costs as ratios within a round, with many files only"""
        text = self.section('Fids')
        self.assertEqual([r for r in tables(text) if r[0] == '``local``'],
                         [['``local``', '1,000: us', '10,000', '100,000']])
        self.assertEqual(
            [r for r in tables(text) if r[0] == 'WALK'],
            2 * [['WALK', '10.0', '1.00 (1.00-2.00)', '1.50 (0.80-2.00)']])
        self.assertEqual(row(text, 'QEMU, a file for each'), ['300', '405'])
        self.assertEqual(row(text, 'helper, a file for each'), ['7', '7'])
        self.assertEqual(row(text, 'QEMU, all on one file'), ['90', '90'])

    def test_directories(self):
        """Costs per entry"""
        text = self.section('Directories')
        self.assertEqual(row(text, '``proxy``, 512 bytes'),
                         ['20.0', '1.00 (1.00-2.00)', '1.50 (0.80-2.00)'])
        self.assertEqual(row(text, '``proxy``, 65,000 bytes')[0], '10.0')

    def test_migrations(self):
        """What fids add to a guest's state"""
        text = self.section('Migration')
        self.assertEqual(row(text, '``local``, bytes for each'), ['50', '50'])
        self.assertEqual(row(text, '``local``, seconds to save'),
                         ['1.50', '1.50'])
        self.assertEqual(row(text, '``proxy``, seconds to load'),
                         ['2.00', '20.00'])

    def test_guests(self):
        """Costs and memory"""
        text = self.section('Guests')
        self.assertEqual([r[1:] for r in tables(text) if r[0] == 'WALK'],
                         2 * [['4.0', '1.25 (1.25-1.25)']])
        self.assertEqual(row(text, '``proxy``, helper'), ['1.5', '1.5'])
        self.assertEqual(row(text, '``local``, QEMU'), ['20.0', '20.0'])

    def test_limit(self):
        """The most fids"""
        self.assertEqual(row(self.section('The most fids'), '``local``'),
                         ['4,194,304', 'Some error', '1024', '12'])

    def test_parts(self):
        """A part that was not measured has no section."""
        self.assertNotIn('Requests in flight', self.lines)
        self.all['results'] = [r for r in self.all['results']
                               if r['part'] == 'limit']
        self.lines = list(report.Scale(self.all).lines())
        self.assertEqual([line for line in self.lines if '~~' in line],
                         ['~' * len('The most fids')])
        self.test_limit()


if __name__ == '__main__':
    sys.exit(unittest.main())
