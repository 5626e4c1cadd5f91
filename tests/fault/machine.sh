#!/bin/sh
# tests/fault/machine.sh TIEOUT NO_URING: a run that is killed, stopped, or short of disk, files or io_uring.
#
# Each case says `ok`, `WRONG` or `skipped` with why; exit 1 when one is wrong. What must hold: the exit code of SPEC.md section 7, one
# error line, the results of the run before untouched (or none), nothing left beside them, and afterwards the same digest.
set -eu
tieout=$(readlink -f -- "$1")
no_uring=$(readlink -f -- "$2")
work=$(mktemp -d)
mounted=
trap '[ -z "$mounted" ] || umount "$mounted" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work"
wrong=0

ok() { echo "ok $1"; }
bad()
{
    echo "WRONG $*"
    [ ! -s stderr ] || sed 's/^/  | /' stderr
    wrong=1
}
digest() { sed -n 's/.*"digest": *"\([^"]*\)".*/\1/p' "$1/summary.json" 2>/dev/null || true; }
# Nothing beside the inputs and the results: no staging folder, no spill file.
leftover() { find "$work" -name '*tieout-*' -print | head -n 1; }

"$tieout" gen --rows=60000 --seed=11 --order=shuffled --amount-breaks=2% --missing=2% --out=day 2>/dev/null
set -- diff day/local.csv day/channel.csv --key=channel_code,biz_order_no --amount=amount --compare=status --write-match --chunk=16KiB
code=0
"$tieout" "$@" --out=whole >stdout 2>stderr || code=$?
want=$(digest whole)
if [ "$code" -ne 1 ] || [ -z "$want" ]; then
    bad "the run itself: exit $code"
    exit 1
fi

# Says whether the case NAME with exit CODE is right: codes allowed, and OUT holding either nothing or the whole results.
judge()
{
    name=$1 code=$2 allowed=$3 out=$4
    left=$(leftover)
    found=none
    [ ! -e "$out" ] || found=$(digest "$out")
    lines=$(grep -c '^error ' stderr || true)
    case " $allowed " in
    *" $code "*) ;;
    *) bad "$name: exit $code, want one of: $allowed" && return ;;
    esac
    [ -z "$left" ] || { bad "$name: $left was left" && return; }
    [ "$code" -le 1 ] || [ "$lines" -eq 1 ] || { bad "$name: $lines error lines" && return; }
    if [ "$code" -le 1 ]; then
        [ "$found" = "$want" ] || { bad "$name: other results" && return; }
    else
        [ "$found" = none ] || [ "$found" = "$want" ] || { bad "$name: other results" && return; }
    fi
    ok "$name (exit $code)"
}

# Far less memory than the day, in a cgroup that counts the page cache too: it goes through the spill file, ends well, and
# stays within the budget, 24 MiB for the program and 2 MiB a worker (PROMISES.md P8).
group=
if mkdir "/sys/fs/cgroup/memory/tieout-$$" 2>/dev/null; then
    group=/sys/fs/cgroup/memory/tieout-$$
    echo 67108864 >"$group/memory.limit_in_bytes" 2>/dev/null || { rmdir "$group" && group=; }
elif mkdir "/sys/fs/cgroup/tieout-$$" 2>/dev/null; then
    group=/sys/fs/cgroup/tieout-$$
    echo 67108864 >"$group/memory.max" 2>/dev/null || { rmdir "$group" && group=; }
fi
"$tieout" gen --rows=400000 --seed=12 --order=shuffled --out=large 2>/dev/null
large="diff large/local.csv large/channel.csv --key=channel_code,biz_order_no --amount=amount --compare=status --threads=2"
# shellcheck disable=SC2086 # words
"$tieout" $large --out=large-whole >stdout 2>stderr || true
if [ -n "$group" ]; then
    code=0
    # shellcheck disable=SC2086 # words
    sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group" "$tieout" $large --memory=24MiB --out=large-small >stdout 2>stderr || code=$?
    rmdir "$group" 2>/dev/null || true
else
    echo "skipped the cgroup (not to be had here): the same without it"
    code=0
    # shellcheck disable=SC2086 # words
    "$tieout" $large --memory=24MiB --out=large-small >stdout 2>stderr || code=$?
fi
rss=$(sed -n 's/.*"peak_rss_bytes": *\([0-9]*\).*/\1/p' large-small/stats.json 2>/dev/null || echo 0)
spilled=$(sed -n 's/.*"bytes_spilled": *\([0-9]*\).*/\1/p' large-small/stats.json 2>/dev/null || echo 0)
if [ "$code" -ne 1 ] || [ "$(digest large-small)" != "$(digest large-whole)" ]; then
    bad "24 MiB for 400,000 rows a side: exit $code, or other results"
