#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirt saves domains with a mounted share, and restores them, with the
commands of the manual: to a file, as managed state, and as a snapshot.

The guest writes numbered lines through an open file, reads them back through
another, and looks at inode numbers, round after round. One of its processes
only has a folder of the share and a lock. The file must have each number once,
also after the guest went back to a snapshot: it then writes the same lines at
the same places again. The file "rounds" has the numbers in the order in which
the guest came to them.
"""

import itertools
import shutil
import subprocess
import sys

import domains
import harness
from bare import LIMIT
from harness import wait_for
from virtfs import build

ROUNDS = 3                      # that show that the guest goes on
SCRIPT = '''
cp guest-tool /tmp/tool
mkdir -p deep/er
exec 5>log 6<log
(cd deep/er && exec /tmp/tool hold ../../lock w 0 10 ../../held ../../end \
>/tmp/released) &
holder=$!
until [ -e held ]; do sleep 0.1; done
log=$(stat -c %i log) folder=$(stat -c %i deep/er) lock=$(stat -c %i lock)
n=0
until [ -e stop ]; do
    n=$((n + 1))
    line=$(printf %08d $n)
    echo $line >&5 && read back <&6 && [ $back = $line ] ||
        echo "$line: read $back"
    now=$(stat -L -c %i log /proc/$$/fd/5 /proc/$$/fd/6 \
        deep/er /proc/$holder/cwd lock /proc/$holder/fd/3 | xargs)
    [ "$now" = "$log $log $log $folder $folder $lock $lock" ] ||
        echo "$line: $now"
    echo $n >>rounds
done
>end
wait $holder
cat /tmp/released
'''
NAMELESS = '''
exec 5>gone 6<gone
echo one >&5
rm gone
>up
until [ -e stop ]; do sleep 0.1; done
cat <&6 || echo gone on
'''
# Adds an option to an -fsdev
EDITOR = 'sed -i s/id=share,/id=share,on-missing=stale,/'
NO_NAME = "cannot find '(no name; inode "
OFF = ("cannot migrate domain: virtio-9p: the guest has mounted fsdev 'share', "
       'which has migration=off; unmount it in the guest first')
TRANSIENT = 'cannot do managed save for transient domain'
NO_DISK = ('internal and full system snapshots require all disks to be '
           'selected for snapshot')


class Saved:
    """The tests, for both instances"""

    command = SCRIPT
    programs = (*domains.Session.programs, 'qemu-img')
    __test_me__ = False

    def setUp(self):
        super().setUp()
        self.share = self.vm / 'share'
        shutil.copy(harness.tool(), self.share / 'guest-tool')
        (self.share / 'lock').touch()
        for path in self.share.iterdir():
            self.who.give(path)

    def rounds(self):
        """What the guest has noted"""
        try:
            text = (self.share / 'rounds').read_text(encoding='ascii')
        except FileNotFoundError:
            return []
        return [int(line) for line in text.split('\n')[:-1]]

    def steps_back(self):
        """How often the guest went back in time"""
        return sum(b <= a for a, b in itertools.pairwise(self.rounds()))

    def goes_on(self):
        """Waits until the guest has worked on, with its lock."""
        before = len(self.rounds())
        wait_for('work', lambda: len(self.rounds()) >= before + ROUNDS)
        wait_for('lock', self.is_locked)

    def is_locked(self):
        """Whether somebody has a lock on the guest's file"""
        lock = subprocess.run(
            ['python3', '-c', 'import fcntl, sys; fcntl.lockf('
             'open(sys.argv[1], "r+"), fcntl.LOCK_EX | fcntl.LOCK_NB, 10)',
             self.share / 'lock'], capture_output=True, check=False)
        return lock.returncode != 0

    def is_off(self):
        """The domain must not run."""
        self.assertEqual(self.virsh('list', '--name').strip(), '')
        self.assertFalse(self.is_locked())

    def start(self, name):
        """Defines and starts a domain of the manual with a disk: its name"""
        domain = self.domain(name, domains.example('libvirt-disk'))
        for command in (*self.commands('libvirt-disk-file', domain),
                        *self.commands('libvirt-define', domain)):
            command()
        self.addCleanup(self.remove, domain)
        return domain

    def remove(self, domain):
        """Removes a domain with all that libvirt keeps of it."""
        self.call('destroy', domain)
        self.call('undefine', domain, '--managed-save',
                  '--snapshots-metadata')
        self.assertEqual(self.virsh('list', '--all', '--name').strip(), '')

    def check(self, name):
        """A domain is saved in each way, and its guest notices nothing."""
        domain = self.start(name)
        self.goes_on()
        for way in ('libvirt-save', 'libvirt-managedsave'):
            save, restore = self.commands(way, domain)
            save()
            self.is_off()
            restore()
            self.goes_on()
        self.assertEqual(self.steps_back(), 0)
        self.check_snapshot(domain)
        (self.share / 'stop').touch()
        self.assertEqual(self.guest.wait(), ['released', 'exit 0'])
        self.assertFalse(self.is_locked())
        lines = (self.share / 'log').read_text(encoding='ascii').split()
        # The guest that the snapshot replaced may have written one more.
        self.assertGreaterEqual(len(lines), max(self.rounds()))
        self.assertEqual(lines, [f'{i + 1:08}' for i in range(len(lines))])
        self.assertEqual(self.err(), [])

    def check_snapshot(self, domain):
        """The guest goes back to a snapshot, and on from there."""
        create, revert = self.commands('libvirt-snapshot', domain)
        create()
        self.goes_on()
        self.assertEqual(self.steps_back(), 0)
        revert()
        wait_for('step back', self.steps_back)
        self.goes_on()
        self.assertEqual(self.steps_back(), 1)

    def err(self):
        """Lines of the guest's stderr"""
        text = (self.vm / 'err').read_text(encoding='utf-8')
        return [line for line in text.splitlines()
                if line and not line.startswith('@virtfs')]

    def test_local(self):
        """The element <filesystem>"""
        self.check('libvirt-local')

    def test_socket(self):
        """A helper that waits for the next QEMU"""
        self.start_helper('--persist')
        self.addCleanup(self.end_helper)
        self.check('libvirt-socket')

    def test_launcher(self):
        """Each QEMU has a helper of the launcher"""
        self.check('libvirt-launcher')
        self.remove('virtfs-launcher')
        self.helper_ends()


