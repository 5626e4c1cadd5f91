#!/bin/sh
# tests/live/every_call.sh TIEOUT STEP: the nth call of the machine (files and statements of the checkpoint) fails, or kills a capture, for every
# STEPth n. What is kept is then what the checkpoint covers: its rows are those that a run reads, and the next capture goes on to all that
# the server committed, none twice. Only builds with TIEOUT_FAULTS have the switches.
set -eu
tieout=$1
step=$2
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
TIEOUT_COUNT_CALLS=1 "$tieout" profiles 2>&1 >/dev/null | grep -q ' io [0-9]' || { echo "skipped: this build cannot make calls fail"; exit 0; }
# shellcheck source=tests/live/server.sh
. "$here/server.sh"
servers_begin
server_start 1
cd "$work"
sql 1 -e "CREATE DATABASE shop; CREATE TABLE shop.t (no VARCHAR(20) PRIMARY KEY, amount DECIMAL(12,2) NOT NULL, at DATETIME NOT NULL)"
cat >job.yaml <<YAML
version: 1
job: every
channel_code: X
timezone: UTC
currency: CNY
local:
  replica: {host: $work/s1, user: root, server_id: 4711, table: shop.t, start: now}
  fields: {biz_order_no: no, amount: amount, trade_time: at}
channel: {files: b.csv, format: csv, fields: {biz_order_no: n, amount: a}}
match: {keys: [[biz_order_no]]}
YAML
printf 'n,a\nnobody,1.00\n' >b.csv
capture() { "$tieout" capture job.yaml --catch-up >said 2>&1; }
value() { "$tieout" capture job.yaml --status --format=json | sed -n "s/.*\"$1\": \\(.*[^,]\\),\\{0,1\\}$/\\1/p" | head -1; }
capture || { cat said; exit 1; } # the checkpoint of a table without a row
cp -a capture fresh_capture
# Small ones, one that is rolled back, one of many events, a new file, and one on two bill dates.
{
    for i in 1 2 3 4 5; do echo "INSERT INTO t VALUES ('a$i', $i.25, '2026-11-19 10:00:00'), ('b$i', $i.50, '2026-11-20 10:00:00');"; done
    echo "BEGIN; INSERT INTO t VALUES ('gone', 1000, '2026-11-19 10:00:00'); ROLLBACK;"
    echo "INSERT INTO t SELECT CONCAT('m', seq), seq, '2026-11-19 11:00:00' FROM seq_1_to_900; FLUSH BINARY LOGS;"
    for i in 6 7 8; do echo "INSERT INTO t VALUES ('a$i', $i.25, '2026-11-19 10:00:00');"; done
} | sql 1 shop
want=$(sql 1 shop -e "SELECT COUNT(*) FROM t") sum=$(sql 1 shop -e "SELECT SUM(amount) FROM t")
# How many rows and what sum a run finds in what is kept.
read_back()
{
    rm -rf out
    "$tieout" run job.yaml --date=2026-11-19 --out=out --format=json >result 2>said || [ $? -eq 1 ] || { cat said; return 1; }
    python3 - result <<'PY'
import json, sys
from decimal import Decimal
classes = json.load(open(sys.argv[1]))["classes"]
print(sum(c["local"]["count"] for c in classes.values()), sum((Decimal(v) for c in classes.values() for v in c["local"]["sums"].values()), Decimal(0)))
PY
}
TIEOUT_COUNT_CALLS=1 capture
calls=$(sed -n 's/.* io \([0-9]*\)$/\1/p' said)
[ "${calls:-0}" -gt 30 ] || { echo "only $calls calls"; cat said; exit 1; }
[ "$(read_back)" = "$want $sum" ] || { echo "without a failure: $(read_back), not $want $sum"; exit 1; }
n=1 rounds=0 unmoved=0 between=0
while [ "$n" -le "$calls" ]; do
    for mode in fail kill; do
        rm -rf capture
        cp -a fresh_capture capture
        code=0
        if [ $mode = kill ]; then
            TIEOUT_FAIL_KILL=1 TIEOUT_FAIL_IO=$n capture || code=$?
        else
            TIEOUT_FAIL_IO=$n TIEOUT_FAIL_ERRNO=28 capture || code=$?
            case $code in
            0 | 4 | 5 | 6) ;;
            *) ok 1 "call $n: exit code $code: $(cat said)" ;;
            esac
        fi
        # The checkpoint covers what is there, neither more nor less.
        rows=$(value rows)
        if [ "${rows:-0}" = 0 ]; then
            unmoved=$((unmoved + 1))
        else
            [ "$rows" = "$want" ] || between=$((between + 1))
            found=$(read_back) || ok 1 "call $n of $calls ($mode): what was kept cannot be read: $(cat said)"
            [ "${found%% *}" = "$rows" ] || ok 1 "call $n of $calls ($mode): the checkpoint covers $rows rows, a run finds $found"
        fi
        capture || ok 1 "call $n of $calls ($mode): the next capture: $(cat said)"
        found=$(read_back) || :
        [ "$found" = "$want $sum" ] || ok 1 "call $n of $calls ($mode): $found, the server has $want $sum"
        rounds=$((rounds + 1))
    done
    n=$((n + step))
done
echo "$rounds rounds over $calls calls: checkpoint unmoved in $unmoved, between in $between"
[ "$failed" -eq 0 ] && [ "$unmoved" -gt 0 ]
