#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""The 9p clients of Debian's kernels: each works, and can what the manual says.

Each kernel boots with a share in each cache mode, and works on it. Then it
answers what its client can (client-tool.c). The answers are the table of
docs/system/devices/virtfs-clients.rst.inc: --write makes that file anew, and
without it each answer must be the table's.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import unittest

import harness
from harness import Guest, Root, wait_for
from virtfs import kernel                                   # noqa: E402

TABLE = harness.TREE / 'docs/system/devices/virtfs-clients.rst.inc'

# Debian's suites, and what the table calls their kernels
SUITES = {'bookworm': 'Debian 12', 'trixie': 'Debian 13',
          'testing': "Debian's testing"}

# The rows: a name for the script below, and the text in the table
ROWS = {
    'set': 'precision of times that a program sets',
    'seen': 'precision of times that the client shows',
    'noreplace': '``renameat2`` with ``RENAME_NOREPLACE``',
    'exchange': '``renameat2`` with ``RENAME_EXCHANGE``',
    'whiteout': '``renameat2`` with ``RENAME_WHITEOUT``',
    'tmpfile': '``open`` with ``O_TMPFILE``',
    'holes': '``lseek`` with ``SEEK_HOLE`` and ``SEEK_DATA``: the holes of '
             'a file',
    'allocate': '``fallocate``',
    'direct': '``open`` with ``O_DIRECT``',
    'map': 'shared writable memory of a file, ``cache=none``',
    'mapmmap': 'shared writable memory, ``cache=mmap``',
    'maploose': 'shared writable memory, ``cache=loose``',
    'stale': 'a name whose file the host has replaced, while a program '
             'has the old one open, ``cache=none``',
    'again': 'reading from the start of an open file that the host has '
             'truncated to nothing',
    'quota': 'the host says EDQUOT, ``cache=none``',
    'quotaloose': 'the host says EDQUOT, ``cache=loose``',
    'sleep': 'the share after the guest slept (S3)',
}

BASIC = r'''
set -e
mkdir d; echo text >d/f; cat d/f; mv d/f d/g; ln d/g d/h; ln -s g d/l; cat d/l
chmod 640 d/g; chown 12:34 d/g; stat -c '%a %u:%g %h' d/g
dd if=/dev/urandom of=/tmp/big bs=65536 count=40 2>/dev/null; cp /tmp/big d/big
cmp /tmp/big d/big; i=0; while [ $i -lt 300 ]; do : >d/n$i; i=$((i + 1)); done
ls d | grep -c '^n'; setfattr -n user.x -v y d/g
getfattr --only-values -n user.x d/g; echo
echo more >>d/g; cat d/h; rm d/h; mkfifo d/p; stat -c %F d/p
rm -r d; ls -d d 2>&1 || :; echo basics done; set +e
'''
WORKED = '''text
text
640 12:34 2
300
y
text
more
fifo
ls: d: No such file or directory
basics done
'''

NONE = r'''
ask() { echo "$1=$($T "$2" "$3" "$4" "$5" 2>&1)"; }
echo x >f
echo "set=$($T times f)"; : >now; echo "seen=$($T mtime now)"
echo a >a; echo b >b
echo "noreplace=$($T rename2 1 a c)"; echo "exchange=$($T rename2 2 a b)"
echo "whiteout=$($T rename2 4 a b)"
echo "tmpfile=$($T tmpfile .)"; echo "holes=$($T holes sparse)"
echo "allocate=$($T allocate f)"; echo "direct=$($T direct f)"
echo "map=$($T map f2)"
printf 1234 >s; echo "stale=$($T stale s)"
: >ask-quota; echo "quota=$($T fill q 100)"
echo end
'''
MMAP = 'echo "mapmmap=$($T map f)"; echo end\n'
LOOSE = r'''
echo "maploose=$($T map f)"; : >ask-quota; echo "quotaloose=$($T fill q 100)"
echo end
'''
AGAIN = 'echo 12345678 >f; echo "again=$($T again f)"; echo end\n'
SLEEP = r'''
echo 1 >f
echo +6 >/sys/class/rtc/rtc0/wakealarm
echo mem >/sys/power/state || echo "sleep=the guest does not sleep"
(cat f >/tmp/read; echo 2 >g; cat g >>/tmp/read) 2>/dev/null &
i=0; while [ $i -lt 40 ] && [ "$(cat /tmp/read)" != "1
2" ]; do sleep 1; i=$((i + 1)); done
[ $i -lt 40 ] && echo "sleep=works" || echo "sleep=hangs"
echo end
'''


def _tool():
    """Builds client-tool, linked statically: its content."""
    program = os.path.join(harness.tool().parent, 'client-tool')
    subprocess.run(['gcc', '-O2', '-Wall', '-Wextra', '-Werror', '-static',
                    '-o', program, harness.HERE / 'client-tool.c'],
                   check=True)
    return program


