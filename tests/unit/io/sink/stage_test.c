/* tests/unit/io/sink/stage_test.c: a directory that appears whole or not at all, and never eats what is not
 * tieout's */
#include "io/sink/stage.h"
#include "tests/support/check_test.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const names[] = {"match.csv", "summary.json", NULL};
static char base[200];

/* A folder for one test; its path with `name` behind it. */
static const char *path_of(const char *name)
{
    static char paths[8][400];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", base, name);
    return path;
}

static void begin(void)
{
    const char *folder = getenv("TMPDIR");
    snprintf(base, sizeof base, "%s/tieout-stage-XXXXXX", folder ? folder : "/tmp");
    if (!mkdtemp(base))
        exit(4);
}

static void end(void)
{
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", base);
    EXPECT(system(command) == 0);
}

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    EXPECT(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static int holds(const char *path, const char *text)
{
    char room[100] = {0};
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    size_t n = fread(room, 1, sizeof room - 1, file);
    fclose(file);
    return n == strlen(text) && strcmp(room, text) == 0;
}

static int entries(const char *folder)
{
    int count = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    if (dir)
        closedir(dir);
    return dir ? count : -1;
}

static void put_staged(struct stage *stage, const char *name, const char *text)
{
    char path[5000];
    snprintf(path, sizeof path, "%s/%s", stage_path(stage), name);
    put(path, text);
}

TEST(a_new_directory_appears_with_its_parents)
{
    begin();
    struct stage *stage;
    struct diag diag = {0};
    EXPECT(stage_open(&stage, path_of("a/b/out/"), names, &diag) == OK);
    put_staged(stage, "match.csv", "one");
    EXPECT(access(path_of("a/b/out"), F_OK) != 0);
    EXPECT(stage_publish(stage, &diag) == OK && holds(path_of("a/b/out/match.csv"), "one"));
    stage_close(stage);
    struct stat st;
    EXPECT(holds(path_of("a/b/out/match.csv"), "one") && entries(path_of("a/b")) == 1);
    EXPECT(stat(path_of("a/b/out"), &st) == 0 &&
           (st.st_mode & 077) == 0); /* payments are nobody else's business */
    end();
}

TEST(older_results_are_replaced_as_a_whole)
{
    begin();
    struct stage *stage;
    struct diag diag = {0};
    mkdir(path_of("out"), 0700);
    put(path_of("out/match.csv"), "old");
    put(path_of("out/summary.json"), "{\"job\": \"old\", \"bill_date\": null, \"classes\": {}}");
    EXPECT(stage_open(&stage, path_of("out"), names, &diag) == OK);
    put_staged(stage, "match.csv", "new");
    EXPECT(holds(path_of("out/match.csv"), "old"));
    EXPECT(stage_publish(stage, &diag) == OK);
    stage_close(stage);
    EXPECT(holds(path_of("out/match.csv"), "new") && entries(path_of("out")) == 1 && entries(base) == 1);
    end();
}

TEST(what_is_not_published_leaves_nothing)
{
    begin();
    struct stage *stage;
    struct diag diag = {0};
    EXPECT(stage_open(&stage, path_of("out"), names, &diag) == OK);
    put_staged(stage, "match.csv", "x");
    stage_close(stage);
    EXPECT(entries(base) == 0);
    EXPECT(stage_open(&stage, path_of("a/b/c/out"), names, &diag) == OK);
    stage_close(stage);
    EXPECT(entries(base) == 0);
    mkdir(path_of("a"), 0700);
    mkdir(path_of("a/b"), 0700);
    EXPECT(stage_open(&stage, path_of("a/b/c/out"), names, &diag) == OK);
    stage_close(stage);
    EXPECT(entries(path_of("a")) == 1 && entries(path_of("a/b")) == 0);
    rmdir(path_of("a/b"));
    rmdir(path_of("a"));
    stage_close(NULL);
    end();
}

static int refused(const char *path, const char *word)
{
    struct stage *stage = (struct stage *)&base;
    struct diag diag = {0};
    enum err err = stage_open(&stage, path, names, &diag);
    if (err != ERR_USAGE || !strstr(diag.what, word))
        fprintf(stderr, "%s: %d, %s\n", path, (int)err, diag.what);
    return err == ERR_USAGE && stage == NULL && strstr(diag.what, word) &&
           strcmp(diag.code, "out.directory") == 0;
}

TEST(files_of_a_person_that_have_our_names_are_refused)
{
    begin();
    mkdir(path_of("out"), 0700);
    put(path_of("out/match.csv"), "mine");
    EXPECT(refused(path_of("out"), "no summary.json"));
    put(path_of("out/summary.json"), "hand-written");
    EXPECT(refused(path_of("out"), "no summary.json") && holds(path_of("out/match.csv"), "mine"));
    end();
}

TEST(what_is_not_tieout_s_is_refused)
{
    begin();
    mkdir(path_of("alien"), 0700);
    put(path_of("alien/match.csv"), "mine");
    put(path_of("alien/thesis.doc"), "do not lose");
    EXPECT(refused(path_of("alien"), "thesis.doc"));
    put(path_of("file"), "a file");
    EXPECT(refused(path_of("file"), "a file, not a directory"));
    mkdir(path_of("target"), 0700);
    EXPECT(symlink(path_of("target"), path_of("link")) == 0);
    EXPECT(refused(path_of("link"), "symbolic link"));
    EXPECT(symlink(path_of("nowhere"), path_of("dangling")) == 0);
    EXPECT(refused(path_of("dangling"), "symbolic link"));
    EXPECT(refused(path_of("."), "replaced as a whole") && refused(path_of(".."), "replaced as a whole") &&
           refused("", "empty") && refused("/", "replaced as a whole"));
    EXPECT(holds(path_of("alien/match.csv"), "mine") && holds(path_of("alien/thesis.doc"), "do not lose") &&
           holds(path_of("file"), "a file"));
    EXPECT(entries(base) == 5 && entries(path_of("target")) == 0);
    end();
}

TEST(a_file_among_the_parents_is_told)
{
    begin();
    put(path_of("file"), "a file");
    struct stage *stage;
    struct diag diag = {0};
    enum err err = stage_open(&stage, path_of("file/out"), names, &diag);
    EXPECT(err == ERR_USAGE && stage == NULL && strstr(diag.what, "file is a file, not a directory"));
    end();
}

TEST(alien_files_that_came_meanwhile_are_not_lost)
{
    begin();
    struct stage *stage;
    struct diag diag = {0};
    EXPECT(stage_open(&stage, path_of("out"), names, &diag) == OK);
    put_staged(stage, "match.csv", "new");
    mkdir(path_of("out"), 0700);
    put(path_of("out/thesis.doc"), "do not lose");
    enum err err = stage_publish(stage, &diag);
    stage_close(stage);
    EXPECT(err != OK && holds(path_of("out/thesis.doc"), "do not lose"));
    end();
}

/* A run in another process that dies with its staging directory open. */
static void die_in_the_middle(int wait_for_kill)
{
    int ends[2];
    EXPECT(pipe(ends) == 0);
    pid_t child = fork();
    if (child == 0) {
        struct stage *stage;
        struct diag diag = {0};
        if (stage_open(&stage, path_of("out"), names, &diag) != OK)
            _exit(1);
        put_staged(stage, "match.csv", "half");
        if (write(ends[1], "x", 1) != 1)
            _exit(1);
        if (wait_for_kill)
            pause();
        _exit(0);
    }
    char byte;
    EXPECT(read(ends[0], &byte, 1) == 1);
    if (wait_for_kill)
        kill(child, 9);
    waitpid(child, NULL, 0);
    close(ends[0]);
    close(ends[1]);
}

TEST(a_killed_run_is_swept_by_the_next)
{
    begin();
    die_in_the_middle(1);
    die_in_the_middle(0);
    EXPECT(entries(base) >= 1);
    struct stage *stage;
    struct diag diag = {0};
    EXPECT(stage_open(&stage, path_of("out"), names, &diag) == OK && entries(base) == 1);
    put_staged(stage, "match.csv", "whole");
    EXPECT(stage_publish(stage, &diag) == OK);
    stage_close(stage);
    EXPECT(entries(base) == 1 && holds(path_of("out/match.csv"), "whole"));
    end();
}

TEST(a_run_that_lives_is_not_swept)
{
    begin();
    int ends[2], go[2];
    EXPECT(pipe(ends) == 0 && pipe(go) == 0);
    pid_t child = fork();
    if (child == 0) {
        struct stage *stage;
        struct diag diag = {0};
        char byte;
        if (stage_open(&stage, path_of("out"), names, &diag) != OK)
            _exit(1);
        put_staged(stage, "match.csv", "theirs");
        if (write(ends[1], "x", 1) != 1 || read(go[0], &byte, 1) != 1)
            _exit(1);
        int code = stage_publish(stage, &diag) == OK && holds(path_of("out/match.csv"), "theirs") ? 0 : 2;
        stage_close(stage);
        _exit(code);
    }
    char byte;
    EXPECT(read(ends[0], &byte, 1) == 1);
    struct stage *stage;
    struct diag diag = {0};
    EXPECT(stage_open(&stage, path_of("out"), names, &diag) == OK && entries(base) == 2);
    stage_close(stage);
    EXPECT(entries(base) == 1 && write(go[1], "x", 1) == 1);
    int status;
    waitpid(child, &status, 0);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(ends[0]), close(ends[1]), close(go[0]), close(go[1]);
    end();
}

/* Rounds of two runs at once, of which each sweeps what the other just made. */
static int open_and_close(const char *final, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        struct stage *stage;
        struct diag diag = {0};
        if (stage_open(&stage, path_of(final), names, &diag) != OK) {
            diag_print(&diag, stderr);
            return 0;
        }
        char path[5000];
        snprintf(path, sizeof path, "%s/match.csv", stage_path(stage));
        put(path, "mine");
        const int ok = holds(path, "mine");
        stage_close(stage);
        if (!ok)
            return 0;
    }
    return 1;
}

