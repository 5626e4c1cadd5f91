/* tests/unit/core/rules/bill_rules_test.c: what a profile can say of a column beyond its name. Every row is read by the hot
 * road, by the calm one and, where it applies, as a lean row; they have to agree. */
#include "core/model/currency.h"
#include "core/rules/normalize.h"
#include "tests/support/check_test.h"
#include <stdlib.h>

static const char *const header[] = {"order", "amount", "mark", "fee",  "fee2", "fee3",
                                     "cur",   "cur2",   "time", "zone", "state"};
enum { COLUMNS = sizeof header / sizeof *header };
enum { C_ORDER, C_AMOUNT, C_MARK, C_FEE, C_FEE2, C_FEE3, C_CUR, C_CUR2, C_TIME, C_ZONE, C_STATE };

static int find(void *context, const char *name)
{
    (void)context;
    for (int i = 0; i < COLUMNS; i++)
        if (strcmp(header[i], name) == 0)
            return i;
    return -1;
}

struct bench {
    struct job job;
    struct row_type type;
    struct norm_shared shared;
    struct normalizer *normalizer;
    struct norm_scratch scratch;
    struct record *record;
    struct arena arena;
};

/* A bill's rows of one kind; the test sets the rules of `type` before. */
static void open_bench(struct bench *b, const char *charset, const char *date)
{
    struct diag diag = {0};
    struct source_spec *source = &b->job.sources[CHANNEL];
    source->kind = SOURCE_FILES;
    b->type.fields[FIELD_BIZ_ORDER_NO].column = "order";
    if (!b->type.fields[FIELD_AMOUNT].column && !b->type.fields[FIELD_AMOUNT].debit)
        b->type.fields[FIELD_AMOUNT].column = "amount";
    memcpy(source->fields, b->type.fields, sizeof source->fields);
    b->job.channel_code = "CH";
    b->job.currency = currency_find("CNY", 3);
    b->job.match = (struct match_rules){
        .keys = {{{FIELD_BIZ_ORDER_NO}, 1}}, .key_count = 1, .compare = {FIELD_FEE}, .compare_count = 1};
    EXPECT(dict_open(&b->shared.words, &diag) == OK &&
           day_zone_open(&b->shared.job_zone, "Asia/Shanghai", &diag) == OK);
    b->shared.zones[LOCAL] = b->shared.zones[CHANNEL] = b->shared.job_zone;
    b->shared.job = &b->job;
    b->shared.unit_day = day_parse("2026-11-19", 10);
    struct norm_rows rows = {
        .type = &b->type, .charset = charset, .date = date ? day_parse(date, strlen(date)) : DAY_NONE};
    EXPECT(normalizer_open_rows(&b->normalizer, &b->shared, CHANNEL, &rows, "test", find, NULL, &diag) == OK);
    EXPECT(norm_scratch_init(&b->scratch, &diag) == OK);
    b->record = calloc(1, RECORD_VAR_MAX + 4096);
    arena_init(&b->arena);
}

static void close_bench(struct bench *b)
{
    normalizer_close(b->normalizer);
    norm_scratch_fini(&b->scratch);
    dict_close(b->shared.words);
    day_zone_close(b->shared.job_zone);
    arena_fini(&b->arena);
    free(b->record);
    memset(b, 0, sizeof *b);
}

static struct cell text_cell(const char *text)
{
    return (struct cell){.data = text, .size = (uint32_t)strlen(text), .kind = CELL_TEXT};
}

