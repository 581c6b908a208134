#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of ./check --base: the build folder and the arguments of each base."""

import os
import pathlib
import shlex
import sys
import tempfile
import unittest
from unittest import mock

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / 'scripts'))

# pylint: disable=wrong-import-position
from virtfs import bases                                    # noqa: E402
import fetch                                                # noqa: E402
import series                                               # noqa: E402
from fail import Fail                                       # noqa: E402


class Bases(unittest.TestCase):
    """virtfs/bases.py"""

    def setUp(self):
        patch = mock.patch.dict(os.environ)
        patch.start()
        self.addCleanup(patch.stop)
        for name in ('VIRTFS_BASE', 'VIRTFS_BUILD', 'VIRTFS_CONFIGURE'):
            os.environ.pop(name, None)

    def test_default(self):
        """The usual build folder serves the default series"""
        self.assertEqual(
            bases.environment(fetch.read_spec()['default']), {})

    def test_others(self):
        """Each other series has a folder of its own"""
        names = series.names(fetch.read_spec())
        self.assertEqual(len(bases.others()), len(names) - 1)
        for name in bases.others():
            self.assertEqual(bases.environment(name), {
                'VIRTFS_BASE': name,
                'VIRTFS_BUILD': str(TREE / f'build-{name}'),
                'VIRTFS_CONFIGURE': f'--base={name}'})

    def test_path(self):
        """./configure gets an absolute path, also one with blanks"""
        with tempfile.TemporaryDirectory(prefix='a b') as folder:
            relative = os.path.relpath(folder)
            os.environ['VIRTFS_CONFIGURE'] = '--enable-asan'
            found = bases.environment(relative)
            self.assertEqual(shlex.split(found['VIRTFS_CONFIGURE']),
                             ['--enable-asan', f'--base={folder}'])
            self.assertEqual(pathlib.Path(found['VIRTFS_BUILD']),
                             TREE / f'build-{pathlib.Path(folder).name}')

    def test_users_folder(self):
        """The user's choice of a build folder counts"""
        os.environ['VIRTFS_BUILD'] = '/elsewhere'
        self.assertEqual(
            bases.environment(bases.others()[0])['VIRTFS_BUILD'], '/elsewhere')

    def test_unknown(self):
        """What is neither a series nor a file is refused by name"""
        for base in ('10.1', 'no/such/folder', ''):
            with self.assertRaisesRegex(Fail, f'--base={base}: no such'):
                bases.environment(base)

    def test_without_option(self):
        """The rest of the command line stays as it is"""
        for words, rest in (
                (['--base=10.2', 'unit'], ['unit']),
                (['unit', '--base', '10.2', 'qtest'], ['unit', 'qtest']),
                (['--base', '--base=x', 'unit'], ['unit']),
                (['--sanitize=thread', '--base=10.2'], ['--sanitize=thread']),
                (['unit'], ['unit'])):
            self.assertEqual(bases.without_option(words), rest, words)


if __name__ == '__main__':
    unittest.main()
