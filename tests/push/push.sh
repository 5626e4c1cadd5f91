#!/bin/sh
# tests/push/push.sh TIEOUT MAKE_BOOK [KAFKA_MOCK]: tieout push and tieout errors, against servers that fail in every way they know.
#
# What must hold whatever happens: each error reaches each sink, under one id and no other; those of a key in order; a sink that is
# down or dead costs the others nothing; what was acked is not sent again; a kill at any step loses nothing.
set -eu
tieout=$1 make_book=$2 kafka_mock=${3:-none}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
work=$(mktemp -d)
# shellcheck source=tests/support/processes.sh
. "$here/../support/processes.sh"
# shellcheck source=tests/fetch/servers.sh
. "$here/../fetch/servers.sh"
# Only what this test started is stopped.
trap 'stop_all; release_ports; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
failed=0
HOOK_SECRET=hook-secret
export HOOK_SECRET

wrong()
{
    echo "push.sh: $*" >&2
    failed=1
}

# book NAME: a folder with a book.yaml from stdin.
book()
{
    mkdir -p "$work/$1"
    cat >"$work/$1/book.yaml"
    dir=$work/$1
}

# start_peer KIND LOG [PORT]: a server; its port in $peer_port.
start_peer()
{
    rm -f "$work/port"
    mkfifo "$work/port"
    PEER_PORT=${3:-0} python3 "$here/peers.py" "$1" "$2" >"$work/port" 2>"$work/peer.log" &
    peer_pid=$!
    pids="$pids $peer_pid"
    read -r peer_port <"$work/port"
    : >>"$2"
}

stop_peer()
{
    kill "$peer_pid" 2>/dev/null || true
    wait "$peer_pid" 2>/dev/null || true
    forget "$peer_pid"
}

# push EXIT [OPTIONS]: in $dir.
push()
{
    want=$1
    shift
    got=0
    "$tieout" push "--jobs=$dir" "$@" >"$work/out" 2>"$work/err" || got=$?
    [ "$got" -eq "$want" ] || wrong "$dir: push $*: exit $got, expected $want: $(cat "$work/err")"
}

ids_of() { cut -f2 "$1" | sort; }
all_ids() { sqlite3 "$dir/state/state.db" "SELECT id FROM error_order WHERE visible = 2 ORDER BY id"; }
same_ids()
{
    all_ids >"$work/want_ids"
    sort -u "$1" >"$work/got_ids"
    cmp -s "$work/want_ids" "$work/got_ids" || wrong "$2: the ids that came are not those of the errors"
}
# `timeout -s KILL` ends with what it kills: that one may have the lock for a moment longer.
until_dead() { flock -w 300 "$dir/state/push.lock" true; }
lines() { wc -l <"$1" | tr -d ' '; }

# ---- one sink is down: the other has all, and is not sent again what it has ----
hold_ports 1
port=$ports
: >"$work/desk.log"
book down <<END
version: 1
push:
  sinks:
    archive: {file: pushed.jsonl}
    desk: {webhook: "http://127.0.0.1:$port/signed", secret: env:HOOK_SECRET, retry: {first: 1s, max: 1s}, breaker: {after: 3, pause: 1s}}
END
"$make_book" "$dir/state" 60 >/dev/null
push 5 --deadline=0
grep -q 'desk: takes nothing' "$work/err" || wrong "nobody says that the sink is down: $(cat "$work/err")"
[ "$(lines "$dir/pushed.jsonl")" -eq 60 ] || wrong "the sink that was there has $(lines "$dir/pushed.jsonl") of 60"
sqlite3 "$dir/state/state.db" "SELECT kind FROM alarm WHERE cleared_at IS NULL" | grep -q push.down || wrong "no alarm of the sink that is down"
start_peer http "$work/desk.log" "$port"
push 0 --deadline=300
[ "$(lines "$dir/pushed.jsonl")" -eq 60 ] || wrong "what the archive had was sent again"
ids_of "$work/desk.log" >"$work/got"
[ "$(lines "$work/got")" -eq 60 ] || wrong "the desk got $(lines "$work/got") messages for 60 errors"
same_ids "$work/got" down
[ -z "$(sqlite3 "$dir/state/state.db" "SELECT 1 FROM alarm WHERE cleared_at IS NULL")" ] || wrong "the alarm stands although the sink is back"
push 0
[ "$(lines "$work/desk.log")" -eq 60 ] || wrong "a push with nothing to do sent something"
# Nothing secret anywhere.
if grep -rq hook-secret "$dir" "$work/err" "$work/out"; then wrong "the secret is in a file"; fi

