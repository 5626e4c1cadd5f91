#!/bin/sh
# tests/book/sentences.sh TIEOUT: sentences of the issue that no other test holds (tests/book.md): trace with raw bytes, pushes and acks; status and what
# the disk holds; two starts at once, really; hands and reruns; the ladder of re-checks; a night's memory and its order.
set -eu
. "$(dirname -- "$0")/common.sh"

same() { # WHAT GOT WANT
    [ "$2" = "$3" ] || fail "$1: \"$2\", expected \"$3\""
}
db() { sqlite3 "$1/state/state.db" "$2"; }

# ---- trace: raw bytes and places, pushes and what sinks answered, hands
mkdir one
job R 0 >one/r.yaml
printf 'version: 1\npush: {sinks: {archive: {file: told.jsonl}, desk: {webhook: "http://127.0.0.1:9/"}}}\n' >one/book.yaml
rows one R 1 'a,1.00,SUCCESS\nz,1.50,SUCCESS\n' 't1,"z",1.5,SUCCESS\nt2,a,2.00,SUCCESS\n'
expect 0 'made' t task init --date=2026-11-01 --jobs=one
expect 1 '1 task done' t task run --jobs=one
expect 5 'pushed 1;' t push --deadline=0 --jobs=one
id=$(t errors list --format=csv --jobs=one | sed -n '2s/,.*//p')
expect 0 '1 done' t errors claim "$id" --actor=ann --reason=mine --jobs=one
expect 0 'pushed to archive: acked 20' t trace a --jobs=one
expect 0 'pushed to desk: waits' t trace a --jobs=one
expect 0 'claim by ann: mine' t trace a --jobs=one
expect 0 '             t1,"z",1.5,SUCCESS' t trace z --date=2026-11-01 --jobs=one
expect 0 'bill/R-2026-11-01.csv:2@' t trace z --date=2026-11-01 --jobs=one
t trace a --date=2026-11-01 --format=json --jobs=one | python3 -c '
import json, sys
said = json.load(sys.stdin)
raws = sorted(s["raw"] for s in said if s["what"] == "row")
assert raws == ["a,1.00,SUCCESS", "t2,a,2.00,SUCCESS"], raws
pushes = {s["sink"]: s["state"] for s in said if s["what"] == "push"}
assert pushes == {"archive": "acked", "desk": "waits"}, pushes
assert [s["rules"] for s in said if s["what"] == "verdict"][0].startswith("sha256:")' || fail 'trace as JSON'

mkdir log
cp -r "$root"/fixtures/days/01-stripe-day/job.yaml "$root"/fixtures/days/01-stripe-day/binlog "$root"/fixtures/days/01-stripe-day/bill_*.csv log/
echo 'suspense: {threshold: {local: 1, channel: 1}}' >>log/job.yaml
expect 0 'made' t task init --date=2026-11-19 --jobs=log
expect 1 '1 task done' t task run --jobs=log
expect 0 'order_no=SO2026111901707019;kind=PAY;trade_no=;pay_amount=7.99;' t trace SO2026111901707019 --date=2026-11-19 --jobs=log
rm -r log

# ---- status never says more than the disk holds
gone() { t status --json --jobs=one | python3 -c 'import json, sys; print(" ".join(json.load(sys.stdin)["results_gone"]))'; }
same 'results that are there' "$(gone)" ''
mv one/out/R/2026-11-01 away
same 'results that are gone' "$(gone)" 'R/-/2026-11-01/1'
expect 0 'tieout task rerun makes them again' t status --jobs=one
expect 1 '1 task done' t task rerun --date=2026-11-01 --jobs=one
same 'results made again' "$(gone)" ''

# ---- hands: what they did stays through reruns, unless the record changed
expect 0 '1 done' t errors resolve "$id" --actor=ann --reason=refunded --jobs=one
expect 1 '0 verdicts taken back, 0 given anew' t task rerun --date=2026-11-01 --jobs=one
same 'a rerun that changes nothing' "$(db one "SELECT node_status FROM error_order WHERE kind = 'verdict'")" resolved
rows one R 1 'y,3.00,SUCCESS\na,1.00,SUCCESS\nz,1.50,SUCCESS\n' 't1,"z",1.5,SUCCESS\nt2,a,2.00,SUCCESS\n'
expect 1 '0 verdicts taken back, 1 given anew' t task rerun --date=2026-11-01 --jobs=one
same 'another record came' "$(db one "SELECT node_status FROM error_order WHERE kind = 'verdict' ORDER BY no")" 'resolved
open'
rows one R 1 'a,1.00,SUCCESS\nz,1.50,SUCCESS\n' 't1,"z",1.5,SUCCESS\nt2,a,2.50,SUCCESS\n'
expect 1 '2 verdicts taken back, 1 given anew' t task rerun --date=2026-11-01 --jobs=one
same 'its own record changed' "$(db one "SELECT count(*) FROM error_order WHERE kind = 'verdict' AND node_status = 'open'")" 1
expect 0 'resolve by ann: refunded' t trace a --jobs=one
expect 0 '1.50 CNY  a' t errors list --jobs=one

# ---- two starts at once: one does the night, the other says so or finds nothing to do; each task is done once
mkdir base
for q in A B C; do
    job $q 1 >base/$q.yaml
    for d in 1 2; do many base $q $d 3000 100 50; done
