#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Unit tests of the graft (base/graft.py), on small trees that the tests make,
and on this tree's own edits and fragments. They need only Python: no network
and no base.
"""

import os
import textwrap
import unittest

from scratch import TREE, Scratch

# pylint: disable=wrong-import-order
import fetch                                                # noqa: E402
import graft                                                # noqa: E402
import product                                              # noqa: E402
import series                                               # noqa: E402
import unpack                                               # noqa: E402
from fail import Fail                                       # noqa: E402

BASE = """\
one
  two
three
two and a half
three
four
"""


class TestApply(unittest.TestCase):
    """Single edits."""

    def edit(self, piece=("new",), **where):
        """The lines of BASE after an edit."""
        e = graft.Edit.load({"file": "f.c", "piece": "p", "why": "", **where})
        return graft.apply(BASE.splitlines(), e, list(piece))

    def test_after(self):
        self.assertEqual(self.edit(after="two")[:4],
                         ["one", "  two", "new", "three"])

    def test_before(self):
        self.assertEqual(self.edit(before="two")[:3], ["one", "new", "  two"])

    def test_blank_lines_around(self):
        self.assertEqual(self.edit(after="two", above=1)[:5],
                         ["one", "  two", "", "new", "three"])
        self.assertEqual(self.edit(before="two", below=2)[:5],
                         ["one", "new", "", "", "  two"])

    def test_last_line(self):
        self.assertEqual(self.edit(after="four")[-2:], ["four", "new"])

    def test_anchor_of_two_lines(self):
        self.assertEqual(self.edit(after="two\nthree")[:5],
                         ["one", "  two", "three", "new", "two and a half"])

    def test_region(self):
        self.assertEqual(self.edit(**{"from": "two", "until": "four"}),
                         ["one", "new", "four"])

    def test_region_leaves_blank_lines(self):
        e = graft.Edit(file="f", piece="p", why="", start="b", until="d")
        self.assertEqual(graft.apply(["a", "b", "c", "", " ", "d"], e, ["n"]),
                         ["a", "n", "", " ", "d"])

    def test_region_backwards(self):
        with self.assertRaisesRegex(Fail, "f.c.*'p'.*'until'.*before"):
            self.edit(**{"from": "four", "until": "two"})

    def test_region_of_nothing(self):
        with self.assertRaisesRegex(Fail, "f.c"):
            self.edit(**{"from": "two", "until": "two"})

    def test_missing(self):
        with self.assertRaisesRegex(Fail, r"f\.c: .*missing:\s+five"):
            self.edit(after="five")

    def test_part_of_a_line_is_no_anchor(self):
        with self.assertRaisesRegex(Fail, "missing"):
            self.edit(after="and a half")

    def test_twice(self):
        with self.assertRaisesRegex(Fail, r"f\.c: .*twice.*:\s+three"):
            self.edit(before="three")

    def test_until_missing(self):
        with self.assertRaisesRegex(Fail, "missing"):
            self.edit(**{"from": "two", "until": "five"})

    def test_both_missing(self):
        with self.assertRaisesRegex(Fail, r"(?s)missing:\s+five.*"
                                    r"missing:\s+six"):
            self.edit(**{"from": "five", "until": "six"})

    def test_until_twice(self):
        with self.assertRaisesRegex(Fail, "twice"):
            self.edit(**{"from": "two", "until": "three"})

    def test_there_already(self):
        with self.assertRaisesRegex(Fail, "already"):
            self.edit(piece=["  two", "three"], after="four")

    def test_bad_tables(self):
        for where in ({}, {"after": "a", "before": "b"}, {"from": "a"},
                      {"until": "a"}, {"aftre": "two"},
                      {"from": "a", "until": "b", "after": "c"},
                      {"after": "two", "series": "10.0"},
                      {"after": "two", "series": []},
                      {"after": "two", "series": [10.0]}):
            with self.subTest(where), self.assertRaisesRegex(Fail, "f.c"):
                self.edit(**where)


BLOCKS = """\
int one(void);
int one(void)
{
    int a;
    int b;
}

