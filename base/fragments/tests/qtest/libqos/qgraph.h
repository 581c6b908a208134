/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fragment: room for this tree's tests. While qos-test looks for paths through
 * its graph, it stores all successors of a node; each of these tests is a
 * successor of "virtio-9p".
 */

/* graft: path-max */
#define QOS_PATH_MAX_ELEMENT_SIZE 4096

