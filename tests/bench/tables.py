# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of a report (report.py): ratios of values from the same round,
tables and headings in reStructuredText, and charts.
"""

import statistics

NAME = 'virtfs-bench-'                  # of the files, followed by the kind
COLUMNS = 8                             # beside the first; more are unreadable
BARS = 6                                # per group


class Ratio:
    """The ratio of two values in each round, without the rounds whose second
    value is 0"""

    def __init__(self, pairs):
        self.values = [a / b for a, b in pairs if b > 0]

    def __bool__(self):
        return bool(self.values)

    @property
    def median(self):
        """The median of the rounds"""
        return statistics.median(self.values)

    def __str__(self):
        if not self:
            return '\\-'
        low, high = min(self.values), max(self.values)
        return f'{self.median:.2f} ({low:.2f}-{high:.2f})'


def middle(values):
    """The median of medians, or None"""
    values = [v.median for v in values if v]
    return statistics.median(values) if values else None


def table(top, rows):
    """A table with the header row top. A wide table becomes several, each with
    the first column."""
    for left in range(1, len(top), COLUMNS):
        yield '.. list-table::'
        yield '   :header-rows: 1'
        yield ''
        for row in [top, *rows]:
            for i, cell in enumerate([row[0], *row[left:left + COLUMNS]]):
                yield f'   {"* -" if i == 0 else "  -"} {cell}'
        yield ''


def section(title, text):
    """A heading, and lines of text below it"""
    yield from (title, '~' * len(title), '', *text, '')


def head(results, kind, rounds, has_chart):
    """The origin of the results: program, machine, peers"""
    facts = results['machine']
    yield '..'
    yield f'   Written by tests/bench/run-{kind}.py'
    yield ''
    yield (f'{facts["processor"]}, {facts["memory"]}, Linux '
           f'{facts["kernel"]}, load {facts["load"]} before the run; '
           f'{len(rounds)} rounds on {facts["date"]}; share on '
           f'{facts["share"]}.')
    yield ''
    says = {}
    for peer, version in results['versions'].items():
        says.setdefault(version, []).append(f'``{peer}``')
    yield from (f'- {version}: {", ".join(who)}'
                for version, who in says.items())
    yield ''
    if has_chart:
        yield f'.. image:: {NAME}{kind}.svg'
        yield ''


def targets(rows):
    """Rows of (title, figure, comparison, limit) as a table, without the rows
    whose figure is None because it was not measured"""
    rows = [row for row in rows if row[1] is not None]
    if rows:
        yield from section('Against the targets', [])
        yield from table(
            ['Figure', 'target', 'measured', ''],
            [[what, f'{"at most" if sign == "<=" else "at least"} {limit:g}',
              f'{value:.2f}',
              'met' if (value <= limit if sign == '<=' else value >= limit)
              else 'not met'] for what, value, sign, limit in rows])


def bars(path, names, groups, label):
    """Draws a chart with a group of bars for each name, as an SVG file. groups:
    for each label, the values of its bar in all groups."""
    # pylint: disable=import-outside-toplevel
    import matplotlib
    matplotlib.use('svg')
    matplotlib.rcParams['svg.hashsalt'] = 'virtfs'
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(figsize=(12, 4.5))
    width = 0.8 / max(1, len(groups))
    for i, (name, values) in enumerate(groups.items()):
        axes.bar([x + i * width for x in range(len(names))], values, width,
                 label=name)
    axes.axhline(1, color='black', linewidth=0.8)
    axes.set_ylim(0, 2.5)
    axes.set_ylabel(label)
    axes.set_xticks([x + 0.4 - width / 2 for x in range(len(names))], names,
                    rotation=60)
    axes.legend(ncol=4, fontsize='small')
    figure.tight_layout()
    figure.savefig(path, metadata={'Date': None})
    pyplot.close(figure)
