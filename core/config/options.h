/* core/config/options.h: a command line, read once.
 *
 *     options_parse -> struct options, which then never changes
 *
 * Options are long, `--name=value`; a flag may stand without value; `--` ends them. All text is borrowed from
 * argv. What exists is in options.def and nowhere else. Threads: any, after parsing.
 */
#ifndef TIEOUT_CORE_CONFIG_OPTIONS_H
#define TIEOUT_CORE_CONFIG_OPTIONS_H

#include "core/base/diag.h"
#include <stddef.h>
#include <stdint.h>

enum command {
    COMMAND_NONE,
    COMMAND_DIFF,
    COMMAND_RUN,
    COMMAND_CHECK,
    COMMAND_INSPECT,
    COMMAND_GEN,
    COMMAND_CAPTURE,
    COMMAND_SCHEMA,
    COMMAND_FETCH,
    COMMAND_PROFILES,
    COMMAND_PROFILE,
    COMMAND_PLAN,
    COMMAND_PUSH,
    COMMAND_ERRORS,
    COMMAND_TASK,
    COMMAND_STATUS,
    COMMAND_TRACE,
    COMMAND_VERIFY,
    COMMAND_DAEMON,
    COMMANDS
};
enum {
    IN_DIFF = 1 << COMMAND_DIFF,
    IN_RUN = 1 << COMMAND_RUN,
    IN_CHECK = 1 << COMMAND_CHECK,
    IN_INSPECT = 1 << COMMAND_INSPECT,
    IN_GEN = 1 << COMMAND_GEN,
    IN_CAPTURE = 1 << COMMAND_CAPTURE,
    IN_FETCH = 1 << COMMAND_FETCH,
    IN_PROFILES = 1 << COMMAND_PROFILES,
    IN_PROFILE = 1 << COMMAND_PROFILE,
    IN_PLAN = 1 << COMMAND_PLAN,
    IN_PUSH = 1 << COMMAND_PUSH,
    IN_ERRORS = 1 << COMMAND_ERRORS,
    IN_TASK = 1 << COMMAND_TASK,
    IN_STATUS = 1 << COMMAND_STATUS,
    IN_TRACE = 1 << COMMAND_TRACE,
    IN_VERIFY = 1 << COMMAND_VERIFY,
    IN_DAEMON = 1 << COMMAND_DAEMON
};

enum option_kind {
    OPTION_TEXT,  /* any text, not empty */
    OPTION_WORD,  /* one of its choices */
    OPTION_SIZE,  /* bytes: 65536, 64KiB, 512MiB, 1GiB, 512MB */
    OPTION_COUNT, /* a whole number */
    OPTION_DATE,  /* a day (core/model/day.h) */
    OPTION_SHARE, /* a number of rows, or a share of them in percent (at most four decimals) */
    OPTION_FLAG   /* true or false; without value true */
};

struct option_share {
    const char *text; /* as it was written; NULL when the option was not given */
    uint64_t count;   /* used when ppm is 0 */
    uint32_t ppm;
};

/* The type of an option's field. */
#define OPTION_TYPE_TEXT const char *
#define OPTION_TYPE_WORD const char *
#define OPTION_TYPE_SIZE uint64_t
#define OPTION_TYPE_COUNT uint64_t
#define OPTION_TYPE_DATE uint16_t
#define OPTION_TYPE_SHARE struct option_share
#define OPTION_TYPE_FLAG int

#define OPTION(name, field, kind, commands, required, min, max, choices, unit, standard, help)               \
    OPTION_ID_##field,
enum option_id {
#include "core/config/options.def"
    OPTION_IDS
};
#undef OPTION

enum { ARGUMENTS_MAX = 64 };

struct options {
    enum command command;
    const char *arguments[ARGUMENTS_MAX]; /* what is no option, in order; as many as the command takes */
    int argument_count;
    uint8_t given[OPTION_IDS]; /* 1: it stood on the command line. given[OPTION_ID_memory] */
#define OPTION(name, field, kind, commands, required, min, max, choices, unit, standard, help)               \
    OPTION_TYPE_##kind field;
#include "core/config/options.def"
#undef OPTION
};

struct option_spec {
    const char *name; /* without the dashes */
    enum option_kind kind;
    unsigned commands, required; /* sets of IN_x */
    uint64_t min, max;
    const char *choices;  /* "a|b"; NULL for none */
    const char *unit;     /* "SIZE" */
    const char *standard; /* the default; NULL for none */
    const char *help;     /* NULL: for tests, shown nowhere */
    size_t offset;        /* of the value in struct options */
};
extern const struct option_spec option_specs[OPTION_IDS];

/* COMMAND_NONE when there is no such command. */
enum command options_command(const char *name);
const char *options_command_name(enum command command);
/* The command that `name` was probably meant to be, or NULL. */
const char *options_command_nearest(const char *name);

/* Reads what follows the command's name. ERR_USAGE when something is unknown, doubled, missing or out of
 * range. */
enum err options_parse(struct options *options, enum command command, int count, char **arguments,
                       struct diag *diag);

/* Reads a size with its unit, or a count. 0 when it is none, or too large for 64 bits. */
int options_size_parse(const char *text, uint64_t *size);
int options_count_parse(const char *text, uint64_t *count);

#endif
