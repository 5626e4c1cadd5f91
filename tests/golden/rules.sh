#!/bin/sh
# tests/golden/rules.sh TIEOUT [--update]: each folder of tests/golden/rules/ is a small day for one rule of SPEC.md section 3
# (core/README.md, decisions 26 to 37), worked out by hand. The class files must be those in expected.txt, by every road, and with
# the rows of the inputs the other way round the digest must stay. Prints a line for each; exit 1 when one is wrong.
set -eu
tieout=$1
root=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
wrong=0
update=
# Under a sanitizer a run takes long: every other road there, the other ones with the next day; and what ThreadSanitizer watches wants more
# than one thread.
watched=$(grep -c '__asan_init\|__tsan_init' "$tieout" || true)
threads_watched=$(grep -c __tsan_init "$tieout" || true)
turn=0
[ "${2:-}" = --update ] && update=1

# All that a run wrote and that does not change from run to run, as one text. Files that hold nothing but their header are left out.
show()
{
    for file in match mismatch missing extra suspense duplicate ambiguous excluded reject proposal aggregate; do
        [ -f "$1/$file.csv" ] && [ "$(wc -l <"$1/$file.csv")" -gt 1 ] || continue
        echo "== $file.csv"
        cat "$1/$file.csv"
    done
    echo "== summary.json"
    grep -v '"digest"' "$1/summary.json"
}

digest_of()
{
    sed -n 's/.*"digest": "\(.*\)".*/\1/p' "$1/summary.json"
}

run()
{
    rm -rf "$work/out"
    code=0
    "$tieout" run "$1" --date=2026-11-19 "--out=$work/out" --write-match "--threads=$2" $3 2>"$work/stderr" || code=$?
    out=$(echo "$work"/out/*/2026-11-19)
    if [ ! -f "$out/summary.json" ]; then
        cat "$work/stderr"
        return 1
    fi
    return 0
}

for day in "$root"/rules/*/; do
    name=$(basename "$day")
    digest= turn=$((turn + 1))
    for road in "1" "3" "1 --chunk=4KiB" "2 --index-memory=64KiB" "3 --shards=7 --batch=600" "2 --io=posix"; do
        # shellcheck disable=SC2086 # one word per option
        set -- $road
        threads=$1
        shift
        [ "$threads_watched" -eq 0 ] || [ "$threads" -gt 1 ] || continue
        turn=$((turn + 1))
        [ "$watched" -eq 0 ] || [ $((turn % 2)) -eq 0 ] || continue
        if ! run "$day/job.yaml" "$threads" "$*"; then
            echo "WRONG $name $road: exit $code"
            wrong=1
            break
        fi
        show "$out" >"$work/shown"
        [ "${update:-}" ] && cp "$work/shown" "$day/expected.txt"
        if ! diff -u "$day/expected.txt" "$work/shown" >"$work/diff"; then
            echo "WRONG $name $road"
            cat "$work/diff"
            wrong=1
            break
        fi
        digest=${digest:-$(digest_of "$out")}
        if [ "$(digest_of "$out")" != "$digest" ]; then
            echo "WRONG $name $road: the digest is another"
            wrong=1
        fi
    done
    # Without match.csv the exact pairs never come back: the sums must not change.
    "$tieout" run "$day/job.yaml" --date=2026-11-19 "--out=$work/lean" --threads=2 2>/dev/null || true
    grep -v '"digest"' "$work"/lean/*/2026-11-19/summary.json >"$work/lean.json"
    sed '1,/^== summary.json$/d' "$work/shown" >"$work/whole.json"
    if ! cmp -s "$work/lean.json" "$work/whole.json"; then
        echo "WRONG $name: another summary without match.csv"
        diff "$work/whole.json" "$work/lean.json" || true
        wrong=1
    fi
    rm -rf "$work/lean"
    # The other way round: places change, nothing else.
    rm -rf "$work/turned"
    cp -r "$day" "$work/turned"
    for file in "$work/turned"/local*.csv "$work/turned"/channel*.csv; do
        head -1 "$file" >"$work/turned.csv"
        tail -n +2 "$file" | sort -r >>"$work/turned.csv"
        mv "$work/turned.csv" "$file"
    done
    if ! run "$work/turned/job.yaml" 2 "" || [ "$(digest_of "$out")" != "$digest" ]; then
        echo "WRONG $name: another digest with the rows in another order"
        wrong=1
    else
        echo "ok $name"
    fi
done

# A quick check: what is counted without an index is what a whole run counts, and a log is no side for it.
code=0
"$tieout" run "$root/rules/12-aggregate/job.yaml" --date=2026-11-19 --aggregate-only --threads=3 "--out=$work/none" >"$work/counted" 2>"$work/stderr" || code=$?
sed '1,/^== aggregate.csv$/d; /^== summary.json$/,$d' "$root/rules/12-aggregate/expected.txt" >"$work/whole"
if [ $code -ne 1 ] || ! cmp -s "$work/counted" "$work/whole" || [ -e "$work/none" ] ||
    ! grep -q '^2026-11-19 CNY IN: local 6 rows, 240.00; channel 5 rows, 160.00$' "$work/stderr"; then
    echo "WRONG --aggregate-only: exit $code"
    cat "$work/stderr"
    diff "$work/whole" "$work/counted" || true
    wrong=1
fi
code=0
"$tieout" run "$root/../../fixtures/days/01-stripe-day/job.yaml" --date=2026-11-19 --aggregate-only "--out=$work/none" >/dev/null 2>&1 || code=$?
if [ $code -ne 2 ]; then
    echo "WRONG --aggregate-only of a log: exit $code"
    wrong=1
fi

# A log against a bill: that the channel says its amounts net, with the fee beside them, changes no class.
stripe=$root/../../fixtures/days/01-stripe-day
for kind in gross net; do
    mkdir -p "$work/$kind"
    ln -sf "$stripe/binlog" "$work/$kind/"
    grep -vF '$1,234.50' "$stripe/bill_2026-11-19.csv" >"$work/$kind/bill_2026-11-19.csv" # only its gross is no amount
    sed 's/compare: .*/compare: [amount, status]/' "$stripe/job.yaml" >"$work/$kind/job.yaml"
done
sed -i 's/amount: gross /amount: net /; s/^  compare:.*/&\n  fees: net/; /^    fee: fee$/{x;s/^/x/;/^x$/{x;d};x}' "$work/net/job.yaml"
for road in "--threads=1" "--threads=3 --write-match" "--threads=2 --index-memory=64KiB" "--threads=1 --chunk=4KiB --write-match"; do
    for kind in gross net; do
        rm -rf "$work/out"
        # shellcheck disable=SC2086 # one word per option
        "$tieout" run "$work/$kind/job.yaml" --date=2026-11-19 "--out=$work/out" $road 2>"$work/stderr" || [ $? -eq 1 ] || cat "$work/stderr"
        sed -n '/"classes"/,/"bridge"/p' "$work/out/stripe/2026-11-19/summary.json" | grep '"count"' >"$work/$kind.counts" || true
    done
    if [ ! -s "$work/gross.counts" ] || ! cmp -s "$work/gross.counts" "$work/net.counts"; then
        echo "WRONG log against net bill, $road"
        wrong=1
        diff "$work/gross.counts" "$work/net.counts" || true
    fi
done
exit $wrong
