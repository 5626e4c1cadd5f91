/* cli/cmd_errors.c: tieout errors: what is to be mended, and handling it by hand */
#include "cli/book_state.h"
#include "cli/cmd.h"
#include "cli/moment.h"
#include "cli/sheet.h"
#include "cli/sheet_identity.h"
#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/config/nearest.h"
#include "core/model/currency.h"
#include "core/model/day.h"
#include "core/model/money.h"
#include "io/store/delivery.h"
#include "io/store/handling.h"
#include <pwd.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 1000, TORN_TOLD = 20 };

static const char *const SHEET_HEAD = "id,node_status,assignee,severity,class,error_type,bill_date,channel_"
                                      "code,biz_order_no,channel_order_no,currency,amount,delta,"
                                      "reasons,task,opened_at,action,reason,partner\r\n";

struct errors_run {
    const struct options *options;
    struct sqlite *db;
    struct error_filter filter;
    char day[DAY_TEXT_MAX], actor[100];
    struct text text, said; /* said: of a sheet, until all of it is read */
    int64_t shown, done, same, failed, paired;
};

static const char *amount_text(char out[MONEY_TEXT_MAX], int64_t micro, const char *currency)
{
    money_print(out, micro, currency_exponent(currency_find(currency, strlen(currency))));
    return out;
}

/* ---- list ---- */

static void put_sheet_row(struct text *t, const struct error_order *o)
{
    char amount[MONEY_TEXT_MAX], delta[MONEY_TEXT_MAX] = "", opened[32];
    moment_text(opened, o->opened_at);
    amount_text(amount, o->amount_micro, o->currency);
    if (o->has_delta)
        amount_text(delta, o->delta_micro, o->currency);
    const char *const cells[] = {o->id,
                                 o->node_status,
                                 o->assignee,
                                 severity_name(o->severity),
                                 o->class_name,
                                 o->error_type,
                                 o->day,
                                 o->channel_code,
                                 o->biz_order_no,
                                 o->channel_order_no,
                                 o->currency,
                                 amount,
                                 delta,
                                 o->reasons,
                                 o->task,
                                 opened,
                                 "",
                                 "",
                                 ""};
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        if (i)
            text_put(t, ",", 1);
        text_csv(t, span_of(cells[i]));
    }
    text_put(t, "\r\n", 2);
}

static void put_json(struct text *t, const struct error_order *o)
{
    text_words(t, "{\"id\":");
    text_json(t, span_of(o->id));
    text_words(t, ",\"node_status\":");
    text_json(t, span_of(o->node_status));
    text_words(t, ",\"assignee\":");
    text_json(t, span_of(o->assignee));
    text_format(t, ",\"severity\":\"%s\",\"opened_at\":%lld,\"changed_at\":%lld,\"order\":%s}\n",
                severity_name(o->severity), (long long)o->opened_at, (long long)o->changed_at, o->payload);
}

static void put_plain(struct text *t, const char *text, int width)
{
    const size_t before = t->size;
    int used = 0;
    text_plain(t, span_of(text));
    for (size_t i = before; i < t->size; i++)
        used += ((unsigned char)t->data[i] & 0xc0) != 0x80;
    for (; used < width; used++)
        text_put(t, " ", 1);
    text_put(t, " ", 1);
}

static enum err list_one(void *context, const struct error_order *o, struct diag *diag)
{
    struct errors_run *c = context;
    const char *format = c->options->errors_format;
    struct text *t = &c->text;
    if (strcmp(o->kind, "reversal") == 0 && !c->options->all)
        return OK;
    text_reset(t);
    if (strcmp(format, "csv") == 0) {
        if (strcmp(o->kind, "reversal") == 0)
            return OK; /* nothing can be done about it */
        put_sheet_row(t, o);
    } else if (strcmp(format, "json") == 0) {
        put_json(t, o);
    } else {
        char delta[MONEY_TEXT_MAX + 8] = "-", money[MONEY_TEXT_MAX];
        if (o->has_delta)
            snprintf(delta, sizeof delta, "%s %s", amount_text(money, o->delta_micro, o->currency),
                     o->currency);
        text_format(t, "%.12s  %-8s ", o->id, severity_name(o->severity));
        put_plain(t, strcmp(o->kind, "reversal") == 0 ? "end of it" : o->node_status, 13);
        put_plain(t, o->day, 10);
        put_plain(t, o->channel_code, 8);
        put_plain(t, o->error_type, 10);
        text_format(t, "%18s  ", delta);
        put_plain(t, o->biz_order_no[0] ? o->biz_order_no : o->channel_order_no, 24);
        put_plain(t, o->assignee, 0);
        while (t->size && t->data[t->size - 1] == ' ')
            t->data[--t->size] = 0;
        text_put(t, "\n", 1);
    }
    if (t->failed)
        return mem_fail(diag, 0, "a list");
    fwrite(t->data, 1, t->size, stdout);
    c->shown++;
    return OK;
}

