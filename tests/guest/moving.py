# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that works on its share while it goes from one QEMU to another.

The guest's work only depends on how long it lasts. At the end the guest does
the same again in its own memory, and compares.
"""

import contextlib
import os
import pathlib
import shlex
import signal
import subprocess
import tempfile
import unittest

import bare
import harness
from harness import wait_for
from virtfs import build, sanitize
from virtfs.qmp import Qmp

# Seconds: for a migration, and until an old QEMU and its helper have ended
LIMIT = 120 * sanitize.patience()
TRIES = 20                      # of a move
# QEMU refuses a guest at the moment in which it has such a file.
NAMELESS = '(no name; inode'
ROUNDS = 3                      # of the guest's work between two moves

# {unlinked} and {end}: what the guest does with a file without a name
SCRIPT = '''
cp guest-tool /tmp/tool
mkdir -p /tmp/src/deep/er /tmp/again churn tree deep/er
for i in $(seq 40); do echo "file $i" >/tmp/src/deep/er/f$i; done
cp /bin/busybox /tmp/src
ln -s deep/er /tmp/src/link
tar -C /tmp -cf /tmp/src.tar src
exec 5>log
{unlinked}
# A process that only has its folder and a lock
(cd deep/er && exec /tmp/tool hold ../../lock w 0 10 ../../held ../../end \
>/tmp/released) &
holder=$!
until [ -e held ]; do sleep 0.1; done
>up
tars() {{
    i=0
    until [ -e ../end ]; do
        i=$((i + 1))
        tar xf /tmp/src.tar && diff -r src /tmp/src && rm -r src || return
        echo line $i >&5 || return
    done
    tar xf /tmp/src.tar
    echo $i
}}
cd tree
tars >/tmp/tars 2>&1 &
tars=$!
cd ..
/tmp/tool churn churn - count >/tmp/rounds || cat /tmp/rounds
wait $tars $holder
cat /tmp/released
rounds=$(cat /tmp/rounds)
/tmp/tool churn /tmp/again $rounds /tmp/count >/dev/null
listing() {{ (cd $1 && find . | sort | xargs stat -c '%n %a %h %F'
              cd $1 && find . -type f | sort | xargs cksum); }}
listing churn >/tmp/one; listing /tmp/again >/tmp/two
cmp /tmp/one /tmp/two && diff -r tree/src /tmp/src && echo same tree
[ "$(wc -l <log)" = "$(cat /tmp/tars)" ] && echo same log || cat /tmp/tars
{end}
'''
UNLINKED = '''
exec 7>gone 8<gone
rm gone
echo before >&7'''
UNLINKED_END = '''
echo after >&7
cat <&8'''


class Qemu:
    """A QEMU of a Moving, with its monitor"""

    count = 0

    def __init__(self, test, *more):
        Qemu.count += 1
        path = test.folder / f'qmp{Qemu.count}'
        # pylint: disable=consider-using-with
        self.log = tempfile.TemporaryFile()
        self.child = subprocess.Popen(
            test.host.command([test.folder / 'qemu', *test.words, '-qmp',
                               f'unix:{path},server=on,wait=off', *more]),
            env=test.host.environment(), stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log, cwd='/', start_new_session=True)
        self.qmp = wait_for('monitor', lambda: self.monitor(path))

    def monitor(self, path):
        """The monitor, once it listens"""
        if self.child.poll() is not None:
            raise AssertionError(f'QEMU ended: {self.said()}')
        try:
            return Qmp(path, LIMIT)
        except (FileNotFoundError, ConnectionRefusedError):
            return None

    def return_path(self, state):
        """With it the source hears of a destination that fails; a file has
        none."""
        self.qmp('migrate-set-capabilities', capabilities=[
            {'capability': 'return-path', 'state': state}])

    def said(self):
        """Its output"""
        self.log.seek(0)
        return self.log.read().decode(errors='replace')

    def alive(self):
        """Whether it runs"""
        return self.child.poll() is None

    def migration(self):
        """The state of its migration, once that is over"""
        def over():
            now = self.qmp('query-migrate')
            return now if now.get('status') in ('completed', 'failed') else None
        return wait_for('end of the migration', over, LIMIT)

    def quit(self):
        """Ends it: it must leave no process."""
        below = harness.descendants(self.child.pid)
        self.qmp('quit')
        self.qmp.close()
        if (status := self.child.wait(LIMIT)) != 0:
            raise AssertionError(f'QEMU ended with {status}: {self.said()}')
        wait_for('end of its processes', lambda: not any(
            os.path.exists(f'/proc/{pid}') for pid in below), LIMIT)

    def kill_helper(self):
        """Kills its helper, whose place another one takes."""
        helpers = [pid for pid, name in harness.descendants(
            self.child.pid).items() if build.HELPER.name.startswith(name)]
        assert helpers, self.said()
        for pid in helpers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def kill(self):
        """Ends it after a failed test."""
        if self.alive():
            os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()
        self.log.close()


class Moving(unittest.TestCase):
    """A guest with the share; derived classes have the export's options."""

    who = harness.User
    fsdev = ''                  # of -fsdev; {share} is the folder
    machine = ()                # further arguments of QEMU
    device = ''                 # further properties of the device
    handles = False             # QEMU finds files without a name
    kills = False               # kills helpers while the guest moves
    moves = 0
    saves = 0
    __test_me__ = False

    def setUp(self):
        self.host = self.who()
        if self.host.lacks():
            self.skipTest(self.host.lacks())
        # A short name, for the length limit of the sockets below
        # pylint: disable=consider-using-with
        folder = tempfile.TemporaryDirectory(prefix='vm-', dir='/tmp',
                                             ignore_cleanup_errors=True)
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.share = harness.new_share(self.host)
        self.addCleanup(harness.remove, self.share)
        harness.shutil.copy(harness.tool(), self.share / 'guest-tool')
        (self.share / 'lock').touch()
        (self.share / 'lock').chmod(0o666)
        guest = bare.Bare(self.folder, SCRIPT.format(
            unlinked=UNLINKED if self.handles else '',
            end=UNLINKED_END if self.handles else ''))
        (self.folder / 'qemu').symlink_to(build.QEMU)
        for path in [self.folder, *self.folder.iterdir(),
                     self.share / 'lock']:
            if not path.is_symlink():
                self.host.give(path)
        self.guest = guest
        fsdev = self.export()
        self.words = [*shlex.split(' '.join(guest.arguments())),
                      *self.machine, '-fsdev', f'{fsdev},id=share', '-device',
                      'virtio-9p-pci,fsdev=share,mount_tag=share'
                      f'{self.device}']

    def export(self):
        """The value of -fsdev, without an id"""
        return self.fsdev.format(share=self.share, helper=build.HELPER)

    def start(self, *more):
        """Another QEMU"""
        qemu = Qemu(self, *more)
        self.addCleanup(qemu.kill)
        return qemu

    def rounds(self):
        """How far the guest's work is"""
        try:
            return int((self.share / 'count').read_text() or 0)
        except (OSError, ValueError):
            return 0

    def works(self, qemu):
        """Waits until the guest has worked on."""
        before = self.rounds()

        def moved_on():
            if not qemu.alive():
                raise AssertionError(f'QEMU ended: {qemu.said()}')
            return self.rounds() >= before + ROUNDS
        wait_for('work', moved_on)

    def move(self, old):
        """The guest goes on in another QEMU, which this returns."""
        for _ in range(TRIES):
            new = self.start('-incoming', 'defer')
            path = self.folder / f'move{Qemu.count}'
            old.return_path(True)
            new.return_path(True)
            new.qmp('migrate-incoming', uri=f'unix:{path}')
            if self.kills:
                old.kill_helper()
                new.kill_helper()
            old.qmp('migrate', uri=f'unix:{path}')
            state = old.migration()
            if state['status'] == 'completed':
                break
            # The guest has just deleted a file, and goes on.
            new.child.wait(LIMIT)
            self.assertIn(NAMELESS, new.said())
            self.works(old)
        self.finish(old, state, new)
        return new

    def finish(self, old, state, new=None):
        """The old QEMU must have done its part: ends it."""
        self.assertEqual(state['status'], 'completed',
                         f'{state} {old.said()} {new and new.said()}')
        old.quit()

    def save(self, old):
        """The guest is saved, and goes on in another QEMU."""
        path = self.folder / 'state'
        old.return_path(False)
        old.qmp('migrate', uri=f'file:{path}')
        self.finish(old, old.migration())
        self.assertFalse(self.is_locked())
        new = self.start('-incoming', 'defer')
        new.qmp('migrate-incoming', uri=f'file:{path}')
        self.assertEqual(new.migration()['status'], 'completed', new.said())
        path.unlink()
        return new

    def is_locked(self):
        """Whether somebody has a lock on the guest's file"""
        lock = subprocess.run(
            ['python3', '-c', 'import fcntl, sys; fcntl.lockf('
             'open(sys.argv[1], "r+"), fcntl.LOCK_EX | fcntl.LOCK_NB, 10)',
             self.share / 'lock'], capture_output=True, check=False)
        return lock.returncode != 0

    def go(self):
        """Moves the guest while it works, and compares."""
        qemu = self.start()
        wait_for('the command', lambda: (self.share / 'up').exists()
                 or not qemu.alive())
        for i in range(self.moves + self.saves):
            self.works(qemu)
            qemu = self.move(qemu) if i < self.moves else self.save(qemu)
            self.assertTrue(wait_for('lock', self.is_locked, LIMIT))
        self.works(qemu)
        (self.share / 'end').touch()
        said = self.guest.wait(qemu.alive)
        self.assertFalse(self.is_locked())
        expected = ['released', 'same tree', 'same log']
        if self.handles:
            expected += ['before', 'after']
        self.assertEqual(said[-len(expected) - 1:], [*expected, 'exit 0'],
                         f'{said} {qemu.said()}')
        qemu.quit()
        return said