# ---- a task done again, records that changed: the same ids stay, each key in order ----
"$make_book" "$dir/state" 60 >/dev/null
push 0
[ "$(lines "$work/desk.log")" -eq 60 ] || wrong "the same task again made new errors"
: >"$work/desk.log"
sed -i 's|/signed|/droponce|' "$dir/book.yaml"
"$make_book" "$dir/state" 10 2026-11-20 --late=20 >/dev/null
push 0 --deadline=300
same_ids_count=$(ids_of "$work/desk.log" | sort -u | wc -l)
[ "$same_ids_count" -eq 50 ] || wrong "a restatement of 20 and 10 new ones are $same_ids_count messages, expected 50"
# By key: the end of the old error comes before the new one, also where the first try was lost.
python3 - "$work/desk.log" <<'END' || wrong "a newer revision overtook an older one"
import json, sys
first = {}
for n, line in enumerate(open(sys.argv[1])):
    order = json.loads(line.split("\t")[2])
    first.setdefault((order["biz_order_no"], order["kind"], order["class"]), n)
late = [key for key in first if key[1] == "reversal"]
assert len(late) == 20, len(late)
for number, _, _ in late:
    end = max(n for key, n in first.items() if key[0] == number and key[1] == "reversal")
    new = min(n for key, n in first.items() if key[0] == number and key[1] == "verdict")
    assert end < new, number
END
stop_peer

# ---- a corrected amount makes another record of the same order number: its message waits for the end of the old one ----
start_peer http "$work/order.log"
book order <<END
version: 1
push: {sinks: {desk: {webhook: "http://127.0.0.1:$peer_port/noend", retry: {first: 8h, max: 8h}, breaker: {after: 1000}}}}
END
cat >"$dir/o.yaml" <<'END'
version: 1
job: o
channel_code: O
timezone: Asia/Shanghai
currency: CNY
local: {files: "local-{date}.csv", occurrence_id: id, fields: {biz_order_no: k, amount: amount}}
channel: {files: "bill-{date}.csv", occurrence_id: id, fields: {biz_order_no: k, amount: amount}}
match: {keys: [[channel_code, biz_order_no]], compare: [amount], window: none}
suspense: {threshold: {local: 0, channel: 0}}
output: {dir: out}
END
# bill PRICE: the same twelve orders, none of which is ours.
bill()
{
    printf 'id,k,amount\nL0,K0,1.00\n' >"$dir/local-2026-11-19.csv"
    {
        printf 'id,k,amount\nC0,K0,1.00\n'
        for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo "C$i,K$i,$1.$((10 + i))"; done
    } >"$dir/bill-2026-11-19.csv"
}
bill 22
"$tieout" task init --date=2026-11-19 "--jobs=$dir" >/dev/null 2>"$work/err" || wrong "task init: $(cat "$work/err")"
"$tieout" task run "--jobs=$dir" >/dev/null 2>"$work/err" || [ $? -eq 1 ] || wrong "task run: $(cat "$work/err")"
push 0 --deadline=300
bill 23
"$tieout" task rerun --date=2026-11-19 "--jobs=$dir" >/dev/null 2>"$work/err" || [ $? -eq 1 ] || wrong "task rerun: $(cat "$work/err")"
push 5 --deadline=0
id=$(sqlite3 "$dir/state/state.db" "SELECT max(id) FROM error_order WHERE kind = 'verdict' AND revision = 2")
"$tieout" errors show "$id" "--jobs=$dir" | grep -q 'waits behind an earlier one of its order' || wrong "nobody says what a message waits for: $("$tieout" errors show "$id" "--jobs=$dir")"
: >"$work/order.log.open"
# What waits for hours where hours are never waited for is due: a push ends behind its first try, and the next begins with a second one.
sed -i 's/8h/1s/g' "$dir/book.yaml"
push 0 --deadline=300
python3 - "$work/order.log" <<'END' || wrong "messages of an order number are out of their order"
import json, sys
came = {}
for line in open(sys.argv[1]):
    order = json.loads(line.split("\t")[2])
    came.setdefault(order["biz_order_no"], []).append((order["kind"], order["channel_amount"][:2]))