static enum err list(struct errors_run *c, struct diag *diag)
{
    c->filter.open_only = !c->options->all && !c->filter.node_status;
    c->filter.limit = (int64_t)c->options->errors_limit;
    if (strcmp(c->options->errors_format, "csv") == 0)
        fputs(SHEET_HEAD, stdout);
    if (strcmp(c->options->errors_format, "text") == 0 && isatty(STDOUT_FILENO))
        printf("%-12s  %-8s %-13s %-10s %-8s %-10s %18s  %-24s %s\n", "id", "severity", "status", "bill date",
               "channel", "error", "channel - local", "order", "who");
    enum err err = error_order_each(c->db, &c->filter, list_one, c, diag);
    if (err == OK && strcmp(c->options->errors_format, "text") == 0)
        fprintf(stderr, "%lld error%s\n", (long long)c->shown, c->shown == 1 ? "" : "s");
    return err;
}

/* ---- show ---- */

static enum err show_delivery(void *context, const struct delivery_line *line, struct diag *diag)
{
    char when[32] = "", answer[400];
    (void)context, (void)diag;
    snprintf(answer, sizeof answer, "%s", line->answer); /* a server's words */
    text_make_plain(answer);
    moment_text(when, line->state == DELIVERY_ACKED ? line->acked_at : line->next_at);
    const int is_behind = line->state == DELIVERY_WAITS && line->next_at == DELIVERY_BEHIND;
    printf("  sink %s: %s%s%s, %lld tr%s%s%s\n", line->sink,
           line->state == DELIVERY_ACKED  ? "acked "
           : line->state == DELIVERY_DEAD ? "a dead letter"
           : is_behind                    ? "waits behind an earlier one of its order"
                                          : "waits",
           line->state == DELIVERY_WAITS && when[0] ? " until " : "",
           line->state == DELIVERY_DEAD ? "" : when, (long long)line->tries, line->tries == 1 ? "y" : "ies",
           answer[0] ? ": " : "", answer);
    return OK;
}

static enum err show_action(void *context, const struct action *a, struct diag *diag)
{
    struct text *t = context;
    char when[32];
    moment_text(when, a->at);
    text_reset(t);
    text_format(t, "  %s ", when);
    put_plain(t, a->actor, 0);
    put_plain(t, a->what, 0);
    text_format(t, "(%s > %s) ", a->before, a->after);
    put_plain(t, a->reason, 0);
    if (t->failed)
        return mem_fail(diag, 0, "an action");
    puts(t->data);
    return OK;
}

struct found {
    char id[ERROR_ID_TEXT];
    int count;
};

static enum err show_order(void *context, const struct error_order *o, struct diag *diag)
{
    struct errors_run *c = context;
    struct error_order named = *o;
    text_reset(&c->text);
    put_json(&c->text, &named);
    if (c->text.failed)
        return mem_fail(diag, 0, "an error");
    fwrite(c->text.data, 1, c->text.size, stdout);
    c->shown++;
    return OK;
}

static enum err note_id(void *context, const struct error_order *o, struct diag *diag)
{
    struct found *f = context;
    (void)diag;
    f->count++;
    snprintf(f->id, sizeof f->id, "%s", o->id);
    return OK;
}

static enum err show(struct errors_run *c, struct diag *diag)
{
    enum err err = OK;
    for (int i = 1; err == OK && i < c->options->argument_count; i++) {
        struct error_filter filter = {.id = c->options->arguments[i], .limit = 2};
        struct found found = {.count = 0};
        err = error_order_each(c->db, &filter, note_id, &found, diag);
        if (err != OK)
            break;
        if (found.count != 1) {
            fprintf(stderr, "%s: %s\n", c->options->arguments[i],
                    found.count ? "several errors begin so; give more of the id" : "there is no such error");
            c->failed++;
            continue;
        }
        err = error_order_each(c->db, &filter, show_order, c, diag);
        if (err == OK)
            err = delivery_of_order(c->db, found.id, show_delivery, NULL, diag);
        if (err == OK)
            err = handling_each(c->db, found.id, show_action, &c->text, diag);
    }
    return err;
}

