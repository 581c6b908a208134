# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes a graft as patches to the pristine base.

Theory of operation. This module unpacks the whole base into a new git
repository and puts this tree's files into it with the graft's code (graft.py),
but with files in place of links. It commits the result in parts, and git writes
the commits as patches. Their author and date are those of this tree's last
commit. The user who runs the command signs them off, as QEMU and libvirt ask of
who sends patches.
"""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import fetch
import graft
import product
import series
import unpack
from fail import Fail, note

TREE = pathlib.Path(__file__).resolve().parent.parent


def git(repository, *arguments, **more):
    """Run git in a repository; returns its output."""
    done = subprocess.run(
        ["git", "-C", repository, "-c", "core.autocrlf=false",
         "-c", "commit.gpgsign=false", *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        **more)
    if done.returncode:
        raise Fail(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def identity():
    """The environment that gives git the author and date of the commits."""
    try:
        who = git(TREE, "log", "-1", "--format=%an%n%ae%n%ad",
                  "--date=raw").splitlines()
    except Fail:
        who = ["VirtFS", "virtfs@localhost", "@0 +0000"]
    names = {"NAME": who[0], "EMAIL": who[1], "DATE": who[2]}
    return {**os.environ, **{f"GIT_{role}_{key}": value
                             for role in ("AUTHOR", "COMMITTER")
                             for key, value in names.items()}}


def signer(given=None):
    """Who signs the patches off: (name, address), or None.

    given: "NAME <ADDRESS>", the user's choice; otherwise it is whom git takes
    for the user
    """
    if given is None:
        try:
            who = git(TREE, "-c", "user.useConfigOnly=true", "var",
                      "GIT_COMMITTER_IDENT")
        except Fail:
            return None
        name, _, rest = who.rpartition(" <")
        return name, rest.partition(">")[0]
    found = re.fullmatch(r"([^<>\n]*\S) <([^<>\s]+@[^<>\s]+)>", given)
    if not found:
        raise Fail(f"--signoff={given}: not of the form 'NAME <ADDRESS>'")
    return found.groups()


def part_of(parts, path):
    """The number of the part to which a path belongs."""
    return next(i for i, (starts, _) in enumerate(parts)
                if starts and path.startswith(starts))


def put_files(tree, paths, root):
    """Copy the files and folders that the graft links."""
    for path in paths:
        if (tree / path).is_dir():
            shutil.copytree(tree / path, root / path,
                            ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(tree / path, root / path)


def remove_replaced(spec, root):
    """Delete the files that the graft never unpacks.

    Returns the patterns that match no file.
    """
    unmatched = set(spec["unpack"]["without"])
    for path in sorted(root.rglob("*"), reverse=True):
        inside = str(path.relative_to(root))
        pattern = graft.excluded(inside, spec["unpack"]["without"])
        if pattern:
            unmatched.discard(pattern)
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.is_symlink() or path.exists():
                path.unlink()
    return unmatched


def commit(root, env, message, paths=None):
    """Commit the named changed paths, or all changes."""
    if paths is None:
        git(root, "add", "--all", "--force", env=env)
    else:
        with tempfile.NamedTemporaryFile("w", suffix=".list") as f:
            f.write("\0".join(paths))
            f.flush()
            git(root, "add", "--force", f"--pathspec-from-file={f.name}",
                "--pathspec-file-nul", env=env)
    git(root, "commit", "--quiet", "--message", message, env=env)


def change(spec, root, pristine, only, version, misfits):
    """Put this tree's files and edits into the unpacked base."""
    what = product.of(spec)
    tree = TREE / what.root
    planned = graft.plan(tree, only, what.inside)
    fragments = {e.file for e, _ in graft.plan(tree, folder=what.inside)}
    paths = graft.wanted_links(tree, spec["link"], fragments)
    graft.links_in_the_way(root, paths, [], misfits, what)
    texts = graft.edit_texts(root, pristine, planned, misfits)
    graft.check(misfits, version, what)
    put_files(tree, paths, root)
    graft.make_edits(root, pristine, texts)


