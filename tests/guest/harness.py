# SPDX-License-Identifier: GPL-2.0-or-later
"""The common part of the guest tests.

Each test program boots guests with ./boot, lets them work on a share, and then
checks the share from the host. It reports as TAP.

A boot takes seconds, so many tests share one: a test class derived from
GuestCase is one guest. Each of its test methods has a script, @guest(...), for
the guest's shell, which runs in a folder of its own in the share. All scripts
run one after the other in one guest, before the first method is called. The
method then checks the script's output (self.said), its exit status
(self.status) and its folder (self.folder).

A class runs for several users of the host: root, with real owners (Root), and
rootless, an ordinary user with subordinate ids (User). These are for the proxy
driver, which is the default of ./boot. With options = local(MODEL) the driver
is local, and the users are Root and Owner.
"""

import inspect
import os
import pathlib
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / 'scripts'))
sys.dont_write_bytecode = True

from virtfs import build, kernel, sanitize, testuser        # noqa: E402

BOOT = TREE / 'boot'
HERE = pathlib.Path(__file__).resolve().parent

# Seconds without output from a guest, and for anything that a test waits for.
# Far more than a test needs: the guest may be emulated, on a busy machine.
LIMIT = 420 * sanitize.patience()


# The programs that run in the guest

def tool(compiler='gcc'):
    """Builds guest-tool, linked statically: its path."""
    source = HERE / 'guest-tool.c'
    program = pathlib.Path(work(), f'guest-tool-{compiler}')
    if not program.exists():
        subprocess.run([compiler, '-O2', '-Wall', '-Wextra',
                        '-static', '-o', program, source], check=True)
        program.chmod(0o755)
    return program


_folder = None


def work():
    """A folder of this test program, which is removed at its end."""
    global _folder
    if _folder is None:
        _folder = tempfile.TemporaryDirectory(prefix='virtfs-guest-',
                                              ignore_cleanup_errors=True)
        os.chmod(_folder.name, 0o755)
    return _folder.name


# Who starts ./boot

class Root:
    """root: the helper has privilege, and QEMU runs as nobody."""

    name = 'started by root'
    real_owners = True

    def lacks(self):
        """The reason why this test cannot run here, or None."""
        return None if os.geteuid() == 0 else 'not run by root'

    def command(self, argv):
        return [str(word) for word in argv]

    def environment(self):
        return dict(os.environ)

    def give(self, path):
        pass

    def place(self):
        """The folder of this user's shares"""
        return work()

    def host_uid(self, uid):
        return uid

    def host_gid(self, gid):
        return gid


class User:
    """An ordinary user, with subordinate ids."""

    name = 'rootless'
    real_owners = False
    folders = ()                # of the cache, beside that of the kernel
    _user = None
    _home = None

    def __init__(self):
        if User._user is None:
            User._user = testuser.TestUser()
        self.user = User._user
        self.give = self.user.give
        self.host_uid = self.user.host_uid
        self.host_gid = self.user.host_gid

    def lacks(self):
        return self.user.lacks()

    def command(self, argv):
        return self.user.command(argv)

    def place(self):
        return work()

    @classmethod
    def need(cls, *folders):
        """Gives the user's cache further folders, before guests that need
        them."""
        User.folders = tuple({*User.folders, *folders})
        User._home = None

    def environment(self):
        if not self.user.other:
            return dict(os.environ)
        if User._home is None:
            # Its cache has what root's ./boot needs.
            cache = kernel.fetch.Cache.of_user().folder
            home = pathlib.Path(tempfile.mkdtemp(dir=work()))
            for folder in (kernel.debian().image.parent, *User.folders):
                shutil.copytree(folder, home / cache.name / folder.name,
                                symlinks=True)
            for path in [home, *home.rglob('*')]:
                self.give(path)
            User._home = home
        return self.user.environment(User._home)


class Owner(User):
    """An ordinary user, for the local driver: every file is that user's."""

    name = 'by an ordinary user'

    def __init__(self):
        super().__init__()
        self.host_uid = lambda uid: self.user.user.pw_uid
        self.host_gid = lambda gid: self.user.user.pw_gid

    def lacks(self):
        return None


# Guests

