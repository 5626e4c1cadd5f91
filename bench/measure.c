/* bench/measure.c: runs a command and says what it cost, for the scripts in bench/.
 *
 *     bench_measure [--warm=FILE]... [--log=FILE] [--limit=SECONDS] -- COMMAND...
 *
 * Prints one line: wall seconds, user seconds, system seconds, peak RSS in kB, the share of the warmed files
 * that was in memory just before the start (per mille), the one-minute load before it, and the exit code.
 * --warm files are read through first, again until all of their pages are there: some machines take the page
 * cache back within seconds. --log takes the command's stdout and stderr. --limit ends a command that takes
 * longer (exit code 124).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WARM_MAX = 16, WARM_TRIES = 4, READ_SIZE = 1 << 20, WINDOW = 1 << 30 };

static volatile sig_atomic_t child;
static volatile sig_atomic_t timed_out;

static void on_alarm(int signal_number)
{
    (void)signal_number;
    timed_out = 1;
    if (child > 0)
        kill(child, SIGKILL);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds_of(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* Pages of the file, and how many of them are in memory. */
static int resident(const char *path, size_t *pages, size_t *there)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    static unsigned char vec[WINDOW / 4096];
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (size_t)st.st_size;
    for (size_t at = 0; at < size; at += WINDOW) {
        size_t part = size - at < WINDOW ? size - at : WINDOW, count = (part + page - 1) / page;
        void *map = mmap(NULL, part, PROT_READ, MAP_SHARED, fd, (off_t)at);
        if (map == MAP_FAILED)
            break;
        if (mincore(map, part, vec) == 0)
            for (size_t i = 0; i < count; i++)
                *there += vec[i] & 1;
        *pages += count;
        munmap(map, part);
    }
    close(fd);
    return 1;
}

static int read_through(const char *path)
{
    static char buffer[READ_SIZE];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n;
    while ((n = read(fd, buffer, sizeof buffer)) > 0)
        continue;
    close(fd);
    return n == 0;
}

/* The share of the files that is in memory in the end, per mille. */
static int warm(const char *const *files, int count)
{
    size_t pages = 0, there = 0;
    for (int try = 0; try < WARM_TRIES; try++) {
        for (int i = 0; i < count; i++)
            if (!read_through(files[i])) {
                fprintf(stderr, "bench_measure: %s: %s\n", files[i], strerror(errno));
                exit(3);
            }
        pages = there = 0;
        for (int i = 0; i < count; i++)
            resident(files[i], &pages, &there);
        if (there * 1000 >= pages * 999)
            break;
    }
    return pages ? (int)(there * 1000 / pages) : 1000;
}

int main(int argc, char **argv)
{
    const char *warm_files[WARM_MAX], *log = NULL;
    int warm_count = 0, at = 1;
    unsigned limit = 0;
    for (; at < argc && strcmp(argv[at], "--") != 0; at++) {
        if (strncmp(argv[at], "--warm=", 7) == 0 && warm_count < WARM_MAX)
            warm_files[warm_count++] = argv[at] + 7;
        else if (strncmp(argv[at], "--log=", 6) == 0)
            log = argv[at] + 6;
        else if (strncmp(argv[at], "--limit=", 8) == 0)
            limit = (unsigned)strtoul(argv[at] + 8, NULL, 10);
        else
            at = argc;
    }
    if (at + 1 >= argc) {
        fprintf(stderr,
                "usage: bench_measure [--warm=FILE]... [--log=FILE] [--limit=SECONDS] -- COMMAND...\n");
        return 2;
    }
    double load = 0;
    if (getloadavg(&load, 1) != 1)
        load = -1;
    int share = warm(warm_files, warm_count);

    double began = now();
    pid_t pid = fork();
    if (pid == 0) {
        int fd = log ? open(log, O_WRONLY | O_CREAT | O_TRUNC, 0644) : -1;
        if (fd >= 0) {
            dup2(fd, STDOUT_FILENO);
            dup2(fd, STDERR_FILENO);
        }
        execvp(argv[at + 1], argv + at + 1);
        fprintf(stderr, "bench_measure: %s: %s\n", argv[at + 1], strerror(errno));
        _exit(127);
    }
    if (pid < 0) {
        perror("bench_measure: fork");
        return 4;
    }
    child = pid;
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    alarm(limit);
    int status;
    struct rusage usage;
    while (wait4(pid, &status, 0, &usage) < 0)
        if (errno != EINTR) {
            perror("bench_measure: wait");
            return 4;
        }
    double took = now() - began;
    int code = timed_out ? 124 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    printf("%.4f %.3f %.3f %ld %d %.2f %d\n", took, seconds_of(usage.ru_utime), seconds_of(usage.ru_stime),
           usage.ru_maxrss, share, load, code);
    return 0;
}