struct two {
    int a;
    int b;
    int c;
};
int c;
"""


class TestWithin(unittest.TestCase):
    """Edits whose anchors are searched in one block."""

    def edit(self, text=BLOCKS, **where):
        """The lines of a text after an edit."""
        e = graft.Edit.load({"file": "f.c", "piece": "p", "why": "", **where})
        return graft.apply(text.splitlines(), e, ["new"])

    def replaced(self, old, new):
        """The lines of BLOCKS with the one place of a text changed."""
        self.assertEqual(BLOCKS.count(old), 1)
        return BLOCKS.replace(old, new).splitlines()

    def test_after(self):
        self.assertEqual(
            self.edit(within="int one(void)", after="int a;"),
            self.replaced("{\n    int a;\n    int b;\n}",
                          "{\n    int a;\nnew\n    int b;\n}"))

    def test_before(self):
        self.assertEqual(self.edit(within="struct two {", before="int a;"),
                         self.replaced("two {\n", "two {\nnew\n"))

    def test_region(self):
        self.assertEqual(
            self.edit(**{"within": "struct two {", "from": "int a;",
                         "until": "int c;"}),
            self.replaced("    int a;\n    int b;\n    int c;\n",
                          "new\n    int c;\n"))

    def test_same_anchors_without(self):
        with self.assertRaisesRegex(Fail, r"f\.c: .*twice.*:\s+int a;"):
            self.edit(after="int a;")

    def test_missing(self):
        with self.assertRaisesRegex(Fail, r"f\.c: .*missing:\s+int three"):
            self.edit(within="int three(void)", after="int a;")

    def test_twice(self):
        with self.assertRaisesRegex(Fail, r"f\.c: .*twice.*:\s+int one"):
            self.edit(BLOCKS + BLOCKS, within="int one(void)", after="int c;")

    def test_anchor_behind_the_block(self):
        with self.assertRaisesRegex(Fail, r"f\.c: .*missing.*:\s+int c;"):
            self.edit(within="int one(void)", after="int c;")

    def test_anchor_before_the_block(self):
        with self.assertRaisesRegex(Fail, r"f\.c: .*missing.*:\s+int one"):
            self.edit(within="struct two {", after="int one(void);")

    def test_anchor_across_the_end(self):
        with self.assertRaisesRegex(Fail, r"f\.c: .*missing.*:\s+int b;"):
            self.edit(within="int one(void)", after="int b;\n}")

    def test_anchor_twice_in_the_block(self):
        with self.assertRaisesRegex(Fail, r"f\.c: .*twice.*:\s+int b;"):
            self.edit(BLOCKS.replace("int c;\n}", "int b;\n}"),
                      within="struct two {", after="int b;")

    def test_until_outside(self):
        with self.assertRaisesRegex(Fail, r"f\.c: .*missing.*:\s+int c;"):
            self.edit(**{"within": "int one(void)", "from": "int a;",
                         "until": "int c;"})

    def test_no_end(self):
        with self.assertRaisesRegex(Fail, r"f\.c: .*'}'.*within.*\s+int one"):
            self.edit(BLOCKS.partition("}")[0], within="int one(void)",
                      after="int a;")

    def test_alone(self):
        with self.assertRaisesRegex(Fail, "f.c.*needs"):
            self.edit(within="struct two {")


class TestPieces(unittest.TestCase):
    """Fragments."""

    def test_comment_styles(self):
        for mark in ("# graft: x-1", "/* graft: x-1 */", "// graft: x-1",
                     "HXCOMM graft: x-1", ".. graft: x-1"):
            with self.subTest(mark):
                self.assertEqual(
                    graft.pieces(f"header\n{mark}\n\n  a\n\nb\n\n"),
                    {"x-1": ["  a", "", "b"]})

    def test_two(self):
        self.assertEqual(graft.pieces("# graft: a\n1\n# graft: b\n2\n"),
                         {"a": ["1"], "b": ["2"]})

    def test_same_name(self):
        with self.assertRaisesRegex(Fail, "'a'.*twice"):
            graft.pieces("# graft: a\n1\n# graft: a\n2\n")

    def test_no_mark(self):
        self.assertEqual(graft.pieces("graft: a\nint graft: b;\n"), {})


class Graft(Scratch):
    """A tree, grafted onto a base."""

    def setUp(self):
        super().setUp()
        self.put("tree/base/edits.toml", """\
            [[edit]]
            file = "d/f.c"
            piece = "p"
            why = "because"
            after = "two"
            """)
        self.fragment("d/f.c", "/* graft: p */\nnew\n")
        self.base = unpack.Unpacked(self.dir / "home")
        self.base.root = self.dir / "base"
        self.base.pristine = self.dir / "pristine"
        self.base.home.mkdir()
        self.put("base/meson_options.txt", "")
        self.put("base/scripts/meson-buildoptions.sh", "")
        self.put("base/d/f.c", BASE)
        self.tree = self.dir / "tree"

    def fragment(self, path, text):
        """Write a fragment of the tree."""
        self.put(f"tree/base/fragments/{path}", text)

    def graft(self, only="1.2", **spec):
        """Graft the tree."""
        graft.make(self.tree, self.base,
                   {"link": {"folders": [], "files": []} | spec}, only, "1.2.3")

    def edits(self):
        """Make the edits; the text of the edited file."""
        self.graft()
        return self.get("base/d/f.c")

    def add_edit(self, text):
        """Add an edit to the tree's list."""
        with open(self.tree / "base/edits.toml", "a", encoding="utf-8") as f:
            f.write('[[edit]]\nwhy = ""\n' + textwrap.dedent(text))

    def links(self, **spec):
        """Make links; the paths that are links in the base now."""
        self.graft(**spec)
        base = self.dir / "base"
        return sorted(str(p.relative_to(base)) for p in base.rglob("*")
                      if p.is_symlink())