/* ---- doing something ---- */

/* `where`: of a sheet, its line; its words wait until all of it is read. */
static void tell_end(struct errors_run *c, const char *where, const char *id, enum handle_end end,
                     char why[HANDLE_WHY])
{
    text_make_plain(why); /* it quotes sheets */
    c->done += end == HANDLED;
    c->same += end == HANDLE_SAME;
    c->failed += end == HANDLE_CONFLICT || end == HANDLE_UNKNOWN;
    if (end == HANDLE_SAME || (end == HANDLED && !why[0]))
        return;
    if (where[0])
        text_format(&c->said, "%s%.12s: %s\n", where, id, why);
    else
        fprintf(stderr, "%.12s: %s\n", id, why);
}

static struct handling handling_of(const struct errors_run *c)
{
    return (struct handling){
        .actor = c->actor, .reason = c->options->reason ? c->options->reason : "", .now_s = time(NULL)};
}

struct page {
    char (*ids)[ERROR_ID_TEXT];
    int64_t count, last;
};

static enum err note_page(void *context, const struct error_order *o, struct diag *diag)
{
    struct page *p = context;
    (void)diag;
    p->last = o->no;
    if (strcmp(o->kind, "verdict") == 0)
        snprintf(p->ids[p->count++], ERROR_ID_TEXT, "%s", o->id);
    return OK;
}

static enum err act_on_query(struct errors_run *c, enum handle_action action, struct diag *diag)
{
    struct page page = {.ids = mem_take(PAGE * ERROR_ID_TEXT)};
    struct handling h = handling_of(c);
    enum err err = page.ids ? OK : mem_fail(diag, PAGE * ERROR_ID_TEXT, "a page of errors");
    c->filter.limit = PAGE;
    c->filter.open_only = !c->filter.node_status && action != HANDLE_REOPEN;
    do {
        c->filter.after = page.last;
        page.count = 0;
        int64_t before = page.last;
        if (err == OK)
            err = error_order_each(c->db, &c->filter, note_page, &page, diag);
        if (page.last == before)
            break;
        for (int64_t i = 0; err == OK && i < page.count; i++) {
            enum handle_end end;
            char why[HANDLE_WHY];
            err = handle(c->db, action, page.ids[i], &h, &end, why, diag);
            if (err == OK)
                tell_end(c, "", page.ids[i], end, why);
        }
    } while (err == OK);
    if (err == OK && !page.last)
        fprintf(stderr, "note: no error is let through by these filters\n");
    mem_give(page.ids);
    return err;
}

static enum err act(struct errors_run *c, enum handle_action action, struct diag *diag)
{
    const struct options *o = c->options;
    struct handling h = handling_of(c);
    enum err err = OK;
    if (o->given[OPTION_ID_errors_limit]) /* it would be taken for "these few", and all would be done */
        return diag_set(diag, ERR_USAGE, "options.unknown",
                        "errors list takes it; to act on some of them, name their ids",
                        "%s has no --limit: it does to all that the filters let through",
                        handle_action_name(action));
    if (action != HANDLE_CLAIM && action != HANDLE_REOPEN &&
        (!o->reason || !o->reason[strspn(o->reason, " \t\r\n")]))
        return diag_set(diag, ERR_USAGE, "errors.reason", "--reason=\"refunded by hand, ticket 4711\"",
                        "%s needs a --reason, for the audit log", handle_action_name(action));
    if (o->accept_difference && action != HANDLE_MATCH)
        return diag_set(diag, ERR_USAGE, "errors.accept", NULL, "--accept-difference is of force-match");
    if (action == HANDLE_MATCH) {
        int64_t accept = 0;
        if (o->accept_difference && !money_parse(o->accept_difference, strlen(o->accept_difference), &accept))
            return diag_set(diag, ERR_USAGE, "errors.accept", "--accept-difference=10.00",
                            "\"%s\" is not an amount", o->accept_difference);
        enum handle_end end;
        char why[HANDLE_WHY];
        if (o->argument_count != 3)
            return diag_set(diag, ERR_USAGE, "errors.match", "tieout errors force-match ID ID --reason=...",
                            "force-match takes two ids: one missing, one extra");
        err = handle_match(c->db, o->arguments[1], o->arguments[2], &h, accept, &end, why, diag);
        if (err == OK)
            tell_end(c, "", o->arguments[1], end, why);
        if (err == OK && end == HANDLED) {
            c->done++; /* two errors are closed */
            c->paired++;
        }
        return err;
    }
    if (o->argument_count == 1) {
        const struct error_filter *f = &c->filter;
        if (!f->day && !f->class_name && !f->task && !f->channel_code && !f->key && !f->node_status &&
            !f->severity && !f->assignee && !o->all)
            return diag_set(diag, ERR_USAGE, "errors.which", "give ids, filters such as --task=, or --all",
                            "%s: which errors?", handle_action_name(action));
        return act_on_query(c, action, diag);
    }
    for (int i = 1; err == OK && i < o->argument_count; i++) {
        enum handle_end end;
        char why[HANDLE_WHY];
        err = handle(c->db, action, o->arguments[i], &h, &end, why, diag);
        if (err == OK)
            tell_end(c, "", o->arguments[i], end, why);
    }
    return err;
}

