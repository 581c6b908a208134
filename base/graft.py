# SPDX-License-Identifier: GPL-2.0-or-later
"""The graft puts this tree's files and edits into an unpacked base.

Theory of operation.  Two kinds of files go into the base:

- Whole folders and files (base.toml, [link]) become symbolic links to this
  tree, so that a change here needs only ninja.

- Text that goes into one of the base's own files is a *fragment*: a file below
  base/fragments/, at the path that the base's file has below the base's root.
  (A graft onto another program than QEMU has its own such folder: product.py.)
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

A piece has no blank lines at its edges; 'above' and 'below' are the numbers of
blank lines that the edit puts there.

An edit that mends a fault of the base's own may have a commit message
('patch'): then it is a patch of its own for the base's authors (patches.py).

An edit may be limited to some series of the base.  A piece then has an edit in
at least one of them.

Whatever of the base does not fit (an anchor, a file that is gone, a file in the
way of a link) goes to one list of misfits, so that the user of another base
sees everything at once.  If the list is not empty, the graft writes nothing.

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

import product
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
    series: tuple = ()  # the series of the base that need the edit; (): all
    above: int = 0      # blank lines above the piece
    below: int = 0      # and below it
    patch: str = ""     # the message of the patch that has only this edit

    @classmethod
    def load(cls, table):
        """Make an edit from a table of edits.toml."""
        table = {"start" if k == "from" else k: v for k, v in table.items()}
        only = table.get("series", ["all"])
        if not isinstance(only, list) or not only or \
                not all(isinstance(s, str) for s in only):
            raise Fail(f"edits.toml: {table.get('file')}: 'series' needs a "
                       "list of names")
        if "series" in table:
            table["series"] = tuple(only)
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


def fragment(tree, file, folder="base"):
    """The path of the fragment for a base file.

    folder: the one with fragments/
    """
    where = os.path.normpath(f"{folder}/fragments")
    paths = [p for p in (tree / where / file, tree / file) if p.is_file()]
    if not paths:
        raise Fail(f"missing, both in {where} and at the top")
    if len(paths) > 1:
        raise Fail(f"found twice, in {where} and at the top")
    return paths[0]


def plan(tree, series=None, folder="base"):
    """The edits for a series: pairs of an edit and its piece, in order.

    series: default: the edits for all series
    folder: the one with edits.toml and fragments/
    Fail if the edits and the fragments' pieces do not match one to one, in each
    series.
    """
    with open(tree / folder / "edits.toml", "rb") as f:
        edits = [Edit.load(t) for t in tomllib.load(f)["edit"]]
    cut = {}
    for file in dict.fromkeys(e.file for e in edits):
        try:
            path = fragment(tree, file, folder)
            cut[file] = pieces(path.read_text(encoding="utf-8"))
        except (OSError, Fail) as e:
            raise Fail(f"fragment {file}: {e}") from None
    used = {(f, n): [] for f in cut for n in cut[f]}
    for e in edits:
        if e.piece not in cut[e.file]:
            raise Fail(f"fragment {e.file}: has no piece '{e.piece}'")
        for other in used[e.file, e.piece]:
            if not (e.series and other.series) or \
                    set(e.series) & set(other.series):
                raise Fail(f"edits.toml: {e.file}: piece '{e.piece}' used "
                           "twice")
        used[e.file, e.piece].append(e)
    for file, name in sorted(p for p in used if not used[p]):
        raise Fail(f"fragment {file}: no edit uses the piece '{name}'")
    return [(e, cut[e.file][e.piece]) for e in edits
            if not series or not e.series or series in e.series]


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
                   + "\n    ".join(want))
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
    wrong = []
    at = {}
    for name in ("after", "before", "start", "until"):
        anchor = getattr(edit, name)
        try:
            at[name] = anchor and find(lines, anchor, edit.file, block)
        except Fail as e:
            wrong.append(str(e))
    if wrong:
        raise Fail("\n".join(wrong))
    if edit.after:
        first = last = at["after"][1]
    elif edit.before:
        first = last = at["before"][0]
    else:
        first, last = at["start"][0], at["until"][0]
        if last <= first:
            raise Fail(f"{edit.file}: piece '{edit.piece}': the anchor 'until'"
                       " comes before 'from'")
        while not lines[last - 1].strip():
            last -= 1           # blank lines before 'until' stay
    return [*lines[:first], *[""] * edit.above, *piece, *[""] * edit.below,
            *lines[last:]]


def edit_texts(base, pristine, planned, misfits):
    """The new texts of all files with edits, by file."""
    texts = {}
    for file in dict.fromkeys(e.file for e, _ in planned):
        kept = pristine / file
        path = kept if kept.exists() else base / file
        if not path.is_file():
            misfits.append(f"{file}: the base has no such file")
            continue
        lines = path.read_text(encoding="utf-8").splitlines()
        for edit, piece in planned:
            if edit.file == file:
                try:
                    lines = apply(lines, edit, piece)
                except Fail as e:
                    misfits.append(str(e))
        texts[file] = "\n".join(lines) + "\n"
    return texts


def make_edits(base, pristine, texts):
    """Write edited files to base, and keep the untouched ones in pristine."""
    for file, text in texts.items():
        kept = pristine / file
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(base / file, f"{kept}.new")
            os.replace(f"{kept}.new", kept)
        write(base / file, text, kept)
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


def links_in_the_way(base, links, old, misfits, what=product.QEMU):
    """Find files of the base where this tree's links go.

    old: the links of an earlier graft
    """
    for path in links:
        at = base / path
        if at.is_symlink() and path in old:
            continue
        if at.is_symlink() or at.exists():
            misfits.append(f"{path}: the base has its own; if this tree "
                           "replaces it, add it to [unpack] in "
                           f"{what.folder}/base.toml")


def make_links(tree, base, links, old):
    """Link this tree's files into base, in place of those of an old graft."""
    for path in old:
        if path not in links and (base / path).is_symlink():
            (base / path).unlink()
    for path in links:
        at = base / path
        target = os.path.relpath(tree / path, at.parent)
        if at.is_symlink():
            if os.readlink(at) == target:
                continue
            at.unlink()
        at.parent.mkdir(parents=True, exist_ok=True)
        at.symlink_to(target)


