#!/bin/sh
# bench/final.sh TIEOUT [MILLIONS ROWS]: a night beside years of final records, whose partners may still come. By hand; 50 million take
# some 3 GB of disk and two minutes.
#
# One day with 2 million final records is done; then the state is told of as many more such days before it as it takes, each with its
# own copy of the prints, which every night goes through. The rows, of which only those that are met are read, are one file under many
# names. What is timed is the next day, of ROWS rows a side, with the days before and without.
set -eu
tieout=$(realpath "$1")
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
millions=${2:-50} rows=${3:-200000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work"
now() { date +%s%N; }
. "$root/fixtures/book.sh"
job C 0 >c.yaml
night() { # WHAT
    cat ./*/*.csv state/suspense/*prints* >/dev/null
    a=$(now)
    "$tieout" task run >/dev/null 2>&1 || [ $? -eq 1 ]
    b=$(now)
    echo "$1: $(((b - a) / 1000000)) ms"
}
many . C 1 1000 0 2000000 FAILED
for d in 2 3 4; do many . C $d "$rows" 0 0; done
"$tieout" task init --date=2026-11-01 2>/dev/null
"$tieout" task run >/dev/null 2>&1 || [ $? -eq 1 ]
"$tieout" task init --date=2026-11-02 2>/dev/null
night "a night of $rows rows a side beside 2 million final records"
i=2
sql='DROP TRIGGER task_begins;'
while [ $((i * 2)) -le "$millions" ]; do
    for kind in final prints; do
        from=state/suspense/000001-r1-$kind-local.csv to=state/suspense/old-$i-$kind-local.csv
        if [ $kind = final ]; then ln $from $to; else cp $from $to; fi
    done
    sql="$sql
INSERT INTO task (id, name, channel_code, biz_type, bill_date, batch_no, job, phase, revision, rule_version)
    SELECT 1000 + $i, 'C/-/' || date('2026-11-02', '-$i days') || '/1', 'C', '-', date('2026-11-02', '-$i days'), 1, job, 'DONE', 1, rule_version FROM task WHERE id = 1;
INSERT INTO carry_file SELECT 1000 + $i, 1, kind, side, CASE records WHEN 0 THEN file ELSE replace(file, '000001-r1', 'old-$i') END, sha, records, bytes
    FROM carry_file WHERE task = 1;"
    i=$((i + 1))
done
sqlite3 state/state.db "$sql VACUUM;" # pages that others change are damage
for d in 03 04; do
    "$tieout" task init --date=2026-11-$d 2>/dev/null
    night "the next one, beside $(sqlite3 state/state.db 'SELECT sum(records) FROM carry_file WHERE kind = 1') final records"
done
