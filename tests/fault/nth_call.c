/* tests/fault/nth_call.c: the nth allocation or I/O call fails, for every n, and the run ends as SPEC.md
 * says.
 *
 *     nth_call TIEOUT FIXTURES SCRATCH [STEP]
 *
 * TIEOUT is built with TIEOUT_FAULTS. Each job is run once whole, which gives its results and the number of
 * its calls; then once for every STEPth call that fails, and for each of the first ones, which open what all jobs open: the first
 * forty in the first jobs, four in those that open the same in another way. Each job begins its steps somewhere else, so that together
 * they meet more calls than one of them. What may come of that: exit 4, one error line, the
 * results of the run before untouched and nothing left beside them; or the very same results, where the call
 * could be done without. Anything else is told with the words that repeat it, and the exit code is 1.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORDS_MAX = 24, TEXT_MAX = 32768, RUN_MS_MAX = 60000 };

static char *tieout, *scratch;
static long runs, wrongs, succeeded;

struct outcome {
    int code; /* 128 + signal; -1: it hung */
    char text[TEXT_MAX];
};

static void die(const char *what)
{
    perror(what);
    exit(2);
}

/* Runs the command with the fault's settings added to the environment. */
static struct outcome run(char *const *words, char *const *settings)
{
    static struct outcome out;
    int ends[2];
    if (pipe(ends) != 0)
        die("pipe");
    fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        die("fork");
    if (child == 0) {
        for (int i = 0; settings[i]; i++)
            putenv(settings[i]);
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(null, 1);
        dup2(ends[1], 2);
        close(ends[0]);
        execv(words[0], words);
        _exit(127);
    }
    close(ends[1]);
    size_t used = 0;
    struct pollfd poll_end = {.fd = ends[0], .events = POLLIN};
    for (;;) {
        int ready = poll(&poll_end, 1, RUN_MS_MAX);
        if (ready == 0) {
            kill(child, SIGKILL);
            break;
        }
        char sink[4096];
        ssize_t n = read(ends[0], sink, sizeof sink);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        size_t keep = (size_t)n < TEXT_MAX - 1 - used ? (size_t)n : TEXT_MAX - 1 - used;
        memcpy(out.text + used, sink, keep);
        used += keep;
    }
    out.text[used] = 0;
    close(ends[0]);
    int status;
    waitpid(child, &status, 0);
    out.code = WIFEXITED(status)             ? WEXITSTATUS(status)
               : WTERMSIG(status) == SIGKILL ? -1
                                             : 128 + WTERMSIG(status);
    runs++;
    return out;
}

/* All bytes of the results but those of stats.json, names included; NULL when the folder is not there. */
static char *results(const char *folder, size_t *size)
{
    static const char *const names[] = {"match.csv",    "mismatch.csv",  "missing.csv",   "extra.csv",
                                        "suspense.csv", "duplicate.csv", "ambiguous.csv", "excluded.csv",
                                        "reject.csv",   "aggregate.csv", "summary.json"};
    struct stat st;
    *size = 0;
    if (stat(folder, &st) != 0)
        return NULL;
    char *bytes = malloc(1);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        FILE *file = fopen(path, "r");
        if (!file)
            continue;
        fstat(fileno(file), &st);
        bytes = realloc(bytes, *size + 64 + (size_t)st.st_size);
        *size += (size_t)sprintf(bytes + *size, "== %s\n", names[i]);
        *size += fread(bytes + *size, 1, (size_t)st.st_size, file);
        fclose(file);
    }
    return bytes;
}

/* Whether anything of a staging folder is left anywhere below `folder`. */
static int has_leftover(const char *folder)
{
    DIR *dir = opendir(folder);
    int found = 0;
    for (struct dirent *entry; dir && !found && (entry = readdir(dir));) {
        char path[4096];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        found = strstr(entry->d_name, "tieout-") != NULL || (entry->d_type == DT_DIR && has_leftover(path));
    }
    if (dir)
        closedir(dir);
    return found;
}

static int error_lines(const char *text)
{
    int count = 0;
    for (const char *at = text; at; at = strchr(at, '\n'), at += at != NULL)
        count += strncmp(at, "error ", 6) == 0;
    return count;
}

static void wrong(char *const *words, char *const *settings, const struct outcome *got, const char *format,
                  ...)
{
    va_list ap;
    va_start(ap, format);
    printf("WRONG ");
    vprintf(format, ap);
    va_end(ap);
    printf(": exit %d\n  repeat:", got->code);
    for (int i = 0; settings[i]; i++)
        printf(" %s", settings[i]);
    for (int i = 0; words[i]; i++)
        printf(" %s", words[i]);
    printf("\n%.1500s\n", got->text);
    wrongs++;
}

