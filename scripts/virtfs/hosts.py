# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian systems of other releases, in which this tree is built and tested.

debootstrap makes a system in a folder. Commands run in it as in a container:
with a mount namespace of their own, in which the folder is the root and this
tree is at TREE_INSIDE, and with process ids of their own. So no mount and no
process outlives them. The machine's settings for apt's downloads, such as
proxies, hold in the system, too.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile

import fetch                            # base/fetch.py
import packages                         # base/packages.py
from fail import Fail

from . import TREE, process, rootfs

# Suites of the archive, and their compilers
SUITES = {'bookworm': 'Debian 12', 'trixie': 'Debian 13',
          'testing': 'Debian testing'}
COMPILERS = ('gcc', 'clang')

# What ./boot itself needs before it can install packages
BARE = ('ca-certificates', 'python3')

TREE_INSIDE = '/srv/virtfs'
BUILD_INSIDE = '/srv/build'
CACHE_INSIDE = '/srv/cache'

# Files of the cache that a system may use: downloads, and kernels
_CACHED = ('SHA256SUMS', 'qemu_*', '*_all.deb', 'linux-image-*.kernel')

# sh stays, as the first process, to wait for orphans.
_ENTER = '''
set -e
root=$1 tree=$2
shift 2
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount --bind "$tree" "$root%s"
cd "$root"
pivot_root . mnt
umount -l /mnt
cd /
set +e
"$@"
exit $?
''' % TREE_INSIDE

_NAMESPACES = ['unshare', '--mount', '--pid', '--fork', '--kill-child',
               '--propagation', 'private']


def lacks():
    """Why this machine cannot run such a system, or None."""
    if os.geteuid() != 0:
        return 'only root can make a Debian system'
    done = subprocess.run([*_NAMESPACES, 'mount', '-t', 'tmpfs', 'tmpfs',
                           '/mnt'], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)
    return f'no mounts here: {done.stderr.strip()}' if done.returncode else None


def _apt_settings():
    """The machine's settings for apt's downloads."""
    said = subprocess.run(['apt-config', 'dump'], capture_output=True,
                          text=True, check=True).stdout
    return ''.join(line + '\n' for line in said.splitlines()
                   if line.startswith('Acquire::')
                   and not line.startswith('Acquire::IndexTargets'))


class System:
    """A Debian system in a folder."""

    def __init__(self, root, suite):
        """Lets a new system use this machine's network, and its cache.

        root: a folder with what debootstrap made; suite: the release's name
        """
        self.root = pathlib.Path(root)
        for path in TREE_INSIDE, BUILD_INSIDE:
            self.path(path).mkdir(exist_ok=True)
        self.path('/etc/apt/apt.conf.d/90machine').write_text(
            _apt_settings(), encoding='utf-8')
        # The system is only for tests: nothing must survive a power failure
        self.path('/etc/dpkg/dpkg.cfg.d/90machine').write_text(
            'force-unsafe-io\n', encoding='ascii')
        self.path('/etc/apt/sources.list').write_text(''.join(
            f'deb {mirror} {suite} main\n'
            for mirror in fetch.machine_mirrors()[:1]), encoding='ascii')
        for path in '/etc/resolv.conf', '/etc/hosts':
            if os.path.exists(path):
                self.path(path).unlink(missing_ok=True)
                shutil.copyfile(path, self.path(path))

    @classmethod
    def made(cls, suite, folder, purposes=()):
        """A system in a new folder, with the packages for these purposes; the
        tree's own code installs them."""
        def prepare(root):
            system = cls(root, suite)
            status, said = system.run(
                [f'{TREE_INSIDE}/scripts/virtfs/debian.py', *purposes])
            if status:
                raise Fail(f'{suite}: installing packages failed:\n{said}')

        kind = '-'.join(['-host', *(p for p in purposes if p == 'clang')]) \
            if purposes else '-bare'
        root = pathlib.Path(folder, 'root')
        root.mkdir()
        rootfs.real(rootfs.archive(
            suite, BARE, kind,
            prepare if purposes else None,
            (purposes, packages.LIST.read_bytes())), root)
        system = cls(root, suite)
        system.copy_cache()
        return system

    def path(self, inside):
        """The path by which this machine knows one of the system's."""
        return self.root / inside.lstrip('/')

    def copy_cache(self):
        """Gives the system what the cache has already."""
        cache = fetch.Cache.of_user().folder
        to = self.path(CACHE_INSIDE) / cache.name
        to.mkdir(parents=True)
        for pattern in _CACHED:
            for path in cache.glob(pattern):
                if path.is_dir():
                    shutil.copytree(path, to / path.name)
                else:
                    shutil.copy2(path, to / path.name)

    def command(self, argv, env=None, user=None):
        """A command that runs the given one in the system.

        env: more environment variables; user: one of the system's users, root
        by default
        """
        env = {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL': 'C.UTF-8',
               'HOME': '/root', 'XDG_CACHE_HOME': CACHE_INSIDE,
               'VIRTFS_BUILD': BUILD_INSIDE, **(env or {})}
        become = ['runuser', '-u', user, '--'] if user else []
        return [*_NAMESPACES, 'sh', '-c', _ENTER, 'sh', str(self.root),
                str(TREE), *become, 'env', '-i',
                *(f'{n}={v}' for n, v in env.items() if v is not None),
                *map(str, argv)]

    def run(self, argv, **more):
        """Runs a command in the system: (status, what it printed)."""
        return process.output(self.command(argv, **more))


def folder(stack):
    """A folder for a system, which is removed at the end, even if this process
    is killed. It is on the cache's disk: /tmp may be in memory."""
    cache = fetch.Cache.of_user().folder
    cache.mkdir(parents=True, exist_ok=True)
    path = stack.enter_context(tempfile.TemporaryDirectory(
        dir=cache, prefix='host-', ignore_cleanup_errors=True))
    process.remove_after_end(path)
    os.chmod(path, 0o755)
    return path


def names():
    """All combinations of a suite and a compiler"""
    return [f'{suite}-{compiler}' for suite in SUITES
            for compiler in COMPILERS]


def parse(name):
    """(suite, compiler) of a name such as trixie-gcc"""
    suite, _, compiler = name.partition('-')
    if suite not in SUITES or compiler not in COMPILERS:
        raise Fail(f'{name}: not one of ' + ', '.join(names()))
    return suite, compiler
