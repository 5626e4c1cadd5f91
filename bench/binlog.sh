#!/bin/sh
# bench/binlog.sh [--rows=2000000] [--runs=5] [--one=ROWS] [--build=DIR]: a real server's log into normalized records beside mariadb-binlog -vv
# --base64-output=DECODE-ROWS into text, and beside reading and checksumming the same file; in turns, one core, processor seconds.
# Then the same rows in one transaction each (--one: another one of so many rows), in a run with 256 MiB; and a capture beside a server
# that inserts as fast as it can: rows/s of both, and the lag.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
rows=2000000 runs=5 one=0 build=$here/../build/release
for argument in "$@"; do
    case $argument in
    --rows=*) rows=${argument#*=} ;;
    --runs=*) runs=${argument#*=} ;;
    --one=*) one=${argument#*=} ;;
    --build=*) build=${argument#*=} ;;
    *) sed -n '2,5s/^# //p' "$0"; exit 2 ;;
    esac
done
# shellcheck source=tests/live/server.sh
. "$here/../tests/live/server.sh"
servers_begin
server_start 1 --max-binlog-size=1073741824
sql 1 -e "CREATE DATABASE shop; CREATE TABLE shop.payment_order (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, order_no VARCHAR(64) NOT NULL,
    txn VARCHAR(64) NOT NULL, merchant VARCHAR(32) NOT NULL, kind TINYINT NOT NULL, currency CHAR(3) NOT NULL, amount DECIMAL(18,2) NOT NULL,
    fee DECIMAL(18,4) NOT NULL, status TINYINT NOT NULL, note VARCHAR(100), created_at DATETIME(3) NOT NULL, paid_at TIMESTAMP(6) NULL, a INT, b INT)"
load()
{
    i=0
    while [ $((i * $2)) -lt "$1" ]; do
        i=$((i + 1))
        echo "INSERT INTO payment_order (order_no, txn, merchant, kind, currency, amount, fee, status, note, created_at, paid_at, a, b)
            SELECT CONCAT('20261119', LPAD(seq + $i * $2, 12, '0')), CONCAT('TX', seq * 7919 + $i), '898310062430335', 1, 'CNY', seq * 1.37,
            seq * 0.0037, 1, 'order by card', '2026-11-19 10:00:00.123', '2026-11-19 02:00:01.000001', seq, seq * 3 FROM seq_1_to_$2;"
    done | sql 1 shop
}
job()
{
    cat <<YAML
version: 1
job: speed
channel_code: X
timezone: Asia/Shanghai
currency: CNY
local:
  $1
  fields:
    biz_order_no: order_no
    amount: amount
    currency: currency
    status: {column: status, map: {1: SUCCESS}}
    trade_time: created_at
channel: {files: b.csv, format: csv, fields: {biz_order_no: n, amount: a}}
match: {keys: [[biz_order_no]]}
YAML
}
there() # FILE POSITION: has the capture's checkpoint come this far?
{
    "$build/cli/tieout" capture "$work/live.yaml" --status --format=json >"$work/status"
    file=$(sed -n 's/.*"file": "\(.*\)",.*/\1/p' "$work/status")
    position=$(sed -n 's/.*"position": \(.*\),.*/\1/p' "$work/status")
    [ "$file" = "$1" ] && [ "$position" -ge "$2" ]
}
load "$rows" 1000
log=$work/d1/mysql-bin.000001
cp "$log" "$work/log.000001"
# Small transactions: one row each, as a shop writes them.
sql 1 -e "FLUSH BINARY LOGS; TRUNCATE shop.payment_order; FLUSH BINARY LOGS"
load $((rows / 10)) 1
cp "$work/d1/mysql-bin.000003" "$work/small.000003"
job "binlog: {files: $work/log.000001, table: shop.payment_order}" >"$work/files.yaml"
cat "$work/log.000001" >/dev/null
for i in $(seq "$runs"); do
    echo "load $(cut -d' ' -f1 /proc/loadavg)"
    "$build/bench/log_speed" decode "$work/files.yaml"
    "$build/bench/log_speed" read "$work/log.000001"
    /usr/bin/time -f "mariadb-binlog clock %e user %U system %S" mariadb-binlog -vv --base64-output=DECODE-ROWS "$work/log.000001" >/dev/null
done 2>&1

job "binlog: {files: $work/small.000003, table: shop.payment_order}" >"$work/small.yaml"
for i in $(seq "$runs"); do
    "$build/bench/log_speed" decode "$work/small.yaml"
    "$build/bench/log_speed" read "$work/small.000003"
    /usr/bin/time -f "mariadb-binlog clock %e user %U system %S" mariadb-binlog -vv --base64-output=DECODE-ROWS "$work/small.000003" >/dev/null
done 2>&1 | sed 's/^/one row a transaction: /'
if [ "$one" -gt 0 ]; then
    sql 1 -e "FLUSH BINARY LOGS"
    load "$one" "$one"
    cp "$work/d1/mysql-bin.000004" "$work/one.000004"
    sql 1 -e "PURGE BINARY LOGS TO 'mysql-bin.000005'" 2>/dev/null || true
    job "binlog: {files: $work/one.000004, table: shop.payment_order}" >"$work/one.yaml"
    printf 'n,a\n1,1.00\n' >"$work/b.csv"
    echo "one transaction of $one rows, $(stat -c %s "$work/one.000004") bytes"
    "$build/bench/log_speed" decode "$work/one.yaml"
    /usr/bin/time -f "run, 2 threads, --memory=256MiB: clock %e user %U system %S peak RSS %M kB" \
        "$build/cli/tieout" run "$work/one.yaml" --date=2026-11-19 --threads=2 --memory=256MiB --out="$work/one.out" >/dev/null || true
    rm -rf "$work/one.000004" "$work/one.out"
fi

# A capture from now on, and the largest rate of inserts that the server and two clients reach meanwhile.
job "replica: {host: $work/s1, user: root, server_id: 4711, table: shop.payment_order, start: now}" >"$work/live.yaml"
"$build/cli/tieout" capture "$work/live.yaml" &
background=$!
sleep 1
began=$(date +%s%N)
load "$rows" 100 & one=$!
load "$rows" 100 & two=$!
lags=
while kill -0 $one 2>/dev/null || kill -0 $two 2>/dev/null; do
    # A row with the time of its commit, and how long until the checkpoint holds it.
    sql 1 shop -e "INSERT INTO payment_order (order_no, txn, merchant, kind, currency, amount, fee, status, created_at) VALUES ('mark', '', '', 1, 'CNY', 1, 1, 1, NOW())"
    place=$(sql 1 -e 'SHOW MASTER STATUS' | cut -f1,2 | tr '\t' ' ')
    at=$(date +%s%N)
    until there "${place% *}" "${place#* }"; do :; done
    lags="$lags $((($(date +%s%N) - at) / 1000000))"
    sleep 0.5
done
took=$((($(date +%s%N) - began) / 1000000))
echo "server: $((2 * rows)) rows inserted in $took ms, $((2 * rows * 1000 / took)) rows/s, with a capture beside"
echo "milliseconds from a commit to its checkpoint:$lags"
"$build/cli/tieout" capture "$work/live.yaml" --status
kill $background
wait $background || true
background=
