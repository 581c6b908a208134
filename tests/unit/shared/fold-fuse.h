/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A FUSE file system in memory for tests, which ignores case as directories
 * with FS_CASEFOLD_FL, vfat and others do: a name has many spellings. Beside
 * ASCII letters, U+017F (long s) stands for s, and U+00AD (soft hyphen) for
 * nothing. A directory lists the spelling that a name was made with.
 *
 * It has regular files and directories, with modes and owners; there are no
 * checks of access. The server is a process of its own. It goes, and the file
 * system with it, when the test's process ends.
 */
#ifndef TESTS_UNIT_FOLD_FUSE_H
#define TESTS_UNIT_FOLD_FUSE_H

/*
 * Mounts the file system on the directory @path: false with errno if this
 * process may not do that.
 */
bool fold_fuse_start(const char *path);

#endif