TEST(two_that_start_at_once_leave_each_other_s_folders_alone)
{
    begin();
    mkdir(path_of("stays"), 0700);
    const char *const finals[] = {"stays/out", "a/b/out"}; /* and with parents that come and go */
    for (int i = 0; i < 2; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(open_and_close(finals[i], 400) ? 0 : 1);
        EXPECT(open_and_close(finals[i], 400));
        int status;
        waitpid(child, &status, 0);
        EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    EXPECT(entries(path_of("stays")) == 0);
    end();
}

/* Process ids are told twice where runs have containers of their own, and share the folder of results. */
TEST(a_folder_of_the_same_process_id_is_another_run_s)
{
    begin();
    char name[60];
    snprintf(name, sizeof name, ".out.tieout-%d", (int)getpid());
    mkdir(path_of(name), 0700);
    int other = open(path_of(name), O_RDONLY | O_DIRECTORY);
    EXPECT(other >= 0 && flock(other, LOCK_EX | LOCK_NB) == 0);
    struct stage *stage;
    struct diag diag = {0};
    EXPECT(stage_open(&stage, path_of("out"), names, &diag) == OK && entries(base) == 2);
    put_staged(stage, "match.csv", "mine");
    EXPECT(entries(path_of(name)) == 0 && stage_publish(stage, &diag) == OK);
    stage_close(stage);
    EXPECT(holds(path_of("out/match.csv"), "mine") && entries(base) == 2);
    close(other);
    end();
}

TEST(folders_that_only_look_like_staging_are_left_alone)
{
    begin();
    mkdir(path_of(".out.tieout-notes"), 0700);
    put(path_of(".out.tieout-notes/thesis.doc"), "do not lose");
    struct stage *stage;
    struct diag diag = {0};
    EXPECT(stage_open(&stage, path_of("out"), names, &diag) == OK);
    stage_close(stage);
    EXPECT(holds(path_of(".out.tieout-notes/thesis.doc"), "do not lose"));
    end();
}
