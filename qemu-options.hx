HXCOMM SPDX-License-Identifier: GPL-2.0-or-later
HXCOMM
HXCOMM Fragment: -fsdev and -virtfs, for -help and for the manual.

HXCOMM graft: options
DEF("fsdev", HAS_ARG, QEMU_OPTION_fsdev,
    "-fsdev local,id=id,path=path,security_model=mapped-xattr|mapped-file|\n"
    "       passthrough|none[,fmode=fmode][,dmode=dmode][,writeout=immediate]\n"
    "       [,readonly=on|off][,multidevs=remap|forbid|warn][,max_xattr=max]\n"
    "       [,throttling.LIMIT=value]...\n"
    "                export a host directory with QEMU's own privileges\n"
    "-fsdev proxy,id=id,path=path|socket=socket|sock_fd=sock_fd[,helper=path]\n"
    "       [,writeout=immediate][,readonly=on|off][,donate=on|off]\n"
    "       [,ring=on|off|auto][,protocol=1|2][,reconnect=seconds][,on-disconnect=eio|wait]\n"
    "       [,multidevs=remap|forbid|warn][,max_xattr=max][,throttling.LIMIT=value]...\n"
    "                export a host directory through virtfs-proxy-helper\n"
    "-fsdev synth,id=id[,readonly=on|off][,max_xattr=max][,throttling.LIMIT=value]...\n"
    "                export a synthetic tree, for tests\n"
    "                LIMIT: {bps|iops}-{total|read|write}[-max[-length]] or iops-size\n",
    QEMU_ARCH_ALL)

SRST
``-fsdev local,id=id,path=path,security_model=security_model[,fmode=fmode][,dmode=dmode][,writeout=immediate][,readonly=on|off][,multidevs=remap|forbid|warn][,max_xattr=max][,throttling.LIMIT=value]``
  \
``-fsdev proxy,id=id,path=path|socket=socket|sock_fd=sock_fd[,helper=path][,writeout=immediate][,readonly=on|off][,donate=on|off][,ring=on|off|auto][,protocol=1|2][,reconnect=seconds][,on-disconnect=eio|wait][,multidevs=remap|forbid|warn][,max_xattr=max][,throttling.LIMIT=value]``
  \
