# SPDX-License-Identifier: GPL-2.0-or-later
"""./check --sanitize: the tests on a build that watches itself.

The compiler's sanitizers find what a test by itself may not see: reads and
writes out of bounds and after free (address), what C leaves undefined
(undefined), threads that race (thread). Each set of them has a build folder of
its own beside the usual one. A report ends the process, and so fails the test;
where the process was not the test's own, ./check finds the report in what the
test wrote.

How sanitizers get along with QEMU:
- detect_leaks=0: QEMU leaves much to the end of the process.
- detect_stack_use_after_return=0: it keeps frames outside of the stack, and
  QEMU's coroutines change stacks without its knowledge. They change by
  sigsetjmp and siglongjmp and tell AddressSanitizer of it, when the build has
  it (util/coroutine-ucontext.c), so that frames on the stack need no more.
- The helper's seccomp filter is not in a build with address or thread
  (fsdev/helper/seccomp.c): sanitizers need system calls that the helper does
  not. The tests of the filter skip.
- thread is for the helper and the unit tests: QEMU's emulated processor races
  with itself on the guest's memory, as guests do. QEMU's thread pool orders
  its work with memory fences, of which ThreadSanitizer does not know (gcc's
  -Wtsan says so). It reports the pool's own lists, which the file
  tsan-suppressions keeps from it, and sometimes what a worker wrote and the
  completion reads: a unit test that has much of this skips.
- die_after_fork=0: the helper makes its threads after it has made its processes.
"""

import os
import pathlib
import re
import sys

from fail import Fail

from . import TREE

NAMES = {'address': '--enable-asan', 'undefined': '--enable-ubsan',
         'thread': '--enable-tsan'}

OPTIONS = {
    'ASAN_OPTIONS': 'detect_leaks=0:detect_stack_use_after_return=0:'
                    'halt_on_error=1',
    'UBSAN_OPTIONS': 'halt_on_error=1:print_stacktrace=1',
    'TSAN_OPTIONS': 'halt_on_error=1:second_deadlock_stack=1:'
                    'die_after_fork=0:suppressions='
                    f'{TREE}/scripts/virtfs/tsan-suppressions',
}

# Unit tests that use QEMU's thread pool for almost all they do
THREAD_POOL = ('test-9p-local-driver',)

# What tests started for another user keep of the environment
ENVIRONMENT = ('VIRTFS_SANITIZE', 'VIRTFS_BUILD', 'VIRTFS_CONFIGURE', *OPTIONS)

REPORT = re.compile(
    r'^.*(?:(?:ERROR|WARNING): \w+Sanitizer|runtime error: ).*$', re.M)


def active():
    """The sanitizers of the build in use, as named; '' for none."""
    return os.environ.get('VIRTFS_SANITIZE', '')


def lacks(test):
    """Why a unit test can say nothing in this build, or None."""
    if 'thread' in active() and test in THREAD_POOL:
        return "ThreadSanitizer does not know the fences of QEMU's thread pool"
    return None


def patience():
    """How many times the usual time a test may take."""
    return 4 if active() else 1


def parse(text):
    """A list of names, sorted; Fail if they make no build."""
    names = sorted(set(text.split(',')))
    for name in names:
        if name not in NAMES:
            raise Fail(f'--sanitize={text}: {name!r} is none of '
                          + ', '.join(NAMES))
    if 'thread' in names and 'address' in names:
        raise Fail(f'--sanitize={text}: the compiler has no build with '
                      'both address and thread')
    return names


def start(names, argv):
    """Starts ./check again, for that build. Does not return."""
    folder = pathlib.Path(TREE, 'build-' + '-'.join(names))
    os.environ.update({
        'VIRTFS_SANITIZE': ','.join(names),
        'VIRTFS_BUILD': os.environ.get('VIRTFS_BUILD') or str(folder),
        'VIRTFS_CONFIGURE': ' '.join(
            [os.environ.get('VIRTFS_CONFIGURE', ''),
             *(NAMES[n] for n in names)]).strip(),
        **OPTIONS})
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, '-B', TREE / 'check',
                              *argv])


def report(text):
    """The first line of a sanitizer's report in what a test wrote, or None."""
    found = REPORT.search(text)
    return found[0].strip() if found else None
