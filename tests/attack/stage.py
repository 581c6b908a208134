# SPDX-License-Identifier: GPL-2.0-or-later
"""The place of an attack: exports, files beside them, QEMU, and the drivers.

A class derived from Attack is run once for each driver (for_drivers()), with
one QEMU for all classes of a program. Each test works in a folder of its own in
the driver's export: self.folder on the host, the fid self.dir in the guest's
session self.guest. After each test the host's view decides: no file outside
the export may have changed, no reply may have held the secret that is in these
files, and QEMU must still answer.

run_qemu() starts a further QEMU, for attacks that need one of their own.
"""

import contextlib
import ctypes
import os
import pathlib
import secrets
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TREE / 'scripts'), str(TREE / 'base')]
sys.dont_write_bytecode = True

import ninep                                                # noqa: E402
from virtfs import build, process, qmp                      # noqa: E402

LIMIT = 60                      # seconds, for what must come at once
SECRET = secrets.token_bytes(16).hex().encode()

LOCAL = {f'local {model}': f'local,path=%s,security_model={model}'
         for model in ('passthrough', 'none', 'mapped-xattr', 'mapped-file')}
PROXY = {'proxy': 'proxy,path=%s',
         'proxy without donation': 'proxy,path=%s,donate=off,ring=off',
         'proxy protocol 1': 'proxy,path=%s,protocol=1'}
DRIVERS = {**LOCAL, **PROXY}
if os.geteuid() != 0:
    del DRIVERS['local passthrough']    # only root's QEMU can have it

_libc = ctypes.CDLL(None, use_errno=True)


def exchange(one, other):
    """Exchanges two names at once: renameat2(2)."""
    if _libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2):
        raise OSError(ctypes.get_errno(), f'{one} and {other}')


def as_nobody(argv):
    """The output of a command, run by a user without rights if root runs the
    tests."""
    who = {'user': 65534, 'group': 65534, 'extra_groups': []} \
        if os.geteuid() == 0 else {}
    return subprocess.run(argv, stdin=subprocess.DEVNULL, cwd='/', text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False, **who).stdout


def _look(path):
    """What is to be known of a file, except the time of its last access."""
    st = os.lstat(path)
    text = b''
    if stat.S_ISREG(st.st_mode):
        text = pathlib.Path(path).read_bytes()
    elif stat.S_ISLNK(st.st_mode):
        text = os.fsencode(os.readlink(path))
    xattrs = {n: os.getxattr(path, n, follow_symlinks=False)
              for n in os.listxattr(path, follow_symlinks=False)}
    return (st.st_ino, st.st_mode, st.st_uid, st.st_gid, st.st_nlink,
            st.st_size, st.st_mtime_ns, st.st_ctime_ns, text, xattrs)


def snapshot(folder):
    """{path: what is to be known} of a folder and all below it."""
    return {str(p): _look(p) for p in [folder, *sorted(folder.rglob('*'))]}


def children(pid):
    """All processes below a process."""
    below = []
    for path in pathlib.Path(f'/proc/{pid}/task').glob('*/children'):
        for child in map(int, path.read_text(encoding='ascii').split()):
            below += [child, *children(child)]
    return below


class Qemu:
    """A QEMU with devices; arguments: of -fsdev, without the id."""

    def __init__(self, fsdevs, more=(), limits=(), program=None):
        self.machine = ninep.Guest()
        argv, fds = self.machine.arguments()
        mine, its = socket.socketpair()
        self.said = tempfile.TemporaryFile()
        for i, fsdev in enumerate(fsdevs):
            argv += ['-fsdev', f'{fsdev},id=f{i}', '-device',
                     f'virtio-9p-pci,fsdev=f{i},mount_tag=t{i},id=d{i},'
                     f'addr={ninep.FIRST_SLOT + i:#x},disable-modern=on,'
                     'disable-legacy=off']
        argv += ['-chardev', f'socket,id=qmp,fd={its.fileno()}',
                 '-mon', 'chardev=qmp,mode=control']
        self.child = process.spawn(
            [*limits, *(program or [str(build.QEMU)]), *argv, *more],
            pass_fds=(*fds, its.fileno()), stderr=self.said)
        its.close()
        # QEMU alone may hold its end, so that its death is seen
        self.machine.qemu_end.close()
        try:
            self.sessions = [ninep.Session(self.machine, i)
                             for i in range(len(fsdevs))]
            self.qmp = qmp.Qmp(mine, LIMIT)
        except Exception:
            self.close()
            raise

    def complaint(self):
        """What QEMU and its helpers have said on stderr."""
        self.said.seek(0)
        return self.said.read().decode(errors='replace')

    def alive(self):
        """Whether it still runs."""
        return self.child.poll() is None

    def close(self):
        """Ends QEMU; says what it said if it had ended by itself."""
        if not self.alive():
            sys.stderr.write(self.complaint())
        process.end(self.child)
        self.machine.close()
        if hasattr(self, 'qmp'):
            self.qmp.close()
        self.said.close()


