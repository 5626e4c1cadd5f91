#!/bin/sh
# tests/live/query.sh TIEOUT: a table asked for when the run begins gives what its log gives; `tieout schema` says what a log without
# names needs.
set -u
tieout=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/server.sh"
servers_begin
server_start 1
server_start 2 --binlog-row-metadata=NO_LOG
table="CREATE DATABASE shop; CREATE TABLE shop.payment_order (shop SMALLINT UNSIGNED NOT NULL, no VARCHAR(40) NOT NULL, amount DECIMAL(18,2) NOT NULL,
    big DECIMAL(40,6), fee DECIMAL(9,4), kind ENUM('pay', 'refund') NOT NULL, flags SET('a', 'b'), small TINYINT UNSIGNED, b BIT(5), note TEXT,
    raw VARBINARY(20), created_at DATETIME(3) NOT NULL, paid_at TIMESTAMP(6) NULL, PRIMARY KEY (shop, no))"
insert="INSERT INTO shop.payment_order SELECT 60000 + seq % 3, CONCAT('N', seq), seq * 1.01 - 500, seq * 1000.000001, seq * 0.0037,
    1 + seq % 2, seq % 4, seq % 256, seq % 32, IF(seq % 5, CONCAT('größe ', seq), NULL), UNHEX(HEX(seq)), '2026-11-19 10:00:00.123',
    IF(seq % 2, '2026-11-19 02:00:01.000001', NULL) FROM shop.seq_1_to_12000"
for n in 1 2; do
    sql $n -e "$table"
    sql $n shop -e "$(echo "$insert" | sed 's/shop.seq/seq/')"
    sql $n shop -e "UPDATE payment_order SET amount = amount + 1 WHERE shop = 60001; UPDATE payment_order SET no = 'moved' WHERE no = 'N7';
        INSERT INTO payment_order (shop, no, amount, kind, created_at) VALUES (1, 'other day', 1, 'pay', '2026-11-25 00:00:00')"
done

# job NAME SOURCE: $work/NAME.yaml
job()
{
    printf 'biz_order_no,amount,kind\nN1,-498.99,refund\nN2,1.00,pay\n' >"$work/bill.csv"
    cat >"$work/$1.yaml" <<YAML
version: 1
job: pay
channel_code: X
timezone: Asia/Shanghai
currency: CNY
local:
  $2
  fields: {biz_order_no: no, channel_order_no: note, amount: amount, fee: fee, sub_merchant_no: small, merchant_no: shop, trade_time: created_at,
    direction: {column: kind, map: {pay: IN, refund: OUT, "#1": IN, "#2": OUT}}, attr: {big: big, bits: b, paid: paid_at, raw: raw}}
channel:
  files: bill.csv
  format: csv
  fields: {biz_order_no: biz_order_no, amount: amount, direction: {column: kind, map: {pay: IN, refund: OUT}}}
match: {keys: [[biz_order_no]]}
YAML
}
run() # NAME; the logs are copies: a server may write one more event of its own into a log that it ended
{
    for n in 1 2; do
        mkdir -p "$work/logs$n"
        cp "$work/d$n"/mysql-bin.0* "$work/logs$n"
    done
    "$tieout" run "$work/$1.yaml" --date=2026-11-19 --out="$work/out/$1" --threads=2 --chunk=10000 >"$work/said" 2>&1 && code=0 || code=$?
}
digest()
{
    sed -n 's/.*"digest": *"\(sha256:[^"]*\)".*/\1/p' "$work/out/$1/pay/2026-11-19/summary.json"
}
refused() # WHAT EXIT PATTERN
{
    ok "$([ "$code" = "$2" ] && echo 0 || echo 1)" "$1: exit $code, not $2: $(cat "$work/said")"
    { tr '\n' ' ' <"$work/said"; echo; } | grep -q -e "$3"
    ok $? "$1: says $3: $(cat "$work/said")"
}

server="host: $work/s1, user: root"
job files "binlog: {files: \"$work/logs1/mysql-bin.0*\", table: shop.payment_order}"
job query "query: {$server, table: shop.payment_order}"
run files
refused "the log" 1 ""
run query
refused "the query" 1 "query of shop.payment_order: 12001 rows"
[ -n "$(digest query)" ] && [ "$(digest query)" = "$(digest files)" ]
ok $? "the query and the log give one digest"
grep -q "payment_order-2026-11-19.rows@[0-9]*#[0-9]" "$work/out/query/pay/2026-11-19/missing.csv"
ok $? "places name the file of the query's rows: $(sed -n 2p "$work/out/query/pay/2026-11-19/missing.csv")"
[ -s "$work/query/pay/payment_order-2026-11-19.rows" ]
ok $? "that file is kept"

