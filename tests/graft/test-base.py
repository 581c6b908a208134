#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Unit tests of how configure finds, fetches and unpacks the base (base/*.py
except graft.py). They need only Python: no network and no base.
"""

import ast
import contextlib
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import textwrap
import unittest

from scratch import TREE, Scratch

# pylint: disable=wrong-import-order
import configure                                            # noqa: E402
import fetch                                                # noqa: E402
import firmware                                             # noqa: E402
import graft                                                # noqa: E402
import modules                                              # noqa: E402
import packages                                             # noqa: E402
import product                                              # noqa: E402
import series                                               # noqa: E402
import unpack                                               # noqa: E402
from fail import Fail                                       # noqa: E402


class TestSeries(unittest.TestCase):
    """The series to which a version belongs."""

    SPEC = {"default": "10.0", "series": [
        {"name": n, "suite": n, "known": []} for n in ("10.0", "10.2")]}

    def test_has(self):
        for version, is_in in (("10.0.13+ds", True), ("10.0.2", True),
                               ("10.0~rc1", False), ("10.1.0+ds", False),
                               ("10.00.1", False), ("110.0.1", False)):
            self.assertEqual(series.has("10.0", version), is_in, version)

    def test_of_version(self):
        for version, name, known in (
                ("10.0.0", "10.0", True), ("10.0.13", "10.0", True),
                ("10.2.2", "10.2", True), ("10.1.3", "10.0", False),
                ("9.2.4", "10.0", False), ("10.2.91", "10.2", True),
                ("10.3.0", "10.2", False), ("10.10.0", "10.2", False),
                ("11.0.1", "10.2", False), ("100.0.1", "10.2", False)):
            said = io.StringIO()
            with self.subTest(version), contextlib.redirect_stderr(said):
                self.assertEqual(
                    series.of_version(self.SPEC, version, "there"), name)
                if known:
                    self.assertEqual(said.getvalue(), "")
                else:
                    self.assertRegex(
                        said.getvalue(), "^[^\n]* notice: there: this tree was "
                        f"not tested with QEMU {version}, only with 10.0.x and "
                        f"10.2.x; trying it as {name}\n$")

    def test_find(self):
        for name, want in ((None, "10.0"), ("10.0", "10.0"), ("10.2", "10.2")):
            self.assertEqual(series.find(self.SPEC, name)["name"], want)
        for name in ("10.1", "10", "10.2.2", "./10.2"):
            self.assertIsNone(series.find(self.SPEC, name), name)


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
        return self.base.from_folder(self.dir / "own", self.WITHOUT)

    def tarball(self, *extra):
        """A tarball of the folder, and its sum."""
        path = self.dir / "q.tar.xz"
        with tarfile.open(path, "w:xz") as tar:
            tar.add(self.dir / "own", "qemu-10.0.9")
            for name in extra:
                tar.addfile(tarfile.TarInfo(name), io.BytesIO())
        return path, fetch.sha256(path)

    def test_other_product(self):
        """The version of another program than QEMU"""
        what = product.Product("Thing", "thing", "meson.build",
                               "version: '(.*)',")
        base = unpack.Unpacked(self.dir / "b.base", what)
        folder = self.put("thing-1.2.3/meson.build",
                          "project(\n  version: '1.2.3',\n)\n").parent
        with contextlib.redirect_stderr(io.StringIO()):
            self.assertEqual(base.from_folder(folder, []), "1.2.3")
            self.assertEqual(base.root.name, "thing")
            self.assertTrue((base.root / "meson.build").is_file())
            with self.assertRaisesRegex(
                    Fail, "not a Thing source tree .it has no meson.build"):
                base.from_folder(self.put("other/VERSION", "1.2.3").parent, [])
            self.put("thing-1.2.3/meson.build", "project(\n)\n")
            with self.assertRaisesRegex(Fail, "its meson.build is ''"):
                base.from_folder(folder, [])

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

    def graft(self):
        """Unpacks the base's own folder and edits it."""
        self.put("own/meson_options.txt", "")
        self.put("own/scripts/meson-buildoptions.sh", "")
        self.folder()
        self.put("build.base/source.json", "{}")
        graft.make(self.dir / "tree", self.base,
                   {"link": {"folders": [], "files": []}}, "10.0", "10.0.9")

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
        self.graft()
        self.put("own/a/x.c", "w\nx\n")
        self.folder()
        self.graft()
        self.assertEqual((self.base.root / "a/x.c").read_text(),
                         "w\nx\nnew\n")

    def test_version(self):
        for version in ("9.2.4", "10.1.0", "100.0.1"):
            with self.subTest(version):
                self.put("own/VERSION", version + "\n")
                self.assertEqual(self.folder(), version)
                for _ in range(2):
                    self.assertEqual(
                        self.base.from_tarball(*self.tarball(), []), version)

    def test_no_version(self):
        for version in ("", "10", "10.00.1", "v10.0.1", "10.0~rc1", "x"):
            with self.subTest(version):
                self.put("own/VERSION", version + "\n")
                with self.assertRaisesRegex(Fail, "own: not a QEMU source"):
                    self.folder()
                with self.assertRaisesRegex(Fail, "q.tar.xz: not a QEMU"):
                    self.base.from_tarball(*self.tarball(), [])
                self.assertEqual(self.left(), [])

    def test_patterns_without_files(self):
        """What the base has elsewhere, or not at all, is recorded."""
        for path in ("fsdev/y.c", "t/virtio-9p-a.c"):
            (self.dir / "own" / path).unlink()
        (self.dir / "own/fsdev").rmdir()
        want = ["fsdev", "t/virtio-9p*"]
        self.folder()
        self.assertEqual(self.base.source()["nothing_like"], want)
        for _ in range(2):
            self.base.from_tarball(*self.tarball(), self.WITHOUT)
            self.assertEqual(self.base.source()["nothing_like"], want)

    def test_no_source(self):
        (self.dir / "own/VERSION").unlink()
        with self.assertRaisesRegex(Fail, "own: not a QEMU source tree"):
            self.folder()

    def test_tarball(self):
        self.base.from_tarball(*self.tarball(), self.WITHOUT)
        self.assertEqual(self.left(), self.LEFT)
        (self.base.root / "a/x.c").write_text("kept")
        self.base.from_tarball(*self.tarball(), self.WITHOUT)
        self.assertEqual((self.base.root / "a/x.c").read_text(), "kept")

    def test_another_tarball(self):
        self.base.from_tarball(*self.tarball(), self.WITHOUT)
        self.put("own/a/x.c", "other")
        self.base.from_tarball(*self.tarball(), self.WITHOUT)
        self.assertEqual((self.base.root / "a/x.c").read_text(), "other")

    def test_bad_names(self):
        for name in ("qemu-10.0.9/../../evil", "/evil"):
            with self.subTest(name), self.assertRaisesRegex(Fail, "bad name"):
                self.base.from_tarball(*self.tarball(name), [])
        self.assertFalse((self.dir / "evil").exists())

    def test_broken_tarball(self):
        path, has = self.tarball()
        path.write_bytes(path.read_bytes()[:-200])
        with self.assertRaisesRegex(Fail, "q.tar.xz"):
            self.base.from_tarball(path, has, [])
        self.assertEqual(self.base.source(), {})

    def test_no_tarball(self):
        path = self.put("q.tar", "no archive")
        with self.assertRaisesRegex(Fail, "q.tar"):
            self.base.from_tarball(path, "0", [])


