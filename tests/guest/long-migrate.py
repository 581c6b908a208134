#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest with a mounted share goes from one QEMU to another twenty times while
it works, and is saved and restored five times."""

import sys

import harness
import moving
from harness import Owner, Root, User


class Many(moving.Moving):
    """The numbers of moves, and the test"""

    moves = 20
    saves = 5
    __test_me__ = False

    def test_moves(self):
        """Twenty moves and five saved states of a guest at work"""
        self.go()


class Proxy(Many):
    """The proxy driver, rootless"""

    who = User
    fsdev = 'proxy,path={share},helper={helper}'
    __test_me__ = True


class ProxyRoot(Many):
    """The proxy driver with real owners"""

    who = Root
    fsdev = 'proxy,path={share},helper={helper}'
    __test_me__ = True


class ProxyAsked(Many):
    """The helper does everything, by messages in a socket."""

    who = User
    fsdev = 'proxy,path={share},helper={helper},donate=off,ring=off'
    __test_me__ = True


class ProxyKilled(Many):
    """The proxy driver; both QEMUs lose their helpers meanwhile."""

    who = User
    fsdev = 'proxy,path={share},helper={helper},reconnect=1,on-disconnect=wait'
    kills = True
    __test_me__ = True


class Mapped(Many):
    """The local driver, by an ordinary user"""

    who = Owner
    fsdev = 'local,path={share},security_model=mapped-xattr'
    __test_me__ = True


class MappedFile(Many):
    """The local driver with files of metadata"""

    who = Owner
    fsdev = 'local,path={share},security_model=mapped-file'
    __test_me__ = True


class Passthrough(Many):
    """The local driver with real owners, and file handles"""

    who = Root
    fsdev = 'local,path={share},security_model=passthrough'
    saves = 0                   # a file without a name ends with its QEMU
    handles = True
    __test_me__ = True


class ProxyHandles(Many):
    """The proxy driver with real owners, and file handles"""

    who = Root
    fsdev = 'proxy,path={share},helper={helper},migration=handles'
    saves = 0
    handles = True
    __test_me__ = True


class IOThread(Many):
    """The proxy driver in an IOThread"""

    who = User
    fsdev = 'proxy,path={share},helper={helper}'
    machine = ('-object', 'iothread,id=io')
    device = ',iothread=io'
    __test_me__ = True


if __name__ == '__main__':
    sys.exit(harness.main())
