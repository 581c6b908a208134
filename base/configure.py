# SPDX-License-Identifier: GPL-2.0-or-later
"""Grafts this tree onto a QEMU source tree and configures the result.

usage: ./configure [--base=BASE] [--builddir=DIR] [--lean] [ARGUMENT..]

  --base=BASE     the QEMU to graft onto: a series, {names}; or a source
                  folder, which is copied and never changed; or a tarball.
                  Default: {default}. The source of a series is that which
                  Debian distributes, fetched once into
                  {cache}
  --builddir=DIR  the build folder (default: build, in this tree); the grafted
                  source is beside it, in DIR.base/qemu
  --lean          only the parts that 9p needs: the x86_64 system emulator with
                  KVM and TCG, VirtFS and virtfs-proxy-helper; no graphical
                  display, no network for guests
  --help          this text

All other arguments go to the base's configure, which runs in DIR; for a list
run DIR.base/qemu/configure --help after this command. Then build with:
ninja -C DIR

The steps: fetch the base and, if the machine's Meson is too old for the base,
Meson (both are verified, and nothing is installed); unpack the base without the
parts that this tree replaces; link this tree's files into place and make the
edits of base/edits.toml, or list everything that does not fit; run the base's
configure; link the folders of Debian's firmware into DIR/qemu-bundle.
"""

import os
import pathlib
import subprocess
import sys

import fetch
import firmware
import graft
import modules
import packages
import series
import unpack
from fail import Fail, note, run

TREE = pathlib.Path(__file__).resolve().parent.parent

LEAN = [
    "--target-list=x86_64-softmmu",
    "--without-default-features",
    "--disable-docs",
    "--enable-system",
    "--enable-tcg",
    "--enable-kvm",
    "--enable-virtfs",
    "--enable-virtfs-proxy-helper",
    "--enable-virtfs-mapped",
    "--enable-attr",
    "--enable-cap-ng",
    "--enable-seccomp",
]


def arguments(argv):
    """Split the arguments: (own ones by name, a list for the base)."""
    own = {"base": None, "builddir": None, "lean": False, "help": False}
    rest = []
    for arg in argv:
        name, equals, value = arg.removeprefix("--").partition("=")
        if not arg.startswith("--") or name not in own:
            rest.append(arg)
        elif name in ("lean", "help"):
            if equals:
                raise Fail(f"{arg}: --{name} takes no value")
            own[name] = True
        elif not value:
            raise Fail(f"--{name} needs a value: --{name}="
                       + {"base": "BASE", "builddir": "DIR"}[name])
        else:
            own[name] = value
    if "-h" in rest:
        own["help"] = True
    return own, rest


def check_packages(rest):
    """Fail with a list of all missing build packages."""
    for arg in rest:
        if arg.startswith("--cc="):
            os.environ["CC"] = arg.removeprefix("--cc=")
    names = packages.missing(["build"])
    if names:
        raise Fail("these Debian packages are missing:\n    apt install "
                   + " ".join(names))


def base_arguments(own, rest, python, base):
    """The arguments for the base's configure."""
    args = LEAN[:] if own["lean"] else []
    args.append("--disable-download")
    if not (base / "pc-bios/bios.bin").exists():
        args += ["--disable-install-blobs", firmware.ARGUMENT]
    if not any(a.startswith("--python=") for a in rest):
        args.append(f"--python={python}")
    return args + rest


def main(argv):
    """Run the command; returns its exit status."""
    spec = fetch.read_spec()
    cache = fetch.Cache.of_user()
    own, rest = arguments(argv)
    if own["help"]:
        print(__doc__.format(names=" or ".join(series.names(spec)),
                             default=spec["default"], cache=cache.folder)
              .partition("\n\n")[2], end="")
        return 0
    check_packages(rest)
    build = pathlib.Path(own["builddir"] or TREE / "build").absolute()
    build.mkdir(parents=True, exist_ok=True)
    # Not inside the build folder, where Meson allows no source
    unpacked = unpack.Unpacked(build.with_name(build.name + ".base"))
    with fetch.Fetcher(spec, cache) as fetcher:
        version = unpacked.bring(spec, own["base"], fetcher)
        python = modules.make(spec["module"], unpacked.home, fetcher)
    base = unpacked.root
    graft.make(TREE, unpacked, spec,
               series.of_version(spec, version, own["base"] or base), version)
    done = subprocess.run([base / "configure",
                           *base_arguments(own, rest, python, base)],
                          cwd=build, check=False)
    if done.returncode:
        raise Fail("the base's configure failed; see above and "
                   f"{build}/meson-logs/meson-log.txt")
    firmware.link(build)
    names = packages.missing(["run"])
    if names:
        note("notice: to run the emulator: apt install " + " ".join(names))
    note(f"now: ninja -C {os.path.relpath(build)}")
    return 0


if __name__ == "__main__":
    run(main, sys.argv[1:])
