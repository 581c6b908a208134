# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest while it runs: passes on its output and notices how it ends.

guest-init writes to two ports; a mark precedes its own messages (see there).
The console goes to the user's terminal, or else into a buffer whose last lines
become part of the error message if the guest fails.
"""

import array
import fcntl
import os
import re
import selectors
import signal
import sys
import termios
import time
import tty

from fail import Fail

# Seconds. An emulated guest on a busy machine starts slowly, and a guest that
# wrote much data unmounts slowly.
COME_UP = {'kvm': 120, 'tcg': 300}
GO_DOWN = 120

CONSOLE_KEPT = 64 * 1024
CONSOLE_SHOWN = 20              # lines

ESCAPE = 0x01                   # Ctrl-A, followed by x, as in QEMU


class Ended(Exception):
    """A signal told ./boot to end."""

    def __init__(self, number):
        super().__init__()
        self.number = number


def write_all(fd, data):
    """Writes all data, even to a non-blocking descriptor."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view):]
        except BlockingIOError:
            with selectors.DefaultSelector() as wait:
                wait.register(fd, selectors.EVENT_WRITE)
                wait.select()


class Port:
    """Splits a port's stream into the command's output and guest-init's
    messages, each of which is a line that begins with the mark."""

    def __init__(self, mark):
        self._mark = mark
        self._held = b''

    def feed(self, data):
        """Takes data; returns (output to pass on, messages)."""
        self._held += data
        passed, words = [], []
        while True:
            at = self._held.find(self._mark)
            if at < 0:
                break
            end = self._held.find(b'\n', at)
            if end < 0:
                passed.append(self._held[:at])
                self._held = self._held[at:]
                return b''.join(passed), words
            passed.append(self._held[:at])
            words.append(self._held[at + len(self._mark):end].decode(
                errors='replace'))
            self._held = self._held[end + 1:]
        # Hold back an end that may be the beginning of a mark
        keep = min(len(self._held), len(self._mark) - 1)
        while keep and not self._mark.startswith(self._held[-keep:]):
            keep -= 1
        cut = len(self._held) - keep
        passed.append(self._held[:cut])
        self._held = self._held[cut:]
        return b''.join(passed), words


class Terminal:
    """The user's terminal, in raw mode while it is in use."""

    def __init__(self):
        self._saved = None

    def __enter__(self):
        self._saved = termios.tcgetattr(0)
        tty.setraw(0)
        return self

    def __exit__(self, *_):
        termios.tcsetattr(0, termios.TCSADRAIN, self._saved)

    @staticmethod
    def size():
        """(rows, columns)"""
        size = array.array('H', [0, 0, 0, 0])
        try:
            fcntl.ioctl(0, termios.TIOCGWINSZ, size)
        except OSError:
            pass
        return size[0] or 24, size[1] or 80


