#!/bin/sh
# tests/book/night.sh TIEOUT: days of three queues in one run, where one is read while another is written and records pass by, against the same days
# one task at a time with one worker: the same state and outputs to the byte. Small, so that ThreadSanitizer can run it.
set -eu
. "$(dirname -- "$0")/common.sh"

mkdir -p one/local one/bill
for q in A B C; do
    job $q 3 >one/$q.yaml
    for d in 1 2 3; do
        # Some wait for tomorrow's bill, some for one that is late, some never meet anybody; rows of the day before come again.
        awk -v d=$d -v q=$q 'BEGIN {
            l = "one/local/" q "-2026-11-0" d ".csv"; b = "one/bill/" q "-2026-11-0" d ".csv"
            print "order_no,amount,status" >l
            print "trade_no,order_no,amount,status" >b
            for (i = 0; i < 400; i++) {
                o = q d "-" i
                if (i % 5) printf "%s,%d.25,SUCCESS\n", o, i >l
                if (i % 3) printf "t%s,%s,%d.25,%s\n", o, o, i, i % 91 ? "SUCCESS" : "FAILED" >b
                if (d > 1 && i % 6 == 0) printf "t%s%d-%d,%s%d-%d,%d.25,SUCCESS\n", q, d - 1, i, q, d - 1, i, i >b
                if (d > 1 && i % 40 == 1) printf "t%s%d-%d,%s%d-%d,%d.25,SUCCESS\n", q, d - 1, i, q, d - 1, i, i >b
            }
        }'
    done
done
for d in 1 2 3; do t task init --date=2026-11-0$d --jobs=one 2>/dev/null; done
cp -a one all
for d in 1 2 3; do
    for q in A B C; do
        t task run --date=2026-11-0$d --channel=$q --threads=1 --carry-apart=1000000000 --jobs=one >said 2>&1 || [ $? -eq 1 ] || { cat said; exit 1; }
    done
done
t task run --threads=2 --carry-apart=1 --jobs=all >said 2>&1 || [ $? -eq 1 ] || { cat said; exit 1; }
# Files of the state are named by the task's number, and their bytes are the same.
sums() { (cd "$1" && find out state/suspense state/verdicts -type f ! -name stats.json ! -name certificate.json | sort | xargs sha256sum); }
sums one >want
sums all >got
if ! diff want got; then
    echo "FAILED: a night at once is not what its tasks are one by one"
    failures=$((failures + 1))
fi
grep -q duplicate.csv want
grep -q 'second_pass\|carried' all/out/C/2026-11-03/suspense.csv || { echo "FAILED: nothing is carried in this test"; failures=$((failures + 1)); }
expect 0 'all agree' t verify --jobs=all

# A run that is killed when its last day is done has told nobody how that day ends: the next one does, once.
printf 'somebody' >all/state/lock
touch -d '2020-01-01' all/state/lock
expect 1 'did not come to its end; 9 tasks it had done by then' t task run --jobs=all
expect 0 'nothing to do: 9 done' t task run --jobs=all
finish 'a night at once is as its tasks one by one'
