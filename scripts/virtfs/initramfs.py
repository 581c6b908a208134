# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's initial file system, as the kernel takes it: a cpio archive.

It consists of two archives, one after the other. The first holds busybox, a
shell, the attribute and ACL tools with their libraries, the kernel's modules
and guest-init; it is the same for every guest and stays in the cache. The
second is new for every guest: the command to run, and the settings.

Neither is compressed: an emulated processor needs longer to unpack an archive
than QEMU needs to load it.
"""

import hashlib
import os
import re
import stat
import subprocess

from fail import Fail

HERE = os.path.dirname(os.path.abspath(__file__))
GUEST_INIT = os.path.join(HERE, 'guest-init')

TOOLS = ('setfattr', 'getfattr', 'setfacl', 'getfacl')
# The shell that runs commands. The shell of busybox, which can edit lines, is
# for interactive use; it prefers busybox' own programs to all others.
SHELL = '/bin/dash'

# Read by the interactive shell. The first process waits for that shell and
# cannot react, so the first three functions end the machine themselves.
GUEST_SHELL = b'''\
PS1='guest:\\w# '
poweroff() { sync; busybox poweroff -f; }
halt() { sync; busybox poweroff -f; }
reboot() { sync; busybox reboot -f; }
getfattr() { /usr/bin/getfattr "$@"; }
setfattr() { /usr/bin/setfattr "$@"; }
'''


class Archive:
    """A cpio archive of the "newc" kind (the kernel's
    Documentation/driver-api/early-userspace/buffer-format.rst)."""

    def __init__(self):
        self._parts = []
        self._known = {''}
        self._ino = 0

    def _entry(self, name, mode, data, rdev=(0, 0)):
        self._ino += 1
        raw = name.encode() + b'\0'
        fields = (self._ino, mode, 0, 0, 1, 0, len(data), 0, 0,
                  rdev[0], rdev[1], len(raw), 0)
        head = b'070701' + b''.join(b'%08x' % f for f in fields) + raw
        self._parts.append(head + b'\0' * (-len(head) % 4))
        self._parts.append(data + b'\0' * (-len(data) % 4))

    def _add(self, name, mode, data, rdev=(0, 0)):
        """Adds an entry unless it is there, after the folders above it."""
        name = name.strip('/')
        if name not in self._known:
            self.folder(os.path.dirname(name))
            self._known.add(name)
            self._entry(name, mode, data, rdev)

    def folder(self, name, mode=0o755):
        """Adds a folder, and those above it."""
        self._add(name, stat.S_IFDIR | mode, b'')

    def file(self, name, data, mode=0o644):
        """Adds a file with that content."""
        self._add(name, stat.S_IFREG | mode, data)

    def link(self, name, target):
        """Adds a symbolic link."""
        self._add(name, stat.S_IFLNK | 0o777, target.encode())

    def device(self, name, major, minor):
        """Adds a character device."""
        self._add(name, stat.S_IFCHR | 0o600, b'', (major, minor))

    def bytes(self):
        """The archive's content."""
        end = Archive()
        end._entry('TRAILER!!!', 0, b'')
        return b''.join(self._parts + end._parts)


def _read(path):
    with open(path, 'rb') as f:
        return f.read()


def _which(name, root=None):
    for folder in ('usr/bin', 'bin'):
        path = os.path.join(root or '/', folder, name)
        if os.access(path, os.X_OK):
            return path
    raise Fail(f'{name} is not installed')


def libraries(program):
    """The shared libraries of a program, and its loader."""
    out = subprocess.run(['ldd', program], capture_output=True, text=True,
                         env={**os.environ, 'LC_ALL': 'C'})
    if 'not a dynamic executable' in out.stderr:
        return []
    if out.returncode != 0:
        raise Fail(f'ldd {program}: {out.stderr.strip()}')
    return re.findall(r'(/\S+) \(0x', out.stdout)


def _add_programs(archive):
    """Adds this machine's programs, with their libraries."""
    programs = [('bin/busybox', _which('busybox')), ('bin/dash', SHELL)]
    programs += [('usr/bin/' + tool, _which(tool)) for tool in TOOLS]
    for name, path in programs:
        archive.file(name, _read(path), 0o755)
        for library in libraries(path):
            archive.file(library, _read(library), 0o755)


def _add_foreign(archive, root):
    """Adds the programs of another processor, and all libraries of their
    packages; ldd runs only this machine's programs."""
    archive.file('bin/busybox', _read(_which('busybox', root)), 0o755)
    archive.file('bin/dash', _read(_which('dash', root)), 0o755)
    for tool in TOOLS:
        archive.file('usr/bin/' + tool, _read(_which(tool, root)), 0o755)
    for where in ('usr/lib/*/*.so*', 'usr/*/lib/*.so*'):
        for path in sorted(root.glob(where)):
            archive.file(f'lib/{path.name}', _read(path), 0o755)


def common(kernel, root=None):
    """The archive that all guests of a kernel share.

    Returns bytes. kernel: see kernel.Kernel; root: a folder with the programs,
    if they are not this machine's.
    """
    archive = Archive()
    for folder in ('dev', 'proc', 'sys', 'tmp', 'run', 'mnt/share', 'root',
                   'etc', 'usr/bin', 'usr/sbin', 'bin', 'sbin'):
        archive.folder(folder)
    # For messages before /dev is mounted
    archive.device('dev/console', 5, 1)
    archive.file('etc/passwd', b'root:x:0:0:root:/root:/bin/sh\n'
                 b'nobody:x:65534:65534:nobody:/:/bin/false\n')
    archive.file('etc/group', b'root:x:0:\nnogroup:x:65534:\n')
    archive.file('etc/guest-shell', GUEST_SHELL)
    archive.file('init', _read(GUEST_INIT), 0o755)

    if root:
        _add_foreign(archive, root)
    else:
        _add_programs(archive)
    archive.link('bin/sh', 'dash')
    applets = subprocess.run([_which('busybox'), '--list'], capture_output=True,
                             text=True, check=True).stdout.split()
    for applet in applets:
        archive.link('bin/' + applet, 'busybox')

    order = []
    for name, data in kernel.modules():
        archive.file(f'lib/modules/{name}.ko', data)
        order.append(name)
    archive.file('etc/guest-modules', ''.join(n + '\n' for n in order)
                 .encode())
    return archive.bytes()


def key(kernel, root=None):
    """What the common archive depends on, as a name for it in the cache."""
    digest = hashlib.sha256(f'{kernel.identity()}\n{root}'.encode())
    for path in (_which('busybox'), GUEST_INIT, os.path.abspath(__file__),
                 SHELL, *map(_which, TOOLS)):
        st = os.stat(path)
        digest.update(f'{path} {st.st_size} {st.st_mtime_ns}\n'.encode())
    return digest.hexdigest()[:24]


def private(settings, command, files=()):
    """The archive of one guest.

    settings: names and values for guest-init; command: bytes, what to run;
    files: (name, bytes) of further programs.
    """
    archive = Archive()
    text = ''.join(f"{name}='{_quoted(value)}'\n"
                   for name, value in settings.items())
    archive.file('etc/guest-settings', text.encode())
    archive.file('etc/guest-command', command)
    for name, data in files:
        archive.file(name, data, 0o755)
    return archive.bytes()


def _quoted(value):
    return str(value).replace("'", "'\\''")
