#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""virtfs-mapped ls, stat, find and set: shares that are written here byte by
byte, as the formats' descriptions have them, and the program's command line."""

import json
import os
import pathlib
import shutil
import stat
import struct
import subprocess
import unittest

import mapped_tool
from mapped_tool import FOLDER, MODELS, ROOT

DEVICE = os.makedev(8, 17)


class Shown(mapped_tool.Case):
    """A small share of each model"""

    def fill(self, model):
        """A share with one file of each kind"""
        share = self.new(model)
        files = {
            'dir': (0o40751, 10, 11, None), 'file': (0o104640, 12, 13, b'text'),
            'link': (0o120777, 14, 15, b'over/there'),
            'fifo': (0o10600, 16, 17, b''), 'sock': (0o140755, 18, 19, b''),
            'chr': (0o20666, 20, 21, b''), 'blk': (0o60660, 22, 23, b''),
        }
        for name, (mode, uid, gid, data) in files.items():
            path = share / name
            if data is None:
                self.by_user(lambda p=path: p.mkdir(0o700))
            else:
                self.put(path, data)
            rdev = {'rdev': DEVICE} if name in ('chr', 'blk') else {}
            if model == 'mapped-xattr':
                self.views(path, mode=mode, uid=uid, gid=gid, **rdev)
            else:
                self.meta(path, f'virtfs.uid={uid}\nvirtfs.gid={gid}\n'
                          f'virtfs.mode={mode}\n' + ''.join(
                              f'virtfs.{n}={v}\n' for n, v in rdev.items()))
        self.put(share / 'host', b'12', 0o604)
        return share

    def test_ls(self):
        """ls -l: owners, types, devices and targets of the guest"""
        for model in MODELS:
            with self.subTest(model=model):
                share = self.fill(model)
                lines = self.quiet('ls', '-l', share).decode().splitlines()
                said = {line.split(' -> ')[0].split()[-1]: line.split()
                        for line in lines}
                self.assertEqual(
                    {n: (w[0], w[2], w[3]) for n, w in said.items()
                     if n != 'host'}, {
                         'dir': ('drwxr-x--x', '10', '11'),
                         'file': ('-rwSr-----', '12', '13'),
                         'link': ('lrwxrwxrwx', '14', '15'),
                         'fifo': ('prw-------', '16', '17'),
                         'sock': ('srwxr-xr-x', '18', '19'),
                         'chr': ('crw-rw-rw-', '20', '21'),
                         'blk': ('brw-rw----', '22', '23')})
                self.assertEqual(said['host'][0], '-rw----r--')
                self.assertEqual(said['blk'][4:6], ['8,', '17'])
                self.assertIn('link -> over/there', '\n'.join(lines))
                self.assertEqual(list(said), sorted(said))
                self.assertEqual(self.quiet('ls', share).split(),
                                 [n.encode() for n in sorted(said)])

    def test_json(self):
        """JSON, of all three commands that print it"""
        for model in MODELS:
            with self.subTest(model=model):
                share = self.fill(model)
                found = self.see(share)
                self.assertEqual(found[b'chr']['major'], 8)
                self.assertEqual(found[b'blk']['minor'], 17)
                self.assertEqual(found[b'link']['target'], 'over/there')
                self.assertEqual(found[b'file']['size'], 4)
                self.assertEqual(found[b'fifo']['type'], 'fifo')
                self.assertEqual(found[b'file']['mode'], '4640')
                listed = [json.loads(line) for line in self.quiet(
                    'ls', '--json', share).splitlines()]
                del found[b'.']
                self.assertEqual(listed, [found[p] for p in sorted(found)])
                one = json.loads(self.quiet('stat', '--json', share / 'link'))
                self.assertEqual(one, {**found[b'link'],
                                       'path': str(share / 'link')})

    def test_stat(self):
        """stat: the guest's and the host's view"""
        share = self.fill('mapped-xattr')
        said = self.quiet('stat', share / 'file', share / 'chr').decode()
        self.assertIn('Guest: mode 4640 (-rwSr-----)  uid 12  gid 13', said)
        self.assertIn('Host: mode 0600 (-rw-------)', said)
        self.assertIn('Device number: 8, 17', said)

    def test_find(self):
        """Each test of find, and several"""
        share = self.fill('mapped-file')
        for words, wanted in (
                (('-uid', '12'), 'file'), (('-gid', '21'), 'chr'),
                (('-type', 'l'), 'link'), (('-type', 's'), 'sock'),
                (('-mode', '0660'), 'blk'), (('-mode', '-4000'), 'file'),
                (('-mode', '/06001'), '. dir file link sock'),
                (('-name', '?i*'), 'dir fifo file link'),
                (('!', '-mode', '/077', '-type', 'p'), 'fifo')):
            with self.subTest(words=words):
                if words[1] == '/06001':
                    self.quiet('set', '--root', share, '--mode', '0701', share)
                found = self.quiet('find', share, *words).decode().split()
                self.assertEqual([os.path.relpath(f, share) for f in found],
                                 wanted.split())

    def test_named_as_given(self):
        """Names begin with the argument, so other commands find the files."""
        share = self.fill('mapped-file')
        self.by_user((share / 'dir/sub').mkdir)
        self.put(share / 'dir/sub/f')
        for words, said in (
                ((share.name,), (b'mapped-file', b'mapped-file/dir')),
                (('mapped-file/',), (b'mapped-file/', b'mapped-file/dir')),
                (('./mapped-file/dir',),
                 (b'./mapped-file/dir', b'./mapped-file/dir/sub')),
                (('--root', share, share / 'dir'),
                 (os.fsencode(share / 'dir'), os.fsencode(share / 'dir/sub')))):
            found = self.quiet('find', '-0', *words, '-type', 'd')
            self.assertEqual(tuple(found.split(b'\0')[:2]), said)
        self.assertEqual(
            self.quiet('find', 'mapped-file', '-name', 'mapped-file'),
            b'mapped-file\n')
        found = self.quiet('find', '-0', '--root', share, share.name)
        self.quiet('set', '--root', share, '--uid', '77',
                   *map(os.fsdecode, found.split(b'\0')[:-1]))
        self.assertEqual({o['uid'] for o in self.see(share).values()}, {77})
        out = self.quiet('stat', '--json', 'mapped-file/file',
                         'mapped-file/dir/sub/f', '--model', 'mapped-file')
        self.assertEqual([json.loads(line)['path']
                          for line in out.splitlines()],
                         ['mapped-file/file', 'mapped-file/dir/sub/f'])
        self.assertIn(b'File: mapped-file/chr\n',
                      self.quiet('stat', 'mapped-file/chr'))

    def test_recursive(self):
        """ls -R: a directory's names before those below it"""
        share = self.new('deep')
        self.by_user(lambda: (share / 'a/b').mkdir(parents=True))
        self.put(share / 'a/b/c')
        self.put(share / 'd')
        self.assertEqual(
            self.quiet('ls', '-R', '--model', 'mapped-file', share),
            b'.:\na\nd\n\na:\nb\n\na/b:\nc\n')

    def test_names(self):
        """Names of any bytes: for terminals, for JSON, and as they are"""
        share = self.new('names')
        names = [b'\xff\xfe', b'a\nb', 'ü'.encode(), b'\x1b[31m', b'back\\',
                 '\u009b31m'.encode(), b'\x9b31m', 'x\u202ey'.encode()]
        for name in names:
            self.put(share / os.fsdecode(name))
        at = '--model', 'mapped-xattr', share
        out = self.quiet('ls', *at)
        self.assertEqual(out.splitlines(), [
            b'\\033[31m', b'a\\nb', b'back\\\\', b'x\\342\\200\\256y',
            b'\\23331m', b'\\302\\23331m', 'ü'.encode(), b'\xff\xfe'])
        out = self.quiet('ls', '--json', *at)
        self.assertNotIn(b'\x9b', out)
        self.assertNotIn('\u202e'.encode(), out)
        self.assertEqual(sorted(os.fsencode(json.loads(line)['path'])
                                for line in out.splitlines()), sorted(names))
        out = self.quiet('find', '-0', *at)
        root = os.fsencode(share)
        self.assertEqual(sorted(out.split(b'\0')[:-1]),
                         sorted([root, *(root + b'/' + n for n in names)]))

    def test_hidden(self):
        """The model's own names, and a link that leads out of the share"""
        share = self.fill('mapped-file')
        self.put(share / ROOT, b'virtfs.uid=77\n')
        os.symlink('/etc', share / 'host-link')
        found = self.see(share)
        self.assertEqual(found[b'.']['uid'], 77)
        self.assertFalse([p for p in found if b'virtfs_metadata' in p])
        self.assertEqual(found[b'host-link']['target'], '/etc')
        self.assertFalse([p for p in found if p.startswith(b'host-link/')])

    def test_very_deep(self):
        """A tree deeper than a path can be, and than open files may be"""
        share = self.new('very-deep')

        def make():
            at = os.open(share, os.O_RDONLY)
            for _ in range(1500):
                os.mkdir('deep', dir_fd=at)
                inside = os.open('deep', os.O_RDONLY, dir_fd=at)
                os.close(at)
                at = inside
            os.close(at)
        self.by_user(make)
        out = self.quiet('find', '-0', '--model', 'mapped-xattr', share)
        self.assertEqual(max(map(len, out.split(b'\0'))),
                         len(os.fsencode(share)) + 1500 * 5)
        self.assertEqual(out.count(b'\0'), 1501)


