#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Containers whose images are on a share of an ordinary user's.

A guest has podman, and the share at /var/lib/containers. Nothing is pulled: the
test makes an archive like those that registries give out, with layers that
remove, replace and hide files of lower ones (whiteouts and opaque directories),
with set-id programs, programs with capabilities, and devices. Containers must
see just that. What podman builds, commits, saves and loads, and what overlayfs
makes of the same changes, must be equal to what they make with all files in the
guest's memory.

podman needs fuse-overlayfs for that: it does not take the kernel's overlayfs if
this cannot remove a directory of a lower layer, which takes RENAME_EXCHANGE;
Linux' 9p client has none. Nor does overlayfs make symbolic links on a 9p mount.
The tests whose names begin with "kernel" mount overlayfs themselves: the layers
are on the share, the upper directory in memory or on the share.

fuse-overlayfs itself fails to remove block devices, and podman with it forgets
in an image that a directory was made anew, on any file system.
"""

import hashlib
import io
import json
import stat
import struct
import sys
import tarfile

import harness
import rooted
from harness import guest
from rooted import Rooted

# VFS_CAP_REVISION_2 with an effective set of CAP_DAC_OVERRIDE
CAPABILITY = struct.pack('<5I', 0x02000001, 1 << 1, 0, 0, 0)

CONF = '''\
[containers]
cgroups = "disabled"
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
'''

STORAGE = '''\
[storage]
driver = "overlay"
runroot = "/run/containers/{name}"
graphroot = "{folder}/storage"
[storage.options.overlay]
mount_program = "/usr/bin/fuse-overlayfs"
'''

SETUP = f'''
mkdir -p /dev/shm /var/lib/containers /work/out
mount -t tmpfs tmpfs /dev/shm; mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /var/tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
{rooted.MOUNT} /var/lib/containers
cat >/work/both <<"EOF"
# Runs the function work with podman's files in memory, and then on the share.
both() {{
    (export CONTAINERS_STORAGE_CONF=/work/memory.conf
     podman load -q -i /work/image.tar >/dev/null; work >/work/out/memory 2>&1
     podman rm -af >/dev/null; podman rmi -af >/dev/null)
    work >/work/out/share 2>&1; cat /work/out/share
    diff /work/out/memory /work/out/share
}}
EOF
'''

# All of a container but what the engine makes. Folders have other times and
# sizes in each layer.
LIST = r'''cd /; busybox find . -xdev ! -path "./proc*" ! -path "./sys*" \
    ! -path "./dev*" ! -path "./run*" ! -path "./etc*" ! -path . | \
    busybox sort | while read -r f; do
        busybox stat -c "%n %F %a %u:%g %t:%T" "$f"
        [ -L "$f" ] && busybox readlink "$f"
        if [ -f "$f" ]; then busybox md5sum <"$f"; fi
    done'''
EXACT = 'podman run --rm localhost/loaded /bin/sh /list.sh'

# Each program reads the files of others that it may read.
PROGRAMS = '''{} /bin/sh -c '
    for p in plain setuid setgid able; do
        for f in root group; do
            said=$(/programs/$p crc /secret/$f) && echo $p $f
        done
    done' '''
WORKING = ['setuid root', 'setuid group', 'setgid group', 'able root',
           'able group']

# Defines layers, which unpacks the layers in directory $1, as overlayfs keeps
# them, and stack, which mounts those with directory $2 above.
KERNEL = '''
layer() {
    mkdir -p $1/$2; tar --xattrs --xattrs-include=* -xpf /work/$2.tar -C $1/$2
    for f in $(find $1/$2 -name ".wh.*"); do
        rm $f
        case $f in
        */.wh..wh..opq) setfattr -n trusted.overlay.opaque -v y ${f%/*} ;;
        *) mknod -m 0 ${f%/.wh.*}/${f##*/.wh.} c 0 0 ;;
        esac
    done
}
layers() {
    [ -e $1 ] || { layer $1 first; layer $1 second; }
}
stack() {
    mkdir -p $2/upper $2/work /m
    mount -t overlay -o lowerdir=$1/second:$1/first \\
        -o upperdir=$2/upper,workdir=$2/work overlay /m
}
own=/var/lib/containers/own
'''

# Defines tree DIR, which prints all of a directory that containers can change.
TREE = r'''tree() {
    (cd $1 && find bin data nodes programs secret | LC_ALL=C sort |
     while read -r f; do
        stat -c "%n %F %a %u:%g %t:%T %h" $f; getfattr -hd -m - -- $f
        if [ -L $f ]; then readlink $f; elif [ -f $f ]; then md5sum <$f; fi
    done)
}
'''

KINDS = {tarfile.DIRTYPE: 'directory', tarfile.SYMTYPE: 'symbolic link',
         tarfile.CHRTYPE: 'character special file',
         tarfile.BLKTYPE: 'block special file', tarfile.FIFOTYPE: 'fifo'}


def entry(name, kind=tarfile.REGTYPE, mode=0o644, owner=(0, 0), data=b'',
          target='', rdev=(0, 0), capability=None):
    """An entry of a layer: (information, content)."""
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname = kind, mode, target
    info.uid, info.gid = owner
    info.devmajor, info.devminor = rdev
    info.size, info.mtime = len(data), 1700000000
    if capability:
        info.pax_headers['SCHILY.xattr.security.capability'] = \
            capability.decode('utf-8', 'surrogateescape')
    return info, data


def folder(name, mode=0o755, owner=(0, 0)):
    """A directory's entry"""
    return entry(name, tarfile.DIRTYPE, mode, owner)


