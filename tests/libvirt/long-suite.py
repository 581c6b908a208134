#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirt's own test suite, with the cases of contrib/libvirt.

It prints a line of TAP for each of its programs.
"""

import json
import os
import subprocess
import sys

from built import BUILD, build

# Two of libvirt's scripts read files that only a build with LXC makes.
LXC = [f'src/lxc/lxc_monitor_{name}' for name in (
    'protocol.h', 'protocol.c', 'dispatch.h')]
# Programs that have cases of contrib/libvirt, which must have run
OURS = {'qemuxmlconftest', 'qemuhotplugtest', 'qemuvirtfsproxytest',
        'virschematest'}
GOOD = {'OK', 'EXPECTEDFAIL'}


def run():
    """Runs the suite: (name, result) of its programs, and its output."""
    python = BUILD.with_name(f'{BUILD.name}.base') / 'python/bin/python3'
    if not python.exists():
        python = sys.executable         # its Meson is new enough
    log = BUILD / 'meson-logs/testlog.json'
    log.unlink(missing_ok=True)
    done = subprocess.run(
        [python, '-m', 'mesonbuild.mesonmain', 'test', '--no-rebuild',
         '--print-errorlogs', '-C', BUILD, '--num-processes',
         str(len(os.sched_getaffinity(0)))],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors='replace', check=False)
    if not log.exists():
        return [], done.stdout
    tests = map(json.loads, log.read_text(encoding='utf-8').splitlines())
    return [(t['name'].split(' / ')[-1], t['result']) for t in tests], \
        done.stdout


def main():
    """Prints the results."""
    build()
    build(*LXC)
    tests, said = run()
    bad = False
    for number, (name, result) in enumerate(tests, 1):
        word = 'ok' if result in GOOD | {'SKIP'} else 'not ok'
        skip = ' # SKIP' if result == 'SKIP' else ''
        bad |= word != 'ok'
        print(f'{word} {number} - {name}{skip}')
    ran = {name for name, result in tests if result in GOOD}
    missing = sorted(OURS - ran)
    print('not ok' if missing else 'ok', len(tests) + 1,
          '- the cases of contrib/libvirt ran')
    print(f'1..{len(tests) + 1}')
    if bad or missing:
        for line in said.splitlines()[-400:]:
            print(f'# {line}')
        print(f'# did not pass: {missing}')
    return int(bad or bool(missing))


if __name__ == '__main__':
    sys.exit(main())
