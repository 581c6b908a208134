#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests with their root file system on 9p: a whole Debian, at work.

All programs and libraries come from the share, and the programs work on it:
apt, git, gcc, SQLite, fio, which verifies its data, and the stressors of
stress-ng for file systems, which verify each call.

Programs map files that they write, which Linux' client refuses with cache=none.
Some guests use cache=mmap, where each open and each name goes to the server,
others cache=loose, where the guest's memory serves most reads, and writes are
large. With cache=mmap the client makes a new inode for each name that it
looks up, and two processes may see different data of one file. SQLite with two
writers then damages its database on any server (with Debian's QEMU 7.2 and its
local driver, too). So it has one writer at a time with cache=mmap, and two
otherwise.
"""

import os
import secrets
import sys

import harness
from harness import GuestCase, Owner, Root, User, guest, local

from virtfs import rootfs, sanitize                         # noqa: E402

# Seconds that each stressor works
SHORT = 3

# The stressors of stress-ng's classes "filesystem" and "io" (see
# stress-ng --class io?), and some more that work on files, without
# - dnotify, ioprio: they rely on writes that no signal interrupts. Linux'
#   client does not keep that with any server: its writes go through
#   netfs_perform_write(), which returns EINTR when a signal is pending.
# - fsize: Linux' 9p client has no fallocate(2), so stress-ng writes instead,
#   but only until its time is over, and then expects a failure that has not
#   come. Until then it finds no error.
# - bind-mount: stress-ng itself refuses it, because it may hang the machine.
# - binderfs, eventfd, procfs, rawdev: they use no file of the share.
STRESSORS = (
    'access', 'aio', 'aiol', 'chattr', 'chdir', 'chmod', 'chown', 'copy-file',
    'dentry', 'dir', 'dirdeep', 'dirmany', 'dup', 'fallocate', 'fanotify',
    'fcntl', 'fiemap', 'file-ioctl', 'filename', 'flock', 'fpunch', 'fstat',
    'getdent', 'handle', 'hdd', 'inode-flags', 'inotify', 'io', 'io-uring',
    'iomix', 'lease', 'link', 'locka', 'lockf', 'lockofd', 'mknod', 'mmap',
    'msync', 'open', 'readahead', 'rename', 'revio', 'seek', 'sendfile',
    'splice', 'symlink', 'sync-file', 'touch', 'utime', 'verity', 'xattr',
)

FIO = '''fio --name=f --directory=. --size={size} --bs={bs} --rw={rw} \\
             --ioengine={engine} --verify=crc32c --do_verify=1 \\
             --verify_fatal=1 --verify_state_save=0 --fallocate=none \\
             --minimal --output=out {more} 2>err
         status=$?; cat err; [ $status -eq 0 ] || cat out; exit $status'''


class Rooted(GuestCase):
    """A guest that boots from the share."""

    # Unpacks the files with the owners as the share stores them
    unpack = staticmethod(rootfs.real)
    options = ()
    cache = 'mmap'
    limit = 900 * sanitize.patience()
    __test_me__ = False

    @classmethod
    def setUpClass(cls):
        cls.host = cls.who()
        why = cls.host.lacks()
        if why:
            raise harness.unittest.SkipTest(why)
        source = rootfs.archive()
        cls.share = harness.new_share(cls.host)
        cls.unpack(source, cls.share, getattr(cls.host, 'user', None))
        mark = f'=={secrets.token_hex(8)}=='
        parts = [f'export LC_ALL=C CACHE={cls.cache}']
        for name, method in cls.methods():
            parts.append(
                f"mkdir -p /work/{name}; cat >/work/{name}.sh <<'{mark}'\n"
                f'{method.script}\n{mark}\n'
                f'(cd /work/{name} && exec sh ../{name}.sh) 2>&1 </dev/null; '
                f'echo "{mark} {name} $?"')
        options = ('--root', '--memory', '1G', '--mount-options',
                   f'cache={cls.cache}', *cls.options)
        cls.take(mark, harness.run(cls.host, cls.share, '\n'.join(parts),
                                   options, cls.limit))

    @classmethod
    def tearDownClass(cls):
        # Some hundred megabytes
        harness.remove(cls.share)

    def succeeds(self):
        self.assertEqual(self.status, 0, self.said)

    @guest('''grep -w / /proc/mounts; grep -o 'root=[^ ]*' /proc/cmdline
              . /etc/os-release; echo $ID; readlink /proc/$$/exe''')
    def test_root(self):
        """The root file system is the share, and programs run from it"""
        said = self.said.splitlines()
        self.assertRegex(said[0], r'^share / 9p rw,')
        self.assertEqual(said[1:], ['root=share', 'debian', '/usr/bin/dash'])

    @guest('''set -e
              mkdir -p t/DEBIAN t/opt/own t/usr/bin
              printf '%s\\n' 'Package: own-test' 'Version: 1' \\
                  'Architecture: all' 'Maintainer: nobody <a@b.c>' \\
                  'Depends: coreutils' 'Description: test' >t/DEBIAN/control
              printf '#!/bin/sh\\nchown games:games /opt/own/data\\n' \\
                  >t/DEBIAN/postinst
              chmod 755 t/DEBIAN/postinst
              seq 50000 >t/opt/own/data; ln -s ../../opt/own/data t/usr/bin/own
              i=0; while [ $i -lt 200 ]; do
                  echo $i >t/opt/own/f$i; i=$((i + 1))
              done
              dpkg-deb --root-owner-group -b t own.deb
              apt-get install -y ./own.deb
              dpkg -s own-test | grep ^Status; dpkg -V own-test
              stat -c %U:%G /opt/own/data; seq 50000 | cmp - /usr/bin/own
              apt-get purge -y own-test
              [ ! -e /opt/own ] && [ ! -L /usr/bin/own ]; dpkg --audit''')
    def test_apt(self):
        """apt-get installs a package, verifies it, and removes it"""
        self.succeeds()
        self.assertIn('Status: install ok installed\ngames:games\n', self.said)

    @guest('''set -e
              export HOME=$PWD
              git config --global user.name t
              git config --global user.email a@b.c
              git init -q -b main one; cd one; cp -r /usr/include/linux .
              ln -s linux/stat.h link; chmod 755 linux/stat.h
              git add .; git commit -qm 1
              git mv linux other; echo x >>other/stat.h; git commit -qam 2
              git status --porcelain; cd ..
              git clone -q --no-local one two; cd two
              git fsck --full --strict; git gc -q --prune=now
              git fsck --full --strict; git checkout -q HEAD~; git status -s
              git checkout -q main; cd ..
              diff -r --no-dereference --exclude=.git one two
              git -C two log --oneline | wc -l; stat -c %a two/other/stat.h''')
    def test_git(self):
        """git: a repository, its clone, gc, and fsck finds nothing"""
        self.succeeds()
        self.assertEqual(self.said.splitlines()[-2:], ['2', '755'])

    @guest('''set -e
              i=0; while [ $i -lt 10 ]; do
                  echo "#include <stdio.h>" >f$i.c
                  echo "int f$i(void) { return printf(\\"$i\\"); }" >>f$i.c
                  echo "int f$i(void);" >>all.h; echo "f$i();" >>calls.h
                  i=$((i + 1))
              done
              printf '#include "all.h"\\nint main(void) {\\n%s\\n' \\
                  '#include "calls.h"' >main.c; echo 'return 3; }' >>main.c
              printf 'own: $(patsubst %%.c,%%.o,$(wildcard *.c))\\n' >Makefile
              printf '\\tgcc -o $@ -L. $^\\n' >>Makefile
              make -j2; set +e; ./own; echo " $?"
              gcc -shared -fPIC -o libown.so f1.c && rm f1.c &&
              echo 'int f1(void); int main(void) { return f1(); }' >m.c &&
              gcc -o dyn m.c -L. -lown && LD_LIBRARY_PATH=. ./dyn; echo " $?"
              make -q 2>clock; touch f2.c; make -n 2>>clock | grep -c f2.c''')
    def test_gcc(self):
        """gcc and make: programs and a library are built and run"""
        self.assertEqual(self.said.splitlines()[-3:],
                         ['0123456789 3', '1 1', '1'])

    SQLITE = '''
        q() { sqlite3 -bail -cmd '.timeout 60000' db "$1"; }
        q 'PRAGMA journal_mode=@;
           CREATE TABLE t (id INTEGER PRIMARY KEY, who, data);
           CREATE INDEX i ON t (who, data)'
        writer() {
            i=0; while [ $i -lt 15 ]; do
                q "BEGIN IMMEDIATE; WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL
                   SELECT n + 1 FROM c WHERE n < 20) INSERT INTO t (who, data)
                   SELECT $1, randomblob(500) FROM c; COMMIT" || exit
                i=$((i + 1))
            done
        }
        if [ $CACHE = loose ]; then
            writer 1 & one=$!; writer 2 & wait $! && wait $one || exit
        else
            (writer 1) && (writer 2) || exit
        fi
        q 'DELETE FROM t WHERE id % 3 = 0; PRAGMA integrity_check;
           SELECT count(*), count(DISTINCT who) FROM t; VACUUM;
           PRAGMA integrity_check; PRAGMA journal_mode'
        ls'''

    @guest(SQLITE.replace('@', 'DELETE'))
    def test_sqlite_delete(self):
        """SQLite with a rollback journal: no damage"""
        self.assertEqual(self.said.split(), [
            'delete', 'ok', '400|2', 'ok', 'delete', 'db'])

    @guest(SQLITE.replace('@', 'WAL'))
    def test_sqlite_wal(self):
        """SQLite with a write-ahead log: no damage"""
        self.assertEqual(self.said.split(), [
            'wal', 'ok', '400|2', 'ok', 'wal', 'db'])

    @guest(FIO.format(size='32m', bs='64k', rw='write', engine='psync',
                      more=''))
    def test_fio_sequential(self):
        """fio: sequential writes, read back"""
        self.succeeds()

    @guest(FIO.format(size='8m', bs='4k', rw='randrw', engine='psync',
                      more='--numjobs=2 --fsync=64'))
    def test_fio_random(self):
        """fio: small blocks at random places, by two processes"""
        self.succeeds()

    @guest(FIO.format(size='8m', bs='512-40k', rw='randwrite',
                      engine='psync', more='--bs_unaligned --fdatasync=32'))
    def test_fio_unaligned(self):
        """fio: blocks of any size at any place"""
        self.succeeds()

    @guest(FIO.format(size='8m', bs='16k', rw='randwrite', engine='psync',
                      more='--direct=1'))
    def test_fio_direct(self):
        """fio: without the guest's cache (O_DIRECT)"""
        self.succeeds()

    @guest(FIO.format(size='8m', bs='4k', rw='randwrite', engine='mmap',
                      more=''))
    def test_fio_mmap(self):
        """fio: through a shared mapping"""
        self.succeeds()


