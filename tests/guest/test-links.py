#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest neither sees nor changes anything outside the share: not by
symbolic links of the host or the guest, and not while a process of the host
exchanges folders and links.
"""

import ctypes
import os
import pathlib
import sys
import threading

import harness
from harness import Guest, GuestCase, Root, User, for_each, guest, wait_for

SECRET = 'secret of the host'
RENAME_EXCHANGE = 2
_libc = ctypes.CDLL(None, use_errno=True)


def _outside(folder):
    """A folder beside the share, with something to see and to change."""
    path = folder.parent.parent / f'outside-{folder.parent.name}'
    path.mkdir(exist_ok=True)
    path.chmod(0o777)
    for name in ('seen', 'changed'):
        (path / name).write_text(SECRET)
        (path / name).chmod(0o666)
    return path


def _links(folder):
    """Links made on the host, to the file by a full and a relative path."""
    outside = _outside(folder)
    up = f'../../{outside.name}'
    for name, target in (('abs', f'{outside}/'), ('rel', f'{up}/'),
                         ('root', '/'), ('up', '../../..')):
        os.symlink(target, folder / name)
    for kind, way in (('abs', str(outside)), ('rel', up)):
        os.symlink(f'{way}/seen', folder / f'{kind}-seen')
        os.symlink(f'{way}/changed', folder / f'{kind}-changed')


@for_each(Root, User)
class Links(GuestCase):

    def outside(self):
        return _outside_of(self.folder)

    @guest('''cat abs-seen rel-seen abs/seen rel/seen; ls abs rel/.
              ls up/ | head -n 50; ls root/; find -L abs rel *-seen -name seen
              for l in abs rel abs-seen; do readlink $l; done''', _links)
    def test_host_links(self):
        """Links of the host that lead out of the share show nothing"""
        self.assertNotIn(SECRET, self.said)
        self.assertNotIn('outside-', self.said.replace(
            f'{self.outside()}', '').replace(
            f'../../{self.outside().name}', ''))
        self.assertEqual(self.said.splitlines()[-1],
                         f'{self.outside()}/seen')

    @guest('''for l in abs-changed rel-changed abs/changed rel/changed \
                  abs/new rel/new; do
                  echo guest >$l; echo guest >>$l; chmod 0 $l; chown 1:1 $l
                  truncate -s 0 $l; setfattr -n user.x -v y $l; touch $l
              done; rm abs/changed rel/changed; mkdir abs/d rel/d''', _links)
    def test_host_links_written(self):
        """A write through links of the host changes nothing outside"""
        self.check_outside(self.outside())

    @guest('''out=$(readlink abs); rel=$(readlink rel)
              ln -s "$out" mine; ln -s "$rel/changed" mine-changed
              ln -s "$rel" mine-rel; cat mine/seen mine-rel/seen
              echo guest >mine/changed; echo guest >mine-changed
              echo guest >mine-rel/new; ln mine/seen hard; ls mine/
              mv mine-rel/seen here''', _links)
    def test_guest_links(self):
        """Links of the guest do not lead outside either"""
        self.assertNotIn(SECRET, self.said)
        self.check_outside(self.outside())
        self.assertFalse((self.folder / 'hard').exists())
        self.assertFalse((self.folder / 'here').exists())

    @guest('''cd /mnt/share; ls -ai / | head -n 1 >/dev/null
              ls -id . ..; cd ..; ls; cd /mnt/share/..; ls''')
    def test_above_root(self):
        """Above the share's root is the guest's own folder"""
        self.assertEqual(self.said.splitlines()[-1], 'share')

    def check_outside(self, outside):
        self.assertEqual(sorted(os.listdir(outside)), ['changed', 'seen'])
        for name in ('seen', 'changed'):
            path = outside / name
            self.assertEqual(path.read_text(), SECRET)
            self.assertEqual(path.stat().st_mode & 0o7777, 0o666)
            self.assertEqual(os.listxattr(path), [])


def _outside_of(folder):
    return folder.parent.parent / f'outside-{folder.parent.name}'


class _Swapper(threading.Thread):
    """Exchanges two names, again and again."""

    def __init__(self, one, other):
        super().__init__(daemon=True)
        self.names = os.fsencode(one), os.fsencode(other)
        self.count = 0
        self.error = None
        self.done = threading.Event()

    def run(self):
        while not self.done.is_set():
            if _libc.renameat2(-100, self.names[0], -100, self.names[1],
                               RENAME_EXCHANGE) != 0:
                self.error = os.strerror(ctypes.get_errno())
                return
            self.count += 1


@for_each(Root, User)
class Race(harness.unittest.TestCase):
    """A process of the host exchanges a folder and a link that leads out."""

    def setUp(self):
        self.host = self.who()
        why = self.host.lacks()
        if why:
            self.skipTest(why)

    def race(self, share, read, write):
        """Lets the guest work while names are exchanged: its output"""
        harness.shutil.copy(harness.tool(), share / 'guest-tool')
        swapper = _Swapper(share / 'here', share / 'there')
        with Guest(self.host, share,
                   f'echo 1 >up; ./guest-tool race 8 {read} {write}; '
                   'echo 1 >end') as running:
            wait_for('the command', (share / 'up').exists, guest=running)
            swapper.start()
            status = running.wait()
            swapper.done.set()
            swapper.join()
            said = running.stdout().decode()
        self.assertEqual((swapper.error, status), (None, 0))
        self.assertGreater(swapper.count, 100)
        return said

    def make(self):
        share = harness.new_share(self.host)
        outside = pathlib.Path(f'{share}-outside')
        outside.mkdir()
        outside.chmod(0o777)
        for name in ('seen', 'changed'):
            (outside / name).write_text(SECRET)
            (outside / name).chmod(0o666)
        return share, outside

    def unchanged(self, outside):
        self.assertEqual(sorted(os.listdir(outside)), ['changed', 'seen'])
        for name in ('seen', 'changed'):
            self.assertEqual((outside / name).read_text(), SECRET)

    def test_folder(self):
        """A folder and a link to a folder outside are exchanged"""
        share, outside = self.make()
        (share / 'here').mkdir()
        self.host.give(share / 'here')
        (share / 'here/seen').write_text('inside')
        os.symlink(f'../{outside.name}', share / 'there')
        said = self.race(share, 'here/seen', 'here/changed')
        self.assertIn('saw inside\n', said)
        self.assertNotIn(SECRET, said)
        self.unchanged(outside)

    def test_file(self):
        """A file and a link to a file outside are exchanged"""
        share, outside = self.make()
        (share / 'here').write_text('inside')
        (share / 'here').chmod(0o666)
        self.host.give(share / 'here')
        os.symlink(f'{outside}/seen', share / 'there')
        said = self.race(share, 'here', 'there')
        self.assertRegex(said, 'saw (inside|guest|)\n')
        self.assertNotIn(SECRET, said)
        self.unchanged(outside)


if __name__ == '__main__':
    sys.exit(harness.main())
