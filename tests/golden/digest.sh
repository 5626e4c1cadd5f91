#!/bin/sh
# tests/golden/digest.sh TIEOUT: what the digest covers: every output but stats.json, and of those everything but places.
set -eu
tieout=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work"
failures=0
digest() { # TRADE_TIME: of a pair that stands in no class file but match.csv, which is not asked for
    cat >job.yaml <<'YAML'
version: 1
job: j
channel_code: X
timezone: Asia/Shanghai
currency: CNY
local: {files: "l.csv", format: csv, fields: {biz_order_no: no, amount: {column: amount, unit: major}, trade_time: at, merchant_no: mer}}
channel: {files: "c.csv", format: csv, fields: {biz_order_no: no, amount: {column: amount, unit: major}, trade_time: at, merchant_no: mer}}
match: {keys: [[channel_code, biz_order_no]]}
output: {dir: out}
YAML
    printf 'no,amount,at,mer\na,1.00,%s,%s\n' "$1" "$2" >l.csv
    printf 'no,amount,at,mer\na,1.00,%s,%s\n' "$1" "$2" >c.csv
    rm -rf out
    "$tieout" run job.yaml --date=2026-11-19 >/dev/null 2>&1 || { echo "FAILED: the run did not tie out" >&2; exit 1; }
    sed -n 's/.*"digest": "\(.*\)".*/\1/p' out/j/2026-11-19/summary.json
}
one=$(digest '2026-11-19 10:00:00' M1)
[ "$(digest '2026-11-19 10:00:01' M1)" = "$one" ] || { echo "FAILED: a second within the hour is in no output, and is in the digest"; failures=1; }
[ "$(digest '2026-11-19 11:00:00' M1)" != "$one" ] || { echo "FAILED: the hours of aggregate.csv are not in the digest"; failures=1; }
[ "$(digest '2026-11-19 10:00:00' M2)" != "$one" ] || { echo "FAILED: the merchants of aggregate.csv are not in the digest"; failures=1; }
# The last row's newline may be missing. What lies behind that row in a worker's buffers is a chunk's that was there before, and looks
# like rows.
ended() { # a command's end: with or without the last newline
    awk 'BEGIN { print "channel_code,biz_order_no,trade_time,direction,currency,amount,fee,status"
                 for (i = 0; i < 2000; i++) printf "CH,%024d,2026-11-19 10:00:%02d,IN,CNY,%d.25,0.02,SUCCESS\n", 20261119 + i, i % 60, 100 + i }' | "$@"
}
ended cat >l.csv
ended head -c -1 >c.csv
for chunk in 4KiB 8KiB 64KiB 256KiB; do
    rm -rf ended
    "$tieout" diff l.csv c.csv --key=channel_code,biz_order_no --amount=amount --compare=status --chunk=$chunk --threads=1 --out=ended >/dev/null 2>ended.err &&
        [ "$(tr -d ' \n' <ended/summary.json | grep -c '"match":{"channel":{"count":2000,\|"match":{"local":{"count":2000,')" = 1 ] ||
        { echo "FAILED: a file without a last newline, in chunks of $chunk"; cat ended.err; failures=1; }
done
[ "$failures" -eq 0 ] || exit 1
echo "the digest: covers what it should"
