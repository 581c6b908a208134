# SPDX-License-Identifier: GPL-2.0-or-later
"""Domains of libvirt: of the session instance, by an ordinary user, and of the
system instance.

A test takes its domains from docs/system/devices/virtfs-libvirt.rst, replaces
the manual's paths by those of this machine, and adds two channels for the
guest's output. Each test class has a libvirtd of its own, whose files are all
in one folder. The system instance runs in namespaces, because the folders of
its files are fixed: it has a view of its own of these, and of the processes,
and ends with all of them.
"""

import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import unittest

import bare
import harness
from harness import Root, User, wait_for
from virtfs import build

PAGE = harness.TREE / 'docs/system/devices/virtfs-libvirt.rst'
CHANNEL = '''<channel type='file'><source path='{path}' append='on'/>
<target type='virtio' name='{name}'/></channel>'''
SESSION = 'virsh -c qemu:///session '
# Waits for the end of its input; then ends all processes that have the folder
# in their arguments or environment, and removes it.
END = '''
cat
for i in $(seq 100); do
    found=
    for process in /proc/[0-9]*; do
        [ $process = /proc/$$ ] && continue
        grep -qsF "$1" $process/cmdline $process/environ || continue
        found=1
        kill -KILL ${process#/proc/} 2>/dev/null
    done
    [ "$found" ] || break
    sleep 0.1
done
rm -rf "$1" 2>/dev/null || unshare --map-root-user --map-auto rm -rf "$1"
'''


def example(name, language='xml'):
    """A domain of the manual, or another example"""
    text = PAGE.read_text(encoding='utf-8')
    found = re.search(rf'^\.\. example: {name}\n\.\. code-block:: {language}'
                      r'\n\n((?:  .*\n|\n)+)', text, re.M)
    return '\n'.join(line[2:] for line in found[1].rstrip().splitlines())


class Session(unittest.TestCase):
    """One libvirtd, and a folder with a guest and a share for each test"""

    command = ''                # the guest's
    client = 'virsh'
    daemon = 'libvirtd'
    programs = (client, daemon)
    uri = 'qemu:///session'
    __test_me__ = False

    @classmethod
    def setUpClass(cls):
        for program in cls.programs:
            if not shutil.which(program, path='/usr/sbin:/usr/bin'):
                raise unittest.SkipTest(f'{program} is not installed')
        cls.who = User()
        if cls.who.lacks():
            raise unittest.SkipTest(cls.who.lacks())
        # A short name, for the length limit of the sockets below
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix='vl-', dir='/tmp'))
        cls.start_watcher()
        cls.folder.chmod(0o755)
        cls.environment = {**cls.who.environment(),
                           'XDG_RUNTIME_DIR': f'{cls.folder}/run',
                           'XDG_CONFIG_HOME': f'{cls.folder}/config',
                           'XDG_CACHE_HOME': f'{cls.folder}/cache'}
        for name in ('run', 'config', 'cache', 'vm'):
            (cls.folder / name).mkdir(mode=0o700)
            cls.who.give(cls.folder / name)
        cls.start_libvirtd()

    @classmethod
    def start_watcher(cls):
        """What is left of the class ends after it, even if this process is
        killed."""
        end, ours = os.pipe()
        # pylint: disable=consider-using-with
        watcher = subprocess.Popen(['sh', '-c', END, 'sh', cls.folder],
                                   stdin=end, cwd='/', start_new_session=True)
        os.close(end)
        cls.addClassCleanup(watcher.wait)
        cls.addClassCleanup(os.close, ours)

    @classmethod
    def start_libvirtd(cls):
        """Nothing: virsh starts it, and it starts the daemon for logs."""

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
        self.guest = bare.Bare(self.vm, self.command)
        for name, target in (
                ('qemu-system-x86_64', build.QEMU),
                ('qemu-system-x86_64-virtfs',
                 harness.TREE / 'fsdev/virtfs-launcher')):
            (self.vm / name).symlink_to(target)
        for path in [self.vm, *self.vm.rglob('*')]:
            self.who.give(path)

    def as_client(self, argv):
        """A command of the user who has the domains"""
        return self.who.command(argv)

    def call(self, *arguments, **environment):
        """What came of a call of virsh"""
        return subprocess.run(
            self.as_client([self.client, '-q', '-c', self.uri, *arguments]),
            env={**self.environment, **environment}, cwd='/',
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=bare.LIMIT, check=False)

    def virsh(self, *arguments, **environment):
        """virsh's output"""
        done = self.call(*arguments, **environment)
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        return done.stdout

    def here(self, text):
        """A text of the manual with this machine's paths"""
        return text.replace('/srv/vm', str(self.vm)).replace(
            '/usr/bin/', f'{self.vm}/')

    def domain(self, name, devices=''):
        """Writes a domain of the manual with more devices into domain.xml:
        its name"""
        xml = self.here(example(name))
        channels = ''.join(
            CHANNEL.format(path=self.vm / name, name=f'guest.{name}')
            for name in bare.PORTS)
        self.assertEqual(xml.count('</devices>'), 1)
        path = self.vm / 'domain.xml'
        path.write_text(xml.replace('</devices>', self.here(devices)
                                    + channels + '</devices>'),
                        encoding='utf-8')
        self.who.give(path)
        return re.search('<name>(.*)</name>', xml)[1]

    def commands(self, name, domain):
        """Commands of the manual, for a domain; each is a function."""
        def command(line):
            line = self.here(line).replace('virtfs-local', domain)
            if line.startswith(SESSION):
                return lambda: self.virsh(
                    *shlex.split(line.removeprefix(SESSION)))
            return lambda: subprocess.run(
                self.who.command(shlex.split(line)), env=self.environment,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                check=True, timeout=bare.LIMIT)
        return [command(line) for line in example(name, 'sh').splitlines()]

    def start_helper(self, *options):
        """A helper that listens in the folder"""
        subprocess.run(
            self.who.command([build.HELPER, '-p', self.vm / 'share', '-s',
                              self.vm / 'share.sock', *options]),
            env=self.environment, stdin=subprocess.DEVNULL, check=True,
            timeout=bare.LIMIT)

    def helpers(self):
        """The share's helpers"""
        found = subprocess.run(
            ['pgrep', '-f', f'virtfs-proxy-helper .*{self.vm}/share'],
            capture_output=True, text=True, check=False)
        return [int(pid) for pid in found.stdout.split()]

    def helper_ends(self):
        """The share's helper must end."""
        wait_for('end of the helper', lambda: not self.helpers())

    def end_helper(self):
        """Ends a helper that waits for the next client."""
        for pid in self.helpers():
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        self.helper_ends()


