/* tests/unit/core/config/options_test.c: the command line */
#include "core/config/nearest.h"
#include "core/config/options.h"
#include "core/model/day.h"
#include "tests/support/check_test.h"
#include <string.h>

static struct options options;
static struct diag diag;

#define PARSE(command, ...)                                                                                  \
    (diag = (struct diag){0},                                                                                \
     options_parse(&options, COMMAND_##command, (int)(sizeof(char *[]){__VA_ARGS__} / sizeof(char *)),       \
                   (char *[]){__VA_ARGS__}, &diag))

static int told(const char *what, const char *hint)
{
    int is_so = diag.err == ERR_USAGE && strstr(diag.what, what) && strstr(diag.hint, hint);
    if (!is_so)
        fprintf(stderr, "wanted %s (%s), got %s (%s)\n", what, hint, diag.what, diag.hint);
    return is_so;
}

TEST(values_arrive_in_their_fields)
{
    EXPECT(PARSE(DIFF, "a.csv", "--key=no:order,shop", "b.csv", "--amount=amt", "--memory=512MiB",
                 "--threads=4", "--write-match", "--io=posix", "--max-rejects=0.5%", "--chunk=7") == OK);
    EXPECT(options.command == COMMAND_DIFF && options.argument_count == 2);
    EXPECT(strcmp(options.arguments[0], "a.csv") == 0 && strcmp(options.arguments[1], "b.csv") == 0);
    EXPECT(strcmp(options.key, "no:order,shop") == 0 && strcmp(options.amount, "amt") == 0 &&
           !options.compare);
    EXPECT(options.memory == 512u << 20 && options.threads == 4 && options.write_match == 1 &&
           options.chunk == 7);
    EXPECT(strcmp(options.io, "posix") == 0 && strcmp(options.format, "text") == 0);
    EXPECT(options.max_rejects.ppm == 5000 && strcmp(options.max_rejects.text, "0.5%") == 0);
    EXPECT(options.given[OPTION_ID_memory] && !options.given[OPTION_ID_out]);
    EXPECT(PARSE(RUN, "j.yaml", "--date=2026-11-19", "--write-match=false", "--format=json",
                 "--max-rejects=3") == OK);
    EXPECT(options.date == day_from_civil(2026, 11, 19) && !options.write_match &&
           options.given[OPTION_ID_write_match]);
    EXPECT(strcmp(options.format, "json") == 0 && options.max_rejects.count == 3 && options.threads == 0);
    EXPECT(PARSE(GEN, "--out=d", "--missing=1%", "--seed=18446744073709551615") == OK);
    EXPECT(options.rows == 1000000 && options.seed == UINT64_MAX && strcmp(options.order, "time") == 0);
    EXPECT(options.missing.ppm == 10000 && !options.extra.text);
    EXPECT(PARSE(INSPECT, "f", "--format=binlog", "--json-lines", "--limit=0") == OK);
    EXPECT(strcmp(options.input_format, "binlog") == 0 && !options.format && options.json_lines &&
           options.given[OPTION_ID_limit]);
}

TEST(a_value_may_hold_anything)
{
    EXPECT(PARSE(DIFF, "a", "b", "--key=a=b", "--amount=--x") == OK);
    EXPECT(strcmp(options.key, "a=b") == 0 && strcmp(options.amount, "--x") == 0);
    EXPECT(PARSE(CHECK, "--", "--job.yaml") == OK && strcmp(options.arguments[0], "--job.yaml") == 0);
    EXPECT(PARSE(INSPECT, "-") == OK && strcmp(options.arguments[0], "-") == 0);
}

TEST(unknown_options_are_told_with_the_nearest_name)
{
    EXPECT(PARSE(DIFF, "a", "b", "--kye=x") != OK &&
           told("--kye: diff has no such option", "did you mean --key?"));
    EXPECT(PARSE(DIFF, "a", "b", "--write_match") != OK &&
           told("--write_match", "did you mean --write-match?"));
    EXPECT(PARSE(RUN, "a", "--dates=x") != OK && told("--dates", "did you mean --date?"));
    EXPECT(PARSE(DIFF, "a", "b", "--rows=3") != OK &&
           told("--rows: an option of gen, not of diff", "tieout diff --help"));
    EXPECT(PARSE(CHECK, "a", "--zzzzzzz") != OK &&
           told("--zzzzzzz: check has no such option", "tieout check --help"));
    EXPECT(PARSE(DIFF, "a", "b", "--shard=1") != OK &&
           told("--shard: diff has no such option", "see: tieout diff"));
    EXPECT(PARSE(RUN, "a", "-d") != OK && told("-d: there are no short options", "--name=value"));
    EXPECT(PARSE(RUN, "a", "--=5") != OK && told("--: run has no such option", ""));
}

