/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fragment: one access writes all descriptors of a new queue. Two accesses for
 * each of 1024 descriptors took most of the time of a short test.
 */

/* graft: descriptors */
    g_autofree struct vring_desc *desc = g_new0(struct vring_desc, vq->size);
    bool big_endian = qtest_big_endian(qts) &&
                      !(vq->vdev->features & (1ull << VIRTIO_F_VERSION_1));

/* graft: chain */
    for (i = 0; i < vq->size - 1; i++) {
        desc[i].next = big_endian ? cpu_to_be16(i + 1) : cpu_to_le16(i + 1);
    }
    qtest_bufwrite(qts, vq->desc, desc, sizeof(*desc) * vq->size);