def check(misfits, version, what=product.QEMU):
    """Fail with the list of misfits, unless it is empty."""
    if misfits:
        raise Fail(f"this tree does not fit {what.name} {version}:\n"
                   + "\n".join(misfits) + f"\nSee {what.guide}.")


def make(tree, unpacked, spec, series, version):
    """Put this tree into the unpacked base: links and edits, or neither.

    spec: base.toml; series: the one whose edits to make; version: the base's
    """
    what = product.of(spec)
    misfits = [f"{pattern}: the base has no such file, so what this tree "
               f"replaces is elsewhere ([unpack] in {what.folder}/base.toml)"
               for pattern in unpacked.source().get("nothing_like", [])]
    fragments = {e.file for e, _ in plan(tree, folder=what.inside)}
    links = wanted_links(tree, spec["link"], fragments)
    old = []
    if unpacked.links.exists():
        old = json.loads(unpacked.links.read_text())
    links_in_the_way(unpacked.root, links, old, misfits, what)
    texts = edit_texts(unpacked.root, unpacked.pristine,
                       plan(tree, series, what.inside), misfits)
    check(misfits, version, what)
    # Listed first, so that a run which is interrupted leaves nothing unknown
    unpacked.links.write_text(json.dumps(sorted({*links, *old})) + "\n")
    make_links(tree, unpacked.root, links, old)
    unpacked.links.write_text(json.dumps(links, indent=1) + "\n")
    make_edits(unpacked.root, unpacked.pristine, texts)
    order_option_files(unpacked.root)


def order_option_files(base):
    """Keep QEMU's build from regenerating scripts/meson-buildoptions.sh.

    It does that when meson_options.txt is newer. The graft edits both.
    """
    options = base / "meson_options.txt"
    script = base / "scripts/meson-buildoptions.sh"
    if script.exists() and \
            script.stat().st_mtime_ns <= options.stat().st_mtime_ns:
        os.utime(script)


def excluded(path, patterns):
    """The first pattern that a path below the root, or a folder above it,
    matches; or None."""
    parts = pathlib.PurePosixPath(path).parts
    heads = ["/".join(parts[:n + 1]) for n in range(len(parts))]
    return next((p for h in heads for p in patterns
                 if h.count("/") == p.count("/")
                 and fnmatch.fnmatchcase(h, p)), None)
