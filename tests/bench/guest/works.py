# SPDX-License-Identifier: GPL-2.0-or-later
"""The kinds of work for guests. Each has a shell script, which runs in a folder
of the share and fails if it finds or makes something wrong, and files that the
host puts into that folder before.

This module generates all files, the same on each machine: a source tree of some
hundred files, a git repository of it, a program in C, and folders with many
files.
"""

import dataclasses
import os
import pathlib
import random
import shutil
import subprocess

FOLDERS, FILES = 30, 20                 # in the source tree
MANY_FOLDERS, MANY_FILES = 200, 99      # with the folders, 20,000 entries
SMALL = 1000                            # files of a few bytes

WORDS = ('static', 'int', 'void', 'struct', 'return', 'if', 'while', 'size',
         'buffer', 'offset', '(', ')', '{', '}', '=', '+', '->', ';')


@dataclasses.dataclass
class Work:
    """pool: the part of the pool that the host copies into the work's folder;
    changes: whether the work changes the folder; script: see agent.sh"""
    name: str
    says: str
    pool: str | None
    script: str
    changes: bool = True


WORKS = [
    Work('unpack', 'tar unpacks 600 files of source', 'tarball', '''
        tar -xf source.tar
        [ "$(wc -c <source/29/19.c)" -gt 0 ]'''),
    Work('remove', 'rm -r removes them', 'source', '''
        rm -r source
        [ ! -e source ]'''),
    Work('find', 'find checks the size of 20,000 files', 'many', '''
        [ "$(find many -mindepth 1 -size -1000k | wc -l)" = 20000 ]''',
         changes=False),
    Work('status', 'git status, 600 files', 'repository', '''
        [ -z "$(git -C repository status --porcelain)" ]'''),
    Work('checkout', 'git checkout of another branch, 300 files', 'repository',
         '''
        git -C repository checkout -q other
        grep -q 'changed' repository/29/19.c'''),
    Work('compile', 'make and gcc: a program of 6 files', 'program', '''
        make -s -C program
        [ "$(program/program)" = 15 ]'''),
    Work('create', 'bash creates 1,000 small files', 'empty', '''
        for ((i = 0; i < 1000; i++)); do
            echo "this is file $i" >$i
        done'''),
    Work('read', 'cat reads 1,000 small files', 'small', '''
        [ "$(cat small/* | wc -l)" = 1000 ]''', changes=False),
    Work('sequential', 'fio writes and reads 64 MiB in order', 'empty',
         '''
        fio --directory=. --ioengine=psync --fallocate=none --filename=f \\
            --size=64m --bs=256k --output=/tmp/fio --minimal \\
            --name=w --rw=write --end_fsync=1 --name=r --stonewall --rw=read
        rm /tmp/fio'''),
    Work('random', 'fio reads and writes 16 MiB of 4 KiB blocks at random',
         'empty', '''
        fio --directory=. --ioengine=psync --fallocate=none --filename=f \\
            --size=16m --bs=4k --output=/tmp/fio --minimal \\
            --name=w --rw=randwrite --fsync=256 \\
            --name=r --stonewall --rw=randread
        rm /tmp/fio'''),
    Work('sqlite', 'SQLite: 60 transactions, a query', 'empty', '''
        {
            echo 'CREATE TABLE t (id INTEGER PRIMARY KEY, a, b);'
            echo 'CREATE INDEX i ON t (b);'
            for ((i = 0; i < 60; i++)); do
                echo 'BEGIN;'
                for ((k = 0; k < 10; k++)); do
                    echo "INSERT INTO t (a, b) VALUES ($i, $((i * 7919 % 61)));"
                done
                echo 'COMMIT;'
            done
            echo 'SELECT count(*), sum(a) FROM t WHERE b >= 0;'
        } >/tmp/sql
        [ "$(sqlite3 -bail db </tmp/sql)" = '600|17700' ]'''),
]


def agent():
    """The whole script of a guest, for bash"""
    text = ''.join(f'work_{w.name}() {{{w.script}\n}}\n' for w in WORKS)
    return text + pathlib.Path(__file__).with_name('agent.sh').read_text(
        encoding='utf-8')


