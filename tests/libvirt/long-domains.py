#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Domains with the driver 'proxy', in both instances of the libvirt of
contrib/libvirt: the guest works on its share, whose files have the right owners
on the host; a share comes and goes; the domain is saved and restored; its
helper is killed, and libvirt's daemon; the domain moves to another daemon.
Nothing of a domain is left after it.
"""

import contextlib
import os
import pathlib
import re
import signal
import stat
import subprocess
import sys
import unittest
import uuid

from built import Built, module, with_helper

# pylint: disable=wrong-import-order
import domains                                              # noqa: E402
import harness                                              # noqa: E402
from bare import LIMIT                                      # noqa: E402
from harness import Root, wait_for                          # noqa: E402

WORK = '''cat from-host
          echo from-guest >f && chown 12:34 f && stat -c %u:%g:%a f'''
# The guest works on a second share while there is one.
COME_AND_GO = '''
mkdir /tmp/more
for i in 1 2; do
    >ready$i
    until mount -t 9p -o trans=virtio,version=9p2000.L more /tmp/more \\
          2>/dev/null; do
        sleep 0.1
    done
    echo $i >/tmp/more/f$i && chown 12:34 /tmp/more/f$i
    umount /tmp/more
    >done$i
    until [ -e gone$i ]; do sleep 0.1; done
done
'''
# The share has no helper any more. The output does not go there.
ALONE = '''
cp guest-tool /tmp/tool
>up
cd /
until ! ls $OLDPWD/from-host >/dev/null 2>/tmp/why; do sleep 0.1; done
grep -o 'Input/output error' /tmp/why
'''
# A request that fails is a line of output.
BUSY = '''
>up
until [ -e stop ]; do ls from-host >/dev/null || echo failed; done
echo went on
'''
# The guest has no user but root.
ALONE_THERE = 'echo x >f; chown 12 f 2>/dev/null || echo no; stat -c %u:%g f'
QUIET = '>up; until [ -e stop ]; do sleep 0.1; done; echo went on'
MORE = '''<filesystem type='mount' accessmode='passthrough'>
  <driver type='proxy'/>
  <source dir='{path}'/>
  <target dir='more'/>
</filesystem>
'''
MAPS = '''<idmap>
  <uid start='0' target='{0}' count='1000'/>
  <gid start='0' target='{1}' count='1000'/>
</idmap>'''
PERSIST = "<binary persist='on'/>"
LABEL = """<seclabel type='static' model='dac' relabel='yes'>
  <label>+{0}:+{0}</label>
