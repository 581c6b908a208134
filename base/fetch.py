# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetches the base, and the Python modules it needs, from the Debian archive.

apt does the work, because it knows the machine's proxies and checks the
archive's signatures. It runs on private state (sources list, package lists,
caches) in a temporary folder, so that an ordinary user can run it and nothing
below /etc/apt or /var changes.

Fetched files stay in a cache folder, beside a list of their SHA-256 sums; a
file that does not match its sum is fetched again. For the tarballs that
base.toml lists, the sum there counts. Once the cache has everything, no network
is needed.
"""

import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import tomllib

import product
import series
from fail import Fail, note

# apt reads this after the machine's configuration. Settings such as proxies
# stay; settings for the machine's own packages are cleared.
APT_CONF = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Default-Release;
APT::Architecture "{arch}";
APT::Architectures {{ "{arch}"; }};
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
Acquire::Retries "2";
Debug::NoLocking "1";
Dir::Cache "{state}/cache";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::Etc::SourceList "{state}/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State "{state}/state";
Dir::State::Lists "{state}/lists";
Dir::State::Status "/dev/null";
"""

SOURCES = """\
deb [signed-by={keyring} arch={arch} target=Packages] {mirror} {suite} main
deb-src [signed-by={keyring} target=Sources] {mirror} {suite} main
"""


def read_spec(folder=pathlib.Path(__file__).parent):
    """The content of a folder's base.toml, which most functions here call the
    spec.

    folder: default: the one for QEMU
    """
    with open(folder / "base.toml", "rb") as f:
        return tomllib.load(f)


def sha256(path):
    """The SHA-256 sum of a file, in hexadecimal."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def check_sha256(path, want):
    """Fail if the file has another sum."""
    have = sha256(path)
    if have != want:
        raise Fail(f"{path}: its SHA-256 sum is {have}, not {want}")


class Cache:
    """A folder of fetched files, and the list of their sums."""

    def __init__(self, folder):
        self.folder = folder
        self.list = folder / "SHA256SUMS"

    @classmethod
    def of_user(cls):
        """The user's cache, below $XDG_CACHE_HOME or ~/.cache."""
        home = os.environ.get("XDG_CACHE_HOME", "")
        if not os.path.isabs(home):
            home = os.path.expanduser("~/.cache")
        return cls(pathlib.Path(home) / "virtfs-proxy")

    def sums(self):
        """Sums by file name, in the order in which the files were added."""
        try:
            lines = self.list.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return {}
        return {name: s for s, _, name in (li.partition("  ") for li in lines)}

    def get(self, name, want=None):
        """The path of a file that is there and matches its sum, or None."""
        want = want or self.sums().get(name)
        path = self.folder / name
        if not want or not path.is_file():
            return None
        if sha256(path) != want:
            note(f"{path} is damaged; fetching it again")
            return None
        return path

    def put(self, path):
        """Move a checked file into the cache; returns its path there."""
        sums = self.sums() | {path.name: sha256(path)}
        os.replace(path, self.folder / path.name)
        new = self.folder / f"SHA256SUMS.{os.getpid()}"
        new.write_text("".join(f"{s}  {n}\n" for n, s in sums.items()),
                       encoding="utf-8")
        os.replace(new, self.list)
        return self.folder / path.name


class Archive:
    """A suite of the Debian archive, read by apt with private state."""

    def __init__(self, spec, suite, state, arch=None):
        self.spec = spec
        self.product = product.of(spec)
        self.suite = suite
        self.state = state
        for tool, package in (("apt-get", "apt"), ("dpkg-deb", "dpkg")):
            if not shutil.which(tool):
                raise Fail(f"{tool} is needed to fetch the base (package "
                           f"{package}); or give a source tree or tarball "
                           f"of {self.product.name} "
                           f"{series.listed(spec)}: --base=PATH")
        if not os.path.exists(spec["keyring"]):
            raise Fail(f"{spec['keyring']} is missing: apt install "
                       "debian-archive-keyring")
        self.arch = arch or run(["dpkg", "--print-architecture"]).strip()
        for name in ("cache/archives/partial", "state", "lists/partial"):
            (state / name).mkdir(parents=True)
        (state / "apt.conf").write_text(
            APT_CONF.format(state=state, arch=self.arch))
        self.update()

    def apt(self, tool, *args):
        """Run an apt tool; returns its output."""
        return run([tool, "-c", self.state / "apt.conf", "-qq", *args],
                   cwd=self.state)

    def update(self):
        """Read the package lists from the first mirror that has them."""
        mirrors = machine_mirrors()
        said = [] if mirrors else ["apt's configuration names no mirror"]
        for mirror in mirrors:
            note(f"reading the package lists of {self.suite} from {mirror}")
            (self.state / "sources.list").write_text(SOURCES.format(
                keyring=self.spec["keyring"], arch=self.arch, mirror=mirror,
                suite=self.suite))
            try:
                self.apt("apt-get", "update")
                return
            except Fail as e:
                said.append(str(e))
        raise Fail("cannot reach the Debian archive:\n"
                   + "\n".join(said)
                   + "\nWithout a network, give a source tree or tarball of "
                     f"{self.product.name} {series.listed(self.spec)}: "
                     "--base=PATH")

    def tarballs(self, name):
        """(version, file name, sum) of each tarball of a series."""
        found = []
        package = self.product.package
        text = self.apt("apt-cache", "showsrc", "--only-source", package)
        for entry in text.split("\n\n"):
            version = re.search(r"^Version: (\S+)", entry, re.M)
            files = re.search(r"^Checksums-Sha256:((?:\n .*)+)", entry, re.M)
            orig = files and re.search(
                rf"(\w{{64}}) \d+ ({package}_([^_\s]+)\.orig\.tar\.\w+)$",
                files[1], re.M)
            if version and orig and series.has(name, orig[3]):
                found.append((version[1], orig[2], orig[1]))
        return found

    def fetch_tarball(self, version, name, want):
        """Download the tarball of a version; returns its path."""
        note(f"downloading {name}")
        self.apt("apt-get", "source", "--download-only", "--tar-only",
                 f"{self.product.package}={version}")
        check_sha256(self.state / name, want)
        return self.state / name

    def fetch_package(self, package):
        """Download a binary package; returns its path."""
        note(f"downloading the package {package}")
        self.apt("apt-get", "download", package)
        return next(self.state.glob(f"{package}_*.deb"))


