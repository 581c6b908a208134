#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of this tree's layers, of its sizes, and of the files that texts name.

Each rule is a function that reads a tree and returns the places that break it,
as lines that begin with FILE:LINE. The tables below hold everything that is
specific to this tree. The tests apply the rules to this tree, and also to small
trees with planted faults, to show that each rule finds them.

The rules:
- Lines have 80 columns at most.
- An include goes to a file of the same folder or of a lower one. There is no
  circle between folders, and inside a folder only the listed ones.
- Files and functions are not too long.
- Comments and documents name only files that exist.
- There are not too many folders.
"""

import ast
import collections
import fnmatch
import functools
import io
import os
import pathlib
import re
import tempfile
import textwrap
import tokenize
import tomllib
import unittest

TREE = pathlib.Path(__file__).resolve().parents[2]

# The folders of the product's code
CODE = ('hw/9pfs', 'fsdev')

# The layers: each folder, and the ones directly below it that it may include.
# It may also include what those may. A folder below one of these is part of it.
LAYERS = {
    'hw/9pfs/virtio': ('hw/9pfs/server', 'fsdev/registry'),
    'hw/9pfs/server': ('hw/9pfs/fs',),
    'fsdev/registry': ('hw/9pfs/fs',),
    'hw/9pfs/proxy-v1': ('hw/9pfs/proxy',),
    'hw/9pfs/proxy': ('hw/9pfs/host',),
    'hw/9pfs/local': ('hw/9pfs/host',),
    'hw/9pfs/synth': ('hw/9pfs/host',),
    'hw/9pfs/host': ('hw/9pfs/fs',),
    'hw/9pfs/fs': ('fsdev/shared', 'hw/9pfs'),
    'fsdev/helper': ('fsdev/shared',),
    'fsdev/mapped': ('hw/9pfs/local',),
    'fsdev/shared': (),
    'hw/9pfs': (),
}
# Files whose layer is not that of their folder: the base includes these names
LAYER_OF_FILE = {
    'hw/9pfs/virtio-9p.h': 'hw/9pfs/virtio',
    'fsdev/qemu-fsdev.h': 'fsdev/registry',
}
# Includes that may go up: from a layer, to a file. The proxy driver hands over
# to the driver for protocol 1, which stands on the proxy driver's channel.
MAY_GO_UP = {('hw/9pfs/proxy', 'hw/9pfs/proxy-v1/proxy-v1.h')}

# Circles inside a layer: one concept in several files (without suffix)
CIRCLES = (
    {'hw/9pfs/fs/export', 'hw/9pfs/fs/node'},
    {'hw/9pfs/server/fid', 'hw/9pfs/server/lock', 'hw/9pfs/server/xattr'},
    {'hw/9pfs/proxy/channel', 'hw/9pfs/proxy/channel-io'},
)

COLUMNS = 80
# What goes into libvirt is in its style, in which a message has one line
WIDE = tuple(f'contrib/libvirt/{name}/' for name in (
    'src', 'tests', 'fragments'))
FILE_LINES = 700
FUNCTION_LINES = 80
FOLDERS = 13

# Suffixes of files that a comment or document may name, alone or in a folder
NAMED_ALONE = ('c', 'h', 'py', 'rst', 'hx', 'toml')
NAMED_IN_FOLDER = (*NAMED_ALONE, 'build', 'json', 'inc', 'sh', 'txt', 'md')
# Names of files that are not in this tree, by where they are. The files that
# base/edits.toml names are in the base, too.
NOT_HERE = {
    'the base': (
        'docs/devel/tracing.rst', 'docs/interop/vhost-user.rst',
        'hw/virtio/virtio-pci.c', 'include/block/aio.h',
        'include/hw/virtio/virtio.h', 'include/qemu/osdep.h',
        'include/qemu/sockets.h', 'include/qemu/throttle.h',
        'include/system/runstate.h', 'migration/migration.c', 'pythondeps.toml',
        'scripts/meson-buildoptions.py', 'util/async.c',
        'util/coroutine-ucontext.c', 'util/defer-call.c',
    ),
    'the kernel': (
        'Documentation/arch/x86/boot.rst',
        'Documentation/driver-api/early-userspace/buffer-format.rst',
        'fs/9p/vfs_file.c', 'fs/9p/vfs_inode.c', 'include/linux/errno.h',
        'include/net/9p/9p.h', 'include/uapi/linux/virtio_9p.h',
    ),
    'the system': (
        'asm-generic/fcntl.h', 'linux/limits.h', 'linux/magic.h',
        'linux/posix_acl_xattr.h',
    ),
    'the build folder': (
        'config-host.h',
    ),
}


# Files and their parts

def files(tree):
    """Paths of all files below the tree, relative to it, sorted."""
    found = []
    for at, folders, names in os.walk(tree):
        top = pathlib.Path(at) == tree
        folders[:] = [f for f in folders if not f.startswith('.')
                      and f != '__pycache__'
                      and not (top and f.startswith('build'))]
        found += [(pathlib.Path(at) / n).relative_to(tree).as_posix()
                  for n in names if not n.startswith('.')]
    return sorted(found)


def read(tree, path):
    """The text of a file, or '' if it is not text."""
    try:
        return (tree / path).read_text(encoding='utf-8')
    except UnicodeDecodeError:
        return ''


def kind(tree, path):
    """The language of a file, or None."""
    name = path.rpartition('/')[2]
    for suffix, language in (('.c', 'c'), ('.h', 'c'), ('.py', 'python'),
                             ('.sh', 'shell')):
        if name.endswith(suffix):
            return language
    if name in ('meson.build', 'meson_options.txt'):
        return 'meson'
    if name in ('trace-events', 'Kconfig'):
        return name
    if '.' not in name:
        first = read(tree, path).partition('\n')[0]
        if first.startswith('#!'):
            return 'python' if 'python' in first else 'shell'
    return None


_C_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"'
                      r"|'(?:\\.|[^'\\\n])*'", re.S)


def c_code(text):
    """C code without comments, strings and characters, line by line."""
    return _C_TOKEN.sub(lambda m: re.sub(r'[^\n]', ' ', m[0]), text)


def c_comments(text):
    """(line, text) of the comments in C code."""
    for token in _C_TOKEN.finditer(text):
        if token[0].startswith('/'):
            yield text.count('\n', 0, token.start()) + 1, token[0]


def hash_comments(text):
    """(line, text) of comments that begin with '#'."""
    for number, line in enumerate(text.splitlines(), 1):
        found = re.search(r'(?:^|\s)#(?!!)(.*)', line)
        if found:
            yield number, found[1]


def python_comments(text):
    """(line, text) of the comments and docstrings of Python code."""
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except SyntaxError:                 # a fragment
        yield from hash_comments(text)
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in nodes:
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) \
                and ast.get_docstring(node, clean=False):
            yield node.body[0].lineno, ast.get_docstring(node, clean=False)


def functions(text):
    """(name, first line, last line, whether static) of a C file's functions.

    In QEMU's style the braces around a body, and no others, are alone in the
    first column.
    """
    lines = c_code(text).splitlines()
    start = None
    for number, line in enumerate(lines):
        if line.rstrip() == '{':
            start = number
        elif line.rstrip() == '}' and start is not None:
            head = start
            while head > 0 and lines[head - 1].strip() and \
                    not re.match(r'[#}]|.*;\s*$', lines[head - 1]):
                head -= 1
            signature = ' '.join(lines[head:start])
            name = re.search(r'(\w+)\s*\(', signature)
            if name:
                yield (name[1], head + 1, number + 1,
                       re.match(r'\s*static\b', signature) is not None)
            start = None


# Rules

def long_lines(tree):
    """Lines of code that are longer than COLUMNS.

    An event in trace-events must be one line, so only comments count there.
    """
    found = []
    for path in files(tree):
        language = kind(tree, path)
        if not language or str(path).startswith(WIDE):
            continue
        for number, line in enumerate(read(tree, path).splitlines(), 1):
            width = len(line.expandtabs())
            if width > COLUMNS and not (language == 'trace-events'
                                        and not line.startswith('#')):
                found.append(f'{path}:{number}: {width} columns')
    return found


def code_files(tree):
    """C files and headers in the folders of the product's code."""
    return [p for p in files(tree) if p.endswith(('.c', '.h'))
            and p.startswith(tuple(f'{c}/' for c in CODE))]