def _stressor(name):
    @guest(f'''stress-ng --{name} 2 --timeout {SHORT}s --verify \\
                   --temp-path . >out 2>&1; status=$?
               rm -f out.core; [ $status -eq 0 ] || cat out
               rm out; ls -A; exit $status''')
    def test(self):
        self.assertEqual((self.status, self.said), (0, ''))
    test.__doc__ = f'stress-ng --{name}'
    return test


for _name in STRESSORS:
    _method = _stressor(_name)
    _method.__name__ = f'test_stress_{_name.replace("-", "_")}'
    setattr(Rooted, _method.__name__, _method)
del _name, _method


class ProxyRoot(Rooted):
    """The proxy driver, with a helper that root starts."""
    __test_me__ = True
    who = Root


class ProxyUser(Rooted):
    """The proxy driver, run by an ordinary user."""
    __test_me__ = True
    who = User
    unpack = staticmethod(rootfs.own_ids)
    cache = 'loose'


class LocalPassthrough(Rooted):
    """The local driver, run by root."""
    __test_me__ = True
    who = Root
    options = local('passthrough')
    cache = 'loose'


class LocalMapped(Rooted):
    """The local driver, run by an ordinary user."""
    __test_me__ = True
    who = Owner
    unpack = staticmethod(rootfs.mapped)
    options = local('mapped-xattr')


if __name__ == '__main__':
    sys.exit(harness.main())
