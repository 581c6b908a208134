# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU and the helper: their command lines, and the users that run them.

If root starts ./boot, it starts the helper with privilege (the helper drops all
capabilities except a few, and never serves as uid 0) and QEMU as the user
nobody, with a socket pair between them. That user may have no access to the
build folder or the cache, which may be below /root, so QEMU gets every file as
a descriptor, even its own program.

If an ordinary user starts ./boot, everything runs as that user. QEMU starts the
helper, which makes a user namespace with the user's subordinate ids.

The local driver has no helper. QEMU itself acts on the folder, so it runs as
the user who starts ./boot.
"""

import os
import pwd
import socket
import stat
import subprocess

import firmware                         # base/firmware.py
from fail import Fail

from . import build, process

UNPRIVILEGED = 'nobody'


def _has_kvm(program):
    """Whether a QEMU was built with KVM"""
    said = subprocess.run([program, '-accel', 'help'], capture_output=True,
                          text=True, stdin=subprocess.DEVNULL, check=False)
    return 'kvm' in said.stdout.split()


def accelerator(wanted, groups, as_nobody, program):
    """'kvm' or 'tcg'. groups: a list that receives the groups that QEMU needs
    if it runs as nobody; program: that QEMU."""
    why = None
    try:
        with open('/proc/cpuinfo', encoding='ascii', errors='replace') as f:
            flags = f.read().split()
    except OSError:
        flags = []
    if wanted != 'tcg' and not _has_kvm(program):
        why = f'{program} was built without KVM'
    elif 'vmx' not in flags and 'svm' not in flags:
        why = 'the processor shows neither vmx nor svm'
    else:
        try:
            os.close(os.open('/dev/kvm', os.O_RDWR | os.O_CLOEXEC))
            node = os.stat('/dev/kvm')
            if as_nobody and not node.st_mode & stat.S_IWOTH:
                if node.st_mode & stat.S_IWGRP and node.st_gid != 0:
                    groups.append(node.st_gid)
                else:
                    why = f'{UNPRIVILEGED} may not open /dev/kvm'
        except OSError as e:
            why = f'/dev/kvm: {e.strerror}'
    if why and wanted == 'kvm':
        raise Fail(f'--accel kvm: {why}')
    return 'tcg' if why or wanted == 'tcg' else 'kvm'


def _value(text):
    """A value for one of QEMU's key=value lists."""
    return str(text).replace(',', ',,')


