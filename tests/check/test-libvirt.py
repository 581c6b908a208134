#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""contrib/libvirt/build: its arguments, and when it configures."""

import importlib.machinery
import importlib.util
import io
import json
import pathlib
import sys
import tempfile
import unittest
from contextlib import redirect_stdout
from unittest import mock

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / 'base'))

from fail import Fail                   # noqa: E402

LOADER = importlib.machinery.SourceFileLoader(
    'libvirt_build', str(TREE / 'contrib/libvirt/build'))
PROGRAM = importlib.util.module_from_spec(
    importlib.util.spec_from_loader('libvirt_build', LOADER))
LOADER.exec_module(PROGRAM)


class Arguments(unittest.TestCase):
    """The command line"""

    def test_good(self):
        """Its own arguments, and Meson's"""
        own, rest = PROGRAM.arguments(
            ['--base=11.3', '--builddir=x', '--target=a', '--target=b',
             '-Dfuse=enabled', '--prefix=/usr'])
        self.assertEqual(own, {'base': '11.3', 'builddir': 'x',
                               'target': ['a', 'b'], 'help': False})
        self.assertEqual(rest, ['-Dfuse=enabled', '--prefix=/usr'])

    def test_bad(self):
        """Arguments without their values"""
        for arg in ('--base', '--builddir=', '--target'):
            with self.assertRaisesRegex(Fail, 'needs a value'):
                PROGRAM.arguments([arg])

    def test_help(self):
        """The text names the series"""
        said = io.StringIO()
        with redirect_stdout(said):
            self.assertEqual(PROGRAM.main(['--help']), 0)
        self.assertIn('a series, 11.3;', said.getvalue())


class Setup(unittest.TestCase):
    """The configuration of a build folder"""

    def test_once(self):
        """It is made once, and again with other arguments"""
        with tempfile.TemporaryDirectory() as folder, \
                mock.patch.object(PROGRAM, 'command') as command:
            build = pathlib.Path(folder)
            PROGRAM.setup('python', build / 'source', build, ['-Da=b'])
            self.assertNotIn('--wipe', command.call_args[0])
            self.assertIn('-Da=b', command.call_args[0])
            (build / 'build.ninja').touch()
            (build / 'meson-private').mkdir()
            command.reset_mock()
            PROGRAM.setup('python', build / 'source', build, ['-Da=b'])
            command.assert_not_called()
            PROGRAM.setup('python', build / 'source', build, [])
            self.assertIn('--wipe', command.call_args[0])
            stamp = json.loads((build / 'virtfs-arguments.json').read_text())
            self.assertNotIn('-Da=b', stamp)


if __name__ == '__main__':
    unittest.main()
