/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fragment: pieces for a file of libvirt (edits.toml). */

/* graft: descriptors */
    for (i = 0; i < vm->def->nfss; i++) {
        virDomainFSDef *fs = vm->def->fss[i];
        VIR_AUTOCLOSE fakefd = open("/dev/zero", O_RDWR);
        int fd = 1740 + i; /* of qemuxml2argvmock.c */

        if (fs->fsdriver != VIR_DOMAIN_FS_DRIVER_TYPE_PROXY || fs->sock)
            continue;

        if (fs->persist == VIR_TRISTATE_SWITCH_ON) {
            QEMU_DOMAIN_FS_PRIVATE(fs)->proxysock = g_strdup("/var/lib/libvirt/proxy.sock");
            continue;
        }

        if (fcntl(fd, F_GETFD) != -1 || dup2(fakefd, fd) < 0) {
            fprintf(stderr, "fd '%d' is already in use\n", fd);
            abort();
        }

        QEMU_DOMAIN_FS_PRIVATE(fs)->proxyfd = qemuFDPassDirectNew("virtfs-proxy", &fd);
    }

/* graft: cases */
# define DO_TEST_FS_PROXY(name, flags) \
    DO_TEST_CAPS_ARCH_LATEST_FULL(name, "x86_64", \
                                  ARG_FLAGS, flags, \
                                  ARG_QEMU_CAPS, QEMU_CAPS_FSDEV_PROXY, \
                                  QEMU_CAPS_FSDEV_MIGRATION, QEMU_CAPS_LAST)
    DO_TEST_FS_PROXY("fs-proxy", 0);
    DO_TEST_FS_PROXY("fs-proxy-accessmode", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_FS_PROXY("fs-proxy-fmode", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_FS_PROXY("fs-proxy-format-invalid", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_FS_PROXY("fs-proxy-queue-invalid", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_FS_PROXY("fs-proxy-xattr", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_FS_PROXY("fs-proxy-cache", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_FS_PROXY("fs-proxy-lock", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_FS_PROXY("fs-proxy-persist", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_FS_PROXY("fs-proxy-threads", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_FS_PROXY("fs-proxy-threads-negative", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_FS_PROXY("fs-proxy-binary-relative-invalid", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_FS_PROXY("fs-proxy-dir-relative-invalid", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_FS_PROXY("fs-proxy-socket-relative-invalid", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_FS_PROXY("fs-proxy-idmap", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_FS_PROXY("fs-proxy-socket-binary", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_FS_PROXY("fs-proxy-same-tag", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_FS_PROXY("fs-proxy-limit", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_FS_PROXY("fs-proxy-reconnect", 0);
    DO_TEST_FS_PROXY("fs-proxy-reconnect-pair", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_FS_PROXY("fs-proxy-reconnect-zero-invalid", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_FS_PROXY("fs-proxy-reconnect-timeout-invalid", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_FS_PROXY("fs-proxy-reconnect-requests-invalid", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_FS_PROXY("fs-proxy-reconnect-bind-invalid", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_FS_PROXY("fs-proxy-reconnect-off", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_FS_PROXY("fs-proxy-reconnect-wait", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_FS_PROXY("fs-proxy-reconnect-path", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_FS_PROXY("fs-migration", 0);
    DO_TEST_FS_PROXY("fs-migration-off-missing", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_FS_PROXY("fs-migration-handles-idmap", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_FS_PROXY("fs-migration-mtp", FLAG_EXPECT_PARSE_ERROR);
    DO_TEST_CAPS_LATEST_PARSE_ERROR("fs-migration-old-qemu");
    DO_TEST_CAPS_LATEST_PARSE_ERROR("fs-proxy-old-qemu");
