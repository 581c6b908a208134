/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fragment: pieces for a file of libvirt (edits.toml). */

/* graft: socket */
    for (i = 0; i < ctl->def->nfss; i++) {
        virDomainFSDef *fs = ctl->def->fss[i];

        /* QEMU connects to the socket. The files come from the process behind
         * it, as descriptors. */
        if (fs->fsdriver == VIR_DOMAIN_FS_DRIVER_TYPE_PROXY && fs->sock &&
            vah_add_file(&buf, fs->sock, "rw") != 0)
            goto cleanup;
    }
