#!/bin/sh
# bench/night.sh TIEOUT [CHANNELS ROWS OPEN FINAL [KEYS]]: a book's nights: the time outside reading and matching, what open and final records add,
# and status with 10,000 tasks. Without numbers tiny sizes, so that ctest can run it. KEYS 2: open records are carried by a job of two keys.
#
# Outside: the night's wall less the sum of its tasks' stages. A task's stages are the seconds in stats.json from the first worker's start to the
# last one's last verdict; those of two tasks never overlap. Since one task is written while the next is read, writing slows reading a
# little, which these clocks hide; so the stages of the same files by `tieout run`, where nothing is written meanwhile, stand beside them.
set -eu
tieout=$(realpath "$1")
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
channels=${2:-2} rows=${3:-2000} open=${4:-2000} final=${5:-2000} keys=${6:-2}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work"
now() { date +%s%N; }
ms() { echo $((($2 - $1) / 1000000)); }
. "$root/fixtures/book.sh"

# 1. a night of many channels
mkdir night
cd night
c=0
while [ $c -lt "$channels" ]; do
    job C$c 30 >c$c.yaml
    many . C$c 1 "$rows" 2000 0
    c=$((c + 1))
done
cat ./*/*.csv >/dev/null
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

# second_key: the job in c.yaml, and its days, with the channel's number on both sides.
second_key() {
    sed -i '/^local:/,/^channel:/s/{biz_order_no: order_no,/{biz_order_no: order_no, channel_order_no: trade_no,/
        s/keys: .*/keys: [[channel_code, biz_order_no], [channel_code, channel_order_no]]/' c.yaml
    for day in 1 2; do
        awk -F, -v OFS=, 'NR == 1 { print $0, "trade_no"; next } { print $0, "T" substr($1, 2) }' local/C-2026-11-0$day.csv >with
        mv with local/C-2026-11-0$day.csv
    done
}
# beside WHAT RECORDS THRESHOLD STATUS: the second of two days, whose first left so many records.
beside() {
    mkdir "$1$2"
    cd "$1$2"
    job C "$3" >c.yaml
    many . C 1 1000 2000 "$2" "$4"
    many . C 2 "$rows" 2000 0
    [ "$1" = final ] || [ "$keys" = 1 ] || second_key
    "$tieout" task init --date=2026-11-01 2>/dev/null
    "$tieout" task run >/dev/null 2>&1 || [ $? -eq 1 ]
    "$tieout" task init --date=2026-11-02 2>/dev/null
    cat ./*/*.csv state/suspense/* >/dev/null 2>&1 || :
    a=$(now)
    "$tieout" task run >/dev/null 2>&1 || [ $? -eq 1 ]
    b=$(now)
    echo "a night with $2 $1 records of the day before: $(ms "$a" "$b") ms"
    cd ..
}
# 2. what open records add: the same day, with and without them carried in
beside open 0 30 SUCCESS
beside open "$open" 30 SUCCESS
# 3. what final records add: years of them, whose partner may still come (non-monetary ones, so that making them makes no errors)
beside final 0 0 FAILED
beside final "$final" 0 FAILED

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
