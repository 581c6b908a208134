/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fragment: room for this tree's tests. While qos-test looks for paths through
 * its graph, it keeps the names of everything that a node leads to, and
 * "virtio-9p" leads to each of these tests.
 */

/* graft: path-max */
#define QOS_PATH_MAX_ELEMENT_SIZE 4096

