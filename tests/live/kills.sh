#!/bin/sh
# tests/live/kills.sh TIEOUT [KILLS]: `capture` is killed (-9) again and again under load, 5 times in a test run, `sh tests/live/kills.sh TIEOUT 50`
# by hand; what it holds in the end is the server's own SELECT, and no change counts twice.
set -u
tieout=$1
kills=${2:-5}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/server.sh"
. "$here/job.sh"
servers_begin
server_start 1
sql 1 -e "CREATE DATABASE shop; CREATE TABLE shop.t (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, order_no VARCHAR(64) NOT NULL, amount DECIMAL(18,2) NOT NULL,
    created_at DATETIME(3) NOT NULL)"
job_file "$work/job.yaml" pay "replica: {host: $work/s1, user: root, server_id: 4711, table: shop.t, start: snapshot, segment: 1MiB}"
# Two clients write until they are told to stop: one row a transaction, and many.
writer() # NAME ROWS
{
    i=0
    until [ -e "$work/stop" ]; do
        i=$((i + 1))
        echo "INSERT INTO t (order_no, amount, created_at) SELECT CONCAT('$1$i-', seq), seq * 1.01, '2026-11-19 10:00:00' FROM seq_1_to_$2; DO SLEEP(0.003);"
        [ $((i % 7)) -ne 0 ] || echo "UPDATE t SET amount = amount + 1 WHERE order_no LIKE '$1$((i - 3))-%'; DELETE FROM t WHERE order_no = '$1$((i - 5))-1';"
        [ $((i % 500)) -ne 0 ] || echo "FLUSH BINARY LOGS;"
    done | sql 1 shop
}
writer A 1 &
one=$!
writer B 97 &
two=$!
background="$one $two"
done_kills=0
while [ $done_kills -lt "$kills" ]; do
    "$tieout" capture "$work/job.yaml" >>"$work/said" 2>&1 &
    pid=$!
    sleep "0.$(((done_kills * 37 + 11) % 90 + 10))"
    kill -9 $pid 2>/dev/null || { ok 1 "the capture ended by itself: $(cat "$work/said")"; break; }
    wait $pid 2>/dev/null
    done_kills=$((done_kills + 1))
done
: >"$work/stop"
wait $one $two
background=
"$tieout" capture "$work/job.yaml" --catch-up >"$work/last" 2>&1
ok $? "afterwards it catches up: $(cat "$work/last")"
! grep -v "^note: " "$work/said" | grep -q .
ok $? "nothing else is said: $(head -3 "$work/said")"
"$tieout" run "$work/job.yaml" --date=2026-11-19 --out="$work/out" >/dev/null 2>&1
sql 1 -e 'SELECT order_no, amount, id FROM shop.t' | sort >"$work/want"
"$tieout" inspect "$work/out/pay/2026-11-19/missing.csv" --json-lines 2>/dev/null |
    rows_left >"$work/got"
rows=$(wc -l <"$work/want")
[ "$rows" -gt 1000 ] && cmp -s "$work/want" "$work/got"
ok $? "the rows are the server's: $(diff "$work/want" "$work/got" | head -4)"
echo "$done_kills kills, $rows rows"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -eq 3 ]
