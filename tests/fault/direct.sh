#!/bin/sh
# direct.sh TIEOUT: inputs read past the page cache or through it, by io_uring or pread, in chunks that are whole pages or not, and on a
# file system in memory: the same digest. Where this folder's file system has O_DIRECT, the plan says what is done, and why.
set -eu
tieout=$1
work=$(mktemp -d "$PWD/direct-XXXXXX")
shm=
trap 'rm -rf "$work" $shm' EXIT
"$tieout" gen --rows=20000 --seed=5 --rejects=0 --out="$work/day" >/dev/null 2>&1
want=
run()
{
    code=0
    "$tieout" diff "$1/local.csv" "$1/channel.csv" --key=channel_code,biz_order_no --amount=amount --compare=status --out="$work/out" \
        $2 >"$work/said" 2>&1 || code=$?
    [ "$code" = 1 ] || { echo "WRONG $2: exit $code"; cat "$work/said"; exit 1; }
    digest=$(sed -n 's/.*"digest": "\(.*\)".*/\1/p' "$work/out/summary.json")
    [ -n "$digest" ] && [ "${want:=$digest}" = "$digest" ] || { echo "WRONG $2: digest $digest, want $want"; exit 1; }
    echo "ok ${3:-}$2"
}
for direct in never always auto; do
    for io in auto posix; do
        for chunk in 4KiB 5000 64KiB 1MiB; do
            run "$work/day" "--direct=$direct --io=$io --chunk=$chunk --threads=2"
        done
    done
done
if [ -w /dev/shm ]; then
    shm=$(mktemp -d /dev/shm/tieout-direct-XXXXXX)
    cp "$work/day/local.csv" "$work/day/channel.csv" "$shm"
    run "$shm" "--direct=always --threads=2" "in memory: "
fi
if python3 -c "import os, sys; os.close(os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT))" "$work/day/local.csv" 2>/dev/null; then
    "$tieout" diff --plan "$work/day/local.csv" "$work/day/channel.csv" --key=channel_code,biz_order_no --amount=amount --compare=status \
        --direct=always >"$work/plan"
    grep -q '1 of 1 files past the page cache' "$work/plan" || { echo "WRONG: the plan does not say so"; cat "$work/plan"; exit 1; }
    "$tieout" diff --plan "$work/day/local.csv" "$work/day/channel.csv" --key=channel_code,biz_order_no --amount=amount --compare=status >"$work/plan"
    grep -q 'through the page cache' "$work/plan" || { echo "WRONG: the plan does not say so"; cat "$work/plan"; exit 1; }
    echo "ok the plan says so"
fi