assert len(came) == 12 and all(c == [("verdict", "22"), ("reversal", "22"), ("verdict", "23")] for c in came.values()), came
END
stop_peer

# ---- refused for good: a dead letter, the exit code tells, the others go on ----
start_peer http "$work/poison.log"
book dead <<END
version: 1
push: {sinks: {desk: {webhook: "http://127.0.0.1:$peer_port/status/422"}, archive: {file: all.csv, format: csv}}}
END
"$make_book" "$dir/state" 5 >/dev/null
push 1
[ "$(lines "$dir/state/dead/desk.jsonl")" -eq 5 ] || wrong "not every dead letter is in the file"
python3 -c 'import json, sys
for line in open(sys.argv[1]):
    letter = json.loads(line)
    assert letter["sink"] == "desk" and "422" in letter["why"] and len(letter["message"]["id"]) == 64' "$dir/state/dead/desk.jsonl" ||
    wrong "dead letters do not say what they are"
[ "$(lines "$dir/all.csv")" -eq 6 ] || wrong "the other sink did not go on"
sed -i 's|/status/422|/ok|' "$dir/book.yaml"
push 1
push 0 --dead
ids_of "$work/poison.log" >"$work/got"
same_ids "$work/got" dead
[ "$(lines "$work/got")" -eq 5 ] || wrong "dead letters sent again: $(lines "$work/got")"
# ---- rights, a redirect, an unknown path: nothing more goes there, the messages wait ----
for path in status/401 elsewhere status/404; do
    "$make_book" "$dir/state" 3 "2026-12-0$(echo $path | wc -c | cut -c1)" >/dev/null
    sed -i "s|127.0.0.1:$peer_port/[a-z/0-9]*|127.0.0.1:$peer_port/$path|" "$dir/book.yaml"
    push 5
    grep -q 'desk: stopped' "$work/err" || wrong "$path: nobody says that the sink is stopped"
done
sqlite3 "$dir/state/state.db" "SELECT count(*) FROM delivery WHERE state = 2" | grep -qx 0 || wrong "a stopped sink made dead letters"
sed -i "s|127.0.0.1:$peer_port/[a-z/0-9]*|127.0.0.1:$peer_port/busyonce|" "$dir/book.yaml"
push 0
ids_of "$work/poison.log" >"$work/got"
same_ids "$work/got" stopped
stop_peer

# ---- a certificate of somebody else: nothing goes out ----
make_certificates
rm -f "$work/port"
mkfifo "$work/port"
python3 "$here/peers.py" http "$work/tls_peer.log" "$work/tls/good.pem" "$work/tls/good.key" >"$work/port" 2>/dev/null &
peer_pid=$!
pids="$pids $peer_pid"
read -r peer_port <"$work/port"
: >>"$work/tls_peer.log"
book tls <<END
version: 1
push: {sinks: {desk: {webhook: "https://127.0.0.1:$peer_port/signed", secret: env:HOOK_SECRET, ca: "$work/tls/self.pem"}}}
END
"$make_book" "$dir/state" 2 >/dev/null
push 5
[ "$(lines "$work/tls_peer.log")" -eq 0 ] || wrong "errors went to a server that nobody vouches for"
sed -i "s|self.pem|ca.pem|" "$dir/book.yaml"
push 0
[ "$(lines "$work/tls_peer.log")" -eq 2 ] || wrong "a good certificate was refused"
stop_peer

