#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes tables and a chart of the results of run-server.py, run-guest.py or
run-scale.py.

usage: report.py FILE.json...   writes them anew, beside the file

A ratio compares two peers in one round. The tables show the median of the
rounds, and the lowest and the highest in brackets.

*Net* latency is a message's median latency minus the floor: the median latency
of a Tclunk of an unopened fid on the pristine base, measured right before the
message. The floor is the cost of the machine, the kick and the load generator.
"""

import pathlib
import statistics
import sys

import results as files
from report_scale import Scale
from tables import (BARS, NAME, Ratio, bars, head, middle, section, table,
                    targets)

REFERENCE = 'base-local'
VIRTIOFSD = ('virtiofsd', 'virtiofsd-13')
OTHERS = (*VIRTIOFSD, 'disk')        # also compared with the rest
# The peers that have targets: the driver with its defaults and, for messages,
# also with kicks as under KVM
AIMING = 'proxy'
AIMING_KVM = 'proxy-eventfd'
FLOOR = 'floor'
# Types that need neither another thread nor the helper
AT_ONCE = ('getattr', 'readlink', 'statfs', 'read4k')
LARGE = ('read512k', 'write512k')
# Members of a result that the tables need
KEPT = ('peer', 'work', 'depth', 'round', 'messages', 'seconds', 'median',
        'floor', 'qemu_cpu', 'helper_cpu')
AT_LOWEST = ('median', 'floor', 'qemu_cpu', 'helper_cpu')
MEMORY = ('qemu_pss', 'helper_pss', 'helper_idle')


# Messages

class Server:
    """The results of run-server.py, by peer, work, depth and round"""

    kind = 'server'
    keys = ('peer', 'work', 'depth')

    @staticmethod
    def kept(results):
        """The results, without what no table needs: times and processor time
        above the lowest depth, and memory other than the most of all rounds
        """
        lowest = min(r['depth'] for r in results)
        most = {}
        for r in results:
            for key in MEMORY:
                at = r['peer'], r['work'], r['depth'], key
                most[at] = max(most.get(at, 0), r[key])
        for r in results:
            kept = {key: r[key] for key in KEPT if key in r and
                    (key not in AT_LOWEST or r['depth'] == lowest)}
            yield kept | {key: most[r['peer'], r['work'], r['depth'], key]
                          for key in MEMORY}

    def __init__(self, results):
        self.all = results
        self.at = {(r['peer'], r['work'], r['depth'], r['round']): r
                   for r in results['results']}
        self.peers, self.works, depths, numbers = (
            list(dict.fromkeys(r[key] for r in results['results']))
            for key in ('peer', 'work', 'depth', 'round'))
        self.depths, self.numbers = sorted(depths), sorted(numbers)
        self.others = [p for p in self.peers if p != REFERENCE]
        self.types = [w for w in self.works if w != FLOOR]

    def net(self, peer, work, number):
        """Net latency at depth 1, in ns; 0 if the message costs no more than
        the floor"""
        result = self.at[peer, work, 1, number]
        return max(0, result['median'] - result['floor'])

    def rate(self, peer, work, depth, number):
        """Messages per second"""
        result = self.at[peer, work, depth, number]
        return result['messages'] / result['seconds']

    def latencies(self, peer, work, to=REFERENCE):
        """Ratio of net latencies"""
        return Ratio((self.net(peer, work, n), self.net(to, work, n))
                     for n in self.numbers)

    def rates(self, peer, work, depth, to=REFERENCE):
        """Ratio of messages per second"""
        return Ratio((self.rate(peer, work, depth, n),
                      self.rate(to, work, depth, n)) for n in self.numbers)

    def middle(self, peer, work, depth, *keys):
        """The median over the rounds of the sum of some values"""
        return statistics.median(
            sum(self.at[peer, work, depth, n][key] for key in keys)
            for n in self.numbers)

    def memory(self, peer, key, depths):
        """The most memory at these depths, in MiB"""
        return max((r[key] for r in self.all['results']
                    if r['peer'] == peer and r['depth'] in depths),
                   default=0) / 1024

    def _against(self, peer):
        """Rows of targets() for a variant of the proxy driver"""
        low, high = 1 in self.depths, 16 in self.depths
        d1 = {w: self.latencies(peer, w) for w in self.types} if low else {}
        d16 = {w: self.rates(peer, w, 16) for w in self.types} if high else {}
        base = f'``{peer}`` to ``{REFERENCE}``'
        worst = [(r.median, w) for w, r in d1.items() if r]
        least = [(r.median, w) for w, r in d16.items() if r]
        if worst:
            yield (f'{base}: net latency, median of all types',
                   middle(d1.values()), '<=', 0.5)
            for w in AT_ONCE:
                if d1.get(w):
                    yield f'{base}: net latency, {w}', d1[w].median, '<=', 0.25
            yield (f'{base}: net latency, worst type ({max(worst)[1]})',
                   max(worst)[0], '<=', 1.2)
        if least:
            yield (f'{base}: messages per second at depth 16, median of all '
                   'types', middle(d16.values()), '>=', 2)
            yield (f'{base}: messages per second at depth 16, least type '
                   f'({min(least)[1]})', min(least)[0], '>=', 1)
        for w in LARGE:
            for depth in self.depths if w in self.works else ():
                yield (f'{base}: throughput, {w} at depth {depth}',
                       self.rates(peer, w, depth).median, '>=', 1)
        if 'debian-proxy' in self.peers:
            base = f'``{peer}`` to ``debian-proxy``'
            if low:
                yield (f'{base}: net latency, median of all types',
                       middle(self.latencies(peer, w, 'debian-proxy')
                              for w in self.types), '<=', 0.25)
            if high:
                yield (f'{base}: messages per second at depth 16, median of '
                       'all types',
                       middle(self.rates(peer, w, 16, 'debian-proxy')
                              for w in self.types), '>=', 5)
        if high:
            # Times, so the inverse of the rates
            yield (f'``{peer}`` to ``{REFERENCE}``: floor at depth 16',
                   Ratio((self.rate(REFERENCE, FLOOR, 16, n),
                          self.rate(peer, FLOOR, 16, n))
                         for n in self.numbers).median, '<=', 0.8)
        yield (f'helper of ``{peer}``, idle: PSS in MiB',
               self.memory(peer, 'helper_idle', self.depths), '<=', 4)
        if 64 in self.depths:
            yield (f'helper of ``{peer}``, at depth 64: PSS in MiB',
                   self.memory(peer, 'helper_pss', [64]), '<=', 16)

    def targets(self):
        """Rows for tables.targets()"""
        for peer in self.peers:
            if peer in (AIMING, AIMING_KVM) and self.types:
                yield from self._against(peer)
        if 'local' in self.peers and 1 in self.depths:
            d1 = {w: self.latencies('local', w) for w in self.types}
            base = f'``local`` to ``{REFERENCE}``'
            yield (f'{base}: net latency, median of all types',
                   middle(d1.values()), '<=', 0.4)
            worst = [(r.median, w) for w, r in d1.items() if r]
            if worst:
                yield (f'{base}: net latency, worst type ({max(worst)[1]})',
                       max(worst)[0], '<=', 1)

    def lines(self):
        """The lines of the report, in reStructuredText"""
        says = self.all['works']
        yield from head(self.all, self.kind, self.numbers, self.has_chart())
        yield from targets(self.targets())
        if 1 in self.depths and self.types:
            yield from section('One request at a time', [
                f'Net latency, as a ratio to that of ``{REFERENCE}``, the '
                'pristine base with its driver ``local``; the last column is '
                f'the net latency of ``{REFERENCE}`` in microseconds.'])
            yield from table(
                ['Message', *self.others, REFERENCE],
                [[says[w], *(self.latencies(p, w) for p in self.others),
                  '{:.1f}'.format(statistics.median(
                      self.net(REFERENCE, w, n) for n in self.numbers)
                      / 1000)] for w in self.types])
        for depth in [d for d in self.depths if d > 1]:
            yield from section(f'{depth} requests in flight', [
                f'Messages per second, as a ratio to those of '
                f'``{REFERENCE}``; the last column is the rate of '
                f'``{REFERENCE}`` in thousands per second.'])
            yield from table(
                ['Message', *self.others, REFERENCE],
                [[says[w], *(self.rates(p, w, depth) for p in self.others),
                  '{:.1f}'.format(statistics.median(
                      self.rate(REFERENCE, w, depth, n)
                      for n in self.numbers) / 1000)] for w in self.works])
        yield from section('Processor time and memory', [
            'Processor time per message, of QEMU and helper together, in '
            f'microseconds, at depth {self.depths[0]}; peak memory (PSS, '
            'MiB).'])
        yield from table(
            ['Message', *self.peers],
            [[says[w], *('{:.1f}'.format(self.middle(
                p, w, self.depths[0], 'qemu_cpu', 'helper_cpu') / 1000)
                for p in self.peers)] for w in self.works])
        yield from table(
            ['Process', *self.peers],
            [[name, *(f'{self.memory(p, key, self.depths):.1f}'
                      for p in self.peers)]
             for name, key in (('QEMU', 'qemu_pss'), ('helper', 'helper_pss'),
                               ('helper, idle', 'helper_idle'))])

    def has_chart(self):
        """Whether there is anything to draw"""
        return bool(self.others and self.types)

    def chart(self, path):
        """Draws the first peers' net latencies at depth 1, or without these
        the rates at the lowest depth."""
        low = self.depths[0]
        ratios = {p: [self.latencies(p, w) if low == 1
                      else self.rates(p, w, low) for w in self.types]
                  for p in self.others[:BARS]}
        bars(path, self.types,
             {p: [r.median if r else 0 for r in row]
              for p, row in ratios.items()},
             f'net latency / {REFERENCE}' if low == 1
             else f'messages per second / {REFERENCE}, depth {low}')


# Guests

class Guests:
    """The results of run-guest.py, by peer, cache, work and round"""

    kind = 'guest'
    keys = ('peer', 'cache', 'work')

    @staticmethod
    def kept(results):
        """The results, with the host's time in whole milliseconds"""
        for r in results:
            yield {key: round(value, 3) if key == 'host' else value
                   for key, value in r.items()}

    def __init__(self, results):
        self.all = results
        self.at = {(r['peer'], r['cache'], r['work'], r['round']): r['seconds']
                   for r in results['results'] if 'failed' not in r}
        self.peers, self.caches, self.works, self.numbers = (
            list(dict.fromkeys(r[key] for r in results['results']))
            for key in ('peer', 'cache', 'work', 'round'))
        self.others = [p for p in self.peers if p != REFERENCE]

    def times(self, peer, cache, work, to=REFERENCE):
        """Ratio of the times of one kind of work, without the rounds in which
        a peer failed"""
        return Ratio((self.at[peer, cache, work, n],
                      self.at[to, cache, work, n]) for n in self.numbers
                     if (peer, cache, work, n) in self.at and
                     (to, cache, work, n) in self.at)

    def total(self, peer, cache, number, other=None):
        """Seconds of all work in a round, of the work that both peers did"""
        return sum(self.at[peer, cache, w, number] for w in self.works
                   if (peer, cache, w, number) in self.at and
                   (other or peer, cache, w, number) in self.at)

    def totals(self, peer, cache, to=REFERENCE):
        """Ratio of the total times"""
        return Ratio((self.total(peer, cache, n, to),
                      self.total(to, cache, n, peer)) for n in self.numbers)

    def failed(self):
        """Peer, work, cache and error of each failure"""
        return dict.fromkeys((r['peer'], r['work'], r['cache'], r['failed'])
                             for r in self.all['results'] if 'failed' in r)

    def targets(self):
        """Rows for tables.targets()"""
        if AIMING not in self.peers:
            return
        for cache in self.caches:
            what = f'``{AIMING}`` to ``{REFERENCE}``, cache={cache}'
            yield (f'{what}: time of all work',
                   self.totals(AIMING, cache).median, '<=', 0.85)
            worst = max((self.times(AIMING, cache, w).median, w)
                        for w in self.works if self.times(AIMING, cache, w))
            yield f'{what}: worst work ({worst[1]})', worst[0], '<=', 1.05
        for peer in VIRTIOFSD:
            if peer in self.peers and 'none' in self.caches:
                yield (f'``{AIMING}`` to ``{peer}``, cache=none: time of all '
                       'work', self.totals(AIMING, 'none', peer).median,
                       '<=', 1)

    def lines(self):
        """The lines of the report, in reStructuredText"""
        says = self.all['works']
        yield from head(self.all, self.kind, self.numbers, self.has_chart())
        yield (f'The guest: {self.all["guest"]}.')
        yield ''
        for peer, work, cache, why in self.failed():
            yield (f'- ``{peer}`` failed in {work} with cache={cache}: {why}. '
                   'Sums are without that.')
        yield ''
        yield from targets(self.targets())
        for cache in self.caches:
            yield from section(f'cache={cache}', [
                f'Time, as a ratio to that of ``{REFERENCE}``, the pristine '
                'base with its driver ``local``; the last column is the time '
                f'of ``{REFERENCE}`` in seconds.'])
            rows = [[says[w], *(self.times(p, cache, w) for p in self.others),
                     '{:.2f}'.format(statistics.median(
                         self.at[REFERENCE, cache, w, n]
                         for n in self.numbers))] for w in self.works]
            rows.append(['All work', *(self.totals(p, cache)
                                       for p in self.others),
                         '{:.2f}'.format(statistics.median(
                             self.total(REFERENCE, cache, n)
                             for n in self.numbers))])
            rows += [[f'All work, to ``{other}``',
                      *(self.totals(p, cache, other) for p in self.others),
                      self.totals(REFERENCE, cache, other)]
                     for other in OTHERS if other in self.peers]
            yield from table(['Work', *self.others, REFERENCE], rows)

    def has_chart(self):
        """Whether there is anything to draw"""
        return bool(self.others)

    def chart(self, path):
        """Draws the times of all kinds of work with the first way to cache."""
        cache = self.caches[0]
        bars(path, [*self.works, 'all'],
             {p: [r.median if r else 0 for r in (
                 *(self.times(p, cache, w) for w in self.works),
                 self.totals(p, cache))] for p in self.others[:BARS]},
             f'time / {REFERENCE}, cache={cache}')


KINDS = {kind.kind: kind for kind in (Server, Guests, Scale)}


def write(kind, results, folder):
    """Writes the results as JSON, their tables and their chart into a folder.
    kind is a key of KINDS."""
    path = pathlib.Path(folder, NAME + kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    of_kind = KINDS[kind]
    results = {**results, 'results': list(of_kind.kept(results['results']))}
    path.with_suffix('.json').write_text(
        files.dumps(results, of_kind.keys), encoding='utf-8')
    report = of_kind(results)
    path.with_suffix('.rst.inc').write_text(
        ''.join(f'{line}\n' for line in report.lines()), encoding='utf-8')
    if report.has_chart():
        report.chart(path.with_suffix('.svg'))


def main(names):
    """The command line"""
    kinds = {f'{NAME}{kind}.json': kind for kind in KINDS}
    for file in map(pathlib.Path, names):
        if file.name not in kinds:
            sys.exit(f'{file}: not one of {", ".join(kinds)}')
        write(kinds[file.name], files.loads(file.read_text(encoding='utf-8')),
              file.parent)
    return 0 if names else __doc__


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
