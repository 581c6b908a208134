# SPDX-License-Identifier: GPL-2.0-or-later
"""Child processes that never outlive their parent.

Each child asks the kernel to kill it when its parent ends for any reason
(prctl(2), PR_SET_PDEATHSIG). It has a session of its own, so that a Ctrl-C at
the terminal reaches only the parent, which then ends its children in order.
"""

import contextlib
import ctypes
import os
import signal
import subprocess

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True)

# Signals at which a program of this tree ends, and its children with it
_ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}

_watchers = []                  # of remove_after_end()


def _prctl(option, value):
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), 'prctl')


class Identity:
    """The ids that a child runs with: a user, a group and further groups."""

    def __init__(self, uid, gid, groups=()):
        self.uid = uid
        self.gid = gid
        self.groups = list(groups)


@contextlib.contextmanager
def whole():
    """Around a start of a child and the note that it runs: a signal that ends
    this process comes before or after, so that no child is forgotten."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def spawn(argv, executable=None, identity=None, pass_fds=(), stdin=None,
          stdout=None, stderr=None, env=None, cwd=None):
    """Starts a child; with an identity, as that user and irrevocably.

    executable: the program to run, if it is not argv[0].
    """
    parent = os.getpid()

    def in_child():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)     # of whole()
        # This runs after the change of user, which clears the death signal
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        if identity is not None:
            _prctl(PR_SET_NO_NEW_PRIVS, 1)

    who = {}
    if identity is not None:
        who = {'user': identity.uid, 'group': identity.gid,
               'extra_groups': identity.groups}
    return subprocess.Popen(
        argv, executable=executable, pass_fds=pass_fds,
        stdin=subprocess.DEVNULL if stdin is None else stdin,
        stdout=stdout, stderr=stderr, env=env, cwd=cwd,
        start_new_session=True, preexec_fn=in_child, **who)


def output(argv, env=None):
    """Runs a child: (status, what it wrote to stdout and stderr)."""
    child = spawn(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                  env=env)
    try:
        said = child.communicate()[0]
    finally:
        end(child)
    return child.returncode, said.decode(errors='replace')


# Tests leave files of subordinate ids, and folders that are very deep.
_REMOVE = 'rm -rf -- "$1" || unshare --map-root-user --map-auto rm -rf -- "$1"'


def remove(folder):
    """Removes a folder of tests as far as this user can."""
    subprocess.run(['sh', '-c', _REMOVE, 'sh', str(folder)], check=False,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def remove_after_end(folder):
    """Lets a process of its own remove a folder once this process has ended,
    even if it was killed: that process waits for the end of a pipe."""
    life, ours = os.pipe()
    watcher = subprocess.Popen(
        ['sh', '-c', 'cat; ' + _REMOVE, 'sh', str(folder)], stdin=life,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd='/',
        start_new_session=True)
    os.close(life)
    _watchers.append((watcher, ours))   # the end stays open


def end(child, patience=5.0):
    """Ends a child, gently at first, and reaps it."""
    if child is None or child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(patience)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