def layer_of(path):
    """The layer of a file, or None if its folder is not in the table."""
    if path in LAYER_OF_FILE:
        return LAYER_OF_FILE[path]
    folder = os.path.dirname(path)
    if folder in LAYERS:
        return folder
    above = [f for f in LAYERS if folder.startswith(f'{f}/') and f not in CODE]
    return max(above, key=len) if above else None


@functools.cache
def lower(layer):
    """All layers that a layer may include, itself among them."""
    return {layer}.union(*map(lower, LAYERS[layer]))


def includes(tree):
    """(file, line, included file) of the code's includes of this tree's files.

    The included file is None if the name is one of this tree's headers but
    leads nowhere from there.
    """
    code = set(code_files(tree))
    names = {p.rpartition('/')[2] for p in code}
    for path in sorted(code):
        for number, line in enumerate(read(tree, path).splitlines(), 1):
            found = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
            if not found:
                continue
            near = os.path.normpath(f'{os.path.dirname(path)}/{found[1]}')
            if near in code or found[1] in code:
                yield path, number, near if near in code else found[1]
            elif found[1] in names:
                yield path, number, None


def bad_includes(tree):
    """Includes that go up or aside, and files outside of all layers."""
    found = [f'{path}:1: its folder is not in the table of layers'
             for path in code_files(tree) if not layer_of(path)]
    for path, number, target in includes(tree):
        if not target:
            found.append(f'{path}:{number}: includes a file of another folder '
                         'without naming the folder')
            continue
        here, there = layer_of(path), layer_of(target)
        if here and there and there not in lower(here) \
                and (here, target) not in MAY_GO_UP:
            found.append(f'{path}:{number}: {here} includes {target}')
    return found


