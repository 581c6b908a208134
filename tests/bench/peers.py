# SPDX-License-Identifier: GPL-2.0-or-later
"""The peers that the benchmarks compare, and how to start each of them.

A peer is a QEMU with a driver, and its helper or daemon; known() lists them.
The pristine base is built from the source that this tree is grafted onto, with
the same compiler and arguments, and with vhost-user, so that it can also be
virtiofsd's QEMU. Debian's QEMU and virtiofsd are those that are installed;
Debian 13's virtiofsd comes from the archive (virtiofsd.py).

This module also has the options that the programs share.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import resource
import socket
import subprocess
import sys
import textwrap
import time

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TREE / 'scripts'), str(TREE / 'base')]

import firmware                         # noqa: E402
import report                           # noqa: E402
import virtiofsd                        # noqa: E402
from virtfs import build, machine, pristine     # noqa: E402

PRISTINE_QEMU = pristine.folder() / 'qemu-system-x86_64'
DEBIAN = pathlib.Path('/usr/bin/qemu-system-x86_64')
DEBIAN_HELPER = pathlib.Path('/usr/lib/qemu/virtfs-proxy-helper')
VIRTIOFSD = pathlib.Path('/usr/lib/qemu/virtiofsd')
FIRMWARE = [word for folder in firmware.FOLDERS for word in ('-L', folder)]
DEVICE = ('virtio-9p-pci,fsdev=bench,mount_tag=bench,addr=4,'
          'disable-modern=on,disable-legacy=off')


def build_pristine():
    """Builds the base's own QEMU."""
    pristine.make([PRISTINE_QEMU.name])


@dataclasses.dataclass
class Peer:
    """One QEMU with one driver.

    says describes the peer in --help. fsdev is the value of -fsdev, without its
    id; properties are more properties of the device, arguments more arguments
    of QEMU. helper is a command: the helper gets one end of a socket pair (-f)
    and the driver the other (sock_fd=). daemons are commands by the tag that
    the guest mounts: a peer with daemons has no fsdev but a virtiofs device
    for each daemon, which gets the name of its socket (--socket-path=). A disk
    has no share: the guest has the files on an image of its own.
    """
    name: str
    says: str
    qemu: pathlib.Path
    fsdev: str = ''
    helper: tuple = ()
    daemons: dict = dataclasses.field(default_factory=dict)
    disk: bool = False
    properties: str = ''
    arguments: tuple = ()

    @property
    def accel(self):
        """The accelerator of a machine whose processor never runs; Debian's
        build lacks qtest."""
        return 'tcg' if self.qemu == DEBIAN else 'qtest'

    def missing(self):
        """Why this machine cannot measure the peer, or None"""
        for path in (self.qemu, *self.helper[:1],
                     *(d[0] for d in self.daemons.values())):
            if not pathlib.Path(path).exists():
                return f'{path} does not exist'
        return None


def known(share):
    """All peers, for a share at that path"""
    local = f'local,path={share},security_model=passthrough'
    helper = (str(build.HELPER), '-n', '-p', share)
    debian_helper = (str(DEBIAN_HELPER), '-n', '-p', share)
    daemons = {cache: (str(VIRTIOFSD), '-o', f'source={share}',
                       '-o', f'cache={cache}') for cache in ('none', 'auto')}
    daemons_13 = {tag: (*virtiofsd.command(), f'--shared-dir={share}',
                        f'--cache={cache}')
                  for tag, cache in (('none', 'never'), ('auto', 'auto'))}
    return [
        Peer('base-local', "the QEMU that this tree is grafted onto, with its "
             'driver local, security_model=passthrough; ratios are relative '
             'to this peer', PRISTINE_QEMU, local),
        Peer('debian-local', "Debian's QEMU with its driver local", DEBIAN,
             local),
        Peer('debian-proxy', "Debian's QEMU with its driver proxy and its "
             'helper (QEMU has no proxy driver since 9.2; Debian 12 has 7.2)',
             DEBIAN, 'proxy', debian_helper),
        Peer('virtiofsd', "Debian's virtiofsd with the QEMU of base-local, so "
             'that devices and emulation are those of the other guests',
             PRISTINE_QEMU, daemons=daemons),
        Peer('virtiofsd-13', "the same with Debian 13's virtiofsd, the one in "
             'Rust', PRISTINE_QEMU, daemons=daemons_13),
        Peer('debian-virtiofsd', "Debian's virtiofsd with Debian's QEMU",
             DEBIAN, daemons=daemons),
        Peer('disk', 'the QEMU of base-local with ext4 on a virtio disk, whose '
             "image is beside the other peers' shares", PRISTINE_QEMU,
             disk=True),
        *_ours(local, helper)]