def _default_signals():
    """./boot ignores the signals that it inherits as ignored, as under
    nohup(1). The tests may run like that, but must test the defaults."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP,
                   signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


class Guest:
    """A running ./boot."""

    def __init__(self, who, share, command=None, options=(), qemu=()):
        argv = [BOOT]
        if share is not None:
            argv += ['--share', share]
        argv += options
        if command is not None:
            argv += ['--run', command]
        if qemu:
            argv += ['--', *qemu]
        self.out = tempfile.TemporaryFile()
        self.err = tempfile.TemporaryFile()
        self.child = subprocess.Popen(
            who.command(argv), env=who.environment(),
            stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.err,
            cwd='/', start_new_session=True, preexec_fn=_default_signals)

    def __enter__(self):
        return self

    def end(self):
        """Ends it if it still runs: its exit status."""
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(20)
            except subprocess.TimeoutExpired:
                self.child.kill()
        return self.child.wait()

    def __exit__(self, *_):
        self.end()
        self.out.close()
        self.err.close()

    def wait(self, limit=LIMIT):
        """The exit status. TimeoutExpired after limit seconds of silence."""
        said = None
        while True:
            if said != (now := [os.fstat(f.fileno()).st_size
                                for f in (self.out, self.err)]):
                said, end = now, time.monotonic() + limit
            try:
                return self.child.wait(min(limit, 5))
            except subprocess.TimeoutExpired:
                if time.monotonic() >= end:
                    raise subprocess.TimeoutExpired(self.child.args,
                                                    limit) from None

    def stdout(self):
        self.out.seek(0)
        return self.out.read()

    def stderr(self):
        self.err.seek(0)
        return self.err.read()

    def processes(self):
        """{pid: name} of ./boot and of the processes below it that remain."""
        return descendants(self.child.pid)


def descendants(pid):
    """{pid: name} of a process and all below it."""
    parents, names = {}, {}
    for entry in os.listdir('/proc'):
        if entry.isdecimal():
            try:
                text = pathlib.Path('/proc', entry, 'stat').read_text()
            except OSError:
                continue
            name, _, rest = text.partition('(')[2].rpartition(')')
            names[int(entry)] = name
            parents[int(entry)] = int(rest.split()[1])
    found = {pid}
    grown = True
    while grown:
        more = {p for p, parent in parents.items() if parent in found}
        grown = not more <= found
        found |= more
    return {p: names[p] for p in found if p in names}


def one_named(guest, name):
    """The process of a guest whose name begins with name."""
    found = [p for p, n in guest.processes().items() if n.startswith(name)]
    if not found:
        raise AssertionError(f'no process {name}: {guest.processes()}')
    return found[0]


def wait_for(what, condition, limit=LIMIT, guest=None):
    """Waits until condition() holds: its value."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if guest and guest.child.poll() is not None:
            raise AssertionError(f'./boot ended before {what}: '
                                 f'{guest.stderr().decode()}')
        if time.monotonic() > end:
            raise AssertionError(f'no {what} after {limit} seconds')
        time.sleep(0.05)


def run(who, share, command, options=(), limit=LIMIT, qemu=()):
    """Runs a command in a guest: (status, stdout, stderr), the latter two as
    bytes. After limit seconds without output it is ended."""
    with Guest(who, share, command, options, qemu) as guest:
        try:
            status = guest.wait(limit)
        except subprocess.TimeoutExpired:
            status = guest.end()
            return (f'{status}, ended after {limit} seconds of silence',
                    guest.stdout(), guest.stderr())
        return status, guest.stdout(), guest.stderr()


def new_share(who):
    """A folder to share, which belongs to that user."""
    path = pathlib.Path(tempfile.mkdtemp(prefix='share-', dir=who.place()))
    os.chmod(path, 0o755)
    who.give(path)
    return path


def serve(test, who, share, *options, sock=None, log=None):
    """Root starts a helper of a folder, for QEMU as an ordinary user, until the
    end of the test: its socket. log: a file for its messages"""
    sock = sock or pathlib.Path(tempfile.mkdtemp(dir=work()), 'sock')
    sock.parent.chmod(0o755)
    helper = subprocess.Popen(
        who.command([build.HELPER, '-n', '-p', share, '-s', sock, *options]),
        stdin=subprocess.DEVNULL, stderr=log, cwd='/')
    test.addCleanup(helper.wait)
    test.addCleanup(helper.kill)
    wait_for('the socket',
             lambda: sock.exists() or helper.poll() is not None)
    return sock


def remove(path):
    """Removes a share before the test program ends."""
    # An ordinary user cannot remove files of subordinate ids otherwise.
    inside = [] if os.geteuid() == 0 else ['unshare', '--map-root-user',
                                           '--map-auto']
    subprocess.run([*inside, 'rm', '-rf', str(path)], check=False)


# Test cases

def guest(script, host=None):
    """The script of a test for the guest's shell; host(folder) prepares the
    folder on the host before. $TOOL is guest-tool; the script starts in the
    test's folder."""
    def mark(method):
        method.script = inspect.cleandoc(script)
        method.host = host
        return method
    return mark


