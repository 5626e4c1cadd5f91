#!/bin/sh
# tests/book/book.sh TIEOUT: a book's commands, day by day: order, gaps, bills that do not come, two at once, state that is not as it was.
set -eu
. "$(dirname -- "$0")/common.sh"

mkdir -p book/local book/bill
job A >book/a.yaml
job B >book/b.yaml
day() { # CHANNEL DAY LOCALROW... : a day of one row a side, equal unless a third says otherwise
    printf 'order_no,amount,status\n%s\n' "$3" >"book/local/$1-2026-11-$2.csv"
    printf 'trade_no,order_no,amount,status\nT%s%s,%s\n' "$1" "$2" "${4-$3}" >"book/bill/$1-2026-11-$2.csv"
}
for d in 01 02 03 04; do
    day A $d "A$d,1.00,SUCCESS"
    day B $d "B$d,2.00,SUCCESS"
done

# a state is made by init, and by nothing else
expect 6 'tieout task init' t task run --jobs=book
expect 6 'there is no state' t status --jobs=book
expect 0 '2 tasks made' t task init --date=2026-11-01 --jobs=book
expect 0 '0 tasks made, 2 there already' t task init --date=2026-11-01 --jobs=book
[ "$(stat -c %a book/state)" = 700 ] || { echo "FAILED: the state folder can be read by others"; failures=$((failures + 1)); }
expect 0 '2 tasks done' t task run --jobs=book
expect 0 'nothing to do: 2 done' t task run --jobs=book
expect 0 'all agree' t verify --jobs=book

# days are done in order, and none is left out
expect 0 '2 tasks made' t task init --date=2026-11-03 --jobs=book
expect 6 'tieout task init --date=2026-11-02' t task run --jobs=book
expect 0 '2 tasks made' t task init --date=2026-11-02 --jobs=book
expect 6 'must wait' t task run --date=2026-11-03 --jobs=book
expect 0 'is cancelled' t task cancel --date=2026-11-02 --channel=B --jobs=book
expect 0 '3 tasks done' t task run --jobs=book
expect 6 'cannot be cancelled' t task cancel --date=2026-11-03 --jobs=book
expect 6 'stands on it' t task rerun --date=2026-11-02 --channel=A --jobs=book

# a bill that does not come is told, and is never "everything extra"; the other channel goes on
expect 0 'made' t task init --date=2026-11-04 --jobs=book
mv book/bill/A-2026-11-04.csv kept.csv
expect 3 'there is no such file' t task run --jobs=book
grep -q 'B/-/2026-11-04/1' said && [ -f book/out/B/2026-11-04/summary.json ] || { echo "FAILED: channel B had to go on"; failures=$((failures + 1)); }
[ ! -e book/out/A/2026-11-04 ] || { echo "FAILED: a day without a bill was published"; failures=$((failures + 1)); }
expect 0 'bill.missing' t status --jobs=book
expect 3 'not done' t task run --jobs=book
expect 3 'FAILED' t task run --jobs=book
expect 6 'nothing to do' t task run --jobs=book
expect 0 'task.failed' t status --json --jobs=book
mv kept.csv book/bill/A-2026-11-04.csv
expect 0 'is due again' t task retry --date=2026-11-04 --jobs=book
expect 0 '1 task done' t task run --jobs=book
t status --jobs=book >said
grep -q 'task.failed\|bill.missing' said && { echo "FAILED: alarms stand though it is over"; failures=$((failures + 1)); }

# yesterday's bill under today's name
expect 0 'made' t task init --date=2026-11-05 --jobs=book
cp book/bill/A-2026-11-04.csv book/bill/A-2026-11-05.csv
cp book/local/A-2026-11-04.csv book/local/A-2026-11-05.csv
expect 3 'admitted for 2026-11-04' t task run --channel=A --jobs=book
day A 05 "A05,1.00,SUCCESS" "A05,3.00,SUCCESS"
day B 05 "B05,1.00,SUCCESS"
expect 1 'do not tie out' t task run --jobs=book

# a corrected bill: what changed is taken back and given anew
day A 05 "A05,1.00,SUCCESS"
expect 0 '1 verdicts taken back' t task rerun --date=2026-11-05 --channel=A --jobs=book
expect 0 'takes back: mismatch (amount)' t trace A05 --jobs=book
expect 0 'was read' t trace B03 --date=2026-11-03 --jobs=book
expect 1 'nothing is known' t trace NOBODY --jobs=book
expect 0 'all agree' t verify --jobs=book