class _Host:
    """What the host does when a guest asks for it by a file in the share."""

    def __init__(self, share, guest):
        self.share, self.guest = share, guest
        self.over = threading.Event()
        self.strace = None
        self.thread = threading.Thread(target=self._work)
        self.thread.start()

    def _work(self):
        while not self.over.wait(0.1):
            for asked in self.share.glob('ask-*'):
                name = asked.name.removeprefix('ask-')
                asked.unlink()
                getattr(self, name)()
                (self.share / f'done-{name}').touch()

    def truncate(self):
        """Truncates the file that the guest has open."""
        os.truncate(self.share / 'f', 0)

    def replace(self):
        """Puts another file in the place of one."""
        (self.share / 'new').write_text('123')
        os.replace(self.share / 'new', self.share / 's')

    def quota(self):
        """Lets each write of QEMU's fail with EDQUOT."""
        pid = harness.one_named(self.guest, 'qemu-system')
        calls = 'pwrite64,pwritev,pwritev2'
        self.strace = subprocess.Popen(
            ['strace', '-f', '-qq', '-o', '/dev/null', '-e', f'trace={calls}',
             '-e', f'inject={calls}:error=EDQUOT', '-p', str(pid)])

    def end(self):
        """Ends what the host does."""
        self.over.set()
        self.thread.join()
        if self.strace:
            self.strace.send_signal(signal.SIGINT)
            self.strace.wait()


def _answers(image, cache, script, who):
    """What a guest says up to its line "end": text. It may hang after that."""
    share = harness.new_share(who)
    tool = _tool()
    harness.shutil.copy(tool, share / 'client-tool')
    command = f'T=/tmp/client-tool; cp client-tool $T; {script}'
    options = ('--kernel', str(image), '--mount-options', f'cache={cache}')
    with Guest(who, share, command, options,
               ('-global', 'ICH9-LPC.disable_s3=0')) as guest:
        host = _Host(share, guest)
        try:
            wait_for('the end', lambda: guest.child.poll() is not None or
                     re.search(rb'^end$', guest.stdout(), re.M),
                     limit=3 * harness.LIMIT)
            time.sleep(0.2)
        finally:
            host.end()
        said = guest.stdout().decode()
        if not said.endswith('end\n'):
            raise AssertionError(f'{cache}: {said}{guest.stderr().decode()}')
        return said


def _table():
    """{text of a row: cells} of the manual's table."""
    rows = {}
    if TABLE.exists():
        for row in re.split(r'^   \* - ', TABLE.read_text(), flags=re.M)[1:]:
            cells = [' '.join(c.split())
                     for c in re.split(r'^     - ', row, flags=re.M)]
            rows[cells[0]] = cells[1:]
    return rows


def _write(found):
    """Makes the table. found: (release, {name: answer}) of each suite."""
    lines = ['..', '   SPDX-License-Identifier: GPL-2.0-or-later',
             '   Made by tests/guest/long-clients.py --write', '',
             '.. list-table::', '   :header-rows: 1', '   :widths: 37 21 21 21',
             '', '   * - What', *(f'     - Linux {release} ({SUITES[suite]})'
                                  for suite, (release, _) in found.items())]
    for name, text in ROWS.items():
        lines.append(f'   * - {text}')
        lines += [f'     - {answers[name]}'
                  for _, answers in found.values()]
    TABLE.write_text('\n'.join(lines) + '\n')


class _Client:
    """A suite's kernel, and what it answers."""

    def __init__(self, suite):
        self.who = Root()
        self.image = kernel.debian(suite=suite).image
        self.answers = {}
        self.works = {}

    def ask(self, cache, script, basic=''):
        """Boots a guest and takes its answers."""
        said = _answers(self.image, cache, basic + script, self.who)
        before, _, rest = said.partition('basics done\n')
        if basic:
            self.works[cache] = before + 'basics done\n'
        else:
            rest = said
        self.answers.update(re.findall(r'^(\w+)=(.*)$', rest, re.M))

    def ask_all(self):
        """All questions."""
        for cache, script in (('none', NONE), ('mmap', MMAP),
                              ('loose', LOOSE)):
            self.ask(cache, script, BASIC)
        self.ask('none', AGAIN)
        self.ask('none', SLEEP)


class _Suite(unittest.TestCase):
    suite = None

    @classmethod
    def setUpClass(cls):
        why = Root().lacks()
        if why:
            raise unittest.SkipTest(why)
        cls.client = _Client(cls.suite)
        cls.client.ask_all()

    def test_works(self):
        """Files, names, modes, attributes in each cache mode"""
        self.assertEqual(set(self.client.works), {'none', 'mmap', 'loose'})
        for cache, said in self.client.works.items():
            with self.subTest(cache):
                self.assertEqual(said, WORKED)

    def test_table(self):
        """Its client answers what the manual's table says"""
        table = _table()
        column = list(SUITES).index(self.suite)
        self.assertEqual(set(self.client.answers), set(ROWS))
        self.assertEqual(set(table) - {'What'}, set(ROWS.values()))
        for name, text in ROWS.items():
            with self.subTest(text):
                self.assertEqual(self.client.answers[name],
                                 table[text][column])


for _suite, _name in SUITES.items():
    globals()[_suite] = type(_name, (_Suite,), {
        'suite': _suite, '__module__': __name__, '__test_me__': True})
_Suite.__test_me__ = False


def _main():
    if sys.argv[1:] != ['--write']:
        return harness.main()
    found = {}
    for suite in SUITES:
        client = _Client(suite)
        client.ask_all()
        release = re.match(r'linux-(?:image|base|binary|modules)-(\d+\.\d+)',
                           client.image.parent.name)[1]
        found[suite] = release, client.answers
    _write(found)
    return 0


if __name__ == '__main__':
    sys.exit(_main())
