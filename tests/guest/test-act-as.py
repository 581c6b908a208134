#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""A helper that works on files as the guest's users (act-as=guest), and as
root (act-as=root): two users of a guest and its root do the same work on a disk
of the guest and on the share, and see the same.

Root starts the helper of each share, because QEMU is an ordinary user's. One of
them looks at ids alone, as a file server does: it has no capability that passes
over permissions.
"""

import os
import sys
import unittest

import harness
from harness import Guest, Root

POWERLESS = '--modcaps=-dac_override:-dac_read_search:-fowner:-chown'

SHARES = {
    'guest': ['--act-as=guest'],
    'ids': ['--act-as=guest', POWERLESS],
    'root': ['--act-as=root'],
}

SCRIPT = '''
printf 'alice:x:1234:1234::/:/bin/sh\\nbob:x:4321:4321::/:/bin/sh\\n' \\
    >>/etc/passwd
echo ours:x:78:alice >>/etc/group
for tag in guest ids root; do
    mkdir /tmp/$tag
    mount -t 9p -o trans=virtio,version=9p2000.L,cache=none $tag /tmp/$tag
done
as() { su -s /bin/sh $1 -c "$2" >/tmp/said 2>&1; echo "$1: $2: $?"; }
work() {
    mkdir -m 755 home; chown 1234:1234 home; mkdir -m 1777 tmp
    mkdir -m 2777 team; chgrp 77 team; chmod 2777 team
    as alice 'echo text >home/f; chmod 600 home/f; cat home/f'
    as alice 'mkdir -m 700 home/d; echo x >home/d/x; ln -s x home/d/l'
    as bob 'cat home/f'; as bob 'ls home/d'; as bob 'touch home/g'
    as bob 'echo more >>home/f'; as bob 'chmod 666 home/f'; as bob 'rm home/f'
    as bob 'chown bob home/f'; as alice 'chown bob home/f'
    as alice 'umask 0377; exec 3>home/ro; echo long text >&3; echo x >&3'
    as alice 'echo no >>home/ro'; as alice 'truncate -s 1 home/ro'
    as alice 'cp home/ro tmp/s; chmod 4755 tmp/s; mkfifo tmp/p'
    as bob 'rm -f tmp/s'; as bob 'mv tmp/s tmp/t'; as bob 'mv tmp/p home/p'
    as bob 'echo b >tmp/b; ln tmp/b tmp/c; cp tmp/s tmp/mine'
    as alice 'cat tmp/b; rm -f tmp/b'
    as alice 'for m in 6777 4666 2757 6646; do
        for f in w t d; do echo text >home/$f$m; chmod $m home/$f$m; done; done'
    for m in 6777 4666 2757 6646; do
        as bob "echo more >>home/w$m; : >home/t$m
            echo d | dd of=home/d$m conv=notrunc 2>&1"
    done
    cat home/[wtd][246]*
    as alice 'mkdir team/a; touch team/a/f team/g; chmod 2755 team/g'
    as root 'cat home/f home/ro home/d/x'
    as root 'chown 4321 home/d/x; chmod 640 home/f; echo r >home/r'
    as bob 'cat home/d/x'; as root 'rm -r home/d'
    find . | sort | xargs stat -c '%n %u:%g %a %F %h'
    cat home/f tmp/b tmp/mine
}
for tag in disk guest root; do
    mkdir -p /tmp/$tag; cd /tmp/$tag; work >/tmp/$tag.said 2>&1
done
wc -l </tmp/disk.said
diff /tmp/disk.said /tmp/guest.said && echo guest as on a disk
diff /tmp/disk.said /tmp/root.said && echo root as on a disk

# The guest's client lets alice; the helper does not know this group of hers.
cd /tmp/guest; echo text >ours; chgrp 78 ours; chmod 660 ours
as alice 'cat ours'; as root 'cat ours'

cd /tmp/ids
as root 'cat secret'; as root 'touch home/x'; as root 'echo >>public'
as alice 'cat secret'; as alice 'echo more >>secret; touch home/a'
as bob 'cat public'; as bob 'touch home/b'
'''

IDS = '''alice: cat ours: 1
root: cat ours: 0
root: cat secret: 1
root: touch home/x: 1
root: echo >>public: 2
alice: cat secret: 0
alice: echo more >>secret; touch home/a: 0
bob: cat public: 0
bob: touch home/b: 1
'''


class ActAs(unittest.TestCase):

    who = Root
    ids = IDS                   # what the guest says about these shares
    maxDiff = None

    def setUp(self):
        self.host = self.who()
        why = self.host.lacks()
        if why:
            self.skipTest(why)

    def test_users(self):
        """Users' rights on a share are those on a disk"""
        share = harness.new_share(self.host)
        qemu, paths = [], {}
        for tag, options in SHARES.items():
            paths[tag] = harness.new_share(self.host)
            sock = harness.serve(self, self.host, paths[tag], '-u', 'nobody',
                                 *options)
            qemu += ['-fsdev', f'proxy,id={tag},socket={sock}',
                     '-device', f'virtio-9p-pci,fsdev={tag},mount_tag={tag}']
        ids = paths['ids']
        (ids / 'home').mkdir()
        for name, mode, uid in (('home', 0o755, 1234), ('secret', 0o600, 1234),
                                ('public', 0o644, 1234)):
            if name != 'home':
                (ids / name).write_text('text\n')
            os.chmod(ids / name, mode)
            os.chown(ids / name, uid, uid)
        with Guest(self.host, share, SCRIPT, qemu=qemu) as guest:
            guest.wait()
            said = guest.stdout().decode()
            complained = guest.stderr().decode()
        self.assertIn('\n', said, complained)
        lines, rest = said.split('\n', 1)
        self.assertGreater(int(lines), 40, said)
        self.assertEqual(rest, 'guest as on a disk\nroot as on a disk\n' +
                         self.ids,
                         complained)
        st = os.stat(ids / 'home/a')
        self.assertEqual((st.st_uid, st.st_gid), (1234, 1234))
        self.assertEqual((ids / 'secret').read_text(), 'text\nmore\n')


if __name__ == '__main__':
    sys.exit(harness.main())