# two at once: one works, the other says so
exec 9>>book/state/lock
flock -x 9
expect 6 'another tieout' t task run --jobs=book
expect 0 'book' t status --jobs=book
exec 9>&-

# a name that is not there is never "nothing to do"
expect 2 'task.none' t task run NOBODY --jobs=book
expect 2 'task.none' t task retry NOBODY --jobs=book
expect 2 'task.none' t task rerun --date=2026-11-05 --channel=NOBODY --jobs=book
expect 2 'task.none' t task init --date=2026-11-05 --channel=NOBODY --jobs=book
expect 0 '"phase":"DONE"' t task show A/-/2026-11-05/1 --format=json --jobs=book

# a bill that may still come is waited for
yesterday=$(TZ=Asia/Shanghai date -d yesterday +%F)
mkdir fresh
sed 's/job: A/job: F/; s/channel_code: A/channel_code: F/; s#local/A-#local/F-#; s#  files: "bill/A-{date}.csv"#  files: "data/F/{date}/*.csv"\n  fetch: {from: "far/{date}.csv", deadline: 40h}#' book/a.yaml >fresh/f.yaml
mkdir -p fresh/local fresh/far
expect 0 'made' t task init --date="$yesterday" --jobs=fresh
expect 5 'waits for its bill' t task run --jobs=fresh
expect 5 'waits for its bill' t task run --jobs=fresh
printf 'order_no,amount,status\nF1,1.00,SUCCESS\n' >"fresh/local/F-$yesterday.csv"
printf 'trade_no,order_no,amount,status\nT1,F1,1.00,SUCCESS\n' >"fresh/far/$yesterday.csv"
expect 0 '1 task done' t task run --jobs=fresh
expect 0 'all agree' t verify --jobs=fresh
expect 0 'nothing' t task run --jobs=fresh
expect 0 'ended' sh -c "$tieout daemon --once --jobs=fresh && echo ended"

# an edge that is not declared, by hand
if command -v sqlite3 >/dev/null; then
    expect 19 'done again as the next revision' sqlite3 book/state/state.db "UPDATE task SET phase = 'MATCHING' WHERE phase = 'DONE'"
    expect 19 'done again as the next revision' sqlite3 book/state/state.db "UPDATE task SET phase = 'INIT' WHERE phase = 'DONE'"
    expect 19 'not declared' sqlite3 book/state/state.db "UPDATE task SET phase = 'MATCHING' WHERE phase = 'CANCELLED'"
    expect 19 'only added to' sqlite3 book/state/state.db "DELETE FROM verdict_segment"
fi