elif [ "${spilled:-0}" -lt 1000000 ]; then
    bad "24 MiB for 400,000 rows a side: only $spilled bytes were spilled"
elif [ "$rss" -gt $(((24 + 24 + 4) * 1048576)) ] && ! grep -q '__asan_init\|__tsan_init' "$tieout"; then
    bad "24 MiB for 400,000 rows a side: $rss bytes of memory at most"
else
    ok "24 MiB for 400,000 rows a side ($((rss / 1048576)) MiB at most, $((spilled / 1048576)) MiB spilled)"
fi
rm -rf large large-whole large-small

# Killed at any moment; the next run sweeps, and gives the same.
for pause in 0.005 0.02 0.035 0.05 0.065 0.08 0.1 0.12 0.15 0.2; do
    "$tieout" "$@" --threads=2 --out=killed >/dev/null 2>&1 &
    pid=$!
    sleep "$pause"
    kill -9 "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    if [ -e killed ] && [ "$(digest killed)" != "$want" ]; then
        bad "kill -9 after $pause s: half of the results are there"
    fi
done
code=0
"$tieout" "$@" --threads=2 --out=killed >stdout 2>stderr || code=$?
judge "a run after ten that were killed" "$code" 1 killed

# Stopped. A run that is faster than the signal ends as ever.
for signal in INT TERM HUP; do
    for pause in 0.01 0.03 0.06; do
        rm -rf stopped
        # A shell without job control starts what runs in the background with SIGINT ignored; `env` gives it back.
        env --default-signal=INT "$tieout" "$@" --threads=2 --out=stopped >stdout 2>stderr &
        pid=$!
        sleep "$pause"
        kill -"$signal" "$pid" 2>/dev/null || true
        code=0
        wait "$pid" || code=$?
        if [ "$code" -ge 128 ] && [ ! -s stderr ] && [ ! -e stopped ] && [ -z "$(leftover)" ]; then
            ok "$signal after $pause s, before anything had begun"
        else
            judge "$signal after $pause s" "$code" "130 1" stopped
        fi
    done
done

# A limit on file sizes, for a new folder and over older results.
for limit in 1 64 400; do
    for out in limited killed; do
        rm -rf limited
        code=0
        (
            ulimit -f "$limit"
            exec "$tieout" "$@" "--out=$out"
        ) >stdout 2>stderr || code=$?
        judge "no file over $limit blocks, into $out" "$code" "4 1" "$out"
    done
done

# A full disk.
mkdir disk
if [ "$(id -u)" -eq 0 ] && mount -t tmpfs -o size=1m tmpfs disk 2>/dev/null; then
    mounted=$work/disk
    code=0
    "$tieout" "$@" --out=disk/out >stdout 2>stderr || code=$?
    judge "a full disk" "$code" 4 disk/out
    grep -q 'bytes are free there: No space left' stderr || bad "a full disk: the message does not say so"
    grep -q 'did: published nothing; this run had .* MiB there (' stderr || bad "a full disk: the message does not say what the run has there"
    grep -q 'hint: make room there.* or write to another disk (--out' stderr || bad "a full disk: the message does not say what to do"
    mount -o remount,size=64m disk
    code=0
    "$tieout" "$@" --out=disk/out >stdout 2>stderr || code=$?
    judge "the same command once there is room" "$code" 1 disk/out
    code=0
    "$tieout" "$@" --index-memory=1MiB --match-shelf=0 --threads=1 --out=disk/out >stdout 2>stderr || code=$?
    judge "records set aside in a tmpfs" "$code" 1 disk/out
    [ "$(grep -c '^warning: records that do not fit in --memory are set aside .* a tmpfs' stderr)" -eq 1 ] || bad "records set aside in a tmpfs: told other than once"
    "$tieout" "$@" --plan --out=disk/none/yet >stdout 2>stderr && grep -q '(that is a tmpfs: ' stdout || bad "a plan does not say that the disk is a tmpfs"
    mount -o remount,ro disk 2>/dev/null && {
        code=0
        "$tieout" "$@" --out=disk/out >stdout 2>stderr || code=$?
        judge "a read-only disk" "$code" 4 disk/out
    }
    umount disk
    mounted=
else
    echo "skipped a full disk: no right to mount a tmpfs"
