#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds the fuzzers and runs them, one after the other; results in TAP.

The sources of the server, its drivers and the helper are compiled again, with
clang's libFuzzer and the sanitizers for addresses and undefined behaviour, with
the flags of the build folder. The rest of QEMU is linked from the objects
there.

A fuzzer starts from the seeds that seeds.py makes. It fails when a run crashes,
leaks memory or descriptors, takes longer than 20 seconds, or when the process
grows beyond a bound. The input of that run is kept, and the output shows the
command that repeats it.
"""

import argparse
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

import seeds

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parents[1]
sys.path.insert(0, str(TREE / 'scripts'))

from virtfs import compiler             # noqa: E402
from fail import Fail                   # noqa: E402

SANITIZERS = 'address,undefined'
# A unit test: fuzzers are compiled and linked as it is
MODEL = 'tests/unit/test-9p-proxy-driver'

# Folders whose objects a fuzzer has, compiled again
SERVER = 'hw/9pfs/'
SHARED = 'fsdev/shared/'
HELPER = 'fsdev/helper/'
REGISTRY = 'fsdev/registry/libfsdev-registry.a.p/registry.c.o'
# Compiled again so that it announces each change of stack to the sanitizer
COROUTINE = 'libqemuutil.a.p/util_coroutine-ucontext.c.o'

# The files here that are a fuzzer's, beside its own and fuzz.c
PARTS = {
    'fuzz-server': ['server-host'],
    'fuzz-mapped': ['server-host'],
    'fuzz-state': ['server-host'],
    'fuzz-channel': ['channel-operations', 'channel-helper'],
    'fuzz-ring': ['channel-operations'],
}

FUZZERS = {
    'fuzz-server': [SERVER, SHARED, COROUTINE],
    'fuzz-channel': [SERVER, SHARED, COROUTINE],
    'fuzz-helper': [HELPER, SHARED],
    'fuzz-mapped': [SERVER, SHARED, COROUTINE],
    'fuzz-state': [SERVER, SHARED, COROUTINE],
    'fuzz-ring': [SERVER, HELPER, SHARED, COROUTINE],
    'fuzz-options': [SERVER, SHARED, REGISTRY, COROUTINE],
}

# Files that a fuzzer includes, to reach their static functions
INCLUDED = {'fuzz-options': ['fsdev/registry/options.c']}

# Beginnings of the flags of the build that fuzzers are compiled without
DROPPED = ('-Wold-style-declaration', '-Wimplicit-fallthrough', '-Wshadow',
           '-fsanitize', '-fprofile', '-fcoverage', '--coverage')

ENVIRONMENT = {
    # The sanitizer would not find a coroutine's stack
    'ASAN_OPTIONS': 'detect_stack_use_after_return=0:allocator_may_return_null'
                    '=1:handle_abort=1:quarantine_size_mb=64',
    'UBSAN_OPTIONS': 'print_stacktrace=1:halt_on_error=1',
    # GLib's own pools hide accesses to memory that was freed
    'G_SLICE': 'always-malloc',
}
# More for one fuzzer: whole stacks, by which it knows a leak of the base
ASAN_OPTIONS = {'fuzz-options': ':fast_unwind_on_malloc=0'}
# More flags for sources of one fuzzer
FLAGS = {'fuzz-ring': {'fsdev/shared/ring.c':
                       ['-fsanitize-coverage=trace-loads']}}
# Exit status of a fuzzer on a machine that lacks something it needs. libFuzzer
# ends with 77 when it finds something itself, such as a leak.
UNFIT = 99
# Bytes of an input, seconds for an input, MiB of the process
LIMITS = ['-max_len=4096', '-timeout=20', '-rss_limit_mb=1024',
          # Files have a size limit, whose errors are a part of the test
          '-handle_xfsz=0']


# Makes an ordinary user root in a user namespace, before there are threads
AS_ROOT = [] if os.geteuid() == 0 else ['unshare', '--user', '--map-root-user',
                                        '--mount']


def compile_flags(command):
    """(wrapper, flags): the part of gcc's command line that clang takes."""
    words, flags = compiler.split(command)
    wrapper = [w for w in words if pathlib.Path(w).name == 'ccache']
    return wrapper, [f for f in compiler.for_clang(flags, DROPPED)
                     if f not in ('-O2', '-O0', '-O1', '-O3')]


def link_flags(build):
    """The flags and files that MODEL is linked with, without its objects."""
    said = subprocess.run(['ninja', '-C', build, '-t', 'commands', '-s', MODEL],
                          capture_output=True, text=True, check=False)
    if said.returncode:
        raise Fail(f'{build}: ninja does not know {MODEL}\n{said.stderr}')
    words = shlex.split(said.stdout.splitlines()[-1])
    while not words[0].startswith('-'):
        words.pop(0)
    i = words.index('-o')
    del words[i:i + 2]
    return [w for w in compiler.for_clang(words, DROPPED)
            if not w.startswith((MODEL + '.p/', SERVER, SHARED))
            and w != '-Wl,--no-undefined']


