#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""This tree's C files give no warning, with gcc and with clang.

Both compilers check each file with the flags that the build has for it and
-Werror. gcc has warnings that come from its optimizer, so it compiles to the
end; clang stops before it generates code. There is one test per compiler and
file, in TAP, and one for the build itself: a warning does not end it.

usage: test-warnings.py [BUILD]     BUILD: a configured and built folder
"""

import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / 'scripts'))

from virtfs import compiler             # noqa: E402

# The flags are for the build's compiler; the other one may not know them all.
COMPILERS = {
    'gcc': ['-S', '-o', '/dev/null'],
    'clang': ['-fsyntax-only', '-Wno-unknown-warning-option',
              '-Wno-unused-command-line-argument',
              '-Qunused-arguments', '-Wno-unknown-attributes'],
}

MODEL = 'test-9p-proxy-driver.c'


def compile_commands(build):
    """(file, folder, flags) of each of this tree's files, once each."""
    seen = {}
    for c in compiler.commands(build):
        path = pathlib.Path(c['directory'], c['file']).resolve()
        if path.suffix == '.c' and path.is_relative_to(TREE) and \
                not path.is_relative_to(build.resolve()) and \
                not path.is_relative_to(f'{build.resolve()}.base'):
            seen.setdefault(path, c)
    for path, c in sorted(seen.items()):
        yield path, c['directory'], [*compiler.split(c)[1], c['file']]
    # Programs that others compile: the fuzzers with a unit test's flags
    model = next(c for path, c in seen.items() if path.name == MODEL)
    for path in sorted(TREE.glob('tests/fuzz/*.c')):
        yield path, model['directory'], [
            *compiler.split(model)[1], '-iquote', str(TREE), str(path)]
    for path in sorted(TREE.glob('tests/guest/*.c')):
        yield path, str(TREE), ['-O2', '-Wall', '-Wextra', str(path)]


def check(name, folder, flags):
    """The output of a compiler; empty when the file compiles."""
    if name == 'clang':
        flags = compiler.for_clang(flags)
    done = subprocess.run([name, *flags, *COMPILERS[name], '-Werror'],
                          cwd=folder, capture_output=True, text=True,
                          timeout=120)
    return done.stderr if done.returncode else ''


def main(argv):
    """Runs all tests; returns the exit status."""
    build = pathlib.Path(argv[0]) if argv else TREE / 'build'
    files = list(compile_commands(build))
    jobs = [(c, *f) for c in COMPILERS for f in files]
    print(f'1..{len(jobs) + 1}')
    status = 0
    fatal = [str(path) for path, _, flags in files if '-Werror' in flags]
    if fatal:
        status = 1
        sys.stderr.write('-Werror for ' + ' '.join(fatal) + '\n')
    print(f'{"not ok" if fatal else "ok"} {len(jobs) + 1} - warnings do not '
          'end the build')
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        said = {}
        for n, (cc, path, folder, flags) in enumerate(jobs):
            if shutil.which(cc):
                said[n] = pool.submit(check, cc, folder, flags)
        for n, (cc, path, _, _) in enumerate(jobs):
            name = f'{cc} {path.relative_to(TREE)}'
            if n not in said:
                print(f'ok {n + 1} - {name} # SKIP {cc} is not installed')
                continue
            warnings = said[n].result()
            if warnings:
                status = 1
                sys.stderr.write(warnings)
            print(f'{"not ok" if warnings else "ok"} {n + 1} - {name}')
    return status


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
