# SPDX-License-Identifier: GPL-2.0-or-later
"""The one exception that ends ./boot or ./check with a message for its user."""


class Failure(Exception):
    """Something that the user should read: what, and where it helps why."""


def message(text):
    """Says something to the user, on stderr."""
    import sys
    sys.stderr.write(text.rstrip('\n') + '\n')
    sys.stderr.flush()
