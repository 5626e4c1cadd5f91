/* tests/unit/cli/help_test.c: the help texts leave nothing out and name nothing that is not there */
#include "cli/cmd.h"
#include "tests/support/check_test.h"
#include <stdlib.h>
#include <string.h>

static char *help_of(const char *command)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        exit(4);
    help_print(command, out);
    fclose(out);
    return text;
}

/* "--out" is in "--out=DIR", not in "--output". */
static int names(const char *text, const char *option)
{
    char wanted[80];
    size_t size = (size_t)snprintf(wanted, sizeof wanted, "--%s", option);
    for (const char *p = text; (p = strstr(p, wanted)); p += size)
        if (!strchr("abcdefghijklmnopqrstuvwxyz-", p[size]) || !p[size])
            return 1;
    return 0;
}

TEST(every_option_stands_in_the_help_of_its_commands)
{
    for (int c = COMMAND_NONE + 1; c < COMMANDS; c++) {
        const char *command = options_command_name((enum command)c);
        char *text = help_of(command);
        for (int i = 0; i < OPTION_IDS; i++)
            if (option_specs[i].commands & 1u << c) {
                EXPECT(names(text, option_specs[i].name) == (option_specs[i].help != NULL));
                if (names(text, option_specs[i].name) != (option_specs[i].help != NULL))
                    fprintf(stderr, "%s --%s\n", command, option_specs[i].name);
            }
        EXPECT(strstr(text, "Example:\n  tieout "));
        free(text);
    }
}

TEST(the_programs_help_lists_commands_and_exit_codes)
{
    char *text = help_of(NULL), line[40];
    for (int c = COMMAND_NONE + 1; c < COMMANDS; c++) {
        snprintf(line, sizeof line, "  tieout %s ", options_command_name((enum command)c));
        EXPECT(strstr(text, line));
    }
    static const char *const codes[] = {"0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "6 ", "70 "};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        snprintf(line, sizeof line, "\n  %s", codes[i]);
        EXPECT(strstr(text, line));
    }
    free(text);
}

/* The job file in `tieout check --help` is one that loads; golden tests run it. Here: it is there at all. */
TEST(the_help_of_check_shows_a_whole_job)
{
    char *text = help_of("check");
    EXPECT(strstr(text, "  version: 1\n") && strstr(text, "  match:\n") && strstr(text, "  output:"));
    free(text);
}