</seclabel>
"""
NOBODY = 65534
# Adds an element to a saved domain
EDITOR = '''sed -i "s|<target dir='share'/>|&<migration missing='stale'/>|"'''
LOST = "filesystem 'share': lost the helper: "
NOT_AGAIN = 'cannot start the helper again'
FOUND = "filesystem 'share': found a helper again"
MOVING = 'initiating migration'
SHARE_END = "<target dir='share'/>"
FIRST_ID = 700000               # on the host, with MAPS
DEBIAN_QEMU = '/usr/bin/qemu-system-x86_64'


def waiting(xml):
    """A domain whose guest waits for the next helper"""
    return xml.replace(SHARE_END, SHARE_END + PERSIST).replace(
        "share'/>\n      <target", "share'><reconnect enabled='yes' "
        "timeout='1' requests='wait'/></source><target")


SAVED = module('tests/guest/long-libvirt.py')
Saved = SAVED.Saved


def processes(*words):
    """Ids of processes whose arguments contain all the words; no zombies"""
    found = []
    for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
        try:
            line = path.read_bytes().replace(b'\0', b' ').decode('utf-8',
                                                                 'replace')
        except OSError:
            continue
        if line and all(str(word) in line for word in words):
            found.append(int(path.parent.name))
    return found


def started(pid):
    """When a process started, in clock ticks since the host did"""
    try:
        text = pathlib.Path(f'/proc/{pid}/stat').read_text(encoding='utf-8')
    except OSError:
        return float('inf')             # it has ended
    return int(text.rpartition(')')[2].split()[19])


class Proxy(Built):
    """What the tests of both instances share"""

    __test_me__ = False
    example = 'libvirt-proxy'

    @staticmethod
    def complete(xml):
        """A domain or a share with all that it needs in this instance"""
        return xml

    def define(self, change=lambda xml: xml):
        """Defines the manual's domain, changed: its name"""
        name = self.domain(self.example)
        path = self.vm / 'domain.xml'
        path.write_text(self.complete(change(path.read_text(
            encoding='utf-8'))), encoding='utf-8')
        self.virsh('define', path)
        self.addCleanup(self.remove, name)
        return name

    def start(self, change=lambda xml: xml):
        """Defines and starts it: its name"""
        name = self.define(change)
        self.virsh('start', name)
        return name

    def remove(self, name):
        """Removes a domain."""
        self.call('destroy', name)
        self.call('undefine', name, '--managed-save', '--snapshots-metadata')

    def of_share(self, name='share'):
        """The processes of a share's helper"""
        return processes('virtfs-proxy-helper', f'--path={self.vm}/{name} ')

    def supervisor(self):
        """The helper's first process, which others descend from"""
        pids = self.of_share()
        for pid in pids:
            stat = pathlib.Path(f'/proc/{pid}/stat').read_text(
                encoding='utf-8')
            if int(stat.rpartition(')')[2].split()[1]) not in pids:
                return pid
        raise AssertionError(f'{pids}: none is the first')

    def server(self):
        """The process that has the connection, a child of the first one"""
        first = self.supervisor()
        children = pathlib.Path(f'/proc/{first}/task/{first}/children')
        return int(children.read_text(encoding='ascii').split()[0])

    def places(self):
        """Files of libvirt that can belong to a running domain"""
        return {str(path) for top in self.tops() for path in
                pathlib.Path(top).rglob('*')
                if 'virtfs-proxy' in path.name
                and path.name not in ('virtfs-proxy', 'virtfs-proxy.xml')}

    def nothing_left(self):
        """No process and no file of the domain is left."""
        for name in ('share', 'more'):
            wait_for(f'end of the helper of {name}',
                     lambda name=name: not self.of_share(name))
        self.assertEqual(processes('qemu-system', self.vm), [])
        self.assertEqual(self.places(), set())

    def owners(self, path):
        """Owner and group of a file on the host"""
        st = path.stat()
        return st.st_uid, st.st_gid

    def wait_up(self, name='up'):
        """Waits for a file that the guest makes."""
        wait_for(name, (self.vm / 'share' / name).exists)

    def share_more(self):
        """The XML file of one more share"""
        more = self.vm / 'more'
        more.mkdir()
        device = self.vm / 'more.xml'
        device.write_text(self.complete(MORE.format(path=more)),
                          encoding='utf-8')
        for path in (more, device):
            self.who.give(path)
        return device

    def attach(self, name):
        """Gives a running domain one more share."""
        self.virsh('attach-device', name, self.share_more(), '--live')

    def touch(self, name):
        """Makes a file for the guest."""
        (self.vm / 'share' / name).touch()

    def descriptors(self):
        """How many descriptors the daemon has"""
        return len(os.listdir(f'/proc/{self.daemon_pid()}/fd'))

    def log(self, name='virtfs-proxy'):
        """The text of a domain's log"""
        return pathlib.Path(self.logs(), f'{name}.log').read_text(
            encoding='utf-8')


class OfSession(Proxy, domains.Session):
    """By an ordinary user"""

    def expected(self, uid, gid):
        """The host's ids of the guest's"""
        return self.who.host_uid(uid), self.who.host_gid(gid)

    def tops(self):
        """Folders of libvirt's files about running domains"""
        return [self.folder / 'run', self.folder / 'config/libvirt/qemu/lib']

    def logs(self):
        """The folder of domains' logs"""
        return self.folder / 'cache/libvirt/qemu/log'

    def daemon_pid(self):
        """The daemon's process id"""
        path = self.folder / 'run/libvirt/virtqemud.pid'
        return int(path.read_text(encoding='ascii'))

    def kill_daemon(self):
        """Kills the daemon; the next call of virsh starts another one."""
        pid = self.daemon_pid()
        os.kill(pid, signal.SIGKILL)
        wait_for('end of the daemon', lambda: pid not in
                 processes('virtqemud'))


