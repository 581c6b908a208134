#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""This tree builds and works on another Debian than this machine's.

usage: debian-host.py SUITE-COMPILER [--qtests=LIST] [--fresh]

Makes the system (scripts/virtfs/hosts.py), and works in it: ./boot as root and
as an ordinary user, then ./check with the tiers that need no guest. Reports as
TAP: the tests of that ./check, and one for the warnings of the compiler.

--qtests=LIST   of the tier qtest, only these tests (see ./check --help)
--fresh         the two commands of README.md on a system with nothing but
                Python: ./boot as both users, each in a copy of the tree, then
                ./check as root
"""

import argparse
import contextlib
import pathlib
import re
import sys

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / 'scripts'))

# pylint: disable=wrong-import-position
from virtfs import debian, hosts, tap                       # noqa: E402
from virtfs.hosts import BUILD_INSIDE, CACHE_INSIDE, TREE_INSIDE  # noqa: E402

TIERS = ['unit', 'helper', 'qtest']
FRESH_TIERS = ['style', 'warnings', 'docs', *TIERS, 'attack', 'fuzz', 'guest']
PURPOSES = ('build', 'run', 'boot', *TIERS)
USER = 'someone'
RESULTS = f'{CACHE_INSIDE}/results'

WORDS = 'the guest works'
BOOT = ['./boot', '--run', f'echo {WORDS}']
# README.md's line for other command lines, alone; it runs until it is ended
ALONE = ('timeout 20 build/qemu-system-x86_64 -virtfs proxy,mount_tag=share,'
         'path=. </dev/null; test $? = 124')
# A copy of the tree without builds and history
COPY = (f'mkdir "$0" && cd {TREE_INSIDE} && for f in *; do case $f in build*)'
        ' ;; *) cp -a "$f" "$0" ;; esac; done')


class Report:
    """The results so far, as TAP; details of failures come last."""

    def __init__(self):
        self.number = 0
        self.details = []

    def add(self, passed, name, said='', skipped=None):
        """One result. said: what to show if it failed"""
        self.number += 1
        name = name.replace('#', '')
        print(f'{"ok" if passed else "not ok"} {self.number} - {name}'
              + (f' # SKIP {skipped}' if skipped is not None else ''),
              flush=True)
        if not passed:
            self.details += [f'{name}:', *said.splitlines()[-40:]]

    def end(self):
        """Prints the plan; returns the exit status."""
        print(f'1..{self.number}')
        for line in self.details:
            print('# ' + line)
        return 1 if self.details else 0


class Host:
    """Work in a system, with one of its compilers."""

    def __init__(self, system, compiler, report):
        self.system = system
        self.report = report
        self.log = ''                   # of all builds
        self.env = {'VIRTFS_CONFIGURE': f'--cc={compiler}'}

    def sh(self, script, *arguments, **more):
        """Runs a script that must succeed, with sh."""
        status, said = self.system.run(
            ['sh', '-ec', script, *(arguments or ['sh'])], **more)
        if status:
            raise hosts.Fail(f'{script}: {said}')
        return said

    def run(self, folder, argv, user=None, **env):
        """Runs one of the tree's commands: (status, output)."""
        status, said = self.system.run(
            ['env', '-C', folder, *argv], user=user, env={**self.env, **env})
        self.log += said
        return status, said

    def add_user(self):
        """Adds an ordinary user, with a copy of the cache."""
        self.sh(f'useradd -m -s /bin/sh {USER}; mkdir /home/{USER}/.cache; '
                f'! test -d {CACHE_INSIDE} || cp -a {CACHE_INSIDE}/* '
                f'/home/{USER}/.cache; chown -R {USER}: /home/{USER}')
        return {'HOME': f'/home/{USER}',
                'XDG_CACHE_HOME': f'/home/{USER}/.cache'}

    def boot(self, who, folder, user=None, prefix=(), **env):
        """./boot runs a command in a guest."""
        status, said = self.run(folder, [*prefix, *BOOT], user, **env)
        self.report.add(status == 0 and WORDS in said.splitlines(),
                        f'./boot --run, by {who}', said)

    def boots(self):
        """./boot as both users; root's builds QEMU, with low priority, as
        other tests may run meanwhile."""
        self.boot('root', TREE_INSIDE, prefix=('nice',))
        self.boot('an ordinary user', TREE_INSIDE, USER, **self.add_user())

    def readme(self):
        """README.md's other commands"""
        _, said = self.run(TREE_INSIDE, ['tests/guest/test-readme.py'])
        for result in tap.parse_tap(said):
            self.report.add(result.outcome != tap.FAIL, result.name, said,
                            result.why if result.outcome == tap.SKIP else None)

    def tests(self, folder, tiers, options=(), **env):
        """./check, whose results become ours"""
        status, said = self.run(folder, [
            './check', f'--results={RESULTS}', *options, *tiers], **env)
        path = self.system.path(RESULTS)
        lines = path.read_text(encoding='utf-8').splitlines() \
            if path.exists() else []
        failed = 0
        for line in lines:
            outcome, *names, why = line.split('\t')
            failed += outcome == 'failed'
            self.report.add(outcome != 'failed', ': '.join(names), said,
                            why if outcome == 'skipped' else None)
        self.report.add(lines and (status == 0) == (failed == 0),
                        f'./check {" ".join(tiers)} ends', said)

    def warnings(self):
        """The compiler has none about this tree's files."""
        found = set()
        for line in self.log.splitlines():
            at = re.match(rf'(?:\S*\.base/qemu/|{TREE_INSIDE}/)?(\S+?):\d+:.*'
                          r'warning: ', line)
            if at and (TREE / at[1]).is_file():
                found.add(line)
        self.report.add(not found, 'no warnings', '\n'.join(sorted(found)))

    def fresh(self, copy, user, **env):
        """./boot in a copy of the tree, on a system that may lack all"""
        who = user or 'root'
        self.sh(COPY, copy)
        if user:
            self.sh(f'chown -R {user}: {copy}')
        self.boot(who, copy, user, VIRTFS_BUILD=None, **env)
        status, said = self.run(copy, ['sh', '-c', ALONE], user,
                                VIRTFS_BUILD=None, **env)
        self.report.add(status == 0, f'a QEMU of {who}', said)

    def refused(self, env):
        """An ordinary user's ./boot names the packages that are missing."""
        status, said = self.run(TREE_INSIDE, BOOT, USER, **env)
        self.report.add(status == 125 and said.count('apt install ') == 1
                        and {'gcc', 'libglib2.0-dev', 'seabios'} <= set(
                            said.split()), './boot names packages', said)


def main(argv):
    """Runs all tests; returns the exit status."""
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('name')
    parser.add_argument('--qtests')
    parser.add_argument('--fresh', action='store_true')
    options = parser.parse_args(argv)
    suite, compiler = hosts.parse(options.name)
    lacks = hosts.lacks()
    if lacks:
        print(f'1..0 # SKIP {lacks}')
        return 0
    debian.need(['hosts'])
    report = Report()
    with contextlib.ExitStack() as stack:
        purposes = () if options.fresh else PURPOSES + (
            ('clang',) if compiler == 'clang' else ())
        system = hosts.System.made(suite, hosts.folder(stack), purposes)
        host = Host(system, compiler, report)
        try:
            if options.fresh:
                env = host.add_user()
                host.refused(env)
                host.fresh('/srv/fresh', None)
                host.fresh(f'/home/{USER}/fresh', USER, **env)
                host.tests('/srv/fresh', FRESH_TIERS, VIRTFS_BUILD=None)
            else:
                host.boots()
                host.readme()
                host.tests(TREE_INSIDE, TIERS, [f'--qtests={options.qtests}']
                           if options.qtests else [])
            host.warnings()
        except hosts.Fail as e:
            report.add(False, 'the system', str(e))
    return report.end()


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