``-fsdev synth,id=id[,readonly=on|off][,max_xattr=max][,throttling.LIMIT=value]``
    Define an export: files that a guest can mount over 9p. A device
    gives it to the guest, for instance with
    ``-device virtio-9p-pci,fsdev=id,mount_tag=tag``; on machines without
    PCI the device is called ``virtio-9p-device`` or ``virtio-9p-ccw``. With
    ``iothread=id`` the device and its export are served in that thread
    (``-object iothread,id=id``); all devices of an export must have the
    same. In the guest, ``mount -t 9p -o trans=virtio,version=9p2000.L tag /mnt``
    mounts it.

    The argument may also be a JSON object, as in
    ``-fsdev '{"fsdriver": "synth", "id": "id"}'``.

    The first word is the driver, which says what the files are:

    ``local``
        A directory of the host, on which QEMU itself acts. What owners
        and permissions mean depends on ``security_model``.

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
        The directory to export. With ``proxy`` QEMU starts the helper for
        it, and the helper ends with QEMU; exactly one of ``path``,
        ``socket`` and ``sock_fd`` must be there. (``local`` and ``proxy``)

    ``security_model=passthrough|none|mapped-xattr|mapped|mapped-file``
        How owners, permissions, special files and symbolic links of the
        guest are kept on the host. There is no default. (``local`` only)

        .. list-table::
           :header-rows: 1

           * - Model
             - Owners and permissions that the guest sets
             - Special files and symbolic links
             - On the host
           * - ``passthrough``
             - are the host's
             - are the host's
             - QEMU must be root, or all but permissions of its own
               user's files is refused
           * - ``none``
             - are the host's, but where QEMU may not set an owner the
               file keeps its own, and the guest is not told
             - are the host's
             - QEMU may be any user; device files need root
           * - ``mapped-xattr``, or short ``mapped``
             - are kept in extended attributes of the file,
               ``user.virtfs.*``, which the guest does not see
             - are regular files
             - everything belongs to QEMU's user; the file system must
               have extended attributes
           * - ``mapped-file``
             - are kept as text in a directory ``.virtfs_metadata`` beside
               the file, which the guest does not see
             - are regular files
             - everything belongs to QEMU's user

        The mapped models keep guests from making files on the host that
        would be dangerous there, such as set-user-ID programs of root. A
        directory should be exported with the same model always.

    ``fmode=fmode``, ``dmode=dmode``
        The permissions that new files and new directories have on the
        host, with the mapped models: a number, octal when it begins with
        a 0. The defaults are ``0600`` and ``0700``. (``local`` only)

    ``socket=socket``
        The file name of the UNIX socket on which a helper listens that
        is running already. (``proxy`` only)

    ``sock_fd=sock_fd``
        The number of a file descriptor that QEMU inherits: a connected
        socket with a helper at its other end. With ``-add-fd``, which
        closes that number, ``/dev/fdset/SET`` in place of it; in the
        monitor (``fsdev-add``) also the name that ``getfd`` gave a
        descriptor. (``proxy`` only)

    ``helper=path``
        With ``path``: the program to start. The default is the
        virtfs-proxy-helper that was installed with this QEMU.
        (``proxy`` only)

    ``donate=on|off``
        Whether the helper hands over descriptors that let QEMU look at
        attributes of files without asking it. The default is ``on``, which
        is faster and gives QEMU nothing that it could not ask for.
        (``proxy`` only)

    ``ring=on|off|auto``
        Whether messages to the helper and back go through memory that both
        share, rather than through a socket. That takes less processor time
        when there are many. It is no memory of the guest's. The default,
        ``auto``, is to do so if the helper can; with ``on`` it is an error
        if it cannot. (``proxy`` only)

    ``protocol=1|2``
        The version of the protocol to speak with the helper. The default
        is to ask a helper that was not installed with this QEMU what it
        knows. (``proxy`` only)

    ``reconnect=seconds``
        When the helper goes away, start it again (``path``) or connect to
        it again (``socket``), at intervals of so many seconds, until that
        goes well. The default, 0, is never to do so. Files that the guest
        has open go on working meanwhile: QEMU has descriptors of them, so
        written data is not lost, and fsync does what it does with a helper.
        Other files are found again by their names when they are next used,
        and must be the same inodes as before: for what is not found, such
        as a file whose name was removed while a program had it open, the
        guest gets ESTALE where it needs the helper. (``proxy`` only, and
        not with ``sock_fd``)

    ``on-disconnect=eio|wait``
        With ``eio``, the default, requests that need a helper fail with an
        I/O error while there is none. With ``wait`` they wait until there
        is one again, and requests that were under way are made anew: one
        that makes a directory, for instance, may then find its own work,
        and fail with EEXIST. It needs ``reconnect``. (``proxy`` only)

    ``writeout=immediate``
        Hand what the guest writes to the host's storage right away,
        instead of when the host sees fit. The guest's write is answered
        without waiting until the data is on the medium. (``local`` and
        ``proxy``)

    ``readonly=on|off``
        With ``on`` the guest can change nothing. The default is ``off``.
        ``readonly`` alone is short for ``readonly=on``.

    ``multidevs=remap|forbid|warn``
        What to do when the directory covers several file systems of the
        host, because others are mounted in it, so that two of its files
        may have the same inode number:

        ``remap``
            Give the guest numbers that differ. This is the default.

        ``warn``
            The same, and warn once, when the first file of another file
            system is met.

        ``forbid``
            Refuse access (``EXDEV``) to all but the file system that the
            directory itself is on. Names of what is refused are still
            listed.

    ``max_xattr=max``
        How many extended attributes a guest may have open for reading or
        writing at once; ``0`` for any number. The default is 1024.

    ``throttling.bps-total=b``, ``throttling.bps-read=r``, ``throttling.bps-write=w``
        How many bytes a second the guest may read and write together, or
        read, or write, in files' data; ``0``, the default, is for any
        number. The first cannot be combined with the others.

    ``throttling.iops-total=i``, ``throttling.iops-read=r``, ``throttling.iops-write=w``
        The same for requests to read and write, in requests a second.

    ``throttling.bps-total-max=bm``, ``throttling.bps-read-max=rm``, ``throttling.bps-write-max=wm``, ``throttling.iops-total-max=im``, ``throttling.iops-read-max=irm``, ``throttling.iops-write-max=iwm``
        With one of the limits above: how many bytes or requests a second
        are allowed in bursts.

    ``throttling.bps-total-max-length=s``, ``throttling.bps-read-max-length=s``, ``throttling.bps-write-max-length=s``, ``throttling.iops-total-max-length=s``, ``throttling.iops-read-max-length=s``, ``throttling.iops-write-max-length=s``
        With one of these: how many seconds a burst may last. The default
        is 1.

    ``throttling.iops-size=is``
        With a limit of requests: count a request of more than that many
        bytes as several.

    For instance, for an ordinary user:

    .. parsed-literal::

        |qemu_system| -fsdev local,id=f,path=dir,security_model=mapped-xattr \
            -device virtio-9p-pci,fsdev=f,mount_tag=share ...