class Completed(mapped_tool.Case):
    """The shell's completion"""

    SCRIPT = pathlib.Path(__file__).parents[3] / \
        'fsdev/mapped/virtfs-mapped.bash'

    def test_names(self):
        """Names with blanks, and with what a shell expands"""
        if not shutil.which('bash'):
            self.skipTest('no bash')
        names = {'x y', 'x*', 'x$(touch bad)', 'x`touch bad`', 'x?'}
        for name in names:
            self.put(self.share / name)
        done = subprocess.run(
            ['bash', '-c', '. "$0"; COMP_WORDS=(virtfs-mapped stat x); '
             'COMP_CWORD=2; _virtfs_mapped virtfs-mapped x stat; '
             r'printf "%s\n" "${COMPREPLY[@]}"', self.SCRIPT],
            cwd=self.share, capture_output=True, check=True, timeout=60)
        self.assertEqual(sorted(done.stdout.decode().splitlines()),
                         sorted(names))
        self.assertFalse((self.share / 'bad').exists())

    def completes(self, *words):
        """What bash offers for the last word"""
        done = subprocess.run(
            ['bash', '-c', '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
             '_virtfs_mapped "$1" "${COMP_WORDS[COMP_CWORD]}" '
             '"${COMP_WORDS[COMP_CWORD - 1]}"; '
             r'printf "%s\n" "${COMPREPLY[@]}"', self.SCRIPT, 'virtfs-mapped',
             *words], cwd=self.share, capture_output=True, check=True,
            timeout=60)
        return done.stdout.decode().split()

    def test_options(self):
        """Options, with and without =, and the words of find"""
        if not shutil.which('bash'):
            self.skipTest('no bash')
        for words, said in (
                (('convert', '--to', 'ma'), 'mapped-xattr mapped-file'),
                # As bash gives it with and without = in COMP_WORDBREAKS
                (('convert', '--to', '=', 'ma'), 'mapped-xattr mapped-file'),
                (('convert', '--to', '='),
                 'mapped-xattr mapped-file passthrough proxy'),
                (('convert', '--to=pr'), '--to=proxy'),
                (('ls', '--special-files', 'h'), 'host'),
                (('find', '-0'), '-0'), (('find', '.', '!'), '!'),
                (('find', '.', '!', '-t'), '-type'),
                (('find', '.', '-type', ''), 'f d l p s c b'),
                (('ls', '--roo'), '--root'), (('unpack', '--roo'), ''),
                (('convert', '--roo'), ''),
                (('set', '--desp'), '--despite-metadata'),
                (('unpack', '--desp'), '--despite-metadata')):
            with self.subTest(words=words):
                self.assertEqual(self.completes(*words), said.split())


