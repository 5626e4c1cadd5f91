/* core/config/loader.h: what the readers of job files and of profiles share. For core/config/ only.
 *
 * Each function reads one setting and says what is wrong with it, with file:line:column of whichever file `path`
 * names at that moment. Texts live in the job's arena, or the book's.
 */
#ifndef TIEOUT_CORE_CONFIG_LOADER_H
#define TIEOUT_CORE_CONFIG_LOADER_H

#include "core/config/job.h"
#include "core/config/yaml.h"

#define COUNT_OF(array) ((int)(sizeof(array) / sizeof(array)[0]))
enum { WORD_BYTES_MAX = 64 };

struct loader {
    struct job *job;     /* NULL in a book */
    struct arena *arena; /* texts live there; NULL: in the job's */
    const char *path;    /* borrowed from the caller, for messages */
    struct diag *diag;
    const struct yaml_node *root;
    const struct yaml_node *parts[SIDES][PARTS_MAX];
    int part_count[SIDES];
    int in_profile; /* a profile is being read: its settings are allowed as well */
};

/* "SECTION.NAME" in messages, built on the way down. */
struct where {
    char text[200];
};
struct where below(const char *section, const char *name);

enum err bad_at(struct loader *l, int line, int column, const char *code, const char *hint,
                const char *format, ...) __attribute__((format(printf, 6, 7)));
#define BAD(l, node, code, hint, ...) bad_at(l, (node)->line, (node)->column, code, hint, __VA_ARGS__)
enum err wrong_type(struct loader *l, const struct yaml_node *node, const char *where, const char *expected);
/* The hint for a word that is not one of `names`. */
const char *near_hint(char out[400], const char *word, const char *const *names, int count);

/* Zeroed bytes of the arena; NULL with the diag filled. */
void *take(struct loader *l, size_t size);

enum err check_names(struct loader *l, const struct yaml_node *map, const char *where,
                     const char *const *names, int count, const char *const *later, int later_count);
enum err read_text(struct loader *l, const struct yaml_node *node, const char *where, const char *expected,
                   const char **out);
enum err read_word(struct loader *l, const struct yaml_node *node, const char *where, const char *expected,
                   const char **out);
enum err read_number(struct loader *l, const struct yaml_node *node, const char *where, int64_t min,
                     int64_t max, int64_t *out);
enum err read_bool(struct loader *l, const struct yaml_node *node, const char *where, int *out);
/* An amount in the major unit, not negative. */
enum err read_amount(struct loader *l, const struct yaml_node *node, const char *where, int64_t *out);
enum err read_texts(struct loader *l, const struct yaml_node *node, const char *where, const char *expected,
                    int max, const char ***out, int *count);
/* env:NAME or file:PATH, never the secret itself. */
enum err read_secret(struct loader *l, const struct yaml_node *node, const char *where, const char **out);
/* "30s", "10m", "2h". */
enum err read_seconds(struct loader *l, const struct yaml_node *node, const char *where, int *out);
/* "1d", or 0. */
enum err read_days(struct loader *l, const struct yaml_node *node, const char *where, int *out);
int has_control(const char *text);
enum err check_zone(struct loader *l, const struct yaml_node *node, const char *where, const char *name);
enum err read_zone(struct loader *l, const struct yaml_node *node, const char *where, const char **out);
enum err read_byte(struct loader *l, const struct yaml_node *node, const char *where, const char *expected,
                   char *out);
/* What decimals stand behind; `strip`: what is taken out of the same text, or NULL. */
enum err read_decimal(struct loader *l, const struct yaml_node *node, const char *where, const char *strip,
                      char *out);
enum err read_field(struct loader *l, unsigned slot, const struct yaml_node *node, const char *where,
                    struct field_rule *rule);
int has_source(const struct field_rule *rule);
int has_column(const struct field_rule *rule);
/* Digits only, in [min, max]; 0 when it is anything else. */
int parse_number(const char *text, int64_t min, int64_t max, int64_t *out);
unsigned slot_find(const struct job *job, const char *name); /* FIELD_SLOTS: there is none */

/* job_fields.c: the job's status words, the names of all attrs, and a side's `fields`. */
int word_in(const char *word, const char *const *words, int count);
enum err read_status(struct loader *l);
enum err collect_attrs(struct loader *l);
enum err read_fields(struct loader *l, const struct yaml_node *node, const char *section,
                     struct source_spec *source);

/* job_server.c: a side's `binlog`, `replica`, `query`; job_fetch.c: its `fetch`; job_load.c: its `files`. */
enum err read_binlog(struct loader *l, const struct yaml_node *node, const char *section,
                     struct source_spec *source);
enum err read_replica(struct loader *l, const struct yaml_node *node, const char *section,
                      struct source_spec *source);
enum err read_query(struct loader *l, const struct yaml_node *node, const char *section,
                    struct source_spec *source);
enum err read_fetch(struct loader *l, const struct yaml_node *node, const char *section,
                    struct fetch_spec *fetch);
enum err read_patterns(struct loader *l, const struct yaml_node *node, const char *where,
                       struct source_spec *source);

/* job_match.c: the section `match`. */
enum err read_match(struct loader *l);
/* The slot of a field's name. */
enum err read_slot(struct loader *l, const struct yaml_node *node, const char *where, unsigned *slot);
/* Refuses a field that one side has no column for. */
enum err check_both_sides(struct loader *l, const struct yaml_node *node, const char *where, unsigned slot);

/* job_rules.c: the rules in it that a job switches on. `wanted`: the fields that are compared. */
enum err read_fees(struct loader *l, const struct yaml_node *node, int wanted[FIELD_SLOTS]);
enum err read_partials(struct loader *l, const struct yaml_node *node);
enum err read_group(struct loader *l, const struct yaml_node *node);
enum err read_subset(struct loader *l, const struct yaml_node *node);
enum err read_fx(struct loader *l, const struct yaml_node *node);
/* `test_rules` and `sampling`, which stand beside `match`. */
enum err read_aside(struct loader *l);
enum err read_aggregate(struct loader *l);
enum err read_budget(struct loader *l, const struct yaml_node *node);

/* profile_load.c: reads the profile that a side names into source->bill, then what the side itself says of rows:
 * `rows`. `fields` of the side are read by the caller in between. */
enum err load_profile(struct loader *l, struct source_spec *source, const struct yaml_node *name,
                      const char *section);
enum err load_profile_fields(struct loader *l, struct source_spec *source, const struct yaml_node *node,
                             const char *section);

#endif
