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

        /* This one is libvirt's (qemu_virtfs_proxy.c). QEMU connects to it again
         * when the helper has been replaced. */
        if (fs->fsdriver == VIR_DOMAIN_FS_DRIVER_TYPE_PROXY && !fs->sock &&
            fs->persist == VIR_TRISTATE_SWITCH_ON && fs->info.alias) {
            g_autofree char *name = virDomainDefGetShortName(ctl->def);

            if (!name)
                goto cleanup;

            virBufferAsprintf(&buf, "  \"%s/libvirt/virtfs-proxy/%s-%s.sock\" rw,\n",
                              RUNSTATEDIR, name, fs->info.alias);
        }
    }
