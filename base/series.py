# SPDX-License-Identifier: GPL-2.0-or-later
"""The series of a base, such as QEMU, onto which this tree is grafted.

base.toml lists the known series, such as 10.0 of QEMU; 10.0.13 is a version of
it. An edit of base/edits.toml can be limited to some of them. A version of
another series gets the edits of the nearest known one, with a notice: the graft
then lists everything that does not fit (graft.py).
"""

import re

import product
from fail import Fail, note


def names(spec):
    """The names of the known series, the oldest first."""
    return [s["name"] for s in spec["series"]]


def find(spec, name=None):
    """A known series by its name; default: the default one. None if unknown."""
    name = name or spec["default"]
    return next((s for s in spec["series"] if s["name"] == name), None)


def has(name, version):
    """Whether an upstream version belongs to a series; suffixes are fine."""
    return re.match(re.escape(name) + r"\.\d", version) is not None


def numbers(version):
    """The major and the minor number of a version, to compare; or None."""
    found = re.match(r"(0|[1-9]\d*)\.(0|[1-9]\d*)(\.\d|$)", version)
    return found and (int(found[1]), int(found[2]))


def of_version(spec, version, source):
    """The name of the series whose edits a version gets.

    source: what the user knows the version's source by, for messages
    """
    for name in names(spec):
        if has(name, version):
            return name
    what = product.of(spec).name
    if not numbers(version):
        raise Fail(f"{source}: {version!r} is no version of {what}")
    older = [n for n in names(spec) if numbers(n) <= numbers(version)]
    nearest = older[-1] if older else names(spec)[0]
    note(f"notice: {source}: this tree was not tested with {what} {version}, "
         f"only with {listed(spec)}; trying it as {nearest}")
    return nearest


def listed(spec):
    """The known series as text."""
    return " and ".join(f"{n}.x" for n in names(spec))