class OfSystem(Proxy, domains.System):
    """By root"""

    complete = staticmethod(with_helper)

    def setUp(self):
        super().setUp()
        # For a domain, libvirt gives files of its own to QEMU's user.
        self.namespace = f'/proc/{self.daemon_pid()}/root'

    def daemon_pid(self):
        """The daemon's process id"""
        # A child has the same arguments until it becomes another program.
        return min(processes(self.daemon, f'{self.folder}/libvirtd.conf'),
                   key=started)

    def expected(self, uid, gid):
        """The host's ids of the guest's"""
        return Root().host_uid(uid), Root().host_gid(gid)

    def tops(self):
        """Folders of libvirt's files about running domains"""
        return [f'{self.namespace}/run/libvirt',
                f'{self.namespace}/var/lib/libvirt/qemu']

    def logs(self):
        """The folder of domains' logs"""
        return f'{self.namespace}/var/log/libvirt/qemu'

    def kill_daemon(self):
        """Kills the daemon; domains.SYSTEM starts another one."""
        socket = self.folder / 'run/libvirt-sock'
        (self.folder / 'again').touch()
        pid = self.daemon_pid()
        os.kill(pid, signal.SIGKILL)
        wait_for('the new daemon', lambda: processes(
            self.daemon, f'{self.folder}/libvirtd.conf') not in ([], [pid]))
        wait_for('its socket', lambda: socket.exists()
                 and self.call('list').returncode == 0)
        self.namespace = f'/proc/{self.daemon_pid()}/root'


class Works:
    """A guest works on its share"""

    command = WORK

    def run_domain(self, change=lambda xml: xml):
        """Runs a domain until its guest is done: the ids of its file"""
        name = self.start(change)
        said = self.guest.wait()
        self.assertEqual(said, ['the host was here', '12:34:644', 'exit 0'])
        self.assertNotEqual(self.places(), set())
        self.virsh('destroy', name)
        self.nothing_left()
        return self.owners(self.vm / 'share/f')

    def test_run(self):
        """Files have the host's owners that belong to the guest's"""
        self.assertEqual(self.run_domain(), self.expected(12, 34))

    def test_capabilities(self):
        """libvirt lists the driver, and says which QEMU lacks it"""
        listed = self.virsh('domcapabilities', '--emulatorbin',
                            self.vm / 'qemu-system-x86_64')
        self.assertIn('<value>proxy</value>', listed)
        self.assertNotIn('<value>proxy</value>', self.virsh(
            'domcapabilities', '--emulatorbin', DEBIAN_QEMU))
        name = self.domain('libvirt-proxy')
        path = self.vm / 'domain.xml'
        path.write_text(path.read_text(encoding='utf-8').replace(
            f'{self.vm}/qemu-system-x86_64', DEBIAN_QEMU), encoding='utf-8')
        done = self.call('define', path)
        self.assertIn("filesystem driver 'proxy' is not supported by emulator "
                      f"'{DEBIAN_QEMU}'", done.stderr)
        self.assertEqual(self.call('dominfo', name).returncode, 1)


class WorksOfSession(Works, OfSession):
    """A guest of an ordinary user works on its share"""

    __test_me__ = True


class WorksOfSystem(Works, OfSystem):
    """A guest of root works on its share"""

    __test_me__ = True

    def test_maps(self):
        """With maps, other users of the host"""
        root = self.vm / 'share'
        os.chown(root, FIRST_ID, FIRST_ID)
        self.assertEqual(
            self.run_domain(lambda xml: xml.replace(
                SHARE_END, SHARE_END + MAPS.format(FIRST_ID, FIRST_ID))),
            (FIRST_ID + 12, FIRST_ID + 34))

    def test_handles(self):
        """The helper finds files by handles, too"""
        self.assertEqual(self.run_domain(lambda xml: xml.replace(
            SHARE_END, SHARE_END + "<migration mode='handles'/>")),
            self.expected(12, 34))

    def test_bad_maps(self):
        """The helper's reason not to start is in libvirt's error"""
        with self.assertRaises(AssertionError) as caught:
            self.start(lambda xml: xml.replace(
                SHARE_END, SHARE_END + MAPS.format(0, 0)))
        self.assertIn('virtfs-proxy-helper', str(caught.exception))
        self.assertIn('map', str(caught.exception))
        self.nothing_left()


