# SPDX-License-Identifier: GPL-2.0-or-later
"""Lets emulators that run from the build folder find firmware.

Debian's source has no firmware images. An emulator in a build folder looks for
them in qemu-bundle, where Meson makes symbolic links that imitate an
installation; test programs pass no -L. So configure adds links to the images
that Debian's packages install. It keeps the links of an earlier run and removes
dangling ones.
"""

import json
import pathlib

# The last one has the option ROM of the default network card
FOLDERS = ("/usr/share/seabios", "/usr/share/qemu", "/usr/lib/ipxe/qemu")


def data_folder(build):
    """The folder in qemu-bundle that represents QEMU's data folder."""
    with open(build / "meson-info/intro-buildoptions.json", "rb") as f:
        options = {o["name"]: o["value"] for o in json.load(f)}
    path = pathlib.PurePath(options["prefix"], options["datadir"],
                            options["qemu_suffix"].lstrip("/"))
    return build / "qemu-bundle" / path.relative_to(path.anchor)


def link(build, folders=FOLDERS):
    """Make the links; returns the number of images that are there now."""
    data = data_folder(build)
    data.mkdir(parents=True, exist_ok=True)
    for old in data.iterdir():
        if old.is_symlink() and not old.exists():
            old.unlink()
    images = 0
    for folder in map(pathlib.Path, folders):
        for image in sorted(folder.iterdir()) if folder.is_dir() else []:
            at = data / image.name
            # A package's links into other packages may be dangling
            if image.is_file():
                if not (at.exists() or at.is_symlink()):
                    at.symlink_to(image)
                images += 1
    return images
