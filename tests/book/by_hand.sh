#!/bin/sh
# tests/book/by_hand.sh TIEOUT: errors that people handle: two that are one payment become a match, their real partners come after all,
# their records change, days are done again; and sinks hear of what ends an error.
set -eu
. "$(dirname -- "$0")/common.sh"

mkdir -p book/local book/bill
job H 0 | sed 's/match: false/match: true/; s/output: {dir: out}/output: {dir: out, match: true}/' >book/h.yaml
printf 'version: 1\npush: {sinks: {archive: {file: told.jsonl}}}\n' >book/book.yaml
day() { # DAY LOCALROWS BILLROWS
    printf 'order_no,amount,status\nz%s,1.00,SUCCESS\n%b' "$1" "$2" >"book/local/H-2026-11-0$1.csv"
    printf 'trade_no,order_no,amount,status\nt%s,z%s,1.00,SUCCESS\n%b' "$1" "$1" "$3" >"book/bill/H-2026-11-0$1.csv"
}
id() { t errors list --all --format=json --class="$2" --order="$1" --jobs=book 2>/dev/null | grep '"kind":"verdict"' | tail -1 | cut -c8-71; }
same() { # WHAT GOT WANT
    [ "$2" = "$3" ] || {
        echo "FAILED: $1: \"$2\", expected \"$3\""
        failures=$((failures + 1))
    }
}

# a, q: one payment under two numbers; b, r differ by 0.05; the channel has no number of ours for c
day 1 'a,100.00,SUCCESS\nb,20.00,SUCCESS\nc,7.00,SUCCESS\n' 'u1,q,100.00,SUCCESS\nu2,r,20.05,SUCCESS\nu3,,7.00,SUCCESS\nu4,o,-7.00,SUCCESS\n'
expect 0 'made' t task init --date=2026-11-01 --jobs=book
expect 1 '1 task done' t task run --jobs=book
expect 0 'pushed 7;' t push --jobs=book
expect 1 'one of them is IN and the other OUT' t errors force-match "$(id c missing)" "$(id o extra)" --reason=no --jobs=book
expect 1 'their amounts differ: 20.00 local, 20.05 channel' t errors force-match "$(id b missing)" "$(id r extra)" --reason=no --jobs=book
expect 1 'their difference is 0.05' t errors force-match "$(id b missing)" "$(id r extra)" --reason=no --accept-difference=-0.05 --jobs=book
expect 2 'is not an amount' t errors force-match "$(id b missing)" "$(id r extra)" --reason=no --accept-difference=5% --jobs=book
expect 2 'resolve has no --limit' t errors resolve --class=missing --limit=1 --reason=no --jobs=book
expect 2 'needs a --reason' t errors resolve --class=missing --reason=' ' --jobs=book
expect 0 'no error is let through' t errors resolve --channel=nobody --reason=no --jobs=book
expect 0 '2 done' t errors force-match "$(id a missing)" "$(id q extra)" --reason='two numbers' --jobs=book
expect 0 '2 done' t errors force-match "$(id b missing)" "$(id r extra)" --reason='a fee' --accept-difference=0.05 --jobs=book
expect 0 '2 done' t errors force-match "$(id c missing)" "$(id u3 extra)" --reason='no number' --jobs=book
expect 0 'pushed 6;' t push --jobs=book

# the next task makes them matches, and takes their verdicts back; the difference stands in the bridge
day 2 '' ''
expect 0 'made' t task init --date=2026-11-02 --jobs=book
expect 0 'accepted by hand                                    0.05' t task run --jobs=book
expect 0 'all agree' t verify --jobs=book
same 'pairs in match.csv' "$(cut -d, -f2,4,5,6,7 book/out/H/2026-11-02/match.csv | grep manual | tr '\n' ' ')" \
    'a,late;manual,100.00,100.00,0.00 b,late;manual,20.00,20.05,0.05 c,late;manual,7.00,7.00,0.00 '
