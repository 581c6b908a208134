#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Two guests, and two processes in each, work on the same files under locks.

Each process takes a lock again and again, appends a line to a file in two
writes, and adds one to a number in another file. Without working locks between
the guests, lines are torn and increments get lost. The guests mount with
cache=none, so each sees the other's writes.
"""

import collections
import sys
import unittest

import harness
from harness import Guest, Owner, Root, User, for_each, local

NAMES = ('a', 'b', 'c', 'd')

SCRIPT = '''cp tool /tmp/tool; touch ready.{0}
while [ ! -e ready.a ] || [ ! -e ready.c ]; do usleep 50000; done
/tmp/tool share lines number {2} {0} {3} & /tmp/tool share lines number {2} \
{1} {3}; status=$?; wait $! && exit $status'''


class Shared(unittest.TestCase):

    each = 300                  # rounds per process
    options = ()
    second = None               # who has the other guest; None: the same user
    __test_me__ = False

    def setUp(self):
        self.host = self.who()
        why = self.host.lacks()
        if why:
            self.skipTest(why)
        self.share = harness.new_share(self.host)
        harness.shutil.copy(harness.tool(), self.share / 'tool')
        for name, text in (('lines', ''), ('number', '00000000')):
            (self.share / name).write_text(text)
            self.host.give(self.share / name)

    def both(self, kind):
        """Lets the guests work, and checks the result."""
        scripts = [SCRIPT.format(*pair, kind, self.each)
                   for pair in (NAMES[:2], NAMES[2:])]
        with Guest(self.host, self.share, scripts[0], self.options) as one, \
                Guest(self.second() if self.second else self.host, self.share,
                      scripts[1], self.options) as other:
            for running in (one, other):
                status = running.wait()
                self.assertEqual((status, running.stdout()),
                                 (0, b'done\ndone\n'), running.stderr())
        lines = (self.share / 'lines').read_text().splitlines()
        expected = {f'{name} {i} {name} {i}.'
                    for name in NAMES for i in range(self.each)}
        seen = collections.Counter(lines)
        self.assertEqual([], [li for li in seen if li not in expected], 'torn')
        self.assertEqual([], [li for li in expected if seen[li] != 1],
                         'lost or doubled')
        # The lines of each process are in order, and the guests took turns.
        for name in NAMES:
            own = [int(li.split()[1]) for li in lines if li.startswith(name)]
            self.assertEqual(own, list(range(self.each)))
        guests = ''.join('1' if li[0] in NAMES[:2] else '2' for li in lines)
        self.assertGreater(guests.count('12') + guests.count('21'), 2,
                           'the guests did not work at the same time')
        self.assertEqual((self.share / 'number').read_text(),
                         f'{len(NAMES) * self.each:08}')

    def test_fcntl(self):
        """Locks by fcntl(2)"""
        self.both('fcntl')

    def test_flock(self):
        """Locks by flock(2)"""
        self.both('flock')


@for_each(Root, User)
class Proxy(Shared):
    pass


class LocalPassthrough(Shared):
    __test_me__ = True
    who = Root
    options = local('passthrough')


class LocalMapped(Shared):
    __test_me__ = True
    who = Owner
    options = local('mapped-xattr')


if __name__ == '__main__':
    sys.exit(harness.main())
