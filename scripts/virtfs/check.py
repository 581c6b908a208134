# SPDX-License-Identifier: GPL-2.0-or-later
"""./check: builds everything and runs the tests."""

import argparse
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from fail import Fail, note

from . import TREE, bases, build, debian, hosts as systems, process, qtests, \
    runner, sanitize, tap, testuser

BUILD = build.BUILD
QOS_TEST = 'tests/qtest/qos-test'
# The MODEL of tests/fuzz/run.py
FUZZ_MODEL = 'tests/unit/test-9p-proxy-driver'
FUZZ_SECONDS = 6                # for each fuzzer
# Planted faults that ./check finds; ./check long finds all
FUZZ_PLANTED = ['walk-names', 'helper-length', 'mapped-acl', 'ring-fetch',
                'state-entry', 'del-in-use']
FUZZ_MINUTES = 60               # for all of them in ./check long
# Seconds for a share of the qtests: many times the need of the longest
QTEST_LIMIT = 1200
ATTACK_LIMIT = 600
HOST_LIMIT = 4 * 3600
# The Debian on which ./check builds and tests without being asked to, and the
# qtests that run there
HOST = 'trixie-gcc'
HOST_QTESTS = ['synth', 'virtio-9p-tests/proxy']
# What ./check long boots under AddressSanitizer
SANITIZED_GUESTS = ['test-links', 'test-hotplug']
# Tiers whose programs can run together, and the number that runs at once
AT_ONCE = {'helper': 2, 'qtest': 4, 'attack': 2, 'guest': 2}
# If 'hosts' has one program and is not named, that starts with this tier, and
# runs beside it and those after it. They wait for much of their time, and a
# system is installed for minutes by one process and then built with low
# priority.
BESIDE = 'qtest'

DESCRIPTION = '''\
Installs (as root) and builds everything that is missing, and runs the tests:
all except libvirt's and the long ones, or those of the named tiers.'''

EPILOG = '''\
tiers:
  style     includes follow the layers, lines and functions are short, comments
            name files that exist
  warnings  this tree's C files compile without warnings, with gcc and clang
  docs      the manual builds, and matches the programs
  unit      functions and single parts, in their own processes
  helper    the real virtfs-proxy-helper; for root, once as root and once as an
            ordinary user
  qtest     9P messages through QEMU's virtio-9p device; up to four programs
            at once, on as many processors
  attack    attacks by a hostile guest, client, QEMU or host user, on the real
            programs; for root, once as root and once as an ordinary user
  fuzz      some seconds of random input for each parser that a hostile peer
            reaches, and five planted faults that it must find; needs clang
  hosts     the tree builds, ./boot works, and the tiers unit, helper and qtest
            pass on Debian 12, Debian 13 and testing, with gcc and clang of
            each, in a folder made by debootstrap; for root only. Unless it is
            named: Debian 13 with gcc, and of its qtests those of synth
            and proxy, from the tier qtest on beside the others
  guest     a Linux guest works on a share, and the host checks the result
  libvirt   only when named: libvirt with the driver proxy (contrib/libvirt)
            builds and passes its own tests, and runs domains
  long      only when named: the tier libvirt; an hour of random input, and all
            planted faults; the tests, and some guests, on builds with
            sanitizers; the rest of
            the tier hosts, and README.md's commands on fresh systems; a Debian
            with its root file system on 9p, guests that share a file, kernels
            of Debian's suites and what their 9p clients can, shares
            made by Debian's QEMU, ./check with the other series of QEMU, QEMU's
            own tests of 9p on this device, the patches for the base's source,
            built and tested, short runs of the benchmarks, and builds and
            guests of other processors; needs 22 GB more

With --base, ./check uses another QEMU, in a build folder of its own. BASE is
what ./configure --base takes.

With --sanitize, ./check uses a separate build with the compiler's sanitizers
(address and undefined, or thread), and by default runs only the tiers that
suit it.

If root starts ./check, the tests of an ordinary user's abilities run as the
system user virtfs-test; ./check creates that user, with a range of subordinate
ids, if it is missing. The last line is: N passed, N failed, N skipped. The exit
status is 0 if nothing failed.'''


