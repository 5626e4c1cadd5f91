/* cli/cmd.h: the commands.
 *
 * Each takes the parsed command line and returns the program's exit code (SPEC.md section 7). A command
 * prints its own diagnostic to stderr; data goes to files or stdout.
 */
#ifndef TIEOUT_CLI_CMD_H
#define TIEOUT_CLI_CMD_H

#include "core/config/options.h"
#include <stdio.h>

int cmd_diff(const struct options *options);
int cmd_run(const struct options *options);
int cmd_check(const struct options *options);
int cmd_inspect(const struct options *options);
int cmd_gen(const struct options *options);
int cmd_capture(const struct options *options);
int cmd_schema(const struct options *options);
int cmd_profiles(const struct options *options);
int cmd_profile(const struct options *options);
int cmd_fetch(const struct options *options);
int cmd_plan(const struct options *options);
int cmd_push(const struct options *options);
int cmd_errors(const struct options *options);
int cmd_task(const struct options *options);
int cmd_status(const struct options *options);
int cmd_trace(const struct options *options);
int cmd_verify(const struct options *options);
int cmd_daemon(const struct options *options);

/* Says of each profile whether it fits the file: cmd_profiles.c. */
enum err profiles_explain(const char *path, struct diag *diag);
/* The one built-in profile that fits a file, or else the one that fits its beginning; NULL where none does or several do, which is told on
 * stderr. */
enum err profiles_find(const char **name, const char *path, struct diag *diag);

/* Prints the help of a command, or that of the program when `command` is NULL or none of its commands. */
void help_print(const char *command, FILE *out);

#endif