def mend(spec, root, pristine, only, version, misfits, env):
    """Commit the edits that have patches of their own; returns how many."""
    what = product.of(spec)
    planned = graft.plan(TREE / what.root, only, what.inside)
    alone = [(edit, piece) for edit, piece in planned if edit.patch]
    for number, (edit, _) in enumerate(alone, 1):
        texts = graft.edit_texts(root, pristine, alone[:number], misfits)
        graft.check(misfits, version, what)
        graft.make_edits(root, pristine, texts)
        commit(root, env, edit.patch.strip())
    return len(alone)


def format_patches(root, env, signed, out, count):
    """Write the last commits as patches, signed off by (name, address) or
    nobody."""
    options = []
    if signed:
        options = ["--signoff"]
        env = {**env, "GIT_COMMITTER_NAME": signed[0],
               "GIT_COMMITTER_EMAIL": signed[1]}
    out.mkdir(parents=True, exist_ok=True)
    git(root, "format-patch", "--quiet", "--no-signature", "--zero-commit",
        "--no-renames", *options, "--output-directory", out.absolute(),
        f"HEAD~{count}", env=env)


def write(spec, parts, tarball, out, signed=None):
    """Make the commits, and write them to the folder out.

    signed: see format_patches()
    parts: pairs of the beginnings of a part's paths and its commit message. A
    path belongs to the first part that fits; the last part is the first patch,
    except that one for the removal of what this tree replaces, if any, has None
    in place of the beginnings and comes first. Edits with patches of their own
    follow that one.
    """
    what = product.of(spec)
    env = identity()
    with tempfile.TemporaryDirectory(prefix="virtfs-dist-") as folder:
        root = pathlib.Path(folder, what.package)
        unpack.extract(tarball, root, [])
        version = unpack.version_of(root, tarball, what)
        only = series.of_version(spec, version, tarball)
        git(root, "init", "--quiet", "--initial-branch=base", env=env)
        git(root, "config", "gc.auto", "0")
        commit(root, env, "base")
        misfits = [f"{pattern}: the base has no such file"
                   for pattern in sorted(remove_replaced(spec, root))]
        for starts, message in parts:
            if starts is None:
                commit(root, env, message)
        place = root, pathlib.Path(folder, "pristine"), only, version, misfits
        mended = mend(spec, *place, env)
        change(spec, *place)
        changed = git(root, "status", "--porcelain", "-z", "--ignored",
                      "--untracked-files=all").split("\0")
        paths = [entry[3:] for entry in changed if entry]
        for number, (starts, message) in reversed(list(enumerate(parts))):
            if starts is not None:
                commit(root, env, message,
                       [p for p in paths if part_of(parts, p) == number])
        format_patches(root, env, signed, out, mended + len(parts))


def values(argv, name):
    """The values of the options --NAME=VALUE."""
    start = f"--{name}="
    return [a.removeprefix(start) for a in argv if a.startswith(start)]


def main(argv, usage, spec, parts):
    """Run a command that writes patches."""
    given, signers = values(argv, "base"), values(argv, "signoff")
    folders = [a for a in argv if not a.startswith("-")]
    if len(given) > 1 or len(signers) > 1 or len(folders) != 1 or \
            len(given) + len(signers) + len(folders) != len(argv):
        raise Fail(usage)
    out = pathlib.Path(folders[0])
    if list(out.glob("*.patch")):
        raise Fail(f"{out}: already contains patches")
    signed = signer(*signers)
    base = given[0] if given else spec["default"]
    with fetch.Fetcher(spec, fetch.Cache.of_user()) as fetcher:
        if series.find(spec, base):
            tarball = fetcher.tarball(base)[0]
        elif pathlib.Path(base).is_file():
            tarball = pathlib.Path(base)
        else:
            raise Fail(f"--base={base}: no such file, and no series that this "
                       f"tree knows ({' or '.join(series.names(spec))})")
        write(spec, parts, tarball, out, signed)
    if not signed:
        note("the patches are not signed off: git knows no user.name and "
             "user.email; set them, or give --signoff='NAME <ADDRESS>'")
    note(f"now run git am {out}/*.patch in the source of {tarball.name}")
