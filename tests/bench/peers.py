# SPDX-License-Identifier: GPL-2.0-or-later
"""Whom this QEMU is measured against, and how each of them is started.

A peer is a QEMU with a driver, and the helper or daemon that belongs to it;
known() has them all, a line or two each. The pristine base is built from the
source that this tree is grafted onto, with the same compiler and the same
arguments, and vhost-user besides, so that it can be virtiofsd's QEMU; Debian's
QEMU and virtiofsd are taken as they are installed.
"""

import dataclasses
import json
import os
import pathlib
import resource
import socket
import subprocess
import sys
import time
import tomllib

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TREE / 'scripts'), str(TREE / 'base')]

import configure as base                # noqa: E402
import fetch                            # noqa: E402
import modules                          # noqa: E402
import unpack                           # noqa: E402
import report                           # noqa: E402
from virtfs import build, machine       # noqa: E402

PRISTINE = build.BUILD.with_name('build-pristine')
PRISTINE_QEMU = PRISTINE / 'qemu-system-x86_64'
DEBIAN = pathlib.Path('/usr/bin/qemu-system-x86_64')
DEBIAN_HELPER = pathlib.Path('/usr/lib/qemu/virtfs-proxy-helper')
VIRTIOFSD = pathlib.Path('/usr/lib/qemu/virtiofsd')
FIRMWARE = [word for folder in machine.FIRMWARE for word in ('-L', folder)]
DEVICE = ('virtio-9p-pci,fsdev=bench,mount_tag=bench,addr=4,'
          'disable-modern=on,disable-legacy=off')


def build_pristine():
    """Builds the base's own QEMU when it is not there, or not like this."""
    arguments = [a for a in base.LEAN if 'proxy-helper' not in a]
    arguments.append('--enable-vhost-user')
    stamp = PRISTINE / 'virtfs-configured'
    if PRISTINE_QEMU.exists() and stamp.exists() and \
            json.loads(stamp.read_text(encoding='utf-8')) == arguments:
        return
    with open(TREE / 'base/base.toml', 'rb') as f:
        spec = tomllib.load(f)
    PRISTINE.mkdir(exist_ok=True)
    home = unpack.Unpacked(PRISTINE.with_name(PRISTINE.name + '.base'))
    with fetch.Fetcher(spec, fetch.Cache.of_user()) as fetcher:
        tarball, has = fetcher.tarball()
        home.from_tarball(tarball, has, spec['series'], [])
        python = modules.make(spec['module'], home.home, fetcher)
    # As in this tree's graft: there are no firmware images to unpack
    meson = home.root / 'pc-bios/meson.build'
    text = meson.read_text(encoding='utf-8')
    meson.write_text(text.replace('if unpack_edk2_blobs\n', 'if false\n', 1),
                     encoding='utf-8')
    for command, where in (
            ([home.root / 'configure', *arguments, '--disable-download',
              '--disable-install-blobs', f'--python={python}'], PRISTINE),
            (['ninja', 'qemu-system-x86_64'], PRISTINE)):
        subprocess.run(command, cwd=where, check=True,
                       stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno())
    stamp.write_text(json.dumps(arguments), encoding='utf-8')


@dataclasses.dataclass
class Peer:
    """One QEMU with one driver.

    fsdev is the value of -fsdev, without its id; properties are further ones
    of the device, arguments further ones of QEMU. With a helper, which is a
    command, the driver gets one end of a socket pair (sock_fd=) and the
    helper the other (-f). With daemons, there is no fsdev but a virtiofs
    device for each: they are commands by the tag that the guest mounts, and
    get the name of a socket to listen on (--socket-path=).
    """
    name: str
    qemu: pathlib.Path
    fsdev: str = ''
    helper: tuple = ()
    daemons: dict = dataclasses.field(default_factory=dict)
    properties: str = ''
    arguments: tuple = ()

    @property
    def accel(self):
        """Of a machine whose processor never runs: Debian's build has no
        accelerator for that"""
        return 'tcg' if self.qemu == DEBIAN else 'qtest'

    def missing(self):
        """Why it cannot be measured, or None"""
        for path in (self.qemu, *self.helper[:1],
                     *(d[0] for d in self.daemons.values())):
            if not pathlib.Path(path).exists():
                return f'{path} is not there'
        return None


def known(share):
    """All peers, for a share at that path"""
    local = f'local,path={share},security_model=passthrough'
    helper = (str(build.HELPER), '-n', '-p', share)
    debian_helper = (str(DEBIAN_HELPER), '-n', '-p', share)
    daemons = {cache: (str(VIRTIOFSD), '-o', f'source={share}',
                       '-o', f'cache={cache}') for cache in ('none', 'auto')}
    return [
        Peer('base-local', PRISTINE_QEMU, local),
        Peer('debian-local', DEBIAN, local),
        Peer('debian-proxy', DEBIAN, 'proxy', debian_helper),
        Peer('virtiofsd', PRISTINE_QEMU, daemons=daemons),
        Peer('debian-virtiofsd', DEBIAN, daemons=daemons),
        *_ours(local, helper)]