/* The cells "NAME=TEXT", the rest as a usual row has them. */
static enum reject_code read_row(struct bench *b, const char *const sets[], struct full *full)
{
    static const char *const usual[COLUMNS] = {"O1", "5.00", "", "", "", "", "", "", "", "", ""};
    struct cell row[COLUMNS], cells[COLUMNS + 8];
    int count, hot_bad, full_bad, no_memory;
    for (int i = 0; i < COLUMNS; i++)
        row[i] = text_cell(usual[i]);
    for (int i = 0; sets[i]; i++) {
        const char *is = strchr(sets[i], '=');
        char name[16] = "";
        memcpy(name, sets[i], (size_t)(is - sets[i]));
        row[find(NULL, name)] = text_cell(is + 1);
    }
    const int *columns = normalizer_columns(b->normalizer, &count);
    for (int i = 0; i < count; i++)
        cells[i] = row[columns[i]];
    enum reject_code hot = normalize_hot(b->normalizer, &b->scratch, cells, b->record, &hot_bad);
    enum reject_code calm =
        normalize_full(b->normalizer, &b->scratch, cells, &b->arena, full, &full_bad, &no_memory);
    EXPECT(!no_memory && hot == calm && (hot == REJECT_NONE || hot_bad == full_bad));
    if (hot == REJECT_NONE && calm == REJECT_NONE) {
        EXPECT(b->record->amount_micro == full->amount_micro && b->record->day == full->day &&
               b->record->currency == full->currency && !(b->record->flags & RECORD_OUT) == !full->out);
        struct match_plan plan;
        match_plan_make(&plan, &b->job, 0);
        for (int side = 0; side < SIDES; side++) {
            struct lean_list quick = {0}, whole = {0};
            int taken = normalize_lean(b->normalizer, &b->scratch, cells, 1, &plan.side[side], &quick);
            EXPECT(taken >= 0 && lean_of_full(&plan.side[side], full, &whole));
            if (taken == 1) {
                const struct lean *x = quick.items, *y = whole.items;
                EXPECT(x->amount_micro == y->amount_micro && x->day == y->day &&
                       x->order_size == y->order_size && x->cells_size == y->cells_size &&
                       memcmp(quick.bytes + x->at, whole.bytes + y->at, x->order_size + x->cells_size) == 0);
            }
            lean_list_fini(&quick);
            lean_list_fini(&whole);
        }
    }
    return hot;
}

/* What a row must become: an amount as it is printed, or the code of its reject. */
struct want {
    const char *sets[5];
    const char *amount, *fee; /* fee "": none. amount NULL: rejected with `code` */
    enum reject_code code;
};

static void check_rows(struct bench *b, const char *what, const struct want *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct full f;
        enum reject_code code = read_row(b, table[i].sets, &f);
        const char *fee = table[i].fee ? table[i].fee : "";
        int right = table[i].amount ? code == REJECT_NONE && span_is(f.text[FIELD_AMOUNT], table[i].amount) &&
                                          span_is(f.text[FIELD_FEE], fee)
                                    : code == table[i].code;
        if (!right)
            fprintf(stderr, "%s, row %zu (%s): %s %.*s fee %.*s, want %s fee %s\n", what, i, table[i].sets[0],
                    reject_name(code), code ? 0 : (int)f.text[FIELD_AMOUNT].size,
                    code ? "" : f.text[FIELD_AMOUNT].data, code ? 0 : (int)f.text[FIELD_FEE].size,
                    code ? "" : f.text[FIELD_FEE].data,
                    table[i].amount ? table[i].amount : reject_name(table[i].code), fee);
        EXPECT(right);
    }
}
#define CHECK_ROWS(b, what, table) check_rows(b, what, table, sizeof table / sizeof *table)

TEST(a_sign_other_than_the_declared_one_is_a_reject)
{
    static const struct want positive[] = {{{"amount=5"}, "5.00", NULL, 0},
                                           {{"amount=0"}, "0.00", NULL, 0},
                                           {{"amount=-0.00"}, "0.00", NULL, 0},
                                           {{"amount=+5"}, "5.00", NULL, 0},
                                           {{"amount=-5"}, NULL, NULL, REJECT_AMOUNT}},
                             negative[] = {{{"amount=-5"}, "-5.00", NULL, 0},
                                           {{"amount=0"}, "0.00", NULL, 0},
                                           {{"amount=5"}, NULL, NULL, REJECT_AMOUNT}},
                             cost[] = {{{"fee=0.60"}, "5.00", "-0.60", 0},
                                       {{"fee=-0.60"}, "5.00", "0.60", 0},
                                       {{"fee=0"}, "5.00", "0.00", 0},
                                       {{"fee="}, "5.00", "", 0}};
    struct bench b = {0};
    b.type.fields[FIELD_AMOUNT].sign = SIGN_POSITIVE;
    open_bench(&b, NULL, NULL);
    CHECK_ROWS(&b, "positive", positive);
    close_bench(&b);
    b.type.fields[FIELD_AMOUNT].sign = SIGN_NEGATIVE;
    open_bench(&b, NULL, NULL);
    CHECK_ROWS(&b, "negative", negative);
    close_bench(&b);
    b.type.fields[FIELD_FEE] = (struct field_rule){.column = "fee", .sign = SIGN_COST};
    open_bench(&b, NULL, NULL);
    CHECK_ROWS(&b, "cost", cost);
    close_bench(&b);
}