class TestGraft(Graft):
    """The graft on a base that fits."""

    def test_again(self):
        want = BASE.replace("  two\n", "  two\nnew\n")
        self.assertEqual(self.edits(), want)
        file = self.dir / "base/d/f.c"
        os.utime(file, ns=(1, 1))
        self.assertEqual(self.edits(), want)
        self.assertEqual(file.stat().st_mtime_ns, 1, "written for nothing")
        self.assertEqual(self.get("pristine/d/f.c"), BASE)

    def test_piece_changed(self):
        self.edits()
        self.fragment("d/f.c", "/* graft: p */\nnewer\n")
        self.assertEqual(self.edits(), BASE.replace("  two\n",
                                                    "  two\nnewer\n"))

    def test_edit_gone(self):
        self.edits()
        self.put("base/d/g.c", BASE)
        self.fragment("d/g.c", "// graft: q\nnew\n")
        self.put("tree/base/edits.toml", """\
            [[edit]]
            file = "d/g.c"
            piece = "q"
            why = "because"
            before = "one"
            """)
        self.assertEqual(self.edits(), BASE)
        self.assertEqual(self.get("base/d/g.c"), "new\n" + BASE)
        self.assertFalse((self.dir / "pristine/d/f.c").exists())

    def test_permissions(self):
        (self.dir / "base/d/f.c").chmod(0o755)
        self.edits()
        self.assertEqual((self.dir / "base/d/f.c").stat().st_mode & 0o777,
                         0o755)

    def test_nothing_written_when_one_fails(self):
        self.add_edit('file = "d/g.c"\npiece = "q"\nafter = "nowhere"\n')
        self.fragment("d/g.c", "// graft: q\nnew\n")
        self.put("base/d/g.c", BASE)
        with self.assertRaisesRegex(Fail, "d/g.c.*missing"):
            self.edits()
        self.assertEqual(self.get("base/d/f.c"), BASE)

    def test_base_lacks_file(self):
        (self.dir / "base/d/f.c").unlink()
        with self.assertRaisesRegex(Fail, "d/f.c.*no such file"):
            self.edits()

    def test_no_fragment(self):
        (self.dir / "tree/base/fragments/d/f.c").unlink()
        with self.assertRaisesRegex(Fail, "d/f.c.*missing"):
            self.edits()

    def test_fragment_at_the_top(self):
        (self.dir / "tree/base/fragments/d/f.c").unlink()
        self.put("tree/d/f.c", "/* graft: p */\nnew\n")
        self.assertEqual(self.edits(), BASE.replace("  two\n",
                                                    "  two\nnew\n"))
        self.assertEqual(self.links(files=["d/*.c"]), [])

    def test_two_fragments(self):
        self.put("tree/d/f.c", "/* graft: p */\nnew\n")
        with self.assertRaisesRegex(Fail, "d/f.c.*twice"):
            self.edits()
        self.assertEqual(self.get("base/d/f.c"), BASE)

    def test_unused_piece(self):
        self.fragment("d/f.c", "// graft: p\nnew\n// graft: q\nmore\n")
        with self.assertRaisesRegex(Fail, "d/f.c.*'q'"):
            self.edits()

    def test_piece_missing(self):
        self.fragment("d/f.c", "// graft: q\nnew\n")
        with self.assertRaisesRegex(Fail, "d/f.c.*'p'"):
            self.edits()

    def test_piece_used_twice(self):
        edits = self.get("tree/base/edits.toml")
        self.put("tree/base/edits.toml", edits + edits)
        with self.assertRaisesRegex(Fail, "d/f.c.*'p'.*twice"):
            self.edits()

    def test_links(self):
        self.put("tree/d/f.c", self.get("tree/base/fragments/d/f.c"))
        (self.dir / "tree/base/fragments/d/f.c").unlink()
        self.put("tree/whole/x.c", "x")
        self.put("tree/d/test-a.c", "a")
        self.put("tree/d/test-b.c", "b")
        spec = {"folders": ["whole"], "files": ["d/test-*.c", "d/f.c"]}
        want = ["d/test-a.c", "d/test-b.c", "whole"]
        self.assertEqual(self.links(**spec), want)
        self.assertEqual(self.links(**spec), want)
        self.assertEqual(self.get("base/whole/x.c"), "x")
        self.put("tree/whole/x.c", "y")
        self.assertEqual(self.get("base/whole/x.c"), "y")
        (self.dir / "tree/d/test-b.c").unlink()
        self.assertEqual(self.links(**spec), ["d/test-a.c", "whole"])

    def test_link_in_the_way(self):
        self.put("tree/d/test-a.c", "a")
        self.put("base/d/test-a.c", "the base's")
        with self.assertRaisesRegex(Fail, "d/test-a.c"):
            self.links(files=["d/test-*.c"])
        self.assertEqual(self.get("base/d/test-a.c"), "the base's")

    def test_moved_tree(self):
        self.put("tree/whole/x.c", "x")
        self.links(folders=["whole"])
        (self.dir / "tree").rename(self.dir / "moved")
        self.tree = self.dir / "moved"
        self.links(folders=["whole"])
        self.assertEqual(self.get("base/whole/x.c"), "x")


