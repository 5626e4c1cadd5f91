/* core/config/options.c: see options.h */
#include "core/config/options.h"
#include "core/base/check.h"
#include "core/config/job.h"
#include "core/config/nearest.h"
#include "core/model/day.h"
#include <string.h>

#define OPTION(name, field, kind, commands, required, min, max, choices, unit, standard, help)               \
    {name,                                                                                                   \
     OPTION_##kind,                                                                                          \
     commands,                                                                                               \
     required,                                                                                               \
     min,                                                                                                    \
     max,                                                                                                    \
     choices,                                                                                                \
     unit,                                                                                                   \
     standard,                                                                                               \
     help,                                                                                                   \
     offsetof(struct options, field)},
const struct option_spec option_specs[OPTION_IDS] = {
#include "core/config/options.def"
};
#undef OPTION

static const struct {
    const char *name;
    int argument_count;    /* at most */
    const char *arguments; /* for messages */
    int optional;          /* none will do */
    int at_least;          /* and so many, if fewer than all will do */
} commands[COMMANDS] = {
    [COMMAND_DIFF] = {"diff", 2, "two files, LOCAL.csv CHANNEL.csv", 0},
    [COMMAND_RUN] = {"run", 1, "one job file, JOB.yaml", 0},
    [COMMAND_CHECK] = {"check", 1, "one job file, JOB.yaml", 0},
    [COMMAND_INSPECT] = {"inspect", 1, "one file", 0},
    [COMMAND_GEN] = {"gen", 0, "options only", 0},
    [COMMAND_CAPTURE] = {"capture", 1, "one job file, JOB.yaml", 0},
    [COMMAND_SCHEMA] = {"schema", 1, "one job file, JOB.yaml", 0},
    [COMMAND_FETCH] = {"fetch", 1, "one job file, JOB.yaml", 0},
    [COMMAND_PROFILES] = {"profiles", 2, "nothing, or: show NAME", 1},
    [COMMAND_PROFILE] = {"profile", 2, "new SAMPLE.csv", 0},
    [COMMAND_TASK] = {"task", 2, "init, run, list, show, retry, cancel or rerun, and perhaps a task's name",
                      0, 1},
    [COMMAND_STATUS] = {"status", 0, "options only", 0},
    [COMMAND_TRACE] = {"trace", 1, "one order number", 0},
    [COMMAND_VERIFY] = {"verify", 0, "options only", 0},
    [COMMAND_DAEMON] = {"daemon", 0, "options only", 0},
    [COMMAND_PLAN] = {"plan", 1, "one job file, JOB.yaml", 0},
    [COMMAND_PUSH] = {"push", 0, "options only", 0},
    [COMMAND_ERRORS] = {"errors", ARGUMENTS_MAX, "an action and up to 63 ids", 0, 1},
};

enum command options_command(const char *name)
{
    for (int i = COMMAND_NONE + 1; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return (enum command)i;
    return COMMAND_NONE;
}

const char *options_command_name(enum command command)
{
    CHECK2(command > COMMAND_NONE && command < COMMANDS, command, 0);
    return commands[command].name;
}

const char *options_command_nearest(const char *name)
{
    const char *names[COMMANDS];
    for (int i = COMMAND_NONE + 1; i < COMMANDS; i++)
        names[i - 1] = commands[i].name;
    int near = nearest_index(name, names, COMMANDS - 1);
    return near < 0 ? NULL : names[near];
}

int options_count_parse(const char *text, uint64_t *count)
{
    if (!text[0])
        return 0;
    *count = 0;
    for (; *text; text++)
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(*count, 10u, count) ||
            __builtin_add_overflow(*count, (uint64_t)(*text - '0'), count))
            return 0;
    return 1;
}

