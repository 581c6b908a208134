#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""The patches that contrib/libvirt/dist-patch writes turn libvirt's source into
the same files as the graft, and neither git nor libvirt's own rules for its
source have anything to say about their form.
"""

import filecmp
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

from built import BUILD, TREE, build

sys.path.insert(0, str(TREE / 'base'))

# pylint: disable=wrong-import-order
import fetch                                                # noqa: E402
import graft                                                # noqa: E402
import harness                                              # noqa: E402
import unpack                                               # noqa: E402

HERE = TREE / 'contrib/libvirt'
# What libvirt's build-aux/Makefile.in becomes
MAKEFILE = '''
top_srcdir = {source}
top_builddir = {build}
RUNUTF8 = LC_ALL= LANG=C LC_CTYPE=C.UTF-8
PYTHON = {python}
GREP = grep
SED = sed
AWK = awk
include $(top_srcdir)/build-aux/syntax-check.mk
'''


class DistPatch(unittest.TestCase):
    """The series, applied"""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.root = cls.folder / 'libvirt'
        build('build.ninja')
        spec = fetch.read_spec(HERE)
        with fetch.Fetcher(spec, fetch.Cache.of_user()) as fetcher:
            unpack.extract(fetcher.tarball()[0], cls.root, [])
        cls.git('init', '--quiet')
        cls.git('add', '--all', '--force')
        cls.git('commit', '--quiet', '--message', 'base')
        subprocess.run([HERE / 'dist-patch', '--signoff=A B <a@b>',
                        cls.folder / 'series'],
                       check=True, capture_output=True)
        cls.patches = sorted((cls.folder / 'series').glob('*.patch'))
        cls.git('am', '--quiet', '--whitespace=error-all', *cls.patches)

    @classmethod
    def git(cls, *arguments):
        """git's output"""
        who = {f'GIT_{role}_{key}': value
               for role in ('AUTHOR', 'COMMITTER')
               for key, value in (('NAME', 'x'), ('EMAIL', 'x@localhost'))}
        done = subprocess.run(
            ['git', '-C', cls.root, '-c', 'gc.auto=0', *arguments],
            env={**os.environ, **who}, text=True, capture_output=True,
            check=False)
        if done.returncode:
            raise AssertionError(done.stdout + done.stderr)
        return done.stdout

    def test_series(self):
        """The files are those of the graft"""
        self.assertEqual(len(self.patches), 4)
        grafted = BUILD.with_name(f'{BUILD.name}.base') / 'libvirt'
        changed = self.git('diff', '--name-only', 'HEAD~4').split()
        edited = {e.file for e, _ in graft.plan(HERE, folder='.')}
        self.assertLessEqual(edited, set(changed))
        self.assertIn('src/qemu/qemu_virtfs_proxy.c', changed)
        mended = self.git('diff', '--numstat', 'HEAD~4', 'HEAD~3').split()
        self.assertEqual(mended, ['1', '1', 'src/qemu/qemu_process.c'])
        for path in changed:
            self.assertTrue(filecmp.cmp(self.root / path, grafted / path,
                                        shallow=False), path)

    def test_signed(self):
        """Each patch has the line that libvirt asks for"""
        for path in self.patches:
            self.assertEqual(path.read_text(encoding='utf-8').count(
                '\nSigned-off-by: A B <a@b>\n'), 1, path)

    def test_rules(self):
        """The files keep libvirt's rules (its "syntax-check")"""
        build()         # the rules look at generated files, too
        # In its repository this is a module, which the rules leave out.
        self.git('rm', '-r', '--quiet', '--cached', 'subprojects')
        self.git('commit', '--quiet', '--message', 'no modules')
        self.addCleanup(self.git, 'reset', '--quiet', '--hard', 'HEAD~1')
        rules = (self.root / 'build-aux/syntax-check.mk').read_text(
            encoding='utf-8')
        names = re.findall(r'^(sc_[\w-]+):', rules, re.M)
        self.assertGreater(len(names), 100)
        (self.folder / 'Makefile').write_text(MAKEFILE.format(
            source=self.root, build=BUILD, python=sys.executable),
            encoding='utf-8')
        done = subprocess.run(
            ['make', '-k', '-s', '-C', self.folder, *names],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == '__main__':
    sys.exit(harness.main())