TEST(bad_values_are_told_with_what_was_expected)
{
    EXPECT(PARSE(DIFF, "a", "b", "--key") != OK && told("--key: expected --key=COLUMNS", "without a space"));
    EXPECT(PARSE(DIFF, "a", "b", "--key=") != OK && told("--key: \"\": expected COLUMNS", ""));
    EXPECT(PARSE(DIFF, "a", "b", "--key=x", "--key=x") != OK && told("--key is given twice", ""));
    EXPECT(PARSE(RUN, "a", "--memory=12XB") != OK && told("\"12XB\": expected a size such as 512MiB", ""));
    EXPECT(PARSE(RUN, "a", "--memory=0") != OK && told("\"0\"", ""));
    EXPECT(PARSE(RUN, "a", "--memory=-1") != OK && told("\"-1\"", ""));
    EXPECT(PARSE(RUN, "a", "--memory=99999999TiB") != OK && told("99999999TiB", ""));
    EXPECT(PARSE(RUN, "a", "--threads=0") != OK &&
           told("--threads: \"0\": expected a whole number from 1 to 256", ""));
    EXPECT(PARSE(RUN, "a", "--threads=257") != OK && told("257", ""));
    EXPECT(PARSE(RUN, "a", "--threads=2x") != OK && told("2x", ""));
    EXPECT(PARSE(RUN, "a", "--date=2026-02-29") != OK && told("\"2026-02-29\": expected a date", ""));
    EXPECT(PARSE(RUN, "a", "--io=fast") != OK && told("one of auto|uring|posix", ""));
    EXPECT(PARSE(RUN, "a", "--io=auto|uring") != OK && told("one of auto|uring|posix", ""));
    EXPECT(PARSE(RUN, "a", "--write-match=1") != OK && told("true or false", ""));
    EXPECT(PARSE(RUN, "a", "--max-rejects=101%") != OK && told("a share such as 0.5%", ""));
    EXPECT(PARSE(GEN, "--rows=0", "--out=d") != OK && told("from 1 to 100000000000", ""));
    EXPECT(PARSE(GEN, "--seed=18446744073709551616", "--out=d") != OK && told("18446744073709551616", ""));
}

TEST(what_a_command_needs_must_be_there)
{
    EXPECT(PARSE(DIFF, "a", "--key=x", "--amount=y") != OK &&
           told("expected two files", "tieout diff --help"));
    EXPECT(PARSE(DIFF, "a", "b", "c") != OK && told("\"c\" is one too many", ""));
    EXPECT(PARSE(DIFF, "a", "b", "--amount=y") != OK && told("--key=COLUMNS is missing", ""));
    EXPECT(PARSE(DIFF, "a", "b", "--key=y") != OK && told("--amount=COLUMN is missing", ""));
    EXPECT(PARSE(RUN, "a") != OK && told("--date=YYYY-MM-DD is missing", ""));
    EXPECT(PARSE(GEN, "--rows=5") != OK && told("--out=DIR is missing", ""));
    EXPECT(PARSE(GEN, "x", "--out=d") != OK && told("\"x\" is one too many", ""));
    EXPECT(PARSE(CHECK, "") != OK && told("an empty file name", ""));
}

TEST(sizes_have_units)
{
    uint64_t size;
    EXPECT(options_size_parse("65536", &size) && size == 65536);
    EXPECT(options_size_parse("64KiB", &size) && size == 65536);
    EXPECT(options_size_parse("1GiB", &size) && size == 1u << 30);
    EXPECT(options_size_parse("512MB", &size) && size == 512000000);
    EXPECT(options_size_parse("16777215TiB", &size) && size == 16777215ull << 40);
    static const char *const bad[] = {"",
                                      "MiB",
                                      "1 MiB",
                                      "1.5GiB",
                                      "1gib",
                                      "-1",
                                      "+1",
                                      "0x10",
                                      "1MiBs",
                                      "16777216TiB",
                                      "99999999999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        EXPECT(!options_size_parse(bad[i], &size));
}

TEST(commands_have_names)
{
    EXPECT(options_command("diff") == COMMAND_DIFF && options_command("gen") == COMMAND_GEN);
    EXPECT(options_command("") == COMMAND_NONE && options_command("Diff") == COMMAND_NONE);
    EXPECT(strcmp(options_command_nearest("dif"), "diff") == 0 &&
           strcmp(options_command_nearest("chekc"), "check") == 0);
    EXPECT(!options_command_nearest("frobnicate"));
}

TEST(no_two_options_of_a_command_share_a_name)
{
    for (int i = 0; i < OPTION_IDS; i++) {
        const struct option_spec *spec = &option_specs[i];
        EXPECT(spec->commands && (spec->required & ~spec->commands) == 0);
        EXPECT((spec->kind == OPTION_WORD) == (spec->choices != NULL));
        for (int j = 0; j < i; j++)
            EXPECT(strcmp(spec->name, option_specs[j].name) != 0 ||
                   !(spec->commands & option_specs[j].commands));
    }
}

TEST(the_nearest_name_is_near)
{
    static const char *const names[] = {"amount", "column", "columns", "fee"};
    EXPECT(nearest_index("amuont", names, 4) == 0);
    EXPECT(nearest_index("AMOUNT", names, 4) == 0);
    EXPECT(nearest_index("colum", names, 4) == 1);
    EXPECT(nearest_index("fe", names, 4) == 3);
    EXPECT(nearest_index("colour", names, 4) == -1);
    EXPECT(nearest_index("", names, 4) == -1);
    EXPECT(nearest_index("banana", names, 4) == -1);
    EXPECT(nearest_index("a-very-long-word-that-is-longer-than-any-name-of-ours", names, 4) == -1);
}