class WorksOfOne(OfSystem):
    """A guest of root works with the rights of one user"""

    __test_me__ = True
    command = ALONE_THERE

    def test_user(self):
        """Its root is QEMU's user, and it has no others"""
        user = self.who.user.user
        maps = MAPS.replace("count='1000'", "count='1'").format(
            user.pw_uid, user.pw_gid)
        name = self.start(lambda xml: xml.replace(SHARE_END, SHARE_END + maps))
        self.assertEqual(self.guest.wait(), ['no', '0:0', 'exit 0'])
        self.assertEqual(self.owners(self.vm / 'share/f'),
                         (user.pw_uid, user.pw_gid))
        self.virsh('destroy', name)
        self.nothing_left()


class Labelled(OfSystem):
    """A domain of root with a user of its own"""

    __test_me__ = True
    command = QUIET

    def ids(self, pid):
        """Real, effective, saved and file system user of a process"""
        status = pathlib.Path(f'/proc/{pid}/status').read_text(
            encoding='utf-8')
        return {int(word) for line in status.splitlines()
                if line.startswith('Uid:') for word in line.split()[1:]}

    def test_socket(self):
        """The socket is for that user, as whom only QEMU runs"""
        self.vm.chmod(0o755)
        name = self.start(lambda xml: xml.replace(
            SHARE_END, SHARE_END + PERSIST).replace(
            '</domain>', LABEL.format(NOBODY) + '</domain>'))
        self.wait_up()
        (qemu,) = processes('qemu-system', self.vm, 'guest=')
        self.assertEqual(self.ids(qemu), {NOBODY})
        helper = [self.ids(pid) for pid in self.of_share()]
        self.assertFalse(any(NOBODY in ids for ids in helper), helper)
        (socket,) = (path for path in self.places() if path.endswith('.sock'))
        st = os.stat(socket)
        self.assertEqual((st.st_uid, stat.S_IMODE(st.st_mode)),
                         (NOBODY, 0o600))
        self.touch('stop')
        self.assertEqual(self.guest.wait(), ['went on', 'exit 0'])
        self.virsh('destroy', name)
        self.nothing_left()


class Placed(OfSystem):
    """A domain of root with a cgroup"""

    __test_me__ = True
    command = QUIET
    controllers = '["cpu"]'
    # libvirt takes version 2 if it is there, which may have no controllers.
    prepare = 'umount /sys/fs/cgroup/unified 2>/dev/null || :'
    top = pathlib.Path('/sys/fs/cgroup/cpu/machine')

    @classmethod
    def setUpClass(cls):
        if not os.access(cls.top.parent / 'tasks', os.W_OK):
            raise unittest.SkipTest(f'no cgroup v1 in {cls.top.parent}')
        super().setUpClass()

    def cgroups(self, pids):
        """The cgroups of processes"""
        return {line.partition(':cpu:')[2] for pid in pids for line in
                pathlib.Path(f'/proc/{pid}/cgroup').read_text(
                    encoding='utf-8').splitlines() if ':cpu:' in line}

    def placed(self, name='share'):
        """Whether all processes of a helper are where the domain's emulator
        is"""
        pids = self.of_share(name)
        found = self.cgroups(pids)
        return len(pids) > 1 and len(found) == 1 and re.match(
            '/machine/.*virtfs.*/emulator$', found.pop())

    def read_only(self, word):
        """Changes what the daemon may do with cgroups: ro or rw."""
        subprocess.run(['nsenter', f'--target={self.daemon_pid()}', '--mount',
                        'mount', '-o', f'remount,bind,{word}', self.top.parent],
                       check=True)

    def test_place(self):
        """All processes of a helper are in it: of the first, one of a share
        that comes later, and the next one, even if there is a hindrance"""
        name = self.start(lambda xml: xml.replace(SHARE_END,
                                                  SHARE_END + PERSIST))
        self.addCleanup(self.clear)
        self.wait_up()
        self.assertTrue(self.placed(), self.cgroups(self.of_share()))
        self.attach(name)
        self.assertTrue(self.placed('more'),
                        self.cgroups(self.of_share('more')))
        os.kill(self.supervisor(), signal.SIGKILL)
        wait_for('QEMU', lambda: FOUND in self.log())
        wait_for('place of the next one', self.placed, 60)
        self.read_only('ro')
        os.kill(self.supervisor(), signal.SIGKILL)
        wait_for('the hindrance', lambda: NOT_AGAIN in self.log())
        self.read_only('rw')
        wait_for('place of the last one', self.placed, 60)
        self.touch('stop')
        self.assertEqual(self.guest.wait(), ['went on', 'exit 0'])
        self.virsh('destroy', name)
        self.nothing_left()

    def clear(self):
        """Removes libvirt's empty cgroups."""
        for path in sorted(self.top.rglob('*'), reverse=True):
            if path.is_dir() and 'virtfs' in str(path):
                path.rmdir()
        with contextlib.suppress(OSError):
            self.top.rmdir()


