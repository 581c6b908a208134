#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Helpers that the libvirt of contrib/libvirt does not start, in both
instances: one that root must not run, and those that do not get ready. The
error has the reason. Nobody waits for them but who must.
"""

import fcntl
import os
import struct
import subprocess
import sys
import time

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
AGAIN = DOMAINS.NOT_AGAIN
# A build: scripts that run this tree's programs
QEMU_SCRIPT = f'#!/bin/sh\nexec {build.QEMU} "$@"\n'
HELPER_SCRIPT = f'#!/bin/sh\nid -u >{{ran}}\nexec {HELPER} "$@"\n'
SLOW = '#!/bin/sh\necho this takes long >&2\nexec sleep 300\n'
GOOD = f'#!/bin/sh\nexec {HELPER} "$@"\n'
PYTHON = '/usr/bin/python3'
# Keeps its arguments, by which a test finds it
STUCK = f'#!{PYTHON}\nimport time\ntime.sleep(300)\n'
# Ends soon after QEMU has found it
SHORT = f'''#!/bin/sh
echo >>{{tries}}
{HELPER} "$@" &
sleep 1
kill -KILL $!
'''
SOON = 8                        # seconds: less than a helper's 15


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


    def soon(self, *arguments):
        """A call of virsh that waits for no helper"""
        begin = time.monotonic()
        done = self.call(*arguments)
        self.assertLess(time.monotonic() - begin, SOON, arguments)
        return done

    def in_background(self, *arguments):
        """A call of virsh that goes on"""
        # pylint: disable=consider-using-with
        called = subprocess.Popen(
            self.as_client([self.client, '-q', '-c', self.uri, *arguments]),
            env=self.environment, cwd='/', stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.addCleanup(called.communicate)
        return called

    def own(self, text):
        """The domain's own helper, a script"""
        path = self.vm / 'virtfs-proxy-helper'
        new = self.vm / 'new'
        self.script(new, text)
        new.replace(path)
        return path

    def test_waits(self):
        """A domain that waits for its helper can be looked at, and ended"""
        path = self.own(STUCK)
        name = self.define(lambda xml: xml.replace(
            SHARE_END, f"{SHARE_END}<binary path='{path}'/>"))
        start = self.in_background('start', name)
        wait_for('the helper', lambda: DOMAINS.processes(path))
        self.assertIn(name, self.soon('list', '--name').stdout)
        self.soon('domstate', name)
        self.assertEqual(self.soon('destroy', name).returncode, 0)
        self.assertEqual(start.wait(), 1)
        self.nothing_left()
        self.own(GOOD)
        self.virsh('start', name)
        self.assertEqual(self.guest.wait()[-1], 'exit 0')
        self.virsh('destroy', name)
        self.nothing_left()


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

    def persistent(self):
        """Starts a domain with a helper of its own that is replaced."""
        path = self.own(GOOD)
        name = self.start(lambda xml: DOMAINS.waiting(xml).replace(
            '<binary', f"<binary path='{path}'"))
        self.wait_up()
        return name

    def finish(self, name):
        """The guest goes on and ends."""
        self.touch('stop')
        self.assertEqual(self.guest.wait(), ['went on', 'exit 0'])
        self.virsh('destroy', name)
        self.nothing_left()

    def test_waits(self):
        """Who asks about the domain does not wait for its next helper"""
        name = self.persistent()
        seen = len(self.log())
        path = self.own(STUCK)
        os.kill(self.supervisor(), DOMAINS.signal.SIGKILL)
        wait_for('the next one', lambda: DOMAINS.processes(PYTHON, path))
        self.assertIn(name, self.soon('list', '--name').stdout)
        self.soon('setvcpus', name, '1', '--live')
        self.own(GOOD)
        wait_for('one that is ready',
                 lambda: DOMAINS.FOUND in self.log()[seen:])
        self.finish(name)

    def test_end(self):
        """Nor does who ends it"""
        name = self.persistent()
        path = self.own(STUCK)
        os.kill(self.supervisor(), DOMAINS.signal.SIGKILL)
        wait_for('the next one', lambda: DOMAINS.processes(PYTHON, path))
        self.assertEqual(self.soon('destroy', name).returncode, 0)
        self.nothing_left()

    def test_attach(self):
        """Nor does who asks about one that gets a share"""
        name = self.persistent()
        path = self.own(STUCK)
        more = self.vm / 'more'
        more.mkdir()
        self.who.give(more)
        device = self.vm / 'more.xml'
        device.write_text(DOMAINS.MORE.format(path=more).replace(
            "<target dir='more'/>", "<target dir='more'/>"
            f"<binary path='{path}'/>"), encoding='utf-8')
        self.who.give(device)
        attach = self.in_background('attach-device', name, device, '--live')
        wait_for('the helper', lambda: DOMAINS.processes(PYTHON, path))
        self.assertIn(name, self.soon('list', '--name').stdout)
        self.soon('domstate', name)
        self.assertEqual(attach.wait(), 1)
        wait_for('its end', lambda: not DOMAINS.processes(PYTHON, path))
        self.finish(name)

    def test_short(self):
        """One that always dies soon is started less and less often"""
        name = self.persistent()
        tries = self.vm / 'tries'
        self.own(SHORT.format(tries=tries))
        os.kill(self.supervisor(), DOMAINS.signal.SIGKILL)
        wait_for('the first try', tries.exists)
        time.sleep(25)
        self.assertLess(tries.stat().st_size, 7)
        self.own(GOOD)
        found = self.log().count(DOMAINS.FOUND)
        wait_for('one that lives',
                 lambda: self.log().count(DOMAINS.FOUND) > found)
        self.finish(name)

    def test_again(self):
        """The domain's log has the reason, and a later one starts"""
        name = self.start(DOMAINS.waiting)
        self.wait_up()
        seen = len(self.log())
        fd = self.lock()
        try:
            os.kill(self.supervisor(), DOMAINS.signal.SIGKILL)
            wait_for('the reason', lambda: AGAIN in self.log()[seen:])
        finally:
            os.close(fd)
        self.assertRegex(self.log()[seen:], f'{AGAIN}: .*{IS_CHANGED}')
        wait_for('the next one', lambda: DOMAINS.FOUND in self.log()[seen:])
        self.touch('stop')
        self.assertEqual(self.guest.wait(), ['went on', 'exit 0'])
        self.virsh('destroy', name)
        self.nothing_left()


class AgainOfSession(Again, DOMAINS.OfSession):
    """The helper of an ordinary user's domain"""

    __test_me__ = True

    def test_found(self):
        """One that libvirt has found is found again, wherever it is then"""
        folder = self.vm / 'build'
        name = self.start(self.build_in(folder, folder))
        self.wait_up()
        self.assertNotIn('<binary', self.virsh('dumpxml', name))
        self.virsh('save', name, self.vm / 'saved')
        self.nothing_left()
        there = self.vm / 'libexec'
        there.mkdir()
        self.who.give(there)
        (folder / 'fsdev/virtfs-proxy-helper').rename(
            there / 'virtfs-proxy-helper')
        self.virsh('restore', self.vm / 'saved')
        self.finish(name)


class AgainOfSystem(Again, DOMAINS.OfSystem):
    """The helper of root's domain"""

    __test_me__ = True


if __name__ == '__main__':
    sys.exit(harness.main())
