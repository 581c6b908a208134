#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""./boot as a tool that runs commands: their output and exit status, and that
it always ends, with everything that it started.
"""

import hashlib
import lzma
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import unittest

import harness
from harness import Guest, Root, User, for_each, run, wait_for
from virtfs import kernel

FAILED = 125
# Seconds of processor time that a second, emulated ./boot may take
QUICK = 20 * harness.sanitize.patience()

# Output with bytes that might not arrive unchanged
BYTES = "awk 'BEGIN { for (i = 0; i < 256; i++) printf \"%c\\r\\n\", i }'"


def _who():
    """A user for ./boot, for tests that are the same for each."""
    return Root() if os.geteuid() == 0 else User()


class Boot(unittest.TestCase):
    """The user who runs the tests starts ./boot."""

    @classmethod
    def setUpClass(cls):
        cls.who = _who()
        # The first ./boot may have to fetch a kernel
        cls.first = run(cls.who, None, 'true', limit=1200)

    def boot(self, command, *options, share=None):
        status, out, err = run(self.who, share, command, options)
        return status, out, err.decode(errors='replace')

    def refused(self, *options):
        """The message of a ./boot that refuses to start."""
        with Guest(self.who, None, None, options) as guest:
            status = guest.wait()
            self.assertEqual(status, FAILED)
            self.assertEqual(guest.stdout(), b'')
            return guest.stderr().decode()

    # Status and output

    def test_true(self):
        """A second ./boot --run true is quick, and prints nothing"""
        self.assertEqual(self.first[0], 0, self.first[2])
        start = self.worked()
        self.assertEqual(self.boot('true'), (0, b'', ''))
        self.assertLess(self.worked() - start, QUICK)

    @staticmethod
    def worked():
        """Processor time of all child processes that have ended. Other work on
        the machine changes it only a little."""
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def test_status(self):
        """The command's exit status"""
        self.assertEqual(self.boot('exit 7'), (7, b'', ''))

    def test_signal(self):
        """A command that a signal ends: 128 and the signal's number"""
        self.assertEqual(self.boot('kill -9 $$'), (137, b'', ''))

    def test_interrupt(self):
        """SIGINT is not ignored in the guest"""
        self.assertEqual(self.boot('kill -INT $$; echo no'), (130, b'', ''))

    def test_output(self):
        """stdout and stderr are the command's, separately, byte for byte"""
        status, out, err = run(
            self.who, None, f'{BYTES}; {BYTES} >&2; printf end; exit 3')
        every = b''.join(bytes([i]) + b'\r\n' for i in range(256))
        # awk cannot write a NUL with %c on every system
        every = out[:0] + every if out[:1] == b'\0' else every[1:]
        self.assertEqual(out, every + b'end')
        self.assertEqual(err, every)
        self.assertEqual(status, 3)

    def test_much_output(self):
        """Eight megabytes of output arrive whole"""
        status, out, err = run(
            self.who, None, 'head -c 8388608 /dev/urandom >/tmp/x; '
            'sha256sum </tmp/x >&2; cat /tmp/x')
        self.assertEqual(status, 0)
        self.assertEqual(len(out), 8 << 20)
        self.assertEqual(hashlib.sha256(out).hexdigest().encode(),
                         err.split()[0])

    def test_reopened(self):
        """The command may open /dev/stdout and /dev/stderr"""
        self.assertEqual(
            self.boot('echo a >/dev/stdout; echo b >/dev/stderr; '
                      'echo c | tee /dev/stderr'),
            (0, b'a\nc\n', 'b\nc\n'))

    def test_background(self):
        """A background process does not delay the end"""
        start = time.monotonic()
        self.assertEqual(self.boot(f'sleep {harness.LIMIT} & echo x'),
                         (0, b'x\n', ''))
        self.assertLess(time.monotonic() - start, harness.LIMIT)

    def test_no_input(self):
        """The command's standard input is empty"""
        self.assertEqual(self.boot('cat; echo $?'), (0, b'0\n', ''))

    def test_long_command(self):
        """A command as long as an argument can be"""
        self.assertEqual(self.boot('exit 9 # ' + 131000 * 'x'), (9, b'', ''))

    def test_place(self):
        """The command runs as root, in the share, which is a 9p mount"""
        status, out, _ = self.boot(
            'pwd; id -u; cat /proc/mounts | grep /mnt/share; cat README')
        lines = out.decode().splitlines()
        self.assertEqual((status, lines[:2]), (0, ['/mnt/share', '0']))
        self.assertTrue(lines[2].startswith('share /mnt/share 9p rw'), lines)
        self.assertIn('./boot --share DIR', out.decode())

    def test_quoting(self):
        """A command with quotes, newlines and non-ASCII letters"""
        self.assertEqual(
            self.boot('x="a  \'b\'"; echo "$x"\necho \'$y "ü"\' \\\\'),
            (0, 'a  \'b\'\n$y "ü" \\\n'.encode(), ''))

    # Options

    def test_tag_and_arguments(self):
        """--tag, --memory, and arguments for QEMU"""
        status, out, err = self.boot(
            'grep /mnt/share /proc/mounts; nproc; '
            "awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo",
            '--tag', 'other,tag', '--memory', '768M')
        self.assertEqual((status, err), (0, ''))
        lines = out.decode().splitlines()
        self.assertTrue(lines[0].startswith('other,tag /mnt/share'), lines)
        self.assertGreater(int(lines[2]), 600)

    def test_after_dashes(self):
        """Arguments after -- go to QEMU"""
        status, out, err = self._qemu_arguments(['-smp', '2'], 'nproc')
        self.assertEqual((status, out, err), (0, b'2\n', b''))

    def _qemu_arguments(self, arguments, command):
        argv = self.who.command([harness.BOOT, '--run', command, '--',
                                 *arguments])
        done = subprocess.run(argv, env=self.who.environment(), cwd='/',
                              stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=harness.LIMIT)
        return done.returncode, done.stdout, done.stderr

    def test_kernel(self):
        """--kernel, with the image among its modules, as in newer packages"""
        known = kernel.debian()
        share = harness.new_share(self.who)
        folder = share / 'usr/lib/modules/1'
        (folder / 'kernel').mkdir(parents=True)
        shutil.copy(known.image, folder / 'vmlinuz')
        for name, data in known.modules():
            (folder / f'kernel/{name}.ko.xz').write_bytes(
                lzma.compress(data, preset=0))
        self.assertEqual(
            self.boot('grep -c "^share /mnt/share 9p" /proc/mounts',
                      '--kernel', folder / 'vmlinuz', share=share),
            (0, b'1\n', ''))

    def test_bad_arguments(self):
        """Unknown arguments of QEMU end ./boot with QEMU's message"""
        status, _, err = self._qemu_arguments(['-no-such-thing'], 'true')
        self.assertEqual(status, FAILED)
        self.assertIn(b'-no-such-thing', err)

    def test_synth(self):
        """--driver synth"""
        status, out, err = self.boot('grep -c "^share /mnt/share 9p" '
                                     '/proc/mounts', '--driver', 'synth')
        self.assertEqual((status, out, err), (0, b'1\n', ''))

    def test_local(self):
        """--driver local: its default is mapped-xattr"""
        share = harness.new_share(self.who) / 'a,b=c  d'
        share.mkdir()
        self.who.give(share)
        self.assertEqual(
            self.boot('touch f; chown 1:2 f; stat -c %u:%g f',
                      '--driver', 'local', share=share), (0, b'1:2\n', ''))
        self.assertIn('user.virtfs.uid', os.listxattr(share / 'f'))

    def test_security_model(self):
        """--security-model, with QEMU's message for an unknown one"""
        self.assertEqual(
            self.boot('touch f; cat .virtfs_metadata/f; echo end',
                      *harness.local('mapped-file'))[:2], (0, b'end\n'))
        status, _, err = self.boot('true', *harness.local('nonesuch'))
        self.assertEqual(status, FAILED)
        self.assertIn("'nonesuch', only: passthrough, none, mapped", err)

    def test_fsdev(self):
        """--fsdev: further options of -fsdev, unless root starts a helper"""
        rules = ('--fsdev', 'xattr-map=:prefix:all:trusted.:user.t.:')
        command = ('setfattr -n trusted.a -v b . && '
                   'getfattr --only-values -n trusted.a .')
        self.assertEqual(self.boot(command, *harness.local('none'), *rules),
                         (0, b'b', ''))
        if os.geteuid() == 0:
            self.assertIn('--fsdev', self.refused('--run', 'true', *rules))
        else:
            self.assertEqual(self.boot(command, *rules), (0, b'b', ''))

    def test_mount_options(self):
        """--mount-options come after those of ./boot"""
        status, out, err = self.boot(
            "grep /mnt/share /proc/mounts", '--mount-options',
            'msize=65536,posixacl,nodev')
        self.assertEqual((status, err), (0, ''))
        for word in ('msize=65536', 'posixacl', 'nodev'):
            self.assertIn(word, re.split('[ ,]', out.decode()))

    def test_no_such_driver(self):
        """An unknown driver is named"""
        status, _, err = self.boot('true', '--driver', 'nonesuch')
        self.assertEqual(status, FAILED)
        self.assertIn('nonesuch', err)

    def test_readonly(self):
        """--readonly: the guest can read, but changes nothing"""
        share = harness.new_share(self.who)
        (share / 'f').write_text('old')
        self.who.give(share / 'f')
        os.utime(share / 'f', ns=(1, 1))
        before = os.stat(share).st_mtime_ns
        status, out, _ = self.boot(
            'cat f; echo new >f; touch g; rm f; mkdir d; chmod 0 f; '
            'setfattr -n user.k -v v f; ln f h; mv f h; '
            'mount -o remount,rw /mnt/share; '
            'echo new >f; touch g; rm f; mkdir d; chmod 0 f; chown 1 f; '
            'setfattr -n user.k -v v f; ln f h; mv f h; ln -s f s; '
            'truncate -s 0 f; touch f; cat f',
            '--readonly', share=share)
        self.assertEqual((status, out), (0, b'oldold'))
        self.assertEqual(os.listdir(share), ['f'])
        self.assertEqual((share / 'f').read_text(), 'old')
        self.assertEqual(os.listxattr(share / 'f'), [])
        self.assertEqual(os.stat(share / 'f').st_mtime_ns, 1)
        self.assertEqual(os.stat(share).st_mtime_ns, before)

    def test_odd_share(self):
        """A share whose name has commas, spaces and non-ASCII letters"""
        share = harness.new_share(self.who) / 'a,b=c  d,,"ü"'
        share.mkdir()
        self.who.give(share)
        self.assertEqual(self.boot('echo x >f; cat f', share=share),
                         (0, b'x\n', ''))
        self.assertEqual((share / 'f').read_text(), 'x\n')

    def test_wrong_options(self):
        """Wrong options are named, and refused with status 125"""
        for options, word in (
                (['--nonesuch'], '--nonesuch'),
                (['--run'], '--run'),
                (['--run', 'true', 'more'], 'more'),
                (['--run', 'true', '--accel', 'x'], '--accel'),
                (['--run', 'true', '--memory', 'x'], '--memory'),
                (['--run', 'true', '--tag', ''], '--tag'),
                (['--run', 'true', '--tag', 32 * 'x'], '--tag'),
                (['--run', 'true', '--share', '/nonesuch'], '/nonesuch'),
                (['--run', 'true', '--share', '/etc/passwd'], '/etc/passwd'),
                (['--run', 'true', '--kernel', '/nonesuch'], '/nonesuch'),
                (['--run', 'true', '--kernel', '/etc/passwd'],
                 'not an x86 Linux kernel'),
                (['--run', 'true', '--security-model', 'none'],
                 '--security-model'),
                (['--run', 'true', '--mount-options', 'ro, posixacl'],
                 '--mount-options'),
                (['--driver', 'synth', '--share', '/', '--run', 'true'],
                 'synth')):
            with self.subTest(options[-1][:40]):
                self.assertIn(word, self.refused(*options))

    def test_no_terminal(self):
        """Without a terminal and --run there is a clear error"""
        self.assertIn('--run', self.refused())

    def test_no_kvm(self):
        """--accel kvm is refused without KVM"""
        flags = pathlib.Path('/proc/cpuinfo').read_text().split()
        if 'vmx' in flags or 'svm' in flags:
            self.skipTest('this machine may have KVM')
        self.assertIn('--accel kvm', self.refused('--accel', 'kvm', '--run',
                                                  'true'))

    def test_help(self):
        """--help"""
        with Guest(self.who, None, None, ['--help']) as guest:
            self.assertEqual(guest.wait(), 0)
            said = guest.stdout().decode()
        for word in ('--share', '--readonly', '--run', '125', '-- QEMU',
                     '--security-model', '--mount-options', '--fsdev'):
            self.assertIn(word, said)

    # Ends

    def test_panic(self):
        """A guest that panics: status 125 and a message"""
        status, _, err = self.boot('echo c >/proc/sysrq-trigger; sleep 100')
        self.assertEqual(status, FAILED)
        self.assertIn('panicked: sysrq triggered crash', err)

    def test_goes_down(self):
        """A guest that shuts down by itself: status 125 and a message"""
        status, out, err = self.boot('echo x; poweroff -f; sleep 100')
        self.assertEqual((status, out), (FAILED, b'x\n'))
        self.assertIn('went down before its command was over', err)

    def test_no_mount(self):
        """A guest that cannot mount the share says why"""
        status, _, err = self._qemu_arguments(
            ['-append', 'console=ttyS0 quiet panic=-1 rdinit=/bin/false'],
            'true')
        self.assertEqual(status, FAILED)
        self.assertIn(b'panicked', err)

    def started(self, share, command='echo 1 >up; sleep 1000', options=()):
        """A guest whose command has begun."""
        guest = Guest(self.who, share, command, options)
        self.addCleanup(guest.__exit__)
        wait_for('the command', (share / 'up').exists, guest=guest)
        return guest

    def test_qemu_killed(self):
        """QEMU is killed: status 125 and a message"""
        guest = self.started(harness.new_share(self.who))
        left = guest.processes()
        os.kill(harness.one_named(guest, 'qemu-system'), signal.SIGKILL)
        self.assertEqual(guest.wait(), FAILED)
        self.assertIn('QEMU was killed by SIGKILL', guest.stderr().decode())
        self.all_gone(left)

    def test_terminated(self):
        """./boot gets a signal to end: everything ends with it"""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with self.subTest(number.name):
                guest = self.started(harness.new_share(self.who))
                left = guest.processes()
                self.assertGreaterEqual(len(left), 2)
                os.kill(self.boot_pid(guest), number)
                self.assertEqual(guest.wait(), -number)
                self.assertEqual(guest.stderr(), b'')
                self.all_gone(left)

    def test_killed(self):
        """./boot is killed by SIGKILL: everything ends all the same"""
        guest = self.started(harness.new_share(self.who))
        left = guest.processes()
        os.kill(self.boot_pid(guest), signal.SIGKILL)
        guest.wait()
        self.all_gone(left)

    def boot_pid(self, guest):
        """./boot itself: the programs that start it exec it in the end."""
        return guest.child.pid

    def all_gone(self, processes):
        """All of these must end; zombies count as ended."""
        def gone():
            for pid in processes:
                try:
                    text = pathlib.Path(f'/proc/{pid}/stat').read_text()
                except OSError:
                    continue
                if text.rpartition(')')[2].split()[0] not in 'ZX':
                    return False
            return True
        wait_for(f'end of {processes}', gone)

    def test_closed_output(self):
        """The reader of the output closes it: ./boot ends"""
        argv = self.who.command([harness.BOOT, '--run', 'yes'])
        child = subprocess.Popen(argv, env=self.who.environment(), cwd='/',
                                 stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE)
        self.assertEqual(child.stdout.read(2), b'y\n')
        child.stdout.close()
        self.assertEqual(child.wait(harness.LIMIT), 128 + signal.SIGPIPE)
        self.assertEqual(child.stderr.read(), b'')
        child.stderr.close()

    def test_nothing_left(self):
        """No temporary file is left behind"""
        folder = harness.new_share(self.who)
        env = {**self.who.environment(), 'TMPDIR': str(folder)}
        done = subprocess.run(
            self.who.command([harness.BOOT, '--run',
                              'mkdir d; touch d/f; chown -R 5:5 d; '
                              'chmod 700 d']),
            env=env, cwd='/', stdin=subprocess.DEVNULL, capture_output=True,
            timeout=harness.LIMIT)
        self.assertEqual((done.returncode, done.stderr), (0, b''))
        self.assertEqual(os.listdir(folder), [])