class TestMisfits(Graft):
    """Series, and bases that do not fit."""

    def test_edits_of_a_series(self):
        self.fragment("d/f.c", "// graft: p\nnew\n// graft: q\nold\n")
        self.add_edit('file = "d/f.c"\npiece = "q"\nseries = ["1.0", "1.1"]\n'
                      'after = "four"\n')
        for only, there in (("1.0", True), ("1.2", False), ("1.1", True)):
            self.graft(only)
            self.assertEqual(self.get("base/d/f.c").endswith("four\nold\n"),
                             there, only)
            self.assertIn("two\nnew\n", self.get("base/d/f.c"))

    def test_anchors_by_series(self):
        edits = self.get("tree/base/edits.toml")
        self.put("tree/base/edits.toml", edits + 'series = ["1.0"]\n')
        self.add_edit('file = "d/f.c"\npiece = "p"\nseries = ["1.2"]\n'
                      'after = "four"\n')
        self.graft("1.0")
        self.assertIn("two\nnew\n", self.get("base/d/f.c"))
        self.graft("1.2")
        self.assertEqual(self.get("base/d/f.c"), BASE + "new\n")

    def test_twice_in_one_series(self):
        edits = self.get("tree/base/edits.toml")
        for one, two in (("", '["1.0"]'), ('["1.0"]', ""),
                         ('["1.0", "1.2"]', '["1.2"]')):
            with self.subTest(one=one, two=two):
                self.put("tree/base/edits.toml", "".join(
                    edits + (f"series = {s}\n" if s else "")
                    for s in (one, two)))
                with self.assertRaisesRegex(Fail, "d/f.c.*'p'.*twice"):
                    self.edits()

    def test_all_at_once(self):
        """One list names everything that does not fit; nothing is written."""
        self.fragment("d/f.c", "// graft: p\nnew\n// graft: q\n2\n"
                      "// graft: r\n3\n")
        self.fragment("d/gone.c", "// graft: s\n4\n")
        self.put("tree/whole/x.c", "x")
        self.put("tree/d/test-a.c", "a")
        self.put("base/d/test-a.c", "the base's")
        self.put("home/source.json", '{"nothing_like": ["hw/9pfs"]}')
        self.add_edit('file = "d/f.c"\npiece = "q"\n'
                      'from = "nowhere"\nuntil = "neither"\n')
        self.add_edit('file = "d/f.c"\npiece = "r"\nbefore = "three"\n')
        self.add_edit('file = "d/gone.c"\npiece = "s"\nafter = "x"\n')
        self.add_edit('file = "d/gone.c"\npiece = "t"\nafter = "y"\n'
                      'series = ["1.0"]\n')
        self.fragment("d/gone.c", "// graft: s\n4\n// graft: t\n5\n")
        with self.assertRaises(Fail) as caught:
            self.graft(folders=["whole"], files=["d/test-*.c"])
        self.assertEqual(str(caught.exception).splitlines(), [
            "this tree does not fit QEMU 1.2.3:",
            "hw/9pfs: the base has no such file, so what this tree replaces is "
            "elsewhere ([unpack] in base/base.toml)",
            "d/test-a.c: the base has its own; if this tree replaces it, add "
            "it to [unpack] in base/base.toml",
            "d/f.c: this anchor is missing:",
            "    nowhere",
            "d/f.c: this anchor is missing:",
            "    neither",
            "d/f.c: this anchor occurs twice or more:",
            "    three",
            "d/gone.c: the base has no such file",
            f"See {product.QEMU.guide}."])
        self.assertEqual(self.get("base/d/f.c"), BASE)
        self.assertEqual(self.get("base/d/test-a.c"), "the base's")
        self.assertFalse((self.dir / "base/whole").exists())
        self.assertFalse((self.dir / "pristine").exists())


