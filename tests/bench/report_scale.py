# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables of the results of run-scale.py.

A cost is the processor time of QEMU and its helper per message. The first
column shows it in microseconds; the other columns show the ratio to the first
column's cost in the same round, so 1 means that the cost stays the same.
"""

import statistics

from tables import Ratio, head, section, table, targets

BYTES = 400                             # per idle fid with its node
# Members of a result that the tables need; COSTS have parts
KEPT = ('part', 'peer', 'round', 'kind', 'fids', 'size', 'count', 'depth',
        'guests', 'error', 'seconds', 'qemu_kib', 'qemu_bytes', 'helper_kib',
        'helper_bytes', 'bytes', 'save', 'load')
COSTS = ('walk', 'getattr_new', 'getattr_any', 'clunk', 'entry')


class Scale:
    """The results of run-scale.py: part, peer and round, and the members of
    p9scale's answer"""

    kind = 'scale'
    keys = ('part', 'peer', 'kind', 'fids', 'size', 'count', 'depth', 'guests')

    @staticmethod
    def kept(results):
        """The results, without the members that no table needs"""
        for r in results:
            costs = {key: {who: r[key][who] for who in ('qemu', 'helper')}
                     for key in COSTS if key in r}
            yield {key: r[key] for key in KEPT if key in r} | costs

    def __init__(self, results):
        self.all = results
        self.says = results['works']
        self.peers, self.numbers = (
            list(dict.fromkeys(r[key] for r in results['results']))
            for key in ('peer', 'round'))

    def of(self, **what):
        """The results with these members"""
        return [r for r in self.all['results']
                if all(r.get(key) == value for key, value in what.items())]

    def values(self, key, **what):
        """The different values of a member, in order"""
        return sorted({r[key] for r in self.of(**what)})

    def middle(self, key, **what):
        """The median of a member over the rounds, or 0"""
        return statistics.median([r[key] for r in self.of(**what)] or [0])

    def costs(self, column, message, **what):
        """Cells of a row: the message's cost, by the values of column"""
        by_value = {value: {r['round']: sum(r[message][key] for key in
                                            ('qemu', 'helper'))
                            for r in self.of(**what, **{column: value})}
                    for value in self.values(column, **what)}
        first = next(iter(by_value.values()))
        yield f'{statistics.median(first.values()) / 1000:.1f}'
        for costs in list(by_value.values())[1:]:
            yield Ratio((costs[n], first[n]) for n in self.numbers)

    def messages(self, title, text, column, **what):
        """A section with a table per peer and a row per message"""
        values = self.values(column, **what)
        if not values:
            return
        yield from section(title, text)
        for peer in self.peers:
            yield from table(
                [f'``{peer}``', f'{values[0]:,}: us',
                 *(f'{v:,}' for v in values[1:])],
                [[says, *self.costs(column, message, peer=peer, **what)]
                 for message, says in self.says.items()])

    def most(self):
        """The largest number of fids in the results"""
        return self.values('fids', part='fids')[-1]

    def targets(self):
        """Rows for tables.targets()"""
        for peer in self.peers if self.of(part='fids') else ():
            what = {'part': 'fids', 'peer': peer, 'fids': self.most()}
            yield (f'``{peer}``: memory in QEMU for each of {self.most():,} '
                   'idle fids, bytes',
                   self.middle('qemu_bytes', kind='many', **what), '<=', BYTES)

    def fids(self):
        """The section on the number of fids"""
        yield from self.messages(
            'Fids', ['By number of fids, each on its own file; 16 requests in '
                     'flight.'],
            'fids', part='fids', kind='many')
        if not self.of(part='fids'):
            return
        what = {'part': 'fids', 'fids': self.most()}
        yield from table(
            [f'Bytes for each of {self.most():,} idle fids', *self.peers],
            [[says, *('{:.0f}'.format(self.middle(key, kind=kind, peer=p,
                                                  **what))
                      for p in self.peers)]
             for says, key, kind in (
                 ('QEMU, a file for each', 'qemu_bytes', 'many'),
                 ('helper, a file for each', 'helper_bytes', 'many'),
                 ('QEMU, all on one file', 'qemu_bytes', 'one'))])

    def directories(self):
        """The section on the size of directories"""
        sizes = self.values('size', part='readdir')
        if not sizes:
            return
        yield from section('Directories', [
            'Cost per entry, by the entries of the directory and the bytes '
            'that a Treaddir asks for.'])
        yield from table(
            ['', f'{sizes[0]:,}: us', *(f'{s:,}' for s in sizes[1:])],
            [[f'``{peer}``, {count:,} bytes',
              *self.costs('size', 'entry', part='readdir', peer=peer,
                          count=count)]
             for peer in self.peers
             for count in self.values('count', part='readdir')])

    def guests(self):
        """The section on the number of QEMUs"""
        yield from self.messages(
            'Guests', ['By number of QEMUs, each with 2,000 fids, 16 requests '
                       'in flight and its own helper.'],
            'guests', part='guests')
        numbers = self.values('guests', part='guests')
        if numbers:
            yield from table(
                ['Memory of each (PSS, MiB)', *(f'{n:,}' for n in numbers)],
                [[f'``{peer}``, {says}',
                  *('{:.1f}'.format(self.middle(key, part='guests', peer=peer,
                                                guests=n) / 1024)
                    for n in numbers)]
                 for peer in self.peers
                 for says, key in (('QEMU', 'qemu_kib'),
                                   ('helper', 'helper_kib'))])

    def migrations(self):
        """The section on saved and loaded fids"""
        numbers = self.values('fids', part='migrate')
        if not numbers:
            return
        yield from section('Migration', [
            'By number of fids, each on its own file: what they add to the '
            'guest that is saved to a file, and loaded.'])
        yield from table(
            ['', *(f'{n:,}' for n in numbers)],
            [[f'``{peer}``, {says}',
              *(form.format(self.middle(key, part='migrate', peer=peer, fids=n)
                            / (n if key == 'bytes' else 1))
                for n in numbers)]
             for peer in self.peers
             for says, key, form in (('bytes for each', 'bytes', '{:.0f}'),
                                     ('seconds to save', 'save', '{:.2f}'),
                                     ('seconds to load', 'load', '{:.2f}'))])

    def limits(self):
        """The section on the most fids"""
        results = self.of(part='limit')
        if results:
            yield from section('The most fids', [
                'All fids on one file; then one more; then 20,000 messages, '
                'and a new fid in place of one that is clunked.'])
            yield from table(
                ['', 'fids', 'one more', 'memory of QEMU (PSS, MiB)',
                 'seconds for all'],
                [[f'``{r["peer"]}``', f'{r["fids"]:,}', r['error'],
                  f'{r["qemu_kib"] / 1024:.0f}', f'{r["seconds"]:.0f}']
                 for r in results])

    def lines(self):
        """The lines of the report, in reStructuredText"""
        yield from head(self.all, self.kind, self.numbers, self.has_chart())
        yield (f'A process may have {self.all["descriptors"]:,} descriptors '
               '(hard limit of RLIMIT_NOFILE).')
        yield ''
        yield from targets(self.targets())
        yield from self.fids()
        yield from self.directories()
        yield from self.messages(
            'Requests in flight', ['By number of requests in flight, with '
                                   '2,000 fids.'], 'depth', part='depth')
        yield from self.guests()
        yield from self.migrations()
        yield from self.limits()

    @staticmethod
    def has_chart():
        """Whether the report has a chart: this kind has none"""
        return False