class Machine:
    """A running QEMU, with its helper if ./boot started it.

    console, out, err: sockets to the serial line and to the two ports that
    guest-init writes to. log: a file object with the output of QEMU and the
    helper. qemu, helper: child processes; helper is None if QEMU starts the
    helper itself or needs none.
    """

    def __init__(self, options, image, initramfs):
        self.qemu = self.helper = None
        self._program = options.qemu or build.qemu(options.target)
        self._fds = []                  # for QEMU; closed here when it runs
        self.as_root = os.geteuid() == 0 and options.driver != 'local'
        groups = []
        self.accel = accelerator(options.accel, groups, self.as_root,
                                 self._program)
        self.console, console = socket.socketpair()
        self.out, out = socket.socketpair()
        self.err, err = socket.socketpair()
        ours, theirs = os.pipe()
        self.log = os.fdopen(ours, 'rb', buffering=0)
        try:
            argv = self._command(options, image, initramfs,
                                 self._keep(console), self._keep(out),
                                 self._keep(err), theirs)
            self._start(argv, groups, theirs)
        except BaseException:
            self.end()
            raise
        finally:
            os.close(theirs)
            for fd in self._fds:
                os.close(fd)

    def _keep(self, sock):
        """Passes a socket to QEMU; returns its descriptor."""
        fd = sock.detach()
        self._fds.append(fd)
        return fd

    def _open(self, path, option=None):
        """Opens a file for QEMU; returns its descriptor."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as e:
            raise Fail(f'{option or ""}{path}: {e.strerror}') from None
        self._fds.append(fd)
        return fd

    def _memory(self, content):
        """Makes a file in memory for QEMU; returns its descriptor."""
        fd = os.memfd_create('initramfs')
        self._fds.append(fd)
        at = 0
        while at < len(content):
            at += os.write(fd, content[at:at + (1 << 20)])
        return fd

    def _fsdev(self, options, log):
        """The value of -fsdev."""
        words = [options.driver, 'id=share']
        if options.readonly:
            words.append('readonly=on')
        if options.driver == 'proxy' and self.as_root:
            words.append(f'sock_fd={self._start_helper(options, log)}')
        elif options.driver == 'proxy':
            words.append(f'path={_value(options.share)}')
            words.append(f'helper={_value(options.helper or build.HELPER)}')
        elif options.driver != 'synth':
            words.append(f'path={_value(options.share)}')
        if options.driver == 'local':
            words.append('security_model='
                         + _value(options.security_model))
        if options.fsdev:
            words.append(options.fsdev)
        return ','.join(words)

    def _start_helper(self, options, log):
        """Starts the helper with privilege; returns QEMU's descriptor."""
        ours, theirs = socket.socketpair()
        argv = [str(options.helper or build.HELPER), '-n',
                '-p', options.share, '-f', str(theirs.fileno())]
        if options.readonly:
            argv.append('--readonly')
        with theirs:
            self.helper = process.spawn(
                argv, pass_fds=[theirs.fileno()], stdout=subprocess.DEVNULL,
                stderr=log)
        return self._keep(ours)

    def _command(self, options, image, initramfs, console, out, err, log):
        target = options.target
        argv = [
            f'qemu-system-{target.name}',
            # At most 15 bytes
            '-name', f'virtfs-boot,process=qemu-system-{target.name[:3]}',
            '-M', target.machine, '-m', options.memory,
            '-nodefaults', '-no-user-config', '-nic', 'none',
            '-display', 'none', '-no-reboot',
        ]
        if self.accel == 'kvm':
            argv += ['-accel', 'kvm', '-cpu', 'host']
        else:
            argv += ['-accel', 'tcg,thread=multi', '-cpu', 'max']
        for folder in firmware.FOLDERS:     # for QEMUs of any build
            argv += ['-L', folder]
        argv += [
            '-kernel', f'/proc/self/fd/{self._open(image)}',
            '-initrd', f'/proc/self/fd/{self._memory(initramfs)}',
            '-append', f'console={target.console} quiet panic=-1 '
            f'random.trust_cpu=on {options.append}',
            '-chardev', f'socket,id=boot.console,fd={console}',
            '-serial', 'chardev:boot.console',
            '-device', f'virtio-serial-{target.bus},id=boot.ports',
            '-chardev', f'socket,id=boot.out,fd={out}',
            '-device', 'virtserialport,chardev=boot.out,name=guest.out',
            '-chardev', f'socket,id=boot.err,fd={err}',
            '-device', 'virtserialport,chardev=boot.err,name=guest.err',
            '-fsdev', self._fsdev(options, log),
            '-device', f'virtio-9p-{target.bus},fsdev=share,mount_tag='
            + _value(options.tag),
        ]
        return argv + options.qemu_arguments

    def _start(self, argv, groups, log):
        identity, executable = None, str(self._program)
        program = self._open(self._program)
        if self.as_root:
            user = pwd.getpwnam(UNPRIVILEGED)
            identity = process.Identity(user.pw_uid, user.pw_gid, groups)
            executable = f'/proc/self/fd/{program}'
        self.qemu = process.spawn(
            argv, executable=executable, identity=identity,
            pass_fds=self._fds, stdout=log, stderr=log,
            cwd='/' if self.as_root else None)

    def end(self):
        """Ends QEMU and the helper."""
        process.end(self.qemu)
        process.end(self.helper)
        for sock in (self.console, self.out, self.err):
            sock.close()