class TestThisTree(unittest.TestCase):
    """This tree's own edits, fragments and lists."""

    def setUp(self):
        self.spec = fetch.read_spec()

    def test_plan(self):
        planned = graft.plan(TREE)
        self.assertGreater(len(planned), 0)
        for edit, piece in planned:
            self.assertTrue(edit.why, edit)
            self.assertTrue(piece, edit)

    def test_fragments(self):
        """An edit names each fragment, and a fragment says that it is one."""
        named = {graft.fragment(TREE, e.file) for e, _ in graft.plan(TREE)}
        below = TREE / "base/fragments"
        self.assertEqual({p for p in below.rglob("*") if p.is_file()},
                         {p for p in named if p.is_relative_to(below)})
        for path in named:
            text = path.read_text(encoding="utf-8")
            opens = " ".join(w for w in text.partition("graft: ")[0].split()
                             if w not in ("#", "HXCOMM"))
            want = "Fragment: "
            if not path.is_relative_to(below):
                want = "This is a fragment: base/graft.py puts it into the " \
                    "base's "
            self.assertIn(want, opens, path)

    def test_anchors_only(self):
        """Anchors are short: the base's text stays in the base."""
        for edit, _ in graft.plan(TREE):
            for anchor in (edit.after, edit.before, edit.start, edit.until,
                           edit.within):
                self.assertLessEqual(len(anchor.strip().splitlines()), 2, edit)

    def test_links_do_not_cover_fragments(self):
        fragments = {e.file for e, _ in graft.plan(TREE)}
        links = graft.wanted_links(TREE, self.spec["link"], fragments)
        self.assertIn("fsdev", links)
        self.assertIn("qapi/fsdev.json", links)
        for link in links:
            self.assertFalse(any(f == link or f.startswith(link + "/")
                                 for f in fragments), link)

    def test_known(self):
        names = series.names(self.spec)
        self.assertIn(self.spec["default"], names)
        self.assertEqual(names, sorted(names, key=series.numbers))
        for one in self.spec["series"]:
            self.assertTrue(one["known"], one)
            for k in one["known"]:
                self.assertRegex(k["sha256"], r"^[0-9a-f]{64}$")
                self.assertTrue(series.has(one["name"],
                                           k["file"].partition("_")[2]))

    def test_series_of_edits(self):
        """Edits name series that there are, and each has its plan."""
        names = series.names(self.spec)
        for edit, _ in graft.plan(TREE):
            self.assertLessEqual(set(edit.series), set(names), edit)
            self.assertNotEqual(set(edit.series), set(names), edit)
        for name in names:
            self.assertGreater(len(graft.plan(TREE, name)), 30)

    def test_qapi_columns(self):
        """QEMU 10.2 takes no longer ones, except in examples."""
        example = False
        path = TREE / "qapi/fsdev.json"
        for number, line in enumerate(
                path.read_text(encoding="utf-8").splitlines(), 1):
            if line.rstrip().endswith("::"):
                example = True
            elif not line.startswith("# ") or line[2:3].strip():
                example = example and not line.strip("#")
            if not example and line.startswith("#"):
                self.assertLessEqual(len(line), 70, f"{path}:{number}")


