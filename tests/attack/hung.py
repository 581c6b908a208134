# SPDX-License-Identifier: GPL-2.0-or-later
"""A file server that stops answering: FUSE, in a process of its own.

It has the files `file` and `other`, the directory `dir`, and `link`, all
root's. The kernel keeps none of their attributes, so nearly every call asks the
server.
"""

import ctypes
import errno
import mmap
import os
import signal
import stat
import struct
import time

(_LOOKUP, _FORGET, _GETATTR, _SETATTR, _READLINK, _OPEN, _READ, _WRITE, _STATFS,
 _GETXATTR, _LISTXATTR, _INIT, _OPENDIR, _READDIR, _INTERRUPT,
 _BATCH_FORGET) = (1, 2, 3, 4, 5, 14, 15, 16, 17, 22, 23, 26, 27, 28, 36, 42)
_SILENT = (_FORGET, _BATCH_FORGET, _INTERRUPT)
# release, fsync, setxattr, flush, releasedir, fsyncdir, access
_EMPTY = (18, 20, 21, 25, 29, 30, 34)
_HEAD = struct.Struct('=IIQQIIII')
_NODES = {1: ('', stat.S_IFDIR | 0o777), 2: ('file', stat.S_IFREG | 0o666),
          3: ('other', stat.S_IFREG | 0o666), 4: ('dir', stat.S_IFDIR | 0o777),
          5: ('link', stat.S_IFLNK | 0o777)}
_TEXT = b'text'

_libc = ctypes.CDLL(None, use_errno=True)


def _attr(node):
    mode = _NODES[node][1]
    return struct.pack('=6Q10I', node, len(_TEXT), 0, 0, 0, 0, 0, 0, 0, mode,
                       1 + stat.S_ISDIR(mode), 0, 0, 0, 4096, 0)


def _lookup(node, body):
    name = body.rstrip(b'\0').decode()
    for number, (known, _) in _NODES.items():
        if node == 1 and known == name:
            return struct.pack('=4QII', number, 0, 0, 0, 0, 0) + _attr(number)
    raise OSError(errno.ENOENT, name)


def _readdir(_node, body):
    offset = struct.unpack_from('=QQ', body)[1]
    name = b'file'
    return b'' if offset else struct.pack('=QQII', 2, 1, len(name), 8) + \
        name.ljust(8, b'\0')


_ANSWERS = {
    _LOOKUP: _lookup,
    _GETATTR: lambda node, _: struct.pack('=QII', 0, 0, 0) + _attr(node),
    _SETATTR: lambda node, _: struct.pack('=QII', 0, 0, 0) + _attr(node),
    _READLINK: lambda *_: b'file',
    _OPEN: lambda *_: struct.pack('=QII', 1, 0, 0),
    _OPENDIR: lambda *_: struct.pack('=QII', 1, 0, 0),
    _READ: lambda *_: _TEXT,
    _WRITE: lambda _, body: struct.pack('=II', *struct.unpack_from(
        '=16xI', body), 0),
    _STATFS: lambda *_: struct.pack('=5Q10I', *[0] * 5, 4096, 255, 4096,
                                    *[0] * 7),
    _LISTXATTR: lambda _, body: b'' if struct.unpack_from('=I', body)[0]
    else struct.pack('=II', 0, 0),
    _INIT: lambda *_: struct.pack('=IIIIHHII9I', 7, 31, 65536, 0, 0, 0, 4096,
                                  1, *[0] * 9),
    _READDIR: _readdir,
}


class Server:
    """The file system, on a directory of the host; for root."""

    def __init__(self, path):
        self.path = str(path)
        self.shared = mmap.mmap(-1, 4)      # mounted, hangs, waiting
        fuse = os.open('/dev/fuse', os.O_RDWR)
        parent = os.getpid()
        self.pid = os.fork()
        if not self.pid:
            # Only /dev/fuse: others see when the test closes the rest
            os.dup2(fuse, 3)
            os.closerange(4, 4096)
            os.set_blocking(3, False)
            try:
                self._serve(3, parent)
            finally:
                os._exit(1)
        options = (f'fd={fuse},rootmode=40000,user_id=0,group_id=0,'
                   'allow_other').encode()
        try:
            if _libc.mount(b'hung', os.fsencode(self.path), b'fuse', 6,
                           options):
                raise OSError(ctypes.get_errno(), 'mount')
        except OSError:
            self._kill()
            raise
        finally:
            os.close(fuse)
        os.stat(self.path)

    def _serve(self, fuse, parent):
        kept = []
        while os.getppid() == parent:
            if not self.shared[1]:
                for request in kept:
                    self._answer(fuse, request)
                kept = []
            self.shared[2] = min(len(kept), 255)
            try:
                request = os.read(fuse, 1 << 17)
            except BlockingIOError:
                time.sleep(0.001)
                continue
            except OSError as e:
                if e.errno in (errno.ENOENT, errno.EINTR):
                    continue
                if e.errno == errno.EPERM:      # not mounted yet
                    time.sleep(0.001)
                    continue
                return
            if _HEAD.unpack_from(request)[1] in _SILENT:
                continue
            if self.shared[1]:
                kept.append(request)
            else:
                self._answer(fuse, request)

    @staticmethod
    def _answer(fuse, request):
        _, opcode, unique, node, *_ = _HEAD.unpack_from(request)
        body = request[_HEAD.size:]
        number, said = 0, b''
        try:
            if opcode == _GETXATTR:
                number = errno.ENODATA
            elif opcode in _ANSWERS:
                said = _ANSWERS[opcode](node, body)
            elif opcode not in _EMPTY:
                number = errno.ENOSYS
        except OSError as e:
            number = e.errno
        try:
            os.write(fuse, struct.pack('=IiQ', 16 + len(said), -number,
                                       unique) + said)
        except OSError:
            pass                        # the caller has gone

    def hang(self):
        """Answers nothing from now on."""
        self.shared[1] = 1

    def answer(self):
        """Answers what waits, and all that comes."""
        self.shared[1] = 0

    def waiting(self):
        """How many requests wait."""
        return self.shared[2]

    def _kill(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def close(self):
        """Ends it; what waits fails."""
        self._kill()
        _libc.umount2(os.fsencode(self.path), 2)
        self.shared.close()
