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
    for memory in 24 64 60x8; do
        code=0 threads=2
        [ $memory != 60x8 ] || threads=8 memory=60 # the least that eight workers take
        "$tieout" run "$dir/$1/job.yaml" --date=2026-11-11 --out="$dir/out" --memory=${memory}MiB --threads=$threads >"$dir/said" 2>&1 || code=$?
        [ "$code" -eq 1 ] || { echo "WRONG $1 $memory MiB: exit $code"; cat "$dir/said"; exit 1; }
        summary=$dir/out/crowd/2026-11-11
        got=$(sed -n 's/.*"digest": "\(.*\)".*/\1/p' "$summary/summary.json")
        [ -n "$got" ] && [ "${want:=$got}" = "$got" ] || { echo "WRONG $1 $memory MiB: digest $got, want $want"; exit 1; }
        python3 - "$1" "$summary" "$2" "$rows" "$memory" "$threads" <<'PY'
import json, sys
name, folder, word, rows, memory, threads = sys.argv[1:]
found = json.load(open(folder + "/summary.json"))["classes"][word]["channel"]["count"]
peak = json.load(open(folder + "/stats.json"))["peak_rss_bytes"] / 2**20
if found != int(rows):
    sys.exit(f"WRONG {name} {memory} MiB: {found} records are {word}, want {rows}")
if peak > int(memory) + 14 + 3 * (int(threads) - 2):
    sys.exit(f"WRONG {name}: peak {peak:.1f} MiB at --memory={memory}MiB with {threads} threads")
print(f"ok {name}: {peak:.1f} MiB at {memory} with {threads} threads")
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

# All of one key agree, and match.csv is wanted: its rows, all of the same key, are more than the memory. 90 MiB, and time that grew
# with the square of the rows, before they were cut by more than the key.
mkdir "$dir/match"
python3 - "$dir/match" "$rows" <<'PY'
import sys
folder, rows = sys.argv[1], int(sys.argv[2]) * 2
for side, step in (("local", 7919), ("channel", 7907)):
    with open(f"{folder}/{side}.csv", "w") as out:
        out.write("order_no,id,amount,status,day\n")
        for k in range(rows):
            i = k * step % rows
            out.write(f"GIANT,{'LC'[side == 'channel']}{i},{i}.00,SUCCESS,2026-11-11\n")
PY
sed 's/, attr: {words: words}//; /occurrence_id/s/occurrence_id: .id., //; s/dir: out/dir: out, match: true/; s/, .channel_order_no.]/]/' "$dir/tolerance/job.yaml" >"$dir/match/job.yaml"
want=
for memory in 512 28; do
    "$tieout" run "$dir/match/job.yaml" --date=2026-11-11 --out="$dir/out" --memory=${memory}MiB --threads=2 >"$dir/said" 2>&1 || { echo "WRONG match: exit $?"; cat "$dir/said"; exit 1; }
    got=$(cksum <"$dir/out/crowd/2026-11-11/match.csv")
    [ "${want:=$got}" = "$got" ] || { echo "WRONG match $memory MiB: another match.csv"; exit 1; }
    python3 - "$dir/out/crowd/2026-11-11" "$((rows * 2))" "$memory" <<'PY'
import json, sys
folder, rows, memory = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
found = sum(1 for _ in open(folder + "/match.csv")) - 1
peak = json.load(open(folder + "/stats.json"))["peak_rss_bytes"] / 2**20
if found != rows:
    sys.exit(f"WRONG match {memory} MiB: {found} rows of match.csv, want {rows}")
if peak > memory + 14:
    sys.exit(f"WRONG match: peak {peak:.1f} MiB at --memory={memory}MiB")
print(f"ok match: {peak:.1f} MiB at {memory}")
PY
    rm -rf "$dir/out"
done

# Eight workers with the least they take, each of them breaking rows all over the files: what the allocator keeps counts as well.
mkdir "$dir/many"
python3 - "$dir/many" "$rows" <<'PY'
import random, sys
folder, rows = sys.argv[1], int(sys.argv[2]) * 4
draw = random.Random(9)
for side in ("local", "channel"):
    with open(f"{folder}/{side}.csv", "w") as out:
        out.write("id,order,trade,bill_date,currency,amount,status\n")
        for i in range(rows):
            order = "hot" if draw.random() < 0.03 else f"o{draw.randrange(3 * rows)}"
            trade = f"t{draw.randrange(3 * rows)}" if draw.random() < 0.5 else ""
            out.write(f"{side}{i},{order},{trade},2026-11-{draw.choice((19, 20))},{draw.choice(('CNY', 'USD'))},"
                      f"{draw.choice((100, 200, 300))}.0{draw.choice((0, 1))},{draw.choice(('SUCCESS', 'FAILED'))}\n")
