HXCOMM SPDX-License-Identifier: GPL-2.0-or-later
HXCOMM
HXCOMM This is a fragment: base/graft.py puts it into the base's
HXCOMM qemu-options.hx. It holds -fsdev and -virtfs, for -help and the manual.

HXCOMM graft: options
DEF("fsdev", HAS_ARG, QEMU_OPTION_fsdev,
    "-fsdev local,id=id,path=path,security_model=mapped-xattr|mapped-file|\n"
    "       passthrough|none[,fmode=fmode][,dmode=dmode][,writeout=immediate]\n"
    "       [,squash=root|all][,anon-uid=uid][,anon-gid=gid]\n"
    "       [,translate-uid=ranges][,translate-gid=ranges]\n"
    "       [,xattr-map=rules][,readonly=on|off][,multidevs=remap|forbid|warn]\n"
    "       [,max_xattr=max][,max-open-files=max][,max-fids=max]\n"
    "       [,migration=off|names|handles|auto][,on-missing=fail|stale]\n"
    "       [,throttling.LIMIT=value]...\n"
    "                export a host directory with QEMU's own privileges\n"
    "-fsdev proxy,id=id,path=path|socket=socket|sock_fd=sock_fd[,helper=path]\n"
    "       [,writeout=immediate][,readonly=on|off][,donate=on|off]\n"
    "       [,ring=on|off|auto][,protocol=1|2][,reconnect=seconds][,on-disconnect=eio|wait]\n"
    "       [,user=user][,group=group][,modcaps=changes][,uid-map=map][,gid-map=map]\n"
    "       [,squash=root|all][,anon-uid=uid][,anon-gid=gid]\n"
    "       [,translate-uid=ranges][,translate-gid=ranges]\n"
    "       [,special-files=host|mapped][,xattr-map=rules]\n"
    "       [,act-as=self|root|guest][,host-groups=on|off]\n"
    "       [,sandbox=namespace|chroot|none][,seccomp=kill|trap|log|none]\n"
    "       [,threads=n][,rlimit-nofile=n][,memory-limit=size]\n"
    "       [,log-level=error|warning|info|debug][,syslog=on|off]\n"
    "       [,multidevs=remap|forbid|warn]\n"
    "       [,max_xattr=max][,max-open-files=max][,max-fids=max]\n"
    "       [,migration=off|names|handles|auto][,on-missing=fail|stale]\n"
    "       [,throttling.LIMIT=value]...\n"
    "                export a host directory through virtfs-proxy-helper\n"
    "-fsdev synth,id=id[,readonly=on|off]\n"
    "       [,max_xattr=max][,max-open-files=max][,max-fids=max]\n"
    "       [,migration=off|names|handles|auto][,on-missing=fail|stale]\n"
    "       [,throttling.LIMIT=value]...\n"
    "                export a synthetic tree, for tests\n"
    "                LIMIT: {bps|iops}-{total|read|write}[-max[-length]] or iops-size\n",
    QEMU_ARCH_ALL)

SRST
``-fsdev local,id=id,path=path,security_model=security_model[,fmode=fmode][,dmode=dmode][,writeout=immediate][,squash=root|all][,anon-uid=uid][,anon-gid=gid][,translate-uid=ranges][,translate-gid=ranges][,xattr-map=rules][,readonly=on|off][,multidevs=remap|forbid|warn][,max_xattr=max][,max-open-files=max][,max-fids=max][,migration=off|names|handles|auto][,on-missing=fail|stale][,throttling.LIMIT=value]``
  \
``-fsdev proxy,id=id,path=path|socket=socket|sock_fd=sock_fd[,helper=path][,writeout=immediate][,readonly=on|off][,donate=on|off][,ring=on|off|auto][,protocol=1|2][,reconnect=seconds][,on-disconnect=eio|wait][,user=user][,group=group][,modcaps=changes][,uid-map=map][,gid-map=map][,squash=root|all][,anon-uid=uid][,anon-gid=gid][,translate-uid=ranges][,translate-gid=ranges][,special-files=host|mapped][,xattr-map=rules][,act-as=self|root|guest][,host-groups=on|off][,sandbox=namespace|chroot|none][,seccomp=kill|trap|log|none][,threads=n][,rlimit-nofile=n][,memory-limit=size][,log-level=error|warning|info|debug][,syslog=on|off][,multidevs=remap|forbid|warn][,max_xattr=max][,max-open-files=max][,max-fids=max][,migration=off|names|handles|auto][,on-missing=fail|stale][,throttling.LIMIT=value]``
  \
