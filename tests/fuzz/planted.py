#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Shows that the fuzzers find faults; results in TAP.

Each file tests/fuzz/planted/NAME.patch plants one fault: it is a patch of this
tree's sources, and its first lines say what the fault is, which fuzzer finds
it, and which words are in the report: of an access outside an array, the
function, since what lies there gives the report its title. This program applies
each patch to copies of the files, builds the fuzzer, or QEMU for fuzz-qmp, with
these, and runs the fuzzer from the seeds alone. A test passes if the fuzzer
stops with that report before its time is over. A patch that does not apply is a
failure: adapt it to the source.
"""

import argparse
import dataclasses
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import relink
import run
from run import Fail, HERE, TREE

PATCHES = HERE / 'planted'
FIELD = re.compile(r'^(Fuzzer|Report): (.+)$', re.M)
QMP = 'fuzz-qmp'
TOUCHED = re.compile(r'^\+\+\+ b/(\S+)', re.M)


@dataclasses.dataclass
class Planted:
    """A patch"""
    name: str
    patch: pathlib.Path
    fuzzer: str
    report: str                 # a regular expression
    files: list                 # paths in this tree

    @classmethod
    def load(cls, patch):
        """Reads a patch; Fail if its head lacks something."""
        text = patch.read_text(encoding='utf-8')
        head = dict(FIELD.findall(text.partition('\n--- ')[0]))
        files = TOUCHED.findall(text)
        if set(head) != {'Fuzzer', 'Report'} or not files:
            raise Fail(f'{patch}: needs lines "Fuzzer: ..." and "Report: ..." '
                       'before the patch')
        if head['Fuzzer'] not in (*run.FUZZERS, QMP):
            raise Fail(f'{patch}: there is no fuzzer {head["Fuzzer"]}')
        return cls(patch.stem, patch, head['Fuzzer'], head['Report'], files)

    def apply(self, folder):
        """Puts patched copies of the files into @folder."""
        shutil.rmtree(folder, ignore_errors=True)
        for file in self.files:
            copy = folder / file
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(TREE / file, copy)
        done = subprocess.run(
            ['patch', '-p1', '--fuzz=0', '--batch', '--forward', '-d', folder,
             '-i', self.patch], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Fail(f'{self.patch} does not apply to this tree:\n'
                       f'{done.stdout}{done.stderr}')

    def flat(self, folder):
        """Puts the patched files into one folder: {path in this tree: file}"""
        flat = {}
        for file in self.files:
            # The folder's name becomes a part of the object's name.
            copy = folder / self.name / pathlib.Path(file).name
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(folder / file, copy)
            flat[file] = copy
        return flat

    def variant(self, folder):
        """The fuzzer with the patched files, for run.make()"""
        flat = self.flat(folder)
        included = any(file in run.INCLUDED.get(self.fuzzer, ())
                       for file in self.files)
        return run.Variant(self.fuzzer, flat, folder if included else None)


def build(planted, copies, folder, options):
    """Builds what the fuzzer runs; returns the program."""
    if planted.fuzzer == QMP:
        return relink.qemu(options.build, copies, planted.flat(copies))
    run.make(options.build, folder, {planted.name: planted.variant(copies)})
    return folder / planted.name


def fuzz_qmp(program, options):
    """Runs the fuzzer of QMP; returns its exit status and its output."""
    done = subprocess.run(
        [sys.executable, '-B', HERE / f'{QMP}.py', '--build', options.build,
         '--qemu', program, '--seconds', str(options.seconds)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


def find(planted, program, out, options):
    """Runs the fuzzer; returns (seconds, why it is a failure or None)."""
    start = time.monotonic()
    if planted.fuzzer == QMP:
        status, said = fuzz_qmp(program, options)
        return judge(planted, start, status, said, said)
    with tempfile.TemporaryDirectory(prefix='corpus-', dir=out) as fresh:
        status, said = run.fuzz(program, planted.fuzzer, options.seconds,
                                out, options.seed, pathlib.Path(fresh))
    return judge(planted, start, status, said, run.summary(said))


def judge(planted, start, status, said, summary):
    """(seconds, why it is a failure or None) of a run since @start"""
    seconds = time.monotonic() - start
    if not status:
        return seconds, f'the fuzzer found nothing: {summary}'
    if not re.search(planted.report, said):
        return seconds, (f'the output does not have "{planted.report}":\n'
                         + '\n'.join(said.splitlines()[-60:]))
    return seconds, None


def test(planted, folder, out, options):
    """Applies, builds and finds one; returns (text, why it failed)."""
    try:
        copies = folder / 'copies' / planted.name
        planted.apply(copies)
        if options.apply:
            return 'applies', None
        program = build(planted, copies, folder, options)
        seconds, why = find(planted, program, out, options)
        return f'{planted.fuzzer}, {seconds:.1f} s', why
    except (Fail, OSError) as e:
        return planted.fuzzer, str(e)


def main(argv):
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = sorted(p.stem for p in PATCHES.glob('*.patch'))
    parser.add_argument('names', nargs='*', metavar='FAULT',
                        help='of ' + ', '.join(names) + '; default: all')
    parser.add_argument('--build', type=pathlib.Path, default=TREE / 'build',
                        help='a configured and built folder')
    parser.add_argument('--seconds', type=int, default=120,
                        help='the most for each (default: 120)')
    parser.add_argument('--seed', type=int, default=1,
                        help='of the random numbers (default: 1)')
    parser.add_argument('--apply', action='store_true',
                        help='only see whether the patches apply')
    options = parser.parse_args(argv)
    options.build = options.build.resolve()
    for name in options.names:
        if name not in names:
            parser.error(f'{name}: no such fault')
    why = run.unable()
    if why and not (options.apply and shutil.which('patch')):
        print(f'1..0 # SKIP {why}')
        return 0
    folder = options.build / 'fuzz'
    out = folder / 'out-planted'
    out.mkdir(parents=True, exist_ok=True)
    chosen = options.names or names
    print(f'1..{len(chosen)}')
    failed = False
    for number, name in enumerate(chosen, 1):
        text = ''
        try:
            text, why = test(Planted.load(PATCHES / f'{name}.patch'), folder,
                             out, options)
        except Fail as e:
            why = str(e)
        print(f'{"not ok" if why else "ok"} {number} - {name}: {text}')
        if why:
            failed = True
            print('\n'.join('# ' + line for line in why.splitlines()))
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