class Context:
    """What the tiers share: the user for rootless tests, and a temporary
    folder."""

    def __init__(self, folder, options):
        self.folder = pathlib.Path(folder)
        self.minutes = options.fuzz_minutes
        self.guests = options.guests
        self.qtests = options.qtests
        self.hosts = options.hosts
        self.tiers = options.tiers
        self.folder.chmod(0o755)
        self.user = testuser.TestUser()
        (self.folder / 'tmp').mkdir()
        (self.folder / 'tmp').chmod(0o1777)
        self.home = self.folder / 'home'
        self.home.mkdir()
        self.user.give(self.home)


def _meson_tests():
    """Meson's records of this tree's own tests."""
    path = BUILD / 'meson-info/intro-tests.json'
    with open(path, encoding='utf-8') as f:
        tests = json.load(f)
    return [t for t in tests
            if any(s.rpartition(':')[2] == 'fsdev' for s in t['suite'])]


def _is_helper(test):
    return test['name'].startswith('test-9p-helper')


def _built(test):
    """A test's program as a target of ninja, or None for a script."""
    try:
        return str(pathlib.Path(test['cmd'][0]).relative_to(BUILD))
    except ValueError:
        return None


def _targets(tiers):
    """The ninja targets that the tests need."""
    programs = {str(p.relative_to(BUILD)) for p in (build.HELPER,
                                                    build.MAPPED)}
    if not {'unit', 'helper'}.isdisjoint(tiers):
        targets = [_built(t) for t in _meson_tests()
                   if 'unit' in tiers or _is_helper(t)]
        programs |= {t for t in targets if t and not t.startswith('pyvenv/')}
    if not {'fuzz', 'long'}.isdisjoint(tiers):
        # The fuzzers use its link command and its dependencies
        programs.add(FUZZ_MODEL)
    if not {'qtest', 'attack', 'guest', 'libvirt', 'long',
            'fuzz'}.isdisjoint(tiers):
        programs.add(str(build.QEMU.relative_to(BUILD)))
    if 'qtest' in tiers:
        programs.add(QOS_TEST)
    return sorted(programs)


def _program(test, name=None):
    argv, protocol = test['cmd'], test['protocol']
    if argv[-1].endswith('.py') and protocol == 'exitcode':
        argv, protocol = [*argv, '-v', '-b'], 'unittest'
    return tap.Program(name or test['name'], argv, protocol,
                       10 * max(30, test['timeout']) * sanitize.patience(),
                       {**os.environ, **test['env']},
                       test['workdir'] or str(BUILD))


def _skip(program, why):
    program.argv = ['printf', '1..0 # SKIP %s\\n', why]
    program.protocol = 'tap'


def _script(path, protocol, limit, *arguments):
    """One of this tree's programs in Python."""
    script = TREE / path
    return tap.Program(script.stem, [sys.executable, str(script), *arguments],
                       protocol, limit, dict(os.environ), str(TREE))


def _unittest(path, limit):
    return _script(path, 'unittest', limit, '-v', '-b')


def style(_context):
    """The order of this tree's files."""
    return [_unittest('tests/compile/test-style.py', 300)]


def warnings(_context):
    """Both compilers' warnings about this tree's files."""
    return [_script('tests/compile/test-warnings.py', 'tap', 900)]


def docs(_context):
    """The manual: that it builds, and its statements."""
    return [_unittest('tests/docs/test-manual.py', 1200)]


def unit(_context):
    """Meson's unit tests, and those of this tree's Python code."""
    programs = [_program(t) for t in _meson_tests() if not _is_helper(t)]
    return [*programs, _unittest('tests/graft/test-base.py', 300),
            _unittest('tests/graft/test-graft.py', 300),
            _unittest('tests/bench/test-report.py', 60),
            *(_unittest(path.relative_to(TREE), 300) for path in sorted(
                (TREE / 'tests/check').glob('test-*.py')))]