# ---- a rate is kept, memory is flat, and it goes on where it stopped ----
start_peer http "$work/slow.log"
book rate <<END
version: 1
push: {sinks: {desk: {webhook: "http://127.0.0.1:$peer_port/ok", rate: 50}}}
END
"$make_book" "$dir/state" 4000 >/dev/null
# 100 errors and what may be sent at once take a second and more, however slow the machine is.
began=$(date +%s%N)
"$tieout" push "--jobs=$dir" 2>"$work/err" &
first=$!
until [ "$(lines "$work/slow.log")" -ge 130 ] || has_ended $first; do sleep 0.02; done
came=$(lines "$work/slow.log")
took=$((($(date +%s%N) - began) / 1000000))
got=0
kill -TERM $first
wait $first || got=$?
[ "$got" -eq 130 ] || wrong "a push that was told to stop: exit $got: $(cat "$work/err")"
[ "$came" -ge 130 ] && [ "$came" -le $((50 * took / 1000 + 60)) ] || wrong "50 a second for $took ms are $came"
sed -i 's/, rate: 50//' "$dir/book.yaml"
push 0
ids_of "$work/slow.log" >"$work/got"
same_ids "$work/got" rate
[ "$(lines "$work/got")" -le 4064 ] || wrong "$(lines "$work/got") messages for 4000 errors"
# Two at once: one works, the other says so.
book two <<END
version: 1
push: {sinks: {desk: {webhook: "http://127.0.0.1:$peer_port/gate", timeout: 600s}}}
END
"$make_book" "$dir/state" 1 >/dev/null
"$tieout" push "--jobs=$dir" 2>/dev/null &
first=$!
until [ -e "$work/slow.log.came" ] || has_ended $first; do sleep 0.02; done
push 6
: >"$work/slow.log.open"
wait $first || wrong "the first of two pushes failed"
stop_peer

# ---- killed at every write: nothing lost, nothing under two ids, no half lines ----
start_peer http "$work/kill.log"
book kill <<END
version: 1
push:
  sinks:
    desk: {webhook: "http://127.0.0.1:$peer_port/ok", batch: 4}
    archive: {file: pushed.jsonl, batch: 3}
END
"$make_book" "$dir/state" 24 >/dev/null
if strace -o /dev/null true 2>/dev/null; then
    for call in pwrite64 fdatasync fsync sendto; do
        n=1
        while [ $n -le 40 ]; do
            strace -f -o /dev/null -e trace=$call -e inject=$call:signal=KILL:when=$n "$tieout" push "--jobs=$dir" >/dev/null 2>&1 || true
            n=$((n * 2))
        done
        "$make_book" "$dir/state" 24 "2026-12-1$n" >/dev/null 2>&1 || "$make_book" "$dir/state" 24 2026-12-11 >/dev/null
    done
else
    echo "strace cannot trace here: killed by the clock instead"
    for t in 0.01 0.02 0.03 0.05 0.08; do timeout -s KILL $t "$tieout" push "--jobs=$dir" >/dev/null 2>&1 || true; done
    until_dead
fi
push 0
ids_of "$work/kill.log" >"$work/got"
same_ids "$work/got" "killed, webhook"
sed 's/^{"id":"\([0-9a-f]*\)".*}$/\1/' "$dir/pushed.jsonl" | sort >"$work/got"
same_ids "$work/got" "killed, file"
stop_peer

# ---- Kafka, by its mock cluster, and killed on the way ----
if [ "$kafka_mock" != none ]; then
    mkfifo "$work/brokers" "$work/hold"
    "$kafka_mock" <"$work/hold" >"$work/brokers" 2>/dev/null &
    pids="$pids $!"
    exec 8>"$work/hold"
    read -r brokers <"$work/brokers"
    book kafka <<END