def pack(entries):
    """A tar archive, as bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w', format=tarfile.PAX_FORMAT) as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def lower(busybox, tool):
    """The first layer's entries"""
    return [
        folder('bin'), folder('proc'), folder('sys'), folder('dev'),
        folder('etc'), folder('run'), folder('tmp', 0o1777),
        entry('bin/busybox', mode=0o755, data=busybox),
        entry('bin/sh', tarfile.SYMTYPE, 0o777, target='busybox'),
        entry('list.sh', data=LIST.encode() + b'\n'),
        folder('programs'),
        entry('programs/plain', mode=0o755, data=tool),
        entry('programs/setuid', mode=0o4755, data=tool),
        entry('programs/setgid', mode=0o2755, owner=(0, 42), data=tool),
        entry('programs/able', mode=0o755, data=tool, capability=CAPABILITY),
        folder('secret'),
        entry('secret/root', mode=0o600, data=b'root'),
        entry('secret/group', mode=0o640, owner=(0, 42), data=b'group'),
        folder('nodes'),
        entry('nodes/zero', tarfile.CHRTYPE, 0o666, rdev=(1, 5)),
        entry('nodes/disk', tarfile.BLKTYPE, 0o660, (0, 6), rdev=(8, 1)),
        entry('nodes/fifo', tarfile.FIFOTYPE, 0o622, (7, 8)),
        folder('data', 0o2775, (1000, 1001)),
        entry('data/kept', mode=0o640, owner=(1000, 1001), data=b'kept'),
        entry('data/removed', data=b'removed'),
        entry('data/changed', data=b'old'),
        entry('data/link', tarfile.SYMTYPE, 0o777, (1000, 1001), target='kept'),
        folder('data/gone'), entry('data/gone/f', data=b'f'),
        folder('data/hidden'), entry('data/hidden/old', data=b'old'),
        folder('data/hidden/below'), entry('data/hidden/below/f', data=b'f'),
        folder('data/merged'), entry('data/merged/low', data=b'low'),
        entry('data/kind', data=b'a file'),
    ]


