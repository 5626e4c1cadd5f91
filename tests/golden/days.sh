#!/bin/sh
# tests/golden/days.sh TIEOUT TIEOUT_AGREE: days whose answer is known come out as they must: every day of fixtures/days/, and
# generated days with every fault in both orders. Prints a line for each; exit 1 when one is wrong.
set -eu
tieout=$1
agree=$2
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
wrong=0
large=150000
! grep -q '__asan_init\|__tsan_init' "$tieout" || large=40000

# Runs a command that has to exit 1 (there are differences) and holds its summary against the answer.
expect_answer()
{
    what=$1 answer=$2 summary=$3
    shift 3
    code=0
    "$@" >"$work/stdout" 2>"$work/stderr" || code=$?
    if [ "$code" -eq 1 ] && "$agree" "$answer" "$summary" >"$work/differences"; then
        echo "ok $what"
        return
    fi
    echo "WRONG $what: exit $code: $*"
    if [ "$code" -eq 1 ]; then
        cat "$work/differences"
    else
        cat "$work/stderr"
    fi
    wrong=1
}

for day in "$root"/fixtures/days/*/; do
    name=$(basename "$day")
    [ -f "$day/job.yaml" ] || continue # a day of several jobs has a test of its own: channels.sh
    job=$(sed -n 's/^ *"job": "\(.*\)",$/\1/p' "$day/expected.json")
    date=$(sed -n 's/^ *"bill_date": "\(.*\)",$/\1/p' "$day/expected.json")
    # A chunk holds whole logs here, or a part of a transaction there.
    for road in "--threads=1" "--threads=3" "--threads=1 --chunk=4KiB" "--threads=2 --chunk=64KiB" "--chunk=1MiB --io=posix" "--index-memory=64KiB"; do
        rm -rf "$work/run"
        # shellcheck disable=SC2086 # one word per option
        expect_answer "$name $road" "$day/expected.json" "$work/run/$job/$date/summary.json" \
            "$tieout" run "$day/job.yaml" "--date=$date" "--out=$work/run" $road
    done
done

# Rows that cannot be read: half of 9 on each side, rounded up on the local one.
faults="--currency-breaks=21 --direction-breaks=17 --local-doubles=13 --ambiguous=19 --conflicts=11 --excluded=0.5% --day-cut=23 --rejects=9"
for order in time shuffled; do
    for rows in 500 20000 $large; do
        out=$work/gen
        rm -rf "$out"
        # shellcheck disable=SC2086 # one word per option
        "$tieout" gen "--rows=$rows" "--seed=$rows" "--order=$order" $faults "--out=$out" 2>/dev/null
        expect_answer "gen rows=$rows order=$order" "$out/truth.json" "$out/out/summary.json" \
            "$tieout" diff "$out/local.csv" "$out/channel.csv" --key=channel_code,biz_order_no --amount=amount \
            --compare=status --max-rejects=5 "--out=$out/out"
    done
done
exit $wrong
