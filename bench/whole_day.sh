#!/bin/sh
# shellcheck disable=SC1091,SC2034,SC2154 # common.sh sets some of these and uses others
# bench/whole_day.sh: whole runs of `tieout diff` over gen's days.
#
#     bench/whole_day.sh [--rows=1000000[,10000000,...]] [--runs=5] [--orders=time,shuffled] [--threads=1,2]
#                        [--write=breaks,all,gz,sink,csv,binlog,...] [--memory=SIZE,SIZE] [--build=DIR[,OTHER]] [--work=DIR] [--data=DIR] [--results=FILE]
#
# --write=all is --write-match; gz is breaks, of a channel's bill packed with gzip -1; sink is a day on which
# every row breaks (order numbers are held against the other side's own ones), so that all rows are fetched again, sorted and written.
# csv and binlog are `tieout run` of one job, by order number: its local side once as the CSV file and once as the log that a MariaDB server
# writes of the same rows (day_log.sh makes it: 1000 rows a transaction, some 8 s a million rows); with both, their cost a byte of the local side
# stands below. csv-codes and binlog-codes: the channel's code is a column and part of the key, which takes a log's rows off their short road.
# --memory: each work with each of the budgets; written `breaks@64MiB`. With two builds, old and new are run in turns and stand side by side. --data may hold days
# that gen made before (DIR/time, DIR/shuffled) of one size; others are made in --work (30 million rows a side take 8 GB).
#
# Each run follows a reading of both files, until they are in memory; its result must be gen's truth, in counts and money,
# else it does not count. Prints medians; RESULTS keeps every run.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/.." && pwd)
. "$root/bench/common.sh"

sizes=1000000 runs=5 orders=time,shuffled threads=1,2 writes=breaks,all memory='' build='' data='' results=''
work=${TMPDIR:-/tmp}/tieout-days
for arg in "$@"; do
    case $arg in
    --rows=*) sizes=${arg#*=} ;;
    --runs=*) runs=${arg#*=} ;;
    --orders=*) orders=${arg#*=} ;;
    --threads=*) threads=${arg#*=} ;;
    --write=*) writes=${arg#*=} ;;
    --memory=*) memory=${arg#*=} ;;
    --build=*) build=${arg#*=} ;;
    --work=*) work=${arg#*=} ;;
    --data=*) data=${arg#*=} ;;
    --results=*) results=${arg#*=} ;;
    *) bench_fail "unknown option $arg; the options are at the top of $0" ;;
    esac
done
given=$data
results=${results:-$work/results.tsv}
mkdir -p "$work"
builds=$(echo "$build" | tr ',' ' ')
build=${build%%,*}
bench_build
[ -n "$builds" ] || builds=$build

words()
{
    echo "$1" | tr ',' ' '
}

# day_job csv|binlog|csv-codes|binlog-codes: the same but for where the local side is. Rows of files are counted for aggregate.csv and those
# of logs are not, so nothing is (no fee, no cells); gen gives each row a merchant of its own, which no shop has.
day_job()
{
    folder=$(CDPATH='' cd -- "$day" && pwd)
    fields='biz_order_no: biz_order_no, trade_time: trade_time, direction: direction, currency: currency, amount: amount, status: status' key=biz_order_no
    if [ "$1" != "${1%-codes}" ]; then
        fields="$fields, channel_code: channel_code" key=channel_code,biz_order_no
    fi
    case $1 in
    csv*) from="files: $folder/local.csv, format: csv" ;;
    *) from="binlog: {files: \"$folder/log.*\", table: shop.payment_order}" ;;
    esac
    cat <<YAML
version: 1
job: day
channel_code: WECHATPAY
timezone: Asia/Shanghai
currency: CNY
local: {$from, fields: {$fields}}
channel: {files: $folder/channel.csv, format: csv, occurrence_id: channel_order_no, fields: {channel_order_no: channel_order_no, $fields}}
match: {keys: [[$key]], compare: [amount, status], window: {before: 1d, after: 1d}}
aggregate: {by: []}
YAML
}

# One run; a line of results.
one_run()
{
    name=$1 rows=$2 order=$3 count=$4 write=${5%@*} label=$5 run=$6 day=$data/$3
    match='' bill=$day/channel.csv key=channel_code,biz_order_no budget='' side=$day/local.csv summary=$work/out/summary.json
    [ "$label" = "$write" ] || budget=--memory=${label#*@}
    [ "$write" = sink ] && key=biz_order_no:channel_order_no
    if [ "$write" = gz ]; then
        bill=$work/channel-$order-$rows.csv.gz
        [ -s "$bill" ] || gzip -1 -c "$day/channel.csv" >"$bill"
    fi
    [ "$write" = all ] && match=--write-match
    if [ "${write%-codes}" = binlog ]; then
        [ -s "$day/log.000001" ] || sh "$here/day_log.sh" "$day"
        side=$(echo "$day"/log.*)
    fi
    warm=--warm=$bill
    for file in $side; do
        warm="$warm --warm=$file"
    done
    rm -rf "$work/out"
    case $write in
    csv* | binlog*)
        day_job "$write" >"$work/day.yaml"
        summary=$work/out/day/2026-11-19/summary.json
        set -- run "$work/day.yaml" --date=2026-11-19
        ;;
    *) set -- diff "$side" "$bill" --key="$key" --amount=amount --compare=status ;;
    esac
    # shellcheck disable=SC2086 # words on purpose
    cost=$("$measure" $warm --log="$work/run.log" -- "$name/cli/tieout" "$@" --threads="$count" --out="$work/out" $match $budget)
    # shellcheck disable=SC2086
    set -- $cost
    verdict=ok
    if [ "$7" != 0 ] && [ "$7" != 1 ]; then
        verdict="exit $7"
    elif [ "$write" = sink ]; then
        [ "$(cat "$work/out/missing.csv" "$work/out/extra.csv" | wc -l)" -ge $((2 * rows - rows / 10)) ] || verdict="other answer"
    elif ! "$agree" "$day/truth.json" "$summary" >"$work/agree.log" 2>&1; then
        verdict="other answer"
    fi
    [ "$verdict" = ok ] || echo "whole_day.sh: $rows rows, $order, $count threads, $label: does not count: $verdict ($(tail -n 1 "$work/run.log"))" >&2
    # shellcheck disable=SC2086
    side_bytes=$(cat $side | wc -c)
    bytes=$((side_bytes + $(wc -c <"$bill")))
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$rows" "$order" "$count" "$label" "${name##*/}" "$run" "$1" "$2" "$3" "$4" "$6" "$bytes" \
        "$verdict" "$side_bytes" >>"$results"
}

