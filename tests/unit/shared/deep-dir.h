/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Directories for tests that no path could name: DEEP_LEVELS of DEEP_NAME, each
 * in the one before.
 */
#ifndef TESTS_UNIT_DEEP_DIR_H
#define TESTS_UNIT_DEEP_DIR_H

#define DEEP_NAME       "d"
#define DEEP_LEVELS     20000

/* How much longer than at level 10 one walk may take at DEEP_LEVELS, and us */
#define DEEP_RATIO      30
#define DEEP_SLACK      20000

/* Makes them in @dir. */
void deep_make(int dir);

/* A handle of the one at @level, 1 being the first */
int deep_open(int dir, unsigned level);

/* Removes them. */
void deep_remove(int dir);

/* Fails the test if the least of @n times at the bottom is too long. */
void deep_compare(const char *what, const gint64 *near, const gint64 *deep,
                  unsigned n);

#endif
