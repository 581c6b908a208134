# SPDX-License-Identifier: GPL-2.0-or-later
"""The libvirt that contrib/libvirt/build makes, for tests: builds it, and gives
the tests of domains (tests/guest/domains.py) its programs.
"""

import importlib.util
import os
import pathlib
import subprocess
import sys

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TREE / 'tests/guest'), str(TREE / 'scripts')]
sys.dont_write_bytecode = True

from virtfs.build import HELPER                             # noqa: E402

BUILD = pathlib.Path(os.environ.get('VIRTFS_LIBVIRT_BUILD')
                     or TREE / 'build-libvirt').absolute()
PROGRAMS = ('tools/virsh', 'src/libvirtd', 'src/virtqemud', 'src/virtlogd',
            'src/libvirt_iohelper', 'src/libvirt_driver_qemu.so')


def build(*targets):
    """Builds ninja's targets; prints only if that fails."""
    done = subprocess.run(
        [TREE / 'contrib/libvirt/build', f'--builddir={BUILD}',
         *(f'--target={name}' for name in targets)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise AssertionError(done.stdout[-8000:])


def module(path):
    """A test program of this tree as a module"""
    name = pathlib.Path(path).stem.replace('-', '_')
    spec = importlib.util.spec_from_file_location(name, TREE / path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def is_roots(path):
    """Whether nobody but root can change which file that is"""
    real = path.resolve()
    return all(step.stat().st_uid == 0 and not step.stat().st_mode & 0o022
               for step in (real, *real.parents))


def with_helper(xml):
    """The XML of a share in the system instance, which names this tree's helper
    if root does not take it unasked."""
    if is_roots(HELPER) or '<binary path=' in xml:
        return xml
    name = f"<binary path='{HELPER}'"
    if '<binary' in xml:
        return xml.replace('<binary', name)
    driver = "<driver type='proxy'/>"
    return xml.replace(driver, f'{driver}{name}/>')


class Built:
    """A class of domains of this libvirt"""

    client = str(BUILD / 'tools/virsh')
    daemon = str(BUILD / 'src/libvirtd')
    programs = ()

    @classmethod
    def setUpClass(cls):
        build(*PROGRAMS)
        super().setUpClass()
