#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest with a mounted share goes from one QEMU to another while it works,
also by way of a file, and must not notice. long-migrate.py does that more
often."""

import sys

import harness
import moving
from harness import Owner, Root, User


class Few(moving.Moving):
    """The test; derived classes have the numbers"""

    __test_me__ = False

    def test_moves(self):
        """A guest at work goes on in another QEMU"""
        self.go()


class Proxy(Few):
    """The proxy driver, rootless"""

    who = User
    fsdev = 'proxy,path={share},helper={helper}'
    moves = 2
    __test_me__ = True


class Mapped(Few):
    """The local driver, by an ordinary user"""

    who = Owner
    fsdev = 'local,path={share},security_model=mapped-xattr'
    moves = 1
    saves = 1
    __test_me__ = True


class Passthrough(Few):
    """The local driver with real owners; an open file has no name."""

    who = Root
    fsdev = 'local,path={share},security_model=passthrough'
    moves = 2
    handles = True
    __test_me__ = True


if __name__ == '__main__':
    sys.exit(harness.main())