``-fsdev synth,id=id[,readonly=on|off][,max_xattr=max][,max-open-files=max][,max-fids=max][,migration=off|names|handles|auto][,on-missing=fail|stale][,throttling.LIMIT=value]``
    Define an export: files that a guest can mount over 9p. A device
    shows the export to the guest, for instance
    ``-device virtio-9p-pci,fsdev=id,mount_tag=tag``; on machines without
    PCI the device is called ``virtio-9p-device`` or ``virtio-9p-ccw``. With
    ``iothread=id`` QEMU serves the device and its export in that thread
    (``-object iothread,id=id``); all devices of an export must have the
    same ``iothread``. In the guest, mount the export with
    ``mount -t 9p -o trans=virtio,version=9p2000.L tag /mnt``.

    The argument may also be a JSON object, as in
    ``-fsdev '{"fsdriver": "synth", "id": "id"}'``.

    The first word is the driver, which says what the files are:

    ``local``
        A directory of the host. QEMU itself acts on it.
        ``security_model`` decides what owners and permissions mean.

    ``proxy``
        A directory of the host. A separate process,
        virtfs-proxy-helper, acts on it for QEMU. Owners and permissions
        are those that the guest sets, and QEMU needs no privilege.

    ``synth``
        A small tree that exists in QEMU only, for tests.

    The other options are:

    ``id=id``
        The name by which a device refers to the export.

    ``path=path``
        The directory to export. With ``proxy``, QEMU starts the helper
        for it, and the helper ends with QEMU; ``proxy`` takes exactly
        one of ``path``, ``socket`` and ``sock_fd``. (``local`` and
        ``proxy``)

    ``security_model=passthrough|none|mapped-xattr|mapped|mapped-file``
        How QEMU keeps the guest's owners, permissions, special files and
        symbolic links on the host. There is no default. (``local`` only)

        .. list-table::
           :header-rows: 1

           * - Model
             - Owners and permissions that the guest sets
             - Special files and symbolic links
             - On the host
           * - ``passthrough``
             - are the host's
             - are the host's
             - QEMU must be root; otherwise the host refuses every change
               except of permissions of the files of QEMU's own user
           * - ``none``
             - are the host's; if QEMU may not set an owner, the file
               keeps its owner and the guest sees no error
             - are the host's
             - QEMU may be any user; device files need root
           * - ``mapped-xattr``, or ``mapped`` for short
             - are in extended attributes of the file, ``user.virtfs.*``,
               which the guest does not see
             - are regular files
             - everything belongs to QEMU's user; the file system must
               have extended attributes
           * - ``mapped-file``
             - are text in a directory ``.virtfs_metadata`` beside the
               file, which the guest does not reach, in no spelling that
               the host's file system takes for this name
             - are regular files
             - everything belongs to QEMU's user

        With the mapped models, a guest cannot make files that would be
        dangerous on the host, such as set-user-ID programs of root.
        Always export a directory with the same model.

        With every model and driver, the guest can use the extended
        attributes ``user.*`` except ``user.virtfs.*``, and POSIX ACLs
        (except with ``mapped-file``). It neither sees nor sets others,
        such as ``security.capability`` (unless ``modcaps=+setfcap``
        serves it) and ``trusted.*``. A guest that
        writes to a program of the host or changes its owner takes the
        program's file capabilities away.

    ``fmode=fmode``, ``dmode=dmode``
        The permissions that new files and new directories have on the
        host, with the mapped models: a number, octal if it begins with
        a 0. The defaults are ``0600`` and ``0700``. (``local`` only)

    ``socket=socket``
        The file name of the UNIX socket of a running helper.
        (``proxy`` only)

    ``sock_fd=sock_fd``
        The number of a file descriptor that QEMU inherits: a connected
        socket with a helper at its other end. For a descriptor of
        ``-add-fd``, which closes that number, use ``/dev/fdset/SET``
        instead. In the monitor (``fsdev-add``) the value may also be the
        name that ``getfd`` gave a descriptor. (``proxy`` only)

    ``helper=path``
        The program to start for ``path``. The default is the
        virtfs-proxy-helper that was installed with this QEMU.
        (``proxy`` only)

    ``donate=on|off``
        Whether the helper passes descriptors to QEMU that let QEMU look
        up names and read attributes of files without asking the helper.
        The default is ``on``, which is faster and gives QEMU nothing that
        it could not ask for. (``proxy`` only)

    ``ring=on|off|auto``
        Whether messages between QEMU and the helper go through shared
        memory instead of a socket. This takes less processor time when
        there are many messages. The memory is not the guest's. ``auto``,
        the default, uses it if the helper supports it; ``on`` is an error
        if the helper does not. (``proxy`` only)

    ``protocol=1|2``
        The version of the protocol to speak with the helper. By default
        QEMU asks a helper that was not installed with it which version it
        knows. (``proxy`` only)

    ``reconnect=seconds``
        When the helper goes away, start it again (``path``) or connect to
        it again (``socket``), and retry every *seconds* seconds until
        that succeeds. The default 0 means never. In between, files that
        the guest has open keep working: QEMU has descriptors of them, so
        written data is not lost, and fsync works as with a helper.
        QEMU finds other files again by their names when the guest next
        uses them, and checks that they are the same inodes as before. If
        a file is not found, for example because its name was removed
        while a program had it open, the guest gets ESTALE from operations
        that need the helper. (``proxy`` only, and not with ``sock_fd``)

    ``on-disconnect=eio|wait``
        With ``eio``, the default, requests that need a helper fail with an
        I/O error while there is none. With ``wait`` they wait until there
        is one again, and QEMU repeats the requests that were in flight.
        A repeated request to make a directory, for instance, may then
        find the directory there, and fail with EEXIST. ``wait`` needs
        ``reconnect``. (``proxy`` only)

    ``user=user``, ``group=group``
        The user and the group that the helper serves as, by name or
        number, which must not be root's. Only a helper that root starts
        can do so, so root must run QEMU. The default is a user of its
        own. An export on a network file system whose server decides by
        user ids needs a user whom that server knows. These options, and
        those that follow up to ``syslog``, are options of
        virtfs-proxy-helper with the same names
        (:doc:`/tools/virtfs-proxy-helper`). They are for a helper that
        QEMU starts, also for each one that it starts for ``reconnect``.
        (``proxy`` only, and only with ``path``)

    ``modcaps=changes``
        Serve with more or fewer capabilities than the usual ones: names
        with ``+`` or ``-`` before each, separated by colons. With
        ``+mknod`` the guest can make device files. With ``+setfcap`` the
        guest can give programs of the export capabilities
        (:manpage:`setcap(8)`), as package managers do. If an ordinary user
        runs QEMU, or with ``uid-map``, such a program has the capabilities
        in the guest, and on the host only in user namespaces of the
        helper's id 0. If root runs QEMU, the host's users who can
        run the program have them, too. (``proxy`` with ``path``)

    ``uid-map=map``, ``gid-map=map``
        Serve in a user namespace in which only certain ids exist. *map* is
        *INSIDE*:*OUTSIDE*:*COUNT*: the guest's *COUNT* ids from *INSIDE* on
        are the host's from *OUTSIDE* on. Separate several ranges with
        commas, which are written twice here:
        ``uid-map=0:1000:1,,1:100000:65536``. (``proxy`` with ``path``)

    ``squash=root|all``
        Make the guest's user and group 0, or all of its users and groups,
        one user and group of the host. (``proxy`` with ``path``; ``local``
        with ``passthrough`` and ``none``)

    ``anon-uid=uid``, ``anon-gid=gid``
        The ids of that user and that group on the host. The default is
        65534. (with ``squash``)

    ``translate-uid=ranges``, ``translate-gid=ranges``
        Give users and groups other ids on the host. *ranges* is
        *GUEST*:*HOST*:*COUNT*: the guest's *COUNT* ids from *GUEST* on are
        the host's from *HOST* on; with ``to-host:`` or ``to-guest:``
        before a range, in that direction only. Separate several with
        commas, which are written twice here. An id of the guest without a
        range is refused (EINVAL), and one of the host shows as 65534; in a
        direction without ranges, ids stay as they are. Not with
        ``uid-map`` and ``gid-map``. (``proxy`` with ``path``; ``local``
        with ``passthrough`` and ``none``)

    ``special-files=host|mapped``
        What the guest's character and block devices are on the host:
        device files, which take ``modcaps=+mknod`` and a QEMU that root
        runs, or empty regular files whose extended attributes have the
        device's mode and number. The default is ``mapped`` if an ordinary
        user runs QEMU, and with ``uid-map``, otherwise ``host``. (``proxy``
        with ``path``)

    ``xattr-map=rules``
        Map the names of extended attributes between guest and host, for
        instance to let the guest use ``trusted.*`` and ``security.*``
        without privilege on the host:
        ``:prefix:all:trusted.:user.virtiofs.::prefix:all:security.:user.virtiofs.:``.
        The manual of virtfs-proxy-helper describes the rules. (``local``,
        and ``proxy`` with ``path``)

    ``act-as=self|root|guest``
        As whom the helper works on files, for file servers (NFS, CephFS,
        GlusterFS), to which its capabilities mean nothing: as its own
        user, the default; as root, if the file server trusts the host's
        root; or as the guest's user who asks. (``proxy`` with ``path``)

    ``host-groups=on|off``
        With ``act-as=guest``: whether the guest's users have the groups
        that the host knows for users of their numbers. The default is
        ``off``. (``proxy`` with ``path``)

    ``sandbox=namespace|chroot|none``
        How the helper is confined. The default is ``namespace``; the
        others are for containers in which the helper cannot make
        namespaces. (``proxy`` with ``path``)

    ``seccomp=kill|trap|log|none``
        What happens on a system call that the helper does not need. The
        default is ``kill``; the others are for finding out what a filter
        lacks. (``proxy`` with ``path``)

    ``threads=n``
        How many requests the helper works on at a time, 1 to 64. The
        default is 4. (``proxy`` with ``path``)

    ``rlimit-nofile=n``
        How many files the helper may have open, 256 to 1048576. The default
        is as many as the system allows. (``proxy`` with ``path``)

    ``memory-limit=size``
        How much memory the helper may use, for instance ``512M`` or ``2G``.
        The default is what it can need. A limit that is too small is an
        error that names the least one. (``proxy`` with ``path``)

    ``log-level=error|warning|info|debug``
        What the helper logs. The default is ``warning``. (``proxy`` with
        ``path``)

    ``syslog=on|off``
        With ``on`` the helper logs to :manpage:`syslog(3)` once it is
        ready. The default is ``off``: it logs to QEMU's standard error,
        which is lost with ``-daemonize``. (``proxy`` with ``path``)

    ``writeout=immediate``
        Start writing the guest's data to the host's storage with each
        write, instead of when the host sees fit. QEMU answers the write
        without waiting until the data is on the medium. (``local`` and
        ``proxy``)

    ``readonly=on|off``
        With ``on`` the guest can change nothing. The default is ``off``.
        ``readonly`` alone is short for ``readonly=on``.

    ``multidevs=remap|forbid|warn``
        What to do if the directory covers several file systems of the
        host, because others are mounted in it, so that two of its files
        may have the same inode number:

        ``remap``
            Give the guest numbers that differ. This is the default.

        ``warn``
            The same, and warn once, at the first file of another file
            system.

        ``forbid``
            Refuse access (``EXDEV``) to all file systems except that of
            the directory itself. Names of refused files are still listed.

    ``max_xattr=max``
        How many extended attributes a guest may have open for reading or
        writing at once; ``0`` means any number. Each takes up to 64 KiB of
        QEMU's memory. The default is 1024.

    ``max-open-files=max``
        How many files and directories the guest may have open at once, at
        least 1. Beyond that, opening one fails with ENFILE. The default is
        as many as QEMU can have descriptors for: three quarters of the hard
        limit of open files.

    ``max-fids=max``
        How many files the guest may know at once: from 1 to 4194304, the
        default. Beyond that, finding one fails with ENFILE. A Linux guest
        knows the files in its cache of names, and the open ones. The figures
        of memory are in :ref:`virtfs-security`.

    ``migration=off|names|handles|auto``
        Whether a guest that has mounted the export can be migrated and
        saved, and how the destination finds the guest's files again. The
        section *Migration and snapshots* of :ref:`virtfs` says more.

        ``auto``
            Like ``handles`` if that is possible, otherwise like
            ``names``. This is the default.

        ``handles``
            By file handles of the host (:manpage:`name_to_handle_at(2)`),
            and by name where a file has none. This also finds files that
            were renamed on the host, and files that are open but have no
            name any more. It is an error if QEMU may not open file
            handles (it must be root), or with ``proxy`` the helper (root
            starts it with ``--file-handles=on``), or if the directory's
            file system has none. (``local`` and ``proxy``)

        ``names``
            By their names in the directory.

        ``off``
            Not at all: migrating and saving the guest is an error while
            it has the export mounted.

    ``on-missing=fail|stale``
        What to do if one of the guest's files is not found. With
        ``fail`` the migration fails, with an error that names the
        file; but it goes on without a file that the guest has removed and
        no program has open. With ``stale`` the guest runs on, and gets
        ESTALE if it uses the file. The default is ``fail`` when a migration comes in, and
        ``stale`` for ``loadvm``. Not with ``migration=off``.

    ``throttling.bps-total=b``, ``throttling.bps-read=r``, ``throttling.bps-write=w``
        How many bytes of file data the guest may read and write together,
        read, or write per second; ``0``, the default, means any number.
        The first cannot be combined with the others.

    ``throttling.iops-total=i``, ``throttling.iops-read=r``, ``throttling.iops-write=w``
        The same for requests to read and write, in requests per second.

    ``throttling.bps-total-max=bm``, ``throttling.bps-read-max=rm``, ``throttling.bps-write-max=wm``, ``throttling.iops-total-max=im``, ``throttling.iops-read-max=irm``, ``throttling.iops-write-max=iwm``
        With one of the limits above: how many bytes or requests per
        second are allowed in bursts.

    ``throttling.bps-total-max-length=s``, ``throttling.bps-read-max-length=s``, ``throttling.bps-write-max-length=s``, ``throttling.iops-total-max-length=s``, ``throttling.iops-read-max-length=s``, ``throttling.iops-write-max-length=s``
        With one of these: how many seconds a burst may last. The default
        is 1.

    ``throttling.iops-size=is``
        With a limit of requests: count a request of more than this many
        bytes as several.

    For instance, for an ordinary user:

    .. parsed-literal::

        |qemu_system| -fsdev local,id=f,path=dir,security_model=mapped-xattr \
            -device virtio-9p-pci,fsdev=f,mount_tag=share ...
