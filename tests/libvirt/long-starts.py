#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Helpers that the libvirt of contrib/libvirt does not start, in both
instances: one that root must not run, and those that do not get ready. The
error has the reason.
"""

import fcntl
import os
import struct
import sys

from built import HELPER, Built, module

# pylint: disable=wrong-import-order
import harness                                              # noqa: E402
from harness import wait_for                                # noqa: E402
from virtfs import build                                    # noqa: E402

DOMAINS = module('tests/libvirt/long-domains.py')
SHARE_END = DOMAINS.SHARE_END
F_OFD_SETLK = 37                # of fcntl(2)
CHANGED = 1                     # SHARE_CHANGED of fsdev/shared/share-lock.h
ENDED = 'ended when it was started: '
IS_CHANGED = 'virtfs-mapped is changing the directory'
AGAIN = 'cannot start the helper again'
# A build: scripts that run this tree's programs
QEMU_SCRIPT = f'#!/bin/sh\nexec {build.QEMU} "$@"\n'
HELPER_SCRIPT = f'#!/bin/sh\nid -u >{{ran}}\nexec {HELPER} "$@"\n'
SLOW = '#!/bin/sh\necho this takes long >&2\nexec sleep 300\n'


class Starts:
    """What the tests of both instances share"""

    command = DOMAINS.WORK

    def script(self, path, text):
        """Makes a program of the test's user."""
        path.write_text(text, encoding='ascii')
        path.chmod(0o755)
        self.who.give(path)

    def error(self, change=lambda xml: xml):
        """The error with which a domain does not start"""
        name = self.define(change)
        done = self.call('start', name)
        self.assertEqual(done.returncode, 1)
        self.nothing_left()
        self.remove(name)
        return done.stderr

    def build_in(self, folder, seen):
        """Makes a build in a folder, which the daemon sees as another one."""
        (folder / 'fsdev').mkdir(parents=True)
        self.script(folder / 'qemu-system-x86_64', QEMU_SCRIPT)
        self.script(folder / 'fsdev/virtfs-proxy-helper',
                    HELPER_SCRIPT.format(ran=self.vm / 'ran'))
        for path in (folder, folder / 'fsdev'):
            self.who.give(path)
        return lambda xml: xml.replace(f'{self.vm}/qemu-system-x86_64',
                                       f'{seen}/qemu-system-x86_64')

    def works(self, change, uid):
        """A domain works with its own build's helper, started by a user."""
        name = self.start(change)
        self.assertEqual(self.guest.wait(),
                         ['the host was here', '12:34:644', 'exit 0'])
        self.assertEqual((self.vm / 'ran').read_text(encoding='ascii'),
                         f'{uid}\n')
        self.virsh('destroy', name)
        self.nothing_left()

    def lock(self):
        """Locks the share as virtfs-mapped does: a descriptor."""
        fd = os.open(self.vm / 'share', os.O_RDONLY)
        fcntl.fcntl(fd, F_OFD_SETLK, struct.pack(
            'hhqqi4x', fcntl.F_RDLCK, os.SEEK_SET, CHANGED, 1, 0))
        return fd

    def test_locked(self):
        """The helper fails after it has its PID file: its reason"""
        fd = self.lock()
        self.addCleanup(os.close, fd)
        for end in (SHARE_END, SHARE_END + DOMAINS.PERSIST):
            said = self.error(lambda xml, end=end: xml.replace(SHARE_END, end))
            self.assertRegex(said, f'{ENDED}.*{IS_CHANGED}')

    def test_slow(self):
        """The helper does not get ready: what it said so far"""
        slow = self.vm / 'slow'
        self.script(slow, SLOW)
        said = self.error(lambda xml: xml.replace(
            SHARE_END, f"{SHARE_END}<binary path='{slow}'/>"))
        self.assertIn('was not ready within 15 seconds: this takes long', said)
        self.assertEqual(DOMAINS.processes(slow), [])


class StartsOfSession(Starts, DOMAINS.OfSession):
    """Helpers of an ordinary user"""

    __test_me__ = True

    def test_build(self):
        """The user's own build has the helper"""
        folder = self.vm / 'build'
        self.works(self.build_in(folder, folder), self.who.user.user.pw_uid)

    def test_handles(self):
        """A helper that may not open file handles says so"""
        self.assertRegex(self.error(lambda xml: xml.replace(
            SHARE_END, SHARE_END + "<migration mode='handles'/>")),
            f'{ENDED}.*the helper may not open file handles')


class StartsOfSystem(Starts, DOMAINS.OfSystem):
    """Helpers that root starts"""

    __test_me__ = True

    def test_theirs(self):
        """Not that of an ordinary user's build, unless the domain names it"""
        self.complete = lambda xml: xml
        uid = self.who.user.user.pw_uid
        folder = type(self.vm)(f'{self.namespace}/run/theirs')
        helper = '/run/theirs/fsdev/virtfs-proxy-helper'
        theirs = self.build_in(folder, '/run/theirs')
        said = self.error(theirs)
        self.assertIn(f"'{helper}' only if the domain names it: '/run/theirs' "
                      f'belongs to user {uid}', said)
        self.assertIn(f"<binary path='{helper}'/>", said)
        self.assertFalse((self.vm / 'ran').exists())
        self.works(lambda xml: theirs(xml).replace(
            SHARE_END, f"{SHARE_END}<binary path='{helper}'/>"), 0)

    def test_open(self):
        """Nor one below a folder where every user may write"""
        self.complete = lambda xml: xml
        folder = self.vm / 'build'
        said = self.error(self.build_in(folder, folder))
        self.assertIn("'/tmp' belongs to user 0, but others may write there",
                      said)
        self.assertFalse((self.vm / 'ran').exists())


class Again(Starts):
    """A domain's helper is killed, and the next one cannot start at first"""

    command = DOMAINS.QUIET
    test_locked = test_slow = None

    def test_again(self):
        """The domain's log has the reason, and a later one starts"""
        name = self.start(DOMAINS.waiting)
        self.wait_up()
        fd = self.lock()
        try:
            os.kill(self.supervisor(), DOMAINS.signal.SIGKILL)
            wait_for('the reason', lambda: AGAIN in self.log())
        finally:
            os.close(fd)
        self.assertRegex(self.log(), f'{AGAIN}: .*{IS_CHANGED}')
        wait_for('the next one', lambda: DOMAINS.FOUND in self.log())
        self.touch('stop')
        self.assertEqual(self.guest.wait(), ['went on', 'exit 0'])
        self.virsh('destroy', name)
        self.nothing_left()


class AgainOfSession(Again, DOMAINS.OfSession):
    """The helper of an ordinary user's domain"""

    __test_me__ = True


class AgainOfSystem(Again, DOMAINS.OfSystem):
    """The helper of root's domain"""

    __test_me__ = True


if __name__ == '__main__':
    sys.exit(harness.main())