# the state is not as it was
cp -a book/state before
day A 06 "A06,1.00,SUCCESS" "X06,1.00,SUCCESS"
day B 06 "B06,1.00,SUCCESS"
expect 0 'made' t task init --date=2026-11-06 --jobs=book
expect 0 '2 tasks done' t task run --jobs=book
cp before/state.db book/state/state.db
rm -f book/state/state.db-wal book/state/state.db-shm
expect 6 'older copy' t task run --jobs=book
expect 6 'older copy' t status --jobs=book
rm book/state/state.db
expect 6 'was removed' t task run --jobs=book
expect 6 'was removed' t task init --date=2026-11-07 --jobs=book
rm -r book/state
cp -a before book/state
expect 6 'older copy' t task init --date=2026-11-06 --jobs=book # the whole folder from a backup; on purpose (older.sh):
rm book/out/.book-*
expect 0 'made' t task init --date=2026-11-06 --jobs=book # the day is simply done again
expect 0 'the state knows nothing of them' t task run --jobs=book
grep -q '2 tasks done' said || { echo "FAILED: the day was not done again"; failures=$((failures + 1)); }
expect 0 'made' t task init --date=2026-11-07 --jobs=book
day A 07 "A07,1.00,SUCCESS"
day B 07 "B07,1.00,SUCCESS"
mkdir -p other/local other/bill # the state of another book, beside this one's results
cp book/*.yaml other
cp book/local/?-2026-11-06.csv other/local
cp book/bill/?-2026-11-06.csv other/bill
expect 0 'made' t task init --date=2026-11-06 --jobs=other
expect 0 "2 tasks done" t task run --jobs=other
mv book/state kept.state
cp -a other/state book/state
expect 0 'made' t task init --date=2026-11-07 --jobs=book
expect 6 'state.foreign' t task run --jobs=book
rm -r book/state
mv kept.state book/state
carried=$(ls book/state/suspense/*-open-local.csv | tail -1) # not their prints: a run without sleepers reads none
cp "$carried" kept.csv
flip "$carried" 300
expect 6 'is damaged' t task run --channel=A --jobs=book
expect 6 'is damaged' t verify --jobs=book
rm "$carried"
expect 6 'was removed' t task run --channel=A --jobs=book
cp kept.csv "$carried"
expect 1 'tasks done' t task run --jobs=book
expect 0 'all agree' t verify --jobs=book

# outputs that somebody altered are told, and made again
echo 'local,A,made up' >>book/out/A/2026-11-07/missing.csv
expect 6 'rerun makes it again' t verify --jobs=book
expect 1 '0 verdicts taken back, 0 given anew' t task rerun --date=2026-11-07 --jobs=book
expect 0 'all agree' t verify --jobs=book

mkdir -p whole/local whole/bill
job G | sed 's/output: {dir: out}/output: {dir: out, match: true}/; s/^  window: none/  subset_sum: {by: [], parts: 3, work: 100, pool: 10}/' >whole/g.yaml
printf 'order_no,amount,status\nz,1.00,SUCCESS\n' >whole/local/G-2026-11-01.csv
printf 'trade_no,order_no,amount,status\nt2,z,1.00,SUCCESS\n' >whole/bill/G-2026-11-01.csv
expect 0 'made' t task init --date=2026-11-01 --jobs=whole
expect 0 '1 task done' t task run --jobs=whole
for file in match proposal aggregate suspense; do
    cp whole/out/G/2026-11-01/$file.csv kept.csv
    echo 'made up' >>whole/out/G/2026-11-01/$file.csv
    expect 6 "$file.csv is not what was published" t verify --jobs=whole
    cp kept.csv whole/out/G/2026-11-01/$file.csv
done
expect 0 'all agree' t verify --jobs=whole

# done again, with the days behind it: a late partner's reversal is told once
job L | sed 's/threshold: {local: 1, channel: 1}/threshold: {local: 0, channel: 0}/' >l.yaml
mkdir -p late/local late/bill
cp l.yaml late/l.yaml
(
    cd late
    printf 'order_no,amount,status\nlate,1.00,SUCCESS\n' >local/L-2026-11-01.csv
    printf 'trade_no,order_no,amount,status\n' >bill/L-2026-11-01.csv
    printf 'order_no,amount,status\n' >local/L-2026-11-02.csv
    printf 'trade_no,order_no,amount,status\nt,late,1.00,SUCCESS\n' >bill/L-2026-11-02.csv
)
expect 0 'made' t task init --date=2026-11-01 --jobs=late
expect 0 'made' t task init --date=2026-11-02 --jobs=late
expect 1 '2 tasks done' t task run --jobs=late
expect 1 '2 tasks done' t task rerun --date=2026-11-01 --cascade --jobs=late
expect 0 'match (day_cut;late)' t trace late --jobs=late
[ "$(grep -c 'takes back' said)" -eq 1 ] || { echo "FAILED: one verdict, taken back twice"; cat said; failures=$((failures + 1)); }

# a day that was cancelled may not be slipped in behind those that were done without it
one() { # BOOK DAY LOCALROWS BILLROWS
    printf 'order_no,amount,status\n%b' "$3" >"$1/local/L-2026-11-0$2.csv"
    printf 'trade_no,order_no,amount,status,day\n%b' "$4" >"$1/bill/L-2026-11-0$2.csv"
    expect 0 'made' t task init --date=2026-11-0$2 --jobs="$1"
}
mkdir -p slip/local slip/bill
sed 's/threshold: {local: 0, channel: 0}/threshold: {local: 2, channel: 2}/' l.yaml >slip/l.yaml
one slip 1 'o,1.00,SUCCESS\n' ''
one slip 2 '' 't,o,1.00,SUCCESS,\n'
one slip 3 '' ''
expect 0 'done' t task run --date=2026-11-01 --jobs=slip
expect 0 'cancelled' t task cancel --date=2026-11-02 --jobs=slip
expect 0 'done' t task run --jobs=slip
expect 6 'stands on it' t task retry --date=2026-11-02 --jobs=slip
expect 0 'done again' t task retry --date=2026-11-02 --cascade --jobs=slip
expect 0 'done' t task run --jobs=slip
expect 0 'match (day_cut;carried)' t trace o --jobs=slip
expect 0 'all agree' t verify --jobs=slip

# a bill that repeats yesterday's open row: the one that came first stays, and gets old
mkdir -p again/local again/bill
sed 's/threshold: {local: 1, channel: 1}/threshold: {local: 0, channel: 1}/; s/status: status}\$/&/' book/a.yaml |
    sed 's/job: A/job: L/; s/channel_code: A/channel_code: L/; s#/A-#/L-#; /trade_no/s/status: status}/status: status, bill_date: day}/' >again/l.yaml
one again 1 '' 't,o,1.00,SUCCESS,2026-11-01\n'
one again 2 '' 't,o,1.00,SUCCESS,2026-11-01\nt2,x,1.00,SUCCESS,2026-11-02\n'
expect 1 '2 tasks done' t task run --jobs=again
grep -q '^channel,L,,o,t,' again/out/L/2026-11-02/extra.csv || { echo "FAILED: a repeated row never gets old"; head again/out/L/2026-11-02/*.csv; failures=$((failures + 1)); }
grep -q '^channel,L,,o,t,' again/out/L/2026-11-02/duplicate.csv || { echo "FAILED: the repeat is no duplicate"; failures=$((failures + 1)); }

# two jobs whose outputs would be one folder; a broken file stops its own channel only; a state that is gone is not made anew
sed 's/channel_code: L/channel_code: M/' again/l.yaml >again/m.yaml
expect 2 'would replace those of the other' t task init --date=2026-11-03 --jobs=again
echo 'version: 1' >again/m.yaml
printf 'order_no,amount,status\n' >again/local/L-2026-11-03.csv
printf 'trade_no,order_no,amount,status,day\n' >again/bill/L-2026-11-03.csv
expect 2 '1 task made' t task init --date=2026-11-03 --jobs=again
expect 2 '1 task done' t task run --jobs=again
rm again/m.yaml
mv again/state away
expect 6 'says that there was one' t task init --date=2026-11-04 --jobs=again
mv away again/state
(
    t task init --date=2026-11-01 --jobs=twice >one 2>&1 || echo "one: $?"
) >ends 2>&1 &
mkdir -p twice && cp l.yaml twice/
for i in 1 2 3 4 5; do t task init --date=2026-11-01 --jobs=twice >two 2>&1 & done
wait
expect 0 'INIT                        1' t status --jobs=twice

# the daemon's round: nothing due is no failure; two jobs of one name are refused
expect 2 'their tasks would be one' sh -c "cp book/a.yaml book/c.yaml; $tieout task run --jobs=book"
sed 's/channel_code: A/channel_code: C/' book/a.yaml >book/c.yaml
expect 2 'are both named A and write to the same folder' t task run --jobs=book
rm book/c.yaml

# a day that was left out is not slipped in before days that are done: what it opens would be in nobody's suspense
mkdir -p gap/local gap/bill
job G >gap/g.yaml
for d in 01 02 03; do
    printf 'order_no,amount,status\nG%s,1.00,SUCCESS\n' $d >gap/local/G-2026-11-$d.csv
    printf 'trade_no,order_no,amount,status\nT%s,G%s,1.00,SUCCESS\n' $d $d >gap/bill/G-2026-11-$d.csv
done
echo 'open,5.00,SUCCESS' >>gap/local/G-2026-11-02.csv
for d in 01 02 03; do expect 0 'made' t task init --date=2026-11-$d --jobs=gap; done
expect 0 'is cancelled' t task cancel --date=2026-11-02 --jobs=gap
expect 0 '2 tasks done' t task run --jobs=gap
expect 6 'stands on it' t task retry --date=2026-11-02 --jobs=gap
expect 0 'slip: tieout task cancel G/-/2026-10-31/1' t task init --date=2026-10-31 --jobs=gap
expect 6 'task retry G/-/2026-10-31/1 --cascade' t task run --jobs=gap
expect 6 'tieout task cancel G/-/2026-10-31/1' t task run --jobs=gap
expect 0 'is cancelled' t task cancel --date=2026-10-31 --jobs=gap
expect 0 'is due again' t task retry --date=2026-11-02 --cascade --jobs=gap
expect 1 '2 tasks done' t task run --jobs=gap
expect 0 'missing' t trace open --date=2026-11-03 --jobs=gap
expect 0 'all agree' t verify --jobs=gap

# a date to come is told; a bill that never came is no alarm once its day is cancelled
expect 0 'is still to come' t task init --date=2077-11-04 --jobs=gap
expect 0 'is cancelled' t task cancel --date=2077-11-04 --jobs=gap
expect 0 'made' t task init --date=2026-11-04 --jobs=gap
expect 3 'there is no such file' t task run --jobs=gap
expect 0 'bill.missing' t status --jobs=gap
expect 0 'is cancelled' t task cancel --date=2026-11-04 --jobs=gap
t status --jobs=gap | grep -q 'bill.missing' && { echo "FAILED: the alarm of a cancelled task stands"; failures=$((failures + 1)); }

# a day that cannot be done again (its bill was archived) stays as it was done, and those behind it
mv gap/bill/G-2026-11-02.csv kept.csv
expect 3 'there is no such file' t task rerun --date=2026-11-02 --cascade --jobs=gap
expect 0 'G/-/2026-11-03/1: stays as it was done' t task cancel --date=2026-11-02 --jobs=gap
grep -q '2026-11-02/1: stays as it was done' said || { echo "FAILED: the day itself"; cat said; failures=$((failures + 1)); }
expect 0 'nothing to do: 3 done' t task run --jobs=gap
expect 0 'all agree' t verify --jobs=gap
mv kept.csv gap/bill/G-2026-11-02.csv
expect 6 'cannot be cancelled' t task cancel --date=2026-11-02 --jobs=gap
# ... but not one that follows from a day that was done again
mv gap/bill/G-2026-11-03.csv kept.csv
expect 3 'there is no such file' t task rerun --date=2026-11-02 --cascade --jobs=gap
expect 6 'was done again since' t task cancel --date=2026-11-03 --jobs=gap
mv kept.csv gap/bill/G-2026-11-03.csv
expect 1 '1 task done' t task run --jobs=gap
expect 0 'all agree' t verify --jobs=gap

# a run is no task: what a task published stays
expect 6 'holds the results of a book' t run gap/g.yaml --date=2026-11-01
expect 0 'all agree' t verify --jobs=gap

# a fee that is carried costs what it cost
sed 's/channel_order_no: trade_no/fee: fee, &/; s/^  window: none/  fees: net/' gap/g.yaml >net.yaml
mkdir -p net/local net/bill
mv net.yaml net/g.yaml
printf 'order_no,amount,status\n' >net/local/G-2026-11-01.csv
printf 'trade_no,order_no,amount,fee,status\nt1,a,99.40,0.60,SUCCESS\n' >net/bill/G-2026-11-01.csv
printf 'order_no,amount,status\na,100.00,SUCCESS\n' >net/local/G-2026-11-02.csv
printf 'trade_no,order_no,amount,fee,status\n' >net/bill/G-2026-11-02.csv
for d in 01 02; do
    expect 0 'made' t task init --date=2026-11-$d --jobs=net
    expect 0 '1 task done (0 of them' t task run --jobs=net
done
expect 0 'match (fee;day_cut;carried)' t trace a --jobs=net

# what a log tells of a day after that day was done is in no task's results: it is said, and mended by doing the day again
mkdir log
cp -r "$root"/fixtures/days/01-stripe-day/job.yaml "$root"/fixtures/days/01-stripe-day/binlog "$root"/fixtures/days/01-stripe-day/bill_*.csv log/
echo 'suspense: {threshold: {local: 1, channel: 1}}' >>log/job.yaml
head -n 1 log/bill_2026-11-19.csv >log/bill_2026-11-20.csv
mkdir later && mv log/binlog/*.000003 later/
expect 0 'made' t task init --date=2026-11-19 --jobs=log
expect 1 '1 task done' t task run --jobs=log
mv later/* log/binlog/
expect 0 'made' t task init --date=2026-11-20 --jobs=log
expect 1 'came later and are in no result' t task run --jobs=log
expect 0 'book.changed' t status --jobs=log
expect 1 '2 tasks done' t task rerun --date=2026-11-19 --cascade --jobs=log
grep -q 'came later' said && { echo "FAILED: done again, and still told"; failures=$((failures + 1)); }
t status --jobs=log | grep -q 'book.changed' && { echo "FAILED: done again, and the alarm stands"; failures=$((failures + 1)); }

# a late partner that a corrected file takes away again: the verdict it had taken back stands again, its error is open, sinks are told
mkdir -p undone/local undone/bill
job G >undone/g.yaml
sed -i 's/threshold: {local: 1, channel: 1}/threshold: {local: 0, channel: 0}/' undone/g.yaml
printf 'version: 1\npush: {sinks: {archive: {file: told.jsonl}}}\n' >undone/book.yaml
printf 'order_no,amount,status\nz,1.00,SUCCESS\n' >undone/local/G-2026-11-01.csv
printf 'trade_no,order_no,amount,status\nt1,o1,100.00,SUCCESS\nt2,z,1.00,SUCCESS\n' >undone/bill/G-2026-11-01.csv
printf 'order_no,amount,status\no1,100.00,SUCCESS\ny,1.00,SUCCESS\n' >undone/local/G-2026-11-02.csv
printf 'trade_no,order_no,amount,status\nt3,y,1.00,SUCCESS\n' >undone/bill/G-2026-11-02.csv
expect 0 'made' t task init --date=2026-11-01 --jobs=undone
expect 0 'made' t task init --date=2026-11-02 --jobs=undone
expect 1 '1 task done' t task run --date=2026-11-01 --jobs=undone
expect 1 '1 task done' t task rerun --date=2026-11-01 --jobs=undone # its row is of revision 2 now, its verdict of 1
expect 0 'pushed 1;' t push --jobs=undone
expect 0 '1 task done' t task run --jobs=undone
expect 0 'late' t trace o1 --jobs=undone
expect 0 '0 errors' t errors list --jobs=undone
expect 0 'pushed 1;' t push --jobs=undone
printf 'order_no,amount,status\ny,1.00,SUCCESS\n' >undone/local/G-2026-11-02.csv
expect 0 '1 of earlier days stand again' t task rerun --date=2026-11-02 --jobs=undone
expect 0 '1 error' t errors list --class=extra --jobs=undone
expect 0 'lets stand again: extra' t trace o1 --jobs=undone
expect 0 'all agree' t verify --jobs=undone
expect 0 'pushed 1;' t push --jobs=undone
printf 'order_no,amount,status\no1,100.00,SUCCESS\ny,1.00,SUCCESS\n' >undone/local/G-2026-11-02.csv
expect 0 '1 verdicts taken back, 1 given anew' t task rerun --date=2026-11-02 --jobs=undone
expect 0 '0 errors' t errors list --jobs=undone
expect 0 'pushed 1;' t push --jobs=undone
expect 0 'all agree' t verify --jobs=undone
python3 - undone/told.jsonl <<'PY' || failures=$((failures + 1))
import json, sys
told = [json.loads(line) for line in open(sys.argv[1])]
said = [(m["kind"], m["node_status"], m["order_revision"]) for m in told]
want = [("verdict", "open", 1), ("reversal", "reversed", 2), ("change", "open", 3), ("reversal", "reversed", 4)]
if said != want or len({m["id"] for m in told}) != 4 or len({m["order_id"] for m in told}) != 1:
    sys.exit("FAILED: sinks were told %s, expected %s, of one order" % (said, want))
PY

# a state that is gone, with what it published still there, is not begun anew
mv gap/state gap/away
expect 6 'says that there was one' t task init --date=2026-11-04 --jobs=gap
mv gap/away gap/state
expect 0 'made' t task init --date=2026-11-04 --jobs=gap
rm -rf gap/out

# two first inits at once: one makes the state, the other finds it
for try in 1 2 3 4 5; do
    rm -rf gap/state gap/out
    t task init --date=2026-11-01 --jobs=gap >first 2>&1 &
    code=0
    t task init --date=2026-11-01 --jobs=gap >second 2>&1 || code=$?
    wait $! || code=$?
    if [ "$code" -ne 0 ]; then
        echo "FAILED: two inits at once, try $try: exit code $code:"
        cat first second
        failures=$((failures + 1))
    fi
    expect 0 'INIT' t task list --jobs=gap
done

finish "a book's days: as they should be"
