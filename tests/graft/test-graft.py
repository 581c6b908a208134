#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Unit tests of the graft (base/*.py), on small trees that the tests make, and
on this tree's own edits and fragments. They need only Python: no network and no
base.
"""

import ast
import hashlib
import io
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import unittest

TREE = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TREE / "base"))
sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
import configure                                            # noqa: E402
import fetch                                                # noqa: E402
import firmware                                             # noqa: E402
import graft                                                # noqa: E402
import modules                                              # noqa: E402
import packages                                             # noqa: E402
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


class Scratch(unittest.TestCase):
    """A test with a temporary folder."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)

    def put(self, path, text):
        """Write a file in the folder; returns its path."""
        file = self.dir / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text), encoding="utf-8")
        return file

    def get(self, path):
        """The text of a file in the folder."""
        return (self.dir / path).read_text(encoding="utf-8")


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

    def test_until_twice(self):
        with self.assertRaisesRegex(Fail, "twice"):
            self.edit(**{"from": "two", "until": "three"})

    def test_there_already(self):
        with self.assertRaisesRegex(Fail, "already"):
            self.edit(piece=["  two", "three"], after="four")

    def test_bad_tables(self):
        for where in ({}, {"after": "a", "before": "b"}, {"from": "a"},
                      {"until": "a"}, {"aftre": "two"},
                      {"from": "a", "until": "b", "after": "c"}):
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


class TestGraft(Scratch):
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
        self.put("base/d/f.c", BASE)
        self.args = [self.dir / d for d in ("tree", "base", "pristine")]

    def fragment(self, path, text):
        """Write a fragment of the tree."""
        self.put(f"tree/base/fragments/{path}", text)

    def edits(self):
        """Make the edits; the text of the edited file."""
        graft.make_edits(*self.args)
        return self.get("base/d/f.c")

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
        with open(self.dir / "tree/base/edits.toml", "a",
                  encoding="utf-8") as f:
            f.write('[[edit]]\nfile = "d/g.c"\npiece = "q"\nwhy = ""\n'
                    'after = "nowhere"\n')
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

    def links(self, **spec):
        """Make links; the paths that are links in the base now."""
        graft.make_links(*self.args[:2], {"folders": [], "files": []} | spec,
                         self.dir / "links.json")
        base = self.dir / "base"
        return sorted(str(p.relative_to(base)) for p in base.rglob("*")
                      if p.is_symlink())

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
        self.args[0] = self.dir / "moved"
        self.links(folders=["whole"])
        self.assertEqual(self.get("base/whole/x.c"), "x")


