/* io/format/statement.c: see statement.h */
#include "io/format/statement.h"
#include "core/base/mem.h"
#include <stdio.h>
#include <string.h>

void statement_write_text(struct statement *s, const char *text, size_t size)
{
    if (s->size + size > s->room) {
        size_t room = (s->size + size) * 2 + 4096;
        char *grown = mem_grow(s->text, room);
        if (!grown) {
            s->no_memory = 1;
            return;
        }
        s->text = grown;
        s->room = room;
    }
    memcpy(s->text + s->size, text, size);
    s->size += size;
}

/* Quoted always; a control character becomes a blank, so that a row is a line. */
static void put_cell(struct statement *s, const char *text, char behind)
{
    statement_write_text(s, "\"", 1);
    for (const char *p = text ? text : ""; *p; p++) {
        char c = (unsigned char)*p < 0x20 || *p == 0x7f ? ' ' : *p;
        statement_write_text(s, &c, 1);
        if (c == '"')
            statement_write_text(s, &c, 1);
    }
    statement_write_text(s, "\"", 1);
    statement_write_text(s, &behind, 1);
}

void statement_write(struct statement *s, const struct statement_entry *e)
{
    char numbers[64];
    int n = snprintf(numbers, sizeof numbers, "%llu,%llu,", (unsigned long long)e->offset,
                     (unsigned long long)e->line);
    statement_write_text(s, numbers, (size_t)n);
    put_cell(s, e->statement, ',');
    put_cell(s, e->account, ',');
    put_cell(s, e->currency, ',');
    put_cell(s, e->amount, ',');
    put_cell(s, e->is_debit ? "D" : "C", ',');
    put_cell(s, e->is_reversal ? "R" : "", ',');
    put_cell(s, e->status, ',');
    put_cell(s, e->booking_date, ',');
    put_cell(s, e->value_date, ',');
    put_cell(s, e->reference, ',');
    put_cell(s, e->bank_reference, ',');
    put_cell(s, e->end_to_end, ',');
    put_cell(s, e->type, ',');
    put_cell(s, e->text, ',');
    char entry[600];
    snprintf(entry, sizeof entry, "%.280s/%.280s/%llu", e->page ? e->page : "", e->opening ? e->opening : "",
             (unsigned long long)++s->entries);
    put_cell(s, entry, '\n');
}