class GuestCase(unittest.TestCase):
    """One guest, used by all test methods."""

    who = Root
    options = ()                # for ./boot
    qemu = ()                   # further arguments for QEMU
    compiler = 'gcc'            # for the guest's processor
    limit = LIMIT               # for each method's script
    wanted = None               # names of methods; None: all
    # The message for tests whose script never ran
    _missing = 'the guest did not reach this test'

    @classmethod
    def methods(cls):
        """(name, method) of those with a script, in order."""
        found = [(n, m) for n, m in inspect.getmembers(cls)
                 if n.startswith('test') and hasattr(m, 'script')
                 and (cls.wanted is None or n in cls.wanted)]
        return sorted(found, key=lambda nm: nm[1].__code__.co_firstlineno)

    @classmethod
    def setUpClass(cls):
        cls.host = cls.who()
        why = cls.host.lacks()
        if why:
            raise unittest.SkipTest(why)
        cls.share = new_share(cls.host)
        shutil.copy(tool(cls.compiler), cls.share / 'guest-tool')
        mark = f'=={secrets.token_hex(8)}=='
        parts = ['export TOOL=/tmp/guest-tool; cp guest-tool $TOOL']
        for name, method in cls.methods():
            folder = cls.share / name
            folder.mkdir()
            if method.host:
                method.host(folder)
            for path in [folder, *folder.rglob('*')]:
                cls.host.give(path)
            (cls.share / f'{name}.sh').write_text(method.script + '\n')
            parts.append(
                f'(cd {name} && exec sh ../{name}.sh) 2>&1 </dev/null; '
                f'echo "{mark} {name} $?"')
        cls.take(mark, run(cls.host, cls.share, '\n'.join(parts),
                           cls.options, cls.limit, cls.qemu))

    @classmethod
    def take(cls, mark, result):
        """Splits the result of run() into the parts that the mark ends."""
        status, out, err = result
        cls.boot_status, cls.boot_err = status, err.decode(errors='replace')
        cls.parts = {}
        text = out.decode(errors='replace')
        for match in re.finditer(rf'(.*?){mark} (\w+) (\d+)\n', text, re.S):
            cls.parts[match[2]] = (int(match[3]), match[1])

    def setUp(self):
        name = self._testMethodName
        self.folder = self.share / name
        if not hasattr(getattr(self, name), 'script'):
            return
        if name not in self.parts:
            self.fail(f'{self._missing}; ./boot ended with '
                      f'{self.boot_status}: {self.boot_err}')
        self.status, self.said = self.parts[name]

    def assert_owner(self, path, uid, gid):
        """On the host the file must belong to the guest's user and group."""
        st = os.lstat(path)
        self.assertEqual((st.st_uid, st.st_gid),
                         (self.host.host_uid(uid), self.host.host_gid(gid)))

    def assert_mode(self, path, mode):
        self.assertEqual(oct(os.lstat(path).st_mode & 0o7777), oct(mode))


def local(model, mount=None):
    """Options of ./boot for a share of the local driver; mount: further options
    of the guest's mount."""
    options = ('--driver', 'local', '--security-model', model)
    return options if mount is None else (*options, '--mount-options', mount)


def for_each(*hosts):
    """Makes a class for each kind of user, in the caller's module."""
    def make(cls):
        module = sys.modules[cls.__module__]
        for who in hosts:
            name = f'{cls.__name__} {who.name}'
            setattr(module, name, type(name, (cls,), {
                'who': who, '__module__': cls.__module__,
                '__test_me__': True}))
        cls.__test_me__ = False
        return cls
    return make


# Reporting

class _Tap(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.number = 0

    def _line(self, test, ok, note='', details=''):
        self.number += 1
        name = getattr(test, 'tap_name', None) or str(test)
        print(f'{"ok" if ok else "not ok"} {self.number} - {name}{note}')
        for line in details.splitlines():
            print(f'# {line}')
        sys.stdout.flush()

    def startTest(self, test):
        super().startTest(test)
        self.parts = []                 # subtests that failed

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            self.parts.append(f'{subtest}\n' + self._exc_info_to_string(
                err, test))

    def stopTest(self, test):
        super().stopTest(test)
        if self.parts:
            self._line(test, False, details='\n'.join(self.parts))

    def addSuccess(self, test):
        super().addSuccess(test)
        self._line(test, True)

    def addError(self, test, err):
        super().addError(test, err)
        self._line(test, False, details=self.errors[-1][1])

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._line(test, False, details=self.failures[-1][1])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._line(test, True, f' # SKIP {reason}')


class _Named:
    """Gives each test a readable name in the report."""

    @staticmethod
    def of(test):
        doc = (getattr(test, test._testMethodName).__doc__ or '').strip()
        name = doc.splitlines()[0].rstrip('.') if doc else \
            test._testMethodName.removeprefix('test_').replace('_', ' ')
        return f'{type(test).__name__}: {name}'.replace('#', 'no.')


def main():
    """Runs the test program that calls this."""
    module = sys.modules['__main__']
    result = _Tap()
    # unittest takes any other exception for a failed test.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    suites = []
    for name, cls in list(vars(module).items()):
        if isinstance(cls, type) and issubclass(cls, unittest.TestCase) and \
                cls is not GuestCase and getattr(cls, '__test_me__', True):
            names = unittest.TestLoader().getTestCaseNames(cls)
            names = sorted(names, key=lambda n: getattr(cls, n)
                           .__code__.co_firstlineno)
            tests = [cls(n) for n in names]
            for test in tests:
                test.tap_name = _Named.of(test)
            suites.append(unittest.TestSuite(tests))
    wanted = sys.argv[1:]
    if wanted:
        suites = [unittest.TestSuite(t for t in suite if any(
            w in t.tap_name or w in str(t) for w in wanted))
            for suite in suites]
        for suite in suites:            # and no others in the guest
            for test in suite:
                type(test).wanted = {t._testMethodName for t in suite}
    unittest.TestSuite(suites).run(result)
    print(f'1..{result.number}')
    sys.stdout.flush()
    return 0 if result.wasSuccessful() else 1