class Session:
    """Runs a machine until its guest ends."""

    def __init__(self, machine, mark, interactive):
        self.machine = machine
        self.interactive = interactive
        self.status = None              # of the command
        self._out, self._err = Port(mark), Port(mark)
        self._ready = self._done = self._err_done = False
        self._failed = None             # guest-init's reason
        self._console = b''
        self._log = b''
        self._escape = False
        self._helper_gone = False
        self._select = selectors.DefaultSelector()

    def run(self):
        """Runs the guest; returns the command's status, or raises Fail."""
        machine = self.machine
        pidfds = []
        watch = [(machine.out, self._on_out), (machine.err, self._on_err),
                 (machine.console, self._on_console),
                 (machine.log, self._on_log)]
        if self.interactive:
            watch.append((sys.stdin.fileno(), self._on_key))
        for child, handler in ((machine.qemu, self._on_qemu_end),
                               (machine.helper, self._on_helper_end)):
            if child:
                pidfds.append(os.pidfd_open(child.pid))
                watch.append((pidfds[-1], handler))
        for what, handler in watch:
            self._select.register(what, selectors.EVENT_READ, handler)
        try:
            return self._loop()
        finally:
            for fd in pidfds:
                os.close(fd)
            self._select.close()

    def _loop(self):
        limit = time.monotonic() + COME_UP[self.machine.accel]
        going_down = False
        while not (self._done and self._err_done):
            if self._failed:
                raise self._failure(f'the guest: {self._failed}')
            if self._ready and not going_down:
                limit = None
            if self.status is not None and not going_down:
                going_down = True
                limit = time.monotonic() + GO_DOWN
            left = None if limit is None else limit - time.monotonic()
            if left is not None and left <= 0:
                raise self._failure(
                    'the guest ran its command but does not unmount the share'
                    if going_down else 'the guest did not start within '
                    f'{COME_UP[self.machine.accel]} seconds')
            for key, _ in self._select.select(left):
                ended = key.data()
                if ended is not None:
                    return ended
        return self.status

    def log(self):
        """All output of QEMU and the helper; call it after both ended."""
        os.set_blocking(self.machine.log.fileno(), False)
        try:
            while data := os.read(self.machine.log.fileno(), 65536):
                self._log = (self._log + data)[-CONSOLE_KEPT:]
        except BlockingIOError:
            pass                        # a process still has the other end
        return self._log.decode(errors='replace')

    # Streams

    def _read(self, source):
        try:
            data = source.recv(65536)
        except ConnectionResetError:
            data = b''
        if not data:
            self._select.unregister(source)
        return data

    def _on_out(self):
        data, words = self._out.feed(self._read(self.machine.out))
        write_all(1, data)
        for word in words:
            what, _, rest = word.partition(' ')
            if what == 'ready':
                self._ready = True
            elif what == 'failed':
                self._failed = rest
            elif what == 'exit' and rest.isdecimal():
                self.status = int(rest)
            elif what == 'done':
                self._done = True

    def _on_err(self):
        data, words = self._err.feed(self._read(self.machine.err))
        write_all(2, data)
        if 'end' in words:
            self._err_done = True

    def _on_console(self):
        data = self._read(self.machine.console)
        if self.interactive:
            write_all(1, data)
        self._console = (self._console + data)[-CONSOLE_KEPT:]

    def _on_log(self):
        data = os.read(self.machine.log.fileno(), 65536)
        if not data:
            self._select.unregister(self.machine.log)
        if self.interactive:
            write_all(2, data.replace(b'\n', b'\r\n'))
        self._log = (self._log + data)[-CONSOLE_KEPT:]

    def _on_key(self):
        data = os.read(0, 4096)
        if not data:
            raise Ended(signal.SIGHUP)
        keys = bytearray()
        for key in data:
            if self._escape:
                self._escape = False
                if key in b'xX':
                    write_all(2, b'\r\n./boot: ended by Ctrl-A x\r\n')
                    return 0
                if key != ESCAPE:
                    keys.append(ESCAPE)
            elif key == ESCAPE:
                self._escape = True
                continue
            keys.append(key)
        if keys:
            self.machine.console.sendall(keys)
        return None

    # Ends

    def _on_helper_end(self):
        """Reports the helper's end; the guest continues without its share."""
        status = self.machine.helper.wait()
        self._helper_gone = True
        self._unregister(self._on_helper_end)
        if status and self._ready:
            write_all(2, f'./boot: virtfs-proxy-helper {_how(status)}; lost '
                      'the share\n'.encode())

    def _unregister(self, handler):
        for key in list(self._select.get_map().values()):
            if key.data == handler:
                self._select.unregister(key.fileobj)

    def _on_qemu_end(self):
        """Reads the rest of QEMU's output and finds the reason of its end."""
        self._unregister(self._on_qemu_end)
        status = self.machine.qemu.wait()
        sources = {self.machine.out: self._on_out,
                   self.machine.err: self._on_err,
                   self.machine.console: self._on_console,
                   self.machine.log: self._on_log}
        limit = time.monotonic() + 5
        for source, handler in sources.items():
            while source in self._select.get_map() and \
                    time.monotonic() < limit:
                with selectors.DefaultSelector() as one:
                    one.register(source, selectors.EVENT_READ)
                    if not one.select(1):
                        break
                handler()
        if self._failed:
            return None                 # the loop raises the error
        if self._done and self._err_done:
            return self.status
        panic = re.search(r'Kernel panic - not syncing: (.*)',
                          self._console.decode(errors='replace'))
        if panic:
            raise self._failure("the guest's kernel panicked: "
                                + panic[1].strip())
        if status:
            raise self._failure(f'QEMU {_how(status)}')
        if self.interactive and self._ready:
            return 0                    # poweroff in the guest
        raise self._failure('the guest went down before '
                            + ('its command was over' if self._ready
                               else 'it came up'))

    def _failure(self, text):
        """An error with the last output of QEMU and the console."""
        said = self._log.decode(errors='replace').strip()
        if said and not self.interactive:
            text += '\n' + said
        lines = self._console.decode(errors='replace').splitlines()
        lines = [line.rstrip() for line in lines if line.strip()]
        if lines and not self.interactive:
            text += "\nLast lines of the guest's console:\n" + '\n'.join(
                '    ' + line for line in lines[-CONSOLE_SHOWN:])
        return Fail(text)


def _how(status):
    """How a child ended, as part of a message."""
    if status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f'signal {-status}'
        return f'was killed by {name}'
    return f'ended with status {status}'