PY
fields='fields: {biz_order_no: order, channel_order_no: trade, bill_date: bill_date, currency: currency, amount: amount, status: status}'
cat >"$dir/many/job.yaml" <<JOB
version: 1
job: many
timezone: UTC
channel_code: CH
local: {files: local.csv, format: csv, occurrence_id: id, $fields}
channel: {files: channel.csv, format: csv, occurrence_id: id, $fields}
match:
  keys: [[channel_code, biz_order_no], [channel_code, channel_order_no]]
  compare: [amount, status]
  tolerance: {amount: 0.01, budget: 50}
  splits: true
  reversals: true
  window: {before: 3d, after: 3d}
output: {dir: out, match: true}
JOB
code=0
"$tieout" run "$dir/many/job.yaml" --date=2026-11-19 --out="$dir/out" --memory=60MiB --threads=8 >"$dir/said" 2>&1 || code=$?
[ "$code" -eq 1 ] || { echo "WRONG many: exit $code"; cat "$dir/said"; exit 1; }
python3 - "$dir/out/many/2026-11-19/stats.json" <<'PY'
import json, sys
peak = json.load(open(sys.argv[1]))["peak_rss_bytes"] / 2**20
if peak > 80: # 86 before what is freed went back at once; 47 to 59 since batches go back and slices are cut to what a worker has
    sys.exit(f"WRONG many: peak {peak:.1f} MiB at --memory=60MiB with 8 threads")
print(f"ok many: {peak:.1f} MiB at 60 with 8 threads")
PY

# Keys of 3000 bytes, all of them matched and written: what a worker keeps of keys is counted in bytes, not in keys.
mkdir "$dir/long"
awk -v n=$((rows / 2)) -v dir="$dir/long" 'BEGIN {
    while (length(zeros) < 2990) zeros = zeros "0"
    for (s = 0; s < 2; s++) {
        file = dir (s ? "/channel.csv" : "/local.csv")
        print "order_no,amount,status" > file
        for (k = 0; k < n; k++)
            printf "%s%010d,%d.00,SUCCESS\n", zeros, (k * 7919) % n, k % 1000 > file
    }
}'
code=0
"$tieout" diff "$dir/long/local.csv" "$dir/long/channel.csv" --key=order_no --amount=amount --write-match --out="$dir/out2" --memory=60MiB --threads=8 >"$dir/said" 2>&1 || code=$?
[ "$code" -le 1 ] && [ "$(wc -l <"$dir/out2/match.csv")" -gt 1 ] || { echo "WRONG long: exit $code"; cat "$dir/said"; exit 1; }
python3 - "$dir/out2/stats.json" <<'PY'
import json, sys
peak = json.load(open(sys.argv[1]))["peak_rss_bytes"] / 2**20
if peak > 60 + 24 + 2 * 8:
    sys.exit(f"WRONG long: peak {peak:.1f} MiB at --memory=60MiB with 8 threads")
print(f"ok long: {peak:.1f} MiB at 60 with 8 threads")
PY

# What is compared is up to 5 KB long, and one file lies in reverse: half of all records go to disk, each in a frame of its own. 60 MiB at 24 with one
# worker while a spool grew by each of them.
mkdir "$dir/wide"
python3 - "$dir/wide" <<'PY'
import random, sys
sizes = random.Random(1).choices((10, 500, 5000), k=14000)
for side in ("local", "channel"):
    with open(f"{sys.argv[1]}/{side}.csv", "w") as out:
        out.write("order_no,amount,remark\n")
        for i in range(14000) if side == "local" else reversed(range(14000)):
            out.write(f"O{i},{i}.00,{str(i % 10) * sizes[i]}\n")
PY
for threads in 1 2; do
    "$tieout" diff "$dir/wide/local.csv" "$dir/wide/channel.csv" --key=order_no --amount=amount --compare=remark --out="$dir/out3" --memory=24MiB --threads=$threads >"$dir/said" 2>&1 ||
        { echo "WRONG wide: exit $?"; cat "$dir/said"; exit 1; }
    python3 - "$dir/out3" $threads <<'PY'
