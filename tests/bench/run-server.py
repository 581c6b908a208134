#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures what 9P messages cost, side by side with other QEMUs.

Messages go straight into the virtqueue, without a guest (server/p9load.c). All
peers are started at once; then each kind of work is done by each of them in
turn, in several rounds. So whatever else the machine does hits all alike, and
ratios are taken of neighbours in the same round.

Latencies are told as what is beyond the floor, so that is measured with each
kind of work, right before it.

Results go into a folder as JSON, a table and a chart (report.py); by default
into docs/devel.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import peers
import report
from virtfs import build, debian

P9LOAD = build.BUILD / 'tests/bench/server/p9load'
FLOOR = report.FLOOR


def turn(running, work, depth, seconds, number):
    """Results of all peers"""
    floor = {}
    if depth == 1:
        reference, = (r for r in running if r.peer.name == report.REFERENCE)
        floor['floor'] = reference.order(FLOOR, 1, seconds)['median']
    return [{**peer.order(work, depth, seconds), **floor, 'round': number}
            for peer in running]


def measure(above, names, works, depths, rounds, seconds):
    """A list of results, each with peer and round"""
    results = []
    with tempfile.TemporaryDirectory(prefix='virtfs-bench-',
                                     dir=above) as share:
        subprocess.run([P9LOAD, '--files', share], check=True)
        running = []
        try:
            for peer in peers.chosen(names, lambda _: share,
                                     lambda peer: not peer.daemons):
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
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--peer', action='append', help='only this one (may '
                        'be given several times)')
    parser.add_argument('--work', action='append', help='only this kind '
                        '(likewise)')
    parser.add_argument('--depth', action='append', type=int, help='requests '
                        'under way (likewise; default: 1, 16 and 64)')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--seconds', type=float, default=0.3,
                        help='for one kind of work, peer and round')
    peers.share_option(parser)
    parser.add_argument('--out', type=pathlib.Path, metavar='DIR',
                        default=peers.TREE / 'docs/devel')
    options = parser.parse_args()
    debian.need(['build', 'test', 'bench'], 'run-server.py')
    build.configure('run-server.py')
    build.build('run-server.py', ['qemu-system-x86_64',
                                  'fsdev/virtfs-proxy-helper',
                                  str(P9LOAD.relative_to(build.BUILD))],
                name='bench')
    peers.build_pristine()
    peers.raise_limits()
    known = peers.works(P9LOAD)
    works = options.work or list(known)
    for work in works:
        if work not in known:
            parser.error(f'--work {work}: there are {", ".join(known)}')
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
