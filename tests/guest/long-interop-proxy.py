#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Guest tests of protocol version 2, on version 1: this QEMU with the helper of
Debian 12, and Debian 12's QEMU with this helper.
"""

import sys

import interop
from interop import harness

CASES = (('test-links', 'Links'), ('test-bulk', 'Data'),
         ('test-bulk', 'Entries'), ('test-locks', 'OneGuest'),
         ('test-dotu', 'Proxy'))

for program, name in CASES:
    base = getattr(interop.load(program), name)
    for other in (interop.OldHelper, interop.OldQemu):
        title = f'{name}{other.__name__}'
        # Version 1 needs several requests for each operation.
        globals()[title] = type(title, (other, base), {
            '__module__': __name__, '__test_me__': True,
            'limit': 3 * harness.LIMIT})


if __name__ == '__main__':
    sys.exit(harness.main())
