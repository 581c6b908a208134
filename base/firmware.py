# SPDX-License-Identifier: GPL-2.0-or-later
"""Lets emulators find the firmware that Debian's packages install.

Debian's source has no firmware images. The base's configure takes a list of
folders in which the emulator looks for images when it runs (--firmwarepath), so
packages that come or go later count at once.

An emulator in a build folder looks for each of these folders in qemu-bundle,
where Meson makes symbolic links that imitate an installation. So there is a
link from there to each folder, whether or not the folder exists yet.
"""

import pathlib

# The last one has the option ROMs of network cards. Debian's own QEMU looks in
# the same folders.
FOLDERS = ("/usr/share/seabios", "/usr/share/qemu", "/usr/lib/ipxe/qemu")

# For the base's configure; the first folder is the base's default
ARGUMENT = "--firmwarepath=" + ":".join(("share/qemu-firmware", *FOLDERS))


def link(build, folders=FOLDERS):
    """Make the links. A folder that Meson made, because it belongs to the
    prefix, gets links to the images that are there now."""
    for folder in map(pathlib.Path, folders):
        at = build / "qemu-bundle" / folder.relative_to(folder.anchor)
        at.parent.mkdir(parents=True, exist_ok=True)
        if not at.is_dir() and not at.is_symlink():
            at.symlink_to(folder)
        elif not at.is_symlink() and folder.is_dir():
            for image in folder.iterdir():
                if not (at / image.name).is_symlink() and \
                        not (at / image.name).exists():
                    (at / image.name).symlink_to(image)