def circles(edges):
    """The strongly connected sets of a graph {node: nodes}, without singles."""
    def reach(start):
        seen, todo = set(), [start]
        while todo:
            for node in edges.get(todo.pop(), ()):
                if node not in seen:
                    seen.add(node)
                    todo.append(node)
        return seen

    reached = {node: reach(node) for node in edges}
    found = []
    for node in sorted(edges):
        circle = {n for n in reached[node] if node in reached.get(n, ())}
        if len(circle) > 1 and circle not in found:
            found.append(circle)
    return found


def folder_circles(tree):
    """Circles of includes between folders."""
    edges = collections.defaultdict(set)
    for path, _, target in includes(tree):
        here = layer_of(path)
        if target and (here, target) not in MAY_GO_UP:
            there = layer_of(target) or os.path.dirname(target)
            edges[here or os.path.dirname(path)].add(there)
    return ['circle of folders: ' + ', '.join(sorted(c))
            for c in circles(edges)]


def uses(tree):
    """{unit: {unit: reasons}}: which units use which others of their layer.

    A unit is a C file with its header. It uses another unit if it includes its
    header or names a function that it defines.
    """
    code = code_files(tree)
    layers = {p[:-2]: layer_of(p) or os.path.dirname(p)
              for p in code if p.endswith('.c')}
    edges = {unit: collections.defaultdict(set) for unit in layers}

    def add(unit, other, reason):
        if unit != other and layers[unit] == layers[other]:
            edges[unit][other].add(reason)

    for path, _, target in includes(tree):
        if target and path[:-2] in layers and target[:-2] in layers:
            add(path[:-2], target[:-2], os.path.basename(target))
    texts_of = {unit: c_code(read(tree, f'{unit}.c')) for unit in layers}
    own = {unit: list(functions(text)) for unit, text in texts_of.items()}
    defined = {(layers[unit], name): unit for unit in layers
               for name, _, _, static in own[unit] if not static}
    for unit, text in texts_of.items():
        # A name after '.' or '->' is that of a member
        names = set(re.findall(r'(?<![.\w>])[A-Za-z_]\w*', text))
        for name in names - {n for n, *_ in own[unit]}:
            other = defined.get((layers[unit], name))
            if other:
                add(unit, other, f'{name}()')
    return edges


def unit_circles(tree):
    """Circles of files inside a layer that are not in the list."""
    edges = uses(tree)
    found = []
    for circle in circles(edges):
        if not any(circle <= one for one in CIRCLES):
            found.append('circle of files: ' + ', '.join(sorted(circle)))
            for unit in sorted(circle):
                for other in sorted(circle & set(edges[unit])):
                    found[-1] += f'\n  {unit} uses {other}: ' + \
                        ', '.join(sorted(edges[unit][other])[:4])
    return found


def too_long(tree):
    """Files and functions of the code that are too long."""
    found = []
    for path in code_files(tree):
        text = read(tree, path)
        count = len(text.splitlines())
        if count > FILE_LINES:
            found.append(f'{path}:1: {count} lines')
        for name, first, last, _ in functions(text):
            if last - first + 1 > FUNCTION_LINES:
                found.append(f'{path}:{first}: {name}() has '
                             f'{last - first + 1} lines')
    return found