TEST(a_mark_in_a_column_of_its_own_says_debit_or_credit)
{
    static const struct want rows[] = {
        {{"amount=5", "mark=DBIT"}, "-5.00", NULL, 0},
        {{"amount=5", "mark=CRDT"}, "5.00", NULL, 0},
        {{"amount=5", "mark=CR"}, NULL, NULL, REJECT_AMOUNT},
        {{"amount=5", "mark="}, NULL, NULL, REJECT_AMOUNT},
        {{"amount=5", "mark=dbit"}, NULL, NULL, REJECT_AMOUNT},
        {{"amount=0", "mark="}, "0.00", NULL, 0}, /* nothing moved, nothing to say */
        {{"amount=-5", "mark=DBIT"}, NULL, NULL, REJECT_AMOUNT},
        {{"amount=-5", "mark=CRDT"}, NULL, NULL, REJECT_AMOUNT}};
    struct bench b = {0};
    b.type.fields[FIELD_AMOUNT] = (struct field_rule){
        .column = "amount", .mark_column = "mark", .mark_debit = "DBIT", .mark_credit = "CRDT"};
    open_bench(&b, NULL, NULL);
    CHECK_ROWS(&b, "mark column", rows);
    close_bench(&b);
    /* UnionPay's corrections: the letter before another amount's digits. */
    static const struct want begins[] = {{{"amount=5", "mark=D000000000500"}, "-5.00", NULL, 0},
                                         {{"amount=5", "mark=C000000000500"}, "5.00", NULL, 0},
                                         {{"amount=5", "mark=C"}, "5.00", NULL, 0},
                                         {{"amount=5", "mark=000000000500"}, NULL, NULL, REJECT_AMOUNT},
                                         {{"amount=5", "mark=c000000000500"}, NULL, NULL, REJECT_AMOUNT},
                                         {{"amount=5", "mark= D00000000500"}, NULL, NULL, REJECT_AMOUNT},
                                         {{"amount=5", "mark="}, NULL, NULL, REJECT_AMOUNT},
                                         {{"amount=0", "mark="}, "0.00", NULL, 0}};
    b.type.fields[FIELD_AMOUNT] = (struct field_rule){
        .column = "amount", .mark_column = "mark", .mark_debit = "D*", .mark_credit = "C*"};
    open_bench(&b, NULL, NULL);
    CHECK_ROWS(&b, "mark column, by its begin", begins);
    close_bench(&b);
}

TEST(a_letter_before_the_digits_says_debit_or_credit)
{
    static const struct want amount[] =
        {{{"amount=D000000000120"}, "-1.20", NULL, 0},
         {{"amount=C000000000120"}, "1.20", NULL, 0},
         {{"amount=D000000000000"}, "0.00", NULL, 0},
         {{"amount=000000000000"}, "0.00", NULL, 0}, /* zero needs no letter */
         {{"amount=000000000120"}, NULL, NULL, REJECT_AMOUNT},
         {{"amount=X000000000120"}, NULL, NULL, REJECT_AMOUNT},
         {{"amount=D-00000000120"}, NULL, NULL, REJECT_AMOUNT},
         {{"amount=D"}, NULL, NULL, REJECT_AMOUNT},
         {{"amount=DD0000000120"}, NULL, NULL, REJECT_AMOUNT}},
                             fee[] = {{{"fee=D000000000007"}, "5.00", "-0.07", 0},
                                      {{"fee=C000000000007"}, "5.00", "0.07", 0},
                                      {{"fee="}, "5.00", "", 0},
                                      {{"fee=7"}, NULL, NULL, REJECT_FEE}};
    struct bench b = {0};
    b.type.fields[FIELD_AMOUNT] =
        (struct field_rule){.column = "amount", .unit = UNIT_MINOR, .mark_debit = "D", .mark_credit = "C"};
    open_bench(&b, NULL, NULL);
    CHECK_ROWS(&b, "letter", amount);
    close_bench(&b);
    b.type.fields[FIELD_FEE] =
        (struct field_rule){.column = "fee", .unit = UNIT_MINOR, .mark_debit = "D", .mark_credit = "C"};
    open_bench(&b, NULL, NULL);
    CHECK_ROWS(&b, "letter of a fee", fee);
    close_bench(&b);
}