struct job {
    const char *name;
    char *words[WORDS_MAX];
    char out[4096]; /* where its results appear */
    int is_first;   /* of its kind: what is opened is not the same as in a job before it */
};

static void fail_each(struct job *job, const char *kind, long count, char *error, int forever, long step,
                      const char *want, size_t want_size, int want_code)
{
    static long series;
    const long first = job->is_first ? 40 : 4, shift = ++series * 7 % step;
    char setting[64];
    char *settings[4] = {setting, error, forever ? "TIEOUT_FAIL_FOREVER=1" : NULL, NULL};
    for (long n = 1; n <= count + 3; n += n < first ? 1 : n == first ? 1 + shift : step) {
        snprintf(setting, sizeof setting, "TIEOUT_FAIL_%s=%ld", kind, n);
        struct outcome got = run(job->words, settings);
        size_t size;
        char *now = results(job->out, &size);
        int same = now && size == want_size && memcmp(now, want, size) == 0;
        if (got.code != 4 && got.code != want_code)
            wrong(job->words, settings, &got, "%s: the exit code is neither 4 nor %d", job->name, want_code);
        else if (!same)
            wrong(job->words, settings, &got, "%s: the results %s", job->name, now ? "changed" : "are gone");
        else if (got.code == 4 && error_lines(got.text) != 1)
            wrong(job->words, settings, &got, "%s: %d error lines", job->name, error_lines(got.text));
        if (has_leftover(scratch))
            wrong(job->words, settings, &got, "%s: a staging folder was left", job->name);
        succeeded += got.code == want_code;
        free(now);
        if (wrongs > 20)
            break;
    }
}