expect 0 'match (late;manual)' t trace q --jobs=book
expect 0 '"matched_by_hand"' cat book/out/H/2026-11-02/summary.json
same 'one error is left' "$(t errors list --jobs=book 2>/dev/null | wc -l)" 1
expect 0 'pushed 0;' t push --jobs=book # they heard of it when it was done

# done again, also from the first day on: as it was
expect 0 '0 verdicts taken back, 0 given anew' t task rerun --date=2026-11-02 --jobs=book
expect 1 '2 tasks done' t task rerun --date=2026-11-01 --cascade --jobs=book
same 'pairs after a rerun' "$(grep -c manual book/out/H/2026-11-02/match.csv)" 3
expect 0 'all agree' t verify --jobs=book

# the real partner of a comes: it is matched with that, and q is an open error again
day 3 '' 'u9,a,100.00,SUCCESS\n'
expect 0 'made' t task init --date=2026-11-03 --jobs=book
expect 1 '1 task done (1 of them do not tie out)' t task run --jobs=book
expect 0 'match (day_cut;late)' t trace a --jobs=book
expect 0 'lets stand again: extra' t trace q --jobs=book
expect 0 'all agree' t verify --jobs=book
same 'q is open' "$(t errors list --order=q --jobs=book 2>/dev/null | cut -c24-27)" open
expect 0 'pushed' t push --jobs=book
# ... and when that was a mistake of the channel's, the pair stands again
day 3 '' ''
expect 0 '2 of earlier days stand again' t task rerun --date=2026-11-03 --jobs=book
same 'q is matched' "$(t errors list --order=q --jobs=book 2>/dev/null | wc -l)" 0
expect 0 'all agree' t verify --jobs=book

# a record of a pair changes: the pair is no more, and both are open
sed -i 's/u2,r,20.05/u2,r,20.06/' book/bill/H-2026-11-01.csv
expect 1 '3 tasks done' t task rerun --date=2026-11-01 --cascade --jobs=book
same 'b and r are open' "$(t errors list --jobs=book 2>/dev/null | grep -c ' [br]$')" 2
same 'pairs that stand' "$(grep -c manual book/out/H/2026-11-02/match.csv)" 2
expect 0 'all agree' t verify --jobs=book

# a partner that comes before the pair was taken up
expect 0 '2 done' t errors force-match "$(id b missing)" "$(id r extra)" --reason=again --accept-difference=0.06 --jobs=book
day 4 '' 'u8,b,20.00,SUCCESS\n'
expect 0 'made' t task init --date=2026-11-04 --jobs=book
expect 0 '1 task done' t task run --jobs=book
same 'only r is open' "$(t errors list --jobs=book 2>/dev/null | grep -c ' [br]$')" 1
expect 0 'all agree' t verify --jobs=book

# what ends an error is told, under its own id and with the next number; what was never told is not
expect 0 'pushed' t push --jobs=book
expect 0 '1 done' t errors resolve "$(id o extra)" --reason='refunded' --jobs=book
expect 0 '1 done' t errors reopen "$(id o extra)" --jobs=book
expect 0 '1 done' t errors void "$(id o extra)" --reason='never was' --jobs=book
expect 0 '1 done' t errors claim "$(id r extra)" --jobs=book
expect 0 'pushed 3;' t push --jobs=book
python3 - book/told.jsonl "$(id o extra)" "$(id q extra)" <<'PY' || failures=$((failures + 1))
import json, sys
told = [json.loads(line) for line in open(sys.argv[1])]
if len({m["id"] for m in told}) != len(told):
    sys.exit("FAILED: two messages have one id")
def of(order):
    return [(m["kind"], m["node_status"], m["order_revision"], m.get("reason", "")) for m in told if m["order_id"] == order]
want = [("verdict", "open", 1, ""), ("change", "resolved", 2, "refunded"), ("change", "open", 3, ""), ("change", "void", 4, "never was")]
if of(sys.argv[2]) != want:
    sys.exit("FAILED: told of o: %s" % of(sys.argv[2]))