class ComesAndGoes:
    """A share is attached to a running domain, and detached"""

    command = COME_AND_GO

    def test_hotplug(self):
        """Twice, in the domain and in its definition"""
        name = self.start()
        device = self.share_more()
        more = self.vm / 'more'
        descriptors = []
        for i in ('1', '2'):
            self.wait_up(f'ready{i}')
            self.virsh('attach-device', name, device, '--live', '--config')
            self.assertIn("<target dir='more'/>",
                          self.virsh('dumpxml', '--inactive', name))
            self.wait_up(f'done{i}')
            self.assertEqual(self.owners(more / f'f{i}'),
                             self.expected(12, 34))
            self.assertNotEqual(self.of_share('more'), [])
            self.virsh('detach-device', name, device, '--live', '--config')
            wait_for('end of the helper', lambda: not self.of_share('more'))
            self.assertNotIn("<target dir='more'/>",
                             self.virsh('dumpxml', name))
            self.assertNotIn("<target dir='more'/>",
                             self.virsh('dumpxml', '--inactive', name))
            descriptors.append(self.descriptors())
            self.touch(f'gone{i}')
        wait_for('no more descriptors than before',
                 lambda: self.descriptors() <= descriptors[0])
        self.assertEqual(self.guest.wait(), ['exit 0'])
        self.virsh('destroy', name)
        self.nothing_left()


class ComesAndGoesOfSession(ComesAndGoes, OfSession):
    """A share of an ordinary user's domain comes and goes"""

    __test_me__ = True


class ComesAndGoesOfSystem(ComesAndGoes, OfSystem):
    """A share of root's domain comes and goes"""

    __test_me__ = True


