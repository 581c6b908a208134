# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of base/*.py share: a folder for small trees."""

import pathlib
import sys
import tempfile
import textwrap
import unittest

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "base"))
sys.dont_write_bytecode = True


class Scratch(unittest.TestCase):
    """A test with a temporary folder."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)

    def put(self, path, text):
        """Write a file in the folder; returns its path."""
        file = self.dir / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text), encoding="utf-8")
        return file

    def get(self, path):
        """The text of a file in the folder."""
        return (self.dir / path).read_text(encoding="utf-8")