class Session(Saved, domains.Session):
    """By an ordinary user"""

    __test_me__ = True


class System(Saved, domains.System):
    """By root"""

    __test_me__ = True

    def start_helper(self, *options):
        subprocess.run(
            [build.HELPER, '-p', self.share, '-s', self.vm / 'share.sock',
             '-u', self.who.user.user.pw_name, *options],
            stdin=subprocess.DEVNULL, check=True, timeout=LIMIT)


class Refused(domains.Session):
    """What QEMU and libvirt refuse, and what works instead"""

    command = NAMELESS
    __test_me__ = True

    def boot(self, devices='', option=''):
        """Starts a domain of the launcher, with more devices and one more
        option of -fsdev"""
        domain = self.domain('libvirt-launcher', devices)
        path = self.vm / 'domain.xml'
        path.write_text(path.read_text(encoding='utf-8').replace(
            'id=share,', f'id=share,{option}'), encoding='utf-8')
        for command in self.commands('libvirt-define', domain):
            command()
        self.addCleanup(self.call, 'undefine', domain, '--managed-save')
        self.addCleanup(self.call, 'destroy', domain)
        wait_for('the guest', (self.vm / 'share/up').exists)
        return domain

    def refuses(self, why, *command):
        """virsh must fail with that reason."""
        done = self.call(*command)
        self.assertEqual(done.returncode, 1)
        self.assertIn(why, done.stderr)

    def test_file_without_name(self):
        """A guest with an open file without a name is restored on demand"""
        domain = self.boot()
        self.refuses(NO_DISK, 'snapshot-create-as', domain, 'before')
        self.virsh('managedsave', domain)
        self.refuses(NO_NAME, 'start', domain)
        self.virsh('managedsave-edit', domain, EDITOR=EDITOR)
        self.virsh('start', domain)
        (self.vm / 'share/stop').touch()
        self.assertEqual(self.guest.wait(), ['gone on', 'exit 0'])
        self.assertIn('Stale file handle',
                      (self.vm / 'err').read_text(encoding='utf-8'))

    def test_refused(self):
        """Domains that cannot be saved go on"""
        for command in self.commands('libvirt-disk-file', ''):
            command()
        domain = self.boot(domains.example('libvirt-disk'), 'migration=off,')
        self.refuses(OFF, 'save', domain, self.vm / 'saved')
        self.refuses(OFF, 'managedsave', domain)
        self.refuses(OFF, 'snapshot-create-as', domain, 'before')
        self.virsh('undefine', domain)
        self.refuses(TRANSIENT, 'managedsave', domain)
        (self.vm / 'share/stop').touch()
        self.assertEqual(self.guest.wait(), ['one', 'exit 0'])


if __name__ == '__main__':
    sys.exit(harness.main())
