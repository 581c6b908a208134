/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The mapped security models: what may be wrong with the views of a share, for
 * programs that look after it (fsdev/mapped). QEMU itself reads a damaged view
 * as far as it can, and says nothing.
 *
 * LocalModel.check looks at one inode, LocalModel.check_dir at what the model
 * keeps in a directory for all of its names. With LocalCheck.repair they mend
 * what they can. A repair never changes what the guest sees, unless its text
 * says so: a value that cannot be read becomes the one that counts without it.
 * Both may block. No other thread or process may use the share meanwhile.
 */
#ifndef HW_9PFS_LOCAL_MAPPED_CHECK_H
#define HW_9PFS_LOCAL_MAPPED_CHECK_H

#include "mapped.h"

typedef struct LocalFault {
    const char *name;           /* of check_dir: a name there, or NULL */
    const char *what;
    const char *cure;           /* what a repair does; NULL: none is possible */
    int ret;                    /* of the repair, if there was one */
} LocalFault;

struct LocalCheck {
    bool repair;
    void (*fault)(LocalCheck *c, const LocalFault *fault);
    /*
     * Metadata of inodes with several names, by inode (mapped-file); the caller
     * makes it with local_check_links().
     */
    GHashTable *links;
};

GHashTable *local_check_links(void);

/* An inode as the key of a table, or the first member of one */
typedef struct LocalInodeKey {
    uint64_t dev;
    uint64_t ino;
} LocalInodeKey;

guint local_inode_hash(gconstpointer key);
gboolean local_inode_equal(gconstpointer a, gconstpointer b);

/* Reports a fault. @ret counts if there was a repair. */
void local_check_fault(LocalCheck *c, const char *name, const char *what,
                       const char *cure, int ret);

/*
 * What is wrong with a view itself: values that do not belong together, or to
 * the host's file. @host has the host's attributes.
 */
void local_check_view(const LocalHost *lh, const LocalInode *inode,
                      const FsAttr *host, const FsView *view,
                      LocalCheck *c);

/*
 * Whether @meta is the metadata of all names of @host that were looked at so
 * far. It is, as well, where the inode has only one name.
 */
bool local_check_same_link(LocalCheck *c, const FsAttr *host,
                           const FsAttr *meta);

#endif /* HW_9PFS_LOCAL_MAPPED_CHECK_H */
