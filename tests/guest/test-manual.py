#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual's examples work as described.

This file has the text of each literal block of the user's guide and of the
helper's manual page. A block without a test is a failure, so every new or
changed example needs one. "..." stands for the other arguments of a machine.
"""

import os
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
from harness import Owner, Root, User
from virtfs import build, sanitize

GUIDE = 'system/devices/virtfs.rst'
HELPER = 'tools/virtfs-proxy-helper.rst'
SECURITY = 'system/virtfs-security.rst'

PATH = '|qemu_system| ... -virtfs proxy,mount_tag=share,path=DIR'
RECONNECT = PATH + ',reconnect=5,on-disconnect=wait'
MOUNT = 'mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 share /mnt'
FSTAB = ('share  /mnt  9p  trans=virtio,version=9p2000.L,msize=512000,'
         'cache=none,nofail  0  0')
SETFCAP = PATH + ',modcaps=+setfcap'
REMOVE = 'unshare --map-auto --map-root-user rm -r DIR/of-a-guest-user'
SERVE = 'virtfs-proxy-helper -p DIR -s SOCKET -u USER'
CONNECT = '|qemu_system| ... -virtfs proxy,mount_tag=share,socket=SOCKET'
LOCAL = ('|qemu_system| ... -virtfs local,mount_tag=share,path=DIR,'
         'security_model=mapped-xattr')
MAN_ROOT = '''\
virtfs-proxy-helper -p /srv/share -s /run/virtfs/share.sock -u vm
qemu-system-x86_64 ... -virtfs proxy,mount_tag=share,\
socket=/run/virtfs/share.sock'''
MAN_USER = ('qemu-system-x86_64 ... -virtfs proxy,mount_tag=share,'
            'path=$HOME/share')
TRANSLATE = '--translate-uid 1000:5000:100,to-host:0:5000:1'
SQUASH = '--squash=all --anon-uid=$(id -u) --anon-gid=$(id -g)'
RULES = [':prefix:all:trusted.:user.virtiofs.:\n'
         ':prefix:all:security.:user.virtiofs.:',
         ':prefix:all:security.capability:user.virtiofs.:',
         ':unsupported:all:user.:user.:']
# Tested by test-9p-helper-systemd.py, and by long-root.py and test-run.py
UNIT = 'systemctl enable --now virtfs-proxy-helper@srv-data.socket'
ROOT = ('root=TAG rw rootfstype=9p rootflags=trans=virtio,version=9p2000.L,'
        'msize=512000,cache=loose')

GUEST = f'''set -e; cd /; {MOUNT}; cd /mnt
echo guest >f; chown 12:34 f; stat -c %u:%g f
mkdir of-a-guest-user; touch of-a-guest-user/g
chown -R 5:6 of-a-guest-user; cd /; umount /mnt
echo '{FSTAB}' >/etc/fstab; mount -a; cat /mnt/f'''
SAYS = ['12:34', 'guest', 'exit 0']


class Manual(unittest.TestCase):
    """A folder to share, a guest for each test"""

    def setUp(self):
        # pylint: disable=consider-using-with
        folder = tempfile.TemporaryDirectory(prefix='vm-', dir='/tmp',
                                             ignore_cleanup_errors=True)
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.folder.chmod(0o755)
        self.home = self.folder / 'home'
        self.share = self.home / 'share'
        self.share.mkdir(parents=True)
        self.user = User()
        # The guest mounts the share itself, as in the manual.
        self.guest = bare.Bare(self.home, GUEST, {
            'TYPE': 'tmpfs', 'TAG': 'none', 'MOUNT_OPTIONS': 'size=1m'})
        for path in [self.home, *self.home.rglob('*')]:
            self.user.give(path)

    def words(self, example):
        """A command of the manual, with this machine's paths"""
        paths = {
            '|qemu_system|': build.QEMU, 'qemu-system-x86_64': build.QEMU,
            'virtfs-proxy-helper': build.HELPER,
            '...': ' '.join(self.guest.arguments()),
            'DIR': self.share, '/srv/share': self.share, '$HOME': self.home,
            'SOCKET': f'{self.home}/socket',
            '/run/virtfs/share.sock': f'{self.home}/socket',
            '-u USER': f'-u {self.user_name()}',
            '-u vm': f'-u {self.user_name()}',
        }
        return shlex.split(re.sub('|'.join(map(re.escape, paths)),
                                  lambda m: str(paths[m[0]]), example))

    def user_name(self):
        """The name of the ordinary user"""
        return self.user.user.user.pw_name

    def need(self, who):
        """Skips the test if it cannot run here."""
        if who.lacks():
            self.skipTest(who.lacks())

    def run_qemu(self, example, who):
        """Runs a guest by that command, as the ordinary user, and checks its
        file."""
        with tempfile.TemporaryFile('w+') as errors, subprocess.Popen(
                self.user.command(self.words(example)), cwd='/',
                env=self.user.environment(), stdin=subprocess.DEVNULL,
                stderr=errors) as qemu:
            try:
                said = self.guest.wait(lambda: qemu.poll() is None)
            finally:
                if qemu.poll() is None:
                    qemu.send_signal(signal.SIGTERM)
                qemu.wait()
                errors.seek(0)
                sys.stdout.write(''.join(f'# {line}' for line in errors))
        self.assertEqual(said, SAYS)
        st = (self.share / 'f').stat()
        self.assertEqual((st.st_uid, st.st_gid),
                         (who.host_uid(12), who.host_gid(34)))

    def serve(self, example, who):
        """Starts a helper by that command, and returns when it listens."""
        subprocess.run(who.command(self.words(example)), check=True,
                       stdin=subprocess.DEVNULL, timeout=bare.LIMIT)
        for pid in self.helpers():
            self.addCleanup(self.end, pid)

    def helpers(self):
        """Process ids of the share's helper, the server's last"""
        done = subprocess.run(
            ['pgrep', '-f', f'virtfs-proxy-helper.*{self.share}'],
            capture_output=True, text=True, check=False)
        return sorted(int(word) for word in done.stdout.split())

    @staticmethod
    def end(pid):
        """Ends a helper that has not ended by itself."""
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            pass

    def test_all(self):
        """Every example has a test"""
        known = {PATH, RECONNECT, SETFCAP, MOUNT, FSTAB, REMOVE, SERVE, CONNECT,
                 LOCAL, MAN_ROOT, MAN_USER, UNIT, ROOT, TRANSLATE,
                 SQUASH, *RULES}
        self.assertEqual({*bare.blocks(GUIDE), *bare.blocks(HELPER)}, known)

    def test_path(self):
        """An ordinary user's QEMU starts the helper"""
        self.need(self.user)
        self.run_qemu(PATH, self.user)
        subprocess.run(self.user.command(self.words(REMOVE)), check=True,
                       stdin=subprocess.DEVNULL, cwd='/')
        self.assertEqual(os.listdir(self.share), ['f'])

    def test_reconnect(self):
        """The same, with options for the loss of the helper"""
        self.need(self.user)
        self.run_qemu(RECONNECT, self.user)

    def test_setfcap(self):
        """The same, with an option for the helper"""
        self.need(self.user)
        self.run_qemu(SETFCAP, self.user)

    def test_socket(self):
        """Root starts the helper"""
        self.need(Root())
        self.serve(SERVE, Root())
        self.run_qemu(CONNECT, Root())

    def test_options(self):
        """A helper starts with each of the manual page's options"""
        self.need(Root())
        squash = re.sub(r'\$\(id -[ug]\)', '1234', SQUASH)
        for option in [TRANSLATE, squash,
                       *(f"--xattr-map '{rules}'" for rules in RULES)]:
            with self.subTest(option):
                self.serve(f'{SERVE} {option}', Root())
                for pid in self.helpers():
                    self.end(pid)
                pathlib.Path(self.home, 'socket').unlink(missing_ok=True)

    def test_security(self):
        """The state of a serving helper in /proc"""
        self.need(Root())
        self.serve(SERVE, Root())
        server = str(self.helpers()[-1])
        said = [subprocess.run(
            ['bash', '-e', '-c', block.replace('PID', server)],
            capture_output=True, text=True, check=True,
            timeout=bare.LIMIT).stdout
            for block in bare.blocks(SECURITY)]
        # Builds with the address or thread sanitizer have no filter
        # (scripts/virtfs/sanitize.py).
        filtered = 0 if sanitize.active() not in ('', 'undefined') else 2
        self.assertIn(f'Seccomp:\t{filtered}', said[0])
        self.assertIn('=cap_chown,cap_dac_override,cap_dac_read_search,'
                      'cap_fowner,cap_fsetid\n', said[1])

    def test_local(self):
        """Without a helper"""
        self.run_qemu(LOCAL, Owner())

    def test_man_root(self):
        """The manual page's first example"""
        self.need(Root())
        serve, connect = MAN_ROOT.splitlines()
        self.serve(serve, Root())
        self.run_qemu(connect, Root())

    def test_man_user(self):
        """The manual page's second example"""
        self.need(self.user)
        self.run_qemu(MAN_USER, self.user)


if __name__ == '__main__':
    sys.exit(harness.main())