version: 1
push: {sinks: {bus: {kafka: "$brokers", topic: errors, batch: 20}, archive: {file: pushed.jsonl}}}
END
    "$make_book" "$dir/state" 200 >/dev/null
    for t in 0.05 0.1 0.2; do timeout -s KILL $t "$tieout" push "--jobs=$dir" >/dev/null 2>&1 || true; done
    until_dead
    push 0
    [ "$(sqlite3 "$dir/state/state.db" "SELECT count(*) FROM delivery WHERE sink = 'bus' AND state = 1")" -eq 200 ] || wrong "not all are acked by Kafka"
    exec 8>&-
fi

# ---- the nth call fails (builds with the switches): told, and the next push brings what is left ----
if TIEOUT_COUNT_CALLS=1 "$tieout" --version 2>&1 | grep -q calls; then
    start_peer nsq "$work/nth.log"
    for kind in MEM IO; do
        book "nth$kind" <<END
version: 1
push: {sinks: {queue: {nsq: "127.0.0.1:$peer_port", topic: nth, batch: 3, retry: {first: 1s, max: 1s}}, archive: {file: pushed.jsonl}}}
END
        "$make_book" "$dir/state" 6 >/dev/null
        n=1
        while [ $n -lt 60 ]; do
            got=0
            env "TIEOUT_FAIL_$kind=$n" "$tieout" push "--jobs=$dir" --deadline=0 >/dev/null 2>"$work/err" || got=$?
            case $got in
            0 | 4 | 5 | 6) ;;
            *) wrong "the ${n}th call ($kind) fails: exit $got: $(cat "$work/err")" ;;
            esac
            n=$((n + 2 + n / 8))
        done
        push 0
        sed 's/^{"id":"\([0-9a-f]*\)".*}$/\1/' "$dir/pushed.jsonl" | sort >"$work/got"
        same_ids "$work/got" "nth $kind"
    done
    stop_peer
fi

# ---- alarms: one message a kind, a storm as one, not told twice ----
start_peer http "$work/alarm.log"
LARK_URL=http://127.0.0.1:$peer_port/lark
export LARK_URL
book alarm <<END
version: 1
alarms:
  storm: 3
  sinks: {oncall: {lark: env:LARK_URL, secret: env:HOOK_SECRET, grade: warning}}
END
"$make_book" "$dir/state" 1 >/dev/null
# Written anew, since pages that others change are damage (io/store/page_sum.h).
raise() { sqlite3 "$dir/state/state.db" "INSERT INTO alarm (kind, subject, grade, text, count, first_at, last_at) VALUES ('$1', '$2', $3, '$4', 1, 1, 1); VACUUM"; }
raise task.failed ALIPAY/pay 2 'the disk is full'
raise book.note x 0 'only a note'
for i in 1 2 3 4 5 6 7 8 9; do raise bill.missing "channel-$i" 1 'no bill'; done
push 0
[ "$(lines "$work/alarm.log")" -ge 2 ] || wrong "alarms were not told"
grep -c '^took' "$work/alarm.log" | grep -qx 2 || wrong "two kinds of alarms are $(grep -c '^took' "$work/alarm.log") messages"
grep -q 'critical.*the disk is full' "$work/alarm.log" || wrong "an alarm does not say what is wrong"
grep -q 'bill.missing: 9' "$work/alarm.log" || wrong "a storm was not told as one"
if grep -q 'only a note' "$work/alarm.log"; then wrong "a note went to somebody who wants warnings"; fi
push 0
grep -c '^took' "$work/alarm.log" | grep -qx 2 || wrong "alarms were told twice"
stop_peer

