#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Attributes that mean something to the host's kernel.

With security.capability a guest could make a program on the host one that
gives its user root's rights; security.selinux, trusted.* and others steer the
host in other ways. A guest has user.* and the POSIX ACLs.
"""

import errno
import os
import shutil
import struct

import ninep
import stage

# cap_setuid=ep, for VFS_CAP_REVISION_2
CAPABILITY = struct.pack('<IIIII', 0x02000001, 1 << 7, 0, 0, 0)
NAMES = ['security.capability', 'security.selinux', 'security.ima',
         'security.evm', 'security.SMACK64', 'security.apparmor',
         'security.x', 'trusted.x', 'trusted.overlay.opaque',
         'trusted.overlay.redirect', 'system.nfs4_acl', 'system.x',
         'btrfs.compression', 'os2.x', 'x', 'Security.capability',
         'security.', 'trusted.', 'system.', 'user']


class _Program(stage.Attack):
    """A guest's program"""

    def setUp(self):
        super().setUp()
        self.path = self.folder / 'program'
        self.guest.create(self.guest.walk(fid=self.dir), 'program',
                          mode=0o755)
        self.program = self.guest.walk('program', fid=self.dir)

    def host(self):
        """The host's attributes of the file that are not the driver's."""
        return {n for n in os.listxattr(self.path)
                if not n.startswith('user.virtfs.')}


@stage.for_drivers()
class Attributes(_Program):
    """Names outside user.* and the ACLs"""

    def test_set(self):
        """Such a name is refused, and the host's file does not get it"""
        for name in NAMES:
            for value in (CAPABILITY, b'x', b''):
                for flags in (0, 1, 2):
                    self.assert_refused({errno.EOPNOTSUPP, errno.EINVAL},
                                        self.guest.setxattr, self.program,
                                        name, value, flags)
            self.assert_refused({errno.EOPNOTSUPP, errno.EINVAL},
                                self.guest.getxattr, self.program, name)
        self.assertEqual(self.host(), set())

    def test_works(self):
        """user.* works"""
        self.guest.setxattr(self.program, 'user.x', b'value')
        self.assertEqual(self.guest.getxattr(self.program, 'user.x'),
                         b'value')
        self.assertEqual(self.host(), {'user.x'})

    def test_becoming_root(self):
        """A host user who runs the guest's program gets no capability"""
        with open('/bin/cat', 'rb') as f:
            program = f.read()
        fid = self.guest.walk(fid=self.program)
        self.guest.open(fid, os.O_RDWR)
        for at in range(0, len(program), 32768):
            self.guest.write(fid, program[at:at + 32768], at)
        try:
            self.guest.setxattr(self.program, 'security.capability',
                                CAPABILITY)
        except ninep.Error:
            pass
        self.guest.clunk(fid)
        os.chmod(self.path, 0o755)
        os.chmod(self.folder, 0o755)
        # A file that is still open for writing cannot run
        copy = self.path.with_name('moved')
        os.rename(self.path, copy)
        shutil.copy(copy, self.path)
        for name in os.listxattr(copy):
            os.setxattr(self.path, name, os.getxattr(copy, name))
        said = stage.as_nobody([str(self.path), '/proc/self/status'])
        self.assertIn('CapEff:\t0000000000000000', said)


@stage.for_drivers(root=True)
class Host(_Program):
    """Attributes that the host's root has set"""

    def test_host_has(self):
        """The guest neither sees nor removes what the host has set, and a
        write removes a program's capabilities"""
        names = ['security.capability', 'trusted.x']
        os.setxattr(self.path, names[0], CAPABILITY)
        os.setxattr(self.path, names[1], b'x')
        for name in names:
            self.assert_refused({errno.EOPNOTSUPP}, self.guest.getxattr,
                                self.program, name)
            self.assert_refused({errno.EOPNOTSUPP}, self.guest.setxattr,
                                self.program, name, b'')
        listed = self.guest.getxattr(self.program, '').split(b'\0')
        self.assertFalse({n.encode() for n in names} & set(listed))
        self.assertLessEqual(set(names), self.host())
        fid = self.guest.walk(fid=self.program)
        self.guest.open(fid, os.O_RDWR)
        self.guest.write(fid, b'#!')
        self.assertEqual(self.host(), {'trusted.x'})


if __name__ == '__main__':
    stage.main()
