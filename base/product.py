# SPDX-License-Identifier: GPL-2.0-or-later
"""The program onto whose source a graft goes: QEMU, or another one.

A base.toml that has a table [product] names it there. One that has none is for
QEMU.
"""

import dataclasses
import os


@dataclasses.dataclass(frozen=True)
class Product:
    """What is known about a program, as in base.toml"""
    name: str = "QEMU"          # for people
    package: str = "qemu"       # Debian's source package
    # The file that has the version of a source tree, and a regular expression
    # that finds it there, in the first line that matches
    version_file: str = "VERSION"
    version_is: str = r"(.*)"
    # The folder with base.toml, edits.toml and fragments/, and the one below
    # which the files stand that are linked; both from this tree's root
    folder: str = "base"
    root: str = "."
    # What explains how to make a graft fit again
    guide: str = "docs/devel/virtfs-next-qemu.rst"

    @property
    def inside(self):
        """The folder, from the root"""
        return os.path.relpath(self.folder, self.root)


QEMU = Product()


def of(spec):
    """The product of a base.toml."""
    return Product(**spec.get("product", {}))
