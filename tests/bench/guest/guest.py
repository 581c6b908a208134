# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest of a peer, which works when it is told to and stands still otherwise.

All guests are the same machine with the same kernel, and have the same Debian
on a disk of their own, which the host has in its page cache. It is mounted
read-only; what the guest writes besides the share is in its memory. The first
process is guest-init, as in each guest of ./boot, the command it runs is
agent.sh.
"""

import contextlib
import errno
import os
import pathlib
import secrets
import shlex
import socket
import subprocess
import time

import peers
import works
from virtfs import boot, kernel, machine, process, rootfs
from virtfs.failure import Failure
from virtfs.qmp import Qmp

# ext4 asks for the first by another name, where modules cannot say so
MODULES = ('crc32c_generic', 'virtio_blk', 'ext4', 'virtiofs')
# That all QEMUs know, and emulate the same way
MACHINE, CPU = 'pc-q35-7.2', 'Nehalem'
MEMORY = '768M'
# Where -append says so, the root is another one (see guest-init)
APPEND = 'console=ttyS0 quiet panic=-1 random.trust_cpu=on root=/dev/vda ' \
         'rootfstype=ext4 rootflags=ro'
# How a share is mounted: a 9p client's cache=, the tag of a virtiofs device
CACHES = {'none': 'none', 'loose': 'auto'}
START, WORK = 300, 900                  # seconds at most


class Common:
    """What all guests start from."""

    def __init__(self):
        self.kernel = kernel.debian(MODULES)
        self.disk = rootfs.image()
        self.accel = machine.accelerator('auto', [], False)
        mark = f'@virtfs-{secrets.token_hex(16)}@ '
        command = 'exec bash -c ' + shlex.quote(works.agent())
        self.initramfs = boot.initial_files(
            self.kernel, {'MARK': mark, 'INTERACTIVE': '', 'TERM': 'vt100',
                          'ROWS': 24, 'COLUMNS': 80, 'TAG': 'none',
                          'MOUNT_OPTIONS': ''}, command.encode())

    def arguments(self, folder):
        """The machine without the share, as words. Its initial files and what
        it says are in that folder."""
        (folder / 'initrd').write_bytes(self.initramfs)
        cpu = 'host' if self.accel == 'kvm' else CPU
        words = [
            '-machine', f'{MACHINE},memory-backend=ram', '-accel', self.accel,
            '-cpu', cpu, '-smp', '1', '-m', MEMORY, '-object',
            f'memory-backend-memfd,id=ram,size={MEMORY},share=on',
            '-nodefaults', '-no-user-config', '-nic', 'none',
            '-display', 'none', '-no-reboot', *peers.FIRMWARE,
            '-kernel', str(self.kernel.image),
            '-initrd', str(folder / 'initrd'), '-append', APPEND,
            '-drive', f'if=none,id=disk,format=raw,readonly=on,'
            f'file={self.disk}', '-device', 'virtio-blk-pci,drive=disk',
            '-serial', f'file:{folder}/console',
            '-device', 'virtio-serial-pci']
        for name in ('out', 'err'):
            words += ['-chardev', f'file,id={name},path={folder}/{name}',
                      '-device', f'virtserialport,chardev={name},'
                      f'name=guest.{name}']
        return words


class TooManyFiles(Exception):
    """What the server would have had to open"""


class Guest:
    """One of them."""

    def __init__(self, peer, common, folder):
        self.peer = peer
        self.folder = pathlib.Path(folder)
        self.stack = contextlib.ExitStack()
        try:
            self._start(common)
        except BaseException:
            self.stop()
            raise

    def _socket(self):
        """This side and QEMU's side of a connection."""
        ours, theirs = socket.socketpair()
        self.stack.callback(ours.close)
        self.stack.callback(theirs.close)
        return ours, theirs

    def _start(self, common):
        orders, its_orders = self._socket()
        monitor, its_monitor = self._socket()
        words = [
            self.peer.qemu, *common.arguments(self.folder),
            '-chardev', f'socket,id=orders,fd={its_orders.fileno()}',
            '-device', 'virtserialport,chardev=orders,name=guest.orders',
            '-chardev', f'socket,id=monitor,fd={its_monitor.fileno()}',
            '-mon', 'chardev=monitor,mode=control', *self.peer.arguments]
        fds = [its_orders.fileno(), its_monitor.fileno()]
        self.log = self.stack.enter_context(
            open(self.folder / 'log', 'wb'))
        if self.peer.daemons:
            words += self._daemons()
        else:
            helper = peers.Helper(self.peer)
            self.stack.callback(helper.stop)
            self.stack.callback(helper.close)
            words += ['-fsdev', helper.fsdev + ',id=bench', '-device',
                      'virtio-9p-pci,fsdev=bench,mount_tag=bench'
                      + self.peer.properties]
            fds += helper.fds
        self.qemu = process.spawn(words, pass_fds=fds, stdout=self.log,
                                  stderr=self.log)
        self.stack.callback(process.end, self.qemu)
        for end in (its_orders, its_monitor):
            end.close()
        if not self.peer.daemons:
            helper.close()
        orders.settimeout(START)
        self.orders = self.stack.enter_context(
            orders.makefile('rw', encoding='utf-8', errors='replace'))
        self.qmp = Qmp(monitor, START)
        self._answer('ready')
        self.qmp('stop')
        orders.settimeout(WORK)

    def _daemons(self):
        """Starts them; the devices that connect to them."""
        words = []
        for tag, command in self.peer.daemons.items():
            path = self.folder / tag
            daemon = process.spawn([*command, f'--socket-path={path}'],
                                   stdout=self.log, stderr=self.log)
            self.stack.callback(process.end, daemon)
            end = time.monotonic() + START
            while not path.exists():
                if daemon.poll() is not None or time.monotonic() > end:
                    self._fail(f'{command[0]} does not start')
                time.sleep(0.05)
            words += ['-chardev', f'socket,id={tag},path={path}', '-device',
                      f'vhost-user-fs-pci,chardev={tag},tag={tag}']
        return words

    def _fail(self, what):
        said = ''
        for name in ('log', 'console', 'out', 'err'):
            path = self.folder / name
            if path.exists():
                said += path.read_text(encoding='utf-8', errors='replace')
        raise Failure(f'{self.peer.name}: {what}\n{said[-2000:]}')

    def _answer(self, want):
        """What follows the word that is wanted, in an answer."""
        try:
            line = self.orders.readline()
        except TimeoutError:
            self._fail('the guest does not answer')
        word, _, rest = line.rstrip('\n').partition(' ')
        if word == 'failed' and os.strerror(errno.EMFILE) in rest:
            raise TooManyFiles
        if word != want:
            self._fail(f'the guest says: {line.rstrip()}' if line
                       else 'QEMU has gone')
        return rest

    def work(self, name, cache):
        """Does one kind of work: {'seconds': by the guest's clock, 'host':
        by this one's}, or {'failed': why} when the server may not open as many
        files as it wants to."""
        if self.peer.daemons:
            how = f'virtiofs {CACHES[cache]} rw'
        else:
            how = f'9p bench trans=virtio,version=9p2000.L,msize=512000,' \
                  f'cache={cache}'
        self.qmp('cont')
        start = time.monotonic()
        self.orders.write(f'{name} {how}\n')
        self.orders.flush()
        try:
            took = int(self._answer('done')) / 1e9
            result = {'seconds': took, 'host': time.monotonic() - start}
        except TooManyFiles:
            result = {'failed': os.strerror(errno.EMFILE)}
        self.qmp('stop')
        return result

    def stop(self):
        """Ends it, and what belongs to it."""
        self.stack.close()


def versions():
    """Of what is not this tree's, beside the peers' QEMUs."""
    said = subprocess.run([peers.VIRTIOFSD, '--version'], text=True,
                          stdin=subprocess.DEVNULL, capture_output=True,
                          check=False) if peers.VIRTIOFSD.exists() else None
    return {str(peers.VIRTIOFSD): said.stdout.splitlines()[0]} if said else {}


def says():
    """What the guests are, in a line"""
    image = kernel.debian(MODULES).image.parent.name
    version = image.removeprefix('linux-image-').partition('_')[0]
    accel = machine.accelerator('auto', [], False)
    return (f'Linux {version}, Debian {rootfs.SUITE}, one processor under '
            f'{accel.upper()}, {MEMORY}')