def quote(words):
    """The words as a command in a ninja file"""
    return ' '.join(shlex.quote(w) for w in words).replace('$', '$$')


class Variant:
    """A fuzzer, maybe with some sources replaced by others."""

    def __init__(self, fuzzer, replaced=None, includes=None):
        self.fuzzer = fuzzer
        self.replaced = replaced or {}  # path in this tree: another file
        self.includes = includes        # a folder that comes before this tree

    def source(self, output, command, build):
        """(a word for the object's name, its source, flags)"""
        path = pathlib.Path(build, command['file'])
        word, source, more = '', command['file'], []
        for inside, flags in FLAGS.get(self.fuzzer, {}).items():
            if path.resolve() == (TREE / inside).resolve():
                word, more = f'{self.fuzzer}-', flags
        for inside, other in self.replaced.items():
            if path.resolve() == (TREE / inside).resolve():
                word, source = f'{other.parent.name}-', other
                more = ['-iquote', str(path.parent), *more]
        if output == COROUTINE:
            more = ['-DCONFIG_ASAN_IFACE_FIBER']
        return word, source, more


def write_rules(build, folder, variants):
    """A build.ninja in @folder that makes the programs @variants there.

    variants: a dictionary of Variant by the program's name.
    """
    commands = {c['output']: c for c in compiler.commands(build)}
    # The object's name begins with the folder of its source.
    model = next((c for output, c in commands.items()
                  if output.startswith(f'{MODEL}.p/') and
                  output.endswith(f'_{pathlib.Path(MODEL).name}.c.o')), None)
    if not model:
        raise Fail(f'{build}: was configured without the unit tests')
    # Logs of their own: a build may run at the same time
    lines = [f'builddir = {folder}',
             'rule cc',
             '  command = $wrapper clang $flags -O1 -g -fno-omit-frame-pointer '
             f'-fsanitize={SANITIZERS},fuzzer-no-link '
             f'-fno-sanitize-recover={SANITIZERS} '
             '-MD -MF $out.d -o $out -c $src',
             '  depfile = $out.d',
             '  deps = gcc',
             'rule link',
             f'  command = clang -fsanitize={SANITIZERS},fuzzer -o $out $in '
             '$flags']
    done = set()

    def compiled(output, command, source, more=()):
        """The object of one source file."""
        obj = (folder / output.replace('/', '_')).as_posix()
        if obj not in done:
            done.add(obj)
            wrapper, flags = compile_flags(command)
            lines.extend([f'build {obj}: cc', f'  src = {source}',
                          f'  wrapper = {quote(wrapper)}',
                          f'  flags = {quote([*more, *flags])}'])
        return obj

    for program, variant in variants.items():
        name = variant.fuzzer
        own = ['-iquote', str(TREE)]
        prefix = ''
        if variant.includes:
            own = ['-iquote', str(variant.includes), *own, *(
                f'-iquote{(TREE / file).parent}' for file in variant.replaced)]
            prefix = program + '-'
        objects = [compiled(f'{prefix}{n}.o', model, HERE / f'{n}.c', own)
                   for n in (name, 'fuzz', 'mutate', *PARTS.get(name, []))]
        for output, command in commands.items():
            if output.startswith(tuple(FUZZERS[name])):
                word, source, more = variant.source(output, command, build)
                objects.append(compiled(word + output, command, source, more))
        flags = [*link_flags(build),
                 *(['-lcap-ng', '-lseccomp'] if HELPER in FUZZERS[name]
                   else [])]
        archives = ' '.join(w for w in flags if w.endswith(('.a', '.o')))
        lines.extend([f'build {folder / program}: link {" ".join(objects)} | '
                      f'{archives}', f'  flags = {quote(flags)}'])
    (folder / 'build.ninja').write_text('\n'.join(lines) + '\n',
                                        encoding='utf-8')


