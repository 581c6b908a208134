# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands behind the commands ./boot and ./check.

boot.py     options of ./boot and its course
check.py    options of ./check and its course
debian.py   Debian packages: what is missing, installing it
build.py    configure and ninja, when something is not built
kernel.py   a Debian kernel and the modules that a share needs
initramfs.py, guest-init    what the guest runs
machine.py  QEMU's command line, and who runs QEMU and the helper
session.py  the guest while it runs: its output, its end
process.py  child processes that never outlive their parent
runner.py   test programs, run at once or one after the other
tap.py      test output of every kind, counted
qtests.py   the 9p tests of qos-test, in shares
"""
