#!/bin/sh
# merchants.sh TIEOUT ROWS [memory]: each row has a merchant of its own, so aggregate.csv has a cell for each row of a side. Whatever the
# memory, it is the same, and what awk says; so is the digest. With `memory` the peak stays within --memory and 6 MiB.
set -eu
tieout=$1
rows=$2
measure=${3:-}
dir=$(mktemp -d "${TMPDIR:-/tmp}/tieout-merchants-XXXXXX")
trap 'rm -rf "$dir"' EXIT
awk -v n="$rows" -v dir="$dir" 'BEGIN {
    for (s = 0; s < 2; s++) {
        file = dir (s ? "/channel.csv" : "/local.csv")
        print "o,m,a,f,s,t" > file
        for (k = 0; k < n; k++) {
            i = s ? k : (k * 7919) % n
            printf "O%08d,M%06d,1.00,0.0%d,SUCCESS,2026-11-19 10:00:00\n", i, i, i % 10 > file
            printf "%s,2026-11-19,10,ACME,M%06d,,,CNY,IN,1,1.00,0.0%d,%.2f\n", s ? "channel" : "local", i, i % 10, 1 - i % 10 / 100 > (dir "/cells")
        }
    }
}'
{ echo side,bill_date,hour,channel_code,merchant_no,sub_merchant_no,biz_type,currency,direction,count,gross,fee,net
  for side in local channel; do grep "^$side," "$dir/cells" | LC_ALL=C sort -t, -k5,5; done; } >"$dir/want"
fields='fields: {biz_order_no: o, merchant_no: m, amount: a, fee: f, status: s, trade_time: t}'
cat >"$dir/job.yaml" <<JOB
version: 1
job: j
channel_code: ACME
timezone: Asia/Shanghai
currency: CNY
local: {files: local.csv, format: csv, $fields}
channel: {files: channel.csv, format: csv, $fields}
match: {keys: [[channel_code, biz_order_no]], compare: [amount, status], window: none}
output: {dir: out}
JOB
digest=
asks='24x1 30x3 60x8 1024x2'
! grep -q __tsan_init "$tieout" || asks='30x3 1024x2' # what it watches wants more than one thread
for ask in $asks; do
    memory=${ask%x*} threads=${ask#*x}
    set -- --date=2026-11-19 --memory="${memory}MiB" --threads="$threads" --out="$dir/out"
    "$tieout" run "$dir/job.yaml" "$@" >"$dir/said" 2>&1 || { echo "WRONG $ask: exit $?"; cat "$dir/said"; exit 1; }
    folder=$dir/out/j/2026-11-19
    cmp "$dir/want" "$folder/aggregate.csv"
    got=$(sed -n 's/.*"digest": "\(.*\)".*/\1/p' "$folder/summary.json")
    [ -n "$got" ] && [ "${digest:=$got}" = "$got" ] || { echo "WRONG $ask: digest $got, want $digest"; exit 1; }
    peak=$(sed -n 's/.*"peak_rss_bytes": \([0-9]*\).*/\1/p' "$folder/stats.json")
    [ -z "$measure" ] || [ "$peak" -le $(((memory + 6) << 20)) ] || { echo "WRONG $ask: peak $peak bytes"; exit 1; }
    "$tieout" run "$dir/job.yaml" "$@" --aggregate-only >"$dir/only" 2>"$dir/said" || { echo "WRONG $ask --aggregate-only: exit $?"; cat "$dir/said"; exit 1; }
    cmp "$dir/want" "$dir/only"
    echo "ok $ask: $((peak >> 20)) MiB"
    rm -rf "$dir/out"
done
# The disk is full.
code=0
(ulimit -f 64 && "$tieout" run "$dir/job.yaml" --date=2026-11-19 --memory=24MiB --threads=1 --out="$dir/out" --aggregate-only >/dev/null 2>"$dir/said") || code=$?
[ $code -eq 4 ] && grep -q '^error counts.write: ' "$dir/said" || { echo "WRONG full: exit $code"; cat "$dir/said"; exit 1; }