class TestFetch(Scratch):
    """The cache, and the choice of a version."""

    KNOWN = [{"file": "qemu_10.0.13+ds.orig.tar.xz", "sha256": "13"},
             {"file": "qemu_10.0.2+ds.orig.tar.xz", "sha256": "2"}]

    def setUp(self):
        super().setUp()
        (self.dir / "cache").mkdir()
        self.cache = fetch.Cache(self.dir / "cache")
        self.sum = hashlib.sha256(b"text").hexdigest()

    @staticmethod
    def spec(known, newer=()):
        """A spec with two series and their known tarballs."""
        return {"default": "10.0",
                "series": [{"name": "10.0", "suite": "a", "known": known},
                           {"name": "10.2", "suite": "b", "known": newer}]}

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
        spec = self.spec([{"file": "q", "sha256": self.sum}])
        path = self.cache.put(self.put("q", "text"))
        with fetch.Fetcher(spec, self.cache) as fetcher:
            self.assertEqual(fetcher.tarball(), (path, self.sum))
            self.assertEqual(fetcher.archives, {})

    def test_each_series(self):
        other = hashlib.sha256(b"other").hexdigest()
        spec = self.spec([{"file": "q", "sha256": self.sum}],
                         [{"file": "r", "sha256": other}])
        q = self.cache.put(self.put("q", "text"))
        r = self.cache.put(self.put("r", "other"))
        with fetch.Fetcher(spec, self.cache) as fetcher:
            self.assertEqual(fetcher.tarball(), (q, self.sum))
            self.assertEqual(fetcher.tarball("10.0"), (q, self.sum))
            self.assertEqual(fetcher.tarball("10.2"), (r, other))
            self.assertEqual(fetcher.archives, {})

    def test_accepted_before(self):
        spec = self.spec(self.KNOWN)
        self.cache.put(self.put("qemu_10.2.9+ds.orig.tar.xz", "newer"))
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

    def test_base_that_is_not_there(self):
        spec = fetch.read_spec()
        for given in ("10.1", "qemu.tar.xz"):
            with self.assertRaisesRegex(Fail, f"--base={given}: no such file "
                                        ".*10.0 or 10.2"):
                unpack.Unpacked(self.dir).bring(spec, given, None)

    def test_bad_arguments(self):
        for arg in ("--base", "--base=", "--builddir", "--lean=yes"):
            with self.subTest(arg), self.assertRaisesRegex(Fail, arg):
                configure.arguments([arg])

    def test_packages(self):
        listed = ("build a command:sh\nbuild b command:no-such-program|sh\n"
                  "# comment\nbuild c command:no-such-program\n"
                  f"build d file:{self.dir}/none\nbuild e python:no_such_one\n"
                  "run,boot f command:no-such-program\n")
        self.assertEqual(packages.missing(["build"], listed), ["c", "d", "e"])
        self.assertEqual(packages.missing(["boot"], listed), ["f"])

    def test_packages_list(self):
        for line in packages.LIST.read_text(encoding="utf-8").splitlines():
            words = line.partition("#")[0].split()
            if words:
                self.assertEqual(len(words), 3, line)
                self.assertLessEqual(set(words[0].split(",")), {
                    "build", "run", "boot", "bench", "clang", "unit",
                    "helper", "attack", "warnings", "guest", "libvirt",
                    "fuzz", "hosts",
                    "docs", "long", "targets", "full"}, line)
                self.assertIn(words[2].partition(":")[0], packages.PROBES,
                              line)

    def test_firmware(self):
        """Images are found that come after configure, in every folder."""
        build = self.dir / "build"
        folders = [self.dir / "a", self.dir / "b", self.dir / "c"]
        bundle = [build / "qemu-bundle" / str(f).lstrip("/") for f in folders]
        self.put("b/own.bin", "Debian's")
        self.put("b/bios.bin", "b")
        # Meson has made this one, and the user has built nothing else
        bundle[1].mkdir(parents=True)
        (bundle[1] / "own.bin").write_text("the build's")
        for _ in range(2):
            firmware.link(build, folders)
            self.put("a/late.bin", "a")
            self.assertEqual((bundle[0] / "late.bin").read_text(), "a")
            self.assertEqual(sorted(os.listdir(bundle[1])),
                             ["bios.bin", "own.bin"])
            self.assertEqual((bundle[1] / "own.bin").read_text(),
                             "the build's")
            self.assertEqual(os.readlink(bundle[2]), str(folders[2]))

    def test_firmware_argument(self):
        """The base looks in Debian's folders if it has no images itself."""
        own, rest = configure.arguments(["--lean"])
        args = configure.base_arguments(own, rest, "python3", self.dir)
        self.assertIn("--firmwarepath=share/qemu-firmware:/usr/share/seabios:"
                      "/usr/share/qemu:/usr/lib/ipxe/qemu", args)
        self.put("pc-bios/bios.bin", "")
        args = configure.base_arguments(own, rest, "python3", self.dir)
        self.assertNotIn(firmware.ARGUMENT, args)


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


if __name__ == "__main__":
    unittest.main()
