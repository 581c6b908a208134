# SPDX-License-Identifier: GPL-2.0-or-later
"""Whom this QEMU is measured against, and how each of them is started.

A peer is a command line for p9load. The pristine base is built from the source
that this tree is grafted onto, with the same compiler and the same arguments;
Debian's QEMU is taken as it is installed.
"""

import dataclasses
import os
import pathlib
import socket
import subprocess
import sys
import tomllib

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TREE / 'scripts'), str(TREE / 'base')]

import configure as base                # noqa: E402
import fetch                            # noqa: E402
import modules                          # noqa: E402
import unpack                           # noqa: E402
from virtfs import build                # noqa: E402

PRISTINE = build.BUILD.with_name('build-pristine')
PRISTINE_QEMU = PRISTINE / 'qemu-system-x86_64'
DEBIAN = pathlib.Path('/usr/bin/qemu-system-x86_64')
DEBIAN_HELPER = pathlib.Path('/usr/lib/qemu/virtfs-proxy-helper')
DEVICE = ('virtio-9p-pci,fsdev=bench,mount_tag=bench,addr=4,'
          'disable-modern=on,disable-legacy=off')


def build_pristine():
    """Builds the base's own QEMU when it is not there."""
    if PRISTINE_QEMU.exists():
        return
    with open(TREE / 'base/base.toml', 'rb') as f:
        spec = tomllib.load(f)
    PRISTINE.mkdir(exist_ok=True)
    home = unpack.Unpacked(PRISTINE.with_name(PRISTINE.name + '.base'))
    with fetch.Fetcher(spec, fetch.Cache.of_user()) as fetcher:
        tarball, has = fetcher.tarball()
        home.from_tarball(tarball, has, spec['series'], [])
        python = modules.make(spec['module'], home.home, fetcher)
    arguments = [a for a in base.LEAN if 'proxy-helper' not in a]
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


@dataclasses.dataclass
class Peer:
    """One QEMU with one driver"""
    name: str
    says: str
    accel: str
    qemu: pathlib.Path
    fsdev: str
    helper: tuple = ()          # its command, which gets --fd FD

    def missing(self):
        """Why it cannot be measured, or None"""
        for path in (self.qemu, *self.helper[:1]):
            if not pathlib.Path(path).exists():
                return f'{path} is not there'
        return None


def known(share):
    """All peers, for a share at that path"""
    local = f'local,path={share},security_model=passthrough'
    debian_helper = (str(DEBIAN_HELPER), '-n', '-p', share)
    return [
        Peer('base-local', 'pristine base, local', 'qtest', PRISTINE_QEMU, local),
        Peer('debian-local', "Debian's QEMU, local", 'tcg', DEBIAN, local),
        Peer('debian-proxy', "Debian's QEMU, proxy", 'tcg', DEBIAN, 'proxy',
             debian_helper),
        Peer('local', 'local', 'qtest', build.QEMU, local),
        Peer('proxy', 'proxy', 'qtest', build.QEMU, 'proxy',
             (str(build.HELPER), '-n', '-p', share)),
        Peer('proxy-nodonate', 'proxy, donate=off', 'qtest', build.QEMU,
             'proxy,donate=off', (str(build.HELPER), '-n', '-p', share)),
    ]


class Running:
    """A peer that takes orders"""

    def __init__(self, peer, p9load):
        self.peer = peer
        self.helper = None
        fsdev, fds = peer.fsdev, ()
        if peer.helper:
            ours, theirs = socket.socketpair()
            with ours, theirs:
                self._start_helper(theirs)
                fsdev += f',sock_fd={ours.fileno()}'
                fds = (ours.fileno(),)
                self._start(p9load, fsdev, fds)
        else:
            self._start(p9load, fsdev, fds)
        if self.load.stdout.readline() != 'ready\n':
            raise RuntimeError(f'{peer.name} does not start')

    def _start_helper(self, end):
        # pylint: disable=consider-using-with
        self.helper = subprocess.Popen(
            [*self.peer.helper, '-f', str(end.fileno())],
            pass_fds=[end.fileno()], stdin=subprocess.DEVNULL)

    def _start(self, p9load, fsdev, fds):
        # pylint: disable=consider-using-with
        self.load = subprocess.Popen(
            [p9load, self.peer.accel, self.peer.qemu, '-L',
             '/usr/share/seabios', '-L', '/usr/share/qemu',
             '-fsdev', fsdev + ',id=bench', '-device', DEVICE],
            pass_fds=fds, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def _server(self):
        """The helper's process that works: its child, if it has one."""
        if not self.helper:
            return ''
        pid = self.helper.pid
        path = f'/proc/{pid}/task/{pid}/children'
        with open(path, encoding='ascii') as f:
            return ' ' + (f.read().split() or [str(pid)])[0]

    def order(self, work, depth, seconds):
        """The answer to one order, as text"""
        self.load.stdin.write(f'{work} {depth} {seconds}{self._server()}\n')
        answer = self.load.stdout.readline()
        if not answer:
            raise RuntimeError(f'{self.peer.name}: {work} failed')
        return answer

    def stop(self):
        """Ends it."""
        self.load.stdin.close()
        self.load.wait(60)
        if self.helper:
            self.helper.terminate()
            self.helper.wait(60)


def works(p9load):
    """Names of all kinds of work, with what they are"""
    said = subprocess.run([p9load, '--list'], capture_output=True, text=True,
                          check=True)
    return dict(line.split('\t') for line in said.stdout.splitlines())


def machine():
    """Facts of this machine"""
    with open('/proc/cpuinfo', encoding='utf-8') as f:
        models = [line.partition(':')[2].strip() for line in f
                  if line.startswith('model name')]
    return {'processor': f'{len(models)} x {models[0] if models else "?"}',
            'kernel': os.uname().release}
