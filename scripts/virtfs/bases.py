# SPDX-License-Identifier: GPL-2.0-or-later
"""./check --base: the tests on another QEMU than the default one.

Each base has a build folder of its own beside the usual one. ./check sets the
environment for it and starts again, because modules read the environment when
they are imported. The environment then names the base for programs that fetch
its source themselves.
"""

import os
import pathlib
import shlex
import sys

import fetch                            # base/fetch.py
import series                           # base/series.py
from fail import Fail

from . import TREE


def active():
    """The base that --base names; '' for the default one."""
    return os.environ.get('VIRTFS_BASE', '')


def others():
    """The names of the known series except the default one."""
    spec = fetch.read_spec()
    return [n for n in series.names(spec) if n != spec['default']]


def choices():
    """What --base takes."""
    spec = fetch.read_spec()
    return ', '.join([*series.names(spec), 'a source folder or a tarball']) \
        + f' (default: {spec["default"]})'


def without_option(argv):
    """A command line without --base."""
    words = []
    skip = False
    for word in argv:
        if not skip and word != '--base' and not word.startswith('--base='):
            words.append(word)
        skip = not skip and word == '--base'
    return words


def environment(base):
    """The environment in which ./check uses a base."""
    spec = fetch.read_spec()
    if base in series.names(spec):
        if base == spec['default']:
            return {}
        name = base
    elif os.path.exists(base):
        base = os.path.abspath(base)
        name = pathlib.Path(base).name
    else:
        raise Fail(f'--base={base}: no such file or folder, and no series '
                   f'that this tree knows ({" or ".join(series.names(spec))})')
    return {
        'VIRTFS_BASE': base,
        'VIRTFS_BUILD': os.environ.get('VIRTFS_BUILD')
        or str(TREE / f'build-{name}'),
        'VIRTFS_CONFIGURE': ' '.join(
            [os.environ.get('VIRTFS_CONFIGURE', ''),
             shlex.quote(f'--base={base}')]).strip()}


def start(base, argv):
    """Replaces this process with a ./check for that base."""
    os.environ.update(environment(base))
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, '-B', TREE / 'check', *argv])
