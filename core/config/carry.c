/* core/config/carry.c: see carry.h */
#include "core/config/carry.h"
#include <stdio.h>
#include <string.h>

const char *carry_column_name(enum carry_column column)
{
    static const char *const names[CARRY_COLUMNS] = {
        "origin", "batch_no",   "buffer_type",    "delayed_times", "since",     "dup_suspect",
        "place",  "final_task", "final_revision", "final_reasons", "final_pair"};
    return names[column];
}

const char *carry_field_name(unsigned field)
{
    switch (field) {
    case FIELD_BIZ_ORDER_NO:
        return "biz_id";
    case FIELD_AMOUNT:
        return "biz_amount";
    case FIELD_BILL_DATE:
        return "biz_date";
    default:
        return field_name(field);
    }
}

void carry_spec_make(struct carry_spec *carry, const struct job *job, enum side side, enum carried carried,
                     const char **paths, int count)
{
    memset(carry, 0, sizeof *carry);
    struct source_spec *spec = &carry->spec;
    spec->kind = SOURCE_FILES;
    spec->patterns = paths;
    spec->pattern_count = count;
    spec->layout = (struct layout){.format = FORMAT_CSV, .delimiter = ',', .quote = '"', .has_header = 1};
    for (unsigned field = 0; field < FIELDS; field++)
        spec->fields[field].column = carry_field_name(field);
    for (int i = 0; i < job->attr_count; i++) {
        snprintf(carry->attrs[i], sizeof carry->attrs[i], "attr:%s", job->attrs[i]);
        spec->fields[FIELD_ATTR0 + i].column = carry->attrs[i];
        spec->fields[FIELD_ATTR0 + i].optional = 1; /* the job may name it since yesterday */
    }
    spec->fields[FIELD_AMOUNT].sign = SIGN_SIGNED;
    /* What a fee's sign says is what it said where the record came from. */
    spec->fields[FIELD_FEE].sign = job_fee_is_income(job, side) ? SIGN_SIGNED : SIGN_UNSAID;
    spec->fields[FIELD_AMOUNT].unit_said = spec->fields[FIELD_FEE].unit_said = 1;
    spec->occurrence[0] = "occurrence_id";
    spec->occurrence_count = 1;
    spec->carried = carried;
    const struct field_rule *date = &job->sources[side].fields[FIELD_BILL_DATE];
    spec->dates_by_time = !date->column && !date->constant;
    spec->carried_fold = source_tells_images(job->sources[side].kind);
}
