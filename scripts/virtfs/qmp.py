# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's monitor for programs, as QAPI's commands and events."""

import json
import socket

from fail import Fail


class Qmp:
    """A monitor; events are kept until they are asked for.

    end: a connected socket, or the path of QEMU's. limit: seconds for an
    answer.
    """

    def __init__(self, end, limit):
        self.socket = end
        if not isinstance(end, socket.socket):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(str(end))
        self.socket.settimeout(limit)
        self.file = self.socket.makefile('rw', encoding='utf-8')
        self.events = []
        self.file.readline()            # its greeting
        self('qmp_capabilities')

    def close(self):
        """Leaves QEMU."""
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
        """What a command returns; its error is a Fail."""
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
                raise Fail('QEMU answered without a question')