class TestUnpack(Scratch):
    """The base's source, from folders and tarballs."""

    FILES = {"VERSION": "10.0.9\n", "a/x.c": "x", "fsdev/y.c": "y",
             "hw/9pfs/deep/z.c": "z", "t/virtio-9p-a.c": "", "t/virtio-a.c": "",
             "roms/fsdev/kept.c": ""}
    WITHOUT = ["fsdev", "hw/9pfs", "t/virtio-9p*"]
    LEFT = ["VERSION", "a/x.c", "roms/fsdev/kept.c", "t/virtio-a.c"]

    def setUp(self):
        super().setUp()
        for path, text in self.FILES.items():
            self.put(f"own/{path}", text)
        self.base = unpack.Unpacked(self.dir / "build.base")

    def left(self):
        """Files in the base."""
        root = self.base.root
        return sorted(str(p.relative_to(root)) for p in root.rglob("*")
                      if not p.is_dir())

    def folder(self):
        """Copy the base from the folder."""
        self.base.from_folder(self.dir / "own", "10.0", self.WITHOUT)

    def tarball(self, *extra):
        """A tarball of the folder, and its sum."""
        path = self.dir / "q.tar.xz"
        with tarfile.open(path, "w:xz") as tar:
            tar.add(self.dir / "own", "qemu-10.0.9")
            for name in extra:
                tar.addfile(tarfile.TarInfo(name), io.BytesIO())
        return path, fetch.sha256(path)

    def test_folder(self):
        self.put("own/.git/config", "")
        self.put("own/build/build.ninja", "")
        self.folder()
        self.assertEqual(self.left(), self.LEFT)

    def test_folder_is_not_shared(self):
        (self.dir / "own/link").symlink_to("VERSION")
        self.folder()
        (self.base.root / "a/x.c").write_text("changed")
        self.assertEqual(self.get("own/a/x.c"), "x")
        self.assertTrue((self.base.root / "link").is_symlink())

    def test_folder_that_holds_the_build(self):
        self.base = unpack.Unpacked(self.dir / "own/b.base")
        self.folder()
        self.folder()
        self.assertEqual(self.left(), self.LEFT)

    def test_folder_again(self):
        self.folder()
        kept = self.base.root / "a/x.c"
        number = kept.stat().st_ino
        self.put("own/t/virtio-a.c", "longer")
        self.put("own/new.c", "")
        (self.dir / "own/roms/fsdev/kept.c").unlink()
        self.folder()
        self.assertEqual(self.left(), ["VERSION", "a/x.c", "new.c",
                                       "t/virtio-a.c"])
        self.assertEqual((self.base.root / "t/virtio-a.c").read_text(),
                         "longer")
        self.assertEqual(kept.stat().st_ino, number, "copied for nothing")

    def test_folder_changes_an_edited_file(self):
        self.folder()
        self.put("tree/base/edits.toml", """\
            [[edit]]
            file = "a/x.c"
            piece = "p"
            why = "because"
            after = "x"
            """)
        self.put("tree/a/x.c", "// graft: p\nnew\n")
        graft.make_edits(self.dir / "tree", self.base.root, self.base.pristine)
        self.put("own/a/x.c", "w\nx\n")
        self.folder()
        graft.make_edits(self.dir / "tree", self.base.root, self.base.pristine)
        self.assertEqual((self.base.root / "a/x.c").read_text(),
                         "w\nx\nnew\n")

    def test_wrong_version(self):
        for version in ("9.2.4", "10.1.0", "10.00.1", "100.0.1", ""):
            with self.subTest(version):
                self.put("own/VERSION", version + "\n")
                with self.assertRaisesRegex(Fail, "own: .*10.0.x"):
                    self.folder()
                with self.assertRaisesRegex(Fail, "q.tar.xz: .*10.0.x"):
                    self.base.from_tarball(*self.tarball(), "10.0", [])
                self.assertEqual(self.left(), [])

    def test_no_source(self):
        (self.dir / "own/VERSION").unlink()
        with self.assertRaisesRegex(Fail, "own: not a QEMU source tree"):
            self.folder()

    def test_tarball(self):
        self.base.from_tarball(*self.tarball(), "10.0", self.WITHOUT)
        self.assertEqual(self.left(), self.LEFT)
        (self.base.root / "a/x.c").write_text("kept")
        self.base.from_tarball(*self.tarball(), "10.0", self.WITHOUT)
        self.assertEqual((self.base.root / "a/x.c").read_text(), "kept")

    def test_another_tarball(self):
        self.base.from_tarball(*self.tarball(), "10.0", self.WITHOUT)
        self.put("own/a/x.c", "other")
        self.base.from_tarball(*self.tarball(), "10.0", self.WITHOUT)
        self.assertEqual((self.base.root / "a/x.c").read_text(), "other")

    def test_bad_names(self):
        for name in ("qemu-10.0.9/../../evil", "/evil"):
            with self.subTest(name), self.assertRaisesRegex(Fail, "bad name"):
                self.base.from_tarball(*self.tarball(name), "10.0", [])
        self.assertFalse((self.dir / "evil").exists())

    def test_broken_tarball(self):
        path, has = self.tarball()
        path.write_bytes(path.read_bytes()[:-200])
        with self.assertRaisesRegex(Fail, "q.tar.xz"):
            self.base.from_tarball(path, has, "10.0", [])
        self.assertEqual(self.base.source(), {})

    def test_no_tarball(self):
        path = self.put("q.tar", "no archive")
        with self.assertRaisesRegex(Fail, "q.tar"):
            self.base.from_tarball(path, "0", "10.0", [])


