#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""contrib/debian/build-packages: its arguments, its edits of Debian's files,
and the changelog's entry; and the dates of patches that base/dist-patch writes,
and who signs them off.
"""

import contextlib
import importlib.machinery
import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / 'base'))

import graft                            # noqa: E402
import patches                          # noqa: E402
from fail import Fail                   # noqa: E402

LISTS = ['edits.toml', 'x86-only.toml']


def load(path):
    """A program of this tree as a module"""
    name = pathlib.Path(path).name.replace('-', '_')
    loader = importlib.machinery.SourceFileLoader(name, str(TREE / path))
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_loader(name, loader))
    sys.modules[name] = module
    loader.exec_module(module)
    return module


PROGRAM = load('contrib/debian/build-packages')


class Arguments(unittest.TestCase):
    """The command line"""

    def test_good(self):
        """Every option"""
        options = PROGRAM.Options.parse(
            ['--x86-only', f'--source={__file__}', '--prepare', 'out'])
        self.assertEqual(options.folder, pathlib.Path('out').absolute())
        self.assertEqual(options.source, pathlib.Path(__file__))
        self.assertTrue(options.x86_only and options.prepare)

    def test_bad(self):
        """Errors name what is wrong"""
        for argv, says in (([], 'usage:'), (['a', 'b'], 'usage:'),
                           (['--x86', 'a'], '--x86: not an option'),
                           (['--prepare=no', 'a'], '--prepare=no: not an'),
                           (['--source=', 'a'], '--source=: not an option'),
                           (['--source=/none', 'a'],
                            '--source=/none: no such file')):
            with self.subTest(argv), self.assertRaises(Fail) as caught:
                PROGRAM.Options.parse(argv)
            self.assertIn(says, str(caught.exception))


class Edits(unittest.TestCase):
    """The edits, their pieces, and a source that they do not fit"""

    def test_pieces(self):
        """Each edit has a piece, and each piece an edit"""
        used = {(e.file, e.piece) for e, _ in PROGRAM.edits(LISTS)}
        top = TREE / 'contrib/debian/fragments'
        there = {(str(p.relative_to(top)), name)
                 for p in top.rglob('*') if p.is_file()
                 for name in graft.pieces(p.read_text(encoding='utf-8'))}
        self.assertEqual(used, there)

    def test_misfit(self):
        """Another packaging: each error names the file and the anchor, and
        nothing is written"""
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            files = {e.file for e, _ in PROGRAM.edits(LISTS)}
            for file in files:
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                (root / file).write_text('other\n', encoding='utf-8')
            with self.assertRaises(Fail) as caught:
                PROGRAM.make_edits(root, LISTS)
            for edit, _ in PROGRAM.edits(LISTS):
                self.assertIn(edit.file + ':', str(caught.exception))
                anchor = edit.after or edit.before or edit.start
                self.assertIn(anchor.strip().splitlines()[0],
                              str(caught.exception))
            (root / 'debian/rules').unlink()
            with self.assertRaisesRegex(Fail, 'debian/rules: .*no such file'):
                PROGRAM.make_edits(root, LISTS)
            self.assertEqual({(root / file).read_text(encoding='utf-8')
                              for file in files - {'debian/rules'}},
                             {'other\n'})


class Changelog(unittest.TestCase):
    """The new entry"""

    def entry(self, text):
        """The changelog after an entry was added"""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, 'debian/changelog')
            path.parent.mkdir()
            path.write_text(text, encoding='utf-8')
            with mock.patch.dict(os.environ, {
                    'DEBFULLNAME': 'A B', 'DEBEMAIL': 'a@b',
                    'SOURCE_DATE_EPOCH': '86400'}):
                PROGRAM.add_entry(pathlib.Path(folder))
            return path.read_text(encoding='utf-8')

    def test_entry(self):
        """A version above the last one, for the same suite"""
        old = 'qemu (1:10.0.13+ds-0+deb13u1) trixie; urgency=high\n'
        new = self.entry(old)
        self.assertTrue(new.startswith(
            'qemu (1:10.0.13+ds-0+deb13u1+virtfs1) trixie; urgency=medium\n'))
        self.assertIn('\n -- A B <a@b>  Fri, 02 Jan 1970 00:00:00 +0000\n\n'
                      'qemu (1:', new)
        self.assertTrue(new.endswith(old))
        with self.assertRaisesRegex(Fail, 'has this VirtFS already'):
            self.entry(new)

    def test_bad(self):
        """No changelog"""
        with self.assertRaisesRegex(Fail, 'does not begin with an entry'):
            self.entry('words\n')


class Dates(unittest.TestCase):
    """The patches' date"""

    def test_no_history(self):
        """git takes the date of a tree without history"""
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            stack.enter_context(mock.patch.object(patches, 'TREE', folder))
            stack.enter_context(mock.patch.dict(
                os.environ, {'GIT_CEILING_DIRECTORIES': folder}))
            env = patches.identity()
            patches.git(folder, 'init', '--quiet', env=env)
            patches.git(folder, 'commit', '--quiet', '--allow-empty',
                           '--message', 'x', env=env)
            said = subprocess.run(
                ['git', '-C', folder, 'log', '--format=%an %at'], check=True,
                capture_output=True, text=True).stdout
        self.assertEqual(said, 'VirtFS 0\n')