TEST(debit_and_credit_columns_hold_one_amount)
{
    static const struct want rows[] = {
        {{"fee=5", "fee2="}, "-5.00", NULL, 0},
        {{"fee=-5", "fee2="}, "-5.00", NULL, 0}, /* core/README.md, decision 18 */
        {{"fee=", "fee2=5"}, "5.00", NULL, 0},
        {{"fee=", "fee2=-5"}, "-5.00", NULL, 0},
        {{"fee=0.00", "fee2=5"}, "5.00", NULL, 0},
        {{"fee=5", "fee2=5"}, NULL, NULL, REJECT_AMOUNT},
        {{"fee=", "fee2="}, NULL, NULL, REJECT_AMOUNT},
        {{"fee=x", "fee2=5"}, NULL, NULL, REJECT_AMOUNT}};
    struct bench b = {0};
    b.type.fields[FIELD_AMOUNT] = (struct field_rule){.debit = "fee", .credit = "fee2"};
    open_bench(&b, NULL, NULL);
    CHECK_ROWS(&b, "two columns", rows);
    close_bench(&b);
}

TEST(a_fee_of_several_columns_is_their_sum)
{
    static const char *plus[] = {"fee2", "fee3", NULL};
    static const struct want rows[] = {{{"fee=0.10", "fee2=0.02", "fee3=0.003"}, "5.00", "-0.123", 0},
                                       {{"fee=0.10", "fee2=", "fee3="}, "5.00", "-0.10", 0},
                                       {{"fee=", "fee2=", "fee3=0.01"}, "5.00", "-0.01", 0},
                                       {{"fee=", "fee2=", "fee3="}, "5.00", "", 0}, /* none is no zero */
                                       {{"fee=0.10", "fee2=x"}, NULL, NULL, REJECT_FEE},
                                       {{"fee=9000000000000", "fee2=9000000000000"}, NULL, NULL, REJECT_FEE}};
    struct bench b = {0};
    b.type.fields[FIELD_FEE] = (struct field_rule){.column = "fee", .plus = plus, .sign = SIGN_COST};
    open_bench(&b, NULL, NULL);
    CHECK_ROWS(&b, "plus", rows);
    /* Without one of them the sum would be too small: where some are there, all must be. */
    static const char *some[] = {"fee2", "not there", NULL}, *none[] = {"not there", NULL};
    const struct norm_rows kind = {.type = &b.type, .date = DAY_NONE};
    struct normalizer *other = NULL;
    struct diag diag = {0};
    b.type.fields[FIELD_FEE].plus = some;
    EXPECT(normalizer_open_rows(&other, &b.shared, CHANNEL, &kind, "test", find, NULL, &diag) == ERR_INPUT &&
           strstr(diag.what, "\"not there\""));
    diag = (struct diag){0};
    b.type.fields[FIELD_FEE].plus = none;
    EXPECT(normalizer_open_rows(&other, &b.shared, CHANNEL, &kind, "test", find, NULL, &diag) == OK);
    normalizer_close(other);
    close_bench(&b);
}

TEST(a_fee_in_another_currency_is_none)
{
    static const struct want rows[] = {{{"fee=0.10", "cur=EUR", "cur2=EUR"}, "5.00", "0.10", 0},
                                       {{"fee=0.10", "cur=EUR", "cur2=USD"}, "5.00", "", 0},
                                       {{"fee=0.10", "cur=EUR", "cur2="}, "5.00", "", 0},
                                       {{"fee=x", "cur=EUR", "cur2=EUR"}, NULL, NULL, REJECT_FEE}};
    struct bench b = {0};
    b.type.fields[FIELD_FEE] =
        (struct field_rule){.column = "fee", .same = {"cur", "cur2"}, .sign = SIGN_SIGNED};
    open_bench(&b, NULL, NULL);
    CHECK_ROWS(&b, "same", rows);
    close_bench(&b);
}

