#!/bin/sh
# crowds.sh TIEOUT [ROWS]: one key on tens of thousands of rows, in little memory and in much: the same digest.
# The road that holds the whole key (--group-rows above all) is the measure; property_matching holds both roads against the oracle
# on small days. What must come out besides is said with each day.
set -eu
tieout=$1
rows=${2:-12000}
dir=$(mktemp -d "${TMPDIR:-/tmp}/tieout-crowds-XXXXXX")
trap 'rm -rf "$dir"' EXIT

# make NAME 'awk that sets l and c: occurrence id, amount and status of row i on either side ("": no row), m, its merchant, and key'
make() {
    mkdir -p "$dir/$1"
    awk -v n="$rows" -v local="$dir/$1/local.csv" -v channel="$dir/$1/channel.csv" 'BEGIN {
        print "biz_order_no,trade_no,trade_amount,status,trade_time,merchant_no" > local
        print "biz_order_no,channel_order_no,trade_amount,status,trade_time,merchant_no" > channel
        for (k = 0; k < n; k++) {
            i = (k * 7919) % n; a = (i * 31) % 5000; d = e = 10 + i % 3; l = c = m = ""; key = "M1"
            '"$2"'
            if (l != "") print key "," l ",2026-11-" d " 10:00:00," m > local
            if (c != "") print key "," c ",2026-11-" e " 10:00:00," m > channel
        }
    }'
    cat >"$dir/$1/job.yaml" <<JOB
version: 1
job: crowd
timezone: Asia/Shanghai
currency: CNY
channel_code: CH
local: {files: local.csv, format: csv, occurrence_id: [trade_no], fields: {biz_order_no: biz_order_no, amount: trade_amount, status: status, trade_time: trade_time, merchant_no: merchant_no}}
channel: {files: channel.csv, format: csv, fields: {biz_order_no: biz_order_no, channel_order_no: channel_order_no, amount: trade_amount, status: status, trade_time: trade_time, merchant_no: merchant_no}}
match:
  keys: [[biz_order_no]]
  compare: [amount, status]
  window: {before: 1d, after: 1d}
  $3
suspense: {threshold: {local: 0, channel: 0}}
output: {dir: out}
JOB
}

# judge NAME CLASS LEAST [options]: by all roads; class CLASS has at least LEAST records on its fuller side
judge() {
    name=$1 class=$2 least=$3
    shift 3
    want=
    for road in "--group-rows=100000000 --threads=1" "--index-memory=8MiB --threads=2"; do
        code=0
        # shellcheck disable=SC2086 # one word per option
        "$tieout" run "$dir/$name/job.yaml" --date=2026-11-11 --out="$dir/out" $road "$@" >"$dir/said" 2>&1 || code=$?
        [ "$code" -le 1 ] || { echo "WRONG $name $road: exit $code"; cat "$dir/said"; exit 1; }
        summary=$dir/out/crowd/2026-11-11/summary.json
        got=$(sed -n 's/.*"digest": "\(.*\)".*/\1/p' "$summary")
        [ -n "$got" ] || { echo "WRONG $name $road: no digest"; exit 1; }
        [ "${want:=$got}" = "$got" ] || { echo "WRONG $name $road: digest $got, want $want"; exit 1; }
        found=$(python3 -c "import json
print(max(side['count'] for side in json.load(open('$summary'))['classes']['$class'].values()))")
        [ "$found" -ge "$least" ] || { echo "WRONG $name $road: $found records are $class, want $least"; exit 1; }
        rm -rf "$dir/out"
    done
    echo "ok $name $*"
}

# Exact pairs but for one in a thousand; dates differ, so who pairs with whom shows in match.csv.
make exact 'l = "L" i "," a ",SUCCESS"; c = "C" i "," a + (i % 1000 == 0) ",SUCCESS"; e = 10 + (i + 1) % 3' ""
judge exact match $((rows / 2))
judge exact match $((rows / 2)) --write-match
# match.csv where the key takes many ranges, and where ranges are too large for the memory.
judge exact match $((rows / 2)) --write-match --match-memory=4MiB
judge exact match $((rows / 2)) --write-match --match-memory=512KiB
judge exact match $((rows / 2)) --write-match --match-memory=16KiB
# One sigma, one side shorter; ids on one side only.
make one_sigma 'l = ",5,SUCCESS"; if (i % 30) c = "C" i ",5,SUCCESS"' ""
judge one_sigma match $((rows / 2)) --write-match
# A few are left of each date, by ids or by what else rows say: the merchant's number, which some have in common.
make last 'd = e = 10 + int(i / 3) % 2; m = i % 7 ? "8983" (i * 7) % 1000 : ""
    if (i % 40 - 1) l = "," 5 + i % 3 ",SUCCESS"
    if (i % 30) c = "C" a i "," 5 + i % 3 ",SUCCESS"' ""
judge last ambiguous $((rows / 40))
# The same in match.csv: who pairs with whom where numbers of the order are not enough.
judge last match $((rows / 2)) --write-match
# Rows of which most are the same in all their fields: only their places tell them apart, and they take many ranges of match.csv.
make alike 'd = e = 11; m = i % 11 ? "" : "8983" i
    key = i % 3 ? "M1" : "M" 2 + i % 2
    if (i % 50) l = ",5,SUCCESS"
    if (i % 40) c = (i % 2 ? "C" i : "") ",5,SUCCESS"' ""
judge alike match $((rows / 2)) --write-match
judge alike match $((rows / 2)) --write-match --match-memory=16KiB
# One occurrence id on all rows of a side: repeats; and a conflict.
make one_id 'l = "X,5,SUCCESS"; c = "C" i ",5,SUCCESS"' ""
judge one_id duplicate $((rows - 1))
make conflict 'l = "X," 5 + (i == 3) ",SUCCESS"; c = "C" i ",5,SUCCESS"' ""
judge conflict ambiguous "$rows"
# Each status on its own side only: as many of one sigma here as there.
make unlike 'l = "L" i ",5,FAILED"; c = "C" i ",5,SUCCESS"' ""
judge unlike mismatch "$rows"
# Amounts within tolerance, in runs far apart; what is left is of both sides.
make tolerance 'l = "L" i "," a * 3 ",SUCCESS"; c = "C" i "," a * 3 + (i % 4 - 1) * 0.2 + (i % 50 == 0) * 0.45 ",SUCCESS"' "tolerance: {amount: 0.30}"
judge tolerance match $((rows / 2)) --write-match
judge tolerance ambiguous 1
# Sums that agree, of parts that do not.
make splits 'l = "L" i "," 10 + i % 2 ",SUCCESS"; c = "C" i ",10.5,SUCCESS"; d = e = 11' "splits: true"
judge splits match "$rows" --write-match
# One side only, of a sigma that was matched: suspected copies, and doubts.
make copies 'l = (i % 2 ? "L" i : "") ",5,SUCCESS"; if (i < 5) c = "C" i ",5,SUCCESS"' ""
judge copies duplicate $((rows / 4))