static void fail_all(struct job *job, long step)
{
    char *counting[] = {"TIEOUT_COUNT_CALLS=1", NULL};
    struct outcome whole = run(job->words, counting);
    size_t want_size;
    char *want = results(job->out, &want_size);
    const char *counted = strstr(whole.text, "calls: mem ");
    long mem = 0, io = 0;
    if (!want || !counted || sscanf(counted, "calls: mem %ld io %ld", &mem, &io) != 2 ||
        (whole.code != 0 && whole.code != 1)) {
        wrong(job->words, counting, &whole, "%s: it does not run (is it built with TIEOUT_FAULTS?)",
              job->name);
        return;
    }
    long before = runs, before_ok = succeeded;
    fail_each(job, "MEM", mem, "TIEOUT_FAIL_ERRNO=12", 0, step, want, want_size, whole.code);
    fail_each(job, "IO", io, "TIEOUT_FAIL_ERRNO=5", 0, step, want, want_size, whole.code); /* EIO */
    fail_each(job, "IO", io, "TIEOUT_FAIL_ERRNO=28", 1, step * 3, want, want_size,
              whole.code); /* ENOSPC, and it stays full */
    fail_each(job, "IO", io, "TIEOUT_FAIL_ERRNO=24", 0, step * 5, want, want_size, whole.code); /* EMFILE */
    char *none[] = {NULL};
    struct outcome again = run(job->words, none);
    size_t size;
    char *now = results(job->out, &size);
    if (again.code != whole.code || !now || size != want_size || memcmp(now, want, size) != 0)
        wrong(job->words, none, &again, "%s: a run afterwards gives something else", job->name);
    free(now);

    /* Once more where no results stand yet: a failed run leaves nothing at all. */
    char command[8192];
    for (long n = 1; n <= io; n += 3 * step) {
        char setting[64];
        char *settings[] = {setting, NULL};
        snprintf(command, sizeof command, "rm -rf '%s'", job->out);
        if (system(command) != 0)
            die("rm");
        snprintf(setting, sizeof setting, "TIEOUT_FAIL_IO=%ld", n);
        struct outcome got = run(job->words, settings);
        now = results(job->out, &size);
        int same = now && size == want_size && memcmp(now, want, size) == 0;
        if (got.code == 4 ? now && !same : got.code != whole.code || !same)
            wrong(job->words, settings, &got, "%s: without earlier results", job->name);
        free(now);
    }
    printf("%-44s %4ld allocations, %4ld calls: %ld runs, %ld did without\n", job->name, mem, io,
           runs - before, succeeded - before_ok);
    free(want);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    tieout = argv[1];
    scratch = argv[3];
    long step = argc > 4 ? atol(argv[4]) : 1;
    char local[4096], channel[4096], yaml[4096], clean_local[4096], clean_channel[4096];
    snprintf(local, sizeof local, "%s/local.csv", argv[2]);
    snprintf(channel, sizeof channel, "%s/channel.csv", argv[2]);
    snprintf(yaml, sizeof yaml, "%s/job.yaml", argv[2]);
    snprintf(clean_local, sizeof clean_local, "%s/clean/local.csv", argv[2]);
    snprintf(clean_channel, sizeof clean_channel, "%s/clean/channel.csv", argv[2]);
    static char *const ways[][4] = {{"posix", "--io=posix", "--threads=1", NULL},
                                    {"uring", "--io=uring", "--threads=1", NULL},
                                    {"posix, 2 threads", "--io=posix", "--threads=2", NULL},
                                    {"uring, 2 threads", "--io=uring", "--threads=2", NULL}};
    for (int way = 0; way < 4; way++) {
        char out[4200], name[100];
        snprintf(out, sizeof out, "--out=%s/out", scratch);
        struct job diff = {.name = name,
                           .is_first = way == 0,
                           .words = {tieout, "diff", local, channel, "--key=channel_code,biz_order_no",
                                     "--amount=amount", "--compare=status", "--max-rejects=5",
                                     "--write-match", "--chunk=512B", out, ways[way][1], ways[way][2], NULL}};
        snprintf(name, sizeof name, "diff, %s", ways[way][0]);
        snprintf(diff.out, sizeof diff.out, "%s/out", scratch);
        fail_all(&diff, way < 2 ? step : step * 3);
        /* The same through the spill file. */
        struct job spilled = {.name = name,
                              .words = {tieout, "diff", local, channel, "--key=channel_code,biz_order_no",
                                        "--amount=amount", "--compare=status", "--max-rejects=5",
                                        "--index-memory=1KiB", out, ways[way][1], ways[way][2], NULL}};
        snprintf(name, sizeof name, "diff that spills, %s", ways[way][0]);
        snprintf(spilled.out, sizeof spilled.out, "%s/out", scratch);
        fail_all(&spilled, way < 2 ? step * 2 : step * 6);
        /* One key on all rows, judged in parts: once with one thread, once with two. */
        struct job crowd = {.name = name,
                            .words = {tieout, "diff", local, channel, "--key=currency", "--amount=amount",
                                      "--compare=status", "--max-rejects=5", "--group-rows=3",
                                      "--index-memory=1KiB", out, ways[way][1], ways[way][2], NULL}};
        snprintf(name, sizeof name, "diff of one key, %s", ways[way][0]);
        snprintf(crowd.out, sizeof crowd.out, "%s/out", scratch);
        if (way % 3 == 0)
            fail_all(&crowd, step * 6);
        /* Without rejects two threads write the class files. */
        struct job clean = {.name = name,
                            .words = {tieout, "diff", clean_local, clean_channel,
                                      "--key=channel_code,biz_order_no", "--amount=amount", out, ways[way][1],
                                      ways[way][2], NULL}};
        snprintf(name, sizeof name, "diff without rejects, %s", ways[way][0]);
        snprintf(clean.out, sizeof clean.out, "%s/out", scratch);
        if (way == 2)
            fail_all(&clean, step * 3);
        struct job job = {.name = name,
                          .is_first = way == 0,
                          .words = {tieout, "run", yaml, "--date=2026-01-01", "--chunk=1KiB", out,
                                    ways[way][1], ways[way][2], NULL}};
        snprintf(name, sizeof name, "run, %s", ways[way][0]);
        snprintf(job.out, sizeof job.out, "%s/out/faults/2026-01-01", scratch);
        char command[8192];
        snprintf(command, sizeof command, "rm -rf '%s/out'", scratch);
        if (system(command) != 0)
            die("rm");
        fail_all(&job, way < 2 ? step : step * 3);
        if (system(command) != 0)
            die("rm");
        if (way % 3) /* packed: once with one thread, once with two */
            continue;
        strcat(local, ".gz");
        strcpy(channel + strlen(channel) - 3, "zip");
        snprintf(name, sizeof name, "diff of packed files, %s", ways[way][0]);
        snprintf(diff.out, sizeof diff.out, "%s/out", scratch);
        fail_all(&diff, way < 2 ? step : step * 3);
        local[strlen(local) - 3] = 0;
        strcpy(channel + strlen(channel) - 3, "csv");
        if (system(command) != 0)
            die("rm");
    }
    printf("%ld runs, %ld wrong\n", runs, wrongs);
    return wrongs != 0;
}
