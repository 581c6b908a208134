#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests on a GlusterFS volume with two replicas that two hosts have mounted.

Root's helper acts as root, and as the guest's users. On one host, and between
the two, guests find what they find on a local share. A brick dies and comes
back while guests write, and a guest at work goes from one host to the other,
where the mount has another device number. At the end nothing may be left.
"""

import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time
import unittest

import gluster
import harness
import interop
import moving
from gluster import Cluster, One, Two
from harness import Guest, guest, local, wait_for
from virtfs import build

HINT = ("the file server of the directory refuses changes (Permission denied): "
        "its users count there, not the helper's capabilities; use "
        '--act-as=root, if it trusts this host\'s root, or --act-as=guest')


def state():
    """{path: time of the last change} of GlusterFS's own files"""
    return {path: path.lstat().st_mtime_ns
            for folder in (gluster.STATE, gluster.LOGS)
            for path in sorted(folder.rglob('*'))}


STATE = state()                 # before anything of this program runs


def helper(act_as):
    """A program for ./boot, which starts root's helper"""
    path = pathlib.Path(tempfile.mkdtemp(dir=harness.work()), 'helper')
    path.write_text(f'#!/bin/sh\nexec {build.HELPER} --act-as={act_as} "$@"\n',
                    encoding='ascii')
    path.chmod(0o755)
    return ('--helper', str(path))


class AsRoot:
    """A helper that acts as root"""

    who = One
    __test_me__ = True
    options = helper('root')


class AsGuest(AsRoot):
    """A helper that acts as the guest's users"""

    options = helper('guest')


# What guests find on a local share

files = interop.load('test-files')
locks = interop.load('test-locks')
acting = interop.load('test-act-as')


class FilesAsRoot(AsRoot, files.Files):
    """Files, as in test-files.py"""

    # GlusterFS changes no attribute of a file without a name but its size.
    @guest('$TOOL unlinked f')
    def test_open_unlink(self):
        """An open file without a name: write, truncate, stat"""
        self.assertEqual(self.said, 'links 0 size 6 mode 644\n'
                         'content before after\nfchmod f: ESTALE\n')
        self.assertEqual(os.listdir(self.folder), [])


class FilesAsGuest(AsGuest, FilesAsRoot):
    """The same"""


class FilesLocal(FilesAsRoot):
    """The same with the local driver, as root"""

    options = local('passthrough')


class OneGuestAsRoot(AsRoot, locks.OneGuest):
    """Locks, as in test-locks.py"""


class OneGuestAsGuest(AsGuest, locks.OneGuest):
    """The same"""


class Users(acting.ActAs):
    """The rights of a guest's users, as in test-act-as.py"""

    who = One
    # GlusterFS trusts root, and asks for no capability.
    ids = re.sub('^(root: .*): [12]$', r'\1: 0', acting.IDS, flags=re.M)


class Self(unittest.TestCase):
    """A helper with capabilities, which the file server does not know"""

    def setUp(self):
        self.host = One()
        if self.host.lacks():
            self.skipTest(self.host.lacks())

    def test_hint(self):
        """The helper says that it cannot work there, and what can"""
        share = harness.new_share(self.host)
        log = tempfile.TemporaryFile('w+')
        self.addCleanup(log.close)
        sock = harness.serve(self, self.host, share, '-u', 'nobody', log=log)
        with Guest(self.host, None, '''
                mkdir /tmp/self
                mount -t 9p -o trans=virtio,version=9p2000.L self /tmp/self
                mkdir /tmp/self/d; echo $?''', qemu=(
                    '-fsdev', f'proxy,id=self,socket={sock}', '-device',
                    'virtio-9p-pci,fsdev=self,mount_tag=self')) as guest:
            self.assertEqual(guest.wait(), 0, guest.stderr())
            self.assertEqual(guest.stdout(), b'1\n')
            self.assertIn(b'Permission denied', guest.stderr())
        log.seek(0)
        self.assertIn(HINT, log.read())
        self.assertEqual(os.listdir(share), [])


# Two hosts

two_guests = interop.load('long-two-guests')


class LocksAsRoot(AsRoot, locks.Others):
    """A guest on the first host; a guest on the second, or the first host"""

    second = Two


class LocksAsGuest(AsGuest, LocksAsRoot):
    """The same"""


class TurnsAsRoot(AsRoot, two_guests.Shared):
    """A guest on each host, whose processes take turns; each lock takes its
    way to both bricks."""

    each = 40
    second = Two


class TurnsAsGuest(AsGuest, TurnsAsRoot):
    """The same"""


