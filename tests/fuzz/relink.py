# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU once more, with some of its sources replaced by others.

Only these are compiled, with the flags of the build folder; everything else is
linked from the objects there.
"""

import json
import pathlib
import shlex
import subprocess

from run import TREE, Fail

from virtfs import build as tree_build, compiler

QEMU = tree_build.QEMU.name


def run(argv, build):
    """Runs a step of the build; returns what it prints."""
    done = subprocess.run(argv, cwd=build, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    if done.returncode:
        raise Fail(f'{shlex.join(argv)[:200]}\nfailed:\n{done.stdout}')
    return done.stdout


def link_command(build):
    """The words that link QEMU; its response file is expanded."""
    said = run(['ninja', '-t', 'compdb', '-x', 'c_LINKER', 'c_LINKER_RSP'],
               build)
    for command in json.loads(said):
        if command['output'] == QEMU:
            return shlex.split(command['command'])
    raise Fail(f'{build}: ninja does not know {QEMU}')


def compile_one(build, source, other, output):
    """Compiles @other in place of @source; returns the object's name in the
    build folder."""
    for command in compiler.commands(build):
        path = pathlib.Path(build, command['file'])
        if path.resolve() == source.resolve():
            program, flags = compiler.split(command)
            run([*program, '-iquote', str(path.parent), *flags, '-c',
                 '-o', str(output), str(other)], build)
            return command['output']
    raise Fail(f'{build}: no command compiles {source}')


def qemu(build, folder, replaced):
    """Makes QEMU in @folder, and returns it.

    replaced: {path in this tree: another file}
    """
    objects = {}
    for inside, other in replaced.items():
        output = folder / (other.name + '.o')
        objects[compile_one(build, TREE / inside, other, output)] = str(output)
    program = folder / QEMU
    words = [objects.get(w, w) for w in link_command(build)]
    words[words.index('-o') + 1] = str(program)
    run(words, build)
    # QEMU looks for its firmware beside itself
    bundle = folder / 'qemu-bundle'
    if not bundle.is_symlink():
        bundle.symlink_to(build / 'qemu-bundle')
    return program