class Messages(mapped_tool.Case):
    """What is said of a wrong command line, and of output that fails"""

    def test_values(self):
        """The option that has the value, and the reason if there is one"""
        for words, said in (
                (('set', '--uid', 'x'), "set: --uid: 'x' is not a valid value"),
                (('set', '--gid', '1', '--mode', '9'),
                 "set: --mode: '9' is not a valid value"),
                (('ls', '--threads', '0'),
                 "ls: --threads: '0' is not a valid value"),
                (('ls', '--uid-map', '0:1'),
                 "ls: --uid-map: '0:1' is not INSIDE:OUTSIDE:COUNT"),
                (('ls', '--gid-map', '0:1:5,3:9:1'), 'ls: --gid-map: ')):
            with self.subTest(words=words):
                _, err = self.run_it(*words, self.share, expect=2)
                self.assertTrue(err.startswith(f'virtfs-mapped: {said}'), err)
        self.assertIn('overlap', err)

    def test_both_formats(self):
        """Two formats of one output"""
        for words in (('find', '--json', '-0'), ('find', '--print0', '--json'),
                      ('ls', '--json', '-l')):
            _, err = self.run_it(*words, self.share, expect=2)
            self.assertIn(f'{words[0]}: --json does not go with ', err)

    def test_output_fails(self):
        """The reason is that of the first failure, also if the end works."""
        if not shutil.which('strace'):
            self.skipTest('no strace')
        for i in range(2000):
            self.put(self.share / f'{i}-{"x" * 100}')
        out = self.folder / 'out'
        with open(out, 'wb') as file:
            done = subprocess.run(
                ['strace', '-o', '/dev/null', '-P', out, '-e',
                 'inject=write:error=EDQUOT:when=1', self.program, 'ls',
                 '--model', 'mapped', self.share], stdout=file,
                stderr=subprocess.PIPE, check=False, timeout=60,
                env={**os.environ, 'LC_ALL': 'C'}, **self.who())
        if b'strace' in done.stderr:
            self.skipTest(f'no strace here: {done.stderr}')
        self.assertEqual(done.stderr, b'virtfs-mapped: cannot write the '
                         b'output: Disk quota exceeded\n')
        self.assertEqual(done.returncode, 1)


