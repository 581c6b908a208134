# SPDX-License-Identifier: GPL-2.0-or-later
"""The ordinary user that rootless tests run as.

An ordinary user who starts the tests is that user, and needs subordinate ids.
For root it is the system user virtfs-test. This module creates that user if it
is missing, with a range of subordinate ids (entries in /etc/passwd, /etc/group,
/etc/subuid and /etc/subgid). The user may have no access to this tree, which
may be below /root. Its commands then get a mount namespace in which the folders
above the tree contain nothing except the path to it.
"""

import os
import pathlib
import pwd
import shlex
import shutil
import stat
import subprocess

from fail import Fail

from . import TREE, sanitize

NAME = 'virtfs-test'
RANGE = 65536                   # subordinate ids


def _ranges(path):
    """(user, first, count) of all ranges in /etc/subuid or /etc/subgid."""
    try:
        lines = pathlib.Path(path).read_text(encoding='ascii').splitlines()
    except OSError:
        return []
    entries = [line.split(':') for line in lines]
    return [(e[0], int(e[1]), int(e[2])) for e in entries if len(e) == 3]


def subordinate(path, user):
    """(first, count) of a user's first range in /etc/subuid or /etc/subgid."""
    for name, first, count in _ranges(path):
        if name in (user.pw_name, str(user.pw_uid)):
            return first, count
    return None


def _free_range(path):
    """The first id above all ranges of a file."""
    return max([100000, *(first + count for _, first, count in _ranges(path))])


def _make():
    """Creates the user; only root can do that."""
    try:
        pwd.getpwnam(NAME)
    except KeyError:
        subprocess.run(['useradd', '--system', '--user-group',
                        '--no-create-home', '--home-dir', '/nonexistent',
                        '--shell', '/usr/sbin/nologin', NAME], check=True)
    user = pwd.getpwnam(NAME)
    for path, option in (('/etc/subuid', '--add-subuids'),
                         ('/etc/subgid', '--add-subgids')):
        if not subordinate(path, user):
            first = _free_range(path)
            subprocess.run(['usermod', option,
                            f'{first}-{first + RANGE - 1}', NAME], check=True)


def _closed(path):
    """The highest folder above a path that others may not enter."""
    for above in reversed(path.parents):
        if not above.stat().st_mode & stat.S_IXOTH:
            return above
    return path if not path.stat().st_mode & stat.S_IXOTH else None


class TestUser:
    """Runs commands as the ordinary user."""

    __test__ = False

    def __init__(self):
        self.other = os.geteuid() == 0
        if self.other:
            _make()
            self.user = pwd.getpwnam(NAME)
        else:
            self.user = pwd.getpwuid(os.geteuid())
        self.uids = subordinate('/etc/subuid', self.user)
        self.gids = subordinate('/etc/subgid', self.user)

    def lacks(self):
        """Why rootless tests cannot run, or None."""
        if not self.uids or not self.gids:
            return (f'{self.user.pw_name} has no subordinate ids '
                    '(/etc/subuid, /etc/subgid)')
        if not shutil.which('newuidmap'):
            return 'newuidmap is not installed (package uidmap)'
        return self.no_namespace()

    def no_namespace(self):
        """Why the user cannot create a user namespace, or None."""
        done = subprocess.run(self.command(['unshare', '--user', 'true']),
                              stdin=subprocess.DEVNULL, cwd='/',
                              capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return None
        return 'an ordinary user cannot create a user namespace here: ' + \
            done.stderr.strip()

    def command(self, argv):
        """A command that runs the given one as the user."""
        argv = [str(word) for word in argv]
        if not self.other:
            return argv
        become = ['setpriv', f'--reuid={self.user.pw_uid}',
                  f'--regid={self.user.pw_gid}', '--clear-groups',
                  '--inh-caps=-all', '--', *argv]
        closed = _closed(TREE)
        if not closed:
            return become
        tree = shlex.quote(str(TREE))
        if closed == TREE:
            raise Fail(f'only the owner may enter {TREE}: run chmod o+x on it '
                       'for the tests of ordinary users')
        script = (f'set -e; view=$(mktemp -d); '
                  f'mount --bind {tree} "$view"; '
                  f'mount -t tmpfs -o mode=755 tmpfs '
                  f'{shlex.quote(str(closed))}; '
                  f'mkdir -p {tree}; mount --move "$view" {tree}; '
                  'rmdir "$view"; cd /; exec "$@"')
        return ['unshare', '--mount', '--propagation', 'private',
                'sh', '-c', script, 'sh', *become]

    def environment(self, home):
        """The environment of its commands. home: a folder that it owns."""
        env = {'HOME': str(home), 'XDG_CACHE_HOME': str(home),
               'TMPDIR': str(home), 'USER': self.user.pw_name,
               'LOGNAME': self.user.pw_name}
        for name in ('PATH', 'LANG', *sanitize.ENVIRONMENT):
            if name in os.environ:
                env[name] = os.environ[name]
        return env

    def give(self, path):
        """Gives a file or folder to the user."""
        if self.other:
            os.chown(path, self.user.pw_uid, self.user.pw_gid,
                     follow_symlinks=False)

    def host_uid(self, uid):
        """The host's uid for a guest's uid: the user itself is the guest's
        root, and its subordinate ids are the guest's ids from 1 on."""
        return self.user.pw_uid if uid == 0 else self.uids[0] + uid - 1

    def host_gid(self, gid):
        """Like host_uid(), for groups."""
        return self.user.pw_gid if gid == 0 else self.gids[0] + gid - 1