def code_folders(tree):
    """The folders below CODE that hold C files or headers."""
    return sorted({os.path.dirname(p) for p in code_files(tree)} - set(CODE))


_WORD = re.compile(r'[\w./*<$~@-]*\w')
_ALONE = re.compile(r'[\w*-]+(?:\.[\w*-]+)*\.(?:%s)' % '|'.join(NAMED_ALONE))
_IN_FOLDER = re.compile(r'(?:[\w*.-]+/)+[\w*.-]+\.(?:%s)'
                        % '|'.join(NAMED_IN_FOLDER))


def named(text):
    """(line, name) of the files that a text names; lines count from 0."""
    for number, line in enumerate(text.splitlines()):
        for word in _WORD.findall(line):
            # Emphasis in documents
            word = re.sub(r'^\*+(?=\w)', '', word).removeprefix('./')
            if _ALONE.fullmatch(word) or _IN_FOLDER.fullmatch(word):
                yield number, word


def texts(tree):
    """(file, line, text) of all comments and documents."""
    for path in files(tree):
        if path == 'README.md' or (path.startswith('docs/')
                                   and path.endswith('.rst')):
            yield path, 1, read(tree, path)
            continue
        parts = {'c': c_comments, 'python': python_comments,
                 None: lambda _: ()}.get(kind(tree, path), hash_comments)
        for line, text in parts(read(tree, path)):
            yield path, line, text


def base_files(tree):
    """The base's files that base/edits.toml names."""
    edits = tree / 'base/edits.toml'
    if not edits.exists():
        return []
    return [e['file'] for e in tomllib.loads(edits.read_text())['edit']]


def matches(name, paths):
    """Whether a name is that of a path, or of its end.

    The name may have wildcards; words in capitals, as in NAME.c, are some.
    """
    patterns = {name, re.sub(r'[A-Z]{2,}(?![a-z0-9])', '*', name)}
    return any(fnmatch.fnmatchcase(path, start + pattern) for path in paths
               for pattern in patterns for start in ('', '*/'))


def missing_names(tree):
    """Names of files, in comments and documents, that do not exist."""
    paths = [*files(tree), *base_files(tree),
             *(p for ps in NOT_HERE.values() for p in ps)]
    exists = functools.cache(lambda name: matches(name, paths))
    return [f'{path}:{first + line}: {name}'
            for path, first, text in texts(tree)
            for line, name in named(text) if not exists(name)]


class Style(unittest.TestCase):
    """This tree"""

    def check(self, rule):
        """Checks that nothing in this tree breaks a rule."""
        found = rule(TREE)
        if found:
            self.fail(f'{rule.__doc__.splitlines()[0]}\n' + '\n'.join(found))

    def test_columns(self):
        """Lines have 80 columns at most"""
        self.check(long_lines)

    def test_layers(self):
        """Includes go down"""
        self.check(bad_includes)

    def test_folder_circles(self):
        """Folders form no circle"""
        self.check(folder_circles)

    def test_unit_circles(self):
        """Files form no circle, except the listed ones"""
        self.check(unit_circles)

    def test_sizes(self):
        """Files and functions are short"""
        self.check(too_long)

    def test_names(self):
        """Comments and documents name files that exist"""
        self.check(missing_names)

    def test_folders(self):
        """There are few folders"""
        found = code_folders(TREE)
        self.assertLessEqual(len(found), FOLDERS, found)

    def test_tables(self):
        """The tables name files that exist, and layers without a circle"""
        self.assertEqual(circles(LAYERS), [])
        code = code_files(TREE)
        for layer in LAYERS:
            self.assertTrue([p for p in code if layer_of(p) == layer], layer)
        units = [f'{u}.c' for circle in CIRCLES for u in circle]
        for path in (*LAYER_OF_FILE, *(f for _, f in MAY_GO_UP), *units):
            self.assertIn(path, code)
        names = {name for _, _, text in texts(TREE) for _, name in named(text)}
        for path in (p for ps in NOT_HERE.values() for p in ps):
            self.assertTrue([n for n in names if matches(n, [path])], path)
        actual = circles(uses(TREE))
        for circle in CIRCLES:
            self.assertTrue([c for c in actual if c <= circle], circle)


