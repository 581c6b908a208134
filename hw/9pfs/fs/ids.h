/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The options of drivers about user and group ids.
 */
#ifndef HW_9PFS_FS_IDS_H
#define HW_9PFS_FS_IDS_H

#include "fsdev/shared/id-translate.h"
#include "qapi/qapi-types-fsdev.h"

/*
 * Makes the translation that @o asks for, for g_free(): *@t, which is NULL if
 * @o has no options. False with an error that names the option.
 */
bool fs_ids_parse(const FsdevIdOptions *o, IdTranslate **t, Error **errp);

/* The first option that @o has, with its value (g_free), or NULL */
char *fs_ids_first(const FsdevIdOptions *o);

#endif /* HW_9PFS_FS_IDS_H */