static enum err import_sheet(struct errors_run *c, const char *path, struct diag *diag)
{
    struct sheet *sheet;
    enum err err = sheet_open(&sheet, path, diag);
    if (err != OK)
        return err;
    const int id = sheet_column(sheet, "id"), status = sheet_column(sheet, "node_status"),
              todo = sheet_column(sheet, "action"), reason = sheet_column(sheet, "reason"),
              partner = sheet_column(sheet, "partner"), assignee = sheet_column(sheet, "assignee");
    if (id < 0 || todo < 0 || status < 0)
        err = diag_set(diag, ERR_INPUT, "sheet.head", "make the sheet by: tieout errors list --format=csv",
                       "%s: line 1: the columns id, node_status and action must be there", path);
    struct sheet_identity identity;
    struct text torn = {0};
    int64_t torn_count = 0;
    int got = 0;
    sheet_identity_init(&identity, sheet);
    while (err == OK && (got = sheet_next(sheet, diag)) == 1) {
        int is_torn;
        err = sheet_identity_check(&identity, sheet, c->db, &torn, &is_torn, diag);
        if (err != OK)
            break;
        if (is_torn && torn_count++ < TORN_TOLD)
            fputs(torn.data, stderr);
        text_reset(&torn);
        if (torn_count)
            continue; /* nothing of it will be done */
        const char *what = sheet_cell(sheet, todo), *why_done = sheet_cell(sheet, reason);
        char where[60], why[HANDLE_WHY];
        enum handle_end end = HANDLE_UNKNOWN;
        if (!what[0])
            continue;
        snprintf(where, sizeof where, "line %d: ", sheet_line(sheet));
        enum handle_action action = handle_action_find(what);
        struct handling h = handling_of(c);
        h.expected = sheet_cell(sheet, status);
        h.expected_assignee = assignee >= 0 ? sheet_cell(sheet, assignee) : NULL;
        if (why_done[0])
            h.reason = why_done;
        if (action == HANDLE_ACTIONS)
            snprintf(why, sizeof why,
                     "\"%.60s\" is no action: claim, resolve, void, reopen, note or force-match", what);
        else if (action != HANDLE_CLAIM && action != HANDLE_REOPEN && !h.reason[0])
            snprintf(why, sizeof why, "%s needs a reason, in the column of that name", what);
        else if (action == HANDLE_MATCH)
            err = handle_match(c->db, sheet_cell(sheet, id), sheet_cell(sheet, partner), &h, 0, &end, why,
                               diag);
        else
            err = handle(c->db, action, sheet_cell(sheet, id), &h, &end, why, diag);
        if (err == OK)
            tell_end(c, where, sheet_cell(sheet, id), end, why);
    }
    if (err == OK && got < 0)
        err = diag->err;
    if (err == OK && torn_count > TORN_TOLD)
        fprintf(stderr, "... and %lld more\n", (long long)torn_count - TORN_TOLD);
    /* Whoever sorts one column alone tears all rows, and some of them fit by chance: so none is done. */
    if (err == OK && torn_count)
        err =
            diag_set(diag, ERR_INPUT, "sheet.torn",
                     "make it anew by: tieout errors list --format=csv, and fill in action and reason there; "
                     "where it is only written otherwise, empty that cell",
                     "%s: %lld row%s an error by its id and another order in the cells beside it, as when a "
                     "column is sorted by itself: nothing of the sheet was done",
                     path, (long long)torn_count, torn_count == 1 ? " names" : "s name");
    if (err == OK && c->said.failed)
        err = mem_fail(diag, c->said.size, "what is wrong in a sheet");
    if (err == OK && c->said.size)
        fputs(c->said.data, stderr);
    text_fini(&torn);
    sheet_close(sheet);
    return err;
}

