# SPDX-License-Identifier: GPL-2.0-or-later
"""Configures and builds, when something is missing or older than its source.

An existing build folder keeps its configuration. If this module configured it,
it does so again when a file that configure reads changes.

The environment may name another build folder (VIRTFS_BUILD) and arguments for
./configure (VIRTFS_CONFIGURE); ./check --sanitize sets both for its children.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys

from fail import Fail, note

from . import TREE, debian

BUILD = pathlib.Path(os.environ.get('VIRTFS_BUILD')
                     or TREE / 'build').absolute()
ARGUMENTS = ('--lean', *shlex.split(os.environ.get('VIRTFS_CONFIGURE', '')))

# The build of other targets, and its targets
OTHERS = TREE / 'build-targets'
TARGETS = ('x86_64', 'i386', 'aarch64', 'riscv64', 's390x', 'ppc64')

QEMU = BUILD / 'qemu-system-x86_64'
HELPER = BUILD / 'fsdev/virtfs-proxy-helper'
MAPPED = BUILD / 'fsdev/mapped/virtfs-mapped'

# Files that the build does not read
_NO_SOURCE = {'.git', '.ci', 'boot', 'check', 'scripts', 'README.md',
              'LICENSE', '.gitignore'}
# Folders linked into the base: a change there needs only ninja
_LINKED = {'hw', 'fsdev', 'tests'}


def _sources():
    """Yields every file of this tree that the build reads."""
    for top in sorted(TREE.iterdir()):
        if top.name in _NO_SOURCE or top.name.startswith('build'):
            continue
        if top.is_file():
            yield top
            continue
        for at, folders, files in os.walk(top):
            folders[:] = [f for f in folders if f != '__pycache__']
            if pathlib.Path(at) == TREE / 'contrib':
                folders[:] = [f for f in folders if f != 'libvirt']
            if pathlib.Path(at) == TREE / 'tests':
                folders[:] = [f for f in folders
                              if f in ('unit', 'qtest', 'bench')]
            for name in files:
                yield pathlib.Path(at, name)


def _configure_key(arguments):
    """A key that changes with the files that configure reads."""
    digest = hashlib.sha256(repr(arguments).encode())
    for path in _sources():
        inside = path.relative_to(TREE)
        if inside.parts[0] not in _LINKED:
            digest.update(str(inside).encode() + b'\0' + path.read_bytes())
    return digest.hexdigest()


def _run(command, step):
    """Runs a step, with its output on stderr: stdout belongs to the guest's
    command."""
    done = subprocess.run(command, cwd=TREE, stdin=subprocess.DEVNULL,
                          stdout=sys.stderr.fileno())
    if done.returncode:
        raise Fail(f'{step} failed')


@contextlib.contextmanager
def _locked(folder):
    """Keeps other processes out of a build folder; ninja does not do that."""
    folder.mkdir(exist_ok=True)
    with open(folder / 'virtfs-lock', 'w', encoding='ascii') as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def _writable(built):
    """Whether this tree can be written to; if not, it must have been built."""
    if os.access(TREE, os.W_OK):
        return True
    if not built:
        raise Fail(f'{BUILD} is not built and {TREE} cannot be written to')
    return False


def configure():
    """Configures the build folder, unless it is configured already."""
    if _writable((BUILD / 'build.ninja').exists()):
        with _locked(BUILD):
            _configure()


def _configure(folder=BUILD, arguments=ARGUMENTS):
    stamp = folder / 'virtfs-configured'
    ready = (folder / 'build.ninja').exists()
    if ready and not stamp.exists():
        return                  # the user configured it, with other arguments
    key = _configure_key(arguments)
    if ready and stamp.read_text() == key:
        return
    debian.need(['build'])
    note('configuring')
    _run([TREE / 'configure', f'--builddir={folder}', *arguments],
         './configure')
    stamp.write_text(key)


def _newest():
    return max(path.stat().st_mtime_ns for path in _sources())


def build(targets, name='boot'):
    """Builds targets with ninja; prints nothing when all are up to date.

    name: the name of this set of targets.
    """
    stamp = BUILD / f'virtfs-built-{name}'

    def is_built():
        return all((BUILD / target).exists() for target in targets)

    def is_fresh():
        return is_built() and stamp.exists() and \
            stamp.stat().st_mtime_ns > _newest()

    if is_fresh():
        return
    if not _writable(is_built()):
        return                          # a user who may write here builds it
    with _locked(BUILD):
        if is_fresh():
            return                      # another process has built it
        _configure()
        debian.need(['build'])
        started = _newest()
        if not (is_built() and _nothing_to_do(targets)):
            note('building; this takes some minutes the first time')
            _run(['ninja', '-C', BUILD, *targets], 'the build')
        stamp.touch()
        os.utime(stamp, ns=(started + 1, started + 1))


def _nothing_to_do(targets):
    """Whether ninja finds nothing to do, so that only dates have changed."""
    said = subprocess.run(['ninja', '-C', BUILD, '-n', *targets],
                          cwd=TREE, capture_output=True, text=True)
    return 'no work to do' in said.stdout


def qemu(target):
    """The emulator of a target, which must be built."""
    program = QEMU.with_name(f'qemu-system-{target.name}')
    if not program.exists():
        raise Fail(f'{program} is missing: ./configure --lean '
                   f'--target-list={target.name}-softmmu, or name an emulator '
                   'with --qemu')
    return program


def other(folder, arguments, targets):
    """Builds ninja's targets in another folder, with arguments for
    ./configure."""
    with _locked(folder):
        _configure(folder, arguments)
        _run(['ninja', '-C', folder, *targets], 'the build')


def lean(*targets):
    """Builds ninja's targets in the folder OTHERS, for all TARGETS."""
    debian.need(['targets'])
    names = ','.join(f'{name}-softmmu' for name in TARGETS)
    other(OTHERS, ('--lean', f'--target-list={names}'), targets)


def install(folder, umask=-1):
    """Does what "ninja install" with DESTDIR does, but builds nothing that is
    not installed, such as tests. Returns the prefix below the folder.

    umask: that of the user who installs
    """
    info = {name: json.loads((BUILD / f'meson-info/intro-{name}.json')
                             .read_text(encoding='utf-8'))
            for name in ('targets', 'buildoptions')}
    build([os.path.relpath(path, BUILD) for target in info['targets']
           if target['installed'] for path in target['filename']],
          name='install')
    with _locked(BUILD):
        done = subprocess.run(
            [BUILD / 'pyvenv/bin/meson', 'install', '--no-rebuild', '-C',
             BUILD, '--destdir', folder], cwd=TREE, stdin=subprocess.DEVNULL,
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            umask=umask)
    if done.returncode:
        raise Fail(f'meson install failed:\n{done.stdout[-4000:]}')
    prefix = next(o['value'] for o in info['buildoptions']
                  if o['name'] == 'prefix')
    return pathlib.Path(folder, prefix.lstrip('/'))


def emulator():
    """Builds QEMU and the helper."""
    build([str(p.relative_to(BUILD)) for p in (QEMU, HELPER)])
