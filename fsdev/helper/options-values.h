/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The values of the helper's options. All functions that return no bool end the
 * process with a line on stderr if the value is bad.
 */
#ifndef FSDEV_HELPER_OPTIONS_VALUES_H
#define FSDEV_HELPER_OPTIONS_VALUES_H

#include "act-as.h"
#include "sandbox.h"
#include "seccomp.h"
#include "fsdev/shared/id-translate.h"
#include "fsdev/shared/xattr-map.h"

/* --file-handles */
typedef enum FileHandlesMode {
    FILE_HANDLES_OFF,
    FILE_HANDLES_AUTO,          /* if this process may open them */
    FILE_HANDLES_ON,            /* or end */
} FileHandlesMode;

/* --special-files */
typedef enum SpecialFiles {
    SPECIAL_FILES_USUAL,        /* mapped in a user namespace */
    SPECIAL_FILES_HOST,
    SPECIAL_FILES_MAPPED,       /* fsdev/shared/special-file.h */
} SpecialFiles;

/* A decimal number up to @max in *@v; false if @s is none */
bool option_number(const char *s, unsigned long max, unsigned long *v);

/*
 * A user of --@option, by name or number. If @gid is not NULL, it gets the
 * primary group, if that is known.
 */
uint32_t option_user(const char *option, const char *value, uint32_t *gid);
uint32_t option_group(const char *option, const char *value);

/* MiB; the value may have M or, for GiB, G behind the number */
unsigned option_memory(const char *value);

/* One of the option's words */
ActAs option_act_as(const char *value);
FileHandlesMode option_file_handles(const char *value);
Sandbox option_sandbox(const char *value);
SeccompMode option_seccomp(const char *value);
SpecialFiles option_special_files(const char *value);
IdSquash option_squash(const char *value);

/* Adds the ranges of --@option to @kind. */
void option_translate(const char *option, const char *value,
                      IdTranslateKind *kind);

/* Replaces the rules in *@map, or NULL. */
void option_xattr_map(FsXattrMap **map, const char *value);

/* Changes *@caps. */
void option_modcaps(uint64_t *caps, const char *value);

#endif /* FSDEV_HELPER_OPTIONS_VALUES_H */