done
for d in 1 2; do t task init --date=2026-11-0$d --jobs=base 2>/dev/null; done
cp -a base alone
t task run --threads=2 --jobs=alone >said 2>&1 || [ $? -eq 1 ] || fail "a night: $(cat said)"
digests() { (cd "$1" && grep -h '"digest"' out/*/*/summary.json); }
for try in 1 2 3 4; do
    rm -rf both
    cp -a base both
    code=0 other=0
    t task run --threads=2 --jobs=both >first 2>&1 &
    # shellcheck disable=SC2015 # the exit code is wanted either way
    t task run --threads=2 --jobs=both >second 2>&1 || other=$?
    wait $! || code=$?
    for end in "$code" "$other"; do
        case $end in
        0 | 1 | 6) ;;
        *) fail "two starts, try $try: exit codes $code and $other: $(cat first second)" ;;
        esac
    done
    # One of them may have come when the other one was done with all of it; one of them has done it.
    [ "$code" -eq 1 ] || [ "$other" -eq 1 ] || fail "two starts, try $try: nobody did it: $code and $other: $(cat first second)"
    t task run --threads=2 --jobs=both >said 2>&1 || fail "two starts, try $try: afterwards: $(cat said)"
    same "two starts, try $try: revisions" "$(db both 'SELECT DISTINCT phase, revision FROM task')" 'DONE|1'
    same "two starts, try $try: segments" "$(db both 'SELECT count(*) FROM verdict_segment')" 6
    [ "$(digests both)" = "$(digests alone)" ] || fail "two starts, try $try: other digests than one start"
    expect 0 'all agree' t verify --jobs=both
done

# ---- a night of several queues within its memory (P8): the sum of what is in flight, not the most of one task
peak() { # COMMAND...: MiB that it had at most
    python3 - "$@" <<'PY'
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
assert code in (0, 1), code
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
PY
}
if ! grep -q '__asan_init\|__tsan_init' "$tieout"; then
    mkdir large
    for q in A B C D; do
        job $q 3 >large/$q.yaml
        many large $q 1 40000 2 40000
    done
    t task init --date=2026-11-01 --jobs=large 2>/dev/null
    had=$(peak "$tieout" task run --threads=2 --memory=40MiB --jobs=large)
    [ "$had" -le $((40 + 24 + 4)) ] || fail "four queues with --memory=40MiB had $had MiB"
    same 'four queues' "$(db large "SELECT count(*) FROM task WHERE phase = 'DONE'")" 4
    # The day after: open records pass by, and final ones (of a job without suspense) may be met by any row; both in sets of keys.
    job A 0 >large/A.yaml
    for q in A B C D; do many large $q 2 60000 20 0; done
    t task init --date=2026-11-02 --jobs=large 2>/dev/null
    t task run --channel=A --jobs=large >/dev/null 2>&1 || :
    many large A 3 150000 20 0
    for q in B C D; do many large $q 3 20 0 0; done
    t task init --date=2026-11-03 --jobs=large 2>/dev/null
    had=$(peak "$tieout" task run --threads=2 --memory=40MiB --jobs=large)
    [ "$had" -le $((40 + 24 + 4)) ] || fail "carried records with --memory=40MiB had $had MiB"
    same 'the days after' "$(db large "SELECT count(*) FROM task WHERE phase = 'DONE'")" 12
    rm -rf large
fi

# ... and who goes first: of one bill date those with more points; a queue's days stay in their order
turns() { sed -n 's/^task \([A-C]\).*\(..\)\/1$/\1\2/p' said | tr '\n' ' '; }
for points in 'A: 0' 'C: 2, B: 1'; do
    rm -rf both
    cp -a base both
    printf 'version: 1\ntasks: {priority: {%s}}\n' "$points" >both/book.yaml
    expect 1 '6 tasks done' t task run --threads=2 --jobs=both
    case $points in
    A*) same 'turns by channel' "$(turns)" 'A01 B01 C01 A02 B02 C02 ' ;;
    *) same 'turns by priority' "$(turns)" 'C01 B01 A01 C02 B02 A02 ' ;;
    esac
    [ "$(digests both)" = "$(digests alone)" ] || fail "priorities $points: other digests"
done

# ---- re-checks: an error that the next run takes back is nobody's work; one that stands is told then
mkdir check
job K 0 >check/k.yaml
printf 'version: 1\npush: {recheck: [next_run], sinks: {archive: {file: told.jsonl}}}\n' >check/book.yaml
rows check K 1 'a,1.00,SUCCESS\nb,2.00,SUCCESS\n' ''
expect 0 'made' t task init --date=2026-11-01 --jobs=check
expect 1 '1 task done' t task run --jobs=check
expect 0 'pushed 0;' t push --jobs=check
rows check K 2 '' 't1,a,1.00,SUCCESS\n'
expect 0 'made' t task init --date=2026-11-02 --jobs=check
expect 0 '1 task done' t task run --jobs=check
expect 0 'pushed 1;' t push --jobs=check
same 'who was told of what' "$(sed 's/.*"biz_order_no":"\([^"]*\)".*/\1/' check/told.jsonl)" b
sed -i 's/next_run/1m, 10m/' check/book.yaml
rows check K 3 'c,1.00,SUCCESS\n' ''
expect 0 'made' t task init --date=2026-11-03 --jobs=check
expect 1 '1 task done' t task run --jobs=check
expect 0 'pushed 0;' t push --jobs=check
db check "UPDATE error_order SET check_at = check_at - 61 WHERE visible < 2 AND check_at > 0; VACUUM" # a minute later
expect 0 'pushed 0;' t push --jobs=check
db check "UPDATE error_order SET check_at = check_at - 601 WHERE visible < 2 AND check_at > 0; VACUUM"
expect 0 'pushed 1;' t push --jobs=check

finish 'sentences of the issue: as they say'
