/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The tests of the mapped security models stand on this: the export of
 * tests/unit/shared/hostfs-fixture.h as a LocalHost with one of the models, its
 * operations by path, and the files on the disk behind them. A test runs with a
 * given model, as the user who runs the program and as an ordinary user.
 */
#ifndef TESTS_UNIT_MAPPED_FIXTURE_H
#define TESTS_UNIT_MAPPED_FIXTURE_H

#include "tests/unit/shared/hostfs-fixture.h"
#include "hw/9pfs/local/mapped.h"

#define FMODE       0640
#define DMODE       0750

/* Ids that the user who runs this does not have */
#define GUEST_UID   1234567
#define GUEST_GID   7654321

#define META        ".virtfs_metadata"
#define META_ROOT   ".virtfs_metadata_root"

/* The test's own; there is one at a time in a process. */
extern Fixture *fix;
extern LocalHost lh;
extern const LocalModel *model;
extern bool is_file;            /* the model is mapped-file */

typedef void MappedTest(void);

/* The export as the guest sees it. Paths have "/" between names. */

/* What @path is; "" is the root. */
LocalInode find(const char *path);
void drop(LocalInode *inode);

/* The model's operations: 0 or -errno. The others have to succeed. */
int try_see(const LocalInode *inode, FsAttr *attr);
FsAttr see(const char *path);
void assert_seen(const char *path, uint32_t mode, uint32_t uid,
                 uint32_t gid);

/* A new object with the ids above; a device or a link leads somewhere. */
FsMakeArgs guest_make(const char *name, uint32_t mode);
int try_make(const char *path, uint32_t mode, FsAttr *attr);
void make(const char *path, uint32_t mode);
int try_create(const char *name, uint32_t mode, int flags,
               FsAttr *attr);
int try_set(const char *path, FsSetAttr set);
int try_chmod(const char *path, uint32_t mode);
int try_chown(const char *path, uint32_t uid, uint32_t gid);
int try_link(const char *path, const char *newpath);

/* Directories are "" or a path of names. */
int try_rename(const char *olddir, const char *oldname,
               const char *newdir, const char *newname);
int try_unlink(const char *dir, const char *name, bool rmdir);
int try_readlink(const char *path, char *buf, size_t size);
int try_setxattr(const char *path, const char *name,
                 const void *value, size_t size);
int try_removexattr(const char *path, const char *name);
ssize_t try_getxattr(const char *path, const char *name, void *buf,
                     size_t size);

/* The export as the host has it */

/* What @path is to calls that take no descriptor; to be freed */
char *host_path(const char *path);
struct stat host_stat(const char *path);
void host_setxattr(const char *path, const char *name,
                   const void *value, size_t size);
ssize_t host_getxattr(const char *path, const char *name, void *buf,
                      size_t size);
void assert_xattr(const char *path, const char *name,
                  const void *value, size_t size);

/* What is on the disk for @dir/@name; @rdev: of a device node */
void assert_stored(const char *dir, const char *name, uint32_t mode,
                   uint32_t uid, uint32_t gid, const uint64_t *rdev);
void assert_no_metadata(const char *dir, const char *name);

/* A metadata file with this text, or any other; its folder is made. */
void put_metadata(const char *name, const char *text);

/* Whether the model can do its work here; mapped-file needs nothing. */
bool usable(Fixture *f, const LocalModel *m);
/* Runs a test with a model in the fixture's export. */
void run(Fixture *f, const LocalModel *m, MappedTest *test);

/* A MappedTest: an object that cannot get its view is not made. */
void fail_to_store(void);

/*
 * From now on the kernel answers a system call with an error, as on other file
 * systems, if its third argument has one of these bits.
 */
void forbid_call(unsigned nr, uint32_t bits, int error);

/* A POSIX ACL: entries up to one of tag 0 */
typedef struct AclEntry {
    uint16_t tag;
    uint16_t perm;
    uint32_t id;
} AclEntry;

#define ACL_MAX     8
#define NO_ID       0xffffffff

/* As the bytes of an extended attribute; returns how many */
size_t acl_bytes(const AclEntry *acl, uint8_t *buf);

/* A test for each model, by ourselves and by an ordinary user */
#define XATTR_TEST(func)                                                \
    static void func##_xattr(Fixture *f)                                \
    {                                                                   \
        run(f, &local_model_mapped_xattr, func);                        \
    }                                                                   \
    static void func##_xattr_self(Fixture *f)                           \
    {                                                                   \
        if (usable(f, &local_model_mapped_xattr)) {                     \
            func##_xattr(f);                                            \
        }                                                               \
    }                                                                   \
    static void func##_xattr_user(Fixture *f)                           \
    {                                                                   \
        if (usable(f, &local_model_mapped_xattr)) {                     \
            as_user(f, func##_xattr);                                   \
        }                                                               \
    }

#define FILE_TEST(func)                                                 \
    static void func##_file(Fixture *f)                                 \
    {                                                                   \
        run(f, &local_model_mapped_file, func);                         \
    }                                                                   \
    static void func##_file_user(Fixture *f)                            \
    {                                                                   \
        as_user(f, func##_file);                                        \
    }

#define BOTH_TEST(func) XATTR_TEST(func) FILE_TEST(func)

/* And its registration */
#define ADD_XATTR(name, func)                                           \
    hostfs_test("mapped-xattr/" name, func##_xattr_self);               \
    hostfs_test("mapped-xattr/" name "/user", func##_xattr_user)
#define ADD_FILE(name, func)                                            \
    hostfs_test("mapped-file/" name, func##_file);                      \
    hostfs_test("mapped-file/" name "/user", func##_file_user)
#define ADD_BOTH(name, func) ADD_XATTR(name, func); ADD_FILE(name, func)

#endif /* TESTS_UNIT_MAPPED_FIXTURE_H */
