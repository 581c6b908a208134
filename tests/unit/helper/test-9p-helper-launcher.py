#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""virtfs-launcher: it starts the real helper for each way to write an option,
and the helper is read-only exactly where QEMU takes readonly as true. The QEMU
that it becomes is a script, which asks the helper with HELLO."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

LAUNCHER = pathlib.Path(__file__).resolve().parents[3] / 'fsdev/virtfs-launcher'
HELPER = os.environ['VIRTFS_PROXY_HELPER']

# Prints, for each option, whether its helper is read-only, or the option.
QEMU = f'''#!{sys.executable}
import json, re, socket, struct, sys
for text in sys.argv[2::2]:
    found = re.search(r'sock_fd(?:=|": ")(\\d+)', text)
    if not found:
        print(json.dumps(text))
        continue
    with socket.socket(fileno=int(found[1])) as helper:
        helper.settimeout(60)
        helper.send(struct.pack('=IIII', 0x32585039, 8, 2, 0))
        reply = helper.recv(4096)
        # size, type, nfds, tag, error, version, features
        features = struct.unpack_from('<IHHIIII', reply)[6]
        print(json.dumps(bool(features & 1)))
'''

TRUE = ('on', 'yes', 'true', 'y')
FALSE = ('off', 'no', 'false', 'n')
BAD = ('ON', 'Yes', '1', '0', '', 'o', 'on ', 'trueish')


class Launcher(unittest.TestCase):
    """What becomes of the options"""

    def setUp(self):
        # pylint: disable=consider-using-with
        folder = tempfile.TemporaryDirectory(prefix='virtfs-launcher-')
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / 'qemu').write_text(QEMU, encoding='utf-8')
        (self.folder / 'qemu').chmod(0o755)
        (self.folder / 'qemu-virtfs').symlink_to(LAUNCHER)
        self.share = self.folder / 'a,b'
        self.share.mkdir()
        self.path = str(self.share).replace(',', ',,')

    def start(self, *options, name='-fsdev'):
        """Runs it on the options."""
        words = [word for option in options for word in (name, option)]
        return subprocess.run([self.folder / 'qemu-virtfs', *words],
                              stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60, check=False)

    def answers(self, *options, **more):
        """What QEMU found for each of them"""
        done = self.start(*options, **more)
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        return [json.loads(line) for line in done.stdout.splitlines()]

    def option(self, text, start='proxy'):
        """An option of a share, with more text"""
        return f'{start},id=x,path={self.path},helper={HELPER}{text}'

    def test_words(self):
        """Each word that QEMU knows means what it means to QEMU"""
        for words, wanted in ((TRUE, True), (FALSE, False)):
            for word in words:
                for name in ('-fsdev', '--virtfs'):
                    with self.subTest(word=word, name=name):
                        self.assertEqual(self.answers(
                            self.option(f',readonly={word}'), name=name),
                            [wanted])

    def test_forms(self):
        """Keys without a value, keys again, and the driver in any place"""
        for text, wanted in (('', False), (',readonly', True),
                             (',noreadonly', False),
                             (',readonly,noreadonly', False),
                             (',readonly=off,readonly=y', True),
                             (',readonly=y,readonly=off', False)):
            with self.subTest(text=text):
                self.assertEqual(self.answers(self.option(text)), [wanted])
        for start in ('fsdriver=proxy', 'local,fsdriver=proxy'):
            with self.subTest(start=start):
                self.assertEqual(self.answers(
                    self.option(',readonly=yes', start)), [True])
        self.assertEqual(self.answers(
            f'id=x,path={self.path},helper={HELPER},fsdriver=proxy,readonly'),
            [True])

    def test_bad_words(self):
        """Other words are an error, which names the option and the word"""
        for word in BAD:
            with self.subTest(word=word):
                done = self.start(self.option(f',readonly={word}'))
                self.assertEqual((done.returncode, done.stdout), (1, ''))
                self.assertIn(f'-fsdev: readonly={word} is not one of on,',
                              done.stderr)

    def test_json(self):
        """The same in JSON, in which only true and false are such values"""
        values = {'fsdriver': 'proxy', 'id': 'x', 'path': str(self.share),
                  'helper': HELPER}
        for readonly, wanted in (({}, False), ({'readonly': True}, True),
                                 ({'readonly': False}, False)):
            with self.subTest(readonly=readonly):
                self.assertEqual(self.answers(json.dumps(
                    {**values, **readonly})), [wanted])
        for bad in ('on', 1, None, []):
            with self.subTest(bad=bad):
                done = self.start(json.dumps({**values, 'readonly': bad}))
                self.assertEqual((done.returncode, done.stdout), (1, ''))
                self.assertIn('readonly is not true or false', done.stderr)

    def test_others(self):
        """What needs no helper goes on to QEMU as it is"""
        options = ['local,id=x,path=/,readonly=maybe', 'synth,id=y',
                   'proxy,id=z,socket=/a,,b,readonly=maybe',
                   '{"fsdriver": "local", "path": "/"}', "{'fsdriver': 1}",
                   '{', '']
        self.assertEqual(self.answers(*options), options)


if __name__ == '__main__':
    unittest.main()
