/* io/sink/keep.c: see keep.h */
#include "io/sink/keep.h"
#include "core/config/carry.h"
#include "core/model/currency.h"
#include "core/model/money.h"
#include "core/rules/verdict.h"

static void side_of(struct entry_side *side, const struct job *job, const struct keep_task *task,
                    const struct full *f, struct span place, const unsigned *order, unsigned slots,
                    int taken_back)
{
    (void)job;
    *side = (struct entry_side){.present = 1,
                                .currency = f->currency,
                                .has_fee = f->has_fee,
                                .carried = f->carry != NULL && !taken_back,
                                .day = f->day,
                                .since = f->carry ? f->carry->since : task->date,
                                .tries = taken_back ? f->carry->tries : verdict_tries(f),
                                .amount_micro = f->amount_micro,
                                .fee_micro = f->fee_micro,
                                .occurrence = f->occurrence,
                                .place = place};
    for (unsigned i = 0; i < slots; i++)
        side->text[i] = f->text[order[i]];
}

void keep_entry(struct text *out, const struct job *job, const struct keep_task *task, enum entry_kind kind,
                const struct full *row, const struct full *partner, const struct span places[2],
                const char *reasons)
{
    unsigned order[FIELD_SLOTS];
    const unsigned slots = canonical_order(job, order);
    struct entry e = {.kind = (uint8_t)kind,
                      .class_id = row->verdict,
                      .key_no = row->key_no,
                      .field_count = (uint8_t)slots,
                      .revision = task->revision,
                      .set_id = row->set_id,
                      .task = span_of(task->name),
                      .reasons = span_of(reasons),
                      .key = row->key_no ? row->key : (struct span){"", 0}};
    if (kind == ENTRY_REVERSAL) {
        const struct full *before = row->before ? row->before : row;
        e.class_id = !before->monetary ? CLASS_EXCLUDED : before->side == LOCAL ? CLASS_MISSING : CLASS_EXTRA;
        e.key_no = 0;
        e.set_id = 0;
        e.key = (struct span){"", 0};
        e.task = row->carry->task;
        e.revision = row->carry->revision;
        e.reasons = row->carry->reasons;
        side_of(&e.side[row->side], job, task, before, row->carry->place, order, slots, 1);
    } else {
        side_of(&e.side[row->side], job, task, row, places[0], order, slots, 0);
        if (partner)
            side_of(&e.side[partner->side], job, task, partner, places[1], order, slots, 0);
    }
    char *at = text_room(out, entry_size(&e));
    if (at)
        entry_encode(&e, (uint8_t *)at);
}

static void cell(struct text *out, struct span text)
{
    int plain = 1;
    for (size_t i = 0; i < text.size && plain; i++)
        plain = text.data[i] != ',' && text.data[i] != '"' && text.data[i] != '\n' && text.data[i] != '\r';
    if (plain) {
        text_put(out, text.data, text.size);
        return;
    }
    text_put(out, "\"", 1);
    for (size_t from = 0, to; from < text.size; from = to) {
        for (to = from; to < text.size && text.data[to] != '"'; to++) {
        }
        text_put(out, text.data + from, to - from);
        if (to < text.size) {
            text_put(out, "\"\"", 2);
            to++;
        }
    }
    text_put(out, "\"", 1);
}

void keep_header(struct text *out, const struct job *job)
{
    for (int i = 0; i < CARRY_COLUMNS; i++)
        text_format(out, "%s,", carry_column_name((enum carry_column)i));
    for (unsigned field = 0; field < FIELDS; field++)
        text_format(out, "%s,", carry_field_name(field));
    text_words(out, "occurrence_id");
    for (int i = 0; i < job->attr_count; i++) {
        char name[160];
        snprintf(name, sizeof name, "attr:%s", job->attrs[i]);
        text_put(out, ",", 1);
        cell(out, span_of(name));
    }
}

static char *put_number(char *at, uint32_t number)
{
    char digits[10];
    int n = 0;
    do
        digits[n++] = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    while (n)
        *at++ = digits[--n];
    return at;
}

