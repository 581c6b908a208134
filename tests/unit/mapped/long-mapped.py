#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""virtfs-mapped on large shares, and killed many times.

Packing 100,000 files is compared with GNU tar of the same folder, side by side:
both in turn, on the same file system, with all attributes. Both have one
thread, and all files are in the kernel's cache, so the processor's seconds are
what they take; the machine may do other work. The quickest round of each
counts. A million files must not need more memory than two thousand in folders
of the same size.
"""

import importlib.util
import os
import pathlib
import struct
import subprocess
import sys
import unittest

# The modules take the numbers of kills and seconds from the environment.
os.environ.update(MAPPED_KILLS='250', MAPPED_SECONDS='1800')

# pylint: disable=wrong-import-position
import mapped_tool                                              # noqa: E402
from mapped_tool import FOLDER, MODELS                          # noqa: E402

KILLED = (('convert', 'Convert', ['test_killed']),
          ('convert-host', 'Host', ['test_killed']),
          ('convert-copy', 'Copy', ['test_killed', 'test_killed_host']),
          ('rootless', 'Rootless', ['test_killed']))
FILES = 100_000
MANY = 1_000_000
IN_FOLDER = 200
ROUNDS = 9
RATIO = 1.5
# KiB by which the memory for a million files may be more than for few. Names of
# the root's folders, of which there are more, are the most of it.
MORE_MEMORY = 4096


class Large(mapped_tool.Case):
    """Shares with many files"""

    def make(self, model, files, content=True):
        """A share of small files in folders; how long is no matter."""
        share = self.new(f'{model}-{files}')
        text = b'virtfs.uid=1000\nvirtfs.gid=1000\nvirtfs.mode=33188\n'
        numbers = [(f'user.virtfs.{k}', struct.pack('<I', v)) for k, v in (
            ('uid', 1000), ('gid', 1000), ('mode', 0o100644))]
        for i in range(files):
            if i % IN_FOLDER == 0:
                folder = f'{share}/d{i // IN_FOLDER}'
                os.mkdir(folder)
                if model == 'mapped-file':
                    os.mkdir(f'{folder}/{FOLDER}')
            path = f'{folder}/file{i}'
            with open(path, 'wb') as f:
                if content:
                    f.write(b'x' * (i * 37 % 3000))
            if model == 'mapped-file':
                with open(f'{folder}/{FOLDER}/file{i}', 'wb') as f:
                    f.write(text)
            else:
                for name, value in numbers:
                    os.setxattr(path, name, value)
        return share

    def run_to(self, words, out):
        """Runs a command that writes to a file: its usage."""
        with open(out, 'wb') as f:
            # pylint: disable=consider-using-with
            child = subprocess.Popen(words, stdout=f, cwd=self.folder)
            _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(child.returncode, 0, words)
        return usage

    def test_pack(self):
        """Packing is no slower than GNU tar times 1.5."""
        for model in MODELS:
            with self.subTest(model=model):
                self.compare(model)

    def compare(self, model):
        """One model"""
        share = self.make(model, FILES)
        out = self.folder / 'out'
        commands = {
            'tar': ['tar', '--xattrs', '--xattrs-include=*', '--format=posix',
                    '-C', share, '-c', '-f', out, '.'],
            'mapped': [self.program, 'pack', '--model', model, share]}
        times = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for name, words in commands.items():
                out.unlink(missing_ok=True)
                usage = self.run_to(words,
                                    os.devnull if name == 'tar' else out)
                times[name].append(usage.ru_utime + usage.ru_stime)
        best = {name: min(values) for name, values in times.items()}
        print(f'{model}: {best["mapped"]:.2f} s, GNU tar {best["tar"]:.2f} s: '
              f'{best["mapped"] / best["tar"]:.2f}', file=sys.stderr)
        self.assertLess(best['mapped'], RATIO * best['tar'], times)

    def test_memory(self):
        """A million files need no more memory than few."""
        for model in MODELS:
            with self.subTest(model=model):
                used = []
                for files in (10 * IN_FOLDER, MANY):
                    share = self.make(model, files, False)
                    for command in ('pack', 'check', 'find'):
                        used.append(self.memory(
                            [self.program, command, '--model', model, share]))
                    subprocess.run(['rm', '-rf', share], check=True)
                print(f'{model}: {used} KiB', file=sys.stderr)
                for few, many in zip(used[:3], used[3:]):
                    self.assertLess(many, few + MORE_MEMORY)


def load_tests(loader, tests, _pattern):
    """The kills of the short tests as well, 500 for each kind of conversion:
    each kind is done twice"""
    for name, case, functions in KILLED:
        spec = importlib.util.spec_from_file_location(
            name.replace('-', '_'),
            pathlib.Path(__file__).with_name(f'test-9p-mapped-{name}.py'))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        case = getattr(module, case)
        tests.addTests(case(f) for f in loader.getTestCaseNames(case)
                       if f in functions)
    return tests


if __name__ == '__main__':
    unittest.main()