static enum err set_up(struct errors_run *c, struct diag *diag)
{
    static const char *const SEVERITY[] = {"low", "medium", "high", "critical"};
    const struct options *o = c->options;
    c->filter = (struct error_filter){.task = o->error_task,
                                      .class_name = o->error_class,
                                      .node_status = o->node_status,
                                      .channel_code = o->error_channel,
                                      .key = o->error_order,
                                      .assignee = o->assignee};
    if (o->given[OPTION_ID_error_date]) {
        day_print(c->day, o->error_date);
        c->filter.day = c->day;
    }
    for (int i = 0; o->severity && i < 4; i++)
        if (strcmp(o->severity, SEVERITY[i]) == 0)
            c->filter.severity = i + 1;
    const struct passwd *user = o->actor ? NULL : getpwuid(getuid());
    int n = o->actor ? snprintf(c->actor, sizeof c->actor, "%s", o->actor)
            : user   ? snprintf(c->actor, sizeof c->actor, "%s", user->pw_name)
                     : snprintf(c->actor, sizeof c->actor, "uid %u", (unsigned)getuid());
    return n < (int)sizeof c->actor
               ? OK
               : diag_set(diag, ERR_USAGE, "errors.actor", NULL, "the actor's name is too long");
}

int cmd_errors(const struct options *options)
{
    static const char *const WORDS[] = {"list", "show",   "import", "claim",      "resolve",
                                        "void", "reopen", "note",   "force-match"};
    struct diag diag = {0};
    struct state *state = NULL;
    struct errors_run c = {.options = options};
    const char *word = options->argument_count ? options->arguments[0] : "";
    const enum handle_action action = handle_action_find(word);
    const int is_list = strcmp(word, "list") == 0, is_show = strcmp(word, "show") == 0,
              is_import = strcmp(word, "import") == 0;
    enum err err = set_up(&c, &diag);
    if (err == OK && action == HANDLE_ACTIONS && !is_list && !is_show && !is_import) {
        int near = nearest_index(word, WORDS, 9);
        char hint[120] = "list, show, claim, resolve, void, reopen, note, force-match or import";
        if (near >= 0)
            snprintf(hint, sizeof hint, "did you mean %s?", WORDS[near]);
        err = diag_set(&diag, ERR_USAGE, "errors.action", hint, "\"%s\" is nothing that errors does", word);
    }
    if (err == OK && ((is_import && options->argument_count != 2) ||
                      (is_show && options->argument_count < 2) || (is_list && options->argument_count != 1)))
        err = diag_set(&diag, ERR_USAGE, "errors.arguments", "see: tieout errors --help", "%s takes %s", word,
                       is_import ? "one sheet"
                       : is_show ? "ids"
                                 : "options only");
    if (err == OK)
        err = book_state_open(&state, options->jobs, options->state,
                              is_list || is_show ? STATE_READ : STATE_WRITE, &diag);
    if (err == OK) {
        c.db = state_db(state);
        if (is_list) {
            err = list(&c, &diag);
        } else if (is_show) {
            err = show(&c, &diag);
        } else {
            /* All of it or none: a machine that fails in the middle leaves no half. */
            err = sqlite_begin(c.db, &diag);
            if (err == OK)
                err = is_import ? import_sheet(&c, options->arguments[1], &diag) : act(&c, action, &diag);
            if (err == OK)
                err = sqlite_commit(c.db, &diag);
            else if (state)
                sqlite_rollback(c.db);
            if (err == OK && c.done)
                book_witness_leave(state, options->jobs);
            if (err == OK)
                fprintf(stderr, "%lld done, %lld were so already, %lld not%s\n", (long long)c.done,
                        (long long)c.same, (long long)c.failed,
                        c.paired ? "; the next task of their queue makes them a match" : "");
        }
    }
    if (err != OK)
        diag_print(&diag, stderr);
    text_fini(&c.text);
    text_fini(&c.said);
    state_close(state);
    return err != OK ? (int)err : c.failed ? 1 : OK;
}