class Signer(unittest.TestCase):
    """Who signs the patches off"""

    def test_given(self):
        """An option's value, or an error that names it"""
        self.assertEqual(patches.signer('A. B <a@b>'), ('A. B', 'a@b'))
        for bad in ('', 'a@b', '<a@b>', 'A <a>', 'A <a@b> ', 'A\nB <a@b>'):
            with self.subTest(bad), self.assertRaises(Fail) as caught:
                patches.signer(bad)
            self.assertIn(f'--signoff={bad}: not of', str(caught.exception))

    def of_git(self, **names):
        """Whom git knows, with no files of settings but an empty one"""
        kept = {name: value for name, value in os.environ.items()
                if name != 'EMAIL' and not name.startswith('GIT_')}
        with tempfile.TemporaryDirectory() as folder, \
                mock.patch.object(patches, 'TREE', folder), \
                mock.patch.dict(os.environ, {
                    **kept, 'GIT_CEILING_DIRECTORIES': folder,
                    'GIT_CONFIG_GLOBAL': os.devnull,
                    'GIT_CONFIG_SYSTEM': os.devnull, **names}, clear=True):
            return patches.signer()

    def test_git(self):
        """The user of git's settings or variables; it guesses nobody"""
        self.assertIsNone(self.of_git())
        self.assertEqual(self.of_git(GIT_COMMITTER_NAME='A B',
                                     GIT_COMMITTER_EMAIL='a@b'),
                         ('A B', 'a@b'))
        self.assertEqual(self.of_git(
            GIT_CONFIG_COUNT='2',
            GIT_CONFIG_KEY_0='user.name', GIT_CONFIG_VALUE_0='C D',
            GIT_CONFIG_KEY_1='user.email', GIT_CONFIG_VALUE_1='c@d'),
            ('C D', 'c@d'))

    def test_patches(self):
        """The line is in each patch; the author stays"""
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder, 'root')
            root.mkdir()
            env = patches.identity()
            patches.git(root, 'init', '--quiet', env=env)
            for name in ('base', 'one', 'two'):
                patches.git(root, 'commit', '--quiet', '--allow-empty',
                            '--message', name, env=env)
                (root / name).write_text(name, encoding='ascii')
                patches.git(root, 'add', '--all', env=env)
            for signed, count in ((('A B', 'a@b'), 1), (None, 0)):
                out = pathlib.Path(folder, str(count))
                patches.format_patches(root, env, signed, out, 2)
                texts = [path.read_text(encoding='utf-8')
                         for path in out.glob('*.patch')]
                self.assertEqual(len(texts), 2)
                for text in texts:
                    self.assertIn(f"From: {env['GIT_AUTHOR_NAME']}", text)
                    self.assertEqual(
                        text.count('\nSigned-off-by: A B <a@b>\n'), count)
                    self.assertEqual(text.count('Signed-off-by'), count)


if __name__ == '__main__':
    unittest.main()