def make(build, folder, variants):
    """Builds the programs @variants in @folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_rules(build, folder, variants)
    done = subprocess.run(
        ['ninja', '-C', build, '-f', folder / 'build.ninja', '--quiet',
         *(str(folder / n) for n in variants)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise Fail(f'building {", ".join(variants)} failed:\n{done.stdout}')


def fuzz(program, name, seconds, out, seed=None, corpus=None):
    """Runs a fuzzer; returns its exit status and its output."""
    corpus = corpus or out / 'corpus' / name
    given = out / 'seeds' / name
    found = out / 'found' / name
    for folder in (corpus, given, found):
        folder.mkdir(parents=True, exist_ok=True)
    seeds.write(name, given)
    argv = [*AS_ROOT, str(program), *LIMITS, f'-max_total_time={seconds}',
            '-print_final_stats=1', f'-artifact_prefix={found}/',
            *([f'-seed={seed}'] if seed else []), str(corpus), str(given)]
    mount = tempfile.TemporaryDirectory(prefix='mount-', dir=out)
    env = {**os.environ, **ENVIRONMENT, 'VIRTFS_FUZZ_OUT': str(out),
           'TMPDIR': mount.name}
    env['ASAN_OPTIONS'] += ASAN_OPTIONS.get(name, '')
    with mount, subprocess.Popen(
            argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, errors='replace', text=True) as run:
        try:
            said, _ = run.communicate(timeout=seconds + 120)
        except (subprocess.TimeoutExpired, KeyboardInterrupt) as e:
            run.send_signal(signal.SIGKILL)
            raise Fail(f'{name}: did not end') from e
    return run.returncode, said


def repeat(program, inputs):
    """Runs a fuzzer on the named inputs; returns the exit status."""
    with tempfile.TemporaryDirectory(prefix='virtfs-fuzz-') as out:
        env = {**os.environ, **ENVIRONMENT, 'VIRTFS_FUZZ_OUT': out,
               'TMPDIR': out}
        # Slow, but unwinds through libraries without frame pointers
        env['ASAN_OPTIONS'] += ':fast_unwind_on_malloc=0'
        return subprocess.run([*AS_ROOT, program, *LIMITS,
                               *(os.path.abspath(i) for i in inputs)],
                              env=env, check=False).returncode


def summary(said):
    """The figures of a run, for the TAP line's comment."""
    figures = {}
    for line in said.splitlines():
        if line.startswith('stat::'):
            key, _, value = line[6:].partition(':')
            figures[key] = value.strip()
        elif ' cov: ' in line:
            figures['cov'] = line.split(' cov: ')[1].split()[0]
    return (f'{figures.get("number_of_executed_units", "?")} runs, '
            f'{figures.get("cov", "?")} edges, '
            f'{figures.get("peak_rss_mb", "?")} MiB')


def run_one(number, name, program, out, options):
    """Runs a fuzzer and prints the result; returns whether it passed."""
    with tempfile.TemporaryDirectory(prefix='corpus-', dir=out) as fresh:
        try:
            status, said = fuzz(program, name, options.seconds, out,
                                options.seed,
                                pathlib.Path(fresh) if options.fresh else None)
        except Fail as e:
            status, said = 1, str(e)
    if status == UNFIT:
        print(f'ok {number} - {name} # SKIP {said.strip().splitlines()[-1]}')
        return True
    print(f'{"not ok" if status else "ok"} {number} - {name}')
    print(f'# {summary(said)}')
    if status:
        lines = [s for s in said.splitlines() if not s.startswith('#')]
        print('\n'.join('# ' + s for s in lines[-80:]))
        print(f'# again: tests/fuzz/run.py {name} --input '
              f'{out}/found/{name}/FILE')
    sys.stdout.flush()
    return status == 0


def unable():
    """Why this machine cannot run fuzzers, or None."""
    for program in ('clang', 'ninja', 'patch'):
        if not shutil.which(program):
            return f'{program} is not installed'
    able = subprocess.run([*AS_ROOT, 'true'], capture_output=True, text=True,
                          check=False)
    return able.stderr.strip() if able.returncode else None


def main(argv):
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('names', nargs='*', metavar='FUZZER',
                        help='of ' + ', '.join(FUZZERS) + '; default: all')
    parser.add_argument('--build', type=pathlib.Path, default=TREE / 'build',
                        help='a configured and built folder')
    parser.add_argument('--seconds', type=int, default=600,
                        help='for each fuzzer (default: 600)')
    parser.add_argument('--minutes', type=int,
                        help='for all of them together')
    parser.add_argument('--out', type=pathlib.Path,
                        help='where the corpus, and inputs that failed, are '
                        'kept (default: BUILD/fuzz/out)')
    parser.add_argument('--fresh', action='store_true',
                        help='start from the seeds only, and keep no corpus')
    parser.add_argument('--seed', type=int, help='of the random numbers')
    parser.add_argument('--input', action='append', default=[],
                        help='run the one FUZZER on this file instead')
    options = parser.parse_args(argv)
    names = options.names or list(FUZZERS)
    if options.minutes:
        options.seconds = max(1, options.minutes * 60 // len(names))
    for name in names:
        if name not in FUZZERS:
            parser.error(f'{name}: no such fuzzer; there are '
                         + ', '.join(FUZZERS))
    if options.input and len(options.names) != 1:
        parser.error('--input needs the name of one fuzzer')
    why = unable()
    if why:
        print(f'1..0 # SKIP {why}')
        return 0
    build = options.build.resolve()
    folder = build / 'fuzz'
    try:
        make(build, folder, {n: Variant(n) for n in names})
    except (Fail, OSError) as e:
        print(f'Bail out! {e}')
        return 1
    if options.input:
        return repeat(folder / names[0], options.input)
    out = (options.out or folder / 'out').resolve()
    out.mkdir(parents=True, exist_ok=True)
    print(f'1..{len(names)}')
    results = [run_one(n + 1, name, folder / name, out, options)
               for n, name in enumerate(names)]
    return 0 if all(results) else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
