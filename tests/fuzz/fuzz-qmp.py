#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Fuzzer of QMP: commands in any order, with devices coming and going; in TAP.

Each round starts a real QEMU, without a guest, and sends it a sequence of
commands about fsdevs, 9p devices and IOThreads, with arguments from small sets,
so that most refer to something that there is. A number gives the sequence: the
output names it, and --seed repeats it. The local exports are in a new folder.
Some helpers are real, some cannot start, some sockets lead nowhere.

Each command must have an answer in time. After the sequence the round removes
everything. Then no fsdev may be left, QEMU may hold no more descriptors than
before, and it must end with status 0.
"""

import argparse
import json
import os
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parents[1]
sys.path.insert(0, str(TREE / 'scripts'))

from virtfs import process, sanitize    # noqa: E402
from virtfs.qmp import Qmp              # noqa: E402
from fail import Fail                   # noqa: E402

FSDEVS = ['a', 'b', 'c']
DEVICES = ['d0', 'd1', 'd2', 'd3']
THREADS = ['t0', 't1']
# Seconds for one answer, and for what has no guest that would help
ANSWER = 30 * sanitize.patience()
COMMANDS = 60                   # of a round
# Memory that is freed is overwritten, so that nobody can go on with it
ENVIRONMENT = {**os.environ, 'MALLOC_PERTURB_': '90'}


class Round:
    """One QEMU and the sequence of one seed"""

    def __init__(self, seed, qemu, helper, folder):
        self.random = random.Random(seed)
        self.helper = helper
        self.folder = pathlib.Path(folder)
        self.export = self.folder / 'export'
        self.export.mkdir()
        self.export.chmod(0o755)
        self.log = []
        self.done = 0           # commands that did not end with an error
        theirs, ours = socket.socketpair()
        self.output = open(self.folder / 'output', 'w+', encoding='utf-8',
                           errors='replace')
        with theirs:
            self.qemu = process.spawn(
                [str(qemu), '-nodefaults', '-display', 'none', '-audio',
                 'none', '-machine', 'pc,accel=qtest',
                 '-chardev', f'socket,id=mon,fd={theirs.fileno()}',
                 '-mon', 'chardev=mon,mode=control'],
                pass_fds=[theirs.fileno()], stdout=self.output,
                stderr=self.output, env=ENVIRONMENT)
        self.qmp = Qmp(ours, ANSWER)

    def pick(self, *choices):
        """One of the choices"""
        return self.random.choice(choices)

    def fsdev(self):
        """Arguments of fsdev-add, most of which are valid"""
        some = {'id': self.pick(*FSDEVS)}
        kind = self.pick('local', 'local', 'synth', 'helper', 'socket', 'odd')
        if kind == 'local':
            some.update(fsdriver='local', path=str(self.export),
                        security_model=self.pick(
                            'mapped-xattr', 'mapped-file', 'none',
                            'passthrough'))
        elif kind == 'helper':
            some.update(fsdriver='proxy', path=str(self.export),
                        helper=self.pick(str(self.helper), str(self.helper),
                                         '/bin/false', '/bin/cat'))
        elif kind == 'socket':
            some.update(fsdriver='proxy', reconnect=self.pick(0, 1),
                        socket=str(self.folder / 'nowhere'))
        elif kind == 'odd':
            some.update(self.pick(
                {'fsdriver': 'local'}, {'fsdriver': 'wrong'}, {'id': '-'},
                {'fsdriver': 'proxy', 'sock_fd': '999'},
                {'fsdriver': 'local', 'path': [], 'security_model': 'none'}))
        else:
            some.update(fsdriver='synth')
        if self.pick(0, 0, 1):
            some.update(self.pick(
                {'readonly': True}, {'max_xattr': 0}, {'fmode': 0o7777777},
                {'throttling': {'bps-total': 1 << 20}},
                {'throttling': {'iops-read': -1}}, {'multidevs': 'forbid'},
                {'multidevs': 3}, {'writeout': 'immediate'},
                {'migration': 'off'}, {'migration': 'handles'},
                {'migration': 'names', 'on-missing': 'stale'},
                {'migration': 'off', 'on-missing': 'fail'}))
        return some

    def device(self):
        """Arguments of device_add"""
        some = {'driver': self.pick('virtio-9p-pci', 'virtio-9p-pci',
                                    'virtio-9p-device'),
                'id': self.pick(*DEVICES), 'fsdev': self.pick(*FSDEVS),
                'mount_tag': self.pick('tag', 'x', '', 'y' * 300)}
        if self.pick(0, 1):
            some['iothread'] = self.pick(*THREADS)
        return some

    def command(self):
        """A command and its arguments"""
        name = self.pick(
            'fsdev-add', 'fsdev-add', 'fsdev-add', 'fsdev-del', 'fsdev-del',
            'query-fsdevs', 'device_add', 'device_add', 'device_add',
            'device_del', 'device_del', 'stop', 'cont', 'system_reset',
            'object-add', 'object-del', 'human-monitor-command', 'qom-list',
            'query-pci', 'query-command-line-options', 'x-query-virtio')
        return name, {
            'fsdev-add': self.fsdev,
            'fsdev-del': lambda: {'id': self.pick(*FSDEVS)},
            'device_add': self.device,
            'device_del': lambda: {'id': self.pick(*DEVICES)},
            'object-add': lambda: {'qom-type': 'iothread',
                                   'id': self.pick(*THREADS)},
            'object-del': lambda: {'id': self.pick(*THREADS)},
            'human-monitor-command': lambda: {
                'command-line': self.pick('info fsdev', 'info qtree',
                                          'info virtio')},
            'qom-list': lambda: {'path': self.pick(
                '/machine/peripheral', '/machine/peripheral/d0', '/objects')},
        }.get(name, dict)()

    def run(self, name, arguments):
        """Sends a command; an answer that is an error is an answer."""
        self.log.append(json.dumps({'execute': name, 'arguments': arguments}))
        try:
            result = self.qmp(name, **arguments)
            self.done += 1
            return result
        except TimeoutError as e:
            raise Fail(f'{name} has no answer') from e
        except OSError as e:
            raise Fail(f'QEMU closed its monitor at {name}: {e}') from e
        except Fail as e:
            if 'closed its monitor' in str(e):
                raise
            return None

    def fds(self):
        """How many descriptors QEMU has"""
        return len(os.listdir(f'/proc/{self.qemu.pid}/fd'))

    def until(self, good, what):
        """Waits until QEMU gets there."""
        end = time.monotonic() + ANSWER
        while not good():
            if time.monotonic() > end:
                raise Fail(f'{what} after {ANSWER} seconds')
            time.sleep(0.02)

    def clean(self):
        """Removes everything; a reset ends removals without a guest."""
        for device in DEVICES:
            self.run('device_del', {'id': device})
        self.run('cont', {})
        self.run('system_reset', {})
        for device in DEVICES:
            self.run('device_del', {'id': device})
        self.until(lambda: not [
            d for d in self.run('qom-list', {'path': '/machine/peripheral'})
            if d['name'] in DEVICES], 'a device is left')

        def no_fsdev():
            for fsdev in FSDEVS:
                self.run('fsdev-del', {'id': fsdev})
            return self.run('query-fsdevs', {}) == []
        self.until(no_fsdev, 'an fsdev is left')
        for thread in THREADS:
            self.run('object-del', {'id': thread})

    def sequence(self, commands):
        """The round; Fail tells what is wrong."""
        self.run('query-fsdevs', {})
        before = self.fds()
        for _ in range(commands):
            self.run(*self.command())
        self.clean()
        # Threads of the pool and helpers may end late.
        self.until(lambda: self.fds() <= before,
                   f'{self.fds()} descriptors are open, {before} before')
        self.run('quit', {})
        try:
            status = self.qemu.wait(ANSWER)
        except subprocess.TimeoutExpired as e:
            raise Fail('QEMU does not end') from e
        if status:
            raise Fail(f'QEMU ended with status {status}')

    def end(self):
        """Ends what is left; returns QEMU's output."""
        self.qmp.close()
        process.end(self.qemu)
        self.output.seek(0)
        with self.output:
            return self.output.read()


