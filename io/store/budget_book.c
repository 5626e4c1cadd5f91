/* io/store/budget_book.c: see budget_book.h */
#include "io/store/budget_book.h"
#include "core/base/mem.h"
#include "core/model/currency.h"
#include "core/model/day.h"
#include <string.h>

const char budget_book_schema[] =
    "CREATE TABLE IF NOT EXISTS budget_spent (task INTEGER NOT NULL REFERENCES task(id), revision INTEGER "
    "NOT "
    "NULL,\n"
    "  channel_code TEXT NOT NULL, currency TEXT NOT NULL, day INTEGER NOT NULL, spent INTEGER NOT NULL,\n"
    "  is_over INTEGER NOT NULL, PRIMARY KEY (task, revision, channel_code, currency, day)) WITHOUT ROWID;\n";

enum { TAIL = 3 }; /* currency, day */

static enum err take_row(struct budget_cells *cells, struct sqlite_statement *s, struct diag *diag)
{
    const char *code = sqlite_text(s, 0), *currency = sqlite_text(s, 1);
    const uint16_t day = (uint16_t)sqlite_int(s, 2);
    const size_t size = strlen(code);
    char *bytes = mem_take(size + TAIL);
    struct budget_cell *cell = NULL;
    if (bytes) {
        memcpy(bytes, code, size);
        bytes[size] = (char)currency_find(currency, strlen(currency));
        memcpy(bytes + size + 1, &day, sizeof day);
        cell = budget_cells_at(cells, (struct span){bytes, size + TAIL});
        mem_give(bytes);
    }
    if (!cell)
        return mem_fail(diag, size + TAIL, "a budget");
    cell->before += sqlite_int(s, 3);
    cell->was_over |= sqlite_int(s, 4) != 0;
    return OK;
}

enum err budget_book_read(struct budget_cells *cells, struct sqlite *db, const struct task *task,
                          struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    char day[DAY_TEXT_MAX];
    day_print(day, task->day);
    enum err err = sqlite_prepare(
        &s, db,
        "SELECT b.channel_code, b.currency, b.day, sum(b.spent), max(b.is_over) FROM budget_spent b JOIN "
        "task t\n"
        "ON t.id = b.task AND t.revision = b.revision WHERE t.channel_code = ?1 AND t.biz_type = ?2\n"
        "AND t.phase = 'DONE' AND (t.bill_date, t.batch_no) < (?3, ?4)\n"
        "GROUP BY b.channel_code, b.currency, b.day",
        diag);
    if (err != OK)
        return err;
    sqlite_bind_text(s, 1, task->channel_code);
    sqlite_bind_text(s, 2, task->biz_type);
    sqlite_bind_text(s, 3, day);
    sqlite_bind_int(s, 4, task->batch_no);
    enum step step;
    while (err == OK && (step = sqlite_step(s, diag)) != STEP_DONE)
        err = step == STEP_FAILED ? diag->err : take_row(cells, s, diag);
    sqlite_finish(s);
    return err;
}

enum err budget_book_add(const struct budget_cells *cells, struct sqlite *db, const struct task *task,
                         struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    enum err err = sqlite_prepare(
        &s, db, "INSERT OR REPLACE INTO budget_spent VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", diag);
    for (uint32_t i = 0; err == OK && i < cells->count; i++) {
        const struct budget_cell *cell = &cells->cells[i];
        if (!cell->spent && !cell->is_over)
            continue;
        uint16_t day;
        const size_t size = cell->size - TAIL;
        char *code = mem_copy_text(cell->bytes, size);
        if (!code) {
            err = mem_fail(diag, size, "a budget");
            break;
        }
        memcpy(&day, cell->bytes + size + 1, sizeof day);
        sqlite_bind_int(s, 1, task->id);
        sqlite_bind_int(s, 2, task->wanted);
        sqlite_bind_text(s, 3, code);
        sqlite_bind_text(s, 4, currency_code((uint8_t)cell->bytes[size]));
        sqlite_bind_int(s, 5, day);
        sqlite_bind_int(s, 6, cell->spent);
        sqlite_bind_int(s, 7, cell->is_over);
        if (sqlite_step(s, diag) == STEP_FAILED)
            err = diag->err;
        mem_give(code);
    }
    sqlite_finish(s);
    return err;
}
