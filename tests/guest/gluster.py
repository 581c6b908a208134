# SPDX-License-Identifier: GPL-2.0-or-later
"""Two hosts with a GlusterFS volume of two replicas.

Each host is a mount, a network and a process namespace of this machine with a
glusterd, a brick and a mount of the volume; a veth pair joins the two. All of
their files are in one folder, and the mounts and the addresses are in their
namespaces only. A host's first process is a shell that waits for the end of its
input. So all ends with this test program, even if that is killed.

The test program looks at a host's mount through /proc/PID/root, PID being the
host's first process. What it starts on a host sees the same file without that
prefix.
"""

import atexit
import functools
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import harness
from harness import Owner, Root, wait_for
from virtfs import sanitize

# Seconds for one of GlusterFS's commands, and until its servers have done what
# it asks for
LIMIT = 120 * sanitize.patience()
VOLUME = 'share'
LINK = 'virtfs0'                # the network device
# Programs, and their Debian packages
NEEDED = {'glusterd': 'glusterfs-server', 'gluster': 'glusterfs-cli',
          'mount.glusterfs': 'glusterfs-client', 'ip': 'iproute2',
          'nsenter': 'util-linux'}
STATE = pathlib.Path('/var/lib/glusterd')
LOGS = pathlib.Path('/var/log/glusterfs')

# No host keeps a cache, so each sees at once what the other changes. The manual
# names these.
MOUNT = 'acl,direct-io-mode=enable,attribute-timeout=0,entry-timeout=0'
SETTINGS = {
    'performance.write-behind': 'off', 'performance.quick-read': 'off',
    'performance.io-cache': 'off', 'performance.read-ahead': 'off',
    'performance.readdir-ahead': 'off', 'performance.open-behind': 'off',
    'performance.stat-prefetch': 'off',
}

# The first process; $1: the folder; $2: that of this host, which the folder
# "host" is there
START = f'''
set -e
mount --make-rshared /
cd "$1"
mount --bind "$2" host
mount --bind host/state {STATE}
mount --bind host/log {LOGS}
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/gluster
ip link set lo up
>host/ready
cat
'''
# GlusterFS's programs need the view of their own processes, and QEMU's that of
# this machine's.
INSIDE = ('unshare', '--mount', '--propagation', 'unchanged', 'sh', '-c',
          'mount --make-private /proc && mount -t proc proc /proc && exec "$@"',
          'sh')


@functools.cache
def missing():
    """Why there can be no cluster here, or None"""
    if why := Root().lacks():
        return why
    for program, package in NEEDED.items():
        if not shutil.which(program, path='/usr/sbin:/usr/bin:/sbin:/bin'):
            return f'{program} is not installed (package {package})'
    if not os.path.exists('/dev/fuse'):
        return 'there is no /dev/fuse'
    done = subprocess.run(['unshare', '--mount', '--net', '--pid', '--fork',
                           'true'], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=False)
    return 'root cannot make namespaces here: ' + done.stderr.strip() \
        if done.returncode else None


