/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fragment: taking a request from a queue without zeroing 24 KiB.
 *
 * The base is compiled with -ftrivial-auto-var-init=zero. The arrays of
 * addresses and buffers in virtqueue_pop() have room for the longest chain of
 * descriptors. The function reads only the elements that it wrote for the
 * current chain, which are a few for a 9P message. Zeroing all elements takes
 * longer than the rest of a short message, because it also evicts other data
 * from the processor's first cache.
 */

/* graft: not-zeroed */
#if __has_attribute(uninitialized)
#define VIRTQUEUE_NOT_ZEROED __attribute__((uninitialized))
#else
#define VIRTQUEUE_NOT_ZEROED
#endif

/* graft: split-pop */
    /* Only the elements that the current chain wrote are read. */
    VIRTQUEUE_NOT_ZEROED hwaddr addr[VIRTQUEUE_MAX_SIZE];
    VIRTQUEUE_NOT_ZEROED struct iovec iov[VIRTQUEUE_MAX_SIZE];

/* graft: packed-pop */
    /* As in virtqueue_split_pop() */
    VIRTQUEUE_NOT_ZEROED hwaddr addr[VIRTQUEUE_MAX_SIZE];
    VIRTQUEUE_NOT_ZEROED struct iovec iov[VIRTQUEUE_MAX_SIZE];