class Changed(mapped_tool.Case):
    """set"""

    def test_xattr(self):
        """Owner, group, mode and device number, as attributes"""
        path = self.share / 'chr'
        self.put(path)
        self.views(path, mode=0o20600, uid=1, gid=2, rdev=5)
        self.quiet('set', '--uid', '4294967294', '--gid', '7', '--mode', '0644',
                   '--rdev', '4095:1048575', path)
        view = {n: os.getxattr(path, f'user.virtfs.{n}')
                for n in ('uid', 'gid', 'mode', 'rdev')}
        self.assertEqual(view, {
            'uid': struct.pack('<I', 4294967294), 'gid': struct.pack('<I', 7),
            'mode': struct.pack('<I', stat.S_IFCHR | 0o644),
            'rdev': struct.pack('<Q', os.makedev(4095, 1048575))})

    def test_file(self):
        """The same, in metadata; and of the share's root"""
        path = self.share / 'blk'
        self.put(path)
        meta = self.meta(path, 'virtfs.mode=24960\n')
        self.quiet('set', '--uid', '5', path)
        self.quiet('set', '--rdev', '8:1', path)
        self.assertEqual(meta.read_text(),
                         'virtfs.uid=5\nvirtfs.mode=24960\nvirtfs.rdev=2049\n')
        self.quiet('set', '--root', self.share, '--gid', '9', self.share)
        self.assertEqual((self.share / ROOT).read_text(), 'virtfs.gid=9\n')
        self.quiet('set', '--mode', '0700', self.share)
        self.assertEqual(self.see(self.share)[b'.']['mode'], '0700')

    def test_directory(self):
        """A directory may be a share's root or in one: set wants to know"""
        inner = self.share / 'inner'
        self.by_user(inner.mkdir)
        words = 'set', '--model', 'mapped-file', '--uid', '3'
        _, err = self.run_it(*words, inner, expect=1)
        self.assertIn('name the root with --root', err)
        self.quiet(*words, '--root', self.share, inner)
        self.assertEqual((self.share / FOLDER / 'inner').read_text(),
                         'virtfs.uid=3\n')
        # Now it is clear.
        self.quiet('set', '--gid', '4', inner)
        self.assertEqual(self.see(self.share)[b'inner']['gid'], 4)
        self.assertFalse((inner / ROOT).exists())

    def test_link(self):
        """A link to a directory is changed itself, or nothing is."""
        outside = self.new('outside')
        link = self.share / 'link'
        self.by_user(lambda: link.symlink_to(outside))
        self.put(self.share / 'f')
        self.views(self.share / 'f', uid=1)
        before = outside.stat()
        for model in MODELS:
            self.run_it('set', '--model', model, '--mode', '4777', link,
                        expect=1)
            self.run_it('set', '--model', model, '--uid', '3', link,
                        expect=None)
        self.run_it('set', '--model', 'passthrough', '--mode', '4777', link,
                    expect=1)
        self.assertEqual(outside.stat(), before)
        self.assertEqual(os.listxattr(outside), [])
        self.assertEqual(os.listdir(outside), [])
        out = self.quiet('stat', '--json', '--model', 'passthrough', link)
        self.assertEqual(json.loads(out)['target'], str(outside))

    def test_served_below(self):
        """A file in a directory that another QEMU serves"""
        below = self.share / 'below'
        self.by_user(below.mkdir)
        self.put(below / 'f')
        words = ('set', '--model', 'mapped-xattr', '--root', self.share,
                 '--uid', '3')
        self.quiet(*words, below)
        os.removexattr(below, 'user.virtfs.uid')
        self.lock(below)
        for path in below / 'f', below:
            _, err = self.run_it(*words, path, expect=1)
            self.assertIn('Device or resource busy', err)
            self.assertEqual(os.listxattr(path), [])
        self.quiet(*words, '--live', below / 'f')

    def test_refused(self):
        """What the guest could not do either"""
        path = self.share / 'link'
        self.put(path, b'x')
        self.views(path, mode=0o120777, uid=1, gid=1)
        _, err = self.run_it('set', '--mode', '0600', path, expect=1)
        self.assertIn('link: cannot set it: Operation not supported', err)
        _, err = self.run_it('set', '--rdev', '1:1', path, expect=1)
        self.assertIn("no device of the guest's", err)


