# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel for the guest: Debian's, fetched but not installed, or the user's.

Debian's kernel comes from the archive that QEMU's source comes from, in the
same way and into the same cache. The first use fetches the newest one, and
later uses keep it. From its package the cache keeps the image and the modules
that a share needs, unpacked and in the order of loading.
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

# The modules that the guest uses; each module names the others that it needs.
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
    """The content of a module, uncompressed."""
    data = path.read_bytes()
    if path.suffix == '.xz':
        return lzma.decompress(data)
    if path.suffix == '.zst':
        if not shutil.which('zstd'):
            raise Fail(f'{path}: unpacking it needs zstd (package zstd)')
        return subprocess.run(['zstd', '-dc'], input=data,
                              capture_output=True, check=True).stdout
    return data


def _name(path):
    """A module's name, as the kernel spells it."""
    return path.name.partition('.ko')[0].replace('-', '_')


def _resolve(folder, more=()):
    """(name, path) of the wanted modules in a /lib/modules/VERSION folder and
    of the modules that these need, in the order of loading."""
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
                return                  # it may be built in
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
    """The version in the header of an x86 kernel image, or None (the kernel's
    Documentation/arch/x86/boot.rst, kernel_version)."""
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
    """The user's kernel, with the modules of its package, which may be
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
    """The path of a Debian kernel's package, cached or fetched."""
    with fetch.Fetcher(fetch.read_spec(), cache) as fetcher:
        archive = fetcher.open_archive()
        said = archive.apt('apt-cache', 'depends', PACKAGE)
        found = re.search(r'Depends: (linux-image-\S+)', said)
        if not found:
            raise Fail(f'the Debian archive has no {PACKAGE}')
        return fetcher.package(found[1])


def _extract(package, to):
    """Extracts all files. dpkg-deb has child processes, which must not keep
    writing after an interruption of this function."""
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
    """Makes a kernel's folder in the cache from its package."""
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
            if not to.is_dir():         # another process was faster
                raise


def debian(more=()):
    """Debian's kernel. more: names of further modules for it; the cache keeps
    a folder per such list."""
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
