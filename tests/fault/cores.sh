#!/bin/sh
# cores.sh TIEOUT: more threads than cores, one core, and cores that are not ours (as an offline one is: it is in no affinity mask).
# The digest is the same; by itself the program takes as many workers as it may use cores, and pins none elsewhere.
set -eu
tieout=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$tieout" gen --rows=20000 --seed=3 --order=shuffled --out="$work/day" >/dev/null 2>&1
cores=$(python3 -c 'import os; print(" ".join(map(str, sorted(os.sched_getaffinity(0)))))')
want=

# run WHAT THREADS ALLOWED [command in front] -- options; THREADS: workers it must take; ALLOWED: cores that they may be on
run()
{
    what=$1 threads=$2 allowed=$3
    shift 3
    front=
    while [ "$1" != -- ]; do front="$front $1"; shift; done
    shift
    code=0
    # shellcheck disable=SC2086 # words on purpose
    $front "$tieout" diff "$work/day/local.csv" "$work/day/channel.csv" --key=channel_code,biz_order_no --amount=amount \
        --compare=status --out="$work/out" --memory=200MiB "$@" >"$work/said" 2>&1 || code=$?
    [ "$code" = 1 ] || { echo "WRONG $what: exit $code"; cat "$work/said"; exit 1; }
    digest=$(sed -n 's/.*"digest": "\(.*\)".*/\1/p' "$work/out/summary.json")
    [ -n "$digest" ] && [ "${want:=$digest}" = "$digest" ] || { echo "WRONG $what: digest $digest, want $want"; exit 1; }
    python3 - "$work/out/stats.json" "$threads" $allowed <<'P' || { echo "WRONG $what"; exit 1; }
import json, sys
stats = json.load(open(sys.argv[1]))
if sys.argv[2] != "any" and stats["threads"] != int(sys.argv[2]):
    sys.exit(f"{stats['threads']} threads, want {sys.argv[2]}")
for worker in stats["workers"]:
    if worker["core"] >= 0 and str(worker["core"]) not in sys.argv[3:]:
        sys.exit(f"a worker on core {worker['core']}, allowed: {sys.argv[3:]}")
P
    echo "ok $what"
}

run "as many workers as cores" any "$cores" --
run "more threads than cores" 13 "$cores" -- --threads=13
first=${cores%% *} last=${cores##* }
run "one core" 1 "$first" taskset -c "$first" --
run "one core, four threads" 4 "$first" taskset -c "$first" -- --threads=4
if [ "$first" != "$last" ]; then
    run "the last core only" 1 "$last" taskset -c "$last" --
    run "a core in between is not there" 2 "$first $last" taskset -c "$first,$last" -- --threads=2
fi