def upper():
    """The second layer's entries, and the names that it removes"""
    removed = ['data/removed', 'data/gone', 'data/hidden']
    entries = [
        folder('data', 0o2775, (1000, 1001)),
        entry('data/.wh.removed'), entry('data/.wh.gone'),
        entry('data/changed', mode=0o600, owner=(3, 4), data=b'new'),
        folder('data/hidden', 0o700, (5, 5)),
        entry('data/hidden/.wh..wh..opq'), entry('data/hidden/new', data=b'n'),
        folder('data/merged'), entry('data/merged/up', data=b'up'),
        folder('data/kind'), entry('data/kind/f', data=b'in a directory'),
    ]
    return entries, removed


def merged(layers):
    """What a container sees: the lines that LIST prints."""
    seen = {}
    for entries, removed in layers:
        for name in list(seen):
            if any(name == r or name.startswith(r + '/') for r in removed):
                del seen[name]
        seen |= {info.name: (info, data) for info, data in entries
                 if '.wh.' not in info.name}
    lines = []
    for name, (info, data) in seen.items():
        if name.split('/')[0] in ('proc', 'sys', 'dev', 'etc', 'run'):
            continue
        kind = KINDS.get(info.type) or \
            ('regular file' if data else 'regular empty file')
        lines.append((name, f'./{name} {kind} {info.mode:o} {info.uid}:'
                      f'{info.gid} {info.devmajor:x}:{info.devminor:x}'))
        if info.type == tarfile.SYMTYPE:
            lines.append((name, info.linkname))
            data = seen['data/kept'][1] if info.linkname == 'kept' else \
                seen['bin/busybox'][1]
        if info.isreg() or info.issym():
            lines.append((name, hashlib.md5(data).hexdigest() + '  -'))
    return [line for _, line in sorted(lines, key=lambda pair: pair[0])]


def docker_archive(layers):
    """An image as "podman save" and a registry's clients keep it."""
    names = [hashlib.sha256(layer).hexdigest() for layer in layers]
    config = json.dumps({
        'architecture': 'amd64', 'os': 'linux',
        'config': {'Env': ['PATH=/bin'], 'Cmd': ['/bin/sh']},
        'rootfs': {'type': 'layers',
                   'diff_ids': [f'sha256:{name}' for name in names]},
        'history': [{'created_by': 'test'} for _ in names]}).encode()
    about = hashlib.sha256(config).hexdigest() + '.json'
    manifest = json.dumps([{
        'Config': about, 'RepoTags': ['localhost/loaded:latest'],
        'Layers': [f'{name}.tar' for name in names]}]).encode()
    return pack([entry(about, data=config),
                 *(entry(f'{n}.tar', data=layer)
                   for n, layer in zip(names, layers)),
                 entry('manifest.json', data=manifest)])


