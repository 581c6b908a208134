#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures real work in Linux guests, side by side with other servers.

Each peer (peers.py) has its own share and its own guest; the guests are alike
(guest/guest.py). The program starts and stops one guest after the other. Then,
in several rounds and with each way to cache, each guest in turn does each kind
of work (guest/works.py), while the others are stopped. Before each turn the
program restores the share, and the guest mounts it anew.

The results go into a folder as JSON, a table and a chart (report.py).
"""

import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / 'guest'))

import peers                            # noqa: E402
import report                           # noqa: E402
import guest                            # noqa: E402
import virtiofsd                        # noqa: E402
import works                            # noqa: E402
from virtfs import build, debian        # noqa: E402
from fail import Fail, message          # noqa: E402


def fits(_):
    """A guest can have any peer's share."""
    return True


class Bench:
    """All guests and their shares, in a folder"""

    def __init__(self, folder, names):
        self.folder = pathlib.Path(folder)
        self.pool = works.Pool(self._new('pool'))
        common = guest.Common()
        self.guests = []
        try:
            for peer in peers.chosen(names, lambda n: str(self.share(n)),
                                     fits):
                self.share(peer.name).mkdir(parents=True)
                self.guests.append(guest.Guest(
                    peer, common, self._new(f'guest-{peer.name}')))
                message(f'{peer.name} has started')
        except BaseException:
            self.stop()
            raise

    def _new(self, name):
        path = self.folder / name
        path.mkdir()
        return path

    def share(self, name):
        """The path of a peer's share"""
        return self.folder / 'shares' / name

    def measure(self, wanted, caches, rounds):
        """A list of results, each with peer, cache, work and round"""
        results = []
        for number in range(rounds):
            for work in wanted:
                for cache in caches:
                    for one in self.guests:
                        name = one.peer.name
                        self.pool.put(work, self.share(name))
                        one.fill(self.share(name))
                        results.append({
                            'peer': name, 'cache': cache, 'work': work.name,
                            'round': number, **one.work(work.name, cache)})
            message(f'round {number + 1} of {rounds}')
        return results

    def stop(self):
        """Ends all guests."""
        for one in self.guests:
            one.stop()


def _parser(known):
    parser = peers.make_parser(__doc__.partition('\n')[0], 5, fits)
    parser.add_argument('--work', action='append', choices=known,
                        help='measure only this kind of work (repeatable)')
    parser.add_argument('--cache', action='append', choices=guest.CACHES,
                        help="the 9p client's cache mode (repeatable; default: "
                        'both); for loose, virtiofsd runs with cache=auto, and '
                        'a disk is the same with both')
    return parser


def main():
    """The command line"""
    known = {w.name: w for w in works.WORKS}
    options = _parser(known).parse_args()
    try:
        debian.need(['build', 'run', 'boot', 'bench'])
        build.configure()
        build.emulator()
        peers.build_pristine()
        peers.raise_limits()
        machine = peers.facts(options.share)
        with tempfile.TemporaryDirectory(
                prefix='virtfs-bench-', dir=options.share,
                ignore_cleanup_errors=True) as folder:
            bench = Bench(folder, options.peer)
            try:
                measured = bench.measure(
                    [known[w] for w in options.work or known],
                    options.cache or list(guest.CACHES), options.rounds)
            finally:
                bench.stop()
            names = [one.peer.name for one in bench.guests]
    except (Fail, OSError, subprocess.CalledProcessError) as e:
        sys.exit(f'run-guest.py: {e}')
    report.write('guest', {
        'machine': machine, 'works': {n: w.says for n, w in known.items()},
        'versions': {**peers.versions(names), **guest.versions()},
        'guest': guest.says(), 'results': measured}, options.out)
    return 0


if __name__ == '__main__':
    sys.exit(main())
