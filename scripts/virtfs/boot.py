# SPDX-License-Identifier: GPL-2.0-or-later
"""./boot: a host folder in a Linux guest, with one command."""

import argparse
import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile

from fail import Fail, message, note

from . import build, debian, initramfs, kernel, machine, sanitize, session

# Exit status for failures of ./boot itself
FAILED = 125
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
TAG_MAX = 31                    # bytes, as the Linux client has it

DESCRIPTION = '''\
Boots a small Linux guest that mounts a folder of this machine at /mnt/share.
Installs (as root), builds and fetches what is missing first.'''

EPILOG = '''\
Without --run there is a shell on this terminal; leave it with exit, or in an
emergency with Ctrl-A x. The guest is made anew each time and forgets all but
what it wrote to the share.

Exit status: that of the command or the shell in the guest, 128+N if signal N
ended it; 125 if there is none (wrong options, no boot, a guest that panics, or
whose QEMU is gone), with a message on stderr.

Started by root, files on the share have the owners that the guest gives them,
and QEMU runs as nobody. Started by an ordinary user, owners are taken from the
user's subordinate ids (/etc/subuid, /etc/subgid).

With --driver local there is no helper: QEMU acts on the folder itself and runs
as whoever starts ./boot. What owners mean then depends on --security-model.'''

EXAMPLE = '''\
This folder is on the host, and in the guest at /mnt/share. It is an example,
and goes away with the guest; ./boot --share DIR shares a folder of yours.
'''


class _Parser(argparse.ArgumentParser):
    def error(self, text):
        raise Fail(f'{text}\nTry ./boot --help')


def _parser():
    parser = _Parser(
        prog='./boot', allow_abbrev=False, add_help=False,
        usage='./boot [OPTION...] [-- QEMU ARGUMENTS]',
        description=DESCRIPTION, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--share', metavar='DIR',
        help='the folder to share (default: a small example)')
    add('--tag', default='share',
        help='the name by which the guest mounts it (default: share)')
    add('--driver', metavar='NAME', default='proxy',
        help="QEMU's file system driver: proxy (default), local, synth, or "
        'another that QEMU has')
    add('--security-model', metavar='MODEL',
        help='how the local driver keeps owners and modes: mapped-xattr '
        '(default), mapped-file, passthrough or none')
    add('--mount-options', metavar='OPTIONS', default='',
        help='what the guest mounts the share with, after options of its own; '
        'for instance posixacl or version=9p2000.u')
    add('--root', action='store_true',
        help='the shared folder holds a Linux system: it is the root file '
        'system of the guest, and what runs is of it')
    add('--readonly', action='store_true',
        help='the guest can change nothing')
    add('--run', metavar='COMMAND',
        help='run this in the share, with sh, and end; its standard input is '
        'empty, its output and exit status are those of ./boot')
    add('--kernel', metavar='FILE',
        help="another kernel than Debian's; its modules are looked for where "
        'its package has them')
    add('--qemu', metavar='FILE',
        help='another qemu-system-x86_64 than the one built here')
    add('--helper', metavar='FILE',
        help='another virtfs-proxy-helper than the one built here')
    add('--accel', choices=('auto', 'kvm', 'tcg'), default='auto',
        help='kvm, or emulation by tcg; auto (default) is kvm where it works')
    add('--memory', metavar='SIZE', default='512M',
        help="the guest's memory (default: 512M)")
    add('-h', '--help', action='help', help='this text')
    return parser


def _options(argv):
    own, rest = argv, []
    if '--' in argv:
        at = argv.index('--')
        own, rest = argv[:at], argv[at + 1:]
    options = _parser().parse_args(own)
    options.qemu_arguments = rest
    if not 0 < len(options.tag.encode()) <= TAG_MAX or \
            re.search(r'[\0-\x20]', options.tag):
        raise Fail(f'--tag {options.tag!r}: it must have 1 to {TAG_MAX} '
                      'bytes, without spaces')
    if options.root and options.share is None:
        raise Fail('--root: there must be a --share with a system')
    if options.qemu is not None and not os.access(options.qemu, os.X_OK):
        raise Fail(f'--qemu {options.qemu}: not a program')
    if options.helper is not None:
        if not os.access(options.helper, os.X_OK):
            raise Fail(f'--helper {options.helper}: not a program')
        if options.driver != 'proxy':
            raise Fail('--helper: only the proxy driver has one')
    if not re.fullmatch(r'[a-z0-9-]+', options.driver):
        raise Fail(f'--driver {options.driver!r}: not the name of a driver')
    if options.driver == 'local':
        options.security_model = options.security_model or 'mapped-xattr'
    elif options.security_model is not None:
        raise Fail('--security-model: only the local driver has it '
                      '(--driver local)')
    if re.search(r'[\0-\x20]', options.mount_options):
        raise Fail(f'--mount-options {options.mount_options!r}: options '
                      'are separated by commas, without spaces')
    if not re.fullmatch(r'[0-9]+[kKMGT]?', options.memory):
        raise Fail(f'--memory {options.memory}: a number with M or G, '
                      'for instance 512M')
    if options.share is not None:
        if options.driver == 'synth':
            raise Fail('--share: the synth driver has no folder')
        if not os.path.isdir(options.share):
            raise Fail(f'--share {options.share}: '
                          + ('not a folder' if os.path.exists(options.share)
                             else 'there is no such folder'))
        options.share = os.path.abspath(options.share)
    if options.run is None:
        if not (os.isatty(0) and os.isatty(1)):
            raise Fail('a shell in the guest needs a terminal; without '
                          "one, say what to run: --run 'COMMAND'")
    return options


