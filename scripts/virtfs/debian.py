# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian packages that ./boot and ./check need: base/packages says which."""

import os
import pathlib
import subprocess
import sys

from .failure import Failure, message

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / 'base'))

import packages                         # noqa: E402 (base/packages.py)


def need(purposes, program):
    """Installs what is missing for the purposes; an ordinary user is told."""
    missing = packages.missing(purposes)
    if missing and os.geteuid() != 0:
        raise Failure('these Debian packages are missing:\n'
                      f'    apt install {" ".join(missing)}')
    updated = False
    while missing:
        message(f'{program}: installing {" ".join(missing)}')
        if not updated:                 # the lists may be old, or not there
            _apt('update')
            updated = True
        _apt('install', '-y', '--no-install-recommends', *missing)
        before, missing = missing, packages.missing(purposes)
        # Without a compiler nobody can tell which libraries are missing, so
        # there may be others now
        if set(before) & set(missing):
            raise Failure('these Debian packages could not be installed: '
                          + ' '.join(missing))


def _apt(*arguments):
    """Runs apt-get; its output on stderr, as stdout is the guest command's.
    What it achieved is seen afterwards."""
    subprocess.run(['apt-get', '-q', '-o', 'DPkg::Lock::Timeout=300',
                    *arguments],
                   env={**os.environ, 'DEBIAN_FRONTEND': 'noninteractive'},
                   stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(),
                   check=False)
