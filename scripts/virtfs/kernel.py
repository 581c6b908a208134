# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel for the guest: Debian's, fetched but not installed, or the user's.

Debian's kernel comes from the archive that QEMU's source comes from, in the
same way and into the same cache. The first use fetches the newest one, and
later uses keep it. From its packages the cache keeps the image and the modules
that a share needs, unpacked and in the order of loading.

There are two layouts. In the older one, a package has boot/vmlinuz-VERSION and
lib/modules/VERSION (or usr/lib/modules/VERSION). In the newer one the image is
the file vmlinuz among its modules, usr/lib/modules/VERSION/vmlinuz, and comes
in another package (linux-binary-VERSION) than these (linux-modules-VERSION).
"""

import gzip
import lzma
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import zlib

import fetch                            # base/fetch.py
from fail import Fail, note

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
    try:
        if path.suffix == '.xz':
            return lzma.decompress(data)
        if path.suffix == '.gz':
            return gzip.decompress(data)
        if path.suffix == '.zst':
            if not shutil.which('zstd'):
                raise Fail(f'{path}: unpacking it needs zstd: '
                           'apt install zstd')
            return subprocess.run(['zstd', '-dc'], input=data,
                                  capture_output=True, check=True).stdout
    except (lzma.LZMAError, EOFError, OSError, zlib.error,
            subprocess.CalledProcessError) as e:
        raise Fail(f'{path}: cannot unpack it: {e}') from None
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


def _folders(image, version):
    """Yields where the modules of an image may be, the nearest first."""
    if (image.parent / 'kernel').is_dir():
        yield image.parent              # the newer layout
    for above in (*image.parents, pathlib.Path('/')) if version else ():
        for lib in ('lib/modules', 'usr/lib/modules'):
            yield above / lib / version


def _cached(folder):
    """A kernel in a folder of the cache."""
    modules = [(p.name.partition('-')[2].removesuffix('.ko'), p)
               for p in sorted(folder.glob('*.ko'))]
    return Kernel(folder / 'vmlinuz', modules)


def given(image):
    """The user's kernel, with its modules, which may be unpacked beside it or
    installed; or one from the cache."""
    given_path = pathlib.Path(image).absolute()
    if list(given_path.parent.glob('00-*.ko')):
        return _cached(given_path.parent)
    image = given_path.resolve()
    version = _version(image)
    for folder in (*_folders(image, version), *_folders(given_path, version)):
        found = _resolve(folder) if (folder / 'kernel').is_dir() else []
        if found or (folder / 'modules.builtin').is_file():
            return Kernel(image, found)
    note(f'found no modules of {image} ({version or "no version"}), neither '
         'beside it nor in lib/modules of a folder above; everything that a '
         'share needs must be built in')
    return Kernel(image, [])


def _older(archive, arch):
    """The names of all kernels' packages of a suite, the newest first."""
    names = archive.apt('apt-cache', 'pkgnames', 'linux-image-').split()
    found = [n for n in names if re.fullmatch(
        rf'linux-image-\d[\d.-]*(\+deb\d+)?-{arch}', n)]
    return sorted(found, reverse=True,
                  key=lambda n: [int(d) for d in re.findall(r'\d+', n)])


def _packages(cache, suite, arch):
    """The paths of a Debian kernel's packages, cached or fetched."""
    spec = fetch.read_spec()
    with fetch.Fetcher({**spec, 'suite': suite or spec['suite']},
                       cache, arch) as fetcher:
        archive = fetcher.open_archive()

        def needs(package, kinds):
            said = archive.apt('apt-cache', 'depends', package)
            return re.findall(rf'Depends: (linux-(?:{kinds})-\d\S+)', said)

        images = needs(f'linux-image-{arch}', 'image')
        if not images:
            raise Fail(f'the Debian archive has no linux-image-{arch}')
        # A mirror may lack the newest one of an architecture for a while
        for image in dict.fromkeys([*images[:1], *_older(archive, arch)]):
            parts = needs(image, 'base|binary|modules')
            try:
                return [fetcher.package(p) for p in parts or [image]]
            except Fail as e:
                note(e)
        raise Fail(f'cannot fetch a kernel for {arch}')


def extract(package, to):
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


def _image(tree):
    """(image, folder of modules) in a folder with a kernel's packages."""
    for image in (*tree.glob('boot/vmlinuz-*'),
                  *tree.glob('usr/lib/modules/*/vmlinuz')):
        version = image.name.removeprefix('vmlinuz-') \
            if image.parent.name == 'boot' else image.parent.name
        for lib in ('usr/lib/modules', 'lib/modules'):
            if (tree / lib / version).is_dir():
                return image, tree / lib / version
    raise Fail('the packages of the kernel have no image, or no modules')


def _unpack(packages, to, more):
    """Makes a kernel's folder in the cache from its packages."""
    with tempfile.TemporaryDirectory(dir=to.parent, prefix='kernel-',
                                     ignore_cleanup_errors=True) as work:
        work = pathlib.Path(work)
        for package in packages:
            note(f'unpacking {package.name}')
            extract(package, work / 'all')
        image, folder = _image(work / 'all')
        new = work / 'new'
        new.mkdir()
        for number, (name, path) in enumerate(_resolve(folder, more)):
            (new / f'{number:02}-{name}.ko').write_bytes(_content(path))
        os.chmod(image, 0o644)
        os.rename(image, new / 'vmlinuz')
        try:
            os.rename(new, to)
        except OSError:
            if not to.is_dir():         # another process was faster
                raise


def debian(more=(), suite=None, arch='amd64'):
    """Debian's kernel.

    more: names of further modules for it; suite: another suite of the archive
    than that of the base; arch: Debian's name of the processor. The cache keeps
    a folder for each combination.
    """
    cache = fetch.Cache.of_user()
    cache.folder.mkdir(parents=True, exist_ok=True)
    suffix = '+'.join([f'.kernel@{suite}' if suite else '.kernel', *more])
    if arch != 'amd64':
        suffix += f'.{arch}'
    folders = sorted(cache.folder.glob(f'linux-*{suffix}'),
                     key=lambda p: p.stat().st_mtime)
    if folders:
        folder = folders[-1]
    else:
        packages = _packages(cache, suite, arch)
        folder = cache.folder / (packages[0].name.removesuffix('.deb')
                                 + suffix)
        _unpack(packages, folder, more)
    return _cached(folder)
