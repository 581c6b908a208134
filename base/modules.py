# SPDX-License-Identifier: GPL-2.0-or-later
"""Provides a Python for the base's configure, with a new enough Meson.

The base's configure makes a virtual environment from the Python that the
caller names, and reuses the modules of that Python. If the machine lacks some
module, this file makes an environment of its own beside the unpacked base: it
has the machine's modules, and the missing ones from Debian's packages. It stays
there, so that ninja finds the modules later without environment variables.
"""

import json
import pathlib
import shutil
import subprocess
import tempfile

from fail import Fail, note

PYTHON = "/usr/bin/python3"

VERSIONS = """\
import importlib.metadata as m, json, sys
have = {}
for name in sys.argv[1:]:
    try:
        have[name] = m.version(name)
    except m.PackageNotFoundError:
        pass
print(json.dumps(have))
"""


def numbers(version):
    """A version as numbers to compare: '1.10rc1' gives (1, 10)."""
    parts = []
    for part in version.split("."):
        digits = part[:len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        parts.append(int(digits))
        if digits != part:
            break
    return tuple(parts)


def missing(modules, python):
    """The modules that a Python lacks, or has in too old a version."""
    names = [m["name"] for m in modules]
    have = json.loads(subprocess.run(
        [python, "-I", "-c", VERSIONS, *names],
        capture_output=True, text=True, check=True).stdout)
    return [m for m in modules
            if numbers(have.get(m["name"], "0")) < numbers(m["version"])]


def make(modules, home, fetcher):
    """Make the Python for the base's configure; returns its path."""
    lacking = missing(modules, PYTHON)
    if not lacking:
        return PYTHON
    venv = home / "python"
    python = venv / "bin/python3"
    if python.exists() and not missing(modules, python):
        return python
    shutil.rmtree(venv, ignore_errors=True)
    packages = [fetcher.package(m["package"]) for m in lacking]
    note("making a Python environment with "
         + " and ".join(m["name"] for m in lacking))
    subprocess.run([PYTHON, "-m", "venv", "--without-pip",
                    "--system-site-packages", venv], check=True)
    site = next(venv.glob("lib/python3*/site-packages"))
    for package in packages:
        with tempfile.TemporaryDirectory(dir=home) as folder:
            subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
            for path in pathlib.Path(folder).glob(
                    "usr/lib/python3/dist-packages/*"):
                shutil.move(path, site)
    still = missing(modules, python)
    if still:
        shutil.rmtree(venv)
        raise Fail("Debian's packages are too old for the base: "
                   + ", ".join(f"{m['name']} (>= {m['version']})"
                               for m in still))
    return python
