# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds parts of the pristine base: the QEMU onto which this tree is grafted,
as it is without this tree.

The benchmarks compare its emulator, and its tests of 9p must pass on this
tree's device. Each series has a build folder beside that of this tree.
"""

import json
import subprocess
import sys

import configure as base                # base/configure.py
import fetch
import graft
import modules
import unpack
from fail import Fail

from . import TREE, build

# Options beside those of this tree's own build: with vhost-user the emulator
# can also be virtiofsd's
_MORE = ['--enable-vhost-user']


def folder(name=None):
    """The build folder for a series; default: the default series."""
    end = f'-{name}' if name and name != fetch.read_spec()['default'] else ''
    return build.BUILD.with_name('build-pristine' + end)


def _without_images(root, home, name):
    """Makes the graft's edits to a source that lacks firmware images."""
    misfits = []
    planned = [(e, piece) for e, piece in graft.plan(TREE, name)
               if e.file.startswith('pc-bios/')]
    texts = graft.edit_texts(root, home / 'pristine', planned, misfits)
    graft.check(misfits, name)
    graft.make_edits(root, home / 'pristine', texts)


def _run(command, where):
    done = subprocess.run(command, cwd=where, stdin=subprocess.DEVNULL,
                          stdout=sys.stderr.fileno())
    if done.returncode:
        raise Fail(f'the pristine base: {command[0]} failed')


def make(targets, name=None):
    """Builds targets of a series, unless they are built; returns the build
    folder."""
    spec = fetch.read_spec()
    name = name or spec['default']
    where = folder(name)
    arguments = [a for a in base.LEAN if 'proxy-helper' not in a
                 and 'virtfs-mapped' not in a] + _MORE
    stamp = where / 'virtfs-configured'
    where.mkdir(exist_ok=True)
    home = unpack.Unpacked(where.with_name(where.name + '.base'))
    with fetch.Fetcher(spec, fetch.Cache.of_user()) as fetcher:
        tarball, has = fetcher.tarball(name)
        key = json.dumps([has, arguments])
        if not stamp.exists() or stamp.read_text(encoding='utf-8') != key:
            home.from_tarball(tarball, has, [])
            python = modules.make(spec['module'], home.home, fetcher)
            _without_images(home.root, home.home, name)
            _run([home.root / 'configure', *arguments, '--disable-download',
                  '--disable-install-blobs', f'--python={python}'], where)
            stamp.write_text(key, encoding='utf-8')
    _run(['ninja', *targets], where)
    return where
