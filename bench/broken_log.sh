#!/bin/sh
# shellcheck disable=SC1091,SC2034,SC2154,SC2086 # common.sh sets some of these and uses others; words on purpose
# bench/broken_log.sh: what it costs when no row of a log has a partner, against the same log and its own bill.
#
#     bench/broken_log.sh [--rows=1000000] [--runs=5] [--order=time] [--build=DIR[,OTHER]] [--work=DIR] [--data=DIR]
#
# Prints processor seconds, least and median: of the run without breaks, of the one where all rows are missing, and what is between.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/.." && pwd)
. "$root/bench/common.sh"

rows=1000000 runs=5 order=time build='' data='' work=${TMPDIR:-/tmp}/tieout-broken
for arg in "$@"; do
    case $arg in
    --rows=*) rows=${arg#*=} ;;
    --runs=*) runs=${arg#*=} ;;
    --order=*) order=${arg#*=} ;;
    --build=*) build=${arg#*=} ;;
    --work=*) work=${arg#*=} ;;
    --data=*) data=${arg#*=} ;;
    *) bench_fail "unknown option $arg; the options are at the top of $0" ;;
    esac
done
mkdir -p "$work"
data=${data:-$work/day-$rows}
builds=$(echo "$build" | tr ',' ' ')
build=${build%%,*}
bench_build
bench_day "$order" "$rows"
day=$data/$order
[ -s "$day/log.000001" ] || sh "$here/day_log.sh" "$day"
head -n 1 "$day/channel.csv" >"$work/empty.csv"
fields='biz_order_no: biz_order_no, trade_time: trade_time, direction: direction, currency: currency, amount: amount, status: status'
for kind in whole broken; do
    bill=$day/channel.csv
    [ "$kind" = whole ] || bill=$work/empty.csv
    cat >"$work/$kind.yaml" <<YAML
version: 1
job: day
channel_code: WECHATPAY
timezone: Asia/Shanghai
currency: CNY
local: {binlog: {files: "$day/log.*", table: shop.payment_order}, fields: {$fields}}
channel: {files: $bill, format: csv, occurrence_id: channel_order_no, fields: {channel_order_no: channel_order_no, $fields}}
match: {keys: [[biz_order_no]], compare: [amount, status], window: {before: 1d, after: 1d}}
aggregate: {by: []}
YAML
done
: >"$work/costs"
run=1
while [ "$run" -le "$runs" ]; do
    for name in ${builds:-$build}; do
        for kind in whole broken; do
            rm -rf "$work/out"
            cost=$("$measure" --warm="$day/log.000001" --log="$work/run.log" -- "$name/cli/tieout" run "$work/$kind.yaml" --date=2026-11-19 --threads=2 --out="$work/out")
            set -- $cost
            [ "$7" = 1 ] || bench_fail "exit code $7: $(tail -n 1 "$work/run.log")"
            missing=$(wc -l <"$work/out/day/2026-11-19/missing.csv")
            [ "$kind" = whole ] || [ "$missing" -gt $((rows * 9 / 10)) ] || bench_fail "$missing rows are missing"
            echo "${name##*/} $kind $(echo "$2 $3" | awk '{ print $1 + $2 }')" >>"$work/costs"
        done
    done
    run=$((run + 1))
done
rm -rf "$work/out"
awk '{ k = $1 " " $2; v[k] = v[k] " " $3; if (!(k in least) || $3 < least[k]) least[k] = $3; names[$1] }
    function median(text, a, n, i, j, x) { n = split(text, a, " "); for (i = 2; i <= n; i++) for (j = i; j > 1 && a[j - 1] > a[j]; j--) { x = a[j]; a[j] = a[j - 1]; a[j - 1] = x } return a[int((n + 1) / 2)] }
    END { for (b in names) printf "%s: without breaks %.2f (median %.2f) s, all rows missing %.2f (%.2f) s: %.2f (%.2f) s more\n", b, least[b " whole"], median(v[b " whole"]),
        least[b " broken"], median(v[b " broken"]), least[b " broken"] - least[b " whole"], median(v[b " broken"]) - median(v[b " whole"]) }' "$work/costs"