def _for_users(context, make):
    """Programs for root, if root runs ./check, and for an ordinary user.

    make(who): one of the programs, new for each user
    """
    who = context.user.user.pw_name
    if os.geteuid() == 0:
        program = make('root')
        program.env['VIRTFS_TEST_USER'] = who
        yield program
    program = make(who)
    no_namespace = context.user.no_namespace()
    if no_namespace:
        _skip(program, no_namespace)
    elif context.user.other:
        program.argv = context.user.command(program.argv)
        own = {n: v for n, v in program.env.items()
               if os.environ.get(n) != v}
        program.env = {**own, **context.user.environment(context.home)}
    yield program


def helper(context):
    """The tests that run the helper, as root and as an ordinary user."""
    tests = [t for t in _meson_tests() if _is_helper(t)]
    return [p for t in tests for p in _for_users(
        context, lambda who, t=t: _program(t, f'{t["name"]} as {who}'))]


def attack(context):
    """The programs in tests/attack, as root and as an ordinary user."""
    def make(path, who):
        program = _unittest(path, ATTACK_LIMIT * sanitize.patience())
        program.name += f' as {who}'
        return program
    return [p for path in sorted((TREE / 'tests/attack').glob('attack-*.py'))
            for p in _for_users(context, lambda who, path=path: make(
                path.relative_to(TREE), who))]


def _temporary(stack, prefix, above=None):
    """A folder that is removed at the end, even if ./check is killed."""
    folder = tempfile.mkdtemp(prefix=prefix, dir=above)
    process.remove_after_end(folder)
    stack.callback(process.remove, folder)
    return folder


def _memory_folder(stack):
    """A folder on tmpfs: ext4 cannot hold hundreds of xattrs per file."""
    for above in ('/dev/shm', None):
        try:
            folder = _temporary(stack, 'virtfs-qtest-', above)
            os.setxattr(folder, 'user.test', b'1')
            os.removexattr(folder, 'user.test')
            return folder
        except OSError:
            continue
    return folder


def qtest(context):
    """The 9p tests of qos-test, in programs that each run a share of them."""
    env = {**os.environ, 'QTEST_QEMU_BINARY': str(build.QEMU),
           'VIRTFS_PROXY_HELPER': str(build.HELPER)}
    env.pop('QTEST_QEMU_IMG', None)
    if os.geteuid() == 0:
        env['VIRTFS_TEST_USER'] = context.user.user.pw_name
    program = str(BUILD / QOS_TEST)
    every = qtests.listed(program, env, context.folder, qtests.BUSES)
    tests = [t for t in every if sanitize.suits(t) and qtests.brief(t)]
    if context.qtests:
        tests = qtests.chosen(tests, context.qtests)
    folder = pathlib.Path(_memory_folder(context.stack))
    programs = []
    for path, share in qtests.shares(tests, every=every):
        cwd = folder / str(len(programs))
        cwd.mkdir()
        programs.append(tap.Program(
            path, [program, '--tap', '-k', '-m', 'slow', '-r', path], 'tap',
            QTEST_LIMIT * sanitize.patience(), env, str(cwd), share))
    return programs


def _fuzz_program(name, limit, *arguments):
    """One of the programs in tests/fuzz"""
    if sanitize.active():
        raise Fail('the fuzzers have sanitizers of their own: run them '
                   'without --sanitize')
    return _script(f'tests/fuzz/{name}.py', 'tap', limit,
                   '--build', str(BUILD), *arguments)


def fuzz(_context):
    """All fuzzers, one after the other, starting from the seeds."""
    return [_fuzz_program('run', 900, '--fresh',
                          '--seconds', str(FUZZ_SECONDS)),
            _fuzz_program('fuzz-qmp', 300, '--seconds', str(FUZZ_SECONDS)),
            _fuzz_program('planted', 300, '--apply'),
            _fuzz_program('planted', 600, *FUZZ_PLANTED)]