class Line(mapped_tool.Case):
    """The command line"""

    def test_usage(self):
        """Status 2, and what is wrong"""
        for words, said in (
                ((), 'a command is missing'), (('boot',), "'boot' is no"),
                (('ls',), 'an argument is missing'),
                (('ls', 'a', 'b'), 'too many arguments'),
                (('ls', '--repair', 'a'), '--repair is no option of it'),
                (('ls', '-x', 'a'), '-x is no option of it'),
                (('set', 'a'), 'nothing to set'),
                (('set', '--uid'), '--uid needs a value'),
                (('set', '--uid', '-1', 'a'), "'-1' is not a valid value"),
                (('set', '--uid', '4294967295', 'a'), 'not a valid value'),
                (('set', '--mode', '0999', 'a'), 'not a valid value'),
                (('set', '--mode', '10000', 'a'), 'not a valid value'),
                (('set', '--rdev', '8', 'a'), 'not a valid value'),
                (('set', '--rdev', '4096:0', 'a'), 'not a valid value'),
                (('ls', '--model', 'none', 'a'), 'not a valid value'),
                (('find', 'share', '-size', '1'), "'-size' is no test"),
                (('find', 'share', '-uid'), '-uid needs a value'),
                (('find', 'share', '!'), "'!' is no test"),
                (('find', 'share', '-type', 'x'), 'not a valid value'),
                (('unpack', '--root', 'share', 'share'), "share's root"),
                (('check', '--model', 'passthrough', 'share'),
                 'a passthrough share has no metadata')):
            with self.subTest(words=words):
                out, err = self.run_it(*words, expect=2)
                self.assertEqual(out, b'')
                self.assertIn(said, err)
                self.assertIn("Try 'virtfs-mapped --help'.", err)

    def test_words(self):
        """The option that is wrong, and not the word after it"""
        for words, said in (
                (('set', '--threads', '2'), 'set: --threads is no option'),
                (('stat', '-l', 'd'), 'stat: -l is no option'),
                (('ls', '-l=5', 'd'), 'ls: -l=5 is no option'),
                (('ls', '-lx', 'd'), 'ls: -x is no option'),
                (('ls', 'd', '-x'), 'ls: -x is no option'),
                (('ls', '--json=5', 'd'), 'ls: --json has no value'),
                (('ls', '--nothing', 'd'), 'ls: --nothing is no option'),
                (('find', '-type', 'f', 'd'),
                 'find: DIR comes first, and then -type'),
                (('find', '-uid', '0', 'd'),
                 'find: DIR comes first, and then -uid')):
            with self.subTest(words=words):
                _, err = self.run_it(*words, expect=2)
                self.assertIn(said, err)

    def test_terminal(self):
        """No message has what a terminal obeys."""
        bad = 'x\x1b]0;own\x07\u202e\u009b'
        self.put(self.share / 'f')
        for words in ((bad,), ('find', self.share, bad), ('ls', '--' + bad),
                      ('find', self.share, '-type', bad),
                      ('set', '--uid', bad, 'f'), ('ls', '--model', bad, 'f'),
                      ('ls', '--root', self.folder / bad, self.share),
                      ('ls', '--root', self.share, self.folder),
                      ('ls', bad), ('ls', f'-{bad}', 'f'),
                      ('unpack', '--model', 'mapped', bad),
                      ('convert', '--to', 'mapped', self.share, bad)):
            with self.subTest(words=words):
                _, err = self.run_it(*words, expect=None)
                self.assertTrue(err)
                for char in '\x1b\x07\u202e\u009b':
                    self.assertNotIn(char, err)

    def test_proxy_only(self):
        """Maps and a helper's devices mean nothing to another model."""
        self.put(self.share / 'f')
        self.views(self.share / 'f', uid=1)
        for words in (('--uid-map', '0:1:2'), ('--gid-map', '0:1:2'),
                      ('--special-files', 'mapped')):
            for model in (), ('--model', 'passthrough'):
                _, err = self.run_it('ls', *words, *model, self.share, expect=1)
                self.assertIn('are for the model proxy', err)
        self.quiet('ls', '--uid-map', '0:0:9', '--model', 'proxy', self.share)

    def test_help(self):
        """--help and --version"""
        self.assertIn(b'Usage: virtfs-mapped', self.quiet('--help'))
        own = self.quiet('ls', '--help')
        self.assertIn(b'Usage: virtfs-mapped', own)
        self.assertIn(b'ls [-lRd]', own)
        self.assertNotIn(b'convert [--from', own)
        self.assertRegex(self.quiet('--version'), br'^virtfs-mapped \d')

    def test_detect(self):
        """A share that tells no model, or two"""
        _, err = self.run_it('ls', self.share, expect=1)
        self.assertIn('does not tell its security model', err)
        self.assertIn('--root', err)
        # A mark that no conversion has written tells none either.
        os.setxattr(self.share, 'user.virtfs.convert', b'what')
        _, err = self.run_it('ls', self.share, expect=1)
        self.assertIn('does not tell its security model', err)
        _, err = self.run_it('convert', '--from', 'mapped', '--to',
                             'mapped-file', self.share, expect=1)
        self.assertIn('attribute user.virtfs.convert: if no conversion wrote '
                      'it, remove it (setfattr -x)', err)
        os.removexattr(self.share, 'user.virtfs.convert')
        self.put(self.share / 'a')
        self.views(self.share / 'a', uid=1)
        self.meta(self.share / 'a', 'virtfs.uid=2\n')
        _, err = self.run_it('ls', self.share, expect=1)
        self.assertIn('metadata of two models', err)
        for model, uid in (('mapped-xattr', 1), ('mapped-file', 2),
                           ('mapped', 1)):
            found = self.see(self.share, '--model', model)
            self.assertEqual(found[b'a']['uid'], uid)

    def test_missing(self):
        """Files that do not exist, and a root that is another"""
        for words in (('ls', 'gone'), ('stat', 'share/gone'),
                      ('ls', '--root', 'gone', 'share')):
            _, err = self.run_it(*words, expect=1)
            self.assertIn('gone: No such file or directory', err)
        _, err = self.run_it('ls', '--root', 'share', '/usr', expect=1)
        self.assertIn('/usr: not below --root share', err)

    def test_full(self):
        """Output that cannot be written is a problem"""
        self.put(self.share / 'a')
        with open('/dev/full', 'wb') as full:
            done = subprocess.run(
                [self.program, 'ls', '--model', 'mapped', self.share],
                stdout=full, stderr=subprocess.PIPE, timeout=60, check=False,
                **self.who())
        self.assertEqual(done.returncode, 1)
        self.assertIn(b'No space left on device', done.stderr)