class Node:
    """One of the two hosts"""

    def __init__(self, folder, number):
        self.folder = folder
        self.address = f'10.77.0.{number}'
        own = folder / str(number)
        for name in ('state', 'log', 'brick', 'mount'):
            (own / name).mkdir(parents=True)
        # pylint: disable=consider-using-with
        self.log = open(own / 'log/start', 'w+b')
        self.child = subprocess.Popen(
            ['unshare', '--mount', '--propagation', 'private', '--net',
             '--pid', '--fork', '--kill-child', 'sh', '-c', START, 'sh',
             folder, own], stdin=subprocess.PIPE, stdout=self.log,
            stderr=self.log, cwd='/', start_new_session=True)
        wait_for('the namespaces', lambda: (own / 'ready').exists()
                 or self.child.poll() is not None, LIMIT)
        if self.child.poll() is not None:
            raise AssertionError((own / 'log/start').read_text())
        first = [pid for pid in harness.descendants(self.child.pid)
                 if pid != self.child.pid]
        self.first = min(first, key=lambda pid: int(re.search(
            r'^NSpid:.*\s(\d+)$', pathlib.Path(
                f'/proc/{pid}/status').read_text(), re.M)[1]))
        self.root = pathlib.Path(f'/proc/{self.first}/root')
        self.own = self.root / folder.relative_to('/') / 'host'
        self.mount = self.own / 'mount'

    def enter(self, argv, *more):
        """A command of this host"""
        return ['nsenter', f'--target={self.first}', '--mount', '--net', *more,
                '--', *(re.sub(r'/proc/\d+/root/', '/', str(word))
                        for word in argv)]

    def call(self, *argv):
        """Runs a program of GlusterFS, which ends with the host: its output"""
        with tempfile.TemporaryFile('w+') as said:
            # What stays in the background does not keep a pipe open.
            done = subprocess.run(self.enter([*INSIDE, *argv], '--pid'),
                                  stdout=said, stderr=said, cwd='/',
                                  stdin=subprocess.DEVNULL, timeout=LIMIT,
                                  check=False)
            said.seek(0)
            if done.returncode:
                raise AssertionError(f'{argv}: {said.read()}')
            return said.read()

    def gluster(self, *words):
        """A command of the administrator"""
        return self.call('gluster', '--mode=script', *words)

    def ready(self):
        """Whether its glusterd answers"""
        try:
            return self.gluster('pool', 'list')
        except AssertionError:
            if self.child.poll() is not None:
                raise
            return None

    def brick(self):
        """The process id of its brick, in its namespace, or None"""
        said = self.gluster('volume', 'status', VOLUME, '--xml')
        found = re.search(rf'<hostname>{self.address}</hostname>\s*'
                          r'<path>.*?</path>.*?<status>(\d)</status>.*?'
                          r'<pid>(-?\d+)</pid>', said, re.S)
        return int(found[2]) if found and found[1] == '1' else None

    def kill_brick(self):
        """Its copy of the files stays behind from now on."""
        self.call('kill', '-KILL', str(self.brick()))
        wait_for('end of the brick', lambda: self.brick() is None, LIMIT)

    def start_brick(self):
        """Its brick comes back."""
        self.gluster('volume', 'start', VOLUME, 'force')
        wait_for('the brick', self.brick, LIMIT)

    def unhealed(self):
        """How many files have copies that differ, or None if that is not
        known"""
        counts = re.findall(r'^Number of entries: (.*)$', self.gluster(
            'volume', 'heal', VOLUME, 'info'), re.M)
        return sum(map(int, counts)) if len(counts) == 2 and \
            '-' not in counts else None

    def end(self):
        """Ends all that runs in its process namespace."""
        self.child.stdin.close()
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.log.close()


class Cluster:
    """The two hosts, and the volume"""

    running = None

    @classmethod
    def get(cls):
        """The one cluster of this test program"""
        if cls.running is None:
            cls.running = cls()
            cls.running.start()
        return cls.running

    def __init__(self):
        # A short name, for the length limit of the sockets below
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='gl-', dir='/tmp'))
        self.folder.chmod(0o755)
        (self.folder / 'host').mkdir()
        self.nodes = []
        atexit.register(self.end)

    def start(self):
        """Starts all."""
        self.nodes += [Node(self.folder, number) for number in (1, 2)]
        one, two = self.nodes
        subprocess.run(['ip', 'link', 'add', LINK, 'netns', str(one.first),
                        'type', 'veth', 'peer', 'name', LINK, 'netns',
                        str(two.first)], check=True, timeout=LIMIT)
        for node in self.nodes:
            node.call('ip', 'address', 'add', f'{node.address}/24', 'dev', LINK)
            node.call('ip', 'link', 'set', LINK, 'up')
            node.call('glusterd')
            wait_for('glusterd', node.ready, LIMIT)
        one.gluster('peer', 'probe', two.address)
        for node in self.nodes:
            wait_for('peer', lambda node=node: '(Connected)' in node.gluster(
                'peer', 'status'), LIMIT)
        one.gluster('volume', 'create', VOLUME, 'replica', '2',
                    *(f'{node.address}:{self.folder}/host/brick'
                      for node in self.nodes), 'force')
        for name, value in SETTINGS.items():
            one.gluster('volume', 'set', VOLUME, name, value)
        one.gluster('volume', 'start', VOLUME)
        for node in self.nodes:
            wait_for('brick', node.brick, LIMIT)
            node.call('mount', '-t', 'glusterfs', '-o', MOUNT,
                      f'{node.address}:/{VOLUME}', node.mount)

    def end(self):
        """Ends all."""
        for node in self.nodes:
            node.end()
        self.nodes = []
        shutil.rmtree(self.folder, ignore_errors=True)


class One(Root):
    """root of the first host"""

    name = 'on the first host'
    number = 0

    def lacks(self):
        return missing()

    @property
    def node(self):
        return Cluster.get().nodes[self.number]

    def place(self):
        return self.node.mount

    def command(self, argv):
        return self.node.enter(super().command(argv))


class Two(One):
    """root of the second one"""

    name = 'on the second host'
    number = 1


class User(One):
    """An ordinary user of one of them, who runs QEMU"""

    def __init__(self, number):
        self.number = number
        self.user = Owner()
        self.login = self.user.user.user.pw_name
        self.give = self.user.give
        self.environment = self.user.environment

    def command(self, argv):
        return self.node.enter(self.user.command(argv))
