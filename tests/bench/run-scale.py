#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures how the cost of 9P messages grows with the load.

Messages go straight into the virtqueue, without a guest (server/p9scale.c):
with a thousand to a million fids, in directories of as many entries, with up to
a thousand requests in flight, and to 64 QEMUs, each with its own helper. Then a
guest with many fids goes from one QEMU to another.

The results go into a folder as JSON and a table (report_scale.py).
"""

import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import peers
import report
from virtfs import build, debian
from virtfs.qmp import Qmp

P9SCALE = build.BUILD / 'tests/bench/server/p9scale'
PEERS = ['local', 'proxy', 'proxy-nodonate']
FEW = 2000                              # fids in the parts depth and guests
DEPTHS = [16, 64, 256, 1000]
BYTES = [512, 65000]                    # per Treaddir
ENTRIES = 100000                        # to read at least
MOVED = 100000                          # fids at most in the part migrate
MEMORY = 160 << 20                      # bytes of a guest, as in p9scale.c
LIMIT = 300                             # seconds for a migration
MESSAGES = {'walk': 'Twalk', 'getattr_new': 'Tgetattr of the newest fids',
            'getattr_any': 'Tgetattr of any fids', 'clunk': 'Tclunk'}


def fits(peer):
    """Whether a peer's QEMU is this tree's, which starts its helper itself"""
    return peer.qemu == build.QEMU


def command(peer, share):
    """QEMU's command with that share"""
    fsdev = peer.fsdev
    if peer.helper:
        fsdev += f',path={share},helper={build.HELPER}'
    return [peer.qemu, *peers.FIRMWARE, *peer.arguments, '-fsdev',
            fsdev + ',id=bench', '-device', peers.DEVICE + peer.properties]


class Machines:
    """Started QEMUs, which execute orders"""

    def __init__(self, peer, share, number=1, more=()):
        # pylint: disable=consider-using-with
        self.load = subprocess.Popen(
            [P9SCALE, str(number), peer.accel, *command(peer, share), *more],
            text=True, bufsize=1, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE)

    def __enter__(self):
        if self.load.stdout.readline() != 'ready\n':
            self.__exit__()
            raise RuntimeError('p9scale does not start')
        return self

    def __exit__(self, *_):
        self.load.stdin.close()
        self.load.wait(120)

    def order(self, *words):
        """Sends an order; returns p9scale's answer."""
        self.load.stdin.write(' '.join(map(str, words)) + '\n')
        answer = self.load.stdout.readline()
        if not answer:
            raise RuntimeError(f'p9scale: {words} failed')
        return json.loads(answer)


class Share:
    """A folder with directories of many files, each named by its number of
    files; numbers: the numbers of guests to measure"""

    def __init__(self, path, most, numbers):
        self.path = path
        self.guests = numbers
        self.sizes = [n for n in (10 ** i for i in range(3, 9)) if n < most]
        self.sizes.append(most)
        for size in self.sizes:
            subprocess.run([P9SCALE, '--files', f'{path}/{size}', str(size)],
                           check=True)
        self.most = most

    def few(self):
        """A directory and a number of fids for the parts depth and guests"""
        number = min(FEW, self.most)
        return next(s for s in self.sizes if s >= number), number


def fids(peer, share):
    """Costs by the number of fids"""
    for kind in ('many', 'one'):
        with Machines(peer, share.path) as machine:
            for result in machine.order('fids', share.most, kind, share.most):
                yield {**result, 'kind': kind}


def readdir(peer, share):
    """Costs per entry, by the size of the directory"""
    with Machines(peer, share.path) as machine:
        machine.order('readdir', share.sizes[0], BYTES[0], ENTRIES)
        for count in BYTES:
            for size in share.sizes:
                result = machine.order('readdir', size, count, ENTRIES)
                if result['entries'] != size + 2:
                    raise RuntimeError(
                        f'{peer.name}: {result["entries"]} entries in a '
                        f'directory of {size}')
                yield {**result, 'size': size}


def depth(peer, share):
    """Costs by the requests in flight"""
    with Machines(peer, share.path) as machine:
        # The first run is for costs that only the first messages have.
        for number, under_way in enumerate([DEPTHS[0], *DEPTHS]):
            result, = machine.order('depth', *share.few(), under_way)
            if number:
                yield {**result, 'depth': under_way}


def guests(peer, share):
    """Costs by the number of QEMUs"""
    for number in share.guests:
        with Machines(peer, share.path, number) as machines:
            machines.order('depth', *share.few(), DEPTHS[0])
            result, = machines.order('depth', *share.few(), DEPTHS[0])
            yield {**result, 'guests': number}


