# SPDX-License-Identifier: GPL-2.0-or-later
"""What configure says before it gives up, and while it works."""

import sys


class Fail(Exception):
    """Something the person at the keyboard has to know and settle."""


def note(text):
    """Tell of a step."""
    print(f"configure: {text}", file=sys.stderr, flush=True)
