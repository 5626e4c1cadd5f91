/* io/format/camt.c: ISO 20022 camt.053 (and 052, 054) -> rows; see statement.h
 *
 * expat pushes elements; what is kept is one statement's head and one entry. An entry that books several payments at once
 * (TxDtls) becomes a row each where each has its amount and they add up to the entry's; else it is one row. Document
 * types, and with them entities, are refused.
 */
#include "core/base/mem.h"
#include "core/model/money.h"
#include "io/format/statement.h"
#include <expat.h>
#include <stdio.h>
#include <string.h>

enum { PATH_ROOM = 512, TEXT_ROOM = 2048, FIELD_ROOM = 256, TX_MAX = 1000000 };

struct tx {
    int64_t micro;
    int has_amount, is_debit, has_mark;
    char amount[40], currency[8], end_to_end[200], reference[200];
};

struct camt {
    struct statement base;
    XML_Parser parser;
    struct diag *diag; /* of the feed at hand */
    enum err err;
    char path[PATH_ROOM]; /* of the element at hand, local names, below the statement */
    int depth, statement_depth, is_any;
    char text[TEXT_ROOM];
    size_t text_size;
    char attribute[8]; /* Ccy of the element at hand */
    char id[FIELD_ROOM], account[FIELD_ROOM], page[16];
    /* balances */
    char balance_type[16], balance_currency[8];
    int64_t balance_micro;
    int balance_debit, has_opening, has_closing, has_previous;
    int64_t opening, closing, previous;
    char opening_currency[8], closing_currency[8], previous_currency[8];
    money_total sum; /* of booked entries */
    int sum_mixed;   /* entries of another currency than the balances */
    /* the entry */
    uint64_t offset, line;
    char amount[40], currency[8], status[16], booking[40], value[40], servicer[200], reference[200],
        type[200], remittance[TEXT_ROOM];
    int64_t micro;
    int is_debit, is_reversal, in_entry, has_amount, has_mark;
    struct tx *txs;
    uint32_t tx_count, tx_room;
};

static void refuse(struct camt *c, const char *code, const char *hint, const char *text)
{
    if (c->err == OK)
        c->err = diag_set(c->diag, ERR_INPUT, code, hint, "%s: line %llu, byte %llu: %s", c->base.path,
                          (unsigned long long)XML_GetCurrentLineNumber(c->parser),
                          (unsigned long long)XML_GetCurrentByteIndex(c->parser), text);
    XML_StopParser(c->parser, XML_FALSE);
}

static const char *local_name(const char *name)
{
    const char *behind = strrchr(name, '|');
    return behind ? behind + 1 : name;
}

static int is_statement(const char *name)
{
    return strcmp(name, "Stmt") == 0 || strcmp(name, "Rpt") == 0 || strcmp(name, "Ntfctn") == 0;
}

static void XMLCALL on_start(void *context, const XML_Char *qualified, const XML_Char **attributes)
{
    struct camt *c = context;
    const char *name = local_name(qualified);
    c->depth++;
    c->text_size = 0;
    c->attribute[0] = 0;
    if (!c->statement_depth) {
        if (!is_statement(name))
            return;
        c->statement_depth = c->depth;
        c->is_any = 1;
        c->path[0] = c->id[0] = c->account[0] = c->page[0] = 0;
        c->base.entries = 0;
        c->has_opening = c->has_closing = c->has_previous = c->sum_mixed = 0;
        c->sum = 0;
        return;
    }
    size_t used = strlen(c->path);
    if (used + strlen(name) + 2 >= sizeof c->path) {
        refuse(c, "camt.depth", "is this a camt statement?", "elements are nested too deep");
        return;
    }
    snprintf(c->path + used, sizeof c->path - used, "%s%s", used ? "/" : "", name);
    for (int i = 0; attributes[i]; i += 2)
        if (strcmp(local_name(attributes[i]), "Ccy") == 0)
            snprintf(c->attribute, sizeof c->attribute, "%.7s", attributes[i + 1]);
    if (strcmp(c->path, "Bal") == 0) {
        c->balance_type[0] = c->balance_currency[0] = 0;
        c->balance_micro = 0;
        c->balance_debit = 0;
    } else if (strcmp(c->path, "Ntry") == 0) {
        c->offset = (uint64_t)XML_GetCurrentByteIndex(c->parser);
        c->line = (uint64_t)XML_GetCurrentLineNumber(c->parser);
        c->in_entry = 1;
        c->amount[0] = c->currency[0] = c->status[0] = c->booking[0] = c->value[0] = 0;
        c->servicer[0] = c->reference[0] = c->type[0] = c->remittance[0] = 0;
        c->micro = 0;
        c->is_debit = c->is_reversal = c->has_amount = c->has_mark = 0;
        c->tx_count = 0;
    } else if (strcmp(c->path, "Ntry/NtryDtls/TxDtls") == 0) {
        if (c->tx_count == c->tx_room) {
            uint32_t room = c->tx_room ? 2 * c->tx_room : 16;
            struct tx *grown = c->tx_count < TX_MAX ? mem_grow(c->txs, room * sizeof *grown) : NULL;
            if (!grown) {
                if (c->err == OK)
                    c->err = mem_fail(c->diag, room * sizeof *grown, "an entry's payments");
                XML_StopParser(c->parser, XML_FALSE);
                return;
            }
            c->txs = grown;
            c->tx_room = room;
        }
        c->txs[c->tx_count++] = (struct tx){0};
    }
}

