/* cli/main.c: from argv to a command.
 *
 * --help and --version are looked for first, so that neither fails because of what stands beside it.
 */
#include "cli/cmd.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

static int fail(const struct diag *diag)
{
    diag_print(diag, stderr);
    return (int)diag->err;
}

/* What was said to stdout has to arrive: a full disk behind a redirection is a failure of the run. A reader
 * that went away (`tieout inspect ... | head`) needs no words; the pipe itself is asked, since the write that
 * failed may be long ago. */
static int flush_stdout(int code)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    int errnum = errno ? errno : EIO;
    struct pollfd pipe_end = {.fd = 1, .events = POLLOUT};
    struct diag diag = {0};
    if (errnum != EPIPE && !(poll(&pipe_end, 1, 0) == 1 && (pipe_end.revents & POLLERR))) {
        diag_set_errno(&diag, errnum, "stdout", "cannot write to the standard output");
        fail(&diag);
    }
    return code > 1 ? code : (int)ERR_MACHINE; /* a result that was not told is no result */
}

static int wants_help(int count, char **arguments)
{
    for (int i = 0; i < count && strcmp(arguments[i], "--") != 0; i++)
        if (strcmp(arguments[i], "--help") == 0)
            return 1;
    return 0;
}

static int run_command(const struct options *options)
{
    switch (options->command) {
    case COMMAND_DIFF:
        return cmd_diff(options);
    case COMMAND_RUN:
        return cmd_run(options);
    case COMMAND_CHECK:
        return cmd_check(options);
    case COMMAND_INSPECT:
        return cmd_inspect(options);
    case COMMAND_GEN:
        return cmd_gen(options);
    case COMMAND_CAPTURE:
        return cmd_capture(options);
    case COMMAND_SCHEMA:
        return cmd_schema(options);
    case COMMAND_FETCH:
        return cmd_fetch(options);
    case COMMAND_PROFILES:
        return cmd_profiles(options);
    case COMMAND_PROFILE:
        return cmd_profile(options);
    case COMMAND_TASK:
        return cmd_task(options);
    case COMMAND_STATUS:
        return cmd_status(options);
    case COMMAND_TRACE:
        return cmd_trace(options);
    case COMMAND_VERIFY:
        return cmd_verify(options);
    case COMMAND_DAEMON:
        return cmd_daemon(options);
    case COMMAND_PLAN:
        return cmd_plan(options);
    case COMMAND_PUSH:
        return cmd_push(options);
    case COMMAND_ERRORS:
        return cmd_errors(options);
    case COMMAND_NONE:
    case COMMANDS:
        break;
    }
    return ERR_BUG;
}

int main(int argc, char **argv)
{
    struct diag diag = {0};
    /* A reader that goes away is seen where we write, with the file's name, and not as a sudden death between
     * two outputs. */
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        help_print(NULL, stderr);
        return ERR_USAGE;
    }
    const char *name = argv[1];
    enum command command = options_command(name);
    if (command == COMMAND_NONE && strcmp(name, "help") == 0) {
        help_print(argc > 2 ? argv[2] : NULL, stdout);
        return flush_stdout(OK);
    }
    if (wants_help(argc - 1, argv + 1) && (command != COMMAND_NONE || name[0] == '-')) {
        help_print(command != COMMAND_NONE ? name : NULL, stdout);
        return flush_stdout(OK);
    }
    if (strcmp(name, "--version") == 0) {
        printf("tieout %s\n", TIEOUT_VERSION);
        return flush_stdout(OK);
    }
    if (command == COMMAND_NONE) {
        const char *near = options_command_nearest(name);
        char hint[120] = "see: tieout --help";
        if (near)
            snprintf(hint, sizeof hint, "did you mean %s? see: tieout --help", near);
        diag_set(&diag, ERR_USAGE, "options.command", hint, "there is no command \"%s\"", name);
        return fail(&diag);
    }
    struct options options;
    if (options_parse(&options, command, argc - 2, argv + 2, &diag) != OK)
        return fail(&diag);
    return flush_stdout(run_command(&options));
}