class TestLibvirt(unittest.TestCase):
    """The edits, fragments and lists for libvirt."""

    HERE = TREE / "contrib/libvirt"

    def setUp(self):
        self.spec = fetch.read_spec(self.HERE)
        self.product = product.of(self.spec)
        self.tree = TREE / self.product.root
        self.planned = graft.plan(self.tree, folder=self.product.inside)

    def test_plan(self):
        """Each edit has its reason, and anchors that are short."""
        self.assertGreater(len(self.planned), 50)
        for edit, piece in self.planned:
            self.assertTrue(edit.why and piece, edit)
            for anchor in (edit.after, edit.before, edit.start, edit.until,
                           edit.within):
                self.assertLessEqual(len(anchor.strip().splitlines()), 2, edit)

    def test_fragments(self):
        """An edit names each fragment, and a fragment says that it is one."""
        below = self.HERE / "fragments"
        named = {below / e.file for e, _ in self.planned}
        self.assertEqual({p for p in below.rglob("*") if p.is_file()}, named)
        for path in named:
            self.assertIn("Fragment: ", path.read_text(
                encoding="utf-8").partition("graft: ")[0], path)

    def test_links(self):
        """The new files go in, and no program of this folder."""
        fragments = {e.file for e, _ in self.planned}
        links = graft.wanted_links(self.tree, self.spec["link"], fragments)
        self.assertIn("src/qemu/qemu_virtfs_proxy.c", links)
        self.assertIn("tests/qemuxmlconfdata/fs-proxy.xml", links)
        self.assertEqual([p for p in links
                          if p.partition("/")[0] not in ("src", "tests")], [])
        self.assertEqual(set(links) & fragments, set())

    def test_product(self):
        """base.toml names libvirt."""
        self.assertEqual(self.product.name, "libvirt")
        self.assertTrue((TREE / self.product.guide).is_file())
        self.assertEqual(series.names(self.spec), [self.spec["default"]])


if __name__ == "__main__":
    unittest.main()