TEST(the_word_for_nothing_is_nothing)
{
    static const struct want amount[] = {{{"amount=--"}, NULL, NULL, REJECT_AMOUNT},
                                         {{"fee=--"}, "5.00", "", 0},
                                         {{"fee=-- "}, NULL, NULL, REJECT_FEE},
                                         {{"fee=-0.10"}, "5.00", "-0.10", 0}};
    struct bench b = {0};
    struct full f;
    b.type.fields[FIELD_AMOUNT] = (struct field_rule){.column = "amount", .none = "--"};
    b.type.fields[FIELD_FEE] = (struct field_rule){.column = "fee", .none = "--"};
    b.type.fields[FIELD_SUB_MERCHANT_NO] = (struct field_rule){.column = "state", .none = "000"};
    open_bench(&b, NULL, NULL);
    CHECK_ROWS(&b, "none", amount);
    EXPECT(read_row(&b, (const char *const[]){"state=000", NULL}, &f) == REJECT_NONE &&
           f.text[FIELD_SUB_MERCHANT_NO].size == 0);
    EXPECT(read_row(&b, (const char *const[]){"state=0000", NULL}, &f) == REJECT_NONE &&
           span_is(f.text[FIELD_SUB_MERCHANT_NO], "0000"));
    close_bench(&b);
}

TEST(decimals_stand_behind_a_comma_only_where_it_is_declared)
{
    static const struct want comma[] = {{{"amount=12,50"}, "12.50", NULL, 0},
                                        {{"amount=-12,5"}, "-12.50", NULL, 0},
                                        {{"amount=1234567,891234"}, "1234567.891234", NULL, 0},
                                        {{"amount=12"}, "12.00", NULL, 0},
                                        {{"amount=12.50"}, NULL, NULL, REJECT_AMOUNT},
                                        {{"amount=1.234,50"}, NULL, NULL, REJECT_AMOUNT},
                                        {{"amount=1,234,50"}, NULL, NULL, REJECT_AMOUNT},
                                        {{"amount=,50"}, NULL, NULL, REJECT_AMOUNT},
                                        {{"amount=12,"}, NULL, NULL, REJECT_AMOUNT},
                                        {{"amount="}, NULL, NULL, REJECT_AMOUNT},
                                        {{"amount=12,1234567"}, NULL, NULL, REJECT_AMOUNT}},
                             grouped[] = {{{"amount=1.234,50"}, "1234.50", NULL, 0},
                                          {{"amount=1.234.567,8"}, "1234567.80", NULL, 0},
                                          {{"amount=12,50"}, "12.50", NULL, 0}},
                             not_grouped[] = {{{"amount=1234.50"}, NULL, NULL, REJECT_AMOUNT},
                                              {{"amount=1.2345"}, NULL, NULL, REJECT_AMOUNT},
                                              {{"amount=.123"}, NULL, NULL, REJECT_AMOUNT},
                                              {{"amount=1..234"}, NULL, NULL, REJECT_AMOUNT}},
                             commas[] = {{{"amount=1,234.50"}, "1234.50", NULL, 0},
                                         {{"amount=-1,234,567"}, "-1234567.00", NULL, 0},
                                         {{"amount=12,34,567.00"}, "1234567.00", NULL, 0},
                                         {{"amount=12,50"}, NULL, NULL, REJECT_AMOUNT},
                                         {{"amount=1,2345"}, NULL, NULL, REJECT_AMOUNT},
                                         {{"amount=1.234,50"}, NULL, NULL, REJECT_AMOUNT},
                                         {{"amount=1,234,"}, NULL, NULL, REJECT_AMOUNT},
                                         {{"amount=,234"}, NULL, NULL, REJECT_AMOUNT}},
                             point[] = {{{"amount=12,50"}, NULL, NULL, REJECT_AMOUNT},
                                        {{"amount=1,250"}, NULL, NULL, REJECT_AMOUNT}};
    struct bench b = {0};
    b.type.fields[FIELD_AMOUNT] = (struct field_rule){.column = "amount", .decimal = ','};
    open_bench(&b, NULL, NULL);
    CHECK_ROWS(&b, "comma", comma);
    close_bench(&b);
    b.type.fields[FIELD_AMOUNT] = (struct field_rule){.column = "amount", .decimal = ',', .strip = "."};
    open_bench(&b, NULL, NULL);
    CHECK_ROWS(&b, "comma and stripped points", grouped);
    CHECK_ROWS(&b, "points that group nothing", not_grouped);
    close_bench(&b);
    b.type.fields[FIELD_AMOUNT] = (struct field_rule){.column = "amount", .strip = ","};
    open_bench(&b, NULL, NULL);
    CHECK_ROWS(&b, "stripped commas", commas);
    close_bench(&b);
    open_bench(&b, NULL, NULL);
    CHECK_ROWS(&b, "point", point);
    close_bench(&b);
}

