# SPDX-License-Identifier: GPL-2.0-or-later
"""The code behind the commands ./boot and ./check.

boot.py       options of ./boot and its course
check.py      options of ./check and its course
debian.py     Debian packages: finds the missing ones, installs them
build.py      runs configure and ninja when something is not built
bases.py      builds with another QEMU, for ./check --base
pristine.py   builds parts of the base as they are without this tree
sanitize.py   builds with the compiler's sanitizers, for ./check --sanitize
compiler.py   flags of the build, for compiling its files in other ways
kernel.py     a Debian kernel and the modules that a share needs
initramfs.py, guest-init    the guest's initial file system, its first process
rootfs.py     a Debian system for guests with their root file system on 9p
target.py     the processors of guests
machine.py    QEMU's command line, and the users that QEMU and the helper run as
session.py    the guest while it runs: its output, its end
qmp.py        QEMU's monitor for programs
process.py    child processes that never outlive their parent
testuser.py   the ordinary user that rootless tests run as
runner.py     runs test programs, at once or one after the other
tap.py        counts the results in the output of test programs
qtests.py     divides the 9p tests of qos-test into shares
tsan-suppressions           reports that ThreadSanitizer must not make

Errors and messages (fail.py), the list of Debian packages (packages.py) and
downloads (fetch.py) are in base/, which this package adds to the import path.
"""

import pathlib
import sys

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / 'base'))