def _long_fuzz(minutes):
    """All planted faults, then long runs, which keep their corpus."""
    return [_fuzz_program('planted', 3600),
            _fuzz_program('run', 60 * minutes + 1800,
                          '--minutes', str(minutes)),
            _fuzz_program('fuzz-qmp', 60 * minutes + 600,
                          '--seconds', str(60 * minutes // 10))]


def _long_sanitize():
    """./check on builds with sanitizers, with a few guests"""
    runs = [('thread', ['unit', 'helper', 'qtest']),
            ('address,undefined', ['unit', 'helper', 'qtest', 'guest',
                                   '--guests=' + ','.join(SANITIZED_GUESTS)])]
    return [tap.Program(f'check --sanitize={names}',
                        [sys.executable, '-B', str(TREE / 'check'),
                         f'--sanitize={names}', *more],
                        'exitcode', 6 * 3600, dict(os.environ), str(TREE))
            for names, more in runs]


def _long_bases():
    """./check with each series of the base except the default one, and for each
    series the tests that concern the base itself"""
    programs = []
    for name in bases.others() if not bases.active() else []:
        env = {n: v for n, v in os.environ.items() if n != 'VIRTFS_BUILD'}
        programs.append(tap.Program(
            f'check --base={name}',
            [sys.executable, '-B', str(TREE / 'check'), f'--base={name}'],
            'exitcode', 6 * 3600, env, str(TREE)))
    for name in [None, *(bases.others() if not bases.active() else [])]:
        more = bases.environment(name) if name else {}
        for program in (
                _script('tests/graft/long-own-qtests.py', 'tap', 2 * 3600),
                _script('tests/graft/long-streams.py', 'tap', 2 * 3600),
                _unittest('tests/graft/long-dist-patch.py', 4 * 3600)):
            program.env.update(more)
            program.name += f' with {name}' if name else ''
            programs.append(program)
    return programs


def _host_program(name, *options):
    """Work on another Debian"""
    program = _script('tests/check/debian-host.py', 'tap', HOST_LIMIT,
                      name, *options)
    program.name = f'{name} {"".join(options[:1])}'.strip()
    return program


def hosts(context):
    """This tree on other Debians; a part of them, unless they are named."""
    if sanitize.active():
        raise Fail('the other Debians have builds of their own: run them '
                   'without --sanitize')
    if 'hosts' not in context.tiers and not context.hosts:
        return [_host_program(HOST, '--qtests=' + ','.join(HOST_QTESTS))]
    return [_host_program(f'{suite}-{compiler}') for suite, compiler in map(
        systems.parse, context.hosts or systems.names())]


def _long_hosts(context):
    """What ./check leaves out of the tier hosts, and fresh systems."""
    named = 'hosts' in context.tiers
    return [*(_host_program(name) for name in systems.names()
              if not named and name != HOST),
            *(_host_program(f'{suite}-gcc', '--fresh')
              for suite in ('bookworm', 'trixie'))]


def _guest_programs(context, pattern, limit, folder='guest'):
    env = {**os.environ, 'PYTHONDONTWRITEBYTECODE': '1',
           'TMPDIR': str(context.folder)}
    return [tap.Program(path.stem, [sys.executable, str(path)], 'tap',
                        limit * sanitize.patience(), env, str(TREE))
            for path in sorted((TREE / 'tests' / folder).glob(pattern))]


def guest(context):
    """The programs in tests/guest that do not take long."""
    return [p for p in _guest_programs(context, 'test-*.py', 2400)
            if not context.guests or p.name in context.guests]


def libvirt(context):
    """libvirt with the driver proxy: its tests, and domains that run."""
    return _guest_programs(context, 'long-*.py', 3600, 'libvirt')


def _long_targets():
    """The builds for other targets and with all features, with their tests"""
    return [_script('tests/compile/long-targets.py', 'tap', 8 * 3600)]


def _long_mapped():
    """virtfs-mapped on large shares, and killed many times"""
    program = _unittest('tests/unit/mapped/long-mapped.py', 2 * 3600)
    program.env['VIRTFS_MAPPED'] = str(build.MAPPED)
    return program


def long(context):
    """The programs that take long."""
    sanitizers = [] if sanitize.active() else \
        [*_long_fuzz(context.minutes), *_long_sanitize(),
         *_long_hosts(context)]
    return [*sanitizers,
            *_guest_programs(context, 'long-*.py', 4 * 3600),
            *([] if 'libvirt' in context.tiers or sanitize.active()
              else libvirt(context)),
            *([] if sanitize.active() else _long_bases()),
            *([] if sanitize.active() else _long_targets()),
            *([] if sanitize.active() else [_long_mapped()]),
            _unittest('tests/bench/long-bench.py', 4 * 3600)]


TIERS = {'style': style, 'warnings': warnings, 'docs': docs, 'unit': unit,
         'helper': helper, 'qtest': qtest, 'attack': attack,
         'fuzz': fuzz, 'hosts': hosts, 'guest': guest, 'libvirt': libvirt,
         'long': long}
# Those that run only if they are named
NAMED = {'libvirt', 'long'}


def _default_tiers(sanitizers):
    """The tiers that ./check runs if the user names none."""
    if 'thread' in sanitizers:
        return ['unit', 'helper', 'qtest']
    if sanitizers:
        return ['unit', 'helper', 'qtest', 'attack', 'guest']
    return [t for t in TIERS if t not in NAMED
            and not (t == 'hosts' and bases.active())]


def _show(report):
    """Prints the result of a program."""
    counts = ', '.join(f'{report.count(o)} {o}'
                       for o in (tap.PASS, tap.FAIL, tap.SKIP)
                       if report.count(o))
    failed = report.count(tap.FAIL)
    print(f'  {"FAILED" if failed else "ok":7} {report.program.name}: '
          f'{counts} ({report.seconds:.1f} s)')
    if failed:
        for result in report.results:
            if result.outcome == tap.FAIL:
                print(f'          {result.name}'
                      + (f': {result.why}' if result.why else ''))
        print('          command: '
              + ' '.join(str(w) for w in report.program.argv))
        print('          last lines of its output:')
        for line in report.output.splitlines()[-60:]:
            print('            ' + line)
    sys.stdout.flush()


def _at_once(tier):
    """The number of the tier's programs that run at the same time."""
    return min(AT_ONCE.get(tier, 1), len(os.sched_getaffinity(0)))


def _complete(report):
    """Adds the reports of sanitizers to the results."""
    found = sanitize.report(report.output)
    if found and sanitize.active():
        report.results.append(tap.Result('sanitizer', tap.FAIL, found))


def _starts_early(tiers, options):
    """Whether the tier hosts runs beside others"""
    return {'hosts', BESIDE} <= set(tiers) and not options.hosts and \
        'hosts' not in options.tiers


def _programs(tier, context, done):
    """The programs of a tier"""
    try:
        programs = TIERS[tier](context)
    except (Fail, subprocess.SubprocessError) as e:
        print(f'  FAILED  {e}')
        done.append((tier, tier, tap.Result('start', tap.FAIL, str(e))))
        return []
    for program in programs:
        program.tier = tier
    return programs


def _run_tier(tier, context, done, programs, beside):
    """Runs a tier's programs; adds (tier, program, result) of every test."""
    print(f'{tier}:')
    sys.stdout.flush()
    with contextlib.closing(runner.run(
            programs, _at_once(tier), beside)) as reports:
        for report in reports:
            _complete(report)
            _show(report)
            done += [(report.program.tier, report.program.name, r)
                     for r in report.results]


def _run(tiers, options):
    """Runs tiers; (tier, program, result) of every test."""
    done = []
    beside = []
    with contextlib.ExitStack() as stack:
        context = Context(_temporary(stack, 'virtfs-check-'), options)
        context.stack = stack
        # Programs that are killed leave their folders there
        os.environ['TMPDIR'] = str(context.folder / 'tmp')
        stack.callback(runner.end, beside)
        early = _starts_early(tiers, options)
        if early:
            # The last tier waits for its end.
            tiers = [*(t for t in tiers if t != 'hosts'), 'hosts']
        for tier in tiers:
            if early and tier == BESIDE:
                beside += runner.start(_programs('hosts', context, done))
            programs = [] if early and tier == 'hosts' else \
                _programs(tier, context, done)
            _run_tier(tier, context, done, programs, beside)
            # An ordinary user's ./check cannot have this tier
            optional = tier == 'hosts' and tier not in options.tiers
            if not optional and all(r.outcome == tap.SKIP
                                    for t, _, r in done if t == tier):
                print(f'  FAILED  no test of the tier {tier} ran')
                done.append((tier, tier, tap.Result('tests', tap.FAIL)))
    return done


def _purposes(tiers):
    """The purposes of the packages that the tiers need"""
    more = ['bench', 'targets', 'full',
            *(t for t in TIERS if t != 'docs')] \
        if 'long' in tiers else []
    # Only root can use what the tier hosts needs
    return [p for p in ('build', 'run', 'boot', *tiers, *more)
            if p != 'hosts' or os.geteuid() == 0]


def _write(path, done):
    """Writes all results to a file."""
    lines = ('\t'.join(' '.join(word.split()) for word in (
        r.outcome, tier, program, r.name, r.why)) for tier, program, r in done)
    pathlib.Path(path).write_text(''.join(f'{li}\n' for li in lines),
                                  encoding='utf-8')


def main(argv):
    """Runs the command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog='./check', description=DESCRIPTION,
        usage='./check [OPTION...] [TIER...]',
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('tiers', nargs='*', metavar='TIER',
                        help=', '.join(TIERS))
    parser.add_argument('--base', metavar='BASE',
                        help='the QEMU to build with: ' + bases.choices())
    parser.add_argument('--sanitize', metavar='LIST',
                        help='address,undefined or one of these, or thread')
    parser.add_argument('--fuzz-minutes', metavar='N', type=int,
                        default=FUZZ_MINUTES,
                        help='for all fuzzers of the tier long (default: '
                        f'{FUZZ_MINUTES})')
    for name, text in (
            ('guests', 'of the tier guest, only these programs'),
            ('qtests', 'of the tier qtest, only tests whose paths have one of '
             'these words, such as synth or local/none'),
            ('hosts', 'of the tier hosts, only these, such as trixie-clang')):
        parser.add_argument(f'--{name}', metavar='LIST', default=[],
                            type=lambda text: text.split(','), help=text)
    parser.add_argument('--results', metavar='FILE',
                        help='also write a line for each test there: outcome, '
                        'tier, program, test and reason, with tabs')
    options = parser.parse_args(argv)
    tiers = options.tiers or _default_tiers(sanitize.active())
    for tier in tiers:
        if tier not in TIERS:
            parser.error(f'{tier}: no such tier; there are '
                         + ', '.join(TIERS))
    if options.base is not None:
        try:
            bases.start(options.base, bases.without_option(argv))
        except Fail as e:
            parser.error(str(e))
    if options.sanitize is not None:
        try:
            sanitize.start(sanitize.parse(options.sanitize), [
                *options.tiers,
                *(f'--{name}=' + ','.join(getattr(options, name))
                  for name in ('guests', 'qtests') if getattr(options, name))])
        except Fail as e:
            parser.error(str(e))
    start = time.monotonic()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            # Leave through the code that cleans up
            signal.signal(number, lambda n, _: sys.exit(128 + n))
    try:
        debian.need(_purposes(tiers))
        build.configure()
        # Each set of targets has a stamp of its own
        every = set(TIERS) - NAMED <= set(tiers)
        build.build(_targets(tiers), name='-'.join(
            ['check', *(() if every else sorted(tiers))]))
        if not {'guest', 'libvirt', 'long'}.isdisjoint(tiers):
            # ./boot then finds its targets built
            build.emulator()
        done = _run([t for t in TIERS if t in tiers], options)
    except (Fail, OSError) as e:
        note(e)
        print('0 passed, 1 failed, 0 skipped')
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    if options.results:
        _write(options.results, done)
    skipped = [(t, p, r) for t, p, r in done if r.outcome == tap.SKIP]
    if skipped:
        print('skipped:')
        for tier, program, result in skipped:
            print(f'  {tier}: {program}: {result.name}: '
                  + (result.why or 'no reason given'))
    minutes, seconds = divmod(int(time.monotonic() - start), 60)
    print(f'time: {minutes}:{seconds:02}')
    counts = [sum(r.outcome == o for _, _, r in done)
              for o in (tap.PASS, tap.FAIL, tap.SKIP)]
    print('{} passed, {} failed, {} skipped'.format(*counts))
    return 1 if counts[1] else 0
