# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that boots a Debian from a share and works on a second one.

An ordinary user starts ./boot, and so a helper for each share. The root file
system is cached (cache=loose), because programs map files of it. The helper of
the second share keeps devices as files and privileged attributes under names of
users (xattr-map).
"""

import contextlib
import os
import pathlib
import secrets
import stat
import unittest

import harness
from harness import GuestCase, User
from virtfs import build, kernel, rootfs, sanitize          # noqa: E402

# The manual's rules for overlayfs, capabilities and labels
RULES = ':prefix:all:trusted.:user.virtiofs.::prefix:all:security.:' \
        'user.virtiofs.:'
TAG = 'work'
MOUNT = f'mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 {TAG}'

# The programs that work on the second share, in one system
SUITE = 'trixie'
PACKAGES = ('attr', 'busybox-static', 'crun', 'debootstrap', 'fuse-overlayfs',
            'libcap2-bin', 'podman')
MODULES = ('overlay', 'fuse')


def system():
    """An archive of the Debian whose programs work on the second share."""
    return rootfs.archive(SUITE, PACKAGES, '-containers')


def image(who):
    """A kernel with the modules, where that user's ./boot finds it."""
    folder = kernel.debian(MODULES).image.parent
    User.need(folder)
    cache = who.environment().get('XDG_CACHE_HOME')
    place = pathlib.Path(cache, 'virtfs-proxy', folder.name) \
        if who.user.other else folder
    return place / 'vmlinuz'


def second(share):
    """QEMU's arguments for another share of that folder."""
    return ['-fsdev', f'proxy,id={TAG},path={share},helper={build.HELPER},'
            f'xattr-map={RULES}',
            '-device', f'virtio-9p-pci,fsdev={TAG},mount_tag={TAG}']


def foreign(who, share):
    """Files of a share that no guest's file may be on the host: devices, files
    with privileged attributes, and files of others than the user's ids."""
    user = who.user.user
    ids = {user.pw_uid, *range(who.user.uids[0], sum(who.user.uids))}
    groups = {user.pw_gid, *range(who.user.gids[0], sum(who.user.gids))}
    found = []
    for path in [share, *share.rglob('*')]:
        st = path.lstat()
        names = []
        if stat.S_ISREG(st.st_mode) or stat.S_ISDIR(st.st_mode):
            names = os.listxattr(path)
        if stat.S_ISCHR(st.st_mode) or stat.S_ISBLK(st.st_mode) or \
                st.st_uid not in ids or st.st_gid not in groups or \
                any(not n.startswith('user.') for n in names):
            found.append((path, oct(st.st_mode), st.st_uid, st.st_gid, names))
    return found


class Rooted(GuestCase):
    """Its methods' scripts run below /work of the root."""

    who = User
    memory = '1G'
    limit = 1200 * sanitize.patience()
    setup = ''                  # a script that runs first

    @classmethod
    def prepare(cls):
        """Adds files to the root and to the second share."""

    @classmethod
    def setUpClass(cls):
        cls.host = cls.who()
        why = cls.host.lacks()
        if why:
            raise unittest.SkipTest(why)
        source = system()
        cls.root, cls.share = (harness.new_share(cls.host) for _ in range(2))
        rootfs.own_ids(source, cls.root, cls.host.user)
        work = cls.root / 'work'
        work.mkdir()
        cls.prepare()
        mark = f'=={secrets.token_hex(8)}=='
        parts = ['export LC_ALL=C', cls.setup]
        for name, method in cls.methods():
            (work / f'{name}.sh').write_text(method.script + '\n')
            parts.append(f'(cd /work && exec bash {name}.sh) 2>&1 </dev/null; '
                         f'echo "{mark} {name} $?"')
        for path in [work, *work.rglob('*'), *cls.share.rglob('*')]:
            cls.host.give(path)
        options = ('--root', '--memory', cls.memory, '--kernel',
                   str(image(cls.host)), '--mount-options', 'cache=loose')
        cls.take(mark, harness.run(cls.host, cls.root, '\n'.join(parts),
                                   options, cls.limit, second(cls.share)))

    @classmethod
    def tearDownClass(cls):
        # Some hundred megabytes each
        for path in cls.root, cls.share:
            with contextlib.suppress(OSError):
                harness.remove(path)

    def succeeds(self):
        """The script's status, with its output if it failed"""
        self.assertEqual(self.status, 0, self.said)