int options_size_parse(const char *text, uint64_t *size)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {{"", 1},
                 {"B", 1},
                 {"kB", 1000},
                 {"KB", 1000},
                 {"KiB", 1024},
                 {"MB", 1000000},
                 {"MiB", 1u << 20},
                 {"GB", 1000000000u},
                 {"GiB", 1u << 30},
                 {"TB", 1000000000000u},
                 {"TiB", 1ull << 40}};
    size_t digits = strspn(text, "0123456789");
    char number[24];
    if (digits == 0 || digits >= sizeof number)
        return 0;
    memcpy(number, text, digits);
    number[digits] = 0;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(text + digits, units[i].name) == 0)
            return options_count_parse(number, size) && !__builtin_mul_overflow(*size, units[i].bytes, size);
    return 0;
}

static int is_choice(const char *choices, const char *word)
{
    size_t size = strlen(word);
    for (const char *p = choices; size > 0; p++) {
        size_t n = strcspn(p, "|");
        if (n == size && memcmp(p, word, n) == 0)
            return 1;
        p += n;
        if (!*p)
            break;
    }
    return 0;
}

/* 0, with what was expected in `expected`, when the value does not fit. */
static int read_value(const struct option_spec *spec, const char *text, void *field, char expected[200])
{
    uint64_t number = 0;
    struct reject_limit limit;
    switch (spec->kind) {
    case OPTION_TEXT:
        snprintf(expected, 200, "%s", spec->unit);
        *(const char **)field = text;
        return text[0] != 0;
    case OPTION_WORD:
        snprintf(expected, 200, "one of %s", spec->choices);
        *(const char **)field = text;
        return is_choice(spec->choices, text);
    case OPTION_SIZE:
        snprintf(expected, 200, "a size such as 512MiB, from %llu to %llu bytes",
                 (unsigned long long)spec->min, (unsigned long long)spec->max);
        if (!options_size_parse(text, &number) || number < spec->min || number > spec->max)
            return 0;
        *(uint64_t *)field = number;
        return 1;
    case OPTION_COUNT:
        snprintf(expected, 200, "a whole number from %llu to %llu", (unsigned long long)spec->min,
                 (unsigned long long)spec->max);
        if (!options_count_parse(text, &number) || number < spec->min || number > spec->max)
            return 0;
        *(uint64_t *)field = number;
        return 1;
    case OPTION_DATE:
        snprintf(expected, 200, "a date such as 2026-11-19");
        *(uint16_t *)field = day_parse(text, strlen(text));
        return *(uint16_t *)field != DAY_NONE;
    case OPTION_SHARE:
        snprintf(expected, 200,
                 "a number of rows such as 50, or a share such as 0.5%%, with at most four decimals");
        if (!job_reject_limit_parse(text, &limit) || limit.max_rows > spec->max)
            return 0;
        *(struct option_share *)field = (struct option_share){text, limit.max_rows, limit.max_ppm};
        return 1;
    case OPTION_FLAG:
        snprintf(expected, 200, "true or false");
        *(int *)field = strcmp(text, "true") == 0;
        return *(int *)field || strcmp(text, "false") == 0;
    }
    return 0;
}

static enum err unknown_option(enum command command, const char *name, struct diag *diag)
{
    const char *names[OPTION_IDS + 1];
    int count = 0;
    char hint[200];
    const char *command_name = commands[command].name;
    for (int i = 0; i < OPTION_IDS; i++) {
        const struct option_spec *spec = &option_specs[i];
        if (spec->help && (spec->commands & 1u << command))
            names[count++] = spec->name;
    }
    names[count++] = "help";
    int near = nearest_index(name, names, count);
    if (near >= 0) {
        snprintf(hint, sizeof hint, "did you mean --%s? see: tieout %s --help", names[near], command_name);
        return diag_set(diag, ERR_USAGE, "options.unknown", hint, "--%s: %s has no such option", name,
                        command_name);
    }
    snprintf(hint, sizeof hint, "see: tieout %s --help", command_name);
    for (int i = 0; i < OPTION_IDS; i++)
        if (option_specs[i].help && strcmp(option_specs[i].name, name) == 0)
            for (int c = COMMAND_NONE + 1; c < COMMANDS; c++)
                if (option_specs[i].commands & 1u << c)
                    return diag_set(diag, ERR_USAGE, "options.unknown", hint,
                                    "--%s: an option of %s, not of %s", name, commands[c].name, command_name);
    return diag_set(diag, ERR_USAGE, "options.unknown", hint, "--%s: %s has no such option", name,
                    command_name);
}

