# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of virtfs-mapped convert stand on this: shares with each kind of file,
what their guests see, and conversions that are killed at random moments."""

import contextlib
import os
import random
import signal
import subprocess
import time

import mapped_tool
from mapped_tool import FOLDER, MODELS, ROOT

MARK = 'user.virtfs.convert'
STAGING = '.virtfs_convert'
# Kills of one test, and the seconds after which there are no more
KILLS = int(os.environ.get('MAPPED_KILLS', 20))
SECONDS = int(os.environ.get('MAPPED_SECONDS', 8))
FILES = 300

ACL = bytes.fromhex('02000000' '01000600ffffffff' '02000400e8030000'
                    '04000400ffffffff' '10000600ffffffff' '20000400ffffffff')
ACLS = {'access': 'd4/f18', 'default': 'd4'}
SIZES = (0, 1, 1000, 65536)


class Share(mapped_tool.Case):
    """A share with each kind of file"""

    def fill(self, model, acls=False):
        """Makes a share's files, byte by byte."""
        for i in range(FILES):
            above = self.share / f'd{i % 7}'
            if not above.exists():
                self.by_user(lambda p=above: p.mkdir(0o700))
                self.view(model, above, 0o40711, i, 70)
            kinds = (0o100644, 0o120777, 0o10600, 0o140755, 0o20600, 0o104755)
            mode = kinds[i % len(kinds)]
            path = above / f'f{i}'
            self.put(path, {kinds[0]: b'%d' % i * i,
                            kinds[1]: b'../target'}.get(mode, b''))
            if i % 11:
                self.view(model, path, mode, i, i + 1,
                          os.makedev(8, i) if mode == kinds[4] else None)
        # Of a regular file, a link and a device
        for name in ('f0', 'f49', 'f28'):
            for more in ('hard', 'harder'):
                self.link(model, self.share / 'd0' / name,
                          self.share / 'd1' / f'{more}-{name}')
        odd = self.share / 'd2' / os.fsdecode(b'\xff\n')
        self.put(odd, b'x')
        self.view(model, odd, 0o100600, 1, 2)
        for size in SIZES:
            # Few file systems have room for the largest one.
            with contextlib.suppress(OSError if size > 1000 else ()):
                os.setxattr(odd, f'user.own{size}', b'x' * size)
        closed = self.share / 'd2/closed'
        self.by_user(closed.mkdir)
        self.put(closed / 'inside', b'secret')
        self.view(model, closed / 'inside', 0o100000, 9, 9)
        os.chmod(closed / 'inside', 0)
        self.view(model, closed, 0o40000, 9, 9)
        self.view(model, self.share, 0o40750, 3, 4)
        os.symlink('/nowhere', self.share / 'host-link')
        if acls:
            for kind, name in ACLS.items():
                os.setxattr(self.share / name,
                            f'user.virtfs.system.posix_acl_{kind}', ACL)
                self.view(model, self.share / name,
                          0o100664 if kind == 'access' else 0o40711, 5, 6)
        os.utime(self.share / 'd3', (1000, 1000))
        os.utime(self.share, (2000, 2000))

    def view(self, model, path, mode, uid, gid, rdev=None):
        """The view of a file"""
        if model == 'mapped-xattr':
            more = {} if rdev is None else {'rdev': rdev}
            self.views(path, mode=mode, uid=uid, gid=gid, **more)
            return
        text = f'virtfs.uid={uid}\nvirtfs.gid={gid}\nvirtfs.mode={mode}\n' + \
            ('' if rdev is None else f'virtfs.rdev={rdev}\n')
        if path == self.share:
            self.put(path / ROOT, text.encode())
        else:
            self.meta(path, text)

    def link(self, model, old, new):
        """Another name"""
        os.link(old, new)
        meta = old.parent / FOLDER / old.name
        if model == 'mapped-file' and meta.exists():
            os.link(meta, new.parent / FOLDER / new.name)

    def left(self, model, share=None):
        """What is there of a mapped model"""
        share = share or self.share
        if model == 'mapped-file':
            return list(share.rglob('.virtfs_meta*'))
        return [p for p in (share, *share.rglob('*'))
                if not p.is_symlink() and [
                    n for n in os.listxattr(p) if n.startswith('user.virtfs')]]

    def state(self, *words, share=None, mtimes=True):
        """All that the guest sees: {path: properties}, with the paths of the
        same inode in place of its number. A directory's size is the host's.
        mtimes: with those of directories"""
        share = share or self.share
        seen = self.see(share, *words)
        names = {}
        for path, o in seen.items():
            names.setdefault(o['inode'], []).append(path)
        for path, o in seen.items():
            o['inode'] = names[o['inode']]
            o.pop('nlink')
            if o['type'] == 'directory':
                o.pop('size')
                if not mtimes:
                    o.pop('mtime'), o.pop('mtime_ns')
            elif o['type'] == 'file':
                o['content'] = self.content(share, path)
        return seen

    def content(self, share, path):
        """A file's content and own attributes"""
        name = os.path.join(os.fsencode(share), path)
        mode = os.stat(name).st_mode & 0o7777
        closed = not os.access(name, os.R_OK)
        if closed:
            os.chmod(name, 0o600)
        with open(name, 'rb') as f:
            found = f.read(), [(n, os.getxattr(name, n))
                               for n in sorted(os.listxattr(name))
                               if n.startswith('user.own')]
        if closed:
            os.chmod(name, mode)
        return found

    def same(self, before, *words, **more):
        """Compares what the guest sees."""
        self.maxDiff = 2000
        self.assertEqual(self.state(*words, **more), before)

    def kill_some(self, goals, command, check):
        """Kills conversions at random moments, and starts the next one.

        goals: what is to be reached, in turn, whether a conversion was killed
        or done; or an iterator of its own
        command: the arguments for a goal
        check: called after each, with the goal and whether that is reached
        """
        start = time.monotonic()
        self.run_it(*command(goals[0]))
        whole = time.monotonic() - start
        check(goals[0], True)
        kills = stopped = 0
        at = 1
        # Few kills may all come too early or too late: then there are more.
        while time.monotonic() < start + SECONDS and kills < KILLS or \
                stopped <= kills // 4 and \
                time.monotonic() < start + 3 * SECONDS:
            goal = goals[at % len(goals)]
            begin = time.monotonic()
            child = subprocess.Popen(
                [self.program, *map(os.fsencode, command(goal)), '--threads',
                 random.choice(('1', '2', '4'))],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                start_new_session=True, **self.who())
            try:
                child.wait(random.uniform(0, 1.2 * whole))
            except subprocess.TimeoutExpired:
                # unshare(1) has a child, which would wait for it for ever.
                os.killpg(child.pid, signal.SIGKILL)
            _, err = child.communicate(timeout=mapped_tool.LIMIT)
            if child.returncode == 0:
                # The first one may have run on a busy machine.
                whole = min(whole, time.monotonic() - begin)
            # It may have been done just before the last kill.
            done = child.returncode == 0 or b': its model is ' in err or \
                err.endswith(b': it is not empty\n')
            if not done:
                self.assertEqual((child.returncode, err[:1000]),
                                 (-signal.SIGKILL, b''))
                kills += 1
                stopped += self.is_stopped()
            check(goal, done)
            # The same goal again, or the other one
            at += done or random.random() < 0.3
        goal = goals[at % len(goals)]
        self.run_it(*command(goal), expect=None)
        check(goal, True)
        # If this fails, the kills were no test.
        self.assertGreater(stopped, kills // 4)
        return goal

    def is_stopped(self):
        """Whether a conversion has begun and is not done"""
        return MARK in os.listxattr(self.share)


OTHER = dict(zip(MODELS, MODELS[::-1]))