ERST

DEF("virtfs", HAS_ARG, QEMU_OPTION_virtfs,
    "-virtfs local,mount_tag=tag,path=path,security_model=mapped-xattr|mapped-file|\n"
    "        passthrough|none[,id=id][,fmode=fmode][,dmode=dmode]\n"
    "        [,writeout=immediate][,squash=root|all][,anon-uid=uid][,anon-gid=gid]\n"
    "        [,translate-uid=ranges][,translate-gid=ranges]\n"
    "        [,xattr-map=rules][,readonly=on|off]\n"
    "        [,multidevs=remap|forbid|warn]\n"
    "        [,max_xattr=max][,max-open-files=max][,max-fids=max]\n"
    "        [,migration=off|names|handles|auto][,on-missing=fail|stale]\n"
    "        [,throttling.LIMIT=value]...\n"
    "-virtfs proxy,mount_tag=tag,path=path|socket=socket|sock_fd=sock_fd[,id=id]\n"
    "        [,helper=path][,writeout=immediate][,readonly=on|off][,donate=on|off]\n"
    "        [,ring=on|off|auto][,protocol=1|2][,reconnect=seconds][,on-disconnect=eio|wait]\n"
    "        [,user=user][,group=group][,modcaps=changes][,uid-map=map][,gid-map=map]\n"
    "        [,squash=root|all][,anon-uid=uid][,anon-gid=gid]\n"
    "        [,translate-uid=ranges][,translate-gid=ranges]\n"
    "        [,special-files=host|mapped][,xattr-map=rules]\n"
    "        [,act-as=self|root|guest][,host-groups=on|off]\n"
    "        [,sandbox=namespace|chroot|none][,seccomp=kill|trap|log|none]\n"
    "        [,threads=n][,rlimit-nofile=n][,memory-limit=size]\n"
    "        [,log-level=error|warning|info|debug][,syslog=on|off]\n"
    "        [,multidevs=remap|forbid|warn]\n"
    "        [,max_xattr=max][,max-open-files=max][,max-fids=max]\n"
    "        [,migration=off|names|handles|auto][,on-missing=fail|stale]\n"
    "        [,throttling.LIMIT=value]...\n"
    "-virtfs synth,mount_tag=tag[,id=id][,readonly=on|off]\n"
    "        [,max_xattr=max][,max-open-files=max][,max-fids=max]\n"
    "        [,migration=off|names|handles|auto][,on-missing=fail|stale]\n"
    "        [,throttling.LIMIT=value]...\n"
    "                -fsdev and a virtio-9p device for it at once\n",
    QEMU_ARCH_ALL)