static enum err read_option(struct options *options, const char *argument, struct diag *diag)
{
    const char *name_begin = argument + 2, *equals = strchr(name_begin, '=');
    size_t size = equals ? (size_t)(equals - name_begin) : strlen(name_begin);
    char name[80], expected[200];
    snprintf(name, sizeof name, "%.*s", (int)(size < sizeof name ? size : sizeof name - 1), name_begin);
    int id = 0;
    while (id < OPTION_IDS && (strcmp(option_specs[id].name, name) != 0 ||
                               !(option_specs[id].commands & 1u << options->command)))
        id++;
    if (id == OPTION_IDS)
        return unknown_option(options->command, name, diag);
    const struct option_spec *spec = &option_specs[id];
    if (options->given[id])
        return diag_set(diag, ERR_USAGE, "options.doubled", "give it once", "--%s is given twice", name);
    options->given[id] = 1;
    if (!equals && spec->kind != OPTION_FLAG)
        return diag_set(diag, ERR_USAGE, "options.value", "the value follows the = without a space",
                        "--%s: expected --%s=%s", name, name, spec->unit);
    const char *text = equals ? equals + 1 : "true";
    if (!read_value(spec, text, (char *)options + spec->offset, expected))
        return diag_set(diag, ERR_USAGE, "options.value", NULL, "--%s: \"%s\": expected %s", name, text,
                        expected);
    return OK;
}

static enum err check_complete(const struct options *options, struct diag *diag)
{
    char hint[120];
    const char *name = commands[options->command].name;
    snprintf(hint, sizeof hint, "see: tieout %s --help", name);
    int wanted = commands[options->command].argument_count;
    const int least = commands[options->command].at_least ? commands[options->command].at_least : wanted;
    if (options->argument_count < least && !(commands[options->command].optional && !options->argument_count))
        return diag_set(diag, ERR_USAGE, "options.missing", hint, "%s: expected %s; %d given", name,
                        commands[options->command].arguments, options->argument_count);
    for (int i = 0; i < OPTION_IDS; i++)
        if ((option_specs[i].required & 1u << options->command) && !options->given[i])
            return diag_set(diag, ERR_USAGE, "options.missing", hint, "%s: --%s=%s is missing", name,
                            option_specs[i].name, option_specs[i].unit);
    return OK;
}

enum err options_parse(struct options *options, enum command command, int count, char **arguments,
                       struct diag *diag)
{
    CHECK2(command > COMMAND_NONE && command < COMMANDS, command, 0);
    *options = (struct options){.command = command};
    char expected[200];
    for (int i = 0; i < OPTION_IDS; i++)
        if (option_specs[i].standard && (option_specs[i].commands & 1u << command))
            CHECK(read_value(&option_specs[i], option_specs[i].standard,
                             (char *)options + option_specs[i].offset, expected));
    int ended = 0, wanted = commands[command].argument_count;
    for (int i = 0; i < count; i++) {
        const char *argument = arguments[i];
        enum err err = OK;
        if (!ended && strcmp(argument, "--") == 0) {
            ended = 1;
        } else if (!ended && strncmp(argument, "--", 2) == 0) {
            err = read_option(options, argument, diag);
        } else if (!ended && argument[0] == '-' && argument[1]) {
            err = diag_set(diag, ERR_USAGE, "options.unknown",
                           "options are long: --name=value; a file whose name begins with - stands behind --",
                           "%s: there are no short options", argument);
        } else if (options->argument_count == wanted) {
            err = diag_set(diag, ERR_USAGE, "options.value", NULL, "%s: \"%s\" is one too many; expected %s",
                           commands[command].name, argument, commands[command].arguments);
        } else if (!argument[0]) {
            err = diag_set(diag, ERR_USAGE, "options.value", NULL, "%s: an empty file name; expected %s",
                           commands[command].name, commands[command].arguments);
        } else {
            options->arguments[options->argument_count++] = argument;
        }
        if (err != OK)
            return err;
    }
    return check_complete(options, diag);
}
