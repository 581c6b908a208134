# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole Debian systems: for guests that have their root file system on 9p, and
for tests on other releases than this machine's (hosts.py).

debootstrap makes them once, from the mirror that the machine's apt uses. The
cache keeps them as archives (tar). Each guest gets an unpacked copy, in the
form in which the share's driver and its user keep owners:

  real()       as root: files have the owners that the guest sees
  own_ids()    as an ordinary user: files belong to the user's subordinate ids,
               as the helper maps them
  mapped()     as an ordinary user: files belong to that user, and extended
               attributes hold the guest's view of them, as for the local
               driver with security_model=mapped-xattr

image() is the same system on a disk, for guests with another share to work on.
"""

import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import fetch                            # base/fetch.py
from fail import Fail, note

from . import build, process

SUITE = 'bookworm'
PACKAGES = ('acl', 'attr', 'fio', 'gcc', 'git', 'libc6-dev', 'make', 'sqlite3',
            'stress-ng')

# Left out of the archive: folders that the guest mounts over, and files that
# only debootstrap and apt need
_WITHOUT = ('./dev/*', './proc/*', './sys/*', './run/*',
            './var/cache/apt/*.bin', './var/cache/apt/archives/*.deb',
            './var/lib/apt/lists/*_*')

# Seconds for which the cache keeps a system of a suite that changes every day
_FRESH = 7 * 24 * 3600


# A user's PATH may lack the folders of mke2fs and of debootstrap's tools
_ENVIRONMENT = {**os.environ, 'LC_ALL': 'C',
                'PATH': '/usr/sbin:/usr/bin:/sbin:/bin'}


def _bootstrap(to, suite, names):
    """Makes a system with these packages in a new folder."""
    keyring = fetch.read_spec()['keyring']
    for program in ('debootstrap', '/usr/sbin/debootstrap'):
        if shutil.which(program):
            break
    else:
        raise Fail('debootstrap is not installed')
    said = ["apt's configuration names no mirror of the Debian archive"]
    for mirror in fetch.machine_mirrors():
        note(f'making a Debian system ({suite}) from {mirror}')
        status, out = process.output(
            [program, '--variant=minbase', f'--keyring={keyring}',
             '--include=' + ','.join(names), suite, str(to), mirror],
            env=_ENVIRONMENT)
        if status == 0:
            # The guest has no network
            pathlib.Path(to, 'etc/apt/sources.list').write_text('')
            return
        said = out.splitlines()
        shutil.rmtree(to, ignore_errors=True)
    raise Fail('debootstrap failed:\n' + '\n'.join(said[-10:]))


def archive(suite=SUITE, names=PACKAGES, kind='', prepare=None, inputs=()):
    """Makes an archive unless the cache has it; returns its path.

    kind: a name for archives of which the cache keeps one; prepare: a function
    that changes the new system before it is archived; inputs: what its changes
    depend on
    """
    cache = fetch.Cache.of_user()
    about = (names, _WITHOUT, *inputs)
    key = hashlib.sha256(repr(about).encode()).hexdigest()[:8]
    name = f'rootfs-{suite}{kind}-{key}.tar'
    path = cache.get(name)
    if path and (suite not in ('testing', 'sid') or
                 path.stat().st_mtime > time.time() - _FRESH):
        return path
    if os.geteuid() != 0:
        raise Fail('only root can make the Debian system '
                   '(run ./check long as root once)')
    cache.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.folder, prefix='rootfs-',
                                     ignore_cleanup_errors=True) as work:
        process.remove_after_end(work)
        work = pathlib.Path(work)
        try:
            _bootstrap(work / 'root', suite, names)
            if prepare:
                prepare(work / 'root')
            subprocess.run(['tar', '--numeric-owner', '-C', work / 'root',
                            *(f'--exclude={w}' for w in _WITHOUT),
                            '-cf', work / name, '.'], check=True)
            for old in cache.folder.glob(f'rootfs-{suite}{kind}-*.tar'):
                if len(old.name) == len(name):
                    old.unlink()
            return cache.put(work / name)
        except subprocess.CalledProcessError as e:
            raise Fail(str(e)) from None


def image(names=PACKAGES, kind='', free=0):
    """Makes an ext4 image of the system, for guests that do not keep changes;
    returns its path. names, kind: see archive(); free: MiB of further space"""
    source = archive(names=names, kind=kind)
    cache = fetch.Cache.of_user()
    path = cache.get(source.name.replace('.tar', '.ext4'))
    if path:
        return path
    if os.geteuid() != 0:
        raise Fail('only root can make the image of the Debian system')
    with tempfile.TemporaryDirectory(dir=cache.folder, prefix='rootfs-',
                                     ignore_cleanup_errors=True) as work:
        root = pathlib.Path(work, 'root')
        root.mkdir()
        real(source, root)
        made = pathlib.Path(work, source.name.replace('.tar', '.ext4'))
        # No journal, and little free space
        size = source.stat().st_size * 5 // 4 + (free << 20)
        mke2fs(made, size, root, '-O', '^has_journal')
        return cache.put(made)


def mke2fs(path, size, files, *options):
    """Makes an ext4 of size bytes in a file, with what is in the folder files
    (None: nothing)"""
    done = subprocess.run(
        ['mke2fs', '-q', '-t', 'ext4', '-m', '0', *options,
         *(['-d', files] if files else []), path, f'{size // 1024}k'],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
        env=_ENVIRONMENT)
    if done.returncode:
        raise Fail(f'mke2fs failed: {done.stderr.strip()}')


def _extract(command, source, user):
    with open(source, 'rb') as f:
        done = subprocess.run(command, stdin=f, capture_output=True, text=True)
    if done.returncode:
        raise Fail(f'unpacking {source} as {user}: {done.stderr.strip()}')


def real(source, to, _user=None):
    """Unpacks the archive with the real owners; only root can do that."""
    _extract(['tar', '--numeric-owner', '-xpf', '-', '-C', to], source,
             'root')


def own_ids(source, to, user):
    """Unpacks the archive with a user's subordinate ids as owners.

    user: a testuser.TestUser
    """
    command = ['unshare', '--map-root-user', '--map-auto',
               'tar', '--numeric-owner', '-xpf', '-', '-C', str(to)]
    _extract(user.command(command), source, user.user.pw_name)


def mapped(source, to, user):
    """Unpacks the archive with owners and types in extended attributes."""
    _extract(user.command([build.MAPPED, 'unpack', '--model', 'mapped-xattr',
                           to]), source, user.user.pw_name)