def one(seed, options):
    """One round; returns how many commands did something, and None or why the
    round failed."""
    with tempfile.TemporaryDirectory(prefix='virtfs-fuzz-qmp-') as folder:
        os.chmod(folder, 0o755)
        this = Round(seed, options.qemu,
                     options.build / 'fsdev/virtfs-proxy-helper', folder)
        why = None
        try:
            this.sequence(options.commands)
        except (Fail, OSError, ValueError) as e:
            status = this.qemu.poll()
            why = str(e) + ('' if status is None
                            else f'; QEMU ended with status {status}')
        said = this.end()
    report = sanitize.report(said)
    if report:
        why = f'{why or ""} {report}'
    if why:
        why = '\n'.join([why, *this.log[-options.commands:],
                         *said.splitlines()[-60:]])
    return this.done, why


def main(argv):
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', type=pathlib.Path, default=TREE / 'build',
                        help='a built folder')
    parser.add_argument('--qemu', type=pathlib.Path,
                        help='the QEMU to test (default: the one in BUILD)')
    parser.add_argument('--seconds', type=int, default=600,
                        help='for all rounds (default: 600)')
    parser.add_argument('--commands', type=int, default=COMMANDS,
                        help=f'of each round (default: {COMMANDS})')
    parser.add_argument('--seed', type=int,
                        help='one round with these random numbers')
    options = parser.parse_args(argv)
    options.build = options.build.resolve()
    options.qemu = options.qemu or options.build / 'qemu-system-x86_64'
    end = time.monotonic() + options.seconds
    seed = int.from_bytes(os.urandom(4), 'little') \
        if options.seed is None else options.seed
    rounds = done = 0
    why = None
    print('1..1')
    while not why and (not rounds or (options.seed is None and
                                      time.monotonic() < end)):
        some, why = one(seed, options)
        done += some
        if why:
            print('not ok 1 - fuzz-qmp')
            print('\n'.join('# ' + line for line in why.splitlines()))
            print(f'# again: tests/fuzz/fuzz-qmp.py --seed {seed} '
                  f'--commands {options.commands}')
        rounds += 1
        seed += 1
    if not why:
        print('ok 1 - fuzz-qmp')
        print(f'# {rounds} rounds of {options.commands} commands, {done} '
              f'without an error, the last with --seed {seed - 1}')
    return 1 if why else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
