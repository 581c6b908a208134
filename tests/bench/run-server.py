#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures the cost of 9P messages, side by side with other QEMUs.

Messages go straight into the virtqueue, without a guest (server/p9load.c). The
program starts all peers; then, in several rounds, each peer does each kind of
work in turn. Other load on the machine affects all peers alike, and a ratio
compares peers within a round.

Net latency excludes the floor, so each kind of work begins with a measurement
of the floor.

The results go into a folder as JSON, a table and a chart (report.py).
"""

import subprocess
import sys
import tempfile

import peers
import report
from virtfs import build, debian

P9LOAD = build.BUILD / 'tests/bench/server/p9load'
FLOOR = report.FLOOR


def fits(peer):
    """Whether p9load can measure a peer: it has a 9p device."""
    return bool(peer.fsdev)


def turn(running, work, depth, seconds, number):
    """The results of all peers for one kind of work"""
    floor = {}
    if depth == 1:
        reference, = (r for r in running if r.peer.name == report.REFERENCE)
        floor['floor'] = reference.order(FLOOR, 1, seconds)['median']
    return [{**peer.order(work, depth, seconds), **floor, 'round': number}
            for peer in running]


def measure(above, names, works, depths, rounds, seconds):
    """A list of results, each with peer and round. The shares are in above."""
    results = []
    with tempfile.TemporaryDirectory(prefix='virtfs-bench-',
                                     dir=above) as share:
        subprocess.run([P9LOAD, '--files', share], check=True)
        running = []
        try:
            for peer in peers.chosen(names, lambda _: share, fits):
                running.append(peers.Running(peer, P9LOAD))
            for number in range(rounds):
                for work in works:
                    for depth in depths:
                        results += turn(running, work, depth, seconds, number)
                print(f'round {number + 1} of {rounds}', file=sys.stderr)
        finally:
            for peer in running:
                peer.stop()
    return results


def main():
    """The command line"""
    parser = peers.make_parser(__doc__.partition('\n')[0], 5, fits)
    parser.add_argument('--work', action='append', help='measure only this '
                        'kind of message (repeatable)')
    parser.add_argument('--depth', action='append', type=int, metavar='N',
                        help='requests in flight (repeatable; default: 1, 16 '
                        'and 64)')
    parser.add_argument('--seconds', type=float, default=0.3,
                        help='time per kind of work, peer and round (default: '
                        '%(default)s)')
    options = parser.parse_args()
    debian.need(['build', 'run', 'bench'])
    build.configure()
    build.build(['qemu-system-x86_64', 'fsdev/virtfs-proxy-helper',
                 str(P9LOAD.relative_to(build.BUILD))], name='bench')
    peers.build_pristine()
    peers.raise_limits()
    known = peers.works(P9LOAD)
    works = options.work or list(known)
    for work in works:
        if work not in known:
            parser.error(f'--work {work}: choose from {", ".join(known)}')
    if FLOOR not in works:
        works.insert(0, FLOOR)
    machine = peers.facts(options.share)
    measured = measure(options.share, options.peer, works,
                       options.depth or [1, 16, 64], options.rounds,
                       options.seconds)
    report.write('server', {
        'machine': machine, 'works': known,
        'versions': peers.versions({r['peer'] for r in measured}),
        'results': measured}, options.out)
    return 0


if __name__ == '__main__':
    sys.exit(main())