class TestFetch(Scratch):
    """The cache, and the choice of a version."""

    KNOWN = [{"file": "qemu_10.0.13+ds.orig.tar.xz", "sha256": "13"},
             {"file": "qemu_10.0.2+ds.orig.tar.xz", "sha256": "2"}]

    def setUp(self):
        super().setUp()
        (self.dir / "cache").mkdir()
        self.cache = fetch.Cache(self.dir / "cache")
        self.sum = hashlib.sha256(b"text").hexdigest()

    def test_sum(self):
        file = self.put("f", "text")
        fetch.check_sha256(file, self.sum)
        file.write_text("texT")
        with self.assertRaisesRegex(Fail, "f: .*SHA-256.*" + self.sum):
            fetch.check_sha256(file, self.sum)

    def test_cache(self):
        self.assertIsNone(self.cache.get("f"))
        path = self.cache.put(self.put("f", "text"))
        self.assertEqual(self.cache.get("f"), path)
        self.assertEqual(self.cache.get("f", self.sum), path)
        self.assertEqual(self.cache.sums(), {"f": self.sum})

    def test_cache_damaged(self):
        path = self.cache.put(self.put("f", "text"))
        path.write_text("texT")
        self.assertIsNone(self.cache.get("f"))
        self.assertIsNone(self.cache.get("f", self.sum))

    def test_cache_of_another_sum(self):
        self.cache.put(self.put("f", "text"))
        self.assertIsNone(self.cache.get("f", "00"))

    def test_series(self):
        for version, is_in in (("10.0.13+ds", True), ("10.0.2", True),
                               ("10.0~rc1", False), ("10.1.0+ds", False),
                               ("10.00.1", False), ("110.0.1", False)):
            self.assertEqual(fetch.in_series(version, "10.0"), is_in, version)

    def test_prefers_known(self):
        offers = [("1:10.0.14+ds-1", "qemu_10.0.14+ds.orig.tar.xz", "14"),
                  ("1:10.0.2+ds-2", "qemu_10.0.2+ds.orig.tar.xz", "2"),
                  ("1:10.0.13+ds-1", "qemu_10.0.13+ds.orig.tar.xz", "13")]
        self.assertEqual(fetch.choose(offers, self.KNOWN), offers[2])
        self.assertEqual(fetch.choose(offers[:2], self.KNOWN), offers[1])

    def test_newest_of_unknown(self):
        offers = [("a", "qemu_10.0.9+ds.orig.tar.xz", "9"),
                  ("b", "qemu_10.0.14+ds.orig.tar.xz", "14"),
                  ("c", "qemu_10.0.13+ds.orig.tar.xz", "not 13")]
        self.assertEqual(fetch.choose(offers, self.KNOWN), offers[1])

    def test_offline_with_cache(self):
        spec = {"series": "10.0", "known": [{"file": "q", "sha256": self.sum}]}
        path = self.cache.put(self.put("q", "text"))
        with fetch.Fetcher(spec, self.cache) as fetcher:
            self.assertEqual(fetcher.tarball(), (path, self.sum))
            self.assertIsNone(fetcher.archive)

    def test_accepted_before(self):
        spec = {"series": "10.0", "known": self.KNOWN}
        path = self.cache.put(self.put("qemu_10.0.99+ds.orig.tar.xz", "text"))
        with fetch.Fetcher(spec, self.cache) as fetcher:
            self.assertEqual(fetcher.tarball(), (path, self.sum))

    def test_versions(self):
        self.assertGreater(modules.numbers("1.10.0"), modules.numbers("1.5"))
        self.assertGreater(modules.numbers("1.5.0rc1"), modules.numbers("1.4"))
        self.assertLess(modules.numbers("1.4.99"), modules.numbers("1.5"))
        self.assertLess(modules.numbers("0"), modules.numbers("1.5"))