def _git(folder, *arguments):
    when = '2020-01-01T00:00:00Z'
    subprocess.run(
        ['git', '-C', folder, *arguments], check=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        env={**os.environ, 'GIT_CONFIG_GLOBAL': '/dev/null',
             'GIT_CONFIG_SYSTEM': '/dev/null',
             'GIT_AUTHOR_NAME': 'A', 'GIT_AUTHOR_EMAIL': 'a@localhost',
             'GIT_COMMITTER_NAME': 'A', 'GIT_COMMITTER_EMAIL': 'a@localhost',
             'GIT_AUTHOR_DATE': when, 'GIT_COMMITTER_DATE': when})


class Pool:
    """The files that works need, generated once; put() copies them into a
    share."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def _source(self, to):
        numbers = random.Random(9)
        for i in range(FOLDERS):
            (to / f'{i:02}').mkdir(parents=True)
            for k in range(FILES):
                lines = [' '.join(numbers.choices(WORDS, k=9))
                         for _ in range(numbers.randrange(10, 400))]
                (to / f'{i:02}/{k:02}.c').write_text('\n'.join(lines) + '\n',
                                                     encoding='ascii')

    def _program(self, to):
        to.mkdir()
        for i in range(40):
            (to / f'h{i}.h').write_text(f'#define VALUE{i} {i}\n'
                                        f'int f{i}(const char *text);\n',
                                        encoding='ascii')
        headers = ''.join(f'#include "h{i}.h"\n' for i in range(40))
        for i in range(6):
            main = ' + '.join(f'f{k}("")' for k in range(6))
            (to / f'f{i}.c').write_text(
                f'#include <stdio.h>\n#include <string.h>\n{headers}'
                f'int f{i}(const char *text)\n'
                f'{{\n    return strlen(text) + VALUE{i};\n}}\n'
                + ('int main(void)\n'
                   f'{{\n    printf("%d\\n", {main});\n    return 0;\n}}\n'
                   if i == 0 else ''), encoding='ascii')
        (to / 'Makefile').write_text(
            'CFLAGS = -O1\nprogram: $(patsubst %.c,%.o,$(wildcard *.c))\n'
            '\tgcc -o $@ $^\n', encoding='ascii')

    def _repository(self, to):
        self._source(to)
        _git(to, 'init', '-q', '-b', 'main')
        # A copy has other inodes and times, and the guest other device numbers.
        for key, value in (('core.checkStat', 'minimal'),
                           ('core.trustctime', 'false'), ('gc.auto', '0')):
            _git(to, 'config', key, value)
        _git(to, 'add', '.')
        _git(to, 'commit', '-q', '-m', 'First')
        _git(to, 'checkout', '-q', '-b', 'other')
        for path in sorted(to.glob('*/*.c'))[1::2]:
            path.write_text('/* changed */\n'
                            + path.read_text(encoding='ascii'),
                            encoding='ascii')
        _git(to, 'commit', '-q', '-a', '-m', 'Second')
        _git(to, 'checkout', '-q', 'main')
        # With files older than the index, git status need not read them.
        for path in to.glob('*/*.c'):
            os.utime(path, (1577836800, 1577836800))
        _git(to, 'update-index', '--refresh')

    def _many(self, to):
        for i in range(MANY_FOLDERS):
            (to / f'{i}').mkdir(parents=True)
            for k in range(MANY_FILES):
                (to / f'{i}/{k}').touch()

    def _small(self, to):
        to.mkdir()
        for i in range(SMALL):
            (to / f'{i}').write_text(f'this is file {i}\n', encoding='ascii')

    def _tarball(self, to):
        to.mkdir()
        subprocess.run(
            ['tar', '-C', self.path('source').parent, '--owner=0', '--group=0',
             '--numeric-owner', '--mtime=@1577836800', '--sort=name', '-cf',
             to / 'source.tar', 'source'], check=True)

    def path(self, what):
        """The path of a part of the pool, generated on first use"""
        path = self.folder / what
        if not path.exists():
            getattr(self, '_' + what)(path)
        return path

    def put(self, work, share):
        """Restores a work's folder in a share to its initial state."""
        folder = pathlib.Path(share, work.name)
        if folder.exists():
            if not work.changes:
                return
            shutil.rmtree(folder)
        folder.mkdir()
        if work.pool == 'tarball':
            shutil.copy(self.path('tarball') / 'source.tar', folder)
        elif work.pool != 'empty':
            subprocess.run(['cp', '-a', self.path(work.pool), folder],
                           check=True)
