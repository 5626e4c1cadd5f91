#!/bin/sh
# tests/book/told.sh TIEOUT: what people are told of a book: no bytes that steer their terminal, alarms again after a retry, all rules of a job,
# an error for each of many equal records, and where their rows are.
set -eu
. "$(dirname -- "$0")/common.sh"

# ---- a row whose number would clear the screen, and a reason and a colleague that would too
mkdir -p esc/local esc/bill
job E 0 >esc/e.yaml
number=$(printf 'a\033[2Jb\302\233c')
printf 'order_no,amount,status\n%s,1.00,SUCCESS\n' "$number" >esc/local/E-2026-11-01.csv
printf 'trade_no,order_no,amount,status\nt1,x,2.00,SUCCESS\n' >esc/bill/E-2026-11-01.csv
expect 0 'made' t task init --date=2026-11-01 --jobs=esc
expect 1 'do not tie out' t task run --jobs=esc
plain() { # TEXT COMMAND...: it says TEXT, and nothing that steers
    words=$1
    shift
    code=0
    "$@" >said 2>&1 || code=$?
    grep -qF -- "$words" said || { fail "$* does not say \"$words\":"; cat -v said; }
    if LC_ALL=C grep -q "$(printf '[\001-\010\013-\037\177]')" said || LC_ALL=C grep -q "$(printf '\302[\200-\237]')" said; then
        fail "$* steers a terminal:"
        cat -v said
    fi
}
plain 'missing' t trace "$number" --jobs=esc
plain 'nothing is known of z?[2J' t trace "$(printf 'z\033[2J')" --jobs=esc
plain 'a?[2Jb?c' t errors list --jobs=esc
id=$(t errors list --class=missing --format=csv --jobs=esc | sed -n '2s/,.*//p')
t errors claim "$id" --reason="$(printf 'mine\033[0m')" --jobs=esc >/dev/null 2>&1 || fail 'claim'
plain 'u001b' t errors show "$id" --jobs=esc
plain 'claim by' t trace "$number" --jobs=esc
plain 'E/-/2026-11-01/1' t task list --jobs=esc
plain 'E' t status --jobs=esc
printf 'id,node_status,action\n%s,claimed,\033[2J\n' "$id" >sheet.csv
plain 'is no action' t errors import sheet.csv --jobs=esc
plain 'a?[2Jb?c' t task rerun --date=2026-11-01 --jobs=esc

# ---- a task that failed, was retried, and failed again: told twice
mkdir -p twice/local twice/bill
job T >twice/t.yaml
printf 'version: 1\nalarms: {sinks: {wall: {webhook: "http://127.0.0.1:9/"}}}\n' >twice/book.yaml
printf 'order_no,amount,status\na,1.00,SUCCESS\n' >twice/local/T-2026-11-01.csv
printf 'trade_no,order_no\nt1,a\n' >twice/bill/T-2026-11-01.csv
expect 0 'made' t task init --date=2026-11-01 --jobs=twice
three() { for try in 1 2 3; do t task run --jobs=twice >said 2>&1 || :; done; }
three
expect 0 'task.failed' t status --jobs=twice
alarms() { sqlite3 twice/state/state.db "SELECT count(*), sum(cleared_at IS NULL) FROM alarm WHERE kind = 'task.failed'"; }
[ "$(alarms)" = '1|1' ] || fail "one failure: alarms $(alarms)"
expect 0 'is due again' t task retry --date=2026-11-01 --jobs=twice
[ "$(alarms)" = '1|0' ] || fail "retried: alarms $(alarms)"
three
[ "$(alarms)" = '2|1' ] || fail "failed again: alarms $(alarms)"

# ---- so many records that are equal in all: each has an error of its own
mkdir -p equal/local equal/bill
job M 0 >equal/m.yaml
many() { # DAY LOCALROWS
    (
        echo order_no,amount,status
        echo "z$1,1.00,SUCCESS"
        i=0
        while [ $i -lt "$2" ]; do
            echo a,1.00,SUCCESS
            i=$((i + 1))
        done
    ) >equal/local/M-2026-11-0$1.csv
    printf 'trade_no,order_no,amount,status\nz%s,z%s,1.00,SUCCESS\n' "$1" "$1" >equal/bill/M-2026-11-0$1.csv
    expect 0 'made' t task init --date=2026-11-0$1 --jobs=equal
}
many 1 300
expect 1 '1 task done' t task run --jobs=equal
expect 0 '300 errors' t errors list --limit=1000 --jobs=equal
# ---- a corrected file has the rows elsewhere: errors and trace of verdicts that stand name where they are
sed -i '1a new,5.00,SUCCESS' equal/local/M-2026-11-01.csv
expect 1 '1 task done' t task rerun --date=2026-11-01 --jobs=equal
expect 0 '301 errors' t errors list --limit=1000 --jobs=equal
places() { t errors list --format=json --limit=1000 --jobs=equal | sed 's/.*"local_place":"[^:]*:\([0-9]*\)@.*/\1/' | sort -n | "$1" -1; }
[ "$(places head)" = 2 ] && [ "$(places tail)" = 303 ] || fail "errors name lines $(places head) to $(places tail), expected 2 to 303"
expect 0 'all agree' t verify --jobs=equal
mkdir -p moved/local moved/bill
job V 0 >moved/v.yaml
printf 'order_no,amount,status\na,1.00,SUCCESS\n' >moved/local/V-2026-11-01.csv
printf 'trade_no,order_no,amount,status\nt1,b,2.00,SUCCESS\n' >moved/bill/V-2026-11-01.csv
expect 0 'made' t task init --date=2026-11-01 --jobs=moved
expect 1 'do not tie out' t task run --jobs=moved
printf 'order_no,amount,status\nb,2.00,SUCCESS\na,1.00,SUCCESS\n' >moved/local/V-2026-11-01.csv
expect 1 'do not tie out' t task rerun --date=2026-11-01 --jobs=moved
expect 0 'local/V-2026-11-01.csv:3@38' t errors show "$(t errors list --format=csv --jobs=moved | sed -n '2s/,.*//p')" --jobs=moved
expect 0 'stands as it was; its rows are elsewhere in the corrected files' t trace a --jobs=moved
grep -q 'V-2026-11-01.csv:3@' said || fail 'trace does not say where the row is'
expect 0 '"what":"moved"' t trace a --format=json --jobs=moved

