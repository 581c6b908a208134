# SPDX-License-Identifier: GPL-2.0-or-later
"""The version of Python that this tree's commands need.

./boot, ./check and ./configure ask here before anything else runs. This file
uses no syntax that an older Python 3 cannot read, so that its message appears.
"""

import sys

NEEDED = (3, 11)


def check(program, status):
    """Exit with a message and that status if this Python is too old."""
    if sys.version_info < NEEDED:
        sys.stderr.write("%s: Python %d.%d or later is needed "
                         "(Debian 12 and later)\n" % ((program,) + NEEDED))
        sys.exit(status)


if __name__ == "__main__":
    check("configure: error", 1)
