# SPDX-License-Identifier: GPL-2.0-or-later
"""The other ends of the proxy channel: programs of Debian 12's QEMU 7.2, which
speak protocol version 1.

OldHelper is a guest of this QEMU with Debian's helper, and OldQemu a guest of
Debian's QEMU with this helper; a test class derives from either. ./boot gives
QEMU a connected descriptor (sock_fd=). A second share, "second", has a socket
file (socket=), on which a helper listens that the test starts.

Debian's helper is the installed one. Otherwise the test fetches its package and
unpacks it into the user's cache, without installing it. QEMU needs many
libraries and must be installed.
"""

import functools
import importlib.util
import os
import pathlib
import pwd
import re
import subprocess
import sys
import tempfile

import harness
from harness import Root, wait_for
from virtfs import build, kernel

QEMU = pathlib.Path('/usr/bin/qemu-system-x86_64')
PACKAGE = 'qemu-system-common'
HELPER = pathlib.Path('/usr/lib/qemu/virtfs-proxy-helper')
NOBODY = pwd.getpwnam('nobody')
LIMIT = 120                     # seconds for a download


@functools.cache
def old_helper():
    """(path, None) of Debian's helper; (None, why) if there is none."""
    if os.access(HELPER, os.X_OK):
        return HELPER, None
    try:
        version = subprocess.run(
            ['apt-cache', 'policy', PACKAGE], stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=True, timeout=LIMIT,
            env={**os.environ, 'LC_ALL': 'C'}).stdout
        match = re.search(r'Candidate: (\S+)', version)
        if not match or match[1] == '(none)':
            return None, f'the archive has no package {PACKAGE}'
        cache = kernel.fetch.Cache.of_user().folder
        folder = cache / f'{PACKAGE}-{match[1]}'
        if not folder.is_dir():
            _fetch(cache, folder)
    except (OSError, subprocess.SubprocessError) as e:
        return None, f'cannot fetch package {PACKAGE}: {e}'
    helper = folder / HELPER.relative_to('/')
    if not os.access(helper, os.X_OK):
        return None, f'package {PACKAGE} {match[1]} has no helper'
    return helper, None


def _fetch(cache, folder):
    """Unpacks the package into a new folder."""
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as work:
        subprocess.run(['apt-get', '-q', 'download', PACKAGE], cwd=work,
                       stdin=subprocess.DEVNULL, capture_output=True,
                       check=True, timeout=LIMIT)
        package, = pathlib.Path(work).glob('*.deb')
        subprocess.run(['dpkg-deb', '-x', package, f'{work}/out'],
                       check=True, timeout=LIMIT)
        os.rename(f'{work}/out', folder)


@functools.cache
def old_qemu():
    """(path, None) of a QEMU with the first proxy driver, or (None, why)."""
    if not os.access(QEMU, os.X_OK):
        return None, f'{QEMU} is missing (package qemu-system-x86)'
    said = subprocess.run([QEMU, '--version'], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=True).stdout
    match = re.search(r'version (\d+)\.(\d+)', said)
    if (int(match[1]), int(match[2])) > (9, 1):
        return None, f'{QEMU} {match[1]}.{match[2]} has no proxy driver'
    return QEMU, None


def load(name):
    """Another test program, as a module."""
    spec = importlib.util.spec_from_file_location(
        name.replace('-', '_'), harness.HERE / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Second:
    """The second share, with a helper that listens on a socket file."""

    who = Root
    helper = None               # the program
    second = None               # a folder
    running = None

    @classmethod
    def start_second(cls):
        cls.second = harness.new_share(cls.host)
        place = harness.new_share(cls.host)
        sock = place / 'socket'
        cls.running = subprocess.Popen(
            [cls.helper, '-n', '-p', cls.second, '-s', sock,
             '-u', str(NOBODY.pw_uid), '-g', str(NOBODY.pw_gid)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            cwd='/', start_new_session=True)
        wait_for('the socket', lambda: sock.exists()
                 or cls.running.poll() is not None, 20)
        cls.qemu = ('-fsdev', f'proxy,id=second,socket={sock}', '-device',
                    'virtio-9p-pci,fsdev=second,mount_tag=second')

    @classmethod
    def prepare(cls):
        """Sets the helper and the options of ./boot; the reason to skip, or
        None."""
        raise NotImplementedError

    @classmethod
    def setUpClass(cls):
        cls.host = cls.who()
        why = cls.host.lacks() or cls.prepare()
        if why:
            raise harness.unittest.SkipTest(why)
        cls.start_second()
        try:
            super().setUpClass()
        finally:
            try:
                cls.ended = cls.running.wait(20)
            except subprocess.TimeoutExpired:
                cls.running.kill()
                cls.ended = cls.running.wait()


class OldHelper(Second):
    """This QEMU, and Debian's helper."""

    @classmethod
    def prepare(cls):
        cls.helper, why = old_helper()
        if not why:
            cls.options = (*cls.options, '--helper', str(cls.helper))
        return why


class OldQemu(Second):
    """Debian's QEMU, and this helper."""

    @classmethod
    def prepare(cls):
        cls.helper = build.HELPER
        qemu, why = old_qemu()
        if not why:
            cls.options = (*cls.options, '--qemu', str(qemu))
        return why
