# SPDX-License-Identifier: GPL-2.0-or-later
"""An NFS server and its client, for tests of shares on NFS.

Both are guests of this machine, whose kernel may lack NFS. A wire joins them.
Each runs a Debian from a disk, and forgets all changes to that. The server has
a second disk for what it exports. An agent in each guest runs shell scripts
for the test program, several at a time if need be.

The client is a *host* for the programs of this tree. It has them, with their
libraries, from a read-only 9p share. There, QEMU runs without a guest, for
qtests.
"""

import atexit
import base64
import contextlib
import pathlib
import shutil
import socket
import subprocess
import tempfile

import harness
from virtfs import (boot, build, initramfs, kernel, machine, process, rootfs,
                    sanitize)

LIMIT = 300 * sanitize.patience()       # seconds for a script
PACKAGES = ('acl', 'attr', 'iproute2', 'nfs-kernel-server', 'procps',
            'python3-minimal')
# crc32c_generic is for ext4, whose module does not name it as a dependency
MODULES = ('crc32c_generic', 'virtio_blk', 'ext4', 'virtio_net', 'nfsd',
           'nfsv3', 'nfsv4')
APPEND = 'console=ttyS0 quiet panic=-1 random.trust_cpu=on'
DISK = ' root=/dev/vda rootfstype=ext4 rootflags=rw'
FIRMWARE = ('bios-256k.bin', 'efi-e1000.rom', 'kvmvapic.bin',
            'linuxboot_dma.bin', 'vgabios-stdvga.bin')
INSTALLED = {'bin': (build.QEMU, build.MAPPED,
                     build.BUILD / 'tests/qtest/qos-test'),
             'libexec': (build.HELPER,)}
# Without this, no helper of root works on NFS.
AS_ROOT = r'''
cd /usr/local/libexec
mv virtfs-proxy-helper helper
cat >virtfs-proxy-helper <<\END
#!/bin/sh
exec /usr/local/libexec/helper --act-as=root "$@"
END
chmod 755 virtfs-proxy-helper
'''
HERE = '/srv/virtfs'                    # the share with the programs

# Runs each script that comes as "NUMBER BASE64"; answers "NUMBER STATUS BASE64"
AGENT = '''
for name in /sys/class/virtio-ports/*/name; do
    [ "$(cat $name)" = guest.orders ] && port=${name%/name}
done
exec 5<>"/dev/${port##*/}"
mkdir /run/orders
cd /tmp
echo ready >&5
while read -r number text <&5; do
    at=/run/orders/$number
    echo "$text" | base64 -d >$at
    (bash $at >$at.out 2>&1 </dev/null 5>&-
     status=$?
     exec 6>/run/orders/lock; flock 6
     echo "$number $status $(base64 -w0 $at.out)" >&5) &
done
'''

NETWORK = '''
set -e
ip link set lo up
ip address add 10.78.0.{number}/24 dev eth0
ip link set eth0 up
mkdir -p /run/rpc_pipefs
mount -t rpc_pipefs rpc_pipefs /run/rpc_pipefs
rpcbind -w
'''
# Short terms after a restart, for which clients may take their locks again
SERVER = '''
mkdir -p /srv/nfs
mount /dev/vdb /srv/nfs
mkdir -p /srv/nfs/root /srv/nfs/squash
chmod 1777 /srv/nfs/root /srv/nfs/squash
mount -t nfsd nfsd /proc/fs/nfsd
echo 10 >/proc/fs/nfsd/nfsv4leasetime
echo 10 >/proc/fs/nfsd/nfsv4gracetime
echo 10 >/proc/sys/fs/nfs/nlm_grace_period
cat >/etc/exports <<END
/srv/nfs/root *(rw,sync,no_subtree_check,no_root_squash)
/srv/nfs/squash *(rw,sync,no_subtree_check,root_squash)
END
rpc.statd
exportfs -ra
rpc.nfsd 8
rpc.mountd
'''
# The host's mounts of the server's exports; "other" shares nothing with "root"
MOUNTS = {
    'root': ('root', 'vers=4.2'), 'root3': ('root', 'vers=3'),
    'other': ('root', 'vers=4.2,nosharecache'),
    'squash': ('squash', 'vers=4.2'), 'squash3': ('squash', 'vers=3')}
CLIENT = f'''
rpc.statd
mkdir {HERE}
mount -t 9p -o trans=virtio,version=9p2000.L,cache=loose,ro virtfs {HERE}
cp -n {HERE}/libraries/* /usr/lib/x86_64-linux-gnu
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /usr/local
cp -r {HERE}/local/. /usr/local
''' + ''.join(f'''
mkdir -p /mnt/{name}
mount -t nfs -o {options} 10.78.0.1:/srv/nfs/{export} /mnt/{name}
''' for name, (export, options) in MOUNTS.items())


def missing():
    """Why there can be no such guests here, or None"""
    return harness.Root().lacks()


