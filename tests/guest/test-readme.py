#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands of README.md work as it says, on a machine where ./boot works.

This file has the text of each literal block of README.md. A block without a
test is a failure, so every new or changed command needs one. test-manual.py
does the same for the user's guide, which has more of QEMU's options.
"""

import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import unittest

import bare
import harness
from harness import TREE, Root, User, run
from virtfs import build, debian
from virtfs.qmp import Fail, Qmp

SHELL = './boot --share DIR'
RUN = "./boot --share DIR --run 'chown 1234:4321 file; stat -c %u:%g file'"
CHECK = './check'
PATH = '-virtfs proxy,mount_tag=share,path=DIR'
HELPER = 'build/fsdev/virtfs-proxy-helper -n -p DIR -s SOCKET -u USER'
SOCKET = ('build/qemu-system-x86_64 ... -virtfs proxy,mount_tag=share,'
          'socket=SOCKET')
MOUNT = 'mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 share /mnt'
LOCAL_BOOT = './boot --share DIR --driver local --security-model mapped-xattr'
LOCAL = ('-virtfs local,mount_tag=share,path=DIR,'
         'security_model=mapped-xattr')

# Other arguments of the command lines that a user may have: the devices of a
# machine that names none, network cards, displays, accelerators
OTHERS = ['', '-M pc', '-M q35', '-nic none', '-nodefaults', '-device e1000e',
          '-device rtl8139', '-device virtio-net-pci', '-device ne2k_pci',
          '-device pcnet', '-device vmxnet3', '-device i82559er',
          '-vga std', '-vga cirrus', '-vga virtio', '-vga vmware',
          '-device ramfb', '-device bochs-display', '-device isa-vga',
          '-display none', '-nographic', '-accel tcg', '-smp 2 -m 256M']


class Readme(unittest.TestCase):
    """A folder to share"""

    def setUp(self):
        # pylint: disable=consider-using-with
        folder = tempfile.TemporaryDirectory(prefix='readme-', dir='/tmp',
                                             ignore_cleanup_errors=True)
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.folder.chmod(0o755)
        self.share = self.folder / 'share'
        self.share.mkdir()
        self.user = User()
        for path in self.folder, self.share:
            self.user.give(path)

    def words(self, text):
        """A command, with this machine's paths"""
        return [word.replace('build/qemu-system-x86_64', str(build.QEMU))
                .replace('build/fsdev/virtfs-proxy-helper', str(build.HELPER))
                .replace('DIR', str(self.share))
                .replace('SOCKET', f'{self.folder}/socket')
                for word in shlex.split(text)]

    def works(self, text):
        """An ordinary user's QEMU has the share, and runs until it is told to
        end."""
        monitor = self.folder / 'monitor'
        with tempfile.TemporaryFile('w+') as said, subprocess.Popen(
                self.user.command([*self.words(text), '-qmp',
                                   f'unix:{monitor},server=on,wait=off']),
                cwd='/', env=self.user.environment(), stdout=said,
                stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL) as qemu:
            try:
                harness.wait_for('the monitor', lambda: monitor.exists()
                                 or qemu.poll() is not None)
                try:
                    qmp = Qmp(monitor, harness.LIMIT)
                except (OSError, Fail):
                    said.seek(0)
                    self.fail(f'{text}: {qemu.wait()}\n{said.read()}')
                self.assertTrue(qmp('query-status')['running'])
                self.assertEqual([f['id'] for f in qmp('query-fsdevs')],
                                 ['share'])
                qmp('quit')
                qmp.close()
                self.assertEqual(qemu.wait(harness.LIMIT), 0, text)
            finally:
                if qemu.poll() is None:
                    qemu.send_signal(signal.SIGTERM)
                qemu.wait()
                monitor.unlink(missing_ok=True)

    def test_all(self):
        """Every command has a test"""
        text = (TREE / 'README.md').read_text(encoding='utf-8')
        blocks = re.findall(r'(?:^    \S.*\n)+', text, re.M)
        found = {line.strip() for block in blocks
                 for line in block.splitlines() if '|' not in block}
        # test-run.py has the shell; this is the end of a ./check
        self.assertEqual(found, {SHELL, RUN, CHECK, PATH, HELPER, SOCKET,
                                 MOUNT, LOCAL_BOOT, LOCAL})

    def test_run(self):
        """./boot runs a command in a guest"""
        who = Root() if not Root().lacks() else self.user
        share = harness.new_share(who)
        (share / 'file').touch()
        who.give(share / 'file')
        *_, command = shlex.split(RUN)
        self.assertEqual(run(who, share, command)[:2], (0, b'1234:4321\n'))

    def test_command_lines(self):
        """QEMU starts with the share, whatever else is on its command line"""
        for other in OTHERS:
            with self.subTest(other):
                self.works(f'build/qemu-system-x86_64 {other} {PATH}')

    def test_local(self):
        """The same without the helper"""
        self.works(f'build/qemu-system-x86_64 {LOCAL}')

    def test_socket(self):
        """Root starts the helper, and a user's QEMU connects"""
        if Root().lacks():
            self.skipTest(Root().lacks())
        words = self.words(HELPER.replace('USER',
                                          self.user.user.user.pw_name))
        with subprocess.Popen(words, stdin=subprocess.DEVNULL) as helper:
            try:
                harness.wait_for('the socket', lambda: (
                    self.folder / 'socket').exists())
                self.works(SOCKET.replace('...', ''))
                self.assertEqual(helper.wait(bare.LIMIT), 0)
            finally:
                if helper.poll() is None:
                    helper.terminate()

    def test_accelerators(self):
        """The build has both, so that ./boot can choose"""
        said = subprocess.run([build.QEMU, '-accel', 'help'], check=True,
                              capture_output=True, text=True).stdout
        self.assertLessEqual({'kvm', 'tcg'}, set(said.split()))

    def test_packages(self):
        """What ./boot installs is all that QEMU needs"""
        self.assertEqual(debian.packages.missing(['run']), [])


if __name__ == '__main__':
    sys.exit(harness.main())
