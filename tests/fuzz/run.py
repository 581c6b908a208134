#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds the fuzzers and runs them, one after the other; results in TAP.

The sources of the server, its drivers and the helper are compiled again, with
clang's libFuzzer and the sanitizers for addresses and undefined behaviour, by
the flags that the build folder has for them. What they need of QEMU is linked
from there as it is.

A fuzzer starts from the seeds that seeds.py makes. It fails when a run
crashes, leaks memory or descriptors, takes more than some seconds, or when the
process grows beyond a bound; the input that did it is kept, and the command
that repeats it is shown.
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
# Of a unit test: how such a program is compiled and linked
MODEL = 'tests/unit/test-9p-proxy-driver'

# The objects of the libraries below each folder
SERVER = 'hw/9pfs/'
SHARED = 'fsdev/shared/'
HELPER = 'fsdev/helper/'
# Has to tell the sanitizer which stack it is on
COROUTINE = 'libqemuutil.a.p/util_coroutine-ucontext.c.o'

FUZZERS = {
    'fuzz-server': [SERVER, SHARED, COROUTINE],
    'fuzz-channel': [SERVER, SHARED, COROUTINE],
    'fuzz-helper': [HELPER, SHARED],
}

# Flags of the build that a fuzzer does without, by their beginning
DROPPED = ('-Wold-style-declaration', '-Wimplicit-fallthrough', '-Wshadow',
           '-fsanitize', '-fprofile', '-fcoverage', '--coverage')

ENVIRONMENT = {
    # A coroutine's stack is not where the sanitizer would look for it
    'ASAN_OPTIONS': 'detect_stack_use_after_return=0:allocator_may_return_null'
                    '=1:handle_abort=1:quarantine_size_mb=64',
    'UBSAN_OPTIONS': 'print_stacktrace=1:halt_on_error=1',
    # GLib's own pools hide what is used after it was freed
    'G_SLICE': 'always-malloc',
}
# Exit status of a fuzzer for which this machine has not what it needs
UNFIT = 77
# Bytes of an input, seconds for one, MiB of the process
LIMITS = ['-max_len=4096', '-timeout=20', '-rss_limit_mb=1024',
          # A file's length has a limit: the errors are what is wanted
          '-handle_xfsz=0']


# Who is not root becomes it in a user namespace, before there are threads
AS_ROOT = [] if os.geteuid() == 0 else ['unshare', '--user', '--map-root-user',
                                        '--mount']


def compile_flags(command):
    """(wrapper, flags): the part of gcc's command line that clang takes."""
    words, flags = compiler.split(command)
    wrapper = [w for w in words if pathlib.Path(w).name == 'ccache']
    return wrapper, [f for f in compiler.for_clang(flags, DROPPED)
                     if f not in ('-Werror', '-O2', '-O0', '-O1', '-O3')]


def link_flags(build):
    """What MODEL is linked with, apart from its own objects."""
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
    """For a command in a file of ninja's"""
    return ' '.join(shlex.quote(w) for w in words).replace('$', '$$')


def write_rules(build, folder, names):
    """A build.ninja in @folder that makes the fuzzers there."""
    commands = {c['output']: c for c in compiler.commands(build)}
    # The object's name begins with the folder of its source.
    model = next((c for output, c in commands.items()
                  if output.startswith(f'{MODEL}.p/') and
                  output.endswith(f'_{pathlib.Path(MODEL).name}.c.o')), None)
    if not model:
        raise Fail(f'{build}: was configured without the unit tests')
    # Not among the logs of the build, which may run at the same time
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
                          f'  flags = {quote([*flags, *more])}'])
        return obj

    for name in names:
        objects = [compiled(f'{n}.o', model, HERE / f'{n}.c',
                            ['-iquote', str(TREE), '-Werror'])
                   for n in (name, 'fuzz')]
        for output, command in commands.items():
            if output.startswith(tuple(FUZZERS[name])):
                more = ['-DCONFIG_ASAN_IFACE_FIBER'] \
                    if output == COROUTINE else []
                objects.append(compiled(output, command, command['file'],
                                        more))
        flags = [*link_flags(build),
                 *(['-lcap-ng', '-lseccomp'] if HELPER in FUZZERS[name]
                   else [])]
        archives = ' '.join(w for w in flags if w.endswith(('.a', '.o')))
        lines.extend([f'build {folder / name}: link {" ".join(objects)} | '
                      f'{archives}', f'  flags = {quote(flags)}'])
    (folder / 'build.ninja').write_text('\n'.join(lines) + '\n',
                                        encoding='utf-8')


def make(build, folder, names):
    """Builds the fuzzers @names in @folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_rules(build, folder, names)
    done = subprocess.run(
        ['ninja', '-C', build, '-f', folder / 'build.ninja', '--quiet',
         *(str(folder / n) for n in names)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise Fail(f'building {", ".join(names)} failed:\n{done.stdout}')


def fuzz(program, name, seconds, out, seed=None, corpus=None):
    """Runs one; (exit status, what it wrote)."""
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
    """Runs a fuzzer on the named inputs; the exit status."""
    with tempfile.TemporaryDirectory(prefix='virtfs-fuzz-') as out:
        env = {**os.environ, **ENVIRONMENT, 'VIRTFS_FUZZ_OUT': out,
               'TMPDIR': out}
        # Slow, but sees through libraries without frame pointers
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
    """Runs one and tells what came of it; whether nothing was found."""
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


def main(argv):
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('names', nargs='*', metavar='FUZZER',
                        help='of ' + ', '.join(FUZZERS) + '; default: all')
    parser.add_argument('--build', type=pathlib.Path, default=TREE / 'build',
                        help='a configured and built folder')
    parser.add_argument('--seconds', type=int, default=600,
                        help='for each fuzzer (default: 600)')
    parser.add_argument('--out', type=pathlib.Path,
                        help='keeps the corpus, and inputs that failed, for '
                        'other runs (default: BUILD/fuzz/out)')
    parser.add_argument('--fresh', action='store_true',
                        help='begin with the seeds alone, and keep no corpus')
    parser.add_argument('--seed', type=int, help='of the random numbers')
    parser.add_argument('--input', action='append', default=[],
                        help='run the one FUZZER on this file instead')
    options = parser.parse_args(argv)
    names = options.names or list(FUZZERS)
    for name in names:
        if name not in FUZZERS:
            parser.error(f'{name}: no such fuzzer; there are '
                         + ', '.join(FUZZERS))
    if options.input and len(options.names) != 1:
        parser.error('--input needs the name of one fuzzer')
    for program in ('clang', 'ninja'):
        if not shutil.which(program):
            print(f'1..0 # SKIP {program} is not there')
            return 0
    able = subprocess.run([*AS_ROOT, 'true'], capture_output=True, text=True,
                          check=False)
    if able.returncode:
        print(f'1..0 # SKIP {able.stderr.strip()}')
        return 0
    build = options.build.resolve()
    folder = build / 'fuzz'
    try:
        make(build, folder, names)
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
