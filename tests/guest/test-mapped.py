#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""virtfs-mapped and a guest see the same share.

The program unpacks an archive; a guest finds all of it, works on it, and says
what it has then; the program lists and packs the same. Meanwhile QEMU serves
the share, and the program leaves it alone.
"""

import io
import json
import os
import re
import subprocess
import sys
import tarfile
import unittest

import harness
from harness import LIMIT, Guest, Owner, Root, local, new_share, wait_for
from virtfs import build

# The guest's shell: type, mode, owner, device, target, content of all files
LIST = '''
find . -print | sort | while read -r f; do
    stat -c '%n|%F|%a|%u:%g|%t:%T' "$f"
    [ -L "$f" ] && echo "-> $(readlink "$f")"
    [ -f "$f" ] && [ ! -L "$f" ] && md5sum < "$f"
done'''

WORK = '''
chown 5:6 dir/file; chmod 4711 dir/file
mkdir -m 700 new; chown 7:8 new; mknod new/dev b 8 33; mkfifo new/pipe
ln -s "../dir/file" new/sym; ln dir/file new/hard; mv link moved
echo more > new/text; rm hard; mv dir new/dir'''

SCRIPT = f'''
echo "== before"
{LIST}
echo "== ready"
i=0; while [ ! -e go ] && [ $i -lt {LIMIT * 4} ]; do
    sleep 0.25; i=$((i + 1)); done
rm -f go
{WORK}
echo "== after"
{LIST}
sync'''

# What stat -c %F says, and virtfs-mapped
TYPES = {'regular file': 'file', 'regular empty file': 'file',
         'directory': 'directory', 'symbolic link': 'link', 'fifo': 'fifo',
         'block special file': 'block-device',
         'character special file': 'char-device', 'socket': 'socket'}


def archive():
    """A small tree with each kind of file"""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w', format=tarfile.PAX_FORMAT) as t:
        for name, kind, more in (
                ('.', tarfile.DIRTYPE, {'mode': 0o755}),
                ('dir', tarfile.DIRTYPE, {'mode': 0o2775}),
                ('dir/file', tarfile.REGTYPE, {'data': b'x' * 70000}),
                ('hard', tarfile.LNKTYPE, {'linkname': 'dir/file'}),
                ('link', tarfile.SYMTYPE, {'linkname': 'to/nowhere'}),
                ('chr', tarfile.CHRTYPE, {'devmajor': 1, 'devminor': 3}),
                ('blk', tarfile.BLKTYPE, {'devmajor': 8, 'devminor': 300}),
                ('fifo', tarfile.FIFOTYPE, {'mode': 0o600}),
                ('none', tarfile.REGTYPE, {'mode': 0})):
            info = tarfile.TarInfo(name)
            info.type, info.uid, info.gid, info.mode = kind, 1234, 5678, 0o640
            data = more.pop('data', b'')
            info.size = len(data)
            for key, value in more.items():
                setattr(info, key, value)
            t.addfile(info, io.BytesIO(data))
    return out.getvalue()


class Same(unittest.TestCase):
    """One guest for each model and user"""

    def tool(self, who, *words, expect=0, data=b''):
        """Runs the program as the user; its output and messages."""
        done = subprocess.run(
            who.command([build.MAPPED, *words]), env=who.environment(),
            input=data, capture_output=True, timeout=LIMIT, check=False,
            cwd='/')
        self.assertEqual(done.returncode, expect, done)
        return done.stdout, done.stderr.decode()

    def seen(self, who, share):
        """The share, as the program sees it: {path: (type, mode, ...)}"""
        out, _ = self.tool(who, 'find', '--json', share)
        found = {}
        for line in out.splitlines():
            o = json.loads(line)
            path = os.path.relpath(o['path'], share)
            path = './' + path if path != '.' else '.'
            found[path] = (o['type'], int(o['mode'], 8),
                           f"{o['uid']}:{o['gid']}", o.get('target'),
                           (o['major'], o['minor']) if 'major' in o else None)
        return found

    def said(self, text):
        """The same, as the guest says"""
        found = {}
        for line in text.splitlines():
            if line.startswith('-> '):
                kind, mode, owner, _, number = found[path]
                found[path] = kind, mode, owner, line[3:], number
            elif '|' in line:
                path, kind, mode, owner, number = line.split('|')
                kind = TYPES[kind]
                number = tuple(int(n, 16) for n in number.split(':')) \
                    if kind.endswith('device') else None
                found[path] = kind, int(mode, 8), owner, None, number
        return found

    def test_same(self):
        """Unpacked, used by a guest, and packed"""
        for who in (Root(), Owner()):
            lacks = who.lacks()
            if lacks:
                continue
            for model in ('mapped-xattr', 'mapped-file'):
                with self.subTest(who=who.name, model=model):
                    self.one(who, model)

    def one(self, who, model):
        """One user and one model"""
        share = new_share(who)
        self.addCleanup(harness.remove, share)
        self.tool(who, 'unpack', '--model', model, share, data=archive())
        before = self.seen(who, share)
        with Guest(who, share, SCRIPT, local(model)) as guest:
            # The guest writes at the same offset that stdout() moves.
            wait_for('guest at work', lambda: b'== ready' in os.pread(
                guest.out.fileno(), 1 << 20, 0), guest=guest)
            # Others may read a share that is served, and not change it.
            self.assertEqual(self.seen(who, share), before)
            for words in (('set', '--uid', '1', share / 'chr'),
                          ('check', '--repair', share)):
                _, err = self.tool(who, *words, expect=1)
                self.assertIn('a QEMU, a helper or another', err)
            self.tool(who, 'set', '--live', '--uid', '77', share / 'chr')
            (share / 'go').touch()
            who.give(share / 'go')
            self.assertEqual(guest.wait(), 0, guest.stderr())
            said = guest.stdout().decode()
        parts = dict(re.findall(r'^== (\w+)\n(.*?)(?=^== |\Z)', said,
                                re.S | re.M))
        self.assertIn('before', parts, said)
        self.assertEqual(self.said(parts['before']), before)
        after = self.seen(who, share)
        self.assertEqual(self.said(parts['after']), after)
        self.assertEqual(after['./chr'][2], '77:5678')
        self.assertEqual(after['./new/dir/file'][1], 0o4711)
        self.tool(who, 'check', share)
        # What comes out of pack goes in again.
        out, _ = self.tool(who, 'pack', share)
        again = new_share(who)
        self.addCleanup(harness.remove, again)
        other = 'mapped-file' if model == 'mapped-xattr' else 'mapped-xattr'
        self.tool(who, 'unpack', '--model', other, again, data=out)
        self.assertEqual(self.seen(who, again), after)


if __name__ == '__main__':
    sys.exit(harness.main())
