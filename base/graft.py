# SPDX-License-Identifier: GPL-2.0-or-later
"""The graft puts this tree's files and edits into an unpacked base.

Theory of operation.  Two kinds of files go into the base:

- Whole folders and files (base.toml, [link]) become symbolic links to this
  tree, so that a change here needs only ninja.

- Text that goes into one of the base's own files is a *fragment*: a file below
  base/fragments/, at the path that the base's file has below the base's root.
  A few fragments are at that path in this tree itself, where its own layout
  wants them.  Comment lines that read "graft: NAME" cut a fragment into named
  pieces; the text before the first such line is for the reader only.
  base/edits.toml names the anchors between which each piece goes.

An anchor is a line, or two lines in a row, of the base's file; blanks around a
line don't count.  It must occur there exactly once.  An edit either adds its
piece ('after' or 'before' an anchor), or puts it in place of a region ('from'
an anchor, 'until' another anchor; the latter stays, and so do blank lines
before it).

Lines that occur in several functions can be anchors, too: 'within' is an
anchor that opens a block, such as the first line of a function or a struct,
and the edit's other anchors then count only between that line and the next
line that begins with '}'.

Every graft starts from the base's untouched text: before the first edit of a
file, the graft puts a copy aside (in the folder "pristine").  It writes a file
only if the text changes, so that grafting again causes no rebuild.
"""

import dataclasses
import fnmatch
import json
import os
import pathlib
import re
import shutil
import tomllib

from fail import Fail

PIECE = re.compile(r"\s*(?:#|//|/\*|\.\.|HXCOMM)\s*graft:\s*([\w-]+)"
                   r"\s*(?:\*/)?\s*")


@dataclasses.dataclass(frozen=True)
class Edit:
    """One edit of a base file, as in base/edits.toml."""
    file: str           # path below the base's root
    piece: str          # the piece's name in the fragment for that file
    why: str
    after: str = ""
    before: str = ""
    start: str = ""     # 'from' in the file: a region that is replaced
    until: str = ""
    within: str = ""    # the block in which the anchors above are searched

    @classmethod
    def load(cls, table):
        """Make an edit from a table of edits.toml."""
        table = {"start" if k == "from" else k: v for k, v in table.items()}
        try:
            edit = cls(**table)
        except TypeError as e:
            raise Fail(f"edits.toml: {table.get('file')}: {e}") from None
        given = [k for k in ("after", "before", "start", "until")
                 if getattr(edit, k)]
        if given not in (["after"], ["before"], ["start", "until"]):
            raise Fail(f"edits.toml: {edit.file}: {edit.piece}: needs 'after',"
                       " 'before', or 'from' and 'until'")
        return edit


def pieces(text):
    """Cut a fragment: a dictionary of its pieces by name."""
    found = {}
    name = None
    for line in text.splitlines():
        mark = PIECE.fullmatch(line)
        if mark:
            name = mark[1]
            if name in found:
                raise Fail(f"piece '{name}' occurs twice")
            found[name] = []
        elif name:
            found[name].append(line)
    return {n: "\n".join(ls).strip("\n").splitlines()
            for n, ls in found.items()}


def fragment(tree, file):
    """The path of the fragment for a base file."""
    paths = [p for p in (tree / "base/fragments" / file, tree / file)
             if p.is_file()]
    if not paths:
        raise Fail("missing, both in base/fragments and at the top")
    if len(paths) > 1:
        raise Fail("found twice, in base/fragments and at the top")
    return paths[0]


def plan(tree):
    """All edits of this tree: pairs of an edit and its piece, in order.

    Fail if the edits and the fragments' pieces do not match one to one.
    """
    with open(tree / "base/edits.toml", "rb") as f:
        edits = [Edit.load(t) for t in tomllib.load(f)["edit"]]
    cut = {}
    for file in dict.fromkeys(e.file for e in edits):
        try:
            path = fragment(tree, file)
            cut[file] = pieces(path.read_text(encoding="utf-8"))
        except (OSError, Fail) as e:
            raise Fail(f"fragment {file}: {e}") from None
    unused = {(f, n) for f in cut for n in cut[f]}
    planned = []
    for e in edits:
        if e.piece not in cut[e.file]:
            raise Fail(f"fragment {e.file}: has no piece '{e.piece}'")
        if (e.file, e.piece) not in unused:
            raise Fail(f"edits.toml: {e.file}: piece '{e.piece}' used twice")
        unused.remove((e.file, e.piece))
        planned.append((e, cut[e.file][e.piece]))
    for file, name in sorted(unused):
        raise Fail(f"fragment {file}: no edit uses the piece '{name}'")
    return planned


def find(lines, anchor, file, block=None):
    """Find an anchor: the numbers of its first line and of the next line.

    block: the range of line numbers to search; default: all lines.
    """
    want = [line.strip() for line in anchor.strip("\n").splitlines()]
    block = range(len(lines)) if block is None else block
    have = [line.strip() for line in lines[:block.stop]]
    at = [i for i in range(block.start, block.stop - len(want) + 1)
          if have[i:i + len(want)] == want]
    if len(at) != 1:
        says = "occurs twice or more" if at else "is missing"
        where = "" if len(block) == len(lines) else \
            f" in lines {block.start + 1} to {block.stop}"
        raise Fail(f"{file}: this anchor {says}{where}:\n    "
                   + "\n    ".join(want)
                   + "\n(this base differs from those that this tree knows;"
                     " see base/edits.toml)")
    return at[0], at[0] + len(want)


