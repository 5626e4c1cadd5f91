/* tests/oracle/oracle_main.c: the oracle as a program.
 *
 *     tieout_oracle LOCAL.csv CHANNEL.csv --key=biz_order_no --amount=amount --compare=status --out=DIR
 *
 * Writes DIR/<class>.csv as `tieout diff --write-match` does, but for the place columns, and prints the
 * counts. Beyond diff it takes what a job file says: more --key=, --tolerance-amount=0.01,
 * --tolerance-amount-ppm=500, --tolerance-fee=0.01, --window=BEFORE,AFTER,
 * --cut=HH:MM, --local-occurrence=COLUMN, --channel-occurrence=COLUMN, --threshold=LOCAL,CHANNEL.
 */
#include "tests/oracle/oracle_diff.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct text read_file(const char *path)
{
    struct text all = {0};
    char block[1 << 16];
    FILE *f = fopen(path, "rb");
    if (!f) {
        fprintf(stderr, "oracle: cannot read %s\n", path);
        exit(3);
    }
    text_append(&all, "", 0);
    for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0;)
        text_append(&all, block, n);
    fclose(f);
    return all;
}

static int is_option(const char *arg, const char *name, const char **value)
{
    size_t n = strlen(name);
    if (strncmp(arg, name, n) != 0 || arg[n] != '=')
        return 0;
    *value = arg + n + 1;
    return 1;
}

static int64_t amount_option(const char *value)
{
    int64_t micro = 0;
    if (!oracle_money((struct text){(char *)value, strlen(value)}, 0, &micro)) {
        fprintf(stderr, "oracle: \"%s\" is no amount\n", value);
        exit(2);
    }
    return micro;
}

static void write_tables(const struct oracle *oracle, const char *out)
{
    mkdir(out, 0777);
    for (int i = 0; i < O_CLASSES; i++) {
        char path[4096];
        struct text text = {0};
        table_print(oracle_table(oracle, i), &text);
        snprintf(path, sizeof path, "%s/%s.csv", out, oracle_class_word(i));
        FILE *f = fopen(path, "wb");
        if (!f || fwrite(text.data, 1, text.size, f) != text.size || fclose(f) != 0) {
            fprintf(stderr, "oracle: cannot write %s\n", path);
            exit(4);
        }
        free(text.data);
    }
}

int main(int argc, char **argv)
{
    const char *paths[2], *keys[8], *amount = NULL, *compare = NULL, *out = NULL, *value;
    int path_count = 0, key_count = 0;
    struct oracle_job rules = {.timezone = "Asia/Shanghai", .currency = "CNY"};
    const char *occurrence[ORACLE_SIDES] = {NULL, NULL};
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (is_option(arg, "--key", &value) && key_count < 8)
            keys[key_count++] = value;
        else if (is_option(arg, "--amount", &value))
            amount = value;
        else if (is_option(arg, "--compare", &value))
            compare = value;
        else if (is_option(arg, "--out", &value))
            out = value;
        else if (is_option(arg, "--currency", &value))
            rules.currency = value;
        else if (is_option(arg, "--timezone", &value))
            rules.timezone = value;
        else if (is_option(arg, "--max-rejects", &value))
            rules.max_rejects[0] = rules.max_rejects[1] = atol(value);
        else if (is_option(arg, "--tolerance-amount", &value))
            rules.amount_tolerance_micro = amount_option(value);
        else if (is_option(arg, "--tolerance-amount-ppm", &value))
            rules.amount_tolerance_ppm = atol(value);
        else if (is_option(arg, "--tolerance-fee", &value))
            rules.fee_tolerance_micro = amount_option(value);
        else if (is_option(arg, "--window", &value))
            rules.has_window = sscanf(value, "%d,%d", &rules.window_before, &rules.window_after) == 2;
        else if (is_option(arg, "--cut", &value))
            rules.cut_minutes = atoi(value) * 60 + (strchr(value, ':') ? atoi(strchr(value, ':') + 1) : 0);
        else if (is_option(arg, "--local-occurrence", &value))
            occurrence[0] = value;
        else if (is_option(arg, "--channel-occurrence", &value))
            occurrence[1] = value;
        else if (is_option(arg, "--threshold", &value))
            sscanf(value, "%d,%d", &rules.threshold[0], &rules.threshold[1]);
        else if (arg[0] != '-' && path_count < 2)
            paths[path_count++] = arg;
        else
            return fprintf(stderr, "oracle: what is %s?\n", arg), 2;
    }
    static struct oracle_diff diff;
    if (path_count < 2 || key_count == 0 || !amount || !oracle_diff_init(&diff, keys[0], amount, compare))
        return fprintf(stderr, "usage: tieout_oracle LOCAL.csv CHANNEL.csv --key=K --amount=A [--compare=C] "
                               "[--out=DIR] ...\n"),
               2;
    struct oracle_job *job = &diff.job;
    for (int i = 1; i < key_count; i++)
        if (!oracle_diff_add_key(&diff, keys[i]))
            return fprintf(stderr, "oracle: what key is %s?\n", keys[i]), 2;
    job->currency = rules.currency;
    job->timezone = rules.timezone;
    job->cut_minutes = rules.cut_minutes;
    job->amount_tolerance_micro = rules.amount_tolerance_micro;
    job->amount_tolerance_ppm = rules.amount_tolerance_ppm;
    job->fee_tolerance_micro = rules.fee_tolerance_micro;
    job->has_window = rules.has_window;
    job->window_before = rules.window_before;
    job->window_after = rules.window_after;
    for (int side = 0; side < ORACLE_SIDES; side++) {
        job->threshold[side] = rules.threshold[side];
        job->max_rejects[side] = rules.max_rejects[side];
        if (occurrence[side]) {
            job->sources[side].occurrence[0] = occurrence[side];
            job->sources[side].occurrence_is_field = 0;
        }
    }

    struct oracle *oracle = oracle_open(job);
    struct text data[ORACLE_SIDES];
    for (int side = 0; side < ORACLE_SIDES; side++) {
        data[side] = read_file(paths[side]);
        if (oracle_read(oracle, side, paths[side], data[side].data, data[side].size) != 0)
            return fprintf(stderr, "oracle: refused: %s\n", oracle_refusal(oracle)), 3;
    }
    oracle_match(oracle);
    if (out)
        write_tables(oracle, out);
    for (int i = 0; i < O_CLASSES; i++)
        printf("%s local %ld channel %ld\n", oracle_class_word(i), oracle_count(oracle, i, 0),
               oracle_count(oracle, i, 1));
    int code = oracle_exit_code(oracle);
    oracle_close(oracle);
    for (int side = 0; side < ORACLE_SIDES; side++)
        free(data[side].data);
    return code;
}