if [ -n "$memory" ]; then
    with=
    for write in $(words "$writes"); do
        for budget in $(words "$memory"); do
            with=$with${with:+,}$write@$budget
        done
    done
    writes=$with
fi
printf '# %s\n# rows\torder\tthreads\twrite\tbuild\trun\twall\tuser\tsys\trss_kb\tload\tbytes\tverdict\tlocal_bytes\n' "$(bench_machine)" >"$results"
for rows in $(words "$sizes"); do
    data=${given:-$work/day-$rows}
    for order in $(words "$orders"); do
        if [ -n "$given" ] && ! grep -qs "^ \"rows\": $rows,\$" "$given/$order/truth.json"; then
            data=$work/day-$rows
        fi
        bench_day "$order" "$rows"
    done
    run=1
    while [ "$run" -le "$runs" ]; do
        for order in $(words "$orders"); do
            for write in $(words "$writes"); do
                for count in $(words "$threads"); do
                    for name in $builds; do
                        one_run "$name" "$rows" "$order" "$count" "$write" "$run"
                    done
                done
            done
        done
        run=$((run + 1))
    done
done
rm -rf "$work/out"

awk -F'\t' "$(cat "$here/median.awk")"'
    /^# rows/ { next }
    /^#/ { print substr($0, 3); next }
    {
        id = $1 SUBSEP $2 SUBSEP $3 SUBSEP $4 SUBSEP $5
        if (!(id in seen)) { seen[id] = 1; ids[++count] = id }
        if ($13 != "ok") { bad[id]++; next }
        n[id]++
        wall[id] = wall[id] " " $7
        cpu[id] = cpu[id] " " ($8 + $9)
        rss[id] = rss[id] " " $10
        if (low[id] == "" || $7 + 0 < low[id]) low[id] = $7 + 0
        if (load[id] == "" || $11 + 0 > load[id]) load[id] = $11 + 0
        bytes[id] = $12
        side[id] = $14
    }
    END {
        print "\n| rows a side | order | threads | written | build | rows/s (both sides) | MB/s | wall s (median) | fastest | user+sys s | ns of cpu a row | peak RSS MB | highest load before | runs |"
        print "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
        for (i = 1; i <= count; i++) {
            id = ids[i]
            split(id, k, SUBSEP)
            if (!n[id]) { printf "| %s | %s | %s | %s | %s | none of %d runs counts | | | | | | | | 0 |\n", k[1], k[2], k[3], k[4], k[5], bad[id]; continue }
            w = median(wall[id])
            c = median(cpu[id])
            printf "| %d | %s | %s | %s | %s | %.2f M | %.0f | %.3f | %.3f | %.2f | %.0f | %.0f | %.2f | %d%s |\n", k[1], k[2], k[3], k[4], k[5], 2 * k[1] / w / 1e6,
                bytes[id] / w / 1e6, w, low[id], c, c * 1e9 / (2 * k[1]), median(rss[id]) / 1000, load[id], n[id], bad[id] ? " of " (n[id] + bad[id]) : ""
        }
        # The bill costs what half of a run costs whose sides are both such files.
        for (i = 1; i <= count; i++) {
            id = ids[i]
            split(id, k, SUBSEP)
            beside = k[4]
            sub(/^binlog/, "csv", beside)
            csv = k[1] SUBSEP k[2] SUBSEP k[3] SUBSEP beside SUBSEP k[5]
            if (k[4] !~ /^binlog/ || !n[id] || !n[csv]) continue
            if (!head++) print "\n| rows a side | order | threads | side | build | log, csv MB | whole run, ns a byte of the local side: log, csv | ratio | without the bill (half of csv): log, csv | ratio | the same by user+sys |\n|---|---|---|---|---|---|---|---|---|---|---|"
            a = median(wall[id]) / side[id] * 1e9; b = median(wall[csv]) / side[csv] * 1e9; half = median(wall[csv]) / 2
            c = (median(wall[id]) - half) / side[id] * 1e9; d = half / side[csv] * 1e9
            half = median(cpu[csv]) / 2
            printf "| %d | %s | %s | %s | %s | %.0f, %.0f | %.3f, %.3f | %.2f | %.3f, %.3f | %.2f | %.2f |\n", k[1], k[2], k[3], k[4], k[5], side[id] / 1e6, side[csv] / 1e6,
                a, b, a / b, c, d, c / d, ((median(cpu[id]) - half) / side[id]) / (half / side[csv])
        }
    }' "$results"
echo
echo "every run: $results"
