/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fragment: the functions that the emulator's start-up calls for -fsdev and
 * -virtfs. They are in fsdev/ (qemu-fsdev.h); a build without VirtFS has the
 * ones below instead.
 */

/* graft: without-virtfs */
#ifndef CONFIG_VIRTFS
static G_NORETURN void fsdev_option(const char *arg)
{
    error_report("fsdev support is disabled");
    exit(1);
}

static G_NORETURN void virtfs_option(const char *arg)
{
    error_report("virtfs support is disabled");
    exit(1);
}

static void fsdev_create_all(void)
{
}
#endif

/* graft: create */
    fsdev_create_all();

/* graft: options */
            case QEMU_OPTION_fsdev:
                fsdev_option(optarg);
                break;
            case QEMU_OPTION_virtfs:
                virtfs_option(optarg);
                break;