class Brick(AsRoot, unittest.TestCase):
    """A guest on each host works as in long-migrate.py, in a folder of its
    own; then the bricks must be equal."""

    def setUp(self):
        self.host = self.who()
        if self.host.lacks():
            self.skipTest(self.host.lacks())
        self.nodes = Cluster.get().nodes
        self.shares = []
        for _ in self.nodes:
            share = harness.new_share(self.host)
            shutil.copy(harness.tool(), share / 'guest-tool')
            (share / 'lock').touch()
            self.shares.append(share)

    def rounds(self):
        """How far each guest is"""
        return [int((share / 'count').read_text(encoding='ascii') or 0)
                for share in self.shares]

    def work(self, guests):
        """Waits until all have worked on."""
        before = self.rounds()
        for guest in guests:
            wait_for('work', lambda: all(
                now >= then + moving.ROUNDS
                for now, then in zip(self.rounds(), before)), guest=guest)

    def content(self, node):
        """{path: type, mode, owner and checksum} of the shares' files in a
        brick"""
        found = {}
        for share in self.shares:
            for path in (node.own / 'brick' / share.name).rglob('*'):
                st = path.lstat()
                data = os.fsencode(path.readlink()) if path.is_symlink() \
                    else path.read_bytes() if path.is_file() else b''
                found[str(path.relative_to(node.own))] = (
                    st.st_mode, st.st_uid, st.st_gid,
                    hashlib.sha256(data).hexdigest())
        return found

    def test_brick(self):
        """Bricks are killed and come back while both guests write"""
        script = moving.SCRIPT.format(unlinked='', end='')
        one, other = (Guest(who(), share, script, self.options)
                      for who, share in zip((One, Two), self.shares))
        with one, other:
            for guest, share in zip((one, other), self.shares):
                wait_for('the command', (share / 'count').exists, guest=guest)
            for node in reversed(self.nodes):
                self.work((one, other))
                node.kill_brick()
                self.work((one, other))
                for share in self.shares:
                    self.assertNotEqual(*(
                        (n.own / 'brick' / share.name / 'count').read_text()
                        for n in self.nodes))
                node.start_brick()
                self.work((one, other))
                wait_for('healing', lambda: self.nodes[0].unhealed() == 0)
            for share in self.shares:
                (share / 'end').touch()
            for guest in (one, other):
                self.assertEqual(guest.wait(), 0, guest.stderr())
                self.assertEqual(guest.stdout().decode().splitlines()[-3:],
                                 ['released', 'same tree', 'same log'],
                                 guest.stderr())
        wait_for('healing', lambda: self.nodes[0].unhealed() == 0)
        first, second = map(self.content, self.nodes)
        self.assertGreater(len(first), 100)
        self.assertEqual(first, second)


class BrickAsGuest(AsGuest, Brick):
    """The same"""


class Move(moving.Moving):
    """The guest of long-migrate.py goes from host to host."""

    moves = 6
    saves = 1
    act_as = 'root'
    __test_me__ = True

    def setUp(self):
        self.qemus = []         # and the hosts that they run on
        super().setUp()

    def who(self):
        """The first host's user"""
        return gluster.User(0)

    def export(self):
        self.assertNotEqual(*(os.stat(node.mount).st_dev
                              for node in Cluster.get().nodes))
        for host in (One(), Two()):
            # This path is the same on both.
            sock = host.node.own / f'{self.share.name}.sock'
            harness.serve(self, host, self.share, '--persist', '-u',
                          self.host.login, f'--act-as={self.act_as}', sock=sock)
        return f'proxy,socket={sock},migration=names'

    def start(self, *more):
        if self.qemus:
            where = next((number for qemu, number in self.qemus
                          if qemu.alive()), self.qemus[-1][1])
            self.host = gluster.User(1 - where)
        qemu = super().start(*more)
        self.qemus.append((qemu, self.host.number))
        return qemu

    def test_moves(self):
        """Six moves and a saved state of a guest at work"""
        self.go()


class MoveAsGuest(Move):
    """The same"""

    act_as = 'guest'


def uptime():
    """Seconds since the system's start"""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def started(pid):
    """When that process started, as uptime(); OSError if it has ended"""
    stat = pathlib.Path(f'/proc/{pid}/stat').read_text(encoding='utf-8')
    ticks = int(stat.rpartition(')')[2].split()[19])
    return ticks / os.sysconf('SC_CLK_TCK')


class End(unittest.TestCase):
    """What is left of all this"""

    def test_nothing(self):
        """No process, mount, network device or file is left"""
        if gluster.missing():
            self.skipTest(gluster.missing())
        cluster = Cluster.get()
        spaces = {os.readlink(f'/proc/{node.first}/ns/{kind}')
                  for node in cluster.nodes for kind in ('mnt', 'net', 'pid')}
        now = uptime()
        cluster.end()
        self.assertFalse(cluster.folder.exists())
        for pid in filter(str.isdecimal, os.listdir('/proc')):
            for kind in ('mnt', 'net', 'pid'):
                with contextlib.suppress(OSError):
                    space = os.readlink(f'/proc/{pid}/ns/{kind}')
                    # New namespaces of other programs get the same numbers.
                    if started(pid) < now:
                        self.assertNotIn(space, spaces, pid)
        mounts = pathlib.Path('/proc/self/mountinfo').read_text(
            encoding='utf-8')
        self.assertNotIn(str(cluster.folder), mounts)
        self.assertNotIn(gluster.LINK, os.listdir('/sys/class/net'))
        self.assertEqual(state(), STATE)


if __name__ == '__main__':
    sys.exit(harness.main())
