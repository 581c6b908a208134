#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs each benchmark for one round of little work and checks its output. The
test judges no figure that depends on the machine.
"""

import importlib
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

import results as files

HERE = pathlib.Path(__file__).resolve().parent
# Seconds; the first run may have to build the pristine base
LIMIT = 3600


class Bench(unittest.TestCase):
    """One small run of each program"""

    def run_it(self, kind, *arguments, has_chart=True):
        """Runs a program; returns its measured values and its table."""
        with tempfile.TemporaryDirectory(prefix='virtfs-bench-') as folder:
            done = subprocess.run(
                [sys.executable, '-B', HERE / f'run-{kind}.py', '--rounds',
                 '1', '--out', folder, *arguments], stdin=subprocess.DEVNULL,
                capture_output=True, text=True, timeout=LIMIT, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            path = pathlib.Path(folder, f'virtfs-bench-{kind}.json')
            table = path.with_suffix('.rst.inc').read_text(encoding='utf-8')
            chart = path.with_suffix('.svg')
            if has_chart:
                self.assertTrue(xml.etree.ElementTree.parse(chart).getroot()
                                .tag.endswith('svg'))
                chart.unlink()
            # report.py makes the same of the file.
            subprocess.run([sys.executable, '-B', HERE / 'report.py', path],
                           check=True)
            self.assertEqual(chart.exists(), has_chart)
            self.assertEqual(path.with_suffix('.rst.inc').read_text(
                encoding='utf-8'), table)
            return files.loads(path.read_text(encoding='utf-8')), table

    def check_server(self, results, whole):
        """Checks results of test_server; whole: before the file's reduction
        """
        self.assertEqual(
            {(r['peer'], r['work'], r['depth']) for r in results},
            {(p, w, d) for p in ('base-local', 'proxy') for d in (1, 64)
             for w in ('floor', 'getattr', 'write512k')})
        for r in results:
            at_lowest = ['median', 'qemu_cpu']
            for key in ('messages', 'seconds', 'qemu_pss',
                        *(at_lowest if whole or r['depth'] == 1 else ())):
                self.assertGreater(r[key], 0, (key, r))
            if whole:
                self.assertLessEqual(r['median'], r['p99'])
            self.assertEqual('floor' in r, r['depth'] == 1)
            # Only the proxy driver has a helper, which uses memory.
            for key in ('helper_pss', 'helper_idle'):
                self.assertEqual(r[key] > 0, r['peer'] == 'proxy', (key, r))

    def test_server(self):
        """Messages: the pristine base and the proxy driver"""
        results, table = self.run_it(
            'server', '--peer', 'proxy', '--work', 'getattr', '--work',
            'write512k', '--depth', '1', '--depth', '64', '--seconds', '0.01')
        self.check_server(results['results'], False)
        # The run above has built all that this one needs.
        self.check_server(importlib.import_module('run-server').measure(
            '/dev/shm', ['proxy'], ['floor', 'getattr', 'write512k'], [1, 64],
            1, 0.01), True)
        large = {r['peer']: r['messages'] / r['seconds']
                 for r in results['results']
                 if (r['work'], r['depth']) == ('write512k', 64)}
        ratio = f'{large["proxy"] / large["base-local"]:.2f}'
        self.assertIn(f'   * - Twrite of 512 KiB\n     - {ratio} '
                      f'({ratio}-{ratio})\n     - ', table)

    def test_guest(self):
        """Work in guests: the pristine base, virtiofsd, a disk, and the proxy
        driver"""
        peers = ['base-local', 'virtiofsd', 'virtiofsd-13', 'disk', 'proxy']
        results, table = self.run_it(
            'guest', *(word for p in peers[1:] for word in ('--peer', p)),
            '--work', 'remove', '--work', 'read')
        self.assertEqual(
            {(r['peer'], r['work'], r['cache']) for r in results['results']},
            {(p, w, c) for p in peers for c in ('none', 'loose')
             for w in ('remove', 'read')})
        for r in results['results']:
            # The guest's clock must agree with the host's.
            self.assertGreater(r['seconds'], 0.001, r)
            self.assertLess(r['seconds'], r['host'] * 1.05 + 0.1, r)
        total = {p: sum(r['seconds'] for r in results['results']
                        if r['peer'] == p and r['cache'] == 'none')
                 for p in peers}
        cells = [f'{total[p] / total["base-local"]:.2f}' for p in peers[1:]]
        row = ''.join(f'     - {c} ({c}-{c})\n' for c in cells)
        self.assertTrue(re.search(re.escape('   * - All work\n' + row)
                                  + f'     - {total["base-local"]:.2f}\n',
                                  table), table)

    def test_scale(self):
        """Many fids, entries, requests and QEMUs"""
        results, table = self.run_it(
            'scale', '--peer', 'local', '--peer', 'proxy', '--files', '20000',
            '--guests', '1', '--guests', '8', has_chart=False)
        seen = {}
        for r in results['results']:
            seen.setdefault((r['peer'], r['part']), []).append(r)
        self.assertEqual(set(seen), {
            (peer, part) for peer in ('local', 'proxy')
            for part in ('fids', 'readdir', 'depth', 'guests', 'limit',
                         'migrate')})
        for (peer, part), of_it in seen.items():
            for r in of_it:
                for key in {'walk', 'getattr_any', 'entry'} & set(r):
                    self.assertGreater(r[key]['qemu'], 0, (key, r))
                    if peer == 'local':
                        self.assertEqual(r[key]['helper'], 0, (key, r))
                # Only the proxy driver has a helper, one per QEMU.
                if 'helper_kib' in r:
                    self.assertEqual(r['helper_kib'] > 100, peer == 'proxy', r)
            what, want = {
                'fids': ('fids', 2 * [1000, 10000, 20000]),
                'readdir': ('size', 2 * [1000, 10000, 20000]),
                'depth': ('depth', [16, 64, 256, 1000]),
                'guests': ('guests', [1, 8]),
                'migrate': ('fids', [1000, 10000, 20000]),
                'limit': ('error', ['Too many open files in system'])}[part]
            self.assertEqual([r[what] for r in of_it], want, (peer, part))
        self.assertEqual(len(table.split('Too many open files')), 3)
        for r in seen['local', 'migrate'] + seen['proxy', 'migrate']:
            self.assertGreater(r['bytes'], r['fids'], r)


if __name__ == '__main__':
    sys.exit(unittest.main())
