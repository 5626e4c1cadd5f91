#!/bin/sh
# tests/live/old_times.sh TIEOUT: date and time columns as MariaDB stored them before 10.1, with every number of digits behind the point: their
# sizes are in no log, `tieout schema` asks the server for them, and the values are the server's.
set -eu
tieout=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=tests/live/server.sh
. "$here/server.sh"
servers_begin
server_start 1 --mysql56-temporal-format=OFF
columns=''
for kind in datetime timestamp time; do
    for digits in 0 1 2 3 4 5 6; do columns="$columns, $kind$digits $kind($digits) NULL"; done
done
sql 1 -e "CREATE DATABASE shop; CREATE TABLE shop.t (no VARCHAR(10) PRIMARY KEY, amount INT NOT NULL$columns, last VARCHAR(9))"
row() # NUMBER DATETIME TIMESTAMP TIME
{
    values=
    for value in "$2" "$3" "$4"; do
        for digits in 0 1 2 3 4 5 6; do values="$values, $value"; done
    done
    echo "INSERT INTO t VALUES ('N$1', $1$values, 'end');"
}
{
    echo "SET time_zone='+00:00', sql_mode='';"
    row 1 "'2026-11-19 10:11:12.987654'" "'2026-11-19 10:11:12.987654'" "'10:11:12.987654'"
    row 2 "'0000-00-00 00:00:00'" "'0000-00-00 00:00:00'" "'00:00:00'"
    row 3 "'2077-12-31 23:59:59.999999'" "'2038-01-19 03:14:07.999999'" "'838:59:59.999999'"
    row 4 "'1901-01-01 00:00:00.000001'" "'1970-01-01 00:00:01.000001'" "'-838:59:59.999999'"
    row 5 NULL NULL NULL
    row 6 "'2026-02-28 00:00:00.500000'" "'2026-11-01 05:59:59.100000'" "'-00:00:00.500000'"
    row 7 "'2026-02-00 01:02:03.400000'" "'2001-09-09 01:46:40'" "'-12:34:56.780000'"
    echo "UPDATE t SET amount = amount + 10 WHERE no IN ('N1', 'N4');"
} | sql 1 shop
job() # NAME FIELDS MORE
{
    cat >"$work/$1.yaml" <<YAML
version: 1
job: old
channel_code: X
timezone: UTC
currency: CNY
local:
  binlog: {files: $work/d1/mysql-bin.000001, table: shop.t, server: {host: $work/s1, user: root}$3}
  fields: {biz_order_no: no, amount: amount, $2}
channel: {files: b.csv, format: csv, fields: {biz_order_no: n, amount: a}}
match: {keys: [[biz_order_no]]}
YAML
}
job bare "trade_time: datetime0" ""
"$tieout" inspect "$work/d1/mysql-bin.000001" --job="$work/bare.yaml" >"$work/rows" 2>"$work/said" && code=0 || code=$?
[ "$code" = 3 ] && grep -q 'datetime0 of shop.t is a date or time column in MariaDB.s format of before 10.1.*' "$work/said" && grep -q 'datetime(3)' "$work/said"
ok $? "without types: $code, $(cat "$work/said")"
"$tieout" schema "$work/bare.yaml" >"$work/schema"
said=$(sed -n 's/^    columns: //p' "$work/schema")
case $said in
*'datetime0 datetime'*'datetime3 datetime(3)'*'timestamp6 timestamp(6)'*'time0 time'*'time6 time(6)'*) ok 0 "" ;;
*) ok 1 "schema: $said" ;;
esac
# A time is shown as an instant, and what is none (a TIME, a zero date) as text: two jobs for each column.
for kind in datetime timestamp time; do
    for digits in 0 1 2 3 4 5 6; do
        job text "attr: {last: last, value: $kind$digits}" ", columns: $said"
        sed 's/amount: a}/amount: a, attr: {last: l, value: v}}/' "$work/text.yaml" >"$work/text2.yaml"
        job time "trade_time: $kind$digits" ", columns: $said"
        for shown in text2 time; do
            "$tieout" inspect "$work/d1/mysql-bin.000001" --job="$work/$shown.yaml" --json-lines >"$work/$shown.rows" 2>"$work/$shown.said" || true
        done
        sql 1 shop -e "SET time_zone='+00:00'; SELECT no, $kind$digits, last FROM t ORDER BY no" | sed 's/NULL//g' | tr '\t' ',' >"$work/table"
        python3 - "$work/text2.rows" "$work/time.rows" "$digits" >"$work/seen" <<'PY'
import json, sys
def last_images(path):
    return {row["biz_order_no"]: row for row in map(json.loads, open(path))}
texts, times, digits = last_images(sys.argv[1]), last_images(sys.argv[2]), int(sys.argv[3])
for no in sorted(texts):
    time = (times.get(no, {}).get("trade_time") or "").replace("T", " ").split("+")[0].rstrip("Z")
    if time and digits:
        time = ((time + ("" if "." in time else ".")) + "000000")[:20 + digits]
    print(",".join([no, time or texts[no].get("value") or "", texts[no]["last"]]))
PY
        diff "$work/table" "$work/seen" >&2
        ok $? "$kind($digits): $(cat "$work/text2.said")"
    done
done
# The same table made anew in today's format: the log tells the sizes itself, and what `columns:` says of them is not asked.
sql 1 shop -e "SET GLOBAL mysql56_temporal_format = ON; FLUSH BINARY LOGS; ALTER TABLE t FORCE; UPDATE t SET amount = amount + 100"
sed "s/mysql-bin.000001/mysql-bin.000002/" "$work/text2.yaml" >"$work/new.yaml"
"$tieout" inspect "$work/d1/mysql-bin.000002" --job="$work/new.yaml" --json-lines >"$work/new" 2>"$work/said" && code=0 || code=$?
[ "$code" = 0 ] && [ "$(grep -c '"end"' "$work/new")" = 7 ]
ok $? "after ALTER TABLE: $(cat "$work/said")"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -eq 24 ]
