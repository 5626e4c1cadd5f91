// bench/peers/duckdb.js: the reconciliation as DuckDB does it best.
//
//     node duckdb.js DAY OUT MODE THREADS PLAN [MEMORY_LIMIT]
//
// DAY holds local.csv and channel.csv, OUT/result.csv gets the breaks (MODE breaks) or every key (MODE all).
// Prints the seconds from before the database is opened until the result is written; the start of node is
// not in them.
//
// PLAN   group   both sides in one union, grouped by key (the best one; README.md says what was tried)
//        minmax  the same with plain aggregates, which differ when the sides do
//        enum    group, with the words of channel_code and status told beforehand, so that they take a byte each
//        join    FULL OUTER JOIN of the two readers
'use strict';
const { DuckDBInstance } = require('@duckdb/node-api');

const [day, out, mode, threads, plan, memory] = process.argv.slice(2);
const local = ['channel_code', 'biz_type', 'biz_order_no', 'merchant_no', 'sub_merchant_no', 'trade_time', 'direction',
    'currency', 'amount', 'fee', 'status'];
const channel = ['channel_code', 'biz_order_no', 'channel_order_no', 'merchant_no', 'trade_time', 'direction',
    'currency', 'amount', 'fee', 'status'];

// The words that gen uses; a file with others is refused in plan enum.
const words = {
    channel_code: ['ALIPAY', 'WECHATPAY', 'UNIONPAY', 'DIGITALRMB'],
    status: ['SUCCESS', 'REFUNDED', 'PROCESSING', 'FAILED', 'CLOSED'],
};

function type(name)
{
    return name === 'amount' ? 'DECIMAL(18,2)' : plan === 'enum' && words[name] ? `${name}_word` : 'VARCHAR';
}

// Columns and types are given, so that nothing is sniffed; those that no one reads are never parsed.
function reader(file, names)
{
    const columns = names.map(n => `'${n}': '${type(n)}'`).join(', ');
    return `read_csv('${day}/${file}.csv', header = true, auto_detect = false, delim = ',', quote = '"', columns = {${columns}})`;
}

const both = `SELECT 0::TINYINT AS side, channel_code, biz_order_no, amount, status FROM ${reader('local', local)}
    UNION ALL SELECT 1::TINYINT, channel_code, biz_order_no, amount, status FROM ${reader('channel', channel)}`;
const plans = {
    group: `SELECT *, CASE WHEN ln = 1 AND rn = 1 THEN CASE WHEN la = ra AND ls = rs THEN 'match' ELSE 'mismatch' END
            WHEN rn = 0 THEN 'missing' WHEN ln = 0 THEN 'extra' ELSE 'doubled' END AS class
        FROM (SELECT channel_code, biz_order_no, count(*) FILTER (side = 0) AS ln, count(*) FILTER (side = 1) AS rn,
                any_value(amount) FILTER (side = 0) AS la, any_value(amount) FILTER (side = 1) AS ra,
                any_value(status) FILTER (side = 0) AS ls, any_value(status) FILTER (side = 1) AS rs
            FROM (${both}) GROUP BY channel_code, biz_order_no)`,
    minmax: `SELECT *, CASE WHEN n > 2 OR (n = 2 AND s <> 1) THEN 'doubled' WHEN n = 1 AND s = 0 THEN 'missing'
            WHEN n = 1 THEN 'extra' WHEN la = ra AND ls = rs THEN 'match' ELSE 'mismatch' END AS class
        FROM (SELECT channel_code, biz_order_no, count(*) AS n, sum(side) AS s, min(amount) AS la, max(amount) AS ra,
                min(status) AS ls, max(status) AS rs
            FROM (${both}) GROUP BY channel_code, biz_order_no)`,
    // A doubled key comes out twice here: it is a class of its own only where the keys are grouped.
    join: `SELECT coalesce(l.channel_code, r.channel_code) AS channel_code, coalesce(l.biz_order_no, r.biz_order_no) AS biz_order_no,
            1 AS ln, 1 AS rn, l.amount AS la, r.amount AS ra, l.status AS ls, r.status AS rs,
            CASE WHEN r.biz_order_no IS NULL THEN 'missing' WHEN l.biz_order_no IS NULL THEN 'extra'
                WHEN l.amount = r.amount AND l.status = r.status THEN 'match' ELSE 'mismatch' END AS class
        FROM ${reader('local', local)} l FULL OUTER JOIN ${reader('channel', channel)} r
            ON l.channel_code = r.channel_code AND l.biz_order_no = r.biz_order_no`,
};

plans.enum = plans.group;

async function main()
{
    const began = process.hrtime.bigint();
    const db = await DuckDBInstance.create(':memory:', { threads });
    const c = await db.connect();
    await c.run('SET preserve_insertion_order = false');
    for (const name of Object.keys(words))
        await c.run(`CREATE TYPE ${name}_word AS ENUM (${words[name].map(w => `'${w}'`).join(', ')})`);
    if (memory) {
        await c.run(`SET memory_limit = '${memory}'`);
        await c.run(`SET temp_directory = '${out}/spill'`);
    }
    await c.run(`COPY (SELECT channel_code, biz_order_no, la, ra, ls, rs, class FROM (${plans[plan]})
        ${mode === 'all' ? '' : "WHERE class <> 'match'"}) TO '${out}/result.csv' (HEADER)`);
    console.log(Number(process.hrtime.bigint() - began) / 1e9);
}

main().catch(e => {
    console.error(String(e));
    process.exit(1);
});