# ... and by a webhook, under an id of its own for each telling, which stays while that is tried again
ids() { sed -n 's/^took.\([0-9a-f]\{64\}\).*/\1/p' "$1"; }
start_peer http "$work/telling.log"
telling() # PATH: where alarms go
{
    printf 'version: 1\nalarms: {sinks: {oncall: {webhook: "http://127.0.0.1:%s/%s"}}}\n' "$peer_port" "$1" >"$work/telling/book.yaml"
}
book telling </dev/null
telling drop
"$make_book" "$dir/state" 1 >/dev/null
raise task.failed ALIPAY/pay 2 'the disk is full'
push 5
push 5
[ "$(ids "$work/telling.log" | wc -l)" -ge 2 ] || wrong "a telling whose answer is lost was not tried again: $(cat "$work/telling.log")"
[ "$(ids "$work/telling.log" | sort -u | wc -l)" -eq 1 ] || wrong "a telling that is tried again has another id: $(ids "$work/telling.log")"
telling ok
push 0
[ "$(ids "$work/telling.log" | sort -u | wc -l)" -eq 1 ] || wrong "the try that was answered has another id"
raise task.failed ALIPAY/refund 2 'the disk is full'
raise bill.missing WX 1 'no bill'
push 0
[ "$(ids "$work/telling.log" | sort -u | wc -l)" -eq 3 ] || wrong "three tellings have $(ids "$work/telling.log" | sort -u | wc -l) ids"
stop_peer

# ---- by hand: a sheet goes out, is filled in, comes back; what moved meanwhile is told row by row ----
book hand <<END
version: 1
END
"$make_book" "$dir/state" 12 >/dev/null
"$tieout" errors list "--jobs=$dir" --format=csv >"$work/sheet.csv" 2>/dev/null
[ "$(lines "$work/sheet.csv")" -eq 13 ] || wrong "the sheet has $(lines "$work/sheet.csv") lines"
python3 - "$work/sheet.csv" "$work/filled.csv" <<'END'
import csv, sys
rows = list(csv.DictReader(open(sys.argv[1], newline="", encoding="utf-8")))
rows[0]["action"], rows[0]["reason"] = "resolve", "refunded; \"ticket\" 4711,\nsecond line"
rows[1]["action"], rows[1]["reason"] = "void", "=HYPERLINK(\"http://x\")"
rows[3]["action"], rows[3]["reason"] = "resolve", "taken by somebody else meanwhile"
rows[4]["action"] = "claim"
rows[6]["action"] = "void"
rows[7]["action"], rows[7]["reason"] = "burn", "no such action"
missing = next(r for r in rows[9:] if r["class"] == "missing")
extra = next(r for r in rows if r["amount"] == missing["amount"] and r["class"] == "extra" and not r["action"])
missing["action"], missing["reason"], missing["partner"] = "force-match", "one payment, two numbers", extra["id"]
with open(sys.argv[2], "w", newline="", encoding="utf-8-sig") as out:
    writer = csv.DictWriter(out, rows[0].keys(), delimiter=";")
    writer.writeheader()
    writer.writerows(rows)
