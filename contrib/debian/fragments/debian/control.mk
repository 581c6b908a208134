# SPDX-License-Identifier: GPL-2.0-or-later
#
# Pieces of debian/control.mk, for --x86-only

# graft: packages
system-packages := x86

# graft: emulators
system-archlist-x86 := x86_64