static void XMLCALL on_text(void *context, const XML_Char *text, int size)
{
    struct camt *c = context;
    size_t n = (size_t)size;
    if (c->text_size + n >= sizeof c->text)
        n = sizeof c->text - 1 - c->text_size;
    memcpy(c->text + c->text_size, text, n);
    c->text_size += n;
}

/* Amounts have a point and up to five decimals, and no sign. */
static int64_t amount_here(struct camt *c, char out[40])
{
    int64_t micro = 0;
    if (c->text_size >= 40 || c->text[0] == '-' || c->text[0] == '+' ||
        !money_parse(c->text, c->text_size, &micro)) {
        refuse(c, "camt.amount", "is the file damaged?", "an amount is no number");
        return 0;
    }
    memcpy(out, c->text, c->text_size + 1);
    return micro;
}

static void end_balance(struct camt *c)
{
    int64_t signed_micro = c->balance_debit ? -c->balance_micro : c->balance_micro;
    if (strcmp(c->balance_type, "OPBD") == 0) {
        c->has_opening = 1;
        c->opening = signed_micro;
        memcpy(c->opening_currency, c->balance_currency, sizeof c->opening_currency);
    } else if (strcmp(c->balance_type, "PRCD") == 0) {
        c->has_previous = 1;
        c->previous = signed_micro;
        memcpy(c->previous_currency, c->balance_currency, sizeof c->previous_currency);
    } else if (strcmp(c->balance_type, "CLBD") == 0) {
        c->has_closing = 1;
        c->closing = signed_micro;
        memcpy(c->closing_currency, c->balance_currency, sizeof c->closing_currency);
    }
}

static void write_entry(struct camt *c, const struct tx *tx)
{
    char opening[MONEY_TEXT_MAX + 8] = "";
    if (c->has_opening || c->has_previous)
        money_print(opening, c->has_opening ? c->opening : c->previous, 5);
    struct statement_entry e = {.offset = c->offset,
                                .line = c->line,
                                .page = c->page,
                                .opening = opening,
                                .statement = c->id,
                                .account = c->account,
                                .currency = c->currency,
                                .amount = tx && tx->has_amount ? tx->amount : c->amount,
                                .is_debit = tx && tx->has_amount && tx->has_mark ? tx->is_debit : c->is_debit,
                                .is_reversal = c->is_reversal,
                                .status = c->status,
                                .booking_date = c->booking,
                                .value_date = c->value,
                                .reference = tx && tx->reference[0] ? tx->reference : c->reference,
                                .bank_reference = c->servicer,
                                .end_to_end = tx ? tx->end_to_end : "",
                                .type = c->type,
                                .text = c->remittance};
    statement_write(&c->base, &e);
}