ERST

DEF("virtfs", HAS_ARG, QEMU_OPTION_virtfs,
    "-virtfs local,mount_tag=tag,path=path,security_model=mapped-xattr|mapped-file|\n"
    "        passthrough|none[,id=id][,fmode=fmode][,dmode=dmode]\n"
    "        [,writeout=immediate][,readonly=on|off]\n"
    "        [,multidevs=remap|forbid|warn][,max_xattr=max][,throttling.LIMIT=value]...\n"
    "-virtfs proxy,mount_tag=tag,path=path|socket=socket|sock_fd=sock_fd[,id=id]\n"
    "        [,helper=path][,writeout=immediate][,readonly=on|off][,donate=on|off]\n"
    "        [,ring=on|off|auto][,protocol=1|2][,reconnect=seconds][,on-disconnect=eio|wait]\n"
    "        [,multidevs=remap|forbid|warn][,max_xattr=max][,throttling.LIMIT=value]...\n"
    "-virtfs synth,mount_tag=tag[,id=id][,readonly=on|off][,max_xattr=max]\n"
    "                -fsdev and a virtio-9p-pci device for it at once\n",
    QEMU_ARCH_ALL)

SRST
``-virtfs local,mount_tag=tag,path=path,security_model=security_model[,id=id][,fmode=fmode][,dmode=dmode][,writeout=immediate][,readonly=on|off][,multidevs=remap|forbid|warn][,max_xattr=max][,throttling.LIMIT=value]``
  \
``-virtfs proxy,mount_tag=tag,path=path|socket=socket|sock_fd=sock_fd[,id=id][,helper=path][,writeout=immediate][,readonly=on|off][,donate=on|off][,ring=on|off|auto][,protocol=1|2][,reconnect=seconds][,on-disconnect=eio|wait][,multidevs=remap|forbid|warn][,max_xattr=max][,throttling.LIMIT=value]``
  \
``-virtfs synth,mount_tag=tag[,id=id][,readonly=on|off][,max_xattr=max][,throttling.LIMIT=value]``
    Define an export and a virtio-9p-pci device for it in one option. All
    options of ``-fsdev`` mean the same here, and there is one more:

    ``mount_tag=tag``
        The name under which the guest finds and mounts the export. It is
        the export's id as well, if there is no ``id``.
ERST

