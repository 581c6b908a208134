#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""This tree's C files give no warning, with gcc and with clang.

Each file is compiled (no code is made) by both compilers, with the flags that
the build has for it and -Werror. A test per compiler and file, in TAP.

usage: test-warnings.py [BUILD]     BUILD: a configured and built folder
"""

import concurrent.futures
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys

TREE = pathlib.Path(__file__).resolve().parents[2]

# The flags are those of the build's compiler; another one may not know all.
COMPILERS = {
    'gcc': [],
    'clang': ['-Wno-unknown-warning-option', '-Wno-unused-command-line-argument',
              '-Qunused-arguments', '-Wno-unknown-attributes'],
}
# What only one of them has, by beginning
NOT_FOR_CLANG = ('-fno-semantic-interposition', '-fconserve-stack',
                 '-ftrivial-auto-var-init', '-fzero-call-used-regs',
                 '-mcx16', '-fanalyzer')
# What makes files
OUTPUT = {'-o': 1, '-c': 0, '-MD': 0, '-MQ': 1, '-MF': 1}


def compile_commands(build):
    """(file, folder, flags) of each of this tree's files, once each."""
    with open(build / 'compile_commands.json', encoding='utf-8') as f:
        commands = json.load(f)
    seen = {}
    for c in commands:
        path = pathlib.Path(c['directory'], c['file']).resolve()
        if path.suffix == '.c' and path.is_relative_to(TREE) and \
                not path.is_relative_to(build.resolve()) and \
                not path.is_relative_to(f'{build.resolve()}.base'):
            seen.setdefault(path, c)
    for path, c in sorted(seen.items()):
        words = shlex.split(c['command'])
        # The compiler, which may have a wrapper before it
        while words and not words[0].startswith('-'):
            words.pop(0)
        flags = []
        skip = 0
        for word in words:
            if skip:
                skip -= 1
            elif word in OUTPUT:
                skip = OUTPUT[word]
            elif word != c['file']:
                flags.append(word)
        yield path, c['directory'], [*flags, '-fsyntax-only', '-Werror',
                                     c['file']]


def check(compiler, folder, flags):
    """What the compiler says; nothing when all is well."""
    if compiler == 'clang':
        flags = [f for f in flags if not f.startswith(NOT_FOR_CLANG)]
    done = subprocess.run([compiler, *COMPILERS[compiler], *flags],
                          cwd=folder, capture_output=True, text=True,
                          timeout=120)
    return done.stderr if done.returncode else ''


def main(argv):
    """Runs all; returns the exit status."""
    build = pathlib.Path(argv[0]) if argv else TREE / 'build'
    files = list(compile_commands(build))
    jobs = [(c, *f) for c in COMPILERS for f in files]
    print(f'1..{len(jobs)}')
    status = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        said = {}
        for n, (compiler, path, folder, flags) in enumerate(jobs):
            if shutil.which(compiler):
                said[n] = pool.submit(check, compiler, folder, flags)
        for n, (compiler, path, _, _) in enumerate(jobs):
            name = f'{compiler} {path.relative_to(TREE)}'
            if n not in said:
                print(f'ok {n + 1} - {name} # SKIP {compiler} is not there')
                continue
            warnings = said[n].result()
            if warnings:
                status = 1
                sys.stderr.write(warnings)
            print(f'{"not ok" if warnings else "ok"} {n + 1} - {name}')
    return status


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
