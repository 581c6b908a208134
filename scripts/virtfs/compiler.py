# SPDX-License-Identifier: GPL-2.0-or-later
"""Flags of the build, for compiling its files in other ways.

The build's compile_commands.json has a command line for each file. The tests
take it apart to compile the file again with another compiler or to another
place.
"""

import json
import shlex

# Options that only gcc knows, by their beginning
_GCC_ONLY = ('-fno-semantic-interposition', '-fconserve-stack', '-mcx16',
             '-fanalyzer', '-fzero-call-used-regs', '-ftrivial-auto-var-init',
             '-fzero-init-padding-bits')
# Options that name output, each with the number of arguments it takes
_OUTPUT = {'-o': 1, '-c': 0, '-MD': 0, '-MQ': 1, '-MF': 1}


def commands(build):
    """All entries of a build folder's compile_commands.json."""
    with open(build / 'compile_commands.json', encoding='utf-8') as f:
        return json.load(f)


def split(command):
    """Split an entry's command: (the compiler and its wrapper, flags).

    The flags name neither the source nor any output.
    """
    words = shlex.split(command['command'])
    compiler = []
    while words and not words[0].startswith('-'):
        compiler.append(words.pop(0))
    flags = []
    skip = 0
    for word in words:
        if skip:
            skip -= 1
        elif word in _OUTPUT:
            skip = _OUTPUT[word]
        elif word != command['file']:
            flags.append(word)
    return compiler, flags


def for_clang(flags, more=()):
    """Those of gcc's flags that clang knows.

    more: beginnings of further flags to drop.
    """
    return [f for f in flags if not f.startswith((*_GCC_ONLY, *more))]