SRST
``-virtfs local,mount_tag=tag,path=path,security_model=security_model[,id=id][,fmode=fmode][,dmode=dmode][,writeout=immediate][,squash=root|all][,anon-uid=uid][,anon-gid=gid][,translate-uid=ranges][,translate-gid=ranges][,xattr-map=rules][,readonly=on|off][,multidevs=remap|forbid|warn][,max_xattr=max][,max-open-files=max][,max-fids=max][,migration=off|names|handles|auto][,on-missing=fail|stale][,throttling.LIMIT=value]``
  \
``-virtfs proxy,mount_tag=tag,path=path|socket=socket|sock_fd=sock_fd[,id=id][,helper=path][,writeout=immediate][,readonly=on|off][,donate=on|off][,ring=on|off|auto][,protocol=1|2][,reconnect=seconds][,on-disconnect=eio|wait][,user=user][,group=group][,modcaps=changes][,uid-map=map][,gid-map=map][,squash=root|all][,anon-uid=uid][,anon-gid=gid][,translate-uid=ranges][,translate-gid=ranges][,special-files=host|mapped][,xattr-map=rules][,act-as=self|root|guest][,host-groups=on|off][,sandbox=namespace|chroot|none][,seccomp=kill|trap|log|none][,threads=n][,rlimit-nofile=n][,memory-limit=size][,log-level=error|warning|info|debug][,syslog=on|off][,multidevs=remap|forbid|warn][,max_xattr=max][,max-open-files=max][,max-fids=max][,migration=off|names|handles|auto][,on-missing=fail|stale][,throttling.LIMIT=value]``
  \
``-virtfs synth,mount_tag=tag[,id=id][,readonly=on|off][,max_xattr=max][,max-open-files=max][,max-fids=max][,migration=off|names|handles|auto][,on-missing=fail|stale][,throttling.LIMIT=value]``
    Define an export and a virtio-9p-pci device for it (on s390x, a
    virtio-9p-ccw device) in one option. All
    options of ``-fsdev`` have the same meaning here, and there is one
    more:

    ``mount_tag=tag``
        The name by which the guest mounts the export. Without ``id`` it
        is also the export's id.
ERST

