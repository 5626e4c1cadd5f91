#!/bin/sh
# bench/night.sh TIEOUT [CHANNELS ROWS OPEN FINAL]: a book's nights: the time outside reading and matching, what open and final records add,
# and status with 10,000 tasks. Without numbers tiny sizes, so that ctest can run it.
#
# Outside: the night's wall less the sum of its tasks' stages. A task's stages are the seconds in stats.json from the first worker's start to the
# last one's last verdict; those of two tasks never overlap. Since one task is written while the next is read, writing slows reading a
# little, which these clocks hide; so the stages of the same files by `tieout run`, where nothing is written meanwhile, stand beside them.
set -eu
tieout=$(realpath "$1")
channels=${2:-2} rows=${3:-2000} open=${4:-2000} final=${5:-2000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work"
now() { date +%s%N; }
ms() { echo $((($2 - $1) / 1000000)); }
job() { # NAME [THRESHOLD]
    cat <<YAML
version: 1
job: $1
channel_code: $1
timezone: Asia/Shanghai
currency: CNY
local:
  files: "$1-local-{date}.csv"
  format: csv
  fields: {biz_order_no: order_no, amount: {column: amount, unit: major}, status: status}
channel:
  files: "$1-bill-{date}.csv"
  format: csv
  fields: {biz_order_no: order_no, channel_order_no: trade_no, amount: {column: amount, unit: major}, status: status}
match:
  keys: [[channel_code, biz_order_no]]
  compare: [status]
  window: none
suspense: {threshold: {local: ${2:-30}, channel: ${2:-30}}}
output: {dir: out}
YAML
}
# DAY NAME ROWS ONLY_LOCAL [STATUS]: the last rows stand on the local side alone
day() {
    awk -v n="$3" -v only="$4" -v status="${5:-SUCCESS}" -v day="$1" -v name="$2" 'BEGIN {
        local = name "-local-2026-11-" day ".csv"; bill = name "-bill-2026-11-" day ".csv"
        print "order_no,amount,status" >local
        print "trade_no,order_no,amount,status" >bill
        for (i = 0; i < n; i++) {
            printf "%s%s%09d,%d.%02d,SUCCESS\n", name, day, i, i % 977, i % 100 >local
            if (i % 2000)
                printf "T%s%09d,%s%s%09d,%d.%02d,SUCCESS\n", day, i, name, day, i, i % 977, i % 100 >bill
        }
        for (i = 0; i < only; i++)
            printf "%s%sopen%09d,%d.%02d,%s\n", name, day, i, i % 977, i % 100, status >local
    }'
}

# 1. a night of many channels
mkdir night
cd night
c=0
while [ $c -lt "$channels" ]; do
    job C$c >c$c.yaml
    day 01 C$c "$rows" 0
    c=$((c + 1))
done
cat ./*.csv >/dev/null
"$tieout" task init --date=2026-11-01 2>/dev/null
a=$(now)
"$tieout" task run >/dev/null 2>&1 || [ $? -eq 1 ]
b=$(now)
stages() { cat "$@" | awk -F"[:,]" '/^  .(read|resolve)_seconds/ { s += $2 } END { printf "%d", s * 1000 }'; }
inside=$(stages out/*/2026-11-01/stats.json)
c=0
while [ $c -lt "$channels" ]; do
    "$tieout" run c$c.yaml --date=2026-11-01 --out=alone/$c >/dev/null 2>&1 || [ $? -eq 1 ]
    c=$((c + 1))
done
alone=$(stages alone/*/*/*/stats.json)
echo "a night of $channels channels x $rows rows: $(ms "$a" "$b") ms, stages $inside ms: $((100 - 100 * inside / $(ms "$a" "$b"))) % outside; stages of runs alone $alone ms"
cd ..

# 2. what open records add: the same day, with and without them carried in
for o in 0 "$open"; do
    mkdir open$o
    cd open$o
    job C >c.yaml
    day 01 C 1000 "$o"
    day 02 C "$rows" 0
    "$tieout" task init --date=2026-11-01 2>/dev/null
    "$tieout" task run >/dev/null 2>&1 || [ $? -eq 1 ]
    "$tieout" task init --date=2026-11-02 2>/dev/null
    cat ./*.csv state/suspense/* >/dev/null 2>&1 || :
    a=$(now)
    "$tieout" task run >/dev/null 2>&1 || [ $? -eq 1 ]
    b=$(now)
    echo "a night with $o open records carried in: $(ms "$a" "$b") ms"
    cd ..
done

# 3. what final records add: years of them, whose partner may still come (non-monetary ones, so that making them makes no errors)
for f in 0 "$final"; do
    mkdir final$f
    cd final$f
    job C 0 >c.yaml
    day 01 C 1000 "$f" FAILED
    day 02 C "$rows" 0
    "$tieout" task init --date=2026-11-01 2>/dev/null
    "$tieout" task run >/dev/null 2>&1 || [ $? -eq 1 ]
    "$tieout" task init --date=2026-11-02 2>/dev/null
    cat ./*.csv state/suspense/* >/dev/null 2>&1 || :
    a=$(now)
    "$tieout" task run >/dev/null 2>&1 || [ $? -eq 1 ]
    b=$(now)
    echo "a night with $f final records of days before: $(ms "$a" "$b") ms"
    cd ..
done

# 4. status of many tasks
mkdir many
cd many
n=$((channels * 200))
c=0
job X >x.yaml
"$tieout" task init --date=2026-01-01 2>/dev/null
sqlite3 state/state.db "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < $n)
    INSERT INTO task (name, channel_code, biz_type, bill_date, batch_no, job) SELECT 'C' || (i % 500) || '/-/' ||
    date('2026-01-01', '+' || (i / 500) || ' days') || '/1', 'C' || (i % 500), '-', date('2026-01-01', '+' || (i / 500) || ' days'), 1, 'x.yaml' FROM c; VACUUM"
a=$(now)
"$tieout" status >/dev/null
b=$(now)
"$tieout" task list >/dev/null
d=$(now)
echo "$n tasks: status $(ms "$a" "$b") ms, list $(ms "$b" "$d") ms"