def block_of(lines, edit):
    """The range of lines in which an edit's anchors are searched."""
    if not edit.within:
        return range(len(lines))
    start = find(lines, edit.within, edit.file)[1]
    for end in range(start, len(lines)):
        if lines[end].startswith("}"):
            return range(start, end)
    raise Fail(f"{edit.file}: no line that begins with '}}' ends the block"
               f" 'within':\n    {edit.within}")


def apply(lines, edit, piece):
    """Apply one edit to the lines of a file; returns the new lines."""
    for i in range(len(lines) - len(piece) + 1):
        if piece and lines[i:i + len(piece)] == piece:
            raise Fail(f"{edit.file}: already contains the piece"
                       f" '{edit.piece}'; is the base a grafted tree?")
    block = block_of(lines, edit)
    if edit.after:
        first = last = find(lines, edit.after, edit.file, block)[1]
    elif edit.before:
        first = last = find(lines, edit.before, edit.file, block)[0]
    else:
        first = find(lines, edit.start, edit.file, block)[0]
        last = find(lines, edit.until, edit.file, block)[0]
        if last <= first:
            raise Fail(f"{edit.file}: piece '{edit.piece}': the anchor 'until'"
                       " comes before 'from'")
        while not lines[last - 1].strip():
            last -= 1           # blank lines before 'until' stay
    return lines[:first] + piece + lines[last:]


def make_edits(tree, base, pristine):
    """Make all edits in base, from the untouched files in pristine."""
    planned = plan(tree)
    files = list(dict.fromkeys(e.file for e, _ in planned))
    texts = {}
    for file in files:
        kept = pristine / file
        if not kept.exists():
            if not (base / file).is_file():
                raise Fail(f"{file}: the base has no such file")
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(base / file, f"{kept}.new")
            os.replace(f"{kept}.new", kept)
        lines = kept.read_text(encoding="utf-8").splitlines()
        for edit, piece in planned:
            if edit.file == file:
                lines = apply(lines, edit, piece)
        texts[file] = "\n".join(lines) + "\n"
    # All edits apply: write the files
    for file, text in texts.items():
        write(base / file, text, pristine / file)
    for kept in sorted(pristine.rglob("*")):
        file = str(kept.relative_to(pristine))
        if kept.is_file() and file not in texts:
            shutil.copy2(kept, base / file)
            kept.unlink()


def write(path, text, like):
    """Write a file that differs from the text, with the permissions of like."""
    if path.read_text(encoding="utf-8") != text:
        new = path.with_name(path.name + ".new")
        new.write_text(text, encoding="utf-8")
        shutil.copymode(like, new)
        os.replace(new, path)


def wanted_links(tree, spec, fragments):
    """Paths below the tree's root that are linked into the base."""
    links = [f for f in spec["folders"] if (tree / f).is_dir()]
    for pattern in spec["files"]:
        links += [str(p.relative_to(tree)) for p in sorted(tree.glob(pattern))
                  if p.is_file()]
    return [p for p in dict.fromkeys(links) if p not in fragments]


def make_links(tree, base, spec, record):
    """Link this tree's files into base.

    record: the file that lists the links, so that the next run can remove
    those that are no longer wanted.
    """
    fragments = {e.file for e, _ in plan(tree)}
    links = wanted_links(tree, spec, fragments)
    old = json.loads(record.read_text()) if record.exists() else []
    for path in old:
        if path not in links and (base / path).is_symlink():
            (base / path).unlink()
    for path in links:
        at = base / path
        target = os.path.relpath(tree / path, at.parent)
        if at.is_symlink():
            if os.readlink(at) == target:
                continue
            if path in old:
                at.unlink()
        if at.is_symlink() or at.exists():
            raise Fail(f"{path}: the base has its own; if this tree replaces"
                       " it, add it to [unpack] in base/base.toml")
        at.parent.mkdir(parents=True, exist_ok=True)
        at.symlink_to(target)
    record.write_text(json.dumps(links, indent=1) + "\n")


def order_option_files(base):
    """Keep the build from regenerating scripts/meson-buildoptions.sh.

    It does that when meson_options.txt is newer. The graft edits both.
    """
    options = base / "meson_options.txt"
    script = base / "scripts/meson-buildoptions.sh"
    if script.stat().st_mtime_ns <= options.stat().st_mtime_ns:
        os.utime(script)


def excluded(path, patterns):
    """Whether a path below the root matches a pattern or is below a match."""
    parts = pathlib.PurePosixPath(path).parts
    heads = ["/".join(parts[:n + 1]) for n in range(len(parts))]
    return any(h.count("/") == p.count("/") and fnmatch.fnmatchcase(h, p)
               for h in heads for p in patterns)