class Forgotten:
    """libvirt's daemon is killed while it attaches a share"""

    command = QUIET

    def test_daemon(self):
        """The helper ends with the domain"""
        name = self.start()
        self.wait_up()
        more = self.vm / 'more'
        more.mkdir()
        self.who.give(more)
        device = self.vm / 'more.xml'
        device.write_text(self.complete(MORE.format(path=more).replace(
            "<target dir='more'/>", "<target dir='more'/>" + PERSIST)),
            encoding='utf-8')
        self.who.give(device)
        (qemu,) = processes('qemu-system', self.vm, 'guest=')
        # QEMU does not answer until libvirt's daemon cannot listen.
        os.kill(qemu, signal.SIGSTOP)
        with subprocess.Popen(
                self.as_client([self.client, '-c', self.uri, 'attach-device',
                                name, device, '--live']),
                env=self.environment, cwd='/', stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            try:
                wait_for('its helper', lambda: any(
                    path.endswith('-fs1.pid') for path in self.places()))
                os.kill(self.daemon_pid(), signal.SIGSTOP)
            finally:
                os.kill(qemu, signal.SIGCONT)
            self.kill_daemon()
        self.assertEqual(self.virsh('domstate', name).strip(), 'running')
        self.assertNotIn("<target dir='more'/>", self.virsh('dumpxml', name))
        self.assertNotEqual(self.of_share('more'), [])
        self.touch('stop')
        self.assertEqual(self.guest.wait(), ['went on', 'exit 0'])
        self.virsh('destroy', name)
        self.nothing_left()


class ForgottenOfSession(Forgotten, OfSession):
    """An ordinary user's daemon is killed while it attaches a share"""

    __test_me__ = True


class ForgottenOfSystem(Forgotten, OfSystem):
    """Root's daemon is killed while it attaches a share"""

    __test_me__ = True


class Restarts:
    """libvirt's daemon is killed while a domain runs"""

    command = QUIET

    def test_daemon(self):
        """The next daemon finds the domain and its helper"""
        name = self.start()
        self.wait_up()
        before = self.of_share()
        self.assertNotEqual(before, [])
        self.kill_daemon()
        self.assertEqual(self.virsh('domstate', name).strip(), 'running')
        self.assertEqual(self.of_share(), before)
        self.touch('stop')
        self.assertEqual(self.guest.wait(), ['went on', 'exit 0'])
        self.virsh('destroy', name)
        self.nothing_left()


class RestartsOfSession(Restarts, OfSession):
    """An ordinary user's daemon is killed"""

    __test_me__ = True


class RestartsOfSystem(Restarts, OfSystem):
    """Root's daemon is killed"""

    __test_me__ = True


class Alone:
    """A domain's helper is killed"""

    command = ALONE

    def test_kill(self):
        """The guest gets errors, and libvirt goes on"""
        name = self.start()
        self.wait_up()
        os.kill(self.supervisor(), signal.SIGKILL)
        self.assertEqual(self.guest.wait(), ['Input/output error', 'exit 0'])
        self.assertEqual(self.virsh('domstate', name).strip(), 'running')
        wait_for('a line in the log', lambda: LOST in self.log())
        self.virsh('destroy', name)
        self.nothing_left()


class AloneOfSession(Alone, OfSession):
    """The helper of an ordinary user's domain is killed"""

    __test_me__ = True


class AloneOfSystem(Alone, OfSystem):
    """The helper of root's domain is killed"""

    __test_me__ = True


class Replaced:
    """A domain's helper is killed, and another one takes its place"""

    command = QUIET

    def replace(self, pid):
        """Kills a process of the helper; waits until the guest has another
        helper."""
        before = self.of_share()
        found = self.log().count(FOUND)
        os.kill(pid, signal.SIGKILL)
        wait_for('its end', lambda: not set(before) & set(self.of_share()))
        wait_for('the next one', self.of_share)
        wait_for('QEMU', lambda: self.log().count(FOUND) > found)

    def test_kill(self):
        """Before and after libvirt's daemon is killed"""
        name = self.start(lambda xml: xml.replace(
            SHARE_END, SHARE_END + PERSIST))
        self.wait_up()
        self.replace(self.supervisor())
        self.replace(self.server())
        self.kill_daemon()
        self.assertEqual(self.virsh('domstate', name).strip(), 'running')
        self.replace(self.supervisor())
        self.touch('stop')
        self.assertEqual(self.guest.wait(), ['went on', 'exit 0'])
        self.virsh('destroy', name)
        self.nothing_left()


class ReplacedOfSession(Replaced, OfSession):
    """The helper of an ordinary user's domain is replaced"""

    __test_me__ = True

    def test_without_daemon(self):
        """A helper that dies while there is no daemon: the next one sees it"""
        name = self.start(lambda xml: xml.replace(
            SHARE_END, SHARE_END + PERSIST))
        self.wait_up()
        before = self.of_share()
        self.kill_daemon()
        os.kill(self.supervisor(), signal.SIGKILL)
        wait_for('its end', lambda: not set(before) & set(self.of_share()))
        self.assertEqual(self.virsh('domstate', name).strip(), 'running')
        wait_for('the next one', self.of_share)
        self.touch('stop')
        self.assertEqual(self.guest.wait(), ['went on', 'exit 0'])
        self.virsh('destroy', name)
        self.nothing_left()


class ReplacedOfSystem(Replaced, OfSystem):
    """The helper of root's domain is replaced"""

    __test_me__ = True


class Waits:
    """A domain's helper is killed while its guest works"""

    command = BUSY

    def test_kill(self):
        """No request fails"""
        name = self.start(waiting)
        self.assertIn("requests='wait'", self.virsh('dumpxml', name))
        self.wait_up()
        for process in (self.supervisor, self.server):
            self.replace(process())
        self.touch('stop')
        self.assertEqual(self.guest.wait(), ['went on', 'exit 0'])
        self.virsh('destroy', name)
        self.nothing_left()


class WaitsOfSession(Waits, ReplacedOfSession):
    """The helper of an ordinary user's domain is killed while it works"""

    __test_me__ = True
    test_without_daemon = None


class WaitsOfSystem(Waits, ReplacedOfSystem):
    """The helper of root's domain is killed while it works"""

    __test_me__ = True


class KeptOfSession(Built, Saved, domains.Session):
    """A domain of an ordinary user is saved and restored"""

    __test_me__ = True

    def test_proxy(self):
        """To a file, as managed state, and as a snapshot"""
        self.check('libvirt-proxy')

    test_local = test_socket = test_launcher = None


class KeptOfSystem(Built, Saved, domains.System):
    """A domain of root is saved and restored"""

    __test_me__ = True

    def domain(self, name, devices=''):
        found = super().domain(name, devices)
        path = self.vm / 'domain.xml'
        path.write_text(with_helper(path.read_text(encoding='utf-8')),
                        encoding='utf-8')
        return found

    def test_proxy(self):
        """To a file, as managed state, and as a snapshot"""
        self.check('libvirt-proxy')

    test_local = test_socket = test_launcher = None


class Missing(OfSession):
    """A domain is restored whose guest had a file that has no name"""

    __test_me__ = True
    command = SAVED.NAMELESS

    def check(self, example):
        """Not as it was saved, but with an element more"""
        self.example = example
        name = self.start()
        self.wait_up()
        self.virsh('managedsave', name)
        done = self.call('start', name)
        self.assertEqual(done.returncode, 1)
        self.assertIn(SAVED.NO_NAME, done.stderr)
        self.virsh('managedsave-edit', name, EDITOR=EDITOR)
        self.virsh('start', name)
        self.assertIn("<migration missing='stale'/>",
                      self.virsh('dumpxml', name))
        self.touch('stop')
        self.assertEqual(self.guest.wait(), ['gone on', 'exit 0'])
        self.assertIn('Stale file handle',
                      (self.vm / 'err').read_text(encoding='utf-8'))
        self.virsh('destroy', name)
        self.nothing_left()

    def test_proxy(self):
        """With the driver proxy"""
        self.check('libvirt-proxy')

    def test_local(self):
        """With the driver path"""
        self.check('libvirt-local')


class Moved(Built, Saved, domains.Session):
    """A domain moves from one daemon of an ordinary user to another"""

    __test_me__ = True
    test_local = test_socket = test_launcher = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.there = {}
        for variable, name in (('XDG_RUNTIME_DIR', 'run'),
                               ('XDG_CONFIG_HOME', 'config'),
                               ('XDG_CACHE_HOME', 'cache')):
            folder = cls.folder / 'there' / name
            folder.mkdir(mode=0o700, parents=True)
            cls.there[variable] = str(folder)
        settings = cls.folder / 'there/config/libvirt/virtqemud.conf'
        settings.parent.mkdir(mode=0o700)
        settings.write_text(f'host_uuid = "{uuid.uuid4()}"\n',
                            encoding='ascii')
        for path in (cls.folder / 'there').rglob('*'):
            cls.who.give(path)
        socket = cls.folder / 'there/run/libvirt/virtqemud-sock'
        cls.target = f'qemu+unix:///session?socket={socket}'

    def command_to_move(self, name):
        """The arguments with which virsh moves a domain"""
        return ('migrate', '--live', name, self.target,
                '--migrateuri', 'tcp://127.0.0.1')

    def move(self, name):
        """A call of virsh that moves a domain"""
        return self.call(*self.command_to_move(name))

    def begin(self, change):
        """Starts a domain here, and the daemon there: the domain's name"""
        name = self.domain('libvirt-proxy')
        path = self.vm / 'domain.xml'
        path.write_text(change(path.read_text(encoding='utf-8')),
                        encoding='utf-8')
        self.virsh('create', path)
        self.addCleanup(self.call, 'destroy', name)
        self.assertEqual(self.virsh('list', '--name', **self.there).strip(), '')
        self.addCleanup(self.call, 'destroy', name, **self.there)
        self.goes_on()
        return name

    def finish(self):
        """Ends the guest, which must have noticed nothing."""
        (self.share / 'stop').touch()
        self.assertEqual(self.guest.wait(), ['released', 'exit 0'])
        self.assertEqual(self.steps_back(), 0)
        self.assertEqual(self.err(), [])

    def test_moved(self):
        """Its guest works on with its files and its lock"""
        name = self.begin(lambda xml: xml)
        before = set(self.helpers())
        done = self.move(name)
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        self.assertEqual(self.virsh('list', '--all', '--name').strip(), '')
        self.assertEqual(self.virsh('list', '--name', **self.there).strip(),
                         name)
        self.goes_on()
        wait_for('end of the first helper',
                 lambda: not before & set(self.helpers()))
        self.assertNotEqual(self.helpers(), [])
        self.finish()
        self.virsh('destroy', name, **self.there)
        self.helper_ends()

    def is_moving(self, name):
        """Whether libvirt has a job for a move"""
        return 'Outgoing migration' in self.virsh('domjobinfo', name)

    def test_killed(self):
        """The helper is killed in a move, and another one takes its place"""
        name = self.begin(waiting)
        before = set(self.helpers())
        log = self.folder / 'cache/libvirt/qemu/log' / f'{name}.log'
        with subprocess.Popen(
                self.as_client([self.client, '-c', self.uri,
                                *self.command_to_move(name),
                                '--bandwidth', '1']),
                env=self.environment, cwd='/', stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as move:
            wait_for('the move', lambda: self.is_moving(name))
            found = log.read_text(encoding='utf-8').count(FOUND)
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            wait_for('the next helper', lambda: log.read_text(
                encoding='utf-8').count(FOUND) > found)
            self.assertTrue(self.is_moving(name))
            self.virsh('domjobabort', name)
            self.assertEqual(move.wait(LIMIT), 1)
        self.goes_on()
        self.finish()
        self.virsh('destroy', name)
        self.helper_ends()

    def test_killed_there(self):
        """The helper is killed that the domain has where it moves to"""
        name = self.begin(waiting)
        before = set(self.helpers())
        here = self.folder / 'cache/libvirt/qemu/log' / f'{name}.log'
        said = len(here.read_text(encoding='utf-8'))
        log = self.folder / 'there/cache/libvirt/qemu/log' / f'{name}.log'
        with subprocess.Popen(
                self.as_client([self.client, '-c', self.uri,
                                *self.command_to_move(name),
                                '--bandwidth', '1']),
                env=self.environment, cwd='/', stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as move:
            # QEMU there has connected to its helper by then.
            wait_for('the move', lambda: MOVING in here.read_text(
                encoding='utf-8')[said:])
            there = set(self.helpers()) - before
            self.assertNotEqual(there, set())
            for pid in there:
                os.kill(pid, signal.SIGKILL)
            wait_for('the next helper', lambda: FOUND in log.read_text(
                encoding='utf-8'))
            self.assertTrue(self.is_moving(name))
            self.virsh('migrate-setspeed', name, '1000')
            self.assertEqual(move.wait(LIMIT), 0)
        self.goes_on()
        self.finish()
        self.virsh('destroy', name, **self.there)
        self.helper_ends()

    def test_refused(self):
        """A share that does not migrate: an error, and the domain goes on"""
        name = self.begin(lambda xml: xml.replace(
            SHARE_END, SHARE_END + "<migration mode='off'/>"))
        why = SAVED.OFF.replace("'share'", "'fsdev-fs0'")
        done = self.move(name)
        self.assertEqual(done.returncode, 1)
        self.assertIn(why, done.stderr)
        done = self.call('save', name, self.vm / 'saved')
        self.assertEqual(done.returncode, 1)
        self.assertIn(why, done.stderr)
        self.assertEqual(self.virsh('list', '--all', '--name', **self.there)
                         .strip(), '')
        self.goes_on()
        self.finish()
        self.virsh('destroy', name)
        self.helper_ends()


if __name__ == '__main__':
    sys.exit(harness.main())