def run(command, cwd=None):
    """Run a command that must succeed; returns its output."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True,
                          errors="replace", env=os.environ | {"LC_ALL": "C"},
                          stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        says = (done.stderr or done.stdout).strip()
        raise Fail(f"{command[0]} failed ({done.returncode}): {says}")
    return done.stdout


def machine_mirrors():
    """Mirrors of the Debian archive that the machine's apt uses."""
    try:
        text = run(["apt-get", "indextargets", "--no-release-info",
                    "--format", "$(REPO_URI)", "Created-By: Packages"])
    except Fail:
        return []
    uris = (line.strip().rstrip("/") for line in text.splitlines())
    return list(dict.fromkeys(
        u for u in uris
        if u.rpartition("/")[2] == "debian" and not u.startswith("cdrom:")))


def choose(offers, known):
    """The best of (version, file, sum) offers: a known one, or the newest."""
    for k in known:
        for offer in offers:
            if offer[1:] == (k["file"], k["sha256"]):
                return offer
    return max(offers, key=lambda o: [int(n) for n in
                                      re.findall(r"\d+", o[1])[:3]])


class Fetcher:
    """Gets files from the cache, or else from the archive.

    arch: of binary packages; None: this machine's
    """

    def __init__(self, spec, cache, arch=None):
        self.spec = spec
        self.product = product.of(spec)
        self.cache = cache
        self.arch = arch
        self.archives = {}      # by suite
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()

    def open_archive(self, suite=None):
        """The archive of a suite; its lists are read once.

        suite: default: the one from which packages come
        """
        suite = suite or self.spec["suite"]
        if suite not in self.archives:
            try:
                self.cache.folder.mkdir(parents=True, exist_ok=True)
                state = self.stack.enter_context(
                    tempfile.TemporaryDirectory(dir=self.cache.folder,
                                                prefix="apt-"))
            except OSError as e:
                raise Fail(f"the cache folder: {e}") from None
            self.archives[suite] = Archive(self.spec, suite,
                                           pathlib.Path(state), self.arch)
        return self.archives[suite]

    def tarball(self, name=None):
        """The path and sum of the tarball of a known series.

        name: default: the default series
        """
        wanted = series.find(self.spec, name)
        for k in wanted["known"]:
            path = self.cache.get(k["file"], k["sha256"])
            if path:
                return path, k["sha256"]
        for name, has in reversed(self.cache.sums().items()):
            if series.has(f"{self.product.package}_{wanted['name']}", name):
                path = self.cache.get(name)
                if path:
                    self.note_unknown(name)
                    return path, has
        archive = self.open_archive(wanted["suite"])
        offers = archive.tarballs(wanted["name"])
        if not offers:
            raise Fail(f"Debian {wanted['suite']} no longer has a "
                       f"{self.product.name} {wanted['name']}.x; give a "
                       "source tree or tarball: --base=PATH")
        version, name, want = choose(offers, wanted["known"])
        if want not in [k["sha256"] for k in wanted["known"]]:
            self.note_unknown(name)
        return self.cache.put(archive.fetch_tarball(version, name, want)), want

    def note_unknown(self, name):
        """Print a notice on a base that this tree was not tested with."""
        note(f"notice: {name} is signed by Debian, but this tree was not "
             "tested with that version (see "
             f"{self.product.folder}/base.toml)")

    def package(self, package):
        """The path of a binary package."""
        ends = (f"_{self.arch}.deb", "_all.deb") if self.arch else ".deb"
        for name in reversed(self.cache.sums()):
            if name.startswith(package + "_") and name.endswith(ends):
                path = self.cache.get(name)
                if path:
                    return path
        return self.cache.put(self.open_archive().fetch_package(package))
