# SPDX-License-Identifier: GPL-2.0-or-later
"""A peer's guest, which works on order and is stopped otherwise.

All guests are the same machine with the same kernel and the same Debian on a
disk. The disk is in the host's page cache, and the guest mounts it read-only;
other than to the share, a guest writes only to its memory. The first process
is guest-init, as in each guest of ./boot, and it runs agent.sh.
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
import virtiofsd
import works
from fail import Fail
from virtfs import boot, build, kernel, machine, process, rootfs
from virtfs.qmp import Qmp

# crc32c_generic is for ext4, whose module does not name it as a dependency
MODULES = ('crc32c_generic', 'virtio_blk', 'ext4', 'virtiofs')
# All QEMUs know these, and emulate them the same way
MACHINE, CPU = 'pc-q35-7.2', 'Nehalem'
MEMORY = '768M'
# root= makes guest-init change to that root
APPEND = 'console=ttyS0 quiet panic=-1 random.trust_cpu=on root=/dev/vda ' \
         'rootfstype=ext4 rootflags=ro'
# The ways to cache: a 9p client's cache=, and the tag of a virtiofs device
CACHES = {'none': 'none', 'loose': 'auto'}
START, WORK = 300, 900                  # seconds at most
DISK = 2 << 30                          # bytes; the image has holes


class Common:
    """Files and settings that all guests share"""

    def __init__(self):
        self.kernel = kernel.debian(MODULES)
        self.disk = rootfs.image()
        self.accel = machine.accelerator('auto', [], False, build.QEMU)
        mark = f'@virtfs-{secrets.token_hex(16)}@ '
        command = 'exec bash -c ' + shlex.quote(works.agent())
        self.initramfs = boot.initial_files(
            self.kernel, {'MARK': mark, 'INTERACTIVE': '', 'TERM': 'vt100',
                          'ROWS': 24, 'COLUMNS': 80, 'TAG': 'none',
                          'MOUNT_OPTIONS': ''}, command.encode())

    def arguments(self, folder):
        """QEMU's arguments for the machine without the share. Its initial files
        and its output are in folder."""
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
    """The server ran out of descriptors."""


class Guest:
    """A running guest"""

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
        """A socket pair: this program's end and QEMU's end"""
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
        helper = None
        if self.peer.daemons:
            words += self._daemons()
        elif self.peer.disk:
            self._image.touch()
            self.fill(None)
            words += ['-drive', f'if=none,id=bench,format=raw,'
                      f'file={self._image}',
                      '-device', 'virtio-blk-pci,drive=bench']
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
        if helper:
            helper.close()
        orders.settimeout(START)
        self.orders = self.stack.enter_context(
            orders.makefile('rw', encoding='utf-8', errors='replace'))
        self.qmp = Qmp(monitor, START)
        self._answer('ready')
        self.qmp('stop')
        orders.settimeout(WORK)

    @property
    def _image(self):
        return self.folder / 'disk'

    def fill(self, share):
        """Puts the share's files, if any, on the peer's disk, if it has one."""
        if self.peer.disk:
            rootfs.mke2fs(self._image, DISK, share, '-F')

    def _daemons(self):
        """Starts the daemons; returns the arguments of their devices."""
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
        raise Fail(f'{self.peer.name}: {what}\n{said[-2000:]}')

    def _answer(self, want):
        """Reads an answer, which must begin with the word want; returns the
        rest."""
        try:
            line = self.orders.readline()
        except TimeoutError:
            self._fail('the guest does not answer')
        word, _, rest = line.rstrip('\n').partition(' ')
        if word == 'failed' and os.strerror(errno.EMFILE) in rest:
            raise TooManyFiles
        if word != want:
            self._fail(f'the guest says: {line.rstrip()}' if line
                       else 'QEMU has ended')
        return rest

    def work(self, name, cache):
        """Does one kind of work. Returns {'seconds': by the guest's clock,
        'host': by the host's clock}, or {'failed': error} if the server ran
        out of descriptors."""
        if self.peer.daemons:
            how = f'virtiofs {CACHES[cache]} rw'
        elif self.peer.disk:
            how = 'ext4 /dev/vdb rw'
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
        """Ends the guest and its daemons or helper."""
        self.stack.close()


def versions():
    """The versions of virtiofsd, by path or peer"""
    newer = virtiofsd.version()
    said = subprocess.run([peers.VIRTIOFSD, '--version'], text=True,
                          stdin=subprocess.DEVNULL, capture_output=True,
                          check=False) if peers.VIRTIOFSD.exists() else None
    return {**({str(peers.VIRTIOFSD): said.stdout.splitlines()[0]} if said
               else {}),
            **({'virtiofsd-13': newer} if newer else {})}


def says():
    """A line that describes the guests"""
    image = kernel.debian(MODULES).image.parent.name
    version = image.removeprefix('linux-image-').partition('_')[0]
    accel = machine.accelerator('auto', [], False, build.QEMU)
    return (f'Linux {version}, Debian {rootfs.SUITE}, one processor under '
            f'{accel.upper()}, {MEMORY}')