TEST(an_amount_is_never_read_past_what_is_not_declared)
{
    /* AMT-04, AMT-12: a symbol, a unit, a percent sign; ENC-08: full-width digits; CSV-26: what sheets make of numbers. */
    static const struct want rows[] = {{{"amount=￥12.34"}, NULL, NULL, REJECT_AMOUNT},
                                       {{"amount=¥12.34"}, NULL, NULL, REJECT_AMOUNT},
                                       {{"amount=£12.34"}, NULL, NULL, REJECT_AMOUNT},
                                       {{"amount=12.34元"}, NULL, NULL, REJECT_AMOUNT},
                                       {{"amount=$12.34"}, NULL, NULL, REJECT_AMOUNT},
                                       {{"amount=12.34 "}, NULL, NULL, REJECT_AMOUNT},
                                       {{"amount= 12.34"}, NULL, NULL, REJECT_AMOUNT},
                                       {{"amount=１２.３４"}, NULL, NULL, REJECT_AMOUNT},
                                       {{"amount=1.234E+05"}, NULL, NULL, REJECT_AMOUNT},
                                       {{"amount=(12.34)"}, NULL, NULL, REJECT_AMOUNT},
                                       {{"amount=12.34-"}, NULL, NULL, REJECT_AMOUNT},
                                       {{"amount=−12.34"}, NULL, NULL, REJECT_AMOUNT},
                                       {{"amount=0x10"}, NULL, NULL, REJECT_AMOUNT},
                                       {{"amount=inf"}, NULL, NULL, REJECT_AMOUNT},
                                       {{"fee=0.60%"}, NULL, NULL, REJECT_FEE}},
                             stripped[] = {{{"amount=￥12.34"}, "12.34", NULL, 0},
                                           {{"amount=12.34元"}, "12.34", NULL, 0},
                                           {{"amount=￥1,234.50元"}, "1234.50", NULL, 0},
                                           {{"amount=¥12.34"}, NULL, NULL, REJECT_AMOUNT}};
    struct bench b = {0};
    b.type.fields[FIELD_FEE] = (struct field_rule){.column = "fee"};
    open_bench(&b, NULL, NULL);
    CHECK_ROWS(&b, "undeclared", rows);
    close_bench(&b);
    b.type.fields[FIELD_AMOUNT] = (struct field_rule){.column = "amount", .strip = "￥元,"};
    open_bench(&b, NULL, NULL);
    CHECK_ROWS(&b, "declared", stripped);
    close_bench(&b);
}