def limit(peer, share):
    """The most fids that a guest can have"""
    with Machines(peer, share.path) as machine:
        yield machine.order('limit', share.sizes[0])


def monitored(path):
    """Arguments for a monitor at that path"""
    return '-qmp', f'unix:{path},server=on,wait=off'


def connected(path):
    """The monitor, once it is there"""
    end = time.monotonic() + LIMIT
    while not path.exists():
        if time.monotonic() > end:
            raise RuntimeError(f'no monitor {path}')
        time.sleep(0.01)
    return Qmp(path, LIMIT)


def transfer(qmp, name, path):
    """Saves or loads a guest: the seconds until that is over"""
    start = time.monotonic()
    qmp(name, uri=f'file:{path}')
    while (now := qmp('query-migrate')).get('status') != 'completed':
        if now.get('status') == 'failed' or time.monotonic() > start + LIMIT:
            raise RuntimeError(f'{name}: {now}')
        time.sleep(0.002)
    return time.monotonic() - start


def moved(peer, share, number):
    """Bytes and seconds of a guest with that number of fids"""
    with tempfile.TemporaryDirectory(prefix='virtfs-scale-') as folder:
        state, one, two = (pathlib.Path(folder, n) for n in ('s', '1', '2'))
        size = next(s for s in share.sizes if s >= number)
        with Machines(peer, share.path, more=monitored(one)) as machine:
            machine.order('hold', size, number)
            qmp = connected(one)
            qmp('cont')
            save = transfer(qmp, 'migrate', state)
            qmp.close()
        with subprocess.Popen(
                [*command(peer, share.path), '-machine',
                 'pc,memory-backend=ram', '-accel', peer.accel, '-object',
                 f'memory-backend-memfd,id=ram,size={MEMORY}', '-m',
                 f'{MEMORY >> 20}', '-S', '-nodefaults', '-no-user-config',
                 '-display', 'none', '-incoming', 'defer', *monitored(two)],
                stdin=subprocess.DEVNULL) as qemu:
            try:
                load = transfer(connected(two), 'migrate-incoming', state)
            finally:
                qemu.terminate()
        return state.stat().st_size, save, load


def migrate(peer, share):
    """What it costs to save and to load fids, beyond the rest of a guest"""
    rest = moved(peer, share, 1)
    for number in [s for s in share.sizes if s <= MOVED]:
        size, save, load = (value - other for value, other in
                            zip(moved(peer, share, number), rest))
        yield {'fids': number, 'bytes': size, 'save': save, 'load': load}


PARTS = {part.__name__: part for part in (fids, readdir, depth, guests, limit,
                                          migrate)}


def measure(options, parts):
    """A list of results, each with part, peer and round. The part limit runs in
    the first round only."""
    results = []
    with tempfile.TemporaryDirectory(prefix='virtfs-scale-',
                                     dir=options.share) as path:
        share = Share(path, options.files, sorted(options.guests or
                                                  [1, 8, 64]))
        chosen = peers.chosen(options.peer or PEERS, lambda _: path, fits)
        for number in range(options.rounds):
            for part in parts:
                if part == 'limit' and number:
                    continue
                for peer in chosen:
                    results += [{**result, 'part': part, 'peer': peer.name,
                                 'round': number}
                                for result in PARTS[part](peer, share)]
            print(f'round {number + 1} of {options.rounds}', file=sys.stderr)
    return results


def main():
    """The command line"""
    parser = peers.make_parser(__doc__.partition('\n')[0], 3, fits, PEERS)
    parser.add_argument('--part', action='append', choices=PARTS,
                        help='measure only this part (repeatable)')
    parser.add_argument('--files', type=int, default=1000000, metavar='N',
                        help='the most fids and entries (default: '
                        '%(default)s)')
    parser.add_argument('--guests', action='append', type=int, metavar='N',
                        help='QEMUs at a time (repeatable; default: 1, 8 and '
                        '64)')
    options = parser.parse_args()
    debian.need(['build', 'run'])
    build.configure()
    build.build(['qemu-system-x86_64', 'fsdev/virtfs-proxy-helper',
                 str(P9SCALE.relative_to(build.BUILD))], name='scale')
    machine = peers.facts(options.share)
    measured = measure(options, options.part or PARTS)
    report.write('scale', {
        'machine': machine, 'works': MESSAGES,
        'descriptors': resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        'versions': peers.versions({r['peer'] for r in measured}),
        'results': measured}, options.out)
    return 0


if __name__ == '__main__':
    sys.exit(main())
