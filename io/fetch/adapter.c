/* io/fetch/adapter.c: see adapter.h */
#include "io/fetch/adapter.h"
#include "core/base/mem.h"
#include "io/net/secret.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SAID_MAX = 64 * 1024, NOT_STARTED = 127, GRACE_SECONDS = 5 };

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Reads what it says until it ends or the time is up; its exit status, or -1 when it had to be stopped. */
static int listen_to(pid_t child, int from, int64_t seconds_left, const volatile int *interrupted, char *said)
{
    size_t used = 0;
    int64_t end = now_ms() + seconds_left * 1000, status_seen = 0;
    int status = 0, stopped = 0, open = 1;
    while (open || !status_seen) {
        int64_t left = end - now_ms();
        if (left <= 0 || (!stopped && interrupted && *interrupted)) {
            kill(-child, stopped ? SIGKILL : SIGTERM);
            stopped++;
            end = now_ms() + GRACE_SECONDS * 1000;
            continue;
        }
        struct pollfd ready = {.fd = open ? from : -1, .events = POLLIN};
        poll(&ready, 1, left < 50 || !open ? (int)(left < 20 ? left : 20) : 50);
        if (open && ready.revents) {
            char sink[4096];
            ssize_t n = read(from, sink, sizeof sink);
            if (n <= 0 && !(n < 0 && errno == EINTR))
                open = 0;
            size_t keep = n > 0 && (size_t)n <= SAID_MAX - used ? (size_t)(n > 0 ? n : 0) : 0;
            memcpy(said + used, sink, keep);
            used += keep;
        }
        if (!status_seen && waitpid(child, &status, WNOHANG) == child)
            status_seen = 1;
        if (status_seen && !ready.revents && open)
            open = 0; /* a grandchild may hold the pipe; what the program itself said is there */
    }
    said[used] = 0;
    if (stopped)
        kill(-child, SIGKILL); /* what it had started itself */
    return stopped ? -1 : status;
}

enum adapter_end adapter_run(const struct job *job, const struct fetch_spec *spec, const char *date,
                             const char *channel, const char *folder, int64_t seconds_left,
                             const volatile int *interrupted, char **said, struct diag *diag)
{
    char(*secrets)[SECRET_MAX] = mem_take_zero(FETCH_ENV_MAX, SECRET_MAX);
    char options[3][4200];
    char *words[32 + 4] = {0};
    int ends[2] = {-1, -1};
    enum err err = OK;
    *said = mem_take_zero(1, SAID_MAX + 1);
    if (!*said || !secrets)
        err = mem_fail(diag, SAID_MAX, "what an adapter says");
    for (int i = 0; err == OK && i < spec->env_count; i++) {
        const char *source = spec->env[i].source;
        if (strncmp(source, "env:", 4) == 0 || strncmp(source, "file:", 5) == 0)
            err = secret_read(secrets[i], source, job->directory, diag);
    }
    int count = 0;
    for (; count < spec->command_count; count++)
        words[count] = (char *)(uintptr_t)spec->command[count];
    snprintf(options[0], sizeof options[0], "--date=%s", date);
    snprintf(options[1], sizeof options[1], "--channel=%.200s", channel);
    snprintf(options[2], sizeof options[2], "--out=%.4096s", folder);
    for (int i = 0; i < 3; i++)
        words[count++] = options[i];
    if (err == OK && pipe2(ends, O_CLOEXEC) != 0)
        err = diag_set_errno(diag, errno, "adapter", "%s: cannot run it", words[0]);
    pid_t child = err == OK ? fork() : -1;
    if (child == 0) {
        setpgid(0, 0);
        int null = open("/dev/null", O_RDONLY);
        dup2(null, 0);
        dup2(ends[1], 1);
        for (int i = 0; i < spec->env_count; i++)
            setenv(spec->env[i].name, secrets[i][0] ? secrets[i] : spec->env[i].source, 1);
        if (chdir(job->directory) == 0)
            execvp(words[0], words);
        dprintf(2, "%s: %s\n", words[0], strerror(errno));
        _exit(NOT_STARTED);
    }
    if (child > 0)
        setpgid(child,
                child); /* as it does itself: whoever is first, it can be stopped with all that it starts */
    for (int i = 0; secrets && i < spec->env_count; i++)
        secret_wipe(secrets[i]);
    mem_give(secrets);
    if (err == OK && child < 0)
        err = diag_set_errno(diag, errno, "adapter", "%s: cannot run it", words[0]);
    if (ends[1] >= 0)
        close(ends[1]);
    int status = err == OK ? listen_to(child, ends[0], seconds_left, interrupted, *said) : 0;
    if (ends[0] >= 0)
        close(ends[0]);
    if (err != OK)
        return err == ERR_USAGE ? ADAPTER_REFUSED : ADAPTER_FAILED;
    if (status == -1 && interrupted && *interrupted)
        return ADAPTER_INTERRUPTED;
    if (status == -1) {
        diag_set(diag, ERR_PEER, "adapter.time",
                 "give it more time with deadline:", "%s: it was not done at the deadline, and was stopped",
                 words[0]);
        return ADAPTER_REFUSED;
    }
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    switch (code) {
    case 0:
        return ADAPTER_DONE;
    case 66:
        return ADAPTER_NO_BILL;
    case 75:
        diag_set(diag, ERR_PEER, "adapter.again", NULL, "%s: not now (exit code 75)", words[0]);
        return ADAPTER_AGAIN;
    case NOT_STARTED:
        diag_set(diag, ERR_USAGE, "adapter.start", "paths are relative to the job file",
                 "%s: it cannot be run", words[0]);
        return ADAPTER_REFUSED;
    default:
        diag_set(diag, ERR_PEER, "adapter.failed", "what it said stands above",
                 "%s: it failed with exit code %d", words[0], code);
        return ADAPTER_REFUSED;
    }
}
