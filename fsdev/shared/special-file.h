/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Devices of the guest that are no devices of the host, for a process that may
 * not make these (HostFs.maps_devices). On the host such a character or block
 * device is an empty regular file, whose attributes user.virtfs.mode and
 * user.virtfs.rdev have the device's mode and number (view.h). Owner, times and
 * links are the file's own. Fifos and sockets are the host's, since any user
 * may make those.
 *
 * The file's mode on the host is S_ISVTX alone: to Linux this bit means nothing
 * for regular files, so hardly any other empty file has it, and fstat(2) tells
 * whether to read the attributes. Without permissions, host users neither
 * write to the file nor open it. To read the attributes takes the capability
 * DAC_OVERRIDE, which in a user namespace is good only for files whose owner
 * the namespace has: nobody else can make a device for the guest there.
 */
#ifndef FSDEV_SHARED_SPECIAL_FILE_H
#define FSDEV_SHARED_SPECIAL_FILE_H

#include "hostfs.h"

#define SPECIAL_FILE_MODE       (S_IFREG | S_ISVTX)

/* Whether a file with this mode and size on the host may stand for a device */
static inline bool special_file_maybe(uint32_t mode, uint64_t size)
{
    return (mode & (S_IFMT | 07777)) == SPECIAL_FILE_MODE && size == 0;
}

/*
 * If the inode of @attr, as the host has it, stands for a device, turns @attr
 * into the device's. Only for hfs->maps_devices. Returns 0 or -errno.
 */
int special_file_see(const HostFs *hfs, int node, FsAttr *attr);

/* 1 if @node stands for a device, 0 if not, or -errno */
int special_file_is(const HostFs *hfs, int node);

/*
 * The type (DT_*) of the entry @name of the directory @dir, which is of @type
 * on the host: DT_UNKNOWN if it may stand for a device, or has just gone.
 */
unsigned char special_file_entry_type(int dir, const char *name,
                                      unsigned char type);

/* Makes a new file of SPECIAL_FILE_MODE the device @make, but with @mode. */
int special_file_dress(const HostFs *hfs, int node, const FsMakeArgs *make,
                       uint32_t mode);

/*
 * What the change @set means for the mode of a device that the guest sees as
 * @attr: a new one, or fewer set-id bits because of a new owner.
 */
int special_file_set_mode(const HostFs *hfs, int node, const FsSetAttr *set,
                          const FsAttr *attr);

#endif /* FSDEV_SHARED_SPECIAL_FILE_H */
