# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs test programs, several at once if the caller asks for that, and others
beside them.

Each program writes to files of its own, so that outputs do not mix. A program
ends when it exits; the runner then kills the rest of its process group.
"""

import collections
import contextlib
import os
import select
import signal
import tempfile
import time

from . import process, tap

# Seconds for a program to end after SIGTERM. It may have to end guests, which
# are in sessions of their own.
PATIENCE = 60


class _Running:
    """A running program."""

    def __init__(self, program):
        self.program = program
        self.expired = False
        self.start = time.monotonic()
        with contextlib.ExitStack() as stack:
            self.out = stack.enter_context(tempfile.TemporaryFile())
            self.err = stack.enter_context(tempfile.TemporaryFile())
            self.child = process.spawn(
                program.argv, stdout=self.out, stderr=self.err,
                env=program.env, cwd=program.cwd)
            self.pidfd = os.pidfd_open(self.child.pid)
            stack.callback(os.close, self.pidfd)
            self.files = stack.pop_all()

    def left(self):
        """The seconds left until its time limit"""
        return self.start + self.program.timeout - time.monotonic()

    def end(self):
        """Ends it, and the processes that it may have left behind."""
        process.end(self.child, PATIENCE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()

    def report(self):
        """Its results, after its end"""
        texts = []
        with self.files:
            for file in (self.out, self.err):
                file.seek(0)
                texts.append(file.read().decode(errors='replace'))
        said = texts[self.program.protocol == 'unittest']
        results = tap.results_of(self.program, said, self.child.returncode,
                                 self.expired)
        return tap.Report(self.program, results,
                          time.monotonic() - self.start, ''.join(texts))


def _wait(running):
    """Waits for a program that has ended or has reached its time limit."""
    poll = select.poll()
    for one in running:
        poll.register(one.pidfd, select.POLLIN)
    while True:
        first = min(running, key=_Running.left)
        ready = {fd for fd, _ in poll.poll(max(0, first.left()) * 1000)}
        for one in running:
            if one.pidfd in ready:
                return one
        if first.left() <= 0:
            first.expired = True
            return first


def start(programs):
    """Starts programs that run beside those of run(); gives what that takes.
    At last the caller ends those that are left with end()."""
    with process.whole():
        return [_Running(program) for program in programs]


def end(running):
    """Ends all programs; they share the time for that."""
    for one in running:
        one.child.terminate()
    for one in running:
        one.end()
        one.files.close()


def run(programs, at_once=1, beside=()):
    """Yields a report of each program, in the order in which they end.

    beside: a list of start(). Those that end meanwhile are reported, too, and
    leave the list; without other programs, all are waited for.

    Use it with contextlib.closing(): if an exception ends the loop, the running
    programs then end, too.
    """
    waiting = collections.deque(programs)
    running = []
    try:
        while waiting or running or beside and not programs:
            while waiting and len(running) < at_once:
                running += start([waiting.popleft()])
            one = _wait([*running, *beside])
            one.end()
            (running if one in running else beside).remove(one)
            yield one.report()
    finally:
        end(running)