# ---- the bill of another day came under this one's name, and was taken: the way back is open
mkdir -p swap/local swap/bill
job W >swap/w.yaml
swap() { # DAY NUMBER
    printf 'order_no,amount,status\nw%s,1.00,SUCCESS\n' "$1" >swap/local/W-2026-11-0$1.csv
    printf 'trade_no,order_no,amount,status\nu%s,w%s,1.00,SUCCESS\n' "$2" "$2" >swap/bill/W-2026-11-0$1.csv
    expect 0 'made' t task init --date=2026-11-0$1 --jobs=swap
}
swap 1 2
swap 2 2
expect 3 'the wrong one was taken for the other date' t task run --jobs=swap
expect 3 'not done' t task run --jobs=swap
expect 3 'FAILED' t task run --jobs=swap
expect 0 'when that is mended: tieout task retry W/-/2026-11-02/1' t status --jobs=swap
printf 'trade_no,order_no,amount,status\nu1,w1,1.00,SUCCESS\n' >swap/bill/W-2026-11-01.csv
expect 0 'is a restatement' t task rerun --date=2026-11-01 --jobs=swap
expect 0 'is due again' t task retry --date=2026-11-02 --jobs=swap
expect 0 'everything ties out' t task run --jobs=swap
expect 0 'all agree' t verify --jobs=swap
expect 0 '  none' t status --jobs=swap
# ... and what is put back stands again, so that its bytes are refused elsewhere
swap 3 1
expect 3 'admitted for 2026-11-01' t task run --jobs=swap
cp swap/bill/W-2026-11-02.csv swap/bill/W-2026-11-03.csv
expect 3 'admitted for 2026-11-02' t task run --jobs=swap

# ---- a clock that was ahead, and was set back: nobody waits for the day that it said; one that is ahead makes no year of tasks
mkdir -p clock/local clock/bill
job K >clock/k.yaml
yesterday=$(TZ=Asia/Shanghai date -d yesterday +%Y-%m-%d)
printf 'order_no,amount,status\na,1.00,SUCCESS\n' >clock/local/K-$yesterday.csv
printf 'trade_no,order_no,amount,status\nt1,a,2.00,SUCCESS\n' >clock/bill/K-$yesterday.csv
printf 'version: 1\npush: {sinks: {archive: {file: told.jsonl}}}\n' >clock/book.yaml
expect 0 'made' t task init --date="$yesterday" --jobs=clock
sqlite3 clock/state/state.db "UPDATE task SET next_at = strftime('%s', 'now') + 60; VACUUM" # pages that others change are damage
code=0
t daemon --once --jobs=clock >said 2>&1 || code=$?
[ $code -eq 5 ] || fail "a task that must wait: exit code $code"
sqlite3 clock/state/state.db "UPDATE task SET next_at = strftime('%s', 'now') + 3 * 86400; VACUUM"
expect 1 'bill date' t daemon --once --jobs=clock
[ "$(wc -l <clock/told.jsonl)" = 1 ] || fail 'the sink was told of another number of errors'
t errors resolve --all --reason=done --jobs=clock >/dev/null 2>&1 || fail resolve
printf 'version: 1\npush: {sinks: {archive: {webhook: "http://127.0.0.1:9/"}}}\n' >clock/book.yaml
t push --jobs=clock >/dev/null 2>&1 || :
sqlite3 clock/state/state.db "UPDATE delivery SET next_at = strftime('%s', 'now') + 3 * 86400 WHERE state = 0; UPDATE push_sink SET opened = 0, open_until = 0, stopped = '', failures = 0; VACUUM"
[ "$(sqlite3 clock/state/state.db 'SELECT count(*) FROM delivery WHERE state = 0')" = 1 ] || fail 'nothing waits for the sink'
printf 'version: 1\npush: {sinks: {archive: {file: told.jsonl}}}\n' >clock/book.yaml
expect 0 'pushed 1' t push --jobs=clock
mkdir -p ahead/local ahead/bill
job L >ahead/l.yaml
expect 0 'made' t task init --date=2025-01-01 --jobs=ahead
expect 2 'days would be made at once' t daemon --once --jobs=ahead

# ---- check says what money rules a job has
job R >rules.yaml
sed -i 's/  window: none/  window: none\n  tolerance: {amount: 0.05, budget: 5.00}\n  fees: net\n  splits: true\n  reversals: true/
s/trade_no, amount/trade_no, fee: {column: fee, unit: major}, amount/' rules.yaml
expect 0 'at most 5 of it for a channel, currency and bill date' t check rules.yaml
expect 0 "the local amount is held against the channel's amount plus its fee" t check rules.yaml
expect 0 'whose sums are equal are a match' t check rules.yaml
expect 0 'what one side took back nets out' t check rules.yaml
job P >plain.yaml
t check plain.yaml >said
grep -q 'fees\|splits\|budget' said && fail 'check tells rules that are not there'

finish "what people are told: as it should be"
