#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Installs the Debian packages that base/packages lists for a purpose.

usage: debian.py PURPOSE...
"""

import os
import pathlib
import subprocess
import sys

if __name__ == '__main__':
    sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[2] / 'base')]

import packages                         # base/packages.py
from fail import Fail, note, run


def need(purposes):
    """Installs the packages that the purposes lack; fails for an ordinary
    user, who cannot install them."""
    missing = packages.missing(purposes)
    if missing and os.geteuid() != 0:
        raise Fail('these Debian packages are missing:\n'
                   f'    apt install {" ".join(missing)}')
    updated = False
    while missing:
        note(f'installing {" ".join(missing)}')
        if not updated:                 # the lists may be old or missing
            _apt('update')
            updated = True
        _apt('install', '-y', '--no-install-recommends', *missing)
        before, missing = missing, packages.missing(purposes)
        if set(before) & set(missing):
            raise Fail('these Debian packages could not be installed: '
                       + ' '.join(missing))


def _apt(*arguments):
    """Runs apt-get, with its output on stderr: stdout belongs to the guest's
    command. The caller checks the result by asking for the packages again."""
    subprocess.run(['apt-get', '-q', '-o', 'DPkg::Lock::Timeout=300',
                    *arguments],
                   env={**os.environ, 'DEBIAN_FRONTEND': 'noninteractive'},
                   stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(),
                   check=False)


if __name__ == '__main__':
    run(need, sys.argv[1:])
