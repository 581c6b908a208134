# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables and a chart of what run-server.py measured.

*Net* latency is a message's median latency less the floor: that of a Tclunk of
an unopened fid on the pristine base, in the same round. It is what a message
costs beyond what the machine, the kick and the generator do. A ratio is that of
two peers in one round; a table has the median of the rounds, and the lowest
and highest.
"""

import collections
import statistics

REFERENCE = 'base-local'
FLOOR = 'floor'


class Rounds:
    """Results by peer, work, depth and round"""

    def __init__(self, results):
        self.at = {(r['peer'], r['work'], r['depth'], r['round']): r
                   for r in results}
        self.peers = list(dict.fromkeys(r['peer'] for r in results))
        self.works = list(dict.fromkeys(r['work'] for r in results))
        self.depths = sorted({r['depth'] for r in results})
        self.numbers = sorted({r['round'] for r in results})

    def net(self, peer, work, number):
        """Net latency at depth 1, in ns"""
        floor = self.at[REFERENCE, FLOOR, 1, number]['median']
        # A message that costs no more than the floor is told as 1 ns.
        return max(1, self.at[peer, work, 1, number]['median'] - floor)

    def rate(self, peer, work, depth, number):
        """Messages per second"""
        result = self.at[peer, work, depth, number]
        return result['messages'] / result['seconds']

    def ratios(self, value):
        """(median, lowest, highest) of a ratio over the rounds"""
        values = [value(number) for number in self.numbers]
        return (statistics.median(values), min(values), max(values))

    def latency_ratio(self, peer, work):
        """Of net latencies"""
        return self.ratios(lambda n: self.net(peer, work, n)
                           / self.net(REFERENCE, work, n))

    def rate_ratio(self, peer, work, depth):
        """Of messages per second"""
        return self.ratios(lambda n: self.rate(peer, work, depth, n)
                           / self.rate(REFERENCE, work, depth, n))

    def middle(self, peer, work, depth, key):
        """The median of a measured value over the rounds"""
        return statistics.median(self.at[peer, work, depth, n][key]
                                 for n in self.numbers)


def _table(head, rows):
    yield '.. list-table::'
    yield '   :header-rows: 1'
    yield ''
    for row in [head, *rows]:
        for i, cell in enumerate(row):
            yield f'   {"* -" if i == 0 else "  -"} {cell}'
    yield ''


def _spread(ratio):
    return '{:.2f} ({:.2f}-{:.2f})'.format(*ratio)


def _section(title, text):
    yield from (title, '~' * len(title), '', *text, '')


def lines(results):
    """The text, in reStructuredText"""
    rounds = Rounds(results['results'])
    others = [p for p in rounds.peers if p != REFERENCE]
    facts = results['machine']
    yield '..'
    yield '   Written by tests/bench/run-server.py'
    yield ''
    yield (f'{facts["processor"]}, Linux {facts["kernel"]}, share on tmpfs, '
           f'{len(rounds.numbers)} rounds.')
    yield ''
    works = [w for w in rounds.works if w != FLOOR]
    if 1 in rounds.depths:
        yield from _section('One request at a time', [
            'Net latency as a ratio to that of the pristine base with its '
            'driver ``local``; in the last column, that one\'s in '
            'microseconds.'])
        yield from _table(
            ['Message', *others, REFERENCE],
            [[results['works'][w],
              *(_spread(rounds.latency_ratio(p, w)) for p in others),
              '{:.1f}'.format(statistics.median(
                  rounds.net(REFERENCE, w, n) for n in rounds.numbers)
                  / 1000)]
             for w in works])
    for depth in [d for d in rounds.depths if d > 1]:
        yield from _section(f'{depth} requests under way', [
            'Messages per second, as a ratio to those of the pristine base; '
            'in the last column, its thousands of messages per second.'])
        yield from _table(
            ['Message', *others, REFERENCE],
            [[results['works'][w],
              *(_spread(rounds.rate_ratio(p, w, depth)) for p in others),
              '{:.1f}'.format(statistics.median(
                  rounds.rate(REFERENCE, w, depth, n)
                  for n in rounds.numbers) / 1000)]
             for w in rounds.works])
    yield from _section('Processor time and memory', [
        'Microseconds of processor time for a message, of QEMU and helper '
        'together, at the lowest depth; memory (PSS, MiB) of both at the '
        'end.'])
    low = rounds.depths[0]
    yield from _table(
        ['Message', *rounds.peers],
        [[results['works'][w],
          *('{:.1f}'.format((rounds.middle(p, w, low, 'qemu_cpu')
                             + rounds.middle(p, w, low, 'helper_cpu')) / 1000)
            for p in rounds.peers)]
         for w in rounds.works])
    last = {r['peer']: r for r in results['results']}
    yield from _table(
        ['Process', *rounds.peers],
        [[name, *('{:.1f}'.format(last[p][key] / 1024)
                  for p in rounds.peers)]
         for name, key in (('QEMU', 'qemu_pss'), ('helper', 'helper_pss'))])


def chart(results, path):
    """Net latencies of all peers, as an SVG file"""
    # pylint: disable=import-outside-toplevel
    import matplotlib
    matplotlib.use('svg')
    matplotlib.rcParams['svg.hashsalt'] = 'virtfs'
    from matplotlib import pyplot
    rounds = Rounds(results['results'])
    works = [w for w in rounds.works if w != FLOOR]
    bars = collections.OrderedDict(
        (p, [rounds.latency_ratio(p, w)[0] for w in works])
        for p in rounds.peers if p != REFERENCE)
    figure, axes = pyplot.subplots(figsize=(12, 4.5))
    width = 0.8 / max(1, len(bars))
    for i, (peer, values) in enumerate(bars.items()):
        axes.bar([x + i * width for x in range(len(works))], values, width,
                 label=peer)
    axes.axhline(1, color='black', linewidth=0.8)
    axes.set_ylim(0, 2.5)
    axes.set_ylabel(f'net latency / {REFERENCE}')
    axes.set_xticks([x + 0.4 - width / 2 for x in range(len(works))], works,
                    rotation=60)
    axes.legend(ncol=len(bars), fontsize='small')
    figure.tight_layout()
    figure.savefig(path, metadata={'Date': None})


def write(results, folder):
    """Both, into a folder"""
    with open(folder / 'virtfs-bench-server.rst.inc', 'w',
              encoding='utf-8') as f:
        f.writelines(line + '\n' for line in lines(results))
    if any(r['depth'] == 1 for r in results['results']):
        chart(results, folder / 'virtfs-bench-server.svg')