def initial_files(guest_kernel, settings, command):
    """The guest's whole initial file system, as bytes."""
    cache = kernel.fetch.Cache.of_user().folder
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / f'guest-{initramfs.key(guest_kernel)}.cpio'
    try:
        common = path.read_bytes()
        os.utime(path)
    except FileNotFoundError:
        common = initramfs.common(guest_kernel)
        with tempfile.NamedTemporaryFile(dir=cache, delete=False) as f:
            f.write(common)
        os.replace(f.name, path)
        # Those of older inputs; a few may be in turns
        old = sorted(cache.glob('guest-*.cpio'),
                     key=lambda p: p.stat().st_mtime, reverse=True)
        for other in old[4:]:
            other.unlink(missing_ok=True)
    return common + initramfs.private(settings, command)


def _boot(options, mark):
    interactive = options.run is None
    rows, columns = session.Terminal.size() if interactive else (24, 80)
    mount_options = 'trans=virtio,version=9p2000.L,msize=512000,cache=none' \
        + (',ro' if options.readonly else '') \
        + (f',{options.mount_options}' if options.mount_options else '')
    options.append = f'root={options.tag} rootfstype=9p ' \
        f'rootflags={mount_options}' if options.root else ''
    settings = {
        'MARK': mark, 'TAG': options.tag, 'MOUNT_OPTIONS': mount_options,
        'INTERACTIVE': 'yes' if interactive else '',
        'TERM': os.environ.get('TERM', 'vt100'),
        'ROWS': rows, 'COLUMNS': columns,
    }
    guest_kernel = kernel.given(options.kernel) if options.kernel \
        else kernel.debian()
    archive = initial_files(guest_kernel, settings,
                            os.fsencode(options.run or ''))
    guest = machine.Machine(options, guest_kernel.image, archive)
    said = session.Session(guest, mark.encode(), interactive)
    try:
        if not interactive:
            return said.run()
        message(f'The guest starts; {options.share or "the share"} is its '
                '/mnt/share. Leave it with exit.')
        with session.Terminal():
            return said.run()
    finally:
        guest.end()
        found = sanitize.report(said.log()) if sanitize.active() else None
        if found:
            raise Fail(f'{found}\n{said.log()}')


def _on_signal(number, _frame):
    for other in SIGNALS:               # once is enough, while all is ended
        signal.signal(other, signal.SIG_IGN)
    raise session.Ended(number)


@contextlib.contextmanager
def _example():
    """A folder to share, for the time of one guest."""
    path = tempfile.mkdtemp(prefix='virtfs-share-')
    try:
        with open(f'{path}/README', 'w', encoding='ascii') as f:
            f.write(EXAMPLE)
        yield path
    finally:
        try:
            shutil.rmtree(path)
        except PermissionError:
            # Files of the user's subordinate ids
            subprocess.run(['unshare', '--map-root-user', '--map-auto',
                            'rm', '-rf', path], check=False)


def main(argv):
    """The command line; returns the exit status."""
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _on_signal)
    try:
        options = _options(argv)
        debian.need(['boot'])
        build.emulator()
        mark = f'@virtfs-{secrets.token_hex(16)}@ '
        if options.share is not None or options.driver == 'synth':
            return _boot(options, mark)
        with _example() as options.share:
            return _boot(options, mark)
    except Fail as e:
        note(e)
        return FAILED
    except BrokenPipeError:
        return 128 + signal.SIGPIPE
    except session.Ended as e:
        # End as that signal would have ended this process
        signal.signal(e.number, signal.SIG_DFL)
        os.kill(os.getpid(), e.number)
        return 128 + e.number
    except OSError as e:
        note(e)
        return FAILED