END
id3=$(sed -n 5p "$work/sheet.csv" | cut -c1-64)
"$tieout" errors claim "$id3" "--jobs=$dir" --actor=bob 2>/dev/null
got=0
"$tieout" errors import "$work/filled.csv" "--jobs=$dir" --actor=ann 2>"$work/err" || got=$?
[ "$got" -eq 1 ] || wrong "a sheet with conflicts: exit $got"
grep -q 'line 6: .*claimed by bob meanwhile' "$work/err" || wrong "the conflict is not told by its line: $(cat "$work/err")"
grep -q 'line 9: .*needs a reason' "$work/err" && grep -q '"burn" is no action' "$work/err" || wrong "rows that are wrong are not told: $(cat "$work/err")"
grep -q '^4 done, 0 were so already, 3 not' "$work/err" || wrong "the sheet: $(tail -n 1 "$work/err")"
[ "$(sqlite3 "$dir/state/state.db" "SELECT count(*) FROM error_order WHERE node_status = 'force_matched'")" -eq 2 ] || wrong "force-match by sheet"
"$tieout" errors list "--jobs=$dir" --all --format=csv 2>/dev/null | grep -q ',void,' || wrong "the list has no void one"
"$tieout" errors show "$(sed -n 2p "$work/sheet.csv" | cut -c1-12)" "--jobs=$dir" | grep -q 'ann resolve (open > resolved)' || wrong "the audit log does not show who did it"
# The same sheet again: everything was so already, or has moved.
"$tieout" errors import "$work/filled.csv" "--jobs=$dir" --actor=ann 2>"$work/err" && wrong "a stale sheet went through"
grep -q '^0 done' "$work/err" || wrong "a sheet was done twice: $(tail -n 1 "$work/err")"
# By query; the task again: what hands did stays.
"$tieout" errors void --class=extra --reason='test data' "--jobs=$dir" 2>/dev/null
before=$(sqlite3 "$dir/state/state.db" "SELECT node_status, count(*) FROM error_order GROUP BY 1")
"$make_book" "$dir/state" 12 >/dev/null
[ "$before" = "$(sqlite3 "$dir/state/state.db" "SELECT node_status, count(*) FROM error_order GROUP BY 1")" ] || wrong "a rerun undid what hands did"
for words in "resolve" "resolve 0123" "void --class=extra" "force-match 00000000" "lst" "import" "show"; do
    got=0
    # shellcheck disable=SC2086 # words on purpose
    "$tieout" errors $words "--jobs=$dir" >/dev/null 2>"$work/err" || got=$?
    [ "$got" -eq 2 ] || wrong "errors $words: exit $got: $(cat "$work/err")"
done
rm -rf "$work/none"
mkdir "$work/none"
dir=$work/none
push 6

# ---- a whole day: from two files by a task to those who mend it ----
mkdir -p "$work/day/bills"
"$tieout" gen --rows=2000 --seed=3 --missing=7 --extra=5 --amount-breaks=9 "--out=$work/day/bills" 2>/dev/null
day=$(tail -n 1 "$work/day/bills/local.csv" | grep -o '2[0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]' | head -n 1)
cat >"$work/day/shop.yaml" <<END
version: 1
job: shop
channel_code: ALIPAY
biz_type: pay
timezone: Asia/Shanghai
currency: CNY
local: {files: bills/local.csv, format: csv, fields: {biz_order_no: biz_order_no, amount: {column: amount, unit: major}, status: status}}
channel: {files: bills/channel.csv, format: csv, fields: {biz_order_no: biz_order_no, amount: {column: amount, unit: major}, status: status}}
match: {keys: [[biz_order_no]], compare: [amount]}
suspense: {threshold: {local: 0, channel: 0}}
output: {dir: out}
END
book day <<END
version: 1
push: {sinks: {archive: {file: pushed.jsonl}}}
END
"$tieout" task init "--date=$day" "--jobs=$dir" >/dev/null 2>"$work/err" || wrong "task init: $(cat "$work/err")"
got=0
"$tieout" task run "--jobs=$dir" >/dev/null 2>"$work/err" || got=$?
[ "$got" -eq 1 ] || wrong "task run: exit $got: $(cat "$work/err")"
push 0
python3 - "$dir" <<'END' || wrong "the errors that were pushed are not those of the day's outputs"
import csv, glob, json, sys
pushed = [json.loads(line) for line in open(sys.argv[1] + "/pushed.jsonl")]
out = glob.glob(sys.argv[1] + "/out/*/*/")[0]
for name in ("mismatch", "missing", "extra", "ambiguous"):
    want = sorted(row["biz_order_no"] for row in csv.DictReader(open(out + name + ".csv", newline="")))
    got = sorted(order["biz_order_no"] for order in pushed if order["class"] == name)
    assert want == got, (name, len(want), len(got))
assert len(pushed) > 15, len(pushed)
END
"$tieout" status "--jobs=$dir" | grep -q 'archive *takes what comes; 0 wait' || wrong "status does not tell of the sink"

[ $failed -eq 0 ] && echo "pushed, killed, refused, claimed: all as it should be"
exit $failed
