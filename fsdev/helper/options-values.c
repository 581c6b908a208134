/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The values of the helper's options: see options-values.h.
 */
#include "qemu/osdep.h"
#include "log.h"
#include "options-values.h"
#include "fsdev/shared/caps.h"
#include "fsdev/shared/helper-limits.h"
#include <grp.h>
#include <pwd.h>

bool option_number(const char *s, unsigned long max, unsigned long *v)
{
    char *end;

    if (!g_ascii_isdigit(*s)) {
        return false;           /* strtoul(3) takes signs and spaces */
    }
    errno = 0;
    *v = strtoul(s, &end, 10);
    return errno == 0 && *end == '\0' && *v <= max;
}

uint32_t option_user(const char *option, const char *value, uint32_t *gid)
{
    struct passwd *pw = NULL;
    unsigned long id;
    bool number = option_number(value, UINT32_MAX - 1, &id);

    if (!number) {
        pw = getpwnam(value);
    } else if (gid) {
        pw = getpwuid(id);
    }
    if (!number) {
        if (!pw) {
            fatal("--%s %s: no such user", option, value);
        }
        id = pw->pw_uid;
    }
    if (gid && pw) {
        *gid = pw->pw_gid;
    }
    return id;
}

uint32_t option_group(const char *option, const char *value)
{
    struct group *gr;
    unsigned long id;

    if (option_number(value, UINT32_MAX - 1, &id)) {
        return id;
    }
    gr = getgrnam(value);
    if (!gr) {
        fatal("--%s %s: no such group", option, value);
    }
    return gr->gr_gid;
}

unsigned option_memory(const char *value)
{
    g_autofree char *text = g_strdup(value);
    unsigned long number;
    unsigned unit = 1;
    size_t len = strlen(text);

    if (len > 1 && (text[len - 1] == 'M' || text[len - 1] == 'G')) {
        unit = text[len - 1] == 'G' ? 1024 : 1;
        text[len - 1] = '\0';
    }
    if (!option_number(text, MEMORY_MAX / unit, &number) || number == 0) {
        fatal("--memory-limit %s: not a number of MiB from 1 to %d, or with G "
              "of GiB", value, MEMORY_MAX);
    }
    return number * unit;
}

typedef struct OptionChoice {
    const char *word;
    int value;
} OptionChoice;

/* The value of the word @text. @choices end with one that has no word. */
static int option_choice(const char *option, const char *text,
                         const OptionChoice *choices)
{
    g_autoptr(GString) words = g_string_new("");
    const OptionChoice *c;

    for (c = choices; c->word; c++) {
        if (g_str_equal(text, c->word)) {
            return c->value;
        }
        g_string_append_printf(words, "%s%s", c == choices ? "" : ", ",
                               c->word);
    }
    fatal("--%s %s: not one of %s", option, text, words->str);
}

ActAs option_act_as(const char *value)
{
    static const OptionChoice choices[] = {
        { "self", ACT_AS_SELF },
        { "root", ACT_AS_ROOT },
        { "guest", ACT_AS_GUEST },
        { }
    };

    return option_choice("act-as", value, choices);
}

FileHandlesMode option_file_handles(const char *value)
{
    static const OptionChoice choices[] = {
        { "on", FILE_HANDLES_ON },
        { "auto", FILE_HANDLES_AUTO },
        { "off", FILE_HANDLES_OFF },
        { }
    };

    return option_choice("file-handles", value, choices);
}

Sandbox option_sandbox(const char *value)
{
    static const OptionChoice choices[] = {
        { "namespace", SANDBOX_NAMESPACE },
        { "chroot", SANDBOX_CHROOT },
        { "none", SANDBOX_NONE },
        { }
    };

    return option_choice("sandbox", value, choices);
}

SeccompMode option_seccomp(const char *value)
{
    static const OptionChoice choices[] = {
        { "kill", SECCOMP_KILL },
        { "trap", SECCOMP_TRAP },
        { "log", SECCOMP_LOG },
        { "none", SECCOMP_NONE },
        { }
    };

    return option_choice("seccomp", value, choices);
}

SpecialFiles option_special_files(const char *value)
{
    static const OptionChoice choices[] = {
        { "host", SPECIAL_FILES_HOST },
        { "mapped", SPECIAL_FILES_MAPPED },
        { }
    };

    return option_choice("special-files", value, choices);
}

IdSquash option_squash(const char *value)
{
    static const OptionChoice choices[] = {
        { "root", ID_SQUASH_ROOT },
        { "all", ID_SQUASH_ALL },
        { }
    };

    return option_choice("squash", value, choices);
}

void option_translate(const char *option, const char *value,
                      IdTranslateKind *kind)
{
    g_autofree char *why = id_translate_add(kind, value);

    if (why) {
        fatal("--%s %s: %s", option, value, why);
    }
}

void option_xattr_map(FsXattrMap **map, const char *value)
{
    g_autofree char *why = NULL;

    fs_xattr_map_free(*map);
    *map = fs_xattr_map_parse(value, &why);
    if (!*map) {
        fatal("--xattr-map: %s", why);
    }
}

void option_modcaps(uint64_t *caps, const char *value)
{
    g_autofree char *why = caps_change(caps, value);

    if (why && !*value) {
        fatal("--modcaps: %s", why);
    } else if (why) {
        fatal("--modcaps %s: %s", value, why);
    }
}
