# SPDX-License-Identifier: GPL-2.0-or-later
"""A client for QMP, QEMU's monitor for programs."""

import contextlib
import json
import socket

from fail import Fail


class Qmp:
    """A connection to a monitor; it keeps events until wait() takes them.

    end: a connected socket, or the path of QEMU's socket. limit: seconds to
    wait for an answer.
    """

    def __init__(self, end, limit):
        self.socket = end
        if not isinstance(end, socket.socket):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(str(end))
        self.socket.settimeout(limit)
        self.file = self.socket.makefile('rw', encoding='utf-8')
        self.events = []
        self.file.readline()            # the greeting
        self('qmp_capabilities')

    def close(self):
        """Closes the connection, on which QEMU may have left a command."""
        with contextlib.suppress(OSError):
            self.file.close()
        self.socket.close()

    def _message(self):
        line = self.file.readline()
        if not line:
            raise Fail('QEMU closed its monitor')
        message = json.loads(line)
        if 'event' in message:
            self.events.append(message)
            return None
        return message

    def __call__(self, command, **arguments):
        """Runs a command; returns its result, or raises Fail."""
        self.file.write(json.dumps({'execute': command,
                                    'arguments': arguments}) + '\n')
        self.file.flush()
        while (answer := self._message()) is None:
            pass
        if 'error' in answer:
            raise Fail(f"{command}: {answer['error']['desc']}")
        return answer['return']

    def wait(self, name, **data):
        """Waits for an event with that data."""
        while True:
            for event in self.events:
                if event['event'] == name and \
                        data.items() <= event['data'].items():
                    self.events.remove(event)
                    return
            if self._message():
                raise Fail('QEMU sent an answer without a command')