q = of(sys.argv[3])
if [m[2] for m in q] != list(range(1, len(q) + 1)) or [m[1] for m in q][:3] != ["open", "force_matched", "open"] or q[-1][1] != "force_matched":
    sys.exit("FAILED: told of q: %s" % q)
PY
# a slip: taken back at once while no task has taken it up, by the next task where one has
sed 's/channel_code: H/channel_code: S/; s/job: H/job: S/' book/h.yaml >s.yaml
mkdir -p slip/local slip/bill
mv s.yaml slip/s.yaml
slip() {
    day "$@"
    mv book/local/H-2026-11-0$1.csv slip/local/H-2026-11-0$1.csv
    mv book/bill/H-2026-11-0$1.csv slip/bill/H-2026-11-0$1.csv
    expect 0 'made' t task init --date=2026-11-0$1 --jobs=slip
}
sid() { t errors list --all --format=json --class="$2" --order="$1" --jobs=slip 2>/dev/null | grep '"kind":"verdict"' | tail -1 | cut -c8-71; }
is_open() { t errors list --jobs=slip 2>/dev/null | grep -c " [$1]\$" || true; }
slip 1 'a,70.00,SUCCESS\n' 'u1,q,70.00,SUCCESS\nu2,r,70.00,SUCCESS\n'
expect 1 '1 task done' t task run --jobs=slip
expect 0 '2 done' t errors force-match "$(sid a missing)" "$(sid q extra)" --reason='a slip' --jobs=slip
expect 0 '1 done' t errors reopen "$(sid q extra)" --jobs=slip
same 'both are open at once' "$(is_open aqr)" 3
slip 2 '' ''
expect 0 '1 task done' t task run --jobs=slip
same 'no match of it' "$(ls slip/out/S/2026-11-02/match.csv >/dev/null 2>&1 && grep -c manual slip/out/S/2026-11-02/match.csv || true)" 0
expect 0 '2 done' t errors force-match "$(sid a missing)" "$(sid q extra)" --reason='a slip again' --jobs=slip
slip 3 '' ''
expect 0 '1 task done' t task run --jobs=slip
same 'a match of it' "$(grep -c manual slip/out/S/2026-11-03/match.csv)" 1
expect 0 'the next task of the queue takes that back' t errors reopen "$(sid a missing)" --jobs=slip
expect 0 '1 were so already' t errors reopen "$(sid q extra)" --jobs=slip
slip 4 '' ''
expect 1 '2 records of earlier days are missing or extra again' t task run --jobs=slip
expect 0 '2026-11-04/1                         DONE                 revision 1, does not tie out' t task list --jobs=slip
grep -q '"again"' slip/out/S/2026-11-04/summary.json || { echo 'FAILED: summary.json does not say it'; failures=$((failures + 1)); }
same 'both are open' "$(is_open aqr)" 3
expect 0 'is no more' t errors show "$(sid q extra)" --jobs=slip
expect 0 'lets stand again: extra' t trace q --jobs=slip
expect 0 'all agree' t verify --jobs=slip
expect 1 '0 verdicts taken back, 0 given anew' t task rerun --date=2026-11-04 --jobs=slip
same 'both are open after a rerun' "$(is_open aqr)" 3
# now the right one; and its real partner comes after all: said, and in the audit log
expect 0 '2 done' t errors force-match "$(sid a missing)" "$(sid r extra)" --reason='the right one' --jobs=slip
slip 5 '' ''
expect 0 '1 task done' t task run --jobs=slip
same 'a match of it' "$(grep -c manual slip/out/S/2026-11-05/match.csv)" 1
slip 6 '' 'u9,a,70.00,SUCCESS\n'
expect 1 '1 record of earlier days is missing or extra again' t task run --jobs=slip
same 'q and r are open' "$(is_open aqr)" 2
t errors show "$(sid r extra)" --jobs=slip >said
grep -q 'is no more' said || { echo "FAILED: the audit log does not say that the pair is no more"; cat said; failures=$((failures + 1)); }
expect 0 'all agree' t verify --jobs=slip
expect 1 '6 tasks done' t task rerun --date=2026-11-01 --cascade --jobs=slip
same 'q and r are open after all' "$(is_open aqr)" 2
expect 0 'all agree' t verify --jobs=slip
# taken back, and the day of its match done again
slip 7 'b,9.00,SUCCESS\n' 'u7,x,9.00,SUCCESS\n'
expect 1 '1 task done' t task run --jobs=slip
expect 0 '2 done' t errors force-match "$(sid b missing)" "$(sid x extra)" --reason='a slip' --jobs=slip
slip 8 '' ''
expect 0 '1 task done' t task run --jobs=slip
expect 0 '1 done' t errors reopen "$(sid b missing)" --jobs=slip
expect 0 'is no more: somebody took it back' t task rerun --date=2026-11-08 --jobs=slip
same 'b and x are open' "$(is_open bx)" 2
expect 0 'all agree' t verify --jobs=slip
# two payments that are equal in all, each paired by hand with another one: what ends one pair leaves the other alone
sed 's/channel_code: H/channel_code: Q/; s/job: H/job: Q/' book/h.yaml >q.yaml
mkdir -p equal/local equal/bill
mv q.yaml equal/q.yaml
equal() { # DAY LOCALROWS BILLROWS
    day "$@"
    mv book/local/H-2026-11-0$1.csv equal/local/Q-2026-11-0$1.csv
    mv book/bill/H-2026-11-0$1.csv equal/bill/Q-2026-11-0$1.csv
    expect 0 'made' t task init --date=2026-11-0$1 --jobs=equal
}
eid() { t errors list --all --format=json --class="$2" --order="$1" --jobs=equal 2>/dev/null | grep '"kind":"verdict"' | sed -n "${3}p" | cut -c8-71; }
sed -i 's#local/H-#local/Q-#; s#bill/H-#bill/Q-#' equal/q.yaml
state_of() { t errors list --all --format=json --jobs=equal 2>/dev/null | grep "^{\"id\":\"$1" | sed 's/.*"node_status":"\([a-z_]*\)","assignee.*/\1/'; }
for first in 1 2; do
    rm -rf equal/state equal/out equal/local/* equal/bill/*
    second=$((3 - first))
    equal 1 'a,70.00,SUCCESS\na,70.00,SUCCESS\n' 'u1,q,70.00,SUCCESS\nu2,r,70.00,SUCCESS\n'
    expect 1 '1 task done' t task run --jobs=equal
    one=$(eid a missing $first) two=$(eid a missing $second)
    expect 0 '2 done' t errors force-match "$one" "$(eid q extra 1)" --reason='one' --jobs=equal
    expect 0 '2 done' t errors force-match "$two" "$(eid r extra 1)" --reason='two' --jobs=equal
    equal 2 '' ''
    expect 0 '1 task done' t task run --jobs=equal
    same 'two matches' "$(grep -c manual equal/out/Q/2026-11-02/match.csv)" 2
    expect 0 'all agree' t verify --jobs=equal
    equal 3 'q,70.00,SUCCESS\n' ''
    expect 1 'is no more: the partner of one of them has come' t task run --jobs=equal
    same "the other pair stands ($first)" "$(state_of "$two")" force_matched
    same "this one's payment is open ($first)" "$(state_of "$one")" open
    expect 0 'lets stand again: missing' t trace a --jobs=equal
    expect 0 'all agree' t verify --jobs=equal
    expect 1 '3 tasks done' t task rerun --date=2026-11-01 --cascade --jobs=equal
    same "the other pair stands after a rerun ($first)" "$(state_of "$two")" force_matched
    same "this one's payment is open after a rerun ($first)" "$(state_of "$one")" open
    same 'and its match' "$(grep -c manual equal/out/Q/2026-11-02/match.csv)" 2
    expect 0 'all agree' t verify --jobs=equal
done
finish "errors that people handle: as they should be"