import json, sys
found = json.load(open(sys.argv[1] + "/summary.json"))["classes"]["match"]["channel"]["count"]
stats = json.load(open(sys.argv[1] + "/stats.json"))
peak = stats["peak_rss_bytes"] / 2**20
if found != 14000 or not stats["bytes_spilled"]:
    sys.exit(f"WRONG wide: {found} records match, {stats['bytes_spilled']} bytes went to disk")
if peak > 24 + 14:
    sys.exit(f"WRONG wide: peak {peak:.1f} MiB at --memory=24MiB with {sys.argv[2]} threads")
print(f"ok wide: {peak:.1f} MiB at 24 with {sys.argv[2]} threads")
PY
    rm -rf "$dir/out3"
done

# A key that is no crowd by how many rows it has is one by what they take: ids of 4 KB. 87 MiB at 32 while rows were only counted.
mkdir "$dir/ids"
awk -v n=4500 -v dir="$dir/ids" 'BEGIN {
    while (length(tail) < 3990) tail = tail "0123456789"
    for (s = 0; s < 2; s++) {
        file = dir (s ? "/channel.csv" : "/local.csv")
        print "order_no,channel_order_no,amount" > file
        for (k = 0; k < n; k++)
            printf "ONE,%d%s,%d.00\n", k, tail, 2 * k + s > file
    }
}'
code=0
"$tieout" diff "$dir/ids/local.csv" "$dir/ids/channel.csv" --key=order_no --amount=amount --out="$dir/out4" --memory=32MiB --threads=1 >"$dir/said" 2>&1 || code=$?
[ "$code" -eq 1 ] || { echo "WRONG ids: exit $code"; cat "$dir/said"; exit 1; }
python3 - "$dir/out4" <<'PY'
import json, sys
found = json.load(open(sys.argv[1] + "/summary.json"))["classes"]["ambiguous"]["channel"]["count"]
peak = json.load(open(sys.argv[1] + "/stats.json"))["peak_rss_bytes"] / 2**20
if found != 4500:
    sys.exit(f"WRONG ids: {found} records are ambiguous")
if peak > 32 + 14:
    sys.exit(f"WRONG ids: peak {peak:.1f} MiB at --memory=32MiB")
print(f"ok ids: {peak:.1f} MiB at 32")
PY

# No row has its first key: they wait for the end, and 63 MiB at 24 while all of them came back at once. The second key ties half of them.
mkdir "$dir/nokey"
awk -v n=$((rows * 5)) -v dir="$dir/nokey" 'BEGIN {
    for (s = 0; s < 2; s++) {
        file = dir (s ? "/channel.csv" : "/local.csv")
        print "order_no,id,amount" > file
        for (k = 0; k < n; k++)
            printf ",%s,%d.00\n", k % 2 ? "T" k : "", k % 1000 > file
    }
}'
fields='fields: {biz_order_no: order_no, channel_order_no: id, amount: amount}'
sed "s/fields:.*/$fields}/; s/, occurrence_id: [^,]*//; s/\\[amount, status\\]/[amount]/" "$dir/unclear/job.yaml" >"$dir/nokey/job.yaml"
code=0
"$tieout" run "$dir/nokey/job.yaml" --date=2026-11-11 --out="$dir/out5" --memory=24MiB --threads=1 >"$dir/said" 2>&1 || code=$?
[ "$code" -eq 1 ] || { echo "WRONG nokey: exit $code"; cat "$dir/said"; exit 1; }
python3 - "$dir/out5/crowd/2026-11-11" $((rows * 5)) <<'PY'
import json, sys
rows = int(sys.argv[2])
classes = json.load(open(sys.argv[1] + "/summary.json"))["classes"]
stats = json.load(open(sys.argv[1] + "/stats.json"))
peak = stats["peak_rss_bytes"] / 2**20
found = [classes["match"]["channel"]["count"], classes["extra"]["channel"]["count"], classes["missing"]["local"]["count"]]
if found != [rows // 2] * 3:
    sys.exit(f"WRONG nokey: {found} records match, are extra and missing, want {rows // 2} each")
if peak > 24 + 14:
    sys.exit(f"WRONG nokey: peak {peak:.1f} MiB at --memory=24MiB")
print(f"ok nokey: {peak:.1f} MiB at 24")
PY
