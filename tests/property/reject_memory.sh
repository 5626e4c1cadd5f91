#!/bin/sh
# reject_memory.sh TIEOUT [ROWS]: nearly all rows are rejects, which are allowed: their list stays within --memory.
# (PROMISES P8 allows 24 MiB and 2 MiB a worker more than that; here it is 14 MiB, as in crowd_memory.sh.) The local side is
# two parts, which --max-rejects is about as well.
set -eu
tieout=$1
rows=${2:-500000}
dir=$(mktemp -d "${TMPDIR:-/tmp}/tieout-reject-memory-XXXXXX")
trap 'rm -rf "$dir"' EXIT

awk -v n="$rows" -v dir="$dir" 'BEGIN {
    for (f = 0; f < 3; f++) {
        file = dir "/" substr("abc", f + 1, 1) ".csv"
        print "order_no,amount" > file
        for (i = f == 1 ? n / 2 : 0; i < (f == 0 ? n / 2 : n); i++)
            print "O" i "," (i % 50 ? "x" : i) > file
    }
}'
fields='format: csv, fields: {biz_order_no: order_no, amount: amount}'
cat >"$dir/job.yaml" <<JOB
version: 1
job: rejects
timezone: UTC
currency: CNY
channel_code: CH
local:
  - {files: a.csv, $fields}
  - {files: b.csv, $fields}
channel: {files: c.csv, $fields}
match: {keys: [[biz_order_no]], compare: [amount]}
suspense: {threshold: {local: 0, channel: 0}}
output: {dir: out}
JOB

want=
for memory in 512 24; do
    code=0
    "$tieout" run "$dir/job.yaml" --date=2026-11-11 --max-rejects=99% --out="$dir/out" --memory=${memory}MiB --threads=2 >"$dir/said" 2>&1 || code=$?
    [ "$code" -eq 1 ] || { echo "WRONG $memory MiB: exit $code"; cat "$dir/said"; exit 1; }
    out=$dir/out/rejects/2026-11-11
    got=$(cksum <"$out/reject.csv")
    [ "${want:=$got}" = "$got" ] || { echo "WRONG $memory MiB: another reject.csv"; exit 1; }
    python3 - "$out" "$rows" "$memory" <<'PY'
import json, sys
folder, rows, memory = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
summary = json.load(open(folder + "/summary.json"))
peak = json.load(open(folder + "/stats.json"))["peak_rss_bytes"] / 2**20
want = rows - rows // 50
written = sum(1 for _ in open(folder + "/reject.csv")) - 1
if summary["rejects"] != {"local": want, "channel": want} or written != 2 * want:
    sys.exit(f"WRONG {memory} MiB: {summary['rejects']}, {written} rows of reject.csv, want {want} a side")
if memory == 24 and peak > memory + 14: # 61 MiB while all were held
    sys.exit(f"WRONG: peak {peak:.1f} MiB at --memory={memory}MiB")
print(f"ok: {peak:.1f} MiB at {memory}")
PY
done