def _ours(local, helper):
    """This tree's drivers, and what they cost without parts of the design"""
    loops = {'': {}, '-eventfd': {'properties': ',direct-kick=off'},
             '-iothread': {'properties': ',iothread=worker',
                           'arguments': ('-object', 'iothread,id=worker')}}
    for loop, more in loops.items():
        yield Peer('local' + loop, build.QEMU, local, **more)
        yield Peer('proxy' + loop, build.QEMU, 'proxy', helper, **more)
    for loop in '', '-iothread':
        for way, options in (('-socket', ',ring=off'),
                             ('-nodonate', ',donate=off'),
                             ('-socket-nodonate', ',ring=off,donate=off')):
            yield Peer(f'proxy{way}{loop}', build.QEMU, 'proxy' + options,
                       helper, **loops[loop])


def chosen(names, share, fits):
    """Peers that are wanted (all, if names is empty), fit and can be measured
    here; share(name) is the path of a peer's share."""
    found = []
    for peer in known(''):
        if not fits(peer) or \
                names and peer.name not in (*names, report.REFERENCE):
            continue
        if peer.missing():
            print(f'{peer.name}: {peer.missing()}', file=sys.stderr)
            continue
        found += [p for p in known(share(peer.name)) if p.name == peer.name]
    return found


class Helper:
    """A peer's helper, if it has one; fsdev is what QEMU is told, fds what it
    inherits. close() when it has."""

    def __init__(self, peer):
        self.fsdev, self.fds = peer.fsdev, ()
        self.process = self._ours = None
        if not peer.helper:
            return
        self._ours, theirs = socket.socketpair()
        with theirs:
            # pylint: disable=consider-using-with
            self.process = subprocess.Popen(
                [*peer.helper, '-f', str(theirs.fileno())],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        self.fds = (self._ours.fileno(),)
        self.fsdev += f',sock_fd={self._ours.fileno()}'

    def close(self):
        """QEMU has its end."""
        if self._ours:
            self._ours.close()

    def memory(self):
        """Proportional set size of it and its children, in KiB"""
        return _memory(self.process.pid) if self.process else 0

    def stop(self):
        """Ends it."""
        if self.process:
            self.process.terminate()
            self.process.wait(60)


def _memory(pid):
    with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as f:
        size = sum(int(line.split()[1]) for line in f
                   if line.startswith('Pss:'))
    with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as f:
        return size + sum(_memory(child) for child in f.read().split())


class Running:
    """A peer that takes orders"""

    def __init__(self, peer, p9load):
        self.peer = peer
        self.helper = Helper(peer)
        # pylint: disable=consider-using-with
        self.load = subprocess.Popen(
            [p9load, peer.accel, peer.qemu, *FIRMWARE, *peer.arguments,
             '-fsdev', self.helper.fsdev + ',id=bench',
             '-device', DEVICE + peer.properties],
            pass_fds=self.helper.fds, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.helper.close()
        if self.load.stdout.readline() != 'ready\n':
            self.stop()
            raise RuntimeError(f'{peer.name} does not start')
        self.idle = self.helper.memory()

    def order(self, work, depth, seconds):
        """The result of one order"""
        helper = self.helper.process
        self.load.stdin.write(f'{work} {depth} {seconds} '
                              f'{helper.pid if helper else ""}\n')
        answer = self.load.stdout.readline()
        if not answer:
            raise RuntimeError(f'{self.peer.name}: {work} failed')
        return {**json.loads(answer), 'peer': self.peer.name,
                'helper_idle': self.idle}

    def stop(self):
        """Ends it."""
        self.load.stdin.close()
        self.load.wait(60)
        self.helper.stop()


def works(p9load):
    """Names of all kinds of work, with what they are"""
    said = subprocess.run([p9load, '--list'], capture_output=True, text=True,
                          check=True)
    return dict(line.split('\t') for line in said.stdout.splitlines())


def raise_limits():
    """Lets this process and its children open as many files as there can be:
    not all peers keep to a limit."""
    most = int(pathlib.Path('/proc/sys/fs/nr_open').read_text('ascii'))
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except ValueError:          # in a container
        print('the limit of open files cannot be raised', file=sys.stderr)


def share_option(parser):
    """Where shares are made"""
    parser.add_argument('--share', metavar='DIR', default='/dev/shm',
                        help='make the shares in that folder, on another file '
                        'system (default: %(default)s)')


def facts(folder):
    """Facts of this machine, and of the file system of a folder"""
    with open('/proc/cpuinfo', encoding='utf-8') as f:
        models = [line.partition(':')[2].strip() for line in f
                  if line.startswith('model name')]
    with open('/proc/meminfo', encoding='ascii') as f:
        kib = int(f.readline().split()[1])
    return {'processor': f'{len(models)} x {models[0] if models else "?"}',
            'memory': f'{kib / 2 ** 20:.0f} GiB',
            'kernel': os.uname().release,
            'date': time.strftime('%Y-%m-%d', time.gmtime()),
            'share': subprocess.run(
                ['findmnt', '-n', '-o', 'FSTYPE', '-T', folder],
                capture_output=True, text=True, check=True).stdout.split()[-1],
            'load': round(os.getloadavg()[0], 2)}


def versions(names):
    """The first line that each peer's QEMU says of itself, by name"""
    return {p.name: subprocess.run(
        [p.qemu, '--version'], capture_output=True, text=True, check=True,
        stdin=subprocess.DEVNULL).stdout.splitlines()[0]
            for p in known('') if p.name in names}
