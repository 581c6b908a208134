#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual is built without a warning, and says what the program does.

Sphinx builds the base's whole manual, into which this tree's pages are linked,
as HTML and as manual pages. Then lists in the pages are compared with the
source that they are about.

usage: test-manual.py [BUILD]       BUILD: a configured folder
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

TREE = pathlib.Path(__file__).resolve().parents[2]
BUILD = TREE / 'build'
LIMIT = 900                     # seconds


def text(path):
    """A file of this tree."""
    return (TREE / path).read_text(encoding='utf-8')


class Built(unittest.TestCase):
    """What Sphinx makes"""

    @classmethod
    def setUpClass(cls):
        # pylint: disable=consider-using-with
        cls.folder = tempfile.TemporaryDirectory(prefix='virtfs-docs-')
        cls.addClassCleanup(cls.folder.cleanup)
        cls.said = {}
        for kind in ('html', 'man'):
            done = subprocess.run(
                ['sphinx-build', '-q', '-W', '--keep-going', '-j', 'auto',
                 '-Dversion=10', '-Drelease=', '-b', kind,
                 '-d', f'{cls.folder.name}/doctrees',
                 BUILD.with_name(BUILD.name + '.base') / 'qemu/docs',
                 f'{cls.folder.name}/{kind}'],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, timeout=LIMIT,
                check=False, env={**os.environ, 'LC_ALL': 'C.UTF-8'})
            cls.said[kind] = (done.returncode, done.stdout)

    def test_html(self):
        """The manual, with each of this tree's pages"""
        self.assertEqual(self.said['html'], (0, ''))
        for page in TREE.glob('docs/**/*.rst'):
            page = page.relative_to(TREE / 'docs').with_suffix('.html')
            self.assertTrue(
                pathlib.Path(self.folder.name, 'html', page).exists(), page)

    def test_man(self):
        """The programs' manual pages, as groff shows them"""
        self.assertEqual(self.said['man'], (0, ''))
        for name, option in (('virtfs-proxy-helper', '--sandbox'),
                             ('virtfs-mapped', '--repair')):
            done = subprocess.run(
                ['man', '--warnings', '-l',
                 f'{self.folder.name}/man/{name}.1'],
                capture_output=True, text=True, timeout=60, check=False,
                env={**os.environ, 'LC_ALL': 'C.UTF-8', 'MANPAGER': 'cat',
                     'MANWIDTH': '80'})
            self.assertEqual((done.returncode, done.stderr), (0, ''))
            for word in ('SYNOPSIS', 'OPTIONS', option, 'EXAMPLES'):
                self.assertIn(word, done.stdout)


class Complete(unittest.TestCase):
    """Nothing is missing, and nothing there is no more"""

    def same(self, page, source):
        """Two lists, without regard to order"""
        self.assertEqual(sorted(set(page)), sorted(set(source)))
        self.assertTrue(source)

    def test_helper_options(self):
        """The helper's options"""
        self.same(re.findall(r'--([\w-]+)', '\n'.join(
            re.findall(r'^\.\. option:: .*', text(
                'docs/tools/virtfs-proxy-helper.rst'), re.M))),
                  re.findall(r'^    \{ "([\w-]+)",', text(
                      'fsdev/helper/options.c'), re.M))

    def test_mapped_options(self):
        """virtfs-mapped's options and commands, and their completion"""
        page = text('docs/tools/virtfs-mapped.rst')
        options = re.findall(r'^    \{ "([\w-]+)",', text(
            'fsdev/mapped/options.c'), re.M)
        self.same(re.findall(r'--([\w-]+)', '\n'.join(
            re.findall(r'^\.\. option:: .*', page, re.M))),
                  options)
        commands = re.findall(r'^    \{ "(\w+)", mapped_', text(
            'fsdev/mapped/main.c'), re.M)
        self.same(re.findall(r'^\*\*virtfs-mapped\*\* \*\*(\w+)\*\*', page,
                             re.M), commands)
        completion = text('fsdev/mapped/virtfs-mapped.bash')
        self.same(re.findall(r"commands='(.*)'", completion)[0].split(),
                  commands)
        self.same(re.findall(r'--([a-z][a-z0-9-]*)', completion.partition(
            '_virtfs_mapped()')[2].replace('compgen', '').replace(
                ' -- ', '')), options)

    def test_system_calls(self):
        """The system calls that the helper's filter knows"""
        source = text('fsdev/helper/seccomp.c')
        page = text('docs/system/virtfs-security.rst')
        rows = page.partition('     - Why\n')[2].partition('\nHow to check')[0]
        named = {w for row in re.findall(r'^   \* - (.*?)^     - ', rows,
                                         re.M | re.S)
                 for w in re.findall(r'\w+', row)}
        lists = re.findall(r'^static const char.*? allowed\w*\[\].*?^};'
                           r'|^\} refused\[\].*?^};', source, re.M | re.S)
        calls = {*re.findall(r'"([a-z_]\w+)"', ''.join(lists)),
                 *re.findall(r'\(ctx, "(\w+)"', source)}
        self.assertGreater(len(calls), 80)
        self.assertEqual(calls - named, set())

    def test_messages(self):
        """The channel's messages, with their numbers"""
        names = re.findall(r'^    PROXY_([A-Z]+)(?: = 1)?,', text(
            'fsdev/shared/proto.h'), re.M)
        page = re.findall(r'^\*\*(\d+) ([A-Z]+)\*\*', text(
            'docs/interop/virtfs-proxy.rst'), re.M)
        self.assertEqual(page, [(str(n), name) for n, name in
                                enumerate(names, 1) if name != 'HELLO'])

    def test_virtfs_options(self):
        """-virtfs has the keys of -fsdev, in its help and its reference"""
        parts = text('qemu-options.hx').partition('DEF("virtfs"')
        for form in r'"-{} ({},.*?)(?=\n    "-|\n    "  {{12}})', \
                r'^``-{} ({},\S*)``$':
            for driver in 'local', 'proxy', 'synth':
                fsdev, virtfs = (
                    set(re.findall(r'[\[,]([\w.-]+)=', re.findall(
                        form.format(option, driver), part, re.M | re.S)[0]))
                    for option, part in (('fsdev', parts[0]),
                                         ('virtfs', parts[2])))
                self.assertIn('id', fsdev)
                self.assertEqual(virtfs, fsdev | {'mount_tag'}, driver)

    def test_fsdev_options(self):
        """The keys of -fsdev are in its help text and in its reference"""
        schema = text('qapi/fsdev.json')
        options = text('qemu-options.hx')
        helps, reference = re.findall(
            r'^DEF\("fsdev".*?\)\n\nSRST\n', options, re.M | re.S)[0], \
            options.partition('SRST\n')[2].partition('ERST')[0]
        keys = {k for name in ('FsdevIdOptions', 'FsdevLocalOptions',
                               'FsdevProxyOptions', 'FsdevOptions')
                for body in re.findall(
                    rf"'(?:struct|union)': '{name}',\n(.*?\}})", schema, re.S)
                for k in re.findall(r"'\*?([\w-]+)': '\w+'", body)}
        keys -= {'fsdriver', 'base', 'discriminator', 'local', 'proxy',
                 'throttling'}
        self.assertIn('sock_fd', keys)
        for key in keys:
            self.assertIn(f'{key}=', helps)
            self.assertIn(f'``{key}=', reference)


if __name__ == '__main__':
    if len(sys.argv) > 1 and not sys.argv[1].startswith('-'):
        BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
