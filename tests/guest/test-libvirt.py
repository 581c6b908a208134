#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirt's session instance runs the domains of the manual.

The test takes them from docs/system/devices/virtfs-libvirt.rst, replaces the
manual's paths by those of this machine, and adds two channels for the guest's
output. Everything runs as an ordinary user.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import bare
import harness
from harness import Owner, User, wait_for
from virtfs import build

PAGE = harness.TREE / 'docs/system/devices/virtfs-libvirt.rst'
COMMAND = '''cat from-host
             echo from-guest >f && chown 12:34 f && stat -c %u:%g:%a f'''
CHANNEL = '''<channel type='file'><source path='{path}'/>
<target type='virtio' name='{name}'/></channel>'''


def example(name):
    """A domain of the manual"""
    text = PAGE.read_text(encoding='utf-8')
    found = re.search(rf'^\.\. example: {name}\n\.\. code-block:: xml\n\n'
                      r'((?:  .*\n|\n)+)', text, re.M)
    return '\n'.join(line[2:] for line in found[1].splitlines())


class Libvirt(unittest.TestCase):
    """One libvirtd, and a domain for each test"""

    @classmethod
    def setUpClass(cls):
        for program in ('virsh', 'libvirtd'):
            if not shutil.which(program, path='/usr/sbin:/usr/bin'):
                raise unittest.SkipTest(f'{program} is not installed')
        cls.who = User()
        if cls.who.lacks():
            raise unittest.SkipTest(cls.who.lacks())
        # A short name, for the length limit of the sockets below
        # pylint: disable=consider-using-with
        folder = tempfile.TemporaryDirectory(prefix='vl-', dir='/tmp',
                                             ignore_cleanup_errors=True)
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.folder.chmod(0o755)
        cls.environment = {**cls.who.environment(),
                           'XDG_RUNTIME_DIR': f'{cls.folder}/run',
                           'XDG_CONFIG_HOME': f'{cls.folder}/config',
                           'XDG_CACHE_HOME': f'{cls.folder}/cache'}
        for name in ('run', 'config', 'cache', 'vm'):
            (cls.folder / name).mkdir(mode=0o700)
            cls.who.give(cls.folder / name)
        cls.addClassCleanup(cls.end_libvirtd)

    @classmethod
    def end_libvirtd(cls):
        """Ends the libvirtd that virsh started."""
        try:
            pid = int((cls.folder / 'run/libvirt/libvirtd.pid').read_text(
                encoding='ascii'))
            os.kill(pid, 15)
            wait_for('end of libvirtd',
                     lambda: not os.path.exists(f'/proc/{pid}'))
        except (OSError, ValueError):
            pass

    def setUp(self):
        # pylint: disable=consider-using-with
        folder = tempfile.TemporaryDirectory(dir=self.folder / 'vm',
                                             ignore_cleanup_errors=True)
        self.addCleanup(folder.cleanup)
        self.vm = pathlib.Path(folder.name)
        share = self.vm / 'share'
        share.mkdir()
        (share / 'from-host').write_text('the host was here\n',
                                         encoding='ascii')
        self.guest = bare.Bare(self.vm, COMMAND)
        for name, target in (
                ('qemu-system-x86_64', build.QEMU),
                ('qemu-system-x86_64-virtfs',
                 harness.TREE / 'fsdev/virtfs-launcher')):
            (self.vm / name).symlink_to(target)
        for path in [self.vm, *self.vm.rglob('*')]:
            self.who.give(path)

    def virsh(self, *arguments):
        """virsh's output"""
        done = subprocess.run(
            self.who.command(['virsh', '-q', '-c', 'qemu:///session',
                              *arguments]),
            env=self.environment, cwd='/', stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=bare.LIMIT, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        return done.stdout

    def run_domain(self, name):
        """Starts a domain, and ends it when the guest is done: its output"""
        xml = example(name).replace('/srv/vm', str(self.vm)).replace(
            '/usr/bin/', f'{self.vm}/')
        channels = ''.join(
            CHANNEL.format(path=self.vm / name, name=f'guest.{name}')
            for name in bare.PORTS)
        self.assertEqual(xml.count('</devices>'), 1)
        path = self.vm / 'domain.xml'
        path.write_text(xml.replace('</devices>', channels + '</devices>'),
                        encoding='utf-8')
        self.who.give(path)
        self.virsh('create', path)
        domain = re.search('<name>(.*)</name>', xml)[1]
        try:
            said = self.guest.wait()
        finally:
            self.virsh('destroy', domain)
        self.assertEqual(self.virsh('list', '--name').strip(), '')
        return said

    def check(self, said, who):
        """The guest must see the host's file, and the host the guest's."""
        self.assertEqual(said, ['the host was here', '12:34:644', 'exit 0'])
        path = self.vm / 'share/f'
        self.assertEqual(path.read_text(encoding='ascii'), 'from-guest\n')
        self.assertEqual((path.stat().st_uid, path.stat().st_gid),
                         (who.host_uid(12), who.host_gid(34)))

    def helper_ends(self):
        """The share's helper must end."""
        pattern = f'virtfs-proxy-helper .*{self.vm}/share'
        wait_for('end of the helper', lambda: subprocess.run(
            ['pgrep', '-f', pattern], capture_output=True,
            check=False).returncode == 1)

    def test_local(self):
        """The element <filesystem>"""
        self.check(self.run_domain('libvirt-local'), Owner())

    def test_socket(self):
        """A helper that runs before the domain"""
        subprocess.run(
            self.who.command([build.HELPER, '-p', self.vm / 'share', '-s',
                              self.vm / 'share.sock']),
            env=self.environment, stdin=subprocess.DEVNULL, check=True,
            timeout=bare.LIMIT)
        self.check(self.run_domain('libvirt-socket'), self.who)
        self.helper_ends()

    def test_launcher(self):
        """A helper that the launcher starts, and which ends with QEMU"""
        self.check(self.run_domain('libvirt-launcher'), self.who)
        self.helper_ends()


if __name__ == '__main__':
    sys.exit(harness.main())
