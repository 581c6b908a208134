#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds the Debian packages that are missing for a purpose.

usage: packages.py PURPOSE..    print the names of missing packages, one per
                                line; exit status 1 if there are any

The list is base/packages. A package counts as missing if its content is not
there, however that would have been installed.
"""

import glob
import importlib.util
import os
import pathlib
import shlex
import shutil
import subprocess
import sys

LIST = pathlib.Path(__file__).resolve().parent / "packages"


def compiler():
    """The command that compiles C, found as the base's configure does."""
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        words = shlex.split(name or "")
        if words and shutil.which(words[0]):
            return words
    return None


def has_header(path):
    """Whether the compiler finds a header."""
    cc = compiler()
    if not cc:
        return False        # one list names all that may be missing
    return subprocess.run([*cc, "-E", "-x", "c", "-"], text=True,
                          input=f"#include <{path}>\n", capture_output=True,
                          check=False).returncode == 0


def has_library(name):
    """Whether pkg-config knows a library."""
    tool = os.environ.get("PKG_CONFIG") or shutil.which("pkg-config") \
        or shutil.which("pkgconf")
    if not tool:
        return False
    done = subprocess.run([tool, "--exists", name], check=False)
    return done.returncode == 0


PROBES = {
    "compiler": lambda a: compiler() is not None,
    "command": lambda a: any(map(shutil.which, a.split("|"))),
    "pkgconfig": has_library,
    "header": has_header,
    "python": lambda a: importlib.util.find_spec(a) is not None,
    "file": lambda a: any(map(os.path.exists, a.split("|"))),
    "glob": lambda a: bool(glob.glob(a)),
}


def missing(purposes, text=None):
    """The names of packages that are missing for the purposes, sorted."""
    names = set()
    for line in (text or LIST.read_text(encoding="utf-8")).splitlines():
        words = line.partition("#")[0].split()
        if words and not set(purposes).isdisjoint(words[0].split(",")):
            _, package, probe = words
            kind, _, arg = probe.partition(":")
            if not PROBES[kind](arg):
                names.add(package)
    return sorted(names)


def main():
    """The command line."""
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    names = missing(sys.argv[1:])
    print("".join(n + "\n" for n in names), end="")
    sys.exit(bool(names))


if __name__ == "__main__":
    main()