class TestRest(Scratch):
    """Arguments, packages and firmware."""

    def test_arguments(self):
        own, rest = configure.arguments(
            ["--base=/a=b", "--cc=ccache gcc", "--lean", "--builddir=x",
             "--enable-kvm", "-Dfoo=bar"])
        self.assertEqual(own, {"base": "/a=b", "builddir": "x", "lean": True,
                               "help": False})
        self.assertEqual(rest, ["--cc=ccache gcc", "--enable-kvm",
                                "-Dfoo=bar"])

    def test_bad_arguments(self):
        for arg in ("--base", "--base=", "--builddir", "--lean=yes"):
            with self.subTest(arg), self.assertRaisesRegex(Fail, arg):
                configure.arguments([arg])

    def test_packages(self):
        listed = ("build a command:sh\nbuild b command:no-such-program|sh\n"
                  "# comment\nbuild c command:no-such-program\n"
                  f"build d file:{self.dir}/none\nbuild e python:no_such_one\n"
                  "boot f command:no-such-program\n")
        self.assertEqual(packages.missing(["build"], listed), ["c", "d", "e"])
        self.assertEqual(packages.missing(["boot"], listed), ["f"])

    def test_packages_list(self):
        for line in packages.LIST.read_text(encoding="utf-8").splitlines():
            words = line.partition("#")[0].split()
            if words:
                self.assertEqual(len(words), 3, line)
                self.assertIn(words[0], ("build", "boot", "test", "long",
                                         "bench"), line)
                self.assertIn(words[2].partition(":")[0], packages.PROBES,
                              line)

    def test_firmware(self):
        self.put("build/meson-info/intro-buildoptions.json", """\
            [{"name": "prefix", "value": "/usr/local"},
             {"name": "datadir", "value": "share"},
             {"name": "qemu_suffix", "value": "qemu"}]
            """)
        data = "build/qemu-bundle/usr/local/share/qemu"
        self.put("a/bios.bin", "a")
        self.put("b/bios.bin", "b")
        self.put("b/own.bin", "b")
        self.put(f"{data}/own.bin", "the build's")
        (self.dir / "b/none.bin").symlink_to("nowhere")
        (self.dir / data / "old.bin").symlink_to("nowhere")
        folders = [self.dir / "a", self.dir / "b", self.dir / "c"]
        for _ in range(2):
            firmware.link(self.dir / "build", folders)
            self.assertEqual(sorted(os.listdir(self.dir / data)),
                             ["bios.bin", "own.bin"])
            self.assertEqual(self.get(f"{data}/bios.bin"), "a")
            self.assertEqual(self.get(f"{data}/own.bin"), "the build's")
        self.assertEqual(firmware.link(self.dir / "build", []), 0)


class TestPython(Scratch):
    """The commands with a Python that is too old, or without one."""

    OLD = "import runpy, sys\nsys.version_info = (3, 10, 99)\n" \
        "sys.argv = sys.argv[1:]\n" \
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"

    def refuses(self, status, *command):
        """Run a command that must refuse this Python; returns its message."""
        done = subprocess.run(list(map(str, command)), capture_output=True,
                              text=True, stdin=subprocess.DEVNULL,
                              check=False)
        self.assertEqual((done.returncode, done.stdout), (status, ""),
                         done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        return done.stderr

    def configure_with(self, python):
        """A copy of ./configure that uses another Python."""
        text = (TREE / "configure").read_text(encoding="utf-8")
        self.assertEqual(text.count("python=/usr/bin/python3\n"), 1)
        copy = self.put("configure", text.replace("/usr/bin/python3", python))
        copy.chmod(0o755)
        (self.dir / "base").symlink_to(TREE / "base")
        return copy

    def test_boot_and_check(self):
        for name, status in (("boot", 125), ("check", 1)):
            self.assertEqual(
                self.refuses(status, sys.executable, "-B", "-c", self.OLD,
                             TREE / name, "--help"),
                f"./{name}: Python 3.11 or later is needed (Debian 12 and "
                "later)\n")

    def test_configure(self):
        old = self.put("python3", f"#!/bin/sh\nshift\n"
                       f"exec {sys.executable} -B -c \"{self.OLD}\" \"$@\"\n")
        old.chmod(0o755)
        self.assertEqual(
            self.refuses(1, self.configure_with(str(old)), "--help"),
            "configure: error: Python 3.11 or later is needed (Debian 12 and "
            "later)\n")

    def test_configure_without(self):
        none = self.dir / "python3"
        self.assertEqual(
            self.refuses(1, self.configure_with(str(none)), "--help"),
            f"configure: error: {none} is missing: apt install python3\n")

    def test_readable_by_older_ones(self):
        for name in ("boot", "check", "base/pyversion.py"):
            ast.parse((TREE / name).read_text(encoding="utf-8"),
                      feature_version=(3, 4))


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
        for k in self.spec["known"]:
            self.assertRegex(k["sha256"], r"^[0-9a-f]{64}$")
            self.assertTrue(fetch.in_series(k["file"].partition("_")[2],
                                            self.spec["series"]))


if __name__ == "__main__":
    unittest.main()
