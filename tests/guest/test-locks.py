#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Byte-range locks, between processes of one guest, between two guests, and
between a guest and the host.
"""

import fcntl
import os
import struct
import sys
import unittest

import harness
from harness import Guest, GuestCase, Root, User, guest, wait_for

WHO = Root if os.geteuid() == 0 else User


class OneGuest(GuestCase):

    who = WHO

    @guest('''touch f; $TOOL hold f w 10 10 held end & n=0
              while [ ! -e held ]; do usleep 50000; done
              $TOOL lock f w 15 1; $TOOL lock f r 19 1; $TOOL lock f w 20 1
              $TOOL lock f w 0 10; $TOOL locker f w 0 100; touch end; wait
              $TOOL lock f w 15 1; $TOOL locker f w 0 0''')
    def test_ranges(self):
        """A lock covers its bytes, and none beside them"""
        self.assertEqual(self.said.splitlines(), [
            'lock f: EAGAIN', 'lock f: EAGAIN', 'locked', 'locked',
            'write 10 10', 'released', 'locked', 'free'])

    @guest('''touch f; $TOOL hold f r 0 0 held end &
              while [ ! -e held ]; do usleep 50000; done
              $TOOL lock f r 5 5; $TOOL lock f w 5 5; touch end; wait
              $TOOL lock f w 5 5''')
    def test_shared(self):
        """Read locks are shared, write locks are not"""
        self.assertEqual(self.said.splitlines(), [
            'locked', 'lock f: EAGAIN', 'released', 'locked'])

    @guest('''touch f; $TOOL hold f r 10 0 held end &
              while [ ! -e held ]; do usleep 50000; done
              $TOOL read-locker f r 0 0; $TOOL locker f r 0 0
              $TOOL locker f r 20 1; $TOOL locker f w 20 1
              $TOOL read-locker f w 0 0; touch end; wait
              $TOOL read-locker f w 0 0''')
    def test_readers(self):
        """A reader is not in the way of another one"""
        self.assertEqual(self.said.splitlines(), [
            'free', 'free', 'free', 'read 10 0', 'read 10 0', 'released',
            'free'])

    @guest('''touch f; $TOOL hold f w 0 1 held end &
              while [ ! -e held ]; do usleep 50000; done
              (sleep 1; touch end) & $TOOL wait-lock f w 0 1; wait''')
    def test_waiting(self):
        """A process that waits for a lock gets it"""
        self.assertEqual(sorted(self.said.splitlines()),
                         ['locked', 'released'])

    @guest('''touch f; $TOOL hold f w 0 1 held end & holder=$!
              while [ ! -e held ]; do usleep 50000; done
              kill -9 $holder; wait; $TOOL lock f w 0 1''')
    def test_killed(self):
        """The locks of a process end with it"""
        self.assertEqual(self.said.splitlines()[-1], 'locked')

    @guest('''touch f; $TOOL hold-flock f held end &
              while [ ! -e held ]; do usleep 50000; done
              $TOOL flock f; touch end; wait; $TOOL flock f''')
    def test_flock(self):
        """flock(2)"""
        self.assertEqual(self.said.splitlines(), [
            'flock f: EAGAIN', 'released', 'locked'])


class Others(unittest.TestCase):
    """A guest, and another guest or the host."""

    who = second = WHO          # who has the guest, and the other guest
    options = ()                # for ./boot

    def setUp(self):
        self.host = self.who()
        why = self.host.lacks()
        if why:
            self.skipTest(why)
        self.share = harness.new_share(self.host)
        harness.shutil.copy(harness.tool(), self.share / 'tool')
        (self.share / 'f').write_text('0123456789')
        self.host.give(self.share / 'f')

    def is_locked(self, start, length):
        """Whether these bytes are locked for the host."""
        with open(self.share / 'f', 'rb+') as f:
            try:
                fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
                return False
            except BlockingIOError:
                return True

    def there(self, name):
        return (self.share / name).exists

    def test_two_guests(self):
        """Two guests keep each other out of locked bytes"""
        with Guest(self.host, self.share,
                   './tool hold f w 2 4 held end', self.options) as one, \
                Guest(self.second(), self.share,
                      'while [ ! -e held ]; do usleep 100000; done; '
                      './tool lock f w 3 1; ./tool lock f r 3 1; '
                      './tool locker f w 0 0; ./tool lock f w 6 1; '
                      'touch end; ./tool wait-lock f w 2 4',
                      self.options) as other:
            self.assertEqual(other.wait(), 0, other.stderr())
            self.assertEqual(one.wait(), 0, one.stderr())
            self.assertEqual(one.stdout(), b'released\n')
            lines = other.stdout().decode().splitlines()
        self.assertEqual(lines, ['lock f: EAGAIN', 'lock f: EAGAIN',
                                 'write 2 4', 'locked', 'locked'])

    def test_guest_holds(self):
        """A program of the host finds the guest's lock"""
        with Guest(self.host, self.share,
                   './tool hold f w 2 4 held end; '
                   'while [ ! -e seen ]; do usleep 100000; done',
                   self.options) as running:
            wait_for('lock', self.there('held'), guest=running)
            self.assertTrue(self.is_locked(2, 1))
            self.assertTrue(self.is_locked(5, 1))
            self.assertFalse(self.is_locked(0, 2))
            self.assertFalse(self.is_locked(6, 0))
            (self.share / 'end').touch()
            wait_for('end of the lock', lambda: not self.is_locked(2, 4))
            (self.share / 'seen').touch()
            self.assertEqual(running.wait(), 0)

    def test_host_holds(self):
        """The guest finds the lock of a program of the host"""
        with open(self.share / 'f', 'rb+') as f:
            # A lock of the open file: this process opens the file elsewhere.
            lock = struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 4, 2, 0)
            fcntl.fcntl(f, 37, lock)                # F_OFD_SETLK
            with Guest(self.host, self.share,
                       './tool lock f w 4 1; ./tool lock f r 5 1; '
                       './tool lock f w 6 1; touch tried; '
                       './tool wait-lock f w 4 2',
                       self.options) as running:
                wait_for('the command', self.there('tried'), guest=running)
                f.close()
                self.assertEqual(running.wait(), 0, running.stderr())
                lines = running.stdout().decode().splitlines()
        self.assertEqual(lines, ['lock f: EAGAIN', 'lock f: EAGAIN',
                                 'locked', 'locked'])

    def test_qemu_killed(self):
        """The locks of a guest end with its QEMU"""
        with Guest(self.host, self.share,
                   './tool hold f w 2 4 held end', self.options) as running:
            wait_for('lock', self.there('held'), guest=running)
            self.assertTrue(self.is_locked(2, 1))
            os.kill(harness.one_named(running, 'qemu-system'),
                    harness.signal.SIGKILL)
            running.wait()
        wait_for('end of the lock', lambda: not self.is_locked(2, 4))


if __name__ == '__main__':
    sys.exit(harness.main())
