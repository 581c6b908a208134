# SPDX-License-Identifier: GPL-2.0-or-later
"""Brings the base's source to the folder where it is grafted and built.

A tarball is unpacked once, and again only when another tarball takes its place.
A folder (a user's own tree) is copied file by file, and later only the files
that have changed; nothing is ever written to it. In both cases the parts that
this tree replaces are left out.
"""

import json
import os
import pathlib
import re
import shutil
import stat
import tarfile

import fetch
import graft
import product
import series
from fail import Fail, note


def version_of(root, name, what=product.QEMU):
    """The version of the source in root, which must be that of a product."""
    wrong = f"{name}: not a {what.name} source tree"
    try:
        text = (root / what.version_file).read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        raise Fail(f"{wrong} (it has no {what.version_file})") from None
    found = re.search(f"^\\s*{what.version_is}$", text, re.M)
    version = found[1].strip() if found else ""
    if not series.numbers(version):
        raise Fail(f"{wrong} (its {what.version_file} is {version!r})")
    return version


class Unpacked:
    """A folder with the unpacked base and the records that belong to it."""

    def __init__(self, home, what=product.QEMU):
        self.home = home
        self.product = what
        self.root = home / what.package
        self.pristine = home / "pristine"       # see graft.py
        self.links = home / "links.json"
        self.stamp = home / "source.json"

    def source(self):
        """The record of the last unpacking; {} if it did not finish."""
        try:
            return json.loads(self.stamp.read_text())
        except (OSError, ValueError):
            return {}

    def clear(self):
        """Empty the folder."""
        if self.home.exists():
            shutil.rmtree(self.home)
        self.home.mkdir(parents=True)

    def bring(self, spec, given, fetcher):
        """Unpack the base that the user names; returns its version.

        given: a series, a folder or a tarball; default: the default series
        """
        without = spec["unpack"]["without"]
        if not given or series.find(spec, given):
            return self.from_tarball(*fetcher.tarball(given), without)
        if os.path.isdir(given):
            return self.from_folder(pathlib.Path(given).resolve(), without)
        tarball = pathlib.Path(given)
        if not tarball.is_file():
            raise Fail(f"--base={given}: no such file or folder, and no "
                       "series that this tree knows "
                       f"({' or '.join(series.names(spec))})")
        return self.from_tarball(tarball, fetch.sha256(tarball), without)

    def from_tarball(self, tarball, sha256, without):
        """Unpack a tarball, unless it is the one already unpacked.

        Returns the version.
        """
        record = {"sha256": sha256, "without": without}
        before = self.source()
        if self.root.is_dir() and record.items() <= before.items():
            return version_of(self.root, tarball, self.product)
        note(f"unpacking {tarball.name}")
        self.clear()
        left_out = set()
        extract(tarball, self.root, without, left_out)
        try:
            version = version_of(self.root, tarball, self.product)
        except Fail:
            self.clear()
            raise
        record["nothing_like"] = sorted(set(without) - left_out)
        self.stamp.write_text(json.dumps(record) + "\n")
        return version

    def from_folder(self, folder, without):
        """Copy a source tree, or only the changes since the last copy.

        Returns the version.
        """
        version = version_of(folder, folder, self.product)
        before = self.source()
        if before.get("folder") != str(folder) or not self.root.is_dir():
            self.clear()
            before = {"files": []}
        note(f"copying from {folder}")
        left_out = set()
        files = list(walk(folder, self.home, without, left_out))
        self.stamp.unlink(missing_ok=True)
        self.root.mkdir(exist_ok=True)
        for path in set(before["files"]) - set(files):
            for old in (self.root / path, self.pristine / path):
                old.unlink(missing_ok=True)
        for path in files:
            kept = self.pristine / path
            to = kept if kept.exists() else self.root / path
            copy(folder / path, to)
        self.stamp.write_text(json.dumps({
            "folder": str(folder), "files": files,
            "nothing_like": sorted(set(without) - left_out)}) + "\n")
        return version


def extract(tarball, to, without, left_out=None):
    """Unpack the one top folder of a tarball to the folder named to.

    without: patterns of files that stay out
    left_out: a set that gets those patterns that match a file
    """
    left_out = set() if left_out is None else left_out
    to.mkdir(parents=True)
    try:
        with tarfile.open(tarball) as tar:
            tar.extraction_filter = lambda member, path: member
            for member in tar:
                parts = pathlib.PurePosixPath(member.name).parts
                if ".." in parts or member.name.startswith("/"):
                    raise Fail(f"{tarball}: bad name {member.name}")
                path = "/".join(parts[1:])
                pattern = graft.excluded(path, without)
                if pattern:
                    left_out.add(pattern)
                if pattern or not path:
                    continue
                if member.islnk():
                    member.linkname = member.linkname.partition("/")[2]
                elif not (member.isfile() or member.isdir() or member.issym()):
                    continue
                member.name = path
                member.uid, member.gid = os.getuid(), os.getgid()
                member.uname = member.gname = ""
                member.mode |= stat.S_IWUSR
                tar.extract(member, to)
    except (tarfile.TarError, EOFError, OSError) as e:
        raise Fail(f"{tarball}: cannot unpack: {e}") from None


def walk(folder, home, without, left_out):
    """Yield files and links of a source tree, but no history or build.

    without, left_out: see extract()
    """
    def stays_out(path):
        pattern = graft.excluded(path, without)
        if pattern:
            left_out.add(pattern)
        return bool(pattern)

    for at, folders, files in os.walk(folder):
        here = os.path.relpath(at, folder)
        below = "" if here == "." else here + "/"
        links = [f for f in folders if os.path.islink(f"{at}/{f}")]
        folders[:] = sorted(
            f for f in folders
            if f not in links and f != ".git"
            and not stays_out(below + f)
            and not os.path.exists(f"{at}/{f}/build.ninja")
            and not os.path.exists(f"{at}/{f}/source.json")
            and not os.path.samefile(f"{at}/{f}", home))
        for name in sorted(files + links):
            mode = os.lstat(f"{at}/{name}").st_mode
            if (name != ".git" and (stat.S_ISREG(mode) or stat.S_ISLNK(mode))
                    and not stays_out(below + name)):
                yield below + name


def copy(path, to):
    """Copy a file or link, unless the target has its size and time."""
    new = os.lstat(path)
    try:
        old = os.lstat(to)
        if (old.st_size, old.st_mtime_ns, stat.S_IFMT(old.st_mode)) == \
                (new.st_size, new.st_mtime_ns, stat.S_IFMT(new.st_mode)):
            return
        os.unlink(to)
    except FileNotFoundError:
        to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, to, follow_symlinks=False)
