#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""The patches that base/dist-patch writes turn the pristine base into the same
files as the graft, and the result builds and passes the 9p tests.
"""

import filecmp
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TREE / 'base'), str(TREE / 'scripts')]

import configure                        # noqa: E402 (base/configure.py)
import fetch                            # noqa: E402
import firmware                         # noqa: E402
import modules                          # noqa: E402
import unpack                           # noqa: E402
from virtfs import bases, build         # noqa: E402

QTESTS = '/x86_64/pc/i440FX-pcihost/pci-bus-pc/pci-bus/virtio-9p-pci'


class DistPatch(unittest.TestCase):
    """A pristine base with the series applied"""

    @classmethod
    def setUpClass(cls):
        # pylint: disable=consider-using-with
        folder = tempfile.TemporaryDirectory(prefix='virtfs-dist-')
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.folder.chmod(0o755)         # some tests run QEMU as nobody
        cls.root = cls.folder / 'qemu'
        spec = fetch.read_spec()
        with fetch.Fetcher(spec, fetch.Cache.of_user()) as fetcher:
            base = bases.active() or spec['default']
            unpack.extract(fetcher.tarball(base)[0], cls.root, [])
            cls.python = modules.make(spec['module'], cls.folder, fetcher)
        cls.run_in(cls.folder, TREE / 'base/dist-patch', f'--base={base}',
                   '--signoff=A B <a@b>', cls.folder / 'series')
        cls.run_in(cls.root, 'git', 'init', '-q')
        for command in (['add', '--all', '--force'],
                        ['commit', '-q', '-m', 'base'],
                        ['am', '-q', *sorted(cls.folder.glob('series/*'))]):
            cls.run_in(cls.root, 'git', '-c', 'user.name=test', '-c',
                       'user.email=test@localhost', '-c',
                       'core.autocrlf=false', *command)

    @staticmethod
    def run_in(folder, *command, **more):
        """Runs a command that must succeed; returns its output."""
        done = subprocess.run(
            [str(word) for word in command], cwd=folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False, **more)
        if done.returncode:
            raise AssertionError(f'{command}: {done.stdout[-4000:]}')
        return done.stdout

    def test_files(self):
        """Each file is the same as in the grafted source"""
        grafted = build.BUILD.with_name(build.BUILD.name + '.base') / 'qemu'
        differ = []
        for at, _, files in os.walk(grafted, followlinks=True):
            if '__pycache__' in at:
                continue
            for name in files:
                path = pathlib.Path(at, name)
                inside = path.relative_to(grafted)
                if path.exists() and not path.samefile('/dev/null') and (
                        not (self.root / inside).exists() or not filecmp.cmp(
                            path, self.root / inside, shallow=False)):
                    differ.append(str(inside))
        self.assertEqual(differ, [])
        for name in ('hw/9pfs', 'fsdev'):
            self.assertEqual(
                {p.name for p in (self.root / name).iterdir()},
                {p.name for p in (TREE / name).iterdir()} - {'__pycache__'})

    def test_build(self):
        """The result builds, and its 9p tests pass"""
        out = self.folder / 'build'
        out.mkdir()
        self.run_in(out, self.root / 'configure', *configure.LEAN,
                    '--disable-download', '--disable-install-blobs',
                    firmware.ARGUMENT,
                    f'--python={self.python}')
        firmware.link(out)
        self.run_in(out, 'ninja', 'qemu-system-x86_64',
                    'fsdev/virtfs-proxy-helper', 'tests/qtest/qos-test')
        share = tempfile.mkdtemp(prefix='virtfs-qtest-', dir='/dev/shm')
        self.addCleanup(shutil.rmtree, share, True)
        said = self.run_in(
            share, out / 'tests/qtest/qos-test', '--tap', '-k', '-m', 'slow',
            '-r', QTESTS,
            env={**os.environ,
                 'QTEST_QEMU_BINARY': str(out / 'qemu-system-x86_64'),
                 'VIRTFS_PROXY_HELPER':
                     str(out / 'fsdev/virtfs-proxy-helper')})
        self.assertGreater(len(re.findall('^ok ', said, re.M)), 300)
        self.assertNotIn('not ok', said)


if __name__ == '__main__':
    unittest.main()
