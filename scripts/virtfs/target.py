# SPDX-License-Identifier: GPL-2.0-or-later
"""The targets of QEMU that ./boot has a guest for: the machine of each, and
Debian's packages for it.

The guest of another processor than this machine's is emulated. Its programs and
libraries come from Debian's packages for that processor, which the cache keeps
unpacked; nothing is installed.
"""

import dataclasses
import os
import pathlib
import tempfile

import fetch                            # base/fetch.py
from fail import note

from . import kernel

# The packages of a guest's programs (initramfs.py). Those of libraries for
# cross compilers suit every architecture's list of packages.
PROGRAMS = ('busybox-static', 'dash', 'attr', 'acl', 'libattr1', 'libacl1',
            'libc6-{}-cross')


@dataclasses.dataclass(frozen=True)
class Target:
    """A target of QEMU."""

    name: str                   # the emulator is qemu-system-NAME
    arch: str                   # Debian's name of the processor
    machine: str                # -M
    console: str                # the kernel's name of the serial line
    bus: str                    # of virtio devices: virtio-9p-BUS
    modules: tuple = ()         # of the kernel, beside those of every guest

    @property
    def foreign(self):
        """Whether its programs are not those of this machine."""
        return self.name != 'x86_64'

    def kernel(self):
        """Debian's kernel for it."""
        return kernel.debian(self.modules, arch=self.arch)

    def programs(self):
        """A folder with its programs; None: this machine's."""
        return _programs(self.arch) if self.foreign else None


X86_64 = Target('x86_64', 'amd64', 'q35', 'ttyS0', 'pci')
TARGETS = {t.name: t for t in (
    X86_64,
    Target('aarch64', 'arm64', 'virt', 'ttyAMA0', 'pci', ('virtio_mmio',)),
    Target('s390x', 's390x', 's390-ccw-virtio', 'ttysclp0', 'ccw'),
)}


def _programs(arch):
    cache = fetch.Cache.of_user()
    folder = cache.folder / f'programs-{arch}'
    if folder.is_dir():
        return folder
    cache.folder.mkdir(parents=True, exist_ok=True)
    with fetch.Fetcher(fetch.read_spec(), cache, arch) as fetcher:
        packages = [fetcher.package(name.format(arch)) for name in PROGRAMS]
    with tempfile.TemporaryDirectory(dir=cache.folder, prefix='programs.',
                                     ignore_cleanup_errors=True) as work:
        new = pathlib.Path(work, 'all')
        for package in packages:
            note(f'unpacking {package.name}')
            kernel.extract(package, new)
        try:
            os.rename(new, folder)
        except OSError:
            if not folder.is_dir():     # another process was faster
                raise
    return folder
