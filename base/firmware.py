# SPDX-License-Identifier: GPL-2.0-or-later
"""Lets emulators that run from the build folder find firmware.

Debian's source has no firmware images. An emulator in a build folder looks
for them in qemu-bundle, the picture of an installation that Meson makes there
of symbolic links; test programs pass no -L. So the images that Debian
installs are linked in beside them. Links of an earlier run are kept, and
those that lead nowhere are removed.
"""

import json
import pathlib

# The last has the option ROM of the network card that machines have unless
# they are told otherwise
FOLDERS = ("/usr/share/seabios", "/usr/share/qemu", "/usr/lib/ipxe/qemu")


def data_folder(build):
    """The folder in qemu-bundle that stands for QEMU's data folder."""
    with open(build / "meson-info/intro-buildoptions.json", "rb") as f:
        options = {o["name"]: o["value"] for o in json.load(f)}
    path = pathlib.PurePath(options["prefix"], options["datadir"],
                            options["qemu_suffix"].lstrip("/"))
    return build / "qemu-bundle" / path.relative_to(path.anchor)


def link(build, folders=FOLDERS):
    """Make the links; the number of images there now."""
    data = data_folder(build)
    data.mkdir(parents=True, exist_ok=True)
    for old in data.iterdir():
        if old.is_symlink() and not old.exists():
            old.unlink()
    images = 0
    for folder in map(pathlib.Path, folders):
        for image in sorted(folder.iterdir()) if folder.is_dir() else []:
            at = data / image.name
            # Its own links into other packages may lead nowhere
            if image.is_file():
                if not (at.exists() or at.is_symlink()):
                    at.symlink_to(image)
                images += 1
    return images
