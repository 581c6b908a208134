# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel for the guest: Debian's, fetched but not installed, or the user's.

Debian's comes from the archive that base/ takes QEMU's source from, the same
way and into the same cache; the newest that the archive has at the first time,
and that one from then on. Of its package the cache keeps the image and the
modules that a share needs, unpacked and in the order in which they are loaded.
"""

import lzma
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import tempfile

import fetch                            # base/fetch.py
from fail import Fail, note

PACKAGE = 'linux-image-amd64'

# What the guest uses; what these need is found in the modules themselves.
WANTED = ('virtio_pci', 'virtio_console', '9p', '9pnet_virtio')


class Kernel:
    """An image to boot, and its modules."""

    def __init__(self, image, modules):
        self.image = pathlib.Path(image)
        self._modules = modules         # (name, path), in order

    def modules(self):
        """(name, content) of each module, in the order to load them."""
        return [(name, _content(path)) for name, path in self._modules]

    def identity(self):
        """A text that changes when the image or a module does."""
        lines = []
        for path in (self.image, *(p for _, p in self._modules)):
            st = os.stat(path)
            lines.append(f'{path} {st.st_size} {st.st_mtime_ns}')
        return '\n'.join(lines)


def _content(path):
    """A module, without its compression."""
    data = path.read_bytes()
    if path.suffix == '.xz':
        return lzma.decompress(data)
    if path.suffix == '.zst':
        if not shutil.which('zstd'):
            raise Fail(f'{path}: zstd is needed to unpack it '
                          '(package zstd)')
        return subprocess.run(['zstd', '-dc'], input=data,
                              capture_output=True, check=True).stdout
    return data


def _name(path):
    """A module's name, as the kernel has it."""
    return path.name.partition('.ko')[0].replace('-', '_')


def _resolve(folder, more=()):
    """(name, path) of the wanted modules in a /lib/modules/VERSION folder and
    of those they need, each after what it needs."""
    files = {_name(p): p for p in folder.glob('kernel/**/*.ko*')}
    builtin = set()
    if (folder / 'modules.builtin').exists():
        text = (folder / 'modules.builtin').read_text()
        builtin = {_name(pathlib.PurePath(li)) for li in text.splitlines()}
    order = []

    def take(name, above):
        if name in builtin or name in (n for n, _ in order):
            return
        if name not in files:
            if not above and not builtin:
                return                  # may well be built in
            raise Fail(f'{folder} has no module {name}' +
                          (f', which {above} needs' if above else ''))
        found = re.search(rb'\0depends=([^\0]*)\0',
                          b'\0' + _content(files[name]))
        for other in found[1].decode().split(',') if found else ():
            if other:
                take(other.replace('-', '_'), name)
        order.append((name, files[name]))

    for name in (*WANTED, *more):
        take(name, None)
    return order


def _version(image):
    """The version that an x86 kernel image gives itself, or None (the
    kernel's Documentation/arch/x86/boot.rst, kernel_version)."""
    try:
        with open(image, 'rb') as f:
            head = f.read(0x8000)
    except OSError as e:
        raise Fail(f'--kernel {image}: {e.strerror}') from None
    if head[0x202:0x206] != b'HdrS':
        raise Fail(f'--kernel {image}: not an x86 Linux kernel image '
                      '(bzImage)')
    at = struct.unpack_from('<H', head, 0x20e)[0] + 0x200
    text = head[at:].partition(b'\0')[0].decode(errors='replace')
    return text.split(' ')[0] if at > 0x200 and text else None


def given(image):
    """The user's kernel; its modules are those of the package it is from,
    unpacked beside it or installed."""
    image = pathlib.Path(image).resolve()
    version = _version(image)
    for above in (image.parent, image.parent.parent, pathlib.Path('/')):
        for lib in ('lib/modules', 'usr/lib/modules'):
            folder = above / lib / (version or '-')
            if folder.is_dir():
                return Kernel(image, _resolve(folder))
    note(f'found no modules of {image} ({version or "no version"}); everything '
         'that a share needs must be built in')
    return Kernel(image, [])


def _package(cache):
    """The cached or fetched package of a Debian kernel: its path."""
    with fetch.Fetcher(fetch.read_spec(), cache) as fetcher:
        archive = fetcher.open_archive()
        said = archive.apt('apt-cache', 'depends', PACKAGE)
        found = re.search(r'Depends: (linux-image-\S+)', said)
        if not found:
            raise Fail(f'the Debian archive has no {PACKAGE}')
        return fetcher.package(found[1])


def _extract(package, to):
    """Extracts all files. dpkg-deb has children of its own, which must not go
    on writing when this is interrupted."""
    child = subprocess.Popen(['dpkg-deb', '-x', package, to],
                             start_new_session=True)
    try:
        child.wait()
    except BaseException:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        raise
    if child.returncode:
        raise Fail(f'dpkg-deb -x {package} failed')


def _unpack(package, to, more):
    """Makes the folder of a kernel from its package."""
    note(f'unpacking {package.name}')
    with tempfile.TemporaryDirectory(dir=to.parent, prefix='kernel-',
                                     ignore_cleanup_errors=True) as work:
        work = pathlib.Path(work)
        _extract(package, work / 'all')
        image = next((work / 'all/boot').glob('vmlinuz-*'))
        version = image.name.removeprefix('vmlinuz-')
        folder = next(p for p in (work / 'all/usr/lib/modules' / version,
                                  work / 'all/lib/modules' / version)
                      if p.is_dir())
        new = work / 'new'
        new.mkdir()
        os.chmod(image, 0o644)
        os.rename(image, new / 'vmlinuz')
        for number, (name, path) in enumerate(_resolve(folder, more)):
            (new / f'{number:02}-{name}.ko').write_bytes(_content(path))
        try:
            os.rename(new, to)
        except OSError:
            if not to.is_dir():         # another ./boot was faster
                raise


def debian(more=()):
    """Debian's kernel. more: names of further modules for it; the cache keeps
    a folder for each such list."""
    cache = fetch.Cache.of_user()
    cache.folder.mkdir(parents=True, exist_ok=True)
    suffix = '+'.join(['.kernel', *more])
    folders = sorted(cache.folder.glob(f'linux-image-*{suffix}'),
                     key=lambda p: p.stat().st_mtime)
    if folders:
        folder = folders[-1]
    else:
        package = _package(cache)
        folder = cache.folder / (package.name.removesuffix('.deb') + suffix)
        _unpack(package, folder, more)
    modules = [(p.name.partition('-')[2].removesuffix('.ko'), p)
               for p in sorted(folder.glob('*.ko'))]
    return Kernel(folder / 'vmlinuz', modules)
