#!/bin/sh
# crowd_memory.sh TIEOUT [ROWS]: two keys on all rows, nearly all of them broken: the peak of memory stays within --memory.
# (PROMISES P8 allows 24 MiB and 2 MiB a worker more than that; here it is 14 MiB: the program and its libraries, and what the allocator keeps.)
# The rows are wide and the memory is the least that is taken and more, and the digest is the same.
set -eu
tieout=$1
rows=${2:-40000}
dir=$(mktemp -d "${TMPDIR:-/tmp}/tieout-crowd-memory-XXXXXX")
trap 'rm -rf "$dir"' EXIT

# make NAME 'awk that sets id and amount (in cents) of row i of side s (0, 1)' JOB-LINES
make() {
    mkdir -p "$dir/$1"
    awk -v n="$rows" -v dir="$dir/$1" 'BEGIN {
        for (w = 0; w < 12; w++) words = words " words that nobody compares"
        for (s = 0; s < 2; s++) {
            file = dir (s ? "/channel.csv" : "/local.csv")
            print "order_no,id,amount,status,day,words" > file
            for (k = 0; k < n; k++) {
                i = (k * 7919) % n
                '"$2"'
                printf "GIANT%d,%s,%d.%02d,SUCCESS,2026-11-11,%d%s\n", i % 2, id, amount / 100, amount % 100, i, words > file
            }
        }
    }'
    fields='fields: {biz_order_no: order_no, channel_order_no: id, amount: amount, status: status, bill_date: day, attr: {words: words}}'
    cat >"$dir/$1/job.yaml" <<JOB
version: 1
job: crowd
timezone: Asia/Shanghai
currency: CNY
channel_code: CH
local: {files: local.csv, format: csv, occurrence_id: [id], $fields}
channel: {files: channel.csv, format: csv, $fields}
match:
  keys: [[biz_order_no], [channel_order_no]]
  compare: [amount, status]
  $3
suspense: {threshold: {local: 0, channel: 0}}
output: {dir: out}
JOB
}

# judge NAME CLASS: at each size of memory; all channel records are of the class
judge() {
    want=
    for memory in 24 64; do
        code=0
        "$tieout" run "$dir/$1/job.yaml" --date=2026-11-11 --out="$dir/out" --memory=${memory}MiB --threads=2 >"$dir/said" 2>&1 || code=$?
        [ "$code" -eq 1 ] || { echo "WRONG $1 $memory MiB: exit $code"; cat "$dir/said"; exit 1; }
        summary=$dir/out/crowd/2026-11-11
        got=$(sed -n 's/.*"digest": "\(.*\)".*/\1/p' "$summary/summary.json")
        [ -n "$got" ] && [ "${want:=$got}" = "$got" ] || { echo "WRONG $1 $memory MiB: digest $got, want $want"; exit 1; }
        python3 - "$1" "$summary" "$2" "$rows" "$memory" <<'PY'
import json, sys
name, folder, word, rows, memory = sys.argv[1:]
found = json.load(open(folder + "/summary.json"))["classes"][word]["channel"]["count"]
peak = json.load(open(folder + "/stats.json"))["peak_rss_bytes"] / 2**20
if found != int(rows):
    sys.exit(f"WRONG {name} {memory} MiB: {found} records are {word}, want {rows}")
if peak > int(memory) + 14:
    sys.exit(f"WRONG {name}: peak {peak:.1f} MiB at --memory={memory}MiB")
print(f"ok {name}: {peak:.1f} MiB at {memory}")
PY
        rm -rf "$dir/out"
    done
}

# All amounts differ; one occurrence id with many amounts; pairs of one sigma each; amounts too far apart for a tolerance.
make unclear 'id = (s ? "C" : "L") i; amount = 1000 + 2 * i + s' ''
judge unclear ambiguous
make conflict 'id = s ? "SAME" i % 2 : "L" i; amount = 1000 + 2 * i + s' ''
judge conflict ambiguous
make unlike 'id = (s ? "C" : "L") i; amount = 1000 + s' ''
judge unlike mismatch
make tolerance 'id = (s ? "C" : "L") i; amount = 1000 + 10 * i + 5 * s' 'tolerance: {amount: 0.01}'
judge tolerance ambiguous