@for_each(Root, User)
class Two(unittest.TestCase):
    """Users and privileges while a guest runs."""

    def setUp(self):
        self.host = self.who()
        why = self.host.lacks()
        if why:
            self.skipTest(why)

    def test_nobody_is_root(self):
        """Neither QEMU nor the helper has uid 0 while a guest runs"""
        share = harness.new_share(self.host)
        with Guest(self.host, share, 'echo 1 >up; sleep 1000') as guest:
            wait_for('the command', (share / 'up').exists, guest=guest)
            processes = guest.processes()
            seen = set()
            for pid, name in processes.items():
                if not name.startswith(('qemu', 'virtfs-proxy')):
                    continue
                status = pathlib.Path(f'/proc/{pid}/status').read_text()
                for line in status.splitlines():
                    if line.startswith(('Uid:', 'Gid:')):
                        self.assertNotIn('0', line.split()[1:],
                                         f'{name}: {line}')
                        seen.add(name)
        self.assertTrue(any(n.startswith('qemu') for n in seen), processes)
        self.assertTrue(any(n.startswith('virtfs') for n in seen), processes)

    def test_no_privilege(self):
        """QEMU has no capability, and can gain none"""
        share = harness.new_share(self.host)
        with Guest(self.host, share, 'echo 1 >up; sleep 1000') as guest:
            wait_for('the command', (share / 'up').exists, guest=guest)
            pid = harness.one_named(guest, 'qemu-system')
            status = pathlib.Path(f'/proc/{pid}/status').read_text()
        fields = dict(line.split(':\t', 1) for line in status.splitlines()
                      if ':\t' in line)
        for name in ('CapPrm', 'CapEff', 'CapInh', 'CapAmb'):
            self.assertEqual(int(fields[name], 16), 0, name)
        if self.host.real_owners:
            self.assertEqual(fields['NoNewPrivs'], '1')


if __name__ == '__main__':
    sys.exit(harness.main())
