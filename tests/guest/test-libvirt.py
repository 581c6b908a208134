#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirt's session instance runs the domains of the manual."""

import sys

import domains
import harness
from harness import Owner

COMMAND = '''cat from-host
             echo from-guest >f && chown 12:34 f && stat -c %u:%g:%a f'''


class Libvirt(domains.Session):
    """A domain for each test"""

    command = COMMAND
    __test_me__ = True

    def run_domain(self, name):
        """Starts a domain, and ends it when the guest is done: its output"""
        domain = self.domain(name)
        self.virsh('create', self.vm / 'domain.xml')
        try:
            said = self.guest.wait()
        finally:
            self.virsh('destroy', domain)
        self.assertEqual(self.virsh('list', '--name').strip(), '')
        return said

    def check(self, said, who):
        """The guest must see the host's file, and the host the guest's."""
        self.assertEqual(said, ['the host was here', '12:34:644', 'exit 0'])
        path = self.vm / 'share/f'
        self.assertEqual(path.read_text(encoding='ascii'), 'from-guest\n')
        self.assertEqual((path.stat().st_uid, path.stat().st_gid),
                         (who.host_uid(12), who.host_gid(34)))

    def test_local(self):
        """The element <filesystem>"""
        self.check(self.run_domain('libvirt-local'), Owner())

    def test_socket(self):
        """A helper that runs before the domain"""
        self.start_helper()
        self.check(self.run_domain('libvirt-socket'), self.who)
        self.helper_ends()

    def test_launcher(self):
        """A helper that the launcher starts, and which ends with QEMU"""
        self.check(self.run_domain('libvirt-launcher'), self.who)
        self.helper_ends()


if __name__ == '__main__':
    sys.exit(harness.main())