class Peer:
    """One of the guests"""

    def __init__(self, folder, name, disk, wire, *more, memory='768M'):
        self.name = name
        self.folder = folder / name
        self.folder.mkdir()
        self.answers = {}
        self.count = 0
        its_kernel = kernel.debian(MODULES)
        (self.folder / 'initrd').write_bytes(boot.initial_files(
            its_kernel, settings(), b'exec bash -c "$(cat <<\\END\n'
            + AGENT.encode() + b'END\n)"'))
        orders, its_orders = socket.socketpair()
        words = [
            build.QEMU, '-machine', 'q35', '-accel', 'tcg,thread=multi',
            '-cpu', 'max', '-m', memory, *common(self.folder),
            '-kernel', its_kernel.image, '-append', APPEND + DISK,
            '-drive', f'if=virtio,format=raw,snapshot=on,file={disk}',
            '-netdev', f'stream,id=wire,addr.type=fd,addr.str={wire.fileno()}',
            '-device', 'virtio-net-pci,netdev=wire,id=card,romfile=,'
            f'mac=52:54:00:00:00:0{1 + (name != "server")}',
            '-chardev', f'socket,id=orders,fd={its_orders.fileno()}',
            '-device', 'virtserialport,chardev=orders,name=guest.orders',
            '-qmp', f'unix:{self.folder}/qmp,server=on,wait=off', *more]
        with open(self.folder / 'log', 'wb') as log:
            self.qemu = process.spawn(
                [*map(str, words)], stdout=log, stderr=log,
                pass_fds=[wire.fileno(), its_orders.fileno()])
        its_orders.close()
        wire.close()
        self.orders = orders
        orders.settimeout(LIMIT)
        self.file = orders.makefile('rw', encoding='ascii')

    def _line(self):
        try:
            line = self.file.readline()
        except TimeoutError:
            line = ''
        if not line:
            raise AssertionError(f'{self.name} does not answer: ' + ''.join(
                path.read_text(encoding='utf-8', errors='replace')[-2000:]
                for path in (self.folder / n for n in ('log', 'console', 'out',
                                                       'err'))))
        return line.split()

    def ready(self):
        """Waits for the agent."""
        if self._line() != ['ready']:
            raise AssertionError(f'{self.name}: not ready')

    def start(self, script):
        """Has a script run in bash: its number"""
        self.count += 1
        text = base64.b64encode(script.encode()).decode()
        self.file.write(f'{self.count} {text}\n')
        self.file.flush()
        return str(self.count)

    def result(self, number, limit=LIMIT):
        """Waits for a script's end: (status, output)"""
        self.orders.settimeout(limit)
        while number not in self.answers:
            which, status, *out = self._line()
            self.answers[which] = int(status), base64.b64decode(
                ''.join(out)).decode(errors='replace')
        return self.answers.pop(number)

    def run(self, script, limit=LIMIT):
        """Runs a script in bash: (status, output)"""
        return self.result(self.start(script), limit)

    def must(self, script, limit=LIMIT):
        """Runs a script that must succeed: its output"""
        status, out = self.run(script, limit)
        if status:
            raise AssertionError(f'{self.name}: {script}\n{status}: {out}')
        return out

    def end(self):
        """Ends it."""
        process.end(self.qemu)
        self.file.close()
        self.orders.close()


def settings(mark='@', tag='none', options=''):
    """For guest-init"""
    return {'MARK': mark, 'TAG': tag, 'MOUNT_OPTIONS': options,
            'INTERACTIVE': '', 'TERM': 'vt100', 'ROWS': 24, 'COLUMNS': 80}


def common(folder):
    """Arguments for a guest with its files in that folder"""
    words = ['-nodefaults', '-no-user-config', '-nic', 'none', '-display',
             'none', '-no-reboot', '-initrd', f'{folder}/initrd',
             '-serial', f'file:{folder}/console', '-device',
             'virtio-serial-pci']
    for name in ('out', 'err'):
        words += ['-chardev', f'file,id={name},path={folder}/{name}', '-device',
                  f'virtserialport,chardev={name},name=guest.{name}']
    return words


def stage(to):
    """Copies to a folder what the host runs."""
    (to / 'libraries').mkdir()
    firmware_to = to / 'local/share/qemu-firmware'
    firmware_to.mkdir(parents=True)
    for where, paths in INSTALLED.items():
        (to / 'local' / where).mkdir()
        for path in paths:
            subprocess.run(['strip', '-o', to / 'local' / where / path.name,
                            path], check=True)
            for library in initramfs.libraries(path):
                shutil.copy(library, to / 'libraries')
    for path in machine.firmware.FOLDERS:
        for name in FIRMWARE:
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(pathlib.Path(path, name), firmware_to)


class Site:
    """The two guests"""

    running = None

    @classmethod
    def get(cls):
        """The one of this test program"""
        if cls.running is None:
            cls.running = cls()
            cls.running.start()
        return cls.running

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=harness.work()))
        self.peers = []
        atexit.register(self.end)

    def start(self):
        """Starts both, and mounts."""
        disk = rootfs.image(PACKAGES, '-nfs', 256)
        data = self.folder / 'data'
        subprocess.run(['mke2fs', '-q', '-t', 'ext4', data, '2g'], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.share = self.folder / 'share'
        self.share.mkdir()
        stage(self.share)
        one, other = socket.socketpair()
        self.server = Peer(self.folder, 'server', disk, one, '-drive',
                           f'if=virtio,format=raw,file={data}')
        self.peers.append(self.server)
        self.host = Peer(
            self.folder, 'host', disk, other, '-smp', '2', '-fsdev',
            f'local,id=virtfs,path={self.share},security_model=none,'
            'readonly=on', '-device',
            'virtio-9p-pci,fsdev=virtfs,mount_tag=virtfs', memory='3G')
        self.peers.append(self.host)
        self.server.ready()
        self.server.must(NETWORK.format(number=1) + SERVER)
        self.host.ready()
        self.host.must(NETWORK.format(number=2) + CLIENT + AS_ROOT)

    def end(self):
        """Ends both."""
        for peer in self.peers:
            peer.end()
        self.peers = []