@contextlib.contextmanager
def run_qemu(*fsdevs, **options):
    """A QEMU for the duration of a block."""
    qemu = Qemu(fsdevs, **options)
    try:
        yield qemu
    finally:
        qemu.close()


def remove(folder):
    """Removes a folder, with files of subordinate ids, at any depth."""
    inside = [] if os.geteuid() == 0 else ['unshare', '--map-root-user',
                                           '--map-auto']
    subprocess.run([*inside, 'rm', '-rf', str(folder)], check=False,
                   stderr=subprocess.DEVNULL)


class _Place:
    """The folders of a program, and the QEMU that its classes share."""

    def __init__(self):
        # pylint: disable=consider-using-with
        self.scratch = tempfile.TemporaryDirectory(
            prefix='virtfs-attack-', ignore_cleanup_errors=True)
        self.top = pathlib.Path(self.scratch.name)
        process.remove_after_end(self.top)
        self.top.chmod(0o755)
        self.outside = self.top / 'outside'
        (self.outside / 'dir/below').mkdir(parents=True)
        for name in ('secret', 'dir/secret', 'dir/below/secret'):
            (self.outside / name).write_bytes(SECRET)
        os.symlink('secret', self.outside / 'link')
        os.mkfifo(self.outside / 'fifo')
        self.qemu = None

    def export(self, driver):
        """The export of a driver."""
        path = self.top / driver.replace(' ', '-')
        path.mkdir(exist_ok=True)
        return path

    def session(self, driver):
        """The guest's session with a driver."""
        if self.qemu and not self.qemu.alive():
            self.qemu.close()
            self.qemu = None
        if not self.qemu:
            self.qemu = Qemu([DRIVERS[d] % self.export(d) for d in DRIVERS])
        return self.qemu.sessions[list(DRIVERS).index(driver)]

    def close(self):
        """Ends QEMU and removes the folders."""
        if self.qemu:
            self.qemu.close()
        remove(self.top)
        self.scratch.cleanup()


_PLACE = None


def place():
    """The folders and the QEMU of this program."""
    global _PLACE
    if _PLACE is None:
        _PLACE = _Place()
        unittest.addModuleCleanup(_PLACE.close)
    return _PLACE


class Attack(unittest.TestCase):
    """Attacks by a guest, with one driver."""

    driver = None

    def setUp(self):
        self.place = place()
        self.outside = self.place.outside
        self.guest = self.place.session(self.driver)
        self.qemu = self.place.qemu
        name = self.id().rpartition('.')[2]
        self.guest.mkdir(name)
        self.dir = self.guest.walk(name)
        self.folder = self.place.export(self.driver) / name
        self.before = snapshot(self.outside)
        self.guest.watch, self.guest.leaks = SECRET, []

    def tearDown(self):
        self.assertTrue(self.qemu.alive(), 'QEMU has ended: '
                        + ('' if self.qemu.alive() else
                           self.qemu.complaint()))
        self.assert_untouched()
        self.guest.getattr(ninep.ROOT)
        self.assertTrue(self.qemu.qmp('query-status'))

    def assert_untouched(self):
        """No file outside the export has changed, no secret was told."""
        self.assertEqual(self.before, snapshot(self.outside))
        self.assertEqual(self.guest.leaks, [], 'the guest read a secret')

    def assert_refused(self, errnos, message, *arguments, **named):
        """A message gets one of these errors."""
        try:
            said = message(*arguments, **named)
        except ninep.Error as e:
            self.assertIn(e.errno, errnos, f'{message.__name__}{arguments}')
        else:
            self.fail(f'{message.__name__}{arguments} succeeds: {said!r}')


def for_drivers(*drivers, root=False):
    """Makes a class for each driver, in the caller's module.

    root: only if root runs it; skipped otherwise
    """
    def make(cls):
        if root and os.geteuid() != 0:
            return unittest.skip('needs root')(cls)
        module = sys.modules[cls.__module__]
        for driver in drivers or DRIVERS:
            if driver in DRIVERS:
                name = cls.__name__ + '_' + driver.replace(' ', '_').replace(
                    '-', '_')
                setattr(module, name, type(name, (cls,), {
                    'driver': driver, '__module__': cls.__module__,
                    '__doc__': cls.__doc__}))
        return None
    return make


class Swapper:
    """A host user's thread that exchanges two names again and again."""

    def __init__(self, one, other):
        self.names = one, other
        self.stop = False
        self.swaps = 0
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.stop:
            exchange(*self.names)
            self.swaps += 1
            time.sleep(self.swaps % 4 * 0.0002)     # at any moment

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop = True
        self.thread.join()
        if self.swaps % 2:
            exchange(*self.names)


def main():
    """Runs the test program that calls this."""
    if os.geteuid() == 0 and (
            _libc.unshare(0x20000) or                   # CLONE_NEWNS
            _libc.mount(None, b'/', None, 0x44000, None)):  # private
        sys.exit('cannot make a mount namespace: '
                 + os.strerror(ctypes.get_errno()))
    # Leave through the code that cleans up
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    unittest.main()
