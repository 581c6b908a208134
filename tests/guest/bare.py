# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that another program than ./boot starts: its kernel and initial file
system, and the files that receive its output.
"""

import re
import secrets
import shutil
import textwrap
import time

from harness import TREE
from virtfs import boot, kernel, sanitize

LIMIT = 420 * sanitize.patience()
PORTS = ('out', 'err')          # the guest's stdout, stderr
SETTINGS = {
    'TAG': 'share', 'INTERACTIVE': '', 'TERM': 'vt100', 'ROWS': 24,
    'COLUMNS': 80,
    'MOUNT_OPTIONS': 'trans=virtio,version=9p2000.L,msize=512000,cache=none',
}


class Bare:
    """In a folder: vmlinuz, initrd, and later out and err"""

    def __init__(self, folder, command, settings=None):
        self.folder = folder
        self.mark = f'@virtfs-{secrets.token_hex(16)}@ '
        guest = kernel.debian()
        (folder / 'initrd').write_bytes(boot.initial_files(
            guest, {**SETTINGS, 'MARK': self.mark, **(settings or {})},
            command.encode()))
        shutil.copy(guest.image, folder / 'vmlinuz')

    def arguments(self):
        """QEMU's arguments except those of the share, as words"""
        words = ['-M', 'q35', '-accel', 'tcg', '-cpu', 'max', '-m', '512M',
                 '-nodefaults', '-no-user-config', '-display', 'none',
                 '-kernel', f'{self.folder}/vmlinuz',
                 '-initrd', f'{self.folder}/initrd',
                 '-append', '"quiet panic=-1"', '-no-reboot',
                 '-L', '/usr/share/seabios', '-L', '/usr/share/qemu',
                 '-device', 'virtio-serial-pci']
        for name in PORTS:
            words += ['-chardev', f'file,id={name},append=on,'
                      f'path={self.folder}/{name}',
                      '-device', f'virtserialport,chardev={name},'
                      f'name=guest.{name}']
        return words

    def wait(self, alive=lambda: True):
        """Lines of the guest command's output, the last one 'exit STATUS'"""
        end = time.monotonic() + LIMIT
        text = ''
        while time.monotonic() < end:
            was_alive = alive()
            path = self.folder / 'out'
            text = path.read_text(encoding='utf-8') if path.exists() else ''
            if self.mark + 'done' in text:
                return text.replace(self.mark, '').splitlines()[1:-1]
            if not was_alive:
                break
            time.sleep(0.1)
        raise AssertionError(f'the guest does not end; its output: {text}')


def blocks(page):
    """The literal blocks of a page of the manual, without their indentation"""
    text = (TREE / 'docs' / page).read_text(encoding='utf-8')
    found = re.findall(r'^( *)(?:\S.*)?::\n\n((?:\1 +\S.*\n|\n)+)', text, re.M)
    return [textwrap.dedent(block).strip('\n') for _, block in found]
