// bench/peers/chdb.js: the reconciliation in ClickHouse, embedded (chdb).
//
//     node chdb.js DAY OUT MODE THREADS PLAN      (as duckdb.js)
//
// PLAN   group   both sides in one union, grouped by key
//        merge   FULL OUTER JOIN, full_sorting_merge; a doubled key comes out twice
'use strict';
const { Session } = require('chdb');

const [day, out, mode, threads, plan] = process.argv.slice(2);
const local = ['channel_code', 'biz_type', 'biz_order_no', 'merchant_no', 'sub_merchant_no', 'trade_time', 'direction',
    'currency', 'amount', 'fee', 'status'];
const channel = ['channel_code', 'biz_order_no', 'channel_order_no', 'merchant_no', 'trade_time', 'direction',
    'currency', 'amount', 'fee', 'status'];

function reader(file, names)
{
    const columns = names.map(n => `${n} ${n === 'amount' ? 'Decimal(18, 2)' : 'String'}`).join(', ');
    return `file('${day}/${file}.csv', 'CSVWithNames', '${columns}')`;
}

const plans = {
    group: `SELECT *, multiIf(ln = 1 AND rn = 1, if(la = ra AND ls = rs, 'match', 'mismatch'), rn = 0, 'missing', ln = 0, 'extra', 'doubled') AS class
        FROM (SELECT channel_code, biz_order_no, countIf(side = 0) AS ln, countIf(side = 1) AS rn, anyIf(amount, side = 0) AS la,
                anyIf(amount, side = 1) AS ra, anyIf(status, side = 0) AS ls, anyIf(status, side = 1) AS rs
            FROM (SELECT 0 AS side, channel_code, biz_order_no, amount, status FROM ${reader('local', local)}
                UNION ALL SELECT 1 AS side, channel_code, biz_order_no, amount, status FROM ${reader('channel', channel)})
            GROUP BY channel_code, biz_order_no)`,
    merge: `SELECT if(l.biz_order_no = '', r.channel_code, l.channel_code) AS channel_code,
            if(l.biz_order_no = '', r.biz_order_no, l.biz_order_no) AS biz_order_no, l.amount AS la, r.amount AS ra, l.status AS ls, r.status AS rs,
            multiIf(r.biz_order_no = '', 'missing', l.biz_order_no = '', 'extra', l.amount = r.amount AND l.status = r.status, 'match', 'mismatch') AS class
        FROM ${reader('local', local)} AS l FULL OUTER JOIN ${reader('channel', channel)} AS r
            ON l.channel_code = r.channel_code AND l.biz_order_no = r.biz_order_no`,
};

const began = process.hrtime.bigint();
const session = new Session();
session.query(`INSERT INTO FUNCTION file('${out}/result.csv', 'CSVWithNames')
    SELECT channel_code, biz_order_no, toString(la) AS la, toString(ra) AS ra, ls, rs, class FROM (${plans[plan]})
    ${mode === 'all' ? '' : "WHERE class <> 'match'"}
    SETTINGS max_threads = ${threads}, join_algorithm = 'full_sorting_merge', engine_file_truncate_on_insert = 1`, 'CSV');
console.log(Number(process.hrtime.bigint() - began) / 1e9);
session.close();
