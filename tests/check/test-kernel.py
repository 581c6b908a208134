#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of the code by which ./boot finds a kernel's modules.

The kernel is the one that guests boot, Debian's, with the modules that the
cache keeps of it. Each test lays them out as some distribution does: names and
places of the image and of the modules, and how these are compressed.
"""

import gzip
import lzma
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / 'scripts'))

# pylint: disable=wrong-import-position
from virtfs import kernel                                   # noqa: E402
from virtfs.kernel import Fail                              # noqa: E402


def zstd(data):
    """zstd's compression, as for CONFIG_MODULE_COMPRESS_ZSTD"""
    return subprocess.run(['zstd', '-q', '-c'], input=data, check=True,
                          capture_output=True).stdout


COMPRESSED = {'': bytes, '.xz': lzma.compress, '.gz': gzip.compress,
              '.zst': zstd}

# Where the image is, what links to it, and where its modules are; V is its
# version
LAYOUTS = {
    'Debian 12': ('boot/vmlinuz-V', None, 'lib/modules/V'),
    'Debian 13': ('boot/vmlinuz-V', None, 'usr/lib/modules/V'),
    'newest Debian': ('usr/lib/modules/V/vmlinuz', None, 'usr/lib/modules/V'),
    'newest, linked from /boot': ('usr/lib/modules/V/vmlinuz',
                                  'boot/vmlinuz-V', 'usr/lib/modules/V'),
    'without usr': ('lib/modules/V/vmlinuz', None, 'lib/modules/V'),
    'a folder by another name': ('k/vmlinuz', None, 'k'),
    'an image below boot': ('boot/efi/V/linux', None, 'lib/modules/V'),
    'an image in a store': ('store/1234/image', 'boot/vmlinuz-V',
                            'lib/modules/V'),
}


class Given(unittest.TestCase):
    """kernel.given()"""

    @classmethod
    def setUpClass(cls):
        cls.known = kernel.debian()
        cls.version = kernel._version(cls.known.image)
        cls.modules = cls.known.modules()

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def path(self, name):
        """A path of a layout"""
        return self.root / name.replace('V', self.version)

    def make(self, layout, suffix='', modules=None):
        """Lays out the kernel; the path that a user gives."""
        image, link, folder = layout
        at = self.path(folder) / 'kernel/fs'
        at.mkdir(parents=True)
        for name, data in self.modules if modules is None else modules:
            (at / f'{name}.ko{suffix}').write_bytes(COMPRESSED[suffix](data))
        given = self.path(image)
        given.parent.mkdir(parents=True, exist_ok=True)
        os.link(self.copy(), given)
        if link:
            given = self.path(link)
            given.parent.mkdir(parents=True, exist_ok=True)
            given.symlink_to(self.path(image))
        return given

    def copy(self):
        """A copy of the image that layouts can link"""
        path = self.root / 'image'
        if not path.exists():
            path.write_bytes(self.known.image.read_bytes())
        return path

    def test_layouts(self):
        """Modules are found in each layout, in the order of loading."""
        for name, layout in LAYOUTS.items():
            with self.subTest(name):
                self.setUp()
                found = kernel.given(self.make(layout))
                self.assertEqual(found.modules(), self.modules)
                self.assertIn('9pnet_virtio', dict(found.modules()))

    def test_compressed(self):
        """The same for each kind of compression."""
        for suffix in COMPRESSED:
            with self.subTest(suffix):
                self.setUp()
                found = kernel.given(self.make(LAYOUTS['newest Debian'],
                                               suffix))
                self.assertEqual(found.modules(), self.modules)

    def test_nearest(self):
        """Modules of another version, and folders without any, don't count."""
        image = self.make(LAYOUTS['Debian 13'])
        for other in ('boot/lib/modules/V', 'lib/modules/V', 'lib/modules/9',
                      'boot/lib/modules/9/kernel'):
            self.path(other).mkdir(parents=True)
        self.assertEqual(kernel.given(image).modules(), self.modules)

    def test_none(self):
        """Without modules, ./boot tries the image alone."""
        image = self.make(LAYOUTS['newest Debian'], modules=[])
        self.assertEqual(kernel.given(image).modules(), [])

    def test_damaged(self):
        """A damaged module is named."""
        image = self.make(LAYOUTS['newest Debian'])
        for suffix in ('.xz', '.gz', '.zst'):
            with self.subTest(suffix):
                module = next(image.parent.glob('**/9p.ko*'))
                module = module.rename(module.with_name('9p.ko' + suffix))
                with self.assertRaisesRegex(Fail, f'/9p.ko{suffix}: cannot'):
                    kernel.given(image)


class Packages(unittest.TestCase):
    """The parts of Debian's packages"""

    def test_image(self):
        """Image and modules are found in both layouts."""
        for image, folder in (('boot/vmlinuz-1', 'lib/modules/1'),
                              ('boot/vmlinuz-1', 'usr/lib/modules/1'),
                              ('usr/lib/modules/1/vmlinuz',
                               'usr/lib/modules/1')):
            with tempfile.TemporaryDirectory() as root:
                root = pathlib.Path(root)
                for path in (root / image).parent, root / folder:
                    path.mkdir(parents=True, exist_ok=True)
                (root / image).touch()
                self.assertEqual(kernel._image(root),
                                 (root / image, root / folder))
                (root / image).unlink()
                with self.assertRaises(Fail):
                    kernel._image(root)


if __name__ == '__main__':
    unittest.main()
