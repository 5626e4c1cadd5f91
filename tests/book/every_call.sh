#!/bin/sh
# tests/book/every_call.sh TIEOUT STEP: the nth call of the machine (files and statements of the state) kills a task, or fails, for every
# STEPth n; then a call of the next try kills that too; then it is done. Same digests as a book to which nothing happened, and
# the log agrees. Only builds with TIEOUT_FAULTS have the switches.
set -eu
. "$(dirname -- "$0")/common.sh"
step=$2

mkdir -p base/local base/bill
# Two queues: while one task is read, the other one's is written and committed.
for name in A B; do
    job $name | sed "s#/$name-{date}#/{date}#" >base/$name.yaml
done
# Day 1 opens, day 2 makes final, day 3 reopens one, matches, opens and ends in between.
day() {
    printf 'order_no,amount,status\n%b' "$2" >base/local/2026-11-0$1.csv
    printf 'trade_no,order_no,amount,status\n%b' "$3" >base/bill/2026-11-0$1.csv
}
day 1 'a,1.00,SUCCESS\nlate,2.00,SUCCESS\nsame,3.00,SUCCESS\n' 't1,same,3.00,SUCCESS\nt2,x,9.00,SUCCESS\n'
day 2 'b,1.00,SUCCESS\n' 't3,c,4.00,SUCCESS\n'
day 3 'd,1.00,SUCCESS\nc,4.00,SUCCESS\n' 't4,late,2.00,SUCCESS\nt5,d,5.00,SUCCESS\nt6,e,1.00,SUCCESS\n'
for d in 1 2 3; do "$tieout" task init --date=2026-11-0$d --jobs=base 2>/dev/null; done
"$tieout" task run --date=2026-11-01 --jobs=base >/dev/null 2>&1
"$tieout" task run --date=2026-11-02 --jobs=base >/dev/null 2>&1 || [ $? -eq 1 ]
run() { "$tieout" task run --threads=1 --io=posix --jobs=book >said 2>&1; }
digest() {
    grep -h '"digest"' book/out/[AB]/*/summary.json
    # Errors, by their ids: none is lost, none goes out under two.
    ! command -v sqlite3 >/dev/null || sqlite3 book/state/state.db 'SELECT id, kind, node_status, reversals, messages FROM error_order ORDER BY id'
}

cp -a base book
TIEOUT_COUNT_CALLS=1 run || [ $? -eq 1 ]
calls=$(sed -n 's/.* io \([0-9]*\)$/\1/p' said)
[ "${calls:-0}" -gt 100 ] || { echo "skipped: this build cannot make calls fail"; exit 0; }
want=$(digest)
rm -rf book

round() { # N MODE
    rm -rf book
    cp -a base book
    code=0
    if [ "$2" = kill ]; then
        TIEOUT_FAIL_KILL=1 TIEOUT_FAIL_IO=$1 run || code=$?
        TIEOUT_FAIL_KILL=1 TIEOUT_FAIL_IO=$((1 + $1 * 7 % calls)) run || code=$?
    else
        TIEOUT_FAIL_IO=$1 TIEOUT_FAIL_ERRNO=28 run || code=$?
        case $code in
        0 | 1 | 4 | 6) ;;
        *)
            echo "FAILED: call $1 failed: exit code $code"
            cat said
            failures=$((failures + 1))
            ;;
        esac
    fi
    before=$code
    code=0
    run || code=$?
    # Day 3 does not tie out: the run that does it says so, or the one behind a run that was killed.
    [ "$code" -eq 1 ] || [ "$before" -eq 1 ] || code=100
    if [ "$code" -gt 1 ] || [ "$(digest)" != "$want" ] || ! "$tieout" verify --jobs=book >said 2>&1; then
        echo "FAILED: call $1 of $calls ($2): afterwards exit code $code:"
        cat said
        failures=$((failures + 1))
    fi
}
n=1
rounds=0
while [ "$n" -le "$calls" ]; do
    round "$n" kill
    round "$n" fail
    rounds=$((rounds + 2))
    n=$((n + step))
done
[ "$failures" -eq 0 ] || { echo "$failures failed"; exit 1; }
echo "$rounds rounds over $calls calls: same digests"