class Planted(unittest.TestCase):
    """Small trees with faults, which the rules must find"""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = pathlib.Path(folder.name)

    def file(self, path, text):
        """Writes a file."""
        at = self.tree / path
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_text(textwrap.dedent(text), encoding='utf-8')

    def expect(self, rule, *starts):
        """Checks that a rule finds faults with these beginnings, no others."""
        found = rule(self.tree)
        self.assertEqual(len(found), len(starts), found)
        for line, start in zip(found, starts):
            self.assertTrue(line.startswith(start), (line, start))

    def test_columns(self):
        """A line of 81 columns, in each language"""
        good, bad = 'x' * 80 + '\n', 'ü' + 'x' * 80 + '\n'
        for path in ('a.c', 'a.h', 'a.py', 'a.sh', 'd/meson.build', 'Kconfig'):
            self.file(path, good + bad)
        self.file('a.rst', bad)
        self.file('run', '#!/bin/sh\n' + good + bad)
        self.file('tabs.c', ''.join('x' + 9 * '\t' + n * 'x' + '\n'
                                    for n in (8, 9)))
        self.file('trace-events', bad + '#' + bad)
        self.file('build/a.c', bad)
        self.expect(long_lines, 'Kconfig:2', 'a.c:2', 'a.h:2', 'a.py:2: 81',
                    'a.sh:2', 'd/meson.build:2', 'run:3', 'tabs.c:2: 81',
                    'trace-events:2: 82')

    def test_layers(self):
        """Includes that go up, aside, or to an unnamed folder"""
        self.file('hw/9pfs/fs/node.h', '#include "fsdev/shared/types.h"\n')
        self.file('hw/9pfs/fs/node.c', '''\
            #include "qemu/osdep.h"
            #include "node.h"
            #include "../server/fid.h"
            ''')
        self.file('fsdev/shared/types.h', '')
        self.file('hw/9pfs/server/fid.h', '#include "hw/9pfs/fs/node.h"\n')
        self.file('hw/9pfs/server/fid.c', '''\
            #include "fid.h"
            #include "hw/9pfs/host/file.h"
            #include "types.h"
            ''')
        self.file('hw/9pfs/host/file.h', '')
        self.expect(bad_includes, 'hw/9pfs/fs/node.c:3:',
                    'hw/9pfs/server/fid.c:2:', 'hw/9pfs/server/fid.c:3:')

    def test_drivers(self):
        """Drivers that include each other; only the listed include may"""
        self.file('hw/9pfs/proxy-v1/proxy-v1.h', '')
        self.file('hw/9pfs/proxy-v1/calls.h', '')
        self.file('hw/9pfs/proxy/channel.h', '')
        self.file('hw/9pfs/proxy/driver.c', '''\
            #include "hw/9pfs/proxy-v1/proxy-v1.h"
            #include "hw/9pfs/proxy-v1/calls.h"
            ''')
        self.file('hw/9pfs/local/driver.c', '#include "../proxy/channel.h"\n')
        self.file('hw/9pfs/proxy-v1/driver.c',
                  '#include "hw/9pfs/proxy/channel.h"\n')
        self.expect(bad_includes, 'hw/9pfs/local/driver.c:1:',
                    'hw/9pfs/proxy/driver.c:2:')
        self.expect(folder_circles, 'circle of folders: hw/9pfs/proxy, '
                    'hw/9pfs/proxy-v1')

    def test_unknown_folder(self):
        """Code in a folder that is not in the table"""
        self.file('hw/9pfs/more/a.c', '')
        self.file('fsdev/a.c', '')
        self.file('fsdev/helper/v1/a.c', '')
        self.expect(bad_includes, 'fsdev/a.c:1:', 'hw/9pfs/more/a.c:1:')

    def test_folder_circles(self):
        """A circle of two folders, through different files"""
        self.file('hw/9pfs/fs/a.h', '#include "hw/9pfs/host/b.h"\n')
        self.file('hw/9pfs/host/b.h', '')
        self.file('hw/9pfs/host/c.c', '#include "hw/9pfs/fs/d.h"\n')
        self.file('hw/9pfs/fs/d.h', '')
        self.expect(folder_circles,
                    'circle of folders: hw/9pfs/fs, hw/9pfs/host')
        self.file('hw/9pfs/fs/a.h', '')
        self.expect(folder_circles)

    def test_unit_circles(self):
        """A circle of three files by headers, and a listed one"""
        for here, there in ('ab', 'bc', 'ca'):
            self.file(f'hw/9pfs/server/{here}.h', '')
            self.file(f'hw/9pfs/server/{here}.c', f'#include "{there}.h"\n')
        self.file('hw/9pfs/server/fid.h', '#include "lock.h"\n')
        self.file('hw/9pfs/server/lock.h', '')
        self.file('hw/9pfs/server/fid.c', '')
        self.file('hw/9pfs/server/lock.c', '#include "fid.h"\n')
        self.expect(unit_circles, 'circle of files: hw/9pfs/server/a, '
                    'hw/9pfs/server/b, hw/9pfs/server/c')
        self.file('hw/9pfs/server/c.c', '')
        self.expect(unit_circles)

    def test_unit_circles_by_functions(self):
        """A circle of two files that share a header for their functions"""
        self.file('fsdev/shared/all.h', 'void up(void);\nvoid down(void);\n')
        self.file('fsdev/shared/a.c', '''\
            #include "all.h"

            void up(void)
            {
                down();
            }
            ''')
        self.file('fsdev/shared/b.c', '''\
            #include "all.h"

            static void (*const call)(void) = up;

            void down(void)
            {
                call();
            }
            ''')
        self.expect(unit_circles,
                    'circle of files: fsdev/shared/a, fsdev/shared/b')
        self.file('fsdev/shared/b.c', '''\
            /* up() uses this */
            void down(void)
            {
                other.up = "up";
            }
            ''')
        self.expect(unit_circles)

    def test_sizes(self):
        """A file of 701 lines, and a function of 81"""
        def function(lines):
            return '\nstatic int f(int a,\n             int b)\n{\n' + \
                (lines - 4) * '    g();\n' + '}\n'

        self.file('hw/9pfs/server/a.c', 700 * '\n')
        self.file('hw/9pfs/server/b.c', 701 * '\n')
        self.file('fsdev/shared/a.c', 'struct s {\n' + 90 * '    int a;\n'
                  + '};\n' + function(80))
        self.file('fsdev/shared/b.c', 'int a;' + function(81))
        self.file('tests/unit/a.c', 701 * '\n' + function(81))
        self.expect(too_long, 'fsdev/shared/b.c:2: f() has 81',
                    'hw/9pfs/server/b.c:1: 701')

    def test_names(self):
        """Names of files that do not exist, in each kind of text"""
        self.file('hw/9pfs/fs/node.c', '''\
            /*
             * See node.c, fs/node.c, hw/9pfs/fs/node.c, n*.c and NAME.c;
             * not gone.h, nor host/node.c's, nor NAME-gone.h.
             */
            #include "gone-too.h"
            static const char *s = "/* gone.c */";    // gone.c
            ''')
        self.file('a.py', '''\
            """As a.py and gone.py."""
            # gone.json is no name, x/gone.json is.
            S = "gone.py"
            ''')
        self.file('meson.build', '# gone.c\nfiles(\'gone.c\')\n')
        self.file('docs/a/b.rst', '``b.rst``, docs/a/b.rst\n\n*gone.rst*\n')
        self.file('docs/a/b.inc', 'gone.c')
        self.file('README.md', '`gone.c`, <linux/gone.h>, /etc/x/gone.toml\n')
        self.expect(missing_names, 'README.md:1: gone.c',
                    'a.py:2: x/gone.json', 'a.py:1: gone.py',
                    'docs/a/b.rst:3: gone.rst',
                    'hw/9pfs/fs/node.c:3: gone.h',
                    'hw/9pfs/fs/node.c:3: host/node.c',
                    'hw/9pfs/fs/node.c:3: NAME-gone.h',
                    'hw/9pfs/fs/node.c:6: gone.c', 'meson.build:1: gone.c')

    def test_names_of_the_base(self):
        """Files that the graft edits exist; their folders' others do not"""
        self.file('base/edits.toml', '[[edit]]\nfile = "system/vl.c"\n')
        self.file('a.c', '/* system/vl.c vl.c system/other.c */')
        self.expect(missing_names, 'a.c:1: system/other.c')

    def test_folders(self):
        """Folders with code count, others do not"""
        self.file('hw/9pfs/virtio-9p.h', '')
        self.file('hw/9pfs/fs/a.c', '')
        self.file('hw/9pfs/docs/a.rst', '')
        self.file('fsdev/helper/a.h', '')
        self.file('fsdev/helper/v1/a.c', '')
        self.file('tests/unit/a.c', '')
        self.assertEqual(code_folders(self.tree),
                         ['fsdev/helper', 'fsdev/helper/v1', 'hw/9pfs/fs'])


if __name__ == '__main__':
    unittest.main()