class Locked(mapped_tool.Case):
    """Shares that others use"""

    def setUp(self):
        super().setUp()
        self.inner = self.share / 'inner'
        self.by_user(self.inner.mkdir)
        self.put(self.inner / 'file')
        self.views(self.inner / 'file', uid=1)

    def change(self, expect=0, *more):
        """Changes the file in the inner directory."""
        return self.run_it('set', '--uid', '2', *more, self.inner / 'file',
                           expect=expect)[1]

    def test_served(self):
        """A share that is served may be read, but not changed"""
        self.lock(self.inner, 0)
        self.quiet('ls', self.inner)
        self.assertIn('inner: a QEMU, a helper or another', self.change(1))
        self.change(0, '--live')

    def test_above(self):
        """The same below an export"""
        self.lock(self.share, 0)
        self.quiet('ls', self.inner)
        self.assertIn('a directory above: a QEMU', self.change(1))

    def test_below(self):
        """A walk that changes leaves exports below its start alone"""
        self.lock(self.inner, 0)
        for path in self.inner / 'file', self.inner:
            os.setxattr(path, 'user.virtfs.gid', b'bad')
        out, err = self.run_it('check', '--repair', '--model', 'mapped',
                               self.share, expect=1)
        self.assertIn('inner: a QEMU or a helper serves this', err)
        self.assertNotIn(b'gid', out)
        self.assertEqual(os.getxattr(self.inner, 'user.virtfs.gid'), b'bad')

    def test_changed(self):
        """A share that another of these programs changes"""
        fd = self.lock(self.inner, 1)
        _, err = self.run_it('ls', self.inner, expect=1)
        self.assertIn('another virtfs-mapped changes it', err)
        self.assertIn('inner: a QEMU, a helper or another', self.change(1))
        os.close(fd)
        fd = os.dup(0)                  # for the cleanup
        self.change()


if __name__ == '__main__':
    unittest.main()
