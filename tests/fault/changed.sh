#!/bin/sh
# tests/fault/changed.sh TIEOUT: a file that is written to while the program is stopped in one of its I/O calls, and whose mtime is then set
# back. TIEOUT is built with TIEOUT_FAULTS.
#
# At every third call. What comes of it is told of the file as it was, or as it is, or nothing at all, with file.changed and exit code 3.
set -eu
tieout=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work"
digest() { sed -n 's/.*"digest": *"\([^"]*\)".*/\1/p' "$1/summary.json" 2>/dev/null || true; }
has_ended() { [ ! -e "/proc/$1/stat" ] || grep -q '^[0-9]* ([^)]*) Z' "/proc/$1/stat" 2>/dev/null; }
is_stopped() { grep -q '^[0-9]* ([^)]*) T' "/proc/$1/stat" 2>/dev/null; }

# Without an order number's usual form, so that match.csv reads all rows again. As long, with other amounts in the second half of it.
awk 'BEGIN { print "k,a"; for (i = 1; i <= 400; i++) printf "K-%04d,%d.25\n", i * 7 % 401, 100 + i % 800 }' >channel.csv
{ echo k,a && sed 1d channel.csv | LC_ALL=C sort -t, -k2; } >were.csv
sed '200,$s/\.25/.37/' were.csv >other.csv
set -- diff local.csv channel.csv --key=k --amount=a --write-match --threads=1 --io=posix --chunk=4KiB
cp other.csv local.csv
"$tieout" "$@" --out=now >stdout 2>stderr || [ $? -eq 1 ]
cp were.csv local.csv
calls=$(TIEOUT_COUNT_CALLS=1 "$tieout" "$@" --out=then 2>&1 >stdout | sed -n 's/^calls: mem [0-9]* io //p')
[ -n "$(digest then)" ] && [ -n "$(digest now)" ] && [ "$(digest then)" != "$(digest now)" ] || { echo "the runs themselves"; exit 1; }

failed=0 refused=0 n=2
while [ "$n" -le "$calls" ]; do
    rm -rf out
    cat were.csv >local.csv
    touch -d '2026-01-01 00:00' local.csv
    TIEOUT_FAIL_STOP=1 TIEOUT_FAIL_IO=$n "$tieout" "$@" --out=out >stdout 2>stderr &
    pid=$!
    until is_stopped $pid || has_ended $pid; do :; done
    before=$(stat -c %z local.csv)
    while [ "$(stat -c %z local.csv)" = "$before" ]; do # until the clock that stamps files went on
        cat other.csv >local.csv
        touch -d '2026-01-01 00:00' local.csv
    done
    kill -CONT $pid 2>/dev/null || true
    code=0
    wait $pid || code=$?
    found=$(digest out)
    case $code in
    3)
        refused=$((refused + 1))
        [ ! -e out ] && grep -q '^error file.changed' stderr || { echo "call $n: refused in another way" && cat stderr && failed=1; }
        ;;
    0 | 1) [ "$found" = "$(digest then)" ] || [ "$found" = "$(digest now)" ] || { echo "call $n: results of half a file" && failed=1; } ;;
    *) echo "call $n: exit code $code" && cat stderr && failed=1 ;;
    esac
    n=$((n + 3))
done
echo "$refused runs were refused"
[ "$refused" -gt 0 ] || failed=1
exit $failed