# The user libvirt-qemu, which Debian's package of the system instance makes, is
# the test's user here. A shell is the first process: it reaps.
SYSTEM = '''
set -e
# A copy of /etc, which may have no folder for libvirt
mkdir $1/etc
mount -t tmpfs -o mode=755 tmpfs $1/etc
cp -a /etc/. $1/etc
mkdir -p $1/etc/libvirt
echo "libvirt-qemu:x:$2:$3::/:/usr/sbin/nologin" >>$1/etc/passwd
echo "libvirt-qemu:x:$3:" >>$1/etc/group
mount --bind $1/etc /etc
for folder in /etc/libvirt /run /var/lib /var/log /var/cache; do
    mount -t tmpfs -o mode=755 tmpfs $folder
done
mount -t proc proc /proc
# Otherwise libvirt, which may open it, asks QEMU, which may not, for ever.
if [ -e /dev/kvm ]; then mount --bind $1/nothing /dev/kvm; fi
cp $1/qemu.conf /etc/libvirt
eval "$5"
"$4" -f $1/libvirtd.conf &
wait $! || :
while [ -e $1/again ]; do
    rm $1/again
    "$4" -f $1/libvirtd.conf &
    wait $! || :
done
'''
LIBVIRTD_CONF = '''
unix_sock_dir = "{folder}/run"
auth_unix_rw = "none"
'''
QEMU_CONF = '''
security_driver = "none"
cgroup_controllers = {controllers}
namespaces = []
stdio_handler = "file"
'''


class System(Session):
    """The system instance, by root"""

    controllers = '[]'          # of cgroups, as qemu.conf has them
    prepare = ''                # commands for the shell in the namespaces

    @classmethod
    def setUpClass(cls):
        if Root().lacks():
            raise unittest.SkipTest(Root().lacks())
        super().setUpClass()

    @classmethod
    def start_libvirtd(cls):
        for name, text in (('nothing', ''),
                           ('qemu.conf', QEMU_CONF.format(
                               controllers=cls.controllers)),
                           ('libvirtd.conf',
                            LIBVIRTD_CONF.format(folder=cls.folder))):
            (cls.folder / name).write_text(text, encoding='ascii')
        (cls.folder / 'nothing').chmod(0)
        for name in ('run', 'vm'):
            (cls.folder / name).chmod(0o755)
        user = cls.who.user.user
        # pylint: disable=consider-using-with
        log = open(cls.folder / 'log', 'wb')
        cls.addClassCleanup(log.close)
        daemon = subprocess.Popen(
            ['unshare', '--mount', '--propagation', 'private', '--pid',
             '--fork', '--kill-child', 'sh', '-c', SYSTEM, 'sh', cls.folder,
             str(user.pw_uid), str(user.pw_gid),
             shutil.which(cls.daemon, path='/usr/sbin:/usr/bin'),
             cls.prepare],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd='/')
        cls.addClassCleanup(daemon.wait)
        cls.addClassCleanup(daemon.kill)
        socket = cls.folder / 'run/libvirt-sock'
        wait_for('libvirtd', lambda: daemon.poll() is not None
                 or socket.exists())
        if daemon.poll() is not None:
            raise AssertionError((cls.folder / 'log').read_text(
                encoding='utf-8'))
        cls.uri = f'qemu+unix:///system?socket={socket}'

    def as_client(self, argv):
        return [str(word) for word in argv]