def _ours(local, helper):
    """This tree's drivers, as they are and without parts of the design"""
    loops = {'': {}, '-eventfd': {'properties': ',direct-kick=off'},
             '-iothread': {'properties': ',iothread=worker',
                           'arguments': ('-object', 'iothread,id=worker')}}
    says = {'': '', '-eventfd': '; direct-kick=off: an eventfd notifies the '
            'main loop of requests, as under KVM',
            '-iothread': '; the device is in an IOThread'}
    for loop, more in loops.items():
        yield Peer('local' + loop, "this tree's driver local" + says[loop],
                   build.QEMU, local, **more)
        yield Peer('proxy' + loop, "this tree's driver proxy" + says[loop],
                   build.QEMU, 'proxy', helper, **more)
    socket_only = '; ring=off: messages go through the socket'
    no_donation = '; donate=off: QEMU gets descriptors of open files only'
    for loop in '', '-iothread':
        for way, options, text in (
                ('-socket', ',ring=off', socket_only),
                ('-nodonate', ',donate=off', no_donation),
                ('-socket-nodonate', ',ring=off,donate=off',
                 socket_only + no_donation)):
            yield Peer(f'proxy{way}{loop}',
                       "this tree's driver proxy" + text + says[loop],
                       build.QEMU, 'proxy' + options, helper, **loops[loop])


def chosen(names, share, fits):
    """The peers among names (all if empty) that fit and that this machine can
    measure; share(name) is the path of a peer's share."""
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
    """A peer's helper, if it has one. fsdev is the value for QEMU's -fsdev, fds
    are the descriptors that QEMU inherits; call close() after QEMU's start."""

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
        """Closes this process's copy of QEMU's end."""
        if self._ours:
            self._ours.close()

    def memory(self):
        """Proportional set size of the helper and its children, in KiB"""
        return _memory(self.process.pid) if self.process else 0

    def stop(self):
        """Ends the helper."""
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
    """A started peer, which executes orders"""

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
        """Ends the peer and its helper."""
        self.load.stdin.close()
        self.load.wait(60)
        self.load.stdout.close()
        self.helper.stop()


def works(p9load):
    """The kinds of work: descriptions by name"""
    said = subprocess.run([p9load, '--list'], capture_output=True, text=True,
                          check=True)
    return dict(line.split('\t') for line in said.stdout.splitlines())


def raise_limits():
    """Raises the limit of open files to the system's maximum, for this process
    and its children: not all peers respect a lower limit."""
    most = int(pathlib.Path('/proc/sys/fs/nr_open').read_text('ascii'))
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except ValueError:          # in a container
        print('cannot raise the limit of open files', file=sys.stderr)


def _describe(peer):
    """A peer's entry in --help, set as argparse sets options"""
    name = f'  {peer.name}'.ljust(24)
    text = textwrap.fill(peer.says, 79, initial_indent=24 * ' ',
                         subsequent_indent=24 * ' ')
    return f'{name}\n{text}' if len(name) > 24 else name + text[24:]


def make_parser(description, rounds, fits, default=None):
    """A parser with the options that the programs share. --help describes the
    peers that fit; default: the names that --peer replaces, or None for all"""
    fit = [peer for peer in known('') if fits(peer)]
    parser = argparse.ArgumentParser(
        description=description,
        epilog='\n'.join(['peers:', *map(_describe, fit)]),
        formatter_class=argparse.RawDescriptionHelpFormatter)
    always = f'; {report.REFERENCE} is always measured' \
        if report.REFERENCE in (peer.name for peer in fit) else ''
    parser.add_argument('--peer', action='append', metavar='PEER',
                        choices=[peer.name for peer in fit],
                        help='measure only this peer (repeatable; default: '
                        + ', '.join(default or ['all']) + always + ')')
    parser.add_argument('--rounds', type=int, default=rounds, metavar='N',
                        help='number of rounds (default: %(default)s)')
    parser.add_argument('--share', metavar='DIR', default='/dev/shm',
                        help='make the shares in this folder (default: '
                        '%(default)s)')
    parser.add_argument('--out', type=pathlib.Path, metavar='DIR',
                        default=TREE / 'docs/devel',
                        help='write the results into this folder (default: '
                        'docs/devel)')
    return parser


def facts(folder):
    """Facts about this machine and the file system of a folder"""
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
    """The first line of QEMU's --version, by the peer's name"""
    return {p.name: subprocess.run(
        [p.qemu, '--version'], capture_output=True, text=True, check=True,
        stdin=subprocess.DEVNULL).stdout.splitlines()[0]
            for p in known('') if p.name in names}
