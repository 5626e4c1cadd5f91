/* tests/unit/cli/help_test.c: the help texts leave nothing out and name nothing that is not there */
#include "cli/cmd.h"
#include "core/config/job.h"
#include "tests/support/check_test.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char help_text[16384];

static const char *help_of(const char *command)
{
    memset(help_text, 0, sizeof help_text);
    FILE *out = fmemopen(help_text, sizeof help_text - 1, "w");
    if (!out)
        exit(4);
    help_print(command, out);
    fclose(out);
    return help_text;
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
        const char *text = help_of(command);
        for (int i = 0; i < OPTION_IDS; i++)
            if (option_specs[i].commands & 1u << c) {
                EXPECT(names(text, option_specs[i].name) == (option_specs[i].help != NULL));
                if (names(text, option_specs[i].name) != (option_specs[i].help != NULL))
                    fprintf(stderr, "%s --%s\n", command, option_specs[i].name);
            }
        EXPECT(strstr(text, "Example:\n  tieout "));
    }
}

TEST(the_programs_help_lists_commands_and_exit_codes)
{
    const char *text = help_of(NULL);
    char line[40];
    for (int c = COMMAND_NONE + 1; c < COMMANDS; c++) {
        snprintf(line, sizeof line, "  tieout %s ", options_command_name((enum command)c));
        EXPECT(strstr(text, line));
    }
    static const char *const codes[] = {"0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "6 ", "70 "};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        snprintf(line, sizeof line, "\n  %s", codes[i]);
        EXPECT(strstr(text, line));
    }
}

TEST(the_job_in_the_help_of_check_loads)
{
    const char *text = help_of("check");
    char path[] = "/tmp/tieout-help-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    const char *line = strstr(text, "  version: 1\n"), *end = strstr(text, "\nExample:");
    EXPECT(file && line && end);
    if (!file || !line || !end)
        return;
    for (; line < end; line = strchr(line, '\n') + 1)
        fprintf(file, "%.*s\n", (int)strcspn(line, "\n") - 2, line + 2);
    fclose(file);
    struct diag diag = {0};
    struct job *job;
    EXPECT(job_load(&job, path, &diag) == OK);
    if (!job)
        diag_print(&diag, stderr);
    EXPECT(job && strcmp(job->name, "sample") == 0 && job->match.compare_count == 1);
    job_close(job);
    unlink(path);
}