# Asked again after a change; only what the condition lets in.
sql 1 shop -e "UPDATE payment_order SET amount = 77 WHERE no = 'N9'"
run files
run query
[ "$(digest query)" = "$(digest files)" ]
ok $? "asked again, it is the table of then"
job some "query: {$server, table: shop.payment_order, rate: 100000, dir: some, where: \"created_at >= '{date}' AND created_at < '{date}' + INTERVAL 1 DAY AND shop > 60000\"}"
run some
refused "a condition" 1 "query of shop.payment_order: 8000 rows"

# Its load is bounded: 12,001 rows at 4,000 a second.
began=$(date +%s)
job slow "query: {$server, table: shop.payment_order, rate: 4000, dir: slow}"
run slow
[ $(($(date +%s) - began)) -ge 2 ] && grep -q "12001 rows" "$work/said"
ok $? "no faster than its rate: $(($(date +%s) - began)) s: $(cat "$work/said")"

# What goes wrong leaves nothing half done.
cp "$work/query/pay/payment_order-2026-11-19.rows" "$work/kept"
job wrong "query: {$server, table: shop.payment_order, dir: query/pay, where: \"nonsense(\"}"
run wrong
refused "a condition that is none" 5 "FUNCTION nonsense does not exist\|error in your SQL syntax"
cmp -s "$work/kept" "$work/query/pay/payment_order-2026-11-19.rows" && ! ls "$work"/query/pay/*.part >/dev/null 2>&1
ok $? "a query that fails leaves the rows of the one before"
job wrong "query: {$server, table: shop.nothing_here}"
run wrong
refused "a table that is not there" 5 "shop.nothing_here is not there.*GRANT SELECT"
sql 1 -e "CREATE USER u; CREATE TABLE shop.keyless (no INT, amount INT)"
job wrong "query: {host: $work/s1, user: u, table: shop.payment_order}"
run wrong
refused "no rights" 5 "shop.payment_order"
job wrong "query: {$server, table: shop.keyless}"
run wrong
refused "a table without a key" 5 "has no primary key"
server_stop 2
job wrong "query: {host: $work/s2, user: root, table: shop.payment_order}"
run wrong
refused "a server that is not there" 5 "$work/s2"
server_start 2 --binlog-row-metadata=NO_LOG
"$tieout" check "$work/query.yaml" >"$work/said" 2>&1 && code=0 || code=$?
refused "check" 0 "asked of .*s1, kept in query/pay (rows of shop.payment_order"

# ---- a log without names, signs and keys
job bare "binlog: {files: \"$work/logs2/mysql-bin.0*\", table: shop.payment_order, server: {host: $work/s2, user: root}}"
run bare
refused "a log without names" 3 "the log does not name the columns of shop.payment_order"
"$tieout" schema "$work/bare.yaml" >"$work/schema" 2>"$work/said" && code=0 || code=$?
refused "schema" 0 ""
columns=$(sed -n 's/^    columns: //p' "$work/schema")
occurrence=$(sed -n 's/^  occurrence_id: //p' "$work/schema")
[ "$columns" = "[shop unsigned, no, amount signed, big signed, fee signed, kind, flags, small unsigned, b, note, raw, created_at, paid_at]" ] && [ "$occurrence" = "[shop, no]" ]
ok $? "schema: $(cat "$work/schema")"
grep -q "# kind is enum('pay','refund')" "$work/schema"
ok $? "schema tells the labels of an ENUM: $(cat "$work/schema")"
job named "binlog: {files: \"$work/logs2/mysql-bin.0*\", table: shop.payment_order, columns: $columns}
  occurrence_id: $occurrence"
run named
refused "a log with the names that schema says" 1 ""
sql 1 shop -e "UPDATE payment_order SET amount = 8.59 + (shop = 60001) - 500 WHERE no = 'N9'"
grep -c . "$work/out/named/pay/2026-11-19/missing.csv" >"$work/lines"
run query
[ "$(grep -c . "$work/out/query/pay/2026-11-19/missing.csv")" = "$(cat "$work/lines")" ]
ok $? "it has the rows of the other server's table"
"$tieout" schema "$work/query.yaml" | grep -q "columns: \[shop unsigned"
ok $? "schema of a query's job"
job nobody "binlog: {files: \"$work/logs2/mysql-bin.0*\", table: shop.payment_order}"
"$tieout" schema "$work/nobody.yaml" >"$work/said" 2>&1 && code=0 || code=$?
refused "schema without a server" 2 "names no server to ask"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -eq 36 ]