TEST(whole_characters_are_stripped_never_parts_of_others)
{
    /* 兀 (E5 85 80) begins as 元 (E5 85 83) does; ¥ (C2 A5) ends as ￥ (EF BF A5) does. */
    struct bench b = {0};
    struct full f;
    b.type.fields[FIELD_STATUS] = (struct field_rule){.column = "state", .strip = "元￥ \t"};
    open_bench(&b, NULL, NULL);
    static const struct {
        const char *text, *want;
    } table[] = {{"state=兀", "兀"},
                 {"state=兀元元儿", "兀儿"},
                 {"state=￥¥ \t", "¥"},
                 {"state=\x85\x83\xa5", "\x85\x83\xa5"},
                 {"state=\xe5\x85", "\xe5\x85"},
                 {"state=元", ""}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        EXPECT(read_row(&b, (const char *const[]){table[i].text, NULL}, &f) == REJECT_NONE &&
               span_is(f.text[FIELD_STATUS], table[i].want));
    close_bench(&b);
}

TEST(units_are_the_declared_ones)
{
    /* AMT-07: fen and yuan, JPY without and KWD with three decimals. */
    static const struct want minor[] = {{{"amount=1234", "cur=CNY"}, "12.34", NULL, 0},
                                        {{"amount=1234", "cur=JPY"}, "1234", NULL, 0},
                                        {{"amount=1234", "cur=KWD"}, "1.234", NULL, 0},
                                        /* a metal has no minor unit: nobody can say what 1234 of them are */
                                        {{"amount=1234", "cur=XAU"}, NULL, NULL, REJECT_AMOUNT}},
                             hundredths[] = {{{"amount=1234", "cur=CNY"}, "12.34", NULL, 0},
                                             {{"amount=1200", "cur=JPY"}, "12", NULL, 0},
                                             {{"amount=1234", "cur=KWD"}, "12.340", NULL, 0}},
                             major[] = {{{"amount=1234", "cur=CNY"}, "1234.00", NULL, 0},
                                        {{"amount=1234", "cur=JPY"}, "1234", NULL, 0},
                                        {{"amount=12.345", "cur=KWD"}, "12.345", NULL, 0},
                                        {{"amount=12.345", "cur=XAU"}, "12.345", NULL, 0},
                                        {{"amount=12.000", "cur=XDR"}, "12", NULL, 0},
                                        {{"amount=500.0", "cur=CNY"}, "500.00", NULL, 0}, /* AMT-08 */
                                        {{"amount=500.00", "cur=CNY"}, "500.00", NULL, 0}};
    static const struct {
        enum amount_unit unit;
        const struct want *rows;
        size_t count;
    } units[] = {{UNIT_MINOR, minor, 4}, {UNIT_HUNDREDTHS, hundredths, 3}, {UNIT_MAJOR, major, 7}};
    for (size_t i = 0; i < 3; i++) {
        struct bench b = {0};
        b.type.fields[FIELD_AMOUNT] = (struct field_rule){.column = "amount", .unit = units[i].unit};
        b.type.fields[FIELD_CURRENCY].column = "cur";
        open_bench(&b, NULL, NULL);
        check_rows(&b, "unit", units[i].rows, units[i].count);
        close_bench(&b);
    }
}

/* Times: "NAME=TEXT" and what is printed, NULL for a reject. */
struct want_time {
    const char *sets[3];
    const char *time;
};

static void check_times(struct bench *b, const char *what, const struct want_time *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct full f;
        enum reject_code code = read_row(b, table[i].sets, &f);
        int right = table[i].time ? code == REJECT_NONE && span_is(f.text[FIELD_TRADE_TIME], table[i].time)
                                  : code == REJECT_TIME;
        if (!right)
            fprintf(stderr, "%s (%s): %s %.*s, want %s\n", what, table[i].sets[0], reject_name(code),
                    code ? 0 : (int)f.text[FIELD_TRADE_TIME].size, code ? "" : f.text[FIELD_TRADE_TIME].data,
                    table[i].time ? table[i].time : "time");
        EXPECT(right);
    }
}
#define CHECK_TIMES(b, what, table) check_times(b, what, table, sizeof table / sizeof *table)

TEST(a_time_without_a_year_takes_the_one_nearest_to_the_file_s_day)
{
    static const struct want_time new_year[] =
        {{{"time=0101000000"}, "2024-01-01T00:00:00+08:00"},
         {{"time=0101000001"}, "2024-01-01T00:00:01+08:00"}, /* the date of the row before */
         {{"time=0101246000"}, NULL},
         {{"time=0101235960"}, NULL},
         {{"time=010123595:"}, NULL},
         {{"time=0101235959"}, "2024-01-01T23:59:59+08:00"},
         {{"time=1231235959"}, "2023-12-31T23:59:59+08:00"},
         {{"time=1231000000"}, "2023-12-31T00:00:00+08:00"},
         {{"time=0228120000"}, "2024-02-28T12:00:00+08:00"},
         {{"time=0701120000"}, "2024-07-01T12:00:00+08:00"},
         {{"time=0703120000"}, "2023-07-03T12:00:00+08:00"},
         {{"time=0230120000"}, NULL},
         {{"time=1301120000"}, NULL},
         {{"time=0101240000"}, NULL},
         {{"time=0101006000"}, NULL},
         {{"time=010100000"}, NULL},
         {{"time=01010000000"}, NULL},
         {{"time=0101 00000"}, NULL},
         {{"time="}, ""}},
                                  old_year[] = {{{"time=0101003000"}, "2025-01-01T00:30:00+08:00"},
                                                {{"time=1231120000"}, "2024-12-31T12:00:00+08:00"},
                                                /* 29 February is in 2024 only */
                                                {{"time=0229120000"}, "2024-02-29T12:00:00+08:00"}};
    struct bench b = {0};
    b.type.fields[FIELD_TRADE_TIME] = (struct field_rule){.column = "time", .time_format = TIME_MMDDHHMMSS};
    open_bench(&b, NULL, "2024-01-01");
    CHECK_TIMES(&b, "the first of January", new_year);
    close_bench(&b);
    b.type.fields[FIELD_TRADE_TIME] = (struct field_rule){.column = "time", .time_format = TIME_MMDDHHMMSS};
    open_bench(&b, NULL, "2024-12-31");
    CHECK_TIMES(&b, "the last of December", old_year);
    close_bench(&b);
    /* Without a date in the name the unit's day, 19 November 2026, is the nearest. */
    static const struct want_time unit[] = {{{"time=1119080000"}, "2026-11-19T08:00:00+08:00"},
                                            {{"time=0229080000"}, NULL}};
    b.type.fields[FIELD_TRADE_TIME] = (struct field_rule){.column = "time", .time_format = TIME_MMDDHHMMSS};
    open_bench(&b, NULL, NULL);
    CHECK_TIMES(&b, "the unit's day", unit);
    close_bench(&b);
}