void keep_row(struct text *out, const struct job *job, const struct keep_task *task, const struct full *f,
              struct span place, const char *reasons, struct span pair)
{
    char head[64 + DAY_TEXT_MAX], *at = head;
    const int by_hand = reasons && f->carry && f->carry->hand && f->reasons & REASON_BIT(REASON_MANUAL);
    if (by_hand)
        text_format(out, "%c%u", CARRY_HAND_BEFORE, f->carry->hand);
    text_put(out, ",", 1); /* else no origin */
    cell(out, f->carry ? f->carry->batch_no : span_of(task->name));
    *at++ = ',';
    *at++ = (char)('0' + f->side);
    *at++ = ',';
    at = put_number(at, by_hand ? f->carry->tries : verdict_tries(f));
    *at++ = ',';
    at += day_print(at, f->carry ? f->carry->since : task->date);
    *at++ = ',';
    *at++ = f->dup_suspect ? '1' : '0';
    *at++ = ',';
    text_put(out, head, (size_t)(at - head));
    cell(out, place);
    if (by_hand) {
        text_put(out, ",", 1);
        cell(out, f->carry->task);
        text_format(out, ",%u,", f->carry->revision);
        cell(out, f->carry->reasons);
        text_put(out, ",", 1); /* it was in no pair of a verdict's */
    } else if (reasons) {
        text_put(out, ",", 1);
        cell(out, span_of(task->name));
        text_format(out, ",%u,", task->revision);
        cell(out, span_of(reasons));
        text_put(out, ",", 1);
        text_put(out, pair.data, pair.size);
    } else {
        text_words(out, ",,,,");
    }
    for (unsigned field = 0; field < FIELDS; field++) {
        text_put(out, ",", 1);
        if (field == FIELD_AMOUNT) { /* the direction says the sign, also of 0 */
            const struct span amount = f->text[field];
            const size_t sign = amount.size && amount.data[0] == '-';
            text_put(out, amount.data + sign, amount.size - sign);
        } else {
            cell(out, f->text[field]);
        }
    }
    text_put(out, ",", 1);
    cell(out, f->occurrence);
    for (int i = 0; i < job->attr_count; i++) {
        text_put(out, ",", 1);
        cell(out, f->text[FIELD_ATTR0 + i]);
    }
}

static int same_key(const struct job *job, int key_index, const struct full *a, const struct full *b)
{
    const struct key_spec *key = &job->match.keys[key_index];
    int same = 1;
    for (int i = 0; same && i < key->part_count; i++)
        same = span_equal(a->text[key->parts[i]], b->text[key->parts[i]]);
    return same;
}

int keep_more_prints(struct final_print out[PRINTS_MAX], const struct job *job, const struct keep_task *task,
                     const struct full *row, const struct full *partner, uint64_t link)
{
    int count = 0;
    /* What a key joined no later key takes apart, no more than in one run. */
    const int keys =
        partner && row->key_no && row->key_no < job->match.key_count ? row->key_no : job->match.key_count;
    for (int k = 0; k < keys; k++) {
        const uint64_t hash = normalize_later_print(job, task->shared->hash_seed, row, k);
        const int both = partner && hash && same_key(job, k, row, partner);
        if (hash && (k > 0 || both))
            out[count++] = (struct final_print){
                .hash = hash, .sum = (uint32_t)k | (both ? (uint32_t)PRINT_BOTH_SIDES : 0u)};
    }
    if (link)
        out[count++] = (struct final_print){.hash = link, .sum = PRINT_LINK};
    return count;
}

uint64_t keep_print(const struct keep_task *task, const struct full *f)
{
    return normalize_key_print(task->shared, f);
}

uint32_t keep_open_print(union open_unit out[OPEN_UNITS_MAX], const struct job *job,
                         const struct keep_task *task, const struct full *row)
{
    const uint32_t units = open_units(job), tries = verdict_tries(row);
    memset(out, 0, units * sizeof *out);
    out->print.hash = keep_print(task, row);
    out->print.tries = (uint16_t)(tries < OPEN_TRIES_MAX ? tries : OPEN_TRIES_MAX);
    for (int key = 1; key < job->match.key_count; key++)
        out[1 + (key - 1) / 2].later[(key - 1) % 2] =
            normalize_later_print(job, task->shared->hash_seed, row, key);
    return units;
}
