#!/bin/sh
# tests/live/behind.sh TIEOUT: a day that the capture has not come to the end of: its rows are waited for, and are never "everything extra".
#
# How far a capture is, is put back by hand (capture.db), so that nothing here hangs on the clock or on how fast a machine is.
set -u
tieout=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/server.sh"
. "$here/job.sh"
servers_begin
server_start 1
sql 1 <<SQL
CREATE DATABASE shop;
CREATE TABLE shop.payment_order (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, order_no VARCHAR(64) NOT NULL, amount DECIMAL(18,2) NOT NULL, created_at DATETIME(3) NOT NULL);
INSERT INTO shop.payment_order (order_no, amount, created_at) VALUES ('A1', 1.01, '2020-11-19 10:00:00'), ('F1', 2.00, '2077-11-04 10:00:00');
SQL
book=$work/book
mkdir "$book"
source="replica: {host: $work/s1, user: root, server_id: 4712, table: shop.payment_order, start: oldest}"
job_file "$book/live.yaml" pay "$source"
job_file "$work/cut4.yaml" pay "$(echo "$source" | sed "s#}#, dir: $book/capture/pay}#")"
sed 's/^currency: CNY/&\ncut: "04:00"/' "$work/cut4.yaml" >"$work/cut4" && mv "$work/cut4" "$work/cut4.yaml"
sed 's/04:00/23:00/' "$work/cut4.yaml" >"$work/cut23.yaml"

# try EXIT WORDS COMMAND...: a piece of what it says
try()
{
    wanted=$1 words=$2
    shift 2
    code=0
    "$tieout" "$@" >"$work/said" 2>&1 || code=$?
    { [ $code = "$wanted" ] && grep -qF -- "$words" "$work/said"; }
    ok $? "$*: exit $code, expected $wanted and \"$words\": $(cat "$work/said")"
}
# put_back COMMIT COMPLETE: the newest transaction, and until when all is there, in UTC
put_back()
{
    sqlite3 "$book/capture/pay/capture.db" "UPDATE capture SET commit_time = strftime('%s', '$1'); UPDATE status SET complete = strftime('%s', '$2') * 1000000"
}

try 0 'made' task init --date=2020-11-19 "--jobs=$book"
try 5 'nothing was captured yet' task run "--jobs=$book"
"$tieout" capture "$book/live.yaml" --catch-up || ok 1 "capture"

# ---- a day that is still to come
try 5 'bill date 2077-11-04 ends at 2077-11-04T16:00:00Z' run "$book/live.yaml" --date=2077-11-04 "--out=$work/out"
[ ! -e "$work/out/pay" ]
ok $? "results of a day that is not there yet"
try 1 'does not tie out' run "$book/live.yaml" --date=2077-11-04 "--out=$work/out" --early
try 0 'what the index will need' run "$book/live.yaml" --date=2077-11-04 --plan

mkdir "$work/later"
cp "$work/cut4.yaml" "$work/later/"
try 0 'made' task init --date=2077-11-04 "--jobs=$work/later"
for try in 1 2 3 4; do try 5 'waits for its capture' task run "--jobs=$work/later"; done # however often somebody asks

# ---- it stands before the day's end: nothing is done, people are told; the server goes on in silence, and --catch-up hears that it has no more
put_back '2020-11-19 12:00:00' '2020-11-19 15:59:59'
try 5 'captured to 2020-11-19T15:59:59Z' run "$book/live.yaml" --date=2020-11-19 "--out=$work/out"
grep -q 'no process is at it' "$work/said"
ok $? "that nobody captures: $(cat "$work/said")"
try 5 'captured to 2020-11-19T15:59:59Z' task run "--jobs=$book"
try 0 'capture.behind' status "--jobs=$book"
sqlite3 "$book/capture/pay/capture.db" "UPDATE status SET said = 'the disk is full'"
try 5 'it is in trouble: the disk is full' run "$book/live.yaml" --date=2020-11-19 "--out=$work/out"
sqlite3 "$book/capture/pay/capture.db" "ALTER TABLE status DROP COLUMN complete" # an older program's
try 5 'captured to 2020-11-19T12:00:00Z' run "$book/live.yaml" --date=2020-11-19 "--out=$work/out"
"$tieout" capture "$book/live.yaml" --catch-up || ok 1 "a capture that an older program began"
try 0 'everything ties out' task run "--jobs=$book"
"$tieout" status "--jobs=$book" >"$work/said"
! grep -q capture.behind "$work/said"
ok $? "an alarm that is over stands: $(cat "$work/said")"

# ---- one transaction behind the cut is enough, and nothing less is
put_back '2020-11-19 16:00:00' 1970-01-01
try 0 'everything ties out' run "$book/live.yaml" --date=2020-11-19 "--out=$work/out"
put_back '2020-11-19 15:59:59' 1970-01-01
try 5 'ends at 2020-11-19T16:00:00Z' run "$book/live.yaml" --date=2020-11-19 "--out=$work/out"
put_back '2020-11-19 19:59:59' 1970-01-01
try 5 'ends at 2020-11-19T20:00:00Z' run "$work/cut4.yaml" --date=2020-11-19 "--out=$work/out"
put_back '2020-11-19 15:00:00' 1970-01-01
try 0 'everything ties out' run "$work/cut23.yaml" --date=2020-11-19 "--out=$work/out"

# ---- a capture that runs hears that the server has no more
put_back '2020-11-19 12:00:00' '2020-11-19 15:59:59'
"$tieout" capture "$book/live.yaml" 2>"$work/said" &
pid=$!
background=$pid
passed_the_day() { "$tieout" run "$book/live.yaml" --date=2020-11-19 "--out=$work/out" >/dev/null 2>&1 || has_ended $pid; }
wait_until "a capture has passed the day" passed_the_day
try 0 'everything ties out' run "$book/live.yaml" --date=2020-11-19 "--out=$work/out"
try 5 'wait for it' run "$book/live.yaml" --date=2077-11-04 "--out=$work/out"
try 0 'complete to' capture "$book/live.yaml" --status
kill $pid
wait $pid

echo "$passed passed, $failed failed"
exit "$([ $failed = 0 ] && echo 0 || echo 1)"
