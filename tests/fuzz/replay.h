/* tests/fuzz/replay.h: without libFuzzer a target is a test: every file of the folders it is given is one input.
 *
 * Each input lies in a block of exactly its size, so that ASan sees a step past its end.
 */
#ifndef TIEOUT_TESTS_FUZZ_REPLAY_H
#define TIEOUT_TESTS_FUZZ_REPLAY_H

#ifndef TIEOUT_FUZZ
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int replay_fn(const uint8_t *bytes, size_t size);

static size_t replay_cuts;

static int replay_file(const char *path, replay_fn *each)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        exit(2);
    }
    const size_t size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(size ? size : 1);
    if (!bytes || fread(bytes, 1, size, file) != size) {
        perror(path);
        exit(2);
    }
    fclose(file);
    each(bytes, size);
    for (size_t cut = 1; replay_cuts && cut < size && size < 20000; cut += size / replay_cuts + 1)
        each(bytes, cut);
    free(bytes);
    return 1;
}

static int replay_path(const char *path, replay_fn *each)
{
    DIR *folder = opendir(path);
    if (!folder)
        return replay_file(path, each);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char name[1024];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        count += replay_path(name, each);
    }
    closedir(folder);
    return count;
}

/* Each input whole, and cut at about `cuts` places. The exit code: no input at all is a failure. */
static int replay(int count, char **paths, replay_fn *each, size_t cuts)
{
    int inputs = 0;
    replay_cuts = cuts;
    for (int i = 1; i < count; i++)
        inputs += replay_path(paths[i], each);
    printf("%d inputs replayed\n", inputs);
    return inputs == 0;
}
#endif

#endif
