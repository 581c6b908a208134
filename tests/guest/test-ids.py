#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Squashing and translation of ids: what a guest and the host see of the same
files. QEMU runs as root, so that it may give files to others, and one guest has
a share for each way to ask for this. Each test's script runs in all of them.
"""

import os
import struct
import sys

import harness
from harness import GuestCase, Root, for_each, guest, local

TRANSLATE = 'translate-uid=0:100000:1000,translate-gid=0:110000:1000'
SQUASH = 'squash=root,anon-uid=4000,anon-gid=4001'
SHARES = {
    f'{word}-{driver.split(",")[0]}': f'{driver},{options}'
    for word, options in (('translate', TRANSLATE), ('squash', SQUASH))
    for driver in ('local,security_model=passthrough', 'proxy')
}


def each(script):
    """The script of a test, in the share of each."""
    body = '\n'.join(line.strip() for line in script.splitlines())
    return guest(f'''
for TAG in {' '.join(SHARES)}; do
    mkdir -p /ids/$TAG; cd /
    umount /ids/$TAG 2>/dev/null
    mount -t 9p -o trans=virtio,version=9p2000.L,access=client,posixacl \\
        $TAG /ids/$TAG && cd /ids/$TAG || exit 1
    {body}
done''')


@for_each(Root)
class Ids(GuestCase):

    options = local('passthrough')

    @classmethod
    def setUpClass(cls):
        cls.shares, cls.qemu = {}, []
        for tag, options in SHARES.items() if not cls.who().lacks() else ():
            share = cls.shares[tag] = harness.new_share(cls.who())
            (share / 'low').touch()
            (share / 'high').touch()
            os.chown(share / 'low', 7, 8)
            os.chown(share / 'high', 100007, 110008)
            cls.qemu += ['-virtfs', f'{options},path={share},mount_tag={tag}']
        super().setUpClass()

    def owners(self, name):
        """By tag, on the host"""
        return {tag: (st.st_uid, st.st_gid) for tag, share in
                self.shares.items() for st in [os.lstat(share / name)]}

    def expect(self, name, translated, squashed):
        """The owner on the host"""
        self.assertEqual(self.owners(name), {
            'translate-local': translated, 'translate-proxy': translated,
            'squash-local': squashed, 'squash-proxy': squashed})

    @each('''chmod 777 .; echo x >root; mkdir d; chown 5:6 d
             ln -s x l; mkfifo p; chown 0:7 p
             stat -c '%n %u:%g' root d l p low high''')
    def test_owners(self):
        """The guest's owners, and the host's"""
        self.assertEqual(self.status, 0, self.said)
        self.expect('root', (100000, 110000), (4000, 4001))
        self.expect('l', (100000, 110000), (4000, 4001))
        self.expect('d', (100005, 110006), (5, 6))
        self.expect('p', (100000, 110007), (4000, 7))
        translated = ('root 0:0\nd 5:6\nl 0:0\np 0:7\n'
                      'low 65534:65534\nhigh 7:8\n')
        squashed = ('root 4000:4001\nd 5:6\nl 4000:4001\np 4000:7\n'
                    'low 7:8\nhigh 100007:110008\n')
        self.assertEqual(self.said, translated * 2 + squashed * 2)

    @each('''touch mine; chown 1000 mine 2>&1; chgrp 5 mine; echo $?
             stat -c %u:%g mine''')
    def test_no_place(self):
        """An owner that has no place on the host"""
        self.expect('mine', (100000, 110005), (1000, 5))
        self.assertEqual(self.said, (
            'chown: mine: Invalid argument\n0\n0:5\n' * 2 +
            '0\n1000:5\n' * 2))

    @each('''touch a; chmod 640 a; setfacl -m u:5:rw,g:6:r a
             cd /; umount /ids/$TAG
             mount -t 9p -o trans=virtio,version=9p2000.L,posixacl \\
                 $TAG /ids/$TAG; cd /ids/$TAG; getfacl -cnE a | grep :.:''')
    def test_acl(self):
        """Users and groups in ACLs"""
        self.assertEqual(self.said, 'user:5:rw-\ngroup:6:r--\n' * 4)
        for tag, share in self.shares.items():
            acl = os.getxattr(share / 'a', 'system.posix_acl_access')
            ids = {e[2] for e in struct.iter_unpack('<HHI', acl[4:])
                   if e[0] in (2, 8)}
            self.assertEqual(ids, {100005, 110006} if 'translate' in tag
                             else {5, 6})


if __name__ == '__main__':
    sys.exit(harness.main())