TEST(a_zone_is_named_by_a_column)
{
    static struct map_entry zones[] = {
        {"CET", "+01:00"}, {"CEST", "+02:00"}, {"PST", "-08:00"}, {"IST", "+05:30"}};
    static const struct want_time rows[] = {
        {{"time=2026-11-19 08:00:00", "zone=CET"}, "2026-11-19T15:00:00+08:00"},
        {{"time=2026-11-19 08:00:00", "zone=CEST"}, "2026-11-19T14:00:00+08:00"},
        {{"time=2026-11-19 08:00:00", "zone=PST"}, "2026-11-20T00:00:00+08:00"},
        {{"time=2026-11-19 08:00:00", "zone=IST"}, "2026-11-19T10:30:00+08:00"},
        {{"time=2026-11-19 08:00:00", "zone=EST"}, NULL},
        {{"time=2026-11-19 08:00:00", "zone="}, NULL},
        /* A time that says its offset itself needs no zone. */
        {{"time=2026-11-19T08:00:00+08:00", "zone=CET"}, "2026-11-19T08:00:00+08:00"}};
    struct bench b = {0};
    b.type.fields[FIELD_TRADE_TIME] =
        (struct field_rule){.column = "time", .zone_column = "zone", .zones = zones, .zone_count = 4};
    open_bench(&b, NULL, NULL);
    CHECK_TIMES(&b, "zone", rows);
    close_bench(&b);
}

TEST(a_wrong_unit_of_time_is_out_of_range)
{
    /* DT-11: seconds and milliseconds are not declared here; both are no dates. */
    static const struct want_time rows[] = {{{"time=1763535600"}, NULL},
                                            {{"time=1763535600000"}, NULL},
                                            {{"time=1763535600.5"}, NULL},
                                            {{"time=2026-11-19T08:00:00Z"}, "2026-11-19T16:00:00+08:00"},
                                            {{"time=2026-11-19T08:00:00+08:00"}, "2026-11-19T08:00:00+08:00"},
                                            {{"time=２０２６-11-19 08:00:00"}, NULL},
                                            {{"time=2026-11-19 08：00：00"}, NULL}};
    struct bench b = {0};
    b.type.fields[FIELD_TRADE_TIME] = (struct field_rule){.column = "time"};
    open_bench(&b, NULL, NULL);
    CHECK_TIMES(&b, "time", rows);
    close_bench(&b);
}

TEST(cells_of_another_charset_are_converted_or_told)
{
    struct bench b = {0};
    struct full f;
    b.type.fields[FIELD_STATUS] = (struct field_rule){.column = "state"};
    open_bench(&b, "GBK", NULL);
    EXPECT(read_row(&b, (const char *const[]){"state=\xb3\xc9\xb9\xa6", NULL}, &f) == REJECT_NONE &&
           span_is(f.text[FIELD_STATUS], "成功"));
    EXPECT(read_row(&b, (const char *const[]){"state=\xb3\xc9\xb9", NULL}, &f) == REJECT_CHARSET);
    EXPECT(read_row(&b, (const char *const[]){"order=\xff\xff", NULL}, &f) == REJECT_CHARSET);
    EXPECT(read_row(&b, (const char *const[]){"amount=\xb3", NULL}, &f) != REJECT_NONE);
    close_bench(&b);
}
