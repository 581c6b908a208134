# SPDX-License-Identifier: GPL-2.0-or-later
"""An attacker that runs code in another process: as its debugger, for root.

Code is played by system calls that the process makes against its will. The
kernel applies the process's filter and its other limits to them.
"""

import ctypes
import os
import platform
import signal
import struct

(_GETREGS, _SETREGS, _DETACH, _SYSCALL, _SEIZE, _INTERRUPT) = (
    12, 13, 17, 24, 0x4206, 0x4207)
_TRACESYSGOOD = 1
_STOP_SYSCALL = signal.SIGTRAP | 0x80
_WALL = 0x40000000
_REGS = struct.Struct('=27Q')
# Places in struct user_regs_struct
_R10, _R8, _RAX, _RDX, _RSI, _RDI, _ORIG_RAX, _RIP, _RSP = (
    7, 9, 10, 12, 13, 14, 15, 16, 19)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long] * 2 + [ctypes.c_void_p] * 2
_libc.ptrace.restype = ctypes.c_long


def unable():
    """Why this is not possible here, or None."""
    if platform.machine() != 'x86_64':
        return 'knows the registers of x86-64 only'
    return 'needs root, to trace the helper' if os.geteuid() else None


def landlock():
    """The version of the kernel's Landlock; less than 1: none."""
    return _libc.syscall(444, None, 0, 1)


class Gone(Exception):
    """The process has ended."""


class Traced:
    """A process that is about to make a system call, until the end of a
    block. It goes on as if nothing had happened."""

    def __init__(self, pid):
        self.pid = pid

    def __enter__(self):
        self._ptrace(_SEIZE, 0, _TRACESYSGOOD)
        self._ptrace(_INTERRUPT)
        self._wait()
        # A call that it sleeps in begins again
        while self._step() != _STOP_SYSCALL:
            pass
        self.regs = self._get()
        return self

    def __exit__(self, *_):
        try:
            self._ptrace(_DETACH)
        except OSError:
            pass                        # it has ended

    def _ptrace(self, request, address=0, data=0):
        if _libc.ptrace(request, self.pid, address, data) < 0:
            raise OSError(ctypes.get_errno(), f'ptrace {request:#x}')

    def _wait(self):
        _, status = os.waitpid(self.pid, _WALL)
        if not os.WIFSTOPPED(status):
            raise Gone(status)
        return os.WSTOPSIG(status)

    def _step(self):
        """Goes on to the next beginning or end of a call."""
        self._ptrace(_SYSCALL)
        return self._wait()

    def _get(self):
        buffer = ctypes.create_string_buffer(_REGS.size)
        self._ptrace(_GETREGS, 0, ctypes.addressof(buffer))
        return list(_REGS.unpack(buffer.raw))

    def _set(self, regs):
        buffer = ctypes.create_string_buffer(_REGS.pack(*regs), _REGS.size)
        self._ptrace(_SETREGS, 0, ctypes.addressof(buffer))

    def _rewind(self):
        """Back to the instruction that makes the first call."""
        regs = list(self.regs)
        regs[_RIP] -= 2
        regs[_RAX] = regs[_ORIG_RAX]
        regs[_ORIG_RAX] = (1 << 64) - 1
        self._set(regs)

    def call(self, number, *arguments):
        """The result of a system call; its arguments are numbers and bytes, of
        which it gets the address. Gone if the call ends the process."""
        at = (self.regs[_RSP] - 65536) & ~4095      # below all that is in use
        regs = list(self.regs)
        regs[_ORIG_RAX] = number
        with open(f'/proc/{self.pid}/mem', 'r+b', buffering=0) as memory:
            for place, value in zip((_RDI, _RSI, _RDX, _R10, _R8), arguments):
                if isinstance(value, bytes):
                    memory.seek(at)
                    memory.write(value + b'\0')
                    value, at = at, at + 2048
                regs[place] = value % (1 << 64)
        self._set(regs)
        if self._step() != _STOP_SYSCALL:
            raise Gone('a signal came')
        result = self._get()[_RAX]
        self._rewind()
        while self._step() != _STOP_SYSCALL:
            pass
        return result - (1 << 64) if result >> 63 else result
