HXCOMM SPDX-License-Identifier: GPL-2.0-or-later
HXCOMM
HXCOMM Fragment: -fsdev and -virtfs, for -help and for the manual.

HXCOMM graft: options
DEF("fsdev", HAS_ARG, QEMU_OPTION_fsdev,
    "-fsdev proxy,id=id,path=path|socket=socket|sock_fd=sock_fd[,helper=path]\n"
    "       [,readonly=on|off][,writeout=immediate][,max_xattr=max]\n"
    "                export a host directory through virtfs-proxy-helper\n"
    "-fsdev synth,id=id[,readonly=on|off][,max_xattr=max]\n"
    "                export a synthetic tree, for tests\n",
    QEMU_ARCH_ALL)

SRST
``-fsdev proxy,id=id,path=path|socket=socket|sock_fd=sock_fd[,helper=path][,readonly=on|off][,writeout=immediate][,max_xattr=max]``
  \
``-fsdev synth,id=id[,readonly=on|off][,max_xattr=max]``
    Define an export: files that a guest can mount over 9p. A device
    gives it to the guest, for instance with
    ``-device virtio-9p-pci,fsdev=id,mount_tag=tag``; on machines without
    PCI the device is called ``virtio-9p-device`` or ``virtio-9p-ccw``. In
    the guest, ``mount -t 9p -o trans=virtio,version=9p2000.L tag /mnt``
    mounts it.

    The first word is the driver, which says what the files are:

    ``proxy``
        A directory of the host, on which a process of its own,
        virtfs-proxy-helper, acts for QEMU. Owners and permissions are
        those that the guest sets, and QEMU itself needs no privilege.

    ``synth``
        A small tree that exists in QEMU only. It is meant for tests.

    The other options are:

    ``id=id``
        The name by which a device refers to the export.

    ``path=path``
        The directory to export. QEMU starts the helper for it, and the
        helper ends with QEMU. (``proxy`` only; exactly one of ``path``,
        ``socket`` and ``sock_fd`` must be there.)

    ``socket=socket``
        The file name of the UNIX socket on which a helper listens that
        is running already. (``proxy`` only)

    ``sock_fd=sock_fd``
        The number of a file descriptor that QEMU inherits: a connected
        socket with a helper at its other end. (``proxy`` only)

    ``helper=path``
        With ``path``: the program to start. The default is the
        virtfs-proxy-helper that was installed with this QEMU.

    ``readonly=on|off``
        With ``on`` the guest can change nothing. The default is ``off``.

    ``writeout=immediate``
        Hand what the guest writes to the host's storage right away,
        instead of when the host sees fit. The guest's write is answered
        without waiting until the data is on the medium. (``proxy`` only)

    ``max_xattr=max``
        How many extended attributes a guest may have open for reading or
        writing at once; ``0`` for any number. The default is 1024.
ERST

DEF("virtfs", HAS_ARG, QEMU_OPTION_virtfs,
    "-virtfs proxy,mount_tag=tag,path=path|socket=socket|sock_fd=sock_fd[,id=id]\n"
    "        [,helper=path][,readonly=on|off][,writeout=immediate][,max_xattr=max]\n"
    "-virtfs synth,mount_tag=tag[,id=id][,readonly=on|off][,max_xattr=max]\n"
    "                -fsdev and a virtio-9p-pci device for it at once\n",
    QEMU_ARCH_ALL)

SRST
``-virtfs proxy,mount_tag=tag,path=path|socket=socket|sock_fd=sock_fd[,id=id][,helper=path][,readonly=on|off][,writeout=immediate][,max_xattr=max]``
  \
``-virtfs synth,mount_tag=tag[,id=id][,readonly=on|off][,max_xattr=max]``
    Define an export and a virtio-9p-pci device for it in one option. All
    options of ``-fsdev`` mean the same here, and there is one more:

    ``mount_tag=tag``
        The name under which the guest finds and mounts the export. It is
        the export's id as well, if there is no ``id``.
ERST