fi

# Few open files.
for limit in 4 5 6 8 10 12 16 24; do
    rm -rf few
    code=0
    (
        # shellcheck disable=SC3045 # dash and bash have it
        ulimit -n "$limit"
        exec "$tieout" "$@" --out=few
    ) >stdout 2>stderr || code=$?
    if [ "$code" -eq 127 ]; then
        continue # the loader itself had no room
    fi
    judge "$limit open files" "$code" "4 1" few
done

# io_uring refused: by name an error, otherwise the same results and a word.
code=0
"$no_uring" setup "$tieout" "$@" --io=auto --threads=2 --out=plain >stdout 2>stderr || code=$?
if [ "$code" -eq 77 ]; then
    echo "skipped io_uring refused: no right to filter system calls"
else
    judge "io_uring refused, --io=auto" "$code" 1 plain
    [ "$(grep -c 'io_uring is not available' stderr)" -eq 1 ] || bad "io_uring refused: not told once"
    rm -rf plain
    code=0
    "$no_uring" setup "$tieout" "$@" --io=uring --out=plain >stdout 2>stderr || code=$?
    judge "io_uring refused, --io=uring" "$code" 4 plain
    code=0
    "$no_uring" register "$tieout" "$@" --io=auto --out=plain >stdout 2>stderr || code=$?
    judge "only its registrations refused" "$code" 1 plain
    code=0
    "$no_uring" setup "$tieout" diff day/local.csv day/channel.csv --key=channel_code,biz_order_no --amount=amount --threads=2 --out=plain/warm >stdout 2>stderr || code=$?
    if [ "$code" -ne 1 ] || grep -q io_uring stderr; then bad "files in the page cache: exit $code, or io_uring was wanted"; fi
fi

# More files than descriptors: they are opened in turn, by the readers and by the manifest.
mkdir -p many/bills
tail -n +2 day/channel.csv | split -l 130 -a 3 --additional-suffix=.csv - many/bills/part-
for part in many/bills/part-*.csv; do
    { head -n 1 day/channel.csv && cat "$part"; } >part && mv part "$part"
done
mkdir many/whole
cp day/channel.csv many/whole/channel.csv
for files in whole bills; do
    cat >"many/$files.yaml" <<JOB
version: 1
job: many
channel_code: ALIPAY
timezone: Asia/Shanghai
currency: CNY
manifest: $files.db
local:
  files: "../day/local.csv"
  format: csv
  fields: {biz_order_no: biz_order_no, amount: amount, status: status, trade_time: trade_time}
channel:
  files: "$files/*.csv"
  format: csv
  fields: {biz_order_no: biz_order_no, channel_order_no: channel_order_no, amount: amount, status: status, trade_time: trade_time}
match: {keys: [[channel_code, biz_order_no]], compare: [amount, status]}
JOB
done
code=0
"$tieout" run many/whole.yaml --date=2026-11-19 --out=many/one >stdout 2>stderr || code=$?
want=$(digest many/one/many/2026-11-19)
[ "$code" -eq 1 ] && [ -n "$want" ] || bad "one file: exit $code"
for io in uring posix; do
    code=0
    (ulimit -n 64 && exec "$tieout" run many/bills.yaml --date=2026-11-19 --io=$io --threads=2 --chunk=4KiB --out=many/out) >stdout 2>stderr || code=$?
    judge "$(find many/bills -type f | wc -l) files with 64 descriptors, --io=$io" "$code" 1 many/out/many/2026-11-19
    rm -rf many/out
done

# An input that changes while it is read is refused.
cp day/channel.csv growing.csv
for pause in 0.005 0.01 0.02 0.03; do
    rm -rf grown
    "$tieout" diff day/local.csv growing.csv --key=channel_code,biz_order_no --amount=amount --compare=status --write-match --chunk=4KiB --threads=1 --out=grown \
        >stdout 2>stderr &
    pid=$!
    sleep "$pause"
    echo "late,row" >>growing.csv
    code=0
    wait "$pid" || code=$?
    if [ "$code" -eq 3 ]; then
        if [ ! -e grown ] && [ -z "$(leftover)" ]; then
            ok "a file that grows, after $pause s (exit 3)"
        else
            bad "a file that grows: something was published"
        fi
    elif [ "$code" -le 1 ]; then
        ok "a file that grows, after the run had looked ($pause s)"
    else
        bad "a file that grows: exit $code"
    fi
    cp day/channel.csv growing.csv
done
exit $wrong