class Containers(Rooted):
    """podman, with overlayfs on the share"""

    __test_me__ = True
    setup = SETUP

    def sees(self, layers):
        """Containers see what is in these layers."""
        self.succeeds()
        self.assertEqual(self.said.splitlines(), merged(layers))

    maxDiff = None

    @classmethod
    def prepare(cls):
        busybox = (cls.root / 'bin/busybox').resolve()
        if not busybox.is_file():
            busybox = cls.root / 'usr/bin/busybox'
        first = lower(busybox.read_bytes(), harness.tool().read_bytes())
        cls.layers = [(first, []), upper()]
        packed = [pack(entries) for entries, _ in cls.layers]
        work = cls.root / 'work'
        (work / 'image.tar').write_bytes(docker_archive(packed))
        (work / 'first.tar').write_bytes(packed[0])
        (work / 'second.tar').write_bytes(packed[1])
        (cls.root / 'etc/containers/containers.conf').write_text(CONF)
        for path, name, place in (
                ('etc/containers/storage.conf', 'share', '/var/lib/containers'),
                ('work/memory.conf', 'memory', '/tmp/containers')):
            (cls.root / path).write_text(STORAGE.format(name=name,
                                                        folder=place))

    @guest('''findmnt -no FSTYPE,SOURCE -T /var/lib/containers
              podman info --format '{{.Store.GraphDriverName}}
                  {{.Host.OCIRuntime.Name}}' ''')
    def test_storage(self):
        '''podman's storage is the share'''
        self.succeeds()
        self.assertEqual(self.said.split(), ['9p', 'work', 'overlay', 'crun'])

    @guest('podman load -q -i image.tar >/dev/null && ' + EXACT)
    def test_load(self):
        '''An image with whiteouts, opaque directories and devices'''
        self.sees(self.layers)

    @guest('podman import -q first.tar localhost/imported >/dev/null && ' +
           EXACT.replace('loaded', 'imported'))
    def test_import(self):
        '''An image made of one archive'''
        self.sees(self.layers[:1])

    @guest(PROGRAMS.format('podman run --rm --user 1000:1000 localhost/loaded'))
    def test_programs(self):
        '''Set-id programs, and programs with capabilities'''
        self.assertEqual(self.said.splitlines(), WORKING)

    @guest('''for f in /var/lib/containers/storage/overlay/*/diff/nodes/zero; do
                  head -c 3 $f | od -An -tx1
              done | sort -u''')
    def test_device(self):
        '''A device of a layer is a device for the guest'''
        self.assertEqual(self.said.split(), 3 * ['00'])

    @guest('. ./both\n' + TREE + '''work() {
                  podman run --name changed localhost/loaded /bin/sh -ec '
                      cd /data; echo more >>kept; rm changed hidden/new
                      echo again >hidden/new; mkdir new; echo n >new/f
                      chown 9:10 new/f; chmod 4711 new/f; ln kept hard
                      mkfifo new/p; ln -s f new/l; touch merged/more
                      rm /secret/group; mv new/f new/g; chmod 700 merged
                      rm -r kind' || return
                  podman diff changed | LC_ALL=C sort
                  to=$(podman mount changed)
                  setcap cap_net_raw=ep $to/programs/plain
                  mknod -m 640 $to/nodes/null c 1 3; chown 5:6 $to/nodes/null
                  rm $to/nodes/zero; setfattr -n user.x -v y $to/data/kept
                  tree $to >out/changed; podman unmount changed >/dev/null
                  podman commit -q changed localhost/committed >/dev/null
                  tree $(podman image mount localhost/committed) >out/committed
                  podman image unmount localhost/committed >/dev/null
                  cmp out/changed out/committed && cat out/changed
              }
              both''')
    def test_commit(self):
        '''A changed container, and an image made of it'''
        self.succeeds()
        for line in ('D /data/changed', 'D /secret/group', 'user.x="y"',
                     'data/new/g regular file 4711 9:10 0:0 1',
                     'nodes/null character special file 640 5:6 1:3 1'):
            self.assertIn(line, self.said.splitlines())

    @guest(TREE + '''
              set -e; i=localhost/committed
              layers() { podman image inspect -f '{{.RootFS.Layers}}' $i; }
              before=$(layers)
              for format in docker-archive oci-archive docker-dir; do
                  podman save -q --format $format -o /tmp/saved $i >/dev/null
                  podman rmi -f $i >/dev/null
                  podman load -q -i /tmp/saved >/dev/null; rm -r /tmp/saved
                  podman tag $(podman images -q --noheading | head -n 1) $i
                  [ "$(layers)" = "$before" ]
                  tree $(podman image mount $i) >out/$format
                  podman image unmount $i >/dev/null
                  cmp out/committed out/$format; echo $format
              done''')
    def test_save(self):
        '''Images that are saved and loaded'''
        self.succeeds()
        self.assertEqual(self.said.split(), [
            'docker-archive', 'oci-archive', 'docker-dir'])

    @guest('. ./both\n' + '''mkdir -p build; cd build
              mkdir -p add/added add/data/merged; echo a >add/added/file
              mknod -m 604 add/added/zero c 1 5; chown 3:4 add/added/file
              chmod 6755 add/added/file; echo b >add/data/merged/low
              tar -C add -cf add.tar .
              printf '%s\\n' 'FROM localhost/loaded' 'ADD add.tar /' \\
                  'RUN rm /data/kept && echo new >/data/changed' \\
                  'RUN chmod 4750 /programs/plain && rm -r /data/hidden' \\
                  'RUN mkdir -p /o/a/b && rm -r /o/a' >Containerfile
              work() {
                  podman build -q --network none --layers -t localhost/built \\
                      . >/dev/null || return
                  podman run --rm localhost/built /bin/sh -c '
                      cd /; busybox stat -c "%n %F %a %u:%g %t:%T" added/* \\
                          data/* data/*/* programs/plain o
                      busybox ls o data/hidden
                      busybox cat added/file data/changed data/merged/low'
              }
              both''')
    def test_build(self):
        '''An image that podman builds'''
        self.succeeds()
        for line in ('added/file regular file 6755 3:4 0:0',
                     'added/zero character special file 604 0:0 1:5',
                     'programs/plain regular file 4750 0:0 0:0',
                     'ls: data/hidden: No such file or directory'):
            self.assertIn(line, self.said.splitlines())

    @guest('''podman rm -f changed >/dev/null; podman rmi -af >/dev/null
              podman load -q -i image.tar >/dev/null && ''' + EXACT)
    def test_again(self):
        '''All images are removed, and one is loaded again'''
        self.sees(self.layers)

    @guest(KERNEL + '''layers $own; stack $own /tmp/above
              chroot /m /bin/sh /list.sh''')
    def test_kernel(self):
        '''kernel: a directory in memory above the image'''
        self.sees(self.layers)

    @guest(PROGRAMS.format('chroot --userspec 1000:1000 /m'))
    def test_kernel_programs(self):
        '''kernel: set-id programs, and programs with capabilities'''
        self.assertEqual(self.said.splitlines(), WORKING)

    @guest('''set -e; cd /m/data; rm -r merged hidden; mv link moved
              mkdir hidden merged; rm ../nodes/disk; rm changed
              find . ../nodes | LC_ALL=C sort; cd /; umount /m''')
    def test_kernel_memory(self):
        '''kernel: all kinds of changes, above the image'''
        self.succeeds()
        self.assertEqual(self.said.split(), [
            '.', '../nodes', '../nodes/fifo', '../nodes/zero', './hidden',
            './kept', './kind', './kind/f', './merged', './moved'])

    @guest(KERNEL + TREE + '''set -e
              for top in /tmp/own $own; do
                  layers $top; stack $top $top
                  chroot /m /bin/sh /list.sh >out/list
                  cd /m/data; echo more >>kept; rm changed hidden/new
                  echo again >hidden/new; mkdir new; echo n >new/f
                  chown 9:10 new/f; chmod 4711 new/f; ln kept hard
                  mkfifo new/p; touch merged/more; rm merged/low
                  rm ../secret/group; mv new/f new/g; chmod 700 merged
                  rm -r new; mkdir new; echo x >changed
                  setcap cap_net_raw=ep ../programs/plain; rm ../nodes/disk
                  mknod -m 640 ../nodes/null c 1 3; chown 5:6 ../nodes/null
                  head -c 1 ../nodes/zero | od -An -tx1
                  cd /; tree /m >/work/out/kernel; umount /m; stack $top $top
                  tree /m | diff /work/out/kernel -; umount /m; cd /work
                  mv out/kernel out/$(echo kernel$top | tr / -)
              done 2>&1
              cat out/list; diff out/kernel-*''')
    def test_kernel_share(self):
        '''kernel: a directory of the share above the image'''
        self.succeeds()
        self.assertEqual(self.said.splitlines(),
                         2 * [' 00'] + merged(self.layers))

    def test_host(self):
        """On the host: no device, no privileged attribute, only the user's"""
        self.assertEqual(rooted.foreign(self.host, self.share), [])


if __name__ == '__main__':
    sys.exit(harness.main())
