# SPDX-License-Identifier: GPL-2.0-or-later
"""How this tree's commands report to their user: errors and progress.

All of ./configure, ./boot, ./check and base/dist-patch use these, so a message
that comes from shared code carries the name of the command that the user ran.
"""

import os
import sys

# The name in front of messages: that of the script which runs
PROGRAM = os.path.basename(sys.argv[0]).partition(".")[0]
if PROGRAM in ("boot", "check"):
    PROGRAM = "./" + PROGRAM


class Fail(Exception):
    """An error that ends the command; its text tells the user what is wrong."""


def message(text):
    """Write a line to stderr."""
    print(str(text).rstrip("\n"), file=sys.stderr, flush=True)


def note(text):
    """Report a step, under the command's name."""
    message(f"{PROGRAM}: {text}")


def run(main, *args):
    """Run a command's main() and exit with the status that it returns."""
    try:
        sys.exit(main(*args))
    except (Fail, OSError) as e:
        note(f"error: {e}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
