# SPDX-License-Identifier: GPL-2.0-or-later
"""./check --sanitize: the tests on a build with the compiler's sanitizers.

Sanitizers find errors that a test by itself may miss: reads and writes out of
bounds or after free (address), undefined behaviour (undefined), and data races
(thread). Each set of them has a build folder of its own beside the usual one. A
report ends the process and so fails its test. If the process was a child of the
test, ./check finds the report in the test's output.

Settings that QEMU needs:
- detect_leaks=0: QEMU frees many objects only by ending the process.
- detect_stack_use_after_return=1: frames are outside of the stack, and stay
  there for a while after their function returned. QEMU's coroutines switch
  stacks, and tell AddressSanitizer about each switch (util/coroutine-ucontext.c
  of the base).
- A build with address or thread lacks the helper's seccomp filter
  (fsdev/helper/seccomp.c), because sanitizers need further system calls. The
  tests of the filter skip.
- ThreadSanitizer knows QEMU's coroutines as fibers, but not memory fences (gcc
  warns about that with -Wtsan). Fragments of the base in base/fragments/util
  tell it what the thread pool and waits for an IOThread order, and
  fsdev/shared/tsan-locks.h does so for GLib's locks. The file tsan-suppressions
  excludes reports about the base alone, each with its reason.
- thread runs no guest: the emulated processors race on the guest's memory, as
  guests themselves do. Of the qtests it runs those with an IOThread.
- die_after_fork=0: the helper starts its threads after it forks.
- G_SLICE: GLib passes small blocks of memory from thread to thread by a lock
  that ThreadSanitizer does not see.
"""

import os
import re
import sys

from fail import Fail

from . import TREE, bases

NAMES = {'address': '--enable-asan', 'undefined': '--enable-ubsan',
         'thread': '--enable-tsan'}

OPTIONS = {
    'ASAN_OPTIONS': 'detect_leaks=0:detect_stack_use_after_return=1:'
                    'halt_on_error=1',
    'UBSAN_OPTIONS': 'halt_on_error=1:print_stacktrace=1',
    'TSAN_OPTIONS': 'halt_on_error=1:second_deadlock_stack=1:'
                    'die_after_fork=0:suppressions='
                    f'{TREE}/scripts/virtfs/tsan-suppressions',
    'G_SLICE': 'always-malloc',
}

# With thread, the qtests whose paths have one of these
THREAD_QTESTS = ('/iothread/',)

# Variables that programs keep when they run as another user
ENVIRONMENT = ('VIRTFS_BASE', 'VIRTFS_SANITIZE', 'VIRTFS_BUILD',
               'VIRTFS_CONFIGURE', *OPTIONS)

REPORT = re.compile(
    r'^.*(?:(?:ERROR|WARNING): \w+Sanitizer|runtime error: ).*$', re.M)


def active():
    """The names of the build's sanitizers, with commas; '' for none."""
    return os.environ.get('VIRTFS_SANITIZE', '')


def suits(qtest):
    """Whether a qtest runs in this build."""
    return 'thread' not in active() or any(p in qtest for p in THREAD_QTESTS)


def patience():
    """The factor for time limits."""
    return 4 if active() else 1


def parse(text):
    """A sorted list of names; Fail if no build can have all of them."""
    names = sorted(set(text.split(',')))
    for name in names:
        if name not in NAMES:
            raise Fail(f'--sanitize={text}: {name!r} is not one of '
                       + ', '.join(NAMES))
    if 'thread' in names and len(names) > 1:
        raise Fail(f'--sanitize={text}: thread cannot be combined with others')
    return names


def start(names, argv):
    """Replaces this process with a ./check for that build."""
    folder = os.environ.get('VIRTFS_BUILD', '')
    if bases.active() or not folder:
        folder = '-'.join([folder or str(TREE / 'build'), *names])
    os.environ.update({
        'VIRTFS_SANITIZE': ','.join(names),
        'VIRTFS_BUILD': folder,
        'VIRTFS_CONFIGURE': ' '.join(
            [os.environ.get('VIRTFS_CONFIGURE', ''),
             *(NAMES[n] for n in names)]).strip(),
        **OPTIONS})
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, '-B', TREE / 'check',
                              *argv])


def report(text):
    """The first line of a sanitizer's report in a test's output, or None."""
    found = REPORT.search(text)
    return found[0].strip() if found else None