static void end_entry(struct camt *c)
{
    c->in_entry = 0;
    if (!c->has_amount) {
        refuse(c, "camt.entry", "is the file damaged?", "an entry without amount");
        return;
    }
    if (!c->has_mark) {
        refuse(c, "camt.mark", "is the file damaged?",
               "an entry without CdtDbtInd: it is not said which way the money went");
        return;
    }
    if (strspn(c->currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 3 || c->currency[3]) {
        refuse(c, "camt.currency", "is the file damaged?", "an entry whose Amt has no currency code (Ccy)");
        return;
    }
    if (strncmp(c->status, "BOOK", 4) == 0)
        c->sum += c->is_debit ? -(money_total)c->micro : (money_total)c->micro;
    c->sum_mixed |= c->has_opening && strcmp(c->currency, c->opening_currency) != 0;
    money_total all = 0;
    int apart = c->tx_count > 1;
    for (uint32_t i = 0; i < c->tx_count; i++) {
        const struct tx *tx = &c->txs[i];
        apart = apart && tx->has_amount && strcmp(tx->currency, c->currency) == 0;
        int debit = tx->has_mark ? tx->is_debit : c->is_debit;
        all += debit ? -(money_total)tx->micro : (money_total)tx->micro;
    }
    apart = apart && all == (c->is_debit ? -(money_total)c->micro : (money_total)c->micro);
    if (!apart) {
        struct tx one = c->tx_count ? c->txs[0] : (struct tx){0};
        one.has_amount = 0; /* the entry's own amount is what was booked */
        if (c->tx_count > 1)
            one.end_to_end[0] = one.reference[0] = 0;
        write_entry(c, &one);
    }
    for (uint32_t i = 0; apart && i < c->tx_count; i++)
        write_entry(c, &c->txs[i]);
}

/* Opening and booked entries give closing, where all are of one currency. */
static void end_statement(struct camt *c)
{
    int has = c->has_opening || c->has_previous;
    int64_t from = c->has_opening ? c->opening : c->previous;
    const char *currency = c->has_opening ? c->opening_currency : c->previous_currency;
    c->statement_depth = 0;
    if (!has || !c->has_closing || c->sum_mixed || strcmp(currency, c->closing_currency) != 0 ||
        from + c->sum == c->closing)
        return;
    char found[MONEY_TEXT_MAX], want[MONEY_TEXT_MAX], text[200];
    money_print(found, from + c->sum, 2);
    money_print(want, c->closing, 2);
    snprintf(text, sizeof text, "the closing balance is %s %s, opening and entries give %s", currency, want,
             found);
    refuse(c, "camt.sum", "entries are missing, doubled or changed: get the statement again", text);
}

/* A number that was cut would be another number. */
static void keep(char *out, size_t room, struct camt *c)
{
    if (c->text_size >= room)
        refuse(c, "camt.text", "is the file damaged?", "a reference or name longer than any bank's");
    else
        memcpy(out, c->text, c->text_size + 1);
}

static void keep_start(char *out, size_t room, const struct camt *c)
{
    size_t size = c->text_size < room ? c->text_size : room - 1;
    memcpy(out, c->text, size);
    out[size] = 0;
}

static void XMLCALL on_end(void *context, const XML_Char *qualified)
{
    struct camt *c = context;
    const char *name = local_name(qualified);
    c->text[c->text_size] = 0;
    if (!c->statement_depth) {
        c->depth--;
        return;
    }
    if (c->depth == c->statement_depth) {
        end_statement(c);
        c->depth--;
        return;
    }
    const char *path = c->path;
    struct tx *tx = c->tx_count ? &c->txs[c->tx_count - 1] : NULL;
    int debit = strcmp(c->text, "DBIT") == 0;
    if (strcmp(name, "CdtDbtInd") == 0 && !debit && strcmp(c->text, "CRDT") != 0)
        refuse(c, "camt.mark", "is the file damaged?", "CdtDbtInd is neither CRDT nor DBIT");
#define IS(text) (strcmp(path, text) == 0)
    if (IS("Id"))
        keep(c->id, sizeof c->id, c);
    else if (IS("StmtPgntn/PgNb") || IS("RptPgntn/PgNb") || IS("NtfctnPgntn/PgNb"))
        keep(c->page, sizeof c->page, c);
    else if (IS("Acct/Id/IBAN") || IS("Acct/Id/Othr/Id"))
        keep(c->account, sizeof c->account, c);
    else if (IS("Bal/Tp/CdOrPrtry/Cd") || IS("Bal/Tp/CdOrPrtry/Prtry"))
        keep_start(c->balance_type, sizeof c->balance_type, c);
    else if (IS("Bal/Amt")) {
        char ignored[40];
        c->balance_micro = amount_here(c, ignored);
        memcpy(c->balance_currency, c->attribute, sizeof c->balance_currency);
    } else if (IS("Bal/CdtDbtInd"))
        c->balance_debit = debit;
    else if (IS("Bal"))
        end_balance(c);
    else if (IS("Ntry/Amt")) {
        c->micro = amount_here(c, c->amount);
        c->has_amount = 1;
        memcpy(c->currency, c->attribute, sizeof c->currency);
    } else if (IS("Ntry/CdtDbtInd")) {
        c->is_debit = debit;
        c->has_mark = 1;
    } else if (IS("Ntry/RvslInd"))
        c->is_reversal = strcmp(c->text, "true") == 0 || strcmp(c->text, "1") == 0;
    else if ((IS("Ntry/Sts") && c->status[0] == 0) || IS("Ntry/Sts/Cd"))
        keep_start(c->status, sizeof c->status, c);
    else if (IS("Ntry/BookgDt/Dt") || IS("Ntry/BookgDt/DtTm"))
        keep_start(c->booking, 11, c);
    else if (IS("Ntry/ValDt/Dt") || IS("Ntry/ValDt/DtTm"))
        keep_start(c->value, 11, c);
    else if (IS("Ntry/AcctSvcrRef"))
        keep(c->servicer, sizeof c->servicer, c);
    else if (IS("Ntry/NtryRef"))
        keep(c->reference, sizeof c->reference, c);
    else if (IS("Ntry/BkTxCd/Domn/Cd") || IS("Ntry/BkTxCd/Prtry/Cd"))
        keep(c->type, sizeof c->type, c);
    else if (tx && IS("Ntry/NtryDtls/TxDtls/Refs/EndToEndId")) {
        if (strcmp(c->text, "NOTPROVIDED") != 0)
            keep(tx->end_to_end, sizeof tx->end_to_end, c);
    } else if (tx && (IS("Ntry/NtryDtls/TxDtls/Refs/TxId") || IS("Ntry/NtryDtls/TxDtls/Refs/InstrId")) &&
               !tx->reference[0])
        keep(tx->reference, sizeof tx->reference, c);
    else if (tx && (IS("Ntry/NtryDtls/TxDtls/Amt") ||
                    (IS("Ntry/NtryDtls/TxDtls/AmtDtls/TxAmt/Amt") && !tx->has_amount))) {
        tx->micro = amount_here(c, tx->amount);
        tx->has_amount = 1;
        memcpy(tx->currency, c->attribute, sizeof tx->currency);
    } else if (tx && IS("Ntry/NtryDtls/TxDtls/CdtDbtInd")) {
        tx->is_debit = debit;
        tx->has_mark = 1;
    } else if (IS("Ntry/NtryDtls/TxDtls/RmtInf/Ustrd") && !c->remittance[0])
        keep_start(c->remittance, sizeof c->remittance, c);
    else if (IS("Ntry"))
        end_entry(c);
#undef IS
    char *slash = strrchr(c->path, '/');
    *(slash ? slash : c->path) = 0;
    c->text_size = 0;
    c->depth--;
}

static void XMLCALL on_doctype(void *context, const XML_Char *name, const XML_Char *system,
                               const XML_Char *public, int internal)
{
    (void)name;
    (void)system;
    (void)public;
    (void)internal;
    refuse(context, "camt.doctype", "no bank sends one; where does the file come from?",
           "a document type declaration, which could declare entities");
}

static enum err camt_feed(struct statement *statement, const uint8_t *bytes, size_t size, int at_end,
                          struct diag *diag)
{
    struct camt *c = (struct camt *)statement;
    c->diag = diag;
    enum XML_Status status = XML_Parse(c->parser, (const char *)bytes, (int)size, at_end);
    if (c->err != OK)
        return c->err;
    if (status != XML_STATUS_OK) {
        enum XML_Error error = XML_GetErrorCode(c->parser);
        if (error == XML_ERROR_NO_MEMORY)
            return mem_fail(diag, size, "a statement's XML");
        return diag_set(diag, ERR_INPUT, "camt.xml",
                        "the file was cut off or damaged, or is no XML: get it again",
                        "%s: line %llu, byte %llu: %s", c->base.path,
                        (unsigned long long)XML_GetCurrentLineNumber(c->parser),
                        (unsigned long long)XML_GetCurrentByteIndex(c->parser), XML_ErrorString(error));
    }
    if (at_end && !c->is_any)
        return diag_set(diag, ERR_INPUT, "camt.none", "is this a camt.053 statement?",
                        "%s: the XML holds no statement (Stmt, Rpt or Ntfctn)", c->base.path);
    return c->base.no_memory ? mem_fail(diag, c->base.room, "a statement's rows") : OK;
}

static void camt_close(struct statement *statement)
{
    struct camt *c = (struct camt *)statement;
    if (c->parser)
        XML_ParserFree(c->parser);
    mem_give(c->txs);
    mem_give(c->base.text);
    mem_give(c);
}

enum err camt_open(struct statement **out, const char *path, struct diag *diag)
{
    static const struct statement_ops ops = {camt_feed, camt_close};
    static const XML_Memory_Handling_Suite memory = {mem_take, mem_grow, mem_give};
    struct camt *c = mem_take_zero(1, sizeof *c);
    *out = NULL;
    if (!c)
        return mem_fail(diag, sizeof *c, "a statement");
    c->base.ops = &ops;
    c->base.path = path;
    c->parser = XML_ParserCreate_MM(NULL, &memory, "|");
    if (!c->parser) {
        camt_close(&c->base);
        return mem_fail(diag, 0, "a statement's XML");
    }
    XML_SetUserData(c->parser, c);
    XML_SetElementHandler(c->parser, on_start, on_end);
    XML_SetCharacterDataHandler(c->parser, on_text);
    XML_SetStartDoctypeDeclHandler(c->parser, on_doctype);
    *out = &c->base;
    return OK;
}
