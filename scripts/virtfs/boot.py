# SPDX-License-Identifier: GPL-2.0-or-later
"""./boot: shares a host folder with a Linux guest, in one command."""

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

from . import build, debian, initramfs, kernel, machine, sanitize, session, \
    target

# Exit status when ./boot itself fails
FAILED = 125
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
TAG_MAX = 31                    # bytes, the limit of the Linux client

DESCRIPTION = '''\
Boots a small Linux guest that mounts a folder of this machine at /mnt/share.
First installs (as root), builds and fetches everything that is missing.'''

EPILOG = '''\
Without --run, this terminal shows a shell in the guest; leave it with exit, or
in an emergency with Ctrl-A x. Each guest is new and keeps nothing except the
files that it writes to the share.

Exit status: that of the command or the shell in the guest, or 128+N if signal N
ended it. The status is 125, with a message on stderr, if there is none: wrong
options, a guest that does not boot or that panics, or a QEMU that ended early.

If root starts ./boot, files on the share have the owners that the guest gives
them, and QEMU runs as the user nobody. If an ordinary user starts it, owners
come from the user's subordinate ids (/etc/subuid, /etc/subgid).

With --driver local there is no helper: QEMU acts on the folder itself and runs
as the user who starts ./boot. The meaning of owners then depends on
--security-model.'''

EXAMPLE = '''\
This folder is on the host, and in the guest at /mnt/share. It is an example
and disappears with the guest; ./boot --share DIR shares a folder of yours.
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
    add('--fsdev', metavar='KEY=VALUE,...', default='',
        help="further options of QEMU's -fsdev, for instance modcaps=+setfcap; "
        "not if root starts the proxy driver's helper")
    add('--mount-options', metavar='OPTIONS', default='',
        help='mount options for the guest, after the default ones; for '
        'instance posixacl or version=9p2000.u')
    add('--root', action='store_true',
        help="the shared folder holds a Linux system: it becomes the guest's "
        'root file system, and the guest runs its programs')
    add('--readonly', action='store_true',
        help='the guest cannot change anything on the share')
    add('--run', metavar='COMMAND',
        help='run this with sh in the shared folder, and end; its standard '
        'input is empty, and its output and exit status become those of '
        './boot')
    add('--kernel', metavar='FILE',
        help="use this kernel instead of Debian's; ./boot looks for its "
        'modules where its package has them')
    add('--qemu', metavar='FILE',
        help='use this QEMU instead of the one built here')
    add('--target', choices=tuple(target.TARGETS), default='x86_64',
        help="the guest's processor (default: x86_64); the build folder, or "
        '--qemu, must have the emulator of that name')
    add('--helper', metavar='FILE',
        help='use this virtfs-proxy-helper instead of the one built here')
    add('--accel', choices=('auto', 'kvm', 'tcg'), default='auto',
        help='kvm, or emulation with tcg; auto (default) uses kvm where it '
        'works')
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
    options.target = target.TARGETS[options.target]
    if options.target.foreign and options.kernel:
        raise Fail('--kernel: only for the target x86_64')
    if not 0 < len(options.tag.encode()) <= TAG_MAX or \
            re.search(r'[\0-\x20]', options.tag):
        raise Fail(f'--tag {options.tag!r}: a tag has 1 to {TAG_MAX} bytes '
                   'and no spaces')
    if options.root and options.share is None:
        raise Fail('--root: requires a --share that holds a system')
    if options.qemu is not None and not os.access(options.qemu, os.X_OK):
        raise Fail(f'--qemu {options.qemu}: not a program')
    if options.helper is not None:
        if not os.access(options.helper, os.X_OK):
            raise Fail(f'--helper {options.helper}: not a program')
        if options.driver != 'proxy':
            raise Fail('--helper: only the proxy driver uses a helper')
    if not re.fullmatch(r'[a-z0-9-]+', options.driver):
        raise Fail(f'--driver {options.driver!r}: not the name of a driver')
    if options.driver == 'local':
        options.security_model = options.security_model or 'mapped-xattr'
    elif options.security_model is not None:
        raise Fail('--security-model: only the local driver has security '
                   'models (--driver local)')
    if options.fsdev and options.driver == 'proxy' and os.geteuid() == 0:
        raise Fail('--fsdev: root starts the helper itself, without further '
                   'options')
    if re.search(r'[\0-\x20]', options.mount_options):
        raise Fail(f'--mount-options {options.mount_options!r}: separate '
                   'options by commas, without spaces')
    if not re.fullmatch(r'[0-9]+[kKMGT]?', options.memory):
        raise Fail(f'--memory {options.memory}: give a number with M or G, '
                   'for instance 512M')
    if options.share is not None:
        if options.driver == 'synth':
            raise Fail('--share: the synth driver serves no folder')
        if not os.path.isdir(options.share):
            raise Fail(f'--share {options.share}: '
                       + ('not a folder' if os.path.exists(options.share)
                       else 'no such folder'))
        options.share = os.path.abspath(options.share)
    if options.run is None:
        if not (os.isatty(0) and os.isatty(1)):
            raise Fail('a shell in the guest needs a terminal; without one, '
                       "name a command to run: --run 'COMMAND'")
    return options


def initial_files(guest_kernel, settings, command, programs=None):
    """The guest's complete initial file system, as bytes. programs: a folder
    with those of another processor (target.py)."""
    cache = kernel.fetch.Cache.of_user().folder
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / f'guest-{initramfs.key(guest_kernel, programs)}.cpio'
    try:
        common = path.read_bytes()
        os.utime(path)
    except FileNotFoundError:
        common = initramfs.common(guest_kernel, programs)
        with tempfile.NamedTemporaryFile(dir=cache, delete=False) as f:
            f.write(common)
        os.replace(f.name, path)
        # Remove those of older inputs; a few may be in alternating use
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
        'CONSOLE': options.target.console,
        'TERM': os.environ.get('TERM', 'vt100'),
        'ROWS': rows, 'COLUMNS': columns,
    }
    guest_kernel = kernel.given(options.kernel) if options.kernel \
        else options.target.kernel()
    archive = initial_files(guest_kernel, settings,
                            os.fsencode(options.run or ''),
                            options.target.programs())
    guest = machine.Machine(options, guest_kernel.image, archive)
    said = session.Session(guest, mark.encode(), interactive)
    try:
        if not interactive:
            return said.run()
        message(f'Starting the guest, with {options.share or "the share"} at '
                '/mnt/share. Leave it with exit.')
        with session.Terminal():
            return said.run()
    finally:
        guest.end()
        found = sanitize.report(said.log()) if sanitize.active() else None
        if found:
            raise Fail(f'{found}\n{said.log()}')


def _on_signal(number, _frame):
    for other in SIGNALS:               # no second one during the cleanup
        signal.signal(other, signal.SIG_IGN)
    raise session.Ended(number)


@contextlib.contextmanager
def _example():
    """A folder to share, while one guest runs."""
    path = tempfile.mkdtemp(prefix='virtfs-share-')
    try:
        with open(f'{path}/README', 'w', encoding='ascii') as f:
            f.write(EXAMPLE)
        yield path
    finally:
        try:
            shutil.rmtree(path)
        except PermissionError:
            # Subordinate ids of the user own some files
            subprocess.run(['unshare', '--map-root-user', '--map-auto',
                            'rm', '-rf', path], check=False)


def main(argv):
    """Runs the command; returns the exit status."""
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _on_signal)
    try:
        options = _options(argv)
        # One list, not another one after the first is installed
        debian.need(['run', 'boot', *([] if build.QEMU.exists() else
                                      ['build'])])
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
