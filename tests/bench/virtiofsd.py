# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian 13's virtiofsd, the one in Rust, on any Debian.

Its package and those of the libraries that it needs come from the archive, as
the base does (base/fetch.py), and are unpacked, not installed: their own loader
runs it.
"""

import pathlib
import shutil
import subprocess

import fetch                            # base/fetch.py

SUITE = 'trixie'
PACKAGES = ('virtiofsd', 'libc6', 'libcap-ng0', 'libgcc-s1', 'libseccomp2')
# Whose files replace those of earlier versions
MARK = 'packages'


def _folder():
    return fetch.Cache.of_user().folder / f'virtiofsd-{SUITE}'


def command():
    """The program and the arguments that start it, which may not exist yet"""
    root = _folder() / 'root'
    libraries = root / 'usr/lib/x86_64-linux-gnu'
    return (str(libraries / 'ld-linux-x86-64.so.2'), '--library-path',
            str(libraries), str(root / 'usr/libexec/virtiofsd'))


def get():
    """Fetches and unpacks it, unless that has been done."""
    spec = {**fetch.read_spec(), 'suite': SUITE}
    with fetch.Fetcher(spec, fetch.Cache(_folder()), 'amd64') as fetcher:
        found = [fetcher.package(name) for name in PACKAGES]
    root, mark = _folder() / 'root', _folder() / MARK
    names = '\n'.join(p.name for p in found)
    if mark.exists() and mark.read_text(encoding='utf-8') == names:
        return
    shutil.rmtree(root, ignore_errors=True)
    for path in found:
        subprocess.run(['dpkg-deb', '-x', path, root], check=True)
    mark.write_text(names, encoding='utf-8')


def version():
    """What it says about itself: a line; None if it is not here"""
    if not pathlib.Path(command()[-1]).exists():
        return None
    return subprocess.run([*command(), '--version'], text=True, check=True,
                          stdin=subprocess.DEVNULL,
                          capture_output=True).stdout.splitlines()[0]
